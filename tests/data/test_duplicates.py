"""Near duplicates: made copies are found, different images are not."""

import io
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from noise2mask.data import duplicates
from noise2mask.data.duplicates import (
    ORIENTATIONS,
    SIDE,
    near_duplicates,
    orientations,
    thumbnail,
)
from noise2mask.data.formats import phantoms

COUNT = 12


@cache
def pictures(family: str, size: int = 160) -> list[Image.Image]:
    several = phantoms.sources(family=family, count=COUNT, size=size, difficulty=0.2)
    return [Image.fromarray(phantoms.load(source)[0]) for source in several]


def compare(several: list[Image.Image], groups: list[str] | None = None):
    thumbnails = np.stack([thumbnail(pixels(each)) for each in several])
    names = groups or [str(place) for place in range(len(several))]
    return near_duplicates(thumbnails, names, "comparing")


def pixels(picture: Image.Image) -> np.ndarray:
    array = np.asarray(picture)
    return array[..., None] if array.ndim == 2 else array


def found(several: list[Image.Image]) -> set[tuple[int, int]]:
    return {(pair.first, pair.second) for pair in compare(several).pairs}


def jpeg(picture: Image.Image) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=60)
    return Image.open(io.BytesIO(file.getvalue()))


def half(picture: Image.Image) -> Image.Image:
    return picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)


def contrast(picture: Image.Image) -> Image.Image:
    return Image.fromarray(np.clip(0.7 * pixels(picture) + 20.0, 0, 255).astype(np.uint8))


def crop(picture: Image.Image) -> Image.Image:
    return picture.crop((4, 1, picture.width, picture.height - 3))


def flip(picture: Image.Image) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def grey(picture: Image.Image) -> Image.Image:
    return picture.convert("L")


@pytest.mark.parametrize("family", ["lesion", "nuclei", "tissue"])
@pytest.mark.parametrize("copy", [jpeg, half, contrast, flip, grey])
def test_copies_are_found_and_nothing_else(
    family: str, copy: Callable[[Image.Image], Image.Image]
) -> None:
    originals = pictures(family)
    copies = {(place, COUNT + place) for place in range(COUNT)}
    assert found([*originals, *map(copy, originals)]) == copies


def test_different_images_are_not_found() -> None:
    assert found([*pictures("lesion"), *pictures("nuclei"), *pictures("tissue")]) == set()


@pytest.mark.parametrize("size", [24, 40, 70])
def test_images_smaller_than_a_thumbnail(size: int) -> None:
    originals = pictures("nuclei", 160)
    small = [each.resize((size, size), Image.Resampling.LANCZOS) for each in originals]
    assert found([*small, *map(jpeg, small)]) == {(place, COUNT + place) for place in range(COUNT)}


def test_each_orientation_is_named() -> None:
    original = np.arange(16).reshape(1, 4, 4)
    turned = dict(zip(ORIENTATIONS, orientations(original), strict=True))
    (plain,) = original
    assert (turned[""][0] == plain).all()
    assert (turned["rotated by 90°"][0] == np.rot90(plain)).all()
    assert (turned["rotated by 180°"][0] == plain[::-1, ::-1]).all()
    assert (turned["rotated by 270°"][0] == np.rot90(plain, 3)).all()
    assert (turned["transposed"][0] == plain.T).all()
    assert (turned["flipped vertically"][0] == plain[::-1]).all()
    assert (turned["flipped horizontally"][0] == plain[:, ::-1]).all()
    assert (turned["transposed and rotated by 180°"][0] == plain.T[::-1, ::-1]).all()


@pytest.mark.parametrize("place", range(8))
def test_the_orientation_fits_the_second_image_to_the_first(place: int) -> None:
    first = pictures("nuclei")[0]
    second = Image.fromarray(np.ascontiguousarray(orientations(pixels(first)[None])[place][0]))
    (pair,) = compare([first, second]).pairs
    turns = orientations(pixels(second)[None])
    fitted = turns[ORIENTATIONS.index(pair.orientation)][0]
    assert (fitted == pixels(first)).all()
    assert pair.agreement == pytest.approx(1, abs=1e-3)


def test_pairs_within_a_group_are_only_counted() -> None:
    originals = pictures("tissue")
    several = [*originals, jpeg(originals[0]), jpeg(originals[1])]
    groups = [str(place) for place in range(COUNT)] + ["0", "other"]
    result = compare(several, groups)
    assert [(pair.first, pair.second) for pair in result.pairs] == [(1, COUNT + 1)]
    assert result.within_groups == 1
    assert result.complete


def test_images_that_show_nothing_are_no_duplicates() -> None:
    blank = [Image.new("L", (50, 50), level) for level in (0, 0, 128, 255)]
    assert found([*blank, *pictures("lesion")]) == set()


@pytest.mark.parametrize("count", [0, 1])
def test_no_image_and_one_image(count: int) -> None:
    result = near_duplicates(np.zeros((count, SIDE, SIDE), np.uint8), ["g"] * count, "comparing")
    assert result == duplicates.NearDuplicates((), 0, True)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    originals = pictures("lesion")
    several = [*originals, *map(flip, originals)]
    whole = compare(several)
    monkeypatch.setattr(duplicates, "_ROWS", 5)
    blocked = compare(several)
    assert [(pair.first, pair.second) for pair in blocked.pairs] == [
        (pair.first, pair.second) for pair in whole.pairs
    ]


def test_of_too_many_look_alikes_the_most_alike_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    originals = pictures("tissue")[:3]
    several = [*originals, originals[0], originals[1], contrast(jpeg(originals[2]))]
    monkeypatch.setattr(duplicates, "_MOST", 2)
    result = compare(several)
    assert [(pair.first, pair.second) for pair in result.pairs] == [(0, 3), (1, 4)]
    assert not result.complete


def test_a_pair_that_fits_in_several_orientations_is_one_pair() -> None:
    y, x = np.mgrid[-1:1:160j, -1:1:160j]
    rings = (120 + 100 * np.cos(20 * np.hypot(x, y) ** 2)).astype(np.uint8)
    assert len(compare([Image.fromarray(rings), jpeg(Image.fromarray(rings))]).pairs) == 1


def test_dim_copies() -> None:
    dim = [Image.fromarray(pixels(each.convert("L"))[..., 0] // 12) for each in pictures("nuclei")]
    assert found([*dim, *map(jpeg, dim)]) == {(place, COUNT + place) for place in range(COUNT)}


def test_images_that_differ_in_detail_only() -> None:
    coarse = ndimage.gaussian_filter(pixels(pictures("tissue")[0])[..., 1].astype(float), 5)
    generator = np.random.default_rng(0)
    several = []
    for _ in range(4):
        detail = ndimage.gaussian_filter(generator.normal(size=coarse.shape), 1.2)
        several.append(128 + 2 * (coarse - coarse.mean()) + 60 * detail)
    several = [Image.fromarray(np.clip(each, 0, 255).astype(np.uint8)) for each in several]
    assert found(several) == set()


def test_what_all_images_share_makes_no_duplicates() -> None:
    """As the disc of a fundus photograph, or the marks of an ultrasound device."""
    y, x = np.mgrid[-1:1:160j, -1:1:160j]
    disc = np.where(np.hypot(y, x) < 0.9, 80, 0)
    squares = np.where(np.sin(7 * x) * np.sin(7 * y) > 0, 80, 0)
    for shared in (disc, squares):
        several = [
            Image.fromarray((shared[..., None] + pixels(each) // 2).astype(np.uint8))
            for each in [*pictures("tissue"), *pictures("nuclei")]
        ]
        assert found(several) == set()
        assert found([*several, jpeg(several[0])]) == {(0, 2 * COUNT)}
