import errno
import gzip
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from noise2mask.data.download import unpack as unpacking
from noise2mask.data.download.unpack import folder_name, unpack
from noise2mask.errors import UserError

FILES = {"set/images/a.png": b"image", "set/masks/a.png": b"mask", "readme.txt": b""}


def zipped(path: Path, members: dict, method=zipfile.ZIP_DEFLATED) -> Path:
    """Members by name; a name may be a ZipInfo."""
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content, method)
    return path


def tarred(path: Path, members: dict, **types) -> Path:
    """Members by name, or a TarInfo of any type."""
    with tarfile.open(path, f"w:{'' if path.suffix == '.tar' else 'gz'}") as file:
        for name, content in members.items():
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def packed(path: Path, members: dict) -> Path:
    return (zipped if path.suffix == ".zip" else tarred)(path, members)


def found(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def refusal(archive: Path) -> str:
    """The sentence; nothing may be left of the attempt, inside the folder or outside."""
    folder = archive.parent / "files" / "x"
    before = sorted(archive.parent.iterdir())
    with pytest.raises(UserError) as caught:
        unpack(archive, folder)
    text = str(caught.value)
    assert str(archive) in text
    assert "\n" not in text
    assert not list((archive.parent / "files").iterdir())
    shutil.rmtree(archive.parent / "files")
    assert sorted(archive.parent.iterdir()) == before
    return text


KINDS = ("x.zip", "x.tar", "x.tar.gz", "x.tgz", "x.ZIP")


@pytest.mark.parametrize("name", KINDS[:4])
def test_what_was_packed_comes_out(tmp_path, name):
    unpack(packed(tmp_path / name, FILES), tmp_path / "files" / "x")
    assert found(tmp_path / "files" / "x") == FILES
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["x"]


def test_the_folder_is_named_after_the_archive():
    assert [folder_name(name) for name in KINDS] == ["x"] * 5
    assert folder_name("x.npz") is None
    assert folder_name(".zip") is None
    assert folder_name("a.b.tar.gz") == "a.b"


def test_an_older_folder_is_replaced_whole(tmp_path):
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "old").touch()
    unpack(zipped(tmp_path / "x.zip", FILES), folder)
    assert found(folder) == FILES


def test_permissions_are_those_of_new_files(tmp_path):
    info = tarfile.TarInfo("a")
    info.mode = 0o4777
    closed = tarfile.TarInfo("closed")
    closed.type, closed.mode = tarfile.DIRTYPE, 0
    unpack(tarred(tmp_path / "x.tar", {closed: b"", info: b"1", "closed/b": b""}), tmp_path / "x")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "x" / "a").stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE((tmp_path / "x" / "closed").stat().st_mode) == 0o777 & ~mask


def test_junk_is_left_out(tmp_path):
    junk = ("__MACOSX/set/._a.png", ".DS_Store", "set/.DS_Store", "set/Thumbs.db", "set/._a.png")
    archive = zipped(tmp_path / "x.zip", FILES | dict.fromkeys(junk, b"?"))
    unpack(archive, tmp_path / "x")
    assert found(tmp_path / "x") == FILES


def test_names_of_old_windows_archives_become_folders(tmp_path):
    archive = zipped(tmp_path / "x.zip", {"set\\": b"", "set\\a.png": b"1", "./set//b.png": b"2"})
    unpack(archive, tmp_path / "x")
    assert found(tmp_path / "x") == {"set/a.png": b"1", "set/b.png": b"2"}


def test_archives_within_stay_packed(tmp_path):
    inner = zipped(tmp_path / "inner.zip", FILES).read_bytes()
    unpack(zipped(tmp_path / "x.zip", {"inner.zip": inner}), tmp_path / "x")
    assert found(tmp_path / "x") == {"inner.zip": inner}


# Malice ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["x.zip", "x.tar", "x.tar.gz"])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../a", "leads out"),
        ("set/../../a", "leads out"),
        ("set\\..\\..\\a", "leads out"),
        ("/tmp/a", "absolute"),
        ("\\\\host\\a", "absolute"),
        ("C:\\a", "absolute"),
        ("c:a", "absolute"),
    ],
)
def test_nothing_leads_out_of_the_folder(tmp_path, kind, name, told):
    text = refusal(packed(tmp_path / kind, {"good": b"", name: b"bad"}))
    assert told in text
    assert repr(name) in text


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "good"])
def test_links_are_refused(tmp_path, target):
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "'link' in it is a link" in refusal(zipped(tmp_path / "x.zip", {info: target}))
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        link = tarfile.TarInfo("link")
        link.type, link.linkname = kind, target
        text = refusal(tarred(tmp_path / "x.tar", {"good": b"", link: b"", "link/a": b"bad"}))
        assert "'link' in it is a link" in text


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_devices_are_refused(tmp_path, kind):
    info = tarfile.TarInfo("device")
    info.type = kind
    assert "neither file nor folder" in refusal(tarred(tmp_path / "x.tar", {info: b""}))
    info = zipfile.ZipInfo("device")
    info.external_attr = stat.S_IFIFO << 16
    assert "neither file nor folder" in refusal(zipped(tmp_path / "x.zip", {info: b""}))


@pytest.mark.parametrize("kind", ["x.zip", "x.tar.gz"])
def test_bombs_are_defused_by_what_they_write(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(unpacking, "ALLOWANCE", 1000)
    archive = packed(tmp_path / kind, {f"{number}": bytes(10**6) for number in range(9)})
    assert archive.stat().st_size * unpacking.GROWTH < 9 * 10**6
    assert "far more than its size" in refusal(archive)


def test_a_lying_size_does_not_help_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "ALLOWANCE", 1000)
    archive = zipped(tmp_path / "x.zip", {"a": bytes(10**6)})
    content, size = archive.read_bytes(), (10**6).to_bytes(4, "little")
    assert content.count(size) == 2
    archive.write_bytes(content.replace(size, (10).to_bytes(4, "little")))
    assert refusal(archive)


def test_skipped_bytes_count_too(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "ALLOWANCE", 1000)
    archive = tarred(tmp_path / "x.tgz", {"a": b"", ".DS_Store": bytes(10**7)})
    assert "far more than its size" in refusal(archive)


def test_a_header_cannot_ask_for_the_memory(tmp_path):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 10**8
    archive = tmp_path / "x.tar.gz"
    with gzip.open(archive, "wb") as file:
        file.write(info.tobuf())
        file.write(bytes(10**8))
    assert "many MB" in refusal(archive)


def test_members_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "MOST_MEMBERS", 2)
    assert "more than 2 members" in refusal(zipped(tmp_path / "x.zip", FILES))


def test_a_disk_without_room_is_told_before_it_is_full(tmp_path, monkeypatch):
    room = shutil._ntuple_diskusage(10**10, 0, unpacking.RESERVE + 3)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room)
    assert "needs more room" in refusal(zipped(tmp_path / "x.zip", FILES))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("a", "./a"), ("a", "a/b"), ("a/b", "a")])
def test_no_member_takes_the_place_of_another(tmp_path, names):
    assert "twice" in refusal(tarred(tmp_path / "x.tar", dict.fromkeys(names, b"")))
    assert "twice" in refusal(zipped(tmp_path / "x.zip", dict.fromkeys(names, b"")))


# Damage ---------------------------------------------------------------------------------------


def test_passwords_and_foreign_methods_are_told(tmp_path):
    archive = zipped(tmp_path / "x.zip", {"a": b"1"}, zipfile.ZIP_STORED)
    content = bytearray(archive.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[6] |= 1
    content[central + 8] |= 1
    archive.write_bytes(content)
    assert "encrypted" in refusal(archive)
    content[6] = content[central + 8] = 0
    content[8] = content[central + 10] = 97
    archive.write_bytes(content)
    assert "not supported" in refusal(archive)


@pytest.mark.parametrize("kind", ["x.zip", "x.tar", "x.tar.gz"])
def test_damage_is_told(tmp_path, kind):
    members = {f"{number:04}": os.urandom(3000) for number in range(20)}
    archive = packed(tmp_path / kind, members)
    whole = archive.read_bytes()
    for content in (b"", b"<html>", whole[: len(whole) // 2], whole[: 512 * 20], whole[100:]):
        archive.write_bytes(content)
        text = refusal(archive)
        assert "damaged" in text
        assert "delete it" in text


def test_a_tar_that_ends_between_two_members_is_damaged(tmp_path):
    archive = tarred(tmp_path / "x.tar", {"a": bytes(512), "b": bytes(512)})
    archive.write_bytes(archive.read_bytes()[:1024])
    assert "ends in the middle" in refusal(archive)


def test_a_flipped_bit_is_seen(tmp_path):
    for kind in ("x.zip", "x.tar.gz"):
        archive = packed(tmp_path / kind, {"a": os.urandom(5000)})
        content = bytearray(archive.read_bytes())
        content[len(content) // 2] ^= 1
        archive.write_bytes(content)
        assert "damaged" in refusal(archive)


@pytest.mark.parametrize("kind", ["x.zip", "x.tar"])
def test_an_archive_without_a_file_is_refused(tmp_path, kind):
    assert "no file" in refusal(packed(tmp_path / kind, {".DS_Store": b""}))
    assert "no file" in refusal(packed(tmp_path / kind, {}))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from(["x.zip", "x.tar", "x.tar.gz"]),
    places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
    packed_again=st.booleans(),
)
def test_any_damage_gives_a_sentence_or_a_folder(tmp_path, kind, places, packed_again):
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    archive = packed(tmp_path / kind, FILES)
    content = bytearray(archive.read_bytes())
    inside = packed_again and kind == "x.tar.gz"
    content = bytearray(gzip.decompress(content)) if inside else content
    for place, value in places:
        content[int(place * (len(content) - 1))] = value
    archive.write_bytes(gzip.compress(content) if inside else content)
    with suppress(UserError):
        unpack(archive, tmp_path / "files" / "x")
    assert not (tmp_path / "files" / ".x.unpacking").exists()
    assert {path.name for path in tmp_path.iterdir()} == {kind, "files"}


def test_a_folder_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(unpacking, "_write", full)
    assert "No space left on device" in refusal(zipped(tmp_path / "x.zip", FILES))


def test_a_killed_process_leaves_nothing_that_looks_whole(tmp_path):
    archive = zipped(tmp_path / "x.zip", FILES)
    code = (
        "import os, pathlib, sys; from noise2mask.data.download import unpack as unpacking\n"
        "write, count = unpacking._write, iter(range(9))\n"
        "unpacking._write = lambda *a: write(*a) if next(count) < 2 else os.kill(os.getpid(), 9)\n"
        "unpacking.unpack(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))"
    )
    folder = tmp_path / "files" / "x"
    done = subprocess.run([sys.executable, "-c", code, str(archive), str(folder)])
    assert done.returncode == -9
    assert [path.name for path in folder.parent.iterdir()] == [".x.unpacking"]
    unpack(archive, folder)
    assert found(folder) == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["x"]
