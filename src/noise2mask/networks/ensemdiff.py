"""EnsemDiff: the image beside the noisy mask at the input of the U-Net.

Wolleb, Sandkühler, Bieder, Valmaggia & Cattin, "Diffusion models for implicit image segmentation
ensembles" (2022). The defaults are the published size for 256 and 224 pixels.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from noise2mask.networks.base import Network
from noise2mask.networks.blocks import GROUPS
from noise2mask.networks.unet import PUBLISHED_NAMES, UNet, check_unet


class EnsemDiff(Network):
    """The shared U-Net on [image, x_t]."""

    published_names = PUBLISHED_NAMES

    def __init__(self, unet: UNet) -> None:
        super().__init__()
        self.unet = unet

    def forward(
        self,
        x_t: Tensor,
        image: Tensor,
        t: Tensor,
        features: tuple[Tensor, ...] | None = None,  # noqa: ARG002
    ) -> Tensor:
        """See :meth:`Network.forward`; nothing depends on the image alone."""
        x = torch.cat([image, x_t], dim=1)  # B,C+1,H,W: the mask comes last
        return self.unet(x, t)  # type: ignore[no-any-return]


def build(
    image_channels: int,
    output_channels: int,
    image_size: int,
    *,
    width: Annotated[int, Field(ge=32, le=4096, description="channels at multiplier 1")] = 128,
    multipliers: Annotated[
        tuple[int, ...], Field(max_length=10, description="of the width, a level each")
    ] = (
        1,
        1,
        2,
        2,
        4,
        4,
    ),
    blocks: Annotated[
        int, Field(ge=1, le=32, description="residual blocks of an encoder level")
    ] = 2,
    attention_strides: Annotated[
        tuple[int, ...], Field(description="strides (pixels a feature) with attention")
    ] = (16,),
    heads: Annotated[int, Field(ge=1, le=1024, description="attention heads")] = 1,
    qkv_order: Annotated[
        Literal["heads_first", "qkv_first"], Field(description="layout of the qkv channels")
    ] = "heads_first",
    time_conditioning: Annotated[
        Literal["additive", "scale_shift"], Field(description="use of the time embedding")
    ] = "additive",
    resampling: Annotated[
        Literal["conv", "residual"], Field(description="by a convolution or a residual block")
    ] = "conv",
    dropout: Annotated[float, Field(ge=0, lt=1, description="in the residual blocks")] = 0.0,
    groups: Annotated[
        int,
        Field(
            ge=1, le=4096, description="of every group norm; a quarter of the width as published"
        ),
    ] = GROUPS,
) -> EnsemDiff:
    """EnsemDiff for images of `image_channels` x `image_size` x `image_size`.

    Raises:
        UserError: the options do not describe a network, or do not fit the image size.
    """
    check_unet(image_size, width, multipliers, attention_strides, heads, groups)
    return EnsemDiff(
        UNet(
            image_channels + 1,
            output_channels,
            width=width,
            multipliers=multipliers,
            blocks=blocks,
            attention_strides=attention_strides,
            heads=heads,
            qkv_order=qkv_order,
            time_conditioning=time_conditioning,
            resampling=resampling,
            dropout=dropout,
            groups=groups,
        )
    )
