"""What the factors of an ablation change, and how many sampling steps a training needs."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MARGIN = 0.01
"""What a score may be below the best one and still count as good: one Dice point."""

_CELL = ["dataset", "network", "mode"]


def levels(grid: pd.DataFrame) -> dict[str, list[str]]:
    """The levels of each factor in order of appearance, the base level first."""
    return {
        str(factor): [str(level) for level in rows["level"].unique()]
        for factor, rows in grid.groupby("factor", sort=False)
    }


def main_effects(grid: pd.DataFrame, sweeps: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean of every level of every factor, and what it adds to the factor's base level.

    The mean is that of the level's trainings, whatever their other factors are. The effect is the
    level's coefficient in a sum of one effect for each factor, fitted by least squares: in a full
    grid the difference of the two means, where one factor varies at a time the difference from the
    base training. Interactions are left to the noise. Trainings are scored by the first sampler
    that they have in `sweeps`, started from pure noise; both columns are means over datasets and
    networks.

    Returns:
        Columns factor, level, runs (trainings with a score), mean, effect. The effect is 0 for
        base levels and NaN where the design does not tell it from those of other factors.
    """
    known = levels(grid)
    chosen = grid.pivot(index="mode", columns="factor", values="level").astype(str)
    rows = sweeps[
        (sweeps["metric"] == metric) & sweeps["start"].isna() & sweeps["mode"].isin(chosen.index)
    ]
    if rows.empty:
        return pd.DataFrame(columns=["factor", "level", "runs", "mean", "effect"])
    scores = rows.groupby(_CELL, sort=False)["mean"].first().unstack("mode").astype(float)
    tested = chosen.loc[list(scores.columns)]
    names = [(factor, level) for factor, found in known.items() for level in found]
    design = np.array(
        [(tested[factor] == level).to_numpy() for factor, level in names], dtype=float
    )
    changed = np.array([level != known[factor][0] for factor, level in names])
    effects = np.zeros(len(names))
    effects[changed] = _mean([_fitted(design[changed], row) for row in scores.to_numpy()])
    result = pd.DataFrame(names, columns=["factor", "level"])
    means = [_mean(scores.to_numpy()[:, each > 0].T) for each in design]
    return result.assign(
        runs=design.sum(axis=1).astype(int),
        mean=[float(_mean(each[:, None])[0]) for each in means],
        effect=effects,
    )


def least_steps(
    sweeps: pd.DataFrame, metric: str = "dice", *, margin: float = MARGIN
) -> pd.DataFrame:
    """The least number of sampling steps that scores at most `margin` below the best number.

    Only samplings from pure noise are compared, and only those with the same number of draws: the
    number of draws that most numbers of steps were tried with, the larger one in doubt.

    Returns:
        Columns dataset, network, mode, draws, least, most (steps tried), best (score). Trainings
        that were sampled with a single number of steps are left out.
    """
    rows = sweeps[(sweeps["metric"] == metric) & sweeps["start"].isna() & sweeps["mean"].notna()]
    found = []
    for key, cell in rows.groupby(_CELL, sort=False):
        tried = cell.groupby("draws")["steps"].nunique()
        draws = max(tried.index, key=lambda count: (tried[count], count))
        cell = cell[cell["draws"] == draws]
        if tried[draws] < 2:
            continue
        enough = least(cell, 1, margin)
        if enough is not None:
            best, most = float(cell["mean"].max()), int(cell["steps"].max())
            found.append((*key, draws, int(enough["steps"]), most, best))
    return pd.DataFrame(found, columns=[*_CELL, "draws", "least", "most", "best"])


def least(line: pd.DataFrame, better: int, within: float = MARGIN) -> pd.Series | None:
    """The row with the least steps whose mean is within `within` of the best mean.

    A `better` of 0: none is best. Rounding of the means does not count.
    """
    rows = line[line["mean"].notna()]
    if rows.empty or better == 0:
        return None
    signed = rows["mean"] * better
    enough = rows[signed.max() - signed <= within + 1e-9]
    first: pd.Series = enough.sort_values("steps", kind="stable").iloc[0]
    return first


def _fitted(design: Floats, scores: Floats) -> Floats:
    """Coefficients (levels,) of a design (levels, trainings); NaN for those it does not tell."""
    seen = np.isfinite(scores)
    columns = np.column_stack([np.ones(seen.sum()), design[:, seen].T])
    inverse = np.linalg.pinv(columns)
    # A coefficient is told if and only if its unit vector lies in the row space.
    told = np.isclose(np.diag(inverse @ columns), 1)
    return np.asarray(np.where(told, inverse @ scores[seen], np.nan)[1:])


def _mean(rows: list[Floats] | Floats) -> Floats:
    """Mean over rows of what is not NaN; NaN where nothing is left."""
    values = np.asarray(rows, dtype=np.float64)
    counts = np.isfinite(values).sum(axis=0)
    return np.asarray(
        np.where(counts > 0, np.nansum(values, axis=0) / np.maximum(counts, 1), np.nan)
    )
