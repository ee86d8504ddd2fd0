"""Exactly the files that are read, and a digest that changes with what they hold alone."""

import os
from pathlib import Path

import pytest
from helpers.odd_files import dataset, grey, itk

from noise2mask.data.raw_files import content_digest, files_read
from noise2mask.errors import UserError


def names(root: Path, **options: str) -> set[str]:
    paths = files_read(options.pop("kind", "folder"), {"root": str(root), **options})
    assert paths == sorted(paths)
    return {path.relative_to(root).as_posix() for path in paths}


EVERY = {f"{role}/c{number}.png" for role in ("images", "masks") for number in range(5)}


def test_what_is_no_case_is_not_watched(tmp_path: Path) -> None:
    root = dataset(tmp_path)
    for junk in (".DS_Store", "Thumbs.db", "images/.DS_Store", "images/notes.txt", "masks/c0.png~"):
        (root / junk).write_text("x")
    (root / "images" / ".#c0.png").symlink_to("nowhere")  # an editor's lock
    assert names(root) == EVERY


def test_names_may_hold_anything(tmp_path: Path) -> None:
    root = dataset(tmp_path)
    for role in ("images", "masks"):
        (root / role / "c0.png").rename(root / role / "case {0} & $x.png")
    assert "images/case {0} & $x.png" in names(root)


def test_folders_that_are_links_are_followed(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw")
    (root / "masks").rename(tmp_path / "elsewhere")
    (root / "masks").symlink_to(tmp_path / "elsewhere")
    assert names(root) == EVERY


def test_tables_are_watched_too(tmp_path: Path) -> None:
    root = dataset(tmp_path)
    lines = [f"c{number},{'test' if number == 4 else 'train'}" for number in range(5)]
    (root / "mine.csv").write_text("\n".join(["id,split", *lines]))
    assert names(root, splits="mine.csv") == EVERY | {"mine.csv"}


def test_the_voxels_of_a_header_file_are_watched(tmp_path: Path) -> None:
    root = dataset(tmp_path, ("mhd", itk(grey)))
    assert "images/c0.raw" in names(root)


def test_volumes_are_not_read_to_name_them(tmp_path: Path) -> None:
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.nii.gz").write_bytes(b"no volume")
    assert names(tmp_path, kind="volumes") == {"imagesTr/a.nii.gz", "labelsTr/a.nii.gz"}


def test_kinds_without_files() -> None:
    assert files_read("phantoms", {"family": "lesion", "count": 3}) == []


def test_files_that_a_kind_of_another_module_names_in_a_plain_list(tmp_path, monkeypatch) -> None:
    (tmp_path / "lab_kind.py").write_text(
        "from pathlib import Path\n\nfrom noise2mask.data.source import Source\n\n\n"
        "def sources(*, root: str):\n"
        "    return [Source(p.stem, p.stem, None, {'image': p}) for p in Path(root).iterdir()]\n"
    )
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.png").touch()
    monkeypatch.chdir(tmp_path)
    found = files_read("lab_kind:sources", {"root": str(tmp_path / "raw")})
    assert found == [tmp_path / "raw" / "a.png"]


def test_a_digest_of_contents(tmp_path: Path) -> None:
    memory = tmp_path / "memory.json"
    root = dataset(tmp_path / "raw")
    paths = files_read("folder", {"root": str(root)})
    first = content_digest(paths, memory)
    os.utime(paths[0])  # as a copy or a checkout does
    assert content_digest(paths, memory) == first
    other = dataset(tmp_path / "copy")
    assert content_digest(files_read("folder", {"root": str(other)}), memory) == first
    paths[3].write_bytes(paths[4].read_bytes())
    assert content_digest(paths, memory) != first
    memory.write_text("[]")  # damaged: made again
    assert content_digest(files_read("folder", {"root": str(other)}), memory) == first


def test_a_renamed_file_changes_the_digest(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw")
    digests = set()
    for name in ("c0", "c9"):
        for role in ("images", "masks"):
            next((root / role).glob("c[09].png")).rename(root / role / f"{name}.png")
        paths = files_read("folder", {"root": str(root)})
        digests.add(content_digest(paths, tmp_path / "memory.json"))
    assert len(digests) == 2


def test_what_is_remembered_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = files_read("folder", {"root": str(dataset(tmp_path / "raw"))})
    first = content_digest(paths, tmp_path / "memory.json")
    monkeypatch.setattr("hashlib.file_digest", None)
    assert content_digest(paths, tmp_path / "memory.json") == first


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.png cannot be read \(No such file"):
        content_digest([tmp_path / "gone.png"], tmp_path / "memory.json")
