"""The command line: fast help, one-sentence errors, honest exit codes."""

import base64
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.project import ROOT

from noise2mask import cli
from noise2mask.workflow import set_aside

TRAINING = [
    "--dataset",
    "lesion_phantom",
    "--network",
    "ensemdiff",
    "--mode",
    "diffusion",
    "--seed",
    "0",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the study `test`."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_help_does_not_import_torch():
    code = (
        "import sys\nfrom noise2mask.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'scipy', 'numpy', 'pydantic', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for stage in ("check", "prepare", "train", "sample", "evaluate", "report"):
        assert f"  {stage} " in done.stdout


def test_a_reader_who_has_seen_enough_ends_it_without_a_word():
    command = f"{sys.executable} -m noise2mask data list | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (141, "")


def test_the_stages_of_one_training(folder, capsys):
    stages = (
        ["prepare", "--dataset", "lesion_phantom"],
        ["blind", "--dataset", "lesion_phantom"],
        ["train", *TRAINING],
        ["sample", *TRAINING, "--sampler", "ddim2"],
        ["evaluate", *TRAINING, "--sampler", "ddim2"],
        ["report"],
    )
    for stage in stages:
        assert cli.main([*stage, "--study", "test", "--log", "logs/x.log"]) == 0, stage
    assert cli.main(["train", *TRAINING, "--study", "test"]) == 0
    said = capsys.readouterr().err
    assert said.strip().splitlines()[-1] == (
        "lesion_phantom EnsemDiff diffusion seed 0 is finished: its settings, data and code are "
        "those of results/test/lesion_phantom/ensemdiff/diffusion/seed0. Remove that folder to "
        "train it again."
    )
    assert "results are missing" in said
    assert "training lesion_phantom EnsemDiff" not in (folder / "logs/x.log").read_text()
    training = folder / "results/test/lesion_phantom/ensemdiff/diffusion/seed0"
    assert {path.name for path in training.glob("[!.]*")} == {
        "run.json", "model.safetensors", "history.jsonl", "ddim2",
    }  # fmt: skip
    assert {path.name for path in (training / "ddim2").glob("[!.]*")} == {
        "draws.npz", "metrics.csv", "against_proper.csv", "reliability.csv",
    }  # fmt: skip
    text = (folder / "build/reports/test/report.md").read_text()
    assert "results are missing" in text


def test_a_training_that_ended_unnoticed_is_kept_from_snakemake_and_found(folder, capsys):
    """Its run was killed before it ended, so Snakemake deletes what it has left, and asks again."""
    train = ["train", *TRAINING, "--study", "test"]
    assert cli.main(["prepare", "--study", "test", "--dataset", "lesion_phantom"]) == 0
    assert cli.main(train) == 0
    place = Path("test/lesion_phantom/ensemdiff/diffusion/seed0")
    results, ended = folder / "results" / place, folder / "work" / place / "ended"
    outputs = [results / name for name in ("run.json", "model.safetensors", "history.jsonl")]
    before = [path.read_bytes() for path in outputs]
    marker = base64.urlsafe_b64encode(bytes(f"results/{place}/run.json", "utf-8")).decode()
    begun = folder / ".snakemake/incomplete" / marker
    begun.parent.mkdir(parents=True, exist_ok=True)

    def started_again(doubted):
        set_aside.keep_ended_trainings(doubted)
        for path in outputs:
            path.unlink()
        capsys.readouterr()
        assert cli.main(train) == 0
        assert not ended.exists()
        return capsys.readouterr().err

    begun.write_text('{"external_jobid": "7"}')
    assert "is finished" in started_again(doubted=[])
    begun.unlink()  # as a cluster's job does at its end
    unrecorded = [f"results/{place}/model.safetensors"]
    assert "is finished" in started_again(unrecorded)
    assert [path.read_bytes() for path in outputs] == before
    outputs[1].write_bytes(before[1][:-1] + b"!")
    assert "training lesion_phantom EnsemDiff" in started_again(unrecorded)
    assert [path.read_bytes() for path in outputs] == before
    study = folder / "config/test.yaml"
    study.write_text(study.read_text().replace("learning_rate: ", "learning_rate: 1"))
    assert "training lesion_phantom EnsemDiff" in started_again(unrecorded)
    assert outputs[1].read_bytes() != before[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["train", "--dataset", "lesion", *TRAINING[2:]],
            "Error: --dataset: unknown dataset 'lesion'; did you mean 'lesion_phantom'? "
            "Valid: lesion_phantom, nuclei_phantom, tissue_phantom, photographs.",
        ),
        (
            ["train", *TRAINING[:-1], "3"],
            "Error: --seed 3 is not in this study; its seeds are [0].",
        ),
        (
            ["train", *TRAINING],
            "Error: data/prepared/test/lesion_phantom has no manifest.json, so it is no prepared "
            "dataset; prepare it first.",
        ),
        (
            ["sample", *TRAINING, "--sampler", "ddim2"],
            "Error: results/test/lesion_phantom/ensemdiff/diffusion/seed0 holds no finished "
            "training: run this training first.",
        ),
    ],
)
def test_a_users_mistake_is_one_sentence(folder, capsys, arguments, sentence):
    assert cli.main([*arguments, "--study", "test"]) == 2
    assert capsys.readouterr().err.strip() == sentence


@pytest.mark.parametrize(
    ("options", "root", "output"),
    [
        ([], ".", "build/reports/test"),
        (["--root", "elsewhere"], "elsewhere", "elsewhere/build/reports/test"),
        (["--root", "elsewhere", "--output", "mine"], "elsewhere", "mine"),
    ],
)
def test_a_report_lies_beside_its_results(folder, monkeypatch, options, root, output):
    seen = []
    monkeypatch.setattr(
        "noise2mask.report.build.report", lambda _, paths, out: seen.append((paths.root, out)) or []
    )
    assert cli.main(["report", "--study", "test", *options]) == 0
    assert seen == [(Path(root), Path(output))]


def test_interruption_says_how_to_go_on(folder, capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS["a study"], "check", interrupted)
    assert cli.main(["check"]) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_a_resolution_that_the_network_cannot_halve(folder, capsys):
    path = folder / "config" / "test.yaml"
    path.write_text(path.read_text().replace("resolution: 16", "resolution: 17"))
    assert cli.main(["prepare", "--study", "test", "--dataset", "lesion_phantom"]) == 0
    capsys.readouterr()
    assert cli.main(["train", *TRAINING, "--study", "test"]) == 2
    said = capsys.readouterr().err
    assert "resolution 17 cannot be halved" in said
    assert "Traceback" not in said


def test_a_read_only_results_folder_is_told_in_one_sentence(folder):
    """As a user without root's override, where the tests run as root."""
    assert cli.main(["prepare", "--study", "test", "--dataset", "lesion_phantom"]) == 0
    results = folder / "results"
    results.mkdir()
    (folder / "work").mkdir()
    results.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IROTH | stat.S_IXOTH)
    (folder / "work").chmod(0o777)
    for parent in [folder, *folder.parents]:
        if parent.owner() == (folder.owner()) and os.access(parent, os.W_OK):
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    code = (
        "import encodings.utf_8_sig, os, sys\n"
        "from noise2mask import cli\n"  # all is read before rights are given up
        "from noise2mask.networks import ensemdiff\n"
        "import noise2mask.training.train, noise2mask.evaluation.tables, torch._dynamo\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", code, "train", *TRAINING, "--study", "test"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last == (
        "Error: results/test/lesion_phantom/ensemdiff/diffusion/seed0/model.safetensors could not "
        "be saved: the folder cannot be written; change its permissions or choose another one."
    )
    assert (
        folder / "work/test/lesion_phantom/ensemdiff/diffusion/seed0/state.safetensors"
    ).exists()
