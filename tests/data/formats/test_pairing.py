"""What kinds of separate files share: options, patterns, splits, tables."""

from pathlib import Path

import pytest

from noise2mask.data.formats.pairing import Reading, add, listed, matches, named_splits, read_table
from noise2mask.errors import UserError


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (Reading(foreground=(1,), threshold=2), "both foreground [1] and threshold 2 are given"),
        (
            Reading(window=(0, 1), percentiles=(0, 1)),
            "both window [0, 1] and percentiles",
        ),
        (
            Reading(window=(1, 1)),
            "window [1, 1] for r must be a lower and",
        ),
        (
            Reading(percentiles=(9, 1)),
            "percentiles [9, 1] for r must be",
        ),
    ],
)
def test_options_that_contradict(reading: Reading, words: str) -> None:
    with pytest.raises(UserError) as caught:
        reading.check("r")
    assert words in str(caught.value)
    Reading(foreground=(1,), window=(0, 1)).check("r")


def test_patterns_search_ids_or_texts_of_their_own() -> None:
    assert matches("^(.)", "group_pattern", ["ab", "cd"]) == {"ab": "a", "cd": "c"}
    assert matches("^([^/]+)/", "split_pattern", {"a": "train/a"}) == {"a": "train"}
    assert matches("^(a\u0308)", "group_pattern", ["\u00e4b"]) == {"\u00e4b": "\u00e4"}  # composed


def test_splits_by_other_words() -> None:
    assert named_splits({"a": "tr"}, {"tr": "train"}, "x") == {"a": "train"}
    assert named_splits({}, {"tr": "train"}, "x") == {}
    with pytest.raises(UserError, match=r"x gives the case 'a' the split 'tr'; the splits are"):
        named_splits({"a": "tr"}, {}, "x")
    with pytest.raises(UserError, match="`split_of` knows te; add it there"):
        named_splits({"a": "tr"}, {"te": "test"}, "x")


def test_names_and_values_of_tables_have_no_blanks_about_them(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\ufeffid , split, patient \n a, train ,  P 1\nb,test\n", encoding="utf-8")
    assert read_table(path, ("id", "split"), "patient", ["a", "b"]) == {
        "a": {"id": "a", "split": "train", "patient": "P 1"},
        "b": {"id": "b", "split": "test", "patient": ""},
    }


def test_one_file_for_each_id() -> None:
    paths: dict[str, Path] = {}
    add(paths, "a", Path("a.png"))
    with pytest.raises(UserError, match=r"a\.png and a\.jpg have the same id 'a'"):
        add(paths, "a", Path("a.jpg"))
    assert listed("mask", ["a"], "no image") == "1 mask (a) has no image"
    assert (
        listed("mask", list("abcdef"), "no image") == "6 masks (a, b, c, d, e, ...) have no image"
    )
