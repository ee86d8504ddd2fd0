"""What the figures share: style, panels, legends, and the saving of a figure."""

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, ParamSpec

from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from noise2mask.evaluation.labels import Metric
from noise2mask.files import writing

STYLE: Mapping[str, Any] = MappingProxyType(
    {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 9.5,
        "axes.titlesize": 10.5,
        "axes.labelsize": 9.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "0.35",
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "0.9",
        "grid.linewidth": 0.7,
        "legend.frameon": False,
        "legend.fontsize": 9.5,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "xtick.color": "0.25",
        "ytick.color": "0.25",
        "figure.facecolor": "white",
        "figure.constrained_layout.use": True,
        "savefig.dpi": 160,
        "svg.fonttype": "none",  # text stays text: it can be searched and read aloud
        "svg.hashsalt": "noise2mask",  # equal figures have equal bytes
    }
)
WIDTH = 9.0  # inches; 1440 pixels
ACROSS = 3  # panels side by side


class Look(NamedTuple):
    """Colour, marker and line; no two of a legend share any of them, so grey is enough."""

    colour: str
    marker: str
    line: Literal["-"] | tuple[float, tuple[float, ...]]


# Colours of Okabe and Ito (2008), told apart by colour-blind readers; orange is light, blue dark.
MODE_LOOKS = (
    Look("#E69F00", "s", "-"),
    Look("#0072B2", "o", "-"),
    Look("#009E73", "^", "-"),
    Look("#CC79A7", "D", "-"),
    Look("#D55E00", "v", "-"),
    Look("#56B4E9", "P", "-"),
    Look("#000000", "X", (0, (4, 1.5))),
    Look("#8A7A00", "<", (0, (4, 1, 1, 1))),
)
NETWORK_LOOKS = (
    Look("#000000", "o", "-"),
    Look("#D55E00", "s", (0, (4, 1.5))),
    Look("#56B4E9", "^", (0, (1, 1))),
    Look("#009E73", "D", (0, (4, 1, 1, 1))),
    Look("#CC79A7", "v", (0, (6, 2))),
)

STABLE = ("feed_forward", "diffusion")
"""The modes that the paper compares."""

_P = ParamSpec("_P")


def styled(draw: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Draw in the style of this module, whatever the user's matplotlib settings are."""

    @wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with style.context(["default", dict(STYLE)]):
            return draw(*args, **kwargs)

    return drawn


def save(figure: Figure, path: Path) -> None:
    """Write `figure` to ``<path>.svg`` and ``<path>.png``; equal figures have equal bytes.

    Args:
        figure: made by a function of this module.
        path: without a suffix.
    """
    metadata: dict[str, dict[str, Any]] = {
        "svg": {"Date": None, "Creator": None},
        "png": {"Software": None},
    }
    for kind, fields in metadata.items():
        with (
            style.context(["default", dict(STYLE)]),
            writing(path.with_name(f"{path.name}.{kind}")) as temporary,
        ):
            figure.savefig(temporary, format=kind, metadata=fields)


def cycled(looks: Sequence[Look], names: Sequence[str]) -> dict[str, Look]:
    """A look for each name, from the first again when there are more names than looks."""
    return {name: looks[place % len(looks)] for place, name in enumerate(names)}


def mode_looks(modes: Iterable[str]) -> dict[str, Look]:
    """Looks of modes; those of `STABLE` look the same in every study."""
    return cycled(MODE_LOOKS, list(dict.fromkeys([*STABLE, *modes])))


def panels(
    count: int, height: float, *, extra: float, across: int = ACROSS, same_y: bool = True
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels, at most `across` side by side, none if `count` is 0.

    Args:
        count: number of panels.
        height: of one panel with its title and axis, inches.
        extra: height for the legend, inches.
        across: panels side by side.
        same_y: share the vertical axis.

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


def folded(title: str, width: int) -> str:
    """A title on several lines of at most `width` characters, first broken before ``(for``."""
    if len(title) <= width:
        return title
    head, stands_in, rest = title.partition(" (for ")
    parts = [head, f"(for {rest}"] if stands_in else [title]
    return "\n".join(textwrap.fill(part, width, break_on_hyphens=False) for part in parts)


def legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """One legend for all panels, above them, in as many columns as fit, at most five."""
    labels = [str(handle.get_label()) for handle in handles]
    figure.legend(
        handles=list(handles), loc="outside upper center",
        ncols=_columns(labels, figure.get_figwidth(), 5 if figure.get_figwidth() >= WIDTH else 2),
        handlelength=2.2, columnspacing=1.5, numpoints=1,
    )  # fmt: skip


def _columns(labels: Sequence[str], width: float, most: int) -> int:
    """Columns of a legend whose texts fit in so many inches; each is as wide as its longest."""
    for columns in range(most, 1, -1):
        rows = -(-len(labels) // columns)
        widest = [
            max(map(len, labels[start : start + rows])) for start in range(0, len(labels), rows)
        ]
        if sum(0.6 + 0.075 * characters for characters in widest) <= width:
            return columns
    return 1


def direction(metric: Metric) -> str:
    """Label of an axis: the metric, its unit, and which way is better."""
    name = metric.title + (f" [{metric.unit}]" if metric.unit else "")
    return {1: f"{name}, higher is better →", -1: f"← {name}, lower is better", 0: name}[
        metric.better
    ]


def empty(figure: Figure, message: str) -> Figure:
    """Say on an empty figure that there is nothing to show."""
    figure.text(0.5, 0.5, message, ha="center", va="center", color="0.35")
    return figure
