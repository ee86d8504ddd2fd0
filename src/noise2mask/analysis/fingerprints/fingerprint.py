"""A dataset's fingerprint: how long its masks stay readable under noise, without the image.

Oracles are scored on every mask by cross-fitting: the groups of cases are put into two halves,
all choices are made on one half and scored on the other. `gaussian`, the best Gaussian filter and a
threshold, gives the Dice curve; `multiscale`, the logistic regression on filtered copies, gives the
loss of eps, whose optimum without the image it bounds from above.

Half the resolution moves a curve by about log 4 in log SNR: compare datasets at one resolution.

:func:`write_fingerprint` looks at all cases of all splits of a prepared dataset: nothing is
trained, and no training sees any of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from noise2mask.analysis.fingerprints import readability
from noise2mask.analysis.fingerprints.geometry import FIGURES, geometry
from noise2mask.analysis.information.humps import hump_position
from noise2mask.analysis.information.integral import Bootstrap
from noise2mask.analysis.oracles.noisy_masks import (
    Floats,
    Levels,
    Masks,
    linear_log_snr,
    spaced_levels,
)
from noise2mask.analysis.oracles.oracles import ORACLES, Oracle, case_curves, mean_curve
from noise2mask.data.prepared import SPLITS, open_split
from noise2mask.evaluation.bootstrap import Interval
from noise2mask.files import write_text
from noise2mask.progress import LOG
from noise2mask.seeds import seed_of
from noise2mask.study.paths import FINGERPRINT_TABLES

FILES = ("cases", "curves", "figures", "geometry", "readability")
"""Tables that :func:`write_fingerprint` writes, a CSV each."""

HIGHEST = 4.0
"""Log SNR of the first level: a threshold of single pixels leaves one wrong in 1e13 there."""
LOWEST = -10.0
"""Log SNR of the last level, about that of t = T in a linear schedule."""

DICE_AND_LOSS: dict[str, Oracle] = {name: ORACLES[name] for name in ("gaussian", "multiscale")}

HEIGHTS: Mapping[str, Callable[[Floats], Floats]] = {
    "90": lambda floor: np.full_like(floor, 0.9),
    "50": lambda floor: np.full_like(floor, 0.5),
    "half": lambda floor: (1 + floor) / 2,
}
"""Dice at which the curve's fall is located, given its floor."""


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What :func:`fingerprint` finds.

    Attributes:
        cases: scores of each case by the oracle that did not see its half, columns as in
            ``oracles.case_curves``.
        curves: mean over cases, see ``oracles.mean_curve``, a row for each oracle and level, from
            high to low SNR. A width is the mean of those that the two halves chose.
        geometry: figures of each mask, see ``geometry.geometry``.
        figures: columns mean, low, high (bootstrap interval) and n (cases), indexed by the name of
            the figure; see :func:`fingerprint`.
    """

    cases: pd.DataFrame
    curves: pd.DataFrame
    geometry: pd.DataFrame
    figures: pd.DataFrame


def write_fingerprint(
    data: Path,
    oracles: Sequence[str],
    out: Path,
    *,
    spacing: float,
    resamples: int,
    level: float,
) -> None:
    """Write the tables `FILES` of one prepared dataset to a folder.

    `cases`, `curves`, `geometry` and `figures` are those of :class:`Fingerprint`, `readability`
    compares masks with the images they belong to. Timesteps are those of the linear schedule of
    1000, masks -1 and +1. `oracles` are names of ``analysis.oracles.ORACLES``, `spacing` is that of
    levels in log SNR.
    """
    splits = [open_split(data, split, purpose="evaluation") for split in SPLITS]
    masks = np.concatenate([split.masks for split in splits]).astype(bool)
    images = np.concatenate([split.images for split in splits])
    cases = [id for split in splits for id in split.ids]
    groups = [group for split in splits for group in split.groups]
    LOG.info("fingerprint of %s: %d masks of %d px", data.name, len(masks), masks.shape[1])
    found = fingerprint(
        masks,
        cases,
        linear_log_snr(),
        groups=groups,
        oracles={name: ORACLES[name] for name in oracles},
        spacing=spacing,
        resamples=resamples,
        level=level,
    )
    levels = spaced_levels(linear_log_snr(), gap=2, highest=6, lowest=-10, spacing=1)
    compared = readability.table(
        {"mask": masks.astype(np.float64), "image": images.mean(axis=3, dtype=np.float64)},
        cases,
        levels,
        bootstrap=Bootstrap(groups, resamples, level, seed=0),
        seed=0,
    )
    figures = found.figures.rename_axis("figure").reset_index()
    tables = (found.cases, found.curves, figures, found.geometry, compared)
    for name, table in zip(FINGERPRINT_TABLES, tables, strict=True):
        text = table.to_csv(index=False, float_format="%.9g", lineterminator="\n")
        write_text(out / f"{name}.csv", text, record=True)


def fingerprint(
    masks: Masks,
    cases: Sequence[str],
    schedule: ArrayLike,
    *,
    gap: float = 2.0,
    groups: Sequence[str] | None = None,
    oracles: Mapping[str, Oracle] = DICE_AND_LOSS,
    spacing: float = 0.5,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Fingerprint:
    """The fingerprint of a dataset, image-free.

    Its figures: those of the geometry; `floor`, the Dice of all foreground; where the Dice curve
    falls below 0.9, below 0.5, and half-way from 1 to the floor (`log_snr_at_90`, `log_snr_at_50`,
    `log_snr_at_half`, linear between levels); position and height of the hump of the loss of eps
    per pixel (`hump_log_snr` as in ``humps.hump_position``, `hump_height` that of the highest
    level); and the positions once more as fractional timesteps (`t_at_90`, ..., `hump_t`).
    What does not happen within the levels is NaN: with much foreground Dice never falls to 0.5.

    Args:
        masks: bool (N, H, W).
        cases: name of each, no two the same.
        schedule: (T,), log(A/(1 - A)) of each timestep, ``Schedule.log_snr``. It gives the levels
            (timesteps nearest to an even grid in log SNR) and translates log SNR to t.
        gap: difference of the levels of x_0: 2 for -1/+1, 1 for 0/1. It moves the schedule along
            the axis of log SNR; nothing else depends on it.
        groups: patient or slide of each case: kept in one half, and drawn as one by the bootstrap.
            Where all cases are of one, they are halved alone, and there is no interval.
        oracles: scored by name; `DICE_AND_LOSS` are always among them.
        spacing: of the levels in log SNR.
        resamples: of the bootstrap.
        level: coverage of the intervals.
        seed: of noise, halves and bootstrap.

    Raises:
        ValueError: the masks are not boolean (N, H, W), or fewer than two.
    """
    units = list(cases) if groups is None else list(groups)
    apart = units if len(set(units)) > 1 else list(cases)
    levels = spaced_levels(schedule, gap=gap, highest=HIGHEST, lowest=LOWEST, spacing=spacing)
    table = _cross_fitted(
        masks, cases, halves(apart, seed), levels, {**DICE_AND_LOSS, **oracles}, seed
    )
    forms = geometry(masks, cases)
    bootstrap = Bootstrap(units, resamples, level, seed)
    rows = {name: bootstrap.interval(forms[[name]].to_numpy(), _first) for name in FIGURES}
    dice, floor = (_per_case(table, cases, "gaussian", column) for column in ("dice", "floor"))
    loss = _per_case(table, cases, "multiscale", "mse_eps")
    rows["floor"] = bootstrap.interval(floor[:, :1], _first)
    rows["hump_height"] = bootstrap.interval(loss, lambda means: means.max(axis=1))
    place = hump_position(
        loss, levels.log_snr, groups=units, resamples=resamples, level=level, seed=seed
    )
    positions = {"hump_log_snr": place}
    for name, height in HEIGHTS.items():
        positions[f"log_snr_at_{name}"] = _fall(
            np.hstack([dice, floor[:, :1]]), levels.log_snr, height, bootstrap
        )
    axis = np.asarray(schedule, dtype=np.float64) + 2 * np.log(gap / 2)
    for name, found in positions.items():
        rows |= {name: found, name.replace("log_snr", "t"): timestep_at(found, axis)}
    figures = pd.DataFrame.from_dict(rows, "index", columns=Interval._fields)
    return Fingerprint(table, mean_curve(table), forms, figures)


def halves(units: Sequence[str], seed: int) -> NDArray[np.bool_]:
    """Which cases are in the first half, bool (cases,): every second unit in an order by hash.

    Args:
        units: the group of each case; cases of one group stay together.
        seed: of the order.

    Raises:
        ValueError: there are fewer than two groups.
    """
    order = sorted(set(units), key=lambda unit: seed_of("half", seed, unit))
    if len(order) < 2:
        raise ValueError(f"two halves need cases of two groups at least, got {len(order)}")
    first = set(order[::2])
    return np.array([unit in first for unit in units])


def crossing(curves: Floats, log_snr: Floats, height: ArrayLike) -> Floats:
    """Log SNR where each curve first falls below a height, on the way from high to low SNR.

    Linear between the two levels around it; NaN where a curve stays above, or begins below.

    Args:
        curves: (curves, levels).
        log_snr: (levels,), descending.
        height: one, or one a curve.
    """
    level = np.broadcast_to(np.asarray(height, dtype=np.float64), len(curves))
    below = curves < level[:, None]
    after = below.argmax(axis=1)
    found = below.any(axis=1) & (after > 0)
    before, rows = np.maximum(after - 1, 0), np.arange(len(curves))
    upper, lower = curves[rows, before], curves[rows, after]
    share = (upper - level) / np.where(found, upper - lower, 1)
    return np.where(found, log_snr[before] + share * (log_snr[after] - log_snr[before]), np.nan)


def timestep_at(found: Interval, axis: Floats) -> Interval:
    """The fractional timestep of a log SNR and its interval, linear between timesteps.

    Args:
        found: log SNR.
        axis: (T,), log SNR of each timestep, descending. Beyond its ends: NaN.
    """
    t = np.arange(len(axis) - 1, -1, -1, dtype=np.float64)
    mean, high, low = np.interp(found[:3], axis[::-1], t, left=np.nan, right=np.nan).tolist()
    return Interval(mean, low, high, found.n)


def _cross_fitted(
    masks: Masks,
    cases: Sequence[str],
    first: NDArray[np.bool_],
    levels: Levels,
    oracles: Mapping[str, Oracle],
    seed: int,
) -> pd.DataFrame:
    """Scores of each case by the oracles that were fitted on the other half."""
    names = np.asarray(cases)
    return pd.concat(
        [
            case_curves(
                masks[fitted],
                masks[~fitted],
                levels,
                oracles=oracles,
                train_cases=names[fitted].tolist(),
                test_cases=names[~fitted].tolist(),
                seed=seed,
            )
            for fitted in (first, ~first)
        ],
        ignore_index=True,
    )


def _per_case(table: pd.DataFrame, cases: Sequence[str], oracle: str, column: str) -> Floats:
    """A column of :func:`case_curves`, (cases, levels), levels by ascending t."""
    rows = table[table["oracle"] == oracle]
    return rows.pivot(index="case", columns="t", values=column).loc[list(cases)].to_numpy()


def _fall(
    columns: Floats, log_snr: Floats, height: Callable[[Floats], Floats], bootstrap: Bootstrap
) -> Interval:
    """Where the Dice curve falls below a height; `columns` are Dice at the levels, and floor."""
    found = bootstrap.interval(
        columns, lambda means: crossing(means[:, :-1], log_snr, height(means[:, -1]))
    )
    # Resamples in which it happens are no interval for what does not.
    return Interval(np.nan, np.nan, np.nan, found.n) if np.isnan(found.mean) else found


def _first(means: Floats) -> Floats:
    return means[:, 0]
