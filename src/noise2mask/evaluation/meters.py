"""What the machine says of its memory and energy; nothing where it says nothing.

Each reader takes the folder that the kernel's files lie in. A reading that the machine does not
offer, or that this user may not see, is None: an unknown price is no price of 0.
"""

import ctypes
import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

POWERCAP = Path("/sys/class/powercap")
PROCESS = Path("/proc/self")


class Counter(NamedTuple):
    """An energy counter: microjoules so far, and the number of them after which it begins anew."""

    value: int
    range: int


class Memory(NamedTuple):
    """Resident memory of this process in bytes: at present, and the most since the last reset."""

    now: int
    peak: int


def processor_counters(root: Path = POWERCAP) -> dict[str, Counter]:
    """Energy counters of the processor packages and their memory (RAPL), by domain.

    They count what the whole machine does, idle cores included. Other domains are parts of these
    (cores, graphics) or hold them (the platform), and would be counted twice.

    Args:
        root: folder of the kernel's power capping files.

    Returns:
        Nothing if the machine has no counters or they may be read by root only.
    """
    found = {}
    try:
        for domain in sorted(root.glob("intel-rapl:*")):
            name = (domain / "name").read_text(encoding="ascii").strip()
            if name.startswith("package") or name == "dram":
                value, limit = (
                    int((domain / file).read_text(encoding="ascii"))
                    for file in ("energy_uj", "max_energy_range_uj")
                )
                found[domain.name] = Counter(value, limit)
    except (OSError, ValueError):
        return {}
    return found


def graphics_counters(uuid: str) -> dict[str, Counter]:
    """The energy counter of one GPU (NVML), if ``pynvml`` is installed and the GPU has one.

    Args:
        uuid: of the GPU as torch gives it, without the prefix ``GPU-``.
    """
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return {}
    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        millijoules = int(nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
    except nvml.NVMLError:
        return {}
    return {uuid: Counter(1000 * millijoules, 1000 * 2**64)}


def joules(before: Mapping[str, Counter], after: Mapping[str, Counter]) -> float | None:
    """Energy between two readings of the same counters.

    A counter that fell has begun anew once; work that lasts longer than a round of the counter
    (minutes to hours) is not for this.

    Returns:
        None if there is no counter, one is missing in a reading, or none has moved: the work
        was shorter than the counters' interval.
    """
    if not before or before.keys() != after.keys():
        return None
    moved = sum(
        (after[domain].value - counter.value) % counter.range for domain, counter in before.items()
    )
    return moved / 1e6 if moved else None


def memory(root: Path = PROCESS) -> Memory | None:
    """Resident memory of this process; None where the kernel does not tell."""
    try:
        lines = (root / "status").read_text(encoding="ascii", errors="replace").splitlines()
        sizes = {
            key: 1024 * int(value.split()[0])
            for key, _, value in (line.partition(":") for line in lines)
            if key in ("VmRSS", "VmHWM")
        }
        return Memory(sizes["VmRSS"], sizes["VmHWM"])
    except (OSError, KeyError, ValueError):
        return None


def forget_peak(root: Path = PROCESS) -> bool:
    """Let the peak of :func:`memory` begin at the present size; whether that could be done."""
    try:
        file = os.open(root / "clear_refs", os.O_WRONLY)
    except OSError:
        return False
    try:
        os.write(file, b"5")
    except OSError:
        return False
    finally:
        os.close(file)
    return True


def release() -> None:
    """Give memory that the C library keeps for later back to the kernel, where it can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
