"""How tables and figures call things: names shown, the order of rows, numbers in words."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import pandas as pd

from noise2mask import plugins
from noise2mask.evaluation.metrics import Metric as Metric
from noise2mask.study.plan import draws_of
from noise2mask.study.schema import Study

BLIND, CLASSICAL = "blind", "classical"
"""Networks under which tables hold floors: those that do not look at the image, and the others."""
UNTRAINED = {BLIND: "image-blind", CLASSICAL: "classical"}
"""Both with their titles."""

NETWORKS = {"ensemdiff": "EnsemDiff", "segdiff": "SegDiff", "medsegdiff": "MedSegDiff"}
MODES = {
    "feed_forward": "feed-forward",
    "diffusion": "diffusion",
    "cross_entropy": "feed-forward, cross-entropy",
    "dice": "feed-forward, Dice",
    "squared": "feed-forward, squared error",
    "image_free": "diffusion without image",
    "image_diffusion": "diffusion of images",
    "dice_diffusion": "diffusion, Dice and cross-entropy",
    "recycling": "diffusion, recycling",
    "posterior": "pixel's evidence and network, with image",
    "posterior_free": "pixel's evidence and network, without image",
}


HEADLINE = ("iou", "brier", "ece_pooled", "dice", "ece")
"""Metrics of main tables and figures: overlap, a proper score, calibration."""
_KINDS = ("metric", "calibration", "ensemble")
_BAND, _POOLED = "_band", "_pooled"
VOLUME = "_volume"
"""How names of metrics end that are of a whole volume, and not of its slices."""


class Row(NamedTuple):
    """One row of a results table; `extra` if its sampler is not the first of its mode."""

    network: str
    mode: str
    sampler: str
    extra: bool


@dataclass(frozen=True)
class Labels:
    """Names that a study gives, and what belongs beside its numbers.

    Args:
        datasets: name of a dataset to its title.
        networks: name of a network to its title.
        modes: name of a mode to its title.
        draws: name of a sampler to N, the draws whose mean is scored.
        level: coverage of the intervals.
    """

    datasets: Mapping[str, str] = field(default_factory=dict)
    networks: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, str] = field(default_factory=dict)
    draws: Mapping[str, int] = field(default_factory=dict)
    level: float = 0.95

    def dataset(self, name: str) -> str:
        """Title of a dataset, or its name."""
        return self.datasets.get(name, name)

    def network(self, name: str) -> str:
        """Title of a network, or its name."""
        return self.networks.get(name, NETWORKS.get(name, name))

    def mode(self, name: str) -> str:
        """Title of a mode, or its name."""
        return self.modes.get(name, MODES.get(name, name))

    def row(self, row: Row) -> str:
        """Title of a row's mode, with its sampler where that is not the usual one."""
        return self.mode(row.mode) + (f" ({row.sampler})" if row.extra else "")

    def kind(self, row: Row, rows: Iterable[Row]) -> str:
        """Title of a row's mode for a legend of all `rows`, with N."""
        same = [one.sampler for one in rows if (one.mode, one.extra) == (row.mode, row.extra)]
        drawn = self.drawn([row.sampler] if row.extra else same)
        return ", ".join(filter(None, [self.row(row), drawn]))

    def line(self, row: Row) -> str:
        """Title of a row's network, with its sampler where that is not the usual one."""
        return self.network(row.network) + (f" ({row.sampler})" if row.extra else "")

    def interval(self) -> str:
        """The name of the intervals, e.g. ``95 % interval``."""
        return f"{100 * self.level:g} % interval"

    def drawn(self, samplers: Iterable[str]) -> str:
        """N of `samplers` as ``N = 5``, or nothing if it is not known."""
        known = sorted({self.draws[name] for name in samplers if name in self.draws})
        return f"N = {', '.join(map(str, known))}" if known else ""


def titled(title: str, stands_for: str | None) -> str:
    """Title of a dataset that says of a stand-in what it stands in for."""
    return f"{title} (for {stands_for})" if stands_for else title


def headed(title: str, note: str) -> str:
    """A title with a short note, e.g. the number of cases, behind it."""
    return f"{title}, {note}" if title.endswith(")") else f"{title} ({note})"


class Measure(NamedTuple):
    """What the name of a metric in a table says.

    Attributes:
        stem: the function behind it.
        region: of the pixels: ``all``, ``band`` about the boundary of the reference, or ``volume``,
            all slices together.
        pooled: over the pixels of all cases together, and not a mean of cases.
    """

    stem: str
    region: str = "all"
    pooled: bool = False


def measure_of(name: str) -> Measure:
    """The parts of a name like ``ece``, ``ece_band``, ``ece_pooled`` or ``ece_band_pooled``."""
    if name.endswith(VOLUME):
        return Measure(name.removesuffix(VOLUME), "volume")
    stem = name.removesuffix(_POOLED)
    region = "band" if stem.endswith(_BAND) else "all"
    return Measure(stem.removesuffix(_BAND), region, name.endswith(_POOLED))


@cache
def metric_of(name: str) -> Metric:
    """How a metric is shown; one that is not known goes by its name."""
    measure = measure_of(name)
    kind = next((each for each in _KINDS if plugins.missing(each, measure.stem) is None), None)
    shown = Metric(**plugins.declared(kind, measure.stem)) if kind else Metric(measure.stem)
    title = (shown.pooled or f"{shown.title}, pooled") if measure.pooled else shown.title
    suffix = {"band": ", band", "volume": " of volumes"}.get(measure.region, "")
    return shown._replace(title=f"{title}{suffix}")


def trained(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table that belong to a trained network."""
    return table[~table["network"].isin(UNTRAINED)]


def names_in(table: pd.DataFrame, column: str) -> list[str]:
    """Names of a column in their order of appearance."""
    return [str(name) for name in table[column].unique()]


def modes_in(table: pd.DataFrame) -> list[str]:
    """Modes of trained networks, the known ones first."""
    found = names_in(trained(table), "mode")
    return [mode for mode in MODES if mode in found] + [m for m in found if m not in MODES]


def rows_of(table: pd.DataFrame) -> list[Row]:
    """Every (network, mode, sampler) of a table, grouped by network, feed-forward first."""
    shown = trained(table)
    usual = {mode: str(shown["sampler"][shown["mode"] == mode].iloc[0]) for mode in modes_in(shown)}
    rows = []
    for network in names_in(shown, "network"):
        for mode in usual:
            cell = shown[(shown["network"] == network) & (shown["mode"] == mode)]
            samplers = sorted(names_in(cell, "sampler"), key=lambda name: name != usual[mode])
            rows += [Row(network, mode, name, name != usual[mode]) for name in samplers]
    return rows


def floor_rows(table: pd.DataFrame) -> list[Row]:
    """A row for each kind of floor in a table."""
    found = set(table["network"])
    return [Row(name, "none", "", False) for name in UNTRAINED if name in found]


def headline_rows(rows: Iterable[Row]) -> list[Row]:
    """The rows of each training's usual sampler: what a main table shows."""
    return [row for row in rows if not row.extra]


def principal(table: pd.DataFrame, draws: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table that tables and figures of results show.

    What is scored to compare numbers of draws has a table and a figure of its own; the first
    sampler of a mode is shown all the same.

    Args:
        table: `summary` or `reliability`.
        draws: the table of that name.
    """
    first = table.groupby("mode", sort=False)["sampler"].transform("first")
    return table[~table["sampler"].isin(draws["sampler"]) | (table["sampler"] == first)]


def number(value: float, digits: int) -> str:
    """A number with so many decimals and no negative zero, or a dash if there is none."""
    if not math.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def with_interval(
    value: float,
    low: float,
    high: float,
    digits: int,
    ends: int | None = None,
    *,
    sign: bool = False,
) -> str:
    """A value with its interval, e.g. ``0.812 [0.79, 0.83]``; a dash if there is none.

    Args:
        value: the estimate.
        low: end of the interval; without a finite one the value stands alone.
        high: the other end.
        digits: decimals of the value.
        ends: decimals of the ends; those of the value without it.
        sign: write a plus before what is above 0.
    """
    mean = number(value, digits)
    ends = digits if ends is None or sign else ends  # a difference is small: it needs all digits
    below, above = (number(end, ends) for end in (low, high))
    plus = "+" if sign and mean != "–" and float(mean) > 0 else ""
    return f"{plus}{mean}" + ("" if "–" in (mean, below, above) else f" [{below}, {above}]")


def counted(counts: Iterable[float]) -> str:
    """Numbers of cases as ``n = 60``, or ``n = 58–60`` where they differ."""
    found = sorted({int(count) for count in counts if math.isfinite(count)})
    if not found:
        return "n = 0"
    return f"n = {found[0]}" + (f"–{found[-1]}" if len(found) > 1 else "")


def labels_of(study: Study) -> Labels:
    """Names that the study gives to its datasets and networks, and N of its samplers."""
    return Labels(
        datasets={
            name: titled(entry.title, entry.stands_for) for name, entry in study.datasets.items()
        },
        networks={name: entry.title for name, entry in (study.networks | study.baselines).items()},
        modes={name: entry.title for name, entry in study.modes.items() if entry.title},
        draws={name: draws_of(study, name) for name in (*study.samplers, *study.readings)},
        level=study.evaluation.level,
    )
