"""What a reader of the page may choose: the controls of its charts and of its main table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from noise2mask.evaluation.labels import HEADLINE, metric_of, names_in
from noise2mask.report.context import Report

ALL = ""
"""Value of a control that leaves every row."""
REGIONS = {"all": "all", "band": "boundary band"}


@dataclass(frozen=True)
class Control:
    """What a reader may choose of one or more charts.

    Attributes:
        name: of the parameter that it sets.
        label: what stands beside it.
        options: values with their words; of a range its least, most and step.
        kind: how it looks.
    """

    name: str
    label: str
    options: Sequence[tuple[str, str]]
    kind: Literal["select", "radio"] = "select"


def several(table: pd.DataFrame, column: str) -> bool:
    """Whether a column has more than one value."""
    return len(names_in(table, column)) > 1


def scores(table: pd.DataFrame, kind: Literal["select", "radio"] = "select") -> Control:
    """Which metric is shown; those of the main table of a text come first."""
    names = names_in(table, "metric")
    ordered = [*(name for name in HEADLINE if name in names),
               *(name for name in names if name not in HEADLINE)]  # fmt: skip
    options = [(name, metric_of(name).title) for name in ordered]
    return Control("metric", "Score", options, kind)


def regions(table: pd.DataFrame) -> Control:
    """Which pixels are shown."""
    return Control("region", "Pixels", _options(table, "region", REGIONS.get), "radio")


def chosen(report: Report, table: pd.DataFrame, column: str, *, every: bool) -> Control:
    """A choice among the values of a column.

    With `every`, and several values, all rows are offered first.
    """
    titles: Mapping[str, tuple[str, Callable[[str], str | None]]] = {
        "dataset": ("Dataset", report.labels.dataset),
        "network": ("Architecture", report.labels.network),
        "mode": ("Training", report.labels.mode),
        "sampler": ("Sampler", str),
        "pair": ("Comparison", str),
    }
    label, title = titles[column]
    options = _options(table, column, title)
    first = [(ALL, "all")] if every and len(options) > 1 else []
    return Control(column, label, [*first, *options])


def _options(
    table: pd.DataFrame, column: str, title: Callable[[str], str | None]
) -> list[tuple[str, str]]:
    """Values of a column with their words."""
    return [(name, title(name) or name) for name in names_in(table, column)]
