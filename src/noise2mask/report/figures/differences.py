"""Figure of what published codes do to their own numbers, a pure function of the table `quirks`."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from noise2mask.evaluation.labels import Labels, counted, headed, metric_of, names_in
from noise2mask.report.figures.style import (
    MODE_LOOKS,
    cycled,
    empty,
    folded,
    legend,
    panels,
    styled,
)

Series = tuple[str, str, str]
"""A network, one of its modes and a sampler."""


@styled
def quirks(table: pd.DataFrame, metric: str, labels: Labels | None = None) -> Figure:
    """Published minus proper in points: a panel a dataset, a row a quirk; all axes are equal.

    A marker is filled where the interval excludes 0.

    Args:
        table: the table `quirks`.
        metric: name of a metric in it.
        labels: names to be shown.
    """
    labels = labels or Labels()
    rows = table[table["metric"] == metric]
    names, datasets = names_in(rows, "quirk"), names_in(rows, "dataset")
    titles = dict(zip(rows["quirk"], rows["title"], strict=True))
    shown = [folded(titles[name], 28) for name in names]
    lines = sum(max(1.5, title.count("\n") + 1) for title in shown)
    figure, axes = panels(len(datasets), 0.1 * len(names) + 0.17 * lines + 0.9, extra=0.5)
    if not axes:
        return empty(figure, f"no quirk of {metric_of(metric).title} yet")
    series = list(dict.fromkeys(zip(rows["network"], rows["mode"], rows["sampler"], strict=True)))
    looks = cycled(MODE_LOOKS, list(map(str, series)))
    apart = min(0.24, 0.8 / len(series))
    for axis, dataset in zip(axes, datasets, strict=True):
        panel = rows[rows["dataset"] == dataset]
        for _, cell in panel.iterrows():
            one = (cell["network"], cell["mode"], cell["sampler"])
            offset = apart * (series.index(one) - (len(series) - 1) / 2)
            height, look = names.index(cell["quirk"]) + offset, looks[str(one)]
            ends = [100 * cell["low"], 100 * cell["high"]]
            clear = cell["low"] > 0 or cell["high"] < 0
            axis.plot(ends, [height, height], color=look.colour, linewidth=1.8)
            axis.plot(
                [100 * cell["difference"]], [height], color=look.colour, marker=look.marker,
                markersize=6.5, markerfacecolor=look.colour if clear else "white", linestyle="",
                gid=f"{dataset} {cell['quirk']} {' '.join(one)}",
            )  # fmt: skip
        axis.set_title(folded(headed(labels.dataset(dataset), counted(panel["n"])), 34), fontsize=9)
        axis.axvline(0, color="0.2", linewidth=1.1)
        axis.set_xlim(_range(rows))
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.set_yticks(range(len(names)), shown)
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.tick_params(axis="y", length=0)
        axis.grid(visible=False, axis="y")
        axis.set_xlabel(f"{metric_of(metric).title} points")
    legend(figure, _handles(series, labels))
    return figure


def _range(rows: pd.DataFrame) -> tuple[float, float]:
    """Ends of the axes: every interval, and 0."""
    found = 100 * rows[["difference", "low", "high"]].to_numpy(dtype=np.float64)
    values = np.append(found[np.isfinite(found)], 0)
    margin = max(0.06 * float(np.ptp(values)), 0.1)
    return float(values.min()) - margin, float(values.max()) + margin


def _handles(series: list[Series], labels: Labels) -> list[Line2D]:
    """What the legend shows; networks and samplers where there are several."""
    networks = {network for network, _, _ in series}
    found = []
    for one, look in cycled(MODE_LOOKS, list(map(str, series))).items():
        network, mode, sampler = next(each for each in series if str(each) == one)
        parts = [labels.network(network)] if len(networks) > 1 else []
        parts.append(labels.mode(mode))
        if sum(each[:2] == (network, mode) for each in series) > 1:
            parts.append(sampler)
        found.append(
            Line2D([], [], color=look.colour, marker=look.marker, linestyle="", markersize=6.5,
                   label=", ".join(parts))
        )  # fmt: skip
    return [*found, Line2D([], [], color="0.4", linewidth=1.8, label=labels.interval())]
