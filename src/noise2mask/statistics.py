"""Intervals and tests over cases: percentile bootstrap, paired comparison, Holm's correction.

The unit is the independent group (patient, slide) where groups are given, the case otherwise.
Every result depends on the set of the cases alone, not on their order, and on the seed.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import wilcoxon

from noise2mask.rng import seed_of

Floats = NDArray[np.float64]
Groups = Sequence[str] | Sequence[int] | NDArray[np.str_] | NDArray[np.int64]


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
    resamples: int,
    level: float,
    seed: int,
) -> Interval:
    """Mean over cases with a percentile bootstrap interval (Efron, Ann. Stat. 7, 1979).

    With groups whole groups are drawn, and the mean is over the cases of those drawn. The interval
    is NaN for fewer than two groups, which say nothing about the spread; all is NaN for no case.

    Args:
        values: one a case, shape (cases,); NaN (undefined) is left out and not counted in `n`.
        groups: the group of each case; without it each case is its own.
        resamples: number of bootstrap samples.
        level: coverage of the interval, e.g. 0.95.
        seed: of the bootstrap; one seed draws the same resamples for the same number of groups.

    Raises:
        ValueError: wrong shapes, `resamples` below 1 or `level` outside (0, 1).
    """
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise ValueError(f"values must have shape (cases,), got {column.shape}")
    return bootstrap_statistic(
        np.stack([column, np.ones_like(column)], axis=1),
        _ratio,
        groups=groups,
        resamples=resamples,
        level=level,
        seed=seed,
    )


def bootstrap_statistic(
    cases: ArrayLike,
    statistic: Callable[[Floats], Floats],
    *,
    groups: Groups | None = None,
    resamples: int,
    level: float,
    seed: int,
) -> Interval:
    """A function of the sum over cases, with a percentile bootstrap interval over cases.

    For a pooled calibration error `cases` are reliability histograms (cases, bins, 3) and
    `statistic` is :func:`noise2mask.reliability.ece_of`.

    Args:
        cases: one array a case, shape (cases, ...); a case with a NaN in it is left out.
        statistic: from sums (resamples, ...) to values (resamples,); a resample on which it is
            NaN is left out of the interval.
        groups: as in :func:`bootstrap_mean`, as are `resamples`, `level` and `seed`.
        resamples: number of bootstrap samples.
        level: coverage of the interval.
        seed: of the bootstrap.

    Returns:
        The statistic of all cases (in `mean`), its interval and the number of cases.

    Raises:
        ValueError: wrong shapes, `resamples` below 1 or `level` outside (0, 1).
    """
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(
            f"resamples must be at least 1 and level in (0, 1), got {resamples} and {level}"
        )
    array = np.asarray(cases, dtype=np.float64)
    rows = array.reshape(len(array), math.prod(array.shape[1:]))
    defined = ~np.isnan(rows.sum(axis=1))
    n = int(defined.sum())
    if n == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    totals = _group_totals(rows, groups, defined)
    shape = array.shape[1:]
    mean = float(statistic(totals.sum(axis=0).reshape(1, *shape))[0])
    if len(totals) < 2:
        return Interval(mean, np.nan, np.nan, n)
    sums = _times_drawn(len(totals), resamples, seed) @ totals
    low, high = _quantiles(statistic(sums.reshape(resamples, *shape)), level)
    return Interval(mean, low, high, n)


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    groups: Groups | None = None,
    resamples: int,
    level: float,
    seed: int,
) -> PairedDifference:
    """Mean of a - b over cases, bootstrap interval and two-sided Wilcoxon signed-rank p-value.

    The test (Wilcoxon, Biometrics Bulletin 1, 1945) is on the differences per case, or with
    groups on their means per group, because cases of one group are not independent. Differences
    of exactly 0 are left out of it, as Wilcoxon did; if all are 0, p = 1. Fewer than two
    differences: p is NaN.

    Args:
        a: one value a case, shape (cases,).
        b: the same cases in the same order; a pair with a NaN is left out and not counted.
        groups: as in :func:`bootstrap_mean`, as are `resamples`, `level` and `seed`.
        resamples: number of bootstrap samples.
        level: coverage of the interval.
        seed: of the bootstrap.

    Raises:
        ValueError: wrong shapes, `resamples` below 1 or `level` outside (0, 1).
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(
            f"a and b must have one shape (cases,), got {first.shape} and {second.shape}"
        )
    differences = first - second
    interval = bootstrap_mean(
        differences, groups=groups, resamples=resamples, level=level, seed=seed
    )
    defined = ~np.isnan(differences)
    rows = np.stack([differences, np.ones_like(differences)], axis=1)
    units = _ratio(_group_totals(rows, groups, defined)) if defined.any() else differences[defined]
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
    return np.asarray(sums[:, 0] / sums[:, 1])


def _group_totals(rows: Floats, groups: Groups | None, defined: NDArray[np.bool_]) -> Floats:
    """Sums (groups, columns) over the defined rows, in an order that their values alone decide."""
    if groups is None:
        return _sorted_rows(rows[defined])
    labels = np.asarray(groups)
    if labels.shape != (len(rows),):
        raise ValueError(f"groups must name {len(rows)} cases, got shape {labels.shape}")
    order = np.lexsort([*rows.T[::-1], labels])  # rounding too must not know the order of cases
    order = order[defined[order]]
    names, index = np.unique(labels[order], return_inverse=True)
    totals = np.zeros((len(names), rows.shape[1]))
    np.add.at(totals, index, rows[order])
    return _sorted_rows(totals)


def _sorted_rows(rows: Floats) -> Floats:
    return rows[np.lexsort(rows.T[::-1])]


def _times_drawn(groups: int, resamples: int, seed: int) -> Floats:
    """How often each resample draws each group, array (resamples, groups)."""
    generator = np.random.default_rng(seed_of("bootstrap", seed))
    drawn = generator.integers(groups, size=(resamples, groups))
    drawn += groups * np.arange(resamples)[:, None]  # one bincount for all resamples
    counts = np.bincount(drawn.ravel(), minlength=resamples * groups)
    return counts.reshape(resamples, groups).astype(np.float64)


def _quantiles(values: Floats, level: float) -> tuple[float, float]:
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return np.nan, np.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _wilcoxon(differences: Floats) -> float:
    if len(differences) < 2:
        return float("nan")
    if not differences.any():
        return 1.0
    return float(wilcoxon(differences, zero_method="wilcox", alternative="two-sided").pvalue)
