"""Which files lie in a folder, under which names, and which of them are passed over.

Names are compared in composed Unicode (NFC): macOS and Linux write ``ä`` differently. Links are
followed, but not back into a folder that they lie in. What operating systems and editors leave
behind is passed over without a word (:data:`JUNK`); whatever else is not used has to be counted and
named by the caller.
"""

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from noise2mask.errors import UserError

JUNK = {"__MACOSX", ".DS_Store", "Thumbs.db", "ehthumbs.db", "desktop.ini"}


class Entry(NamedTuple):
    """A file below a folder: its path, and its place there, composed, with ``/`` between parts."""

    path: Path
    place: str


def folder_of(root: str) -> Path:
    """The folder that a user named; ``~`` is the home folder."""
    return Path(root).expanduser()


def is_junk(name: str) -> bool:
    """Whether an operating system or an editor left it there."""
    return name in JUNK or name.startswith("._") or name.endswith("~")


def files_below(
    folder: Path, *, without: Sequence[Path] = (), deep: bool = True
) -> Iterator[Entry]:
    """The files below a folder that are not hidden, sorted by their place, folders first.

    Args:
        folder: where to look.
        without: folders in it that are passed over.
        deep: look into its folders too.

    Raises:
        UserError: a name is no text.
    """
    above = {os.fspath(folder): frozenset({os.path.realpath(folder)})}
    for here, folders, names in os.walk(folder, followlinks=True):
        place = Path(here).relative_to(folder)
        known = above.pop(here)
        kept = [
            name
            for name in sorted(folders)
            if not name.startswith(".") and not is_junk(name) and Path(here, name) not in without
        ]
        folders[:] = []
        for name in kept if deep else []:
            inside = f"{here}{os.sep}{name}"  # as `os.walk` writes it
            real = os.path.realpath(inside)
            if real not in known:  # a link to a folder above would be entered for ever
                above[inside] = known | {real}
                folders.append(name)
        for name in sorted(names):
            if not name.startswith(".") and not is_junk(name):
                yield Entry(Path(here, name), composed((place / name).as_posix()))


def composed(name: str) -> str:
    """A name in composed Unicode.

    Raises:
        UserError: the file system gives bytes that are no text.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name)
        raise UserError(
            f"the name {shown!r} holds bytes that are no text in UTF-8; rename the file, e.g. with "
            "`convmv`."
        ) from None
    return unicodedata.normalize("NFC", name)
