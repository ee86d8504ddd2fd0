"""The parts of a training loss that modes are put together from; each per case, (B,).

Pixels that a mask says nobody judged (:data:`noise2mask.diffusion.targets.UNJUDGED`) count in none.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from noise2mask.diffusion.process import Process
from noise2mask.diffusion.targets import (
    encode_mask,
    judged,
    mean_of_pixels,
    noised,
    target_from,
    x_0_from_output,
)
from noise2mask.diffusion.variational import learned_log_variance, variance_fraction, vb_terms_bpd
from noise2mask.networks.base import Network


def drawn_timesteps(process: Process, batch: int, generator: torch.Generator) -> Tensor:
    """Timesteps of a batch from the density of the process, int64 (B,), on the CPU."""
    density = process.timestep_weights.density
    if bool((density == density[0]).all()):
        return torch.randint(process.schedule.timesteps, (batch,), generator=generator)
    return torch.multinomial(density, batch, replacement=True, generator=generator)


def target_loss(
    network: Network, image: Tensor, mask: Tensor, t: Tensor, eps: Tensor, process: Process
) -> Tensor:
    """Squared error of the target at given timesteps (B,) and noise (B, 1, H, W), (B,)."""
    x_0 = encode_mask(mask, process.coding)
    x_t = noised(x_0, eps, *process.schedule.amplitudes(t, x_0))
    output, calibration = outputs(network, x_t, image, t, mask, process)
    return squared_error(output, x_0, x_t, eps, t, process, judged(mask)) + calibration


def squared_error(
    output: Tensor,
    x_0: Tensor,
    x_t: Tensor,
    eps: Tensor,
    t: Tensor,
    process: Process,
    counted: Tensor | None = None,
) -> Tensor:
    """Weighted squared error of the target and, with a learned variance, its bound term, (B,).

    Args:
        output: (B, 1 or 2, H, W) of the network.
        x_0: (B, 1, H, W), as are `x_t` and `eps`.
        x_t: what the network saw.
        eps: the noise that leads from x_0 to x_t.
        t: int64 (B,).
        process: of the training.
        counted: bool (B, 1, H, W), the pixels that count; None for all.
    """
    signal, sigma = process.schedule.amplitudes(t, x_0)
    goal = target_from(x_0, eps, signal, sigma, target=process.target, coding=process.coding)
    squared = (output[:, :1] - goal) ** 2
    loss = mean_of_pixels(squared, counted)
    if process.reduction == "sum":
        loss = (squared if counted is None else squared * counted).flatten(1).sum(1)
    loss = loss * weights(process, t, loss)
    if process.learned_variance:
        loss = loss + variational_term(output, x_0, x_t, t, process, counted)
    return loss


def weights(process: Process, t: Tensor, like: Tensor) -> Tensor:
    """Factors of the loss at timesteps (B,), of the type and on the device of `like`, (B,)."""
    return process.schedule.at(process.timestep_weights.weight, t, like)


def overlap_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Dice loss plus mean cross-entropy of mask logits (B, 1, H, W), (B,)."""
    return dice_loss(torch.sigmoid(logits), mask) + cross_entropy(logits, mask)


def cross_entropy(logits: Tensor, mask: Tensor) -> Tensor:
    """Mean cross-entropy of the pixels of each case from mask logits (B, 1, H, W), (B,)."""
    surprise = F.binary_cross_entropy_with_logits(logits, mask, reduction="none")
    return mean_of_pixels(surprise, judged(mask))


def variational_term(
    output: Tensor,
    x_0: Tensor,
    x_t: Tensor,
    t: Tensor,
    process: Process,
    counted: Tensor | None = None,
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
        counted,
    )


def dice_loss(probability: Tensor, mask: Tensor) -> Tensor:
    """1 minus the soft Dice of each case, one pixel of smoothing on both sides, (B,)."""
    counted = judged(mask)
    if counted is not None:
        probability, mask = probability * counted, mask * counted
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
    squared = mean_of_pixels((calibration.float() - mask) ** 2, judged(mask))
    return output.float(), process.calibration_weight * squared
