"""What is removed, what stays, and when nothing may be touched."""

import fcntl
import re
import shutil
from pathlib import Path

import pytest
from helpers.project import ROOT
from workflow.test_outputs import put, record, record_file

from noise2mask import cli
from noise2mask.errors import UserError
from noise2mask.workflow import dvc, outputs, set_aside, snakemake
from noise2mask.workflow.prune import prune
from noise2mask.workflow.snakemake import LOCK

KEPT = "results/test/d/kept/run.json"
GONE = ("results/test/d/gone/m/run.json", "results/test/d/gone/m/.model.17")
OTHER = "results/quick/d/run.json"
REPORT = "build/reports/test/report.md"
NOWHERE = "results/quick/d/deleted.json"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The study `test` with a result that is declared and a folder that is not."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "config", "config")
    for path in (KEPT, *GONE, OTHER, NOWHERE, REPORT, "work/test/state"):
        put(path, path, 100)
        record(path)
    Path(NOWHERE).unlink()
    monkeypatch.setattr(snakemake, "declared", lambda study, data: {KEPT: False})
    return tmp_path


def there() -> set[str]:
    return {
        str(path)
        for path in Path().glob("[bdlrw]*/**/*")
        if path.is_file() and path.suffix != ".record"
    }


def test_what_no_rule_can_name_stays_with_the_output_that_it_came_with():
    """nnU-Net's own files beside its run, which is kept; those of a run that goes, go too."""
    for run in (KEPT, GONE[0]):
        put(str(Path(run).with_name("model") / "plans.json"), "plans", 100)
    assert cli.main(["prune", "--study", "test"]) == 0
    assert Path("results/test/d/kept/model/plans.json").exists()
    assert not Path("results/test/d/gone").exists()


def test_files_that_no_rule_declares_go_with_their_records(capsys):
    assert cli.main(["prune", "--study", "test"]) == 0
    assert there() == {
        KEPT, OTHER, REPORT, "work/test/state", "results/test/checksums.json",
    }  # fmt: skip
    assert set(outputs.record_files()) == {
        KEPT,
        OTHER,
        "build/reports/test/report.md",
        "work/test/state",
    }
    assert not Path("results/test/d/gone").exists()
    assert capsys.readouterr().err.splitlines() == [
        "removed results/test/d/gone (4 files)",
        "removed 3 of Snakemake's records, of files that are not there",
    ]
    assert prune("test", None) == []
    assert "Nothing lies in the folders of test" in capsys.readouterr().err


def test_a_dry_run_only_tells(capsys):
    before = there()
    assert cli.main(["prune", "--study", "test", "--dry-run"]) == 0
    assert "would remove results/test/d/gone (4 files)" in capsys.readouterr().err
    assert there() == before
    assert record_file(GONE[0]).exists()


def test_copies_set_aside_go_when_nothing_declares_them(capsys):
    set_aside.set_aside([KEPT, GONE[0]])
    assert cli.main(["prune", "--study", "test"]) == 0
    assert "removed .snakemake/set_aside/results\n" in capsys.readouterr().err
    assert set_aside.copies("test").keys() == {KEPT}


def test_nothing_is_touched_while_a_study_runs():
    before = there()
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"another process .* nothing was removed"):
            prune("test", None)
    (Path(".snakemake/locks")).mkdir()
    Path(".snakemake/locks/0.output.lock").touch()
    with pytest.raises(UserError, match=r"Snakemake has locked .* Nothing was removed"):
        prune("test", None)
    assert there() == before


def test_nothing_is_touched_when_snakemake_does_not_answer(monkeypatch):
    def silent(*_):
        raise UserError("no answer")

    monkeypatch.setattr(snakemake, "declared", silent)
    before = there()
    with pytest.raises(UserError, match="no answer"):
        prune("test", None)
    assert there() == before


def test_a_wrong_study_is_told(capsys):
    assert cli.main(["prune", "--study", "tset"]) == 2
    assert "did you mean 'test'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# why\nstudy: quick\ndata: ''\n", "# why\nstudy: test\ndata: a\\b\n"),
        ("study: test\n", "study: test\ndata: a\\b\n"),
        ("", "study: test\ndata: a\\b\n"),
    ],
)
def test_the_recorded_study_is_named(before, after):
    Path("params.yaml").write_text(before)
    dvc._name_study("test", "a\\b")
    assert Path("params.yaml").read_text() == after


def test_recording_needs_a_dvc_project_and_a_study_of_the_project():
    with pytest.raises(UserError, match="no DVC project"):
        dvc.commit("test", None)
    Path(".dvc").mkdir()
    Path("params.yaml").touch()
    shutil.copy("config/test.yaml", "mine.yaml")
    with pytest.raises(UserError, match=re.escape("mine.yaml was not recorded")):
        dvc.commit("mine.yaml", None)
