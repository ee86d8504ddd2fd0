"""Progress of long work as plain lines, readable in a terminal and in a log alike."""

import logging
import time
from collections.abc import Callable

LOG = logging.getLogger("noise2mask")


def spoken(seconds: float) -> str:
    """A duration as a person would say it: ``8 s``, ``3 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def in_bytes(count: float) -> str:
    """A number of bytes as a person would say it: ``512 B``, ``12.3 MB``, ``1.4 GB``."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"


class Progress:
    """Says at most every `every` seconds how far some work is and when it will end.

    Args:
        label: what is being done.
        total: number of steps in all, None if nobody knows.
        done: steps already done by an earlier, interrupted process.
        every: seconds between two lines.
        shown: how a number of steps is written, e.g. :func:`in_bytes`; with it goes the rate.
    """

    def __init__(
        self,
        label: str,
        total: int | None,
        done: int = 0,
        every: float = 15.0,
        shown: Callable[[float], str] | None = None,
    ):
        self._label, self._total, self._first, self._every = label, total, done, every
        self._shown, self._has_rate = shown or "{:.0f}".format, shown is not None
        self._start = self._last = time.monotonic()
        if done:
            of_total = "" if total is None else f" of {self._shown(total)}"
            LOG.info("%s: goes on at %s%s", label, self._shown(done), of_total)

    def update(self, done: int, note: str = "") -> None:
        """Say that `done` steps are done."""
        now = time.monotonic()
        finished = self._total is not None and done >= self._total
        if now - self._last < self._every and not finished:
            return
        self._last = now
        took = now - self._start
        parts = [self._shown(done)]
        if self._total is not None:
            share = 100 * done / max(1, self._total)
            parts = [f"{self._shown(done)} of {self._shown(self._total)} ({share:.0f} %)"]
        if self._has_rate:
            parts.append(f"{self._shown((done - self._first) / max(took, 1e-3))}/s")
        if finished:
            parts.append(f"took {spoken(took)}")
        elif self._total is not None:
            left = took / max(1, done - self._first) * (self._total - done)
            parts.append(f"about {spoken(left)} left")
        LOG.info("%s: %s", self._label, ", ".join([*parts, *filter(None, [note])]))
