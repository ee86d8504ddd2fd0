"""Files whose header says where each voxel lies: NIfTI, NRRD, MetaImage and DICOM.

NIfTI is read by nibabel, the others by SimpleITK. Of both the affine leads from voxels to
millimetres to the right, front and top of the patient (RAS+); headers are read without voxels.
"""

import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from noise2mask.errors import UserError

Affine = npt.NDArray[np.float64]  # (4, 4)

NIFTI = (".nii.gz", ".nii")
SUFFIXES = (*NIFTI, ".nrrd", ".mha", ".mhd", ".dcm")
PERCENTILES = (0.5, 99.5)

DAMAGE = (OSError, EOFError, ValueError, RuntimeError, struct.error, zlib.error)
"""What the libraries raise of a file that is cut, empty or something else."""

_ITK_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # ITK counts to the left and to the back


@dataclass(frozen=True)
class Header:
    """What a file says of its voxels.

    Attributes:
        path: the file.
        shape: numbers of voxels (X, Y, Z), and of channels if there are several values a voxel.
        affine: from voxels to millimetres, RAS+.
        kind: of the values, as ``numpy.dtype.kind``.
        name: of the format, for messages.
    """

    path: Path
    shape: tuple[int, ...]
    affine: Affine
    kind: str
    name: str


@dataclass(frozen=True)
class Voxels:
    """Values (X, Y, Z) or (X, Y, Z, channels) as stored; ``slope * value + intercept`` counts."""

    values: npt.NDArray[Any]
    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True)
class Volume:
    """Voxels along the axes right, anterior, superior, as they are stored.

    A voxel stands for ``slope * value + intercept``; `spacing` is in mm along the three axes.
    """

    values: npt.NDArray[Any]
    slope: float
    intercept: float
    spacing: tuple[float, ...]


def suffix_of(path: Path) -> str | None:
    """The one of :data:`SUFFIXES` that a name ends with, in lower case; None: another one."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def companions(path: Path) -> list[Path]:
    """Other files that hold the voxels of a header file (``.mhd``)."""
    if suffix_of(path) != ".mhd":
        return []
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
    named = [line.partition("=")[2].strip() for line in lines if "ElementDataFile" in line]
    return [path.with_name(name) for name in named if name.upper() not in {"LOCAL", "LIST"}]


# Headers --------------------------------------------------------------------------------------


def header_of(path: Path) -> Header:
    """What a file says of its voxels; none is read.

    Raises:
        UserError: the file is damaged, or holds something else than numbers.
    """
    try:
        return _nifti_header(path) if suffix_of(path) in NIFTI else _itk_header(path)
    except _damage() as error:
        raise UserError(damaged(path, error)) from error


def _nifti_header(path: Path) -> Header:
    import nibabel

    image = nibabel.load(path)
    shape, affine = image.shape, np.array(image.affine, dtype=np.float64)
    kind = image.get_data_dtype().kind
    if not shape or 0 in shape or kind not in "iuf":
        raise UserError(
            f"{path} holds {' x '.join(map(str, shape))} values of type {image.get_data_dtype()}, "
            "but pictures and volumes are of whole or real numbers; save it so."
        )
    return Header(path, (*(*shape, 1, 1)[:3], *shape[3:]), affine, kind, "NIfTI")


def _itk_header(path: Path) -> Header:
    import SimpleITK as sitk  # noqa: N813

    reader = sitk.ImageFileReader()
    reader.SetFileName(os.fspath(path))
    reader.ReadImageInformation()
    count, size = reader.GetDimension(), reader.GetSize()
    affine = np.eye(4)
    direction = np.array(reader.GetDirection()).reshape(count, count)
    used = min(count, 3)
    affine[:used, :used] = (direction * np.array(reader.GetSpacing()))[:used, :used]
    affine[:used, 3] = reader.GetOrigin()[:used]
    channels = reader.GetNumberOfComponents()
    shape = (*(*size, 1, 1)[:3], *size[3:], *((channels,) if channels > 1 else ()))
    name = {".nrrd": "NRRD", ".dcm": "DICOM"}.get(suffix_of(path) or "", "MetaImage")
    kind = "f" if "float" in sitk.GetPixelIDValueAsString(reader.GetPixelID()) else "i"
    return Header(path, tuple(shape), _ITK_LPS @ affine, kind, name)


def check_placed(header: Header) -> None:
    """Refuse a volume whose header does not say where its voxels lie.

    Raises:
        UserError: the affine is not finite or has no inverse.
    """
    affine = header.affine
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise UserError(
            f"the affine in the header of {header.path} does not say where the voxels lie (it is "
            "not finite or has no inverse); correct the header."
        )


def check_equal_grids(image: Header, other: Header, word: str = "labels") -> None:
    """Refuse two files whose voxels, turned to anatomical axes, lie apart by half a voxel or more.

    Args:
        image: of the image.
        other: of its mask or labels.
        word: what messages call the other one.

    Raises:
        UserError: the shapes or the places differ.
    """
    shapes = [shape_after_turn(header)[:3] for header in (image, other)]
    if shapes[0] != shapes[1]:
        sizes = [" x ".join(map(str, header.shape[:3])) for header in (image, other)]
        raise UserError(
            f"{image.path} has {sizes[0]} voxels, but its {word} {other.path} "
            f"{'have' if word == 'labels' else 'has'} {sizes[1]}; both must be of one grid."
        )
    affines = [_turned_affine(header) for header in (image, other)]
    corners = np.array(np.meshgrid(*[(0, side - 1) for side in shapes[0]])).reshape(3, -1)
    apart = (affines[0] - affines[1]) @ np.vstack([corners, np.ones(corners.shape[1])])
    distance = float(np.linalg.norm(apart[:3], axis=0).max())
    if not distance <= 0.5 * spacing_of(image.affine).min():
        raise UserError(
            f"the headers of {image.path} and its {word} {other.path} place equal voxels up to "
            f"{distance:.3g} mm apart; correct the affine of one of them."
        )


def is_picture_like(header: Header) -> bool:
    """Whether rows and columns are a picture's: of DICOM, and where ITK's axes are not turned.

    NIfTI is never: what its axes mean depends on who wrote it.
    """
    if header.name == "NIfTI":
        return False
    plain = np.allclose(header.affine[:3, :3] / spacing_of(header.affine), _ITK_LPS[:3, :3])
    return header.name == "DICOM" or plain


def shape_after_turn(header: Header) -> tuple[int, ...]:
    """Numbers of voxels along right, anterior and superior."""
    return tuple(header.shape[axis] for axis in _order(header.affine))


def spacing_after_turn(header: Header) -> npt.NDArray[np.float64]:
    """Sizes of a voxel along right, anterior and superior, mm."""
    return spacing_of(header.affine)[_order(header.affine)]


def spacing_of(affine: Affine) -> npt.NDArray[np.float64]:
    """Sizes of a voxel along its stored axes, mm."""
    sizes: npt.NDArray[np.float64] = np.linalg.norm(affine[:3, :3], axis=0)
    return sizes


def turned(values: npt.NDArray[Any], affine: Affine) -> npt.NDArray[Any]:
    """A view along the closest anatomical axes; as it is where the affine says nothing."""
    from nibabel.orientations import apply_orientation

    orientation = _orientation(affine)
    if not np.isfinite(orientation).all():  # a flat image may say nothing of its third axis
        return values
    return np.asarray(apply_orientation(values, orientation))


def _turned_affine(header: Header) -> Affine:
    from nibabel.orientations import inv_ornt_aff

    orientation = _orientation(header.affine)
    if not np.isfinite(orientation).all():
        return header.affine
    back: Affine = header.affine @ inv_ornt_aff(orientation, header.shape[:3])
    return back


def _orientation(affine: Affine) -> npt.NDArray[np.float64]:
    from nibabel.orientations import io_orientation

    finite = bool(np.isfinite(affine).all())
    orientation: npt.NDArray[np.float64] = io_orientation(affine if finite else np.zeros((4, 4)))
    return orientation


def _order(affine: Affine) -> list[int]:
    """The stored axis that is closest to right, to anterior and to superior."""
    orientation = _orientation(affine)
    if not np.isfinite(orientation).all():
        return [0, 1, 2]
    order: list[int] = np.argsort(orientation[:, 0]).tolist()
    return order


# Voxels ---------------------------------------------------------------------------------------


def read_voxels(path: Path) -> Voxels:
    """All values of a file as they are stored.

    Raises:
        UserError: the file is damaged.
    """
    try:
        if suffix_of(path) in NIFTI:
            import nibabel

            image = nibabel.load(path)
            values = np.asanyarray(image.dataobj.get_unscaled())
            values = values.reshape((*(*values.shape, 1, 1)[:3], *values.shape[3:]))
            return Voxels(values, float(image.dataobj.slope), float(image.dataobj.inter))
        import SimpleITK as sitk  # noqa: N813

        read = sitk.ReadImage(os.fspath(path))
        values = sitk.GetArrayFromImage(read)
        several = read.GetNumberOfComponentsPerPixel() > 1
        axes = values.ndim - several  # SimpleITK's arrays begin with the last axis
        values = values.transpose(*range(axes)[::-1], *((axes,) if several else ()))
        return Voxels(values.reshape(*(*values.shape[:axes], 1, 1)[:3], *values.shape[axes:]))
    except _damage() as error:
        raise UserError(damaged(path, error)) from error


@lru_cache(maxsize=1)
def read_volume(path: Path, channel: int | None) -> Volume:
    """The voxels of an image volume, or of one channel; the last one read is kept in memory.

    Raises:
        UserError: the file is damaged or holds values that are no numbers.
    """
    header = header_of(path)
    voxels = read_voxels(path)
    values = voxels.values
    if channel is not None:
        values = values[..., channel]
        several = voxels.values.shape[-1] > 1
        values = values.copy() if several else values  # lets go of the other channels
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UserError(
            f"{path} holds values that are not numbers (NaN or infinite); replace them or remove "
            "the volume and its labels."
        )
    spacing = tuple(spacing_after_turn(header).tolist())
    return Volume(turned(values, header.affine), voxels.slope, voxels.intercept, spacing)


@lru_cache(maxsize=1)
def read_labels(path: Path) -> npt.NDArray[Any]:
    """The labels (right, anterior, superior) of a volume; the last ones read are kept.

    Raises:
        UserError: the file is damaged or holds values that are not whole numbers.
    """
    voxels = read_voxels(path)
    if voxels.slope == 1 and voxels.intercept == 0 and voxels.values.dtype.kind in "iu":
        labels = voxels.values  # as large as the volume, so not made larger
    else:
        labels = whole(path, voxels.values * voxels.slope + voxels.intercept, abs(voxels.slope))
    return turned(labels.reshape(labels.shape[:3]), header_of(path).affine)


def whole(path: Path, values: npt.NDArray[Any], step: float = 0.0) -> npt.NDArray[np.int64]:
    """Whole numbers out of real ones that were rounded when they were stored.

    Labels that are scaled to be stored come back within half a step of the scale; a float that
    held 3 may hold 2.9999998.

    Args:
        path: where they are from, for the message.
        values: the numbers.
        step: distance between neighbouring values that could be stored; 0: as fine as floats.

    Raises:
        UserError: they are not whole numbers.
    """
    values = np.asarray(values, dtype=np.float64)
    finite = bool(np.isfinite(values).all())
    rounded = np.rint(values) if finite else values
    slack = np.maximum(1e-5 * np.abs(rounded), max(1e-5, 0.501 * step if step < 0.5 else 0.0))
    far = not finite or bool((np.abs(values - rounded) > slack).any())
    if not far and np.abs(rounded).max(initial=0) > 2**62:
        raise UserError(
            f"the mask {path} holds values above 2^62, which are not read; number its labels anew."
        )
    if far:
        raise UserError(
            f"the mask {path} holds values that are not whole numbers, but the values of a mask "
            "name foreground and background; save it with whole numbers."
        )
    return rounded.astype(np.int64)


@lru_cache(maxsize=1)
def usual_window(path: Path, channel: int | None) -> tuple[float, float]:
    """The :data:`PERCENTILES` of all voxels of a volume or of one channel."""
    volume = read_volume(path, channel)
    low, high = np.percentile(volume.values, PERCENTILES) * volume.slope + volume.intercept
    return (float(low), float(high)) if low <= high else (float(high), float(low))


def _damage() -> tuple[type[Exception], ...]:
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    return (*DAMAGE, ImageFileError, HeaderDataError)


def damaged(path: Path, error: Exception) -> str:
    """The sentence for a file that cannot be read."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return (
        f"{path} could not be read, it is damaged or not what its suffix says ({reason}); restore "
        "or remove the file."
    )


def sides(shape: Sequence[int]) -> str:
    """``64 x 64 x 20``."""
    return " x ".join(map(str, shape))
