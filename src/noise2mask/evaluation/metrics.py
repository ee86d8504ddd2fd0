"""Metrics of a binary segmentation: every function with a title is one metric.

Each takes the predicted and the reference mask as boolean arrays of one shape, (H, W) or of a
volume (D, H, W), and returns a float; what is in mm takes the spacing too, mm along each axis.
Undefined values are NaN, never a number made up for them; whoever averages counts them.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import binary_erosion, distance_transform_edt

Mask = NDArray[np.bool_]
Distances = NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., float])


class Metric(NamedTuple):
    """How a metric is shown: its decorator's arguments, read from the source by labels.

    Attributes:
        title: its name in tables and figures.
        better: 1 if higher is better, -1 if lower, 0 if neither is.
        unit: of its values, where they have one.
        digits: decimals of a mean.
        interval_digits: decimals of the ends of an interval.
        pooled: title of the same over the pixels of all cases together, where that is made too.
        draws: of a metric of an ensemble, the least number of draws that it is defined for.
    """

    title: str
    better: int = 0
    unit: str = ""
    digits: int = 3
    interval_digits: int = 3
    pooled: str = ""
    draws: int = 1


def metric(
    *,
    title: str,
    better: int,
    unit: str = "",
    digits: int = 3,
    interval_digits: int = 3,
    pooled: str = "",
    draws: int = 1,
) -> Callable[[Function], Function]:
    """Mark a function as a metric; the arguments, literals, are those of :class:`Metric`."""
    shown = Metric(title, better, unit, digits, interval_digits, pooled, draws)

    def marked(function: Function) -> Function:
        function.metric = shown  # type: ignore[attr-defined]
        return function

    return marked


@metric(title="Dice", better=1, interval_digits=2)
def dice(prediction: Mask, mask: Mask) -> float:
    """Dice coefficient 2 |A and B| / (|A| + |B|), in [0, 1].

    Both masks empty: 1. One empty: 0.

    Raises:
        ValueError: not two boolean arrays of one shape.

    References:
        Dice, "Measures of the amount of ecologic association between species", Ecology 26, 1945.

    Examples:
        >>> import numpy as np
        >>> mask = np.array([[1, 1, 0, 0]], dtype=bool)
        >>> dice(np.array([[0, 1, 1, 0]], dtype=bool), mask)
        0.5
    """
    _check(prediction, mask)
    total = int(prediction.sum()) + int(mask.sum())
    if total == 0:
        return 1.0
    return 2 * int((prediction & mask).sum()) / total


@metric(title="IoU", better=1, interval_digits=2)
def iou(prediction: Mask, mask: Mask) -> float:
    """Intersection over union |A and B| / |A or B| (Jaccard index), in [0, 1].

    Both masks empty: 1. One empty: 0.

    Raises:
        ValueError: not two boolean arrays of one shape.

    References:
        Jaccard, "The distribution of the flora in the alpine zone", New Phytologist 11, 1912.

    Examples:
        >>> import numpy as np
        >>> mask = np.array([[1, 1, 1, 0]], dtype=bool)
        >>> iou(np.array([[0, 1, 1, 1]], dtype=bool), mask)
        0.5
    """
    _check(prediction, mask)
    union = int((prediction | mask).sum())
    if union == 0:
        return 1.0
    return int((prediction & mask).sum()) / union


@metric(title="NSD", better=1, interval_digits=2)
def nsd(
    prediction: Mask,
    mask: Mask,
    *,
    tolerance: Annotated[
        float, Field(ge=0, le=4096, description="accepted boundary shift, pixels")
    ] = 2.0,
) -> float:
    """Normalised surface Dice: the share of both boundaries within `tolerance` of the other.

    The boundary of a mask is its own pixels that have a 4-neighbour outside it; outside the image
    there is background, so an object cut by the frame has a boundary there. Distances are
    Euclidean between pixel centres; a distance equal to the tolerance is within it. Each boundary
    pixel counts as one, whatever length of contour it stands for.

    Both masks empty: 1. One empty: 0.

    Raises:
        ValueError: not two boolean arrays of one shape, or a negative tolerance.

    References:
        Nikolov et al., arXiv:1809.04430; in two dimensions and by pixels as here: Seidlitz et al.,
        arXiv:2111.05408.

    Examples:
        >>> import numpy as np
        >>> mask = np.zeros((9, 9), dtype=bool)
        >>> mask[2:6, 2:6] = True
        >>> shifted = np.roll(mask, 1, axis=1)
        >>> nsd(shifted, mask, tolerance=1.0), round(nsd(shifted, mask, tolerance=0.0), 3)
        (1.0, 0.5)
    """
    return _nsd(prediction, mask, tolerance)


@metric(title="NSD in mm", better=1, interval_digits=2)
def nsd_mm(
    prediction: Mask,
    mask: Mask,
    spacing: Sequence[float],
    *,
    tolerance: Annotated[
        float, Field(ge=0, le=1000, description="accepted boundary shift, mm")
    ] = 2.0,
) -> float:
    """Normalised surface Dice with distances in mm, of images or volumes.

    As :func:`nsd`; in a volume neighbours are the six voxels that share a face.

    Both masks empty: 1. One empty: 0.

    Raises:
        ValueError: not two boolean arrays of one shape, another number of spacings than axes, or a
            negative tolerance.

    References:
        Nikolov et al., arXiv:1809.04430, there by area of surface.

    Examples:
        >>> import numpy as np
        >>> mask = np.zeros((9, 9), dtype=bool)
        >>> mask[2:6, 2:6] = True
        >>> nsd_mm(np.roll(mask, 1, axis=1), mask, (1.0, 2.5), tolerance=2.5)
        1.0
    """
    return _nsd(prediction, mask, tolerance, spacing)


@metric(title="HD95", better=-1, unit="px", digits=1, interval_digits=1)
def hd95(prediction: Mask, mask: Mask) -> float:
    """Hausdorff distance with the 95th percentile for the maximum, in pixels.

    The larger of the two directed 95th percentiles (not the percentile of both sets of distances
    together, the other definition in use), percentiles interpolated linearly. Boundary and
    distance are those of :func:`nsd`.

    One or both masks empty: NaN, there is no distance to a boundary that does not exist.

    Raises:
        ValueError: not two boolean arrays of one shape.

    References:
        Huttenlocher, Klanderman, Rucklidge, "Comparing images using the Hausdorff distance", IEEE
        TPAMI 15, 1993 (the partial distance, both directions by rank, then the larger).

    Examples:
        >>> import numpy as np
        >>> mask = np.zeros((9, 9), dtype=bool)
        >>> mask[2:5, 2:5] = True
        >>> hd95(np.roll(mask, 3, axis=1), mask)
        3.0
    """
    return _hd95(prediction, mask)


@metric(title="HD95 in mm", better=-1, unit="mm", digits=1, interval_digits=1)
def hd95_mm(prediction: Mask, mask: Mask, spacing: Sequence[float]) -> float:
    """Hausdorff distance with the 95th percentile in mm, of images or volumes.

    As :func:`hd95`; in a volume neighbours are the six voxels that share a face.

    One or both masks empty: NaN.

    Raises:
        ValueError: not two boolean arrays of one shape, or another number of spacings than axes.

    References:
        As of :func:`hd95`.

    Examples:
        >>> import numpy as np
        >>> mask = np.zeros((9, 9), dtype=bool)
        >>> mask[2:5, 2:5] = True
        >>> hd95_mm(np.roll(mask, 3, axis=1), mask, (1.0, 0.5))
        1.5
    """
    return _hd95(prediction, mask, spacing)


def _nsd(
    prediction: Mask, mask: Mask, tolerance: float, spacing: Sequence[float] | None = None
) -> float:
    _check(prediction, mask, spacing)
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be at least 0, got {tolerance}")
    if not prediction.any() and not mask.any():
        return 1.0
    if not prediction.any() or not mask.any():
        return 0.0
    distances = np.concatenate(_surface_distances(prediction, mask, spacing))
    return float((distances <= tolerance).mean())


def _hd95(prediction: Mask, mask: Mask, spacing: Sequence[float] | None = None) -> float:
    _check(prediction, mask, spacing)
    if not prediction.any() or not mask.any():
        return float("nan")
    ways = _surface_distances(prediction, mask, spacing)
    return max(float(np.percentile(way, 95)) for way in ways)


def _check(prediction: Mask, mask: Mask, spacing: Sequence[float] | None = None) -> None:
    if prediction.dtype != np.bool_ or mask.dtype != np.bool_:
        raise ValueError(
            f"prediction and mask must be boolean, got {prediction.dtype} and {mask.dtype}"
        )
    if prediction.shape != mask.shape or prediction.ndim not in (2, 3):
        raise ValueError(
            f"prediction and mask must have one shape, (H, W) or (D, H, W), got {prediction.shape} "
            f"and {mask.shape}"
        )
    if spacing is not None and len(spacing) != mask.ndim:
        raise ValueError(f"spacing must have a number for each of {mask.ndim} axes, got {spacing}")


def _boundary(mask: Mask) -> Mask:
    # Erosion by the cross of four (of a volume six) neighbours; outside there is background.
    return mask & ~binary_erosion(mask)


def _surface_distances(
    prediction: Mask, mask: Mask, spacing: Sequence[float] | None
) -> tuple[Distances, Distances]:
    """From each boundary pixel of one to the nearest of the other; both masks non-empty.

    In units of the spacing, without one in pixels.
    """
    # Outside the box around both there is neither boundary: distances do not change by the crop.
    box = tuple(slice(each.min(), each.max() + 1) for each in np.nonzero(prediction | mask))
    here, there = _boundary(prediction[box]), _boundary(mask[box])
    to_mask: Distances = distance_transform_edt(~there, sampling=spacing)
    to_prediction: Distances = distance_transform_edt(~here, sampling=spacing)
    return to_mask[here], to_prediction[there]
