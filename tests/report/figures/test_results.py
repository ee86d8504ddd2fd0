from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from helpers.figures import assert_apart, legend_of, panels
from helpers.made_up_tables import (
    LABELS,
    QUICK,
    example_cases,
    history_table,
    metrics_table,
    reliability_table,
    samplers,
    summary_table,
)
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from noise2mask.evaluation.labels import Labels
from noise2mask.report.cases import Case
from noise2mask.report.figures import results, style
from noise2mask.report.figures.style import far_edge, save

METRICS = metrics_table(cases=12)
SUMMARY = summary_table(METRICS)
HISTORY = history_table(("lesion_phantom",))
RELIABILITY = reliability_table()


def marked(axis, gid):
    """The one artist of an axis with this gid."""
    found = [artist for artist in axis.get_children() if artist.get_gid() == gid]
    assert len(found) == 1, f"{len(found)} artists are called {gid}"
    return found[0]


def texts(figure):
    return [text.get_text() for axis in figure.axes for text in axis.texts]


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
    assert extra.get_marker() != usual.get_marker()
    assert extra.get_color() == usual.get_color() == usual.get_markerfacecolor()
    greys = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in
             (mpl.colors.to_rgb(dot.get_color()) for dot in (usual, diffusion))]  # fmt: skip
    assert abs(greys[0] - greys[1]) > 0.25
    heights = [dot.get_ydata()[0] for dot in (usual, extra, diffusion)]
    assert heights == sorted(heights)
    assert min(np.diff(heights)) >= 1


def test_results_legend_tells_draws():
    legend = legend_of(results.results(SUMMARY, "iou", LABELS))
    assert legend[0] == "feed-forward, N = 1"
    assert "diffusion, N = 5" in legend
    assert "feed-forward (calibration), N = 1" in legend


def test_a_single_network_has_its_trainings_beside_their_marks():
    one = SUMMARY[SUMMARY.network.isin(["medsegdiff", "blind"])]
    figure = results.results(one, "iou", LABELS)
    assert [label.get_text() for label in panels(figure)[0].get_yticklabels()] == [
        "feed-forward, N = 1", "feed-forward (calibration), N = 1", "diffusion, N = 5",
    ]  # fmt: skip
    assert not figure.legends or legend_of(figure) == ["image-blind"]


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


@pytest.mark.parametrize(("metric", "value", "arrow"), [("dice", 0.003, "←"), ("ece", 0.9, "→")])
def test_one_untrained_head_does_not_stretch_the_axis(metric, value, arrow):
    far = SUMMARY.copy()
    head = (far.sampler == "calibration") & (far.metric == metric)
    far.loc[head, ["mean", "low", "high"]] = value
    without = panels(results.results(far[~head], metric))
    for axis, alone in zip(panels(results.results(far, metric)), without, strict=True):
        assert axis.get_xlim() == pytest.approx(alone.get_xlim())
        mark = marked(axis, "medsegdiff feed_forward calibration")
        assert mark.get_xdata()[0] == axis.get_xlim()[metric == "ece"]
        assert any(arrow in text.get_text() and f"{value:.3f}" in text.get_text()
                   for text in axis.texts)  # fmt: skip


def test_what_many_have_is_not_far():
    assert far_edge([0.9, 0.89, 0.88, 0.9, 0.2], 1) > 0.2
    assert far_edge([0.9, 0.89, 0.2, 0.3], 1) < 0.2  # half of them: that is the result
    assert far_edge([0.9, 0.9, 0.9, 0.2, 0.3], 1) == -np.inf
    assert far_edge([0.1, 0.11, 0.12, 0.1, 0.9], -1) < 0.9
    assert far_edge([0.1, np.nan], 0) == -np.inf
    assert far_edge([], -1) == np.inf


def test_numbers_of_draws_have_their_own_figure():
    more = SUMMARY[SUMMARY.sampler == "ddim10"].assign(sampler="n25")
    draws = pd.DataFrame({"sampler": ["n25", "ddim10"]})
    axis = panels(results.results(pd.concat([SUMMARY, more]), "iou", draws=draws))[0]
    drawn = {artist.get_gid() for artist in axis.get_children()}
    assert "ensemdiff diffusion ddim10" in drawn
    assert "ensemdiff diffusion n25" not in drawn


def test_training_holds_validation_losses_and_the_chosen_checkpoint():
    figure = results.training(HISTORY, LABELS)
    axes = panels(figure)
    assert len(axes) == 3
    for axis, network in zip(axes, ("ensemdiff", "segdiff", "medsegdiff"), strict=True):
        assert axis.get_yscale() == "linear"
        assert axis.get_title().startswith("lesion phantom\n")
        for mode in ("feed_forward", "diffusion"):
            table = HISTORY[(HISTORY.network == network) & (HISTORY["mode"] == mode)]
            for name in ("val_loss", "chosen"):
                line, rows = marked(axis, f"{mode} {name}"), table[table.name == name]
                assert list(line.get_xdata()) == rows.step.tolist()
                assert list(line.get_ydata()) == rows.value.tolist()
        assert len(axis.lines) == 4  # and no noisy training losses
    assert legend_of(figure) == ["feed-forward", "diffusion", "chosen"]


def test_losses_that_differ_by_decades_have_a_logarithmic_axis():
    wide = HISTORY.copy()
    wide.loc[(wide["mode"] == "diffusion") & (wide["name"] == "val_loss"), "value"] /= 1000
    assert panels(results.training(wide))[0].get_yscale() == "log"


def test_training_draws_one_line_a_seed():
    both = pd.concat([HISTORY, HISTORY.assign(seed=1, value=HISTORY.value * 2)])
    axis = panels(results.training(both))[0]
    assert sum(str(line.get_gid()).endswith("val_loss") for line in axis.lines) == 4


def test_reliability_has_a_row_a_network_and_a_line_a_training():
    figure = results.reliability(RELIABILITY, "band", LABELS)
    axes = panels(figure)
    assert len(axes) == 9
    assert [axis.get_title() for axis in axes[:3]] == [LABELS.dataset(name) for name in QUICK]
    assert [axis.get_ylabel() for axis in axes[::3]] == [
        f"{name}\nshare of foreground" for name in ("EnsemDiff", "SegDiff", "MedSegDiff")
    ]
    assert legend_of(figure) == ["feed-forward", "diffusion"]
    for axis, network in zip(axes[::3], ("ensemdiff", "segdiff", "medsegdiff"), strict=True):
        told = [text.get_text() for text in axis.texts if text.get_gid() == "pooled ECE"]
        for mode, sampler in (("feed_forward", "one_pass"), ("diffusion", "ddim10")):
            table = RELIABILITY[
                (RELIABILITY.dataset == QUICK[0]) & (RELIABILITY.region == "band")
                & (RELIABILITY.network == network) & (RELIABILITY.sampler == sampler)
            ]  # fmt: skip
            filled = table[table["count"] > 0]
            seen = filled[filled["count"] >= 0.001 * filled["count"].sum()]
            line = marked(axis, f"{network} {mode} {sampler}")
            assert list(line.get_xdata()) == seen.confidence.tolist()
            assert list(line.get_ydata()) == seen.frequency.tolist()
            gap = (filled.confidence - filled.frequency).abs() * filled["count"]
            assert f"{gap.sum() / filled['count'].sum():.3f}" in told
        assert len(told) == 2


def test_nearly_empty_bins_are_not_drawn():
    full = RELIABILITY.assign(count=RELIABILITY["count"] + 500)
    few = full.copy()
    bins = few["frequency"].notna() & (few["bin"] == 7)
    few.loc[bins, ["count", "frequency"]] = (1, 0.0)
    lines = [
        marked(panels(results.reliability(table))[0], "ensemdiff feed_forward one_pass")
        for table in (full, few)
    ]
    assert [len(line.get_xdata()) for line in lines] == [15, 14]
    assert 0.0 not in lines[1].get_ydata()


def test_reliability_of_a_single_network_shows_its_readings_with_looks_of_their_own():
    one = RELIABILITY[RELIABILITY.network == "medsegdiff"]
    axis = panels(results.reliability(one))[0]
    lines = [line for line in axis.lines if str(line.get_gid()).startswith("medsegdiff")]
    looks = {(line.get_color(), line.get_marker(), line.get_markerfacecolor()) for line in lines}
    assert len(lines) == len(looks) == 3


def test_baselines_share_a_row_of_reliability_diagrams():
    own = RELIABILITY[RELIABILITY.network == "segdiff"]
    theirs = [
        own[own["mode"] == "diffusion"].assign(network=name, mode="reference", sampler="prediction")
        for name in ("nnunet", "segformer")
    ]
    figure = results.reliability(pd.concat([own, *theirs]))
    assert len(panels(figure)) == 6
    assert panels(figure)[3].get_ylabel().startswith("baselines")
    assert legend_of(figure)[-2:] == ["nnunet", "segformer"]


def test_a_classical_floor_has_a_line_of_its_own():
    near = SUMMARY[(SUMMARY.metric == "iou") & (SUMMARY.dataset == "lesion_phantom")]
    value = near["mean"][near.network != "blind"].mean()
    floor = near[near.network == "blind"].assign(network="classical", sampler="otsu", mean=value)
    figure = results.results(pd.concat([near, floor]), "iou")
    assert list(marked(figure.axes[0], "classical").get_xdata()) == [value, value]
    assert "classical" in legend_of(figure)


def test_numbers_of_floors_stand_below_the_rows_and_meet_nothing():
    """One floor inside the panel and one at its frame, beside a training at the frame too."""
    table = SUMMARY[SUMMARY.metric == "iou"].copy()
    table.loc[table["sampler"] == "calibration", ["mean", "low", "high"]] = 0.01
    near = table["mean"][table.network != "blind"].median()
    classical = table[table.network == "blind"].assign(network="classical", mean=near)
    figure = results.results(pd.concat([table, classical]), "iou")
    FigureCanvasAgg(figure).draw()
    for axis in panels(figure):
        rows = [line.get_window_extent() for line in axis.lines
                if (line.get_gid() or "") not in ("blind", "classical")]  # fmt: skip
        found = [text.get_window_extent() for text in axis.texts if text.get_text()]
        assert len(found) >= 2
        for place, one in enumerate(found):
            assert not any(one.overlaps(other) for other in found[place + 1 :])
        numbers = [text.get_window_extent() for text in axis.texts
                   if str(text.get_gid()).startswith("number of")]  # fmt: skip
        assert numbers
        assert not any(one.overlaps(row) for one in numbers for row in rows)


def test_reliability_leaves_image_blind_predictions_out():
    blind = RELIABILITY.assign(network="blind", mode="none", sampler="mean_mask")
    axes = panels(results.reliability(pd.concat([blind, RELIABILITY])))
    assert len(axes) == len(panels(results.reliability(RELIABILITY))) == 9


def test_examples_show_the_arrays_with_the_reference():
    shown = example_cases(("lesion_phantom",))
    axes = results.examples(shown, LABELS).axes
    pictures = [axis for axis in axes if axis.images and axis.get_xlim()[1] > 2]
    assert len(pictures) == 2 * 4  # image, one pass, draws and their spread below each other
    assert pictures[0].get_title() == "lesion phantom\ncase000"
    assert [axis.get_ylabel() for axis in pictures[::2]] == [
        "image", "feed-forward", "diffusion", "standard deviation",
    ]  # fmt: skip
    single, several = shown[1].predictions
    arrays = (shown[1].image, single.mean / 255, several.mean / 255, several.spread / 255)
    for axis, expected in zip(pictures[1::2], arrays, strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), expected)
        assert len(axis.collections) == 1  # the contour
    assert {axis.get_xlabel() for axis in axes} >= {
        "mean probability", "standard deviation of the draws",
    }  # fmt: skip
    assert [axis.images[0].get_clim() for axis in pictures[3::2]] == [(0, 1), (0, 1), (0, 0.5)]


def test_examples_without_draws_or_foreground():
    case = example_cases(("lesion_phantom",), each=1)[0]
    single = Case("d", "c", case.image, np.zeros_like(case.mask), case.predictions[:1])
    figure = results.examples([single])
    assert "standard deviation of the draws" not in {axis.get_xlabel() for axis in figure.axes}
    assert not any(axis.collections for axis in figure.axes[:2])


def test_any_number_of_trainings_has_room_for_its_names():
    case = example_cases(("lesion_phantom",), each=1)[0]
    many = tuple(
        case.predictions[1]._replace(mode=f"adapted (unreadable {number}), x_0")
        for number in range(7)
    )
    figure = results.examples([Case("d", "c", case.image, case.mask, many)] * 6)
    figure.draw_without_rendering()
    assert figure.get_figwidth() == pytest.approx(style.WIDTH)
    labels = [axis.yaxis.label.get_window_extent() for axis in figure.axes
              if axis.get_ylabel()]  # fmt: skip
    assert len(labels) == 1 + 2 * 7
    assert not any(
        one.overlaps(other) for place, one in enumerate(labels) for other in labels[:place]
    )


def test_unknown_names_are_shown_as_they_are():
    table = SUMMARY.replace({"network": {"segdiff": "new_net"}, "mode": {"diffusion": "new_mode"}})
    figure = results.results(table, "iou")
    labels = [label.get_text() for label in panels(figure)[0].get_yticklabels()]
    assert labels == ["EnsemDiff", "new_net", "MedSegDiff"]
    assert "new_mode" in legend_of(figure)
    titled = results.results(table, "iou", Labels(networks={"new_net": "New"}))
    assert panels(titled)[0].get_yticklabels()[1].get_text() == "New"


def copies(table, count):
    one = table[table.dataset == "lesion_phantom"]
    return pd.concat([one.assign(dataset=f"dataset{k}") for k in range(count)])


@pytest.mark.parametrize("count", [1, 18])
def test_any_number_of_datasets(count):
    assert len(panels(results.results(copies(SUMMARY, count), "iou"))) == count
    few = count <= results.DATASETS
    found = results.reliability(copies(RELIABILITY, count))
    assert (found is not None) == few
    assert (results.training(copies(HISTORY, count)) is not None) == few


def test_more_trainings_than_can_be_told_apart_have_no_figure():
    many = pd.concat(
        [SUMMARY[SUMMARY["mode"] == "diffusion"].assign(mode=f"m{k}") for k in range(13)]
    )
    assert results.results(many, "iou") is None


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
        lambda labels: results.training(history_table(), labels),
        lambda labels: results.reliability(RELIABILITY, labels=labels),
        lambda labels: results.examples(example_cases(each=1), labels),
    ],
    ids=["results", "training", "reliability", "examples"],
)
def test_no_title_is_cut_or_meets_another(draw, labels):
    figure = draw(labels)
    found = list(figure.legends)
    for axis in panels(figure):
        found += [axis.title, axis.yaxis.label]
        found += [label for label in axis.get_yticklabels()
                  if label.get_text() and axis.get_ylim()[0] > 1.5]  # fmt: skip
    assert assert_apart(figure, found)


def test_a_legend_of_long_names_fits_the_figure():
    names = {f"m{k}": "a way of training with a very long name, number " + str(k) for k in range(7)}
    table = pd.concat([SUMMARY[SUMMARY["mode"] == "diffusion"].assign(mode=mode) for mode in names])
    figure = results.results(table, "iou", Labels(modes=names))
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1


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


def test_empty_tables_have_no_figure():
    assert results.results(SUMMARY, "not_scored") is None
    assert results.results(SUMMARY[:0], "iou") is None
    assert results.training(HISTORY[:0]) is None
    assert results.reliability(RELIABILITY[:0]) is None
    assert results.examples([]) is None


def test_equal_figures_have_equal_bytes_whatever_the_users_style(tmp_path):
    table = SUMMARY[SUMMARY.dataset == QUICK[0]]
    for name, size in (("a", 10), ("b", 20)):
        with mpl.rc_context({"font.size": size, "axes.linewidth": size, "savefig.dpi": 40}):
            save(results.results(table, "iou", LABELS), tmp_path / name / "results")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["results.png"]
    one, other = ((tmp_path / name / "results.png").read_bytes() for name in "ab")
    assert one == other
    with Image.open(tmp_path / "a" / "results.png") as picture:
        assert "Software" not in picture.info


@pytest.mark.parametrize("module", sorted(Path(style.__file__).parent.glob("*.py")), ids=str)
def test_figures_have_no_state(module):
    assert "pyplot" not in module.read_text()
