"""One file from the web, whole and verified or not at all.

Bytes go to ``.<name>.part`` beside the file; ``.<name>.part.json`` says of which version of it
they are. A later call, also of another process, asks for the rest only, and starts over where it
cannot be sure that the rest is of the same version.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from noise2mask.data.download import answers
from noise2mask.data.download.answers import Version, shown
from noise2mask.data.download.checksums import checksums, mismatch
from noise2mask.errors import UserError
from noise2mask.files import write_json
from noise2mask.progress import LOG, Progress, in_bytes, spoken

TRIES = 6
"""Requests in a row that bring no new byte before a transfer is given up."""
TIMEOUT = (30.0, 60.0)
"""Seconds for a connection, and of silence within one."""

_LONGEST_PAUSE = 60.0  # seconds between two tries, where the server does not ask for more
_BLOCK = 1 << 16
_PAGE = 1 << 20  # bytes of a web page that are read
_PAGES = 3  # that may stand before a file


class _PassingError(Exception):
    """A request that failed so that another one may succeed."""

    def __init__(self, reason: str, pause: float | None = None):
        super().__init__(reason)
        self.reason, self.pause = reason, pause


@dataclass(frozen=True)
class _Wanted:
    url: str
    path: Path
    sha256: str | None
    md5: str | None
    size: int | None
    advice: str

    def refused(self, reason: str) -> UserError:
        """The error that says why, and what a person can do."""
        return UserError(
            f"{shown(self.url)} could not be fetched: {reason}; get the file with a browser, save "
            f"it as {self.path} and run the same command again."
        )


class _Part:
    """The bytes that have come so far; `joined` if more than one request brought them."""

    def __init__(self, wanted: _Wanted):
        self.path = wanted.path.with_name(f".{wanted.path.name}.part")
        self._note = self.path.with_name(f"{self.path.name}.json")
        self._address = shown(wanted.url)
        self.version = self._read_version()
        self.joined = self.length > 0

    @property
    def length(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def whole(self) -> bool:
        return self.version.size is not None and self.length == self.version.size > 0

    def begin(self, version: Version) -> None:
        """Drop what is there and expect the bytes of this version."""
        self.path.unlink(missing_ok=True)
        write_json(self._note, {"url": self._address, **version._asdict()})
        self.version, self.joined = version, False

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self.version, self.joined = Version(), False

    def place(self, path: Path) -> None:
        """Give the whole file its final name."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        self.path.replace(path)
        self._note.unlink(missing_ok=True)

    def _read_version(self) -> Version:
        try:
            content = json.loads(self._note.read_bytes())
            address = content.pop("url")
            if address == self._address:
                return Version(**content)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            pass
        self.path.unlink(missing_ok=True)  # bytes of nobody knows what
        return Version()


def download(
    url: str,
    path: Path,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    size: int | None = None,
    advice: str = "run the same command again, and if it stays so, the publisher has changed it",
    tries: int = TRIES,
    timeout: tuple[float, float] = TIMEOUT,
    pause: Callable[[float], None] = time.sleep,
) -> str:
    """Fetch one file; an interrupted transfer goes on where it was.

    Args:
        url: http or https; Google Drive as ``https://drive.google.com/uc?export=download&id=...``.
        path: final name; replaced if it exists.
        sha256: expected checksum, hexadecimal.
        md5: expected checksum, hexadecimal.
        size: expected number of bytes.
        advice: what to do where a checksum is wrong, for the message.
        tries: requests in a row without a new byte before it gives up.
        timeout: seconds for a connection, and of silence within one.
        pause: waits for so many seconds between two tries.

    Returns:
        SHA-256 of the file.

    Raises:
        UserError: the file cannot be had or is not the expected one; bytes that may be of use
            to a later call are kept.
    """
    wanted = _Wanted(url, path, sha256, md5, size, advice)
    with told(path), requests.Session() as session:
        path.parent.mkdir(parents=True, exist_ok=True)
        session.headers.update({"Accept-Encoding": "identity", "User-Agent": "noise2mask"})
        part = _Part(wanted)
        again = True
        while True:
            _complete(session, wanted, part, tries, timeout, pause)
            sums = checksums(part.path, with_md5=md5 is not None)
            wrong = mismatch(sums, sha256, md5)
            if wrong is None:
                part.place(path)
                return sums["sha256"]
            doubtful = part.joined or part.version.size is None
            part.discard()
            if not (doubtful and again):
                raise UserError(
                    f"{shown(url)} gave a file with {wrong}; it was deleted: {wanted.advice}."
                )
            LOG.info("%s: it has %s after a doubtful transfer; once more", path.name, wrong)
            again = False


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Tell a disk's trouble in one sentence."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} could not be saved ({error.strerror or error}); make room or choose a folder "
            "that can be written, then run the same command again."
        ) from error


# One transfer ---------------------------------------------------------------------------------


def _complete(
    session: requests.Session,
    wanted: _Wanted,
    part: _Part,
    tries: int,
    timeout: tuple[float, float],
    pause: Callable[[float], None],
) -> None:
    """Ask for what is missing until nothing is."""
    longest, failures = part.length, 0
    while not part.whole:
        try:
            _attempt(session, wanted, part, timeout)
        except _PassingError as fault:
            failures = 0 if part.length > longest else failures + 1
            longest = max(longest, part.length)
            if failures >= tries:
                raise UserError(
                    f"{shown(wanted.url)} could not be fetched: {fault.reason}, {tries} times in a "
                    f"row ({in_bytes(part.length)} are kept); run the same command again to go "
                    f"on, or get the file with a browser and save it as {wanted.path}."
                ) from fault
            seconds = min(_LONGEST_PAUSE, 2.0 ** max(0, failures - 1))
            seconds = seconds if fault.pause is None else fault.pause
            LOG.info("%s: %s; next try in %s", wanted.path.name, fault.reason, spoken(seconds))
            pause(seconds)
        else:
            return


def _attempt(
    session: requests.Session, wanted: _Wanted, part: _Part, timeout: tuple[float, float]
) -> None:
    """One request for the rest; what comes is kept, whatever happens then."""
    headers = _conditions(wanted, part)
    try:
        response, first = _opened(session, wanted, headers, timeout)
        with response:
            if response.status_code == 416:
                _at_the_end(response, part)
                return
            _accept(response, wanted, part)
            _receive(response, first, wanted, part)
    except (requests.RequestException, HTTPError) as error:
        reason, may_pass = answers.fault(error)
        if not may_pass:
            raise wanted.refused(reason) from error
        raise _PassingError(reason) from error


def _conditions(wanted: _Wanted, part: _Part) -> dict[str, str]:
    """Headers that ask for the rest, if two versions could then be told apart."""
    validator, verifiable = part.version.validator, wanted.sha256 or wanted.md5
    if not part.length or not (validator or verifiable):
        return {}
    headers = {"Range": f"bytes={part.length}-"}
    return {**headers, "If-Range": validator} if validator else headers


def _opened(
    session: requests.Session,
    wanted: _Wanted,
    headers: dict[str, str],
    timeout: tuple[float, float],
) -> tuple[requests.Response, bytes]:
    """The answer that brings the file, behind Drive's form if need be, and its first bytes."""
    address = wanted.url
    for _ in range(_PAGES):
        response = session.get(address, headers=headers, stream=True, timeout=timeout)
        status = response.status_code
        if status in answers.PASSING:
            response.close()
            wish = answers.wished_pause(response.headers.get("Retry-After"))
            raise _PassingError(answers.refusal(status), wish)
        first = _read(response, 512)
        called = response.headers.get("Content-Type", "")
        if status in (206, 416) or (status == 200 and not answers.is_page(first, called)):
            return response, first
        page = (first + _read(response, _PAGE)).decode(errors="replace")
        response.close()
        target = answers.confirmed(page, response.url) if status == 200 else None
        if target is None:
            break
        address = target
    raise wanted.refused(answers.refusal(status, page))


def _read(response: requests.Response, count: int) -> bytes:
    """So many bytes of a body, or all if it has fewer."""
    content = b""
    while len(content) < count and (block := response.raw.read1(count, decode_content=False)):
        content += block
    return content


def _at_the_end(response: requests.Response, part: _Part) -> None:
    """Nothing is left to send, or what is here is longer than the file."""
    whole = answers.version(206, response.headers)
    if whole.size != part.length or part.version.differs(whole):
        part.discard()
        raise _PassingError("the file has become shorter")


def _accept(response: requests.Response, wanted: _Wanted, part: _Part) -> None:
    """Make the part ready for the body of an answer, or refuse the answer."""
    offered = answers.version(response.status_code, response.headers)
    if wanted.size is not None and offered.size not in (None, wanted.size):
        raise wanted.refused(
            f"the server offers {offered.size} bytes, but {wanted.size} are expected"
        )
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity" and not wanted.path.name.endswith(("gz", "tgz")):
        raise wanted.refused(f"the server sends it encoded as {encoding!r}, unasked")
    if response.status_code == 206:
        if part.version.differs(offered) or answers.begins_at(response.headers) != part.length:
            part.discard()
            raise _PassingError("the server sent another version or another part of the file")
        part.joined = True
    else:
        if part.length:
            LOG.info("%s: the server does not go on with it; starting over", wanted.path.name)
        part.begin(offered._replace(size=offered.size or wanted.size))
    missing = (part.version.size or 0) - part.length
    free = shutil.disk_usage(wanted.path.parent).free
    if missing > free:
        raise UserError(
            f"{wanted.path} needs {in_bytes(missing)} more, but the disk has {in_bytes(free)} "
            "left; make room and run the same command again."
        )


def _receive(response: requests.Response, first: bytes, wanted: _Wanted, part: _Part) -> None:
    """Append the body to the part."""
    done, total = part.length, part.version.size
    progress = Progress(f"fetching {wanted.path.name}", total, done, shown=in_bytes)
    with part.path.open("ab") as file:
        block = first
        while block:
            file.write(block)
            done += len(block)
            if total is not None and done > total:
                break
            progress.update(done)
            block = response.raw.read1(_BLOCK, decode_content=False)
    if total is not None and done > total:
        part.discard()
        raise wanted.refused(f"the server sends more than the expected {total} bytes")
    if total is not None and done < total:
        raise _PassingError("the connection was cut")
