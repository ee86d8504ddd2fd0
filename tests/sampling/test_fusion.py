"""Fusion of draws: published values, and the mean that the others depart from."""

import doctest

import numpy as np
import pytest
from helpers.project import ROOT
from safetensors.numpy import load_file

from noise2mask.sampling import fusion

GOLDEN = load_file(ROOT / "tests" / "golden" / "diffusion.safetensors")
RULES = [
    fusion.mean, fusion.mean_threshold, fusion.squared_mean, fusion.vote, fusion.binarised,
    fusion.majority, fusion.staple,
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (fusion.mean_threshold, "ensemdiff_mean_threshold"),
        (fusion.squared_mean, "medsegdiff_staple"),
    ],
)
def test_published_fusions(rule, name):
    expected = GOLDEN[f"fusion/{name}"].reshape(1, 1, 8, 8)
    np.testing.assert_allclose(rule(GOLDEN["fusion/samples"]), expected, rtol=1e-5, atol=1e-7)


def test_published_vote():
    draws = (GOLDEN["fusion/nine_samples_pm1"] + 1) / 2
    expected = GOLDEN["fusion/segdiff_vote"].reshape(1, 8, 8)
    np.testing.assert_array_equal(fusion.vote(draws), expected)


@pytest.mark.parametrize("rule", RULES)
def test_agreeing_binary_draws_stay(rule):
    mask = np.array([[0.0, 1.0], [1.0, 0.0]], dtype=np.float32)
    fused = rule(np.stack([mask] * 3))
    np.testing.assert_array_equal(fused, mask)
    assert fused.dtype == np.float64


def test_half_goes_to_background():
    draws = np.array([[0.0], [1.0]])
    assert [float(rule(draws)[0]) for rule in RULES] == [0.5, 0.0, 0.25, 0.0, 0.5, 0.0, 0.5]


def test_vote_clips_each_draw_and_squaring_makes_negative_positive():
    draws = np.array([[3.0], [0.0], [0.0]])
    assert float(fusion.vote(draws)[0]) == 0.0
    assert float(fusion.mean_threshold(draws)[0]) == 1.0
    assert float(fusion.squared_mean(np.array([[-0.5]]))[0]) == 0.25


def test_examples_run():
    result = doctest.testmod(fusion)
    assert (result.failed, result.attempted) == (0, len(RULES))


def test_majority_of_binary_draws_is_not_the_thresholded_mean():
    draws = np.array([[[0.9]], [[0.4]], [[0.4]]])  # the mean is above one half
    assert fusion.mean_threshold(draws).tolist() == [[1.0]]
    assert fusion.majority(draws).tolist() == [[0.0]]


def test_binarised_draws_are_counted_whatever_grey_they_were():
    draws = np.array([[[0.9, 0.51]], [[0.5, 0.49]], [[0.1, 0.0]], [[0.2, 1.0]]])
    assert fusion.binarised(draws).tolist() == [[0.5, 0.5]]
    masks = np.array([[[1.0, 0.0]], [[1.0, 1.0]], [[0.0, 1.0]]])
    np.testing.assert_allclose(fusion.binarised(masks), fusion.mean(masks))


def test_staple_weighs_draws_by_how_good_they_are():
    truth = np.zeros((32, 32))
    truth[8:20, 10:25] = 1
    generator = np.random.default_rng(0)
    flips = [0.02, 0.02, 0.4, 0.4, 0.4]
    draws = np.stack([np.where(generator.random(truth.shape) < p, 1 - truth, truth) for p in flips])
    wrong = ((fusion.staple(draws) > 0.5) != truth).mean()
    assert wrong < 0.05 < (fusion.majority(draws) != truth).mean()


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_staple_of_draws_that_are_all_one_thing(level):
    np.testing.assert_array_equal(fusion.staple(np.full((3, 4, 4), level)), np.full((4, 4), level))
