"""A finished training as one folder that a user needs nothing beside.

A bundle holds::

    model.safetensors   the weights, with the record of their run inside
    bundle.json         the run, how images are prepared, samplers and temperatures, the scores
    README.md           the model card: what it is, data, licence, scores, warnings
    step.onnx           one step of the network, where it was asked for
    SHA256SUMS          checksums of all these, as `sha256sum -c` reads them

Nothing is pickled, so opening a stranger's bundle executes nothing of it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError

from noise2mask.errors import UserError
from noise2mask.files import checked, write_bytes, write_json, write_text
from noise2mask.inference.card import card, scores_of
from noise2mask.inference.model import Model, Preparation, Way, as_json, check_usable, open_training
from noise2mask.progress import LOG
from noise2mask.sampling.sample import Trained
from noise2mask.study.schema import RunSettings
from noise2mask.training.run import Run, build_network, device_of, load_tensors, process_of

CONTENT, WEIGHTS, CARD, STEP, SUMS = (
    "bundle.json", "model.safetensors", "README.md", "step.onnx", "SHA256SUMS",
)  # fmt: skip
FORMAT = 1
"""Of ``bundle.json``; another number is refused."""


def load_model(
    folder: Path | str,
    *,
    device: Literal["cpu", "cuda"] = "cpu",
    study: str | None = None,
    prepared: Path | None = None,
) -> Model:
    """A trained network, ready to segment images.

    Args:
        folder: of a finished training, or a bundle.
        device: where to compute.
        study: name or file of a training's study; None: found by the place of its folder.
        prepared: folder of its prepared data; None: found likewise.

    Raises:
        UserError: it is neither, its files are damaged or do not belong together, or its network
            does not segment images.

    Example:
        >>> from noise2mask import load_model, predict
        >>> model = load_model("lesions")  # doctest: +SKIP
        >>> predict(model, image).mask.mean()  # doctest: +SKIP
    """
    place, where = Path(folder).expanduser(), device_of(device)
    if (place / CONTENT).exists():
        return _open_bundle(place, where)
    if not (place / "run.json").exists():
        raise UserError(
            f"{place} holds neither a finished training (run.json) nor a bundle ({CONTENT}); give "
            "the folder results/<study>/<dataset>/<network>/<mode>/seed<N> of a training, or what "
            "`noise2mask export` made of one."
        )
    return open_training(place, where, study, prepared)[0]


def _open_bundle(folder: Path, device: torch.device) -> Model:
    _check_sums(folder)
    content = json.loads((folder / CONTENT).read_bytes())
    if content.get("format") != FORMAT:
        raise UserError(
            f"{folder} is a bundle of format {content.get('format')}, but this version of "
            f"noise2mask reads format {FORMAT}; export it again with this version."
        )
    tensors, inside = load_tensors(folder / WEIGHTS)
    try:
        run = Run(
            RunSettings.model_validate(content["run"]["settings"]),
            content["run"]["data"],
            content["run"]["code"],
        )
        preparation = Preparation.model_validate(content["preparation"])
        ways = {name: Way.model_validate(way) for name, way in content["ways"].items()}
        warnings = tuple(content["warnings"])
        belongs = inside["digest"] == content["run"]["digest"]
    except (ValidationError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder / CONTENT} is not as this version of noise2mask writes it "
            f"({type(error).__name__}); export the training again with this version."
        ) from None
    if not belongs:
        raise UserError(f"{folder / WEIGHTS} belongs to another run; export the training again.")
    network = build_network(run.settings, run.data["channels"])
    network.load_state_dict(tensors)
    trained = Trained(run, network.eval().to(device), process_of(run.settings), device)
    check_usable(trained)
    return Model(trained, preparation, ways, warnings)


def export(
    training: Path,
    out: Path,
    *,
    study: str | None = None,
    prepared: Path | None = None,
    onnx: bool = False,
) -> None:
    """Write the bundle of a finished training.

    Args:
        training: its folder.
        out: folder of the bundle, new or empty.
        study: as in :func:`load_model`.
        prepared: likewise.
        onnx: write one step of the network as ONNX, if it agrees with torch.

    Raises:
        UserError: the training cannot be opened, `out` holds something, or ONNX differs.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already and not an empty folder; choose another name.")
    model, found, manifest = open_training(training, torch.device("cpu"), study, prepared)
    run = json.loads(checked(training / "run.json").read_bytes())
    scores, warnings = scores_of(found, training, model, manifest)
    warnings = (*model.warnings, *warnings)
    written: dict[str, bytes] = {WEIGHTS: checked(training / WEIGHTS).read_bytes()}
    step: Mapping[str, Any] | None = None
    if onnx:
        from noise2mask.inference.onnx_step import step_as_onnx

        written[STEP], step = step_as_onnx(model)
    content = {
        "format": FORMAT, "run": run, **as_json(model), "warnings": list(warnings),
        "scores": scores, "onnx": step,
    }  # fmt: skip
    for name, data in written.items():
        write_bytes(out / name, data)
    write_json(out / CONTENT, content)
    write_text(out / CARD, card(model, run, scores, warnings, step))
    names = sorted([*written, CONTENT, CARD])
    lines = [f"{_sha256(out / name)}  {name}\n" for name in names]
    write_text(out / SUMS, "".join(lines))
    LOG.info("%s: %s", out, ", ".join([*names, SUMS]))


def _check_sums(folder: Path) -> None:
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
        if name not in wanted or not path.is_file() or _sha256(path) != wanted[name]:
            what = "is missing" if not path.is_file() else "was changed or damaged"
            raise UserError(f"{path} {what}: {SUMS} says otherwise; copy or export it again.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
