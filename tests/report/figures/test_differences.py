import numpy as np
import pandas as pd
import pytest
from evaluation.test_differences import made
from helpers.figures import assert_apart, legend_of, panels
from helpers.made_up_tables import LABELS, QUICK, comparisons_table, metrics_table

from noise2mask.evaluation.labels import Labels
from noise2mask.report.figures import differences
from noise2mask.report.figures.looks import KNOWN

COMPARISONS = comparisons_table(metrics_table(cases=12))
PAIRS = (
    ("adapted", "linear"), ("adapted", "cosine"), ("recycled", "linear"), ("wide", "cosine"),
)  # fmt: skip


def contrasts_table(datasets=3, pairs=PAIRS, metrics=("iou", "ece"), network="unet"):
    generator = np.random.default_rng(2)
    rows = []
    for metric in metrics:
        for number, (first, second) in enumerate(pairs):
            for dataset in range(datasets):
                gap = 0.02 * generator.normal() + 0.015 * (number - 1)
                half = 0.01 + 0.02 * generator.random()
                word = "undecided"
                if abs(gap) > half:
                    word = "first better" if (gap > 0) == (metric == "iou") else "second better"
                rows.append(
                    ("", f"set{dataset}", network, first, second, "ddim10", metric, 0.8 + gap, 0.8,
                     gap, gap - half, gap + half, 0.01, 0.02, 0.01, 40, 3, word)
                )  # fmt: skip
    columns = [
        "loss", "dataset", "network", "first", "second", "sampler", "metric", "first_mean",
        "second_mean", "difference", "low", "high", "p", "p_holm", "resolvable", "n", "seeds",
        "verdict",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def dots(axis):
    return [line for line in axis.lines if line.get_gid() in ("significant", "undecided")]


def test_comparison_fills_what_is_beyond_chance_and_points_to_diffusion():
    figure = differences.comparison(COMPARISONS, LABELS)
    assert legend_of(figure) == ["beyond chance (Holm)", "undecided", "95 % interval, n = 12"]
    for axis, metric in zip(panels(figure), ("iou", "brier"), strict=True):
        table = COMPARISONS[COMPARISONS.metric == metric].reset_index(drop=True)
        found = {line.get_ydata()[0]: line for line in dots(axis)}
        assert len(found) == 9
        for place, row in table.iterrows():
            assert found[place].get_xdata() == [row.difference]
            assert (found[place].get_markerfacecolor() == "white") == (row.p_holm >= 0.05)
        low, high = axis.get_xlim()
        assert low == pytest.approx(-high)
        assert axis.xaxis_inverted() == (metric == "brier")
        assert axis.get_title(loc="right") == "favours diffusion →"
        assert ("reversed" in axis.get_xlabel()) == (metric == "brier")
        colours = [patch.get_facecolor()[:3] for patch in axis.patches]
        assert len(set(colours)) == 2  # a side each, in the colours of the modes
    assert set(KNOWN) >= {"feed_forward", "diffusion"}


def test_a_matched_loss_stands_beside_the_own_one():
    both = pd.concat([COMPARISONS, COMPARISONS.assign(loss="matched")])
    figure = differences.comparison(both, LABELS)
    heights = [line.get_ydata()[0] for line in dots(panels(figure)[0])]
    assert len(heights) == len(set(heights)) == 18
    assert legend_of(figure) == [
        "each its own loss", "both one loss", "open: undecided", "95 % interval, n = 12",
    ]  # fmt: skip
    looks = {
        (line.get_marker(), line.get_markerfacecolor()) for line in figure.legends[0].legend_handles
    }
    assert len(looks) == 4


def test_two_matched_losses_have_places_and_looks_of_their_own():
    squared = COMPARISONS.assign(loss="matched", second="squared")
    every = pd.concat([COMPARISONS, COMPARISONS.assign(loss="matched"), squared])
    figure = differences.comparison(every, LABELS)
    drawn = dots(panels(figure)[0])
    heights = [line.get_ydata()[0] for line in drawn]
    assert len(heights) == len(set(heights)) == 27
    assert len({line.get_marker() for line in drawn}) == 3
    assert legend_of(figure)[:3] == [
        "each its own loss", "diffusion − feed-forward", "diffusion − feed-forward, squared error",
    ]  # fmt: skip


def test_names_of_rows_are_all_broken_or_none():
    stand_ins = Labels(datasets={name: f"{name.replace('_', ' ')} (for HER2)" for name in QUICK})
    for labels, lines in ((LABELS, 1), (stand_ins, 2)):  # the shortest fit on a line
        (first, _) = panels(differences.comparison(COMPARISONS, labels))
        names = [label.get_text() for label in first.get_yticklabels()]
        assert {name.count("\n") + 1 for name in names} == {lines}


def test_without_a_planned_comparison_there_is_no_figure():
    assert differences.comparison(COMPARISONS[COMPARISONS.metric == "dice"]) is None
    assert differences.contrasts(contrasts_table()[:0], "iou") is None
    assert differences.quirks(made()[:0], "dice") is None


@pytest.mark.parametrize("metric", ["iou", "ece"])
def test_contrasts_hold_every_difference_on_one_axis(metric):
    table = contrasts_table()
    figure = differences.contrasts(table, metric)
    axes = panels(figure)
    assert [axis.get_title() for axis in axes] == [f"set{k} (n = 40)" for k in range(3)]
    rows = [label.get_text() for label in axes[0].get_yticklabels()]
    # Those against one training stand together.
    assert rows == ["adapted − linear", "recycled − linear", "adapted − cosine", "wide − cosine"]
    shown = table[table.metric == metric]
    for place, axis in enumerate(axes):
        panel = shown[shown.dataset == f"set{place}"]
        found = {line.get_ydata()[0]: line for line in dots(axis)}
        assert len(found) == 4
        for row in panel.itertuples():
            line = found[rows.index(f"{row.first} − {row.second}")]
            assert line.get_xdata() == [row.difference]
            sure = row.verdict != "undecided"
            assert (line.get_markerfacecolor() != "white") == sure
        numbers = {text.get_text().replace("−", "-") for text in axis.texts}
        assert numbers == {f"{value:+.3f}" for value in panel.difference}
        assert axis.xaxis_inverted() == (metric == "ece")
        assert axis.get_xlim() == axes[0].get_xlim()
        assert min(axis.get_xlim()) < shown.low.min()
        assert max(axis.get_xlim()) > shown.high.max()


def test_of_several_samplers_the_first_is_shown():
    table = contrasts_table()
    more = table.assign(sampler="ddim3", difference=9.0)
    axis = panels(differences.contrasts(pd.concat([table, more]), "iou"))[0]
    assert len(dots(axis)) == 4
    assert all(line.get_xdata()[0] < 1 for line in dots(axis))


def test_contrasts_that_were_not_planned_are_not_tested():
    figure = differences.contrasts(contrasts_table().assign(verdict=""), "iou")
    assert legend_of(figure)[0] == "not tested"
    assert {line.get_gid() for axis in panels(figure) for line in dots(axis)} == {"undecided"}


def test_contrasts_of_several_networks_have_their_own_panels():
    both = pd.concat([contrasts_table(1), contrasts_table(1, network="segdiff")])
    titles = [axis.get_title() for axis in panels(differences.contrasts(both, "iou"))]
    assert titles == ["set0, unet (n = 40)", "set0, SegDiff (n = 40)"]


def test_no_label_of_contrasts_is_cut_or_meets_another():
    modes = {name: f"{name} schedule (unreadable 0.5), x_0" for pair in PAIRS for name in pair}
    labels = Labels(datasets={f"set{k}": "nuclei phantom (for MoNuSeg)" for k in range(3)},
                    modes=modes)  # fmt: skip
    for metric in ("iou", "ece"):
        figure = differences.contrasts(contrasts_table(), metric, labels)
        found = [figure.legends[0], *panels(figure)[0].get_yticklabels()]
        for axis in panels(figure):
            found += [axis.title, axis.xaxis.label]
        assert assert_apart(figure, found)


def test_undefined_differences_leave_no_mark():
    gone = contrasts_table(1).assign(difference=np.nan, low=np.nan, high=np.nan)
    differences.contrasts(gone, "iou").draw_without_rendering()
    pairs = COMPARISONS.assign(low=np.nan, high=np.nan)
    differences.comparison(pairs).draw_without_rendering()


def quirks_table():
    table = made(groups={})
    words = np.where(table["difference"] > 0, "first better", "second better")
    return table.assign(verdict=np.where(table["metric"] == "dice", words, ""), p_holm=0.01)


def test_the_figure_of_quirks_shows_every_row_in_points():
    table = quirks_table()
    figure = differences.quirks(table, "dice", Labels(datasets={"a": "set A"}))
    axis = figure.axes[0]
    found = {line.get_gid(): line for line in axis.lines if line.get_gid()}
    assert len(found) == 6
    for _, row in table[table["metric"] == "dice"].iterrows():
        line = found[f"a {row['quirk']} unet {row['mode']} {row['sampler']}"]
        assert line.get_xdata()[0] == pytest.approx(100 * row["difference"])
        clear = line.get_markerfacecolor() != "white"
        assert clear == (row["low"] > 0 or row["high"] < 0)
    low, high = axis.get_xlim()
    assert low < -1.1 < 0 < 11 < high
    assert [text.get_text() for text in axis.get_yticklabels()] == [
        "kept as | JPEG", "grown masks", "chosen on test",
    ]  # fmt: skip
    assert sorted(legend_of(figure)) == ["95 % interval", "diffusion", "feed-forward"]
    unclear = differences.quirks(table.assign(verdict="undecided"), "dice").axes[0].lines
    assert {line.get_markerfacecolor() for line in unclear if line.get_gid()} == {"white"}
