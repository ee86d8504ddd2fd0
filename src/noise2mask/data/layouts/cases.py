"""From families of files to cases: which masks count for which image."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from noise2mask.data.formats.image_files import form_of
from noise2mask.data.layouts.answers import Answers, Choice, Question, labels_of
from noise2mask.data.layouts.contents import look_at, look_into, looks_like_masks, overlap, some_of
from noise2mask.data.layouts.families import Family, Member, Tree, nothing_to_read, suffix_of
from noise2mask.data.layouts.matching import Match, matches_among
from noise2mask.data.source import some
from noise2mask.errors import UserError, unknown

_APART = 0.05
"""Mean of the largest IoU of an image's masks, up to which they are parts of one mask."""
_COMPARED = 12  # images whose masks are compared


@dataclass(frozen=True)
class Case:
    """An image and the masks that count for it, in the order of their places."""

    image: Member
    masks: tuple[Member, ...]

    @property
    def name(self) -> str:
        """Name of the image without suffix, or of its folder where only that tells the case."""
        stem = self.image.stem
        whole = PurePosixPath(self.image.place).name.removesuffix(suffix_of(self.image.place))
        return self.image.folders[-1] if not stem.core and self.image.folders else whole


@dataclass(frozen=True)
class Cases:
    """The cases of a folder, and how they were found.

    Attributes:
        cases: in the order of their places.
        matches: the families that they are of.
        together: what several masks of an image are, "refuse" where there is one.
        told: what was found, a sentence each.
        questions: what is open.
        chosen: whether it is known which masks count.
        missing: what an image without a mask is.
        unlabelled: images without a mask.
        strays: masks without an image.
    """

    cases: tuple[Case, ...]
    matches: tuple[Match, ...]
    together: str = "refuse"
    told: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    chosen: bool = True
    missing: str = "refuse"
    unlabelled: tuple[Member, ...] = ()
    strays: tuple[Member, ...] = ()


def cases_in(tree: Tree, answers: Answers) -> Cases:
    """The cases of a folder.

    Raises:
        UserError: there are no images, no masks, or none that belong together, or an answer names
            nothing that is there.
    """
    families = _with_roles(tree, answers)
    found = matches_among(families)
    if not found:
        families = [_by_content(family) for family in families]
        found = matches_among(families)
    if not found:
        raise _no_match(tree, families)
    _check_named(answers.images, [m.images for m in found], "images")
    _check_named(answers.masks, [m.masks for m in found], "masks")
    kept = [
        m for m in found if _chosen(m.images, answers.images) and _chosen(m.masks, answers.masks)
    ]
    if not kept:
        raise UserError(
            f"--images {' '.join(answers.images)} and --masks {' '.join(answers.masks)} are both "
            f"in {tree.root}, but they do not belong together; give one of them."
        )
    question = _images_question(kept)
    if question is not None:
        return Cases((), tuple(kept), told=tuple(_told(kept)), questions=(question,))
    return _gathered(kept, answers)


def _chosen(family: Family, wanted: Sequence[str]) -> bool:
    return not wanted or any(family.called(text) for text in wanted)


def _check_named(wanted: Sequence[str], families: Iterable[Family], what: str) -> None:
    labels = list(dict.fromkeys(family.label for family in families))
    known = list(families)
    for text in wanted:
        if not any(family.called(text) for family in known):
            raise UserError(f"--{what}: {unknown(text, f'part of the names of {what}', labels)}.")


# Roles ----------------------------------------------------------------------------------------


def _with_roles(tree: Tree, answers: Answers) -> list[Family]:
    """The families; what a user calls images or masks is it."""
    if not tree.families:
        raise nothing_to_read(tree)
    families = []
    for family in tree.families:
        role = family.role
        if role == "mask" and family.said_by_folder and _is_photograph(family):
            role = ""
        if answers.masks and any(family.called(text) for text in answers.masks):
            role = "mask"
        elif answers.images and any(family.called(text) for text in answers.images):
            role = "image"
        families.append(replace(family, role=role))
    return families


def _is_photograph(family: Family) -> bool:
    """Whether files in a folder of masks are none: more colours than any mask has."""
    for member in some_of(family.members, 2):
        try:
            looked = look_at(member.path)
        except UserError:
            return False
        if not looked.coloured or len(looked.counts) <= 256:
            return False
    return True


def _by_content(family: Family) -> Family:
    """The family as masks, if no word says what it is and its files hold few values."""
    said_by_name = family.role and not family.said_by_folder
    if (
        family.role == "mask"
        or said_by_name
        or not looks_like_masks([member.path for member in family.members])
    ):
        return family
    return replace(family, role="mask")


def _no_match(tree: Tree, families: Sequence[Family]) -> UserError:
    masks = [family for family in families if family.role == "mask"]
    images = [family for family in families if family.role != "mask"]
    if not masks:
        return UserError(
            f"{tree.root} holds {labels_of(images)}, and neither names nor values say that any of "
            "it are masks; say which with --masks and a part of the name, as in --masks tumour."
        )
    if not images:
        return UserError(
            f"{tree.root} holds {labels_of(masks)}, which are all masks by their names; add the "
            "images, or say which are images with --images and a part of the name."
        )
    for member in (images[0].members[0], masks[0].members[0]):
        if member.path.suffix.lower() in {".tif", ".tiff"}:
            form_of(member.path)  # of several pages, which no other names would pair, it tells
    pair = f"{images[0].members[0].place} and {masks[0].members[0].place}"
    return UserError(
        f"{tree.root} holds images {labels_of(images)} and masks {labels_of(masks)}, but no names "
        f"of the two agree (the first are {pair}); name a table of the pairs with --set "
        "table=<file.csv> (columns image and mask), or rename the files."
    )


# Choices --------------------------------------------------------------------------------------


def _told(matches: Sequence[Match]) -> list[str]:
    return [
        f"{one.masks.label} belong to {one.images.label} by {one.way.told}: {len(one.masks_of)} of "
        f"{len(one.images.members)} images have one"
        + (f", up to {one.most} each" if one.most > 1 else "")
        for one in matches
    ]


def _images_question(matches: Sequence[Match]) -> Question | None:
    """Which images count, where masks belong to several families of them."""
    owners: dict[str, set[int]] = defaultdict(set)
    families = list({id(m.images): m.images for m in matches}.values())
    for one in matches:
        for masks in one.masks_of.values():
            for mask in masks:
                owners[mask.place].add(families.index(one.images))
    claimed = {number for several in owners.values() if len(several) > 1 for number in several}
    if not claimed:
        return None
    return Question(
        f"the same masks belong to {len(claimed)} kinds of images; which are segmented?",
        tuple(
            Choice(
                f"--images {shell(short_name(families[number], families))}",
                f"{len(families[number].members)} files {families[number].label}",
            )
            for number in sorted(claimed)
        ),
    )


def shell(text: str) -> str:
    """A text as it is typed."""
    plain = all(letter.isalnum() or letter in "_-./:,+=" for letter in text)
    return text if plain and text else "'" + text.replace("'", "'\\''") + "'"


def short_name(family: Family, among: Sequence[Family]) -> str:
    """The shortest part of a family's label that names no other one, as an option takes it."""
    others = [other for other in among if other is not family]
    suffix = suffix_of(family.members[0].place)
    folders = [part for part in family.pattern if "*" not in part and "<" not in part]
    index = family.indexed or ""
    candidates = [
        *folders[::-1],
        f"{family.tail}{index}".strip("_-. ") if family.tail else "",
        f"{family.tail}{index}{suffix}",
        family.head,
        family.label,
    ]
    for text in candidates:
        if text and family.called(text) and not any(other.called(text) for other in others):
            return text
    return family.label


def _gathered(matches: Sequence[Match], answers: Answers) -> Cases:
    """One case for each image that has a mask."""
    of: dict[str, list[tuple[Match, Member]]] = defaultdict(list)
    image_at: dict[str, Member] = {}
    for one in matches:
        for member in one.images.members:
            image_at[member.place] = member
        for place, masks in one.masks_of.items():
            of[place] += [(one, mask) for mask in masks]
    told, questions = _told(matches), []
    families = [m.masks for m in matches]
    competing = _competing(of)
    largest = max(map(len, of.values()))
    together = "refuse"
    if competing:
        if answers.several:
            together = answers.several
        else:
            questions.append(_masks_question(competing, families, of))
    elif largest > 1:
        covered = overlap(_some_masks(of))
        if answers.several:
            together = answers.several
        elif covered is not None and covered <= _APART:
            together = "union"
            told.append(
                f"masks of one image do not overlap (largest IoU {covered:.2f}), so they are parts "
                "of one mask and are united"
            )
        else:
            questions.append(_several_question(of, covered))
    cases = tuple(
        Case(image_at[place], tuple(sorted((mask for _, mask in pairs), key=lambda m: m.place)))
        for place, pairs in sorted(of.items())
    )
    unlabelled = tuple(member for place, member in sorted(image_at.items()) if place not in of)
    used = {mask.place for case in cases for mask in case.masks}
    strays = tuple(
        mask for one in matches for mask in one.lonely_masks if mask.place not in used
    )  # fmt: skip
    missing, more, question = _missing(unlabelled, cases, answers)
    told += more
    questions += question
    if strays:
        names = some([mask.place for mask in strays])
        told.append(f"{_count(strays, 'mask')} without an image left out: {names}")
    return Cases(
        cases,
        tuple(matches),
        together,
        tuple(told),
        tuple(questions),
        not competing or answers.several is not None,
        missing,
        unlabelled,
        strays,
    )


def _count(items: Sequence[object], noun: str) -> str:
    return f"{len(items)} {noun}{'s' * (len(items) != 1)}"


def _competing(of: dict[str, list[tuple[Match, Member]]]) -> list[Match]:
    """Matches whose masks are of the same images."""
    found: dict[int, Match] = {}
    for pairs in of.values():
        owners = {id(one): one for one, _ in pairs}
        if len(owners) > 1:
            found |= owners
    return list(found.values())


def _some_masks(of: dict[str, list[tuple[Match, Member]]]) -> list[list]:  # type: ignore[type-arg]
    several = [pairs for _, pairs in sorted(of.items()) if len(pairs) > 1]
    return [[mask.path for _, mask in pairs] for pairs in some_of(several, _COMPARED)]


_WAYS = (
    Choice("--several union", "parts of one mask: what any of them marks"),
    Choice("--several soft", "annotators: the share of them that mark a pixel is learnt"),
    Choice("--several majority", "annotators: what more than half of them mark"),
    Choice("--several staple", "annotators: what is likely, by how far each can be trusted"),
)


def _masks_question(
    competing: Sequence[Match],
    families: Sequence[Family],
    of: dict[str, list[tuple[Match, Member]]],
) -> Question:
    covered = overlap(_some_masks(of))
    choices = [
        Choice(
            f"--masks {shell(short_name(one.masks, families))}",
            f"{one.masks.label}, {len(one.masks_of)} images have one; {_holding(one.masks)}",
        )
        for one in sorted(competing, key=lambda one: -len(one.masks_of))
    ]
    choices += _WAYS
    shown = "" if covered is None else f" (largest IoU of two of one image: {covered:.2f})"
    return Question(f"images have {len(competing)} kinds of masks{shown}; which count?",
                    tuple(choices))  # fmt: skip


def _holding(family: Family) -> str:
    """What masks of a family hold, of a few of them."""
    paths = [member.path for member in some_of(family.members, _COMPARED)]
    held = look_into(paths, len(family.members), f"looking at {family.label}")
    return f"{'colours' if held.coloured else 'values'} {held.values_told(5)}"


def _several_question(of: dict[str, list[tuple[Match, Member]]], covered: float | None) -> Question:
    many = sum(len(pairs) > 1 for pairs in of.values())
    shown = "could not be compared" if covered is None else f"overlap (largest IoU {covered:.2f})"
    return Question(
        f"{many} of {len(of)} images have several masks, which {shown}; what are they?",
        _WAYS,
    )


def _missing(
    unlabelled: Sequence[Member], cases: Sequence[Case], answers: Answers
) -> tuple[str, list[str], list[Question]]:
    """What images without a mask are, what was told of it and what is open."""
    if not unlabelled:
        return "refuse", [], []
    names = some([member.place for member in unlabelled])
    if answers.missing:
        what = "left out" if answers.missing == "skip" else "all background"
        return answers.missing, [f"{_count(unlabelled, 'image')} without a mask: {what}"], []
    labelled = {str(PurePosixPath(case.image.place).parent) for case in cases}
    apart = {str(PurePosixPath(member.place).parent) for member in unlabelled}
    if labelled.isdisjoint(apart) and any(member.split for member in unlabelled):
        return "skip", [
            f"{_count(unlabelled, 'image')} in folders without any mask left out: {names}"
        ], []  # fmt: skip
    return "refuse", [], [
        Question(
            f"{_count(unlabelled, 'image')} of {len(unlabelled) + len(cases)} without a mask "
            f"({names}); what are they?",
            (
                Choice("--missing skip", "not labelled: leave them out"),
                Choice("--missing empty", "nothing to segment in them: all background"),
            ),
        )
    ]  # fmt: skip
