"""The one on-disk layout of a prepared dataset.

A prepared dataset is one folder::

    train.images.npy  train.masks.npy      uint8 (N, H, W, C) and uint8 (N, H, W) of 0 and 1,
                                           and 2 where pixels are left out
    val.images.npy    val.masks.npy
    test.images.npy   test.masks.npy
    train.references.npy ...               where there are several annotators, uint8 (N, R, H, W):
                                           theirs, and 3 throughout for those that a case lacks
    manifest.json     what they are, where they came from, and their digests; written last

The arrays are plain NPY files that can be memory-mapped; equal cases give equal bytes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from noise2mask import files
from noise2mask.data.source import LEFT_OUT, Slice
from noise2mask.data.splits import SPLITS as SPLITS
from noise2mask.data.splits import units
from noise2mask.errors import UserError

FOREGROUND = "masks hold 1 for foreground and 0 for background"
LEAVES_OUT = f"{FOREGROUND}, {LEFT_OUT} for pixels that are left out of losses and scores"

NOBODY = 3
"""Level of the masks of annotators that a case lacks."""

Arrays = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]  # images, masks

Purpose = Literal["training", "evaluation"]


@dataclass(frozen=True)
class Case:
    """One line of the manifest.

    `width` and `height` are those of the source, or of the tile cut from it, before resizing; the
    two digests are SHA-256 of the source's image and mask files (of the raw arrays where there is
    no file); `foreground` is the foreground's share of the prepared mask. `image` is the id of the
    source, which all its tiles share; `top` and `left` are the tile's first row and column in it.

    Where it is known, `sides` is mm between rows and columns of the prepared case, and `slice` its
    place in a volume.
    """

    id: str
    split: str
    group: str
    width: int
    height: int
    image_sha256: str
    mask_sha256: str
    foreground: float
    image: str
    top: int
    left: int
    sides: tuple[float, float] | None = None
    slice: Slice | None = None


@dataclass(frozen=True)
class Manifest:
    """What a prepared dataset is.

    `mean` and `std` are per channel over the training images, in units of [0, 1]. `digests` has
    one SHA-256 per split, over ids, groups and both array files; `digest` is over these three, so
    it does not depend on where the raw files lay.

    `units` is the number of groups (patients, slides) of each split, which are independent of each
    other; `leaks` says what splits share although they should not, "" if nothing: it was accepted
    by the study. `notes` are sentences that a reader of scores should know. `annotators` is the
    largest number of them that a case has, 0 where there is one mask.
    """

    dataset: str
    kind: str
    options: Mapping[str, Any]
    resolution: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    foreground: str
    counts: Mapping[str, int]
    units: Mapping[str, int]
    leaks: str
    notes: tuple[str, ...]
    digests: Mapping[str, str]
    digest: str
    cases: tuple[Case, ...]
    annotators: int = 0

    @property
    def leaves_out(self) -> bool:
        """Whether some pixels are left out of losses and scores."""
        return self.foreground == LEAVES_OUT

    @property
    def soft(self) -> bool:
        """Whether what is learnt, and calibrated to, is what share of annotators marks a pixel."""
        return self.options.get("several") == "soft"


@dataclass(frozen=True)
class Split:
    """The cases of one split; row i of both arrays belongs to ``ids[i]``.

    `images` is uint8 (N, H, W, C), `masks` uint8 (N, H, W) of 0 and 1, and `LEFT_OUT` if the
    manifest says that it leaves pixels out; `references` is uint8 (N, R, H, W) of 0, 1 and `NOBODY`
    where there are several annotators; all are memory-mapped and read-only.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.uint8]
    manifest: Manifest
    references: npt.NDArray[np.uint8] | None = None

    def judged_by(self) -> npt.NDArray[np.uint8]:
        """Every mask that probabilities are calibrated to, (N, R, H, W) of 0, 1 and others.

        Those of all annotators where labels are soft, else the one mask.
        """
        alone = self.masks[:, None]
        if self.references is None or not self.manifest.soft:
            return alone
        return np.where(alone == LEFT_OUT, alone, self.references)


def shares_of(references: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Share of the annotators of a case that mark a pixel, (N, H, W), of (N, R, H, W).

    >>> shares_of(np.array([[[[1]], [[0]], [[NOBODY]]]], np.uint8)).tolist()
    [[[0.5]]]
    """
    shares = (references == 1).sum(1) / (references != NOBODY).sum(1)
    return np.asarray(shares, dtype=np.float32)


# Writing --------------------------------------------------------------------------------------


def write_dataset(
    folder: Path,
    arrays: Mapping[str, Arrays],
    cases: Sequence[Case],
    *,
    dataset: str,
    kind: str,
    options: Mapping[str, Any],
    leaks: str = "",
    notes: Sequence[str] = (),
    references: Mapping[str, npt.NDArray[np.uint8]] | None = None,
) -> Manifest:
    """Write the arrays of all splits and then the manifest, each atomically.

    Args:
        folder: folder of the prepared dataset, made if needed.
        arrays: for each split its images (N, H, W, C) and masks (N, H, W).
        cases: one entry per row, in the order of the rows within each split.
        dataset: name of the dataset in the study.
        kind: kind of dataset, the name of a module in ``noise2mask.data.formats``.
        options: all options that the cases depend on.
        leaks: what splits share, as a sentence.
        notes: what a reader of scores should know.
        references: for each split the masks (N, R, H, W) of several annotators.
    """
    digests = {}
    annotators = references["train"].shape[1] if references else 0
    for split in SPLITS:
        given = (*arrays[split], *((references[split],) if references else ()))
        for path, array in zip(_paths(folder, split, annotators), given, strict=True):
            with files.writing(path) as temporary, temporary.open("wb") as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), version=(1, 0))
        own = [case for case in cases if case.split == split]
        digests[split] = _digest(folder, split, own, annotators)
    images = arrays["train"][0]
    leaves_out = any((masks == LEFT_OUT).any() for _, masks in arrays.values())
    mean, std = _moments(images)
    manifest = Manifest(
        dataset=dataset,
        kind=kind,
        options=dict(options),
        resolution=images.shape[1],
        channels=images.shape[3],
        mean=mean,
        std=std,
        foreground=LEAVES_OUT if leaves_out else FOREGROUND,
        counts={split: len(arrays[split][0]) for split in SPLITS},
        units=units([case.group for case in cases], [case.split for case in cases]),
        leaks=leaks,
        notes=tuple(notes),
        digests=digests,
        digest=hashlib.sha256("".join(digests[split] for split in SPLITS).encode()).hexdigest(),
        cases=tuple(cases),
        annotators=annotators,
    )
    said = asdict(manifest)
    said["cases"] = [_said(case) for case in said["cases"]]
    files.write_json(folder / "manifest.json", _said(said), record=True)
    return manifest


def _said(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields without those that say nothing, which most datasets do not have."""
    unsaid = {"sides", "slice", "annotators"}
    return {name: value for name, value in fields.items() if value or name not in unsaid}


def _moments(images: npt.NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel in units of [0, 1], from exact integer sums."""
    count = images[..., 0].size
    sums = [0] * images.shape[3]
    squares = [0] * images.shape[3]
    for image in images:
        for channel in range(images.shape[3]):
            values = image[..., channel].astype(np.int64)
            sums[channel] += int(values.sum())
            squares[channel] += int((values * values).sum())
    mean = tuple(total / count / 255 for total in sums)
    variance = [
        (count * square - total**2) / (count * 255) ** 2
        for total, square in zip(sums, squares, strict=True)
    ]
    return mean, tuple(value**0.5 for value in variance)


# Reading --------------------------------------------------------------------------------------


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a prepared dataset.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    path = folder / "manifest.json"
    if not path.exists():
        raise UserError(
            f"{folder} has no manifest.json, so it is no prepared dataset; prepare it first."
        )
    try:
        content = json.loads(files.checked(path).read_bytes())
        cases = tuple(_case(case) for case in content.pop("cases"))
        mean, std, notes = (tuple(content.pop(key)) for key in ("mean", "std", "notes"))
        return Manifest(**content, mean=mean, std=std, notes=notes, cases=cases)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path} is not the manifest of a prepared dataset of this version; delete {folder} "
            "and prepare it again."
        ) from error


def _case(fields: dict[str, Any]) -> Case:
    sides, place = fields.pop("sides", None), fields.pop("slice", None)
    return Case(**fields, sides=sides and (sides[0], sides[1]), slice=place and Slice(*place))


def open_split(folder: Path, split: str, *, purpose: Purpose, left_out: bool = False) -> Split:
    """Open the cases of one split, after checking them against the manifest.

    Args:
        folder: folder of the prepared dataset.
        split: one of :data:`SPLITS`.
        purpose: "training" may open train and val only, "evaluation" may open all.
        left_out: the caller keeps pixels that are `LEFT_OUT` out of what it does.

    Raises:
        UserError: training asks for the test split, the split is unknown, the files are not
            those that the manifest describes, or pixels are left out and the caller knows no such.
    """
    if split not in SPLITS:
        raise UserError(f"the split {split!r} is unknown; the splits are {', '.join(SPLITS)}.")
    if purpose == "training" and split == "test":
        raise UserError(
            "training cannot open the test split: models and checkpoints are chosen on train and "
            f"val alone (asked for {folder})."
        )
    manifest = read_manifest(folder)
    if manifest.leaves_out and not left_out:
        raise UserError(
            f"{manifest.dataset} leaves pixels out (`ignore`), which only training, sampling and "
            f"scoring allow for (asked for {folder}); take them for background by leaving out "
            "`ignore`, or leave this dataset out here."
        )
    cases = [case for case in manifest.cases if case.split == split]
    count, side = manifest.annotators, manifest.resolution
    places = _paths(folder, split, count)
    arrays = [_map(path) for path in places]
    shapes = (
        (len(cases), side, side, manifest.channels),
        (len(cases), side, side),
        (len(cases), count, side, side),
    )
    for path, array, shape in zip(places, arrays, shapes, strict=False):
        if array.shape != shape or array.dtype != np.uint8:
            raise UserError(
                f"{path} holds {array.dtype} {array.shape}, but its manifest says uint8 {shape}; "
                f"delete {folder} and prepare it again."
            )
    if _digest(folder, split, cases, count) != manifest.digests[split]:
        raise UserError(
            f"the {split} files in {folder} do not match the digest in manifest.json: they were "
            f"changed or only half replaced; delete {folder} and prepare it again."
        )
    return Split(
        tuple(case.id for case in cases),
        tuple(case.group for case in cases),
        arrays[0],
        arrays[1],
        manifest,
        arrays[2] if count else None,
    )


def _map(path: Path) -> npt.NDArray[np.uint8]:
    try:
        if not path.is_file():  # a pipe would be waited for
            raise FileNotFoundError(path)
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"{path} is missing or damaged; delete {path.parent} and prepare it again."
        ) from error


def _paths(folder: Path, split: str, annotators: int) -> list[Path]:
    names = ("images", "masks", *(("references",) if annotators else ()))
    return [folder / f"{split}.{name}.npy" for name in names]


def _digest(folder: Path, split: str, cases: Sequence[Case], annotators: int) -> str:
    digest = hashlib.sha256(json.dumps([[case.id, case.group] for case in cases]).encode())
    for path in _paths(folder, split, annotators):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
