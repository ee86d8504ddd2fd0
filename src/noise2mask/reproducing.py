"""Running a whole study: Snakemake on the project's Snakefile, and a report whatever happens."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from noise2mask import layout
from noise2mask.errors import UserError
from noise2mask.progress import LOG
from noise2mask.storage import locked
from noise2mask.studies import check_data, load_study


def reproduce(
    study: str, data: str | None, cores: str, profile: str | None, options: Sequence[str]
) -> int:
    """Make everything a study lacks, in the working folder.

    Cells that fail do not stop the others; the report lists what is missing then.

    Args:
        study: name or file of the study.
        data: folder that replaces ``{data}``.
        cores: how many this machine gives, or "all".
        profile: folder of a Snakemake profile, for a cluster.
        options: further options of Snakemake.

    Returns:
        The exit status of Snakemake.

    Raises:
        UserError: the study is wrong, this is no project folder, or another process runs a study
            in it.
    """
    path = layout.study_file(study)
    loaded = load_study(path, data)
    check_data(loaded, path.stem)
    if not Path("Snakefile").exists():
        raise UserError(f"{Path.cwd()} holds no Snakefile; run this in the project's folder.")
    command = [sys.executable, "-m", "snakemake", *options]
    command += ["--profile", profile] if profile else ["--cores", cores]
    command += ["--config", f"study={study}", *([f"data={data}"] if data else [])]
    busy = f"another process is running a study in {Path.cwd()}; wait for its end."
    with locked(Path(".snakemake/noise2mask.lock"), busy):
        # Nobody else runs here, so a lock is left over from a process that was killed.
        if any(Path(".snakemake/locks").glob("*")):
            LOG.info("An earlier run was killed; going on where it was.")
            _run([*command, "--unlock", "--quiet", "all"])
        status = _run(command)
    if status != 0 and "-n" not in options:
        _report_what_there_is(study, data)
    return status


def _run(command: Sequence[str]) -> int:
    """Run a command with this Python's commands on the path; interrupts reach it by themselves."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    process = subprocess.Popen(command, env={**os.environ, "PATH": path})
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise


def _report_what_there_is(study: str, data: str | None) -> None:
    command = [sys.executable, "-m", "noise2mask.cli", "report", "--study", study]
    _run([*command, *(["--data", data] if data else [])])
