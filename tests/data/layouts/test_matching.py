"""Families of files and which of them belong together, by names alone."""

import pytest

from noise2mask.data.layouts.families import tree_of
from noise2mask.data.layouts.matching import matches_among
from noise2mask.errors import UserError


def laid(root, *places):
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(b"")
    return tree_of(root)


def labels(tree):
    return [family.label for family in tree.families]


def test_names_of_families(tmp_path):
    tree = laid(
        tmp_path, "train/images/a_1.png", "train/images/b_2.png", "test/images/c.jpg",
        "train/masks/a_1_mask.png", "train/masks/b_2_mask.png", "test/masks/c_mask.png",
        "notes.txt",
    )  # fmt: skip
    assert labels(tree) == ["<split>/images/*.(jpg|png)", "<split>/masks/*_mask.png"]
    assert [family.role for family in tree.families] == ["image", "mask"]
    assert tree.others == {".txt": ("notes.txt",)}
    assert tree.suffixes() == "5 .png, 1 .jpg, 1 .txt"


def test_an_unknown_ending_is_found_by_the_names_that_lack_it(tmp_path):
    tree = laid(tmp_path, *(f"x{n}{end}.png" for n in range(3) for end in ("", "_tumour")))
    assert labels(tree) == ["*_tumour.png", "*.png"]


def test_numbers_are_cases_in_one_folder_and_masks_in_many(tmp_path):
    one = laid(tmp_path / "one", *(f"gt/GT_{n:03d}.png" for n in range(4)))
    assert [member.stem.core for member in one.families[0].members] == ["000", "001", "002", "003"]
    many = laid(tmp_path / "many", *(f"p{c}/mask_{n}.png" for c in range(4) for n in range(c + 1)))
    assert {member.stem.core for member in many.families[0].members} == {""}


def test_masks_that_every_case_has_are_families_of_their_own(tmp_path):
    tree = laid(tmp_path, *(f"p{c}/seg{n}.png" for c in range(3) for n in (1, 2)))
    assert labels(tree) == ["*/seg1.png", "*/seg2.png"]


@pytest.mark.parametrize(
    ("places", "way", "pairs"),
    [
        (["images/a.png", "masks/a.png"], "folders and name", 1),
        (["CXR/a.png", "Mask/left/a.png"], "name", 1),
        (["p1/image.png", "p1/mask.png", "p2/image.png", "p2/mask.png"], "folder", 2),
        (["imagesTr/a_0000.png", "labelsTr/a.png"], "name without the number of a channel", 1),
        (["images/scan7.png", "masks/truth_case007.png"], "numbers in the name", 1),
    ],
)
def test_ways_to_compare_names(tmp_path, places, way, pairs):
    tree = laid(tmp_path, *places)
    (found,) = matches_among(tree.families)
    assert found.way.told == way
    assert len(found.masks_of) == pairs


def test_modalities_are_told_apart_by_their_last_word(tmp_path):
    ends = ("t1", "flair", "seg")
    tree = laid(tmp_path, *(f"B_{n}/B_{n}_{end}.png" for n in range(4) for end in ends))
    found = matches_among(tree.families)
    assert sorted(each.images.tail for each in found) == ["_flair", "_t1"]


def test_what_does_not_belong_together(tmp_path):
    tree = laid(tmp_path, "images/a.png", "images/b.png", "masks/x.png", "masks/y.png")
    assert matches_among(tree.families) == []


def test_folders_that_are_none(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        tree_of(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file, not a folder"):
        tree_of(tmp_path / "file")
    (tmp_path / "empty/inside").mkdir(parents=True)
    with pytest.raises(UserError, match="is empty but for hidden files and empty folders"):
        tree_of(tmp_path / "empty")
