"""Transfers from a server that misbehaves, and what its answers mean."""

import errno
import hashlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace

import pytest
import requests
from helpers.misbehaving_server import Answer, running
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from noise2mask.data.download import http
from noise2mask.data.download.http import (
    TRIES,
    Version,
    begins_at,
    confirmed,
    download,
    fault,
    is_page,
    refusal,
    shown,
    version,
    wished_pause,
)
from noise2mask.errors import UserError
from noise2mask.progress import Progress

OLD = b"PK\x03\x04" + bytes(range(256)) * 1000
NEW = OLD[:4] + OLD[:3:-1]
HALF = len(OLD) // 2
PAGE = b"<!DOCTYPE html><html><head><title>Log in</title></head><body>Please</body></html>"
HTML = {"Content-Type": "text/html; charset=utf-8"}


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running() as server:
        yield server


@pytest.fixture
def path(tmp_path):
    return tmp_path / "archives" / "data.zip"


@pytest.fixture
def fetch(path):
    """Download without waiting; the pauses that were asked for are in `fetch.pauses`."""

    def call(url, **options):
        return download(url, path, **{"timeout": (5.0, 5.0), "pause": call.pauses.append} | options)

    call.pauses = []
    return call


def refused(fetch, url, **options) -> str:
    with pytest.raises(UserError) as caught:
        fetch(url, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def part_of(path):
    return path.with_name(f".{path.name}.part")


def left(path):
    return sorted(file.name for file in path.parent.iterdir())


def test_a_file_comes_whole_and_alone(server, path, fetch):
    sums = {"sha256": sha(OLD), "md5": hashlib.md5(OLD).hexdigest(), "size": len(OLD)}
    assert fetch(server.plan("/a", Answer(OLD)), **sums) == sha(OLD)
    assert path.read_bytes() == OLD
    assert left(path) == ["data.zip"]


def test_a_cut_transfer_goes_on_where_it_was(server, path, fetch):
    whole = Answer(OLD, etag='"1"')
    fetch(server.plan("/a", Answer(OLD, etag='"1"', cut=HALF), whole))
    assert path.read_bytes() == OLD
    assert [served.sent for served in server.log] == [HALF, len(OLD) - HALF]
    assert server.log[1].headers["If-Range"] == '"1"'
    assert fetch.pauses == [1]


def test_tries_that_bring_bytes_do_not_count(server, path, fetch):
    step = len(OLD) // (3 * TRIES)
    fetch(server.plan("/a", Answer(OLD, etag='"1"', cut=step)))
    assert path.read_bytes() == OLD
    assert sum(served.sent for served in server.log) == len(OLD)
    assert set(fetch.pauses) == {1}


def test_an_endless_cut_is_given_up_and_the_part_is_kept(server, path, fetch):
    cut = Answer(OLD, etag='"1"', cut=HALF)
    url = server.plan("/a", cut, Answer(OLD, etag='"1"', cut=0))
    text = refused(fetch, url)
    assert url in text
    assert f"{TRIES} times in a row" in text
    assert f"save it as {path}" in text
    assert part_of(path).read_bytes() == OLD[:HALF]
    assert not path.exists()
    assert fetch.pauses == [1, 1, 2, 4, 8, 16]
    fetch(server.plan("/a", Answer(OLD, etag='"1"')))
    assert server.log[-1].sent == len(OLD) - HALF
    assert path.read_bytes() == OLD


def test_a_server_without_ranges_starts_over_and_is_given_up_if_it_gets_no_further(
    server, path, fetch
):
    always = Answer(OLD, etag='"1"', ranges=False)
    fetch(server.plan("/a", Answer(OLD, etag='"1"', cut=HALF), always))
    assert path.read_bytes() == OLD
    refused(fetch, server.plan("/b", Answer(OLD, etag='"1"', ranges=False, cut=HALF)))


def test_a_short_body_is_no_file(server, path, fetch):
    url = server.plan("/a", Answer(OLD[:HALF], claimed=len(OLD)))
    assert "the connection was cut" in refused(fetch, url)
    assert not path.exists()


@pytest.mark.parametrize(("size", "told"), [(len(OLD) + 1, "offers"), (HALF, "offers")])
def test_a_length_that_is_not_the_published_one_is_refused(server, path, fetch, size, told):
    assert told in refused(fetch, server.plan("/a", Answer(OLD)), size=size)
    assert not path.exists()


def test_an_unstated_length_is_judged_by_the_published_one(server, path, fetch):
    unstated = Answer(OLD, claimed=0)
    fetch(server.plan("/a", Answer(OLD[:HALF], claimed=0), unstated), size=len(OLD))
    assert path.read_bytes() == OLD
    text = refused(fetch, server.plan("/b", unstated), size=HALF)
    assert f"more than the expected {HALF} bytes" in text
    assert left(path) == ["data.zip"]


def test_an_unstated_length_gets_a_second_chance_for_its_checksum(server, path, fetch):
    url = server.plan("/a", Answer(OLD[:HALF], claimed=0), Answer(OLD, claimed=0))
    assert fetch(url, sha256=sha(OLD)) == sha(OLD)


def test_a_server_in_trouble_is_asked_again(server, path, fetch):
    fetch(server.plan("/a", Answer(status=500), Answer(status=503), Answer(OLD)))
    assert path.read_bytes() == OLD
    assert fetch.pauses == [1, 2]


@pytest.mark.parametrize(("wish", "pause"), [("7", 7), ("86400", 300), ("soon", 1)])
def test_a_wished_pause_is_kept_within_reason(server, fetch, wish, pause):
    busy = Answer(status=429, headers={"Retry-After": wish})
    fetch(server.plan("/a", busy, Answer(OLD)))
    assert fetch.pauses == [pause]


@pytest.mark.parametrize(
    ("status", "told"), [(401, "account"), (403, "consent"), (404, "no file"), (418, "418")]
)
def test_a_refusal_is_final(server, path, fetch, status, told):
    url = server.plan("/a", Answer(PAGE, status=status, headers=HTML))
    text = refused(fetch, url)
    assert told in text
    assert f"save it as {path}" in text
    assert len(server.log) == 1


def test_a_page_in_place_of_the_file_is_refused(server, path, fetch):
    server.plan("/login", Answer(PAGE, headers=HTML))
    url = server.plan("/a", Answer(status=302, headers={"Location": "/login"}))
    assert 'a web page ("Log in") came in place' in refused(fetch, url)
    assert "a web page" in refused(fetch, server.plan("/b", Answer(b"\n " + PAGE)))
    assert left(path) == []


def test_an_archive_that_is_called_a_page_is_taken(server, path, fetch):
    content = Answer(OLD, etag='"1"', headers=HTML)
    fetch(server.plan("/a", Answer(OLD, etag='"1"', headers=HTML, cut=HALF), content))
    assert path.read_bytes() == OLD


@pytest.mark.parametrize("obeys", [True, False])
def test_two_versions_are_never_joined(server, path, fetch, obeys):
    new = Answer(NEW, etag='"2"', obeys_if_range=obeys)
    fetch(server.plan("/a", Answer(OLD, etag='"1"', cut=HALF), new))
    assert path.read_bytes() == NEW


def test_two_versions_are_never_joined_across_calls(server, path, fetch):
    dated = {"Last-Modified": "Mon, 05 Jan 2026 10:00:00 GMT"}
    later = {"Last-Modified": "Tue, 06 Jan 2026 10:00:00 GMT"}
    refused(fetch, server.plan("/a", Answer(OLD, headers=dated, cut=HALF)), tries=0)
    assert part_of(path).stat().st_size == HALF
    fetch(server.plan("/a", Answer(NEW, headers=later)))
    assert path.read_bytes() == NEW
    assert server.log[1].headers["If-Range"] == dated["Last-Modified"]


def test_without_a_validator_only_a_checksum_allows_to_go_on(server, path, fetch):
    fetch(server.plan("/a", Answer(OLD, cut=HALF), Answer(OLD)))
    assert [served.status for served in server.log] == [200, 200]
    fetch(server.plan("/b", Answer(OLD, cut=HALF), Answer(OLD)), sha256=sha(OLD))
    assert [served.status for served in server.log[2:]] == [200, 206]
    weak = Answer(OLD, etag='W/"1"', cut=HALF)
    fetch(server.plan("/c", weak, Answer(OLD, etag='W/"1"')))
    assert [served.status for served in server.log[4:]] == [200, 200]


def test_another_address_does_not_go_on_with_the_part(server, path, fetch):
    refused(fetch, server.plan("/a", Answer(OLD, etag='"1"', cut=HALF)), tries=0)
    fetch(server.plan("/b", Answer(NEW, etag='"1"')))
    assert path.read_bytes() == NEW


def test_a_part_of_unknown_origin_is_dropped(server, path, fetch):
    path.parent.mkdir()
    part_of(path).write_bytes(NEW[:HALF])
    fetch(server.plan("/a", Answer(OLD, etag='"1"')), sha256=sha(OLD))
    assert [served.status for served in server.log] == [200]


def test_a_part_longer_than_the_file_is_dropped(server, path, fetch):
    fetch(server.plan("/a", Answer(OLD, etag='"1"', cut=HALF), Answer(OLD[:100], etag='"1"')))
    assert [served.status for served in server.log] == [200, 416, 200]
    assert path.read_bytes() == OLD[:100]


def test_a_part_that_is_whole_needs_no_network(server, path, fetch, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    url = server.plan("/a", Answer(OLD, etag='"1"'))
    with monkeypatch.context() as patch:
        patch.setattr(http, "checksums", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch(url)
    fetch(url)
    assert path.read_bytes() == OLD
    assert len(server.log) == 1


def test_a_wrong_checksum_leaves_nothing(server, path, fetch):
    url = server.plan("/a", Answer(NEW))
    text = refused(fetch, url, sha256=sha(OLD))
    assert sha(OLD) in text
    assert sha(NEW) in text
    assert left(path) == []
    assert len(server.log) == 1
    md5 = hashlib.md5(OLD).hexdigest()
    assert md5 in refused(fetch, url, md5=md5)


def test_a_wrong_checksum_after_a_resumed_transfer_gets_one_clean_start(server, path, fetch):
    halves = Answer(OLD, cut=HALF), Answer(NEW)
    fetch(server.plan("/a", *halves, Answer(OLD)), sha256=sha(OLD))
    assert path.read_bytes() == OLD
    assert [served.status for served in server.log] == [200, 206, 200]
    path.unlink()
    refused(fetch, server.plan("/b", *halves, *halves, *halves), sha256=sha(OLD))
    assert [served.status for served in server.log[3:]] == [200, 206, 200, 206]
    assert left(path) == []


def test_a_silent_server_is_left(server, path, fetch):
    slow = Answer(OLD, etag='"1"', cut=HALF, stall=30)
    fetch(server.plan("/a", slow, Answer(OLD, etag='"1"')), timeout=(1, 0.2))
    assert path.read_bytes() == OLD
    assert server.log[1].sent == len(OLD) - HALF
    silent = server.plan("/b", Answer(OLD, cut=0, stall=30))
    assert "silent" in refused(fetch, silent, timeout=(1, 0.1), tries=2)


def test_a_killed_process_loses_nothing(server, path, fetch):
    url = server.plan("/a", Answer(OLD, etag='"1"', cut=HALF, stall=60), Answer(OLD, etag='"1"'))
    code = (
        "import sys, pathlib; from noise2mask.data.download.http import download\n"
        "from noise2mask.data.download import http as downloading; downloading._BLOCK = 1000\n"
        "download(sys.argv[1], pathlib.Path(sys.argv[2]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, url, str(path)])
    while not part_of(path).exists() or part_of(path).stat().st_size < HALF - 20_000:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = part_of(path).stat().st_size
    fetch(url)
    assert path.read_bytes() == OLD
    assert server.log[1].sent == len(OLD) - kept
    assert left(path) == ["data.zip"]


def test_an_interrupt_keeps_the_part(server, path, fetch, monkeypatch):
    def interrupted(self, done):
        if done >= HALF:
            raise KeyboardInterrupt

    url = server.plan("/a", Answer(OLD, etag='"1"'))
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(url)
    kept = part_of(path).stat().st_size
    assert HALF <= kept < len(OLD)
    fetch(url)
    assert server.log[1].sent == len(OLD) - kept
    assert path.read_bytes() == OLD


def drive_form(action):
    fields = {"id": "X", "export": "download", "confirm": "t", "uuid": "a-b&c"}
    inputs = "".join(
        f'<input type="hidden" name="{name}" value="{value.replace("&", "&amp;")}">'
        for name, value in fields.items()
    )
    return (
        "<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>"
        f'<form id="download-form" action="{action}" method="get">'
        f'<input type="submit" value="Download anyway"/>{inputs}</form></body></html>'
    ).encode()


def test_the_form_of_google_drive_is_sent_off(server, path, fetch):
    url = server.plan("/uc", Answer(drive_form("/download"), headers=HTML))
    cut = Answer(OLD, etag='"1"', cut=HALF)
    server.plan("/download", cut, Answer(OLD, etag='"1"'))
    fetch(f"{url}?export=download&id=X")
    assert path.read_bytes() == OLD
    assert server.log[1].path == "/download?id=X&export=download&confirm=t&uuid=a-b%26c"
    assert [served.sent for served in server.log if "/download?" in served.path] == [
        HALF,
        len(OLD) - HALF,
    ]


def test_a_form_without_end_is_left(server, fetch):
    url = server.plan("/uc", Answer(drive_form("/uc"), headers=HTML))
    assert "Virus scan warning" in refused(fetch, url)
    assert len(server.log) == 3


@pytest.mark.parametrize("status", [200, 403])
def test_a_used_up_quota_is_told(server, fetch, status):
    quota = (
        b"<html><head><title>Google Drive - Quota exceeded</title></head><body>Too many users have "
        b"viewed or downloaded this file recently.</body></html>"
    )
    url = server.plan("/uc", Answer(quota, status=status, headers=HTML))
    assert "quota is used up" in refused(fetch, url)


def test_no_secret_is_said(server, path, fetch, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG, logger="noise2mask")
    host = server.plan("/a", Answer(status=503)).removeprefix("http://")
    text = refused(fetch, f"http://me:hidden1@{host}?id=3&access_token=hidden2")
    assert f"http://{host}?id=3&access_token=..." in text
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("http_proxy", "http://me:hidden3@127.0.0.1:9")
    assert "proxy" in refused(fetch, f"http://{host}")
    assert "hidden" not in text + caplog.text


def test_the_proxy_of_the_environment_is_used(server, path, fetch, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("http_proxy", server.address)
    server.plan("/a", Answer(OLD))
    fetch("http://data.invalid/a")
    assert server.log[0].path == "http://data.invalid/a"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ftp://data.invalid/a", "not an address"),
        ("data.zip", "not an address"),
        ("http://data.invalid/a", "host was not found"),
        ("http://127.0.0.1:9/a", "could not be made"),
    ],
)
def test_an_address_that_leads_nowhere_is_told(fetch, url, told, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    assert told in refused(fetch, url)


def test_an_endless_redirection_is_told(server, fetch):
    url = server.plan("/a", Answer(status=302, headers={"Location": "/a"}))
    assert "without end" in refused(fetch, url)


def test_an_encoded_body_is_refused_unless_it_is_the_archive_itself(server, path, fetch, tmp_path):
    url = server.plan("/a", Answer(OLD, headers={"Content-Encoding": "gzip"}))
    assert "encoded" in refused(fetch, url)
    download(url, tmp_path / "a.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == OLD


def test_a_disk_without_room_is_told(server, path, fetch, monkeypatch):
    url = server.plan("/a", Answer(OLD, etag='"1"'))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
        assert "the disk has 1 B left" in refused(fetch, url)

    def full(self, done):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Progress, "update", full)
    assert "No space left on device" in refused(fetch, url)


def test_progress_is_told_with_rate_and_estimate(server, fetch, caplog, monkeypatch):
    caplog.set_level(logging.INFO, logger="noise2mask")
    clock = SimpleNamespace(monotonic=iter(range(0, 10**6, 20)).__next__)
    monkeypatch.setattr("noise2mask.progress.time", clock)
    cut = Answer(OLD, etag='"1"', cut=HALF)
    fetch(server.plan("/a", cut, Answer(OLD, etag='"1"')))
    assert "data.zip: the connection was cut or could not be made; next try in 1 s" in caplog.text
    assert "fetching data.zip: goes on at 128.0 kB of 256.0 kB" in caplog.text
    assert "(100 %), " in caplog.text
    assert "kB/s, about " in caplog.text


# Answers --------------------------------------------------------------------------------------

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
