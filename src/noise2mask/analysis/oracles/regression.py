"""A logistic regression on filtered copies of x_t: a bound on what can be known without the image.

The log-odds of a pixel are an intercept plus a weighted sum of x_t there under Gaussian filters of
a few widths, one fit per noise level on training masks. Whatever it reaches on held-out masks an
image-free network can reach too, so its squared error is an upper bound of the image-free mmse.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

from noise2mask.analysis.oracles.filters import gaussian_copies
from noise2mask.analysis.oracles.noisy_masks import Floats, Masks, NoisyMasks, Singles
from noise2mask.analysis.oracles.thresholds import Scores, best_threshold, counted_log_odds, overlap
from noise2mask.evaluation.logistic import fit

WIDTHS = (0.0, 1.5, 3.0, 6.0, 12.0, 24.0)
"""Standard deviations of the filters, pixels; 0 is x_t itself."""


def multiscale(
    train: NoisyMasks,
    test: NoisyMasks,
    *,
    widths: Sequence[float] = WIDTHS,
    pixels: int = 1 << 17,
) -> Scores:
    """Fit on `train`, score P(foreground) on `test`.

    x_hat = 2 P - 1; the threshold of P is the best for the mean Dice of the training masks.

    Args:
        train: masks to fit on.
        test: masks at the same level that are scored.
        widths: standard deviations of the filters, pixels.
        pixels: about how many pixels of all training masks the fit uses, as many of each mask.
    """
    weights, threshold = fitted(train, widths=widths, pixels=pixels)
    scores = []
    for chosen, y in test.blocks():
        odds, masks = log_odds(y, widths, weights), test.masks[chosen]
        wrong = expit(np.where(masks, -odds, odds))
        errors = 4 * np.square(wrong).mean(axis=(1, 2), dtype=np.float64)
        scores.append((*overlap(counted_log_odds(odds, masks)), errors))
    dice, iou, errors = (np.concatenate(column) for column in zip(*scores, strict=True))
    return Scores(dice[:, threshold], iou[:, threshold], errors)


def fitted(train: NoisyMasks, *, widths: Sequence[float], pixels: int) -> tuple[Floats, int]:
    """Weights for :func:`log_odds`, and the best threshold for ``counted_log_odds``.

    Args:
        train: masks to fit on.
        widths: standard deviations of the filters, pixels.
        pixels: about how many pixels of all masks to use, as many of each mask.
    """
    each = min(train.masks[0].size, -(-pixels // len(train.masks)))
    copies, foreground = _sampled(train, widths, each)
    weights = fit(copies.reshape(-1, len(widths)), foreground.ravel())
    odds = copies @ weights[1:] + weights[0]
    return weights, best_threshold(counted_log_odds(odds, foreground))[0]


def log_odds(y: Singles, widths: Sequence[float], weights: Floats) -> Singles:
    """Log-odds of foreground of noisy masks, float32 (cases, H, W).

    P(foreground) is their logistic function, and x_0_hat for levels -1 and +1 is 2 P - 1.

    Args:
        y: float32 (cases, H, W), at the level of the fit.
        widths: standard deviations of the filters, pixels.
        weights: (1 + widths,), intercept and weight of each copy.
    """
    odds = np.full_like(y, weights[0])
    for weight, copy in zip(weights[1:], gaussian_copies(y, widths), strict=True):
        odds += np.float32(weight) * copy
    return odds


def _sampled(noisy: NoisyMasks, widths: Sequence[float], each: int) -> tuple[Singles, Masks]:
    """Filtered copies (cases, each, widths) and masks (cases, each) at random pixels of each."""
    copies = np.empty((len(noisy.masks), each, len(widths)), dtype=np.float32)
    foreground = np.empty((len(noisy.masks), each), dtype=np.bool_)
    for chosen, y in noisy.blocks():
        flat = noisy.masks[chosen].reshape(len(y), -1)
        places = np.stack(
            [
                noisy.generator("pixels", case).choice(
                    flat.shape[1], each, replace=False, shuffle=False
                )
                for case in noisy.cases[chosen]
            ]
        )
        foreground[chosen] = np.take_along_axis(flat, places, axis=1)
        for number, copy in enumerate(gaussian_copies(y, widths)):
            copies[chosen, :, number] = np.take_along_axis(copy.reshape(len(y), -1), places, axis=1)
    return copies, foreground
