"""Scores by case and seed from the table `metrics` of a study, ready to be paired."""

import re

import pandas as pd

from noise2mask.evaluation.labels import metric_of, trained


def step_count(steps: int | str) -> int:
    """Number of the steps of a sampler, given as a count or as ``ddimN``.

    Raises:
        ValueError: it is neither.
    """
    found = re.fullmatch(r"(?:ddim)?(\d+)", str(steps))
    if found is None:
        raise ValueError(f"steps must be a count or ddimN, got {steps!r}")
    return int(found[1])


def first_sampler(metrics: pd.DataFrame, mode: str) -> str | None:
    """The first sampler of a mode in the table, or None."""
    names = trained(metrics).loc[lambda table: table["mode"] == mode, "sampler"]
    return None if names.empty else str(names.iloc[0])


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


SIGNIFICANCE = 0.05


def planned(comparisons: pd.DataFrame) -> pd.DataFrame:
    """The comparisons that belong to the family of planned ones."""
    return comparisons[comparisons["p_holm"].notna()]


def verdict(comparison: pd.Series) -> str:
    """One planned comparison in words: what is better, or that it is undecided."""
    gain = float(comparison["difference"]) * metric_of(str(comparison["metric"])).better
    if float(comparison["p_holm"]) < SIGNIFICANCE and gain > 0:
        return "diffusion better"
    if float(comparison["p_holm"]) < SIGNIFICANCE and gain < 0:
        return "feed-forward better"
    return "undecided"
