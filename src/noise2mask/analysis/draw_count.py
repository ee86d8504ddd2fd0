"""Calibration as a function of N, the draws whose mean is scored, and its floor.

The mean of N masks knows N + 1 values only, so its error stays above 0 even where the masks are
drawn with exactly the right probabilities. What a sampler shows above that floor is its own.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import binom

from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.labels import names_in, trained
from noise2mask.evaluation.reliability import Floats, ece_of, reliability_histogram

_CELL = ["dataset", "network", "mode"]
_REGIONS = {"all": "", "band": "_band"}
"""Regions of the pixels that are scored, and how names of metrics end there."""


def sampling_floor(frequency: ArrayLike, count: ArrayLike, draws: int, bins: int = 15) -> float:
    """Pooled ECE that a perfect sampler of N draws shows on very many pixels.

    A pixel has a true probability p: N independent draws are foreground with p each, and so is the
    reference. Of all pixels the share sum_i w_i Binom(k; N, p_i) has k draws of foreground, and of
    these sum_i w_i p_i Binom(k; N, p_i) are foreground in the reference; the bins of
    :func:`noise2mask.evaluation.reliability.reliability_histogram` pool the levels k/N, and the ECE
    of that histogram is exact. For uniform p and bins that keep the levels apart it is
    :func:`noise2mask.evaluation.reliability.expected_gap`; it goes to 0 with N (not at every step:
    an even N has a level at 1/2, where classes cancel), and is 0 where all p are 0 or 1. On few
    pixels chance adds to it.

    Args:
        frequency: true probabilities, in [0, 1], shape (atoms,).
        count: pixels of each, shape (atoms,); NaN frequencies may have none.
        draws: N, at least 1.
        bins: number of equally wide bins.

    Returns:
        The floor; NaN without a pixel.

    Raises:
        ValueError: shapes differ, a probability is outside [0, 1], a count is negative, or there
            are no draws or bins.
    """
    p, weight = np.asarray(frequency, dtype=np.float64), np.asarray(count, dtype=np.float64)
    if p.shape != weight.shape or p.ndim != 1:
        raise ValueError(
            f"frequency and count must have one shape (atoms,), got {p.shape} and {weight.shape}"
        )
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    p, weight = p[weight != 0], weight[weight != 0]
    if not np.all((p >= 0) & (p <= 1) & (weight > 0)):
        raise ValueError("frequency must lie in [0, 1] and count must not be negative")
    levels = np.arange(draws + 1) / draws
    shares = binom.pmf(np.arange(draws + 1)[:, None], draws, p) * weight
    of_levels = np.stack([shares.sum(1), levels * shares.sum(1), shares @ p], axis=1)
    return float(ece_of(_bin_matrix(levels, bins) @ of_levels))


def by_draws(
    summary: pd.DataFrame,
    reliability: pd.DataFrame,
    draws: Mapping[str, int],
    *,
    masks: Collection[str],
) -> pd.DataFrame:
    """Calibration, Brier score and IoU of every N, the table `draws`.

    The floor stands on the reliability of the sampler with most draws: each of its bins is an atom
    at its share of foreground. It is that of a sampler as uncertain as this one, and calibrated.

    Args:
        summary: the table of that name.
        reliability: the table of that name, for the atoms and the number of bins.
        draws: samplers and readings whose draws are fused by their mean, and their N; one sampler
            and its readings, so that in a mode nothing but N differs.
        masks: modes whose draws are masks. The others draw probabilities, which have no floor.

    Returns:
        A row for each sampler and region, by N; only of (dataset, network, mode) with several N.
        IoU, the spread between draws and the grey share of one do not depend on the region.
    """
    table = trained(summary)
    table = table[table["sampler"].isin(list(draws))]
    rows = []
    for key, cell in table.groupby(_CELL, sort=False):
        where = [str(name) for name in key]
        names = sorted(names_in(cell, "sampler"), key=lambda name: draws[name])
        if len({draws[name] for name in names}) < 2:
            continue
        curves = reliability[_same(reliability, [*where, names[-1]])]
        for region, ending in _REGIONS.items():
            atoms = curves[curves["region"] == region]
            for name in names:
                scores = cell[cell["sampler"] == name].drop_duplicates("metric").set_index("metric")
                floor = np.nan
                if where[2] in masks and len(atoms):
                    bins = int(atoms["bin"].max()) + 1
                    floor = sampling_floor(atoms["frequency"], atoms["count"], draws[name], bins)
                pooled, mean = (
                    scores.reindex([metric])[["mean", "low", "high"]].iloc[0]
                    for metric in (f"ece{ending}_pooled", f"ece{ending}")
                )
                others = scores["mean"].reindex([f"brier{ending}", "iou", "spread", "grey"])
                rows.append((*where, name, draws[name], region, *pooled, *mean, *others, floor))
    return pd.DataFrame(rows, columns=list(COLUMNS["draws"]))


def _bin_matrix(levels: Floats, bins: int) -> Floats:
    """1 where a level, they ascend, lies in a bin, (bins, levels); bins as in a histogram."""
    each = reliability_histogram(levels, np.zeros(len(levels), dtype=bool), bins=bins)[:, 0]
    owner = np.repeat(np.arange(bins), each.astype(np.int64))
    return np.asarray(owner == np.arange(bins)[:, None], dtype=np.float64)


def _same(table: pd.DataFrame, key: Sequence[str]) -> "pd.Series[bool]":
    """Rows of one dataset, network, mode and sampler."""
    columns = [*_CELL, "sampler"]
    return (table[columns] == list(key)).all(axis=1)
