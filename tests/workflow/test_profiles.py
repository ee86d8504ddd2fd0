"""Commands of the profiles for Kubernetes and Grid Engine, against stand-ins of their programs."""

import json
import os
import subprocess

import pytest
import yaml
from helpers.project import ROOT

PROFILES = ROOT / "workflow/profiles"
SAID = {
    "NOISE2MASK_IMAGE": "registry/noise2mask:1",
    "NOISE2MASK_CLAIM": "shared",
    "NOISE2MASK_MOUNT": "/project",
}
SUBMIT = [
    PROFILES / "kubernetes/submit", "--cpus", "2", "--memory", "8000", "--gpus", "1",
    "--minutes", "90", "--rule", "baseline_cost", "job.sh",
]  # fmt: skip


def run(command, folder, **environment):
    given = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"} | environment
    return subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True)


def stand_in(folder, program, script):
    path = folder / program
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_job_is_what_kubernetes_is_asked_for(tmp_path):
    stand_in(tmp_path, "kubectl", 'cat > asked.json; echo "$@" > options; echo the-job')
    done = run(SUBMIT, tmp_path, **SAID)
    assert (done.returncode, done.stdout) == (0, "the-job\n")
    assert (tmp_path / "options").read_text().startswith("create -f - ")
    job = json.loads((tmp_path / "asked.json").read_text())
    assert job["metadata"]["generateName"] == "noise2mask-baseline-cost-"
    assert job["spec"]["activeDeadlineSeconds"] == 90 * 60
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == ["bash", str(tmp_path / "job.sh")]
    assert container["image"] == SAID["NOISE2MASK_IMAGE"]
    assert container["resources"]["limits"] == {
        "cpu": "2", "memory": "8000M", "nvidia.com/gpu": "1",
    }  # fmt: skip
    (mount,), (volume,) = container["volumeMounts"], pod["volumes"]
    assert mount == {"name": volume["name"], "mountPath": "/project"}
    assert volume["persistentVolumeClaim"]["claimName"] == "shared"


def test_a_group_of_jobs_has_a_name_that_kubernetes_takes(tmp_path):
    stand_in(tmp_path, "kubectl", "cat > asked.json")
    group = ["GROUP" if word == "baseline_cost" else word for word in SUBMIT]
    assert run(group, tmp_path, **SAID).returncode == 0
    job = json.loads((tmp_path / "asked.json").read_text())
    assert job["metadata"]["generateName"] == "noise2mask-group-"


def test_every_cluster_groups_the_same_short_jobs():
    slurm, generic, kubernetes = (
        yaml.safe_load((PROFILES / name / "profile.yaml").read_text())
        for name in ("slurm", "cluster-generic", "kubernetes")
    )
    for key in ("groups", "group-components", "resources", "set-resource-scopes"):
        assert slurm[key] == generic[key] == kubernetes[key]


def test_what_kubernetes_must_be_told_is_named(tmp_path):
    stand_in(tmp_path, "kubectl", "echo called > called")
    done = run(SUBMIT, tmp_path, **SAID | {"NOISE2MASK_CLAIM": ""})
    assert done.returncode == 1
    assert done.stderr == "the environment does not say NOISE2MASK_CLAIM; see the profile.\n"
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize(
    ("counts", "state"), [("1/", "success"), ("/1", "failed"), ("/", "running"), ("1/2", "success")]
)
def test_the_state_of_a_kubernetes_job(tmp_path, counts, state):
    stand_in(tmp_path, "kubectl", f"echo {counts}")
    assert run([PROFILES / "kubernetes/status", "job"], tmp_path).stdout == f"{state}\n"


@pytest.mark.parametrize(
    ("listed", "account", "state"),
    [
        (True, "", "running"),
        (False, "", "running"),  # its account is not written yet
        (False, "failed 0\nexit_status 0", "success"),
        (False, "failed 0\nexit_status 3", "failed"),
        (False, "failed 100\nexit_status 137", "failed"),
    ],
)
def test_the_state_of_a_job_of_grid_engine(tmp_path, listed, account, state):
    stand_in(tmp_path, "qstat", f"exit {int(not listed)}")
    stand_in(tmp_path, "qacct", f"printf '{account}\\n'" if account else "exit 1")
    assert run([PROFILES / "cluster-generic/status", "7"], tmp_path).stdout == f"{state}\n"
