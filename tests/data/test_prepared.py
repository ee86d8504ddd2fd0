"""The on-disk layout of prepared datasets."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noise2mask.data.prepared import Case, Manifest, open_split, read_manifest, write_dataset
from noise2mask.data.splits import SPLITS
from noise2mask.errors import UserError
from noise2mask.files import write_text

SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}


def write(folder: Path, *, seed: int = 0, channels: int = 3, **more: Any) -> Manifest:
    generator = np.random.default_rng(seed)
    arrays, cases = {}, []
    for split, count in zip(SPLITS, (4, 1, 2), strict=True):
        images = generator.integers(0, 256, (count, 8, 8, channels), dtype=np.uint8)
        masks = generator.integers(0, 2, (count, 8, 8), dtype=np.uint8)
        arrays[split] = images, masks
        cases += [
            Case(
                f"{split}{row}",
                split,
                f"g{row}",
                20,
                10,
                "a" * 64,
                "b" * 64,
                masks[row].mean(),
                f"{split}{row}",
                0,
                0,
            )
            for row in range(count)
        ]
    return write_dataset(
        folder, arrays, cases, dataset="d", kind="folder", options={"root": "x"}, **more
    )


def test_what_was_written_is_read(tmp_path: Path) -> None:
    manifest = write(tmp_path)
    assert read_manifest(tmp_path) == manifest
    assert manifest.counts == {"train": 4, "val": 1, "test": 2}
    assert (manifest.resolution, manifest.channels) == (8, 3)
    split = open_split(tmp_path, "test", purpose="evaluation")
    assert split.ids == ("test0", "test1")
    assert split.groups == ("g0", "g1")
    assert split.images.shape == (2, 8, 8, 3)
    assert split.masks.shape == (2, 8, 8)
    assert isinstance(split.images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        split.masks[0] = 1


def test_files_are_as_named_and_nothing_is_left_over(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "er")
    names = {path.name for path in (tmp_path / "deep" / "er").glob("[!.]*")}
    arrays = {f"{split}.{what}.npy" for split in SPLITS for what in ("images", "masks")}
    assert names == arrays | {"manifest.json"}


def test_mean_and_std_are_of_the_training_images_in_unit_range(tmp_path: Path) -> None:
    manifest = write(tmp_path)
    unit = open_split(tmp_path, "train", purpose="training").images / 255
    np.testing.assert_allclose(manifest.mean, unit.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(manifest.std, unit.std(axis=(0, 1, 2)), rtol=1e-12)


def test_equal_cases_give_equal_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_digest_tells_cases_and_not_places(tmp_path: Path) -> None:
    first = write(tmp_path / "a")
    assert write(tmp_path / "b").digest == first.digest
    assert write(tmp_path / "c", seed=1).digest != first.digest


def test_training_cannot_open_the_test_split(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(UserError) as caught:
        open_split(tmp_path, "test", purpose="training")
    assert str(caught.value) == (
        "training cannot open the test split: models and checkpoints are chosen on train and val "
        f"alone (asked for {tmp_path})."
    )
    for split in ("train", "val"):
        open_split(tmp_path, split, purpose="training")


def test_unknown_split(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(UserError) as caught:
        open_split(tmp_path, "testing", purpose="evaluation")
    assert str(caught.value) == "the split 'testing' is unknown; the splits are train, val, test."


def test_folder_without_manifest(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        open_split(tmp_path, "train", purpose="training")
    assert str(caught.value) == (
        f"{tmp_path} has no manifest.json, so it is no prepared dataset; prepare it first."
    )


@pytest.mark.parametrize("content", ["{", "[]", '{"cases": []}', '{"cases": [{"id": "a"}]}'])
def test_manifest_of_something_else(tmp_path: Path, content: str) -> None:
    write_text(tmp_path / "manifest.json", content, record=True)
    with pytest.raises(UserError, match="is not the manifest of a prepared dataset"):
        read_manifest(tmp_path)


def test_changed_file_is_noticed(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "val.masks.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        open_split(tmp_path, "val", purpose="training")
    assert str(caught.value) == (
        f"the val files in {tmp_path} do not match the digest in manifest.json: they were changed "
        f"or only half replaced; delete {tmp_path} and prepare it again."
    )
    open_split(tmp_path, "train", purpose="training")


def test_changed_ids_are_noticed(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "manifest.json"
    write_text(path, path.read_text().replace("train3", "train9"), record=True)
    with pytest.raises(UserError, match="do not match the digest"):
        open_split(tmp_path, "train", purpose="training")


def test_shape_that_differs_from_the_manifest(tmp_path: Path) -> None:
    write(tmp_path)
    np.save(tmp_path / "train.images.npy", np.zeros((3, 8, 8, 3), np.uint8))
    with pytest.raises(UserError) as caught:
        open_split(tmp_path, "train", purpose="training")
    assert str(caught.value) == (
        f"{tmp_path / 'train.images.npy'} holds uint8 (3, 8, 8, 3), but its manifest says uint8 "
        f"(4, 8, 8, 3); delete {tmp_path} and prepare it again."
    )


@pytest.mark.parametrize("damage", ["missing", "empty", "cut"])
def test_missing_or_damaged_array(tmp_path: Path, damage: str) -> None:
    write(tmp_path)
    path = tmp_path / "train.images.npy"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 0 if damage == "empty" else -5])
    with pytest.raises(UserError) as caught:
        open_split(tmp_path, "train", purpose="training")
    assert str(caught.value) == (
        f"{path} is missing or damaged; delete {tmp_path} and prepare it again."
    )


def test_manifest_is_plain_json_with_every_case(tmp_path: Path) -> None:
    write(tmp_path)
    content = json.loads((tmp_path / "manifest.json").read_text())
    assert content["dataset"] == "d"
    assert content["foreground"] == "masks hold 1 for foreground and 0 for background"
    assert [case["id"] for case in content["cases"]][:2] == ["train0", "train1"]
    assert set(content["cases"][0]) == {
        "id", "split", "group", "width", "height", "image_sha256", "mask_sha256", "foreground",
        "image", "top", "left",
    }  # fmt: skip


def test_units_leaks_and_notes_come_back(tmp_path: Path) -> None:
    """Groups are counted, not cases; what was accepted is told."""
    manifest = write(tmp_path, leaks="P1 is in both.", notes=["a note."])
    assert manifest.units == {"train": 4, "val": 1, "test": 2}
    assert (manifest.leaks, manifest.notes) == ("P1 is in both.", ("a note.",))
    assert read_manifest(tmp_path) == manifest
