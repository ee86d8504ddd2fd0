"""The table of datasets that can be had by name, ``catalogue.yaml`` beside this file.

A row says what a dataset is, where its archives are, and which kind of dataset reads them. Adding
one needs no code where the kinds in ``datasets/`` can read it.
"""

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from noise2mask.errors import UserError, shortened

TABLE = Path(__file__).with_name("catalogue.yaml")

Modality = Literal[
    "CT",
    "EM",
    "H&E",
    "IHC",
    "MRI",
    "OCT",
    "X-ray",
    "dermoscopy",
    "endoscopy",
    "fluorescence",
    "fundus",
    "light microscopy",
    "photograph",
    "ultrasound",
]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Archive(_Row):
    """One file to be fetched.

    Attributes:
        url: where it is; "" where it can only be put in place by hand.
        file: its name in ``data/raw/<raw>/archives/``.
        sha256: published checksum, as `md5`; without either it is recorded on first download.
        md5: see `sha256`.
        size: in bytes, where published.
        only: needed only where the dataset's options have these values.
    """

    url: str
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
    sha256: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$")] = None
    md5: Annotated[str | None, Field(pattern=r"^[0-9a-f]{32}$")] = None
    size: Annotated[int | None, Field(gt=0)] = None
    only: dict[str, Any] = {}


class Entry(_Row):
    """One dataset.

    Attributes:
        title: how tables and figures call it.
        modality: how the images were made.
        target: what the masks show.
        licence: the terms, and who says so where that is in doubt.
        homepage: of its makers, or where it is published.
        reference: DOI or arXiv id of what to cite.
        kind: a module in ``noise2mask/datasets``.
        options: of that kind, besides ``root``.
        raw: folder in ``data/raw``; the entry's name when empty. Two entries may share one.
        archives: what is fetched.
        counts: published number of cases for train, val and test, or for "all".
        shrink: side in pixels of the square that every raw image becomes first.
        tile: side in pixels of the squares that are cut from it.
        stride: step in pixels of training tiles.
        by_hand: how to get it, where it cannot be fetched.
        private: whether only its owners have it.
    """

    title: str
    modality: Modality
    target: str
    licence: str
    homepage: str = ""
    reference: str = ""
    kind: str
    options: dict[str, Any]
    raw: str = ""
    archives: tuple[Archive, ...] = ()
    counts: dict[Literal["train", "val", "test", "all"], Annotated[int, Field(gt=0)]] = {}
    shrink: int | None = None
    tile: int | None = None
    stride: int | None = None
    by_hand: str = ""
    private: bool = False


@cache
def entries() -> dict[str, Entry]:
    """Every dataset of the table, by modality and then by name."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    rows = yaml.load(TABLE.read_bytes(), Loader=loader)
    return {name: Entry.model_validate(row) for name, row in rows.items()}


def entry(name: str) -> Entry:
    """The dataset of a name.

    Raises:
        UserError: the table has none; the sentence tells the nearest name.
    """
    if name in entries():
        return entries()[name]
    near = difflib.get_close_matches(name, entries(), n=1, cutoff=0.6)
    near = near or [known for known in entries() if name and name in known][:1]
    guess = f"; did you mean '{near[0]}'?" if near else ";"
    raise UserError(
        f"unknown dataset '{shortened(name)}'{guess} `noise2mask data list` shows all "
        f"{len(entries())}."
    )


def archives_for(entry: Entry, options: Mapping[str, Any]) -> tuple[Archive, ...]:
    """The archives that a dataset needs with these options; the entry's own fill the rest."""
    chosen = {**entry.options, **options}
    return tuple(
        archive
        for archive in entry.archives
        if all(chosen.get(key) == value for key, value in archive.only.items())
    )
