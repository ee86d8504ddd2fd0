"""What names of files and folders say: image or mask, which split, which of several.

A name falls into runs at ``_``, ``-``, blanks and dots, and a run into words at a change of case
or between letters and digits: ``leftImg8bit`` is left, img, 8, bit.
"""

import re
from itertools import pairwise
from typing import Literal, NamedTuple

Role = Literal["image", "mask", ""]

MASK_WORDS = {
    "mask", "masks", "label", "labels", "lbl", "gt", "gts", "truth", "groundtruth", "seg", "segs",
    "segm", "segmentation", "segmentations", "segmented", "segmask", "anno", "annos", "annot",
    "annots", "annotation", "annotations", "annotated", "manual", "ho", "expert", "experts",
    "annotator", "rater", "reader", "grader", "observer", "contour", "contours", "delineation",
    "reference",
}  # fmt: skip
IMAGE_WORDS = {
    "image", "images", "img", "imgs", "imagery", "input", "inputs", "original", "originals",
    "orig", "photo", "photos", "picture", "pictures", "scan", "scans",
}  # fmt: skip
_BESIDE_MASK = {"color", "colour", "colors", "binary", "bw", "ids", "instance", "train", "fine"}
SPLIT_WORDS = {
    "train": "train", "training": "train", "tr": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test", "ts": "test",
}  # fmt: skip
SPLIT = "<split>"
"""What stands in the pattern of a name for the part that tells the split."""

_RUNS = re.compile(r"[_\-. ()]+")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def words(name: str) -> list[str]:
    """The words of a name, in lower case."""
    return [word.lower() for word in _WORDS.findall(name)]


def role_of(name: str) -> Role:
    """What a name says that it is, or holds; what says both ("image_masks") holds masks."""
    said = words(name)
    if MASK_WORDS & {*said, *map("".join, pairwise(said))}:
        return "mask"
    return "image" if IMAGE_WORDS & set(said) else ""


class SplitName(NamedTuple):
    """A folder's name with :data:`SPLIT` for the word that tells a split, and that word."""

    pattern: str
    word: str


def split_in(name: str) -> SplitName:
    """Which split a folder's name tells; the word is "" where it tells none or several."""
    found = [match for match in _WORDS.finditer(name) if match[0].lower() in SPLIT_WORDS]
    short = {"tr", "ts", "dev"}
    found = [
        match
        for match in found
        if match[0].lower() not in short or match[0] == name or role_of(name)
    ]
    if len(found) != 1:
        return SplitName(name, "")
    match = found[0]
    return SplitName(f"{name[: match.start()]}{SPLIT}{name[match.end() :]}", match[0])


class Stem(NamedTuple):
    """The parts of a file's name without suffix: ``head + core + tail + index``.

    Attributes:
        head: words of a role at the start, with what parts them from the rest.
        core: what is left, which image and mask have in common.
        tail: words of a role at the end.
        number: a number behind these: which of several masks.
        role: what head and tail say.
    """

    head: str
    core: str
    tail: str
    number: str
    role: Role


_INDEX = re.compile(r"[_\-. ]?\(?\d+\)?$")


def stem_parts(stem: str) -> Stem:
    """The parts of the name of a file.

    >>> stem_parts("benign (1)_mask_1")
    Stem(head='', core='benign (1)', tail='_mask', number='_1', role='mask')
    """
    start, end = 0, len(stem)
    roles: list[Role] = []
    index = ""
    number = _INDEX.search(stem)
    if number and role_of(_last_run(stem[: number.start()])) == "mask":
        index, end = number[0], number.start()
    while (run := _last_run(stem[:end])) and (
        role_of(run) or (set(words(run)) <= _BESIDE_MASK and _mask_before(stem[:end], run))
    ):
        if run == stem[:end] and not index and re.fullmatch(r"[A-Za-z]+\d+", run):
            break  # img001: the number is all there is to tell it from others
        roles.append(role_of(run))
        end = _strip(stem, end - len(run))
    while start < end and (run := _first_run(stem[start:end])):
        glued = re.match(r"[A-Za-z]+(?=\d)", run)
        said = glued[0] if glued else run
        if not role_of(said) or (role_of(said) == "mask" and len(said) < 2):
            break
        roles.append(role_of(said))
        start += len(said)
        while start < end and stem[start] in "_-. ":
            start += 1
    role: Role = "mask" if "mask" in roles else "image" if "image" in roles else ""
    return Stem(
        stem[:start], stem[start:end], stem[end : len(stem) - len(index)] if index else stem[end:],
        index, role,
    )  # fmt: skip


def _mask_before(stem: str, run: str) -> bool:
    before = stem[: len(stem) - len(run)].rstrip("_-. ")
    return bool(before) and role_of(_last_run(before)) == "mask"


def _strip(stem: str, end: int) -> int:
    """`end` without what parts runs before it."""
    while end > 0 and stem[end - 1] in "_-. ":
        end -= 1
    return end


def _last_run(stem: str) -> str:
    return _RUNS.split(stem)[-1] if stem else ""


def _first_run(stem: str) -> str:
    return _RUNS.split(stem)[0]
