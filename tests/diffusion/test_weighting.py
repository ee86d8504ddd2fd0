"""Weightings: published formulas, relations between targets, and where timesteps are drawn."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from noise2mask import plugins
from noise2mask.diffusion import weighting
from noise2mask.diffusion.schedule import cosine, linear
from noise2mask.diffusion.targets import Target, target_from
from noise2mask.diffusion.weighting import benefit, min_snr, snr_plus_one, uniform
from noise2mask.errors import UserError

TARGETS = get_args(Target)
SCHEDULES = {"linear": linear(1000), "scaled": linear(100).scaled(0.1), "cosine": cosine(50)}
LEVELS = tuple(float(value) for value in np.arange(-8, 4.5, 0.5))


def bump(centre=-2.0, width=1.2):
    return tuple(math.exp(-(((level - centre) / width) ** 2) / 2) for level in LEVELS)


def emphases(schedule, target):
    return {
        "uniform": uniform(schedule, target),
        "min_snr": min_snr(schedule, target),
        "snr_plus_one": snr_plus_one(schedule, target),
        "benefit": benefit(schedule, target, log_snr=LEVELS, density=bump()),
    }


def snr(schedule):
    return schedule.alphas_cumprod / (1 - schedule.alphas_cumprod)


def proportional(values, expected):
    torch.testing.assert_close(
        values / values.mean(), expected / expected.mean(), rtol=1e-8, atol=0
    )


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("target", TARGETS)
def test_density_is_a_probability_and_the_mean_weight_one(schedule, target):
    found = emphases(schedule, target)
    assert set(found) == set(plugins.names("weighting"))
    for density, weight in found.values():
        assert density.shape == weight.shape == (schedule.timesteps,)
        assert density.dtype == weight.dtype == torch.float64
        assert bool((density >= 0).all())
        assert bool((weight > 0).all())
        assert float(density.sum()) == pytest.approx(1, abs=1e-12)
        assert float((density * weight).sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("target", TARGETS)
def test_uniform_is_the_plain_loss(target):
    density, weight = uniform(linear(100), target)
    assert torch.equal(weight, torch.ones(100, dtype=torch.float64))
    torch.testing.assert_close(density, torch.full_like(weight, 0.01), rtol=1e-15, atol=0)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("gamma", [1.0, 5.0])
def test_min_snr_as_published(schedule, gamma):
    ratio = snr(schedule)
    least = torch.minimum(ratio, torch.full_like(ratio, gamma))
    proportional(min_snr(schedule, "x_0", gamma=gamma).weight, least)
    proportional(min_snr(schedule, "logits", gamma=gamma).weight, least)
    proportional(min_snr(schedule, "eps", gamma=gamma).weight, least / ratio)
    proportional(min_snr(schedule, "v", gamma=gamma).weight, least / (ratio + 1))


def test_min_snr_without_an_end_is_the_plain_eps_loss():
    torch.testing.assert_close(
        min_snr(linear(1000), "eps", gamma=1e6).weight, torch.ones(1000, dtype=torch.float64)
    )


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_snr_plus_one_is_the_plain_v_loss(schedule):
    ratio = snr(schedule)
    torch.testing.assert_close(
        snr_plus_one(schedule, "v").weight, torch.ones_like(ratio), rtol=1e-12, atol=0
    )
    proportional(snr_plus_one(schedule, "x_0").weight, ratio + 1)
    proportional(snr_plus_one(schedule, "eps").weight, 1 + 1 / ratio)


@pytest.mark.parametrize("coding", ["signed", "unit"])
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("name", ["min_snr", "snr_plus_one"])
def test_one_denoiser_has_one_expected_loss_whatever_its_target(name, schedule, coding):
    # The errors come from estimates of eps, v and x_0 that describe the same denoiser.
    generator = torch.Generator().manual_seed(0)
    x_0 = torch.randint(0, 2, (schedule.timesteps, 1, 4, 4), generator=generator).double()
    x_0 = x_0 if coding == "unit" else 2 * x_0 - 1
    eps, wrong = (torch.randn(x_0.shape, generator=generator).double() for _ in range(2))
    t = torch.arange(schedule.timesteps)
    signal, sigma = schedule.amplitudes(t, x_0)
    x_t = signal * x_0 + sigma * eps
    x_0_hat = x_0 + sigma * wrong
    eps_hat = (x_t - signal * x_0_hat) / sigma
    parts = {}
    for target in ("x_0", "eps", "v"):
        goal, output = (
            target_from(x, noise, signal, sigma, target=target, coding=coding)
            for x, noise in ((x_0, eps), (x_0_hat, eps_hat))
        )
        loss = ((output - goal) ** 2).flatten(1).mean(1)
        density, weight = getattr(weighting, name)(schedule, target)
        parts[target] = density * weight * loss
    for target in ("eps", "v"):
        shares = parts[target] / parts[target].sum()
        torch.testing.assert_close(shares, parts["x_0"] / parts["x_0"].sum(), rtol=1e-7, atol=0)


def test_expected_loss_of_the_best_denoiser_of_normal_data():
    # x_0 ~ N(0, 1): L_x0 = 1/(1 + SNR), so SNR + 1 makes every timestep count alike.
    schedule = linear(1000).scaled(0.5)
    ratio = snr(schedule)
    density, weight = snr_plus_one(schedule, "x_0")
    assert float((density * weight / (1 + ratio)).sum()) == pytest.approx(
        1 / float((1 + ratio).mean()), rel=1e-9
    )
    for target, loss in (("eps", ratio / (1 + ratio)), ("v", torch.ones_like(ratio))):
        density, weight = snr_plus_one(schedule, target)
        parts = density * weight * loss
        torch.testing.assert_close(parts / parts.sum(), density, rtol=1e-9, atol=0)


def test_the_input_scale_counts_towards_the_snr():
    # Scaled by 0.1, the SNR is a hundredth: min(SNR, 5)/SNR begins to fall elsewhere.
    plain, scaled = (min_snr(linear(1000).scaled(b), "eps").weight for b in (1.0, 0.1))
    last = [int((weight >= weight.max() * (1 - 1e-9)).nonzero()[0]) for weight in (plain, scaled)]
    axis = linear(1000).log_snr
    assert last[0] == int((axis <= math.log(5)).nonzero()[0])
    assert last[1] == int((axis <= math.log(500)).nonzero()[0])


@pytest.mark.parametrize(
    "schedule", [linear(1000), linear(1000).scaled(0.3), cosine(1000)], ids=["1", "0.3", "cosine"]
)
def test_benefit_draws_log_snr_as_the_measurement_has_it(schedule):
    density = benefit(schedule, "eps", log_snr=LEVELS, density=bump(), floor=0).density
    levels = np.linspace(LEVELS[0], LEVELS[-1], 10_001)
    measured = np.interp(levels, LEVELS, bump())
    mean = np.trapezoid(levels * measured, levels) / np.trapezoid(measured, levels)
    spread = np.trapezoid((levels - mean) ** 2 * measured, levels) / np.trapezoid(measured, levels)
    axis = schedule.log_snr
    assert float((density * axis).sum()) == pytest.approx(mean, abs=2e-3)
    assert float((density * (axis - mean) ** 2).sum()) == pytest.approx(spread, rel=2e-3)


def test_benefit_mixes_with_uniform_timesteps():
    schedule = linear(200)
    pure, mixed, even = (
        benefit(schedule, "x_0", log_snr=LEVELS, density=bump(), floor=floor)
        for floor in (0, 0.25, 1)
    )
    torch.testing.assert_close(mixed.density, 0.75 * pure.density + 0.25 / 200)
    torch.testing.assert_close(even.density, uniform(schedule, "x_0").density)
    assert float(benefit(schedule, "x_0", log_snr=LEVELS, density=bump()).density.min()) == (
        pytest.approx(0.1 / 200)
    )


def test_benefit_is_of_the_unit_and_the_order_independent_and_noise_below_zero_does_not_count():
    schedule = linear(200)
    plain = benefit(schedule, "v", log_snr=LEVELS, density=bump())
    turned = benefit(
        schedule, "v", log_snr=LEVELS[::-1], density=tuple(7 * value for value in bump()[::-1])
    )
    torch.testing.assert_close(turned.density, plain.density)
    noisy, clipped = (
        tuple(value if value > 0.1 else low for value in bump()) for low in (-0.5, 0.0)
    )
    torch.testing.assert_close(
        benefit(schedule, "v", log_snr=LEVELS, density=noisy).density,
        benefit(schedule, "v", log_snr=LEVELS, density=clipped).density,
    )


@pytest.mark.parametrize(
    ("log_snr", "density", "words"),
    [
        ((), (), "has no measurement"),
        ((0.0, 1.0), (), "as many of one as of the other"),
        ((0.0, 1.0), (1.0,), "as many of one as of the other"),
        ((0.0,), (1.0,), "two or more"),
        ((0.0, 0.0), (1.0, 1.0), "no log SNR twice"),
        ((0.0, math.nan), (1.0, 1.0), "two or more numbers"),
        ((0.0, 1.0), (1.0, math.inf), "two or more numbers"),
        ((0.0, 1.0), (-1.0, 0.0), "nowhere positive"),
        ((30.0, 31.0), (1.0, 1.0), "nowhere positive"),
    ],
)
def test_benefit_without_a_measurement_is_told_to_the_user(log_snr, density, words):
    with pytest.raises(UserError, match=words):
        benefit(linear(100), "eps", log_snr=log_snr, density=density)


def test_options_are_read_with_their_bounds():
    options = {name: plugins.options("weighting", name) for name in emphases(
        linear(100), "eps"
    )}  # fmt: skip
    assert options["min_snr"]().gamma == 5
    given = options["benefit"](log_snr=[0, 1], density=[1, 2])
    assert (given.log_snr, given.density, given.floor) == ((0.0, 1.0), (1.0, 2.0), 0.1)
    with pytest.raises(ValidationError, match="greater than 0"):
        options["min_snr"](gamma=0)
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        options["benefit"](floor=1.1)
