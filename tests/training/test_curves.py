"""Curves for TensorBoard: those of the history, once each, and no part of the result."""

import json
import sys

import pytest
import torch

from noise2mask.errors import UserError
from noise2mask.training import train as training
from noise2mask.training.train import train

CPU = torch.device("cpu")


def points(folder):
    """(name, step, value) of the event files, in order."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder)).Reload()
    return sorted(
        (name, event.step, event.value)
        for name in found.Tags()["scalars"]
        for event in found.Scalars(name)
    )


def history(folder):
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return sorted(
        (name, line["step"], value)
        for line in lines
        for name, value in line.items()
        if name not in ("step", "chosen")
    )


class KilledError(Exception):
    """Stands for the end of the process."""


def test_the_curves_are_the_history_also_of_a_training_that_was_killed(
    make_run, prepared, tmp_path, monkeypatch
):
    pytest.importorskip("tensorboard")
    run = make_run("ensemdiff", "diffusion", steps=4, validate_every=2, checkpoint_every=2)
    plain = tmp_path / "plain"
    train(run, prepared, tmp_path / "work1", plain, CPU)
    assert not (tmp_path / "work1/tensorboard").exists()

    with monkeypatch.context() as patch:

        def die(self, done, note=""):
            if done == 3:  # its loss is written, and goes with the step that is done again
                raise KilledError

        patch.setattr(training.Progress, "update", die)
        with pytest.raises(KilledError):
            train(run, prepared, tmp_path / "work2", tmp_path / "watched", CPU, tensorboard=True)
    train(run, prepared, tmp_path / "work2", tmp_path / "watched", CPU, tensorboard=True)

    for name in ("model.safetensors", "history.jsonl"):
        assert (tmp_path / "watched" / name).read_bytes() == (plain / name).read_bytes()
    shown, kept = points(tmp_path / "work2/tensorboard"), history(plain)
    assert [line[:2] for line in shown] == [line[:2] for line in kept]
    assert [line[2] for line in shown] == pytest.approx([line[2] for line in kept])
    assert len(shown) == 6


def test_without_tensorboard_it_is_told_what_to_install(make_run, prepared, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    run = make_run("ensemdiff", "diffusion", steps=1)
    with pytest.raises(UserError, match=r"tensorboard.*pip install 'noise2mask\[live\]'"):
        train(run, prepared, tmp_path / "work", tmp_path / "out", CPU, tensorboard=True)
