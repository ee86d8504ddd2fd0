"""Slices of volumes in the layout of the Medical Segmentation Decathlon and of nnU-Net.

``imagesTr/<volume>.nii.gz`` and ``labelsTr/<volume>.nii.gz`` (``.nii``, ``.nrrd``, ``.mha``) have
equal grids; nnU-Net's images are ``<volume>_0000.nii.gz``, the number that of the channel. Where
there is a ``dataset.json`` of either, it must name no other volumes, and it says which labels and
channels there are. Volumes that lie otherwise are found by regular expressions on their paths,
`images` and `labels`. Volumes are turned to the closest anatomical axes first (right, anterior,
superior). A slice then shows its first axis from left to right and its second from bottom to top:
right is the patient's right, up is anterior or superior. Its id is ``<volume>_z012``, or x
(sagittal) or y (coronal), the number counted along the turned axis. All slices of a volume are one
group; `group_pattern` finds the patient of several volumes in their names.

Grey levels are stretched linearly from a window to 0 ... 255: the given one, or that from the 0.5
to the 99.5 percentile of all voxels of the volume (of its channel). Slices are resampled to square
pixels, images with antialiasing, masks so that the foreground keeps its area.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field

from noise2mask.data.formats import spatial_files
from noise2mask.data.formats.listing import files_below, folder_of
from noise2mask.data.formats.pairing import Ignore, Root, Window, add, listed, matches
from noise2mask.data.formats.pairs import with_id
from noise2mask.data.resize import resize_image, resize_levels
from noise2mask.data.source import (
    Details,
    Image,
    Levels,
    Listing,
    Mask,
    Slice,
    Source,
    with_left_out,
)
from noise2mask.errors import UserError
from noise2mask.progress import Progress

_AXES = {"sagittal": "x", "coronal": "y", "axial": "z"}
_SUFFIXES = (*spatial_files.NIFTI, ".nrrd", ".mha", ".mhd")
_CHANNEL = re.compile(r"_(\d{4})$")


def sources(
    *,
    root: Root,
    folder: Annotated[
        str, Field(description="folder in root that holds imagesTr and labelsTr")
    ] = ".",
    images: Annotated[
        str | None,
        Field(
            description="regular expression on the path of an image volume, with a group named id; "
            "none: those in imagesTr"
        ),
    ] = None,
    labels: Annotated[
        str | None,
        Field(description="the same for labels; a file that matches it is no image"),
    ] = None,
    missing_labels: Annotated[
        Literal["refuse", "skip"],
        Field(description="of volumes that `images` finds: an error, or left out"),
    ] = "refuse",
    foreground: Annotated[
        tuple[int, ...] | None,
        Field(min_length=1, description="labels that are foreground; none: the only one there is"),
    ] = None,
    ignore: Ignore = None,
    axis: Annotated[
        Literal["sagittal", "coronal", "axial"], Field(description="plane of the slices")
    ] = "axial",
    channel: Annotated[
        int | None, Field(ge=0, le=10_000, description="channel, of volumes that have several")
    ] = None,
    window: Window = None,
    spacing: Annotated[
        float | None,
        Field(gt=0, le=1000, description="side of a pixel, mm; the finer of the slice's two"),
    ] = None,
    keep: Annotated[
        Literal["foreground", "all"], Field(description="slices with foreground, or all")
    ] = "foreground",
    min_pixels: Annotated[
        int,
        Field(ge=1, le=10**9, description="fewest foreground voxels of a slice with foreground"),
    ] = 1,
    every: Annotated[
        int,
        Field(
            ge=1, le=100_000, description="of all slices, those whose number is a multiple of it"
        ),
    ] = 1,
    group_pattern: Annotated[
        str | None,
        Field(description="regular expression; its first group in a volume's name is the patient"),
    ] = None,
) -> Listing:
    """The slices of all volumes.

    Of images the headers are read; of labels the voxels too, to find the slices with foreground.

    Raises:
        UserError: volumes are missing, damaged, of unequal grids or without the channel, options
            contradict each other, several labels could be foreground, or no slice is left.
    """
    place = folder_of(root) / folder
    if window is not None and not window[0] < window[1]:
        raise UserError(
            f"window {list(window)} for {place} must be a lower and a higher value, e.g. "
            "[-160, 240]."
        )
    if keep == "all" and min_pixels > 1:
        raise UserError(
            f"keep 'all' and min_pixels {min_pixels} are both given for {place}; leave out one."
        )
    found = volumes_in(place, images, labels, missing_labels)
    about = about_in(place)
    about.check(found.pairs, (*(foreground or ()), *(ignore or ())))
    ignore = about.ignored if ignore is None else ignore
    if both := set(foreground or ()) & set(ignore):
        raise UserError(
            f"the label {min(both)} is among both foreground {list(foreground or ())} and ignore "
            f"{list(ignore)} of {place}; name it in one of them."
        )
    chosen = _foreground(found.pairs, about, foreground, ignore)
    group_of = {id: id for id in found.pairs}
    if group_pattern is not None:
        group_of = matches(group_pattern, "group_pattern", list(found.pairs))
    rule: dict[str, Any] = {"axis": axis, "foreground": chosen, "window": window}
    rule |= {"spacing": spacing, "every": every}
    if ignore:
        rule["ignore"] = tuple(ignore)
    progress = Progress(f"finding slices in {place}", len(found.pairs))
    cases = []
    for done, (id, (channels, labels_at)) in enumerate(found.pairs.items(), start=1):
        image, header, selected = about.channel(channels, channel)
        spatial_files.check_placed(header)
        labels_header = spatial_files.header_of(labels_at)
        spatial_files.check_placed(labels_header)
        spatial_files.check_equal_grids(header, labels_header)
        payload = {**rule, "id": id, "volume": image, "labels": labels_at, "channel": selected}
        if keep == "all":
            count = spatial_files.shape_after_turn(header)[list(_AXES).index(axis)]
            numbers: Sequence[int] = range(count)
        else:
            counts = _foreground_counts(labels_at, chosen, axis)
            numbers = np.flatnonzero(counts >= min_pixels).tolist()
        cases += [
            Source(
                f"{id}_{_AXES[axis]}{number:03d}",
                group_of[id],
                None,
                {**payload, "slice": number},
            )
            for number in numbers
            if number % every == 0
        ]
        progress.update(done)
    if not cases:
        raise UserError(
            f"none of the {len(found.pairs)} volumes in {place} has an {axis} slice with "
            f"{min_pixels} or more voxels of the labels {list(chosen)} whose number is a multiple "
            f"of {every}; change `foreground`, `min_pixels` or `every`."
        )
    return Listing(cases, unused=found.unused, tables=about.tables)


def files(
    *,
    root: str,
    folder: str = ".",
    images: str | None = None,
    labels: str | None = None,
    missing_labels: Literal["refuse", "skip"] = "refuse",
    **_: Any,
) -> list[Path]:
    """The files of the volumes, without a look into them.

    Raises:
        UserError: volumes are missing.
    """
    place = folder_of(root) / folder
    paths = {*about_in(place).tables}
    for channels, labels_at in volumes_in(place, images, labels, missing_labels).pairs.values():
        for path in (*channels.values(), labels_at):
            paths |= {path, *spatial_files.companions(path)}
    return sorted(paths)


def load(source: Source) -> tuple[Image, Mask | Levels]:
    """Cut one slice from its volume: image uint8 (H, W, 1) and its mask (H, W).

    The last volume stays in memory, because a compressed one has to be read from its beginning
    for every slice.

    Raises:
        UserError: a volume is damaged or holds values that are no numbers, or its labels are no
            whole numbers.
    """
    given = source.payload
    axis, number = list(_AXES).index(given["axis"]), given["slice"]
    volume = spatial_files.read_volume(given["volume"], given["channel"])
    labels = spatial_files.read_labels(given["labels"])
    low, high = given["window"] or spatial_files.usual_window(given["volume"], given["channel"])
    values = np.moveaxis(volume.values, axis, 0)[number].astype(np.float64)  # the rest is a view
    light = (values * volume.slope + volume.intercept - low) / (high - low or 1)
    image = np.rint(255 * np.clip(light, 0, 1)).astype(np.uint8).T[::-1, :, None]
    label = np.moveaxis(labels, axis, 0)[number].T[::-1]
    foreground = np.isin(label, given["foreground"])
    mask: Mask | Levels = foreground
    if "ignore" in given:
        mask = with_left_out(foreground, np.isin(label, given["ignore"]))
    size, _ = resampled(volume.spacing, labels.shape, axis, given["spacing"])
    if size == mask.shape:
        return np.ascontiguousarray(image), cast("Mask | Levels", np.ascontiguousarray(mask))
    return resize_image(image, size), resize_levels(mask, size)


def load_known(source: Source) -> tuple[Image, Mask | Levels, Details]:
    """As :func:`load`, with the slice's place in its volume and the sides of its pixels."""
    given = source.payload
    axis, header = list(_AXES).index(given["axis"]), spatial_files.header_of(given["volume"])
    spacing = spatial_files.spacing_after_turn(header).tolist()
    _, sides = resampled(spacing, spatial_files.shape_after_turn(header), axis, given["spacing"])
    thickness = given["every"] * spacing[axis]
    place = Slice(given["id"], given["slice"] // given["every"], thickness)
    return *load(source), Details(sides=sides, slice=place)


def resampled(
    spacing: Sequence[float], shape: Sequence[int], axis: int, side: float | None
) -> tuple[tuple[int, int], tuple[float, float]]:
    """Rows and columns of a slice of about square pixels, and the mm between them.

    Args:
        spacing: of the turned volume, mm.
        shape: of it, voxels.
        axis: that slices lie along.
        side: of a pixel, mm; None: the shorter one of a voxel.
    """
    sides, voxels = (np.delete(each[:3], axis)[::-1] for each in (spacing, shape))
    size = np.maximum(1, np.rint(sides / (side or sides.min()) * voxels)).astype(int)
    rows, columns = size.tolist()
    height, width = (sides * voxels / size).tolist()
    return (rows, columns), (height, width)


def _foreground_counts(path: Path, foreground: Sequence[int], axis: str) -> npt.NDArray[np.int64]:
    """Foreground voxels of each slice."""
    labels = spatial_files.read_labels(path)
    found = np.zeros(labels.shape, dtype=np.bool_)
    for label in foreground:  # as large as the volume, so nothing larger than booleans
        found |= labels == label
    others = tuple(other for other in range(3) if other != list(_AXES).index(axis))
    counts: npt.NDArray[np.int64] = found.sum(axis=others)
    return counts


def _foreground(
    pairs: Mapping[str, Any], about: "About", given: Sequence[int] | None, ignore: Sequence[int]
) -> tuple[int, ...]:
    """The labels that are foreground: those given, or the only one that there is."""
    if given is not None:
        return tuple(given)
    labels = {label: name for label, name in about.labels.items() if label != 0}
    if not labels:
        present: set[int] = set()
        progress = Progress(f"reading the labels in {about.place}", len(pairs))
        for done, (_, path) in enumerate(pairs.values(), start=1):
            present |= set(np.unique(spatial_files.read_labels(path)).tolist())
            progress.update(done)
        labels = dict.fromkeys(sorted(present - {0}), "")
    labels = {label: name for label, name in labels.items() if label not in ignore}
    if len(labels) == 1:
        return tuple(labels)
    if not labels:
        beside = f" or left out {list(ignore)}" if ignore else ""
        raise UserError(
            f"the labels in {about.place} are all 0{beside}, so there is no foreground."
        )
    known = ", ".join(f"{label} ({name})" if name else str(label) for label, name in labels.items())
    raise UserError(
        f"the labels in {about.place} are {known}, and all that is not foreground is background; "
        f"set `foreground` to those that count, e.g. {list(labels)} for all of them."
    )


# Files ----------------------------------------------------------------------------------------


class Volumes(NamedTuple):
    """Images by channel, and labels, of each id, in order; and what is not used."""

    pairs: dict[str, tuple[dict[int, Path], Path]]
    unused: dict[str, list[str]]


def volumes_in(
    place: Path,
    images_said: str | None = None,
    labels_said: str | None = None,
    without: Literal["refuse", "skip"] = "refuse",
) -> Volumes:
    """The volumes of a folder.

    Args:
        place: the folder.
        images_said: regular expression on the paths of images; None: those in ``imagesTr``.
        labels_said: the same for labels.
        without: what becomes of volumes that `images_said` finds and that have no labels.

    Raises:
        UserError: an expression is wrong or finds nothing, or images and labels do not pair.
    """
    if (images_said is None) != (labels_said is None):
        raise UserError(
            f"of the regular expressions `images` and `labels` only one is given for {place}; give "
            "both, or none where the volumes are in imagesTr and labelsTr."
        )
    if images_said is not None and labels_said is not None:
        return _matching(place, images_said, labels_said, without)
    unused: dict[str, list[str]] = {}
    images, labels = _volumes(place / "imagesTr", unused), _volumes(place / "labelsTr", unused)
    channels: dict[str, dict[int, Path]] = {}
    numbered = all(_CHANNEL.search(id) for id in images) and not images.keys() & labels.keys()
    for id, path in images.items():
        match = _CHANNEL.search(id) if numbered else None
        bare, number = (id[: match.start()], int(match[1])) if match else (id, 0)
        channels.setdefault(bare, {})[number] = path
    for one, other, lack in ((channels, labels, "no labels"), (labels, channels, "no image")):
        if missing := sorted(one.keys() - other.keys()):
            raise UserError(
                f"{listed('volume', missing, lack)} in {place}, but the files in imagesTr and "
                "labelsTr must have the same names; restore or remove files."
            )
    return Volumes({id: (channels[id], labels[id]) for id in sorted(channels)}, unused)


def _matching(
    place: Path, images_said: str, labels_said: str, missing: Literal["refuse", "skip"]
) -> Volumes:
    """The volumes whose paths below a folder match."""
    images, labels = (
        with_id(said, option) for said, option in ((images_said, "images"), (labels_said, "labels"))
    )
    if not place.is_dir():
        raise UserError(f"the folder {place} does not exist; correct `root` or `folder`.")
    image_at: dict[str, Path] = {}
    labels_at: dict[str, Path] = {}
    passed = []
    for entry in files_below(place):
        if not entry.place.lower().endswith(_SUFFIXES):
            continue
        if match := labels.search(entry.place):
            add(labels_at, match["id"], entry.path)
        elif match := images.search(entry.place):
            add(image_at, match["id"], entry.path)
        else:
            passed.append(entry.place)
    for at, option, said in (
        (image_at, "images", images_said),
        (labels_at, "labels", labels_said),
    ):
        if not at:
            raise UserError(
                f"no volume (.nii.gz, .nii, .nrrd, .mha) below {place} matches {option} {said!r}; "
                "correct it."
            )
    alone = sorted(image_at.keys() - labels_at.keys())
    if alone and missing == "refuse":
        raise UserError(
            f"{listed('volume', alone, 'no labels')} below {place}; correct `images` and `labels`, "
            "or set `missing_labels` to skip."
        )
    if lonely := sorted(labels_at.keys() - image_at.keys()):
        raise UserError(
            f"{listed('volume', lonely, 'no image')} below {place}; correct `images` and `labels`."
        )
    unused = {
        "matching neither `images` nor `labels`": passed,
        "volumes without labels (`missing_labels: skip`)": alone,
    }
    return Volumes({id: ({0: image_at[id]}, labels_at[id]) for id in sorted(labels_at)}, unused)


def _volumes(folder: Path, unused: dict[str, list[str]]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    behind: set[Path] = set()
    passed, deeper = [], []
    for entry in files_below(folder):
        if "/" in entry.place:
            deeper.append(entry.place)
            continue
        suffix = next((end for end in _SUFFIXES if entry.place.lower().endswith(end)), None)
        if suffix is None:
            passed.append(entry)
        else:
            behind.update(spatial_files.companions(entry.path))
            add(found, entry.place[: -len(suffix)], entry.path)
    if left := [entry.place for entry in passed if entry.path not in behind]:
        unused[f"of a suffix that is not read, in {folder.name}/"] = left
    if deeper:
        unused[f"in folders of {folder.name}/, which are not entered"] = deeper
    if not found:
        raise UserError(
            f"there is no volume (.nii.gz or .nii) in {folder}; correct `root` or `folder`, or put "
            "the data there."
        )
    return found


@dataclass(frozen=True)
class About:
    """What ``dataset.json`` says: ids of the volumes, and names of labels and channels."""

    place: Path
    ids: frozenset[str] = frozenset()
    count: int | None = None
    labels: Mapping[int, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    tables: tuple[Path, ...] = ()

    @property
    def ignored(self) -> tuple[int, ...]:
        """The label that nnU-Net calls ``ignore``: of voxels that are left out."""
        return tuple(label for label, name in self.labels.items() if name == "ignore")

    def check(self, found: Mapping[str, Any], named: Sequence[int]) -> None:
        """Refuse missing volumes and unknown labels."""
        if missing := sorted(self.ids - found.keys()):
            raise UserError(
                f"{listed('volume', missing, 'no file')} in {self.place}, but dataset.json has "
                "it; unpack the archive again."
            )
        if self.count is not None and len(found) < self.count:
            raise UserError(
                f"{self.place} has {len(found)} volumes, but dataset.json says {self.count}; "
                "unpack the archive again."
            )
        if self.labels and (unknown := [one for one in named if one not in self.labels]):
            known = ", ".join(f"{label} ({name})" for label, name in self.labels.items())
            raise UserError(
                f"`foreground` or `ignore` names the label {unknown[0]}, but the labels in "
                f"{self.place} are {known}; correct it."
            )

    def channel(
        self, images: Mapping[int, Path], given: int | None
    ) -> tuple[Path, spatial_files.Header, int | None]:
        """The file to be read, its header, and the channel in it, None without such an axis."""
        path = images.get(given or 0, next(iter(images.values())))
        header = spatial_files.header_of(path)
        shape = header.shape
        if len(shape) > 4:
            raise UserError(
                f"{path} has {spatial_files.sides(shape)} values, but a volume has three axes, or "
                "four, the last one its channels; save it so."
            )
        inside = shape[3] if len(shape) == 4 else 1
        count = max(images) + 1 if len(images) > 1 else inside
        names = f" ({', '.join(self.channels)})" if len(self.channels) == count > 1 else ""
        if given is None and count > 1:
            raise UserError(
                f"{path} has {count} channels{names}, but a slice shows one; set `channel` to one "
                f"of 0 to {count - 1}."
            )
        if (given or 0) >= count or (len(images) > 1 and (given or 0) not in images):
            raise UserError(
                f"channel {given} is not in {path}, which has {count} (from 0){names}; correct "
                "`channel`."
            )
        own = 0 if len(images) > 1 else given or 0
        return path, header, own if len(shape) == 4 else None


def about_in(place: Path) -> About:
    """What the ``dataset.json`` of a folder says, if there is one.

    Raises:
        UserError: it is damaged.
    """
    path = place / "dataset.json"
    if not path.exists():
        return About(place)
    try:
        content = json.loads(path.read_bytes())
        entries = content.get("training", ())
        names = [Path(entry["image"]).name for entry in entries]
        labels = _labels(content.get("labels", {}))
        channels = content.get("modality") or content.get("channel_names") or {}
        count = content.get("numTraining") if "channel_names" in content else None
        return About(
            place,
            frozenset(name.removesuffix(".gz").removesuffix(".nii") for name in names),
            None if count is None else int(count),
            labels,
            tuple(str(name) for name in channels.values()),
            (path,),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path} is damaged or not that of a decathlon or nnU-Net dataset "
            f"({type(error).__name__}: {error}); restore or remove it."
        ) from error


def _labels(given: Mapping[str, Any]) -> dict[int, str]:
    """Names of labels: by number in a decathlon, by name in nnU-Net, regions as lists."""
    labels: dict[int, str] = {}
    for key, value in given.items():
        if key.lstrip("-").isdigit():
            labels[int(key)] = str(value)
            continue
        for label in value if isinstance(value, list) else [value]:
            labels[int(label)] = f"{labels[int(label)]}, {key}" if int(label) in labels else key
    return dict(sorted(labels.items()))
