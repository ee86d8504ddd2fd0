"""Atomic writing, and reading only what was written.

Everything the package leaves on disk goes through :func:`writing` or one of the thin functions
below it, so an interrupted process or a full disk never leaves half a file under a final name.
What one stage leaves for another gets a record of its content (``.<name>.record`` beside it), and
the other opens it through :func:`checked`: a cut, changed or swapped file is told in one sentence,
with the command that makes it again.
"""

import errno
import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from io import BufferedReader
from pathlib import Path
from typing import Any

from filelock import SoftFileLock, Timeout

from noise2mask.errors import UserError

LOG = logging.getLogger("noise2mask")

_CAUSES = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EROFS: "the file system is read-only; choose a folder that can be written",
    errno.EACCES: "the folder cannot be written; change its permissions or choose another one",
    errno.EPERM: "the folder cannot be written; change its permissions or choose another one",
    errno.EISDIR: "a folder of this name is in its place; move that away",
    errno.ENOTDIR: "a file is in the place of its folder; move that away",
    errno.EEXIST: "a file is in the place of its folder; move that away",
}

# ENOTSUP is another name of EOPNOTSUPP here and there.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}

command: ContextVar[str] = ContextVar("command", default="noise2mask reproduce")
"""What runs in this process, as a user would type it; records name it."""


@contextmanager
def writing(path: Path, *, record: bool = False) -> Iterator[Path]:
    """Give a temporary path beside `path` that replaces it when the block ends without error.

    Equal tensors and metadata give equal bytes of a ``.safetensors`` file.

    Args:
        path: the file to be made or replaced.
        record: leave a record beside it, for :func:`checked`.

    Raises:
        UserError: the disk is full or the folder cannot be written; `path` is then unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if path.suffix == ".safetensors":
            _order_metadata(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        if record:
            write_record(path)
    except OSError as error:
        cause = _CAUSES.get(error.errno or 0)
        if cause is None:
            raise
        raise UserError(f"{path} could not be saved: {cause}.") from error
    finally:
        with suppress(NotADirectoryError):
            temporary.unlink(missing_ok=True)


def _order_metadata(path: Path) -> None:
    """Sort the metadata in the header of a safetensors file, whose library has them in any order.

    The header is the length of a JSON object, 8 bytes, and the object, which may end in blanks. A
    file that has none, such as a damaged one that is set aside, stays as it is.
    """
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > os.fstat(file.fileno()).st_size - 8:
            return
        try:
            header = json.loads(file.read(length))
        except ValueError:
            return
        header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= length:
            file.seek(8)
            file.write(text.ljust(length))


@contextmanager
def locked(path: Path, busy: str, *, wait: bool = False) -> Iterator[int | None]:
    """Hold a lock file; the kernel frees it when the process ends, however it ends.

    Some network file systems have no such locks. There a file beside it stands for the lock, with
    a warning: one that was left by a process on another machine has to be removed by hand.

    Args:
        path: the lock file; it stays.
        busy: what to say when another process holds it.
        wait: say it in the log and wait, instead of refusing.

    Yields:
        The descriptor of the lock, which a process that inherits it holds too; None without locks.

    Raises:
        UserError: another process holds it and `wait` is false, or `path` cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        cause = _CAUSES.get(error.errno or 0)
        if cause is None:
            raise
        raise UserError(f"the lock {path} could not be made: {cause}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise UserError(busy) from None
            LOG.info(busy)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            with _standing_for(path, busy, wait=wait):
                yield None
            return
        yield file.fileno()


@contextmanager
def _standing_for(path: Path, busy: str, *, wait: bool) -> Iterator[None]:
    """Hold a lock that is nothing but a file, where the file system has no better one."""
    stand_in = path.with_name(f"{path.name}.held")
    LOG.warning(
        "The file system of %s has no locks, so %s stands for one; if no process works here and "
        "it is still there, remove it.",
        path.parent,
        stand_in,
    )
    lock = SoftFileLock(stand_in)
    try:
        lock.acquire(timeout=1)  # one that a killed process has left is found on the way
    except Timeout:
        if not wait:
            raise UserError(busy) from None
        LOG.info(busy)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def write_bytes(path: Path, content: bytes, *, record: bool = False) -> None:
    """Replace `path` by `content` atomically, with a record beside it if asked."""
    with writing(path, record=record) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str, *, record: bool = False) -> None:
    """Replace `path` by `content` (UTF-8) atomically, with a record beside it if asked."""
    write_bytes(path, content.encode(), record=record)


def write_json(path: Path, content: Any, *, record: bool = False) -> None:
    """Replace `path` by `content` as indented JSON with a final newline, atomically."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n", record=record)


def record_of(path: Path) -> Path:
    """Where the record of a file lies."""
    return path.with_name(f".{path.name}.record")


def write_record(path: Path) -> None:
    """Note what a file holds and which command made it."""
    with path.open("rb") as file:
        write_json(record_of(path), {**_content(file), "command": command.get()})


def _content(file: BufferedReader) -> dict[str, Any]:
    """What a record says of a file's content."""
    return {
        "bytes": os.fstat(file.fileno()).st_size,
        "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
    }


def checked(path: Path) -> Path:
    """`path`, if its content is what its record says.

    Raises:
        UserError: it is missing, cannot be read, was cut or changed, or has no record.
    """
    record, again = _record(path)
    if not path.is_file():
        what = "is no file" if os.path.lexists(path) else "does not exist"
        raise UserError(f"{path} {what}; {again}.")
    try:
        with path.open("rb") as file:
            found = _content(file)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {again}.") from None
    if record is None:
        raise UserError(
            f"{path} has no readable record beside it ({record_of(path).name}), so nothing shows "
            f"that it is whole; {again}."
        )
    if found != record:
        sizes = f"{found['bytes']} bytes where its record says {record['bytes']}"
        what = sizes if found["bytes"] != record["bytes"] else "another content"
        raise UserError(f"{path} was changed or damaged: it has {what}; {again}.")
    return path


def _record(path: Path) -> tuple[dict[str, Any] | None, str]:
    """What the record of a file says of its content, and how to make the file again."""
    try:
        beside = record_of(path)
        if path.is_symlink() and not beside.exists():
            beside = record_of(path.resolve())
        said = json.loads(beside.read_bytes())
        record, made_by = {key: said[key] for key in ("bytes", "sha256")}, str(said["command"])
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        return None, "make it again with `noise2mask reproduce`"
    return record, f"make it again with `{made_by}`"


def said_by_run(path: Path, *keys: str) -> dict[str, Any]:
    """These entries of a ``run.json``.

    Raises:
        UserError: it is damaged or lacks one of them.
    """
    try:
        content = json.loads(checked(path).read_bytes())
        return {key: content[key] for key in keys}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged ({error!r}); delete its folder and run the study again."
        ) from None
