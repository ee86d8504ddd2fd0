"""Points of a grid of factors: which combinations of levels a design runs."""

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeVar

from noise2mask.seeds import seed_of

Point = tuple[int, ...]
"""Number of the level of each factor; all 0 is the base."""

_Item = TypeVar("_Item")
_TRIES = 300
"""Swaps, or points of a sequence, for each run before what is missing is filled in."""


def points(
    sizes: Sequence[int],
    design: str,
    *,
    runs: int | None = None,
    seed: int = 0,
    include_base: bool = True,
) -> list[Point]:
    """Points of a grid, none twice; a function of the arguments alone.

    * ``one_at_a_time``: every other level of every factor alone, then `runs` points as ``random``
      draws them, if given.
    * ``full``: all of the grid.
    * ``random``: `runs` points in which the levels of each factor are equally often, to one: a
      Latin hypercube (McKay, Beckman, Conover, Technometrics 21, 1979).
    * ``halton``: the first `runs` points of a Halton sequence with digits permuted at random
      (Halton, Numer. Math. 2, 1960): less even, but more runs add points and change none.

    Both are less even where the grid is nearly used up.

    Args:
        sizes: number of levels of each factor.
        design: one of those above.
        runs: points drawn, the base not counted.
        seed: of the points drawn.
        include_base: the base is the first point, else it is in none but a drawn one.

    Raises:
        ValueError: an unknown design, or one that needs `runs` and has none or too many.
    """
    base: Point = (0,) * len(sizes)
    if design == "one_at_a_time":
        found = [
            (*base[:factor], level, *base[factor + 1 :])
            for factor, size in enumerate(sizes)
            for level in range(1, size)
        ]
        if runs is not None:
            found += _latin(sizes, runs, seed, {base, *found})
    elif design == "full":
        found = [point for point in _grid(sizes) if point != base]
    elif design in {"random", "halton"}:
        available = math.prod(sizes) - include_base
        if runs is None or not 1 <= runs <= available:
            raise ValueError(f"runs must be between 1 and {available}, got {runs}")
        draw = _latin if design == "random" else _halton
        found = draw(sizes, runs, seed, {base} if include_base else set())
    else:
        raise ValueError(f"unknown design {design!r}")
    return [base, *found] if include_base else found


def _grid(sizes: Sequence[int]) -> Iterator[Point]:
    return itertools.product(*map(range, sizes))


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


def _halton(sizes: Sequence[int], runs: int, seed: int, taken: set[Point]) -> list[Point]:
    dice = random.Random(seed_of("design", "halton", seed))
    primes = [n for n in range(2, 1000) if all(n % smaller for smaller in range(2, n))]
    orders = [(prime, _shuffled(list(range(prime)), dice)) for prime in primes[: len(sizes)]]
    found: dict[Point, None] = {}
    for number in range(_TRIES * runs):
        places = (_inverse(number, prime, order) for prime, order in orders)
        point = tuple(int(place * size) for place, size in zip(places, sizes, strict=True))
        if point not in taken:
            found[point] = None
        if len(found) == runs:
            break
    return _filled(sizes, list(found), runs, taken, dice)


def _inverse(number: int, base: int, order: Sequence[int]) -> float:
    """Digits of a number behind the point, last first, each replaced; in [0, 1)."""
    value, weight = 0.0, 1.0
    for _ in range(math.ceil(32 / math.log2(base))):  # zeros too, which are replaced as well
        number, digit = divmod(number, base)
        weight /= base
        value += order[digit] * weight
    return min(value, math.nextafter(1, 0))


def _filled(
    sizes: Sequence[int], kept: list[Point], runs: int, taken: set[Point], dice: random.Random
) -> list[Point]:
    """`kept` with as many points of the grid as are missing, the rarest levels first."""
    if len(kept) >= runs:
        return kept
    free = _shuffled([point for point in _grid(sizes) if point not in {*kept, *taken}], dice)
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
