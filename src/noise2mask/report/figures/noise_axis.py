"""Figures of what noise leaves: losses, image information and readable share over log SNR.

Each is a pure function of tables, and noise grows from left to right in all of them.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from noise2mask.evaluation.labels import Labels, names_in
from noise2mask.report.figures.noise_panels import (
    Level,
    dataset_panels,
    floor_line,
    handle,
    hump,
    left,
    line,
    network_panels,
    noise_axis,
    quantiles,
    totals,
)
from noise2mask.report.figures.style import (
    NETWORK_LOOKS,
    Look,
    cycled,
    empty,
    legend,
    panels,
    styled,
)

MASK = Look("#0072B2", "o", "-")
IMAGE = Look("#D55E00", "D", (0, (5, 1.2, 1, 1.2)))
MODE_LOOKS = {
    "diffusion": MASK,
    "eps_diffusion": MASK,
    "image_free": Look("#009E73", "^", (0, (4, 1.5))),
    "image_diffusion": IMAGE,
    "posterior": Look("#000000", "s", "-"),
    "posterior_free": Look("#000000", "P", (0, (1, 1))),
}
OTHER_LOOKS = (
    Look("#CC79A7", "v", (0, (6, 2))),
    Look("#56B4E9", "X", (0, (4, 1, 1, 1))),
    Look("#8A7A00", "<", (0, (2, 1))),
)
IN_A_LINE = 3
"""Maxima told in one line above a panel."""
GLYPHS = {"o": "●", "^": "▲", "D": "◆", "s": "■", "v": "▼", "P": "✚", "X": "✖", "<": "◀"}
TARGETS = {"eps": "ε", "x_0": "x₀"}
ORACLES = {
    "pixel": "each pixel alone",
    "gaussian": "Gaussian filter",
    "median": "median filter",
    "multiscale": "multi-scale linear",
    "posterior": "posterior over masks",
}
ESTIMATES = {
    "difference": Look("#000000", "s", (0, (1, 1))),
    "orthogonal": Look("#D55E00", "D", (0, (4, 1.5))),
}
GREY = "0.86"


@styled
def losses(
    table: pd.DataFrame,
    target: str = "eps",
    labels: Labels | None = None,
    *,
    structure: pd.DataFrame | None = None,
    axis: Level = "log_snr",
) -> Figure:
    """The loss of every noise level: a panel a dataset and network, a line a mode.

    Losses of masks and of images differ by an order of magnitude, so each curve and its band are
    divided by the curve's maximum, which stands above the panel: the figure compares shapes.

    A triangle above the curves is the hump, its line the interval of the hump's place; it is
    filled if "non-monotonic" is confirmed, open if undecided, absent if refuted.

    Args:
        table: `losses`.
        target: the loss of what: ``eps``, ``x_0`` or ``v``.
        labels: names to be shown.
        structure: the table of that name, for the triangles.
        axis: of the noise levels.
    """
    labels = labels or Labels()
    shown = table[table["target"] == target].dropna(subset=["log_snr", "t", "loss"])
    found = network_panels(shown, shown, labels)
    figure, axes = panels(len(found), 2.7, extra=0.8)
    if not axes:
        return empty(figure, f"no loss of {TARGETS.get(target, target)} yet")
    humps = pd.DataFrame() if structure is None else _humps(structure, target)
    looks = _looks_of(names_in(shown, "mode"))
    for place, panel in zip(axes, found, strict=True):
        seen = panel.rows(humps) if len(humps) else humps
        _curves(place, panel.rows(shown), seen, looks, axis)
        place.set_title(panel.title, pad=16 + 11 * ((len(looks) - 1) // IN_A_LINE))
        place.set_ylim(-0.03, 1.14 + (0.1 * len(looks) if len(humps) else 0))
        place.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    noise_axis(axes, shown, axis)
    left(axes, f"loss of {TARGETS.get(target, target)},\nshare of its maximum")
    handles = [handle(look, mode_title(mode, target, labels)) for mode, look in looks.items()]
    if len(humps):
        label = f"hump, {labels.interval()}"
        handles.append(Line2D([], [], color="0.3", marker="v", markersize=7, label=label))
    legend(figure, handles)
    return figure


@styled
def integrand(
    table: pd.DataFrame, information: pd.DataFrame, labels: Labels | None = None
) -> Figure:
    """Where along the noise axis the image is needed: a panel a dataset and network.

    The filled area under the covariance estimate is I(mask; image), which the panel states in
    bits with its interval; the vertical lines are at 10, 50 (thick) and 90 % of it. Behind it in
    grey is the integrand of the mask's entropy, brought to the same height: where noise leaves
    the mask uncertain at all.

    Args:
        table: `integrand`.
        information: the table of that name.
        labels: names to be shown.
    """
    labels = labels or Labels()
    table = table.dropna(subset=["log_snr", "density"])
    ours = table[table["estimate"].isin(["covariance", *ESTIMATES])]
    told = information[information["estimate"] == "covariance"]
    found = network_panels(ours, told, labels)
    figure, axes = panels(len(found), 2.6, extra=0.6, same_y=False)
    if not axes:
        return empty(figure, "no image information yet")
    for axis, panel in zip(axes, found, strict=True):
        _densities(axis, panel.rows(ours), panel.estimate(table, "entropy_oracle"))
        image = panel.rows(told)
        for _, row in image.head(1).iterrows():
            quantiles(axis, row, 0.7)
        totals(axis, image, panel.estimate(information, "entropy_oracle"))
        axis.set_title(panel.title)
    noise_axis(axes, table, "log_snr")
    left(axes, "bits per mask\nand unit of log SNR")
    handles: list[Artist] = [
        Patch(facecolor=MASK.colour, alpha=0.45, label="image (covariance)"),
        Line2D([], [], color="0.15", linewidth=1.8, label="10, 50, 90 % of it"),
    ]
    handles += [
        Line2D([], [], color=look.colour, linestyle=look.line, linewidth=1, label=name)
        for name, look in ESTIMATES.items()
        if name in set(ours["estimate"])
    ]
    if "entropy_oracle" in set(table["estimate"]):
        handles.append(Patch(facecolor=GREY, edgecolor="0.6", label="mask's entropy, scaled"))
    legend(figure, handles)
    return figure


@styled
def readability(oracles: pd.DataFrame, labels: Labels | None = None) -> Figure:
    """Dice of the oracles without training over log SNR: what can still be read of a mask.

    Dashed is the Dice of a mask that is all foreground.

    Args:
        oracles: the table of that name.
        labels: names to be shown.
    """
    labels = labels or Labels()
    shown = oracles.dropna(subset=["log_snr", "dice"])
    found = dataset_panels(shown, labels)
    figure, axes = panels(len(found), 2.3, extra=0.6)
    if not axes:
        return empty(figure, "no oracle yet")
    present = names_in(shown, "oracle")
    looks = cycled(NETWORK_LOOKS, list(dict.fromkeys([*ORACLES, *present])))
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
    legend(figure, [handle(looks[name], ORACLES.get(name, name)) for name in names])
    return figure


@styled
def masks_beside_images(image_oracles: pd.DataFrame, labels: Labels | None = None) -> Figure:
    """Share of variance that the best Gaussian filter recovers from a noisy mask and image.

    Args:
        image_oracles: the table of that name.
        labels: names to be shown.
    """
    labels = labels or Labels()
    shown = image_oracles.dropna(subset=["log_snr", "explained"])
    found = dataset_panels(shown, labels)
    figure, axes = panels(len(found), 2.3, extra=0.5)
    if not axes:
        return empty(figure, "no mask beside an image yet")
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
    legend(figure, [handle(look, f"from the noisy {name}") for name, look in looks.items()])
    return figure


def mode_title(mode: str, target: str, labels: Labels) -> str:
    """Title of a mode whose loss is shown; one that is not known goes by its name."""
    titles = {
        "diffusion": "E2: mask, with image",
        "image_free": f"{'E3' if target == 'x_0' else 'E2'}: mask, without image",
        "image_diffusion": "E4: the image itself",
    }
    return titles.get(mode) or labels.mode(mode)


def _looks_of(modes: list[str]) -> dict[str, Look]:
    """A look for each mode, the known ones first and always the same."""
    known = {mode: look for mode, look in MODE_LOOKS.items() if mode in modes}
    return known | cycled(OTHER_LOOKS, [mode for mode in modes if mode not in MODE_LOOKS])


def _humps(structure: pd.DataFrame, target: str) -> pd.DataFrame:
    """The rows of `structure` whose hump is to be shown."""
    rows = structure[(structure["target"] == target) & (structure["verdict"] != "refuted")]
    return rows[np.isfinite(rows["log_snr_at_hump"].astype(float))]


def _curves(
    axis: Axes, rows: pd.DataFrame, humps: pd.DataFrame, looks: Mapping[str, Look], level: Level
) -> None:
    """The losses of one panel over their maxima, the humps, and the maxima in words."""
    largest = []
    for order, (mode, look) in enumerate(looks.items()):
        one = rows[rows["mode"] == mode]
        if one.empty:
            continue
        top = float(one["loss"].max())
        shares = one.assign(**{name: one[name] / (top or 1) for name in ("loss", "low", "high")})
        line(axis, shares, level, "loss", look, order, gid=mode)
        largest.append(f"{GLYPHS[look.marker]} {top:.2g}")
        if len(humps):
            for _, found in humps[humps["mode"] == mode].head(1).iterrows():
                hump(axis, found, one, level, look, 1.17 + 0.1 * order)
    lines = [largest[start : start + IN_A_LINE] for start in range(0, len(largest), IN_A_LINE)]
    axis.text(
        0.5, 1.0, "1 = " + "\n".join("   ".join(each) for each in lines), ha="center",
        va="bottom", fontsize=8.5, color="0.25", transform=axis.transAxes,
    )  # fmt: skip


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
    axis.set_ylim(top=1.42 * top if top > 0 else 1.0)
    axis.yaxis.set_major_locator(MaxNLocator(4))
