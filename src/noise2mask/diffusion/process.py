"""The one diffusion process that all networks share, and how their output becomes a mask.

Mask coding, clipping, loss reduction and the reading of a network's channels live here and nowhere
else: where the published codes differ in them, their numbers cannot be compared.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from noise2mask import catalogue
from noise2mask.config import RunSettings
from noise2mask.diffusion.schedule import Schedule
from noise2mask.diffusion.targets import (
    Coding,
    Denoised,
    Target,
    clip_range,
    encode_mask,
    x_0_from_output,
)
from noise2mask.diffusion.variational import variance_fraction
from noise2mask.networks.contract import Network

Head = Literal["output", "calibration"]
Denoise = Callable[[Tensor, Tensor], Denoised]


@dataclass(frozen=True)
class Process:
    """What a training mode and a denoiser must agree on.

    Attributes:
        schedule: noise levels of timesteps 0 ... T-1, input scale included.
        target: what the network predicts.
        learned_variance: the network's second channel sets the variance of a DDPM step.
        coding: levels of x_0.
        clip: clip x_0_hat to those levels.
        reduction: of squared errors over pixels.
        calibration_weight: of the loss of a second head.
        constant_input: the network sees x_t = 0 and t = 0 always (feed-forward use).
    """

    schedule: Schedule
    target: Target
    learned_variance: bool
    coding: Coding
    clip: bool
    reduction: Literal["mean", "sum"]
    calibration_weight: float
    constant_input: bool


def process_of(settings: RunSettings) -> Process:
    """The process of a run; in feed-forward mode the network predicts mask logits."""
    diffusion, feed_forward = settings.diffusion, settings.mode == "feed_forward"
    name = diffusion.schedule.name
    options = catalogue.options("diffusion.schedule", name)
    given = dict(options.model_validate(diffusion.schedule.options))
    build: Callable[..., Schedule] = catalogue.member("diffusion.schedule", name)
    schedule = build(diffusion.schedule.timesteps, **given)
    return Process(
        schedule=schedule.scaled(diffusion.schedule.input_scale),
        target="logits" if feed_forward else diffusion.target,
        learned_variance=diffusion.variance == "learned",
        coding=diffusion.coding,
        clip=diffusion.clip,
        reduction=diffusion.reduction,
        calibration_weight=settings.training.calibration_weight,
        constant_input=feed_forward,
    )


def denoiser(
    network: Network,
    image: Tensor,
    features: tuple[Tensor, ...],
    process: Process,
    head: Head = "output",
) -> Denoise:
    """A function of (x_t, t) alone that samplers call.

    Args:
        network: in evaluation mode.
        image: (B, C, H, W), standardised; row i belongs to row i of x_t.
        features: what ``network.encode`` gave, one row for each row of `image`.
        process: of the run.
        head: "calibration" reads the second head instead of the network's output.
    """
    low, high = clip_range(process.coding)

    def denoise(x_t: Tensor, t: Tensor) -> Denoised:
        if process.constant_input:
            seen, when = torch.zeros_like(x_t), torch.zeros_like(t)
        else:
            seen, when = x_t, t
        if head == "calibration":
            _, map_ = network.with_calibration(seen, image, when, features)
            return Denoised(encode_mask(map_.to(x_t.dtype), process.coding))
        output = network(seen, image, when, features)
        signal, sigma = process.schedule.amplitudes(when, x_t)
        x_0 = x_0_from_output(
            output[:, :1], seen, signal, sigma, target=process.target, coding=process.coding
        )
        if process.clip:
            x_0 = x_0.clamp(low, high)
        if not process.learned_variance or process.constant_input:
            return Denoised(x_0)
        return Denoised(x_0, variance_fraction(output[:, 1:2].to(x_t.dtype)))

    return denoise
