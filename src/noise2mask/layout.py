"""Where the files of a study lie; the workflow and the command line agree through this file."""

from pathlib import Path

from noise2mask.config import Cell

RESULTS, WORK, REPORTS, PREPARED = (
    Path("results"),
    Path("work"),
    Path("reports"),
    Path("data/prepared"),
)


def study_file(study: str) -> Path:
    """The file of a study given by name, or by the path of its YAML file."""
    path = Path(study)
    return path if path.suffix in {".yaml", ".yml"} else Path("config") / f"{study}.yaml"


def prepared(study: str, dataset: str) -> Path:
    """Folder of a prepared dataset."""
    return PREPARED / study / dataset


def cell_folder(root: Path, study: str, cell: Cell) -> Path:
    """Folder of a cell below ``results`` or ``work``."""
    return root / study / cell.dataset / cell.network / cell.mode / f"seed{cell.seed}"


def blind_folder(study: str, dataset: str) -> Path:
    """Folder of the scores of image-blind predictions."""
    return RESULTS / study / dataset / "blind"
