"""What datasets of separate image and mask files share: pairing, splits, groups, decoding."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from noise2mask.data.formats.image_files import binary, read_image, read_mask, read_planes
from noise2mask.data.source import Image, Mask, Source
from noise2mask.data.splits import SPLITS
from noise2mask.errors import UserError

# How far the channels of a grey pixel may lie apart after a lossy mask has been decoded.
_COLOUR_NOISE = 32


# Decoding -------------------------------------------------------------------------------------


def load_pair(source: Source) -> tuple[Image, Mask]:
    """Decode one image and its mask.

    The payload holds "image", a path, and "mask", a path or a tuple of paths whose masks are
    united (none: all background); "foreground" and "threshold" as in
    :func:`noise2mask.data.formats.image_files.binary`; and maybe "planes" and "fill", see
    :func:`noise2mask.data.formats.pairs.sources`.

    Raises:
        UserError: a file is damaged, the sizes differ, or the mask's foreground is not clear.
    """
    rule, path = source.payload, source.payload["mask"]
    image = read_image(rule["image"])
    whole = np.zeros(image.shape[:2], dtype=np.bool_)
    for part in (path,) if isinstance(path, Path) else path:
        whole |= _read_binary(part, rule, image, rule["image"])
    return image, whole


def _read_binary(path: Path, rule: Mapping[str, Any], image: Image, image_path: Path) -> Mask:
    """The foreground in one mask file, which must have the size of the image."""
    lossy = rule["threshold"] is not None
    if planes := rule.get("planes"):
        values = read_planes(path, planes)
    else:
        values = read_mask(path, tolerance=_COLOUR_NOISE if lossy else 0)
    height, width = values.shape[-2:]
    if image.shape[:2] != (height, width):
        raise UserError(
            f"{image_path} has {image.shape[1]} x {image.shape[0]} pixels, but its mask {path} has "
            f"{width} x {height}; image and mask must have the same size."
        )
    if planes and rule["foreground"] is None and not lossy:
        mask = values != 0
    else:
        mask = binary(path, values, foreground=rule["foreground"], threshold=rule["threshold"])
    mask = mask.any(axis=0) if planes else mask
    return filled(mask) if rule.get("fill") else mask


def filled(outlines: Mask) -> Mask:
    """The areas (H, W) inside closed outlines.

    An outline that encloses nothing is open, as that of an object cut off by the border of the
    image; its convex hull is taken.
    """
    labels, count = ndimage.label(outlines, structure=np.ones((3, 3)))
    areas = np.zeros_like(outlines)
    for label in range(1, count + 1):
        outline = labels == label
        area = ndimage.binary_fill_holes(outline)
        if area.sum() == outline.sum():
            from skimage.morphology import convex_hull_image  # half a second, rarely needed

            area = convex_hull_image(outline, offset_coordinates=False)
        areas |= area
    return areas


# Files ----------------------------------------------------------------------------------------


def check_one_rule(root: str, foreground: Sequence[int] | None, threshold: int | None) -> None:
    """Refuse two answers to what is foreground.

    Raises:
        UserError: both are given.
    """
    if foreground is not None and threshold is not None:
        raise UserError(
            f"both foreground {list(foreground)} and threshold {threshold} are given for {root}; "
            "give only one of them."
        )


def add(path_of: dict[str, Path], id: str, path: Path) -> None:
    """Put a file under its id, which must be free.

    Raises:
        UserError: another file has the same id.
    """
    if id in path_of:
        raise UserError(
            f"{path_of[id]} and {path} have the same id {id!r}; remove or rename one of them."
        )
    path_of[id] = path


def listed(noun: str, ids: Sequence[str], lack: str) -> str:
    """'3 images (a, b, c) have no mask'."""
    first = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
    many = len(ids) > 1
    return f"{len(ids)} {noun}{'s' * many} ({first}) {'have' if many else 'has'} {lack}"


# Splits and groups ----------------------------------------------------------------------------


def compiled(pattern: str, option: str) -> re.Pattern[str]:
    """A regular expression that a user gave as `option`.

    Raises:
        UserError: it is none.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UserError(
            f"{option} {pattern!r} is not a regular expression ({error}); correct it."
        ) from error


def matches(pattern: str, option: str, ids: Iterable[str]) -> dict[str, str]:
    """What the first group of a regular expression finds in each id.

    Raises:
        UserError: it is no regular expression, has no group, or does not match an id.
    """
    expression = compiled(pattern, option)
    if expression.groups < 1:
        raise UserError(
            f"{option} {pattern!r} has no group; put the part to use in parentheses, e.g. "
            "'^([^_]+)_'."
        )
    found = {id: match.group(1) if (match := expression.search(id)) else None for id in ids}
    if missing := [id for id, part in found.items() if not part]:
        raise UserError(
            f"{listed('id', missing, f'no match for {option} {pattern!r}')}; correct the pattern "
            "or the file names."
        )
    return {id: str(part) for id, part in found.items()}


def check_split_names(split_of: Mapping[str, str], origin: str) -> None:
    """Refuse splits other than :data:`noise2mask.data.splits.SPLITS`.

    Raises:
        UserError: `origin` gives a case another one.
    """
    for id, split in split_of.items():
        if split not in SPLITS:
            raise UserError(
                f"{origin} gives the case {id!r} the split {split!r}; the splits are "
                f"{', '.join(SPLITS)}."
            )
