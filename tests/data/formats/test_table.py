"""Pairs that a CSV names: lines, columns, several masks, colours, and what is refused."""

import numpy as np
import pytest
from helpers.native_layouts import save, white
from helpers.odd_files import drawn, photographed

from noise2mask.data.formats.table import (
    colour_numbers,
    described,
    judged,
    load,
    load_known,
    sources,
    spelled,
    survey,
)
from noise2mask.data.source import LEFT_OUT
from noise2mask.errors import UserError

FILES = {"a.png": 0, "b.png": 1, "c.png": 2}


@pytest.fixture
def root(tmp_path):
    for name, number in FILES.items():
        save(tmp_path / "images" / name, photographed(number))
        save(tmp_path / "masks" / name, white(drawn(number)))
        save(tmp_path / "second" / name, white(np.roll(drawn(number), 1, axis=1)))
        coded = np.zeros((*drawn(number).shape, 3), np.uint8)
        coded[drawn(number)] = (255, 0, 128)
        coded[:, 28:] = (0, 0, 255)
        save(tmp_path / "coded" / name, coded)
    return tmp_path


def write(root, text, name="pairs.csv"):
    (root / name).write_text(text)
    return {"root": str(root), "table": name}


def lines(folder="masks", head="image,mask"):
    return head + "\n" + "".join(f"images/{name},{folder}/{name}\n" for name in FILES)


def loaded(options):
    """The image and the mask of each case, as `prepare` reads them."""
    listing = sources(**options)
    whole = judged(listing, [survey(source) for source in listing])
    return {source.id: load(source) for source in whole}


def test_pairs_are_those_of_the_lines(root):
    found = loaded(write(root, lines()))
    assert list(found) == ["a", "b", "c"]
    for name, number in FILES.items():
        image, mask = found[name[0]]
        np.testing.assert_array_equal(image, photographed(number))
        np.testing.assert_array_equal(mask, drawn(number))


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_columns_have_other_names_and_marks_between_them(root, mark):
    text = lines(head="img,seg,who,part").replace("\n", ",p1,train\n").replace(",p1,train", "", 1)
    options = write(root, text.replace(",", mark))
    named = {"image": "img", "mask": "seg", "group": "who", "split": "part"}
    listing = sources(**options, columns=named)
    assert {(source.group, source.split) for source in listing} == {("p1", "train")}


@pytest.mark.parametrize("column", ["group", "patient", "Slide"])
def test_groups_are_found_under_their_names(root, column):
    text = f"image,mask,{column}\nimages/a.png,masks/a.png,p1\nimages/b.png,masks/b.png,p1\n"
    assert [source.group for source in sources(**write(root, text))] == ["p1", "p1"]


def test_several_masks_are_united_or_voted_on(root):
    second = lines("second").partition("\n")[2]
    third = second.replace("second/", "coded/../second/")
    two = write(root, lines() + second, "two.csv")
    with pytest.raises(UserError, match=r"3 images \(a, b, c\) have several masks"):
        sources(**two)
    both = drawn(0) | np.roll(drawn(0), 1, axis=1)
    np.testing.assert_array_equal(loaded({**two, "several": "union"})["a"][1], both)
    common = drawn(0) & np.roll(drawn(0), 1, axis=1)
    np.testing.assert_array_equal(loaded({**two, "several": "majority"})["a"][1], common)
    three = write(root, lines() + second + third, "three.csv")
    voted = loaded({**three, "several": "majority"})["a"][1]
    np.testing.assert_array_equal(voted, np.roll(drawn(0), 1, axis=1))


def test_every_annotator_is_kept_and_one_mask_made_of_them(root):
    marks = [np.roll(drawn(0), shift, axis=1) for shift in (0, 0, 2)]
    for number, mark in enumerate(marks):
        save(root / f"by{number}" / "a.png", white(mark))
    text = "image,mask\n" + "".join(f"images/a.png,by{number}/a.png\n" for number in range(3))
    options = write(root, text)
    for several, expected in (("soft", marks[0]), ("staple", marks[0]), (3, marks[2])):
        listing = sources(**options, several=several)
        assert listing.notes == (
            f"images have masks of 3 annotators, read by `several: {several}`.",
        )
        (source,) = judged(listing, [survey(source) for source in listing])
        np.testing.assert_array_equal(load(source)[1], expected)
        np.testing.assert_array_equal(load_known(source)[2].references, marks)
    assert load_known(sources(**options, several="union")[0])[2].references is None
    with pytest.raises(UserError, match=r"`several` is 4, but 1 image \(a\) has fewer masks"):
        sources(**options, several=4)


def test_coloured_masks_of_several_annotators(root):
    second = lines("coded").partition("\n")[2].replace("coded/", "coded/../coded/")
    options = write(root, lines("coded") + second)
    source = sources(**options, colours=("#ff0080",), several="soft")[0]
    assert load_known(source)[2].references.shape == (2, *drawn(0).shape)
    np.testing.assert_array_equal(load(source)[1], load_known(source)[2].references[0])


def test_values_that_are_left_out(root):
    levels = np.where(drawn(0), 255, 0).astype(np.uint8)
    levels[:3] = 128
    save(root / "masks" / "a.png", levels)
    options = {**write(root, lines()), "ignore": (128,)}
    mask = loaded(options)["a"][1]
    assert (mask[:3] == LEFT_OUT).all()
    np.testing.assert_array_equal(mask[3:] == 1, drawn(0)[3:])
    with pytest.raises(UserError, match="give `colours`, or `foreground`, `threshold` or `ignore`"):
        sources(**options, colours=("#ffffff",))


def test_colours_are_foreground(root):
    options = write(root, lines("coded"))
    found = loaded({**options, "colours": ("#FF0080",)})
    np.testing.assert_array_equal(found["b"][1], drawn(1) & (np.arange(32) < 28))
    both = loaded({**options, "colours": ("#ff0080", "#0000ff")})["b"][1]
    np.testing.assert_array_equal(both, drawn(1) | (np.arange(32) >= 28))
    listing = sources(**options, colours=("#ff0080",))
    told = described(listing, [survey(source) for source in listing])
    assert told == ["3 colour-coded masks holding #000000, #0000ff, #ff0080; foreground #ff0080"]


def test_a_colour_of_no_mask_is_refused(root):
    with pytest.raises(UserError, match="#00ff00 is in none of the 3 masks, which hold #000000"):
        loaded({**write(root, lines("coded")), "colours": ("#00ff00",)})


def test_numbers_of_colours_and_their_spelling(root):
    from noise2mask.data.formats.image_files import decode

    numbers = colour_numbers(decode(root / "coded/a.png"))
    assert {spelled(number) for number in np.unique(numbers)} == {"#000000", "#0000ff", "#ff0080"}
    grey = colour_numbers(decode(root / "masks/a.png"))
    assert {spelled(number) for number in np.unique(grey)} == {"#000000", "#ffffff"}


def test_an_image_without_mask(root):
    text = lines() + "second/a.png,\n"
    options = write(root, text.replace("images/a.png", "images/../images/a.png"))
    with pytest.raises(UserError, match="has no mask"):
        sources(**options)
    assert len(sources(**options, missing_mask="skip")) == 3
    empty = loaded({**options, "missing_mask": "empty"})
    assert len(empty) == 4
    assert sum(not mask.any() for _, mask in empty.values()) == 1


@pytest.mark.parametrize(
    ("text", "more", "sentence"),
    [
        ("image,seg\nimages/a.png,masks/a.png\n", {}, "has no column 'mask' (it has image, seg)"),
        ("image,mask\n", {}, "has no lines"),
        ("image,mask\n,masks/a.png\n", {}, "a line without an image"),
        (lines() + "images/a.png,masks/a.png\n", {}, "a mask of the image images/a.png twice"),
        ("image,mask\nimages/a.png,masks/z.png\n", {}, "1 file is not there"),
        (
            "image,mask,group\nimages/a.png,masks/a.png,1\nimages/a.png,second/a.png,2\n",
            {"several": "union"}, "more than one group (1, 2)",
        ),
        ("image,mask,split\nimages/a.png,masks/a.png,train\nimages/b.png,masks/b.png,\n", {},
         "1 case (b) has no split"),
        ("image,mask,split\nimages/a.png,masks/a.png,learn\n", {}, "the split 'learn'"),
        ("image,mask,id\nimages/a.png,masks/a.png,x\nimages/b.png,masks/b.png,x\n", {},
         "would both be the case 'x'"),
        (lines(), {"colours": ("red",)}, "a colour is written as '#ff0000'"),
        (lines(), {"colours": ("#ff0000",), "threshold": 1}, "not both"),
        (lines(), {"columns": {"mask": "seg"}}, "has no column 'seg'"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_one_sentence(root, text, more, sentence):
    with pytest.raises(UserError) as told:
        sources(**write(root, text), **more)
    assert sentence in str(told.value)


def test_a_table_in_two_places_and_in_none(root, tmp_path_factory, monkeypatch):
    options = write(root, lines())
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert len(sources(**options)) == 3
    write(root.__class__(), lines())
    with pytest.raises(UserError, match=r"can be .* or pairs\.csv"):
        sources(**options)
    with pytest.raises(UserError, match=r"neither in .* nor in the working folder"):
        sources(**{**options, "table": "no.csv"})


def test_sizes_that_differ_are_refused(root):
    save(root / "coded/a.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(UserError, match="32 x 32 pixels, but its mask"):
        loaded({**write(root, lines("coded")), "colours": ("#ff0080",)})
