"""Quality against what a mask costs: a pure function of the table `pareto`."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from noise2mask.evaluation.labels import Labels, metric_of, names_in, number, rows_of
from noise2mask.evaluation.pareto import on_front
from noise2mask.report.figures.index import figure
from noise2mask.report.figures.label_placement import beside
from noise2mask.report.figures.looks import Looks
from noise2mask.report.figures.style import (
    ACROSS,
    PLAIN,
    WIDTH,
    direction,
    far_edge,
    folded,
    handle,
    legend,
)
from noise2mask.study.plan import REFERENCE

SHOWN = ("dice", "ece")
CLOSE = 2.0
"""Times whose ratio is less share the room for a number."""


@figure(
    "Costs",
    "Dice and ECE against seconds per mask: grey, the best within that time; letters tell networks "
    "apart.",
    "Look at which marks lie on the step: the others cost more for no more.",
    rank=60,
)
def quality_against_cost(
    pareto: pd.DataFrame,
    labels: Labels = PLAIN,
    looks: Looks | None = None,
    draws: pd.DataFrame | None = None,
) -> Figure | None:
    """Dice and ECE against seconds per mask: a column a dataset, a mark a row of the table.

    Numbers of draws, those of the table `draws`, are small marks on a line.
    """
    looks = looks or Looks.of(pareto)
    datasets = names_in(pareto, "dataset")
    blocks = [datasets[start : start + ACROSS] for start in range(0, len(datasets), ACROSS)]
    across = len(blocks[0]) if blocks else 1
    width = WIDTH if across > 1 else 0.6 * WIDTH
    figure = Figure(figsize=(width, 2.3 * len(SHOWN) * max(1, len(blocks)) + 1.0))
    if not datasets:
        return None
    letters = letters_of(pareto, labels)
    numbers = set() if draws is None else set(draws["sampler"])
    grid = figure.subplots(
        len(SHOWN) * len(blocks), across, squeeze=False, sharex=True, sharey=False
    )
    drawn = []
    for line, axes in enumerate(grid):
        block, metric = blocks[line // len(SHOWN)], SHOWN[line % len(SHOWN)]
        for axis in axes[len(block) :]:
            axis.set_visible(False)
        for axis, dataset in zip(axes, block, strict=False):
            panel = pareto[pareto["dataset"] == dataset]
            _panel(axis, panel, metric, looks, numbers)
            drawn.append((axis, panel, metric))
            if metric == SHOWN[0]:
                axis.set_title(folded(labels.dataset(dataset), 32))
            else:
                axis.set_xlabel("seconds per mask")
            axis.tick_params(labelbottom=metric == SHOWN[-1])
        axes[0].set_ylabel(direction(metric_of(metric)))
    lines = legend(figure, _handles(pareto, looks, labels, numbers, letters))
    figure.set_figheight(figure.get_figheight() + 0.18 * max(0, lines - 3))  # panels keep theirs
    for axis, panel, metric in drawn if letters else ():
        _name(axis, panel, metric, letters)
    return figure


def letters_of(pareto: pd.DataFrame, labels: Labels) -> dict[str, str]:
    """The letters that tell networks apart; none where there is only one."""
    networks = names_in(pareto[pareto["mode"] != REFERENCE], "network")
    if len(networks) < 2:
        return {}
    for length in range(1, 6):
        found = {name: labels.network(name)[:length] for name in networks}
        if len(set(found.values())) == len(found):
            return found
    return {name: str(number) for number, name in enumerate(networks, start=1)}


def _panel(
    axis: Axes, panel: pd.DataFrame, metric: str, looks: Looks, numbers: Collection[str]
) -> None:
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    seconds = panel["seconds_per_mask"]
    axis.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    # Decades alone leave a narrow range with one number.
    narrow = seconds.max() < 50 * seconds.min()
    axis.xaxis.set_minor_formatter("{x:g}" if narrow else NullFormatter())
    axis.yaxis.set_major_locator(MaxNLocator(5))
    _front(axis, panel, metric)
    several = panel[(panel["mode"] != REFERENCE) & (panel["steps"] > 1)]
    for (_, mode, _), same in several.groupby(["network", "mode", "steps"], sort=False):
        line = same.drop_duplicates("draws").sort_values("draws")
        axis.plot(
            line["seconds_per_mask"], line[metric], linewidth=0.9, alpha=0.7,
            **looks.mode(str(mode)).lines(),
        )  # fmt: skip
    better = metric_of(metric).better
    edge = far_edge(panel[metric], better)
    crowd: list[float] = []
    for _, row in panel.sort_values("seconds_per_mask", kind="stable").iterrows():
        x, value = row["seconds_per_mask"], row[metric]
        look, size = looks.of_row(row["network"], row["mode"], row["sampler"]), 6.5
        if row["sampler"] in numbers:
            look, size = looks.mode(row["mode"]), 6.5 if _is_usual(row, panel) else 3.5
        outside = better * (edge - value) > 0
        if outside:
            # Numbers whose marks stand close together are stacked.
            crowd = [*crowd, x] if crowd and x < CLOSE * crowd[-1] else [x]
            side = -1 if x * x > seconds.min() * seconds.max() else 1  # the nearer frame is behind
            axis.annotate(
                f"{number(value, 2)} {'↓' if better > 0 else '↑'}", (x, edge),
                xytext=(8 * side, (3 + 10 * (len(crowd) - 1)) * better), gid="outside",
                textcoords="offset points", fontsize=8, color=look.colour, zorder=4,
                fontweight="bold",
                va="bottom" if better > 0 else "top", ha="left" if side > 0 else "right",
                bbox={"facecolor": "white", "alpha": 0.85, "pad": 0.8, "linewidth": 0},
            )  # fmt: skip
        elif metric == "dice":
            axis.plot([x, x], [row["low"], row["high"]], color=look.colour, alpha=0.45, linewidth=1)
        axis.plot(
            [x], [edge if outside else value], linestyle="", clip_on=False, zorder=3,
            markersize=10 if look.marker == "*" else size, **look.marks(),
            gid=f"{row['network']} {row['mode']} {row['sampler']}",
        )  # fmt: skip
    if (better * (edge - panel[metric]) > 0).any():
        low, high = axis.get_ylim()
        axis.set_ylim((edge, high) if better > 0 else (low, edge))


def _is_usual(row: "pd.Series[Any]", panel: pd.DataFrame) -> bool:
    """Whether a row is the first of its training."""
    same = panel[(panel["network"] == row["network"]) & (panel["mode"] == row["mode"])]
    return bool(row["sampler"] == same["sampler"].iloc[0])


def _name(axis: Axes, panel: pd.DataFrame, metric: str, letters: dict[str, str]) -> None:
    """The letter of its network beside each mark that is not at the frame."""
    better = metric_of(metric).better
    edge = far_edge(panel[metric], better)
    rows = panel[(panel["mode"] != REFERENCE) & (better * (edge - panel[metric]) <= 0)]
    rows = rows.drop_duplicates(["network", "seconds_per_mask", metric])
    names = [letters[name] for name in rows["network"]]
    beside(axis, names, rows["seconds_per_mask"], rows[metric], size=7)


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


def _handles(
    pareto: pd.DataFrame,
    looks: Looks,
    labels: Labels,
    numbers: Collection[str],
    letters: dict[str, str],
) -> Sequence[Line2D]:
    rows = rows_of(pareto)
    counted = {row.mode for row in rows if row.sampler in numbers}
    handles: dict[tuple[str, str], Line2D] = {}
    for row in rows:
        look, title = looks.of_row(*row[:3]), labels.kind(row, rows)
        key = (row.mode, row.sampler)
        if row.mode == REFERENCE:
            key, title = (row.mode, row.network), labels.network(row.network)
        elif row.sampler in numbers or (look == looks.mode(row.mode) and row.mode in counted):
            # One entry for all that have the look of the training.
            same = [
                one.sampler
                for one in rows
                if one.mode == row.mode
                and (one.sampler in numbers or looks.of_row(*one[:3]) == looks.mode(row.mode))
            ]
            drawn = sorted({labels.draws.get(name, 1) for name in same})
            key, look = (row.mode, ""), looks.mode(row.mode)
            title = f"{labels.mode(row.mode)}, N = {', '.join(map(str, drawn))}"
        size = 10 if look.marker == "*" else 6.5
        line = handle(linestyle="", markersize=size, label=title, **look.marks())
        handles.setdefault(key, line)
    letter_handles = [
        handle(linestyle="", label=f"{letter}: {labels.network(name)}")
        for name, letter in letters.items()
    ]
    front = handle(color="0.7", linewidth=3, label="best within the time")
    return [*handles.values(), *letter_handles, front]
