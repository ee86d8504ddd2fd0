import math

import numpy as np
import pandas as pd
import pytest
from helpers.figures import assert_apart
from scipy.ndimage import gaussian_filter
from skimage.data import camera

from noise2mask.analysis.oracles.filters import widths_up_to
from noise2mask.data.formats import phantoms
from noise2mask.diffusion import schedule
from noise2mask.evaluation.metrics import dice
from noise2mask.report.figures import noising as module
from noise2mask.report.figures.noising import (
    linear_timestep,
    noised,
    noising,
    noisy,
    read_mask,
    read_photograph,
)

SIDE = 64


def phantom(family="lesion"):
    return phantoms.load(phantoms.sources(family=family, count=3, size=SIDE)[0])[1]


def photograph():
    block = 512 // SIDE
    picture = camera().reshape(SIDE, block, SIDE, block).mean(axis=(1, 3))
    return (picture - picture.mean()) / picture.std()


MASK, PHOTOGRAPH = phantom(), photograph()
LEVELS = np.where(MASK, 1.0, -1.0)
NOISE = np.random.default_rng(0).standard_normal(MASK.shape)
SOME = (math.inf, 0.0, -4.0, -9.0)


def rows(figure):
    axes, columns = figure.axes, len(figure.axes) // 4
    return [axes[start : start + columns] for start in range(0, len(axes), columns)]


def test_timesteps_are_those_of_the_linear_schedule():
    axis = schedule.linear(1000).log_snr.numpy()
    for t in (0, 1, 50, 150, 300, 700, 999):
        assert linear_timestep(float(axis[t])) == t
    for log_snr in (9.0, 3.47, 0.0, -9.7):
        assert linear_timestep(log_snr) == np.abs(axis - log_snr).argmin()
    assert linear_timestep(9.5) is None
    assert linear_timestep(-10.5) is None


def test_noise_has_the_named_level():
    y = noisy(LEVELS, NOISE, math.log(4.0))
    np.testing.assert_allclose(y - LEVELS, NOISE / 2, atol=1e-6)
    np.testing.assert_array_equal(noisy(LEVELS, NOISE, math.inf), LEVELS.astype(np.float32))


@pytest.mark.parametrize("log_snr", [0.0, -4.0, -7.0])
def test_the_mask_read_is_the_best_of_all_filters_and_thresholds(log_snr):
    """Against scipy's filter, thresholds at 256 steps of its own range."""
    y = noisy(LEVELS, NOISE, log_snr)
    found = read_mask(MASK, y)
    assert found.score == dice(found.picture, MASK)
    scores = {}
    for width in widths_up_to(SIDE):
        copy = gaussian_filter(y, width, mode="reflect") if width else y
        edges = np.linspace(copy.min(), copy.max(), 256)
        scores[width] = max(dice(copy >= edge, MASK) for edge in edges)
    assert found.score == pytest.approx(max(scores.values()), abs=0.01)
    assert scores[found.width] == pytest.approx(max(scores.values()), abs=0.01)


@pytest.mark.parametrize("log_snr", [3.0, 0.0, -4.0])
def test_the_photograph_read_has_the_least_squared_error(log_snr):
    y = noisy(PHOTOGRAPH, NOISE, log_snr)
    found = read_photograph(PHOTOGRAPH, y)
    errors = {}
    for width in widths_up_to(SIDE):
        copy = gaussian_filter(y, width, mode="reflect") if width else y
        slope, offset = np.polyfit(copy.ravel(), PHOTOGRAPH.ravel(), 1)
        errors[width] = float(np.mean((PHOTOGRAPH - slope * copy - offset) ** 2))
    assert found.width == min(errors, key=errors.get)
    assert found.score == pytest.approx(1 - min(errors.values()), abs=1e-4)
    assert np.mean((PHOTOGRAPH - found.picture) ** 2) == pytest.approx(1 - found.score, abs=1e-4)


def test_without_noise_all_of_it_is_read():
    mask = read_mask(MASK, noisy(LEVELS, NOISE, math.inf))
    assert (mask.score, mask.width) == (1, 0)
    picture = read_photograph(PHOTOGRAPH, noisy(PHOTOGRAPH, NOISE, math.inf))
    assert picture.width == 0
    assert picture.score == pytest.approx(1)


def test_with_noise_less_is_read_by_wider_filters_and_more_of_the_mask():
    levels = (2.0, -2.0, -6.0)
    masks = [read_mask(MASK, noisy(LEVELS, NOISE, level)) for level in levels]
    pictures = [read_photograph(PHOTOGRAPH, noisy(PHOTOGRAPH, NOISE, level)) for level in levels]
    for found in (masks, pictures):
        assert np.all(np.diff([reading.score for reading in found]) < 0)
        assert np.all(np.diff([reading.width for reading in found]) > 0)


def test_a_filter_that_finds_the_opposite_explains_nothing():
    found = read_photograph(PHOTOGRAPH, (-PHOTOGRAPH).astype(np.float32))
    assert found.score < 0.05


@pytest.mark.parametrize("filled", [False, True])
def test_masks_of_one_value_are_read(filled):
    mask = np.full((SIDE, SIDE), filled)
    assert read_mask(mask, noisy(np.where(mask, 1.0, -1.0), NOISE, 0.0)).score == 1


def test_no_foreground_is_found_where_none_is_even_if_values_are_high():
    y = np.ones((SIDE, SIDE), dtype=np.float32)
    assert read_mask(np.zeros((SIDE, SIDE), dtype=bool), y).score == 1


def test_the_figure_names_levels_and_scores():
    first, second, third, fourth = rows(noised(MASK, PHOTOGRAPH, SOME).figure)
    assert [axis.get_title() for axis in first] == [
        "log SNR ∞\nno noise", "log SNR 0\nt = 258", "log SNR −4\nt = 628", "log SNR −9\nt = 942",
    ]  # fmt: skip
    assert second[0].get_xlabel() == "Dice 1.000\nno filter"
    assert fourth[0].get_xlabel() == "variance 100 %\nno filter"
    found = [float(axis.get_xlabel().split()[1]) for axis in second]
    assert found == sorted(found, reverse=True)
    assert third[0].get_ylabel() == "noisy photograph"


def test_the_numbers_are_those_in_the_figure():
    figure, numbers = noised(MASK, PHOTOGRAPH, SOME)
    _, second, _, fourth = rows(figure)
    assert numbers.log_snr.tolist() == list(SOME)
    for axis, score in zip(second, numbers.dice, strict=True):
        assert axis.get_xlabel().startswith(f"Dice {score:.3f}")
    for axis, score in zip(fourth, numbers.variance, strict=True):
        assert axis.get_xlabel().startswith(f"variance {100 * score:.0f} %")


def test_levels_are_those_that_were_measured():
    figure, numbers = noising(pd.DataFrame({"log_snr": [3.5, -3.0]}))
    assert numbers.log_snr.tolist() == [math.inf, 3.0, 0.0, -2.0]
    assert len(rows(figure)[0]) == 4


def test_mask_and_photograph_have_the_same_noise():
    first, _, third, _ = rows(noised(MASK, PHOTOGRAPH, SOME).figure)
    for column, log_snr in enumerate(SOME):
        a = 1 / (1 + math.exp(-log_snr))
        mask, picture = (row[column].images[0].get_array() for row in (first, third))
        difference = np.sqrt(a) * (LEVELS - PHOTOGRAPH)
        np.testing.assert_allclose(mask - picture, difference, atol=1e-12)
        noise = mask - np.sqrt(a) * LEVELS
        assert noise.std() == pytest.approx(math.sqrt(1 - a), rel=0.05, abs=1e-12)


def test_colours_say_where_the_mask_read_is_wrong():
    axis = rows(noised(MASK, PHOTOGRAPH, (-6.0,)).figure)[1][0]
    picture = np.asarray(axis.images[0].get_array()) / 255
    white, black = (picture == 1).all(axis=2), (picture == 0).all(axis=2)
    orange = np.isclose(picture, [0xE6 / 255, 0x9F / 255, 0]).all(axis=2)
    blue = np.isclose(picture, [0, 0x72 / 255, 0xB2 / 255]).all(axis=2)
    assert (white | black | orange | blue).all()
    np.testing.assert_array_equal(white | orange, MASK)
    assert dice(white | blue, MASK) == pytest.approx(float(axis.get_xlabel().split()[1]), abs=6e-4)
    assert orange.any()
    assert blue.any()


@pytest.mark.parametrize("levels", [SOME, module.LOG_SNRS])
def test_no_text_is_cut_or_meets_another(levels):
    figure = noised(MASK, PHOTOGRAPH, levels).figure
    found = [figure.legends[0]]
    for axis in figure.axes:
        found += [axis.title, axis.xaxis.label, axis.yaxis.label]
    assert assert_apart(figure, found) > 3 * len(levels)
