"""The shared blocks against PyTorch's plain operations, in both memory layouts."""

import pytest
import torch
from torch.nn import functional as F

from noise2mask.networks import blocks

CHANNELS_LAST = torch.channels_last


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return drawn.contiguous(memory_format=CHANNELS_LAST)


@pytest.mark.parametrize("shape", [(1, 32, 32, 32), (3, 96, 33, 40), (2, 64, 32, 64)])
def test_the_activated_norm_and_its_gradients_are_those_of_group_norm_and_silu(shape):
    norm = blocks.ActivatedNorm(shape[1])
    with torch.no_grad():
        norm.weight.copy_(1 + 0.3 * torch.randn(shape[1]))
        norm.bias.copy_(0.3 * torch.randn(shape[1]))
    x = (3 + 2 * images(*shape)).requires_grad_()
    outer = images(*shape, seed=1)
    y = norm(x)
    assert "NormedSiLU" in y.grad_fn.name()
    assert y.is_contiguous(memory_format=CHANNELS_LAST)
    learnt = (x, norm.weight, norm.bias)
    found = torch.autograd.grad(y, learnt, outer)
    exact = [value.detach().double().requires_grad_() for value in learnt]
    plain = F.silu(F.group_norm(exact[0], blocks.GROUPS, *exact[1:], eps=1e-5))
    torch.testing.assert_close(y.double(), plain, atol=1e-5, rtol=1e-5)
    for one, other in zip(found, torch.autograd.grad(plain, exact, outer.double()), strict=True):
        torch.testing.assert_close(one.double(), other, atol=1e-5 * other.abs().max(), rtol=1e-4)


def test_few_pixels_and_the_default_layout_are_left_to_pytorch():
    norm = blocks.ActivatedNorm(32)
    for x in (images(2, 32, 8, 8), images(2, 32, 32, 32).contiguous()):
        y = norm(x.requires_grad_())
        assert "NormedSiLU" not in y.grad_fn.name()
        torch.testing.assert_close(y, F.silu(F.group_norm(x, blocks.GROUPS)))


def test_a_norm_in_half_precision_is_computed_in_float32():
    norm, x = blocks.ActivatedNorm(32), 100 + images(2, 32, 32, 32)
    half = x.bfloat16().requires_grad_()
    y, outer = norm(half), images(2, 32, 32, 32, seed=1).bfloat16()
    whole = half.detach().float().requires_grad_()
    expected = F.silu(F.group_norm(whole, blocks.GROUPS))
    assert torch.equal(y, expected.bfloat16())
    (of_half,) = torch.autograd.grad(y, half, outer)
    (of_whole,) = torch.autograd.grad(expected, whole, outer.float())
    assert of_half.dtype == torch.bfloat16
    torch.testing.assert_close(of_half.float(), of_whole, atol=1e-2, rtol=1e-2)


def test_a_norm_that_needs_no_gradient_leaves_its_input_alone():
    norm, x = blocks.ActivatedNorm(32), images(2, 32, 4, 4)
    before = x.clone()
    with torch.no_grad():
        norm(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("shape", [(4, 32, 8, 8), (3, 5, 4, 4), (1, 7, 5, 3)])
@pytest.mark.parametrize("layout", [CHANNELS_LAST, torch.contiguous_format])
def test_mixed_channels_are_a_convolution_of_one_pixel(shape, layout):
    x = images(*shape).contiguous(memory_format=layout).requires_grad_()
    layer = blocks.Pointwise(shape[1], 6)
    y, expected = layer(x), F.conv2d(x, layer.weight, layer.bias)
    torch.testing.assert_close(y, expected)
    assert y.shape == expected.shape
    outer = torch.randn(y.shape)
    learnt = (x, layer.weight, layer.bias)
    for one, other in zip(
        torch.autograd.grad(y, learnt, outer), torch.autograd.grad(expected, learnt, outer),
        strict=True,
    ):  # fmt: skip
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("order", ["heads_first", "qkv_first"])
@pytest.mark.parametrize("heads", [1, 4])
def test_attention_is_a_softmax_over_all_pixels(order, heads):
    layer, x = blocks.Attention(32, heads, order), images(2, 32, 4, 6)
    torch.nn.init.normal_(layer.mixed.weight)
    qkv = layer.qkv(layer.norm(x).flatten(2))
    if order == "heads_first":
        q, k, v = qkv.unflatten(1, (heads, 3, 32 // heads)).unbind(2)
    else:
        q, k, v = qkv.unflatten(1, (3, heads, 32 // heads)).unbind(1)
    weights = (q.mT @ k * (32 // heads) ** -0.5).softmax(-1)
    h = (v @ weights.mT).flatten(1, 2)
    torch.testing.assert_close(layer(x), x + layer.mixed(h).view_as(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layout", [CHANNELS_LAST, torch.contiguous_format])
@pytest.mark.parametrize("conditioning", ["additive", "scale_shift"])
def test_a_residual_block_changes_neither_its_input_nor_its_embedding(layout, conditioning):
    block = blocks.ResidualBlock(32, 64, 16, dropout=0.0, time_conditioning=conditioning, groups=32)
    x, embedding = images(2, 32, 32, 32).contiguous(memory_format=layout), torch.randn(2, 16)
    before = x.clone(), embedding.clone()
    block.to(memory_format=layout)(x, embedding)
    assert torch.equal(x, before[0])
    assert torch.equal(embedding, before[1])
