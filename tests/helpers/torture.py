"""Kill a small study at seeded moments; the same command again must end with the same bytes.

    make torture N=25
    PYTHONPATH=tests python -m helpers.torture 25 --processes 2

Each trial starts a study of two trainings in a fresh folder, kills something of it (see `KINDS`) at
a moment between its start and its usual end, runs the same command once more, and compares what
lies there with a study that nobody has disturbed.
"""

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil
from helpers.project import Project

COMPARED = ("model.safetensors", "draws.npz", "*.csv", "*.npy")
"""Files whose bytes are the same in every run; records of times are not."""
FOLDERS = ("results", "data/prepared", "build/reports")
COMMAND = [sys.executable, "-m", "noise2mask", "reproduce", "--study", "mini", "--cores", "2"]


class Trial(NamedTuple):
    """What was done, when, and what came of it.

    Attributes:
        kind: what was killed; a key of `KINDS`.
        after: seconds after the start.
        ended: whether the study had ended before.
        differing: files that are not those of an undisturbed study.
        said: all that the command said, where it did not end well the second time.
    """

    kind: str
    after: float
    ended: bool
    differing: tuple[str, ...]
    said: str


def small_project(folder: Path, processes: int = 1) -> Project:
    """A project whose study `mini` has two trainings with checkpoints, of so many processes."""
    folder.mkdir(parents=True)
    project = Project(folder)
    study = project.read("mini")
    study["networks"] = {"ensemdiff": study["networks"]["ensemdiff"]}
    study["samplers"].pop("calibration")
    study["modes"]["feed_forward"]["samplers"] = ["one_pass"]
    study["training"] |= {"steps": 100, "checkpoint_every": 10, "validate_every": 50}
    study["compute"] = {"processes": processes}
    project.write("mini", study)
    return project


def undisturbed(folder: Path, processes: int = 1) -> tuple[dict[str, str], float]:
    """Checksums of what the study leaves, and the seconds that it took.

    Raises:
        RuntimeError: the study failed.
    """
    project = small_project(folder, processes)
    begun = time.monotonic()
    status, said = _again(project)
    if status != 0:
        raise RuntimeError(f"the study fails without being disturbed:\n{said}")
    return contents(folder), time.monotonic() - begun


def trial(
    folder: Path, seed: str, whole: dict[str, str], seconds: float, processes: int = 1
) -> Trial:
    """Run the study in `folder`, kill something of it, and run it again."""
    chance = random.Random(seed)
    kind, after = chance.choice(list(KINDS)), chance.uniform(0, seconds)
    project = small_project(folder, processes)
    process = subprocess.Popen(
        COMMAND, cwd=folder, env=project.environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    with suppress(subprocess.TimeoutExpired):
        process.wait(after)
    ended = process.poll() is not None
    if not ended:
        KINDS[kind](psutil.Process(process.pid), chance)
        process.wait()
    status, said = _again(project)
    found = contents(folder)
    differing = {path for path, _ in whole.items() ^ found.items()}
    return Trial(kind, after, ended, tuple(sorted(differing)), "" if status == 0 else said)


def contents(folder: Path) -> dict[str, str]:
    """Checksums of the compared files below a project's folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in FOLDERS
        for pattern in COMPARED
        for path in (folder / name).rglob(pattern)
    }


def _again(project: Project) -> tuple[int, str]:
    done = subprocess.run(
        COMMAND, cwd=project.folder, env=project.environment(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def _everything(number: signal.Signals) -> Callable[[psutil.Process, random.Random], None]:
    """A signal to the command and all that it has started."""

    def send(command: psutil.Process, chance: random.Random) -> None:
        for process in [command, *command.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    return send


def _one(command: psutil.Process, chance: random.Random) -> None:
    """SIGKILL to a process that Snakemake has started; to the command if there is none."""
    snakemake = command.children()
    stages = [stage for one in snakemake for stage in one.children(recursive=True)]
    with suppress(psutil.NoSuchProcess):
        chance.choice(stages or [command]).kill()


def _snakemake(command: psutil.Process, chance: random.Random) -> None:
    """SIGKILL to Snakemake; what it has started is left alone."""
    for process in command.children() or [command]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _command(command: psutil.Process, chance: random.Random) -> None:
    """SIGKILL to the command; what it has started is left alone."""
    command.kill()


KINDS = {
    "all, SIGKILL": _everything(signal.SIGKILL),
    "all, SIGTERM": _everything(signal.SIGTERM),
    "all, SIGINT": _everything(signal.SIGINT),
    "one stage": _one,
    "Snakemake alone": _snakemake,
    "the command alone": _command,
}


def main() -> int:
    """Do as many trials as are asked for; 1 if one of them did not end the same."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trials", type=int, nargs="?", default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1, help="of each training")
    asked = parser.parse_args()
    failed = killed = 0
    with tempfile.TemporaryDirectory(prefix="torture") as place:
        whole, seconds = undisturbed(Path(place, "whole"), asked.processes)
        print(f"undisturbed: {seconds:.0f} s, {len(whole)} files compared", flush=True)
        for number in range(asked.trials):
            folder, seed = Path(place, str(number)), f"{asked.seed}.{number}"
            found = trial(folder, seed, whole, seconds, asked.processes)
            failed += bool(found.differing or found.said)
            killed += not found.ended
            told = "the same bytes" if not found.differing else f"differs: {found.differing}"
            when = "after its end" if found.ended else f"{found.after:.1f} s"
            print(f"{number + 1}: {found.kind}, {when}: {told}", found.said, flush=True)
    print(
        f"{asked.trials - failed} of {asked.trials} ended at the second call, all the same; "
        f"{killed} were killed before their end"
    )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
