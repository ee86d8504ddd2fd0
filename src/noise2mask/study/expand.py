"""A folder of datasets: every sub-folder with images and masks becomes a dataset of a study.

A study says once, under ``folders``, where they are and what they have in common::

    folders: {root: "{data}", kind: folder, options: {...}, augmentation: {...}}

What is written under ``datasets`` wins over what is found, key by key.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from noise2mask.errors import unknown
from noise2mask.study.plan import merged
from noise2mask.study.schema import Dataset

Document = dict[str, Any]
Mistakes = dict[str, str]

_AWAITED = "{data}"
_CHOICE = ("only", "without")
_KNOWN = "known"
_SHARED = tuple(
    field for field in Dataset.model_fields if field not in {"title", "named", "stands_for"}
)


def expanded(document: Mapping[str, Any]) -> tuple[Document, Mistakes]:
    """A study's document with every dataset of its folder of datasets written out.

    Fields of ``folders``: `root`; `only` and `without`, lists of names; `kind` (folder), and the
    other fields that all the datasets share; `known`, fields of single datasets by their names, for
    folders that may be there (how their names tell the patient). A dataset's name is that of its
    sub-folder in lower case with underscores for what is neither letter nor digit, its title the
    sub-folder's name with blanks for underscores, its option `root` the sub-folder. Those found
    come first, sorted by name; an entry of ``datasets`` without `kind` and `named` only changes one
    that is found, and goes with it if `only` or `without` leave it out.

    While `root` still holds ``{data}``, or is wrong, nobody knows what is there. Then the names
    that the study mentions become datasets at ``<root>/<name>``, or `data` if it mentions none, so
    that all the rest can be checked; :func:`noise2mask.study.load.check_data` refuses to run it.

    Args:
        document: the study as its file says it.

    Returns:
        The document without ``folders``, and for each place that is wrong a sentence.
    """
    rest = {key: value for key, value in document.items() if key != "folders"}
    if "folders" not in document:
        return rest, {}
    given = document["folders"]
    if not isinstance(given, dict) or not isinstance(given.get("root"), str):
        sentence = f"must be a mapping with `root`, the folder of the datasets, got {given!r}"
        return rest, {"folders": sentence}
    mistakes = _mistakes_in_shape(given)
    written = document.get("datasets")
    written = dict(written) if isinstance(written, dict) else {}
    found: dict[str, str] | None = None
    if not mistakes and _AWAITED not in given["root"]:
        found, mistakes = _found(given)
    if found is None:
        chosen = _mentioned(document, given, written)
    else:
        chosen = _chosen(found, given, mistakes)
        mistakes |= _mistakes_in_written(written, found, given["root"])
    return {**rest, "datasets": _merged_in(written, chosen, found or {}, given)}, mistakes


def valid_name(folder: str) -> str:
    """The name of the dataset in a folder, "" if the folder's name has no letter and no digit.

    >>> valid_name("GlaS (Warwick)")
    'glas_warwick'
    """
    plain = unicodedata.normalize("NFKD", folder.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def _mistakes_in_shape(given: Document) -> Mistakes:
    mistakes: Mistakes = {}
    fields = ["root", *_CHOICE, _KNOWN, *_SHARED]
    for field, value in given.items():
        place = f"folders.{field}"
        if field not in fields:
            mistakes[place] = unknown(str(field), "field", fields)
        elif field in _CHOICE and not _is_names(value):
            mistakes[place] = f"must be a list of names of datasets, got {value!r}"
        elif field == _KNOWN and value != _known(given):
            mistakes[place] = f"must map names of datasets to fields of theirs, got {value!r}"
        elif field == "options" and not isinstance(value, dict):
            mistakes[place] = f"must be a mapping, got {value!r}"
        elif field == "options" and "root" in value:
            mistakes["folders.options.root"] = (
                "is the sub-folder of each dataset: leave it out, and give folders.root"
            )
    return mistakes


def _known(given: Document) -> dict[str, Document]:
    """What is known of single datasets, {} if it is not written as it must be."""
    known = given.get(_KNOWN)
    if not isinstance(known, dict):
        return {}
    whole = all(isinstance(k, str) and isinstance(fields, dict) for k, fields in known.items())
    return known if whole else {}


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _found(given: Document) -> tuple[dict[str, str] | None, Mistakes]:
    """Name of each dataset to the name of its sub-folder, sorted; None if there is nothing."""
    root = Path(given["root"]).expanduser()
    if not root.is_dir():
        return None, {"folders.root": f"the folder {root} does not exist; correct it"}
    # Other kinds have options of these names too, with another meaning.
    options = given.get("options", {}) if given.get("kind", "folder") == "folder" else {}
    inside = [str(options.get(part, part)) for part in ("images", "masks")]
    found: dict[str, str] = {}
    mistakes: Mistakes = {}
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or not all((path / part).is_dir() for part in inside):
            continue
        name = valid_name(path.name)
        if not name or name in found:
            mistakes["folders.root"] = (
                f"the folders {found[name]!r} and {path.name!r} in {root} would both be the "
                f"dataset '{name}'; rename one"
                if name
                else f"the folder {path.name!r} in {root} has no letter a-z and no digit; rename it"
            )
        else:
            found[name] = path.name
    if not found and not mistakes:
        folders = " and ".join(f"{part}/" for part in inside)
        mistakes["folders.root"] = f"no sub-folder of {root} holds {folders}; correct it"
    return (dict(sorted(found.items())) if found else None), mistakes


def _chosen(found: Mapping[str, str], given: Document, mistakes: Mistakes) -> list[str]:
    """Names of the datasets that `only` and `without` leave; the mistakes in both are added."""
    for field in _CHOICE:
        for name in given.get(field, ()):
            if name not in found:
                mistakes[f"folders.{field}"] = unknown(name, "dataset", list(found))
    only, without = given.get("only", found), given.get("without", ())
    chosen = [name for name in found if name in only and name not in without]
    if not chosen and not mistakes:
        mistakes["folders"] = "`only` and `without` leave no dataset"
    return chosen


def _mistakes_in_written(written: Document, found: Mapping[str, str], root: str) -> Mistakes:
    """Entries that say no kind and change no dataset."""
    return {
        f"datasets.{name}": f"no sub-folder of {root} has this name and no `kind` is given; "
        + unknown(str(name), "dataset", list(found))
        for name, entry in written.items()
        if name not in found and not _is_whole(entry)
    }


def _mentioned(document: Mapping[str, Any], given: Document, written: Document) -> list[str]:
    """Names that the study uses of datasets that nobody knows yet."""
    lists: list[Any] = [list(written), list(_known(given)), given.get("only")]
    overrides = document.get("overrides")
    for entry in overrides if isinstance(overrides, list) else ():
        lists.append(entry.get("datasets") if isinstance(entry, dict) else None)
    names = {name for several in lists if _is_names(several) for name in several}
    awaited = [name for name in names if not _is_whole(written.get(name, {}))]
    without: Any = given.get("without")
    left_out = set(without) if _is_names(without) else set()
    return sorted(set(awaited) - left_out) or ["data"]


def _merged_in(
    written: Document, chosen: Iterable[str], found: Mapping[str, str], given: Document
) -> Document:
    """The datasets of the study: those chosen, changed by what is written, then the others."""
    shared = {"kind": "folder", **{field: given[field] for field in _SHARED if field in given}}
    options, known = shared.get("options"), _known(given)
    datasets: Document = {}
    for name in chosen:
        own, folder = written.get(name, {}), found.get(name, name)
        root = {"root": str(Path(given["root"]) / folder)}
        everything = {**root, **options} if isinstance(options, dict) else root
        entry = {**shared, "title": folder.replace("_", " "), "options": everything}
        entry = merged(entry, known.get(name, {}))
        from_table = not isinstance(own, dict) or "named" in own
        datasets[name] = own if from_table else merged(entry, own)
    whole = {name: entry for name, entry in written.items() if _is_whole(entry)}
    return {**datasets, **{name: entry for name, entry in whole.items() if name not in datasets}}


def _is_whole(entry: Any) -> bool:
    """Whether an entry is a dataset by itself, or anything that is told as wrong elsewhere."""
    return not isinstance(entry, dict) or "kind" in entry or "named" in entry
