"""The main table of the page."""

from dataclasses import replace

import pytest
from helpers.made_up_report import without

from noise2mask.evaluation.labels import trained
from noise2mask.report.page.results import controls, results, runs


def test_every_score_of_the_summary_is_in_it(report):
    found = results(report)
    scores = {
        (row["network"], row["mode"], row["sampler"], dataset, metric): cell["value"]
        for row in found["rows"]
        if row["mode"] != "none"
        for metric, of_metric in row["scores"].items()
        for dataset, cell in of_metric.items()
    }
    summary = trained(report.tables["summary"]).dropna(subset=["mean"])
    wanted = {
        (row["network"], row["mode"], row["sampler"], row["dataset"], row["metric"]): row["mean"]
        for row in summary.to_dict("records")
    }
    assert scores == pytest.approx(wanted)
    (floor,) = (row for row in found["rows"] if row["mode"] == "none")
    assert floor["words"][:2] == ["image-blind", "none"]


def test_bold_is_what_the_paired_tests_allow(report):
    found = {
        (dataset, row["network"], row["mode"], metric)
        for row in results(report)["rows"]
        for metric, of_metric in row["scores"].items()
        for dataset, cell in of_metric.items()
        if cell["best"]
    }
    assert found == set(report.winners)
    assert found


def test_what_has_one_value_is_no_choice(report):
    names = {one.name: [value for value, _ in one.options] for one in controls(report)}
    assert names["mode"][0] == ""
    assert set(names["mode"]) == {"", "feed_forward", "diffusion"}
    one = report.tables["summary"]
    one = one[one["mode"] == "diffusion"]
    less = replace(report, tables={**report.tables, "summary": one})
    assert {one.name: len(one.options) for one in controls(less)}["mode"] == 1


def test_without_scores_there_is_none(report):
    bare = without(report, "summary")
    assert results(bare) is None
    assert controls(bare) == []


def test_behind_a_number_stand_settings_data_code_and_seed(report):
    found = dict(runs(report))
    told = dict(found["lesion_phantom/segdiff/diffusion"])
    assert told["Data"] == "lesion phantom, hash data of lesion_phantom"
    assert told["Seed 0"] == (
        "settings run of segdiff, code 0123abcd (training segdiff diffusion); "
        "results/made_up/lesion_phantom/segdiff/diffusion/seed0/run.json"
    )
    assert told["Scored, ddim10"] == "settings settings of ddim10 (sampling)"
    assert told["Versions"] == "python 3.11.0"
    assert told["Network"].startswith("segdiff")
    assert "target x_0" in told["Diffusion"]


def test_code_that_was_edited_since_is_told(report):
    label = "lesion_phantom/segdiff/diffusion/seed0"
    trainings = dict(report.record.trainings)
    trainings[label] = trainings[label].model_copy(update={"current": False})
    record = report.record.model_copy(update={"trainings": trainings})
    told = dict(dict(runs(replace(report, record=record)))["lesion_phantom/segdiff/diffusion"])
    assert "code 0123abcd, edited since" in told["Seed 0"]
