"""One image as an array, as a notebook has it: its draws, scores beside a reference, a picture."""

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from noise2mask import plugins
from noise2mask.data.source import Image
from noise2mask.errors import UserError
from noise2mask.inference.inputs import Map
from noise2mask.inference.model import Model
from noise2mask.inference.predict import Prediction, draw_squares, joined, outlined, pixels_of

SCORES = ("dice", "iou", "nsd", "hd95")
CALIBRATION = ("brier", "ece", "ace", "error_auroc")
"""Metrics of a mask, and of its probabilities, with the options that they have by default."""


def draw_masks(
    model: Model,
    image: npt.ArrayLike,
    *,
    name: str = "image",
    sampler: str | None = None,
    draws: int | None = None,
    overlap: float = 0.0,
) -> Map:
    """The single draws behind a prediction, in the grid of the image.

    Args:
        model: see :func:`noise2mask.load_model`.
        image: uint8 (H, W), or (H, W, C) with 1 channel or those that the network knows.
        name: seeds the noise, as in :func:`noise2mask.predict`, whose draws these are.
        sampler: a name in `model.ways`; None: the first.
        draws: another number of them than the sampler's own.
        overlap: share of a tile that the next one covers again, where images are cut.

    Returns:
        (N, H, W) in [0, 1].

    Raises:
        UserError: the image does not fit the training's, or there is no such sampler.
    """
    pixels, way = pixels_of(image), model.way(sampler, draws)
    parts = draw_squares(model, pixels, name, way, overlap)
    size = (pixels.shape[0], pixels.shape[1])
    whole = []
    for number in range(way.sampler.draws):
        # Of a single draw there is no deviation to be joined beside it.
        own = [
            (place, np.stack([found[number], np.zeros_like(found[number])]).astype(np.float32))
            for place, found in parts
        ]
        whole.append(joined(own, size, model.preparation)[0])
    return np.stack(whole)


def score_prediction(found: Prediction, reference: npt.ArrayLike) -> dict[str, float]:
    """Scores of a prediction beside a reference mask.

    Args:
        found: of :func:`noise2mask.predict`.
        reference: (H, W), where it is not 0 is foreground.

    Returns:
        Dice, IoU, NSD (2 px) and HD95 (px) of the mask; Brier score, ECE, ACE and the AUROC of
        errors of the probabilities. NaN where there is none, as of HD95 of an empty mask.

    Raises:
        UserError: the reference has another shape.
    """
    mask = np.asarray(reference) != 0
    if mask.shape != found.mask.shape:
        raise UserError(
            f"the reference has shape {mask.shape}, but the prediction {found.mask.shape}; give "
            "the mask of the same image."
        )
    scores = {name: plugins.member("metric", name)(found.mask, mask) for name in SCORES}
    for name in CALIBRATION:
        scores[name] = plugins.member("calibration", name)(found.probability, mask)
    return {name: float(value) for name, value in scores.items()}


def plot_prediction(image: npt.ArrayLike, found: Prediction) -> Figure:
    """The outline on the image, and beside it probability, entropy and deviation.

    Args:
        image: uint8 (H, W) or (H, W, C) with 1 or 3 channels.
        found: of :func:`noise2mask.predict` for it.
    """
    pixels: Image = pixels_of(image)
    maps: dict[str, tuple[npt.NDArray[Any], float]] = {
        "mask": (outlined(pixels, found.mask), 255),
        "P(foreground)": (found.probability, 1),
        "entropy [bits]": (found.entropy, 1),
    }
    if found.deviation is not None:
        maps["deviation of the draws"] = (found.deviation, 0.5)
    height, width = found.mask.shape
    side = 2.6
    figure = Figure(figsize=(side * len(maps), side * height / width + 0.35), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(maps)))
    for axis, (title, (values, highest)) in zip(axes, maps.items(), strict=True):
        axis.imshow(values, cmap="cividis", vmin=0, vmax=highest)
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    return figure
