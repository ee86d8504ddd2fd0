"""Rank correlations over datasets, of which there are few."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import permutation_test, rankdata

from noise2mask.seeds import seed_of

Floats = NDArray[np.float64]

FEW = 5
"""Datasets from which on a rank correlation can be told from chance: four have 24 orders, of which
the best one and its reverse are 8 %, and resamples of four are nearly all degenerate."""


class Correlation(NamedTuple):
    """Spearman's rank correlation over `n` datasets, bootstrap interval and permutation test."""

    rank_correlation: float
    low: float
    high: float
    p: float
    n: int


def rank_correlation(
    first: ArrayLike,
    second: ArrayLike,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Correlation:
    """Spearman's rank correlation of two columns, a value a dataset.

    The p-value is two-sided, from permutations: all of them up to 7 datasets, else 9999. The
    interval is the percentile bootstrap's, NaN for fewer than `FEW` datasets. All is NaN for
    fewer than three, or where all values of a column are equal.

    Args:
        first: (datasets,).
        second: (datasets,); a pair with a NaN is left out and not counted.
        resamples: of the bootstrap.
        level: coverage of the interval.
        seed: of bootstrap and permutations.

    Raises:
        ValueError: different shapes, or not one-dimensional.
    """
    pair = np.stack([np.asarray(column, dtype=np.float64) for column in (first, second)])
    if pair.ndim != 2:
        raise ValueError(f"columns of one value a dataset are needed, got {pair.shape[1:]}")
    pair = pair[:, ~np.isnan(pair).any(axis=0)]
    n = pair.shape[1]
    found = _spearman(*pair) if n >= 3 else np.nan
    if np.isnan(found):
        return Correlation(np.nan, np.nan, np.nan, np.nan, n)
    test = permutation_test(
        (pair[0],), lambda one, axis: _spearman(one, np.broadcast_to(pair[1], one.shape), axis),
        permutation_type="pairings", vectorized=True, n_resamples=9999,
        rng=np.random.default_rng(seed_of("permutation", seed)),
    )  # fmt: skip
    low = high = np.nan
    if n >= FEW:
        generator = np.random.default_rng(seed_of("correlation", seed))
        drawn = pair[:, generator.integers(n, size=(resamples, n))]
        values = _spearman(drawn[0], drawn[1])
        tail = (1 - level) / 2
        low, high = np.nanquantile(values, [tail, 1 - tail]).tolist()
    return Correlation(float(found), low, high, float(test.pvalue), n)


def _spearman(first: Floats, second: Floats, axis: int = -1) -> Floats:
    """Pearson's correlation of ranks along an axis; NaN where all values are equal."""
    one, two = (rankdata(values, axis=axis) for values in (first, second))
    one, two = (ranks - ranks.mean(axis=axis, keepdims=True) for ranks in (one, two))
    scale = np.sqrt((one**2).sum(axis=axis) * (two**2).sum(axis=axis))
    product = (one * two).sum(axis=axis)
    return np.asarray(np.divide(product, scale, out=np.full_like(scale, np.nan), where=scale > 0))
