"""What datasets of separate image and mask files share: decoding a pair, splits, groups.

The payload of a source holds "image", a path; "mask", a path or a tuple of paths (none: all
background), of which `several` makes one mask; what a user said of them (see :class:`Reading`);
and, once the whole set was judged, "rules", one for each mask file.
"""

import csv
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from noise2mask.data.annotators import annotated, together
from noise2mask.data.formats import spatial_files
from noise2mask.data.formats.image_files import Picture, anatomical, decode, form_of, image_of
from noise2mask.data.formats.listing import composed
from noise2mask.data.formats.mask_files import (
    COLOUR_NOISE,
    MaskFacts,
    MaskRule,
    Polarity,
    described_masks,
    facts_of,
    judge,
    left_out_of,
    mask_of,
    read_planes,
    selected,
)
from noise2mask.data.source import (
    Details,
    Image,
    Levels,
    Listing,
    Mask,
    Source,
    some,
    with_left_out,
)
from noise2mask.data.splits import SPLITS
from noise2mask.errors import UserError
from noise2mask.patterns import bounded

Split = Literal["train", "val", "test"]
StoredAxes = Literal["columns_rows", "rows_columns"]

# Options that several kinds have.
Root = Annotated[str, Field(description="folder of the dataset")]
Foreground = Annotated[
    tuple[int, ...] | None,
    Field(description="mask values that are foreground; none: the higher one of two"),
]
Ignore = Annotated[
    tuple[int, ...] | None,
    Field(min_length=1, description="mask values of pixels left out of losses and scores"),
]
Threshold = Annotated[
    int | None,
    Field(description="mask values above it are foreground, of lossy masks or numbered objects"),
]
Fill = Annotated[bool, Field(description="masks are outlines, what they enclose counts")]
MissingMask = Annotated[
    Literal["refuse", "skip", "empty"],
    Field(description="an image without mask is an error, left out, or all background"),
]
WhiteIsZeroMasks = Annotated[
    Polarity | None,
    Field(description="values of TIFF masks that say that 0 is white: as stored or as shown"),
]
Axes = Annotated[
    StoredAxes | None,
    Field(description="axes of NIfTI, NRRD or MetaImage slices, where headers cannot tell"),
]
Window = Annotated[
    tuple[float, float] | None,
    Field(description="image values that become black and white, in CT Hounsfield units"),
]
Percentiles = Annotated[
    tuple[float, float] | None,
    Field(description="the same, as percent of an image's values that lie below"),
]
SplitOf = Annotated[dict[str, Split], Field(description="split for each text that the paths say")]


class Reading(NamedTuple):
    """What a user said of how files are read; it goes into every payload.

    Attributes:
        foreground: mask values that are foreground.
        threshold: mask values above it are foreground.
        white_is_zero: which values of masks count where 0 is said to be white.
        stored_axes: how slices with a header lie in their file, where the header does not count.
        window: values of images that become black and white.
        percentiles: the same in percent of the values below.
        planes: planes that are united, of masks that are NPY arrays (P, H, W).
        fill: masks are outlines, and what they enclose counts.
        ignore: mask values of pixels that are left out of losses and scores.
        several: what several masks of an image are.
    """

    foreground: tuple[int, ...] | None = None
    threshold: int | None = None
    white_is_zero: Polarity | None = None
    stored_axes: StoredAxes | None = None
    window: tuple[float, float] | None = None
    percentiles: tuple[float, float] | None = None
    planes: tuple[int, ...] | None = None
    fill: bool = False
    ignore: tuple[int, ...] | None = None
    several: str | int = "union"

    def check(self, root: str) -> None:
        """Refuse options that contradict each other.

        Raises:
            UserError: there are two answers to what is foreground or what is white.
        """
        if self.foreground is not None and self.threshold is not None:
            raise UserError(
                f"both foreground {list(self.foreground)} and threshold {self.threshold} are given "
                f"for {root}; give only one of them."
            )
        if both := set(self.foreground or ()) & set(self.ignore or ()):
            raise UserError(
                f"the value {min(both)} is among both foreground {list(self.foreground or ())} and "
                f"ignore {list(self.ignore or ())} of {root}; name it in one of them."
            )
        if self.ignore is not None and self.planes is not None:
            raise UserError(
                f"both ignore {list(self.ignore)} and mask_planes {list(self.planes)} are given "
                f"for {root}, but planes have no value for pixels that are left out; give only one."
            )
        if self.window is not None and self.percentiles is not None:
            raise UserError(
                f"both window {list(self.window)} and percentiles {list(self.percentiles)} are "
                f"given for {root}; give only one of them."
            )
        for name, pair in (("window", self.window), ("percentiles", self.percentiles)):
            if pair is not None and not pair[0] < pair[1]:
                raise UserError(
                    f"{name} {list(pair)} for {root} must be a lower and a higher value, e.g. "
                    f"{'[-160, 240]' if name == 'window' else '[0.5, 99.5]'}."
                )


# Decoding -------------------------------------------------------------------------------------


class _Read(NamedTuple):
    """An image (H, W, C), its masks (H, W) each, what is left out (H, W), and a pixel's sides."""

    image: Image
    masks: list[Mask]
    left_out: Mask
    sides: tuple[float, float] | None


def load_pair(source: Source) -> tuple[Image, Mask | Levels]:
    """Decode one image and its mask.

    Raises:
        UserError: a file is damaged, the sizes differ, the headers place image and mask apart, or
            the mask's foreground is not clear.
    """
    return load_known(source)[:2]


def load_known(source: Source) -> tuple[Image, Mask | Levels, Details]:
    """As :func:`load_pair`, with all annotators' masks and the sides that the header tells."""
    reading, read = _reading(source), _read(source)
    mask = together(read.masks, reading.several) if read.masks else np.zeros_like(read.left_out)
    references = np.stack(read.masks) if annotated(reading.several) and read.masks else None
    levels = mask if reading.ignore is None else with_left_out(mask, read.left_out)
    return read.image, levels, Details(references, read.sides)


def _read(source: Source) -> _Read:
    reading = _reading(source)
    picture = decode(source.payload["image"])
    masks = _mask_paths(source)
    laid = [_laid_out(picture, decode(path), reading) for path in _decoded(masks, reading)]
    own = laid[0][0] if laid else _without_partner(picture, reading, alone=not masks)
    image = image_of(own, window=reading.window, percentiles=reading.percentiles)
    left_out: Mask = np.zeros(image.shape[:2], dtype=np.bool_)
    if reading.planes:
        parts = [_planes_united(path, reading, image.shape, picture.path) for path in masks]
        return _Read(image, parts, left_out, own.sides)
    parts = []
    rules = source.payload.get("rules") or judge_alone([mask for _, mask in laid], reading)
    for (_, mask), rule in zip(laid, rules, strict=True):
        check_size(image.shape, picture.path, mask.pixels.shape, mask.path, picture.orientation)
        part = mask_of(mask, rule)
        parts.append(filled(part) if reading.fill else part)
        left_out |= left_out_of(mask, rule)
    return _Read(image, parts, left_out, own.sides)


def _reading(source: Source) -> Reading:
    reading: Reading = source.payload.get("reading", Reading())
    return reading


def _mask_paths(source: Source) -> tuple[Path, ...]:
    given = source.payload["mask"]
    return (given,) if isinstance(given, Path) else tuple(given)


def _decoded(masks: Sequence[Path], reading: Reading) -> Sequence[Path]:
    return () if reading.planes else masks


def judge_alone(masks: Sequence[Picture], reading: Reading) -> list[MaskRule]:
    """Rules for masks of which no others are known."""
    return _judge([facts_of(mask, _tolerance(reading)) for mask in masks], reading)


def _judge(facts: Sequence[MaskFacts], reading: Reading) -> list[MaskRule]:
    return judge(
        facts,
        foreground=reading.foreground,
        threshold=reading.threshold,
        white_is_zero=reading.white_is_zero,
        ignore=reading.ignore or (),
    )


def _tolerance(reading: Reading) -> int:
    return 0 if reading.threshold is None else COLOUR_NOISE


class PairFacts(NamedTuple):
    """What the files of a source hold: the form of its image, if asked, and each of its masks."""

    image: str
    masks: tuple[MaskFacts, ...]


def survey(source: Source, images: bool = False) -> PairFacts:
    """What the files of a source hold.

    Args:
        source: the source.
        images: look at the image too.

    Raises:
        UserError: a file is damaged or no mask.
    """
    reading = _reading(source)
    paths = _decoded(_mask_paths(source), reading)
    masks = tuple(facts_of(decode(path), _tolerance(reading)) for path in paths)
    return PairFacts(form_of(source.payload["image"]) if images else "", masks)


def judged(listing: Listing, facts: Sequence[PairFacts]) -> Listing:
    """The sources with a rule for each of their masks, the same for all that are alike.

    Raises:
        UserError: the values leave open what is foreground, or files can be read in two ways.
    """
    if not listing:
        return listing
    flat = [mask for each in facts for mask in each.masks]
    rules = iter(_judge(flat, _reading(listing[0])))
    return listing.with_sources(
        replace(source, payload={**source.payload, "rules": tuple(next(rules) for _ in each.masks)})
        for source, each in zip(listing, facts, strict=True)
    )


def described(listing: Listing, facts: Sequence[PairFacts]) -> list[str]:
    """What the files are and how they are read, a sentence for each group of equal ones."""
    images: dict[str, list[str]] = {}
    for source, each in zip(listing, facts, strict=True):
        images.setdefault(each.image, []).append(source.payload["image"].name)
    told = [
        f"{len(names)} image{'s' * (len(names) != 1)} ({some(names)}): {form}"
        for form, names in sorted(images.items(), key=lambda item: -len(item[1]))
    ]
    judged_masks = [
        (mask, rule)
        for source, each in zip(listing, facts, strict=True)
        for mask, rule in zip(each.masks, source.payload.get("rules", ()), strict=False)
    ]
    return [*told, *described_masks(judged_masks)]


def _planes_united(path: Path, reading: Reading, shape: Sequence[int], image_path: Path) -> Mask:
    planes = read_planes(path, reading.planes or ())
    check_size(shape, image_path, planes.shape[1:], path, 1)
    mask = np.any(selected(planes, reading.foreground, reading.threshold), axis=0)
    return filled(mask) if reading.fill else mask


def check_size(
    shape: Sequence[int], image: Path, mask_shape: Sequence[int], mask: Path, orientation: int
) -> None:
    """Refuse a mask of another size than its image's.

    Args:
        shape: of the image, (H, W, ...).
        image: its file.
        mask_shape: of the mask, (H, W, ...).
        mask: its file.
        orientation: the tag by which the image was turned, 1 if it was not.

    Raises:
        UserError: the sizes differ.
    """
    if tuple(shape[:2]) != tuple(mask_shape[:2]):
        turned = (
            f" (turned by its orientation tag {orientation}, as viewers show it)"
            if orientation != 1
            else ""
        )
        raise UserError(
            f"{image} has {shape[1]} x {shape[0]} pixels{turned}, but its mask {mask} has "
            f"{mask_shape[1]} x {mask_shape[0]}; image and mask must have the same size."
        )


# Where pixels lie -----------------------------------------------------------------------------


def _laid_out(image: Picture, mask: Picture, reading: Reading) -> tuple[Picture, Picture]:
    """Image and mask, both with rows and columns of one picture.

    Where both have a header, they must lie on each other, and are turned by it unless both are
    pictures as they are stored. A header beside a picture without one says nothing of the other's
    rows and columns: SimpleITK and nibabel lay the same array out in different ways. DICOM and
    files of ITK that are not turned are the exception, their rows are those of a picture.
    """
    if image.header is None and mask.header is None:
        return image, mask
    if reading.stored_axes is not None:
        return _as_stored(image, reading.stored_axes), _as_stored(mask, reading.stored_axes)
    if image.header is not None and mask.header is not None:
        spatial_files.check_equal_grids(image.header, mask.header, "mask")
        headers = (image.header, mask.header)
        if all(spatial_files.is_picture_like(header) for header in headers):
            return image, mask
        return anatomical(image), anatomical(mask)
    headed, plain = (image, mask) if image.header is not None else (mask, image)
    if headed.header is not None and spatial_files.is_picture_like(headed.header):
        return image, mask
    raise UserError(
        f"{headed.path} is {headed.name} beside {plain.path}, and its header cannot say which of "
        "its axes are the columns and rows of a picture, nor from which end they count; set "
        "`stored_axes` to columns_rows, as SimpleITK, ITK-SNAP and MONAI write pictures, or to "
        "rows_columns, as nibabel writes a NumPy array."
    )


def _as_stored(picture: Picture, axes: StoredAxes) -> Picture:
    if picture.header is None or axes == "columns_rows":
        return picture
    sides = picture.sides and picture.sides[::-1]
    return replace(picture, pixels=picture.pixels.swapaxes(0, 1), sides=sides)


def _without_partner(image: Picture, reading: Reading, *, alone: bool) -> Picture:
    """An image whose mask says nothing of places: there is none, or it is an array."""
    if image.header is None or spatial_files.is_picture_like(image.header):
        return image
    if reading.stored_axes is not None:
        return _as_stored(image, reading.stored_axes)
    if not alone:
        raise UserError(
            f"{image.path} is {image.name} beside masks that are NPY arrays, which do not say how "
            "they lie on it; set `stored_axes` to columns_rows or rows_columns."
        )
    return anatomical(image)


def filled(outlines: Mask) -> Mask:
    """The areas (H, W) inside closed outlines.

    An outline that encloses nothing is open, as that of an object cut off by the border of the
    image; its convex hull is taken.
    """
    from scipy import ndimage  # a third of a second, rarely needed

    labels, count = ndimage.label(outlines, structure=np.ones((3, 3)))
    areas: Mask = np.zeros_like(outlines)
    for label in range(1, count + 1):
        outline = labels == label
        area: npt.NDArray[np.bool_] = ndimage.binary_fill_holes(outline)
        if area.sum() == outline.sum():
            from skimage.morphology import convex_hull_image  # half a second

            area = convex_hull_image(outline, offset_coordinates=False)
        areas |= area
    return areas


# Files ----------------------------------------------------------------------------------------


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


def check_several(counts: Mapping[str, int], several: str | int, where: str) -> list[str]:
    """Refuse numbers of masks that `several` does not fit.

    Args:
        counts: of masks, of each id.
        several: see :data:`noise2mask.data.annotators.Several`.
        where: they lie, for messages.

    Returns:
        A sentence about the annotators, if there are some.

    Raises:
        UserError: there are several masks of an image and nobody said what they are, or fewer than
            the number that was asked for.
    """
    many = [id for id, count in counts.items() if count > 1]
    if many and several == "refuse":
        raise UserError(
            f"{listed('image', many, 'several masks')} {where}; set `several` to union (parts of "
            "one mask) or, of annotators, to majority, staple, soft or the number of one of them."
        )
    few = [id for id, count in counts.items() if isinstance(several, int) and 0 < count < several]
    if few:
        raise UserError(
            f"`several` is {several}, but {listed('image', few, 'fewer masks')} {where}; choose a "
            "lower number or another way."
        )
    if not many or several == "union":
        return []
    found = sorted({count for count in counts.values() if count})
    numbers = f"{found[0]} to {found[-1]}" if len(found) > 1 else str(found[0])
    return [f"images have masks of {numbers} annotators, read by `several: {several}`."]


def read_table(
    path: Path, needed: Sequence[str], more: str, ids: Collection[str]
) -> dict[str, dict[str, str]]:
    """The lines of a CSV file by their id, without blanks about names and values.

    Args:
        path: the file.
        needed: columns that must be there, "id" among them.
        more: columns that may be there, for messages.
        ids: each must have one line, and each line must have one of them.

    Raises:
        UserError: the file cannot be read, lacks a column, or its ids are not those.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            columns = [(name or "").strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            lines = [
                {name: composed(value).strip() for name, value in line.items() if name is not None}
                for line in reader
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"the table {path} could not be read ({error}); it must be a CSV file with the columns "
            f"{', '.join(needed)}."
        ) from error
    if missing := [column for column in needed if column not in columns]:
        raise UserError(
            f"the table {path} has no column {missing[0]!r} (it has "
            f"{', '.join(columns) or 'none'}); the columns {', '.join(needed)} are needed, "
            f"separated by commas, and {more} may be given."
        )
    rows: dict[str, dict[str, str]] = {}
    for line in lines:
        if line["id"] in rows:
            raise UserError(f"the table {path} names the id {line['id']!r} twice; remove a line.")
        rows[line["id"]] = line
    if unknown := [id for id in rows if id not in ids]:
        raise UserError(f"{listed('id', unknown, 'no image')} but a line in {path}; correct it.")
    if missing := [id for id in ids if id not in rows]:
        raise UserError(f"{listed('image', missing, 'no line')} in {path}; add them.")
    return rows


# Splits and groups ----------------------------------------------------------------------------


def compiled(pattern: str, option: str) -> re.Pattern[str]:
    """A regular expression that a user gave as `option`, composed as names are.

    Raises:
        UserError: it is none.
    """
    try:
        return re.compile(unicodedata.normalize("NFC", pattern))
    except re.error as error:
        raise UserError(
            f"{option} {pattern!r} is not a regular expression ({error}); correct it."
        ) from error


def matches(pattern: str, option: str, texts: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """What the first group of a regular expression finds for each id.

    Args:
        pattern: the expression.
        option: that gave it, for messages.
        texts: the text to search for each id, or the ids, which are searched themselves.

    Raises:
        UserError: it is no regular expression, has no group, or does not match an id.
    """
    expression = compiled(pattern, option)
    if expression.groups < 1:
        raise UserError(
            f"{option} {pattern!r} has no group; put the part to use in parentheses, e.g. "
            "'^([^_]+)_'."
        )
    text_of = texts if isinstance(texts, Mapping) else {id: id for id in texts}
    with bounded(pattern, option):
        found = {
            id: match.group(1) if (match := expression.search(text)) else None
            for id, text in text_of.items()
        }
    if missing := [id for id, part in found.items() if not part]:
        raise UserError(
            f"{listed('id', missing, f'no match for {option} {pattern!r}')}; correct the pattern "
            "or the file names."
        )
    return {id: str(part) for id, part in found.items()}


def named_splits(
    said: Mapping[str, str], split_of: Mapping[str, str], origin: str
) -> dict[str, str]:
    """The split of each id, out of the text that says it.

    Args:
        said: the text for each id.
        split_of: split for each such text; empty where the texts are splits.
        origin: what says it, for messages.

    Raises:
        UserError: `split_of` lacks a text, or a text is no split.
    """
    unknown = {id: text for id, text in said.items() if split_of and text not in split_of}
    if unknown:
        id, text = min(unknown.items())
        raise UserError(
            f"{origin} gives the case {id!r} the split {text!r}, but `split_of` knows "
            f"{', '.join(split_of)}; add it there."
        )
    splits = {id: split_of.get(text, text) for id, text in said.items()}
    for id, split in splits.items():
        if split not in SPLITS:
            raise UserError(
                f"{origin} gives the case {id!r} the split {split!r}; the splits are "
                f"{', '.join(SPLITS)}."
            )
    return splits
