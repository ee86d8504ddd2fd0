"""What is drawn inside one panel over a noise axis: curves, humps, areas and their numbers.

Log SNR falls from left to right, so that noise grows to the right on both axes, log SNR and t.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from noise2mask.evaluation.labels import Labels, counted, headed, names_in, number
from noise2mask.report.figures.style import ACROSS, Look, folded

Level = Literal["log_snr", "t"]


class Panel(NamedTuple):
    """What one panel shows, of one network or (None) of none, and its title."""

    dataset: str
    network: str | None
    title: str = ""

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table that belong to the panel."""
        rows = table[table["dataset"] == self.dataset]
        return rows if self.network is None else rows[rows["network"] == self.network]

    def estimate(self, table: pd.DataFrame, name: str) -> pd.DataFrame:
        """Rows of an estimate; one that no network made is the same beside every network."""
        rows = table[(table["dataset"] == self.dataset) & (table["estimate"] == name)]
        same = rows[rows["network"] == self.network]
        return same if len(same) else rows


def dataset_panels(table: pd.DataFrame, labels: Labels) -> list[Panel]:
    """A panel for each dataset."""
    return [
        Panel(name, None, folded(labels.dataset(name), 32)) for name in names_in(table, "dataset")
    ]


def network_panels(table: pd.DataFrame, counts: pd.DataFrame, labels: Labels) -> list[Panel]:
    """A panel for each dataset and network; networks are named where there are several.

    Args:
        table: what is to be shown.
        counts: a table whose `n` stand in the titles.
        labels: names to be shown.
    """
    pairs = list(dict.fromkeys(zip(table["dataset"], table["network"], strict=True)))
    several = len({network for _, network in pairs}) > 1
    found = []
    for dataset, network in pairs:
        panel, title = Panel(str(dataset), str(network)), labels.dataset(str(dataset))
        cases = panel.rows(counts)["n"]
        note = counted(cases).replace(" ", "\xa0")  # one word, which is not folded
        title = folded(headed(title, note) if len(cases) else title, 32).replace("\xa0", " ")
        title += f"\n{labels.network(str(network))}" if several else ""
        found.append(panel._replace(title=title))
    return found


def line(
    axis: Axes, rows: pd.DataFrame, x: str, y: str, look: Look, order: int, *, gid: str
) -> None:
    """A curve, with a band if it has one; markers alternate with those of the other curves.

    Args:
        axis: where.
        rows: of one curve, with the columns `x` and `y`, and perhaps `low` and `high`.
        x: name of the horizontal axis.
        y: name of the vertical axis.
        look: of the curve.
        order: number of the curve in its panel.
        gid: name of the curve.
    """
    rows = rows.sort_values("log_snr", ascending=False)
    if {"low", "high"} <= set(rows):
        axis.fill_between(
            rows[x], rows["low"], rows["high"], color=look.colour, alpha=0.2, linewidth=0
        )
    every = max(1, len(rows) // 6)
    axis.plot(
        rows[x], rows[y], color=look.colour, linestyle=look.line, linewidth=1.6,
        marker=look.marker, markersize=4.5, markevery=((order * every // 3) % every, every),
        gid=gid,
    )  # fmt: skip


def hump(
    axis: Axes, found: "pd.Series[Any]", curve: pd.DataFrame, x: Level, look: Look, height: float
) -> None:
    """A triangle at the place of a hump, filled if it is confirmed, on its interval.

    Args:
        axis: where.
        found: a row of `structure`.
        curve: rows of `losses`, which take log SNR to t.
        x: the horizontal axis.
        look: of the curve.
        height: of the triangle.
    """
    places = found[["hump_low", "log_snr_at_hump", "hump_high"]].to_numpy(dtype=np.float64)
    if x == "t":
        known = curve.sort_values("log_snr")
        places = np.interp(places, known["log_snr"], known["t"].astype(float))
    face = look.colour if found["verdict"] == "confirmed" else "white"
    axis.plot(places[[0, 2]], [height, height], color=look.colour, linewidth=1.2)
    axis.plot(
        places[1:2], [height], color=look.colour, marker="v", markersize=7, linestyle="",
        markerfacecolor=face, gid=f"hump {found['mode']}",
    )  # fmt: skip


def quantiles(axis: Axes, told: "pd.Series[Any]", top: float) -> None:
    """Vertical lines at the quantiles of an information, up to `top` of the panel."""
    for name in ("q10", "q50", "q90"):
        if np.isfinite(told[name]):
            width = 1.8 if name == "q50" else 0.9
            axis.axvline(told[name], 0, top, color="0.15", linewidth=width, gid=name)


def totals(axis: Axes, told: pd.DataFrame, entropy: pd.DataFrame) -> None:
    """Bits that the image tells and bits of the mask, with intervals, and the quantiles.

    Args:
        axis: where.
        told: the row of `information` of the image, or none.
        entropy: that of the mask, an upper bound, or none.
    """
    lines = [f"image {bits(row)}" for _, row in told.head(1).iterrows()]
    lines += [f"mask ≤ {bits(row)}" for _, row in entropy.head(1).iterrows()]
    for _, row in told.head(1).iterrows():
        places = [float(row[name]) for name in ("q10", "q50", "q90")]
        if np.isfinite(places).any():
            lines.append(f"10, 50, 90 %: {', '.join(_signed(place, 1) for place in places)}")
    axis.text(
        0.02, 0.99, "\n".join(lines), transform=axis.transAxes, va="top", fontsize=8.5,
        color="0.15",
    )  # fmt: skip


def bits(row: "pd.Series[Any]") -> str:
    """Bits with their interval, to about three figures, in kbit from 10 000 on."""
    values = [float(row[name]) for name in ("bits", "low", "high")]
    unit = "kbit" if abs(values[0]) >= 10_000 else "bits"
    values = [value / 1000 if unit == "kbit" else value for value in values]
    digits = next((d for d, least in enumerate((100, 10, 1)) if abs(values[0]) >= least), 3)
    value, low, high = (_signed(value, digits) for value in values)
    return f"{value} {unit} [{low}, {high}]"


def floor_line(axis: Axes, floor: float) -> None:
    """Dice of a mask that is all foreground, dashed, with its value."""
    if not np.isfinite(floor):
        return
    axis.axhline(floor, color="0.35", linewidth=1.3, linestyle=(0, (4, 2)), gid="floor")
    below = floor > 0.12  # lines lie above it
    axis.annotate(
        f"all foreground {number(floor, 2)}", (0.02, floor), xycoords=("axes fraction", "data"),
        xytext=(0, -3 if below else 2), textcoords="offset points",
        va="top" if below else "bottom", fontsize=8.5, color="0.3",
    )  # fmt: skip


def noise_axis(axes: Sequence[Axes], table: pd.DataFrame, level: Level) -> None:
    """One noise axis for all panels, noise growing to the right, named below the lowest."""
    values = table[level].astype(float)
    room = 0.03 * (float(values.max() - values.min()) or 1.0)
    ends = (float(values.min()) - room, float(values.max()) + room)
    for place, axis in enumerate(axes):
        axis.set_xlim(ends if level == "t" else ends[::-1])
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if place + ACROSS >= len(axes):
            axis.set_xlabel(f"{'t' if level == 't' else 'log SNR'} (more noise →)")


def left(axes: Sequence[Axes], label: str) -> None:
    """Name the vertical axis at the left of each line of panels."""
    for axis in axes[::ACROSS]:
        axis.set_ylabel(label)


def handle(look: Look, label: str) -> Line2D:
    """What a legend shows for a curve."""
    return Line2D(
        [], [], color=look.colour, linestyle=look.line, marker=look.marker, markersize=5,
        linewidth=1.6, label=label,
    )  # fmt: skip


def _signed(value: float, digits: int) -> str:
    """A number with the minus sign of the axes."""
    return number(value, digits).replace("-", "−")
