"""Designs of ablations: which combinations of factors' levels are trained, as modes of a study.

A study says what is varied under ``grid``::

    grid:
      mode: diffusion
      factors:
        schedule: {linear: {}, cosine: {diffusion: {schedule: {name: cosine}}}}
        target: {x_0: {}, eps: {diffusion: {target: eps}}}

The first level of each factor is the base, which is the mode that is varied itself. A level changes
fields of `diffusion` and `training`, and may set the function of `mode`. A point that leaves the
base in one factor is called after it, ``schedule_cosine``; others ``g07`` by their number.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError

from noise2mask import plugins
from noise2mask.errors import unknown
from noise2mask.study.plan import merged
from noise2mask.study.points import Point, points
from noise2mask.study.schema import Diffusion, Name, Settings, TrainingSettings
from noise2mask.study.validate import in_names, told

if TYPE_CHECKING:
    import pandas as pd

Document = dict[str, Any]
Mistakes = dict[str, str]

_PARTS: Mapping[str, type[Settings]] = {"diffusion": Diffusion, "training": TrainingSettings}


class Grid(Settings):
    """What is varied, and which points of the grid are trained."""

    mode: Annotated[str, Field(description="mode of the study that is varied")]
    prefix: Annotated[Name, Field(description="of the names of the new modes")] = "g"
    design: Annotated[
        Literal["one_at_a_time", "random", "halton", "full"],
        Field(description="as points.points says"),
    ] = "one_at_a_time"
    runs: Annotated[
        int | None, Field(ge=1, description="points drawn at random, beside the design's others")
    ] = None
    seed: Annotated[int, Field(ge=0, description="of the points drawn")] = 0
    factors: Annotated[
        dict[str, dict[str, dict[str, Any]]],
        Field(min_length=1, description="factor: level: changes; the first level is the base"),
    ]


def expanded(document: Mapping[str, Any]) -> tuple[Document, Mistakes]:
    """A study's document with every point of its grid written out as a mode.

    The base mode gets its `levels`, and what they change. Each other point is a copy of it (its
    samplers and networks, not its title) with other `levels`, and an override with their changes,
    after the study's own overrides. Overrides and datasets that name the base mode name its copies
    too.

    Args:
        document: the study as its file says it.

    Returns:
        The document without ``grid``, and for each place that is wrong a sentence; if there is
        any, no mode is added.
    """
    rest = {key: value for key, value in document.items() if key != "grid"}
    if "grid" not in document:
        return rest, {}
    try:
        grid = Grid.model_validate(document["grid"])
    except ValidationError as error:
        return rest, told(error, "grid", Grid)
    factors = {
        factor: {str(level): changes for level, changes in levels.items()}
        for factor, levels in grid.factors.items()
    }
    modes = document.get("modes")
    modes = modes if isinstance(modes, dict) else {}
    mistakes = _mistakes_in_levels(grid, factors, document) | _mistakes_in_design(grid, modes)
    if mistakes:
        return rest, mistakes
    chosen = points(
        [len(levels) for levels in factors.values()],
        grid.design,
        runs=grid.runs,
        seed=grid.seed,
    )
    named = _names(grid.prefix, factors, chosen[1:])
    if clash := [name for name in named if name in modes]:
        sentence = f"the mode '{clash[0]}' is there already; rename it"
        return rest, {f"modes.{clash[0]}": sentence}
    return _written_out(rest, grid.mode, factors, named), {}


def grid_table(modes: Mapping[str, Mapping[str, str]]) -> "pd.DataFrame":
    """One row for each mode and factor: the columns mode, factor and level.

    Args:
        modes: levels of each mode, by factor; a mode without levels has no row.
    """
    import pandas as pd  # the workflow reads studies too, and should not wait for it

    rows = [
        (mode, factor, level) for mode, levels in modes.items() for factor, level in levels.items()
    ]
    return pd.DataFrame(rows, columns=["mode", "factor", "level"]).astype(str)


# What is wrong --------------------------------------------------------------------------------


def _mistakes_in_levels(
    grid: Grid, factors: Mapping[str, Mapping[str, Document]], document: Mapping[str, Any]
) -> Mistakes:
    mistakes: Mistakes = {}
    setting: dict[tuple[str, ...], str] = {}
    for factor, levels in factors.items():
        place = f"grid.factors.{factor}"
        if len(levels) < 2 or len(levels) < len(grid.factors[factor]):
            mistakes[place] = f"needs two levels or more, no name twice, got {list(levels)}"
        for level, changes in levels.items():
            mistakes |= _mistakes_in_changes(f"{place}.{level}", changes, document)
        for field in sorted({field for changes in levels.values() for field in _fields(changes)}):
            other = next((seen for seen in setting if _overlap(seen, field)), None)
            if other is not None and setting[other] != factor:
                mistakes[place] = f"sets {'.'.join(field)}, as '{setting[other]}' does: use one"
            setting.setdefault(field, factor)
    return mistakes


def _mistakes_in_changes(place: str, changes: Document, document: Mapping[str, Any]) -> Mistakes:
    """Unknown fields and values of one level."""
    mistakes: Mistakes = {}
    for key, value in changes.items():
        if key in _PARTS:
            try:
                _PARTS[key].model_validate(value)
            except ValidationError as error:
                mistakes |= told(error, f"{place}.{key}", _PARTS[key])
        elif key != "mode":
            mistakes[f"{place}.{key}"] = unknown(str(key), "field", [*_PARTS, "mode"])
        elif value not in (functions := plugins.names("mode")):
            mistakes[f"{place}.mode"] = unknown(str(value), "mode", functions)
    overrides = {"overrides": [changes], "diffusion": document.get("diffusion")}
    for found, sentence in in_names(overrides).items():
        if found.startswith("overrides.0."):
            mistakes.setdefault(f"{place}.{found.removeprefix('overrides.0.')}", sentence)
    return mistakes


def _mistakes_in_design(grid: Grid, modes: Mapping[str, Any]) -> Mistakes:
    mistakes: Mistakes = {}
    if not isinstance(modes.get(grid.mode), dict):
        mistakes["grid.mode"] = unknown(grid.mode, "mode", [str(name) for name in modes])
    if grid.design in {"random", "halton"} and grid.runs is None:
        mistakes["grid.runs"] = f"this field is required by the design '{grid.design}'"
    if grid.design == "full" and grid.runs is not None:
        mistakes["grid.runs"] = "the design 'full' has all points; leave it out"
    sizes = [len(levels) for levels in grid.factors.values()]
    alone = sum(size - 1 for size in sizes) if grid.design == "one_at_a_time" else 0
    available = math.prod(sizes) - 1 - alone
    if grid.runs is not None and grid.runs > available:
        mistakes["grid.runs"] = (
            f"must be at most {available}, what the grid has beside the design's other points, "
            f"got {grid.runs}"
        )
    return mistakes


def _fields(changes: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every field that changes set, as its path; an empty mapping sets nothing."""
    for key, value in changes.items():
        path = (*above, str(key))
        if isinstance(value, Mapping):
            yield from _fields(value, path)
        else:
            yield path


def _overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


# What is written out --------------------------------------------------------------------------


def _names(
    prefix: str, factors: Mapping[str, Mapping[str, Document]], chosen: Sequence[Point]
) -> dict[str, Point]:
    """Names of points beside the base."""
    digits = max(2, len(str(len(chosen))))
    found = {}
    for number, point in enumerate(chosen, start=1):
        moved = [
            f"{factor}_{list(levels)[level]}"
            for (factor, levels), level in zip(factors.items(), point, strict=True)
            if level
        ]
        alone = re.sub(r"[^a-z0-9]+", "_", moved[0].lower()).strip("_")
        found[alone if len(moved) == 1 else f"{prefix}{number:0{digits}d}"] = point
    return found


def _written_out(
    document: Document,
    base: str,
    factors: Mapping[str, Mapping[str, Document]],
    chosen: Mapping[str, Point],
) -> Document:
    mode = {key: value for key, value in document["modes"][base].items() if key != "title"}
    modes, overrides = dict(document["modes"]), []
    nowhere: Point = (0,) * len(factors)
    for name, point in {base: nowhere, **chosen}.items():
        levels: dict[str, str] = {}
        changes: Document = {}
        for (factor, all_levels), number in zip(factors.items(), point, strict=True):
            levels[factor] = list(all_levels)[number]
            changes = merged(changes, all_levels[levels[factor]])
        own = modes[base] if name == base else mode
        modes[name] = {**own, "mode": changes.pop("mode", mode.get("mode")), "levels": levels}
        if any(changes.values()):
            overrides.append({"modes": [name], **changes})
    written: Document = {**document, "modes": modes}
    given = document.get("overrides", [])
    if isinstance(given, list):
        written["overrides"] = [_with_copies(entry, base, chosen) for entry in given] + overrides
    if isinstance(document.get("datasets"), dict):
        written["datasets"] = {
            name: _with_copies(entry, base, chosen) for name, entry in document["datasets"].items()
        }
    return written


def _with_copies(entry: Any, base: str, copies: Iterable[str]) -> Any:
    """An entry whose list `modes` names the copies of a mode if it names the mode."""
    modes = entry.get("modes") if isinstance(entry, dict) else None
    if not isinstance(modes, list) or base not in modes:
        return entry
    return {**entry, "modes": [*modes, *copies]}
