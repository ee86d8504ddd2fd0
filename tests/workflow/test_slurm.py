"""A small study through a real Slurm of one node, with the profile that clusters use.

It shows that jobs are submitted with what they ask for, that a cancelled one is tried again from
its checkpoint, and that a run whose controller was killed goes on: what still runs is cancelled and
continued, and a training that has ended meanwhile is not trained again. It does not show more than
one node, an accounting database, limits that the kernel enforces, or a real GPU.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from helpers import slurm_node
from helpers.project import Project

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(2400)]
TABLES = ("metrics", "summary", "comparisons", "history", "reliability")
# Seconds between questions to the scheduler, which a cluster would resent.
QUICKLY = (
    "--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "1",
    "--latency-wait", "20",
)  # fmt: skip


@pytest.fixture
def project(tmp_path) -> Project:
    """A project on a machine with Slurm; its study `mini` has two trainings of some seconds."""
    if reason := slurm_node.lacking():
        pytest.skip(reason)
    (tmp_path / "project").mkdir()
    made = Project(tmp_path / "project")
    study = made.read("mini")
    study["networks"] = {"ensemdiff": study["networks"]["ensemdiff"]}
    study["samplers"].pop("calibration")
    study["modes"]["feed_forward"]["samplers"] = ["one_pass"]
    study["training"] |= {"steps": 300, "checkpoint_every": 10, "validate_every": 150}
    made.write("mini", study)
    made.write("local", study)
    # The training runs on the processor; the node counts the null device as a GPU.
    profile = made.folder / "workflow/profiles/slurm/profile.yaml"
    profile.write_text(profile.read_text().replace("  train:\n", "  train:\n    gpu: 1\n"))
    (tmp_path / "slurm").mkdir()
    with slurm_node.slurm(tmp_path / "slurm"):
        yield made


def start(project: Project) -> subprocess.Popen:
    command = [sys.executable, "-m", "noise2mask", "reproduce", "--study", "mini"]
    command += ["--profile", "profiles/slurm", "--", *QUICKLY]
    return subprocess.Popen(
        command, cwd=project.folder, env=project.environment(), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def trainings() -> list[dict[str, str]]:
    return [job for job in slurm_node.jobs() if job.get("Comment", "").startswith("rule_train")]


def of_mode(mode: str) -> list[str]:
    """Numbers of the jobs that run a training in a mode."""
    return [job["JobId"] for job in running() if f"{mode}_0" in job["Comment"]]


def halted(project: Project, mode: str) -> bool:
    """Whether the training in a mode is at work, and if so, halt it until it is sent SIGCONT.

    So no step of the test depends on how fast a machine is. Slurm continues what it cancels.
    """
    found = processes(project, mode)
    for process in found:
        process.suspend()
    return bool(found)


def processes(project: Project, mode: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if {"train", mode} <= set(words) and Path(process.cwd()) == project.folder:
                found.append(process)
    return found


def states() -> dict[str, str]:
    return {job["JobId"]: job["JobState"] for job in slurm_node.jobs()}


def running() -> list[dict[str, str]]:
    return [job for job in trainings() if job["JobState"] == "RUNNING"]


def wait_for(condition, process) -> None:
    end = time.monotonic() + 600
    while not condition():
        assert process is None or process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_study_on_slurm_survives_a_cancelled_job_and_a_killed_controller(project):
    work = project.folder / "work/mini/lesion_phantom/ensemdiff"
    begun = {"feed_forward": False, "diffusion": False}

    def all_have_a_checkpoint():
        for mode, already in begun.items():
            if not already and (work / mode / "seed0/state.safetensors").exists():
                begun[mode] = halted(project, mode)
        return all(begun.values())

    process = start(project)
    wait_for(all_have_a_checkpoint, process)
    (cancelled,) = of_mode("diffusion")
    again = next(job["Comment"] for job in running() if job["JobId"] == cancelled)
    subprocess.run(["scancel", cancelled], check=True)
    wait_for(lambda: of_mode("diffusion") not in ([], [cancelled]), process)
    wait_for(lambda: halted(project, "diffusion"), process)
    # Snakemake first, so that it cannot cancel its jobs.
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
    for pid in [*map(int, children.stdout.split()), process.pid]:
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    left = {job["JobId"]: job["Comment"] for job in running()}
    (ahead,) = of_mode("feed_forward")
    for training in processes(project, "feed_forward"):
        training.resume()
    wait_for(lambda: states()[ahead] == "COMPLETED", None)

    process = start(project)
    text = process.communicate()[0]
    assert process.returncode == 0, text
    assert "An earlier run left jobs in Slurm's queue; cancelling" in text
    ended = states()
    # A job that was asked to end may end by itself, well or not.
    assert {ended[job] for job in left} <= {"CANCELLED", "COMPLETED", "FAILED"}
    assert "goes on at" in log_of(project, again)
    assert "is finished" in log_of(project, left[ahead])

    # What was asked for, and how few jobs: two drawings and two scores are a job each.
    found = slurm_node.jobs()
    first, second = [job for job in found if job.get("Comment") == again][:2]
    assert "mem=8000M" in first["TRES"]
    assert "mem=16000M" in second["TRES"]
    assert all(job["NumCPUs"] == "1" for job in trainings())
    assert {job["TresPerJob"] for job in trainings()} == {"gres:gpu:1"}
    assert {job["TimeLimit"] for job in (first, second)} == {"1-00:00:00", "2-00:00:00"}
    done = Counter(job["Comment"] for job in found if job["JobState"] == "COMPLETED")
    assert done["rule_drawn_sample"] == done["rule_scores_evaluate"] == 1

    status, text = project.snakemake("--cores", "2", study="local")
    assert status == 0, text
    for table in TABLES:
        local, cluster = (
            (project.folder / f"build/reports/{name}/{table}.csv").read_text()
            for name in ("local", "mini")
        )
        assert re.sub(r"\blocal\b", "mini", local) == cluster, table


def log_of(project: Project, comment: str) -> str:
    mode = "feed_forward" if "feed_forward" in comment else "diffusion"
    log = project.folder / "logs/mini" / f"lesion_phantom.ensemdiff.{mode}.seed0.train.log"
    return log.read_text()
