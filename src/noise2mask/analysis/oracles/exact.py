"""Each pixel by itself: the closed form of the simplest oracle.

A pixel x is +1 with probability `prevalence`, else -1, and is seen as y = x + exp(-log_snr/2) n
with n standard normal. With SNR = exp(log_snr) its log-odds given y are logit(prevalence) + 2 SNR
y, so the Bayes estimates depend on SNR and prevalence alone. Arguments broadcast.

The empirical version is ``filters.gaussian`` with the one width 0.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit, ndtr

from noise2mask.analysis.oracles.noisy_masks import Floats

_REACH = 38.5
"""Standard deviations; beyond, the normal density is 0 in float64."""
_POINTS = 20_001
_PIECE = 64


class Rates(NamedTuple):
    """Of a thresholded y, in the limit of many pixels: Dice, IoU and share of wrong pixels."""

    dice: Floats
    iou: Floats
    error: Floats


def posterior_mean(y: ArrayLike, log_snr: ArrayLike, prevalence: ArrayLike) -> Floats:
    """E[x | y] = tanh(SNR y + logit(prevalence) / 2)."""
    return np.asarray(np.tanh(np.exp(log_snr) * np.asarray(y) + logit(np.asarray(prevalence)) / 2))


def mmse(log_snr: ArrayLike, prevalence: ArrayLike) -> Floats:
    """Mean squared error of the posterior mean, E (x - E[x | y])^2, between 0 and 1.

    For even odds 1 - E tanh(SNR + sqrt(SNR) n) (Guo, Shamai, Verdu, IEEE Trans. Inf. Theory 51,
    2005, eq. 17). Here a sum of squares, so that small values keep their digits: given x = s the
    error is 4 P(-s | y)^2. The integral is a trapezoid, which converges exponentially for this
    integrand; relative error below 1e-10 wherever the mmse is above 1e-300.
    """
    levels, priors = np.broadcast_arrays(
        np.asarray(log_snr, dtype=np.float64), np.asarray(prevalence, dtype=np.float64)
    )
    n = np.linspace(-_REACH, _REACH, _POINTS)
    weight = np.exp(-(n**2) / 2) / math.sqrt(2 * math.pi) * (n[1] - n[0])
    values = np.empty(levels.size)
    for start in range(0, levels.size, _PIECE):
        piece = slice(start, start + _PIECE)
        snr, prior = np.exp(levels.ravel()[piece, None]), priors.ravel()[piece, None]
        evidence = 2 * snr + 2 * np.sqrt(snr) * n
        missed = prior * expit(-logit(prior) - evidence) ** 2
        invented = (1 - prior) * expit(logit(prior) - evidence) ** 2
        values[piece] = 4 * (missed + invented) @ weight
    return values.reshape(levels.shape)


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
