"""Folders of datasets and datasets by name, written out as a study is read."""

import pytest
import yaml
from helpers.project import ROOT

from noise2mask.data import catalogue
from noise2mask.errors import UserError
from noise2mask.evaluation.labels import labels_of
from noise2mask.plugins import options
from noise2mask.study.expand import expand_folders, valid_name
from noise2mask.study.load import check_data, load_study
from noise2mask.study.plan import run_settings, trainings_of
from noise2mask.study.schema import Dataset

NAMES = ("GlaS_2015", "Kvasir-SEG", "isic")


@pytest.fixture
def root(tmp_path):
    """Three datasets and three folders that are none."""
    for name in NAMES:
        for part in ("images", "masks"):
            (tmp_path / "all" / name / part).mkdir(parents=True)
    (tmp_path / "all" / "unmasked" / "images").mkdir(parents=True)
    (tmp_path / "all" / ".hidden" / "images").mkdir(parents=True)
    (tmp_path / "all" / ".hidden" / "masks").mkdir(parents=True)
    (tmp_path / "all" / "notes.txt").write_text("")
    return tmp_path / "all"


def test_a_study_without_folders_stays_as_it_is():
    document = {"datasets": {"a": {"kind": "phantoms"}}, "resolution": 16}
    assert expand_folders(document) == (document, {})


def test_every_sub_folder_with_images_and_masks_is_a_dataset(root):
    found, mistakes = expand_folders({"folders": {"root": str(root)}, "resolution": 16})
    assert mistakes == {}
    assert found == {
        "resolution": 16,
        "datasets": {
            "glas_2015": {
                "kind": "folder",
                "title": "GlaS 2015",
                "options": {"root": str(root / "GlaS_2015")},
            },
            "isic": {"kind": "folder", "title": "isic", "options": {"root": str(root / "isic")}},
            "kvasir_seg": {
                "kind": "folder",
                "title": "Kvasir-SEG",
                "options": {"root": str(root / "Kvasir-SEG")},
            },
        },
    }
    for entry in found["datasets"].values():
        Dataset.model_validate(entry)
        options("format", "folder").model_validate(entry["options"])


def test_what_is_shared_and_what_is_written_win_in_that_order(root):
    folders = {
        "root": str(root),
        "licence": "see each",
        "tile": 64,
        "augmentation": {"flips": True, "turns": True},
        "options": {"threshold": 127, "split_pattern": "^(train|test)"},
    }
    written = {
        "other": {"kind": "phantoms", "title": "P", "options": {"family": "lesion"}},
        "isic": {"title": "ISIC", "options": {"threshold": 1}, "augmentation": {"turns": False}},
        "kvasir_seg": {"named": "kvasir"},
    }
    found, mistakes = expand_folders({"folders": folders, "datasets": written})
    assert mistakes == {}
    assert list(found["datasets"]) == ["glas_2015", "isic", "kvasir_seg", "other"]
    assert found["datasets"]["other"] == written["other"]
    assert found["datasets"]["kvasir_seg"] == {"named": "kvasir"}
    assert found["datasets"]["isic"] == {
        "kind": "folder",
        "title": "ISIC",
        "licence": "see each",
        "tile": 64,
        "augmentation": {"flips": True, "turns": False},
        "options": {
            "root": str(root / "isic"),
            "threshold": 1,
            "split_pattern": "^(train|test)",
        },
    }
    assert found["datasets"]["glas_2015"]["options"]["threshold"] == 127
    assert written["isic"]["options"] == {"threshold": 1}
    assert "root" not in folders["options"]


def test_only_and_without(root):
    def chosen(**fields):
        document = {"folders": {"root": str(root), **fields}, "datasets": {"isic": {"title": "I"}}}
        found, mistakes = expand_folders(document)
        assert mistakes == {}
        return list(found["datasets"])

    assert chosen(only=["isic", "glas_2015"]) == ["glas_2015", "isic"]
    assert chosen(without=["isic"]) == ["glas_2015", "kvasir_seg"]
    assert chosen(only=["isic", "glas_2015"], without=["glas_2015"]) == ["isic"]


def test_other_names_of_the_two_folders(tmp_path):
    for part in ("x", "y"):
        (tmp_path / "a" / part).mkdir(parents=True)
    fields = {"root": str(tmp_path), "options": {"images": "x", "masks": "y"}}
    found, mistakes = expand_folders({"folders": fields})
    assert (list(found["datasets"]), mistakes) == (["a"], {})
    _, mistakes = expand_folders({"folders": {**fields, "kind": "pairs"}})
    assert "holds images/ and masks/" in mistakes["folders.root"]


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("isic2016", "isic2016"),
        ("Kvasir-SEG", "kvasir_seg"),
        ("__GlaS (Warwick)__", "glas_warwick"),
        ("Größe 2", "grosse_2"),
        ("éa", "ea"),
        ("數據", ""),
    ],
)
def test_names_are_made_valid(folder, name):
    assert valid_name(folder) == name


def test_until_the_folder_is_given_the_names_that_are_used_stand_for_it():
    document = {
        "folders": {
            "root": "{data}/all", "only": ["kvasir"], "without": ["dropped"], "tile": 32,
            "options": {"threshold": 1},
        },
        "datasets": {
            "isic": {"title": "ISIC"}, "p": {"kind": "phantoms", "title": "P"}, "dropped": {},
        },
        "overrides": [{"datasets": ["glas", "p"], "training": {"steps": 3}}, {"training": {}}],
    }  # fmt: skip
    found, mistakes = expand_folders(document)
    assert mistakes == {}
    assert list(found["datasets"]) == ["glas", "isic", "kvasir", "p"]
    assert found["datasets"]["isic"] == {
        "kind": "folder",
        "title": "ISIC",
        "tile": 32,
        "options": {"root": "{data}/all/isic", "threshold": 1},
    }
    found, mistakes = expand_folders({"folders": {"root": "{data}"}})
    assert mistakes == {}
    assert found["datasets"]["data"]["options"] == {"root": "{data}/data"}


def test_two_folders_of_one_name(root):
    for part in ("images", "masks"):
        (root / "ISIC" / part).mkdir(parents=True)
    _, mistakes = expand_folders({"folders": {"root": str(root)}})
    assert mistakes == {
        "folders.root": f"the folders 'ISIC' and 'isic' in {root} would both be the dataset "
        "'isic'; rename one"
    }


def test_a_folder_whose_name_gives_none(root):
    (root / "isic").rename(root / "數據")
    _, mistakes = expand_folders({"folders": {"root": str(root)}})
    assert mistakes["folders.root"].endswith("has no letter a-z and no digit; rename it")


def test_mistakes_are_told_with_their_place(root, tmp_path):
    (tmp_path / "empty").mkdir()

    def told(datasets=None, **fields):
        given = {"root": str(root), **fields}
        found, mistakes = expand_folders({"folders": given, "datasets": datasets or {}})
        assert "folders" not in found
        return mistakes

    assert told(root=str(tmp_path / "no")) == {
        "folders.root": f"the folder {tmp_path / 'no'} does not exist; correct it"
    }
    assert told(root=str(tmp_path / "empty")) == {
        "folders.root": f"no sub-folder of {tmp_path / 'empty'} holds images/ and masks/; "
        "correct it"
    }
    assert "did you mean 'isic'?" in told(only=["isik"])["folders.only"]
    assert "did you mean 'isic'?" in told(without=["isik"])["folders.without"]
    assert told(only="isic") == {"folders.only": "must be a list, got 'isic'"}
    assert told(only=["isic"], without=["isic"]) == {
        "folders": "`only` and `without` leave no dataset"
    }
    assert "did you mean 'without'?" in told(witout=["isic"])["folders.witout"]
    assert "unknown field 'title'" in told(title="all")["folders.title"]
    assert told(options=3) == {"folders.options": "must be a mapping, got 3"}
    assert "leave it out" in told(options={"root": "x"})["folders.options.root"]
    assert "did you mean 'isic'?" in told({"isik": {"title": "I"}})["datasets.isik"]


@pytest.mark.parametrize("given", [None, "here", {}, {"root": None}, ["a"]])
def test_folders_must_be_a_mapping_with_a_root(given):
    found, mistakes = expand_folders({"folders": given, "resolution": 3})
    assert found == {"resolution": 3}
    assert "must be a mapping with `root`" in mistakes["folders"]


def test_a_whole_study_is_read_with_and_without_its_folder(root, tmp_path):
    document = yaml.safe_load((ROOT / "config" / "test.yaml").read_text())
    document |= {"datasets": {"isic": {"title": "ISIC"}}, "folders": {"root": "{data}"}}
    document["overrides"] = [{"datasets": ["glas_2015"], "training": {"steps": 3}}]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    awaited = load_study(path)
    assert list(awaited.datasets) == ["glas_2015", "isic"]
    with pytest.raises(Exception, match="was not given; run `make reproduce"):
        check_data(awaited, "mine")
    study = load_study(path, str(root))
    assert list(study.datasets) == ["glas_2015", "isic", "kvasir_seg"]
    assert study.datasets["isic"].title == "ISIC"
    check_data(study, "mine")


def test_what_is_known_of_folders_counts_where_they_are(root):
    known = {
        "isic": {"tile": 64, "options": {"group_pattern": "^(.)"}},
        "ocdc": {"leaks": "accepted"},  # not there, and no mistake
    }
    written = {"isic": {"options": {"group_pattern": "^(..)"}}}
    document = {"folders": {"root": str(root), "known": known}, "datasets": written}
    found, mistakes = expand_folders(document)
    assert mistakes == {}
    assert sorted(found["datasets"]) == ["glas_2015", "isic", "kvasir_seg"]
    isic = found["datasets"]["isic"]
    assert (isic["tile"], isic["options"]["group_pattern"]) == (64, "^(..)")
    awaited, mistakes = expand_folders({"folders": {"root": "{data}", "known": known}})
    assert mistakes == {}
    assert sorted(awaited["datasets"]) == ["isic", "ocdc"]  # so that what is known is checked
    for wrong, place in (
        (["isic"], "known"),
        ({"isic": 1}, "known.isic"),
        ({"Is": {}}, "known.Is"),
    ):
        _, mistakes = expand_folders({"folders": {"root": str(root), "known": wrong}})
        assert list(mistakes) == [f"folders.{place}"]


def test_studies_of_the_same_folders_know_the_same_of_them():
    known = [
        yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())["folders"]["known"]
        for name in ("benefit", "atlas")
    ]
    assert known[0] == known[1]
    assert known[0]["ocdc_oral"]["leaks"] == "accepted"


# Datasets by name -------------------------------------------------------------------------------


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Read the study `test` with other datasets, in an empty working folder."""
    monkeypatch.chdir(tmp_path)

    def make(datasets, **fields):
        document = yaml.safe_load((ROOT / "config" / "test.yaml").read_text())
        document |= {"datasets": datasets, **fields}
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        return load_study(tmp_path / "mine.yaml")

    return make


def test_a_name_is_a_whole_dataset(read):
    entry = catalogue.entry("isic2016")
    found = read({"skin": {"named": "isic2016", "augmentation": {"flips": True}}}).datasets["skin"]
    assert (found.title, found.licence, found.kind) == (entry.title, entry.licence, entry.kind)
    assert found.options == {"root": "data/raw/isic2016", **entry.options}
    assert found.augmentation == {"flips": True}
    assert found.stands_for is None


def test_fields_beside_the_name_win(read):
    given = {"named": "monuseg", "title": "nuclei", "stride": 128, "options": {"root": "elsewhere"}}
    found = read({"nuclei": given}).datasets["nuclei"]
    assert (found.title, found.shrink, found.tile, found.stride) == ("nuclei", 512, 256, 128)
    assert found.options["root"] == "elsewhere"


def test_variants_lie_in_folders_of_their_own(read):
    name = next(name for name, entry in catalogue.entries().items() if entry.kind == "medsegbench")
    found = read({"a": {"named": name}, "b": {"named": name, "options": {"size": 128}}})
    roots = [found.datasets[key].options["root"] for key in "ab"]
    assert roots[0].endswith("_256")
    assert roots[1].endswith("_128")


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"named": "isic206"}, "did you mean 'isic2016'?"),
        ({"named": "isic2016", "kind": "folder"}, "leave it out"),
        ({"named": "isic2016", "options": {"imgaes": "x"}}, "unknown field 'imgaes'"),
        ({"named": "her2", "stand_in": {"named": "isci2016"}}, "datasets.a.stand_in.named"),
        ({"named": "her2", "stand_in": 3}, "must be a dataset entry, got 3"),
        (
            {"title": "x", "kind": "folder", "stand_in": {}},
            "only a dataset that is `named` has one",
        ),
    ],
)
def test_mistakes_in_named_datasets_are_told_with_their_place(read, entry, sentence):
    with pytest.raises(UserError) as caught:
        read({"a": entry})
    assert sentence in str(caught.value)
    assert "datasets.a" in str(caught.value)


HER2 = {"named": "her2", "stand_in": {"named": "isic2016"}}


def test_absent_private_data_give_way_to_the_stand_in_under_its_own_name(read):
    overrides = [{"datasets": ["her2"], "training": {"steps": 3}}]
    study = read({"her2": HER2}, overrides=overrides)
    assert list(study.datasets) == ["her2_stand_in"]
    assert study.datasets["her2_stand_in"].stands_for == catalogue.entry("her2").title
    check_data(study, "mine")
    assert next(iter(study.datasets.values())).stands_for == "HER2"
    assert "HER2" in labels_of(study).dataset("her2_stand_in")
    assert catalogue.entry("isic2016").title in labels_of(study).dataset("her2_stand_in")
    assert {run_settings(study, training).training.steps for training in trainings_of(study)} == {3}


def test_the_private_copy_is_used_where_it_lies(read, tmp_path):
    (tmp_path / "data/raw/her2/images").mkdir(parents=True)
    study = read({"her2": HER2}, overrides=[{"datasets": ["her2"], "training": {"steps": 3}}])
    assert list(study.datasets) == ["her2"]
    assert study.datasets["her2"].stands_for is None
    assert {run_settings(study, training).training.steps for training in trainings_of(study)} == {3}


def test_without_a_stand_in_the_study_says_what_is_needed(read):
    study = read({"her2": {"named": "her2"}})
    with pytest.raises(UserError) as caught:
        check_data(study, "mine")
    assert "HER2 is not in data/raw/her2 and cannot be fetched" in str(caught.value)
    assert "stand_in" in str(caught.value)
