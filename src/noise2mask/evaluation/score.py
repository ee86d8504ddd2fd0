"""Scoring the draws of one training, and the best that can be said without looking at the image.

What is scored is the raw image: where it was cut into tiles, their probabilities and masks are put
together again first, and ``case`` in the tables is the id of the image.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from noise2mask import plugins
from noise2mask.data.prepared import Split, open_split
from noise2mask.data.tiles import Place, joined
from noise2mask.evaluation.reliability import boundary_band, reliability_histogram
from noise2mask.files import write_text
from noise2mask.sampling.draws import open_draws
from noise2mask.study.plan import draws_of, fusion_of, most_draws, sampler_behind, thresholds_of
from noise2mask.study.schema import Evaluation, Study, Training

COLUMNS = (
    "study", "dataset", "network", "mode", "seed", "sampler", "steps", "draws", "case", "metric",
    "value",
)  # fmt: skip

Probabilities = npt.NDArray[np.float32]
WholeImage = tuple[str, Probabilities, npt.NDArray[np.bool_]]
"""Id of a raw image, its probabilities and its mask."""


def evaluate(
    study: Study, name: str, training: Training, sampler: str, draws: Path, data: Path
) -> None:
    """Score the draws of a training; write ``metrics.csv`` and ``reliability.csv`` beside them.

    Args:
        study: the study.
        name: its name.
        training: which training.
        sampler: which sampler.
        draws: the ``draws.npz`` of the training.
        data: folder of the prepared dataset.

    Raises:
        UserError: the draws are damaged or not those of the prepared test cases.
    """
    split = open_split(data, "test", purpose="evaluation")
    probabilities = _fused(draws, split, fusion_of(study, sampler))
    reference = training.network in study.baselines
    where: dict[str, str | int] = {
        **training._asdict(),
        "sampler": sampler,
        "steps": 1 if reference else sampler_behind(study, sampler).steps,
        "draws": draws_of(study, sampler),
    }
    thresholds = thresholds_of(study, sampler)
    _write(study, name, where, probabilities, split, draws.parent, thresholds)


def scores_of(study: Study, sampler: str, draws: Path, data: Path) -> pd.DataFrame:
    """Scores of draws, against the masks of any prepared dataset that has their test cases.

    Args:
        study: the study.
        sampler: the sampler or reading that made them.
        draws: the ``draws.npz``.
        data: folder of the prepared dataset.

    Returns:
        Columns case, metric, value.

    Raises:
        UserError: as :func:`evaluate`.
    """
    split = open_split(data, "test", purpose="evaluation")
    probabilities = _fused(draws, split, fusion_of(study, sampler))
    return _scores(study, list(whole_images(split, probabilities)), thresholds_of(study, sampler))


def evaluate_blind(study: Study, name: str, dataset: str, data: Path, out: Path) -> None:
    """Score each image-blind prediction on the test cases and write both tables to `out`."""
    split = open_split(data, "test", purpose="evaluation")
    train = open_split(data, "train", purpose="evaluation")
    mean_mask = train.masks.mean(axis=0, dtype=np.float64).astype(np.float32)
    predictions = {"all_foreground": np.ones_like(mean_mask), "mean_mask": mean_mask}
    for prediction, probability in predictions.items():
        where: dict[str, str | int] = {
            "dataset": dataset, "network": "blind", "mode": "none", "seed": 0,
            "sampler": prediction, "steps": 0, "draws": 1,
        }  # fmt: skip
        probabilities = np.broadcast_to(probability, split.masks.shape)
        _write(study, name, where, probabilities, split, out / prediction)


def _fused(path: Path, split: Split, fusion: str) -> Probabilities:
    """P(foreground) of each test case, made of its draws, (cases, H, W)."""
    fuse = plugins.member("fusion", fusion)
    return np.stack([fuse(case) for case in open_draws(path, split)]).astype(np.float32)


def _write(
    study: Study,
    name: str,
    where: dict[str, str | int],
    probabilities: Probabilities,
    split: Split,
    out: Path,
    thresholds: Sequence[float] | None = None,
) -> None:
    images = list(whole_images(split, probabilities))
    scores = _scores(study, images, thresholds).assign(study=name, **where)
    table = scores[list(COLUMNS)]
    write_text(out / "metrics.csv", table.to_csv(index=False, float_format="%.9g"), record=True)
    histograms = pd.concat(
        [
            _histogram(case, region, probability[pixels], mask[pixels], study.evaluation.bins)
            for case, probability, mask in images
            for region, pixels in _regions(mask, study.evaluation.band)
        ]
    )
    text = histograms.to_csv(index=False, float_format="%.9g")
    write_text(out / "reliability.csv", text, record=True)


def _scores(
    study: Study, images: Sequence[WholeImage], thresholds: Sequence[float] | None
) -> pd.DataFrame:
    """Columns case, metric, value."""
    # A sigmoid has no number of draws; it is clipped as finely as the draws it is compared with.
    draws = most_draws(study)
    rows = [
        (case, metric, value)
        for case, probability, mask in images
        for metric, value in score(probability, mask, study.evaluation, draws, thresholds)
    ]
    return pd.DataFrame(rows, columns=["case", "metric", "value"])


def whole_images(split: Split, probabilities: Probabilities) -> Iterator[WholeImage]:
    """Put the tiles of each raw image together; an image that was not cut stays as it is.

    Args:
        split: prepared cases of val or test; where the tiles of an image overlap, the later one
            counts.
        probabilities: P(foreground) of each case, (cases, H, W).

    Yields:
        Id of the raw image, its probabilities and its mask, both of the size of the image at its
        tiles' resolution, without what was padded; in the order of the images' first cases.
    """
    tile = split.manifest.options.get("tile")
    if tile is None:
        for id, probability, mask in zip(split.ids, probabilities, split.masks, strict=True):
            yield id, probability, mask.astype(bool)
        return
    case_of = {case.id: case for case in split.manifest.cases}
    numbers: dict[str, list[int]] = {}
    for number, id in enumerate(split.ids):
        numbers.setdefault(case_of[id].image, []).append(number)
    for image, own in numbers.items():
        cases = [case_of[split.ids[number]] for number in own]
        places = [Place(case.top, case.left, case.height, case.width) for case in cases]
        whole = partial(joined, numbers=own, places=places, side=tile)
        yield image, whole(probabilities), whole(split.masks).astype(bool)


def score(
    probability: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
    evaluation: Evaluation,
    draws: int,
    thresholds: Sequence[float] | None = None,
) -> Iterator[tuple[str, float]]:
    """Every metric of one case.

    Args:
        probability: P(foreground), (H, W).
        mask: the reference, (H, W).
        evaluation: names and options of the metrics.
        draws: N in the clipping of likelihoods.
        thresholds: None, or several on P over its maximum: a metric of masks is then its mean over
            them, NaN if it is at any of them (published with MedSegDiff, arXiv 2211.00611). Where P
            is 0 everywhere all of these masks are empty.

    Yields:
        Name and value; a calibration metric once over all pixels and once, as ``<name>_band``,
        over the band about the reference boundary.
    """
    predictions = [probability > evaluation.threshold]
    if thresholds is not None:
        top = probability.max()
        relative = probability / top if top > 0 else probability
        predictions = [relative > threshold for threshold in thresholds]
    for name, options in evaluation.metrics.items():
        metric = plugins.member("metric", name)
        yield name, float(np.mean([metric(each, mask, **options) for each in predictions]))
    for region, pixels in _regions(mask, evaluation.band):
        for name, options in evaluation.calibration.items():
            given = {"draws": draws, **options} if name == "nll" else options
            value = plugins.member("calibration", name)(probability[pixels], mask[pixels], **given)
            yield (name if region == "all" else f"{name}_{region}"), value


def _regions(mask: npt.NDArray[np.bool_], band: int) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    yield "all", np.ones_like(mask)
    yield "band", boundary_band(mask, band)


def _histogram(
    case: str,
    region: str,
    probability: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
    bins: int,
) -> pd.DataFrame:
    counts = reliability_histogram(probability, mask, bins=bins)
    table = pd.DataFrame(counts, columns=["count", "confidence_sum", "foreground_sum"])
    table.insert(0, "bin", range(bins))
    table.insert(0, "region", region)
    table.insert(0, "case", case)
    return table
