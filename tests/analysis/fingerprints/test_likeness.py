import itertools

import numpy as np
import pandas as pd
import pytest
from report.figures.test_fingerprints import fingerprints_table, names, oracles_table
from scipy import stats
from scipy.cluster import hierarchy

from noise2mask.analysis.fingerprints import likeness
from noise2mask.analysis.fingerprints.likeness import (
    correlations,
    death_of,
    dice_curves,
    ordered,
    wide,
)
from noise2mask.evaluation.bootstrap import Resampling, rank_correlation

GRID = np.linspace(-10, 4, 29)


def falling(places, floor=0.1, width=0.8):
    """Curves that fall at given log SNR, named by them."""
    values = [floor + (1 - floor) / (1 + np.exp((at - GRID) / width)) for at in places]
    return pd.DataFrame(values, index=[f"at {at:g}" for at in places], columns=GRID)


def long(figures):
    """A table `fingerprints` from one column a figure."""
    table = pd.DataFrame(figures, index=[f"d{k}" for k in range(len(next(iter(figures.values()))))])
    rows = table.rename_axis("dataset").reset_index().melt("dataset", var_name="figure")
    return rows.rename(columns={"value": "mean"}).assign(low=np.nan, high=np.nan, n=9)


def test_wide_keeps_the_order_of_datasets_and_figures():
    table = long({"objects": [3.0, 1.0], "boundary": [0.2, np.nan]})
    assert list(wide(table).columns) == ["objects", "boundary"]
    found = wide(table.iloc[::-1])
    assert list(found.index) == ["d1", "d0"]
    assert list(found.columns) == ["boundary", "objects"]
    assert found.loc["d0"].tolist() == [0.2, 3.0]
    with pytest.raises(ValueError, match="duplicate"):
        wide(pd.concat([table, table]))


def test_dice_curves_are_interpolated_on_the_common_range():
    table = oracles_table(3)
    curves = dice_curves(table)
    assert list(curves.index) == names(3)
    grid = curves.columns.to_numpy()
    assert np.all(np.diff(grid) > 0)
    assert (grid[0], grid[-1]) == pytest.approx((-9.96, 4.0))
    for name, row in curves.iterrows():
        one = table[(table.dataset == name) & (table.oracle == "gaussian")].sort_values("log_snr")
        assert np.allclose(row, np.interp(grid, one.log_snr, one.dice), atol=1e-12)
    assert dice_curves(table, "pixel").to_numpy().max() < 0.9


def test_dice_curves_without_rows_or_a_common_range():
    table = oracles_table(2)
    assert dice_curves(table.iloc[:0]).shape == (0, 0)
    apart = table.copy()
    apart.loc[apart.dataset == "set_01", "log_snr"] += 30
    with pytest.raises(ValueError, match="no range of log SNR is common to set_00, set_01"):
        dice_curves(apart)


@pytest.mark.parametrize("seed", range(4))
def test_masks_that_die_early_come_first(seed):
    places = np.random.default_rng(seed).permutation([3.0, 2.5, 1.0, -1.0, -3.0, -6.0, -6.4])
    order = ordered(falling(places))
    assert order.datasets == tuple(f"at {at:g}" for at in sorted(places, reverse=True))
    assert hierarchy.is_valid_linkage(order.linkage)
    leaves = hierarchy.leaves_list(order.linkage)
    assert [f"at {places[leaf]:g}" for leaf in leaves] == list(order.datasets)


def test_a_high_floor_is_no_long_life():
    curves = pd.concat([falling([1.0], floor=0.8), falling([-4.0], floor=0.05)])
    assert ordered(curves).datasets == ("at 1", "at -4")


def test_neighbours_are_as_alike_as_any_order_of_the_tree_allows():
    curves = dice_curves(oracles_table(7))
    order = ordered(curves)
    values = curves.loc[list(order.datasets)].to_numpy()
    found = np.linalg.norm(np.diff(values, axis=0), axis=1).sum()
    tree = hierarchy.linkage(curves.to_numpy(), method="ward")
    for flips in itertools.product([False, True], repeat=len(tree)):
        turned = tree.copy()
        turned[list(flips), :2] = turned[list(flips), 1::-1]
        path = curves.to_numpy()[hierarchy.leaves_list(turned)]
        assert found <= np.linalg.norm(np.diff(path, axis=0), axis=1).sum() + 1e-9


def test_clusters_are_cut_at_the_largest_step():
    order = ordered(falling([3.0, 2.9, 2.8, -2.0, -2.1, -8.0, -8.1]))
    assert order.clusters == (1, 1, 1, 2, 2, 3, 3)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_order_of_few_datasets(count):
    order = ordered(falling([-4.0, 1.0][:count]))
    assert order.datasets == (("at 1", "at -4") if count == 2 else ("at -4",) * count)
    assert order.linkage.shape == (max(count - 1, 0), 4)
    assert order.clusters == (1,) * count


def test_order_does_not_depend_on_the_order_of_rows():
    curves = dice_curves(oracles_table(9))
    order = ordered(curves)
    turned = ordered(curves.iloc[::-1])
    assert (turned.datasets, turned.clusters) == (order.datasets, order.clusters)


def test_order_refuses_gaps():
    curves = falling([1.0, -1.0])
    curves.iloc[0, 3] = np.nan
    with pytest.raises(ValueError, match="every dataset needs a value"):
        ordered(curves)


def test_death_is_at_one_height_for_all_datasets():
    both = {"log_snr_at_50": [-1.0, -2.0], "log_snr_at_half": [0.0, -1.0]}
    assert death_of(wide(long(both))).tolist() == [-1.0, -2.0]
    one = both | {"log_snr_at_50": [-1.0, np.nan]}
    assert death_of(wide(long(one))).tolist() == [0.0, -1.0]
    assert death_of(wide(long({"objects": [1.0]}))).isna().all()


def test_rank_correlation_equals_that_of_scipy():
    generator = np.random.default_rng(0)
    first = generator.normal(size=18)
    second = np.round(first + generator.normal(size=18), 1)
    found = rank_correlation(first, second)
    expected = stats.spearmanr(first, second)
    assert found.rank_correlation == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue, abs=0.01)
    assert found.low < found.rank_correlation < found.high
    assert found.n == 18


def test_p_value_of_few_datasets_is_exact():
    found = rank_correlation([1, 2, 3, 4, 5], [2, 4, 6, 8, 11])
    assert found[:4] == pytest.approx((1.0, 1.0, 1.0, 2 / 120))
    assert np.isnan(rank_correlation([1, 2, 3, 4], [2, 4, 6, 8]).low)


def test_intervals_cover_as_often_as_they_say():
    generator = np.random.default_rng(1)
    covered = []
    for seed in range(40):
        pair = generator.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=30)
        found = rank_correlation(*pair.T, resampling=Resampling(300, seed=seed))
        covered.append(found.low <= 6 / np.pi * np.arcsin(0.3) <= found.high)
    assert np.mean(covered) >= 0.85


def test_rank_correlation_without_enough():
    assert np.isnan(rank_correlation([1, 2], [1, 2])[:4]).all()
    assert np.isnan(rank_correlation([1, 1, 1], [1, 2, 3])[:4]).all()
    assert rank_correlation([1, 2, np.nan, 3], [1, 2, 3, 4]).n == 3
    with pytest.raises(ValueError, match=r"one value a dataset|same shape"):
        rank_correlation(np.ones((2, 2)), np.ones((2, 2)))


def test_correlations_of_every_figure():
    table = fingerprints_table(18)
    found = correlations(table, resamples=200).set_index("figure")
    assert list(found.index) == list(likeness.FORMS)
    assert (found.n == 18).all()
    figures = wide(table)
    for name, row in found.iterrows():
        expected = stats.spearmanr(figures[name], figures.log_snr_at_half).statistic
        assert row.rank_correlation == pytest.approx(expected)
    assert found.loc["boundary_per_area", "low"] > 0.8
    assert found.loc["area_q50", "high"] < -0.8
    again = correlations(table, resamples=200)
    pd.testing.assert_frame_equal(again, found.reset_index())
    few = correlations(table[table.figure.isin(["objects", "log_snr_at_half"])])
    assert few.figure.tolist() == ["objects"]
    empty = correlations(table.iloc[:0])
    assert list(empty.columns) == ["figure", "rank_correlation", "low", "high", "p", "n"]
    assert empty.empty
