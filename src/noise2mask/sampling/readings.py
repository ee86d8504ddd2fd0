"""Masks that were drawn already, read otherwise: fewer, of several trainings, tempered, as JPEG.

A reading leaves a ``draws.npz`` like that of a sampler, so that what is made of draws (scores,
pictures) does not know the difference.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from noise2mask import plugins
from noise2mask.data.prepared import open_split
from noise2mask.errors import UserError
from noise2mask.files import write_json
from noise2mask.sampling.draws import Draws, open_draws, save_draws
from noise2mask.study.schema import Reading


def read(
    reading: Reading,
    fusion: str,
    test: Sequence[Path],
    val: Sequence[Path],
    data: Path,
    out: Path,
    *,
    masks: bool,
) -> None:
    """Write the draws of a reading, and the temperature beside them where one is fitted.

    Args:
        reading: what is read.
        fusion: of the draws, for a temperature.
        test: the ``draws.npz`` of each training on the test cases.
        val: the same on the validation cases; read for a temperature alone.
        data: folder of the prepared dataset.
        out: the ``draws.npz`` of the reading.
        masks: the draws are masks, of which N cannot prove a probability of 0 or 1, and not
            probabilities of their own.

    Raises:
        UserError: a file is missing or damaged, or holds fewer draws than are to be read.
    """
    split = open_split(data, "test", purpose="evaluation", left_out=True)
    draws = _together([open_draws(path, split) for path in test], reading, test[0])
    if reading.temperature:
        from noise2mask.sampling.temperature import fit, scaled  # SciPy's optimisers take a while

        known = open_split(data, "val", purpose="evaluation", left_out=True)
        fuse = plugins.member("fusion", fusion)
        before = _together([open_draws(path, known) for path in val], reading, val[0])
        count = before.shape[1] if masks else None
        fused = np.stack([fuse(case) for case in before])
        judged_by = known.judged_by()
        counted = judged_by <= 1
        everywhere = np.broadcast_to(fused[:, None], judged_by.shape)
        temperature = fit(everywhere[counted], judged_by[counted] == 1, draws=count)
        tempered = scaled(np.stack([fuse(case) for case in draws]), temperature, draws=count)
        draws = tempered.astype(np.float32)[:, None]
        write_json(out.parent / "temperature.json", {"temperature": temperature}, record=True)
    save_draws(out, draws, split.ids)


def _together(parts: Sequence[Draws], reading: Reading, path: Path) -> Draws:
    """The first draws of each training one after another, (cases, N, H, W)."""
    wanted = reading.draws or parts[0].shape[1]
    if wanted > min(part.shape[1] for part in parts):
        raise UserError(
            f"{path} holds {parts[0].shape[1]} draws of each case, fewer than the {wanted} of the "
            f"reading of '{reading.of}': sample it again or give the reading fewer draws."
        )
    together = np.concatenate([part[:, :wanted] for part in parts], axis=1)
    return as_jpeg(together) if reading.storage == "jpeg" else together


def as_jpeg(draws: Draws) -> Draws:
    """Each draw as it comes back from a grey JPEG of Pillow's default quality, 75.

    Published codes keep predictions so (MedSegDiff, arXiv 2211.00611). Probabilities become levels
    from 0 to 255 first; what lies outside [0, 1] is clipped. Compression moves values about edges,
    most in small images.

    Args:
        draws: (..., H, W).
    """
    levels = np.rint(255 * np.clip(draws, 0, 1)).astype(np.uint8)
    for place in np.ndindex(levels.shape[:-2]):
        with io.BytesIO() as file:
            PillowImage.fromarray(levels[place]).save(file, format="JPEG")
            levels[place] = np.asarray(PillowImage.open(file))
    return np.asarray(levels / 255, dtype=np.float32)
