"""Checksums of files, and what is remembered of them."""

import hashlib
import os
from pathlib import Path

import pytest

from noise2mask.data.download import checksums as module
from noise2mask.data.download.checksums import Memory, checksums, mismatch

CONTENT = bytes(range(256)) * 9000  # more than one block
SUMS = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "md5": hashlib.md5(CONTENT).hexdigest()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a.zip").write_bytes(CONTENT)
    return tmp_path / "a.zip"


def test_sums_are_those_of_the_whole_file(path: Path) -> None:
    assert checksums(path, with_md5=True) == SUMS
    assert checksums(path) == {"sha256": SUMS["sha256"]}


def test_mismatches() -> None:
    assert mismatch(SUMS, SUMS["sha256"].upper(), SUMS["md5"]) is None
    assert mismatch(SUMS, None, None) is None
    assert mismatch(SUMS, "0" * 64, None) == f"the SHA-256 {SUMS['sha256']}, not {'0' * 64}"
    assert mismatch(SUMS, SUMS["sha256"], "1" * 32) == f"the MD5 {SUMS['md5']}, not {'1' * 32}"


def test_what_is_remembered_is_not_read_again_until_the_file_changes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = path.with_name("memory.json")
    assert Memory(memory).checksums(path, with_md5=True) == SUMS
    read: list[Path] = []
    real = module.checksums
    monkeypatch.setattr(
        module, "checksums", lambda path, with_md5=False: read.append(path) or real(path)
    )
    assert Memory(memory).checksums(path)["sha256"] == SUMS["sha256"]
    assert not read
    path.write_bytes(CONTENT[1:])
    os.utime(path, ns=(1, 1))
    assert Memory(memory).checksums(path)["sha256"] != SUMS["sha256"]
    assert read == [path]


@pytest.mark.parametrize("content", ["", "[]", '{"a.zip": 3}'])
def test_a_damaged_memory_is_made_again(path: Path, content: str) -> None:
    memory = path.with_name("memory.json")
    memory.write_text(content)
    assert Memory(memory).checksums(path) == {"sha256": SUMS["sha256"]}
