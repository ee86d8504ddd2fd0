"""The parts of a training loss that modes are put together from; each per case, (B,)."""

import torch
from torch import Tensor

from noise2mask.diffusion.process import Process
from noise2mask.diffusion.targets import encode_mask, noised, target_from, x_0_from_output
from noise2mask.diffusion.variational import (
    learned_log_variance,
    variance_fraction,
    vb_terms_bpd,
)
from noise2mask.networks.contract import Network


def target_loss(
    network: Network, image: Tensor, mask: Tensor, t: Tensor, eps: Tensor, process: Process
) -> Tensor:
    """Squared error of the target at given timesteps (B,) and noise (B, 1, H, W), (B,)."""
    x_0 = encode_mask(mask, process.coding)
    signal, sigma = process.schedule.amplitudes(t, x_0)
    x_t = noised(x_0, eps, signal, sigma)
    output, calibration = outputs(network, x_t, image, t, mask, process)
    goal = target_from(x_0, eps, signal, sigma, target=process.target, coding=process.coding)
    squared = ((output[:, :1] - goal) ** 2).flatten(1)
    loss = squared.mean(1) if process.reduction == "mean" else squared.sum(1)
    if process.learned_variance:
        loss = loss + variational_term(output, x_0, x_t, t, process)
    return loss + calibration


def variational_term(
    output: Tensor, x_0: Tensor, x_t: Tensor, t: Tensor, process: Process
) -> Tensor:
    """What trains the second channel: one bound term at the detached mean, bits per pixel, (B,)."""
    schedule = process.schedule
    signal, sigma = schedule.amplitudes(t, x_t)
    estimate = x_0_from_output(
        output[:, :1].detach(), x_t, signal, sigma, target=process.target, coding=process.coding
    )
    small = schedule.at(schedule.posterior_log_variance_clipped, t, x_t)
    large = schedule.at(schedule.betas.log(), t, x_t)
    return vb_terms_bpd(
        x_0,
        t,
        schedule.posterior_mean(x_0, x_t, t),
        small,
        schedule.posterior_mean(estimate, x_t, t),
        learned_log_variance(variance_fraction(output[:, 1:2]), small, large),
    )


def dice_loss(probability: Tensor, mask: Tensor) -> Tensor:
    """1 minus the soft Dice of each case, one pixel of smoothing on both sides, (B,)."""
    overlap = (probability * mask).flatten(1).sum(1)
    total = (probability + mask).flatten(1).sum(1)
    return 1 - (2 * overlap + 1) / (total + 1)


def outputs(
    network: Network, x_t: Tensor, image: Tensor, t: Tensor, mask: Tensor, process: Process
) -> tuple[Tensor, Tensor]:
    """The network's output in float32, and the weighted loss of its second head, (B,)."""
    if not network.calibrated or process.calibration_weight == 0:
        return network(x_t, image, t).float(), torch.zeros(len(mask), device=mask.device)
    output, calibration = network.with_calibration(x_t, image, t)
    squared = ((calibration.float() - mask) ** 2).flatten(1).mean(1)
    return output.float(), process.calibration_weight * squared
