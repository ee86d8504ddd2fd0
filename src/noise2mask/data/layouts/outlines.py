"""Folders whose masks are outlines in XML: those of Aperio ImageScope are read, others named."""

import re
from pathlib import Path, PurePosixPath
from typing import Any

from noise2mask.data.layouts.answers import Answers, Choice, Layout, Question, Shown
from noise2mask.data.layouts.contents import pictures_of
from noise2mask.data.layouts.entry import checked_options
from noise2mask.data.layouts.families import Tree, suffix_of
from noise2mask.data.layouts.words import SPLIT_WORDS
from noise2mask.data.source import listed, some
from noise2mask.errors import UserError

_APERIO = "Annotations"
_TAG = re.compile(rb"<([A-Za-z_][\w.-]*)")
_KNOWN = {
    "ASAP_Annotations": "the outlines of ASAP",
    "annotation": "the boxes or polygons of Pascal VOC or LabelMe",
    "LidcReadMessage": "the readings of LIDC-IDRI",
}
_TIFF = (".tif", ".tiff")


def outlines_in(tree: Tree, answers: Answers) -> Layout | None:
    """The entry for images with outlines, None if masks are pictures or there are no outlines.

    Raises:
        UserError: the outlines are of a program whose files are not read.
    """
    xml = tree.others.get(".xml", ())
    images = [member for family in tree.families for member in family.members]
    stems = {PurePosixPath(place).stem for place in xml}
    beside = [m for m in images if PurePosixPath(m.place).name.split(".")[0] in stems
              or PurePosixPath(m.place).stem in stems]  # fmt: skip
    if not beside or any(family.role == "mask" for family in tree.families):
        return None
    tags = {_tag(tree.root / place) for place in xml}
    if tags != {_APERIO}:
        odd = next(tag for tag in sorted(tags) if tag != _APERIO)
        what = _KNOWN.get(odd, f"<{odd}>" if odd else "no XML")
        raise UserError(
            f"{tree.root} holds {len(images)} images and {len(xml)} XML files ({some(xml)}) with "
            f"{what}, but outlines are read as Aperio ImageScope writes them (<{_APERIO}>); draw "
            "them as masks, one PNG an image, and add the folder again."
        )
    if odd_images := [m.place for m in beside if suffix_of(m.place) not in _TIFF]:
        raise UserError(
            f"{tree.root} holds outlines of ImageScope beside {some(odd_images)}, but the kind "
            "aperio reads them beside TIFF images; save these as TIFF."
        )
    options = {"root": str(tree.root), **_folders([m.place for m in beside], answers)}
    if "train" not in options:
        first = sorted({PurePosixPath(m.place).parts[0] for m in beside})
        question = Question(
            f"the folders {', '.join(first)} hold images with outlines; which is tested on?",
            (
                *(Choice(f"--set train={one} --set test={two}", "") for one in first
                  for two in first if one != two),
                Choice("--no-splits", "all are split anew"),
            ),
        )  # fmt: skip
        return Layout((_told(beside, xml),), (question,))
    listing = listed("aperio", checked_options("aperio", options))
    groups = len({source.group for source in listing})
    told = (
        _told(beside, xml),
        f"{groups} groups of {len(listing)} cases (patients by the barcode of TCGA, else each "
        "image its own)",
    )
    preview = (Shown("", pictures_of("aperio", listing)),)
    return Layout(told, (), "aperio", options, {}, (), listing, preview)


def _told(beside: list[Any], xml: tuple[str, ...]) -> str:
    return f"{len(beside)} images with outlines of Aperio ImageScope ({some(xml, 2)})"


def _folders(places: list[str], answers: Answers) -> dict[str, Any]:
    """The options `train` and `test`; empty if folders are called otherwise."""
    if "train" in answers.settings:
        return dict(answers.settings)
    first = {PurePosixPath(place).parts[0] for place in places}
    of = {SPLIT_WORDS.get(name.lower(), ""): name for name in first}
    if answers.no_splits or len(first) == 1 or any(len(PurePosixPath(p).parts) < 2 for p in places):
        return {"train": "."}
    if set(of) == {"train", "test"} and len(first) == 2:
        return {"train": of["train"], "test": of["test"]}
    # Images and outlines in folders of their own are no splits.
    return {"train": "."} if len(first) == 1 else {}


def _tag(path: Path) -> str:
    """The outermost tag of an XML file, "" if it has none."""
    try:
        with path.open("rb") as file:
            head = file.read(4000)
    except OSError:
        return ""
    found = _TAG.search(head)
    return found[1].decode() if found else ""
