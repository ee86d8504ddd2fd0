"""Logistic regression by Newton's method: the log-odds of foreground from features of a pixel.

For some hundred thousand pixels and some dozen features it is a second's work, and exact: the
penalised likelihood has one maximum.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Masks = NDArray[np.bool_]

RIDGE = 1e-6
"""Penalty per pixel on squared weights, for standardised features: keeps separable masks finite."""


def fit(features: Singles, foreground: Masks) -> Floats:
    """Intercept and weights, (1 + features,), of the largest penalised likelihood.

    Newton's method on standardised features, with the penalty :data:`RIDGE`: first on every 16th
    pixel, then from there on all.

    Args:
        features: float32 (pixels, features).
        foreground: bool (pixels,).
    """
    centre = features.mean(axis=0, dtype=np.float64)
    scale = np.maximum(features.std(axis=0, dtype=np.float64), 1e-6)
    design = np.ones((1 + features.shape[1], len(features)), dtype=np.float32)
    design[1:] = ((features - centre) / scale).T
    weights = np.zeros(len(design))
    for every in (16, 1):
        weights = _newton(np.ascontiguousarray(design[:, ::every]), foreground[::every], weights)
    slopes = weights[1:] / scale
    return np.concatenate([weights[:1] - slopes @ centre, slopes])


def _newton(design: Singles, foreground: Masks, weights: Floats) -> Floats:
    """The weights of the least loss, from others; a step that does not lower it is halved.

    Ends when a step lowers the loss by less than 1e-8 per pixel.
    """
    loss, gradient, curvature = _penalised(design, foreground, weights)
    for _ in range(50):
        step = np.linalg.solve(curvature, gradient)
        for _ in range(30):
            tried = _penalised(design, foreground, weights - step)
            if tried[0] <= loss:
                break
            step /= 2
        else:
            break
        gained = loss - tried[0]
        weights, (loss, gradient, curvature) = weights - step, tried
        if gained < 1e-8:
            break
    return weights


def _penalised(design: Singles, foreground: Masks, weights: Floats) -> tuple[float, Floats, Floats]:
    """Mean negative log-likelihood plus penalty, its gradient and its second derivatives.

    Args:
        design: float32 (1 + features, pixels), of which a row of ones.
        foreground: bool (pixels,).
        weights: (1 + features,).
    """
    sign = np.where(foreground, np.float32(1), np.float32(-1))
    margin = weights.astype(np.float32) @ design * sign
    small = np.exp(-np.abs(margin))
    loss = (np.maximum(-margin, 0) + np.log1p(small)).mean(dtype=np.float64)
    wrong = np.where(margin > 0, small, 1) / (1 + small)
    gradient = -(design @ (sign * wrong)) / design.shape[1]
    curvature = (design * (wrong * (1 - wrong))) @ design.T / design.shape[1]
    return (
        float(loss + RIDGE / 2 * weights @ weights),
        gradient + RIDGE * weights,
        curvature + RIDGE * np.eye(len(weights)),
    )
