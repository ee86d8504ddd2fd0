"""Figures of scores: results, calibration, training, and the cases themselves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from noise2mask.evaluation.labels import (
    BLIND,
    CLASSICAL,
    UNTRAINED,
    Labels,
    Metric,
    Row,
    headline_rows,
    metric_of,
    names_in,
    number,
    principal,
    rows_of,
    trained,
)
from noise2mask.report.cases import Case, Prediction
from noise2mask.report.figures.index import figure
from noise2mask.report.figures.looks import Looks
from noise2mask.report.figures.style import (
    ACROSS,
    PLAIN,
    WIDTH,
    cells_of,
    counted_title,
    direction,
    far_edge,
    folded,
    handle,
    legend,
    panels,
)
from noise2mask.study.plan import REFERENCE

KINDS = 12
"""Ways of drawing masks (modes and samplers) that a figure of all of them can still show."""
DATASETS = 8
"""Datasets that figures with a panel for each training can still show."""
FAR = 0.6
"""A floor this many widths of the networks' range outside it leaves the panel."""
LINES = 6
"""Curves of one reliability diagram."""
DECADE = 10
"""Times that losses differ from which on their axis is logarithmic."""
SEEN = 0.001
"""Share of the pixels of a diagram below which a bin is too empty to be drawn."""
LINE = 0.8
"""Height of a line of numbers below the rows, in rows."""
FLOOR_DASHES = {BLIND: (0, (4, 2)), CLASSICAL: (0, (1, 1.5))}
"""How the lines of floors are dashed."""


@figure(
    "Results",
    "{metric}: test cases, with {interval}; open, a further sampler or reading. Axes differ.",
    "Look at which colour lies further on the better side.",
    rank=30,
    # The first has room in a report's text, whose tables have the two after it.
    each={"metric": ("ece_pooled", "iou", "brier", "dice", "ece")},
)
def results(
    summary: pd.DataFrame,
    metric: str,
    labels: Labels = PLAIN,
    looks: Looks | None = None,
    draws: pd.DataFrame | None = None,
) -> Figure | None:
    """Means with intervals: a panel a dataset, a line an architecture, modes side by side.

    Vertical lines are floors, which need no network. Where one lies far from all networks, an arrow
    at the frame says its value, and the axis stays with the networks. Numbers of draws, the table
    `draws`, have a figure of their own.
    """
    summary = summary if draws is None else principal(summary, draws)
    table, meaning = summary[summary["metric"] == metric], metric_of(metric)
    looks = looks or Looks.of(table)
    rows, datasets = rows_of(table), names_in(table, "dataset")
    if len({row[1:3] for row in rows}) > KINDS:
        return None
    heights = _heights(rows)
    ticks = _ticks(rows, heights, labels)
    fold = 24 if len(ticks) == len(rows) else 30  # names of trainings leave less room
    last = max(heights.values(), default=0.0)
    figure, axes = panels(len(datasets), 0.17 * last + 1.27, extra=0.5)
    if not axes:
        return None
    for axis, dataset in zip(axes, datasets, strict=True):
        panel = table[table["dataset"] == dataset]
        axis.set_title(counted_title(labels.dataset(dataset), trained(panel)["n"], fold))
        _dots(axis, panel, heights, looks, meaning)
        _floor_lines(axis, panel, meaning, last)
        axis.xaxis.set_major_locator(MaxNLocator(4))
        axis.set_xlabel(direction(meaning))
        axis.set_yticks(list(ticks), list(ticks.values()))
        axis.set_ylim(last + LINE * (len(FLOOR_DASHES) + 1), -0.9)
        axis.tick_params(axis="y", length=0)
        axis.grid(visible=False, axis="y")
    kinds = {row[1:]: row for row in rows if row.mode != REFERENCE}.values()
    handles = [
        handle(markersize=7, linewidth=1.8, label=labels.kind(row, rows),
            **looks.of_row(*row[:3]).marks(),
        )
        for row in kinds if len(ticks) < len(rows)
    ]  # fmt: skip
    drawn = {line.get_gid() for axis in axes for line in axis.lines}
    handles += [
        handle(color="0.35", linestyle=dash, label=UNTRAINED[name])
        for name, dash in FLOOR_DASHES.items()
        if name in drawn
    ]
    if handles:
        legend(figure, handles)
    return figure


def _ticks(rows: Sequence[Row], heights: Mapping[Row, float], labels: Labels) -> dict[float, str]:
    """What stands left of which height: of several networks their names, of one its trainings."""
    own = [row for row in rows if row.mode != REFERENCE]
    if len({row.network for row in own}) == 1:
        return {
            height: labels.kind(row, own) if row in own else labels.network(row.network)
            for row, height in heights.items()
        }
    found: dict[str, list[float]] = {}
    for row, height in heights.items():
        found.setdefault(labels.network(row.network), []).append(height)
    return {float(np.mean(places)): name for name, places in found.items()}


def _heights(rows: Sequence[Row]) -> dict[Row, float]:
    """Where each row is drawn: one below the other, with room between two networks."""
    found: dict[Row, float] = {}
    for before, row in zip([None, *rows], rows, strict=False):
        last = max(found.values(), default=-1.0)
        apart = before is not None and before.network != row.network
        found[row] = last + (1.9 if apart else 1.0)
    return found


def _dots(
    axis: Axes, panel: pd.DataFrame, heights: Mapping[Row, float], looks: Looks, meaning: Metric
) -> None:
    """A dot with its interval for each row."""
    cells = {(cell["network"], cell["mode"], cell["sampler"]): cell for _, cell in panel.iterrows()}
    edge = far_edge(trained(panel)["mean"], meaning.better)
    outside: list[tuple[float, float, Row]] = []
    shown: list[float] = []
    for row, height in heights.items():
        if row[:3] not in cells:
            continue
        cell, look = cells[row[:3]], looks.of_row(*row[:3])
        if meaning.better * (edge - cell["mean"]) > 0:
            outside.append((float(cell["mean"]), height, row))
            continue
        ends = [cell["low"], cell["high"]]
        shown += [value for value in (*ends, cell["mean"]) if np.isfinite(value)]
        axis.plot(ends, [height, height], color=look.colour, linewidth=1.8)
        axis.plot(
            [cell["mean"]], [height], linestyle="", markersize=7, **look.marks(),
            gid=f"{row.network} {row.mode} {row.sampler}",
        )  # fmt: skip
    low, high = _range(shown, panel)
    axis.set_xlim(low, high)
    right = meaning.better < 0
    for value, height, row in outside:
        look = looks.of_row(*row[:3])
        place = axis.get_xlim()[int(right)]
        axis.plot(
            [place], [height], linestyle="", markersize=7, clip_on=False, zorder=3, **look.marks(),
            gid=f"{row.network} {row.mode} {row.sampler}",
        )  # fmt: skip
        text = number(value, meaning.digits)
        text = f"{text} →" if right else f"← {text}"
        _beside(axis, text, (place, height), 7, right=right, gid="outside", color="0.25")


def _range(shown: Sequence[float], panel: pd.DataFrame) -> tuple[float, float]:
    """Ends of the axis: all that is drawn of the rows, and the floors that are not far from it."""
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    width = max(high - low, 1e-3)
    floors = panel["mean"][panel["network"].isin(FLOOR_DASHES)].astype(float)
    near = floors[(floors >= low - FAR * width) & (floors <= high + FAR * width)]
    low, high = min([low, *near]), max([high, *near])
    return low - 0.07 * width, high + 0.07 * width


def _floor_lines(axis: Axes, panel: pd.DataFrame, metric: Metric, last: float) -> None:
    """What is reached without a network as lines, or as an arrow at the frame if it is far away.

    Their numbers stand in lines of their own below the last row.
    """
    low, high = axis.get_xlim()
    for line, (name, dash) in enumerate(FLOOR_DASHES.items(), start=1):
        for value in panel["mean"][panel["network"] == name].astype(float):
            if not np.isfinite(value):
                continue
            text, inside = number(value, metric.digits), low <= value <= high
            place, right = value, value > (low + high) / 2
            if inside:
                axis.axvline(value, color="0.35", linewidth=1.3, linestyle=dash, gid=name)
            else:
                words = f"{UNTRAINED[name]} {text}"
                text = f"{words} →" if right else f"← {words}"
                place = high if right else low
            _beside(
                axis,
                text,
                (place, last + LINE * line),
                4,
                right=right,
                gid=f"number of {name}",
                color="0.3",
            )


def _beside(
    axis: Axes, text: str, place: tuple[float, float], away: float, *, right: bool, **keywords: Any
) -> None:
    """A text beside a place, so many points to the left of it if that is at the right."""
    axis.annotate(
        text, place, xytext=(-away if right else away, 0), textcoords="offset points", fontsize=8,
        va="center", ha="right" if right else "left",
        bbox={"facecolor": "white", "pad": 0.6, "linewidth": 0}, **keywords,
    )  # fmt: skip


@figure(
    "Training",
    "Validation loss of each training, a line a seed; the star is the chosen checkpoint. Losses "
    "of different modes are different quantities: compare shapes, not heights.",
    "Look at whether the star lies at the right end: that training had not finished learning.",
)
def training(
    history: pd.DataFrame, labels: Labels = PLAIN, looks: Looks | None = None
) -> Figure | None:
    """Validation loss and chosen checkpoint: a panel a dataset and network, a line a training."""
    looks = looks or Looks.of(history)
    cells, modes = cells_of(history, labels), names_in(history, "mode")
    if history["dataset"].nunique() > DATASETS or len(modes) > KINDS:
        return None
    figure, axes = panels(len(cells), 1.75, extra=0.6, across=4)
    if not axes:
        return None
    for axis, (dataset, network, _, panel) in zip(axes, cells, strict=True):
        for mode in modes:
            for _, one in panel[panel["mode"] == mode].groupby("seed"):
                _history(axis, one, looks, mode)
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        title = f"{folded(labels.dataset(dataset), 30)}\n{labels.network(network)}"
        axis.set_title(title, fontsize=8.5)
    losses = history[history["name"] == "val_loss"]["value"]
    if losses.max() > DECADE * losses.min() > 0:
        for axis in axes:
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_locator(NullLocator())
    for place, axis in enumerate(axes):
        if place % 4 == 0:
            axis.set_ylabel("validation loss")
        if place + 4 >= len(axes):
            axis.set_xlabel("training step")
    handles = [
        handle(label=labels.mode(mode), markersize=5, **looks.mode(mode).marks()) for mode in modes
    ]
    star = handle(color="0.4", marker="*", markersize=10, linestyle="", label="chosen")
    legend(figure, [*handles, star])
    return figure


def _history(axis: Axes, one: pd.DataFrame, looks: Looks, mode: str) -> None:
    """Validation losses of one training, and the chosen one."""
    look = looks.mode(mode)
    lines: dict[str, dict[str, Any]] = {
        "val_loss": {"linewidth": 1.4, "markersize": 3.5},
        "chosen": {
            "linestyle": "", "marker": "*", "markersize": 11, "markeredgecolor": "black",
            "markeredgewidth": 0.7, "zorder": 4,
        },
    }  # fmt: skip
    for name, keywords in lines.items():
        rows = one[one["name"] == name].sort_values("step")
        if len(rows):
            axis.plot(rows["step"], rows["value"], gid=f"{mode} {name}", **look.marks() | keywords)


@figure(
    "Calibration",
    "Reliability over {region}, cases pooled: share of foreground against mean probability. "
    "Numbers: ECE pooled over pixels. Bins with less than 0.1 % of the pixels are left out.",
    "Look at which curve keeps nearer to the diagonal.",
    rank=50,
    each={"region": ("all", "band")},
)
def reliability(
    reliability: pd.DataFrame,
    region: str = "all",
    labels: Labels = PLAIN,
    looks: Looks | None = None,
    draws: pd.DataFrame | None = None,
) -> Figure | None:
    """Reliability diagrams: a column a dataset, a row a network, a line a training.

    Baselines share a row. Of several networks the usual sampler of each mode is drawn, of a single
    one as many further samplers and readings as a diagram holds. Numbers of draws, the table
    `draws`, have a figure of their own.
    """
    looks = looks or Looks.of(reliability)
    table = trained(reliability[reliability["region"] == region])
    table = table if draws is None else principal(table, draws)
    datasets = names_in(table, "dataset")
    groups = _groups(rows_of(table))
    if len(datasets) > DATASETS:
        return None
    blocks = [datasets[start : start + ACROSS] for start in range(0, len(datasets), ACROSS)]
    lines = [(block, group) for block in blocks for group in groups]
    across = max(map(len, blocks), default=1)
    figure = Figure(figsize=(WIDTH / ACROSS * max(across, 2), 2.1 * max(1, len(lines)) + 0.9))
    if not lines:
        return None
    grid = figure.subplots(len(lines), across, squeeze=False, sharex=True, sharey=True)
    drawn: dict[str, Line2D] = {}
    for place, ((block, group), axes) in enumerate(zip(lines, grid, strict=True)):
        for axis in axes[len(block) :]:
            axis.set_visible(False)
        for axis, dataset in zip(axes, block, strict=False):
            _diagram(axis, table[table["dataset"] == dataset], group, labels, looks, drawn)
            if group is groups[0]:
                axis.set_title(folded(labels.dataset(dataset), 32))
            if place == len(lines) - 1:
                axis.set_xlabel("mean probability")
        head = "baselines" if group[0].mode == REFERENCE else labels.network(group[0].network)
        axes[0].set_ylabel(f"{head}\nshare of foreground")
    legend(figure, list(drawn.values()))
    return figure


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of each network that a diagram holds, those of all baselines together."""
    usual = headline_rows(rows)
    several = len({row.network for row in rows if row.mode != REFERENCE}) > 1
    found: dict[str, list[Row]] = {}
    for row in usual if several else sorted(rows, key=lambda row: row not in usual):
        group = found.setdefault("" if row.mode == REFERENCE else row.network, [])
        if len(group) < LINES:
            group.append(row)
    return sorted(found.values(), key=lambda group: group[0].mode == REFERENCE)


def _diagram(
    axis: Axes,
    panel: pd.DataFrame,
    rows: Sequence[Row],
    labels: Labels,
    looks: Looks,
    drawn: dict[str, Line2D],
) -> None:
    """One reliability diagram with the pooled ECE of each line; what is new goes into `drawn`."""
    axis.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    errors = []
    for row in rows:
        one = panel[(panel["network"] == row.network) & (panel["sampler"] == row.sampler)]
        one = one[(one["mode"] == row.mode) & (one["count"] > 0)].sort_values("bin")
        if one.empty:
            continue
        look = looks.of_row(*row[:3])
        seen = one[one["count"] >= SEEN * one["count"].sum()]
        keywords: dict[str, Any] = look.marks() | look.lines() | {"linewidth": 1.3, "markersize": 4}
        axis.plot(
            seen["confidence"], seen["frequency"],
            gid=f"{row.network} {row.mode} {row.sampler}", **keywords,
        )  # fmt: skip
        errors.append((number(pooled_ece(one), 3), look.colour))
        title = labels.network(row.network) if row.mode == REFERENCE else labels.row(row)
        drawn.setdefault(title, handle(label=title, **keywords))
    for place, (text, colour) in enumerate(reversed(errors)):
        axis.text(
            0.98, 0.03 + 0.08 * place, text, transform=axis.transAxes, ha="right", fontsize=8,
            color=colour, fontweight="bold", gid="pooled ECE",
        )  # fmt: skip
    ticks = [0, 0.5, 1]
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=ticks, yticks=ticks)
    axis.set_xticklabels([f"{tick:g}" for tick in ticks])
    axis.set_yticklabels([f"{tick:g}" for tick in ticks])


def pooled_ece(curve: pd.DataFrame) -> float:
    """Expected calibration error of the non-empty bins of a reliability curve."""
    gap = (curve["confidence"] - curve["frequency"]).abs()
    return float((curve["count"] * gap).sum() / curve["count"].sum())


@figure(
    "Cases",
    "Test cases with the reference (contour): the image, the mean probability of each training, "
    "and below it the standard deviation of the draws of a pixel, where there are several.",
    "Look at where the spread is: along boundaries it is doubt about the outline, inside it is "
    "doubt about the object.",
    rank=90,
)
def examples(cases: Sequence[Case], labels: Labels = PLAIN) -> Figure | None:
    """Cases side by side, what is shown of them below each other."""
    kinds = list(
        dict.fromkeys((one.network, one.mode, one.sampler) for case in cases
                      for one in case.predictions)
    )  # fmt: skip
    spread = {kind for kind in kinds for case in cases
              if (found := _of(case, kind)) is not None and found.number > 1}  # fmt: skip
    rows: list[tuple[tuple[str, str, str] | None, str]] = [(None, "image")]
    for kind in kinds:
        rows.append((kind, labels.mode(kind[1])))
        rows += [(kind, "standard deviation")] if kind in spread else []
    side = min(1.3, (WIDTH - 1.6) / max(1, len(cases)))
    figure = Figure(figsize=(side * len(cases) + 1.6, side * len(rows) + 1.1))
    if not cases:
        return None
    grid = figure.subplots(len(rows), len(cases), squeeze=False)
    shades: dict[int, AxesImage] = {}
    for (shown, title), axes in zip(rows, grid, strict=True):
        part = int(title == "standard deviation")
        for axis, case in zip(axes, cases, strict=True):
            axis.set(xticks=[], yticks=[])
            axis.grid(visible=False)
            axis.spines[:].set_visible(False)
            if shown is None:
                axis.imshow(case.image)
                axis.set_title(
                    f"{folded(labels.dataset(case.dataset), 16)}\n{case.case}", fontsize=8
                )
            elif (found := _of(case, shown)) is not None:
                values = (found.spread if part else found.mean) / 255
                shade = axis.imshow(
                    values, cmap=("gray", "cividis")[part], vmin=0, vmax=(1.0, 0.5)[part],
                    interpolation="nearest",
                )  # fmt: skip
                shades.setdefault(part, shade)
            if 0 < case.mask.mean() < 1:
                axis.contour(case.mask, levels=[0.5], colors="#D55E00", linewidths=1)
        axes[0].set_ylabel(folded(title, 18), rotation=0, ha="right", va="center", fontsize=8.5)
    for part, shade in shades.items():
        bar = figure.colorbar(shade, ax=list(grid.flat), location="bottom", shrink=0.6, aspect=40,
                              pad=0.02)  # fmt: skip
        bar.set_label(("mean probability", "standard deviation of the draws")[part])
    return figure


def _of(case: Case, kind: tuple[str, str, str]) -> Prediction | None:
    return next((one for one in case.predictions if one[:3] == kind), None)
