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
    bootstrap_mean,
    bootstrap_statistic,
    holm,
    paired_difference,
)
from noise2mask.evaluation.reliability import ece_of, reliability_histogram

BOOTSTRAP = {"resamples": 2000, "level": 0.95, "seed": 0}
few = settings(max_examples=60, deadline=None, derandomize=True)


def skewed(n=60, seed=0):
    return np.random.default_rng(seed).gamma(2.0, size=n)


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_interval_equals_that_of_scipy(level):
    values = skewed()
    ours = bootstrap_mean(values, resamples=20_000, level=level, seed=1)
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=20_000,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(2),
    )
    # Two Monte Carlo estimates of one quantile: within a few hundredths of a standard error.
    noise = 0.06 * values.std() / math.sqrt(len(values))
    assert ours.mean == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=noise)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=noise)
    assert ours.n == 60


def test_interval_equals_the_normal_closed_form_for_many_cases():
    values = np.random.default_rng(0).normal(3.0, 2.0, 1000)
    interval = bootstrap_mean(values, **BOOTSTRAP)
    error = values.std() / math.sqrt(1000)
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(5)
    intervals = [
        bootstrap_mean(generator.normal(size=50), resamples=400, level=0.9, seed=i)
        for i in range(400)
    ]
    assert np.mean([i.low <= 0 <= i.high for i in intervals]) == pytest.approx(0.89, abs=0.05)


def test_groups_are_drawn_whole():
    # Equal values within a group: the interval is that of the groups' means, whatever their size.
    means = skewed(30)
    repeated, names = np.repeat(means, 8), np.repeat([f"patient {i}" for i in range(30)], 8)
    clustered = bootstrap_mean(repeated, groups=names, **BOOTSTRAP)
    one_each = bootstrap_mean(means, **BOOTSTRAP)
    assert clustered[:3] == pytest.approx(one_each[:3])
    assert clustered.n == 240
    apart = bootstrap_mean(repeated, **BOOTSTRAP)
    ratio = (clustered.high - clustered.low) / (apart.high - apart.low)
    assert ratio == pytest.approx(math.sqrt(8), rel=0.1)


def test_groups_of_unequal_size_equal_a_loop_over_resamples():
    generator = np.random.default_rng(0)
    values, groups = skewed(40), generator.integers(0, 7, 40)
    ours = bootstrap_mean(values, groups=groups, resamples=10_000, level=0.8, seed=0)
    means = []
    for _ in range(10_000):
        drawn = generator.integers(0, 7, 7)
        means.append(np.mean(np.concatenate([values[groups == g] for g in drawn])))
    low, high = np.quantile(means, [0.1, 0.9])
    assert ours.mean == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.1 * np.std(means))


def test_the_order_of_cases_and_the_names_of_groups_do_not_matter():
    values, groups = skewed(50), np.random.default_rng(1).integers(0, 9, 50)
    order = np.random.default_rng(2).permutation(50)
    assert bootstrap_mean(values[order], **BOOTSTRAP) == bootstrap_mean(values, **BOOTSTRAP)
    expected = bootstrap_mean(values, groups=groups, **BOOTSTRAP)
    for names in (groups[order], (99 - groups)[order], groups[order].astype(str)):
        assert bootstrap_mean(values[order], groups=names, **BOOTSTRAP) == expected


def test_the_seed_decides_and_another_seed_differs():
    values = skewed()
    assert bootstrap_mean(values, **BOOTSTRAP) == bootstrap_mean(values, **BOOTSTRAP)
    other = bootstrap_mean(values, **(BOOTSTRAP | {"seed": 1}))
    assert other.low != bootstrap_mean(values, **BOOTSTRAP).low


def test_nan_is_left_out_and_not_counted():
    values, groups = skewed(20), np.repeat([0, 1, 2, 3], 5)
    holed = np.concatenate([values, [math.nan] * 3])
    assert bootstrap_mean(holed, **BOOTSTRAP) == bootstrap_mean(values, **BOOTSTRAP)
    # a group of nothing but NaN is no group
    wide = np.concatenate([groups, [1, 7, 7]])
    expected = bootstrap_mean(values, groups=groups, **BOOTSTRAP)
    assert bootstrap_mean(holed, groups=wide, **BOOTSTRAP) == expected
    assert expected.n == 20


def test_too_few_cases_have_no_interval():
    for values in ([], [math.nan]):
        interval = bootstrap_mean(values, **BOOTSTRAP)
        assert interval.n == 0
        assert all(math.isnan(number) for number in interval[:3])
    for values, groups in (([0.5], None), ([0.25, 0.75], ["a", "a"])):
        interval = bootstrap_mean(values, groups=groups, **BOOTSTRAP)
        assert interval.mean == 0.5
        assert math.isnan(interval.low)
        assert math.isnan(interval.high)
        assert interval.n == len(values)


def test_equal_values_have_an_interval_of_no_width():
    assert bootstrap_mean([0.5] * 4, **BOOTSTRAP) == Interval(0.5, 0.5, 0.5, 4)


def test_a_statistic_is_asked_for_all_resamples_together():
    """Not once for each, which would be too slow for hundreds of tables."""
    asked = []

    def ratio(sums):
        asked.append(len(sums))
        return sums[:, 0] / sums[:, 1]

    rows = np.stack([skewed(400), np.ones(400)], axis=1)
    bootstrap_statistic(rows, ratio, **BOOTSTRAP)
    assert asked[0] == 1
    assert sum(asked[1:]) == BOOTSTRAP["resamples"]
    assert len(asked) <= 5


def histograms(n=25):
    generator = np.random.default_rng(0)
    result = []
    for _ in range(n):
        probability = generator.random(200)
        mask = generator.random(200) < probability ** generator.uniform(0.5, 3)
        result.append(reliability_histogram(probability, mask))
    return np.stack(result)


def test_pooled_calibration_error_equals_a_loop_over_resamples():
    cases = histograms()
    ours = bootstrap_statistic(cases, ece_of, resamples=5000, level=0.9, seed=0)
    generator = np.random.default_rng(1)
    loop = [float(ece_of(cases[generator.integers(0, 25, 25)].sum(axis=0))) for _ in range(5000)]
    assert ours.mean == pytest.approx(float(ece_of(cases.sum(axis=0))))
    low, high = np.quantile(loop, [0.05, 0.95])
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.1 * np.std(loop))
    assert ours.n == 25


def test_the_statistic_does_not_depend_on_the_order_of_cases():
    cases = histograms()
    turned = bootstrap_statistic(cases[::-1], ece_of, **BOOTSTRAP)
    assert turned == bootstrap_statistic(cases, ece_of, **BOOTSTRAP)


def test_undefined_resamples_are_left_out_of_the_interval():
    # Two of three cases have no pixels: the resamples without the third have no error.
    cases = np.zeros((3, 15, 3))
    cases[2, 7] = 10, 5, 2
    assert bootstrap_statistic(cases, ece_of, **BOOTSTRAP) == pytest.approx((0.3, 0.3, 0.3, 3))
    nothing = bootstrap_statistic(np.zeros((3, 15, 3)), ece_of, **BOOTSTRAP)
    assert math.isnan(nothing.low)
    assert math.isnan(nothing.high)


def test_paired_difference_is_that_of_the_differences():
    a, b = skewed(30), skewed(30, seed=1)
    result = paired_difference(a, b, **BOOTSTRAP)
    assert (result.difference, result.low, result.high, result.n) == bootstrap_mean(
        a - b, **BOOTSTRAP
    )
    turned = paired_difference(b, a, **BOOTSTRAP)
    assert turned.difference == pytest.approx(-result.difference)
    assert turned.p == pytest.approx(result.p)


@pytest.mark.parametrize("n", [5, 30, 80])
def test_p_equals_that_of_scipy(n):
    a = skewed(n)
    b = a + np.random.default_rng(1).normal(0.2, 0.5, n)
    expected = stats.wilcoxon(a, b).pvalue
    assert paired_difference(a, b, **BOOTSTRAP).p == pytest.approx(expected)


def test_p_by_counting_signs():
    # Differences 1, 2, 3, 4, -5: of the 32 signs 20 have a rank sum as far from 7.5 (5 or 10).
    a = np.array([1.0, 2.0, 3.0, 4.0, -5.0])
    sums = [sum(r for r in range(1, 6) if sign >> r & 1) for sign in range(0, 64, 2)]
    expected = np.mean([abs(s - 7.5) >= 2.5 for s in sums])
    assert paired_difference(a, np.zeros(5), **BOOTSTRAP).p == pytest.approx(expected)


def test_zero_differences_are_left_out_of_the_test_alone():
    a = np.array([0.1, 0.2, 0.35, -0.05, 0.3, 0.45, 0.6, -0.15, 0.0, 0.0, 0.0])
    result = paired_difference(a, np.zeros(11), **BOOTSTRAP)
    assert result.p == pytest.approx(stats.wilcoxon(a, zero_method="wilcox").pvalue)
    assert result.p != pytest.approx(stats.wilcoxon(a, zero_method="zsplit").pvalue)
    assert result.difference == pytest.approx(a.mean())
    assert result.n == 11


def test_equal_pairs_have_p_1_and_too_few_have_none():
    same = paired_difference([0.5, 0.6, 0.7], [0.5, 0.6, 0.7], **BOOTSTRAP)
    assert same == (0, 0, 0, 1, 3)
    single = paired_difference([0.5, math.nan], [0.25, 0.5], **BOOTSTRAP)
    assert single.difference == 0.25
    assert single.n == 1
    assert math.isnan(single.p)
    nothing = paired_difference([math.nan], [0.5], **BOOTSTRAP)
    assert nothing.n == 0
    assert math.isnan(nothing.p)


def test_with_groups_the_test_is_on_the_means_of_groups():
    a, groups = skewed(40) - 1.5, np.repeat(np.arange(10), 4)
    result = paired_difference(a, np.zeros(40), groups=groups, **BOOTSTRAP)
    assert result.p == pytest.approx(stats.wilcoxon(a.reshape(10, 4).mean(axis=1)).pvalue)
    one_patient = paired_difference(a, np.zeros(40), groups=["x"] * 40, **BOOTSTRAP)
    assert math.isnan(one_patient.p)
    assert one_patient.n == 40


# Seeds --------------------------------------------------------------------------------------


def crossed(cases=80, seeds=12, of_case=1.0, of_seed=0.6, rest=0.8, draw=0):
    """Values (cases, seeds): effects of cases and of seeds, and what is left."""
    generator = np.random.default_rng(draw)
    return (
        generator.normal(0, of_case, (cases, 1))
        + generator.normal(0, of_seed, (1, seeds))
        + generator.normal(0, rest, (cases, seeds))
    )


def labels(values):
    """Case and seed of each value of a table (cases, seeds) row by row."""
    case, seed = np.indices(values.shape).reshape(2, -1)
    return {"cases": case, "seeds": seed}


def test_one_seed_is_as_without():
    values, groups = skewed(40), np.random.default_rng(0).integers(0, 9, 40)
    values[3] = math.nan
    one = {"cases": [f"c{i}" for i in range(40)], "seeds": [3] * 40}
    other = skewed(40, seed=1)
    for drawn in ({}, {"groups": groups}):
        expected = bootstrap_mean(values, **drawn, **BOOTSTRAP)
        assert bootstrap_mean(values, **drawn, **one, **BOOTSTRAP) == expected
        paired = paired_difference(values, other, **drawn, **BOOTSTRAP)
        assert paired_difference(values, other, **drawn, **one, **BOOTSTRAP) == paired
    pooled = bootstrap_statistic(histograms(40), ece_of, **BOOTSTRAP)
    assert bootstrap_statistic(histograms(40), ece_of, **one, **BOOTSTRAP) == pooled


def test_the_estimate_is_the_mean_over_cases_each_the_mean_of_its_seeds():
    values = crossed(6, 3)
    values[1, 2] = values[4] = math.nan  # one seed of a case, all of another
    found = bootstrap_mean(values.ravel(), **labels(values), **BOOTSTRAP)
    of_cases = np.nanmean(np.delete(values, 4, axis=0), axis=1)
    assert found.mean == pytest.approx(of_cases.mean())
    assert found.mean != pytest.approx(np.nanmean(values))
    assert found.n == 5
    groups = np.repeat(["a", "a", "a", "b", "b", "c"], 3)
    grouped = bootstrap_mean(values.ravel(), groups=groups, **labels(values), **BOOTSTRAP)
    assert (grouped.mean, grouped.n) == pytest.approx((of_cases.mean(), 5))


def test_equal_seeds_are_as_one():
    values = np.repeat(skewed(30)[:, None], 4, axis=1)
    found = bootstrap_mean(values.ravel(), **labels(values), **BOOTSTRAP)
    assert found == pytest.approx(bootstrap_mean(values[:, 0], **BOOTSTRAP))


def test_the_variance_of_resamples_is_that_of_the_crossed_bootstrap():
    """In closed form for given values: squared deviations of cases, of seeds and of the rest."""
    values = crossed()
    cases, seeds = values.shape
    rows, columns, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
    rest = values - rows[:, None] - columns + mean
    variance = (
        ((rows - mean) ** 2).sum() / cases**2
        + ((columns - mean) ** 2).sum() / seeds**2
        + (rest**2).sum() / (cases * seeds) ** 2
    )
    found = bootstrap_mean(values.ravel(), **labels(values), resamples=20_000, level=0.95, seed=0)
    assert found.high - found.low == pytest.approx(2 * 1.96 * math.sqrt(variance), rel=0.03)
    theory = 1.0 / cases + 0.6**2 * (1 - 1 / seeds) / seeds + 0.8**2 * 3 / (cases * seeds)
    assert variance == pytest.approx(theory, rel=0.25)  # of one draw of 12 seeds
    of_cases = bootstrap_mean(rows, **BOOTSTRAP)
    assert found.high - found.low > 1.5 * (of_cases.high - of_cases.low)


def test_seeds_and_groups_equal_a_loop_over_resamples():
    values, generator = crossed(18, 4), np.random.default_rng(0)
    groups = generator.integers(0, 6, 18)
    ours = bootstrap_mean(
        values.ravel(), groups=np.repeat(groups, 4), **labels(values), resamples=10_000, level=0.8,
        seed=0,
    )  # fmt: skip
    means = []
    for _ in range(10_000):
        drawn = np.concatenate([np.flatnonzero(groups == g) for g in generator.integers(0, 6, 6)])
        means.append(values[drawn][:, generator.integers(0, 4, 4)].mean())
    low, high = np.quantile(means, [0.1, 0.9])
    assert ours.mean == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.1 * np.std(means))


def test_a_statistic_of_seeds_equals_a_loop_over_resamples():
    cases = np.stack([histograms(15), histograms(15)[::-1] * 0.9 + 3, histograms(15)[:, ::-1]], 1)
    rows = cases.reshape(45, 15, 3)
    where = labels(cases[..., 0, 0])
    ours = bootstrap_statistic(rows, ece_of, **where, resamples=5000, level=0.8, seed=0)
    assert ours.mean == pytest.approx(float(ece_of(rows.sum(axis=0))))
    assert ours.n == 15
    generator, loop = np.random.default_rng(1), []
    for _ in range(5000):
        drawn = cases[generator.integers(0, 15, 15)][:, generator.integers(0, 3, 3)]
        loop.append(float(ece_of(drawn.sum(axis=(0, 1)))))
    low, high = np.quantile(loop, [0.1, 0.9])
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.12 * np.std(loop))


def test_the_interval_covers_the_truth_where_seeds_vary():
    covered = {"crossed": 0, "cases alone": 0}
    for draw in range(300):
        values = crossed(30, 10, of_seed=0.5, draw=draw)
        options = {"resamples": 300, "level": 0.9, "seed": draw}
        both = bootstrap_mean(values.ravel(), **labels(values), **options)
        alone = bootstrap_mean(values.mean(axis=1), **options)
        covered["crossed"] += both.low <= 0 <= both.high
        covered["cases alone"] += alone.low <= 0 <= alone.high
    assert covered["crossed"] / 300 == pytest.approx(0.89, abs=0.05)
    assert covered["cases alone"] / 300 < 0.8


@settings(few, max_examples=15)
@given(st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_rows_does_not_matter(random, grouped):
    values = crossed(12, 3)  # unrounded, and groups of four: sums know their order
    values[2, 1] = values[5, 0] = math.nan
    where = labels(values) | ({"groups": labels(values)["cases"] // 4} if grouped else {})
    options = {"resamples": 50, "level": 0.9, "seed": 0}
    order = list(range(values.size))
    random.shuffle(order)
    turned = {name: each[order] for name, each in where.items()}
    found = bootstrap_mean(values.ravel()[order], **turned, **options)
    assert found == bootstrap_mean(values.ravel(), **where, **options)
    a, b = values.ravel(), crossed(12, 3, draw=1).ravel()
    paired = paired_difference(a[order], b[order], **turned, **options)
    assert paired == paired_difference(a, b, **where, **options)


def test_the_test_is_on_means_over_seeds():
    a, b = crossed(12, 4) + 0.4, crossed(12, 4, draw=1)
    result = paired_difference(a.ravel(), b.ravel(), **labels(a), **BOOTSTRAP)
    differences = (a - b).mean(axis=1)
    assert result.p == pytest.approx(stats.wilcoxon(differences).pvalue)
    assert result.difference == pytest.approx(differences.mean())
    assert result.n == 12
    groups = np.repeat(np.arange(6), 8)
    grouped = paired_difference(a.ravel(), b.ravel(), groups=groups, **labels(a), **BOOTSTRAP)
    of_groups = differences.reshape(6, 2).mean(axis=1)
    assert grouped.p == pytest.approx(stats.wilcoxon(of_groups).pvalue)


def test_resamples_without_a_defined_row_are_left_out():
    # The second seed scored one of two cases: drawn alone with the other case there is nothing.
    found = bootstrap_mean(
        [1.0, math.nan, 2.0, 2.0], cases=["a", "a", "b", "b"], seeds=[0, 1, 0, 1], **BOOTSTRAP
    )
    assert found == Interval(1.5, 1.0, 2.0, 2)


def test_labels_of_seeds_are_checked():
    values = [0.1, 0.2, 0.3]
    for alone in ({"seeds": [0, 1, 2]}, {"cases": [0, 1, 2]}):
        with pytest.raises(ValueError, match="cases and seeds are given together"):
            bootstrap_mean(values, **alone, **BOOTSTRAP)
    with pytest.raises(ValueError, match="seeds must name 3 rows"):
        bootstrap_mean(values, cases=[0, 1, 2], seeds=[0], **BOOTSTRAP)
    with pytest.raises(ValueError, match="cases must name 3 rows"):
        bootstrap_mean(values, cases=[0], seeds=[0, 0, 0], **BOOTSTRAP)
    with pytest.raises(ValueError, match="one row for each seed"):
        bootstrap_mean(values, cases=["a", "a", "b"], seeds=[0, 0, 0], **BOOTSTRAP)


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


@pytest.mark.parametrize(
    "wrong", [{"resamples": 0}, {"level": 0.0}, {"level": 1.0}, {"level": 95.0}]
)
def test_wrong_options_are_refused(wrong):
    with pytest.raises(ValueError, match="resamples must be at least 1 and level"):
        bootstrap_mean([0.1, 0.2], **(BOOTSTRAP | wrong))


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="values must have shape"):
        bootstrap_mean([[0.1, 0.2]], **BOOTSTRAP)
    with pytest.raises(ValueError, match="groups must name 2 cases"):
        bootstrap_mean([0.1, 0.2], groups=["a"], **BOOTSTRAP)
    with pytest.raises(ValueError, match="one shape"):
        paired_difference([0.1, 0.2], [0.1], **BOOTSTRAP)
    with pytest.raises(ValueError, match=r"p-values must lie in \[0, 1\]"):
        holm([0.5, 1.5])


def test_examples_run():
    result = doctest.testmod(bootstrap)
    assert result.attempted >= 1
    assert result.failed == 0
