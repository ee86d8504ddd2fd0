"""The one diffusion process that all networks share, and how their output becomes a mask.

Mask coding, clipping, loss reduction and the reading of a network's channels live here and nowhere
else: where the published codes differ in them, their numbers cannot be compared.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import torch
from torch import Tensor

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
from noise2mask.diffusion.weighting import TimestepWeights
from noise2mask.networks.base import Network

Head = Literal["output", "calibration"]
Denoise = Callable[[Tensor, Tensor], Denoised]
Subject = Literal["mask", "image"]


class Use(NamedTuple):
    """How a network is used after a training mode; the mode says it by :func:`uses`.

    Attributes:
        predicts: what its output is; None for the target of the study.
        sees_noise: it sees x_t and t; otherwise zeros (feed-forward use).
        sees_image: it sees the image; otherwise zeros.
        subject: what x_0 is, the mask or the image itself.
    """

    predicts: Target | None = None
    sees_noise: bool = True
    sees_image: bool = True
    subject: Subject = "mask"


USUAL = Use()
_Mode = TypeVar("_Mode", bound=Callable[..., Tensor])


def uses(
    *,
    predicts: Target | None = None,
    sees_noise: bool = True,
    sees_image: bool = True,
    subject: Subject = "mask",
) -> Callable[[_Mode], _Mode]:
    """Mark a training mode whose networks are not used as those of `diffusion` are."""

    def marked(mode: _Mode) -> _Mode:
        mode.use = Use(predicts, sees_noise, sees_image, subject)  # type: ignore[attr-defined]
        return mode

    return marked


@dataclass(frozen=True)
class Process:
    """What a training mode and a denoiser must agree on.

    Attributes:
        schedule: noise levels of timesteps 0 ... T-1, input scale included.
        target: what the network predicts.
        learned_variance: the network's second channel sets the variance of a DDPM step.
        coding: levels of x_0.
        clip: clip x_0_hat to the levels of `clip_to`.
        reduction: of squared errors over pixels.
        calibration_weight: of the loss of a second head.
        timestep_weights: how often a training draws each timestep, and the factor of its loss.
        use: what the network sees, and what x_0 is.
        clip_to: coding between whose levels x_0_hat is clipped; the masks' own when None. The
            published codes clip masks of 0 and 1 to [-1, 1].
    """

    schedule: Schedule
    target: Target
    learned_variance: bool
    coding: Coding
    clip: bool
    reduction: Literal["mean", "sum"]
    calibration_weight: float
    timestep_weights: TimestepWeights
    use: Use = USUAL
    clip_to: Coding | None = None

    def shown(self, image: Tensor) -> Tensor:
        """The image as the network sees it, shape as given."""
        return image if self.use.sees_image else torch.zeros_like(image)

    def clipped(self, x_0: Tensor) -> Tensor:
        """An estimate of x_0, within the levels of `clip_to` if the process clips."""
        return x_0.clamp(*clip_range(self.clip_to or self.coding)) if self.clip else x_0


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
        image: (B, C, H, W), standardised, as ``process.shown`` gives it; row i belongs to row i
            of x_t.
        features: what ``network.encode`` gave, one row for each row of `image`.
        process: of the run.
        head: "calibration" reads the second head instead of the network's output.
    """

    def denoise(x_t: Tensor, t: Tensor) -> Denoised:
        if not process.use.sees_noise:
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
        x_0 = process.clipped(x_0)
        if not process.learned_variance or not process.use.sees_noise:
            return Denoised(x_0)
        return Denoised(x_0, variance_fraction(output[:, 1:2].to(x_t.dtype)))

    return denoise
