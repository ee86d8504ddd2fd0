"""Files below a folder: names, links, what is passed over."""

import os
from pathlib import Path

import pytest

from noise2mask.data.formats.listing import composed, files_below, folder_of, is_junk
from noise2mask.errors import UserError


def places(folder: Path, **options: object) -> list[str]:
    return [entry.place for entry in files_below(folder, **options)]  # type: ignore[arg-type]


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_files_of_all_folders_in_their_order(tmp_path: Path) -> None:
    write(tmp_path, "b.png", "a/2.png", "a/1.png", "__MACOSX/x.png", ".hidden/x.png", "c.png~")
    write(tmp_path, "._b.png", ".b.png", "Thumbs.db", "masks/1.png")
    assert places(tmp_path) == ["b.png", "a/1.png", "a/2.png", "masks/1.png"]
    assert places(tmp_path, without=[tmp_path / "masks"]) == ["b.png", "a/1.png", "a/2.png"]
    assert places(tmp_path, deep=False) == ["b.png"]
    assert places(tmp_path / "nowhere") == []


def test_links_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "real", "a.png")
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "link").symlink_to(tmp_path / "real")
    assert places(tmp_path / "top") == ["link/a.png"]


def test_links_to_a_folder_above_are_not_entered_for_ever(tmp_path: Path) -> None:
    write(tmp_path / "top", "a.png", "deep/b.png")
    (tmp_path / "top" / "deep" / "again").symlink_to(tmp_path / "top")
    (tmp_path / "top" / "same").symlink_to(tmp_path / "top")
    assert places(tmp_path / "top") == ["a.png", "deep/b.png"]


def test_names_are_composed(tmp_path: Path) -> None:
    write(tmp_path, "a\u0308.png")
    assert places(tmp_path) == ["\u00e4.png"]


def test_names_that_are_no_text(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/c\xff.png")).write_bytes(b"")
    with pytest.raises(UserError) as caught:
        places(tmp_path)
    assert str(caught.value) == (
        r"the name b'c\xff.png' holds bytes that are no text in UTF-8; rename the file, e.g. with "
        "`convmv`."
    )
    assert composed("plain.png") == "plain.png"


def test_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder_of("~/data") == tmp_path / "data"


@pytest.mark.parametrize("name", [".DS_Store", "._a.png", "desktop.ini", "a.png~"])
def test_junk(name: str) -> None:
    assert is_junk(name)
    assert not is_junk("a.png")
