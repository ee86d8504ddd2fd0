from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from noise2mask.data.download.answers import (
    Version,
    begins_at,
    confirmed,
    fault,
    is_page,
    refusal,
    shown,
    version,
    wished_pause,
)

DRIVE = "https://drive.google.com/uc?export=download&id=X"
FORM = '<form action="{}"><input type=hidden name=confirm value=t></form>'


@pytest.mark.parametrize(
    ("page", "action", "target"),
    [
        (DRIVE, "https://drive.usercontent.google.com/download", "same"),
        (DRIVE, "https://drive.usercontent.google.com/download?id=X", "same"),
        (DRIVE, "/uc?id=X", "https://drive.google.com/uc?id=X"),
        ("http://data.invalid/a", "download", "http://data.invalid/download"),
        (DRIVE, "https://data.invalid/download", None),
        (DRIVE, "http://drive.usercontent.google.com/download", None),
        (DRIVE, "https://drive.google.com.data.invalid/", None),
        ("http://data.invalid/a", "https://drive.google.com/uc", None),
        ("http://data.invalid/a", "http://data.invalid:81/a", None),
        ("http://data.invalid/a", "file:///etc/passwd", None),
    ],
)
def test_a_form_leads_to_its_own_server_or_within_drive(page, action, target):
    expected = action if target == "same" else target
    if expected is not None:
        expected += ("&" if "?" in expected else "?") + "confirm=t"
    assert confirmed(FORM.format(action), page) == expected


@pytest.mark.parametrize("page", ["", "<", "<form", "<form action=/a></form>", "\0", "<input>"])
def test_other_pages_lead_nowhere(page):
    assert confirmed(page, DRIVE) is None


@pytest.mark.parametrize(
    ("first", "called", "page"),
    [
        (b"PK\x03\x04", "application/zip", False),
        (b"PK\x03\x04", "text/html", False),
        (b"\x1f\x8b\x08", "text/html", False),
        (b"<!DOCTYPE HTML PUBLIC", "application/zip", True),
        (b"\xef\xbb\xbf\n<html lang='en'>", "", True),
        (b"Please log in", "Text/HTML; charset=utf-8", True),
        (b"", "text/html", True),
        (b"", "application/zip", False),
    ],
)
def test_a_page_is_known_by_its_first_bytes_or_its_type(first, called, page):
    assert is_page(first, called) == page


def test_a_title_is_told_in_one_short_line():
    told = refusal(200, f"<title>\n Sign\n in {'x' * 200}</title>")
    assert '("Sign in xxx' in told
    assert len(told) < 200
    assert "(" not in refusal(200, "<title>\x1b[2J</title>")


def test_secrets_are_not_shown():
    assert shown("https://me:pw@a.invalid:8/b?id=1&X-Amz-Signature=f&api_key=g#c") == (
        "https://a.invalid:8/b?id=1&X-Amz-Signature=...&api_key=...#c"
    )
    assert shown(DRIVE) == DRIVE


@pytest.mark.parametrize(
    ("error", "told", "may_pass"),
    [
        (requests.ReadTimeout("secret"), "silent", True),
        (requests.ConnectTimeout("secret"), "silent", True),
        (ReadTimeoutError(None, "secret", "secret"), "silent", True),
        (ProtocolError("secret"), "cut", True),
        (requests.ConnectionError(), "cut", True),
        (requests.exceptions.ProxyError("secret"), "proxy", True),
        (requests.exceptions.InvalidProxyURL("secret"), "proxy", True),
        (requests.exceptions.SSLError("secret EOF"), "cut", True),
        (requests.exceptions.SSLError("secret CERTIFICATE_VERIFY_FAILED"), "certificate", False),
        (requests.exceptions.InvalidURL("secret"), "not an address", False),
        (requests.TooManyRedirects("secret"), "without end", False),
    ],
)
def test_a_fault_is_told_in_our_own_words(error, told, may_pass):
    text, passing = fault(error)
    assert told in text
    assert passing == may_pass
    assert "secret" not in text


def test_versions_differ_only_where_both_say_something():
    assert not Version("a", None, 1).differs(Version(None, "b", 1))
    assert Version("a", None, 1).differs(Version("a", None, 2))
    assert Version('W/"a"', "b").validator == "b"
    assert Version('"a"', "b").validator == '"a"'


def test_the_size_is_that_of_the_whole_file():
    assert version(200, {"Content-Length": "9"}).size == 9
    partial = {"Content-Length": "4", "Content-Range": "bytes 5-8/9"}
    assert version(206, partial).size == 9
    assert begins_at(partial) == 5
    assert version(206, {"Content-Range": "bytes 5-8/*"}).size is None
    assert begins_at({}) is None


def test_a_pause_may_be_wished_as_a_date():
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 50 < wished_pause(soon) <= 60
    assert wished_pause("Mon, 05 Jan 2026 10:00:00 GMT") == 0
    assert [wished_pause(text) for text in ("-5", "nan", "inf", "", None)] == [None] * 5
