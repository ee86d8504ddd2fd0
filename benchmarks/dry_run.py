"""What planning a study costs: `snakemake -n` for more and more trainings.

    python benchmarks/dry_run.py [--trainings 18 180 1800] [--profile workflow/profiles/slurm]

The study is `test` without analysis and pictures, its three networks on three datasets of phantoms
in two modes, with as many seeds as it takes. Nothing is run: what is planned is everything from the
data to the report. Time and memory are those of the one process of Snakemake.
"""

import argparse
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import yaml

from noise2mask.study.machine import processor

ROOT = Path(__file__).parents[1]
SHAPE = 18
"""Trainings of one seed: 3 datasets, 3 networks, 2 modes."""


def make_project(folder: Path, trainings: int) -> None:
    """The project's rules and one study in a folder of its own."""
    for name in ("Snakefile", "profiles"):
        shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    for name in ("workflow", "envs"):
        shutil.copytree(ROOT / name, folder / name)
    study = yaml.safe_load((ROOT / "config/test.yaml").read_text(encoding="utf-8"))
    del study["datasets"]["photographs"], study["analysis"]
    for mode in ("image_free", "image_diffusion"):
        del study["modes"][mode]
    study["seeds"] = list(range(trainings // SHAPE))
    (folder / "config").mkdir()
    (folder / "config/many.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")


def planned(folder: Path, options: list[str]) -> tuple[float, float, int]:
    """Seconds, GB and jobs of a dry run."""
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "all", *options]
    command += ["--config", "study=many"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PATH": path}
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=given, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    told = subprocess.run(
        [*command[:4], "--quiet", "rules", *command[6:]], cwd=folder, env=given, check=True,
        capture_output=True, text=True,
    ).stdout  # fmt: skip
    total = next(line.split()[1] for line in told.splitlines() if line.startswith("total"))
    return seconds, memory, int(total)


def main() -> None:
    """One line for each number of trainings, the smallest first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trainings", type=int, nargs="+", default=[18, 180, 1800])
    parser.add_argument("--profile")
    asked = parser.parse_args()
    options = ["--profile", asked.profile] if asked.profile else ["--cores", "2"]
    print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", end="")
    print(f", Python {platform.python_version()}, Snakemake {version('snakemake')}\n")
    print("| trainings | jobs | seconds | GB |\n| ---: | ---: | ---: | ---: |")
    for trainings in sorted(asked.trainings):
        with tempfile.TemporaryDirectory() as place:
            make_project(Path(place), trainings)
            seconds, memory, jobs = planned(Path(place), options)
        print(f"| {trainings} | {jobs} | {seconds:.1f} | {memory:.2f} |", flush=True)


if __name__ == "__main__":
    main()
