"""Paired differences: planned comparisons, contrasts and published quirks, with their verdicts.

A difference is first minus second, paired by case and, where both have the same seeds, by the seed
of the training; :mod:`noise2mask.evaluation.bootstrap` gives interval and p-value over independent
units crossed with seeds. P-values of the planned metrics of a table are one family, corrected after
Holm. A verdict needs the interval and the adjusted p-value to agree.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from noise2mask.evaluation.bootstrap import (
    CaseGroups,
    Estimate,
    Interval,
    Resampling,
    decidable,
    estimate_difference,
    holm,
    units_of,
)
from noise2mask.evaluation.columns import COLUMNS, DIFFERENCE
from noise2mask.evaluation.labels import metric_of, trained
from noise2mask.evaluation.pooled import POOLED, histograms_of, pooled_difference
from noise2mask.study.schema import Quirk

PLANNED = ("iou", "brier")
"""Metrics whose differences are tested: overlap, and a proper score of the probabilities."""
SIGNIFICANCE = 0.05
"""Of p-values after Holm's correction."""

FIRST, SECOND, UNDECIDED, UNDECIDABLE = (
    "first better", "second better", "undecided", "cannot be decided with",
)  # fmt: skip
"""Verdicts; the last is followed by the number of units. Of a metric that has no better side
`better` is `higher`."""

_CELL = ["dataset", "network", "mode", "sampler", "metric"]


class Pair(NamedTuple):
    """Two modes to be compared, and what is told of their losses: own, matched or nothing."""

    first: str
    second: str
    loss: str = ""


def step_count(steps: int | str) -> int:
    """Number of the steps of a sampler, given as a count or as ``ddimN``.

    Raises:
        ValueError: it is neither.
    """
    found = re.fullmatch(r"(?:ddim)?(\d+)", str(steps))
    if found is None:
        raise ValueError(f"steps must be a count or ddimN, got {steps!r}")
    return int(found[1])


def first_samplers(metrics: pd.DataFrame) -> dict[str, str]:
    """The first sampler of each mode of trained networks, in the order of the table."""
    rows = trained(metrics).drop_duplicates("mode")
    return {str(mode): str(name) for mode, name in zip(rows["mode"], rows["sampler"], strict=True)}


def first_sampler(metrics: pd.DataFrame, mode: str) -> str | None:
    """The first sampler of a mode in the table, or None."""
    return first_samplers(metrics).get(mode)


def step_counts(metrics: pd.DataFrame) -> dict[str, int]:
    """Number of steps of every sampler, in the order of the table."""
    rows = trained(metrics).drop_duplicates("sampler")
    return {
        str(name): step_count(str(steps))
        for name, steps in zip(rows["sampler"], rows["steps"], strict=True)
    }


def by_case(
    metrics: pd.DataFrame, metric: str, mode: str, sampler: str | None
) -> "pd.Series[float]":
    """Scores of one sampler of a mode, index (dataset, network, case, seed)."""
    table = trained(metrics)
    rows = table[
        (table["metric"] == metric) & (table["mode"] == mode) & (table["sampler"] == sampler)
    ]
    return rows.groupby(["dataset", "network", "case", "seed"])["value"].mean()


def paired(first: "pd.Series[float]", second: "pd.Series[float]") -> pd.DataFrame:
    """Two series whose last level is `seed`, on the rows of both, columns `one` and `other`.

    Trainings of one seed are paired. Where the seeds are not the same ones, as for the members of
    an ensemble, nothing pairs them: both are averaged over their seeds, under the seed -1.
    """
    columns = [first, second]
    if len({frozenset(column.index.get_level_values("seed")) for column in columns}) > 1:
        columns = [_over_seeds(column) for column in columns]
    return pd.concat(columns, axis=1, keys=["one", "other"], join="inner").dropna()


def _over_seeds(values: "pd.Series[float]") -> "pd.Series[float]":
    """Means over seeds, with a level `seed` of -1 in place of theirs."""
    levels = [name for name in values.index.names if name != "seed"]
    means = values.groupby(levels).mean().to_frame("value")
    return means.assign(seed=-1).set_index("seed", append=True)["value"]


def gain(metrics: pd.DataFrame, metric: str, first: str, second: str) -> "pd.Series[float]":
    """First mode minus second, both by their first sampler, mean over the networks that have both.

    Index (dataset, case, seed), see :func:`paired`; empty without a common case.
    """
    one, other = (
        by_case(metrics, metric, mode, first_sampler(metrics, mode)) for mode in (first, second)
    )
    both = paired(one, other)
    return (both["one"] - both["other"]).groupby(["dataset", "case", "seed"]).mean()


class Difference(NamedTuple):
    """Means of both sides on the rows that both have, and the estimate of their difference."""

    first: float
    second: float
    estimate: Estimate


def difference_of(both: pd.DataFrame, units: Sequence[str], resampling: Resampling) -> Difference:
    """The difference of the columns `one` and `other` of :func:`paired`, index (case, seed).

    Args:
        both: rows of both sides.
        units: of each row.
        resampling: how the error is drawn.
    """
    means = both.groupby("seed")[["one", "other"]].mean().mean()
    found = estimate_difference(
        both["one"],
        both["other"],
        units=units,
        seeds=list(both.index.get_level_values("seed")),
        resampling=resampling,
    )
    return Difference(float(means["one"]), float(means["other"]), found)


def comparison_table(
    metrics: pd.DataFrame,
    histograms: pd.DataFrame,
    pairs: Sequence[Pair],
    groups: CaseGroups,
    *,
    resampling: Resampling,
    planned: Collection[str] = PLANNED,
) -> pd.DataFrame:
    """Comparisons of two modes, first minus second, of every metric, dataset and network.

    Modes are compared under every sampler that both have. If they share none, the first of each is
    taken, and `sampler` names both.

    Args:
        metrics: the table of that name.
        histograms: reliability histograms of single cases, for metrics of all pixels together;
            without a row there are none.
        pairs: of modes.
        groups: of each (dataset, case); a case without an entry is its own.
        resampling: how errors are drawn.
        planned: metrics of the family that is corrected and gets verdicts.

    Returns:
        Columns of ``columns.COLUMNS``.
    """
    table, pooled = trained(metrics), trained(histograms)
    rows, found = [], []
    for pair in pairs:
        for where, samplers, cell in _cells(table, pair):
            for metric in dict.fromkeys(cell["metric"]):
                both = _both(cell[cell["metric"] == metric], pair, samplers)
                if both.empty:
                    continue
                units = units_of(groups, where[0], _level(both, "case"))
                difference = difference_of(both, units, resampling)
                label = " / ".join(dict.fromkeys(samplers))
                rows.append((pair.loss, *where, *pair[:2], label, metric, *difference[:2]))
                found.append(difference.estimate)
            for metric, region in POOLED.items():
                sides = [
                    _of(pooled, where, mode, sampler, region)
                    for mode, sampler in zip(pair[:2], samplers, strict=True)
                ]
                if all(map(len, sides)):
                    one, other = map(histograms_of, sides)
                    first, second, estimate = pooled_difference(one, other, groups, resampling)
                    label = " / ".join(dict.fromkeys(samplers))
                    rows.append((pair.loss, *where, *pair[:2], label, metric, first, second))
                    found.append(estimate)
    keys = pd.DataFrame(rows, columns=list(COLUMNS["comparisons"][: -len(DIFFERENCE)]))
    return judged(keys, found, planned)


def judged(
    keys: pd.DataFrame, estimates: Sequence[Estimate], planned: Collection[str]
) -> pd.DataFrame:
    """The columns :data:`DIFFERENCE` beside those that name each difference.

    Args:
        keys: a row for each estimate, `metric` among its columns.
        estimates: of the differences.
        planned: metrics that are one family for Holm's correction, and get a verdict.
    """
    family = keys["metric"].isin(list(planned)).to_numpy(dtype=bool)
    p = np.array([estimate.p() for estimate in estimates])
    least = np.array([estimate.smallest_p for estimate in estimates])
    adjusted, able = np.full(len(p), np.nan), np.zeros(len(p), dtype=bool)
    adjusted[family] = holm(p[family])
    able[family] = decidable(p[family], least[family], SIGNIFICANCE)
    tests = int(np.isfinite(adjusted).sum())
    rows = []
    for place, estimate in enumerate(estimates):
        interval = estimate.interval()
        level = estimate.resampling.simultaneous(tests if family[place] else 1).level
        better = metric_of(str(keys["metric"].iloc[place])).better
        word = verdict_of(interval, adjusted[place], bool(able[place]), better)
        rows.append(
            (*interval[:3], p[place], adjusted[place], estimate.resolvable(level), estimate.n,
             estimate.seeds, word if family[place] else "")
        )  # fmt: skip
    return pd.concat(
        [keys.reset_index(drop=True), pd.DataFrame(rows, columns=list(DIFFERENCE))], axis=1
    )


def verdict_of(interval: Interval, p_holm: float, decidable: bool, better: int) -> str:
    """What a difference, first minus second, says: one of the words of this module.

    Args:
        interval: of the difference.
        p_holm: its adjusted p-value; NaN where units say nothing about chance.
        decidable: whether it could have been below :data:`SIGNIFICANCE` at all.
        better: of the metric: 1 if higher is better, -1 if lower, 0 if not known.
    """
    if not decidable or np.isnan(interval.low):
        return f"{UNDECIDABLE} {interval.n}"
    apart = interval.low > 0 or interval.high < 0
    if not (apart and p_holm < SIGNIFICANCE):
        return UNDECIDED
    word = FIRST if interval.mean * (better or 1) > 0 else SECOND
    return word if better else word.replace("better", "higher")


def planned(comparisons: pd.DataFrame) -> pd.DataFrame:
    """The comparisons that belong to the family of planned ones."""
    return comparisons[comparisons["verdict"].notna() & (comparisons["verdict"] != "")]


def quirk_table(
    metrics: pd.DataFrame,
    quirks: Mapping[str, Quirk],
    groups: CaseGroups,
    *,
    against: pd.DataFrame,
    resampling: Resampling,
    planned: Collection[str] = ("dice",),
) -> pd.DataFrame:
    """Published minus proper for each quirk, paired by case and by seed of the training.

    A quirk in readings is measured on the datasets that have none themselves, one in datasets with
    the samplers and readings that have none, so that each is switched on alone. Rows are named
    after what is proper; `first` in a verdict is what is published.

    Args:
        metrics: the table of that name.
        quirks: of the study, by name.
        groups: of each (dataset, case); a case without an entry is its own group.
        against: the predictions on a dataset with a quirk that changes reference masks, scored
            against the masks of the proper dataset; columns of `metrics`, those that are needed.
        resampling: how errors are drawn.
        planned: metrics of the family that is corrected and gets verdicts.

    Returns:
        Columns of ``columns.COLUMNS``. Where a quirk changes the reference masks `published` is
        the score against these, and `against_proper` that of the same predictions against proper
        masks; elsewhere it is NaN.
    """
    rows, found = [], []
    for name, quirk in quirks.items():
        for proper, published, again in _with_quirk(trained(metrics), against, quirk, quirks):
            index = [*_CELL, "seed", "case"]
            sides = {"one": published, "other": proper, "again": again}
            values = pd.concat(
                {side: table.set_index(index)["value"] for side, table in sides.items()}, axis=1
            ).dropna(subset=["one", "other"])
            for key, cell in values.groupby(_CELL, sort=False):
                where = [str(part) for part in key]
                both = cell.reset_index(_CELL, drop=True)
                units = units_of(groups, where[0], _level(both, "case"))
                difference = difference_of(both, units, resampling)
                mean = both.groupby("seed")["again"].mean().mean()
                rows.append((name, quirk.title, *where, difference.second, difference.first, mean))
                found.append(difference.estimate)
    return judged(
        pd.DataFrame(rows, columns=list(COLUMNS["quirks"][: -len(DIFFERENCE)])), found, planned
    )


def _cells(
    table: pd.DataFrame, pair: Pair
) -> Iterator[tuple[tuple[str, str], tuple[str, str], pd.DataFrame]]:
    """(dataset, network), the samplers of both modes, and their rows."""
    chosen = table[table["mode"].isin(pair[:2])]
    for (dataset, network), cell in chosen.groupby(["dataset", "network"], sort=False):
        names = [
            list(dict.fromkeys(cell.loc[cell["mode"] == mode, "sampler"])) for mode in pair[:2]
        ]
        if all(names):
            shared = [(name, name) for name in names[0] if name in names[1]]
            for samplers in shared or [(names[0][0], names[1][0])]:
                yield (str(dataset), str(network)), samplers, cell


def _both(rows: pd.DataFrame, pair: Pair, samplers: tuple[str, str]) -> pd.DataFrame:
    """Values of both modes, see :func:`paired`, of one dataset, network and metric."""
    return paired(
        *(
            rows[(rows["mode"] == mode) & (rows["sampler"] == sampler)]
            .set_index(["case", "seed"])["value"]
            for mode, sampler in zip(pair[:2], samplers, strict=True)
        )
    )  # fmt: skip


def _of(
    histograms: pd.DataFrame, where: tuple[str, str], mode: str, sampler: str, region: str
) -> pd.DataFrame:
    """The histograms of one dataset, network, mode, sampler and region."""
    kept = histograms["region"] == region
    for column, name in zip(_CELL, (*where, mode, sampler), strict=False):
        kept &= histograms[column] == name
    return histograms[kept]


def _level(table: pd.DataFrame, name: str) -> list[str]:
    return [str(label) for label in table.index.get_level_values(name)]


def _with_quirk(
    metrics: pd.DataFrame, against: pd.DataFrame, quirk: Quirk, quirks: Mapping[str, Quirk]
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]]:
    """What is proper, what has the quirk, and the latter against proper masks, named alike."""
    readings = {other for each in quirks.values() for other in each.readings.values()}
    datasets = {other for each in quirks.values() for other in each.datasets.values()}
    for column, pairs, plain in (
        ("sampler", quirk.readings, ~metrics["dataset"].isin(datasets)),
        ("dataset", quirk.datasets, ~metrics["sampler"].isin(readings)),
    ):
        shown = metrics[plain]
        for proper, other in pairs.items():
            again = against[against[column] == other] if column == "dataset" else against[:0]
            yield (
                shown[shown[column] == proper],
                shown[shown[column] == other].assign(**{column: proper}),
                again.assign(**{column: proper}),
            )
