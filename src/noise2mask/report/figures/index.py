"""What makes a function a figure of the report, and which figures a study has.

A figure is a function of this package with the mark :func:`figure`, which brings its place, its
caption and what to look at. It is found by itself, under its own name, as every plug-in is. Its
parameters say what it is made of: a parameter that has the name of a table gets that table, and
`labels`, `looks` and `cases` are those of the report. Without a table that it needs, or where it
gives None, there is no such figure.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import pandas as pd
from matplotlib.figure import Figure

from noise2mask import plugins
from noise2mask.evaluation.labels import Labels, metric_of
from noise2mask.report.context import Report
from noise2mask.report.figures.style import save, styled

Section = Literal[
    "Quirks",
    "Contrasts",
    "Ablation",
    "Results",
    "Calibration",
    "Draws",
    "Costs",
    "Information",
    "Losses",
    "Masks",
    "Cases",
    "Training",
]
"""Parts of a page that figures stand in, in their order."""
SECTIONS: tuple[Section, ...] = get_args(Section)
IN_REPORT = 6
"""Figures that the text of a report shows; all others lie beside it."""


_WORDS = {
    "all": "all pixels",
    "band": "the band about the reference boundary",
    "log_snr": "log SNR",
    "t": "the timestep t",
}
"""Values of `each` in captions."""


class Drawn(NamedTuple):
    """A figure, with the numbers in it that stand in no table of the study."""

    figure: Figure
    numbers: pd.DataFrame


@dataclass(frozen=True)
class Entry:
    """One figure, as its mark says it.

    Attributes:
        name: of the function.
        section: where it stands.
        caption: what it shows; ``{interval}`` and the names of `each` are filled in.
        look: what to look at.
        rank: its place among those for which the text of a report has room; None for never.
        each: a parameter, with the values that make a figure each, named ``<name>_<value>``.
        draw: the function.
    """

    name: str
    section: Section
    caption: str
    look: str
    rank: int | None
    each: Mapping[str, Sequence[str]]
    draw: Callable[..., Figure | Drawn | None] = field(repr=False)


class Captioned(NamedTuple):
    """A figure that a study may have, with its caption."""

    name: str
    entry: Entry
    caption: str


class Shown(NamedTuple):
    """A figure that was drawn."""

    name: str
    entry: Entry
    caption: str
    figure: Figure
    numbers: pd.DataFrame | None


_Named = TypeVar("_Named", Captioned, Shown)


def figure(
    section: Section,
    caption: str,
    look: str,
    *,
    rank: int | None = None,
    each: Mapping[str, Sequence[str]] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a function as a figure of the report; see :class:`Entry`."""

    def marked(draw: Callable[..., Any]) -> Callable[..., Any]:
        drawn = styled(draw)
        entry = Entry(draw.__name__, section, caption, look, rank, dict(each or {}), drawn)
        drawn.entry = entry  # type: ignore[attr-defined]
        return drawn

    return marked


def entries() -> tuple[Entry, ...]:
    """Every figure that there is, by section."""
    found = [plugins.member("figure", name).entry for name in plugins.names("figure")]
    return tuple(sorted(found, key=lambda entry: SECTIONS.index(entry.section)))


def figures(report: Report) -> Iterator[Shown]:
    """Every figure that a report has, drawn."""
    for entry in entries():
        given = _arguments(entry, report)
        if given is None:
            continue
        for name, chosen in _variants(entry):
            found = entry.draw(**given, **chosen)
            if found is None:
                continue
            drawn, numbers = found if isinstance(found, Drawn) else (found, None)
            yield Shown(name, entry, _caption(entry, chosen, report.labels), drawn, numbers)


def captioned(labels: Labels) -> Iterator[Captioned]:
    """Every figure that a study may have."""
    for entry in entries():
        for name, chosen in _variants(entry):
            yield Captioned(name, entry, _caption(entry, chosen, labels))


def in_report(shown: Sequence[_Named], chosen: Sequence[str] = ()) -> list[_Named]:
    """The figures for the text of a report, the one that decides first.

    Those that a study has `chosen` by name, else the best ranked, one of each function.
    """
    if chosen:
        known = {one.name: one for one in shown}
        return [known[name] for name in chosen if name in known]
    first: dict[str, _Named] = {}
    for one in shown:
        first.setdefault(one.entry.name, one)
    ranked = [one for one in first.values() if one.entry.rank is not None]
    return sorted(ranked, key=lambda one: one.entry.rank or 0)[:IN_REPORT]


def save_figures(shown: Sequence[Shown], folder: Path) -> None:
    """Write each figure to ``<folder>/<name>.png``, and its numbers beside it.

    Figures and numbers of an earlier report that are not among them go.
    """
    from noise2mask.evaluation.tables import save_table

    written = set()
    for one in shown:
        written.add(save(one.figure, folder / one.name))
        if one.numbers is not None:
            save_table(one.numbers, folder / f"{one.name}.csv")
            written.add(folder / f"{one.name}.csv")
    for path in folder.glob("*.*") if folder.exists() else ():
        if path.suffix in (".png", ".svg", ".csv") and path not in written:
            path.unlink()


def _arguments(entry: Entry, report: Report) -> dict[str, Any] | None:
    """What a figure is given; None if something that it needs is not there."""
    others = {"labels": report.labels, "looks": report.looks, "cases": report.cases}
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(entry.draw).parameters.items():
        needed = parameter.default is inspect.Parameter.empty
        if name in entry.each:
            continue
        if name not in others and name not in report.tables:
            if needed:
                raise TypeError(f"figure {entry.name} asks for '{name}', which is no table")
            continue
        value = others[name] if name in others else report.tables[name]
        if value is None or (isinstance(value, pd.DataFrame) and value.empty):
            if needed:
                return None
            continue
        given[name] = value
    return given


def _variants(entry: Entry) -> Iterator[tuple[str, dict[str, str]]]:
    if not entry.each:
        yield entry.name, {}
    for parameter, values in entry.each.items():
        for value in values:
            yield f"{entry.name}_{value}", {parameter: value}


def _caption(entry: Entry, chosen: Mapping[str, str], labels: Labels) -> str:
    words = {"interval": labels.interval(), **chosen}
    words |= {"metric": metric_of(chosen["metric"]).title} if "metric" in chosen else {}
    words |= {key: _WORDS.get(value, value) for key, value in chosen.items() if key != "metric"}
    return entry.caption.format(**words)
