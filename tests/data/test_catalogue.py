"""The table of datasets: every row is whole, and can be read by a kind that exists."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import ValidationError

from noise2mask import plugins
from noise2mask.data import catalogue
from noise2mask.data.catalogue import Archive, Entry, Modality, archives_for, entries, entry
from noise2mask.data.splits import SPLITS
from noise2mask.errors import UserError

NAMES = list(entries())
MINIMAL = {"title": "A", "modality": "CT", "target": "b", "licence": "c", "kind": "folder"}


@pytest.fixture(params=NAMES)
def row(request):
    return entry(request.param)


def test_the_three_of_the_paper_and_two_dozen_others_of_every_modality():
    assert {"isic2016", "monuseg", "monuseg_native", "her2", "janowczyk_epithelium"} <= set(NAMES)
    assert len(NAMES) >= 27
    assert {known.modality for known in entries().values()} == set(get_args(Modality))
    assert sum(known.kind == "volumes" for known in entries().values()) >= 5


def test_rows_are_sorted_and_their_names_well_formed():
    assert sorted(NAMES, key=lambda name: (entry(name).modality, name)) == NAMES
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9_]*", name) for name in NAMES)
    # A name twice in YAML would hide the first one.
    assert len(re.findall(r"^\S+:$", catalogue.TABLE.read_text(), re.MULTILINE)) == len(NAMES)


def test_its_kind_reads_it(row):
    assert row.kind in plugins.names("format")
    assert "root" not in row.options
    model = plugins.options("format", row.kind)
    for size in {archive.only.get("size") for archive in row.archives}:
        variant = {} if size is None else {"size": size}
        model.model_validate({"root": "x", **row.options, **variant})


def test_patterns_start_where_archives_are_unpacked(row):
    if row.kind != "pairs":
        return
    for pattern in (row.options["images"], row.options["masks"]):
        re.compile(pattern)
        folder = re.match(r"\^files/([\w-]+)/", pattern)
        stems = {archive.file.partition(".")[0] for archive in row.archives}
        assert folder is None or folder[1] in stems
        assert pattern.startswith(("/", "^files/"))
        assert pattern.endswith("$")


def test_folders_are_those_of_archives(row):
    stems = {f"files/{archive.file.partition('.')[0]}" for archive in row.archives}
    for option in ("train", "test", "folder"):
        if option in row.options:
            assert "/".join(row.options[option].split("/")[:2]) in stems


def test_it_says_what_it_is(row):
    assert row.title.strip() == row.title
    assert row.target
    assert row.licence
    assert not row.homepage or re.match(r"https?://[\w.-]+", row.homepage)
    assert re.fullmatch(r"|10\.\d{4,5}/\S+|arXiv:\d{4}\.\d{4,5}", row.reference)
    assert row.homepage or row.reference or row.private


def test_it_can_be_fetched_or_says_how_to_get_it(row):
    assert bool(row.archives) != bool(row.by_hand)
    assert row.private <= bool(row.by_hand)
    assert row.by_hand == "" or (row.by_hand.endswith(".") and not row.by_hand[0].isupper())


HTTP = {"personal.cimat.mx:8181", "openi.nlm.nih.gov"}  # have no https


def test_addresses_are_safe(row):
    for archive in row.archives:
        scheme, _, rest = archive.url.partition("://")
        host = rest.partition("/")[0]
        assert scheme == "https" or (scheme == "http" and host in HTTP and archive.sha256)
        assert not archive.file.endswith(".rar")
        assert archive.file.endswith((".zip", ".tar", ".tgz", ".tar.gz", ".npz"))


def test_counts_are_of_all_or_of_splits(row):
    assert set(row.counts) in ({"all"}, {"train", "test"}, set(SPLITS), set())
    if row.kind == "volumes":
        assert not row.counts, "slices are not counted by their publishers"


def test_variants_differ_in_one_option_that_the_row_sets(row):
    for archive in row.archives:
        assert set(archive.only) <= set(row.options) & {"size"}
    if row.kind == "medsegbench":
        stem = f"{row.options['name']}_"
        assert [archive.only["size"] for archive in row.archives] == [128, 256, 512]
        assert all(a.file == f"{stem}{a.only['size']}.npz" for a in row.archives)
        assert all(f"/files/{a.file}?" in a.url for a in row.archives)
        assert [a.file for a in archives_for(row, {})] == [f"{stem}256.npz"]
        assert [a.file for a in archives_for(row, {"size": 512})] == [f"{stem}512.npz"]
    else:
        assert archives_for(row, {}) == row.archives


def test_files_have_names_of_their_own_in_a_folder():
    held: dict[tuple[str, str], Archive] = {}
    for name, known in entries().items():
        files = [archive.file for archive in known.archives]
        assert len(set(files)) == len(files)
        for archive in known.archives:
            assert held.setdefault((known.raw or name, archive.file), archive) == archive


def test_no_two_archives_have_one_checksum():
    sums: dict[str, str] = {}
    for known in entries().values():
        for archive in known.archives:
            for value in filter(None, (archive.sha256, archive.md5)):
                assert sums.setdefault(value, archive.url) == archive.url


def test_tiles():
    native, shrunk = entry("monuseg_native"), entry("monuseg")
    assert (native.shrink, native.tile, native.stride, native.raw) == (None, 256, None, "monuseg")
    assert (shrunk.shrink, shrunk.tile, shrunk.stride) == (512, 256, 64)
    assert native.options == shrunk.options
    assert len(set(shrunk.options["include"])) == sum(shrunk.counts.values()) == 44
    for known in entries().values():
        assert known.stride is None or known.tile


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("isic206", "; did you mean 'isic2016'?"),
        ("kvasir", "; did you mean 'kvasir_seg'?"),
        ("polypgen", "; did you mean 'medsegbench_polypgen'?"),
        ("xyzzy", ";"),
        ("", ";"),
    ],
)
def test_unknown_names(name, guess):
    with pytest.raises(UserError) as caught:
        entry(name)
    assert str(caught.value) == (
        f"unknown dataset '{name}'{guess} `noise2mask data list` shows all {len(NAMES)}."
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"modality": "x-ray"},
        {"counts": {"training": 3}},
        {"counts": {"all": 0}},
        {"archives": [{"url": "https://a/b.zip", "file": "../b.zip"}]},
        {"archives": [{"url": "https://a/b.zip", "file": "b.zip", "sha256": "ab"}]},
        {"archives": [{"url": "https://a/b.zip", "file": "b.zip", "md5": "Z" * 32}]},
        {"licence": None},
        {"tiel": 3},
    ],
)
def test_rows_that_are_wrong_are_refused(wrong):
    Entry.model_validate({**MINIMAL, "options": {}})
    with pytest.raises(ValidationError):
        Entry.model_validate({**MINIMAL, "options": {}, **wrong})


def test_reading_happens_once_and_does_not_need_the_c_library(monkeypatch):
    entries.cache_clear()
    read = entries()
    assert entries() is read
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    entries.cache_clear()
    assert entries() == read


def test_the_table_lies_in_the_package():
    assert catalogue.TABLE.parent == Path(catalogue.__file__).parent
