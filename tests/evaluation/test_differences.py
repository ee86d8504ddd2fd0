"""Paired differences of made-up scores: comparisons, verdicts and published quirks."""

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest

from noise2mask.evaluation.bootstrap import Interval, Resampling, estimate_difference, holm
from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.differences import (
    PLANNED,
    Pair,
    by_case,
    comparison_table,
    difference_of,
    first_sampler,
    first_samplers,
    gain,
    judged,
    paired,
    planned,
    quirk_table,
    step_count,
    step_counts,
    verdict_of,
)
from noise2mask.evaluation.pooled import SUMS
from noise2mask.study.schema import Quirk

FEW = Resampling(399)
NO_HISTOGRAMS = pd.DataFrame(
    columns=["dataset", "network", "mode", "sampler", "seed", "case", "region", "bin", *SUMS]
)


def scores_of(values, *, metric="iou", dataset="d", network="net", seed=0, steps=10, draws=5):
    """A table `metrics` from (mode, sampler) to the values of the cases."""
    rows = []
    for (mode, sampler), column in values.items():
        where = ("study", dataset, network, mode, seed, sampler, steps, draws)
        rows += [(*where, f"c{number}", metric, value) for number, value in enumerate(column)]
    return pd.DataFrame(rows, columns=list(COLUMNS["metrics"]))


def compared(metrics, pairs, groups=None, **options):
    return comparison_table(
        metrics, NO_HISTOGRAMS, [Pair(*pair) for pair in pairs], groups or {}, resampling=FEW,
        **options,
    )  # fmt: skip


# Samplers and pairs ---------------------------------------------------------------------------


def test_step_count():
    assert [step_count(each) for each in (10, "10", "ddim25")] == [10, 10, 25]
    with pytest.raises(ValueError, match="ddimN"):
        step_count("many")


def test_the_first_sampler_is_that_of_a_trained_network():
    blind = scores_of({("none", "mean_mask"): [0.1]}, network="blind")
    table = pd.concat([
        blind, scores_of({("a", "s1"): [1], ("a", "s0"): [1]}),
        scores_of({("b", "s2"): [1]}, steps=3),
    ])  # fmt: skip
    assert first_samplers(table) == {"a": "s1", "b": "s2"}
    assert first_sampler(table, "none") is None
    assert step_counts(table) == {"s1": 10, "s0": 10, "s2": 3}


def test_seeds_are_paired_where_both_have_them_and_averaged_otherwise():
    one = pd.concat([scores_of({("a", "s"): [0.1, 0.2]}, seed=seed) for seed in (0, 1)])
    other = pd.concat([scores_of({("b", "s"): [0.0, 0.1 * seed]}, seed=seed) for seed in (0, 1)])
    both = paired(by_case(one, "iou", "a", "s"), by_case(other, "iou", "b", "s"))
    assert set(both.index.get_level_values("seed")) == {0, 1}
    alone = by_case(other[other["seed"] == 1], "iou", "b", "s")
    averaged = paired(by_case(one, "iou", "a", "s"), alone)
    assert set(averaged.index.get_level_values("seed")) == {-1}
    assert averaged["other"].tolist() == [0.0, 0.1]


def test_a_gain_is_the_mean_over_networks_that_both_modes_have():
    table = pd.concat([
        scores_of({("a", "s"): [0.5, 0.6], ("b", "s"): [0.4, 0.4]}),
        scores_of({("a", "s"): [0.1, 0.2], ("b", "s"): [0.2, 0.2]}, network="other"),
        scores_of({("a", "s"): [9.0, 9.0]}, network="alone"),
    ])  # fmt: skip
    assert gain(table, "iou", "a", "b").tolist() == pytest.approx([0.0, 0.1])


# Comparisons ----------------------------------------------------------------------------------


def test_modes_are_compared_under_shared_samplers_and_corrected_in_one_family():
    generator = np.random.default_rng(1)
    tables = []
    for metric in ("iou", "brier", "dice"):
        for mode, shift in (("a", 0.05), ("b", 0.0), ("c", -0.02)):
            values = generator.normal(0.5 + shift, 0.05, 12)
            samplers = {"a": ("s1", "s2"), "b": ("s2", "s1"), "c": ("s3", "s4")}[mode]
            tables += [scores_of({(mode, name): values}, metric=metric) for name in samplers]
    metrics = pd.concat(tables)
    pairs = [("a", "b", "own"), ("a", "c", "matched"), ("a", "absent")]
    table = compared(metrics, pairs)
    assert list(table.columns) == list(COLUMNS["comparisons"])
    assert table.groupby(["loss", "first", "second"])["sampler"].unique().map(list).to_dict() == {
        ("own", "a", "b"): ["s1", "s2"],
        ("matched", "a", "c"): ["s1 / s3"],
    }
    family = table["metric"].isin(PLANNED)
    assert family.sum() == 6
    np.testing.assert_allclose(table["p_holm"][family], holm(table["p"][family]))
    assert table["p_holm"][~family].isna().all()
    assert (table["verdict"] == "").eq(~family).all()
    assert len(planned(table)) == 6
    row = table[(table["second"] == "c") & (table["metric"] == "dice")].iloc[0]
    one, other = (
        metrics[(metrics["mode"] == m) & (metrics.metric == "dice") & (metrics.sampler == s)].value
        for m, s in (("a", "s1"), ("c", "s3"))
    )
    expected = estimate_difference(one, other, resampling=FEW)
    assert (row.difference, row.low, row.high) == pytest.approx(expected.interval()[:3])
    assert (row.p, row.n, row.seeds) == pytest.approx((expected.p(), 12, 1))
    assert row.resolvable == pytest.approx(expected.resolvable())
    assert row.first_mean - row.second_mean == pytest.approx(row.difference)


def test_what_a_family_resolves_is_larger_than_what_one_comparison_does():
    generator = np.random.default_rng(0)
    values = {(mode, "s"): generator.normal(size=40) for mode in ("a", "b")}
    metrics = pd.concat([scores_of(values), scores_of(values, metric="dice")])
    many = compared(metrics, [("a", "b", f"{number}") for number in range(4)])
    family = many[many["metric"] == "iou"]["resolvable"]
    assert (family.to_numpy() > 1.15 * many[many["metric"] == "dice"]["resolvable"].iloc[0]).all()


def test_units_and_seeds_are_counted_and_trainings_of_one_seed_paired():
    luck, gains = {0: 0.0, 1: 0.3, 2: -0.2}, {0: 0.02, 1: 0.10, 2: 0.06}
    base = np.linspace(0.1, 0.4, 12)
    metrics = pd.concat([
        scores_of({(mode, "s"): base + luck[seed] + gains[seed] * (mode == "a")}, seed=seed)
        for mode, seed in product("ab", luck)
    ])  # fmt: skip
    groups = {("d", f"c{number}"): f"p{number // 2}" for number in range(12)}
    (row,) = compared(metrics, [("a", "b")], groups).itertuples()
    assert (row.difference, row.n, row.seeds) == (pytest.approx(0.06), 6, 3)
    half = 0.04 / math.sqrt(3) * 4.303  # cases do not differ: Student over three seeds
    assert row.high - row.difference == pytest.approx(half, rel=0.3)


def test_modes_of_other_seeds_are_compared_by_their_means():
    members = [scores_of({("a", "s"): [0.2 * seed] * 2}, seed=seed) for seed in (1, 2, 3)]
    table = compared(pd.concat([*members, scores_of({("b", "s"): [0.1, 0.1]})]), [("a", "b")])
    assert (table["difference"][0], table["n"][0], table["seeds"][0]) == (pytest.approx(0.3), 2, 1)


def test_cases_that_one_side_lacks_are_left_out():
    metrics = pd.concat([
        scores_of({("a", "s"): [0.1, np.nan, 0.5, 0.9]}), scores_of({("b", "s"): [0.2, 0.3, 0.1]}),
    ])  # fmt: skip
    row = compared(metrics, [("a", "b")]).iloc[0]
    assert row.n == 2
    assert (row.first_mean, row.second_mean) == pytest.approx((0.3, 0.15))
    assert row.verdict == "cannot be decided with 2"


def test_no_scores_are_an_empty_table():
    table = compared(scores_of({}), [("a", "b")])
    assert table.empty
    assert list(table.columns) == list(COLUMNS["comparisons"])


def test_a_null_comparison_gets_no_verdict_about_as_often_as_it_should():
    generator, found = np.random.default_rng(5), []
    for _ in range(60):
        values = {(mode, "s"): generator.exponential(size=20) for mode in ("a", "b")}
        found += compared(scores_of(values), [("a", "b")])["verdict"].tolist()
    assert sum(word != "undecided" for word in found) <= 7  # of 60, 3 by chance


def histograms_of_modes(gaps, cases=20):
    """Histograms of two bins: mode to how far confidence is above frequency, case by case."""
    rows = []
    for (mode, gap), case in product(gaps.items(), range(cases)):
        sign = 1 if case % 2 else -1
        for bin, confidence in ((0, 20.0), (1, 80.0)):
            shift = gap * 100 * (sign if mode == "cancels" else 1) * (1 + case % 7 / 50)
            rows.append(
                ("d", "net", mode, "s", 0, f"c{case}", "all", bin, 100, confidence,
                 confidence - shift)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(NO_HISTOGRAMS.columns))


def test_pooled_errors_are_compared_beside_those_of_cases():
    gaps = {"cancels": 0.1, "plain": 0.04}
    metrics = pd.concat([
        scores_of({("cancels", "s"): [0.1] * 20, ("plain", "s"): [0.04] * 20}, metric="ece"),
    ])  # fmt: skip
    table = comparison_table(
        metrics, histograms_of_modes(gaps), [Pair("cancels", "plain")], {}, resampling=FEW
    ).set_index("metric")
    assert table.loc["ece", "difference"] == pytest.approx(0.06)
    assert table.loc["ece_pooled", "difference"] == pytest.approx(-0.04, abs=0.004)  # it turns
    assert table.loc["ece_pooled", "first_mean"] == pytest.approx(0.0, abs=0.002)
    assert table.loc["ece_pooled", "n"] == 20
    assert table.loc["ece_pooled", "high"] < 0


# Verdicts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends", "p_holm", "able", "better", "word"),
    [
        ((0.1, 0.3), 0.01, True, 1, "first better"),
        ((-0.3, -0.1), 0.01, True, 1, "second better"),
        ((0.1, 0.3), 0.01, True, -1, "second better"),
        ((0.1, 0.3), 0.01, True, 0, "first higher"),
        ((0.1, 0.3), 0.05, True, 1, "undecided"),  # the interval alone
        ((-0.1, 0.3), 0.01, True, 1, "undecided"),  # the p-value alone
        ((0.1, 0.3), 0.06, False, 1, "cannot be decided with 7"),
        ((math.nan, math.nan), math.nan, True, 1, "cannot be decided with 7"),
    ],
)
def test_a_verdict_needs_interval_and_p(ends, p_holm, able, better, word):
    interval = Interval(np.mean(ends), *ends, 7)
    assert verdict_of(interval, p_holm, able, better) == word


def test_nine_units_cannot_decide_in_a_large_family():
    nine = estimate_difference(1 + np.arange(9) / 100, np.zeros(9), resampling=FEW)
    keys = pd.DataFrame({"metric": ["iou"] * 18})
    (word,) = set(judged(keys, [nine] * 18, PLANNED)["verdict"])
    assert word == "cannot be decided with 9"
    alone = judged(keys[:1], [nine], PLANNED)
    assert alone["verdict"].tolist() == ["first better"]


def test_difference_of_rows_without_a_pair_says_nothing():
    both = paired(*(by_case(scores_of({("a", "s"): [1.0]}), "iou", "a", "s"),) * 2)[:0]
    found = difference_of(both.reset_index(["dataset", "network"], drop=True), [], FEW)
    assert math.isnan(found.first)
    assert found.estimate.n == 0


# Quirks ---------------------------------------------------------------------------------------

CASES = [f"case{number}" for number in range(8)]
GROUPS = {("a", case): f"patient{number // 2}" for number, case in enumerate(CASES)}
QUIRKS = {
    "jpeg": Quirk(title="kept as | JPEG", readings={"ddim": "jpeg", "one_pass": "one_pass_jpeg"}),
    "grown": Quirk(title="grown masks", datasets={"a": "a_grown"}),
    "chosen": Quirk(title="chosen on test", datasets={"a": "a_chosen"}),
}


def level(case, seed):
    return 0.5 + 0.03 * case + 0.01 * seed


ADDED = {"jpeg": 0.02, "one_pass_jpeg": -0.01, "a_grown": 0.1, "a_chosen": 0.005}
"""What a reading or a dataset adds to the Dice of every case."""


def scores(datasets=("a", "a_grown", "a_chosen"), seeds=(0, 1)):
    """A table `metrics`: what a quirk adds, and a little more in odd cases."""
    rows = []
    for dataset in datasets:
        for mode, samplers in (
            ("feed_forward", ("one_pass", "one_pass_jpeg")),
            ("diffusion", ("ddim", "jpeg")),
        ):
            for sampler in samplers:
                for seed in seeds:
                    for number, case in enumerate(CASES):
                        added = ADDED.get(dataset, 0) + ADDED.get(sampler, 0)
                        dice = level(number, seed) + added * (1 + 0.1 * (number % 2))
                        where = ("s", dataset, "unet", mode, seed, sampler, 1, 1, case)
                        rows += [(*where, "dice", dice), (*where, "ece", 1 - dice)]
    return pd.DataFrame(rows, columns=list(COLUMNS["metrics"]))


def against():
    """The predictions on grown masks, against masks that were not grown."""
    found = scores(("a_grown",))
    return found.assign(value=found["value"] - 0.2)


def made(metrics=None, again=None, groups=GROUPS):
    metrics = scores() if metrics is None else metrics
    again = against() if again is None else again
    return quirk_table(metrics, QUIRKS, groups, against=again, resampling=FEW)


def test_each_quirk_is_measured_alone_and_named_after_what_is_proper():
    table = made()
    assert list(table.columns) == list(COLUMNS["quirks"])
    found = table[table["metric"] == "dice"].set_index(["quirk", "mode"])
    assert set(table["dataset"]) == {"a"}
    assert set(table["sampler"]) == {"ddim", "one_pass"}
    assert set(table["metric"]) == {"dice", "ece"}
    assert len(table) == 3 * 2 * 2  # quirks, modes, metrics: no quirk on top of another
    added = {("jpeg", "diffusion"): 0.02, ("jpeg", "feed_forward"): -0.01}
    added |= {("grown", mode): 0.1 for mode in ("diffusion", "feed_forward")}
    added |= {("chosen", mode): 0.005 for mode in ("diffusion", "feed_forward")}
    assert found["difference"].to_dict() == pytest.approx({k: 1.05 * v for k, v in added.items()})
    assert (found["n"] == 4).all()  # patients of two cases
    assert (found["seeds"] == 2).all()
    proper = np.mean([level(number, seed) for number in range(8) for seed in (0, 1)])
    assert found["proper"].tolist() == pytest.approx([proper] * 6)
    np.testing.assert_allclose(found["published"] - found["proper"], found["difference"])
    assert table["title"].tolist() == [QUIRKS[name].title for name in table["quirk"]]


def test_only_what_changes_masks_is_scored_against_proper_ones():
    table = made().set_index("quirk")
    assert table.loc[["jpeg", "chosen"], "against_proper"].isna().all()
    np.testing.assert_allclose(
        table.loc["grown", "against_proper"], table.loc["grown", "published"] - 0.2
    )


def test_intervals_are_paired_over_groups_and_seeds():
    row = made().query("quirk == 'jpeg' and metric == 'dice' and mode == 'diffusion'").iloc[0]
    wide = scores().query("metric == 'dice' and dataset == 'a'").set_index(["seed", "case"])
    first = wide[wide["sampler"] == "jpeg"]["value"]
    second = wide[wide["sampler"] == "ddim"]["value"].reindex(first.index)
    cases = list(first.index.get_level_values("case"))
    expected = estimate_difference(
        first, second, units=[GROUPS["a", case] for case in cases],
        seeds=list(first.index.get_level_values("seed")), resampling=FEW,
    )  # fmt: skip
    assert tuple(row[["difference", "low", "high"]]) == pytest.approx(expected.interval()[:3])
    assert (row["p"], row["n"]) == pytest.approx((expected.p(), 4))


def test_the_order_of_rows_and_seeds_of_one_side_only_do_not_matter():
    metrics = scores()
    shuffled = metrics.sample(frac=1, random_state=0)
    keys = ["quirk", "mode", "metric"]
    one, other = (made(table).sort_values(keys, ignore_index=True) for table in (metrics, shuffled))
    pd.testing.assert_frame_equal(one, other)
    missing = metrics[~((metrics["sampler"] == "jpeg") & (metrics["seed"] == 1))]
    row = made(missing).query("quirk == 'jpeg' and metric == 'dice' and mode == 'diffusion'")
    assert row["proper"].item() == pytest.approx(np.mean([level(number, 0) for number in range(8)]))
    assert row["seeds"].item() == 1


def test_a_case_without_a_value_is_left_out_of_both_sides():
    metrics = scores()
    undefined = (metrics["sampler"] == "jpeg") & (metrics["case"] == "case7")
    row = made(metrics.assign(value=metrics["value"].mask(undefined)))
    row = row.query("quirk == 'jpeg' and metric == 'dice' and mode == 'diffusion'").iloc[0]
    assert row["n"] == 4
    assert row["proper"] == pytest.approx(
        np.mean([level(number, seed) for number in range(7) for seed in (0, 1)])
    )


def test_nothing_scored_is_an_empty_table():
    nothing = scores()[:0]
    table = made(nothing, against()[:0])
    assert list(table.columns) == list(COLUMNS["quirks"])
    assert table.empty
    assert made(scores(("a",)), against()[:0])["quirk"].unique().tolist() == ["jpeg"]
