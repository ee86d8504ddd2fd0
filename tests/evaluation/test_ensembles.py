"""Metrics of several draws: closed forms, brute force over all pairings, properties."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noise2mask import plugins
from noise2mask.evaluation.ensembles import diversity, ged, grey, matched_iou, spread

NAMES = plugins.names("ensemble")


def masks(number: int, seed: int, share: float = 0.5) -> np.ndarray:
    return np.random.default_rng(seed).random((number, 4, 5)) < share


def distance(first: np.ndarray, second: np.ndarray) -> float:
    union = (first | second).sum()
    return 1 - (first & second).sum() / union if union else 0.0


def mean_distance(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.mean([distance(a, b) for a in first for b in second]))


@given(draws=st.integers(1, 5), references=st.integers(1, 4), seed=st.integers(0, 99))
def test_energy_distance_is_its_definition(draws, references, seed):
    ours, theirs = masks(draws, seed), masks(references, seed + 1000, 0.3)
    expected = (
        2 * mean_distance(ours, theirs) - mean_distance(ours, ours) - mean_distance(theirs, theirs)
    )
    assert ged(ours.astype(float), theirs) == pytest.approx(expected, abs=1e-12)


def test_energy_distance_of_equal_distributions_is_0_and_grows_with_what_is_missed():
    reference = masks(4, 0)
    assert ged(np.repeat(reference, 2, axis=0).astype(float), reference) == pytest.approx(0)
    one = [ged(reference[:kept].astype(float), reference) for kept in (1, 2, 4)]
    assert one[0] > one[1] > one[2]


@pytest.mark.parametrize(("draws", "references"), [(1, 1), (3, 3), (2, 3), (4, 2), (3, 1)])
def test_matched_overlap_is_the_best_of_all_pairings(draws, references):
    ours, theirs = masks(draws, 3), masks(references, 4)
    size = math.lcm(draws, references)
    rows = [ours[k % draws] for k in range(size)]
    columns = [theirs[k % references] for k in range(size)]
    best = max(
        np.mean([1 - distance(rows[k], columns[place]) for k, place in enumerate(order)])
        for order in itertools.permutations(range(size))
    )
    assert matched_iou(ours.astype(float), theirs) == pytest.approx(best)


def test_diversity_is_of_different_draws_alone():
    ours = masks(3, 5)
    pairs = [distance(ours[a], ours[b]) for a, b in itertools.combinations(range(3), 2)]
    assert diversity(ours.astype(float), masks(1, 6)) == pytest.approx(np.mean(pairs))
    assert diversity(np.repeat(ours[:1], 4, axis=0).astype(float), masks(1, 6)) == 0


def test_spread_of_independent_fair_coins():
    draws = np.random.default_rng(7).integers(0, 2, (2000, 3, 3)).astype(float)
    assert spread(draws, masks(1, 8)[:, :3, :3]) == pytest.approx(0.5, abs=0.01)
    assert spread(np.array([[[0.0]], [[1.0]]]), np.array([[[True]]])) == pytest.approx(0.5**0.5)
    assert spread(draws[:2] * 0 + 0.3, masks(1, 8)[:, :3, :3]) == 0


def test_grey_counts_what_is_neither_black_nor_white():
    draws = np.array([[[0.0, 0.04, 0.06, 0.5, 0.94, 0.96, 1.0]]])
    mask = np.zeros((1, 1, 7), dtype=bool)
    assert grey(draws, mask) == pytest.approx(3 / 7)
    assert grey(draws, mask, edge=0.01) == pytest.approx(5 / 7)
    assert grey((draws > 0.5).astype(float), mask) == 0


def test_empty_masks_are_alike_and_unlike_any_other():
    nothing, full = np.zeros((2, 2, 2), dtype=bool), np.ones((2, 2, 2), dtype=bool)
    assert [matched_iou(nothing.astype(float), each) for each in (nothing, full)] == [1, 0]
    assert [ged(nothing.astype(float), each) for each in (nothing, full)] == [0, 2]


@pytest.mark.parametrize("name", NAMES)
def test_one_draw_and_empty_masks(name):
    function, needed = plugins.member("ensemble", name), plugins.declared("ensemble", name)
    single = function(np.zeros((1, 2, 2)), np.zeros((1, 2, 2), dtype=bool))
    assert math.isnan(single) == (needed.get("draws", 1) > 1)
    assert math.isfinite(function(np.zeros((2, 2, 2)), np.zeros((1, 2, 2), dtype=bool)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("draws", "references", "fault"),
    [
        (np.zeros((2, 2, 2)), np.zeros((1, 2, 2)), "boolean"),
        (np.zeros((2, 2, 2)), np.zeros((1, 2, 3), dtype=bool), "one H and W"),
        (np.zeros((2, 2)), np.zeros((1, 2, 2), dtype=bool), "one H and W"),
        (np.zeros((0, 2, 2)), np.zeros((1, 2, 2), dtype=bool), "at least one"),
        (np.zeros((1, 2, 2)), np.zeros((0, 2, 2), dtype=bool), "at least one"),
    ],
)
def test_what_does_not_belong_together_is_refused(name, draws, references, fault):
    with pytest.raises(ValueError, match=fault):
        plugins.member("ensemble", name)(draws, references)


@given(seed=st.integers(0, 99), draws=st.integers(2, 5))
@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_draws_and_references_does_not_matter(name, seed, draws):
    generator = np.random.default_rng(seed)
    drawn, references = generator.random((draws, 3, 4)), masks(3, seed)[:, :3, :4]
    function = plugins.member("ensemble", name)
    turned = function(generator.permutation(drawn), generator.permutation(references))
    assert turned == pytest.approx(function(drawn, references), abs=1e-12)
