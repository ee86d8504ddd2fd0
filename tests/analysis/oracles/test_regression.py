import math

import numpy as np
import pytest
from helpers.masks import blobs, noisy
from scipy.special import expit, logit

from noise2mask.analysis.oracles import filters, regression
from noise2mask.evaluation.metrics import dice


def test_the_fit_recovers_the_bayes_rule_of_independent_pixels():
    masks = np.random.default_rng(0).random((6, 160, 160)) < 0.2
    seen = noisy(masks, log_snr=0.3)
    y = seen.noisy(slice(0, 6))
    weights = regression.fit(y.reshape(-1, 1), masks.ravel())
    assert weights == pytest.approx([logit(0.2), 2 * math.exp(0.3)], rel=0.03)


def test_the_fit_has_no_gradient_left_and_bears_separable_masks():
    generator = np.random.default_rng(0)
    copies = generator.normal(size=(4000, 3)).astype(np.float32)
    copies[:, 2] = copies[:, 1] + 0.1 * copies[:, 2]
    foreground = copies @ [1, 2, -1.5] + generator.logistic(size=4000) > 0
    weights = regression.fit(copies, foreground)
    wrong = expit(copies @ weights[1:] + weights[0]) - foreground
    assert np.abs(wrong.mean()) < 1e-4
    assert np.abs(copies.T @ wrong / 4000).max() < 1e-4
    separable = regression.fit(copies, copies[:, 0] > 0)
    assert np.all(np.isfinite(separable))
    assert separable[1] > 50
    twice = regression.fit(np.repeat(copies[:, :1], 2, axis=1), copies[:, 0] > 0.3)
    assert twice[1] == pytest.approx(twice[2], rel=0.02)


def test_multiscale_scores_its_own_probability():
    train, test = noisy(blobs(4, seed=1), role="train"), noisy(blobs(3, seed=2), role="test")
    found = regression.multiscale(train, test, widths=(0, 2), pixels=1 << 20)
    copies = np.stack(list(filters.gaussian_copies(train.noisy(slice(0, 4)), (0, 2))), axis=-1)
    weights = regression.fit(copies.reshape(-1, 2), train.masks.ravel())
    held_out = np.stack(list(filters.gaussian_copies(test.noisy(slice(0, 3)), (0, 2))), axis=-1)
    p = expit(held_out @ weights[1:] + weights[0])
    error = ((2 * p - 1 - np.where(test.masks, 1, -1)) ** 2).mean(axis=(1, 2))
    assert found.mse_x0 == pytest.approx(error, rel=1e-3)
    at_half = [dice(case > 0.5, mask) for case, mask in zip(p, test.masks, strict=True)]
    assert found.dice.mean() == pytest.approx(np.mean(at_half), abs=0.03)
