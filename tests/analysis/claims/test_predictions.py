"""Hypotheses on made-up data whose verdict is known, for every verdict."""

import math
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from noise2mask.analysis.claims import verdicts as findings
from noise2mask.analysis.claims.predictions import (
    p3_ranking,
    p4_schedule,
    p5_target,
    p6_ensemble,
    p7_recycling,
)
from noise2mask.analysis.claims.predictions_losses import p1_hump, p2_timesteps
from noise2mask.analysis.claims.verdicts import Part, Resampling, across, decided, mean_of_datasets
from noise2mask.analysis.information.curves import MEASURED
from noise2mask.evaluation import ranks
from noise2mask.evaluation.bootstrap import Interval, bootstrap_mean
from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.differences import gain

FEW = Resampling(300, 0.95, 0)
CASES = 24


# What findings are made of -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 0.4, "confirmed"),
        (0.0, 0.5, "confirmed"),
        (-0.1, 0.4, "undecided"),
        (0.4, 0.6, "undecided"),
        (0.51, 0.6, "refuted"),
        (-0.2, -0.1, "refuted"),
        (math.nan, 0.3, "undecided"),
    ],
)
def test_decided(low, high, verdict):
    assert decided(Interval(0.2, low, high, 5), low=0, high=0.5) == verdict


def parts(*verdicts):
    return [Part(str(n), Interval(n, n, n, n), each) for n, each in enumerate(verdicts)]


@pytest.mark.parametrize(
    ("verdicts", "verdict", "shown"),
    [
        (("confirmed", "confirmed"), "confirmed", 0),
        (("confirmed", "undecided", "refuted"), "refuted", 2),
        (("confirmed", "not tested", "undecided"), "undecided", 2),
        (("confirmed", "not tested"), "undecided", 1),
        (("not tested", "not tested"), "not tested", math.nan),
        ((), "not tested", math.nan),
    ],
)
def test_a_finding_shows_the_part_that_decides(verdicts, verdict, shown):
    found = findings.finding("P0", "claim", "statistic", parts(*verdicts), "a note")
    assert found.verdict == verdict
    assert found.value == pytest.approx(shown, nan_ok=True)
    assert found.detail.endswith("a note")


def test_the_table_has_the_columns_of_the_contract():
    found = findings.table([findings.untested("P1", "claim", "statistic", "no data")])
    assert tuple(found.columns) == COLUMNS["hypotheses"]
    assert found.verdict.tolist() == ["not tested"]
    assert findings.table([]).empty


def per_case(means, spread=0.02, seed=0, cases=CASES):
    """A column of values a case, from the mean of each dataset."""
    generator = np.random.default_rng(seed)
    values = {}
    for dataset, mean in means.items():
        noise = generator.normal(0, spread, cases)
        values |= {(dataset, f"c{n}"): mean + each for n, each in enumerate(noise - noise.mean())}
    index = pd.MultiIndex.from_tuples(values, names=["dataset", "case"])
    return pd.DataFrame({"value": list(values.values())}, index=index)


def test_one_dataset_has_the_interval_of_the_mean_and_groups_count():
    values = per_case({"a": 0.1})
    found = across("x", values, mean_of_datasets, {}, FEW, low=0)
    expected = bootstrap_mean(values.value, resamples=300, level=0.95, seed=0)
    assert found.interval == pytest.approx(expected)
    grouped = across(
        "x", values, mean_of_datasets, {key: str(n % 2) for n, key in enumerate(values.index)},
        FEW, low=0,
    )  # fmt: skip
    assert grouped.interval.mean == pytest.approx(expected.mean)
    assert grouped.interval[1:3] != pytest.approx(expected[1:3])


@pytest.mark.parametrize(
    ("means", "verdict"),
    [
        ({"a": 0.1, "b": 0.05}, "confirmed"),
        ({"a": -0.1, "b": -0.05}, "refuted"),
        ({"a": 0.002, "b": -0.002}, "undecided"),
        ({"a": 0.3, "b": -0.1}, "undecided"),  # in the mean above 0, but not everywhere
        ({"a": -0.3, "b": 0.1}, "undecided"),
        ({}, "not tested"),
    ],
)
def test_across_datasets(means, verdict):
    values = per_case(means) if means else per_case({"a": 1})[:0]
    found = across("x", values, mean_of_datasets, {}, FEW, low=0)
    assert found.verdict == verdict
    if means:
        assert found.interval.mean == pytest.approx(np.mean(list(means.values())))
        assert all(name in found.note for name in means)


def test_datasets_weigh_the_same_whatever_their_size():
    values = pd.concat([per_case({"a": 0.1}, cases=40), per_case({"b": 0.3}, cases=5)])
    found = across("x", values, mean_of_datasets, {}, FEW, low=0)
    assert found.interval.mean == pytest.approx(0.2)
    assert found.interval.n == 45


@pytest.mark.parametrize("y", [[1, 2, 3, 4, 5], [5, 1, 4, 2, 2], [1, 3, 2, 5, 4]])
def test_permutation_p_counts_orders(y):
    x = np.array([1.0, 2, 3, 4, 5])
    found = abs(spearmanr(x, y).statistic)
    every = [abs(spearmanr(x, order).statistic) for order in permutations(y)]
    expected = np.mean(np.array(every) >= found - 1e-9)
    assert ranks.rank_correlation(x, y).p == pytest.approx(expected)


def ranked(values):
    return pd.Series(values, index=[f"d{n}" for n in range(len(values))], dtype=float)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], "confirmed"),
        ([8, 7, 6, 5, 4, 3, 2, 1], "refuted"),
        ([1, 2, 4, 3, 8, 5, 6, 7], "undecided"),
        ([1, 2, 3, 4], "undecided"),  # too few, however well ordered
        ([1, 2], "not tested"),
        ([3, 3, 3, 3, 3, 3], "not tested"),
    ],
)
def test_rank_correlation(values, verdict):
    order = ranked(range(len(values)))
    found = findings.rank_correlation("x", ranked(values), order[::-1], FEW, low=0.5)
    assert found.verdict == verdict
    if verdict != "not tested":
        assert found.interval.mean == pytest.approx(spearmanr(values, order).statistic)
        assert found.interval.n == len(values)


def test_few_datasets_need_more_than_a_bootstrap():
    """Ten orders in 120 correlate as strongly as these."""
    order = ranked(range(5))
    found = findings.rank_correlation("x", ranked([1, 2, 3, 5, 4]), order, FEW, low=0)
    assert found.interval.low > 0
    assert found.verdict == "undecided"
    assert "p = 0.083" in found.note
    less = findings.rank_correlation("x", ranked([4, 1, 2, 3]), order[:4], FEW, low=0.5)
    assert "fewer than 5 datasets" in less.note


# P1 and P2 -----------------------------------------------------------------------------------

AXIS = np.arange(6.0, -10.1, -0.5)


def losses(mode, place, *, axis=AXIS, dataset="a", gap=2.0, seed=0, factor=1.0, noise=0.05, tag=0):
    """Losses of eps with a hump at `place`, as errors of x_0 in units of the coding."""
    generator = np.random.default_rng([tag, seed, len(axis)])
    rows = []
    for case in range(CASES):
        hump = factor * np.exp(-(((axis - place) / 2.5) ** 2))
        curve = hump * np.exp(generator.normal(0, noise, len(axis)))
        errors = 100 * curve * np.exp(-axis) * (gap / 2) ** 2
        rows += [
            (dataset, "net", seed, mode, f"c{case}", t, log_snr, gap, 100, error, np.nan)
            for t, (log_snr, error) in enumerate(zip(axis, errors, strict=True))
        ]
    return pd.DataFrame(rows, columns=list(MEASURED))


def oracle(place, dataset="a"):
    table = losses("", place, axis=AXIS[4:], dataset=dataset, tag=1)
    return table.assign(oracle="multiscale", mse_x0=table.error / table.pixels)


ORACLES = pd.concat([oracle(0.0), oracle(-2.0, "b")])


@pytest.mark.parametrize(
    ("places", "noise", "verdict"),
    [
        ((0.2, -2.2), 0.05, "confirmed"),
        ((0.2, -3.0), 0.05, "refuted"),
        ((0.5, -2.0), 0.4, "undecided"),
    ],
)
def test_p1(places, noise, verdict):
    first, second = places
    parts = losses("e2", first, noise=noise), losses("e2", second, dataset="b", gap=1.0)
    table = pd.concat(parts)
    found = p1_hump(table, ORACLES, {}, modes=["e2"], resampling=FEW)
    assert found.verdict == verdict
    largest = max(first, second + 2, key=abs)
    assert found.value == pytest.approx(largest, abs=0.3 if noise > 0.1 else 0.15)
    assert found.low <= found.value <= found.high
    assert "0/1" in found.claim
    assert "a, net, e2" in found.detail
    assert "b, net, e2" in found.detail


def test_p1_says_which_coding_was_not_trained():
    found = p1_hump(losses("e2", 0.0), ORACLES, {}, modes=["e2"], resampling=FEW)
    assert found.verdict == "confirmed"
    assert "-1/+1" in found.claim
    assert "0/1" not in found.claim
    assert "masks in 0/1: not trained" in found.detail


def test_p1_without_a_hump_is_undecided():
    flat = losses("e2", -40.0, noise=0.0)
    found = p1_hump(flat, ORACLES, {}, modes=["e2"], resampling=FEW)
    assert found.verdict == "undecided"
    assert "no hump" in found.detail


def test_p1_without_oracle_or_mode_is_not_tested():
    for table, known in ((losses("e2", 0.0), ORACLES[:0]), (losses("e1", 0.0), ORACLES)):
        found = p1_hump(table, known, {}, modes=["e2"], resampling=FEW)
        assert found.verdict == "not tested"
        assert "e2" in found.detail


COARSE = np.arange(6.3, -9.8, -0.8)


def pair(factor, seeds=1, noise=0.05, drift=0.0):
    """Modes that differ in their levels and by a factor; seeds by a factor exp(drift)."""
    return pd.concat(
        [
            losses(mode, 0.0, axis=axis, factor=scale * math.exp(drift * seed), seed=seed,
                   noise=noise, tag=7)
            for mode, axis, scale in (("long", AXIS, 1.0), ("short", COARSE, factor))
            for seed in range(seeds)
        ]
    )  # fmt: skip


@pytest.mark.parametrize("modes", [("long", "short"), ("short", "long")])
@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, "confirmed"), (1.3, "refuted"), (0.75, "refuted")]
)
def test_p2(factor, verdict, modes):
    found = p2_timesteps(pair(factor), {}, first=modes[0], second=modes[1], resampling=FEW)
    assert found.verdict == verdict
    assert found.value == pytest.approx(abs(math.log(factor)), abs=0.02)
    assert "one seed" in found.detail


def test_p2_is_undecided_about_the_limit():
    found = p2_timesteps(pair(1.1), {}, first="long", second="short", resampling=FEW)
    assert found.verdict == "undecided"


def test_p2_does_not_blame_timesteps_for_what_seeds_do():
    found = p2_timesteps(
        pair(1.3, seeds=2, drift=0.6), {}, first="long", second="short", resampling=FEW
    )
    assert found.value == pytest.approx(math.log(1.3), abs=0.02)
    assert "seeds alone: 0.4" in found.detail  # 0.6 over the root of 2
    assert found.verdict == "undecided"
    steady = pair(1.3, seeds=2, drift=0.01)
    found = p2_timesteps(steady, {}, first="long", second="short", resampling=FEW)
    assert found.verdict == "refuted"


def test_p2_interval_does_not_take_noise_for_a_difference():
    """The mean of an absolute value is biased upward; the lower end must not be."""
    found = p2_timesteps(pair(1.0, noise=1.0), {}, first="long", second="short", resampling=FEW)
    assert found.low == 0
    assert found.verdict != "refuted"


def test_p2_without_both_modes_is_not_tested():
    found = p2_timesteps(pair(1.0), {}, first="long", second="longer", resampling=FEW)
    assert found.verdict == "not tested"


# P3 ------------------------------------------------------------------------------------------


def information(bits, entropy):
    rows = []
    for dataset, (value, whole) in enumerate(zip(bits, entropy, strict=True)):
        looser = (2 + 50 * (dataset % 2)) * whole
        for estimate, number in (
            ("covariance", value), ("entropy", looser), ("entropy_oracle", whole),
        ):  # fmt: skip
            rows.append(
                (f"d{dataset}", "net", estimate, number, 0, 0, number / 100, 0, 0, 0, 9)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS["information"]))


def sweeps(dice):
    rows = [
        (f"d{dataset}", "net", "ff", sampler, 1, np.nan, 1, "dice", value - late, 0, 1, 9)
        for dataset, value in enumerate(dice)
        for sampler, late in (("one_pass", 0), ("other", value * 2))
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS["sweeps"]))


DICE = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


@pytest.mark.parametrize(
    ("bits", "verdict"),
    [
        ([1, 2, 3, 4, 5, 6, 7], "confirmed"),
        ([7, 6, 5, 4, 3, 2, 1], "refuted"),
        ([1, 4, 2, 3, 7, 5, 6], "undecided"),
        ([1, 2, 3, 4], "undecided"),
        ([1], "not tested"),
        ([], "not tested"),
    ],
)
def test_p3(bits, verdict):
    entropy = [10 + value**3 for value in bits]  # so the share falls where the bits rise
    found = p3_ranking(information(bits, entropy), sweeps(DICE), feed_forward="ff", resampling=FEW)
    assert found.verdict == verdict
    if len(bits) > 4:
        shares = np.array(bits) / entropy
        assert found.value == pytest.approx(spearmanr(bits, DICE).statistic)
        other = spearmanr(shares, DICE).statistic
        assert f"share of the mask's entropy: {other:.3g}" in found.detail
        assert found.n == 7


# P4 to P7 ------------------------------------------------------------------------------------

METRICS = [
    "study", "dataset", "network", "mode", "seed", "sampler", "steps", "draws", "case", "metric",
    "value",
]  # fmt: skip


def scores(mode, means, metric, *, sampler="s", steps=50, draws=5, spread=0.01, networks=("net",)):
    """Values of every case of every dataset about the given means; cases are alike in all modes."""
    rows = []
    for dataset, mean in means.items():
        easy = np.random.default_rng(5).normal(0, 0.1, CASES)
        own = np.random.default_rng(list(f"{mode}{metric}{sampler}{dataset}".encode()))
        noise = own.normal(0, spread, CASES)
        for network in networks:
            where = ("study", dataset, network, mode, 0, sampler, steps, draws)
            rows += [
                (*where, f"c{n}", metric, mean + each)
                for n, each in enumerate(easy + noise - noise.mean())
            ]
    return pd.DataFrame(rows, columns=METRICS)


def test_gain_is_of_first_samplers_and_the_mean_over_networks():
    table = pd.concat(
        [
            scores("a", {"d": 0.9}, "dice", sampler="one", networks=("x",)),
            scores("a", {"d": 0.8}, "dice", sampler="one", networks=("y", "lonely")),
            scores("a", {"d": 0.1}, "dice", sampler="two", networks=("x", "y")),
            scores("b", {"d": 0.5}, "dice", networks=("x", "y")),
        ]
    )
    found = gain(table, "dice", "a", "b")
    assert len(found) == CASES
    assert found.mean() == pytest.approx(0.35)
    pd.testing.assert_series_equal(found, -gain(table, "dice", "b", "a"))


def fingerprints(**figures):
    rows = [
        (f"d{number}", figure, value, 0, 0, 9)
        for figure, values in figures.items()
        for number, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS["fingerprints"]))


SCALES = {"whole": 1.0, "b3": 0.3, "b2": 0.2, "b1": 0.1}
MANY = [f"d{number}" for number in range(7)]


def schedules(raised, lost, best, *, few=8):
    """`raised`: IoU of b below 1; `lost`: Dice lost with few steps; `best`: b by dataset."""
    tables = []
    for mode, b in SCALES.items():
        extra = {d: 0.05 * (best_b == b) for d, best_b in zip(MANY, best, strict=False)}
        iou = {d: 0.6 + raised * (b < 1) + more for d, more in extra.items()}
        for sampler, steps, less in (("few", few, lost), ("full", 50, 0.0), ("late", 3, 0.3)):
            dice = {d: value + 0.1 - less for d, value in iou.items()}
            where = {"sampler": sampler, "steps": steps}
            tables += [scores(mode, iou, "iou", **where), scores(mode, dice, "dice", **where)]
    return pd.concat(tables)


SMALLER = [0.3, 0.3, 0.2, 0.2, 0.1, 0.1, 0.1]
AREAS = fingerprints(area_q50=[10, 20, 30, 40, 50, 60, 70])
STEPS = {"scales": SCALES, "samplers": ["few", "full"], "resampling": FEW}


@pytest.mark.parametrize(
    ("raised", "lost", "best", "verdict", "shown"),
    [
        (0.08, 0.0, SMALLER, "confirmed", "(a)"),
        (-0.08, 0.0, SMALLER, "refuted", "(a)"),
        (0.08, 0.1, SMALLER, "refuted", "(b)"),
        (0.08, 0.0, SMALLER[::-1], "refuted", "(c)"),
        (0.08, 0.0, [0.3, 0.1, 0.2, 0.3, 0.1, 0.2, 0.3], "undecided", "(c)"),
        (0.08, 0.01, SMALLER, "undecided", "(b)"),
    ],
)
def test_p4(raised, lost, best, verdict, shown):
    found = p4_schedule(schedules(raised, lost, best), AREAS, {}, **STEPS)
    assert found.verdict == verdict, found.detail
    assert shown in found.statistic
    assert "few against full" in found.detail
    assert ("8 steps are within" in found.detail) == (lost < 0.01)
    if shown == "(a)":
        assert found.value == pytest.approx(raised + 0.05 / 3)
    if shown == "(b)":
        assert found.value == pytest.approx(-lost)


def test_p4_of_one_dataset_cannot_be_confirmed():
    found = p4_schedule(schedules(0.08, 0.0, [0.1]), AREAS, {}, **STEPS)
    assert found.verdict == "undecided"
    assert "(c)" in found.statistic
    assert "three datasets needed, got 1" in found.detail


def test_p4_without_few_steps_says_so():
    found = p4_schedule(schedules(0.08, 0.0, SMALLER, few=20), AREAS, {}, **STEPS)
    assert found.verdict == "undecided"
    assert "no sampler of 10 steps" in found.detail


def test_p4_compares_samplers_that_draw_equally_often():
    table = schedules(0.08, 0.0, SMALLER)
    table.loc[table["sampler"] == "few", "draws"] = 1
    assert "no sampler of 10 steps" in p4_schedule(table, AREAS, {}, **STEPS).detail


@pytest.mark.parametrize("missing", ["whole", "b"])
def test_p4_without_base_or_harder_schedules_is_not_tested(missing):
    table = schedules(0.08, 0.0, SMALLER)
    table = table[~table["mode"].str.startswith(missing)]
    assert p4_schedule(table, AREAS, {}, **STEPS).verdict == "not tested"


def three(base, improved, ahead):
    """Dice of diffusion, of it improved, and of feed-forward."""
    return pd.concat(
        scores(mode, dict(zip(MANY, means, strict=False)), "dice", networks=("one", "two"))
        for mode, means in (("e2", base), ("ce", improved), ("e1", ahead))
    )


NAMES = {"feed_forward": "e1", "diffusion": "e2", "improved": "ce", "resampling": FEW}


@pytest.mark.parametrize(
    ("improved", "verdict", "value"),
    [
        ([0.78, 0.68], "confirmed", 0.8),
        ([0.72, 0.62], "refuted", 0.2),
        ([0.75, 0.65], "undecided", 0.5),
        ([0.78, 0.62], "undecided", 0.5),
    ],
)
def test_p5(improved, verdict, value):
    found = p5_target(three([0.7, 0.6], improved, [0.8, 0.7]), {}, **NAMES)
    assert found.verdict == verdict
    assert found.value == pytest.approx(value)
    assert found.low < value < found.high
    assert "gap in d1 0.1 [" in found.detail


def test_p5_counts_only_datasets_with_a_gap():
    found = p5_target(three([0.7, 0.6], [0.78, 0.9], [0.8, 0.6]), {}, **NAMES)
    assert found.value == pytest.approx(0.8)
    assert "gap in d1" in found.detail
    assert "none beyond chance" in found.detail


def test_p5_without_a_gap_is_not_tested():
    found = p5_target(three([0.7, 0.6], [0.7, 0.6], [0.7, 0.5]), {}, **NAMES)
    assert found.verdict == "not tested"
    assert found.detail.count("none beyond chance") == 2
    assert p5_target(three([], [], []), {}, **NAMES).verdict == "not tested"


def ensembles(iou, ece, brier, draws=5):
    """By how much the ensemble's values are above those of diffusion, in each of two datasets."""
    tables = []
    for metric, more in (("iou", iou), ("ece", ece), ("brier", brier)):
        tables.append(scores("e2", {"a": 0.5, "b": 0.4}, metric))
        means = {"a": 0.5 + more, "b": 0.4 + more}
        tables.append(scores("ensemble", means, metric, draws=draws))
    return pd.concat(tables)


@pytest.mark.parametrize(
    ("differences", "verdict", "shown"),
    [
        ((0.02, -0.03, -0.02), "confirmed", "ece"),
        ((0.0, 0.0, 0.0), "confirmed", "ece"),
        ((-0.05, -0.03, -0.02), "refuted", "iou"),
        ((0.02, 0.03, -0.02), "refuted", "ece"),
        ((0.02, -0.03, 0.005), "undecided", "brier"),
    ],
)
def test_p6(differences, verdict, shown):
    found = p6_ensemble(
        ensembles(*differences), {}, ensemble="ensemble", diffusion="e2", resampling=FEW
    )
    assert found.verdict == verdict, found.detail
    assert found.statistic.endswith(shown)
    of = dict(zip(("iou", "ece", "brier"), differences, strict=True))[shown]
    assert found.value == pytest.approx(of if shown == "iou" else -of, abs=1e-9)


P6 = {"ensemble": "ensemble", "diffusion": "e2", "resampling": FEW}


def test_p6_needs_equal_draws_and_tells_missing_metrics():
    table = ensembles(0.02, -0.03, -0.02, draws=3)
    unequal = p6_ensemble(table, {}, **P6)
    assert unequal.verdict == "not tested"
    assert "ensemble (s) has N = 3 but e2 (s) has N = 5" in unequal.detail
    table = ensembles(0.02, -0.03, -0.02)
    found = p6_ensemble(table[table.metric != "brier"], {}, **P6)
    assert found.verdict == "undecided"
    assert "brier: not tested" in found.detail
    assert p6_ensemble(table[table["mode"] == "e2"], {}, **P6).verdict == "not tested"


def test_p6_takes_the_samplers_that_are_named():
    """Members of their own and other numbers of draws come first in the table."""
    better = ensembles(0.02, -0.03, -0.02).replace({"sampler": {"s": "five"}})
    single = ensembles(-0.2, 0.2, 0.2, draws=1).replace({"sampler": {"s": "one"}})
    many = better[better["mode"] == "e2"].assign(sampler="many", draws=25, value=0.0)
    table = pd.concat([single[single["mode"] == "ensemble"], many, better])
    assert "(one) has N = 1 but e2 (many) has N = 25" in p6_ensemble(table, {}, **P6).detail
    found = p6_ensemble(table, {}, samplers=("five", "five"), **P6)
    assert found.verdict == "confirmed"
    assert found == p6_ensemble(better, {}, **P6)
    other = p6_ensemble(table, {}, samplers=("five", "lost"), **P6)
    assert other.verdict == "not tested"
    assert "no such scores" in other.detail


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07], "confirmed"),
        ([0.07, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01], "refuted"),
        ([0.03, 0.06, 0.01, 0.07, 0.02, 0.05, 0.04], "undecided"),
        ([0.01, 0.02, 0.03, 0.04], "undecided"),
        ([0.01], "not tested"),
        ([], "not tested"),
    ],
)
def test_p7(gains, verdict):
    means = dict(zip(MANY, gains, strict=False))
    table = pd.concat(
        [
            scores("recycled", {d: 0.6 + more for d, more in means.items()}, "dice"),
            scores("e2", dict.fromkeys(means, 0.6), "dice"),
        ]
    )
    survival = fingerprints(log_snr_at_half=[0, -1, -2, -3, -4, -5, -6])
    found = p7_recycling(table, survival, {}, recycled="recycled", diffusion="e2", resampling=FEW)
    assert found.verdict == verdict
    if gains:
        assert "gain in Dice" in found.detail
    if len(gains) == 7:
        assert "d3: 0.0" in found.detail
        assert found.value == pytest.approx(spearmanr(gains, range(7)).statistic)


# Seeds -----------------------------------------------------------------------------------------


def test_intervals_over_datasets_draw_seeds_too():
    generator = np.random.default_rng(3)
    index = pd.MultiIndex.from_product(
        [["d"], [f"c{i}" for i in range(CASES)], [0, 1, 2]], names=["dataset", "case", "seed"]
    )
    effect = np.tile([-0.3, 0.0, 0.3], CASES)
    values = pd.DataFrame({"gain": effect + generator.normal(0.1, 0.05, len(index))}, index=index)
    found = findings.over_datasets(values, mean_of_datasets, {}, FEW)
    expected = bootstrap_mean(
        values["gain"],
        cases=list(index.get_level_values("case")),
        seeds=list(index.get_level_values("seed")),
        **FEW._asdict(),
    )
    assert tuple(found) == pytest.approx(tuple(expected))
    averaged = values.groupby(["dataset", "case"]).mean()
    without = findings.over_datasets(averaged, mean_of_datasets, {}, FEW)
    assert without.mean == pytest.approx(found.mean)
    assert found.high - found.low > 4 * (without.high - without.low)
