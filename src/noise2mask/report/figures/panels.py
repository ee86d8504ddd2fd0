"""What is drawn inside one panel of a figure."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from noise2mask.evaluation.labels import BLIND, Labels, Metric, Row, number, trained
from noise2mask.report.figures.style import Look, mode_looks

Prediction = tuple[npt.NDArray[np.floating], npt.NDArray[np.floating] | None]
"""Mean probability (H, W), and standard deviation of the draws if there are several."""

FAR = 0.6
"""An image-blind value this many widths of the networks' range outside it leaves the panel."""


def look_of(row: Row, looks: Mapping[str, Look]) -> dict[str, Any]:
    """Keywords of a line's marker and colour; open for a sampler that is not the usual one."""
    look = looks[row.mode]
    face = "white" if row.extra else look.colour
    return {"color": look.colour, "marker": look.marker, "markerfacecolor": face}


def dots(axis: Axes, panel: pd.DataFrame, rows: Sequence[Row], looks: Mapping[str, Look]) -> None:
    """A dot with its interval for each row, a network's rows about one height.

    Args:
        axis: where.
        panel: rows of a summary table, of one dataset and metric.
        rows: what is to be shown, grouped by network.
        looks: of modes.
    """
    networks = list(dict.fromkeys(row.network for row in rows))
    cells = {(cell["network"], cell["mode"], cell["sampler"]): cell for _, cell in panel.iterrows()}
    for place, network in enumerate(networks):
        group = [row for row in rows if row.network == network]
        apart = min(0.24, 0.96 / len(group))
        for order, row in enumerate(group):
            if row[:3] not in cells:
                continue
            cell = cells[row[:3]]
            height = place + apart * (order - (len(group) - 1) / 2)
            color = looks[row.mode].colour
            axis.plot([cell["low"], cell["high"]], [height, height], color=color, linewidth=1.8)
            axis.plot(
                [cell["mean"]], [height], linestyle="", markersize=7, **look_of(row, looks),
                gid=f"{network} {row.mode} {row.sampler}",
            )  # fmt: skip


def blind_line(axis: Axes, panel: pd.DataFrame, metric: Metric) -> None:
    """The image-blind prediction as a line, or as an arrow at the frame if it is far away."""
    shown = trained(panel)[["mean", "low", "high"]].to_numpy(dtype=np.float64)
    shown = shown[np.isfinite(shown)]
    low, high = (shown.min(), shown.max()) if shown.size else (0.0, 1.0)
    width = max(high - low, 1e-3)
    for _, cell in panel[panel["network"] == BLIND].iterrows():
        value = float(cell["mean"])
        if not np.isfinite(value):
            continue
        text = number(value, metric.digits)
        if low - FAR * width <= value <= high + FAR * width:
            low, high = min(low, value), max(high, value)
            axis.axvline(value, color="0.35", linewidth=1.3, linestyle=(0, (4, 2)), gid=BLIND)
            side = "left" if value < (low + high) / 2 else "right"
            offset = 4 if side == "left" else -4
            axis.annotate(
                text, (value, 0.01), xycoords=("data", "axes fraction"), color="0.3", fontsize=8.5,
                xytext=(offset, 1), textcoords="offset points", ha=side, va="bottom",
            )  # fmt: skip
        else:
            right = value > high
            words = f"image-blind {text} →" if right else f"← image-blind {text}"
            axis.text(
                0.99 if right else 0.01, 0.01, words, transform=axis.transAxes, color="0.3",
                fontsize=8.5, ha="right" if right else "left", va="bottom", gid=BLIND,
            )  # fmt: skip
    axis.set_xlim(low - 0.07 * width, high + 0.07 * width)


def difference(axis: Axes, cell: pd.Series, height: float, *, significant: bool) -> None:
    """One paired difference with its interval; filled if it is significant."""
    colour = "#0072B2"
    axis.plot([cell["low"], cell["high"]], [height, height], color=colour, linewidth=1.8)
    axis.plot(
        [cell["difference"]], [height], color=colour, marker="o", markersize=7, linestyle="",
        markerfacecolor=colour if significant else "white",
        gid="significant" if significant else "undecided",
    )  # fmt: skip


def halves(axis: Axes, metric: Metric) -> None:
    """Zero line, and the side of each mode; of a metric where less is better the axis turns."""
    reach = max(map(abs, axis.get_xlim()))
    axis.set_xlim((reach, -reach) if metric.better < 0 else (-reach, reach))
    axis.axvline(0, color="0.2", linewidth=1.1)
    if metric.better:
        looks = mode_looks(())
        for start, stop, mode in ((0.0, 0.5, "feed_forward"), (0.5, 1.0, "diffusion")):
            axis.axvspan(
                *(-reach + 2 * reach * np.array([start, stop])) * metric.better,
                color=looks[mode].colour, alpha=0.09, linewidth=0, zorder=0,
            )  # fmt: skip
        axis.set_title("← favours feed-forward", loc="left", fontsize=9)
        axis.set_title("favours diffusion →", loc="right", fontsize=9)


def curve(axis: Axes, training: pd.DataFrame, look: Look) -> None:
    """The history of one training: loss, validation loss, chosen checkpoint."""
    named = {name: rows.sort_values("step") for name, rows in training.groupby("name")}
    looks: dict[str, dict[str, Any]] = {
        "loss": {"linewidth": 0.8, "alpha": 0.65},
        "val_loss": {"linewidth": 1.8, "marker": look.marker, "markersize": 3.5},
        "chosen": {
            "linestyle": "", "marker": "*", "markersize": 13, "markeredgecolor": "black",
            "markeredgewidth": 0.8, "zorder": 4,
        },
    }  # fmt: skip
    for name, keywords in looks.items():
        if name in named:
            rows = named[name]
            axis.plot(rows["step"], rows["value"], color=look.colour, gid=name, **keywords)


def diagram(
    axis: Axes,
    counts: Axes,
    panel: pd.DataFrame,
    rows: Sequence[Row],
    looks: Mapping[str, Look],
    labels: Labels,
) -> None:
    """A reliability diagram, and below it the pixels in each bin.

    Args:
        axis: of the diagram.
        counts: of the bin counts.
        panel: rows of a reliability table, of one dataset, mode and region.
        rows: cells that may be in it.
        looks: of networks.
        labels: names to be shown.
    """
    axis.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    bins = int(panel["bin"].max()) + 1 if len(panel) else 1
    errors = []
    for row in rows:
        one = panel[(panel["network"] == row.network) & (panel["sampler"] == row.sampler)]
        one = one[(one["mode"] == row.mode) & (one["count"] > 0)].sort_values("bin")
        if one.empty:
            continue
        look = looks[row.network]
        keywords: dict[str, Any] = {"color": look.colour, "linestyle": look.line, "linewidth": 1.4}
        face = "white" if row.extra else look.colour
        axis.plot(
            one["confidence"], one["frequency"], marker=look.marker, markersize=4.5,
            markerfacecolor=face, gid=f"{row.network} {row.sampler}", **keywords,
        )  # fmt: skip
        heights = np.zeros(bins)
        heights[one["bin"]] = one["count"]
        counts.stairs(heights, np.linspace(0, 1, bins + 1), **keywords)
        errors.append(f"ECE {labels.line(row)} {number(pooled_ece(one), 3)}")
    if errors:
        axis.text(0.02, 0.99, "\n".join(errors), transform=axis.transAxes, va="top", fontsize=8.5)
    ticks = np.linspace(0, 1, 5)
    room = 1.1 + 0.115 * max(3, len(errors))
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, room), xticks=ticks, yticks=ticks)
    axis.tick_params(labelbottom=False)
    counts.set(xlim=(-0.02, 1.02), xticks=ticks, yscale="log", xlabel="mean probability")


def pooled_ece(curve: pd.DataFrame) -> float:
    """Expected calibration error of the non-empty bins of a reliability curve."""
    gap = (curve["confidence"] - curve["frequency"]).abs()
    return float((curve["count"] * gap).sum() / curve["count"].sum())


def handle(row: Row, looks: Mapping[str, Look], label: str) -> Line2D:
    """What a legend shows for a row."""
    return Line2D([], [], markersize=7, linewidth=1.8, label=label, **look_of(row, looks))


def shade(
    axis: Axes, prediction: Prediction | None, part: int, colours: str, top: float
) -> AxesImage | None:
    """One map of a prediction from 0 to `top`, or an empty panel where there is none."""
    values = None if prediction is None else prediction[part]
    if values is None:
        axis.set_axis_off()
        return None
    return axis.imshow(values, cmap=colours, vmin=0, vmax=top, interpolation="nearest")


def wrapped(title: str, labels: Labels) -> str:
    """The title of a prediction on several short lines."""
    mode, _, rest = title.partition(", ")
    return textwrap.fill(", ".join(filter(None, [labels.mode(mode), rest])), 15)
