"""Several masks of one image: parts of it, or readings of several annotators.

`several` says it in the study, with the same words in every kind of dataset that finds several
masks for an image. Of annotators one mask is made, which overlap is scored against, and all of them
are kept: draws are compared with each, and with `soft` networks learn the share of annotators that
mark a pixel, and probabilities are calibrated to every annotator's word on it.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from noise2mask.data.source import Mask

Several = Annotated[
    Literal["refuse", "union", "majority", "staple", "soft"] | Annotated[int, Field(ge=1)],
    Field(
        description="of one image's masks: refused; parts that are united; or of annotators what "
        "most mark, their STAPLE, their mean as the target of training, or the one of this number"
    ),
]


def annotated(several: str | int) -> bool:
    """Whether the masks of an image are of several annotators."""
    return several not in ("refuse", "union")


def together(masks: Sequence[Mask], several: str | int) -> Mask:
    """One mask (H, W) of several of an image.

    Of "majority" and "soft" it is what more than half of them mark, of "staple" what is likelier
    than not by :func:`staple`, of a number that mask, and else what any marks.
    """
    if isinstance(several, int):
        return masks[several - 1]
    count: npt.NDArray[np.int64] = np.sum(masks, axis=0)
    if several in ("majority", "soft"):
        return 2 * count > len(masks)
    if several == "staple":
        return np.asarray(staple(np.stack(masks)) > 0.5)
    return count > 0


def staple(masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Probability of foreground given how sensitive and specific each mask is found to be, (H, W).

    By expectation-maximisation (Warfield, Zou & Wells, IEEE TMI 23, 2004). Masks that all agree
    everywhere leave nothing to estimate, and are themselves the result.

    Args:
        masks: (N, H, W).
    """
    if (masks == masks[0]).all():
        return np.asarray(masks[0], dtype=np.float64)
    import SimpleITK as sitk  # noqa: N813 - takes half a second, and is rarely needed

    # Pixels are independent of each other, but the filter wants an image.
    images = [sitk.GetImageFromArray(mask.astype(np.uint8).reshape(1, -1)) for mask in masks]
    fused = sitk.GetArrayFromImage(sitk.STAPLE(images, 1.0))
    return np.asarray(fused, dtype=np.float64).reshape(masks.shape[1:])
