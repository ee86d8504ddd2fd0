"""Claims and predictions on the page: a line each at its top, and the rule behind each."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from noise2mask import plugins
from noise2mask.evaluation.labels import number
from noise2mask.report.context import Report
from noise2mask.report.settings import limits_of
from noise2mask.report.tables import finding_number, stated
from noise2mask.report.text import UNSPOKEN


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
                limits_of(report.study, trained=row["seeds"] > 0), _word(row["scope"]),
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
            ("Holds for", _word(row["scope"])),
            ("All numbers", _word(row["numbers"])),
            ("Remark", _word(row["remark"])),
            ("Rule", " ".join((rules.get(str(row["name"])) or "").split())),
        ]
        yield {
            "name": str(row["name"]), "verdict": str(row["verdict"]),
            "statement": stated(row),
            "said": [(name, words) for name, words in said if words not in ("", "–")],
        }  # fmt: skip


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""
