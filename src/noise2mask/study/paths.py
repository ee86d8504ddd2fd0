"""Where the files of a study lie; the workflow and the command line agree through this file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from noise2mask.data.catalogue import Entry, archives_for
from noise2mask.errors import UserError
from noise2mask.study.schema import Measured, Training

RESULTS, WORK = Path("results"), Path("work")
REPORTS, PUBLISHED = Path("build/reports"), Path("reports")
"""Reports of runs, which git ignores, and those that are committed."""
PICTURES = "pictures.npz"
"""Beside a measured table: one case at every noise level, as the networks of a pair read it."""
DRAWS = {"test": "draws.npz", "val": "val.npz"}
"""Files of the draws of a split, in the folder of a sampler."""
AGAINST_PROPER = "against_proper.csv"
"""Scores against the masks without a quirk, in the folder of a sampler."""
ENDED = "ended"
"""Files of a training that ended when nobody waited for it, in its working folder."""
RAW, PREPARED, CHECKED = Path("data/raw"), Path("data/prepared"), Path("data/checked")
FINGERPRINT_TABLES = ("cases", "curves", "figures", "geometry", "readability")
"""Tables in a dataset's fingerprint."""
REPORT_TABLES = ("metrics", "summary", "comparisons", "history", "reliability", "datasets")
"""Tables that every report has; :func:`noise2mask.study.plan.analysis_tables` names the others."""
BLIND = ("all_foreground", "mean_mask")
CLASSICAL = ("otsu", "clusters", "pixel_classifier")
"""Floors that do not look at the image: everything, and the mean training mask, and those that do
without a network; see ``evaluation.floors``."""

NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
"""What a study may be called; its file's name and those of folders and rules are made of it."""


def check_name(path: Path) -> str:
    """The name of a study's file, without its ending.

    Raises:
        UserError: it is none that a study may have.
    """
    if not re.fullmatch(NAME, path.stem):
        raise UserError(
            f"{path}: a study is called by 1 to 64 letters a to z, digits, _ and -, a letter or "
            f"digit first, but this one is {path.stem!r}; rename the file."
        )
    return path.stem


def outside_project() -> str:
    """What to say besides of a mistake that was made outside the project; "" inside it."""
    if Path("Snakefile").is_file():
        return ""
    return (
        f" {Path.cwd()} is not the project's folder, in which studies are run: clone its "
        "repository and run `make setup` there. Elsewhere there are the library, `predict`, "
        "`export`, `fingerprint <folder>`, `data` and `new-study`."
    )


def study_file(study: str) -> Path:
    """The file of a study given by name, or by the path of its YAML file."""
    path = Path(study)
    return path if path.suffix in {".yaml", ".yml"} else Path("config") / f"{study}.yaml"


def raw_folder(entry: Entry, name: str, options: Mapping[str, Any]) -> Path:
    """Folder of a named dataset's archives and files; each variant of it has its own."""
    chosen = archives_for(entry, options)
    variant = {str(value) for archive in chosen for value in archive.only.values()}
    return RAW / "_".join([entry.raw or name, *sorted(variant)])


def prepared(study: str, dataset: str) -> Path:
    """Folder of a prepared dataset."""
    return PREPARED / study / dataset


def training_folder(root: Path, study: str, training: Training) -> Path:
    """Folder of a training below ``results`` or ``work``."""
    return (
        root / study / training.dataset / training.network / training.mode / f"seed{training.seed}"
    )


def environment(kind: str) -> Path:
    """The virtual environment of a kind of baseline."""
    return Path(f".venv-{kind}")


def cost_file(study: str) -> Path:
    """What a mask of each network, mode and sampler of a study costs."""
    return RESULTS / study / "costs.csv"


def baseline_cost_file(study: str, training: Training) -> Path:
    """What a mask of a baseline costs."""
    return training_folder(RESULTS, study, training) / "cost.csv"


def blind_folder(study: str, dataset: str) -> Path:
    """Folder of the scores of floors, what is reached without a network."""
    return RESULTS / study / dataset / "blind"


def described_folder(study: str, dataset: str) -> Path:
    """Folder of a dataset's fingerprint."""
    return RESULTS / study / dataset / "fingerprint"


def grown_file(study: str, dataset: str) -> Path:
    """How far the masks of a dataset grow where they are interpolated."""
    return RESULTS / study / dataset / "grown.csv"


def measured_file(study: str, measured: Measured) -> Path:
    """The loss of a network's modes along the noise axis."""
    folder = RESULTS / study / measured.dataset / measured.network / "measured"
    return folder / f"seed{measured.seed}" / "losses.csv"


@dataclass(frozen=True)
class Paths:
    """Where the files of one study lie.

    Attributes:
        study: its name.
        root: the folder that holds results, work and data.
    """

    study: str
    root: Path = Path()

    def prepared(self, dataset: str) -> Path:
        """Folder of a prepared dataset."""
        return self.root / prepared(self.study, dataset)

    def finished(self, training: Training) -> Path:
        """Folder of a finished training."""
        return training_folder(self.root / RESULTS, self.study, training)

    def work(self, training: Training) -> Path:
        """Folder of what a training or sampling keeps while it lasts."""
        return training_folder(self.root / WORK, self.study, training)

    def draws(
        self, training: Training, sampler: str, split: Literal["test", "val"] = "test"
    ) -> Path:
        """The draws of a sampler or reading."""
        return self.finished(training) / sampler / DRAWS[split]

    def measured(self, measured: Measured) -> Path:
        """The loss of a network's modes along the noise axis."""
        return self.root / measured_file(self.study, measured)

    def fingerprint(self, dataset: str) -> Path:
        """Folder of a dataset's fingerprint."""
        return self.root / described_folder(self.study, dataset)

    def grown(self, dataset: str) -> Path:
        """How far the masks of a dataset grow where they are interpolated."""
        return self.root / grown_file(self.study, dataset)

    def blind(self, dataset: str) -> Path:
        """Folder of the scores of image-blind predictions."""
        return self.root / blind_folder(self.study, dataset)

    def costs(self) -> Path:
        """What a mask of each network, mode and sampler costs."""
        return self.root / cost_file(self.study)

    def baseline_cost(self, training: Training) -> Path:
        """What a mask of a baseline costs."""
        return self.root / baseline_cost_file(self.study, training)

    def report(self) -> Path:
        """Folder of the report that a run writes."""
        return self.root / REPORTS / self.study

    def published(self) -> Path:
        """Folder of the report that is committed."""
        return self.root / PUBLISHED / self.study

    def shown(self) -> Path:
        """Folder of the run's report, or of the committed one where none was run here."""
        run = self.report()
        return run if (run / "report.md").exists() else self.published()
