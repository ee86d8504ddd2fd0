"""One model for interval and test: against closed forms, plain loops, SciPy and simulated truth."""

import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from noise2mask.evaluation import bootstrap
from noise2mask.evaluation.bootstrap import (
    Interval,
    Resampling,
    decidable,
    estimate_difference,
    estimate_mean,
    estimate_statistic,
    holm,
    percentile_interval,
    rank_correlation,
    units_of,
)
from noise2mask.evaluation.reliability import ece_of, reliability_histogram

STANDARD = Resampling(1999)
few = settings(max_examples=60, deadline=None, derandomize=True)


def skewed(n=60, seed=0):
    return np.random.default_rng(seed).gamma(2.0, size=n)


def crossed(units=40, seeds=4, of_unit=1.0, of_seed=0.6, rest=0.8, draw=0):
    """Values (units, seeds): effects of units and of seeds, and what is left."""
    generator = np.random.default_rng(draw)
    return (
        generator.normal(0, of_unit, (units, 1))
        + generator.normal(0, of_seed, (1, seeds))
        + generator.normal(0, rest, (units, seeds))
    )


def of_table(values, resampling=STANDARD):
    """The estimate of a table (units, seeds)."""
    unit, seed = np.indices(values.shape).reshape(2, -1)
    return estimate_mean(values.ravel(), units=unit, seeds=seed, resampling=resampling)


# Units --------------------------------------------------------------------------------------


def test_many_normal_values_have_the_interval_and_p_of_students_t():
    values = np.random.default_rng(0).normal(0.1, 1.0, 100)
    found = estimate_mean(values, resampling=Resampling(20_000))
    expected = stats.ttest_1samp(values, 0)
    low, high = expected.confidence_interval(0.95)
    error = values.std() / 10
    assert found.interval()[1:3] == pytest.approx((low, high), abs=0.12 * error)
    assert found.p() == pytest.approx(expected.pvalue, abs=0.03)
    assert (found.mean, found.n, found.seeds) == (pytest.approx(values.mean()), 100, 1)


def test_it_is_the_studentised_bootstrap_in_a_plain_loop():
    values, generator = skewed(12), np.random.default_rng(3)
    error = values.std(ddof=1) / math.sqrt(12)
    studentised = []
    for _ in range(20_000):
        drawn = generator.choice(values, 12)
        studentised.append((drawn.mean() - values.mean()) / (drawn.std(ddof=1) / math.sqrt(12)))
    low, high = np.quantile(studentised, [0.1, 0.9])
    interval = estimate_mean(values, resampling=Resampling(20_000, 0.8)).interval()
    expected = values.mean() - high * error, values.mean() - low * error
    assert interval[1:3] == pytest.approx(expected, abs=0.04 * error)
    share = np.mean(np.array(studentised) >= (values.mean() - 1.0) / error)
    p = estimate_mean(values, resampling=Resampling(20_000)).p(1.0)
    assert p == pytest.approx(2 * share, rel=0.1)


def test_skewness_moves_the_interval_to_the_long_tail():
    mean, low, high, _ = estimate_mean(skewed(20), resampling=STANDARD).interval()
    assert high - mean > 1.15 * (mean - low)


values_of = st.lists(
    st.sampled_from([-0.5, -0.1, -0.05, 0.0, 0.02, 0.1, 0.11, 0.3, 0.9]), min_size=7, max_size=14
)


@few
@given(values_of, st.sampled_from([0.8, 0.95]), st.sampled_from([-0.1, 0.0, 0.2]))
def test_interval_and_p_always_agree(values, level, null):
    found = estimate_mean(values, resampling=Resampling(399, level))
    _, low, high, _ = found.interval()
    outside = null < low - 1e-9 or null > high + 1e-9
    inside = low + 1e-9 < null < high - 1e-9
    if outside and found.smallest_p <= 1 - level:
        assert found.p(null) <= 1 - level + 1e-12
    if inside:
        assert found.p(null) > 1 - level - 1e-12


@pytest.mark.parametrize(("n", "smallest"), [(3, 0.25), (5, 0.0625), (9, 2**-8), (30, 2 / 2000)])
def test_so_few_units_have_no_smaller_p(n, smallest):
    values = 5 + np.random.default_rng(0).normal(size=n) / 100
    found = estimate_mean(values, resampling=STANDARD)
    assert found.smallest_p == pytest.approx(smallest)
    assert found.p() == pytest.approx(smallest)


def test_one_and_two_units_have_no_interval():
    for values, units in (([0.5], None), ([0.25, 0.75], ["a", "a"])):
        found = estimate_mean(values, units=units, resampling=STANDARD)
        assert found.mean == 0.5
        assert math.isnan(found.interval().low)
        assert math.isnan(found.p())
        assert math.isnan(found.smallest_p)
        assert found.n == 1
    two = estimate_mean([0.25, 0.5], resampling=STANDARD)
    assert math.isnan(two.interval().low)
    assert two.p() >= 0.5
    for nothing in ([], [math.nan]):
        found = estimate_mean(nothing, resampling=STANDARD)
        assert (found.n, found.seeds) == (0, 0)
        assert math.isnan(found.mean)


def test_equal_values_have_an_interval_of_no_width():
    assert estimate_mean([0.5] * 8, resampling=STANDARD).interval() == Interval(0.5, 0.5, 0.5, 8)
    nothing = estimate_mean([0.0] * 8, resampling=STANDARD)
    assert (nothing.interval(), nothing.p()) == (Interval(0, 0, 0, 8), 1.0)


def test_units_are_drawn_whole():
    # Equal values within a unit: all is as with one value a unit, whatever its size.
    means = skewed(30)
    names = np.repeat([f"patient {i}" for i in range(30)], 8)
    clustered = estimate_mean(np.repeat(means, 8), units=names, resampling=STANDARD)
    alone = estimate_mean(means, resampling=STANDARD)
    assert clustered.interval() == pytest.approx(alone.interval())
    assert clustered.n == 30
    apart = estimate_mean(np.repeat(means, 8), resampling=STANDARD).interval()
    width = clustered.interval().high - clustered.interval().low
    assert width > 2 * (apart.high - apart.low)


def test_units_of_unequal_size_have_the_variance_of_a_ratio():
    generator = np.random.default_rng(0)
    units = generator.integers(0, 30, 200)
    values = skewed(200) + generator.normal(0, 1, 30)[units]
    found = estimate_mean(values, units=units, resampling=Resampling(9999))
    sums, sizes = np.bincount(units, values), np.bincount(units)
    residual = sums - sizes * values.mean()
    error = math.sqrt(30 / 29 * (residual**2).sum()) / 200
    mean, low, high, n = found.interval()
    assert (mean, n) == (pytest.approx(values.mean()), 30)
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, 29) * error, rel=0.12)


def test_nan_is_left_out_and_not_counted():
    values, units = skewed(20), np.repeat([0, 1, 2, 3], 5)
    holed = np.concatenate([values, [math.nan] * 3])
    expected = estimate_mean(values, units=units, resampling=STANDARD)
    found = estimate_mean(holed, units=np.concatenate([units, [1, 7, 7]]), resampling=STANDARD)
    assert found.interval(0.5) == expected.interval(0.5)
    assert found.n == 4


# Datasets -----------------------------------------------------------------------------------


def test_datasets_weigh_the_same_and_are_drawn_apart():
    one, other = skewed(50), 5 + skewed(10, seed=1)
    strata = ["a"] * 50 + ["b"] * 10
    units = [*range(50), *range(10)]
    found = estimate_mean(
        np.concatenate([one, other]), units=units, strata=strata, resampling=Resampling(20_000)
    )
    assert found.mean == pytest.approx((one.mean() + other.mean()) / 2)
    assert found.n == 60
    error = math.sqrt(one.var(ddof=1) / 50 + other.var(ddof=1) / 10) / 2
    _, low, high, _ = found.interval()
    assert 2 * 1.9 * error < high - low < 2 * 2.4 * error


def test_a_dataset_of_one_unit_leaves_the_mean_and_is_named():
    values, strata = [*skewed(20), 100.0, 90.0], ["a"] * 20 + ["b"] * 2
    units = [*range(20), "slide", "slide"]
    found = estimate_mean(values, units=list(map(str, units)), strata=strata, resampling=STANDARD)
    alone = estimate_mean(values[:20], resampling=STANDARD)
    assert found.left_out == ("b",)
    assert found.interval() == alone.interval()
    single = estimate_mean([1.0, 2.0], units=["s", "s"], strata=["b", "b"], resampling=STANDARD)
    assert (single.mean, single.left_out) == (1.5, ())
    assert math.isnan(single.p())


# Seeds --------------------------------------------------------------------------------------


def test_one_seed_and_equal_seeds_are_as_without():
    values = skewed(40)
    without = estimate_mean(values, resampling=STANDARD)
    one = of_table(values[:, None])
    same = of_table(np.repeat(values[:, None], 3, axis=1))
    assert one.interval() == without.interval()
    assert same.interval() == pytest.approx(without.interval())
    assert (without.seeds, one.seeds, same.seeds) == (1, 1, 3)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_where_seeds_decide_the_interval_is_students_over_seeds(seeds):
    values = crossed(50, seeds, of_unit=0.01, of_seed=1.0, rest=0.01)
    found = of_table(values, Resampling(40_000))
    expected = stats.ttest_1samp(values.mean(axis=0), 0)
    low, high = expected.confidence_interval(0.95)
    interval = found.interval()
    assert interval[1:3] == pytest.approx((low, high), abs=0.06 * (high - low))
    assert found.p() == pytest.approx(expected.pvalue, abs=0.02)


def test_what_units_explain_is_not_counted_for_seeds():
    # No effect of seeds: their means differ by what is left of few units alone.
    widths = []
    for draw in range(20):
        values = crossed(200, 3, of_seed=0.0, rest=0.3, draw=draw)
        both, units = of_table(values).interval(), of_table(values.mean(axis=1)[:, None]).interval()
        widths.append((both.high - both.low) / (units.high - units.low))
    assert np.median(widths) == pytest.approx(1.0, abs=0.05)


def test_the_estimate_is_the_mean_over_seeds_of_means_over_cases():
    values = crossed(6, 3)
    values[1, 2] = values[4] = math.nan
    found = of_table(values)
    assert found.mean == pytest.approx(np.nanmean(values, axis=0).mean())
    assert (found.n, found.seeds) == (5, 3)


# Statistics ---------------------------------------------------------------------------------


def histograms(n=40, draw=0):
    generator = np.random.default_rng(draw)
    result = []
    for _ in range(n):
        probability = generator.random(200)
        mask = generator.random(200) < probability ** generator.uniform(0.5, 3)
        result.append(reliability_histogram(probability, mask))
    return np.stack(result)


def pooled(sums):
    return ece_of(sums).mean(axis=-1)


def test_pooled_calibration_error_and_its_spread():
    cases = histograms()
    found = estimate_statistic(cases, pooled, resampling=STANDARD)
    assert found.mean == pytest.approx(float(ece_of(cases.sum(axis=0))))
    generator = np.random.default_rng(1)
    loop = [float(ece_of(cases[generator.integers(0, 40, 40)].sum(axis=0))) for _ in range(2000)]
    _, low, high, n = found.interval()
    assert high - low == pytest.approx(2 * 2.02 * np.std(loop), rel=0.2)
    assert n == 40


def test_a_statistic_of_seeds_is_the_mean_of_theirs():
    cases = np.stack([histograms(15), histograms(15, 1)], axis=1).reshape(30, 15, 3)
    unit, seed = np.indices((15, 2)).reshape(2, -1)
    found = estimate_statistic(cases, pooled, units=unit, seeds=seed, resampling=STANDARD)
    each = [float(ece_of(cases[seed == one].sum(axis=0))) for one in (0, 1)]
    assert found.mean == pytest.approx(np.mean(each))
    assert found.seeds == 2


def test_a_mean_is_a_statistic_like_any_other():
    values = skewed(25)
    rows = np.stack([values, np.ones(25)], axis=1)

    def ratio(sums):
        return (sums[..., 0] / sums[..., 1]).mean(axis=-1)

    found = estimate_statistic(rows, ratio, resampling=STANDARD)
    assert found.interval() == pytest.approx(estimate_mean(values, resampling=STANDARD).interval())


def test_a_statistic_that_hangs_on_one_unit_has_no_interval():
    rows = np.zeros((6, 15, 3))
    rows[2, 7] = 10, 5, 2
    found = estimate_statistic(rows, pooled, resampling=STANDARD)
    assert found.mean == pytest.approx(0.3)
    assert math.isnan(found.interval().low)
    assert math.isnan(found.p())


# What it does not depend on -----------------------------------------------------------------


@settings(few, max_examples=15)
@given(st.randoms(use_true_random=False), st.booleans())
def test_order_of_rows_and_names_of_units_do_not_matter(random, grouped):
    values = crossed(12, 3)  # unrounded: sums know their order
    values[2, 1] = values[5, 0] = math.nan
    unit, seed = np.indices(values.shape).reshape(2, -1)
    unit = unit // 4 if grouped else unit
    order = list(range(values.size))
    random.shuffle(order)
    few_draws = Resampling(99, 0.9)
    expected = estimate_mean(values.ravel(), units=unit, seeds=seed, resampling=few_draws)
    for names in (unit, 99 - unit, unit.astype(str)):
        found = estimate_mean(
            values.ravel()[order], units=names[order], seeds=seed[order], resampling=few_draws
        )
        assert np.array_equal(found.errors, expected.errors)
        assert found.mean == expected.mean


@few
@given(values_of)
def test_exchanging_the_sides_negates_to_the_last_bit(values):
    a, b = np.array(values), skewed(len(values)) / 7
    one = estimate_difference(a, b, resampling=Resampling(99))
    other = estimate_difference(b, a, resampling=Resampling(99))
    assert one.mean == -other.mean
    assert one.p() == other.p()
    assert one.interval().low == -other.interval().high


def test_a_difference_is_the_mean_of_differences_and_leaves_out_half_pairs():
    a, b = skewed(30), skewed(30, seed=1)
    expected = estimate_mean(a - b, resampling=STANDARD)
    found = estimate_difference(a, b, resampling=STANDARD)
    assert found.interval() == pytest.approx(expected.interval(), abs=0.1 * a.std())
    a[3], b[7] = math.nan, math.nan
    assert estimate_difference(a, b, resampling=STANDARD).n == 28


def test_the_seed_decides_and_another_seed_differs():
    values = skewed()
    one = estimate_mean(values, resampling=STANDARD).interval()
    assert one == estimate_mean(values, resampling=STANDARD).interval()
    assert one != estimate_mean(values, resampling=STANDARD._replace(seed=1)).interval()


# What it promises ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "seeds", "draw"),
    [(9, 1, "exponential"), (20, 1, "normal"), (20, 3, "normal"), (9, 3, "exponential")],
)
def test_a_true_null_is_rejected_about_as_often_as_it_says(units, seeds, draw):
    generator, rejected = np.random.default_rng(8), 0
    for number in range(300):
        effects = getattr(generator, draw)(size=(units, 1)) - (draw == "exponential")
        values = effects + generator.normal(0, 0.4 * (seeds > 1), (1, seeds))
        values = values + generator.normal(0, 0.8 * (seeds > 1), (units, seeds))
        rejected += of_table(values, Resampling(199, 0.9, number)).p() <= 0.1
    assert 0.04 <= rejected / 300 <= 0.16


def test_four_of_five_studies_find_the_smallest_resolvable_difference():
    generator, resampling = np.random.default_rng(0), Resampling(199, 0.9)
    found = [estimate_mean(generator.normal(size=20), resampling=resampling) for _ in range(400)]
    size = np.mean([each.resolvable() for each in found])
    power = np.mean([each.p(-size) <= 0.1 for each in found])
    assert power == pytest.approx(0.8, abs=0.06)
    many = estimate_mean(generator.normal(size=400), resampling=Resampling(9999))
    assert many.resolvable() == pytest.approx((1.96 + 0.84) / 20, rel=0.1)


# Percentiles --------------------------------------------------------------------------------


def test_percentile_interval_equals_that_of_scipy():
    values = skewed()
    ours = percentile_interval(values[:, None], lambda means: means[:, 0] ** 2,
                               resampling=Resampling(20_000))  # fmt: skip
    theirs = stats.bootstrap(
        (values,), lambda x, axis: x.mean(axis=axis) ** 2, n_resamples=20_000, vectorized=True,
        method="percentile", rng=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    noise = 0.25 * values.std() / math.sqrt(60)
    assert ours[:3] == pytest.approx((values.mean() ** 2, theirs.low, theirs.high), abs=noise)
    units = np.repeat(np.arange(6), 10)
    assert percentile_interval(values[:, None], lambda m: m[:, 0], units=units).n == 6


def test_undefined_resamples_are_left_out_of_a_percentile_interval():
    rows = np.array([[0.0, 0.0], [0.0, 0.0], [2.0, 1.0]])

    def ratio(means):
        return np.divide(*means.T, out=np.full(len(means), np.nan), where=means[:, 1] > 0)

    assert percentile_interval(rows, ratio, resampling=STANDARD) == Interval(2.0, 2.0, 2.0, 3)
    nothing = percentile_interval(rows[:2], ratio, resampling=STANDARD)
    assert np.isnan(nothing[:3]).all()
    assert percentile_interval(rows[:1], ratio).n == 1
    assert percentile_interval(np.full((2, 1), np.nan), ratio).n == 0


# Holm ---------------------------------------------------------------------------------------


def test_holm_by_hand():
    # 4 comparisons: 0.01 * 4, 0.02 * 3, then 0.03 * 2 raised to no less than 0.06, 0.6.
    assert holm([0.6, 0.01, 0.03, 0.02]) == pytest.approx([0.6, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([]).shape == (0,)


def test_holm_keeps_nan_and_does_not_count_it():
    adjusted = holm([0.02, math.nan, 0.01])
    assert math.isnan(adjusted[1])
    assert adjusted[[0, 2]] == pytest.approx(holm([0.02, 0.01]))


p_values = st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.02, 0.05, 0.3, 0.9, 1.0]), max_size=7)


@few
@given(p_values)
def test_holm_rejects_what_the_step_down_procedure_rejects(p):
    adjusted = holm(p)
    assert np.all(adjusted >= p)
    assert np.all(adjusted <= 1)
    for alpha in (0.0104, 0.0513, 0.2077):
        rejected = set()
        for step, index in enumerate(np.argsort(p, kind="stable")):
            if p[index] > alpha / (len(p) - step):
                break
            rejected.add(int(index))
        assert set(np.flatnonzero(adjusted <= alpha).tolist()) == rejected


@few
@given(p_values, st.randoms(use_true_random=False))
def test_holm_does_not_depend_on_the_order(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    assert np.array_equal(holm(np.array(p)[order]), holm(p)[order])


def test_what_can_be_decided_depends_on_the_family():
    nine, fifty = 2.0**-8, 2 / 10_000
    assert decidable([0.004] * 3, [nine, fifty, fifty], 0.05).tolist() == [True, True, True]
    many = [nine] + [0.5] * 17  # 18 / 256 is above 0.05
    assert decidable(many, [nine] + [fifty] * 17, 0.05).tolist() == [False] + [True] * 17
    # After thirteen others have been rejected there is room for it.
    after = [0.9] + [1e-4] * 13 + [0.5] * 4
    assert decidable(after, [nine] + [fifty] * 17, 0.05)[0]
    assert not decidable([math.nan], [math.nan], 0.05)[0]


# The rest -----------------------------------------------------------------------------------


def test_units_are_groups_or_the_cases_themselves():
    assert units_of({("a", "1"): "p"}, "a", ["1", "2"]) == ["p", "2"]
    assert units_of({("a", "1"): "p"}, "b", ["1"]) == ["1"]


def test_rank_correlation_of_few_datasets_is_exact():
    found = rank_correlation([1, 2, 3, 4, 5], [2, 4, 6, 8, 11])
    assert found[:4] == pytest.approx((1.0, 1.0, 1.0, 2 / 120))


@pytest.mark.parametrize("wrong", [Resampling(0), Resampling(level=0.0), Resampling(level=95.0)])
def test_wrong_options_are_refused(wrong):
    with pytest.raises(ValueError, match="resamples must be at least 1 and level"):
        estimate_mean([0.1, 0.2], resampling=wrong)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="values must have shape"):
        estimate_mean([[0.1, 0.2]])
    with pytest.raises(ValueError, match="units must name 2 rows"):
        estimate_mean([0.1, 0.2], units=["a"])
    with pytest.raises(ValueError, match="seeds need units"):
        estimate_mean([0.1, 0.2], seeds=[0, 1])
    with pytest.raises(ValueError, match="one shape"):
        estimate_difference([0.1, 0.2], [0.1])
    with pytest.raises(ValueError, match=r"p-values must lie in \[0, 1\]"):
        holm([0.5, 1.5])


def test_examples_run():
    result = doctest.testmod(bootstrap)
    assert result.attempted >= 1
    assert result.failed == 0
