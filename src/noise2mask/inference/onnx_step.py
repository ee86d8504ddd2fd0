"""One step of a network as ONNX, written only if it agrees with torch.

The step is the network's output for a noisy mask, an image and a timestep; the sampler that calls
it, the schedule and the reading of its channels stay in ``bundle.json``.
"""

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
    step = _Step(model.trained.network).eval()
    length = len(model.trained.process.schedule.log_snr)
    settings, channels = model.trained.run.settings, model.preparation.channels
    examples = []
    for share in TIMES:
        stream = torch.Generator().manual_seed(seed_of(0, "onnx", str(share)))
        x_t = torch.randn(1, 1, settings.resolution, settings.resolution, generator=stream)
        image = torch.randn(1, channels, settings.resolution, settings.resolution, generator=stream)
        examples.append((x_t, image, torch.tensor([round(share * (length - 1))])))
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
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"the network {settings.network.architecture} cannot be written as ONNX ({reason}); "
            "export it without --onnx."
        ) from error
    difference = 0.0
    for x_t, image, t in examples:
        with torch.no_grad():
            wanted = step(x_t, image, t).numpy()
        given = dict(zip(INPUTS, (x_t.numpy(), image.numpy(), t.numpy()), strict=True))
        (found,) = session.run(None, given)
        scale = max(1e-12, float(np.abs(wanted).max()))
        difference = max(difference, float(np.abs(found - wanted).max()) / scale)
    if not difference <= TOLERANCE:
        raise UserError(
            f"ONNX differs from torch by {difference:.1e} of the largest value, more than "
            f"{TOLERANCE:.0e}; export without --onnx."
        )
    shapes = {
        name: "x".join(map(str, each.shape)) for name, each in zip(INPUTS, examples[0], strict=True)
    }
    return content, {
        "inputs": [f"{name} ({shape})" for name, shape in shapes.items()],
        "opset": OPSET,
        "tolerance": TOLERANCE,
        "difference": difference,
    }
