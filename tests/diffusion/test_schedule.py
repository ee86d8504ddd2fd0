"""Schedules: published values, one source of truth, and options that do something."""

import functools
import inspect
import math

import numpy as np
import pytest
import torch
from helpers.project import ROOT
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from noise2mask.diffusion import schedule as schedules
from noise2mask.diffusion.schedule import Schedule, adapted, cosine, linear, sigmoid
from noise2mask.errors import UserError

GOLDEN = load_file(ROOT / "tests" / "golden" / "diffusion.safetensors")
NAMED = {
    name: function
    for name, function in inspect.getmembers(schedules, inspect.isfunction)
    if function.__module__ == schedules.__name__ and not name.startswith("_")
}
KNOTS = tuple((4 - 14 * u**1.5).item() for u in np.linspace(0, 1, 65))
NAMED["adapted"] = functools.partial(adapted, log_snr=KNOTS)
PUBLISHED = sorted(
    key for key in GOLDEN if key.startswith("schedule/") and key != "schedule/indices_T1000"
)


@pytest.mark.parametrize("key", PUBLISHED)
def test_published_values(key):
    _, process, quantity = key.split("/")
    name, timesteps = process.split("_T")
    values = getattr(NAMED[name](int(timesteps)), quantity)
    if timesteps == "1000":
        values = values[GOLDEN["schedule/indices_T1000"]]
    torch.testing.assert_close(values, GOLDEN[key], rtol=1e-9, atol=0)


def test_last_values_of_the_published_processes():
    last = {
        "linear 1000": float(linear(1000).alphas_cumprod[-1]),
        "linear 100": float(linear(100).alphas_cumprod[-1]),
        "linear 50": float(linear(50).alphas_cumprod[-1]),
        "cosine 1000": float(cosine(1000).alphas_cumprod[-1]),
    }
    expected = {"linear 1000": 4.04e-5, "linear 100": 2.04e-5, "linear 50": 7.74e-6}
    assert last == pytest.approx(expected | {"cosine 1000": 2.4e-9}, rel=0.02)


def test_sigmoid_follows_its_formula():
    # In the middle the sigmoid is at 1/2, by symmetry exactly half way.
    assert float(sigmoid(1000).alphas_cumprod[499]) == pytest.approx(0.5, abs=1e-12)
    first, last, now = (1 / (1 + math.exp(-x)) for x in (-3, 3, -1.5))
    expected = (last - now) / (last - first)
    assert float(sigmoid(1000).alphas_cumprod[249]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("input_scale", [0.01, 0.1, 1.0, 3.0])
@pytest.mark.parametrize("timesteps", [25, 100, 1000, 4000])
@pytest.mark.parametrize("name", NAMED)
def test_one_source_of_truth(name, timesteps, input_scale):
    process = NAMED[name](timesteps).scaled(input_scale)
    a = process.alphas_cumprod
    assert a.shape == (timesteps,)
    assert bool(((a > 0) & (a < 1)).all())
    assert bool((a[1:] < a[:-1]).all())
    assert bool(((process.betas > 0) & (process.betas < 1)).all())
    torch.testing.assert_close(torch.cumprod(1 - process.betas, 0), a, rtol=1e-9, atol=0)
    torch.testing.assert_close(process.signal**2 + process.sigma**2, torch.ones_like(a))


# Rule and share of "adapted" choose its knots before: tested in test_adaptation.py.
@pytest.mark.parametrize("name", sorted(NAMED.keys() - {"adapted"}))
def test_every_option_changes_the_schedule(name):
    default = NAMED[name](1000)
    options = [
        parameter
        for parameter in inspect.signature(NAMED[name]).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    assert options, "a schedule without options would need no such test"
    for option in options:
        changed = NAMED[name](1000, **{option.name: option.default * 0.9})
        difference = (changed.log_snr - default.log_snr).abs().max()
        assert float(difference) > 1e-3, option.name


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 0.5],
        [0.5, 0.0],
        [0.5, 0.5],
        [0.4, 0.5],
        [0.5, math.nan],
        [],
        [[0.5, 0.4]],
    ],
)
def test_what_is_no_schedule_is_refused(values):
    with pytest.raises(ValueError, match="alphas_cumprod must be"):
        Schedule(torch.tensor(values, dtype=torch.float64))


def test_single_precision_is_refused():
    with pytest.raises(ValueError, match="float64"):
        Schedule(torch.tensor([0.9, 0.5]))


def test_too_few_timesteps_for_linear_betas():
    with pytest.raises(UserError, match="20 timesteps would have a beta of 1,"):
        linear(20)
    linear(21)


@pytest.mark.parametrize("options", [{"start": 1.0, "end": 1.0}, {"tau": 0.01}])
def test_options_without_a_schedule_are_told_to_the_user(options):
    with pytest.raises(UserError, match="sigmoid schedule with 1000 timesteps"):
        sigmoid(1000, **options)


def test_adapted_passes_through_its_knots_in_between_smoothly():
    process = adapted(6401, log_snr=KNOTS)
    assert process.log_snr[::100].numpy() == pytest.approx(KNOTS, abs=1e-9)
    u = np.linspace(0, 1, 6401)
    assert process.log_snr.numpy() == pytest.approx(4 - 14 * u**1.5, abs=5e-3)
    short = adapted(65, log_snr=KNOTS)
    assert short.log_snr.numpy() == pytest.approx(KNOTS, abs=1e-9)


def test_adapted_between_two_knots_is_even():
    process = adapted(101, log_snr=(20.0, -20.0))
    assert process.log_snr.numpy() == pytest.approx(np.linspace(20, -20, 101), abs=1e-6)
    # The first sigma^2 is 1/(1 + e^20), to seven digits of what float64 leaves of 1 - A.
    assert float(process.sigma[0] ** 2) == pytest.approx(1 / (1 + math.exp(20)), rel=1e-6)


@given(
    falls=st.lists(st.floats(1e-3, 20.0), min_size=1, max_size=80),
    timesteps=st.integers(2, 4000),
)
def test_adapted_never_rises(falls, timesteps):
    below = np.concatenate([[0.0], np.cumsum(falls)])
    knots = 15 - below * min(1.0, 45 / below[-1])
    process = adapted(timesteps, log_snr=tuple(knots.tolist()))
    assert bool((process.log_snr.diff() < 0).all())
    assert float(process.log_snr[0]) == pytest.approx(15, abs=1e-6)
    assert float(process.log_snr[-1]) == pytest.approx(knots[-1], abs=1e-6)


def test_adapted_without_knots_is_told_to_the_user():
    with pytest.raises(UserError, match=r"rule 'information', share 0\.5\) has no knots"):
        adapted(100, rule="information", share=0.5)


@pytest.mark.parametrize(
    "knots",
    [(1.0,), (1.0, 2.0), (1.0, 1.0), (1.0, 0.0, 0.5), (1.0, math.nan), (50.0, 0.0), (1, -math.inf)],
)
def test_what_are_no_knots_is_told_to_the_user(knots):
    with pytest.raises(UserError, match=r"must be two or more numbers.*for 100 timesteps"):
        adapted(100, log_snr=knots)


@given(
    input_scale=st.floats(0.01, 10.0),
    name=st.sampled_from(sorted(NAMED)),
    timesteps=st.integers(21, 300),
)
def test_scaling_multiplies_the_snr_by_the_square(input_scale, name, timesteps):
    process = NAMED[name](timesteps)
    shift = process.scaled(input_scale).log_snr - process.log_snr
    torch.testing.assert_close(
        shift, torch.full_like(shift, 2 * math.log(input_scale)), rtol=0, atol=1e-6
    )


def test_scaling_by_one_changes_nothing_and_by_nothing_is_refused():
    process = cosine(100)
    assert torch.equal(process.scaled(1.0).alphas_cumprod, process.alphas_cumprod)
    with pytest.raises(ValueError, match="input_scale must be positive"):
        process.scaled(0.0)


@pytest.mark.parametrize("timesteps", [[], [3, 2], [2, 2], [-1, 3], [50, 100]])
def test_timesteps_that_cannot_be_visited(timesteps):
    with pytest.raises(ValueError, match=r"strictly ascending within 0\.\.99"):
        linear(100).respaced(timesteps)


def test_shortened_process_takes_its_jumps_from_the_full_one():
    full = linear(1000)
    visited = full.respaced([9, 400, 999])
    a = full.alphas_cumprod
    expected = torch.stack([1 - a[9], 1 - a[400] / a[9], 1 - a[999] / a[400]])
    torch.testing.assert_close(visited.betas, expected, rtol=1e-12, atol=0)
    assert torch.equal(visited.alphas_cumprod, a[[9, 400, 999]])


def test_process_of_a_single_timestep_is_finite():
    visited = linear(1000).respaced([999])
    assert float(visited.posterior_mean_coef1) == 1.0
    assert float(visited.posterior_mean_coef2) == 0.0
    assert bool(visited.posterior_log_variance_clipped.isfinite())
    assert torch.equal(visited.fixed_large_variance, visited.betas)


def test_gathering_gives_the_type_and_dimensions_of_the_data():
    process = linear(1000)
    t = torch.tensor([0, 999])
    for dtype in (torch.float32, torch.float64):
        like = torch.zeros(2, 3, 4, 5, dtype=dtype)
        gathered = process.at(process.signal, t, like)
        assert gathered.shape == (2, 1, 1, 1)
        assert gathered.dtype == dtype
        torch.testing.assert_close(gathered.flatten(), process.signal[t].to(dtype))
    signal, sigma = process.amplitudes(t, torch.zeros(2, 7))
    assert signal.shape == sigma.shape == (2, 1)
    # 1 - A in single precision would be off by 6e-4 of its value at the first timestep.
    assert float(sigma[0]) == pytest.approx(0.01, rel=1e-7)


def test_posterior_mean_by_bayes_rule():
    # q(x_{t-1} | x_t, x_0): product of N(sqrt(A') x_0, 1 - A') and x_t ~ N(sqrt(1 - b) x, b).
    process = cosine(100)
    t = torch.tensor([40])
    x_0, x_t = torch.tensor([[0.7]], dtype=torch.float64), torch.tensor([[-0.2]]).double()
    before, beta = float(process.alphas_cumprod_prev[40]), float(process.betas[40])
    precision = 1 / (1 - before) + (1 - beta) / beta
    weighted = math.sqrt(before) * 0.7 / (1 - before) + math.sqrt(1 - beta) * -0.2 / beta
    mean = float(process.posterior_mean(x_0, x_t, t))
    assert mean == pytest.approx(weighted / precision, rel=1e-6)
    assert float(process.posterior_variance[40]) == pytest.approx(1 / precision, rel=1e-9)
