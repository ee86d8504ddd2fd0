"""Which timesteps a training draws, and how their losses count.

Every public function of this module is a weighting that a study may name. All have one signature::

    weighting(schedule, target, *, options) -> TimestepWeights

so that training minimises the sum over t of density_t weight_t L_t, L_t being the mean squared
error of the target. With SNR = A/(1 - A) of the schedule, input scale included, the losses of one
denoiser are, in every coding of the mask,

    L_eps = SNR L_x0,        L_v = (SNR + 1) L_x0.

A weight that is published for one of them is brought to the target by these. Weights are then
divided by their mean under the density, which becomes 1: learning rate, clipping of gradients and
the terms that are added to the loss keep their meaning whatever the target.
"""

from typing import Annotated, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from noise2mask.diffusion.schedule import Schedule
from noise2mask.diffusion.targets import Target
from noise2mask.errors import UserError


class TimestepWeights(NamedTuple):
    """What a weighting decides, float64 on the CPU.

    Attributes:
        density: (T,), probability that a training step draws the timestep; sums to 1.
        weight: (T,), factor of the target's squared error there; its mean under `density` is 1.
    """

    density: Tensor
    weight: Tensor


def uniform(schedule: Schedule, target: Target) -> TimestepWeights:  # noqa: ARG001 - one signature
    """Every timestep alike (Ho et al. 2020, arXiv 2006.11239, eq. 14)."""
    return _weighted(torch.ones_like(schedule.alphas_cumprod))


def min_snr(
    schedule: Schedule,
    target: Target,
    *,
    gamma: Annotated[float, Field(gt=0, le=1e6, description="SNR at which weights end")] = 5.0,
) -> TimestepWeights:
    """The x_0 loss times min(SNR, `gamma`), at uniform timesteps.

    Hang et al. 2023 (arXiv 2303.09556), section 3.4: the eps loss times min(SNR, gamma)/SNR, the v
    loss times min(SNR, gamma)/(SNR + 1). Logits count as x_0.
    """
    snr = _snr(schedule)
    return _weighted(snr.clamp(max=gamma) / _loss_per_x_0_loss(snr, target))


def snr_plus_one(schedule: Schedule, target: Target) -> TimestepWeights:
    """The x_0 loss times SNR + 1, at uniform timesteps: the plain v loss, whatever the target.

    Salimans & Ho 2022 (arXiv 2202.00512), section 4; for masks Christensen et al. 2025
    (arXiv 2504.05977). Logits count as x_0.
    """
    snr = _snr(schedule)
    return _weighted((snr + 1) / _loss_per_x_0_loss(snr, target))


def benefit(
    schedule: Schedule,
    target: Target,  # noqa: ARG001 - the signature of all weightings
    *,
    log_snr: Annotated[
        tuple[float, ...], Field(description="log SNR of the measurement; filled in by the program")
    ] = (),
    density: Annotated[
        tuple[float, ...], Field(description="information there; filled in by the program")
    ] = (),
    floor: Annotated[float, Field(ge=0, le=1, description="share of uniform timesteps")] = 0.1,
) -> TimestepWeights:
    """Timesteps are drawn where the image informs about the mask; all weights are 1.

    I(mask; image) is an integral over log SNR (Kong et al. 2023, arXiv 2310.07972). Its measured
    integrand, linear between levels and 0 beyond them, times the log SNR that a timestep spans is
    the density, mixed with `floor` of the uniform one. What was measured below 0 counts as 0.

    `log_snr` is that of A/(1 - A): for masks of 0 and 1 it is log 4 above that of levels -1 and +1.

    Raises:
        UserError: the measurement is missing or none, or is nowhere positive on the schedule.
    """
    if not log_snr and not density:
        raise UserError(
            "The weighting 'benefit' has no measurement: its options log_snr and density are "
            "filled in before training from the information that the image carries at each noise "
            "level; train the runs that measure it first, give both options, or choose another "
            "weighting."
        )
    levels, values = _measurement(log_snr, density)
    axis = schedule.log_snr.numpy()
    shares = np.interp(axis, levels, values, left=0, right=0) * np.abs(np.gradient(axis))
    if not shares.sum() > 0:
        raise UserError(
            f"The measurement for the weighting 'benefit' is nowhere positive between the log SNR "
            f"of {axis[-1]:.3g} and {axis[0]:.3g} that the schedule spans: choose another "
            "schedule, input scale or weighting."
        )
    mixed = (1 - floor) * shares / shares.sum() + floor / schedule.timesteps
    return TimestepWeights(torch.from_numpy(mixed), torch.ones_like(schedule.alphas_cumprod))


def _snr(schedule: Schedule) -> Tensor:
    """A/(1 - A), float64 (T,)."""
    return schedule.log_snr.exp()


def _loss_per_x_0_loss(snr: Tensor, target: Target) -> Tensor:
    """L_target / L_x0 of one denoiser, (T,)."""
    if target == "eps":
        return snr
    if target == "v":
        return snr + 1
    return torch.ones_like(snr)


def _weighted(weight: Tensor) -> TimestepWeights:
    """Uniform timesteps, and weights of mean 1."""
    return TimestepWeights(torch.full_like(weight, 1 / weight.numel()), weight / weight.mean())


def _measurement(
    log_snr: tuple[float, ...], density: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both by ascending log SNR, nothing negative."""
    levels, values = (np.asarray(column, dtype=np.float64) for column in (log_snr, density))
    finite = np.isfinite(levels).all() and np.isfinite(values).all()
    if len(levels) != len(values) or not finite or len(np.unique(levels)) < max(2, len(levels)):
        raise UserError(
            f"The options log_snr and density of the weighting 'benefit' must be two or more "
            f"numbers each, as many of one as of the other and no log SNR twice; got {log_snr} "
            f"and {density}."
        )
    order = np.argsort(levels)
    return levels[order], np.maximum(values[order], 0)
