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

import itertools
import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from noise2mask.errors import unknown
from noise2mask.seeds import seed_of
from noise2mask.study.plan import merged
from noise2mask.study.schema import Grid
from noise2mask.study.validate import Mistakes, in_settings

if TYPE_CHECKING:
    import pandas as pd

Document = dict[str, Any]
Point = tuple[int, ...]
"""Number of the level of each factor; all 0 is the base."""

_Item = TypeVar("_Item")
_TRIES = 300
"""Swaps for each point drawn before what is missing is filled in."""


def expand_grid(document: Mapping[str, Any]) -> tuple[Document, Mistakes]:
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
    if wrong := in_settings(Grid, document["grid"], "grid", document):
        return rest, wrong
    grid = Grid.model_validate(document["grid"])
    factors, modes = document["grid"]["factors"], document.get("modes")
    known = list(modes) if isinstance(modes, dict) else []
    if not isinstance(modes, dict) or not isinstance(modes.get(grid.mode), dict):
        return rest, {"grid.mode": unknown(grid.mode, "mode", known)}
    if mistakes := _mistakes_in_factors(factors) | _mistakes_in_runs(grid):
        return rest, mistakes
    chosen = points([len(levels) for levels in factors.values()], grid)
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


def _mistakes_in_factors(factors: Mapping[str, Mapping[str, Document]]) -> Mistakes:
    """Fields that two factors set."""
    mistakes: Mistakes = {}
    setting: dict[tuple[str, ...], str] = {}
    for factor, levels in factors.items():
        for field in sorted({field for changes in levels.values() for field in _fields(changes)}):
            other = next((seen for seen in setting if _overlap(seen, field)), None)
            if other is not None and setting[other] != factor:
                mistakes[f"grid.factors.{factor}"] = (
                    f"sets {'.'.join(field)}, as '{setting[other]}' does: use one"
                )
            setting.setdefault(field, factor)
    return mistakes


def _mistakes_in_runs(grid: Grid) -> Mistakes:
    """Points that are drawn where there are none left."""
    if grid.runs is None:
        return {}
    if grid.design == "full":
        return {"grid.runs": "the design 'full' has all points; leave it out"}
    sizes = [len(levels) for levels in grid.factors.values()]
    available = math.prod(sizes) - 1 - sum(size - 1 for size in sizes)
    if grid.runs <= available:
        return {}
    return {
        "grid.runs": (
            f"must be at most {available}, what the grid has beside the design's other points, "
            f"got {grid.runs}"
        )
    }


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


# Points -----------------------------------------------------------------------------------------


def points(sizes: Sequence[int], grid: Grid) -> list[Point]:
    """The points that are trained, none twice, the base first; a function of its arguments alone.

    * ``one_at_a_time``: every other level of every factor alone, then `runs` points in which the
      levels of each factor are equally often, to one: a Latin hypercube (McKay, Beckman, Conover,
      Technometrics 21, 1979); less even where the grid is nearly used up.
    * ``full``: all of the grid.

    Args:
        sizes: number of levels of each factor.
        grid: its design, and how many points are drawn with which seed.
    """
    base: Point = (0,) * len(sizes)
    if grid.design == "full":
        return list(itertools.product(*map(range, sizes)))
    alone = [
        (*base[:factor], level, *base[factor + 1 :])
        for factor, size in enumerate(sizes)
        for level in range(1, size)
    ]
    drawn = _latin(sizes, grid.runs, grid.seed, {base, *alone}) if grid.runs else []
    return [base, *alone, *drawn]


def _latin(sizes: Sequence[int], runs: int, seed: int, taken: set[Point]) -> list[Point]:
    """Each factor's levels repeated and shuffled; swaps within a factor part equal points."""
    dice = random.Random(seed_of("design", "random", seed))
    columns = []
    for size in sizes:
        order = _shuffled(list(range(size)), dice)  # which levels are one more often
        columns.append(_shuffled([order[run % size] for run in range(runs)], dice))
    drawn = list(zip(*columns, strict=True))
    for _ in range(_TRIES * runs):
        twice = _surplus(drawn, taken)
        if not twice:
            break
        one, two = int(dice.random() * len(twice)), int(dice.random() * runs)
        swapped = _swapped(drawn, twice[one], two, int(dice.random() * len(sizes)))
        if len(_surplus(swapped, taken)) <= len(twice):
            drawn = swapped
    kept = [point for point in dict.fromkeys(drawn) if point not in taken]
    return _filled(sizes, kept, runs, taken, dice)


def _surplus(drawn: Sequence[Point], taken: set[Point]) -> list[int]:
    """Rows whose point is taken or was in an earlier row."""
    seen, rows = set(taken), []
    for row, point in enumerate(drawn):
        if point in seen:
            rows.append(row)
        seen.add(point)
    return rows


def _swapped(drawn: Sequence[Point], one: int, two: int, factor: int) -> list[Point]:
    """`drawn` with the levels of a factor exchanged between two rows."""
    rows = [list(point) for point in drawn]
    rows[one][factor], rows[two][factor] = rows[two][factor], rows[one][factor]
    return [tuple(row) for row in rows]


def _filled(
    sizes: Sequence[int], kept: list[Point], runs: int, taken: set[Point], dice: random.Random
) -> list[Point]:
    """`kept` with as many points of the grid as are missing, the rarest levels first."""
    if len(kept) >= runs:
        return kept
    free = _shuffled(
        [point for point in itertools.product(*map(range, sizes)) if point not in {*kept, *taken}],
        dice,
    )
    counts = Counter(level for point in kept for level in enumerate(point))
    while len(kept) < runs:
        rarest = min(free, key=lambda point: sum(counts[level] for level in enumerate(point)))
        free.remove(rarest)
        kept.append(rarest)
        counts.update(enumerate(rarest))
    return kept


def _shuffled(items: Sequence[_Item], dice: random.Random) -> list[_Item]:
    # Of `random`, only random() is promised to stay as it is in later versions of Python.
    return sorted(items, key=lambda _: dice.random())


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
