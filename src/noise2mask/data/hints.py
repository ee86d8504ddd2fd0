"""What numbers and names hint at before anything is trained, in sentences.

Hints refuse nothing: a name can look like that of a tile and be none, and a mask can reach the
border of its image.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from noise2mask.data.source import Mask, some
from noise2mask.data.splits import SPLITS, shared

FEW_UNITS = 3
"""Test units below which no spread can be estimated."""

INVERTED = 0.8
"""Share of foreground on the image's border whose median is taken as a sign of inverted masks.

Of 18 public sets (radiology, endoscopy, dermoscopy, fundus, histology, cells) the median is at most
.56 as they are; inverted, it is above .83 in 15 of them and .44 to .51 in the three sets of tissue
regions, which fill their images either way.
"""


class _Names(NamedTuple):
    """A way in which names tell that cases belong together; the first group is what they share."""

    pattern: str
    cases: str
    units: str
    least: int  # so many different units at least, or the part may as well be a class


_NAMES = (
    _Names(r"^(.*?TCGA-\w{2}-\w{4})", "sections", "patient", 1),
    _Names(r"^(.+?)[_\- ]?(?:[yr](?:ow)?\d+[_\-]?[xc](?:ol)?\d+|x\d+[_\-]?y\d+)$",
           "tiles", "slide or image", 1),
    _Names(r"^(.*\d)[_\- ]?(?:[LR]|OD|OS|left|right)$", "eyes or sides", "person", 2),
    _Names(r"^((?:p|pat|patient|sub|subject|case|v|vol|volume|slide|s)[_\-]?\d+)[_\-].+$",
           "pictures", "patient, volume or slide", 2),
    _Names(r"^(.+?)[_\- ](?:slice|sl|frame|fr|z|t|img|patch|tile|crop|part|section|view)[_\-]?\d+$",
           "slices, frames or crops", "volume or image", 2),
    _Names(r"^(.*\d.*?)[_\-]\d+$", "numbered pictures", "patient, volume or slide", 4),
)  # fmt: skip


def of_ids(ids: Sequence[str], groups: Sequence[str], splits: Sequence[str]) -> Iterator[str]:
    """Whether the names of groups tell that several are of one patient, and splits divide these.

    Args:
        ids: of the cases.
        groups: of the cases, the ids themselves where nothing is known.
        splits: of the cases.
    """
    for names in _NAMES:
        unit_of = _units(sorted(set(groups)), names)
        if not unit_of:
            continue
        units = [unit_of.get(group, group) for group in groups]
        torn = shared(units, splits)
        if not torn:
            continue
        tests = [
            id
            for id, unit, split in zip(ids, units, splits, strict=True)
            if split == "test" and unit in torn
        ]
        whole = sum(split == "test" for split in splits)
        example = next(iter(torn))
        alike = [group for group in dict.fromkeys(groups) if unit_of.get(group) == example]
        pattern = _short(unit_of, names)
        yield (
            f"leak?: by their names ({some(alike, 2)}) several cases are {names.cases} of one "
            f"{names.units}, and {len(torn)} of these lie in several splits; {len(tests)} of "
            f"{whole} test cases are concerned. If so, set `group_pattern` to {pattern!r}."
        )
        return


def _short(unit_of: Mapping[str, str], names: _Names) -> str:
    """The simplest pattern that finds the same units."""
    for pattern in (r"^([^_]+)_", r"^([^-]+)-", r"^(.+)_", r"^(.+)[LR]$", r"^(.+)-"):
        found = {group: re.match(pattern, group) for group in unit_of}
        if all(match and match[1] == unit_of[group] for group, match in found.items()):
            return pattern
    return f"(?i){names.pattern}"


def _units(groups: Sequence[str], names: _Names) -> Mapping[str, str]:
    """The unit of each group whose name has that form; empty if it is not a form of this set."""
    found = {group: match[1] for group in groups if (match := re.match(names.pattern, group, re.I))}
    if len(found) < 0.9 * len(groups):
        return {}
    sizes = Counter(found.values())
    several = len(sizes) < len(found) and len(sizes) >= names.least
    too_large = names.least > 1 and max(sizes.values(), default=0) > len(groups) / 2
    return found if several and not too_large else {}


def of_units(units: Mapping[str, int]) -> Iterator[str]:
    """Whether a split has too few independent cases for what is said of it."""
    if units[SPLITS[2]] < FEW_UNITS:
        count = units[SPLITS[2]]
        yield (
            f"test holds {count} independent unit{'s' * (count != 1)} (patients, slides): with "
            f"fewer than {FEW_UNITS} no spread can be estimated, so nothing can be concluded from "
            "its scores."
        )


def border_share(mask: Mask) -> float:
    """Share of foreground among the pixels on the border of a mask (H, W)."""
    height, width = mask.shape
    inside = max(0, height - 2) * max(0, width - 2)
    total = int(mask.sum()) - (int(mask[1:-1, 1:-1].sum()) if inside else 0)
    return total / float(height * width - inside)


def of_borders(shares: Sequence[float]) -> Iterator[str]:
    """Whether masks look inverted, by the shares of foreground on their borders."""
    if len(shares) and float(np.median(shares)) > INVERTED:
        yield (
            f"the masks may be inverted: the median image has foreground on "
            f"{np.median(shares):.0%} of its border; look at `noise2mask data check`, and set "
            "`foreground` if so."
        )
