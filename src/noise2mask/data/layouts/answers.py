"""What a user said of a folder, and what is still to be said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from noise2mask.data.layouts.families import Family
from noise2mask.data.source import Image, Listing, Mask


@dataclass(frozen=True)
class Answers:
    """What a user said; None and empty where nothing was said.

    Attributes:
        images: parts of the labels of the families that are images.
        masks: the same of masks.
        several: what several masks of an image are: parts of one, or readings of annotators.
        foreground: values of masks, or names of labels.
        colours: colours of masks, ``#ff0000``.
        threshold: mask values above it are foreground.
        groups: regular expression whose first group is the patient.
        no_groups: every case is a group of its own.
        splits: "folders", the name of a CSV, or a regular expression whose first group is it.
        no_splits: what looks like splits is none.
        missing: what an image without a mask is.
        settings: options of the kind.
    """

    images: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    several: Literal["union", "majority", "staple", "soft"] | None = None
    foreground: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    threshold: int | None = None
    groups: str | None = None
    no_groups: bool = False
    splits: str | None = None
    no_splits: bool = False
    missing: Literal["skip", "empty"] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


class Choice(NamedTuple):
    """One answer: the options to give, and what they mean."""

    options: str
    meaning: str


class Question(NamedTuple):
    """What names and files leave open, and the answers that there are."""

    about: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Shown:
    """Some pairs to be looked at: what they are, and id, image and mask of each."""

    title: str
    pictures: tuple[tuple[str, Image, Mask], ...]


@dataclass(frozen=True)
class Layout:
    """What was found in a folder.

    Attributes:
        told: what was found and decided, a sentence each.
        questions: what is open; without any, the entry is complete.
        kind: of the dataset, "" while it is open.
        options: of that kind.
        reasons: why an option is there, by its name.
        lines: of the CSV that the option `table` names: image, mask, id, group and split.
        listing: the cases as `prepare` will list them.
        preview: pairs to look at; while something is open, read as far as they can be.
    """

    told: tuple[str, ...]
    questions: tuple[Question, ...] = ()
    kind: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    lines: Sequence[tuple[str, str, str, str, str]] = ()
    listing: Listing | None = None
    preview: tuple[Shown, ...] = ()


def labels_of(families: Sequence[Family]) -> str:
    """The labels of families with how many files each has, for a sentence."""
    told = [f"{family.label} ({len(family.members)})" for family in families]
    return ", ".join(told[:8]) + (f" and {len(told) - 8} more" if len(told) > 8 else "")


def offers(sentence: str) -> tuple[Choice, ...]:
    """The answers to a refusal that names an option of two values."""
    known = {"stored_axes": ("columns_rows", "rows_columns"), "white_is_zero": ("stored", "shown")}
    return tuple(
        Choice(f"--set {name}={value}", "")
        for name, values in known.items()
        if f"`{name}`" in sentence
        for value in values
    )
