"""The real training loop on tiny phantoms: killed, resumed, refused, diverging."""

import errno
import json
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.project import ROOT

from noise2mask.data.prepared import LEAVES_OUT, NOBODY, open_split
from noise2mask.data.source import LEFT_OUT
from noise2mask.diffusion.targets import judged
from noise2mask.errors import UserError
from noise2mask.files import write_json
from noise2mask.progress import Stopped, stopping_on_request
from noise2mask.seeds import seed_of
from noise2mask.study.schema import TrainingSettings
from noise2mask.training import train as training
from noise2mask.training.run import load_run, load_tensors
from noise2mask.training.train import batch_rows, learning_rate, tensors, train

CPU = torch.device("cpu")
NETWORKS = ("ensemdiff", "segdiff", "medsegdiff")


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "run.json"}


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("mode", ["feed_forward", "diffusion"])
@pytest.mark.parametrize("at", [1, 3])
def test_a_resumed_training_equals_the_uninterrupted_one_bit_for_bit(
    make_run, prepared, tmp_path, monkeypatch, network, mode, at
):
    run = make_run(network, mode, steps=4, validate_every=1, checkpoint_every=1)
    train(run, prepared, tmp_path / "work1", tmp_path / "whole", CPU)

    saved = training._checkpoint

    def checkpoint_then_die(state, *others):
        saved(state, *others)
        if state.step == at:
            raise KilledError

    monkeypatch.setattr(training, "_checkpoint", checkpoint_then_die)
    with pytest.raises(KilledError):
        train(run, prepared, tmp_path / "work2", tmp_path / "resumed", CPU)
    monkeypatch.setattr(training, "_checkpoint", saved)
    torch.manual_seed(999)  # nothing may hang on the state of the global generator
    train(run, prepared, tmp_path / "work2", tmp_path / "resumed", CPU)
    assert files_of(tmp_path / "whole") == files_of(tmp_path / "resumed")


def test_kill_minus_nine_of_the_real_command_at_any_moment(tmp_path):
    """The command line is killed three times in the middle and then let finish."""
    config = (ROOT / "config" / "test.yaml").read_text()
    config = config.replace("steps: 4\n", "steps: 150\n").replace("_every: 2", "_every: 10")
    (tmp_path / "study.yaml").write_text(config)
    where = "--study study.yaml --dataset lesion_phantom --network ensemdiff --mode diffusion"
    command = [sys.executable, "-m", "noise2mask", "train", *where.split(), "--seed", "0"]
    prepare = [sys.executable, "-m", "noise2mask", "prepare", *where.split()[:4]]
    subprocess.run(prepare, cwd=tmp_path, check=True, capture_output=True)
    folder = tmp_path / "results/study/lesion_phantom/ensemdiff/diffusion/seed0"
    state = tmp_path / "work/study/lesion_phantom/ensemdiff/diffusion/seed0/state.safetensors"

    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    whole = files_of(folder)
    for path in folder.iterdir():
        path.unlink()
    for delay in (0.0, 0.11, 0.23):
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
        before = state.stat().st_mtime_ns if state.exists() else 0
        while process.poll() is None:
            if state.exists() and state.stat().st_mtime_ns != before:
                time.sleep(delay)
                break
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the training ended before it was killed"
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "goes on at" in done.stderr
    assert files_of(folder) == whole


def test_a_checkpoint_of_other_settings_is_refused_and_kept(
    make_run, prepared, tmp_path, monkeypatch, caplog
):
    run = make_run(steps=2, checkpoint_every=1)
    saved = training._checkpoint

    def checkpoint_then_die(state, *others):
        saved(state, *others)
        raise KilledError

    monkeypatch.setattr(training, "_checkpoint", checkpoint_then_die)
    with pytest.raises(KilledError):
        train(run, prepared, tmp_path / "work", tmp_path / "out", CPU)
    monkeypatch.setattr(training, "_checkpoint", saved)

    other = make_run(steps=2, checkpoint_every=1, learning_rate=0.002)
    with caplog.at_level("WARNING"):
        train(other, prepared, tmp_path / "work", tmp_path / "out", CPU)
    assert (
        "cannot be resumed (settings.training.learning_rate was 0.001 and is now 0.002); "
        "it is kept as refused-"
    ) in caplog.text
    fresh = tmp_path / "fresh"
    train(other, prepared, tmp_path / "work2", fresh, CPU)
    assert files_of(tmp_path / "out") == files_of(fresh)
    assert len(list((tmp_path / "work").glob("refused-*.safetensors"))) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"code": "0" * 16}, "code was"),
        ({"data": {"digest": "other", "channels": 3}}, "data.digest was"),
    ],
)
def test_other_code_and_other_data_are_reasons_to_refuse(make_run, change, reason):
    from noise2mask.training.run import refusal

    run = make_run()
    assert refusal(run.record(), run) is None
    assert reason in refusal(run.record(), replace(run, **change))


def test_a_loss_that_is_no_number_stops_with_step_rate_and_checkpoint(
    make_run, prepared, tmp_path, monkeypatch
):
    run = make_run(steps=4, checkpoint_every=1, validate_every=4)
    from noise2mask.diffusion import modes

    honest, calls = modes.diffusion, []

    def diverging(*given, **named):
        calls.append(1)
        return honest(*given, **named) * (math.nan if len(calls) == 3 else 1)

    monkeypatch.setattr(modes, "diffusion", diverging)
    with pytest.raises(UserError) as caught:
        train(run, prepared, tmp_path / "work", tmp_path / "out", CPU)
    state = tmp_path / "work" / "state.safetensors"
    assert str(caught.value) == (
        "the loss of lesion_phantom EnsemDiff diffusion seed 0 became nan at step 3 with learning "
        f"rate 0.001; the last good checkpoint is {state}; lower training.learning_rate or "
        "training.clip_norm."
    )
    _, record = load_tensors(state)
    assert record["progress"]["step"] == 2


def test_a_disk_that_fills_up_leaves_the_earlier_checkpoint(
    make_run, prepared, tmp_path, monkeypatch
):
    run = make_run(steps=4, checkpoint_every=1, validate_every=4)
    honest, calls = os.fsync, []

    def filling(descriptor):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        honest(descriptor)

    monkeypatch.setattr(os, "fsync", filling)
    with pytest.raises(UserError) as caught:
        train(run, prepared, tmp_path / "work", tmp_path / "out", CPU)
    state = tmp_path / "work" / "state.safetensors"
    assert str(caught.value) == (
        f"{state} could not be saved: the disk is full; "
        "free some space and run the same command again."
    )
    assert load_tensors(state)[1]["progress"]["step"] == 2
    train(run, prepared, tmp_path / "work", tmp_path / "out", CPU)
    train(run, prepared, tmp_path / "work2", tmp_path / "whole", CPU)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_training_never_opens_the_test_split(make_run, prepared, tmp_path):
    folder = tmp_path / "prepared"
    folder.mkdir()
    for path in prepared.iterdir():
        if not path.name.startswith("test."):
            (folder / path.name).write_bytes(path.read_bytes())
    train(make_run(steps=1), folder, tmp_path / "work", tmp_path / "out", CPU)
    assert (tmp_path / "out" / "run.json").exists()


def test_a_second_process_of_the_same_training_waits(make_run, prepared, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="noise2mask")
    where = prepared, tmp_path / "work", tmp_path / "out", CPU
    second = threading.Thread(target=train, args=(make_run(steps=1), *where))
    with training._alone(tmp_path / "work"):
        second.start()
        while "another process is training in" not in caplog.text:
            assert second.is_alive()
        assert not (tmp_path / "out").exists()
    second.join()
    assert (tmp_path / "out" / "run.json").exists()


def test_asked_to_stop_it_saves_its_last_step_and_goes_on_from_there(
    make_run, prepared, tmp_path, monkeypatch, caplog
):
    """As a time limit of a scheduler asks, far from the next regular checkpoint."""
    run = make_run(steps=4, checkpoint_every=100)
    train(run, prepared, tmp_path / "work", tmp_path / "whole", CPU)
    real = training.augment

    def augment(image, *rest, generator, **options):
        if generator.initial_seed() == seed_of(0, "step", 3):
            os.kill(os.getpid(), signal.SIGTERM)
        return real(image, *rest, generator=generator, **options)

    monkeypatch.setattr(training, "augment", augment)
    with stopping_on_request(), pytest.raises(Stopped) as stopped:
        train(run, prepared, tmp_path / "work", tmp_path / "out", CPU)
    assert stopped.value.status == 143
    monkeypatch.undo()
    caplog.set_level(logging.INFO, logger="noise2mask")
    train(run, prepared, tmp_path / "work", tmp_path / "out", CPU)
    assert "goes on at 3 of 4" in caplog.text
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_the_average_copies_buffers_and_weights_follow_slowly(make_run, prepared, tmp_path):
    """Batch norm statistics of the averaged network are those of the live one (published trap)."""
    from accelerate import Accelerator

    run = make_run("medsegdiff", "feed_forward")
    state = training._start(run, Accelerator(cpu=True))
    for buffer in state.network.buffers():
        buffer.add_(1)
    for parameter in state.network.parameters():
        parameter.data.add_(1)
    state.average.update_parameters(state.network)  # the first update copies
    for parameter in state.network.parameters():
        parameter.data.add_(1)
    for buffer in state.network.buffers():
        buffer.add_(1)
    state.average.update_parameters(state.network)
    ours = dict(state.average.module.named_buffers())
    assert ours
    for name, buffer in state.network.named_buffers():
        assert torch.equal(ours[name], buffer)
    decay = (1 + 1) / (10 + 1)
    for mine, live in zip(
        state.average.module.parameters(), state.network.parameters(), strict=True
    ):
        torch.testing.assert_close(mine, live - decay)


def test_the_run_folder_tells_everything_and_loads_without_pickle(make_run, prepared, tmp_path):
    run = make_run(steps=2)
    train(run, prepared, tmp_path / "work", tmp_path / "out", CPU)
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["settings"]["network"]["options"]["dropout"] == 0.0  # defaults are written out
    assert record["versions"]["torch"] == torch.__version__
    assert record["data"]["licence"] == "free"
    loaded, network = load_run(tmp_path / "out")
    assert loaded.identity() == run.identity()
    assert not network.training
    lines = [json.loads(line) for line in (tmp_path / "out" / "history.jsonl").open()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2]
    assert "chosen" in lines[-1]
    assert list((tmp_path / "work").glob("*.safetensors")) == []


def test_a_model_beside_a_foreign_run_json_is_refused(make_run, prepared, tmp_path):
    train(make_run(steps=1), prepared, tmp_path / "work", tmp_path / "out", CPU)
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    record["settings"]["training"]["steps"] = 7
    record["digest"] = "0" * 16
    write_json(tmp_path / "out" / "run.json", record, record=True)
    with pytest.raises(UserError, match="does not belong to the run\\.json beside it"):
        load_run(tmp_path / "out")


def test_a_damaged_checkpoint_is_told_in_one_sentence(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"\x00" * 40)
    with pytest.raises(UserError, match="is damaged or no checkpoint of noise2mask"):
        load_tensors(path)


def test_every_case_is_seen_equally_often():
    rows = [row for step in range(1, 16) for row in batch_rows(5, 3, seed=0, step=step)]
    assert [rows.count(row) for row in range(5)] == [9] * 5
    assert sorted(rows[:5]) == list(range(5))


def test_learning_rate_rises_then_follows_half_a_cosine():
    settings = TrainingSettings(steps=100, learning_rate=0.5, warm_up=10, decay="cosine")
    rates = [learning_rate(settings, step) for step in range(1, 101)]
    assert rates[0] == pytest.approx(0.05)
    assert max(rates) == rates[9] == 0.5
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert 0 < rates[-1] < 0.001
    assert learning_rate(settings.model_copy(update={"decay": "constant"}), 100) == 0.5


def test_cuda_asked_for_and_absent_is_told_in_one_sentence(monkeypatch):
    from noise2mask.training.run import device_of

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError) as caught:
        device_of("cuda")
    assert str(caught.value) == (
        "compute.device is 'cuda', but this machine offers no CUDA device to torch "
        f"{torch.__version__}; set compute.device to 'cpu' or install a CUDA build of torch."
    )


def test_soft_masks_are_shares_and_an_even_vote_is_no_missing_one(prepared):
    """Two of four annotators are not nobody: 1/2 exactly would leave the pixel out of the loss."""
    split = open_split(prepared, "train", purpose="training")
    references = np.repeat(split.masks[:, None], 4, axis=1)
    references[:, :2] = 0
    references[0, 3] = NOBODY
    masks = split.masks.copy()
    masks[1, 0] = LEFT_OUT
    manifest = replace(split.manifest, options={"several": "soft"}, foreground=LEAVES_OUT)
    soft = replace(split, masks=masks, references=references, manifest=manifest)
    _, found = tensors(soft, [0, 1])
    first, second = found[:, 0]
    np.testing.assert_allclose(first, split.masks[0] / 3, rtol=1e-6)
    assert judged(first[None]) is None
    np.testing.assert_allclose(second[1:], split.masks[1][1:] / 2, rtol=1e-6)
    np.testing.assert_array_equal(judged(second), masks[1] != LEFT_OUT)
