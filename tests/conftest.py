"""A tiny study on phantoms, prepared once, for the tests that run real stages."""

from pathlib import Path

import pytest
import torch
import yaml
from helpers.project import ROOT

from noise2mask.data.prepare import prepare
from noise2mask.data.prepared import read_manifest
from noise2mask.study.plan import run_settings
from noise2mask.study.schema import Study, Training
from noise2mask.training.run import Run, run_of

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
