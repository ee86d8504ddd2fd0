"""The variational bound against published values and independent formulas."""

import math

import pytest
import torch
from helpers.project import ROOT
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.distributions import Normal, kl_divergence

from noise2mask.diffusion import schedule
from noise2mask.diffusion.targets import noised, x_0_from_output
from noise2mask.diffusion.variational import (
    discretised_gaussian_log_likelihood,
    gaussian_kl,
    learned_log_variance,
    prior_bpd,
    variance_fraction,
    vb_terms_bpd,
)

GOLDEN = load_file(ROOT / "tests" / "golden" / "diffusion.safetensors")
T = GOLDEN["step/input/t"]
OUTPUT, VALUE = GOLDEN["step/input/model_output"].double().split(1, dim=1)


def bound(process, x_0, detach=False):
    """Terms of the bound for a network of eps and a learned variance, as the codes have it."""
    x_0, eps = x_0.double(), GOLDEN["step/input/noise"].double()
    level = process.amplitudes(T, x_0)
    x_t = noised(x_0, eps, *level)
    output, value = OUTPUT.clone().requires_grad_(), VALUE.clone().requires_grad_()
    x_0_hat = x_0_from_output(output, x_t, *level, target="eps", coding="signed")
    mean = process.posterior_mean(x_0_hat, x_t, T)
    small = process.at(process.posterior_log_variance_clipped, T, x_t)
    large = process.at(process.betas.log(), T, x_t)
    terms = vb_terms_bpd(
        x_0,
        T,
        process.posterior_mean(x_0, x_t, T),
        small,
        mean.detach() if detach else mean,
        learned_log_variance(variance_fraction(value), small, large),
    )
    return terms, output, value


def assert_equal_to(terms, key, rounding=1e-7):
    """To 1e-5, and to what single precision left of a divergence of 1e-4 between terms near 1."""
    torch.testing.assert_close(terms.detach(), GOLDEN[key].double(), rtol=1e-5, atol=rounding)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_published_bound(name):
    terms, *_ = bound(getattr(schedule, name)(1000), GOLDEN["step/input/x_start"])
    prefix = f"step/{name}_T1000"
    for key in ("vb_terms_bpd", "training_losses/MSE/vb", "training_losses/RESCALED_MSE/vb"):
        assert_equal_to(terms, f"{prefix}/{key}")
    rescaled = f"{prefix}/training_losses/RESCALED_KL/loss"
    assert_equal_to(1000 * terms, rescaled, rounding=1e-4)
    for kind in ("MSE", "RESCALED_MSE"):
        losses = f"{prefix}/training_losses/{kind}"
        assert_equal_to(GOLDEN[f"{losses}/mse"] + terms, f"{losses}/loss")


def test_published_bound_of_a_mask_of_zeros_and_ones():
    terms, *_ = bound(schedule.linear(1000), GOLDEN["step/input/mask01"])
    losses = "step/linear_T1000/mask01_losses"
    assert_equal_to(terms, f"{losses}/vb")
    assert_equal_to(GOLDEN[f"{losses}/mse"] + terms, f"{losses}/loss")


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_published_prior(name):
    process = getattr(schedule, name)(1000)
    x_0 = GOLDEN["step/input/x_start"].double()
    prior = prior_bpd(x_0, float(process.alphas_cumprod[-1]))
    expected = GOLDEN[f"step/{name}_T1000/prior_bpd"].double()
    torch.testing.assert_close(prior, expected, rtol=3e-5, atol=0)


def test_detached_mean_trains_the_variance_alone():
    process, x_0 = schedule.linear(1000), GOLDEN["step/input/x_start"]
    terms, output, value = bound(process, x_0, detach=True)
    terms.sum().backward()
    assert output.grad is None
    assert bool((value.grad.abs().flatten(1).sum(1) > 0).all())
    whole, output, _ = bound(process, x_0)
    assert torch.equal(whole, terms)
    whole.sum().backward()
    assert bool((output.grad.abs().flatten(1).sum(1) > 0).all())


def test_perfect_step_has_no_divergence():
    process, x_0 = schedule.cosine(1000), GOLDEN["step/input/x_start"].double()
    mean = process.posterior_mean(x_0, x_0, T)
    log_variance = process.at(process.posterior_log_variance_clipped, T, x_0)
    terms = vb_terms_bpd(x_0, T, mean, log_variance, mean, log_variance)
    assert torch.equal(terms[1:], torch.zeros(4, dtype=torch.float64))
    assert float(terms[0]) >= 0


finite = st.floats(-3, 3)


@given(finite, finite, finite, finite)
def test_divergence_of_two_gaussians(mean, log_variance, other_mean, other_log_variance):
    values = [
        torch.tensor(x, dtype=torch.float64)
        for x in (mean, log_variance, other_mean, other_log_variance)
    ]
    mine, other = (Normal(values[i], torch.exp(0.5 * values[i + 1])) for i in (0, 2))
    torch.testing.assert_close(
        gaussian_kl(*values), kl_divergence(mine, other), atol=1e-12, rtol=1e-9
    )


@given(st.floats(-1, 1), st.floats(-8, 0))
def test_bins_hold_all_probability(mean, log_variance):
    bins = torch.linspace(-1, 1, 256, dtype=torch.float64)
    log_probability = discretised_gaussian_log_likelihood(
        bins, torch.tensor(mean).double(), torch.tensor(log_variance).double()
    )
    assert float(log_probability.exp().sum()) == pytest.approx(1.0, abs=1e-9)


def test_bins_are_close_to_the_normal_distribution():
    bins = torch.linspace(-0.9, 0.9, 50, dtype=torch.float64)
    mean, log_variance = torch.tensor(0.1).double(), torch.tensor(-1.0).double()
    exact = Normal(mean, torch.exp(0.5 * log_variance))
    expected = exact.cdf(bins + 1 / 255) - exact.cdf(bins - 1 / 255)
    actual = discretised_gaussian_log_likelihood(bins, mean, log_variance).exp()
    torch.testing.assert_close(actual, expected, rtol=0.02, atol=0)


def test_impossible_mask_is_floored():
    far = torch.tensor(0.0), torch.tensor(0.9), torch.tensor(-12.0)
    assert float(discretised_gaussian_log_likelihood(*far)) == pytest.approx(math.log(1e-12))


def test_prior_against_an_independent_divergence():
    x_0 = torch.tensor([0.0, 1.0, -1.0, 1.0], dtype=torch.float64).reshape(1, 1, 2, 2)
    a = 0.3
    q = Normal(math.sqrt(a) * x_0, torch.full_like(x_0, math.sqrt(1 - a)))
    expected = kl_divergence(q, Normal(torch.zeros_like(x_0), 1.0)).mean() / math.log(2)
    assert float(prior_bpd(x_0, a)) == pytest.approx(float(expected), rel=1e-9)


def test_learned_variance_lies_between_the_fixed_ones():
    small, large = torch.tensor(-9.0), torch.tensor(-4.0)
    value = torch.tensor([-1.0, 0.0, 1.0])
    between = learned_log_variance(variance_fraction(value), small, large)
    assert between.tolist() == [-9.0, -6.5, -4.0]
