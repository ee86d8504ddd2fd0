"""Image and mask files that a CSV names, a line for each mask.

Columns are ``image`` and ``mask``, paths below `root` or absolute ones, and maybe ``id``,
``split``, and ``group``, ``patient`` or ``slide``; `columns` says what a table calls them where it
has names of its own. Several lines of one image are several masks of it: parts of one
or readings of several annotators (`several`). ``noise2mask data add`` writes such a table where
names alone cannot tell which mask belongs to which image.

`colours` reads colour-coded masks: the pixels of the named colours are foreground. All else is as
in :mod:`noise2mask.data.formats.pairs`.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from noise2mask.data.annotators import Several, annotated, together
from noise2mask.data.formats import pairing
from noise2mask.data.formats.folder import GROUP_COLUMNS
from noise2mask.data.formats.image_files import Picture, decode, form_of, image_of
from noise2mask.data.formats.listing import composed, folder_of
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
    check_size,
    listed,
    named_splits,
)
from noise2mask.data.source import Details, Image, Levels, Listing, Mask, Source, some
from noise2mask.errors import UserError

_COLUMNS = ("image", "mask", "id", "split", "group")
_COLOUR = re.compile(r"#[0-9a-f]{6}", re.IGNORECASE)


def sources(
    *,
    root: Root,
    table: Annotated[
        str, Field(description="CSV with the columns image and mask, in root or the working folder")
    ],
    columns: Annotated[
        dict[Literal["image", "mask", "id", "split", "group"], str],
        Field(description="names of the columns in the table, where they are others"),
    ] = {},  # noqa: B006
    several: Several = "refuse",
    colours: Annotated[
        tuple[str, ...] | None,
        Field(min_length=1, description="colours that are foreground, e.g. '#ff0000'"),
    ] = None,
    split_of: SplitOf = {},  # noqa: B006
    foreground: Foreground = None,
    ignore: Ignore = None,
    threshold: Threshold = None,
    fill: Fill = False,
    missing_mask: MissingMask = "refuse",
    white_is_zero: WhiteIsZeroMasks = None,
    stored_axes: Axes = None,
    window: Window = None,
    percentiles: Percentiles = None,
) -> Listing:
    """The cases of the table.

    The id of a case is that of the table, else the name of its image, with the folders before it
    where the name is not unique.

    Raises:
        UserError: the table cannot be read, lacks a column or contradicts itself, a file is not
            there, an image has no mask or several, or options contradict each other.
    """
    reading = Reading(
        foreground, threshold, white_is_zero, stored_axes, window, percentiles, None, fill, ignore,
        several,
    )  # fmt: skip
    reading.check(root)
    wanted = _colours(colours)
    if wanted and (foreground or ignore or threshold is not None):
        raise UserError(
            f"both colours {list(colours or ())} and values of the masks in {root} are said to be "
            "read; give `colours`, or `foreground`, `threshold` or `ignore`, not both."
        )
    place = _table(folder_of(root), table)
    cases = _cases(place, folder_of(root), columns)
    _check_masks(cases, place, missing_mask)
    notes = check_several({case.id: len(case.masks) for case in cases}, several, f"in {place}")
    said = {case.id: case.split for case in cases if case.split}
    if said and len(said) < len(cases):
        lack = [case.id for case in cases if not case.split]
        raise UserError(f"{listed('case', lack, 'no split')} in {place}, but others have; add it.")
    splits = named_splits(said, split_of, str(place))
    payload = {"reading": reading, "colours": wanted}
    skipped = [case.id for case in cases if not case.masks and missing_mask == "skip"]
    return Listing(
        (
            Source(
                case.id,
                case.group,
                splits.get(case.id),
                {**payload, "image": case.image, "mask": _one_or_all(case.masks)},
            )
            for case in cases
            if case.masks or missing_mask == "empty"
        ),
        unused={"images without a mask (`missing_mask: skip`)": skipped},
        tables=[place],
        notes=notes,
    )


def load(source: Source) -> tuple[Image, Mask | Levels]:
    """Decode one image and its mask.

    Raises:
        UserError: a file is damaged, the sizes differ, or the mask's foreground is not clear.
    """
    return load_known(source)[:2]


def load_known(source: Source) -> tuple[Image, Mask | Levels, Details]:
    """As :func:`load`, with all annotators' masks and the sides that the header tells."""
    if not source.payload["colours"]:
        return pairing.load_known(source)
    reading: Reading = source.payload["reading"]
    picture = decode(source.payload["image"])
    image = image_of(picture, window=reading.window, percentiles=reading.percentiles)
    parts = _coloured(source)
    for path, part in zip(mask_paths(source), parts, strict=True):
        check_size(image.shape, picture.path, part.shape, path, picture.orientation)
    mask = together(parts, reading.several) if parts else np.zeros(image.shape[:2], dtype=np.bool_)
    references = np.stack(parts) if annotated(reading.several) and parts else None
    return image, mask, Details(references)


# The table ------------------------------------------------------------------------------------


class _Case(NamedTuple):
    """One image and its masks, as the table says."""

    id: str
    image: Path
    masks: tuple[Path, ...]
    group: str
    split: str


def _table(root: Path, table: str) -> Path:
    """Where the table is: in the folder of the dataset or in the working folder."""
    given = Path(table).expanduser()
    places = list(dict.fromkeys([root / given, given]))
    found = [place for place in places if place.is_file()]
    if len(found) == 1 or (found and found[0].samefile(found[-1])):
        return found[0]
    if found:
        raise UserError(
            f"table {table!r} can be {found[0]} or {found[1]}; give the path from / on, or remove "
            "one of them."
        )
    raise UserError(
        f"the table {table!r} is neither in {root} nor in the working folder; correct `table`, or "
        "make it with `noise2mask data add`."
    )


def _cases(path: Path, root: Path, columns: Mapping[Any, str]) -> list[_Case]:
    """The cases, in the order of their ids."""
    lines, grouped = _lines(path, columns)
    images: dict[str, list[dict[str, str]]] = defaultdict(list)
    for line in lines:
        if not line["image"]:
            raise UserError(f"{path} has a line without an image; complete or remove it.")
        images[line["image"]].append(line)
    ids = _ids(path, {image: several[0]["id"] for image, several in images.items()})
    cases = []
    for image, several in images.items():
        for what in ("id", "split", "group"):
            if len({line[what] for line in several}) > 1:
                raise UserError(
                    f"{path} gives the image {image} more than one {what} "
                    f"({some(sorted({line[what] for line in several}))}); correct its lines."
                )
        masks = [line["mask"] for line in several if line["mask"]]
        if len(set(masks)) < len(masks):
            raise UserError(f"{path} names a mask of the image {image} twice; remove a line.")
        group = several[0]["group"] if grouped else ""
        cases.append(
            _Case(
                ids[image],
                root / image,
                tuple(root / mask for mask in masks),
                group or ids[image],
                several[0]["split"],
            )
        )
    gone = [str(file) for case in cases for file in (case.image, *case.masks) if not file.is_file()]
    if gone:
        are = "1 file is" if len(gone) == 1 else f"{len(gone)} files are"
        raise UserError(
            f"{are} not there that {path} names ({some(gone)}); paths count from {root}: restore "
            "the files, or correct the table or `root`."
        )
    return sorted(cases, key=lambda case: case.id)


def _lines(path: Path, columns: Mapping[Any, str]) -> tuple[list[dict[str, str]], bool]:
    """The lines by our names of the columns, and whether there is one of groups."""
    names = {name: columns.get(name, name) for name in _COLUMNS}
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        mark = next((each for each in ",;\t" if each in first), ",")
        reader = csv.DictReader(text.splitlines(), restval="", delimiter=mark)
        head = [(name or "").strip() for name in reader.fieldnames or ()]
        reader.fieldnames = head
        raw = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"the table {path} could not be read ({error}); it must be a CSV file with the columns "
            "image and mask."
        ) from error
    if "group" not in columns:
        told = [name for name in head if name.casefold() in GROUP_COLUMNS]
        names["group"] = told[0] if told else "group"
    needed = ["image", "mask", *columns]
    if missing := [names[name] for name in needed if names[name] not in head]:
        raise UserError(
            f"the table {path} has no column {missing[0]!r} (it has {', '.join(head) or 'none'}); "
            "name its columns image and mask, or say in `columns` what they are called."
        )
    lines = [
        {name: composed(str(line.get(column) or "")).strip() for name, column in names.items()}
        for line in raw
    ]
    if not lines:
        raise UserError(f"the table {path} has no lines; add a line for each mask.")
    return lines, names["group"] in head


def _ids(path: Path, given: Mapping[str, str]) -> dict[str, str]:
    """An id for each image: the given one, else its name, else its path."""
    stems = {image: PurePosixPath(image).stem for image in given}
    counts: dict[str, int] = defaultdict(int)
    for stem in stems.values():
        counts[stem] += 1
    ids = {
        image: id
        or (
            stems[image]
            if counts[stems[image]] == 1
            else PurePosixPath(image).with_suffix("").as_posix().replace("/", "_")
        )
        for image, id in given.items()
    }
    seen: dict[str, str] = {}
    for image, id in ids.items():
        if seen.setdefault(id, image) != image:
            raise UserError(
                f"{path}: the images {seen[id]} and {image} would both be the case {id!r}; give "
                "them other ids in a column id."
            )
    return ids


def _check_masks(cases: Sequence[_Case], path: Path, missing: str) -> None:
    without = [case.id for case in cases if not case.masks]
    if without and missing == "refuse":
        raise UserError(
            f"{listed('image', without, 'no mask')} in {path}; add the masks, or set "
            "`missing_mask` to skip or empty."
        )


def _one_or_all(masks: tuple[Path, ...]) -> Path | tuple[Path, ...]:
    return masks[0] if len(masks) == 1 else masks


def mask_paths(source: Source) -> tuple[Path, ...]:
    """The mask files of a source."""
    given = source.payload["mask"]
    return (given,) if isinstance(given, Path) else tuple(given)


# Colours --------------------------------------------------------------------------------------


def _colours(given: Sequence[str] | None) -> tuple[int, ...]:
    """Colours as numbers, red the highest byte."""
    for text in given or ():
        if not _COLOUR.fullmatch(text):
            raise UserError(
                f"colours holds {text!r}, but a colour is written as '#ff0000': two hexadecimal "
                "digits each for red, green and blue."
            )
    return tuple(int(text[1:], 16) for text in given or ())


def colour_numbers(picture: Picture) -> npt.NDArray[np.int64]:
    """The colour of each pixel (H, W) as a number, red the highest byte; alpha does not count.

    Raises:
        UserError: its values have more than 8 bits.
    """
    values = picture.pixels
    if picture.palette is not None:
        values = picture.palette[np.minimum(values, len(picture.palette) - 1)]
    elif picture.bits < 8 and values.dtype.kind in "bu":
        values = values.astype(np.uint8) * (255 // (2**picture.bits - 1))
    if values.dtype != np.uint8:
        raise UserError(
            f"the mask {picture.path} has values of {picture.bits} bits, but colours have 8 in "
            "each channel; leave out `colours` or save it so."
        )
    channels = values if values.ndim == 3 else np.repeat(values[..., None], 3, axis=2)
    wide = channels.astype(np.int64)
    return np.asarray(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2])


def spelled(colour: int) -> str:
    """A colour's number as it is written, ``#ff0000``."""
    return f"#{colour:06x}"


def _coloured(source: Source) -> list[Mask]:
    colours = source.payload["colours"]
    return [np.isin(colour_numbers(decode(path)), colours) for path in mask_paths(source)]


class ColourFacts(NamedTuple):
    """What colour-coded masks of one image hold: the form of the image, if asked, and colours."""

    image: str
    colours: frozenset[int]


# The whole set --------------------------------------------------------------------------------


def survey(source: Source, images: bool = False) -> ColourFacts | pairing.PairFacts:
    """What the files of a source hold.

    Raises:
        UserError: a file is damaged or no mask.
    """
    if not source.payload["colours"]:
        return pairing.survey(source, images)
    form = form_of(source.payload["image"]) if images else ""
    found = [np.unique(colour_numbers(decode(path))) for path in mask_paths(source)]
    return ColourFacts(form, frozenset(int(one) for each in found for one in each))


def judged(listing: Listing, facts: Sequence[Any]) -> Listing:
    """The sources with how each is read, the same for all that are alike.

    Raises:
        UserError: the values leave open what is foreground, files can be read in two ways, or a
            colour is in none of the masks.
    """
    colours = listing[0].payload["colours"] if listing else ()
    if not colours:
        return pairing.judged(listing, facts)
    held = frozenset().union(*(fact.colours for fact in facts))
    if lacking := [spelled(one) for one in colours if one not in held]:
        shown = [spelled(one) for one in sorted(held)]
        raise UserError(
            f"the colour {lacking[0]} is in none of the {len(listing)} masks, which hold "
            f"{some(shown, 12)}; name colours that are there."
        )
    return listing


def described(listing: Listing, facts: Sequence[Any]) -> list[str]:
    """What the files are and how they are read, a sentence for each group of equal ones."""
    colours = listing[0].payload["colours"] if listing else ()
    if not colours:
        return pairing.described(listing, facts)
    held = sorted(frozenset().union(*(fact.colours for fact in facts)))
    return [
        f"{len(listing)} colour-coded masks holding {some([spelled(one) for one in held], 12)}; "
        f"foreground {', '.join(spelled(one) for one in colours)}"
    ]
