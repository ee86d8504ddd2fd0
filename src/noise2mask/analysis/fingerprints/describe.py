"""The fingerprint of a dataset, from its prepared masks: what noise leaves of them, and when.

All cases of all splits are looked at: nothing is trained, and no training sees any of it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from noise2mask.analysis.fingerprints import readability
from noise2mask.analysis.fingerprints.adapted_schedule import linear_log_snr
from noise2mask.analysis.fingerprints.fingerprint import fingerprint
from noise2mask.analysis.information.integral import Bootstrap
from noise2mask.analysis.oracles.noisy_masks import spaced_levels
from noise2mask.analysis.oracles.oracles import ORACLES
from noise2mask.data.prepared import SPLITS, open_split
from noise2mask.files import write_text
from noise2mask.progress import LOG

FILES = ("cases", "curves", "figures", "geometry", "readability")
"""Tables that :func:`describe` writes, a CSV each."""


def describe(
    data: Path,
    oracles: Sequence[str],
    out: Path,
    *,
    spacing: float,
    resamples: int,
    level: float,
) -> None:
    """Write the tables `FILES` of one prepared dataset to a folder.

    `cases`, `curves`, `geometry` and `figures` are those of
    :class:`~noise2mask.analysis.fingerprints.fingerprint.Fingerprint`, `readability` compares masks
    with the images they belong to. Timesteps are those of the linear schedule of 1000, masks -1 and
    +1.

    Args:
        data: folder of the prepared dataset.
        oracles: names of ``analysis.oracles.ORACLES``.
        out: the folder.
        spacing: of levels in log SNR.
        resamples: of the bootstrap.
        level: of the intervals.
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
    tables = {
        "cases": found.cases,
        "curves": found.curves,
        "figures": found.figures.rename_axis("figure").reset_index(),
        "geometry": found.geometry,
        "readability": compared,
    }
    for name, table in tables.items():
        text = table.to_csv(index=False, float_format="%.9g", lineterminator="\n")
        write_text(out / f"{name}.csv", text, record=True)
