"""One training: a short loop that can be killed at any moment and goes on where it was.

Every random number of step k comes from a seed made of the run's seed and k, so the state of a
training is its weights, its optimiser and k. A resumed training on the CPU equals the
uninterrupted one bit for bit.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from noise2mask import plugins
from noise2mask.data.prepared import Split, open_split, shares_of
from noise2mask.data.source import LEFT_OUT
from noise2mask.diffusion.process import Process
from noise2mask.diffusion.targets import UNJUDGED
from noise2mask.errors import UserError
from noise2mask.files import locked, write_json, write_text
from noise2mask.networks.base import Network
from noise2mask.progress import LOG, Progress, Stopped, stoppable
from noise2mask.seeds import seed_of
from noise2mask.study.schema import TrainingSettings
from noise2mask.training.augment import augment, standardise
from noise2mask.training.checkpoint import (
    TrainingState,
    optimizer_tensors,
    prefixed,
    restore_optimizer,
    under,
)
from noise2mask.training.curves import Shows, curves
from noise2mask.training.processes import add_up, check_batch, is_main, shared
from noise2mask.training.run import (
    Run,
    build_network,
    load_tensors,
    process_of,
    refusal,
    save_tensors,
)
from noise2mask.training.validation import drawn_dice

STATE = "state.safetensors"
EVEN = 0.5 + 2.0**-24
"""Share of annotators that are of two minds: the next number to 1/2, which is `UNJUDGED`."""


@dataclass(kw_only=True)
class State(TrainingState):
    """What a training is made of at the end of a step."""

    network: Network
    average: AveragedModel
    optimizer: torch.optim.AdamW


def train(
    run: Run, data: Path, work: Path, out: Path, device: torch.device, *, tensorboard: bool = False
) -> None:
    """Run a training to the end and leave its run in `out`.

    In several processes (:mod:`noise2mask.training.processes`) each calls it.

    Args:
        run: what is to be trained.
        data: folder of the prepared dataset; only train and val are opened.
        work: folder for checkpoints while the training lasts, removed at its end.
        out: folder of the finished run.
        device: where to compute.
        tensorboard: write curves to ``tensorboard`` in `work`, which stays.

    Raises:
        UserError: the loss is no longer finite, or a folder cannot be written.
        Stopped: the process was asked to end; a checkpoint of its last step is in `work`.
    """
    settings = run.settings
    if device.type == "cuda":  # on the CPU all that is used is deterministic
        torch.use_deterministic_algorithms(True, warn_only=True)
    with _alone(work) if is_main() else nullcontext():
        train_split = open_split(data, "train", purpose="training", left_out=True)
        val_split = open_split(data, "val", purpose="training", left_out=True)
        accelerator = Accelerator(mixed_precision=settings.precision, cpu=device.type == "cpu")
        check_batch(settings.training.batch, accelerator)
        torch.set_num_threads(settings.threads)
        state = _start(run, accelerator)
        with accelerator.main_process_first():  # which moves a checkpoint that it refuses
            _resume(state, run, work)
        folder = work / "tensorboard" if tensorboard and is_main() else None
        with stoppable() as asked_to_stop, curves(folder, state.step) as show:
            _loop(state, run, train_split, val_split, work, accelerator, asked_to_stop, show)
        if is_main():
            _finish(state, run, work, out)


def _start(run: Run, accelerator: Accelerator) -> State:
    """Network, average and optimiser before the first step."""
    torch.manual_seed(seed_of(run.settings.seed, "weights"))
    network = build_network(run.settings, run.data["channels"]).to(accelerator.device)
    average = AveragedModel(network, multi_avg_fn=_averaging(run.settings.training.ema_decay))
    training = run.settings.training
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        fused=True,
    )
    return State(network=network, average=average, optimizer=optimizer)


def _averaging(decay: float) -> Any:
    """Exponential average whose decay rises from 0.1, so that a short training forgets its start.

    `AveragedModel` copies the buffers, so batch norm's statistics are those of the last step.
    """

    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        now = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averaged, current, 1 - now)

    return update


def _loop(
    state: State,
    run: Run,
    train_split: Split,
    val_split: Split,
    work: Path,
    accelerator: Accelerator,
    asked_to_stop: Callable[[], Stopped | None],
    show: Shows,
) -> None:
    training, seed = run.settings.training, run.settings.seed
    process = process_of(run.settings)
    losses_of = plugins.member("mode", run.settings.mode)
    # The rows of a batch are divided where the network is called, not by a wrapper of accelerate's.
    prepared = accelerator.prepare_model(state.network, evaluation_mode=True)
    network = shared(prepared, accelerator)
    average = shared(state.average.module, accelerator)  # type: ignore[arg-type]
    optimizer = accelerator.prepare_optimizer(state.optimizer)
    progress = Progress(f"training {run.settings.title()}", training.steps, state.step)
    while state.step < training.steps:
        if is_main() and (stopped := asked_to_stop()) is not None:
            if state.step:
                _checkpoint(state, run, work)
            raise stopped
        step = state.step + 1
        rate = learning_rate(training, step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        generator = torch.Generator().manual_seed(seed_of(seed, "step", step))
        torch.manual_seed(seed_of(seed, "dropout", step))
        image, mask = tensors(
            train_split, batch_rows(len(train_split.ids), training.batch, seed, step)
        )
        image, mask = augment(image, mask, generator=generator, **run.settings.augmentation)
        image = _standardised(image, run, accelerator.device)
        network.train()
        mask = mask.to(accelerator.device)
        with accelerator.autocast():
            loss = losses_of(network, image, mask, process, generator=generator).mean()
        value = loss.item()
        if not math.isfinite(value):
            raise UserError(_not_finite(state, run, rate, value, work))
        optimizer.zero_grad(set_to_none=True)
        accelerator.backward(loss)
        add_up(network.parameters(), accelerator)
        accelerator.clip_grad_norm_(network.parameters(), training.clip_norm)
        optimizer.step()
        state.average.update_parameters(state.network)
        state.step = step
        state.note(value, training.steps)
        if step % training.validate_every == 0 or step == training.steps:
            _validate(state, average, run, val_split, process, losses_of, work)
        if is_main() and (step % training.checkpoint_every == 0 or step == training.steps):
            _checkpoint(state, run, work)
        show(state)
        progress.update(step, f"loss {value:.4f}, best of val {state.best_loss:.4f}")


def learning_rate(training: TrainingSettings, step: int) -> float:
    """Rate of step 1 ... steps: linear warm-up, then constant or half a cosine down to 0."""
    if step <= training.warm_up:
        return training.learning_rate * step / training.warm_up
    if training.decay == "constant":
        return training.learning_rate
    done = (step - training.warm_up) / max(1, training.steps - training.warm_up + 1)
    return training.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def batch_rows(cases: int, batch: int, seed: int, step: int) -> list[int]:
    """Rows of the training split that make the batch of step 1, 2, ...

    The rows run through one permutation of all cases after another, so every case is seen
    equally often.
    """
    first = (step - 1) * batch
    rows = []
    for position in range(first, first + batch):
        epoch, index = divmod(position, cases)
        rows.append(int(_permutation(cases, seed, epoch)[index]))
    return rows


@lru_cache(maxsize=2)  # a batch may span two epochs
def _permutation(cases: int, seed: int, epoch: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.random.default_rng(seed_of(seed, "epoch", epoch)).permutation(cases)


def tensors(split: Split, rows: Sequence[int] | slice) -> tuple[Tensor, Tensor]:
    """Images (B,C,H,W) in [0, 1] and masks (B,1,H,W) of 0, 1 and `UNJUDGED`, float32.

    Soft masks are the share of annotators that mark a pixel, all of [0, 1].
    """
    images = torch.from_numpy(split.images[rows].astype(np.float32) / 255)
    levels = torch.from_numpy(split.masks[rows].astype(np.float32))
    masks = levels.clone()
    if split.manifest.soft and split.references is not None:
        masks = torch.from_numpy(shares_of(split.references[rows]))
        masks[masks == UNJUDGED] = EVEN
    if split.manifest.leaves_out:
        masks[levels == LEFT_OUT] = UNJUDGED
    return images.permute(0, 3, 1, 2), masks[:, None]


@torch.no_grad()
def _validate(
    state: State,
    average: Network,
    run: Run,
    split: Split,
    process: Process,
    losses_of: Any,
    work: Path,
) -> None:
    """Mean loss of the averaged weights over val, at the same noise and timesteps every time."""
    device = next(state.network.parameters()).device
    network = average.eval()
    total, dice, count, batch = 0.0, 0.0, 0, run.settings.training.batch
    by_dice = run.settings.training.choose == "dice"
    # A mode that sees no noise has one loss a case.
    repeats = run.settings.training.validation_repeats if process.use.sees_noise else 1
    for repeat in range(repeats):
        for first in range(0, len(split.ids), batch):
            image, mask = tensors(split, slice(first, first + batch))
            image = _standardised(image, run, device)
            seed = seed_of(run.settings.seed, "validation", repeat, first)
            generator = torch.Generator().manual_seed(seed)
            mask = mask.to(device)
            losses = losses_of(network, image, mask, process, generator=generator)
            total, count = total + float(losses.double().sum()), count + len(losses)
            if by_dice and repeat == 0:
                scores = drawn_dice(network, image, mask, process, generator=generator)
                dice += float(scores.double().sum())
    chosen = state.validated(total / count, dice * repeats / count if by_dice else None)
    if chosen and is_main():
        save_tensors(_best(work, state.step), state.average.module.state_dict(), run.record())


def _best(work: Path, step: int) -> Path:
    return work / f"best-{step}.safetensors"


def _checkpoint(state: State, run: Run, work: Path) -> None:
    """Save the whole state; the weights that val chose lie beside it under their step."""
    named = (
        prefixed(state.network.state_dict(), "network.")
        | prefixed(state.average.state_dict(), "average.")
        | prefixed(optimizer_tensors(state.optimizer), "optimizer.")
    )
    save_tensors(work / STATE, named, run.record() | {"progress": state.progress()})
    for path in work.glob("best-*.safetensors"):
        if path != _best(work, state.best_step):
            path.unlink()


def _resume(state: State, run: Run, work: Path) -> None:
    """Go on from the checkpoint in `work`, if there is one of this very run.

    A checkpoint of other settings, code or data is refused whole, and so is a damaged one: the
    reason is told, the file is kept under another name, and the training starts at step 0.
    """
    path = work / STATE
    if not path.exists():
        return
    try:
        saved, record = load_tensors(path)
        reason, named = refusal(record, run), f"refused-{record['digest']}"
        if reason is None and record["progress"]["best_step"]:
            load_tensors(_best(work, record["progress"]["best_step"]))
    except UserError as error:
        reason, named = str(error).partition(";")[0], "damaged"
    if reason is not None:
        kept = work / f"{named}.safetensors"
        path.replace(kept)
        LOG.warning(
            "%s cannot be resumed (%s); it is kept as %s and training starts at step 0.",
            path,
            reason,
            kept.name,
        )
        return
    state.network.load_state_dict(under(saved, "network."))
    state.average.load_state_dict(under(saved, "average."))
    restore_optimizer(state.optimizer, under(saved, "optimizer."))
    state.go_on(record["progress"])


def _finish(state: State, run: Run, work: Path, out: Path) -> None:
    """Move the chosen weights and the history to `out`; ``run.json`` comes last."""
    chosen, _ = load_tensors(_best(work, state.best_step))
    save_tensors(out / "model.safetensors", chosen, run.record(), recorded=True)
    write_text(out / "history.jsonl", state.text(), record=True)
    write_json(out / "run.json", run.record(), record=True)
    for path in [work / STATE, *work.glob("best-*.safetensors")]:
        path.unlink(missing_ok=True)


def _not_finite(state: State, run: Run, rate: float, loss: float, work: Path) -> str:
    checkpoint = work / STATE
    if checkpoint.exists():
        good = f"the last good checkpoint is {checkpoint}"
    else:
        good = "no checkpoint was saved yet"
    return (
        f"the loss of {run.settings.title()} became {loss} at step {state.step + 1} with learning "
        f"rate {rate:.3g}; {good}; lower training.learning_rate or training.clip_norm."
    )


def _standardised(image: Tensor, run: Run, device: torch.device) -> Tensor:
    return standardise(image, run.data["mean"], run.data["std"]).to(device)


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Hold the training's lock, so that a process left over from a killed workflow is noticed."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        (work / "lock").touch()
    except OSError as error:
        raise UserError(
            f"{work} cannot be written ({error.strerror}); "
            "change its permissions or choose another folder."
        ) from None
    busy = f"another process is training in {work}; waiting for its end."
    with locked(work / "lock", busy, wait=True):
        yield
