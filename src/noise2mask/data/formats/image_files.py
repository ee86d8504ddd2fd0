"""Decode image and mask files: PNG, JPEG, TIFF and NIfTI slices; masks in array files (NPY) too.

* Palettes become RGB, transparency (alpha) is dropped, CMYK becomes RGB.
* Grey images with more than 8 bits (or floating-point ones) are stretched linearly, the smallest
  value of each image to 0 and the largest to 255; of 16-bit RGB the upper 8 bits are kept.
* Pixels stay as they are stored: an orientation tag of a camera is not applied.
* NIfTI arrays are turned to the closest anatomical axes first, and then show their first axis from
  left to right and their second from bottom to top, images and masks alike.
"""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from PIL import Image as PillowImage

from noise2mask.data.source import Image, Mask
from noise2mask.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".nii", ".nii.gz")
_UNREADABLE = (
    OSError,  # Pillow's and nibabel's word for most damage; gzip's as well
    SyntaxError,  # Pillow: a broken PNG
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    PillowImage.DecompressionBombError,
    ImageFileError,
    HeaderDataError,
)


def stem_of(path: Path) -> str | None:
    """The file name without its suffix, or None if the suffix is none of :data:`SUFFIXES`."""
    for suffix in (".nii.gz", path.suffix.lower()):
        if path.name.lower().endswith(suffix) and suffix in SUFFIXES:
            return path.name[: -len(suffix)]
    return None


def read_image(path: Path) -> Image:
    """Decode an image as uint8 (H, W, 1) or (H, W, 3).

    Raises:
        UserError: the file is damaged, a volume, several pages, or no numbers.
    """
    pixels = _read(path, as_mask=False)
    if pixels.dtype != np.uint8:
        pixels = _stretched(path, pixels)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def read_mask(path: Path, *, tolerance: int = 0) -> npt.NDArray[np.int64]:
    """Decode a mask as its stored whole numbers (H, W); of a palette image, the indices.

    Args:
        path: the file.
        tolerance: how far the channels of a pixel may lie apart; JPEG moves them a little. Their
            first one counts.

    Raises:
        UserError: the file is damaged, a volume, several pages, coloured, or not whole numbers.
    """
    pixels = _read(path, as_mask=True)
    if pixels.ndim == 3:
        if (np.ptp(pixels, axis=2) > tolerance).any():
            raise UserError(
                f"the mask {path} is a colour picture, but a mask has one value per pixel; save "
                "it as a grey image."
            )
        pixels = pixels[..., 0]
    if pixels.dtype.kind in "bui":
        return pixels.astype(np.int64)
    values = pixels.astype(np.int64) if np.isfinite(pixels).all() else None
    if values is None or (values != pixels).any():
        raise UserError(
            f"the mask {path} holds values that are not whole numbers, but the values of a mask "
            "name foreground and background; save it with whole numbers."
        )
    return values


def read_planes(path: Path, planes: Sequence[int]) -> npt.NDArray[Any]:
    """Some planes of a mask that is stored as an array (P, H, W) of numbers in an NPY file.

    Raises:
        UserError: the file is damaged, holds pickled objects, or has other axes or fewer planes.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except _UNREADABLE as error:
        raise UserError(_damaged(path, error)) from error
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.dtype.kind not in "buif":
        shape = getattr(array, "shape", "several arrays")
        raise UserError(
            f"the mask {path} holds {shape}, but masks with planes are arrays of numbers (planes, "
            "height, width); leave out `mask_planes` or restore the file."
        )
    if not all(0 <= plane < len(array) for plane in planes):
        raise UserError(
            f"the mask {path} has the planes 0 to {len(array) - 1}, but `mask_planes` is "
            f"{list(planes)}; correct it."
        )
    return array[list(planes)]


def binary(
    path: Path,
    values: npt.NDArray[np.int64],
    *,
    foreground: Sequence[int] | None = None,
    threshold: int | None = None,
) -> Mask:
    """Which pixels of a mask are foreground.

    Args:
        path: where the values are from, for the messages.
        values: what the mask holds (H, W).
        foreground: values that are foreground.
        threshold: values above it are foreground. Without either, the higher one of two values.

    Raises:
        UserError: neither is given, and the values leave open what is foreground.
    """
    if threshold is not None:
        return values > threshold
    if foreground is not None:
        return np.isin(values, foreground)
    present = _present(values)
    if len(present) > 2:
        listed = ", ".join(map(str, present[:8])) + (", ..." if len(present) > 8 else "")
        raise UserError(
            f"the mask {path} holds {len(present)} different values ({listed}), but only two have "
            "a clear meaning; set `foreground` to the values that are foreground, e.g. "
            f"[{present[-1]}], or, if it was saved with loss as JPEG is, `threshold`, e.g. "
            f"{(present[0] + present[-1]) // 2}."
        )
    if len(present) == 1 and present[0] != 0:
        raise UserError(
            f"the mask {path} holds the value {present[0]} only, which may mean foreground or "
            f"background; set `foreground`, e.g. [{present[0]}] if it is foreground."
        )
    higher: Mask = values > present[0]
    return higher


def _present(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The different values, ascending; counted rather than sorted where they are of 8 bits."""
    if values.min() >= 0 and values.max() <= 255:
        return np.flatnonzero(np.bincount(values.ravel()))
    return np.unique(values)


def _damaged(path: Path, error: Exception) -> str:
    return (
        f"{path} could not be read, it is damaged or not what its suffix says "
        f"({str(error) or type(error).__name__}); restore or remove the file."
    )


def _read(path: Path, *, as_mask: bool) -> npt.NDArray[Any]:
    """Pixels (H, W) or (H, W, 3), in 8 bits wherever they were stored in 8 bits."""
    try:
        if path.name.lower().endswith((".nii", ".nii.gz")):
            return _read_nifti(path)
        return _read_pillow(path, as_mask=as_mask)
    except _UNREADABLE as error:
        raise UserError(_damaged(path, error)) from error


def _read_pillow(path: Path, *, as_mask: bool) -> npt.NDArray[Any]:
    with PillowImage.open(path) as picture:
        if getattr(picture, "n_frames", 1) > 1:
            raise UserError(
                f"{path} holds {picture.n_frames} pages, but a case is one image; save the pages "  # type: ignore[attr-defined]
                "as separate files."
            )
        if picture.mode == "P" and as_mask:
            return np.asarray(picture)
        if picture.mode in ("L", "RGB") or picture.mode.startswith(("I", "F")):
            return np.asarray(picture)
        if picture.mode == "1":
            return np.asarray(picture.convert("L"))
        if picture.mode == "LA":
            return np.asarray(picture.getchannel("L"))
        return np.asarray(picture.convert("RGB"))


def _read_nifti(path: Path) -> npt.NDArray[Any]:
    volume = nibabel.load(path)
    pixels = np.asanyarray(volume.dataobj)
    if pixels.dtype.names or np.iscomplexobj(pixels):
        raise ValueError("NIfTI files of colours or complex numbers are not supported")
    if np.sum(np.array(pixels.shape) > 1) > 2:
        raise UserError(
            f"{path} is a volume of {' x '.join(map(str, pixels.shape))} voxels, but a case is one "
            "slice; save each slice as a file of its own."
        )
    pixels = pixels.reshape((*pixels.shape, 1, 1)[:3])
    orientation = nibabel.orientations.io_orientation(volume.affine)
    if np.isfinite(orientation).all():  # a flat image may say nothing of its third axis
        pixels = nibabel.orientations.apply_orientation(pixels, orientation)
    thin = max(axis for axis in range(3) if pixels.shape[axis] == 1)
    return np.asarray(np.squeeze(pixels, axis=thin).T[::-1])


def _stretched(path: Path, pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Map the image's own range linearly to 0 ... 255."""
    values = pixels.astype(np.float64)
    if not np.isfinite(values).all():
        raise UserError(
            f"{path} holds values that are not numbers (NaN or infinite); replace them or remove "
            "the file."
        )
    low, high = values.min(), values.max()
    if high == low:
        return np.zeros(values.shape, dtype=np.uint8)
    stretched: npt.NDArray[np.uint8] = np.rint((values - low) / (high - low) * 255).astype(np.uint8)
    return stretched
