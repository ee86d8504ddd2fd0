"""The exact posterior mean if the masks of a training set were all the masks there are.

Given x_t, training mask i has a probability proportional to exp(-|x_t - sqrt(A) x_i|^2 / (2 (1 -
A))); the mean of the masks under it is the best estimate of x_0 under that prior (the optimal
denoiser of an empirical distribution, e.g. Karras et al. 2022, arXiv 2206.00364, appendix B.3). At
high resolution no training mask is close to a new one and the estimate is its nearest neighbour,
so this oracle is for masks of 16 to 32 pixels a side.
"""

from collections.abc import Iterator

import numpy as np
from scipy.special import logit, softmax

from noise2mask.analysis.oracles.noisy_masks import Floats, Masks, NoisyMasks
from noise2mask.analysis.oracles.thresholds import Scores, best_threshold, counted_log_odds, overlap


def posterior(train: NoisyMasks, test: NoisyMasks) -> Scores:
    """The posterior mean over the training masks, and a threshold of it.

    A case's own mask, told by its name, is never among those its estimate is made of: with equal
    `train` and `test` this is leave-one-out. The threshold is the best for the mean Dice of the
    training masks, each estimated with itself left out.

    Args:
        train: masks of the prior, equally likely.
        test: masks at the same level that are scored.

    Raises:
        ValueError: there is no mask of another case to estimate one from.
    """
    threshold, _ = best_threshold(
        np.concatenate([counted_log_odds(logit(p), masks) for p, masks in _estimates(train, train)])
    )
    scores = [
        (*overlap(counted_log_odds(logit(p), masks)), 4 * np.square(p - masks).mean(axis=1))
        for p, masks in _estimates(train, test)
    ]
    dice, iou, errors = (np.concatenate(column) for column in zip(*scores, strict=True))
    return Scores(dice[:, threshold], iou[:, threshold], errors)


def probability(train: NoisyMasks, y: Floats, cases: list[str]) -> Floats:
    """P(foreground) given `y`, (cases, pixels), as the weighted mean of the training masks.

    -|y - x_i|^2 SNR/2 is SNR <y, x_i> but for what all x_i share, since |x_i|^2 is the number of
    pixels for each: one matrix product for the weights, one for the mean.

    Args:
        train: masks of the prior.
        y: (cases, pixels), at the level of `train`.
        cases: their names.

    Raises:
        ValueError: there is no mask of another case.
    """
    masks = train.masks.reshape(len(train.masks), -1).astype(np.float64)
    exponents = train.snr * (y @ (2 * masks - 1).T)
    exponents[np.asarray(cases)[:, None] == np.asarray(train.cases)] = -np.inf
    if not np.isfinite(exponents.max(axis=1, initial=-np.inf)).all():
        raise ValueError("the posterior mean of a case needs the mask of another case")
    # Rounding can lift a mean of ones above 1.
    return np.minimum(softmax(exponents, axis=1) @ masks, 1.0)


def _estimates(train: NoisyMasks, noisy: NoisyMasks) -> Iterator[tuple[Floats, Masks]]:
    """P(foreground) and masks, (cases, pixels) each, some cases at a time."""
    for chosen, y in noisy.blocks():
        flat = y.reshape(len(y), -1).astype(np.float64)
        masks = noisy.masks[chosen].reshape(len(y), -1)
        yield probability(train, flat, list(noisy.cases[chosen])), masks
