"""Datasets by name: what a study leaves to the table of datasets is filled in.

``{named: isic2016}`` becomes a whole dataset entry; fields given beside the name win. Where data
that cannot be fetched are absent, the entry under ``stand_in`` takes their place, under a key, a
title and a note of its own, so that no table or figure can show the one for the other.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from noise2mask.data import catalogue
from noise2mask.errors import UserError
from noise2mask.study.paths import raw_folder

STAND_IN = "_stand_in"
"""Ending of the key of a dataset that takes another's place."""

Document = dict[str, Any]
Mistakes = dict[str, str]


def resolved(document: Mapping[str, Any]) -> tuple[Document, Mistakes]:
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
            continue
        stand_in = given.get("stand_in")
        own = {field: value for field, value in given.items() if field != "stand_in"}
        whole = _written_out(own, place, mistakes)
        other = _stand_in(stand_in, whole, f"{place}.stand_in", mistakes)
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
    name = dataset.get("named")
    if name not in catalogue.entries() or not catalogue.entry(str(name)).by_hand:
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
