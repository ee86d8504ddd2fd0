"""Samplers: perfect and Gaussian denoisers, independence of the batch, published trajectories."""

import inspect
import math
from functools import cache, partial
from itertools import count
from zlib import crc32

import numpy as np
import pytest
import torch
from helpers.project import ROOT
from safetensors.torch import load_file

from noise2mask.diffusion import samplers, schedule
from noise2mask.diffusion.respacing import respace
from noise2mask.diffusion.targets import Denoised, dynamic_threshold, x_0_from_output
from noise2mask.diffusion.variational import learned_log_variance, variance_fraction
from noise2mask.errors import UserError

GOLDEN = load_file(ROOT / "tests" / "golden" / "diffusion.safetensors")
T = GOLDEN["step/input/t"]


def public(module):
    return {
        name: function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }


SAMPLERS, SCHEDULES = public(samplers), public(schedule)
# Its knots are found in training masks; these are about those of the linear schedule.
SCHEDULES["adapted"] = partial(schedule.adapted, log_snr=tuple(9 - 19 * n / 64 for n in range(65)))
OPTIONS = {
    "ddpm": [{"variance": v} for v in ("fixed_small", "fixed_large", "learned")],
    "ddim": [{"eta": 0.0}, {"eta": 0.5}, {"eta": 1.0}],
    "dpm_solver": [{"last_order": 1}, {"last_order": 2}],
}
CASES = [
    pytest.param(name, options, id=" ".join([name, *map(str, options.values())]))
    for name in SAMPLERS
    for options in OPTIONS.get(name, [{}])
]


def streams(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


# ------------------------------------------------------------------ a perfect denoiser


@pytest.mark.parametrize("steps", [1, 2, 5, 10, 50, 1000])
@pytest.mark.parametrize("process", SCHEDULES)
@pytest.mark.parametrize(("name", "options"), CASES)
def test_oracle(name, options, process, steps):
    x_0 = torch.tensor([-1.0, 1.0, 0.0, 0.3], dtype=torch.float64).reshape(2, 1, 1, 2)
    noise = torch.randn(x_0.shape, generator=streams(0)[0], dtype=torch.float64)
    fraction = torch.full_like(x_0, 0.5)
    for input_scale in (0.01, 0.1, 1.0, 3.0) if steps <= 50 else (0.1,):
        sample = SAMPLERS[name](
            lambda x_t, t: Denoised(x_0, fraction),
            noise,
            SCHEDULES[process](1000).scaled(input_scale),
            respace(1000, steps),
            generator=streams(1)[0],
            **options,
        )
        torch.testing.assert_close(sample, x_0, rtol=0, atol=1e-12)


def test_ddim_survives_rounding_in_a_jump_from_pure_noise():
    x_0 = torch.ones(1, 1, 1, 1)
    for percent in range(1, 100):
        process = schedule.Schedule(torch.tensor([percent / 100, 1e-25], dtype=torch.float64))
        sample = samplers.ddim(lambda x_t, t: Denoised(x_0), x_0, process, [0, 1], eta=1.0)
        assert torch.equal(sample, x_0)


# ------------------------------------------------------------------ a Gaussian denoiser

MEAN, SPREAD, ROWS = 0.7, 0.3, 20_000
# One pass is the mean of the masks by intent, no draw: it has no spread to keep.
NO_DRAWS = {"one_pass"}


def gaussian(process):
    """E[x_0 | x_t] for x_0 ~ N(MEAN, SPREAD^2), and a variance fraction of 0."""

    def denoise(x_t, t):
        signal, sigma = process.amplitudes(t[:1], x_t)
        gain = signal * SPREAD**2 / (signal**2 * SPREAD**2 + sigma**2)
        return Denoised(MEAN + gain * (x_t - signal * MEAN), torch.zeros_like(x_t))

    return denoise


@cache
def drawn(name, steps, process="linear", **options):
    full = SCHEDULES[process](1000)
    x_t = torch.randn((ROWS, 1, 1, 1), generator=streams(2)[0])
    sample = SAMPLERS[name](
        gaussian(full),
        x_t,
        full,
        respace(1000, steps),
        generator=streams(3)[0],
        **options,
    )
    return float(sample.mean()), float(sample.std())


@pytest.mark.parametrize("process", SCHEDULES)
@pytest.mark.parametrize("name", SAMPLERS)
def test_thousand_steps_draw_from_the_distribution(name, process):
    mean, spread = drawn(name, 1000, process=process)
    # Four standard errors, and the bias from starting at mean 0 in place of signal * MEAN.
    assert mean == pytest.approx(MEAN, abs=4 * SPREAD / math.sqrt(ROWS) + 0.002)
    if name in NO_DRAWS:
        assert spread < 0.01
    else:
        assert spread == pytest.approx(SPREAD, abs=4 * SPREAD / math.sqrt(2 * ROWS) + 0.001)


@pytest.mark.parametrize("steps", [1, 2, 5, 10, 50, "ddim50"])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_mean_is_right_at_any_number_of_steps(name, options, steps):
    """A jump taken with a one-step formula would leave the mean far off, or explode."""
    mean, spread = drawn(name, steps, **options)
    # Large variance puts the noise of a whole jump back in: as much as 1 in one jump.
    most = 1.02 if options.get("variance") == "fixed_large" else 1.3 * SPREAD
    assert spread < most
    assert mean == pytest.approx(MEAN, abs=4 * max(spread, SPREAD) / math.sqrt(ROWS) + 0.004)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("ddpm", {"variance": "fixed_small"}, [0.001, 0.164, 0.253, 0.296]),
        ("ddpm", {"variance": "fixed_large"}, [0.001, 0.443, 0.324, 0.301]),
        ("ddim", {"eta": 0.0}, [0.001, 0.181, 0.275, 0.300]),
        ("dpm_solver", {"last_order": 1}, [0.001, 0.189, 0.297, 0.300]),
        ("dpm_solver", {"last_order": 2}, [0.001, 0.370, 0.332, 0.300]),
    ],
)
def test_few_steps_change_the_spread(name, options, expected):
    """A property to know beside every figure of diversity, as the module's docstring gives it."""
    spreads = [drawn(name, steps, **options)[1] for steps in (1, 10, 50, 1000)]
    assert spreads == pytest.approx(expected, abs=4 * SPREAD / math.sqrt(2 * ROWS))


# ------------------------------------------------------------------ streams and interface


def analytic(process, *, clip=False, time=lambda t: t, quantile=None):
    """The denoiser of the published trajectories; elementwise, so rows do not meet."""

    def denoise(x_t, t):
        angle = time(t).reshape(-1, 1, 1, 1) / 100
        eps = 0.8 * x_t + 0.2 * torch.cos(angle).to(x_t.dtype) + 0.05 * torch.sin(3 * x_t)
        level = process.amplitudes(t, x_t)
        x_0 = x_0_from_output(eps, x_t, *level, target="eps", coding="signed")
        x_0 = x_0.clamp(-1, 1) if clip else x_0
        x_0 = x_0 if quantile is None else dynamic_threshold(x_0, quantile)
        return Denoised(x_0, variance_fraction(torch.tanh(x_t)))

    return denoise


@pytest.mark.parametrize(("name", "options"), CASES)
def test_draw_does_not_depend_on_its_batch(name, options):
    full = schedule.linear(1000)
    noise = torch.cat([torch.randn(1, 1, 4, 4, generator=stream) for stream in streams(*range(4))])

    def sample(rows):
        return SAMPLERS[name](
            analytic(full, clip=True),
            noise[rows],
            full,
            respace(1000, 20),
            generator=streams(*(100 + row for row in rows)),
            **options,
        )

    together = sample([0, 1, 2, 3])
    for row in range(4):
        assert torch.equal(sample([row])[0], together[row])
    assert torch.equal(sample([2, 0]), together[[2, 0]])


@pytest.mark.parametrize(("name", "options"), CASES)
def test_same_seed_same_draw(name, options):
    """And a sampler that adds no noise leaves the stream as it was."""
    full, noise, generators = schedule.cosine(100), torch.ones(2, 1, 2, 2), streams(5, 5, 6)
    first, second, other = (
        SAMPLERS[name](
            analytic(full, clip=True), noise, full, range(100), generator=stream, **options
        )
        for stream in generators
    )
    assert torch.equal(first, second)
    adds_noise = name == "ddpm" or options.get("eta", 0) > 0
    assert torch.equal(first, other) is not adds_noise
    untouched = torch.equal(generators[0].get_state(), streams(5)[0].get_state())
    assert untouched is not adds_noise


@pytest.mark.parametrize(("name", "options"), CASES)
def test_what_the_denoiser_is_given(name, options):
    seen = []
    full, visited = schedule.linear(1000), respace(1000, 5)

    def denoise(x_t, t):
        assert t.dtype == torch.int64
        assert t.shape == (3,)
        assert x_t.dtype == torch.float32
        seen.append(set(t.tolist()))
        return Denoised(torch.zeros_like(x_t), torch.zeros_like(x_t))

    x_t = torch.ones(3, 1, 2, 2)
    sample = SAMPLERS[name](denoise, x_t, full, visited, generator=streams(0)[0], **options)
    assert sample.shape == x_t.shape
    assert sample.dtype == x_t.dtype
    assert torch.equal(x_t, torch.ones(3, 1, 2, 2)), "the noise was overwritten"
    assert seen == [{999}] if name == "one_pass" else [{t} for t in reversed(visited)]


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_signature(name):
    parameters = list(inspect.signature(SAMPLERS[name]).parameters.values())
    assert [p.name for p in parameters[:5]] == [
        "denoise",
        "x_t",
        "schedule",
        "timesteps",
        "generator",
    ]
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[4:])


@pytest.mark.parametrize("name", SAMPLERS)
def test_descending_timesteps_are_refused(name):
    full = schedule.linear(100)
    with pytest.raises(ValueError, match="strictly ascending"):
        SAMPLERS[name](analytic(full), torch.ones(1, 1, 1, 1), full, [50, 10])


def test_one_stream_per_row_or_one_for_all():
    full = schedule.linear(100)
    with pytest.raises(ValueError, match="2 generators were given for 3 rows"):
        samplers.ddpm(
            analytic(full), torch.ones(3, 1, 1, 1), full, [0, 50], generator=streams(0, 1)
        )


def test_learned_variance_needs_a_network_that_predicts_it():
    full = schedule.linear(100)

    def denoise(x_t, t):
        return Denoised(x_t)

    with pytest.raises(UserError, match="not trained to predict a variance"):
        samplers.ddpm(denoise, torch.ones(1, 1, 1, 1), full, [0, 50], variance="learned")


def test_without_a_generator_the_global_stream_is_used():
    full = schedule.linear(100)
    noise = torch.ones(1, 1, 2, 2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = samplers.ddpm(analytic(full), noise, full, range(100))
        second = samplers.ddpm(analytic(full), noise, full, range(100))
    assert not torch.equal(first, second)


# ------------------------------------------------------------------ published single steps


def assert_near(actual, expected, tolerance=1e-5, before_clipping=None):
    """To a part of the largest value of each row, which is where single precision is rounded."""
    rounded = expected if before_clipping is None else before_clipping
    largest = rounded.abs().flatten(1).amax(1).clamp(min=1.0).reshape(-1, 1, 1, 1)
    assert float(((actual - expected).abs() / largest).max()) <= tolerance


def by_row(step):
    """Each row at its own timestep, where a sampler has all rows at one."""
    return torch.cat([step(slice(i, i + 1), int(t)) for i, t in enumerate(T)])


@pytest.mark.parametrize("clip", ["clip", "noclip"])
@pytest.mark.parametrize("published", ["epsilon", "start_x"])
@pytest.mark.parametrize("process", ["linear", "cosine"])
class TestPublishedSteps:
    def estimate(self, process, published, clip):
        """x_t in, and the published x_0_hat, which is checked elsewhere."""
        base = f"step/{process}_T1000"
        x_0 = GOLDEN[f"{base}/{published}-{clip}/pred_xstart"]
        return GOLDEN[f"{base}/q_sample"], x_0, GOLDEN["step/input/step_noise"]

    def test_mean(self, process, published, clip):
        x_t, x_0, _ = self.estimate(process, published, clip)
        mean = SCHEDULES[process](1000).posterior_mean(x_0, x_t, T)
        assert_near(mean, GOLDEN[f"step/{process}_T1000/{published}-{clip}/mean"])

    @pytest.mark.parametrize("variance", ["fixed_small", "fixed_large", "learned"])
    def test_ddpm(self, process, published, clip, variance):
        x_t, x_0, noise = self.estimate(process, published, clip)
        full = SCHEDULES[process](1000)
        fraction = variance_fraction(GOLDEN["step/input/model_output"][:, 1:])
        sample = by_row(
            lambda i, t: samplers._ddpm_step(
                x_t[i], Denoised(x_0[i], fraction[i]), full, t, variance, lambda: noise[i]
            )
        )
        kind = "learned_range" if variance == "learned" else variance
        expected = GOLDEN[f"step/{process}_T1000/{published}-{kind}-{clip}/ddpm_sample"]
        assert_near(sample, expected)

    @pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
    def test_ddim(self, process, published, clip, eta):
        x_t, x_0, noise = self.estimate(process, published, clip)
        full = SCHEDULES[process](1000)
        sample = by_row(
            lambda i, t: samplers._ddim_step(x_t[i], x_0[i], full, t, eta, lambda: noise[i])
        )
        expected = GOLDEN[f"step/{process}_T1000/{published}-{clip}/ddim_sample_eta{eta}"]
        early = T <= 1  # there the published code divides by about 0.01
        assert_near(sample[~early], expected[~early])
        assert_near(sample[early], expected[early], 1e-3 if published == "start_x" else 1e-5)


@pytest.mark.parametrize("process", ["linear", "cosine"])
def test_published_posterior_and_variances(process):
    base, full = f"step/{process}_T1000", SCHEDULES[process](1000)
    mean = full.posterior_mean(GOLDEN["step/input/x_start"], GOLDEN[f"{base}/q_sample"], T)
    assert_near(mean, GOLDEN[f"{base}/posterior_mean"])
    small, large = full.posterior_log_variance_clipped[T], full.fixed_large_variance[T].log()
    column = (-1, 1, 1, 1)
    learned = learned_log_variance(
        variance_fraction(GOLDEN["step/input/model_output"][:, 1:]),
        small.reshape(column),
        full.betas[T].log().reshape(column),
    )
    for actual, name in (
        (full.posterior_variance[T], "posterior_variance"),
        (small, "posterior_log_variance"),
        (small, "fixed_small/log_variance"),
        (full.posterior_variance[T], "fixed_small/variance"),
        (large, "fixed_large/log_variance"),
        (full.fixed_large_variance[T], "fixed_large/variance"),
        (learned, "learned_range/log_variance"),
        (learned.exp(), "learned_range/variance"),
    ):
        expected = GOLDEN[f"{base}/{name}"].double()
        torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=0)


def test_published_step_from_a_mask_of_zeros_and_ones():
    base, full = "step/linear_T1000/ensemdiff_p_sample", schedule.linear(1000)
    x_t, noise = GOLDEN[f"{base}/x_t"], GOLDEN["step/input/step_noise"]
    output = GOLDEN["step/input/model_output"]
    level = full.amplitudes(T, x_t)
    free = x_0_from_output(output[:, :1], x_t, *level, target="eps", coding="unit")
    x_0 = free.clamp(-1, 1)  # published so, although the mask has levels 0 and 1
    assert_near(x_0, GOLDEN[f"{base}/pred_xstart"], before_clipping=free)
    fraction = variance_fraction(output[:, 1:])
    sample = by_row(
        lambda i, t: samplers._ddpm_step(
            x_t[i], Denoised(x_0[i], fraction[i]), full, t, "learned", lambda: noise[i]
        )
    )
    assert_near(sample, GOLDEN[f"{base}/sample"])


# ------------------------------------------------------------------ published trajectories


@pytest.mark.parametrize("clip", ["clip", "noclip"])
@pytest.mark.parametrize("process", ["linear", "cosine"])
class TestPublishedTrajectories:
    def test_ddim(self, process, clip):
        full = SCHEDULES[process](1000)
        sample = samplers.ddim(
            analytic(full, clip=clip == "clip"),
            GOLDEN["loop/input/x_T"],
            full,
            respace(1000, "ddim50"),
        )
        assert_near(sample, GOLDEN[f"loop/ddim50_eta0_{process}_{clip}"])

    def test_ddpm_with_learned_variance(self, process, clip):
        full = SCHEDULES[process](1000)
        given = iter(GOLDEN["loop/input/step_noise"])
        sample = samplers._ddpm(
            analytic(full, clip=clip == "clip"),
            GOLDEN["loop/input/x_T"],
            full,
            respace(1000, 100),
            lambda: next(given),
            "learned",
        )
        assert_near(sample, GOLDEN[f"loop/ddpm100_learned_{process}_{clip}"])


def test_published_trajectory_with_large_variance():
    full, given = schedule.linear(100), iter(GOLDEN["loop/input/step_noise"])
    sample = samplers._ddpm(
        analytic(full),
        GOLDEN["loop/input/x_T"],
        full,
        range(100),
        lambda: next(given),
        "fixed_large",
    )
    assert_near(sample, GOLDEN["loop/ddpm_T100_fixedlarge_linear_noclip"])


def formula_uniform(key, size):
    """A hash of the key and the element number, in [0, 1)."""
    x = (np.arange(size, dtype=np.uint64) * 0x9E3779B1 + crc32(key.encode())).astype(np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return (x ^ (x >> np.uint32(16))) / 2.0**32


def formula_normal(key, shape):
    """Standard normal deviates that depend on no library of random numbers."""
    radius, angle = (formula_uniform(f"{key}/{part}", math.prod(shape)) for part in ("u1", "u2"))
    values = np.sqrt(-2 * np.log(1 - radius)) * np.cos(2 * np.pi * angle)
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def test_published_trajectory_of_a_thousand_steps():
    full, step = schedule.linear(1000), count()
    sample = samplers._ddpm(
        analytic(full, clip=True),
        GOLDEN["loop/input/x_T"],
        full,
        range(1000),
        lambda: formula_normal(f"d/long/{next(step)}", (2, 1, 8, 8)),
        "learned",
    )
    assert_near(sample, GOLDEN["loop/ddpm1000_learned_linear_clip"])


@pytest.mark.parametrize("threshold", ["plain", "dynthr"])
@pytest.mark.parametrize(("timesteps", "steps"), [(1000, 20), (50, 50)])
def test_published_solver(timesteps, steps, threshold):
    """The solver on the published grid of continuous time, log alpha linear between its values."""
    base = f"dpm/linear_T{timesteps}_steps{steps}_{threshold}"
    log_alpha = 0.5 * schedule.linear(timesteps).alphas_cumprod.log().numpy()
    time = np.linspace(1, 1 / timesteps, steps + 1)
    known = (np.arange(timesteps) + 1) / timesteps
    signal = np.exp(np.interp(time, known, log_alpha))
    sigma = np.sqrt(1 - signal**2)
    network_time = (time - 1 / timesteps) * 1000
    np.testing.assert_allclose(network_time, GOLDEN[f"{base}/model_times"], rtol=1e-5, atol=1e-3)
    grid = schedule.Schedule(torch.from_numpy(signal[::-1].copy() ** 2))
    denoise = analytic(
        grid,
        time=lambda t: torch.from_numpy(network_time)[steps - t],
        quantile=0.995 if threshold == "dynthr" else None,
    )

    def x_0_at(k, x):
        return denoise(x, torch.full((len(x),), steps - k)).x_0

    x_t = GOLDEN["dpm/input/x_T"]
    for points, name in ((2, "x_after_step1"), (3, "x_after_step2"), (steps + 1, "x_final")):
        state = samplers._multistep(
            x_0_at, x_t, signal[:points].tolist(), sigma[:points].tolist(), last_order=2
        )
        assert_near(state, GOLDEN[f"{base}/{name}"], 2e-5)
