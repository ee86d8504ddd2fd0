"""How well a mask can be read from its noisy version alone, over noise levels, without training.

An oracle takes training and test masks at one noise level and scores its estimate of the test
masks. Oracles of one call see the same noise, so their differences are paired.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from noise2mask.analysis.oracles.exact import posterior
from noise2mask.analysis.oracles.filters import gaussian, median, pixel
from noise2mask.analysis.oracles.noisy_masks import Floats, Levels, Masks, NoisyMasks
from noise2mask.analysis.oracles.regression import multiscale
from noise2mask.analysis.oracles.thresholds import Scores

Oracle = Callable[[NoisyMasks, NoisyMasks], Scores]

ORACLES: Mapping[str, Oracle] = {
    "pixel": pixel,
    "gaussian": gaussian,
    "median": median,
    "multiscale": multiscale,
    "posterior": posterior,
}
"""By name. Options are bound with ``functools.partial``; `posterior` is for low resolution."""

COLUMNS = (
    "oracle", "t", "log_snr", "case", "width", "mse_width", "dice", "iou", "mse_x0", "mse_eps",
    "floor",
)  # fmt: skip


def case_curves(
    train: Masks,
    test: Masks,
    levels: Levels,
    *,
    oracles: Mapping[str, Oracle],
    train_cases: Sequence[str] | None = None,
    test_cases: Sequence[str] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Scores of every test case, a row for each oracle, level and case.

    Columns are :data:`COLUMNS`: `width` and `mse_width` of the filter in pixels, chosen on the
    training masks for Dice and for the squared error; `dice` and `iou` of the thresholded
    estimate, `mse_x0` for levels -1 and +1, `mse_eps` = SNR mse_x0 (both means over pixels), and
    `floor`, the Dice of all foreground.

    Args:
        train: bool (N, H, W), masks that everything is chosen and fitted on.
        test: bool (M, H, W), masks that are scored.
        levels: noise levels.
        oracles: by name, e.g. a part of :data:`ORACLES`.
        train_cases: names of the training cases; by default "train 0", "train 1", ...
        test_cases: names of the test cases; by default "test 0", "test 1", ...
        seed: of the noise.

    Raises:
        ValueError: the masks are not boolean (N, H, W), or there is no mask to fit or to score.
    """
    if len(train) == 0 or len(test) == 0:
        raise ValueError(f"masks to fit and to score are needed, got {len(train)} and {len(test)}")
    names = _named("train", train, train_cases), _named("test", test, test_cases)
    floor = all_foreground(test)
    tables = []
    for t, log_snr in zip(levels.t.tolist(), levels.log_snr.tolist(), strict=True):
        seen, held_out = (
            NoisyMasks(masks, cases, t, log_snr, seed)
            for masks, cases in zip((train, test), names, strict=True)
        )
        for name, oracle in oracles.items():
            scores = oracle(seen, held_out)
            row = {"oracle": name, "t": t, "log_snr": log_snr, "case": names[1], "floor": floor}
            row |= scores._asdict() | {"mse_eps": math.exp(log_snr) * scores.mse_x0}
            tables.append(pd.DataFrame(row))
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)]


def mean_curve(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over cases of a table of :func:`case_curves`; oracles and levels in their order."""
    keys = ["oracle", "t", "log_snr"]
    return table.drop(columns="case").groupby(keys, sort=False).mean().reset_index()


def all_foreground(masks: Masks) -> Floats:
    """Dice of each mask (N, H, W) with an image that is all foreground, (N,)."""
    share = masks.mean(axis=(1, 2))
    return np.asarray(2 * share / (1 + share))


def _named(role: str, masks: Masks, cases: Sequence[str] | None) -> list[str]:
    return [f"{role} {number}" for number in range(len(masks))] if cases is None else list(cases)
