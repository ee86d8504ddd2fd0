"""Resizing: the foreground's share is kept, and images are not aliased."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from noise2mask.data.formats import phantoms
from noise2mask.data.resize import grow_mask, resize_image, resize_mask

sizes = st.tuples(st.integers(1, 30), st.integers(1, 30))


@pytest.mark.parametrize("family", ["lesion", "nuclei", "tissue"])
@pytest.mark.parametrize("size", [(32, 32), (48, 48), (64, 64), (128, 128), (200, 200), (70, 111)])
def test_area_is_kept_on_phantoms(family: str, size: tuple[int, int]) -> None:
    before, after = 0.0, 0.0
    for source in phantoms.sources(family=family, count=8, size=160):
        _, mask = phantoms.load(source)
        small = resize_mask(mask[:, 13:], size)  # no size is a whole part of 160 x 147
        assert small.mean() == pytest.approx(mask[:, 13:].mean(), rel=0.01)
        before, after = before + mask[:, 13:].mean(), after + small.mean()
    assert after == pytest.approx(before, rel=0.002)


@pytest.mark.parametrize("size", [(64, 64), (128, 128)])
def test_area_of_every_object_of_some_size_is_nearly_kept(size: tuple[int, int]) -> None:
    """The whole mask's area is kept by construction; its objects must not trade theirs."""
    for source in phantoms.sources(family="nuclei", count=6, size=256):
        _, mask = phantoms.load(source)
        labels, count = ndimage.label(ndimage.binary_opening(mask, iterations=2))
        share = size[0] * size[1] / mask.size
        small = resize_mask(labels > 0, size)
        nearest = ((np.indices(size) + 0.5) / np.sqrt(share)).astype(int)
        found = ndimage.sum(small, labels[tuple(nearest)], range(1, count + 1)) / share
        true = ndimage.sum(labels > 0, labels, range(1, count + 1))
        large = true * share > 60
        assert large.any()
        np.testing.assert_allclose(found[large], true[large], rtol=0.15)


@given(
    height=st.integers(64, 300),
    width=st.integers(64, 300),
    axes=st.tuples(st.floats(0.15, 0.45), st.floats(0.15, 0.45)),
    size=st.tuples(st.integers(32, 96), st.integers(32, 96)),
)
@settings(max_examples=40, deadline=None)
def test_area_and_place_of_an_ellipse_are_kept(
    height: int, width: int, axes: tuple[float, float], size: tuple[int, int]
) -> None:
    y, x = np.mgrid[:height, :width]
    y, x = (y + 0.5) / height - 0.5, (x + 0.5) / width - 0.5
    mask = (y / axes[0]) ** 2 + (x / axes[1]) ** 2 < 1
    small = resize_mask(mask, size)
    assert small.mean() == pytest.approx(mask.mean(), rel=0.01)
    middle = [
        (where.mean() + 0.5) / side for where, side in zip(np.nonzero(small), size, strict=True)
    ]
    np.testing.assert_allclose(middle, 0.5, atol=0.5 / min(size))


@given(sizes, sizes, st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_masks_of_any_size_keep_what_they_have(
    old: tuple[int, int], new: tuple[int, int], seed: int
) -> None:
    mask = np.random.default_rng(seed).random(old) < 0.3
    small = resize_mask(mask, new)
    assert small.shape == new
    assert small.dtype == bool
    assert small.any() == mask.any()
    assert abs(small.sum() - mask.mean() * new[0] * new[1]) <= 1


@pytest.mark.parametrize("value", [True, False])
def test_constant_masks_stay_constant(value: bool) -> None:
    assert (resize_mask(np.full((37, 53), value), (16, 16)) == value).all()


def test_mask_of_its_own_size_is_unchanged() -> None:
    mask = np.random.default_rng(0).random((33, 33)) < 0.4
    np.testing.assert_array_equal(resize_mask(mask, (33, 33)), mask)


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_enlarging_by_whole_factors_repeats_pixels(factor: int) -> None:
    mask = np.random.default_rng(0).random((9, 9)) < 0.4
    repeated = mask.repeat(factor, axis=0).repeat(factor, axis=1)
    np.testing.assert_array_equal(resize_mask(mask, (9 * factor, 9 * factor)), repeated)


@given(sizes, sizes, st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_no_pixel_left_out_covers_more_foreground_than_one_taken(
    old: tuple[int, int], new: tuple[int, int], seed: int
) -> None:
    mask = np.random.default_rng(seed).random(old) < 0.4
    fine = mask.repeat(new[0], axis=0).repeat(new[1], axis=1)
    share = fine.reshape(new[0], old[0], new[1], old[1]).mean(axis=(1, 3))
    taken = resize_mask(mask, new)
    assert share[taken].min(initial=1) >= share[~taken].max(initial=0)


def test_thin_vessels_are_not_lost() -> None:
    mask = np.zeros((512, 512), bool)
    mask[:, 100:103] = True
    small = resize_mask(mask, (64, 64))  # a share of 3/8 in a column: a threshold of 0.5 loses it
    assert small.sum() == 24
    assert set(np.nonzero(small)[1]) == {12}


def test_small_nuclei_do_not_grow() -> None:
    generator = np.random.default_rng(1)
    mask = np.zeros((256, 256), bool)
    for row, column in generator.integers(0, 240, (60, 2)):
        mask[row : row + 9, column : column + 9] = True
    assert resize_mask(mask, (64, 64)).mean() == pytest.approx(mask.mean(), rel=0.01)


def test_halving_keeps_straight_edges_straight() -> None:
    mask = np.zeros((64, 64), bool)
    mask[11:41, 13:43] = True  # every edge cuts a new pixel in half
    small = resize_mask(mask, (32, 32))
    assert small.sum() == 15 * 15
    assert small[5:20, 6:21].sum() >= 15 * 15 - 1  # the corner, a quarter covered, lies elsewhere


def test_equal_pixels_are_taken_from_everywhere() -> None:
    row, column = np.mgrid[:64, :64]
    small = resize_mask((row + column) % 2 == 0, (32, 32))  # every new pixel is half covered
    halves = small[:16], small[16:], small[:, :16], small[:, 16:]
    np.testing.assert_allclose([half.mean() for half in halves], 0.5, atol=0.05)


def test_image_and_mask_stay_on_each_other() -> None:
    for source in phantoms.sources(family="lesion", count=4):
        _, mask = phantoms.load(source)
        light = resize_image(np.repeat(mask[..., None] * np.uint8(255), 3, axis=2), (50, 50))
        assert np.mean((light[..., 0] > 127) == resize_mask(mask, (50, 50))) > 0.985


@pytest.mark.parametrize("channels", [1, 3])
def test_resized_images_have_the_size_and_keep_channels(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 70, channels), dtype=np.uint8)
    assert resize_image(image, (16, 20)).shape == (16, 20, channels)


def test_fine_texture_is_averaged_not_aliased() -> None:
    stripes = np.zeros((128, 128, 1), np.uint8)
    stripes[:, ::2] = 255
    small = resize_image(stripes, (32, 32))[2:-2, 2:-2]
    assert np.abs(small.astype(int) - 127).max() <= 6


@given(
    height=st.integers(64, 300),
    width=st.integers(64, 300),
    axes=st.tuples(st.floats(0.1, 0.4), st.floats(0.1, 0.4)),
    size=st.tuples(st.integers(16, 60), st.integers(16, 60)),
)
@settings(max_examples=40, deadline=None)
def test_interpolated_masks_above_0_grow_whatever_the_size(
    height: int, width: int, axes: tuple[float, float], size: tuple[int, int]
) -> None:
    y, x = np.mgrid[:height, :width]
    y, x = (y + 0.5) / height - 0.5, (x + 0.5) / width - 0.5
    mask = (y / axes[0]) ** 2 + (x / axes[1]) ** 2 < 1
    grown = grow_mask(mask, size)
    assert grown.mean() > mask.mean()
    assert grown.mean() > resize_mask(mask, size).mean()
    rows, columns = np.nonzero(mask)
    low = rows.min() * size[0] // height, columns.min() * size[1] // width
    top = rows.max() * size[0] // height, columns.max() * size[1] // width
    found = np.nonzero(grown)
    for axis in (0, 1):  # by one new pixel on every side at most
        assert low[axis] - 1 <= found[axis].min() <= low[axis]
        assert top[axis] <= found[axis].max() <= top[axis] + 1


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_a_straight_edge_grows_by_one_new_pixel(factor: int) -> None:
    """The triangle filter reaches one new pixel beyond its own: at the edge, weight above 0."""
    mask = np.zeros((8 * factor, 8 * factor), dtype=bool)
    mask[:, : 4 * factor] = True
    np.testing.assert_array_equal(grow_mask(mask, (8, 8)), np.tile(np.arange(8) < 5, (8, 1)))
    np.testing.assert_array_equal(resize_mask(mask, (8, 8)), np.tile(np.arange(8) < 4, (8, 1)))


@pytest.mark.parametrize("value", [True, False])
def test_masks_of_one_value_do_not_grow(value: bool) -> None:
    assert (grow_mask(np.full((37, 53), value), (16, 16)) == value).all()


def test_a_mask_that_is_not_resized_does_not_grow() -> None:
    mask = np.random.default_rng(0).random((16, 20)) < 0.5
    np.testing.assert_array_equal(grow_mask(mask, (16, 20)), mask)
