"""The training of a SegFormer: short, resumable, its loss that of our own networks.

As published: AdamW, a linear warm-up, then a linear fall to 0, and norms that do not decay. As in
our trainings: batches, augmentation, and a seed for every step made of the job's seed and the
step, so that a resumed training on the CPU equals the uninterrupted one bit for bit. The weights
with the least loss over val are kept; no average of weights is taken.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from noise2mask.baselines.base import Job
from noise2mask.baselines.mix_transformer import Size, build, build_pretrained, library, logits_of
from noise2mask.diffusion.losses import cross_entropy, overlap_loss
from noise2mask.errors import UserError
from noise2mask.files import write_json, write_text
from noise2mask.progress import LOG, Progress
from noise2mask.seeds import seed_of
from noise2mask.study.code_hash import hash_code, versions
from noise2mask.study.schema import digest
from noise2mask.training.augment import augment, standardise
from noise2mask.training.checkpoint import (
    TrainingState,
    optimizer_tensors,
    prefixed,
    restore_optimizer,
    under,
)
from noise2mask.training.run import differences, load_tensors, save_tensors
from noise2mask.training.train import batch_rows, tensors

STATE = "state.safetensors"
IDENTITY = ("options", "augmentation", "seed", "data", "code")
"""Parts of a record that two trainings must share to be the same one."""

Loss = Literal["overlap", "cross_entropy"]


class Recipe(NamedTuple):
    """The options of a training, as the reference `segformer` names them."""

    size: Size
    pretrained: str | None
    side: int | None
    loss: Loss
    steps: int
    batch: int
    learning_rate: float
    head_factor: float
    weight_decay: float
    warm_up: int
    validate_every: int


@dataclass(kw_only=True)
class State(TrainingState):
    """What a training is made of at the end of a step; `best` are the weights that val chose."""

    network: nn.Module
    optimizer: torch.optim.AdamW
    best: dict[str, Tensor] = field(default_factory=dict)


def train(job: Job, recipe: Recipe) -> None:
    """Train to the end and leave ``model.safetensors``, settings and history in ``job.out``.

    Raises:
        UserError: transformers or the pretrained weights are missing, or the loss is no longer
            finite.
    """
    torch.set_num_threads(job.threads)
    if job.device.type == "cuda":  # on the CPU all that is used is deterministic
        torch.use_deterministic_algorithms(True, warn_only=True)
    record = _record(job, recipe)
    state = _start(job, recipe)
    _resume(state, job, record)
    _loop(state, job, recipe, record)
    _finish(state, job, record)


def learning_rate_at(recipe: Recipe, step: int) -> float:
    """Rate of step 1 ... steps: linear warm-up, then a straight line down to 0."""
    if step <= recipe.warm_up:
        return recipe.learning_rate * step / recipe.warm_up
    left = 1 - (step - recipe.warm_up - 1) / (recipe.steps - recipe.warm_up)
    return recipe.learning_rate * left


def _record(job: Job, recipe: Recipe) -> dict[str, Any]:
    """What ``settings.json`` says; two trainings of one digest are the same training."""
    manifest = job.train.manifest
    identity: dict[str, Any] = {
        "options": recipe._asdict(),
        "augmentation": job.augmentation,
        "seed": job.seed,
        "data": {"digest": digest([manifest.digests["train"], manifest.digests["val"]])},
        "code": hash_code("baselines.segformer:fit"),
    }
    data = {
        "name": manifest.dataset,
        "resolution": manifest.resolution,
        "channels": manifest.channels,
        "mean": list(manifest.mean),
        "std": list(manifest.std),
    }
    return {
        "digest": digest(identity),
        **identity,
        "data": identity["data"] | data,
        "versions": versions() | {"transformers": library().__version__},
    }


def _start(job: Job, recipe: Recipe) -> State:
    """Network and optimiser before the first step."""
    torch.manual_seed(seed_of(job.seed, "weights"))
    if recipe.pretrained:
        network = build_pretrained(recipe.size, recipe.pretrained)
    else:
        network = build(recipe.size, job.train.manifest.channels)
    network = network.to(job.device)
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        kind = (name.startswith("decode_head."), "norm" in name)
        groups.setdefault(kind, []).append(parameter)
    optimizer = torch.optim.AdamW(
        {
            "params": parameters,
            "factor": recipe.head_factor if in_head else 1.0,
            "weight_decay": 0.0 if of_norm else recipe.weight_decay,
        }
        for (in_head, of_norm), parameters in groups.items()
    )
    return State(network=network, optimizer=optimizer)


def _loop(state: State, job: Job, recipe: Recipe, record: dict[str, Any]) -> None:
    progress = Progress(f"training {job.title}", recipe.steps, state.step)
    data = job.train.manifest
    while state.step < recipe.steps:
        step = state.step + 1
        generator = torch.Generator().manual_seed(seed_of(job.seed, "step", step))
        torch.manual_seed(seed_of(job.seed, "dropout", step))
        rows = batch_rows(len(job.train.ids), recipe.batch, job.seed, step)
        options: dict[str, Any] = job.augmentation
        image, mask = augment(*tensors(job.train, rows), generator, **options)
        image = standardise(image, data.mean, data.std).to(job.device)
        state.network.train()
        value = _losses(state.network, image, mask.to(job.device), recipe).mean()
        if not math.isfinite(value.item()):
            raise UserError(_not_finite(job, recipe, step, value.item()))
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate_at(recipe, step) * group["factor"]
        state.optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        state.step = step
        state.note(value.item(), recipe.steps)
        if step % recipe.validate_every == 0 or step == recipe.steps:
            _validate(state, job, recipe)
            _checkpoint(state, job, record)
        progress.update(step, f"loss {value.item():.4f}, best of val {state.best_loss:.4f}")


def _losses(network: nn.Module, image: Tensor, mask: Tensor, recipe: Recipe) -> Tensor:
    """Loss of each case, (B,)."""
    logits = logits_of(network, image, recipe.side)
    return overlap_loss(logits, mask) if recipe.loss == "overlap" else cross_entropy(logits, mask)


@torch.no_grad()
def _validate(state: State, job: Job, recipe: Recipe) -> None:
    """Mean loss over val; the weights are kept if it is the least so far."""
    network, data = state.network.eval(), job.train.manifest
    total = 0.0
    for first in range(0, len(job.val.ids), recipe.batch):
        image, mask = tensors(job.val, slice(first, first + recipe.batch))
        image = standardise(image, data.mean, data.std).to(job.device)
        total += float(_losses(network, image, mask.to(job.device), recipe).double().sum())
    if state.validated(total / len(job.val.ids)):
        state.best = {name: value.clone() for name, value in network.state_dict().items()}


def _checkpoint(state: State, job: Job, record: dict[str, Any]) -> None:
    """Save the whole state in one file."""
    named = (
        prefixed(state.network.state_dict(), "network.")
        | prefixed(state.best, "best.")
        | prefixed(optimizer_tensors(state.optimizer), "optimizer.")
    )
    save_tensors(job.work / STATE, named, record | {"progress": state.progress()})


def _resume(state: State, job: Job, record: dict[str, Any]) -> None:
    """Go on from the checkpoint in ``job.work``, if there is one of this very training.

    One of other options, cases, seed or code is told of, kept under another name and not used.
    """
    path = job.work / STATE
    if not path.exists():
        return
    saved, then = load_tensors(path)
    if then["digest"] != record["digest"]:
        before, now = ({name: each[name] for name in IDENTITY} for each in (then, record))
        kept = job.work / f"refused-{then['digest']}.safetensors"
        path.replace(kept)
        LOG.warning(
            "%s cannot be resumed (%s); it is kept as %s and training starts at step 0.",
            path,
            "; ".join(differences(before, now)),
            kept.name,
        )
        return
    state.network.load_state_dict(under(saved, "network."))
    state.best = under(saved, "best.")
    restore_optimizer(state.optimizer, under(saved, "optimizer."))
    state.go_on(then["progress"])


def _finish(state: State, job: Job, record: dict[str, Any]) -> None:
    """Write the chosen weights, the history and, last, ``settings.json``."""
    save_tensors(job.out / "model.safetensors", state.best, record, recorded=True)
    write_text(job.out / "history.jsonl", state.text(), record=True)
    write_json(job.out / "settings.json", record, record=True)
    (job.work / STATE).unlink(missing_ok=True)


def _not_finite(job: Job, recipe: Recipe, step: int, loss: float) -> str:
    checkpoint = job.work / STATE
    if checkpoint.exists():
        good = f"the last good checkpoint is {checkpoint}"
    else:
        good = "no checkpoint was saved yet"
    return (
        f"the loss of {job.title} became {loss} at step {step} with learning rate "
        f"{learning_rate_at(recipe, step):.3g}; {good}; lower the option learning_rate."
    )
