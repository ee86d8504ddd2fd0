"""The curves of a training for TensorBoard, while it lasts (``compute.tensorboard``)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from noise2mask.errors import UserError
from noise2mask.training.checkpoint import TrainingState


class Shows(Protocol):
    """Takes the state of a training after each step."""

    def __call__(self, state: TrainingState, /) -> None:
        """Write what is new in its history."""


@contextmanager
def curves(folder: Path | None, step: int) -> Iterator[Shows]:
    """Write the lines of a history to event files as they come.

    Args:
        folder: of the event files; without it nothing is written.
        step: steps done before; what an earlier, interrupted process wrote beyond them is dropped.

    Raises:
        UserError: TensorBoard is not installed.
    """
    if folder is None:
        yield lambda _: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise UserError(
            f"compute.tensorboard needs the package {error.name}, which is not installed; run "
            "`pip install 'noise2mask[live]'` or set it to false."
        ) from None
    written = step

    def show(state: TrainingState) -> None:
        nonlocal written
        for line in state.history:
            if line["step"] > written:
                _write(writer, line)
        written = state.step

    with SummaryWriter(str(folder), purge_step=step + 1, flush_secs=5) as writer:
        yield show


def _write(writer: Any, line: dict[str, Any]) -> None:
    for name, value in line.items():
        if name != "step":
            writer.add_scalar(name, value, line["step"])
