"""Calibration over N: the floor against closed form and simulation, and the table."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noise2mask.analysis.draw_count import by_draws, sampling_floor
from noise2mask.evaluation.calibration import ece
from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.reliability import expected_gap

few = settings(max_examples=60, deadline=None, derandomize=True)
UNIFORM = (np.arange(4000) + 0.5) / 4000
ONE_EACH = np.ones(4000)


# The floor ----------------------------------------------------------------------------------


@pytest.mark.parametrize("draws", [1, 2, 3, 4, 5, 9, 15])
def test_uniform_probabilities_have_the_floor_of_the_closed_form(draws):
    found = sampling_floor(UNIFORM, ONE_EACH, draws)
    assert found == pytest.approx(expected_gap(draws), abs=1e-6)
    if draws == 5:
        assert found == pytest.approx(3 / 35, abs=1e-6)


def test_one_atom_by_hand():
    # p = 1/4, two draws: levels 0, 1/2, 1 in 9, 6, 1 of 16; a quarter is foreground in each.
    by_hand = (9 * 0.25 + 6 * 0.25 + 1 * 0.75) / 16
    assert sampling_floor([0.25], [7], 2) == pytest.approx(by_hand)
    # Two bins, the level 1/2 in the first: (9 * 0 + 6 * 1/2) against 15 / 4, and 1 against 1/4.
    pooled = (abs(3 - 15 / 4) + abs(1 - 1 / 4)) / 16
    assert sampling_floor([0.25], [7], 2, bins=2) == pytest.approx(pooled)
    assert sampling_floor([0.25], [7], 2, bins=1) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(("draws", "bins"), [(1, 15), (5, 15), (9, 10), (25, 15), (40, 7)])
def test_the_floor_equals_a_simulation(draws, bins):
    generator = np.random.default_rng(draws)
    atoms, weight = np.array([0.01, 0.2, 0.35, 0.7, 0.97]), np.array([6.0, 1.0, 0.5, 1.0, 3.0])
    p = generator.choice(atoms, 1_000_000, p=weight / weight.sum())
    probability = generator.binomial(draws, p) / draws
    simulated = ece(probability, generator.random(len(p)) < p, bins=bins)
    assert sampling_floor(atoms, weight, draws, bins) == pytest.approx(simulated, abs=0.0015)


def test_the_floor_falls_to_nothing():
    floors = [sampling_floor([0.1, 0.45, 0.8], [1, 2, 1], n) for n in (5, 50, 500, 5000)]
    assert floors == sorted(floors, reverse=True)
    assert floors[-1] < 0.01
    assert sampling_floor(UNIFORM[::20], ONE_EACH[::20], 500) < 0.002


def test_certain_pixels_have_none_and_no_pixels_are_undefined():
    assert sampling_floor([0.0, 1.0], [9, 3], 5) == 0
    assert math.isnan(sampling_floor([], [], 5))
    assert math.isnan(sampling_floor([math.nan, math.nan], [0, 0], 5))
    assert sampling_floor([0.25, math.nan], [3, 0], 2) == sampling_floor([0.25], [3], 2)


atoms = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 1000)), min_size=1, max_size=8)


@few
@given(atoms, st.integers(1, 30), st.integers(1, 20))
def test_the_floor_of_swapped_classes_and_of_split_atoms(atoms, draws, bins):
    p, count = np.array([atom for atom, _ in atoms]), np.array([n for _, n in atoms])
    found = sampling_floor(p, count, draws, bins)
    assert 0 <= found <= 0.5 + 1e-12
    twice = sampling_floor(np.tile(p, 2)[::-1], np.tile(count, 2)[::-1], draws, bins)
    assert twice == pytest.approx(found, abs=1e-12)
    if draws < bins and draws % 2 == 0 and bins % 2:
        # Every level has a bin of its own, so which class is called foreground is nothing.
        assert sampling_floor(1 - p, count, draws, bins) == pytest.approx(found, abs=1e-9)


def test_wrong_atoms_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        sampling_floor([0.5, 0.5], [1], 5)
    with pytest.raises(ValueError, match=r"frequency must lie in \[0, 1\]"):
        sampling_floor([1.5], [1], 5)
    with pytest.raises(ValueError, match=r"frequency must lie in \[0, 1\]"):
        sampling_floor([math.nan], [1], 5)
    with pytest.raises(ValueError, match="must not be negative"):
        sampling_floor([0.5], [-1], 5)
    with pytest.raises(ValueError, match="draws must be at least 1"):
        sampling_floor([0.5], [1], 0)
    with pytest.raises(ValueError, match="bins must be at least 1"):
        sampling_floor([0.5], [1], 5, bins=0)


# The table ----------------------------------------------------------------------------------

CELL = ["dataset", "network", "mode", "sampler"]
DRAWS = {"n1": 1, "n2": 2, "n5": 5, "n9": 9, "ddim25": 25, "one_pass": 1, "ensemble5": 5}
SUMMARY = [*CELL, "metric", "mean", "low", "high", "n"]
RELIABILITY = [*CELL, "region", "bin", "count", "confidence", "frequency"]


def scores(dataset, network, mode, sampler, error):
    """Rows of a table `summary`: pooled ECE is `error`, other metrics a known multiple."""
    factors = {
        "ece_pooled": 1, "ece_band_pooled": 3, "ece": 1.2, "ece_band": 3.4, "brier": 1.5,
        "brier_band": 2.5, "iou": 10, "dice": 11, "spread": 2, "grey": 4,
    }  # fmt: skip
    return [
        (dataset, network, mode, sampler, metric, factor * error, 0.9 * factor * error,
         1.1 * factor * error, 40)
        for metric, factor in factors.items()
    ]  # fmt: skip


def curve(dataset, network, mode, sampler, sharper):
    """Rows of a table `reliability`: shares of foreground at the bins' centres, bent."""
    rows = []
    for region, edges in (("all", 40_000), ("band", 900)):
        for place in range(15):
            centre = {0: 0.004, 14: 0.996}.get(place, (place + 0.5) / 15)
            count = 0 if place == 7 else edges if place in (0, 14) else 800
            share = centre + sharper * math.sin(2 * math.pi * centre) if count else math.nan
            confidence = centre if count else math.nan
            rows.append((dataset, network, mode, sampler, region, place, count, confidence, share))
    return rows


def tables(datasets=("a", "b", "c"), networks=("unet",), modes=("diffusion",)):
    """Tables `summary` and `reliability` of a study in which ECE falls with N."""
    summary, reliability = [], []
    for one, dataset in enumerate(datasets):
        for two, network in enumerate(networks):
            summary += scores(dataset, network, "blind", "mean_mask", 0.3)
            summary += scores(dataset, network, "feed_forward", "one_pass", 0.04 + 0.01 * two)
            summary += scores(dataset, network, "ensemble", "ensemble5", 0.024 + 0.008 * two)
            for three, mode in enumerate(modes):
                for sampler, n in (("ddim25", 25), ("n1", 1), ("n2", 2), ("n5", 5), ("n9", 9)):
                    error = 0.012 + 0.004 * one + 0.006 * two + 0.003 * three + 0.05 / n
                    summary += scores(dataset, network, mode, sampler, error)
                    bent = 0.03 * (n == 25) + 0.01 * one
                    reliability += curve(dataset, network, mode, sampler, bent)
    return (
        pd.DataFrame(summary, columns=SUMMARY),
        pd.DataFrame(reliability, columns=RELIABILITY),
    )


def test_every_number_of_draws_has_its_scores_and_the_floor_of_the_most():
    summary, reliability = tables(datasets=("a", "b"))
    table = by_draws(summary, reliability, DRAWS, masks=["diffusion"])
    assert tuple(table.columns) == COLUMNS["draws"]
    assert len(table) == 2 * 2 * 5
    assert set(table["mode"]) == {"diffusion"}  # the others have one N only
    of_a = table[(table["dataset"] == "a") & (table["region"] == "all")]
    assert of_a["sampler"].tolist() == ["n1", "n2", "n5", "n9", "ddim25"]
    assert of_a["draws"].tolist() == [1, 2, 5, 9, 25]
    row = of_a.iloc[2]
    error = 0.012 + 0.05 / 5
    assert row["ece_pooled":"ece_pooled_high"].tolist() == pytest.approx(
        [error, 0.9 * error, 1.1 * error]
    )
    assert row["ece":"ece_high"].tolist() == pytest.approx(
        [1.2 * error, 1.08 * error, 1.32 * error]
    )
    assert (row["brier"], row["iou"]) == pytest.approx((1.5 * error, 10 * error))
    most = reliability[(reliability[["dataset", "sampler"]] == ["a", "ddim25"]).all(axis=1)]
    for region in ("all", "band"):
        atoms = most[most["region"] == region]
        got = table[(table["dataset"] == "a") & (table["region"] == region)]["floor"]
        wanted = [sampling_floor(atoms["frequency"], atoms["count"], n) for n in (1, 2, 5, 9, 25)]
        assert got.tolist() == pytest.approx(wanted)
    band = table[(table["dataset"] == "a") & (table["region"] == "band")].iloc[2]
    assert band[["ece_pooled", "ece", "brier", "iou"]].tolist() == pytest.approx(
        [3 * error, 3.4 * error, 2.5 * error, 10 * error]
    )


def test_without_masks_there_is_no_floor_and_one_number_makes_no_row():
    summary, reliability = tables()
    assert by_draws(summary, reliability, DRAWS, masks=[])["floor"].isna().all()
    assert by_draws(summary, reliability[:0], DRAWS, masks=["diffusion"])["floor"].isna().all()
    single = by_draws(summary, reliability, {"n5": 5, "one_pass": 1}, masks=["diffusion"])
    assert tuple(single.columns) == COLUMNS["draws"]
    assert single.empty
    equal = by_draws(summary, reliability, {"n5": 5, "n9": 5}, masks=["diffusion"])
    assert equal.empty
    assert by_draws(summary[:0], reliability[:0], DRAWS, masks=[]).empty


def test_a_metric_that_was_not_scored_is_empty():
    summary, reliability = tables(datasets=("a",))
    table = by_draws(
        summary[summary["metric"].isin(["ece_pooled", "iou"])], reliability, DRAWS, masks=[]
    )
    assert table[["ece", "brier"]].isna().all(axis=None)
    assert table[table["region"] == "all"]["ece_pooled"].notna().all()
    assert table[table["region"] == "band"]["ece_pooled"].isna().all()
