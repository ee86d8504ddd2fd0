"""The geometry of masks: what of their form may decide how long they stay readable under noise.

Objects are the components of the foreground that are connected over edges or corners. Lengths are
in pixels of the masks given, so datasets are to be compared at one resolution.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from skimage.measure import euler_number, label

from noise2mask.analysis.oracles.noisy_masks import Masks

FIGURES = (
    "foreground", "objects", "area_q10", "area_q50", "area_q90", "largest_share", "boundary",
    "boundary_per_area", "euler",
)  # fmt: skip
"""The columns of :func:`geometry` after `case`."""


def geometry(masks: Masks, cases: Sequence[str]) -> pd.DataFrame:
    """The figures of each mask, a row each.

    Columns, NaN where a mask without foreground has none:

    * foreground: share of the image;
    * objects: their number;
    * area_q10, area_q50, area_q90: quantiles of the objects' areas, pixels;
    * largest_share: area of the largest object over that of the foreground;
    * boundary: length of the boundary per pixel of the image, see :func:`boundary_length`;
    * boundary_per_area: length of the boundary per pixel of foreground; 2/r for a disc;
    * euler: number of objects minus number of holes.

    Args:
        masks: bool (N, H, W).
        cases: name of each.

    Raises:
        ValueError: the masks are not boolean (N, H, W).
    """
    if masks.dtype != np.bool_ or masks.ndim != 3:
        raise ValueError(f"masks must be boolean (N, H, W), got {masks.dtype} {masks.shape}")
    rows = [_figures(mask) for mask in masks]
    return pd.DataFrame(rows, columns=list(FIGURES)).assign(case=list(cases))[["case", *FIGURES]]


def boundary_length(mask: Masks) -> float:
    """Length of the boundary of a mask (H, W) in pixels, by Crofton's formula in 4 directions.

    The length of a curve is pi/2 times the mean over directions of how often lines cross it, per
    distance of the lines: 1 pixel for rows and columns, 1/sqrt(2) for diagonals. Without bias for
    boundaries that have no preferred direction; a straight edge along an axis is 5 % short of its
    pixels' sides, a diagonal one as much (Legland, Kieu, Devaux, Image Analysis & Stereology 26,
    2007). The frame of the image is no boundary: nobody knows what is beyond.
    """
    straight = (mask[1:] ^ mask[:-1]).sum() + (mask[:, 1:] ^ mask[:, :-1]).sum()
    diagonal = (mask[1:, 1:] ^ mask[:-1, :-1]).sum() + (mask[1:, :-1] ^ mask[:-1, 1:]).sum()
    return float(np.pi / 8 * (straight + diagonal / np.sqrt(2)))


def _figures(mask: Masks) -> tuple[float, ...]:
    labels = label(mask, connectivity=2)
    areas = np.bincount(labels.ravel())[1:]
    length, total = boundary_length(mask), int(areas.sum())
    quantiles = np.quantile(areas, [0.1, 0.5, 0.9]) if total else np.full(3, np.nan)
    return (
        total / mask.size,
        len(areas),
        *quantiles,
        areas.max() / total if total else np.nan,
        length / mask.size,
        length / total if total else np.nan,
        float(euler_number(mask, connectivity=2)),
    )
