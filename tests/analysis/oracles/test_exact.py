import math
from typing import NamedTuple

import numpy as np
import pytest
from helpers.masks import blobs, noisy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy import integrate, stats
from scipy.special import logit, ndtr

from noise2mask.analysis.oracles import exact, filters
from noise2mask.analysis.oracles.exact import posterior, probability
from noise2mask.analysis.oracles.noisy_masks import Floats, Levels, NoisyMasks
from noise2mask.analysis.oracles.oracles import ORACLES, case_curves, mean_curve

LEVELS = Levels(np.array([100, 300, 500]), np.array([2.0, -0.5, -2.5]))
FAST = {name: ORACLES[name] for name in ("pixel", "gaussian", "multiscale", "posterior")}
few = settings(max_examples=60, deadline=None, derandomize=True)
levels = st.floats(-8, 5)
prevalences = st.floats(0.005, 0.995)


class Rates(NamedTuple):
    """Of a thresholded y, in the limit of many pixels: Dice, IoU and share of wrong pixels."""

    dice: Floats
    iou: Floats
    error: Floats


def posterior_mean(y: ArrayLike, log_snr: ArrayLike, prevalence: ArrayLike) -> Floats:
    """E[x | y] = tanh(SNR y + logit(prevalence) / 2)."""
    return np.asarray(np.tanh(np.exp(log_snr) * np.asarray(y) + logit(np.asarray(prevalence)) / 2))


def bayes_threshold(log_snr: ArrayLike, prevalence: ArrayLike) -> Floats:
    """The y above which foreground is the likelier level: the fewest wrong pixels."""
    return np.asarray(-logit(np.asarray(prevalence)) / (2 * np.exp(log_snr)))


def dice_threshold(log_snr: ArrayLike, prevalence: ArrayLike) -> Floats:
    """The y above which a pixel should be foreground for the largest Dice; -inf: always.

    At the largest Dice D the pixels taken are those with P(foreground | y) > D/2 (Lipton, Elkan,
    Narayanaswamy, arXiv 1402.1892, for F1, which is Dice). Repeated from D of all foreground,
    which converges (Dinkelbach's algorithm) to the precision of float64 in few rounds.
    """
    levels, prior = np.asarray(log_snr, dtype=np.float64), np.asarray(prevalence, dtype=np.float64)
    threshold = np.full(np.broadcast_shapes(levels.shape, prior.shape), -np.inf)
    for _ in range(30):
        dice = expected(levels, prior, threshold).dice
        threshold = (logit(dice / 2) - logit(prior)) / (2 * np.exp(levels))
    return threshold


def expected(log_snr: ArrayLike, prevalence: ArrayLike, threshold: ArrayLike) -> Rates:
    """Dice, IoU and error of y > threshold in closed form, for a mask of many pixels.

    2 p q / (p + p q + (1 - p) f) with prevalence p, q the share of the foreground and f that of
    the background that is taken. For a mask of few pixels the mean differs by O(1 / pixels).
    """
    deviation = np.exp(-np.asarray(log_snr, dtype=np.float64) / 2)
    prior, y = np.asarray(prevalence, dtype=np.float64), np.asarray(threshold, dtype=np.float64)
    hit, wrong = prior * ndtr((1 - y) / deviation), (1 - prior) * ndtr((-1 - y) / deviation)
    return Rates(2 * hit / (prior + hit + wrong), hit / (prior + wrong), prior - hit + wrong)


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
        return density * (1 - float(posterior_mean(y, log_snr, prevalence)) ** 2)

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
    threshold = bayes_threshold(log_snr, 0.5)
    error = expected(log_snr, 0.5, threshold).error
    assert error == pytest.approx(stats.norm.sf(np.exp(log_snr / 2)))


@few
@given(levels, prevalences)
def test_no_other_threshold_is_better(log_snr, prevalence):
    deviation = math.exp(-log_snr / 2)
    others = np.linspace(-1 - 8 * deviation, 1 + 8 * deviation, 2001)
    rates = expected(log_snr, prevalence, others)
    bayes = expected(log_snr, prevalence, bayes_threshold(log_snr, prevalence))
    best = expected(log_snr, prevalence, dice_threshold(log_snr, prevalence))
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
    assert posterior_mean(y, log_snr, prevalence) == pytest.approx(expected, abs=1e-9)


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
    threshold = dice_threshold(log_snr, prevalence)
    rates = expected(log_snr, prevalence, threshold)
    mmse = exact.mmse(log_snr, prevalence)
    assert found.dice.mean() == pytest.approx(rates.dice, abs=0.006)
    assert found.iou.mean() == pytest.approx(rates.iou, abs=0.006)
    error = found.mse_x0.std(ddof=1) / math.sqrt(len(found.mse_x0))
    assert found.mse_x0.mean() == pytest.approx(mmse, abs=4 * error)
    assert error < 0.1 * mmse
    assert found.width == found.mse_width == 0
    # The filters know that pixels are independent: they choose the width 0.
    assert filters.gaussian(train, test, widths=(0, 1, 2)).mse_width == 0


# Masks known beforehand


@pytest.mark.parametrize("log_snr", [-4.0, -2.5, -1.0])
def test_two_masks_are_one_binary_question(log_snr):
    # On the line through two masks that differ in d pixels, x = -+1 is seen with d times the SNR,
    # so the squared error summed over pixels is d times the mmse of one binary input.
    masks = np.zeros((2, 8, 8), dtype=bool)
    masks[0, 2:4, 1:7], masks[1, 3:7, 2:5] = True, True
    differing = int((masks[0] ^ masks[1]).sum())
    test = noisy(np.tile(masks, (4000, 1, 1)), role="test", log_snr=log_snr)
    found = posterior(noisy(masks, role="train", log_snr=log_snr), test)
    expected = differing * exact.mmse(log_snr + math.log(differing), 0.5) / 64
    error = found.mse_x0.std() / math.sqrt(8000)
    assert found.mse_x0.mean() == pytest.approx(expected, abs=4 * error)


def test_the_posterior_mean_is_bayes_rule_and_leaves_the_case_out():
    masks = blobs(5, size=6, scale=1)
    train = noisy(masks, role="a", log_snr=-2.0)
    y = noisy(masks[:3], role="a", log_snr=-2.0).noisy(slice(0, 3)).reshape(3, -1).astype(float)
    x = np.where(masks, 1.0, -1.0).reshape(5, -1)

    def mean(row, among):
        weights = np.array([stats.norm(x[i], math.exp(1)).logpdf(row).sum() for i in among])
        weights = np.exp(weights - weights.max())
        return weights @ masks.reshape(5, -1)[among] / weights.sum()

    strangers = probability(train, y, ["b 0", "b 1", "b 2"])
    assert strangers == pytest.approx(np.stack([mean(row, list(range(5))) for row in y]))
    own = probability(train, y, ["a 0", "a 1", "a 2"])
    left_out = [mean(row, [j for j in range(5) if j != i]) for i, row in enumerate(y)]
    assert own == pytest.approx(np.stack(left_out))
    with pytest.raises(ValueError, match="another case"):
        posterior(noisy(masks[:1]), noisy(masks[:1]))


def test_nothing_beats_the_exact_posterior_where_its_prior_is_the_truth():
    prior = blobs(6, size=16, seed=4)
    drawn = np.tile(prior, (10, 1, 1))
    # Names differ from those of the prior, so that the true mask is among it.
    table = mean_curve(
        case_curves(np.concatenate([prior, prior[:3]]), drawn, LEVELS, oracles=FAST)
    ).pivot(index="t", columns="oracle", values="mse_x0")
    for other in ("pixel", "gaussian", "multiscale"):
        assert np.all(table["posterior"] <= table[other] + 1e-9)
