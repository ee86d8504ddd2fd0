"""Folders of volumes: those of the Medical Segmentation Decathlon and of nnU-Net, and others."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from noise2mask.data.formats import spatial_files, volumes
from noise2mask.data.layouts.answers import Answers, Choice, Layout, Question, Shown
from noise2mask.data.layouts.cases import Case, Cases
from noise2mask.data.layouts.contents import is_volume, look_into, pictures_of, some_of
from noise2mask.data.layouts.entry import checked_options, volume_patterns
from noise2mask.data.layouts.families import Member, Tree
from noise2mask.data.layouts.foreground import foreground_of
from noise2mask.data.layouts.units import Units, groups_of
from noise2mask.data.layouts.words import stem_parts
from noise2mask.data.source import listed, some
from noise2mask.errors import UserError

IMAGES, LABELS = "imagesTr", "labelsTr"
_LOOKED_AT = 10  # volumes of labels that are read to see what they hold


def are_volumes(cases: Cases) -> bool:
    """Whether the cases are volumes, not pictures."""
    return any(is_volume(case.image.path) for case in some_of(cases.cases, 3))


def decathlon(tree: Tree, answers: Answers) -> Layout | None:
    """The entry for volumes in imagesTr and labelsTr, None if there are none.

    Raises:
        UserError: volumes are missing or damaged, or an answer does not fit.
    """
    places = {
        PurePosixPath(member.place).parent.parent.as_posix()
        for family in tree.families
        for member in family.members
        if PurePosixPath(member.place).parent.name == IMAGES and is_volume(member.path)
    }
    places = {place for place in places if (tree.root / place / LABELS).is_dir()}
    if not places:
        return None
    if len(places) > 1:
        return Layout(
            (f"{len(places)} folders hold {IMAGES} and {LABELS}",),
            (
                Question(
                    "each is a dataset; which one? Add it by its own folder:",
                    tuple(
                        Choice(f"noise2mask data add {tree.root / place}", "")
                        for place in sorted(places)
                    ),
                ),
            ),
        )
    folder = places.pop()
    place = tree.root / folder
    about = volumes.about_in(place)
    pairs = volumes.volumes_in(place).pairs
    cases = tuple(
        Case(_member(next(iter(images.values())), tree.root), (_member(labels, tree.root),))
        for images, labels in pairs.values()
    )
    options: dict[str, Any] = {"root": str(tree.root)}
    if folder != ".":
        options["folder"] = folder
    return _entry(tree, cases, answers, options, about.labels, about.channels)


def in_folders(tree: Tree, cases: Cases, answers: Answers) -> Layout:
    """The entry for volumes that lie in another way, found by regular expressions.

    Raises:
        UserError: no regular expression finds them, or an answer does not fit.
    """
    if answers.missing == "empty":
        raise UserError(
            f"--missing empty: {len(cases.unlabelled)} volumes in {tree.root} have no labels; the "
            "kind volumes can only leave them out: give --missing skip."
        )
    patterns = volume_patterns(cases)
    if patterns is None:
        found = [f"{match.images.label} with {match.masks.label}" for match in cases.matches]
        raise UserError(
            f"{tree.root} holds volumes, {some(found)}, whose names no pattern tells apart; move "
            f"or link them to {IMAGES}/<name>.nii.gz and {LABELS}/<name>.nii.gz."
        )
    options: dict[str, Any] = {"root": str(tree.root), **patterns}
    if cases.unlabelled and cases.missing == "skip":
        options["missing_labels"] = "skip"
    flat = tuple(
        Case(case.image._replace(folders=()), (case.masks[0]._replace(folders=()),))
        for case in cases.cases
    )
    layout = _entry(tree, flat, answers, options, {}, (), name_by=0, questions=cases.questions)
    words = sorted({case.image.split for case in cases.cases if case.image.split})
    told = [*cases.told]
    if len(words) > 1:
        told.append(
            f"the folders {', '.join(words)} are not taken for splits, which the kind volumes does "
            "not read from folders"
        )
    found_by_pattern = volumes.volumes_in(tree.root, patterns["images"], patterns["labels"], "skip")
    wanted = {(case.image.path, case.masks[0].path) for case in cases.cases}
    if {(one[0], labels) for one, labels in found_by_pattern.pairs.values()} != wanted:
        raise UserError(
            f"the volumes in {tree.root} cannot be told apart by one pattern; move or link them to "
            f"{IMAGES}/<name>.nii.gz and {LABELS}/<name>.nii.gz."
        )
    return replace(layout, told=(*told, *layout.told))


def _member(path: Path, root: Path) -> Member:
    place = path.relative_to(root).as_posix()
    return Member(path, place, (), "", stem_parts(PurePosixPath(place).name.split(".")[0]))


def _entry(
    tree: Tree,
    cases: Sequence[Case],
    answers: Answers,
    options: Mapping[str, Any],
    names: Mapping[int, str],
    channels: Sequence[str],
    *,
    name_by: int = 1,
    questions: Sequence[Question] = (),
) -> Layout:
    """The entry of the kind `volumes`, or what is open; volumes are called as labels or images."""
    if answers.colours or answers.threshold is not None:
        raise UserError(
            f"{tree.root} holds volumes, whose labels are whole numbers: give --foreground instead "
            "of --colours and --threshold."
        )
    paths = [case.masks[0].path for case in some_of(cases, _LOOKED_AT)]
    held = look_into(paths, len(cases), f"looking at the labels in {tree.root}")
    labels = {value: name for value, name in names.items() if value != 0}
    several = len(labels or set(held.shares) - {0}) > 1
    chosen = foreground_of(held, answers, labels, "several labels" if several else "")
    given = checked_options("volumes", {**options, **chosen.options, **answers.settings})
    asked = [*questions, *chosen.questions]
    channel, channels_told = _channel(cases, given, channels)
    asked += channel
    named_as = tuple(Case((case.image, *case.masks)[name_by], ()) for case in cases)
    groups = groups_of(named_as, {}, answers)
    if not answers.no_groups and answers.groups is None and not groups.questions:
        groups = Units({}, told=("each volume is a group: its slices lie in one split",))
    asked += groups.questions
    if groups.pattern:
        given["group_pattern"] = groups.pattern
    told = [
        f"{len(cases)} volumes, {_grids(cases)}{channels_told}",
        *chosen.told,
        *groups.told,
    ]
    plane = str(given.get("axis", "axial"))
    told.append(f"{plane} slices with foreground become cases; --set axis=coronal, --set keep=all "
                "and the like change that")  # fmt: skip
    present = tuple(value for value in held.shares if value) or (1,)
    if asked:
        skipped: dict[str, Any] = {"missing_labels": "skip"} if "images" in given else {}
        if channel:
            skipped = {**skipped, "channel": 0}
        try:
            shown = listed("volumes", {**skipped, "foreground": present, **given})
            preview: tuple[Shown, ...] = (Shown("all labels", pictures_of("volumes", shown)),)
        except UserError:
            preview = ()
        return Layout(tuple(told), tuple(asked), preview=preview)
    listing = listed("volumes", given)
    told.append(f"{len(listing)} slices")
    told += [sentence.rstrip(".") for sentence in listing.sentences()]
    preview = (Shown("", pictures_of("volumes", listing)),)
    return Layout(tuple(told), (), "volumes", given, chosen.reasons, (), listing, preview)


def _channel(
    cases: Sequence[Case], given: Mapping[str, Any], names: Sequence[str]
) -> tuple[list[Question], str]:
    """Which channel is shown, where a volume has several."""
    first = cases[0].image.path
    shape = spatial_files.header_of(first).shape
    inside = shape[3] if len(shape) > 3 else 1
    # nnU-Net has a file for each channel, the number at the end of its name.
    several = first.name.partition("_0000")
    beside = list(first.parent.glob(f"{several[0]}_[0-9][0-9][0-9][0-9]{several[2]}"))
    count = max(inside, len(beside))
    if count < 2 or "channel" in given:
        return [], "" if count < 2 else f", {count} channels"
    called = list(names) if len(names) == count else [""] * count
    return [
        Question(
            f"volumes have {count} channels, but a slice shows one; which?",
            tuple(
                Choice(f"--set channel={number}", name) for number, name in enumerate(called[:12])
            ),
        )
    ], f", {count} channels"


def _grids(cases: Sequence[Case]) -> str:
    """Sizes and sides of voxels, of some."""
    told = []
    for case in some_of(cases, 3):
        header = spatial_files.header_of(case.image.path)
        spacing = spatial_files.spacing_of(header.affine)
        sides = " x ".join(f"{side:.3g}" for side in spacing)
        told.append(f"{spatial_files.sides(header.shape[:3])} voxels of {sides} mm")
    return some(list(dict.fromkeys(told)), 2)
