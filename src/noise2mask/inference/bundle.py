"""A finished training as one folder that a user needs nothing beside.

A bundle is one of MONAI's (:mod:`noise2mask.inference.monai_bundle`) and holds::

    bundle.json                the run, how images are prepared, samplers and temperatures, scores
    models/model.safetensors   the weights, with the record of their run inside
    models/model.pt            the same weights as MONAI loads them, a state dict
    models/model.onnx          one step of the network, where it was asked for
    models/model.pt2           the same as a program of torch.export, where it was asked for
    configs/metadata.json      what MONAI wants to be told of a model
    configs/inference.json     what `python -m monai.bundle run` runs
    docs/README.md             the model card: what it is, data, licence, scores, limits, warnings
    docs/data_license.txt      the licence of the data that it was trained on
    SHA256SUMS                 checksums of all these, as `sha256sum -c` reads them

Here nothing but safetensors and JSON is read, so opening a stranger's bundle executes nothing of
it. :mod:`noise2mask.inference.export` writes one.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError
from torch import Tensor

from noise2mask.errors import UserError
from noise2mask.inference.model import Model, Preparation, Way, check_usable, open_training
from noise2mask.inference.published import load_published
from noise2mask.networks.base import Network
from noise2mask.sampling.sample import Trained
from noise2mask.study.schema import RunSettings
from noise2mask.training.run import Run, build_network, device_of, load_tensors, process_of

CONTENT, SUMS = "bundle.json", "SHA256SUMS"
WEIGHTS = "models/model.safetensors"
FORMAT = 2
"""Of ``bundle.json``; another number is refused."""


@dataclass(frozen=True)
class Contents:
    """What a bundle says of its network, without the weights.

    Attributes:
        run: that made it.
        digest: of the run, which the weights have inside.
        preparation: of its images.
        ways: to draw, by name; the first is used where none is named.
        warnings: sentences that a user of its masks should know.
    """

    run: Run
    digest: str
    preparation: Preparation
    ways: Mapping[str, Way]
    warnings: tuple[str, ...]

    def model(self, network: Network, device: torch.device) -> Model:
        """The model of a network that has this bundle's weights.

        Raises:
            UserError: its mode draws no masks of images.
        """
        # As trainings lay their weights out; another layout changes the last bits of a mask.
        laid_out: Network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        trained = Trained(self.run, laid_out.eval(), process_of(self.run.settings), device)
        check_usable(trained)
        return Model(trained, self.preparation, self.ways, self.warnings)


def load_model(
    folder: Path | str,
    *,
    device: Literal["cpu", "cuda"] = "cpu",
    study: str | None = None,
    prepared: Path | None = None,
    architecture: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Model:
    """A trained network, ready to segment images.

    Args:
        folder: of a finished training, or a bundle; with `architecture` a file with the weights of
            a published code.
        device: where to compute.
        study: name or file of a training's study; None: found by the place of its folder.
        prepared: folder of its prepared data; None: found likewise.
        architecture: of a published checkpoint, e.g. "ensemdiff".
        options: what a published checkpoint was trained with, where it differs from the published
            defaults, see :class:`noise2mask.inference.published.Contract`.

    Raises:
        UserError: it is none of these, its files are damaged or do not belong together, or its
            network does not segment images.

    Example:
        >>> from noise2mask import load_model, predict
        >>> model = load_model("lesions")  # doctest: +SKIP
        >>> predict(model, image).mask.mean()  # doctest: +SKIP
    """
    place, where = Path(folder).expanduser(), device_of(device)
    if architecture is not None:
        return load_published(place, architecture, options or {}, where)
    if options:
        raise UserError(
            f"--set {next(iter(options))} is for a published checkpoint; name its --architecture."
        )
    if place.is_file():
        raise UserError(
            f"{place} is a file, and weights alone do not say what network they are of; give the "
            "folder of a training or a bundle, or the --architecture of a published checkpoint."
        )
    if (place / CONTENT).exists():
        check_sums(place)
        contents = contents_of(place)
        tensors, inside = load_tensors(place / WEIGHTS)
        if inside.get("digest") != contents.digest:
            raise UserError(f"{place / WEIGHTS} belongs to another run; export the training again.")
        return contents.model(built(contents, tensors), where)
    if not (place / "run.json").exists():
        raise UserError(
            f"{place} holds neither a finished training (run.json) nor a bundle ({CONTENT}); give "
            "the folder results/<study>/<dataset>/<network>/<mode>/seed<N> of a training, or what "
            "`noise2mask export` made of one."
        )
    return open_training(place, where, study, prepared)[0]


def built(contents: Contents, tensors: Mapping[str, Tensor]) -> Network:
    """The network of a bundle with these weights."""
    network = build_network(contents.run.settings, contents.run.data["channels"])
    network.load_state_dict(tensors)
    return network


def contents_of(folder: Path) -> Contents:
    """What the ``bundle.json`` of a bundle says.

    Raises:
        UserError: it is missing, of another format or not as this version writes it.
    """
    path = folder / CONTENT
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); copy or export it again.") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        named = content.get("format") if isinstance(content, dict) else "unknown"
        raise UserError(
            f"{folder} is a bundle of format {named}, but this version of noise2mask reads format "
            f"{FORMAT}; export it again with this version."
        )
    try:
        return Contents(
            Run(
                RunSettings.model_validate(content["run"]["settings"]),
                content["run"]["data"],
                content["run"]["code"],
            ),
            content["run"]["digest"],
            Preparation.model_validate(content["preparation"]),
            {name: Way.model_validate(way) for name, way in content["ways"].items()},
            tuple(content["warnings"]),
        )
    except (ValidationError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not as this version of noise2mask writes it ({type(error).__name__}); "
            "export the training again with this version."
        ) from None


def check_sums(folder: Path) -> None:
    """Refuse a bundle whose files are not those that were exported.

    Raises:
        UserError: a file is missing, cut or changed.
    """
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        wanted = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError):
        raise UserError(
            f"{folder} has no readable {SUMS}, so nothing shows that the bundle is whole; copy or "
            "export it again."
        ) from None
    for name in {CONTENT, WEIGHTS, *wanted}:
        path = folder / name
        if name not in wanted or not path.is_file() or sha256_of(path) != wanted[name]:
            what = "is missing" if not path.is_file() else "was changed or damaged"
            raise UserError(f"{path} {what}: {SUMS} says otherwise; copy or export it again.")


def sha256_of(path: Path) -> str:
    """Checksum of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
