import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from helpers.figures import legend_of

from noise2mask.analysis.ablation import least
from noise2mask.evaluation.labels import Labels
from noise2mask.report.figures import ablation
from noise2mask.report.figures.ablation import LOOKS, STEPS, chosen, means_of, parts
from noise2mask.report.figures.looks import Looks

SWEEPS = [
    "dataset", "network", "mode", "sampler", "steps", "start", "draws", "metric", "mean", "low",
    "high", "n",
]  # fmt: skip
FACTORS = {
    "schedule": ("linear", "cosine", "adapted"),
    "input scale": ("1", "0.3", "0.1"),
    "target": ("eps", "x_0", "v"),
    "loss": ("mse", "dice+ce"),
    "weighting": ("uniform", "min_snr", "benefit"),
}
COUNTS = (1, 2, 5, 10, 20, 50, 100)
TITLES = ("MoNuSeg", "GlaS", "ISIC 2016", *(f"dataset {place}" for place in range(3, 18)))


def names(count):
    return [f"set_{place:02}" for place in range(count)]


LABELS = Labels(datasets=dict(zip(names(18), TITLES, strict=True)))


def grid_table(runs=12, factors=FACTORS):
    """A table `grid`: the base, then runs drawn from the full grid."""
    generator = np.random.default_rng(1)
    rows = []
    for run in range(runs):
        for factor, levels in factors.items():
            level = levels[0] if run == 0 else levels[generator.integers(len(levels))]
            rows.append((f"g{run:02}", factor, level))
    return pd.DataFrame(rows, columns=["mode", "factor", "level"])


def row(dataset, mode, sampler, mean, *, steps=10, start=np.nan, draws=5, metric="dice",
        half=0.012, network="unet"):  # fmt: skip
    return (dataset, network, mode, sampler, steps, start, draws, metric, mean, mean - half,
            mean + half, 40)  # fmt: skip


def sweeps_table(datasets, modes, *, single=("feed_forward",), metric="dice"):
    """A table `sweeps`: quality saturates with steps, and from a mode's own start on."""
    rows = []
    for one, dataset in enumerate(names(datasets)):
        for two, mode in enumerate((*single, *modes)):
            top = 0.86 - 0.05 * one + 0.02 * np.sin(3 * two + one)
            if mode in single:
                rows.append(row(dataset, mode, "one_pass", top, steps=1, draws=1, metric=metric))
                continue
            speed = 1.5 + 3 * (two % 4)
            for steps in COUNTS:
                mean = top - 0.25 * np.exp(-steps / speed)
                rows.append(row(dataset, mode, f"ddim{steps}", mean, steps=steps, metric=metric))
            for start in (100, 300, 500, 700, 900):
                mean = top - 0.4 * np.exp(-start / (150 + 60 * (two % 3)))
                name = f"ddim10_from{start}"
                rows.append(row(dataset, mode, name, mean, start=start, metric=metric))
    return pd.DataFrame(rows, columns=SWEEPS)


def shown(figure):
    """Panels that are seen, without colour bars."""
    return [axis for axis in figure.axes if axis.get_visible() and axis.axison]


def drawn(axis, gid):
    return [line for line in axis.lines if line.get_gid() == gid]


def grey(colour):
    return np.dot(mpl.colors.to_rgb(colour), (0.299, 0.587, 0.114))


def test_scores_are_of_the_most_steps_on_common_datasets():
    grid = grid_table(3)
    rows = [
        row("a", "g00", "ddim10", 0.9, steps=10), row("a", "g00", "ddim50", 0.7, steps=50),
        row("a", "g00", "ddim50_1", 0.2, steps=50, draws=1),
        row("a", "g00", "late", 0.1, steps=100, start=300),
        row("a", "g01", "ddim50", 0.5, steps=50), row("b", "g00", "ddim50", 0.1, steps=50),
        row("a", "other", "ddim50", 0.3, steps=50), row("a", "g00", "ddim50", 9, metric="iou"),
    ]  # fmt: skip
    runs = means_of(grid, pd.DataFrame(rows, columns=SWEEPS), "dice")
    assert runs.scores.to_dict() == {"g00": 0.7, "g01": 0.5}
    assert runs.datasets == ("a",)


def test_scores_of_modes_without_a_common_dataset_do_not_exist():
    rows = [row("a", "g00", "ddim10", 0.9), row("b", "g01", "ddim10", 0.7)]
    table = pd.DataFrame(rows, columns=SWEEPS)
    assert means_of(grid_table(3), table, "dice").scores.empty
    assert ablation.heat_maps(grid_table(3), table, "dice") is None


def test_levels_that_are_numbers_ascend_and_others_keep_their_order():
    runs = means_of(grid_table(12), sweeps_table(1, ()), "dice")
    assert runs.factors["input scale"] == ("0.1", "0.3", "1")
    assert runs.factors["schedule"][0] == "linear"
    assert list(runs.factors) == list(FACTORS)


@pytest.mark.parametrize("metric", ["dice", "ece"])
def test_heat_maps_hold_the_mean_of_every_pair_of_levels(metric):
    grid = grid_table(12)
    sweeps = sweeps_table(2, dict.fromkeys(grid["mode"]), metric=metric)
    figure, numbers = ablation.heat_maps(grid, sweeps, metric, LABELS)
    best = sweeps[(sweeps.steps == 100) & sweeps.start.isna()].groupby("mode")["mean"].mean()
    wide = grid.pivot(index="mode", columns="factor", values="level").assign(score=best)
    meshes = {
        mesh.get_gid(): (axis, mesh)
        for axis in figure.axes
        for mesh in axis.collections
        if mesh.get_gid()
    }
    factors = means_of(grid, sweeps, metric).factors
    assert set(meshes) == {
        f"{down} {across}" for place, down in enumerate(FACTORS) for across in list(FACTORS)[:place]
    }
    for down, across in (("target", "schedule"), ("weighting", "loss")):
        axis, mesh = meshes[f"{down} {across}"]
        expected = wide.pivot_table(index=down, columns=across, values="score")
        expected = expected.reindex(index=factors[down], columns=factors[across])
        values = mesh.get_array().filled(np.nan).reshape(expected.shape)
        assert np.allclose(values, expected, equal_nan=True)
        hatched = [patch for patch in axis.patches if patch.get_hatch()]
        assert len(hatched) == expected.isna().to_numpy().sum() > 0
        counts = wide.groupby([down, across]).size()
        told = [text.get_text() for text in axis.texts if text.get_text().startswith("n=")]
        assert sorted(told) == sorted(f"n={count}" for count in counts)
        assert axis.yaxis_inverted()
        cells = numbers[(numbers.factor == down) & (numbers.other_factor == across)]
        assert len(cells) == len(counts)
        for cell in cells.itertuples():
            assert cell.mean == pytest.approx(expected.loc[cell.level, cell.other_level])
            assert cell.trainings == counts[cell.level, cell.other_level]
    for axis in shown(figure):
        for factor in FACTORS:
            for line in drawn(axis, factor):
                means = wide.groupby(factor).score.mean().reindex(factors[factor])
                assert line.get_ydata() == pytest.approx(means)
                assert axis.yaxis_inverted() == (metric == "ece")
                assert axis.get_title() == factor


@pytest.mark.parametrize("metric", ["dice", "ece"])
def test_better_cells_are_lighter_and_their_text_can_be_read(metric):
    grid = grid_table(12)
    sweeps = sweeps_table(1, dict.fromkeys(grid["mode"]), metric=metric)
    figure = ablation.heat_maps(grid, sweeps, metric).figure
    for axis in figure.axes:
        for mesh in axis.collections:
            if mesh.get_gid():
                values = mesh.get_array().compressed()
                greys = [grey(mesh.cmap(mesh.norm(value))[:3]) for value in values]
                order = np.argsort(values if metric == "dice" else -values)
                assert np.all(np.diff(np.array(greys)[order]) >= -0.02)
                texts = [text for text in axis.texts if text.get_text().startswith(".")]
                for text, back in zip(texts, greys, strict=True):
                    assert abs(grey(text.get_color()) - back) > 0.4


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_heat_maps_of_any_number_of_factors(count):
    factors = dict(list((FACTORS | {"timesteps": ("100", "1000")}).items())[:count])
    grid = grid_table(9, factors)
    sweeps = sweeps_table(1, dict.fromkeys(grid["mode"]))
    figure = ablation.heat_maps(grid, sweeps, "dice").figure
    figure.draw_without_rendering()
    assert sum(len(drawn(axis, name)) for axis in figure.axes for name in factors) == count
    assert sum(bool(mesh.get_gid()) for axis in figure.axes for mesh in axis.collections) == (
        count * (count - 1) // 2
    )


@pytest.mark.parametrize(
    ("means", "better", "expected"),
    [
        ([0.5, 0.8, 0.79, 0.81], 1, 2),
        ([0.805, 0.2, 0.81], 1, 1),
        ([0.3, 0.11, 0.1], -1, 2),
        ([0.5, np.nan, 0.6], 1, 3),
        ([0.80, 0.81], 1, 1),
    ],
)
def test_least_steps_that_are_enough(means, better, expected):
    line = pd.DataFrame({"steps": range(1, len(means) + 1), "mean": means})
    assert least(line.iloc[::-1], better)["steps"] == expected
    assert least(line, 0) is None
    assert least(line.assign(mean=np.nan), better) is None


def test_a_line_is_of_one_kind_of_sampler():
    rows = [row("a", "m", f"ddim{k}", k / 100, steps=k) for k in (50, 10, 20)]
    rows += [row("a", "m", "other20", 0.9, steps=20), row("a", "m", "ddim5", 0.1, steps=5, draws=1)]
    rows += [row("a", "m", "ddim20", 0.99, steps=20)]
    lines = parts(pd.DataFrame(rows, columns=SWEEPS), STEPS)
    assert [line["mean"].tolist() for line in lines] == [[0.1, 0.2, 0.5], [0.9], [0.1]]


def test_steps_hold_every_mean_interval_and_the_least_steps():
    sweeps = sweeps_table(3, ("diffusion", "x_0"))
    figure = ablation.steps_dice(sweeps, LABELS)
    axes = shown(figure)
    assert [axis.get_title() for axis in axes] == [f"{title} (n = 40)" for title in TITLES[:3]]
    for axis, dataset in zip(axes, names(3), strict=True):
        assert axis.get_xscale() == "log"
        enough = []
        for mode in ("feed_forward", "diffusion", "x_0"):
            table = sweeps[(sweeps.dataset == dataset) & (sweeps["mode"] == mode)]
            table = table[table.start.isna()]
            (line,) = drawn(axis, mode)
            assert list(line.get_xdata()) == table.steps.tolist()
            assert list(line.get_ydata()) == table["mean"].tolist()
            bars = [tuple(line.get_ydata()) for line in axis.lines if len(line.get_xdata()) == 2]
            assert set(zip(table.low, table.high, strict=True)) <= set(bars)
            if mode != "feed_forward":
                enough.append(table.steps[table["mean"] >= table["mean"].max() - 0.01].min())
        assert [line.get_xdata()[0] for line in drawn(axis, "least")] == enough
        level = drawn(axis, "feed_forward")[0].get_ydata()[0]
        assert any(list(line.get_ydata()) == [level, level] for line in axis.lines)
    assert legend_of(figure) == [
        "feed-forward", "diffusion", "x_0", "least steps within 0.01 of the best",
        "95 % interval",
    ]  # fmt: skip


def test_many_modes_are_grey_but_for_the_best():
    modes = tuple(f"g{place:02}" for place in range(12))
    sweeps = sweeps_table(1, ("diffusion", *modes))
    known = Looks.of(sweeps)
    looks = chosen(sweeps, 1, known)
    assert len(looks) == LOOKS == len(set(looks.values()))
    tops = sweeps[sweeps["mode"].isin(modes)].groupby("mode")["mean"].max()
    assert set(looks) == {"feed_forward", "diffusion", *tops.nlargest(6).index}
    worst = set(chosen(sweeps, -1, known)) - {"feed_forward", "diffusion"}
    bottoms = sweeps[sweeps["mode"].isin(modes)].groupby("mode")["mean"].min()
    assert worst == set(bottoms.nsmallest(6).index)
    figure = ablation.steps_dice(sweeps)
    assert "6 other modes" in legend_of(figure)
    (axis,) = shown(figure)
    greys = {mode for mode in modes if drawn(axis, mode)[0].get_color() == "0.78"}
    assert greys == set(modes) - set(looks)


def test_modes_of_one_number_of_steps_are_levels_or_not_there():
    sweeps = sweeps_table(1, ("diffusion",))
    single = pd.DataFrame([row("set_00", "x_0", "ddim10", 0.3)], columns=SWEEPS)
    (axis,) = shown(ablation.steps_dice(pd.concat([sweeps, single])))
    assert drawn(axis, "feed_forward")
    assert not drawn(axis, "x_0")


def test_starts_hold_rows_with_a_start_only():
    sweeps = sweeps_table(2, ("diffusion", "x_0"))
    figure = ablation.starts_dice(sweeps, LABELS)
    axes = shown(figure)
    assert len(axes) == 2
    for axis in axes:
        for mode in ("diffusion", "x_0"):
            assert list(drawn(axis, mode)[0].get_xdata()) == [100, 300, 500, 700, 900]
        assert not drawn(axis, "feed_forward")
        assert not drawn(axis, "least")
    assert "95 % interval" in legend_of(figure)


def test_several_networks_have_their_own_panels():
    sweeps = sweeps_table(1, ("diffusion",))
    figure = ablation.steps_dice(pd.concat([sweeps, sweeps.assign(network="segdiff")]))
    assert [axis.get_title() for axis in shown(figure)] == [
        "set_00, unet (n = 40)", "set_00, SegDiff (n = 40)",
    ]  # fmt: skip


def test_empty_tables_have_no_figure():
    sweeps, grid = pd.DataFrame(columns=SWEEPS), pd.DataFrame(columns=["mode", "factor", "level"])
    assert ablation.heat_maps(grid, sweeps, "dice") is None
    assert ablation.heat_maps(grid_table(), sweeps, "dice") is None
    assert ablation.steps_dice(sweeps) is None
    assert ablation.starts_dice(sweeps) is None


def test_undefined_means_leave_no_mark():
    sweeps = sweeps_table(1, ("diffusion",)).assign(mean=np.nan, low=np.nan, high=np.nan)
    figure = ablation.steps_dice(sweeps)
    figure.draw_without_rendering()
    assert not drawn(shown(figure)[0], "least")
