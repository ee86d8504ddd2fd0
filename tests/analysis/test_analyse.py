"""The analysis of a study through the real workflow: a grid, an adapted schedule, all stages."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.project import ROOT, Project

from noise2mask.analysis.analyse import analyse
from noise2mask.evaluation.tables import Tables, gather, save_table
from noise2mask.study.load import load_study
from noise2mask.study.paths import Paths
from noise2mask.study.plan import analysis_tables, measured_modes

SIDE = 16


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A study of one network and one dataset that asks everything, run once."""
    project = Project(tmp_path_factory.mktemp("project"))
    study = yaml.safe_load((ROOT / "config" / "test.yaml").read_text())
    study["networks"] = {"ensemdiff": study["networks"]["ensemdiff"]}
    study["datasets"] = {"lesion_phantom": study["datasets"]["lesion_phantom"]}
    study["samplers"] = {
        "one_pass": {"sampler": "one_pass"},
        "ddim2": {"sampler": "ddim", "steps": 2, "draws": 2},
        "from50": {"sampler": "ddim", "steps": 2, "start": 49, "draws": 2},
    }
    study["modes"] = {
        "feed_forward": {"mode": "feed_forward", "samplers": ["one_pass"]},
        "diffusion": {"mode": "diffusion", "samplers": ["ddim2", "from50"]},
        "image_free": {"mode": "image_free"},
        "image_diffusion": {"mode": "image_diffusion"},
        "adapted": {"mode": "diffusion", "samplers": ["ddim2"]},
    }
    study["grid"] = {
        "mode": "diffusion",
        "factors": {
            "weighting": {
                "uniform": {}, "benefit": {"diffusion": {"weighting": {"name": "benefit"}}},
            },
            "loss": {"squared": {}, "dice": {"mode": "dice_diffusion"}},
        },
    }  # fmt: skip
    study["overrides"] = [
        {
            "modes": ["adapted"],
            "diffusion": {"schedule": {"name": "adapted", "input_scale": 1.0}},
        }
    ]
    study["analysis"] |= {"splits": ["val", "test"], "grown": [8, 16]}
    study["contrasts"] = [["adapted", "diffusion"], ["feed_forward", "diffusion"]]
    study["hypotheses"] = {
        "p1": {"modes": ["diffusion"]},
        "p3": {"feed_forward": "feed_forward"},
        "p5": {
            "feed_forward": "feed_forward", "diffusion": "diffusion", "improved": "loss_dice",
        },
    }  # fmt: skip
    study["training"] |= {"steps": 2, "checkpoint_every": 2}
    project.write("asked", study)
    status, text = project.snakemake(study="asked")
    assert status == 0, text
    return project


@pytest.fixture(scope="module")
def study(project):
    return load_study(project.folder / "config" / "asked.yaml")


def report(project):
    return project.folder / "build" / "reports" / "asked"


def test_every_table_and_figure_is_there(project, study):
    wanted = {f"{name}.csv" for name in analysis_tables(study)}
    assert wanted <= {path.name for path in report(project).iterdir()}
    text = (report(project) / "report.md").read_text()
    for heading in ("What came out", "Claims of the paper", "Effects of single settings"):
        assert f"## {heading}" in text
    for figure in ("losses_log_snr", "integrand", "noising", "atlas", "heat_maps_iou"):
        assert (report(project) / "figures" / f"{figure}.png").stat().st_size > 1000
    assert 1 <= text.count("](figures/") <= 6


def test_nothing_is_run_twice(project):
    assert project.planned(study="asked") == {}


def test_a_report_changes_no_byte_when_it_is_made_again(project, study):
    found, missing = gather(study, "asked", project.folder)
    again, others = analyse(study, Paths("asked", project.folder), found)
    missing += others
    assert missing == []
    for name in analysis_tables(study):
        save_table(getattr(again, name), project.folder / "again.csv")
        first = (report(project) / f"{name}.csv").read_bytes()
        assert (project.folder / "again.csv").read_bytes() == first, name


def test_grown_masks_are_means_of_cases_at_every_resolution(project, study):
    table = pd.read_csv(report(project) / "grown_masks.csv")
    cases = pd.read_csv(project.folder / "results/asked/lesion_phantom/grown.csv")
    assert list(table["resolution"]) == [8, 16]
    means = cases.groupby("resolution")[["dice", "area"]].mean()
    assert table[["dice", "area"]].to_numpy() == pytest.approx(means.to_numpy())
    assert (table["low"] < table["dice"]).all()
    assert (table["dice"] < table["high"]).all()
    assert (table["n"] == cases["group"].nunique()).all()


def test_losses_are_means_of_what_was_measured_on_test_cases(project, study):
    losses = pd.read_csv(report(project) / "losses.csv")
    place = next(iter(measured_modes(study)))
    path = "results/asked/lesion_phantom/ensemdiff/measured/seed0/losses.csv"
    raw = pd.read_csv(project.folder / path)
    raw = raw[(raw["split"] == "test") & (raw["mode"] == "image_free")]
    means = raw.groupby("t")["error"].mean() / SIDE**2
    rows = losses[
        (losses["dataset"] == place.dataset)
        & (losses["mode"] == "image_free")
        & (losses["target"] == "x_0")
    ].set_index("t")["loss"]
    np.testing.assert_allclose(rows.sort_index(), means.sort_index(), rtol=1e-6)


def test_what_was_found_out_before_a_training_stands_in_its_run(project):
    cells = project.folder / "results/asked/lesion_phantom/ensemdiff"
    adapted = json.loads((cells / "adapted/seed0/run.json").read_text())["settings"]["diffusion"]
    assert len(adapted["schedule"]["options"]["log_snr"]) == 65
    benefit = json.loads((cells / "weighting_benefit/seed0/run.json").read_text())
    options = benefit["settings"]["diffusion"]["weighting"]["options"]
    assert len(options["log_snr"]) == len(options["density"]) >= 4


def test_hypotheses_are_tested_or_say_why_not(project):
    found = pd.read_csv(report(project) / "hypotheses.csv").set_index("name")
    assert list(found.index) == [f"P{number}" for number in range(1, 9)]
    assert found["verdict"]["P2"] == "not tested"
    assert "does not name its modes" in found["remark"]["P2"]
    assert found["verdict"]["P3"] == "not tested"  # of one dataset there is no order
    assert "not trained to convergence" in found["remark"]["P1"]
    assert found["statement"]["P5"].startswith("loss_dice removes more than half of the gap")


def test_claims_of_the_paper_are_tested_or_say_why_not(project):
    found = pd.read_csv(report(project) / "claims.csv").set_index("name")
    assert list(found.index) == [
        "C1a", "C1a-matched", "C1b", "C1b-matched", "C2", "C3a", "C3b", "C4", "C5", "C6",
    ]  # fmt: skip
    assert found["verdict"]["C2"] == "not tested"
    assert found["remark"]["C2"] == "this study has no scores of baselines"
    assert "no fingerprint of MoNuSeg" in found["remark"]["C5"]
    assert (found["verdict"][["C1a", "C1b"]] == "cannot be decided").all()  # three test cases
    assert found["scope"]["C1a"] == "these trained networks (1 seed)"
    assert found["verdict"]["C4"] != "not tested"
    assert "trained on eps, was not measured" in found["remark"]["C3a"]
    assert "## Claims of the paper" in (report(project) / "report.md").read_text()


def test_a_new_sampler_or_question_never_trains(project):
    """A sampler, a measured mode or an oracle more runs its own jobs and the report alone."""
    document = project.read("asked")
    document["samplers"]["ddim3"] = {"sampler": "ddim", "steps": 3}
    document["modes"]["diffusion"]["samplers"].append("ddim3")
    project.write("asked", document)
    planned = project.planned(study="asked")
    assert {"train", "measure", "fingerprint"}.isdisjoint(planned)
    assert planned["sample"] == 3  # the mode and its two copies
    document["analysis"]["oracles"] = ["gaussian"]
    document["contrasts"] = []
    project.write("asked", document)
    assert set(project.planned(study="asked")) == {
        "fingerprint", "sample", "evaluate", "report", "page",
    }  # fmt: skip


def test_what_is_missing_is_told(project, study, tmp_path):
    found, _ = gather(study, "asked", project.folder)
    empty = Tables(*(getattr(found, field.name).head(0) for field in dataclasses.fields(Tables)))
    tables, missing = analyse(study, Paths("asked", tmp_path), empty)
    assert "lesion_phantom fingerprint" in missing
    assert "lesion_phantom ensemdiff seed 0 losses" in missing
    assert all(getattr(tables, name).empty for name in ("losses", "oracles", "claims"))
