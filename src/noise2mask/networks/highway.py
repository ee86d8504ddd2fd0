"""The second network of MedSegDiff: an ordinary U-Net on the image alone ("highway").

Built like the U-Net of Isensee et al., "nnU-Net" (2021): two units a stage, pooling down, bilinear
up. Its own segmentation is the calibration map. Version 1 gates its stages by the main U-Net's
features through spectral filters (Wu et al., "MedSegDiff", 2022). Shapes at line ends.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noise2mask.errors import UserError
from noise2mask.networks.blocks import Pointwise

LEAK = 0.01  # slope of the leaky ReLU
CAP = 15  # the widths double from stage to stage up to this many times the first one
GateForm = Literal["published", "residual"]

# our names -> published names, for Network.published_names; the bottleneck follows its stages
PUBLISHED_NAMES = (
    (r"^highway\b", "hwm"),
    (r"\bcontracting\.(\d+)\.(\d+)", r"conv_blocks_context.\1.blocks.\2"),
    (r"\bcontracting\b", "conv_blocks_context"),
    (r"\bexpanding\.(\d+)\.(\d+)", r"conv_blocks_localization.\1.\2.blocks.0"),
    (r"\bexpanding\b", "conv_blocks_localization"),
    (r"\bgates\.(\d+)\.entrance\b", r"conv_trans_blocks_a.\1"),
    (r"\bgates\.(\d+)\.spectral\b", r"ffparser.\1"),
    (r"\bgates\.(\d+)\.exit\b", r"conv_trans_blocks_b.\1"),
    (r"\bspectrum\b", "complex_weight"),
    (r"\bbatch_norm\b", "instnorm"),
    (r"\bcalibration\b", "seg_outputs.0"),
)


def published_bottleneck(stages: int) -> tuple[tuple[str, str], ...]:
    """Published names of the bottleneck, which is numbered after the stages."""
    inner = (r"\bbottleneck\.(\d+)", rf"conv_blocks_context.{stages}.\1.blocks.0")
    return (inner, (r"\bbottleneck\b", f"conv_blocks_context.{stages}"))


class Unit(nn.Module):
    """Convolution, dropout of whole channels, batch norm and leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.dropout = nn.Dropout2d(dropout)
        self.batch_norm = nn.BatchNorm2d(outputs, eps=1e-5, momentum=0.1)

    def forward(self, x: Tensor) -> Tensor:
        """(B,inputs,H,W) -> (B,outputs,H,W)."""
        h = self.dropout(self.conv(x))
        if self.training and h.numel() == h.shape[1]:
            raise UserError(
                "a training batch of one image is a single value per channel at the bottleneck of "
                "the highway, where batch norm needs at least two; use a batch of two or more, a "
                "larger image or fewer highway_stages."
            )
        return F.leaky_relu(self.batch_norm(h), LEAK, inplace=True)


class SpectralFilter(nn.Module):
    """FF-Parser: a learned complex weight for every frequency of every channel."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        # real and imaginary part on the last axis; N(0, 0.02^2)
        self.spectrum = nn.Parameter(0.02 * torch.randn(channels, size, size // 2 + 1, 2))

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,size,size) -> (B,C,size,size); in float32, which the transform needs."""
        frequencies = torch.fft.rfft2(x.float(), norm="ortho")  # B,C,size,size/2+1
        filtered = frequencies * torch.complex(*self.spectrum.float().unbind(-1))
        back: Tensor = torch.fft.irfft2(filtered, s=x.shape[-2:], norm="ortho")
        return back.to(x.dtype)


class Gate(nn.Module):
    """Highway features times a spatial map and a channel weight, both from a skip of the U-Net.

    The published form multiplies the features x by the two factors, x * space * channel. At
    initialisation these are so small that four gates in a row leave 1e-6 of the features. The
    residual form is x * (1 + space * channel): it starts as the identity, has the same weights and
    lets the condition through whatever the gate has learned. Trained, the published form is the
    better one for the calibration map and about equal for the output, because batch norm restores
    the scale (measured in benchmarks/README.md); it is the default.
    """

    def __init__(self, skip: int, channels: int, size: int, form: GateForm) -> None:
        super().__init__()
        self.form = form
        self.entrance = Pointwise(skip, channels)
        self.spectral = SpectralFilter(channels, size)
        self.exit = Pointwise(channels, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B,C,H,W) and the skip (B,skip,H,W) -> (B,C,H,W)."""
        h = self.spectral(self.entrance(skip))  # B,C,H,W
        space = self.exit(h)  # B,1,H,W
        channel = h.mean(dim=(2, 3), keepdim=True)  # B,C,1,1
        gated = x * space * channel
        return x + gated if self.form == "residual" else gated  # type: ignore[no-any-return]


class HighwayOutput(NamedTuple):
    """What the main network takes from the highway."""

    bottleneck: Tensor  # B,deepest width,H/2^stages,W/2^stages
    expanded: list[Tensor]  # a decoder stage each, from the deepest to full resolution
    calibration: Tensor  # B,1,H,W in (0, 1)


class Highway(nn.Module):
    """U-Net on the image, with a gate after all poolings but the last if it is given skips.

    Args:
        image_channels: channels of the image.
        image_size: resolution, to which the spectral filters are tied.
        width: channels of the first stage; they double up to 15 times that.
        stages: number of poolings.
        dropout: of whole channels, in the encoder and the bottleneck.
        skips: channels of the skips that gate the stages; empty for none.
        gate: form of the gates.
    """

    def __init__(
        self,
        image_channels: int,
        image_size: int,
        *,
        width: int,
        stages: int,
        dropout: float,
        skips: Sequence[int] = (),
        gate: GateForm = "published",
    ) -> None:
        super().__init__()
        widths = [min(width * 2**stage, CAP * width) for stage in range(stages + 1)]
        self.deepest = widths[-2]  # of the bottleneck's output: the decoder concatenates equals
        self.contracting = nn.ModuleList(
            nn.Sequential(Unit(inputs, outputs, dropout), Unit(outputs, outputs, dropout))
            for inputs, outputs in zip([image_channels, *widths], widths[:-1], strict=False)
        )
        self.bottleneck = nn.Sequential(
            Unit(widths[-2], widths[-1], dropout), Unit(widths[-1], self.deepest, dropout)
        )
        ascending = widths[-2::-1]  # of the encoder's skips, from the deepest
        self.expanding = nn.ModuleList(
            nn.Sequential(Unit(2 * here, here), Unit(here, following))
            for here, following in zip(ascending, [*ascending[1:], width], strict=True)
        )
        self.gates = nn.ModuleList(
            Gate(skip, widths[stage], image_size // 2 ** (stage + 1), gate)
            for stage, skip in enumerate(skips)
        )
        self.calibration = nn.Conv2d(width, 1, 1, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=LEAK)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, image: Tensor, skips: Sequence[Tensor] = ()) -> HighwayOutput:
        """(B,C,H,W) and a skip for every gate -> features and calibration map."""
        h, kept = image, []
        for stage, block in enumerate(self.contracting):
            kept.append(block(h))  # B,widths[stage],H/2^stage,W/2^stage
            h = F.max_pool2d(kept[-1], 2)
            if stage < len(self.gates):
                h = self.gates[stage](h, skips[stage])
        h = bottleneck = self.bottleneck(h)
        expanded = []
        for block in self.expanding:
            h = F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False)
            h = block(torch.cat([h, kept.pop()], dim=1))
            expanded.append(h)
        return HighwayOutput(bottleneck, expanded, self.calibration(h).sigmoid())
