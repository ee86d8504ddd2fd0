"""What made the numbers of a report: ``provenance.json`` beside its tables.

It holds no dates and no places of a machine, so equal studies give equal bytes, and two of them
say what changed between two reports (:mod:`noise2mask.report.diff.changes`).
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

import pandas as pd
from pydantic import ValidationError

from noise2mask.data.prepared import read_manifest
from noise2mask.errors import UserError
from noise2mask.files import said_by_run
from noise2mask.study.code_hash import (
    baseline_entries,
    code_behind,
    entry_hash,
    hash_code,
    measuring_entries,
    metric_entries,
    preparation_entries,
    reading_entries,
    sampling_entries,
    scoring_entries,
    training_entries,
    versions,
)
from noise2mask.study.paths import Paths
from noise2mask.study.plan import (
    PREDICTION,
    baseline_trainings,
    fusion_of,
    measured_modes,
    run_settings,
    sampler_behind,
    samplers_of,
    trainings_of,
)
from noise2mask.study.schema import Options, RunSettings, Settings, Study, Training, digest

FILE = "provenance.json"
FORMAT = 2
SHORT = 16
"""Digits that are kept of a digest."""
_ABSOLUTE = re.compile(r"/[\w./ -]*")  # and no regular expression


class Data(Settings):
    """One dataset; all but its names and terms is empty if it was not prepared.

    `counts` are cases (tiles, where images were cut) for each split, `images` the scored test
    images, `digests` one for each split, `groups` the group of a test image that is not its own
    group, `part` the code that prepared it.
    """

    title: str
    stands_for: str
    licence: str
    kind: str
    part: str
    digest: str
    digests: dict[str, str]
    counts: dict[str, int]
    images: int
    groups: dict[str, str]


class Drawn(Settings):
    """One sampling of a training: the digest of its settings, and its code."""

    settings: str
    part: str


class Trained(Settings):
    """One training and its scored samplings.

    `run` is the digest in its ``run.json``, `code` the fingerprint there, and `current` says
    whether that is the fingerprint of the code listed under `part`. `versions` are those that it
    ran with, where they are not those of the report.
    """

    run: str
    code: str
    part: str
    current: bool
    versions: dict[str, str]
    samplers: dict[str, Drawn]


class Code(Settings):
    """Hash of each module or function, and the ones behind each part of the work."""

    entries: dict[str, str]
    parts: dict[str, tuple[str, ...]]


class Record(Settings):
    """The content of ``provenance.json``.

    `trainings` are named ``dataset/network/mode/seed0``; `missing` has a line for each result that
    is not there. Parts of `code` are named after where they start, e.g.
    ``training segdiff diffusion linear``, ``evaluation mean``, ``metric iou`` and ``measuring``.
    """

    format: int
    study: str
    settings: Options
    versions: dict[str, str]
    datasets: dict[str, Data]
    code: Code
    trainings: dict[str, Trained]
    missing: tuple[str, ...]


def record_of(
    study: Study, paths: Paths, groups: Mapping[tuple[str, str], str], missing: Iterable[str]
) -> Record:
    """What made the results of a study; `groups` are those of each (dataset, test image) scored.

    Raises:
        UserError: a ``run.json`` or a manifest cannot be read.
    """
    parts: dict[str, tuple[str, ...]] = {}
    datasets = {name: _data(study, paths, name, groups, parts) for name in study.datasets}
    trainings = {
        "/".join([*training[:3], f"seed{training.seed}"]): _trained(study, paths, training, parts)
        for training in (*trainings_of(study), *baseline_trainings(study))
        if (paths.finished(training) / "run.json").exists()
    }
    evaluation = study.evaluation
    parts[f"evaluation {evaluation.fusion}"] = scoring_entries(evaluation.fusion)
    for metric, entry in metric_entries(evaluation).items():
        parts[f"metric {metric}"] = (entry,)
    parts |= _analysed(study)
    behind = {part: code_behind(*starts) for part, starts in sorted(parts.items())}
    entries = sorted({entry for part in behind.values() for entry in part})
    return Record(
        format=FORMAT,
        study=paths.study,
        settings=_without_places(study),
        versions=versions(),
        datasets=datasets,
        code=Code(entries={entry: entry_hash(entry) for entry in entries}, parts=behind),
        trainings=trainings,
        missing=tuple(missing),
    )


def parsed(content: bytes, told: str) -> Record | None:
    """The record in the bytes of a ``provenance.json``; None if it has another format.

    Raises:
        UserError: it is no such file.
    """
    try:
        document = json.loads(content)
        if document["format"] != FORMAT:
            return None
        return Record.model_validate(document)
    except (ValueError, TypeError, KeyError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{told} is damaged ({reason}); make the report again.") from None


def dataset_table(record: Record) -> pd.DataFrame:
    """The datasets, a row each: names and terms, cases of each split, test images, digest."""
    columns = [
        "name", "title", "stands_for", "licence", "train", "val", "test", "test_images", "digest",
    ]  # fmt: skip
    rows = [
        (
            name, data.title, data.stands_for, data.licence,
            *(data.counts.get(split, 0) for split in ("train", "val", "test")),
            data.images, data.digest,
        )
        for name, data in record.datasets.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _analysed(study: Study) -> dict[str, tuple[str, ...]]:
    """Parts of the code behind the analysis."""
    parts = {}
    if study.analysis.measured:
        measured = [
            run_settings(study, Training(place.dataset, place.network, mode, place.seed))
            for place, modes in measured_modes(study).items()
            for mode in modes
        ]
        parts["measuring"] = measuring_entries(measured)
    if study.analysis.oracles:
        entry = "analysis.fingerprints.fingerprint:write_fingerprint"
        parts[entry] = (entry,)
    return parts


def _data(
    study: Study,
    paths: Paths,
    dataset: str,
    groups: Mapping[tuple[str, str], str],
    parts: dict[str, tuple[str, ...]],
) -> Data:
    """One dataset; the code that prepared it is added to `parts`."""
    entry = study.datasets[dataset]
    part = f"preparing {entry.kind}"
    parts[part] = preparation_entries(entry)
    found = Data(
        title=entry.title, stands_for=entry.stands_for or "", licence=entry.licence,
        kind=entry.kind, part=part, digest="", digests={}, counts={}, images=0, groups={},
    )  # fmt: skip
    folder = paths.prepared(dataset)
    if not (folder / "manifest.json").exists():
        return found
    manifest = read_manifest(folder)
    images = sorted({case.image for case in manifest.cases if case.split == "test"})
    group_of = {image: groups.get((dataset, image), image) for image in images}
    return found.model_copy(
        update={
            "digest": manifest.digest[:SHORT],
            "digests": {split: value[:SHORT] for split, value in manifest.digests.items()},
            "counts": dict(manifest.counts),
            "images": len(images),
            "groups": {image: group for image, group in group_of.items() if image != group},
        }
    )


def _trained(
    study: Study, paths: Paths, training: Training, parts: dict[str, tuple[str, ...]]
) -> Trained:
    """One finished training; the code behind it and its samplings is added to `parts`."""
    folder = paths.finished(training)
    run = said_by_run(folder / "run.json", "digest", "code", "versions")

    def scored(sampler: str) -> bool:
        return (folder / sampler / "metrics.csv").exists()

    if training.network in study.baselines:
        baseline = study.baselines[training.network]
        part, entries = f"reference {baseline.kind}", baseline_entries(baseline)
        drawn = Drawn(settings=run["digest"], part=part)
        samplers = {PREDICTION: drawn} if scored(PREDICTION) else {}
    else:
        settings = run_settings(study, training)
        part, entries = f"training {_kind(settings)}", training_entries(settings)
        weighting = settings.diffusion.weighting.name
        part += f" {weighting}" if weighting != "uniform" else ""
        samplers = {
            sampler: _drawn(study, settings, sampler, parts)
            for sampler in samplers_of(study, training)
            if scored(sampler)
        }
    parts[part] = entries
    return Trained(
        run=run["digest"],
        code=run["code"],
        part=part,
        current=run["code"] == hash_code(*entries),
        versions=run["versions"] if run["versions"] != versions() else {},
        samplers=samplers,
    )


def _drawn(
    study: Study, settings: RunSettings, sampler: str, parts: dict[str, tuple[str, ...]]
) -> Drawn:
    """One sampling or reading; the code behind it is added to `parts`."""
    entry = sampler_behind(study, sampler)
    part = f"sampling {_kind(settings)} {entry.sampler}"
    # What a reading is made of has code of its own, although it is not scored.
    parts[part] = sampling_entries(settings, entry)
    said = entry.model_dump(mode="json", exclude={"networks"})
    if sampler in study.readings:
        part = f"reading {part.removeprefix('sampling ')}"
        parts[part] = (
            *sampling_entries(settings, entry),
            *reading_entries(fusion_of(study, sampler)),
        )
        said["reading"] = study.readings[sampler].model_dump(mode="json")
    return Drawn(settings=digest(said), part=part)


def _kind(settings: RunSettings) -> str:
    diffusion = settings.diffusion
    return f"{settings.network.architecture} {settings.mode} {diffusion.schedule.name}"


def _without_places(study: Study) -> Options:
    """The settings; of the place of raw data, which decides nothing, the last part of its path."""
    settings = study.model_dump(mode="json")
    for entry in settings["datasets"].values():
        entry["options"] = {key: _placeless(key, value) for key, value in entry["options"].items()}
    return settings


def _placeless(key: str, value: Any) -> Any:
    is_place = key == "root" or (isinstance(value, str) and _ABSOLUTE.fullmatch(value))
    return PurePath(value).name if is_place else value
