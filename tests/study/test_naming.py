"""Datasets by name: what the table fills in, and what takes the place of absent private data."""

import pytest
import yaml
from helpers.project import ROOT

from noise2mask.data import catalogue
from noise2mask.errors import UserError
from noise2mask.evaluation.labels import labels_of
from noise2mask.report.settings import datasets_of
from noise2mask.study.load import check_data, load_study
from noise2mask.study.plan import run_settings, trainings_of


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Read the study `test` with other datasets, in an empty working folder."""
    monkeypatch.chdir(tmp_path)

    def make(datasets, **fields):
        document = yaml.safe_load((ROOT / "config" / "test.yaml").read_text())
        document |= {"datasets": datasets, **fields}
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        return load_study(tmp_path / "mine.yaml")

    return make


def test_a_name_is_a_whole_dataset(read):
    entry = catalogue.entry("isic2016")
    found = read({"skin": {"named": "isic2016", "augmentation": {"flips": True}}}).datasets["skin"]
    assert (found.title, found.licence, found.kind) == (entry.title, entry.licence, entry.kind)
    assert found.options == {"root": "data/raw/isic2016", **entry.options}
    assert found.augmentation == {"flips": True}
    assert found.stands_for is None


def test_fields_beside_the_name_win(read):
    given = {"named": "monuseg", "title": "nuclei", "stride": 128, "options": {"root": "elsewhere"}}
    found = read({"nuclei": given}).datasets["nuclei"]
    assert (found.title, found.shrink, found.tile, found.stride) == ("nuclei", 512, 256, 128)
    assert found.options["root"] == "elsewhere"


def test_variants_lie_in_folders_of_their_own(read):
    name = next(name for name, entry in catalogue.entries().items() if entry.kind == "medsegbench")
    found = read({"a": {"named": name}, "b": {"named": name, "options": {"size": 128}}})
    roots = [found.datasets[key].options["root"] for key in "ab"]
    assert roots[0].endswith("_256")
    assert roots[1].endswith("_128")


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"named": "isic206"}, "did you mean 'isic2016'?"),
        ({"named": "isic2016", "kind": "folder"}, "leave it out"),
        ({"named": "isic2016", "options": {"imgaes": "x"}}, "unknown field 'imgaes'"),
        ({"named": "her2", "stand_in": {"named": "isci2016"}}, "datasets.a.stand_in.named"),
        ({"named": "her2", "stand_in": 3}, "must be a dataset entry, got 3"),
        ({"title": "x", "kind": "folder", "stand_in": {}}, "unknown field 'stand_in'"),
    ],
)
def test_mistakes_are_told_with_their_place(read, entry, sentence):
    with pytest.raises(UserError) as caught:
        read({"a": entry})
    assert sentence in str(caught.value)
    assert "datasets.a" in str(caught.value)


HER2 = {"named": "her2", "stand_in": {"named": "isic2016"}}


def test_absent_private_data_give_way_to_the_stand_in_under_its_own_name(read):
    overrides = [{"datasets": ["her2"], "training": {"steps": 3}}]
    study = read({"her2": HER2}, overrides=overrides)
    assert list(study.datasets) == ["her2_stand_in"]
    assert study.datasets["her2_stand_in"].stands_for == catalogue.entry("her2").title
    check_data(study, "mine")
    assert datasets_of(study)[0].stands_for == "HER2"
    assert "HER2" in labels_of(study).dataset("her2_stand_in")
    assert catalogue.entry("isic2016").title in labels_of(study).dataset("her2_stand_in")
    assert {run_settings(study, training).training.steps for training in trainings_of(study)} == {3}


def test_the_private_copy_is_used_where_it_lies(read, tmp_path):
    (tmp_path / "data/raw/her2/images").mkdir(parents=True)
    study = read({"her2": HER2}, overrides=[{"datasets": ["her2"], "training": {"steps": 3}}])
    assert list(study.datasets) == ["her2"]
    assert study.datasets["her2"].stands_for is None
    assert {run_settings(study, training).training.steps for training in trainings_of(study)} == {3}


def test_without_a_stand_in_the_study_says_what_is_needed(read):
    study = read({"her2": {"named": "her2"}})
    with pytest.raises(UserError) as caught:
        check_data(study, "mine")
    assert "HER2 is not in data/raw/her2 and cannot be fetched" in str(caught.value)
    assert "stand_in" in str(caught.value)
