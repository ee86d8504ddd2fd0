"""Which raw files a prepared dataset is made of, and one digest of what they hold.

A workflow that watches exactly these files runs again when one of them changes, and not when a
file browser leaves something beside them.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from noise2mask import plugins
from noise2mask.data.source import Listing, function_of
from noise2mask.errors import UserError
from noise2mask.files import write_json
from noise2mask.progress import LOG, Progress

_SAVED_EVERY = 2000  # files, so that an interrupted first time is not lost


def files_read(kind: str, options: Mapping[str, Any]) -> list[Path]:
    """Exactly the files that preparing a dataset reads, sorted; reads nothing but tables itself.

    Folders that are links are followed, and what is no case (``.DS_Store``) is not among them.

    Raises:
        UserError: the raw data do not have the promised form.
    """
    module_files = function_of(kind, "files")
    if module_files is not None:
        paths: list[Path] = module_files(**options)
        return paths
    listing = plugins.member("format", kind)(**options)
    return (listing if isinstance(listing, Listing) else Listing(listing)).files()


def content_digest(paths: Sequence[Path], memory: Path) -> str:
    """One SHA-256 of what files hold and how they are called, the same wherever they lie.

    Args:
        paths: the files.
        memory: a JSON file that remembers the digest of each file by its size and times, so that
            only what changed is read again; made if needed.

    Raises:
        UserError: a file cannot be read.
    """
    known = _remembered(memory)
    parents = [str(path.absolute().parent) for path in paths]
    top = Path(os.path.commonpath(parents)) if parents else Path()
    digests: list[tuple[str, str]] = []
    new = 0
    progress = Progress("reading raw files", len(paths))
    for done, path in enumerate(paths, start=1):
        try:
            status = path.stat()
            stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
            key = str(path.absolute())
            if known.get(key, {}).get("stamp") != stamp:
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                known[key] = {"stamp": stamp, "sha256": digest}
                new += 1
                if new % _SAVED_EVERY == 0:
                    _remember(memory, known)
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}); restore it.") from error
        place = path.absolute().relative_to(top).as_posix()
        digests.append((place, str(known[key]["sha256"])))
        progress.update(done)
    if new:
        _remember(memory, known)
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def _remembered(memory: Path) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(memory.read_bytes())
        return {key: dict(value) for key, value in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember(memory: Path, known: Mapping[str, Any]) -> None:
    """Keep what is known of files that are still there; a folder that cannot be written is told."""
    try:
        write_json(
            memory, {key: value for key, value in sorted(known.items()) if Path(key).exists()}
        )
    except (UserError, OSError) as error:
        LOG.warning("%s", error)
