"""Look at a folder: what lies there, which entry of a study reads it, and what is still open."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from noise2mask import plugins
from noise2mask.data.formats import table as tables
from noise2mask.data.layouts import scans
from noise2mask.data.layouts.answers import Answers, Layout, Question, Shown, offers
from noise2mask.data.layouts.cases import Cases, cases_in, short_name
from noise2mask.data.layouts.contents import (
    LOOKED_AT,
    glimpses,
    look_into,
    pictures_of,
    some_of,
)
from noise2mask.data.layouts.entry import (
    Line,
    Plan,
    Wanted,
    as_table,
    checked_options,
    listing_of,
    lists,
    named,
    plans,
)
from noise2mask.data.layouts.families import Tree, tree_of
from noise2mask.data.layouts.foreground import Foreground, foreground_of
from noise2mask.data.layouts.outlines import outlines_in
from noise2mask.data.layouts.units import Units, group_column, groups_of, splits_of
from noise2mask.data.layouts.words import role_of
from noise2mask.data.source import Listing, decided, some, surveyed
from noise2mask.errors import UserError

_PREVIEWED = 4  # kinds of masks of which pairs are shown while it is open which count


def look(root: Path, answers: Answers) -> Layout:
    """What lies in a folder, which entry of a study reads it, and what is open.

    Args:
        root: the folder.
        answers: what the user said.

    Raises:
        UserError: there are no images or no masks that belong together, or an answer does not fit.
    """
    tree = tree_of(root)
    if "table" in answers.settings:
        return _by_table(tree, answers)
    for special in (scans.decathlon, outlines_in):
        found = special(tree, answers)
        if found is not None:
            return found
    try:
        cases = cases_in(tree, answers)
    except UserError:
        pairs = table_in(tree)
        if pairs is None:
            raise
        return _by_table(tree, replace(answers, settings={**pairs, **answers.settings}))
    if not cases.cases:
        return Layout(cases.told, cases.questions, preview=_previews(cases))
    if scans.are_volumes(cases):
        return scans.in_folders(tree, cases, answers)
    return _of_pictures(tree, cases, answers)


def _of_pictures(tree: Tree, cases: Cases, answers: Answers) -> Layout:
    csvs = list(tree.others.get(".csv", ()))
    splits = splits_of(tree.root, cases.cases, answers, csvs)
    groups = _groups(tree.root, cases, splits, answers)
    held = look_into(
        [case.masks[0].path for case in some_of(cases.cases)],
        len(cases.cases),
        f"looking at the masks in {tree.root}",
    )
    wanted = Wanted(tree.root, cases, splits, groups)
    foreground = Foreground()
    if cases.chosen:
        refusal = _refusal(as_table(wanted, {}), held.coloured) if held.looked else ""
        foreground = foreground_of(held, answers, refusal=refusal)
    told = [_sizes(held.sizes), *cases.told, *foreground.told, *splits.told, *groups.told]
    told += _damage(held.damage)
    questions = [
        *cases.questions, *foreground.questions, *splits.questions, *groups.questions,
    ]  # fmt: skip
    if questions:
        return Layout(tuple(told), tuple(questions), preview=_previews(cases))
    reading = {**foreground.options, **answers.settings}
    plan, listing = _plan(wanted, reading)
    sample = listing.with_sources(some_of(listing, LOOKED_AT))
    try:
        judged = _decided(plan.kind, sample)
        _check_some(plan.kind, judged)
    except UserError as error:
        asked = Question(str(error), offers(str(error)))
        return Layout(tuple(told), (asked,), preview=_previews(cases))
    reasons = {**plan.reasons, **foreground.reasons, **_reasons(plan, cases)}
    options = {**plan.options}
    rules = {one.id: one for one in judged}
    whole = listing.with_sources(rules.get(source.id, source) for source in listing)
    told += [sentence.rstrip(".") for sentence in whole.sentences()]
    preview = (Shown("", pictures_of(plan.kind, whole)),)
    return Layout(tuple(told), (), plan.kind, options, reasons, plan.lines, whole, preview)


def _groups(root: Path, cases: Cases, splits: Units, answers: Answers) -> Units:
    if splits.questions and splits.table:
        return Units({})  # the CSV may tell them
    column = group_column(root / splits.table) if splits.table else None
    if column is None or answers.groups is not None:
        return groups_of(cases.cases, splits.of, answers)
    with (root / str(splits.table)).open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, restval="")
        reader.fieldnames = [(name or "").strip() for name in reader.fieldnames or ()]
        of = {row["id"].strip(): row[column].strip() for row in reader}
    found = {case.image.place: of.get(case.name) or case.name for case in cases.cases}
    count = len(set(found.values()))
    told = f"{count} groups of {len(found)} cases, from the column {column} of {splits.table}"
    return Units(found, None, (told,), table=splits.table)


_WHY = {
    "union": "masks of one image are its parts",
    "majority": "what more than half of an image's annotators mark",
    "staple": "what is likely by how far each annotator can be trusted",
    "soft": "the share of annotators that mark a pixel is learnt",
}
"""Why `several` is what it is."""


def _reasons(plan: Plan, cases: Cases) -> dict[str, str]:
    reasons = {}
    if several := plan.options.get("several"):
        reasons["several"] = _WHY[several]
    if "missing_mask" in plan.options:
        reasons["missing_mask"] = f"{len(cases.unlabelled)} images have none"
    return reasons


def _plan(wanted: Wanted, reading: Mapping[str, Any]) -> tuple[Plan, Listing]:
    """The plainest plan that lists exactly the cases, and what it lists."""
    for plan in plans(wanted, reading):
        if plan.kind != "table":
            listing = listing_of(plan)
            if listing is not None and lists(listing, wanted):
                return plan, listing
    plan = as_table(wanted, reading)
    checked_options("table", plan.options)
    return plan, listed_table(plan)


def listed_table(plan: Plan) -> Listing:
    """What a plan of the kind `table` lists, before its CSV is where it shall be.

    Raises:
        UserError: the table contradicts itself.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.csv"
        path.write_text(csv_text(plan.lines), encoding="utf-8")
        return tables.sources(**named(plan, path).options)


def csv_text(lines: Sequence[Line]) -> str:
    """The CSV of a plan; columns that say nothing are left out."""
    names = ["image", "mask", "id", "group", "split"]
    kept = [
        place for place, name in enumerate(names)
        if name in ("image", "mask", "id") or any(line[place] for line in lines)
    ]  # fmt: skip
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([names[place] for place in kept])
    writer.writerows([line[place] for place in kept] for line in lines)
    return text.getvalue()


def _decided(kind: str, listing: Listing) -> Listing:
    facts = surveyed(kind, listing, "looking at the masks", map)
    return decided(kind, listing, facts)


def _check_some(kind: str, listing: Listing) -> None:
    """Load a few cases, as `prepare` will load all.

    Raises:
        UserError: none of them can be read; the first reason.
    """
    reasons = []
    some_cases = some_of(listing, 5)
    for source in some_cases:
        try:
            plugins.member("format", kind, "load")(source)
        except UserError as error:
            reasons.append(error)
    if len(reasons) == len(some_cases):
        raise reasons[0]


def _refusal(plan: Plan, coloured: bool) -> str:
    """Why `prepare` would not read the masks as they are, "" if it would."""
    if coloured:
        return "coloured"
    some_cases = replace(plan, options={**plan.options, "missing_mask": "skip"})
    if any(len(each) > 1 for each in _by_image(plan.lines).values()):
        some_cases = replace(some_cases, options={**some_cases.options, "several": "union"})
    listing = listed_table(some_cases)
    try:
        _decided("table", listing.with_sources(some_of(listing, LOOKED_AT)))
    except UserError as error:
        return str(error)
    return ""


def _by_image(lines: Sequence[Line]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        found.setdefault(line[0], []).append(line[1])
    return found


def _sizes(sizes: Sequence[tuple[int, ...]]) -> str:
    if len(sizes) == 1:
        return f"all masks that were looked at have {sizes[0][0]} x {sizes[0][1]} pixels"
    return (
        f"masks have {len(sizes)} sizes, {min(sizes)[0]} x {min(sizes)[1]} to "
        f"{max(sizes)[0]} x {max(sizes)[1]} pixels"
    )


def _damage(damage: Sequence[str]) -> list[str]:
    if not damage:
        return []
    count = f"{len(damage)} mask{'s' * (len(damage) != 1)} could not be read"
    return [f"{count}: {some([sentence.partition(',')[0] for sentence in damage])}"]


def _previews(cases: Cases) -> tuple[Shown, ...]:
    """Pairs of each kind of masks, read as far as one can without an answer."""
    shown = []
    families = list({id(match.masks): match.masks for match in cases.matches}.values())
    for match in cases.matches[:_PREVIEWED]:
        paths = {member.place: member.path for member in match.images.members}
        pairs = [
            (paths[place], [mask.path for mask in masks]) for place, masks in match.masks_of.items()
        ]
        title = short_name(match.masks, families) if len(families) > 1 else ""
        shown.append(Shown(title, glimpses(pairs, 5 if len(families) < 2 else 6)))
    return tuple(shown)


# A table --------------------------------------------------------------------------------------


def table_in(tree: Tree) -> dict[str, Any] | None:
    """The options `table` and `columns` for the one CSV that names images and masks, or None."""
    found = []
    for place in tree.others.get(".csv", ()):
        columns = _columns_of_files(tree.root, tree.root / place)
        roles = {role_of(name): name for name in columns}
        if len(columns) == 2 and set(roles) >= {"image", "mask"}:
            own = {role: name for role, name in roles.items() if role != name}
            found.append({"table": place, **({"columns": own} if own else {})})
    return found[0] if len(found) == 1 else None


def _columns_of_files(root: Path, path: Path) -> list[str]:
    """Columns of a CSV whose first lines name files below a folder."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            lines = [line for line, _ in zip(reader, range(5), strict=False)]
            names = list(reader.fieldnames or ())
            return [
                name for name in names
                if lines and all((root / str(line[name] or "?")).is_file() for line in lines)
            ]  # fmt: skip
    except (OSError, ValueError, csv.Error):
        return []


def _by_table(tree: Tree, answers: Answers) -> Layout:
    """The entry for a table of pairs that the user names."""
    foreground: dict[str, Any] = {}
    if answers.colours:
        foreground["colours"] = [f"#{text.lower().removeprefix('#')}" for text in answers.colours]
    if answers.foreground:
        foreground["foreground"] = [int(text) for text in answers.foreground if text.isdigit()]
    if answers.threshold is not None:
        foreground["threshold"] = answers.threshold
    more = {name: value for name, value in (("several", answers.several),
            ("missing_mask", answers.missing)) if value}  # fmt: skip
    options = {**answers.settings, **foreground, **more}
    options = checked_options("table", {"root": str(tree.root), **options})
    listing = tables.sources(**options)
    masks = [path for source in listing for path in tables.mask_paths(source)]
    held = look_into(some_of(masks), len(masks), f"looking at the masks in {tree.root}")
    try:
        _decided("table", listing.with_sources(some_of(listing, LOOKED_AT)))
        refusal = ""
    except UserError as error:
        refusal = str(error)
    found = (
        Foreground(told=())
        if foreground or not refusal
        else foreground_of(held, answers, refusal=refusal)
    )
    splits = Counter(source.split for source in listing if source.split)
    told = [
        f"{len(listing)} cases from {answers.settings['table']}, {_sizes(held.sizes)}",
        f"{len({source.group for source in listing})} groups",
        "splits from the table: " + ", ".join(f"{k} {v}" for k, v in splits.items())
        if splits
        else "no splits: cases are split anew, whole groups together",
        *found.told,
    ]
    if found.questions:
        return Layout(tuple(told), found.questions)
    options |= found.options
    listing = tables.sources(**options)
    preview = (Shown("", pictures_of("table", listing)),)
    return Layout(tuple(told), (), "table", options, found.reasons, (), listing, preview)
