"""Claims and predictions on the page, and the tables that lie folded below its charts."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from noise2mask import plugins
from noise2mask.data.splits import SPLITS
from noise2mask.evaluation.labels import metric_of, names_in, number
from noise2mask.report.context import Report
from noise2mask.report.markdown import Column, Table
from noise2mask.report.settings import limits_of
from noise2mask.report.tables import (
    against_table,
    cost_table,
    difference_table,
    draws_table,
    effect_table,
    finding_number,
    fingerprint_table,
    grown_table,
    information_table,
    quirk_table,
    reached_table,
    stated,
    steps_table,
    structure_table,
    word,
)
from noise2mask.report.text import UNSPOKEN

EFFECTS = 6
"""Most metrics in the table of an ablation's effects."""


def folded(report: Report) -> dict[str, list[tuple[str, Table]]]:
    """The tables of each part that have a row, with what stands above them."""
    found: dict[str, list[tuple[str, Table]]] = {}
    for part, caption, table in _tables(report):
        if table:
            found.setdefault(part, []).append((caption, table))
    return found


def _tables(report: Report) -> Iterator[tuple[str, str, Table]]:
    tables, labels = report.tables, report.labels
    for caption, name in (
        ("Diffusion against feed-forward", "comparisons"),
        ("Planned contrasts", "contrasts"),
    ):
        yield "differences", caption, difference_table(tables[name], labels)
    for metric in names_in(tables["quirks"], "metric"):
        caption = f"Published quirks, {metric_of(metric).title}, in hundredths"
        yield "differences", caption, quirk_table(tables["quirks"], metric, labels)
    if len(tables["quirks"]):
        against = against_table(tables["quirks"], "dice", labels)
        yield "differences", "Quirks that change the masks", against
    if len(tables["grid"]):
        summary, design = tables["summary"], tables["grid"]
        known = [name for name in names_in(summary, "metric") if metric_of(name).better]
        effects = effect_table(design, summary, known[:EFFECTS])
        yield "differences", "Effects of single settings", effects
        steps = steps_table(summary, design, labels)
        yield "differences", "Sampling steps that suffice", steps
    for part, caption, name, make in (
        ("differences", "How far masks grow", "grown_masks", grown_table),
        ("noise", "What the image tells, in bits", "information", information_table),
        ("noise", "Shape of the loss curves", "structure", structure_table),
        ("calibration", "Calibration and the number of draws", "draws", draws_table),
        ("costs", "Costs of a mask", "costs", cost_table),
        ("costs", "Cheapest way to a Dice", "cost_to_reach", reached_table),
        ("datasets", "Masks without the image", "fingerprints", fingerprint_table),
    ):
        yield part, caption, make(tables[name], labels)


def datasets(report: Report) -> Table:
    """Datasets with terms, cases and hashes."""
    return Table(
        [
            Column("Dataset", lambda row: row.title, left=True),
            Column("Stands in for", lambda row: row.stands_for or "–", left=True),
            Column("Licence", lambda row: row.licence, left=True),
            Column(
                "Train / validation / test",
                lambda row: " / ".join(str(row.counts.get(split, 0)) for split in SPLITS),
            ),
            Column("Hash", lambda row: row.digest or "not prepared", left=True),
        ],
        list(report.record.datasets.values()),
    )


def pairs(title: str, found: list[tuple[str, str]]) -> Table:
    """A table of names and values."""
    return Table(
        [
            Column(title, lambda pair: pair[0], left=True),
            Column("Value", lambda pair: pair[1], True),
        ],
        found,
    )


class Finding(NamedTuple):
    """A claim or prediction in a line."""

    name: str
    verdict: str
    statement: str
    number: str
    limits: str


def findings(report: Report, table: str) -> Iterator[Finding]:
    """Those of a table, `claims` or `hypotheses`, that have a verdict."""
    for row in report.tables[table].to_dict("records"):
        if row["verdict"] in UNSPOKEN:
            continue
        yield Finding(
            str(row["name"]), str(row["verdict"]), stated(row), finding_number(row),
            "; ".join(filter(None, [
                limits_of(report.study, trained=row["seeds"] > 0), word(row["scope"]),
            ])),
        )  # fmt: skip


def silent(report: Report) -> str:
    """A line about those that the study cannot speak to."""
    rows = report.findings.to_dict("records")
    names = [str(row["name"]) for row in rows if row["verdict"] in UNSPOKEN]
    return f"This study cannot speak to {', '.join(names)}." if names else ""


def rules(report: Report) -> Iterator[dict[str, Any]]:
    """Each claim and prediction with its number, its rule and what is to be kept in mind."""
    rules = {
        member.said.name: member.__doc__
        for kind in ("claim", "prediction")
        if kind in plugins.KINDS
        for member in (plugins.member(kind, name) for name in plugins.names(kind))
    }
    for row in report.findings.to_dict("records"):
        said = [
            ("Number", finding_number(row) if math.isfinite(float(row["value"])) else ""),
            ("p", number(float(row["p"]), 4)),
            ("Holds for", word(row["scope"])),
            ("All numbers", word(row["numbers"])),
            ("Remark", word(row["remark"])),
            ("Rule", " ".join((rules.get(str(row["name"])) or "").split())),
        ]
        yield {
            "name": str(row["name"]), "verdict": str(row["verdict"]),
            "statement": stated(row),
            "said": [(name, words) for name, words in said if words not in ("", "–")],
        }  # fmt: skip
