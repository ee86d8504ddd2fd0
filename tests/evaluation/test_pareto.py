"""Joining costs with scores, the front, and the price of a Dice."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noise2mask.evaluation.pareto import Cost, cost_table, cost_to_reach, on_front, pareto_table

FEW = st.integers(0, 4).map(float) | st.sampled_from([np.nan, np.inf])  # ties are common


def cost(network: str, mode: str, sampler: str, seconds: float, steps: int = 1, draws: int = 1):
    return Cost(
        network=network, mode=mode, sampler=sampler, steps=steps, draws=draws, trainings=1,
        parameters=10, macs_encoding=0, macs_evaluation=100, encodings_per_mask=1,
        evaluations_per_mask=steps * draws, macs_per_mask=100 * steps * draws,
        seconds_per_training_step=None, cases_at_once=1, seconds_per_mask=seconds,
        peak_memory_mb=None, energy_per_mask_j=None, device="made up", threads=1,
    )  # fmt: skip


COSTS = cost_table(
    [
        cost("ensemdiff", "feed_forward", "one_pass", 0.01),
        cost("ensemdiff", "diffusion", "ddim10", 0.5, steps=10, draws=5),
        cost("segdiff", "feed_forward", "one_pass", 0.02),
        cost("nnunet", "reference", "prediction", 0.1),
        cost("segdiff", "diffusion", "unscored", 3.0),
    ]
)
SCORES = {  # Dice on two datasets
    ("ensemdiff", "feed_forward", "one_pass"): (0.82, 0.55),
    ("ensemdiff", "diffusion", "ddim10"): (0.85, 0.52),
    ("segdiff", "feed_forward", "one_pass"): (0.80, 0.61),
    ("nnunet", "reference", "prediction"): (0.91, 0.58),
    ("blind", "none", "mean_mask"): (0.30, 0.30),
}


def summary() -> pd.DataFrame:
    rows = [
        (dataset, *key, metric, value, value - 0.01, value + 0.01, 50)
        for place, dataset in enumerate(("easy", "hard"))
        for key, values in SCORES.items()
        for metric, value in (("dice", values[place]), ("ece", 0.1 * values[place]))
        if (dataset, key[0], metric) != ("hard", "nnunet", "ece")  # not known
    ]
    columns = ["dataset", "network", "mode", "sampler", "metric", "mean", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns)


PARETO = pareto_table(COSTS, summary())


@given(st.lists(st.tuples(FEW, FEW), max_size=12))
def test_the_front_is_what_nothing_dominates(points):
    known = [point for point in points if np.isfinite(point).all()]
    expected = [
        np.isfinite((cost, gain)).all()
        and not any(
            other_cost <= cost and other_gain >= gain and (other_cost < cost or other_gain > gain)
            for other_cost, other_gain in known
        )
        for cost, gain in points
    ]
    found = on_front([cost for cost, _ in points], [gain for _, gain in points])
    assert found.tolist() == expected


def test_a_row_without_a_score_or_a_price_is_not_in_the_table():
    assert len(PARETO) == 8
    assert set(PARETO["network"]) == {"ensemdiff", "segdiff", "nnunet"}
    assert "unscored" not in set(PARETO["sampler"])


def test_scores_stand_beside_their_costs():
    row = PARETO[(PARETO.dataset == "easy") & (PARETO.sampler == "ddim10")].iloc[0]
    assert tuple(row[["dice", "low", "high", "ece"]]) == pytest.approx((0.85, 0.84, 0.86, 0.085))
    assert tuple(row[["steps", "draws", "macs_per_mask", "seconds_per_mask"]]) == (10, 5, 5000, 0.5)
    missing = PARETO[(PARETO.dataset == "hard") & (PARETO.network == "nnunet")].iloc[0]
    assert np.isnan(missing["ece"])
    assert missing["dice"] == 0.58


def test_each_dataset_has_a_front_of_its_own():
    fronts = {
        dataset: list(panel.loc[panel["front"], "network"])
        for dataset, panel in PARETO.groupby("dataset")
    }
    assert fronts == {"easy": ["ensemdiff", "nnunet"], "hard": ["ensemdiff", "segdiff"]}


def test_two_prices_of_one_row_are_refused():
    with pytest.raises(pd.errors.MergeError):
        pareto_table(pd.concat([COSTS, COSTS]), summary())


def test_the_price_of_a_dice_is_that_of_the_fastest_row_that_reaches_it():
    table = cost_to_reach(PARETO, (0.6, 0.82, 0.86, 0.95))
    found = {
        (row.dataset, row.level): (row.network, row.seconds_per_mask)
        for row in table.dropna().itertuples()
    }
    assert found == {
        ("easy", 0.6): ("ensemdiff", 0.01),
        ("easy", 0.82): ("ensemdiff", 0.01),
        ("easy", 0.86): ("nnunet", 0.1),
        ("hard", 0.6): ("segdiff", 0.02),
    }
    assert len(table) == 8  # a level that nothing reaches has a row too
    assert table["macs_per_mask"].isna().sum() == 4


def test_of_equally_fast_rows_the_better_is_named():
    twice = PARETO[PARETO.dataset == "easy"].assign(seconds_per_mask=1.0)
    assert cost_to_reach(twice, (0.5,)).iloc[0]["network"] == "nnunet"
