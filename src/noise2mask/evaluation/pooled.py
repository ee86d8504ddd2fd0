"""Calibration error over the pixels of all cases together, from histograms of single cases.

Pooled over pixels is the usual definition of ECE. It is not the mean of the cases' ECE: cases whose
errors have opposite signs cancel. Neither shares a name with the other in any table. A pooled error
of several datasets is the mean of theirs, one of several seeds the mean of theirs too.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from noise2mask.evaluation.bootstrap import (
    CaseGroups,
    Estimate,
    Floats,
    Resampling,
    estimate_statistic,
)
from noise2mask.evaluation.reliability import ece_of

SUMS = ("count", "confidence_sum", "foreground_sum")
"""Columns of a reliability histogram."""
POOLED: Mapping[str, str] = {"ece_pooled": "all", "ece_band_pooled": "band"}
"""Metrics that are made of all pixels together, and the region of these."""


class Histograms(NamedTuple):
    """Reliability histograms, a row a case and seed.

    Attributes:
        keys: index (dataset, case, seed) of the rows.
        counts: (rows, bins, 3).
    """

    keys: pd.MultiIndex
    counts: Floats

    def estimate(self, groups: CaseGroups, resampling: Resampling) -> Estimate:
        """The pooled ECE."""
        return _estimated(self.keys, self.counts[:, None], 0, groups, resampling)


def histograms_of(rows: pd.DataFrame) -> Histograms:
    """The histograms in a table, networks of a case and seed added up.

    Args:
        rows: of one region and sampler; columns dataset, case, seed, bin and :data:`SUMS`.
    """
    summed = rows.groupby(["dataset", "case", "seed", "bin"], sort=False)[list(SUMS)].sum()
    wide = summed.unstack("bin", fill_value=0.0)
    bins = len(wide.columns) // len(SUMS)
    counts = wide.to_numpy(dtype=np.float64).reshape(len(wide), len(SUMS), bins)
    keys = wide.index
    if not isinstance(keys, pd.MultiIndex):  # pragma: no cover - three levels always are one
        raise TypeError("an index of dataset, case and seed is needed")
    return Histograms(keys, counts.transpose(0, 2, 1))


def pooled_difference(
    first: Histograms, second: Histograms, groups: CaseGroups, resampling: Resampling
) -> tuple[float, float, Estimate]:
    """Pooled ECE of both on the cases of both, and the estimate of first minus second.

    Pairs are of one seed; where the seeds are not the same ones, all of a case are taken together.

    Args:
        first: one.
        second: the other.
        groups: of cases.
        resampling: how the error is drawn.
    """
    sides = [first, second]
    if len({frozenset(each.keys.get_level_values("seed")) for each in sides}) > 1:
        sides = [_seeds_together(each) for each in sides]
    keys = sides[0].keys.intersection(sides[1].keys).sort_values()
    both = np.stack([each.counts[each.keys.get_indexer(keys)] for each in sides], axis=1)
    once = resampling._replace(resamples=1)
    one, other = (_estimated(keys, both[:, [place]], 0, groups, once).mean for place in (0, 1))
    return one, other, _estimated(keys, both, 1, groups, resampling)


def _estimated(
    keys: pd.MultiIndex, rows: Floats, minus: int, groups: CaseGroups, resampling: Resampling
) -> Estimate:
    """Pooled ECE of the first of the sides of rows (rows, sides, bins, 3), less that of `minus`."""

    def statistic(sums: Floats) -> Floats:
        errors = ece_of(sums).mean(axis=-2)  # over datasets
        return np.asarray(errors[..., 0] - (errors[..., minus] if minus else 0.0))

    cases = list(zip(keys.get_level_values(0), keys.get_level_values(1), strict=True))
    return estimate_statistic(
        rows,
        statistic,
        units=[groups.get(case, case[1]) for case in cases],
        seeds=list(keys.get_level_values(2)),
        strata=[case[0] for case in cases],
        resampling=resampling,
    )


def _seeds_together(given: Histograms) -> Histograms:
    """All seeds of a case as one, the seed -1."""
    cases = given.keys.droplevel(2)
    index = cases.unique()
    counts = np.zeros((len(index), *given.counts.shape[1:]))
    np.add.at(counts, index.get_indexer(cases), given.counts)
    tuples = [(*case, -1) for case in index]
    return Histograms(pd.MultiIndex.from_tuples(tuples, names=given.keys.names), counts)
