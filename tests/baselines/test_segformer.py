"""SegFormer as a reference: its environment, and what it does there."""

import ast
import os
import signal
import subprocess
import time
from xml.etree import ElementTree

import pytest
from helpers.baseline_environments import python_of
from helpers.project import ROOT
from helpers.trained import contents

from noise2mask import plugins
from noise2mask.errors import UserError

INSIDE = ROOT / "tests" / "helpers" / "inside_segformer.py"
LOCK = ROOT / "envs" / "segformer.txt"
KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from helpers.inside_segformer import job_of, segformer, squares
data = Path("data")
if not data.exists():
    squares(data)
for name in sys.argv[1:]:
    segformer.fit(job_of(data, Path(name)), steps=8, batch=3, validate_every=2)
"""


@pytest.fixture(scope="module")
def python():
    return python_of("segformer")


def environment():
    """No network for the hub, so that nobody waits for its retries."""
    return os.environ | {
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="module")
def outcomes(python, tmp_path_factory):
    """What became of each test of the file that runs inside: {name: [sentence, ...]}."""
    folder = tmp_path_factory.mktemp("inside")
    options = ["-p", "no:cacheprovider", "--junitxml", folder / "report.xml", "--basetemp"]
    command = [python, "-m", "pytest", INSIDE, *options, folder / "tmp"]
    told = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert (folder / "report.xml").exists(), told.stdout + told.stderr
    found: dict[str, list[str]] = {}
    for case in ElementTree.parse(folder / "report.xml").iter("testcase"):
        name = str(case.get("name")).partition("[")[0]
        found.setdefault(name, []).extend(child.text or child.tag for child in case)
    return found


def names_inside():
    tree = ast.parse(INSIDE.read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [name for name in names if name.startswith("test_")]


@pytest.mark.parametrize("name", names_inside())
def test_inside_its_environment(outcomes, name):
    assert name in outcomes
    assert not outcomes[name], "\n".join(outcomes[name])


def test_a_training_that_is_killed_goes_on_to_the_same_end(python, tmp_path):
    script = KILLED.format(tests=str(ROOT / "tests"))
    command = [python, "-c", script]
    process = subprocess.Popen([*command, "cut"], cwd=tmp_path, env=environment())
    state = tmp_path / "cut" / "work" / "state.safetensors"
    while process.poll() is None and not state.exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the training ended before it was killed"
    assert not (tmp_path / "cut" / "out").exists()
    subprocess.run([*command, "cut", "whole"], cwd=tmp_path, env=environment(), check=True)
    cut, whole = (contents(tmp_path / name / "out") for name in ("cut", "whole"))
    assert cut == whole


def test_the_lock_is_what_the_core_lacks(python):
    """The library's requirements are met; typer is only of its command line."""
    locked = dict(line.split("==") for line in LOCK.read_text().splitlines())
    core = (ROOT / "envs" / "core.txt").read_text() + (ROOT / "envs" / "torch.txt").read_text()
    assert not locked.keys() & {line.partition("==")[0] for line in core.splitlines()}
    ask = """
from importlib.metadata import PackageNotFoundError, requires, version
from packaging.requirements import Requirement
for line in requires("transformers"):
    needed = Requirement(line)
    if needed.marker is None or needed.marker.evaluate({"extra": ""}):
        try:
            met = needed.specifier.contains(version(needed.name))
        except PackageNotFoundError:
            met = False
        if not met:
            print(needed.name)
for name in %r:
    print(name, version(name))
"""
    command = [python, "-c", ask % sorted(locked)]
    told = subprocess.run(command, env=environment(), check=True, capture_output=True, text=True)
    versions = [f"{name} {locked[name]}" for name in sorted(locked)]
    assert told.stdout.splitlines() == ["typer", *versions]


def test_without_transformers_a_sentence_says_what_to_do():
    from noise2mask.baselines.mix_transformer import build

    with pytest.raises(UserError) as caught:
        build("b0", 3)
    assert str(caught.value) == (
        "SegFormer needs the package transformers, which this environment does not have: use the "
        "environment made of envs/segformer.txt, or take the reference out of the study."
    )


def test_its_options_are_read_without_importing_it():
    assert plugins.names("baseline").count("segformer") == 1
    model = plugins.options("baseline", "segformer")
    assert model().size == "b0"
    assert model(pretrained="nvidia/mit-b2", size="b2").pretrained == "nvidia/mit-b2"
    for wrong in ({"size": "b6"}, {"side": 16}, {"steps": 0}, {"loss": "dice"}, {"epochs": 3}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            model.model_validate(wrong)
