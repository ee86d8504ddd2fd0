"""From raw images and masks to a prepared dataset: decode, cut, resize, split, write.

Images become squares of one resolution: their aspect is not kept, as in the published codes,
which resize to a square too (:mod:`noise2mask.data.resize` says how). Large images may be cut into
square tiles first, and shrunk as a whole before that.
"""

import hashlib
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from noise2mask import plugins
from noise2mask.data.prepared import SPLITS, Case, Manifest, write_dataset
from noise2mask.data.resize import grow_mask, resize_image, resize_mask
from noise2mask.data.source import Image, Mask, Source
from noise2mask.data.splits import assign_splits
from noise2mask.errors import UserError
from noise2mask.progress import Progress

Masks = Literal["area", "grown"]
Validation = Literal["own", "test"]

_RESIZE = {"area": resize_mask, "grown": grow_mask}


class _Prepared(NamedTuple):
    """One case at its final resolution, and its line of the manifest."""

    case: Case
    image: npt.NDArray[np.uint8]  # (resolution, resolution, C)
    mask: npt.NDArray[np.uint8]  # (resolution, resolution) of 0 and 1


class _Cutting(NamedTuple):
    """How raw images become squares; the fields are those of :func:`prepare`."""

    resolution: int
    tile: int | None
    shrink: int | None
    stride: int | None
    masks: Masks


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
    processes: int = 1,
) -> Manifest:
    """Prepare one dataset; equal raw data give equal bytes, whatever the number of processes.

    Args:
        kind: name of a module in ``noise2mask.datasets``.
        options: options of that kind.
        name: name of the dataset, for the manifest and the messages.
        resolution: side of the prepared images and masks in pixels.
        shares: share of train, val and test, where the dataset brings no splits of its own; of
            the raw images, before they are cut into tiles.
        folder: where the prepared dataset goes.
        tile: None, or cut every raw image into squares of so many pixels, from the top left; what
            is left over at the right and the bottom is not used. A tile's id is
            ``<id>_y000x128`` (its top left pixel); its group and split are those of the image.
        shrink: None, or resize every raw image to a square of this side first; tiles are then cut
            from that.
        stride: step of the tiles of training images in pixels; below `tile` they overlap. Tiles
            of val and test never do. None means `tile`.
        masks: resized by :func:`resize_mask`, or "grown" by :func:`grow_mask`.
        validation: "test" puts the test cases in place of the validation cases, which are left
            out; training is given the same cases as with "own", but chooses a checkpoint by those
            that it will be scored on. A published quirk, to be measured only.
        processes: number of processes that decode and resize.

    Raises:
        UserError: the raw data do not have the promised form, or `stride` does not fit `tile`;
            nothing has been written then.
    """
    if stride is not None and not 0 < stride <= (tile or 0):
        raise UserError(
            f"stride {stride} of {name} is the step of its training tiles, so it must be from 1 to "
            f"`tile`, which is {tile or 'not given'}; change one of them."
        )
    sources = sorted(plugins.member("format", kind)(**options), key=lambda source: source.id)
    splits = assign_splits(
        [source.group for source in sources], [source.split for source in sources], shares
    )
    cutting = _Cutting(resolution, tile, shrink, stride, masks)
    work = partial(_prepare_source, kind, cutting=cutting)
    progress = Progress(f"preparing {name}", len(sources))
    prepared: list[_Prepared] = []
    for done, several in enumerate(_mapped(work, sources, splits, processes), start=1):
        prepared += several
        progress.update(done)
    _check_masks([each.mask for each in prepared], name)
    if validation == "test":
        prepared = _with_test_as_val(prepared)
    arrays = _stacked(prepared, name, cutting)
    settings = {
        **options, "tile": tile, "shrink": shrink, "stride": stride, "masks": masks,
        "validation": validation, "shares": dict(shares),
    }  # fmt: skip
    cases = [each.case for each in prepared]
    return write_dataset(folder, arrays, cases, dataset=name, kind=kind, options=settings)


def _with_test_as_val(prepared: Sequence[_Prepared]) -> list[_Prepared]:
    """Each test case in val too, and none of the validation cases."""
    kept = [each for each in prepared if each.case.split != "val"]
    again = [each for each in prepared if each.case.split == "test"]
    return kept + [each._replace(case=replace(each.case, split="val")) for each in again]


def _stacked(
    prepared: Sequence[_Prepared], name: str, cutting: _Cutting
) -> dict[str, tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]:
    """Images and masks of each split; grey images among colour ones become RGB."""
    channels = max((each.image.shape[2] for each in prepared), default=1)
    arrays = {}
    for wanted in SPLITS:
        chosen = [each for each in prepared if each.case.split == wanted]
        if not chosen:  # every split has images, so they were too small for a tile
            where = f", each shrunk to {cutting.shrink} pixels," if cutting.shrink else ""
            raise UserError(
                f"no {wanted} image of {name}{where} is as large as a tile of {cutting.tile} x "
                f"{cutting.tile} pixels; choose a smaller `tile`."
            )
        images = [np.broadcast_to(each.image, (*each.mask.shape, channels)) for each in chosen]
        arrays[wanted] = np.stack(images), np.stack([each.mask for each in chosen])
    return arrays


def _mapped(
    work: partial[list[_Prepared]],
    sources: Sequence[Source],
    splits: Sequence[str],
    processes: int,
) -> Iterator[list[_Prepared]]:
    """Results in the order of `sources`."""
    if processes <= 1:
        yield from map(work, sources, splits)
        return
    # Fresh interpreters ("spawn"): a forked child can deadlock on a lock that a thread held.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        try:
            yield from pool.map(work, sources, splits, chunksize=8)
        finally:
            pool.shutdown(cancel_futures=True)


def _prepare_source(kind: str, source: Source, split: str, *, cutting: _Cutting) -> list[_Prepared]:
    """Decode one source, cut and resize it."""
    image, mask = plugins.member("format", kind, "load")(source)
    if image.shape[:2] != mask.shape:
        raise UserError(
            f"the image of case {source.id!r} has {_size(image)} pixels, but its mask has "
            f"{_size(mask)}; image and mask of a case must have the same size."
        )
    digests = _digest(source, "image", image), _digest(source, "mask", mask)
    height, width = mask.shape
    resize = _RESIZE[cutting.masks]
    if cutting.shrink is not None:
        image = resize_image(image, (cutting.shrink, cutting.shrink))
        mask = resize(mask, (cutting.shrink, cutting.shrink))
    side = (cutting.resolution, cutting.resolution)
    prepared = []
    for id, top, left, part, part_mask in _cut(source.id, image, mask, cutting, split):
        if cutting.tile is not None:
            height, width = part_mask.shape
        small = resize(part_mask, side).astype(np.uint8)
        case = Case(
            id, split, source.group, width, height, *digests, float(small.mean()),
            source.id, top, left,
        )  # fmt: skip
        prepared.append(_Prepared(case, resize_image(part, side), small))
    return prepared


def _cut(
    id: str, image: Image, mask: Mask, cutting: _Cutting, split: str
) -> Iterator[tuple[str, int, int, Image, Mask]]:
    """Id, top, left, image and mask of each tile, row by row; of the whole, if it is not cut."""
    tile = cutting.tile
    if tile is None:
        yield id, 0, 0, image, mask
        return
    step = cutting.stride if cutting.stride is not None and split == "train" else tile
    height, width = mask.shape
    for top in range(0, height - tile + 1, step):
        for left in range(0, width - tile + 1, step):
            part = np.s_[top : top + tile, left : left + tile]
            yield f"{id}_y{top:03d}x{left:03d}", top, left, image[part], mask[part]


def _digest(source: Source, role: str, array: npt.NDArray[Any]) -> str:
    path = source.payload.get(role)
    content = path.read_bytes() if isinstance(path, Path) else array.tobytes()
    return hashlib.sha256(content).hexdigest()


def _size(array: npt.NDArray[Any]) -> str:
    return f"{array.shape[1]} x {array.shape[0]}"


def _check_masks(masks: Sequence[npt.NDArray[np.uint8]], name: str) -> None:
    for value, word, other in (
        (0, "no foreground", "background"),
        (1, "no background", "foreground"),
    ):
        if masks and all((mask == value).all() for mask in masks):
            raise UserError(
                f"the masks of all {len(masks)} cases of {name} have {word}: every pixel is "
                f"{other}, so there is nothing to learn; check the masks and the options that say "
                "which values are foreground."
            )
