"""Square tiles of large images, and the whole image out of its tiles again."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from noise2mask.data.source import Image, Levels, Mask


class Tile(NamedTuple):
    """A square of an image.

    Attributes:
        image: (side, side, C).
        mask: (side, side).
        top: its first row in the image.
        left: its first column.
        height: rows that are of the image; the others are padded.
        width: columns that are.
    """

    image: Image
    mask: Mask | Levels
    top: int
    left: int
    height: int
    width: int


class Place(NamedTuple):
    """Where a tile lies in its image, in pixels of that; see :class:`Tile`."""

    top: int
    left: int
    height: int
    width: int


def square_side(shape: tuple[int, int], tile: int | None, *, padded: bool) -> int | None:
    """Side of the squares that an image is cut into or padded to; None: it is left as it is."""
    return max(shape) if padded else tile


def starts(length: int, side: int, step: int) -> list[int]:
    """First pixels of tiles that cover a length; the last tile overlaps the one before it.

    >>> starts(1000, 256, 256)
    [0, 256, 512, 744]
    """
    if length <= side:
        return [0]
    regular = list(range(0, length - side + 1, step))
    return regular if regular[-1] + side == length else [*regular, length - side]


def tiles_of(
    image: Image, mask: Mask | Levels, side: int | None, step: int | None
) -> Iterator[Tile]:
    """The tiles of an image, row by row; the whole, if it is not cut.

    Tiles cover all of the image: the last of a row and of a column are moved back to its end.
    An image that is shorter than a tile is padded at the bottom or the right by its mirror image.

    Args:
        image: (H, W, C).
        mask: (H, W).
        side: of a tile in pixels; None: the image is not cut.
        step: from one tile to the next; None: `side`.
    """
    height, width = mask.shape
    if side is None:
        yield Tile(image, mask, 0, 0, height, width)
        return
    short = ((0, max(0, side - height)), (0, max(0, side - width)))
    if np.any(short):
        image = np.pad(image, (*short, (0, 0)), mode="symmetric")
        mask = cast("Mask | Levels", np.pad(mask, short, mode="symmetric"))
    for top in starts(height, side, step or side):
        for left in starts(width, side, step or side):
            part = np.s_[top : top + side, left : left + side]
            rows, columns = min(side, height - top), min(side, width - left)
            yield Tile(image[part], mask[part], top, left, rows, columns)


def joined(
    squares: npt.NDArray[Any], numbers: Sequence[int], places: Sequence[Place], side: int
) -> npt.NDArray[Any]:
    """The whole image out of some of the prepared tiles; where they overlap, the later one counts.

    Args:
        squares: prepared tiles (N, R, R).
        numbers: which of them are of the image.
        places: where each of these lies.
        side: of a tile in pixels of the image, before it was resized to R.

    Returns:
        The image at the tiles' resolution, without what was padded.
    """
    resolution: int = squares.shape[1]

    def scaled(length: int) -> int:
        return (2 * length * resolution + side) // (2 * side)

    height = scaled(max(place.top + place.height for place in places))
    width = scaled(max(place.left + place.width for place in places))
    whole = np.empty((max(1, height), max(1, width)), squares.dtype)
    for number, place in zip(numbers, places, strict=True):
        top, left = scaled(place.top), scaled(place.left)
        target = whole[top : top + resolution, left : left + resolution]
        target[...] = squares[number][: target.shape[0], : target.shape[1]]
    return whole
