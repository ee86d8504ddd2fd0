"""Tables as lists of columns, written as Markdown, and blocks between markers of a document."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from noise2mask.errors import UserError
from noise2mask.files import write_text


class Column(NamedTuple):
    """One column of a table.

    Attributes:
        title: what stands above it.
        text: from a row of the table to the words in its cell.
        left: whether it is text, which stands at the left.
        value: from a row to what the cell is sorted by; its words without it.
    """

    title: str
    text: Callable[[Any], str]
    left: bool = False
    value: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Table:
    """Rows of any kind, and the columns that make cells of them."""

    columns: Sequence[Column]
    rows: Sequence[Any]

    def cells(self) -> list[list[str]]:
        """The words in each cell, row by row."""
        return [[column.text(row) for column in self.columns] for row in self.rows]

    def __bool__(self) -> bool:
        """Whether there is a row."""
        return len(self.rows) > 0


def escaped(text: str) -> str:
    """Text that stays in its cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def as_markdown(table: Table) -> str:
    """A table in Markdown; nothing without a row."""
    if not table:
        return ""
    header = [escaped(column.title) for column in table.columns]
    body = [[escaped(text) for text in row] for row in table.cells()]
    return grid(header, body, left=sum(column.left for column in table.columns))


def grid(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A table whose first `left` columns are left-aligned, readable as plain text too."""
    widths = [max(3, *(len(row[k]) for row in [header, *rows])) for k in range(len(header))]
    rule = [
        "-" * width if column < left else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    lines = padded([header, rule, *rows], left)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def padded(rows: Sequence[Sequence[str]], left: int) -> list[list[str]]:
    """Cells as wide as the widest of their columns, the first `left` of which are left-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        [
            text.ljust(width) if column < left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]


def update_document(document: Path, name: str, block: str) -> None:
    """Put `block` between the markers `name` of a file, see :func:`update_between_markers`.

    Raises:
        UserError: the file cannot be read, or has no such markers.
    """
    try:
        before = document.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{document} cannot be read: {error}; give a text file.") from None
    write_text(document, update_between_markers(before, name, block))


def update_between_markers(text: str, name: str, block: str) -> str:
    """`text` with `block` between ``<!-- name:begin -->`` and ``<!-- name:end -->``.

    Raises:
        UserError: a marker is missing or there more than once, or they are in the wrong order.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise UserError(
            f"the document needs the markers {begin} and {end}, once each and in this order; it "
            f"has {text.count(begin)} and {text.count(end)}; put them where the block belongs."
        )
    before, rest = text.split(begin)
    return f"{before}{begin}\n{block.strip()}\n{end}{rest.split(end)[1]}"
