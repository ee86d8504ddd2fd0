"""Commands about a study as a whole."""

import shutil

import pytest
import torch
from helpers.project import ROOT

from noise2mask.cli import main


@pytest.fixture
def change(tmp_path, monkeypatch):
    """Replace a piece of the study `test` in a folder of its own."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "Snakefile").touch()
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config" / "test.yaml"

    def make(old, new):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return make


def test_check_says_what_a_study_comes_to(change, capsys):
    assert main(["check", "--study", "test"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("test: 25 trainings, 21 samplings. Every stage on a handful of tiny")
    assert "\nEnsemDiff, batches of 2 at 16 px: 0.2" in out
    assert out.count("M parameters") == 3


@pytest.mark.parametrize("command", ["check", "reproduce"])
@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("resolution: 16", "resolution: 17", "resolution 17 cannot be halved"),
        ("batch: 2", "batch: 1024\n  validation_repeats: 1", "more than the"),
        ("highway_width: 8", "highway_width: 9", "choose highway_width 8"),
    ],
)
def test_what_cannot_run_here_is_told_before_anything_does(
    change, capsys, monkeypatch, command, old, new, sentence
):
    change(old, new)
    monkeypatch.setattr("noise2mask.training.size.memory_of", lambda _: 10**8)
    assert main([command, "--study", "test"]) == 2
    said = capsys.readouterr().err.strip()
    assert sentence in said
    assert said.startswith("Error: ")
    assert "\n" not in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("command", ["check", "reproduce"])
def test_a_device_that_is_not_here_is_told_before_anything_runs(change, capsys, command):
    change("diffusion:\n  schedule", "compute: {device: cuda}\n\ndiffusion:\n  schedule")
    assert main([command, "--study", "test"]) == 2
    assert "compute.device is 'cuda', but this machine offers no CUDA" in capsys.readouterr().err
