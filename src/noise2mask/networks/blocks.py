"""Blocks that the published networks share.

They are those of Nichol & Dhariwal, "Improved denoising diffusion probabilistic models" (2021)
and Dhariwal & Nichol, "Diffusion models beat GANs on image synthesis" (2021).
Shapes at line ends: B rows, C channels, E embedding width.
"""

import math
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noise2mask.errors import UserError

GROUPS = 32
"""Of every group norm in the published networks, whose narrowest features have 128 channels."""

QkvOrder = Literal["heads_first", "qkv_first"]
TimeConditioning = Literal["additive", "scale_shift"]
Resampling = Literal["conv", "residual"]

Convolution = TypeVar("Convolution", nn.Conv1d, nn.Conv2d)


class GroupNorm(nn.GroupNorm):
    """Group norm, computed in float32 whatever the precision around it.

    With as many groups as channels it takes mean and scale from every channel. A network that
    normalises so before its last convolution can hardly put out the noise: of n pixels, mean and
    scale of the noise carry 1/n + 1/(2n) of the variance. That (0.0015 at 32 x 32 pixels) is then
    about the least loss of eps, far above what a mask is worth at high noise.
    """

    def __init__(self, channels: int, groups: int = GROUPS) -> None:
        super().__init__(groups, channels, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B,C,...) within each row and group."""
        weight, bias = self.weight.float(), self.bias.float()
        # the functional form would refuse one value per group, but only for a single row
        return torch.group_norm(x.float(), self.num_groups, weight, bias, self.eps).to(x.dtype)


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """3x3 convolution with bias that keeps the resolution (at stride 1)."""
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)


def zeroed(layer: Convolution) -> Convolution:
    """`layer` with weights and bias 0, so that the block around it starts as the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def time_features(t: Tensor, width: int) -> Tensor:
    """Sinusoidal features of the timestep, cosines first: (B,) -> (B,width) float32."""
    half = width // 2
    rates = torch.exp(-math.log(10_000) * torch.arange(half, device=t.device) / half)
    angles = t.float()[:, None] * rates  # (B, width/2)
    return torch.cat([angles.cos(), angles.sin()], dim=1)  # (B, width)


class Downsample(nn.Module):
    """Half the resolution by a strided convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.strided = conv3x3(channels, channels, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H/2,W/2)."""
        return self.strided(x)  # type: ignore[no-any-return]


class Upsample(nn.Module):
    """Twice the resolution by repetition and a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,2H,2W)."""
        return self.conv(doubled(x))  # type: ignore[no-any-return]


def halved(x: Tensor) -> Tensor:
    """Mean of each 2x2 pixels."""
    return F.avg_pool2d(x, 2)


def doubled(x: Tensor) -> Tensor:
    """Each pixel repeated 2x2."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


RESAMPLE = {"same": None, "down": halved, "up": doubled}


class ResidualBlock(nn.Module):
    """Two convolutions told the time between them, beside a shortcut."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int,
        *,
        groups: int,
        dropout: float,
        time_conditioning: TimeConditioning,
        resolution: Literal["same", "down", "up"] = "same",
    ) -> None:
        super().__init__()
        self.scale_shift = time_conditioning == "scale_shift"
        self.resample = RESAMPLE[resolution]
        self.norm_in = GroupNorm(inputs, groups)
        self.conv_in = conv3x3(inputs, outputs)
        self.from_time = nn.Linear(embedding, 2 * outputs if self.scale_shift else outputs)
        self.norm_out = GroupNorm(outputs, groups)
        self.dropout = nn.Dropout(dropout)
        self.conv_out = zeroed(conv3x3(outputs, outputs))  # zero-initialised
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B,inputs,H,W) and the activated time embedding (B,E) -> (B,outputs,H',W')."""
        h = F.silu(self.norm_in(x))  # B,inputs,H,W
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)  # B,inputs,H',W'
        h = self.conv_in(h)  # B,outputs,H',W'
        time = self.from_time(embedding)[:, :, None, None]  # B,outputs (or twice that),1,1
        if self.scale_shift:
            scale, shift = time.chunk(2, dim=1)
            h = self.norm_out(h) * (1 + scale) + shift
        else:
            h = self.norm_out(h + time)
        h = self.conv_out(self.dropout(F.silu(h)))  # B,outputs,H',W'
        return self.shortcut(x) + h  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Self-attention over all positions, beside the identity.

    `order` says how the 3C channels of `qkv` are laid out: by head and then by query, key and
    value, or the other way round (both layouts occur in published checkpoints).
    """

    def __init__(
        self, channels: int, heads: int, order: QkvOrder = "heads_first", groups: int = GROUPS
    ) -> None:
        super().__init__()
        self.heads, self.order = heads, order
        self.norm = GroupNorm(channels, groups)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.mixed = zeroed(nn.Conv1d(channels, channels, 1))  # zero-initialised

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W)."""
        qkv = self.qkv(self.norm(x.flatten(2)))  # B,3C,N with N = H*W
        if self.order == "heads_first":
            qkv = qkv.unflatten(1, (self.heads, 3, -1)).transpose(1, 2)
        else:
            qkv = qkv.unflatten(1, (3, self.heads, -1))
        q, k, v = qkv.unbind(1)  # each B,heads,d,N
        gain = q.shape[2] ** -0.25  # on both q and k: keeps the product small in half precision
        scores = (q * gain).transpose(2, 3) @ (k * gain)  # B,heads,N,N
        weights = scores.float().softmax(dim=-1).to(v.dtype)  # over keys
        h = v @ weights.transpose(2, 3)  # B,heads,d,N
        return x + self.mixed(h.flatten(1, 2)).view_as(x)  # type: ignore[no-any-return]


def check_halvings(image_size: int, halvings: int, what: str) -> None:
    """Refuse an image size that cannot be halved often enough.

    Raises:
        UserError: `image_size` is not a positive multiple of 2**halvings.
    """
    step = 2**halvings
    if image_size > 0 and image_size % step == 0:
        return
    below = image_size // step * step
    nearest = f"{below} or {below + step}" if below > 0 else f"{step}"
    raise UserError(
        f"resolution {image_size} cannot be halved {halvings} times, as {what} would; choose a "
        f"multiple of {step}, e.g. {nearest}."
    )
