import hashlib
import json
import logging
import os
import threading
import zipfile
from pathlib import Path

import pytest
from helpers.misbehaving_server import Answer, running

from noise2mask.data.catalogue import Archive
from noise2mask.data.download import checksums as verifying
from noise2mask.data.download import fetch
from noise2mask.data.download import unpack as unpacking
from noise2mask.data.download.checksums import checksums
from noise2mask.data.download.fetch import ensure_unpacked, get, read_record
from noise2mask.errors import UserError
from noise2mask.files import locked

NAMES = {"name": "polyps", "title": "Polyps of Oslo", "licence": "CC BY 4.0"}


def zipped(path, text: str) -> bytes:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(zipfile.ZipInfo("images/a.txt"), text)
    content = path.read_bytes()
    path.unlink()
    return content


@pytest.fixture
def contents(tmp_path):
    return zipped(tmp_path / "1", "old"), zipped(tmp_path / "2", "new")


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running() as server:
        yield server


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "raw" / "polyps"


def put(folder, content, file="a.zip"):
    (folder / "archives").mkdir(parents=True, exist_ok=True)
    (folder / "archives" / file).write_bytes(content)


def refusal(call, *arguments, **options) -> str:
    with pytest.raises(UserError) as caught:
        call(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def text_of(folder, name="a"):
    return (folder / "files" / name / "images" / "a.txt").read_text()


def test_a_dataset_is_fetched_unpacked_and_recorded(folder, server, contents, caplog):
    caplog.set_level(logging.INFO, logger="noise2mask")
    published = Archive(
        url=server.plan("/a.zip", Answer(contents[0])), file="a.zip", sha256=sha(contents[0])
    )
    packed = Archive(url=server.plan("/b.npz", Answer(contents[1])), file="b.npz")
    record = get(folder, (packed, published), homepage="https://polyps.invalid", **NAMES)
    assert text_of(folder) == "old"
    assert sorted(path.name for path in (folder / "files").iterdir()) == [".a.sha256", "a"]
    assert record == read_record(folder) == json.loads((folder / "record.json").read_text())
    assert record["datasets"] == {
        "polyps": {
            "title": "Polyps of Oslo",
            "licence": "CC BY 4.0",
            "homepage": "https://polyps.invalid",
        }
    }
    assert list(record["archives"]) == ["a.zip", "b.npz"]
    assert record["archives"]["a.zip"] == {
        "url": published.url,
        "size": len(contents[0]),
        "sha256": sha(contents[0]),
        "checksum": "published",
    }
    assert record["archives"]["b.npz"]["checksum"] == "recorded on first download"
    assert caplog.messages[0] == (
        "polyps: Polyps of Oslo, licence: CC BY 4.0; https://polyps.invalid"
    )


def test_the_second_time_needs_no_network_and_changes_nothing(folder, server, contents):
    archive = Archive(url=server.plan("/a.zip", Answer(contents[0])), file="a.zip")
    get(folder, (archive,), **NAMES)
    before = (folder / "record.json").read_bytes()
    modified = (folder / "record.json").stat().st_mtime_ns
    get(folder, (archive,), **NAMES)
    assert len(server.log) == 1
    assert (folder / "record.json").stat().st_mtime_ns == modified
    (folder / "record.json").unlink()
    get(folder, (archive,), **NAMES)
    assert (folder / "record.json").read_bytes() == before


def test_an_archive_put_there_by_hand_is_taken_if_it_is_the_right_one(folder, contents):
    archive = Archive(url="", file="a.zip", sha256=sha(contents[0]))
    put(folder, contents[1])
    text = refusal(get, folder, (archive,), by_hand="Register.", **NAMES)
    assert sha(contents[0]) in text
    assert sha(contents[1]) in text
    assert not (folder / "record.json").exists()
    put(folder, contents[0])
    get(folder, (archive,), by_hand="Register.", **NAMES)
    assert text_of(folder) == "old"


@pytest.mark.parametrize("field", ["size", "md5"])
def test_size_and_md5_are_checked_too(folder, contents, field):
    right = {"size": len(contents[0]), "md5": hashlib.md5(contents[0]).hexdigest()}[field]
    wrong = {"size": 7, "md5": "0" * 32}[field]
    put(folder, contents[0])
    get(folder, (Archive(url="", file="a.zip"),), **NAMES)
    assert str(wrong) in refusal(
        get, folder, (Archive(url="", file="a.zip", **{field: wrong}),), **NAMES
    )
    record = get(folder, (Archive(url="", file="a.zip", **{field: right}),), **NAMES)
    assert record["archives"]["a.zip"]["sha256"] == sha(contents[0])


def test_what_must_come_by_hand_is_told_and_the_folder_stays_absent(folder, server):
    archive = Archive(url="", file="a.zip")
    other = Archive(url=server.plan("/b.zip"), file="b.zip")
    text = refusal(get, folder, (archive, other), by_hand="Register at polyps.invalid.", **NAMES)
    assert text == (
        "Polyps of Oslo cannot be fetched: Register at polyps.invalid. Put a.zip, b.zip into "
        f"{folder}/archives and run the same command again."
    )
    text = refusal(get, folder, (archive, other), homepage="https://polyps.invalid", **NAMES)
    assert "Get it from https://polyps.invalid. Put a.zip into" in text
    assert not folder.exists()
    assert not server.log


def test_a_wrong_name_is_not_guessed(folder, contents):
    put(folder, contents[0], "a (1).zip")
    assert "Put a.zip into" in refusal(get, folder, (Archive(url="", file="a.zip"),), **NAMES)


def test_private_data_without_archives_are_told_where_they_belong(folder):
    text = refusal(get, folder, (), by_hand="Ask the owner.", **NAMES)
    assert f"Ask the owner. Put it into {folder} and run" in text
    folder.mkdir(parents=True)
    (folder / "case1").touch()
    get(folder, (), by_hand="Ask the owner.", **NAMES)
    assert [path.name for path in folder.iterdir()] == ["case1"]


def test_a_changed_file_is_refused_until_the_record_is_deleted(folder, server, contents):
    archive = Archive(url=server.plan("/a.zip", Answer(contents[0])), file="a.zip")
    get(folder, (archive,), **NAMES)
    put(folder, contents[1])
    text = refusal(get, folder, (archive,), **NAMES)
    assert f"delete {folder}/record.json" in text
    (folder / "archives" / "a.zip").unlink()
    server.plan("/a.zip", Answer(contents[1]))
    text = refusal(get, folder, (archive,), **NAMES)
    assert sha(contents[0]) in text
    assert sha(contents[1]) in text
    assert f"delete {folder}/record.json" in text
    assert not list((folder / "archives").iterdir())
    assert text_of(folder) == "old"
    (folder / "record.json").unlink()
    get(folder, (archive,), **NAMES)
    assert text_of(folder) == "new"


def test_a_published_checksum_wins_over_a_recorded_one(folder, server, contents):
    get(folder, (Archive(url=server.plan("/a", Answer(contents[0])), file="a.zip"),), **NAMES)
    (folder / "archives" / "a.zip").unlink()
    newer = Archive(
        url=server.plan("/a", Answer(contents[1])), file="a.zip", sha256=sha(contents[1])
    )
    get(folder, (newer,), **NAMES)
    assert text_of(folder) == "new"


def test_a_process_killed_after_unpacking_does_not_pass_new_files_for_old(
    folder, contents, monkeypatch
):
    def killed(*_):
        raise KeyboardInterrupt

    put(folder, contents[0])
    get(folder, (Archive(url="", file="a.zip"),), **NAMES)
    put(folder, contents[1])
    newer = Archive(url="", file="a.zip", sha256=sha(contents[1]))
    with monkeypatch.context() as patch:
        patch.setattr(fetch, "write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            get(folder, (newer,), **NAMES)
    assert text_of(folder) == "new"
    assert "not" in refusal(ensure_unpacked, folder, (newer,))
    get(folder, (newer,), **NAMES)
    ensure_unpacked(folder, (newer,))


def test_two_datasets_share_a_folder_in_any_order(tmp_path, contents):
    one, two = (Archive(url="", file=file) for file in ("a.zip", "b.zip"))
    records = []
    for number, order in enumerate([(one, two), (two, one)]):
        folder = tmp_path / f"{number}"
        for archive in order:
            put(folder, contents[0], archive.file)
            get(folder, (archive,), **NAMES | {"name": f"of {archive.file}"})
        records.append((folder / "record.json").read_bytes())
    assert records[0] == records[1]
    assert list(json.loads(records[0])["datasets"]) == ["of a.zip", "of b.zip"]


def test_a_failed_transfer_keeps_what_came(folder, server, contents):
    good = Archive(url=server.plan("/a.zip", Answer(contents[0])), file="a.zip")
    bad = Archive(url=server.plan("/b.zip", Answer(status=404)), file="b.zip")
    assert "status 404" in refusal(get, folder, (good, bad), **NAMES)
    server.plan("/b.zip", Answer(contents[1]))
    get(folder, (good, bad), **NAMES)
    assert [served.path for served in server.log] == ["/a.zip", "/b.zip", "/b.zip"]
    assert text_of(folder, "b") == "new"


def test_a_damaged_archive_is_not_recorded(folder, server):
    archive = Archive(url=server.plan("/a.zip", Answer(b"PK nothing")), file="a.zip")
    assert "damaged" in refusal(get, folder, (archive,), **NAMES)
    assert not (folder / "record.json").exists()


def test_no_secret_is_recorded(folder, server, contents):
    url = server.plan("/a.zip", Answer(contents[0])).replace("http://", "http://me:hidden@")
    get(folder, (Archive(url=f"{url}?key=hidden", file="a.zip"),), **NAMES)
    assert "hidden" not in (folder / "record.json").read_text()


def test_a_damaged_record_is_told(folder, contents):
    put(folder, contents[0])
    for content in (
        "",
        "[]",
        '{"datasets": 1, "archives": {}}',
        '{"datasets": {}, "archives": {"a.zip": {}}}',
        '{"datasets": {}, "archives": {"a.zip": {"sha256": 1}}}',
    ):
        (folder / "record.json").write_text(content)
        assert f"{folder}/record.json is damaged" in refusal(
            get, folder, (Archive(url="", file="a.zip"),), **NAMES
        )


# Checksums ------------------------------------------------------------------------------------


def test_a_file_is_read_again_only_after_a_change(folder, contents, monkeypatch):
    read = []

    def counting(path, **options):
        read.append(path.name)
        return checksums(path, **options)

    monkeypatch.setattr(verifying, "checksums", counting)
    archive = Archive(url="", file="a.zip", sha256=sha(contents[0]))
    put(folder, contents[0])
    for _ in range(3):
        get(folder, (archive,), **NAMES)
    assert read == ["a.zip"]
    path = folder / "archives" / "a.zip"
    path.write_bytes(contents[1])
    os.utime(path, ns=(1, 1))
    refusal(get, folder, (archive,), **NAMES)
    assert read == ["a.zip"] * 2
    for nonsense in ("[]", "{", '{"a.zip": 3}'):
        put(folder, contents[0])
        (folder / ".verified.json").write_text(nonsense)
        get(folder, (archive,), **NAMES)
    assert read == ["a.zip"] * 5


# Unpacked files -------------------------------------------------------------------------------


@pytest.fixture
def fetched(folder, contents):
    """A dataset that is here, and its archives."""
    archives = (Archive(url="", file="a.zip"), Archive(url="", file="b.npz"))
    for archive in archives:
        put(folder, contents[0], archive.file)
    get(folder, archives, **NAMES)
    return folder, archives


def test_files_are_made_again_where_they_are_absent(fetched):
    folder, archives = fetched
    path = folder / "files" / "a" / "images" / "a.txt"
    before = path.stat().st_mtime_ns
    ensure_unpacked(folder, archives)
    assert path.stat().st_mtime_ns == before
    path.unlink()
    path.parent.rmdir()
    path.parent.parent.rmdir()
    ensure_unpacked(folder, archives)
    assert text_of(folder) == "old"


def test_files_without_a_whole_marker_are_made_again(fetched):
    folder, archives = fetched
    marker, path = folder / "files" / ".a.sha256", folder / "files" / "a" / "images" / "a.txt"
    for content in ("", "0" * 64, None):
        path.write_text("changed")
        marker.unlink()
        if content is not None:
            marker.write_text(content)
        ensure_unpacked(folder, archives)
        assert text_of(folder) == "old"


def test_files_need_no_archive_once_they_are_there(fetched):
    folder, archives = fetched
    (folder / "archives" / "a.zip").unlink()
    ensure_unpacked(folder, archives)
    (folder / "files" / ".a.sha256").unlink()
    assert "a.zip is missing" in refusal(ensure_unpacked, folder, archives)
    (folder / "archives" / "b.npz").unlink()
    assert "b.npz is missing" in refusal(ensure_unpacked, folder, archives[1:])


def test_only_the_recorded_archive_is_unpacked(fetched, contents):
    folder, archives = fetched
    put(folder, contents[1])
    (folder / "files" / ".a.sha256").unlink()
    assert sha(contents[1]) in refusal(ensure_unpacked, folder, archives)
    assert text_of(folder) == "old"


def test_data_that_were_never_fetched_are_told(folder):
    text = refusal(ensure_unpacked, folder, (Archive(url="", file="a.zip"),))
    assert "run `noise2mask data get`" in text
    assert not folder.exists()


def test_unpacking_that_fails_leaves_no_marker(fetched, monkeypatch):
    folder, archives = fetched
    (folder / "files" / ".a.sha256").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(unpacking, "MOST_MEMBERS", 0)
        refusal(ensure_unpacked, folder, archives)
    assert not (folder / "files" / ".a.sha256").exists()


def test_two_processes_unpack_once_and_the_second_waits(fetched, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="noise2mask")
    folder, _ = fetched
    (folder / "files" / ".a.sha256").unlink()
    calls, unpack = [], fetch.unpack
    monkeypatch.setattr(fetch, "unpack", lambda *both: (calls.append(1), unpack(*both)))
    waiting = [threading.Thread(target=ensure_unpacked, args=fetched) for _ in range(2)]
    with locked(folder / ".lock", "busy"):
        for thread in waiting:
            thread.start()
        waiting[0].join(0.1)
        assert all(thread.is_alive() for thread in waiting)
    for thread in waiting:
        thread.join()
    assert calls == [1]
    assert text_of(folder) == "old"
    assert "another process fetches or unpacks these data; waiting" in caplog.text


def test_a_folder_that_cannot_be_written_is_told(folder, contents, monkeypatch):
    put(folder, contents[0])

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    archives = (Archive(url="", file="a.zip"),)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.open", refused)
        assert refusal(get, folder, archives, **NAMES) == (
            f"the lock {folder / '.lock'} could not be made: the folder cannot be written; change "
            "its permissions or choose another one."
        )
    whole = Path.open

    def only_the_lock(path, *arguments, **options):
        return (whole if path.name == ".lock" else refused)(path, *arguments, **options)

    monkeypatch.setattr("pathlib.Path.open", only_the_lock)
    text = refusal(get, folder, archives, **NAMES)
    assert f"{folder} could not be saved (Permission denied)" in text
