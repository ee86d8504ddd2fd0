import errno
import fcntl
import os
import resource
import subprocess
import sys

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save

from noise2mask.errors import UserError
from noise2mask.files import (
    checked,
    command,
    locked,
    record_of,
    write_bytes,
    write_json,
    write_record,
    write_text,
    writing,
)


def test_equal_tensors_are_equal_bytes(tmp_path):
    """The library orders metadata by chance, anew in every file."""
    said = {"record": '{"a": "\u00e9 \\" \\\\ \\n"}', "sha256": "0", "third": "\t"}
    for number in range(12):
        with writing(tmp_path / f"{number}.safetensors") as temporary:
            temporary.write_bytes(save({"b": np.ones(2), "a": np.zeros(1)}, said))
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    with safe_open(tmp_path / "0.safetensors", framework="numpy") as file:
        assert file.metadata() == said
        assert file.get_tensor("b").tolist() == [1, 1]


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


@pytest.mark.parametrize("error", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_without_locks_a_file_stands_for_one(tmp_path, monkeypatch, caplog, error):
    def flock(file, operation):
        raise OSError(getattr(errno, error), "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    path, stand_in = tmp_path / "lock", tmp_path / "lock.held"
    with locked(path, "busy.") as descriptor:
        assert descriptor is None
        assert stand_in.exists()
        assert f"so {stand_in} stands for one" in caplog.text
        with pytest.raises(UserError, match="busy"), locked(path, "busy."):
            pass
    assert not stand_in.exists()


def test_what_a_killed_process_has_left_in_place_of_a_lock_holds_nobody(tmp_path, monkeypatch):
    left = tmp_path / "lock.held"
    killed = (
        "import filelock, os, signal, sys\nlock = filelock.SoftFileLock(sys.argv[1])\n"
        "lock.acquire()\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", killed, left], check=False)
    assert left.exists()

    def flock(file, operation):
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path / "lock", "busy."):
        pass


@pytest.fixture
def table(tmp_path):
    """A file that a stage has left, and the command that made it."""
    path = tmp_path / "metrics.csv"
    before = command.set("noise2mask evaluate --study 'my study.yaml'")
    write_text(path, "case,value\na,0.5\n", record=True)
    command.reset(before)
    return path


def test_what_a_stage_left_is_opened_as_it_was(table):
    assert checked(table).read_text() == "case,value\na,0.5\n"
    os.utime(table, (0, 0))  # times say nothing
    assert checked(table) == table


def _cut(path):
    path.write_text("case,value\n")


def _change(path):
    path.write_text(path.read_text().replace("0.5", "0.6"))


def _remove(path):
    path.unlink()


def _make_a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (_cut, "was changed or damaged: it has 11 bytes where its record says 17"),
        (_change, "was changed or damaged: it has another content"),
        (_remove, "does not exist"),
        (_make_a_folder, "is no file"),
    ],
)
def test_damage_is_one_sentence_with_the_command_that_mends_it(table, damage, what):
    damage(table)
    with pytest.raises(UserError) as caught:
        checked(table)
    again = "make it again with `noise2mask evaluate --study 'my study.yaml'`."
    assert str(caught.value) == f"{table} {what}; {again}"


@pytest.mark.parametrize("content", [None, b"", b"[1]", b'{"bytes": 17}', b"[" * 10**5, b"\xff"])
def test_a_file_without_a_readable_record_proves_nothing(table, content):
    record_of(table).unlink()
    if content is not None:
        record_of(table).write_bytes(content)
    with pytest.raises(UserError) as caught:
        checked(table)
    assert str(caught.value) == (
        f"{table} has no readable record beside it (.metrics.csv.record), so nothing shows that "
        "it is whole; make it again with `noise2mask reproduce`."
    )


def test_through_a_link_the_record_of_the_file_counts(table, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "metrics.csv"
    link.symlink_to(table)
    assert checked(link) == link
    _cut(table)
    with pytest.raises(UserError, match="was changed or damaged"):
        checked(link)


def test_a_record_is_replaced_with_its_file(table):
    write_text(table, "other\n", record=True)
    assert checked(table).read_text() == "other\n"
    table.write_text("by hand\n")
    write_record(table)
    assert checked(table).read_text() == "by hand\n"


def test_a_folder_in_the_place_of_a_file_is_told(tmp_path):
    (tmp_path / "metrics.csv").mkdir()
    with pytest.raises(UserError, match="a folder of this name is in its place; move that away"):
        write_text(tmp_path / "metrics.csv", "")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="a file is in the place of its folder"):
        write_text(tmp_path / "file" / "metrics.csv", "")
