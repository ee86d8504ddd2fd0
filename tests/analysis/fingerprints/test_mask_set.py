"""A fingerprint of a folder of masks, without a study."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from helpers.project import ROOT
from PIL import Image

from noise2mask.analysis.fingerprints.mask_set import (
    MaskSet,
    atlas_for,
    describe,
    fingerprint_masks,
    nearest,
    read_mask_set,
)
from noise2mask.cli import main
from noise2mask.errors import UserError


def disc(radius, side=48, at=(0, 0)):
    rows, columns = np.mgrid[:side, :side] - side / 2 + 0.5
    return (rows - at[0]) ** 2 + (columns - at[1]) ** 2 < radius**2


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "discs"
    place.mkdir()
    for number in range(8):
        mask = disc(8 + number % 3, at=(number % 4, -number % 3))
        Image.fromarray(mask.astype(np.uint8) * 255).save(place / f"p{number // 2}_{number}.png")
    return place


def test_masks_alone_and_pairs_are_the_same_set(folder, tmp_path):
    alone = read_mask_set({"root": str(folder), "group_pattern": r"^(p\d)"}, 24)
    pairs = tmp_path / "pairs"
    (pairs / "images").mkdir(parents=True)
    folder.rename(pairs / "masks")
    for path in (pairs / "masks").iterdir():
        Image.fromarray(np.zeros((48, 48), np.uint8)).save(pairs / "images" / path.name)
    both = read_mask_set({"root": str(pairs), "group_pattern": r"^(p\d)"}, 24)
    assert alone.cases == both.cases
    assert alone.groups == both.groups == [f"p{number // 2}" for number in range(8)]
    assert np.array_equal(alone.masks, both.masks)
    assert alone.masks.shape == (8, 24, 24)
    areas = [disc(8 + number % 3, at=(number % 4, -number % 3)).mean() for number in range(8)]
    np.testing.assert_allclose(alone.masks.mean((1, 2)), areas, atol=1 / 24**2)


def test_the_command_tells_and_writes(folder, tmp_path, capsys):
    given = ["fingerprint", str(folder), "--resolution", "16", "--output", str(tmp_path / "out")]
    assert main(given) == 0
    said = capsys.readouterr().out
    assert said.startswith("discs: 8 masks at 16 px")
    figures = pd.read_csv(tmp_path / "out/figures.csv", index_col="figure")
    share = read_mask_set({"root": str(folder)}, 16).masks.mean()
    assert figures.loc["foreground", "mean"] == pytest.approx(share)
    assert f"{share:.3g}" in said
    assert Image.open(tmp_path / "out/fingerprint.png").size[0] > 300


def test_the_nearest_of_an_atlas_are_the_most_alike():
    levels = np.linspace(-10, 4, 8)
    tables = []
    for name, middle in {"own": -3.0, "far": 0.0, "near": -2.5, "middle": -4.5}.items():
        dice = 1 / (1 + np.exp(-2 * (levels - middle)))
        rows = {"dataset": name, "oracle": "gaussian", "log_snr": levels, "dice": dice}
        tables.append(pd.DataFrame(rows))
    found = nearest("own", pd.concat(tables))
    assert list(found.index) == ["near", "middle", "far"]
    assert found["near"] < found["middle"] < found["far"]


def test_fingerprints_of_larger_discs_last_longer():
    def at_50(radius):
        masks = np.stack([disc(radius, 32, at=(n % 5, n % 3)) for n in range(8)])
        names = [str(n) for n in range(8)]
        return describe(MaskSet(masks, names, names)).figures.loc["log_snr_at_50", "mean"]

    assert at_50(10) < at_50(3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"window": [0, 1]}, "all its files are taken for masks"),
        ({"group_pattern": "^(p)"}, "masks of 1 group"),
        ({"threshold": 255}, "background|foreground|255"),
    ],
)
def test_what_cannot_be_described_is_told(folder, options, said):
    with pytest.raises(UserError, match=said):
        read_mask_set({"root": str(folder), **options}, 16)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "got neither"),
        (["nowhere"], "nowhere is no folder"),
        (["nowhere", "--dataset", "a"], "--dataset is of a study"),
    ],
)
def test_a_wrong_call_is_one_sentence(given, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["fingerprint", *given]) == 2
    assert said in capsys.readouterr().err


def test_the_command_says_what_reports_recommend_and_needs_no_torch(folder, tmp_path):
    """Beside the published atlas, at its resolution, in a process of its own."""
    code = (
        "import sys\nfrom noise2mask.cli import main\n"
        f"status = main(['fingerprint', {str(folder)!r}, '--output', {str(tmp_path / 'out')!r}])\n"
        "print('torch' in sys.modules, 'monai' in sys.modules, status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    *lines, last = done.stdout.splitlines()
    assert last == "False False 0"
    assert any("nearest in the atlas" in line for line in lines)
    assert any("recommended: linear schedule, input scale b = " in line for line in lines)
    assert Image.open(tmp_path / "out/fingerprint.png").size[1] > 300


def test_an_atlas_of_another_resolution_is_refused(folder, capsys):
    given = ["fingerprint", str(folder), "--resolution", "16"]
    assert main([*given, "--atlas", str(ROOT / "reports/atlas")]) == 2
    said = capsys.readouterr().err
    assert "was made at 128 px and the masks are looked at at 16" in said
    assert atlas_for(None, 16) is None
    assert atlas_for(None, 128).name == "atlas"


def test_arrays_have_the_fingerprint_of_their_files(folder):
    masks = [np.asarray(Image.open(path)) for path in sorted(folder.iterdir())]
    groups = [f"p{number // 2}" for number in range(8)]
    alone = read_mask_set({"root": str(folder), "group_pattern": r"^(p\d)"}, 24)
    found = fingerprint_masks(masks, groups, resolution=24)
    files = describe(MaskSet(alone.masks, [f"{n:05d}" for n in range(8)], alone.groups))
    pd.testing.assert_frame_equal(found.figures, files.figures)
    with pytest.raises(UserError, match="two groups"):
        fingerprint_masks(masks, ["one"] * 8)
    with pytest.raises(UserError, match="every mask is background alone"):
        fingerprint_masks(np.zeros((3, 8, 8)))
