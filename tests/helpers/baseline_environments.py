"""Environments of references, made once for all tests that run in them."""

import sys
from pathlib import Path

from helpers.project import ROOT

from noise2mask.baselines.environment import create
from noise2mask.files import locked


def python_of(kind: str) -> Path:
    """The interpreter of an environment, which is made where it is missing."""
    folder = ROOT / f".venv-{kind}"
    with locked(ROOT / "work" / f"{kind}.lock", f"another test installs {kind}", wait=True):
        create(kind, Path(sys.prefix), folder, ROOT / "envs" / f"{kind}.txt")
    return folder / "bin" / "python"
