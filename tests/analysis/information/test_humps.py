"""Monotone or not: closed forms, invariances, and how often noise is taken for structure."""

import numpy as np
import pytest
from helpers.exact_tasks import lone_hump
from hypothesis import given, settings
from hypothesis import strategies as st

from noise2mask.analysis.information.humps import (
    FLOOR,
    depth,
    hump_position,
    hump_shift,
    non_monotonicity,
)
from noise2mask.analysis.oracles.exact import mmse

PLACE = np.linspace(0, 1, 40)
LOG_SNR = np.linspace(8, -10, 40)
FALLING = np.exp(-8 * PLACE) + 0.01
DIPPED = FALLING + 0.3 * np.exp(-(((PLACE - 0.5) / 0.12) ** 2))
HUMP = np.exp(-(((PLACE - 0.5) / 0.15) ** 2))
curves = st.lists(st.integers(0, 10_000), min_size=3, max_size=12).map(lambda f: np.array(f) / 1e3)
few = settings(max_examples=60, deadline=None, derandomize=True)


def noisy(curve, cases, generator, spread=0.3, objects=0.5):
    """Per case: the curve times the size of its objects times independent noise of mean 1."""
    size = np.exp(generator.normal(0, objects, (cases, 1)))
    noise = generator.gamma(spread**-2, spread**2, (cases, len(curve)))
    return curve * size * noise


# Depth ---------------------------------------------------------------------------------------


def test_depth_of_simple_curves():
    floor = FLOOR * 1.0
    assert depth([1.0, 0.0, 0.4]) == pytest.approx(0.4 / (0.4 + floor))
    assert depth([0.4, 0.0, 1.0]) == pytest.approx(0.4 / (0.4 + floor))
    assert depth([0.0, 1.0, 0.3, 0.2]) == pytest.approx(0.8 / (1 + FLOOR))
    assert depth([1.0, 0.1, 0.5, 0.0]) == pytest.approx(0.4 / (0.5 + floor))
    assert depth([2.0, 2.0, 2.0]) == 0
    assert depth([0.0, 0.0, 0.0]) == 0
    np.testing.assert_allclose(
        depth([[[1.0, 0.0, 0.05], [1.0, 0.0, 0.005]]]), [[0.5, 0.005 / 0.055]]
    )


@few
@given(curves)
def test_depth_is_zero_for_monotone_curves_and_no_others(curve):
    assert depth(np.sort(curve)) == 0
    assert depth(np.sort(curve)[::-1]) == 0
    steps = np.diff(curve)
    if steps.max() > 1e-6 and steps.min() < -1e-6:
        assert depth(curve) > 0


@few
@given(curves, st.floats(1e-3, 1e3))
def test_depth_knows_neither_direction_nor_unit_nor_scale_of_the_axis(curve, unit):
    found = depth(curve)
    assert 0 <= found < 1
    assert depth(curve[::-1]) == pytest.approx(found, abs=1e-9)
    assert depth(unit * curve) == pytest.approx(found, rel=1e-6, abs=1e-9)
    between = np.interp(np.arange(0, len(curve) - 0.9, 0.5), np.arange(len(curve)), curve)
    assert depth(between) == pytest.approx(found, abs=1e-9)


@few
@given(curves)
def test_depth_by_all_pairs_of_levels(curve):
    lifted = curve + FLOOR * np.ptp(curve)
    shares = [
        (curve[j] - curve[i]) / lifted[j] if lifted[j] > 0 else 0.0
        for i in range(len(curve))
        for j in range(i, len(curve))
    ]
    back = [
        (curve[i] - curve[j]) / lifted[i] if lifted[i] > 0 else 0.0
        for i in range(len(curve))
        for j in range(i, len(curve))
    ]
    assert depth(curve) == pytest.approx(min(max(shares), max(back)), abs=1e-9)


# Verdict -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cases", [14, 60])
@pytest.mark.parametrize(
    "curve",
    [np.ones(40), np.maximum(1 - 2 * PLACE, 0.4), FALLING],
    ids=["flat", "plateau", "falling"],
)
def test_noise_on_a_monotone_curve_is_seldom_called_structure(curve, cases):
    """In at most 5 % of measurements does the interval leave 0, and never far enough."""
    generator = np.random.default_rng(cases)
    found = [non_monotonicity(noisy(curve, cases, generator), resamples=500) for _ in range(80)]
    assert sum(each.depth.low > 0 for each in found) <= 4
    assert not any(each.verdict == "confirmed" for each in found)
    assert np.mean([each.depth.mean for each in found]) > 0.01  # though noise makes depth


@pytest.mark.parametrize("cases", [14, 60])
@pytest.mark.parametrize("curve", [DIPPED, HUMP], ids=["dip", "hump"])
def test_structure_is_confirmed(curve, cases):
    generator = np.random.default_rng(cases)
    for _ in range(10):
        losses = noisy(curve, cases, generator)
        found = non_monotonicity(losses, resamples=300)
        assert found.verdict == "confirmed"
        assert found.depth.low < depth(curve) * 1.02
        assert depth(curve) * 0.98 < found.depth.high
        turned = non_monotonicity(losses[:, ::-1] * 1e-3, resamples=300)
        assert turned.depth == pytest.approx(found.depth)


def test_a_monotone_curve_is_refuted_once_noise_is_small():
    generator = np.random.default_rng(0)
    assert non_monotonicity(noisy(FALLING, 30, generator, spread=0.05)).verdict == "refuted"
    assert non_monotonicity(noisy(FALLING, 8, generator, spread=1.0)).verdict == "undecided"


def test_noise_that_may_hide_structure_leaves_it_undecided():
    """Depth measured below the smallest that counts, with an interval that reaches beyond."""
    found = non_monotonicity(noisy(FALLING, 20, np.random.default_rng(1), spread=0.25))
    assert found.depth.mean < 0.1 < found.depth.high
    assert found.verdict == "undecided"


def test_the_interval_closes_in_on_the_depth():
    losses = noisy(DIPPED, 40, np.random.default_rng(2), spread=0.02)
    found = non_monotonicity(losses).depth
    assert depth(DIPPED) - 0.03 < found.low < found.mean < found.high < depth(DIPPED) + 0.03


@pytest.mark.parametrize("cases", [5, 7])
def test_without_noise_the_interval_is_the_depth(cases):
    for curve in (DIPPED, FALLING, np.zeros(40)):
        found = non_monotonicity(np.tile(curve, (cases, 1)), resamples=50).depth
        assert found == pytest.approx((*3 * [depth(curve)], cases), abs=1e-9)


def test_groups_are_drawn_as_a_whole():
    generator = np.random.default_rng(5)
    losses = noisy(DIPPED, 20, generator, spread=0.5)
    plain = non_monotonicity(losses)
    groups = np.repeat(np.arange(20), 3)
    thrice = non_monotonicity(np.repeat(losses, 3, axis=0), groups=groups)
    assert thrice.depth[:3] == pytest.approx(plain.depth[:3])
    assert thrice.depth.n == 20  # independent units
    hasty = non_monotonicity(np.repeat(losses, 3, axis=0))
    assert hasty.depth.low > plain.depth.low + 0.01
    lost = np.concatenate([losses, np.full((1, 40), np.nan)])
    assert non_monotonicity(lost) == plain


def test_too_few_cases_decide_nothing():
    for losses in (DIPPED[None], np.full((4, 40), np.nan)):
        found = non_monotonicity(losses)
        assert np.isnan(found.depth.low)
        assert found.verdict == "undecided"


# Humps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("centre", [-3.3, 0.0, 1.21])
@pytest.mark.parametrize("spacing", [0.2, 0.5, 1.0])
def test_the_place_of_a_hump(centre, spacing):
    axis = np.arange(-9, 7, spacing)
    curve = 0.1 + np.exp(-(((axis - centre) / 2) ** 2)) + np.exp(axis - 6.5)  # high at the end
    losses = np.tile(curve, (3, 1))
    found = hump_position(losses, axis, resamples=20)
    assert found.mean == pytest.approx(centre, abs=0.06)
    backwards = hump_position(losses[:, ::-1], axis[::-1], resamples=20)
    assert backwards == pytest.approx(found)


def test_curves_without_a_hump_have_no_place():
    for curve in (FALLING, FALLING[::-1], np.abs(PLACE - 0.5), np.ones(40)):
        found = hump_position(np.tile(curve, (3, 1)), LOG_SNR, resamples=20)
        assert np.isnan(found.mean)
        assert np.isnan(found.low)


@pytest.mark.parametrize("foreground", [0.5, 0.2, 0.02])
def test_the_hump_of_a_lone_pixel_is_where_its_loss_is_highest(foreground):
    fine = np.arange(-1, 2, 0.05)
    loss = np.exp(fine) * mmse(fine, foreground)
    assert lone_hump(foreground) == pytest.approx(fine[loss.argmax()], abs=0.03)
    axis = np.arange(-9.0, 6)
    curve = np.exp(axis) * mmse(axis, foreground)
    found = hump_position(np.tile(curve, (3, 1)), axis, resamples=20)
    assert found.mean == pytest.approx(lone_hump(foreground), abs=0.15)


def test_a_hump_at_the_first_inner_level():
    curve = np.array([0.9, 1.0, 0.5, 0.2, 0.1])
    found = hump_position(np.tile(curve, (3, 1)), np.arange(5.0) * 3, resamples=20).mean
    assert 0 <= found <= 6


def test_the_interval_of_a_hump_holds_its_place():
    generator, truth = np.random.default_rng(0), np.interp(0.5, PLACE, LOG_SNR)
    found = [
        hump_position(noisy(DIPPED, 20, generator, spread=0.5), LOG_SNR, resamples=300)
        for _ in range(40)
    ]
    assert sum(each.low <= truth + 0.1 and truth - 0.1 <= each.high for each in found) >= 36
    assert np.mean([each.high - each.low for each in found]) < 2


def test_the_shift_between_two_humps():
    generator = np.random.default_rng(1)
    axis, other = np.linspace(6, -8, 50), np.linspace(-9, 5, 30)

    def losses(where, centre):
        return noisy(np.exp(-(((where - centre) / 2) ** 2)) + 0.01, 40, generator, spread=0.2)

    first = losses(axis, -1.0), axis
    for centre, verdict in ((-1.1, "confirmed"), (0.5, "refuted"), (-0.5, "undecided")):
        found = hump_shift(first, (losses(other, centre), other), tolerance=0.5, resamples=300)
        assert found.verdict == verdict
        assert found.distance.mean == pytest.approx(centre + 1.0, abs=0.2)
    assert hump_shift(first, first).distance[:3] == (0, 0, 0)


@pytest.mark.parametrize("losses", [np.ones((3, 2)), np.ones(3), -np.ones((3, 4))])
def test_what_is_no_loss_is_refused(losses):
    with pytest.raises(ValueError, match="losses must"):
        non_monotonicity(losses)


def test_an_axis_out_of_order_is_refused():
    with pytest.raises(ValueError, match="strictly"):
        hump_position(np.ones((3, 4)), [0.0, 1.0, 1.0, 2.0])
    with pytest.raises(ValueError, match="same cases"):
        hump_shift((np.ones((3, 4)), np.arange(4.0)), (np.ones((2, 4)), np.arange(4.0)))
