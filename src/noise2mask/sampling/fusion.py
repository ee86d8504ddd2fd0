"""Fusion of several draws into one probability map.

Every public function of this module is a fusion that a study may name. The plain mean is the one
whose value is a probability; the others are what published codes do to their draws, kept to measure
their effect.
"""

import numpy as np
import numpy.typing as npt

from noise2mask.data import annotators


def mean(draws: npt.NDArray[np.floating] | npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Mean of the draws: the probability of foreground.

    Args:
        draws: (N, ...), decoded to the scale where background is 0 and foreground 1.

    Returns:
        (...), as all fusions here.

    Example:
        >>> mean(np.array([[0.0, 1.0], [1.0, 1.0]])).tolist()
        [0.5, 1.0]
    """
    return np.asarray(draws.mean(axis=0, dtype=np.float64))


def mean_threshold(draws: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """1 where the mean of the draws exceeds 0.5, else 0 (EnsemDiff, arXiv 2112.03145).

    Args:
        draws: (N, ...), as in :func:`mean`.

    Example:
        >>> mean_threshold(np.array([[0.0, 1.0], [1.0, 1.0]])).tolist()
        [0.0, 1.0]
    """
    return (mean(draws) > 0.5).astype(np.float64)


def squared_mean(draws: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Square of the mean of the draws, published as STAPLE in MedSegDiff (arXiv 2211.00611).

    One pass of an estimate that STAPLE would iterate. A negative mean comes out positive.

    Args:
        draws: (N, ...), as in :func:`mean`.

    Example:
        >>> squared_mean(np.array([[0.0, 1.0], [1.0, 1.0]])).tolist()
        [0.25, 1.0]
    """
    return mean(draws) ** 2


def vote(draws: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Mean of the draws clipped to [0, 1], rounded, half to even (SegDiff, arXiv 2112.00390).

    Called a majority vote there, although the draws are not made binary before the mean.

    Args:
        draws: (N, ...), as in :func:`mean`.

    Example:
        >>> vote(np.array([[0.0, 1.0], [1.0, 1.0]])).tolist()
        [0.0, 1.0]
    """
    return np.rint(mean(np.clip(draws, 0.0, 1.0)))


def binarised(draws: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Share of the draws that are foreground, each made binary at 0.5 first.

    The probability that a sampler of masks would give: of grey draws, each of which is a
    probability already, only the mask counts.

    Args:
        draws: (N, ...), as in :func:`mean`.

    Example:
        >>> binarised(np.array([[0.9, 0.4], [0.6, 0.4]])).tolist()
        [1.0, 0.0]
    """
    return mean(draws >= 0.5)


def majority(draws: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """1 where more than half of the draws are foreground, each made binary at 0.5 first.

    Args:
        draws: (N, ...), as in :func:`mean`.

    Example:
        >>> majority(np.array([[0.9, 0.4], [0.6, 0.4], [0.0, 1.0]])).tolist()
        [1.0, 0.0]
    """
    return (binarised(draws) > 0.5).astype(np.float64)


def staple(draws: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """STAPLE (Warfield, Zou & Wells, IEEE TMI 23, 2004) of the draws as binary masks.

    The probability of foreground given how sensitive and specific each draw is found to be.

    Args:
        draws: (N, H, W), as in :func:`mean`; foreground from 0.5.

    Example:
        >>> staple(np.array([[1.0, 0.0], [1.0, 0.0]])).tolist()
        [1.0, 0.0]
    """
    return annotators.staple(draws >= 0.5)
