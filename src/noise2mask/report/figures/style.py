"""What the figures share: style, panels, legends, and the saving of a figure."""

import io
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path
from numpy.typing import ArrayLike
from PIL import Image

from noise2mask.evaluation.labels import Labels, Metric, counted, headed, names_in
from noise2mask.files import writing

STYLE: Mapping[str, Any] = MappingProxyType(
    {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 9,
        "axes.titlesize": 9.5,
        "axes.labelsize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "0.35",
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "0.9",
        "grid.linewidth": 0.7,
        "legend.frameon": False,
        "legend.fontsize": 9,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "xtick.color": "0.25",
        "ytick.color": "0.25",
        "figure.facecolor": "white",
        "figure.constrained_layout.use": True,
        "savefig.dpi": 160,
    }
)
PLAIN = Labels()
"""Names as they are."""
WIDTH = 8.3  # inches: 830 pixels of a page of a code host at 100 dots per inch
COLOURS = 256
ACROSS = 3  # panels side by side
LONG = 12  # letters of a name beside which there is no room for more
FAR = 6
"""A value this many times as far from the best as the median leaves the panel,"""
NEAR = 0.05
"""unless it is nearer than this, or more than this share of all would leave it."""
FEW = 0.25


_P = ParamSpec("_P")
_R = TypeVar("_R")


def styled(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Draw in the style of this module, whatever the user's matplotlib settings are."""

    @wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with style.context(["default", dict(STYLE)]):
            return draw(*args, **kwargs)

    return drawn


def save(figure: Figure, path: Path) -> Path:
    """Write `figure` to ``<path>.png``, which is returned; equal figures have equal bytes.

    A page of a code host shows it at half its pixels, so that it is sharp on any screen. One of
    lines has :data:`COLOURS`, which nobody sees and which makes its file a third; one with pictures
    keeps all, as fewer would change its colour bars.

    Args:
        figure: made by a function with the mark of :mod:`noise2mask.report.figures.index`.
        path: without a suffix.
    """
    written = path.with_name(f"{path.name}.png")
    buffer = io.BytesIO()
    with style.context(["default", dict(STYLE)]):
        figure.savefig(buffer, format="png", metadata={"Software": None})
    picture = Image.open(buffer).convert("RGB")
    if not any(axis.images for axis in figure.axes):
        picture = picture.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    with writing(written) as temporary:
        picture.save(temporary, format="png", optimize=True)
    return written


def panels(
    count: int, height: float, *, extra: float, across: int = ACROSS, same_y: bool = True
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels, at most `across` side by side, none if `count` is 0.

    Heights are in inches, `extra` is that of the legend.

    Returns:
        The figure, and its panels row by row.
    """
    columns = max(1, min(across, count))
    lines = -(-count // columns)
    width = WIDTH if columns > 1 else 0.6 * WIDTH
    figure = Figure(figsize=(width, max(1, lines) * height + extra))
    if count == 0:
        return figure, []
    axes = list(figure.subplots(lines, columns, squeeze=False, sharey=same_y).flat)
    for axis in axes[count:]:
        axis.set_visible(False)
    return figure, axes[:count]


class Cell(NamedTuple):
    """The rows of a dataset and network, and what stands above their panel."""

    dataset: str
    network: str
    title: str
    rows: pd.DataFrame


def cells_of(table: pd.DataFrame, labels: Labels) -> list[Cell]:
    """What a panel for each dataset and network shows; networks are named where there are many."""
    several = len(names_in(table, "network")) > 1
    return [
        Cell(
            str(dataset),
            str(network),
            labels.dataset(str(dataset)) + (f", {labels.network(str(network))}" if several else ""),
            rows,
        )
        for (dataset, network), rows in table.groupby(["dataset", "network"], sort=False)
    ]


def folded(title: str, width: int) -> str:
    """A title on several lines of at most `width` characters, first broken before ``(for``."""
    if len(title) <= width:
        return title
    head, stands_in, rest = title.partition(" (for ")
    parts = [head, f"(for {rest}"] if stands_in else [title]
    return "\n".join(textwrap.fill(part, width, break_on_hyphens=False) for part in parts)


def counted_title(title: str, n: Iterable[float], width: int) -> str:
    """A title on lines of at most `width` letters, with numbers of cases that are not torn."""
    note = counted(n).replace(" ", "\xa0")
    return folded(headed(title, note), width).replace("\xa0", " ")


def legend(figure: Figure, handles: Sequence[Artist]) -> int:
    """One legend for all panels, above them, in as many columns as fit, at most five.

    Returns:
        Its lines.
    """
    columns = _columns([str(handle.get_label()) for handle in handles], figure.get_figwidth())
    figure.legend(
        handles=list(handles), loc="outside upper center", ncols=columns, numpoints=1, **_SPACING
    )
    return -(-len(handles) // columns)


_SPACING = {"handlelength": 2.2, "handletextpad": 0.8, "columnspacing": 1.5, "borderpad": 0.4}
"""Of a legend, in letters."""


def _columns(labels: Sequence[str], width: float) -> int:
    """Columns of a legend whose texts fit in so many inches; each is as wide as its longest."""
    size = float(STYLE["legend.fontsize"])
    widths = [text_width(label, size) for label in labels]
    for columns in range(min(5, len(labels)), 1, -1):
        longest = sum(max(part) for part in np.array_split(widths, columns))
        around = columns * (_SPACING["handlelength"] + _SPACING["handletextpad"])
        around += (columns - 1) * _SPACING["columnspacing"] + 2 * _SPACING["borderpad"]
        if longest + around * size <= 70 * width:  # a little less than there is
            return columns
    return 1


def text_width(text: str, size: float) -> float:
    """Width of the longest line of a text in points, in the letters of this style."""
    letters = FontProperties(family=STYLE["font.sans-serif"], size=size)
    return max(
        float(text_to_path.get_text_width_height_descent(line, letters, False)[0])
        for line in text.split("\n")
    )


def handle(**look: Any) -> Line2D:
    """What a legend shows of a line or mark, as keywords of matplotlib, its `label` among them."""
    return Line2D([], [], **look)


def direction(metric: Metric) -> str:
    """Label of an axis: the metric, its unit, and which way is better."""
    name = metric.title + (f" [{metric.unit}]" if metric.unit else "")
    joint = ",\n" if len(name) > LONG else ", "
    return {1: f"{name}{joint}higher is better →", -1: f"← {name}{joint}lower is better", 0: name}[
        metric.better
    ]


def far_edge(values: ArrayLike, better: int) -> float:
    """The worst of some values that is shown where it is; those behind it stand at the frame.

    Args:
        values: of one panel.
        better: 1 if higher is better, -1 if lower; with 0 nothing leaves the panel.
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if better == 0 or finite.size == 0:
        return (better or 1) * -np.inf
    best = float((better * finite).max())
    behind = best - better * finite
    most = max(NEAR, FAR * float(np.median(behind)))
    few = np.mean(behind > most) <= FEW
    return better * (best - most) if few else better * -np.inf
