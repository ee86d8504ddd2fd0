"""What networks predict: conversions there and back, and the codings of a mask."""

import math
from typing import get_args

import pytest
import torch
from helpers.project import ROOT
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from scipy.special import expit
from scipy.stats import norm

from noise2mask.diffusion import schedule
from noise2mask.diffusion.targets import (
    Coding,
    Target,
    clip_range,
    decode_mask,
    dynamic_threshold,
    encode_mask,
    eps_from_x_0,
    noised,
    target_from,
    x_0_from_output,
)

GOLDEN = load_file(ROOT / "tests" / "golden" / "diffusion.safetensors")
X_0, EPS, T = (GOLDEN[f"step/input/{name}"] for name in ("x_start", "noise", "t"))
OUTPUT = GOLDEN["step/input/model_output"][:, :1]
CODINGS = get_args(Coding)


def assert_near(actual, expected, before_clipping=None):
    """To 1e-5 of the largest value of each row, which is where single precision is rounded."""
    rounded = expected if before_clipping is None else before_clipping
    largest = rounded.abs().flatten(1).amax(1).reshape(-1, 1, 1, 1)
    assert float(((actual - expected).abs() / largest).max()) <= 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_published_noising(name, dtype):
    process = getattr(schedule, name)(1000)
    signal, sigma = process.amplitudes(T, X_0.to(dtype))
    assert_near(
        noised(X_0.to(dtype), EPS.to(dtype), signal, sigma),
        GOLDEN[f"step/{name}_T1000/q_sample"],
    )
    assert_near(signal * X_0, GOLDEN[f"step/{name}_T1000/q_mean"])
    torch.testing.assert_close(
        (sigma.flatten() ** 2).float(), GOLDEN[f"step/{name}_T1000/q_variance"], rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("clip", ["clip", "noclip"])
@pytest.mark.parametrize(("published", "target"), [("epsilon", "eps"), ("start_x", "x_0")])
@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_published_estimates_of_the_mask(name, published, target, clip, dtype):
    x_t = GOLDEN[f"step/{name}_T1000/q_sample"].to(dtype)
    signal, sigma = getattr(schedule, name)(1000).amplitudes(T, x_t)
    x_0 = x_0_from_output(OUTPUT, x_t, signal, sigma, target=target, coding="signed")
    if clip == "clip":
        x_0 = x_0.clamp(*clip_range("signed"))
    assert x_0.dtype == dtype
    expected = f"step/{name}_T1000/{published}"
    assert_near(
        x_0, GOLDEN[f"{expected}-{clip}/pred_xstart"], GOLDEN[f"{expected}-noclip/pred_xstart"]
    )


def test_published_noise_losses():
    one = torch.ones(1)
    for process, x_0 in (
        ("linear_T1000/training_losses/MSE", X_0),
        ("linear_T1000/mask01_losses", GOLDEN["step/input/mask01"]),
        ("linear_T100/segdiff_losses", X_0),
    ):
        goal = target_from(x_0, EPS, one, one, target="eps", coding="signed")
        squared = (goal - OUTPUT).double().square().flatten(1)
        expected = GOLDEN[f"step/{process}/mse"].double()
        torch.testing.assert_close(squared.mean(1), expected, rtol=1e-5, atol=0)
    for name in ("sum", "loss"):
        expected = GOLDEN[f"step/linear_T100/segdiff_losses/{name}"].double()
        torch.testing.assert_close(squared.sum(1), expected, rtol=1e-5, atol=0)


amplitudes = st.floats(1e-5, 1 - 1e-5).map(
    lambda a: torch.tensor([a, 1 - a], dtype=torch.float64).sqrt().unbind()
)
pixels = st.lists(st.floats(-3, 3), min_size=1, max_size=8).map(
    lambda values: torch.tensor(values, dtype=torch.float64).reshape(1, 1, 1, -1)
)


@given(x_0=pixels, noise=st.floats(-4, 4), level=amplitudes)
@pytest.mark.parametrize("target", ["eps", "x_0", "v"])
def test_there_and_back(target, x_0, noise, level):
    eps = torch.full_like(x_0, noise)
    x_t = noised(x_0, eps, *level)
    goal = target_from(x_0, eps, *level, target=target, coding="signed")
    back = x_0_from_output(goal, x_t, *level, target=target, coding="signed")
    torch.testing.assert_close(back, x_0, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(eps_from_x_0(back, x_t, *level), eps, rtol=1e-6, atol=1e-6)


@given(level=amplitudes, noise=st.floats(-4, 4))
@pytest.mark.parametrize("coding", CODINGS)
def test_confident_logits_give_the_mask(coding, level, noise):
    mask = torch.tensor([0.0, 1.0, 1.0]).reshape(1, 1, 1, 3)
    x_0, eps = encode_mask(mask, coding), torch.full_like(mask, noise)
    goal = target_from(x_0, eps, *level, target="logits", coding=coding)
    assert torch.equal(goal, mask)
    back = x_0_from_output(
        (2 * goal - 1) * 50, noised(x_0, eps, *level), *level, target="logits", coding=coding
    )
    torch.testing.assert_close(back, x_0.to(back.dtype))


@pytest.mark.parametrize("name", ["linear", "cosine", "sigmoid"])
@pytest.mark.parametrize("target", ["eps", "x_0", "v"])
def test_single_precision_keeps_the_mask(name, target):
    process = getattr(schedule, name)(1000)
    # Where noise is predicted, x_0 is rounded in proportion to sigma / signal.
    t = torch.tensor([0, 1, 10, 500, 999])
    x_0, eps = X_0, EPS
    level = process.amplitudes(t, x_0)
    goal = target_from(x_0, eps, *level, target=target, coding="signed")
    back = x_0_from_output(goal, noised(x_0, eps, *level), *level, target=target, coding="signed")
    allowed = 1e-6 * (1 + (level[1] / level[0] if target == "eps" else 0))
    assert bool(((back - x_0).abs() <= allowed).all())


def test_half_precision_output_is_converted_first():
    x_t = torch.ones(1, 1, 1, 1)
    signal, sigma = schedule.linear(1000).amplitudes(torch.tensor([999]), x_t)
    for target in get_args(Target):
        output = torch.full((1, 1, 1, 1), 0.5, dtype=torch.bfloat16)
        x_0 = x_0_from_output(output, x_t, signal, sigma, target=target, coding="unit")
        exact = x_0_from_output(output.float(), x_t, signal, sigma, target=target, coding="unit")
        assert torch.equal(x_0, exact)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@pytest.mark.parametrize("coding", CODINGS)
def test_coding_of_a_mask(coding, values):
    mask = torch.tensor(values, dtype=torch.float64)
    x_0 = encode_mask(mask, coding)
    low, high = clip_range(coding)
    assert bool(((x_0 >= low) & (x_0 <= high)).all())
    torch.testing.assert_close(decode_mask(x_0, coding), mask)


def test_levels_of_the_codings():
    mask = torch.tensor([0.0, 1.0])
    assert encode_mask(mask, "signed").tolist() == [-1.0, 1.0]
    assert encode_mask(mask, "unit").tolist() == [0.0, 1.0]


def test_probability_is_clipped():
    assert decode_mask(torch.tensor([-7.0, 0.0, 7.0]), "signed").tolist() == [0.0, 0.5, 1.0]
    assert decode_mask(torch.tensor([-7.0, 0.25, 7.0]), "unit").tolist() == [0.0, 0.25, 1.0]


def test_dynamic_threshold_is_per_row_and_never_enlarges():
    x_0 = torch.stack([torch.linspace(-0.5, 0.5, 101), torch.linspace(-4, 4, 101)])
    x_0 = x_0.reshape(2, 1, 1, 101)
    kept, limited = dynamic_threshold(x_0, 0.5)
    assert torch.equal(kept, x_0[0])
    torch.testing.assert_close(limited, (x_0[1] / 2).clamp(-1, 1))


@pytest.mark.parametrize("coding", CODINGS)
@given(x_t=st.floats(-5, 5), output=st.floats(-4, 4), level=st.floats(0.01, 0.99))
def test_the_posterior_is_that_of_bayes(coding, x_t, output, level):
    """Prior odds from the output, likelihoods from scipy's normal distribution."""
    low, high = clip_range(coding)
    signal, sigma = level**0.5, (1 - level) ** 0.5
    of_low, of_high = (norm.logpdf(x_t, signal * each, sigma) for each in (low, high))
    prior = 1 / (1 + math.exp(-output))
    odds = math.log(prior) - math.log1p(-prior) + of_high - of_low
    expected = low + (high - low) * expit(odds)
    shape = (1, 1, 1, 1)
    found = x_0_from_output(
        torch.full(shape, output, dtype=torch.float64),
        torch.full(shape, x_t, dtype=torch.float64),
        torch.tensor(signal, dtype=torch.float64),
        torch.tensor(sigma, dtype=torch.float64),
        target="posterior",
        coding=coding,
    )
    assert found.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("coding", CODINGS)
def test_without_noise_the_posterior_is_the_mask_whatever_the_network_says(coding):
    mask = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1)
    x_0 = encode_mask(mask, coding)
    signal, sigma = schedule.linear(1000).amplitudes(torch.tensor([0, 0]), x_0)
    for output in (-20.0, 0.0, 20.0):
        found = x_0_from_output(
            torch.full_like(x_0, output), signal * x_0, signal, sigma,
            target="posterior", coding=coding,
        )  # fmt: skip
        torch.testing.assert_close(found, x_0)
