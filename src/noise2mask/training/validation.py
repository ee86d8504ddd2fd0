"""How good the masks are that a network draws, for a checkpoint to be chosen by their score.

Published codes sample from many checkpoints and keep the one with the best score; the loss, by
which checkpoints are chosen here otherwise, is another measure than the one that is reported.
"""

import torch
from torch import Tensor

from noise2mask.diffusion.process import Process, denoiser
from noise2mask.diffusion.respacing import respace
from noise2mask.diffusion.samplers import ddim
from noise2mask.diffusion.targets import decode_mask, judged
from noise2mask.networks.base import Network

STEPS = 3
"""Network evaluations of a draw."""


@torch.no_grad()
def drawn_dice(
    network: Network, image: Tensor, mask: Tensor, process: Process, *, generator: torch.Generator
) -> Tensor:
    """Dice of one draw for each case, DDIM of `STEPS` steps, or of one pass without noise, (B,).

    Args:
        network: in evaluation mode.
        image: (B, C, H, W), standardised.
        mask: (B, 1, H, W) of 0, 1 and `UNJUDGED`. Two empty masks have Dice 1.
        process: of the training.
        generator: of the noise, on the CPU.
    """
    shown = process.shown(image)
    denoise = denoiser(network, shown, network.encode(shown), process)
    steps = STEPS if process.use.sees_noise else 1
    x_t = torch.randn(mask.shape, generator=generator).to(mask.device)
    timesteps = respace(process.schedule.timesteps, steps)
    x_0 = ddim(denoise, x_t, process.schedule, timesteps)
    drawn = (decode_mask(x_0, process.coding) > 0.5).flatten(1)
    if (counted := judged(mask)) is not None:
        drawn &= counted.flatten(1)
    reference = mask.flatten(1) > 0.5
    both = (drawn & reference).sum(1)
    total = drawn.sum(1) + reference.sum(1)
    return torch.where(total > 0, 2 * both / total.clamp(min=1), torch.ones_like(both / 1.0))
