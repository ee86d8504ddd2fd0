"""What a check of a dataset measures and keeps, case by case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import ndimage

from noise2mask.data.hints import border_share
from noise2mask.data.source import Image, Mask, Source

Severity = Literal["error", "warning", "note"]
SPECK = 4  # pixels; smaller objects are specks


@dataclass(frozen=True)
class Measures:
    """What is measured of one image (H, W, C) and its mask (H, W).

    Attributes:
        width: of the raw image, pixels.
        height: of the raw image, pixels.
        channels: 1 or 3.
        image_sha256: of the image's file, or of its pixels where it has no file of its own.
        mask_sha256: the same of the mask.
        foreground: its share of the image.
        objects: parts of the foreground that touch nowhere, not even at a corner.
        largest: share of the foreground that is the largest object; None without foreground.
        boundary: length of the foreground's boundary per foreground pixel, in 1/pixel; the
            boundary is π/4 times the sides of pixels between foreground and background, which is
            right on average over directions. None without foreground.
        touches_border: whether the foreground reaches the border of the image.
        border: share of foreground on that border.
        mean_grey: mean over pixels and channels, 0 to 255.
        area: foreground in pixels.
        specks: objects of fewer than :data:`SPECK` pixels.
        constant: whether all pixels of the image are equal.
        image_pixels: digest of the decoded image.
        mask_pixels: digest of the decoded mask.
    """

    width: int
    height: int
    channels: int
    image_sha256: str
    mask_sha256: str
    foreground: float
    objects: int
    largest: float | None
    boundary: float | None
    touches_border: bool
    border: float
    mean_grey: float
    area: int
    specks: int
    constant: bool
    image_pixels: str
    mask_pixels: str


@dataclass(frozen=True)
class Row:
    """One case.

    `official` is the split that the dataset brings, or None; `split` the one it is used in, ""
    if none can be given. Of a case that cannot be read, `measures` is None and `damage` says why.
    """

    id: str
    group: str
    official: str | None
    split: str
    measures: Measures | None
    damage: str = ""


@dataclass(frozen=True)
class Twin:
    """Two cases that show the same picture.

    `exact` means equal pixels; otherwise `agreement` (at most 1) says how much they agree and
    `orientation` what was done to the second to fit the first, "" if nothing.
    """

    first: str
    second: str
    exact: bool
    agreement: float
    orientation: str


@dataclass(frozen=True)
class Twins:
    """All pairs of cases of different groups that show the same picture.

    Of several equal images the first one is paired with each of the others, and it alone is
    compared with the rest. Within groups pairs are only counted. `complete` is False if there were
    too many look-alikes to keep all.
    """

    pairs: tuple[Twin, ...] = ()
    exact_within_groups: int = 0
    near_within_groups: int = 0
    complete: bool = True


@dataclass(frozen=True)
class Finding:
    """One sentence about a dataset, and all cases that it is about."""

    severity: Severity
    text: str
    cases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """A checked dataset; `rows` and `sources` are sorted by id and belong to each other.

    `reading` says how each group of equal files is read; `usable` is whether it can be prepared.
    """

    name: str
    title: str
    kind: str
    options: Mapping[str, Any]
    rows: tuple[Row, ...]
    twins: Twins
    findings: tuple[Finding, ...]
    sources: tuple[Source, ...]
    reading: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether nothing was found that keeps cases from being used."""
        return all(finding.severity != "error" for finding in self.findings)


def measured(rows: Sequence[Row]) -> list[tuple[Row, Measures]]:
    """The rows that could be read, with their measures."""
    return [(row, row.measures) for row in rows if row.measures is not None]


def measure(image: Image, mask: Mask, digests: Mapping[str, str]) -> Measures:
    """Measure one image (H, W, C) and its mask (H, W).

    Args:
        image: the raw image.
        mask: its mask, of the same height and width.
        digests: the four fields of :class:`Measures` that are digests.
    """
    border = border_share(mask)
    labels, objects = ndimage.label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=1)[1:]
    area = int(areas.sum())
    sides = sum(int(np.count_nonzero(np.diff(mask, axis=axis))) for axis in (0, 1))
    return Measures(
        **digests,
        width=mask.shape[1],
        height=mask.shape[0],
        channels=image.shape[2],
        foreground=area / mask.size,
        objects=objects,
        largest=int(areas.max()) / area if area else None,
        boundary=np.pi / 4 * sides / area if area else None,
        touches_border=border > 0,
        border=border,
        mean_grey=float(image.mean()),
        area=area,
        specks=int((areas < SPECK).sum()),
        constant=bool((image == image[:1, :1]).all()),
    )
