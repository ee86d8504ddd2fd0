"""The charts of the page: Vega-Lite by Altair, each a function of the tables of a report.

What a reader may choose is a parameter of a chart, set by a control of the page; rows are chosen
inside the chart, so that nothing is drawn by hand. Colours are those of the figures.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd

from noise2mask.analysis.fingerprints.likeness import death_of, dice_curves, wide
from noise2mask.evaluation.labels import HEADLINE, metric_of, names_in, principal, rows_of, trained
from noise2mask.report.context import Report
from noise2mask.report.figures.fingerprints import DEATHS
from noise2mask.report.figures.noise_axis import TARGETS, trained_on
from noise2mask.report.tables import sides_text, verdict_text
from noise2mask.study.plan import REFERENCE

ALL = ""
"""Value of a control that leaves every row."""
GREY = "#8A8A8A"
POINTS = 80
"""Most points of a training's loss."""
SMALLEST = 1e-5
"""Share of the largest loss from which on losses are drawn."""
SYMBOLS = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "v": "triangle-down",
    "<": "triangle-left",
    ">": "triangle-right",
    "D": "diamond",
    "P": "cross",
    "X": "M-1,-.6L-.6,-1L0,-.4L.6,-1L1,-.6L.4,0L1,.6L.6,1L0,.4L-.6,1L-1,.6L-.4,0Z",
    "*": "M0,-1L.24,-.32H.96L.38,.12L.6,.8L0,.38L-.6,.8L-.38,.12L-.96,-.32H-.24Z",
    "p": "M0,-1L.96,-.3L.58,.8H-.58L-.96,-.3Z",
    "h": "M0,-1L.86,-.5V.5L0,1L-.86,.5V-.5Z",
    "d": "M0,-1L.6,0L0,1L-.6,0Z",
    "8": "M-.4,-1H.4L1,-.4V.4L.4,1H-.4L-1,.4V-.4Z",
}
"""Markers of matplotlib as those of Vega."""


@dataclass(frozen=True)
class Control:
    """What a reader may choose of one or more charts.

    Attributes:
        name: of the parameter that it sets.
        label: what stands beside it.
        options: values with their words; of a range its least, most and step.
        kind: how it looks.
    """

    name: str
    label: str
    options: Sequence[tuple[str, str]]
    kind: Literal["select", "radio"] = "select"


@dataclass(frozen=True, eq=False)
class Chart:
    """A chart with what is said of it and what may be chosen.

    Attributes:
        name: of its place in the page.
        title: of the chart.
        told: what it shows, which a screen reader reads too.
        spec: Vega-Lite.
        controls: the first option of each is chosen.
        titles: of axes that change with a choice, by the title in `spec`: an expression of Vega.
        picks: the control that a click on a mark sets.
    """

    name: str
    title: str
    told: str
    spec: alt.TopLevelMixin
    controls: Sequence[Control] = field(default_factory=tuple)
    titles: Mapping[str, str] = field(default_factory=dict)
    picks: str = ""


def charts(report: Report) -> list[Chart]:
    """Every chart that the tables of a report allow."""
    makers: Sequence[Callable[[Report], Iterator[Chart]]] = (
        _forest, _reliability, _cost, _losses, _bits, _fingerprints, _draws, _history,
    )  # fmt: skip
    return [chart for maker in makers for chart in maker(report)]


def differences_of(report: Report) -> pd.DataFrame:
    """Every paired difference of a report in one table, first minus second."""
    found = []
    for name in ("comparisons", "contrasts"):
        rows = report.tables[name]
        if len(rows):
            pairs = [sides_text(row, report.labels) for row in rows.to_dict("records")]
            found.append(rows.assign(pair=pairs))
    quirks = report.tables["quirks"]
    if len(quirks):
        found.append(
            quirks.assign(
                pair=quirks["title"], first=quirks["mode"], second=quirks["mode"], loss="",
                sampler=quirks["sampler"],
            )
        )  # fmt: skip
    if not found:
        return pd.DataFrame()
    table = pd.concat(found, ignore_index=True)
    return table.dropna(subset=["difference"]).reset_index(drop=True)


def _forest(report: Report) -> Iterator[Chart]:
    """Paired differences with filters."""
    table = differences_of(report)
    if table.empty:
        return
    labels = report.labels
    words = []
    for row in table.to_dict("records"):
        word = str(row["verdict"]) if isinstance(row["verdict"], str) else ""
        side = (
            "first" if word.startswith("first") else "second" if word.startswith("second") else ""
        )
        words.append((side or "undecided", verdict_text(row, labels)))
    shown = pd.DataFrame(
        {
            "metric": table["metric"],
            "dataset": table["dataset"],
            "network": table["network"],
            "pair": table["pair"],
            "row": [
                _joined(
                    labels.dataset(str(row["dataset"])),
                    labels.network(str(row["network"])) if _several(table, "network") else "",
                    str(row["pair"]) if _several(table, "pair") else "",
                    str(row["sampler"]) if _several(table, "sampler") else "",
                )
                for row in table.to_dict("records")
            ],
            "difference": table["difference"],
            "low": table["low"],
            "high": table["high"],
            "n": table["n"],
            "side": [side for side, _ in words],
            "verdict": [word for _, word in words],
            "better": [
                {1: "right: first is better", -1: "left: first is better"}.get(
                    metric_of(str(name)).better, ""
                )
                for name in table["metric"]
            ],
        }
    )
    metrics = _ordered(names_in(table, "metric"))
    controls = [
        Control("metric", "Score", [(name, metric_of(name).title) for name in metrics]),
        *_filters(report, shown, ("pair", "dataset", "network")),
    ]
    base = _filtered(alt.Chart(_data(shown)), controls, equal=("metric",))
    y = alt.Y(
        "row:N", sort=None, title=None, axis=alt.Axis(labelLimit=300, ticks=False, labelPadding=8)
    )
    sides = {side: f"{side} better" for side in ("first", "second")}
    if not _several(table, "pair"):
        sides = {side: f"{labels.mode(str(table[side].iloc[0]))} better" for side in sides}
    sides["undecided"] = "undecided or not tested"
    colour = alt.Color(
        "side:N",
        scale=alt.Scale(
            domain=["first", "second", "undecided"], range=["#0072B2", "#E69F00", GREY]
        ),
        legend=alt.Legend(
            title=None,
            orient="top",
            labelLimit=300,
            labelExpr=f"{json.dumps(sides)}[datum.label]",
        ),
    )
    tip = _tips(
        [("row", "What"), ("difference", "Difference"), ("low", "from"), ("high", "to"),
         ("n", "n"), ("verdict", "Verdict"), ("better", "")]
    )  # fmt: skip
    bars = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title="difference, first minus second"), x2="high:Q", y=y, color=colour,
        tooltip=tip,
    )  # fmt: skip
    dots = base.mark_point(size=70, filled=True, opacity=1).encode(
        x="difference:Q", y=y, color=colour, tooltip=tip
    )
    zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(color=GREY).encode(x="x:Q")
    yield Chart(
        "forest",
        "Paired differences",
        f"First minus second, paired by test case, with {labels.interval()}. Blue: the first is "
        "better beyond chance; orange: the second; grey: undecided or not tested: not every score "
        "was planned.",
        (zero + bars + dots).properties(width="container", height=alt.Step(19)),
        controls,
    )


_SIGNED = "replace(format(-datum.value, '~g'), '-', '−')"
"""What an axis of the negative of log SNR writes."""


def _reliability(report: Report) -> Iterator[Chart]:
    """Reliability diagrams with a switch of the pixels."""
    table = trained(principal(report.tables["reliability"], report.tables["draws"]))
    table = table[table["count"] > 0]
    if table.empty:
        return
    rows = rows_of(table)
    total = table.groupby(["dataset", "network", "mode", "sampler", "region"])["count"].transform(
        "sum"
    )
    shown = table.assign(training=_trainings(report, table), share=table["count"] / total)
    controls = [
        Control(
            "region", "Pixels", _named(shown, "region", {"all": "all", "band": "boundary band"}),
            "radio",
        ),
        _dataset(report, shown),
        _network(report, shown, everything=False),
    ]  # fmt: skip
    data = _data(shown, "dataset", "network", "region", "training", "confidence", "frequency",
                 "share", "count")  # fmt: skip
    base = _filtered(alt.Chart(data), controls, equal=("region", "dataset", "network"))
    colour, shape = _looks(report, shown, rows)
    lines = base.mark_line(strokeWidth=1.2, opacity=0.6).encode(
        x=alt.X("confidence:Q", title="mean probability", scale=alt.Scale(domain=[0, 1])),
        y=alt.Y("frequency:Q", title="share of foreground", scale=alt.Scale(domain=[0, 1])),
        color=colour, detail="training:N",
    )  # fmt: skip
    dots = base.mark_point(filled=True, opacity=0.9).encode(
        x="confidence:Q", y="frequency:Q", color=colour, shape=shape,
        size=alt.Size("share:Q", scale=alt.Scale(type="sqrt", range=[25, 250]), legend=None),
        tooltip=_tips(
            [("training", "Training"), ("confidence", "Mean probability"),
             ("frequency", "Share of foreground"), ("share", "Share of the pixels"),
             ("count", "Pixels")]
        ),
    )  # fmt: skip
    ideal = (
        alt.Chart(pd.DataFrame({"x": [0, 1], "y": [0, 1]}))
        .mark_line(color=GREY, strokeWidth=1)
        .encode(x="x:Q", y="y:Q")
    )
    yield Chart(
        "reliability",
        "Reliability",
        "Share of foreground against mean probability of each bin, all test cases pooled; the "
        "larger a mark, the more pixels. On the diagonal probabilities are right.",
        (ideal + lines + dots).properties(width="container", height=380),
        controls,
    )


def _cost(report: Report) -> Iterator[Chart]:
    """Quality against cost."""
    table = report.tables["pareto"]
    if table.empty:
        return
    metrics = [name for name in ("dice", "ece") if name in table]
    shown = table.assign(training=_trainings(report, table))
    long = shown.melt(
        id_vars=[name for name in shown if name not in metrics], value_vars=metrics,
        var_name="metric", value_name="score",
    ).dropna(subset=["score"])  # fmt: skip
    controls = [
        Control("metric", "Score", [(name, metric_of(name).title) for name in metrics], "radio"),
        _dataset(report, long),
        _network(report, long, everything=True),
    ]
    data = _data(long, "metric", "dataset", "network", "training", "score", "seconds_per_mask",
                 "draws", "macs_per_mask")  # fmt: skip
    base = _filtered(alt.Chart(data), controls, equal=("metric", "dataset"))
    colour, shape = _looks(report, long, rows_of(table))
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(
        x=alt.X("seconds_per_mask:Q", title="seconds per mask", scale=alt.Scale(type="log")),
        y=alt.Y("score:Q", title="score", scale=alt.Scale(zero=False)),
        color=colour, shape=shape,
        tooltip=_tips(
            [("training", "Training"), ("score", "Score"), ("seconds_per_mask", "Seconds per mask"),
             ("draws", "N"), ("macs_per_mask", "Multiply-adds per mask")]
        ),
    )  # fmt: skip
    yield Chart(
        "cost",
        "Quality against cost",
        "A score against the seconds that a mask takes, the fused result of all N draws. Upper "
        "left is better for Dice, lower left for ECE.",
        dots.properties(width="container", height=320),
        controls,
        {"score": f"{json.dumps({name: metric_of(name).title for name in metrics})}[metric]"},
    )


def _losses(report: Report) -> Iterator[Chart]:
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
    long = long.assign(
        training=[labels.mode(str(mode)) for mode in long["mode"]],
        low=np.maximum(long["low"], least),
    )
    controls = [
        Control("axis", "Axis", [("log_snr", "log SNR"), ("t", "timestep t")], "radio"),
        Control("target", "Loss of", _named(long, "target", TARGETS), "radio"),
        _dataset(report, long),
        _network(report, long, everything=False),
    ]
    data = _data(long, "axis", "target", "dataset", "network", "training", "place", "log_snr", "t",
                 "loss", "low", "high", "n")  # fmt: skip
    base = _filtered(alt.Chart(data), controls, equal=("axis", "target", "dataset", "network"))
    modes = names_in(long, "mode")
    looks = report.looks.named(modes)
    colour = alt.Color(
        "training:N",
        scale=alt.Scale(
            domain=[labels.mode(mode) for mode in modes],
            range=[looks[mode].colour for mode in modes],
        ),
        legend=_LEGEND,
    )
    # Noise grows to the right on both axes.
    x = alt.X(
        "shown:Q", title="axis",
        axis=alt.Axis(labelExpr=f"axis === 't' ? datum.label : {_SIGNED}"),
        scale=alt.Scale(zero=False, nice=False),
    )  # fmt: skip
    turned = base.transform_calculate(shown="datum.axis === 't' ? datum.place : -datum.place")
    y = alt.Y("loss:Q", scale=alt.Scale(type="log"), title="mean squared error per pixel")
    band = turned.mark_area(opacity=0.2).encode(
        x=x, y=alt.Y("low:Q", scale=alt.Scale(type="log"), title="mean squared error per pixel"),
        y2="high:Q", color=colour,
    )  # fmt: skip
    line = turned.mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=30)).encode(
        x=x, y=y, color=colour,
        tooltip=_tips(
            [("training", "Training"), ("log_snr", "log SNR"), ("t", "t"), ("loss", "Loss"),
             ("low", "from"), ("high", "to"), ("n", "n")]
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


def _bits(report: Report) -> Iterator[Chart]:
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
    controls = [_dataset(report, shown), _network(report, shown, everything=False)]
    data = _data(shown, "dataset", "network", "estimate", "what", "turned", "log_snr", "density")
    base = _filtered(alt.Chart(data), controls, equal=("dataset", "network"))
    here = alt.param(name="here", value=0)
    x = alt.X(
        "turned:Q", title="log SNR (more noise →)", scale=alt.Scale(nice=False),
        axis=alt.Axis(labelExpr=_SIGNED),
    )  # fmt: skip
    colour = alt.Color(
        "what:N",
        scale=alt.Scale(domain=list(words.values()), range=["#0072B2", GREY, "#D55E00"]),
        legend=_LEGEND,
    )
    area = (
        base.transform_filter("datum.estimate === 'covariance'")
        .mark_area(opacity=0.35, color="#0072B2")
        .encode(x=x, y=alt.Y("density:Q", title="bits per mask and unit of log SNR"))
    )
    line = base.mark_line(strokeWidth=1.8).encode(
        x=x, y="density:Q", color=colour,
        tooltip=_tips([("what", "Estimate"), ("log_snr", "log SNR"), ("density", "Bits")]),
    )  # fmt: skip
    mark = (
        alt.Chart(pd.DataFrame({"one": [0]}))
        .mark_rule(strokeWidth=2, color="#D55E00", clip=True)
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


def _fingerprints(report: Report) -> Iterator[Chart]:
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
    datasets = [(str(name), labels.dataset(str(name))) for name in points["dataset"]]
    controls = [Control("dataset", "Dataset", datasets)]
    chosen = alt.param(name="dataset", value=datasets[0][0])
    is_chosen = "datum.dataset === dataset"
    base = alt.Chart(_data(points, "dataset", "title", "boundary_per_area", "death"))
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
            tooltip=_tips(
                [("title", "Dataset"), ("boundary_per_area", "Boundary per area"),
                 ("death", "log SNR")]
            ),
        )
        .add_params(chosen)
    )  # fmt: skip
    name = (
        base.mark_text(dy=-14, color="#D55E00")
        .encode(x="boundary_per_area:Q", y="death:Q", text="title:N")
        .transform_filter(is_chosen)
    )
    curve = (
        alt.Chart(_data(long, "dataset", "title", "turned", "log_snr", "dice"))
        .mark_line(strokeWidth=1)
        .encode(
            x=alt.X(
                "turned:Q", title="log SNR (more noise →)", scale=alt.Scale(nice=False),
                axis=alt.Axis(labelExpr=_SIGNED),
            ),
            y=alt.Y("dice:Q", title="Dice without the image", scale=alt.Scale(domain=[0, 1])),
            detail="dataset:N",
            color=alt.condition(is_chosen, alt.value("#D55E00"), alt.value("#B9B9B9")),
            strokeWidth=alt.condition(is_chosen, alt.value(3), alt.value(0.8)),
            order=alt.Order("log_snr:Q"),
            tooltip=_tips([("title", "Dataset"), ("log_snr", "log SNR"), ("dice", "Dice")]),
        )
        .properties(width="container", height=300)
        .add_params(chosen)
    )  # fmt: skip
    yield Chart(
        "fingerprints",
        "Datasets: geometry of masks, and where they are lost",
        "Each point is a dataset: the higher, the earlier its masks are lost under noise. A click "
        "on a point, or the list, chooses the dataset whose curve is drawn below.",
        (dots + name).properties(width="container", height=300),
        controls,
        picks="dataset",
    )
    yield Chart(
        "fingerprint_curves",
        "What remains readable of the chosen dataset's masks",
        "Dice of the best Gaussian filter on the noisy mask alone; grey, all other datasets.",
        curve,
    )


def _draws(report: Report) -> Iterator[Chart]:
    """Calibration against the number of draws."""
    table = report.tables["draws"]
    if table.empty:
        return
    labels = report.labels
    shown = table.assign(training=[labels.mode(str(mode)) for mode in table["mode"]])
    controls = [
        Control(
            "region", "Pixels", _named(shown, "region", {"all": "all", "band": "boundary band"}),
            "radio",
        ),
        _dataset(report, shown),
        _network(report, shown, everything=False),
    ]  # fmt: skip
    data = _data(shown, "region", "dataset", "network", "training", "draws", "ece_pooled",
                 "ece_pooled_low", "ece_pooled_high", "floor", "ece", "iou")  # fmt: skip
    base = _filtered(alt.Chart(data), controls, equal=("region", "dataset", "network"))
    modes = names_in(shown, "mode")
    colour = alt.Color(
        "training:N",
        scale=alt.Scale(
            domain=[labels.mode(mode) for mode in modes],
            range=[report.looks.mode(mode).colour for mode in modes],
        ),
        legend=_LEGEND,
    )
    x = alt.X("draws:Q", title="draws N", scale=alt.Scale(type="log", base=2, nice=False))
    title = metric_of("ece_pooled").title
    band = base.mark_area(opacity=0.2).encode(
        x=x, y=alt.Y("ece_pooled_low:Q", title=title, scale=alt.Scale(zero=False)),
        y2="ece_pooled_high:Q", color=colour,
    )  # fmt: skip
    line = base.mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=45)).encode(
        x=x, y="ece_pooled:Q", color=colour,
        tooltip=_tips(
            [("training", "Training"), ("draws", "N"), ("ece_pooled", title),
             ("floor", "Perfect sampler of masks"), ("ece", "ECE per case"), ("iou", "IoU")]
        ),
    )  # fmt: skip
    yield Chart(
        "draws",
        "Calibration and the number of draws",
        f"{title} against N, the draws whose mean is scored, with {labels.interval()}.",
        (band + line).properties(width="container", height=300),
        controls,
    )


def _history(report: Report) -> Iterator[Chart]:
    """Losses of the trainings, thinned."""
    table = report.tables["history"]
    table = table[table["name"].isin(["loss", "val_loss", "chosen"])]
    if table.empty:
        return
    labels = report.labels
    keys = ["dataset", "network", "mode", "seed", "name"]
    parts = [_thinned(rows) for _, rows in table.groupby(keys, sort=False)]
    shown = pd.concat(parts, ignore_index=True)
    shown = shown[shown["value"] > 0]
    words = {"loss": "training", "val_loss": "validation", "chosen": "chosen checkpoint"}
    shown = shown.assign(
        training=[labels.mode(str(mode)) for mode in shown["mode"]],
        what=[words[str(name)] for name in shown["name"]],
    )
    controls = [_dataset(report, shown), _network(report, shown, everything=False)]
    data = _data(shown, "dataset", "network", "training", "name", "what", "seed", "step", "value")
    base = _filtered(alt.Chart(data), controls, equal=("dataset", "network"))
    modes = names_in(shown, "mode")
    colour = alt.Color(
        "training:N",
        scale=alt.Scale(
            domain=[labels.mode(mode) for mode in modes],
            range=[report.looks.mode(mode).colour for mode in modes],
        ),
        legend=_LEGEND,
    )
    tip = _tips([("training", "Training"), ("what", "Loss"), ("seed", "Seed"), ("step", "Step"),
                 ("value", "Value")])  # fmt: skip
    x = alt.X(
        "step:Q", title="training step", scale=alt.Scale(nice=False), axis=alt.Axis(tickMinStep=1)
    )
    y = alt.Y("value:Q", title="loss", scale=alt.Scale(type="log"))
    thin = (
        base.transform_filter("datum.name === 'loss'")
        .mark_line(strokeWidth=0.8, opacity=0.5)
        .encode(x=x, y=y, color=colour, detail="seed:N")
    )
    thick = (
        base.transform_filter("datum.name === 'val_loss'")
        .mark_line(strokeWidth=2)
        .encode(x=x, y=y, color=colour, detail="seed:N", tooltip=tip)
    )
    star = (
        base.transform_filter("datum.name === 'chosen'")
        .mark_point(shape=SYMBOLS["*"], size=160, filled=True, opacity=1)
        .encode(x=x, y=y, color=colour, tooltip=tip)
    )
    yield Chart(
        "history",
        "Training",
        "Loss (thin) and validation loss (thick) of each training, a line a seed; the star is the "
        "chosen checkpoint. Losses of different modes are different quantities.",
        (thin + thick + star).properties(width="container", height=320),
        controls,
    )


_LEGEND = alt.Legend(title=None, orient="top", columns=3, labelLimit=260, symbolOpacity=1)


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    """At most so many points of a curve, each the mean of its neighbours."""
    if len(rows) <= POINTS:
        return rows
    rows = rows.sort_values("step")
    block = np.arange(len(rows)) * POINTS // len(rows)
    first = rows.groupby(block).first()
    return first.assign(**rows.groupby(block)[["step", "value"]].mean().round({"step": 0}))


def _trainings(report: Report, table: pd.DataFrame) -> list[str]:
    """The title of the training behind each row: its mode, or the name of a baseline."""
    rows = {row[:3]: row for row in rows_of(report.tables["summary"])}
    titles = []
    for row in table.to_dict("records"):
        key = (str(row["network"]), str(row["mode"]), str(row["sampler"]))
        known = rows.get(key)
        own = report.labels.row(known) if known else report.labels.mode(key[1])
        titles.append(report.labels.network(key[0]) if key[1] == REFERENCE else own)
    return titles


def _looks(report: Report, table: pd.DataFrame, rows: Iterable[Any]) -> tuple[alt.Color, alt.Shape]:
    """Colour and shape of trainings, those of the figures; one legend for both."""
    domain, colours, shapes = [], [], []
    seen = dict(
        zip(
            table["training"],
            zip(table["network"], table["mode"], table["sampler"], strict=True),
            strict=True,
        )
    )
    order = {tuple(row[:3]): place for place, row in enumerate(rows)}
    for title, key in sorted(seen.items(), key=lambda item: order.get(item[1], len(order))):
        look = report.looks.of_row(*map(str, key))
        domain.append(title)
        colours.append(look.colour)
        shapes.append(SYMBOLS.get(look.marker, "circle"))
    return (
        alt.Color("training:N", scale=alt.Scale(domain=domain, range=colours), legend=_LEGEND),
        alt.Shape("training:N", scale=alt.Scale(domain=domain, range=shapes), legend=_LEGEND),
    )


def _filtered(chart: alt.Chart, controls: Sequence[Control], *, equal: Sequence[str]) -> alt.Chart:
    """A chart of the rows that the controls leave.

    Args:
        chart: of a table with a column each control.
        controls: what may be chosen.
        equal: controls that always choose one value; others may leave all.
    """
    for control in controls:
        column = f"datum['{control.name}'] === {control.name}"
        rule = column if control.name in equal else f"{control.name} === '' || {column}"
        chart = chart.transform_filter(rule)
    params = [alt.param(name=control.name, value=control.options[0][0]) for control in controls]
    return chart.add_params(*params)


def _filters(report: Report, table: pd.DataFrame, columns: Sequence[str]) -> list[Control]:
    """Filters of columns with several values, everything first."""
    found = []
    for column in columns:
        if not _several(table, column):
            continue
        titles: Mapping[str, str] = {}
        if column == "dataset":
            titles = {name: report.labels.dataset(name) for name in names_in(table, column)}
        if column == "network":
            titles = {name: report.labels.network(name) for name in names_in(table, column)}
        words = {"pair": "Comparison", "dataset": "Dataset", "network": "Architecture"}
        options = [(ALL, "all"), *_named(table, column, titles)]
        found.append(Control(column, words.get(column, column), options))
    return found


def _dataset(report: Report, table: pd.DataFrame) -> Control:
    titles = {name: report.labels.dataset(name) for name in names_in(table, "dataset")}
    return Control("dataset", "Dataset", _named(table, "dataset", titles))


def _network(report: Report, table: pd.DataFrame, *, everything: bool) -> Control:
    titles = {name: report.labels.network(name) for name in names_in(table, "network")}
    options = _named(table, "network", titles)
    first = [(ALL, "all")] if everything and len(options) > 1 else []
    return Control("network", "Architecture", [*first, *options])


def _named(table: pd.DataFrame, column: str, titles: Mapping[str, str]) -> list[tuple[str, str]]:
    """Values of a column with their words."""
    return [(name, titles.get(name, name)) for name in names_in(table, column)]


def _data(table: pd.DataFrame, *columns: str) -> alt.InlineData:
    """Some columns of a table, four digits each, as text that takes little room."""
    shown = table[list(dict.fromkeys(columns))] if columns else table
    numbers = {str(name): "number" for name in shown if pd.api.types.is_numeric_dtype(shown[name])}
    text = shown.to_csv(index=False, float_format="%.4g", lineterminator="\n")
    return alt.InlineData(values=text, format=alt.CsvDataFormat(type="csv", parse=numbers))


def _ordered(metrics: Sequence[str]) -> list[str]:
    """Metrics, the main ones first."""
    return [
        *(name for name in HEADLINE if name in metrics),
        *(name for name in metrics if name not in HEADLINE),
    ]


def _several(table: pd.DataFrame, column: str) -> bool:
    return len(names_in(table, column)) > 1


def _joined(*parts: str) -> str:
    return " · ".join(filter(None, parts))


def _tips(columns: Sequence[tuple[str, str]]) -> list[alt.Tooltip]:
    """What a mark says when it is pointed at."""
    numbers = {"difference", "low", "high", "confidence", "frequency", "share", "score", "loss",
               "density", "dice", "death", "boundary_per_area", "ece_pooled", "floor", "ece",
               "iou", "value", "log_snr"}  # fmt: skip
    return [
        alt.Tooltip(f"{name}:Q", title=title or name, format=".3~g")
        if name in numbers
        else alt.Tooltip(f"{name}:N", title=title or name)
        for name, title in columns
    ]
