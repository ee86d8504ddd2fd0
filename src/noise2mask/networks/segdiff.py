"""SegDiff: a residual-in-residual dense encoder of the image, added after the first convolution.

Amit, Shaharbany, Nachmani & Wolf, "SegDiff: image segmentation with diffusion probabilistic
models" (2021); the encoder is that of Wang et al., "ESRGAN" (2018). The defaults are the
published size for MoNuSeg at 256 pixels. Shapes at line ends.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from noise2mask.networks.base import Network
from noise2mask.networks.blocks import GROUPS, conv3x3
from noise2mask.networks.unet import PUBLISHED_NAMES, UNet, check_unet

RESIDUAL_SCALE = 0.2  # of every residual branch
LEAK = 0.2  # slope of the leaky ReLU
GROWING = 4  # growing convolutions in a dense block, before the one back to its width


class DenseBlock(nn.Module):
    """Four convolutions, each on everything before it, and a fifth back to the width."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.growing = nn.ModuleList(conv3x3(width + i * growth, growth) for i in range(GROWING))
        self.closing = conv3x3(width + GROWING * growth, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B,width,H,W) -> (B,width,H,W)."""
        seen = x
        for conv in self.growing:
            grown = F.leaky_relu(conv(seen), LEAK, inplace=True)
            seen = torch.cat([seen, grown], dim=1)  # B,width+i*growth,H,W
        return torch.add(x, self.closing(seen), alpha=RESIDUAL_SCALE)


class ResidualDenseBlock(nn.Module):
    """Three dense blocks beside the identity."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(DenseBlock(width, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        """(B,width,H,W) -> (B,width,H,W)."""
        return torch.add(x, self.dense(x), alpha=RESIDUAL_SCALE)


class ImageEncoder(nn.Module):
    """The image at full resolution, in the width of the U-Net's first convolution."""

    def __init__(
        self, image_channels: int, outputs: int, *, blocks: int, width: int, growth: int
    ) -> None:
        super().__init__()
        self.first = conv3x3(image_channels, width)
        self.trunk = nn.Sequential(*(ResidualDenseBlock(width, growth) for _ in range(blocks)))
        self.after_trunk = conv3x3(width, width)
        self.before_last = conv3x3(width, width)
        self.last = conv3x3(width, outputs)

    def forward(self, image: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,outputs,H,W)."""
        h = self.first(image)  # B,width,H,W
        h = h + self.after_trunk(self.trunk(h))
        return self.last(F.leaky_relu(self.before_last(h), LEAK, inplace=True))  # type: ignore[no-any-return]


class SegDiff(Network):
    """The shared U-Net on x_t; the encoded image joins after its first convolution."""

    published_names = (
        *PUBLISHED_NAMES,
        (r"^image_encoder\b", "rrdb"),
        (r"^rrdb\.first\b", "rrdb.conv_first"),
        (r"^rrdb\.after_trunk\b", "rrdb.trunk_conv"),
        (r"^rrdb\.before_last\b", "rrdb.HRconv"),
        (r"^rrdb\.last\b", "rrdb.conv_last"),
        (r"^rrdb\.trunk\b", "rrdb.RRDB_trunk"),
        *((rf"\bdense\.{i}\b", f"RDB{i + 1}") for i in range(3)),
        *((rf"\bgrowing\.{i}\b", f"conv{i + 1}") for i in range(GROWING)),
        (r"\bclosing\b", f"conv{GROWING + 1}"),
    )

    def __init__(self, unet: UNet, image_encoder: ImageEncoder) -> None:
        super().__init__()
        self.unet = unet
        self.image_encoder = image_encoder

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """The encoded image: (B,C,H,W) -> one tensor (B,width,H,W)."""
        return (self.image_encoder(image),)

    def forward(
        self, x_t: Tensor, image: Tensor, t: Tensor, features: tuple[Tensor, ...] | None = None
    ) -> Tensor:
        """See :meth:`Network.forward`."""
        (encoded,) = self.encode(image) if features is None else features
        return self.unet(x_t, t, encoded)  # type: ignore[no-any-return]


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
        1,
        2,
        2,
        4,
        4,
    ),
    blocks: Annotated[
        int, Field(ge=1, le=32, description="residual blocks of an encoder level")
    ] = 3,
    attention_strides: Annotated[
        tuple[int, ...], Field(description="strides (pixels a feature) with attention")
    ] = (16, 32),
    heads: Annotated[int, Field(ge=1, le=1024, description="attention heads")] = 4,
    rrdb_blocks: Annotated[
        int, Field(ge=1, le=128, description="blocks of the image encoder")
    ] = 12,
    rrdb_width: Annotated[
        int, Field(ge=1, le=4096, description="channels of the image encoder")
    ] = 64,
    rrdb_growth: Annotated[
        int, Field(ge=1, le=4096, description="growth of its dense blocks")
    ] = 32,
    dropout: Annotated[float, Field(ge=0, lt=1, description="in the residual blocks")] = 0.0,
    groups: Annotated[
        int,
        Field(
            ge=1, le=4096, description="of every group norm; a quarter of the width as published"
        ),
    ] = GROUPS,
) -> SegDiff:
    """SegDiff for images of `image_channels` x `image_size` x `image_size`.

    Raises:
        UserError: the options do not describe a network, or do not fit the image size.
    """
    check_unet(image_size, width, multipliers, attention_strides, heads, groups)
    unet = UNet(
        1,
        output_channels,
        width=width,
        multipliers=multipliers,
        blocks=blocks,
        attention_strides=attention_strides,
        heads=heads,
        dropout=dropout,
        groups=groups,
    )
    encoder = ImageEncoder(
        image_channels, width, blocks=rrdb_blocks, width=rrdb_width, growth=rrdb_growth
    )
    return SegDiff(unet, encoder)
