"""HER2: a private set of stained sections, as its holders put it into place themselves.

The set is not public. Whoever has a copy brings it into this form::

    images/<id>.png     cases at one magnification, RGB; .jpg, .tif work too
    masks/<id>.png      label images of the same sizes, one number a class, 0 for none of them
    cases.csv           columns id, patient, magnification and, if there are official splits, split

Every case has one line in ``cases.csv``. `foreground` says which numbers are the class that is
segmented; all others are background. Cases of one patient are one group, so they never lie in two
splits. ``magnification`` is that of the objective (10 for 10x); all cases must have the one that
is asked for, because nothing is rescaled here. Large images are cut by ``tile`` in the study.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from noise2mask.data.formats import folder
from noise2mask.data.formats.listing import folder_of
from noise2mask.data.formats.pairing import Root, listed, load_pair, named_splits, read_table
from noise2mask.data.formats.pairing import described as described
from noise2mask.data.formats.pairing import judged as judged
from noise2mask.data.formats.pairing import survey as survey
from noise2mask.data.source import Image, Levels, Listing, Mask, Source
from noise2mask.errors import UserError

COLUMNS = ("id", "patient", "magnification")


def sources(
    *,
    root: Root,
    foreground: Annotated[
        tuple[int, ...], Field(min_length=1, description="numbers of the classes to segment")
    ] = (1,),
    magnification: Annotated[
        float, Field(gt=0, le=200, description="of the objective, which all cases must have")
    ] = 10.0,
) -> Listing:
    """The cases of ``cases.csv``.

    Raises:
        UserError: files are missing or do not pair, ``cases.csv`` does not fit them, or a case
            has another magnification.
    """
    path = folder_of(root) / "cases.csv"
    listing = folder.sources(root=root, foreground=foreground)
    pairs = {source.id: source for source in listing}
    rows = read_table(path, COLUMNS, "split", pairs)
    for id, row in rows.items():
        if empty := [column for column in COLUMNS if not row[column]]:
            raise UserError(f"the line of {id!r} in {path} has no {empty[0]}; fill it in.")
    _check_magnification(path, rows, magnification)
    said = {id: row["split"] for id, row in rows.items() if row.get("split")}
    split_of = named_splits(said, {}, str(path))
    return Listing(
        (
            Source(id, rows[id]["patient"], split_of.get(id), source.payload)
            for id, source in sorted(pairs.items())
        ),
        unused=listing.unused,
        tables=[path],
    )


def load(source: Source) -> tuple[Image, Mask | Levels]:
    """Decode one image and its mask.

    Raises:
        UserError: a file is damaged, or the sizes differ.
    """
    return load_pair(source)


def _check_magnification(path: Path, rows: Mapping[str, Mapping[str, str]], wanted: float) -> None:
    others: dict[str, str] = {}
    for id, row in sorted(rows.items()):
        text = row["magnification"].lower().removesuffix("x").strip()
        try:
            same = abs(float(text) / wanted - 1) < 1e-3
        except ValueError:
            raise UserError(
                f"{path} gives {id!r} the magnification {row['magnification']!r}, which is no "
                "number; write that of the objective, e.g. 10."
            ) from None
        if not same:
            others[id] = row["magnification"]
    if others:
        shown = [f"{id}: {text}" for id, text in others.items()]
        raise UserError(
            f"{listed('case', shown, 'another magnification')} than {wanted:g} in {path}, but all "
            "must have that of the option `magnification`; leave them out, rescale them or change "
            "the option."
        )
