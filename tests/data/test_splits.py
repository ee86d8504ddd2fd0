"""Splits: by a stable digest of groups' names, official ones, and what they share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noise2mask.data.splits import SPLITS, assign_splits, shared, split_groups, units
from noise2mask.errors import UserError

SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}
sizes_of_groups = st.dictionaries(st.text(max_size=8), st.integers(1, 9), min_size=3, max_size=40)


@given(sizes_of_groups)
def test_every_group_has_one_split_and_no_split_is_empty(sizes: dict[str, int]) -> None:
    split_of = split_groups(sizes, SHARES)
    assert split_of.keys() == sizes.keys()
    assert set(split_of.values()) == set(SPLITS)


@given(sizes_of_groups)
def test_split_does_not_depend_on_the_order_of_groups(sizes: dict[str, int]) -> None:
    turned = dict(reversed(sizes.items()))
    assert split_groups(sizes, SHARES) == split_groups(turned, SHARES)


@given(st.integers(20, 400))
def test_shares_are_met_to_one_case(count: int) -> None:
    splits = list(split_groups({f"case{i}": 1 for i in range(count)}, SHARES).values())
    for split, share in SHARES.items():
        assert abs(splits.count(split) - share * count) <= 1


def test_split_is_the_same_for_ever() -> None:
    # By SHA-256 of the names: printf c | sha256sum and so on.
    split_of = split_groups(dict.fromkeys("abcdefgh", 1), SHARES)
    assert "".join(sorted(group for group in split_of if split_of[group] == "train")) == TRAIN
    assert "".join(sorted(group for group in split_of if split_of[group] == "test")) == TEST


TRAIN, TEST = "bcdef", "ag"


def test_a_large_group_moves_the_cut_and_is_not_divided() -> None:
    sizes = {f"p{i}": 1 for i in range(30)} | {"large": 70}
    splits = split_groups(sizes, {"train": 0.5, "test": 0.5})
    in_train = sum(size for group, size in sizes.items() if splits[group] == "train")
    assert min(in_train, 100 - in_train) <= 30


def test_fewer_groups_than_splits() -> None:
    with pytest.raises(UserError) as caught:
        split_groups({"a": 50, "b": 50}, SHARES)
    assert str(caught.value) == (
        "2 group(s) of cases cannot fill the 3 splits train, val, test: each needs at least one "
        "group, and a group is never divided; add cases or use smaller groups."
    )


def test_share_of_nothing() -> None:
    with pytest.raises(UserError) as caught:
        split_groups({"a": 1, "b": 1, "c": 1}, {"train": 1.0, "val": 0.0, "test": 0.2})
    assert str(caught.value) == (
        "the shares of the splits are train 1, val 0, test 0.2, but each must be above 0; change "
        "`shares` in the study."
    )


def test_shares_count_cases_and_not_groups() -> None:
    names = [f"p{i}" for i in range(60)]
    order = list(split_groups(dict.fromkeys(names, 1), SHARES))  # train first, test last
    groups = [name for i, name in enumerate(order) for _ in range(1 if i < 30 else 9)]
    splits = assign_splits(groups, [None] * len(groups), SHARES)
    for split, share in SHARES.items():
        assert abs(splits.count(split) - share * len(groups)) <= 5


def test_official_splits_are_kept() -> None:
    official = ["test", "train", "val", "train"]
    assert assign_splits(["a", "b", "c", "d"], official, SHARES) == official


@given(st.integers(3, 60))
def test_validation_is_carved_out_of_training_groups(count: int) -> None:
    groups = [f"patient{i // 2}" for i in range(2 * count)] + ["other"]
    splits = assign_splits(groups, ["train"] * (2 * count) + ["test"], SHARES)
    assert splits[-1] == "test"
    assert set(splits[:-1]) == {"train", "val"}
    assert splits[:-1:2] == splits[1:-1:2]
    assert abs(splits.count("val") - 2 * count * 0.2) <= 2


@pytest.mark.parametrize(
    ("groups", "official", "sentence"),
    [
        (
            ["a", "b", "c"],
            ["train", None, "test"],
            "1 of 3 cases have no split while the others have one; give a split for all cases or "
            "for none.",
        ),
        (
            ["a", "b"],
            ["train", "held out"],
            "the split 'held out' is unknown; the splits are train, val, test.",
        ),
        (
            ["a", "b"],
            ["train", "val"],
            "the given splits have no test case; each of train and test needs at least one (val "
            "is taken from train when it is not given).",
        ),
        (
            ["p", "q", "p"],
            ["train", "train", "test"],
            "the group 'p' has cases in both train and test; all cases of a group (patient, slide) "
            "must be in one split, so change the splits or the groups (blanks and case make no "
            "other group).",
        ),
    ],
)
def test_official_splits_that_do_not_work(
    groups: list[str], official: list[str | None], sentence: str
) -> None:
    with pytest.raises(UserError) as caught:
        assign_splits(groups, official, SHARES)
    assert str(caught.value) == sentence


def test_leaks_that_are_accepted() -> None:
    """Official splits may then divide a group, and too few groups are divided."""
    groups, official = ["p", "q", "p", "r"], ["train", "train", "test", "val"]
    with pytest.raises(UserError):
        assign_splits(groups, official, SHARES)
    assert assign_splits(groups, official, SHARES, leaks_accepted=True) == official
    one_slide, ids = ["slide"] * 9, [f"tile{number}" for number in range(9)]
    with pytest.raises(UserError, match=r"1 group\(s\) of cases cannot fill the 3 splits"):
        assign_splits(one_slide, [None] * 9, SHARES)
    divided = assign_splits(one_slide, [None] * 9, SHARES, leaks_accepted=True, ids=ids)
    assert divided == assign_splits(ids, [None] * 9, SHARES)
    assert set(divided) == set(SPLITS)


def test_accepting_leaks_makes_none_where_there_need_be_none() -> None:
    groups = [f"p{number // 2}" for number in range(20)]
    ids = [f"c{number}" for number in range(20)]
    accepted = assign_splits(groups, [None] * 20, SHARES, leaks_accepted=True, ids=ids)
    assert accepted == assign_splits(groups, [None] * 20, SHARES)
    assert shared(groups, accepted) == {}


def test_validation_groups_carved_from_training_may_be_those_of_test() -> None:
    groups = ["p", "q", "r", "s", "p"]
    splits = assign_splits(groups, [*["train"] * 4, "test"], SHARES, leaks_accepted=True)
    assert splits[4] == "test"
    assert set(splits[:4]) == {"train", "val"}


def test_units_and_what_splits_share() -> None:
    groups, splits = ["p", "p", "q", "q", "r"], ["train", "test", "test", "test", "val"]
    assert units(groups, splits) == {"train": 1, "val": 1, "test": 2}
    assert shared(groups, splits) == {"p": ("train", "test")}
