"""How every figure draws a training: one colour a mode, one marker for each of its samplers.

A look belongs to a training and what reads it, in every figure of a report and on its page: the
colour and the filled marker say the mode, an open marker of another shape says that a further
sampler or reading of the same training is shown.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import pandas as pd

from noise2mask.evaluation.labels import MODES, trained
from noise2mask.study.plan import REFERENCE

Line = Literal["-"] | tuple[float, tuple[float, ...]]


class Look(NamedTuple):
    """Colour, marker and line; a marker that is not filled is white inside."""

    colour: str
    marker: str
    line: Line = "-"
    filled: bool = True

    @property
    def face(self) -> str:
        """Colour inside the marker."""
        return self.colour if self.filled else "white"

    def marks(self) -> dict[str, Any]:
        """Keywords of matplotlib for markers."""
        return {"color": self.colour, "marker": self.marker, "markerfacecolor": self.face}

    def lines(self) -> dict[str, Any]:
        """Keywords of matplotlib for lines."""
        return {"color": self.colour, "linestyle": self.line}


DASHED: Line = (0, (4, 1.5))
DOTTED: Line = (0, (1, 1))
CHAINED: Line = (0, (4, 1, 1, 1))
LONG: Line = (0, (7, 2))

# Colours of Okabe and Ito (2008), told apart by colour-blind readers, and a few that lie between.
KNOWN: Mapping[str, Look] = {
    "feed_forward": Look("#E69F00", "s"),
    "diffusion": Look("#0072B2", "o"),
    "ensemble": Look("#D55E00", "P"),
    "eps_diffusion": Look("#56B4E9", "X", CHAINED),
    "image_free": Look("#009E73", "^", DASHED),
    "image_diffusion": Look("#CC79A7", "D", CHAINED),
    "posterior": Look("#000000", "v"),
    "posterior_free": Look("#8A7A00", "<", DOTTED),
}
"""Modes that look the same in every study that has them."""
OTHERS = (
    Look("#009E73", "^"),
    Look("#CC79A7", "D"),
    Look("#D55E00", "v"),
    Look("#56B4E9", "P"),
    Look("#000000", "X", DASHED),
    Look("#8A7A00", "<", CHAINED),
    Look("#6A3D9A", ">", LONG),
    Look("#7F4F24", "h", DOTTED),
)
"""For all other modes, those first whose colour no known mode of the study has."""
BASELINES = (Look("#6A3D9A", "*"), Look("#7F4F24", "p"), Look("#5F5F5F", "h"))
"""For implementations of others, by name."""
SHAPES = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "p", "d", "8")
DASHES: tuple[Line, ...] = (DASHED, DOTTED, CHAINED, LONG, (0, (1, 2.5)), (0, (6, 1, 1, 1, 1, 1)))
CONTRAST = Look("#0072B2", "o")
"""Of a paired difference, which belongs to two trainings."""
MASK, IMAGE = Look("#0072B2", "o"), Look("#D55E00", "D", (0, (5, 1.2, 1, 1.2)))
"""Of a mask and an image that no network has seen."""
ORACLES = (
    Look("#000000", "o"),
    Look("#D55E00", "s", DASHED),
    Look("#56B4E9", "^", DOTTED),
    Look("#009E73", "D", CHAINED),
    Look("#CC79A7", "v", LONG),
)
"""Of what reads masks without training."""


class Looks:
    """The looks of a report.

    Args:
        samplers: each mode with its samplers and readings, the first of which is the usual one.
        baselines: implementations of others.
    """

    def __init__(self, samplers: Mapping[str, Sequence[str]], baselines: Sequence[str] = ()):
        taken = {KNOWN[mode].colour for mode in samplers if mode in KNOWN}
        others = sorted(OTHERS, key=lambda look: look.colour in taken)
        self._modes: dict[str, Look] = {}
        for mode in samplers:
            number = len(self._modes.keys() - KNOWN.keys())
            self._modes[mode] = KNOWN.get(mode) or _further(others, number)
        self._readings: dict[tuple[str, str], Look] = {}
        open_shapes: dict[str, set[str]] = {}
        for mode, names in samplers.items():
            look = self._modes[mode]
            start = SHAPES.index(look.marker) + 1
            for number, name in enumerate(names[1:]):
                used = open_shapes.setdefault(look.colour, set())
                free = [shape for shape in SHAPES[start:] + SHAPES[:start] if shape not in used]
                shape = free[0] if free else SHAPES[(start + number) % len(SHAPES)]
                used.add(shape)
                line = DASHES[number % len(DASHES)]
                self._readings[mode, name] = Look(look.colour, shape, line, filled=False)
        self._baselines = {
            name: _further(BASELINES, number) for number, name in enumerate(baselines)
        }

    @classmethod
    def of(cls, *tables: pd.DataFrame) -> "Looks":
        """The looks of everything that some tables name, known modes first."""
        samplers: dict[str, list[str]] = {}
        baselines: list[str] = []
        for table in tables:
            columns = [name for name in ("network", "mode", "sampler") if name in table]
            if "mode" not in columns:
                continue
            for row in trained(table)[columns].drop_duplicates().to_dict("records"):
                if row["mode"] == REFERENCE:
                    baselines.append(str(row["network"]))
                else:
                    found = samplers.setdefault(str(row["mode"]), [])
                    found += [str(row["sampler"])] if row.get("sampler") is not None else []
        ordered = sorted(samplers, key=lambda mode: [*MODES, mode].index(mode))
        return cls(
            {mode: list(dict.fromkeys(samplers[mode])) for mode in ordered},
            list(dict.fromkeys(baselines)),
        )

    def mode(self, mode: str) -> Look:
        """The look of a training."""
        return self._modes.get(mode) or OTHERS[0]

    def of_row(self, network: str, mode: str, sampler: str) -> Look:
        """The look of a row of a table of scores; `network` decides for baselines alone."""
        if mode == REFERENCE:
            return self._baselines.get(network) or BASELINES[0]
        return self._readings.get((mode, sampler)) or self.mode(mode)

    def named(self, modes: Iterable[str]) -> dict[str, Look]:
        """The looks of some modes, by name."""
        return {mode: self.mode(mode) for mode in modes}


def cycled(looks: Sequence[Look], names: Sequence[str]) -> dict[str, Look]:
    """A look for each of some names that are no trainings."""
    return {name: _further(looks, number) for number, name in enumerate(names)}


def _further(looks: Sequence[Look], number: int) -> Look:
    """One of some looks; when there is none left, a colour comes again with another marker."""
    look = looks[number % len(looks)]
    again = number // len(looks)
    if not again:
        return look
    place = SHAPES.index(look.marker) if look.marker in SHAPES else 0
    return look._replace(
        marker=SHAPES[(place + again * 3) % len(SHAPES)], line=DASHES[again % len(DASHES)]
    )
