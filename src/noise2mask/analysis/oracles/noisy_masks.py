"""What every oracle gets to see: masks under the noise of a level, the same noise for all of them.

A level has two names: a number t (a timestep, or a place in a grid) and its log SNR. The noisy mask
x_t = sqrt(A) x_0 + sqrt(1 - A) eps is given as

    y = x + exp(-log_snr / 2) eps,        x = -1 for background, +1 for foreground,

which is x_t / sqrt(A) brought to levels -1 and +1. Every coding, schedule and input scale is the
same y at the same log SNR = log(A/(1 - A)) + 2 log(gap/2), `gap` being the difference of the levels
of x_0: 2 for -1/+1, 1 for 0/1. So squared errors of x_0 are those for levels -1 and +1 everywhere
here (those for 0/1 are a quarter), and the loss of eps is L_eps = SNR L_x0 in every coding.

The noise of a case at a level is a function of (seed, case, t) alone: neither of the oracle, nor of
the coding, nor of the block in which a case is computed.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noise2mask.seeds import seed_of

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Masks = NDArray[np.bool_]

_BLOCK = 1 << 20
"""Pixels that are computed at once: 4 MB of float32 for each array of a block."""


class Levels(NamedTuple):
    """Noise levels: their numbers t and log SNR, both (levels,)."""

    t: NDArray[np.int64]
    log_snr: Floats


def linear_log_snr() -> Floats:
    """Log SNR of the linear schedule of 1000 timesteps with its default betas, (1000,)."""
    log_signal = np.cumsum(np.log1p(-np.linspace(1e-4, 0.02, 1000)))
    return np.asarray(log_signal - np.log(-np.expm1(log_signal)))


def levels_of(schedule: ArrayLike, timesteps: Sequence[int], *, gap: float) -> Levels:
    """The levels of some timesteps of a schedule.

    Args:
        schedule: (T,), log(A/(1 - A)) of each timestep, ``Schedule.log_snr``.
        timesteps: those wanted.
        gap: difference of the levels of x_0.
    """
    t = np.asarray(timesteps, dtype=np.int64)
    return Levels(t, np.asarray(schedule, dtype=np.float64)[t] + 2 * math.log(gap / 2))


def spaced_levels(
    schedule: ArrayLike, *, gap: float, highest: float, lowest: float, spacing: float
) -> Levels:
    """The timesteps nearest to a grid in log SNR, descending; none twice, none far outside.

    Args:
        schedule: (T,), log(A/(1 - A)) of each timestep, descending.
        gap: difference of the levels of x_0.
        highest: first log SNR of the grid.
        lowest: last log SNR of the grid, or what the schedule ends with, if that is higher.
        spacing: of the grid.
    """
    axis = np.asarray(schedule, dtype=np.float64) + 2 * math.log(gap / 2)
    grid = np.arange(highest, lowest - spacing / 2, -spacing)
    grid = grid[(grid <= axis[0] + spacing / 2) & (grid >= axis[-1] - spacing / 2)]
    t = np.unique(np.abs(axis[:, None] - grid).argmin(axis=0))
    return Levels(t, axis[t])


def generator_of(what: str, seed: int, case: str, t: int) -> np.random.Generator:
    """The generator of a random choice about one case at one level, e.g. of its "noise"."""
    return np.random.default_rng(seed_of("oracle", what, seed, case, t))


@dataclass(frozen=True, eq=False)
class NoisyMasks:
    """Masks at one noise level.

    Args:
        masks: bool (N, H, W).
        cases: name of each case.
        t: number of the level, part of the noise's seed.
        log_snr: of the level.
        seed: of the noise.

    Raises:
        ValueError: the masks are not boolean (N, H, W), or there is not one name for each.
    """

    masks: Masks
    cases: Sequence[str]
    t: int
    log_snr: float
    seed: int

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.masks.dtype != np.bool_ or self.masks.ndim != 3:
            raise ValueError(
                f"masks must be boolean (N, H, W), got {self.masks.dtype} {self.masks.shape}"
            )
        if len(self.cases) != len(self.masks):
            raise ValueError(f"{len(self.masks)} masks need as many names, got {len(self.cases)}")

    @property
    def snr(self) -> float:
        """Signal to noise ratio, 1 / variance of the noise in y."""
        return math.exp(self.log_snr)

    def blocks(self, pixels: int = _BLOCK) -> Iterator[tuple[slice, Singles]]:
        """Some cases at a time, and their y, float32 (cases, H, W).

        Args:
            pixels: of a block, about; results do not depend on it.
        """
        each = max(1, pixels // max(1, math.prod(self.masks.shape[1:])))
        for start in range(0, len(self.masks), each):
            chosen = slice(start, min(start + each, len(self.masks)))
            yield chosen, self.noisy(chosen)

    def noisy(self, chosen: slice) -> Singles:
        """Their y, float32 (cases, H, W)."""
        masks = self.masks[chosen]
        y = np.empty(masks.shape, dtype=np.float32)
        for row, case in zip(y, self.cases[chosen], strict=True):
            self.generator("noise", case).standard_normal(dtype=np.float32, out=row)
        y *= np.float32(math.exp(-self.log_snr / 2))
        y += np.where(masks, np.float32(1), np.float32(-1))
        return y

    def generator(self, what: str, case: str) -> np.random.Generator:
        """The generator of a random choice about one case at this level."""
        return generator_of(what, self.seed, case, self.t)
