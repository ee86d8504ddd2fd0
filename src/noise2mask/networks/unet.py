"""The U-Net that the published networks share.

Nichol & Dhariwal, "Improved denoising diffusion probabilistic models" (2021), with the options of
Dhariwal & Nichol, "Diffusion models beat GANs on image synthesis" (2021).
Shapes at line ends: B rows, C channels, E embedding width.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noise2mask.errors import UserError
from noise2mask.networks.blocks import (
    GROUPS,
    ActivatedNorm,
    Attention,
    Downsample,
    QkvOrder,
    Resampling,
    ResidualBlock,
    TimeConditioning,
    Upsample,
    check_halvings,
    conv3x3,
    time_features,
    zeroed,
)

# our names -> published names, for Network.published_names
PUBLISHED_NAMES = (
    (r"^unet\.", ""),
    (r"^time_embedding\b", "time_embed"),
    (r"^encoder\b", "input_blocks"),
    (r"^middle\b", "middle_block"),
    (r"^decoder\b", "output_blocks"),
    (r"^head\b", "out"),
    (r"\bnorm_in\b", "in_layers.0"),
    (r"\bconv_in\b", "in_layers.2"),
    (r"\bfrom_time\b", "emb_layers.1"),
    (r"\bnorm_out\b", "out_layers.0"),
    (r"\bconv_out\b", "out_layers.3"),
    (r"\bshortcut\b", "skip_connection"),
    (r"\bstrided\b", "op"),
    (r"\bmixed\b", "proj_out"),
)


class Entry(nn.ModuleList):
    """Layers in sequence, of which the residual blocks are told the time."""

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B,C,H,W), (B,E) -> (B,C',H',W')."""
        for layer in self:
            x = layer(x, embedding) if isinstance(layer, ResidualBlock) else layer(x)
        return x


class UNet(nn.Module):
    """Encoder, middle and decoder; every entry of the encoder is kept as a skip.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        width: channels of the first convolution and of level 0 at multiplier 1.
        multipliers: of the width, a level each; every further level halves the resolution.
        blocks: residual blocks of an encoder level (a decoder level has one more).
        attention_strides: strides (input pixels a feature) with attention after each block.
        heads: attention heads.
        qkv_order: layout of the attention's projection.
        time_conditioning: how the residual blocks take the time embedding.
        resampling: by one convolution, or by a residual block.
        dropout: in the residual blocks.
        groups: of every group norm.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int,
        multipliers: Sequence[int],
        blocks: int,
        attention_strides: Sequence[int],
        heads: int,
        qkv_order: QkvOrder = "heads_first",
        time_conditioning: TimeConditioning = "additive",
        resampling: Resampling = "conv",
        dropout: float = 0.0,
        groups: int = GROUPS,
    ) -> None:
        super().__init__()
        self.width = width
        self.widths = [width * multiplier for multiplier in multipliers]  # of the levels
        self.attention_strides = tuple(attention_strides)
        self.heads, self.qkv_order = heads, qkv_order
        self.dropout, self.time_conditioning = dropout, time_conditioning
        self.resampling, self.groups = resampling, groups

        self.time_embedding = nn.Sequential(
            nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width)
        )
        skips = self._build_encoder(inputs, blocks)
        deepest = self.widths[-1]
        self.middle = Entry(
            [
                self._residual(deepest, deepest),
                Attention(deepest, heads, qkv_order, groups),
                self._residual(deepest, deepest),
            ]
        )
        self._build_decoder(skips, blocks)
        self.head = nn.Sequential(
            ActivatedNorm(self.widths[0], groups),
            nn.Identity(),  # published codes count the activation here
            zeroed(conv3x3(self.widths[0], outputs)),  # zero-initialised
        )

    def _build_encoder(self, inputs: int, blocks: int) -> list[int]:
        self.encoder = nn.ModuleList([Entry([conv3x3(inputs, self.width)])])
        self.downsampled: list[int] = []  # positions of the down-sampling entries
        skips = [self.width]
        for level, channels in enumerate(self.widths):
            for _ in range(blocks):
                self.encoder.append(Entry(self._block(skips[-1], level)))
                skips.append(channels)
            if level < len(self.widths) - 1:
                residual = self.resampling == "residual"
                down = self._residual(channels, channels, "down") if residual else None
                self.downsampled.append(len(self.encoder))
                self.encoder.append(Entry([down or Downsample(channels)]))
                skips.append(channels)
        return skips

    def _build_decoder(self, skips: list[int], blocks: int) -> None:
        self.decoder = nn.ModuleList()
        inputs = self.widths[-1]
        for level, channels in reversed(list(enumerate(self.widths))):
            for left in reversed(range(blocks + 1)):
                layers = self._block(inputs + skips.pop(), level)
                if level > 0 and left == 0:
                    residual = self.resampling == "residual"
                    up = self._residual(channels, channels, "up") if residual else None
                    layers.append(up or Upsample(channels))
                self.decoder.append(Entry(layers))
                inputs = channels

    def _block(self, inputs: int, level: int) -> list[nn.Module]:
        layers: list[nn.Module] = [self._residual(inputs, self.widths[level])]
        if 2**level in self.attention_strides:
            layers.append(Attention(self.widths[level], self.heads, self.qkv_order, self.groups))
        return layers

    def _residual(
        self, inputs: int, outputs: int, resolution: Literal["same", "down", "up"] = "same"
    ) -> ResidualBlock:
        return ResidualBlock(
            inputs,
            outputs,
            4 * self.width,
            groups=self.groups,
            dropout=self.dropout,
            time_conditioning=self.time_conditioning,
            resolution=resolution,
        )

    def embedded(self, t: Tensor) -> Tensor:
        """Activated time embedding, the same for every residual block: (B,) -> (B,E)."""
        # the blocks' activation is taken here, once, and not in each of them
        return F.silu(self.time_embedding(time_features(t, self.width)))

    def contracted(
        self, x: Tensor, embedding: Tensor, addition: Tensor | None = None
    ) -> list[Tensor]:
        """Outputs of all encoder entries; `addition` (B,width,H,W) joins that of the first."""
        h = self.encoder[0](x, embedding)  # B,width,H,W
        skips = [h if addition is None else h + addition]
        for entry in self.encoder[1:]:
            skips.append(entry(skips[-1], embedding))
        return skips

    def expanded(self, h: Tensor, skips: Sequence[Tensor], embedding: Tensor) -> Tensor:
        """From the deepest features and the skips to the output (B,outputs,H,W)."""
        h = self.middle(h, embedding)
        for entry, skip in zip(self.decoder, reversed(skips), strict=True):
            h = entry(torch.cat([h, skip], dim=1), embedding)
        return self.head(h)  # type: ignore[no-any-return]

    def forward(self, x: Tensor, t: Tensor, addition: Tensor | None = None) -> Tensor:
        """(B,inputs,H,W), (B,) -> (B,outputs,H,W)."""
        embedding = self.embedded(t)
        skips = self.contracted(x, embedding, addition)
        return self.expanded(skips[-1], skips, embedding)


def check_unet(
    image_size: int,
    width: int,
    multipliers: Sequence[int],
    attention_strides: Sequence[int],
    heads: int,
    groups: int,
) -> None:
    """Refuse what cannot be built, or would be ignored.

    Raises:
        UserError: no levels, widths that group norm or the heads do not divide, strides that the
            network does not have, or an image size that cannot be halved at every level.
    """
    if not multipliers or min(multipliers) < 1:
        raise UserError(
            f"multipliers {tuple(multipliers)} do not describe a network; give one positive "
            "number a level, e.g. 1, 2, 2."
        )
    for multiplier in (1, *multipliers):
        if width * multiplier % groups:
            raise UserError(
                f"width {width} times multiplier {multiplier} is not a multiple of {groups}, the "
                f"groups of group norm; choose a width of {groups}, {2 * groups}, {3 * groups}, "
                "and so on, or other groups."
            )
    strides = [2**level for level in range(len(multipliers))]
    for stride in attention_strides:
        if stride not in strides:
            raise UserError(
                f"attention stride {stride} never occurs with {len(multipliers)} multipliers; "
                f"choose attention_strides among {', '.join(map(str, strides))}, or give none."
            )
    attended = {multipliers[-1], *(multipliers[strides.index(s)] for s in attention_strides)}
    for multiplier in sorted(attended):
        if width * multiplier % heads:
            raise UserError(
                f"{heads} attention heads do not divide the {width * multiplier} channels of "
                f"width {width} times multiplier {multiplier}; choose a number of heads that does."
            )
    check_halvings(image_size, len(multipliers) - 1, f"a network of {len(multipliers)} multipliers")
