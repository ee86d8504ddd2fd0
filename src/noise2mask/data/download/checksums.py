"""Checksums of large files, computed once as long as a file stays as it is."""

import hashlib
import json
from pathlib import Path

from noise2mask.files import write_json
from noise2mask.progress import Progress, in_bytes

_BLOCK = 1 << 20
_NAMES = {"sha256", "md5"}


def checksums(path: Path, *, with_md5: bool = False) -> dict[str, str]:
    """SHA-256 of a file and, if wanted, MD5, hexadecimal."""
    digests = {"sha256": hashlib.sha256()}
    if with_md5:
        digests["md5"] = hashlib.md5(usedforsecurity=False)
    done, size = 0, path.stat().st_size
    progress = Progress(f"verifying {path.name}", size, shown=in_bytes)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            for digest in digests.values():
                digest.update(block)
            done += len(block)
            if done < size:
                progress.update(done)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def mismatch(sums: dict[str, str], sha256: str | None, md5: str | None) -> str | None:
    """``the SHA-256 a, not b`` where a checksum is not the expected one, else None."""
    for name, label, expected in (("sha256", "SHA-256", sha256), ("md5", "MD5", md5)):
        if expected is not None and sums[name] != expected.lower():
            return f"the {label} {sums[name]}, not {expected.lower()}"
    return None


class Memory:
    """A file that remembers the checksums of the files beside it, by name, size and time.

    Args:
        path: a JSON file; what it says of a file holds until that file is written again.
    """

    def __init__(self, path: Path):
        self._path = path
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError):
            content = {}
        self._known: dict[str, dict[str, str | int]] = content if isinstance(content, dict) else {}

    def checksums(self, path: Path, *, with_md5: bool = False) -> dict[str, str]:
        """As :func:`checksums`, from memory if the file is as it was."""
        known = self._known.get(path.name)
        if isinstance(known, dict) and known.items() >= _stamp(path).items():
            sums = {name: str(value) for name, value in known.items() if name in _NAMES}
            if "sha256" in sums and ("md5" in sums or not with_md5):
                return sums
        sums = checksums(path, with_md5=with_md5)
        self.remember(path, sums)
        return sums

    def remember(self, path: Path, sums: dict[str, str]) -> None:
        """Keep the checksums of a file as it is now."""
        self._known[path.name] = {**_stamp(path), **sums}
        write_json(self._path, dict(sorted(self._known.items())))


def _stamp(path: Path) -> dict[str, str | int]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
