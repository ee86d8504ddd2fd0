# The study, checked before anything runs, and the functions that rules ask for their parameters.
from pathlib import Path

from snakemake.exceptions import WorkflowError

from noise2mask import atlas, layout, provenance
from noise2mask.config import Cell, Place, digest
from noise2mask.errors import UserError
from noise2mask.plan import (
    analysis_tables,
    cells,
    described_datasets,
    measured_places,
    needs_measurement,
    run_settings,
    samplers_of,
    scored_datasets,
)
from noise2mask.studies import check_data, load_study

STUDY_FILE = layout.study_file(str(config.get("study", "quick")))
NAME = STUDY_FILE.stem
DATA = str(config["data"]) if config.get("data") else None

try:
    STUDY = load_study(STUDY_FILE, DATA)
    check_data(STUDY, NAME)
except UserError as error:
    raise WorkflowError(str(error)) from None

CELLS = list(cells(STUDY))
PREPARED = str(layout.prepared(NAME, "{dataset}"))
CELL = f"{layout.RESULTS}/{NAME}/{{dataset}}/{{network}}/{{mode}}/seed{{seed}}"
JOB = f"logs/{NAME}/{{dataset}}.{{network}}.{{mode}}.seed{{seed}}"
MEASURED = str(layout.measured_file(NAME, Place("{dataset}", "{network}", "{seed}")))
DESCRIBED = str(layout.described_folder(NAME, "{dataset}"))
BLIND = str(layout.blind_folder(NAME, "{dataset}"))
# Likelihoods are clipped by the largest number of draws of the study.
SCORING = digest(
    [
        STUDY.evaluation.model_dump(mode="json"),
        max((sampler.draws for sampler in STUDY.samplers.values()), default=1),
    ]
)
REPORT = f"{layout.REPORTS}/{NAME}/report.md"
# Used with --software-deployment-method conda only; `make` installs the same lock into .venv.
ENVIRONMENT = "../../envs/core.yaml"
GPU = int(STUDY.compute.device == "cuda")


wildcard_constraints:
    dataset="[a-z0-9_]+",
    network="[a-z0-9_]+",
    mode="[a-z0-9_]+",
    seed="[0-9]+",
    sampler="[a-z0-9_]+",
    raw="[a-z0-9_]+",


def cell_of(wildcards):
    return Cell(
        wildcards.dataset, wildcards.network, wildcards.mode, int(wildcards.seed)
    )


def settings_of(wildcards):
    return run_settings(STUDY, cell_of(wildcards))


def place_of(wildcards):
    return Place(wildcards.dataset, wildcards.network, int(wildcards.seed))


def measured_runs(wildcards):
    """The settings of the trainings that are measured together."""
    place = place_of(wildcards)
    return [
        run_settings(STUDY, Cell(place.dataset, place.network, mode, place.seed))
        for mode in measured_places(STUDY)[place]
    ]


def measured_cells(file):
    """A function that gives `file` of the trainings that are measured together."""

    def files(wildcards):
        place = place_of(wildcards)
        return [
            str(
                layout.cell_folder(
                    layout.RESULTS,
                    NAME,
                    Cell(place.dataset, place.network, mode, place.seed),
                )
                / file
            )
            for mode in measured_places(STUDY)[place]
        ]

    return files


def needed_measurement(wildcards):
    """What a training takes from others before it begins."""
    if not needs_measurement(settings_of(wildcards).diffusion):
        return []
    return [str(layout.measured_file(NAME, cell_of(wildcards).place()))]


def raw_files(wildcards):
    """The record of what was fetched, or every file of a folder, so that a change is noticed."""
    dataset = STUDY.datasets[wildcards.dataset]
    root = dataset.options.get("root")
    if root is None:
        return []
    if dataset.named and atlas.entry(dataset.named).archives:
        return [f"{root}/record.json"]
    return sorted(map(str, Path(root).rglob("*.*")))


def fetched_for(raw):
    """A dataset of the study that is made of this raw data."""
    root = str(layout.RAW / raw)
    return next(
        name
        for name, entry in STUDY.datasets.items()
        if entry.options.get("root") == root
    )


def scored(file):
    """`file` of every cell and sampler of the study."""
    return [
        str(layout.cell_folder(layout.RESULTS, NAME, cell) / sampler / file)
        for cell in CELLS
        for sampler in samplers_of(STUDY, cell)
    ]


def analysed():
    """Tables of the analysis: fingerprints of datasets, and losses along the noise axis."""
    described = [
        str(layout.described_folder(NAME, dataset) / f"{table}.csv")
        for dataset in described_datasets(STUDY)
        for table in ("cases", "curves", "figures", "geometry", "readability")
    ]
    return described + [
        str(layout.measured_file(NAME, place)) for place in measured_places(STUDY)
    ]
