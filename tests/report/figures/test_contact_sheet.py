"""The contact sheet: which cases it shows, and how."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from noise2mask.data.checks.check import check
from noise2mask.data.checks.measures import Checked, Row, Twins, measure
from noise2mask.report.figures.contact_sheet import (
    ACROSS,
    LETTERS,
    Picture,
    chosen,
    contact_sheet,
    write_sheet,
)

SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}
DIGESTS = dict.fromkeys(("image_sha256", "mask_sha256", "image_pixels", "mask_pixels"), "")


def row(number: int, split: str, area: int) -> Row:
    mask = np.zeros((10, 10), bool)
    mask.flat[:area] = True
    measures = measure(np.zeros((10, 10, 1), np.uint8), mask, DIGESTS)
    return Row(f"c{number:03d}", "g", None, split, measures)


def phantoms(count: int = 20, size: int = 48) -> Checked:
    return check(
        "phantoms", {"family": "nuclei", "count": count, "size": size}, name="n", title="Nuclei",
        shares=SHARES, counts={}, processes=1,
    )  # fmt: skip


# Which cases ----------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["train", "val", "test", ""]), st.integers(0, 100))),
    st.integers(0, 30),
)
def test_chosen_cases(cases: list[tuple[str, int]], count: int) -> None:
    rows = [row(number, split, area) for number, (split, area) in enumerate(cases)]
    shown = chosen(rows, count)
    assert len(shown) == min(count, len(rows))
    assert len({each.id for each, _ in shown}) == len(shown)
    if count >= 3 and rows:
        areas = sorted(area for _, area in cases)
        found = [measures.area for _, measures in shown]
        assert {areas[0], areas[-1], areas[round((len(areas) - 1) / 2)]} <= set(found)
    order = ["train", "val", "test", ""]
    keys = [(order.index(each.split), measures.area, each.id) for each, measures in shown]
    assert keys == sorted(keys)


def test_splits_share_the_sheet() -> None:
    rows = [row(number, "train", number) for number in range(80)]
    rows += [row(100 + number, "val", number) for number in range(10)]
    rows += [row(200 + number, "test", number) for number in range(2)]
    splits = [each.split for each, _ in chosen(rows, 12)]
    assert splits.count("test") == 2
    assert 4 <= splits.count("val") <= 6
    assert 4 <= splits.count("train") <= 6


def test_the_median_is_shown_even_where_it_is_extreme_in_its_split() -> None:
    rows = [row(number, "train" if number < 31 else "val", number) for number in range(61)]
    assert {0, 30, 60} <= {measures.area for _, measures in chosen(rows, 4)}


def test_damaged_cases_are_not_shown() -> None:
    rows = [row(0, "train", 5), Row("c001", "g", None, "train", None, "damaged")]
    assert [each.id for each, _ in chosen(rows, 9)] == ["c000"]


# How they look --------------------------------------------------------------------------------


def picture(shape: tuple[int, ...], filled: slice = np.s_[4:9], level: int = 200) -> Picture:
    image = np.zeros(shape, np.uint8)
    image[2:] = level
    mask = np.zeros(shape[:2], bool)
    mask[filled, filled] = True
    return Picture(image, mask, "caption")


def test_the_mask_is_a_contour_in_two_tones() -> None:
    figure = contact_sheet([picture((20, 20, 3))], ["title"])
    lines = figure.axes[0].collections
    colours = [tuple(line.get_edgecolor()[0][:3]) for line in lines]
    brightness = [sum(colour) for colour in colours]
    assert brightness[0] == 0  # seen on light
    assert brightness[1] > 2  # on top, seen on dark
    assert lines[0].get_linewidth()[0] > lines[1].get_linewidth()[0]
    vertices = lines[1].get_paths()[0].vertices
    assert vertices.min() == 3.5
    assert vertices.max() == 8.5


@pytest.mark.parametrize("filled", [np.s_[0:0], np.s_[:]])
def test_masks_without_a_boundary(filled: slice) -> None:
    figure = contact_sheet([picture((20, 20, 1), filled)], ["title"])
    assert not figure.axes[0].collections


def test_dark_images_are_brightened_and_say_so() -> None:
    dark, light = contact_sheet([picture((20, 20, 1), level=20), picture((20, 20, 1))], []).axes[:2]
    assert dark.images[0].get_array().max() == 255
    assert dark.get_xlabel() == "caption, brightened"
    assert light.images[0].get_array().max() == 200
    assert light.get_xlabel() == "caption"


def test_a_black_image_stays_black() -> None:
    (axis, *_) = contact_sheet([picture((20, 20, 3), level=0)], []).axes
    assert axis.images[0].get_array().max() == 0


@pytest.mark.parametrize("count", [0, 1, 7])
def test_title_and_rows(count: int) -> None:
    figure = contact_sheet([picture((9, 30, 3))] * count, ["Moles: 7 of 9 cases", "", "CC0"])
    assert figure.get_suptitle() == "Moles: 7 of 9 cases\nCC0"
    shown = [axis for axis in figure.axes if axis.images]
    assert len(shown) == count
    assert len(figure.axes) == -(-count // ACROSS) * ACROSS


# The file -------------------------------------------------------------------------------------


def test_equal_data_give_equal_bytes(tmp_path: Path) -> None:
    checked = phantoms()
    for name in ("a", "b"):
        write_sheet(checked, tmp_path / name / "sheet.png", count=9, licence="CC0")
    assert (tmp_path / "a" / "sheet.png").read_bytes() == (tmp_path / "b/sheet.png").read_bytes()
    with Image.open(tmp_path / "a" / "sheet.png") as image:
        assert image.width == 1328
        assert image.height > 400


def test_captions_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(
        "noise2mask.report.figures.contact_sheet.contact_sheet",
        lambda pictures, titles: drawn.append((pictures, titles)) or contact_sheet([], []),
    )
    checked = phantoms(6)
    write_sheet(checked, tmp_path / "sheet.png", count=24, licence="CC0")
    ((pictures, titles),) = drawn
    assert titles[:2] == ["Nuclei: 6 of 6 cases", "CC0"]
    captions = sorted(each.caption for each in pictures)
    for each, case in zip(captions, checked.rows, strict=True):
        assert each == f"{case.id}\n{case.split}, {case.measures.foreground:.1%}"


def long_named(root: Path, id: str, size: tuple[int, int]) -> Checked:
    for folder, value in (("images", 90), ("masks", 255)):
        (root / folder).mkdir(parents=True)
        pixels = np.zeros(size, np.uint8)
        pixels[: size[0] // 2] = value
        Image.fromarray(pixels).save(root / folder / f"{id}.png")
    return check(
        "folder", {"root": str(root)}, name="n", title="N", shares=SHARES, counts={}, processes=1
    )


def test_large_images_are_shown_small_with_their_share_of_foreground(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(
        "noise2mask.report.figures.contact_sheet.contact_sheet",
        lambda pictures, titles: drawn.extend(pictures) or contact_sheet([], []),
    )
    id = "train_TCGA-AR-A1AS-01Z-00-DX1_y000x000_and_much_more"
    write_sheet(long_named(tmp_path, id, (1200, 600)), tmp_path / "s.png", count=3, licence="")
    (shown,) = drawn
    assert shown.image.shape == (320, 160, 1)
    assert shown.mask.shape == (320, 160)
    assert shown.mask.mean() == pytest.approx(0.5)
    lines = shown.caption.splitlines()
    assert lines[0] + lines[1] == f"{id[:LETTERS]}…{id[-LETTERS + 1 :]}"
    assert lines[2] == "no split, 50.0%"


def test_a_dataset_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    rows = (Row("a", "a", None, "train", None, "damaged"),)
    checked = Checked("n", "N", "phantoms", {}, rows, Twins(), (), ())
    write_sheet(checked, tmp_path / "sheet.png", count=9, licence="")
    assert (tmp_path / "sheet.png").stat().st_size > 0
