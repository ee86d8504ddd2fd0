"""What the charts of the page share: data, looks, legends and what marks say, in Vega-Lite."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import altair as alt
import pandas as pd

from noise2mask.evaluation.labels import Row, names_in, rows_of
from noise2mask.report.context import Report
from noise2mask.report.page.results import ALL, Control
from noise2mask.study.plan import REFERENCE

GREY = "#8A8A8A"
INK = "#333333"
SIGNED = "replace(format(-datum.value, '~g'), '-', '−')"
"""What an axis of the negative of log SNR writes."""
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


def data_of(table: pd.DataFrame, *columns: str) -> alt.InlineData:
    """Some columns of a table, four digits each, as text that takes little room."""
    shown = table[list(dict.fromkeys(columns))] if columns else table
    numbers = {str(name): "number" for name in shown if pd.api.types.is_numeric_dtype(shown[name])}
    text = shown.to_csv(index=False, float_format="%.4g", lineterminator="\n")
    return alt.InlineData(values=text, format=alt.CsvDataFormat(type="csv", parse=numbers))


def filtered(chart: alt.Chart, controls: Sequence[Control]) -> alt.Chart:
    """A chart of the rows that the controls leave; each has a column of the chart's table."""
    for control in controls:
        rule = f"datum['{control.name}'] === {control.name}"
        if control.options[0][0] == ALL:
            rule = f"{control.name} === '{ALL}' || {rule}"
        chart = chart.transform_filter(rule)
    params = [alt.param(name=control.name, value=control.options[0][0]) for control in controls]
    return chart.add_params(*params)


def chart_of(table: pd.DataFrame, controls: Sequence[Control], *columns: str) -> alt.Chart:
    """A chart of some columns, see :func:`data_of`, of the rows that the controls leave."""
    return filtered(alt.Chart(data_of(table, *columns)), controls)


def legend(table: pd.DataFrame, controls: Sequence[Control], titles: Sequence[str]) -> alt.Legend:
    """A legend of those trainings that the chosen rows have.

    They stand in the order of `titles`.
    """
    keys = [control.name for control in controls if control.options[0][0] != ALL]
    found: dict[str, list[str]] = {}
    for row in table[[*keys, "training"]].drop_duplicates().to_dict("records"):
        found.setdefault("|".join(str(row[key]) for key in keys), []).append(row["training"])
    ordered = {key: [one for one in titles if one in names] for key, names in found.items()}
    chosen = " + '|' + ".join(keys) or "''"
    return alt.Legend(
        title=None, orient="top", columns=3, labelLimit=260, symbolOpacity=1,
        values=alt.ExprRef(f"{json.dumps(ordered)}[{chosen}] || []"),
    )  # fmt: skip


def trainings(report: Report, table: pd.DataFrame) -> list[str]:
    """The title of the training behind each row: its mode, or the name of a baseline."""
    rows = {row[:3]: row for row in rows_of(report.tables["summary"])}
    titles = []
    for row in table.to_dict("records"):
        key = (str(row["network"]), str(row["mode"]), str(row["sampler"]))
        known = rows.get(key)
        own = report.labels.row(known) if known else report.labels.mode(key[1])
        titles.append(report.labels.network(key[0]) if key[1] == REFERENCE else own)
    return titles


def of_modes(report: Report, table: pd.DataFrame) -> pd.DataFrame:
    """A table with the titles of its modes as `training`."""
    return table.assign(training=[report.labels.mode(str(mode)) for mode in table["mode"]])


def looks(
    report: Report, table: pd.DataFrame, rows: Iterable[Row], controls: Sequence[Control]
) -> tuple[alt.Color, alt.Shape]:
    """Colour and shape of trainings, those of the figures; one legend for both.

    They stand in the order of `rows`.
    """
    seen: dict[str, tuple[str, str, str]] = {}
    for one in (
        table[["training", "network", "mode", "sampler"]].drop_duplicates().to_dict("records")
    ):
        key = (str(one["network"]), str(one["mode"]), str(one["sampler"]))
        seen.setdefault(one["training"], key)
    order = {row[:3]: place for place, row in enumerate(rows)}
    titles = sorted(seen, key=lambda title: order.get(seen[title], len(order)))
    found = [report.looks.of_row(*seen[title]) for title in titles]
    shapes = [SYMBOLS.get(look.marker, "circle") for look in found]
    told = legend(table, controls, titles)
    colours = alt.Scale(domain=titles, range=[look.colour for look in found])
    return (
        alt.Color("training:N", scale=colours, legend=told),
        alt.Shape("training:N", scale=alt.Scale(domain=titles, range=shapes), legend=told),
    )


def colour_of_modes(report: Report, table: pd.DataFrame, controls: Sequence[Control]) -> alt.Color:
    """The colour of trainings that are told apart by their mode alone."""
    modes = names_in(table, "mode")
    titles = [report.labels.mode(mode) for mode in modes]
    scale = alt.Scale(domain=titles, range=[report.looks.mode(mode).colour for mode in modes])
    return alt.Color("training:N", scale=scale, legend=legend(table, controls, titles))


def tips(**columns: str) -> list[alt.Tooltip]:
    """What a mark says when it is pointed at: columns with their titles."""
    numbers = {"difference", "low", "high", "confidence", "frequency", "share", "score", "loss",
               "density", "dice", "death", "boundary_per_area", "ece_pooled", "floor", "ece",
               "iou", "value", "log_snr"}  # fmt: skip
    return [
        alt.Tooltip(f"{name}:Q", title=title or name, format=".3~g")
        if name in numbers
        else alt.Tooltip(f"{name}:N", title=title or name)
        for name, title in columns.items()
    ]
