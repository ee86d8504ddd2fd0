"""A new study is sound, says what it is of, and overwrites nothing."""

import shutil

import jsonschema
import pytest
from helpers.project import ROOT

from noise2mask.cli import main
from noise2mask.errors import UserError
from noise2mask.study.document import read_document
from noise2mask.study.documentation import MODELINE, json_schema
from noise2mask.study.load import load_study
from noise2mask.study.new_study import write_study
from noise2mask.study.plan import trainings_of


def dataset(folder):
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    return folder


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    dataset(tmp_path / "many" / "Set A: 1")
    dataset(tmp_path / "many" / "b")
    (tmp_path / "many" / "notes").mkdir()
    return tmp_path


def test_of_phantoms(folders, capsys):
    assert main(["new-study", "mine"]) == 0
    path = folders / "config" / "mine.yaml"
    study = load_study(path)
    assert [entry.kind for entry in study.datasets.values()] == ["phantoms"]
    assert len(list(trainings_of(study))) == 9
    assert capsys.readouterr().out.startswith("config/mine.yaml: 9 trainings on 1 datasets.")
    assert main(["check", "--study", "mine"]) == 0


def test_of_names_and_folders(folders):
    shutil.copy(ROOT / "config" / "study.schema.json", folders / "config")
    path = folders / "config" / "mine.yaml"
    study = write_study(path, ["many", "kvasir_seg"], 96)
    assert list(study.datasets) == ["set_a_1", "b", "kvasir_seg"]
    assert study.datasets["set_a_1"].title == "Set A: 1"
    assert study.datasets["set_a_1"].options == {"root": "many/Set A: 1"}
    assert study.resolution == 96
    assert path.read_text().startswith(MODELINE)
    assert (
        list(jsonschema.Draft202012Validator(json_schema()).iter_errors(read_document(path))) == []
    )


def test_losses_are_matched_once_and_a_file_elsewhere_names_no_schema(folders):
    study = write_study(folders / "mine.yaml", [], 32)
    assert study.comparisons.matched == (("matched", "feed_forward"),)
    assert not (folders / "mine.yaml").read_text().startswith("# yaml-language-server")


@pytest.mark.parametrize(
    ("name", "datasets", "sentence"),
    [
        ("there.yaml", [], "there.yaml is there already; choose another name or remove it"),
        ("a b.yaml", [], "a study is called by 1 to 64 letters"),
        ("new.yaml", ["kvasir"], "unknown dataset 'kvasir'; did you mean 'kvasir_seg'?"),
        ("new.yaml", ["config"], "config has no folders images/ and masks/, nor has any folder"),
        ("new.yaml", ["many", "many/b"], "many/b: two datasets would be called 'b'; give one"),
        ("new.yaml", ["kvasir_seg"] * 2, "two datasets would be called 'kvasir_seg'"),
    ],
)
def test_what_is_refused_leaves_nothing(folders, name, datasets, sentence):
    (folders / "there.yaml").write_text("mine")
    with pytest.raises(UserError) as caught:
        write_study(folders / name, datasets, 64)
    assert sentence in str(caught.value)
    assert (folders / "there.yaml").read_text() == "mine"
    assert not (folders / "new.yaml").exists()


def test_a_wrong_resolution_leaves_nothing(folders):
    with pytest.raises(UserError, match="resolution: must be greater than or equal to 8, got 3"):
        write_study(folders / "new.yaml", [], 3)
    assert not (folders / "new.yaml").exists()
