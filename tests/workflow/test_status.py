"""How far a study is, told from its files."""

import base64
import os
import re
import shutil
import time

import pytest
from helpers.project import ROOT, Project

from noise2mask.study.load import load_study
from noise2mask.workflow.status import (
    INCOMPLETE,
    LOCKS,
    begun,
    jobs_of,
    states,
    status_of,
    status_text,
    summary_line,
)

STUDY = "controls"
TRAIN = "lesion_phantom/ensemdiff/diffusion/seed0 train"


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """The jobs of a study, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    return jobs_of(load_study(ROOT / "config" / f"{STUDY}.yaml", None), STUDY)


def touch(path, text="", when=None):
    """Write a file, and date it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if when is not None:
        os.utime(path, (when, when))


def mark(output, *, cut=200):
    """Mark an output as Snakemake does, long names in folders."""
    name = base64.b64encode(str(output).encode()).decode()
    parts = [name[place : place + cut] for place in range(0, len(name), cut)]
    parts[:-1] = [f"@{part}" for part in parts[:-1]]
    touch(INCOMPLETE.joinpath(*parts))


def state(jobs, title, now=None):
    """State and line of the job with a title."""
    (found,) = (one for one in states(jobs, now) if one.job.title == title)
    return found.state, found.line


def job(jobs, title):
    (found,) = (one for one in jobs if one.title == title)
    return found


def test_a_study_that_has_not_begun_waits(jobs):
    assert {found.state for found in states(jobs)} == {"waiting"}
    assert begun() == []


@pytest.mark.parametrize("cut", [200, 7])
def test_a_marked_output_of_this_run_is_running_with_its_last_line(jobs, cut):
    one = job(jobs, TRAIN)
    touch(LOCKS / "0.input.lock", when=1000)
    touch(one.log, "began\ntraining: 40 of 100 (40 %), 2 min left\n\n", when=1100)
    mark(one.output, cut=cut)
    assert state(jobs, TRAIN, 1110) == ("running", "training: 40 of 100 (40 %), 2 min left")
    assert "silent for 15 min" in state(jobs, TRAIN, 2000)[1]
    assert "train 40 %" in status_text(STUDY, states(jobs, 1110))


def test_a_mark_without_a_run_is_a_job_that_was_killed(jobs):
    one = job(jobs, TRAIN)
    touch(one.log, "training: 40 of 100 (40 %)\n", when=1100)
    mark(one.output)
    assert state(jobs, TRAIN)[0] == "stopped"
    touch(LOCKS / "0.input.lock", when=1200)  # the next run has not come to it yet
    assert state(jobs, TRAIN)[0] == "waiting"


def test_what_wrote_messages_and_no_output_failed(jobs):
    one = job(jobs, TRAIN)
    touch(one.log, "Error: the loss is not finite; lower the learning rate.\n")
    assert state(jobs, TRAIN) == (
        "failed", "Error: the loss is not finite; lower the learning rate.",
    )  # fmt: skip
    assert begun() == []  # there is no such study in this folder


def test_an_output_without_a_mark_is_done_and_the_line_counts(jobs):
    for title in (TRAIN, "lesion_phantom prepare"):
        touch(job(jobs, title).output)
    assert state(jobs, TRAIN) == ("done", "")
    found = states(jobs)
    assert summary_line(STUDY, found) == (
        f"{STUDY}: 2 done, {len(jobs) - 2} waiting of {len(jobs)} jobs"
    )
    row = re.search(r"^ensemdiff +diffusion +0 +(.*)$", status_text(STUDY, found), re.MULTILINE)
    assert row[1].startswith("1 of ")


def test_it_is_asked_by_name_and_all_that_began_are_listed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    shutil.copy(ROOT / "config/test.yaml", tmp_path / "config/test.yaml")
    touch(tmp_path / "logs/test/lesion_phantom.prepare.log", "Error: no room left\n")
    assert begun() == ["test"]
    text, runs = status_of("test", None, whole=True)
    assert not runs
    assert "lesion_phantom prepare: Error: no room left" in text
    line, _ = status_of("test", None, whole=False)
    assert line.startswith("test: 1 failed, ")
    assert "\n" not in line


def test_it_takes_no_longer_than_a_look(jobs, monkeypatch):
    """Nothing is read but the ends of messages, whatever their length."""
    one = job(jobs, TRAIN)
    touch(one.log, "x" * 100_000 + "\nlast line\n")
    read = []
    opened = type(one.log).open

    def counted(self, *arguments):
        file = opened(self, *arguments)
        if self == one.log:
            read.append(file)
        return file

    monkeypatch.setattr(type(one.log), "open", counted)
    assert state(jobs, TRAIN, time.time())[1] == "last line"
    assert len(read) == 1


@pytest.mark.slow
@pytest.mark.parametrize("study", ["test", "quick"])
def test_its_jobs_are_those_of_the_workflow(tmp_path, study):
    """Each job that Snakemake plans writes where it is looked for."""
    project = Project(tmp_path)
    shutil.copy(ROOT / f"config/{study}.yaml", tmp_path / f"config/{study}.yaml")
    status, text = project.snakemake("-n", "--quiet", "host", study=study)
    assert status == 0, text
    logs = " ".join(re.findall(r"^ +log: (.*)$", text, re.MULTILINE))
    planned = set(re.findall(rf"logs/{study}/[^, ]+", logs))  # those of environments lie above
    jobs = jobs_of(load_study(tmp_path / f"config/{study}.yaml", None), study)
    assert {str(job.log) for job in jobs} == planned
    outputs = set(re.findall(r"[^, \n]+", " ".join(re.findall(r"^ +output: (.*)$", text, re.M))))
    assert {str(job.output) for job in jobs} <= outputs
