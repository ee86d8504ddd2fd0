"""Predictions on scores: made-up tables whose verdict is known, and null controls."""

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_evidence import evidence, judged
from scipy.stats import spearmanr, ttest_1samp

from noise2mask.analysis.claims.predictions import p3, p4, p5, p6, p7, p8
from noise2mask.evaluation.columns import COLUMNS

CASES = 24


# P3 ------------------------------------------------------------------------------------------


def information(bits, entropy):
    rows = []
    for dataset, (value, whole) in enumerate(zip(bits, entropy, strict=True)):
        looser = (2 + 50 * (dataset % 2)) * whole
        for estimate, number in (
            ("covariance", value), ("entropy", looser), ("entropy_oracle", whole),
        ):  # fmt: skip
            rows.append(
                (f"d{dataset}", "net", estimate, number, 0, 0, number / 100, 0, 0, 0, "", 9)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS["information"]))


def summary(dice):
    rows = [
        (f"d{dataset}", "net", "ff", sampler, 1, np.nan, 1, "dice", value - late, 0, 1, 9, 9, 1)
        for dataset, value in enumerate(dice)
        for sampler, late in (("one_pass", 0), ("other", value * 2))
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS["summary"]))


DICE = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


@pytest.mark.parametrize(
    ("bits", "verdict"),
    [
        ([1, 2, 3, 4, 5, 6, 7], "confirmed"),
        ([7, 6, 5, 4, 3, 2, 1], "refuted"),
        ([1, 4, 2, 3, 7, 5, 6], "undecided"),
        ([1, 2, 3, 4], "cannot be decided"),
        ([1], "not tested"),
        ([], "not tested"),
    ],
)
def test_p3(bits, verdict):
    entropy = [10 + value**3 for value in bits]  # so the share falls where the bits rise
    known = evidence(information=information(bits, entropy), summary=summary(DICE))
    found = judged(p3, known, feed_forward="ff")
    assert found.verdict == verdict
    if len(bits) > 4:
        shares = np.array(bits) / entropy
        assert found.value == pytest.approx(spearmanr(bits, DICE).statistic)
        other = spearmanr(shares, DICE).statistic
        assert f"share of the mask's entropy: {other:.3g}" in found.numbers
        assert found.n == 7


# P4 to P8 ------------------------------------------------------------------------------------


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
    return pd.DataFrame(rows, columns=list(COLUMNS["metrics"]))


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
STEPS = {"scales": SCALES, "samplers": ("few", "full")}


def told4(metrics):
    return judged(p4, evidence(metrics=metrics, fingerprints=AREAS), **STEPS)


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
    found = told4(schedules(raised, lost, best))
    assert found.verdict == verdict, found.numbers
    assert shown in found.objective
    assert "few against full" in found.numbers
    assert ("8 steps are within" in found.numbers) == (lost < 0.01)
    if shown == "(a)":
        assert found.value == pytest.approx(raised + 0.05 / 3)
    if shown == "(b)":
        assert found.value == pytest.approx(-lost)


def test_p4_of_one_dataset_cannot_be_confirmed():
    found = told4(schedules(0.08, 0.0, [0.1]))
    assert found.verdict == "undecided"
    assert "(c)" in found.objective
    assert "three datasets needed, got 1" in found.numbers


def test_p4_without_few_steps_says_so():
    found = told4(schedules(0.08, 0.0, SMALLER, few=20))
    assert found.verdict == "undecided"
    assert "no sampler of 10 steps" in found.numbers


def test_p4_compares_samplers_that_draw_equally_often():
    table = schedules(0.08, 0.0, SMALLER)
    table.loc[table["sampler"] == "few", "draws"] = 1
    assert "no sampler of 10 steps" in told4(table).numbers


@pytest.mark.parametrize("missing", ["whole", "b"])
def test_p4_without_base_or_harder_schedules_is_not_tested(missing):
    table = schedules(0.08, 0.0, SMALLER)
    table = table[~table["mode"].str.startswith(missing)]
    assert told4(table).verdict == "not tested"


def three(base, improved, ahead, squared=None):
    """Dice of diffusion, of it improved, of feed-forward, and of x_0 with squared error."""
    modes = [("e2", base), ("ce", improved), ("e1", ahead)]
    modes.append(("x0", [mean - 0.05 for mean in improved] if squared is None else squared))
    return pd.concat(
        scores(mode, dict(zip(MANY, means, strict=False)), "dice", networks=("one", "two"))
        for mode, means in modes
    )


NAMES = {"feed_forward": "e1", "diffusion": "e2", "improved": "ce", "squared": "x0"}


def told5(metrics, **names):
    return judged(p5, evidence(metrics=metrics), **(NAMES | names))


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
    found = told5(three([0.7, 0.6], improved, [0.8, 0.7]))
    assert found.verdict == verdict
    assert f"(a) target and loss: {value:.3g} [" in found.numbers
    assert "gap in d1 0.100 [" in found.numbers
    assert found.statement == (
        "ce removes more than half of the gap in Dice of e2 to e1, and its loss adds to what x0 "
        "removes of it."
    )
    if verdict == "refuted":
        assert found.value == pytest.approx(value)
        assert found.low < value < found.high


@pytest.mark.parametrize(
    ("squared", "verdict"),
    [([0.74, 0.64], "confirmed"), ([0.8, 0.7], "refuted"), ([0.78, 0.68], "undecided")],
)
def test_p5_asks_what_the_loss_adds_to_the_target(squared, verdict):
    found = told5(three([0.7, 0.6], [0.78, 0.68], [0.8, 0.7], squared))
    assert found.verdict == verdict
    added = 10 * (0.78 - squared[0])
    assert f"(b) the loss beyond the target: {added:.3g}" in found.numbers or not added


def test_p5_without_the_target_alone_is_undecided():
    found = told5(three([0.7, 0.6], [0.78, 0.68], [0.8, 0.7]), squared=None)
    assert found.verdict == "undecided"
    assert "no mode `squared` is named" in found.numbers


def test_p5_counts_only_datasets_with_a_gap():
    found = told5(three([0.7, 0.6], [0.78, 0.9], [0.8, 0.6]))
    assert "(a) target and loss: 0.8 [" in found.numbers
    assert "gap in d1" in found.numbers
    assert "none beyond chance" in found.numbers


def test_p5_without_a_gap_is_not_tested():
    found = told5(three([0.7, 0.6], [0.7, 0.6], [0.7, 0.5]))
    assert found.verdict == "not tested"
    assert found.remark.count("none beyond chance") == 2
    assert told5(three([], [], [])).verdict == "not tested"


def told6(metrics, samplers=None):
    known = evidence(metrics=metrics)
    return judged(p6, known, ensemble="ensemble", diffusion="e2", samplers=samplers)


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
        ((0.02, -0.03, -0.02), "confirmed", "IoU"),
        ((0.0, 0.0, 0.0), "confirmed", "IoU"),
        ((-0.05, -0.03, -0.02), "refuted", "IoU"),
        ((0.02, 0.03, -0.02), "confirmed", "IoU"),  # worse in ECE per case, which is shown alone
        ((0.02, -0.03, 0.02), "refuted", "Brier"),
        ((0.02, -0.03, 0.005), "undecided", "Brier"),
    ],
)
def test_p6(differences, verdict, shown):
    found = told6(ensembles(*differences))
    assert found.verdict == verdict, found.numbers
    assert found.objective.endswith(f": {shown}")
    of = differences[0] if shown == "IoU" else -differences[2]
    assert found.value == pytest.approx(of, abs=1e-9)
    assert f"beside it ECE per case: {-differences[1]:.3g} [" in found.numbers or not differences[1]


def test_an_ensemble_that_is_worse_by_the_margin_does_not_match():
    """The null control of P6: at the end of the region, not inside."""
    found = told6(ensembles(-0.01, 0.0, 0.005))
    assert found.verdict == "undecided"


def test_p6_needs_equal_draws_and_tells_missing_metrics():
    table = ensembles(0.02, -0.03, -0.02, draws=3)
    unequal = told6(table)
    assert unequal.verdict == "not tested"
    assert "ensemble (s) has N = 3 but e2 (s) has N = 5" in unequal.remark
    table = ensembles(0.02, -0.03, -0.02)
    found = told6(table[table.metric != "brier"])
    assert found.verdict == "undecided"
    assert "Brier: not tested" in found.numbers
    assert told6(table[table["mode"] == "e2"]).verdict == "not tested"


def test_p6_takes_the_samplers_that_are_named():
    """Members of their own and other numbers of draws come first in the table."""
    better = ensembles(0.02, -0.03, -0.02).replace({"sampler": {"s": "five"}})
    single = ensembles(-0.2, 0.2, 0.2, draws=1).replace({"sampler": {"s": "one"}})
    many = better[better["mode"] == "e2"].assign(sampler="many", draws=25, value=0.0)
    table = pd.concat([single[single["mode"] == "ensemble"], many, better])
    assert "(one) has N = 1 but e2 (many) has N = 25" in told6(table).remark
    found = told6(table, samplers=("five", "five"))
    assert found.verdict == "confirmed"
    assert (found.value, found.numbers) == (told6(better).value, told6(better).numbers)
    other = told6(table, samplers=("five", "lost"))
    assert other.verdict == "not tested"
    assert "no scores of both ensemble and e2" in other.remark


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07], "confirmed"),
        ([0.07, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01], "refuted"),
        ([0.03, 0.06, 0.01, 0.07, 0.02, 0.05, 0.04], "undecided"),
        ([0.01, 0.02, 0.03, 0.04], "cannot be decided"),
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
    known = evidence(metrics=table, fingerprints=survival)
    found = judged(p7, known, recycled="recycled", diffusion="e2")
    assert found.verdict == verdict
    if gains:
        assert "gain in Dice" in found.numbers
    if len(gains) == 7:
        assert "d3: 0.0" in found.numbers
        assert found.value == pytest.approx(spearmanr(gains, range(7)).statistic)


def over_sets(gains, *, seeds=3, groups=None):
    """P8 on a difference in Dice for each dataset, trained with several seeds."""
    sides = {"matched": gains, "ff": [0.0] * len(gains)}
    tables = [
        scores(mode, {f"d{n}": 0.6 + more for n, more in enumerate(means)}, "dice").assign(
            seed=seed
        )
        for mode, means in sides.items()
        for seed in range(seeds)
    ]
    known = evidence(metrics=pd.concat(tables), groups=groups)
    return judged(p8, known, diffusion="matched", feed_forward="ff")


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([0.05, 0.06, 0.04, 0.07, 0.05, 0.03, 0.06, 0.05], "confirmed"),
        ([-0.05, -0.06, -0.04, -0.07, -0.05, -0.03, -0.06, -0.05], "refuted"),
        ([0.05, -0.06, 0.04, -0.07, 0.05, -0.03, 0.06, -0.05], "undecided"),
        ([0.05, 0.05, 0.06, 0.04], "cannot be decided"),
    ],
)
def test_p8(gains, verdict):
    found = over_sets(gains)
    assert found.verdict == verdict
    assert (found.n, found.seeds) == (len(gains), 3)
    assert found.value == pytest.approx(np.mean(gains))
    assert "resolvable" in found.numbers


def test_the_unit_of_p8_is_the_dataset():
    """As wide as the t-interval of the means of sets, not as one over all cases."""
    gains = np.random.default_rng(3).normal(0.02, 0.03, 12)
    found = over_sets(gains, seeds=1)
    t = ttest_1samp(gains, 0).confidence_interval()
    assert found.high - found.low == pytest.approx(t.high - t.low, rel=0.15)


def test_a_set_of_one_unit_is_left_out_of_p8():
    one = {("d0", f"c{case}"): "slide" for case in range(CASES)}
    found = over_sets([0.9, *[0.0] * 7], groups=one)
    assert (found.n, found.value) == (7, pytest.approx(0, abs=1e-9))
    assert "left out: d0" in found.numbers
    assert over_sets([]).verdict == "not tested"


# Null controls -------------------------------------------------------------------------------


def test_shuffled_bits_confirm_no_p3():
    generator, found = np.random.default_rng(1), []
    for _ in range(12):
        bits = generator.permutation(7) + 1.0
        known = evidence(information=information(bits, 10 + bits**3), summary=summary(DICE))
        found.append(judged(p3, known, feed_forward="ff").verdict)
    assert found.count("confirmed") <= 1


@pytest.mark.parametrize("draw", range(3))
def test_schedules_that_do_not_differ_confirm_no_p4(draw):
    best = np.random.default_rng(draw).choice([0.3, 0.2, 0.1], 7)
    assert told4(schedules(0.0, 0.0, best)).verdict != "confirmed"


def test_a_target_and_loss_without_effect_confirm_no_p5():
    same = three([0.7, 0.6], [0.7, 0.6], [0.8, 0.7], [0.7, 0.6])
    assert told5(same).verdict == "refuted"


def test_gains_without_an_order_confirm_no_p7():
    generator, found = np.random.default_rng(2), []
    survival = fingerprints(log_snr_at_half=[0, -1, -2, -3, -4, -5, -6])
    base = scores("e2", dict.fromkeys(MANY, 0.6), "dice")
    for _ in range(6):
        means = {d: 0.6 + more for d, more in zip(MANY, generator.normal(0, 0.03, 7), strict=True)}
        known = evidence(
            metrics=pd.concat([scores("recycled", means, "dice"), base]), fingerprints=survival
        )
        found.append(judged(p7, known, recycled="recycled", diffusion="e2").verdict)
    assert found.count("confirmed") <= 1


def test_two_untrained_networks_confirm_no_p8():
    generator, found = np.random.default_rng(4), []
    for _ in range(12):
        found.append(over_sets(generator.normal(0, 0.01, 8), seeds=1).verdict)
    assert found.count("undecided") >= 10
