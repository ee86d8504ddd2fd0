"""A sparse grid of settings: the mean of every pair of levels, and how it is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from noise2mask.evaluation.labels import Metric, number, trained
from noise2mask.report.figures.style import WIDTH, folded

COLOURS = "cividis"


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


def means_of(grid: pd.DataFrame, sweeps: pd.DataFrame, metric: str) -> Runs:
    """One value for each mode of a grid.

    A mode is scored by its sampler with the most steps that has no `start` (of equal ones the one
    with most draws, then the first of the table), never by its best one. Its score is the mean
    over those datasets and networks that all modes have, so that no mode gains by what it was run
    on; modes that were not run at all are left out.

    Args:
        grid: the table of that name.
        sweeps: the table of that name.
        metric: name of a metric in it.
    """
    names = list(dict.fromkeys(grid["factor"]))
    levels = grid.pivot(index="mode", columns="factor", values="level").reindex(columns=names)
    factors = {
        name: _sorted(dict.fromkeys(grid.loc[grid["factor"] == name, "level"])) for name in names
    }
    rows = trained(sweeps[(sweeps["metric"] == metric) & sweeps["start"].isna()])
    rows = rows[rows["mode"].isin(levels.index) & rows["mean"].notna()]
    rows = rows.sort_values(["steps", "draws"], ascending=False, kind="stable")
    cells = rows.drop_duplicates(["mode", "dataset", "network"])
    table = cells.pivot(index="mode", columns=["dataset", "network"], values="mean")
    table = table.dropna(axis="columns")
    datasets = tuple(dict.fromkeys(map(str, table.columns.get_level_values("dataset"))))
    return Runs(factors, levels, table.mean(axis=1).dropna(), datasets)


def pair(axis: Axes, runs: Runs, down: str, across: str, metric: Metric) -> QuadMesh:
    """A heat map: levels of one factor in rows, of another in columns."""
    rows, columns = runs.factors[down], runs.factors[across]
    found = [[runs.of({down: one, across: two}) for two in columns] for one in rows]
    means = np.array([[cell.mean() if len(cell) else np.nan for cell in row] for row in found])
    norm = Normalize(float(runs.scores.min()), float(runs.scores.max()))
    colours = colormaps[_colours(metric)]
    mesh = axis.pcolormesh(
        means, cmap=colours, norm=norm, edgecolors="white", linewidth=1.5, gid=f"{down} {across}"
    )
    room = axis.get_position().width * WIDTH * 72 / len(columns)
    for y, row in enumerate(found):
        for x, cell in enumerate(row):
            if not len(cell):
                axis.add_patch(
                    Rectangle(
                        (x, y), 1, 1, facecolor="0.93", edgecolor="0.7", hatch="////", linewidth=0
                    )
                )
                continue
            dark = np.dot(colours(norm(means[y, x]))[:3], (0.299, 0.587, 0.114)) < 0.5
            ink = "white" if dark else "black"
            keywords: dict[str, Any] = {"ha": "center", "color": ink}
            text = number(means[y, x], metric.digits).replace("0.", ".", 1)
            size = min(7.5, room / (0.75 * len(text)))
            axis.text(x + 0.5, y + 0.44, text, va="bottom", fontsize=size, **keywords)
            axis.text(
                x + 0.5, y + 0.56, f"n={len(cell)}", va="top", fontsize=min(6, size), **keywords
            )
    axis.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axis.set_ylim(len(rows), 0)
    _levels(axis, columns)
    return mesh


def effects(axis: Axes, runs: Runs, factor: str, metric: Metric) -> None:
    """The means of a factor's levels joined by a line, and each run as a small dot."""
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
    axis.set_title(factor, fontweight="bold", fontsize=9.5)
    _levels(axis, levels)


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
    better = {1: ", lighter is better", -1: ", lighter is better", 0: ""}[metric.better]
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


def _colours(metric: Metric) -> str:
    """Lighter is better."""
    return f"{COLOURS}_r" if metric.better < 0 else COLOURS


def _sorted(levels: Mapping[str, None]) -> tuple[str, ...]:
    try:
        return tuple(sorted(levels, key=float))
    except ValueError:
        return tuple(levels)
