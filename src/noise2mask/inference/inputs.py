"""Images to be segmented, of any kind that is read here, and maps back in the grid of each.

A picture (PNG, JPEG, TIFF, ...) is decoded as in a preparation, and its maps are pictures of what
a viewer shows (an orientation tag is applied, not copied). A slice or a volume whose header places
its voxels (NIfTI, NRRD, MetaImage, DICOM) is turned to anatomical axes as in a preparation, and its
maps are turned back, so that they have its shape, its affine and its voxels' order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from noise2mask.data.formats import image_files, spatial_files
from noise2mask.data.formats.listing import files_below
from noise2mask.data.formats.volumes import resampled
from noise2mask.data.resize import resize_image
from noise2mask.data.source import Image, not_used
from noise2mask.errors import UserError
from noise2mask.files import writing
from noise2mask.inference.model import Preparation
from noise2mask.progress import LOG

Map = npt.NDArray[np.float32]

AXES = {"sagittal": "x", "coronal": "y", "axial": "z"}
FAR = 4
"""Times larger or smaller than any training image: that far, a network sees another scale."""


@dataclass(frozen=True)
class Input:
    """One file to be segmented.

    Attributes:
        path: the file.
        place: where its maps go, below the folder of all: its own place without the suffix.
        ids: a name of each slice, one for a picture; it seeds the noise of its draws.
        shape: height and width of a map of a slice, px.
        read: the image of a slice, (H', W', C): its pixels made square, so H' and W' may differ.
        stored: shape of a map as its file stores it.
        view: the map of a slice, (H, W), as a view into a stored one.
        header: of a file that places its voxels.
        voxel_ml: volume of a voxel, of a volume.
    """

    path: Path
    place: str
    ids: tuple[str, ...]
    shape: tuple[int, int]
    read: Callable[[int], Image]
    stored: tuple[int, ...]
    view: Callable[[Map, int], Map]
    header: spatial_files.Header | None = None
    voxel_ml: float | None = None


def found(given: Path) -> dict[str, Path]:
    """The files below a folder, or the file, by the place of their maps.

    Raises:
        UserError: there is none, or the maps of two would have one name.
    """
    if given.is_file():
        if (stem := image_files.stem_of(given.name)) is None:
            raise UserError(
                f"{given} has none of the suffixes that are read: {_spelled_suffixes()}."
            )
        return {stem: given}
    if not given.is_dir():
        raise UserError(f"{given} does not exist; give an image, a volume or a folder of them.")
    if (given / "images").is_dir() and (given / "masks").is_dir():
        raise UserError(
            f"{given} holds a folder of images and one of masks, and only images can be segmented; "
            f"give {given / 'images'}."
        )
    files: dict[str, Path] = {}
    passed = []
    for entry in files_below(given):
        stem = image_files.stem_of(entry.place)
        if stem is None:
            passed.append(entry)
        elif stem in files:
            raise UserError(
                f"{files[stem]} and {entry.path} differ only in their suffix, so their masks would "
                "have one name; rename one of them."
            )
        else:
            files[stem] = entry.path
    beside = {path for file in files.values() for path in spatial_files.companions(file)}
    if left := [entry.place for entry in passed if entry.path not in beside]:
        LOG.warning("%s", not_used("of a suffix that is not read", left))
    if not files:
        raise UserError(
            f"{given} holds no file with one of the suffixes that are read: {_spelled_suffixes()}."
        )
    return files


def _spelled_suffixes() -> str:
    return ", ".join(image_files.SUFFIXES)


def opened(
    path: Path,
    place: str,
    preparation: Preparation,
    *,
    axis: str | None = None,
    any_size: bool = False,
) -> Input:
    """A file, ready to be segmented.

    Args:
        path: the file.
        place: see :class:`Input`.
        preparation: of the images that the network was trained on.
        axis: plane of a volume's slices, for networks that were trained on single images.
        any_size: do not refuse an image of another scale.

    Raises:
        UserError: it is damaged, has other channels or another scale than the training images, or
            is a volume where those were none.
    """
    id = place.replace("/", "_")
    if spatial_files.suffix_of(path) is None:
        image = image_files.read_image(
            path, window=preparation.window, percentiles=preparation.percentiles
        )
        size = (image.shape[0], image.shape[1])
        shown = fitted(path, image, preparation, any_size=any_size)
        return Input(path, place, (id,), size, lambda _: shown, size, lambda stored, _: stored)
    header = spatial_files.header_of(path)
    if sum(side > 1 for side in header.shape[:3]) > 2:
        return _volume(path, place, header, preparation, axis, any_size=any_size)
    return _placed_slice(path, place, header, preparation, any_size=any_size)


def _placed_slice(
    path: Path,
    place: str,
    header: spatial_files.Header,
    preparation: Preparation,
    *,
    any_size: bool,
) -> Input:
    image = image_files.read_image(
        path, window=preparation.window, percentiles=preparation.percentiles
    )
    shown = fitted(path, image, preparation, any_size=any_size)
    plain = spatial_files.is_picture_like(header)

    def view(stored: Map, _: int) -> Map:
        seen = stored if plain else spatial_files.turned(stored, header.affine)
        thin = max(axis for axis in range(3) if seen.shape[axis] == 1)
        flat = np.squeeze(seen, axis=thin).swapaxes(0, 1)
        return flat if plain else flat[::-1]

    size = (image.shape[0], image.shape[1])
    id = place.replace("/", "_")
    return Input(path, place, (id,), size, lambda _: shown, header.shape[:3], view, header)


def _volume(
    path: Path,
    place: str,
    header: spatial_files.Header,
    preparation: Preparation,
    axis: str | None,
    *,
    any_size: bool,
) -> Input:
    plane = axis or preparation.axis
    sides = spatial_files.sides(header.shape)
    if plane is None:
        raise UserError(
            f"{path} is a volume of {sides} voxels, but the network was trained on single images "
            f"(kind {preparation.kind}); give --axis {', '.join(AXES)} to segment its slices all "
            "the same."
        )
    spatial_files.check_placed(header)
    several = len(header.shape) > 3
    channel = preparation.channel or 0 if several else None
    if len(header.shape) > 4 or (several and (channel or 0) >= header.shape[3]):
        raise UserError(
            f"{path} has {sides} values, but channel {channel} of a volume of three axes is what "
            "the network was trained on; save that channel as a volume of its own."
        )
    number = list(AXES).index(plane)
    order = spatial_files.shape_after_turn(header)
    rest = [side for other, side in enumerate(order[:3]) if other != number]
    size = (rest[1], rest[0])

    def read(place: int) -> Image:
        # As data.formats.volumes does with the labels beside it.
        volume = spatial_files.read_volume(path, channel)
        low, high = preparation.window or spatial_files.usual_window(path, channel)
        values = np.moveaxis(volume.values, number, 0)[place].astype(np.float64)
        light = (values * volume.slope + volume.intercept - low) / (high - low or 1)
        image = np.rint(255 * np.clip(light, 0, 1)).astype(np.uint8).T[::-1, :, None]
        square, _ = resampled(volume.spacing, order, number, preparation.spacing)
        if square != size:
            image = resize_image(image, square)
        return fitted(path, np.ascontiguousarray(image), preparation, any_size=any_size)

    def view(stored: Map, place: int) -> Map:
        turned = spatial_files.turned(stored, header.affine)
        return np.asarray(np.moveaxis(turned, number, 0)[place].T[::-1])

    stem = place.replace("/", "_")
    ids = tuple(f"{stem}_{AXES[plane]}{slice:03d}" for slice in range(order[number]))
    millilitres = abs(float(np.linalg.det(header.affine[:3, :3]))) / 1000  # the affine is in mm
    return Input(path, place, ids, size, read, header.shape[:3], view, header, millilitres)


def fitted(path: Path, image: Image, preparation: Preparation, *, any_size: bool) -> Image:
    """The image with the channels of the training's, if it fits them.

    Raises:
        UserError: it has other channels, and is no grey image for colours, or has another scale.
    """
    channels = image.shape[2]
    shown_as = {1: "grey", 3: "grey or colours"}.get(preparation.channels, "those channels")
    if channels != preparation.channels and (channels, preparation.channels) != (1, 3):
        raise UserError(
            f"{path} has {channels} channels, but the network was trained on images of "
            f"{preparation.channels}; save it in {shown_as}."
        )
    shown = np.broadcast_to(image, (*image.shape[:2], preparation.channels))
    shorter, longer = sorted(image.shape[:2])
    wrong = longer > FAR * preparation.longest or FAR * shorter < preparation.shortest
    if wrong and not any_size and preparation.tile is None:
        raise UserError(
            f"{path} has {image.shape[1]} x {image.shape[0]} pixels, but the network was trained "
            f"on images with sides of {preparation.shortest} to {preparation.longest}, which were "
            f"resized as a whole; cut or resize it, or say --any-size to segment it all the same."
        )
    return shown


# Writing --------------------------------------------------------------------------------------


def suffix_of(given: Input) -> str:
    """The suffix of the files of an input's maps."""
    if given.header is not None:
        own = spatial_files.suffix_of(given.path) or ""
        return {".dcm": ".nrrd", ".mhd": ".mha"}.get(own, own)
    return ".tif" if given.path.suffix.lower() in {".tif", ".tiff"} else ".png"


def write_map(given: Input, name: str, values: npt.NDArray[Any], out: Path) -> Path:
    """Write a map in the format of its input, ``<place>_<name>.<suffix>``.

    A mask (boolean) is 0 and 1 where voxels are placed and 0 and 255 in pictures. Real numbers are
    float32; in PNG, which has none, 16 bits from 0 to 65535 for 0 to 1.

    Raises:
        UserError: the folder cannot be written.
    """
    real = values.dtype.kind == "f"
    ending = suffix_of(given)
    path = out / f"{given.place}_{name}{ending}"
    with writing(path) as temporary:
        # Libraries choose a format by the suffix, which a temporary name lacks.
        named = temporary.with_name(f"{temporary.name}{ending}")
        try:
            if given.header is not None:
                _write_placed(given, values, named)
            elif ending == ".tif":
                import tifffile

                pixels = values if real else np.where(values, np.uint8(255), np.uint8(0))
                tifffile.imwrite(named, pixels, compression="zlib", photometric="minisblack")
            elif real:
                levels = np.rint(np.clip(values, 0, 1) * 65535).astype(np.uint16)
                PillowImage.fromarray(levels).save(named)
            else:
                PillowImage.fromarray(values.astype(np.uint8) * 255).save(named)
            named.replace(temporary)
        finally:
            named.unlink(missing_ok=True)
    return path


def _write_placed(given: Input, values: npt.NDArray[Any], path: Path) -> None:
    """Voxels with the affine, or origin, spacing and direction, of the input."""
    header = given.header
    assert header is not None
    kept = values if values.dtype.kind == "f" else values.astype(np.uint8)
    if header.name == "NIfTI":
        import nibabel

        source = nibabel.load(given.path)
        stored = kept.reshape(source.shape[: max(2, min(3, len(source.shape)))])
        image = type(source)(stored, source.affine, source.header)
        image.header.set_data_dtype(kept.dtype)
        image.header.set_slope_inter(1, 0)
        image.header["cal_min"] = image.header["cal_max"] = 0
        nibabel.save(image, path)
        return
    import SimpleITK as sitk  # noqa: N813

    source = sitk.ReadImage(str(given.path))
    dimensions = min(3, source.GetDimension())  # a fourth axis is that of channels
    array = kept.reshape(kept.shape[:dimensions]).transpose(range(dimensions)[::-1])
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    direction = np.reshape(source.GetDirection(), (source.GetDimension(),) * 2)
    image.SetSpacing(source.GetSpacing()[:dimensions])
    image.SetOrigin(source.GetOrigin()[:dimensions])
    image.SetDirection(direction[:dimensions, :dimensions].ravel().tolist())
    sitk.WriteImage(image, str(path), useCompression=True)
