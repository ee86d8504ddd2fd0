"""What masks hold: values or colours with their shares, and whether several of one overlap."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from noise2mask import plugins
from noise2mask.data.formats import spatial_files
from noise2mask.data.formats.image_files import decode, read_image
from noise2mask.data.formats.mask_files import COLOUR_NOISE, readings_of
from noise2mask.data.formats.table import colour_numbers, spelled
from noise2mask.data.source import Image, Listing, Mask, foreground_of, some
from noise2mask.errors import UserError
from noise2mask.progress import Progress

LOOKED_AT = 60
"""Files of a set that are looked into; `prepare` reads all and refuses what does not fit."""
MOST_LABELS = 64  # different values or colours above which a mask holds no labels
_NEAR = 32  # grey levels from black or white that are still taken for it, in lossy files
_LOSSY = 0.95  # share of such pixels in masks that were saved with loss
_PARTS = 8  # masks of one image that are compared

Item = TypeVar("Item")


def some_of(items: Sequence[Item], count: int = LOOKED_AT) -> list[Item]:
    """Up to `count` of them, evenly spread from the first to the last."""
    if len(items) <= count:
        return list(items)
    if count == 1:
        return [items[len(items) // 2]]
    return [items[round(part * (len(items) - 1) / (count - 1))] for part in range(count)]


def is_volume(path: Path) -> bool:
    """Whether a file holds more than one slice; False where its header cannot be read."""
    if spatial_files.suffix_of(path) is None:
        return False
    try:
        shape = spatial_files.header_of(path).shape
    except UserError:
        return False
    return sum(side > 1 for side in shape[:3]) > 2 or len(shape) > 3


class Looked(NamedTuple):
    """What one mask holds.

    Attributes:
        counts: pixels of each value, or of each colour (a number, red the highest byte).
        coloured: whether they are colours.
        size: width and height.
        volume: whether it is one; its voxels are counted then.
    """

    counts: dict[int, int]
    coloured: bool
    size: tuple[int, ...]
    volume: bool


def look_at(path: Path) -> Looked:
    """What a mask file holds.

    Raises:
        UserError: it is damaged, or its values are neither whole numbers nor colours of 8 bits.
    """
    if is_volume(path):
        labels = spatial_files.read_labels(path)
        return Looked(_counted(labels), False, tuple(labels.shape[:2]), True)
    picture = decode(path)
    size = (picture.pixels.shape[1], picture.pixels.shape[0])
    try:
        readings = readings_of(picture, COLOUR_NOISE)
    except UserError:
        if picture.pixels.ndim < 3:
            raise
        return Looked(_counted(colour_numbers(picture)), True, size, False)
    return Looked(_counted(next(iter(readings.values()))), False, size, False)


def _counted(values: npt.NDArray[np.int64]) -> dict[int, int]:
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


@dataclass(frozen=True)
class Held:
    """What the masks of a family hold, as far as they were looked into.

    Attributes:
        total: masks there are.
        looked: masks that were looked into and could be read.
        shares: share of all pixels of each value or colour, the most frequent first.
        masks: in how many of them each is.
        coloured: whether they are colours.
        most: the largest number of different values in one mask.
        lossy: whether nearly all pixels are nearly black or white, and not all exactly.
        sizes: different sizes, width and height.
        damage: why some could not be read, a sentence each.
    """

    total: int
    looked: int
    shares: dict[int, float]
    masks: dict[int, int]
    coloured: bool
    most: int
    lossy: bool
    sizes: tuple[tuple[int, ...], ...]
    damage: tuple[str, ...]

    @property
    def numbered(self) -> bool:
        """Whether values look like numbers of objects: many, from 1 on without gaps."""
        values = sorted(set(self.shares) - {0})
        high = values[-1] if values else 0
        dense = len(values) > 0.8 * high
        rarer = [self.masks[value] for value in values]
        return not self.coloured and high > 5 and dense and rarer[-1] < 0.5 * rarer[0]

    def values_told(self, most: int = 12) -> str:
        """Each value with its share: ``0 (88.1 %), 255 (11.9 %)``."""
        return some(
            [f"{self.name(value)} ({share:.1%})" for value, share in self.shares.items()], most
        )

    def name(self, value: int) -> str:
        """A value or colour as it is written in an option."""
        return spelled(value) if self.coloured else str(value)


def look_into(paths: Sequence[Path], total: int, label: str) -> Held:
    """What masks hold.

    Args:
        paths: the files, all or some of them.
        total: how many there are.
        label: for the progress.
    """
    seen: list[Looked] = []
    damage: list[str] = []
    progress = Progress(label, len(paths))
    for done, path in enumerate(paths, start=1):
        try:
            seen.append(look_at(path))
        except UserError as error:
            damage.append(str(error))
        progress.update(done)
    coloured = any(each.coloured for each in seen)
    pixels: Counter[int] = Counter()
    masks: Counter[int] = Counter()
    for each in seen:
        counts = each.counts
        if coloured and not each.coloured:  # a mask of black and white among coloured ones
            counts = {value * 0x010101: count for value, count in counts.items() if value < 256}
        pixels.update(counts)
        masks.update(counts.keys())
    whole = sum(pixels.values()) or 1
    shares = {value: count / whole for value, count in pixels.most_common()}
    near = sum(s for v, s in shares.items() if v <= _NEAR or 255 - _NEAR <= v <= 255)
    mostly = [v for v, s in shares.items() if s > 0.001]
    lossy = (
        not coloured
        and len(shares) > 3
        and near > _LOSSY
        and max(shares, default=0) > 255 - _NEAR
        and all(v <= _NEAR or v >= 255 - _NEAR or shares[v] < 0.02 for v in mostly)
    )
    return Held(
        total,
        len(seen),
        shares,
        dict(masks),
        coloured,
        max((len(each.counts) for each in seen), default=0),
        lossy,
        tuple(sorted({each.size for each in seen})),
        tuple(damage),
    )


def looks_like_masks(paths: Sequence[Path]) -> bool:
    """Whether files that no word calls masks hold few values or colours, as masks do."""
    for path in some_of(paths, 3):
        try:
            counts = look_at(path).counts
        except UserError:
            return False
        if len(counts) > 16 and not _bimodal(counts):
            return False
    return True


def _bimodal(counts: dict[int, int]) -> bool:
    near = sum(n for v, n in counts.items() if v <= _NEAR or 255 - _NEAR <= v <= 255)
    return near > _LOSSY * sum(counts.values())


def overlap(masks: Sequence[Sequence[Path]]) -> float | None:
    """How much masks of one image cover each other: the mean over images of the largest IoU.

    Near 0 they are parts of one mask, near 1 readings of several people. What is not the most
    frequent value counts as foreground.

    Args:
        masks: the files of each image.
    """
    found = []
    for paths in masks:
        try:
            parts = [marked(path) for path in some_of(paths, _PARTS)]
        except UserError:
            continue
        pairs = [
            (one & other).sum() / max(1, (one | other).sum())
            for one, other in combinations(parts, 2)
            if one.shape == other.shape
        ]
        if pairs:
            found.append(float(max(pairs)))
    return float(np.mean(found)) if found else None


def marked(path: Path) -> Mask:
    """What a mask marks as far as one can say without being told: all but the lowest value.

    Raises:
        UserError: the file is damaged.
    """
    if is_volume(path):
        return np.asarray(spatial_files.read_labels(path) != 0)
    picture = decode(path)
    try:
        values = next(iter(readings_of(picture, COLOUR_NOISE).values()))
    except UserError:
        values = colour_numbers(picture)
    low = int(values.min())
    return np.asarray(values > low + (_NEAR if int(values.max()) > 255 - _NEAR else 0))


Shown = tuple[str, Image, Mask]
"""Id, image and mask of a pair that is shown."""


def pictures_of(kind: str, listing: Listing, count: int = 5) -> tuple[Shown, ...]:
    """Some pairs of a dataset as `prepare` reads them; those that cannot be read are left out."""
    load = plugins.member("format", kind, "load")
    shown = []
    for source in some_of(listing, count):
        try:
            image, mask = load(source)
        except UserError:
            continue
        if image.shape[:2] == mask.shape:
            shown.append((source.id, image, foreground_of(mask)))
    return tuple(shown)


def glimpses(pairs: Sequence[tuple[Path, Sequence[Path]]], count: int = 5) -> tuple[Shown, ...]:
    """Some pairs as far as they can be read without being told what is foreground."""
    shown = []
    for path, masks in some_of(pairs, count):
        try:
            image = read_image(path)
            parts = [marked(mask) for mask in masks[:64]]
        except UserError:
            continue
        if parts and all(part.shape == image.shape[:2] for part in parts):
            shown.append((path.name, image, np.any(parts, axis=0)))
    return tuple(shown)
