"""How Snakemake is called."""

import os
import subprocess
import sys

import pytest
from helpers.project import ROOT

from noise2mask.workflow import snakemake

RULES = """
rule all:
    input: "made"

rule make:
    output: "made"
    shell: "echo 1 > made"
"""


@pytest.mark.slow
def test_snakemake_ends_when_its_jobs_have(tmp_path):
    """And not when the span has passed in which it looks for jobs by itself, an hour."""
    assert snakemake._PACE == ("--max-jobs-per-timespan", "100000/1h")
    (tmp_path / "Snakefile").write_text(RULES)
    command = [sys.executable, "-m", "noise2mask.workflow.snakemake", *snakemake._PACE]
    done = subprocess.run([*command, "--cores", "1"], cwd=tmp_path, timeout=200)
    assert done.returncode == 0
    assert (tmp_path / "made").exists()


def test_plain_snakemake_has_no_such_span():
    for profile in ROOT.glob("workflow/profiles/*/profile.yaml"):
        assert "timespan" not in profile.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["conda", "apptainer"])
def test_another_environment_than_the_installed_one_is_refused(method):
    command = [sys.executable, "-m", "snakemake", "-n", "--config", "study=test", "--sdm", method]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert f"--software-deployment-method {method}: every rule runs in the" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("cache", ["a file", "a folder"])
def test_what_cannot_be_written_is_no_cache(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    home.mkdir() if cache == "a folder" else home.touch()
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CACHE_HOME", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    found = snakemake.surroundings()
    if cache == "a folder":
        assert not {"XDG_CACHE_HOME", "MPLCONFIGDIR"} & found.keys()
    else:
        assert found["XDG_CACHE_HOME"] == str(tmp_path / ".snakemake/noise2mask/cache")
        assert found["MPLCONFIGDIR"].startswith(found["XDG_CACHE_HOME"])


RUN = "28b85215-0c55-4c5e-8a5b-3f2f6c1d9e77"


def test_jobs_that_a_killed_run_has_left_are_cancelled_and_no_others(tmp_path, monkeypatch):
    """A job that runs has taken its number from the notes, so the queue tells whose it is."""
    monkeypatch.chdir(tmp_path)
    listed = [
        f"1 {RUN} {tmp_path}", f"2 mine_{RUN} {tmp_path}", f"3 {RUN} {tmp_path}/other",
        f"4 reproduce {tmp_path}", f"5_1 {RUN} {tmp_path}",
    ]  # fmt: skip
    (tmp_path / "queue").write_text("\n".join(listed) + "\n")
    for name, script in (
        ("squeue", f"cat {tmp_path}/queue"),
        (
            "scancel",
            f'echo "$@" > {tmp_path}/cancelled; grep reproduce queue > left; mv left queue',
        ),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    snakemake.cancel_left_jobs()
    assert not (tmp_path / "cancelled").exists()  # no job has begun without an end
    (tmp_path / ".snakemake/incomplete").mkdir(parents=True)
    (tmp_path / ".snakemake/incomplete/x").write_text('{"external_jobid": null}')
    snakemake.cancel_left_jobs()
    assert (tmp_path / "cancelled").read_text() == "1 2 5_1\n"
