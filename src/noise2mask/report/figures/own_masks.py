"""The picture of a fingerprint of one's own masks: their curve, its neighbours, and schedules.

It stands beside no report, so it has no place in one; `noise2mask fingerprint` draws it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from noise2mask.analysis.fingerprints.likeness import dice_curves
from noise2mask.analysis.oracles.noisy_masks import linear_log_snr
from noise2mask.report.figures.label_placement import at_ends
from noise2mask.report.figures.looks import ORACLES, cycled
from noise2mask.report.figures.style import WIDTH, styled

OWN, OTHERS = "black", "0.85"
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
            upper.plot(axis, row, color=OTHERS, linewidth=0.9, gid="other")
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
