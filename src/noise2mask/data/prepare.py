"""From raw images and masks to a prepared dataset: decode, cut, resize, split, write.

Images become squares of one resolution: their aspect is not kept, as in the published codes,
which resize to a square too (:mod:`noise2mask.data.resize` says how), or they are padded to a
square before. Large images may be cut into square tiles first (:mod:`noise2mask.data.tiles`), and
shrunk as a whole before that.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from noise2mask import plugins
from noise2mask.data import hints
from noise2mask.data.duplicates import near_duplicates, thumbnail
from noise2mask.data.prepared import NOBODY, SPLITS, Arrays, Case, Manifest, write_dataset
from noise2mask.data.resize import grow_mask, resize_image, resize_levels, resize_mask
from noise2mask.data.source import (
    LEFT_OUT,
    Details,
    Levels,
    Listing,
    Mask,
    Source,
    decided,
    digest_of,
    digest_of_pixels,
    foreground_of,
    function_of,
    listed,
    some,
    surveyed,
    with_left_out,
    workers,
)
from noise2mask.data.splits import assign_splits, shared, units
from noise2mask.data.tiles import Tile, square_side, tiles_of
from noise2mask.errors import UserError
from noise2mask.progress import LOG, Progress

Masks = Literal["area", "grown"]
Validation = Literal["own", "test"]
Leaks = Literal["refused", "accepted"]
Aspect = Literal["stretched", "padded"]

_RESIZE = {"area": resize_mask, "grown": grow_mask}


class _Prepared(NamedTuple):
    """One case at its final resolution, and its line of the manifest."""

    case: Case
    image: npt.NDArray[np.uint8]  # (resolution, resolution, C)
    mask: npt.NDArray[np.uint8]  # (resolution, resolution) of 0, 1 and LEFT_OUT
    references: npt.NDArray[np.uint8] | None  # (R, resolution, resolution), of annotators


class _Done(NamedTuple):
    """What became of one source.

    Attributes:
        cases: its tiles, or itself.
        border: share of foreground on the border of its mask.
        pixels: digest of its image, "" if all its pixels are equal: it is like any other such.
        thumbnail: of its image, (128, 128).
        padded: a tile reaches beyond the image.
        whole: a tile lies inside the image.
    """

    cases: list[_Prepared]
    border: float
    pixels: str
    thumbnail: npt.NDArray[np.uint8]
    padded: bool
    whole: bool


class _Cutting(NamedTuple):
    """How raw images become squares; the fields are those of :func:`prepare`."""

    resolution: int
    tile: int | None
    shrink: int | None
    stride: int | None
    masks: Masks
    aspect: Aspect


def prepare(
    kind: str,
    options: Mapping[str, Any],
    name: str,
    resolution: int,
    shares: Mapping[str, float],
    folder: Path,
    *,
    tile: int | None = None,
    shrink: int | None = None,
    stride: int | None = None,
    masks: Masks = "area",
    validation: Validation = "own",
    leaks: Leaks = "refused",
    aspect: Aspect = "stretched",
    processes: int = 1,
) -> Manifest:
    """Prepare one dataset; equal raw data give equal bytes, whatever the number of processes.

    Args:
        kind: name of a module in ``noise2mask.data.formats``.
        options: options of that kind.
        name: name of the dataset, for the manifest and the messages.
        resolution: side of the prepared images and masks in pixels.
        shares: share of train, val and test, where the dataset brings no splits of its own; of
            the raw images, before they are cut into tiles.
        folder: where the prepared dataset goes.
        tile: None, or cut every raw image into squares of so many pixels, see
            :func:`noise2mask.data.tiles.tiles_of`. A tile's id is ``<id>_y000x128`` (its top left
            pixel); its group and split are those of the image.
        shrink: None, or resize every raw image to a square of this side first; tiles are then cut
            from that.
        stride: step of the tiles of training images in pixels; below `tile` they overlap. None
            means `tile`.
        masks: resized by :func:`resize_mask`, or "grown" by :func:`grow_mask`.
        validation: "test" puts the test cases in place of the validation cases, which are left
            out; training is given the same cases as with "own", but chooses a checkpoint by those
            that it will be scored on. A published quirk, to be measured only.
        leaks: "accepted" lets a group, or equal images, lie in two splits; the manifest says so.
        aspect: "padded" puts the mirror image below or beside an image before it is resized, up to
            a square; that part counts in no loss and in no score, as pixels of `ignore` do not.
        processes: number of processes that decode and resize.

    Raises:
        UserError: the raw data do not have the promised form, files can be read in two ways, two
            splits share a group or an image, `stride` does not fit `tile`, or what is to be padded
            is cut into squares; nothing has been written then.
    """
    if aspect == "padded" and (tile or shrink):
        raise UserError(
            f"{name} has both `aspect: padded` and `{'tile' if tile else 'shrink'}`, which makes "
            "squares of its own; give only one of them."
        )
    if stride is not None and not 0 < stride <= (tile or 0):
        raise UserError(
            f"stride {stride} of {name} is the step of its training tiles, so it must be from 1 to "
            f"`tile`, which is {tile or 'not given'}; change one of them."
        )
    listing = listed(kind, options)
    splits = assign_splits(
        [source.group for source in listing],
        [source.split for source in listing],
        shares,
        leaks_accepted=leaks == "accepted",
        ids=[source.id for source in listing],
    )
    cutting = _Cutting(resolution, tile, shrink, stride, masks, aspect)
    results: list[_Done] = []
    with workers(processes) as work:
        facts = surveyed(kind, listing, f"looking at the masks of {name}", work)
        listing = decided(kind, listing, facts)
        progress = Progress(f"preparing {name}", len(listing))
        prepare_source = partial(_prepare_source, kind, cutting=cutting)
        for result in work(prepare_source, listing, splits):
            results.append(result)
            progress.update(len(results))
    prepared = [each for result in results for each in result.cases]
    _check_masks([each.mask for each in prepared], name)
    _check_tiles(results, name, cutting)
    leaked = _leaks(results, name, leaks)
    notes = [*listing.sentences(), *_notes(listing, splits, results, cutting)]
    for note in notes:
        LOG.warning("%s: %s", name, note)
    if validation == "test":
        prepared = _with_test_as_val(prepared)
    settings = {
        **options, "tile": tile, "shrink": shrink, "stride": stride, "masks": masks,
        "validation": validation, "shares": dict(shares), "leaks": leaks,
        **({"aspect": aspect} if aspect == "padded" else {}),
    }  # fmt: skip
    return write_dataset(
        folder,
        _stacked(prepared),
        [each.case for each in prepared],
        dataset=name,
        kind=kind,
        options=settings,
        leaks=leaked,
        notes=notes,
        references=_references(prepared),
    )


def _leaks(results: Sequence[_Done], name: str, leaks: Leaks) -> str:
    """What splits share, as a sentence; "" if nothing.

    Raises:
        UserError: they share something, and nobody accepted it.
    """
    cases = [result.cases[0].case for result in results]
    found = []
    torn = shared([case.group for case in cases], [case.split for case in cases])
    if torn:
        told = [f"{group} in {' and '.join(torn[group])}" for group in torn]
        noun = "group (patient, slide)" if len(torn) == 1 else "groups (patients, slides)"
        found.append(_leak(f"{len(torn)} {noun}", told, [c for c in cases if c.group in torn]))
    alike: dict[str, list[Case]] = {}
    for case, result in zip(cases, results, strict=True):
        if result.pixels and case.group not in torn:  # those are told already
            alike.setdefault(result.pixels, []).append(case)
    equal = [several for several in alike.values() if len({case.split for case in several}) > 1]
    if equal:
        told = [" = ".join(f"{case.image} ({case.split})" for case in several) for several in equal]
        noun = "image is" if len(equal) == 1 else "images are"
        twice = [case for several in equal for case in several]
        found.append(_leak(f"{len(equal)} {noun} there twice,", told, twice))
    sentence = "; ".join(found)
    if sentence and leaks == "refused":
        raise UserError(
            f"leak: splits of {name} share what they should not: {sentence}. Scores would be too "
            "good: put the cases of each into one split (`splits`, `group_pattern`), or say "
            "`leaks: accepted` for this dataset in the study, which every report then tells."
        )
    return sentence


def _leak(subject: str, examples: Sequence[str], cases: Sequence[Case]) -> str:
    tests = sum(case.split == "test" for case in cases)
    return f"{subject} in several splits ({some(examples)}), {tests} test images concerned"


def _notes(
    listing: Listing, splits: Sequence[str], results: Sequence[_Done], cutting: _Cutting
) -> Iterator[str]:
    """What a person should know before anything is trained."""
    yield from hints.of_ids([source.id for source in listing], [s.group for s in listing], splits)
    yield from hints.of_units(units([source.group for source in listing], splits))
    yield from hints.of_borders([result.border for result in results])
    yield from _look_alikes(listing, splits, results)
    masks = [each.mask for result in results for each in result.cases]
    shares = [float((mask == LEFT_OUT).mean()) for mask in masks]
    if any(shares):
        why = "`aspect: padded`" if cutting.aspect == "padded" else "`ignore`"
        yield (
            f"{sum(shares) / len(shares):.2g} of all pixels, in {sum(map(bool, shares))} of "
            f"{len(shares)} cases, are left out of losses and scores ({why}); fingerprints, "
            "losses along the noise axis and baselines know no such pixels and lack this dataset."
        )
    padded = [source.id for source, result in zip(listing, results, strict=True) if result.padded]
    if padded:
        yield (
            f"{len(padded)} of {len(listing)} images ({some(padded)}) are smaller than a tile of "
            f"{cutting.tile} x {cutting.tile} pixels and are padded by their mirror image, which "
            "is not scored."
        )


def _look_alikes(
    listing: Listing, splits: Sequence[str], results: Sequence[_Done]
) -> Iterator[str]:
    """Pairs of nearly equal images in two splits; equal ones are leaks and told as such."""
    found = near_duplicates(
        np.stack([result.thumbnail for result in results]),
        [source.group for source in listing],
        "comparing images",
    )
    across = [
        (pair.first, pair.second)
        for pair in found.pairs
        if splits[pair.first] != splits[pair.second]
        and results[pair.first].pixels != results[pair.second].pixels
    ]
    if across:
        told = [
            " and ".join(f"{listing[place].id} ({splits[place]})" for place in pair)
            for pair in across
        ]
        noun = "pair of cases shows" if len(across) == 1 else "pairs of cases show"
        yield (
            f"leak?: {len(across)} {noun} nearly the same image in two splits ({some(told)}); if "
            "they are of one patient, give their groups."
        )


def _check_tiles(results: Sequence[_Done], name: str, cutting: _Cutting) -> None:
    if cutting.tile is not None and not any(result.whole for result in results):
        where = f", each shrunk to {cutting.shrink} pixels," if cutting.shrink else ""
        raise UserError(
            f"no image of {name}{where} is as large as a tile of {cutting.tile} x {cutting.tile} "
            "pixels; choose a smaller `tile`."
        )


def _with_test_as_val(prepared: Sequence[_Prepared]) -> list[_Prepared]:
    """Each test case in val too, and none of the validation cases."""
    kept = [each for each in prepared if each.case.split != "val"]
    again = [each for each in prepared if each.case.split == "test"]
    return kept + [each._replace(case=replace(each.case, split="val")) for each in again]


def _stacked(prepared: Sequence[_Prepared]) -> dict[str, Arrays]:
    """Images and masks of each split; grey images among colour ones become RGB."""
    channels = max((each.image.shape[2] for each in prepared), default=1)
    arrays = {}
    for wanted in SPLITS:
        chosen = [each for each in prepared if each.case.split == wanted]
        images = [np.broadcast_to(each.image, (*each.mask.shape, channels)) for each in chosen]
        arrays[wanted] = np.stack(images), np.stack([each.mask for each in chosen])
    return arrays


def _references(prepared: Sequence[_Prepared]) -> dict[str, npt.NDArray[np.uint8]] | None:
    """The masks of all annotators of each split; of a case without any its mask is the one."""
    count = max((len(each.references) for each in prepared if each.references is not None),
                default=0)  # fmt: skip
    if not count:
        return None
    references = {}
    for wanted in SPLITS:
        chosen = [each for each in prepared if each.case.split == wanted]
        references[wanted] = np.full(
            (len(chosen), count, *prepared[0].mask.shape), NOBODY, dtype=np.uint8
        )
        for own, each in zip(references[wanted], chosen, strict=True):
            alone = foreground_of(each.mask)[None]
            marked = alone if each.references is None else each.references
            own[: len(marked)] = marked
    return references


def _prepare_source(kind: str, source: Source, split: str, *, cutting: _Cutting) -> _Done:
    """Decode one source, cut and resize it."""
    known = Details()
    if load_known := function_of(kind, "load_known"):
        image, mask, known = load_known(source)
    else:
        image, mask = plugins.member("format", kind, "load")(source)
    if image.shape[:2] != mask.shape:
        raise UserError(
            f"the image of case {source.id!r} has {_size(image)} pixels, but its mask has "
            f"{_size(mask)}; image and mask of a case must have the same size."
        )
    marks = None
    if known.references is not None:
        marks = np.moveaxis(known.references.astype(np.uint8), 0, -1)  # H,W,R
    digests = digest_of(source, "image", image), digest_of(source, "mask", mask)
    pixels = "" if (image == image[:1, :1]).all() else digest_of_pixels(image)
    border, small_image = hints.border_share(foreground_of(mask)), thumbnail(image)
    height, width = mask.shape
    extent = None if known.sides is None else np.multiply(known.sides, mask.shape)  # mm
    resize = partial(resize_levels, resize=_RESIZE[cutting.masks])
    if cutting.shrink is not None:
        square = (cutting.shrink, cutting.shrink)
        image, mask = resize_image(image, square), resize(mask, square)
        marks = None if marks is None else _each_resized(marks, square, cutting.masks)
    side = (cutting.resolution, cutting.resolution)
    step = cutting.stride if split == "train" else None
    cut = square_side(mask.shape, cutting.tile, padded=cutting.aspect == "padded")
    sides = None
    if extent is not None:  # of a prepared pixel
        across = extent / mask.shape * (cut or mask.shape) / cutting.resolution
        sides = (float(across[0]), float(across[1]))
    also: list[Tile] = [] if marks is None else list(tiles_of(marks, mask, cut, step))
    prepared = []
    padded = whole = False
    for number, tile in enumerate(tiles_of(image, mask, cut, step)):
        if cutting.tile is not None:
            height, width = tile.height, tile.width
            padded |= (height, width) != (cutting.tile, cutting.tile)
            whole |= (height, width) == (cutting.tile, cutting.tile)
        place = "" if cutting.tile is None else f"_y{tile.top:03d}x{tile.left:03d}"
        levels = _without_padding(tile) if cutting.aspect == "padded" else tile.mask
        small = resize(levels, side).astype(np.uint8)
        case = Case(
            f"{source.id}{place}", split, source.group, width, height, *digests,
            float(foreground_of(small).mean()), source.id, tile.top, tile.left, sides,
            known.slice,
        )  # fmt: skip
        marked = None
        if also:
            marked = np.moveaxis(_each_resized(also[number].image, side, cutting.masks), -1, 0)
        prepared.append(_Prepared(case, resize_image(tile.image, side), small, marked))
    return _Done(prepared, border, pixels, small_image, padded, whole)


def _each_resized(
    marks: npt.NDArray[np.uint8], size: tuple[int, int], masks: Masks
) -> npt.NDArray[np.uint8]:
    """Masks of several annotators (H, W, R) at another size, each as the one mask would be."""
    each = [_RESIZE[masks](marks[..., number] == 1, size) for number in range(marks.shape[2])]
    return np.stack(each, axis=-1).astype(np.uint8)


def _without_padding(tile: Tile) -> Mask | Levels:
    """The mask of a tile, left out where the tile reaches beyond the image."""
    beyond = np.ones(tile.mask.shape, dtype=np.bool_)
    beyond[: tile.height, : tile.width] = False
    if not beyond.any():
        return tile.mask
    return with_left_out(tile.mask == 1, beyond | (tile.mask == LEFT_OUT))


def _size(array: npt.NDArray[Any]) -> str:
    return f"{array.shape[1]} x {array.shape[0]}"


def _check_masks(masks: Sequence[npt.NDArray[np.uint8]], name: str) -> None:
    for value, word, other in (
        (1, "no foreground", "background"),
        (0, "no background", "foreground"),
    ):
        if masks and not any((mask == value).any() for mask in masks):
            raise UserError(
                f"the masks of all {len(masks)} cases of {name} have {word}: every pixel is "
                f"{other}, so there is nothing to learn; check the masks and the options that say "
                "which values are foreground."
            )
