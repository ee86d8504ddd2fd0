"""Running a whole study: Snakemake on the project's Snakefile, and a report whatever happens."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from noise2mask.errors import UserError
from noise2mask.progress import LOG
from noise2mask.study import paths
from noise2mask.study.load import check_data, load_study
from noise2mask.workflow import outputs, set_aside, snakemake

DRY = {"-n", "--dry-run", "--dryrun"}
"""Options of Snakemake with which nothing is run."""
_CURRENT = Path(".snakemake/current")
"""Links to the results that a report of an unfinished study may show."""


def reproduce(
    study: str,
    data: str | None,
    cores: str | None,
    profile: str | None,
    options: Sequence[str],
    *,
    verify: bool = False,
) -> int:
    """Make everything a study lacks, in the working folder.

    Cells that fail do not stop the others; the report lists what is missing then. Files that
    nothing shows to be current are made again, and kept until the new ones are there.

    Args:
        study: name or file of the study.
        data: folder that replaces ``{data}``.
        cores: how many this machine gives, or "all"; None leaves it to the variable ``CORES``.
        profile: folder of a Snakemake profile, for a cluster; None leaves it to the variables
            ``PROFILE`` and ``SNAKEMAKE_PROFILE``.
        options: further options of Snakemake.
        verify: compare the content of every file with its record, whatever its size and times.

    Returns:
        The exit status of Snakemake.

    Raises:
        UserError: the study is wrong, this is no project folder, or another process runs a study
            in it.
    """
    path = paths.study_file(study)
    loaded = load_study(path, data)
    check_data(loaded, path.stem)
    if elsewhere := paths.outside_project():
        raise UserError(f"{path} cannot be run here.{elsewhere}")
    dry_run = not DRY.isdisjoint(options)
    with snakemake.alone("wait for its end") as lock:
        further = [*options, *_place(cores, profile), *snakemake.configuration(study, data)]
        held = [] if lock is None else [lock]
        # Without this folder Snakemake takes the records of a clone for those of an old version.
        Path(".snakemake/incomplete").mkdir(exist_ok=True)
        snakemake.cancel_left_jobs()
        snakemake.wait_for_stages()
        # Nobody else runs here, so a lock is left over from a process that was killed.
        if any(Path(".snakemake/locks").glob("*")):
            LOG.info("An earlier run was killed; going on where it was.")
            snakemake.run([*further, "--unlock", "--quiet", "all"], inherited=held)
        if not dry_run:
            _bring_back_times(path.stem)
        again = _to_make_again(study, data, dry_run=dry_run, verify=verify)
        forced = ["--forcerun", *again] if again else []
        status = snakemake.run([*further, *forced], inherited=held)
        if not dry_run:
            outputs.note_checksums(path.stem)
            set_aside.drop(path.stem)
    if status != 0 and not dry_run:
        _report_what_there_is(study, data)
    return status


def _place(cores: str | None, profile: str | None) -> list[str]:
    """Options that say where jobs run.

    The environment can say it too, so that a DVC stage runs anywhere without another command.
    """
    profile = profile or os.environ.get("PROFILE")
    cores = cores or os.environ.get("CORES")
    if profile:
        return ["--profile", profile]
    if os.environ.get("SNAKEMAKE_PROFILE") and not cores:
        return []
    return ["--cores", cores or "all"]


def _bring_back_times(study: str) -> None:
    """Give files from the future, of a clock that has been set back, the time of now.

    Snakemake fails a job, and removes its outputs, where an input is newer than they.
    """
    now = time.time()
    files = (file for folder in outputs.folders(study) for file in folder.rglob("*"))
    ahead = [file for file in files if file.is_file() and file.stat().st_mtime > now]
    if ahead:
        LOG.info("%s files are newer than the clock; they are given its time.", len(ahead))
        outputs.note_checksums(study)  # until then their time tells that they are as jobs left them
        for file in ahead:
            os.utime(file, (now, now))


def _to_make_again(study: str, data: str | None, *, dry_run: bool, verify: bool) -> list[str]:
    """Outputs that Snakemake takes for current and that nothing shows to be so.

    What lies there is set aside, and so is what is made from it.
    """
    name = paths.study_file(study).stem
    for folder in outputs.folders_in_place(name):
        LOG.info("%s is a folder where a file belongs; it is kept in %s.", folder, set_aside.ASIDE)
        if not dry_run:
            set_aside.move(folder)
    doubts, waiting = outputs.doubts(name, verify=verify), set_aside.waiting(name)
    if not dry_run:
        set_aside.keep_ended_trainings(doubts)
    if not doubts and not waiting:
        return []
    plan = snakemake.declared(study, data)
    again = sorted(output for output in {*doubts, *waiting} if output in plan and not plan[output])
    if doubted := [output for output in again if output in doubts]:
        LOG.info(_told(doubted, doubts))
    if again and not dry_run:
        set_aside.set_aside(output for output in plan if Path(output).is_file())
    return again


def _told(doubted: Sequence[str], doubts: Mapping[str, str]) -> str:
    """One line on files that are made again; one that is wrong itself stands for the others."""
    first = min(doubted, key=lambda output: doubts[output].startswith(outputs.FROM_ANOTHER))
    others = f" and {len(doubted) - 1} more files" if len(doubted) > 1 else ""
    return (
        f"Made again, because nothing shows that it is current: {first} ({doubts[first]}){others}. "
        f"What lies there is kept in {set_aside.ASIDE} until the new results are there."
    )


def _report_what_there_is(study: str, data: str | None) -> None:
    """Report what is current; scores of other settings, not yet made again, count as missing."""
    name = paths.study_file(study).stem
    try:
        plan = snakemake.declared(study, data)
    except UserError:
        return  # the run failed for the same reason and has told it
    doubted = outputs.doubts(name)
    shutil.rmtree(_CURRENT, ignore_errors=True)
    for output, pending in plan.items():
        if not pending and output not in doubted and Path(output).is_file():
            (_CURRENT / output).parent.mkdir(parents=True, exist_ok=True)
            (_CURRENT / output).symlink_to(Path(output).resolve())
    command = [sys.executable, "-m", "noise2mask", "report", "--study", study]
    command += [*(["--data", data] if data else []), "--root", str(_CURRENT)]
    command += ["--output", str(paths.Paths(name).report())]
    subprocess.run(command, check=False, env=snakemake.surroundings())
    page = [sys.executable, "-m", "noise2mask", "page", "--study", study]
    subprocess.run(page, check=False, env=snakemake.surroundings())
    shutil.rmtree(_CURRENT, ignore_errors=True)
