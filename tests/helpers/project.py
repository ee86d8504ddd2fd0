"""A copy of the project in a folder of its own, for the tests that run the real workflow."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
CORES = "2"


class Project:
    """A copy of the project in which sources and studies may be edited."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in ("Snakefile", "workflow", "profiles", "config", "envs", "src"):
            source = ROOT / name
            if source.is_symlink() or source.is_file():
                shutil.copy(source, folder / name, follow_symlinks=False)
            else:
                shutil.copytree(
                    source,
                    folder / name,
                    ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"),
                )
        document = yaml.safe_load((folder / "config/test.yaml").read_text())
        document["datasets"] = {"lesion_phantom": document["datasets"]["lesion_phantom"]}
        for mode in ("image_free", "image_diffusion"):
            del document["modes"][mode]
        del document["analysis"]
        self.write("mini", document)

    def write(self, study: str, document: dict) -> None:
        text = yaml.safe_dump(document, sort_keys=False)
        (self.folder / f"config/{study}.yaml").write_text(text)

    def read(self, study: str) -> dict:
        return yaml.safe_load((self.folder / f"config/{study}.yaml").read_text())

    def snakemake(self, *options: str, study: str = "mini", data: str = "") -> tuple[int, str]:
        """Exit status and everything printed."""
        command = [sys.executable, "-m", "snakemake", "--cores", CORES, *options]
        command += ["--config", f"study={study}", *([f"data={data}"] if data else [])]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(), capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr

    def environment(self) -> dict[str, str]:
        """With this project's sources and this Python's commands first."""
        bin_folder = str(Path(sys.executable).parent)
        return os.environ | {
            "PYTHONPATH": str(self.folder / "src"),
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        }

    def planned(self, **given: str) -> dict[str, int]:
        """Jobs that a dry run would run, by rule; empty if there is nothing to do."""
        status, text = self.snakemake("-n", **given)
        assert status == 0, text
        return jobs_in(text)


def jobs_in(text: str) -> dict[str, int]:
    """Jobs by rule, as Snakemake announces them; empty if it says that there is nothing to do."""
    table = re.search(r"job\s+count\n-[- ]+\n(.*?)\ntotal", text, re.DOTALL)
    if table is None:
        assert "Nothing to be done" in text, text
        return {}
    counts = (line.split() for line in table.group(1).splitlines())
    return {name: int(count) for name, count in counts if name != "all"}


def edit(project: Project, module: str, old: str, new: str) -> None:
    path = project.folder / "src/noise2mask" / module
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
