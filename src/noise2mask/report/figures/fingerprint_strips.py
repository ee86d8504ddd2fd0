"""What is drawn inside the atlas of datasets: tree, strips, marks along them, dots of geometry."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from scipy.cluster import hierarchy

from noise2mask.analysis.fingerprints.likeness import Order, wide
from noise2mask.evaluation.bootstrap import Resampling, rank_correlation
from noise2mask.evaluation.labels import number

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


def handles() -> list[Line2D]:
    """What a legend shows for :data:`MARKS`."""
    return [
        Line2D(
            [], [], linestyle="", marker=mark.marker, markersize=mark.size,
            markerfacecolor="white", markeredgecolor="black", label=mark.label,
        )
        for mark in MARKS
    ]  # fmt: skip


def column(
    axis: Axes, fingerprints: pd.DataFrame, shown: Column, death: pd.Series, order: Order
) -> None:
    """One figure of geometry as dots with intervals."""
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
    found = rank_correlation(
        rows["mean"], death.reindex(rows.index), resampling=Resampling(1)
    ).rank_correlation
    note = "" if np.isnan(found) else f"\nρ = {number(found, 2)}"
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
