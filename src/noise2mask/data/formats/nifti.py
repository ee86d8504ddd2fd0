"""NIfTI volumes: headers checked without reading voxels, voxels turned to anatomical axes."""

import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.affines import apply_affine, voxel_sizes
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import apply_orientation, io_orientation
from nibabel.spatialimages import HeaderDataError

from noise2mask.errors import UserError

SUFFIXES = (".nii.gz", ".nii")
PERCENTILES = (0.5, 99.5)

_DAMAGE = (
    OSError, EOFError, ValueError, struct.error, zlib.error, ImageFileError, HeaderDataError,
)  # fmt: skip


@dataclass(frozen=True)
class Volume:
    """Voxels along the axes right, anterior, superior, as they are stored.

    A voxel stands for ``slope * value + intercept``; `spacing` is in mm along the three axes.
    """

    values: npt.NDArray[Any]
    slope: float
    intercept: float
    spacing: tuple[float, ...]


def opened(path: Path) -> Any:
    """The image object of a volume (X, Y, Z) or (X, Y, Z, channels); no voxel is read.

    Raises:
        UserError: the file is damaged, has other axes, or its affine places no voxels.
    """
    try:
        image = nibabel.load(path)
        affine, shape, kind = image.affine, image.shape, image.get_data_dtype().kind
    except _DAMAGE as error:
        raise UserError(_damaged(path, error)) from error
    if len(shape) not in (3, 4) or 0 in shape or kind not in "iuf":
        raise UserError(
            f"{path} holds {' x '.join(map(str, shape))} values of type "
            f"{image.get_data_dtype()}, but a volume has three axes of whole or real numbers, or "
            "four, the last one its channels; save it so."
        )
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise UserError(
            f"the affine in the header of {path} does not say where the voxels lie (it is not "
            "finite or has no inverse); correct the header."
        )
    return image


def shape_after_turn(image: Any) -> tuple[int, ...]:
    """Numbers of voxels along right, anterior and superior of what :func:`opened` gave."""
    return tuple(image.shape[axis] for axis in _order(image.affine))


def check_equal_grids(path: Path, image: Any, other_path: Path, other: Any) -> None:
    """Refuse two volumes whose voxels do not lie in the same places, to half a voxel.

    Raises:
        UserError: the shapes or the places differ.
    """
    if image.shape[:3] != other.shape:
        raise UserError(
            f"{path} has {' x '.join(map(str, image.shape[:3]))} voxels, but its labels "
            f"{other_path} have {' x '.join(map(str, other.shape))}; both must be of one grid."
        )
    corners = np.array(np.meshgrid(*[(0, side - 1) for side in other.shape])).reshape(3, -1).T
    apart = apply_affine(image.affine, corners) - apply_affine(other.affine, corners)
    distance = float(np.linalg.norm(apart, axis=1).max())
    if distance > 0.5 * voxel_sizes(image.affine).min():
        raise UserError(
            f"the headers of {path} and its labels {other_path} place equal voxels up to "
            f"{distance:.3g} mm apart; correct the affine of one of them."
        )


@lru_cache(maxsize=1)
def read_volume(path: Path, channel: int | None) -> Volume:
    """The voxels of an image volume, or of one channel; the last one read is kept in memory.

    Raises:
        UserError: the file is damaged or holds values that are no numbers.
    """
    image = opened(path)
    try:
        values = np.asanyarray(image.dataobj.get_unscaled())
    except _DAMAGE as error:
        raise UserError(_damaged(path, error)) from error
    if channel is not None:
        values = values[..., channel]
        values = values.copy() if image.shape[3] > 1 else values  # lets go of the other channels
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UserError(
            f"{path} holds values that are not numbers (NaN or infinite); replace them or remove "
            "the volume and its labels."
        )
    slope, intercept = float(image.dataobj.slope), float(image.dataobj.inter)
    return Volume(_turned(values, image.affine), slope, intercept, _spacing(image.affine))


@lru_cache(maxsize=1)
def read_labels(path: Path) -> npt.NDArray[Any]:
    """The labels (right, anterior, superior) of a volume; the last ones read are kept.

    Raises:
        UserError: the file is damaged or holds values that are not whole numbers.
    """
    image = opened(path)
    try:
        labels = np.asanyarray(image.dataobj)
    except _DAMAGE as error:
        raise UserError(_damaged(path, error)) from error
    if labels.dtype.kind == "f" and not (labels == np.rint(labels)).all():
        raise UserError(
            f"the labels {path} hold values that are not whole numbers, but labels name foreground "
            "and background; restore the file."
        )
    return _turned(labels, image.affine)


@lru_cache(maxsize=1)
def usual_window(path: Path, channel: int | None) -> tuple[float, float]:
    """The :data:`PERCENTILES` of all voxels of a volume or of one channel."""
    volume = read_volume(path, channel)
    low, high = np.percentile(volume.values, PERCENTILES) * volume.slope + volume.intercept
    return (float(low), float(high)) if low <= high else (float(high), float(low))


def _turned(values: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """A view along the closest anatomical axes."""
    return np.asarray(apply_orientation(values, io_orientation(affine)))


def _spacing(affine: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """Sizes of a voxel along the anatomical axes, mm."""
    return tuple(float(voxel_sizes(affine)[axis]) for axis in _order(affine))


def _order(affine: npt.NDArray[np.float64]) -> list[int]:
    """The stored axis that is closest to right, to anterior and to superior."""
    order: list[int] = np.argsort(io_orientation(affine)[:, 0]).tolist()
    return order


def _damaged(path: Path, error: Exception) -> str:
    return (
        f"{path} could not be read, it is damaged or no NIfTI volume "
        f"({str(error) or type(error).__name__}); restore or remove the file."
    )
