"""Reports of the study `test` that were never made by a run, for the tests of `noise2mask diff`."""

from pathlib import Path

import pandas as pd
import yaml
from helpers.made_up_tables import metrics_table
from helpers.project import ROOT

from noise2mask.evaluation.tables import save_table
from noise2mask.files import write_json
from noise2mask.report.diff.revisions import Report
from noise2mask.report.provenance import Record, record_of
from noise2mask.study.code_hash import hash_code, training_entries, versions
from noise2mask.study.paths import RESULTS, Paths, training_folder
from noise2mask.study.plan import run_settings, samplers_of, trainings_of
from noise2mask.study.schema import Study

STUDY = Study.model_validate(yaml.safe_load((ROOT / "config" / "test.yaml").read_text()))
DATA = "lesion_phantom"


def pretend_results(root: Path, study: Study = STUDY, name: str = "test") -> None:
    """Leave the traces of finished trainings and samplings."""
    for training in trainings_of(study):
        folder = training_folder(root / RESULTS, name, training)
        folder.mkdir(parents=True)
        for sampler in samplers_of(study, training):
            (folder / sampler).mkdir()
            (folder / sampler / "metrics.csv").touch()
        code = hash_code(*training_entries(run_settings(study, training)))
        run = {"digest": "0" * 16, "code": code, "versions": versions()}
        write_json(folder / "run.json", run, record=True)


def made_up_record(root: Path, study: Study = STUDY) -> Record:
    """What a report of a study that has run in `root` says of itself."""
    pretend_results(root, study)
    record = record_of(study, Paths("test", root), {}, [])
    digests = {split: f"{split}-digest" for split in ("train", "val", "test")}
    data = {
        name: one.model_copy(update={"digests": digests}) for name, one in record.datasets.items()
    }
    return record.model_copy(update={"datasets": data})


def scores(cases: int = 12) -> pd.DataFrame:
    """The table `metrics` of one dataset."""
    table = metrics_table((DATA,), cases)
    return table.replace({"sampler": {"ddim10": "ddim2"}})


def report(metrics: pd.DataFrame, record: Record | None = None, title: str = "x") -> Report:
    return Report("test", title, metrics, record)


def changed(record: Record, **sections) -> Record:
    """A record with some of its sections merged with others."""
    content = record.model_dump(mode="json")
    for name, section in sections.items():
        content[name] = _merged(content[name], section)
    return Record.model_validate(content)


def _merged(old, new):
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return old | {key: _merged(old.get(key), value) for key, value in new.items()}


def save(metrics: pd.DataFrame, folder: Path, record: Record | None = None) -> None:
    """Write the files that `noise2mask diff` reads."""
    save_table(metrics, folder / "metrics.csv")
    if record is not None:
        (folder / "provenance.json").write_text(record.model_dump_json())
