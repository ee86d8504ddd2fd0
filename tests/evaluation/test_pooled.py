"""Calibration over the pixels of all cases together: numbers by hand, pairs, seeds."""

import numpy as np
import pandas as pd
import pytest

from noise2mask.evaluation.bootstrap import Resampling
from noise2mask.evaluation.calibration import ece
from noise2mask.evaluation.pooled import SUMS, histograms_of, pooled_difference
from noise2mask.evaluation.reliability import reliability_histogram

DRAWS = Resampling(499)


def table(
    maps: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]], network: str = "a"
) -> pd.DataFrame:
    """Rows of the histograms of maps (case, seed) -> probability and mask."""
    rows = []
    for (case, seed), (probability, mask) in maps.items():
        for place, sums in enumerate(reliability_histogram(probability, mask)):
            if sums[0]:  # empty bins have no row
                rows.append(("set", network, case, seed, place, *sums))
    return pd.DataFrame(rows, columns=["dataset", "network", "case", "seed", "bin", *SUMS])


def made(cases: int, seeds: int, off: float, generator: np.random.Generator):
    """Maps whose foreground is rarer than they say by the factor 1 - off."""
    found = {}
    for seed in range(seeds):
        for case in range(cases):
            p = generator.random((6, 6))
            found[f"c{case}", seed] = p, generator.random((6, 6)) < p * (1 - off)
    return found


def test_pooled_error_is_that_of_all_pixels_as_one_case():
    maps = made(4, 1, 0, np.random.default_rng(0))
    p, mask = (np.concatenate([each[k] for each in maps.values()]) for k in (0, 1))
    found = histograms_of(table(maps)).estimate({}, DRAWS)
    assert found.mean == pytest.approx(ece(p, mask))
    alone = np.mean([ece(*each) for each in maps.values()])
    assert alone > 1.5 * found.mean  # errors of opposite signs cancel between cases
    assert (found.n, found.seeds) == (4, 1)


def test_seeds_are_scored_each_by_itself():
    maps = made(5, 3, 0.4, np.random.default_rng(1))
    errors = []
    for seed in range(3):
        mine = [each for (_, trained), each in maps.items() if trained == seed]
        errors.append(ece(*(np.concatenate([each[k] for each in mine]) for k in (0, 1))))
    found = histograms_of(table(maps)).estimate({}, DRAWS)
    assert found.mean == pytest.approx(np.mean(errors))
    assert (found.n, found.seeds) == (5, 3)


def test_networks_are_means_and_groups_are_units():
    first, second = (made(6, 1, off, np.random.default_rng(2)) for off in (0.1, 0.7))
    both = pd.concat([table(first), table(second, "b")])
    each = [histograms_of(table(maps)).estimate({}, DRAWS).mean for maps in (first, second)]
    groups = {("set", f"c{case}"): f"patient {case // 2}" for case in range(6)}
    found = histograms_of(both).estimate(groups, DRAWS)
    assert found.mean == pytest.approx(np.mean(each))
    assert found.n == 3


def test_a_difference_is_of_the_cases_of_both_and_turns_with_them():
    generator = np.random.default_rng(3)
    first, second = (
        histograms_of(table(made(cases, 2, off, generator))) for cases, off in ((12, 0.6), (10, 0))
    )
    one, other, found = pooled_difference(first, second, {}, DRAWS)
    assert found.mean == pytest.approx(one - other)
    assert found.n == 10
    assert found.interval().low > 0
    assert found.p() < 0.05
    turned = pooled_difference(second, first, {}, DRAWS)[2]
    assert turned.mean == pytest.approx(-found.mean)
    assert turned.p() == pytest.approx(found.p(), abs=0.01)


def test_a_network_against_itself_differs_by_nothing():
    mine = histograms_of(table(made(8, 2, 0.5, np.random.default_rng(4))))
    one, other, found = pooled_difference(mine, mine, {}, DRAWS)
    assert one == other
    assert found.interval()[:3] == (0, 0, 0)
    assert found.p() == 1


def test_seeds_that_are_not_the_same_are_taken_together():
    maps = made(9, 2, 0.5, np.random.default_rng(5))
    alone = {(case, 7): maps[case, seed] for case, seed in maps if seed == 0}
    one, _, found = pooled_difference(
        histograms_of(table(maps)), histograms_of(table(alone)), {}, DRAWS
    )
    p, mask = (np.concatenate([each[k] for each in maps.values()]) for k in (0, 1))
    assert one == pytest.approx(ece(p, mask))
    assert found.seeds == 1
