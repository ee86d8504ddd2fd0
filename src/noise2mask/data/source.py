"""What every kind of dataset gives: its sources, cheaply, and each one's arrays on request.

A kind is a module in this package with two functions at its top level::

    def sources(*, <options>) -> list[Source]                  ids, groups, splits; decodes nothing
    def load(source: Source) -> tuple[Image, Mask]             decodes one, in any process
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]  # (H, W, C), C is 1 (grey) or 3 (RGB)
Mask = npt.NDArray[np.bool_]  # (H, W), True is foreground


@dataclass(frozen=True)
class Source:
    """One raw image and its mask, not yet decoded.

    Attributes:
        id: unique within the dataset.
        group: cases of one group (patient, slide) never lie in two splits.
        split: the official split, or None.
        payload: what `load` needs, e.g. the paths "image" and "mask"; picklable.
    """

    id: str
    group: str
    split: str | None
    payload: Mapping[str, Any]
