"""The on-disk layout of prepared datasets, and splits."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noise2mask.data.prepared import Case, Manifest, open_split, read_manifest, write_dataset
from noise2mask.data.splits import SPLITS, assign_splits, split_groups
from noise2mask.errors import UserError
from noise2mask.files import write_text

SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}
sizes_of_groups = st.dictionaries(st.text(max_size=8), st.integers(1, 9), min_size=3, max_size=40)


def write(folder: Path, *, seed: int = 0, channels: int = 3) -> Manifest:
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
    return write_dataset(folder, arrays, cases, dataset="d", kind="folder", options={"root": "x"})


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


# Splits ---------------------------------------------------------------------------------------


@given(sizes_of_groups)
def test_every_group_has_one_split_and_no_split_is_empty(sizes: dict[str, int]) -> None:
    split_of = split_groups(sizes, SHARES)
    assert split_of.keys() == sizes.keys()
    assert set(split_of.values()) == set(SPLITS)


@given(sizes_of_groups)
def test_split_does_not_depend_on_the_order_of_groups(sizes: dict[str, int]) -> None:
    turned = dict(reversed(sizes.items()))
    assert split_groups(sizes, SHARES) == split_groups(turned, SHARES)


@given(st.integers(20, 400))
def test_shares_are_met_to_one_case(count: int) -> None:
    splits = list(split_groups({f"case{i}": 1 for i in range(count)}, SHARES).values())
    for split, share in SHARES.items():
        assert abs(splits.count(split) - share * count) <= 1


def test_split_is_the_same_for_ever() -> None:
    # By SHA-256 of the names: printf c | sha256sum and so on.
    split_of = split_groups(dict.fromkeys("abcdefgh", 1), SHARES)
    assert "".join(sorted(group for group in split_of if split_of[group] == "train")) == TRAIN
    assert "".join(sorted(group for group in split_of if split_of[group] == "test")) == TEST


TRAIN, TEST = "bcdef", "ag"


def test_a_large_group_moves_the_cut_and_is_not_divided() -> None:
    sizes = {f"p{i}": 1 for i in range(30)} | {"large": 70}
    splits = split_groups(sizes, {"train": 0.5, "test": 0.5})
    in_train = sum(size for group, size in sizes.items() if splits[group] == "train")
    assert min(in_train, 100 - in_train) <= 30


def test_fewer_groups_than_splits() -> None:
    with pytest.raises(UserError) as caught:
        split_groups({"a": 50, "b": 50}, SHARES)
    assert str(caught.value) == (
        "2 group(s) of cases cannot fill the 3 splits train, val, test: each needs at least one "
        "group, and a group is never divided; add cases or use smaller groups."
    )


def test_share_of_nothing() -> None:
    with pytest.raises(UserError) as caught:
        split_groups({"a": 1, "b": 1, "c": 1}, {"train": 1.0, "val": 0.0, "test": 0.2})
    assert str(caught.value) == (
        "the shares of the splits are train 1, val 0, test 0.2, but each must be above 0; change "
        "`shares` in the study."
    )


def test_shares_count_cases_and_not_groups() -> None:
    names = [f"p{i}" for i in range(60)]
    order = list(split_groups(dict.fromkeys(names, 1), SHARES))  # train first, test last
    groups = [name for i, name in enumerate(order) for _ in range(1 if i < 30 else 9)]
    splits = assign_splits(groups, [None] * len(groups), SHARES)
    for split, share in SHARES.items():
        assert abs(splits.count(split) - share * len(groups)) <= 5


def test_official_splits_are_kept() -> None:
    official = ["test", "train", "val", "train"]
    assert assign_splits(["a", "b", "c", "d"], official, SHARES) == official


@given(st.integers(3, 60))
def test_validation_is_carved_out_of_training_groups(count: int) -> None:
    groups = [f"patient{i // 2}" for i in range(2 * count)] + ["other"]
    splits = assign_splits(groups, ["train"] * (2 * count) + ["test"], SHARES)
    assert splits[-1] == "test"
    assert set(splits[:-1]) == {"train", "val"}
    assert splits[:-1:2] == splits[1:-1:2]
    assert abs(splits.count("val") - 2 * count * 0.2) <= 2


@pytest.mark.parametrize(
    ("groups", "official", "sentence"),
    [
        (
            ["a", "b", "c"],
            ["train", None, "test"],
            "1 of 3 cases have no split while the others have one; give a split for all cases or "
            "for none.",
        ),
        (
            ["a", "b"],
            ["train", "held out"],
            "the split 'held out' is unknown; the splits are train, val, test.",
        ),
        (
            ["a", "b"],
            ["train", "val"],
            "the given splits have no test case; each of train and test needs at least one (val "
            "is taken from train when it is not given).",
        ),
        (
            ["p", "q", "p"],
            ["train", "train", "test"],
            "the group 'p' has cases in both train and test; all cases of a group (patient, slide) "
            "must be in one split, so change the splits or the groups.",
        ),
    ],
)
def test_official_splits_that_do_not_work(
    groups: list[str], official: list[str | None], sentence: str
) -> None:
    with pytest.raises(UserError) as caught:
        assign_splits(groups, official, SHARES)
    assert str(caught.value) == sentence
