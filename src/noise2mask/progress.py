"""Progress of long work as plain lines, readable in a terminal and in a log alike."""

import logging
import time

LOG = logging.getLogger("noise2mask")


def spoken(seconds: float) -> str:
    """A duration as a person would say it: ``8 s``, ``3 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Progress:
    """Says at most every `every` seconds how far some work is and when it will end.

    Args:
        label: what is being done.
        total: number of steps in all.
        done: steps already done by an earlier, interrupted process.
        every: seconds between two lines.
    """

    def __init__(self, label: str, total: int, done: int = 0, every: float = 15.0):
        self._label, self._total, self._first, self._every = label, total, done, every
        self._start = self._last = time.monotonic()
        if done:
            LOG.info("%s: goes on at %d of %d", label, done, total)

    def update(self, done: int, note: str = "") -> None:
        """Say that `done` steps are done."""
        now = time.monotonic()
        finished = done >= self._total
        if now - self._last < self._every and not finished:
            return
        self._last = now
        took = now - self._start
        left = took / max(1, done - self._first) * (self._total - done)
        end = f"took {spoken(took)}" if finished else f"about {spoken(left)} left"
        LOG.info(
            "%s: %d of %d (%.0f %%), %s%s",
            self._label,
            done,
            self._total,
            100 * done / self._total,
            end,
            f", {note}" if note else "",
        )
