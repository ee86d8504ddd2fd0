"""Reliability histograms: what calibration is computed and drawn from.

A histogram is an array (bins, 3): for each of equally wide bins of P(foreground) the number of
pixels, the sum of their probabilities and the number of those that are foreground. Histograms of
cases add up to the histogram of the pooled pixels, so a pooled error, or its bootstrap over
cases, needs no pixel again.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import distance_transform_edt

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# The mean of draws in single precision lies a rounding error beside k/N, and with 3, 5 or 15 draws
# and 15 bins k/N is an edge: a probability this close above an edge counts as on it.
EDGE_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """One point a bin, arrays (bins,); confidence and frequency are NaN in an empty bin."""

    count: Floats
    confidence: Floats
    frequency: Floats


def pixels_of(probability: ArrayLike, mask: ArrayLike) -> tuple[Floats, Mask]:
    """Both arrays flat, checked: float64 in [0, 1] and bool, of one size (which may be 0).

    Raises:
        ValueError: the shapes differ, `mask` is not boolean, or a probability is outside [0, 1]
            or NaN.
    """
    p, foreground = np.asarray(probability, dtype=np.float64), np.asarray(mask)
    if foreground.dtype != np.bool_:
        raise ValueError(f"mask must be boolean, got {foreground.dtype}")
    if p.shape != foreground.shape:
        raise ValueError(
            f"probability and mask must have one shape, got {p.shape} and {foreground.shape}"
        )
    if not np.all((p >= 0) & (p <= 1)):  # also false for NaN
        raise ValueError("probability must lie in [0, 1]")
    return p.ravel(), foreground.ravel()


def reliability_histogram(probability: ArrayLike, mask: ArrayLike, *, bins: int = 15) -> Floats:
    """Count, sum of probabilities and foreground count per bin, array (bins, 3).

    Bin k = 1..bins is ((k - 1)/bins, k/bins], the first closed at 0 too. A probability at most
    1e-6 above an edge counts as on it.

    Args:
        probability: P(foreground), any shape.
        mask: the reference, boolean, the same shape.
        bins: number of equally wide bins.

    Raises:
        ValueError: see :func:`pixels_of`; or fewer than one bin.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    p, foreground = pixels_of(probability, mask)
    index = np.ceil((p - EDGE_TOLERANCE) * bins).astype(np.int64) - 1
    index = np.clip(index, 0, bins - 1)
    columns = [
        np.bincount(index, minlength=bins),
        np.bincount(index, weights=p, minlength=bins),
        np.bincount(index[foreground], minlength=bins),
    ]
    return np.stack(columns, axis=1).astype(np.float64)


def reliability_curve(histogram: Floats) -> ReliabilityCurve:
    """Mean probability and share of foreground per bin, of a histogram (bins, 3)."""
    count = histogram[:, 0]
    total = np.where(count > 0, count, np.nan)
    return ReliabilityCurve(count, histogram[:, 1] / total, histogram[:, 2] / total)


def ece_of(histograms: Floats) -> Floats:
    """Expected calibration error of histograms (..., bins, 3), each by itself: array (...).

    sum_k n_k/n |confidence_k - frequency_k| (Naeini, Cooper, Hauskrecht, AAAI 2015; Guo et al.,
    arXiv:1706.04599, eq. 3). Pooled over cases it is ``ece_of(histograms.sum(axis=0))``. NaN
    where a histogram has no pixels.
    """
    gap = np.abs(histograms[..., 1] - histograms[..., 2]).sum(axis=-1)
    total = histograms[..., 0].sum(axis=-1)
    return np.asarray(gap / np.where(total > 0, total, np.nan))


def mce_of(histograms: Floats) -> Floats:
    """Maximum calibration error over the non-empty bins of (..., bins, 3): array (...).

    max_k |confidence_k - frequency_k| (Naeini, Cooper, Hauskrecht, AAAI 2015; Guo et al.,
    arXiv:1706.04599). NaN where a histogram has no pixels.
    """
    count = histograms[..., 0]
    gap = np.abs(histograms[..., 1] - histograms[..., 2]) / np.where(count > 0, count, 1.0)
    return np.where(count.sum(axis=-1) > 0, gap.max(axis=-1), np.nan)


def boundary_band(mask: Mask, width: float) -> Mask:
    """Pixels whose centre is at most `width` pixels from the nearest pixel of the other class.

    With a whole `width` and a straight edge these are `width` rows on either side. The image frame
    is no boundary; a mask without foreground or without background has an empty band.

    Args:
        mask: the reference, boolean (H, W).
        width: Euclidean distance, pixels.
    """
    if mask.all() or not mask.any():
        return np.zeros_like(mask)
    # Either transform is 0 in its own class, so the sum is the distance to the other class.
    distance = distance_transform_edt(mask) + distance_transform_edt(~mask)
    return np.asarray(distance <= width)


def expected_gap(draws: int) -> float:
    """ECE of a perfect sampler with `draws` draws, where P(foreground) is uniform on [0, 1].

    Of N draws k are foreground, p_hat = k/N. The draws and the reference come from one p, so
    given k the reference is foreground with E[p | k] = (k + 1)/(N + 2) (Laplace's rule), and k is
    uniform on 0..N: the error is the mean of |k/N - (k + 1)/(N + 2)| = |2k - N| / (N (N + 2)),

        (N + 1) / (2 N (N + 2)) for odd N,    1 / (2 (N + 1)) for even N.

    Exact as long as no bin holds both a p_hat below 1/2 and one above (in 15 bins: odd N up to
    15, even N up to 30); an upper bound otherwise. It falls as 1/(2N). The mean of |p_hat - p|,
    which no reference can show, is another quantity: it falls as 1/sqrt(N) only (0.142 for N = 5).

    >>> [round(expected_gap(draws), 3) for draws in (1, 2, 5, 25)]
    [0.333, 0.167, 0.086, 0.019]

    Raises:
        ValueError: fewer than one draw.
    """
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    if draws % 2:
        return (draws + 1) / (2 * draws * (draws + 2))
    return 1 / (2 * (draws + 1))
