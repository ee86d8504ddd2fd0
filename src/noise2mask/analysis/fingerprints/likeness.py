"""Which datasets are alike under noise, in which order, and which geometry goes with it.

Datasets are clustered by their Dice curves over log SNR: what the best Gaussian filter and a
threshold still read of a mask at each noise level, without the image.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster import hierarchy

from noise2mask.analysis.fingerprints.fingerprint import crossing
from noise2mask.evaluation.bootstrap import Correlation, Resampling, rank_correlation

Floats = NDArray[np.float64]

FORMS = (
    "foreground", "objects", "area_q50", "largest_share", "boundary", "boundary_per_area", "euler",
)  # fmt: skip
"""Figures of geometry that may explain how long a mask stays readable."""

DEATHS = ("log_snr_at_50", "log_snr_at_half")
"""Where a mask dies: Dice below 0.5, or below half-way from 1 to the Dice of all foreground."""

CLUSTERS = 5
"""A tree is cut into so many clusters at most."""


@dataclass(frozen=True, eq=False)
class Order:
    """Datasets from those whose masks die first to those whose masks last longest.

    Attributes:
        datasets: names in the order of the tree's leaves.
        linkage: (datasets - 1, 4), the tree as in ``scipy.cluster.hierarchy``; its leaves are
            numbered by the rows of the curves, and read from the left they are in order.
        clusters: number of each one's cluster, from 1 in the order of `datasets`.
    """

    datasets: tuple[str, ...]
    linkage: Floats
    clusters: tuple[int, ...]


def wide(fingerprints: pd.DataFrame) -> pd.DataFrame:
    """Means of a long table (dataset, figure, mean, ...): a row a dataset, a column a figure.

    Datasets and figures are in their order of appearance.

    Raises:
        ValueError: a dataset has a figure twice.
    """
    names, figures = fingerprints["dataset"].unique(), fingerprints["figure"].unique()
    table = fingerprints.pivot(index="dataset", columns="figure", values="mean")
    return table.reindex(index=names, columns=figures)


def dice_curves(oracles: pd.DataFrame, oracle: str = "gaussian") -> pd.DataFrame:
    """Dice of one oracle: a row a dataset, a column a log SNR, ascending.

    The grid holds the levels of all datasets within the range that they share; between its own
    levels a curve is linear.

    Raises:
        ValueError: the datasets have no range of log SNR in common.
    """
    table = oracles[(oracles["oracle"] == oracle) & oracles["dice"].notna()]
    parts = {
        str(name): part.sort_values("log_snr")[["log_snr", "dice"]].to_numpy(dtype=np.float64)
        for name, part in table.groupby("dataset", sort=False)
    }
    low = max((part[0, 0] for part in parts.values()), default=-np.inf)
    high = min((part[-1, 0] for part in parts.values()), default=np.inf)
    if low > high:
        raise ValueError(f"no range of log SNR is common to {', '.join(parts)}")
    grid = np.unique(table["log_snr"].to_numpy(dtype=np.float64))
    grid = grid[(grid >= low) & (grid <= high)]
    rows = [np.interp(grid, part[:, 0], part[:, 1]) for part in parts.values()]
    return pd.DataFrame(
        np.reshape(rows, (len(parts), len(grid))),
        index=pd.Index(list(parts), name="dataset"),
        columns=pd.Index(grid, name="log_snr"),
    )


def ordered(curves: pd.DataFrame) -> Order:
    """Cluster datasets by their curves, and put those whose masks die early first.

    Ward's method on Euclidean distances with optimal leaf ordering (Bar-Joseph et al.,
    Bioinformatics 17, 2001), which makes neighbours alike but leaves open from which end to read:
    from the end whose curves fall half-way to their last value at a higher log SNR. The tree is
    cut before the merger whose height exceeds that of the one before it by the most.

    Args:
        curves: as from :func:`dice_curves`, none empty.

    Raises:
        ValueError: a curve has a gap.
    """
    names = [str(name) for name in curves.index]
    values = curves.to_numpy(dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError("every dataset needs a value at every level; see dice_curves")
    if len(names) < 2:
        return Order(tuple(names), np.zeros((0, 4)), tuple(1 for _ in names))
    tree: Floats = hierarchy.linkage(values, method="ward", optimal_ordering=True)
    leaves = hierarchy.leaves_list(tree)
    death = _half_way(values, curves.columns.to_numpy(dtype=np.float64))[leaves]
    if np.dot(death - death.mean(), np.arange(len(death))) > 0:
        tree[:, :2] = tree[:, 1::-1]  # every node turned round: the leaves from the other end
        leaves = leaves[::-1]
    found = hierarchy.fcluster(tree, _cut(tree[:, 2]), criterion="maxclust")[leaves]
    numbers = {cluster: number for number, cluster in enumerate(dict.fromkeys(found), start=1)}
    return Order(
        tuple(names[leaf] for leaf in leaves), tree, tuple(numbers[cluster] for cluster in found)
    )


def by_death(oracles: pd.DataFrame) -> tuple[str, ...]:
    """Datasets from those whose masks die first to those whose masks last longest."""
    curves = dice_curves(oracles)
    death = _half_way(curves.to_numpy(dtype=np.float64), curves.columns.to_numpy(dtype=np.float64))
    return tuple(str(curves.index[row]) for row in np.argsort(-death, kind="stable"))


def death_of(figures: pd.DataFrame) -> pd.Series:
    """Log SNR at which each dataset's masks die; the series has the name of the figure.

    The first of :data:`DEATHS` that all datasets have, else the last: datasets are not compared
    at different heights, since much foreground, for which 0.5 is never reached, would then seem
    to die early by construction.
    """
    for name in DEATHS:
        if name in figures and figures[name].notna().all():
            return figures[name]
    return figures.reindex(columns=list(DEATHS))[DEATHS[-1]]


def correlations(
    fingerprints: pd.DataFrame, *, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """Rank correlation of the geometry of masks with the log SNR at which they die.

    Columns: figure (of :data:`FORMS`, if the table has it) and those of :class:`Correlation`.
    """
    figures = wide(fingerprints)
    death = death_of(figures).to_numpy(dtype=np.float64)
    rows = [
        (name, *rank_correlation(
            figures[name].to_numpy(), death, resampling=Resampling(resamples, level, seed)
        ))
        for name in FORMS
        if name in figures
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["figure", *Correlation._fields])


def _half_way(values: Floats, log_snr: Floats) -> Floats:
    """Log SNR at which each curve falls half-way from 1 to its last value, else an end."""
    height = (1 + values[:, 0]) / 2
    found = crossing(values[:, ::-1], log_snr[::-1], height)
    end = np.where(values[:, -1] < height, log_snr[-1], log_snr[0])
    return np.where(np.isnan(found), end, found)


def _cut(heights: Floats) -> int:
    """Number of clusters below the largest step of ascending heights of a tree's mergers."""
    most = min(CLUSTERS, len(heights))
    steps = np.diff(heights)[::-1][: most - 1]
    return int(steps.argmax()) + 2 if len(steps) else 1
