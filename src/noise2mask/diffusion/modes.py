"""Training modes: each public function gives the loss of every case in a batch.

All have one signature::

    mode(network, image, mask, process, *, generator) -> (B,)

with `image` (B, C, H, W) standardised, `mask` (B, 1, H, W) of 0 and 1, and every random number
drawn on the CPU from `generator`, so that a batch gets the same noise on any device.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from noise2mask.diffusion.losses import dice_loss, outputs, target_loss
from noise2mask.diffusion.process import Process
from noise2mask.networks.contract import Network


def feed_forward(
    network: Network,
    image: Tensor,
    mask: Tensor,
    process: Process,
    *,
    generator: torch.Generator,  # noqa: ARG001 - the signature of all modes
) -> Tensor:
    """Dice plus cross-entropy of the mask logits at x_t = 0, t = 0 (experiment E1), (B,)."""
    t = torch.zeros(len(mask), dtype=torch.int64, device=mask.device)
    output, calibration = outputs(network, torch.zeros_like(mask), image, t, mask, process)
    logits = output[:, :1]
    entropy = F.binary_cross_entropy_with_logits(logits, mask, reduction="none").flatten(1).mean(1)
    return dice_loss(torch.sigmoid(logits), mask) + entropy + calibration


def diffusion(
    network: Network,
    image: Tensor,
    mask: Tensor,
    process: Process,
    *,
    generator: torch.Generator,
) -> Tensor:
    """Squared error of the target at a uniform timestep (Ho et al. 2020, eq. 14; E2), (B,).

    With a learned variance the variational term is added, its mean detached (Nichol & Dhariwal
    2021, arXiv 2102.09672, section 3.1).
    """
    t = torch.randint(process.schedule.timesteps, (len(mask),), generator=generator)
    eps = torch.randn(mask.shape, generator=generator).to(mask.device)
    return target_loss(network, image, mask, t.to(mask.device), eps, process)
