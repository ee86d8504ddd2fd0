"""MedSegDiff: EnsemDiff's U-Net beside a second U-Net ("highway") on the image alone.

Wu et al., "MedSegDiff: medical image segmentation with diffusion probabilistic model" (2022) and
"MedSegDiff-V2" (2023). Neither paper's network was published; these are the two versions of the
public code. Both have a calibration head: the highway's own segmentation of the image.

* "new": decoder features of the highway (anchors) join after the first convolution. They are
  detached, so that only the calibration loss trains the highway.
* "v1": the U-Net's skips gate the highway's encoder, and the highway's bottleneck is projected and
  added to the U-Net's deepest features. The public code draws that projection anew at every
  forward pass; here it is a learned layer unless `projection` is "random".
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from noise2mask.errors import UserError
from noise2mask.networks import highway as second
from noise2mask.networks.base import Network
from noise2mask.networks.blocks import GROUPS, Pointwise, check_halvings
from noise2mask.networks.highway import Highway
from noise2mask.networks.unet import PUBLISHED_NAMES, UNet, check_unet


class MedSegDiff(Network):
    """What the two versions share."""

    calibrated = True

    def __init__(self, unet: UNet, highway: Highway) -> None:
        super().__init__()
        self.unet = unet
        self.highway = highway
        self.published_names = (
            *PUBLISHED_NAMES,
            *second.PUBLISHED_NAMES,
            *second.published_bottleneck(len(highway.contracting)),
            (r"^projection\b", "hwm.emb_conv"),
        )


class AnchoredMedSegDiff(MedSegDiff):
    """Version "new": anchors, nothing else, lead from the highway to the U-Net."""

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """Anchors (B,width,H,W), detached, and calibration map (B,1,H,W)."""
        _, expanded, calibration = self.highway(image)
        half, quarter = expanded[-2].detach(), expanded[-3].detach()  # B,width/4 and B,width/2
        a_0 = F.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)
        a_1 = F.interpolate(quarter, scale_factor=4, mode="bilinear", align_corners=False)
        return torch.cat([a_0, a_0, a_1], dim=1), calibration

    def forward(
        self, x_t: Tensor, image: Tensor, t: Tensor, features: tuple[Tensor, ...] | None = None
    ) -> Tensor:
        """See :meth:`Network.forward`."""
        if features is None:
            with torch.no_grad():  # no gradient of this output reaches the highway
                features = self.encode(image)
        return self.with_calibration(x_t, image, t, features)[0]

    def with_calibration(
        self, x_t: Tensor, image: Tensor, t: Tensor, features: tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, Tensor]:
        """See :meth:`Network.with_calibration`."""
        anchors, calibration = self.encode(image) if features is None else features
        x = torch.cat([image, x_t], dim=1)  # B,C+1,H,W
        return self.unet(x, t, anchors), calibration


class RandomProjection(nn.Module):
    """A 1x1 convolution with new weights at every call, as the public code of version 1 has it.

    The weights come from PyTorch's global generator, in its default initialisation, so two equal
    calls give different results.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.shape = (outputs, inputs, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B,inputs,H,W) -> (B,outputs,H,W)."""
        bound = self.shape[1] ** -0.5
        weight = x.new_empty(self.shape).uniform_(-bound, bound)
        return F.conv2d(x, weight, x.new_empty(self.shape[0]).uniform_(-bound, bound))


class GatedMedSegDiff(MedSegDiff):
    """Version "v1": the skips of the U-Net gate the highway, which thus depends on x_t and t."""

    unpublished = ("hwm.emb_conv.",)  # never kept by the public code

    def __init__(self, unet: UNet, highway: Highway, projection: nn.Module) -> None:
        super().__init__(unet, highway)
        self.projection = projection

    def forward(
        self, x_t: Tensor, image: Tensor, t: Tensor, features: tuple[Tensor, ...] | None = None
    ) -> Tensor:
        """See :meth:`Network.forward`; nothing depends on the image alone."""
        return self.with_calibration(x_t, image, t, features)[0]

    def with_calibration(
        self,
        x_t: Tensor,
        image: Tensor,
        t: Tensor,
        features: tuple[Tensor, ...] | None = None,  # noqa: ARG002
    ) -> tuple[Tensor, Tensor]:
        """See :meth:`Network.with_calibration`."""
        embedding = self.unet.embedded(t)
        skips = self.unet.contracted(torch.cat([image, x_t], dim=1), embedding)
        gating = [skips[position] for position in self.unet.downsampled[:-1]]
        bottleneck, _, calibration = self.highway(image, gating)
        h = skips[-1] + self.projection(bottleneck)  # B,deepest width,H/2^stages,W/2^stages
        return self.unet.expanded(h, skips, embedding), calibration


def build(
    image_channels: int,
    output_channels: int,
    image_size: int,
    *,
    version: Annotated[
        Literal["new", "v1"], Field(description="anchors (new) or gated highway (v1)")
    ] = "new",
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
    highway_width: Annotated[
        int, Field(ge=1, le=4096, description="channels of its first stage")
    ] = 32,
    highway_stages: Annotated[int, Field(ge=2, le=12, description="poolings of the highway")] = 5,
    highway_dropout: Annotated[
        float, Field(ge=0, lt=1, description="of whole channels in the highway's encoder")
    ] = 0.5,
    gate: Annotated[
        Literal["published", "residual"],
        Field(description="v1: x * s * c, or x * (1 + s * c), which does not starve"),
    ] = "published",
    projection: Annotated[
        Literal["learned", "random"],
        Field(description="v1: of the bottleneck; random draws it anew at every forward pass"),
    ] = "learned",
) -> MedSegDiff:
    """MedSegDiff for images of `image_channels` x `image_size` x `image_size`.

    Raises:
        UserError: the options do not describe a network, contradict each other, or do not fit the
            image size.
    """
    check_unet(image_size, width, multipliers, attention_strides, heads, groups)
    check_halvings(image_size, highway_stages, f"a highway of {highway_stages} stages")
    _check_joint(version, width, multipliers, highway_width, highway_stages, gate, projection)
    unet = UNet(
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
    gated = version == "v1"
    highway = Highway(
        image_channels,
        image_size,
        width=highway_width,
        stages=highway_stages,
        dropout=highway_dropout,
        skips=unet.widths[: highway_stages - 1] if gated else (),
        gate=gate,
    )
    if not gated:
        return AnchoredMedSegDiff(unet, highway)
    ends = highway.deepest, unet.widths[-1]
    joint = RandomProjection(*ends) if projection == "random" else Pointwise(*ends)
    return GatedMedSegDiff(unet, highway, joint)


def _check_joint(
    version: str,
    width: int,
    multipliers: Sequence[int],
    highway_width: int,
    highway_stages: int,
    gate: str,
    projection: str,
) -> None:
    if version == "v1":
        if len(multipliers) != highway_stages + 1:
            raise UserError(
                f"MedSegDiff v1 joins its two networks at their deepest features, but "
                f"{len(multipliers)} multipliers halve {len(multipliers) - 1} times and "
                f"{highway_stages} highway_stages {highway_stages} times; give "
                f"{highway_stages + 1} multipliers, or other highway_stages."
            )
        return
    if highway_stages < 3:
        raise UserError(
            f"MedSegDiff new takes anchors from the third-last decoder stage, but there are "
            f"{highway_stages} highway_stages; give 3 or more."
        )
    if 4 * highway_width != width:
        raise UserError(
            f"MedSegDiff new adds anchors of 4 * highway_width = {4 * highway_width} channels to "
            f"features of width {width}; choose highway_width {width // 4} or width "
            f"{4 * highway_width}."
        )
    if (gate, projection) != ("published", "learned"):
        raise UserError(
            f"gate {gate} and projection {projection} are options of MedSegDiff v1 and would be "
            "ignored in version new; leave them out, or set version to v1."
        )
