"""Grey thumbnails of images, and the forms in which they are compared."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from scipy import ndimage

from noise2mask.data.source import Image

Planes = npt.NDArray[np.float32]  # (N, side, side)

SIDE = 128  # of a thumbnail, pixels
# What was done to the second image of a pair to make it look like the first.
ORIENTATIONS = (
    "",
    "rotated by 90°",
    "rotated by 180°",
    "rotated by 270°",
    "transposed",
    "flipped vertically",
    "transposed and rotated by 180°",
    "flipped horizontally",
)


def thumbnail(image: Image) -> npt.NDArray[np.uint8]:
    """The grey thumbnail (128, 128) of an image (H, W, 1 or 3); its aspect is not kept."""
    flat = image[..., 0] if image.shape[2] == 1 else image
    grey = PillowImage.fromarray(np.ascontiguousarray(flat)).convert("L")
    return np.asarray(grey.resize((SIDE, SIDE), PillowImage.Resampling.BILINEAR))


def shrunk(thumbnails: npt.NDArray[np.uint8], side: int) -> Planes:
    """Averages of thumbnails (N, 128, 128) over squares, in grey levels (N, side, side)."""
    step = SIDE // side
    parts = thumbnails.reshape(len(thumbnails), side, step, side, step)
    averages: Planes = parts.mean(axis=(2, 4), dtype=np.float32)
    return averages


def equalised(
    images: Planes, fine: float, coarse: float, relative: float, absolute: float
) -> Planes:
    """Band-pass, divided by its own local strength.

    Args:
        images: grey levels.
        fine: standard deviation of the Gaussian that takes noise away, pixels.
        coarse: standard deviation of the Gaussian that is subtracted and that makes it local.
        relative: added to the local strength, as a share of the strength in the whole image.
        absolute: added to the local strength, grey levels.
    """
    band = _blurred(images, fine) - _blurred(images, coarse)
    local = np.sqrt(_blurred(band * band, coarse))
    whole = np.sqrt((band * band).mean(axis=(1, 2), keepdims=True))
    even: Planes = band / (local + relative * whole + np.float32(absolute))
    return even


def _blurred(images: Planes, sigma: float) -> Planes:
    blurred: Planes = ndimage.gaussian_filter(images, (0, sigma, sigma), mode="nearest")
    return blurred


def orientations(images: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Images (N, H, H, ...) in the eight orientations, in the order of :data:`ORIENTATIONS`."""
    return [
        np.rot90(either, turns, (1, 2))
        for either in (images, images.swapaxes(1, 2))
        for turns in range(4)
    ]
