"""Training modes: each public function gives the loss of every case in a batch.

All have one signature::

    mode(network, image, mask, process, *, generator) -> (B,)

with `image` (B, C, H, W) standardised, `mask` (B, 1, H, W) of 0 and 1, and 1/2 where nobody judged,
and every random number drawn on the CPU from `generator`, so that a batch gets the same noise on
any device.
"""

import torch
from torch import Tensor

from noise2mask.diffusion import losses
from noise2mask.diffusion.losses import (
    dice_loss,
    drawn_timesteps,
    outputs,
    overlap_loss,
    squared_error,
    target_loss,
    weights,
)
from noise2mask.diffusion.process import Process, uses
from noise2mask.diffusion.targets import (
    encode_mask,
    eps_from_x_0,
    evidence,
    judged,
    mean_of_pixels,
    noised,
    x_0_from_output,
)
from noise2mask.networks.base import Network


@uses(predicts="logits", sees_noise=False)
def feed_forward(
    network: Network,
    image: Tensor,
    mask: Tensor,
    process: Process,
    *,
    generator: torch.Generator,  # noqa: ARG001 - the signature of all modes
) -> Tensor:
    """Dice plus cross-entropy of the mask logits at x_t = 0, t = 0 (experiment E1), (B,)."""
    logits, calibration = _one_pass(network, image, mask, process)
    return overlap_loss(logits, mask) + calibration


@uses(predicts="logits", sees_noise=False)
def cross_entropy(
    network: Network,
    image: Tensor,
    mask: Tensor,
    process: Process,
    *,
    generator: torch.Generator,  # noqa: ARG001 - the signature of all modes
) -> Tensor:
    """Cross-entropy alone in place of E1's loss: a proper score of p, (B,)."""
    logits, calibration = _one_pass(network, image, mask, process)
    return losses.cross_entropy(logits, mask) + calibration


@uses(predicts="logits", sees_noise=False)
def dice(
    network: Network,
    image: Tensor,
    mask: Tensor,
    process: Process,
    *,
    generator: torch.Generator,  # noqa: ARG001 - the signature of all modes
) -> Tensor:
    """Dice loss alone in place of E1's loss: what overlap without a likelihood does to p, (B,)."""
    logits, calibration = _one_pass(network, image, mask, process)
    return dice_loss(torch.sigmoid(logits), mask) + calibration


@uses(predicts="x_0", sees_noise=False)
def squared(
    network: Network,
    image: Tensor,
    mask: Tensor,
    process: Process,
    *,
    generator: torch.Generator,  # noqa: ARG001 - the signature of all modes
) -> Tensor:
    """Squared error of x_0 at x_t = 0, t = 0, (B,).

    The loss of `diffusion` on x_0 with the noise taken away: what is left between the two is the
    diffusion alone, as between `dice_diffusion` and `feed_forward`.
    """
    output, calibration = _one_pass(network, image, mask, process)
    error = (output - encode_mask(mask, process.coding)).square()
    return mean_of_pixels(error, judged(mask)) + calibration


def _one_pass(
    network: Network, image: Tensor, mask: Tensor, process: Process
) -> tuple[Tensor, Tensor]:
    """Output (B, 1, H, W) at x_t = 0, t = 0, and the loss of a second head (B,)."""
    t = torch.zeros(len(mask), dtype=torch.int64, device=mask.device)
    output, calibration = outputs(network, torch.zeros_like(mask), image, t, mask, process)
    return output[:, :1], calibration


def diffusion(
    network: Network,
    image: Tensor,
    mask: Tensor,
    process: Process,
    *,
    generator: torch.Generator,
) -> Tensor:
    """Squared error of the target at a drawn timestep (Ho et al. 2020, eq. 14; E2), (B,).

    With a learned variance the variational term is added, its mean detached (Nichol & Dhariwal
    2021, arXiv 2102.09672, section 3.1).
    """
    t = drawn_timesteps(process, len(mask), generator)
    eps = torch.randn(mask.shape, generator=generator).to(mask.device)
    return target_loss(network, image, mask, t.to(mask.device), eps, process)


@uses(sees_image=False)
def image_free(
    network: Network,
    image: Tensor,
    mask: Tensor,
    process: Process,
    *,
    generator: torch.Generator,
) -> Tensor:
    """The loss of `diffusion` for a network that is shown no image, (B,).

    With the target x_0 this is experiment E3. Against `diffusion` with the same target it says
    what the image is worth (:mod:`noise2mask.analysis.information.information`).
    """
    return diffusion(network, process.shown(image), mask, process, generator=generator)


@uses(sees_image=False, subject="image")
def image_diffusion(
    network: Network,
    image: Tensor,
    mask: Tensor,  # noqa: ARG001 - the signature of all modes
    process: Process,
    *,
    generator: torch.Generator,
) -> Tensor:
    """Squared error where x_0 is the image itself, grey, under no condition (E4), (B,).

    x_0 is the mean of the standardised channels: of about unit variance, as a mask of -1 and +1.
    """
    x_0 = image.mean(1, keepdim=True)
    t = drawn_timesteps(process, len(x_0), generator).to(x_0.device)
    eps = torch.randn(x_0.shape, generator=generator).to(x_0.device)
    x_t = noised(x_0, eps, *process.schedule.amplitudes(t, x_0))
    output = network(x_t, process.shown(image), t).float()
    return squared_error(output, x_0, x_t, eps, t, process)


@uses(predicts="logits")
def dice_diffusion(
    network: Network,
    image: Tensor,
    mask: Tensor,
    process: Process,
    *,
    generator: torch.Generator,
) -> Tensor:
    """Dice plus cross-entropy of the mask logits at a drawn timestep, (B,).

    The loss of `feed_forward` on the noisy masks of `diffusion`: what is left between the two is
    the noise alone.
    """
    t = drawn_timesteps(process, len(mask), generator).to(mask.device)
    eps = torch.randn(mask.shape, generator=generator).to(mask.device)
    x_t = noised(encode_mask(mask, process.coding), eps, *process.schedule.amplitudes(t, mask))
    output, calibration = outputs(network, x_t, image, t, mask, process)
    loss = overlap_loss(output[:, :1], mask)
    return loss * weights(process, t, loss) + calibration


@uses(predicts="posterior")
def posterior(
    network: Network,
    image: Tensor,
    mask: Tensor,
    process: Process,
    *,
    generator: torch.Generator,
) -> Tensor:
    """Mean cross-entropy of the posterior of each pixel at a drawn timestep, (B,).

    The network gives the log odds from everything but the pixel's own noisy value, whose evidence
    is added. So the estimate of x_0 is as good as that of single pixels from the start, and the
    loss is proper: its optimum is the posterior mean, which the information is made of.
    """
    t = drawn_timesteps(process, len(mask), generator).to(mask.device)
    eps = torch.randn(mask.shape, generator=generator).to(mask.device)
    signal, sigma = process.schedule.amplitudes(t, mask)
    x_t = noised(encode_mask(mask, process.coding), eps, signal, sigma)
    output, calibration = outputs(network, x_t, image, t, mask, process)
    logits = output[:, :1] + evidence(x_t, signal, sigma, process.coding)
    loss = losses.cross_entropy(logits, mask)
    return loss * weights(process, t, loss) + calibration


@uses(predicts="posterior", sees_image=False)
def posterior_free(
    network: Network,
    image: Tensor,
    mask: Tensor,
    process: Process,
    *,
    generator: torch.Generator,
) -> Tensor:
    """The loss of `posterior` for a network that is shown no image, (B,)."""
    return posterior(network, process.shown(image), mask, process, generator=generator)


def recycling(
    network: Network,
    image: Tensor,
    mask: Tensor,
    process: Process,
    *,
    generator: torch.Generator,
) -> Tensor:
    """The loss of `diffusion` where x_t is made of the network's own estimate of x_0, (B,).

    Fu et al. 2023 (arXiv 2303.06040): in sampling a network sees noisy estimates, never noisy
    references, so it is trained on the former. The estimate is made, without a gradient, at a
    timestep drawn evenly from those noisier than t, the last one for t = T - 1.
    """
    x_0 = encode_mask(mask, process.coding)
    t = drawn_timesteps(process, len(mask), generator)
    last = process.schedule.timesteps - 1
    noisier = t + 1 + (torch.rand(len(t), generator=generator) * (last - t)).long()
    noisier = noisier.clamp(max=last).to(mask.device)
    first = torch.randn(mask.shape, generator=generator).to(mask.device)
    second = torch.randn(mask.shape, generator=generator).to(mask.device)
    t = t.to(mask.device)
    estimate = _estimate(network, image, x_0, noisier, first, process)
    signal, sigma = process.schedule.amplitudes(t, x_0)
    x_t = noised(estimate, second, signal, sigma)
    output, calibration = outputs(network, x_t, image, t, mask, process)
    eps = eps_from_x_0(x_0, x_t, signal, sigma)
    return squared_error(output, x_0, x_t, eps, t, process, judged(mask)) + calibration


@torch.no_grad()
def _estimate(
    network: Network, image: Tensor, x_0: Tensor, t: Tensor, eps: Tensor, process: Process
) -> Tensor:
    """The network's x_0 at given timesteps and noise, clipped as in sampling, (B, 1, H, W)."""
    signal, sigma = process.schedule.amplitudes(t, x_0)
    x_t = noised(x_0, eps, signal, sigma)
    output = network(x_t, image, t).float()[:, :1]
    estimate = x_0_from_output(
        output, x_t, signal, sigma, target=process.target, coding=process.coding
    )
    return process.clipped(estimate).detach()
