"""A new study: a commented file for datasets by name or in folders, checked before it is left."""

import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from noise2mask.data import catalogue
from noise2mask.errors import UserError, unknown
from noise2mask.files import write_text
from noise2mask.study.document import read_document
from noise2mask.study.documentation import MODELINE, SCHEMA
from noise2mask.study.expand import valid_name
from noise2mask.study.load import load_study
from noise2mask.study.paths import check_name
from noise2mask.study.schema import Study

_PHANTOM = "{family: lesion, count: 200, size: 128, seed: 1}"
_VARIED = "{flips: true, turns: true, brightness: 0.1, contrast: 0.1}"


def write_study(path: Path, datasets: Sequence[str], resolution: int) -> Study:
    """Write a study and read it back.

    Args:
        path: of the YAML file, which must not be there yet.
        datasets: names of the table of datasets, folders with `images` and `masks`, or folders of
            such folders; none: phantoms.
        resolution: side of a prepared case, px.

    Raises:
        UserError: the file is there, a dataset is neither a name nor such a folder, or what would
            be written is no sound study; nothing is left then.
    """
    found: dict[str, tuple[str, str]] = {}
    for given in datasets:
        for key, title, entry in _datasets(given):
            if key in found:
                raise UserError(f"{given}: two datasets would be called '{key}'; give one of them.")
            found[key] = (title, entry)
    if not found:
        lines = f"title: lesion phantom\nkind: phantoms\noptions: {_PHANTOM}\n"
        found["phantom"] = ("lesion phantom", lines)
    titles = [title for title, _ in found.values()]
    entries = "".join(_entry(key, lines) for key, (_, lines) in found.items())
    return _write_new(path, titles, entries, resolution)


def write_with_entry(
    path: Path, title: str, entry: str, resolution: int, model: Path | None
) -> Study:
    """Write a study of one dataset whose entry is made already, and read it back.

    Args:
        path: of the YAML file, which must not be there yet.
        title: of the dataset.
        entry: its lines below ``datasets:``.
        resolution: side of a prepared case, px, of a study without `model`.
        model: study whose text is taken, with this dataset in place of its own; overrides and
            `folders`, which name its own, go too.

    Raises:
        UserError: the file is there, or what would be written is no sound study; nothing is left
            then.
    """
    if model is None:
        return _write_new(path, [title], entry, resolution)
    text = _text_of(model)
    for block in ("datasets", "folders", "overrides"):
        text = _without_block(text, block)
    description = f"description: {json.dumps(f'As {model.stem}, on {title}.', ensure_ascii=False)}"
    text = _without_block(_without_block(text, "description"), "question")
    return _checked_in(path, f"{description}\n{text.rstrip()}\n\ndatasets:\n{entry}")


def insert_entry(path: Path, key: str, entry: str) -> Study:
    """Put the entry of a dataset at the beginning of ``datasets`` in a study that is there.

    Args:
        path: the study's file.
        key: name of the dataset.
        entry: its lines, indented by two blanks.

    Raises:
        UserError: the study has a dataset of this name, has no block ``datasets:``, or would have
            mistakes with the entry; it is as it was then.
    """
    before = _text_of(path)
    known = read_document(path).get("datasets")
    if isinstance(known, dict) and key in known:
        raise UserError(f"{path} has a dataset '{key}' already; give another --name.")
    start = re.search(r"^datasets:[ \t]*(?:#.*)?\n", before, re.MULTILINE)
    if start is None:
        raise UserError(
            f"{path} has no block `datasets:` to put the entry into; write it there by hand "
            "(without --study it is told)."
        )
    first = re.compile(r"(?:[ \t]*(?:#.*)?\n)*([ ]+)\S").match(before, start.end())
    shift = len(first[1]) if first else 2
    lines = [f"{' ' * (shift - 2)}{line}" if shift > 2 else line[2 - shift :] if line else line
             for line in entry.splitlines()]  # fmt: skip
    text = before[: start.end()] + "\n".join(lines) + "\n" + before[start.end() :]
    write_text(path, text)
    try:
        return load_study(path)
    except UserError:
        write_text(path, before)
        raise


def _text_of(path: Path) -> str:
    read_document(path)  # which tells what is wrong with the file
    return path.read_text(encoding="utf-8")


def _without_block(text: str, name: str) -> str:
    """The text of a study without one of its keys, the comments above it included."""
    block = rf"^(?:#[^\n]*\n)*{name}:[^\n]*\n(?:(?:[ \t][^\n]*)?\n)*"
    return re.sub(block, "", text, count=1, flags=re.MULTILINE)


def _write_new(path: Path, titles: Sequence[str], entries: str, resolution: int) -> Study:
    """A new study with these entries of datasets."""
    name = check_name(path)
    text = Template(files(__package__).joinpath("new_study.yaml").read_text(encoding="utf-8"))
    written = text.substitute(
        file=name if path.parent == Path("config") else path,
        titles=", ".join(titles),
        resolution=resolution,
        datasets=entries,
        tolerance=max(1, resolution // 64),
        band=max(2, resolution // 32),
    )
    return _checked_in(path, written)


def _checked_in(path: Path, text: str) -> Study:
    """Write a study that is not there yet and read it back; nothing is left of a wrong one."""
    check_name(path)
    if path.exists():
        raise UserError(f"{path} is there already; choose another name or remove it.")
    text = text.removeprefix(MODELINE).lstrip("\n")
    first = f"{MODELINE}\n" if (path.parent / SCHEMA).is_file() else ""
    write_text(path, first + text)
    try:
        return load_study(path)
    except UserError:
        path.unlink()
        raise


def _entry(key: str, lines: str) -> str:
    varied = f"augmentation: {_VARIED}\n"
    return f"  {key}:\n" + "".join(f"    {line}\n" for line in (lines + varied).splitlines())


def _datasets(given: str) -> list[tuple[str, str, str]]:
    """Key, title and lines of the datasets behind a name or a folder."""
    if given in catalogue.entries():
        return [(given, catalogue.entry(given).title, f"named: {given}\n")]
    folder = Path(given).expanduser()
    if not folder.is_dir():
        near = unknown(given, "dataset", list(catalogue.entries())).partition(" Valid:")[0]
        raise UserError(
            f"{near.rstrip(';')}; give a name that `noise2mask data list` shows, or a folder."
        )
    inside = [folder] if _is_dataset(folder) else sorted(filter(_is_dataset, folder.iterdir()))
    if not inside:
        raise UserError(
            f"{folder} has no folders images/ and masks/, nor has any folder in it; give one that "
            "has, or write the entry by hand with another `kind` (config/README.md)."
        )
    return [
        (
            valid_name(each.resolve().name) or "data",
            each.resolve().name,
            f"title: {json.dumps(each.resolve().name, ensure_ascii=False)}\n"
            "kind: folder\n"
            f"options: {{root: {json.dumps(str(each), ensure_ascii=False)}}}\n",
        )
        for each in inside
    ]


def _is_dataset(folder: Path) -> bool:
    return all((folder / part).is_dir() for part in ("images", "masks"))
