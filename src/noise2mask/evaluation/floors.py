"""Floors: what is reached without a network.

A network that does not beat them has learnt nothing that they do not know. Two do not look at the
image (``paths.BLIND``), the others are classical methods. All have one signature::

    floor(known, images) -> P(foreground) (cases, H, W)

with `known` the images and masks of train and val, on which everything is chosen, and `images`
(cases, H, W, C) those to be segmented. Random numbers depend on the image alone.
"""

import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from scipy.special import expit
from skimage.feature import multiscale_basic_features
from skimage.filters import threshold_otsu

from noise2mask.evaluation.logistic import fit
from noise2mask.evaluation.metrics import dice
from noise2mask.seeds import seed_of

Images = NDArray[np.uint8]
Masks = NDArray[np.bool_]
Singles = NDArray[np.float32]

CLUSTERS = 3
"""Clusters of an image's colours, of which some are foreground."""
PIXELS = 1 << 16
"""About how many known pixels the pixel classifier is fitted on, as many of each image."""
THRESHOLDS = np.arange(-6.0, 6.01, 0.25)
"""Log-odds that are tried as the threshold of the pixel classifier."""


class Known(NamedTuple):
    """Images and masks of train and val.

    Attributes:
        images: (cases, H, W, C).
        masks: (cases, H, W).
        train: which of them are of train, (cases,).
    """

    images: Images
    masks: Masks
    train: NDArray[np.bool_]


def all_foreground(known: Known, images: Images) -> Singles:  # noqa: ARG001 - of all floors
    """Every pixel is foreground."""
    return np.ones(images.shape[:3], dtype=np.float32)


def mean_mask(known: Known, images: Images) -> Singles:
    """The mean mask of train: where foreground usually lies."""
    mean = known.masks[known.train].mean(axis=0, dtype=np.float64).astype(np.float32)
    return np.broadcast_to(mean, images.shape[:3])


def otsu(known: Known, images: Images) -> Singles:
    """Each image by its own threshold (Otsu, IEEE Trans. Syst. Man Cybern. 9, 1979).

    Of the grey image or one of its channels, foreground above or below it: whichever has the
    highest mean Dice on the known images.
    """

    def ways(image: Images) -> list[Masks]:
        grey = image.mean(axis=2)
        shown = [grey, *np.moveaxis(image, 2, 0)] if image.shape[2] > 1 else [grey]
        above = [channel > threshold_otsu(channel) for channel in shown]
        return [*above, *(~mask for mask in above)]

    return _best_way(ways, known, images)


def clusters(known: Known, images: Images) -> Singles:
    """Each image by k-means of its colours; some of the clusters are foreground.

    Clusters are ordered along the difference of the mean colours of foreground and background in
    the known images. Which places in that order are foreground is what has the highest mean Dice
    there.
    """
    way = np.mean(
        [
            image[mask].mean(axis=0) - image[~mask].mean(axis=0)
            for image, mask in zip(known.images, known.masks, strict=True)
            if mask.any() and not mask.all()
        ]
        or [np.ones(images.shape[3])],
        axis=0,
    )
    chosen = [
        set(places)
        for count in range(1, CLUSTERS)
        for places in itertools.combinations(range(CLUSTERS), count)
    ]

    def ways(image: Images) -> list[Masks]:
        rank = _clustered(image, way)
        return [np.isin(rank, list(places)) for places in chosen]

    return _best_way(ways, known, images)


def pixel_classifier(known: Known, images: Images) -> Singles:
    """Logistic regression on brightness, edges and texture at several scales, and on the place.

    The features are those of scikit-image's trainable segmentation. The log-odds are shifted by
    the threshold that has the highest mean Dice on the known images, so that it lies at P = 0.5.
    """
    cases, height, width = known.masks.shape
    each = min(height * width, -(-PIXELS // cases))
    drawn = [
        np.random.default_rng(seed_of("floor", image.tobytes().hex())).choice(
            height * width, each, replace=False
        )
        for image in known.images
    ]
    rows = [_features(image)[place] for image, place in zip(known.images, drawn, strict=True)]
    foreground = [mask.ravel()[place] for mask, place in zip(known.masks, drawn, strict=True)]
    weights = fit(np.concatenate(rows), np.concatenate(foreground))

    def log_odds(image: Images) -> NDArray[np.float64]:
        odds: NDArray[np.float64] = _features(image) @ weights[1:] + weights[0]
        return odds.reshape(height, width)

    def ways(image: Images) -> list[Masks]:
        odds = log_odds(image)
        return [odds > threshold for threshold in THRESHOLDS]

    threshold = THRESHOLDS[_best(map(ways, known.images), known.masks)]
    return np.stack([expit(log_odds(image) - threshold) for image in images]).astype(np.float32)


FLOORS: Mapping[str, Callable[[Known, Images], Singles]] = {
    "all_foreground": all_foreground,
    "mean_mask": mean_mask,
    "otsu": otsu,
    "clusters": clusters,
    "pixel_classifier": pixel_classifier,
}
"""Every floor by its name."""


def _best_way(ways: Callable[[Images], list[Masks]], known: Known, images: Images) -> Singles:
    """The way to a mask that is best on the known images, of each image."""
    best = _best(map(ways, known.images), known.masks)
    return np.stack([ways(image)[best] for image in images]).astype(np.float32)


def _best(tried: Iterable[Sequence[Masks]], masks: Masks) -> int:
    """Number of the way with the highest mean Dice; of equal ones the first."""
    scores = [[dice(way, mask) for way in ways] for ways, mask in zip(tried, masks, strict=True)]
    return int(np.mean(scores, axis=0).argmax())


def _clustered(image: Images, way: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each pixel the rank of its cluster along a way through the colours (C,), (H, W)."""
    colours = image.reshape(-1, image.shape[2]).astype(np.float64)
    if len(np.unique(colours, axis=0)) < CLUSTERS:
        return np.zeros(image.shape[:2], dtype=np.int64)
    generator = np.random.default_rng(seed_of("floor", image.tobytes().hex()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a cluster may be left empty
        centres, label = kmeans2(colours, CLUSTERS, minit="++", rng=generator)
    rank = np.argsort(np.argsort(centres @ way, kind="stable"))
    return np.asarray(rank[label]).reshape(image.shape[:2])


def _features(image: Images) -> Singles:
    """Features of each pixel, (H W, features)."""
    found = multiscale_basic_features(
        image, sigma_min=0.5, sigma_max=max(1.0, min(image.shape[:2]) / 4), channel_axis=-1,
        workers=1,
    )  # fmt: skip
    y, x = np.mgrid[-1 : 1 : image.shape[0] * 1j, -1 : 1 : image.shape[1] * 1j]
    place = np.stack([y, x, y * y, x * x, x * y], axis=-1)
    rows = np.concatenate([found, place], axis=-1).astype(np.float32)
    return rows.reshape(-1, rows.shape[-1])
