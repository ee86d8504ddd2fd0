"""What every kind of dataset gives: its sources, cheaply, and each one's arrays on request.

A kind is a module in ``formats/`` with two functions at its top level::

    def sources(*, <options>) -> Listing                       ids, groups, splits; decodes nothing
                                                               (a plain list where no file is read)
    def load(source: Source) -> tuple[Image, Mask | Levels]    decodes one, in any process

Where one file cannot say how it is to be read (which of two values is foreground), the whole set
is asked; then the module has two more::

    def survey(source: Source, images: bool = False) -> Facts  looks at one, in any process
    def judged(listing: Listing, facts: Sequence[Facts]) -> Listing
                                                               decides for all, or refuses
    def described(listing: Listing, facts: Sequence[Facts]) -> list[str]
                                                               what was decided, for a person

A module whose `sources` is slow (it reads voxels) also has ``files(*, <options>) -> list[Path]``,
and one that knows more of a case has ``load_known(source) -> (image, mask, Details)``.
"""

import hashlib
import multiprocessing
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from noise2mask import plugins
from noise2mask.progress import Progress

Image = npt.NDArray[np.uint8]  # (H, W, C), C is 1 (grey) or 3 (RGB)
Mask = npt.NDArray[np.bool_]  # (H, W), True is foreground
Levels = npt.NDArray[np.uint8]  # (H, W), 0 background, 1 foreground, LEFT_OUT

LEFT_OUT = 2
"""Level of pixels of a mask that nobody judged: they count in no loss and in no score."""

Work = Callable[..., Iterator[Any]]
"""``work(function, items, *more)``: results in the order of the items, as of the built-in `map`."""

FEW = 3  # examples that a sentence names


@dataclass(frozen=True)
class Source:
    """One raw image and its mask, not yet decoded.

    Attributes:
        id: unique within the dataset.
        group: cases of one group (patient, slide) never lie in two splits.
        split: the official split, or None.
        payload: what `load` needs, e.g. the paths "image" and "mask"; picklable.
    """

    id: str
    group: str
    split: str | None
    payload: Mapping[str, Any]


class Slice(NamedTuple):
    """Where a case lies in a volume: the volume, its place along it, mm from place to place."""

    volume: str
    number: int
    thickness: float


class Details(NamedTuple):
    """What is known of a case besides its image and mask.

    Attributes:
        references: masks of several annotators (R, H, W); None: the mask is all.
        sides: mm between rows and between columns; None: nobody says it.
        slice: of a volume; None: the case is none.
    """

    references: npt.NDArray[np.bool_] | None = None
    sides: tuple[float, float] | None = None
    slice: Slice | None = None


class Listing(list[Source]):
    """The sources of a dataset, and what was met on the way to them.

    Attributes:
        unused: what lies there and is not used, by the reason, e.g. ``{"of a suffix that is not
            read": ("images/a.xyz",)}``.
        tables: files that said something of the cases, as a CSV of splits does.
        notes: sentences about decisions that a person may want to know.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        *,
        unused: Mapping[str, Sequence[str]] | None = None,
        tables: Sequence[Path] = (),
        notes: Sequence[str] = (),
    ):
        super().__init__(sources)
        self.unused = {reason: tuple(names) for reason, names in (unused or {}).items() if names}
        self.tables = tuple(tables)
        self.notes = tuple(notes)

    def with_sources(self, sources: Iterable[Source], *notes: str) -> "Listing":
        """Other sources, and more notes, with all the rest as it is."""
        return Listing(sources, unused=self.unused, tables=self.tables, notes=(*self.notes, *notes))

    def files(self) -> list[Path]:
        """Every file that the sources name, and the tables, each once, sorted."""
        named = (path for source in self for path in _paths(source.payload.values()))
        return sorted({*named, *self.tables})

    def sentences(self) -> list[str]:
        """What a person should know of the listing: what is not used, and the notes."""
        return [*(not_used(reason, names) for reason, names in self.unused.items()), *self.notes]


def _paths(values: Iterable[Any]) -> Iterator[Path]:
    for value in values:
        if isinstance(value, Path):
            yield value
        elif isinstance(value, tuple | list):
            yield from _paths(value)


def not_used(reason: str, names: Sequence[str]) -> str:
    """The sentence for what lies beside the cases."""
    lead = "1 entry is" if len(names) == 1 else f"{len(names)} entries are"
    return f"{lead} not used, {reason}: {some(names)}."


def some(names: Sequence[str], few: int = FEW) -> str:
    """The first few names: ``a, b, c and 7 more``."""
    rest = len(names) - few
    return ", ".join(names[:few]) + (f" and {rest} more" if rest > 0 else "")


# Asking a kind --------------------------------------------------------------------------------


def listed(kind: str, options: Mapping[str, Any]) -> Listing:
    """The sources of a dataset, sorted by id, one spelling for each group.

    Raises:
        UserError: the raw data do not have the promised form.
    """
    listing: Listing = plugins.member("format", kind)(**options)
    listing = listing if isinstance(listing, Listing) else Listing(listing)
    ordered = sorted(listing, key=lambda source: source.id)
    spelling, note = one_spelling([source.group for source in ordered])
    renamed = [
        source if source.group == group else replace(source, group=group)
        for source, group in zip(ordered, spelling, strict=True)
    ]
    return listing.with_sources(renamed, *note)


def one_spelling(groups: Sequence[str]) -> tuple[list[str], list[str]]:
    """Groups without blanks about them, and one spelling of those that programs write apart.

    ``P1``, ``P1 `` and ``p1`` are one patient, and so are ``1``, ``01`` and ``1.0``: taking two for
    one leaks nothing, the other way round does.

    Returns:
        The groups, and a sentence if several spellings became one.
    """
    spellings: dict[str, set[str]] = {}
    for group in groups:
        spellings.setdefault(_folded(group), set()).add(group)
    chosen = {key: min(known).strip() for key, known in spellings.items()}
    told = [
        " = ".join(repr(name) for name in sorted(known))
        for known in spellings.values()
        if len(known) > 1
    ]
    note = (
        f"spellings of groups that differ in case, blanks or zeros are taken as one: {some(told)}."
    )
    return [chosen[_folded(group)] for group in groups], [note] if told else []


def _folded(group: str) -> str:
    """A group without what programs change of it.

    Case, blanks, width and marks that do not show; of a number the zeros about it, because a table
    with an empty cell writes 1 as 1.0.
    """
    shown = "".join(each for each in group if unicodedata.category(each) != "Cf")
    plain = " ".join(unicodedata.normalize("NFKC", shown).casefold().split())
    number = re.fullmatch(r"0*(\d+?)(?:\.0*)?", plain, re.ASCII)
    return number[1] if number else plain


def decided(kind: str, listing: Listing, facts: Sequence[Any]) -> Listing:
    """The listing with what the whole set says of how each source is read.

    Args:
        kind: of the dataset.
        listing: its sources.
        facts: what :func:`surveyed` gave for each.

    Raises:
        UserError: the files can be read in two ways; both are named.
    """
    judge = function_of(kind, "judged")
    result: Listing = listing if judge is None else judge(listing, facts)
    return result


def surveyed(kind: str, listing: Listing, label: str, work: Work) -> list[Any]:
    """What :func:`decided` needs of each source; an empty list of kinds that decide alone.

    Raises:
        UserError: a file cannot be read.
    """
    survey = function_of(kind, "survey")
    if survey is None:
        return []
    progress = Progress(label, len(listing))
    facts = []
    for done, fact in enumerate(work(survey, listing), start=1):
        facts.append(fact)
        progress.update(done)
    return facts


def function_of(kind: str, name: str) -> Any:
    """Another function of a kind's module, None if it has none of this name."""
    try:
        return plugins.member("format", kind, name)
    except AttributeError:
        return None


# Masks that leave pixels out ------------------------------------------------------------------


def with_left_out(mask: Mask, left_out: Mask) -> Levels:
    """A mask with pixels that are left out, wherever they lie."""
    return np.where(left_out, LEFT_OUT, mask).astype(np.uint8)


def foreground_of(mask: Mask | Levels) -> Mask:
    """Where a mask says foreground; what is left out is none."""
    return np.asarray(mask == 1)


# Working on many ------------------------------------------------------------------------------


@contextmanager
def workers(processes: int) -> Iterator[Work]:
    """Something that maps like `map`, in several processes that stay for all that is asked."""
    if processes <= 1:
        yield map
        return
    # Fresh interpreters ("spawn"): a forked child can deadlock on a lock that a thread held.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        try:
            yield partial(pool.map, chunksize=8)
        finally:
            pool.shutdown(cancel_futures=True)


def digest_of(source: Source, role: str, array: npt.NDArray[Any]) -> str:
    """SHA-256 of the file of a source's "image" or "mask", of the array where it has no file."""
    path = source.payload.get(role)
    content = path.read_bytes() if isinstance(path, Path) else array.tobytes()
    return hashlib.sha256(content).hexdigest()


def digest_of_pixels(array: npt.NDArray[Any]) -> str:
    """SHA-256 of what an array holds and of its shape, however its file was packed."""
    return hashlib.sha256(str(array.shape).encode() + array.tobytes()).hexdigest()
