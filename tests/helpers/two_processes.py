"""A training in two processes that another program than ours has launched."""

import os
import socket
from collections.abc import Callable

import torch
import torch.multiprocessing as mp
from torch import nn

from noise2mask.training import train as training


def in_double(build: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """The same networks in double precision, in which no rounding is magnified by many steps."""

    def built(*given: object) -> nn.Module:
        network = build(*given).double()
        for layer in network.modules():
            if isinstance(layer, nn.modules.conv._ConvNd | nn.Linear):
                layer.register_forward_pre_hook(lambda _, given: tuple(x.double() for x in given))
        return network

    return built


def as_launched(rank: int, port: int, double: bool, given: tuple) -> None:
    """What `torchrun` and `accelerate launch` say to a process."""
    said = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    said |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
    os.environ.update({name: str(value) for name, value in said.items()})
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    if double:
        training.build_network = in_double(training.build_network)
    training.train(*given)
    torch.distributed.destroy_process_group()


def train_in_two_processes(*given: object, double: bool = False) -> None:
    """Call :func:`noise2mask.training.train.train` in two new processes."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    mp.spawn(as_launched, (port, double, given), nprocs=2)
