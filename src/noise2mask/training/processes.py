"""One training in several processes, each of which computes its rows of every batch.

Every process holds the whole batch and its noise, drawn as one process alone would draw them, so a
row of noise belongs to a row of the batch whoever computes it. The network's calls are divided: a
process computes its rows and is given those of the others, so that the loss is the one of the
whole batch. Its gradients are the sum of what the processes found. Batch norm and dropout, the two
layers in which a row is not alone, see the whole batch too.

Weights, optimiser and average are the same in all processes after every step; the first of them,
the main one, keeps checkpoints and results. What launches the processes is :func:`together`,
`torchrun` or `accelerate launch`, which say by the same variables who is who.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import connection
from typing import Any

import torch
import torch.multiprocessing as mp
from accelerate import Accelerator
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from noise2mask.errors import UserError
from noise2mask.networks.base import Network
from noise2mask.progress import GRACE, LOG, follow

Features = tuple[Tensor, ...]
_RANK, _SIZE, _PLACE = "RANK", "WORLD_SIZE", "LOCAL_RANK"


def is_main() -> bool:
    """Whether this process keeps checkpoints and results; one that is alone does."""
    return int(os.environ.get(_RANK, 0)) == 0


def shared(network: Network, accelerator: Accelerator) -> Network:
    """The network as it is called by each of the accelerator's processes; itself for one."""
    if accelerator.num_processes == 1:
        return network
    _see_all_rows(network)
    return _Shared(network)


def add_up(parameters: Iterable[nn.Parameter], accelerator: Accelerator) -> None:
    """Give every process the sum of all gradients; :func:`shared` has divided the mean already."""
    if accelerator.num_processes == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    distributed.all_reduce(flat)
    totals = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, total in zip(gradients, totals, strict=True):
        gradient.copy_(total.view_as(gradient))


def check_batch(batch: int, accelerator: Accelerator) -> None:
    """See that every process gets as many rows as the others.

    Raises:
        UserError: the batch is no multiple of the number of processes.
    """
    if batch % accelerator.num_processes:
        raise UserError(
            f"training.batch is {batch}, which {accelerator.num_processes} processes cannot share "
            "evenly; make it a multiple of their number (compute.processes)."
        )


# The network ------------------------------------------------------------------------------------


class _Shared(Network):
    """A network of whose rows each process computes a part, and is given all."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.calibrated = network, network.calibrated

    def encode(self, image: Tensor) -> Features:
        """See :meth:`Network.encode`."""
        return tuple(_divided(self.network.encode, image))

    def forward(
        self, x_t: Tensor, image: Tensor, t: Tensor, features: Features | None = None
    ) -> Tensor:
        """See :meth:`Network.forward`."""
        output: Tensor = _divided(self.network, x_t, image, t, features)
        return output

    def with_calibration(
        self, x_t: Tensor, image: Tensor, t: Tensor, features: Features | None = None
    ) -> tuple[Tensor, Tensor]:
        """See :meth:`Network.with_calibration`."""
        output, calibration = _divided(self.network.with_calibration, x_t, image, t, features)
        return output, calibration


def _divided(compute: Callable[..., Any], *given: Tensor | Features | None) -> Any:
    """What `compute` gives for all rows, of which this process computes its part.

    Rows that cannot be shared evenly, as the last ones of a split, are computed by every process.
    """
    rows, size = len(given[0]), distributed.get_world_size()  # type: ignore[arg-type]
    if rows % size:
        return compute(*given)
    mine = _rows_of_this_process(rows // size)
    found = compute(*(_rows(each, mine) for each in given))
    return tuple(map(_gathered, found)) if isinstance(found, tuple) else _gathered(found)


def _rows_of_this_process(count: int) -> slice:
    first = distributed.get_rank() * count
    return slice(first, first + count)


def _rows(given: Tensor | Features | None, rows: slice) -> Tensor | Features | None:
    if isinstance(given, tuple):
        return tuple(each[rows] for each in given)
    return None if given is None else given[rows]


def _gathered(own: Tensor) -> Tensor:
    """The rows of all processes, (B/N, ...) -> (B, ...)."""
    whole: Tensor = _Gather.apply(own)  # type: ignore[no-untyped-call]
    return whole


class _Gather(torch.autograd.Function):
    """Rows of all processes; back goes to each what the loss, the same everywhere, says of its."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        own = own.contiguous()
        ctx.rows = _rows_of_this_process(len(own))
        parts = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, own)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        rows: Tensor = gradient[ctx.rows]
        return rows


# Layers in which a row is not alone ---------------------------------------------------------------


def _see_all_rows(module: nn.Module) -> None:
    """Put layers that see the rows of all processes in the place of those that see one's."""
    for name, layer in list(module.named_children()):
        if isinstance(layer, _BatchNorm):
            setattr(module, name, _WholeBatchNorm(layer))
        elif isinstance(layer, _DropoutNd):
            setattr(module, name, _WholeDropout(layer))
        else:
            _see_all_rows(layer)


class _WholeBatchNorm(_BatchNorm):
    """Batch norm with mean and variance of the whole batch, on any device; the same weights.

    The layer of PyTorch that does the same, `SyncBatchNorm`, wants a GPU.
    """

    def __init__(self, layer: _BatchNorm) -> None:
        super().__init__(
            layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats
        )
        self.weight, self.bias = layer.weight, layer.bias
        for name, buffer in layer.named_buffers():
            self.register_buffer(name, buffer)
        self.train(layer.training)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes behind the channels."""

    def forward(self, x: Tensor) -> Tensor:
        """(B/N,C,...) -> (B/N,C,...)."""
        if not self.training:
            return super().forward(x)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        axes = [0, *range(2, x.ndim)]
        count = x.numel() // x.shape[1] * distributed.get_world_size()
        shape = (1, -1, *([1] * (x.ndim - 2)))
        mean = _total(wide.sum(axes)) / count
        centred = wide - mean.view(shape)
        variance = _total(centred.square().sum(axes)) / count
        self._remember(mean.detach(), variance.detach() * count / max(1, count - 1))
        normal = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = self.momentum or 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def _total(own: Tensor) -> Tensor:
    total: Tensor = _Total.apply(own)  # type: ignore[no-untyped-call]
    return total


class _Total(torch.autograd.Function):
    """The sum over processes; back goes the sum of what each finds for its rows."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:  # noqa: ARG004 - PyTorch's signature
        total = own.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


class _WholeDropout(nn.Module):
    """Dropout whose noise is drawn for the whole batch, as one process alone would draw it."""

    def __init__(self, layer: _DropoutNd) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """(B/N,...) -> (B/N,...)."""
        if not self.training or self.layer.p == 0:
            return x
        whole = x.new_ones((len(x) * distributed.get_world_size(), *x.shape[1:]))
        if x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):
            whole = whole.contiguous(memory_format=torch.channels_last)
        kept: Tensor = self.layer(whole)[_rows_of_this_process(len(x))]
        return x * kept


# The processes ----------------------------------------------------------------------------------


@contextmanager
def together(count: int, threads: int, work: Callable[..., None], *given: object) -> Iterator[None]:
    """Let other processes of this machine do what this one does within.

    Nothing is launched for one process, nor by a process that was launched as one of several. This
    process is one of its group until its end, so it can do nothing else in several processes.

    Args:
        count: processes in all.
        threads: of each.
        work: what the others do.
        given: its arguments.
    """
    if count == 1 or _SIZE in os.environ:
        yield
        return
    said = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", "lo"),
        "OMP_NUM_THREADS": str(threads),
        "LOCAL_WORLD_SIZE": str(count),
        _SIZE: str(count),
    }
    others = [
        mp.get_context("spawn").Process(
            target=_other, args=(os.getpid(), said | _place(number), work, given), daemon=True
        )
        for number in range(1, count)
    ]
    ended = threading.Event()
    try:
        for other in others:
            other.start()
        threading.Thread(target=_watch, args=(others, ended), daemon=True).start()
        os.environ.update(said | _place(0))
        yield
    finally:
        ended.set()
        for other in others:
            other.kill()
            other.join()
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _place(number: int) -> dict[str, str]:
    return {_RANK: str(number), _PLACE: str(number)}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _other(
    parent: int, said: dict[str, str], work: Callable[..., None], given: tuple[object, ...]
) -> None:
    """Work beside the process that has launched this one, and end with it.

    A request to stop goes to all; the main process heeds it when a step is done.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    follow(parent, lambda: os._exit(128 + signal.SIGTERM))
    os.environ.update(said)
    work(*given)


def _watch(others: list[Any], ended: threading.Event) -> None:
    """End this process where another one has failed and it would wait for that one for ever."""
    running = list(others)
    while running:
        connection.wait([other.sentinel for other in running])
        if not ended.is_set() and any(other.exitcode not in (None, 0) for other in running):
            LOG.error("Another process of this training has failed; what it said stands above.")
            time.sleep(GRACE)
            os._exit(1)
        running = [other for other in running if other.exitcode is None]
