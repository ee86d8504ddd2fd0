"""Image and mask files anywhere below a folder, found by regular expressions.

For archives as published: every file's path below `root`, with ``/`` between its parts, is searched
for both expressions. Hidden files and the ``__MACOSX`` folders of some archives are passed over.
How files are decoded is said in :mod:`noise2mask.data.formats.image_files`.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from noise2mask.data.formats.pairing import (
    add,
    check_one_rule,
    check_split_names,
    compiled,
    listed,
    load_pair,
)
from noise2mask.data.source import Image, Mask, Source
from noise2mask.errors import UserError

Split = Literal["train", "val", "test"]


def sources(
    *,
    root: Annotated[str, Field(description="folder of the dataset")],
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
    split_of: Annotated[
        dict[str, Split], Field(description="split for each text that the group split finds")
    ] = {},  # noqa: B006
    foreground: Annotated[
        tuple[int, ...] | None,
        Field(description="mask values that are foreground; none: the higher one of two"),
    ] = None,
    threshold: Annotated[
        int | None,
        Field(description="mask values above it are foreground; 0 for numbered objects"),
    ] = None,
    union: Annotated[bool, Field(description="several masks of one id are united")] = False,
    mask_planes: Annotated[
        tuple[int, ...] | None,
        Field(description="planes that are united, of masks that are NPY arrays (P, H, W)"),
    ] = None,
    fill: Annotated[
        bool, Field(description="masks are outlines, what they enclose counts")
    ] = False,
    missing_mask: Annotated[
        Literal["refuse", "skip", "empty"],
        Field(description="an image without mask is an error, left out, or all background"),
    ] = "refuse",
) -> list[Source]:
    """The pairs of images and masks below `root`.

    The id of an image is what the group `id` finds, and that of its masks is the same; so is, where
    there is no group `group`, its group.

    Raises:
        UserError: the folder is missing, a pattern is wrong or finds nothing, or images and masks
            do not pair.
    """
    check_one_rule(root, foreground, threshold)
    mask_pattern = _with_id(masks, "masks")
    found = _found(Path(root), _with_id(images, "images"), mask_pattern)
    _check_pairs(found, root, union=union, missing_mask=missing_mask)
    splits = _splits(found.split_of, split_of)
    rule = {"foreground": foreground, "threshold": threshold, "planes": mask_planes, "fill": fill}
    cases = []
    for id, image in sorted(found.image_of.items()):
        paths = tuple(found.masks_of.get(id, ()))
        if not paths and missing_mask == "skip":
            continue
        mask = paths[0] if len(paths) == 1 else paths
        payload = {"image": image, "mask": mask, **rule}
        cases.append(Source(id, found.group_of[id], splits.get(id), payload))
    return cases


def load(source: Source) -> tuple[Image, Mask]:
    """Decode one image and its mask.

    Raises:
        UserError: a file is damaged, the sizes differ, or the mask's foreground is not clear.
    """
    return load_pair(source)


# Files ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """What the patterns found; `split_of` holds the ids whose path says a split."""

    image_of: dict[str, Path]
    masks_of: dict[str, list[Path]]
    group_of: dict[str, str]
    split_of: dict[str, str]


def _with_id(pattern: str, option: str) -> re.Pattern[str]:
    expression = compiled(pattern, option)
    if "id" not in expression.groupindex:
        raise UserError(
            f"{option} {pattern!r} has no group named id; write the part of the path that image "
            "and mask have in common as (?P<id>...)."
        )
    return expression


def _found(root: Path, images: re.Pattern[str], masks: re.Pattern[str]) -> _Found:
    """Sort the files below `root`."""
    found = _Found({}, {}, {}, {})
    passed = []
    for path in _files(root):
        text = path.relative_to(root).as_posix()
        if match := masks.search(text):
            found.masks_of.setdefault(match["id"], []).append(path)
        elif match := images.search(text):
            add(found.image_of, match["id"], path)
            parts = match.groupdict()
            found.group_of[match["id"]] = parts.get("group") or match["id"]
            if split := parts.get("split"):
                found.split_of[match["id"]] = split
        else:
            passed.append(text)
    for option, pattern, some in (
        ("images", images, found.image_of),
        ("masks", masks, found.masks_of),
    ):
        if not some:
            raise UserError(
                f"no file below {root} matches {option} {pattern.pattern!r}; "
                f"{listed('other file', passed, 'another name') if passed else 'it is empty'}; "
                "correct the pattern or put the data there."
            )
    return found


def _files(root: Path) -> Iterator[Path]:
    """Every file below a folder that must exist, in the order of the paths."""
    if not root.is_dir():
        raise UserError(f"the folder {root} does not exist; correct `root`, or put the data there.")
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f != "__MACOSX" and not f.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _check_pairs(found: _Found, root: str, *, union: bool, missing_mask: str) -> None:
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
    several = sorted(id for id, paths in found.masks_of.items() if len(paths) > 1)
    if several and not union:
        raise UserError(
            f"{listed('image', several, 'several masks')} below {root}; correct the pattern "
            "`masks`, or set `union` to unite them."
        )


def _splits(said: Mapping[str, str], split_of: Mapping[str, str]) -> dict[str, str]:
    """The split of each id whose path says one."""
    unknown = {id: text for id, text in said.items() if split_of and text not in split_of}
    if unknown:
        id, text = min(unknown.items())
        raise UserError(
            f"the path of the case {id!r} says the split {text!r}, but `split_of` knows "
            f"{', '.join(split_of)}; add it there."
        )
    splits = {id: split_of.get(text, text) for id, text in said.items()}
    check_split_names(splits, "the path (set `split_of`)")
    return splits
