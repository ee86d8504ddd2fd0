"""What a check of a dataset finds, in sentences."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from noise2mask.data import hints
from noise2mask.data.checks.measures import SPECK, Finding, Row, Severity, Twin, Twins, measured
from noise2mask.data.source import not_used, some
from noise2mask.data.splits import SPLITS, units

FEW = 5  # cases that a sentence names
FAR = 3  # times the usual width or height, or a fraction of it: an outlying size
_ORDER: tuple[Severity, ...] = ("error", "warning", "note")
_ORDINARY = "matching neither"  # archives hold many other files


@dataclass(frozen=True)
class Circumstances:
    """What is known of a dataset besides its cases.

    Attributes:
        counts: published number of cases per split, or {"all": n}; may be empty.
        refusals: why the cases cannot be split, or their masks not be read.
        unused: what lies beside the cases and is not used, by the reason.
        notes: what was decided when the cases were listed.
        tile: side of tiles, None if images are not cut.
        leaks_accepted: leaks are told, but are no error.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    refusals: tuple[str, ...] = ()
    unused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    tile: int | None = None
    leaks_accepted: bool = False


def findings_of(rows: Sequence[Row], twins: Twins, about: Circumstances) -> tuple[Finding, ...]:
    """All findings, errors first: what keeps cases from being used."""
    found = [
        *_damaged(rows),
        *_refused(rows, about),
        *_leaks(rows, twins, about),
        *_hints(rows, about),
        *_two_masks(rows),
        *_counts(rows, about.counts),
        *_masks(rows),
        *_images(rows, about.tile),
        *_repeats(rows, twins),
    ]
    return tuple(sorted(found, key=lambda finding: _ORDER.index(finding.severity)))


def listed(names: Sequence[str]) -> str:
    """The first few names: ``a, b, c, d, e and 7 more``."""
    rest = len(names) - FEW
    return ", ".join(names[:FEW]) + (f" and {rest} more" if rest > 0 else "")


def _are(count: int, noun: str, one: str, many: str) -> str:
    """``1 image is`` or ``3 images are``."""
    first, space, rest = noun.partition(" ")
    return f"{count} {noun} {one}" if count == 1 else f"{count} {first}s{space}{rest} {many}"


# Files and splits -----------------------------------------------------------------------------


def _damaged(rows: Sequence[Row]) -> Iterator[Finding]:
    """One finding for each cause: what many cases share is told once, with three of them."""
    cases = defaultdict(list)
    for row in rows:
        if row.measures is None:
            cases[_kind_of(row)].append(row)
    for alike in cases.values():
        ids = [row.id for row in alike]
        same = len({row.damage for row in alike}) == 1
        named = listed(ids) if same else some(ids)
        first = "" if same else f"{ids[0]}: "
        text = f"{len(ids)} case{'s' * (len(ids) > 1)} cannot be used ({named}): {first}"
        yield Finding("error", text + alike[0].damage, tuple(ids))


def _kind_of(row: Row) -> str:
    """The sentence without what differs from case to case: paths, names and numbers."""
    plain = row.damage.replace(row.id, "...")
    return re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "#", re.sub(r"\S*/\S*", "...", plain))


def _refused(rows: Sequence[Row], about: Circumstances) -> Iterator[Finding]:
    splits, cases = defaultdict(set), defaultdict(list)
    for row in rows:
        if split := row.official or row.split:
            splits[row.group].add(split)
            cases[row.group].append(row.id)
    torn = [group for group in splits if len(splits[group]) > 1]
    if torn:
        told = [f"{group} ({', '.join(sorted(splits[group]))})" for group in torn]
        text = f"{_are(len(torn), 'group', 'lies', 'lie')} in several splits: {listed(told)}"
        yield Finding(
            "warning" if about.leaks_accepted else "error",
            f"{text}; all cases of a group (patient, slide) must be in one, so change the splits "
            "or the groups.",
            tuple(id for group in torn for id in cases[group]),
        )
    for refusal in about.refusals:
        if not (torn and refusal.startswith("the group ")):
            yield Finding("error", refusal)


def _hints(rows: Sequence[Row], about: Circumstances) -> Iterator[Finding]:
    """What names and numbers hint at, and what is not used."""
    for reason, names in about.unused.items():
        severity: Severity = "note" if reason.startswith(_ORDINARY) else "warning"
        yield Finding(severity, not_used(reason, names))
    for note in about.notes:
        yield Finding("warning", note)
    ids, groups, splits = (
        [getattr(row, name) for row in rows] for name in ("id", "group", "split")
    )
    if all(splits):
        for hint in (*hints.of_ids(ids, groups, splits), *hints.of_units(units(groups, splits))):
            yield Finding("warning", hint)


def _counts(rows: Sequence[Row], counts: Mapping[str, int]) -> Iterator[Finding]:
    official = Counter(row.official for row in rows)
    if "all" in counts or None in official:  # without official splits only the sum can be compared
        here, published = {"all": len(rows)}, {"all": sum(counts.values())} if counts else {}
    else:
        here, published = {split: official[split] for split in SPLITS}, dict(counts)
    different = [
        f"{'' if split == 'all' else split + ': '}{here.get(split, 0)} instead of {number}"
        for split, number in published.items()
        if here.get(split, 0) != number
    ]
    if different:
        text = f"the number of cases is not the published one ({', '.join(different)})."
        yield Finding("warning", text)


# Masks and images -----------------------------------------------------------------------------


def _masks(rows: Sequence[Row]) -> Iterator[Finding]:
    known = measured(rows)
    empty = [row.id for row, each in known if each.area == 0]
    full = [row.id for row, each in known if each.foreground == 1]
    kinds: list[tuple[list[str], str, Severity]] = [
        (empty, "foreground", "note"),
        (full, "background", "warning"),
    ]
    for ids, lack, severity in kinds:
        if ids and len(ids) == len(known):
            yield Finding(
                "error",
                f"all {len(ids)} masks have no {lack}; check the options that say which values are "
                "foreground.",
                tuple(ids),
            )
        elif ids:
            text = f"{_are(len(ids), 'mask', 'has', 'have')} no {lack}: {listed(ids)}."
            yield Finding(severity, text, tuple(ids))
    if len(full) < len(known):
        for hint in hints.of_borders([each.border for _, each in known if each.area]):
            yield Finding("warning", hint)
    tiny = [row.id for row, each in known if 0 < each.area < SPECK]
    if tiny:
        text = f"{_are(len(tiny), 'mask', 'has', 'have')} fewer than {SPECK} pixels of foreground"
        yield Finding("warning", f"{text}: {listed(tiny)}.", tuple(tiny))
    specks = [row.id for row, each in known if each.specks and each.area >= SPECK]
    if specks:
        text = f"{_are(len(specks), 'mask', 'has', 'have')} objects of fewer than {SPECK} pixels"
        yield Finding("note", f"{text} beside larger ones: {listed(specks)}.", tuple(specks))


def _images(rows: Sequence[Row], tile: int | None) -> Iterator[Finding]:
    known = measured(rows)
    small = [row.id for row, each in known if min(each.width, each.height) < (tile or 0)]
    if small:
        text = f"{_are(len(small), 'image', 'is', 'are')} smaller than a tile of {tile} pixels"
        yield Finding("note", f"{text} and padded: {listed(small)}.", tuple(small))
    constant = [row.id for row, each in known if each.constant]
    if constant:
        text = f"{_are(len(constant), 'image', 'is', 'are')} of one grey level or colour"
        yield Finding("warning", f"{text}: {listed(constant)}.", tuple(constant))
    sizes = np.array([(each.width, each.height) for _, each in known], dtype=np.int64).reshape(
        -1, 2
    )
    if len(np.unique(sizes, axis=0)) > 1:
        ends = zip(sizes.min(axis=0), sizes.max(axis=0), strict=True)
        width, height = (" to ".join(map(str, dict.fromkeys(end))) for end in ends)
        number = len(np.unique(sizes, axis=0))
        text = f"sizes vary: {number} different ones, width {width}, height {height} pixels."
        yield Finding("note", text)
        ratio = sizes / np.median(sizes, axis=0)
        far = ((ratio > FAR) | (ratio < 1 / FAR)).any(axis=1)
        odd = [(row, each) for (row, each), outlying in zip(known, far, strict=True) if outlying]
        if odd:
            told = [f"{row.id} ({each.width} x {each.height})" for row, each in odd]
            text = f"{_are(len(odd), 'image', 'is', 'are')} more than {FAR} times larger or smaller"
            ids = tuple(row.id for row, _ in odd)
            yield Finding("note", f"{text} than usual: {listed(told)}.", ids)
    grey = sum(each.channels == 1 for _, each in known)
    if 0 < grey < len(known):
        verb = "is" if grey == 1 else "are"
        yield Finding(
            "note", f"{grey} of {len(known)} images {verb} grey, the others have colours."
        )


# Duplicates -----------------------------------------------------------------------------------


def _leaks(rows: Sequence[Row], twins: Twins, about: Circumstances) -> Iterator[Finding]:
    """Pairs across splits: equal ones, which are refused unless accepted, and similar ones."""
    split = {row.id: row.split for row in rows}
    across = [pair for pair in twins.pairs if split[pair.first] != split[pair.second]]
    for text, pairs in _told(across, split):
        refused = pairs[0].exact and not about.leaks_accepted
        yield Finding(
            "error" if refused else "warning",
            f"leak: {text} in two splits; scores are too good unless the cases of a pair are in "
            "one split.",
            _ids(pairs),
        )


def _repeats(rows: Sequence[Row], twins: Twins) -> Iterator[Finding]:
    """Pairs within a split, and numbers of pairs within groups."""
    split = {row.id: row.split for row in rows}
    inside = [pair for pair in twins.pairs if split[pair.first] == split[pair.second]]
    for text, pairs in _told(inside, split):
        yield Finding("note", f"{text} in one split.", _ids(pairs))
    for count, alike in (
        (twins.exact_within_groups, "has the same image"),
        (twins.near_within_groups, "looks alike"),
    ):
        if count:
            one, many = alike, alike.replace("has", "have").replace("looks", "look")
            yield Finding("note", f"{_are(count, 'pair', one, many)} within a group.")
    if not twins.complete:
        yield Finding(
            "note",
            "so many images look alike that only the most similar pairs are told.",
        )


def _two_masks(rows: Sequence[Row]) -> Iterator[Finding]:
    cases, masks = defaultdict(list), defaultdict(set)
    for row, each in measured(rows):
        if not each.constant:
            cases[each.image_pixels].append(row.id)
            masks[each.image_pixels].add(each.mask_pixels)
    several = [cases[image] for image in cases if len(masks[image]) > 1]
    if several:
        told = [" = ".join(ids) for ids in several]
        yield Finding(
            "warning",
            f"{_are(len(several), 'image', 'has', 'have')} different masks in different cases: "
            f"{listed(told)}.",
            tuple(id for ids in several for id in ids),
        )


def _told(pairs: Sequence[Twin], split: Mapping[str, str]) -> Iterator[tuple[str, Sequence[Twin]]]:
    """``2 pairs of cases (a (train) and b (test), ...) show the same image``, and which."""
    for exact, alike in ((True, "the same image"), (False, "nearly the same image")):
        chosen = [pair for pair in pairs if pair.exact == exact]
        if chosen:
            told = []
            for pair in chosen:
                first, second = (split[id] or "no split" for id in (pair.first, pair.second))
                turned = f", {pair.orientation}" if pair.orientation else ""
                told.append(f"{pair.first} ({first}) and {pair.second} ({second}{turned})")
            subject = f"pair of cases ({listed(told)})"
            yield f"{_are(len(chosen), subject, 'shows', 'show')} {alike}", chosen


def _ids(pairs: Sequence[Twin]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(id for pair in pairs for id in (pair.first, pair.second)))
