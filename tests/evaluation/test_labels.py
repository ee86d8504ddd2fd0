"""What metrics are called, and how numbers are written."""

import math

import pytest

from noise2mask import plugins
from noise2mask.evaluation.labels import HEADLINE, counted, measure_of, metric_of, with_interval

KINDS = ("metric", "calibration", "ensemble")


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k in KINDS for n in plugins.names(k)])
def test_what_a_metric_declares_is_what_is_shown(kind, name):
    assert metric_of(name) == plugins.member(kind, name).metric
    assert metric_of(name).better in {-1, 0, 1}


def test_names_and_titles_never_mix_the_two_calibration_errors():
    names = [f"{stem}{suffix}" for stem in plugins.names("calibration")
             for suffix in ("", "_band", "_pooled", "_band_pooled")]  # fmt: skip
    titles = [metric_of(name).title for name in [*names, *plugins.names("metric")]]
    assert len(set(titles)) == len(titles)
    assert metric_of("ece").title != metric_of("ece_pooled").title
    assert metric_of("ece_band_pooled").better == -1


def test_parts_of_a_name():
    assert measure_of("ece_band_pooled") == ("ece", "band", True)
    assert measure_of("brier") == ("brier", "all", False)


def test_a_metric_that_nobody_knows_goes_by_its_name():
    assert metric_of("of_another_code").title == "of_another_code"


def test_a_metric_of_another_module_is_shown_as_it_says(tmp_path, monkeypatch):
    (tmp_path / "lab_area.py").write_text(
        "from noise2mask.evaluation.metrics import metric\n\n\n"
        "@metric(title='Area error', better=-1)\n"
        "def area_error(prediction, mask):\n    return 0.0\n"
    )
    monkeypatch.chdir(tmp_path)
    assert metric_of("lab_area:area_error")[:2] == ("Area error", -1)
    assert metric_of("lab_area:other")[:2] == ("lab_area:other", 0)


def test_main_tables_show_overlap_and_a_proper_score_first():
    assert [metric_of(name).better for name in HEADLINE[:2]] == [1, -1]
    assert HEADLINE[:2] == ("iou", "brier")


def test_numbers_in_words():
    assert with_interval(0.81234, 0.79, 0.83, 3, 2) == "0.812 [0.79, 0.83]"
    assert with_interval(0.0123, -0.001, 0.02, 3, 2, sign=True) == "+0.012 [-0.001, 0.020]"
    assert with_interval(-0.0001, math.nan, 1, 3) == "0.000"
    assert with_interval(math.nan, 0, 1, 3) == "–"
    assert counted([58, 60, 59, math.nan]) == "n = 58–60"
    assert counted([]) == "n = 0"
