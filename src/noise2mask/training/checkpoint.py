"""What any training keeps so that it can be killed and goes on: its course and its optimiser."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

WINDOWS = 400
"""Most losses of a training that its history holds."""


@dataclass(kw_only=True)
class TrainingState:
    """How far a training is, and how it went.

    Attributes:
        step: steps done.
        best_step: the step whose weights val chose so far.
        best_loss: their mean loss over val, or 1 less their Dice where that chooses.
        history: what ``history.jsonl`` will hold.
        window: losses since the last line of the history.
    """

    step: int = 0
    best_step: int = 0
    best_loss: float = math.inf
    history: list[dict[str, Any]] = field(default_factory=list)
    window: list[float] = field(default_factory=list)

    def note(self, loss: float, steps: int) -> None:
        """Keep the mean loss of every window of steps."""
        self.window.append(loss)
        if len(self.window) >= max(1, steps // WINDOWS) or self.step == steps:
            mean = sum(self.window) / len(self.window)
            self.history.append({"step": self.step, "loss": mean})
            self.window.clear()

    def validated(self, loss: float, dice: float | None = None) -> bool:
        """Keep a mean loss over val; true if it is the least so far.

        Args:
            loss: over val.
            dice: of draws for val, which chooses in place of the loss if it is given.
        """
        self.history.append({"step": self.step, "val_loss": loss})
        chooses = loss
        if dice is not None:
            self.history.append({"step": self.step, "val_dice": dice})
            chooses = 1 - dice
        if chooses >= self.best_loss:
            return False
        self.best_loss, self.best_step = chooses, self.step
        return True

    def progress(self) -> dict[str, Any]:
        """What a checkpoint's record says of it."""
        return {
            "step": self.step,
            "best_step": self.best_step,
            "best_loss": self.best_loss,
            "history": self.history,
            "window": self.window,
        }

    def go_on(self, progress: Mapping[str, Any]) -> None:
        """Take up what :meth:`progress` said."""
        for name, value in progress.items():
            setattr(self, name, value)

    def text(self) -> str:
        """The content of ``history.jsonl``: a line each, last the loss over val that was chosen."""
        losses = {line["step"]: line["val_loss"] for line in self.history if "val_loss" in line}
        chosen = {"step": self.best_step, "chosen": losses.get(self.best_step, self.best_loss)}
        lines = [json.dumps(line, sort_keys=True) for line in [*self.history, chosen]]
        return "\n".join(lines) + "\n"


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, named without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def prefixed(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The same tensors with a prefix to their names."""
    return {f"{prefix}{name}": value for name, value in tensors.items()}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of an optimiser as named tensors; rates and decays belong to the settings."""
    return {
        f"{index}.{name}": value
        for index, slot in optimizer.state_dict()["state"].items()
        for name, value in slot.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser of the same parameters the state that :func:`optimizer_tensors` took.

    Each tensor is laid out in memory as its parameter is: fused optimisers read both in one go.
    """
    groups = optimizer.state_dict()["param_groups"]
    given = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    numbers = [number for group in groups for number in group["params"]]
    parameters = dict(zip(numbers, given, strict=True))
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".")
        parameter = parameters[int(index)]
        if value.shape == parameter.shape:
            value = torch.empty_like(parameter).copy_(value)
        slots.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": slots, "param_groups": groups})
