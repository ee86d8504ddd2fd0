"""What a report is made of, and how much of it figures can show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from noise2mask.analysis.contents import AnalysisTables
from noise2mask.declaration import DatasetNote
from noise2mask.figures import Example
from noise2mask.labels import Labels, trained

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


def few(study: ReportInput) -> bool:
    """Whether the ways that masks were drawn in can be told apart in one figure."""
    return len(trained(study.summary)[["mode", "sampler"]].drop_duplicates()) <= KINDS


def short(study: ReportInput) -> bool:
    """Whether figures with a row or a column for each dataset too stay within a page or two."""
    return few(study) and len(study.datasets) <= DATASETS


def seeds(study: ReportInput) -> str:
    """The number of seeds in brackets, with a space before; nothing without scores."""
    if study.metrics.empty:
        return ""
    count = trained(study.metrics)["seed"].nunique()
    return f" ({count} {'seed' if count == 1 else 'seeds'})"
