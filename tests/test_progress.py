import logging
from types import SimpleNamespace

import pytest

from noise2mask.progress import Progress, in_bytes


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
