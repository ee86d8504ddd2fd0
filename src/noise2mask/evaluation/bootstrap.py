"""Intervals and tests over independent units crossed with the seeds of trainings.

One model serves means, differences and every statistic of sums. The unit is what is independent: a
patient, a slide, a volume, or the case where nothing is known. Each seed is a training that scored
every unit. With `F` the statistic of one seed, the estimate is the mean of `F` over seeds, and a
jackknife over units splits it into what each unit and each seed contributes. The error of the
estimate is the sum of two independent parts:

* **units**: t* s_u, where s_u is the standard error over units and t* the studentised bootstrap
  (bootstrap-t: Efron 1982; Hall, Ann. Stat. 16, 1988), units drawn with replacement within their
  dataset. It follows skewness, and for normal values t* is nearly Student's t.
* **seeds**: t s_s, where t is Student's with one degree of freedom fewer than seeds and s_s^2 the
  variance of the mean over seeds beyond what units explain (the two-way analysis of variance: mean
  square of seeds less that of the rest). Two or three seeds are too few to be drawn with
  replacement. One seed says nothing of others: what is found then is about the trained networks.

The sum of two studentised errors is the solution of Behrens and Fisher for two variances. Interval
and p-value are quantiles of one and the same draws, so they always agree: p < 1 - level if and only
if the interval excludes the null. How often both err is simulated in ``benchmarks/error_rates.py``;
the table is in ``docs/statistics.md``.

Every result depends on the set of the rows alone, not on their order, and on the seed of the draws.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import permutation_test, rankdata

from noise2mask.seeds import seed_of

Floats = NDArray[np.float64]
Names = Sequence[str] | Sequence[int] | NDArray[np.str_] | NDArray[np.int64] | NDArray[Any]
CaseGroups = Mapping[tuple[str, str], str]
"""The unit of each (dataset, case) that is not its own."""

POWER = 0.8
"""Share of studies that find a difference as large as the smallest resolvable one."""
FEW = 5
"""Datasets from which on a rank correlation can be told from chance: four have 24 orders, of which
the best one and its reverse are 8 %, and resamples of four are nearly all degenerate."""


class Resampling(NamedTuple):
    """How intervals are drawn: number of draws, coverage, and the seed of the draws."""

    resamples: int = 9999
    level: float = 0.95
    seed: int = 0

    def simultaneous(self, number: int) -> "Resampling":
        """For `number` intervals that hold all at once, after Bonferroni."""
        return self._replace(level=1 - (1 - self.level) / max(1, number))

    def checked(self) -> "Resampling":
        """Itself.

        Raises:
            ValueError: fewer than one draw, or a coverage outside (0, 1).
        """
        if self.resamples < 1 or not 0 < self.level < 1:
            raise ValueError(
                f"resamples must be at least 1 and level in (0, 1), got {self.resamples} and "
                f"{self.level}"
            )
        return self


STANDARD = Resampling()


class Interval(NamedTuple):
    """An estimate from `n` independent units with its interval, NaN where there is none."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, eq=False)
class Estimate:
    """A statistic with the draws of its error, from which interval and p-value come.

    Attributes:
        mean: the estimate.
        errors: of the estimate, ascending; empty where units say nothing about them.
        n: number of independent units.
        seeds: number of trainings that it is a mean over.
        resampling: how it was drawn.
        left_out: strata with a single unit, whose spread cannot be estimated; not in the mean.
    """

    mean: float
    errors: Floats
    n: int
    seeds: int
    resampling: Resampling
    left_out: tuple[str, ...] = ()

    def interval(self, level: float | None = None) -> Interval:
        """The interval of this coverage, by default that of the resampling.

        Its ends are order statistics of the draws; NaN where these are too few or not finite, as
        for one or two units.
        """
        tail = (1 - (self.resampling.level if level is None else level)) / 2
        low, high = self._ends(tail)
        return Interval(self.mean, self.mean - high, self.mean - low, self.n)

    def p(self, null: float = 0.0) -> float:
        """Two-sided p-value of "the estimated value is `null`"; NaN without draws.

        Never below :attr:`smallest_p`.
        """
        if not len(self.errors) or math.isnan(self.mean):
            return math.nan
        found = self.mean - null
        slack = 1e-12 * max(abs(found), abs(self.mean))  # differences that are equal on paper
        above = len(self.errors) - int(np.searchsorted(self.errors, found - slack, side="left"))
        below = int(np.searchsorted(self.errors, found + slack, side="right"))
        p = 2 * (1 + min(above, below)) / (len(self.errors) + 1)
        return min(1.0, max(p, self.smallest_p))

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that so many units and draws can give.

        With n units no test that takes differences for symmetric, and nothing else for granted, can
        fall below 2^(1 - n), the share of the two extreme signs.
        """
        if not len(self.errors):
            return math.nan
        return min(1.0, max(2.0 ** (1 - self.n), 2 / (len(self.errors) + 1)))

    def resolvable(self, level: float | None = None, power: float = POWER) -> float:
        """The smallest difference that is found with this power at 1 - `level`, two-sided."""
        low, high = self._ends((1 - (self.resampling.level if level is None else level)) / 2)
        inner = self._ends(1 - power)
        return (high - low + inner[1] - inner[0]) / 2

    def _ends(self, tail: float) -> tuple[float, float]:
        """The order statistics that leave `tail` of the draws on either side."""
        draws = len(self.errors)
        place = math.floor(tail * (draws + 1) + 1e-9)
        if place < 1 or 2 * place > draws:
            return math.nan, math.nan
        low, high = float(self.errors[place - 1]), float(self.errors[draws - place])
        return (low, high) if math.isfinite(low) and math.isfinite(high) else (math.nan, math.nan)

    def turned(self) -> "Estimate":
        """The estimate of minus the statistic."""
        return Estimate(
            -self.mean, -self.errors[::-1], self.n, self.seeds, self.resampling, self.left_out
        )


def estimate_mean(
    values: ArrayLike,
    *,
    units: Names | None = None,
    seeds: Names | None = None,
    strata: Names | None = None,
    resampling: Resampling = STANDARD,
) -> Estimate:
    """The mean over rows, or with strata the mean of their means.

    Args:
        values: one a row, shape (rows,), rows being cases or pairs of a case and a seed; NaN
            (undefined) is left out.
        units: the unit of each row; without it each row is its own.
        seeds: the seed of the training of each row; without it there is one.
        strata: the dataset of each row, all of the same weight; without it there is one.
        resampling: how errors are drawn.

    Raises:
        ValueError: wrong shapes, or seeds without units.
    """
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise ValueError(f"values must have shape (rows,), got {column.shape}")
    rows = np.stack([column, np.ones_like(column)], axis=1)
    return estimate_statistic(
        rows, _mean_of_means, units=units, seeds=seeds, strata=strata, resampling=resampling
    )


def estimate_difference(
    first: ArrayLike,
    second: ArrayLike,
    *,
    units: Names | None = None,
    seeds: Names | None = None,
    strata: Names | None = None,
    resampling: Resampling = STANDARD,
) -> Estimate:
    """The mean of first - second over rows; exchanging the two negates it to the last bit.

    Args:
        first: one value a row, shape (rows,).
        second: the same rows in the same order; a pair with a NaN is left out.
        units: as in :func:`estimate_mean`, as are all that follow.
        seeds: of each row.
        strata: of each row.
        resampling: how errors are drawn.

    Raises:
        ValueError: as :func:`estimate_mean`.
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != other.shape or one.ndim != 1:
        raise ValueError(f"both must have one shape (rows,), got {one.shape} and {other.shape}")
    differences = one - other
    turned = _comes_first(-differences, differences)
    found = estimate_mean(
        -differences if turned else differences,
        units=units,
        seeds=seeds,
        strata=strata,
        resampling=resampling,
    )
    return found.turned() if turned else found


def _comes_first(values: Floats, others: Floats) -> bool:
    """Whether one set of values is above another where they first differ, from the largest on."""
    one, other = (np.sort(each[~np.isnan(each)])[::-1] for each in (values, others))
    apart = np.flatnonzero(one != other)
    return bool(len(apart) and one[apart[0]] > other[apart[0]])


def estimate_statistic(
    rows: ArrayLike,
    statistic: Callable[[Floats], Floats],
    *,
    units: Names | None = None,
    seeds: Names | None = None,
    strata: Names | None = None,
    resampling: Resampling = STANDARD,
) -> Estimate:
    """A smooth function of the sums over rows, see the module.

    For a pooled calibration error `rows` are reliability histograms (rows, bins, 3) and
    `statistic` takes :func:`noise2mask.evaluation.reliability.ece_of` of each stratum.

    Args:
        rows: one array a row, shape (rows, ...); a row with a NaN in it is left out.
        statistic: from sums (..., strata, *shape of a row) to values (...).
        units: as in :func:`estimate_mean`, as are all that follow.
        seeds: of each row.
        strata: of each row.
        resampling: how errors are drawn.

    Raises:
        ValueError: as :func:`estimate_mean`.
    """
    resampling.checked()
    table = np.asarray(rows, dtype=np.float64)
    design, left_out = _design(table, units, seeds, strata)
    count, trained = len(design.stratum), len(design.sums)
    nothing = np.empty(0)
    if count == 0:
        return Estimate(math.nan, nothing, 0, 0, resampling, left_out)
    totals = design.totals()
    shape = table.shape[1:]
    of_seeds = np.asarray(statistic(totals.reshape(*totals.shape[:2], *shape)), dtype=np.float64)
    mean = float(of_seeds.mean())
    if np.bincount(design.stratum).min() < 2 or math.isnan(mean):
        return Estimate(mean, nothing, count, trained, resampling, left_out)
    parts = _contributions(design, totals, of_seeds, statistic, shape)
    if np.isnan(parts).any():  # undefined without one of the units: its spread is not known
        return Estimate(mean, nothing, count, trained, resampling, left_out)
    errors = _errors(parts, of_seeds / trained, design.stratum, resampling)
    return Estimate(mean, errors, count, trained, resampling, left_out)


class _Design(NamedTuple):
    """Sums of rows by seed and unit, (seeds, units, columns), and the stratum of each unit."""

    sums: Floats
    stratum: NDArray[np.int64]

    def totals(self) -> Floats:
        """Sums by seed and stratum, (seeds, strata, columns)."""
        places = np.unique(self.stratum)
        return np.stack([self.sums[:, self.stratum == each].sum(axis=1) for each in places], axis=1)


def _design(
    table: Floats, units: Names | None, seeds: Names | None, strata: Names | None
) -> tuple[_Design, tuple[str, ...]]:
    """The rows that are defined by seed and unit, and the strata left out for want of units."""
    flat = table.reshape(len(table), math.prod(table.shape[1:]))
    if seeds is not None and units is None:
        raise ValueError("seeds need units: a row is a unit under a seed")
    labels = [
        np.zeros(len(flat), dtype=np.int64) if given is None else _labels(name, given, len(flat))
        for name, given in (("strata", strata), ("units", units), ("seeds", seeds))
    ]
    if units is None:
        labels[1] = np.arange(len(flat))
    defined = ~np.isnan(flat.sum(axis=1))
    flat = flat[defined]
    stratum, unit, seed = (each[defined] for each in labels)
    left_out: list[str] = []
    names = np.unique(stratum)
    if len(names) > 1:  # one stratum alone is told all the same, without an interval
        single = [name for name in names if len(np.unique(unit[stratum == name])) < 2]
        if len(single) < len(names):
            kept = ~np.isin(stratum, single)
            flat, stratum, unit, seed = flat[kept], stratum[kept], unit[kept], seed[kept]
            left_out = [str(name) for name in single]
    order = np.lexsort([*flat.T[::-1], seed, unit, stratum])  # rounding must not know the order
    flat, stratum, unit, seed = flat[order], stratum[order], unit[order], seed[order]
    places, trained = (np.unique(each, return_inverse=True)[1] for each in (stratum, seed))
    names = np.unique(unit, return_inverse=True)[1]
    pairs, index = np.unique(np.stack([places, names], axis=1), axis=0, return_inverse=True)
    sums = np.zeros((int(trained.max(initial=-1)) + 1, len(pairs), flat.shape[1]))
    np.add.at(sums, (trained, index), flat)
    columns = np.moveaxis(sums, 1, 2).reshape(sums.shape[0] * sums.shape[2], len(pairs))
    order = np.lexsort([*columns[::-1], pairs[:, 0]])  # nor the names of units
    return _Design(sums[:, order], pairs[order, 0].astype(np.int64)), tuple(left_out)


def _labels(what: str, given: Names, rows: int) -> NDArray[Any]:
    labels = np.asarray(given)
    if labels.shape != (rows,):
        raise ValueError(f"{what} must name {rows} rows, got shape {labels.shape}")
    return labels


def _contributions(
    design: _Design,
    totals: Floats,
    of_seeds: Floats,
    statistic: Callable[[Floats], Floats],
    shape: tuple[int, ...],
) -> Floats:
    """What each unit adds to the estimate under each seed, (units, seeds), by the jackknife."""
    seeds, strata, _ = totals.shape
    units = len(design.stratum)
    without = np.repeat(totals[:, None], units, axis=1)
    without[:, np.arange(units), design.stratum] -= design.sums
    values = np.asarray(statistic(without.reshape(seeds, units, strata, *shape)), dtype=np.float64)
    members = np.bincount(design.stratum)[design.stratum]
    parts = (of_seeds[:, None] - values).T * ((members - 1) / members)[:, None] / seeds
    centre = np.zeros((strata, seeds))
    np.add.at(centre, design.stratum, parts)
    parts = parts - (centre / np.bincount(design.stratum)[:, None])[design.stratum]
    rounding = 1e-13 * max(float(np.abs(of_seeds).max()), float(np.nanmax(np.abs(values))))
    parts = np.where(np.abs(parts) <= rounding, 0.0, parts)
    order = np.lexsort([*parts.T[::-1], design.stratum])
    return np.asarray(parts[order])


def _errors(
    parts: Floats, of_seeds: Floats, stratum: NDArray[np.int64], resampling: Resampling
) -> Floats:
    """Draws of the error of the estimate, ascending.

    Args:
        parts: (units, seeds), centred in each stratum, by stratum.
        of_seeds: what each seed contributes, (seeds,).
        stratum: of each unit, ascending.
        resampling: how they are drawn.
    """
    draws, seed = resampling.resamples, resampling.seed
    whole = parts.sum(axis=1)
    sums, squares, variance, both = np.zeros(draws), np.zeros(draws), 0.0, 0.0
    seeds = len(of_seeds)
    for place in np.unique(stratum):
        mine = stratum == place
        units = int(mine.sum())
        factor = units / (units - 1)
        variance += factor * float((whole[mine] ** 2).sum())
        times = times_drawn(units, draws, "bootstrap", seed, int(place))
        drawn = times @ np.stack([whole[mine], whole[mine] ** 2], axis=1)
        sums += drawn[:, 0]
        squares += np.maximum(factor * (drawn[:, 1] - drawn[:, 0] ** 2 / units), 0.0)
        if seeds > 1:
            of_stratum = parts[mine]
            rest = of_stratum - of_stratum.mean(axis=1, keepdims=True)
            both += factor * seeds / (seeds - 1) * float((rest**2).sum())
    errors = _studentised(sums, squares, variance) * math.sqrt(variance)
    if seeds > 1:
        spread = seeds * float(((of_seeds - of_seeds.mean()) ** 2).sum()) / (seeds - 1)
        beyond = max(0.0, spread - both)
        generator = np.random.default_rng(seed_of("bootstrap", seed, "seeds", seeds))
        errors = errors + math.sqrt(beyond) * generator.standard_t(seeds - 1, draws)
    return np.sort(errors)


def _studentised(sums: Floats, squares: Floats, variance: float) -> Floats:
    """Sums by the root of their squares; infinite where nothing is left of the spread."""
    if variance == 0.0:
        return np.zeros_like(sums)
    tiny = 1e-12 * variance
    with np.errstate(divide="ignore", invalid="ignore"):
        found = sums / np.sqrt(squares)
    far = np.where(sums**2 > tiny, np.copysign(np.inf, sums), 0.0)
    return np.where(squares > tiny, found, far)


def _mean_of_means(sums: Floats) -> Floats:
    """Of sums (..., strata, 2) of values and their number."""
    weight = np.where(sums[..., 1] > 0, sums[..., 1], np.nan)
    return np.asarray((sums[..., 0] / weight).mean(axis=-1))


def times_drawn(items: int, resamples: int, *name: str | int) -> Floats:
    """How often each resample draws each of `items`, (resamples, items), not to be written to.

    Args:
        items: number of what is drawn, as often as there are items, with replacement.
        resamples: number of resamples.
        name: of the draw, for its seed.
    """
    return _times_drawn(items, resamples, name)


@lru_cache(maxsize=8)
def _times_drawn(items: int, resamples: int, name: tuple[str | int, ...]) -> Floats:
    generator = np.random.default_rng(seed_of(*name))
    drawn = generator.integers(items, size=(resamples, items))
    drawn += items * np.arange(resamples)[:, None]  # one bincount for all resamples
    counts = np.bincount(drawn.ravel(), minlength=resamples * items)
    found = counts.reshape(resamples, items).astype(np.float64)
    found.flags.writeable = False
    return found


def units_of(groups: CaseGroups, dataset: str, cases: Sequence[str]) -> list[str]:
    """The unit of each case: its group, or itself."""
    return [groups.get((dataset, case), case) for case in cases]


def percentile_interval(
    rows: ArrayLike,
    statistic: Callable[[Floats], Floats],
    *,
    units: Names | None = None,
    resampling: Resampling = STANDARD,
) -> Interval:
    """A function of the mean over rows that is not smooth, with a percentile interval over units.

    For places and depths of humps, quantiles and counts of levels, which the jackknife does not
    describe (Efron, Ann. Stat. 7, 1979, for the interval). Means and differences have
    :func:`estimate_mean`, whose interval is the better one.

    Args:
        rows: one a row, shape (rows, columns); a row with a NaN in it is left out.
        statistic: from means (resamples, columns) to values (resamples,); a resample on which it
            is NaN is left out of the interval.
        units: the unit of each row; without it each row is its own.
        resampling: how it is drawn.

    Returns:
        The statistic of all rows, its interval, NaN for a single unit, and the number of units.

    Raises:
        ValueError: wrong shapes.
    """
    resampling.checked()
    table = np.asarray(rows, dtype=np.float64)
    counted = np.concatenate([table, np.ones((len(table), 1))], axis=1)
    design, _ = _design(counted, units, None, None)
    if not len(design.stratum):
        return Interval(math.nan, math.nan, math.nan, 0)
    sums = design.sums[0]

    def of(drawn: Floats) -> Floats:
        return statistic(drawn[:, :-1] / drawn[:, -1:])

    mean = float(of(sums.sum(axis=0, keepdims=True))[0])
    if len(sums) < 2:
        return Interval(mean, math.nan, math.nan, len(sums))
    values = of(
        times_drawn(len(sums), resampling.resamples, "bootstrap", resampling.seed, 0) @ sums
    )
    values = values[~np.isnan(values)]
    if not len(values):
        return Interval(mean, math.nan, math.nan, len(sums))
    tail = (1 - resampling.level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(mean, float(low), float(high), len(sums))


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


def decidable(p_values: ArrayLike, smallest: ArrayLike, significance: float) -> NDArray[np.bool_]:
    """Which comparisons of a family could have an adjusted p below `significance` at all.

    Each is asked with the smallest p-value that its units can give, the others as they are.

    Args:
        p_values: of the family, shape (comparisons,).
        smallest: the smallest each could have been, the same shape.
        significance: of the adjusted p-values.
    """
    p, least = np.asarray(p_values, dtype=np.float64), np.asarray(smallest, dtype=np.float64)
    found = np.zeros(len(p), dtype=bool)
    for place in np.flatnonzero(~np.isnan(p)):
        tried = p.copy()
        tried[place] = least[place]
        found[place] = holm(tried)[place] < significance
    return found


class Correlation(NamedTuple):
    """Spearman's rank correlation over `n` datasets, bootstrap interval and permutation test."""

    rank_correlation: float
    low: float
    high: float
    p: float
    n: int


def rank_correlation(
    first: ArrayLike, second: ArrayLike, *, resampling: Resampling = STANDARD
) -> Correlation:
    """Spearman's rank correlation of two columns, a value a dataset.

    The p-value is two-sided, from permutations: all of them up to 7 datasets, else 9999. The
    interval is the percentile bootstrap's, NaN for fewer than `FEW` datasets. All is NaN for
    fewer than three, or where all values of a column are equal.

    Args:
        first: (datasets,).
        second: (datasets,); a pair with a NaN is left out and not counted.
        resampling: how interval and permutations are drawn.

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
        rng=np.random.default_rng(seed_of("permutation", resampling.seed)),
    )  # fmt: skip
    low = high = np.nan
    if n >= FEW:
        generator = np.random.default_rng(seed_of("correlation", resampling.seed))
        drawn = pair[:, generator.integers(n, size=(resampling.resamples, n))]
        values = _spearman(drawn[0], drawn[1])
        tail = (1 - resampling.level) / 2
        low, high = np.nanquantile(values, [tail, 1 - tail]).tolist()
    return Correlation(float(found), low, high, float(test.pvalue), n)


def _spearman(first: Floats, second: Floats, axis: int = -1) -> Floats:
    """Pearson's correlation of ranks along an axis; NaN where all values are equal."""
    one, two = (rankdata(values, axis=axis) for values in (first, second))
    one, two = (ranks - ranks.mean(axis=axis, keepdims=True) for ranks in (one, two))
    scale = np.sqrt((one**2).sum(axis=axis) * (two**2).sum(axis=axis))
    product = (one * two).sum(axis=axis)
    return np.asarray(np.divide(product, scale, out=np.full_like(scale, np.nan), where=scale > 0))
