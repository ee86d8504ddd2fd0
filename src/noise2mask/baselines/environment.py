"""Environments of reference implementations: layers over the core's, so that torch lies there once.

A layer is a virtual environment of the core's interpreter that sees the core's packages behind its
own. Only the packages that a reference needs beyond the core are installed into it.
"""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

from noise2mask import files
from noise2mask.errors import UserError
from noise2mask.progress import LOG, Progress

INSTALLED = "installed"
"""File that says a layer is whole; written last."""


def create(kind: str, core: Path, target: Path, lock: Path) -> None:
    """Make `target` the environment of a reference, unless it is that already.

    An environment that was interrupted, or made from another lock or core, is made again.

    Args:
        kind: of reference, for messages.
        core: the virtual environment below, with pip in it.
        target: the virtual environment to make.
        lock: lines ``name==version`` of all that is needed beyond the core.

    Raises:
        UserError: core or lock is missing, `target` is something else, or pip failed.
    """
    core, target = core.absolute(), target.absolute()
    python = core / "bin" / "python"
    for path in (python, lock):
        if not path.exists():
            raise UserError(
                f"{path} does not exist, but the environment of {kind} is made from it; run "
                "`make setup` in the folder of this project first."
            )
    below = _packages_of(python)
    content = {"core": str(below), "lock": hashlib.sha256(lock.read_bytes()).hexdigest()}
    if _is_whole(target, content):
        LOG.info("environment of %s: %s is there already", kind, target)
        return
    if target.exists() and any(target.iterdir()):  # Snakemake makes the folder of an output
        if target.resolve() == core.resolve() or not (target / "pyvenv.cfg").exists():
            raise UserError(
                f"{target} is no environment made for {kind}, so it is not replaced; remove it or "
                "name another folder."
            )
        shutil.rmtree(target)
    try:
        _run(kind, [str(python), "-m", "venv", "--without-pip", str(target)])
        # Not a plain path: the core's own .pth files, such as that of this package, count as well.
        pointer = f"import site; site.addsitedir({str(below)!r})\n"
        (_packages_of(target / "bin" / "python") / "core.pth").write_text(pointer, encoding="utf-8")
        _install(kind, python, target, lock)
    except OSError as error:
        raise UserError(f"{target} could not be made: {error.strerror}.") from error
    files.write_json(target / INSTALLED, content)


def _is_whole(target: Path, content: dict[str, str]) -> bool:
    try:
        return bool(json.loads((target / INSTALLED).read_bytes()) == content)
    except (OSError, ValueError):
        return False


def _packages_of(python: Path) -> Path:
    """Folder of an environment's pure packages."""
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    answer = subprocess.run(
        [str(python), "-I", "-c", asked], check=True, capture_output=True, text=True
    )
    return Path(answer.stdout.strip())


def _install(kind: str, python: Path, target: Path, lock: Path) -> None:
    """Install the lock with the core's pip.

    What happens to lie in the core already is installed all the same (``--ignore-installed``), so
    the layer depends on nothing of the core but its lock; source packages are built by the core's
    setuptools (``--no-build-isolation``).
    """
    command = [
        *(str(python), "-m", "pip", "--python", str(target / "bin" / "python"), "install"),
        *("--no-deps", "--ignore-installed", "--no-build-isolation", "--no-input"),
        *("--progress-bar", "off", "--disable-pip-version-check", "-r", str(lock)),
    ]
    total = len([line for line in lock.read_text().splitlines() if "==" in line])
    progress = Progress(f"environment of {kind}", total, every=5)
    _run(kind, command, progress)


def _run(kind: str, command: list[str], progress: Progress | None = None) -> None:
    """Run a command and, if it fails, say so with its last line.

    Raises:
        UserError: it failed.
    """
    last, collected = "nothing was said", 0
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            last = line.strip() or last
            if progress and line.startswith("Collecting "):
                collected += 1
                progress.update(collected, line.split()[1])
    if process.returncode:
        raise UserError(
            f"the environment of {kind} could not be made, as `{command[2]}` ended with: {last}; "
            "check that the package index can be reached and run the same command again."
        )
