"""Cases that may be shown: what is kept of them, and that nothing is kept where it must not be."""

import numpy as np
import pytest
from helpers.made_up_reports import STUDY
from helpers.made_up_tables import example_cases

from noise2mask.data.prepared import Case as Prepared
from noise2mask.data.prepared import write_dataset
from noise2mask.errors import UserError
from noise2mask.files import write_record
from noise2mask.report.cases import FILE, KEPT, cases_of, read_cases, save_cases, walks_of
from noise2mask.sampling.draws import save_draws
from noise2mask.study.paths import PICTURES, RESULTS, Paths, prepared, training_folder
from noise2mask.study.schema import Analysis, Measured, Training

IDS = ("a_y0x0", "a_y0x8", "b_y0x0", "c_y0x0")
DRAWS = np.random.default_rng(0).random((4, 10, 8, 8)).astype(np.float32)


@pytest.fixture
def root(tmp_path):
    """Two tiles of one image and two more images, drawn by both modes of the first network."""
    images = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8, 1)
    masks = (np.arange(4 * 64).reshape(4, 8, 8) % 3 == 0).astype(np.uint8)
    cases = [
        Prepared(
            id=name, split=split, group=name[0], width=8, height=8, image_sha256="",
            mask_sha256="", foreground=1.0, image=name[0], top=0, left=0,
        )
        for split in ("train", "val", "test")
        for name in IDS
    ]  # fmt: skip
    arrays = dict.fromkeys(("train", "val", "test"), (images, masks))
    folder = tmp_path / prepared("test", "lesion_phantom")
    write_dataset(folder, arrays, cases, dataset="lesion_phantom", kind="folder", options={})
    for mode, sampler, number in (("feed_forward", "one_pass", 1), ("diffusion", "ddim2", 10)):
        training = Training("lesion_phantom", "ensemdiff", mode, 0)
        place = training_folder(tmp_path / RESULTS, "test", training) / sampler
        place.mkdir(parents=True)
        save_draws(place / "draws.npz", DRAWS[:, :number], IDS)
    return tmp_path


def test_the_first_tile_of_each_image_with_what_every_mode_drew(root):
    found = cases_of(STUDY, Paths("test", root))
    assert [(case.dataset, case.case) for case in found] == [
        ("lesion_phantom", "a_y0x0"), ("lesion_phantom", "b_y0x0"),
    ]  # fmt: skip
    second = found[1]
    assert second.image.shape == (8, 8, 3)
    np.testing.assert_array_equal(second.image[..., 1].ravel(), np.arange(128, 192))
    single, several = second.predictions
    assert (single.mode, single.sampler, single.number) == ("feed_forward", "one_pass", 1)
    assert (several.mode, several.sampler, several.number) == ("diffusion", "ddim2", 10)
    np.testing.assert_allclose(several.mean / 255, DRAWS[2].mean(axis=0), atol=0.002)
    np.testing.assert_allclose(several.spread / 255, DRAWS[2].std(axis=0), atol=0.002)
    np.testing.assert_allclose(several.draws / 255, DRAWS[2, :KEPT], atol=0.002)
    assert not single.spread.any()


def test_a_study_that_shows_nothing_has_no_case(root):
    hidden = STUDY.model_copy(
        update={"pictures": STUDY.pictures.model_copy(update={"examples": 0})}
    )
    assert cases_of(hidden, Paths("test", root)) == []


def test_cases_come_back_as_they_were_and_go_when_switched_off(tmp_path):
    cases = example_cases()
    save_cases(cases, tmp_path)
    found, walks = read_cases(tmp_path)
    assert walks == []
    for before, after in zip(cases, found, strict=True):
        assert (before.dataset, before.case) == (after.dataset, after.case)
        np.testing.assert_array_equal(before.image, after.image)
        np.testing.assert_array_equal(before.mask, after.mask)
        for one, other in zip(before.predictions, after.predictions, strict=True):
            assert one[:3] == other[:3]
            assert one.number == other.number
            for part in ("mean", "spread", "draws"):
                np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
    bytes_before = (tmp_path / FILE).read_bytes()
    save_cases(cases, tmp_path)
    assert (tmp_path / FILE).read_bytes() == bytes_before
    save_cases([], tmp_path)
    assert not (tmp_path / FILE).exists()
    assert read_cases(tmp_path) == ([], [])


def walked(root, dataset="lesion_phantom", gap=2.0, levels=3):
    """What `measure` leaves of one case; `levels` 0 without a pair."""
    place = Measured(dataset, "ensemdiff", 0)
    path = Paths("test", root).measured(place).with_name(PICTURES)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"t": np.arange(levels), "case": np.array("a_y0x0"), "gap": np.array(gap)}
    if levels:
        arrays |= {"log_snr": np.linspace(3, -3, levels), "x_t": np.ones((levels, 8, 8), "f2")}
        arrays |= {
            name: np.full((levels, 8, 8), value, np.uint8)
            for name, value in (("without_image", 7), ("with_image", 9))
        }
    np.savez(path, **arrays)
    write_record(path)
    return path


MEASURED = STUDY.model_copy(
    update={"analysis": Analysis.model_validate({"measured": ("diffusion", "feed_forward")})}
)


def test_a_walk_into_the_noise_is_kept_with_the_cases(root, tmp_path):
    walked(root)
    (walk,) = walks_of(MEASURED, Paths("test", root))
    assert (walk.dataset, walk.case) == ("lesion_phantom", "a_y0x0")
    save_cases(example_cases(), tmp_path, [walk])
    (after,) = read_cases(tmp_path)[1]
    assert after[:2] == walk[:2]
    for one, other in zip(after[2:], walk[2:], strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_no_walk_without_pair_of_other_levels_or_where_nothing_may_be_shown(root):
    walked(root, levels=0)
    assert walks_of(MEASURED, Paths("test", root)) == []
    walked(root, gap=1.0)
    assert walks_of(MEASURED, Paths("test", root)) == []
    walked(root)
    hidden = MEASURED.model_copy(
        update={"pictures": STUDY.pictures.model_copy(update={"examples": 0})}
    )
    assert walks_of(hidden, Paths("test", root)) == []


def test_a_damaged_walk_is_told(root):
    path = walked(root)
    path.write_bytes(b"PK cut")
    with pytest.raises(UserError, match=r"pictures\.npz was changed or damaged"):
        walks_of(MEASURED, Paths("test", root))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"no zip"])
def test_a_damaged_file_is_told(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(UserError, match="make the report again"):
        read_cases(tmp_path)
