"""What is found, in sentences."""

from hypothesis import given
from hypothesis import strategies as st

from noise2mask.data.checks.measures import Row, Twin, Twins
from noise2mask.data.checks.problems import Circumstances, findings_of, listed


def test_one_cause_of_many_damaged_cases_is_told_once() -> None:
    rows = [Row(f"s{number}", "v", None, "train", None, "v.nii is damaged.") for number in range(9)]
    finding = findings_of(rows, Twins(), Circumstances())[0]
    assert finding.text == (
        "9 cases cannot be used (s0, s1, s2, s3, s4 and 4 more): v.nii is damaged."
    )
    assert len(finding.cases) == 9


def test_pairs_across_splits_and_within_one() -> None:
    rows = [Row(id, id, None, split, None, "x") for id, split in zip("abcd", "tttv", strict=True)]
    pairs = tuple(
        Twin(first, second, exact, 0.9, "")
        for first, second, exact in (("a", "b", True), ("a", "d", True), ("b", "c", False))
    )
    found = findings_of(rows, Twins(pairs), Circumstances())
    assert [(each.severity, each.cases) for each in found[1:] if each.cases] == [
        ("error", ("a", "d")),
        ("note", ("a", "b")),
        ("note", ("b", "c")),
    ]


@given(st.integers(0, 30))
def test_lists_name_five_at_most(count: int) -> None:
    text = listed([str(number) for number in range(count)])
    assert len(text.replace(" and ", ", ").split(", ")) == min(count, 5) + (count > 5) or count == 0
    assert (f"and {count - 5} more" in text) == (count > 5)


def test_faults_that_differ_in_paths_and_numbers_are_one() -> None:
    rows = [
        Row(f"c{n}", "g", None, "", None, f"/data/x{n}/c{n}.png has {n} x 5 pixels.")
        for n in range(9)
    ]
    (finding,) = findings_of(rows, Twins(), Circumstances())
    assert finding.text == (
        "9 cases cannot be used (c0, c1, c2 and 6 more): c0: /data/x0/c0.png has 0 x 5 pixels."
    )
    assert len(finding.cases) == 9


def test_errors_come_first_whatever_they_are_about() -> None:
    rows = [Row("a", "a", None, "test", None, "gone."), Row("b", "b", "train", "train", None, "x")]
    about = Circumstances(
        counts={"all": 9},
        refusals=("masks can be read in two ways.",),
        unused={"matching neither `images` nor `masks`": ("x",), "links": ("y", "z")},
        notes=("a note.",),
    )
    found = findings_of(rows, Twins(), about)
    assert [each.severity for each in found] == ["error"] * 3 + ["warning"] * 4 + ["note"]
    texts = [each.text for each in found]
    assert "masks can be read in two ways." in texts[:3]
    assert texts[-1] == "1 entry is not used, matching neither `images` nor `masks`: x."
    assert "2 entries are not used, links: y, z." in texts
