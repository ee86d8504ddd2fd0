"""Sums over what a bootstrap draws: groups of cases, and across them the seeds of trainings.

Rows are cases, or with seeds pairs of a case and a seed. Seeds and groups are crossed, each seed
trained a network that saw every case, so they are drawn independently of each other, and a row is
in a resample as often as its group was drawn times as its seed was drawn.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from noise2mask.seeds import seed_of

Floats = NDArray[np.float64]
Groups = Sequence[str] | Sequence[int] | NDArray[np.str_] | NDArray[np.int64]
Labels = NDArray[Any]


class Totals(NamedTuple):
    """Sums over the defined rows, from which resamples are made.

    Attributes:
        sums: (groups, seeds, columns), groups in an order that their values alone decide; one seed
            where rows are cases.
        n: number of cases.
    """

    sums: Floats
    n: int

    def by_group(self) -> Floats:
        """Over all seeds, (groups, columns)."""
        return np.asarray(self.sums.sum(axis=1))

    def whole(self) -> Floats:
        """Over everything, (columns,)."""
        groups, seeds, columns = self.sums.shape
        by_seed = self.sums.reshape(groups, -1).sum(axis=0)
        return np.asarray(by_seed.reshape(seeds, columns).sum(axis=0))

    def drawn(self, resamples: int, seed: int) -> Floats:
        """Over what each resample draws, (resamples, columns)."""
        groups, seeds, columns = self.sums.shape
        sums = times_drawn(groups, resamples, "bootstrap", seed) @ self.sums.reshape(groups, -1)
        if seeds == 1:
            return np.asarray(sums)
        times = times_drawn(seeds, resamples, "bootstrap", seed, "seeds")
        by_seed = sums.reshape(resamples, seeds, columns)
        return np.asarray(np.einsum("rs,rsc->rc", times, by_seed))


def totals_of(
    array: Floats, groups: Groups | None, cases: Groups | None, seeds: Groups | None
) -> Totals:
    """The totals of an array (rows, ...), rows with a NaN left out.

    Args:
        array: values of each row.
        groups: of each row; the case where there are none.
        cases: of each row, given with `seeds`; a case weighs the same however many of its seeds
            are defined.
        seeds: of each row.

    Raises:
        ValueError: labels that are not one a row, `cases` or `seeds` alone, or a case that has
            several rows of one seed.
    """
    rows = array.reshape(len(array), math.prod(array.shape[1:]))
    names = None if groups is None else _labels("groups", groups, rows, "cases")
    if (cases is None) != (seeds is None):
        raise ValueError("cases and seeds are given together: a row is a case under a seed")
    defined = ~np.isnan(rows.sum(axis=1))
    n, trained = int(defined.sum()), np.zeros(len(rows), dtype=np.int64)
    if cases is not None and seeds is not None:
        trained = np.unique(_labels("seeds", seeds, rows, "rows"), return_inverse=True)[1]
        owner = np.unique(_labels("cases", cases, rows, "rows"), return_inverse=True)[1]
        if len(np.unique(np.stack([owner, trained]), axis=1).T) < len(rows):
            raise ValueError("a case must have one row for each seed")
        members = np.bincount(owner[defined], minlength=len(rows))
        n = int(np.count_nonzero(members))
        rows = rows / np.maximum(members[owner], 1)[:, None]
        trained = np.unique(trained[defined], return_inverse=True)[1]
        names = owner if names is None else names
    else:
        trained = trained[defined]
    return Totals(_sums(rows[defined], None if names is None else names[defined], trained), n)


def quantiles(values: Floats, level: float) -> tuple[float, float]:
    """Ends of the central interval of a share `level` of the values, NaN left out."""
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return np.nan, np.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def times_drawn(items: int, resamples: int, *name: str | int) -> Floats:
    """How often each resample draws each of `items`, (resamples, items).

    Args:
        items: number of what is drawn, as often as there are items, with replacement.
        resamples: number of resamples.
        name: of the draw, for its seed.
    """
    generator = np.random.default_rng(seed_of(*name))
    drawn = generator.integers(items, size=(resamples, items))
    drawn += items * np.arange(resamples)[:, None]  # one bincount for all resamples
    counts = np.bincount(drawn.ravel(), minlength=resamples * items)
    return counts.reshape(resamples, items).astype(np.float64)


def _labels(what: str, given: Groups, rows: Floats, of: str) -> Labels:
    labels = np.asarray(given)
    if labels.shape != (len(rows),):
        raise ValueError(f"{what} must name {len(rows)} {of}, got shape {labels.shape}")
    return labels


def _sums(rows: Floats, names: Labels | None, trained: NDArray[np.int64]) -> Floats:
    """Sums (groups, seeds, columns), in an order that their values alone decide."""
    if names is None:
        return _sorted(rows)[:, None]
    order = np.lexsort([*rows.T[::-1], trained, names])  # rounding too must not know the order
    groups, index = np.unique(names[order], return_inverse=True)
    shape = (len(groups), int(trained.max(initial=0)) + 1, rows.shape[1])
    sums = np.zeros(shape)
    np.add.at(sums, (index, trained[order]), rows[order])
    return _sorted(sums.reshape(shape[0], shape[1] * shape[2])).reshape(shape)


def _sorted(rows: Floats) -> Floats:
    return rows[np.lexsort(rows.T[::-1])]


CaseGroups = Mapping[tuple[str, str], str]


def units(groups: CaseGroups, dataset: str, cases: Sequence[str]) -> list[str]:
    """The group of each case."""
    return [groups.get((dataset, case), case) for case in cases]
