"""Networks of MONAI, named as its bundles name them: ``_target_: monai.networks.nets.UNet``.

The image and the noisy mask are the input channels, the mask last. A network whose ``forward``
takes `timesteps` is told the timestep so; any other gets it as further channels at the input, each
constant over the image. Channels, dimensions and image size are filled in where a class takes them.
"""

import inspect
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from noise2mask.errors import UserError, unknown
from noise2mask.networks.base import Network
from noise2mask.networks.blocks import time_features

TIME_CHANNELS = 16
"""Channels of the timestep for a network that is not made for one."""


class MonaiNetwork(Network):
    """A network of MONAI on [image, x_t], or on [image, x_t, features of t]."""

    def __init__(self, network: nn.Module, *, takes_time: bool) -> None:
        super().__init__()
        self.network = network
        self.takes_time = takes_time

    def forward(
        self,
        x_t: Tensor,
        image: Tensor,
        t: Tensor,
        features: tuple[Tensor, ...] | None = None,  # noqa: ARG002
    ) -> Tensor:
        """See :meth:`Network.forward`; nothing depends on the image alone."""
        x = torch.cat([image, x_t], dim=1)  # B,C+1,H,W
        if self.takes_time:
            return self.network(x, timesteps=t)  # type: ignore[no-any-return]
        planes = time_features(t, TIME_CHANNELS)[:, :, None, None].to(x.dtype)
        planes = planes.expand(-1, -1, *x.shape[-2:])  # B,TIME_CHANNELS,H,W
        return self.network(torch.cat([x, planes], dim=1))  # type: ignore[no-any-return]


def build(
    image_channels: int,
    output_channels: int,
    image_size: int,
    *,
    _target_: Annotated[
        str,
        Field(pattern=r"^monai\.networks\.nets\.[A-Za-z]\w*$", description="class of MONAI"),
    ],
    **options: Any,
) -> MonaiNetwork:
    """A network of MONAI for images of `image_channels` x `image_size` x `image_size`.

    Args:
        image_channels: of the image.
        output_channels: of the output.
        image_size: side of both, in pixels.
        _target_: ``monai.networks.nets`` and the name of a class there.
        options: what that class is made with, but for its dimensions and channels.

    Raises:
        UserError: MONAI has no such class, the options do not fit it or the image size, or what it
            gives is not one map of `output_channels`.
    """
    from monai.networks import nets  # takes seconds, so nobody else waits for it

    name = _target_.rpartition(".")[2]
    classes = {
        key: value
        for key, value in vars(nets).items()
        if inspect.isclass(value)
        and issubclass(value, nn.Module)
        and value.__name__ == key  # other spellings are there too
        and "in_channels" in inspect.signature(value).parameters
    }
    if name not in classes:
        raise UserError(f"_target_: {unknown(name, 'network of MONAI', sorted(classes))}.")
    takes_time = "timesteps" in inspect.signature(classes[name].forward).parameters
    inputs = image_channels + 1 + (0 if takes_time else TIME_CHANNELS)
    given = _given(classes[name], options, inputs, output_channels, image_size)
    try:
        network = MonaiNetwork(classes[name](**given), takes_time=takes_time)
        shape = _output_shape(network, image_channels, image_size)
    except UserError:
        raise
    except Exception as error:  # whatever MONAI says of options that do not fit
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"{_target_} cannot be built of these options for {image_size} pixels: "
            f"{said[0][:300].rstrip('.')}."
        ) from error
    if shape != (1, output_channels, image_size, image_size):
        raise UserError(
            f"{_target_} gives {shape} for one image, not one map of {output_channels} channels "
            f"and {image_size} pixels; choose another class or other options."
        )
    return network


def _given(
    cls: type[nn.Module], options: Mapping[str, Any], inputs: int, outputs: int, size: int
) -> dict[str, Any]:
    """What the class is made with."""
    filled = {
        "spatial_dims": 2,
        "dimensions": 2,
        "in_channels": inputs,
        "out_channels": outputs,
        "img_size": (size, size),
        "in_shape": (inputs, size, size),
    }
    known = inspect.signature(cls).parameters
    for option in options:
        if option in filled:
            raise UserError(f"the option {option} of {cls.__name__} is filled in; leave it out.")
        if option not in known:
            takes = [name for name in known if name not in filled]
            raise UserError(f"{unknown(option, f'option of {cls.__name__}', takes)}.")
    return {name: value for name, value in filled.items() if name in known} | dict(options)


def _output_shape(network: MonaiNetwork, channels: int, size: int) -> tuple[int, ...]:
    """The shape of what the network gives for one image."""
    with torch.no_grad():
        image, x_t = torch.zeros(1, channels, size, size), torch.zeros(1, 1, size, size)
        found: object = network.eval()(x_t, image, torch.zeros(1, dtype=torch.long))
    network.train()
    if not isinstance(found, Tensor):
        raise UserError(
            f"{type(network.network).__name__} gives {type(found).__name__} and not one map; "
            "choose another class or other options."
        )
    return tuple(found.shape)
