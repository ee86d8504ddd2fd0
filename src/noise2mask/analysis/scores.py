"""Scores per case from the table `metrics` of a study, seeds averaged, ready to be paired."""

import pandas as pd

from noise2mask.analysis.sweeping import step_count
from noise2mask.labels import trained


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
    """Mean over seeds, index (dataset, network, case)."""
    table = trained(metrics)
    rows = table[
        (table["metric"] == metric) & (table["mode"] == mode) & (table["sampler"] == sampler)
    ]
    return rows.groupby(["dataset", "network", "case"])["value"].mean()


def gain(metrics: pd.DataFrame, metric: str, first: str, second: str) -> "pd.Series[float]":
    """First mode minus second, both by their first sampler, mean over the networks that have both.

    Index (dataset, case); empty without a common case.
    """
    one, other = (
        by_case(metrics, metric, mode, first_sampler(metrics, mode)) for mode in (first, second)
    )
    difference = (one - other).dropna()
    return difference.groupby(["dataset", "case"]).mean()
