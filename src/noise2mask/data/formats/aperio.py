"""Images with outlines drawn in Aperio ImageScope, as those of MoNuSeg 2018.

An image ``<id>.tif`` and its ``<id>.xml`` lie anywhere below the folder of their split, together
or in folders of their own. The XML holds ``Annotations/Annotation/Regions/Region/Vertices/Vertex``
with the attributes ``X`` and ``Y`` in pixels, which count from the upper left corner of the image
to the right and downward and may have fractions or lie outside. ``Annotation`` is a layer.

The mask is the union of the filled regions. A pixel is in a region if its centre (column + 1/2,
row + 1/2) is, by the nonzero rule: what an outline goes around at all is inside. (MoNuSeg's own
script, with MATLAB's `poly2mask`, puts the same mask half a pixel further up and to the left.) A
region with ``NegativeROA="1"`` is taken out of its layer. Regions of less than three vertices
(pointers, rulers) have no area.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
from pydantic import Field

from noise2mask.data.formats.image_files import read_image
from noise2mask.data.formats.listing import files_below, folder_of
from noise2mask.data.formats.pairing import Root, add, listed
from noise2mask.data.source import Image, Listing, Mask, Source
from noise2mask.errors import UserError

Outline = npt.NDArray[np.float64]  # (vertices, 2) of x and y in pixels from the upper left corner

_PATIENT = re.compile(r"TCGA-\w{2}-\w{4}")  # the first part of a barcode of The Cancer Genome Atlas


def sources(
    *,
    root: Root,
    train: Annotated[
        str, Field(description="folder in root with the training images; all, without `test`")
    ],
    test: Annotated[str | None, Field(description="folder in root with the test images")] = None,
    include: Annotated[
        tuple[str, ...], Field(description="ids of the images to use, each must be there; all")
    ] = (),
) -> Listing:
    """The images below both folders; those of one patient (TCGA barcode) are one group.

    Raises:
        UserError: a folder is missing or empty, an image or its XML is missing, two files have
            one id, or an id of `include` is not there.
    """
    split_of = {train: None} if test is None else {train: "train", test: "test"}
    cases: dict[str, Source] = {}
    for folder, split in split_of.items():
        for id, (image, outlines) in _pairs(folder_of(root) / folder, frozenset(include)).items():
            if id in cases:
                raise UserError(
                    f"{image} and {cases[id].payload['image']} have the same id {id!r}, but no "
                    "image may be in both training and test; correct `train`, `test` or `include`."
                )
            patient = _PATIENT.match(id)
            group = patient.group() if patient else id
            cases[id] = Source(id, group, split, {"image": image, "mask": outlines})
    if missing := sorted(set(include) - cases.keys()):
        raise UserError(
            f"{listed('id', missing, 'no image')} in {root}, but `include` has it; restore "
            "the files or correct `include`."
        )
    return Listing(cases[id] for id in sorted(cases))


def load(source: Source) -> tuple[Image, Mask]:
    """Decode one image and fill its outlines.

    Raises:
        UserError: a file is damaged, the XML is no ImageScope annotation or has a document type,
            a vertex has no coordinates, or every outline lies outside the image.
    """
    image = read_image(source.payload["image"])
    mask = np.zeros(image.shape[:2], dtype=np.bool_)
    outlines, inside = 0, 0
    for layer in _layers(source.payload["mask"]):
        positive, negative = np.zeros_like(mask), np.zeros_like(mask)
        for outline, is_negative in layer:
            fill(negative if is_negative else positive, outline)
            outlines, inside = outlines + 1, inside + (_window(outline, mask) is not None)
        mask |= positive & ~negative
    if outlines and not inside:
        raise UserError(
            f"all {outlines} regions of {source.payload['mask']} lie outside its image, which has "
            f"{image.shape[1]} x {image.shape[0]} pixels; put the annotation of this image there."
        )
    return image, mask


# Files ----------------------------------------------------------------------------------------


def _pairs(folder: Path, include: frozenset[str]) -> dict[str, tuple[Path, Path]]:
    """Image and XML of each id below a folder that must have some."""
    image_of: dict[str, Path] = {}
    xml_of: dict[str, Path] = {}
    for path, place in files_below(folder):
        stem, suffix = PurePosixPath(place).stem, path.suffix.lower()
        if suffix in (".tif", ".tiff"):
            add(image_of, stem, path)
        elif suffix == ".xml":
            add(xml_of, stem, path)
    if not image_of:
        raise UserError(
            f"there is no image (.tif) in {folder} or below; correct `root`, `train` or `test`, or "
            "put the data there."
        )
    wanted = {id for id in image_of.keys() | xml_of.keys() if not include or id in include}
    for found, other, noun, lack in (
        (xml_of, image_of, "image", "no XML of the same name"),
        (image_of, xml_of, "XML file", "no image (.tif) of the same name"),
    ):
        if missing := sorted((wanted & other.keys()) - found.keys()):
            raise UserError(
                f"{listed(noun, missing, lack)} in {folder} or below; restore or remove files."
            )
    return {id: (image_of[id], xml_of[id]) for id in wanted}


# Outlines -------------------------------------------------------------------------------------


class _Builder(ElementTree.TreeBuilder):
    """A tree without document type, so without entities that grow or read files."""

    def doctype(self, name: str, _public: str | None, _system: str | None) -> None:
        raise ValueError(f"its document type {name!r} is refused, for it may hold harmful entities")


def _layers(path: Path) -> Iterator[list[tuple[Outline, bool]]]:
    """The outlines of each layer, and whether they are negative."""
    try:
        parser = ElementTree.XMLParser(target=_Builder())
        tree = ElementTree.fromstring(path.read_bytes(), parser)
    except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
        raise UserError(
            f"{path} could not be read, it is damaged or no annotation of ImageScope ({error}); "
            "restore the file."
        ) from error
    if tree.tag != "Annotations":
        raise UserError(
            f"{path} holds <{tree.tag}>, but an annotation of ImageScope is <Annotations>; restore "
            "the file."
        )
    for annotation in tree.iterfind("Annotation"):
        regions = annotation.findall("Regions/Region")
        outlines = [(_outline(path, one), one.get("NegativeROA") == "1") for one in regions]
        yield [(outline, negative) for outline, negative in outlines if len(outline) > 2]


def _outline(path: Path, region: ElementTree.Element) -> Outline:
    try:
        vertices = [
            (float(vertex.attrib["X"]), float(vertex.attrib["Y"]))
            for vertex in region.iterfind("Vertices/Vertex")
        ]
        outline = np.array(vertices, dtype=np.float64).reshape(-1, 2)
    except (KeyError, ValueError):
        outline = np.array([[np.nan, np.nan]])
    if not np.isfinite(outline).all():
        raise UserError(
            f"the region {region.get('Id', 'without Id')} of {path} has a vertex whose X or Y is "
            "missing or no number; correct or restore the file."
        )
    return outline


def fill(mask: Mask, outline: Outline) -> None:
    """Set the pixels of a mask (H, W) whose centres lie inside a closed outline.

    What the outline goes around is inside, however often and in whichever direction (the nonzero
    rule): an outline drawn by hand mostly overlaps its own start, and the even-odd rule of
    `skimage.draw.polygon` and `matplotlib.path` leaves a hole there. A centre exactly on an edge
    belongs to what lies to the right of it or below.
    """
    window = _window(outline, mask)
    if window is None:
        return
    left, top, right, bottom = window
    width, height = right - left, bottom - top
    start = outline - (left, top)
    end = np.roll(start, -1, axis=0)
    # An edge is crossed by the rows whose centres r + 1/2 lie in [lower y, upper y).
    low = np.clip(np.ceil(np.minimum(start, end)[:, 1] - 0.5), 0, height).astype(int)
    high = np.clip(np.ceil(np.maximum(start, end)[:, 1] - 0.5), 0, height).astype(int)
    edge = np.repeat(np.arange(len(outline)), high - low)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(high - low) - high, high - low)
    (x, y), (dx, dy) = start[edge].T, (end - start)[edge].T
    crossing = x + (row + 0.5 - y) / dy * dx
    column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)
    turns = np.zeros((height, width + 1), dtype=np.int32)
    np.add.at(turns, (row, column), np.sign(dy).astype(np.int32))
    mask[top:bottom, left:right] |= np.cumsum(turns[:, :width], axis=1) != 0


def _window(outline: Outline, mask: Mask) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the pixels that an outline may reach; None: none."""
    height, width = mask.shape
    left, top = np.clip(np.floor(outline.min(axis=0)), 0, (width, height)).astype(int).tolist()
    right, bottom = np.clip(np.ceil(outline.max(axis=0)), 0, (width, height)).astype(int).tolist()
    return (left, top, right, bottom) if left < right and top < bottom else None
