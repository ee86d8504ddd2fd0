"""Samplers: from noise to a mask through repeated denoising.

Every public function of this module is a sampler that a study may name; all have one signature:

    sampler(denoise, x_t, schedule, timesteps, *, generator=None, <options>) -> x_0

* ``denoise(x_t, t)`` gives the estimate of x_0 (and may give the share of the learned variance) at
  noisy masks (B, 1, H, W) and original timesteps t, int64 (B,), on the device of x_t. What the
  network predicts, the image and any clipping are its business alone.
* ``x_t`` (B, 1, H, W): standard normal noise, taken to be at the last of the timesteps visited.
* ``schedule``: the full process. The jumps between visited timesteps are steps of the process that
  visits those alone (``Schedule.respaced``), never one-step formulas applied to a jump.
* ``timesteps``: the timesteps visited, **ascending** as ``respace`` gives them; they are visited
  from the last to the first, each denoised once. One is enough.
* ``generator``: one stream for the batch, or one per row, so that a draw does not depend on its
  batch. Noise is drawn on the generator's device. None takes the global stream.

All end in the estimate of x_0 at the first timestep visited: a perfect denoiser gives back x_0.
Coefficients are computed in float64 and applied in the type of x_t.

The number of steps changes the spread of the draws even where the denoiser is exact. Standard
deviation of draws of N(0.7, 0.3^2), linear schedule, at 10, 50 and 1000 steps: ddpm with small
variance 0.16, 0.25, 0.30; with large variance 0.44, 0.32, 0.30; ddim 0.18, 0.27, 0.30; dpm_solver
0.19, 0.30, 0.30.
"""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from noise2mask.diffusion.schedule import Schedule
from noise2mask.diffusion.targets import Denoised, eps_from_x_0
from noise2mask.diffusion.variational import learned_log_variance
from noise2mask.errors import UserError

Denoise = Callable[[Tensor, Tensor], Denoised]
Generators = torch.Generator | Sequence[torch.Generator] | None
Variance = Literal["fixed_small", "fixed_large", "learned"]
Noise = Callable[[], Tensor]


def ddpm(
    denoise: Denoise,
    x_t: Tensor,
    schedule: Schedule,
    timesteps: Sequence[int],
    *,
    generator: Generators = None,
    variance: Annotated[
        Variance,
        Field(
            description="variance of a step: the posterior's, beta, or the network's; that of the "
            "training when a study leaves it out"
        ),
    ] = "fixed_small",
) -> Tensor:
    """Ancestral sampling: each step draws from the posterior at the estimate of x_0.

    Ho et al. 2020 (arXiv 2006.11239), algorithm 2; learned variance and shortened processes from
    Nichol & Dhariwal 2021 (arXiv 2102.09672).

    Returns:
        (B, 1, H, W), x_0.

    Raises:
        UserError: the variance is to be learned and the denoiser gives none.
    """
    return _ddpm(denoise, x_t, schedule, timesteps, _noise_from(generator, x_t), variance)


def ddim(
    denoise: Denoise,
    x_t: Tensor,
    schedule: Schedule,
    timesteps: Sequence[int],
    *,
    generator: Generators = None,
    eta: Annotated[
        float, Field(ge=0, le=1, description="0: no noise is added; 1: as much as DDPM adds")
    ] = 0.0,
) -> Tensor:
    """Steps that keep the marginals and may add any share of the noise, by default none.

    Song et al. 2020 (arXiv 2010.02502), eq. 12 and 16. eps is derived anew from the estimate of
    x_0, which the denoiser may have clipped.

    Returns:
        (B, 1, H, W), x_0.
    """
    visited, noise = schedule.respaced(timesteps), _noise_from(generator, x_t)
    for j in reversed(range(len(timesteps))):
        x_0 = denoise(x_t, _rows(timesteps[j], x_t)).x_0
        x_t = _ddim_step(x_t, x_0, visited, j, eta, noise)
    return x_t


def dpm_solver(
    denoise: Denoise,
    x_t: Tensor,
    schedule: Schedule,
    timesteps: Sequence[int],
    *,
    generator: Generators = None,  # noqa: ARG001 - one signature; nothing is drawn here
    last_order: Annotated[
        int, Field(ge=1, le=2, description="order of the step to the first timestep visited")
    ] = 1,
) -> Tensor:
    """DPM-Solver++(2M): a second-order multistep solver of the noiseless process.

    Lu et al. 2022 (arXiv 2211.01095), algorithm 2, from each visited timestep to the next, the
    first step of order 1. The last timestep visited ends in the estimate of x_0 there, which is
    the limit of a first-order step to no noise.

    The last step is the longest in log SNR by far, and extrapolation over it overshoots: with order
    2 there (as MedSegDiff has it) the spread named above is 0.37 at 10 steps in place of 0.19, and
    0.33 at 50 in place of 0.30.

    Returns:
        (B, 1, H, W), x_0.
    """
    descending = list(reversed(timesteps))
    visited = schedule.respaced(timesteps)

    def x_0_at(k: int, x: Tensor) -> Tensor:
        return denoise(x, _rows(descending[k], x)).x_0

    signal, sigma = visited.signal.flip(0).tolist(), visited.sigma.flip(0).tolist()
    x_t = _multistep(x_0_at, x_t, signal, sigma, last_order)
    return x_0_at(len(descending) - 1, x_t)


def one_pass(
    denoise: Denoise,
    x_t: Tensor,
    schedule: Schedule,
    timesteps: Sequence[int],
    *,
    generator: Generators = None,  # noqa: ARG001 - one signature; nothing is drawn here
) -> Tensor:
    """The estimate of x_0 at the last (noisiest) of the visited timesteps, denoised once.

    The limit of any sampler at one step: a mean of masks and no draw from their distribution. It
    tells how much of a result is there before the iteration begins.

    Returns:
        (B, 1, H, W), x_0.
    """
    schedule.respaced(timesteps)  # refuses the same timesteps as the other samplers
    return denoise(x_t, _rows(timesteps[-1], x_t)).x_0


def _rows(timestep: int, x_t: Tensor) -> Tensor:
    return torch.full((x_t.shape[0],), timestep, dtype=torch.int64, device=x_t.device)


def _noise_from(generator: Generators, x_t: Tensor) -> Noise:
    """A source of standard normal noise like x_t, each row from its own stream where given."""
    if generator is None:
        return lambda: torch.randn_like(x_t)
    if isinstance(generator, torch.Generator):
        whole = generator
        return lambda: _drawn(whole, x_t.shape, x_t)
    streams = list(generator)
    if len(streams) != x_t.shape[0]:
        raise ValueError(f"{len(streams)} generators were given for {x_t.shape[0]} rows")
    return lambda: torch.stack([_drawn(stream, x_t.shape[1:], x_t) for stream in streams])


def _drawn(generator: torch.Generator, shape: Sequence[int], like: Tensor) -> Tensor:
    noise = torch.randn(
        tuple(shape), generator=generator, device=generator.device, dtype=like.dtype
    )
    return noise.to(like.device)


def _ddpm(
    denoise: Denoise,
    x_t: Tensor,
    schedule: Schedule,
    timesteps: Sequence[int],
    noise: Noise,
    variance: Variance,
) -> Tensor:
    visited = schedule.respaced(timesteps)
    for j in reversed(range(len(timesteps))):
        denoised = denoise(x_t, _rows(timesteps[j], x_t))
        x_t = _ddpm_step(x_t, denoised, visited, j, variance, noise)
    return x_t


def _ddpm_step(
    x_t: Tensor, denoised: Denoised, visited: Schedule, j: int, variance: Variance, noise: Noise
) -> Tensor:
    """From the j-th visited timestep to the one before; the first (j = 0) gives x_0."""
    coef1, coef2 = float(visited.posterior_mean_coef1[j]), float(visited.posterior_mean_coef2[j])
    mean = coef1 * denoised.x_0 + coef2 * x_t
    if j == 0:
        return mean
    if variance == "fixed_small":
        return mean + math.sqrt(float(visited.posterior_variance[j])) * noise()
    if variance == "fixed_large":
        return mean + math.sqrt(float(visited.fixed_large_variance[j])) * noise()
    if denoised.variance_fraction is None:
        raise UserError(
            "The sampler ddpm was given variance 'learned', but this network was not trained to "
            "predict a variance: choose 'fixed_small' or 'fixed_large', or train with a learned "
            "variance."
        )
    log_variance = learned_log_variance(
        denoised.variance_fraction.to(x_t.dtype),
        visited.posterior_log_variance_clipped[j].to(x_t),
        visited.betas[j].log().to(x_t),
    )
    return mean + torch.exp(0.5 * log_variance) * noise()


def _ddim_step(
    x_t: Tensor, x_0: Tensor, visited: Schedule, j: int, eta: float, noise: Noise
) -> Tensor:
    """From the j-th visited timestep to the one before; the first (j = 0) gives x_0."""
    if j == 0:
        return x_0
    a, a_prev = float(visited.alphas_cumprod[j]), float(visited.alphas_cumprod_prev[j])
    spread = eta * math.sqrt((1 - a_prev) / (1 - a) * (1 - a / a_prev))
    eps = eps_from_x_0(x_0, x_t, visited.signal[j].to(x_t), visited.sigma[j].to(x_t))
    # A long jump at eta = 1 leaves so little that rounding may take it below 0.
    kept = math.sqrt(max(0.0, 1 - a_prev - spread**2))
    x_prev = math.sqrt(a_prev) * x_0 + kept * eps
    return x_prev + spread * noise() if eta > 0 else x_prev


def _multistep(
    x_0_at: Callable[[int, Tensor], Tensor],
    x_t: Tensor,
    signal: Sequence[float],
    sigma: Sequence[float],
    last_order: int,
) -> Tensor:
    """DPM-Solver++(2M) from the first to the last point of a grid of falling noise.

    Lu et al. 2022, algorithm 2, with lambda = log(signal / sigma), data prediction.

    Args:
        x_0_at: the estimate of x_0 at the k-th grid point, from x there.
        x_t: (B, 1, H, W) at the first point.
        signal: factor of x_0 at each point (alpha in the paper).
        sigma: standard deviation of the noise at each point.
        last_order: 1 or 2, order of the step to the last point.

    Returns:
        (B, 1, H, W), x at the last point, where x_0 is not estimated.
    """
    half_log_snr = [math.log(a / s) for a, s in zip(signal, sigma, strict=True)]
    steps = len(signal) - 1
    earlier, earlier_step = None, 0.0
    for k in range(steps):
        x_0 = x_0_at(k, x_t)
        step = half_log_snr[k + 1] - half_log_snr[k]
        extrapolated = x_0
        if earlier is not None and (last_order == 2 or k < steps - 1):
            extrapolated = x_0 + (x_0 - earlier) * (step / (2 * earlier_step))
        x_t = sigma[k + 1] / sigma[k] * x_t - signal[k + 1] * math.expm1(-step) * extrapolated
        earlier, earlier_step = x_0, step
    return x_t
