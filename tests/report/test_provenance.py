"""A report says what made it: the same bytes for the same study, and nothing of the machine."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_reports import STUDY, pretend_results
from helpers.made_up_tables import metrics_table, summary_table

from noise2mask.data.prepared import Case, write_dataset
from noise2mask.errors import UserError
from noise2mask.evaluation.tables import groups_of, headline, read_table
from noise2mask.files import write_json, write_text
from noise2mask.report.build import report
from noise2mask.report.provenance import Record, dataset_table, parsed, record_of
from noise2mask.study.code_hash import code_behind
from noise2mask.study.paths import RESULTS, Paths, prepared, training_folder
from noise2mask.study.plan import trainings_of
from noise2mask.study.schema import Training

TRAINING = "lesion_phantom/segdiff/diffusion/seed0"
CASES = {"001": "anna", "002": "anna", "NA": "NA"}


@pytest.fixture
def root(tmp_path):
    """A folder in which the study `test` seems to have run, one dataset prepared."""
    pretend_results(tmp_path)
    images, masks = np.zeros((3, 4, 4, 1), np.uint8), np.ones((3, 4, 4), np.uint8)
    cases = [
        Case(
            id=f"{name}_y0x0", split=split, group=group, width=4, height=4, image_sha256="",
            mask_sha256="", foreground=1.0, image=name, top=0, left=0,
        )
        for split in ("train", "val", "test")
        for name, group in CASES.items()
    ]  # fmt: skip
    arrays = dict.fromkeys(("train", "val", "test"), (images, masks))
    folder = tmp_path / prepared("test", "lesion_phantom")
    write_dataset(folder, arrays, cases, dataset="lesion_phantom", kind="folder", options={})
    return tmp_path


def made(root, study=STUDY) -> Record:
    return record_of(study, Paths("test", root), groups_of(study, "test", root), [])


def test_cells_and_the_code_behind_them(root):
    record = made(root)
    assert len(record.trainings) == 18 + 7
    training = record.trainings[TRAINING]
    assert training.current
    assert list(training.samplers) == ["ddim2"]
    part = record.code.parts[training.part]
    assert part == code_behind(
        "training.train", "networks.segdiff", "diffusion.modes:diffusion",
        "diffusion.schedule:linear", "diffusion.weighting:uniform",
    )  # fmt: skip
    assert set(part) <= set(record.code.entries)
    assert "diffusion.samplers:ddim" in record.code.parts[training.samplers["ddim2"].part]
    assert record.code.parts["metric hd95"][0].startswith("evaluation.metrics:")
    used = [entry for part in record.code.parts.values() for entry in part]
    assert set(record.code.entries) == set(used)
    assert record.settings["overrides"] == []
    assert record.settings["training"]["batch"] == 2


def test_data_say_what_was_scored(root):
    record = made(root)
    data = record.datasets["lesion_phantom"]
    assert (data.title, data.stands_for) == ("lesion phantom", "ISIC16")
    assert data.groups == {"001": "anna", "002": "anna"}
    assert (data.counts, data.images) == ({"train": 3, "val": 3, "test": 3}, 3)
    assert set(data.digests) == {"train", "val", "test"}
    assert record.datasets["nuclei_phantom"].digest == ""
    table = dataset_table(record)
    assert table.name.tolist() == list(STUDY.datasets)
    assert table.stands_for.tolist() == ["ISIC16", "MoNuSeg", "HER2", ""]
    assert table.test_images.tolist() == [3, 0, 0, 0]


def test_code_that_was_edited_after_the_training_is_told(root):
    path = training_folder(
        root / RESULTS, "test", Training("lesion_phantom", "segdiff", "diffusion", 0)
    )
    run = json.loads((path / "run.json").read_text())
    run |= {"code": "other", "versions": run["versions"] | {"torch": "1.0"}}
    write_json(path / "run.json", run, record=True)
    training = made(root).trainings[TRAINING]
    assert not training.current
    assert training.versions["torch"] == "1.0"
    assert sum(not one.current for one in made(root).trainings.values()) == 1


def test_what_is_not_there_is_left_out(root):
    path = training_folder(
        root / RESULTS, "test", Training("lesion_phantom", "segdiff", "diffusion", 0)
    )
    (path / "ddim2" / "metrics.csv").unlink()
    assert made(root).trainings[TRAINING].samplers == {}
    (path / "run.json").unlink()
    assert TRAINING not in made(root).trainings


@pytest.mark.parametrize("content", ["", "[]", "{}", "{", "null"])
def test_a_damaged_run_is_one_sentence(root, content):
    path = training_folder(root / RESULTS, "test", next(trainings_of(STUDY))) / "run.json"
    write_text(path, content, record=True)
    with pytest.raises(UserError, match=r"run.json is damaged .*; delete its folder"):
        made(root)


def real(place: str):
    """A study whose first dataset lies in a folder."""
    options = {"root": place, "images": f"{place}/pictures", "split_pattern": "/(train|test)_"}
    entry = STUDY.datasets["lesion_phantom"].model_copy(
        update={"kind": "folder", "options": options}
    )
    datasets = {**STUDY.datasets, "lesion_phantom": entry}
    return STUDY.model_copy(update={"datasets": datasets})


def test_places_of_the_machine_stay_there(root):
    one = made(root, real("/home/me/data/isic"))
    assert "/home" not in one.model_dump_json()
    assert str(root) not in one.model_dump_json()
    options = one.settings["datasets"]["lesion_phantom"]["options"]
    assert options == {"root": "isic", "images": "pictures", "split_pattern": "/(train|test)_"}
    assert one == made(root, real("/mnt/isic"))


def test_a_report_holds_the_files_and_repeats_them_byte_by_byte(root):
    for path in (root / RESULTS).rglob("metrics.csv"):
        path.unlink()
    for name in ("a", "b"):
        assert report(STUDY, Paths("test", root), root / name)
    for file in ("provenance.json", "metrics.json", "datasets.csv", "report.md"):
        first = (root / "a" / file).read_bytes()
        assert first == (root / "b" / file).read_bytes()
    content = (root / "a" / "provenance.json").read_bytes()
    assert len(content) < 200_000
    record = parsed(content, "it")
    assert record is not None
    assert len(record.missing) == 21 + 3 * 5 + 3 + 4  # trainings, floors, measured and described
    assert json.loads((root / "a" / "metrics.json").read_text()) == {}
    table = pd.read_csv(root / "a" / "datasets.csv")
    assert list(table.columns) == [
        "name", "title", "stands_for", "licence", "train", "val", "test", "test_images", "digest",
    ]  # fmt: skip


def test_a_record_is_read_back(root):
    record = made(root)
    content = record.model_dump(mode="json")
    assert parsed(json.dumps(content).encode(), "it") == record
    assert parsed(json.dumps(content | {"format": 1}).encode(), "it") is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"format": 2}', b"\xff", b"null"])
def test_a_damaged_record_is_one_sentence(content):
    with pytest.raises(UserError, match=r"^this file is damaged \(.*\); make the report again.$"):
        parsed(content, "this file")


def test_the_headline_is_a_mean_over_networks_with_the_first_sampler_of_each_mode():
    summary = summary_table(metrics_table(("lesion_phantom",), 12))
    summary["sampler"] = summary["sampler"].replace("ddim10", "ddim2")
    summary["mean"] = 0.123456789
    summary.loc[summary.network == "ensemdiff", "mean"] = np.nan
    summary.loc[summary.network == "segdiff", "mean"] = 0.323456789
    summary.loc[summary.network == "blind", "mean"] = 100.0
    summary.loc[summary["sampler"] == "calibration", "mean"] = 100.0
    assert headline(STUDY, summary, ("iou", "ece")) == {
        "diffusion": {"ece": 0.223457, "iou": 0.223457},
        "feed_forward": {"ece": 0.223457, "iou": 0.223457},
    }
    summary["mean"] = np.nan
    assert headline(STUDY, summary, ("iou", "ece")) == {}


@pytest.mark.parametrize("names", [("001", "1e3", "nan"), ("001", "002", "1e3")])
def test_names_in_tables_stay_text(tmp_path, names):
    path = tmp_path / "t.csv"
    path.write_text("case,dataset,value\n{},2016,0.5\n{},2017,\n{},0,1\n".format(*names))
    table = read_table(path)
    assert tuple(table.case) == names
    assert table.dataset.tolist() == ["2016", "2017", "0"]
    assert table.value.isna().tolist() == [False, True, False]
