"""What a reference implementation is given and what it gives back."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from noise2mask.data.prepared import Split

Images = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]


class Job(NamedTuple):
    """One training of a reference.

    Attributes:
        title: what messages call it.
        train: the cases to learn from.
        val: the cases that may choose among what was learnt.
        seed: of everything random.
        augmentation: options of :func:`noise2mask.training.augment.augment`, for a reference that
            brings no augmentation of its own.
        work: folder for checkpoints; a training that was interrupted goes on from there.
        out: folder for what :func:`load` needs; only this outlives the training.
        threads: of torch.
        device: where to compute.
    """

    title: str
    train: Split
    val: Split
    seed: int
    augmentation: dict[str, object]
    work: Path
    out: Path
    threads: int
    device: torch.device


class TrainedBaseline(NamedTuple):
    """A trained reference.

    Attributes:
        network: the bare network, for counts of parameters and multiply-adds.
        example: an input of `network` for one case.
        predict: from images (cases, H, W, C) to P(foreground) (cases, H, W).
        notes: what a table has to say beside its numbers, such as that no pretrained weights were
            used; empty if nothing.
    """

    network: torch.nn.Module
    example: Tensor
    predict: Callable[[Images], Probabilities]
    notes: tuple[str, ...]
