import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from noise2mask.analysis.oracles import exact, filters
from noise2mask.analysis.oracles.noisy_masks import NoisyMasks

few = settings(max_examples=60, deadline=None, derandomize=True)
levels = st.floats(-8, 5)
prevalences = st.floats(0.005, 0.995)


@pytest.mark.parametrize("log_snr", [-6.0, -1.0, 0.0, 1.5, 3.0])
def test_mmse_of_even_odds_equals_the_formula_of_guo_shamai_and_verdu(log_snr):
    snr = math.exp(log_snr)

    def integrand(n):
        return stats.norm.pdf(n) * math.tanh(snr + math.sqrt(snr) * n)

    expected = 1 - integrate.quad(integrand, -30, 30, limit=400, epsabs=1e-13)[0]
    assert exact.mmse(log_snr, 0.5) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("prevalence", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("log_snr", [-4.0, 0.0, 2.0])
def test_mmse_equals_the_variance_that_the_posterior_mean_leaves(log_snr, prevalence):
    deviation = math.exp(-log_snr / 2)

    def integrand(y):
        density = prevalence * stats.norm.pdf(y, 1, deviation)
        density += (1 - prevalence) * stats.norm.pdf(y, -1, deviation)
        return density * (1 - float(exact.posterior_mean(y, log_snr, prevalence)) ** 2)

    far = 1 + 12 * deviation
    expected = integrate.quad(integrand, -far, far, points=[-1, 0, 1], limit=400)[0]
    assert exact.mmse(log_snr, prevalence) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("prevalence", [0.5, 0.1, 0.003])
def test_half_the_integral_of_the_mmse_over_snr_is_the_entropy(prevalence):
    log_snr = np.linspace(-20, 7, 400)
    density = exact.mmse(log_snr, prevalence) * np.exp(log_snr)
    entropy = stats.bernoulli(prevalence).entropy()
    assert np.trapezoid(density, log_snr) / 2 == pytest.approx(entropy, rel=1e-6)


def test_small_errors_keep_their_digits_and_large_snr_is_no_trouble():
    # At high SNR and even odds the mmse is (pi/2) sqrt(2/(pi SNR)) exp(-SNR/2) (1 + O(1/SNR)).
    snr = 1000.0
    asymptote = math.sqrt(math.pi / (2 * snr)) * math.exp(-snr / 2)
    assert exact.mmse(math.log(snr), 0.5) == pytest.approx(asymptote, rel=2 / snr)
    assert exact.mmse(12.0, 0.5) == 0
    assert exact.mmse(-30.0, 0.2) == pytest.approx(4 * 0.2 * 0.8)


def test_the_error_of_even_odds_is_the_gaussian_tail():
    log_snr = np.linspace(-6, 4, 11)
    threshold = exact.bayes_threshold(log_snr, 0.5)
    error = exact.expected(log_snr, 0.5, threshold).error
    assert error == pytest.approx(stats.norm.sf(np.exp(log_snr / 2)))


@few
@given(levels, prevalences)
def test_no_other_threshold_is_better(log_snr, prevalence):
    deviation = math.exp(-log_snr / 2)
    others = np.linspace(-1 - 8 * deviation, 1 + 8 * deviation, 2001)
    rates = exact.expected(log_snr, prevalence, others)
    bayes = exact.expected(log_snr, prevalence, exact.bayes_threshold(log_snr, prevalence))
    best = exact.expected(log_snr, prevalence, exact.dice_threshold(log_snr, prevalence))
    assert bayes.error <= rates.error.min() + 1e-12
    assert best.dice >= rates.dice.max() - 1e-9
    assert best.dice >= 2 * prevalence / (1 + prevalence) - 1e-12  # all foreground
    assert best.iou == pytest.approx(best.dice / (2 - best.dice))


@few
@given(st.floats(-3, 3), levels, prevalences)
def test_the_posterior_mean_is_bayes_rule(y, log_snr, prevalence):
    snr = math.exp(log_snr)
    odds = prevalence / (1 - prevalence) * math.exp(min(2 * snr * y, 600))
    expected = 1 - 2 / (1 + odds)
    assert exact.posterior_mean(y, log_snr, prevalence) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("prevalence", [0.1, 0.5])
@pytest.mark.parametrize("log_snr", [-2.0, 0.0, 2.0])
def test_noise_on_independent_pixels_reaches_the_closed_form(log_snr, prevalence):
    generator = np.random.default_rng(3)
    train, test = (
        NoisyMasks(
            generator.random((8, 128, 128)) < prevalence,
            [f"{role} {i}" for i in range(8)],
            7,
            log_snr,
            0,
        )
        for role in ("train", "test")
    )
    found = filters.pixel(train, test)
    threshold = exact.dice_threshold(log_snr, prevalence)
    expected = exact.expected(log_snr, prevalence, threshold)
    mmse = exact.mmse(log_snr, prevalence)
    assert found.dice.mean() == pytest.approx(expected.dice, abs=0.006)
    assert found.iou.mean() == pytest.approx(expected.iou, abs=0.006)
    error = found.mse_x0.std(ddof=1) / math.sqrt(len(found.mse_x0))
    assert found.mse_x0.mean() == pytest.approx(mmse, abs=4 * error)
    assert error < 0.1 * mmse
    assert found.width == found.mse_width == 0
    # The filters know that pixels are independent: they choose the width 0.
    assert filters.gaussian(train, test, widths=(0, 1, 2)).mse_width == 0
