"""Image and mask files anywhere below a folder, found by regular expressions.

For archives as published: every file's path below `root`, with ``/`` between its parts, is searched
for both expressions. Hidden files and the ``__MACOSX`` folders of some archives are passed over.
How files are decoded is said in :mod:`noise2mask.data.formats.image_files`.

Where images in several folders have one id (``train/images/1.png``, ``test/images/1.png``), the
part of the path that differs goes into it (``train_1``), and each has the masks with that part.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple

from pydantic import Field

from noise2mask.data.annotators import Several
from noise2mask.data.formats.listing import files_below, folder_of
from noise2mask.data.formats.pairing import (
    Axes,
    Fill,
    Foreground,
    Ignore,
    MissingMask,
    Percentiles,
    Reading,
    Root,
    SplitOf,
    Threshold,
    WhiteIsZeroMasks,
    Window,
    check_several,
    compiled,
    listed,
    load_pair,
    named_splits,
)
from noise2mask.data.formats.pairing import described as described
from noise2mask.data.formats.pairing import judged as judged
from noise2mask.data.formats.pairing import load_known as load_known
from noise2mask.data.formats.pairing import survey as survey
from noise2mask.data.source import Image, Levels, Listing, Mask, Source
from noise2mask.errors import UserError


def sources(
    *,
    root: Root,
    images: Annotated[
        str,
        Field(
            description="regular expression on the path of an image, with a group named id, and "
            "maybe ones named split and group"
        ),
    ],
    masks: Annotated[
        str, Field(description="the same for a mask; a file that matches it is no image")
    ],
    split_of: SplitOf = {},  # noqa: B006
    foreground: Foreground = None,
    ignore: Ignore = None,
    threshold: Threshold = None,
    several: Several = "refuse",
    union: Annotated[bool, Field(description="the same as `several: union`")] = False,
    mask_planes: Annotated[
        tuple[int, ...] | None,
        Field(description="planes that are united, of masks that are NPY arrays (P, H, W)"),
    ] = None,
    fill: Fill = False,
    missing_mask: MissingMask = "refuse",
    white_is_zero: WhiteIsZeroMasks = None,
    stored_axes: Axes = None,
    window: Window = None,
    percentiles: Percentiles = None,
) -> Listing:
    """The pairs of images and masks below `root`.

    The id of an image is what the group `id` finds, and that of its masks is the same; so is, where
    there is no group `group`, its group.

    Raises:
        UserError: the folder is missing, a pattern is wrong or finds nothing, or images and masks
            do not pair.
    """
    if union and several not in ("refuse", "union"):
        raise UserError(
            f"both `union` and `several: {several}` are given for {root}; leave out `union`."
        )
    several = "union" if union else several
    reading = Reading(
        foreground, threshold, white_is_zero, stored_axes, window, percentiles, mask_planes, fill,
        ignore, several,
    )  # fmt: skip
    reading.check(root)
    place = folder_of(root)
    found = _found(place, with_id(images, "images"), with_id(masks, "masks"))
    _check_pairs(found, root, missing_mask=missing_mask)
    counts = {id: len(found.masks_of.get(id, ())) for id in sorted(found.image_of)}
    notes = check_several(counts, several, f"below {root}")
    splits = named_splits(found.split_of, split_of, "the path (set `split_of`)")
    cases, skipped = [], []
    for id, image in sorted(found.image_of.items()):
        paths = tuple(found.masks_of.get(id, ()))
        if not paths and missing_mask == "skip":
            skipped.append(image.relative_to(place).as_posix())
            continue
        mask = paths[0] if len(paths) == 1 else paths
        payload = {"image": image, "mask": mask, "reading": reading}
        cases.append(Source(id, found.group_of[id], splits.get(id), payload))
    return Listing(
        cases,
        unused={
            "matching neither `images` nor `masks`": found.passed,
            "images without a mask (`missing_mask: skip`)": skipped,
        },
        notes=notes,
    )


def load(source: Source) -> tuple[Image, Mask | Levels]:
    """Decode one image and its mask.

    Raises:
        UserError: a file is damaged, the sizes differ, or the mask's foreground is not clear.
    """
    return load_pair(source)


# Files ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """What the patterns found; `split_of` holds the ids whose path says a split."""

    image_of: dict[str, Path] = field(default_factory=dict)
    masks_of: dict[str, list[Path]] = field(default_factory=dict)
    group_of: dict[str, str] = field(default_factory=dict)
    split_of: dict[str, str] = field(default_factory=dict)
    passed: list[str] = field(default_factory=list)


class _Match(NamedTuple):
    """A file, its path below the root, and what a pattern found in that."""

    path: Path
    place: str
    said: Mapping[str, str | None]


def with_id(pattern: str, option: str) -> re.Pattern[str]:
    """A regular expression that a user gave as `option`.

    Raises:
        UserError: it is none, or has no group named id.
    """
    expression = compiled(pattern, option)
    if "id" not in expression.groupindex:
        raise UserError(
            f"{option} {pattern!r} has no group named id; write the part of the path that image "
            "and mask have in common as (?P<id>...)."
        )
    return expression


def _found(root: Path, images: re.Pattern[str], masks: re.Pattern[str]) -> _Found:
    """Sort the files below `root`."""
    if not root.is_dir():
        raise UserError(f"the folder {root} does not exist; correct `root`, or put the data there.")
    found = _Found()
    image_matches: dict[str, list[_Match]] = {}
    mask_matches: dict[str, list[_Match]] = {}
    for entry in files_below(root):
        if match := masks.search(entry.place):
            some = mask_matches
        elif match := images.search(entry.place):
            some = image_matches
        else:
            found.passed.append(entry.place)
            continue
        some.setdefault(match["id"], []).append(_Match(entry.path, entry.place, match.groupdict()))
    for option, pattern, matched in (
        ("images", images, image_matches),
        ("masks", masks, mask_matches),
    ):
        if not matched:
            passed = found.passed
            raise UserError(
                f"no file below {root} matches {option} {pattern.pattern!r}; "
                f"{listed('other file', passed, 'another name') if passed else 'it is empty'}; "
                "correct the pattern or put the data there."
            )
    for name, several in image_matches.items():
        _add(found, name, several, mask_matches.pop(name, []))
    for name, left in mask_matches.items():
        found.masks_of[name] = [match.path for match in left]
    return found


def _add(found: _Found, name: str, images: Sequence[_Match], masks: Sequence[_Match]) -> None:
    """The case or the cases of one name."""
    parts = _different_parts(images)
    for image, own in zip(images, parts, strict=True):
        if len(images) > 1 and (not own or parts.count(own) > 1):
            raise UserError(
                f"{images[0].path} and {images[1].path} have the same id {name!r}; remove or "
                "rename one of them."
            )
        id = "_".join((*own, name))
        found.image_of[id] = image.path
        found.group_of[id] = image.said.get("group") or id
        if split := image.said.get("split"):
            found.split_of[id] = split
        of_it = [mask.path for mask in masks if len(images) == 1 or _belongs(mask, image, own)]
        if of_it:
            found.masks_of[id] = of_it
    given = {path for several in found.masks_of.values() for path in several}
    left = [mask.path for mask in masks if mask.path not in given]
    if left:
        raise UserError(
            f"the mask {left[0]} fits none of the {len(images)} images of the id {name!r} (as "
            f"{images[0].path}), whose paths differ; give both patterns a group named split, or "
            "rename the files."
        )


def _different_parts(matches: Sequence[_Match]) -> list[tuple[str, ...]]:
    """The folders of each path that are not in all of them."""
    parts = [PurePosixPath(match.place).parent.parts for match in matches]
    common = set(parts[0]).intersection(*parts)
    return [tuple(part for part in several if part not in common) for several in parts]


def _belongs(mask: _Match, image: _Match, own: tuple[str, ...]) -> bool:
    """Whether a mask is of one of several images of its id."""
    splits = [match.said.get("split") for match in (mask, image)]
    if None not in splits:
        return splits[0] == splits[1]
    return set(own) <= set(PurePosixPath(mask.place).parent.parts)


def _check_pairs(found: _Found, root: str, *, missing_mask: str) -> None:
    if missing := sorted(found.masks_of.keys() - found.image_of.keys()):
        raise UserError(
            f"{listed('mask', missing, 'no image')} below {root}; correct the patterns `images` "
            "and `masks`, or complete the data."
        )
    missing = sorted(found.image_of.keys() - found.masks_of.keys())
    if missing and missing_mask == "refuse":
        raise UserError(
            f"{listed('image', missing, 'no mask')} below {root}; correct the patterns `images` "
            "and `masks`, complete the data, or set `missing_mask` to skip or empty."
        )
