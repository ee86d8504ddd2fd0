"""Writing the bundle of a finished training; what it is says :mod:`noise2mask.inference.bundle`."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noise2mask.errors import UserError
from noise2mask.files import checked, write_bytes, write_json, write_text
from noise2mask.inference import monai_bundle
from noise2mask.inference.bundle import CONTENT, FORMAT, SUMS, WEIGHTS, sha256_of
from noise2mask.inference.card import card, scores_of
from noise2mask.inference.model import as_json, open_training
from noise2mask.inference.step_programs import step_as_onnx, step_as_pt2
from noise2mask.progress import LOG
from noise2mask.training.run import load_tensors

CARD, DATA_LICENCE = "docs/README.md", "docs/data_license.txt"
METADATA, INFERENCE = "configs/metadata.json", "configs/inference.json"
STATE_DICT, ONNX, PT2 = "models/model.pt", "models/model.onnx", "models/model.pt2"


def export(
    training: Path,
    out: Path,
    *,
    study: str | None = None,
    prepared: Path | None = None,
    onnx: bool = False,
    pt2: bool = False,
) -> None:
    """Write the bundle of a finished training.

    Args:
        training: its folder.
        out: folder of the bundle, new or empty.
        study: as in :func:`noise2mask.load_model`.
        prepared: likewise.
        onnx: write one step of the network as ONNX, if it agrees with torch.
        pt2: write it as a program of ``torch.export`` too, if it agrees.

    Raises:
        UserError: the training cannot be opened, `out` holds something, or a program differs.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already and not an empty folder; choose another name.")
    model, found, manifest = open_training(training, torch.device("cpu"), study, prepared)
    run = json.loads(checked(training / "run.json").read_bytes())
    weights = checked(training / "model.safetensors")
    scores, warnings = scores_of(found, training, model, manifest)
    warnings = (*model.warnings, *warnings)
    written = {WEIGHTS: weights.read_bytes(), STATE_DICT: _state_dict(load_tensors(weights)[0])}
    programs: dict[str, Mapping[str, Any]] = {}
    for name, wanted, make in ((ONNX, onnx, step_as_onnx), (PT2, pt2, step_as_pt2)):
        if wanted:
            written[name], programs[name] = make(model)
    content = {
        "format": FORMAT, "run": run, **as_json(model), "warnings": list(warnings),
        "scores": scores, "programs": programs,
    }  # fmt: skip
    for name, data in written.items():
        write_bytes(out / name, data)
    write_json(out / CONTENT, content)
    write_json(out / METADATA, monai_bundle.metadata(model, run, scores, warnings))
    write_json(out / INFERENCE, monai_bundle.inference(model))
    write_text(out / CARD, card(model, run, scores, warnings, programs))
    licence = run["data"]["licence"] or "not stated"
    write_text(out / DATA_LICENCE, f"{run['data']['name']}: {licence}\n")
    names = sorted([*written, CONTENT, METADATA, INFERENCE, CARD, DATA_LICENCE])
    write_text(out / SUMS, "".join(f"{sha256_of(out / name)}  {name}\n" for name in names))
    LOG.info("%s: %s", out, ", ".join([*names, SUMS]))


def _state_dict(tensors: Mapping[str, Tensor]) -> bytes:
    """Weights as ``torch.load(..., weights_only=True)`` reads them."""
    buffer = io.BytesIO()
    torch.save(dict(tensors), buffer)
    return buffer.getvalue()
