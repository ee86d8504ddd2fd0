"""Readers of the kernel's counters, on made-up files and on this machine."""

import sys
from pathlib import Path

import pytest

from noise2mask.evaluation import meters
from noise2mask.evaluation.meters import Counter


def domain(root: Path, folder: str, name: str, value: int, limit: int = 1000) -> None:
    (root / folder).mkdir(parents=True)
    for file, content in (("name", name), ("energy_uj", value), ("max_energy_range_uj", limit)):
        (root / folder / file).write_text(f"{content}\n")


def test_packages_and_their_memory_are_counted_once(tmp_path):
    domain(tmp_path, "intel-rapl:0", "package-0", 10)
    domain(tmp_path, "intel-rapl:0:0", "core", 7)  # inside the package
    domain(tmp_path, "intel-rapl:0:1", "dram", 3)
    domain(tmp_path, "intel-rapl:1", "package-1", 20)
    domain(tmp_path, "intel-rapl:2", "psys", 99)  # holds both packages
    domain(tmp_path, "intel-rapl-mmio:0", "package-0", 10)  # the same package, read otherwise
    assert meters.processor_counters(tmp_path) == {
        "intel-rapl:0": Counter(10, 1000),
        "intel-rapl:0:1": Counter(3, 1000),
        "intel-rapl:1": Counter(20, 1000),
    }


def test_a_machine_without_counters_has_none(tmp_path):
    assert meters.processor_counters(tmp_path / "absent") == {}
    domain(tmp_path, "intel-rapl:0", "package-0", 10)
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
    assert meters.processor_counters(tmp_path) == {}
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("busy\n")
    assert meters.processor_counters(tmp_path) == {}


def test_counters_that_only_root_may_read_are_none(tmp_path, monkeypatch):
    domain(tmp_path, "intel-rapl:0", "package-0", 10)
    honest = Path.read_text

    def refusing(self, *given, **named):
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return honest(self, *given, **named)

    monkeypatch.setattr(Path, "read_text", refusing)
    assert meters.processor_counters(tmp_path) == {}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 100}, {"a": 600}, 500e-6),
        ({"a": 900}, {"a": 200}, 300e-6),  # it began anew
        ({"a": 900, "b": 10}, {"a": 200, "b": 15}, 305e-6),
        ({"a": 100}, {"a": 100}, None),  # too short to be seen, not free
        ({}, {}, None),
        ({"a": 100}, {}, None),
        ({}, {"a": 100}, None),
        ({"a": 100}, {"a": 200, "b": 1}, None),
    ],
)
def test_energy_between_two_readings(before, after, expected):
    counters = [
        {key: Counter(value, 1000) for key, value in one.items()} for one in (before, after)
    ]
    found = meters.joules(*counters)
    assert found is None if expected is None else found == pytest.approx(expected)


class FakeNvml:
    class NVMLError(Exception):
        pass

    def nvmlInit(self):  # noqa: N802
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        if uuid != "GPU-abc":
            raise self.NVMLError("not found")
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802
        return 1500


def test_the_counter_of_a_gpu_is_in_microjoules(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    assert meters.graphics_counters("abc")["abc"].value == 1_500_000
    assert meters.graphics_counters("other") == {}
    monkeypatch.setitem(sys.modules, "pynvml", None)  # not installed
    assert meters.graphics_counters("abc") == {}


def test_memory_is_read_in_bytes(tmp_path):
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t    300 kB\nVmRSS:\t    200 kB\n")
    assert meters.memory(tmp_path) == (200 * 1024, 300 * 1024)


def test_memory_that_is_not_told_is_none(tmp_path):
    assert meters.memory(tmp_path) is None
    (tmp_path / "status").write_text("Name:\tpython\n")
    assert meters.memory(tmp_path) is None
    assert not meters.forget_peak(tmp_path)
    assert not (tmp_path / "clear_refs").exists()


def test_forgetting_a_peak_writes_what_the_kernel_wants(tmp_path):
    (tmp_path / "clear_refs").touch()
    assert meters.forget_peak(tmp_path)
    assert (tmp_path / "clear_refs").read_text() == "5"


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no such kernel")
def test_the_peak_of_this_process_is_that_of_the_work_in_between():
    meters.release()
    assert meters.forget_peak()
    start = meters.memory()
    block = bytearray(64_000_000)
    del block
    end = meters.memory()
    assert 60e6 < end.peak - start.now < 80e6
    assert end.now <= end.peak  # what was freed need not have gone back to the system yet
