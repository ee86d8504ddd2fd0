"""Long work: its progress as plain lines, and how it is stopped with nothing lost.

A scheduler ends a job by SIGTERM and kills it some seconds later; a user presses Ctrl-C. Work that
can be resumed asks between two steps whether it is to stop (:func:`stoppable`), saves a checkpoint
and raises :class:`Stopped`; other work stops at once.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LOG = logging.getLogger("noise2mask")

WORKFLOW = "NOISE2MASK_WORKFLOW"
"""Environment variable that holds the process that started this one and ends with it."""
GRACE = 10.0
"""Seconds that work has to come to an end, once it is asked to."""


class Stopped(KeyboardInterrupt):
    """The process was asked to end by a signal, or because what started it is gone."""

    def __init__(self, number: int):
        super().__init__(number)
        self.status = 128 + number
        """Exit status, as a shell names it."""


class _Request:
    """The signal that asked this process to stop, and whether work waits for a good moment."""

    number: int | None = None
    waits = False
    heeded: tuple[signal.Signals, ...] = ()
    """Signals that are requests here, and nowhere else: what a library forks ends by them."""


def _ask(number: int, _: Any) -> None:
    again, _Request.number = _Request.number is not None, number
    if again or not _Request.waits:
        raise Stopped(number)


@contextmanager
def stopping_on_request() -> Iterator[None]:
    """Within it signals that end a process raise :class:`Stopped`, unless work waits with it.

    The end of what started the process counts as SIGTERM. A workflow names itself in the variable
    :data:`WORKFLOW`: when it was killed, nobody waits for the result, and another run may want the
    same files.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    parent = os.environ.get(WORKFLOW)
    before = {
        number: signal.signal(number, _ask)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        # `nohup` and a script's `&` have a signal ignored; what a workflow starts heeds its own.
        if parent or signal.getsignal(number) is not signal.SIG_IGN
    }
    _Request.heeded = tuple(before)
    if parent:
        follow(int(parent), lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _Request.number, _Request.waits, _Request.heeded = None, False, ()


def _forked() -> None:
    for number in _Request.heeded:
        signal.signal(number, signal.SIG_DFL)
    _heed()
    _Request.heeded = ()


def _heed() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _Request.heeded)


# A worker inherits the handlers. With them a pool that ends its workers would wait for ever for one
# that takes it for a request; blocked in between, because Python drops what comes while it forks.
os.register_at_fork(
    before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, _Request.heeded),
    after_in_parent=_heed,
    after_in_child=_forked,
)


def follow(parent: int, end: Callable[[], None]) -> None:
    """Call `end` when the process that started this one is gone.

    Args:
        parent: that process.
        end: what brings this one to its end; if it has not in :data:`GRACE` seconds, it is ended.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        end()
        time.sleep(GRACE)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def stoppable() -> Iterator[Callable[[], Stopped | None]]:
    """Let work wait with a request to stop until it can be left in order.

    The function that is given is asked between two steps. What it gives, if anything, is raised
    within :data:`GRACE` seconds, after a checkpoint. A second request stops at once.
    """
    _Request.waits = True
    try:
        yield lambda: None if _Request.number is None else Stopped(_Request.number)
    finally:
        _Request.waits = False


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
