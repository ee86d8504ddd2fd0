from functools import partial

import numpy as np
import pytest
from helpers.masks import blobs, curve, noisy
from scipy import ndimage

from noise2mask.analysis.oracles import filters
from noise2mask.analysis.oracles.noisy_masks import Levels
from noise2mask.evaluation.metrics import dice

LEVELS = Levels(np.array([100, 300, 500]), np.array([2.0, -0.5, -2.5]))


@pytest.mark.parametrize("width", [0.4, 1.0, 2.7, 9.0, 30.0])
def test_gaussian_copies_are_those_of_scipy(width):
    y = np.random.default_rng(0).normal(size=(2, 24, 33)).astype(np.float32)
    (found,) = filters.gaussian_copies(y, [width])
    expected = ndimage.gaussian_filter(y.astype(np.float64), (0, width, width), mode="reflect")
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, abs=2e-6)


def test_the_width_grows_with_noise_and_with_objects():
    def widths(scale):
        train, test = blobs(6, scale=scale, seed=1), blobs(6, scale=scale, seed=2)
        table = curve(train, test, LEVELS, oracles={"gaussian": filters.gaussian})
        return table["width"].to_numpy()

    small, large = widths(1.5), widths(5.0)
    assert np.all(np.diff(small) > 0)
    assert np.all(np.diff(large) > 0)
    assert np.all(large >= small)
    assert large[-1] > small[-1]


def test_a_filter_beats_single_pixels_and_the_median_is_one():
    train, test = blobs(6, seed=1), blobs(6, seed=2)
    oracles = {
        "pixel": filters.pixel,
        "gaussian": filters.gaussian,
        "median": partial(filters.median, widths=(1, 3, 5)),
    }
    table = curve(train, test, LEVELS, oracles=oracles).pivot(
        index="t", columns="oracle", values=["dice", "mse_x0", "width"]
    )
    for column, sign in (("dice", 1), ("mse_x0", -1)):
        for t in (300, 500):
            alone = table[column, "pixel"][t]
            assert sign * table[column, "gaussian"][t] > sign * alone
            assert sign * table[column, "median"][t] > sign * alone
    assert set(table["width", "median"]) <= {1, 3, 5}


def test_a_median_is_chosen_as_scipy_computes_it():
    train, test = noisy(blobs(3, seed=1), role="train"), noisy(blobs(2, seed=2), role="test")
    found = filters.median(train, test, widths=(5,))
    y = ndimage.median_filter(test.noisy(slice(0, 2)), (1, 5, 5), mode="reflect")
    scores = [
        np.array([dice(v >= edge, m) for v, m in zip(y, test.masks, strict=True)])
        for edge in np.linspace(-0.4, 0.4, 81)
    ]
    nearest = min(np.abs(found.dice - row).max() for row in scores)
    assert nearest < 0.02


def test_a_window_of_one_pixel_is_no_filter():
    train, test = (noisy(blobs(4, seed=seed), role=f"{seed}", log_snr=-3.0) for seed in (1, 2))
    alone, window = filters.pixel(train, test), filters.median(train, test, widths=(1,))
    assert window.dice == pytest.approx(alone.dice, abs=0.01)
    assert window.mse_x0 == pytest.approx(alone.mse_x0, rel=0.01)
