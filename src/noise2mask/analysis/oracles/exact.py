"""What a noisy mask tells, exactly: of a lone pixel in closed form, of masks known beforehand.

A lone pixel x is +1 with probability `prevalence`, else -1, and is seen as y = x + exp(-log_snr/2)
n with n standard normal. No pixel of a mask, whatever surrounds it, is less certain than a lone one
of even odds at the same SNR. The empirical version is ``filters.gaussian`` with the one width 0.

If the masks of a training set were all there are, mask i would give x_t a probability proportional
to exp(-|x_t - sqrt(A) x_i|^2 / (2 (1 - A))), and the mean of the masks under it is the best
estimate of x_0 (the optimal denoiser of an empirical distribution, e.g. Karras et al. 2022, arXiv
2206.00364, appendix B.3). At high resolution no training mask is close to a new one and the
estimate is its nearest neighbour, so :func:`posterior` is for masks of 16 to 32 pixels a side.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, logit, softmax

from noise2mask.analysis.oracles.noisy_masks import Floats, Masks, NoisyMasks
from noise2mask.analysis.oracles.thresholds import Scores, best_threshold, counted_log_odds, overlap

_REACH = 38.5
"""Standard deviations; beyond, the normal density is 0 in float64."""
_POINTS = 20_001
_PIECE = 64


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


def binary_entropy(snr: float, foreground: float = 0.5) -> float:
    """Entropy of the pixel given z, in nats; its prior entropy at snr 0.

    Equal to the integral of half the mmse from `snr` to infinity (Guo, Shamai, Verdu, IEEE Trans.
    Inf. Theory 51, 2005). By trapezoid, to twelve digits.

    Args:
        snr: not its logarithm.
        foreground: probability of level +1, in (0, 1).
    """
    step = min(0.1, 0.25 / math.sqrt(max(snr, 1.0)))
    z = np.arange(-12.0, 12.0, step)
    a = math.log(foreground / (1 - foreground)) / 2
    # Posterior log odds are 2 w; z has the density exp(-snr/2) p(z) cosh(w)/cosh(a), p normal.
    w = np.minimum(np.abs(a + math.sqrt(snr) * z), 300)
    e = np.exp(-2 * w)
    scaled = np.exp(-w) * (1 + e) / 2 * (np.log1p(e) / e + 2 * w / (1 + e))  # entropy cosh(w)
    normal = np.exp(-(z**2) / 2 - snr / 2) * step / math.sqrt(2 * math.pi)
    return float(normal @ scaled) / math.cosh(a)


def decided_from(pixels: int, nats: float) -> float:
    """Log SNR from which on the entropy of any mask given z is at most `nats`.

    Where `pixels` lone pixels of even odds have that entropy. -inf if they never have more.
    """
    if pixels * math.log(2) <= nats:
        return -math.inf

    def excess(log_snr: float) -> float:
        return pixels * binary_entropy(math.exp(log_snr)) - nats

    return float(brentq(excess, -40.0, 7.0))


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
