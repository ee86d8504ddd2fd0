"""From a value per pixel to a mask and to P(foreground), by rules chosen on other masks.

Values are counted once, into a histogram per case of foreground and background pixels; Dice at
every threshold, the best threshold and the best monotone map to a probability come from the counts.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from noise2mask.analysis.oracles.noisy_masks import Floats, Masks

Counts = NDArray[np.int64]


class Scores(NamedTuple):
    """What an oracle reaches, one a case, arrays (cases,), and how.

    Attributes:
        dice: of the thresholded value; 1 if both masks are empty, 0 if one is.
        iou: the same.
        mse_x0: mean over pixels of (x - x_hat)^2, x = -1 or +1.
        width: what the threshold was applied to: standard deviation of the Gaussian or side of
            the median's window in pixels; NaN for an oracle without a width.
        mse_width: width of the filter that the estimate x_hat is made from, chosen by its error.
    """

    dice: Floats
    iou: Floats
    mse_x0: Floats
    width: float = math.nan
    mse_width: float = math.nan


def counted(values: NDArray[np.float32], masks: Masks, reach: float, bins: int) -> Counts:
    """Histograms (cases, 2, bins) of the values of background and of foreground pixels.

    Args:
        values: float32 (cases, ...).
        masks: bool, the same shape.
        reach: bins are equally wide from -reach to reach; what lies outside is in the outer two.
        bins: an even number, so that 0 is an edge.
    """
    # In float32, which is exact enough for a bin. What lies below is clipped before truncation,
    # which rounds towards 0.
    place = values * np.float32(bins / (2 * reach))
    place += np.float32(bins / 2)
    index = np.clip(place, 0, bins - 1, out=place).astype(np.int32)
    index += masks * np.int32(bins)
    first = np.arange(len(values), dtype=np.int32) * np.int32(2 * bins)
    index += first.reshape(-1, *[1] * (values.ndim - 1))
    flat = np.bincount(index.ravel(), minlength=len(values) * 2 * bins)
    return flat.reshape(len(values), 2, bins)


def counted_log_odds(log_odds: NDArray[np.floating], masks: Masks) -> Counts:
    """Histograms (cases, 2, 640) of log-odds of foreground: thresholds 0.05 apart within +-16."""
    return counted(log_odds.astype(np.float32, copy=False), masks, 16.0, 640)


def overlap(counts: Counts) -> tuple[Floats, Floats]:
    """Dice and IoU of each case at each threshold, two arrays (cases, bins + 1).

    Threshold k makes bins k and above foreground: 0 is all foreground, the last is none.
    """
    above = np.zeros((*counts.shape[:2], counts.shape[2] + 1))
    above[..., :-1] = np.cumsum(counts[..., ::-1], axis=2)[..., ::-1]
    hit, foreground = above[:, 1], above[:, 1, :1]
    union = above[:, 0] + foreground
    total = union + hit
    empty = total == 0
    dice = np.where(empty, 1.0, 2 * hit / np.where(empty, 1, total))
    iou = np.where(empty, 1.0, hit / np.where(empty, 1, union))
    return dice, iou


def best_threshold(counts: Counts) -> tuple[int, float]:
    """The threshold with the largest mean Dice over cases, and that Dice.

    Of equal ones that nearest to the middle of the bins.
    """
    dice = overlap(counts)[0].mean(axis=0)
    equal = np.flatnonzero(dice == dice.max())
    return int(equal[np.abs(equal - counts.shape[2] // 2).argmin()]), float(dice.max())


def calibrated(counts: Counts) -> Floats:
    """P(foreground) per bin, (bins,): the best monotone map, by isotonic regression.

    The frequency of foreground in the pooled counts, neighbouring bins pooled until it does not
    fall (Ayer et al., Ann. Math. Stat. 26, 1955); empty bins are interpolated.
    """
    background, foreground = counts.sum(axis=0).astype(np.float64)
    total = background + foreground
    seen = np.flatnonzero(total)
    frequency = foreground[seen] / total[seen]
    fitted = isotonic_regression(frequency, weights=total[seen]).x
    return np.interp(np.arange(len(total)), seen, fitted)


def squared_error(counts: Counts, probability: Floats) -> Floats:
    """Mean over pixels of (x - x_hat)^2, x = -1 or +1, x_hat = 2 p - 1, array (cases,)."""
    background, foreground = counts[:, 0], counts[:, 1]
    errors = background @ probability**2 + foreground @ (1 - probability) ** 2
    return np.asarray(4 * errors / counts.sum(axis=(1, 2)))
