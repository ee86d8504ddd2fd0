"""Predictions on losses: made-up curves whose verdict is known, and null controls."""

import math

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_evidence import evidence, flat_history, judged
from helpers.made_up_section import frame

from noise2mask.analysis.claims.evidence import find
from noise2mask.analysis.claims.predictions_losses import p1, p2
from noise2mask.analysis.information.curves import MEASURED
from noise2mask.analysis.oracles.exact import mmse

CASES = 24
MEASURED_LOSSES = frame("losses", [("lesion", "segdiff", "eps", "eps", 0, 0.0, 1.0, 0.9, 1.1, 9)])

AXIS = np.arange(6.0, -10.1, -0.5)


def losses(
    mode, place, *, axis=AXIS, dataset="lesion", gap=2.0, seed=0, factor=1.0, noise=0.05, tag=0
):
    """Losses of eps with a hump at `place`, as errors of x_0 in units of the coding."""
    generator = np.random.default_rng([tag, seed, len(axis)])
    rows = []
    for case in range(CASES):
        hump = factor * np.exp(-(((axis - place) / 2.5) ** 2))
        curve = hump * np.exp(generator.normal(0, noise, len(axis)))
        errors = 100 * curve * np.exp(-axis) * (gap / 2) ** 2
        rows += [
            (dataset, "segdiff", seed, mode, f"c{case}", t, log_snr, gap, 100, error, np.nan)
            for t, (log_snr, error) in enumerate(zip(axis, errors, strict=True))
        ]
    return pd.DataFrame(rows, columns=list(MEASURED))


def told1(measured, oracles=None, **more):
    known = evidence(measured=measured, of_oracles=ORACLES if oracles is None else oracles, **more)
    return judged(p1, known, modes=("eps",))


def told2(measured, **modes):
    return judged(p2, evidence(measured=measured), **modes)


def oracle(place, dataset="lesion"):
    table = losses("", place, axis=AXIS[4:], dataset=dataset, tag=1)
    return table.assign(oracle="multiscale", mse_x0=table.error / table.pixels)


ORACLES = pd.concat([oracle(0.0), oracle(-2.0, "nuclei")])


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
    parts = losses("eps", first, noise=noise), losses("eps", second, dataset="nuclei", gap=1.0)
    table = pd.concat(parts)
    found = told1(table)
    assert found.verdict == verdict
    largest = max(first, second + 2, key=abs)
    assert found.value == pytest.approx(largest, abs=0.3 if noise > 0.1 else 0.15)
    assert found.low <= found.value <= found.high
    assert "0/1" in found.statement
    assert "lesion, segdiff, eps" in found.numbers
    assert "nuclei, segdiff, eps" in found.numbers


def test_p1_says_which_coding_was_not_trained():
    found = told1(losses("eps", 0.0))
    assert found.verdict == "confirmed"
    assert "-1/+1" in found.statement
    assert "0/1" not in found.statement
    assert "masks in 0/1: not trained" in found.numbers


def test_p1_without_a_hump_is_undecided():
    flat = losses("eps", -40.0, noise=0.0)
    found = told1(flat)
    assert found.verdict == "undecided"
    assert "no hump" in found.numbers


def test_p1_without_oracle_or_mode_is_not_tested():
    for table, known in ((losses("eps", 0.0), ORACLES[:0]), (losses("e4", 0.0), ORACLES)):
        found = told1(table, known)
        assert found.verdict == "not tested"
        assert "eps" in found.remark


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
    found = told2(pair(factor), first=modes[0], second=modes[1])
    assert found.verdict == verdict
    assert found.value == pytest.approx(abs(math.log(factor)), abs=0.02)
    assert "one seed" in found.numbers


def test_p2_is_undecided_about_the_limit():
    found = told2(pair(1.1), first="long", second="short")
    assert found.verdict == "undecided"


def test_p2_does_not_blame_timesteps_for_what_seeds_do():
    found = told2(pair(1.3, seeds=2, drift=0.6), first="long", second="short")
    assert found.value == pytest.approx(math.log(1.3), abs=0.02)
    assert "seeds alone: 0.4" in found.numbers  # 0.6 over the root of 2
    assert found.verdict == "undecided"
    steady = pair(1.3, seeds=2, drift=0.01)
    found = told2(steady, first="long", second="short")
    assert found.verdict == "refuted"


def test_p2_interval_does_not_take_noise_for_a_difference():
    """The mean of an absolute value is biased upward; the lower end must not be."""
    found = told2(pair(1.0, noise=1.0), first="long", second="short")
    assert found.low == 0
    assert found.verdict != "refuted"


def test_p2_without_both_modes_is_not_tested():
    found = told2(pair(1.0), first="long", second="longer")
    assert found.verdict == "not tested"


# Null controls -------------------------------------------------------------------------------


def known(measured, **more):
    """Evidence with the tables that P1 and P2 need to be asked at all."""
    return evidence(measured=measured, of_oracles=ORACLES, losses=MEASURED_LOSSES, **more)


def test_a_network_with_random_weights_confirms_no_p1():
    """A posterior with any weights has the hump of a lone pixel, near that of many oracles."""
    lone = np.exp(AXIS) * mmse(AXIS, 0.5)
    measured = losses("posterior", 0.0)
    curve = dict(enumerate(lone / lone.max()))
    errors = measured["t"].map(curve) * 100 * np.exp(-measured["log_snr"])
    measured = measured.assign(error=errors)
    near = pd.concat([oracle(float(AXIS[lone.argmax()]))])
    free = judged(p1, evidence(measured=measured, of_oracles=near), modes=("posterior",))
    assert free.verdict == "confirmed"  # by construction
    history = flat_history(["posterior"])
    told = known(measured, history=history)
    found = find("prediction", "p1", told, {"modes": ["posterior"]})
    assert found.verdict == "not tested"
    assert "does not predict the target itself" in found.remark


def test_untrained_networks_confirm_no_p2():
    """Both predict nothing, and their losses coincide."""
    same = pair(1.0)
    assert told2(same, first="long", second="short").verdict == "confirmed"
    options = {"first": "long", "second": "short"}
    untrained = find("prediction", "p2", known(same), options)
    assert untrained.verdict == "not tested"
    assert "no validation loss is recorded" in untrained.remark
    trained = known(same, history=flat_history(["long", "short"]))
    assert find("prediction", "p2", trained, options).verdict == "confirmed"
