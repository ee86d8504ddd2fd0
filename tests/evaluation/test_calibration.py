import doctest
import inspect
import math
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import quad
from scipy.ndimage import binary_dilation
from scipy.stats import bernoulli, mannwhitneyu

from noise2mask.evaluation import calibration, reliability
from noise2mask.evaluation.calibration import ace, brier, ece, error_auroc, mce, nll
from noise2mask.evaluation.reliability import (
    boundary_band,
    ece_of,
    expected_gap,
    mce_of,
    reliability_curve,
    reliability_histogram,
)

ALL = {
    name: metric
    for name, metric in inspect.getmembers(calibration, inspect.isfunction)
    if metric.__module__ == calibration.__name__ and not name.startswith("_")
}
OPTIONS = {name: {"draws": 5} if name == "nll" else {} for name in ALL}

pixels = st.integers(1, 40).flatmap(
    lambda n: st.tuples(arrays(np.float64, n, elements=st.floats(0, 1)), arrays(bool, n))
)
few = settings(max_examples=60, deadline=None, derandomize=True)


def sample(shape=(60, 70), seed=0, warp=1.0):
    """Probabilities, and a reference drawn from their power `warp` (1: perfectly calibrated)."""
    generator = np.random.default_rng(seed)
    probability = generator.random(shape)
    return probability, generator.random(shape) < probability**warp


def brute_force_gaps(probability, mask, bins):
    """Count and |mean p - foreground share| of each non-empty bin, by the definition."""
    for k in range(bins):
        inside = (probability > k / bins) & (probability <= (k + 1) / bins)
        if k == 0:
            inside |= probability == 0
        if inside.any():
            yield inside.sum(), abs(probability[inside].mean() - mask[inside].mean())


@pytest.mark.parametrize("bins", [1, 7, 15])
@pytest.mark.parametrize("warp", [0.3, 1.0, 3.0])
def test_ece_and_mce_equal_the_definition(bins, warp):
    probability, mask = sample(warp=warp)
    count, gap = np.array(list(brute_force_gaps(probability, mask, bins))).T
    assert ece(probability, mask, bins=bins) == pytest.approx((count * gap).sum() / count.sum())
    assert mce(probability, mask, bins=bins) == pytest.approx(gap.max())
    if bins == 15:
        assert ece(probability, mask) == ece(probability, mask, bins=15)


@pytest.mark.parametrize("warp", [0.3, 1.0, 3.0])
def test_ece_and_mce_equal_monai(warp):
    import torch
    from monai.metrics import CalibrationErrorMetric

    probability, mask = sample(warp=warp)
    tensors = [torch.from_numpy(array)[None, None].float() for array in (probability, mask)]
    for name, ours in (("expected", ece), ("maximum", mce)):
        metric = CalibrationErrorMetric(num_bins=15, calibration_reduction=name)
        metric(*tensors)
        assert ours(probability, mask) == pytest.approx(metric.aggregate().item(), abs=1e-5)


def test_a_perfectly_calibrated_reference_has_no_error():
    # 100 pixels at each of 0, 1/100 .. 1, as many foreground as the probability says.
    level = np.arange(101) / 100
    probability = np.repeat(level, 100)
    mask = np.concatenate([np.arange(100) < k for k in range(101)])
    assert ece(probability, mask) == pytest.approx(0, abs=1e-12)
    assert mce(probability, mask) == pytest.approx(0, abs=1e-12)
    assert ace(probability, mask) == pytest.approx(0, abs=1e-12)
    assert brier(probability, mask) == pytest.approx((level * (1 - level)).mean())


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0])
def test_a_constant_probability_errs_by_its_distance_to_the_prevalence(p):
    mask = np.arange(30).reshape(5, 6) < 12
    probability = np.full((5, 6), p)
    for metric in (ece, mce):
        assert metric(probability, mask) == pytest.approx(abs(p - 0.4))
    assert ace(probability, mask) == pytest.approx(abs(p - 0.4))
    assert brier(probability, mask) == pytest.approx(0.6 * p**2 + 0.4 * (1 - p) ** 2)


@pytest.mark.parametrize(
    ("p", "bin_index"),
    [(0.0, 0), (1e-9, 0), (1 / 15, 0), (0.2, 2), (0.2001, 3), (0.4, 5), (14 / 15, 13), (1.0, 14)],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_edge_belongs_to_the_bin_below_in_either_precision(p, bin_index, dtype):
    histogram = reliability_histogram(np.array([p], dtype=dtype), np.array([True]))
    assert np.flatnonzero(histogram[:, 0]).tolist() == [bin_index]
    assert histogram[bin_index] == pytest.approx([1, p, 1])


@pytest.mark.parametrize("draws", [3, 5, 15])
def test_means_of_draws_fall_into_one_bin_however_they_were_rounded(draws):
    generator = np.random.default_rng(0)
    drawn = generator.random((draws, 4000)) < 0.5
    exact = drawn.sum(axis=0) / draws
    single = drawn.astype(np.float32).mean(axis=0)
    running = np.zeros(4000, dtype=np.float32)
    for one in drawn:
        running += one / np.float32(draws)
    mask = generator.random(4000) < 0.5
    expected = reliability_histogram(exact, mask)
    for probability in (single, running.clip(0, 1)):
        histogram = reliability_histogram(probability, mask)
        assert np.array_equal(histogram[:, [0, 2]], expected[:, [0, 2]])


def test_pooled_error_is_that_of_the_concatenated_pixels():
    cases = [sample(shape=(11, 13 + seed), seed=seed, warp=0.5 + seed) for seed in range(5)]
    histograms = np.stack([reliability_histogram(*case) for case in cases])
    together = [np.concatenate([case[part].ravel() for case in cases]) for part in (0, 1)]
    pooled = histograms.sum(axis=0)
    assert np.array_equal(pooled[:, 0], reliability_histogram(*together)[:, 0])
    assert float(ece_of(pooled)) == pytest.approx(ece(*together), rel=1e-13)
    assert float(mce_of(pooled)) == pytest.approx(mce(*together), rel=1e-13)
    assert ece_of(histograms) == pytest.approx([ece(*case) for case in cases])
    assert mce_of(histograms) == pytest.approx([mce(*case) for case in cases])


def test_histogram_counts_every_pixel_and_its_curve_is_the_mean_per_bin():
    probability, mask = sample(warp=2.0)
    probability = 0.1 + 0.5 * probability  # leaves bins empty on both sides
    histogram = reliability_histogram(probability, mask, bins=10)
    totals = [probability.size, probability.sum(), mask.sum()]
    assert histogram.sum(axis=0) == pytest.approx(totals)
    curve = reliability_curve(histogram)
    assert np.array_equal(np.isnan(curve.confidence), curve.count == 0)
    assert np.array_equal(np.isnan(curve.frequency), curve.count == 0)
    assert np.flatnonzero(curve.count).tolist() == [1, 2, 3, 4, 5]
    inside = (probability > 0.3) & (probability <= 0.4)
    assert curve.count[3] == inside.sum()
    assert curve.confidence[3] == pytest.approx(probability[inside].mean())
    assert curve.frequency[3] == pytest.approx(mask[inside].mean())


def test_ace_equals_equal_slices_of_the_sorted_pixels():
    probability, mask = sample(shape=4500, warp=2.0)
    order = np.argsort(probability)
    slices = zip(
        np.split(probability[order], 15), np.split(mask[order].astype(float), 15), strict=True
    )
    expected = np.mean([abs(p.mean() - y.mean()) for p, y in slices])
    assert ace(probability, mask) == pytest.approx(expected)


def test_ace_of_ties_is_that_of_their_mean_reference_in_any_order():
    generator = np.random.default_rng(3)
    probability = generator.integers(0, 6, 300) / 5
    mask = generator.random(300) < probability**2
    order = generator.permutation(300)
    assert ace(probability[order], mask[order]) == pytest.approx(ace(probability, mask), rel=1e-12)
    share = np.zeros(300)
    for level in np.unique(probability):
        share[probability == level] = mask[probability == level].mean()
    by_level = np.argsort(probability, kind="stable")
    expected = np.abs((probability - share)[by_level].reshape(15, 20).sum(axis=1)).sum() / 300
    assert ace(probability, mask) == pytest.approx(expected)


def test_ace_with_fewer_pixels_than_bins_spreads_each_pixel_over_several():
    assert ace([0.1, 0.7], np.array([False, True]), bins=14) == pytest.approx((0.1 + 0.3) / 2)


@pytest.mark.parametrize("draws", [1, 5, 1000])
def test_nll_equals_the_bernoulli_likelihood_of_the_clipped_probability(draws):
    probability, mask = sample()
    probability[0, :3] = 0, 1, 1
    clipped = probability.clip(1 / (2 * draws), 1 - 1 / (2 * draws))
    expected = -bernoulli.logpmf(mask.astype(int), clipped).mean()
    assert nll(probability, mask, draws=draws) == pytest.approx(expected)


def test_nll_by_hand():
    mask = np.array([True, True, False, False])
    p = np.array([1.0, 0.0, 1.0, 0.5])
    expected = -(math.log(0.9) + 2 * math.log(0.1) + math.log(0.5)) / 4
    assert nll(p, mask, draws=5) == pytest.approx(expected)
    assert nll(p, mask, draws=1) == pytest.approx(math.log(2))


@few
@given(pixels)
def test_range_and_complement(pixel):
    probability, mask = pixel
    worst = max(abs(p - y) for p, y in zip(probability, mask, strict=True))
    for name in ("ece", "ace", "mce", "brier"):
        value = ALL[name](probability, mask)
        assert type(value) is float
        assert 0 <= value <= worst + 1e-12
    assert ece(probability, mask) <= mce(probability, mask) + 1e-12
    assert ece(probability, mask, bins=1) <= ece(probability, mask) + 1e-12
    for name in ("ace", "brier", "nll"):  # bins closed above are not symmetric
        turned = ALL[name](1 - probability, ~mask, **OPTIONS[name])
        assert turned == pytest.approx(ALL[name](probability, mask, **OPTIONS[name]), abs=1e-7)


@pytest.mark.parametrize("name", sorted(ALL))
def test_shape_does_not_matter_and_no_pixels_give_nan(name):
    probability, mask = sample(shape=(2, 6, 5))
    value = ALL[name](probability, mask, **OPTIONS[name])
    assert ALL[name](probability.ravel(), mask.ravel(), **OPTIONS[name]) == value
    assert math.isnan(ALL[name](np.zeros(0), np.zeros(0, dtype=bool), **OPTIONS[name]))


@pytest.mark.parametrize("name", sorted(ALL))
@pytest.mark.parametrize(
    ("probability", "mask", "message"),
    [
        ([0.5, 0.5], np.array([True]), "one shape"),
        ([0.5, 0.5], np.array([0, 1]), "boolean"),
        ([0.5, 1.5], np.array([False, True]), r"in \[0, 1\]"),
        ([-0.1, 0.5], np.array([False, True]), r"in \[0, 1\]"),
        ([0.5, math.nan], np.array([False, True]), r"in \[0, 1\]"),
    ],
)
def test_wrong_input_is_refused(name, probability, mask, message):
    with pytest.raises(ValueError, match=message):
        ALL[name](probability, mask, **OPTIONS[name])


def test_no_bins_and_no_draws_are_refused():
    for metric in (ece, ace, mce):
        with pytest.raises(ValueError, match="bins must be at least 1"):
            metric([0.5], np.array([True]), bins=0)
    with pytest.raises(ValueError, match="draws must be at least 1"):
        nll([0.5], np.array([True]), draws=0)
    with pytest.raises(ValueError, match="draws must be at least 1"):
        expected_gap(0)


def test_expected_gap_has_the_published_value_for_5_draws():
    assert expected_gap(5) == pytest.approx(0.086, abs=5e-4)
    assert expected_gap(1) == pytest.approx(1 / 3)


@pytest.mark.parametrize("draws", [1, 2, 3, 4, 5, 8, 15, 20])
def test_expected_gap_is_the_ece_of_a_perfect_sampler(draws):
    # Of N + 1 equally likely counts the foreground shares, by integration over p, as a histogram.
    histogram = np.zeros((15, 3))
    for k in range(draws + 1):
        likelihood = [comb(draws, k) * quad(lambda p, k=k: p**k * (1 - p) ** (draws - k), 0, 1)[0]]
        likelihood += [
            comb(draws, k) * quad(lambda p, k=k: p ** (k + 1) * (1 - p) ** (draws - k), 0, 1)[0]
        ]
        one = reliability_histogram([k / draws], np.array([False]))
        one[:, 2] = one[:, 0] * likelihood[1]
        one[:, :2] *= likelihood[0]
        histogram += one
    assert float(ece_of(histogram)) == pytest.approx(expected_gap(draws))


def test_expected_gap_is_what_simulation_gives():
    generator = np.random.default_rng(0)
    p = generator.random(200_000)
    p_hat = generator.binomial(5, p) / 5
    assert ece(p_hat, generator.random(p.size) < p) == pytest.approx(expected_gap(5), abs=0.003)
    assert np.abs(p_hat - p).mean() == pytest.approx(0.142, abs=0.002)  # the other quantity


def test_boundary_band_of_a_straight_edge_has_its_width_on_either_side():
    mask = np.zeros((20, 30), dtype=bool)
    mask[:, :15] = True
    band = boundary_band(mask, 5)
    assert np.flatnonzero(band[3]).tolist() == list(range(10, 20))
    assert np.array_equal(boundary_band(~mask, 5), band)


def test_boundary_band_equals_brute_force_distances():
    mask = np.random.default_rng(1).random((25, 31)) < 0.02
    mask = binary_dilation(mask, iterations=3)
    here, there = np.argwhere(mask), np.argwhere(~mask)
    squared = ((here[:, None] - there[None]) ** 2).sum(axis=-1)
    expected = np.zeros_like(mask)
    expected[tuple(here.T)] = squared.min(axis=1) <= 9
    expected[tuple(there.T)] = squared.min(axis=0) <= 9
    assert np.array_equal(boundary_band(mask, 3), expected)
    assert 0 < expected.sum() < expected.size


@pytest.mark.parametrize("value", [False, True])
def test_a_mask_without_a_boundary_has_an_empty_band(value):
    band = boundary_band(np.full((6, 7), value), 5)
    assert band.shape == (6, 7)
    assert band.dtype == bool
    assert not band.any()


@pytest.mark.parametrize("name", sorted(ALL))
def test_docstring_states_the_empty_case_a_reference_and_an_example(name):
    text = inspect.getdoc(ALL[name])
    assert "empty array" in text.replace("\n", " ")
    assert "References:" in text
    assert ">>>" in text


def test_examples_run():
    for module in (calibration, reliability):
        result = doctest.testmod(module)
        assert result.attempted >= 1
        assert result.failed == 0
    assert doctest.testmod(calibration).attempted >= 2 * len(ALL)


@pytest.mark.parametrize("levels", [3, 5, 1000])
def test_area_of_uncertainty_against_error_is_the_rank_statistic(levels):
    generator = np.random.default_rng(levels)
    probability = generator.integers(0, levels, (30, 20)) / (levels - 1)
    mask = generator.random((30, 20)) < 0.3 + 0.4 * probability
    wrong, doubt = (probability > 0.5) != mask, np.minimum(probability, 1 - probability).round(9)
    expected = mannwhitneyu(doubt[wrong], doubt[~wrong]).statistic / (wrong.sum() * (~wrong).sum())
    assert error_auroc(probability, mask) == pytest.approx(expected)
    assert error_auroc(probability.astype(np.float32), mask) == pytest.approx(expected, abs=1e-4)


def test_area_of_uncertainty_against_error_where_there_is_none():
    p, mask = np.array([0.9, 0.2, 0.4]), np.array([True, False, False])
    assert math.isnan(error_auroc(p, mask))
    assert math.isnan(error_auroc(p, ~mask))
    assert error_auroc(np.full(4, 0.7), np.array([True, True, False, True])) == 0.5
    assert error_auroc(np.array([0.99, 0.6]), np.array([False, True])) == 0.0
