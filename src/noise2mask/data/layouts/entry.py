"""The kind of dataset and its options that list exactly the cases that were found.

Tried are the kind ``folder``, then ``pairs`` with patterns made of the families, then ``table``
with a CSV that names every pair. What the first one lists is compared with what was found, case by
case: same files, same splits, same groups.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from noise2mask import plugins
from noise2mask.data.layouts.cases import Case, Cases
from noise2mask.data.layouts.families import ANY, Family, suffix_of
from noise2mask.data.layouts.matching import Match
from noise2mask.data.layouts.units import Units
from noise2mask.data.layouts.words import SPLIT, SPLIT_WORDS
from noise2mask.data.source import Listing
from noise2mask.data.source import listed as listed_by
from noise2mask.errors import UserError, unknown

Line = tuple[str, str, str, str, str]
"""Image, mask, id, group and split of a line of the CSV."""


@dataclass(frozen=True)
class Plan:
    """A kind, its options, and why they are there."""

    kind: str
    options: Mapping[str, Any]
    reasons: Mapping[str, str] = field(default_factory=dict)
    lines: Sequence[Line] = ()


class Wanted(NamedTuple):
    """What an entry has to list: root, cases, splits and groups."""

    root: Path
    cases: Cases
    splits: Units
    groups: Units


def plans(wanted: Wanted, reading: Mapping[str, Any]) -> Iterator[Plan]:
    """Kinds and options that may list the cases, the plainest first.

    Args:
        wanted: the cases.
        reading: options that say how masks and images are read.
    """
    by_table = "colours" in reading or wanted.cases.strays
    if not by_table:
        if len(wanted.cases.matches) == 1:
            yield from _as_folder(wanted, wanted.cases.matches[0], reading)
        yield from _as_pairs(wanted, reading)
    yield as_table(wanted, reading)


def listing_of(plan: Plan) -> Listing | None:
    """What a plan lists, None if it is refused or its kind lacks an option.

    Raises:
        UserError: an option has a value that its kind does not take.
    """
    if not has_options(plan.kind, plan.options):
        return None
    checked_options(plan.kind, plan.options)
    try:
        return listed_by(plan.kind, plan.options)
    except UserError:
        return None


def lists(listing: Listing, wanted: Wanted) -> bool:
    """Whether a listing holds the cases that were found and no others, in the same splits."""
    places = {case.image.path: case.image.place for case in wanted.cases.cases}
    masks = {case.image.path: frozenset(m.path for m in case.masks) for case in wanted.cases.cases}
    if wanted.cases.missing == "empty":
        masks |= {member.path: frozenset() for member in wanted.cases.unlabelled}
        places |= {member.path: member.place for member in wanted.cases.unlabelled}
    found = {source.payload["image"]: _files(source.payload["mask"]) for source in listing}
    if found != masks or len(listing) != len(masks):
        return False
    splits = {places[source.payload["image"]]: source.split for source in listing}
    said = {place: _split(word) for place, word in wanted.splits.of.items()}
    if any(split != said.get(place) for place, split in splits.items()):
        return False
    partition: dict[str, set[str]] = defaultdict(set)
    for source in listing:
        partition[source.group].add(places[source.payload["image"]])
    together: dict[str, set[str]] = defaultdict(set)
    for place in splits:
        together[wanted.groups.of.get(place, f"only {place}")].add(place)
    return _parts(partition) == _parts(together)


def _parts(groups: Mapping[str, set[str]]) -> set[frozenset[str]]:
    return {frozenset(places) for places in groups.values()}


def _files(mask: Path | tuple[Path, ...]) -> frozenset[Path]:
    return frozenset([mask] if isinstance(mask, Path) else mask)


def _split(word: str) -> str:
    return SPLIT_WORDS.get(word.lower(), word)


def _split_of(wanted: Wanted) -> dict[str, Any]:
    """The option `split_of`, where the words are others than those of splits."""
    words = sorted(set(wanted.splits.of.values()))
    if all(word == _split(word) for word in words):
        return {}
    return {"split_of": {word: _split(word) for word in words}}


# A folder of images and one of masks ----------------------------------------------------------


def _as_folder(wanted: Wanted, match: Match, reading: Mapping[str, Any]) -> Iterator[Plan]:
    """Plans of the kind `folder`, whatever of the files may fit them."""
    images, masks = match.images, match.masks
    stem = f"{images.head}{images.tail}"
    if wanted.cases.together != "refuse" or wanted.cases.missing != "refuse" or match.way.by_folder:
        return
    ending = f"{masks.tail}{masks.indexed or ''}"
    if not ending.startswith(images.tail) or masks.head != images.head or SPLIT in stem + ending:
        return
    suffix = ending.removeprefix(images.tail)
    for shared, image_folder, mask_folder in _folders(images.pattern, masks.pattern):
        options: dict[str, Any] = {"root": str(wanted.root.joinpath(*shared))}
        if image_folder != "images":
            options["images"] = image_folder
        if mask_folder != "masks":
            options["masks"] = mask_folder
        if suffix:
            options["mask_suffix"] = suffix
        yield Plan("folder", {**options, **_units(wanted, shared), **reading})


def _folders(
    images: Sequence[str], masks: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Folders that all lie in, that of images and that of masks."""
    depth = 0
    while depth < min(len(images), len(masks)) and images[depth] == masks[depth]:
        if _varies(images[depth]):
            break
        depth += 1
    shared, images, masks = tuple(images[:depth]), images[depth:], masks[depth:]
    constant = [_constant(part) for part in (images, masks)]
    yield shared, "/".join(constant[0]) or ".", "/".join(constant[1]) or "."
    if images and masks and images[0] == masks[0]:  # root/train/images, root/test/images
        inner = [_constant(part[1:]) for part in (images, masks)]
        yield shared, "/".join(inner[0]) or ".", "/".join(inner[1]) or "."


def _varies(part: str) -> bool:
    return part == ANY or SPLIT in part


def _constant(parts: Sequence[str]) -> list[str]:
    """The first of these folders, up to one that varies."""
    kept = []
    for part in parts:
        if _varies(part):
            break
        kept.append(part)
    return kept


def _units(wanted: Wanted, shared: Sequence[str]) -> dict[str, Any]:
    """Options of splits and groups."""
    options: dict[str, Any] = {}
    if wanted.splits.table:
        up = "/".join([".."] * len(shared))
        options["splits"] = f"{up}/{wanted.splits.table}" if up else wanted.splits.table
    elif wanted.splits.of:
        words = "|".join(sorted(map(escaped, set(wanted.splits.of.values()))))
        options["split_pattern"] = wanted.splits.pattern or f"(?:^|/|_)({words})(?:/|_)"
        if not wanted.splits.pattern and _leads(wanted):
            options["split_pattern"] = f"^({words})/"
    if wanted.splits.of:
        options |= _split_of(wanted)
    if wanted.groups.pattern and not wanted.splits.table:
        options["group_pattern"] = wanted.groups.pattern
    return options


def _leads(wanted: Wanted) -> bool:
    """Whether the split is the name of the first folder that varies."""
    pattern = wanted.cases.matches[0].images.pattern
    return next((part == SPLIT for part in pattern if _varies(part)), False)


# Patterns -------------------------------------------------------------------------------------


def _as_pairs(wanted: Wanted, reading: Mapping[str, Any]) -> Iterator[Plan]:
    """A plan of the kind `pairs`."""
    matches = wanted.cases.matches
    families = {id(match.images): match.images for match in matches}
    by_folder = {match.way.by_folder for match in matches}
    if len(families) > 1 or len(by_folder) > 1 or wanted.splits.table:
        return
    images, masks = matches[0].images, [match.masks for match in matches]
    folder_tells = by_folder.pop()
    channel = matches[0].way.told.endswith("channel")
    words = sorted(set(wanted.splits.of.values()))
    ahead = "".join(
        _ahead(units.pattern, name)
        for units, name in ((wanted.splits, "split"), (wanted.groups, "group"))
        if units.pattern and "/" not in units.pattern
    )
    group_folder = bool(wanted.groups.pattern and "/" in wanted.groups.pattern)
    image = _expression(
        [images], folder_tells, words if not wanted.splits.pattern else [], ahead,
        channel=channel, group_folder=group_folder,
    )  # fmt: skip
    mask = _expression(masks, folder_tells, words if not wanted.splits.pattern else [], "")
    if image is None or mask is None:
        return
    options: dict[str, Any] = {"root": str(wanted.root), "images": image, "masks": mask}
    if wanted.splits.of:
        options |= _split_of(wanted)
    if wanted.cases.together != "refuse":
        options["several"] = wanted.cases.together
    if wanted.cases.missing != "refuse":
        options["missing_mask"] = wanted.cases.missing
    yield Plan("pairs", {**options, **reading})
    # Where the split is in the folders of images alone, that of the masks does not tell it.
    if words and not wanted.splits.pattern:
        bare = _expression(masks, folder_tells, [], "")
        yield Plan("pairs", {**options, "masks": bare, **reading})


def volume_patterns(cases: Cases) -> dict[str, str] | None:
    """The options `images` and `labels` of the kind `volumes`, None if one pattern cannot tell."""
    if len(cases.matches) != 1:
        return None
    match = cases.matches[0]
    found = {
        name: _expression([family], match.way.by_folder, [], "")
        for name, family in (("images", match.images), ("labels", match.masks))
    }
    return {name: text for name, text in found.items() if text} if all(found.values()) else None


def _ahead(pattern: str, name: str) -> str:
    """A pattern on a case's name, to be looked for where its id begins."""
    named = re.sub(r"(?<!\\)\((?!\?)", f"(?P<{name}>", pattern, count=1)
    anywhere = "" if named.startswith("^") else "[^/]*?"
    end = re.sub(r"(?<!\\)\$$", r"\\.[^/.]+$", named.removeprefix("^"))
    return f"(?={anywhere}{end})"


def _expression(
    families: Sequence[Family],
    folder_tells: bool,
    words: Sequence[str],
    ahead: str,
    *,
    channel: bool = False,
    group_folder: bool = False,
) -> str | None:
    """The regular expression on the paths of families, None if one alone cannot tell them."""
    if len({len(family.pattern) for family in families}) != 1:
        return None
    first = families[0]
    last = max((n for n, part in enumerate(first.pattern) if part == ANY), default=None)
    if folder_tells and last is None:
        return None
    parts = []
    for number, names in enumerate(zip(*(family.pattern for family in families), strict=True)):
        if folder_tells and number == last:
            parts.append("(?P<group>(?P<id>[^/]+))" if group_folder else "(?P<id>[^/]+)")
        elif group_folder and number == last:
            parts.append("(?P<group>[^/]+)")
        else:
            parts.append(_one_of([_part(name, words) for name in names]))
    parts = _one_split(parts)
    heads = _one_of([escaped(family.head) for family in families])
    tails = _one_of([_tail(family) for family in families])
    suffixes = sorted({suffix_of(m.place) for family in families for m in family.members})
    ends = _one_of([escaped(suffix[1:]) for suffix in suffixes])
    core = any(member.stem.core for family in families for member in family.members)
    channel_number = r"_\d{4}" if channel else ""
    # A name that only begins with a word of a role, or has none, is the id up to its ending.
    middle = ("[^/]+?" if core else "") if folder_tells else "(?P<id>[^/]+?)"
    beginning = "/".join(["^" + parts[0], *parts[1:], ""]) if parts else "^"
    whole_name = f"{heads}{middle}" if not ahead else f"{ahead}{heads}{middle}"
    anything = folder_tells and all(not f.head and not f.tail for f in families)
    name = "[^/]+" if anything else f"{whole_name}{tails}{channel_number}"
    return f"{beginning}{name}\\.{ends}$"


def _one_split(parts: Sequence[str]) -> list[str]:
    """The parts with one group named split: a name can stand once."""
    seen, result = False, []
    for part in parts:
        if "(?P<split>" in part:
            part = part.replace("(?P<split>", "(?:") if seen else part
            seen = True
        result.append(part)
    return result


def _part(name: str, words: Sequence[str]) -> str:
    if name == ANY:
        return "[^/]+"
    before, split, after = name.partition(SPLIT)
    if not split:
        return escaped(name)
    told = f"(?P<split>{'|'.join(map(escaped, words))})" if words else "[^/]+?"
    return f"{escaped(before)}{told}{escaped(after)}"


def _tail(family: Family) -> str:
    before, split, after = family.tail.partition(SPLIT)
    words = sorted({member.split for member in family.members})
    tail = escaped(before) + (_one_of(words) if split else "") + escaped(after)
    if family.indexed is not None:
        return tail + escaped(family.indexed)
    if any(member.stem.number for member in family.members):
        return tail + r"(?:[_\-. ]?\(?\d+\)?)?"
    return tail


def escaped(text: str) -> str:
    """A text as a regular expression, without backslashes that nobody needs."""
    return re.sub(r"\\([-\s#&~])", r"\1", re.escape(text))


def _one_of(choices: Sequence[str]) -> str:
    different = list(dict.fromkeys(choices))
    return different[0] if len(different) == 1 else f"(?:{'|'.join(different)})"


# A table --------------------------------------------------------------------------------------


def as_table(wanted: Wanted, reading: Mapping[str, Any]) -> Plan:
    """A plan of the kind `table`, which names every pair; its option `table` is still open."""
    cases = list(wanted.cases.cases)
    if wanted.cases.missing == "empty":
        cases += [Case(member, ()) for member in wanted.cases.unlabelled]
    ids = _unique([case.name for case in cases], [case.image.place for case in cases])
    grouped = wanted.groups.of
    lines = []
    for case, id in sorted(zip(cases, ids, strict=True), key=lambda item: item[1]):
        place = case.image.place
        split = _split(wanted.splits.of.get(place, ""))
        about = (id, grouped.get(place, ""), split)
        lines += [(place, mask.place, *about) for mask in case.masks] or [(place, "", *about)]
    options: dict[str, Any] = {"root": str(wanted.root), "table": ""}
    if any(len(case.masks) > 1 for case in cases):
        options["several"] = wanted.cases.together
    if wanted.cases.missing == "empty":
        options["missing_mask"] = "empty"
    return Plan("table", {**options, **reading}, lines=lines)


def _unique(names: Sequence[str], places: Sequence[str]) -> list[str]:
    """The names, with the path instead where one stands twice."""
    twice = {name for name, count in Counter(names).items() if count > 1}
    return [
        place.rsplit(".", 1)[0].replace("/", "_") if name in twice else name
        for name, place in zip(names, places, strict=True)
    ]


def named(plan: Plan, table: Path) -> Plan:
    """A plan of the kind `table` with the path of its CSV."""
    return replace(plan, options={**plan.options, "table": str(table)})


def checked_options(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a kind, as they are.

    Raises:
        UserError: the kind has no such option, or the value is none that it takes.
    """
    model = plugins.options("format", kind)
    try:
        model.model_validate(dict(options))
    except ValidationError as error:
        wrong = error.errors()[0]
        name = str(wrong["loc"][0])
        if wrong["type"] == "extra_forbidden":
            known = unknown(name, "option", list(model.model_fields))
            raise UserError(f"--set {name}: {known}.") from None
        raise UserError(f"option {name} of kind {kind}: {wrong['msg']}.") from None
    return dict(options)


def has_options(kind: str, names: Iterable[str]) -> bool:
    """Whether a kind has options of these names."""
    return set(names) <= plugins.options("format", kind).model_fields.keys()
