"""Regular expressions of users are searched within a time."""

import re
import signal
import threading

import pytest

from noise2mask import patterns
from noise2mask.errors import UserError

ENDLESS = re.compile(r"^(\w+)+$"), "a" * 40 + "!"


def test_what_takes_too_long_is_told_with_its_option(monkeypatch):
    monkeypatch.setattr(patterns, "LIMIT", 0.05)
    expression, text = ENDLESS
    with (
        pytest.raises(UserError, match=r"group_pattern '\^x' takes more than 0 s on the names of"),
        patterns.bounded("^x", "group_pattern"),
    ):
        expression.search(text)


def test_what_ends_in_time_leaves_no_trace():
    before = signal.getsignal(signal.SIGVTALRM)
    with patterns.time_limit(0.05):
        pass
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGVTALRM) == before


def test_another_thread_has_no_limit():
    ended = []

    def work():
        with patterns.time_limit(0.001):
            sum(range(200_000))
        ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [True]


@pytest.mark.parametrize(
    "pattern", [r"^(?:train|test)_(.+)_y\d+x\d+$", r"^([^_]+)_", r"(\d+)", r"^[LR]_(?P<p>\w+)$"]
)
def test_usual_patterns_can_be_used(pattern):
    assert patterns.fault_of(pattern) is None
