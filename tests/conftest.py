"""A tiny study on phantoms, prepared once, for the tests that run real stages."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml
from helpers.project import ROOT

from noise2mask.data.prepare import prepare
from noise2mask.data.prepared import read_manifest
from noise2mask.evaluation.score import evaluate, evaluate_blind
from noise2mask.sampling.readings import read
from noise2mask.sampling.sample import sample
from noise2mask.study.load import load_study
from noise2mask.study.paths import Paths
from noise2mask.study.plan import run_settings
from noise2mask.study.schema import Study, Training
from noise2mask.training.run import Run, run_of
from noise2mask.training.train import train

TRAINED = ("lesion_phantom", "ensemdiff", "diffusion", 0)

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def study() -> Study:
    """The study `test` of the project."""
    return Study.model_validate(yaml.safe_load((ROOT / "config" / "test.yaml").read_text()))


@pytest.fixture(scope="session")
def prepared(study, tmp_path_factory) -> Path:
    """Its lesion phantoms, prepared."""
    folder = tmp_path_factory.mktemp("prepared") / "lesion_phantom"
    dataset = study.datasets["lesion_phantom"]
    shares = study.shares.model_dump()
    prepare(dataset.kind, dataset.options, "lesion_phantom", study.resolution, shares, folder)
    return folder


@pytest.fixture
def make_run(study, prepared):
    """Make the run of one training, with changed settings if wanted."""

    def make(network: str = "ensemdiff", mode: str = "diffusion", **training) -> Run:
        changed = study.model_copy(update={"training": study.training.model_copy(update=training)})
        training = Training("lesion_phantom", network, mode, 0)
        return run_of(run_settings(changed, training), read_manifest(prepared), "free")

    return make


@pytest.fixture(scope="session")
def finished_study(study, prepared, tmp_path_factory) -> Path:
    """A folder with config/, data/ and results/ of the study `test`: one training, drawn, scored.

    The training is ensemdiff, diffusion, on the lesion phantoms; its readings have a temperature.
    """
    root = tmp_path_factory.mktemp("finished")
    document = yaml.safe_load((ROOT / "config" / "test.yaml").read_text())
    document["readings"] = {"tempered": {"of": "ddim2", "temperature": True}}
    document["modes"]["diffusion"]["samplers"] = ["ddim2", "tempered"]
    (root / "config").mkdir()
    file = root / "config" / "test.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    own, paths = load_study(file), Paths("test", root)
    data, training = paths.prepared("lesion_phantom"), Training(*TRAINED)
    shutil.copytree(prepared, data)
    folder, cpu = paths.finished(training), torch.device("cpu")
    run = run_of(run_settings(own, training), read_manifest(data), "CC0-1.0")
    train(run, data, paths.work(training), folder, cpu)
    for split in ("test", "val"):
        draws = paths.draws(training, "ddim2", split)
        sample(folder, data, own.samplers["ddim2"], root / "work", draws, 1, 8, cpu, split)
    source, val = (paths.draws(training, "ddim2", split) for split in ("test", "val"))
    tempered = paths.draws(training, "tempered")
    read(own.readings["tempered"], "mean", [source], [val], data, tempered, masks=True)
    for name in ("ddim2", "tempered"):
        evaluate(own, "test", training, name, paths.draws(training, name), data)
    evaluate_blind(own, "test", "lesion_phantom", data, paths.blind("lesion_phantom"))
    return root


@pytest.fixture
def trained_folder(finished_study) -> Path:
    """The folder of its training."""
    return Paths("test", finished_study).finished(Training(*TRAINED))
