"""Layouts as public sets have them: how many calls, and that `prepare` gives the drawn masks."""

import json
import shlex

import nibabel
import numpy as np
import pytest
from helpers.native_layouts import COUNT, NATIVE, save, white
from helpers.odd_files import SIDE, drawn, photographed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from noise2mask.cli import main
from noise2mask.data.formats.listing import files_below
from noise2mask.data.prepare import prepare
from noise2mask.data.source import listed
from noise2mask.study.load import load_study


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    return tmp_path


def prepared_masks(entry, folder):
    """The mask (SIDE, SIDE) of each case, and the manifest, as `prepare` makes them."""
    shares = {"train": 0.6, "val": 0.15, "test": 0.25}
    prepare(entry.kind, entry.options, "mine", SIDE, shares, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    found = {}
    for split in ("train", "val", "test"):
        cases = [case for case in manifest["cases"] if case["split"] == split]
        masks = np.load(folder / f"{split}.masks.npy")
        found |= {case["id"]: mask > 0 for case, mask in zip(cases, masks, strict=True)}
    return found


def place_of(entry):
    """The place of the image of each case, or its id where it has no file of its own."""
    return {
        source.id: source.payload["image"].relative_to(entry.options["root"]).as_posix()
        if "image" in source.payload
        else source.id
        for source in listed(entry.kind, entry.options)
    }


@pytest.mark.parametrize("name", NATIVE)
def test_the_last_call_writes_a_study_that_prepares_the_drawn_masks(name, here, capsys):
    native = NATIVE[name]
    laid = native.write(here / name)
    *asked, last = native.calls
    for call in asked:
        assert main(["data", "add", name, *call, "--study", "mine"]) == 1
        told = capsys.readouterr().out
        assert "so no entry yet" in told
        assert not (here / "config/mine.yaml").exists()
    assert main(["data", "add", name, *last, "--study", "mine"]) == 0
    assert Image.open(f"build/data/{name}.png").width > 500
    entry = load_study(here / "config/mine.yaml").datasets[name]
    assert entry.kind == native.kind
    places = place_of(entry)
    root = laid.root.relative_to(here)
    below = entry.options["root"].removeprefix(str(root)).strip("/")
    masks = prepared_masks(entry, here / "prepared")
    found = {f"{below}/{places[id]}".strip("/"): mask for id, mask in masks.items()}
    assert found.keys() == laid.masks.keys()
    for place, mask in laid.masks.items():
        np.testing.assert_array_equal(found[place], mask, err_msg=place)


def test_official_splits_of_folders_are_kept(here):
    NATIVE["isic"].write(here / "isic")
    assert main(["data", "add", "isic", "--study", "mine"]) == 0
    entry = load_study(here / "config/mine.yaml").datasets["isic"]
    splits = {source.id: source.split for source in listed(entry.kind, entry.options)}
    assert splits == {
        f"ISIC_{n:07d}": ("train", "train", "val", "test")[n % 4] for n in range(COUNT)
    }


@pytest.mark.parametrize("name", ["chase", "drive", "annotators", "montgomery", "numbers"])
def test_the_example_of_a_first_call_can_be_typed_as_it_is(name, here, capsys):
    NATIVE[name].write(here / name)
    assert main(["data", "add", name]) == 1
    line = capsys.readouterr().out.strip().splitlines()[-1]
    command = shlex.split(line.partition(": ")[2])
    assert command[:4] == ["noise2mask", "data", "add", name]
    assert main(command[1:]) == 0


def test_an_entry_goes_into_a_study_that_is_there(here, capsys):
    NATIVE["isic_flat"].write(here / "one")
    NATIVE["trees"].write(here / "two")
    assert main(["data", "add", "one", "--study", "mine"]) == 0
    before = (here / "config/mine.yaml").read_text()
    assert main(["data", "add", "two", "--study", "mine"]) == 0
    after = (here / "config/mine.yaml").read_text()
    assert list(load_study(here / "config/mine.yaml").datasets) == ["two", "one"]
    added = after.partition("datasets:\n")[2].partition("  one:\n")[0]
    assert after.replace(added, "", 1) == before
    assert main(["data", "add", "two", "--study", "mine"]) == 2
    assert "has a dataset 'two' already; give another --name" in capsys.readouterr().err
    assert (here / "config/mine.yaml").read_text() == after


def test_a_study_like_another(here):
    NATIVE["isic_flat"].write(here / "one")
    assert main(["data", "add", "one", "--study", "mine"]) == 0
    path = here / "config/mine.yaml"
    path.write_text(path.read_text().replace("steps: 2000", "steps: 123"))
    NATIVE["trees"].write(here / "two")
    assert main(["data", "add", "two", "--study", "other", "--from", "mine"]) == 0
    other = load_study(here / "config/other.yaml")
    assert list(other.datasets) == ["two"]
    assert other.training.steps == 123
    assert other.description == "As mine, on two."


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (("nowhere",), "nowhere does not exist"),
        (("chase", "--masks", "3rdHO"), "unknown part of the names of masks '3rdHO'"),
        (("chase", "--masks", "1stHO", "--groups", "^(x"), "is not a regular expression"),
        (("chase", "--masks", "1stHO", "--groups", "^(q+)_"), "no match for --groups"),
        (("chase", "--no-groups", "--groups", "^(q+)_"), "both --groups"),
        (("chase", "--foreground", "1", "--threshold", "2"), "give one of them"),
        (("chase", "--masks", "1stHO", "--no-groups", "--splits", "x.csv"), "is no CSV in chase"),
        (("chase", "--masks", "1stHO", "--no-groups", "--set", "knob=1"), "--set knob: unknown"),
        (("chase", "--from", "quick"), "give its name with --study"),
        (("numbers", "--foreground", "7"), "which no mask holds; they hold 0 (89.1%)"),
        (("numbers", "--foreground", "tumour"), "neither a number nor a name"),
        (("colours", "--foreground", "1"), "coded by colours"),
        (("colours", "--colours", "ff00ff"), "names #ff00ff, which no mask holds"),
        (("decathlon", "--threshold", "0"), "give --foreground instead"),
    ],
)
def test_a_wrong_answer_is_one_sentence(call, sentence, here, capsys):
    for name in ("chase", "numbers", "colours", "decathlon"):
        if name == call[0]:
            NATIVE[name].write(here / name)
    assert main(["data", "add", *call]) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert "Traceback" not in told


def test_what_cannot_be_read_is_named(here, capsys):
    (here / "packed").mkdir()
    (here / "packed/data.zip").write_bytes(b"PK")
    assert main(["data", "add", "packed"]) == 2
    assert "but 1 .zip; unpack data.zip first" in capsys.readouterr().err
    for n in range(4):
        save(here / f"arrays/images/{n}.png", photographed(n))
        save(here / f"arrays/pictures/{n + 10}.png", photographed(n))
    assert main(["data", "add", "arrays"]) == 2
    told = capsys.readouterr().err
    assert "neither names nor values say that any of it are masks" in told
    assert "arrays/images" not in told
    assert "images/*.png (4)" in told


@pytest.mark.parametrize("name", ["isic", "busi", "bowl", "trees", "isic_flat", "suffixes"])
def test_a_check_of_another_layout_gives_the_line_that_works(name, here, capsys):
    given = f"my_{name}"
    NATIVE[name].write(here / given)
    assert main(["data", "check", given, "--sheet", "0", "--processes", "1"]) == 2
    told = capsys.readouterr().err.replace("\n", " ")
    assert "holds no images/ and masks/, but " in told
    line = told.partition("this reads it: ")[2].strip().splitlines()[-1].removesuffix(".")
    command = shlex.split(line)
    assert command[:3] == ["noise2mask", "data", "check"]
    assert command[3].startswith(given)
    assert main([*command[1:], "--sheet", "0", "--processes", "1"]) == 0
    assert f"{COUNT} cases" in capsys.readouterr().out


def test_a_check_of_an_open_layout_points_to_the_command_that_asks(here, capsys):
    NATIVE["drive"].write(here / "drive")
    assert main(["data", "check", "drive"]) == 2
    told = capsys.readouterr().err
    assert "<split>/1st_manual/*_manual1.gif" in told
    assert "`noise2mask data add drive` asks for what is open" in told
    (here / "odd").mkdir()
    assert main(["data", "check", "odd"]) == 2
    assert "odd is empty" in capsys.readouterr().err


def test_a_study_of_another_layout_says_what_is_there(here, capsys):
    NATIVE["isic_flat"].write(here / "one")
    assert main(["data", "add", "one", "--study", "mine"]) == 0
    path = here / "config/mine.yaml"
    text = path.read_text().replace("images: '.'", "images: pictures").replace("masks: '.'", "")
    path.write_text(text)
    capsys.readouterr()
    assert main(["prepare", "--study", "mine", "--dataset", "one"]) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert "the folder one/pictures does not exist" in told
    assert "*_segmentation.png belong to *.jpg" in told
    assert told.endswith("`noise2mask data add one` tells the options that read it.")


def test_names_that_differ_in_images_and_masks_are_told_with_the_option(here, capsys):
    for n in range(5):
        save(here / f"set/images/{n}.png", photographed(n))
        save(here / f"set/masks/{n}_mask.png", white(drawn(n)))
    assert main(["data", "check", "set"]) == 2
    told = capsys.readouterr().err
    assert "noise2mask data check set --set mask_suffix=_mask" in told


def test_images_without_a_mask_are_asked_for(here, capsys):
    for n in range(6):
        save(here / f"set/images/{n}.png", photographed(n))
        if n != 3:
            save(here / f"set/masks/{n}.png", white(drawn(n)))
    assert main(["data", "add", "set"]) == 1
    told = capsys.readouterr().out
    assert "1 image of 6 without a mask (images/3.png)" in told
    assert "--missing skip" in told
    assert main(["data", "add", "set", "--missing", "empty", "--study", "mine"]) == 0
    entry = load_study(here / "config/mine.yaml").datasets["set"]
    masks = prepared_masks(entry, here / "prepared")
    assert len(masks) == 6
    assert not masks["3"].any()


def test_masks_that_overlap_are_not_united_silently(here, capsys):
    for n in range(6):
        save(here / f"set/{n}/image.png", photographed(n))
        for part in range(n % 2 + 1):
            save(here / f"set/{n}/mask_{part}.png", white(np.roll(drawn(n), part)))
    assert main(["data", "add", "set"]) == 1
    told = capsys.readouterr().out
    assert "3 of 6 images have several masks, which overlap (largest IoU 0.7" in told
    assert "--several majority" in told


def test_a_table_of_splits_and_its_groups(here, capsys):
    for n in range(8):
        save(here / f"set/images/{n}.png", photographed(n))
        save(here / f"set/masks/{n}.png", white(drawn(n)))
    splits = ("train", "train", "train", "train", "val", "val", "test", "test")
    rows = "".join(f"{n},{splits[n]},p{n // 2}\n" for n in range(8))
    (here / "set/splits.csv").write_text(f"id,split,patient\n{rows}")
    assert main(["data", "add", "set"]) == 1
    told = capsys.readouterr().out
    assert "--splits splits.csv  it does, and its column patient tells groups" in told
    assert "each case is taken" not in told
    assert main(["data", "add", "set", "--splits", "splits.csv", "--study", "mine"]) == 0
    entry = load_study(here / "config/mine.yaml").datasets["set"]
    assert entry.options == {"root": "set", "splits": "splits.csv"}


def test_slices_whose_axes_nobody_knows(here, capsys):
    for n in range(6):
        save(here / f"set/images/{n}.png", photographed(n))
        (here / "set/masks").mkdir(exist_ok=True)
        array = drawn(n).astype(np.uint8)[..., None]
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), here / f"set/masks/{n}.nii.gz")
    assert main(["data", "add", "set"]) == 1
    assert "--set stored_axes=columns_rows" in capsys.readouterr().out
    call = ["data", "add", "set", "--set", "stored_axes=rows_columns", "--study", "mine"]
    assert main(call) == 0
    entry = load_study(here / "config/mine.yaml").datasets["set"]
    masks = prepared_masks(entry, here / "prepared")
    for n in range(6):
        np.testing.assert_array_equal(masks[str(n)], drawn(n))


def test_outlines_of_imagescope_and_of_others(here, capsys):
    region = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in ((4, 4), (20, 4), (20, 20), (4, 20)))
    text = (
        "<Annotations><Annotation><Regions><Region><Vertices>"
        f"{region}</Vertices></Region></Regions></Annotation></Annotations>"
    )
    for n in range(6):
        save(here / f"set/TCGA-A{n}-0001.tif", photographed(n))
        (here / f"set/TCGA-A{n}-0001.xml").write_text(text)
    assert main(["data", "add", "set", "--study", "mine"]) == 0
    entry = load_study(here / "config/mine.yaml").datasets["set"]
    assert (entry.kind, entry.options) == ("aperio", {"root": "set", "train": "."})
    assert all(mask.sum() == 256 for mask in prepared_masks(entry, here / "prepared").values())
    capsys.readouterr()
    for n in range(6):
        (here / f"set/TCGA-A{n}-0001.xml").write_text("<ASAP_Annotations/>")
    assert main(["data", "add", "set"]) == 2
    told = capsys.readouterr().err
    assert "6 XML files" in told
    assert "with the outlines of ASAP, but" in told


# Random trees ---------------------------------------------------------------------------------

NAMES = st.sampled_from([
    "a", "b", "case1", "case2", "p1_1", "p1_2", "image", "mask", "images", "masks", "label", "seg",
    "train", "test", "x_mask", "x", "img_1", "gt", "0001", "x_0000", "benign (1)", "Ä", ".hidden",
    "labelsTr", "imagesTr", "1stHO", "{data}", "a'b",
])  # fmt: skip
SUFFIXES = st.sampled_from([".png", ".jpg", ".tif", ".nii.gz", ".csv", ".xml", ".json", ".zip", ""])
CONTENTS = st.sampled_from(["picture", "mask", "labels", "colours", "damaged", "empty", "small"])


def write_content(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        "picture": photographed(1)[:8, :8], "mask": white(drawn(1))[:8, :8],
        "labels": np.arange(64, dtype=np.uint8).reshape(8, 8) % 5,
        "colours": (photographed(2)[:8, :8] // 128 * 255).astype(np.uint8),
        "small": np.zeros((1, 1), np.uint8),
    }  # fmt: skip
    if content not in arrays or path.suffix not in {".png", ".jpg", ".tif"}:
        path.write_bytes(b"" if content == "empty" else b"image,mask\na.png,b.png\n")
        return
    Image.fromarray(arrays[content]).save(path)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    tree=st.lists(
        st.tuples(st.lists(NAMES, max_size=3), NAMES, SUFFIXES, CONTENTS), min_size=1, max_size=14
    )
)
def test_no_tree_gives_a_traceback(tree, here, tmp_path_factory, capsys):
    root = tmp_path_factory.mktemp("tree")
    for folders, name, suffix, content in tree:
        path = root.joinpath(*folders, f"{name}{suffix}")
        if not path.is_dir() and all(not each.is_file() for each in path.parents):
            write_content(path, content)
    status = main(["data", "add", str(root)])
    told = capsys.readouterr()
    assert status in (0, 1, 2)
    if status == 2:
        sentences = [line for line in told.err.splitlines() if line.startswith("Error: ")]
        assert len(sentences) == 1
    else:
        assert list(files_below(root))
        assert ("so no entry yet" in told.out) == (status == 1)
