"""What a study leaves to others is written out: folders of datasets, and datasets by name.

Every sub-folder of ``folders`` with images and masks becomes a dataset; a study says once where
they are and what they have in common::

    folders: {root: "{data}", kind: folder, options: {...}, augmentation: {...}}

What is written under ``datasets`` wins over what is found, key by key. ``{named: isic2016}``
becomes a whole dataset entry; fields given beside the name win. Where data that cannot be fetched
are absent, the entry under ``stand_in`` takes their place, under a key, a title and a note of its
own, so that no table or figure can show the one for the other.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from noise2mask.data import catalogue
from noise2mask.errors import UserError, unknown
from noise2mask.study.paths import raw_folder
from noise2mask.study.plan import merged
from noise2mask.study.schema import Dataset, Folders, Prepared
from noise2mask.study.validate import Mistakes, in_settings

Document = dict[str, Any]

STAND_IN = "_stand_in"
"""Ending of the key of a dataset that takes another's place."""

_AWAITED = "{data}"
_CHOICE = ("only", "without")
_SHARED = ("kind", *Prepared.model_fields)


# Folders of datasets ----------------------------------------------------------------------------


def expand_folders(document: Mapping[str, Any]) -> tuple[Document, Mistakes]:
    """A study's document with every dataset of its folder of datasets written out.

    Fields of ``folders`` are those of :class:`noise2mask.study.schema.Folders`. A dataset's name is
    that of its sub-folder in lower case with underscores for what is neither letter nor digit, its
    title the sub-folder's name with blanks for underscores, its option `root` the sub-folder. Those
    found come first, sorted by name; an entry of ``datasets`` without `kind` and `named` only
    changes one that is found, and goes with it if `only` or `without` leave it out.

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
    mistakes = in_settings(Folders, given, "folders", document)
    options = given.get("options")
    if isinstance(options, dict) and "root" in options:
        mistakes["folders.options.root"] = (
            "is the sub-folder of each dataset: leave it out, and give folders.root"
        )
    wrong = {place.split(".")[1] for place in mistakes if "." in place}
    given = {
        field: value for field, value in given.items() if field not in wrong or field == "root"
    }
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


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _found(given: Document) -> tuple[dict[str, str] | None, Mistakes]:
    """Name of each dataset to the name of its sub-folder, sorted; None if there is nothing."""
    root = Path(given["root"]).expanduser()
    if not root.is_dir():
        return None, {"folders.root": f"the folder {root} does not exist; correct it"}
    try:
        inside_root = sorted(root.iterdir())
    except OSError as error:
        return None, {"folders.root": f"the folder {root} cannot be read ({error.strerror})"}
    # Other kinds have options of these names too, with another meaning.
    options = given.get("options", {}) if given.get("kind", "folder") == "folder" else {}
    inside = [str(options.get(part, part)) for part in ("images", "masks")]
    found: dict[str, str] = {}
    mistakes: Mistakes = {}
    for path in inside_root:
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
        for name in given.get(field) or ():
            if name not in found:
                mistakes[f"folders.{field}"] = unknown(name, "dataset", list(found))
    only, without = given.get("only") or found, given.get("without") or ()
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
    lists: list[Any] = [list(written), list(given.get("known", {})), given.get("only")]
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
    options, known = shared.get("options"), given.get("known", {})
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


# Datasets by name -------------------------------------------------------------------------------


def expand_named(document: Mapping[str, Any]) -> tuple[Document, Mistakes]:
    """A study's document with every named dataset written out.

    Args:
        document: the study as its file says it.

    Returns:
        The document with whole dataset entries, and for each place that is wrong a sentence.
    """
    entries = document.get("datasets")
    if not isinstance(entries, dict):
        return dict(document), {}
    mistakes: Mistakes = {}
    datasets: Document = {}
    renamed: dict[str, str] = {}
    for key, given in entries.items():
        place = f"datasets.{key}"
        if not isinstance(given, dict) or "named" not in given:
            datasets[key] = given
            if isinstance(given, dict) and "stand_in" in given:
                mistakes[f"{place}.stand_in"] = "only a dataset that is `named` has one"
            continue
        stand_in = given.get("stand_in")
        own = {field: value for field, value in given.items() if field != "stand_in"}
        whole = _written_out(own, place, mistakes)
        other = _stand_in(stand_in, whole, f"{place}.stand_in", mistakes)
        if other is not None:
            mistakes |= in_settings(Dataset, other, f"{place}.stand_in", document)
        if other is not None and _absent(whole):
            renamed[key] = f"{key}{STAND_IN}"
            datasets[renamed[key]] = other
        else:
            datasets[key] = whole
    return {**document, "datasets": datasets, **_overrides(document, renamed)}, mistakes


def missing_by_hand(dataset: Mapping[str, Any]) -> str | None:
    """The sentence for a named dataset that has to be put in place by hand and is not there."""
    if not _absent(dataset):
        return None
    entry = catalogue.entry(dataset["named"])
    return (
        f"{entry.title} is not in {dataset['options']['root']} and cannot be fetched: "
        f"{entry.by_hand}"
    )


def _written_out(given: Mapping[str, Any], place: str, mistakes: Mistakes) -> Document:
    """One dataset entry with what the table says of it; what is given wins."""
    try:
        entry = catalogue.entry(str(given["named"]))
    except UserError as error:
        mistakes[f"{place}.named"] = str(error).rstrip(".")
        return dict(given)
    if given.get("kind", entry.kind) != entry.kind:
        mistakes[f"{place}.kind"] = (
            f"{given['named']} is of the kind '{entry.kind}', got '{given['kind']}'; leave it out"
        )
    options = given.get("options") or {}
    if not isinstance(options, dict):
        return {**given, "kind": entry.kind, "title": entry.title}
    options = {**entry.options, **options}
    root = str(raw_folder(entry, str(given["named"]), options))
    from_table = {"title": entry.title, "licence": entry.licence, "kind": entry.kind}
    cutting = {field: getattr(entry, field) for field in ("shrink", "tile", "stride")}
    return {**from_table, **cutting, **given, "options": {"root": root, **options}}


def _stand_in(given: Any, replaced: Document, place: str, mistakes: Mistakes) -> Document | None:
    """The whole entry of a stand-in, None if there is none."""
    if given is None:
        return None
    if not isinstance(given, dict):
        mistakes[place] = f"must be a dataset entry, got {given!r}"
        return None
    whole = _written_out(given, place, mistakes) if "named" in given else dict(given)
    return {**whole, "stands_for": replaced.get("title")}


def _absent(dataset: Mapping[str, Any]) -> bool:
    """Whether a named dataset must be put in place by hand and is not."""
    name = str(dataset.get("named"))
    if name not in catalogue.entries() or not catalogue.entry(name).by_hand:
        return False
    root = Path(str(dataset["options"]["root"]))
    return not any(path for path in root.glob("*") if not path.name.startswith("."))


def _overrides(document: Mapping[str, Any], renamed: Mapping[str, str]) -> Document:
    """The overrides, meant for a stand-in where they were meant for what it replaces."""
    overrides = document.get("overrides")
    if not renamed or not isinstance(overrides, list):
        return {}
    return {
        "overrides": [
            {**entry, "datasets": [renamed.get(name, name) for name in entry["datasets"]]}
            if isinstance(entry, dict) and isinstance(entry.get("datasets"), list)
            else entry
            for entry in overrides
        ]
    }
