"""Calibration of P(foreground): every function with a title is one metric.

Each takes the probabilities and the boolean reference, of one shape, whichever (all pixels of a
case, those of a band, those of many cases) and returns a float; NaN if there are no pixels.
"""

from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field
from scipy.stats import rankdata

from noise2mask.evaluation.metrics import metric
from noise2mask.evaluation.reliability import ece_of, mce_of, pixels_of, reliability_histogram


@metric(title="ECE per case", pooled="ECE pooled over pixels", better=-1)
def ece(
    probability: ArrayLike,
    mask: ArrayLike,
    *,
    bins: Annotated[
        int, Field(ge=1, le=10_000, description="equally wide bins of P(foreground)")
    ] = 15,
) -> float:
    """Expected calibration error, sum_k n_k/n |mean p in bin k - foreground share in bin k|.

    Bin k is ((k - 1)/bins, k/bins], the first closed at 0. Empty bins weigh nothing; an empty
    array has no error: NaN. With N draws it stays above 0 even for a perfect sampler, see
    :func:`noise2mask.evaluation.reliability.expected_gap`.

    Raises:
        ValueError: shapes differ, the mask is not boolean, or p is outside [0, 1].

    References:
        Naeini, Cooper, Hauskrecht, AAAI 2015; Guo et al., arXiv:1706.04599, eq. 3 (there for the
        winning class, here for the foreground).

    Examples:
        >>> import numpy as np
        >>> p = np.array([0.0, 0.0, 0.5, 0.5])
        >>> ece(p, np.array([False, False, True, True]))
        0.25
    """
    return float(ece_of(reliability_histogram(probability, mask, bins=bins)))


@metric(title="ACE", better=-1)
def ace(
    probability: ArrayLike,
    mask: ArrayLike,
    *,
    bins: Annotated[int, Field(ge=1, le=10_000, description="ranges of equally many pixels")] = 15,
) -> float:
    """Adaptive calibration error: mean |mean p - foreground share| over ranges of equal mass.

    The pixels, sorted by p, are cut into `bins` ranges of n/bins pixels each. Pixels of equal p
    are interchangeable: each counts with the mean reference of all of them, and one at a cut
    counts partly on either side. So ties (N draws know N + 1 values) leave no arbitrary order
    behind, and there may be fewer pixels than bins. An empty array has no error: NaN.

    Raises:
        ValueError: shapes differ, the mask is not boolean, p is outside [0, 1], or no bins.

    References:
        Nixon et al., "Measuring calibration in deep learning", arXiv:1904.01685 (one class,
        the foreground).

    Examples:
        >>> import numpy as np
        >>> p = np.array([0.1, 0.2, 0.6, 0.7])
        >>> round(ace(p, np.array([False, False, True, True]), bins=2), 3)
        0.25
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    p, foreground = pixels_of(probability, mask)
    if p.size == 0:
        return float("nan")
    level, index, count = np.unique(p, return_inverse=True, return_counts=True)
    surplus = level * count - np.bincount(index, weights=foreground)
    # Cumulated over the sorted pixels, linear between two levels: ties shared equally.
    pixels = np.concatenate([[0.0], np.cumsum(count)])
    cumulated = np.concatenate([[0.0], np.cumsum(surplus)])
    at_cuts = np.interp(np.linspace(0.0, p.size, bins + 1), pixels, cumulated)
    return float(np.abs(np.diff(at_cuts)).sum() / p.size)


@metric(title="MCE", better=-1)
def mce(
    probability: ArrayLike,
    mask: ArrayLike,
    *,
    bins: Annotated[
        int, Field(ge=1, le=10_000, description="equally wide bins of P(foreground)")
    ] = 15,
) -> float:
    """Maximum calibration error, the largest |mean p - foreground share| of a non-empty bin.

    Bins as in :func:`ece`. One stray pixel alone in a bin decides it: read it beside the counts.
    An empty array has no error: NaN.

    Raises:
        ValueError: shapes differ, the mask is not boolean, or p is outside [0, 1].

    References:
        Naeini, Cooper, Hauskrecht, AAAI 2015; Guo et al., arXiv:1706.04599.

    Examples:
        >>> import numpy as np
        >>> p = np.array([0.0, 0.0, 0.5, 0.5])
        >>> mce(p, np.array([False, False, True, True]))
        0.5
    """
    return float(mce_of(reliability_histogram(probability, mask, bins=bins)))


@metric(title="Brier", better=-1, digits=4, interval_digits=4)
def brier(probability: ArrayLike, mask: ArrayLike) -> float:
    """Brier score, the mean of (p - y)^2 over pixels, y = 1 in the foreground.

    An empty array has no score: NaN.

    Raises:
        ValueError: shapes differ, the mask is not boolean, or p is outside [0, 1].

    References:
        Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather
        Review 78, 1950 (half of his sum over the two classes).

    Examples:
        >>> import numpy as np
        >>> brier(np.array([0.0, 0.5]), np.array([False, True]))
        0.125
    """
    p, foreground = pixels_of(probability, mask)
    if p.size == 0:
        return float("nan")
    return float(np.mean((p - foreground) ** 2))


@metric(title="NLL", better=-1, unit="nats")
def nll(probability: ArrayLike, mask: ArrayLike, *, draws: int) -> float:
    """Negative log-likelihood per pixel in nats, p clipped to [1/(2N), 1 - 1/(2N)] for N draws.

    A mean of N draws may be exactly 0 or 1, which N draws do not prove; half a draw is left for
    the other class. A probability that no draws made (a sigmoid) is clipped with the N of what
    it is compared with. With one draw every pixel is clipped to 1/2 and the value is ln 2. An
    empty array has no likelihood: NaN.

    Args:
        probability: P(foreground), any shape.
        mask: the reference, boolean, the same shape.
        draws: N, at least 1.

    Raises:
        ValueError: shapes differ, the mask is not boolean, p is outside [0, 1], or no draws.

    References:
        Good, "Rational decisions", J. R. Stat. Soc. B 14, 1952 (the logarithmic score).

    Examples:
        >>> import numpy as np
        >>> round(nll(np.array([1.0, 0.0]), np.array([True, True]), draws=5), 4)  # p: 0.9, 0.1
        1.204
    """
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    p, foreground = pixels_of(probability, mask)
    if p.size == 0:
        return float("nan")
    p = np.clip(p, 1 / (2 * draws), 1 - 1 / (2 * draws))
    return float(-np.mean(np.log(np.where(foreground, p, 1 - p))))


@metric(title="AUROC of error", better=1)
def error_auroc(probability: ArrayLike, mask: ArrayLike) -> float:
    """How well uncertainty finds errors: the area under the ROC curve, 0.5 by chance.

    A pixel is an error where p > 0.5 and the reference differ, and as uncertain as p (1 - p). The
    area is the probability that an error is more uncertain than a pixel that is right, ties half.
    Without an error, or with nothing else, there is none, nor of an empty array: NaN.

    Raises:
        ValueError: shapes differ, the mask is not boolean, or p is outside [0, 1].

    References:
        Hanley, McNeil, Radiology 143, 1982 (the area as a rank sum).

    Examples:
        >>> import numpy as np
        >>> error_auroc(np.array([0.9, 0.6, 0.1]), np.array([True, False, False]))
        1.0
    """
    p, foreground = pixels_of(probability, mask)
    wrong = (p > 0.5) != foreground
    errors, right = int(wrong.sum()), int((~wrong).sum())
    if not errors or not right:
        return float("nan")
    # Rounded, so that p and 1 - p of a float32 are equally uncertain.
    ranks = rankdata(np.round(p * (1 - p), 7))
    return float((ranks[wrong].sum() - errors * (errors + 1) / 2) / (errors * right))
