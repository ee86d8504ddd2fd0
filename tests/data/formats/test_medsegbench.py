"""Archives of arrays as MedSegBench publishes them, and archives that are not."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noise2mask import plugins
from noise2mask.data import catalogue
from noise2mask.data.formats.medsegbench import load, sources
from noise2mask.data.prepare import prepare
from noise2mask.data.source import Source
from noise2mask.errors import UserError

COUNTS = {"train": 11, "val": 2, "test": 3}
SIDE = 16
AGAIN = "delete it and fetch it again with `noise2mask data get`."


def arrays(*, colour: bool = True, classes: int = 2) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    made = {}
    for split, count in COUNTS.items():
        shape = (count, SIDE, SIDE)
        made[f"{split}_images"] = generator.integers(
            0, 256, (*shape, 3) if colour else shape, dtype=np.uint8
        )
        made[f"{split}_label"] = generator.integers(0, classes, shape, dtype=np.uint8)
    return made


def archive(root: Path, held: dict[str, np.ndarray], name: str = "kvasir_256") -> Path:
    path = root / "archives" / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **held)
    return path


def listed(root: Path, **options: Any) -> list[Source]:
    """Sources, with options checked as those of a study are."""
    model = plugins.options("format", "medsegbench")
    return sources(**model(root=str(root), **{"name": "kvasir", **options}).model_dump())


def sentence_of(root: Path, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        [load(source) for source in listed(root, **options)]
    return str(caught.value)


def test_a_set_of_the_table(tmp_path: Path) -> None:
    held = arrays()
    archive(tmp_path, held)
    several = listed(tmp_path, **catalogue.entry("medsegbench_kvasir").options)
    ids = [f"{split}_{n:05d}" for split in COUNTS for n in range(COUNTS[split])]
    assert [source.id for source in several] == ids
    assert [source.group for source in several] == ids
    assert [source.split for source in several] == [id.partition("_")[0] for id in ids]
    for source in several:
        split, _, number = source.id.partition("_")
        image, mask = load(pickle.loads(pickle.dumps(source)))
        np.testing.assert_array_equal(image, held[f"{split}_images"][int(number)])
        np.testing.assert_array_equal(mask, held[f"{split}_label"][int(number)] > 0)
        assert (image.dtype, mask.dtype) == (np.uint8, np.bool_)


def test_grey_images_and_labels_with_a_channel(tmp_path: Path) -> None:
    held = arrays(colour=False)
    held |= {key: array[..., None] for key, array in held.items() if "label" in key}
    archive(tmp_path, held)
    image, mask = load(listed(tmp_path)[12])
    np.testing.assert_array_equal(image[..., 0], held["val_images"][1])
    np.testing.assert_array_equal(mask, held["val_label"][1, ..., 0] > 0)
    assert image.shape == (SIDE, SIDE, 1)


def test_any_order_of_rows(tmp_path: Path) -> None:
    held = arrays()
    archive(tmp_path, held)
    several = listed(tmp_path)
    for number in (7, 2, 10, 0):
        np.testing.assert_array_equal(load(several[number])[0], held["train_images"][number])


def test_foreground_names_labels(tmp_path: Path) -> None:
    held = arrays(classes=5)
    archive(tmp_path, held)
    mask = load(listed(tmp_path, foreground=[2, 4])[0])[1]
    np.testing.assert_array_equal(mask, np.isin(held["train_label"][0], [2, 4]))


def test_labels_of_other_types(tmp_path: Path) -> None:
    held = arrays(classes=3)
    for dtype in (np.int64, np.float32, np.bool_):
        changed = {k: a.astype(dtype) if "label" in k else a for k, a in held.items()}
        archive(tmp_path, changed)
        np.testing.assert_array_equal(load(listed(tmp_path)[0])[1], held["train_label"][0] > 0)


def test_sizes_are_archives_of_their_own(tmp_path: Path) -> None:
    archive(tmp_path, arrays(), "kvasir_128")
    assert len(listed(tmp_path, size=128)) == sum(COUNTS.values())


def test_categories(tmp_path: Path) -> None:
    held = arrays()
    part = {f"{key}_C2": array[:2] for key, array in held.items()}
    archive(tmp_path, held | part)
    assert len(listed(tmp_path, category="C2")) == 6


def test_categories_of_the_same_images(tmp_path: Path) -> None:
    held = arrays()
    disc = {f"{key}_C4": 1 - array for key, array in held.items() if "label" in key}
    archive(tmp_path, held | disc, "idrib_256")
    image, mask = load(listed(tmp_path, **catalogue.entry("medsegbench_idrib").options)[0])
    np.testing.assert_array_equal(image, held["train_images"][0])
    np.testing.assert_array_equal(mask, held["train_label"][0] == 0)


def test_listing_decodes_no_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path, arrays())
    content = path.read_bytes()
    with zipfile.ZipFile(path) as opened:
        start = opened.getinfo("train_images.npy").header_offset + 300
    path.write_bytes(content[:start] + bytes(500) + content[start + 500 :])  # rows spoilt
    several = listed(tmp_path)
    assert len(several) == 16
    with pytest.raises(UserError, match="could not be read"):
        [load(source) for source in several]


def test_one_decoding_for_all_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive(tmp_path, arrays())
    several = listed(tmp_path)
    passed = []
    read = zipfile.ZipExtFile.read
    monkeypatch.setattr(
        zipfile.ZipExtFile, "read", lambda self, n=-1: passed.append(n) or read(self, n)
    )
    [load(source) for source in several[:11]]
    assert sum(passed) <= 11 * SIDE * SIDE * 4 + 2000


def test_a_new_archive_of_the_same_name(tmp_path: Path) -> None:
    archive(tmp_path, arrays())
    load(listed(tmp_path)[0])
    held = {key: 1 - array if "label" in key else array for key, array in arrays().items()}
    held["train_images"] = held["train_images"][:9]
    held["train_label"] = held["train_label"][:9]
    archive(tmp_path, held)
    several = listed(tmp_path)
    assert len(several) == 14
    np.testing.assert_array_equal(load(several[0])[1], held["train_label"][0] > 0)


@pytest.mark.parametrize("processes", [1, 2])
def test_prepared_with_its_own_splits(tmp_path: Path, processes: int) -> None:
    archive(tmp_path, arrays())
    manifest = prepare(
        "medsegbench",
        {"root": str(tmp_path), "name": "kvasir"},
        "polyps",
        8,
        {"train": 0.6, "val": 0.15, "test": 0.25},
        tmp_path / "prepared",
        processes=processes,
    )
    assert manifest.counts == COUNTS
    assert manifest.channels == 3


# What is wrong --------------------------------------------------------------------------------


def test_a_missing_archive(tmp_path: Path) -> None:
    assert sentence_of(tmp_path, size=512) == (
        f"{tmp_path}/archives/kvasir_512.npz does not exist; fetch it with `noise2mask data get`, "
        "or correct `root`, `name` or `size`."
    )


def test_a_missing_split(tmp_path: Path) -> None:
    held = arrays()
    del held["val_images"], held["val_label"]
    path = archive(tmp_path, held)
    assert sentence_of(tmp_path) == (
        f"{path} has no array val_images; it holds test_images, test_label, train_images, "
        f"train_label; correct `category`, or, if it is not as published, {AGAIN}"
    )


def test_labels_under_another_name(tmp_path: Path) -> None:
    held = {key.replace("label", "labels"): array for key, array in arrays().items()}
    assert "has no array train_label; it holds test_images, test_labels, " in sentence_of(
        archive(tmp_path, held).parents[1]
    )


def test_a_missing_category(tmp_path: Path) -> None:
    archive(tmp_path, arrays())
    assert "has no array train_label_C9; it holds " in sentence_of(tmp_path, category="C9")


WRONG = {
    "one axis": (
        {"train_images": np.zeros(5, np.uint8)},
        "the array train_images in {path} is uint8 (5,), but images are uint8 (N, H, W) or "
        "(N, H, W, 3); it is not as published, {again}",
    ),
    "two channels": (
        {"train_images": np.zeros((11, 16, 16, 2), np.uint8)},
        "the array train_images in {path} is uint8 (11, 16, 16, 2), but images are uint8 "
        "(N, H, W) or (N, H, W, 3); it is not as published, {again}",
    ),
    "fractions": (
        {"train_images": np.zeros((11, 16, 16), np.float32)},
        "the array train_images in {path} is float32 (11, 16, 16), but images are uint8 (N, H, W) "
        "or (N, H, W, 3); it is not as published, {again}",
    ),
    "other sides": (
        {"train_label": np.zeros((11, 8, 8), np.uint8)},
        "the array train_label in {path} is uint8 (11, 8, 8), which does not fit its images, "
        "(11, 16, 16, 3); it is not as published, {again}",
    ),
    "other number": (
        {"train_label": np.zeros((10, 16, 16), np.uint8)},
        "the array train_label in {path} is uint8 (10, 16, 16), which does not fit its images, "
        "(11, 16, 16, 3); it is not as published, {again}",
    ),
    "text": (
        {"train_label": np.full((11, 16, 16), "x")},
        "the array train_label in {path} is <U1 (11, 16, 16), which does not fit its images, "
        "(11, 16, 16, 3); it is not as published, {again}",
    ),
    "labels between": (
        {"train_label": np.full((11, 16, 16), 0.5)},
        "the array train_label in {path} holds values that are not whole numbers (case "
        "'train_00000'), but labels name foreground and background; {again}",
    ),
    "columns first": (
        {"train_images": np.asfortranarray(np.zeros((11, 16, 16), np.uint8))},
        "the array train_images in {path} holds columns first; it is not as published, {again}",
    ),
    "pickled": (
        {"train_label": np.full((11, 16, 16), None)},
        "the array train_label in {path} holds pickled objects, which are never read; it is not "
        "as published, {again}",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_arrays_that_are_not_as_published(tmp_path: Path, case: str) -> None:
    changed, sentence = WRONG[case]
    path = archive(tmp_path, arrays() | changed)
    assert sentence_of(tmp_path) == sentence.format(path=path, again=AGAIN)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def no_archive(path: Path) -> None:
    path.write_bytes(b"<html>sign in</html>")


def members_of_bytes(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as opened:
        for key in arrays():
            opened.writestr(f"{key}.npy", b"not an array")


def short_member(path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, arrays()["train_images"])
    held = {key: (buffer.getvalue()[:5000] if key == "train_images" else None) for key in arrays()}
    with zipfile.ZipFile(path, "w") as opened:
        for key, content in held.items():
            if content is None:
                whole = io.BytesIO()
                np.save(whole, arrays()[key])
                content = whole.getvalue()
            opened.writestr(f"{key}.npy", content)


@pytest.mark.parametrize("spoil", [cut, no_archive, members_of_bytes, short_member])
def test_damaged_archives(tmp_path: Path, spoil: Any) -> None:
    path = archive(tmp_path, arrays())
    spoil(path)
    told = sentence_of(tmp_path)
    assert told.startswith(f"{path} could not be read (")
    assert told.endswith(f"); {AGAIN}")


def test_after_damage_an_intact_archive_is_read(tmp_path: Path) -> None:
    path = archive(tmp_path, arrays())
    short_member(path)
    sentence_of(tmp_path)
    archive(tmp_path, arrays())
    assert len([load(source) for source in listed(tmp_path)]) == 16


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("unpickled",))

    path = archive(tmp_path, arrays())
    with zipfile.ZipFile(path, "w") as opened:
        for key in arrays():
            opened.writestr(f"{key}.npy", pickle.dumps(Trap()))
    assert sentence_of(tmp_path).startswith(f"{path} could not be read (")
