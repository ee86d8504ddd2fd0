"""A folder of images and a folder of masks: anybody's own dataset, without a line of code.

The mask of ``images/<id>.<suffix>`` is ``masks/<id><mask_suffix>.<suffix>``; the suffixes may
differ and are those of :mod:`noise2mask.data.formats.image_files`, which also says how files are
decoded. Folders inside them are entered: images and masks then pair by their path, or by their
name where only one of the two is divided into folders. Where `root` has no such folder itself but
each of its folders has (``train/images``, ``test/images``), all of them are read. What has the same
name in several folders takes the folder into its id: ``train_case1``.

Images of nnU-Net (``<id>_0000.png``) are known by their masks, which lack the number.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple

from pydantic import Field

from noise2mask.data.formats.image_files import SUFFIXES, stem_of
from noise2mask.data.formats.listing import Entry, composed, files_below, folder_of
from noise2mask.data.formats.pairing import (
    Axes,
    Foreground,
    Ignore,
    Percentiles,
    Reading,
    Root,
    SplitOf,
    Threshold,
    WhiteIsZeroMasks,
    Window,
    add,
    listed,
    load_pair,
    matches,
    named_splits,
    read_table,
)
from noise2mask.data.formats.pairing import described as described
from noise2mask.data.formats.pairing import judged as judged
from noise2mask.data.formats.pairing import load_known as load_known
from noise2mask.data.formats.pairing import survey as survey
from noise2mask.data.formats.spatial_files import companions
from noise2mask.data.source import Image, Levels, Listing, Mask, Source
from noise2mask.errors import UserError

GROUP_COLUMNS = ("group", "patient", "slide")
_FIRST_CHANNEL = "_0000"
_SPLIT_WORDS = {"train", "training", "val", "valid", "validation", "test", "testing"}


def sources(
    *,
    root: Root,
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
        str | None,
        Field(description="regular expression; its first group in the path is the split"),
    ] = None,
    split_of: SplitOf = {},  # noqa: B006
    group_pattern: Annotated[
        str | None,
        Field(description="regular expression; its first group in the path is the group"),
    ] = None,
    foreground: Foreground = None,
    ignore: Ignore = None,
    threshold: Threshold = None,
    white_is_zero: WhiteIsZeroMasks = None,
    stored_axes: Axes = None,
    window: Window = None,
    percentiles: Percentiles = None,
) -> Listing:
    """The pairs of images and masks below `root`.

    The patterns search the path below the folder of images without its suffix, which is the id
    where there are no folders.

    Raises:
        UserError: a folder is missing or empty, images and masks do not pair, or the splits or
            groups do not fit the files.
    """
    reading = Reading(
        foreground, threshold, white_is_zero, stored_axes, window, percentiles, ignore=ignore
    )
    reading.check(root)
    found = _pairs(folder_of(root), images, masks, composed(mask_suffix))
    if splits is not None and split_pattern is not None:
        raise UserError(
            f"both splits {splits!r} and split_pattern {split_pattern!r} are given for {root}; "
            "give only one of them."
        )
    places = {id: pair.place for id, pair in found.pairs.items()}
    groups = {id: id for id in found.pairs}
    said: dict[str, str] = {}
    origin = ""
    tables: list[Path] = []
    notes: list[str] = []
    if splits is not None:
        table = folder_of(root) / Path(splits).expanduser()
        said, groups, notes = _read_splits(table, groups)
        origin, tables = str(table), [table]
    if split_pattern is not None:
        said = matches(split_pattern, "split_pattern", places)
        origin = f"split_pattern {split_pattern!r}"
    split = named_splits(said, split_of, origin)
    if group_pattern is not None:
        groups = matches(group_pattern, "group_pattern", places)
    return Listing(
        (
            Source(
                id,
                groups[id],
                split.get(id),
                {"image": pair.image, "mask": pair.mask, "reading": reading, **_beside(pair)},
            )
            for id, pair in found.pairs.items()
        ),
        unused=found.unused,
        tables=tables,
        notes=notes if said else _split_folders(places.values()),
    )


def load(source: Source) -> tuple[Image, Mask | Levels]:
    """Decode one image and its mask.

    Raises:
        UserError: a file is damaged, the sizes differ, or the mask's foreground is not clear.
    """
    return load_pair(source)


def _split_folders(places: Iterable[str]) -> list[str]:
    """A note where folders are called as splits are and nobody said that they are."""
    folders = sorted({place.partition("/")[0] if "/" in place else "" for place in places})
    if len(folders) < 2 or not {name.casefold() for name in folders} <= _SPLIT_WORDS:
        return []
    pattern = f"^({'|'.join(folders)})/"
    return [
        f"the folders {', '.join(folders)} are not taken for splits; if they are, set "
        f"`split_pattern` to {pattern!r}, and `split_of` where their names are others than train, "
        "val and test."
    ]


# Files ----------------------------------------------------------------------------------------


class _Pair(NamedTuple):
    """An image and its mask; `place` is the path of the image below its folder, no suffix."""

    image: Path
    mask: Path
    place: str


class _Found(NamedTuple):
    """Pairs by id, sorted, and what is not used, by the reason."""

    pairs: dict[str, _Pair]
    unused: dict[str, list[str]]


def _beside(pair: _Pair) -> dict[str, tuple[Path, ...]]:
    """Files that hold the voxels of a header file."""
    beside = (*companions(pair.image), *companions(pair.mask))
    return {"beside": beside} if beside else {}


def _pairs(root: Path, images: str, masks: str, mask_suffix: str) -> _Found:
    """Image and mask of each id, in the order of the ids."""
    if root / images == root / masks and not mask_suffix:
        raise UserError(
            f"images and masks are both in {root / images}, so their names must differ; set "
            "`mask_suffix` or use two folders."
        )
    unused: dict[str, list[str]] = {}
    image_at: dict[str, Path] = {}
    mask_at: dict[str, Path] = {}
    for part in _parts(root, images, masks):
        prefix = f"{part.name}/" if part != root else ""
        one_folder = part / images == part / masks
        for stem, entry in _files(part / images, part / masks, prefix, unused):
            if one_folder and stem.endswith(mask_suffix):
                continue
            add(image_at, prefix + stem, entry.path)
        for stem, entry in _files(part / masks, part / images, prefix, unused):
            if stem.endswith(mask_suffix):
                add(mask_at, prefix + stem.removesuffix(mask_suffix), entry.path)
            elif not one_folder:
                unused.setdefault(f"masks without {mask_suffix!r} at their end", []).append(
                    prefix + entry.place
                )
    image_at = _without_channel(root, image_at, mask_at)
    if image_at.keys() != mask_at.keys():
        image_at, mask_at = _by_name(image_at, mask_at)
    _check_complete(root, images, masks, mask_suffix, image_at, mask_at)
    id_of = _ids(image_at)
    pairs = {id_of[place]: _Pair(image_at[place], mask_at[place], place) for place in image_at}
    return _Found(dict(sorted(pairs.items())), unused)


def _parts(root: Path, images: str, masks: str) -> list[Path]:
    """The folders that hold a folder of images and one of masks: `root`, or each one in it."""
    if not (root / images).is_dir() and not (root / masks).is_dir() and root.is_dir():
        inside = [
            path
            for path in sorted(root.iterdir())
            if not path.name.startswith(".")
            and (path / images).is_dir()
            and (path / masks).is_dir()
        ]
        if inside:
            return inside
    return [root]


def _files(
    folder: Path, other: Path, prefix: str, unused: dict[str, list[str]]
) -> list[tuple[str, Entry]]:
    """Path without suffix, and entry, of each file that is read in a folder that has some."""
    if not folder.is_dir():
        raise UserError(
            f"the folder {folder} does not exist; correct `root`, `images` or `masks`, or put the "
            "data there."
        )
    found = []
    passed: dict[str, list[str]] = {}
    behind: set[Path] = set()
    for entry in files_below(folder, without=[other]):
        stem = stem_of(entry.place)
        reason = None
        if not entry.path.is_file():
            reason = "links that lead nowhere"
        elif stem is None:
            reason = f"of a suffix that is not read ({PurePosixPath(entry.place).suffix or 'none'})"
        if reason is not None or stem is None:
            passed.setdefault(str(reason), []).append(prefix + entry.place)
        else:
            behind.update(companions(entry.path))
            found.append((stem, entry))
    for reason, places in passed.items():
        named = [place for place in places if folder / place.removeprefix(prefix) not in behind]
        label = f"{reason}, in {folder.name}/"
        already = unused.setdefault(label, [])
        already.extend(place for place in named if place not in already)
    if not found:
        raise UserError(
            f"the folder {folder} holds no image; the suffixes that are read are "
            f"{', '.join(SUFFIXES)}."
        )
    return found


def _without_channel(
    root: Path, image_at: dict[str, Path], mask_at: Mapping[str, Path]
) -> dict[str, Path]:
    """Images without nnU-Net's number of a channel, if all of them have one and no mask has."""
    if not all(place.endswith(_FIRST_CHANNEL) for place in image_at) or any(
        place in mask_at for place in image_at
    ):
        several = [place for place in image_at if place.endswith("_0001")]
        bare = {place.removesuffix("_0001") for place in several}
        if several and bare <= mask_at.keys():
            raise UserError(
                f"{listed('image', several, 'several channels')} (<id>_0000, <id>_0001, ...) in "
                f"{root}, but an image of the kind folder is one file; keep the channel that "
                "counts, or save the channels as one RGB image."
            )
        return image_at
    return {place.removesuffix(_FIRST_CHANNEL): path for place, path in image_at.items()}


def _by_name(
    image_at: dict[str, Path], mask_at: dict[str, Path]
) -> tuple[dict[str, Path], dict[str, Path]]:
    """The masks under the paths of their images, where only one of both lies in folders."""
    names = {place: PurePosixPath(place).name for place in (*image_at, *mask_at)}
    image_of = {names[place]: place for place in image_at}
    unique = len(image_of) == len(image_at)
    if not unique or len({names[place] for place in mask_at}) != len(mask_at):
        return image_at, mask_at
    flat = all("/" not in place for place in image_at) or all("/" not in place for place in mask_at)
    if not flat:
        return image_at, mask_at
    return image_at, {image_of.get(names[place], place): path for place, path in mask_at.items()}


def _check_complete(
    root: Path,
    images: str,
    masks: str,
    mask_suffix: str,
    image_at: Mapping[str, Path],
    mask_at: Mapping[str, Path],
) -> None:
    if missing := sorted(image_at.keys() - mask_at.keys()):
        raise UserError(
            f"{listed('image', missing, 'no mask')} in {root / masks} (a mask is named "
            f"<id>{mask_suffix} with one of the suffixes {', '.join(SUFFIXES)}); add the masks or "
            "remove the images."
        )
    if missing := sorted(mask_at.keys() - image_at.keys()):
        raise UserError(
            f"{listed('mask', missing, 'no image')} in {root / images}; add the images or remove "
            "the masks."
        )


def _ids(places: Iterable[str]) -> dict[str, str]:
    """An id for each path: its name, with the folders before it where the name is not unique."""
    names = {place: PurePosixPath(place).name for place in places}
    count = Counter(names.values())
    ids = {
        place: name if count[name] == 1 else place.replace("/", "_")
        for place, name in names.items()
    }
    seen: dict[str, str] = {}
    for place, id in ids.items():
        if seen.setdefault(id, place) != place:
            raise UserError(
                f"the images {seen[id]} and {place} would both be the case {id!r}; rename one."
            )
    return ids


# Splits and groups ----------------------------------------------------------------------------


def _read_splits(
    path: Path, groups: dict[str, str]
) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """What says the split, and the group, of each id, from a CSV that must name every id once.

    Returns:
        Both, and what a person should know of the groups.
    """
    rows = read_table(path, ("id", "split"), "group, patient or slide", groups)
    columns = list(next(iter(rows.values()), ()))
    grouping = next(
        (name for wanted in GROUP_COLUMNS for name in columns if name.casefold() == wanted), None
    )
    notes = []
    if grouping is not None:
        said = {id: row[grouping] for id, row in rows.items()}
        blank = [id for id, group in said.items() if not group]
        if len(blank) == len(said):
            notes.append(
                f"{path} names no {grouping}, so each case is taken as a group of its own."
            )
        elif blank:
            raise UserError(
                f"{listed('case', blank, f'no {grouping}')} in {path}, so each may be a group of "
                f"its own or share a {grouping} with others; write its {grouping} there, or its "
                "own id if it stands alone."
            )
        else:
            groups = said
    elif others := [name for name in columns if name and name not in {"id", "split"}]:
        notes.append(
            f"{path} has no column group, patient or slide, so each case is taken as a group of "
            f"its own; {', '.join(others)}: not used, rename what names the patient or slide."
        )
    return {id: row["split"] for id, row in rows.items()}, groups, notes
