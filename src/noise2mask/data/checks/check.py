"""Check the raw data of a dataset before anything is trained on it.

Every image and mask is decoded once, in several processes, and only numbers and a thumbnail are
kept. What is found is told in sentences; a damaged case is one of them and stops nothing.
"""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from noise2mask import files, plugins
from noise2mask.data.checks.measures import Checked, Measures, Row, Twin, Twins, measure, measured
from noise2mask.data.checks.problems import Circumstances, findings_of
from noise2mask.data.duplicates import SIDE, near_duplicates, thumbnail
from noise2mask.data.source import (
    Listing,
    Source,
    Work,
    decided,
    digest_of,
    digest_of_pixels,
    foreground_of,
    function_of,
    listed,
    workers,
)
from noise2mask.data.splits import SPLITS, assign_splits
from noise2mask.errors import UserError
from noise2mask.progress import Progress

MANIFEST = (
    "id", "split", "group", "width", "height", "channels", "image_sha256", "mask_sha256",
    "foreground", "objects", "largest", "boundary", "touches_border", "mean_grey",
)  # fmt: skip
_QUANTILES = {"min": 0, "5%": 0.05, "25%": 0.25, "median": 0.5, "75%": 0.75, "95%": 0.95, "max": 1}
_TOLD = 10  # findings of one severity that the terminal shows


class _Looked(NamedTuple):
    """What is kept of one source: its measures and thumbnail, or why there are none."""

    measures: Measures | None
    thumbnail: npt.NDArray[np.uint8] | None  # (128, 128)
    damage: str


def check(
    kind: str,
    options: Mapping[str, Any],
    *,
    name: str,
    title: str,
    shares: Mapping[str, float],
    counts: Mapping[str, int],
    processes: int,
    tile: int | None = None,
    leaks_accepted: bool = False,
) -> Checked:
    """Measure all cases of a dataset and tell what looks wrong.

    Args:
        kind: how the files lie on the disk, a file of ``formats/``.
        options: options of that kind.
        name: name of the dataset.
        title: its title.
        shares: share of train, val and test, where the dataset brings no splits of its own.
        counts: published number of cases per split, or {"all": n}; empty if not known.
        processes: number of processes that decode.
        tile: side of the tiles that images are cut into, None if they are not.
        leaks_accepted: the study says `leaks: accepted`.

    Raises:
        UserError: the cases cannot be listed, so there is nothing to check.
    """
    with workers(processes) as work:
        listing, reading, undecided = _decided(kind, listed(kind, options), name, work)
        looks = _looked(kind, listing, name, work)
    splits, refusal = _splits(listing, shares, leaks_accepted)
    thumbnails = np.zeros((len(listing), SIDE, SIDE), np.uint8)
    rows = []
    for place, (source, split, looked) in enumerate(zip(listing, splits, looks, strict=True)):
        rows.append(
            Row(source.id, source.group, source.split, split, looked.measures, looked.damage)
        )
        if looked.thumbnail is not None:
            thumbnails[place] = looked.thumbnail
    twins = _twins(rows, thumbnails, f"comparing {name}")
    about = Circumstances(
        counts=counts,
        refusals=tuple(filter(None, (undecided, refusal))),
        unused=listing.unused,
        notes=listing.notes,
        tile=tile,
        leaks_accepted=leaks_accepted,
    )
    found = findings_of(rows, twins, about)
    return Checked(name, title, kind, options, tuple(rows), twins, found, tuple(listing), reading)


def _decided(
    kind: str, listing: Listing, name: str, work: Work
) -> tuple[Listing, tuple[str, ...], str]:
    """The sources with what the set says of how they are read, that in words, or why not.

    Files that cannot be read are left out of the decision; they are told as damaged later.
    """
    if function_of(kind, "survey") is None:
        return listing, (), ""
    progress = Progress(f"looking at the files of {name}", len(listing))
    usable: dict[int, Any] = {}
    for place, facts in enumerate(work(partial(_survey, kind), listing)):
        if facts is not None:
            usable[place] = facts
        progress.update(place + 1)
    some = listing.with_sources(listing[place] for place in usable)
    undecided = ""
    try:
        some = decided(kind, some, list(usable.values()))
    except UserError as error:
        undecided = str(error)
    known = dict(zip(usable, some, strict=True))
    everything = [known.get(place, source) for place, source in enumerate(listing)]
    reading = function_of(kind, "described")(some, list(usable.values()))
    return listing.with_sources(everything), tuple(reading), undecided


def _survey(kind: str, source: Source) -> Any:
    """What the files of a source hold, None if they cannot be read."""
    try:
        return function_of(kind, "survey")(source, images=True)
    except (UserError, OSError, ValueError, LookupError, ArithmeticError):
        return None


def _splits(
    listing: Listing, shares: Mapping[str, float], leaks_accepted: bool
) -> tuple[list[str], str]:
    """The split of each case and, if they cannot be split, why not."""
    official = [source.split for source in listing]
    groups, ids = [source.group for source in listing], [source.id for source in listing]
    try:
        return assign_splits(groups, official, shares, leaks_accepted=leaks_accepted, ids=ids), ""
    except UserError as error:
        return [split or "" for split in official], str(error)


# Decoding -------------------------------------------------------------------------------------


def _looked(kind: str, listing: Listing, name: str, work: Work) -> list[_Looked]:
    """What is kept of each source."""
    progress = Progress(f"checking {name}", len(listing))
    looks = []
    for looked in work(partial(_look, kind), listing):
        looks.append(looked)
        progress.update(len(looks))
    return looks


def _look(kind: str, source: Source) -> _Looked:
    """Decode and measure one source; whatever is wrong with its files becomes a sentence."""
    try:
        image, mask = plugins.member("format", kind, "load")(source)
        digests = {
            "image_sha256": digest_of(source, "image", image),
            "mask_sha256": digest_of(source, "mask", mask),
        }
    except UserError as error:
        return _Looked(None, None, str(error))
    except (OSError, ValueError, LookupError, ArithmeticError) as error:
        return _Looked(None, None, f"it cannot be decoded ({type(error).__name__}: {error}).")
    if image.shape[:2] != mask.shape:
        sizes = [f"{each.shape[1]} x {each.shape[0]}" for each in (image, mask)]
        damage = f"the image has {sizes[0]} pixels, but the mask has {sizes[1]}."
        return _Looked(None, None, damage)
    digests["image_pixels"] = digest_of_pixels(image)
    digests["mask_pixels"] = digest_of_pixels(mask)
    return _Looked(measure(image, foreground_of(mask), digests), thumbnail(image), "")


# Duplicates -----------------------------------------------------------------------------------


def _twins(rows: Sequence[Row], thumbnails: npt.NDArray[np.uint8], label: str) -> Twins:
    """Equal images by their pixels, then similar ones among those that are left.

    Images of one grey level or colour show nothing and are left out.
    """
    equal = defaultdict(list)
    for place, row in enumerate(rows):
        if row.measures is not None and not row.measures.constant:
            equal[row.measures.image_pixels].append(place)
    pairs, within = [], 0
    for first, *others in equal.values():
        for other in others:
            if rows[first].group == rows[other].group:
                within += 1
            else:
                pairs.append(Twin(rows[first].id, rows[other].id, True, 1.0, ""))
    kept = [places[0] for places in equal.values()]
    groups = [rows[place].group for place in kept]
    near = near_duplicates(thumbnails[kept], groups, label)
    for pair in near.pairs:
        ids = [rows[kept[place]].id for place in (pair.first, pair.second)]
        pairs.append(Twin(ids[0], ids[1], False, round(pair.agreement, 2), pair.orientation))
    return Twins(tuple(pairs), within, near.within_groups, near.complete)


# Telling --------------------------------------------------------------------------------------


def write(checked: Checked, folder: Path) -> None:
    """Write ``manifest.csv``, a line a case, and ``check.json``; neither holds image data.

    Raises:
        UserError: the folder cannot be written.
    """
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(MANIFEST)
    for row in checked.rows:
        known = vars(row) | (vars(row.measures) if row.measures else {})
        lines.writerow([_spelled(known.get(column)) for column in MANIFEST])
    files.write_text(folder / "manifest.csv", text.getvalue())
    files.write_json(folder / "check.json", summary(checked))


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)


def summary(checked: Checked) -> dict[str, Any]:
    """What ``check.json`` says; `root` is left out, as it differs from machine to machine."""
    known = [each for _, each in measured(checked.rows)]
    sizes = Counter(f"{each.width} x {each.height}" for each in known)
    names = ["all", *SPLITS, *({""} & {row.split for row in checked.rows})]
    return {
        "dataset": checked.name,
        "title": checked.title,
        "kind": checked.kind,
        "options": {key: value for key, value in checked.options.items() if key != "root"},
        "cases": {
            name or "no split": _cases([row for row in checked.rows if name in ("all", row.split)])
            for name in names
        },
        "sizes": {
            "different": len(sizes),
            "width": _quantiles([each.width for each in known]),
            "height": _quantiles([each.height for each in known]),
            "most common": dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:5]),
        },
        "channels": dict(sorted(Counter(str(each.channels) for each in known).items())),
        "reading": list(checked.reading),
        "duplicates": asdict(checked.twins),
        "findings": [asdict(finding) for finding in checked.findings],
    }


def _cases(rows: Sequence[Row]) -> dict[str, Any]:
    known = [each for _, each in measured(rows)]
    return {
        "count": len(rows),
        "damaged": len(rows) - len(known),
        "groups": len({row.group for row in rows}),
        "foreground": _quantiles([each.foreground for each in known]),
        "objects": _quantiles([each.objects for each in known]),
    }


def _quantiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    found = np.quantile(np.array(values, dtype=np.float64), list(_QUANTILES.values()))
    return {name: round(float(value), 6) for name, value in zip(_QUANTILES, found, strict=True)}


def _range(quantiles: Mapping[str, float]) -> str:
    ends = [f"{quantiles[name]:.0f}" for name in ("min", "max")]
    return " to ".join(dict.fromkeys(ends))


def summary_text(checked: Checked) -> str:
    """What a check found, in a few lines for the terminal."""
    told = summary(checked)
    every = told["cases"].pop("all")
    splits = ", ".join(f"{name} {one['count']}" for name, one in told["cases"].items())
    lines = [f"{checked.name} ({checked.title}): {every['count']} cases, {splits}"]
    if every["foreground"]:
        sizes, share, objects = told["sizes"], every["foreground"], every["objects"]
        colours = " and ".join({"1": "grey", "3": "RGB"}.get(key, key) for key in told["channels"])
        lines += [
            f"  sizes       {_range(sizes['width'])} x {_range(sizes['height'])} pixels, {colours}",
            f"  foreground  median {share['median']:.1%} of an image, 90 % of them "
            f"{share['5%']:.1%} to {share['95%']:.1%}",
            f"  objects     median {objects['median']:g} in an image, 90 % of them "
            f"{objects['5%']:g} to {objects['95%']:g}",
        ]
    label = "  read as     "
    for sentence in checked.reading[:_TOLD]:
        lines.append(f"{label}{sentence}")
        label = " " * len(label)
    split = {row.id: row.split for row in checked.rows}
    pairs = checked.twins.pairs
    exact = sum(pair.exact for pair in pairs)
    leaks = sum(split[pair.first] != split[pair.second] for pair in pairs)
    near = len(pairs) - exact
    lines.append(f"  duplicates  {exact} exact pairs, {near} near ones; {leaks} across splits")
    for severity in ("error", "warning", "note"):
        found = [finding for finding in checked.findings if finding.severity == severity]
        lines += [f"  {severity}: {finding.text}" for finding in found[:_TOLD]]
        if len(found) > _TOLD:
            lines.append(f"  {len(found) - _TOLD} more {severity}s are in check.json")
    return "\n".join(lines)
