import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from noise2mask.evaluation.calibration import nll
from noise2mask.sampling import temperature
from noise2mask.sampling.temperature import fit, scaled

few = settings(max_examples=60, deadline=None, derandomize=True)


def calibrated(n=200_000, spread=2.0):
    """Probabilities and a reference drawn from them."""
    generator = np.random.default_rng(0)
    p = expit(generator.normal(-0.3, spread, n))
    return p, generator.random(n) < p


def test_calibrated_probabilities_need_no_scaling():
    assert fit(*calibrated()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("known", "spread"), [(0.3, 2.0), (1.7, 1.0), (6.0, 0.45)])
def test_a_known_temperature_is_found(known, spread):
    p, mask = calibrated(500_000, spread)
    sharpened = expit(logit(p) * known)
    assert fit(sharpened, mask) == pytest.approx(known, rel=0.01)
    np.testing.assert_allclose(scaled(sharpened, known), p, atol=0.01)


def test_expected_counts_give_the_temperature_exactly():
    # Levels 0.1 and 0.9 that are right for 7 pixels of 10: logit(0.9) / T = logit(0.7).
    p = np.repeat([0.1, 0.9], 10)
    mask = np.repeat([True, False, True, False], [3, 7, 7, 3])
    assert fit(p, mask) == pytest.approx(logit(0.9) / logit(0.7), rel=1e-6)


@pytest.mark.parametrize("draws", [None, 5])
def test_it_is_the_least_likelihood_of_all(draws):
    generator = np.random.default_rng(1)
    p = generator.random(5000)
    mask = generator.random(5000) < expit(0.4 * logit(p))

    def loss(at):
        return nll(scaled(p, at, draws=draws), mask, draws=10**6)

    found = fit(p, mask, draws=draws)
    grid = np.geomspace(0.05, 20, 400)
    losses = [loss(at) for at in grid]
    assert loss(found) <= min(losses)
    assert found == pytest.approx(grid[np.argmin(losses)], rel=0.02)


@pytest.mark.parametrize("foreground", [True, False])
def test_one_class_alone_ends_at_a_bound(foreground):
    p = np.random.default_rng(0).uniform(0.6, 0.9, 500)
    mask = np.full(500, foreground)
    assert fit(p, mask) == (pytest.approx(0.05) if foreground else pytest.approx(20.0))
    assert fit(1 - p, mask) == (pytest.approx(20.0) if foreground else pytest.approx(0.05))


def test_saturated_pixels_are_finite():
    p = np.array([0.0, 0.0, 1.0, 1.0, 1.0], dtype=np.float32)
    assert fit(p, np.array([False, False, True, True, True])) == pytest.approx(0.05)
    found = fit(p, np.array([False, True, True, True, False]))  # three of five are right
    assert found == pytest.approx(20.0)  # logit(1 - 1e-6) / logit(0.6) = 34
    assert np.all(np.isfinite(scaled(p, 0.05)))
    assert fit(np.full(4, 0.5), np.array([True, False, True, True])) == 1.0


def test_draws_are_clipped_at_half_a_draw():
    assert scaled([0.0, 0.2, 1.0], 1.0, draws=5) == pytest.approx([0.1, 0.2, 0.9])
    assert scaled([0.0, 1.0], 1.0) == pytest.approx([1e-6, 1 - 1e-6])
    np.testing.assert_array_equal(scaled([0.0, 0.7], 2.0, draws=1), scaled([0.0, 0.7], 2.0))
    p, mask = np.repeat([0.0, 1.0], 10), np.repeat([True, False, True, False], [3, 7, 7, 3])
    assert fit(p, mask, draws=5) == pytest.approx(logit(0.9) / logit(0.7), rel=1e-6)
    many = np.repeat([0.0, 1.0], 500)
    right = np.repeat([True, False, True, False], [1, 499, 499, 1])
    assert fit(many, right) == pytest.approx(logit(1e-6) / logit(0.002), rel=1e-5)


def test_the_order_of_pixels_and_their_shape_do_not_matter():
    p, mask = calibrated(4096)
    p = p.astype(np.float32)
    order = np.random.default_rng(3).permutation(4096)
    assert fit(p[order], mask[order]) == fit(p, mask)
    assert fit(p.reshape(4, 32, 32), mask.reshape(4, 32, 32)) == fit(p, mask)
    assert scaled(p.reshape(4, 32, 32), 2.0).shape == (4, 32, 32)


levels = st.lists(
    st.one_of(st.floats(0, 1), st.just(math.nextafter(0.5, 1)), st.floats(0.4999, 0.5001)),
    min_size=1,
    max_size=30,
)


@few
@given(levels, st.floats(0.05, 20), st.sampled_from([None, 1, 2, 5, 25]))
def test_the_threshold_and_the_order_of_pixels_stay(p, given_temperature, draws):
    p = np.sort(np.array(p))
    result = scaled(p, given_temperature, draws=draws)
    np.testing.assert_array_equal(result > 0.5, p > 0.5)
    np.testing.assert_array_equal(result.astype(np.float32) > 0.5, p > 0.5)
    assert np.all(np.diff(result) >= 0)
    assert np.all((result >= 0) & (result <= 1))  # a cold certainty rounds to 1


@few
@given(levels, st.data(), st.sampled_from([None, 5]))
def test_swapping_the_classes_changes_nothing(p, data, draws):
    p = np.array(p)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(p), max_size=len(p))))
    found = fit(p, mask, draws=draws)
    assert 0.05 <= found <= 20
    # Where the likelihood is flat the search may end anywhere: compare likelihoods.
    other = fit(1 - p, ~mask, draws=draws)
    at = [nll(scaled(p, one, draws=draws), mask, draws=10**6) for one in (found, other)]
    assert at[0] == pytest.approx(at[1], rel=1e-6, abs=1e-6)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="there are none"):
        fit(np.zeros((0, 4)), np.zeros((0, 4), dtype=bool))
    with pytest.raises(ValueError, match="mask must be boolean"):
        fit([0.5], [1.0])
    with pytest.raises(ValueError, match=r"probability must lie in \[0, 1\]"):
        fit([math.nan], [True])
    for wrong in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="temperature must be above 0"):
            scaled([0.5], wrong)
    with pytest.raises(ValueError, match="draws must be at least 1"):
        scaled([0.5], 1.0, draws=0)


def test_examples_run():
    result = doctest.testmod(temperature)
    assert result.attempted >= 1
    assert result.failed == 0
