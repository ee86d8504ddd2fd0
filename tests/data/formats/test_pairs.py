"""Pairs found by regular expressions: the layouts of published archives, and what does not fit."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from noise2mask import plugins
from noise2mask.data import catalogue
from noise2mask.data.formats.pairing import filled
from noise2mask.data.formats.pairs import load, sources
from noise2mask.data.source import Source
from noise2mask.errors import UserError

SIZE = (20, 24)  # height, width


def picture(shape: tuple[int, ...] = (*SIZE, 3)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def rows(first: int, last: int, high: int = 255) -> np.ndarray:
    """A mask with the rows from `first` to before `last` as foreground."""
    mask = np.zeros(SIZE, np.uint8)
    mask[first:last] = high
    return mask


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, pixels)
    else:
        Image.fromarray(pixels).save(path)


def dataset(root: Path, files: dict[str, np.ndarray]) -> Path:
    for name, pixels in files.items():
        save(root / name, pixels)
    return root


def listed(root: Path, **options: Any) -> list[Source]:
    """Sources, with options checked as those of a study are."""
    checked = plugins.options("format", "pairs")(root=str(root), **options)
    return sources(**checked.model_dump())


def of_table(name: str, root: Path) -> list[Source]:
    entry = catalogue.entry(name)
    assert entry.kind == "pairs"
    return listed(root, **entry.options)


def found(several: list[Source]) -> list[tuple[str, str, str | None]]:
    return [(source.id, source.group, source.split) for source in several]


def sentence_of(root: Path, **options: Any) -> str:
    options = {"images": r"^images/(?P<id>\w+)\.png$", "masks": r"^masks/(?P<id>\w+)\.", **options}
    with pytest.raises(UserError) as caught:
        [load(source) for source in listed(root, **options)]
    return str(caught.value)


# Published layouts ----------------------------------------------------------------------------


def test_isic2016(tmp_path: Path) -> None:
    part = "files/ISBI2016_ISIC_Part1_{0}/ISBI2016_ISIC_Part1_{0}/{1}"
    files = {}
    for split, id in (("Training", "ISIC_0000000"), ("Test", "ISIC_0000003")):
        files[part.format(f"{split}_Data", f"{id}.jpg")] = picture()
        files[part.format(f"{split}_GroundTruth", f"{id}_Segmentation.png")] = rows(0, 5)
    several = of_table("isic2016", dataset(tmp_path, files))
    assert found(several) == [
        ("ISIC_0000000", "ISIC_0000000", "train"),
        ("ISIC_0000003", "ISIC_0000003", "test"),
    ]
    image, mask = load(pickle.loads(pickle.dumps(several[0])))
    assert (image.shape, image.dtype) == ((*SIZE, 3), np.uint8)
    np.testing.assert_array_equal(mask, rows(0, 5) > 0)


def test_archives_without_an_inner_folder(tmp_path: Path) -> None:
    files = {
        "files/ISBI2016_ISIC_Part1_Training_Data/ISIC_1.jpg": picture(),
        "files/ISBI2016_ISIC_Part1_Training_GroundTruth/ISIC_1_Segmentation.png": rows(0, 5),
    }
    assert found(of_table("isic2016", dataset(tmp_path, files))) == [("ISIC_1", "ISIC_1", "train")]


def test_isic2018_validation(tmp_path: Path) -> None:
    part = "files/ISIC2018_{0}/ISIC2018_{0}/{1}"
    files = {
        part.format("Task1-2_Validation_Input", "ISIC_0012255.jpg"): picture(),
        part.format("Task1_Validation_GroundTruth", "ISIC_0012255_segmentation.png"): rows(0, 5),
    }
    assert found(of_table("isic2018", dataset(tmp_path, files)))[0][2] == "val"


def test_kvasir_masks_are_jpeg(tmp_path: Path) -> None:
    mask = np.repeat(rows(3, 11)[..., None], 3, axis=2)
    files = {
        "files/kvasir-seg/Kvasir-SEG/images/cju0.jpg": picture(),
        "files/kvasir-seg/Kvasir-SEG/images/._cju0.jpg": picture(),
        "files/kvasir-seg/Kvasir-SEG/masks/cju0.jpg": mask,
    }
    (source,) = of_table("kvasir_seg", dataset(tmp_path, files))
    np.testing.assert_array_equal(load(source)[1], rows(3, 11) > 0)


def test_busi_has_several_masks_and_images_without_lesion(tmp_path: Path) -> None:
    part = "files/Dataset_BUSI/Dataset_BUSI_with_GT/"
    files = {
        f"{part}benign/benign (4).png": picture(),
        f"{part}benign/benign (4)_mask.png": rows(0, 2),
        f"{part}benign/benign (4)_mask_1.png": rows(8, 9),
        f"{part}malignant/malignant (4).png": picture(SIZE),
        f"{part}malignant/malignant (4)_mask.png": rows(1, 3) > 0,
        f"{part}normal/normal (4).png": picture(),
        f"{part}normal/normal (4)_mask.png": rows(0, 0),
    }
    several = of_table("busi", dataset(tmp_path, files))
    assert [source.id for source in several] == ["benign (4)", "malignant (4)"]
    assert [load(source)[1].sum() for source in several] == [3 * SIZE[1], 2 * SIZE[1]]


def ellipse(left: int, width: int = 300) -> np.ndarray:
    """A fetal head as HC18 draws it: a line of one pixel."""
    canvas = Image.new("L", (width, 200))
    ImageDraw.Draw(canvas).ellipse((left, 40, left + 160, 150), outline=255)
    return np.asarray(canvas)


def test_hc18_outlines_are_filled(tmp_path: Path) -> None:
    part = "files/training_set/training_set/"
    files = {}
    for name in ("010_HC", "010_2HC", "011_HC"):
        files[f"{part}{name}.png"] = picture((200, 300))
        files[f"{part}{name}_Annotation.png"] = ellipse(60)
    several = of_table("hc18", dataset(tmp_path, files))
    assert found(several) == [
        ("010_2HC", "010", None), ("010_HC", "010", None), ("011_HC", "011", None),
    ]  # fmt: skip
    image, mask = load(several[0])
    assert image.shape == (200, 300, 1)
    assert mask.sum() == pytest.approx(np.pi * 80 * 55, rel=0.02)


def test_an_outline_cut_off_by_the_border_is_closed() -> None:
    whole = filled(ellipse(60) > 0)
    cut = filled(ellipse(60, width=180) > 0)
    assert np.mean(cut != whole[:, :180]) < 0.003


def test_two_outlines_one_inside_the_other() -> None:
    canvas = Image.new("L", (60, 60))
    drawing = ImageDraw.Draw(canvas)
    drawing.ellipse((5, 5, 50, 50), outline=255)
    drawing.ellipse((20, 20, 30, 30), outline=255)
    assert filled(np.asarray(canvas) > 0)[25, 25]


def test_dca1_is_pgm(tmp_path: Path) -> None:
    part = "files/DB_Angiograms_134/Database_134_Angiograms/"
    files = {f"{part}7.pgm": picture(SIZE), f"{part}7_gt.pgm": rows(0, 4)}
    (source,) = of_table("dca1", dataset(tmp_path, files))
    assert load(source)[1].sum() == 4 * SIZE[1]


def test_montgomery_has_a_mask_for_each_lung(tmp_path: Path) -> None:
    part = "files/NLM-MontgomeryCXRSet/MontgomerySet/"
    files = {
        f"{part}CXR_png/MCUCXR_0001_0.png": picture(SIZE),
        f"{part}ManualMask/leftMask/MCUCXR_0001_0.png": rows(0, 4),
        f"{part}ManualMask/rightMask/MCUCXR_0001_0.png": rows(10, 12),
    }
    (source,) = of_table("montgomery", dataset(tmp_path, files))
    assert load(source)[1].sum() == 6 * SIZE[1]


def test_tnbc_groups_are_patients(tmp_path: Path) -> None:
    part = "files/TNBC_NucleiSegmentation/TNBC_NucleiSegmentation/"
    files = {
        f"{part}Slide_01/01_1.png": picture((*SIZE, 4)),
        f"{part}GT_01/01_1.png": rows(0, 4),
        "files/TNBC_NucleiSegmentation/__MACOSX/Slide_01/01_1.png": picture(),
    }
    assert found(of_table("tnbc", dataset(tmp_path, files))) == [("01_1", "01", None)]


def test_janowczyk_epithelium(tmp_path: Path) -> None:
    files = {
        "files/epi/8914_00016.tif": picture(),
        "files/epi/masks/8914_00016_mask.png": rows(0, 4),
    }
    assert found(of_table("janowczyk_epithelium", dataset(tmp_path, files))) == [
        ("8914_00016", "8914", None)
    ]


def test_ihc_tma_masks_are_arrays(tmp_path: Path) -> None:
    planes = np.stack([rows(0, 2, 1), rows(1, 4, 1), rows(0, 20, 1)])
    files = {
        "files/IHC_TMA_dataset/IHC_TMA_dataset/images/fold2_5.png": picture(),
        "files/IHC_TMA_dataset/IHC_TMA_dataset/masks/fold2_5.npy": planes,
    }
    several = of_table("ihc_tma", dataset(tmp_path, files))
    assert found(several) == [("fold2_5", "fold2_5", "val")]
    assert load(several[0])[1].sum() == 4 * SIZE[1]


def test_dsb2018_has_a_mask_for_each_nucleus(tmp_path: Path) -> None:
    id, one, two = "0a" * 32, "1b" * 32, "2c" * 32
    files = {
        f"files/stage1_train/{id}/images/{id}.png": picture((*SIZE, 4)),
        f"files/stage1_train/{id}/masks/{one}.png": rows(0, 2),
        f"files/stage1_train/{id}/masks/{two}.png": rows(6, 7),
    }
    (source,) = of_table("dsb2018", dataset(tmp_path, files))
    assert source.id == id
    assert load(source)[1].sum() == 3 * SIZE[1]


def test_stardist_masks_number_their_nuclei(tmp_path: Path) -> None:
    numbers = rows(0, 4).astype(np.uint16) * 3
    numbers[8:10] = 1
    part = "files/dsb2018/dsb2018/test/{}/a1.tif"
    files = {part.format("images"): picture(SIZE), part.format("masks"): numbers}
    several = of_table("dsb2018_stardist", dataset(tmp_path, files))
    assert found(several) == [("a1", "a1", "test")]
    assert load(several[0])[1].sum() == 6 * SIZE[1]


def test_vnc_em_splits_are_stretches_of_the_stack(tmp_path: Path) -> None:
    part = "files/groundtruth-drosophila-vnc/groundtruth-drosophila-vnc-4a5f/stack1/"
    files = {f"{part}raw/{n:02d}.tif": picture(SIZE) for n in range(20)}
    files |= {f"{part}membranes/{n:02d}.png": rows(0, 4) for n in range(20)}
    files |= {f"{part}mitochondria/{n:02d}.png": rows(0, 9) for n in range(20)}
    several = of_table("vnc_em", dataset(tmp_path, files))
    assert [source.split for source in several] == ["train"] * 14 + ["val"] * 2 + ["test"] * 4
    assert load(several[0])[1].sum() == 4 * SIZE[1]


def test_axondeepseg(tmp_path: Path) -> None:
    labels = rows(0, 3, 128)
    labels[5], labels[7] = 255, 3
    part = "files/TEM_dataset/TEM_dataset/s1_0/"
    files = {f"{part}image.png": picture(SIZE), f"{part}mask.png": labels}
    (source,) = of_table("axondeepseg_tem", dataset(tmp_path, files))
    assert (source.id, load(source)[1].sum()) == ("s1_0", 4 * SIZE[1])


# What images lack ------------------------------------------------------------------------------


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Images a, b and c with masks."""
    for id in "abc":
        save(tmp_path / f"images/{id}.png", picture())
        save(tmp_path / f"masks/{id}.png", rows(0, 5))
    return tmp_path


def test_images_without_mask(three: Path) -> None:
    (three / "masks" / "b.png").unlink()
    (three / "masks" / "c.png").unlink()
    assert sentence_of(three) == (
        f"2 images (b, c) have no mask below {three}; correct the patterns `images` and `masks`, "
        "complete the data, or set `missing_mask` to skip or empty."
    )
    options = {"images": r"images/(?P<id>\w)", "masks": r"masks/(?P<id>\w)"}
    assert [s.id for s in listed(three, **options, missing_mask="skip")] == ["a"]
    several = listed(three, **options, missing_mask="empty")
    assert [load(source)[1].sum() for source in several] == [120, 0, 0]


def test_masks_without_image(three: Path) -> None:
    (three / "images" / "b.png").unlink()
    assert sentence_of(three, missing_mask="skip") == (
        f"1 mask (b) has no image below {three}; correct the patterns `images` and `masks`, or "
        "complete the data."
    )


def test_several_masks_without_union(three: Path) -> None:
    save(three / "masks/b.jpg", rows(0, 5))
    assert sentence_of(three) == (
        f"1 image (b) has several masks below {three}; set `several` to union (parts of one mask) "
        "or, of annotators, to majority, staple, soft or the number of one of them."
    )
    assert "leave out `union`" in sentence_of(three, union=True, several="soft")
    assert "`several` is 2, but 2 images" in sentence_of(three, several=2)


def test_two_images_of_one_id(three: Path) -> None:
    save(three / "more/images/b.png", picture())
    told = sentence_of(three, images=r"images/(?P<id>\w)\.png$")
    assert told == (
        f"{three}/images/b.png and {three}/more/images/b.png have the same id 'b'; remove or "
        "rename one of them."
    )


def test_a_pattern_that_finds_nothing(three: Path) -> None:
    assert sentence_of(three, masks=r"mask/(?P<id>\w)\.png$") == (
        f"no file below {three} matches masks 'mask/(?P<id>\\\\w)\\\\.png$'; 3 other files "
        "(masks/a.png, masks/b.png, masks/c.png) have another name; correct the pattern or put "
        "the data there."
    )


def test_an_empty_folder(tmp_path: Path) -> None:
    assert sentence_of(tmp_path) == (
        f"no file below {tmp_path} matches images '^images/(?P<id>\\\\w+)\\\\.png$'; it is empty; "
        "correct the pattern or put the data there."
    )


def test_a_missing_folder(tmp_path: Path) -> None:
    assert sentence_of(tmp_path / "x") == (
        f"the folder {tmp_path / 'x'} does not exist; correct `root`, or put the data there."
    )


@pytest.mark.parametrize(
    ("option", "pattern", "sentence"),
    [
        ("images", "(?P<id>a", "images '(?P<id>a' is not a regular expression (missing ), "
         "unterminated subpattern at position 0); correct it."),
        ("masks", r"(\w)\.png", r"masks '(\\w)\\.png' has no group named id; write the part of the "
         "path that image and mask have in common as (?P<id>...)."),
    ],
)  # fmt: skip
def test_patterns_that_are_wrong(three: Path, option: str, pattern: str, sentence: str) -> None:
    assert sentence_of(three, **{option: pattern}) == sentence


# Splits ---------------------------------------------------------------------------------------


def with_splits(root: Path, **options: Any) -> str | list[tuple[str, str, str | None]]:
    for split, id in (("tr", "a"), ("te", "b")):
        save(root / f"{split}/images/{id}.png", picture())
        save(root / f"{split}/masks/{id}.png", rows(0, 5))
    options = {
        "images": r"(?P<split>\w+)/images/(?P<id>\w)", "masks": r"masks/(?P<id>\w)", **options
    }  # fmt: skip
    try:
        return found(listed(root, **options))
    except UserError as error:
        return str(error)


def test_splits_are_renamed(tmp_path: Path) -> None:
    assert with_splits(tmp_path, split_of={"tr": "train", "te": "test"}) == [
        ("a", "a", "train"), ("b", "b", "test"),
    ]  # fmt: skip


def test_a_split_that_is_not_named(tmp_path: Path) -> None:
    assert with_splits(tmp_path, split_of={"tr": "train"}) == (
        "the path (set `split_of`) gives the case 'b' the split 'te', but `split_of` knows tr; add "
        "it there."
    )


def test_splits_of_other_names(tmp_path: Path) -> None:
    assert with_splits(tmp_path) == (
        "the path (set `split_of`) gives the case 'b' the split 'te'; the splits are train, val, "
        "test."
    )


# Masks ----------------------------------------------------------------------------------------


def test_more_than_two_values(three: Path) -> None:
    mask = rows(0, 5)
    mask[9] = 100
    save(three / "masks/b.png", mask)
    assert sentence_of(three) == (
        f"the mask {three}/masks/b.png holds 3 different values (0, 100, 255), but only two have a "
        "clear meaning; set `foreground` to the values that are foreground, e.g. [255], or, if it "
        "was saved with loss as JPEG is, `threshold`, e.g. 127."
    )
    options = {"images": r"images/(?P<id>\w)", "masks": r"masks/(?P<id>\w)"}
    assert load(listed(three, **options, foreground=[100])[1])[1].sum() == SIZE[1]


def test_both_rules(three: Path) -> None:
    assert sentence_of(three, foreground=[1], threshold=3) == (
        f"both foreground [1] and threshold 3 are given for {three}; give only one of them."
    )


def test_colours_are_no_masks_even_with_a_threshold(three: Path) -> None:
    save(three / "masks/b.png", picture())
    for options in ({}, {"threshold": 127}):
        assert sentence_of(three, **options) == (
            f"the mask {three}/masks/b.png is a colour picture, but a mask has one value per "
            "pixel; save it as a grey image."
        )


def test_a_slight_colour_of_lossy_masks_is_passed_over(three: Path) -> None:
    mask = np.repeat(rows(0, 5)[..., None], 3, axis=2)
    mask[0, 0] = (250, 240, 255)
    save(three / "masks/b.png", mask)
    assert sentence_of(three).endswith(
        "or set `threshold`, e.g. 127, if it is grey but for loss in saving."
    )
    options = {"images": r"images/(?P<id>\w)", "masks": r"masks/(?P<id>\w)"}
    assert load(listed(three, **options, threshold=127)[1])[1].sum() == 5 * SIZE[1]


def test_sizes_that_differ(three: Path) -> None:
    save(three / "masks/b.png", rows(0, 5)[:, :9])
    assert sentence_of(three) == (
        f"{three}/images/b.png has 24 x 20 pixels, but its mask {three}/masks/b.png has 9 x 20; "
        "image and mask must have the same size."
    )


@pytest.mark.parametrize("role", ["images", "masks"])
def test_damaged_files(three: Path, role: str) -> None:
    path = three / role / "b.png"
    path.write_bytes(path.read_bytes()[:45])
    told = sentence_of(three)
    assert told.startswith(f"{path} could not be read, it is damaged or not what its suffix says (")
    assert told.endswith("); restore or remove the file.")


# Array masks ----------------------------------------------------------------------------------


def of_array(root: Path, array: np.ndarray | bytes, **options: Any) -> Source:
    save(root / "images/a.png", picture())
    (root / "masks").mkdir(exist_ok=True)
    if isinstance(array, bytes):
        (root / "masks/a.npy").write_bytes(array)
    else:
        np.save(root / "masks/a.npy", array)
    options = {"mask_planes": [0, 1], **options}
    patterns = {"images": r"images/(?P<id>\w)", "masks": r"masks/(?P<id>\w)"}
    return listed(root, **patterns, **options)[0]


def test_planes_with_a_rule(tmp_path: Path) -> None:
    planes = np.stack([rows(0, 2, 1), rows(5, 6, 2)])
    assert load(of_array(tmp_path, planes, foreground=[2]))[1].sum() == SIZE[1]
    assert load(of_array(tmp_path, planes.astype(float), threshold=1))[1].sum() == SIZE[1]


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (rows(0, 2), "the mask {path} holds (20, 24), but masks with planes are arrays of numbers "
         "(planes, height, width); leave out `mask_planes` or restore the file."),
        (rows(0, 2)[None], "the mask {path} has the planes 0 to 0, but `mask_planes` is [0, 1]; "
         "correct it."),
        (np.zeros((2, 5, 24)), "{image} has 24 x 20 pixels, but its mask {path} has 24 x 5; image "
         "and mask must have the same size."),
        (np.array([[[None] * 3]]), "{path} could not be read, it is damaged or not what its suffix "
         "says (Object arrays cannot be loaded when allow_pickle=False); restore or remove the "
         "file."),
        (pickle.dumps([1]), "{path} could not be read, it is damaged or not what its suffix says "
         "("),
        (b"", "{path} could not be read, it is damaged or not what its suffix says ("),
    ],
)  # fmt: skip
def test_arrays_that_are_no_masks(tmp_path: Path, array: np.ndarray | bytes, sentence: str) -> None:
    source = of_array(tmp_path, array)
    with pytest.raises(UserError) as caught:
        load(source)
    image, path = tmp_path / "images/a.png", tmp_path / "masks/a.npy"
    assert str(caught.value).startswith(sentence.format(image=image, path=path))


# Cases of one name ----------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["", "(?P<split>train|test)/"])
def test_cases_of_one_name_take_the_part_of_the_path_that_differs(
    tmp_path: Path, split: str
) -> None:
    files = {}
    for first, part in enumerate(("train", "test")):
        files[f"{part}/images/1.png"] = picture()
        files[f"{part}/masks/1.png"] = rows(first, first + 1)
    root = dataset(tmp_path, files)
    several = listed(root, images=split + r"images/(?P<id>\d)\.png", masks=r"masks/(?P<id>\d)\.png")
    parts = ("test", "train") if split else (None, None)
    assert found(several) == [
        ("test_1", "test_1", parts[0]), ("train_1", "train_1", parts[1]),
    ]  # fmt: skip
    assert [load(source)[1].argmax(axis=0)[0] for source in several] == [1, 0]


def test_masks_that_fit_none_of_several_images(tmp_path: Path) -> None:
    files = {f"{part}/images/1.png": picture() for part in ("train", "test")}
    root = dataset(tmp_path, {**files, "masks/1.png": rows(0, 5)})
    assert sentence_of(root, images=r"images/(?P<id>\d)\.png", masks=r"masks/(?P<id>\d)\.png") == (
        f"the mask {root / 'masks' / '1.png'} fits none of the 2 images of the id '1' (as "
        f"{root / 'test' / 'images' / '1.png'}), whose paths differ; give both patterns a group "
        "named split, or rename the files."
    )


def test_what_is_not_used_is_named(tmp_path: Path) -> None:
    files = {"images/a.png": picture(), "images/b.png": picture(), "masks/a.png": rows(0, 5)}
    root = dataset(tmp_path, {**files, "other/c.png": picture()})
    several = listed(
        root,
        images=r"^images/(?P<id>\w)\.png",
        masks=r"^masks/(?P<id>\w)\.png",
        missing_mask="skip",
    )
    assert several.unused == {
        "matching neither `images` nor `masks`": ("other/c.png",),
        "images without a mask (`missing_mask: skip`)": ("images/b.png",),
    }
