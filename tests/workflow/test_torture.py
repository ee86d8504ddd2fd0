"""A few kills at seeded moments; `make torture N=100` does many."""

import pytest
from helpers.torture import KINDS, contents, trial, undisturbed

pytestmark = [pytest.mark.torture, pytest.mark.slow, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return undisturbed(tmp_path_factory.mktemp("torture") / "whole")


def test_what_is_compared_holds_models_masks_scores_and_tables(whole):
    files, _ = whole
    names = {path.rpartition("/")[2] for path in files}
    assert names >= {
        "model.safetensors",
        "draws.npz",
        "metrics.csv",
        "summary.csv",
        "train.masks.npy",
    }
    assert sum(path.endswith("model.safetensors") for path in files) == 2


# Each of these seeds kills in another way.
@pytest.mark.parametrize("seed", ["b", "k"])
def test_a_killed_study_ends_with_the_same_bytes_at_the_second_call(whole, tmp_path, seed):
    found = trial(tmp_path / "killed", seed, *whole)
    assert found.kind in KINDS
    assert found.said == ""
    assert found.differing == ()


def test_a_changed_byte_is_a_difference(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/metrics.csv").write_text("a")
    before = contents(tmp_path)
    (tmp_path / "results/metrics.csv").write_text("b")
    assert contents(tmp_path) != before
