"""The cases of a job as nnU-Net wants them on disk, and whose training lies in a work folder."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from noise2mask import files
from noise2mask.baselines.base import Job
from noise2mask.data.prepared import Split
from noise2mask.errors import UserError

DATASET = "Dataset001_cases"
"""nnU-Net takes no name without a three-digit number."""

FOLDERS = ("raw", "preprocessed", "results")
"""Subfolders of the work folder; nnU-Net finds each by a variable ``nnUNet_<name>``."""

_IDENTITY = "identity.json"
_CHANNELS = {1: ("grey",), 3: ("R", "G", "B")}  # as in nnU-Net's own data sets of photographs


def names_of(split: Split, prefix: str) -> list[str]:
    """What nnU-Net calls the cases of a split: row numbers, since ids may hold any character."""
    return [f"{prefix}_{row:05d}" for row in range(len(split.ids))]


def write_cases(job: Job) -> None:
    """Write train and val as lossless PNG under ``raw``; nothing else is there for nnU-Net to see.

    Raises:
        UserError: the images have neither one nor three channels.
    """
    folder = job.work / "raw" / DATASET
    channels = job.train.images.shape[3]
    if channels not in _CHANNELS:
        raise UserError(
            f"the images of {job.title} have {channels} channels, but PNG files for nnU-Net hold 1 "
            "or 3; prepare the dataset as grey or RGB."
        )
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for split, prefix in ((job.train, "train"), (job.val, "val")):
        for row, name in enumerate(names_of(split, prefix)):
            image = np.asarray(split.images[row])
            _save(image if channels == 3 else image[..., 0], folder / "imagesTr" / f"{name}_0000")
            _save(np.asarray(split.masks[row]), folder / "labelsTr" / name)
    description = {
        "channel_names": {str(i): name for i, name in enumerate(_CHANNELS[channels])},
        "labels": {"background": 0, "foreground": 1},
        "numTraining": len(job.train.ids) + len(job.val.ids),
        "file_ending": ".png",
        "overwrite_image_reader_writer": "NaturalImage2DIO",
    }
    files.write_json(folder / "dataset.json", description)


def _save(pixels: np.ndarray[Any, np.dtype[np.uint8]], path: Path) -> None:
    Image.fromarray(pixels).save(path.with_name(f"{path.name}.png"))


def write_split(job: Job) -> None:
    """Tell nnU-Net to learn from `job.train` and to validate on `job.val`, as its only fold."""
    split = {"train": names_of(job.train, "train"), "val": names_of(job.val, "val")}
    files.write_json(job.work / "preprocessed" / DATASET / "splits_final.json", [split])


def claim(job: Job, version: str, options: Mapping[str, Any]) -> None:
    """Make the work folder this training's own, unless another training lies in it.

    Args:
        job: what is to be trained.
        version: of nnU-Net.
        options: those that the training depends on.

    Raises:
        UserError: the checkpoints there were made from other cases, options or versions.
    """
    path = job.work / _IDENTITY
    mine: dict[str, Any] = {
        "version of nnunetv2": version,
        "training cases": _digest(job.train),
        "validation cases": _digest(job.val),
        "seed": job.seed,
        **options,
    }
    if not path.exists():
        # Without its identity nothing there can be believed.
        clear(job)
        files.write_json(path, mine)
        return
    try:
        theirs: dict[str, Any] = dict(json.loads(path.read_bytes()))
    except ValueError:
        theirs = {}
    other = [_difference(key, theirs.get(key), mine[key]) for key in mine]
    if any(other):
        raise UserError(
            f"{job.work} holds a training of {job.title} that was begun with other settings "
            f"({', '.join(filter(None, other))}); remove that folder to train anew, or undo the "
            "change to go on."
        )


def clear(job: Job) -> None:
    """Remove all that nnU-Net left in the work folder."""
    (job.work / _IDENTITY).unlink(missing_ok=True)
    for name in FOLDERS:
        shutil.rmtree(job.work / name, ignore_errors=True)


def _difference(key: str, before: Any, now: Any) -> str:
    if before == now:
        return ""
    return f"other {key}" if key.endswith("cases") else f"{key} {before} there, now {now}"


def _digest(split: Split) -> str:
    """SHA-256 of ids, images and masks."""
    digest = hashlib.sha256(json.dumps([split.ids, split.images.shape]).encode())
    for row in range(len(split.ids)):
        digest.update(np.ascontiguousarray(split.images[row]).tobytes())
        digest.update(np.ascontiguousarray(split.masks[row]).tobytes())
    return digest.hexdigest()
