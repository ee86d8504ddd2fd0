"""Figures of what noise leaves: losses, image information and readable share over log SNR.

Each is a pure function of tables. Log SNR falls from left to right, so that noise grows to the
right on both axes, log SNR and t.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from noise2mask.analysis.fingerprints.likeness import by_death
from noise2mask.evaluation.labels import Labels, names_in, number
from noise2mask.report.figures.index import figure
from noise2mask.report.figures.looks import (
    CHAINED,
    DOTTED,
    IMAGE,
    MASK,
    ORACLES,
    Look,
    Looks,
    cycled,
)
from noise2mask.report.figures.style import (
    ACROSS,
    PLAIN,
    counted_title,
    folded,
    handle,
    legend,
    panels,
)
from noise2mask.report.tables import doubts

Level = Literal["log_snr", "t"]

E3 = "image_free"
"""Beside trainings on eps, one on x_0: its loss of eps is a thousandfold at little noise."""
OF_EPS = ("eps_diffusion", "image_diffusion")
"""Trained on eps: their loss of x_0 is a hundredfold where little else than noise is left."""
LOWEST = 1e-4
"""Losses below this share of the largest of a figure are cut off."""
MANY = 4
"""Datasets from which on the atlas says more than a panel for each."""
TARGETS = {"eps": "ε", "x_0": "x₀", "v": "v"}
READ_BY = {
    "pixel": "each pixel alone",
    "gaussian": "Gaussian filter",
    "median": "median filter",
    "multiscale": "multi-scale linear",
    "posterior": "posterior over masks",
}
ESTIMATES = {
    "difference": Look("#000000", "s", DOTTED),
    "orthogonal": Look("#D55E00", "D", CHAINED),
}
GREY = "0.86"


def trained_on(losses: pd.DataFrame, target: str) -> pd.DataFrame:
    """The losses of a target of those trainings whose estimate it is that was trained.

    A network that learnt x_0 has a loss of eps that is a thousandfold at little noise, one that
    learnt eps a loss of x_0 that is a hundredfold where little else than noise is left.
    """
    shown = losses[losses["target"] == target].dropna(subset=["log_snr", "t", "loss"])
    if target == "eps" and shown["mode"].isin(OF_EPS).any():
        return shown[shown["mode"] != E3]
    return shown if target == "eps" else shown[~shown["mode"].isin(OF_EPS)]


@figure(
    "Losses",
    "Loss of ε along {axis}: mean squared error per pixel with {interval}. A triangle marks a "
    "hump, filled if confirmed.",
    "Look at whether a curve rises before it falls.",
    rank=80,
    each={"axis": ("log_snr", "t")},
)
def losses(
    losses: pd.DataFrame,
    axis: Level = "log_snr",
    labels: Labels = PLAIN,
    looks: Looks | None = None,
    structure: pd.DataFrame | None = None,
) -> Figure | None:
    """The loss of eps at every noise level: a panel a dataset and network, a line a mode.

    The vertical axis is logarithmic and the same for all panels, so heights can be compared. The
    triangles are humps of the table `structure`.
    """
    shown = trained_on(losses, "eps")
    looks = looks or Looks.of(shown)
    found = network_panels(shown, shown, labels)
    figure, axes = panels(len(found), 2.4, extra=0.7, across=_across(len(found)))
    if not axes:
        return None
    humps = pd.DataFrame() if structure is None else _humps(structure, "eps")
    modes = names_in(shown, "mode")
    top = float(shown[["loss", "high"]].max().max())
    lowest = max(LOWEST * top, float(shown.loc[shown["loss"] > 0, "loss"].min()))
    for place, panel in zip(axes, found, strict=True):
        place.set_yscale("log")
        rows = panel.rows(shown)
        seen = panel.rows(humps) if len(humps) else humps
        for order, mode in enumerate(modes):
            one = rows[rows["mode"] == mode]
            if one.empty:
                continue
            line(place, one, axis, "loss", looks.mode(mode), order, gid=mode)
            for _, row in seen[seen["mode"] == mode].head(1).iterrows() if len(seen) else ():
                hump(place, row, one, axis, looks.mode(mode), top * 1.6 * 1.5**order)
        place.set_title(panel.title)
        place.set_ylim(lowest, top * (1.6 * 1.5 ** len(modes) if len(humps) else 1.3))
        place.yaxis.set_major_locator(LogLocator())
        place.yaxis.set_minor_locator(NullLocator())
    noise_axis(axes, shown, axis)
    left(axes, f"loss of {TARGETS['eps']}")
    handles = [curve_handle(looks.mode(mode), labels.mode(mode)) for mode in modes]
    if len(humps):
        label = f"hump, {labels.interval()}"
        handles.append(handle(color="0.3", marker="v", markersize=7, label=label))
    legend(figure, handles)
    return figure


@figure(
    "Information",
    "Image information along log SNR: bits per mask and unit of log SNR, with quantiles; grey, the "
    "mask's own entropy, scaled.",
    "Look at where the blue area lies: other timesteps teach little about the image.",
    rank=70,
)
def integrand(
    integrand: pd.DataFrame, information: pd.DataFrame, labels: Labels = PLAIN
) -> Figure | None:
    """Where along the noise axis the image is needed: a panel a dataset and network.

    The filled area under the covariance estimate is I(mask; image), which the panel states in
    bits with its interval; the vertical lines are at 10, 50 (thick) and 90 % of it. Behind it in
    grey is the integrand of the mask's entropy, brought to the same height: where noise leaves
    the mask uncertain at all.
    """
    table = integrand.dropna(subset=["log_snr", "density"])
    ours = table[table["estimate"].isin(["covariance", *ESTIMATES])]
    told = information[information["estimate"] == "covariance"]
    found = network_panels(ours, told, labels)
    figure, axes = panels(len(found), 2.4, extra=0.6, same_y=False)
    if not axes:
        return None
    for axis, panel in zip(axes, found, strict=True):
        _densities(axis, panel.rows(ours), panel.estimate(table, "entropy_oracle"))
        image = panel.rows(told)
        for _, row in image.head(1).iterrows():
            quantiles(axis, row, 0.7)
        totals(axis, image, panel.estimate(information, "entropy_oracle"))
        if doubts(panel.rows(information), labels):
            axis.text(
                0.98, 0.79, "not to be trusted", transform=axis.transAxes, ha="right", va="top",
                fontsize=8, color="#B3261E", gid="doubt",
            )  # fmt: skip
        axis.set_title(panel.title)
    noise_axis(axes, table, "log_snr")
    left(axes, "bits per mask\nand unit of log SNR")
    handles: list[Artist] = [
        Patch(facecolor=MASK.colour, alpha=0.45, label="image (covariance)"),
        handle(color="0.15", linewidth=1.8, label="10, 50, 90 % of it"),
    ]
    handles += [
        handle(color=look.colour, linestyle=look.line, linewidth=1, label=name)
        for name, look in ESTIMATES.items()
        if name in set(ours["estimate"])
    ]
    if "entropy_oracle" in set(table["estimate"]):
        handles.append(Patch(facecolor=GREY, edgecolor="0.6", label="mask's entropy, scaled"))
    legend(figure, handles)
    return figure


@figure(
    "Masks",
    "Dice of the oracles along log SNR: estimates without the image; dashed, the Dice of all "
    "foreground.",
    "Look at how far to the right a line stays near 1: so long the mask is read off x_t.",
)
def readability(oracles: pd.DataFrame, labels: Labels = PLAIN) -> Figure | None:
    """Dice of the oracles without training over log SNR: what can still be read of a mask.

    Dashed is the Dice of a mask that is all foreground.
    """
    shown = oracles.dropna(subset=["log_snr", "dice"])
    found = dataset_panels(names_in(shown, "dataset"), labels)
    if len(found) >= MANY:
        return None
    figure, axes = panels(len(found), 2.2, extra=0.6)
    if not axes:
        return None
    present = names_in(shown, "oracle")
    looks = cycled(ORACLES, list(dict.fromkeys([*READ_BY, *present])))
    names = [name for name in looks if name in present]
    for axis, panel in zip(axes, found, strict=True):
        rows = panel.rows(shown)
        for order, name in enumerate(names):
            one = rows[rows["oracle"] == name]
            line(axis, one, "log_snr", "dice", looks[name], order, gid=name)
        floor_line(axis, float(rows["floor"].mean()))
        axis.set_title(panel.title)
        axis.set_ylim(-0.03, 1.04)
    noise_axis(axes, shown, "log_snr")
    left(axes, "Dice")
    legend(figure, [curve_handle(looks[name], READ_BY.get(name, name)) for name in names])
    return figure


@figure(
    "Masks",
    "Recovered share of variance along log SNR: best Gaussian filter on noisy masks and on noisy "
    "images of the same signal-to-noise ratio, with {interval}; masks that are lost first come "
    "first.",
    "Look at the distance of the two lines: what masks keep longer than images.",
)
def masks_beside_images(
    image_oracles: pd.DataFrame,
    oracles: pd.DataFrame | None = None,
    labels: Labels = PLAIN,
) -> Figure | None:
    """Share of variance that the best Gaussian filter recovers from a noisy mask and image.

    The table `oracles` orders the panels.
    """
    shown = image_oracles.dropna(subset=["log_snr", "explained"])
    dying = [] if oracles is None else list(by_death(oracles))
    names = names_in(shown, "dataset")
    found = dataset_panels(
        [
            *(name for name in dying if name in names),
            *(name for name in names if name not in dying),
        ],
        labels,
    )
    figure, axes = panels(len(found), 2.0, extra=0.5)
    if not axes:
        return None
    looks = {"mask": MASK, "image": IMAGE}
    for axis, panel in zip(axes, found, strict=True):
        rows = panel.rows(shown)
        for order, (subject, look) in enumerate(looks.items()):
            one = rows[rows["subject"] == subject]
            line(axis, one, "log_snr", "explained", look, order, gid=subject)
        axis.set_title(panel.title)
        axis.set_ylim(-0.03, 1.04)
    noise_axis(axes, shown, "log_snr")
    left(axes, "variance recovered")
    legend(figure, [curve_handle(look, f"from the noisy {name}") for name, look in looks.items()])
    return figure


def _humps(structure: pd.DataFrame, target: str) -> pd.DataFrame:
    """The rows of `structure` whose hump is to be shown."""
    rows = structure[(structure["target"] == target) & (structure["verdict"] != "refuted")]
    return rows[np.isfinite(rows["log_snr_at_hump"].astype(float))]


def _densities(axis: Axes, rows: pd.DataFrame, entropy: pd.DataFrame) -> None:
    """The integrands of one panel, with room above them for numbers."""
    top = float(rows["density"].max())
    entropy = entropy.drop_duplicates("log_snr").sort_values("log_snr", ascending=False)
    if len(entropy) and top > 0 and float(entropy["density"].max()) > 0:
        height = entropy["density"] * (top / float(entropy["density"].max()))
        axis.fill_between(entropy["log_snr"], height, color=GREY, linewidth=0)
        axis.plot(entropy["log_snr"], height, color="0.6", linewidth=0.8, gid="entropy_oracle")
    for name in ("covariance", *ESTIMATES):
        one = rows[rows["estimate"] == name].sort_values("log_snr", ascending=False)
        look, width = ESTIMATES.get(name, MASK), 1.0 if name in ESTIMATES else 1.8
        if name not in ESTIMATES:
            axis.fill_between(
                one["log_snr"], one["density"], color=look.colour, alpha=0.45, linewidth=0
            )
        axis.plot(
            one["log_snr"], one["density"], color=look.colour, linestyle=look.line,
            linewidth=width, gid=name,
        )  # fmt: skip
    axis.axhline(0, color="0.35", linewidth=0.8)
    lowest = min(0.0, float(rows["density"].min()))
    axis.set_ylim(lowest - 0.05 * (top - lowest), top + 0.42 * (top - lowest) or 1.0)
    axis.yaxis.set_major_locator(MaxNLocator(4))


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


def dataset_panels(datasets: Sequence[str], labels: Labels) -> list[Panel]:
    """A panel for each dataset."""
    return [Panel(name, None, folded(labels.dataset(name), 32)) for name in datasets]


def network_panels(table: pd.DataFrame, counts: pd.DataFrame, labels: Labels) -> list[Panel]:
    """A panel for each dataset and network; networks are named where there are several.

    The column `n` of `counts` stands in the titles.
    """
    pairs = list(dict.fromkeys(zip(table["dataset"], table["network"], strict=True)))
    several = len({network for _, network in pairs}) > 1
    found = []
    for dataset, network in pairs:
        panel, title = Panel(str(dataset), str(network)), labels.dataset(str(dataset))
        cases = panel.rows(counts)["n"]
        title = counted_title(title, cases, 32) if len(cases) else folded(title, 32)
        title += f"\n{labels.network(str(network))}" if several else ""
        found.append(panel._replace(title=title))
    return found


def line(
    axis: Axes, rows: pd.DataFrame, x: str, y: str, look: Look, order: int, *, gid: str
) -> None:
    """A curve, with a band if it has one; markers alternate with those of the other curves.

    `order` is the number of the curve in its panel, `gid` its name.
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

    `found` is a row of `structure`; `curve`, rows of `losses`, takes log SNR to t.
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
    """Bits that the image tells and bits of the mask, with intervals.

    They are those of a row of `information` each, or none; the latter is an upper bound.
    """
    lines = [f"image {bits(row)}" for _, row in told.head(1).iterrows()]
    lines += [f"mask ≤ {bits(row)}" for _, row in entropy.head(1).iterrows()]
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
        if place + _across(len(axes)) >= len(axes):
            axis.set_xlabel(f"{'t' if level == 't' else 'log SNR'} (more noise →)")


def left(axes: Sequence[Axes], label: str) -> None:
    """Name the vertical axis at the left of each line of panels."""
    for axis in axes[:: _across(len(axes))]:
        axis.set_ylabel(label)


def _across(count: int) -> int:
    """Panels side by side: none stands alone in a line if four fit."""
    return 4 if count % ACROSS == 1 and count % 4 == 0 else ACROSS


def curve_handle(look: Look, label: str) -> Line2D:
    """What a legend shows for a curve."""
    return handle(label=label, marker=look.marker, markersize=5, linewidth=1.6, **look.lines())


def _signed(value: float, digits: int) -> str:
    """A number with the minus sign of the axes."""
    return number(value, digits).replace("-", "−")
