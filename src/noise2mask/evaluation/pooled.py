"""Calibration error over the pixels of all cases together, from histograms of single cases.

Pooled over pixels is the usual definition of ECE. It is not the mean of the cases' ECE: cases whose
errors have opposite signs cancel. Neither shares a name with the other in any table. A pooled error
of several datasets is the mean of theirs, and so is one of several networks or seeds.
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
_KEYS = ["dataset", "case", "seed"]


class Histograms(NamedTuple):
    """Reliability histograms, a row a case and seed.

    Attributes:
        keys: index (dataset, case, seed) of the rows.
        counts: (rows, networks, bins, 3).
    """

    keys: pd.MultiIndex
    counts: Floats

    def estimate(self, groups: CaseGroups, resampling: Resampling) -> Estimate:
        """The pooled ECE."""
        return _estimated(self.keys, self.counts[:, None], groups, resampling)


def histograms_of(rows: pd.DataFrame) -> Histograms:
    """The histograms in a table.

    Args:
        rows: of one region and sampler; columns dataset, network, case, seed, bin, :data:`SUMS`.
    """
    index = [*_KEYS, "network", "bin"]
    wide = rows.set_index(index)[list(SUMS)].unstack(["network", "bin"], fill_value=0.0)
    networks, bins = (rows[name].nunique() for name in ("network", "bin"))
    columns = pd.MultiIndex.from_product(
        [SUMS, sorted(rows["network"].unique()), sorted(rows["bin"].unique())]
    )
    counts = wide[columns].to_numpy(dtype=np.float64)
    shape = (len(wide), len(SUMS), networks, bins)
    keys = pd.MultiIndex.from_frame(wide.index.to_frame())
    return Histograms(keys, counts.reshape(shape).transpose(0, 2, 3, 1))


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
    one, other = (_estimated(keys, both[:, [place]], groups, once).mean for place in (0, 1))
    return one, other, _estimated(keys, both, groups, resampling)


def _estimated(
    keys: pd.MultiIndex, rows: Floats, groups: CaseGroups, resampling: Resampling
) -> Estimate:
    """Pooled ECE of rows (rows, sides, networks, bins, 3); of two sides the first less the second.

    It is the mean over networks, then over datasets.
    """

    def statistic(sums: Floats) -> Floats:
        errors = np.nanmean(ece_of(sums), axis=-1).mean(axis=-2)
        return np.asarray(errors[..., 0] - (errors[..., 1] if errors.shape[-1] > 1 else 0.0))

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
