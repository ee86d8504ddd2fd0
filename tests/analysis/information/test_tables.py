"""Tables from errors and scores: closed forms, independent sums, seeds, groups, nothing at all."""

import math

import numpy as np
import pandas as pd
import pytest
from helpers.exact_tasks import BinaryChannel

from noise2mask.analysis.information.curves import MEASURED, Key, curves, oracle_curves
from noise2mask.analysis.information.humps import GIVEN, hump_position
from noise2mask.analysis.information.tables import (
    Shorter,
    doubts,
    information_table,
    integrand_table,
    loss_table,
    structure_table,
)
from noise2mask.analysis.oracles.exact import binary_entropy, mmse
from noise2mask.analysis.oracles.oracles import COLUMNS as ORACLE_COLUMNS
from noise2mask.evaluation.bootstrap import bootstrap_mean, holm, paired_difference
from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.contrasts import contrast_table, step_count, sweep_table

FEW = {"resamples": 200, "level": 0.9, "seed": 3}
LOG_SNR = np.arange(5.0, -12.1, -0.5)
TASK = BinaryChannel((8, 8), 0.1, 0.3)
PIXELS = 64
CASES = [f"c{number}" for number in range(6)]


def errors_table(mode, curve, *, gap=2.0, apart=np.nan, seed=0, factors=None, dataset="d"):
    """The curve for each case times its factor; t counts the levels."""
    factors = np.ones(len(CASES)) if factors is None else factors
    rows = []
    for case, factor in zip(CASES, factors, strict=True):
        for t, log_snr in enumerate(LOG_SNR):
            distance = apart if np.isscalar(apart) else factor * apart[t]
            rows.append(
                (dataset, "net", seed, mode, case, 10 * t, log_snr, gap, PIXELS,
                 factor * curve[t], distance)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(MEASURED))


def exact(*, gap=2.0, factors=None):
    """Networks that are posterior means of the channel, with and without image."""
    blind, seeing = (TASK.mmse(LOG_SNR, with_image=each) * (gap / 2) ** 2 for each in (False, True))
    return pd.concat(
        [
            errors_table("with", seeing, gap=gap, apart=blind - seeing, factors=factors),
            errors_table("without", blind, gap=gap, factors=factors),
        ]
    )


def oracle_table(curve, cases=CASES, dataset="d"):
    rows = []
    for name in ("gaussian", "multiscale"):
        for case in cases:
            for t, log_snr in enumerate(LOG_SNR):
                row = (name, t, log_snr, case, 0.0, 0.0, 0.5, 0.4, curve[t] / PIXELS, 0.0, 0.2)
                rows.append((dataset, *row))
    table = pd.DataFrame(rows, columns=["dataset", *ORACLE_COLUMNS])
    table.loc[table.oracle == "gaussian", "mse_x0"] = 7.0  # must not be taken
    return table


NO_ORACLE = oracle_table(LOG_SNR, [])
PAIR = {"with_image": "with", "without_image": "without"}


# Curves --------------------------------------------------------------------------------------


def test_curves_average_seeds_per_case_and_keep_the_order_of_cases():
    one, other = (errors_table("m", np.arange(35.0) + 2 * seed, seed=seed) for seed in (0, 1))
    table = pd.concat([one, other])[::-1]
    ((key, found),) = curves(table).items()
    assert key == Key("d", "net", "m")
    assert found.cases == CASES[::-1]
    np.testing.assert_allclose(found.errors, np.tile(np.arange(35.0) + 1, (6, 1)))
    np.testing.assert_array_equal(found.log_snr, LOG_SNR)
    assert found.of(["c2"]).errors.shape == (1, 35)
    assert found.between(-1, 1).log_snr.tolist() == [1, 0.5, 0, -0.5, -1]


def test_curves_refuse_what_has_two_axes_or_codings():
    table = errors_table("m", LOG_SNR**2)
    moved = table.assign(log_snr=table.log_snr + 1, seed=1)
    with pytest.raises(ValueError, match="one log SNR"):
        curves(pd.concat([table, moved]))
    with pytest.raises(ValueError, match="one gap"):
        curves(pd.concat([table, table.assign(gap=1.0, seed=1)]))


def test_curves_of_the_oracle_are_of_the_cases_wanted():
    table = oracle_table(np.arange(35.0), CASES[:3])
    found = oracle_curves(table, "d", ["c2", "c9", "c0"], PIXELS)
    assert found.cases == ["c2", "c0"]
    np.testing.assert_allclose(found.errors[0], np.arange(35.0))
    assert oracle_curves(table, "other", CASES, PIXELS) is None
    assert oracle_curves(table, "d", ["c9"], PIXELS) is None


# Losses --------------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [2.0, 1.0])
def test_loss_table_is_mean_and_interval_of_each_target(gap):
    factors = np.array([1.0, 2.0, 3.0, 1.0, 2.0, 6.0])
    x_0 = 64 * mmse(LOG_SNR, 0.3) * (gap / 2) ** 2
    groups = {("d", "c0"): "g", ("d", "c1"): "g", ("other", "c2"): "g"}
    table = loss_table(errors_table("m", x_0, gap=gap, factors=factors), groups, **FEW)
    assert list(table.columns) == list(COLUMNS["losses"])
    assert len(table) == 3 * len(LOG_SNR)
    gamma = np.exp(LOG_SNR) * (2 / gap) ** 2
    names = ["g", "g", "c2", "c3", "c4", "c5"]
    for target, factor in {"eps": gamma, "x_0": 1, "v": 1 + gamma}.items():
        rows = table[table.target == target]
        expected = 2.5 * x_0 / 64 * factor
        np.testing.assert_allclose(rows.loss, expected)
        one = bootstrap_mean(factors, groups=names, **FEW)
        np.testing.assert_allclose(rows.low, one.low / 2.5 * expected)
        np.testing.assert_allclose(rows.high, one.high / 2.5 * expected)
        assert set(rows.n) == {6}
    assert table.t.iloc[3] == 30


def test_structure_table_tells_a_hump_from_a_slope():
    factors = np.exp(np.random.default_rng(0).normal(0, 0.2, 6))
    hump = 64 * mmse(LOG_SNR, 0.5)  # of eps; errors of x_0 rise with the noise
    table = structure_table(errors_table("m", hump, factors=factors), {}, **FEW)
    assert list(table.columns) == list(COLUMNS["structure"])
    eps, x_0, _ = (table[table.target == target].iloc[0] for target in ("eps", "x_0", "v"))
    assert eps.verdict == "confirmed"
    assert x_0.verdict == "refuted"
    assert x_0.depth == 0
    assert math.isnan(x_0.log_snr_at_hump)
    assert math.isnan(x_0.t_at_hump)
    losses = factors[:, None] * hump * np.exp(LOG_SNR)
    assert eps.log_snr_at_hump == pytest.approx(hump_position(losses, LOG_SNR, **FEW).mean)
    assert eps.t_at_hump == pytest.approx((5 - eps.log_snr_at_hump) * 20)  # t = 10 a level of 0.5
    assert eps.hump_low <= eps.log_snr_at_hump <= eps.hump_high
    assert eps.low <= eps.depth <= eps.high
    assert eps.n == 6


def test_a_hump_that_is_given_is_not_confirmed():
    """A null control: the closed form of a lone pixel is what a mode that adds it always shows."""
    lone = errors_table("posterior", 64 * mmse(LOG_SNR, 0.3))
    table = structure_table(lone, {}, given=GIVEN, **FEW)
    assert set(table.verdict) == {"by construction"}
    own = structure_table(lone.assign(mode="diffusion"), {}, given=GIVEN, **FEW)
    assert own.verdict[own.target == "eps"].tolist() == ["confirmed"]
    pd.testing.assert_frame_equal(
        table.drop(columns=["verdict", "mode"]), own.drop(columns=["verdict", "mode"])
    )


def test_a_bump_that_is_refuted_is_not_placed():
    slope = 64 * np.exp(-LOG_SNR) * np.linspace(1, 2, len(LOG_SNR))  # of eps, rising with t
    slope[20] *= 1.04
    table = structure_table(errors_table("m", slope), {}, **FEW)
    eps = table[table.target == "eps"].iloc[0]
    assert eps.depth > 0
    assert eps.verdict == "refuted"
    assert math.isnan(eps.log_snr_at_hump)
    assert math.isnan(eps.t_at_hump)


# Information ---------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [2.0, 1.0])
def test_information_table_of_exact_networks(gap):
    blind = TASK.mmse(LOG_SNR, with_image=False)
    factors = [0.5, 1.5, 1.0, 1.0, 0.8, 1.2]
    table = information_table(
        exact(gap=gap, factors=factors), oracle_table(1.1 * blind, CASES[:3]), {}, **PAIR, **FEW
    )
    assert list(table.columns) == list(COLUMNS["information"])
    found = table.set_index("estimate")
    assert list(found.index) == [
        "difference", "orthogonal", "covariance", "entropy", "entropy_oracle", "gap",
    ]  # fmt: skip
    for name in ("difference", "orthogonal", "covariance"):
        assert found.bits[name] == pytest.approx(TASK.bits, rel=2e-3)
        assert found.low[name] < TASK.bits < found.high[name]
        assert found.q10[name] < found.q50[name] < found.q90[name]
        assert found.bits_per_pixel[name] == pytest.approx(found.bits[name] / 64)
    entropy = 64 * binary_entropy(0, 0.3) / math.log(2)
    assert found.bits["entropy"] == pytest.approx(entropy, rel=2e-3)
    assert found.bits["entropy_oracle"] == pytest.approx(1.1 * entropy, rel=2e-2)
    assert found.n.to_dict() == {**dict.fromkeys(found.index, 6), "entropy_oracle": 3}
    assert found.bits["gap"] == pytest.approx(0, abs=1e-9)
    assert np.isnan(found.loc["gap", ["q10", "q50", "q90"]].astype(float)).all()


def test_gap_is_orthogonal_minus_difference_in_bits():
    table = exact()
    table.loc[table["mode"] == "with", "apart"] *= 1.3
    found = information_table(table, NO_ORACLE, {}, **PAIR, **FEW).set_index("estimate")
    assert "entropy_oracle" not in found.index
    assert found.bits["gap"] == pytest.approx(0.3 * TASK.bits, rel=5e-3)
    assert found.bits["gap"] == pytest.approx(found.bits["orthogonal"] - found.bits["difference"])


def test_the_interval_of_the_covariance_holds_what_training_left_wrong():
    factors = np.array([0.5, 1.5, 1.0, 1.0, 0.8, 1.2])
    long, short = exact(factors=factors), exact(factors=1.4 * factors)
    both = pd.concat([long, short.assign(network="short")])
    plain = information_table(both, NO_ORACLE, {}, **PAIR, **FEW)
    found = information_table(
        both, NO_ORACLE, {}, **PAIR, shorter={"net": Shorter("short", 4.0)}, **FEW
    )
    assert plain.fit.isna().all()
    index = ["network", "estimate"]
    plain, found = plain.set_index(index), found.set_index(index)
    row, other = found.loc[("net", "covariance")], plain.loc[("net", "covariance")]
    fit = abs(plain.bits["short", "covariance"] - row.bits) / (math.sqrt(4.0) - 1)
    assert row.fit == pytest.approx(fit)
    assert row.bits == other.bits
    assert row.bits - row.low == pytest.approx(math.hypot(other.bits - other.low, fit))
    assert row.high - row.bits == pytest.approx(math.hypot(other.high - other.bits, fit))
    rest = found.drop(("net", "covariance"))
    pd.testing.assert_frame_equal(rest, plain.drop(("net", "covariance")))
    lost = information_table(
        long, NO_ORACLE, {}, **PAIR, shorter={"net": Shorter("short", 4.0)}, **FEW
    )
    assert lost.fit.isna().all()


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, []),
        ({"fit": math.nan}, ["untested"]),
        ({"high": 125.1}, ["wide"]),
        ({"low": 74.9}, ["wide"]),
        ({"low": math.nan, "high": math.nan}, ["wide"]),
        ({"bits": -3.0, "low": -3.5, "high": -2.5}, ["wide"]),
    ],
)
def test_bits_are_doubted_for_a_reason(changes, reasons):
    row = {"dataset": "d", "network": "net", "estimate": "covariance", "bits": 100.0, "low": 75.0}
    row |= {"high": 125.0, "fit": 3.0} | changes
    table = pd.DataFrame([row]).reindex(columns=list(COLUMNS["information"]))
    assert [doubt.reason for doubt in doubts(table)] == reasons
    entropies = pd.DataFrame(
        [row | {"estimate": "entropy", "bits": own} for own in (111.0,)]
        + [row | {"estimate": "entropy_oracle", "bits": 100.0}]
    )
    both = doubts(pd.concat([table, entropies]))
    assert [doubt.reason for doubt in both] == [*reasons, "oracle"]
    assert {doubt[:2] for doubt in both} == {("d", "net")}


def test_the_area_of_the_integrand_is_the_information():
    blind = TASK.mmse(LOG_SNR, with_image=False)
    table = integrand_table(exact(), oracle_table(blind), **PAIR)
    assert list(table.columns) == list(COLUMNS["integrand"])
    for name, bits in {
        "covariance": TASK.bits,
        "entropy_oracle": 64 * binary_entropy(0, 0.3) / math.log(2),
    }.items():
        rows = table[table.estimate == name]
        assert np.all(np.diff(rows.log_snr) > 0)
        assert rows.log_snr.max() < 4  # the ceiling of 64 pixels
        assert np.trapezoid(rows.density, rows.log_snr) == pytest.approx(bits, rel=1e-2)


def test_information_needs_both_modes_on_the_same_levels():
    table = exact()
    one = table[table["mode"] == "with"]
    assert information_table(one, NO_ORACLE, {}, **PAIR, **FEW).empty
    moved = table.assign(log_snr=table.log_snr + 0.1 * (table["mode"] == "with"))
    with pytest.raises(ValueError, match="same cases, levels"):
        information_table(moved, NO_ORACLE, {}, **PAIR, **FEW)


def test_nothing_measured_gives_empty_tables():
    nothing = exact()[:0]
    for table, name in (
        (loss_table(nothing, {}), "losses"),
        (structure_table(nothing, {}), "structure"),
        (information_table(nothing, NO_ORACLE, {}, **PAIR), "information"),
        (integrand_table(nothing, NO_ORACLE, **PAIR), "integrand"),
    ):
        assert table.empty
        assert list(table.columns) == list(COLUMNS[name])


# Sweeps and contrasts ------------------------------------------------------------------------


def scores_table(values, *, metric="iou", dataset="d", network="net", seed=0, steps=10, draws=5):
    """From (mode, sampler) to the values of the cases."""
    rows = []
    for (mode, sampler), column in values.items():
        where = ("study", dataset, network, mode, seed, sampler, steps, draws)
        rows += [
            (*where, f"c{number}", metric, value) for number, value in enumerate(column)
        ]  # fmt: skip
    columns = [
        "study", "dataset", "network", "mode", "seed", "sampler", "steps", "draws", "case",
        "metric", "value",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def test_step_count():
    assert [step_count(each) for each in (10, "10", "ddim25")] == [10, 10, 25]
    with pytest.raises(ValueError, match="ddimN"):
        step_count("many")


def test_sweep_table_averages_seeds_and_knows_starts():
    one = scores_table({("a", "ddim10"): [0.2, 0.4, 0.9]}, steps="ddim10")
    two = scores_table({("a", "ddim10"): [0.4, 0.4, 0.7]}, steps="ddim10", seed=1)
    late = scores_table({("a", "late"): [0.1, 0.2]}, steps=4, draws=1)
    blind = scores_table({("none", "mean_mask"): [0.1, 0.2]}, network="blind")
    other = scores_table({("a", "ddim10"): [3.0]}, metric="hd95")
    groups = {("d", "c0"): "g", ("d", "c1"): "g"}
    table = sweep_table(
        pd.concat([one, two, late, blind, other]), groups, names=["iou"], starts={"late": 300},
        **FEW,
    )  # fmt: skip
    assert list(table.columns) == list(COLUMNS["sweeps"])
    full, part = table.iloc[0], table.iloc[1]
    assert len(table) == 2
    assert (full.sampler, full.steps, full.draws, full.n) == ("ddim10", 10, 5, 3)
    assert math.isnan(full.start)
    assert (part.sampler, part.steps, part.start) == ("late", 4, 300)
    expected = bootstrap_mean(
        [0.2, 0.4, 0.9, 0.4, 0.4, 0.7],
        groups=["g", "g", "c2"] * 2,
        cases=["c0", "c1", "c2"] * 2,
        seeds=[0, 0, 0, 1, 1, 1],
        **FEW,
    )
    assert expected.mean == pytest.approx((0.3 + 0.4 + 0.8) / 3)
    assert (full["mean"], full.low, full.high) == pytest.approx(expected[:3])


def test_contrasts_are_paired_per_shared_sampler_and_corrected_in_one_family():
    generator = np.random.default_rng(1)
    tables = []
    for metric in ("iou", "ece", "dice"):
        for mode, shift in (("a", 0.05), ("b", 0.0), ("c", -0.02)):
            values = generator.normal(0.5 + shift, 0.05, 12)
            samplers = {"a": ("s1", "s2"), "b": ("s2", "s1"), "c": ("s3", "s4")}[mode]
            tables += [scores_table({(mode, name): values}, metric=metric) for name in samplers]
    metrics = pd.concat(tables)
    pairs = [("a", "b"), ("a", "c"), ("a", "absent")]
    names = ["iou", "ece", "dice"]
    table = contrast_table(metrics, pairs, {}, names=names, planned=["iou", "ece"], **FEW)
    assert list(table.columns) == list(COLUMNS["contrasts"])
    assert table.groupby(["first", "second"])["sampler"].unique().map(list).to_dict() == {
        ("a", "b"): ["s1", "s2"],
        ("a", "c"): ["s1 / s3"],
    }
    planned = table.metric.isin(["iou", "ece"])
    assert planned.sum() == 6
    np.testing.assert_allclose(table.p_holm[planned], holm(table.p[planned]))
    assert table.p_holm[~planned].isna().all()
    row = table[(table.second == "c") & (table.metric == "dice")].iloc[0]
    one, other = (
        metrics[(metrics["mode"] == m) & (metrics.metric == "dice") & (metrics.sampler == s)].value
        for m, s in (("a", "s1"), ("c", "s3"))
    )
    expected = paired_difference(one, other, **FEW)
    assert (row.difference, row.low, row.high, row.p, row.n) == pytest.approx(tuple(expected))
    assert row.first_mean - row.second_mean == pytest.approx(row.difference)


def test_contrasts_pair_trainings_of_one_seed_and_draw_seeds_too():
    luck = {0: 0.0, 1: 0.3}  # of a seed, whatever the mode
    gains = {0: 0.02, 1: 0.10}
    tables = [
        scores_table({(mode, "s"): base + luck[seed] + extra}, seed=seed)
        for mode, better in (("a", True), ("b", False))
        for seed, base in ((0, np.array([0.1, 0.2, 0.4])), (1, np.array([0.2, 0.1, 0.3])))
        for extra in [gains[seed] * better]
    ]
    row = contrast_table(pd.concat(tables), [("a", "b")], {}, names=["iou"], planned=[], **FEW)
    (row,) = row.itertuples()
    assert (row.difference, row.n) == (pytest.approx(0.06), 3)
    assert (row.low, row.high) == pytest.approx((0.02, 0.10))  # of the seeds; cases do not differ


def test_modes_of_other_seeds_are_compared_by_their_means():
    members = [scores_table({("a", "s"): [0.2 * seed] * 2}, seed=seed) for seed in (1, 2, 3)]
    alone = scores_table({("b", "s"): [0.1, 0.1]})
    table = contrast_table(
        pd.concat([*members, alone]), [("a", "b")], {}, names=["iou"], planned=[], **FEW
    )
    assert (table["difference"][0], table["n"][0]) == (pytest.approx(0.3), 2)


def test_contrasts_leave_out_cases_that_one_of_them_lacks():
    metrics = pd.concat(
        [
            scores_table({("a", "s"): [0.1, np.nan, 0.5, 0.9]}),
            scores_table({("b", "s"): [0.2, 0.3, 0.1]}),
        ]
    )
    row = contrast_table(metrics, [("a", "b")], {}, names=["iou"], planned=[], **FEW).iloc[0]
    assert row.n == 2
    assert (row.first_mean, row.second_mean) == pytest.approx((0.3, 0.15))
    assert math.isnan(row.p_holm)


def test_no_scores_give_empty_tables():
    nothing = scores_table({})
    sweeps = sweep_table(nothing, {}, names=["iou"])
    contrasts = contrast_table(nothing, [("a", "b")], {}, names=["iou"], planned=["iou"])
    assert sweeps.empty
    assert contrasts.empty
    assert list(sweeps.columns) == list(COLUMNS["sweeps"])
    assert list(contrasts.columns) == list(COLUMNS["contrasts"])
