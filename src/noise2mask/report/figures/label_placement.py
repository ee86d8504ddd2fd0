"""Where names are written in a figure so that they do not lie on each other."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

SIZE = 8.5
"""Of a name's letters, points."""

RINGS = (7.0, 14.0, 24.0, 36.0, 50.0)
"""Distances of a name from its point that are tried, points, the nearest first."""

DIRECTIONS = 16
POINT = 4.0
"""Half the side of what a point covers, points."""


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Heights moved as little as possible (least squares) until neighbours are `gap` apart.

    The order stays; heights are in ascending order. Equal to a monotone regression of heights
    less their ranks times `gap` (pool adjacent violators).

    Args:
        heights: ascending.
        gap: least distance.

    Raises:
        ValueError: the heights do not ascend.

    >>> spread([0.0, 0.0, 5.0], 1.0)
    [-0.5, 0.5, 5.0]
    """
    if any(after < before for before, after in itertools.pairwise(heights)):
        raise ValueError(f"heights must ascend, got {list(heights)}")
    blocks: list[tuple[float, int]] = []  # sum and number of those that move together
    for rank, height in enumerate(heights):
        total, count = height - rank * gap, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            before, number = blocks.pop()
            total, count = total + before, count + number
        blocks.append((total, count))
    level = [total / count for total, count in blocks for _ in range(count)]
    return [value + rank * gap for rank, value in enumerate(level)]


def at_ends(
    axis: Axes, names: Sequence[str], heights: Sequence[float], colours: Sequence[str]
) -> None:
    """Write names to the right of a panel, moved apart, each tied to the end of its line.

    Args:
        axis: where; its limits and scale are settled.
        names: one a line.
        heights: where lines end, data coordinates, ascending.
        colours: of the lines.
    """
    to_axes = axis.transData + axis.transAxes.inverted()
    ends = [float(to_axes.transform((axis.get_xlim()[1], height))[1]) for height in heights]
    places = np.array(spread(ends, 0.1))
    places -= max(0.0, places.max(initial=0) - 0.97)
    for name, end, place, colour in zip(names, ends, places.tolist(), colours, strict=True):
        axis.annotate(
            name, (1.005, end), xycoords="axes fraction", xytext=(1.07, place),
            textcoords="axes fraction", fontsize=SIZE, va="center", gid="name",
            arrowprops={
                "arrowstyle": "-", "color": colour, "linewidth": 1, "relpos": (0, 0.5),
                "shrinkA": 1, "shrinkB": 0,
            },
        )  # fmt: skip


def beside(
    axis: Axes,
    names: Sequence[str],
    x: ArrayLike,
    y: ArrayLike,
    bars: Sequence[tuple[tuple[float, float], tuple[float, float]]] = (),
) -> None:
    """Write a name beside each point where it covers nothing that is drawn, if there is room.

    Points in a crowd choose first. A name that is far from its point is tied to it by a line. The
    figure's layout is settled before, and the names do not change it.

    Args:
        axis: where; its limits stay.
        names: one a point.
        x: (points,), data coordinates.
        y: (points,).
        bars: straight lines along the axes that names should not cross, two ends each.
    """
    figure = axis.get_figure(root=True)
    if figure is None or not names:
        return
    canvas = FigureCanvasAgg(figure)
    axis.set(xlim=axis.get_xlim(), ylim=axis.get_ylim())
    figure.draw_without_rendering()
    unit = figure.dpi / 72
    places = np.column_stack([np.asarray(x), np.asarray(y)]).astype(np.float64)
    points = np.asarray(axis.transData.transform(places)) / unit
    frame = np.asarray(axis.get_window_extent().extents) / unit
    sizes = []
    for name in names:
        text = axis.text(0, 0, name, fontsize=SIZE)
        extent = text.get_window_extent(canvas.get_renderer())  # type: ignore[no-untyped-call]
        sizes.append((extent.width / unit, extent.height / unit))
        text.remove()
    lines = [_line(np.asarray(axis.transData.transform(ends)) / unit) for ends in bars]
    offsets = _offsets(points, sizes, frame, lines)
    for name, at, (across, up, ring) in zip(names, places, offsets, strict=True):
        axis.annotate(
            name, (float(at[0]), float(at[1])), xytext=(across, up), textcoords="offset points",
            ha="center", va="center", fontsize=SIZE, color="0.15", gid="name",
            arrowprops={"arrowstyle": "-", "color": "0.5", "linewidth": 0.7, "shrinkB": 3}
            if ring else None,
        ).set_in_layout(False)  # fmt: skip


def _offsets(
    points: Floats, sizes: Sequence[tuple[float, float]], frame: Floats, lines: Sequence[Floats]
) -> list[tuple[float, float, int]]:
    """Offset of each name's middle from its point, and the ring that it is on."""
    covered = [*(_box(at, (2 * POINT, 2 * POINT)) for at in points), *lines]
    crowd = [
        sum(math.dist(points[one], other) < 60 for other in points) for one in range(len(points))
    ]
    found: dict[int, tuple[float, float, int]] = {}
    written: list[Floats] = []
    for one in sorted(range(len(points)), key=lambda place: -crowd[place]):
        width, height = sizes[one]
        best = (math.inf, (0.0, 0.0, 0), np.zeros(4))
        for ring, distance in enumerate(RINGS):
            for turn in range(DIRECTIONS):
                angle = 2 * math.pi * turn / DIRECTIONS
                offset = (
                    math.cos(angle) * (distance + width / 2),
                    math.sin(angle) * (distance + height / 2),
                )
                box = _box(points[one] + offset, (width, height))
                cost = sum(_overlap(box, other) for other in (*covered, *written))
                cost += 3 * _outside(box, frame)
                cost += 0.4 * distance + 2.0 * abs(math.sin(angle)) * (ring > 0)
                if cost < best[0]:
                    best = (cost, (*offset, ring), box)
        found[one] = best[1]
        written.append(best[2])
    return [found[place] for place in range(len(points))]


def _box(middle: ArrayLike, size: tuple[float, float]) -> Floats:
    """Left, bottom, right, top."""
    x, y = np.asarray(middle, dtype=np.float64)
    return np.array([x - size[0] / 2, y - size[1] / 2, x + size[0] / 2, y + size[1] / 2])


def _line(ends: Floats) -> Floats:
    """The box of a line from one end to the other, 2 points thick."""
    return np.concatenate([ends.min(axis=0) - 1, ends.max(axis=0) + 1])


def _overlap(one: Floats, other: Floats) -> float:
    """Area that two boxes share."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    return float(sides[0] * sides[1]) if (sides > 0).all() else 0.0


def _outside(box: Floats, frame: Floats) -> float:
    """Area of a box beyond a frame."""
    sides = box[2:] - box[:2]
    return float(sides[0] * sides[1]) - _overlap(box, frame)
