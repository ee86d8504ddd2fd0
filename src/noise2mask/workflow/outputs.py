"""Whether what lies in a study's folders is what recorded jobs have left there.

Snakemake notes for every output how it was made: parameters, code, checksums of the inputs. A file
that has no such record is current to Snakemake whatever the study says, and so is a file that was
replaced behind a record: an old checkpoint would pass for one of new settings. Here the records
are compared with the files.

A file is as its job left it if it has the modification time that its record names. Copies do not
keep times (``dvc pull``, ``git checkout``), so ``results/<study>/checksums.json`` holds checksums,
each bound to one record: neither an older file nor an older record passes with it.
"""

import base64
import binascii
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from noise2mask.errors import UserError
from noise2mask.files import write_json
from noise2mask.study import paths

RECORDS = Path(".snakemake/metadata")
CHECKSUMS = "checksums.json"
FROM_ANOTHER = "it was made from another"
_SAME_TIME = 1e-3
"""Seconds; file systems and JSON keep times to less than that."""


@dataclass(frozen=True)
class Record:
    """What Snakemake notes of one output."""

    digest: str
    started: float
    ended: float
    inputs: Mapping[str, str]

    @classmethod
    def read(cls, file: Path) -> "Record | None":
        """The record in a file of Snakemake's; None where it is unreadable, as after a kill."""
        content = file.read_bytes()
        try:
            document = json.loads(content)
            return cls(
                hashlib.sha256(content).hexdigest(),
                float(document["starttime"]),
                float(document["endtime"]),
                {
                    path: checksum.removeprefix("sha256:")
                    for path, checksum in (document["input_checksums"] or {}).items()
                },
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


def folders(study: str) -> tuple[Path, Path]:
    """The folders that hold nothing but what the rules of a study make."""
    return paths.RESULTS / study, paths.PREPARED / study


def record_files() -> dict[str, Path]:
    """Snakemake's record files by the output that they are about."""
    found = {}
    for file in RECORDS.rglob("*"):
        # A long name is cut into folders marked with @.
        parts = [part.removeprefix("@") for part in file.relative_to(RECORDS).parts]
        try:
            output = base64.urlsafe_b64decode("".join(parts)).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
        if file.is_file():
            found[output] = file
    return dict(sorted(found.items()))


def declared(study: str, data: str | None) -> dict[str, bool]:
    """Every output that the rules declare for a study, and whether Snakemake would make it now.

    Args:
        study: name or file of the study.
        data: folder that replaces ``{data}``.

    Raises:
        UserError: Snakemake did not answer.
    """
    command = [sys.executable, "-m", "snakemake", "--summary", *configuration(study, data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    _, header, table = done.stdout.partition("output_file\t")
    if done.returncode != 0 or not header:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise UserError(
            f"Snakemake does not say what study {study} declares, so nothing was changed; it says: "
            f"{said[0]}"
        )
    rows = [line.split("\t") for line in table.splitlines()[1:] if line]
    return {row[0]: row[-1] == "update pending" for row in rows}


def configuration(study: str, data: str | None) -> list[str]:
    """Snakemake's options that name a study."""
    return ["--config", f"study={study}", *([f"data={data}"] if data else [])]


def doubts(study: str) -> dict[str, str]:
    """Files of a study that nothing shows to be current, and why.

    Args:
        study: its name.
    """
    records = _records()
    contents = _Contents(records, _checksums(study))
    found = {}
    for output in _lying_there(study, records):
        record = records.get(output)
        if record is None:
            found[output] = "Snakemake has no record of it"
        elif not contents.as_left(output, record):
            found[output] = "it is not the file that its record is about"
        elif changed := next(contents.changed_inputs(output, record), None):
            found[output] = f"{FROM_ANOTHER} {changed}"
    return found


def note_checksums(study: str) -> None:
    """Write down the checksums of a study's outputs that are as their jobs left them.

    Args:
        study: its name.
    """
    records, known = _records(), _checksums(study)
    entries = {}
    for output, record in records.items():
        entry = known.get(output, {})
        if _owned(study, output) and entry.get("record") == record.digest:
            entries[output] = entry
        elif _owned(study, output) and _untouched(Path(output), record):
            entries[output] = {"sha256": _sha256(output), "record": record.digest}
    if entries != known:
        write_json(paths.RESULTS / study / CHECKSUMS, entries)


class _Contents:
    """Contents of files, read only where their times do not tell enough."""

    def __init__(self, records: Mapping[str, Record], known: Mapping[str, Mapping[str, str]]):
        self._records = records
        self._known = known
        self._sha256 = cache(_sha256)

    def as_left(self, output: str, record: Record) -> bool:
        """Whether an output is as the job of its record left it."""
        if _untouched(Path(output), record):
            return True
        entry = self._known.get(output, {})
        return entry.get("record") == record.digest and entry["sha256"] == self._sha256(output)

    def changed_inputs(self, output: str, record: Record) -> Iterator[str]:
        """Inputs whose content is not the one that the record names.

        Of files that no rule makes, Snakemake itself compares those that are newer than the
        output; the others cost a look only if they came after the job began.
        """
        made = Path(output).stat().st_mtime
        for path, checksum in record.inputs.items():
            try:
                times = Path(path).stat()
            except OSError:
                continue  # whether it is needed is for Snakemake to say
            unnoticed = made >= times.st_mtime and times.st_ctime > record.started
            if (path in self._records or unnoticed) and self._content(path) != checksum:
                yield path

    def _content(self, path: str) -> str:
        record, entry = self._records.get(path), self._known.get(path, {})
        if record and entry.get("record") == record.digest and _untouched(Path(path), record):
            return entry["sha256"]
        return self._sha256(path)


def _lying_there(study: str, records: Iterable[str]) -> list[str]:
    """Files in the study's folders, and of its report those that were recorded.

    A report without records came with a clone, and is made again when its results are.
    """
    inside = {
        str(path)
        for folder in folders(study)
        for path in folder.rglob("*")
        if path.is_file() and path != paths.RESULTS / study / CHECKSUMS
    }
    recorded = {output for output in records if _owned(study, output) and Path(output).is_file()}
    return sorted(inside | recorded)


def _owned(study: str, output: str) -> bool:
    roots = (*folders(study), paths.REPORTS / study)
    return any(Path(output).is_relative_to(root) for root in roots)


def _records() -> dict[str, Record]:
    read = {output: Record.read(file) for output, file in record_files().items()}
    return {output: record for output, record in read.items() if record is not None}


def _checksums(study: str) -> dict[str, dict[str, str]]:
    try:
        found: Any = json.loads((paths.RESULTS / study / CHECKSUMS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = isinstance(found, dict) and all(
        isinstance(entry, dict) and entry.keys() == {"sha256", "record"} for entry in found.values()
    )
    return found if whole else {}


def _untouched(path: Path, record: Record) -> bool:
    try:
        return abs(path.stat().st_mtime - record.ended) < _SAME_TIME
    except OSError:
        return False


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
