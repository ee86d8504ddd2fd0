"""From a study's results to its report: gather the tables, choose the examples, write."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from noise2mask.analysis.analyse import analyse
from noise2mask.data.prepared import Split, open_split
from noise2mask.evaluation.labels import Labels, labels_of
from noise2mask.evaluation.tables import Tables, gather, groups_of, headline, read_table, save_table
from noise2mask.files import checked, write_json, write_text
from noise2mask.report.context import principal
from noise2mask.report.figures.results import Example
from noise2mask.report.markdown import MAIN, readme_block, update_between_markers
from noise2mask.report.provenance import FILE, dataset_table, record_of
from noise2mask.report.settings import datasets_of, departures_of, settings_of
from noise2mask.report.text import ReportInput, write_report
from noise2mask.study import paths
from noise2mask.study.code_hash import versions
from noise2mask.study.plan import analysis_tables, seeds_of
from noise2mask.study.schema import Study, Training

Shown = tuple[npt.NDArray[np.floating], npt.NDArray[np.floating] | None]
"""Mean and, where there are several draws, standard deviation of the draws of one case."""


def report(study: Study, name: str, root: Path, folder: Path) -> list[str]:
    """Write the tables, figures and text of a study to `folder`, and what made them.

    Args:
        study: the study.
        name: its name.
        root: folder that holds ``results`` and ``data``.
        folder: of the report.

    Returns:
        One line for each result that is missing; the report lists them too.
    """
    tables, missing = gather(study, name, root)
    tables.save(folder)
    analysis, others = analyse(study, name, root, tables)
    for table in analysis_tables(study):
        save_table(getattr(analysis, table), folder / f"{table}.csv")
    missing += others
    _save_summaries(study, name, root, folder, tables, missing)
    write_report(
        ReportInput(
            name=name,
            description=study.description,
            command=_command(study, name),
            settings=settings_of(study),
            departures=departures_of(study),
            datasets=datasets_of(study),
            labels=labels_of(study),
            summary=tables.summary,
            metrics=tables.metrics,
            comparisons=tables.comparisons,
            history=tables.history,
            reliability=tables.reliability,
            analysis=analysis,
            examples=list(_examples(study, name, root)) if study.pictures.examples else None,
            missing=missing,
            versions=versions(),
        ),
        folder,
    )
    return missing


def update_readme(study: Study, folder: Path, readme: Path) -> None:
    """Put the main table of the report in `folder` between the markers ``results`` of a file."""
    summary = read_table(folder / "summary.csv")
    if (folder / "draws.csv").exists():
        summary = principal(summary, read_table(folder / "draws.csv"))
    notes = folder / "references.csv"
    references = read_table(notes) if notes.exists() else None
    block = readme_block(summary, labels_of(study), references)
    text = update_between_markers(readme.read_text(encoding="utf-8"), "results", block)
    write_text(readme, text)


def _save_summaries(
    study: Study, name: str, root: Path, folder: Path, tables: Tables, missing: list[str]
) -> None:
    """The files that DVC and `noise2mask diff` read beside the tables."""
    record = record_of(study, name, root, groups_of(study, name, root), missing)
    save_table(dataset_table(record), folder / "datasets.csv")
    write_json(folder / "metrics.json", headline(tables.summary, MAIN))
    write_json(folder / FILE, record.model_dump(mode="json"))


def _command(study: Study, name: str) -> str:
    needs_data = any("{data}" in str(entry.options) for entry in study.datasets.values())
    return f"make reproduce STUDY={name}" + (" DATA=<folder>" if needs_data else "")


def _examples(study: Study, name: str, root: Path) -> Iterator[Example]:
    """The first test cases of each dataset, as the study's first network sees them."""
    for dataset in study.datasets:
        data = root / paths.prepared(name, dataset)
        if not (data / "manifest.json").exists():
            continue
        split = open_split(data, "test", purpose="evaluation")
        for row in _first_of_each_image(split)[: study.pictures.examples]:
            predictions = dict(_predictions(study, name, root, dataset, row))
            if predictions:
                yield _example(dataset, split, row, predictions)


def _first_of_each_image(split: Split) -> list[int]:
    """Rows of the split, one for each raw image: tiles of one image show much the same."""
    image_of = {case.id: case.image for case in split.manifest.cases}
    first: dict[str, int] = {}
    for row, case in enumerate(split.ids):
        first.setdefault(image_of[case], row)
    return list(first.values())


def _example(dataset: str, split: Split, row: int, predictions: dict[str, Shown]) -> Example:
    image = np.broadcast_to(split.images[row], (*split.images.shape[1:3], 3))
    return Example(dataset, split.ids[row], image, split.masks[row].astype(bool), predictions)


def _predictions(
    study: Study, name: str, root: Path, dataset: str, row: int
) -> Iterator[tuple[str, Shown]]:
    """Mean and spread of the draws of one case, for each mode, with the study's first network."""
    labels: Labels = labels_of(study)
    network = next(iter(study.networks), None)
    if network is None:  # references alone
        return
    for mode, entry in study.modes.items():
        if not entry.samplers:
            continue
        training = Training(dataset, network, mode, seeds_of(study, mode)[0])
        folder = paths.training_folder(root / paths.RESULTS, name, training)
        path = folder / entry.samplers[0] / "draws.npz"
        if path.exists():
            with np.load(checked(path), allow_pickle=False) as file:
                draws = file["draws"][row]
            spread = draws.std(axis=0) if len(draws) > 1 else None
            yield f"{labels.network(network)}, {labels.mode(mode)}", (draws.mean(axis=0), spread)
