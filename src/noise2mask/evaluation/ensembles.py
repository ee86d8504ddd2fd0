"""Metrics of several draws as an ensemble: every function with a title is one metric.

Each takes the draws of one case, P(foreground) of each pixel in each, (N, H, W), and its reference
masks, bool (R, H, W), of which most datasets have one. A draw becomes a mask at 0.5. The distance
of two masks is 1 - IoU, that of two empty ones 0. What needs two draws is undefined for one.
"""

import math
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import linear_sum_assignment

from noise2mask.evaluation.metrics import metric

Draws = NDArray[np.floating]
Masks = NDArray[np.bool_]


@metric(title="Spread of draws", better=0, draws=2)
def spread(draws: Draws, masks: Masks) -> float:
    """Standard deviation between draws at a pixel, the mean over pixels, in [0, 0.71].

    Near 0 all draws are one map, and their number says nothing. NaN for a single draw.

    Raises:
        ValueError: shapes that do not belong together.

    Examples:
        >>> import numpy as np
        >>> mask = np.array([[[True, False]]])
        >>> spread(np.array([[[1.0, 0.0]], [[1.0, 0.0]]]), mask)
        0.0
    """
    _check(draws, masks)
    if len(draws) < 2:
        return math.nan
    return float(np.std(draws, axis=0, ddof=1, dtype=np.float64).mean())


@metric(title="Grey share of a draw", better=0)
def grey(
    draws: Draws,
    masks: Masks,
    *,
    edge: Annotated[float, Field(gt=0, lt=0.5, description="up to it a pixel is black")] = 0.05,
) -> float:
    """Share of the pixels of single draws between `edge` and 1 - `edge`, the mean over draws.

    Draws of masks are black and white; a grey one is a probability map and not a sample.

    Raises:
        ValueError: shapes that do not belong together.

    Examples:
        >>> import numpy as np
        >>> mask = np.array([[[True, False]]])
        >>> grey(np.array([[[1.0, 0.5]], [[1.0, 0.0]]]), mask)
        0.25
    """
    _check(draws, masks)
    return float(((draws > edge) & (draws < 1 - edge)).mean())


@metric(title="GED²", better=-1)
def ged(draws: Draws, masks: Masks) -> float:
    """Squared generalised energy distance of draws S and references Y, in [0, 2].

    2 E d(S, Y) - E d(S, S') - E d(Y, Y') with means over all pairs, a mask with itself included, as
    published; so it falls with N even for the same sampler, and is compared at equal N.

    Raises:
        ValueError: shapes that do not belong together.

    References:
        Kohl et al., "A probabilistic U-Net for segmentation of ambiguous images",
        arXiv:1806.05034, eq. 5; Szekely, Rizzo, J. Stat. Plan. Inference 143, 2013.

    Examples:
        >>> import numpy as np
        >>> mask = np.array([[[True, False]]])
        >>> ged(np.array([[[1.0, 1.0]]]), mask)
        1.0
    """
    _check(draws, masks)
    ours = draws >= 0.5
    between = _distances(ours, masks).mean()
    return float(2 * between - _distances(ours, ours).mean() - _distances(masks, masks).mean())


@metric(title="Diversity of draws", better=0, draws=2)
def diversity(draws: Draws, masks: Masks) -> float:
    """Mean distance of two different draws, in [0, 1]. NaN for a single draw.

    Raises:
        ValueError: shapes that do not belong together.

    References:
        Kohl et al., arXiv:1806.05034, section 4.1 (the diversity of samples, E d(S, S')).

    Examples:
        >>> import numpy as np
        >>> mask = np.array([[[True, False]]])
        >>> diversity(np.array([[[1.0, 1.0]], [[1.0, 0.0]]]), mask)
        0.5
    """
    _check(draws, masks)
    if len(draws) < 2:
        return math.nan
    binary = draws >= 0.5
    return float(_distances(binary, binary)[np.triu_indices(len(draws), 1)].mean())


@metric(title="Matched IoU", better=1)
def matched_iou(draws: Draws, masks: Masks) -> float:
    """Mean IoU of draws and references, each draw matched to one reference so that it is largest.

    Both sets are repeated until they have the least common multiple of their sizes, then matched
    one to one by the Hungarian method. With one reference it is the mean IoU of a draw.

    Raises:
        ValueError: shapes that do not belong together.

    References:
        Kohl et al., "A hierarchical probabilistic U-Net", arXiv:1905.13077, section 4.

    Examples:
        >>> import numpy as np
        >>> masks = np.array([[[True, False]], [[False, True]]])
        >>> matched_iou(np.array([[[0.0, 1.0]], [[1.0, 0.0]]]), masks)
        1.0
    """
    _check(draws, masks)
    size = math.lcm(len(draws), len(masks))
    likeness = 1 - _distances(draws >= 0.5, masks)
    wide = np.tile(likeness, (size // len(draws), size // len(masks)))
    rows, columns = linear_sum_assignment(wide, maximize=True)
    return float(wide[rows, columns].mean())


def _check(draws: Draws, masks: Masks) -> None:
    if masks.dtype != np.bool_:
        raise ValueError(f"masks must be boolean, got {masks.dtype}")
    if draws.ndim != 3 or masks.ndim != 3 or draws.shape[1:] != masks.shape[1:]:
        raise ValueError(
            f"draws (N, H, W) and masks (R, H, W) must have one H and W, got {draws.shape} and "
            f"{masks.shape}"
        )
    if not len(draws) or not len(masks):
        raise ValueError("at least one draw and one mask are needed")


def _distances(first: Masks, second: Masks) -> NDArray[np.float64]:
    """1 - IoU of each of the first with each of the second, (first, second)."""
    one, other = (each.reshape(len(each), -1).astype(np.float64) for each in (first, second))
    both = one @ other.T
    union = one.sum(axis=1)[:, None] + other.sum(axis=1)[None] - both
    return np.asarray(1 - np.divide(both, union, out=np.ones_like(both), where=union > 0))
