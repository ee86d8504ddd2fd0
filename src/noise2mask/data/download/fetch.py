"""The archives of a dataset: fetched, verified, recorded and unpacked below one folder.

``archives/`` holds them as they were published, ``files/`` what they hold, each in a folder of its
own, and ``record.json`` what was fetched, with the checksums by which a later file is judged.
``files/`` can be deleted: it is made again from the archives.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from noise2mask.data.catalogue import Archive
from noise2mask.data.download.checksums import Memory, mismatch
from noise2mask.data.download.http import download, shown, told
from noise2mask.data.download.unpack import folder_name, unpack
from noise2mask.errors import UserError
from noise2mask.files import locked, write_json, write_text
from noise2mask.progress import LOG

ARCHIVES, FILES, RECORD = "archives", "files", "record.json"

Record = dict[str, Any]


def get(
    folder: Path,
    archives: Sequence[Archive],
    *,
    name: str,
    title: str,
    licence: str,
    by_hand: str = "",
    homepage: str = "",
) -> Record:
    """Bring a dataset's archives here as far as they are not, verify, unpack and record them.

    An archive that lies in ``archives/`` needs no network, whoever put it there. It must have the
    published checksum or, where none is published, that of the first one that was here.

    Args:
        folder: the dataset's folder of raw data.
        archives: what belongs there; those of other datasets in the same folder are left alone.
        name: the dataset's name.
        title: what it is called in the record and in messages.
        licence: said before anything is fetched.
        by_hand: how to get it where it cannot be fetched, as a sentence; "" where it can.
        homepage: where it is published.

    Returns:
        What ``record.json`` then holds.

    Raises:
        UserError: an archive must be brought by hand, cannot be fetched, is not the expected one
            or cannot be unpacked. What has come is kept.
    """
    _check_by_hand(folder, archives, title, by_hand, homepage)
    if not archives:
        return read_record(folder)
    with _alone(folder):
        record = read_record(folder)
        memory = Memory(folder / ".verified.json")
        missing = [archive for archive in archives if not _path(folder, archive).exists()]
        if missing:
            about = f"; {homepage}" if homepage else ""
            LOG.info("%s: %s, licence: %s%s", name, title, licence or "not stated", about)
        entries = {}
        for archive in archives:
            known = record["archives"].get(archive.file, {}).get("sha256")
            if archive in missing:
                _fetch(folder, archive, known, memory)
            entries[archive.file] = _entry(folder, archive, known, memory)
        about_dataset = {"title": title, "licence": licence, "homepage": homepage}
        record = {
            "datasets": _sorted({**record["datasets"], name: about_dataset}),
            "archives": _sorted({**record["archives"], **entries}),
        }
        _unpack_absent(folder, archives, record, memory)
        if record != read_record(folder):
            write_json(folder / RECORD, record)
    LOG.info("%s: %d archives are in %s", name, len(archives), folder)
    return record


def ensure_unpacked(folder: Path, archives: Sequence[Archive]) -> None:
    """Unpack again what is not unpacked, or not from the archives that are recorded.

    Waits where another process is doing it. Needs no archive whose files are in place.

    Raises:
        UserError: an archive is missing, is not the recorded one or cannot be unpacked.
    """
    record = read_record(folder)
    for archive in archives:
        if archive.file not in record["archives"]:
            raise UserError(
                f"{folder} has no record of {archive.file}; run `noise2mask data get` for this "
                "dataset first."
            )
    if not all(_is_unpacked(folder, archive, record) for archive in archives):
        with _alone(folder):
            memory = Memory(folder / ".verified.json")
            _unpack_absent(folder, archives, read_record(folder), memory)


def read_record(folder: Path) -> Record:
    """What was fetched into a folder: ``datasets`` and ``archives``, by name; empty before that.

    Raises:
        UserError: ``record.json`` is not one of this version.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_bytes())
        datasets, archives = dict(record["datasets"]), dict(record["archives"])
        if all(isinstance(entry["sha256"], str) for entry in archives.values()):
            return {"datasets": datasets, "archives": archives}
    except FileNotFoundError:
        return {"datasets": {}, "archives": {}}
    except (ValueError, TypeError, KeyError):
        pass
    raise UserError(f"{path} is damaged; delete it and run `noise2mask data get` again.")


# Archives -------------------------------------------------------------------------------------


def _check_by_hand(
    folder: Path, archives: Sequence[Archive], title: str, by_hand: str, homepage: str
) -> None:
    """Refuse before anything is made, so that the folder of absent data stays absent."""
    absent = [archive for archive in archives if not _path(folder, archive).exists()]
    files = [archive.file for archive in absent if by_hand or not archive.url]
    there = any(not path.name.startswith(".") for path in folder.glob("*"))
    if not files and (archives or not by_hand or there):
        return
    how = by_hand.strip() or f"Get it from {homepage or 'its publisher'}."
    what = f"{', '.join(files)} into {folder / ARCHIVES}" if files else f"it into {folder}"
    raise UserError(f"{title} cannot be fetched: {how} Put {what} and run the same command again.")


def _fetch(folder: Path, archive: Archive, known: str | None, memory: Memory) -> None:
    """Download an archive that is not here; `known` is the checksum that was recorded."""
    path = _path(folder, archive)
    expected: dict[str, Any] = {"sha256": archive.sha256, "md5": archive.md5, "size": archive.size}
    if known is not None and archive.sha256 is None:
        expected |= {"sha256": known, "advice": _changed(folder)}
    digest = download(archive.url, path, **expected)
    memory.remember(path, {"sha256": digest} | ({"md5": archive.md5} if archive.md5 else {}))


def _entry(folder: Path, archive: Archive, known: str | None, memory: Memory) -> Record:
    """Verify an archive that is here; what the record says of it."""
    path = _path(folder, archive)
    size = path.stat().st_size
    advice = "delete it and run the same command again, or put the right file there"
    if archive.size not in (None, size):
        raise UserError(f"{path} has {size} bytes, not {archive.size}; {advice}.")
    sums = memory.checksums(path, with_md5=archive.md5 is not None)
    if wrong := mismatch(sums, archive.sha256, archive.md5):
        raise UserError(f"{path} has {wrong}; {advice}.")
    if archive.sha256 is None and (wrong := mismatch(sums, known, None)):
        raise UserError(f"{path} has {wrong} as recorded; {advice}; {_changed(folder)}.")
    published = archive.sha256 is not None or archive.md5 is not None
    return {
        "url": shown(archive.url),
        "size": size,
        "sha256": sums["sha256"],
        "checksum": "published" if published else "recorded on first download",
    }


def _changed(folder: Path) -> str:
    return (
        "if the publisher really changed the file, delete "
        f"{folder / RECORD} and run the same command again"
    )


def _path(folder: Path, archive: Archive) -> Path:
    return folder / ARCHIVES / archive.file


# Files ----------------------------------------------------------------------------------------


def _unpack_absent(
    folder: Path, archives: Sequence[Archive], record: Record, memory: Memory
) -> None:
    for archive in archives:
        if _is_unpacked(folder, archive, record):
            continue
        path, digest = _path(folder, archive), record["archives"][archive.file]["sha256"]
        if not path.exists():
            raise UserError(
                f"{path} is missing; run `noise2mask data get` for this dataset, or put the file "
                "there."
            )
        if wrong := mismatch(memory.checksums(path), digest, None):
            raise UserError(
                f"{path} has {wrong} as recorded; delete it and run `noise2mask data get` again; "
                f"{_changed(folder)}."
            )
        target, marker = _unpacked(folder, archive)
        if target is None:
            continue
        marker.unlink(missing_ok=True)
        unpack(path, target)
        write_text(marker, f"{digest}\n")


def _is_unpacked(folder: Path, archive: Archive, record: Record) -> bool:
    """Whether the files of an archive are here whole; an archive that stays packed counts too."""
    target, marker = _unpacked(folder, archive)
    if target is None:
        return _path(folder, archive).exists()
    try:
        digest = marker.read_text().strip()
    except (OSError, ValueError):
        return False
    return digest == record["archives"][archive.file]["sha256"] and target.is_dir()


def _unpacked(folder: Path, archive: Archive) -> tuple[Path | None, Path]:
    """Folder that an archive is unpacked to, None if it stays packed; its marker of what bytes."""
    name = folder_name(archive.file)
    marker = folder / FILES / f".{name}.sha256"
    return (None if name is None else folder / FILES / name), marker


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from fetching and unpacking the same data; tell a disk's trouble."""
    busy = f"{folder}: another process fetches or unpacks these data; waiting for it"
    with told(folder), locked(folder / ".lock", busy, wait=True):
        yield


def _sorted(entries: Mapping[str, Any]) -> dict[str, Any]:
    return dict(sorted(entries.items()))
