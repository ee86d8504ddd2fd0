"""A network with the weights of a published code, by the name of its architecture.

A file of weights says nothing of how masks were coded, how images were scaled or how draws were
made; :data:`CONTRACTS` holds what the public code of each architecture does by default (EnsemDiff
on BraTS, SegDiff on MoNuSeg, MedSegDiff on ISIC). What a checkpoint was trained with otherwise is
given as an option. The number of image channels and whether the variance is learned are read from
the shapes of the weights.

Draws are fused to their mean, which is a probability. EnsemDiff's author does the same; SegDiff
rounds it, which gives the same mask; MedSegDiff squares it (as "STAPLE") and mixes in its
calibration map, which is not done here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from noise2mask import plugins
from noise2mask.errors import UserError, unknown
from noise2mask.inference.model import Model, Preparation, Way, check_usable
from noise2mask.sampling.sample import Trained
from noise2mask.study.plan import merged
from noise2mask.study.schema import (
    Diffusion,
    Network,
    RunSettings,
    Sampler,
    Settings,
    TrainingSettings,
    digest,
)
from noise2mask.study.validate import told
from noise2mask.training.run import Run, build_network, process_of

INNER = ("state_dict", "model_state_dict", "model", "ema", "module")
"""Keys under which files of other codes keep a state dict."""
WRAPPED = ("module.", "_orig_mod.")
"""Beginnings that data-parallel and compiled networks give to their keys."""
FIRST, LAST, ENCODER = "input_blocks.0.0.weight", "out.2.weight", "rrdb.conv_first.weight"
PROJECTION = "hwm.emb_conv."


class Contract(Settings):
    """What a published checkpoint was trained with, beside the options of its network."""

    resolution: Annotated[int, Field(ge=8, le=4096, description="side the network sees, px")]
    mean: Annotated[
        tuple[float, ...], Field(description="subtracted from images of 0 to 1, one or a channel")
    ] = (0.0,)
    std: Annotated[
        tuple[Annotated[float, Field(gt=0)], ...], Field(description="that divides them then")
    ] = (1.0,)
    shrink: Annotated[int | None, Field(ge=8, description="side before images are cut, px")] = None
    tile: Annotated[int | None, Field(ge=8, description="side of tiles; null: taken whole")] = None
    timesteps: Annotated[int, Field(ge=2, le=10_000, description="T")] = 1000
    schedule: Annotated[str, Field(description="of the noise")] = "linear"
    coding: Annotated[
        Literal["signed", "unit"], Field(description="masks in {-1, 1} or in {0, 1}")
    ] = "unit"
    clip: Annotated[bool, Field(description="clip the estimate of the mask to [-1, 1]")] = True
    variance: Annotated[
        Literal["fixed_small", "fixed_large", "learned"],
        Field(description="of a DDPM step; learned where the network has two outputs"),
    ] = "fixed_large"
    draws: Annotated[int, Field(ge=1, le=1000, description="masks drawn of an image")] = 5
    threshold: Annotated[float, Field(gt=0, lt=1, description="of P, above which it is mask")] = 0.5


CONTRACTS: Mapping[str, Contract] = {
    "ensemdiff": Contract(resolution=224, std=(1 / 255,)),
    "segdiff": Contract(
        resolution=256,
        mean=(142.07 / 255, 98.48 / 255, 132.96 / 255),
        std=(65.78 / 255, 57.05 / 255, 57.78 / 255),
        shrink=512,
        tile=256,
        timesteps=100,
        coding="signed",
        clip=False,
        draws=9,
    ),
    "medsegdiff": Contract(resolution=256),
}
"""What the public code of each architecture does by default."""

WARNINGS = (
    "Weights of another code: nothing here says what they were trained on, how good they are, or "
    "that their images were scaled as yours are.",
    "Draws are fused to their mean, whatever the published script does.",
)


def load_published(
    path: Path, architecture: str, options: Mapping[str, Any], device: torch.device
) -> Model:
    """The network of a published checkpoint, ready for images.

    Args:
        path: a file of ``torch.save`` with a state dict, read without unpickling anything else, or
            ``.safetensors``.
        architecture: one of :data:`CONTRACTS`.
        options: fields of :class:`Contract` and of the architecture that differ from the published
            defaults.
        device: where to compute.

    Raises:
        UserError: the file is no state dict, an option is unknown or wrong, the weights do not fit
            the network, or the file leaves open how it is to be used.
    """
    if architecture not in CONTRACTS:
        raise UserError(f"--architecture: {unknown(architecture, 'architecture', [*CONTRACTS])}.")
    tensors = state_dict_of(path)
    network, contract = _options(architecture, options)
    channels, learned = _shapes(path, tensors, architecture)
    contract = _fitted(contract, channels, learned=learned, given="variance" in options)
    if architecture == "medsegdiff" and network.get("version") == "v1":
        _check_projection(path, tensors, network)
    settings = RunSettings(
        dataset="published",
        network=Network(architecture=architecture, title=architecture, options=network),
        mode="diffusion",
        seed=0,
        resolution=contract.resolution,
        augmentation={},
        diffusion=Diffusion.model_validate(
            {
                "schedule": {"name": contract.schedule, "timesteps": contract.timesteps},
                "target": "eps",
                "variance": contract.variance,
                "coding": contract.coding,
                "clip": contract.clip,
                "clip_to": "signed",
            }
        ),
        training=TrainingSettings(),
        precision="no",
        threads=1,
    )
    run = Run(
        settings,
        {
            "name": path.name,
            "kind": "published",
            "licence": "",
            "digest": digest({key: _summary(value) for key, value in tensors.items()}),
            "channels": channels,
            "mean": list(contract.mean),
            "std": list(contract.std),
            "cases": {},
        },
        "",
    )
    built = build_network(settings, channels)
    built.load_published(tensors)
    trained = Trained(run, built.to(device).eval(), process_of(settings), device)
    check_usable(trained)
    preparation = Preparation(
        kind="published",
        resolution=contract.resolution,
        channels=channels,
        shrink=contract.shrink,
        tile=contract.tile,
        shortest=1,
        longest=2**31,
    )
    calibrated = built.calibrated and network.get("version", "new") == "new"
    return Model(trained, preparation, ways_of(contract, calibrated=calibrated), WARNINGS)


def ways_of(contract: Contract, *, calibrated: bool) -> dict[str, Way]:
    """Ways to draw: as published, in a twentieth of the steps, and the calibration map alone."""
    steps = contract.timesteps
    samplers = {
        "ddpm": Sampler(sampler="ddpm", steps=steps, draws=contract.draws),
        "ddim": Sampler(sampler="ddim", steps=max(1, steps // 20), draws=contract.draws),
    }
    if calibrated:  # of an anchored MedSegDiff, whose second head sees the image alone
        samplers["calibration"] = Sampler(sampler="one_pass", head="calibration")
    return {
        name: Way(
            sampler=sampler,
            fusion="mean",
            threshold=contract.threshold,
            masks=sampler.sampler != "one_pass",
        )
        for name, sampler in samplers.items()
    }


def state_dict_of(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, under the names of the published code.

    Raises:
        UserError: it is missing, damaged, or holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; give a file of weights.") from None
    except (SafetensorError, OSError, ValueError, RuntimeError, EOFError, KeyError) as error:
        raise _no_weights(path, f"it cannot be read: {_first_line(error)}") from None
    except Exception as error:  # what pickle raises for objects that are not plain tensors
        raise _no_weights(
            path,
            "it holds more than tensors, and objects of others are not unpickled "
            f"({_first_line(error)})",
        ) from None
    for _ in INNER:
        inside = [key for key in INNER if isinstance(content, Mapping) and key in content]
        if not inside or not isinstance(content[inside[0]], Mapping):
            break
        content = content[inside[0]]
    if not isinstance(content, Mapping) or not content:
        raise _no_weights(path, "it holds no state dict")
    for beginning in WRAPPED:
        if all(str(key).startswith(beginning) for key in content):
            content = {str(key).removeprefix(beginning): value for key, value in content.items()}
    odd = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if odd:
        raise _no_weights(path, f"{odd[0]} in it is no tensor")
    return {str(key): value.float() for key, value in content.items()}


def _no_weights(path: Path, why: str) -> UserError:
    return UserError(
        f"{path} is no state dict of a published code: {why}; save the network's state_dict() "
        "with torch.save or as safetensors."
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def _options(architecture: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], Contract]:
    """Options of the network with all defaults, and the contract.

    Raises:
        UserError: an option is neither's, or its value is wrong.
    """
    model = plugins.options("architecture", architecture)
    known = [*Contract.model_fields, *model.model_fields]
    if strange := [name for name in given if name not in known]:
        raise UserError(f"--set {strange[0]}: {unknown(strange[0], 'option', known)}.")
    network = {name: value for name, value in given.items() if name in model.model_fields}
    ours = {name: value for name, value in given.items() if name in Contract.model_fields}
    contract = merged(CONTRACTS[architecture].model_dump(mode="json"), ours)
    for kind, values in ((model, network), (Contract, contract)):
        if wrong := told(kind, values, ""):
            place, sentence = next(iter(wrong.items()))
            raise UserError(f"--set {place}: {sentence.rstrip('.')}.")
    filled: dict[str, Any] = model.model_validate(network).model_dump(mode="json")
    checked = Contract.model_validate(contract)
    if checked.schedule not in plugins.names("schedule") or checked.schedule == "adapted":
        valid = [name for name in plugins.names("schedule") if name != "adapted"]
        raise UserError(f"--set schedule: {unknown(checked.schedule, 'schedule', valid)}.")
    return filled, checked


def _shapes(path: Path, tensors: Mapping[str, Tensor], architecture: str) -> tuple[int, bool]:
    """Image channels, and whether the network has a variance, by the weights' shapes.

    Raises:
        UserError: its first or last layer is not there.
    """
    first = ENCODER if architecture == "segdiff" else FIRST
    missing = [key for key in (first, LAST) if key not in tensors or tensors[key].ndim != 4]
    if missing:
        raise _no_weights(
            path, f"it lacks {missing[0]}, which every {architecture} of the published code has"
        )
    beside = 0 if architecture == "segdiff" else 1  # the noisy mask
    outputs = len(tensors[LAST])
    if outputs not in (1, 2):
        raise _no_weights(path, f"its last layer has {outputs} outputs where 1 or 2 are due")
    return tensors[first].shape[1] - beside, outputs == 2


def _fitted(contract: Contract, channels: int, *, learned: bool, given: bool) -> Contract:
    """The contract with the variance and the number of channels that the weights have.

    Raises:
        UserError: another one was given.
    """
    if given and (contract.variance == "learned") != learned:
        raise UserError(
            f"--set variance={contract.variance}: the network has {1 + learned} output(s), so its "
            f"variance is {'learned' if learned else 'fixed_small or fixed_large'}; leave it out."
        )
    changes: dict[str, Any] = {"variance": "learned"} if learned else {}
    for name in ("mean", "std"):
        values = getattr(contract, name)
        if len(values) not in (1, channels):
            raise UserError(
                f"{name} has {len(values)} values, but the weights are of images with {channels} "
                f"channel(s); give it with --set {name}=[...]."
            )
        changes[name] = values * (channels if len(values) == 1 else 1)
    return contract.model_copy(update=changes)


def _check_projection(
    path: Path, tensors: Mapping[str, Tensor], network: Mapping[str, Any]
) -> None:
    """Refuse a version 1 of MedSegDiff whose file leaves a layer open.

    Raises:
        UserError: the layer is not in the file, and nothing says that it is to be random.
    """
    kept = any(key.startswith(PROJECTION) for key in tensors)
    if kept or network["projection"] == "random":
        return
    raise UserError(
        f"{path} has no {PROJECTION}weight, which the public code of version 1 draws anew at every "
        "pass and never keeps: give --set projection=random to do as it does (masks then differ "
        "from call to call), or a file that has that layer."
    )


def _summary(tensor: Tensor) -> list[float]:
    """What tells one tensor from another, exactly enough to name a set of weights."""
    values = tensor.double()
    return [*map(float, tensor.shape), float(values.sum()), float(values.square().sum())]
