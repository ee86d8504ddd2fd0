"""Which masks belong to which images, found by the names alone.

Names are compared in several ways, from the strictest (same folders, split and name) to numbers
alone; the first that gives most files a partner counts, and it is told.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from noise2mask.data.layouts.families import Family, Member, by_last_run

_CHANNEL = re.compile(r"_\d{4}$")
_ENOUGH = 0.5
"""Share of the masks that need an image for two families to belong together."""


@dataclass(frozen=True)
class Way:
    """A way to compare names.

    Attributes:
        told: what must be equal.
        key: of a file; None where it has none.
        by_folder: what tells a case is its folder.
    """

    told: str
    key: Callable[[Member], Hashable | None]
    by_folder: bool = False


def _core(member: Member) -> str:
    stem = member.stem
    core = stem.core if stem.core or not stem.number else re.sub(r"\D", "", stem.number)
    return core.casefold()


def _channel_free(member: Member) -> str:
    return _CHANNEL.sub("", _core(member))


def _numbers(member: Member) -> Hashable | None:
    return tuple(int(number) for number in re.findall(r"\d+", _core(member))) or None


WAYS = (
    Way("folders and name", lambda m: (m.split, m.folders, _core(m)) if _core(m) else None),
    Way("folders and name", lambda m: (m.folders, _core(m)) if _core(m) else None),
    Way("name", lambda m: (m.split, _core(m)) if _core(m) else None),
    Way("name", lambda m: _core(m) or None),
    Way("name without the number of a channel", lambda m: _channel_free(m) or None),
    Way("folder", lambda m: (m.split, m.folders) if m.folders else None, by_folder=True),
    Way("folder", lambda m: m.folders or None, by_folder=True),
)  # fmt: skip
NUMBERS = (
    Way("numbers in the name", lambda m: (m.split, m.folders, _numbers(m)) if _numbers(m) else
        None),
    Way("numbers in the name", lambda m: (m.split, _numbers(m)) if _numbers(m) else None),
)  # fmt: skip


@dataclass(frozen=True)
class Match:
    """A family of images and one of masks that belong together.

    Attributes:
        images: the family.
        masks: the family.
        way: how the names were compared.
        masks_of: masks of each image that has some, by the place of the image.
        lonely_images: images without a mask.
        lonely_masks: masks without an image.
    """

    images: Family
    masks: Family
    way: Way
    masks_of: dict[str, tuple[Member, ...]]
    lonely_images: tuple[Member, ...]
    lonely_masks: tuple[Member, ...]

    @property
    def most(self) -> int:
        """The largest number of masks of an image."""
        return max(map(len, self.masks_of.values()), default=0)


def match(images: Family, masks: Family, ways: Sequence[Way] = WAYS) -> Match | None:
    """How two families belong together, None if they do not."""
    best: Match | None = None
    for way in ways:
        found = _by(way, images, masks)
        if found is not None and (best is None or _fit(found) > _fit(best)):
            best = found
    return best


def _fit(found: Match) -> tuple[int, int]:
    return (-len(found.lonely_masks), len(found.masks_of))


def _by(way: Way, images: Family, masks: Family) -> Match | None:
    of: dict[Hashable, Member] = {}
    for member in images.members:
        key = way.key(member)
        if key is None:
            continue
        if key in of:
            return None  # two images of one key: it does not tell cases apart
        of[key] = member
    taken: dict[str, list[Member]] = defaultdict(list)
    lonely = []
    for member in masks.members:
        key = way.key(member)
        image = of.get(key) if key is not None else None
        if image is None:
            lonely.append(member)
        else:
            taken[image.place].append(member)
    if not taken or len(lonely) > (1 - _ENOUGH) * len(masks.members):
        return None
    if way in NUMBERS and any(len(each) > 1 for each in taken.values()):
        return None
    alone = tuple(member for member in images.members if member.place not in taken)
    return Match(
        images,
        masks,
        way,
        {place: tuple(members) for place, members in sorted(taken.items())},
        alone,
        tuple(lonely),
    )


def matches_among(families: Sequence[Family]) -> list[Match]:
    """Every family of masks with the families of images that it belongs to."""
    masks = [family for family in families if family.role == "mask"]
    images = [family for family in families if family.role != "mask"]
    found = list(_matched(images, masks, WAYS))
    for family in masks:
        if any(each.masks is family for each in found):
            continue
        parts = [part for image in images for part in by_last_run(image)]
        found += _matched(parts, [family], WAYS) or _matched(images, [family], NUMBERS)
    return found


def _matched(images: Iterable[Family], masks: Sequence[Family], ways: Sequence[Way]) -> list[Match]:
    found = (match(image, mask, ways) for image in images for mask in masks)
    return [each for each in found if each is not None]
