"""The files of a folder by how they are called: those of one family differ in what tells a case.

A family is a pattern of folders, a beginning and an ending of names. Folders that say "image",
"mask" or a split are part of the pattern, others tell cases apart:
``train/masks/p1_mask.png`` and ``test/masks/p2_mask.png`` are ``<split>/masks/*_mask.png``.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from noise2mask.data.formats.image_files import stem_of
from noise2mask.data.formats.listing import files_below
from noise2mask.data.formats.spatial_files import companions
from noise2mask.data.layouts.words import SPLIT, Role, Stem, role_of, split_in, stem_parts
from noise2mask.data.source import some
from noise2mask.errors import UserError

ANY = "*"
_PACKED = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz")
_WORDY = 3  # files that an ending without known word must share


Name = tuple[tuple[str, ...], str, str]
"""Folders, split and core of a file."""


class Member(NamedTuple):
    """One file of a family.

    Attributes:
        path: where it is.
        place: its path below the folder, with ``/``.
        folders: names of the folders that tell cases apart, outermost first.
        split: the word of its path that tells a split, "" if none does.
        stem: the parts of its name.
    """

    path: Path
    place: str
    folders: tuple[str, ...]
    split: str
    stem: Stem


@dataclass(frozen=True)
class Family:
    """Files that are called alike.

    Attributes:
        pattern: of their folders; :data:`ANY` for one that tells cases apart,
            :data:`noise2mask.data.layouts.words.SPLIT` where a split is told.
        head: how their names begin.
        tail: how their names end, before a number of several masks.
        indexed: the number that all of them have there, None if it differs or there is none.
        role: what the names say that they are.
        members: the files, in order.
    """

    pattern: tuple[str, ...]
    head: str
    tail: str
    indexed: str | None
    role: Role
    members: tuple[Member, ...]

    @property
    def label(self) -> str:
        """The pattern in one line: ``<split>/masks/*_mask.png``."""
        suffixes = sorted({suffix_of(member.place) for member in self.members})
        suffix = suffixes[0] if len(suffixes) == 1 else f".({'|'.join(s[1:] for s in suffixes)})"
        numbered = any(member.stem.number for member in self.members)
        index = self.indexed if self.indexed is not None else "*" if numbered else ""
        some_core = any(member.stem.core for member in self.members)
        name = f"{self.head}{ANY if some_core else ''}{self.tail}{index}{suffix}"
        return "/".join((*self.pattern, name))

    @property
    def said_by_folder(self) -> bool:
        """Whether a folder says that they are masks or images, not their own names."""
        return bool(self.role) and all(member.stem.role != self.role for member in self.members)

    def called(self, text: str) -> bool:
        """Whether a user means it by a part of its label or a pattern of its paths."""
        return text in self.label or any(
            fnmatchcase(member.place, text) for member in self.members[:50]
        )


@dataclass(frozen=True)
class Tree:
    """What lies in a folder.

    Attributes:
        root: the folder.
        families: of the files that are read as pictures or volumes.
        others: places of all other files by their suffix.
    """

    root: Path
    families: tuple[Family, ...]
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def suffixes(self) -> str:
        """How many files of which suffix there are: ``12 .png, 3 .txt``."""
        count = Counter(
            {suffix_of(member.place): 0 for family in self.families for member in family.members}
        )
        count.update(suffix_of(m.place) for family in self.families for m in family.members)
        count.update({suffix: len(places) for suffix, places in self.others.items()})
        told = [f"{number} {suffix or 'without suffix'}" for suffix, number in count.most_common()]
        return some(told, 6)


def suffix_of(place: str) -> str:
    """The suffix of a file, ``.nii.gz`` whole, in lower case."""
    stem = stem_of(place)
    return (place[len(stem) :] if stem is not None else PurePosixPath(place).suffix).lower()


def tree_of(root: Path) -> Tree:
    """What lies in a folder, by names alone; nothing is decoded.

    Raises:
        UserError: it is no folder, is empty, or a name is no text.
    """
    if not root.is_dir():
        what = "is a file, not a folder" if root.is_file() else "does not exist"
        raise UserError(f"{root} {what}; give the folder that a dataset lies in.")
    pictures: list[tuple[Path, str, str]] = []
    others: dict[str, list[tuple[Path, str]]] = defaultdict(list)
    behind: set[Path] = set()
    for path, place in files_below(root):
        stem = stem_of(place)
        if stem is None or not PurePosixPath(stem).name or not path.is_file():
            others[suffix_of(place)].append((path, place))
        else:
            behind.update(companions(path))
            pictures.append((path, place, PurePosixPath(stem).name))
    kept = {
        suffix: tuple(place for path, place in found if path not in behind)
        for suffix, found in others.items()
    }
    kept = {suffix: places for suffix, places in sorted(kept.items()) if places}
    if not pictures and not kept:
        hidden = "" if not any(root.iterdir()) else " but for hidden files and empty folders"
        raise UserError(f"{root} is empty{hidden}; put the dataset there, or give another folder.")
    return Tree(root, tuple(_families(pictures)), kept)


def nothing_to_read(tree: Tree) -> UserError:
    """The error for a folder without pictures: what is there instead."""
    packed = [place for suffix, places in tree.others.items() if suffix in _PACKED
              for place in places]  # fmt: skip
    advice = (
        f"unpack {some(packed)} first"
        if packed
        else "save the images as PNG or TIFF, volumes as NIfTI (.npy, .npz, .mat and .h5 hold "
        "arrays that nothing says how to read)"
    )
    return UserError(
        f"{tree.root} holds no file that is read as an image or a volume, but {tree.suffixes()}; "
        f"{advice}."
    )


def _families(pictures: Sequence[tuple[Path, str, str]]) -> list[Family]:
    groups: Called = defaultdict(list)
    shared = _common_folders([place for _, place, _ in pictures])
    for path, place, name in pictures:
        pattern, folders, split, role = _folders(PurePosixPath(place).parent.parts, shared)
        stem = _without_split(stem_parts(name), split)
        role = "mask" if "mask" in (stem.role, role) else stem.role or role
        member = Member(path, place, folders, split, stem)
        groups[pattern, stem.head, stem.tail, role].append(member)
    groups = _numbers_as_names(groups)
    found = [
        Family(pattern, head, tail, None, role, tuple(members))
        for (pattern, head, tail, role), members in sorted(groups.items())
    ]
    return [part for family in _joined(found) for part in _parted(family)]


Called = dict[tuple[tuple[str, ...], str, str, Role], list[Member]]
"""Files by the pattern of their folders, head, tail and role."""


def _numbers_as_names(groups: Called) -> Called:
    """``GT_001`` to ``GT_099`` in one folder are 99 cases, not the 99 masks of one."""
    result: Called = defaultdict(list)
    for (pattern, head, tail, role), members in groups.items():
        folders: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        for member in members:
            folders[member.stem.number].add(member.folders)
        once = sum(len(each) == 1 for each in folders.values())
        bare = all(not member.stem.core and member.stem.number for member in members)
        if not bare or head or 2 * once <= len(folders) or len(members) < _WORDY:
            result[pattern, head, tail, role] += members
            continue
        for member in members:
            digits = member.stem.number.strip("_-. ()")
            mark = member.stem.number.partition(digits)[0]
            stem = Stem(tail + mark, digits, "", "", member.stem.role)
            result[pattern, tail + mark, "", role].append(member._replace(stem=stem))
    return result


def _without_split(stem: Stem, split: str) -> Stem:
    """The parts of a name with the word of its folder's split (``21_training``) in the ending."""
    core, last = stem.core, stem.core[-len(split) - 1 :]
    if split and len(core) > len(last) and last[1:] == split and last[0] in "_-. ":
        return stem._replace(core=core[: -len(last)], tail=f"{last[0]}{SPLIT}{stem.tail}")
    return stem


def _common_folders(places: Iterable[str]) -> int:
    """How many folders all the files lie in: they say nothing."""
    parents = [PurePosixPath(place).parent.parts for place in places]
    return _common_length(parents) if parents else 0


def _common_length(sequences: Sequence[Any]) -> int:
    """How many items all sequences begin with."""
    low, high = min(sequences), max(sequences)
    same = (place for place, (a, b) in enumerate(zip(low, high, strict=False)) if a != b)
    return next(same, min(len(low), len(high)))


def _folders(
    parts: Sequence[str], shared: int
) -> tuple[tuple[str, ...], tuple[str, ...], str, Role]:
    """Pattern, names that tell cases apart, word of the split, and role, of a file's folders."""
    pattern, folders, words = [], [], []
    role: Role = ""
    for depth, part in enumerate(parts):
        own = role_of(part)
        split = split_in(part)
        if depth < shared:
            pattern.append(part)
            # The title of a set ("Dataset_BUSI_with_GT") is no folder of masks.
            own = own if depth == len(parts) - 1 and own == "image" else ""
        elif split.word:
            pattern.append(split.pattern)
            words.append(split.word)
        elif own:
            pattern.append(part)
        else:
            pattern.append(ANY)
            folders.append(part)
        role = own or role
    return tuple(pattern), tuple(folders), words[-1] if words else "", role


def _joined(families: Sequence[Family]) -> list[Family]:
    """Names that begin or end with a word that all names of their folder share keep it as part.

    Without a word that is known, what comes after the whole name of another file of the folder is
    an ending (``case1_tumour`` beside ``case1``), and so is what all names of a folder end with.
    """
    result = []
    for family in families:
        if family.role and not family.said_by_folder:
            result.append(family)
            continue
        names = {(m.folders, m.split, m.stem.core): m for m in family.members}
        tails: dict[str, list[Member]] = defaultdict(list)
        for (folders, split, core), member in names.items():
            cut = _whole_name_before(core, folders, split, names)
            if cut:
                tails[core[cut:]].append(member)
        kept = {tail: members for tail, members in tails.items() if _is_ending(tail, members)}
        moved = {member.place for members in kept.values() for member in members}
        rest = tuple(member for member in family.members if member.place not in moved)
        result += [_with_tail(replace(family, members=tuple(kept[t])), t) for t in sorted(kept)]
        if rest:
            common = _common_ending([member.stem.core for member in rest])
            result.append(_with_tail(replace(family, members=rest), common))
    return result


def _whole_name_before(
    core: str,
    folders: tuple[str, ...],
    split: str,
    names: Mapping[tuple[tuple[str, ...], str, str], Member],
) -> int:
    """Where the name of another file of the folder ends in this one; 0 if there is none."""
    for place in range(len(core) - 1, 0, -1):
        if core[place] in "_-. " and (folders, split, core[:place]) in names:
            return place
    return 0


def _is_ending(tail: str, members: Sequence[Member]) -> bool:
    return any(letter.isalpha() for letter in tail) and len(members) > 1


def _common_ending(cores: Sequence[str]) -> str:
    """What all names end with, from a ``_`` or the like on, if it has a letter."""
    if len(set(cores)) < _WORDY:
        return ""
    backward = cores[0][len(cores[0]) - _common_length([core[::-1] for core in cores]) :]
    first = min((place for place in map(backward.find, "_-. ") if place >= 0), default=-1)
    tail = backward[first:] if first >= 0 else ""
    return tail if any(letter.isalpha() for letter in tail) else ""


def _with_tail(family: Family, tail: str) -> Family:
    """The family with a longer ending."""
    if not tail:
        return family
    members = tuple(
        member._replace(
            stem=member.stem._replace(
                core=member.stem.core.removesuffix(tail), tail=tail + member.stem.tail
            )
        )
        for member in family.members
    )
    return replace(family, tail=tail + family.tail, members=members)


def _parted(family: Family) -> list[Family]:
    """One family for each number of a mask, where every case has each of these numbers."""
    indices = Counter(member.stem.number for member in family.members)
    cases = {(m.folders, m.split, m.stem.core) for m in family.members}
    if set(indices) == {""} or len(cases) < 2 or len(indices) > 9:
        return [family]
    if any(count != len(cases) for count in indices.values()):
        return [family]
    return [
        replace(
            family,
            indexed=index,
            members=tuple(member for member in family.members if member.stem.number == index),
        )
        for index in sorted(indices)
    ]


def by_last_run(family: Family) -> list[Family]:
    """A family for each of a few words that names end with: one for each modality.

    Empty if the names do not end so, or some cases lack some of them.
    """
    tails: dict[str, list[Member]] = defaultdict(list)
    for member in family.members:
        core = member.stem.core
        place = max((core.rfind(mark) for mark in "_-. "), default=-1)
        if place < 0 and core:
            tails[core].append(member)  # the whole name, in a folder of its case
        elif place >= 0:
            tails[core[place:]].append(member)
    cases = len(family.members) / max(1, len(tails))
    if not 1 < len(tails) < 9 or any(len(each) < 0.8 * cases for each in tails.values()):
        return []
    return [_with_tail(replace(family, members=tuple(tails[t])), t) for t in sorted(tails)]
