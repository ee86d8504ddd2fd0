"""The rule for verdicts, and what becomes of parts."""

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from noise2mask.analysis.claims.verdicts import (
    Outcome,
    Part,
    Said,
    across,
    apart,
    concluded,
    correlated,
    counted,
    decide,
    decided,
    finding_table,
    interval_text,
    over_datasets,
    scope_of,
    shared,
    together,
    untested,
)
from noise2mask.evaluation.bootstrap import Interval, Resampling, estimate_mean, rank_correlation
from noise2mask.evaluation.columns import COLUMNS

FEW = Resampling(399)
CASES = 24
SAID = Said("C0", "It is so.", "IoU")


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
def test_decided_by_an_interval(low, high, verdict):
    assert decided(Interval(0.2, low, high, 5), low=0, high=0.5) == verdict


def test_decided_by_interval_and_p():
    values = np.linspace(0.05, 0.15, 20)
    found = estimate_mean(values, resampling=FEW)
    assert decide(found, low=0) == "confirmed"
    assert decide(found, low=0.3) == "refuted"
    assert decide(found, low=found.interval().low + 1e-6) == "undecided"
    assert decide(found, low=0, high=1) == "confirmed"
    assert decide(found, low=0.2, high=1) == "refuted"
    assert decide(estimate_mean(values[:4], resampling=FEW), low=0) == "cannot be decided"
    assert decide(estimate_mean(values[:1], resampling=FEW), low=0) == "undecided"


def parts(*verdicts):
    return [Part(str(n), Interval(n, n, n, n), each, n / 10, 3) for n, each in enumerate(verdicts)]


@pytest.mark.parametrize(
    ("verdicts", "verdict", "shown"),
    [
        (("confirmed", "confirmed"), "confirmed", 0),
        (("confirmed", "undecided", "refuted"), "refuted", 2),
        (("confirmed", "not tested", "undecided"), "undecided", 2),
        (("confirmed", "not tested"), "undecided", 1),
        (("confirmed", "cannot be decided"), "cannot be decided", 1),
        (("undecided", "cannot be decided"), "undecided", 0),
        (("not tested", "not tested"), "not tested", 0),
        ((), "not tested", math.nan),
    ],
)
def test_a_finding_shows_the_part_that_decides(verdicts, verdict, shown):
    found = concluded(SAID, Outcome(parts(*verdicts), remark="small", reason="nothing there"))
    assert found.verdict == verdict == together(parts(*verdicts))
    assert found.value == pytest.approx(shown, nan_ok=True)
    assert found.remark == ("small" if verdicts else "nothing there")
    told = f": {shown}" if len(verdicts) > 1 else ""
    assert (found.name, found.objective) == ("C0", f"IoU{told}")


def test_reasons_withhold_a_verdict_and_keep_the_numbers():
    found = concluded(SAID, Outcome(parts("confirmed"), "so many"), ["a fraction of the budget"])
    assert (found.verdict, found.numbers) == ("not tested", "so many")
    assert found.remark == "a fraction of the budget"


def test_a_rule_that_was_chosen_later_is_told():
    later = replace(SAID, rule="after a first look at phantoms")
    assert concluded(later, Outcome(parts("confirmed"))).remark == (
        "rule chosen after a first look at phantoms"
    )


def test_open_places_of_a_statement_are_filled():
    said = Said("P0", "{first} beats {second}.", "IoU")
    found = concluded(said, Outcome(parts("refuted"), stated={"first": "a", "second": "b"}))
    assert found.statement == "a beats b."


def test_a_verdict_is_about_these_networks_below_three_seeds():
    assert [scope_of(seeds) for seeds in (0, 1, 2, 3)] == [
        "", "these trained networks (1 seed)", "these trained networks (2 seeds)", "3 seeds",
    ]  # fmt: skip


def test_the_tables_have_the_columns_of_the_contract():
    table = finding_table([untested(SAID, "no data"), concluded(SAID, Outcome(parts("refuted")))])
    assert tuple(table.columns) == COLUMNS["claims"] == COLUMNS["hypotheses"]
    assert table.verdict.tolist() == ["not tested", "refuted"]
    assert finding_table([]).empty


# Over datasets -------------------------------------------------------------------------------


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
    found = across("x", values, {}, FEW, low=0)
    expected = estimate_mean(values.value, resampling=FEW)
    assert found.interval == pytest.approx(expected.interval())
    assert found.p == pytest.approx(expected.p())
    halves = {key: str(n % 12) for n, key in enumerate(values.index)}
    grouped = across("x", values, halves, FEW, low=0)
    assert grouped.interval.mean == pytest.approx(0.1)
    assert grouped.interval.n == 12


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
    found = across("x", values, {}, FEW, low=0)
    assert found.verdict == verdict
    if means:
        assert found.interval.mean == pytest.approx(np.mean(list(means.values())))
        assert all(name in found.note for name in means)


def test_datasets_weigh_the_same_whatever_their_size():
    values = pd.concat([per_case({"a": 0.1}, cases=40), per_case({"b": 0.3}, cases=5)])
    found = across("x", values, {}, FEW, low=0)
    assert found.interval.mean == pytest.approx(0.2)
    assert found.interval.n == 45


def test_a_dataset_of_one_slide_leaves_the_mean_and_is_named():
    """With it the sign turns: two tiles of one slide against sixty patients."""
    values = pd.concat([per_case({"a": 0.01, "b": 0.02}), per_case({"c": -0.4}, cases=2)])
    one_slide = {("c", "c0"): "slide", ("c", "c1"): "slide"}
    found = across("x", values, one_slide, FEW, low=0)
    assert found.interval.mean == pytest.approx(0.015)
    assert found.verdict == "confirmed"
    assert "left out: c, one unit each" in found.note


def test_seeds_are_part_of_the_interval():
    generator = np.random.default_rng(3)
    index = pd.MultiIndex.from_product(
        [["d"], [f"c{i}" for i in range(CASES)], [0, 1, 2]], names=["dataset", "case", "seed"]
    )
    effect = np.tile([-0.3, 0.0, 0.3], CASES)
    values = pd.DataFrame({"gain": effect + generator.normal(0.1, 0.05, len(index))}, index=index)
    found = across("x", values, {}, FEW, low=0)
    assert (found.seeds, found.verdict) == (3, "undecided")
    averaged = values.groupby(["dataset", "case"]).mean()
    without = across("x", averaged, {}, FEW, low=0)
    assert without.interval.mean == pytest.approx(found.interval.mean)
    assert (without.seeds, without.verdict) == (1, "confirmed")


def test_a_statistic_of_several_columns():
    values = per_case({"a": 0.1, "b": 0.2}).assign(other=1.0)

    def ratio(means):
        return means[..., 0].mean(-1) / means[..., 1].mean(-1)

    found = over_datasets(values, ratio, {}, FEW)
    assert found.mean == pytest.approx(0.15)
    assert found.n == 2 * CASES


# Rank correlations ---------------------------------------------------------------------------


@pytest.mark.parametrize("y", [[1, 2, 3, 4, 5], [5, 1, 4, 2, 2], [1, 3, 2, 5, 4]])
def test_permutation_p_counts_orders(y):
    x = np.array([1.0, 2, 3, 4, 5])
    found = abs(spearmanr(x, y).statistic)
    every = [abs(spearmanr(x, order).statistic) for order in permutations(y)]
    expected = np.mean(np.array(every) >= found - 1e-9)
    assert rank_correlation(x, y).p == pytest.approx(expected)


def ranked(values):
    return pd.Series(values, index=[f"d{n}" for n in range(len(values))], dtype=float)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], "confirmed"),
        ([8, 7, 6, 5, 4, 3, 2, 1], "refuted"),
        ([1, 2, 4, 3, 8, 5, 6, 7], "undecided"),
        ([1, 2, 3, 4], "cannot be decided"),  # too few, however well ordered
        ([1, 2], "not tested"),
        ([3, 3, 3, 3, 3, 3], "not tested"),
    ],
)
def test_rank_correlation(values, verdict):
    order = ranked(range(len(values)))
    found = correlated("x", ranked(values), order[::-1], FEW, low=0.5)
    assert found.verdict == verdict
    if verdict != "not tested":
        assert found.interval.mean == pytest.approx(spearmanr(values, order).statistic)
        assert found.interval.n == len(values)


def test_few_datasets_need_more_than_a_bootstrap():
    """Ten orders in 120 correlate as strongly as these."""
    order = ranked(range(5))
    found = correlated("x", ranked([1, 2, 3, 5, 4]), order, FEW, low=0)
    assert found.interval.low > 0
    assert found.verdict == "undecided"
    assert found.p == pytest.approx(10 / 120)
    less = correlated("x", ranked([4, 1, 2, 3]), order[:4], FEW, low=0.5)
    assert "fewer than 5 datasets" in less.note


def test_shuffled_datasets_are_not_correlated():
    """The null control: of many shuffles about one in twenty passes."""
    generator = np.random.default_rng(0)
    order = ranked(range(12))
    found = [
        correlated("x", ranked(generator.permutation(12)), order, FEW, low=0).verdict
        for _ in range(40)
    ]
    assert found.count("confirmed") <= 4


# Words ---------------------------------------------------------------------------------------


def test_words():
    assert shared([]) == "not tested"
    assert shared(["refuted", "refuted"]) == "refuted"
    assert shared(["confirmed", "undecided"]) == "undecided"
    assert counted(["refuted", "confirmed", "refuted"], "curve") == (
        "confirmed in 1, refuted in 2 of 3 curves"
    )
    assert interval_text(Interval(0.01234, -0.001, 0.02, 3), 3, sign=True) == (
        "+0.012 [-0.001, 0.020]"
    )
    assert interval_text(Interval(0.5, math.nan, math.nan, 3), 1) == "0.5"
    assert apart(Interval(1, 0, 2, 5), Interval(3, 2, 5, 5)) == (-2, -5, 0, 5)
