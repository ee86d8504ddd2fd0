"""Blocks that the published networks share.

They are those of Nichol & Dhariwal, "Improved denoising diffusion probabilistic models" (2021)
and Dhariwal & Nichol, "Diffusion models beat GANs on image synthesis" (2021).
Shapes at line ends: B rows, C channels, E embedding width.

All blocks take images in either memory layout. They are written for channels_last, in which
convolutions are fastest, and keep to it where PyTorch alone would be slow there or leave it.
"""

import math
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
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


class ActivatedNorm(GroupNorm):
    """Group norm and SiLU, computed in float32 whatever the precision around it.

    PyTorch's backward pass of group norm is two to five times slower in channels_last than in the
    default layout, and on a GPU it leaves channels_last; :class:`_NormedSiLU` stands in.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise and activate (B,C,H,W)."""
        if (
            x.requires_grad
            and (is_laid_out(x) or x.device.type == "meta")  # where convolutions forget layouts
            and (x.device.type == "cuda" or x.shape[-2:].numel() >= MANY_PIXELS)
            and not torch.compiler.is_compiling()  # which fuses the plain form by itself
        ):
            y: Tensor = _NormedSiLU.apply(  # type: ignore[no-untyped-call]
                x, self.weight, self.bias, self.num_groups, self.eps
            )
            return y
        h = super().forward(x)
        return F.silu(h, inplace=not h.requires_grad)


MANY_PIXELS = 32 * 32
"""Fewer pixels are normalised faster by PyTorch's own backward pass on a CPU."""


class _NormedSiLU(torch.autograd.Function):
    """silu(a x + b) with a and b of group norm, keeping nothing but x for the backward pass.

    With y = a x + b and L' the gradient of y, group norm's gradient is a L' + c x + d, where c and
    d follow from the sums of L' and of L' x over the pixels (Wu & He, "Group normalization", 2018,
    eq. 1 differentiated). Each line is one vectorised pass over (B, pixels, C).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float
    ) -> Tensor:
        rows, channels, height, width = x.shape
        shown, of_pixels = x.float(), height * width
        if x.device.type == "cuda":  # whose own kernel leaves channels_last
            by_group = pixels_first(shown).view(rows, of_pixels, groups, -1)
            variance, mean = torch.var_mean(by_group, (1, 3), correction=0)
            inverse = torch.rsqrt(variance + eps)  # B,groups
            a, b = _affine(weight, bias, mean, inverse)
            y = torch.addcmul(b[:, :, None, None], shown, a[:, :, None, None])
        else:
            y, mean, inverse = torch.native_group_norm(
                shown, weight.float(), bias.float(), rows, channels, of_pixels, groups, eps
            )
        ctx.save_for_backward(x, weight, bias, mean, inverse)
        return F.silu(y, inplace=True).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        image, weight, bias, mean, inverse = ctx.saved_tensors
        x, outer = (pixels_first(each).float() for each in (image, gradient))  # B,N,C
        rows, count, channels = x.shape
        width = channels // mean.shape[1]  # of a group

        def each_channel(of_group: Tensor) -> Tensor:
            return of_group.repeat_interleave(width, dim=1)  # B,groups -> B,C

        def each_group(of_channel: Tensor) -> Tensor:
            return of_channel.view(rows, -1, width).sum(2)  # B,C -> B,groups

        a, b = _affine(weight, bias, mean, inverse)
        y = torch.addcmul(b[:, None], x, a[:, None])
        inner = torch.ops.aten.silu_backward.grad_input(outer, y, grad_input=y)
        summed = inner.sum(1)  # B,C
        product = inner * x
        projected = product.sum(1)
        total, along = each_group(summed * weight), each_group(projected * weight)
        c = (total * mean - along) * inverse**3 / (width * count)
        d = -c * mean - total * inverse / (width * count)
        torch.addcmul(each_channel(d)[:, None], x, each_channel(c)[:, None], out=product)
        of_x = product.addcmul_(inner, a[:, None]).to(image.dtype)
        of_weight = ((projected - summed * each_channel(mean)) * each_channel(inverse)).sum(0)
        back = of_x.view(rows, *image.shape[2:], channels).permute(0, 3, 1, 2)
        return back, of_weight.to(weight.dtype), summed.sum(0).to(bias.dtype), None, None


def _affine(weight: Tensor, bias: Tensor, mean: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    """Group norm of a channel as a x + b, two of (B,C), from the moments (B,groups)."""
    width = len(weight) // mean.shape[1]
    a = inverse.repeat_interleave(width, dim=1) * weight
    return a, bias - mean.repeat_interleave(width, dim=1) * a


def is_laid_out(x: Tensor) -> bool:
    """Whether the channels of (B,C,H,W) lie together in memory."""
    return x.is_contiguous(memory_format=torch.channels_last)


def pixels_first(x: Tensor) -> Tensor:
    """(B,C,H,W) -> (B,N,C) with N = H*W; a view in channels_last."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def mixed_channels(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """1x1 convolution: (B,C,H,W) and weights (C',C,1,1) -> (B,C',H,W).

    PyTorch leaves a 1x1 convolution to a slow routine where it runs on one thread with fewer than
    16 images, so on the CPU the same pixels are shown to it as 16 images (half of the time).
    """
    rows, channels, height, width = x.shape
    if x.device.type != "cpu" or not is_laid_out(x) or rows * height * width % SIXTEEN:
        return F.conv2d(x, weight, bias)
    regrouped = x.permute(0, 2, 3, 1).reshape(SIXTEEN, -1, 1, channels).permute(0, 3, 1, 2)
    h = F.conv2d(regrouped, weight, bias).permute(0, 2, 3, 1)
    return h.reshape(rows, height, width, -1).permute(0, 3, 1, 2)


SIXTEEN = 16


class Pointwise(nn.Conv2d):
    """1x1 convolution with bias."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B,inputs,H,W) -> (B,outputs,H,W)."""
        return mixed_channels(x, self.weight, self.bias)


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
        self.norm_in = ActivatedNorm(inputs, groups)
        self.conv_in = conv3x3(inputs, outputs)
        self.from_time = nn.Linear(embedding, 2 * outputs if self.scale_shift else outputs)
        self.norm_out = (GroupNorm if self.scale_shift else ActivatedNorm)(outputs, groups)
        self.dropout = nn.Dropout(dropout)
        self.conv_out = zeroed(conv3x3(outputs, outputs))  # zero-initialised
        self.shortcut = nn.Identity() if inputs == outputs else Pointwise(inputs, outputs)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B,inputs,H,W) and the activated time embedding (B,E) -> (B,outputs,H',W')."""
        h = self.norm_in(x)  # B,inputs,H,W
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)  # B,inputs,H',W'
        h = self.conv_in(h)  # B,outputs,H',W'
        time = self.from_time(embedding)[:, :, None, None]  # B,outputs (or twice that),1,1
        if self.scale_shift:
            scale, shift = time.chunk(2, dim=1)
            h = F.silu(self.norm_out(h) * (1 + scale) + shift)
        else:
            h = self.norm_out(h.add_(time))  # in place, as no convolution needs its own output
        h = self.conv_out(self.dropout(h))  # B,outputs,H',W'
        return h.add_(self.shortcut(x))  # type: ignore[no-any-return]


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
        rows, channels, height, width = x.shape
        h = mixed_channels(self.norm(x), self.qkv.weight[..., None], self.qkv.bias)
        pixels, depth = pixels_first(h), channels // self.heads  # B,N,3C
        if self.order == "heads_first":
            qkv = pixels.view(rows, -1, self.heads, 3, depth).permute(3, 0, 2, 1, 4)
        else:
            qkv = pixels.view(rows, -1, 3, self.heads, depth).permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(*qkv)  # B,heads,N,d; its softmax is in float32
        h = h.transpose(1, 2).reshape(rows, height, width, channels).permute(0, 3, 1, 2)
        return x + mixed_channels(h, self.mixed.weight[..., None], self.mixed.bias)


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
