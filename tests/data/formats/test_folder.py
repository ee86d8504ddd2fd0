"""A folder of images and masks: what is read, and what is said when it cannot be."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from noise2mask.data.formats import folder, image_files
from noise2mask.data.formats.folder import load, sources
from noise2mask.errors import UserError

SUFFIXES = ", ".join(image_files.SUFFIXES)
SIZE = (12, 10)  # height, width


def picture(seed: int = 0, shape: tuple[int, ...] = (*SIZE, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def half_mask(high: int = 255, low: int = 0) -> np.ndarray:
    mask = np.full(SIZE, low, np.uint8)
    mask[:5] = high
    return mask


def save(path: Path, pixels: np.ndarray | Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path)


def dataset(root: Path, ids: Sequence[str] = "abc") -> Path:
    for seed, id in enumerate(ids):
        save(root / "images" / f"{id}.png", picture(seed))
        save(root / "masks" / f"{id}.png", half_mask())
    return root


def only(root: Path, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    (source,) = sources(root=str(root), **options)
    return load(source)


def sentence_of(root: Path, **options: Any) -> str:
    """What is said when the dataset is listed and loaded."""
    with pytest.raises(UserError) as caught:
        [load(source) for source in sources(root=str(root), **options)]
    return str(caught.value)


def test_pairs(tmp_path: Path) -> None:
    several = sources(root=str(dataset(tmp_path, "bca")))
    assert [source.id for source in several] == ["a", "b", "c"]
    assert [source.group for source in several] == ["a", "b", "c"]
    assert {source.split for source in several} == {None}
    image, mask = load(pickle.loads(pickle.dumps(several[2])))
    np.testing.assert_array_equal(image, picture(1))
    np.testing.assert_array_equal(mask, half_mask() > 0)
    assert mask.dtype == bool


def test_other_folders_and_a_suffix(tmp_path: Path) -> None:
    save(tmp_path / "x" / "p1.png", picture())
    save(tmp_path / "y" / "p1_segmentation.tif", half_mask())
    _, mask = only(tmp_path, images="x", masks="y", mask_suffix="_segmentation")
    assert mask.sum() == 50


def test_images_and_masks_in_one_folder(tmp_path: Path) -> None:
    save(tmp_path / "p1.png", picture())
    save(tmp_path / "p1_mask.png", half_mask())
    image, mask = only(tmp_path, images=".", masks=".", mask_suffix="_mask")
    assert image.shape == (12, 10, 3)
    assert mask.sum() == 50


def test_hidden_and_other_files_are_not_cases(tmp_path: Path) -> None:
    dataset(tmp_path, "a")
    (tmp_path / "images" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "images" / ".b.png").write_bytes(b"x")
    (tmp_path / "masks" / "readme.txt").write_text("x")
    assert len(sources(root=str(tmp_path))) == 1


# Formats --------------------------------------------------------------------------------------


def one(root: Path, image: np.ndarray | Image.Image, name: str = "a.png") -> np.ndarray:
    """What an image reads as."""
    save(root / "images" / name, image)
    save(root / "masks" / "a.png", half_mask())
    read = only(root)[0]
    assert read.dtype == np.uint8
    return read


@pytest.mark.parametrize("suffix", ["png", "PNG", "tif", "tiff"])
@pytest.mark.parametrize("shape", [SIZE, (*SIZE, 3)])
def test_lossless_formats(tmp_path: Path, suffix: str, shape: tuple[int, ...]) -> None:
    pixels = picture(shape=shape)
    np.testing.assert_array_equal(one(tmp_path, pixels, f"a.{suffix}"), pixels.reshape(*SIZE, -1))


def test_jpeg(tmp_path: Path) -> None:
    smooth = np.linspace(0, 200, 120).reshape(*SIZE, 1).repeat(3, axis=2).astype(np.uint8)
    read = one(tmp_path, smooth, "a.jpg")
    assert np.abs(read.astype(int) - smooth).max() < 12


def test_alpha_is_dropped_without_blending(tmp_path: Path) -> None:
    pixels = picture(shape=(*SIZE, 4))
    np.testing.assert_array_equal(one(tmp_path, pixels), pixels[..., :3])


def test_grey_with_alpha_stays_grey(tmp_path: Path) -> None:
    pixels = picture(shape=(*SIZE, 2))
    read = one(tmp_path, Image.fromarray(pixels, mode="LA"))
    np.testing.assert_array_equal(read, pixels[..., :1])


def test_palette_becomes_colour(tmp_path: Path) -> None:
    colours = Image.fromarray(picture()).quantize(16)
    np.testing.assert_array_equal(one(tmp_path, colours), np.asarray(colours.convert("RGB")))


def test_sixteen_bits_are_stretched_to_the_range_of_the_image(tmp_path: Path) -> None:
    pixels = np.full(SIZE, 1000, np.uint16)
    pixels[0, 0], pixels[0, 1] = 1400, 1200
    read = one(tmp_path, pixels)
    assert read.shape == (*SIZE, 1)
    assert [read[5, 5, 0], read[0, 1, 0], read[0, 0, 0]] == [0, 128, 255]


@pytest.mark.filterwarnings("error")
def test_sixteen_bit_image_of_one_value_is_black(tmp_path: Path) -> None:
    assert (one(tmp_path, np.full(SIZE, 700, np.uint16), "a.tif") == 0).all()


def test_sixteen_bit_colour_keeps_its_upper_bits(tmp_path: Path) -> None:
    pixels = picture().astype(np.uint16) * 256 + 7
    save(tmp_path / "masks" / "a.png", half_mask())
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images" / "a.tif", pixels, photometric="rgb")
    np.testing.assert_array_equal(only(tmp_path)[0], picture())


def test_floating_point_images_are_stretched(tmp_path: Path) -> None:
    pixels = np.linspace(-3, 5, 120, dtype=np.float32).reshape(SIZE)
    read = one(tmp_path, pixels, "a.tif")
    assert (read.min(), read.max()) == (0, 255)


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    pixels = np.zeros(SIZE, np.float32)
    pixels[0, 0] = np.nan
    save(tmp_path / "images" / "a.tif", pixels)
    save(tmp_path / "masks" / "a.png", half_mask())
    assert sentence_of(tmp_path) == (
        f"{tmp_path / 'images' / 'a.tif'} holds values that are not numbers (NaN or infinite); "
        "replace them or remove the file."
    )


def nifti(path: Path, voxels: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 1), (8, 1, 6), (8, 6, 1, 1)])
def test_nifti_slices(tmp_path: Path, suffix: str, shape: tuple[int, ...]) -> None:
    voxels = np.arange(48, dtype=np.int16).reshape(shape)
    nifti(tmp_path / "images" / f"a{suffix}", voxels, np.eye(4))
    nifti(tmp_path / "masks" / f"a{suffix}", (voxels > 40).astype(np.uint8), np.eye(4))
    image, mask = only(tmp_path)
    assert image.shape == (6, 8, 1)  # first axis from left to right, second from bottom to top
    expected = np.rint(voxels.reshape(8, 6).T[::-1] / 47 * 255)
    np.testing.assert_array_equal(image[..., 0], expected)
    np.testing.assert_array_equal(mask, voxels.reshape(8, 6).T[::-1] > 40)


def test_nifti_stored_the_other_way_round_is_turned(tmp_path: Path) -> None:
    voxels = np.arange(48, dtype=np.int16).reshape(8, 6, 1)
    mask = (voxels > 40).astype(np.uint8)
    nifti(tmp_path / "images" / "a.nii", voxels, np.eye(4))
    mirrored = np.diag([-1, 1, 1, 1])
    mirrored[0, 3] = 7  # the first voxel is the last one of the image
    nifti(tmp_path / "masks" / "a.nii", mask[::-1], mirrored)
    image, read = only(tmp_path)
    assert (image[read].min(), image[~read].max()) == (222, 217)


def test_nifti_volume(tmp_path: Path) -> None:
    nifti(tmp_path / "images" / "a.nii", np.zeros((8, 6, 5), np.int16), np.eye(4))
    save(tmp_path / "masks" / "a.png", half_mask())
    assert sentence_of(tmp_path) == (
        f"{tmp_path / 'images' / 'a.nii'} is a volume of 8 x 6 x 5 voxels, but a case is one "
        "slice; save each slice as a file of its own, or use the kind `volumes`."
    )


def test_tiff_of_several_pages(tmp_path: Path) -> None:
    dataset(tmp_path, "a")
    (tmp_path / "images" / "a.png").unlink()
    pages = [Image.fromarray(picture(seed)) for seed in range(3)]
    pages[0].save(tmp_path / "images" / "a.tif", save_all=True, append_images=pages[1:])
    assert sentence_of(tmp_path) == (
        f"{tmp_path / 'images' / 'a.tif'} holds 3 pages, but a case is one image; save the pages "
        "as separate files."
    )


# Masks ----------------------------------------------------------------------------------------


def with_mask(root: Path, mask: np.ndarray | Image.Image, name: str = "a.png") -> Path:
    save(root / "images" / "a.png", picture())
    save(root / "masks" / name, mask)
    return root / "masks" / name


@pytest.mark.parametrize(("low", "high"), [(0, 255), (0, 1), (1, 2), (7, 200)])
def test_the_higher_of_two_values_is_foreground(tmp_path: Path, low: int, high: int) -> None:
    with_mask(tmp_path, half_mask(high, low))
    assert only(tmp_path)[1].sum() == 50


def test_masks_of_one_bit_palette_or_equal_channels(tmp_path: Path) -> None:
    grey = Image.fromarray(half_mask())
    palette = Image.fromarray(half_mask(1), mode="P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    for mask in (grey.convert("1"), palette, grey.convert("RGB"), grey.convert("RGBA")):
        with_mask(tmp_path, mask)
        assert only(tmp_path)[1].sum() == 50


def test_sixteen_bit_masks_keep_their_values(tmp_path: Path) -> None:
    with_mask(tmp_path, half_mask().astype(np.uint16) * 100)
    assert only(tmp_path, foreground=(25500,))[1].sum() == 50


def test_empty_mask_is_background(tmp_path: Path) -> None:
    with_mask(tmp_path, half_mask(0))
    assert not only(tmp_path)[1].any()


def test_foreground_names_values(tmp_path: Path) -> None:
    mask = half_mask(1)
    mask[10:] = 2
    with_mask(tmp_path, mask)
    assert only(tmp_path, foreground=(1,))[1].sum() == 50
    assert only(tmp_path, foreground=(1, 2))[1].sum() == 70


def test_threshold_of_lossy_masks(tmp_path: Path) -> None:
    mask = half_mask(250, 3)
    mask[0, 0], mask[-1, -1] = 244, 8
    with_mask(tmp_path, mask)
    assert only(tmp_path, threshold=127)[1].sum() == 50


def test_more_than_two_values(tmp_path: Path) -> None:
    mask = half_mask(1)
    mask[10:] = 4
    path = with_mask(tmp_path, mask)
    assert sentence_of(tmp_path) == (
        f"the mask {path} holds 3 different values (0, 1, 4), but only two have a clear meaning; "
        "set `foreground` to the values that are foreground, e.g. [4], or, if it was saved with "
        "loss as JPEG is, `threshold`, e.g. 2."
    )


def test_jpeg_mask(tmp_path: Path) -> None:
    wavy = ((np.add.outer(np.arange(40), np.arange(40)) % 7 > 3) * 255).astype(np.uint8)
    save(tmp_path / "images" / "a.png", picture(shape=(40, 40, 3)))
    save(tmp_path / "masks" / "a.jpg", wavy)
    told = sentence_of(tmp_path)
    assert told.startswith(f"the mask {tmp_path / 'masks' / 'a.jpg'} holds ")
    assert told.endswith(
        ", ...), but only two have a clear meaning; set `foreground` to the values that are "
        "foreground, e.g. [255], or, if it was saved with loss as JPEG is, `threshold`, e.g. 127."
    )
    assert np.mean(only(tmp_path, threshold=127)[1] == (wavy > 0)) > 0.95


def test_mask_of_one_value_that_is_not_zero(tmp_path: Path) -> None:
    path = with_mask(tmp_path, half_mask(1, 1))
    assert sentence_of(tmp_path) == (
        f"the mask {path} holds the value 1 only, which may mean foreground or background; set "
        "`foreground`, e.g. [1] if it is foreground."
    )
    assert only(tmp_path, foreground=(1,))[1].all()


def test_coloured_mask(tmp_path: Path) -> None:
    path = with_mask(tmp_path, picture())
    assert sentence_of(tmp_path) == (
        f"the mask {path} is a colour picture, but a mask has one value per pixel; save it as a "
        "grey image."
    )


def test_mask_of_fractions(tmp_path: Path) -> None:
    path = with_mask(tmp_path, half_mask(1).astype(np.float32) * 0.5, "a.tif")
    assert sentence_of(tmp_path) == (
        f"the mask {path} holds values that are not whole numbers, but the values of a mask name "
        "foreground and background; save it with whole numbers."
    )


def test_foreground_and_threshold(tmp_path: Path) -> None:
    assert sentence_of(dataset(tmp_path), foreground=(1,), threshold=5) == (
        f"both foreground [1] and threshold 5 are given for {tmp_path}; give only one of them."
    )


def test_sizes_that_differ(tmp_path: Path) -> None:
    path = with_mask(tmp_path, half_mask()[:, :9])
    assert sentence_of(tmp_path) == (
        f"{tmp_path / 'images' / 'a.png'} has 10 x 12 pixels, but its mask {path} has 9 x 12; "
        "image and mask must have the same size."
    )


# Files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.nii", "a.nii.gz"])
@pytest.mark.parametrize("damage", ["empty", "cut", "other"])
@pytest.mark.parametrize("role", ["images", "masks"])
def test_damaged_files(tmp_path: Path, name: str, damage: str, role: str) -> None:
    dataset(tmp_path, "a")
    path = tmp_path / role / name
    (tmp_path / role / "a.png").unlink()
    if ".nii" in name:
        nifti(path, picture(shape=(40, 50, 1)).astype(np.int16), np.eye(4))
    else:
        save(path, picture(shape=(40, 50)))
    content = path.read_bytes()
    path.write_bytes(
        {"empty": b"", "cut": content[: len(content) // 2], "other": b"%PDF-1.4"}[damage]
    )
    told = sentence_of(tmp_path)
    assert told.startswith(f"{path} could not be read, it is damaged or not what its suffix says (")
    assert told.endswith("); restore or remove the file.")


def test_missing_masks_are_told_all_at_once(tmp_path: Path) -> None:
    dataset(tmp_path, "abcdefgh")
    for id in "bcdefg":
        (tmp_path / "masks" / f"{id}.png").unlink()
    assert sentence_of(tmp_path) == (
        f"6 images (b, c, d, e, f, ...) have no mask in {tmp_path / 'masks'} (a mask is named <id> "
        f"with one of the suffixes {SUFFIXES}); add the masks or remove the images."
    )


def test_one_missing_mask_and_a_suffix(tmp_path: Path) -> None:
    dataset(tmp_path, "a")
    (tmp_path / "masks" / "a.png").rename(tmp_path / "masks" / "a_gt.png")
    save(tmp_path / "images" / "b.png", picture())
    assert sentence_of(tmp_path, mask_suffix="_gt") == (
        f"1 image (b) has no mask in {tmp_path / 'masks'} (a mask is named <id>_gt with one of the "
        f"suffixes {SUFFIXES}); add the masks or remove the images."
    )


def test_missing_images(tmp_path: Path) -> None:
    dataset(tmp_path, "abc")
    (tmp_path / "images" / "b.png").unlink()
    assert sentence_of(tmp_path) == (
        f"1 mask (b) has no image in {tmp_path / 'images'}; add the images or remove the masks."
    )


def test_two_files_of_one_id(tmp_path: Path) -> None:
    dataset(tmp_path, "a")
    save(tmp_path / "images" / "a.jpg", picture())
    assert sentence_of(tmp_path) == (
        f"{tmp_path / 'images' / 'a.jpg'} and {tmp_path / 'images' / 'a.png'} have the same id "
        "'a'; remove or rename one of them."
    )


def test_missing_folder(tmp_path: Path) -> None:
    assert sentence_of(tmp_path / "nowhere") == (
        f"the folder {tmp_path / 'nowhere' / 'images'} does not exist; correct `root`, `images` or "
        "`masks`, or put the data there."
    )


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    assert sentence_of(tmp_path) == (
        f"the folder {tmp_path / 'images'} holds no image; the suffixes that are read are "
        f"{SUFFIXES}."
    )


def test_one_folder_without_a_suffix(tmp_path: Path) -> None:
    assert sentence_of(tmp_path, masks="images") == (
        f"images and masks are both in {tmp_path / 'images'}, so their names must differ; set "
        "`mask_suffix` or use two folders."
    )


# Splits and groups ----------------------------------------------------------------------------


def with_table(root: Path, *lines: str, ids: str = "abc") -> Path:
    dataset(root, ids)
    path = root / "splits.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_splits_from_a_table(tmp_path: Path) -> None:
    with_table(tmp_path, "patient,split,id", "p1,test,b", "p2,train,a", "p3,val,c")
    several = sources(root=str(tmp_path), splits="splits.csv")
    assert [(s.id, s.split, s.group) for s in several] == [
        ("a", "train", "p2"),
        ("b", "test", "p1"),
        ("c", "val", "p3"),
    ]


def test_table_elsewhere_without_groups(tmp_path: Path) -> None:
    path = with_table(tmp_path / "data", "id,split", "a,train", "b,train", "c,test")
    path.rename(tmp_path / "mine.csv")
    several = sources(root=str(tmp_path / "data"), splits=str(tmp_path / "mine.csv"))
    assert [(s.split, s.group) for s in several] == [("train", "a"), ("train", "b"), ("test", "c")]


@pytest.mark.parametrize(
    ("lines", "groups", "note"),
    [
        (["id,split,Patient", "a,train,P", "b,train,P", "c,test,Q"], "PPQ", None),
        (
            ["id,split,patient", "a,train,", "b,train, ", "c,test,"], "abc",
            "{path} names no patient, so each case is taken as a group of its own.",
        ),
        (
            ["id,split,patient_id", "a,train,P", "b,train,P", "c,test,P"], "abc",
            "{path} has no column group, patient or slide, so each case is taken as a group of its "
            "own; patient_id: not used, rename what names the patient or slide.",
        ),
    ],
)  # fmt: skip
def test_groups_that_a_table_leaves_open_are_told(
    tmp_path: Path, lines: list[str], groups: str, note: str | None
) -> None:
    path = with_table(tmp_path, *lines)
    listing = sources(root=str(tmp_path), splits="splits.csv")
    assert [source.group for source in listing] == list(groups)
    assert listing.notes == (() if note is None else (note.format(path=path),))


def test_a_blank_group_is_refused(tmp_path: Path) -> None:
    path = with_table(tmp_path, "id,split,patient", "a,train,P", "b,train,", "c,test, ")
    with pytest.raises(UserError) as caught:
        sources(root=str(tmp_path), splits="splits.csv")
    assert str(caught.value) == (
        f"2 cases (b, c) have no patient in {path}, so each may be a group of its own or share a "
        "patient with others; write its patient there, or its own id if it stands alone."
    )


def test_splits_and_groups_from_names(tmp_path: Path) -> None:
    for name in ("train_p1_x0", "train_p1_x1", "test_p2_x0"):
        save(tmp_path / "images" / f"{name}.png", picture())
        save(tmp_path / "masks" / f"{name}.png", half_mask())
    several = sources(root=str(tmp_path), split_pattern="^(train|test)_", group_pattern="_(p.)_")
    assert [(s.split, s.group) for s in several] == [
        ("test", "p2"), ("train", "p1"), ("train", "p1"),
    ]  # fmt: skip


TABLE_ERRORS = [
    (
        ["id,fold", "a,train"],
        "the table {path} has no column 'split' (it has id, fold); the columns id, split are "
        "needed, separated by commas, and group, patient or slide may be given.",
    ),
    (
        ["name,split", "a,train"],
        "the table {path} has no column 'id' (it has name, split); the columns id, split are "
        "needed, separated by commas, and group, patient or slide may be given.",
    ),
    (
        ["id,split", "a,train", "b,training", "c,test"],
        "{path} gives the case 'b' the split 'training'; the splits are train, val, test.",
    ),
    (
        ["id,split", "a,train", "x,train", "y,test", "b,test", "c,test"],
        "2 ids (x, y) have no image but a line in {path}; correct it.",
    ),
    (["id,split", "b,train"], "2 images (a, c) have no line in {path}; add them."),
    (
        ["id,split", "a,train", "b,train", "a,test"],
        "the table {path} names the id 'a' twice; remove a line.",
    ),
]


@pytest.mark.parametrize(("lines", "sentence"), TABLE_ERRORS)
def test_tables_that_do_not_fit(tmp_path: Path, lines: list[str], sentence: str) -> None:
    path = with_table(tmp_path, *lines)
    assert sentence_of(tmp_path, splits="splits.csv") == sentence.format(path=path)


def test_table_that_is_missing(tmp_path: Path) -> None:
    dataset(tmp_path)
    told = sentence_of(tmp_path, splits="none.csv")
    assert told.startswith(f"the table {tmp_path / 'none.csv'} could not be read ([Errno 2]")
    assert told.endswith("); it must be a CSV file with the columns id, split.")


def test_table_and_pattern(tmp_path: Path) -> None:
    with_table(tmp_path, "id,split")
    assert sentence_of(tmp_path, splits="splits.csv", split_pattern="(a)") == (
        f"both splits 'splits.csv' and split_pattern '(a)' are given for {tmp_path}; give only one "
        "of them."
    )


PATTERN_ERRORS = [
    (
        "(a",
        "group_pattern '(a' is not a regular expression (missing ), unterminated subpattern at "
        "position 0); correct it.",
    ),
    (
        "^a",
        "group_pattern '^a' has no group; put the part to use in parentheses, e.g. '^([^_]+)_'.",
    ),
    (
        "([ab])",
        "1 id (c) has no match for group_pattern '([ab])'; correct the pattern or the file names.",
    ),
]


@pytest.mark.parametrize(("pattern", "sentence"), PATTERN_ERRORS)
def test_patterns_that_do_not_fit(tmp_path: Path, pattern: str, sentence: str) -> None:
    assert sentence_of(dataset(tmp_path), group_pattern=pattern) == sentence


def test_pattern_of_unknown_splits(tmp_path: Path) -> None:
    assert sentence_of(dataset(tmp_path), split_pattern="(.)") == (
        "split_pattern '(.)' gives the case 'a' the split 'a'; the splits are train, val, test."
    )


# Folders in folders, and what is not used -----------------------------------------------------


def nested(root: Path, layout: str, parts: tuple[str, ...] = ("train", "test")) -> Path:
    """Two cases of the same names in each part."""
    for seed, part in enumerate(parts):
        for number in range(2):
            for role, pixels in (("images", picture(2 * seed + number)), ("masks", half_mask())):
                save(root / layout.format(part=part, role=role) / f"c{number}.png", pixels)
    return root


@pytest.mark.parametrize("layout", ["{role}/{part}", "{part}/{role}"])
def test_cases_of_one_name_in_several_folders(tmp_path: Path, layout: str) -> None:
    several = sources(root=str(nested(tmp_path, layout)), split_pattern="^(train|test)/")
    assert [(source.id, source.split) for source in several] == [
        ("test_c0", "test"), ("test_c1", "test"), ("train_c0", "train"), ("train_c1", "train"),
    ]  # fmt: skip
    np.testing.assert_array_equal(load(several[2])[0], picture(0))
    (note,) = sources(root=str(tmp_path)).notes
    assert note.startswith("the folders test, train are not taken for splits; if they are, set ")


def test_splits_of_other_names(tmp_path: Path) -> None:
    root = str(nested(tmp_path, "{part}/{role}", ("Training", "Test")))
    split_of = {"Training": "train", "Test": "test"}
    several = sources(root=root, split_pattern="^([^/]+)/", split_of=split_of)
    assert {source.split for source in several} == {"train", "test"}
    assert sentence_of(Path(root), split_pattern="^([^/]+)/", split_of={"Test": "test"}) == (
        "split_pattern '^([^/]+)/' gives the case 'Training_c0' the split 'Training', but "
        "`split_of` knows Test; add it there."
    )


def test_one_of_both_lies_in_folders(tmp_path: Path) -> None:
    for number, part in enumerate(("a", "b")):
        save(tmp_path / "images" / part / f"c{number}.png", picture(number))
        save(tmp_path / "masks" / f"c{number}.png", half_mask())
    assert [source.id for source in sources(root=str(tmp_path))] == ["c0", "c1"]


def test_two_places_of_one_id(tmp_path: Path) -> None:
    dataset(nested(tmp_path, "{role}/{part}", ("a", "b")), ["a_c0"])
    assert "would both be the case 'a_c0'; rename one." in sentence_of(tmp_path)


def test_images_of_nnunet(tmp_path: Path) -> None:
    for number in range(2):
        save(tmp_path / "imagesTr" / f"c{number}_0000.png", picture(number))
        save(tmp_path / "labelsTr" / f"c{number}.png", half_mask())
    folders = {"images": "imagesTr", "masks": "labelsTr"}
    assert [source.id for source in sources(root=str(tmp_path), **folders)] == ["c0", "c1"]
    save(tmp_path / "imagesTr" / "c0_0001.png", picture(7))
    assert "1 image (c0_0001) has several channels" in sentence_of(tmp_path, **folders)


def test_what_is_not_used_is_named(tmp_path: Path) -> None:
    dataset(tmp_path, "ab")
    for name in ("x.heic", "y.heic", "IM0001", ".DS_Store", "Thumbs.db"):
        (tmp_path / "images" / name).write_bytes(b"x")
    (tmp_path / "masks" / "gone.png").symlink_to("nowhere")
    assert sources(root=str(tmp_path)).unused == {
        "of a suffix that is not read (none), in images/": ("IM0001",),
        "of a suffix that is not read (.heic), in images/": ("x.heic", "y.heic"),
        "links that lead nowhere, in masks/": ("gone.png",),
    }
    save(tmp_path / "masks" / "c_gt.png", half_mask())
    for id in "ab":
        (tmp_path / "masks" / f"{id}.png").rename(tmp_path / "masks" / f"{id}_seg.png")
    unused = sources(root=str(tmp_path), mask_suffix="_seg").unused
    assert unused["masks without '_seg' at their end"] == ("c_gt.png",)


def test_names_are_compared_composed(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a\u0308.png", picture())
    save(tmp_path / "masks" / "\u00e4.png", half_mask())
    with_splits = tmp_path / "splits.csv"
    with_splits.write_text("id,split,patient\n a\u0308 , train ,P1 \n", encoding="utf-8")
    (source,) = sources(root=str(tmp_path), splits="splits.csv")
    assert (source.id, source.split, source.group) == ("\u00e4", "train", "P1")


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(dataset(tmp_path, "ab")))
    assert [source.id for source in sources(root="~")] == ["a", "b"]


# Windows --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"window": (-100.0, 100.0)}, [0, 128, 255]),
        ({"percentiles": (0.0, 100.0)}, [0, 77, 255]),
        ({}, [0, 77, 255]),
    ],
)
def test_windows(tmp_path: Path, options: dict[str, Any], expected: list[int]) -> None:
    pixels = np.full(SIZE, -1000, np.int16)
    pixels[0, 0], pixels[0, 1] = 0, 2300
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images" / "a.tif", pixels)
    save(tmp_path / "masks" / "a.png", half_mask())
    read = only(tmp_path, **options)[0]
    assert [read[5, 5, 0], read[0, 0, 0], read[0, 1, 0]] == expected


def test_windows_of_eight_bits_and_what_contradicts(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", np.full(SIZE, 60, np.uint8))
    save(tmp_path / "masks" / "a.png", half_mask())
    assert (only(tmp_path, window=(50.0, 70.0))[0] == 128).all()
    assert "both window [1, 2] and percentiles [1, 2] are given for" in sentence_of(
        tmp_path, window=(1, 2), percentiles=(1, 2)
    )
    assert "window [2, 1] for" in sentence_of(tmp_path, window=(2, 1))


def test_a_turned_image_of_another_size_than_its_mask(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "images").mkdir()
    Image.fromarray(picture()).save(tmp_path / "images" / "a.png", exif=exif)
    save(tmp_path / "masks" / "a.png", half_mask())
    assert sentence_of(tmp_path) == (
        f"{tmp_path / 'images' / 'a.png'} has 12 x 10 pixels (turned by its orientation tag 6, as "
        f"viewers show it), but its mask {tmp_path / 'masks' / 'a.png'} has 10 x 12; image and "
        "mask must have the same size."
    )


@pytest.mark.parametrize("alone", [True, False])
def test_a_full_mask_is_known_by_the_others(tmp_path: Path, alone: bool) -> None:
    """One file cannot say whether its only value is foreground; the set can."""
    dataset(tmp_path, "a" if alone else "ab")
    save(tmp_path / "masks" / "a.png", half_mask(255, 255))
    listing = sources(root=str(tmp_path))
    facts = [folder.survey(source) for source in listing]
    if alone:
        with pytest.raises(UserError, match="holds the value 255 only"):
            folder.judged(listing, facts)
    else:
        assert load(folder.judged(listing, facts)[0])[1].all()
