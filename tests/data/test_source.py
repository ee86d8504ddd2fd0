"""Listings: groups of one spelling, what is not used, the files that are read."""

from pathlib import Path

import pytest

from noise2mask.data.source import Listing, Source, listed, not_used, one_spelling, some, workers


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (["P1", "P1 ", "p1", "P2"], ["P1", "P1", "P1", "P2"]),
        (["Anna  B", "anna b"], ["Anna  B", "Anna  B"]),
        (["a\u0308", "\u00e4"], ["a\u0308", "a\u0308"]),
        (["P1", "\uff301", "P\u200b1", "P2"], ["P1", "P1", "P1", "P2"]),
        (["1", "1.0", "01", "10", "0", "00"], ["01", "01", "01", "10", "0", "0"]),
    ],
)
def test_spellings_of_one_group(groups: list[str], expected: list[str]) -> None:
    found, told = one_spelling(groups)
    assert found == expected
    (note,) = told
    assert note.startswith(
        "spellings of groups that differ in case, blanks or zeros are taken as one: '"
    )


def test_groups_of_one_spelling_stay_as_they_are() -> None:
    groups = ["TCGA-18-5592", "p-1", "P 1", "P01", "P1", "1.5", "1", "x"]
    assert one_spelling(groups) == (groups, [])


def test_sources_come_sorted_and_with_one_spelling(tmp_path: Path) -> None:
    listing = listed("phantoms", {"family": "nuclei", "count": 3})
    assert [source.id for source in listing] == [f"nuclei_{n:05d}" for n in range(3)]
    assert listing.files() == []


def test_files_of_a_listing() -> None:
    one, two, table = Path("a.png"), Path("b.png"), Path("splits.csv")
    payload = {"image": one, "mask": (two, one), "window": (0.0, 1.0)}
    listing = Listing([Source("a", "a", None, payload)], tables=[table])
    assert listing.files() == [one, two, table]
    assert listing.with_sources([], "note").files() == [table]


def test_what_is_not_used_is_counted_and_named() -> None:
    listing = Listing([], unused={"of another suffix": ["a", "b", "c", "d"], "nothing": []})
    assert listing.with_sources([], "a note.").sentences() == [
        "4 entries are not used, of another suffix: a, b, c and 1 more.",
        "a note.",
    ]
    assert not_used("folders", ["x"]) == "1 entry is not used, folders: x."
    assert some(["a", "b"]) == "a, b"


@pytest.mark.parametrize("processes", [1, 2])
def test_work_on_many_keeps_their_order(processes: int) -> None:
    with workers(processes) as work:
        assert list(work(pow, range(20), [2] * 20)) == [n**2 for n in range(20)]
        assert list(work(abs, [-1, 2])) == [1, 2]  # the same processes, asked again
