"""How large a network and its training are, found out before anything of it is allocated.

The network is built and run once on torch's meta device, where tensors have shapes and no memory.
Of one that cannot be built there, the weights alone are counted.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from noise2mask.errors import UserError
from noise2mask.progress import in_bytes
from noise2mask.study.schema import RunSettings
from noise2mask.training.run import build_network

COPIES = 5
"""Of the weights while they are trained: themselves, gradient, AdamW's two moments, the average."""
_CGROUP = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Size:
    """What a training needs.

    Attributes:
        parameters: of its network.
        memory: bytes of weights and what is kept of them, and of what a step keeps of its batch
            for the gradient, all as float32. A library's workspace comes on top.
    """

    parameters: int
    memory: int


def size_of(settings: RunSettings, channels: int = 3) -> Size:
    """The size of a training.

    Args:
        settings: of the training.
        channels: of its images.

    Raises:
        UserError: the options do not describe a network, do not fit the resolution, or describe
            one that no machine can hold.
    """
    try:
        with torch.device("meta"):
            return _measured(settings, channels)
    except (UserError, RuntimeError, TypeError, NotImplementedError, MemoryError) as error:
        said = str(error).lower()
        if "meta tensor" in said:  # a network that reads its own values while it is built
            network = build_network(settings, channels)
            parameters = sum(parameter.numel() for parameter in network.parameters())
            return Size(parameters, 4 * COPIES * parameters)
        if "overflow" in said or isinstance(error, MemoryError):
            raise UserError(
                f"{settings.title()} cannot be built: its network or batch is larger than any "
                "memory; choose a smaller one."
            ) from None
        raise


def _measured(settings: RunSettings, channels: int) -> Size:
    """The size of a training, from its network run once on the device of the context."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    batch, side = settings.training.batch, settings.resolution
    network = build_network(settings, channels).train()
    image, x_t = torch.empty(batch, channels, side, side), torch.empty(batch, 1, side, side)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        forward = network.with_calibration if network.calibrated else network
        forward(x_t, image, torch.zeros(batch, dtype=torch.long))
    weights = {parameter.untyped_storage()._cdata: parameter for parameter in network.parameters()}
    parameters = sum(parameter.numel() for parameter in weights.values())
    of_batch = sum(size for storage, size in kept.items() if storage not in weights)
    return Size(parameters, 4 * COPIES * parameters + of_batch)


def memory_of(device: torch.device) -> int:
    """Bytes that a device, or this process on the CPU, can have in all."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(physical, int(_CGROUP.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no control group, or one without a limit
        return physical


def check_size(
    settings: RunSettings, channels: int, device: torch.device, processes: int = 1
) -> Size:
    """The size of a training, if it fits.

    Args:
        settings: of the training.
        channels: of its images.
        device: where it is to compute.
        processes: that share its batches, each with the weights and, of GPUs, one of its own.

    Raises:
        UserError: it needs more memory than the device has, or cannot be built at all.
    """
    size, available = size_of(settings, channels), memory_of(device)
    weights = 4 * COPIES * size.parameters
    needed = size.memory + (processes - 1) * weights
    if device.type == "cuda":
        needed = weights + (size.memory - weights) // processes
    if needed > available:
        raise UserError(
            f"{settings.title()} has {size.parameters / 1e6:.4g} million parameters and needs "
            f"{in_bytes(needed)} with batches of {settings.training.batch} at "
            f"{settings.resolution} pixels, more than the {in_bytes(available)} of this "
            f"{'machine' if device.type == 'cpu' else 'GPU'}; choose a smaller network, batch or "
            "resolution."
        )
    return size
