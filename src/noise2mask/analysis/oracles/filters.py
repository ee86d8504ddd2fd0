"""The best filter, then a threshold: for each noise level the width that fits the objects.

Width and threshold are chosen on training masks by their mean Dice. The estimate of x_0 is the
best monotone function of the filtered value (isotonic regression on the training masks), from the
width at which its squared error on the training masks is least. Held-out masks are only scored.

The image continues beyond its frame as its mirror image, edge pixels doubled (scipy's "reflect").
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter1d, median_filter

from noise2mask.analysis.oracles.noisy_masks import Floats, NoisyMasks, Singles
from noise2mask.analysis.oracles.thresholds import (
    Counts,
    Scores,
    best_threshold,
    calibrated,
    counted,
    overlap,
    squared_error,
)

BINS = 256
"""Thresholds tried, evenly over +-(1 + 4 standard deviations of the filtered noise)."""

Filtered = Callable[[Singles], Iterable[Singles]]


def widths_up_to(side: int) -> tuple[float, ...]:
    """0, and steps of sqrt(2) from 0.5 to about a quarter of an image's side, pixels."""
    steps = round(2 * math.log2(max(side, 4) / 2))
    return (0.0, *(round(0.5 * 2 ** (step / 2), 2) for step in range(steps + 1)))


def pixel(train: NoisyMasks, test: NoisyMasks) -> Scores:
    """No filter: a threshold for each pixel of x_t by itself."""
    return gaussian(train, test, widths=(0.0,))


def gaussian(
    train: NoisyMasks, test: NoisyMasks, *, widths: Sequence[float] | None = None
) -> Scores:
    """The best Gaussian filter, then a threshold.

    Args:
        train: masks that width, threshold and calibration are chosen on.
        test: masks at the same level that are scored.
        widths: standard deviations tried, pixels, 0 for no filter; None: :func:`widths_up_to` of
            the shorter side.
    """
    height, breadth = train.masks.shape[1:]
    tried = widths_up_to(min(height, breadth)) if widths is None else tuple(widths)
    gains = [
        float(
            np.sqrt((transfer(width, height) ** 2).mean() * (transfer(width, breadth) ** 2).mean())
        )
        for width in tried
    ]
    return _best(train, test, tried, gains, lambda y: gaussian_copies(y, tried))


def median(
    train: NoisyMasks, test: NoisyMasks, *, widths: Sequence[int] = (1, 3, 5, 9, 15)
) -> Scores:
    """The best median filter, then a threshold; a hundred times slower than the Gaussian.

    Args:
        train: masks that width, threshold and calibration are chosen on.
        test: masks at the same level that are scored.
        widths: sides of the square window tried, pixels, odd.
    """
    # The median of many normal values has pi/2 times the variance of their mean.
    gains = [math.sqrt(math.pi / 2) / width for width in widths]

    def filtered(y: Singles) -> Iterator[Singles]:
        for width in widths:
            yield median_filter(y, (1, width, width), mode="reflect")

    return _best(train, test, widths, gains, filtered)


def gaussian_copies(y: Singles, widths: Sequence[float]) -> Iterator[Singles]:
    """`y` (cases, H, W) under a Gaussian filter of each of these widths (pixels), float32.

    One transform forth and one back for each width: with the mirrored frame the filter multiplies
    each coefficient of the DCT-II by a number. Equal to ``scipy.ndimage.gaussian_filter`` with
    mode "reflect" but for rounding.
    """
    coefficients = dctn(y, type=2, norm="ortho", axes=(1, 2))
    for width in widths:
        if width == 0:
            yield y
            continue
        rows, columns = (transfer(width, side).astype(np.float32) for side in y.shape[1:])
        product = coefficients * rows[:, None]
        product *= columns
        yield idctn(product, type=2, norm="ortho", axes=(1, 2), overwrite_x=True)


@functools.cache
def transfer(width: float, side: int) -> Floats:
    """What a Gaussian filter multiplies each cosine along an axis of `side` pixels by, (side,).

    The kernel is scipy's: sampled at pixels, cut off at 4 standard deviations, of sum 1.
    """
    if width == 0:
        return np.ones(side)
    radius = int(4 * width + 0.5)
    impulse = np.zeros(2 * radius + 1)
    impulse[radius] = 1
    kernel = gaussian_filter1d(impulse, width, mode="constant")[radius:]
    angles = np.pi / side * np.outer(np.arange(side), np.arange(1, radius + 1))
    return np.asarray(kernel[0] + 2 * np.cos(angles) @ kernel[1:])


def _best(
    train: NoisyMasks,
    test: NoisyMasks,
    widths: Sequence[float],
    gains: Sequence[float],
    filtered: Filtered,
) -> Scores:
    """Scores at the width and threshold that fit `train` best.

    `gains` are about the standard deviation of unit white noise after each filter.
    """
    noise = math.exp(-train.log_snr / 2)
    reaches = [1 + 4 * gain * noise for gain in gains]
    seen, held_out = (_counts(noisy, reaches, filtered) for noisy in (train, test))
    chosen = [best_threshold(counts) for counts in seen]
    maps = [calibrated(counts) for counts in seen]
    errors = [squared_error(counts, map_).mean() for counts, map_ in zip(seen, maps, strict=True)]
    sharpest = int(np.argmax([dice for _, dice in chosen]))
    closest = int(np.argmin(errors))
    threshold, _ = chosen[sharpest]
    dice, iou = overlap(held_out[sharpest])
    return Scores(
        dice[:, threshold],
        iou[:, threshold],
        squared_error(held_out[closest], maps[closest]),
        float(widths[sharpest]),
        float(widths[closest]),
    )


def _counts(noisy: NoisyMasks, reaches: Sequence[float], filtered: Filtered) -> list[Counts]:
    """Histograms (cases, 2, BINS) under each filter."""
    counts: list[list[Counts]] = [[] for _ in reaches]
    for chosen, y in noisy.blocks():
        for several, reach, values in zip(counts, reaches, filtered(y), strict=True):
            several.append(counted(values, noisy.masks[chosen], reach, BINS))
    return [np.concatenate(several) for several in counts]
