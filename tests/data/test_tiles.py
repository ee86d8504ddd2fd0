"""Tiles cover the whole image, and put together they are the image again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noise2mask.data.tiles import Place, joined, starts, tiles_of

lengths = st.integers(1, 90)


@given(lengths, st.integers(1, 40), st.integers(1, 40))
def test_tiles_reach_every_pixel(length: int, side: int, step: int) -> None:
    first = starts(length, side, min(step, side))
    covered = {pixel for start in first for pixel in range(start, start + side)}
    assert covered >= set(range(length))
    assert len(first) == len(set(first))
    if length >= side:
        assert covered == set(range(length))


def test_whole_numbers_of_tiles_do_not_overlap() -> None:
    assert starts(512, 128, 128) == [0, 128, 256, 384]
    assert starts(1000, 256, 256) == [0, 256, 512, 744]


@given(st.integers(5, 40), st.integers(5, 40), st.integers(3, 20))
def test_joined_tiles_are_the_image(height: int, width: int, side: int) -> None:
    """Also where the image is smaller than a tile: what was padded is gone again."""
    mask = np.random.default_rng(height * width).random((height, width)) > 0.5
    image = np.dstack([mask] * 3).astype(np.uint8)
    tiles = list(tiles_of(image, mask, side, None))
    places = [Place(tile.top, tile.left, tile.height, tile.width) for tile in tiles]
    whole = joined(np.stack([tile.mask for tile in tiles]), range(len(tiles)), places, side)
    np.testing.assert_array_equal(whole, mask)
    for tile in tiles:
        assert tile.image.shape == (side, side, 3)
        np.testing.assert_array_equal(tile.image[..., 0] > 0, tile.mask)


def test_what_is_short_is_padded_by_its_mirror_image() -> None:
    image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    (tile,) = tiles_of(image, image[..., 0] > 2, 4, None)
    assert tile.image[..., 0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [0, 1, 2, 2]]
    assert (tile.top, tile.left, tile.height, tile.width) == (0, 0, 2, 3)


def test_an_image_that_is_not_cut_stays_whole() -> None:
    image = np.zeros((5, 7, 1), np.uint8)
    (tile,) = tiles_of(image, image[..., 0] > 0, None, None)
    assert (tile.image.shape, tile.height, tile.width) == ((5, 7, 1), 5, 7)


@pytest.mark.parametrize("resolution", [8, 16, 5])
def test_tiles_of_another_resolution_lie_where_they_were(resolution: int) -> None:
    """1000 pixels in tiles of 256: 744 pixels are 23.25 of 8 each, and the last tile lies there."""
    places = [Place(0, left, 256, 256) for left in starts(1000, 256, 256)]
    squares = np.stack([np.full((resolution, resolution), number) for number in range(4)])
    whole = joined(squares, [0, 1, 2, 3], places, 256)
    end, last = (int(pixels * resolution / 256 + 0.5) for pixels in (1000, 744))
    assert whole.shape == (resolution, end)
    ends = [resolution, 2 * resolution, last, end]
    assert whole[0].tolist() == [
        number
        for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False))
        for _ in range(end - start)
    ]
