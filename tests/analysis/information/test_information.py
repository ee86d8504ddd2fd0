"""Information from errors: closed forms, the algebra behind them, and what a bad network does."""

import math

import numpy as np
import pytest
from helpers.exact_tasks import BinaryChannel, GaussianField, NoisyPixels, exact_errors
from scipy.stats import entropy

from noise2mask.analysis.information.information import (
    converted,
    fit_error,
    image_information,
    mask_entropy,
)
from noise2mask.analysis.oracles.exact import binary_entropy, decided_from, mmse
from noise2mask.diffusion import schedule
from noise2mask.diffusion.targets import noised, target_from

GRID = np.arange(-12, 6.01, 0.5)
FEW = {"resamples": 20}


def cases(curve, number=3):
    return np.tile(curve, (number, 1))


def estimates(task, log_snr, gap=2.0, two_levels=True):
    """From the task's closed forms; the distance of posterior means is the difference of both."""
    without, with_ = (
        cases(task.mmse(np.asarray(log_snr), with_image=each) * (gap / 2) ** 2)
        for each in (False, True)
    )
    pixels = math.prod(task.shape)
    return image_information(
        without,
        with_,
        without - with_,
        log_snr,
        gap=gap,
        pixels=pixels,
        two_levels=two_levels,
        **FEW,
    )


TASKS = [
    BinaryChannel((8, 8), 0.1),
    BinaryChannel((8, 8), 0.2, 0.1),
    NoisyPixels((8, 8), 1.0),
    NoisyPixels((4, 8), 2.0, 0.02),
]


# One pixel -----------------------------------------------------------------------------------


@pytest.mark.parametrize("foreground", [0.5, 0.1, 0.001])
def test_entropy_of_a_pixel_falls_by_half_its_mmse(foreground):
    assert binary_entropy(0, foreground) == pytest.approx(entropy([foreground, 1 - foreground]))
    for snr in (0.01, 0.3, 2.0, 40.0):
        h = 1e-4 * snr
        slope = (binary_entropy(snr + h, foreground) - binary_entropy(snr - h, foreground)) / 2 / h
        assert slope == pytest.approx(-mmse(math.log(snr), foreground) / 2, rel=1e-5)


def test_the_ceiling_leaves_what_it_says():
    assert 1000 * binary_entropy(math.exp(decided_from(1000, 0.01))) == pytest.approx(0.01)
    assert decided_from(1000, 0.001) > decided_from(1000, 0.01)
    assert decided_from(1, 0.7) == -math.inf


# Conversions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["signed", "unit"])
@pytest.mark.parametrize("input_scale", [1.0, 0.2])
def test_errors_of_eps_and_v_follow_from_those_of_x_0(coding, input_scale):
    import torch

    process = schedule.linear(100).scaled(input_scale)
    generator = torch.Generator().manual_seed(0)
    x_0 = torch.randint(0, 2, (5, 1, 4, 4), generator=generator).double()
    x_0 = 2 * x_0 - 1 if coding == "signed" else x_0
    eps, guess = (torch.randn(x_0.shape, generator=generator).double() for _ in range(2))
    t = torch.tensor([0, 20, 50, 80, 99])
    signal, sigma = process.amplitudes(t, x_0)
    x_t = noised(x_0, eps, signal, sigma)
    guessed_eps = (x_t - signal * guess) / sigma
    gap = 2.0 if coding == "signed" else 1.0
    log_snr = process.log_snr[t].numpy() + 2 * math.log(gap / 2)
    squared = {}
    for target in ("eps", "x_0", "v"):
        right, found = (
            target_from(a, e, signal, sigma, target=target, coding=coding)
            for a, e in ((x_0, eps), (guess, guessed_eps))
        )
        squared[target] = ((right - found) ** 2).flatten(1).sum(1).numpy()
    for given_ in squared:
        for wanted in squared:
            found = converted(squared[given_], log_snr, gap=gap, given=given_, wanted=wanted)
            np.testing.assert_allclose(found, squared[wanted], rtol=1e-8)


# Integrals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("spacing", "error"), [(0.5, 2e-4), (1.0, 1e-3)])
def test_information_of_exact_errors(task, spacing, error):
    for start in (0, 0.6):
        found = estimates(task, np.arange(-12 + start * spacing, 6, spacing))
        assert found.difference.bits.mean == pytest.approx(task.bits, rel=error)
        assert found.orthogonal.bits.mean == pytest.approx(task.bits, rel=error)
        assert found.gap.mean == pytest.approx(0, abs=1e-9)
        assert found.difference.quadrature_error < 0.06 * found.difference.nats.mean + 1e-3


def test_information_of_a_gaussian_field():
    task = GaussianField((16, 16), 1.5, 0.7)
    found = estimates(task, np.arange(-14, 12, 0.5), two_levels=False).difference
    assert found.bits.mean == pytest.approx(task.bits, rel=1e-4)
    # Cut where the filter of the image still matters, the tail makes up for the rest.
    cut = estimates(task, np.arange(-14, 4, 0.5), two_levels=False).difference
    assert cut.tails.high > 0.02 * cut.nats.mean
    assert cut.bits.mean == pytest.approx(task.bits, rel=1e-2)


@pytest.mark.parametrize("foreground", [0.5, 0.2, 0.01])
def test_entropy_of_independent_pixels(foreground):
    curve = 64 * mmse(GRID, foreground)
    found = mask_entropy(cases(curve), GRID, gap=2.0, pixels=64, **FEW)
    expected = 64 * binary_entropy(0, foreground)
    assert found.nats.mean == pytest.approx(expected, rel=1e-3)
    assert found.bits.mean == pytest.approx(expected / math.log(2), rel=1e-3)
    assert found.bits_per_pixel.mean == pytest.approx(found.bits.mean / 64)
    np.testing.assert_allclose(found.density, np.exp(GRID) * curve / 2)


@pytest.mark.parametrize("task", TASKS[:3])
def test_codings_schedules_and_input_scales_give_one_information(task):
    """Three processes, log SNR descending; errors of a 0/1 mask are a quarter of the others."""
    for process, gap in (
        (schedule.linear(1000), 2.0),
        (schedule.linear(100), 1.0),
        (schedule.cosine(300).scaled(0.5), 1.0),
    ):
        log_snr = process.log_snr.numpy() + 2 * math.log(gap / 2)
        found = estimates(task, log_snr[:: max(1, len(log_snr) // 100)], gap)
        assert found.difference.bits.mean == pytest.approx(task.bits, rel=5e-3)
        assert np.all(np.diff(found.difference.log_snr) > 0)


@pytest.mark.parametrize("foreground", [0.5, 0.1])
@pytest.mark.parametrize(("start", "end"), [(-12, 0.3), (-12, 2.1), (-2.2, 6), (-0.7, 6)])
def test_tails_stand_in_for_a_grid_that_is_cut(foreground, start, end):
    grid = np.arange(start, end, 0.25)
    curve = cases(64 * mmse(grid, foreground))
    found = mask_entropy(curve, grid, gap=2.0, pixels=64, **FEW)
    whole = 64 * binary_entropy(0, foreground)
    assert found.nats.mean == pytest.approx(whole, rel=0.12)
    low, low_bound, high, high_bound = found.tails
    assert 0 <= low <= low_bound
    assert 0 <= high <= high_bound * (1 + 1e-9)
    inside = found.nats.mean - low - high
    assert inside < whole < (inside + low_bound + high_bound) * 1.001
    if foreground == 0.5 and end < 6:
        assert found.nats.mean == pytest.approx(whole, rel=1e-3)


def test_the_floor_of_a_network_at_high_snr_is_not_information():
    exact = 64 * mmse(GRID, 0.5)
    floored = exact + 64 * 0.3 * np.exp(-GRID) * (GRID > 3.5)  # L_eps of 0.3 per pixel
    found, expected = (
        mask_entropy(cases(each), GRID, gap=2.0, pixels=64, **FEW) for each in (floored, exact)
    )
    assert found.ceiling < 3.5
    assert found.nats == expected.nats
    assert found.density[-1] == pytest.approx(64 * 0.15)  # shown, but not counted


def test_quantiles_move_with_the_curve():
    fine = np.arange(-14, 6, 0.01)
    curve = np.exp(fine) * mmse(fine, 0.5)
    share = np.cumsum(curve) / curve.sum()
    expected = np.interp([0.1, 0.5, 0.9], share, fine)
    for shift in (0.0, -3.3):
        # Structure of n pixels that are decided together: the same bump at n times lower SNR.
        moved = mmse(GRID - shift, 0.5) * math.exp(-shift)
        found = mask_entropy(cases(moved), GRID, gap=2.0, pixels=64, **FEW)
        assert found.nats.mean == pytest.approx(math.log(2), rel=1e-3)
        np.testing.assert_allclose(
            [each.mean for each in found.quantiles], expected + shift, atol=0.04
        )


def test_the_error_of_the_fit_is_richardsons():
    steps = np.array([100.0, 200.0, 1500.0])
    bits = 80 + 300 * steps**-0.5
    for first, last in ((0, 1), (1, 2), (0, 2)):
        found = fit_error(bits[last], bits[first], steps[last] / steps[first])
        assert found == pytest.approx(bits[last] - 80)
        faster = 80 - 300 * steps**-1.0  # what falls faster is bounded
        assert (
            fit_error(faster[last], faster[first], steps[last] / steps[first]) > 80 - faster[last]
        )
    with pytest.raises(ValueError, match="fewer steps"):
        fit_error(1.0, 2.0, 1.0)


def test_quantiles_without_information_are_nan():
    found = estimates(BinaryChannel((4, 4), 0.5), GRID).difference
    assert found.nats.mean == 0
    assert all(math.isnan(each.mean) for each in found.quantiles)


# Cases ---------------------------------------------------------------------------------------


def test_intervals_are_over_cases_and_groups():
    task = NoisyPixels((8, 8), 1.0)
    errors = exact_errors(task, GRID, 60, np.random.default_rng(0))
    plain = image_information(*errors, GRID, gap=2.0, pixels=64)
    twice = image_information(
        *(np.repeat(each, 2, axis=0) for each in errors),
        GRID,
        gap=2.0,
        pixels=64,
        groups=np.repeat(np.arange(60), 2),
    )
    for one, other in zip(plain[:3], twice[:3], strict=True):
        assert one.nats[:3] == pytest.approx(other.nats[:3])
        assert other.nats.n == 60  # independent units
        assert one.nats.low < task.bits * math.log(2) < one.nats.high
    assert plain.gap[:3] == pytest.approx(twice.gap[:3])
    assert plain.gap.low < 0 < plain.gap.high
    spread = [each.nats.high - each.nats.low for each in plain[:2]]
    assert spread[1] < 0.8 * spread[0]  # the orthogonal form has less of it
    lost = [np.concatenate([each, np.full((1, len(GRID)), np.nan)]) for each in errors]
    again = image_information(*lost, GRID, gap=2.0, pixels=64)
    assert again.difference.nats == plain.difference.nats
    np.testing.assert_array_equal(again.difference.density, plain.difference.density)


@pytest.mark.parametrize("step", [0.0, 0.3, 0.8, 1.0, 1.4])
def test_a_network_that_takes_too_little_or_too_much_from_the_image(step):
    """m_1 = m_0 + c (exact - m_0): difference c (2 - c) I, orthogonal c^2 I, covariance c I."""
    task = BinaryChannel((8, 8), 0.1)
    without, exact = (cases(task.mmse(GRID, with_image=each)) for each in (False, True))
    benefit = without - exact
    found = image_information(
        without,
        without - step * (2 - step) * benefit,
        step**2 * benefit,
        GRID,
        gap=2.0,
        pixels=64,
        **FEW,
    )
    nats = task.bits * math.log(2)
    assert found.difference.nats.mean == pytest.approx(step * (2 - step) * nats, rel=2e-3, abs=0.01)
    assert found.orthogonal.nats.mean == pytest.approx(step**2 * nats, rel=2e-3, abs=0.01)
    assert found.covariance.nats.mean == pytest.approx(step * nats, rel=2e-3, abs=0.01)
    assert found.gap.mean == pytest.approx(2 * step * (step - 1) * nats, rel=2e-3, abs=0.01)


def test_what_noise_in_both_networks_does():
    """Errors e_0 (of z) and e_1, independent: their squares enter as the docstring says."""
    task, generator = NoisyPixels((8, 8), 1.0), np.random.default_rng(0)
    mask, image = task.sample(generator, 2000)
    off, arrays = (0.1, 0.2), []
    for snr in np.exp(GRID):
        z = math.sqrt(snr) * mask + generator.normal(size=mask.shape)
        errors = [
            math.sqrt(part / (1 + snr) ** 2) * generator.normal(size=mask.shape) for part in off
        ]
        blind, seeing = (task.denoise(z, snr, told) for told in (None, image))
        blind, seeing = blind + errors[0], seeing + errors[1]
        differences = (mask - blind, mask - seeing, seeing - blind)
        arrays.append([np.square(each).sum(axis=(1, 2)) for each in differences])
    found = image_information(
        *np.moveaxis(arrays, 0, -1), GRID, gap=2.0, pixels=64, two_levels=False, **FEW
    )
    nats = task.bits * math.log(2)
    # int SNR / (1 + SNR)^2 d log SNR = 1, so |e|^2 of 64 pixels integrates to 32 times its part.
    one, other = (32 * part for part in off)
    assert found.difference.nats.mean == pytest.approx(nats + one - other, rel=0.02)
    assert found.orthogonal.nats.mean == pytest.approx(nats + one + other, rel=0.02)
    assert found.covariance.nats.mean == pytest.approx(nats + one, rel=0.02)
    assert found.gap.mean == pytest.approx(2 * other, rel=0.05)


@pytest.mark.parametrize(
    ("shape", "grid", "said"),
    [
        ((3, 5), GRID, "one shape"),
        ((3, 4), [0.0, 1.0, 1.0, 2.0], "strictly"),
        ((3, 2), [0.0, 1.0], "at least three levels"),
        ((3, 4), [1.0, 9.0, 8.0, 7.0], "strictly"),
        ((3, 4), [6.0, 7.0, 8.0, 9.0], "at least three levels"),
    ],
)
def test_what_is_no_curve_is_refused(shape, grid, said):
    with pytest.raises(ValueError, match=said):
        mask_entropy(np.ones(shape), grid, gap=2.0, pixels=64)
