"""Figures of a report: each a pure function of one table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from noise2mask.evaluation.labels import (
    BLIND,
    Labels,
    counted,
    headed,
    metric_of,
    modes_in,
    names_in,
    rows_of,
    trained,
)
from noise2mask.report.figures.panels import (
    Prediction,
    blind_line,
    curve,
    diagram,
    difference,
    dots,
    halves,
    handle,
    shade,
    wrapped,
)
from noise2mask.report.figures.style import (
    ACROSS,
    NETWORK_LOOKS,
    WIDTH,
    cycled,
    direction,
    empty,
    folded,
    legend,
    mode_looks,
    panels,
    styled,
)


@dataclass(frozen=True, eq=False)
class Example:
    """One test case to be shown.

    Args:
        dataset: name of its dataset.
        case: name of the case.
        image: uint8 (H, W, 3).
        mask: the reference, bool (H, W).
        predictions: a mode, or any title, to the mean probability (H, W) and the standard
            deviation of the draws (H, W), None where there is one draw only.
    """

    dataset: str
    case: str
    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]
    predictions: Mapping[str, Prediction]


@styled
def results(summary: pd.DataFrame, metric: str, labels: Labels | None = None) -> Figure:
    """Means with intervals: a panel a dataset, a line an architecture, modes side by side.

    The vertical line is the image-blind prediction. Where it lies far from all networks, an
    arrow at the frame says its value, and the axis stays with the networks.

    Args:
        summary: the table of that name.
        metric: name of a metric in it.
        labels: names to be shown.
    """
    labels = labels or Labels()
    table = summary[summary["metric"] == metric]
    rows, datasets, meaning = rows_of(table), names_in(table, "dataset"), metric_of(metric)
    networks, looks = list(dict.fromkeys(row.network for row in rows)), mode_looks(modes_in(table))
    height = 0.2 * len(rows) + 0.2 * len(networks) + 0.9
    figure, axes = panels(len(datasets), height, extra=0.5)
    if not axes:
        return empty(figure, f"no {meaning.title} yet")
    for axis, dataset in zip(axes, datasets, strict=True):
        panel = table[table["dataset"] == dataset]
        axis.set_title(folded(headed(labels.dataset(dataset), counted(trained(panel)["n"])), 32))
        dots(axis, panel, rows, looks)
        blind_line(axis, panel, meaning)
        axis.xaxis.set_major_locator(MaxNLocator(4))
        axis.set_xlabel(direction(meaning))
        axis.set_yticks(range(len(networks)), [labels.network(name) for name in networks])
        axis.set_ylim(len(networks) - 0.4, -0.6)
        axis.tick_params(axis="y", length=0)
        axis.grid(visible=False, axis="y")
    kinds = {row[1:]: row for row in rows}.values()
    handles = [handle(row, looks, labels.kind(row, rows)) for row in kinds]
    if any(line.get_gid() == BLIND for axis in axes for line in axis.lines):
        handles.append(Line2D([], [], color="0.35", linestyle=(0, (4, 2)), label="image-blind"))
    legend(figure, handles)
    return figure


@styled
def comparison(
    comparisons: pd.DataFrame,
    metrics: Sequence[str] = ("iou", "ece"),
    labels: Labels | None = None,
    significance: float = 0.05,
) -> Figure:
    """Diffusion minus feed-forward for every cell, paired by case; right is always diffusion.

    Markers are filled where the p-value adjusted by Holm is below `significance`. The axis of a
    metric of which less is better runs from right to left.

    Args:
        comparisons: the table of that name.
        metrics: names of metrics in it, a panel each.
        labels: names to be shown.
        significance: level of the family of comparisons.
    """
    labels = labels or Labels()
    shown = [name for name in metrics if name in set(comparisons["metric"])]
    table = comparisons[comparisons["metric"].isin(shown)]
    pairs = list(dict.fromkeys(zip(table["dataset"], table["network"], strict=True)))
    names = [folded(f"{labels.dataset(one)}, {labels.network(two)}", 32) for one, two in pairs]
    lines = max((name.count("\n") + 1 for name in names), default=1)
    height = (0.1 + 0.17 * lines) * len(pairs) + 1.1
    figure, axes = panels(len(shown), height, extra=0.4, across=len(shown))
    if not axes:
        return empty(figure, "no comparison yet")
    for axis, metric in zip(axes, shown, strict=True):
        rows = table[table["metric"] == metric].set_index(["dataset", "network"])
        for place, pair in enumerate(pairs):
            if pair in rows.index:
                cell = rows.loc[pair]
                difference(axis, cell, place, significant=bool(cell["p_holm"] < significance))
        halves(axis, metric_of(metric))
        axis.xaxis.set_major_locator(MaxNLocator(5))
        turned = " (axis reversed)" if axis.xaxis_inverted() else ""
        axis.set_xlabel(f"{metric_of(metric).title}, diffusion minus feed-forward{turned}")
        axis.set_yticks(range(len(pairs)), names)
        axis.set_ylim(len(pairs) - 0.4, -0.6)
        axis.tick_params(axis="y", length=0)
        axis.grid(visible=False, axis="y")
        for place in range(1, len(pairs)):
            if pairs[place][0] != pairs[place - 1][0]:
                axis.axhline(place - 0.5, color="0.75", linewidth=0.8)
    colour = mode_looks(())["diffusion"].colour
    handles = [
        Line2D([], [], color=colour, marker="o", markerfacecolor=face, markersize=7, label=label)
        for face, label in (
            (colour, f"Holm p < {significance:g}"),
            ("white", f"Holm p ≥ {significance:g}"),
        )
    ]
    label = f"{labels.interval()}, {counted(table['n'])} cases"
    handles.append(Line2D([], [], color=colour, linewidth=1.8, label=label))
    legend(figure, handles)
    return figure


@styled
def training_curves(history: pd.DataFrame, labels: Labels | None = None) -> Figure:
    """Loss (thin) and validation loss (thick) of each training; a star is the chosen checkpoint.

    Args:
        history: the table of that name.
        labels: names to be shown.
    """
    labels = labels or Labels()
    datasets, networks = names_in(history, "dataset"), names_in(history, "network")
    looks = {mode: mode_looks(modes_in(history))[mode] for mode in modes_in(history)}
    figure = Figure(figsize=(WIDTH, 1.75 * max(1, len(datasets)) + 0.6))
    if not datasets:
        return empty(figure, "no training yet")
    grid = figure.subplots(len(datasets), len(networks), squeeze=False, sharex=True, sharey=True)
    for (row, dataset), (column, network) in product(enumerate(datasets), enumerate(networks)):
        axis = grid[row, column]
        panel = history[(history["dataset"] == dataset) & (history["network"] == network)]
        if panel.empty and column:
            axis.set_visible(False)
            continue
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        for mode, look in looks.items():
            for _, one in panel[panel["mode"] == mode].groupby("seed"):
                curve(axis, one, look)
        if row == 0:
            axis.set_title(labels.network(network))
        if column == 0:
            axis.set_ylabel(f"{folded(labels.dataset(dataset), 20)}\nloss")
    for line in grid.T:
        lowest = [axis for axis in line if axis.get_visible()][-1:]
        for axis in lowest:
            axis.set_xlabel("training step")
            axis.tick_params(labelbottom=True)
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, label=labels.mode(mode))
        for mode, look in looks.items()
    ]
    handles += [
        Line2D([], [], color="0.4", linewidth=0.8, label="training loss"),
        Line2D([], [], color="0.4", linewidth=2, label="validation loss"),
        Line2D([], [], color="0.4", marker="*", markersize=10, linestyle="", label="chosen"),
    ]
    legend(figure, handles)
    return figure


@styled
def reliability(table: pd.DataFrame, region: str = "all", labels: Labels | None = None) -> Figure:
    """Reliability diagrams: a column a dataset, a row a mode, a line an architecture.

    Under each diagram stand the pixels in each bin. ECE is that of all pixels pooled.

    Args:
        table: the reliability table.
        region: which pixels: ``all``, or ``band`` about the boundary.
        labels: names to be shown.
    """
    labels = labels or Labels()
    table = trained(table[table["region"] == region])
    datasets, rows = names_in(table, "dataset"), rows_of(table)
    modes, looks = modes_in(table), cycled(NETWORK_LOOKS, names_in(table, "network"))
    blocks = [datasets[start : start + ACROSS] for start in range(0, len(datasets), ACROSS)]
    lines = [[(name, mode) for name in block] for block, mode in product(blocks, modes)]
    if len(datasets) == 1:
        lines = [[(datasets[0], mode) for mode in modes]]
    across = max(map(len, lines), default=1)
    height = 3.3 * max(1, len(lines)) + (0.5 if across == ACROSS else 1.0)
    figure = Figure(figsize=(WIDTH / ACROSS * max(across, 2), height))
    if not lines:
        return empty(figure, "no reliability curve yet")
    grid = figure.subplots(
        2 * len(lines), across, squeeze=False, gridspec_kw={"height_ratios": [4, 1] * len(lines)}
    )
    for line, above, below in zip(lines, grid[::2], grid[1::2], strict=True):
        for axis in [*above[len(line) :], *below[len(line) :]]:
            axis.set_visible(False)
        for axis, counts, (name, mode) in zip(above, below, line, strict=False):
            panel = table[(table["dataset"] == name) & (table["mode"] == mode)]
            diagram(axis, counts, panel, rows, looks, labels)
            drawn = labels.drawn(names_in(panel, "sampler"))
            title = ", ".join(filter(None, [labels.mode(mode), drawn]))
            axis.set_title(f"{folded(labels.dataset(name), 32)}\n{title}")
        above[0].set_ylabel("share of foreground")
        below[0].set_ylabel("pixels")
    handles = [
        Line2D(
            [], [], color=looks[row.network].colour, linestyle=looks[row.network].line,
            marker=looks[row.network].marker, markerfacecolor="white" if row.extra else None,
            markersize=5, label=labels.line(row),
        )
        for row in {labels.line(row): row for row in rows}.values()
    ]  # fmt: skip
    handles.append(Line2D([], [], color="0.6", linewidth=1, label="perfect calibration"))
    legend(figure, handles)
    return figure


@styled
def examples(shown: Sequence[Example], labels: Labels | None = None) -> Figure:
    """Cases with the mean probability of each mode and the spread of its draws.

    The contour is the reference, in every picture of a row.

    Args:
        shown: the cases, a row each.
        labels: names to be shown.
    """
    labels = labels or Labels()
    titles = list(dict.fromkeys(title for example in shown for title in example.predictions))
    spread = [
        title
        for title in titles
        if any(example.predictions.get(title, (None, None))[1] is not None for example in shown)
    ]
    columns = ["image", "reference", *titles, *(f"{title}, standard deviation" for title in spread)]
    side = min(1.45, WIDTH / (len(columns) + 0.4))
    figure = Figure(figsize=(side * len(columns) + 0.5, side * max(1, len(shown)) + 1.2))
    if not shown:
        return empty(figure, "no case to show")
    grid = figure.subplots(len(shown), len(columns), squeeze=False)
    probability = deviation = None
    for row, example in enumerate(shown):
        axes = list(grid[row])
        axes[0].imshow(example.image)
        axes[1].imshow(example.mask, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        title = folded(labels.dataset(example.dataset), 18)
        axes[0].set_ylabel(f"{title}\n{example.case}", fontsize=8.5)
        for axis, title in zip(axes[2:], titles, strict=False):
            probability = shade(axis, example.predictions.get(title), 0, "gray", 1.0) or probability
        for axis, title in zip(axes[2 + len(titles) :], spread, strict=True):
            deviation = shade(axis, example.predictions.get(title), 1, "cividis", 0.5) or deviation
        for column, axis in enumerate(axes):
            axis.set(xticks=[], yticks=[])
            axis.grid(visible=False)
            axis.spines[:].set_visible(False)
            if column != 1 and 0 < example.mask.mean() < 1:
                axis.contour(example.mask, levels=[0.5], colors="#D55E00", linewidths=1.1)
            if row == 0:
                axis.set_title(wrapped(columns[column], labels), fontsize=9.5)
    for image, start, stop, title in (
        (probability, 2, 2 + len(titles), "mean probability"),
        (deviation, 2 + len(titles), len(columns), "standard deviation"),
    ):
        if image is not None:
            bar = figure.colorbar(
                image, ax=list(grid[:, start:stop].flat), location="bottom", shrink=0.9,
                aspect=14 * (stop - start), pad=0.02,
            )  # fmt: skip
            bar.set_label(title)
    return figure
