"""Sentences of a document that cite a table of a report, checked against that table.

A comment behind a number, or behind several, says where they stand::

    by 0.013 [0.010, 0.016] <!-- table reports/real/hypotheses.csv name=P6: value low high -->

The table's row is the only one in which all columns named have the values named (``"..."`` around a
value with blanks); the columns behind the colon are the numbers before the comment, in their order.
``|value|`` is the magnitude, ``100*value`` a percentage. A number is right if it is what the table
says, rounded to as many digits as the sentence gives.

A comment in or right behind a sentence that says what became of a claim names the study::

    The claim is refuted for these trained networks. <!-- claim C1a quick -->

The sentence then must use the verdict of the study's table and no other; where that verdict stands
on one or two seeds, the paragraph must say so. A sentence that names a claim and a verdict needs
this comment. One that names a claim, or stands in a paragraph with a link to a report, needs a
``table`` for every number with a decimal point, every percentage and every count such as "17 of 18
sets", but for those of the claim's own statement and the coverage of an interval.
"""

import re
import shlex
from pathlib import Path
from typing import NamedTuple, get_args

import pandas as pd

from noise2mask.analysis.claims.verdicts import HEADLINE_SEEDS, Verdict

VERDICTS = get_args(Verdict)
FEW_SEEDS = ("one seed", "two seeds", "these trained networks", "these networks")
_COMMENT = re.compile(r"\s*<!--\s*(.*?)\s*-->", re.DOTALL)
_MARK = re.compile("\x01(\\d+)\x02")
_NUMBER = re.compile(
    r"(?<![\w.,])[-−+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+|(?<=\d))(?![\w]|[.,]\d)"
)
_CLAIM = re.compile(r"(?<![\w.])[CP]\d[a-z]?(?:-matched)?\b")
_GENERATED = re.compile(r"<!-- (\w+):begin -->.*?<!-- \1:end -->", re.DOTALL)
_PERCENTAGE = re.compile(r"(?<![\w.,])\d+(?= ?%(?! (?:interval|confidence)))")
_COUNT = re.compile(r"(?<![\w.,])(\d+) of (\d+)(?![\w.,]\d)")
_REPORT = re.compile(r"\]\((?:\.\./)?reports/")
_UNREAD = re.compile(r"`[^`]*`|(?<=\])\([^)]*\)")
_CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


class Sentence(NamedTuple):
    """Its text with a mark where each comment stood, and the paragraph it is part of."""

    text: str
    paragraph: str

    def before(self, mark: re.Match[str]) -> str:
        """What stands before a mark and behind the mark before that."""
        return _MARK.split(self.text[: mark.start()])[-1]


def faults_of(document: str, root: Path) -> list[str]:
    """What the sentences of a document say otherwise than the tables that they cite.

    Args:
        document: in Markdown.
        root: folder that paths in the document are relative to.
    """
    comments: list[str] = []

    def marked(found: re.Match[str]) -> str:
        comments.append(" ".join(found[1].split()))
        return f"\x01{len(comments) - 1}\x02"

    text = _COMMENT.sub(marked, _CODE.sub("", _GENERATED.sub("", document)))
    faults = []
    for sentence in sentences_of(text):
        try:
            faults += _faults_of(sentence, comments, root)
        except (ValueError, LookupError, OSError) as error:
            faults.append(f"{_plain(sentence.text)!r}: {error}")
    return faults


def sentences_of(text: str) -> list[Sentence]:
    """The sentences of a text without code; a line of a table, and a heading, is one too."""
    blocks = re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.)\s)|\n(?=[|#])|(?<=\|)\n", text)
    found = []
    for block in blocks:
        paragraph = " ".join(block.split())
        parts = re.split(r"((?:[.!?:]|\*\*)(?:\x01\d+\x02)*)\s+(?=[^\sa-z0-9])", paragraph)
        for place in range(0, len(parts), 2):
            part = "".join(parts[place : place + 2])
            if part:
                found.append(Sentence(part, paragraph))
    return found


def _faults_of(sentence: Sentence, comments: list[str], root: Path) -> list[str]:
    faults: list[str] = []
    told, cited, stated = set[str](), 0, list[str]()
    for mark in _MARK.finditer(sentence.text):
        kind, _, rest = comments[int(mark[1])].partition(" ")
        words = shlex.split(rest) if kind in ("table", "claim") else []
        if kind == "table":
            numbers, wrong = _wrong_numbers(words, sentence.before(mark), root)
            cited += sum(_is_result(number, sentence.before(mark)) for number in numbers)
            faults += wrong
        elif kind == "claim":
            name, study = words
            told.add(name)
            row, path = _row_of_claim(name, study, root)
            stated += _numbers(row.get("statement", ""))
            faults += _wrong_verdict(row, path, sentence)
    named = set(_CLAIM.findall(_plain(sentence.text)))
    if _verdicts_in(sentence.text):
        faults += [f"needs <!-- claim {name} <study> -->" for name in sorted(named - told)]
    results = [each for each in _results(_plain(sentence.text)) if each not in stated]
    if (named or _REPORT.search(sentence.paragraph)) and len(results) > cited:
        faults.append(f"needs <!-- table ... --> for all of {', '.join(results)}")
    return [f"{_plain(sentence.text)!r}: {fault}" for fault in faults]


def _wrong_numbers(words: list[str], before: str, root: Path) -> tuple[list[str], list[str]]:
    """The numbers that a comment is about, and the faults of them."""
    (path, *keys), columns = _halves(words)
    row = _row(root / path, dict(key.split("=", 1) for key in keys))
    numbers = _numbers(before)[-len(columns) :]
    if len(numbers) < len(columns):
        return numbers, [f"{len(columns)} numbers are cited, {len(numbers)} stand before them"]
    faults = []
    for number, column in zip(numbers, columns, strict=True):
        value = _value(row, column)
        digits = len(number.partition(".")[2])
        said = float(number.replace(",", "").replace("−", "-"))
        if not abs(said - value) <= 0.5 * 10.0**-digits * (1 + 1e-9):
            faults.append(f"says {number}, {path} has {column} = {value:.6g}")
    return numbers, faults


def _halves(words: list[str]) -> tuple[list[str], list[str]]:
    """Words up to the one that ends with a colon, and those behind it."""
    place = next((k for k, word in enumerate(words) if word.endswith(":")), None)
    if place is None or place + 1 == len(words):
        raise ValueError("a table needs its path, keys, a colon, and the columns cited")
    return [*words[:place], words[place][:-1]], words[place + 1 :]


def _row(path: Path, keys: dict[str, str]) -> "pd.Series[str]":
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    for column, value in keys.items():
        table = table[table[column] == value]
    if len(table) != 1:
        raise ValueError(f"{path.name} has {len(table)} rows with {keys}")
    return table.iloc[0]


def _value(row: "pd.Series[str]", column: str) -> float:
    found = re.fullmatch(r"(?:([\d.]+)\*)?(\|?)(\w+)(\|?)", column)
    if found is None or found[2] != found[4]:
        raise ValueError(f"{column!r} is no column, |column| or number*column")
    value = float(row[found[3]]) * float(found[1] or 1)
    return abs(value) if found[2] else value


def _row_of_claim(name: str, study: str, root: Path) -> tuple["pd.Series[str]", str]:
    """Its row in a table of the study, and the name of the table."""
    for table in ("claims", "hypotheses"):
        path = root / f"reports/{study}/{table}.csv"
        if path.exists() and name in _names(path):
            return _row(path, {"name": name}), f"{study}/{path.name}"
    raise LookupError(f"no table of reports/{study} has {name}")


def _wrong_verdict(row: "pd.Series[str]", table: str, sentence: Sentence) -> list[str]:
    faults = []
    said = _verdicts_in(sentence.text)
    if said != {row["verdict"]}:
        told = ", ".join(sorted(said)) or "no verdict"
        faults.append(f"says {told}, {table} {row['verdict']} of {row['name']}")
    seeds = int(row.get("seeds") or 0)
    if 0 < seeds < HEADLINE_SEEDS and not any(word in sentence.paragraph for word in FEW_SEEDS):
        faults.append(f"{row['name']} stands on {seeds} seed{'s' * (seeds > 1)}: say so")
    return faults


def _names(path: Path) -> set[str]:
    return set(pd.read_csv(path, dtype=str).get("name", []))


def _verdicts_in(text: str) -> set[str]:
    return {word for word in VERDICTS if re.search(rf"\b{word}\b", _plain(text))}


def _numbers(text: str) -> list[str]:
    return [found for found in _NUMBER.findall(text) if found]


def _results(text: str) -> list[str]:
    """Numbers with a decimal point, percentages, counts: outside code and the targets of links."""
    read = _UNREAD.sub("", text)
    counts = [each for pair in _COUNT.findall(read) for each in pair]
    return [each for each in _numbers(read) if "." in each] + _PERCENTAGE.findall(read) + counts


def _is_result(number: str, text: str) -> bool:
    return number in _results(_plain(text))


def _plain(text: str) -> str:
    return _MARK.sub("", text)
