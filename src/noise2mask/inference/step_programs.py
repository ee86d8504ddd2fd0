"""One step of a network as a program of its own, written only if it agrees with torch.

The step is the network's output for a noisy mask, an image and a timestep; the sampler that calls
it, the schedule and the reading of its channels stay in ``bundle.json``. ONNX is for other
runtimes, a program of ``torch.export`` for torch without this package.
"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from noise2mask.errors import UserError
from noise2mask.inference.model import Model
from noise2mask.networks.base import Network
from noise2mask.seeds import seed_of

TOLERANCE = 1e-4
"""Largest difference from torch, as a share of the largest value of the output."""
OPSET = 18
INPUTS = ("x_t", "image", "t")
TIMES = (0.0, 0.5, 1.0)
"""Places in the schedule that are compared."""

Example = tuple[Tensor, Tensor, Tensor]


class _Step(nn.Module):
    """A network without its second head and without kept features."""

    def __init__(self, network: Network):
        super().__init__()
        self.network = network

    def forward(self, x_t: Tensor, image: Tensor, t: Tensor) -> Tensor:
        """Output for one batch; shapes as in :class:`noise2mask.networks.base.Network`."""
        output: Tensor = self.network(x_t, image, t)
        return output


def step_as_onnx(model: Model) -> tuple[bytes, dict[str, Any]]:
    """The ONNX file of one step, and what was found of it.

    Args:
        model: on the CPU.

    Returns:
        The file; its inputs, opset, tolerance and largest difference from torch.

    Raises:
        UserError: the libraries are not installed, the network cannot be exported, or the outputs
            differ by more than :data:`TOLERANCE`.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch exports through it
    except ImportError as error:
        raise UserError(
            f"--onnx needs onnx, onnxruntime and onnxscript ({error}); install them."
        ) from None
    step, examples = _Step(model.trained.network).eval(), examples_of(model)
    try:
        with torch.no_grad():
            program = torch.onnx.export(
                step, examples[0], dynamo=True, opset_version=OPSET, input_names=list(INPUTS),
                output_names=["output"], verbose=False,
            )  # fmt: skip
        assert program is not None
        content = program.model_proto.SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise _refused(model, "ONNX", "--onnx", error) from error

    def run(example: Example) -> np.ndarray[Any, Any]:
        given = {name: each.numpy() for name, each in zip(INPUTS, example, strict=True)}
        return np.asarray(session.run(None, given)[0])

    return content, {"opset": OPSET, **_compared(step, run, examples, "ONNX", "--onnx")}


def step_as_pt2(model: Model) -> tuple[bytes, dict[str, Any]]:
    """The file of one step as a program of ``torch.export``, and what was found of it.

    Args:
        model: on the CPU.

    Returns:
        The file, which ``torch.export.load`` reads; its inputs, tolerance and largest difference.

    Raises:
        UserError: the network cannot be exported, or the outputs differ.
    """
    step, examples = _Step(model.trained.network).eval(), examples_of(model)
    buffer = io.BytesIO()
    try:
        with torch.no_grad():
            torch.export.save(torch.export.export(step, examples[0]), buffer)
        buffer.seek(0)
        program = torch.export.load(buffer).module()
    except Exception as error:
        raise _refused(model, "a program of torch.export", "--pt2", error) from error

    def run(example: Example) -> np.ndarray[Any, Any]:
        with torch.no_grad():
            return np.asarray(program(*example).numpy())

    return buffer.getvalue(), _compared(step, run, examples, "torch.export", "--pt2")


def examples_of(model: Model) -> list[Example]:
    """Noisy mask, image and timestep, a batch of one, at each of :data:`TIMES`."""
    length = len(model.trained.process.schedule.log_snr)
    side, channels = model.trained.run.settings.resolution, model.preparation.channels
    examples = []
    for share in TIMES:
        stream = torch.Generator().manual_seed(seed_of(0, "onnx", str(share)))
        x_t = torch.randn(1, 1, side, side, generator=stream)
        image = torch.randn(1, channels, side, side, generator=stream)
        examples.append((x_t, image, torch.tensor([round(share * (length - 1))])))
    return examples


def _refused(model: Model, what: str, option: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:200]
    return UserError(
        f"the network {model.trained.run.settings.network.architecture} cannot be written as "
        f"{what} ({reason}); export it without {option}."
    )


def _compared(
    step: _Step,
    run: Callable[[Example], np.ndarray[Any, Any]],
    examples: list[Example],
    what: str,
    option: str,
) -> dict[str, Any]:
    """What is told of a program that agrees with torch.

    Raises:
        UserError: it does not.
    """
    difference = 0.0
    for example in examples:
        with torch.no_grad():
            wanted = step(*example).numpy()
        scale = max(1e-12, float(np.abs(wanted).max()))
        difference = max(difference, float(np.abs(run(example) - wanted).max()) / scale)
    if not difference <= TOLERANCE:
        raise UserError(
            f"{what} differs from torch by {difference:.1e} of the largest value, more than "
            f"{TOLERANCE:.0e}; export without {option}."
        )
    shapes = {
        name: "x".join(map(str, each.shape)) for name, each in zip(INPUTS, examples[0], strict=True)
    }
    return {
        "inputs": [f"{name} ({shape})" for name, shape in shapes.items()],
        "tolerance": TOLERANCE,
        "difference": difference,
    }
