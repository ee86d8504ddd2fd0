"""Recording a finished study with DVC: what ``dvc repro`` does after a run, without running."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

from noise2mask.errors import UserError
from noise2mask.files import write_text
from noise2mask.progress import LOG
from noise2mask.study import paths
from noise2mask.workflow import outputs
from noise2mask.workflow.prune import prune

STAGE = "workflow"
PARAMS = Path("params.yaml")


def chosen() -> tuple[str, str | None]:
    """The study and the folder of data that ``params.yaml`` names, as `dvc exp run -S` sets them.

    Raises:
        UserError: it names no study.
    """
    try:
        found = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
        return str(found["study"]), str(found.get("data") or "") or None
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"{PARAMS} of {Path.cwd()} names no study; give one with --study <name>."
            f"{paths.outside_project()}"
        ) from None


def commit(study: str, data: str | None) -> None:
    """Record what lies in the folders of a finished study in ``dvc.lock`` and DVC's cache.

    Inside a stage of DVC's nothing is done: DVC records it itself.

    Args:
        study: its name; ``params.yaml`` names it afterwards.
        data: folder that replaces ``{data}``.

    Raises:
        UserError: this is no DVC project, the study is not in ``config``, a file of it is not
            what its record says, or DVC refuses.
    """
    if "DVC_STAGE" in os.environ:
        return
    if not (Path(".dvc").is_dir() and PARAMS.is_file()):
        raise UserError(f"{Path.cwd()} is no DVC project, so nothing was recorded; run `dvc init`.")
    path = paths.study_file(study)
    if path != paths.study_file(path.stem):
        raise UserError(
            f"{study} was not recorded: DVC takes studies of the folder config only; move it there "
            "and run it by its name."
        )
    prune(study, data)
    if doubts := outputs.doubts(path.stem, verify=True):
        file, why = next(iter(doubts.items()))
        raise UserError(
            f"nothing was recorded: {len(doubts)} files of study {path.stem} are not shown to be "
            f"current, {file} first ({why}); run `noise2mask reproduce --study {study}`."
        )
    _name_study(path.stem, data or "")
    command = [sys.executable, "-m", "dvc", "commit", "--force", "--quiet", STAGE]
    if subprocess.run(command, check=False).returncode != 0:
        raise UserError(
            "DVC could not record the study (its message stands above); the results are there: "
            "run the same command again."
        )
    LOG.info("Recorded in dvc.lock; `git add -A && git commit` keeps it, `dvc push` sends it on.")


def _name_study(study: str, data: str) -> None:
    """Let ``params.yaml``, which DVC reads, name what was run; comments in it stay."""
    text = PARAMS.read_text(encoding="utf-8")
    lines, present = text.splitlines(), yaml.safe_load(text) or {}
    for key, value in (("study", study), ("data", data)):
        line = yaml.safe_dump({key: value}).strip()
        if key not in present:
            lines.append(line)
        elif present[key] != value:
            lines = [line if old.startswith(f"{key}:") else old for old in lines]
    write_text(PARAMS, "".join(f"{line}\n" for line in lines))
