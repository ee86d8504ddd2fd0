"""How cases are split into training, validation and test.

A group of cases (a patient, a slide) never lies in two splits, and what is derived is derived
from a stable digest of the groups' names, so it is the same on every machine.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate

from noise2mask.errors import UserError

SPLITS = ("train", "val", "test")


def split_groups(sizes: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, str]:
    """Give every group one split, by a stable digest of the group's name alone.

    The groups are sorted by SHA-256 and cut where the number of cases comes nearest to the
    cumulative shares, with at least one group on each side of every cut.

    Args:
        sizes: number of cases of each group.
        shares: share of each split, all above 0; only their ratios count.

    Returns:
        The name of the split of each group.

    Raises:
        UserError: a share is not positive, or there are fewer groups than splits.
    """
    if not all(share > 0 for share in shares.values()):
        raise UserError(
            f"the shares of the splits are {_spelled(shares)}, but each must be above 0; "
            "change `shares` in the study."
        )
    if len(sizes) < len(shares):
        raise UserError(
            f"{len(sizes)} group(s) of cases cannot fill the {len(shares)} splits "
            f"{', '.join(shares)}: each needs at least one group, and a group is never divided; "
            "add cases or use smaller groups."
        )
    ordered = sorted(sizes, key=lambda group: hashlib.sha256(group.encode()).digest())
    reached = list(accumulate(sizes[group] for group in ordered))  # cases up to and with group i
    targets = accumulate(reached[-1] * share / sum(shares.values()) for share in shares.values())
    split_of: dict[str, str] = {}
    first = 0
    for position, (split, target) in enumerate(zip(shares, targets, strict=True)):
        last = len(ordered) - len(shares) + position  # leaves one group for each later split
        if position == len(shares) - 1:
            cut = last
        else:
            cut = min(range(first, last + 1), key=lambda i, aim=target: abs(reached[i] - aim))  # type: ignore[misc]
        split_of.update(dict.fromkeys(ordered[first : cut + 1], split))
        first = cut + 1
    return split_of


def assign_splits(
    groups: Sequence[str],
    official: Sequence[str | None],
    shares: Mapping[str, float],
    *,
    leaks_accepted: bool = False,
    ids: Sequence[str] = (),
) -> list[str]:
    """The split of each case, the official one where there is one.

    Without official splits all are derived by :func:`split_groups`. With official training and
    test cases only, validation groups are carved out of the training ones by the same rule.

    Args:
        groups: group of each case.
        official: official split of each case, or None.
        shares: share of each split in :data:`SPLITS`.
        leaks_accepted: official splits may divide groups, and where there are fewer groups than
            splits, the cases are split instead of the groups.
        ids: id of each case, needed for that.

    Raises:
        UserError: some cases have a split and some have none, a split is unknown or empty, or
            a group lies in two splits.
    """
    given = {split for split in official if split is not None}
    if None in official and given:
        raise UserError(
            f"{sum(split is None for split in official)} of {len(official)} cases have no split "
            "while the others have one; give a split for all cases or for none."
        )
    if unknown := sorted(given - set(SPLITS)):
        raise UserError(f"the split {unknown[0]!r} is unknown; the splits are {', '.join(SPLITS)}.")
    if not given:
        kept = list(ids) if leaks_accepted and len(set(groups)) < len(SPLITS) else groups
        split_of = split_groups(_sizes(kept), {name: shares[name] for name in SPLITS})
        return [split_of[group] for group in kept]
    if missing := [name for name in ("train", "test") if name not in given]:
        raise UserError(
            f"the given splits have no {missing[0]} case; each of train and test needs at least "
            "one (val is taken from train when it is not given)."
        )
    splits = [str(split) for split in official]
    if not leaks_accepted:
        _check_whole_groups(groups, splits)
    if "val" not in given:
        inside = [group for group, split in zip(groups, splits, strict=True) if split == "train"]
        carved = split_groups(_sizes(inside), {name: shares[name] for name in ("train", "val")})
        splits = [
            carved[group] if split == "train" else split
            for group, split in zip(groups, splits, strict=True)
        ]
    return splits


def units(groups: Sequence[str], splits: Sequence[str]) -> dict[str, int]:
    """Number of groups in each split: of cases that are independent of each other."""
    return {
        name: len({group for group, split in zip(groups, splits, strict=True) if split == name})
        for name in SPLITS
    }


def shared(keys: Sequence[str], splits: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Groups, or other things that tell cases apart, that lie in several splits, and in which."""
    where: dict[str, set[str]] = {}
    for key, split in zip(keys, splits, strict=True):
        where.setdefault(key, set()).add(split)
    return {
        key: tuple(name for name in SPLITS if name in several)
        for key, several in where.items()
        if len(several) > 1
    }


def _check_whole_groups(groups: Sequence[str], splits: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for group, split in zip(groups, splits, strict=True):
        if seen.setdefault(group, split) != split:
            raise UserError(
                f"the group {group!r} has cases in both {seen[group]} and {split}; all cases of "
                "a group (patient, slide) must be in one split, so change the splits or the groups "
                "(blanks and case make no other group)."
            )


def _sizes(groups: Sequence[str]) -> dict[str, int]:
    return dict(Counter(groups))


def _spelled(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:g}" for name, share in shares.items())
