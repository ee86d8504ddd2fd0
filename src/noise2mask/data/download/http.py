"""One file from the web, whole and verified or not at all.

Bytes go to ``.<name>.part`` beside the file; ``.<name>.part.json`` says of which version of it
they are. A later call, also of another process, asks for the rest only, and starts over where it
cannot be sure that the rest is of the same version.

Google Drive puts a form before large files ("can't scan this file for viruses"); sending it off
gives the file. Other pages are login walls, consent pages and used-up quotas: told, not followed.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError, NameResolutionError, TimeoutError

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

DRIVE_HOSTS = {"drive.google.com", "docs.google.com", "drive.usercontent.google.com"}
PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Statuses after which another try makes sense."""

_LONGEST_WISH = 300.0  # seconds
_MAGIC = (b"PK", b"\x1f\x8b")  # zip (and npz), gzip
_QUOTA = ("quota exceeded", "too many users have viewed or downloaded")
_SECRET = re.compile(r"(?i)([^&=]*(?:token|key|secret|signature|password|credential)[^&=]*)=[^&]*")
_STATUSES = {
    401: "the server asks for an account (status 401)",
    403: "the server refuses access (status 403), which may need an account or a consent",
    404: "there is no file at this address (status 404)",
    410: "the file is no longer at this address (status 410)",
    429: "the server asks to come back later (status 429)",
}


def shown(url: str) -> str:
    """An address without the secrets that it may hold, for messages and records."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query=_SECRET.sub(r"\1=...", parts.query)).geturl()


# What a server says of the whole file -----------------------------------------------------------


class Version(NamedTuple):
    """What a server says of the whole file, each None where it says nothing."""

    etag: str | None = None
    modified: str | None = None
    size: int | None = None  # bytes

    @property
    def validator(self) -> str | None:
        """What If-Range can ask for."""
        weak = self.etag is None or self.etag.startswith("W/")
        return self.modified if weak else self.etag

    def differs(self, other: "Version") -> bool:
        """Whether two answers cannot be of the same file."""
        return any(
            mine is not None and its is not None and mine != its
            for mine, its in zip(self, other, strict=True)
        )


def version(status: int, headers: Mapping[str, str]) -> Version:
    """The version that an answer with status 200 or 206 brings, or brings the rest of."""
    stated = headers.get("Content-Length") if status == 200 else None
    if status == 206:
        stated = headers.get("Content-Range", "").rpartition("/")[2]
    size = int(stated) if stated and stated.isdigit() else None
    return Version(headers.get("ETag"), headers.get("Last-Modified"), size)


def begins_at(headers: Mapping[str, str]) -> int | None:
    """Where the bytes of an answer with status 206 belong, None if it does not say."""
    match = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return int(match[1]) if match else None


# Transfer ---------------------------------------------------------------------------------------


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


# One transfer -----------------------------------------------------------------------------------


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
        reason, may_pass = fault(error)
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
        if status in PASSING:
            response.close()
            wish = wished_pause(response.headers.get("Retry-After"))
            raise _PassingError(refusal(status), wish)
        first = _read(response, 512)
        called = response.headers.get("Content-Type", "")
        if status in (206, 416) or (status == 200 and not is_page(first, called)):
            return response, first
        page = (first + _read(response, _PAGE)).decode(errors="replace")
        response.close()
        target = confirmed(page, response.url) if status == 200 else None
        if target is None:
            break
        address = target
    raise wanted.refused(refusal(status, page))


def _read(response: requests.Response, count: int) -> bytes:
    """So many bytes of a body, or all if it has fewer."""
    content = b""
    while len(content) < count and (block := response.raw.read1(count, decode_content=False)):
        content += block
    return content


def _at_the_end(response: requests.Response, part: _Part) -> None:
    """Nothing is left to send, or what is here is longer than the file."""
    whole = version(206, response.headers)
    if whole.size != part.length or part.version.differs(whole):
        part.discard()
        raise _PassingError("the file has become shorter")


def _accept(response: requests.Response, wanted: _Wanted, part: _Part) -> None:
    """Make the part ready for the body of an answer, or refuse the answer."""
    offered = version(response.status_code, response.headers)
    if wanted.size is not None and offered.size not in (None, wanted.size):
        raise wanted.refused(
            f"the server offers {offered.size} bytes, but {wanted.size} are expected"
        )
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity" and not wanted.path.name.endswith(("gz", "tgz")):
        raise wanted.refused(f"the server sends it encoded as {encoding!r}, unasked")
    if response.status_code == 206:
        if part.version.differs(offered) or begins_at(response.headers) != part.length:
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


# Faults -----------------------------------------------------------------------------------------


def refusal(status: int, page: str = "") -> str:
    """What an answer that brings no file means, in a part of a sentence.

    Args:
        status: of the answer.
        page: what it says, HTML if it is a web page.
    """
    if any(words in page.casefold() for words in _QUOTA):
        return "its download quota is used up, which passes within a day"
    if status != 200:
        return _STATUSES.get(status, f"the server answers with status {status}")
    title = " ".join("".join(_parsed(page).title).split())
    named = f' ("{title[:80]}")' if title.isprintable() and title else ""
    return f"a web page{named} came in place of the file, as login and consent pages do"


def wished_pause(retry_after: str | None) -> float | None:
    """Seconds that a Retry-After header asks to wait, at most five minutes; None without one."""
    if not retry_after:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), _LONGEST_WISH)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    seconds = (aware - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_WISH)


def fault(error: requests.RequestException | HTTPError) -> tuple[str, bool]:
    """What went wrong with a connection, in a part of a sentence, and whether it may pass.

    Says nothing that the error says itself: that may hold addresses with secrets.
    """
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE" in str(error):
        return "the server's certificate could not be verified", False
    if isinstance(error, requests.TooManyRedirects):
        return "the server sends from one address to the next without end", False
    if isinstance(error, requests.exceptions.ProxyError | requests.exceptions.InvalidProxyURL):
        return "the proxy that the environment names could not be used", True
    if isinstance(error, ValueError):
        return "it is not an address of the web (http or https)", False
    if isinstance(error, requests.Timeout | TimeoutError):
        return "the server was silent for too long", True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(reason, NameResolutionError):
        return "the host was not found", True
    return "the connection was cut or could not be made", True


# Pages ------------------------------------------------------------------------------------------


def is_page(first: bytes, content_type: str) -> bool:
    """Whether an answer is a web page.

    Args:
        first: its first bytes, some hundreds if there are so many.
        content_type: what the server calls it; some call an archive a page.
    """
    start = first.removeprefix(b"\xef\xbb\xbf").lstrip()[:15].lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return True
    called = content_type.partition(";")[0].strip().lower()
    return called in {"text/html", "application/xhtml+xml"} and not first.startswith(_MAGIC)


def confirmed(page: str, address: str) -> str | None:
    """The address behind Drive's form, None if the page has no such form.

    Only a form that leads to the page's own server, or from Drive to Drive, counts.

    Args:
        page: HTML.
        address: where the page lies.
    """
    for action, fields in _parsed(page).forms:
        target = urljoin(address, action)
        if "confirm" in fields and _may_lead(address, target):
            parts = urlsplit(target)
            query = {**dict(parse_qsl(parts.query)), **fields}
            return parts._replace(query=urlencode(query)).geturl()
    return None


def _may_lead(address: str, target: str) -> bool:
    page, goal = urlsplit(address), urlsplit(target)
    if (page.scheme, page.netloc) == (goal.scheme, goal.netloc):
        return True
    return goal.scheme == "https" and {page.hostname, goal.hostname} <= DRIVE_HOSTS


class _Page(HTMLParser):
    """Title and forms of a page; a form is its action and its hidden fields."""

    def __init__(self) -> None:
        super().__init__()
        self.title: list[str] = []
        self.forms: list[tuple[str, dict[str, str]]] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._in_title = tag == "title"
        if tag == "form":
            self.forms.append((given.get("action", ""), {}))
        elif tag == "input" and given.get("type") == "hidden" and self.forms:
            self.forms[-1][1][given.get("name", "")] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self._in_title = self._in_title and tag != "title"

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)


def _parsed(page: str) -> _Page:
    parser = _Page()
    parser.feed(page)
    parser.close()
    return parser
