"""A picture of noising: what noise leaves of a mask and of a photograph, side by side.

Both get the same noise at the same level, on levels -1/+1 and at unit variance, so that log SNR
means the same for both. The best Gaussian filter is chosen with the truth known: what is shown as
readable is an upper bound of what such a filter reads.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from skimage import data
from skimage.color import rgb2gray

from noise2mask.analysis.oracles.filters import BINS, gaussian_copies, widths_up_to
from noise2mask.analysis.oracles.noisy_masks import Floats, Singles, linear_log_snr
from noise2mask.analysis.oracles.thresholds import best_threshold, counted
from noise2mask.data.formats import phantoms
from noise2mask.data.resize import resize_image, resize_mask
from noise2mask.evaluation.metrics import dice
from noise2mask.report.figures.index import Drawn, figure
from noise2mask.report.figures.style import WIDTH, legend
from noise2mask.seeds import seed_of

Mask = NDArray[np.bool_]

LOG_SNRS = (math.inf, 3.0, 0.0, -2.0, -4.0, -6.0, -9.0)
"""From no noise (infinite SNR) to nearly nothing but noise."""

MISSED, ADDED = "#E69F00", "#0072B2"  # light and dark, so that grey tells them apart
NUMBERS = ("log_snr", "dice", "mask_width", "variance", "photograph_width")
"""Columns of the numbers in the figure."""
SIDE = 128
"""Of the pictures, px."""
REACH = 2.2
"""Values beyond +-REACH are shown as white or black."""


class Reading(NamedTuple):
    """What a filter makes of a noisy picture.

    Attributes:
        picture: bool (H, W) of a mask, float (H, W) of a photograph.
        score: Dice of a mask, share of the variance of a photograph.
        width: standard deviation of the filter in pixels, 0 for none.
    """

    picture: NDArray[np.generic]
    score: float
    width: float


@figure(
    "Masks",
    "A mask and a photograph under the same noise: what the best Gaussian filter recovers of each; "
    "its width is chosen with the truth known.",
    "Look at the columns in which the mask is still read and the photograph is not.",
)
def noising(image_oracles: pd.DataFrame) -> Drawn:
    """A phantom's mask and a photograph of scikit-image (CC0) under the same noise.

    It shows on one picture what ``image_oracles`` measures on every case of a study.

    Args:
        image_oracles: the table of that name, for the range of noise levels.
    """
    source = phantoms.sources(family="nuclei", count=3, size=SIDE, seed=1)[0]
    _, mask = phantoms.load(source)
    photograph = rgb2gray(resize_image(data.coffee()[:, 100:500], (SIDE, SIDE)))
    standardised = (photograph - photograph.mean()) / photograph.std()
    low, high = image_oracles["log_snr"].min(), image_oracles["log_snr"].max()
    levels = [level for level in LOG_SNRS if low <= level <= high or level == math.inf]
    small = resize_mask(mask, (SIDE, SIDE)).astype(bool)
    return noised(small, np.asarray(standardised), levels)


def noised(mask: Mask, photograph: NDArray[np.floating], log_snrs: Sequence[float]) -> Drawn:
    """Mask and photograph under growing noise, and what the best Gaussian filter reads of them.

    Columns are noise levels, named by log SNR and by the nearest timestep t of the linear schedule
    with T = 1000. Rows are x_t of the mask; the filtered and thresholded mask, coloured where it
    differs from the true one; x_t of the photograph; the filtered photograph. Width and threshold
    of each filter are the best for this very picture, chosen with the truth known, so the scores
    are upper bounds. All columns show one draw of the noise.

    Args:
        mask: bool (H, W).
        photograph: (H, W), mean 0 and variance 1.
        log_snrs: of the columns; infinite for no noise.
    """
    noise = np.random.default_rng(seed_of("noising", 0)).standard_normal(mask.shape)
    side = (WIDTH - 1.0) / len(log_snrs)
    figure = Figure(figsize=(WIDTH, 4 * side * mask.shape[0] / mask.shape[1] + 2.0))
    grid = figure.subplots(4, len(log_snrs), squeeze=False)
    levels = np.where(mask, 1.0, -1.0)
    numbers = []
    for column, log_snr in enumerate(log_snrs):
        read = read_mask(mask, noisy(levels, noise, log_snr))
        seen = read_photograph(photograph, noisy(photograph, noise, log_snr))
        _grey(grid[0, column], _preserved(levels, noise, log_snr))
        grid[0, column].set_title(_named(log_snr), fontsize=9.5)
        grid[1, column].imshow(
            compared(read.picture.astype(np.bool_), mask), interpolation="nearest"
        )
        grid[1, column].set_xlabel(f"Dice {read.score:.3f}\n{_width(read)}", fontsize=8.5)
        _grey(grid[2, column], _preserved(photograph, noise, log_snr))
        _grey(grid[3, column], seen.picture)
        grid[3, column].set_xlabel(
            f"variance {100 * seen.score:.0f} %\n{_width(seen)}", fontsize=8.5
        )
        numbers.append((log_snr, read.score, read.width, seen.score, seen.width))
    titles = (
        "noisy mask", "read from it:\nfilter, threshold",
        "noisy photograph", "read from it:\nfilter",
    )  # fmt: skip
    for row, title in zip(grid, titles, strict=True):
        row[0].set_ylabel(title, fontsize=9.5)
        for axis in row:
            axis.set(xticks=[], yticks=[])
            axis.grid(visible=False)
            axis.spines[:].set_visible(False)
    legend(
        figure,
        [
            Patch(facecolor=MISSED, label="foreground, missed"),
            Patch(facecolor=ADDED, label="background, added"),
        ],
    )
    return Drawn(figure, pd.DataFrame(numbers, columns=list(NUMBERS)))


def noisy(picture: NDArray[np.floating], noise: Floats, log_snr: float) -> Singles:
    """Picture + exp(-log_snr/2) noise, that is x_t / sqrt(A); float32 (H, W)."""
    return (picture + math.exp(-log_snr / 2) * noise).astype(np.float32)


def read_mask(mask: Mask, y: Singles) -> Reading:
    """The mask that Gaussian filter and threshold with the largest Dice make of `y`.

    Args:
        mask: the truth, bool (H, W), by which both are chosen: the Dice is an upper bound.
        y: float32 (H, W), -1 or +1 with noise.
    """
    tried = []
    widths = widths_up_to(min(mask.shape))
    for width, (copy,) in zip(widths, gaussian_copies(y[None], widths), strict=True):
        reach = 1.001 * float(np.abs(copy).max())  # so that no value lies on an outer edge
        threshold, _ = best_threshold(counted(copy[None], mask[None], reach, BINS))
        found = copy >= reach * (2 * threshold / BINS - 1)
        tried.append(Reading(found, dice(found, mask), width))
    return max(tried, key=lambda reading: reading.score)


def read_photograph(photograph: NDArray[np.floating], y: Singles) -> Reading:
    """The linear fit of the Gaussian-filtered `y` with the least squared error.

    Args:
        photograph: the truth (H, W), by which filter and fit are chosen: the share of its variance
            is an upper bound.
        y: float32 (H, W), the photograph with noise.
    """
    tried = []
    truth = np.asarray(photograph - photograph.mean(), dtype=np.float64)
    widths = widths_up_to(min(photograph.shape))
    for width, (copy,) in zip(widths, gaussian_copies(y[None], widths), strict=True):
        centred = copy.astype(np.float64) - copy.mean(dtype=np.float64)
        energy = float((centred**2).sum()) or 1.0
        product = max(0.0, float((centred * truth).sum()))
        fitted = photograph.mean() + product / energy * centred
        tried.append(Reading(fitted, product**2 / energy / float((truth**2).sum()), width))
    return max(tried, key=lambda reading: reading.score)


def linear_timestep(log_snr: float) -> int | None:
    """The timestep of the linear schedule, T = 1000, nearest to a log SNR; None beyond its ends."""
    axis = linear_log_snr()
    if not axis[-1] - 0.01 <= log_snr <= axis[0] + 0.01:
        return None
    return int(np.abs(axis - log_snr).argmin())


def _preserved(picture: NDArray[np.floating], noise: Floats, log_snr: float) -> Floats:
    """x_t = sqrt(A) picture + sqrt(1 - A) noise, whose variance does not depend on the level."""
    a = 1 / (1 + math.exp(-log_snr))
    return np.asarray(math.sqrt(a) * picture + math.sqrt(1 - a) * noise)


def compared(read: Mask, mask: Mask) -> NDArray[np.uint8]:
    """RGB picture (H, W, 3): white and black where both agree, coloured where they do not."""
    picture = np.repeat((255 * mask).astype(np.uint8)[..., None], 3, axis=2)
    for colour, where in ((MISSED, mask & ~read), (ADDED, read & ~mask)):
        picture[where] = list(bytes.fromhex(colour[1:]))
    return picture


def _grey(axis: Axes, picture: NDArray[np.generic]) -> None:
    axis.imshow(picture, cmap="gray", vmin=-REACH, vmax=REACH, interpolation="nearest")


def _named(log_snr: float) -> str:
    """Log SNR and timestep of a column."""
    if log_snr == math.inf:
        return "log SNR ∞\nno noise"
    t = linear_timestep(log_snr)
    return f"log SNR {log_snr:g}\n".replace("-", "−") + ("beyond t" if t is None else f"t = {t}")


def _width(reading: Reading) -> str:
    return f"width {reading.width:.2g} px" if reading.width else "no filter"
