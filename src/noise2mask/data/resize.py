"""Resizing images and masks, to any size and aspect.

Images are resized with an antialiased Lanczos filter. A mask is averaged over the area of each new
pixel, and the pixels with the largest averages become foreground, as many as keep the area.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from noise2mask.data.source import LEFT_OUT, Levels, Mask, with_left_out

Size = tuple[int, int]  # height and width in pixels


def resize_image(image: npt.NDArray[np.uint8], size: Size) -> npt.NDArray[np.uint8]:
    """Resize (H, W, C) to `size` with Pillow's antialiased Lanczos filter."""
    flat = image[..., 0] if image.shape[2] == 1 else image
    resized = PillowImage.fromarray(np.ascontiguousarray(flat)).resize(
        size[::-1], PillowImage.Resampling.LANCZOS
    )
    return np.asarray(resized).reshape(*size, image.shape[2])


def resize_mask(mask: npt.NDArray[np.bool_], size: Size) -> npt.NDArray[np.bool_]:
    """Resize a mask (H, W) to `size`, keeping the foreground's share.

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
    rows = _area_sums(mask.astype(np.int64), size[0])
    covered = np.ascontiguousarray(_area_sums(np.ascontiguousarray(rows.T), size[1]).T).ravel()
    full = height * width  # the sum over one wholly covered pixel, in these units
    kept = (2 * int(covered.sum()) + full) // (2 * full)
    if mask.any():
        kept = max(1, kept)
    centres = [
        (2 * np.arange(new) + 1) * old // (2 * new)
        for old, new in zip(mask.shape, size, strict=True)
    ]
    centre = mask[np.ix_(*centres)].ravel()
    # What is still equal is taken in an order scattered over the image, to prefer no side.
    scattered = np.arange(covered.size, dtype=np.uint64) * np.uint64(2654435761) % np.uint64(2**32)
    resized = np.zeros(covered.size, dtype=np.bool_)
    resized[np.lexsort((scattered, ~centre, -covered))[:kept]] = True
    return resized.reshape(size)


def grow_mask(mask: npt.NDArray[np.bool_], size: Size) -> npt.NDArray[np.bool_]:
    """Resize a mask (H, W) to `size` as published codes do: interpolated, then all above 0.

    Every new pixel that the antialiased bilinear filter of Pillow touches with more than half a
    level of 255 becomes foreground, so objects grow by up to a new pixel on every side
    (MedSegDiff, arXiv 2211.00611: masks are resized like images, then ``mask > 0``).
    """
    levels = PillowImage.fromarray(mask.astype(np.uint8) * 255)
    resized = levels.resize(size[::-1], PillowImage.Resampling.BILINEAR)
    return np.asarray(resized) > 0


def resize_levels(
    mask: Mask | Levels, size: Size, resize: Callable[[Mask, Size], Mask] = resize_mask
) -> Mask | Levels:
    """Resize a mask that may leave pixels out; these keep their area, as foreground does."""
    if mask.dtype == np.bool_:
        return resize(np.asarray(mask, dtype=np.bool_), size)
    return with_left_out(resize(mask == 1, size), resize_mask(mask == LEFT_OUT, size))


def _area_sums(values: npt.NDArray[np.int64], parts: int) -> npt.NDArray[np.int64]:
    """Sum (N, M) over `parts` equal stretches of the first axis, times `parts`, exactly.

    A stretch that ends inside a row takes that share of it.
    """
    length = len(values)
    whole, rest = np.divmod(np.arange(parts + 1) * length, parts)
    before = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    cut_row = values[np.minimum(whole, length - 1)]
    return np.diff(before[whole] * parts + cut_row * rest[:, None], axis=0)
