"""A trained network with all that it takes to use it on a new image.

It is read from the folder of a finished training, with the study and the prepared data that it
belongs to, or from a bundle (:mod:`noise2mask.inference.bundle`), which holds the same facts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from noise2mask import plugins
from noise2mask.data.prepared import Manifest, read_manifest
from noise2mask.errors import UserError, unknown
from noise2mask.files import checked
from noise2mask.sampling.sample import Trained, load_trained
from noise2mask.study import paths
from noise2mask.study.load import load_study
from noise2mask.study.plan import draws_masks, fusion_of, sampler_behind, samplers_of
from noise2mask.study.schema import Sampler, Settings, Study, Training, digest

DEPTH = 6
"""Folders from that of a training up to the one that holds results, data and config."""


class Preparation(Settings):
    """How the images of a training were prepared, so that new ones can be prepared alike."""

    kind: Annotated[str, Field(description="of the dataset, a file in data/formats")]
    resolution: Annotated[int, Field(ge=1, description="side of a prepared image, px")]
    channels: Annotated[int, Field(ge=1, description="of a prepared image")]
    shrink: Annotated[int | None, Field(description="side before images were cut, px")] = None
    tile: Annotated[int | None, Field(description="side of a tile, px")] = None
    aspect: Annotated[
        Literal["stretched", "padded"], Field(description="made square, or padded to a square")
    ] = "stretched"
    window: Annotated[
        tuple[float, float] | None, Field(description="values that become black and white")
    ] = None
    percentiles: Annotated[
        tuple[float, float] | None, Field(description="shares of values that do, percent")
    ] = None
    axis: Annotated[
        Literal["sagittal", "coronal", "axial"] | None, Field(description="of slices of volumes")
    ] = None
    channel: Annotated[int | None, Field(description="of volumes that have several")] = None
    spacing: Annotated[float | None, Field(description="side of a slice's pixel, mm")] = None
    shortest: Annotated[int, Field(description="shortest side of a training image or tile, px")]
    longest: Annotated[int, Field(description="longest side of one, px")]


class Way(Settings):
    """One way to draw a mask, and what is made of the draws."""

    sampler: Sampler
    fusion: Annotated[str, Field(description="of the draws, a function of sampling/fusion.py")]
    threshold: Annotated[float, Field(description="a mask is where P is above it")]
    temperature: Annotated[
        float | None, Field(description="that P is scaled by, fitted on validation cases")
    ] = None
    masks: Annotated[bool, Field(description="draws are masks, not probabilities of one pass")]


@dataclass(frozen=True)
class Model:
    """A trained network ready for images.

    Attributes:
        trained: network, run and process.
        preparation: of its images.
        ways: to draw, by name; the first is used where none is named.
        warnings: sentences that a user of its masks should know.
    """

    trained: Trained
    preparation: Preparation
    ways: Mapping[str, Way]
    warnings: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Short hash of the run and the preparation."""
        return digest([self.trained.run.identity(), self.preparation.model_dump(mode="json")])

    def way(self, name: str | None = None, draws: int | None = None) -> Way:
        """A way to draw, with another number of draws if wanted.

        A temperature belongs to a number of draws, so it does not go with another one.

        Raises:
            UserError: there is none of this name, or it is one pass, whose draws are all equal.
        """
        if name is not None and name not in self.ways:
            raise UserError(f"--sampler: {unknown(name, 'sampler', list(self.ways))}.")
        way = self.ways[name or next(iter(self.ways))]
        if draws is None or draws == way.sampler.draws:
            return way
        if draws < 1 or (not way.masks and way.sampler.views == 1):
            reason = "must be 1 or more" if draws < 1 else "of one pass are all equal"
            raise UserError(f"--draws {draws}: draws {reason}; choose another number or sampler.")
        if way.temperature is not None:
            raise UserError(
                f"--draws {draws}: the temperature of this sampler was fitted for "
                f"{way.sampler.draws} draws; leave --draws out, or choose one of the samplers "
                "without a temperature."
            )
        sampler = way.sampler.model_copy(update={"draws": draws})
        return way.model_copy(update={"sampler": sampler})


def check_usable(trained: Trained) -> None:
    """Refuse a network that draws no masks of images.

    Raises:
        UserError: it draws images, or never sees one.
    """
    use = trained.process.use
    if use.subject != "mask" or not use.sees_image:
        what = "draws images and no masks" if use.subject != "mask" else "does not see the image"
        raise UserError(
            f"the mode '{trained.run.settings.mode}' {what}; choose a training in another mode, "
            "e.g. feed_forward or diffusion."
        )


def open_training(
    folder: Path, device: torch.device, study: str | None = None, prepared: Path | None = None
) -> tuple[Model, Study, Manifest]:
    """The network of a finished training, with its study and the manifest of its data.

    Args:
        folder: ``results/<study>/<dataset>/<network>/<mode>/seed<N>``.
        device: where to compute.
        study: name or file of the study; None: found by the place of the folder.
        prepared: folder of the prepared data; None: found likewise.

    Raises:
        UserError: the training is not finished, the study does not have it or has no sampler for
            it, or the prepared data are gone or others.
    """
    trained = load_trained(folder, device)
    check_usable(trained)
    place = folder.resolve()
    root, (name, dataset, network, mode, seed) = place, ("",) * 5
    if len(place.parts) > DEPTH and place.parents[DEPTH - 2].name == paths.RESULTS.name:
        root = place.parents[DEPTH - 1]
        name, dataset, network, mode, seed = place.parts[-5:]
    if not name:
        raise UserError(
            f"{folder} does not lie in {paths.RESULTS}/<study>/<dataset>/<network>/<mode>/, so "
            "nothing says how to draw from it; give the folder of a training in its study, or a "
            "bundle that `noise2mask export` made of one."
        )
    file = paths.study_file(study) if study else root / paths.study_file(name)
    found = load_study(file)
    training = Training(dataset, network, mode, int(seed.removeprefix("seed")))
    _check_in_study(found, file, training)
    manifest = read_manifest(prepared or root / paths.prepared(name, dataset))
    if digest([manifest.digests["train"], manifest.digests["val"]]) != trained.run.data["digest"]:
        raise UserError(
            f"the prepared data of {dataset} are not those that {folder} was trained on; run the "
            "training again or give the right folder with --prepared."
        )
    ways = _ways(found, training, folder)
    if not ways:
        raise UserError(
            f"the mode '{mode}' has no sampler of its own in {file}, so nothing says how to draw; "
            "give it one."
        )
    model = Model(trained, preparation_of(manifest), ways, _warnings(manifest))
    return model, found, manifest


def _check_in_study(study: Study, file: Path, training: Training) -> None:
    for what, known in (
        ("dataset", study.datasets), ("network", study.networks), ("mode", study.modes),
    ):  # fmt: skip
        name = getattr(training, what)
        if name not in known:
            raise UserError(
                f"{file} has no {what} '{name}' ({', '.join(known)}), but the training is of it; "
                "give the study that it belongs to with --study."
            )


def _ways(study: Study, training: Training, folder: Path) -> dict[str, Way]:
    """Samplers and readings of one training that can be repeated on a new image."""
    ways = {}
    for name in samplers_of(study, training):
        sampler, reading = sampler_behind(study, name), study.readings.get(name)
        temperature = None
        if reading is not None:
            if reading.seeds > 1 or reading.storage != "float" or reading.thresholds is not None:
                continue  # of several networks, or a published quirk
            if reading.draws is not None:
                sampler = sampler.model_copy(update={"draws": reading.draws})
            if reading.temperature:
                path = folder / name / "temperature.json"
                if not path.exists():
                    continue
                temperature = float(json.loads(checked(path).read_bytes())["temperature"])
        ways[name] = Way(
            sampler=sampler,
            fusion=fusion_of(study, name),
            threshold=study.evaluation.threshold,
            temperature=temperature,
            masks=draws_masks(study, name),
        )
    return ways


def preparation_of(manifest: Manifest) -> Preparation:
    """How the images of a prepared dataset were made; paths and names of its files are left out."""
    given = manifest.options
    known = plugins.options("format", manifest.kind).model_fields
    said = {
        name: given.get(name, known[name].default)
        for name in ("window", "percentiles", "axis", "channel", "spacing")
        if name in known
    }
    sides = [side for case in manifest.cases for side in (case.width, case.height)]
    return Preparation(
        kind=manifest.kind,
        resolution=manifest.resolution,
        channels=manifest.channels,
        shrink=given.get("shrink"),
        tile=given.get("tile"),
        aspect=given.get("aspect", "stretched"),
        shortest=min(sides),
        longest=max(sides),
        **said,
    )


def _warnings(manifest: Manifest) -> tuple[str, ...]:
    """What a reader of its masks should know of the data that it was trained on."""
    leaks = (f"Splits share what they should not: {manifest.leaks}",) if manifest.leaks else ()
    made = ("Trained on computer-made pictures: its masks of real images mean nothing.",)
    return (*(made if manifest.kind == "phantoms" else ()), *leaks, *manifest.notes)


def as_json(model: Model) -> dict[str, Any]:
    """What a bundle says of a model, besides its weights."""
    return {
        "preparation": model.preparation.model_dump(mode="json"),
        "ways": {name: way.model_dump(mode="json") for name, way in model.ways.items()},
        "warnings": list(model.warnings),
    }
