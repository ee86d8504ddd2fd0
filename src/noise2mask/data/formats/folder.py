"""A folder of images and a folder of masks: anybody's own dataset, without a line of code.

The mask of ``images/<id>.<suffix>`` is ``masks/<id><mask_suffix>.<suffix>``; the suffixes may
differ and are those of :mod:`noise2mask.data.formats.image_files`, which also says how files are
decoded.
"""

import csv
from pathlib import Path
from typing import Annotated

from pydantic import Field

from noise2mask.data.formats.image_files import SUFFIXES, stem_of
from noise2mask.data.formats.pairing import (
    add,
    check_one_rule,
    check_split_names,
    listed,
    load_pair,
    matches,
)
from noise2mask.data.source import Image, Mask, Source
from noise2mask.errors import UserError

GROUP_COLUMNS = ("group", "patient", "slide")


def sources(
    *,
    root: Annotated[str, Field(description="folder of the dataset")],
    images: Annotated[str, Field(description="folder of the images, in root")] = "images",
    masks: Annotated[str, Field(description="folder of the masks, in root")] = "masks",
    mask_suffix: Annotated[
        str, Field(description="what the name of a mask has after that of its image")
    ] = "",
    splits: Annotated[
        str | None,
        Field(description="CSV in root with the columns id, split, and group, patient or slide"),
    ] = None,
    split_pattern: Annotated[
        str | None, Field(description="regular expression; its first group in the id is the split")
    ] = None,
    group_pattern: Annotated[
        str | None, Field(description="regular expression; its first group in the id is the group")
    ] = None,
    foreground: Annotated[
        tuple[int, ...] | None,
        Field(description="mask values that are foreground; none: the higher one of two"),
    ] = None,
    threshold: Annotated[
        int | None, Field(description="mask values above it are foreground, for lossy masks")
    ] = None,
) -> list[Source]:
    """The pairs of images and masks below `root`.

    Raises:
        UserError: a folder is missing or empty, images and masks do not pair, or the splits or
            groups do not fit the files.
    """
    check_one_rule(root, foreground, threshold)
    pairs = _pairs(Path(root), images, masks, mask_suffix)
    if splits is not None and split_pattern is not None:
        raise UserError(
            f"both splits {splits!r} and split_pattern {split_pattern!r} are given for {root}; "
            "give only one of them."
        )
    groups = {id: id for id in pairs}
    split_of: dict[str, str] = {}
    if splits is not None:
        split_of, groups = _read_splits(Path(root) / splits, groups)
    if split_pattern is not None:
        split_of = matches(split_pattern, "split_pattern", pairs)
        check_split_names(split_of, f"split_pattern {split_pattern!r}")
    if group_pattern is not None:
        groups = matches(group_pattern, "group_pattern", pairs)
    rule = {"foreground": foreground, "threshold": threshold}
    return [
        Source(id, groups[id], split_of.get(id), {"image": image, "mask": mask, **rule})
        for id, (image, mask) in pairs.items()
    ]


def load(source: Source) -> tuple[Image, Mask]:
    """Decode one image and its mask.

    Raises:
        UserError: a file is damaged, the sizes differ, or the mask's foreground is not clear.
    """
    return load_pair(source)


# Files ----------------------------------------------------------------------------------------


def _pairs(root: Path, images: str, masks: str, mask_suffix: str) -> dict[str, tuple[Path, Path]]:
    """Image and mask of each id, in the order of the ids."""
    if root / images == root / masks and not mask_suffix:
        raise UserError(
            f"images and masks are both in {root / images}, so their names must differ; set "
            "`mask_suffix` or use two folders."
        )
    image_of: dict[str, Path] = {}
    mask_of: dict[str, Path] = {}
    for stem, path in _files(root / images):
        if root / images == root / masks and stem.endswith(mask_suffix):
            continue
        add(image_of, stem, path)
    for stem, path in _files(root / masks):
        if stem.endswith(mask_suffix):
            add(mask_of, stem.removesuffix(mask_suffix), path)
    if missing := sorted(image_of.keys() - mask_of.keys()):
        raise UserError(
            f"{listed('image', missing, 'no mask')} in {root / masks} (a mask is named "
            f"<id>{mask_suffix} with one of the suffixes {', '.join(SUFFIXES)}); add the masks or "
            "remove the images."
        )
    if missing := sorted(mask_of.keys() - image_of.keys()):
        raise UserError(
            f"{listed('mask', missing, 'no image')} in {root / images}; add the images or remove "
            "the masks."
        )
    return {id: (image_of[id], mask_of[id]) for id in sorted(image_of)}


def _files(folder: Path) -> list[tuple[str, Path]]:
    """Stem and path of each image file in a folder that must have some."""
    if not folder.is_dir():
        raise UserError(
            f"the folder {folder} does not exist; correct `root`, `images` or `masks`, or put the "
            "data there."
        )
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    found = [(stem, path) for path in paths if (stem := stem_of(path)) is not None]
    if not found:
        raise UserError(
            f"the folder {folder} holds no image; the suffixes that are read are "
            f"{', '.join(SUFFIXES)}."
        )
    return found


# Splits and groups ----------------------------------------------------------------------------


def _read_splits(path: Path, groups: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Split and group of each id from a CSV file that must name every id once."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns, rows = list(reader.fieldnames or ()), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"the splits {path} could not be read ({error}); correct `splits`."
        ) from error
    if missing := [column for column in ("id", "split") if column not in columns]:
        raise UserError(
            f"the splits {path} have no column {missing[0]!r} (they have {', '.join(columns)}); "
            "the columns id and split are needed, and group, patient or slide may be given."
        )
    split_of: dict[str, str] = {}
    grouping = next((column for column in GROUP_COLUMNS if column in columns), None)
    for row in rows:
        if row["id"] in split_of:
            raise UserError(f"the splits {path} name the id {row['id']!r} twice; remove a line.")
        split_of[row["id"]] = row["split"]
    if unknown := [id for id in split_of if id not in groups]:
        raise UserError(f"{listed('id', unknown, 'no image')} but a line in {path}; correct it.")
    if missing := [id for id in groups if id not in split_of]:
        raise UserError(f"{listed('image', missing, 'no line')} in {path}; add a split.")
    check_split_names(split_of, str(path))
    if grouping is not None:
        groups = {row["id"]: row[grouping] or row["id"] for row in rows}
    return split_of, groups
