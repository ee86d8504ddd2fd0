"""Which images of a dataset show the same picture.

Every image is kept as a grey thumbnail of 128 x 128 pixels. Two thumbnails are compared in two
passes.

* **Look-alikes**: thumbnails of 32 x 32 pixels, band-passed, with equal contrast everywhere and
  without what all images of the set have in common (the disc of a fundus, a skull), correlate in
  one of the eight orientations. Blocked matrix products do this for all pairs.
* **Agreement**: the look-alikes are cut into blocks, each block may move by some pixels, and three
  quarters of the blocks with content must correlate: at 32, then 64, then 128 pixels, but never
  finer than the smaller of the two raw images. What all images share counts little.

Found are copies after lossy compression, halving, changes of brightness and contrast, cropping by
a few percent, and turning or flipping; slices or frames next to each other are found where little
changes between them. Crops of one slide at different offsets, and free rotations, are not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from noise2mask.data.checks.thumbnails import (
    ORIENTATIONS,
    SIDE,
    Planes,
    equalised,
    orientations,
    shrunk,
)
from noise2mask.progress import Progress

_CANDIDATE = np.dtype(
    [("first", np.int32), ("second", np.int32), ("turn", np.int8), ("alike", np.float32)]
)


class _Level(NamedTuple):
    """One resolution of the second pass; lengths in its pixels."""

    side: int
    blocks: int  # along a side
    fine: float  # standard deviations of the two Gaussians of the band-pass
    coarse: float
    shift: int  # of a block: 3 % of the side
    gate: float  # least agreement to go on to the next level
    least: float  # least agreement, where images have no more detail than this


# Calibrated on 1071 images of 18 public sets (fundus, X-ray, CT, MRI, ultrasound, endoscopy,
# dermoscopy, histology, cells) and made copies of them. All copies are found after JPEG of quality
# 60, halving, contrast 0.7 or 1.3, and turning, 1067 after cropping 3 %. The pairs found among the
# images themselves are of one patient or lesion each; those of different patients agree to 0.77 at
# most, or 0.81 where 32 pixels are the finest level.
_LEVELS = (
    _Level(32, 4, 0.7, 3, shift=1, gate=0.70, least=0.86),
    _Level(64, 8, 1.0, 3, shift=2, gate=0.78, least=0.88),
    _Level(128, 8, 1.0, 4, shift=4, gate=0.79, least=0.79),
)
_ALIKE = 0.56  # least correlation of look-alikes
_QUANTILE = 0.25  # of the blocks' correlations: three quarters of the blocks exceed it
_CONTENT = 0.1  # least power of a block with content, after equalising the contrast
_NOISE = 1.0  # grey levels; contrast below it is not amplified
_PRIORS = (10, 3)  # images that count as having nothing in common, in the first and second pass
_ROWS = 2048  # images of a block of the first pass
_PAIRS = 16  # pairs of a batch of the second pass, at 128 pixels
_SAMPLE = 500  # images that say what is common, in the second pass
_MOST = 100_000  # pairs that go to the second pass


@dataclass(frozen=True)
class Pair:
    """Two images that show the same picture; the numbers are rows of the thumbnails.

    `agreement` is the correlation that three quarters of the blocks exceed; `orientation` is one of
    :data:`ORIENTATIONS`.
    """

    first: int
    second: int
    agreement: float
    orientation: str


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs of different groups, and the number of pairs within groups.

    `complete` is False if there were too many look-alikes to compare all; the most alike were.
    """

    pairs: tuple[Pair, ...]
    within_groups: int
    complete: bool


def near_duplicates(
    thumbnails: npt.NDArray[np.uint8],
    detail: npt.NDArray[np.int64],
    groups: Sequence[str],
    label: str,
) -> NearDuplicates:
    """Find the pairs of images that show the same picture.

    Pairs within a group are compared at 32 pixels only: neighbouring slices of a volume look
    alike by nature, and their number is all that is told.

    Args:
        thumbnails: uint8 (N, 128, 128), from :func:`thumbnail`.
        detail: the smaller side of each raw image in pixels (N,).
        groups: group of each image.
        label: what the progress lines say.
    """
    across, within = _look_alikes(thumbnails, groups, label)
    complete = max(len(across), len(within)) <= _MOST
    pairs = _agreeing(thumbnails, detail, _most_alike(across, _MOST), _LEVELS, label)
    inside = _agreeing(thumbnails, detail, _most_alike(within, _MOST), _LEVELS[:1], label)
    return NearDuplicates(tuple(pairs), len(inside), complete)


# First pass: look-alikes ----------------------------------------------------------------------


def _look_alikes(
    thumbnails: npt.NDArray[np.uint8], groups: Sequence[str], label: str
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.void]]:
    """Candidates of different groups, and of the same group, each with its best orientation.

    Of very many candidates only the most alike stay, at most 4 times :data:`_MOST`.
    """
    number = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    group = np.array([number[name] for name in groups], dtype=np.int64)
    maps = np.zeros((len(thumbnails), 32, 32), np.float32)
    for start in range(0, len(maps), _ROWS):
        part = np.s_[start : start + _ROWS]
        maps[part] = equalised(shrunk(thumbnails[part], 32), 0.7, 4, 0.3, _NOISE)
    unit = _units(maps)
    common = unit.sum(axis=0) / (len(unit) + _PRIORS[0])
    rows = _units(unit - common)
    across, within = [np.zeros(0, _CANDIDATE)], [np.zeros(0, _CANDIDATE)]
    progress = Progress(label, len(maps))
    for start in range(0, len(maps), _ROWS):
        stop = min(start + _ROWS, len(maps))
        turned = [_units(_units(turn) - common) for turn in orientations(maps[start:stop])]
        for above in range(0, stop, _ROWS):
            found = _alike(rows[above : min(above + _ROWS, stop)], turned, above, start)
            same = group[found["first"]] == group[found["second"]]
            across.append(found[~same])
            within.append(found[same])
        across, within = [_bounded(across)], [_bounded(within)]
        progress.update(stop)
    return across[0], within[0]


def _alike(
    rows: npt.NDArray[np.float32], turned: Sequence[npt.NDArray[np.float32]], above: int, start: int
) -> npt.NDArray[np.void]:
    """Candidates of one block of the triangle; `above` and `start` are its first row and column."""
    parts = []
    for turn, columns in enumerate(turned):
        alike = rows @ columns.T
        first, second = np.nonzero(alike >= _ALIKE)
        upper = first + above < second + start
        first, second = first[upper], second[upper]
        found = np.zeros(len(first), _CANDIDATE)
        found["first"], found["second"] = first + above, second + start
        found["turn"], found["alike"] = turn, alike[first, second]
        parts.append(found)
    found = np.concatenate(parts)
    found = found[np.lexsort((-found["alike"], found["second"], found["first"]))]
    again = (np.diff(found["first"], prepend=-1) == 0) & (np.diff(found["second"], prepend=-1) == 0)
    best: npt.NDArray[np.void] = found[~again]  # of each pair the best orientation
    return best


def _bounded(parts: Sequence[npt.NDArray[np.void]]) -> npt.NDArray[np.void]:
    found = np.concatenate(parts)
    return found if len(found) <= 4 * _MOST else _most_alike(found, 4 * _MOST)


def _most_alike(found: npt.NDArray[np.void], most: int) -> npt.NDArray[np.void]:
    """At most so many candidates, in the order of their images."""
    best = found[np.argsort(-found["alike"], kind="stable")[:most]]
    return np.sort(best, order=("first", "second"))


def _units(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Each as a vector of length 1; of length 0 where it shows nothing."""
    flat = values.reshape(len(values), math.prod(values.shape[1:]))
    units: npt.NDArray[np.float32] = flat / np.maximum(
        np.linalg.norm(flat, axis=1, keepdims=True), 1e-6
    )
    return units


# Second pass: agreement -----------------------------------------------------------------------


def _agreeing(
    thumbnails: npt.NDArray[np.uint8],
    detail: npt.NDArray[np.int64],
    candidates: npt.NDArray[np.void],
    levels: Sequence[_Level],
    label: str,
) -> list[Pair]:
    """The candidates that agree at all levels, up to that of their detail."""
    finest = np.minimum(detail[candidates["first"]], detail[candidates["second"]])
    agreeing = []
    for place, level in enumerate(levels):
        if not len(candidates):
            break
        weight = _weight(thumbnails, level)
        agreement = np.zeros(len(candidates))
        progress = Progress(f"{label}, {level.side} pixels", len(candidates))
        pairs = _PAIRS * (SIDE // level.side)
        for start in range(0, len(candidates), pairs):
            batch = candidates[start : start + pairs]
            first, second = thumbnails[batch["first"]], thumbnails[batch["second"]]
            for turn in np.unique(batch["turn"]):
                chosen = batch["turn"] == turn
                second[chosen] = orientations(second[chosen])[turn]
            agreement[start : start + pairs] = _agreement(first, second, weight, level)
            progress.update(start + len(batch))
        last = np.full(len(candidates), place == len(levels) - 1)
        if not last.all():
            last = finest < levels[place + 1].side
        agreeing += [
            Pair(int(one["first"]), int(one["second"]), float(value), ORIENTATIONS[one["turn"]])
            for one, value in zip(candidates[last], agreement[last], strict=True)
            if value >= level.least
        ]
        further = ~last & (agreement >= level.gate)
        candidates, finest = candidates[further], finest[further]
    return sorted(agreeing, key=lambda pair: (pair.first, pair.second))


def _weight(thumbnails: npt.NDArray[np.uint8], level: _Level) -> Planes:
    """Weight of each pixel (1, side, side): 0 where all images of the set are alike."""
    some = thumbnails[:: max(1, len(thumbnails) // _SAMPLE)]
    maps = _maps(some, level)
    common = maps.sum(axis=0, keepdims=True) / (len(maps) + _PRIORS[1])
    power = np.maximum((maps * maps).mean(axis=0, keepdims=True), 1e-6)
    weight: Planes = np.maximum(1 - common * common / power, 0).astype(np.float32)
    return weight


def _agreement(
    first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8], weight: Planes, level: _Level
) -> npt.NDArray[np.float64]:
    """Correlation that three quarters of the blocks exceed (P,), each moved to fit best.

    Only blocks with content are asked.
    """
    shift, side = level.shift, level.side
    root = np.sqrt(weight)
    maps = _maps(second, level)
    padded = np.pad(maps, ((0, 0), (shift, shift), (shift, shift)), mode="reflect")
    fixed, still = _blocks(_maps(first, level) * root, level), _blocks(maps * root, level)
    power = _product(fixed, fixed)
    best = np.full(power.shape, -1.0)
    for down in range(2 * shift + 1):
        for right in range(2 * shift + 1):
            moved = _blocks(padded[:, down : down + side, right : right + side] * root, level)
            scale = np.sqrt(np.maximum(power * _product(moved, moved), 1e-12))
            np.maximum(best, _product(fixed, moved) / scale, out=best)
    pixels = (side // level.blocks) ** 2
    content = np.maximum(power, _product(still, still)) / pixels
    # Where fewer than three blocks have content, the three with the most are asked.
    order = np.argsort(-content, axis=1, kind="stable")
    asked = np.take_along_axis(content, order, axis=1) >= _CONTENT
    asked[:, :3] = True
    ranked = np.sort(np.where(asked, np.take_along_axis(best, order, axis=1), np.inf), axis=1)
    place = np.rint(_QUANTILE * (asked.sum(axis=1) - 1)).astype(int)
    return np.take_along_axis(ranked, place[:, None], axis=1)[:, 0]


def _maps(thumbnails: npt.NDArray[np.uint8], level: _Level) -> Planes:
    return equalised(shrunk(thumbnails, level.side), level.fine, level.coarse, 0.2, _NOISE)


def _blocks(maps: Planes, level: _Level) -> Planes:
    """(P, side, side) as (P, blocks, pixels of a block)."""
    count, side = level.blocks, level.side // level.blocks
    blocks = maps.reshape(len(maps), count, side, count, side).swapaxes(2, 3)
    return np.ascontiguousarray(blocks).reshape(len(maps), count**2, side * side)


def _product(one: Planes, other: Planes) -> npt.NDArray[np.float64]:
    product: npt.NDArray[np.float64] = np.einsum("pbx,pbx->pb", one, other).astype(np.float64)
    return product
