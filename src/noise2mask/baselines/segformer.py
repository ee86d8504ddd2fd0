"""SegFormer of the library transformers, trained on our cases.

Xie et al., "SegFormer: simple and efficient design for semantic segmentation with transformers"
(2021). Its environment is made of ``envs/segformer.txt``; this module can be read without it.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from noise2mask.baselines.base import Images, Job, Probabilities, TrainedBaseline
from noise2mask.baselines.mix_transformer import (
    LOGITS,
    SMALLEST,
    Size,
    build,
    channels_of,
    logits_of,
)
from noise2mask.baselines.segformer_training import Loss, Recipe, train
from noise2mask.errors import UserError
from noise2mask.files import checked
from noise2mask.sampling.sample import BLOCK
from noise2mask.training.augment import standardise
from noise2mask.training.run import load_tensors


def fit(
    job: Job,
    *,
    size: Annotated[Size, Field(description="published size of the network")] = "b0",
    pretrained: Annotated[
        str | None,
        Field(description="folder or hub name of MiT or SegFormer weights; null: random ones"),
    ] = None,
    side: Annotated[
        int | None,
        Field(
            ge=32,
            le=4096,
            description="images are enlarged to this side; logits have a quarter of it",
        ),
    ] = None,
    loss: Annotated[
        Loss, Field(description="Dice loss plus cross-entropy, or cross-entropy alone")
    ] = "overlap",
    steps: Annotated[int, Field(ge=1, le=10_000_000, description="optimiser steps")] = 20_000,
    batch: Annotated[int, Field(ge=1, le=1024, description="cases in a step")] = 8,
    learning_rate: Annotated[
        float, Field(gt=0, le=1, description="peak; published for pretrained weights: 6e-5")
    ] = 1e-3,
    head_factor: Annotated[
        float,
        Field(
            gt=0, le=1000, description="on the head's rate; published for pretrained weights: 10"
        ),
    ] = 1.0,
    weight_decay: Annotated[float, Field(ge=0, le=1, description="AdamW, but not of norms")] = 0.01,
    warm_up: Annotated[int, Field(ge=0, le=10_000_000, description="steps of linear rise")] = 0,
    validate_every: Annotated[
        int,
        Field(ge=1, le=10_000_000, description="steps between validations, each with a checkpoint"),
    ] = 500,
) -> None:
    """Train to the end and leave weights, settings and history in ``job.out``.

    Raises:
        UserError: transformers or the pretrained weights are missing, options and data do not go
            together, or the loss is no longer finite.
    """
    recipe = Recipe(
        size, pretrained, side, loss, steps, batch, learning_rate, head_factor, weight_decay,
        warm_up, validate_every,
    )  # fmt: skip
    _check(recipe, job)
    train(job, recipe)


def load(folder: Path, device: torch.device) -> TrainedBaseline:
    """The trained network in `folder`.

    Raises:
        UserError: the training is not finished, its files do not belong together, or transformers
            is missing.
    """
    if not (folder / "settings.json").exists():
        raise UserError(f"{folder} holds no finished SegFormer: train it first.")
    record = json.loads(checked(folder / "settings.json").read_bytes())
    tensors, inside = load_tensors(checked(folder / "model.safetensors"))
    if inside["digest"] != record["digest"]:
        raise UserError(
            f"{folder}/model.safetensors does not belong to the settings.json beside it; "
            "train this SegFormer again."
        )
    recipe, data = Recipe(**record["options"]), record["data"]
    network = build(recipe.size, 3 if recipe.pretrained else data["channels"])
    network.load_state_dict(tensors)
    network = network.to(device).eval()
    shown = recipe.side or data["resolution"]

    def predict(images: Images) -> Probabilities:
        return _probabilities(network, images, recipe.side, data)

    example = torch.zeros(1, channels_of(network), shown, shown, device=device)
    return TrainedBaseline(network, example, predict, _notes(recipe))


def _notes(recipe: Recipe) -> tuple[str, ...]:
    if recipe.pretrained:
        weights = f"pretrained weights: {recipe.pretrained}"
    else:
        weights = "no pretrained weights: initialised at random"
    seen = (f"images enlarged to {recipe.side} pixels",) if recipe.side else ()
    return (weights, *seen)


def _check(recipe: Recipe, job: Job) -> None:
    """Refuse options that do not go with the prepared cases."""
    manifest = job.train.manifest
    if recipe.side is None and manifest.resolution < SMALLEST:
        raise UserError(
            f"{job.title}: SegFormer needs images of {SMALLEST} pixels or more, but those of "
            f"{manifest.dataset} have {manifest.resolution}; set its option side."
        )
    largest = LOGITS * manifest.resolution  # beyond it logits would be finer than the masks
    if recipe.side is not None and not manifest.resolution <= recipe.side <= largest:
        raise UserError(
            f"{job.title}: side is {recipe.side}, but for the {manifest.resolution} pixels of "
            f"{manifest.dataset} it lies in {manifest.resolution} to {largest}; change it or leave "
            "it out."
        )
    if recipe.pretrained and manifest.channels not in (1, 3):
        raise UserError(
            f"{job.title}: pretrained weights take images of 1 or 3 channels, but those of "
            f"{manifest.dataset} have {manifest.channels}; set pretrained: null."
        )


@torch.inference_mode()
def _probabilities(
    network: nn.Module, images: Images, side: int | None, data: dict[str, Any]
) -> Probabilities:
    """P(foreground) (cases, H, W) of images (cases, H, W, C).

    The network sees full blocks only, as in :mod:`noise2mask.sampling.sample`, so that a case's
    result does not hang on how many are predicted with it.

    Raises:
        UserError: the images are not of the size and the channels that it was trained on.
    """
    trained_on = (data["resolution"], data["resolution"], data["channels"])
    if images.shape[1:] != trained_on:
        raise UserError(
            f"the SegFormer was trained on {data['name']} with images {trained_on}, but is given "
            f"{images.shape[1:]}: train it again on these cases."
        )
    device = next(network.parameters()).device
    size = BLOCK[device.type]
    found = np.empty(images.shape[:3], dtype=np.float32)
    for first in range(0, len(images), size):
        block = images[first : first + size]
        rows = np.minimum(np.arange(size), len(block) - 1)
        shown = standardise(block[rows], data["mean"], data["std"]).to(device)
        probability = torch.sigmoid(logits_of(network, shown, side))[: len(block), 0]
        found[first : first + len(block)] = probability.float().cpu().numpy()
    return found
