"""Figure of calibration against N, the draws whose mean is scored."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from noise2mask.evaluation.labels import Labels, metric_of, modes_in, names_in
from noise2mask.report.figures.style import (
    ACROSS,
    MODE_LOOKS,
    NETWORK_LOOKS,
    Look,
    cycled,
    empty,
    folded,
    legend,
    mode_looks,
    panels,
    styled,
)

Key = tuple[str, str]
"""A network and one of its modes."""

SHOWN = ("dataset", "network", "mode", "sampler", "metric", "mean")
"""Columns of what stands beside."""
FLOOR = (0, (5, 2))
BESIDE = ((0, (1, 1.2)), (0, (4, 1.2, 1, 1.2)), (0, (1, 3)), (0, (8, 2, 1, 2, 1, 2)))
"""Lines of what does not depend on N."""


@styled
def calibration(
    table: pd.DataFrame,
    beside: pd.DataFrame | None = None,
    region: Literal["all", "band"] = "all",
    labels: Labels | None = None,
) -> Figure:
    """Pooled ECE against N: a panel a dataset, a line a network and mode; vertical axes differ.

    The band is the interval. Dashed in the same colour is the floor, what a perfect sampler of N
    draws shows. What is scored at one N only is a horizontal line across the panel, with its N in
    the legend.

    Args:
        table: the table `draws`.
        beside: rows of the table `summary` of what is to be compared, such as one pass, an ensemble
            or scaled probabilities; those of other metrics and datasets are not shown.
        region: all pixels, or those about the boundary.
        labels: names to be shown; N of what stands beside is among them.
    """
    labels, metric = labels or Labels(), _metric(region)
    rows = table[table["region"] == region]
    other = pd.DataFrame(columns=list(SHOWN)) if beside is None else beside[list(SHOWN)]
    other = other[(other["metric"] == metric) & other["dataset"].isin(rows["dataset"])]
    looks, datasets = _looks(rows, other), names_in(rows, "dataset")
    kinds = list(dict.fromkeys(zip(other["mode"], other["sampler"], strict=True)))
    lines = {kind: BESIDE[place % len(BESIDE)] for place, kind in enumerate(kinds)}
    figure, axes = panels(len(datasets), 2.7, extra=1.0, same_y=False)
    if not axes:
        return empty(figure, "no scores of several numbers of draws yet")
    for place, (axis, dataset) in enumerate(zip(axes, datasets, strict=True)):
        axis.set_title(folded(labels.dataset(dataset), 34))
        for (network, mode), look in looks.items():
            _line(axis, _of(rows, dataset, network, mode), look, f"{network} {mode}")
            values = _of(other, dataset, network, mode)
            for sampler, mean in zip(values["sampler"], values["mean"], strict=True):
                axis.axhline(
                    mean, color=look.colour, linewidth=1.5, linestyle=lines[mode, sampler],
                    gid=f"{network} {mode} {sampler}",
                )  # fmt: skip
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_locator(FixedLocator(sorted(set(rows["draws"]))))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_locator(MaxNLocator(5))
        axis.set_ylim(bottom=0)
        axis.set_xlabel("draws N")
        if place % ACROSS == 0:
            axis.set_ylabel(metric_of(metric).title)
    legend(figure, _handles(rows, looks, lines, labels))
    return figure


def _metric(region: str) -> str:
    return "ece_pooled" if region == "all" else f"ece_{region}_pooled"


def _looks(rows: pd.DataFrame, other: pd.DataFrame) -> dict[Key, Look]:
    """By mode with one network, by network with one line each, else by both."""
    keys: list[Key] = []
    for part in (rows, other):
        keys += list(dict.fromkeys(zip(part["network"], part["mode"], strict=True)))
    keys = list(dict.fromkeys(keys))
    networks = list(dict.fromkeys(network for network, _ in keys))
    if len(networks) == 1:
        of_modes = mode_looks(modes_in(pd.concat([rows[["network", "mode"]], other])))
        return {key: of_modes[key[1]] for key in keys}
    if rows.groupby("network")["mode"].nunique().max() == 1:
        of_networks = cycled(NETWORK_LOOKS, networks)
        return {key: of_networks[key[0]] for key in keys}
    return {key: MODE_LOOKS[place % len(MODE_LOOKS)] for place, key in enumerate(keys)}


def _of(table: pd.DataFrame, dataset: str, network: str, mode: str) -> pd.DataFrame:
    names = table[["dataset", "network", "mode"]]
    return table[(names == [dataset, network, mode]).all(axis=1)]


def _line(axis: Axes, line: pd.DataFrame, look: Look, name: str) -> None:
    if line.empty:
        return
    line = line.drop_duplicates("draws").sort_values("draws")
    n = line["draws"].to_numpy(dtype=np.float64)
    low, high = line["ece_pooled_low"], line["ece_pooled_high"]
    axis.fill_between(n, low, high, color=look.colour, alpha=0.15, linewidth=0)
    axis.plot(
        n, line["ece_pooled"], color=look.colour, linewidth=1.7, marker=look.marker, markersize=5.5,
        gid=name,
    )  # fmt: skip
    if line["floor"].notna().any():
        axis.plot(
            n, line["floor"], color=look.colour, linewidth=1.2, linestyle=FLOOR,
            gid=f"{name} floor",
        )  # fmt: skip


def _handles(
    rows: pd.DataFrame,
    looks: Mapping[Key, Look],
    lines: Mapping[tuple[str, str], tuple[float, tuple[float, ...]]],
    labels: Labels,
) -> list[Line2D | Patch]:
    """What the legend shows."""
    one = len({network for network, _ in looks}) == 1
    found: list[Line2D | Patch] = []
    for network, mode in dict.fromkeys(zip(rows["network"], rows["mode"], strict=True)):
        look, title = looks[network, mode], labels.mode(mode)
        title = title if one else f"{labels.network(network)}, {title}"
        found.append(
            Line2D([], [], color=look.colour, marker=look.marker, markersize=5.5, label=title)
        )
    for (mode, sampler), style in lines.items():
        colours = {look.colour for key, look in looks.items() if key[1] == mode}
        colour = colours.pop() if one else "0.4"
        drawn = labels.drawn([sampler])
        title = ", ".join(filter(None, [f"{labels.mode(mode)} ({sampler})", drawn]))
        found.append(Line2D([], [], color=colour, linestyle=style, linewidth=1.5, label=title))
    if rows["floor"].notna().any():
        label = "floor: perfect masks"
        found.append(Line2D([], [], color="0.4", linestyle=FLOOR, linewidth=1.2, label=label))
    found.append(Patch(color="0.4", alpha=0.25, linewidth=0, label=labels.interval()))
    return found
