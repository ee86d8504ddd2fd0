"""From raw images and masks to a prepared dataset: decode, cut, resize, split, write.

Images become squares of one resolution: their aspect is not kept, as in the published codes,
which resize to a square too. Images are resized with an antialiased Lanczos filter. A mask is
averaged over the area of each new pixel, and the pixels with the largest averages become
foreground, as many as keep the area (see :func:`resize_mask`).
"""

import hashlib
import importlib
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from noise2mask.cases import SPLITS, Case, Manifest, write_dataset
from noise2mask.datasets.contract import Image, Mask, Source
from noise2mask.errors import UserError
from noise2mask.progress import Progress
from noise2mask.splits import assign_splits


class _Prepared(NamedTuple):
    """One case at its final resolution, and what the manifest says of its source."""

    id: str
    width: int
    height: int
    image_sha256: str
    mask_sha256: str
    image: npt.NDArray[np.uint8]  # (resolution, resolution, C)
    mask: npt.NDArray[np.uint8]  # (resolution, resolution) of 0 and 1


def prepare(
    kind: str,
    options: Mapping[str, Any],
    name: str,
    resolution: int,
    shares: Mapping[str, float],
    folder: Path,
    *,
    tile: int | None = None,
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
        tile: None, or cut every raw image into squares of so many pixels first, from the top
            left, without overlap; what is left over at the right and the bottom is not used. A
            tile's id is ``<id>_y000x128`` (its top left pixel); its group is that of the image.
        processes: number of processes that decode and resize.

    Raises:
        UserError: the raw data do not have the promised form; nothing has been written then.
    """
    module = importlib.import_module(f"noise2mask.datasets.{kind}")
    sources = sorted(module.sources(**options), key=lambda source: source.id)
    splits = assign_splits(
        [source.group for source in sources], [source.split for source in sources], shares
    )
    work = partial(_prepare_source, module.__name__, resolution=resolution, tile=tile)
    progress = Progress(f"preparing {name}", len(sources))
    with_split = []
    for done, several in enumerate(_mapped(work, sources, processes)):
        with_split += [(prepared, sources[done].group, splits[done]) for prepared in several]
        progress.update(done + 1)
    _check_masks([prepared.mask for prepared, _, _ in with_split], name)
    arrays = _stacked(with_split, name, tile)
    cases = [_case(prepared, group, split) for prepared, group, split in with_split]
    settings = {**options, "tile": tile, "shares": dict(shares)}
    return write_dataset(folder, arrays, cases, dataset=name, kind=kind, options=settings)


def _stacked(
    with_split: Sequence[tuple[_Prepared, str, str]], name: str, tile: int | None
) -> dict[str, tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]:
    """Images and masks of each split; grey images among colour ones become RGB."""
    channels = max((prepared.image.shape[2] for prepared, _, _ in with_split), default=1)
    arrays = {}
    for wanted in SPLITS:
        chosen = [prepared for prepared, _, split in with_split if split == wanted]
        if not chosen:  # every split has images, so they were too small for a tile
            raise UserError(
                f"no {wanted} image of {name} is as large as a tile of {tile} x {tile} pixels; "
                "choose a smaller `tile`."
            )
        images = [np.broadcast_to(one.image, (*one.mask.shape, channels)) for one in chosen]
        arrays[wanted] = np.stack(images), np.stack([one.mask for one in chosen])
    return arrays


def _case(prepared: _Prepared, group: str, split: str) -> Case:
    return Case(
        id=prepared.id,
        split=split,
        group=group,
        width=prepared.width,
        height=prepared.height,
        image_sha256=prepared.image_sha256,
        mask_sha256=prepared.mask_sha256,
        foreground=float(prepared.mask.mean()),
    )


def _mapped(
    work: partial[list[_Prepared]], sources: Sequence[Source], processes: int
) -> Iterator[list[_Prepared]]:
    """Results in the order of `sources`."""
    if processes <= 1:
        yield from map(work, sources)
        return
    # Fresh interpreters ("spawn"): a forked child can deadlock on a lock that a thread held.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        try:
            yield from pool.map(work, sources, chunksize=8)
        finally:
            pool.shutdown(cancel_futures=True)


def _prepare_source(
    module_name: str, source: Source, *, resolution: int, tile: int | None
) -> list[_Prepared]:
    """Decode one source, cut and resize it."""
    module: ModuleType = importlib.import_module(module_name)
    image, mask = module.load(source)
    if image.shape[:2] != mask.shape:
        raise UserError(
            f"the image of case {source.id!r} has {_size(image)} pixels, but its mask has "
            f"{_size(mask)}; image and mask of a case must have the same size."
        )
    image_sha256, mask_sha256 = _digest(source, "image", image), _digest(source, "mask", mask)
    return [
        _Prepared(
            id=id,
            width=part.shape[1],
            height=part.shape[0],
            image_sha256=image_sha256,
            mask_sha256=mask_sha256,
            image=resize_image(part, resolution),
            mask=resize_mask(part_mask, resolution),
        )
        for id, part, part_mask in _cut(source.id, image, mask, tile)
    ]


def _cut(id: str, image: Image, mask: Mask, tile: int | None) -> Iterator[tuple[str, Image, Mask]]:
    if tile is None:
        yield id, image, mask
        return
    height, width = mask.shape
    for top in range(0, height - tile + 1, tile):
        for left in range(0, width - tile + 1, tile):
            part = np.s_[top : top + tile, left : left + tile]
            yield f"{id}_y{top:03d}x{left:03d}", image[part], mask[part]


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


# Resizing -------------------------------------------------------------------------------------


def resize_image(image: Image, resolution: int) -> npt.NDArray[np.uint8]:
    """Resize (H, W, C) to a square with Pillow's antialiased Lanczos filter."""
    flat = image[..., 0] if image.shape[2] == 1 else image
    resized = PillowImage.fromarray(np.ascontiguousarray(flat)).resize(
        (resolution, resolution), PillowImage.Resampling.LANCZOS
    )
    return np.asarray(resized).reshape(resolution, resolution, image.shape[2])


def resize_mask(mask: Mask, resolution: int) -> npt.NDArray[np.uint8]:
    """Resize a mask (H, W) to a square of 0 and 1, keeping the foreground's share.

    Each new pixel gets the share of foreground in the area that it covers. The pixels with the
    largest shares become foreground, as many as keep the whole area to half a pixel. For large
    objects this is the threshold 0.5; for vessels or nuclei a few pixels wide, which that
    threshold makes thinner or loses, it lies lower. A mask with any foreground keeps at least
    one pixel of it.

    The sums are of integers, so the result is the same on every machine. Of pixels with equal
    shares (half of an edge's pixels have, at half the resolution) those whose centre is
    foreground come first, which keeps straight edges straight.
    """
    height, width = mask.shape
    rows = _area_sums(mask.astype(np.int64), resolution)
    covered = np.ascontiguousarray(_area_sums(np.ascontiguousarray(rows.T), resolution).T).ravel()
    full = height * width  # the sum over one wholly covered pixel, in these units
    kept = (2 * int(covered.sum()) + full) // (2 * full)
    if mask.any():
        kept = max(1, kept)
    centres = [(2 * np.arange(resolution) + 1) * side // (2 * resolution) for side in mask.shape]
    centre = mask[np.ix_(*centres)].ravel()
    # What is still equal is taken in an order scattered over the image, to prefer no side.
    scattered = np.arange(covered.size, dtype=np.uint64) * np.uint64(2654435761) % np.uint64(2**32)
    resized = np.zeros(covered.size, dtype=np.uint8)
    resized[np.lexsort((scattered, ~centre, -covered))[:kept]] = 1
    return resized.reshape(resolution, resolution)


def _area_sums(values: npt.NDArray[np.int64], parts: int) -> npt.NDArray[np.int64]:
    """Sum (N, M) over `parts` equal stretches of the first axis, times `parts`, exactly.

    A stretch that ends inside a row takes that share of it.
    """
    length = len(values)
    whole, rest = np.divmod(np.arange(parts + 1) * length, parts)
    before = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    cut_row = values[np.minimum(whole, length - 1)]
    return np.diff(before[whole] * parts + cut_row * rest[:, None], axis=0)
