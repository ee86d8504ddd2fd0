"""The form of a private copy of HER2: cases, patients, magnification."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from noise2mask.data.formats import her2
from noise2mask.data.prepare import prepare
from noise2mask.errors import UserError

TABLE = "id,patient,magnification,split\na,p1,10,train\nb,p1,10x,train\nc,p2,10.0,test\n"


def put(root: Path, table: str = TABLE, ids: str = "abc") -> Path:
    for number, id in enumerate(ids):
        for folder in ("images", "masks"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 30, 3), 9 * number, np.uint8)).save(root / f"images/{id}.png")
        classes = np.arange(30, dtype=np.uint8)[None].repeat(20, 0) // 10  # thirds of 0, 1, 2
        Image.fromarray(classes).save(root / f"masks/{id}.png")
    (root / "cases.csv").write_text(table, encoding="utf-8")
    return root


def refused(root: Path, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        her2.sources(root=str(root), **options)
    return str(caught.value)


def test_cases_patients_and_splits(tmp_path: Path) -> None:
    found = her2.sources(root=str(put(tmp_path)))
    assert [(source.id, source.group, source.split) for source in found] == [
        ("a", "p1", "train"),
        ("b", "p1", "train"),
        ("c", "p2", "test"),
    ]


@pytest.mark.parametrize(("foreground", "columns"), [((1,), [10, 20]), ([1, 2], [10, 30])])
def test_classes_to_foreground(tmp_path: Path, foreground: Any, columns: list[int]) -> None:
    source = her2.sources(root=str(put(tmp_path)), foreground=foreground)[1]
    image, mask = her2.load(source)
    assert image.shape == (20, 30, 3)
    expected = np.zeros((20, 30), bool)
    expected[:, slice(*columns)] = True
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    "table",
    [
        "id,patient,magnification\na,p1,10\nb,p2,10\nc,p3,10\n",
        "\ufeffscanner,split,magnification,id,patient\r\nx,,10,c,p3\r\nx,,10,a,p1\r\nx,,10,b,p2\r\n",
    ],
)
def test_splits_may_be_left_out(tmp_path: Path, table: str) -> None:
    found = her2.sources(root=str(put(tmp_path, table)))
    assert [(source.group, source.split) for source in found] == [
        ("p1", None), ("p2", None), ("p3", None),
    ]  # fmt: skip


def test_prepared_from_end_to_end_with_tiles(tmp_path: Path) -> None:
    table = TABLE.replace("b,p1", "b,p3")
    shares = {"train": 0.5, "val": 0.5, "test": 0.2}
    options = {"root": str(put(tmp_path / "raw", table)), "foreground": [2]}
    manifest = prepare("her2", options, "h", 10, shares, tmp_path / "out", tile=10, stride=5)
    assert manifest.counts == {"train": 3 * 5, "val": 6, "test": 6}


# Bad input ------------------------------------------------------------------------------------


def test_no_table(tmp_path: Path) -> None:
    (put(tmp_path) / "cases.csv").unlink()
    assert refused(tmp_path).endswith(
        "; it must be a CSV file with the columns id, patient, magnification."
    )


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (
            "id,patient,split\na,p1,train\n",
            "the table {path} has no column 'magnification' (it has id, patient, split); the "
            "columns id, patient, magnification are needed, separated by commas, and split may be "
            "given.",
        ),
        (
            "",
            "the table {path} has no column 'id' (it has none); the columns id, patient, "
            "magnification are needed, separated by commas, and split may be given.",
        ),
        (
            "id,patient,magnification\na,p1,10\nb,,10\nc,p2,10\n",
            "the line of 'b' in {path} has no patient; fill it in.",
        ),
        (
            "id,patient,magnification\na,p1,10\nb\nc,p2,10\n",
            "the line of 'b' in {path} has no patient; fill it in.",
        ),
        (
            "id,patient,magnification\na,p1,10\na,p1,10\n",
            "the table {path} names the id 'a' twice; remove a line.",
        ),
        (
            "id,patient,magnification\na,p1,10\n",
            "2 images (b, c) have no line in {path}; add them.",
        ),
        (
            TABLE + "d,p9,10,test\n",
            "1 id (d) has no image but a line in {path}; correct it.",
        ),
        (
            TABLE.replace("test", "holdout"),
            "{path} gives the case 'c' the split 'holdout'; the splits are train, val, test.",
        ),
        (
            TABLE.replace("10x", "ten"),
            "{path} gives 'b' the magnification 'ten', which is no number; write that of the "
            "objective, e.g. 10.",
        ),
        (
            TABLE.replace("10x", "20x").replace("10.0", "nan"),
            "2 cases (b: 20x, c: nan) have another magnification than 10 in {path}, but all must "
            "have that of the option `magnification`; leave them out, rescale them or change the "
            "option.",
        ),
    ],
)
def test_tables_that_do_not_fit(tmp_path: Path, table: str, sentence: str) -> None:
    path = put(tmp_path, table) / "cases.csv"
    assert refused(tmp_path) == sentence.format(path=path, root=tmp_path)


def test_another_magnification_can_be_asked_for(tmp_path: Path) -> None:
    put(tmp_path, TABLE.replace("10", "40"))
    assert "have another magnification than 10" in refused(tmp_path)
    assert len(her2.sources(root=str(tmp_path), magnification=40)) == 3


def test_images_without_masks(tmp_path: Path) -> None:
    (put(tmp_path) / "masks" / "b.png").unlink()
    assert refused(tmp_path).startswith(f"1 image (b) has no mask in {tmp_path / 'masks'}")


def test_mask_of_another_size(tmp_path: Path) -> None:
    put(tmp_path)
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(tmp_path / "masks/b.png")
    with pytest.raises(UserError, match="image and mask must have the same size"):
        her2.load(her2.sources(root=str(tmp_path))[1])
