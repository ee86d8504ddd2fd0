"""Integrals of loss curves over log SNR: trapezoid, tails, quantiles, bootstrap over cases.

Trapezoids converge fast here, since the integrand is a bump that falls off at both ends. With
evenly spaced levels the error for independent pixels is below 0.02 % at a spacing of 0.5, 0.1 % at
1, 2 % at 1.5 and 12 % at 2. Masks known all at once or not at all (random code words) are the worst
case: 0.4 % at 0.5, 1.2 % at 1 and 8 % at 1.5. So a spacing of 1 gives 1 %, and the 14 units of log
SNR that matter need 15 levels.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from noise2mask.analysis.oracles.exact import decided_from, mmse
from noise2mask.evaluation.bootstrap import Interval, Names, Resampling, percentile_interval

Floats = NDArray[np.float64]

NEGLIGIBLE = 0.01
"""Nats a mask: levels at which no more can be left undecided are bounded, not integrated."""


class Tails(NamedTuple):
    """Integrals beyond both ends of the grid, nats per mask; each between 0 and its bound.

    The trapezoid is continued at the spacing of either end, so that a grid that ends within the
    bump keeps its accuracy.

    Below the grid the mmse is taken for constant; a pixel of two levels has at most variance 1,
    hence the bound, about pixels SNR/2. Above the grid what is undecided is taken for lone pixels
    of even odds, as many as explain the last mmse; all of the pixels are the bound. At high SNR
    this tail is the mmse whatever the odds. At a last SNR of 5 it is 0.9 mmse, at 1 it is 0.8
    mmse, where foreground of 1 in 1000 would make it 1.05 and 1.5 mmse.

    Without two levels the mmse is taken to fall as 1/SNR^2 above the grid; there are no bounds.
    """

    low: float
    low_bound: float
    high: float
    high_bound: float


@dataclass(frozen=True, eq=False)
class Information:
    """An integral over log SNR, and where it comes from.

    Attributes:
        nats: per mask, tails included, with its bootstrap interval over cases.
        pixels: of a mask.
        log_snr: (levels,), ascending.
        density: (levels,), the integrand: nats per mask and unit of log SNR.
        ceiling: log SNR from which on a mask of two levels is decided but for `NEGLIGIBLE` nats;
            levels above it are left to the upper tail, so that the error floor of a network there
            does not count. Infinite without two levels.
        quantiles: log SNR below which 10, 50 and 90 % of `nats` lie, with intervals; a quantile
            in a tail is the end of the grid.
        tails: what `nats` holds from beyond the grid.
        quadrature_error: a third of the change, in nats, when every second level is left out: the
            order of the trapezoid's error, for evenly spaced levels often far more.
    """

    nats: Interval
    pixels: int
    log_snr: Floats
    density: Floats
    ceiling: float
    quantiles: tuple[Interval, Interval, Interval]
    tails: Tails
    quadrature_error: float

    @property
    def bits(self) -> Interval:
        """Bits per mask."""
        return _times(self.nats, 1 / math.log(2))

    @property
    def bits_per_pixel(self) -> Interval:
        """Bits per pixel."""
        return _times(self.bits, 1 / self.pixels)


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are drawn; see :func:`noise2mask.evaluation.bootstrap.percentile_interval`."""

    groups: Names | None
    resamples: int
    level: float
    seed: int

    def interval(self, cases: Floats, statistic: Callable[[Floats], Floats]) -> Interval:
        """Of a function of the mean over cases.

        Args:
            cases: (cases, columns).
            statistic: from means (resamples, columns) to values (resamples,).
        """
        drawn = Resampling(self.resamples, self.level, self.seed)
        return percentile_interval(cases, statistic, units=self.groups, resampling=drawn)


class Rule:
    """How curves of L_eps (rows, levels), summed over pixels, become integrals in nats.

    Args:
        log_snr: (levels,), ascending.
        pixels: of a mask.
        two_levels: masks have two levels.

    Raises:
        ValueError: fewer than three levels lie below the ceiling.
    """

    def __init__(self, log_snr: Floats, pixels: int, *, two_levels: bool):
        self.log_snr, self.pixels = log_snr, pixels
        self.ceiling = decided_from(pixels, NEGLIGIBLE) if two_levels else math.inf
        self._kept = int(np.searchsorted(log_snr, self.ceiling, side="right"))
        if self._kept < 3:
            raise ValueError(
                f"at least three levels must lie below a log SNR of {self.ceiling:.2f}, from "
                f"which on {pixels} pixels are decided, got {self._kept}"
            )
        self._grid = log_snr[: self._kept]
        below, above = float(self._grid[1] - self._grid[0]), float(np.diff(self._grid)[-1])
        # Tails as multiples of the L_eps at their ends, and the largest L_eps there can be.
        self._low = below / 4 + below / 2 / math.expm1(below)
        self._high = above / 4 + above / 2 / math.expm1(above)
        self._largest = np.full(2, math.inf)
        if two_levels:
            last = float(self._grid[-1])
            beyond = np.arange(last, max(last, 6.0) + above, above)  # at 6 nothing is left
            curve = np.exp(beyond) * mmse(beyond, 0.5)
            self._high = above / 2 * float(curve.sum() / curve[0] - 0.5)
            self._largest = pixels * np.array([math.exp(self._grid[0]), curve[0]])

    def low(self, curves: Floats) -> Floats:
        """Lower tails (rows,)."""
        return np.asarray(np.clip(curves[:, 0], 0, self._largest[0]) * self._low)

    def high(self, curves: Floats) -> Floats:
        """Upper tails (rows,)."""
        last = curves[:, self._kept - 1]
        return np.asarray(np.clip(last, 0, self._largest[1]) * self._high)

    def cumulated(self, curves: Floats) -> Floats:
        """Integrals from minus infinity up to each level below the ceiling, (rows, levels kept)."""
        kept = curves[:, : self._kept]
        pieces = (kept[:, 1:] + kept[:, :-1]) / 4 * np.diff(self._grid)
        return np.cumsum(np.concatenate([self.low(curves)[:, None], pieces], axis=1), axis=1)

    def total(self, curves: Floats) -> Floats:
        """Integrals from minus to plus infinity, (rows,)."""
        return np.asarray(self.cumulated(curves)[:, -1] + self.high(curves))

    def quantile(self, curves: Floats, share: float) -> Floats:
        """Log SNR at which a share of the total is reached, (rows,); NaN without information.

        A noisy integral is not monotone: the mean of its least upper and its greatest lower
        monotone bound stands for it. Between levels it is interpolated by monotone cubics.
        """
        integral = self.cumulated(curves)
        upper = np.maximum.accumulate(integral, axis=1)
        lower = np.minimum.accumulate(integral[:, ::-1], axis=1)[:, ::-1]
        monotone, total = (upper + lower) / 2, self.total(curves)
        fine = np.interp(
            np.arange(0, self._kept - 1 + 1e-9, 0.1), np.arange(self._kept), self._grid
        )
        smooth = PchipInterpolator(self._grid, monotone, axis=1)(fine)
        found = np.full(len(curves), np.nan)
        for row in np.flatnonzero(total > 0):
            found[row] = np.interp(share * total[row], smooth[row], fine)
        return found

    def information(self, cases: Floats, bootstrap: Bootstrap) -> Information:
        """The integral of the mean over cases (cases, levels)."""
        mean = cases[~np.isnan(cases).any(axis=1)].mean(axis=0, keepdims=True)
        low, median, high = (
            bootstrap.interval(cases, lambda means, q=share: self.quantile(means, q))  # type: ignore[misc]
            for share in (0.1, 0.5, 0.9)
        )
        bounds = self._largest * [self._low, self._high]
        tails = Tails(
            low=float(self.low(mean)[0]),
            low_bound=float(bounds[0]),
            high=float(self.high(mean)[0]),
            high_bound=float(bounds[1]),
        )
        return Information(
            nats=bootstrap.interval(cases, self.total),
            pixels=self.pixels,
            log_snr=self.log_snr,
            density=mean[0] / 2,
            ceiling=self.ceiling,
            quantiles=(low, median, high),
            tails=tails,
            quadrature_error=self._quadrature_error(mean[0]),
        )

    def _quadrature_error(self, curve: Floats) -> float:
        grid, values = self._grid, curve[: self._kept] / 2
        coarse = np.unique([*range(0, self._kept, 2), self._kept - 1])
        change = np.trapezoid(values, grid) - np.trapezoid(values[coarse], grid[coarse])
        return abs(float(change)) / 3


def _times(interval: Interval, factor: float) -> Interval:
    low, high = interval.low * factor, interval.high * factor
    return Interval(interval.mean * factor, low, high, interval.n)
