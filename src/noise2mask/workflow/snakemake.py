"""Calling Snakemake: how it is told the study, what surrounds it, how it ends.

Snakemake runs in a process of its own, in a process group of its own. Whoever interrupts this
process interrupts it once, and when this process is killed, it and the stages that it has started
come to an end: each follows the one that started it. Until then the next run waits.
"""

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from noise2mask.errors import UserError
from noise2mask.files import locked, write_text
from noise2mask.progress import LOG, WORKFLOW, follow
from noise2mask.study import paths

LOCK = Path(".snakemake/noise2mask.lock")
FOLDER = Path(".snakemake/noise2mask")
"""What is kept of this machine's runs, beside Snakemake's own."""
_AT_WORK = FOLDER / "at_work"
# Snakemake looks for new jobs once in such a span, besides whenever a job ends. With its usual
# second that alone keeps a sixth of a core busy, and more the longer the study is.
_PACE = ("--max-jobs-per-timespan", "100000/1h")


# All jobs of a run are called by its UUID, perhaps with a prefix that the user has chosen.
_RUN = re.compile(r"(\S+_)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@contextmanager
def alone(consequence: str) -> Iterator[int | None]:
    """Hold the working folder for one run.

    A run whose own process was killed is about to end, and is waited for.

    Args:
        consequence: what it means that another process runs a study here.

    Yields:
        The lock, for processes that are to hold it as well; see :func:`noise2mask.files.locked`.

    Raises:
        UserError: another process runs a study here.
    """
    busy = f"another process is running a study in {Path.cwd()}; {consequence}."
    orphaned = _is_gone(LOCK)
    if orphaned:
        busy = "An earlier run was killed; waiting for what it has started to end."
    with locked(LOCK, busy, wait=orphaned) as descriptor:
        LOCK.write_text(f"{platform.node()} {os.getpid()}\n", encoding="utf-8")
        yield descriptor


def _is_gone(lock: Path) -> bool:
    """Whether the process that a lock names was one of this machine and has ended."""
    try:
        machine, process = lock.read_text(encoding="utf-8").split()
        if machine != platform.node():
            return False
        os.kill(int(process), 0)
    except (OSError, ValueError) as error:
        return isinstance(error, ProcessLookupError)
    return False


def configuration(study: str, data: str | None) -> list[str]:
    """Snakemake's options that name a study.

    As a file, because what stands on Snakemake's command line is read as YAML and, on the way to a
    cluster, by a shell.

    Args:
        study: name or file of the study.
        data: folder that replaces ``{data}``.
    """
    content = json.dumps({"study": str(paths.study_file(study)), "data": data or ""})
    path = FOLDER / f"{hashlib.sha256(content.encode()).hexdigest()[:12]}.json"
    if not path.exists():
        write_text(path, content)
    return ["--configfile", str(path)]


def surroundings() -> dict[str, str]:
    """The environment of Snakemake: this Python's commands first, a cache that can be written."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    found = {**os.environ, "PATH": path, WORKFLOW: str(os.getpid())}
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    if not _can_be_written(cache):
        found["XDG_CACHE_HOME"] = str(FOLDER.absolute() / "cache")
        found.setdefault("MPLCONFIGDIR", str(FOLDER.absolute() / "cache" / "matplotlib"))
    return found


def _can_be_written(folder: Path) -> bool:
    """Whether files can be made in a folder, which is made where it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def run(options: Sequence[str], *, inherited: Sequence[int] = ()) -> int:
    """Run Snakemake with these options to its end.

    Args:
        options: its command line.
        inherited: file descriptors that it keeps open as long as it runs, such as a lock's.

    Returns:
        Its exit status.

    Raises:
        KeyboardInterrupt: this process was asked to stop; Snakemake has stopped too.
    """
    command = [sys.executable, "-m", "noise2mask.workflow.snakemake", *_PACE, *options]
    process = subprocess.Popen(
        command, env=surroundings(), process_group=0, pass_fds=tuple(inherited)
    )
    try:
        return process.wait()
    except KeyboardInterrupt:
        # Jobs hear it too, as from a terminal. Of a cluster's jobs Snakemake cancels its own.
        _signal(process, signal.SIGINT)
        process.wait()
        raise


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:  # it has ended meanwhile
        return


def declared(study: str, data: str | None) -> dict[str, bool]:
    """Every output that the rules declare for a study, and whether Snakemake would make it now.

    Args:
        study: name or file of the study.
        data: folder that replaces ``{data}``.

    Raises:
        UserError: Snakemake did not answer.
    """
    command = [sys.executable, "-m", "snakemake", "--summary", *configuration(study, data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings())
    _, header, table = done.stdout.partition("output_file\t")
    if done.returncode != 0 or not header:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise UserError(
            f"Snakemake does not say what study {study} declares, so nothing was changed; it says: "
            f"{said[0]}"
        )
    rows = [line.split("\t") for line in table.splitlines()[1:] if line]
    return {row[0]: row[-1] == "update pending" for row in rows}


@contextmanager
def at_work() -> Iterator[None]:
    """Let other processes see that a stage of a workflow is at work in this folder."""
    if not (WORKFLOW in os.environ and FOLDER.is_dir()):
        yield
        return
    with _AT_WORK.open("a") as file:
        with suppress(OSError):  # no locks here
            fcntl.flock(file, fcntl.LOCK_SH)
        yield


def wait_for_stages() -> None:
    """Wait until no stage of an earlier run is at work in this folder."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with _AT_WORK.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            LOG.info("Stages of an earlier run are still at work here; waiting for their end.")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # no locks here
            return


def cancel_left_jobs() -> None:
    """Cancel what a run that was killed has left in the queue of Slurm for this folder.

    Trainings among them save a checkpoint, from which the jobs that follow go on.
    """
    jobs = _left_jobs()
    if not jobs:
        return
    LOG.info("An earlier run left jobs in Slurm's queue; cancelling %s.", ", ".join(jobs))
    subprocess.run(["scancel", *jobs], check=False)
    while _left_jobs():
        time.sleep(1)


def _left_jobs() -> list[str]:
    """Jobs of Slurm that a Snakemake has submitted from this folder, and that still wait or run.

    Snakemake's own notes of what has begun do not tell: a job that runs takes its number from them.
    """
    begun = any(path.is_file() for path in Path(".snakemake/incomplete").rglob("*"))
    if not begun or shutil.which("squeue") is None:
        return []
    # %Z is the folder that a job was submitted from.
    listed = subprocess.run(
        ["squeue", "--noheader", "--me", "--format=%i %j %Z"],
        capture_output=True,
        text=True,
        check=False,
    )
    rows = (line.split(maxsplit=2) for line in listed.stdout.splitlines())
    found = (row for row in rows if len(row) == 3 and row[2] == str(Path.cwd()))
    return sorted(number for number, name, _ in found if _RUN.fullmatch(name))


def _main() -> None:
    """Snakemake itself, which ends with the process that started it."""
    from snakemake.cli import main

    # A script's `&` has this signal ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if parent := os.environ.get(WORKFLOW):
        follow(int(parent), lambda: os.killpg(os.getpgid(0), signal.SIGINT))
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        # It would wait for the end of each span that has begun.
        for thread in threading.enumerate():
            if isinstance(thread, threading.Timer):
                thread.cancel()


if __name__ == "__main__":
    _main()
