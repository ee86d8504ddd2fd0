"""What of a machine decides the last bits of a number: its processor and its linear algebra."""

import platform
from pathlib import Path

PROCESSORS = Path("/proc/cpuinfo")


def processor(path: Path = PROCESSORS) -> str:
    """Name of the processor, or of its architecture where no name is known."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def blas() -> str:
    """Name and version of the BLAS that numpy is built with."""
    import numpy as np  # the Snakefile imports this module and needs no number

    found = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return f"{found.get('name', 'unknown')} {found.get('version', '')}".strip()
