"""What is drawn inside a panel of quality against a setting of the sampler, a line a mode."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from noise2mask.analysis.ablation import least
from noise2mask.evaluation.labels import Labels, Metric, modes_in
from noise2mask.report.figures.style import MODE_LOOKS, Look, mode_looks

GREY = "0.78"


class Along(NamedTuple):
    """The axis of a panel: the column it shows, and columns that must be equal along a line."""

    column: str
    equal: tuple[str, ...]


STEPS = Along("steps", ("draws",))
START = Along("start", ("draws", "steps"))


def chosen(rows: pd.DataFrame, better: int) -> dict[str, Look]:
    """The modes that get a look: all, or beyond the number of looks those with the best means.

    Modes that have a look in every figure are always among them and keep it; others take the look
    of such a mode only where it is not shown and the rest are not enough.

    Args:
        rows: of a table `sweeps`, of one metric.
        better: -1 if a lower mean is better.
    """
    modes, known = modes_in(rows), mode_looks(())
    if len(modes) > len(MODE_LOOKS):
        signed = rows.assign(mean=rows["mean"] * (better or 1))
        best = signed.groupby(["mode", "dataset", "network"])["mean"].max().groupby("mode").mean()
        ranked = sorted(modes, key=lambda mode: (mode not in known, -best[mode]))[: len(MODE_LOOKS)]
        modes = [mode for mode in modes if mode in ranked]
    room = sum(mode not in known for mode in modes) <= len(MODE_LOOKS) - len(known)
    kept = [look for mode, look in known.items() if room or mode in modes]
    free = iter(look for look in MODE_LOOKS if look not in kept)
    return {mode: known[mode] if mode in known else next(free) for mode in modes}


def parts(rows: pd.DataFrame, along: Along) -> list[pd.DataFrame]:
    """The lines of a mode, one for each kind of sampler, that with most points first.

    Samplers are of one kind if their names differ in digits only and what should be equal is. Of
    several points at one place the first of the table is taken.

    Args:
        rows: of a table `sweeps`, of one dataset, network, mode and metric.
        along: the axis.
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

    Args:
        looks: of modes.
        rows: all that is drawn.
        labels: names to be shown.
        rings: how near to the best a ring is, and of which metric; None without rings.
    """
    found = [
        Line2D(
            [], [], color=look.colour, marker=look.marker, linestyle=look.line, markersize=5,
            label=labels.mode(mode),
        )
        for mode, look in looks.items()
    ]  # fmt: skip
    others = len(set(modes_in(rows)) - set(looks))
    if others:
        found.append(Line2D([], [], color=GREY, marker=".", label=f"{others} other modes"))
    if rings is not None and rings[1].better:
        label = f"least steps within {rings[0]:g} of the best"
        found.append(
            Line2D(
                [], [], linestyle="", marker="o", markersize=10, markerfacecolor="none",
                markeredgecolor="black", label=label,
            )
        )  # fmt: skip
    if np.isfinite(rows[["low", "high"]].to_numpy(dtype=np.float64)).any():
        found.append(
            Line2D(
                [], [], color="0.4", marker="|", linestyle="", markersize=10,
                label=labels.interval(),
            )
        )  # fmt: skip
    return found
