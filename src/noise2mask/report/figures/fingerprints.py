"""Figures that order datasets by how long their masks stay readable under noise.

Each is a pure function of tables. Log SNR falls from left to right, so noise grows as it does
with t.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator

from noise2mask.analysis.fingerprints.likeness import death_of, dice_curves, ordered, wide
from noise2mask.evaluation.bootstrap import Resampling, rank_correlation
from noise2mask.evaluation.labels import Labels, number
from noise2mask.report.figures.fingerprint_strips import (
    GEOMETRY,
    LOG_SNR,
    column,
    handles,
    marks,
    strips,
    tree,
)
from noise2mask.report.figures.label_placement import at_ends, beside
from noise2mask.report.figures.style import (
    NETWORK_LOOKS,
    WIDTH,
    cycled,
    empty,
    folded,
    legend,
    panels,
    styled,
)

DEATH_TITLES = {
    "log_snr_at_50": "log SNR at which Dice falls below 0.5",
    "log_snr_at_half": "log SNR at which Dice falls half-way to its floor",
}
SMOOTHED = 1.0
"""Reach, to either side, of the mean that a line of :func:`widths` shows, in log SNR."""


@styled
def atlas(
    oracles: pd.DataFrame, fingerprints: pd.DataFrame, labels: Labels | None = None
) -> Figure:
    """Datasets from those whose masks die early to those that last, with their geometry.

    A strip is the Dice that the best Gaussian filter and a threshold reach without the image, from
    little noise (left) to much. The tree joins datasets with like strips, lines divide clusters.
    Over a column of geometry stands its rank correlation with the log SNR at which masks die.

    Args:
        oracles: the table of that name; its oracle `gaussian` is shown.
        fingerprints: the table of that name; what is missing from it is not drawn.
        labels: names to be shown.
    """
    labels = labels or Labels()
    curves = dice_curves(oracles)
    if curves.empty:
        return empty(Figure(figsize=(WIDTH, 2)), "no oracle yet")
    order = ordered(curves)
    figure = Figure(figsize=(WIDTH, 0.26 * len(order.datasets) + 1.75))
    left, middle, *columns = figure.subplots(
        1, 2 + len(GEOMETRY), sharey=True,
        gridspec_kw={"width_ratios": [0.5, 3.6, *[0.75] * len(GEOMETRY)]},
    )  # fmt: skip
    tree(left, order)
    strips(figure, middle, curves, order)
    marks(middle, fingerprints, order)
    left.yaxis.set_tick_params(labelleft=False)
    middle.yaxis.set_tick_params(labelleft=True)
    titles = [folded(labels.dataset(name), 30) for name in order.datasets]
    middle.set_yticks(range(len(titles)), titles)
    middle.set_ylim(len(titles) - 0.45, -0.55)
    death = death_of(wide(fingerprints).reindex(order.datasets))
    for axis, shown in zip(columns, GEOMETRY, strict=True):
        column(axis, fingerprints, shown, death, order)
    for axis in (middle, *columns):
        for place in np.flatnonzero(np.diff(order.clusters)):
            axis.axhline(place + 0.5, color="black", linewidth=1, gid="cluster")
    legend(figure, handles())
    return figure


@styled
def widths(oracles: pd.DataFrame, labels: Labels | None = None) -> Figure:
    """Width of the best Gaussian filter over log SNR, datasets in the order of :func:`atlas`.

    A panel holds neighbours in that order, the first panel those whose masks die first; the lines
    of all others are grey. Widths were chosen from a grid: lines are means over levels within
    :data:`SMOOTHED`.

    Args:
        oracles: the table of that name; its oracle `gaussian` is shown.
        labels: names to be shown.
    """
    labels = labels or Labels()
    curves = dice_curves(oracles)
    if curves.empty:
        return empty(Figure(figsize=(WIDTH, 2)), "no oracle yet")
    names = ordered(curves).datasets
    table = oracles[(oracles["oracle"] == "gaussian") & oracles["width"].notna()]
    parts = {str(name): _smoothed(part) for name, part in table.groupby("dataset")}
    count = -(-len(names) // len(NETWORK_LOOKS))
    figure, axes = panels(count, 2.9, extra=0.2, across=2)
    for place, (axis, group) in enumerate(zip(axes, np.array_split(names, count), strict=True)):
        chosen = [str(name) for name in group if str(name) in parts]
        for name, part in parts.items():
            if name not in chosen:
                axis.plot(part["log_snr"], part["width"], color="0.85", linewidth=0.9)
        for name, look in cycled(NETWORK_LOOKS, chosen).items():
            axis.plot(
                parts[name]["log_snr"], parts[name]["width"], color=look.colour,
                linestyle=look.line, linewidth=1.8, gid=name,
            )  # fmt: skip
        _width_axis(axis, table)
        _ends(axis, {name: parts[name] for name in chosen}, labels)
        side = {0: "masks that die first", count - 1: "masks that last longest"}.get(place, "")
        axis.set_title(side if count > 1 else "", loc="left")
        if place % 2 == 0:
            axis.set_ylabel("width of the best filter [px]")
    return figure


@styled
def geometry_against_death(fingerprints: pd.DataFrame, labels: Labels | None = None) -> Figure:
    """Boundary per area of the masks against the log SNR at which they die, a point a dataset.

    Lines are intervals over cases; the title has the rank correlation over datasets.

    Args:
        fingerprints: the table of that name.
        labels: names to be shown.
    """
    labels = labels or Labels()
    figures = wide(fingerprints)
    death = death_of(figures)
    shown = figures.reindex(columns=["boundary_per_area"]).join(death.rename("death")).dropna()
    shown = shown[shown["boundary_per_area"] > 0]
    figure = Figure(figsize=(WIDTH, 5.6))
    if shown.empty:
        return empty(figure, "no fingerprint yet")
    axis = figure.subplots()
    axis.set_xscale("log")
    intervals = fingerprints.set_index(["figure", "dataset"])
    x, y = (
        intervals.loc[name].reindex(shown.index) for name in ("boundary_per_area", str(death.name))
    )
    bars = [((row.low, height), (row.high, height)) for row, height in zip(
        x.itertuples(), shown["death"], strict=True)]  # fmt: skip
    bars += [((place, row.low), (place, row.high)) for row, place in zip(
        y.itertuples(), shown["boundary_per_area"], strict=True)]  # fmt: skip
    bars = [bar for bar in bars if np.isfinite(bar).all()]
    for start, stop in bars:
        axis.plot(*zip(start, stop, strict=True), color="0.6", linewidth=1, zorder=1)
    axis.plot(shown["boundary_per_area"], shown["death"], "o", color="#0072B2", gid="datasets")
    _decades(axis)
    axis.margins(x=0.12, y=0.1)
    axis.set_xlabel("boundary per area of the masks [1/px]")
    axis.set_ylabel(f"{DEATH_TITLES[str(death.name)]}\n(higher: dies earlier)")
    found = rank_correlation(
        shown["boundary_per_area"], shown["death"], resampling=Resampling(level=labels.level)
    )
    axis.set_title(_correlated(found.rank_correlation, found.low, found.high, found.n, labels))
    names = [labels.dataset(str(name)) for name in shown.index]
    beside(axis, names, shown["boundary_per_area"], shown["death"], bars)
    return figure


def _smoothed(part: pd.DataFrame) -> pd.DataFrame:
    """Columns log_snr and width of a dataset, ascending, widths as means over near levels."""
    rows = part.sort_values("log_snr")
    grid, found = (rows[name].to_numpy(dtype=np.float64) for name in ("log_snr", "width"))
    near = np.abs(grid - grid[:, None]) <= SMOOTHED + 1e-9
    return pd.DataFrame({"log_snr": grid, "width": near @ found / near.sum(axis=1)})


def _width_axis(axis: Axes, table: pd.DataFrame) -> None:
    """Log SNR falling, and widths that double from tick to tick, 0 included."""
    axis.set_yscale("symlog", linthresh=0.5, linscale=0.5, base=2)
    top = float(table["width"].max())
    doubled = 0.5 * 2.0 ** np.arange(np.log2(max(top, 1)) + 2)
    axis.set_ylim(-0.08, top * 1.25)
    axis.yaxis.set_major_locator(FixedLocator([0, *doubled[doubled <= top * 1.25]]))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_locator(NullLocator())
    axis.set_xlim(table["log_snr"].max(), table["log_snr"].min())
    axis.set_xlabel(LOG_SNR)


def _ends(axis: Axes, parts: Mapping[str, pd.DataFrame], labels: Labels) -> None:
    """The names of the lines of a panel, at their right ends."""
    last = {name: float(part["width"].iloc[0]) for name, part in parts.items()}
    order = sorted(last, key=lambda name: (last[name], parts[name]["width"].mean()))
    colours = {str(line.get_gid()): str(line.get_color()) for line in axis.lines}
    at_ends(
        axis,
        [folded(labels.dataset(name), 34) for name in order],
        [last[name] for name in order],
        [colours[name] for name in order],
    )


def _decades(axis: Axes) -> None:
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())


def _correlated(found: float, low: float, high: float, n: int, labels: Labels) -> str:
    if np.isnan(found):
        return f"{n} dataset{'s' * (n != 1)}, too few for a rank correlation"
    text = f"rank correlation {number(found, 2)}"
    if not np.isnan(low):
        text += f", {labels.interval()} {number(low, 2)} to {number(high, 2)}"
    return f"{text}, n = {n} datasets"
