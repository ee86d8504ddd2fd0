"""The one on-disk layout of a prepared dataset.

A prepared dataset is one folder::

    train.images.npy  train.masks.npy      uint8 (N, H, W, C) and uint8 (N, H, W) of 0 and 1,
                                           and 2 where pixels are left out
    val.images.npy    val.masks.npy
    test.images.npy   test.masks.npy
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
from noise2mask.data.source import LEFT_OUT
from noise2mask.data.splits import SPLITS as SPLITS
from noise2mask.data.splits import units
from noise2mask.errors import UserError

FOREGROUND = "masks hold 1 for foreground and 0 for background"
LEAVES_OUT = f"{FOREGROUND}, {LEFT_OUT} for pixels that are left out of losses and scores"

Purpose = Literal["training", "evaluation"]


@dataclass(frozen=True)
class Case:
    """One line of the manifest.

    `width` and `height` are those of the source, or of the tile cut from it, before resizing; the
    two digests are SHA-256 of the source's image and mask files (of the raw arrays where there is
    no file); `foreground` is the foreground's share of the prepared mask. `image` is the id of the
    source, which all its tiles share; `top` and `left` are the tile's first row and column in it.
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


@dataclass(frozen=True)
class Manifest:
    """What a prepared dataset is.

    `mean` and `std` are per channel over the training images, in units of [0, 1]. `digests` has
    one SHA-256 per split, over ids, groups and both array files; `digest` is over these three, so
    it does not depend on where the raw files lay.

    `units` is the number of groups (patients, slides) of each split, which are independent of each
    other; `leaks` says what splits share although they should not, "" if nothing: it was accepted
    by the study. `notes` are sentences that a reader of scores should know.
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

    @property
    def leaves_out(self) -> bool:
        """Whether some pixels are left out of losses and scores."""
        return self.foreground == LEAVES_OUT


@dataclass(frozen=True)
class Split:
    """The cases of one split; row i of both arrays belongs to ``ids[i]``.

    `images` is uint8 (N, H, W, C), `masks` uint8 (N, H, W) of 0 and 1, and `LEFT_OUT` if the
    manifest says that it leaves pixels out; both are memory-mapped and read-only.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.uint8]
    manifest: Manifest


# Writing --------------------------------------------------------------------------------------


def write_dataset(
    folder: Path,
    arrays: Mapping[str, tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]],
    cases: Sequence[Case],
    *,
    dataset: str,
    kind: str,
    options: Mapping[str, Any],
    leaks: str = "",
    notes: Sequence[str] = (),
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
    """
    digests = {}
    for split in SPLITS:
        for path, array in zip(_paths(folder, split), arrays[split], strict=True):
            with files.writing(path) as temporary, temporary.open("wb") as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), version=(1, 0))
        digests[split] = _digest(folder, split, [case for case in cases if case.split == split])
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
    )
    files.write_json(folder / "manifest.json", asdict(manifest), record=True)
    return manifest


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
        cases = tuple(Case(**case) for case in content.pop("cases"))
        mean, std, notes = (tuple(content.pop(key)) for key in ("mean", "std", "notes"))
        return Manifest(**content, mean=mean, std=std, notes=notes, cases=cases)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path} is not the manifest of a prepared dataset of this version; delete {folder} "
            "and prepare it again."
        ) from error


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
    images, masks = (_map(path) for path in _paths(folder, split))
    side = manifest.resolution
    for path, array, shape in (
        (_paths(folder, split)[0], images, (len(cases), side, side, manifest.channels)),
        (_paths(folder, split)[1], masks, (len(cases), side, side)),
    ):
        if array.shape != shape or array.dtype != np.uint8:
            raise UserError(
                f"{path} holds {array.dtype} {array.shape}, but its manifest says uint8 {shape}; "
                f"delete {folder} and prepare it again."
            )
    if _digest(folder, split, cases) != manifest.digests[split]:
        raise UserError(
            f"the {split} files in {folder} do not match the digest in manifest.json: they were "
            f"changed or only half replaced; delete {folder} and prepare it again."
        )
    return Split(
        tuple(case.id for case in cases),
        tuple(case.group for case in cases),
        images,
        masks,
        manifest,
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


def _paths(folder: Path, split: str) -> tuple[Path, Path]:
    return folder / f"{split}.images.npy", folder / f"{split}.masks.npy"


def _digest(folder: Path, split: str, cases: Sequence[Case]) -> str:
    digest = hashlib.sha256(json.dumps([[case.id, case.group] for case in cases]).encode())
    for path in _paths(folder, split):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
