"""How Snakemake is called."""

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
