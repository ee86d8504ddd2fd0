"""The claims and predictions of several studies, side by side."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from noise2mask.errors import UserError
from noise2mask.report.context import Report, read_report
from noise2mask.report.markdown import Column, Table, as_markdown, update_document
from noise2mask.report.settings import limits_of
from noise2mask.report.tables import Record, ranged, stated

UNTESTED = "not tested"


def claims_beside(reports: Sequence[Report]) -> Table:
    """A row a claim or prediction that one of the studies speaks to, a column a study.

    A cell has the verdict and, where one decides, the number with its interval. The statement is
    that of the first study that speaks to the claim; what it leaves open is named there.

    Raises:
        UserError: a report holds no claims.
    """
    found = [_by_name(report) for report in reports]
    spoken: dict[str, Record] = {}
    for rows in found:
        for name, row in rows.items():
            if row["verdict"] != UNTESTED:
                spoken.setdefault(name, row)
    columns = [
        Column("", lambda row: row["name"], left=True),
        Column("Claim", stated, left=True),
        Column("Number", lambda row: row["objective"].replace(": ", ", shown: "), left=True),
        *(
            Column(_headed(report), _cell(rows), left=True)
            for report, rows in zip(reports, found, strict=True)
        ),
    ]
    return Table(columns, [spoken[name] for name in sorted(spoken)])


def untested(reports: Sequence[Report]) -> list[str]:
    """Names of the claims and predictions that none of the studies speaks to."""
    rows = [(name, row["verdict"]) for report in reports for name, row in _by_name(report).items()]
    return sorted({name for name, _ in rows} - {name for name, word in rows if word != UNTESTED})


def text_of(folders: Sequence[Path]) -> str:
    """The table in Markdown, and a line for what is tested nowhere.

    Raises:
        UserError: no folder is given, one holds no report, or a report no claims.
    """
    if not folders:
        raise UserError("no study is named; name those whose claims are to stand side by side.")
    reports = [read_report(folder) for folder in folders]
    silent = untested(reports)
    line = f"\nNot tested by any of them: {', '.join(silent)}.\n" if silent else ""
    return as_markdown(claims_beside(reports)) + line


def update_claims(folders: Sequence[Path], document: Path) -> None:
    """Put :func:`text_of` between the markers ``claims`` of a file.

    Raises:
        UserError: the file cannot be read, or has no such markers.
    """
    update_document(document, "claims", text_of(folders))


def _by_name(report: Report) -> dict[str, Record]:
    findings = report.findings
    if findings.empty:
        raise UserError(
            f"the report of {report.name} holds no claims: give a study that compares trainings."
        )
    return {str(row["name"]): row for row in findings.to_dict("records")}


def _headed(report: Report) -> str:
    seeds = int(pd.to_numeric(report.findings["seeds"]).max())
    counted = f"{seeds} seed{'s' * (seeds != 1)}"
    return f"`{report.name}`: {limits_of(report.study)}, {counted}"


def _cell(rows: Mapping[str, Record]) -> Callable[[Record], str]:
    def cell(row: Record) -> str:
        own = rows.get(str(row["name"]))
        if own is None or own["verdict"] == UNTESTED:
            return UNTESTED
        return f"{own['verdict']}, {ranged(own, 'value')}"

    return cell
