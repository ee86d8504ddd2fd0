"""Costs that are counted and not measured: parameters, multiply-adds, evaluations of a network.

Torch's own counter adds up matrix products, convolutions and attention. It leaves out what is no
product of matrices: normalisations, interpolation, the Fourier transforms of MedSegDiff v1. On
torch's meta device nothing is computed and no memory is held.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from noise2mask import plugins
from noise2mask.diffusion.process import Head
from noise2mask.diffusion.schedule import Schedule
from noise2mask.diffusion.targets import Denoised
from noise2mask.networks.base import Network
from noise2mask.study.schema import Sampler


class Counts(NamedTuple):
    """What one network costs.

    Attributes:
        parameters: numbers that are learnt.
        encoding: multiply-adds of what depends on the image alone, once an image.
        evaluation: multiply-adds of one evaluation for one mask, without the encoding.
    """

    parameters: int
    encoding: int
    evaluation: int


def parameters(network: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(work: Callable[[], object]) -> int:
    """Multiplications, each with its addition, of what `work` computes (half of its FLOPs)."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops()) // 2


def network_counts(network: Network, channels: int, side: int, head: Head = "output") -> Counts:
    """Counts of a network for one image and one mask.

    Args:
        network: on any device, in evaluation mode.
        channels: C of the image.
        side: H = W, px.
        head: which output is read.
    """
    device = next(network.parameters()).device
    image = torch.zeros(1, channels, side, side, device=device)
    x_t = torch.zeros(1, 1, side, side, device=device)
    t = torch.zeros(1, dtype=torch.int64, device=device)
    features: list[tuple[Tensor, ...]] = []
    evaluate = network if head == "output" else network.with_calibration
    return Counts(
        parameters(network),
        multiply_adds(lambda: features.append(network.encode(image))),
        multiply_adds(lambda: evaluate(x_t, image, t, features[0])),
    )


def evaluations(sampler: Sampler, schedule: Schedule, timesteps: list[int]) -> int:
    """How often a sampler asks for an estimate of x_0 in one draw, whatever sampler it is.

    Args:
        sampler: its function and options.
        schedule: the full process.
        timesteps: those visited, ascending.
    """
    calls = []

    def denoise(x_t: Tensor, t: Tensor) -> Denoised:
        calls.append(t)
        return Denoised(torch.zeros_like(x_t), torch.zeros_like(x_t))

    run_sampler = plugins.member("sampler", sampler.sampler)
    generator = torch.Generator().manual_seed(0)
    run_sampler(
        denoise,
        torch.zeros(1, 1, 1, 1),
        schedule,
        timesteps,
        generator=generator,
        **sampler.options,
    )
    return len(calls)
