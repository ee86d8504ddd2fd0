"""Whether what lies in a study's folders is what recorded jobs have left there.

Snakemake notes for every output how it was made: parameters, code, checksums of the inputs. A file
that has no such record is current to Snakemake whatever the study says, and so is a file that was
replaced behind a record: an old checkpoint would pass for one of new settings. Here the records
are compared with the files.

``results/<study>/checksums.json`` holds a checksum of every output, bound to one record: neither an
older file nor an older record passes with it. A file is read again when its size or one of its
times (of the last change of its content, of its name or rights) is not the one that it had when it
was last read here, and always where `verify` is asked for. What a job has left and no run has
noted yet, because it was killed, is believed by the time that its record names and by the record
that the stage itself left beside it.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noise2mask.errors import UserError
from noise2mask.files import checked, record_of, write_json
from noise2mask.study import paths
from noise2mask.workflow.snakemake import FOLDER

RECORDS = Path(".snakemake/metadata")
_BEGUN = Path(".snakemake/incomplete")
CHECKSUMS = "checksums.json"
BASELINE_MODEL = "model"
"""The folder below its run in which a baseline keeps its network."""
TEMPERATURE = "temperature.json"
"""What a reading that fits a temperature leaves beside its draws."""
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


def record_files(folder: Path = RECORDS) -> dict[str, Path]:
    """Snakemake's record files by the output that they are about."""
    found = {}
    for file in folder.rglob("*"):
        # A long name is cut into folders marked with @.
        parts = [part.removeprefix("@") for part in file.relative_to(folder).parts]
        try:
            output = base64.urlsafe_b64decode("".join(parts)).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
        if file.is_file():
            found[output] = file
    return dict(sorted(found.items()))


def begun() -> list[str]:
    """Outputs of jobs that have begun and of whose end no run has noted anything."""
    return list(record_files(_BEGUN))


def doubts(study: str, *, verify: bool = False) -> dict[str, str]:
    """Files of a study that nothing shows to be current, and why.

    Args:
        study: its name.
        verify: read every file, also those whose size and times are as they were.
    """
    records = _records()
    contents = _Contents(study, records, _checksums(study), verify=verify)
    found = {}
    for output in _lying_there(study, records):
        record = records.get(output)
        if record is None and _is_whole_part_of_a_job(Path(output), records):
            continue
        if record is None:
            found[output] = "Snakemake has no record of it"
        elif not contents.as_left(output, record):
            found[output] = "it is not the file that its record is about"
        elif changed := next(contents.changed_inputs(output, record), None):
            found[output] = f"{FROM_ANOTHER} {changed}"
    contents.remember()
    return found


def note_checksums(study: str) -> None:
    """Write down the checksums of a study's outputs that are as their jobs left them.

    Args:
        study: its name.
    """
    records, known = _records(), _checksums(study)
    contents = _Contents(study, records, known)
    entries = {}
    for output, record in records.items():
        if not _owned(study, output):
            continue
        entry = known.get(output, {})
        if entry.get("record") == record.digest:
            entries[output] = entry
        elif contents.as_left(output, record) and (checksum := contents.sha256(output)):
            entries[output] = {"sha256": checksum, "record": record.digest}
    if entries != known:
        write_json(paths.RESULTS / study / CHECKSUMS, entries)
    contents.remember()


def folders_in_place(study: str) -> list[Path]:
    """Folders that lie where a job left a file; Snakemake would not run past them."""
    return [
        Path(output)
        for output in record_files()
        if _owned(study, output) and Path(output).is_dir() and not Path(output).is_symlink()
    ]


class _Contents:
    """Checksums of files, which are read only if their size or times are new."""

    def __init__(
        self,
        study: str,
        records: Mapping[str, Record],
        known: Mapping[str, Mapping[str, str]],
        *,
        verify: bool = False,
    ):
        self._records = records
        self._known = known
        self._memory = FOLDER / f"{study}.seen.json"
        self._seen = {} if verify else _read_json(self._memory)
        self._found: dict[str, Any] = {}

    def sha256(self, path: str) -> str | None:
        """Checksum of a file, None if it cannot be read."""
        if path in self._found:
            return str(self._found[path]["sha256"])
        try:
            times = Path(path).stat()
            stamp = [times.st_size, times.st_mtime_ns, times.st_ctime_ns]
            before = self._seen.get(path)
            if before is None or before["stamp"] != stamp:
                before = {"stamp": stamp, "sha256": _sha256(path)}
        except OSError:
            return None
        self._found[path] = before
        return str(before["sha256"])

    def remember(self) -> None:
        """Keep what was read, for the next time."""
        known = self._seen | self._found
        if known != self._seen or not self._memory.exists():
            there = {path: said for path, said in sorted(known.items()) if Path(path).exists()}
            write_json(self._memory, there)

    def as_left(self, output: str, record: Record) -> bool:
        """Whether an output is as the job of its record left it."""
        entry, checksum = self._known.get(output, {}), self.sha256(output)
        if entry.get("record") == record.digest:
            same = entry["sha256"] == checksum
        else:
            same = _untouched(Path(output), record)
        return same and _says_own_record(output, checksum)

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
            if (path in self._records or unnoticed) and self.sha256(path) != checksum:
                yield path


def _says_own_record(output: str, checksum: str | None) -> bool:
    """Whether the record that the stage left beside a result names this checksum.

    Stages refuse a result without it.
    """
    if not _recorded_beside(output):
        return True
    return bool(_read_json(record_of(Path(output))).get("sha256") == checksum)


def _recorded_beside(output: str) -> bool:
    """Whether stages leave a record beside this file: all that other stages open."""
    inside = any(Path(output).is_relative_to(root) for root in (paths.RESULTS, paths.PREPARED))
    return inside and Path(output).suffix not in ("", ".npy")


def _lying_there(study: str, records: Iterable[str]) -> list[str]:
    """Files in the study's folders, and of its report those that were recorded.

    A report without records came with a clone, and is made again when its results are.
    """
    inside = {
        str(path)
        for folder in folders(study)
        for path in folder.rglob("*")
        if path.is_file() and path != paths.RESULTS / study / CHECKSUMS and described(path) == path
    }
    recorded = {output for output in records if _owned(study, output) and Path(output).is_file()}
    return sorted(inside | recorded)


def left_beside(path: Path) -> Path | None:
    """The declared output that a file no rule can name came with; None of any other file.

    What a baseline keeps of its network is its own affair, and only some readings fit a
    temperature.
    """
    if path.name == TEMPERATURE:
        return path.with_name("draws.npz")
    if path.parent.name == BASELINE_MODEL:
        return path.parent.with_name("run.json")
    return None


def _is_whole_part_of_a_job(path: Path, records: Mapping[str, Record]) -> bool:
    """Whether a file was left beside a recorded output of the same job, and is as it was left."""
    if str(left_beside(path)) not in records:
        return False
    try:
        checked(path)
    except UserError:
        return False
    return True


def described(path: Path) -> Path:
    """The result that a file is about: the one beside a record, the file itself if it is none."""
    is_record = path.name.startswith(".") and path.suffix == ".record"
    return path.with_name(path.stem[1:]) if is_record else path


def _owned(study: str, output: str) -> bool:
    roots = (*folders(study), paths.REPORTS / study)
    return any(Path(output).is_relative_to(root) for root in roots)


def _records() -> dict[str, Record]:
    read = {output: Record.read(file) for output, file in record_files().items()}
    return {output: record for output, record in read.items() if record is not None}


def _checksums(study: str) -> dict[str, dict[str, str]]:
    found = _read_json(paths.RESULTS / study / CHECKSUMS)
    whole = all(
        isinstance(entry, dict) and entry.keys() == {"sha256", "record"} for entry in found.values()
    )
    return found if whole else {}


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON object, an empty one if the file is missing or damaged."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _untouched(path: Path, record: Record) -> bool:
    try:
        return abs(path.stat().st_mtime - record.ended) < _SAME_TIME
    except OSError:
        return False


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
