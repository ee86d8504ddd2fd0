"""Figure of calibration against N, the draws whose mean is scored."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from noise2mask.evaluation.labels import Labels, Row, metric_of, names_in, rows_of
from noise2mask.report.figures.index import figure
from noise2mask.report.figures.looks import Look, Looks
from noise2mask.report.figures.style import ACROSS, PLAIN, cells_of, folded, handle, legend, panels
from noise2mask.study.plan import REFERENCE

SHOWN = ("dataset", "network", "mode", "sampler", "metric", "mean")
"""Columns of what stands beside."""
FLOOR = (0, (5, 2))
BESIDE = 4
"""Ways to probabilities that stand beside calibration at each N."""
MARGIN = 0.15
"""Share of the height of a panel above what was measured; a floor above it is cut off."""


@figure(
    "Draws",
    "Pooled ECE over {region} against N, the draws whose mean is scored, with {interval}; dashed, "
    "a perfect sampler of masks; level, the best of the other trainings.",
    "Look at whether the line falls with N, and below the level lines.",
    rank=40,
    each={"region": ("all", "band")},
)
def draws(
    draws: pd.DataFrame,
    region: str = "all",
    summary: pd.DataFrame | None = None,
    labels: Labels = PLAIN,
    looks: Looks | None = None,
) -> Figure | None:
    """Pooled ECE against N: a panel a dataset, a line a network and mode; vertical axes differ.

    The band is the interval. Dashed in the same colour is the floor, what a perfect sampler of N
    draws shows. What is scored at one N only is a horizontal line across the panel, with its N in
    the legend. Of the table `summary` is what stands beside: one pass, an ensemble, scaled
    probabilities, those with the least pooled ECE.
    """
    metric = _metric(region)
    rows = draws[draws["region"] == region]
    other = pd.DataFrame(columns=list(SHOWN)) if summary is None else _beside(rows, summary)
    other = other[(other["metric"] == metric) & other["dataset"].isin(rows["dataset"])]
    looks = looks or Looks.of(rows, other)
    cells = cells_of(rows, labels)
    figure, axes = panels(len(cells), 2.4, extra=0.8, same_y=False)
    if not axes:
        return None
    for place, (axis, (dataset, network, title, panel)) in enumerate(zip(axes, cells, strict=True)):
        axis.set_title(folded(title, 34))
        for mode in names_in(panel, "mode"):
            _line(axis, panel[panel["mode"] == mode], looks.mode(mode), f"{network} {mode}")
        level = other[(other["dataset"] == dataset) & (other["network"] == network)]
        for _, row in level.iterrows():
            look = looks.of_row(network, row["mode"], row["sampler"])
            axis.axhline(
                row["mean"], linewidth=1.5, **look.lines(),
                gid=f"{network} {row['mode']} {row['sampler']}",
            )  # fmt: skip
        shown = [*panel["ece_pooled_low"], *panel["ece_pooled_high"], *level["mean"]]
        finite = [value for value in (*shown, *panel["ece_pooled"]) if np.isfinite(value)]
        low, high = min(finite, default=0), max(finite, default=1)
        room = MARGIN * (high - low or high or 1)
        axis.set_ylim(max(0.0, low - room), high + room)
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_locator(FixedLocator(sorted(set(rows["draws"]))))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_locator(MaxNLocator(5))
        axis.set_xlabel("draws N")
        if place % ACROSS == 0:
            axis.set_ylabel(metric_of(metric).title)
    known = [] if summary is None else rows_of(summary)
    kinds = set(zip(other["network"], other["mode"], other["sampler"], strict=True))
    legend(figure, _handles(rows, [row for row in known if row[:3] in kinds], looks, labels))
    return figure


def _beside(rows: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Other ways to the same networks' probabilities, those with the least pooled ECE."""
    same = summary["network"].isin(rows["network"]) & ~summary["mode"].isin(rows["mode"])
    others = summary[same & (summary["mode"] != REFERENCE)]
    means = others[others["metric"] == "ece_pooled"].groupby(["mode", "sampler"])["mean"].mean()
    best = set(means.nsmallest(BESIDE).index)
    kinds = pd.Series(zip(others["mode"], others["sampler"], strict=True), index=others.index)
    return others[kinds.isin(best)]


def _metric(region: str) -> str:
    return "ece_pooled" if region == "all" else f"ece_{region}_pooled"


def _line(axis: Axes, line: pd.DataFrame, look: Look, name: str) -> None:
    if line.empty:
        return
    line = line.drop_duplicates("draws").sort_values("draws")
    n = line["draws"].to_numpy(dtype=np.float64)
    low, high = line["ece_pooled_low"], line["ece_pooled_high"]
    axis.fill_between(n, low, high, color=look.colour, alpha=0.15, linewidth=0)
    axis.plot(
        n, line["ece_pooled"], color=look.colour, linewidth=1.7, marker=look.marker, markersize=5.5,
        gid=name,
    )  # fmt: skip
    if line["floor"].notna().any():
        axis.plot(
            n, line["floor"], color=look.colour, linewidth=1.2, linestyle=FLOOR,
            gid=f"{name} floor",
        )  # fmt: skip


def _handles(
    rows: pd.DataFrame, other: Sequence[Row], looks: Looks, labels: Labels
) -> list[Line2D | Patch]:
    """What the legend shows."""
    found: list[Line2D | Patch] = []
    for mode in names_in(rows, "mode"):
        look = looks.mode(mode)
        found.append(handle(markersize=5.5, label=labels.mode(mode), **look.marks() | look.lines()))
    for row in {row[1:3]: row for row in other}.values():
        look, title = looks.of_row(*row[:3]), labels.kind(row, other)
        found.append(handle(linewidth=1.5, label=title, **look.lines()))
    if rows["floor"].notna().any():
        label = "floor: perfect masks"
        found.append(handle(color="0.4", linestyle=FLOOR, linewidth=1.2, label=label))
    found.append(Patch(color="0.4", alpha=0.25, linewidth=0, label=labels.interval()))
    return found
