import math

import numpy as np
import pytest
from helpers.masks import blobs, noisy

from noise2mask.analysis.oracles.noisy_masks import (
    NoisyMasks,
    levels_of,
    linear_log_snr,
    spaced_levels,
)
from noise2mask.diffusion import schedule


def test_y_is_x_t_over_its_signal_at_levels_minus_one_and_one():
    process = schedule.linear(1000)
    masks, t = blobs(2), 300
    for gap, low in ((2.0, -1.0), (1.0, 0.0)):
        level = levels_of(process.log_snr.numpy(), [t], gap=gap)
        seen = noisy(masks, t=t, log_snr=float(level.log_snr[0]))
        y = seen.noisy(slice(0, 2))
        eps = (y - np.where(masks, 1, -1)) * math.exp(seen.log_snr / 2)
        signal, sigma = float(process.signal[t]), float(process.sigma[t])
        x_t = signal * (low + gap * masks) + sigma * eps
        middle = low + gap / 2
        assert (x_t / signal - middle) * 2 / gap == pytest.approx(y, abs=1e-5)
        assert np.std(eps) == pytest.approx(1, abs=0.05)


def test_the_noise_of_a_case_is_its_own():
    masks = blobs(5)
    both = noisy(masks)
    alone = NoisyMasks(masks[3:4], ["case 3"], both.t, both.log_snr, both.seed)
    everything = both.noisy(slice(0, 5))
    assert np.array_equal(alone.noisy(slice(0, 1))[0], everything[3])
    for pixels in (1, 2000, 1 << 20):
        parts = [y for _, y in both.blocks(pixels)]
        assert np.array_equal(np.concatenate(parts), everything)
    x = np.where(masks, 1, -1)
    eps = everything - x
    for other in (noisy(masks, t=4), noisy(masks, seed=1)):
        another = other.noisy(slice(0, 5)) - x
        assert abs(np.corrcoef(eps.ravel(), another.ravel())[0, 1]) < 0.1
    assert abs(np.corrcoef(eps[0].ravel(), eps[1].ravel())[0, 1]) < 0.15


def test_masks_that_are_none_are_refused():
    with pytest.raises(ValueError, match="boolean"):
        noisy(np.zeros((2, 4, 4)))
    with pytest.raises(ValueError, match="as many names"):
        NoisyMasks(blobs(2), ["a"], 0, 0.0, 0)


def test_spaced_levels_are_timesteps_near_the_grid():
    axis = schedule.linear(1000).log_snr.numpy()
    levels = spaced_levels(axis, gap=2, highest=4, lowest=-10, spacing=0.5)
    assert np.all(np.diff(levels.t) > 0)
    assert np.array_equal(levels.log_snr, axis[levels.t])
    assert levels.log_snr == pytest.approx(np.arange(4, -10.1, -0.5), abs=0.03)
    unit = spaced_levels(axis, gap=1, highest=4, lowest=-10, spacing=0.5)
    assert unit.log_snr == pytest.approx(axis[unit.t] - math.log(4))
    few_steps = spaced_levels(
        schedule.linear(25).log_snr.numpy(), gap=2, highest=4, lowest=-10, spacing=0.5
    )
    assert len(set(few_steps.t.tolist())) == len(few_steps.t) <= 25


def test_linear_log_snr_is_that_of_the_schedule():
    assert linear_log_snr() == pytest.approx(schedule.linear(1000).log_snr.numpy(), abs=1e-9)
