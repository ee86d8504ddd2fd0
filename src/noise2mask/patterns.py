r"""Regular expressions that users give: checked when they are read, and searched within a time.

Some expressions take time that doubles with each further character of a name that does not match,
such as ``^(\w+)+$``. Python's engine cannot be told a limit, but it lets signals through.
"""

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from noise2mask.errors import UserError

LIMIT = 5.0
"""Seconds of this process that one expression may take on all names of a dataset."""
_PROBED = 0.25
"""Seconds that it may take on a few names made up of its own characters."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block when it takes longer, in time of this process.

    In another thread than the main one there is no limit, as signals do not reach it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_: int, __: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def fault_of(pattern: str) -> str | None:
    """What is wrong with an expression, None if it can be used."""
    try:
        expression = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"{pattern[:80]!r} is no regular expression ({error})"
    words = re.findall(r"\w+", pattern)
    probes = [
        f"{start}{letter * 30}\x00"
        for start in ("", *words[:4])
        for letter in dict.fromkeys(("a", "0", "_", *re.findall(r"[^\\\W]|[-. ]", pattern)[:8]))
    ]
    try:
        with time_limit(_PROBED):
            for text in probes:
                expression.search(text)
    except TimeoutError:
        return (
            f"{pattern[:80]!r} takes time that grows without bound on names that do not match; "
            "do not repeat a group that holds a repetition"
        )
    return None


@contextmanager
def bounded(pattern: str, option: str) -> Iterator[None]:
    """Search with an expression in the block, within :data:`LIMIT` seconds.

    Args:
        pattern: the expression, for the message.
        option: that gave it.

    Raises:
        UserError: it takes longer.
    """
    try:
        with time_limit(LIMIT):
            yield
    except TimeoutError:
        raise UserError(
            f"{option} {pattern!r} takes more than {LIMIT:.0f} s on the names of this dataset; do "
            "not repeat a group that holds a repetition."
        ) from None
