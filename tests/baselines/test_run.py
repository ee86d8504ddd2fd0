"""References from prepared cases to the report, by the commands that the workflow calls."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.baseline_environments import python_of
from helpers.project import ROOT

from noise2mask.data.prepared import open_split
from noise2mask.errors import UserError
from noise2mask.files import write_record
from noise2mask.report.build import report
from noise2mask.sampling.draws import open_draws
from noise2mask.study.load import load_study
from noise2mask.study.paths import Paths

pytestmark = pytest.mark.timeout(1200)

REFERENCES = {
    "nnunet": {"epochs": 1, "iterations": 6, "val_iterations": 1},
    "segformer": {"steps": 6, "batch": 3, "side": 64, "validate_every": 3},
}
STUDY = {
    "description": "References alone.",
    "resolution": 32,
    "datasets": {
        "lesions": {
            "title": "lesions",
            "kind": "phantoms",
            "licence": "free",
            "options": {"family": "lesion", "count": 24, "size": 64, "seed": 3},
            "augmentation": {"flips": True},
        }
    },
    "baselines": {
        kind: {"kind": kind, "title": kind, "options": options}
        for kind, options in REFERENCES.items()
    },
    "evaluation": {"metrics": {"dice": {}}, "band": 2, "resamples": 100},
    "costs": True,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the study, its cases prepared."""
    folder = tmp_path_factory.mktemp("references")
    (folder / "config").mkdir()
    (folder / "config" / "compared.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
    call(folder, sys.executable, "prepare", "--dataset", "lesions")
    return folder


def call(folder, python, command, *options):
    """Run a command of noise2mask in a folder; its words if it fails."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    line = [python, "-m", "noise2mask", command, "--study", "compared", *options]
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("kind", REFERENCES)
def test_a_reference_is_trained_predicts_the_test_cases_is_scored_and_priced(place, kind):
    python = python_of(kind)
    training = ("--dataset", "lesions", "--baseline", kind, "--seed", "0")
    call(place, python, "baseline", *training)
    run = place / "results" / "compared" / "lesions" / kind / "reference" / "seed0"
    record = json.loads((run / "run.json").read_text())
    assert record["settings"]["options"].items() >= REFERENCES[kind].items()
    assert any("epochs" in note or "pretrained" in note for note in record["notes"])

    test = open_split(place / "data/prepared/compared/lesions", "test", purpose="evaluation")
    draws = open_draws(run / "prediction" / "draws.npz", test)  # refuses those of other cases
    assert draws.shape == (len(test.ids), 1, 32, 32)
    assert 0 <= draws.min() < draws.max() <= 1
    assert len(np.unique(draws)) > 100  # probabilities, not masks

    call(place, python, "baseline-cost", *training)
    (row,) = pd.read_csv(run / "cost.csv").itertuples()
    assert row.seconds_per_training_step > 0
    assert row.seconds_per_mask > 0
    assert row.parameters > 1e6
    assert row.macs_per_mask == row.evaluations_per_mask * row.macs_evaluation > 0
    assert (run / "model").is_dir()  # the training that was timed left it alone
    assert not (run / "work").exists()


def test_the_report_says_beside_the_table_what_the_references_are(place):
    for kind in REFERENCES:
        training = ("--dataset", "lesions", "--network", kind, "--mode", "reference", "--seed", "0")
        call(place, sys.executable, "evaluate", *training, "--sampler", "prediction")
    study = load_study(place / "config" / "compared.yaml", None)
    missing = report(study, Paths("compared", place), place / "report")
    assert [line for line in missing if "segformer" in line or "nnunet" in line] == []
    text = (place / "report" / "report.md").read_text()
    assert re.search(r"segformer: .*no pretrained weights: initialised at random", text)
    assert re.search(r"nnunet: .*1 epochs of 6 batches of \d+, where nnU-Net trains 1000", text)
    run = place / "results/compared/lesions/segformer/reference/seed0/run.json"
    run.write_text("{")
    again = "noise2mask baseline --study compared --dataset lesions --baseline segformer --seed 0"
    sentence = rf"segformer/reference/seed0/run\.json was changed or damaged: .* with `{again}`\.$"
    with pytest.raises(UserError, match=sentence):
        report(study, Paths("compared", place), place / "report")
    write_record(run)
    with pytest.raises(UserError, match=r"run\.json is damaged .* delete its folder"):
        report(study, Paths("compared", place), place / "report")
