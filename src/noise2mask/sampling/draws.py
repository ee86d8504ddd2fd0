"""The file that draws are kept in, losslessly.

``draws.npz`` holds `draws` float32 (cases, N, H, W), the foreground probability of each draw, and
`cases`, their ids in the order of the split.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from noise2mask.data.prepared import Split
from noise2mask.errors import UserError
from noise2mask.files import checked, write_bytes

Draws = npt.NDArray[np.float32]


def save_draws(path: Path, draws: Draws, cases: Sequence[str]) -> None:
    """Write the file; equal draws give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, draws=draws, cases=np.array(cases))
    write_bytes(path, buffer.getvalue(), record=True)


def open_draws(path: Path, split: Split) -> Draws:
    """The draws of the cases of `split`, (cases, N, H, W).

    Raises:
        UserError: the file is missing or damaged, or holds other cases.
    """
    with np.load(checked(path), allow_pickle=False) as file:
        draws, cases = file["draws"], tuple(str(case) for case in file["cases"])
    if cases != split.ids or draws.shape[2:] != split.masks.shape[1:]:
        raise UserError(
            f"{path} holds other cases than the prepared split ({len(cases)} against "
            f"{len(split.ids)} cases); sample it again."
        )
    return np.asarray(draws, dtype=np.float32)
