"""What a report is made of, and how much of it figures can show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from noise2mask.evaluation.columns import AnalysisTables
from noise2mask.evaluation.labels import Labels, trained
from noise2mask.report.figures.results import Example
from noise2mask.report.settings import DatasetNote

KINDS = 12
"""Ways of drawing masks (modes and samplers) that a figure of all of them can still show."""
DATASETS = 8
"""Datasets that figures of single trainings can still show."""


@dataclass(frozen=True, eq=False)
class ReportInput:
    """Everything a report is made of.

    Args:
        name: of the study.
        description: one paragraph.
        command: what makes the study, and this report, again.
        settings: what decides the numbers, as (label, value).
        departures: where the settings leave the paper, a sentence each.
        datasets: title, replaced dataset and licence of each dataset.
        labels: names to be shown, and N of each sampler.
        summary: the table of that name, as are those that follow.
        metrics: scores of single cases.
        comparisons: diffusion against feed-forward.
        history: of the trainings.
        reliability: reliability curves.
        analysis: its tables.
        examples: cases to be shown, None if pictures are off.
        missing: results that are not there, a line each.
        versions: of the software.
    """

    name: str
    description: str
    command: str
    settings: Sequence[tuple[str, str]]
    departures: Sequence[str]
    datasets: Sequence[DatasetNote]
    labels: Labels
    summary: pd.DataFrame
    metrics: pd.DataFrame
    comparisons: pd.DataFrame
    history: pd.DataFrame
    reliability: pd.DataFrame
    analysis: AnalysisTables
    examples: Sequence[Example] | None
    missing: Sequence[str]
    versions: Mapping[str, str]


def principal(table: pd.DataFrame, draws: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table that main tables and figures show.

    What is scored to compare numbers of draws has a table and a figure of its own; the first
    sampler of a mode is shown all the same.

    Args:
        table: `summary` or `reliability`.
        draws: the table of that name.
    """
    first = table.groupby("mode", sort=False)["sampler"].transform("first")
    return table[~table["sampler"].isin(draws["sampler"]) | (table["sampler"] == first)]


def few(study: ReportInput) -> bool:
    """Whether the ways that masks were drawn in can be told apart in one figure."""
    return (
        len(
            trained(principal(study.summary, study.analysis.draws))[
                ["mode", "sampler"]
            ].drop_duplicates()
        )
        <= KINDS
    )


def short(study: ReportInput) -> bool:
    """Whether figures with a row or a column for each dataset too stay within a page or two."""
    return few(study) and len(study.datasets) <= DATASETS


def scope(study: ReportInput) -> str:
    """What intervals and tests are over, and what they cannot tell."""
    table = trained(study.metrics)
    counts = table.groupby(["network", "mode", "sampler"])["seed"].nunique()
    if len(counts) and counts.max() > 1:
        return (
            f"Intervals are over test cases (patients or slides where known) and, crossed with "
            f"them, over the training seeds where there are several (up to {counts.max()}); tests "
            "are over cases, each the mean of its seeds."
        )
    one = " (1 seed)" if len(counts) else ""
    return (
        "Intervals and tests are over test cases (patients or slides where known) of these "
        f"trainings{one}; they do not tell how another training seed would differ."
    )
