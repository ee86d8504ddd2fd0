"""Which cases belong to one patient, slide or volume, and which splits folders and names tell."""

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from noise2mask.data import hints
from noise2mask.data.formats.folder import GROUP_COLUMNS
from noise2mask.data.formats.pairing import matches
from noise2mask.data.layouts.answers import Answers, Choice, Question
from noise2mask.data.layouts.cases import Case, shell
from noise2mask.data.layouts.words import SPLIT_WORDS
from noise2mask.data.source import some
from noise2mask.data.splits import SPLITS, assign_splits, shared
from noise2mask.errors import UserError

SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}
"""Of a study that says none."""
_FEW_FOLDERS = 3


@dataclass(frozen=True)
class Units:
    """Groups or splits of cases, by the place of the image.

    Attributes:
        of: group, or what says the split, of each case; empty where nothing is known.
        pattern: regular expression that finds them, None if something else says it.
        told: what was found, a sentence each.
        questions: what is open.
        table: name of the CSV in the folder that says it.
    """

    of: Mapping[str, str]
    pattern: str | None = None
    told: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    table: str | None = None


# Groups ---------------------------------------------------------------------------------------


def groups_of(cases: Sequence[Case], splits: Mapping[str, str], answers: Answers) -> Units:
    """The group of each case.

    Args:
        cases: the cases.
        splits: split of each, empty where there are none.
        answers: of the user.

    Raises:
        UserError: the given pattern is none, or does not match every case.
    """
    if answers.groups is not None:
        texts = {case.image.place: _searched(case, answers.groups) for case in cases}
        found = matches(answers.groups, "--groups", texts)
        return Units(found, answers.groups, (_told(found, splits),))
    each = "each case is taken as a group of its own"
    if answers.no_groups:
        return Units({}, told=(f"{each}, as --no-groups says",))
    suggested = _suggested(cases)
    if suggested is None:
        return Units(
            {}, told=(f"{each}: names tell no patient or slide ({some(_names(cases), 2)})",)
        )
    pattern, what = suggested
    texts = {case.image.place: _searched(case, pattern) for case in cases}
    found = matches(pattern, "--groups", texts)
    count = len(set(found.values()))
    torn = _torn(found, splits)
    harm = (
        f"without it {torn} of these would lie in several splits"
        if torn
        else "as they are, no split divides one"
    )
    return Units(
        {},
        questions=(
            Question(
                f"names suggest that several cases are {what} ({count} in {len(cases)} cases, "
                f"{harm}); is it so?",
                (
                    Choice(f"--groups {shell(pattern)}", f"yes: {_examples(found)}"),
                    Choice("--no-groups", "no: each case is independent of all others"),
                ),
            ),
        ),
    )


def _names(cases: Sequence[Case]) -> list[str]:
    return [case.name for case in cases]


def _searched(case: Case, pattern: str) -> str:
    """What a pattern is searched in: the name, or the path if the pattern has a / in it."""
    if "/" not in pattern:
        return case.name
    place = PurePosixPath(case.image.place)
    return (place.parent / case.name).as_posix() if case.image.stem.core else place.as_posix()


def _suggested(cases: Sequence[Case]) -> tuple[str, str] | None:
    """A pattern and what it finds, where folders or names look like those of patients."""
    folders = [case.image.folders[-1] if case.image.folders else "" for case in cases]
    sizes = Counter(folders)
    several = len(sizes) < len(cases) and len(sizes) >= _FEW_FOLDERS
    telling = all(any(letter.isdigit() for letter in folder) for folder in sizes)
    if several and telling and max(sizes.values()) <= len(cases) / 2:
        depth = {len(PurePosixPath(case.image.place).parts) for case in cases}
        position = {_position(case) for case in cases}
        if len(depth) == len(position) == 1:
            before = "[^/]+/" * position.pop()
            return f"^{before}([^/]+)/", "of one folder"
    names = [case.name for case in cases]
    for form in hints._NAMES:
        unit_of = hints._units(sorted(set(names)), form)
        if unit_of:
            return hints._short(unit_of, form), f"{form.cases} of one {form.units}"
    return None


def _position(case: Case) -> int:
    """Where in the path the folder stands that tells the case."""
    parts = PurePosixPath(case.image.place).parent.parts
    return max(place for place, part in enumerate(parts) if part == case.image.folders[-1])


def _torn(groups: Mapping[str, str], splits: Mapping[str, str]) -> int:
    """Groups that lie in several splits if each case is a group of its own."""
    places = list(groups)
    try:
        given = assign_splits(places, [splits.get(place) for place in places], SHARES)
    except UserError:
        return 0
    return len(shared([groups[place] for place in places], given))


def _told(found: Mapping[str, str], splits: Mapping[str, str]) -> str:
    count = len(set(found.values()))
    divided = shared(list(found.values()), [splits.get(place, "") for place in found])
    leak = (
        f"; {len(divided)} of them lie in several of the splits ({some(sorted(divided))}), which "
        "`prepare` refuses unless the dataset says `leaks: accepted`"
        if splits and divided
        else ""
    )
    return f"{count} groups of {len(found)} cases ({_examples(found)}){leak}"


def _examples(found: Mapping[str, str]) -> str:
    return some([f"{group}: {count}" for group, count in Counter(found.values()).items()])


# Splits ---------------------------------------------------------------------------------------


def splits_of(root: Path, cases: Sequence[Case], answers: Answers, tables: Sequence[str]) -> Units:
    """What says the split of each case.

    Args:
        root: the folder.
        cases: the cases.
        answers: of the user.
        tables: places of CSV files in it.

    Raises:
        UserError: what the user names is neither there nor a pattern that matches every case.
    """
    if answers.no_splits:
        return Units({}, told=("cases are split anew, as --no-splits says",))
    if answers.splits is not None and answers.splits != "folders":
        return _named(root, cases, answers.splits)
    words = {case.image.place: case.image.split for case in cases}
    known = {SPLIT_WORDS[word.lower()] for word in words.values() if word}
    if len(known) > 1 and all(words.values()):
        return _from_folders(words, known, answers)
    if answers.splits == "folders":
        raise UserError(
            f"--splits folders: the folders in {root} do not tell a split for each case; give a "
            "CSV with the columns id and split, a regular expression, or leave it out."
        )
    return _suggested_splits(root, cases, tables)


def _from_folders(words: Mapping[str, str], known: set[str], answers: Answers) -> Units:
    counts = Counter(words.values())
    told = ", ".join(f"{word} {count}" for word, count in counts.items())
    if {"train", "test"} <= known:
        return Units(words, None, (f"splits from the folders: {told}",))
    lacking = "test" if "test" not in known else "train"
    if "split_of" in answers.settings:
        return Units(words, None, (f"splits from the folders: {told}",))
    return Units(
        {},
        questions=(
            Question(
                f"folders tell splits ({told}), but none is {lacking}; what are they?",
                (
                    Choice("--no-splits", "cases are split anew, whole groups together"),
                    *(
                        Choice(
                            f"--set split_of={shell(_as_test(counts))}",
                            "the folder of validation is tested on",
                        )
                        for _ in [0]
                        if known == {"train", "val"}
                    ),
                ),
            ),
        ),
    )


def _as_test(words: Mapping[str, int]) -> str:
    named = [
        f"{word}: {'test' if SPLIT_WORDS[word.lower()] == 'val' else 'train'}" for word in words
    ]
    return "{" + ", ".join(named) + "}"


def _named(root: Path, cases: Sequence[Case], said: str) -> Units:
    """Splits from a CSV or a regular expression that a user named."""
    if (root / said).is_file() or said.lower().endswith(".csv"):
        return _from_table(root, cases, said)
    texts = {case.image.place: _searched(case, said) for case in cases}
    found = matches(said, "--splits", texts)
    told = ", ".join(f"{word} {count}" for word, count in Counter(found.values()).items())
    if odd := [word for word in set(found.values()) if word.lower() not in SPLIT_WORDS]:
        raise UserError(
            f"--splits {said!r} finds {odd[0]!r}, which names no split; it must find words such as "
            "train, val and test."
        )
    return Units(found, said, (f"splits from the names: {told}",))


def _from_table(root: Path, cases: Sequence[Case], said: str) -> Units:
    rows = _rows(root / said)
    if rows is None:
        raise UserError(
            f"--splits {said} is no CSV in {root} with the columns id and split; correct it."
        )
    of = {row["id"]: row for row in rows}
    if missing := [case.name for case in cases if case.name not in of]:
        raise UserError(
            f"--splits {said} lacks {len(missing)} of {len(cases)} cases ({some(missing)}); add "
            "them, or leave it out."
        )
    found = {case.image.place: of[case.name]["split"] for case in cases}
    told = ", ".join(f"{word} {count}" for word, count in Counter(found.values()).items())
    return Units(found, None, (f"splits from {said}: {told}",), table=said)


def _of_table(path: Path) -> str:
    column = group_column(path)
    return "it does" + (f", and its column {column} tells groups" if column else "")


def group_column(path: Path) -> str | None:
    """The column of a CSV that tells groups, as the kind `folder` finds it."""
    rows = _rows(path) or []
    columns = list(rows[0]) if rows else []
    return next((name for name in columns if name.casefold() in GROUP_COLUMNS), None)


def _rows(path: Path) -> list[dict[str, str]] | None:
    """The lines of a CSV with the columns id and split, None if it is none."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            reader.fieldnames = [(name or "").strip() for name in reader.fieldnames or ()]
            if not {"id", "split"} <= set(reader.fieldnames):
                return None
            return [{k: (v or "").strip() for k, v in row.items() if k} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error, AttributeError):
        return None


def _suggested_splits(root: Path, cases: Sequence[Case], tables: Sequence[str]) -> Units:
    names = [case.name for case in cases]
    for table in tables:
        rows = _rows(root / table) if "/" not in table else None
        if rows and {row["id"] for row in rows} >= set(names):
            counts = Counter(row["split"] for row in rows)
            told = ", ".join(f"{word} {count}" for word, count in counts.items())
            return Units(
                {},
                table=table if group_column(root / table) else None,
                questions=(
                    Question(
                        f"{table} tells a split for each case ({told}); does it count?",
                        (
                            Choice(f"--splits {shell(table)}", _of_table(root / table)),
                            Choice("--no-splits", "cases are split anew"),
                        ),
                    ),
                ),
            )
    first = [re.match(r"([A-Za-z]+)[_\-. ]", name) for name in names]
    words = [found[1] if found else "" for found in first]
    known = {SPLIT_WORDS.get(word.lower(), "") for word in words}
    if {"train", "test"} <= known <= set(SPLITS):
        counts = Counter(words)
        pattern = f"^({'|'.join(sorted(counts))})[_. -]"
        told = ", ".join(f"{word} {count}" for word, count in counts.items())
        return Units(
            {},
            questions=(
                Question(
                    f"names begin with the words of splits ({told}); are they?",
                    (
                        Choice(f"--splits {shell(pattern)}", "they are"),
                        Choice("--no-splits", "cases are split anew"),
                    ),
                ),
            ),
        )
    return Units({}, told=("no splits found: cases are split anew, whole groups together",))
