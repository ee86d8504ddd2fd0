"""Figures that order datasets by how long their masks stay readable under noise.

Each is a pure function of tables. Log SNR falls from left to right, so noise grows as it does
with t.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedLocator,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)
from scipy.cluster import hierarchy

from noise2mask.analysis.fingerprints.likeness import (
    Order,
    by_death,
    correlations,
    death_of,
    dice_curves,
    ordered,
    wide,
)
from noise2mask.analysis.oracles.noisy_masks import linear_log_snr
from noise2mask.evaluation.bootstrap import FEW
from noise2mask.evaluation.labels import Labels, number
from noise2mask.report.figures.index import Drawn, figure
from noise2mask.report.figures.label_placement import at_ends, beside
from noise2mask.report.figures.looks import ORACLES, cycled
from noise2mask.report.figures.noise_axis import MANY
from noise2mask.report.figures.style import PLAIN, WIDTH, folded, handle, legend, panels, styled

DEATHS = {
    "log_snr_at_50": "log SNR at which Dice falls below 0.5",
    "log_snr_at_half": "log SNR at which Dice falls half-way to its floor",
}
OWN, OTHER = "black", "0.85"
SMOOTHED = 1.0
"""Reach, to either side, of the mean that a line of :func:`widths` shows, in log SNR."""
COLOURS = "cividis"
LOG_SNR = "log SNR (more noise →)"


class Mark(NamedTuple):
    """A place on a dataset's strip: the figure it shows, its marker and its name."""

    figure: str
    marker: str
    size: float
    label: str


MARKS = (
    Mark("log_snr_at_90", "<", 6, "Dice falls below 0.9"),
    Mark("log_snr_at_50", "o", 6, "Dice falls below 0.5"),
    Mark("hump_log_snr", "D", 5, "hump of the loss of eps"),
)


class Column(NamedTuple):
    """Dots beside the strips: the figure of geometry, its title, and its axis."""

    figure: str
    title: str
    scale: str


GEOMETRY = (
    Column("boundary_per_area", "boundary\nper area\n[1/px]", "log"),
    Column("objects", "objects\nper mask", "log"),
    Column("foreground", "foreground\n[share]", "linear"),
)


@figure(
    "Masks",
    "Atlas of datasets: Dice of the best Gaussian filter along log SNR, a row a dataset, those "
    "whose masks are lost first on top, with the masks' geometry.",
    "Look at the boundary per area beside the place where a row turns dark.",
    rank=85,
)
def atlas(
    oracles: pd.DataFrame, fingerprints: pd.DataFrame, labels: Labels = PLAIN
) -> Figure | Drawn | None:
    """Datasets from those whose masks die early to those that last, with their geometry.

    A strip is the Dice that the best Gaussian filter and a threshold reach without the image, from
    little noise (left) to much. Of five datasets or more, a tree joins those with like strips,
    lines divide clusters, and over a column of geometry stands its rank correlation with the log
    SNR at which masks die: of fewer neither says anything. What is missing from `fingerprints` is
    not drawn.
    """
    curves = dice_curves(oracles)
    if curves.empty:
        return None
    enough = len(curves) >= FEW
    order = ordered(curves) if enough else _plain(by_death(oracles))
    found = correlations(fingerprints, level=labels.level) if enough else None
    figure = Figure(figsize=(WIDTH, 0.26 * len(order.datasets) + 1.75))
    left, middle, *columns = figure.subplots(
        1, 2 + len(GEOMETRY), sharey=True,
        gridspec_kw={"width_ratios": [0.5 if enough else 0.01, 3.6, *[0.75] * len(GEOMETRY)]},
    )  # fmt: skip
    tree(left, order)
    strips(figure, middle, curves, order)
    marks(middle, fingerprints, order)
    left.yaxis.set_tick_params(labelleft=False)
    middle.yaxis.set_tick_params(labelleft=True)
    titles = [folded(labels.dataset(name), 30) for name in order.datasets]
    middle.set_yticks(range(len(titles)), titles)
    middle.set_ylim(len(titles) - 0.45, -0.55)
    for axis, shown in zip(columns, GEOMETRY, strict=True):
        column(axis, fingerprints, shown, order, found)
    for axis in (middle, *columns):
        for place in np.flatnonzero(np.diff(order.clusters)):
            axis.axhline(place + 0.5, color="black", linewidth=1, gid="cluster")
    marked = {"linestyle": "", "markerfacecolor": "white", "markeredgecolor": "black"}
    legend(
        figure,
        [handle(marker=m.marker, markersize=m.size, label=m.label, **marked) for m in MARKS],
    )
    return figure if found is None else Drawn(figure, found)


def _plain(datasets: tuple[str, ...]) -> Order:
    """An order without a tree."""
    return Order(datasets, np.zeros((0, 4)), tuple(1 for _ in datasets))


@figure(
    "Masks",
    "Best width of the Gaussian filter along log SNR: pixels, a line a dataset.",
    "Look at how early a line leaves 0 and how high it climbs: large objects allow wide filters.",
)
def widths(oracles: pd.DataFrame, labels: Labels = PLAIN) -> Figure | None:
    """Width of the best Gaussian filter over log SNR, datasets in the order of :func:`atlas`.

    A panel holds neighbours in that order, the first panel those whose masks die first; the lines
    of all others are grey. Widths were chosen from a grid: lines are means over levels within
    :data:`SMOOTHED`.
    """
    curves = dice_curves(oracles)
    if curves.empty:
        return None
    names = ordered(curves).datasets
    table = oracles[(oracles["oracle"] == "gaussian") & oracles["width"].notna()]
    parts = {str(name): _smoothed(part) for name, part in table.groupby("dataset")}
    count = -(-len(names) // len(ORACLES))
    figure, axes = panels(count, 2.9, extra=0.2, across=2)
    for place, (axis, group) in enumerate(zip(axes, np.array_split(names, count), strict=True)):
        chosen = [str(name) for name in group if str(name) in parts]
        for name, part in parts.items():
            if name not in chosen:
                axis.plot(part["log_snr"], part["width"], color=OTHER, linewidth=0.9)
        for name, look in cycled(ORACLES, chosen).items():
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


@figure(
    "Masks",
    "Log SNR at which masks can no longer be read without the image, against boundary per area: a "
    "point a dataset, lines are {interval} over cases.",
    "Look at the rank correlation in the title; each point is a dataset, not a case.",
    rank=20,
)
def geometry_against_death(
    fingerprints: pd.DataFrame, labels: Labels = PLAIN
) -> Figure | Drawn | None:
    """Boundary per area of the masks against the log SNR at which they die, a point a dataset.

    Lines are intervals over cases; the title has the rank correlation over datasets.
    """
    figures = wide(fingerprints)
    death = death_of(figures)
    shown = figures.reindex(columns=["boundary_per_area"]).join(death.rename("death")).dropna()
    shown = shown[shown["boundary_per_area"] > 0]
    figure = Figure(figsize=(WIDTH, 5.2))
    if len(shown) < MANY:
        return None
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
    lines = [
        axis.plot(*zip(start, stop, strict=True), color="0.6", linewidth=1, zorder=1)[0]
        for start, stop in bars
    ]
    axis.plot(shown["boundary_per_area"], shown["death"], "o", color="#0072B2", gid="datasets")
    _decades(axis)
    axis.margins(x=0.12, y=0.1)
    axis.set_xlabel("boundary per area of the masks [1/px]")
    axis.set_ylabel(f"{DEATHS[str(death.name)]}\n(higher: dies earlier)")
    every = correlations(fingerprints, level=labels.level)
    found = every[every["figure"] == "boundary_per_area"].iloc[0]
    axis.set_title(_correlated(found, labels))
    names = [labels.dataset(str(name)) for name in shown.index]
    beside(axis, names, shown["boundary_per_area"], shown["death"], avoided=lines)
    return Drawn(figure, every)


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


def _correlated(found: "pd.Series[float]", labels: Labels) -> str:
    """A rank correlation in words."""
    n = int(found["n"])
    if n < FEW or np.isnan(found["rank_correlation"]):
        return f"{n} datasets, too few for a rank correlation"
    text = f"rank correlation {number(found['rank_correlation'], 2)}"
    if not np.isnan(found["low"]):
        low, high = (number(found[end], 2) for end in ("low", "high"))
        text += f", {labels.interval()} {low} to {high}"
    return f"{text}, n = {n} datasets"


def tree(axis: Axes, order: Order) -> None:
    """The dendrogram, leaves to the right, without an axis."""
    if len(order.linkage):
        drawn = hierarchy.dendrogram(order.linkage, no_plot=True)
        for across, along in zip(drawn["dcoord"], drawn["icoord"], strict=True):
            axis.plot(
                -np.sqrt(across), (np.asarray(along) - 5) / 10, color="0.35", linewidth=1.1
            )  # the root makes low mergers wider
        axis.set_xlim(right=0)
        for height, side, text in ((1.0, "bottom", "die early"), (0.0, "top", "last long")):
            axis.text(
                0, height, text, transform=axis.transAxes, va=side, fontsize=9, fontstyle="italic"
            )
    axis.set_axis_off()


def strips(figure: Figure, axis: Axes, curves: pd.DataFrame, order: Order) -> None:
    """Dice as colour, a strip a dataset, and its colour bar."""
    grid = curves.columns.to_numpy(dtype=np.float64)
    middles = (grid[1:] + grid[:-1]) / 2
    edges = np.array([grid[0] - 0.25, *middles, grid[-1] + 0.25])
    edges[[0, -1]] = 2 * grid[[0, -1]] - edges[[1, -2]] if len(grid) > 1 else edges[[0, -1]]
    values = curves.loc[list(order.datasets)].to_numpy()
    mesh = None
    for row, strip in enumerate(values):
        mesh = axis.pcolormesh(
            edges, [row - 0.42, row + 0.42], strip[None], cmap=COLOURS, vmin=0, vmax=1,
            rasterized=True,
        )  # fmt: skip
    axis.set_xlim(edges[-1], edges[0])
    axis.grid(visible=False)
    axis.spines[["left", "bottom"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(LOG_SNR)
    if mesh is not None:
        bar = figure.colorbar(mesh, ax=axis, location="top", aspect=45, pad=0.02, shrink=0.75)
        bar.set_label("Dice without the image: what remains readable of the mask")


def marks(axis: Axes, fingerprints: pd.DataFrame, order: Order) -> None:
    """What happens where along each strip."""
    figures = wide(fingerprints).reindex(index=list(order.datasets))
    for mark in MARKS:
        if mark.figure in figures:
            axis.plot(
                figures[mark.figure], range(len(figures)), linestyle="", marker=mark.marker,
                markersize=mark.size, markerfacecolor="white", markeredgecolor="black",
                gid=mark.figure,
            )  # fmt: skip


def column(
    axis: Axes,
    fingerprints: pd.DataFrame,
    shown: Column,
    order: Order,
    found: pd.DataFrame | None,
) -> None:
    """One figure of geometry as dots with intervals, with its rank correlation if that is told."""
    rows = fingerprints[fingerprints["figure"] == shown.figure].set_index("dataset")
    rows = rows.reindex(list(order.datasets))
    for place, (low, high) in enumerate(zip(rows["low"], rows["high"], strict=True)):
        axis.plot([low, high], [place, place], color="0.55", linewidth=1.4)
    axis.plot(rows["mean"], range(len(rows)), "o", color="black", markersize=5, gid=shown.figure)
    if shown.scale == "log" and (rows["mean"] > 0).any():
        axis.set_xscale("log")
        axis.margins(x=0.15)
        axis.xaxis.set_major_locator(FixedLocator(_round(*axis.get_xlim())))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_locator(NullLocator())
    else:
        axis.set_xlim(left=0)
        axis.xaxis.set_major_locator(MaxNLocator(2))
    note = ""
    if found is not None and shown.figure in set(found["figure"]):
        value = found.loc[found["figure"] == shown.figure, "rank_correlation"].iloc[0]
        note = f"\nρ = {number(value, 2)}"
    axis.set_title(f"{shown.title}{note}", fontsize=9)
    axis.tick_params(axis="y", length=0, labelleft=False)
    axis.spines["left"].set_visible(False)


def _round(low: float, high: float) -> list[float]:
    """At most three round numbers within limits: powers of ten, else also 2 and 5 times those."""
    tens = 10.0 ** np.arange(np.floor(np.log10(low)), np.log10(high) + 1)
    for factors in ([1], [1, 2, 5], range(1, 10)):
        found = np.outer(tens, factors).ravel()
        found = found[(found >= low) & (found <= high)]
        if len(found) > 1:
            break
    return [float(value) for value in found[:: max(1, -(-len(found) // 3))]]


# Of anybody's masks -----------------------------------------------------------------------------

SHARES = np.linspace(0.05, 0.95, 19)
"""Of the timesteps: a mark each along a schedule."""


@styled
def own_masks(
    oracles: pd.DataFrame,
    own: str,
    near: Sequence[str],
    scales: Mapping[str, float],
    at_half: float,
) -> Figure:
    """Dice without the image along log SNR, and where schedules spend their timesteps.

    Args:
        oracles: the table of that name, of these masks and of an atlas.
        own: their name in it.
        near: the datasets whose curves are nearest.
        scales: input scales of the linear schedule by what they are called.
        at_half: log SNR at which the masks die; NaN if they do not.
    """
    curves = dice_curves(oracles)
    figure = Figure(figsize=(WIDTH, 3.6 + 0.3 * len(scales)))
    upper, lower = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": [3.2, 0.3 + 0.32 * len(scales)]}
    )
    axis = curves.columns.to_numpy(dtype=np.float64)
    for name, row in curves.iterrows():
        if name != own and name not in near:
            upper.plot(axis, row, color=OTHER, linewidth=0.9, gid="other")
    looks = cycled(ORACLES, [own, *near])  # the first look is black
    del looks[own]
    for name, look in looks.items():
        upper.plot(
            axis, curves.loc[name], color=look.colour, linestyle=look.line, linewidth=1.3, gid=name
        )
    upper.plot(axis, curves.loc[own], color=OWN, linewidth=2.4, gid=own)
    upper.set_xlim(float(axis.max()), float(axis.min()))  # noise grows to the right
    upper.set_ylim(0, 1.03)
    upper.set_ylabel("Dice without the image")
    upper.set_title(
        f"{own}, black"
        + ("; coloured: the nearest datasets of the atlas, grey: all others" if near else ""),
        loc="left",
    )
    names = [own, *near]
    at_ends(
        upper, [name.replace("_", " ") for name in names],
        curves.loc[names].to_numpy(dtype=np.float64)[:, 0].tolist(),
        [OWN, *(look.colour for look in looks.values())],
    )  # fmt: skip
    _schedules(lower, scales)
    for each in (upper, lower):
        if np.isfinite(at_half):
            each.axvline(at_half, color="0.4", linewidth=1, linestyle=":", gid="death")
    lower.set_xlabel("log SNR (more noise →); dotted: half-way to the Dice of all foreground")
    return figure


def _schedules(axis: Axes, scales: Mapping[str, float]) -> None:
    """A mark for every twentieth of the timesteps of each schedule, a row each."""
    linear = linear_log_snr()
    places = np.interp(SHARES, np.linspace(0, 1, len(linear)), linear)
    for row, scale in enumerate(scales.values()):
        shifted = places + 2 * np.log(scale)
        axis.plot(shifted, np.full_like(shifted, row), "|", color="#0072B2", markersize=11)
    axis.set_yticks(range(len(scales)), list(scales))
    axis.set_ylim(len(scales) - 0.4, -0.6)
    axis.set_title("where the timesteps are, a mark for every twentieth", loc="left")
