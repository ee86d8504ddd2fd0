"""Intervals and tests over cases: percentile bootstrap, paired comparison, Holm's correction.

The unit is the independent group (patient, slide) where groups are given, the case otherwise.
Every result depends on the set of the rows alone, not on their order, and on the seed.

A mean over several trainings varies with the trainings too. With `seeds` rows are pairs of a case
and the seed of a training, estimates are means over cases, each the mean of its seeds, and groups
and seeds are drawn independently (the pigeonhole bootstrap of crossed factors: Owen, Ann. Appl.
Stat. 1, 2007, arXiv:0712.1111; Davison and Hinkley, "Bootstrap methods and their application",
1997, section 3.8). For G groups of one case each and S seeds the variance of the resamples is about
V_case/G + (1 - 1/S) V_seed/S + (3 - 2/S) V_rest/(G S), so it is too small in seeds where there are
only two or three, and no number of resamples makes up for that. One seed says nothing about seeds:
its interval is that without them.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import wilcoxon

from noise2mask.evaluation.resampling import Floats as Floats
from noise2mask.evaluation.resampling import Groups as Groups
from noise2mask.evaluation.resampling import quantiles, totals_of


class Interval(NamedTuple):
    """An estimate from `n` cases with its bootstrap interval."""

    mean: float
    low: float
    high: float
    n: int


class PairedDifference(NamedTuple):
    """Mean of a - b over `n` cases, its bootstrap interval, and the p-value of Wilcoxon's test."""

    difference: float
    low: float
    high: float
    p: float
    n: int


def bootstrap_mean(
    values: ArrayLike,
    *,
    groups: Groups | None = None,
    cases: Groups | None = None,
    seeds: Groups | None = None,
    resamples: int,
    level: float,
    seed: int,
) -> Interval:
    """Mean over cases with a percentile bootstrap interval (Efron, Ann. Stat. 7, 1979).

    With groups whole groups are drawn, and the mean is over the cases of those drawn. The interval
    is NaN for fewer than two groups, which say nothing about the spread; all is NaN for no case.

    Args:
        values: one a row, shape (rows,), rows being cases or with `seeds` pairs of a case and a
            seed; NaN (undefined) is left out, and a case without a value not counted in `n`.
        groups: the group of each row; without it each case is its own.
        cases: the case of each row, given with `seeds` alone.
        seeds: the seed of the training of each row, see the module.
        resamples: number of bootstrap samples.
        level: coverage of the interval, e.g. 0.95.
        seed: of the bootstrap; one seed draws the same resamples for the same number of groups.

    Raises:
        ValueError: wrong shapes, `resamples` below 1 or `level` outside (0, 1), only one of
            `cases` and `seeds`, or several rows of one case and seed.
    """
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise ValueError(f"values must have shape (rows,), got {column.shape}")
    return bootstrap_statistic(
        np.stack([column, np.ones_like(column)], axis=1),
        _ratio,
        groups=groups,
        cases=cases,
        seeds=seeds,
        resamples=resamples,
        level=level,
        seed=seed,
    )


def bootstrap_statistic(
    rows: ArrayLike,
    statistic: Callable[[Floats], Floats],
    *,
    groups: Groups | None = None,
    cases: Groups | None = None,
    seeds: Groups | None = None,
    resamples: int,
    level: float,
    seed: int,
) -> Interval:
    """A function of the sum over cases, with a percentile bootstrap interval over cases.

    For a pooled calibration error `rows` are reliability histograms (rows, bins, 3) and
    `statistic` is :func:`noise2mask.evaluation.reliability.ece_of`. With seeds the sums are over
    cases, each the mean of its seeds.

    Args:
        rows: one array a row, shape (rows, ...); a row with a NaN in it is left out.
        statistic: from sums (resamples, ...) to values (resamples,); a resample on which it is
            NaN is left out of the interval.
        groups: as in :func:`bootstrap_mean`, as are all that follow.
        cases: of each row.
        seeds: of each row.
        resamples: number of bootstrap samples.
        level: coverage of the interval.
        seed: of the bootstrap.

    Returns:
        The statistic of all cases (in `mean`), its interval and the number of cases.

    Raises:
        ValueError: as :func:`bootstrap_mean`.
    """
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(
            f"resamples must be at least 1 and level in (0, 1), got {resamples} and {level}"
        )
    array = np.asarray(rows, dtype=np.float64)
    totals = totals_of(array, groups, cases, seeds)
    if totals.n == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    shape = array.shape[1:]
    mean = float(statistic(totals.whole().reshape(1, *shape))[0])
    if len(totals.sums) < 2:
        return Interval(mean, np.nan, np.nan, totals.n)
    sums = totals.drawn(resamples, seed)
    low, high = quantiles(statistic(sums.reshape(resamples, *shape)), level)
    return Interval(mean, low, high, totals.n)


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    groups: Groups | None = None,
    cases: Groups | None = None,
    seeds: Groups | None = None,
    resamples: int,
    level: float,
    seed: int,
) -> PairedDifference:
    """Mean of a - b over cases, bootstrap interval and two-sided Wilcoxon signed-rank p-value.

    The test (Wilcoxon, Biometrics Bulletin 1, 1945) is on the differences per case, each the mean
    of its seeds, or with groups on their means per group, because cases of one group are not
    independent. Differences
    of exactly 0 are left out of it, as Wilcoxon did; if all are 0, p = 1. Fewer than two
    differences: p is NaN.

    Args:
        a: one value a row, shape (rows,).
        b: the same rows in the same order; a pair with a NaN is left out and not counted.
        groups: as in :func:`bootstrap_mean`, as are all that follow.
        cases: of each row.
        seeds: of each row.
        resamples: number of bootstrap samples.
        level: coverage of the interval.
        seed: of the bootstrap.

    Raises:
        ValueError: as :func:`bootstrap_mean`.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(
            f"a and b must have one shape (rows,), got {first.shape} and {second.shape}"
        )
    differences = first - second
    interval = bootstrap_mean(
        differences, groups=groups, cases=cases, seeds=seeds,
        resamples=resamples, level=level, seed=seed,
    )  # fmt: skip
    rows = np.stack([differences, np.ones_like(differences)], axis=1)
    units = _ratio(totals_of(rows, groups, cases, seeds).by_group())
    return PairedDifference(
        interval.mean, interval.low, interval.high, _wilcoxon(units), interval.n
    )


def holm(p_values: ArrayLike) -> Floats:
    """P-values adjusted for the number of comparisons by Holm's step-down procedure.

    The j-th smallest of m is multiplied by m - j + 1, then raised to the largest before it and
    capped at 1 (Holm, Scand. J. Stat. 6, 1979). NaN, a comparison that could not be made, stays
    NaN and does not count in m.

    Args:
        p_values: shape (comparisons,).

    Raises:
        ValueError: a p-value outside [0, 1].

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    made = np.flatnonzero(~np.isnan(p))
    if np.any((p[made] < 0) | (p[made] > 1)):
        raise ValueError(f"p-values must lie in [0, 1], got {p.tolist()}")
    ascending = made[np.argsort(p[made], kind="stable")]
    raised = np.maximum.accumulate(p[ascending] * np.arange(len(made), 0, -1))
    adjusted = np.full_like(p, np.nan)
    adjusted[ascending] = np.minimum(raised, 1.0)
    return adjusted


def _ratio(sums: Floats) -> Floats:
    """First column by the second; NaN for a resample without a defined row."""
    weight = np.where(sums[:, 1] > 0, sums[:, 1], np.nan)
    return np.asarray(sums[:, 0] / weight)


def _wilcoxon(differences: Floats) -> float:
    if len(differences) < 2:
        return float("nan")
    if not differences.any():
        return 1.0
    return float(wilcoxon(differences, zero_method="wilcox", alternative="two-sided").pvalue)
