"""What quality costs: measured costs joined with scores, the front of both, the price of a Dice."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

KEY = ["network", "mode", "sampler"]
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Dice whose price is told."""

PARETO = (
    "dataset", *KEY, "steps", "draws", "dice", "low", "high", "ece", "macs_per_mask",
    "seconds_per_mask", "front",
)  # fmt: skip
"""Columns of the table `pareto`."""
REACHED = ("dataset", "level", *KEY, "dice", "seconds_per_mask", "macs_per_mask")
"""Columns of the table `cost_to_reach`."""


class Cost(NamedTuple):
    """A row of ``costs.csv``: what a network in one mode with one sampler costs.

    A mask is the fused result of all N draws of one case. An empty cell is not known.

    Attributes:
        network: name of the network or reference.
        mode: name of the mode.
        sampler: name of the sampler or reading.
        steps: evaluations of the network in one draw.
        draws: N, of all trainings together.
        trainings: how many trained networks take part, 1 but for a deep ensemble.
        parameters: learnt numbers of all that take part.
        macs_encoding: multiply-adds of what depends on the image alone, of one network.
        macs_evaluation: multiply-adds of one evaluation without the encoding.
        encodings_per_mask: times that an image (or a view of it) is encoded.
        evaluations_per_mask: evaluations of a network.
        macs_per_mask: multiply-adds.
        seconds_per_training_step: median, of the mode; the same for all its samplers.
        cases_at_once: cases drawn together where seconds, memory and energy were measured.
        seconds_per_mask: median.
        peak_memory_mb: most memory held while drawing, weights included, 10^6 bytes.
        energy_per_mask_j: of the whole processor (with its memory) or GPU, idle parts included.
        device: name of the processor or GPU.
        threads: of torch.
    """

    network: str
    mode: str
    sampler: str
    steps: int
    draws: int
    trainings: int
    parameters: int
    macs_encoding: int
    macs_evaluation: int
    encodings_per_mask: int
    evaluations_per_mask: int
    macs_per_mask: int
    seconds_per_training_step: float | None
    cases_at_once: int
    seconds_per_mask: float
    peak_memory_mb: float | None
    energy_per_mask_j: float | None
    device: str
    threads: int


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
    return table.assign(front=front)[list(PARETO)]


def cost_to_reach(pareto: pd.DataFrame, levels: Sequence[float] = LEVELS) -> pd.DataFrame:
    """The row that reaches a mean Dice in the least time, for each dataset and level.

    Args:
        pareto: the table of that name.
        levels: of Dice.

    Returns:
        Columns dataset, level, network, mode, sampler, dice, seconds_per_mask, macs_per_mask;
        empty cells behind a level that nothing reaches.
    """
    rows = []
    for dataset, panel in pareto.groupby("dataset", sort=False):
        cheapest = panel.sort_values(
            ["seconds_per_mask", "dice"], ascending=[True, False], kind="stable"
        )
        for level in levels:
            reached = cheapest.loc[cheapest["dice"] >= level, list(REACHED[2:])]
            found = reached.iloc[0].to_list() if len(reached) else [None] * len(REACHED[2:])
            rows.append([dataset, level, *found])
    return pd.DataFrame(rows, columns=list(REACHED))
