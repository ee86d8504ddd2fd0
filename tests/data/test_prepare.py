"""Preparing: splits, tiles, and equal bytes whatever the number of processes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noise2mask.data.formats import phantoms
from noise2mask.data.prepare import prepare
from noise2mask.data.prepared import NOBODY, open_split, read_manifest, shares_of
from noise2mask.data.resize import grow_mask, resize_image, resize_mask
from noise2mask.data.source import LEFT_OUT
from noise2mask.data.splits import SPLITS
from noise2mask.errors import UserError

SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}


def folder_of_pictures(root: Path, count: int = 6, *, size: tuple[int, int] = (20, 30)) -> Path:
    """Images of one grey level and masks whose left half is foreground; (height, width)."""
    for number in range(count):
        image = np.full((*size, 3), 20 * number, np.uint8)
        mask = np.zeros(size, np.uint8)
        mask[:, : size[1] // 2] = 255
        save(root / "images" / f"case{number}.png", image)
        save(root / "masks" / f"case{number}.png", mask)
    return root


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_bytes_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    options = {"family": "nuclei", "count": 12, "size": 48}
    one = prepare("phantoms", options, "n", 24, SHARES, tmp_path / "one")
    two = prepare("phantoms", options, "n", 24, SHARES, tmp_path / "two", processes=2)
    assert one == two
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_every_case_is_in_one_split(tmp_path: Path) -> None:
    options = {"family": "lesion", "count": 20, "size": 32}
    manifest = prepare("phantoms", options, "lesions", 16, SHARES, tmp_path)
    assert manifest.counts == {"train": 12, "val": 3, "test": 5}
    ids = [id for split in SPLITS for id in open_split(tmp_path, split, purpose="evaluation").ids]
    assert sorted(ids) == [f"lesion_{number:05d}" for number in range(20)]
    assert manifest.options == {
        "family": "lesion", "count": 20, "size": 32, "tile": None, "shrink": None, "stride": None,
        "masks": "area", "validation": "own", "shares": SHARES, "leaks": "refused",
    }  # fmt: skip


def test_rows_are_the_cases_that_the_manifest_names(tmp_path: Path) -> None:
    options = {"family": "tissue", "count": 8, "size": 32}
    manifest = prepare("phantoms", options, "t", 32, SHARES, tmp_path)
    source_of = {source.id: source for source in phantoms.sources(**options)}
    for split in SPLITS:
        opened = open_split(tmp_path, split, purpose="evaluation")
        for row, id in enumerate(opened.ids):
            image, mask = phantoms.load(source_of[id])
            np.testing.assert_array_equal(opened.images[row], image)  # nothing to resize
            np.testing.assert_array_equal(opened.masks[row], mask)
            case = next(case for case in manifest.cases if case.id == id)
            assert case.split == split
            assert case.foreground == pytest.approx(mask.mean())


def test_source_sizes_and_file_digests_are_kept(tmp_path: Path) -> None:
    import hashlib

    root = folder_of_pictures(tmp_path / "raw")
    prepare("folder", {"root": str(root)}, "d", 16, SHARES, tmp_path / "out")
    for case in read_manifest(tmp_path / "out").cases:
        assert (case.width, case.height) == (30, 20)
        content = (root / "images" / f"{case.id}.png").read_bytes()
        assert case.image_sha256 == hashlib.sha256(content).hexdigest()


def test_tiles_of_an_image_stay_together(tmp_path: Path) -> None:
    root = folder_of_pictures(tmp_path / "raw", size=(20, 30))
    manifest = prepare(
        "folder", {"root": str(root)}, "d", 8, SHARES, tmp_path / "out", tile=8, processes=1
    )
    of_one = [case for case in manifest.cases if case.group == "case2"]
    assert [case.id for case in of_one] == [
        "case2_y000x000", "case2_y000x008", "case2_y000x016", "case2_y000x022",
        "case2_y008x000", "case2_y008x008", "case2_y008x016", "case2_y008x022",
        "case2_y012x000", "case2_y012x008", "case2_y012x016", "case2_y012x022",
    ]  # fmt: skip
    assert len({case.split for case in of_one}) == 1
    assert {(case.width, case.height) for case in of_one} == {(8, 8)}
    # columns 0 to 14 are foreground: all of the first tile, 7 of 8 columns of the second
    assert [case.foreground for case in of_one[:3]] == [1, 7 / 8, 0]
    assert manifest.options["tile"] == 8


def test_tile_larger_than_the_images(tmp_path: Path) -> None:
    root = folder_of_pictures(tmp_path / "raw")
    with pytest.raises(UserError) as caught:
        prepare("folder", {"root": str(root)}, "d", 8, SHARES, tmp_path / "out", tile=64)
    assert str(caught.value) == (
        "no image of d is as large as a tile of 64 x 64 pixels; choose a smaller `tile`."
    )


def test_training_tiles_overlap_and_all_reach_the_end(tmp_path: Path) -> None:
    root = folder_of_pictures(tmp_path / "raw", count=8, size=(20, 30))
    options = {"root": str(root)}
    manifest = prepare("folder", options, "d", 8, SHARES, tmp_path / "out", tile=8, stride=5)
    places = {split: set() for split in SPLITS}
    for case in manifest.cases:
        places[case.split].add((case.top, case.left))
        assert case.id == f"{case.image}_y{case.top:03d}x{case.left:03d}"
        assert (case.group, case.width, case.height) == (case.image, 8, 8)
    assert places["train"] == {(y, x) for y in (0, 5, 10, 12) for x in (0, 5, 10, 15, 20, 22)}
    assert places["val"] == places["test"] == {(y, x) for y in (0, 8, 12) for x in (0, 8, 16, 22)}
    assert manifest.options["stride"] == 5
    split_of = {}
    for case in manifest.cases:
        assert split_of.setdefault(case.image, case.split) == case.split


def test_shrinking_comes_before_cutting(tmp_path: Path) -> None:
    """SegDiff's protocol for MoNuSeg: 1000 to 512 pixels, tiles of 256; here 50 to 32 and 16."""
    options = {"family": "nuclei", "count": 4, "size": 50}
    manifest = prepare("phantoms", options, "n", 16, SHARES, tmp_path, shrink=32, tile=16)
    assert manifest.counts == {"train": 8, "val": 4, "test": 4}
    source_of = {source.id: source for source in phantoms.sources(**options)}
    before, after = [], []
    for split in SPLITS:
        opened = open_split(tmp_path, split, purpose="evaluation")
        cases = [case for case in manifest.cases if case.split == split]
        for row, case in enumerate(cases):
            image, mask = phantoms.load(source_of[case.image])
            window = np.s_[case.top : case.top + 16, case.left : case.left + 16]
            np.testing.assert_array_equal(opened.images[row], resize_image(image, (32, 32))[window])
            np.testing.assert_array_equal(opened.masks[row], resize_mask(mask, (32, 32))[window])
            before.append(mask.mean())
            after.append(case.foreground)
    assert np.mean(after) == pytest.approx(np.mean(before), rel=0.01)


def test_a_case_that_is_not_cut_is_its_own_image(tmp_path: Path) -> None:
    root = folder_of_pictures(tmp_path / "raw")
    manifest = prepare("folder", {"root": str(root)}, "d", 8, SHARES, tmp_path / "out", shrink=12)
    for case in manifest.cases:
        assert (case.image, case.top, case.left) == (case.id, 0, 0)
        assert (case.width, case.height) == (30, 20)


def test_tiles_are_the_same_bytes_whatever_the_number_of_processes(tmp_path: Path) -> None:
    options = {"family": "nuclei", "count": 9, "size": 48}
    cutting = {"shrink": 40, "tile": 16, "stride": 7}
    one = prepare("phantoms", options, "n", 12, SHARES, tmp_path / "one", **cutting)
    two = prepare("phantoms", options, "n", 12, SHARES, tmp_path / "two", processes=2, **cutting)
    assert one == two
    assert one == read_manifest(tmp_path / "two")


@pytest.mark.parametrize(
    ("cutting", "sentence"),
    [
        (
            {"stride": 4},
            "stride 4 of d is the step of its training tiles, so it must be from 1 to `tile`, "
            "which is not given; change one of them.",
        ),
        (
            {"tile": 8, "stride": 9},
            "stride 9 of d is the step of its training tiles, so it must be from 1 to `tile`, "
            "which is 8; change one of them.",
        ),
        (
            {"tile": 16, "shrink": 12},
            "no image of d, each shrunk to 12 pixels, is as large as a tile of 16 x 16 pixels; "
            "choose a smaller `tile`.",
        ),
    ],
)
def test_tiles_that_cannot_be_cut(tmp_path: Path, cutting: dict[str, int], sentence: str) -> None:
    root = folder_of_pictures(tmp_path / "raw")
    with pytest.raises(UserError) as caught:
        prepare("folder", {"root": str(root)}, "d", 8, SHARES, tmp_path / "out", **cutting)
    assert str(caught.value) == sentence
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("value", "lack", "other"),
    [(0, "no foreground", "background"), (255, "no background", "foreground")],
)
def test_masks_with_nothing_to_learn(tmp_path: Path, value: int, lack: str, other: str) -> None:
    root = folder_of_pictures(tmp_path / "raw")
    for path in (root / "masks").iterdir():
        save(path, np.full((20, 30), value, np.uint8))
    options = {"root": str(root), "foreground": (255,)}
    with pytest.raises(UserError) as caught:
        prepare("folder", options, "moles", 8, SHARES, tmp_path / "out")
    assert str(caught.value) == (
        f"the masks of all 6 cases of moles have {lack}: every pixel is {other}, so there is "
        "nothing to learn; check the masks and the options that say which values are foreground."
    )
    assert not (tmp_path / "out").exists()


def test_fewer_cases_than_splits(tmp_path: Path) -> None:
    root = folder_of_pictures(tmp_path / "raw", count=2)
    with pytest.raises(UserError, match=r"2 group\(s\) of cases cannot fill the 3 splits"):
        prepare("folder", {"root": str(root)}, "d", 8, SHARES, tmp_path / "out")


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_in_any_process_reaches_the_user(tmp_path: Path, processes: int) -> None:
    root = folder_of_pictures(tmp_path / "raw")
    (root / "images" / "case3.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"case3\.png could not be read"):
        prepare(
            "folder", {"root": str(root)}, "d", 8, SHARES, tmp_path / "out", processes=processes
        )
    assert not (tmp_path / "out").exists()


def test_grey_images_among_coloured_ones_become_rgb(tmp_path: Path) -> None:
    root = folder_of_pictures(tmp_path / "raw")
    save(root / "images" / "case1.png", np.full((20, 30), 99, np.uint8))
    manifest = prepare("folder", {"root": str(root)}, "d", 8, SHARES, tmp_path / "out")
    assert manifest.channels == 3
    found = {
        id: image
        for split in SPLITS
        for id, image in zip(
            *(lambda s: (s.ids, s.images))(
                open_split(tmp_path / "out", split, purpose="evaluation")
            ),
            strict=True,
        )
    }
    assert (found["case1"] == 99).all()


def test_grey_datasets_stay_grey(tmp_path: Path) -> None:
    root = folder_of_pictures(tmp_path / "raw")
    for path in (root / "images").iterdir():
        save(path, np.full((20, 30), 50, np.uint8))
    manifest = prepare("folder", {"root": str(root)}, "d", 8, SHARES, tmp_path / "out")
    assert manifest.channels == 1
    assert manifest.mean == (50 / 255,)
    assert manifest.std == (0,)


@pytest.mark.parametrize("cut", [{}, {"shrink": 24, "tile": 16}])
def test_masks_can_be_grown_as_published_codes_do(tmp_path: Path, cut: dict[str, int]) -> None:
    options = {"family": "nuclei", "count": 9, "size": 48}
    kept = prepare("phantoms", options, "n", 12, SHARES, tmp_path / "kept", **cut)
    grown = prepare("phantoms", options, "n", 12, SHARES, tmp_path / "grown", masks="grown", **cut)
    assert [case.id for case in grown.cases] == [case.id for case in kept.cases]
    for one, other in zip(kept.cases, grown.cases, strict=True):
        assert other.foreground > one.foreground or one.foreground in (0, 1)
    for split in SPLITS:
        opened = [
            open_split(tmp_path / name, split, purpose="evaluation") for name in ("kept", "grown")
        ]
        np.testing.assert_array_equal(*(each.images for each in opened))
    assert (kept.options["masks"], grown.options["masks"]) == ("area", "grown")
    if not cut:
        opened = open_split(tmp_path / "grown", "test", purpose="evaluation")
        source = next(s for s in phantoms.sources(**options) if s.id == opened.ids[0])
        expected = grow_mask(phantoms.load(source)[1], (12, 12))
        np.testing.assert_array_equal(opened.masks[0], expected)


def test_test_cases_can_take_the_place_of_validation_cases(tmp_path: Path) -> None:
    options = {"family": "lesion", "count": 20, "size": 32}
    own = prepare("phantoms", options, "n", 16, SHARES, tmp_path / "own")
    chosen = prepare("phantoms", options, "n", 16, SHARES, tmp_path / "test", validation="test")
    assert chosen.digests["val"] == chosen.digests["test"] == own.digests["test"]
    assert own.digests["val"] != own.digests["test"]
    assert chosen.digests["train"] == own.digests["train"]
    assert (chosen.mean, chosen.std) == (own.mean, own.std)
    assert chosen.counts == {"train": 12, "val": 5, "test": 5}
    assert (own.options["validation"], chosen.options["validation"]) == ("own", "test")
    val = open_split(tmp_path / "test", "val", purpose="training")
    test = open_split(tmp_path / "test", "test", purpose="evaluation")
    assert val.ids == test.ids
    np.testing.assert_array_equal(val.masks, test.masks)
    with pytest.raises(UserError, match="training cannot open the test split"):
        open_split(tmp_path / "test", "test", purpose="training")


# What a person should know --------------------------------------------------------------------


def table(root: Path, *lines: str) -> dict[str, str]:
    (root / "splits.csv").write_text("\n".join(["id,split,patient", *lines]) + "\n")
    return {"root": str(root), "splits": "splits.csv"}


def textured(root: Path, count: int = 6) -> Path:
    """As :func:`folder_of_pictures`, but no two images are equal or even."""
    folder_of_pictures(root, count)
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        save(root / "images" / f"case{number}.png", pixels)
    return root


def test_a_patient_in_two_splits_stops_a_study_unless_it_is_accepted(tmp_path: Path) -> None:
    root = textured(tmp_path / "raw")
    options = table(
        root, "case0,train,P1", "case1,train,P2", "case2,val,P3", "case3,test,p1 ",
        "case4,test,P4", "case5,test,P5",
    )  # fmt: skip
    with pytest.raises(UserError, match="the group 'P1' has cases in both train and test"):
        prepare("folder", options, "d", 8, SHARES, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    manifest = prepare("folder", options, "d", 8, SHARES, tmp_path / "out", leaks="accepted")
    assert manifest.leaks == (
        "1 group (patient, slide) in several splits (P1 in train and test), 1 test images concerned"
    )
    assert manifest.units == {"train": 2, "val": 1, "test": 3}
    assert manifest.notes[0].endswith("are taken as one: 'P1' = 'p1'.")
    assert manifest.options["leaks"] == "accepted"


def test_equal_images_in_two_splits_stop_a_study_unless_it_is_accepted(tmp_path: Path) -> None:
    root = textured(tmp_path / "raw")
    pixels = np.asarray(Image.open(root / "images" / "case1.png"))
    Image.fromarray(pixels).save(root / "images" / "case4.png", compress_level=0)  # other bytes
    options = table(root, *(f"case{n},{'test' if n > 2 else 'train'}," for n in range(6)))
    with pytest.raises(UserError) as caught:
        prepare("folder", options, "d", 8, SHARES, tmp_path / "out")
    assert "1 image is there twice, in several splits (case1 (" in str(caught.value)
    assert "say `leaks: accepted` for this dataset in the study" in str(caught.value)
    manifest = prepare("folder", options, "d", 8, SHARES, tmp_path / "out", leaks="accepted")
    assert "= case4 (test)), 1 test images concerned" in manifest.leaks


def test_one_slide_can_be_split_if_that_is_accepted(tmp_path: Path) -> None:
    options = {"root": str(textured(tmp_path / "raw")), "group_pattern": "^(case)"}
    with pytest.raises(UserError, match=r"1 group\(s\) of cases cannot fill the 3 splits"):
        prepare("folder", options, "d", 8, SHARES, tmp_path / "out")
    manifest = prepare("folder", options, "d", 8, SHARES, tmp_path / "out", leaks="accepted")
    assert manifest.units == {"train": 1, "val": 1, "test": 1}
    assert "case in train and val and test" in manifest.leaks
    assert any(note.startswith("test holds 1 independent unit (") for note in manifest.notes)


def test_small_images_are_padded_and_told(tmp_path: Path) -> None:
    root = textured(tmp_path / "raw")
    pixels = np.random.default_rng(9).integers(0, 256, (19, 30, 3), dtype=np.uint8)
    save(root / "images" / "case3.png", pixels)
    save(root / "masks" / "case3.png", np.eye(19, 30, dtype=np.uint8) * 255)
    manifest = prepare("folder", {"root": str(root)}, "d", 20, SHARES, tmp_path / "out", tile=20)
    assert (
        "1 of 6 images (case3) are smaller than a tile of 20 x 20 pixels and are padded by their "
        "mirror image, which is not scored."
    ) in manifest.notes
    heights = {case.image: case.height for case in manifest.cases}
    assert heights == {f"case{number}": 19 if number == 3 else 20 for number in range(6)}


def test_what_is_told_is_logged_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = textured(tmp_path / "raw", 12)
    for path in (root / "masks").iterdir():
        mask = np.full((20, 30), 255, np.uint8)
        mask[8:12, 8:12] = 0
        save(path, mask)
    (root / "images" / "case0.heic").write_bytes(b"x")
    with caplog.at_level("WARNING", logger="noise2mask"):
        manifest = prepare("folder", {"root": str(root)}, "d", 8, SHARES, tmp_path / "out")
    unused, inverted = manifest.notes
    assert unused == (
        "1 entry is not used, of a suffix that is not read (.heic), in images/: case0.heic."
    )
    assert inverted.startswith("the masks may be inverted: the median image has foreground on 100%")
    assert [record.getMessage() for record in caplog.records] == [
        f"d: {note}" for note in manifest.notes
    ]


def test_nearly_equal_images_in_two_splits_are_told(tmp_path: Path) -> None:
    options = {"family": "nuclei", "count": 6, "size": 96}
    for source in phantoms.sources(**options):
        image, mask = phantoms.load(source)
        save(tmp_path / "raw" / "images" / f"{source.id}.png", image)
        save(tmp_path / "raw" / "masks" / f"{source.id}.png", mask.astype(np.uint8) * 255)
    images = tmp_path / "raw" / "images"
    first = np.asarray(Image.open(images / "nuclei_00000.png"))
    save(images / "nuclei_00005.png", np.clip(first[::-1] * 0.8 + 9, 0, 255).astype(np.uint8))
    splits = [
        f"nuclei_0000{n},{'test' if n == 5 else 'val' if n == 4 else 'train'}," for n in range(6)
    ]
    options = table(tmp_path / "raw", *splits)
    manifest = prepare("folder", options, "d", 16, SHARES, tmp_path / "out")
    assert manifest.notes[-1] == (
        "leak?: 1 pair of cases shows nearly the same image in two splits (nuclei_00000 (train) "
        "and nuclei_00005 (test)); if they are of one patient, give their groups."
    )
    assert manifest.leaks == ""


def annotated(root: Path, marks: dict[str, list[np.ndarray]]) -> dict:
    """Options of images with as many masks as there are marks, a folder for each case."""
    for number, (id, several) in enumerate(marks.items()):
        light = np.random.default_rng(number).integers(0, 255, several[0].shape).astype(np.uint8)
        save(root / id / "image.png", light)
        for order, mark in enumerate(several):
            save(root / id / f"task01_seg{order:02d}.png", np.where(mark, 255, 0).astype(np.uint8))
    known = r"^(?P<id>case\d)/"
    return {"root": str(root), "images": f"{known}image", "masks": f"{known}task01_seg"}


def test_masks_of_all_annotators_are_kept(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    marks = {f"case{n}": list(generator.random((3, 32, 32)) < 0.4) for n in range(6)}
    marks["case0"].pop()
    options = annotated(tmp_path / "raw", marks) | {"several": "soft"}
    manifest = prepare("pairs", options, "a", 16, SHARES, tmp_path / "out", tile=16)
    assert (manifest.annotators, manifest.soft) == (3, True)
    assert read_manifest(tmp_path / "out") == manifest
    for split in SPLITS:
        opened = open_split(tmp_path / "out", split, purpose="evaluation")
        for id, mask, references in zip(opened.ids, opened.masks, opened.references, strict=True):
            case = next(each for each in manifest.cases if each.id == id)
            part = np.s_[case.top : case.top + 16, case.left : case.left + 16]
            several = marks[case.image]
            for reference, mark in zip(references, several, strict=False):
                np.testing.assert_array_equal(reference, mark[part])
            assert (references[len(several) :] == NOBODY).all()
            np.testing.assert_array_equal(mask, (np.mean(several, axis=0) > 0.5)[part])
            expected = np.mean(several, axis=0, dtype=np.float32)[part]
            np.testing.assert_allclose(shares_of(references[None])[0], expected)


def test_padding_keeps_the_aspect_and_is_left_out(tmp_path: Path) -> None:
    raw = folder_of_pictures(tmp_path / "raw", size=(20, 40))
    given = ("folder", {"root": str(raw)}, "p", 20, SHARES)
    manifest = prepare(*given, tmp_path / "out", aspect="padded")
    assert manifest.options["aspect"] == "padded"
    assert any(
        "left out of losses and scores (`aspect: padded`)" in note for note in manifest.notes
    )
    opened = open_split(tmp_path / "out", "train", purpose="training", left_out=True)
    for levels in opened.masks:
        assert (levels[10:] == LEFT_OUT).all()
        np.testing.assert_array_equal(levels[:10], np.tile(np.arange(20) < 10, (10, 1)))
    with pytest.raises(UserError, match="both `aspect: padded` and `tile`"):
        prepare(*given, tmp_path / "out", aspect="padded", tile=16)


def test_squares_are_not_padded(tmp_path: Path) -> None:
    raw = folder_of_pictures(tmp_path / "raw", size=(24, 24))
    given = ("folder", {"root": str(raw)}, "p", 12, SHARES)
    padded = prepare(*given, tmp_path / "one", aspect="padded")
    assert padded.digest == prepare(*given, tmp_path / "two").digest
