"""Names beside points and at the ends of lines, moved apart by adjustText."""

import itertools
from collections.abc import Sequence

import numpy as np
from adjustText import adjust_text
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import ArrayLike

SIZE = 8
"""Of a name's letters, points."""
ITERATIONS = 400
"""Of adjustText, which would else stop by the clock, and equal figures must be equal."""


def beside(
    axis: Axes,
    names: Sequence[str],
    x: ArrayLike,
    y: ArrayLike,
    *,
    size: float = SIZE,
    avoided: Sequence[Artist] = (),
) -> None:
    """Write a name beside each point where it covers no point and no other name.

    A name that is far from its point is tied to it by a line. The figure's layout is settled
    before, and the names do not change it.

    Args:
        axis: where; its limits stay.
        names: one a point.
        x: (points,), data coordinates.
        y: (points,).
        size: of the letters, points.
        avoided: what is drawn and should not be covered.
    """
    figure = axis.get_figure(root=True)
    if figure is None or not names:
        return
    FigureCanvasAgg(figure)
    axis.set(xlim=axis.get_xlim(), ylim=axis.get_ylim())
    figure.draw_without_rendering()
    places = np.column_stack([np.asarray(x), np.asarray(y)]).astype(np.float64)
    texts = [
        axis.text(one, two, name, fontsize=size, color="0.15", gid="name", ha="center", va="center")
        for name, (one, two) in zip(names, places.tolist(), strict=True)
    ]
    _, ties = adjust_text(
        texts, x=places[:, 0], y=places[:, 1], ax=axis, iter_lim=ITERATIONS,
        objects=list(avoided) or None, expand=(1.2, 1.6), min_arrow_len=8,
        arrowprops={"arrowstyle": "-", "color": "0.5", "linewidth": 0.7, "shrinkB": 3},
    )  # fmt: skip
    for drawn in (*texts, *ties):
        drawn.set_in_layout(False)


def at_ends(
    axis: Axes, names: Sequence[str], heights: Sequence[float], colours: Sequence[str]
) -> None:
    """Write names to the right of a panel, in the colours of the lines that end there.

    Heights are where lines end, in data coordinates; limits and scale of the axis are settled.
    """
    to_axes = axis.transData + axis.transAxes.inverted()
    right = axis.get_xlim()[1]
    ends = [float(to_axes.transform((right, height))[1]) for height in heights]
    gap = min(0.11, 1.0 / max(1, len(names)))
    for name, end, place, colour in zip(names, ends, _apart(ends, gap), colours, strict=True):
        axis.annotate(
            name, (1.005, end), xycoords="axes fraction", xytext=(1.07, place),
            textcoords="axes fraction", fontsize=SIZE, va="center", gid="name",
            arrowprops={
                "arrowstyle": "-", "color": colour, "linewidth": 1, "relpos": (0, 0.5),
                "shrinkA": 1, "shrinkB": 0,
            },
        )  # fmt: skip


def _apart(ends: Sequence[float], gap: float, top: float = 0.98) -> list[float]:
    """Heights in their order, at least `gap` apart, the last at `top` at most."""
    places = np.array(ends, dtype=np.float64)
    order = np.argsort(places, kind="stable")
    for before, after in itertools.pairwise(order):
        places[after] = max(places[after], places[before] + gap)
    limit = top
    for place in order[::-1]:
        places[place] = min(places[place], limit)
        limit = places[place] - gap
    return [float(place) for place in places]
