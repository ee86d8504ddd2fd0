"""The charts of the page: Vega-Lite by Altair, each a function of the tables of a report.

What a reader may choose is a parameter of a chart, set by a control of the page; rows are chosen
inside the chart, so that nothing is drawn by hand. Colours are those of the figures.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from noise2mask.evaluation.labels import metric_of, principal, rows_of, trained
from noise2mask.evaluation.pareto import on_front
from noise2mask.report.context import Report
from noise2mask.report.figures.cost import letters_of
from noise2mask.report.page.noise_charts import bits, fingerprints, losses
from noise2mask.report.page.results import chosen, regions, scores, several
from noise2mask.report.page.vega import (
    GREY,
    INK,
    SYMBOLS,
    Chart,
    chart_of,
    colour_of_modes,
    looks,
    of_modes,
    tips,
    trainings,
)
from noise2mask.report.tables import sides_text, verdict_text

POINTS = 80
"""Most points of a training's loss."""


def charts(report: Report) -> list[Chart]:
    """Every chart that the tables of a report allow."""
    makers: Sequence[Callable[[Report], Iterator[Chart]]] = (
        _forest, _reliability, _cost, losses, bits, fingerprints, _draws, _history,
    )  # fmt: skip
    return [chart for maker in makers for chart in maker(report)]


def differences_of(report: Report) -> pd.DataFrame:
    """Every paired difference of a report in one table, first minus second."""
    found = []
    for name in ("comparisons", "contrasts"):
        rows = report.tables[name]
        pairs = [sides_text(row, report.labels) for row in rows.to_dict("records")]
        found += [rows.assign(pair=pairs)] * (len(rows) > 0)
    quirks = report.tables["quirks"]
    if len(quirks):
        mode = quirks["mode"]
        found.append(quirks.assign(pair=quirks["title"], first=mode, second=mode, loss=""))
    table = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["difference"])
    return table.dropna(subset=["difference"]).reset_index(drop=True)


def _forest(report: Report) -> Iterator[Chart]:
    """Paired differences with filters."""
    table, labels = differences_of(report), report.labels
    if table.empty:
        return
    filters = [name for name in ("pair", "dataset", "network", "sampler") if several(table, name)]
    side = table["verdict"].astype(str).str.extract("^(first|second)")[0].fillna("undecided")
    ways = {1: "right: first is better", -1: "left: first is better", 0: ""}
    rows = table.to_dict("records")
    shown = table.assign(
        row=[_named(row, report, filters) for row in rows],
        side=side,
        verdict=[verdict_text(row, labels) for row in rows],
        better=[ways[metric_of(str(name)).better] for name in table["metric"]],
    )
    controls = [scores(shown), *chosen(report, shown, *filters, every=True)]
    base = chart_of(
        shown, controls, "metric", "dataset", "network", "pair", "sampler", "row", "difference",
        "low", "high", "n", "side", "verdict", "better",
    )  # fmt: skip
    y = alt.Y(
        "row:N", sort=None, title=None, axis=alt.Axis(labelLimit=580, ticks=False, labelPadding=8)
    )
    sides = {side: f"{side} better" for side in ("first", "second")}
    if not several(table, "pair"):
        sides = {side: f"{labels.mode(str(table[side].iloc[0]))} better" for side in sides}
    sides["undecided"] = "undecided or not tested"
    colour = alt.Color(
        "side:N",
        scale=alt.Scale(domain=list(sides), range=["#0072B2", "#E69F00", GREY]),
        legend=alt.Legend(
            title=None, orient="top", labelLimit=300,
            labelExpr=f"{json.dumps(sides)}[datum.label]",
        ),
    )  # fmt: skip
    tip = tips(
        row="What", difference="Difference", low="from", high="to", n="n", verdict="Verdict",
        better="",
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


def _named(row: Mapping[Any, Any], report: Report, told: Sequence[str]) -> str:
    """What a difference is of: its dataset, and what is not the same for all."""
    titles: dict[str, Callable[[str], str]] = {"network": report.labels.network}
    parts = [report.labels.dataset(str(row["dataset"]))]
    parts += [
        titles.get(name, str)(str(row[name])) for name in ("network", "pair", "sampler")
        if name in told
    ]  # fmt: skip
    return " · ".join(filter(None, parts))


def _reliability(report: Report) -> Iterator[Chart]:
    """Reliability diagrams with a switch of the pixels."""
    table = trained(principal(report.tables["reliability"], report.tables["draws"]))
    table = table[table["count"] > 0]
    if table.empty:
        return
    cells = table.groupby(["dataset", "network", "mode", "sampler", "region"])
    share = table["count"] / cells["count"].transform("sum")
    shown = table.assign(training=trainings(report, table), share=share)
    controls = [regions(shown), *chosen(report, shown, "dataset", "network")]
    base = chart_of(shown, controls, "dataset", "network", "region", "training", "confidence",
                    "frequency", "share", "count")  # fmt: skip
    colour, shape = looks(report, shown, rows_of(table), controls)
    lines = base.mark_line(strokeWidth=1.2, opacity=0.6).encode(
        x=alt.X("confidence:Q", title="mean probability", scale=alt.Scale(domain=[0, 1])),
        y=alt.Y("frequency:Q", title="share of foreground", scale=alt.Scale(domain=[0, 1])),
        color=colour, detail="training:N",
    )  # fmt: skip
    dots = base.mark_point(filled=True, opacity=0.9).encode(
        x="confidence:Q", y="frequency:Q", color=colour, shape=shape,
        size=alt.Size("share:Q", scale=alt.Scale(type="sqrt", range=[25, 250]), legend=None),
        tooltip=tips(
            training="Training", confidence="Mean probability", frequency="Share of foreground",
            share="Share of the pixels", count="Pixels",
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
    letters = letters_of(table, report.labels)
    shown = table.assign(
        training=trainings(report, table),
        architecture=[report.labels.network(str(name)) for name in table["network"]],
        letter=[letters.get(str(name), "") for name in table["network"]],
    )
    long = shown.melt(
        id_vars=[name for name in shown if name not in metrics], value_vars=metrics,
        var_name="metric", value_name="score",
    ).dropna(subset=["score"])  # fmt: skip
    controls = [
        scores(long, "radio"),
        *chosen(report, long, "dataset"),
        *chosen(report, long, "network", every=True),
    ]
    base = chart_of(
        long, controls, "metric", "dataset", "network", "training", "architecture", "letter",
        "score", "seconds_per_mask", "draws", "macs_per_mask",
    )  # fmt: skip
    colour, shape = looks(report, long, rows_of(table), controls)
    x = alt.X(
        "seconds_per_mask:Q", title="seconds per mask",
        scale=alt.Scale(type="log", nice=False, padding=24),
    )  # fmt: skip
    y = alt.Y("score:Q", title="score", scale=alt.Scale(zero=False, padding=12))
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(
        x=x, y=y, color=colour, shape=shape,
        tooltip=tips(
            training="Training", architecture="Architecture", score="Score",
            seconds_per_mask="Seconds per mask", draws="N", macs_per_mask="Multiply-adds per mask",
        ),
    )  # fmt: skip
    names = base.mark_text(dx=11, dy=-7, fontSize=11, color=INK).encode(x=x, y=y, text="letter:N")
    best = (
        chart_of(_front(long), controls[:2])
        .mark_line(interpolate="step-after", strokeWidth=3, color=GREY, opacity=0.5)
        .encode(x=x, y=y, order="seconds_per_mask:Q")
    )
    told = ", ".join(f"{letter}: {report.labels.network(name)}" for name, letter in letters.items())
    yield Chart(
        "cost",
        "Quality against cost",
        "A score against the seconds that a mask takes, the fused result of all N draws; grey, the "
        "best within that time. Upper left is better for Dice, lower left for ECE."
        + (f" {told}." if told else ""),
        (best + dots + names).properties(width="container", height=320),
        controls,
        {"score": f"{json.dumps({name: metric_of(name).title for name in metrics})}[metric]"},
    )


def _front(long: pd.DataFrame) -> pd.DataFrame:
    """The best of each metric within each time, as points of a step line to the last time."""
    parts = []
    for (metric, _), rows in long.groupby(["metric", "dataset"], sort=False):
        better = metric_of(str(metric)).better
        best = rows[on_front(rows["seconds_per_mask"], better * rows["score"])]
        best = best.sort_values("seconds_per_mask")
        end = best.tail(1).assign(seconds_per_mask=rows["seconds_per_mask"].max())
        parts += [best, end]
    found = pd.concat(parts, ignore_index=True)
    return found[["metric", "dataset", "seconds_per_mask", "score"]]


def _draws(report: Report) -> Iterator[Chart]:
    """Calibration against the number of draws."""
    shown = of_modes(report, report.tables["draws"])
    if shown.empty:
        return
    controls = [regions(shown), *chosen(report, shown, "dataset", "network")]
    base = chart_of(shown, controls, "region", "dataset", "network", "training", "draws",
                    "ece_pooled", "ece_pooled_low", "ece_pooled_high", "floor", "ece",
                    "iou")  # fmt: skip
    colour = colour_of_modes(report, shown, controls)
    x = alt.X("draws:Q", title="draws N", scale=alt.Scale(type="log", base=2, nice=False))
    title = metric_of("ece_pooled").title
    band = base.mark_area(opacity=0.2).encode(
        x=x, y=alt.Y("ece_pooled_low:Q", title=title, scale=alt.Scale(zero=False)),
        y2="ece_pooled_high:Q", color=colour,
    )  # fmt: skip
    line = base.mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=45)).encode(
        x=x, y="ece_pooled:Q", color=colour,
        tooltip=tips(
            training="Training", draws="N", ece_pooled=title, floor="Perfect sampler of masks",
            ece="ECE per case", iou="IoU",
        ),
    )  # fmt: skip
    yield Chart(
        "draws",
        "Calibration and the number of draws",
        f"{title} against N, the draws whose mean is scored, with {report.labels.interval()}.",
        (band + line).properties(width="container", height=300),
        controls,
    )


def _history(report: Report) -> Iterator[Chart]:
    """Losses of the trainings, thinned."""
    words = {"loss": "training", "val_loss": "validation", "chosen": "chosen checkpoint"}
    table = report.tables["history"]
    table = table[table["name"].isin(words)]
    if table.empty:
        return
    keys = ["dataset", "network", "mode", "seed", "name"]
    parts = [_thinned(rows) for _, rows in table.groupby(keys, sort=False)]
    shown = pd.concat(parts, ignore_index=True)
    shown = of_modes(report, shown[shown["value"] > 0])
    shown = shown.assign(what=shown["name"].map(words))
    controls = chosen(report, shown, "dataset", "network")
    base = chart_of(shown, controls, "dataset", "network", "training", "name", "what", "seed",
                    "step", "value")  # fmt: skip
    x = alt.X(
        "step:Q", title="training step", scale=alt.Scale(nice=False), axis=alt.Axis(tickMinStep=1)
    )
    y = alt.Y("value:Q", title="loss", scale=alt.Scale(type="log"))
    tip = tips(training="Training", what="Loss", seed="Seed", step="Step", value="Value")
    encoded = {"x": x, "y": y, "color": colour_of_modes(report, shown, controls)}
    thin, thick, star = (base.transform_filter(f"datum.name === '{name}'") for name in words)
    thin = thin.mark_line(strokeWidth=0.8, opacity=0.5).encode(**encoded, detail="seed:N")
    thick = thick.mark_line(strokeWidth=2).encode(**encoded, detail="seed:N", tooltip=tip)
    star = star.mark_point(shape=SYMBOLS["*"], size=160, filled=True, opacity=1)
    yield Chart(
        "history",
        "Training",
        "Loss (thin) and validation loss (thick) of each training, a line a seed; the star is the "
        "chosen checkpoint. Losses of different modes are different quantities.",
        (thin + thick + star.encode(**encoded, tooltip=tip)).properties(
            width="container", height=320
        ),
        controls,
    )


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    """At most so many points of a curve, each the mean of its neighbours."""
    if len(rows) <= POINTS:
        return rows
    rows = rows.sort_values("step")
    block = np.arange(len(rows)) * POINTS // len(rows)
    first = rows.groupby(block).first()
    return first.assign(**rows.groupby(block)[["step", "value"]].mean().round({"step": 0}))
