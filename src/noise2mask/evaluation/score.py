"""Scoring the draws of one training, and the best that can be said without looking at the image.

What is scored is the raw image: where it was cut into tiles, their draws and masks are put together
again first, and ``case`` in the tables is the id of the image. Slices of a volume are scored one by
one and, with the metrics that the study wants of volumes, together; ``case`` is then the volume.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from noise2mask import plugins
from noise2mask.data.prepared import NOBODY, Case, Split, open_split
from noise2mask.data.source import LEFT_OUT, Slice, foreground_of
from noise2mask.data.tiles import Place, joined
from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.floors import FLOORS, Known
from noise2mask.evaluation.labels import VOLUME
from noise2mask.evaluation.reliability import boundary_band, reliability_histogram
from noise2mask.files import write_text
from noise2mask.sampling.draws import Draws, open_draws
from noise2mask.study.paths import AGAINST_PROPER, BLIND
from noise2mask.study.plan import draws_of, fusion_of, most_draws, sampler_behind, thresholds_of
from noise2mask.study.schema import Evaluation, Study, Training

Probabilities = npt.NDArray[np.float32]
Masks = npt.NDArray[np.bool_]
Options = Mapping[str, Mapping[str, Any]]


class WholeImage(NamedTuple):
    """A raw image's test case: its id, P(foreground) (H, W), draws (N, H, W), mask (H, W).

    Pixels that are left out are no foreground of masks, probability and draws; `counted` (H, W) are
    the others, None if that is all. `references` (R, H, W) are masks of several annotators, None
    where the mask is all; with `soft` labels probabilities are held against each of them. `spacing`
    is mm along the axes and `slice` the place in a volume, None where nobody says it.
    """

    id: str
    probability: Probabilities
    draws: Draws
    mask: Masks
    counted: Masks | None = None
    references: Masks | None = None
    soft: bool = False
    spacing: tuple[float, ...] | None = None
    slice: Slice | None = None

    def judgements(self, pixels: Masks) -> tuple[Probabilities, Masks]:
        """Probability and word of each annotator on some pixels (H, W), both flat."""
        if self.references is None or not self.soft:
            return self.probability[pixels], self.mask[pixels]
        words = self.references[:, pixels]
        return np.broadcast_to(self.probability[pixels], words.shape).ravel(), words.ravel()


def evaluate(
    study: Study,
    name: str,
    training: Training,
    sampler: str,
    draws: Path,
    data: Path,
    proper: Path | None = None,
) -> None:
    """Score the draws of a training.

    Writes beside them ``metrics.csv``, ``reliability.csv`` and ``against_proper.csv``, the latter
    without a row unless the reference masks of the dataset have a quirk.

    Args:
        study: the study.
        name: its name.
        training: which training.
        sampler: which sampler.
        draws: the ``draws.npz`` of the training.
        data: folder of the prepared dataset.
        proper: of a dataset whose masks have a quirk, folder of the one with proper masks.

    Raises:
        UserError: the draws are damaged or not those of the prepared test cases.
    """
    split = open_split(data, "test", purpose="evaluation", left_out=True)
    reference = training.network in study.baselines
    where: dict[str, str | int] = {
        **training._asdict(),
        "sampler": sampler,
        "steps": 1 if reference else sampler_behind(study, sampler).steps,
        "draws": draws_of(study, sampler),
    }
    images = list(_fused(draws, split, fusion_of(study, sampler)))
    thresholds = thresholds_of(study, sampler)
    _write(study, name, where, images, draws.parent, thresholds)
    against = pd.DataFrame(columns=list(COLUMNS["against_proper"]))
    if proper is not None:
        masks = open_split(proper, "test", purpose="evaluation", left_out=True)
        scores = _scores(study, list(_fused(draws, masks, fusion_of(study, sampler))), thresholds)
        against = scores.assign(**training._asdict(), sampler=sampler)[list(against.columns)]
    _save(against, draws.parent / AGAINST_PROPER)


def evaluate_blind(study: Study, name: str, dataset: str, data: Path, out: Path) -> None:
    """Score what is reached without a network on the test cases; both tables of each to `out`.

    Floors that do not look at the image are of the network "blind", the others of "classical".
    Pixels that are left out are background where floors are fitted, and in no score.
    """
    splits = [
        open_split(data, each, purpose="evaluation", left_out=True) for each in ("train", "val")
    ]
    known = Known(
        np.concatenate([each.images for each in splits]),
        foreground_of(np.concatenate([each.masks for each in splits])),
        np.repeat([True, False], [len(each.ids) for each in splits]),
    )
    split = open_split(data, "test", purpose="evaluation", left_out=True)
    for prediction, floor in FLOORS.items():
        where: dict[str, str | int] = {
            "dataset": dataset, "network": "blind" if prediction in BLIND else "classical",
            "mode": "none", "seed": 0, "sampler": prediction, "steps": 0, "draws": 1,
        }  # fmt: skip
        probabilities = floor(known, split.images)
        images = list(whole_images(split, probabilities, probabilities[:, None]))
        _write(study, name, where, images, out / prediction)


def _fused(path: Path, split: Split, fusion: str) -> Iterator[WholeImage]:
    """Whole images with P(foreground) made of the draws of each case."""
    fuse, drawn = plugins.member("fusion", fusion), open_draws(path, split)
    probabilities = np.stack([fuse(case) for case in drawn]).astype(np.float32)
    return whole_images(split, probabilities, drawn)


def _write(
    study: Study,
    name: str,
    where: dict[str, str | int],
    images: Sequence[WholeImage],
    out: Path,
    thresholds: Sequence[float] | None = None,
) -> None:
    scores = _scores(study, images, thresholds).assign(study=name, **where)
    _save(scores[list(COLUMNS["metrics"])], out / "metrics.csv")
    histograms = pd.concat(
        [
            _histogram(image.id, region, *image.judgements(pixels), study.evaluation.bins)
            for image in images
            for region, pixels in _regions(image, study.evaluation.band)
        ]
    )  # fmt: skip
    _save(histograms, out / "reliability.csv")


def _save(table: pd.DataFrame, path: Path) -> None:
    text = table.to_csv(index=False, float_format="%.9g", lineterminator="\n")
    write_text(path, text, record=True)


def _scores(
    study: Study, images: Sequence[WholeImage], thresholds: Sequence[float] | None
) -> pd.DataFrame:
    """Columns case, metric, value."""
    # A sigmoid has no number of draws; it is clipped as finely as the draws it is compared with.
    draws = most_draws(study)
    rows = [
        (image.id, metric, value)
        for image in images
        for metric, value in score(image, study.evaluation, draws, thresholds)
    ]
    if study.evaluation.volumes:
        rows += [
            (volume.id, f"{metric}{VOLUME}", value)
            for volume in volumes_of(images)
            for metric, value in _of_masks(
                volume, study.evaluation.volumes, study.evaluation.threshold, thresholds
            )
        ]
    return pd.DataFrame(rows, columns=["case", "metric", "value"])


def whole_images(split: Split, probabilities: Probabilities, draws: Draws) -> Iterator[WholeImage]:
    """Put the tiles of each raw image together; an image that was not cut stays as it is.

    Args:
        split: prepared cases of val or test; where the tiles of an image overlap, the later one
            counts.
        probabilities: P(foreground) of each case, (cases, H, W).
        draws: of each case, (cases, N, H, W); the tiles of an image are drawn independently, so its
            k-th draw is made of theirs.

    Yields:
        Arrays of the size of the image at its tiles' resolution, without what was padded; in the
        order of the images' first cases.
    """
    tile = split.manifest.options.get("tile")
    case_of = {case.id: case for case in split.manifest.cases}
    soft, references = split.manifest.soft, split.references
    if tile is None:
        for row, id in enumerate(split.ids):
            marked = None if references is None else references[row]
            yield _whole_image(
                case_of[id], id, probabilities[row], draws[row], split.masks[row], marked, soft
            )
        return
    numbers: dict[str, list[int]] = {}
    for number, id in enumerate(split.ids):
        numbers.setdefault(case_of[id].image, []).append(number)
    for image, own in numbers.items():
        cases = [case_of[split.ids[number]] for number in own]
        places = [Place(case.top, case.left, case.height, case.width) for case in cases]
        whole = partial(joined, numbers=own, places=places, side=tile)
        drawn = np.stack([whole(draws[:, k]) for k in range(draws.shape[1])])
        marked = None
        if references is not None:
            marked = np.stack([whole(references[:, k]) for k in range(references.shape[1])])
        yield _whole_image(
            cases[0], image, whole(probabilities), drawn, whole(split.masks), marked, soft
        )


def _whole_image(
    case: Case,
    id: str,
    probability: Probabilities,
    draws: Draws,
    levels: npt.NDArray[np.uint8],
    references: npt.NDArray[np.uint8] | None,
    soft: bool,
) -> WholeImage:
    counted, mask = levels != LEFT_OUT, foreground_of(levels)
    marked = None
    if references is not None:
        there = [each for each in references if not (each == NOBODY).all()]
        marked = (np.stack(there) == 1) & counted
    about = (marked, soft, case.sides, case.slice)
    if counted.all():
        return WholeImage(id, probability, draws, mask, None, *about)
    return WholeImage(id, probability * counted, draws * counted, mask, counted, *about)


def volumes_of(images: Sequence[WholeImage]) -> Iterator[WholeImage]:
    """The volumes that images are slices of: P(foreground) and mask (D, H, W), no draws.

    Slices that were not prepared have foreground in neither.
    """
    slices: dict[str, dict[int, WholeImage]] = {}
    for image in images:
        if image.slice is not None:
            slices.setdefault(image.slice.volume, {})[image.slice.number] = image
    for id, own in slices.items():
        first = min(own)
        shape = (max(own) - first + 1, *own[first].mask.shape)
        probability, mask = np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
        for number, image in own.items():
            probability[number - first], mask[number - first] = image.probability, image.mask
        place, sides = own[first].slice, own[first].spacing
        spacing = (place.thickness, *sides) if place and sides else None
        yield WholeImage(id, probability, probability[None, :0], mask, spacing=spacing)


def score(
    image: WholeImage,
    evaluation: Evaluation,
    draws: int,
    thresholds: Sequence[float] | None = None,
) -> Iterator[tuple[str, float]]:
    """Every metric of one case.

    Args:
        image: P(foreground), draws and reference.
        evaluation: names and options of the metrics.
        draws: N in the clipping of likelihoods.
        thresholds: None, or several on P over its maximum: a metric of masks is then its mean over
            them, NaN if it is at any of them (published with MedSegDiff, arXiv 2211.00611). Where P
            is 0 everywhere all of these masks are empty.

    Yields:
        Name and value; a calibration metric once over all pixels and once, as ``<name>_band``,
        over the band about the reference boundary.
    """
    yield from _of_masks(image, evaluation.metrics, evaluation.threshold, thresholds)
    for region, pixels in _regions(image, evaluation.band):
        for name, options in evaluation.calibration.items():
            metric = plugins.member("calibration", name)
            counts = "draws" in inspect.signature(metric).parameters
            given = {"draws": draws, **options} if counts else options
            value = metric(*image.judgements(pixels), **given)
            yield (name if region == "all" else f"{name}_{region}"), value
    for name, options in evaluation.ensemble.items():
        if len(image.draws) >= plugins.declared("ensemble", name).get("draws", 1):
            masks = image.mask[None] if image.references is None else image.references
            yield name, plugins.member("ensemble", name)(image.draws, masks, **options)


def _of_masks(
    image: WholeImage, metrics: Options, threshold: float, thresholds: Sequence[float] | None
) -> Iterator[tuple[str, float]]:
    """Metrics of the masks of an image or volume; of one in mm NaN where the spacing is unknown."""
    predictions = [image.probability > threshold]
    if thresholds is not None:
        top = image.probability.max()
        relative = image.probability / top if top > 0 else image.probability
        predictions = [relative > threshold for threshold in thresholds]
    for name, options in metrics.items():
        metric = plugins.member("metric", name)
        placed = "spacing" in inspect.signature(metric).parameters
        if placed and image.spacing is None:
            yield name, float("nan")
            continue
        given = (image.spacing,) if placed else ()
        values = [metric(each, image.mask, *given, **options) for each in predictions]
        yield name, float(np.mean(values))


def _regions(image: WholeImage, band: int) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    counted = np.ones_like(image.mask) if image.counted is None else image.counted
    yield "all", counted
    yield "band", boundary_band(image.mask, band) & counted


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
