"""What a report and its page are made of: the tables and records that lie in its folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import ValidationError

from noise2mask.errors import UserError
from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.differences import planned
from noise2mask.evaluation.labels import Labels, labels_of, names_in, principal, trained
from noise2mask.evaluation.tables import read_table
from noise2mask.report.cases import Case, Walk, read_cases
from noise2mask.report.figures.looks import Looks
from noise2mask.report.provenance import FILE, Record, parsed
from noise2mask.report.tables import Winners, winners
from noise2mask.study.paths import outside_project
from noise2mask.study.schema import Study

Topic = Literal[
    "quirks", "ablation", "contrasts", "paper", "draws", "costs", "information", "masks"
]
"""What a study can ask, the most special first: the first that it has is its own question."""
TOPICS: tuple[tuple[Topic, str], ...] = (
    ("quirks", "quirks"),
    ("ablation", "grid"),
    ("contrasts", "contrasts"),
    ("paper", "comparisons"),
    ("draws", "draws"),
    ("costs", "costs"),
    ("information", "information"),
    ("masks", "fingerprints"),
)
"""Each topic with the table that a study must have for it."""
PAPER = (
    "does one and the same architecture segment better, and above all give better calibrated "
    "probabilities, when it is trained by diffusion instead of feed-forward?"
)
"""The question of the paper."""


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that lies in the folder of a report.

    Attributes:
        name: of the study.
        study: its settings, as they were when the report was made.
        tables: every table by its name, those that the study has not without a row.
        record: what made the numbers.
        cases: that may be shown, None if there are none.
        walks: of one case of each dataset into the noise.
    """

    name: str
    study: Study
    tables: Mapping[str, pd.DataFrame]
    record: Record
    cases: Sequence[Case] | None
    walks: Sequence[Walk] = ()

    @cached_property
    def labels(self) -> Labels:
        """Names to be shown."""
        return labels_of(self.study)

    @cached_property
    def looks(self) -> Looks:
        """Colours and markers of trainings."""
        return Looks.of(*(self.tables[name] for name in ("summary", "history", "losses")))

    @cached_property
    def winners(self) -> Winners:
        """Trainings that are better beyond chance in every planned comparison of theirs."""
        return winners(self.tables["comparisons"], self.tables["contrasts"])

    @cached_property
    def topics(self) -> tuple[Topic, ...]:
        """What the study can speak to, its own question first."""
        found = [topic for topic, table in TOPICS if len(self.tables[table])]
        if "paper" in found and not len(planned(self.tables["comparisons"])):
            found.remove("paper")
        return tuple(found)

    @cached_property
    def question(self) -> str:
        """What the study asks."""
        asked = " ".join((self.study.question or "").split())
        if asked:
            return asked
        own = self.topics[0] if self.topics else None
        return PAPER[0].upper() + PAPER[1:] if own == "paper" else ""

    @cached_property
    def summary(self) -> pd.DataFrame:
        """The rows of the table `summary` that main tables show."""
        return principal(self.tables["summary"], self.tables["draws"])

    @cached_property
    def findings(self) -> pd.DataFrame:
        """Claims of the paper, then predictions, with their verdicts."""
        found = [self.tables[name] for name in ("claims", "hypotheses")]
        found = [table for table in found if len(table)]
        return pd.concat(found, ignore_index=True) if found else pd.DataFrame()

    @cached_property
    def datasets(self) -> list[str]:
        """Names of the datasets with scores."""
        return names_in(trained(self.tables["summary"]), "dataset")

    @property
    def command(self) -> str:
        """What makes the study, and this report, again."""
        entries = self.study.datasets.values()
        needs_data = any("root" in entry.options and not entry.named for entry in entries)
        return f"make reproduce STUDY={self.name}" + (" DATA=<folder>" if needs_data else "")


def read_report(folder: Path) -> Report:
    """The report in a folder, from its files alone.

    Raises:
        UserError: a file is missing or damaged, or was written by another version.
    """
    path = folder / FILE
    if not path.exists():
        raise UserError(
            f"{folder} holds no report ({FILE} is not there); run `make reproduce STUDY="
            f"{folder.name}`.{outside_project()}"
        )
    record = parsed(path.read_bytes(), str(path))
    if record is None:
        raise UserError(f"{path} was written by another version; make the report again.")
    try:
        study = Study.model_validate(record.settings)
        files = sorted(folder.glob("*.csv")) + sorted(folder.glob("*.csv.gz"))
        found = {file.name.partition(".")[0]: read_table(file) for file in files}
    except (ValidationError, ValueError) as error:
        raise UserError(
            f"the report in {folder} cannot be read ({str(error).splitlines()[0]}); make it again."
        ) from None
    empty = {name: pd.DataFrame(columns=list(columns)) for name, columns in COLUMNS.items()}
    cases, walks = read_cases(folder)
    return Report(record.study, study, empty | found, record, cases or None, walks)


def scope(report: Report) -> str:
    """What intervals and tests are over, and what they cannot tell."""
    table = trained(report.tables["metrics"])
    counts = table.groupby(["network", "mode", "sampler"])["seed"].nunique()
    if len(counts) and counts.max() > 1:
        return (
            f"Intervals are over test cases (patients or slides where known) and, crossed with "
            f"them, over the training seeds where there are several (up to {counts.max()})."
        )
    return (
        "Intervals and tests are over test cases (patients or slides where known) of these "
        "trainings (1 seed); they do not tell how another training seed would differ."
    )
