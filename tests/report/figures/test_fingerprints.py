import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from scipy.cluster import hierarchy
from scipy.special import expit
from scipy.stats import spearmanr

from noise2mask.analysis.fingerprints.likeness import dice_curves, ordered, wide
from noise2mask.analysis.oracles.noisy_masks import linear_log_snr
from noise2mask.evaluation.bootstrap import FEW
from noise2mask.evaluation.labels import Labels
from noise2mask.report.figures import fingerprints as atlas_figures
from noise2mask.report.figures import label_placement
from noise2mask.report.figures.index import Drawn

FIGURES = ["dataset", "figure", "mean", "low", "high", "n"]
TITLES = (
    "MoNuSeg", "GlaS", "ISIC 2016", "MSD spleen", "MSD liver", "MSD hepatic vessel", "DRIVE",
    "Kvasir-SEG", "BUSI (breast ultrasound)", "MosMedData+ (MedSegBench)", "AxonDeepSeg TEM",
    "Drosophila ventral nerve cord", "NuInsSeg", "HER2 tissue (for HER2)", "REFUGE optic disc",
    "ACDC left ventricle", "CHASE DB1", "Montgomery lungs",
)  # fmt: skip
RADII = (5, 22, 60, 26, 48, 4, 2.2, 45, 34, 13, 8, 9, 4.5, 70, 30, 16, 2, 55)
SHARES = (
    0.2, 0.45, 0.25, 0.06, 0.17, 0.02, 0.09, 0.16, 0.08, 0.04, 0.35, 0.3, 0.17, 0.6, 0.05, 0.03,
    0.07, 0.28,
)  # fmt: skip
LEVELS = np.arange(4, -10.1, -0.5)
OWN_LEVELS = np.linspace(-10, 4, 8)


def names(count):
    return [f"set_{place:02}" for place in range(count)]


def made_up_labels(count):
    return Labels(datasets=dict(zip(names(count), TITLES, strict=False)))


def death(place):
    """Log SNR of the steepest fall of a made-up dataset: discs of a radius."""
    return -2 * np.log(RADII[place]) + 2.2 + 0.6 * np.sin(5 * place)


def oracles_table(count):
    """A table `oracles`: Dice falls as a logistic curve, widths grow in steps of sqrt(2)."""
    tables = []
    for place, name in enumerate(names(count)):
        levels = LEVELS + 0.02 * place
        floor = 2 * SHARES[place] / (1 + SHARES[place])
        fall = expit((levels - death(place)) / 0.9)
        width = 0.6 * np.exp((levels[0] - levels) / 4) * RADII[place] ** 0.35
        width = np.minimum(0.5 * np.sqrt(2) ** np.round(2 * np.log2(2 * width)), 45)
        for oracle, worse in (("pixel", 0.3), ("gaussian", 0.0)):
            dice = floor + (1 - floor) * fall * (1 - worse)
            tables.append(
                pd.DataFrame(
                    {
                        "dataset": name, "oracle": oracle, "t": range(len(levels)),
                        "log_snr": levels, "width": width, "mse_width": width, "dice": dice,
                        "iou": dice / (2 - dice), "mse_x0": 1 - fall, "mse_eps": 0.1,
                        "floor": floor,
                    }
                )
            )  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def fingerprints_table(count):
    """A table `fingerprints` that goes with :func:`oracles_table`."""
    rows = []
    for place, name in enumerate(names(count)):
        share, radius, middle = SHARES[place], RADII[place], death(place)
        floor = 2 * share / (1 + share)
        at = {
            height: middle + 0.9 * np.log((height - floor) / (1 - height)) if floor < height
            else np.nan
            for height in (0.9, 0.5, (1 + floor) / 2)
        }  # fmt: skip
        figures = {
            "foreground": share, "objects": max(1.0, share * 65536 / (3.14 * radius**2)),
            "area_q50": 3.14 * radius**2, "largest_share": min(1.0, radius / 40),
            "boundary": 2 * share / radius, "boundary_per_area": 2 / radius,
            "euler": 3 - place % 4, "hump_log_snr": middle + 0.7,
            "log_snr_at_90": at[0.9], "log_snr_at_50": at[0.5],
            "log_snr_at_half": at[(1 + floor) / 2],
        }  # fmt: skip
        for figure, mean in figures.items():
            half = 0.12 * abs(mean) if "log_snr" not in figure else 0.3
            rows.append((name, figure, mean, mean - half, mean + half, 40))
    return pd.DataFrame(rows, columns=FIGURES)


LABELS = made_up_labels(18)


def figure_of(found):
    return found.figure if isinstance(found, Drawn) else found


def line_of(axis, gid):
    """The one line of an axis with this gid."""
    found = [line for line in axis.lines if line.get_gid() == gid]
    assert len(found) == 1, f"{len(found)} lines are called {gid}"
    return found[0]


def boxes(figure, axis):
    """Where the names of a panel are written, pixels."""
    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()
    return [
        Text.get_window_extent(text, renderer).extents
        for text in axis.texts
        if text.get_gid() == "name"
    ]


def overlaps(found):
    return [
        (one, other)
        for place, one in enumerate(found)
        for other in found[:place]
        if (np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]) > 0.5).all()
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 18])
def test_atlas_holds_every_curve_and_mark(count):
    oracles, fingerprints = oracles_table(count), fingerprints_table(count)
    figure = figure_of(atlas_figures.atlas(oracles, fingerprints, LABELS))
    figure.draw_without_rendering()
    strips = figure.axes[1]
    order = ordered(dice_curves(oracles)).datasets
    if count < FEW:
        order = tuple(sorted(order, key=lambda name: -death(names(18).index(name))))
        assert not figure.axes[0].lines
    assert [label.get_text() for label in strips.get_yticklabels()] == [
        LABELS.dataset(name) for name in order
    ]
    assert strips.xaxis_inverted()
    assert strips.yaxis_inverted()
    curves, figures = dice_curves(oracles).loc[list(order)], wide(fingerprints).loc[list(order)]
    for mesh, (_, curve) in zip(strips.collections, curves.iterrows(), strict=True):
        assert np.allclose(mesh.get_array().ravel(), curve)
        assert mesh.get_clim() == (0, 1)
        edges = mesh.get_coordinates()[0, :, 0]
        assert np.all((edges[:-1] < curve.index) & (curve.index < edges[1:]))
    for mark in ("log_snr_at_90", "log_snr_at_50", "hump_log_snr"):
        drawn = line_of(strips, mark)
        assert np.array_equal(drawn.get_xdata(), figures[mark], equal_nan=True)
        assert list(drawn.get_ydata()) == list(range(count))
    for axis, name in zip(
        figure.axes[2:5], ("boundary_per_area", "objects", "foreground"), strict=True
    ):
        assert list(line_of(axis, name).get_xdata()) == figures[name].tolist()
    clusters = ordered(dice_curves(oracles)).clusters if count >= FEW else (1,)
    dividers = [line for line in strips.lines if line.get_gid() == "cluster"]
    assert len(dividers) == max(clusters) - 1


def test_atlas_tells_the_rank_correlation_above_geometry_and_in_its_numbers():
    fingerprints = fingerprints_table(18)
    figure, numbers = atlas_figures.atlas(oracles_table(18), fingerprints)
    table = wide(fingerprints)
    expected = spearmanr(table.boundary_per_area, table.log_snr_at_half).statistic
    assert figure.axes[2].get_title().endswith(f"ρ = {expected:.2f}")
    told = numbers.set_index("figure").rank_correlation["boundary_per_area"]
    assert told == pytest.approx(expected)


@pytest.mark.parametrize("count", [3, FEW - 1])
def test_few_datasets_have_neither_tree_nor_correlation(count):
    figure = atlas_figures.atlas(oracles_table(count), fingerprints_table(count))
    assert not isinstance(figure, Drawn)
    assert all("ρ" not in axis.get_title() for axis in figure.axes)


def test_atlas_tree_has_its_leaves_at_the_strips():
    oracles = oracles_table(7)
    tree = figure_of(atlas_figures.atlas(oracles, fingerprints_table(7))).axes[0]
    ends = [
        y for line in tree.lines for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
        if x == 0
    ]  # fmt: skip
    assert sorted(ends) == list(range(7))
    first = ordered(dice_curves(oracles)).linkage[0]
    leaves = hierarchy.leaves_list(ordered(dice_curves(oracles)).linkage).tolist()
    nearest = min(tree.lines, key=lambda line: -min(line.get_xdata()))
    found = sorted(set(nearest.get_ydata()))
    assert found == sorted(leaves.index(int(leaf)) for leaf in first[:2])


def test_marks_are_told_apart_without_colour():
    assert len({mark.marker for mark in atlas_figures.MARKS}) == 3
    figure = figure_of(atlas_figures.atlas(oracles_table(3), fingerprints_table(3)))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "Dice falls below 0.9", "Dice falls below 0.5", "hump of the loss of eps",
    ]  # fmt: skip


@pytest.mark.parametrize("count", [1, 5, 6, 18])
def test_widths_show_every_dataset_once_in_the_order_of_the_atlas(count):
    oracles = oracles_table(count)
    figure = atlas_figures.widths(oracles, LABELS)
    axes = [axis for axis in figure.axes if axis.get_visible()]
    assert len(axes) == -(-count // 5)
    drawn = [line.get_gid() for axis in axes for line in axis.lines if line.get_gid() in names(18)]
    assert tuple(drawn) == ordered(dice_curves(oracles)).datasets
    for axis in axes:
        own = [line for line in axis.lines if line.get_gid() in names(18)]
        assert len(axis.lines) == count
        looks = {(line.get_color(), line.get_linestyle()) for line in own}
        assert len(looks) == len(own)
        assert {text.get_text() for text in axis.texts} == {
            LABELS.dataset(line.get_gid()) for line in own
        }
        assert not overlaps(boxes(figure, axis))


def test_widths_are_means_over_near_levels():
    table = pd.DataFrame(
        {
            "dataset": "a", "oracle": "gaussian", "log_snr": [2.0, 1.5, 1.0, 0.0, -3.0],
            "width": [0.0, 0.5, 1.0, 2.0, 8.0], "dice": [1.0, 0.9, 0.8, 0.5, 0.1],
        }
    )  # fmt: skip
    line = line_of(atlas_figures.widths(table).axes[0], "a")
    assert list(line.get_xdata()) == [-3.0, 0.0, 1.0, 1.5, 2.0]
    assert line.get_ydata() == pytest.approx([8.0, 1.5, 0.875, 0.5, 0.5])


@pytest.mark.parametrize("count", [4, 18])
def test_names_lie_beside_their_points_and_not_on_each_other(count):
    fingerprints = fingerprints_table(count)
    figure = figure_of(atlas_figures.geometry_against_death(fingerprints, LABELS))
    axis = figure.axes[0]
    table = wide(fingerprints)
    points = line_of(axis, "datasets")
    assert points.get_xdata().tolist() == table.boundary_per_area.tolist()
    found = boxes(figure, axis)
    assert len(found) == count
    assert not overlaps(found)
    frame = axis.get_window_extent().extents
    assert all((box[:2] > frame[:2] - 1).all() and (box[2:] < frame[2:] + 1).all() for box in found)
    places = axis.transData.transform(points.get_xydata())
    for place in places:
        assert not any((box[:2] < place).all() and (place < box[2:]).all() for box in found)
    assert axis.get_xscale() == "log"


def test_geometry_title_has_the_rank_correlation_that_its_numbers_have():
    figure, numbers = atlas_figures.geometry_against_death(fingerprints_table(18), LABELS)
    axis = figure.axes[0]
    assert axis.get_title().startswith("rank correlation 0.98, 95 % interval 0.")
    assert axis.get_title().endswith("n = 18 datasets")
    row = numbers.set_index("figure").loc["boundary_per_area"]
    assert f"rank correlation {row.rank_correlation:.2f}, 95 % interval {row.low:.2f}" in (
        axis.get_title()
    )
    assert "half-way to its floor" in axis.get_ylabel()
    few = figure_of(atlas_figures.geometry_against_death(fingerprints_table(4))).axes[0]
    assert few.get_title() == "4 datasets, too few for a rank correlation"
    assert atlas_figures.geometry_against_death(fingerprints_table(3)) is None


def test_empty_tables_have_no_figure():
    oracles, fingerprints = oracles_table(2), fingerprints_table(2)
    assert atlas_figures.atlas(oracles.iloc[:0], fingerprints) is None
    assert atlas_figures.widths(oracles.iloc[:0]) is None
    figure_of(atlas_figures.atlas(oracles, fingerprints.iloc[:0])).draw_without_rendering()
    undefined = fingerprints.assign(mean=np.nan, low=np.nan, high=np.nan)
    figure_of(atlas_figures.atlas(oracles, undefined)).draw_without_rendering()
    assert atlas_figures.geometry_against_death(undefined) is None


def test_figures_do_not_change_their_tables():
    oracles, fingerprints = oracles_table(3), fingerprints_table(3)
    before = oracles.copy(), fingerprints.copy()
    atlas_figures.atlas(oracles, fingerprints)
    atlas_figures.widths(oracles)
    atlas_figures.geometry_against_death(fingerprints)
    pd.testing.assert_frame_equal(oracles, before[0])
    pd.testing.assert_frame_equal(fingerprints, before[1])


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([], []),
        ([0.4], [0.4]),
        ([0.5, 0.5], [0.5, 0.6]),
        ([0.2, 0.9, 0.95], [0.2, 0.88, 0.98]),
        ([0.97, 0.1], [0.97, 0.1]),
    ],
)
def test_names_at_ends_keep_their_order_and_their_distance(ends, expected):
    assert label_placement._apart(ends, 0.1) == pytest.approx(expected)


def test_names_beside_points_are_the_same_every_time():
    places = [
        figure_of(atlas_figures.geometry_against_death(fingerprints_table(6), LABELS)).axes[0]
        for _ in range(2)
    ]
    found = [[text.get_position() for text in axis.texts if text.get_text()] for axis in places]
    assert found[0] == found[1]


def own_oracles():
    parts = []
    for name, middle in {"mine": -3.0, "near": -2.5, "far": 0.0}.items():
        dice = 1 / (1 + np.exp(-(OWN_LEVELS - middle)))
        columns = {"dataset": name, "oracle": "gaussian", "log_snr": OWN_LEVELS, "dice": dice}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def test_curves_are_those_of_the_table_and_schedules_are_shifted():
    figure = atlas_figures.own_masks(
        own_oracles(), "mine", ["near"], {"b = 1": 1.0, "b = 0.5": 0.5}, -3.0
    )
    upper, lower = figure.axes
    lines = {line.get_gid(): line for line in upper.lines}
    assert {"mine", "near", "other", "death"} == set(lines)
    wanted = own_oracles().query("dataset == 'mine'")
    np.testing.assert_allclose(lines["mine"].get_ydata(), wanted["dice"])
    assert lines["mine"].get_color() != lines["near"].get_color()
    assert upper.get_xlim()[0] > upper.get_xlim()[1]  # noise grows to the right
    one, half = (line.get_xdata() for line in lower.lines[:2])
    np.testing.assert_allclose(half, one + 2 * np.log(0.5))
    middle = np.interp(0.5, np.linspace(0, 1, 1000), linear_log_snr())
    np.testing.assert_allclose(one[len(atlas_figures.SHARES) // 2], middle)
    assert [text.get_text() for text in lower.get_yticklabels()] == ["b = 1", "b = 0.5"]


def test_without_an_atlas_there_is_the_own_curve_alone():
    alone = own_oracles().query("dataset == 'mine'")
    figure = atlas_figures.own_masks(alone, "mine", [], {"b = 1": 1.0}, float("nan"))
    assert {line.get_gid() for line in figure.axes[0].lines} == {"mine"}
