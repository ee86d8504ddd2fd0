"""The real workflow, run by Snakemake on tiny phantoms in a folder of its own."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from helpers.project import ROOT, Project, edit, jobs_in
from PIL import Image

from noise2mask.study.load import load_study
from noise2mask.study.plan import trainings_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Project:
    """A project whose study `mini` (one dataset, six trainings) has run to the end."""
    project = Project(tmp_path_factory.mktemp("project"))
    status, text = project.snakemake()
    assert status == 0, text
    return project


def test_the_study_leaves_what_readers_rely_on(done):
    for network in ("ensemdiff", "segdiff", "medsegdiff"):
        for mode, sampler in (("feed_forward", "one_pass"), ("diffusion", "ddim2")):
            training = done.folder / f"results/mini/lesion_phantom/{network}/{mode}/seed0"
            for name in ("run.json", "model.safetensors", "history.jsonl"):
                assert (training / name).stat().st_size > 0
            for name in ("draws.npz", "metrics.csv", "reliability.csv"):
                assert (training / sampler / name).stat().st_size > 0
    report = done.folder / "build/reports/mini"
    summary = pd.read_csv(report / "summary.csv")
    assert set(summary.network) == {"ensemdiff", "segdiff", "medsegdiff", "blind", "classical"}
    assert set(summary[summary.network == "medsegdiff"].sampler) == {
        "one_pass", "calibration", "ddim2",
    }  # fmt: skip
    metrics = pd.read_csv(report / "metrics.csv")
    assert list(metrics.columns) == [
        "study", "dataset", "network", "mode", "seed", "sampler", "steps", "draws", "case",
        "metric", "value",
    ]  # fmt: skip
    text = (report / "report.md").read_text()
    assert "results are missing" not in text
    for picture in re.findall(r"\((figures/[^)]+)\)", text):
        assert (report / picture).stat().st_size > 0
    logs = {path.name for path in (done.folder / "logs/mini").iterdir()}
    assert "lesion_phantom.segdiff.diffusion.seed0.train.log" in logs
    assert "lesion_phantom.segdiff.diffusion.seed0.train.benchmark.tsv" in logs
    assert not list((done.folder / "work").rglob("*.safetensors"))


def test_a_second_call_has_nothing_to_do(done):
    status, text = done.snakemake()
    assert status == 0
    assert "Nothing to be done" in text


def test_a_report_that_came_with_a_clone_is_no_reason_to_do_nothing(done, tmp_path):
    clone = Project(tmp_path)
    shutil.copytree(done.folder / "build", tmp_path / "build")
    assert clone.planned() == {
        "prepare": 1, "ready": 1, "blind": 1, "train": 6, "sample": 7, "evaluate": 7,
        "report": 1, "page": 1,
    }  # fmt: skip


def test_a_dataset_can_be_done_before_the_others(tmp_path):
    project = Project(tmp_path)
    shutil.copy(ROOT / "config/test.yaml", tmp_path / "config/test.yaml")
    status, text = project.snakemake("-n", "dataset_lesion_phantom", study="test")
    assert status == 0, text
    assert jobs_in(text) == {
        "prepare": 4, "ready": 1, "train": 8, "sample": 7, "evaluate": 7, "fingerprint": 1,
        "measure": 1, "dataset_lesion_phantom": 1,
    }  # fmt: skip


def test_new_times_of_unchanged_files_rerun_nothing(done):
    for path in sorted(done.folder.glob("data/prepared/**/*"), reverse=True):
        os.utime(path)
    assert done.planned() == {}


@pytest.fixture
def restored(done):
    """The finished project; sources and studies are put back afterwards."""
    kept = {path: path.read_bytes() for path in done.folder.glob("src/**/*.py")}
    kept |= {path: path.read_bytes() for path in done.folder.glob("config/*.yaml")}
    yield done
    for path in {*done.folder.glob("src/**/*.py"), *done.folder.glob("config/*.yaml")} - set(kept):
        path.unlink()
    for path, content in kept.items():
        path.write_bytes(content)


def test_a_comment_reruns_nothing(restored):
    edit(restored, "training/train.py", "import math", "import math  # a comment")
    assert restored.planned() == {}


def test_an_edited_network_reruns_its_own_cells_only(restored):
    edit(restored, "networks/segdiff.py", "0.2", "0.25")
    assert restored.planned() == {"train": 2, "sample": 2, "evaluate": 2, "report": 1, "page": 1}


def test_an_edited_metric_scores_again_and_trains_nothing(restored):
    edit(restored, "evaluation/metrics.py", "(way, 95)", "(way, 96)")
    assert restored.planned() == {"evaluate": 7, "blind": 1, "report": 1, "page": 1}


def test_a_new_sampler_never_retrains(restored):
    study = restored.read("mini")
    study["samplers"]["ddpm3"] = {"sampler": "ddpm", "steps": 3, "draws": 2}
    study["modes"]["diffusion"]["samplers"].append("ddpm3")
    restored.write("mini", study)
    assert restored.planned() == {"sample": 3, "evaluate": 3, "report": 1, "page": 1}


def test_one_changed_field_retrains_the_cells_that_it_touches(restored):
    study = restored.read("mini")
    study["overrides"] = [{"networks": ["segdiff"], "training": {"learning_rate": 0.002}}]
    restored.write("mini", study)
    assert restored.planned() == {"train": 2, "sample": 2, "evaluate": 2, "report": 1, "page": 1}


NETWORK = """
import torch
from noise2mask.networks.base import Network


class Mine(Network):
    def __init__(self, channels, outputs, width):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(channels + 1, width, 3, padding=1),
            torch.nn.SiLU(),
            torch.nn.Conv2d(width, outputs, 1),
        )

    def forward(self, x_t, image, t, features=None):
        return self.layers(torch.cat([image, x_t], dim=1))


def build(image_channels, output_channels, image_size, *, width: int = 8):
    return Mine(image_channels, output_channels, width)
"""
SAMPLER = """

def twice(denoise, x_t, schedule, timesteps, *, generator=None, scale: float = 1.0):
    t = torch.full((len(x_t),), timesteps[-1])
    return denoise(scale * denoise(x_t, t).x_0, t).x_0
"""
METRIC = """

@metric(title="Specificity", better=1)
def specificity(prediction, mask, *, smooth: float = 0.0):
    return float(((~prediction & ~mask).sum() + smooth) / ((~mask).sum() + smooth))
"""


def test_a_stranger_adds_a_network_a_sampler_a_metric_and_a_folder(restored):
    """One file or one function each, and entries in a study; nothing is registered anywhere."""
    package = restored.folder / "src/noise2mask"
    (package / "networks/mine.py").write_text(NETWORK)
    for path, text in (("diffusion/samplers.py", SAMPLER), ("evaluation/metrics.py", METRIC)):
        (package / path).write_text((package / path).read_text() + text)
    generator = np.random.default_rng(0)
    for name in ("images", "masks"):
        (restored.folder / "scans" / name).mkdir(parents=True)
    for number in range(12):
        image = generator.integers(0, 255, (20, 24), dtype=np.uint8)
        Image.fromarray(image).save(restored.folder / f"scans/images/p{number}.png")
        mask = ((image > 128) * 255).astype(np.uint8)
        Image.fromarray(mask).save(restored.folder / f"scans/masks/p{number}.png")
    study = restored.read("mini")
    study["datasets"] = {
        "scans": {"title": "scans", "kind": "folder", "options": {"root": "{data}/scans"}}
    }
    study["networks"] = {"mine": {"title": "Mine", "architecture": "mine", "options": {"width": 4}}}
    study["samplers"] = {
        "one_pass": {"sampler": "one_pass"},
        "twice": {"sampler": "twice", "options": {"scale": 0.5}},
    }
    study["modes"]["feed_forward"]["samplers"] = ["one_pass"]
    study["modes"]["diffusion"]["samplers"] = ["twice"]
    study["evaluation"]["metrics"] = {"dice": {}, "specificity": {"smooth": 1.0}}
    restored.write("stranger", study)
    status, text = restored.snakemake(study="stranger", data=str(restored.folder))
    assert status == 0, text
    summary = pd.read_csv(restored.folder / "build/reports/stranger/summary.csv")
    found = summary[summary.network == "mine"]
    assert set(found.sampler) == {"one_pass", "twice"}
    assert {"dice", "specificity"} <= set(found.metric)
    assert restored.planned() == {}  # what others had is as it was


def test_killed_in_the_middle_the_same_command_goes_on(restored):
    """SIGKILL to the whole process group, as when the power fails."""
    study = restored.read("mini")
    study["networks"] = {"ensemdiff": study["networks"]["ensemdiff"]}
    study["samplers"].pop("calibration")
    study["modes"]["feed_forward"]["samplers"] = ["one_pass"]
    study["training"] |= {"steps": 30, "checkpoint_every": 5, "validate_every": 15}
    restored.write("killed", study)
    command = [sys.executable, "-m", "noise2mask", "reproduce", "--study", "killed"]
    where = {"cwd": restored.folder, "env": restored.environment()}
    process = subprocess.Popen(
        command, **where, start_new_session=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    work = restored.folder / "work/killed"
    deadline = time.monotonic() + 120
    while not list(work.rglob("state.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list(work.rglob("state.safetensors")), "the study ended before it was killed"

    done = subprocess.run(command, **where, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Said or not: Snakemake may have seen the kill, and have ended in order, before this began.
    assert "goes on at" in done.stderr
    assert "The report is build/reports/killed/index.html" in done.stderr

    # The same study on one core and never killed has the same bytes in its tables.
    restored.write("whole", study)
    status, text = restored.snakemake("--cores", "1", study="whole")
    assert status == 0, text
    for table in ("metrics", "summary", "comparisons", "history", "reliability"):
        whole, killed = (
            (restored.folder / f"build/reports/{name}/{table}.csv").read_text()
            for name in ("whole", "killed")
        )
        assert whole.replace("whole", "killed") == killed, table


def test_two_studies_at_once_in_one_folder_are_refused(done):
    with (done.folder / ".snakemake/noise2mask.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "noise2mask", "reproduce", "--study", "mini"]
        found = subprocess.run(
            command, cwd=done.folder, env=done.environment(), capture_output=True, text=True
        )
    assert found.returncode == 2
    assert found.stderr.strip() == (
        f"Error: another process is running a study in {done.folder}; wait for its end."
    )


def test_a_failing_cell_does_not_stop_the_others(restored):
    study = restored.read("mini")
    # The study is read on tensors without values, so that this is seen in training alone.
    raises = "        if not x_t.is_meta:\n            raise UserError('it has no weights')\n"
    raises += "        return self"
    broken = NETWORK.replace("        return self", raises)
    needs = "import torch\nfrom noise2mask.errors import UserError\n"
    path = restored.folder / "src/noise2mask/networks/broken.py"
    path.write_text(broken.replace("import torch\n", needs))
    study["networks"] = {
        "ensemdiff": study["networks"]["ensemdiff"],
        "segdiff": {"title": "SegDiff", "architecture": "broken"},
    }
    study["samplers"].pop("calibration")
    study["modes"]["feed_forward"]["samplers"] = ["one_pass"]
    restored.write("half", study)
    # Scores of other settings, whose jobs will not come to run; they are no results of this study.
    results = restored.folder / "results"
    other = "lesion_phantom/segdiff/diffusion/seed0/ddim2"
    shutil.copytree(results / "mini" / other, results / "half" / other)
    command = [sys.executable, "-m", "noise2mask", "reproduce", "--study", "half"]
    done = subprocess.run(
        command, cwd=restored.folder, env=restored.environment(), capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "it has no weights" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    finished = restored.folder / "results/half/lesion_phantom/ensemdiff/diffusion/seed0/ddim2"
    assert (finished / "metrics.csv").exists()
    report = (restored.folder / "build/reports/half/report.md").read_text()
    assert "* lesion_phantom segdiff diffusion seed 0 ddim2" in report
    assert "segdiff" not in (restored.folder / "build/reports/half/summary.csv").read_text()
    assert (results / "half" / other / "metrics.csv").exists()


def test_a_typo_stops_at_parse_time_in_one_message(restored):
    study = restored.read("mini")
    study["networks"]["segdiff"]["architecture"] = "segdif"
    restored.write("mini", study)
    status, text = restored.snakemake("-n")
    assert status != 0
    assert "networks.segdiff.architecture: unknown architecture 'segdif'" in text
    assert "Traceback" not in text


def test_a_dry_run_without_the_data_names_the_first_folder_that_is_missing(done):
    (done.folder / "somewhere").mkdir(exist_ok=True)
    status, text = done.snakemake("-n", study="real", data="somewhere")
    assert status != 0
    assert "the folder somewhere/isic2017/images does not exist" in text


CLUSTERS = ("slurm", "kubernetes", "cluster-generic")


@pytest.mark.parametrize(
    ("study", "profile"),
    [
        *((study, ()) for study in ("test", "quick", "gpu", "paper", "ablation")),
        *(("quick", ("--profile", f"profiles/{name}")) for name in CLUSTERS),
        ("paper", ("--profile", "profiles/slurm")),
    ],
)
def test_every_study_dry_runs_here_and_on_a_cluster(done, study, profile):
    (done.folder / "somewhere").mkdir(exist_ok=True)
    status, text = done.snakemake("-n", *profile, study=study, data="somewhere")
    assert status == 0, text
    trainings = len(list(trainings_of(load_study(done.folder / "config" / f"{study}.yaml"))))
    assert trainings >= 18
    assert re.search(rf"^train\s+{trainings}$", text, re.MULTILINE)


def test_rules_follow_the_house():
    """What keeps a clone from recomputing: shell rules, files between rules, checksums of all."""
    rules = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert "script:" not in rules
    assert "run:" not in rules
    assert "directory(" not in rules
    assert "max-checksum-file-size: 1TB" in (ROOT / "profiles/default/profile.yaml").read_text()
