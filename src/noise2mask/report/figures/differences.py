"""Paired differences as forest plots: diffusion against feed-forward, contrasts, quirks.

All are drawn by :func:`forest` from the same columns: `difference`, its interval `low` to `high`,
and `p_holm`, by which a mark is filled.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from noise2mask.evaluation.differences import PLANNED, planned
from noise2mask.evaluation.labels import (
    HEADLINE,
    Labels,
    Metric,
    counted,
    metric_of,
    names_in,
)
from noise2mask.report.figures.index import figure
from noise2mask.report.figures.looks import CONTRAST, KNOWN, Look, Looks
from noise2mask.report.figures.style import (
    PLAIN,
    cells_of,
    counted_title,
    folded,
    handle,
    legend,
    panels,
)
from noise2mask.report.tables import signed

LOSSES: Mapping[str, Sequence[Look]] = {
    "own": (CONTRAST,),
    "matched": (Look("#5F5F5F", "s"), Look("#CC79A7", "D"), Look("#009E73", "^")),
}
"""Of comparisons of two modes, by what is told of their losses."""
NAMES = 34
"""Letters in a line left of the panels."""


class Mark(NamedTuple):
    """One difference in a panel.

    Attributes:
        row: number of its row.
        difference: with `low` and `high`, its interval.
        low: nan if there is none.
        high: see `low`.
        filled: whether it is beyond chance.
        look: colour and marker.
        shift: from the middle of its row.
        name: for those who look for it in the figure.
    """

    row: int
    difference: float
    low: float
    high: float
    filled: bool
    look: Look = CONTRAST
    shift: float = 0.0
    name: str = ""


def forest(axis: Axes, marks: Sequence[Mark], rows: Sequence[str], *, numbers: int | None) -> None:
    """Draw differences with their intervals about a line at 0.

    `rows` are named from above; `numbers` are the decimals of what is written at their right ends,
    None writes nothing.
    """
    for mark in marks:
        height, colour = mark.row + mark.shift, mark.look.colour
        axis.plot([mark.low, mark.high], [height, height], color=colour, linewidth=1.8)
        axis.plot(
            [mark.difference], [height], color=colour, marker=mark.look.marker, markersize=6.5,
            linestyle="", markerfacecolor=colour if mark.filled else "white", gid=mark.name,
        )  # fmt: skip
        if numbers is not None and np.isfinite(mark.difference):
            axis.annotate(
                signed(mark.difference, numbers).replace("-", "−"), (1.0, height),
                xycoords=("axes fraction", "data"), xytext=(-2, 0), textcoords="offset points",
                ha="right", va="center", fontsize=8, color="0.25",
            )  # fmt: skip
    axis.axvline(0, color="0.2", linewidth=1.1)
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.set_yticks(range(len(rows)), rows)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")


@figure(
    "Contrasts",
    "Diffusion minus feed-forward: one architecture, paired by test case, with {interval}. Filled: "
    "beyond chance after Holm's correction.",
    "Look at how many filled marks lie on each side.",
    rank=10,
)
def comparison(comparisons: pd.DataFrame, labels: Labels = PLAIN) -> Figure | None:
    """Diffusion minus feed-forward: a panel a metric, a row a dataset and network.

    Where both were trained with one loss too, that difference stands below the other.

    The axis of a metric of which less is better runs from right to left.
    """
    table = planned(comparisons)
    series = _series(table)
    metrics = [name for name in HEADLINE if name in set(table["metric"])]
    pairs = list(dict.fromkeys(zip(table["dataset"], table["network"], strict=True)))
    names = [f"{labels.dataset(one)}, {labels.network(two)}" for one, two in pairs]
    if any(len(name) > NAMES for name in names):  # then all are broken alike
        names = [
            folded(name, min(NAMES, len(name) - 1) if " (for " in name else NAMES) for name in names
        ]
    lines = max([len(series), *(name.count("\n") + 1 for name in names)])
    figure, axes = panels(
        len(metrics), (0.1 + 0.16 * lines) * len(pairs) + 1.0, extra=0.35, across=len(metrics)
    )
    if not axes:
        return None
    for axis, metric in zip(axes, metrics, strict=True):
        rows = table[table["metric"] == metric]
        marks = []
        for _, row in rows.iterrows():
            mark = _mark(row, pairs.index((row["dataset"], row["network"])))
            number = list(series).index((row["loss"], row["first"], row["second"]))
            shift = min(0.3, 0.7 / len(series)) * (number - (len(series) - 1) / 2)
            look = series[row["loss"], row["first"], row["second"]]
            marks.append(mark._replace(look=look, shift=shift))
        forest(axis, marks, names, numbers=None)
        _sides(axis, metric_of(metric))
        turned = " (axis reversed)" if axis.xaxis_inverted() else ""
        axis.set_xlabel(f"{metric_of(metric).title}{turned}\ndiffusion minus feed-forward")
        for place in range(1, len(pairs)):
            if pairs[place][0] != pairs[place - 1][0]:
                axis.axhline(place - 0.5, color="0.75", linewidth=0.8)
    handles = [
        handle(linestyle="", markersize=6.5, label=label, **look.marks())
        for label, look in zip(_told(series, labels), series.values(), strict=True)
    ]
    several = len(series) > 1
    legend(figure, [*handles * several, *_handles(table, labels, filled=not several)])
    return figure


def _series(table: pd.DataFrame) -> dict[tuple[str, str, str], Look]:
    """The looks of the comparisons of a figure: its losses and the two modes, by loss."""
    found: dict[tuple[str, str, str], Look] = {}
    for loss, looks in LOSSES.items():
        rows = table[table["loss"] == loss].drop_duplicates(["first", "second"])
        for place, row in enumerate(rows.to_dict("records")):
            key = (loss, str(row["first"]), str(row["second"]))
            found[key] = looks[place % len(looks)]
    return found


def _told(series: Mapping[tuple[str, str, str], Look], labels: Labels) -> list[str]:
    """What a legend calls them: of one matched loss that it is one, of several which."""
    words = {"own": "each its own loss", "matched": "both one loss"}
    several = sum(loss == "matched" for loss, _, _ in series) > 1
    return [
        f"{labels.mode(first)} − {labels.mode(second)}"
        if several and loss == "matched"
        else words[loss]
        for loss, first, second in series
    ]


@figure(
    "Contrasts",
    "{metric} of the first training minus that of the second, paired by test case, with "
    "{interval}; filled: beyond chance after Holm's correction. All panels have one axis.",
    "Look at which rows are far from 0 and which are near it: with one axis for all, what decides "
    "stands out.",
    rank=11,
    each={"metric": PLANNED},
)
def contrasts(contrasts: pd.DataFrame, metric: str, labels: Labels = PLAIN) -> Figure | None:
    """First minus second training: a panel a dataset and network, a row a contrast.

    Of several samplers that both have, the first is shown. Right is always better for the first:
    the axis of a metric of which less is better runs from right to left.
    """
    meaning, rows = metric_of(metric), contrasts[contrasts["metric"] == metric]
    rows = rows.drop_duplicates(["dataset", "network", "first", "second"])
    pairs = _grouped(list(dict.fromkeys(zip(rows["first"], rows["second"], strict=True))))
    cells = cells_of(rows, labels)
    names = [_minus(labels.mode(one), labels.mode(two)) for one, two in pairs]
    lines = sum(name.count("\n") + 1 for name in names)
    figure, axes = panels(len(cells), 0.1 * len(names) + 0.15 * lines + 1.0, extra=0.35)
    if not axes:
        return None
    for axis, cell in zip(axes, cells, strict=True):
        marks = [
            _mark(row, pairs.index((row["first"], row["second"])))
            for _, row in cell.rows.iterrows()
        ]
        forest(axis, marks, names, numbers=meaning.digits)
        axis.set_title(counted_title(cell.title, cell.rows["n"], 26))
        low, high = _range(rows, 0.35 if meaning.better >= 0 else -0.35)
        axis.set_xlim((high, low) if meaning.better < 0 else (low, high))
        turned = " (axis reversed)" if meaning.better < 0 else ""
        axis.set_xlabel(f"{meaning.title}{turned}\nfirst is better →")
        for place in range(1, len(pairs)):
            if pairs[place][1] != pairs[place - 1][1]:
                axis.axhline(place - 0.5, color="0.75", linewidth=0.8)
    legend(figure, _handles(rows, labels))
    return figure


@figure(
    "Quirks",
    "What published codes do to their own {metric}: published minus proper in points (hundredths), "
    "with {interval}; filled: beyond chance.",
    "Look at quirks that move a score by as much as papers report between methods.",
    rank=5,
    each={"metric": ("dice", "iou", "ece")},
)
def quirks(
    quirks: pd.DataFrame, metric: str, labels: Labels = PLAIN, looks: Looks | None = None
) -> Figure | None:
    """Published minus proper in points: a panel a dataset, a row a quirk; all axes are equal."""
    looks = looks or Looks.of(quirks)
    rows = quirks[quirks["metric"] == metric]
    names, datasets = names_in(rows, "quirk"), names_in(rows, "dataset")
    titles = dict(zip(rows["quirk"], rows["title"], strict=True))
    shown = [folded(titles[name], NAMES - 6) for name in names]
    lines = sum(max(1.5, title.count("\n") + 1) for title in shown)
    figure, axes = panels(len(datasets), 0.1 * len(names) + 0.16 * lines + 0.9, extra=0.4)
    if not axes:
        return None
    series = list(dict.fromkeys(zip(rows["network"], rows["mode"], rows["sampler"], strict=True)))
    apart = min(0.24, 0.8 / len(series))
    points = rows.assign(**{name: 100 * rows[name] for name in ("difference", "low", "high")})
    for axis, dataset in zip(axes, datasets, strict=True):
        panel = points[points["dataset"] == dataset]
        marks = []
        for _, row in panel.iterrows():
            one = (row["network"], row["mode"], row["sampler"])
            marks.append(
                Mark(
                    names.index(row["quirk"]), row["difference"], row["low"], row["high"],
                    _sure(row), looks.of_row(*one),
                    apart * (series.index(one) - (len(series) - 1) / 2),
                    f"{dataset} {row['quirk']} {' '.join(one)}",
                )
            )  # fmt: skip
        forest(axis, marks, shown, numbers=None)
        axis.set_title(counted_title(labels.dataset(dataset), panel["n"], 30))
        axis.set_xlim(_range(points, 0))
        axis.set_xlabel(f"{metric_of(metric).title} points")
    handles = []
    for network, mode, sampler in series:
        title = [labels.network(network)] if len({one[0] for one in series}) > 1 else []
        title += [labels.mode(mode)]
        title += [sampler] if sum(one[:2] == (network, mode) for one in series) > 1 else []
        look = looks.of_row(network, mode, sampler)
        handles.append(handle(linestyle="", markersize=6.5, label=", ".join(title), **look.marks()))
    label = labels.interval()
    legend(figure, [*handles, handle(color="0.4", linewidth=1.8, label=label)])
    return figure


def _mark(row: "pd.Series[Any]", place: int) -> Mark:
    """A row of a table of differences; filled if it is beyond chance."""
    sure = _sure(row)
    return Mark(
        place, row["difference"], row["low"], row["high"], sure,
        name="significant" if sure else "undecided",
    )  # fmt: skip


def _sure(row: "pd.Series[Any]") -> bool:
    """Whether the verdict names a side."""
    return str(row["verdict"]).split(" ")[0] in ("first", "second")


def _minus(first: str, second: str) -> str:
    """A difference in words, on two lines where one is too short."""
    one_line = f"{first} − {second}"
    return one_line if len(one_line) <= NAMES else f"{folded(first, NAMES)}\n− {second}"


def _grouped(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Contrasts against one training together."""
    seconds = list(dict.fromkeys(second for _, second in pairs))
    return sorted(pairs, key=lambda pair: seconds.index(pair[1]))


def _sides(axis: Axes, metric: Metric) -> None:
    """The side of each mode; of a metric where less is better the axis turns."""
    reach = max(map(abs, axis.get_xlim()))
    axis.set_xlim((reach, -reach) if metric.better < 0 else (-reach, reach))
    if metric.better:
        for start, stop, mode in ((0.0, 0.5, "feed_forward"), (0.5, 1.0, "diffusion")):
            axis.axvspan(
                *(-reach + 2 * reach * np.array([start, stop])) * metric.better,
                color=KNOWN[mode].colour, alpha=0.09, linewidth=0, zorder=0,
            )  # fmt: skip
        axis.set_title("← favours feed-forward", loc="left", fontsize=8.5)
        axis.set_title("favours diffusion →", loc="right", fontsize=8.5)


def _range(rows: pd.DataFrame, room: float) -> tuple[float, float]:
    """Ends of the axes: every interval, 0, and for numbers a share of room on one side."""
    found = rows[["difference", "low", "high"]].to_numpy(dtype=np.float64)
    values = np.append(found[np.isfinite(found)], 0)
    width = max(float(np.ptp(values)), 1e-6)
    low, high = float(values.min()) - 0.06 * width, float(values.max()) + 0.06 * width
    return low + min(room, 0) * width, high + max(room, 0) * width


def _handles(rows: pd.DataFrame, labels: Labels, *, filled: bool = True) -> list[Line2D]:
    """What a legend of differences shows; `filled` marks too, unless others stand beside them."""
    tested = rows["verdict"].fillna("") != ""
    colour = CONTRAST.colour if filled else "0.35"
    faces = {"beyond chance (Holm)": colour} if filled else {}
    faces |= {"undecided" if filled else "open: undecided": "white"}
    mark = {"color": colour, "marker": "o", "markersize": 6.5, "linestyle": ""}
    faces = faces if tested.any() else {"not tested": "white"}
    found = [handle(markerfacecolor=face, label=label, **mark) for label, face in faces.items()]
    label = f"{labels.interval()}, {counted(rows['n'])}"
    return [*found, handle(color=colour, linewidth=1.8, label=label)]
