"""Files against Snakemake's records of them, in folders without a workflow."""

import base64
import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from noise2mask.baselines.run import MODEL as MODEL_FOLDER
from noise2mask.errors import UserError
from noise2mask.files import record_of, write_record
from noise2mask.workflow import outputs, reproduce, set_aside, snakemake

DATA = "data/prepared/s/d/train.npy"
MODEL = "results/s/d/n/m/seed0/model.safetensors"
DRAWS = "results/s/d/n/m/seed0/ddim/draws.npz"
REPORT = "build/reports/s/report.md"
RAW = "scans/1.png"
BASELINE = "results/s/d/b/reference/seed0/model"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A finished study: raw data, prepared data, a model, its draws, a report."""
    monkeypatch.chdir(tmp_path)
    put(RAW, "raw", 50)
    for number, (output, source) in enumerate(
        ((DATA, RAW), (MODEL, DATA), (DRAWS, MODEL), (REPORT, DRAWS))
    ):
        put(output, output, 100 + number)
        record(output, source)
    outputs.note_checksums("s")
    return tmp_path


def put(path: str, content: str, time: float) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content)
    write_record(Path(path))
    os.utime(path, (time, time))


def record_file(output: str) -> Path:
    name = base64.urlsafe_b64encode(output.encode()).decode()
    parts = [name[i : i + 254] for i in range(0, len(name), 254)]
    return outputs.RECORDS.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])


def record(output: str, *sources: str, **changed) -> None:
    """What Snakemake notes when a job has made `output` from `sources`."""
    time = Path(output).stat().st_mtime
    sums = {s: "sha256:" + hashlib.sha256(Path(s).read_bytes()).hexdigest() for s in sources}
    content = {"rule": "r", "starttime": time - 1, "endtime": time, "input_checksums": sums}
    record_file(output).parent.mkdir(parents=True, exist_ok=True)
    record_file(output).write_text(json.dumps(content | changed))


def test_a_finished_study_is_beyond_doubt():
    assert outputs.doubts("s") == {}


def test_new_times_are_no_reason_for_doubt():
    for number, output in enumerate((REPORT, DRAWS, MODEL, DATA, RAW)):
        os.utime(output, (1000 + number, 1000 + number))
    assert outputs.doubts("s") == {}


def test_checksums_are_written_once():
    noted = Path("results/s/checksums.json")
    before = noted.stat().st_mtime_ns
    outputs.note_checksums("s")
    assert noted.stat().st_mtime_ns == before
    assert list(json.loads(noted.read_text())) == sorted([DATA, DRAWS, MODEL, REPORT])


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_text('{"rule": ')])
def test_a_file_without_a_readable_record(damage):
    damage(record_file(MODEL))
    assert outputs.doubts("s") == {MODEL: "Snakemake has no record of it"}


def test_what_a_baseline_keeps_of_its_network_is_judged_by_its_own_record():
    """No rule names these files: nnU-Net has four, SegFormer three."""
    assert outputs.BASELINE_MODEL == MODEL_FOLDER
    run, plans = "results/s/d/b/reference/seed0/run.json", f"{BASELINE}/plans.json"
    put(plans, "plans", 90)
    assert list(outputs.doubts("s")) == [plans]
    put(run, "run", 91)
    record(run, DATA)
    outputs.note_checksums("s")
    assert outputs.doubts("s") == {}
    Path(plans).write_text("other")
    assert list(outputs.doubts("s")) == [plans]
    put(f"{Path(run).parent}/notes.txt", "not a baseline's", 92)
    assert len(outputs.doubts("s")) == 2


def test_the_temperature_of_a_reading_is_judged_by_its_own_record():
    temperature = str(Path(DRAWS).with_name(outputs.TEMPERATURE))
    put(temperature, "1.5", 90)
    assert outputs.doubts("s") == {}
    Path(temperature).write_text("2.5")
    assert list(outputs.doubts("s")) == [temperature]


def test_a_report_that_came_with_a_clone_has_no_record_and_needs_none():
    record_file(REPORT).unlink()
    assert outputs.doubts("s") == {}


@pytest.mark.parametrize("time", [1, 102, 5000])
def test_another_file_in_the_place_of_a_recorded_one(time):
    """Older than what was made from it, as old, or newer."""
    put(MODEL, "an older model", time)
    assert outputs.doubts("s") == {
        MODEL: "it is not the file that its record is about",
        DRAWS: f"it was made from another {MODEL}",
    }


@pytest.mark.parametrize("content", [MODEL[:10], MODEL[::-1], ""])
def test_another_content_with_the_size_or_the_time_of_the_old_one(content):
    """As a restored backup or rsync leaves it: Snakemake sees no newer file."""
    times = Path(MODEL).stat()
    Path(MODEL).write_text(content)
    os.utime(MODEL, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert outputs.doubts("s") == {
        MODEL: "it is not the file that its record is about",
        DRAWS: f"it was made from another {MODEL}",
    }


def test_what_no_time_tells_is_found_by_reading(monkeypatch):
    """A failing disk: other bytes under the same size and times."""
    outputs.doubts("s")
    monkeypatch.setattr(outputs, "_sha256", lambda path: "read")
    assert outputs.doubts("s") == {}
    assert set(outputs.doubts("s", verify=True)) == {DATA, MODEL, DRAWS, REPORT}


def test_files_are_read_again_only_if_their_size_or_times_are_new(monkeypatch):
    outputs.doubts("s")
    read = []
    real = outputs._sha256
    monkeypatch.setattr(outputs, "_sha256", lambda path: read.append(path) or real(path))
    assert outputs.doubts("s") == {}
    assert read == []
    os.utime(MODEL, (300, 300))
    assert outputs.doubts("s") == {}
    assert read == [MODEL]
    assert outputs.doubts("s") == {}
    assert read == [MODEL]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text('{"sha256": "0"}')])
def test_the_record_that_the_stage_left_beside_it_has_to_be_there(damage):
    """Stages refuse a file without."""
    damage(record_of(Path(MODEL)))
    said = {MODEL: "it is not the file that its record is about"}
    assert outputs.doubts("s") == said
    Path("results/s/checksums.json").unlink()
    assert outputs.doubts("s") == said


def test_folders_in_the_place_of_files_are_found():
    assert outputs.folders_in_place("s") == []
    Path(DRAWS).unlink()
    Path(DRAWS).mkdir()
    assert outputs.folders_in_place("s") == [Path(DRAWS)]


def test_older_results_with_their_own_checksums_under_newer_records():
    """A partial checkout: the checksums are bound to the records they were written for."""
    old = Path("results/s/checksums.json").read_bytes()
    put(MODEL, "retrained", 200)
    record(MODEL, DATA, params="new")
    outputs.note_checksums("s")
    assert set(outputs.doubts("s")) == {DRAWS}
    put(MODEL, MODEL, 300)
    Path("results/s/checksums.json").write_bytes(old)
    assert MODEL in outputs.doubts("s")


def test_what_a_killed_run_has_finished_is_believed_by_its_time():
    put(MODEL, "retrained", 200)
    record(MODEL, DATA)
    put(DRAWS, "drawn again", 201)
    record(DRAWS, MODEL)
    assert set(outputs.doubts("s")) == {REPORT}
    outputs.note_checksums("s")
    os.utime(MODEL, (300, 300))
    assert set(outputs.doubts("s")) == {REPORT}


def test_a_replaced_raw_file_with_an_old_time_is_noticed():
    """As an archive unpacks it; Snakemake compares only inputs newer than the output."""
    put(RAW, "corrected", 50)
    assert outputs.doubts("s") == {DATA: f"it was made from another {RAW}"}
    put(RAW, "raw", 50)
    assert outputs.doubts("s") == {}
    Path(RAW).unlink()
    assert outputs.doubts("s") == {}


def test_a_clock_that_was_set_back_leaves_no_file_in_the_future_and_no_doubt():
    """Snakemake would fail what is made of such a file and remove it, were it a training."""
    ahead = time.time() + 3600
    put(MODEL, "retrained", ahead)
    record(MODEL, DATA)
    put(DRAWS, "drawn again", 201)
    record(DRAWS, MODEL)
    before = outputs.doubts("s")
    reproduce._bring_back_times("s")
    assert Path(MODEL).stat().st_mtime <= time.time()
    assert Path(DRAWS).stat().st_mtime == 201
    assert outputs.doubts("s") == before == {REPORT: f"it was made from another {DRAWS}"}


def test_a_doubtful_file_gets_no_checksum():
    Path("results/s/checksums.json").unlink()
    put(MODEL, "not by a job", 5000)
    outputs.note_checksums("s")
    assert MODEL in outputs.doubts("s")
    assert DRAWS in outputs.doubts("s")


def test_other_studies_are_left_alone():
    put("results/t/x", "x", 1)
    assert outputs.doubts("s") == {}
    assert outputs.doubts("t") == {"results/t/x": "Snakemake has no record of it"}


def test_damaged_checksums_count_as_none():
    for text in ("", "[]", '{"a": 1}', '{"a": {"sha256": "0"}}'):
        Path("results/s/checksums.json").write_text(text)
        assert outputs.doubts("s") == {}, text
        os.utime(MODEL, (300, 300))
        assert MODEL in outputs.doubts("s"), text
        os.utime(MODEL, (101, 101))


def test_long_names_and_foreign_files_among_the_records():
    long = "results/s/" + "/".join(["x" * 60] * 6)
    put(long, "x", 1)
    record(long)
    (outputs.RECORDS / "note.txt").write_text("not a record")
    assert long in outputs.record_files()
    assert outputs.doubts("s") == {}


def test_an_answer_that_is_none_is_told():
    with pytest.raises(UserError, match=r"what study s declares, so nothing .* says: .*Snakefile"):
        snakemake.declared("s", None)


def test_set_aside_until_there_is_something_new():
    set_aside.set_aside([MODEL, DRAWS])
    Path(MODEL).unlink()
    put(DRAWS, "not by a job", 500)
    kept = set_aside.copies("s")
    assert kept[MODEL].read_text() == MODEL
    assert set_aside.waiting("s") == [MODEL]
    set_aside.drop("s")
    assert set_aside.copies("s").keys() == {MODEL, DRAWS}
    put(MODEL, "new", 600)
    record(MODEL, DATA)
    put(DRAWS, "new", 601)
    record(DRAWS, MODEL)
    set_aside.drop("s")
    assert set_aside.copies("s") == {}
    assert not any(set_aside.ASIDE.iterdir())


def test_without_hard_links_a_copy_is_kept(monkeypatch):
    def refused(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", refused)
    set_aside.set_aside([MODEL])
    put(MODEL, "what a killed job left", 500)
    set_aside.set_aside([MODEL])
    Path(MODEL).unlink()
    assert set_aside.copies("s")[MODEL].read_text() == MODEL


@pytest.mark.parametrize(
    ("given", "environment", "options"),
    [
        ((None, None), {}, ["--cores", "all"]),
        (("3", None), {"CORES": "2"}, ["--cores", "3"]),
        ((None, None), {"CORES": "2"}, ["--cores", "2"]),
        ((None, "p"), {"CORES": "2", "PROFILE": "q"}, ["--profile", "p"]),
        ((None, None), {"PROFILE": "q"}, ["--profile", "q"]),
        ((None, None), {"SNAKEMAKE_PROFILE": "r"}, []),
        (("3", None), {"SNAKEMAKE_PROFILE": "r"}, ["--cores", "3"]),
    ],
)
def test_where_jobs_run_can_be_said_by_the_environment(monkeypatch, given, environment, options):
    for name in ("CORES", "PROFILE", "SNAKEMAKE_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert reproduce._place(*given) == options
