"""Commands about this installation and the machine it is on."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

_LIBRARIES = (
    "noise2mask", "torch", "numpy", "scipy", "pandas", "pillow", "monai", "pydantic", "snakemake",
    "dvc",
)  # fmt: skip


def doctor() -> None:
    """Say what is installed and what this machine offers.

    Versions, processor, memory, GPU, free disk, threads and BLAS, and the environments of
    baselines: what a report of a problem should hold.

    Example:
        noise2mask doctor
    """
    rows = list(_findings())
    width = max(len(name) for name, _ in rows) + 2
    print("\n".join(f"{name:<{width}}{value}" for name, value in rows))


def completion(shell: Literal["bash", "zsh", "tcsh"]) -> None:
    """Print what makes a shell complete the commands and their options.

    Args:
        shell: that is to complete them.

    Example:
        eval "$(noise2mask completion bash)"
    """
    import shtab

    from noise2mask.cli import COMMANDS
    from noise2mask.cli.parser import parser_of

    print(shtab.complete(parser_of(COMMANDS, listed=None), shell))


def _findings() -> Iterator[tuple[str, str]]:
    import numpy as np
    import torch

    from noise2mask import plugins
    from noise2mask.baselines.environment import INSTALLED
    from noise2mask.progress import in_bytes
    from noise2mask.study import paths
    from noise2mask.study.machine import processor

    yield "python", f"{platform.python_version()} on {platform.platform()}"
    for name in _LIBRARIES:
        yield name, _version(name)
    yield "processor", f"{processor()}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores"
    yield "memory", in_bytes(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    if not torch.cuda.is_available():
        yield "gpu", "none that torch can use"
    for number in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(number)
        yield "gpu", f"{found.name}, {in_bytes(found.total_memory)}, CUDA {torch.version.cuda}"
    yield "threads", f"{torch.get_num_threads()} of torch, {_thread_variables() or 'no variables'}"
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    with_mkl = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    theirs = "MKL" if with_mkl else "no MKL"
    yield (
        "blas",
        f"{blas['name']} {blas['version']} of numpy, {theirs} of torch",
    )
    yield "folder", f"{Path.cwd()}, {in_bytes(shutil.disk_usage(Path()).free)} free"
    for kind in plugins.names("baseline"):
        folder = paths.environment(kind)
        there = (folder / INSTALLED).is_file()
        yield f"{kind}", f"in {folder}" if there else f"not here; `noise2mask environment {kind}`"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _thread_variables() -> str:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return ", ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ)
