"""Atomic writing: a file is either the old one, or the new one whole.

Everything the package leaves on disk goes through :func:`writing` or one of the thin functions
below it, so an interrupted process or a full disk never leaves half a file under a final name.
"""

import errno
import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from noise2mask.errors import UserError

LOG = logging.getLogger("noise2mask")

_CAUSES = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EROFS: "the file system is read-only; choose a folder that can be written",
    errno.EACCES: "the folder cannot be written; change its permissions or choose another one",
    errno.EPERM: "the folder cannot be written; change its permissions or choose another one",
}


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that replaces it when the block ends without error.

    Raises:
        UserError: the disk is full or the folder cannot be written; `path` is then unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        cause = _CAUSES.get(error.errno or 0)
        if cause is None:
            raise
        raise UserError(f"{path} could not be saved: {cause}.") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, busy: str, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock file; the kernel frees it when the process ends, however it ends.

    Args:
        path: the lock file; it stays.
        busy: what to say when another process holds it.
        wait: say it in the log and wait, instead of refusing.

    Raises:
        UserError: another process holds it and `wait` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise UserError(busy) from None
            LOG.info(busy)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content` atomically."""
    with writing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Replace `path` by `content` (UTF-8) atomically."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Replace `path` by `content` as indented JSON with a final newline, atomically."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def said_by_run(path: Path, *keys: str) -> dict[str, Any]:
    """These entries of a ``run.json``.

    Raises:
        UserError: it is damaged or lacks one of them.
    """
    try:
        content = json.loads(path.read_bytes())
        return {key: content[key] for key in keys}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged ({error!r}); delete its folder and run the study again."
        ) from None
