import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from noise2mask.progress import (
    WORKFLOW,
    Progress,
    Stopped,
    in_bytes,
    stoppable,
    stopping_on_request,
)


@pytest.fixture
def lines(caplog, monkeypatch):
    caplog.set_level(logging.INFO, logger="noise2mask")
    clock = SimpleNamespace(monotonic=iter(range(0, 10**6, 20)).__next__)
    monkeypatch.setattr("noise2mask.progress.time", clock)
    return caplog


def test_steps_are_told_with_an_estimate(lines):
    progress = Progress("training", 10, 4)
    progress.update(6, "loss 1")
    progress.update(10)
    assert lines.messages == [
        "training: goes on at 4 of 10",
        "training: 6 of 10 (60 %), about 40 s left, loss 1",
        "training: 10 of 10 (100 %), took 40 s",
    ]


def test_bytes_are_told_with_their_rate(lines):
    Progress("fetching", 3 * 10**9, shown=in_bytes).update(10**9)
    Progress("fetching", None, 10**6, shown=in_bytes).update(3 * 10**6)
    assert lines.messages == [
        "fetching: 1.0 GB of 3.0 GB (33 %), 50.0 MB/s, about 40 s left",
        "fetching: goes on at 1.0 MB",
        "fetching: 3.0 MB, 100.0 kB/s",
    ]


def test_lines_keep_their_distance(lines):
    progress = Progress("preparing", 3, every=30)
    for done in (1, 2, 3):
        progress.update(done)
    assert len(lines.messages) == 2


def test_nothing_to_do_is_told_without_an_error(lines):
    Progress("verifying", 0, shown=in_bytes).update(0)
    assert lines.messages == ["verifying: 0 B of 0 B (0 %), 0 B/s, took 20 s"]


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1e3, "1.0 kB"), (12_345_678, "12.3 MB")]
)
def test_bytes_are_written_as_people_say_them(count, text):
    assert in_bytes(count) == text


@pytest.fixture
def heeded():
    """SIGINT as in a terminal: a test run that a script started with `&` has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_a_signal_stops_at_once_what_does_not_wait():
    handler = signal.getsignal(signal.SIGTERM)
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        with stopping_on_request(), pytest.raises(Stopped) as stopped:
            os.kill(os.getpid(), number)
        assert stopped.value.status == status
    assert signal.getsignal(signal.SIGTERM) is handler


def test_work_that_waits_is_asked_between_two_steps():
    with stopping_on_request():
        with stoppable() as asked:
            assert asked() is None
            os.kill(os.getpid(), signal.SIGTERM)
            assert asked().status == 143
            with pytest.raises(Stopped):  # whoever asks twice is in a hurry
                os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGTERM)
    with stopping_on_request(), stoppable() as asked:
        assert asked() is None


WORK = """
import sys, time
from noise2mask.progress import Stopped, stopping_on_request
try:
    with stopping_on_request():
        print("at work", flush=True)
        time.sleep(300)
except Stopped as stopped:
    print("stopped", stopped.status, flush=True)
"""
STARTER = """
import os, subprocess, sys
environment = os.environ | {"NOISE2MASK_WORKFLOW": str(os.getpid())}
subprocess.Popen([sys.executable, "-c", sys.argv[1]], env=environment)
"""


def test_work_ends_with_the_workflow_that_started_it():
    """The starter ends at once, as if it was killed; what it started does not go on for ever."""
    assert WORKFLOW == "NOISE2MASK_WORKFLOW"
    done = subprocess.run(
        [sys.executable, "-c", STARTER, WORK], stdout=subprocess.PIPE, text=True, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "stopped 143"


def test_workers_that_a_library_forks_end_when_its_pool_ends_them():
    """Their request to stop is not the work's: a pool that joins a deaf worker waits for ever."""
    with stopping_on_request(), stoppable():
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
        worker.start()
        worker.terminate()
        worker.join(60)
        ended = worker.exitcode
        worker.kill()
    assert ended == -signal.SIGTERM
