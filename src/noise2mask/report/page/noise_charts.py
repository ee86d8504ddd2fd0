"""The charts of the page along the noise: losses, information, and what remains of masks."""

from collections.abc import Iterator
from typing import Literal

import altair as alt
import numpy as np
import pandas as pd

from noise2mask.analysis.fingerprints.likeness import death_of, dice_curves, wide
from noise2mask.evaluation.labels import names_in
from noise2mask.report.context import Report
from noise2mask.report.figures.fingerprints import DEATHS
from noise2mask.report.figures.noise_axis import TARGETS, trained_on
from noise2mask.report.page.results import Control, chosen
from noise2mask.report.page.vega import (
    GREY,
    INK,
    SIGNED,
    Chart,
    chart_of,
    colour_of_modes,
    data_of,
    of_modes,
    tips,
)

SIDES: tuple[tuple[Literal["left", "right"], int], ...] = (("left", -1), ("right", 1))
"""Of a point, for its name, with the sign of its shift."""
SMALLEST = 1e-5
"""Share of the largest loss from which on losses are drawn."""


def _log_snr() -> alt.X:
    """Log SNR, whose negative is the column `turned`: noise grows to the right."""
    return alt.X(
        "turned:Q", title="log SNR (more noise →)", scale=alt.Scale(nice=False),
        axis=alt.Axis(labelExpr=SIGNED),
    )  # fmt: skip


def losses(report: Report) -> Iterator[Chart]:
    """Losses along the noise with switches of axis and target."""
    table = report.tables["losses"].dropna(subset=["log_snr", "t", "loss"])
    if table.empty:
        return
    labels = report.labels
    parts = [trained_on(table, target) for target in TARGETS]
    kept = pd.concat([part for part in parts if len(part)], ignore_index=True)
    long = pd.concat(
        [kept.assign(axis=axis, place=kept[axis]) for axis in ("log_snr", "t")], ignore_index=True
    )
    long = long[long["loss"] > 0]
    # On an axis of powers of ten what is next to nothing would take all the room.
    least = SMALLEST * long.groupby(["target", "dataset", "network"])["loss"].transform("max")
    long, least = long[long["loss"] >= least], least[long["loss"] >= least]
    long = of_modes(report, long).assign(low=np.maximum(long["low"], least))
    targets = [(name, TARGETS.get(name, name)) for name in names_in(long, "target")]
    controls = [
        Control("axis", "Axis", [("log_snr", "log SNR"), ("t", "timestep t")], "radio"),
        Control("target", "Loss of", targets, "radio"),
        *chosen(report, long, "dataset", "network"),
    ]
    base = chart_of(
        long, controls, "axis", "target", "dataset", "network", "training", "place", "log_snr",
        "t", "loss", "low", "high", "n",
    )  # fmt: skip
    colour = colour_of_modes(report, long, controls)
    # Noise grows to the right on both axes.
    x = alt.X(
        "shown:Q", title="axis",
        axis=alt.Axis(labelExpr=f"axis === 't' ? datum.label : {SIGNED}"),
        scale=alt.Scale(zero=False, nice=False),
    )  # fmt: skip
    turned = base.transform_calculate(shown="datum.axis === 't' ? datum.place : -datum.place")
    loss, low = (
        alt.Y(f"{name}:Q", scale=alt.Scale(type="log"), title="mean squared error per pixel")
        for name in ("loss", "low")
    )
    band = turned.mark_area(opacity=0.2).encode(x=x, y=low, y2="high:Q", color=colour)
    line = turned.mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=30)).encode(
        x=x, y=loss, color=colour,
        tooltip=tips(
            training="Training", log_snr="log SNR", t="t", loss="Loss", low="from", high="to", n="n"
        ),
    )  # fmt: skip
    yield Chart(
        "losses",
        "Loss along the noise",
        f"Mean squared error per pixel over test cases with {labels.interval()}; noise grows to "
        "the right on both axes. Left out: what is below a hundred-thousandth of the largest loss.",
        (band + line).properties(width="container", height=340),
        controls,
        {"axis": "axis === 't' ? 'timestep t' : 'log SNR (more noise →)'"},
    )


def bits(report: Report) -> Iterator[Chart]:
    """Where along the noise the image is needed; `here` is the place of the explorer."""
    table = report.tables["integrand"].dropna(subset=["log_snr", "density"])
    if table.empty:
        return
    words = {
        "covariance": "image (covariance)", "difference": "difference",
        "orthogonal": "orthogonal",
    }  # fmt: skip
    shown = table[table["estimate"].isin(words)]
    shown = shown.assign(
        turned=-shown["log_snr"], what=[words[str(name)] for name in shown["estimate"]]
    )
    controls = chosen(report, shown, "dataset", "network")
    base = chart_of(shown, controls, "dataset", "network", "estimate", "what", "turned", "log_snr",
                    "density")  # fmt: skip
    here = alt.param(name="here", value=0)
    x = _log_snr()
    colour = alt.Color(
        "what:N",
        scale=alt.Scale(domain=list(words.values()), range=["#0072B2", GREY, "#D55E00"]),
        legend=alt.Legend(title=None, orient="top", columns=3),
    )
    area = (
        base.transform_filter("datum.estimate === 'covariance'")
        .mark_area(opacity=0.35, color="#0072B2")
        .encode(x=x, y=alt.Y("density:Q", title="bits per mask and unit of log SNR"))
    )
    line = base.mark_line(strokeWidth=1.8).encode(
        x=x, y="density:Q", color=colour,
        tooltip=tips(what="Estimate", log_snr="log SNR", density="Bits"),
    )  # fmt: skip
    mark = (
        alt.Chart(pd.DataFrame({"one": [0]}))
        .mark_rule(strokeWidth=2, color=INK, clip=True)
        .transform_calculate(place="here")
        .encode(x="place:Q")
    )
    shown_with = area + line + mark if report.cases else area + line
    yield Chart(
        "bits",
        "Where the image's information lies",
        "Bits of the mask that the image tells, per unit of log SNR; the area is their sum."
        + (" The vertical line is the place of the slider above." if report.cases else ""),
        shown_with.add_params(here).properties(width="container", height=260),
        controls,
    )


def fingerprints(report: Report) -> Iterator[Chart]:
    """Geometry against where masks are lost; the chosen dataset's curve beside it."""
    table = report.tables["fingerprints"]
    if table.empty or report.tables["oracles"].empty:
        return
    figures = wide(table)
    death = death_of(figures)
    points = figures.reindex(columns=["boundary_per_area"]).join(death.rename("death")).dropna()
    if points.empty:
        return
    labels, curves = report.labels, dice_curves(report.tables["oracles"])
    points = points.reset_index()
    points["title"] = [labels.dataset(str(name)) for name in points["dataset"]]
    long = curves.reset_index().melt("dataset", var_name="log_snr", value_name="dice")
    long["title"] = [labels.dataset(str(name)) for name in long["dataset"]]
    long["log_snr"] = long["log_snr"].astype(float)
    long["turned"] = -long["log_snr"]
    controls = chosen(report, points, "dataset")
    picked = alt.param(name="dataset", value=controls[0].options[0][0])
    is_chosen = "datum.dataset === dataset"
    places = np.log(points["boundary_per_area"].to_numpy(dtype=np.float64))
    points["side"] = np.where(places <= (places.min() + places.max()) / 2, "left", "right")
    base = alt.Chart(data_of(points, "dataset", "title", "boundary_per_area", "death", "side"))
    dots = (
        base.mark_point(filled=True, opacity=1)
        .encode(
            x=alt.X(
                "boundary_per_area:Q", title="boundary per area of the masks [1/px]",
                scale=alt.Scale(type="log", nice=False, padding=20),
            ),
            y=alt.Y(
                "death:Q", title=DEATHS[str(death.name)], scale=alt.Scale(zero=False, padding=15)
            ),
            color=alt.condition(is_chosen, alt.value("#D55E00"), alt.value("#0072B2")),
            size=alt.condition(is_chosen, alt.value(170), alt.value(70)),
            tooltip=tips(title="Dataset", boundary_per_area="Boundary per area", death="log SNR"),
        )
        .add_params(picked)
    )  # fmt: skip
    # The name of a point stands on the side where there is room.
    names = [
        base.mark_text(dx=-12 * sign, align=side, color="#D55E00").encode(
            x="boundary_per_area:Q",
            y="death:Q",
            text=alt.condition(f"{is_chosen} && datum.side === '{side}'", "title:N", alt.value("")),
        )
        for side, sign in SIDES
    ]
    curve = (
        alt.Chart(data_of(long, "dataset", "title", "turned", "log_snr", "dice"))
        .mark_line(strokeWidth=1)
        .encode(
            x=_log_snr(),
            y=alt.Y("dice:Q", title="Dice without the image", scale=alt.Scale(domain=[0, 1])),
            detail="dataset:N",
            color=alt.condition(is_chosen, alt.value("#D55E00"), alt.value("#B9B9B9")),
            strokeWidth=alt.condition(is_chosen, alt.value(3), alt.value(0.8)),
            order=alt.Order("log_snr:Q"),
            tooltip=tips(title="Dataset", log_snr="log SNR", dice="Dice"),
        )
        .properties(width="container", height=300)
        .add_params(picked)
    )  # fmt: skip
    yield Chart(
        "fingerprints",
        "Datasets: geometry of masks, and where they are lost",
        "Each point is a dataset: the higher, the earlier its masks are lost under noise. A click "
        "on a point, or the list, chooses the dataset whose curve is drawn below.",
        alt.layer(dots, *names).properties(width="container", height=300),
        controls,
        picks="dataset",
    )
    yield Chart(
        "fingerprint_curves",
        "What remains readable of the chosen dataset's masks",
        "Dice of the best Gaussian filter on the noisy mask alone; grey, all other datasets.",
        curve,
    )
