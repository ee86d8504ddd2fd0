"""Figures of an ablation: what each setting does, and how many sampling steps are enough.

Each is a pure function of tables.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from noise2mask.analysis.ablation import MARGIN, least
from noise2mask.evaluation.labels import (
    Labels,
    Metric,
    metric_of,
    modes_in,
    number,
    trained,
)
from noise2mask.report.figures.index import Drawn, figure
from noise2mask.report.figures.looks import KNOWN, Look, Looks
from noise2mask.report.figures.style import (
    ACROSS,
    PLAIN,
    WIDTH,
    cells_of,
    counted_title,
    direction,
    folded,
    handle,
    legend,
    panels,
)

LOOKS = 8
"""Modes of a panel that have a look; all others are grey."""


COLOURS = "cividis"
CELLS = ("factor", "level", "other_factor", "other_level", "mean", "trainings")
"""Columns of the numbers of :func:`heat_maps`; alone, a level has no other factor."""
GREY = "0.78"


class Along(NamedTuple):
    """The axis of a panel: the column it shows, and columns that must be equal along a line."""

    column: str
    equal: tuple[str, ...]


STEPS = Along("steps", ("draws",))
START = Along("start", ("draws", "steps"))


@figure(
    "Ablation",
    "{metric} of the levels of two factors at a time: mean over the trainings that have both.",
    "Look at the small number in a cell before its colour: it says how many trainings it is the "
    "mean of.",
    rank=25,
    each={"metric": ("iou", "ece")},
)
def heat_maps(
    grid: pd.DataFrame, summary: pd.DataFrame, metric: str, labels: Labels = PLAIN
) -> Drawn | None:
    """Main effects on the diagonal, and below it a heat map for each pair of factors.

    A cell is the mean over the runs with both levels, their number below it; hatched if there is
    none. On the diagonal a small dot is a run, a line joins the means of the levels. All is read at
    the bottom (levels of the column's factor) and at the left (of the row's). What is taken of the
    tables, :func:`means_of` says.
    """
    meaning, runs = metric_of(metric), means_of(grid, summary, metric)
    count = len(runs.factors)
    if not count or runs.scores.empty:
        return None
    side = WIDTH / max(count, 3)
    figure = Figure(figsize=(WIDTH, min(side, 2.2) * count + 1.1))
    axes = figure.subplots(count, count, squeeze=False, sharex="col")
    images: list[QuadMesh] = []
    numbers: list[tuple[Any, ...]] = []
    for row, down in enumerate(runs.factors):
        for column, across in enumerate(runs.factors):
            axis = axes[row, column]
            if column > row:
                axis.set_axis_off()
            elif column == row:
                numbers += effects(axis, runs, across, meaning)
            else:
                mesh, cells = pair(axis, runs, down, across, meaning)
                images.append(mesh)
                numbers += cells
            if column < row:
                axis.tick_params(labelleft=column == 0)
        if row:
            axes[row, 0].set_ylabel(down)
    for axis, across in zip(axes[-1], runs.factors, strict=True):
        axis.set_xlabel(across)
        levels = runs.factors[across]
        slanted = max(map(len, levels)) * len(levels) > 7 * side
        axis.tick_params(axis="x", labelbottom=True, labelrotation=90 if slanted else 0)
    if images:
        key(axes, images[0], meaning, runs, [labels.dataset(name) for name in runs.datasets])
    return Drawn(figure, pd.DataFrame(numbers, columns=list(CELLS)))


@figure(
    "Ablation",
    "Dice against the number of sampling steps: mean over test cases with {interval}; a ring is "
    "the least number within a Dice point of the best. A training of one step is a level line.",
    "Look at the ring on each line: more steps than there gain less than a Dice point.",
    rank=27,
)
def steps_dice(
    summary: pd.DataFrame,
    labels: Labels = PLAIN,
    looks: Looks | None = None,
    within: float = MARGIN,
) -> Figure | None:
    """Dice against the number of sampling steps, a panel a dataset, a line a mode.

    A ring is at the least number of steps whose mean is within `within` of the best mean of its
    line. A mode of one step only is a horizontal line. Open markers are samplers other than the
    one of a mode that has been run with most numbers of steps. Of more than eight modes the ones
    with the best means are coloured.
    """
    whole = trained(summary)
    whole = whole[(whole["metric"] == "dice") & whole["start"].isna()]
    counts = whole.groupby("mode")["steps"]
    varied = counts.transform("nunique") > 2
    if not varied.any():
        return None
    # Beside them a mode of a single step is a level to compare with.
    rows = whole[varied | (counts.transform("max") == 1)]
    figure, axes = _lines(rows, STEPS, labels, looks or Looks.of(rows), within)
    for axis in axes:
        doubling(axis, rows["steps"])
        axis.set_xlabel("sampling steps")
    return figure


@figure(
    "Ablation",
    "Dice against the timestep at which sampling starts from pure noise: mean over test cases with "
    "{interval}.",
    "Look at the least timestep up to which a line stays level: those above it do not decide the "
    "mask.",
    rank=28,
)
def starts_dice(
    summary: pd.DataFrame, labels: Labels = PLAIN, looks: Looks | None = None
) -> Figure | None:
    """Dice against the timestep from which pure noise is denoised, as in :func:`steps_dice`."""
    rows = trained(summary)
    rows = rows[(rows["metric"] == "dice") & rows["start"].notna()]
    if rows["start"].nunique() < 2:  # one place is no line
        return None
    figure, axes = _lines(rows, START, labels, looks or Looks.of(rows))
    for axis in axes:
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.set_xlabel("timestep at which denoising starts")
    return figure


def _lines(
    rows: pd.DataFrame, axis_of: Along, labels: Labels, known: Looks, within: float | None = None
) -> tuple[Figure, list[Axes]]:
    """Panels of means with intervals, a line a mode, and the figure that they are in."""
    meaning = metric_of("dice")
    cells = cells_of(rows, labels)
    figure, axes = panels(len(cells), 2.3, extra=0.8, same_y=False)
    looks = chosen(rows, meaning.better, known)
    for place, (axis, cell) in enumerate(zip(axes, cells, strict=True)):
        axis.set_title(counted_title(cell.title, cell.rows["n"], 34))
        for mode in sorted(modes_in(cell.rows), key=lambda mode: mode in looks):
            lines = parts(cell.rows[cell.rows["mode"] == mode], axis_of)
            mode_line(axis, lines, axis_of, looks.get(mode), mode)
            if within is not None and mode in looks:
                ring(axis, lines[0], meaning.better, within, looks[mode].colour)
        axis.yaxis.set_major_locator(MaxNLocator(5))
        if place % ACROSS == 0:
            axis.set_ylabel(direction(meaning).strip("← →"))
    legend(figure, handles(looks, rows, labels, None if within is None else (within, meaning)))
    return figure, axes


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of a grid.

    Attributes:
        factors: levels of each factor, numbers ascending, others in their order of appearance.
        levels: a row a mode, a column a factor.
        scores: of each mode that was run, by its name.
        datasets: names of those that the scores are means over.
    """

    factors: Mapping[str, tuple[str, ...]]
    levels: pd.DataFrame
    scores: pd.Series
    datasets: tuple[str, ...]

    def of(self, chosen: Mapping[str, str]) -> npt.NDArray[np.float64]:
        """Scores of the runs with these levels of factors."""
        levels = self.levels.loc[self.scores.index]
        same = np.ones(len(levels), dtype=np.bool_)
        for factor, level in chosen.items():
            same &= (levels[factor] == level).to_numpy()
        return self.scores.to_numpy(dtype=np.float64)[same]


def means_of(grid: pd.DataFrame, summary: pd.DataFrame, metric: str) -> Runs:
    """One value for each mode of a grid.

    A mode is scored by its sampler with the most steps that has no `start` (of equal ones the one
    with most draws, then the first of the table), never by its best one. Its score is the mean
    over those datasets and networks that all modes have, so that no mode gains by what it was run
    on; modes that were not run at all are left out.
    """
    names = list(dict.fromkeys(grid["factor"]))
    levels = grid.pivot(index="mode", columns="factor", values="level").reindex(columns=names)
    factors = {
        name: _sorted(dict.fromkeys(grid.loc[grid["factor"] == name, "level"])) for name in names
    }
    rows = trained(summary[(summary["metric"] == metric) & summary["start"].isna()])
    rows = rows[rows["mode"].isin(levels.index) & rows["mean"].notna()]
    rows = rows.sort_values(["steps", "draws"], ascending=False, kind="stable")
    cells = rows.drop_duplicates(["mode", "dataset", "network"])
    table = cells.pivot(index="mode", columns=["dataset", "network"], values="mean")
    table = table.dropna(axis="columns")
    datasets = tuple(dict.fromkeys(map(str, table.columns.get_level_values("dataset"))))
    return Runs(factors, levels, table.mean(axis=1).dropna(), datasets)


def pair(
    axis: Axes, runs: Runs, down: str, across: str, metric: Metric
) -> tuple[QuadMesh, list[tuple[Any, ...]]]:
    """A heat map, and its numbers: levels of one factor in rows, of another in columns."""
    rows, columns = runs.factors[down], runs.factors[across]
    found = [[runs.of({down: one, across: two}) for two in columns] for one in rows]
    means = np.array([[cell.mean() if len(cell) else np.nan for cell in row] for row in found])
    norm = Normalize(float(runs.scores.min()), float(runs.scores.max()))
    colours = colormaps[f"{COLOURS}_r" if metric.better < 0 else COLOURS]  # lighter is better
    mesh = axis.pcolormesh(
        means, cmap=colours, norm=norm, edgecolors="white", linewidth=1.5, gid=f"{down} {across}"
    )
    room = axis.get_position().width * WIDTH * 72 / len(columns)
    for y, row in enumerate(found):
        for x, cell in enumerate(row):
            if not len(cell):
                hatched: dict[str, Any] = {"facecolor": "0.93", "edgecolor": "0.7", "hatch": "////"}
                axis.add_patch(Rectangle((x, y), 1, 1, linewidth=0, **hatched))
                continue
            dark = np.dot(colours(norm(means[y, x]))[:3], (0.299, 0.587, 0.114)) < 0.5
            write = partial(axis.text, x + 0.5, ha="center", color="white" if dark else "black")
            text = number(means[y, x], metric.digits).replace("0.", ".", 1)
            size = min(7.5, room / (0.75 * len(text)))
            write(y + 0.44, text, va="bottom", fontsize=size)
            write(y + 0.56, f"n={len(cell)}", va="top", fontsize=min(6, size))
    axis.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axis.set_ylim(len(rows), 0)
    _levels(axis, columns)
    numbers = [
        (down, one, across, other, means[y, x], len(found[y][x]))
        for y, one in enumerate(rows)
        for x, other in enumerate(columns)
        if len(found[y][x])
    ]
    return mesh, numbers


def effects(axis: Axes, runs: Runs, factor: str, metric: Metric) -> list[tuple[Any, ...]]:
    """The means of a factor's levels joined by a line, each run a small dot; and its numbers."""
    levels = runs.factors[factor]
    found = [runs.of({factor: level}) for level in levels]
    for place, cell in enumerate(found):
        axis.plot(np.full(len(cell), place + 0.5), cell, ".", color="0.65", markersize=4)
    means = [cell.mean() if len(cell) else np.nan for cell in found]
    axis.plot(
        np.arange(len(levels)) + 0.5, means, "o-", color="black", markersize=5, linewidth=1.3,
        gid=factor,
    )  # fmt: skip
    low, high = float(runs.scores.min()), float(runs.scores.max())
    room = 0.12 * (high - low or 1)
    axis.set_ylim((high + room, low - room) if metric.better < 0 else (low - room, high + room))
    axis.yaxis.set_major_locator(MaxNLocator(4))
    axis.yaxis.tick_right()
    axis.tick_params(axis="y", labelsize=7.5)
    axis.spines["left"].set_visible(False)
    axis.spines["right"].set_visible(True)
    axis.set_title(factor, fontweight="bold", fontsize=9)
    _levels(axis, levels)
    return [
        (factor, level, "", "", mean, len(cell))
        for level, mean, cell in zip(levels, means, found, strict=True)
        if len(cell)
    ]


def key(
    axes: npt.NDArray[np.object_],
    mesh: QuadMesh,
    metric: Metric,
    runs: Runs,
    datasets: Sequence[str],
) -> None:
    """The colour bar in the empty corner of the triangle, and over what the means are."""
    axis = axes[0, -1]
    left = -1.0 if len(axes) > 3 else 0.0  # over the column beside it, which is empty too
    figure = axis.get_figure()
    bar = figure.colorbar(
        mesh, cax=axis.inset_axes((left, 0.72, 1 - left, 0.1)), orientation="horizontal"
    )
    better = ", lighter is better" if metric.better else ""
    bar.set_label(f"mean {metric.title}{better}", fontsize=8.5)
    bar.ax.tick_params(labelsize=7.5)
    bar.ax.xaxis.set_major_locator(MaxNLocator(4))
    shown = f"{len(datasets)} datasets" if len(datasets) > 3 else ", ".join(datasets)
    axis.text(
        1, 0.28, folded(f"{len(runs.scores)} runs on {shown}", 40) + "\nn: runs in a cell",
        transform=axis.transAxes, ha="right", va="top", fontsize=8.5,
    )  # fmt: skip


def _levels(axis: Axes, levels: Sequence[str]) -> None:
    axis.set_xticks(np.arange(len(levels)) + 0.5, levels)
    axis.set_xlim(0, len(levels))
    axis.tick_params(labelbottom=False, length=0)
    axis.grid(visible=False, axis="x")


def _sorted(levels: Mapping[str, None]) -> tuple[str, ...]:
    try:
        return tuple(sorted(levels, key=float))
    except ValueError:
        return tuple(levels)


def chosen(rows: pd.DataFrame, better: int, looks: Looks) -> dict[str, Look]:
    """The modes that get their look: all, or of more than eight those with the best means.

    Modes that look the same in every study are always among them.
    """
    modes = modes_in(rows)
    if len(modes) > LOOKS:
        signed = rows.assign(mean=rows["mean"] * (better or 1))
        best = signed.groupby(["mode", "dataset", "network"])["mean"].max().groupby("mode").mean()
        ranked = sorted(modes, key=lambda mode: (mode not in KNOWN, -best[mode]))[:LOOKS]
        modes = [mode for mode in modes if mode in ranked]
    return looks.named(modes)


def parts(rows: pd.DataFrame, along: Along) -> list[pd.DataFrame]:
    """The lines of a mode, one for each kind of sampler, that with most points first.

    Samplers are of one kind if their names differ in digits only and what should be equal is. Of
    several points at one place the first of the table is taken. Rows are of a table `summary`, of
    one dataset, network, mode and metric.
    """
    kind = rows["sampler"].map(lambda name: re.sub(r"\d+", "", str(name)))
    keys = [kind, *(rows[name] for name in along.equal)]
    lines = [
        part.drop_duplicates(along.column).sort_values(along.column)
        for _, part in rows.groupby(keys, sort=False, dropna=False)
    ]
    return sorted(lines, key=len, reverse=True)


def mode_line(
    axis: Axes, lines: Sequence[pd.DataFrame], along: Along, look: Look | None, mode: str
) -> None:
    """The lines of a mode with intervals, grey without a look; one step alone goes all across."""
    for place, line in enumerate(lines):
        x, mean = line[along.column].to_numpy(), line["mean"].to_numpy()
        if look is None:
            axis.plot(x, mean, color=GREY, linewidth=1, marker=".", zorder=1, gid=mode)
            continue
        keywords: dict[str, Any] = {"color": look.colour, "linestyle": look.line}
        if along is STEPS and list(x) == [1]:
            axis.axhspan(*line[["low", "high"]].iloc[0], color=look.colour, alpha=0.1, linewidth=0)
            axis.axhline(mean[0], linewidth=1.3, **keywords)
        for at, low, high in zip(x, line["low"], line["high"], strict=True):
            axis.plot([at, at], [low, high], color=look.colour, linewidth=1, alpha=0.6)
        axis.plot(
            x, mean, linewidth=1.6, marker=look.marker, markersize=5, gid=mode,
            markerfacecolor="white" if place else look.colour, **keywords,
        )  # fmt: skip


def ring(axis: Axes, line: pd.DataFrame, better: int, within: float, colour: str) -> None:
    """A ring about the least number of steps that is as good as the best."""
    row = least(line, better, within)
    if row is not None and len(line) > 1:
        axis.plot(
            [row["steps"]], [row["mean"]], "o", markersize=11, markerfacecolor="none",
            markeredgecolor=colour, markeredgewidth=1.6, gid="least",
        )  # fmt: skip


def doubling(axis: Axes, steps: pd.Series) -> None:
    """Logarithmic steps, with ticks at numbers of steps that were run, at least doubled each."""
    axis.set_xscale("log")
    ticks: list[float] = []
    for value in sorted(set(steps)):
        if not ticks or value >= 2 * ticks[-1]:
            ticks.append(value)
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_locator(NullLocator())


def handles(
    looks: Mapping[str, Look],
    rows: pd.DataFrame,
    labels: Labels,
    rings: tuple[float, Metric] | None,
) -> list[Line2D]:
    """What the legend of such panels shows.

    A ring tells how near to the best its number of steps is, and of which metric.
    """
    found = [
        handle(label=labels.mode(mode), markersize=5, **look.marks() | look.lines())
        for mode, look in looks.items()
    ]
    others = len(set(modes_in(rows)) - set(looks))
    if others:
        found.append(handle(color=GREY, marker=".", label=f"{others} other modes"))
    if rings is not None and rings[1].better:
        label = f"least steps within {rings[0]:g} of the best"
        ring = {"markersize": 10, "markerfacecolor": "none", "markeredgecolor": "black"}
        found.append(handle(linestyle="", marker="o", label=label, **ring))
    if np.isfinite(rows[["low", "high"]].to_numpy(dtype=np.float64)).any():
        bar = {"marker": "|", "linestyle": "", "markersize": 10}
        found.append(handle(color="0.4", label=labels.interval(), **bar))
    return found
