"""One training in two processes on the CPU, which talk by gloo, against the same in one."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import psutil
import pytest
import torch
import yaml
from helpers.project import ROOT
from helpers.two_processes import in_double, train_in_two_processes

from noise2mask.errors import UserError
from noise2mask.training import train as training
from noise2mask.training.processes import check_batch
from noise2mask.training.run import load_tensors
from noise2mask.training.train import train

CPU = torch.device("cpu")
STEPS = 50


def losses(folder):
    lines = map(json.loads, (folder / "history.jsonl").read_text().splitlines())
    return [line.get("loss", line.get("val_loss")) for line in lines if "chosen" not in line]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "options", "double", "rate"),
    [
        ("ensemdiff", {"dropout": 0.1}, False, 1e-4),
        ("segdiff", {}, True, 1e-3),
        # Batch norm and dropout of whole channels; its second head has a loss of its own.
        ("medsegdiff", {"dropout": 0.1, "highway_dropout": 0.1}, True, 1e-3),
    ],
)
def test_two_processes_give_the_losses_of_one(
    make_run, prepared, tmp_path, monkeypatch, network, options, double, rate
):
    run = make_run(
        network, steps=STEPS, batch=4, learning_rate=rate, validate_every=25, checkpoint_every=50
    )
    model = run.settings.network
    changed = model.model_copy(update={"options": model.options | options})
    run = replace(run, settings=run.settings.model_copy(update={"network": changed}))
    if double:
        monkeypatch.setattr(training, "build_network", in_double(training.build_network))
    train(run, prepared, tmp_path / "work1", tmp_path / "one", CPU)
    train_in_two_processes(run, prepared, tmp_path / "work2", tmp_path / "two", CPU, double=double)
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == STEPS + 2
    assert two == pytest.approx(one, rel=1e-5, abs=0)
    (first, said), (second, same) = (
        load_tensors(tmp_path / name / "model.safetensors") for name in ("one", "two")
    )
    assert said == same
    assert first.keys() == second.keys()


def processes_set(folder, count):
    document = yaml.safe_load((ROOT / "config/test.yaml").read_text())
    document["training"] |= {"steps": 2000, "validate_every": 2000, "checkpoint_every": 20}
    document["compute"] = {"processes": count}
    (folder / "study.yaml").write_text(yaml.safe_dump(document, sort_keys=False))


def started(folder, stage, *options):
    where = ["--study", "study.yaml", "--dataset", "lesion_phantom", *options]
    command = [sys.executable, "-m", "noise2mask", stage, *where]
    given = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(command, cwd=folder, env=given, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_two_processes_end_together_and_any_number_goes_on(tmp_path, number):
    training = ["--network", "ensemdiff", "--mode", "diffusion", "--seed", "0"]
    state = tmp_path / "work/study/lesion_phantom/ensemdiff/diffusion/seed0/state.safetensors"
    processes_set(tmp_path, 2)
    assert started(tmp_path, "prepare").wait() == 0
    first = started(tmp_path, "train", *training)
    while not state.exists():
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    both = [psutil.Process(first.pid), *psutil.Process(first.pid).children(recursive=True)]
    assert len(both) >= 2
    first.send_signal(number)
    assert first.wait() == (128 + number if number == signal.SIGTERM else -number)
    _, left = psutil.wait_procs(both, timeout=60)
    assert left == []
    first.communicate()
    _, record = load_tensors(state)
    processes_set(tmp_path, 1)
    second = started(tmp_path, "train", *training)
    for line in second.stderr:
        if "goes on at" in line:
            break
    second.kill()
    said = line + second.communicate()[1]
    assert f"goes on at {record['progress']['step']} of 2000" in said


def test_a_batch_that_processes_cannot_share_is_told():
    with pytest.raises(UserError, match=r"training\.batch is 3, which 2 processes"):
        check_batch(3, SimpleNamespace(num_processes=2))
