"""Checking raw data: what is measured, and what is found and told."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from noise2mask.data.checks.check import check, summary_text, write
from noise2mask.data.checks.measures import Checked, Twin, Twins
from noise2mask.data.formats import phantoms
from noise2mask.data.prepare import prepare
from noise2mask.errors import UserError

SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}
SIZE = (40, 60)  # height, width
DIGESTS = dict.fromkeys(("image_sha256", "mask_sha256", "image_pixels", "mask_pixels"), "")


def picture(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Coarse random squares: no two alike."""
    squares = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(squares).resize(size[::-1], Image.Resampling.BICUBIC))


def disc(size: tuple[int, int] = SIZE) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    return np.where(np.hypot(y - size[0] / 2, x - size[1] / 2) < 10, 255, 0).astype(np.uint8)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def dataset(root: Path, count: int = 8, split: str = "") -> Path:
    for number in range(count):
        save(root / "images" / f"{split}c{number}.png", picture(number))
        save(root / "masks" / f"{split}c{number}.png", disc())
    return root


def checked(root: Path, processes: int = 1, counts: dict[str, int] | None = None, **options: Any):
    return check(
        "folder", {"root": str(root), **options}, name="moles", title="Moles", shares=SHARES,
        counts=counts or {}, processes=processes,
    )  # fmt: skip


def told(result: Checked, severity: str) -> list[str]:
    """Sentences of a severity; that a handful of cases has few in test is no news here."""
    return [
        finding.text
        for finding in result.findings
        if finding.severity == severity and not finding.text.startswith("test holds")
    ]


# The manifest ---------------------------------------------------------------------------------


def test_manifest_agrees_with_the_prepared_dataset(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw")
    manifest = prepare("folder", {"root": str(root)}, "moles", 16, SHARES, tmp_path / "prepared")
    write(checked(root), tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "manifest.csv").open()))
    for case, row in zip(sorted(manifest.cases, key=lambda case: case.id), rows, strict=True):
        for field in ("id", "split", "group", "width", "height", "image_sha256", "mask_sha256"):
            assert row[field] == str(getattr(case, field))
    assert float(rows[0]["foreground"]) == pytest.approx((disc() > 0).mean(), rel=1e-5)
    frame = pd.read_csv(tmp_path / "out" / "manifest.csv")
    assert frame["touches_border"].dtype == bool
    assert frame["objects"].tolist() == [1] * 8


def test_files_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw", 12)
    for processes in (1, 2):
        write(checked(root, processes), tmp_path / str(processes))
    for name in ("manifest.csv", "check.json"):
        one, two = (tmp_path / str(processes) / name for processes in (1, 2))
        assert one.read_bytes() == two.read_bytes()
    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == [
        "check.json",
        "manifest.csv",
    ]


def test_summary(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw", 8)
    write(checked(root), tmp_path / "out")
    content = (tmp_path / "out" / "check.json").read_text()
    summary = json.loads(content)
    assert {name: part["count"] for name, part in summary["cases"].items()} == {
        "all": 8, "train": 5, "val": 1, "test": 2,
    }  # fmt: skip
    assert summary["sizes"]["most common"] == {"60 x 40": 8}
    assert summary["cases"]["all"]["objects"]["median"] == 1
    assert summary["channels"] == {"3": 8}
    assert str(tmp_path) not in content  # the same on another machine


@pytest.mark.parametrize("family", ["lesion", "nuclei", "tissue"])
def test_phantoms_have_no_errors_and_no_duplicates(family: str) -> None:
    options = {"family": family, "count": 30, "size": 64}
    result = check(
        "phantoms", options, name="p", title="P", shares=SHARES, counts={"all": 30}, processes=1
    )
    assert result.twins == Twins()
    assert not told(result, "error")
    assert not told(result, "warning")
    assert [row.id for row in result.rows] == [source.id for source in phantoms.sources(**options)]


# Damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [1, 2])
def test_all_damaged_cases_are_told_and_the_rest_is_checked(tmp_path: Path, processes: int) -> None:
    root = dataset(tmp_path / "raw")
    (root / "images" / "c1.png").write_bytes(b"\x89PNG broken")
    (root / "masks" / "c3.png").write_bytes(b"")
    save(root / "masks" / "c5.png", disc((20, 20)))
    result = checked(root, processes)
    damaged = [finding for finding in result.findings if finding.severity == "error"]
    assert [finding.cases for finding in damaged] == [("c1", "c3"), ("c5",)]
    assert damaged[0].text.startswith("2 cases cannot be used (c1, c3): c1: ")
    assert "c1.png could not be read" in damaged[0].text
    assert "must have the same size" in damaged[1].text
    assert not result.usable
    assert sum(row.measures is not None for row in result.rows) == 5
    write(result, tmp_path / "out")
    rows = pd.read_csv(tmp_path / "out" / "manifest.csv")
    assert rows["id"].tolist() == [f"c{number}" for number in range(8)]
    assert rows["width"].isna().tolist() == [number in (1, 3, 5) for number in range(8)]
    assert json.loads((tmp_path / "out" / "check.json").read_text())["cases"]["all"]["damaged"] == 3


def test_all_cases_damaged(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw", 4)
    for path in (root / "images").iterdir():
        path.write_bytes(b"x")
    result = checked(root)
    (text,) = told(result, "error")
    assert text.startswith("4 cases cannot be used (c0, c1, c2 and 1 more): c0: ")
    write(result, tmp_path / "out")
    assert "4 cases" in summary_text(result)


@pytest.mark.parametrize("error", [ValueError("odd"), OSError("gone"), KeyError("x")])
def test_an_error_that_a_kind_does_not_explain(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(source: object) -> None:
        raise error

    monkeypatch.setattr(phantoms, "load", load)
    options = {"family": "nuclei", "count": 3, "size": 32}
    result = check("phantoms", options, name="p", title="P", shares=SHARES, counts={}, processes=1)
    (text,) = told(result, "error")
    assert text.startswith("3 cases cannot be used (nuclei_00000, nuclei_00001, nuclei_00002): it ")
    assert type(error).__name__ in text


def test_a_mask_of_another_size_that_its_kind_lets_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays_of = np.zeros((4, 6, 1), np.uint8), np.zeros((4, 5), bool)
    monkeypatch.setattr(phantoms, "load", lambda source: arrays_of)
    options = {"family": "nuclei", "count": 3, "size": 32}
    result = check("phantoms", options, name="p", title="P", shares=SHARES, counts={}, processes=1)
    (text,) = told(result, "error")
    assert text.endswith("the image has 6 x 4 pixels, but the mask has 5 x 4.")


def test_data_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        checked(tmp_path / "nowhere")


# Splits and counts ----------------------------------------------------------------------------


def test_groups_in_two_splits(tmp_path: Path) -> None:
    root = dataset(dataset(tmp_path / "raw", 2, "train_"), 3, "test_")
    result = checked(root, split_pattern="^(train|test)_", group_pattern="_(c.)$")
    (text,) = told(result, "error")
    assert text.startswith("2 groups lie in several splits: c0 (test, train), c1 (test, train);")
    assert {row.id: row.split for row in result.rows}["test_c0"] == "test"


def test_too_few_groups(tmp_path: Path) -> None:
    result = checked(dataset(tmp_path / "raw", 2))
    (text,) = told(result, "error")
    assert text.startswith("2 group(s) of cases cannot fill the 3 splits")
    assert {row.split for row in result.rows} == {""}
    write(result, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "check.json").read_text())["cases"]["no split"]


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({}, None),
        ({"all": 5}, None),
        ({"train": 2, "test": 3}, None),
        ({"all": 6}, "5 instead of 6"),
        ({"train": 4, "test": 3}, "train: 2 instead of 4"),
        ({"train": 2, "val": 1, "test": 3}, "val: 0 instead of 1"),
    ],
)
def test_published_counts(tmp_path: Path, counts: dict[str, int], words: str | None) -> None:
    root = dataset(tmp_path / "raw", 2, "train_")
    for number in range(3):
        save(root / "images" / f"test_d{number}.png", picture(20 + number))
        save(root / "masks" / f"test_d{number}.png", disc())
    result = checked(root, counts=counts, split_pattern="^(train|test)_")
    found = [text for text in told(result, "warning") if "published" in text]
    expected = f"the number of cases is not the published one ({words})."
    assert found == ([expected] if words else [])


def test_published_counts_of_splits_that_the_files_do_not_tell(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw", 5)
    assert not told(checked(root, counts={"train": 2, "test": 3}), "warning")
    (text,) = told(checked(root, counts={"train": 2, "test": 4}), "warning")
    assert "(5 instead of 6)" in text


# Masks and images -----------------------------------------------------------------------------


def change_masks(root: Path, mask: np.ndarray, *ids: str) -> None:
    for id in ids:
        save(root / "masks" / f"{id}.png", mask)


def test_empty_full_and_tiny_masks(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw")
    speck = np.zeros(SIZE, np.uint8)
    speck[3, 3:6] = 255
    change_masks(root, np.zeros(SIZE, np.uint8), "c0", "c1")
    change_masks(root, np.full(SIZE, 255, np.uint8), "c2")
    change_masks(root, speck, "c3")
    change_masks(root, np.maximum(disc(), speck), "c4")
    result = checked(root, foreground=(255,))
    assert told(result, "warning") == [
        "1 mask has no background: c2.",
        "1 mask has fewer than 4 pixels of foreground: c3.",
    ]
    assert told(result, "note") == [
        "2 masks have no foreground: c0, c1.",
        "1 mask has objects of fewer than 4 pixels beside larger ones: c4.",
    ]


@pytest.mark.parametrize(("value", "lack"), [(0, "foreground"), (255, "background")])
def test_masks_that_are_all_alike(tmp_path: Path, value: int, lack: str) -> None:
    root = dataset(tmp_path / "raw", 4)
    change_masks(root, np.full(SIZE, value, np.uint8), "c0", "c1", "c2", "c3")
    (text,) = told(checked(root, foreground=(255,)), "error")
    assert text.startswith(f"all 4 masks have no {lack};")


def test_inverted_masks(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw", 4)
    for number in range(4):
        save(root / "images" / f"c{number}.png", picture(number, (80, 80)))
    change_masks(root, 255 - disc((80, 80)), "c0", "c1", "c2", "c3")
    assert any("may be inverted" in text for text in told(checked(root), "warning"))
    change_masks(root, disc((80, 80)), "c2", "c3")
    assert not any("may be inverted" in text for text in told(checked(root), "warning"))


def test_constant_images_are_told_but_are_no_duplicates(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw")
    for id in ("c1", "c2"):
        save(root / "images" / f"{id}.png", np.full((*SIZE, 3), (9, 80, 9), np.uint8))
    result = checked(root)
    assert told(result, "warning") == ["2 images are of one grey level or colour: c1, c2."]
    assert result.twins == Twins()


def test_sizes(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw")
    assert not told(checked(root), "note")
    save(root / "images" / "c1.png", picture(1, (40, 200)))
    save(root / "masks" / "c1.png", disc((40, 200)))
    save(root / "images" / "c2.png", picture(2, (44, 60)))
    save(root / "masks" / "c2.png", disc((44, 60)))
    save(root / "images" / "c3.png", picture(3, (12, 60)))
    save(root / "masks" / "c3.png", disc((12, 60)))
    assert told(checked(root), "note") == [
        "sizes vary: 4 different ones, width 60 to 200, height 12 to 44 pixels.",
        "2 images are more than 3 times larger or smaller than usual: c1 (200 x 40), c3 (60 x 12).",
    ]


def test_grey_among_colour(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw")
    save(root / "images" / "c1.png", picture(1)[..., 0])
    assert told(checked(root), "note") == ["1 of 8 images is grey, the others have colours."]


# Duplicates -----------------------------------------------------------------------------------


def test_equal_images_in_two_splits(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw", 5, "train_")
    for number in range(5):
        save(root / "images" / f"test_d{number}.png", picture(20 + number))
        save(root / "masks" / f"test_d{number}.png", disc())
    # other bytes, equal pixels
    Image.fromarray(picture(2)).save(root / "images" / "test_d3.png", compress_level=0)
    result = checked(root, split_pattern="^(train|test)_")
    (pair,) = result.twins.pairs
    assert pair == Twin("test_d3", "train_c2", True, 1.0, "")
    split = {row.id: row.split for row in result.rows}["train_c2"]
    assert told(result, "error") == [
        f"leak: 1 pair of cases (test_d3 (test) and train_c2 ({split})) shows the same image in "
        "two splits; scores are too good unless the cases of a pair are in one split."
    ]
    assert "1 exact pairs, 0 near ones; 1 across splits" in summary_text(result)


def test_a_flipped_copy_in_another_split(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw", 5, "train_")
    save(root / "images" / "test_d.png", picture(2)[:, ::-1])
    save(root / "masks" / "test_d.png", disc())
    result = checked(root, split_pattern="^(train|test)_")
    (pair,) = result.twins.pairs
    assert (pair.first, pair.second, pair.exact) == ("test_d", "train_c2", False)
    assert pair.orientation == "flipped horizontally"
    (text,) = told(result, "warning")
    assert "test_d (test) and train_c2 (" in text
    assert ", flipped horizontally)) shows nearly the same image in two splits" in text


def test_pairs_in_one_group_are_only_counted(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw", 5)
    for id, pixels in (("c0_again", picture(0)), ("c1_again", picture(1)[::-1])):
        save(root / "images" / f"{id}.png", pixels)
        save(root / "masks" / f"{id}.png", disc())
    result = checked(root, group_pattern="^(c.)")
    assert result.twins == Twins((), 1, 1, True)
    assert not told(result, "warning")
    assert told(result, "note") == [
        "1 pair has the same image within a group.",
        "1 pair looks alike within a group.",
    ]


def test_images_that_are_equal_in_part_are_no_duplicates(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw", 6)
    half = np.concatenate([picture(0)[:20], picture(9)[20:]])
    save(root / "images" / "c4.png", half)
    assert checked(root).twins == Twins()


def test_similar_pairs_are_named_in_spite_of_equal_and_damaged_cases(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw", 9)
    (root / "images" / "c0.png").write_bytes(b"x")
    save(root / "images" / "c2.png", picture(1))
    save(root / "images" / "c7.png", picture(5)[::-1])
    pairs = checked(root).twins.pairs
    assert [(pair.first, pair.second) for pair in pairs] == [("c1", "c2"), ("c5", "c7")]


def test_one_image_with_two_masks(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw", 6)
    save(root / "images" / "c4.png", picture(0))
    save(root / "masks" / "c4.png", np.roll(disc(), 3, axis=1))
    result = checked(root, group_pattern="(c)")
    assert "1 image has different masks in different cases: c0 = c4." in told(result, "warning")
    save(root / "masks" / "c4.png", disc())
    assert not any("masks" in text for text in told(checked(root), "warning"))


def test_of_three_equal_images_the_first_is_paired_with_the_others(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw", 6)
    for id in ("c2", "c4"):
        save(root / "images" / f"{id}.png", picture(0))
    pairs = checked(root).twins.pairs
    assert [(pair.first, pair.second) for pair in pairs] == [("c0", "c2"), ("c0", "c4")]


# Telling --------------------------------------------------------------------------------------


def test_warnings_come_before_notes(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw")
    change_masks(root, np.zeros(SIZE, np.uint8), "c0")
    save(root / "images" / "c1.png", np.zeros((*SIZE, 3), np.uint8))
    severities = [each.severity for each in checked(root).findings]
    assert severities == ["warning", "warning", "note"]


def test_errors_come_first_and_many_are_cut(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw", 20)
    (root / "masks" / "c3.png").write_bytes(b"x")
    save(root / "images" / "c15.png", np.zeros((*SIZE, 3), np.uint8))
    result = checked(root)
    assert [each.severity for each in result.findings] == ["error", "warning"]
    error, warning = result.findings
    lines = summary_text(replace(result, findings=(*[error] * 14, warning))).splitlines()
    assert lines[0] == "moles (Moles): 20 cases, train 12, val 3, test 5"
    words = [line.split(":")[0].strip() for line in lines if line.startswith(("  err", "  warn"))]
    assert words == ["error"] * 10 + ["warning"]
    assert "  4 more errors are in check.json" in lines


# How files are read ---------------------------------------------------------------------------


def test_how_each_group_of_equal_files_is_read(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw")
    (root / "images" / "c0.png").unlink()
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(picture(0)).save(root / "images" / "c0.jpg", exif=exif)
    Image.fromarray(disc() > 0).save(root / "masks" / "c1.png")
    result = checked(root)
    assert result.reading == (
        "7 images (c1.png, c2.png, c3.png and 4 more): PNG, RGB, 8 bits",
        "1 image (c0.jpg): JPEG, RGB, 8 bits, turned by its orientation tag 3",
        "7 masks (c0.png, c2.png, c3.png and 4 more): PNG, grey, 8 bits, the values are 0, 255; "
        "foreground 255",
        "1 mask (c1.png): PNG, grey, 1 bit, the values as stored are 0, 1; foreground 1",
    )
    assert "  read as     7 images (c1.png" in summary_text(result)
    write(result, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "check.json").read_text())
    assert content["reading"] == list(result.reading)


def test_masks_that_can_be_read_in_two_ways_are_an_error(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw")
    change_masks(root, disc() // 255, "c1", "c2")
    result = checked(root)
    (text,) = told(result, "error")
    assert text.startswith(
        "the 8 masks (c0.png, c1.png, c2.png and 5 more) hold 3 different values"
    )
    assert not result.usable
    assert sum(row.measures is not None for row in result.rows) == 8  # the rest is checked


def test_what_is_not_used_and_what_names_hint_at(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw", 2)
    for child in range(1, 11):
        for eye in "LR":
            save(root / "images" / f"Image_{child:02d}{eye}.png", picture(40 * child + ord(eye)))
            save(root / "masks" / f"Image_{child:02d}{eye}.png", disc())
    for id in ("c0", "c1"):
        (root / "images" / f"{id}.png").unlink()
        (root / "masks" / f"{id}.png").unlink()
    (root / "images" / "x.heic").write_bytes(b"x")
    unused, hint = told(checked(root), "warning")
    assert (
        unused == "1 entry is not used, of a suffix that is not read (.heic), in images/: x.heic."
    )
    assert hint.startswith("leak?: by their names (Image_02L, Image_02R) several cases are eyes or")
    assert not told(checked(root, group_pattern="^(.+)[LR]$"), "warning")[1:]


def test_images_smaller_than_a_tile(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw", 3)
    shares = {"root": str(root)}
    result = check(
        "folder", shares, name="m", title="M", shares=SHARES, counts={}, processes=1, tile=48
    )
    assert told(result, "note") == [
        "3 images are smaller than a tile of 48 pixels and padded: c0, c1, c2."
    ]


def test_leaks_that_are_accepted_are_no_error(tmp_path: Path) -> None:
    root = dataset(dataset(tmp_path / "raw", 2, "train_"), 3, "test_")
    options = {"root": str(root), "split_pattern": "^(train|test)_", "group_pattern": "_(c.)$"}
    result = check(
        "folder", options, name="m", title="M", shares=SHARES, counts={}, processes=1,
        leaks_accepted=True,
    )  # fmt: skip
    assert result.usable
    assert any("groups lie in several splits" in text for text in told(result, "warning"))
    options = {"root": str(root), "group_pattern": "^(t)"}
    result = check(
        "folder", options, name="m", title="M", shares=SHARES, counts={}, processes=1,
        leaks_accepted=True,
    )  # fmt: skip
    assert "1 group lies in several splits: t (test, train, val);" in told(result, "warning")[0]


def test_one_kind_of_fault_is_told_once_with_three_examples(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw", 9)
    for number in range(6):
        save(root / "masks" / f"c{number}.png", disc((20, 20 + number)))
    (text,) = told(checked(root), "error")
    assert text.startswith("6 cases cannot be used (c0, c1, c2 and 3 more): c0: ")
    assert "has 20 x 20; image and mask must have the same size." in text
