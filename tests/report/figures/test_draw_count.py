import pandas as pd
import pytest
from analysis.test_draw_count import DRAWS, tables
from helpers.figures import legend_of

from noise2mask.analysis.draw_count import by_draws
from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.labels import Labels
from noise2mask.report.figures.draw_count import draws

LABELS = Labels(datasets={"a": "ISIC 2016", "b": "nuclei phantom"}, draws=DRAWS)


def drawn(axis):
    return {line.get_gid(): line for line in axis.lines if not line.get_gid().startswith("_")}


def test_lines_are_the_table_and_floors_are_dashed_in_the_same_colour():
    summary, reliability = tables()
    table = by_draws(summary, reliability, DRAWS, masks=["diffusion"])
    beside = summary[summary["sampler"].isin(["one_pass", "ensemble5"])]
    figure = draws(table, summary=beside, labels=LABELS)
    assert [axis.get_title() for axis in figure.axes] == ["ISIC 2016", "nuclei phantom", "c"]
    for axis, dataset in zip(figure.axes, "abc", strict=True):
        lines = drawn(axis)
        assert set(lines) == {
            "unet diffusion", "unet diffusion floor", "unet feed_forward one_pass",
            "unet ensemble ensemble5",
        }  # fmt: skip
        rows = table[(table["dataset"] == dataset) & (table["region"] == "all")]
        curve, floor = lines["unet diffusion"], lines["unet diffusion floor"]
        assert curve.get_xdata().tolist() == [1, 2, 5, 9, 25]
        assert curve.get_ydata().tolist() == rows["ece_pooled"].tolist()
        assert floor.get_ydata().tolist() == rows["floor"].tolist()
        assert floor.get_color() == curve.get_color()
        assert floor.get_linestyle() == "--"
        assert lines["unet ensemble ensemble5"].get_ydata()[0] == pytest.approx(0.024)
        assert axis.get_xscale() == "log"
        assert axis.get_xticks().tolist() == [1, 2, 5, 9, 25]
    assert legend_of(figure) == [
        "diffusion", "feed-forward, N = 1", "ensemble, N = 5", "floor: perfect masks",
        "95 % interval",
    ]  # fmt: skip


def test_the_axis_is_that_of_what_was_measured_and_not_of_the_floor():
    summary, reliability = tables(datasets=("a",))
    table = by_draws(summary, reliability, DRAWS, masks=["diffusion"])
    high = table.assign(floor=10 * table["floor"])
    limits = [draws(each).axes[0].get_ylim() for each in (table, high)]
    assert limits[0] == limits[1]
    rows = table[table["region"] == "all"]
    assert limits[0][1] < 1.5 * rows["ece_pooled_high"].max() < high["floor"].max()
    assert limits[0][0] <= rows["ece_pooled_low"].min()


def test_the_band_has_its_own_figure_and_networks_their_own_panels():
    summary, reliability = tables(networks=("unet", "segdiff"))
    table = by_draws(summary, reliability, DRAWS, masks=["diffusion"])
    figure = draws(table, "band", summary, LABELS)
    rows = table[(table["dataset"] == "a") & (table["region"] == "band")]
    for axis, network in zip(figure.axes, ("unet", "segdiff"), strict=False):
        expected = rows[rows["network"] == network]["ece_pooled"].tolist()
        lines = drawn(axis)
        assert lines[f"{network} diffusion"].get_ydata().tolist() == expected
        assert not any(name.startswith(({"unet", "segdiff"} - {network}).pop()) for name in lines)
    assert drawn(figure.axes[0])["unet feed_forward one_pass"].get_ydata()[0] == pytest.approx(0.12)
    assert figure.axes[1].get_title() == "ISIC 2016, SegDiff"


def test_several_modes_are_told_apart():
    summary, reliability = tables(modes=("diffusion", "recycling"))
    table = by_draws(summary, reliability, DRAWS, masks=["diffusion"])
    lines = drawn(draws(table).axes[0])
    curves = {name: line for name, line in lines.items() if not name.endswith("floor")}
    assert len({line.get_color() for line in curves.values()}) == len(curves) == 2
    assert "unet recycling floor" not in lines


def test_without_scores_there_is_no_figure():
    assert draws(pd.DataFrame(columns=list(COLUMNS["draws"]))) is None
