"""Slices of volumes in the layout of the Medical Segmentation Decathlon.

``imagesTr/<volume>.nii.gz`` and ``labelsTr/<volume>.nii.gz`` (or ``.nii``) have equal grids. Where
there is a ``dataset.json``, it must name no other volumes, and it says which labels and channels
there are. Volumes are turned to the closest anatomical axes first (right, anterior, superior). A
slice then shows its first axis from left to right and its second from bottom to top: right is the
patient's right, up is anterior or superior. Its id is ``<volume>_z012``, or x (sagittal) or y
(coronal), the number counted along the turned axis. All slices of a volume are one group.

Grey levels are stretched linearly from a window to 0 ... 255: the given one, or that from the 0.5
to the 99.5 percentile of all voxels of the volume (of its channel). Slices are resampled to square
pixels, images with antialiasing, masks so that the foreground keeps its area.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from noise2mask.data.formats import nifti
from noise2mask.data.formats.pairing import add, listed
from noise2mask.data.resize import resize_image, resize_mask
from noise2mask.data.source import Image, Mask, Source
from noise2mask.errors import UserError
from noise2mask.progress import Progress

_AXES = {"sagittal": "x", "coronal": "y", "axial": "z"}


def sources(
    *,
    root: Annotated[str, Field(description="folder of the dataset")],
    folder: Annotated[
        str, Field(description="folder in root that holds imagesTr and labelsTr")
    ] = ".",
    foreground: Annotated[
        tuple[int, ...], Field(min_length=1, description="labels that are foreground")
    ] = (1,),
    axis: Annotated[
        Literal["sagittal", "coronal", "axial"], Field(description="plane of the slices")
    ] = "axial",
    channel: Annotated[
        int | None, Field(ge=0, description="channel, of volumes that have several")
    ] = None,
    window: Annotated[
        tuple[float, float] | None,
        Field(description="values that become black and white, in CT Hounsfield units"),
    ] = None,
    spacing: Annotated[
        float | None, Field(gt=0, description="side of a pixel, mm; the finer of the slice's two")
    ] = None,
    keep: Annotated[
        Literal["foreground", "all"], Field(description="slices with foreground, or all")
    ] = "foreground",
    min_pixels: Annotated[
        int, Field(ge=1, description="fewest foreground voxels of a slice with foreground")
    ] = 1,
    every: Annotated[
        int, Field(ge=1, description="of all slices, those whose number is a multiple of it")
    ] = 1,
) -> list[Source]:
    """The slices of all volumes.

    Of images the headers are read; of labels the voxels too, to find the slices with foreground.

    Raises:
        UserError: volumes are missing, damaged, of unequal grids or without the channel, options
            contradict each other, or no slice is left.
    """
    place = Path(root) / folder
    if window is not None and not window[0] < window[1]:
        raise UserError(
            f"window {list(window)} for {place} must be a lower and a higher value, e.g. "
            "[-160, 240]."
        )
    if keep == "all" and min_pixels > 1:
        raise UserError(
            f"keep 'all' and min_pixels {min_pixels} are both given for {place}; leave out one."
        )
    pairs = _pairs(place)
    about = _about(place)
    about.check(pairs, foreground)
    rule = {"axis": axis, "foreground": tuple(foreground), "window": window, "spacing": spacing}
    progress = Progress(f"finding slices in {place}", len(pairs))
    cases = []
    for done, (id, (image, labels)) in enumerate(pairs.items(), start=1):
        header = nifti.opened(image)
        nifti.check_equal_grids(image, header, labels, nifti.opened(labels))
        chosen = about.channel(image, header.shape, channel)
        payload = {**rule, "volume": image, "labels": labels, "channel": chosen}
        if keep == "all":
            numbers: Sequence[int] = range(nifti.shape_after_turn(header)[list(_AXES).index(axis)])
        else:
            counts = _foreground_counts(labels, foreground, axis)
            numbers = np.flatnonzero(counts >= min_pixels).tolist()
        cases += [
            Source(f"{id}_{_AXES[axis]}{number:03d}", id, None, {**payload, "slice": number})
            for number in numbers
            if number % every == 0
        ]
        progress.update(done)
    if not cases:
        raise UserError(
            f"none of the {len(pairs)} volumes in {place} has an {axis} slice with {min_pixels} or "
            f"more voxels of the labels {list(foreground)} whose number is a multiple of {every}; "
            "change `foreground`, `min_pixels` or `every`."
        )
    return cases


def load(source: Source) -> tuple[Image, Mask]:
    """Cut one slice from its volume: image uint8 (H, W, 1) and mask bool (H, W).

    The last volume stays in memory, because a compressed one has to be read from its beginning
    for every slice.

    Raises:
        UserError: a volume is damaged or holds values that are no numbers, or its labels are no
            whole numbers.
    """
    given = source.payload
    axis, number = list(_AXES).index(given["axis"]), given["slice"]
    volume = nifti.read_volume(given["volume"], given["channel"])
    labels = nifti.read_labels(given["labels"])
    low, high = given["window"] or nifti.usual_window(given["volume"], given["channel"])
    values = np.moveaxis(volume.values, axis, 0)[number].astype(np.float64)  # the rest is a view
    light = (values * volume.slope + volume.intercept - low) / (high - low or 1)
    image = np.rint(255 * np.clip(light, 0, 1)).astype(np.uint8).T[::-1, :, None]
    mask = np.isin(np.moveaxis(labels, axis, 0)[number], given["foreground"]).T[::-1]
    sides = np.delete(volume.spacing, axis)[::-1]  # height and width of a voxel
    side = given["spacing"] or sides.min()
    rows, columns = np.maximum(1, np.rint(sides / side * mask.shape)).astype(int).tolist()
    if (rows, columns) == mask.shape:
        return np.ascontiguousarray(image), np.ascontiguousarray(mask)
    return resize_image(image, (rows, columns)), resize_mask(mask, (rows, columns))


def _foreground_counts(path: Path, foreground: Sequence[int], axis: str) -> npt.NDArray[np.int64]:
    """Foreground voxels of each slice."""
    labels = nifti.read_labels(path)
    found = np.zeros(labels.shape, dtype=np.bool_)
    for label in foreground:  # as large as the volume, so nothing larger than booleans
        found |= labels == label
    others = tuple(other for other in range(3) if other != list(_AXES).index(axis))
    counts: npt.NDArray[np.int64] = found.sum(axis=others)
    return counts


# Files ----------------------------------------------------------------------------------------


def _pairs(place: Path) -> dict[str, tuple[Path, Path]]:
    """Image and label volume of each id, in the order of the ids."""
    images, labels = _volumes(place / "imagesTr"), _volumes(place / "labelsTr")
    for one, other, lack in ((images, labels, "no labels"), (labels, images, "no image")):
        if missing := sorted(one.keys() - other.keys()):
            raise UserError(
                f"{listed('volume', missing, lack)} in {place}, but the files in imagesTr and "
                "labelsTr must have the same names; restore or remove files."
            )
    return {id: (images[id], labels[id]) for id in sorted(images)}


def _volumes(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("[!.]*")):  # archives made on macOS hold ._ files
        suffix = next((suffix for suffix in nifti.SUFFIXES if path.name.endswith(suffix)), None)
        if suffix is not None:
            add(found, path.name.removesuffix(suffix), path)
    if not found:
        raise UserError(
            f"there is no volume (.nii.gz or .nii) in {folder}; correct `root` or `folder`, or put "
            "the data there."
        )
    return found


@dataclass(frozen=True)
class _About:
    """What ``dataset.json`` says: ids of the volumes, and names of labels and channels."""

    place: Path
    ids: frozenset[str]
    labels: Mapping[int, str]
    channels: tuple[str, ...]

    def check(self, found: Mapping[str, Any], foreground: Sequence[int]) -> None:
        """Refuse missing volumes and unknown labels."""
        if missing := sorted(self.ids - found.keys()):
            raise UserError(
                f"{listed('volume', missing, 'no file')} in {self.place}, but dataset.json has "
                "it; unpack the archive again."
            )
        if self.labels and (unknown := [one for one in foreground if one not in self.labels]):
            known = ", ".join(f"{label} ({name})" for label, name in self.labels.items())
            raise UserError(
                f"foreground {list(foreground)} names the label {unknown[0]}, but the labels in "
                f"{self.place} are {known}; correct it."
            )

    def channel(self, path: Path, shape: tuple[int, ...], given: int | None) -> int | None:
        """The channel to be read; None of volumes without such an axis."""
        count = shape[3] if len(shape) == 4 else 1
        names = f" ({', '.join(self.channels)})" if len(self.channels) == count > 1 else ""
        if given is None and count > 1:
            raise UserError(
                f"{path} has {count} channels{names}, but a slice shows one; set `channel` to one "
                f"of 0 to {count - 1}."
            )
        if (given or 0) >= count:
            raise UserError(
                f"channel {given} is not in {path}, which has {count} (from 0){names}; correct "
                "`channel`."
            )
        return (given or 0) if len(shape) == 4 else None


def _about(place: Path) -> _About:
    path = place / "dataset.json"
    if not path.exists():
        return _About(place, frozenset(), {}, ())
    try:
        content = json.loads(path.read_bytes())
        names = [Path(entry["image"]).name for entry in content.get("training", ())]
        labels = {int(label): str(name) for label, name in content.get("labels", {}).items()}
        channels = tuple(str(name) for name in content.get("modality", {}).values())
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path} is damaged or not that of a decathlon dataset "
            f"({type(error).__name__}: {error}); restore or remove it."
        ) from error
    ids = frozenset(name.removesuffix(".gz").removesuffix(".nii") for name in names)
    return _About(place, ids, labels, channels)
