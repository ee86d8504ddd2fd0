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
from noise2mask.evaluation.bootstrap import Resampling, estimate_mean
from noise2mask.evaluation.columns import COLUMNS

FEW = {"resampling": Resampling(200, 0.9, 3)}
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
        one = estimate_mean(factors, units=names, **FEW).interval()
        np.testing.assert_allclose(rows.low, one.low / 2.5 * expected)
        np.testing.assert_allclose(rows.high, one.high / 2.5 * expected)
        assert set(rows.n) == {5}  # independent units
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
    assert eps.log_snr_at_hump == pytest.approx(
        hump_position(losses, LOG_SNR, **FEW["resampling"]._asdict()).mean
    )
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
