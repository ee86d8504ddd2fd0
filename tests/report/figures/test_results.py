import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from helpers.made_up_tables import (
    LABELS,
    QUICK,
    comparisons_table,
    example_cases,
    history_table,
    metrics_table,
    reliability_table,
    samplers,
    summary_table,
)
from PIL import Image

from noise2mask.evaluation.labels import Labels
from noise2mask.report.figures import panels as marks
from noise2mask.report.figures import results, style
from noise2mask.report.figures.style import save

METRICS = metrics_table(cases=12)
SUMMARY = summary_table(METRICS)
COMPARISONS = comparisons_table(METRICS)
HISTORY = history_table(("lesion_phantom",))
RELIABILITY = reliability_table()


def panels(figure):
    return [axis for axis in figure.axes if axis.get_visible()]


def marked(axis, gid):
    """The one artist of an axis with this gid."""
    found = [artist for artist in axis.get_children() if artist.get_gid() == gid]
    assert len(found) == 1, f"{len(found)} artists are called {gid}"
    return found[0]


def texts(figure):
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("metric", ["iou", "dice", "ece"])
def test_results_hold_every_mean_and_interval(metric):
    axes = panels(results.results(SUMMARY, metric, LABELS))
    assert [axis.get_title() for axis in axes] == [
        f"{name} phantom (n = 12)" for name in ("lesion", "nuclei", "tissue")
    ]
    table = SUMMARY[(SUMMARY.metric == metric) & (SUMMARY.network != "blind")]
    assert len(table) == 21
    for axis, dataset in zip(axes, QUICK, strict=True):
        intervals = [tuple(line.get_xdata()) for line in axis.lines if len(line.get_xdata()) == 2]
        for row in table[table.dataset == dataset].itertuples():
            dot = marked(axis, f"{row.network} {row.mode} {row.sampler}")
            assert dot.get_xdata() == [row.mean]
            assert (row.low, row.high) in intervals


def test_results_tell_modes_apart_without_colour():
    axis = panels(results.results(SUMMARY, "iou", LABELS))[0]
    usual, extra, diffusion = (
        marked(axis, f"medsegdiff {mode} {sampler}") for mode, sampler in samplers("medsegdiff")
    )
    assert usual.get_marker() == "s"
    assert diffusion.get_marker() == "o"
    assert extra.get_markerfacecolor() == "white"
    assert usual.get_markerfacecolor() == usual.get_color()
    greys = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in
             (mpl.colors.to_rgb(dot.get_color()) for dot in (usual, diffusion))]  # fmt: skip
    assert abs(greys[0] - greys[1]) > 0.25
    heights = [dot.get_ydata()[0] for dot in (usual, extra, diffusion)]
    assert heights == sorted(heights)
    assert min(np.diff(heights)) > 0.2


def test_results_legend_tells_draws():
    legend = legend_of(results.results(SUMMARY, "iou", LABELS))
    assert legend[0] == "feed-forward, N = 1"
    assert "diffusion, N = 5" in legend
    assert "feed-forward (calibration), N = 1" in legend


def test_image_blind_is_a_line_where_near_and_an_arrow_where_far():
    blind = SUMMARY.network == "blind"
    assert "← image-blind 0.330" in texts(results.results(SUMMARY, "iou"))
    assert "image-blind 0.750 →" in texts(results.results(SUMMARY, "ece"))
    near = SUMMARY.copy()
    shown = near[(near.metric == "iou") & (near.dataset == "lesion_phantom") & ~blind]
    value = shown.low.min() - 0.5 * (shown.high.max() - shown.low.min())
    near.loc[blind & (near.metric == "iou"), "mean"] = value
    figure = results.results(near, "iou")
    axis = panels(figure)[0]
    assert list(marked(axis, "blind").get_xdata()) == [value, value]
    assert axis.get_xlim()[0] < value < axis.get_xlim()[1]
    assert "image-blind" in legend_of(figure)
    far = results.results(SUMMARY[SUMMARY.dataset == "lesion_phantom"], "iou")
    assert "image-blind" not in legend_of(far)


def test_comparison_fills_significant_markers_and_points_to_diffusion():
    figure = results.comparison(COMPARISONS, labels=LABELS)
    assert "95 % interval, n = 12 cases" in legend_of(figure)
    for axis, metric in zip(panels(figure), ("iou", "ece"), strict=True):
        table = COMPARISONS[COMPARISONS.metric == metric].reset_index(drop=True)
        dots = {line.get_ydata()[0]: line for line in axis.lines if line.get_marker() == "o"}
        assert len(dots) == 9
        for place, row in table.iterrows():
            assert dots[place].get_xdata() == [row.difference]
            assert (dots[place].get_markerfacecolor() == "white") == (row.p_holm >= 0.05)
        low, high = axis.get_xlim()
        assert low == pytest.approx(-high)
        assert axis.xaxis_inverted() == (metric == "ece")
        assert axis.get_title(loc="right") == "favours diffusion →"
        assert ("reversed" in axis.get_xlabel()) == (metric == "ece")
    assert {"white", "#0072B2"} == {
        line.get_markerfacecolor() for line in panels(figure)[0].lines if line.get_marker() == "o"
    }


def test_training_curves_hold_losses_and_the_chosen_checkpoint():
    figure = results.training_curves(HISTORY, LABELS)
    axes = panels(figure)
    assert len(axes) == 3
    for axis, network in zip(axes, ("ensemdiff", "segdiff", "medsegdiff"), strict=True):
        assert axis.get_yscale() == "log"
        drawn = [line for line in axis.lines if line.get_gid()]
        assert len(drawn) == 6
        for place, mode in enumerate(("feed_forward", "diffusion")):
            table = HISTORY[(HISTORY.network == network) & (HISTORY["mode"] == mode)]
            for line in drawn[3 * place : 3 * place + 3]:
                rows = table[table.name == line.get_gid()]
                assert list(line.get_xdata()) == rows.step.tolist()
                assert list(line.get_ydata()) == rows.value.tolist()


def test_training_curves_draw_one_line_a_seed():
    both = pd.concat([HISTORY, HISTORY.assign(seed=1, value=HISTORY.value * 2)])
    axis = panels(results.training_curves(both))[0]
    assert sum(line.get_gid() == "val_loss" for line in axis.lines) == 4


def test_reliability_holds_curves_counts_error_and_draws():
    figure = results.reliability(RELIABILITY, "band", LABELS)
    axes = [axis for axis in panels(figure) if "phantom" in axis.get_title()]
    assert len(axes) == 6
    assert axes[0].get_title() == "lesion phantom\nfeed-forward, N = 1"
    assert axes[3].get_title() == "lesion phantom\ndiffusion, N = 5"
    for axis, mode in ((axes[0], "feed_forward"), (axes[3], "diffusion")):
        for network in ("ensemdiff", "segdiff", "medsegdiff"):
            sampler = "ddim10" if mode == "diffusion" else "one_pass"
            table = RELIABILITY[
                (RELIABILITY.dataset == QUICK[0]) & (RELIABILITY.region == "band")
                & (RELIABILITY.network == network) & (RELIABILITY.sampler == sampler)
            ]  # fmt: skip
            filled = table[table["count"] > 0]
            line = marked(axis, f"{network} {sampler}")
            assert list(line.get_xdata()) == filled.confidence.tolist()
            assert list(line.get_ydata()) == filled.frequency.tolist()
            gap = (filled.confidence - filled.frequency).abs() * filled["count"]
            assert f"{gap.sum() / filled['count'].sum():.3f}" in axis.texts[0].get_text()
    counts = panels(figure)[panels(figure).index(axes[3]) + 3]
    steps = counts.patches[0].get_data()
    assert len(steps.edges) == 16
    assert np.count_nonzero(steps.values) == 6


def test_reliability_leaves_image_blind_predictions_out():
    blind = RELIABILITY.assign(network="blind", mode="none", sampler="mean_mask")
    table = pd.concat([blind, RELIABILITY])
    axes, alone = panels(results.reliability(table)), panels(results.reliability(RELIABILITY))
    assert len(axes) == len(alone) == 12
    colours = [marked(axis, "ensemdiff one_pass").get_color() for axis in (axes[0], alone[0])]
    assert colours[0] == colours[1]


def test_examples_show_the_arrays_with_the_reference():
    shown = example_cases(("lesion_phantom",))
    axes = results.examples(shown, LABELS).axes
    pictures = [axis for axis in axes if axis.images and axis.get_xlim()[1] > 2]
    assert len(pictures) == 10
    assert pictures[0].get_ylabel() == "lesion phantom\ncase000"
    (soft, _), (mean, spread) = shown[1].predictions.values()
    row = pictures[5:]
    arrays = (shown[1].image, shown[1].mask, soft, mean, spread)
    for axis, expected in zip(row, arrays, strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), expected)
    assert [len(axis.collections) for axis in row] == [1, 0, 1, 1, 1]  # contours
    assert {axis.get_xlabel() for axis in axes} >= {"mean probability", "standard deviation"}
    assert [axis.images[0].get_clim() for axis in row[2:]] == [(0, 1), (0, 1), (0, 0.5)]


def test_examples_without_draws_or_foreground():
    case = example_cases(("lesion_phantom",), each=1)[0]
    single = results.Example(
        "d", "c", case.image, np.zeros_like(case.mask), {"one": (case.mask * 0.5, None)}
    )
    figure = results.examples([single])
    assert "standard deviation" not in {axis.get_xlabel() for axis in figure.axes}
    assert not any(axis.collections for axis in figure.axes[:3])


def test_unknown_names_are_shown_as_they_are():
    table = SUMMARY.replace({"network": {"segdiff": "new_net"}, "mode": {"diffusion": "new_mode"}})
    figure = results.results(table, "iou")
    labels = [label.get_text() for label in panels(figure)[0].get_yticklabels()]
    assert labels == ["EnsemDiff", "new_net", "MedSegDiff"]
    assert "new_mode" in legend_of(figure)
    titled = results.results(table, "iou", Labels(networks={"new_net": "New"}))
    assert panels(titled)[0].get_yticklabels()[1].get_text() == "New"


@pytest.mark.parametrize("count", [1, 18])
def test_any_number_of_datasets(count):
    names = [f"dataset{k}" for k in range(count)]

    def copies(table):
        one = table[table.dataset == "lesion_phantom"]
        return pd.concat([one.assign(dataset=name) for name in names])

    assert len(panels(results.results(copies(SUMMARY), "iou"))) == count
    assert len(panels(results.comparison(copies(COMPARISONS)))) == 2
    names = names[:4]
    assert len(panels(results.results(copies(SUMMARY), "iou"))) == len(names)
    assert len(panels(results.reliability(copies(RELIABILITY)))) == 4 * len(names)
    names = names[:2]
    assert len(panels(results.training_curves(copies(HISTORY)))) == 3 * len(names)


LONG = Labels(
    datasets={
        "lesion_phantom": "ISIC 2016 skin lesions in dermoscopy",
        "nuclei_phantom": "nuclei phantom (for MoNuSeg 2018 nuclei in H&E)",
        "tissue_phantom": "tissue phantom (for HER2 breast tumour tissue)",
    }
)


@pytest.mark.parametrize("labels", [LABELS, LONG], ids=["short", "long"])
@pytest.mark.parametrize(
    "draw",
    [
        lambda labels: results.results(SUMMARY, "iou", labels),
        lambda labels: results.comparison(COMPARISONS, labels=labels),
        lambda labels: results.training_curves(history_table(), labels),
        lambda labels: results.reliability(RELIABILITY, labels=labels),
        lambda labels: results.examples(example_cases(each=1), labels),
    ],
    ids=["results", "comparison", "training", "reliability", "examples"],
)
def test_no_title_is_cut_or_meets_another(draw, labels):
    figure = draw(labels)
    figure.draw_without_rendering()
    boxes = []
    for axis in panels(figure):
        boxes += [axis.title.get_window_extent(), axis.yaxis.label.get_window_extent()]
        shown = [label for label in axis.get_yticklabels() if label.get_text()]
        boxes += [label.get_window_extent() for label in shown if axis.get_ylim()[0] > 1.5]
    boxes = [box for box in boxes if box.width > 0 and box.height > 0]
    assert boxes
    for place, box in enumerate(boxes):
        assert min(box.x0, box.y0) >= -1
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y1 <= figure.bbox.y1 + 1
        assert not any(box.overlaps(other) for other in boxes[:place])


def test_titles_are_folded_before_what_they_stand_for():
    assert style.folded("lesion phantom (for ISIC16)", 27) == "lesion phantom (for ISIC16)"
    assert style.folded("lesion phantom (for ISIC16)", 26) == "lesion phantom\n(for ISIC16)"
    assert style.folded("a long title", 6) == "a long\ntitle"


def test_undefined_values_are_left_out():
    table = SUMMARY[SUMMARY.metric == "iou"].copy()
    table.loc[table.network == "segdiff", ["mean", "low", "high"]] = np.nan
    table.loc[table.network == "blind", "mean"] = np.nan
    figure = results.results(table, "iou")
    assert np.isfinite(panels(figure)[0].get_xlim()).all()
    assert not any("image-blind" in text for text in texts(figure))
    pairs = COMPARISONS.assign(low=np.nan, high=np.nan, p_holm=np.nan)
    results.comparison(pairs).canvas.draw()


def test_empty_tables_give_a_figure_that_says_so():
    for figure in (
        results.results(SUMMARY[:0], "iou"),
        results.comparison(COMPARISONS[:0]),
        results.training_curves(HISTORY[:0]),
        results.reliability(RELIABILITY[:0]),
        results.examples([]),
    ):
        assert re.fullmatch("no .*", figure.texts[0].get_text())


def test_equal_figures_have_equal_bytes_whatever_the_users_style(tmp_path):
    table = SUMMARY[SUMMARY.dataset == QUICK[0]]
    for name, size in (("a", 10), ("b", 20)):
        with mpl.rc_context({"font.size": size, "axes.linewidth": size, "savefig.dpi": 40}):
            save(results.results(table, "iou", LABELS), tmp_path / name / "results")
    for file in ("results.svg", "results.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    svg = (tmp_path / "a" / "results.svg").read_text()
    assert ">EnsemDiff</text>" in svg
    assert "<dc:date>" not in svg
    with Image.open(tmp_path / "a" / "results.png") as picture:
        assert "Software" not in picture.info
    assert len(list((tmp_path / "a").iterdir())) == 2


@pytest.mark.parametrize("module", [results, style, marks])
def test_figures_have_no_state(module):
    assert "pyplot" not in Path(module.__file__).read_text()
