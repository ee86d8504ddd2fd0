"""nnU-Net itself on a dozen phantoms: killed, resumed, refused, asked for masks.

It runs in its own environment, which is made here when the project has none yet.
"""

import json
import os
import re
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.baseline_environments import python_of
from helpers.project import ROOT
from packaging.requirements import Requirement
from PIL import Image
from safetensors.numpy import load_file

from noise2mask import plugins
from noise2mask.baselines import nnunet, nnunet_files
from noise2mask.baselines.base import Job
from noise2mask.data.prepare import prepare
from noise2mask.data.prepared import open_split
from noise2mask.errors import UserError
from noise2mask.files import checked

# The first test waits for all that runs in nnU-Net's environment, a minute on a quiet machine.
pytestmark = pytest.mark.timeout(1200)

LAYER = ROOT / ".venv-nnunet"
LOCK = ROOT / "envs" / "nnunet.txt"
BUDGET = {"epochs": 2, "iterations": 2, "val_iterations": 2}
SHAPE = (16, 32, 32)

# Runs in nnU-Net's environment. By "-c", so that nnU-Net's processes do not run it once more.
STAGE = """
import dataclasses, json, logging, os, signal, sys
from pathlib import Path
import numpy as np
import torch
from noise2mask.data.prepared import open_split
from noise2mask.errors import UserError
from noise2mask.baselines import nnunet
from noise2mask.baselines.base import Job
from noise2mask.files import write_record

logging.basicConfig(format="%(message)s")
logging.getLogger("noise2mask").setLevel(logging.INFO)
torch.set_num_threads(1)
CPU = torch.device("cpu")
data, folder = Path(sys.argv[1]), Path(sys.argv[2])
test = open_split(data, "test", purpose="evaluation")

def job_of(name, grey=False):
    splits = [open_split(data, split, purpose="training") for split in ("train", "val")]
    if grey:
        splits = [dataclasses.replace(split, images=split.images[..., :1]) for split in splits]
    work, out = folder / name / "work", folder / name / "out"
    return Job(f"nnU-Net {name}", *splits, 3, {}, work, out, 1, CPU)

def sentence(function, *given, **options):
    try:
        function(*given, **options)
    except UserError as error:
        print("refused:", error)
"""

WHOLE = """
budget = json.loads(sys.argv[3])
nnunet.fit(job_of("whole"), **budget)
reference = nnunet.load(folder / "whole" / "out", CPU)
torch.manual_seed(999)
first, again = reference.predict(test.images), reference.predict(test.images)
alone = reference.predict(test.images[3:4])
mirrored = reference.predict(test.images[:, :, ::-1])[:, :, ::-1]
np.savez(folder / "whole.npz", first=first, again=again, alone=alone, mirrored=mirrored)
with torch.no_grad():
    shapes = reference.example.shape, reference.network(reference.example).shape
    print("input and output", *map(list, shapes))
    # What nnU-Net's paper says: z-scores by image and channel, mean of the logits over mirrorings.
    images = test.images.astype(np.float64).transpose(0, 3, 1, 2)
    means, stds = images.mean((2, 3), keepdims=True), images.std((2, 3), keepdims=True)
    x = torch.from_numpy(((images - means) / stds).astype(np.float32))
    logits = sum(
        reference.network(x.flip(axes)).flip(axes) if axes else reference.network(x)
        for axes in ([], [2], [3], [2, 3])
    )
    np.save(folder / "formula.npy", (logits / 4).softmax(1)[:, 1].numpy())
print("notes", json.dumps(reference.notes))
sentence(reference.predict, test.images[..., :1])
"""

KILLED = """
from noise2mask.baselines import nnunet_training
told = nnunet_training.Trainer.on_epoch_end
def end(trainer):
    told(trainer)
    os.kill(os.getpid(), signal.SIGKILL)
nnunet_training.Trainer.on_epoch_end = end
nnunet.fit(job_of("cut"), **json.loads(sys.argv[3]))
"""

RESUMED = """
budget = json.loads(sys.argv[3])
sentence(nnunet.fit, job_of("cut"), **budget | {"epochs": 3})
sentence(nnunet.fit, job_of("cut", grey=True), **budget)
nnunet.fit(job_of("cut"), **budget)
options = {"epochs": 1, "iterations": 1, "val_iterations": 1, "batch": 2}
nnunet.fit(job_of("grey", grey=True), **options, checkpoint="best", mirroring=False)
reference = nnunet.load(folder / "grey" / "out", CPU)
print("notes", json.dumps(reference.notes))
np.save(folder / "grey.npy", reference.predict(test.images[:2, :, :, :1]))
weights = folder / "grey" / "out" / "model.safetensors"
weights.write_bytes(weights.read_bytes()[:1000])
sentence(nnunet.load, folder / "grey" / "out", CPU)
write_record(weights)
sentence(nnunet.load, folder / "grey" / "out", CPU)
sentence(nnunet.load, folder / "none", CPU)
"""


@pytest.fixture(scope="module")
def layer() -> Path:
    return python_of("nnunet")


@pytest.fixture(scope="module")
def data(study, tmp_path_factory) -> Path:
    """Sixteen test cases and twelve to learn from, of 32 pixels."""
    folder = tmp_path_factory.mktemp("prepared") / "lesions"
    options = {"family": "lesion", "count": 28, "size": 64, "seed": 3}
    shares = {"train": 9 / 28, "val": 3 / 28, "test": 16 / 28}
    prepare("phantoms", options, "lesions", 32, shares, folder)
    return folder


@pytest.fixture(scope="module")
def ran(layer, data, tmp_path_factory):
    """Everything that is asked of nnU-Net, in three processes; a folder and what each said."""
    folder = tmp_path_factory.mktemp("nnunet")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}

    def run(code: str) -> subprocess.CompletedProcess[str]:
        command = [layer, "-c", STAGE + code, data, folder, json.dumps(BUDGET)]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    said = {"whole": run(WHOLE), "killed": run(KILLED)}
    assert said["killed"].returncode == -signal.SIGKILL, said["killed"].stderr
    split = folder / "cut" / "work" / "preprocessed" / nnunet_files.DATASET / "splits_final.json"
    said["split"] = json.loads(split.read_text())
    said["names"] = sorted(
        path.name
        for path in (folder / "cut" / "work" / "raw" / nnunet_files.DATASET).rglob("*.png")
    )
    said["log"] = next(
        (folder / "cut" / "work" / "results").rglob("training_log_*.txt")
    ).read_text()
    said["resumed"] = run(RESUMED)
    for name in ("whole", "resumed"):
        assert said[name].returncode == 0, said[name].stderr
    return folder, said


def job_of(data: Path, folder: Path) -> Job:
    splits = [open_split(data, split, purpose="training") for split in ("train", "val")]
    cpu = torch.device("cpu")
    return Job("nnU-Net on lesions", *splits, 3, {}, folder / "work", folder / "out", 1, cpu)


def test_probabilities_of_every_case_do_not_depend_on_the_others_or_on_the_time(ran):
    folder, _ = ran
    found = np.load(folder / "whole.npz")
    first = found["first"]
    assert first.dtype == np.float32
    assert first.shape == SHAPE
    assert first.min() >= 0
    assert first.max() <= 1
    assert first.std() > 0.01
    assert (first == found["again"]).all()
    assert (first[3:4] == found["alone"]).all()


def test_prediction_is_the_mean_over_mirrored_images_of_normalised_cases(ran):
    folder, _ = ran
    found = np.load(folder / "whole.npz")
    for other in (np.load(folder / "formula.npy"), found["mirrored"]):
        # nnU-Net sums logits in half precision, weighted by a Gaussian that vanishes in corners.
        np.testing.assert_allclose(found["first"], other, atol=0.03)
        inner = (slice(None), slice(4, -4), slice(4, -4))
        np.testing.assert_allclose(found["first"][inner], other[inner], atol=2e-3)


def test_a_training_killed_after_an_epoch_ends_as_the_whole_one(ran):
    folder, said = ran
    assert "training nnU-Net cut: goes on at 1 of 2" in said["resumed"].stderr
    whole, resumed = (
        load_file(folder / name / "out" / "model.safetensors") for name in ("whole", "cut")
    )
    assert whole.keys() == resumed.keys()
    for name, weights in whole.items():
        assert (weights == resumed[name]).all(), name


def test_nnunet_learns_from_train_and_validates_on_val_alone(ran, data):
    _, said = ran
    names = {
        "train": [f"train_{i:05d}" for i in range(9)],
        "val": [f"val_{i:05d}" for i in range(3)],
    }
    assert said["split"] == [names]
    images = [f"{name}_0000.png" for name in names["train"] + names["val"]]
    labels = [f"{name}.png" for name in names["train"] + names["val"]]
    assert said["names"] == sorted(images + labels)
    assert "This split has 9 training and 3 validation cases." in said["log"]


def test_a_work_folder_of_other_data_or_options_is_refused(ran):
    folder, said = ran
    epochs, cases, *_ = re.findall(r"^refused: (.*)$", said["resumed"].stdout, re.MULTILINE)
    for sentence in (epochs, cases):
        assert str(folder / "cut" / "work") in sentence
        assert "remove that folder to train anew" in sentence
    assert "(epochs 2 there, now 3)" in epochs
    assert "(other training cases, other validation cases)" in cases


def test_only_what_prediction_needs_outlives_the_training(ran):
    folder, _ = ran
    for name in ("whole", "cut"):
        out = folder / name / "out"
        left = sorted(path.name for path in out.iterdir())
        names = ["dataset.json", "model.safetensors", "plans.json", "reference.json"]
        assert left == [*(f".{name}.record" for name in names), *names]
        assert [checked(out / name).name for name in names] == names
        assert [path.name for path in (folder / name / "work").iterdir()] == ["nnunet.log"]


def test_the_log_holds_progress_and_stdout_none_of_nnunets_talk(ran):
    folder, said = ran
    whole = said["whole"]
    assert "training nnU-Net whole: 2 of 2 (100 %)" in whole.stderr
    first = whole.stdout.splitlines()[0]
    assert first == "input and output [1, 3, 32, 32] [1, 2, 32, 32]"
    assert "Preprocessing" in (folder / "whole" / "work" / "nnunet.log").read_text()


def test_notes_say_what_differs_from_nnunets_own_way(ran):
    folder, said = ran
    whole, grey = (
        json.loads(re.search(r"^notes (.*)$", said[name].stdout, re.MULTILINE).group(1))
        for name in ("whole", "resumed")
    )
    batch = json.loads((folder / "whole/out/reference.json").read_text())["batch"]
    assert f"2 epochs of 2 batches of {batch}, where nnU-Net trains 1000 epochs of 250" in whole[0]
    assert "1 epochs of 1 batches of 2" in grey[0]
    assert not [note for note in whole if "best" in note or "mirrored" in note]
    assert [note for note in grey if "best" in note]
    assert [note for note in grey if "without nnU-Net's averaging over mirrored" in note]


def test_grey_images_and_what_is_no_model(ran):
    folder, said = ran
    assert np.load(folder / "grey.npy").shape == (2, 32, 32)
    assert "trained on images of 3 channels and got images of 1" in said["whole"].stdout
    *_, cut, no_model, none = re.findall(r"^refused: (.*)$", said["resumed"].stdout, re.MULTILINE)
    assert "grey/out/model.safetensors was changed or damaged: it has 1000 bytes where" in cut
    assert "make it again with `noise2mask " in cut
    assert "model.safetensors is missing or damaged" in no_model
    assert "none/reference.json does not exist; make it again with `noise2mask " in none


def test_files_are_the_cases_without_loss(data, tmp_path):
    job = job_of(data, tmp_path)
    nnunet_files.write_cases(job)
    folder = tmp_path / "work/raw" / nnunet_files.DATASET
    for split, prefix in ((job.train, "train"), (job.val, "val")):
        for row, name in enumerate(nnunet_files.names_of(split, prefix)):
            image = np.asarray(Image.open(folder / f"imagesTr/{name}_0000.png"))
            mask = np.asarray(Image.open(folder / f"labelsTr/{name}.png"))
            assert (image == split.images[row]).all()
            assert (mask == split.masks[row]).all()
    two = replace(job.train, images=job.train.images[..., :2])
    with pytest.raises(UserError, match="have 2 channels"):
        nnunet_files.write_cases(job._replace(train=two))


def test_one_pixel_makes_other_cases(data, tmp_path):
    job = job_of(data, tmp_path)
    nnunet_files.claim(job, "1", {"epochs": 2})
    nnunet_files.claim(job, "1", {"epochs": 2})
    masks = job.val.masks.copy()
    masks[0, 0, 0] ^= 1
    other = job._replace(val=replace(job.val, masks=masks))
    for changed, version, what in (
        (other, "1", r"\(other validation cases\)"),
        (job._replace(seed=4), "1", r"\(seed 3 there, now 4\)"),
        (job, "2", r"\(version of nnunetv2 1 there, now 2\)"),
    ):
        with pytest.raises(UserError, match=what):
            nnunet_files.claim(changed, version, {"epochs": 2})


def test_without_the_package_one_sentence_says_what_to_do(data, tmp_path):
    """These tests run in the core's environment, which has none."""
    with pytest.raises(UserError, match=r"nnunetv2 is not installed .*\.venv-nnunet"):
        nnunet.fit(job_of(data, tmp_path))
    with pytest.raises(UserError, match="nnunetv2 is not installed"):
        nnunet.load(tmp_path, torch.device("cpu"))
    assert not (tmp_path / "work").exists()


def test_options_are_nnunets_own_until_a_study_says_otherwise():
    options = plugins.options("baseline", "nnunet")()
    assert options.model_dump() == {
        "epochs": 1000,
        "iterations": 250,
        "val_iterations": 50,
        "batch": None,
        "checkpoint": "final",
        "mirroring": True,
    }
    assert "nnunet" in plugins.names("baseline")
    assert "nnunet_files" not in plugins.names("baseline")


# Named by these packages, but no module that is imported here needs them; timm brings torchvision.
UNUSED = {"future", "graphviz", "timm", "unittest2", "yacs"}


def test_the_lock_holds_all_that_is_needed_beyond_the_core_and_nothing_twice(layer):
    def pins(name: str) -> dict[str, str]:
        lines = (ROOT / "envs" / f"{name}.txt").read_text().splitlines()
        return dict(line.partition(" ;")[0].split("==") for line in lines)

    core, own = pins("core") | pins("torch"), pins("nnunet")
    assert not core.keys() & own.keys()
    assert "torchvision" not in own
    asked = (
        "import importlib.metadata as m, json, sys;"
        "print(json.dumps([m.requires(name) for name in sys.argv[1:]]))"
    )
    done = subprocess.run([layer, "-c", asked, *own], capture_output=True, text=True, check=True)
    missing = set()
    for needed in json.loads(done.stdout):
        for requirement in map(Requirement, needed or []):
            if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                continue
            version = (core | own).get(requirement.name.lower())
            if version is None:
                missing.add(requirement.name)
            else:
                assert requirement.specifier.contains(version), requirement
    assert missing == UNUSED
