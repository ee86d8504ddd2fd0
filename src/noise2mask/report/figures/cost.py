"""Quality against what a mask costs: a pure function of the table `pareto`."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from noise2mask.evaluation.labels import Labels, metric_of, names_in, number
from noise2mask.evaluation.pareto import on_front
from noise2mask.report.figures.style import (
    ACROSS,
    NETWORK_LOOKS,
    WIDTH,
    Look,
    cycled,
    direction,
    empty,
    folded,
    legend,
    styled,
)
from noise2mask.study.plan import REFERENCE

SHOWN = ("dice", "ece")
FAR = 6
"""A value this many times as far from the best as the median leaves the panel,"""
NEAR = 0.05
"""unless it is nearer than this."""
CLOSE = 2.0
"""Times whose ratio is less share the room for a number."""
REFERENCE_LOOKS = (
    Look("#0072B2", "*", "-"),
    Look("#8A7A00", "P", "-"),
    Look("#E69F00", "X", "-"),
)


@styled
def quality_against_cost(pareto: pd.DataFrame, labels: Labels | None = None) -> Figure:
    """Dice and ECE against seconds per mask: a column a dataset, a mark a row of the table.

    Marks of a network are filled where a draw takes several evaluations and open where it takes
    one. A thin line joins the numbers of draws N of a mode (the first row of each) at one number
    of evaluations a draw. The grey step is the front: the best within that time. A value far
    worse than the others stands at the frame, with its number.

    Args:
        pareto: the table of that name.
        labels: names to be shown.
    """
    labels = labels or Labels()
    datasets = names_in(pareto, "dataset")
    blocks = [datasets[start : start + ACROSS] for start in range(0, len(datasets), ACROSS)]
    across = len(blocks[0]) if blocks else 1
    width = WIDTH if across > 1 else 0.6 * WIDTH
    figure = Figure(figsize=(width, 2.5 * len(SHOWN) * max(1, len(blocks)) + 0.8))
    if not datasets:
        return empty(figure, "no cost yet")
    looks = _looks(pareto)
    grid = figure.subplots(
        len(SHOWN) * len(blocks), across, squeeze=False, sharex=True, sharey=False
    )
    for line, axes in enumerate(grid):
        block, metric = blocks[line // len(SHOWN)], SHOWN[line % len(SHOWN)]
        for axis in axes[len(block) :]:
            axis.set_visible(False)
        for axis, dataset in zip(axes, block, strict=False):
            panel = pareto[pareto["dataset"] == dataset]
            _panel(axis, panel, metric, looks)
            if metric == SHOWN[0]:
                axis.set_title(folded(labels.dataset(dataset), 32))
            else:
                axis.set_xlabel("seconds per mask")
            axis.tick_params(labelbottom=metric == SHOWN[-1])
        axes[0].set_ylabel(direction(metric_of(metric)))
    legend(figure, _handles(pareto, looks, labels))
    return figure


def _looks(pareto: pd.DataFrame) -> dict[str, Look]:
    """Looks of networks, and of references their own."""
    theirs = pareto["mode"] == REFERENCE
    return cycled(NETWORK_LOOKS, names_in(pareto[~theirs], "network")) | cycled(
        REFERENCE_LOOKS, names_in(pareto[theirs], "network")
    )


def _panel(axis: Axes, panel: pd.DataFrame, metric: str, looks: Mapping[str, Look]) -> None:
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    seconds = panel["seconds_per_mask"]
    axis.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    # Decades alone leave a narrow range with one number.
    narrow = seconds.max() < 50 * seconds.min()
    axis.xaxis.set_minor_formatter("{x:g}" if narrow else NullFormatter())
    _front(axis, panel, metric)
    several = panel[(panel["mode"] != REFERENCE) & (panel["steps"] > 1)]
    for (network, _, _), same in several.groupby(["network", "mode", "steps"], sort=False):
        line = same.drop_duplicates("draws").sort_values("draws")
        look = looks[str(network)]
        axis.plot(
            line["seconds_per_mask"], line[metric], color=look.colour, linestyle=look.line,
            linewidth=0.9, alpha=0.7,
        )  # fmt: skip
    better = metric_of(metric).better
    edge = _edge(panel[metric], better)
    crowd: list[float] = []
    for _, row in panel.sort_values("seconds_per_mask").iterrows():
        look, x, value = looks[row["network"]], row["seconds_per_mask"], row[metric]
        outside = better * (edge - value) > 0
        if outside:
            # Numbers whose marks stand close together are stacked.
            crowd = [*crowd, x] if crowd and x < CLOSE * crowd[-1] else [x]
            axis.annotate(
                f"{number(value, 2)} {'↓' if better > 0 else '↑'}", (x, edge),
                xytext=(6, (3 + 9 * (len(crowd) - 1)) * better), textcoords="offset points",
                fontsize=8, color="0.3", va="bottom" if better > 0 else "top", gid="outside",
            )  # fmt: skip
        elif metric == "dice":
            axis.plot([x, x], [row["low"], row["high"]], color=look.colour, alpha=0.45, linewidth=1)
        filled = row["steps"] > 1 or row["mode"] == REFERENCE
        axis.plot(
            [x], [edge if outside else value], linestyle="", color=look.colour, clip_on=False,
            marker=look.marker, markersize=12 if look.marker == "*" else 6.5, zorder=3,
            markerfacecolor=look.colour if filled else "white",
            gid=f"{row['network']} {row['mode']} {row['sampler']}",
        )  # fmt: skip
    if (better * (edge - panel[metric]) > 0).any():
        low, high = axis.get_ylim()
        axis.set_ylim((edge, high) if better > 0 else (low, edge))


def _edge(values: "pd.Series[float]", better: int) -> float:
    """The worst value that is shown where it is."""
    best = float((better * values).max())
    behind = best - better * values
    return better * (best - max(NEAR, FAR * float(behind.median())))


def _front(axis: Axes, panel: pd.DataFrame, metric: str) -> None:
    """The best of the metric within each time, as a step line to the right end of the data."""
    better = metric_of(metric).better
    best = panel[on_front(panel["seconds_per_mask"], better * panel[metric])]
    best = best.sort_values("seconds_per_mask")
    if best.empty:
        return
    last = panel["seconds_per_mask"].max()
    seconds = np.append(best["seconds_per_mask"], last)
    values = np.append(best[metric], best[metric].iloc[-1])
    axis.plot(
        seconds, values, color="0.7", linewidth=3, drawstyle="steps-post", zorder=1, gid="front"
    )


def _handles(pareto: pd.DataFrame, looks: Mapping[str, Look], labels: Labels) -> Sequence[Line2D]:
    theirs = set(names_in(pareto[pareto["mode"] == REFERENCE], "network"))
    handles = [
        Line2D(
            [], [], color=look.colour, marker=look.marker, label=labels.network(network),
            linestyle="" if network in theirs else look.line, linewidth=0.9,
            markersize=12 if look.marker == "*" else 6.5,
        )
        for network, look in looks.items()
    ]  # fmt: skip
    ours = pareto["steps"][pareto["mode"] != REFERENCE]
    for there, face, label in (
        ((ours <= 1).any(), "white", "one evaluation a draw"),
        ((ours > 1).any(), "0.3", "several a draw"),
    ):
        if there:
            handles.append(
                Line2D(
                    [], [], color="0.3", marker="o", linestyle="", markersize=6.5,
                    markerfacecolor=face, label=label,
                )
            )  # fmt: skip
    return [*handles, Line2D([], [], color="0.7", linewidth=3, label="best within the time")]
