"""A folder of data becomes an entry of a study: what is told, shown and written on the way."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib import style
from yaml import YAMLError

from noise2mask import files
from noise2mask.data.formats.listing import folder_of
from noise2mask.data.layouts.answers import Answers, Layout
from noise2mask.data.layouts.cases import shell
from noise2mask.data.layouts.look import csv_text, look
from noise2mask.data.source import listed
from noise2mask.errors import UserError
from noise2mask.report.figures.contact_sheet import (
    LETTERS,
    Picture,
    contact_sheet,
    shrunk,
    two_lines,
)
from noise2mask.report.figures.style import STYLE
from noise2mask.study.document import ReadError, parse
from noise2mask.study.expand import valid_name
from noise2mask.study.new_study import insert_entry, write_with_entry

SHEETS = Path("build/data")
_WIDTH = 96


def add(
    folder: str,
    answers: Answers,
    *,
    name: str | None,
    study: Path | None,
    model: Path | None,
    sheet: Path | None,
    resolution: int,
    typed: str,
) -> tuple[str, bool]:
    """Look at a folder, show pairs of it, and write its entry where nothing is open.

    Args:
        folder: the folder.
        answers: what the user said.
        name: of the dataset; else that of the folder.
        study: file of the study that gets the entry; none: it is only told.
        model: file of a study that a new one is like.
        sheet: the PNG with pairs; else one in ``build/data``.
        resolution: of a new study, px.
        typed: the command up to here, for the next one.

    Returns:
        What is told, and whether the entry is complete.

    Raises:
        UserError: the folder cannot be read as a dataset, an answer does not fit, or a file cannot
            be written.
    """
    root = folder_of(folder)
    key = valid_name(name or root.resolve().name) or "data"
    title = name or root.resolve().name
    layout = look(root, answers)
    lines = [f"{folder}:", *(f"  {sentence}." for sentence in layout.told)]
    png = sheet or SHEETS / f"{key}.png"
    if _write_sheet(layout, title, png):
        lines.append(f"  {png} shows pairs with the outlines of their masks: look at it.")
    if layout.questions:
        return "\n".join([*lines, *_asked(layout, typed)]), False
    layout = _with_table(layout, key, study)
    entry = entry_text(layout, key, title)
    if study is None:
        lines += ["", "The entry of a study under `datasets` (or give --study <name>):", "", entry]
        return "\n".join(lines), True
    if study.exists() and model is None:
        insert_entry(study, key, entry)
        did = "has the entry now"
    else:
        write_with_entry(study, title, entry, resolution, model)
        did = "is written"
    lines += [
        f"{study} {did}. Next:",
        f"  noise2mask data check --study {_spelled(study)} --dataset {key}",
        f"  noise2mask reproduce --study {_spelled(study)}",
    ]
    return "\n".join(lines), True


def _spelled(study: Path) -> str:
    return study.stem if study.parent == Path("config") else str(study)


# Telling --------------------------------------------------------------------------------------


def _asked(layout: Layout, typed: str) -> Iterator[str]:
    """What is open, with the options that answer it, and an example of the next command."""
    count = len(layout.questions)
    yield f"  {count} question{'s' * (count != 1)} left, so no entry yet:"
    example = []
    for number, question in enumerate(layout.questions, start=1):
        yield f"  {number}. {question.about}"
        width = min(40, max((len(one.options) for one in question.choices), default=0))
        for one in question.choices:
            yield f"       {one.options:<{width}}  {one.meaning}".rstrip()
        if question.choices and question.choices[0].options.startswith("--"):
            example.append(question.choices[0].options)
    if example and len(example) == count:
        yield f"  For example, with the first of each: {' '.join([typed, *example])}"


def entry_text(layout: Layout, key: str, title: str) -> str:
    """The entry with comments, as it stands below ``datasets:``."""
    lines = [f"  {key}:"]
    for sentence in layout.told:
        lines += _comment(sentence)
    lines += [f"    title: {_yaml(title)}", f"    kind: {layout.kind}", "    options:"]
    for name, value in layout.options.items():
        reason = layout.reasons.get(name, "")
        said = f"  # {reason}" if reason and reason != "given" else ""
        lines.append(f"      {name}: {_yaml(value)}{said}")
    lines += [
        '    # licence: "..."  # the terms, which reports repeat',
        "    augmentation: {flips: true, turns: true, brightness: 0.1, contrast: 0.1}",
    ]
    return "\n".join(lines) + "\n"


def _comment(sentence: str) -> Iterator[str]:
    """A sentence as lines of a comment."""
    line = ""
    for word in sentence.split(" "):
        if line and len(line) + len(word) + 7 > _WIDTH:
            yield f"    # {line}"
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield f"    # {line}"


def _yaml(value: Any) -> str:
    """A value in one line of YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_/-]*", value) and value.lower() not in _RESERVED
        if plain:
            return value
        # Regular expressions are readable in single quotes, where \ is no escape.
        return "'" + value.replace("'", "''") + "'" if value.isprintable() else json.dumps(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_yaml(k)}: {_yaml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)


_RESERVED = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def first_answer(folder: str) -> str:
    """What lies in a folder that is read in another way, and the line that reads it so.

    A sentence without its subject: "holds ..., ...".
    """
    try:
        layout = look(folder_of(folder), Answers())
    except UserError as error:
        return f"and: {error}"
    found = next(iter(layout.told[1:2]), "")
    if layout.questions or layout.kind == "table":
        asked = f"`noise2mask data add {shell(folder)}` asks for what is open"
        writes = f"`noise2mask data add {shell(folder)}` writes the entry of a study"
        return f"but {found}; {asked if layout.questions else writes}."
    options = dict(layout.options)
    parts = ["noise2mask", "data", "check", folder]
    if layout.kind != "folder":
        parts += ["--set", f"kind={layout.kind}"]
    if Path(str(options.pop("root"))) != folder_of(folder):
        parts[3] = str(layout.options["root"])
    for name, value in options.items():
        parts += ["--set", f"{name}={_typed_value(value)}"]
    return f"but {found}; this reads it: {' '.join(map(shell, parts))}"


def explained(kind: str, options: Mapping[str, Any], error: UserError) -> UserError:
    """Why a dataset of a study cannot be listed, and what lies there instead.

    Args:
        kind: of the dataset.
        options: of that kind.
        error: why it cannot be read.

    Returns:
        The same error where its cases can be listed, or where nothing better is known.
    """
    root = str(options.get("root", ""))
    if not root or not folder_of(root).is_dir():
        return error
    try:
        listed(kind, options)
    except UserError:
        pass
    else:
        return error
    try:
        layout = look(folder_of(root), Answers())
    except UserError:
        return error
    return UserError(
        f"{str(error).rstrip('.')}; there, {layout.told[1]}: `noise2mask data add {shell(root)}` "
        + ("asks for what is open." if layout.questions else "tells the options that read it.")
    )


def _typed_value(value: Any) -> str:
    """A value as --set takes it: YAML, without quotes where it is the same without."""
    try:
        same = isinstance(value, str) and parse(value) == value
    except (YAMLError, ReadError):
        same = False
    return value if same else _yaml(value)


# Writing --------------------------------------------------------------------------------------


def _with_table(layout: Layout, key: str, study: Path | None) -> Layout:
    """The layout with its CSV written beside the study."""
    if not layout.lines:
        return layout
    folder = study.parent if study is not None else Path("config")
    path = folder / f"{study.stem + '_' if study is not None else ''}{key}.csv"
    files.write_text(path, csv_text(layout.lines))
    told = (*layout.told, f"{path} names every pair")
    return _replaced(layout, told, path)


def _replaced(layout: Layout, told: tuple[str, ...], path: Path) -> Layout:
    options = {**layout.options, "table": str(path)}
    return replace(layout, told=told, options=options)


def _write_sheet(layout: Layout, title: str, path: Path) -> bool:
    """Write pairs with the outlines of their masks; whether there were any."""
    rows = [shown for shown in layout.preview if shown.pictures]
    if not rows:
        return False
    pictures = []
    for row in rows:
        for id, image, mask in row.pictures:
            share = f"{mask.mean():.1%}" if mask.any() else "no foreground"
            caption = "\n".join(filter(None, (row.title[:LETTERS], *two_lines(id), share)))
            pictures.append(Picture(*shrunk(image, mask), caption))
    state = "as they will be read" if not layout.questions else "before all is decided"
    titles = [f"{title}: {len(pictures)} pairs, {state}", "line: mask; below: share of foreground"]
    figure = contact_sheet(pictures, titles)
    with style.context(["default", dict(STYLE)]), files.writing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
    return True


def typed(folder: str, said: Mapping[str, Any]) -> str:
    """The command with what was said, to be gone on with."""
    parts = ["noise2mask", "data", "add", folder]
    for name, value in said.items():
        option = f"--{name.replace('_', '-')}"
        for each in value if isinstance(value, tuple) else (value,):
            if each is True:
                parts.append(option)
            elif each not in (None, False, ""):
                parts += [option, str(each)]
    return " ".join(map(shell, parts))


def answers_from(
    *,
    images: tuple[str, ...],
    masks: tuple[str, ...],
    several: Any,
    foreground: str | None,
    colours: str | None,
    threshold: int | None,
    groups: str | None,
    no_groups: bool,
    splits: str | None,
    no_splits: bool,
    missing: Any,
    settings: Mapping[str, Any],
) -> Answers:
    """What was typed, taken apart.

    Raises:
        UserError: two options contradict each other.
    """
    for one, other, name in ((groups, no_groups, "groups"), (splits, no_splits, "splits")):
        if one and other:
            raise UserError(f"both --{name} {one!r} and --no-{name} are given; give one of them.")
    if sum(bool(each) for each in (foreground, colours, threshold is not None)) > 1:
        raise UserError(
            "--foreground, --colours and --threshold all say what is foreground; give one of them."
        )
    return Answers(
        images, masks, several, _parts(foreground), _parts(colours), threshold, groups, no_groups,
        splits, no_splits, missing, settings,
    )  # fmt: skip


def _parts(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").strip("[]").split(",") if part.strip())
