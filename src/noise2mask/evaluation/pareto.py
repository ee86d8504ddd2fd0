"""What quality costs: measured costs joined with scores, the front of both, the price of a Dice."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.columns import Cost as Cost

KEY = ["network", "mode", "sampler"]
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Dice whose price is told."""


def cost_table(rows: Sequence[Cost]) -> pd.DataFrame:
    """The table `costs`."""
    return pd.DataFrame(list(rows), columns=list(Cost._fields))


def on_front(cost: npt.ArrayLike, gain: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which points no other beats: none costs no more and gains no less, and differs.

    Args:
        cost: (n,), less is better.
        gain: (n,), more is better.

    Returns:
        bool (n,); a point that is not finite is not on the front and beats none.
    """
    price, worth = np.asarray(cost, dtype=np.float64), np.asarray(gain, dtype=np.float64)
    known = np.isfinite(price) & np.isfinite(worth)
    front = np.zeros(len(price), dtype=bool)
    best = -np.inf
    order = np.lexsort((-worth, price))  # of equal prices the best first
    for index in order[known[order]]:
        if worth[index] > best:
            front[known & (price == price[index]) & (worth == worth[index])] = True
            best = worth[index]
    return front


def pareto_table(costs: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Dice and ECE of every row of a study beside what a mask costs, dataset by dataset.

    Costs are measured on one dataset and hold for all: cases of a study have one size.

    Args:
        costs: the table of that name, references included.
        summary: the table of that name.

    Returns:
        A row for each dataset and each row of `costs` that has a Dice there: dataset, network,
        mode, sampler, steps, draws, dice, low, high, ece, macs_per_mask, seconds_per_mask, front
        (no other row of the dataset has as much Dice for as little time).
    """
    where = ["dataset", *KEY]
    scores = summary[summary["metric"] == "dice"].rename(columns={"mean": "dice"})
    errors = summary[summary["metric"] == "ece"].rename(columns={"mean": "ece"})
    table = scores[[*where, "dice", "low", "high"]].merge(
        errors[[*where, "ece"]], how="left", on=where, validate="one_to_one"
    )
    priced = costs[[*KEY, "steps", "draws", "macs_per_mask", "seconds_per_mask"]]
    table = table.merge(priced, on=KEY, validate="many_to_one")
    front = pd.Series(data=False, index=table.index)
    for _, panel in table.groupby("dataset", sort=False):
        front[panel.index] = on_front(panel["seconds_per_mask"], panel["dice"])
    return table.assign(front=front)[list(COLUMNS["pareto"])]


def cost_to_reach(pareto: pd.DataFrame, levels: Sequence[float] = LEVELS) -> pd.DataFrame:
    """The row that reaches a mean Dice in the least time, for each dataset and level.

    Args:
        pareto: the table of that name.
        levels: of Dice.

    Returns:
        Columns dataset, level, network, mode, sampler, dice, seconds_per_mask, macs_per_mask;
        empty cells behind a level that nothing reaches.
    """
    rows, columns = [], list(COLUMNS["cost_to_reach"])
    for dataset, panel in pareto.groupby("dataset", sort=False):
        cheapest = panel.sort_values(
            ["seconds_per_mask", "dice"], ascending=[True, False], kind="stable"
        )
        for level in levels:
            reached = cheapest.loc[cheapest["dice"] >= level, columns[2:]]
            found = reached.iloc[0].to_list() if len(reached) else [None] * len(columns[2:])
            rows.append([dataset, level, *found])
    return pd.DataFrame(rows, columns=columns)
