"""Figures of an ablation: what each setting does, how many steps are enough, planned contrasts.

Each is a pure function of tables.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from noise2mask.analysis.ablation import MARGIN
from noise2mask.evaluation.labels import (
    Labels,
    Metric,
    counted,
    headed,
    metric_of,
    modes_in,
    names_in,
    trained,
)
from noise2mask.report.figures.heat_map import effects, key, means_of, pair
from noise2mask.report.figures.panels import difference
from noise2mask.report.figures.step_lines import (
    START,
    STEPS,
    Along,
    chosen,
    doubling,
    handles,
    mode_line,
    parts,
    ring,
)
from noise2mask.report.figures.style import (
    ACROSS,
    MODE_LOOKS,
    WIDTH,
    direction,
    empty,
    folded,
    legend,
    panels,
    styled,
)


@styled
def heat_maps(
    grid: pd.DataFrame, sweeps: pd.DataFrame, metric: str, labels: Labels | None = None
) -> Figure:
    """Main effects on the diagonal, and below it a heat map for each pair of factors.

    A cell is the mean over the runs with both levels, their number below it; hatched if there is
    none. On the diagonal a small dot is a run, a line joins the means of the levels. All is read
    at the bottom (levels of the column's factor) and at the left (of the row's).

    Args:
        grid: the table of that name.
        sweeps: the table of that name; see ``heat.means_of`` for what is taken from it.
        metric: name of a metric in it.
        labels: titles of datasets; those that the means are over are named.
    """
    labels = labels or Labels()
    meaning, runs = metric_of(metric), means_of(grid, sweeps, metric)
    count = len(runs.factors)
    if not count or runs.scores.empty:
        return empty(Figure(figsize=(WIDTH, 2)), f"no {meaning.title} of a grid yet")
    side = WIDTH / max(count, 3)
    figure = Figure(figsize=(WIDTH, min(side, 2.2) * count + 0.9))
    axes = figure.subplots(count, count, squeeze=False, sharex="col")
    images = []
    for row, down in enumerate(runs.factors):
        for column, across in enumerate(runs.factors):
            axis = axes[row, column]
            if column > row:
                axis.set_axis_off()
            elif column == row:
                effects(axis, runs, across, meaning)
            else:
                images.append(pair(axis, runs, down, across, meaning))
            if column < row:
                axis.tick_params(labelleft=column == 0)
        if row:
            axes[row, 0].set_ylabel(down)
    for axis, across in zip(axes[-1], runs.factors, strict=True):
        axis.set_xlabel(across)
        levels = runs.factors[across]
        slanted = max(map(len, levels)) * len(levels) > 7 * side
        axis.tick_params(axis="x", labelbottom=True, labelrotation=40 if slanted else 0)
    if images:
        key(axes, images[0], meaning, runs, [labels.dataset(name) for name in runs.datasets])
    return figure


@styled
def steps(
    sweeps: pd.DataFrame, metric: str, labels: Labels | None = None, within: float = MARGIN
) -> Figure:
    """Quality against the number of sampling steps, a panel a dataset, a line a mode.

    A ring is at the least number of steps whose mean is within `within` of the best mean of its
    line. A mode of one step only is a horizontal line. Open markers are samplers other than the
    one of a mode that has been run with most numbers of steps. Of more than eight modes the ones
    with the best means are coloured.

    Args:
        sweeps: the table of that name; rows without a `start`.
        metric: name of a metric in it.
        labels: names to be shown.
        within: in units of the metric.
    """
    rows = sweeps[(sweeps["metric"] == metric) & sweeps["start"].isna()]
    figure, axes = _lines(rows, metric, STEPS, labels or Labels(), within)
    for axis in axes:
        doubling(axis, rows["steps"])
        axis.set_xlabel("sampling steps")
    return figure


@styled
def starts(sweeps: pd.DataFrame, metric: str, labels: Labels | None = None) -> Figure:
    """Quality against the timestep from which pure noise is denoised, as in :func:`steps`.

    Args:
        sweeps: the table of that name; rows with a `start`.
        metric: name of a metric in it.
        labels: names to be shown.
    """
    rows = sweeps[(sweeps["metric"] == metric) & sweeps["start"].notna()]
    figure, axes = _lines(rows, metric, START, labels or Labels())
    for axis in axes:
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.set_xlabel("timestep at which denoising starts")
    return figure


@styled
def contrasts(
    table: pd.DataFrame, metric: str, labels: Labels | None = None, significance: float = 0.05
) -> Figure:
    """First minus second mode, paired by case: a panel a contrast, a row a dataset; axes differ.

    Markers are filled where the p-value adjusted by Holm is below `significance`. Right is always
    better for the first: the axis of a metric of which less is better runs from right to left.

    Args:
        table: the table `contrasts`.
        metric: name of a metric in it.
        labels: names to be shown.
        significance: level of the family of comparisons.
    """
    labels = labels or Labels()
    meaning, rows = metric_of(metric), table[table["metric"] == metric]
    pairs = list(dict.fromkeys(zip(rows["first"], rows["second"], strict=True)))
    keys = ["dataset", "network", "sampler"]
    places = list(dict.fromkeys(rows[keys].itertuples(index=False, name=None)))
    names = [folded(_name(place, rows, labels), 30) for place in places]
    lines = sum(name.count("\n") + 1 for name in names)
    figure, axes = panels(len(pairs), 0.06 * len(places) + 0.16 * lines + 1.15, extra=0.45)
    if not axes:
        return empty(figure, f"no contrast of {meaning.title} yet")
    for axis, (first, second) in zip(axes, pairs, strict=True):
        of_pair = rows[(rows["first"] == first) & (rows["second"] == second)]
        cells = of_pair.set_index(keys)
        for height, place in enumerate(places):
            if place in cells.index:
                cell = cells.loc[place]
                difference(axis, cell, height, significant=bool(cell["p_holm"] < significance))
        title = folded(f"{labels.mode(first)} minus {labels.mode(second)}", 30)
        tally = _tally(of_pair, meaning, significance)
        axis.set_title("\n".join(filter(None, [title, tally])), fontsize=9)
        finite = of_pair[["difference", "low", "high"]].to_numpy(dtype=np.float64)
        reach = 1.08 * max(np.abs(finite[np.isfinite(finite)]).max(initial=0), 1e-6)
        axis.axvline(0, color="0.2", linewidth=1.1)
        axis.set_xlim((reach, -reach) if meaning.better < 0 else (-reach, reach))
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.tick_params(axis="y", length=0)
        axis.grid(visible=False, axis="y")
        side = {1: "first is better →", -1: "first is better → (axis reversed)", 0: ""}
        axis.set_xlabel(f"{meaning.title}, {side[meaning.better]}".rstrip(", "))
    legend(figure, _significances(rows, significance, labels))
    return figure


def _lines(
    rows: pd.DataFrame,
    metric: str,
    axis_of: Along,
    labels: Labels,
    within: float | None = None,
) -> tuple[Figure, list[Axes]]:
    """Panels of means with intervals, a line a mode, and the figure that they are in."""
    rows, meaning = trained(rows), metric_of(metric)
    cells = list(dict.fromkeys(zip(rows["dataset"], rows["network"], strict=True)))
    several = len(names_in(rows, "network")) > 1
    figure, axes = panels(len(cells), 2.4, extra=0.9, same_y=False)
    if not axes:
        return empty(figure, f"no {meaning.title} over {axis_of.column} yet"), []
    looks = chosen(rows, meaning.better)
    for place, (axis, (dataset, network)) in enumerate(zip(axes, cells, strict=True)):
        panel = rows[(rows["dataset"] == dataset) & (rows["network"] == network)]
        title = labels.dataset(dataset) + (f", {labels.network(network)}" if several else "")
        axis.set_title(folded(headed(title, counted(panel["n"])), 34))
        for mode in sorted(modes_in(panel), key=lambda mode: mode in looks):
            lines = parts(panel[panel["mode"] == mode], axis_of)
            mode_line(axis, lines, axis_of, looks.get(mode), mode)
            if within is not None and mode in looks:
                ring(axis, lines[0], meaning.better, within, looks[mode].colour)
        axis.yaxis.set_major_locator(MaxNLocator(5))
        if place % ACROSS == 0:
            axis.set_ylabel(direction(meaning).strip("← →"))
    legend(figure, handles(looks, rows, labels, None if within is None else (within, meaning)))
    return figure, axes


def _name(place: tuple[str, ...], rows: pd.DataFrame, labels: Labels) -> str:
    """Title of a dataset, with network and sampler where there are several."""
    dataset, network, sampler = place
    parts = [labels.dataset(dataset)]
    if len(names_in(rows, "network")) > 1:
        parts.append(labels.network(network))
    if rows.groupby(["dataset", "network"])["sampler"].nunique().max() > 1:
        parts.append(sampler)
    return ", ".join(parts)


def _tally(rows: pd.DataFrame, meaning: Metric, significance: float) -> str:
    """How often the first is better and worse beyond chance; nothing if that was not tested."""
    if rows["p_holm"].isna().all():
        return ""
    clear = rows[rows["p_holm"] < significance]["difference"] * meaning.better
    return f"better in {(clear > 0).sum()}, worse in {(clear < 0).sum()} of {len(rows)}"


def _significances(rows: pd.DataFrame, significance: float, labels: Labels) -> list[Line2D]:
    """What a legend of differences shows."""
    colour = MODE_LOOKS[1].colour
    tested = rows["p_holm"].notna()
    faces = [(colour, f"Holm p < {significance:g}")] if tested.any() else []
    faces += [("white", f"Holm p ≥ {significance:g}")] if tested.any() else []
    faces += [] if tested.all() else [("white", "not tested")] if not tested.any() else []
    found = [
        Line2D([], [], color=colour, marker="o", markerfacecolor=face, markersize=7, label=label)
        for face, label in faces
    ]
    label = f"{labels.interval()}, {counted(rows['n'])} cases"
    return [*found, Line2D([], [], color=colour, linewidth=1.8, label=label)]
