"""The charts of the page: what is in their data, and that they compile."""

import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import vl_convert
from helpers.made_up_report import analysis, made_up, without
from helpers.made_up_tables import QUICK

from noise2mask.report.page.build import VEGA_LITE
from noise2mask.report.page.charts import charts, differences_of
from noise2mask.report.page.noise_charts import SMALLEST
from noise2mask.report.page.vega import SYMBOLS


@pytest.fixture(scope="module")
def found(report):
    """Every chart of the study, by name."""
    return {one.name: one for one in charts(report)}


def rows_in(chart) -> pd.DataFrame:
    """The largest of the data of a chart, which lie in it as CSV."""
    data = chart.spec.to_dict()["datasets"].values()
    text = max((one for one in data if isinstance(one, str)), key=len)
    return pd.read_csv(io.StringIO(text), keep_default_na=False)


def test_there_is_a_chart_for_each_table_and_none_without_it(report, found):
    assert set(found) == {
        "forest", "reliability", "cost", "losses", "bits", "fingerprints", "fingerprint_curves",
        "history",
    }  # fmt: skip
    assert "losses" not in {one.name for one in charts(without(report, "losses"))}


def test_every_chart_compiles_and_its_controls_are_parameters(found):
    for chart in found.values():
        spec = vl_convert.vegalite_to_vega(chart.spec.to_dict(), vl_version=VEGA_LITE)
        signals = {signal["name"] for signal in spec["signals"]}
        assert {control.name for control in chart.controls} <= signals, chart.name
        titles = {axis.get("title") for axis in spec["axes"]}
        assert set(chart.titles) <= titles
        for control in chart.controls:
            assert control.options, (chart.name, control.name)


def test_the_forest_has_every_difference_with_its_verdict(report, found):
    rows = rows_in(found["forest"])
    table = differences_of(report)
    assert len(rows) == len(table)
    np.testing.assert_allclose(rows["difference"], table["difference"], rtol=1e-3)
    sure = table["verdict"].str.startswith(("first", "second"))
    assert 0 < (rows["side"] != "undecided").sum() == sure.sum()


def test_the_best_within_a_time_are_a_line_that_ends_with_the_slowest(report, found):
    texts = [
        one for one in found["cost"].spec.to_dict()["datasets"].values() if "training" not in one
    ]
    best = pd.read_csv(io.StringIO(texts[0]))
    for (metric, _), rows in best.groupby(["metric", "dataset"]):
        assert rows["seconds_per_mask"].is_monotonic_increasing
        assert rows["seconds_per_mask"].max() == report.tables["pareto"]["seconds_per_mask"].max()
        sign = 1 if metric == "dice" else -1
        assert (sign * rows["score"]).is_monotonic_increasing


def test_losses_stand_on_both_axes_and_next_to_nothing_is_left_out(report, found):
    rows = rows_in(found["losses"])
    assert set(rows["axis"]) == {"log_snr", "t"}
    assert set(rows["target"]) == {"eps", "x_0", "v"}
    for axis, part in rows.groupby("axis"):
        np.testing.assert_array_equal(part["place"], part[axis])
    table = report.tables["losses"].copy()
    table.loc[0, "loss"] = 1e-3 * SMALLEST
    less = replace(report, tables={**report.tables, "losses": table})
    (chart,) = (one for one in charts(less) if one.name == "losses")
    assert len(rows_in(chart)) == len(rows) - 2  # of one level on both axes


def test_the_rule_of_the_explorer_is_there_with_cases_alone(report, found):
    assert "vertical line" in found["bits"].told
    (bare,) = (one for one in charts(replace(report, cases=None)) if one.name == "bits")
    assert "vertical line" not in bare.told


def test_a_click_on_a_point_chooses_its_dataset(found):
    chart = found["fingerprints"]
    assert chart.picks == "dataset"
    assert set(rows_in(chart)["dataset"]) == set(QUICK)


def test_charts_of_an_ablation_are_no_worse_off():
    for chart in charts(made_up(**analysis())):
        json.dumps(chart.spec.to_dict())


def test_every_marker_of_the_figures_has_a_shape(report):
    used = {report.looks.mode(mode).marker for mode in ("diffusion", "feed_forward")}
    assert used <= set(SYMBOLS)
