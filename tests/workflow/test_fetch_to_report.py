"""Data by name, from a server to scores: the real commands and the real workflow."""

import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.misbehaving_server import Answer, running
from helpers.project import Project, jobs_in
from PIL import Image

from noise2mask import cli
from noise2mask.data import catalogue
from noise2mask.data.download.fetch import RECORD

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
FOLDERS = {
    "Training_Data": ("", 10, ".jpg"),
    "Training_GroundTruth": ("_Segmentation", 10, ".png"),
    "Test_Data": ("", 4, ".jpg"),
    "Test_GroundTruth": ("_Segmentation", 4, ".png"),
}


def archive(folder: str) -> bytes:
    """One of the four archives of ISIC 2016, with tiny pictures."""
    suffix, count, kind = FOLDERS[folder]
    first = 0 if folder.startswith("Training") else 100
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for number in range(first, first + count):
            generator = np.random.default_rng(number)
            row, column = generator.integers(4, 20, 2)
            mask = np.zeros((32, 40), dtype=np.uint8)
            mask[row : row + 9, column : column + 12] = 255
            picture = Image.fromarray(mask)
            if not suffix:
                noise = generator.integers(0, 60, (32, 40, 3), dtype=np.uint8)
                picture = Image.fromarray(noise + mask[..., None] // 2)
            pixels = io.BytesIO()
            picture.save(pixels, {".jpg": "JPEG", ".png": "PNG"}[kind])
            name = f"ISBI2016_ISIC_Part1_{folder}/ISIC_{number:07d}{suffix}{kind}"
            file.writestr(name, pixels.getvalue())
    return content.getvalue()


@pytest.fixture(scope="module")
def server():
    with running() as started:
        for folder in FOLDERS:
            content = archive(folder)
            path = f"/ISBI2016_ISIC_Part1_{folder}.zip"
            # The first transfer of each is cut in the middle.
            started.plan(
                path,
                Answer(content, etag='"1"', cut=len(content) // 2),
                Answer(content, etag='"1"'),
            )
        yield started


def served_here(server) -> str:
    """The table of datasets with the addresses of ISIC 2016 on this machine."""
    rows = yaml.safe_load(catalogue.TABLE.read_text())
    for row in rows["isic2016"]["archives"]:
        row["url"] = f"{server.address}/{row['url'].rpartition('/')[2]}"
        row["sha256"] = row["md5"] = row["size"] = None
    rows["isic2016"]["counts"] = {"train": 10, "test": 4}
    return yaml.safe_dump({name: rows[name] for name in ("isic2016", "her2")}, sort_keys=False)


@pytest.fixture(scope="module")
def project(server, tmp_path_factory) -> Project:
    """A project whose study `skin` takes ISIC 2016 by name, HER2's stand-in from phantoms."""
    project = Project(tmp_path_factory.mktemp("project"))
    (project.folder / "src/noise2mask/data/catalogue.yaml").write_text(served_here(server))
    study = project.read("mini")
    phantom = study["datasets"]["lesion_phantom"]
    study["datasets"] = {
        "isic2016": {"named": "isic2016"},
        "her2": {"named": "her2", "stand_in": phantom},
    }
    study["networks"] = {"ensemdiff": study["networks"]["ensemdiff"]}
    study["samplers"].pop("calibration")
    study.pop("analysis", None)
    study["modes"] = {"feed_forward": {"mode": "feed_forward", "samplers": ["one_pass"]}}
    project.write("skin", study)
    return project


def run(project: Project, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "noise2mask", *arguments]
    return subprocess.run(
        command, cwd=project.folder, env=project.environment(), capture_output=True, text=True
    )


def test_a_study_fetches_what_it_names_and_labels_the_stand_in(project):
    status, text = project.snakemake(study="skin")
    assert status == 0, text
    assert jobs_in(text)["fetch"] == 1
    record = json.loads((project.folder / "data/raw/isic2016" / RECORD).read_text())
    assert len(record["archives"]) == 4
    training = project.folder / "results/skin/isic2016/ensemdiff/feed_forward/seed0"
    settings = json.loads((training / "run.json").read_text())
    assert settings["data"]["licence"] == catalogue.entry("isic2016").licence
    prepared = project.folder / "data/prepared/skin/isic2016"
    manifest = json.loads((prepared / "manifest.json").read_text())
    assert manifest["counts"]["train"] + manifest["counts"]["val"] == 10
    assert manifest["counts"]["test"] == 4
    report = project.folder / "build/reports/skin"
    assert set(pd.read_csv(report / "summary.csv").dataset) == {"isic2016", "her2_stand_in"}
    text = (report / "report.md").read_text()
    assert "lesion phantom (for HER2)" in text
    datasets = pd.read_csv(report / "datasets.csv", index_col="name")
    assert datasets.licence["isic2016"] == catalogue.entry("isic2016").licence
    assert catalogue.entry("isic2016").licence in (report / "index.html").read_text()


def test_afterwards_no_network_is_needed(project, server):
    asked = len(server.log)
    assert project.planned(study="skin") == {}
    assert run(project, "data", "get", "isic2016").returncode == 0
    assert len(server.log) == asked


def test_unpacked_files_are_made_again_where_they_are_gone(project):
    files = project.folder / "data/raw/isic2016/files"
    subprocess.run(["rm", "-r", files], check=True)
    done = run(project, "prepare", "--study", "skin", "--dataset", "isic2016")
    assert done.returncode == 0, done.stderr
    assert any(files.rglob("*.jpg"))


def test_check_of_a_named_dataset(project):
    done = run(project, "data", "check", "isic2016", "--processes", "1")
    assert done.returncode == 0, done.stderr
    folder = project.folder / "data/checked/isic2016"
    assert len(pd.read_csv(folder / "manifest.csv")) == 14
    assert json.loads((folder / "check.json").read_text())
    with Image.open(folder / "sheet.png") as sheet:
        assert min(sheet.size) > 200
    assert "isic2016" in done.stdout


def test_list_and_show(project):
    done = run(project, "data", "list")
    line = next(line for line in done.stdout.splitlines() if line.startswith("isic2016"))
    assert "10/4" in line
    assert "yes" in line.split()
    assert "by hand" in next(text for text in done.stdout.splitlines() if text.startswith("her2"))
    shown = run(project, "data", "show", "isic2016").stdout
    for fact in ("dermoscopy", catalogue.entry("isic2016").licence, "Test_GroundTruth.zip"):
        assert fact in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["get", "isic206"], "did you mean 'isic2016'?"),
        (["get"], "got neither"),
        (["get", "isic2016", "--study", "test"], "got both"),
        (["get", "isic2016", "--set", "size"], "is not key=value"),
        (["get", "isic2016", "--set", "imags=1"], "did you mean 'images'?"),
        (["get", "her2"], "her2"),
        (["get", "--study", "test", "--dataset", "lesion"], "did you mean 'lesion_phantom'?"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, monkeypatch, capsys, project, arguments, sentence):
    monkeypatch.chdir(project.folder)
    assert cli.main(["data", *arguments]) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert told.startswith("Error: ")
    assert len(told.strip().splitlines()) == 1
