"""Temperature scaling: one number, fitted on validation pixels, that softens or sharpens P.

Guo et al., "On calibration of modern neural networks", arXiv:1706.04599, section 4.2, here for two
classes: p becomes sigmoid(logit(p) / T). T > 1 softens, T < 1 sharpens, and which pixels exceed 1/2
stays as it is, so Dice and IoU at that threshold do not change.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

Floats = NDArray[np.float64]

BOUNDS = (0.05, 20.0)
"""Where T is looked for; data that want T = 0 or infinity get an end."""
NEAREST = 1e-6
"""How near to 0 and 1 a probability counts; a sigmoid in single precision reaches both."""
ABOVE_HALF = float(np.nextafter(np.float32(0.5), np.float32(1)))


def fit(probability: ArrayLike, mask: ArrayLike, *, draws: int | None = None) -> float:
    """The T in `BOUNDS` with the least negative log-likelihood of sigmoid(logit(p) / T).

    The likelihood is convex in 1/T, so there is one minimum. If every p is 1/2, T changes nothing
    and is 1.

    Args:
        probability: P(foreground), any shape.
        mask: the reference, boolean, the same shape.
        draws: as in :func:`scaled`, and the same there.

    Raises:
        ValueError: no pixels, shapes differ, the mask is not boolean, p is outside [0, 1], or
            `draws` is below 1.
    """
    p, foreground = np.asarray(probability, dtype=np.float64).ravel(), np.asarray(mask).ravel()
    if foreground.dtype != np.bool_:
        raise ValueError(f"mask must be boolean, got {foreground.dtype}")
    if np.shape(probability) != np.shape(mask):
        raise ValueError("a temperature is fitted on a probability and a mask of one shape")
    if not np.all((p >= 0) & (p <= 1)):  # also false for NaN
        raise ValueError("a probability must lie in [0, 1]")
    if p.size == 0:
        raise ValueError("a temperature is fitted on pixels, but there are none")
    # Pixels of one p are one term: masks of N draws have few values, and saturated pixels one.
    level, index, count = np.unique(p, return_inverse=True, return_counts=True)
    positive = np.bincount(index, weights=foreground)
    logits = _logits(level, draws)
    if not logits.any():
        return 1.0

    def loss(log_temperature: float) -> float:
        tempered = logits / np.exp(log_temperature)
        return float((count * np.logaddexp(0, tempered) - positive * tempered).sum() / p.size)

    bounds = (np.log(BOUNDS[0]), np.log(BOUNDS[1]))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-7})
    return float(np.exp(found.x))


def scaled(probability: ArrayLike, temperature: float, *, draws: int | None = None) -> Floats:
    """Probabilities sigmoid(logit(p) / T), of the given shape.

    p is clipped before, because a p of exactly 0 or 1 would stay there at every T: to
    [1/(2N), 1 - 1/(2N)] where it is the mean of N drawn masks, which do not prove 0 or 1, and to
    [1e-6, 1 - 1e-6] where it is a network's own probability or that of one draw. What exceeds 1/2
    does so after it too, in single precision as well.

    Args:
        probability: P(foreground), any shape.
        temperature: T, above 0.
        draws: N of a mean of masks; none for the mean of probabilities.

    Raises:
        ValueError: T is not above 0, or `draws` is below 1.

    Examples:
        >>> scaled([0.2, 0.5, 0.8], 2.0).round(3).tolist()
        [0.333, 0.5, 0.667]
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    p = np.asarray(probability, dtype=np.float64)
    tempered = expit(_logits(p, draws) / temperature)
    return np.where(p > 0.5, np.maximum(tempered, ABOVE_HALF), tempered)


def _logits(p: Floats, draws: int | None) -> Floats:
    if draws is not None and draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    nearest = NEAREST if draws is None or draws == 1 else max(NEAREST, 1 / (2 * draws))
    return np.asarray(logit(np.clip(p, nearest, 1 - nearest)))
