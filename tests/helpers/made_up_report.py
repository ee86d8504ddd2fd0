"""The report of a study that never ran, for the tests of text, figures and page."""

from dataclasses import fields, replace

import pandas as pd
from helpers.made_up_section import SWEEPS, TABLES
from helpers.made_up_tables import (
    QUICK,
    comparisons_table,
    example_cases,
    history_table,
    metrics_table,
    reliability_table,
    summary_table,
)

from noise2mask.evaluation.columns import COLUMNS
from noise2mask.report.context import Report
from noise2mask.report.provenance import FORMAT, Code, Record
from noise2mask.study.schema import Study

STUDY = Study.model_validate(
    {
        "description": "A study\nthat never ran.",
        "resolution": 32,
        "datasets": {
            name: {"kind": "phantoms", "title": name.replace("_", " "), "licence": "CC0"}
            for name in QUICK
        },
        "networks": {
            name: {"architecture": name, "title": title}
            for name, title in (
                ("ensemdiff", "EnsemDiff"), ("segdiff", "SegDiff"), ("medsegdiff", "MedSegDiff"),
            )
        },
        "modes": {
            "feed_forward": {"mode": "feed_forward", "samplers": ["one_pass", "calibration"]},
            "diffusion": {"mode": "diffusion", "samplers": ["ddim10"]},
        },
        "samplers": {
            "one_pass": {"sampler": "one_pass"},
            "calibration": {
                "sampler": "one_pass", "head": "calibration", "networks": ["medsegdiff"],
            },
            "ddim10": {"sampler": "ddim", "steps": 10, "draws": 5},
        },
        "diffusion": {"target": "x_0"},
    }
)  # fmt: skip
METRICS = metrics_table(cases=12)
CLAIMS = pd.DataFrame(
    [
        ("C1", "Diffusion | is better.", "refuted", "IoU", -0.009, -0.014, -0.005, 0.01, 12, 1,
         "these networks", "in 0 of 9; and more", "small"),
        ("C2", "References beat all.", "not tested", "", *4 * (float("nan"),), 0, 0, "", "",
         "no baseline"),
        ("C3", "Curves fall.", "confirmed", "", *4 * (float("nan"),), 0, 0, "",
         "Confirmed in 4 of 4 curves; the largest depth is 0.010.", ""),
    ],
    columns=["name", "statement", "verdict", "objective", "value", "low", "high", "p", "n", "seeds",
             "scope", "numbers", "remark"],
)  # fmt: skip


def record(study: Study = STUDY, missing: tuple[str, ...] = ()) -> Record:
    """What made the numbers of a study that never ran."""
    return Record(
        format=FORMAT, study="made_up", settings=study.model_dump(mode="json"),
        versions={"python": "3.11.0"}, datasets={}, code=Code(entries={}, parts={}), trainings={},
        missing=missing,
    )  # fmt: skip


def scores() -> dict[str, pd.DataFrame]:
    """Tables of scores: three datasets, three networks, two modes."""
    return {
        "metrics": METRICS,
        "summary": summary_table(METRICS),
        "comparisons": comparisons_table(METRICS),
        "history": history_table(),
        "reliability": reliability_table(),
    }


def analysis() -> dict[str, pd.DataFrame]:
    """Tables of an analysis, of other datasets."""
    tables = {field.name: getattr(TABLES, field.name) for field in fields(TABLES)}
    tables["summary"] = SWEEPS
    return {name: table for name, table in tables.items() if len(table)}


def made_up(study: Study = STUDY, missing: tuple[str, ...] = (), cases=None, **tables) -> Report:
    """A report of these tables, or of scores and their figures."""
    found = tables or scores()
    empty = {name: pd.DataFrame(columns=list(columns)) for name, columns in COLUMNS.items()}
    base = {name: table[:0] for name, table in scores().items()}
    shown = example_cases(each=1) if cases is None else cases
    return Report("made_up", study, empty | base | found, record(study, missing), shown or None)


def without(report: Report, name: str) -> Report:
    """The same without the rows of a table."""
    return replace(report, tables={**report.tables, name: report.tables[name][:0]})
