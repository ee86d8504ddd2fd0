"""How far masks grow where a dataset is resized as published codes do it, without any training.

MedSegDiff (arXiv 2211.00611) and others resize masks like images, interpolated, and take all above
0 for foreground. What that does to a mask is a matter of the resolution: every object gains up to
one new pixel on each side, and a pixel is the smaller the more of them there are.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from noise2mask.data.prepared import SPLITS, Split, open_split
from noise2mask.evaluation.bootstrap import Resampling, estimate_mean
from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.metrics import dice
from noise2mask.evaluation.tables import save_table

Prepare = Callable[[int, Literal["area", "grown"], Path], object]
"""Prepares the dataset at a resolution, masks resized in one of both ways, to a folder."""

CASE_COLUMNS = ("resolution", "case", "group", "dice", "area")


def grown_masks(prepare: Prepare, resolutions: Sequence[int]) -> pd.DataFrame:
    """Grown beside proper masks, a row for each resolution and case.

    Columns: resolution (pixels), case, group, `dice` of the grown mask against the proper one and
    `area`, the grown mask's foreground over that of the proper one (NaN where that is empty).
    `prepare` prepares the same cases every time; resolutions are sides in pixels.

    Raises:
        UserError: as ``data.prepare.prepare``.
    """
    rows = []
    for resolution in resolutions:
        with tempfile.TemporaryDirectory() as folder:
            ways: dict[str, list[Split]] = {}
            for way in ("area", "grown"):
                prepare(resolution, way, Path(folder) / way)
                ways[way] = [
                    open_split(Path(folder) / way, split, purpose="evaluation") for split in SPLITS
                ]
            for proper, grown in zip(ways["area"], ways["grown"], strict=True):
                for case, group, mask, other in zip(
                    proper.ids, proper.groups, proper.masks, grown.masks, strict=True
                ):
                    area = other.sum() / mask.sum() if mask.any() else np.nan
                    score = dice(other.astype(bool), mask.astype(bool))
                    rows.append((resolution, case, group, score, area))
    return pd.DataFrame(rows, columns=list(CASE_COLUMNS))


def write_grown(prepare: Prepare, resolutions: Sequence[int], out: Path) -> None:
    """Write the table of :func:`grown_masks` as CSV."""
    save_table(grown_masks(prepare, resolutions), out, record=True)


def grown_table(cases: pd.DataFrame, *, resampling: Resampling) -> pd.DataFrame:
    """Means over the cases of each dataset and resolution, Dice with its interval over units."""
    rows = []
    for key, found in cases.groupby(["dataset", "resolution"], sort=False):
        units = [str(group) for group in found["group"]]
        score = estimate_mean(found["dice"], units=units, resampling=resampling)
        mean, low, high, n = score.interval()
        rows.append((*key, mean, low, high, found["area"].mean(), n))
    return pd.DataFrame(rows, columns=list(COLUMNS["grown_masks"]))
