"""Zip and tar archives into a folder: safely, and whole or not at all.

Nothing is written outside the folder, no link or device is made, and what is written is counted,
whatever the archive says of itself. Archives inside an archive stay as they are. What macOS and
Windows leave in archives of their own (``__MACOSX``, ``.DS_Store``, ``Thumbs.db``) is left out.
"""

import errno
import gzip
import io
import lzma
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial
from pathlib import Path, PurePath
from typing import IO, Literal, NamedTuple

from noise2mask.errors import UserError
from noise2mask.progress import Progress, in_bytes

SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
MOST_MEMBERS = 1_000_000
GROWTH, ALLOWANCE = 200, 10**9
"""An archive of n bytes may hold GROWTH * n + ALLOWANCE bytes."""
RESERVE = 10**9
"""Bytes of the disk that stay free."""

_BLOCK = 1 << 20
_LONGEST_HEADER = 1 << 24  # bytes; tar headers have a length of their own, which may lie
_JUNK = {"__MACOSX", ".DS_Store", "Thumbs.db"}
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    OverflowError,
)
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
_REFUSED = {
    "link": "is a link",
    "device": "is neither file nor folder",
    "encrypted": "is encrypted; unpacking with a password is not supported",
}


class _Member(NamedTuple):
    name: str
    kind: Literal["file", "folder", "link", "device", "encrypted"]
    size: int  # bytes, as the archive says
    open: Callable[[], IO[bytes] | None]
    position: int  # bytes of the archive that have been read


def folder_name(file: str) -> str | None:
    """Name of the folder that an archive is unpacked to; None if it is no archive."""
    suffix = next((suffix for suffix in SUFFIXES if file.lower().endswith(suffix)), None)
    return file[: -len(suffix)] or None if suffix else None


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive to a folder, which is replaced if it exists.

    Args:
        archive: a file with one of :data:`SUFFIXES`.
        folder: where its members go, by the names that they have in it. Permissions, owners and
            times are those of new files.

    Raises:
        UserError: the archive is damaged, unsafe, encrypted or too large; `folder` is then as it
            was.
    """
    temporary = folder.with_name(f".{folder.name}.unpacking")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        _write_members(archive, temporary)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    except NotImplementedError as error:
        raise UserError(
            f"{archive} is packed in a way that is not supported ({_short(error)}); unpack it by "
            "hand and pack it again as an ordinary zip."
        ) from error
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno in _DISK:
            raise UserError(
                f"{archive} could not be unpacked to {folder} ({error.strerror}); make room or "
                "choose a folder that can be written, then run the same command again."
            ) from error
        raise UserError(
            f"{archive} is damaged or no such archive ({_short(error)}); delete it and run the "
            "same command again."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_members(archive: Path, folder: Path) -> None:
    size = archive.stat().st_size
    budget = _Budget(archive, GROWTH * size + ALLOWANCE, shutil.disk_usage(folder).free - RESERVE)
    progress = Progress(f"unpacking {archive.name}", size, shown=in_bytes)
    read = _zip_members if archive.name.lower().endswith(".zip") else _tar_members
    files = 0
    with closing(read(archive)) as members:
        for number, member in enumerate(members, 1):
            if number > MOST_MEMBERS:
                raise _refused(archive, f"it has more than {MOST_MEMBERS} members")
            if member.position < size:
                progress.update(member.position)
            parts = _parts(archive, member.name)
            if not parts or _is_junk(parts):
                budget.spend(member.size)
                continue
            if reason := _REFUSED.get(member.kind):
                raise _refused(archive, f"{member.name!r} in it {reason}")
            try:
                _write(member, folder.joinpath(*parts), budget)
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                raise _refused(archive, f"{member.name!r} is in it twice") from None
            files += member.kind == "file"
    progress.update(size)
    if not files:
        raise _refused(archive, "it holds no file")


def _write(member: _Member, path: Path, budget: "_Budget") -> None:
    if member.kind == "folder":
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    source = member.open()
    if source is None:
        raise tarfile.ReadError(f"{member.name!r} has no content")
    with source, path.open("xb") as target:
        while block := source.read(_BLOCK):
            budget.spend(len(block))
            target.write(block)


class _Budget:
    """Bytes that may still be written."""

    def __init__(self, archive: Path, most: int, room: int):
        self._archive, self._most, self._room, self._spent = archive, most, room, 0

    def spend(self, count: int) -> None:
        self._spent += count
        if self._spent > self._most:
            raise _refused(
                self._archive, f"it holds more than {in_bytes(self._most)}, far more than its size"
            )
        if self._spent > self._room:
            raise UserError(
                f"{self._archive} needs more room than the disk has ({in_bytes(self._room)} "
                f"without a reserve of {in_bytes(RESERVE)}); make room and run the same command "
                "again."
            )


def _parts(archive: Path, name: str) -> tuple[str, ...]:
    """A member's path below the folder, after both kinds of slashes."""
    path = name.replace("\\", "/")
    if path.startswith("/") or re.match("[A-Za-z]:", path):
        raise _refused(archive, f"{name!r} in it is an absolute path")
    parts = PurePath(path).parts
    if ".." in parts:
        raise _refused(archive, f"{name!r} in it leads out of its folder")
    return parts


def _is_junk(parts: tuple[str, ...]) -> bool:
    return not _JUNK.isdisjoint(parts) or parts[-1].startswith("._")


def _refused(archive: Path, reason: str) -> UserError:
    return UserError(
        f"{archive} is not unpacked: {reason}; delete it and get the dataset from a source that "
        "you trust."
    )


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


# Readers --------------------------------------------------------------------------------------


def _zip_members(archive: Path) -> Generator[_Member, None, None]:
    read = 0
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            mode = stat.S_IFMT(info.external_attr >> 16)
            kind: Literal["file", "folder", "link", "device", "encrypted"] = "file"
            if info.filename.endswith(("/", "\\")):
                kind = "folder"
            elif mode == stat.S_IFLNK:
                kind = "link"
            elif mode not in (0, stat.S_IFREG):
                kind = "device"
            elif info.flag_bits & 0x1:
                kind = "encrypted"
            read += info.compress_size
            yield _Member(info.filename, kind, info.file_size, partial(file.open, info), read)


class _Sparing(io.BufferedReader):
    """Refuses to read much at once, and keeps what it read last."""

    last = b""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _LONGEST_HEADER:
            raise tarfile.ReadError("a header claims to be many MB long")
        self.last = super().read(size)
        return self.last


def _tar_members(archive: Path) -> Generator[_Member, None, None]:
    with archive.open("rb") as raw:
        plain = raw if archive.name.lower().endswith(".tar") else gzip.GzipFile(fileobj=raw)
        source = _Sparing(plain)
        with tarfile.open(fileobj=source, mode="r:") as file:
            for info in file:
                kind: Literal["file", "folder", "link", "device"] = "device"
                if info.isfile():
                    kind = "file"
                elif info.isdir():
                    kind = "folder"
                elif info.issym() or info.islnk():
                    kind = "link"
                yield _Member(
                    info.name, kind, info.size, partial(file.extractfile, info), raw.tell()
                )
            # tarfile takes any block that is no header for the end of the archive.
            if source.last != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("it ends in the middle")
            for _ in range(64):  # to the checksum behind the padding
                if not source.read(_BLOCK):
                    return
            raise tarfile.ReadError("it goes on behind its end")
