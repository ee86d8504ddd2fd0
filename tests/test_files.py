import errno
import os
import resource
import subprocess
import sys

import pytest

from noise2mask.errors import UserError
from noise2mask.files import locked, write_bytes, write_json, write_text, writing


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "file"
    write_text(path, "old")

    def fail():
        with writing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_json_ends_with_a_newline_and_folders_are_made(tmp_path):
    write_json(tmp_path / "a" / "b.json", {"x": "é"})
    assert (tmp_path / "a" / "b.json").read_text(encoding="utf-8") == '{\n  "x": "é"\n}\n'


def test_a_full_disk_is_told_in_one_sentence_and_the_old_file_survives(tmp_path, monkeypatch):
    path = tmp_path / "model"
    write_bytes(path, b"good")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError) as caught:
        write_bytes(path, b"better")
    assert str(caught.value) == (
        f"{path} could not be saved: the disk is full; "
        "free some space and run the same command again."
    )
    assert path.read_bytes() == b"good"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_real_write_beyond_the_limit_leaves_the_old_file(tmp_path):
    """The kernel refuses to write more than a limit, as it does on a full disk."""
    path = tmp_path / "model"
    write_bytes(path, b"good")
    code = (
        "import resource, signal, pathlib, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "from noise2mask.files import write_bytes\n"
        "write_bytes(pathlib.Path(sys.argv[1]), b'x' * 10000)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True)
    assert done.returncode != 0
    assert path.read_bytes() == b"good"
    assert len(list(tmp_path.iterdir())) == 1
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4096


def test_a_folder_that_cannot_be_written_is_told_in_one_sentence(tmp_path, monkeypatch):
    def refused(self, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refused)
    with pytest.raises(UserError) as caught:
        write_bytes(tmp_path / "no" / "file", b"")
    assert str(caught.value) == (
        f"{tmp_path}/no/file could not be saved: the folder cannot be written; "
        "change its permissions or choose another one."
    )


def test_a_lock_is_held_by_one_and_freed_at_the_end(tmp_path):
    path = tmp_path / "folder" / "lock"
    with locked(path, "busy."):
        with pytest.raises(UserError) as caught, locked(path, "busy."):
            pass
        assert str(caught.value) == "busy."
    with locked(path, "busy."):
        assert path.exists()
