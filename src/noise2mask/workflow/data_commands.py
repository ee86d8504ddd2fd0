"""The datasets that can be had by name: list, fetch, check, show.

A dataset is chosen by its name in the table (:mod:`noise2mask.data.catalogue`), by the folder that
holds it as ``images/`` and ``masks/``, or as one of a study's.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from noise2mask import plugins
from noise2mask.data import catalogue
from noise2mask.data.checks.check import check, summary_text, write
from noise2mask.data.checks.measures import Checked
from noise2mask.data.download import fetch
from noise2mask.data.layouts.entry import checked_options
from noise2mask.errors import UserError, unknown
from noise2mask.progress import LOG
from noise2mask.report.figures.contact_sheet import write_sheet
from noise2mask.study.document import ReadError, parse
from noise2mask.study.paths import CHECKED, raw_folder
from noise2mask.study.schema import Dataset, Shares, Study
from noise2mask.workflow.data_add import first_answer


@dataclass(frozen=True)
class Chosen:
    """One dataset to be fetched or checked.

    `options` are those of its `kind`; `entry` is its row in the table, None if it has none.
    """

    name: str
    title: str
    licence: str
    kind: str
    options: Mapping[str, Any]
    entry: catalogue.Entry | None
    shares: Mapping[str, float] = field(default_factory=lambda: Shares().model_dump())
    tile: int | None = None
    leaks_accepted: bool = False

    @property
    def root(self) -> Path:
        """Folder of the raw data."""
        return Path(str(self.options["root"])).expanduser()


def by_name(name: str, settings: Sequence[str] = ()) -> Chosen:
    """A dataset of the table, or a folder with ``images/`` and ``masks/``.

    Args:
        name: a name in the table or the path of a folder.
        settings: options of its kind as ``key=value``, the value in YAML.

    Raises:
        UserError: neither a name nor a folder, or an option is wrong.
    """
    given = dict(setting(text) for text in settings)
    if name not in catalogue.entries() and Path(name).expanduser().is_dir():
        folder = Path(name).expanduser()
        kind = str(given.pop("kind", "folder"))
        if kind == "folder" and not given and not _has_pairs(folder):
            raise UserError(f"{name} holds no images/ and masks/, {first_answer(name)}")
        if kind not in plugins.names("format"):
            raise UserError(f"--set kind: {unknown(kind, 'kind', plugins.names('format'))}.")
        options = checked_options(kind, {"root": name, **given})
        return Chosen(folder.resolve().name, folder.resolve().name, "", kind, options, None)
    entry = catalogue.entry(name)
    options = {**entry.options, **given}
    root = str(raw_folder(entry, name, options))
    options = checked_options(entry.kind, {"root": root, **options})
    return Chosen(name, entry.title, entry.licence, entry.kind, options, entry)


def _has_pairs(folder: Path) -> bool:
    """Whether a folder, or each of its folders, has images/ and masks/."""
    wanted = ("images", "masks")
    parts = [folder, *(path for path in folder.iterdir() if path.is_dir())]
    return any(all((part / name).is_dir() for name in wanted) for part in parts)


def of_study(study: Study, dataset: str) -> Chosen:
    """A dataset of a study."""
    settings: Dataset = study.datasets[dataset]
    entry = catalogue.entry(settings.named) if settings.named else None
    shares = study.shares.model_dump()
    return Chosen(
        dataset,
        settings.title,
        settings.licence,
        settings.kind,
        settings.options,
        entry,
        shares,
        None if settings.shrink else settings.tile,
        settings.leaks == "accepted",
    )


def setting(text: str) -> tuple[str, Any]:
    """An option and its value of ``key=value``, the value in YAML.

    Raises:
        UserError: it is not of this form.
    """
    key, equals, value = text.partition("=")
    try:
        if equals:
            return key, parse(value)
    except (yaml.YAMLError, ReadError):
        pass
    raise UserError(f"--set {text!r} is not key=value, e.g. --set size=128.")


# Fetching -------------------------------------------------------------------------------------


def get(chosen: Chosen) -> None:
    """Fetch and unpack the archives of a dataset, as far as they are not there.

    Raises:
        UserError: it has to be put in place by hand, or the transfer fails; what has come stays.
    """
    if chosen.entry is None:
        if not chosen.root.is_dir():
            raise UserError(f"{chosen.root} does not exist; put the dataset {chosen.name} there.")
        LOG.info("%s lies in %s; there is nothing to fetch.", chosen.name, chosen.root)
        return
    fetch.get(
        chosen.root,
        catalogue.archives_for(chosen.entry, chosen.options),
        name=chosen.name,
        title=chosen.entry.title,
        licence=chosen.licence,
        by_hand=chosen.entry.by_hand,
        homepage=chosen.entry.homepage,
    )


def unpack(chosen: Chosen) -> None:
    """Unpack again what was fetched, where the unpacked files are not there."""
    if chosen.entry is not None and chosen.entry.archives:
        fetch.ensure_unpacked(chosen.root, catalogue.archives_for(chosen.entry, chosen.options))


# Checking -------------------------------------------------------------------------------------


def inspect(chosen: Chosen, processes: int, sheet: int) -> Checked:
    """Check a dataset and write ``manifest.csv``, ``check.json`` and ``sheet.png``.

    They go to ``data/checked/<name>/``. The sheet shows pictures of the data: mind the licence
    before you pass it on.

    Args:
        chosen: the dataset.
        processes: that decode.
        sheet: number of cases on the sheet, 0 for none.

    Raises:
        UserError: the raw data are not there or not of the promised form.
    """
    unpack(chosen)
    try:
        return _inspected(chosen, processes, sheet)
    except UserError as error:
        plain = set(chosen.options) == {"root"} and chosen.kind == "folder"
        if chosen.entry is not None or not plain or not chosen.root.is_dir():
            raise
        answer = first_answer(str(chosen.options["root"]))
        if "this reads it" not in answer:
            raise
        raise UserError(f"{str(error).rstrip('.')}; or, {answer.removeprefix('but ')}") from error


def _inspected(chosen: Chosen, processes: int, sheet: int) -> Checked:
    counts = {str(split): n for split, n in chosen.entry.counts.items()} if chosen.entry else {}
    checked = check(
        chosen.kind,
        chosen.options,
        name=chosen.name,
        title=chosen.title,
        shares=chosen.shares,
        counts=counts,
        processes=processes,
        tile=chosen.tile,
        leaks_accepted=chosen.leaks_accepted,
    )
    folder = CHECKED / chosen.name
    write(checked, folder)
    if sheet:
        write_sheet(checked, folder / "sheet.png", count=sheet, licence=chosen.licence)
    return checked


def report(chosen: Chosen, checked: Checked) -> str:
    """What a check found, and where it lies."""
    return f"{summary_text(checked)}\n{CHECKED / chosen.name}/ holds the manifest and the pictures"


# Showing --------------------------------------------------------------------------------------


def listing() -> str:
    """Every named dataset, a line each, with what is here of it."""
    header = ("name", "modality", "target", "cases", "here", "licence")
    rows = [header]
    for name, entry in sorted(
        catalogue.entries().items(), key=lambda item: (item[1].modality, item)
    ):
        counts = entry.counts.values()
        rows.append(
            (
                name,
                entry.modality,
                _short(entry.target, 30),
                "/".join(map(str, counts)) or "?",
                _state(name, entry),
                _short(entry.licence, 40),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def facts(chosen: Chosen) -> str:
    """What is known of a dataset: the table's row, and what was fetched."""
    return "\n".join(f"{label:<12}{value}" for label, value in _facts(chosen) if value)


def _facts(chosen: Chosen) -> Iterator[tuple[str, str]]:
    yield "name", chosen.name
    yield "title", chosen.title
    yield "licence", chosen.licence
    yield "kind", chosen.kind
    yield "options", json.dumps(dict(chosen.options))
    if chosen.entry is None:
        return
    entry = chosen.entry
    yield "modality", entry.modality
    yield "target", entry.target
    yield "cases", ", ".join(f"{split} {count}" for split, count in entry.counts.items())
    yield "homepage", entry.homepage
    yield "reference", entry.reference
    yield "by hand", entry.by_hand
    for archive in catalogue.archives_for(entry, chosen.options):
        sums = {"sha256": archive.sha256, "md5": archive.md5}
        known = ", ".join(f"{name} {value}" for name, value in sums.items() if value)
        yield "archive", f"{archive.file}, {archive.url or 'by hand'}, {known or 'no checksum'}"
    yield "here", _state(chosen.name, entry, chosen.root, chosen.options)


def _state(
    name: str,
    entry: catalogue.Entry,
    root: Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> str:
    """What lies on this disk."""
    root = root or raw_folder(entry, name, entry.options)
    if not entry.archives:
        return "yes" if any(root.glob("*")) else "by hand"
    fetched = fetch.read_record(root)["archives"]
    wanted = catalogue.archives_for(entry, entry.options if options is None else options)
    if all(archive.file in fetched for archive in wanted):
        return "yes"
    started = any((root / fetch.ARCHIVES).glob("*"))
    return "in part" if started else ("by hand" if entry.by_hand else "no")


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
