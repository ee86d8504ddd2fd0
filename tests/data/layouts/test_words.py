"""What names say: roles, splits, and the parts of a file's name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noise2mask.data.layouts.words import role_of, split_in, stem_parts


@pytest.mark.parametrize(
    ("stem", "parts"),
    [
        ("benign (1)_mask_1", ("", "benign (1)", "_mask", "_1", "mask")),
        ("ISIC_0000000_segmentation", ("", "ISIC_0000000", "_segmentation", "", "mask")),
        ("21_manual1", ("", "21", "_manual", "1", "mask")),
        ("Image_01L_1stHO", ("Image_", "01L", "_1stHO", "", "mask")),
        ("aachen_000000_leftImg8bit", ("", "aachen_000000", "_leftImg8bit", "", "image")),
        ("aachen_000000_gtFine_color", ("", "aachen_000000", "_gtFine_color", "", "mask")),
        ("patient001_frame01_gt", ("", "patient001_frame01", "_gt", "", "mask")),
        ("a-label", ("", "a", "-label", "", "mask")),
        ("img001", ("img", "001", "", "", "image")),
        ("seg01", ("", "", "seg", "01", "mask")),
        ("image", ("", "", "image", "", "image")),
        ("slice_3000", ("", "slice_3000", "", "", "")),
    ],
)
def test_parts_of_a_name(stem, parts):
    assert tuple(stem_parts(stem)) == parts


@given(st.text(alphabet="abgmst01_-. ()", max_size=12) | st.text(max_size=8))
def test_the_parts_are_the_name(stem):
    parts = stem_parts(stem)
    whole = parts.head + parts.core + parts.tail + parts.number
    assert whole == stem


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("labelsTr", "mask"), ("leftMask", "mask"), ("GroundTruth", "mask"), ("gtFine", "mask"),
        ("image_masks", "mask"), ("imagesTs", "image"), ("leftImg8bit", "image"), ("CXR_png", ""),
        ("segment_12", ""),
    ],
)  # fmt: skip
def test_roles(name, role):
    assert role_of(name) == role


@pytest.mark.parametrize(
    ("name", "pattern", "word"),
    [
        ("train", "<split>", "train"),
        ("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1-2_<split>_Input", "Training"),
        ("train_masks", "<split>_masks", "train"),
        ("imagesTs", "images<split>", "Ts"),
        ("train_test", "train_test", ""),
        ("dev_a", "dev_a", ""),
    ],
)
def test_splits_in_names_of_folders(name, pattern, word):
    assert split_in(name) == (pattern, word)
