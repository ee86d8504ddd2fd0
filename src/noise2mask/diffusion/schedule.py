"""Noise schedules: how much of the mask is left at each timestep.

A schedule has one source of truth, ``alphas_cumprod``, called A below: x_t = sqrt(A_t) x_0 +
sqrt(1 - A_t) eps (Ho et al. 2020, arXiv 2006.11239, eq. 4). Betas, posterior coefficients and log
SNR are derived from it, so that they cannot disagree. All of it is float64 on the CPU; ``at`` casts
to the type of the data when it gathers.

Every public function of this module is a schedule that a study may name.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from noise2mask.errors import UserError


@dataclass(frozen=True, eq=False)
class Schedule:
    """A Gaussian diffusion process in discrete time, all of it derived from ``alphas_cumprod``.

    Args:
        alphas_cumprod: float64 (T,), A_t: strictly decreasing, inside (0, 1).

    Raises:
        ValueError: `alphas_cumprod` is not a float64 vector, or not strictly decreasing inside
            (0, 1).
    """

    alphas_cumprod: Tensor

    def __post_init__(self) -> None:
        """Refuse what is no schedule."""
        a = self.alphas_cumprod
        if a.ndim != 1 or a.numel() == 0 or a.dtype != torch.float64:
            raise ValueError(
                f"alphas_cumprod must be a float64 vector, got {a.dtype} of shape {tuple(a.shape)}"
            )
        # Stated so that a NaN fails too.
        if not bool(((a > 0) & (a < 1)).all()) or not bool((a[1:] < a[:-1]).all()):
            raise ValueError("alphas_cumprod must be strictly decreasing and inside (0, 1)")

    @property
    def timesteps(self) -> int:
        """T, the number of timesteps."""
        return self.alphas_cumprod.numel()

    @cached_property
    def alphas_cumprod_prev(self) -> Tensor:
        """A_{t-1}, with 1 (no noise) before the first timestep; float64 (T,)."""
        return torch.cat([torch.ones(1, dtype=torch.float64), self.alphas_cumprod[:-1]])

    @cached_property
    def betas(self) -> Tensor:
        """b_t = 1 - A_t / A_{t-1}, the variance added by one step; float64 (T,)."""
        return 1 - self.alphas_cumprod / self.alphas_cumprod_prev

    @cached_property
    def signal(self) -> Tensor:
        """sqrt(A_t), the factor of x_0 in x_t; float64 (T,)."""
        return self.alphas_cumprod.sqrt()

    @cached_property
    def sigma(self) -> Tensor:
        """sqrt(1 - A_t), the standard deviation of the noise in x_t; float64 (T,)."""
        return (1 - self.alphas_cumprod).sqrt()

    @cached_property
    def log_snr(self) -> Tensor:
        """Natural logarithm of A/(1 - A); float64 (T,).

        The ratio for a mask of levels -1 and +1; that of levels 0 and 1 is lower by log 4.
        """
        return self.alphas_cumprod.log() - torch.log1p(-self.alphas_cumprod)

    @cached_property
    def posterior_variance(self) -> Tensor:
        """Variance of q(x_{t-1} | x_t, x_0), 0 at the first timestep; float64 (T,).

        Ho et al. 2020, eq. 7; "fixed small".
        """
        return self.betas * (1 - self.alphas_cumprod_prev) / (1 - self.alphas_cumprod)

    @cached_property
    def posterior_log_variance_clipped(self) -> Tensor:
        """Log of `posterior_variance`, the first entry (log 0) replaced by the second.

        float64 (T,). With one timestep there is no second entry and log beta stands in.
        """
        if self.timesteps == 1:
            return self.betas.log()
        return torch.cat([self.posterior_variance[1:2], self.posterior_variance[1:]]).log()

    @cached_property
    def posterior_mean_coef1(self) -> Tensor:
        """Factor of x_0 in the mean of q(x_{t-1} | x_t, x_0); float64 (T,). Ho et al., eq. 7."""
        return self.betas * self.alphas_cumprod_prev.sqrt() / (1 - self.alphas_cumprod)

    @cached_property
    def posterior_mean_coef2(self) -> Tensor:
        """Factor of x_t in the mean of q(x_{t-1} | x_t, x_0); float64 (T,). Ho et al., eq. 7."""
        return (1 - self.alphas_cumprod_prev) * (1 - self.betas).sqrt() / (1 - self.alphas_cumprod)

    @cached_property
    def fixed_large_variance(self) -> Tensor:
        """Betas, the first replaced by the second posterior variance; float64 (T,).

        "Fixed large", Ho et al. 2020, section 3.2. With one timestep it is beta itself.
        """
        if self.timesteps == 1:
            return self.betas
        return torch.cat([self.posterior_variance[1:2], self.betas[1:]])

    def scaled(self, input_scale: float) -> "Schedule":
        """The process that sees masks scaled by `input_scale`, rescaled to unit variance of noise.

        A_b = b^2 A / ((b^2 - 1) A + 1): the SNR is multiplied by b^2, so the log SNR is shifted by
        2 log b (Chen 2023, arXiv 2301.10972; Christensen et al. 2025, arXiv 2504.05977).

        Raises:
            ValueError: `input_scale` is not positive.
        """
        if not input_scale > 0:
            raise ValueError(f"input_scale must be positive, got {input_scale}")
        square, a = input_scale**2, self.alphas_cumprod
        return Schedule(square * a / ((square - 1) * a + 1))

    def respaced(self, timesteps: Sequence[int]) -> "Schedule":
        """The process that visits `timesteps` alone: its step j has b_j = 1 - A[u_j] / A[u_{j-1}].

        Nichol & Dhariwal 2021, arXiv 2102.09672, section 4.

        Args:
            timesteps: the timesteps u visited, ascending.

        Raises:
            ValueError: `timesteps` is empty, not strictly ascending, or outside 0..T-1.
        """
        ascending = all(a < b for a, b in pairwise(timesteps))
        if not timesteps or not ascending or timesteps[0] < 0 or timesteps[-1] >= self.timesteps:
            raise ValueError(
                f"timesteps must be strictly ascending within 0..{self.timesteps - 1}, "
                f"got {list(timesteps)}"
            )
        return Schedule(self.alphas_cumprod[list(timesteps)])

    @staticmethod
    def at(values: Tensor, t: Tensor, like: Tensor) -> Tensor:
        """Gather a derived quantity per row, to be broadcast over `like`.

        Gather ``signal`` and ``sigma``, not A: 1 - A of an A rounded to float32 has lost three
        digits at the first timesteps.

        Args:
            values: float64 (T,), one of the properties above.
            t: int64 (B,), timesteps.
            like: (B, ...), gives type, device and number of dimensions.

        Returns:
            (B, 1, ..., 1) of the type and on the device of `like`.
        """
        # Cast before the move: not every accelerator has float64.
        gathered = values.to(like.dtype).to(like.device)[t.to(like.device)]
        return gathered.reshape(-1, *[1] * (like.ndim - 1))

    def amplitudes(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """``signal`` and ``sigma`` at the timesteps `t`: x_t = signal x_0 + sigma eps.

        Args:
            t: int64 (B,), timesteps.
            like: (B, ...), gives type, device and number of dimensions.

        Returns:
            Two tensors (B, 1, ..., 1).
        """
        return self.at(self.signal, t, like), self.at(self.sigma, t, like)

    def posterior_mean(self, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Mean of q(x_{t-1} | x_t, x_0), (B, ...). Ho et al. 2020, eq. 7.

        Args:
            x_0: (B, ...), the mask or an estimate of it.
            x_t: (B, ...), the noisy mask.
            t: int64 (B,), timesteps.
        """
        coef1 = self.at(self.posterior_mean_coef1, t, x_t)
        coef2 = self.at(self.posterior_mean_coef2, t, x_t)
        return coef1 * x_0 + coef2 * x_t


def linear(
    timesteps: int,
    *,
    first: Annotated[float, Field(gt=0, le=20, description="T times the first beta")] = 0.1,
    last: Annotated[float, Field(gt=0, le=1000, description="T times the last beta")] = 20.0,
) -> Schedule:
    """Betas evenly spaced from `first` / T to `last` / T.

    Ho et al. 2020 (arXiv 2006.11239), section 4, has T = 1000 and betas from 1e-4 to 0.02; the
    division by T keeps the process about the same for any other T.

    Raises:
        UserError: T is so small that a beta reaches 1 (T <= 20 by default).
    """
    if max(first, last) >= timesteps:
        raise UserError(
            f"The linear schedule with {timesteps} timesteps would have a beta of "
            f"{max(first, last) / timesteps:g}, but betas must stay below 1: give more than "
            f"{math.floor(max(first, last))} timesteps (and sample with fewer steps), or lower "
            "the options first and last."
        )
    betas = torch.linspace(first / timesteps, last / timesteps, timesteps, dtype=torch.float64)
    return _from_betas("linear", betas)


def cosine(
    timesteps: int,
    *,
    s: Annotated[float, Field(ge=0, le=1, description="offset that keeps early betas up")] = 0.008,
    beta_max: Annotated[float, Field(gt=0, lt=1, description="betas are clipped at this")] = 0.999,
) -> Schedule:
    """A follows a squared cosine from 1 to 0, betas clipped at `beta_max`.

    Nichol & Dhariwal 2021 (arXiv 2102.09672), eq. 17: f(u) = cos^2((u + s)/(1 + s) pi/2).
    """

    def remaining(u: Tensor) -> Tensor:
        return torch.cos((u + s) / (1 + s) * (math.pi / 2)) ** 2

    return _from_continuous("cosine", remaining, timesteps, beta_max)


def sigmoid(
    timesteps: int,
    *,
    start: Annotated[float, Field(ge=-20, le=20, description="argument at no noise")] = -3.0,
    end: Annotated[float, Field(ge=-20, le=20, description="argument at pure noise")] = 3.0,
    tau: Annotated[float, Field(gt=0, le=10, description="temperature: larger is flatter")] = 1.0,
    beta_max: Annotated[float, Field(gt=0, lt=1, description="betas are clipped at this")] = 0.999,
) -> Schedule:
    """A follows a piece of a sigmoid, shifted and scaled to run from 1 to 0.

    Jabri et al. 2022 (arXiv 2212.11972) and Chen 2023 (arXiv 2301.10972), algorithm 1:
    A(u) = (S(end/tau) - S((u (end - start) + start)/tau)) / (S(end/tau) - S(start/tau)).

    Raises:
        UserError: the options leave a stretch without any change (start = end, tau too small).
    """
    first = torch.sigmoid(torch.tensor(start / tau, dtype=torch.float64))
    last = torch.sigmoid(torch.tensor(end / tau, dtype=torch.float64))

    def remaining(u: Tensor) -> Tensor:
        return (last - torch.sigmoid((u * (end - start) + start) / tau)) / (last - first)

    return _from_continuous("sigmoid", remaining, timesteps, beta_max)


def adapted(
    timesteps: int,
    *,
    rule: Annotated[
        Literal["unreadable", "information"],
        Field(description="what the masks of the dataset decide"),
    ] = "unreadable",
    share: Annotated[
        float, Field(gt=0, lt=1, description="of timesteps with unreadable masks, for that rule")
    ] = 0.8,
    log_snr: Annotated[
        tuple[Annotated[float, Field(ge=-40, le=30)], ...],
        Field(description="log SNR at even distances from first to last timestep; filled in"),
    ] = (),
) -> Schedule:
    """Log SNR through the knots `log_snr`, chosen on the training masks before training.

    Knot i of n is at t/(T - 1) = i/(n - 1), between them lies a monotone cubic (PCHIP; Fritsch &
    Butland 1984). `rule` and `share` tell the program how to choose knots and do nothing here.

    Raises:
        UserError: there are no knots, or not two or more that descend.
    """
    if not log_snr:
        raise UserError(
            f"The schedule 'adapted' (rule '{rule}', share {share:g}) has no knots: its option "
            "log_snr is filled in from the training masks before a training; prepare the dataset "
            "and train, give the option, or choose another schedule."
        )
    from scipy.interpolate import PchipInterpolator  # takes a while, and is rarely needed

    try:
        curve = PchipInterpolator(np.linspace(0, 1, len(log_snr)), log_snr)
        values = curve(np.linspace(0, 1, timesteps))
        return Schedule(torch.sigmoid(torch.from_numpy(values)))
    except ValueError as error:
        raise UserError(
            f"The option log_snr of the schedule 'adapted' must be two or more numbers between "
            f"-40 and 30 that descend by enough for {timesteps} timesteps, got {log_snr}."
        ) from error


def _from_continuous(
    name: str, remaining: Callable[[Tensor], Tensor], timesteps: int, beta_max: float
) -> Schedule:
    """Betas 1 - f((i+1)/T) / f(i/T), clipped, so that A stays above 0 where f ends at 0."""
    grid = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    values = remaining(grid)
    return _from_betas(name, (1 - values[1:] / values[:-1]).clamp(max=beta_max))


def _from_betas(name: str, betas: Tensor) -> Schedule:
    try:
        return Schedule(torch.cumprod(1 - betas, dim=0))
    except ValueError as error:
        raise UserError(
            f"The options of the {name} schedule with {betas.numel()} timesteps do not give a "
            "noise level that rises strictly and stays below 1: move them towards their defaults."
        ) from error
