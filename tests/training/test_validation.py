"""Dice of draws, by which a checkpoint may be chosen."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from noise2mask.diffusion import modes, schedule, weighting
from noise2mask.diffusion.process import USUAL, Process
from noise2mask.diffusion.targets import encode_mask
from noise2mask.evaluation.metrics import dice
from noise2mask.training.train import train
from noise2mask.training.validation import drawn_dice

LINEAR = schedule.linear(100)


def process(mode=None, coding="signed"):
    return Process(
        schedule=LINEAR, target="x_0", learned_variance=False, coding=coding, clip=True,
        reduction="mean", calibration_weight=0.0, timestep_weights=weighting.uniform(LINEAR, "x_0"),
        use=USUAL if mode is None else mode.use,
    )  # fmt: skip


class Says(nn.Module):
    """Predicts one x_0 whatever it sees, and counts how often it is asked."""

    calibrated = False

    def __init__(self, x_0):
        super().__init__()
        self.x_0, self.asked = x_0, 0

    def encode(self, image):
        return ()

    def forward(self, x_t, image, t, features=None):
        self.asked += 1
        return self.x_0


def masks(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(5, 1, 8, 8, generator=generator) > 0.7).float()


@pytest.mark.parametrize("coding", ["signed", "unit"])
@pytest.mark.parametrize(("mode", "asked"), [(None, 3), (modes.squared, 1)])
def test_the_dice_of_what_a_network_says(coding, mode, asked):
    mask, said = masks(), masks(1)
    mask[3] = said[3] = mask[4] = 0  # two empty masks; an empty one against some
    network = Says(encode_mask(said, coding))
    found = drawn_dice(
        network, torch.zeros(5, 1, 8, 8), mask, process(mode, coding),
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    expected = [
        dice(one[0].numpy() > 0.5, other[0].numpy() > 0.5)
        for one, other in zip(said, mask, strict=True)
    ]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    assert network.asked == asked


def test_the_checkpoint_with_the_best_dice_is_chosen(make_run, prepared, tmp_path, monkeypatch):
    scores = iter([0.2, 0.9, 0.4, 0.9])
    monkeypatch.setattr(
        "noise2mask.training.train.drawn_dice",
        lambda network, image, mask, *_, **__: torch.full((len(mask),), next(scores)),
    )
    run = make_run(steps=4, validate_every=1, checkpoint_every=1, batch=8, choose="dice")
    train(run, prepared, tmp_path / "work", tmp_path / "out", torch.device("cpu"))
    lines = [json.loads(line) for line in (tmp_path / "out" / "history.jsonl").open()]
    assert [line["val_dice"] for line in lines if "val_dice" in line] == pytest.approx(
        [0.2, 0.9, 0.4, 0.9]
    )
    losses = {line["step"]: line["val_loss"] for line in lines if "val_loss" in line}
    assert lines[-1] == {"step": 2, "chosen": losses[2]}
