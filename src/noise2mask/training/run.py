"""What a run leaves on disk, and what a checkpoint must say to be believed.

A run's folder holds everything that its results depend on: ``run.json`` (settings, data, code,
versions), ``model.safetensors`` (the chosen averaged weights, with the same record inside) and
``history.jsonl``. Nothing is pickled, so loading a stranger's checkpoint executes nothing.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from noise2mask import plugins
from noise2mask.data.prepared import Manifest
from noise2mask.diffusion.process import USUAL, Process, Use
from noise2mask.errors import UserError
from noise2mask.files import checked, said_by_run, writing
from noise2mask.networks.base import Network
from noise2mask.study.code_hash import hash_code, training_entries, versions
from noise2mask.study.schema import RunSettings, Weighting, digest
from noise2mask.study.schema import Schedule as ScheduleSettings

RECORD, CHECKSUM = "noise2mask", "sha256"
"""Keys of a checkpoint's metadata that hold its record as JSON, and the checksum of its tensors."""


@dataclass(frozen=True)
class Run:
    """One training: its settings, the data it saw and the code it ran."""

    settings: RunSettings
    data: Mapping[str, Any]
    code: str

    def identity(self) -> dict[str, Any]:
        """What two runs must share to be the same run; versions and paths do not count."""
        return {
            "settings": self.settings.model_dump(mode="json"),
            "data": {"digest": self.data["digest"]},
            "code": self.code,
        }

    def record(self) -> dict[str, Any]:
        """The content of ``run.json``."""
        identity = self.identity()
        return {
            "digest": digest(identity),
            **identity,
            "data": dict(self.data),
            "versions": versions(),
        }


def run_of(settings: RunSettings, manifest: Manifest, licence: str) -> Run:
    """The run that present settings, data and code make; test cases are no part of it."""
    data = {
        "name": manifest.dataset,
        "kind": manifest.kind,
        "licence": licence,
        "digest": digest([manifest.digests["train"], manifest.digests["val"]]),
        "channels": manifest.channels,
        "mean": list(manifest.mean),
        "std": list(manifest.std),
        "cases": dict(manifest.counts),
    }
    return Run(settings, data, hash_code(*training_entries(settings)))


def build_network(settings: RunSettings, channels: int) -> Network:
    """The untrained network of a run, its weights laid out for fast convolutions."""
    outputs = 2 if settings.diffusion.variance == "learned" else 1
    entry = settings.network
    given = plugins.keywords("architecture", entry.architecture, entry.options)
    build = plugins.member("architecture", entry.architecture)
    network: Network = build(channels, outputs, settings.resolution, **given)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def save_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    record: Mapping[str, Any],
    *,
    recorded: bool = False,
) -> None:
    """Write tensors and their record atomically as safetensors.

    Args:
        path: the file.
        tensors: by name.
        record: kept inside the file.
        recorded: another stage opens it, through :func:`noise2mask.files.checked`.

    Raises:
        UserError: the disk is full or the folder cannot be written; `path` is then unchanged.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    said = {RECORD: json.dumps(record, sort_keys=True), CHECKSUM: _checksum(plain)}
    with writing(path, record=recorded) as temporary:
        temporary.write_bytes(save(plain, said))


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names and values."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and record of a checkpoint, on the CPU.

    Raises:
        UserError: the file is missing, damaged or not one of this package's.
    """
    try:
        with safe_open(path, framework="pt") as file:
            said = file.metadata() or {}
            record, checksum = json.loads(said[RECORD]), said[CHECKSUM]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run this training first.") from None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise _damaged(path, str(error)) from None
    if _checksum(tensors) != checksum:
        raise _damaged(path, "its values are not those of its checksum")
    return tensors, record


def _damaged(path: Path, why: str) -> UserError:
    return UserError(
        f"{path} is damaged or no checkpoint of noise2mask ({why}); "
        "delete it and run the same command again."
    )


def differences(then: Mapping[str, Any], now: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """Sentences on what differs between two records, with dotted paths."""
    for key in sorted(then.keys() | now.keys()):
        name = f"{place}{key}"
        before, after = then.get(key), now.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from differences(before, after, f"{name}.")
        elif before != after:
            yield f"{name} was {before!r} and is now {after!r}"


def refusal(record: Mapping[str, Any], run: Run) -> str | None:
    """Why a checkpoint with this record cannot serve `run`; None if it can."""
    now = run.identity()
    then = {
        "settings": record.get("settings", {}),
        "data": {"digest": record.get("data", {}).get("digest")},
        "code": record.get("code"),
    }
    found = list(differences(then, now))
    return "; ".join(found) if found else None


def is_finished(run: Run, folder: Path) -> bool:
    """Whether a folder holds this run, finished, with the files that belong to it."""
    try:
        record = said_by_run(folder / "run.json", "settings", "data", "code", "digest")
        _, inside = load_tensors(checked(folder / "model.safetensors"))
        checked(folder / "history.jsonl")
    except UserError:
        return False
    return refusal(record, run) is None and inside.get("digest") == record["digest"]


def load_run(folder: Path) -> tuple[Run, Network]:
    """A finished run and its network, in evaluation mode on the CPU.

    Raises:
        UserError: the run is not finished, or its files do not belong together.
    """
    if not (folder / "run.json").exists():
        raise UserError(f"{folder} holds no finished training: run this training first.")
    record = said_by_run(folder / "run.json", "settings", "data", "code", "digest")
    tensors, inside = load_tensors(checked(folder / "model.safetensors"))
    if inside["digest"] != record["digest"]:
        reasons = "; ".join(differences(inside, record))
        raise UserError(
            f"{folder}/model.safetensors does not belong to the run.json beside it ({reasons}); "
            "run this training again."
        )
    settings = RunSettings.model_validate(record["settings"])
    network = build_network(settings, record["data"]["channels"])
    network.load_state_dict(tensors)
    return Run(settings, record["data"], record["code"]), network.eval()


def device_of(name: str) -> torch.device:
    """The device a study asks for.

    Raises:
        UserError: CUDA is asked for and absent.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "compute.device is 'cuda', but this machine offers no CUDA device to torch "
            f"{torch.__version__}; set compute.device to 'cpu' or install a CUDA build of torch."
        )
    return torch.device(name)


def process_of(settings: RunSettings) -> Process:
    """The process of a run."""
    diffusion = settings.diffusion
    use: Use = getattr(plugins.member("mode", settings.mode), "use", USUAL)
    target = use.predicts or diffusion.target
    build, options = _named("schedule", diffusion.schedule)
    schedule = build(diffusion.schedule.timesteps, **options)
    schedule = schedule.scaled(diffusion.schedule.input_scale)
    weigh, options = _named("weighting", diffusion.weighting)
    return Process(
        schedule=schedule,
        target=target,
        learned_variance=diffusion.variance == "learned",
        coding=diffusion.coding,
        clip=diffusion.clip and use.subject == "mask",
        clip_to=diffusion.clip_to,
        reduction=diffusion.reduction,
        calibration_weight=settings.training.calibration_weight,
        timestep_weights=weigh(schedule, target, **options),
        use=use,
    )


def _named(kind: str, entry: ScheduleSettings | Weighting) -> tuple[Any, dict[str, Any]]:
    """A plug-in and its options, defaults filled in."""
    return plugins.member(kind, entry.name), plugins.keywords(kind, entry.name, entry.options)
