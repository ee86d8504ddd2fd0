"""What a web server's answer means: a file, the rest of one, a page in its place, a refusal.

Google Drive puts a form before large files ("can't scan this file for viruses"); sending it off
gives the file. Other pages are login walls, consent pages and used-up quotas: told, not followed.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError, NameResolutionError, TimeoutError

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


# The file -------------------------------------------------------------------------------------


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


# Faults ---------------------------------------------------------------------------------------


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


# Pages ----------------------------------------------------------------------------------------


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
