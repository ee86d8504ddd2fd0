"""Which images of a dataset show the same picture.

Every image is kept as a grey thumbnail of 128 x 128 pixels. Averages of 32 x 32 pixels of it,
band-passed, with equal contrast everywhere and without what all images of the set have in common
(the disc of a fundus, a skull), correlate in one of the eight orientations. Blocked matrix products
do this for all pairs.

Found are copies after lossy compression, halving, changes of brightness and contrast, and turning
or flipping, and slices or frames next to each other where hardly anything changes between them.
Crops, even by a few percent, and free rotations are not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from scipy import ndimage

from noise2mask.data.source import Image
from noise2mask.progress import Progress

Planes = npt.NDArray[np.float32]  # (N, side, side)

SIDE = 128  # of a thumbnail, pixels
# What was done to the second image of a pair to make it look like the first.
ORIENTATIONS = (
    "",
    "rotated by 90°",
    "rotated by 180°",
    "rotated by 270°",
    "transposed",
    "flipped vertically",
    "transposed and rotated by 180°",
    "flipped horizontally",
)

ALIKE = 0.94
"""Least correlation of two images that show the same picture.

Of 1071 images of 18 public sets (fundus, X-ray, CT, MRI, ultrasound, endoscopy, dermoscopy,
histology, cells) all made copies reach it after JPEG of quality 60, halving, contrast 0.7 or 1.3
and turning, and 2 % after cropping 3 %; so do 12 of the 42 715 pairs of different images, all of
them slices of one CT scan.
"""
_COARSE = 32  # side of what is compared
_FINE, _LOCAL = 0.7, 4.0  # standard deviations of the two Gaussians of the band-pass, in its pixels
_WHOLE, _NOISE = 0.3, 1.0  # of the strength in the whole image; grey levels: not amplified below
_PRIOR = 10  # images that count as having nothing in common
_ROWS = 2048  # images of a block
_MOST = 100_000  # pairs that are kept
_FOUND = np.dtype(
    [("first", np.int32), ("second", np.int32), ("turn", np.int8), ("alike", np.float32)]
)


@dataclass(frozen=True)
class Pair:
    """Two images that show the same picture; the numbers are rows of the thumbnails.

    `agreement` is their correlation; `orientation` is one of :data:`ORIENTATIONS`.
    """

    first: int
    second: int
    agreement: float
    orientation: str


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs of different groups, and the number of pairs within groups.

    `complete` is False if there were too many to keep all; the most alike were.
    """

    pairs: tuple[Pair, ...]
    within_groups: int
    complete: bool


def near_duplicates(
    thumbnails: npt.NDArray[np.uint8], groups: Sequence[str], label: str
) -> NearDuplicates:
    """Find the pairs of images that show the same picture.

    Pairs within a group are only counted: neighbouring slices of a volume look alike by nature.

    Args:
        thumbnails: uint8 (N, 128, 128), from :func:`thumbnail`.
        groups: group of each image.
        label: what the progress lines say.
    """
    number = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    group = np.array([number[name] for name in groups], dtype=np.int64)
    maps = np.zeros((len(thumbnails), _COARSE, _COARSE), np.float32)
    for start in range(0, len(maps), _ROWS):
        part = np.s_[start : start + _ROWS]
        maps[part] = equalised(shrunk(thumbnails[part], _COARSE))
    unit = _units(maps)
    common = unit.sum(axis=0) / (len(unit) + _PRIOR)
    rows = _without(unit, common)
    kept, within, complete = np.zeros(0, _FOUND), 0, True
    progress = Progress(label, len(maps))
    for start in range(0, len(maps), _ROWS):
        stop = min(start + _ROWS, len(maps))
        turned = [_without(_units(turn), common) for turn in orientations(maps[start:stop])]
        for above in range(0, stop, _ROWS):
            found = _alike(rows[above : min(above + _ROWS, stop)], turned, above, start)
            same = group[found["first"]] == group[found["second"]]
            within += int(same.sum())
            kept = np.concatenate([kept, found[~same]])
            if len(kept) > _MOST:
                kept = kept[np.argsort(-kept["alike"], kind="stable")[:_MOST]]
                complete = False
        progress.update(stop)
    pairs = tuple(
        Pair(int(one["first"]), int(one["second"]), float(one["alike"]), ORIENTATIONS[one["turn"]])
        for one in np.sort(kept, order=("first", "second"))
    )
    return NearDuplicates(pairs, within, complete)


def _alike(
    rows: npt.NDArray[np.float32], turned: Sequence[npt.NDArray[np.float32]], above: int, start: int
) -> npt.NDArray[np.void]:
    """Pairs of one block of the triangle; `above` and `start` are its first row and column."""
    parts = []
    for turn, columns in enumerate(turned):
        alike = rows @ columns.T
        first, second = np.nonzero(alike >= ALIKE)
        upper = first + above < second + start
        first, second = first[upper], second[upper]
        found = np.zeros(len(first), _FOUND)
        found["first"], found["second"] = first + above, second + start
        found["turn"], found["alike"] = turn, alike[first, second]
        parts.append(found)
    found = np.concatenate(parts)
    found = found[np.lexsort((-found["alike"], found["second"], found["first"]))]
    again = (np.diff(found["first"], prepend=-1) == 0) & (np.diff(found["second"], prepend=-1) == 0)
    best: npt.NDArray[np.void] = found[~again]  # of each pair the best orientation
    return best


def _without(
    units: npt.NDArray[np.float32], common: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Vectors of length 1 without what all have in common; those that show nothing stay 0."""
    return _units(np.where(units.any(axis=1, keepdims=True), units - common, 0))


def _units(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Each as a vector of length 1; of length 0 where it shows nothing."""
    flat = values.reshape(len(values), math.prod(values.shape[1:]))
    units: npt.NDArray[np.float32] = flat / np.maximum(
        np.linalg.norm(flat, axis=1, keepdims=True), 1e-6
    )
    return units


# Thumbnails -----------------------------------------------------------------------------------


def thumbnail(image: Image) -> npt.NDArray[np.uint8]:
    """The grey thumbnail (128, 128) of an image (H, W, 1 or 3); its aspect is not kept."""
    flat = image[..., 0] if image.shape[2] == 1 else image
    grey = PillowImage.fromarray(np.ascontiguousarray(flat)).convert("L")
    return np.asarray(grey.resize((SIDE, SIDE), PillowImage.Resampling.BILINEAR))


def shrunk(thumbnails: npt.NDArray[np.uint8], side: int) -> Planes:
    """Averages of thumbnails (N, 128, 128) over squares, in grey levels (N, side, side)."""
    step = SIDE // side
    parts = thumbnails.reshape(len(thumbnails), side, step, side, step)
    averages: Planes = parts.mean(axis=(2, 4), dtype=np.float32)
    return averages


def equalised(images: Planes) -> Planes:
    """Band-pass of grey levels (N, side, side), divided by its own local strength."""
    band = _blurred(images, _FINE) - _blurred(images, _LOCAL)
    local = np.sqrt(_blurred(band * band, _LOCAL))
    whole = np.sqrt((band * band).mean(axis=(1, 2), keepdims=True))
    even: Planes = band / (local + np.float32(_WHOLE) * whole + np.float32(_NOISE))
    return even


def _blurred(images: Planes, sigma: float) -> Planes:
    blurred: Planes = ndimage.gaussian_filter(images, (0, sigma, sigma), mode="nearest")
    return blurred


def orientations(images: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Images (N, H, H, ...) in the eight orientations, in the order of :data:`ORIENTATIONS`."""
    return [
        np.rot90(either, turns, (1, 2))
        for either in (images, images.swapaxes(1, 2))
        for turns in range(4)
    ]
