"""Keeping what is made again until the new result is there.

Snakemake deletes the outputs of a job before it starts. What only lacks proof may well be right and
have taken days, so it gets a second name first. So does a training that came to its end after the
run that waited for it was killed: whether it is whole is for the stage to say that starts in its
place, which knows settings, data and code.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from noise2mask.files import writing
from noise2mask.study import paths
from noise2mask.workflow import outputs

ASIDE = Path(".snakemake/set_aside")
_LAST = "run.json"
"""The last file that a training writes."""
_TRAINING = {_LAST, "model.safetensors", "history.jsonl"}


def set_aside(files: Iterable[str]) -> None:
    """Give files a second name below :data:`ASIDE`; what is kept there already stays."""
    for file in files:
        _name_again(Path(file), ASIDE / file)


def _name_again(file: Path, kept: Path) -> None:
    if kept.exists():
        return
    kept.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, kept)
    except OSError:  # no hard links here
        with writing(kept) as temporary:
            shutil.copyfile(file, temporary)


def keep_ended_trainings(doubted: Iterable[str]) -> None:
    """Give the files of trainings that Snakemake would run again second names in `work/`.

    Whether one is whole, and what is asked for now, is for its stage to say. A job that runs here
    leaves Snakemake's mark that it has begun; one of a cluster takes its mark away at its end, and
    nobody has noted its result then. Call it while nothing runs here, before Snakemake does.

    Args:
        doubted: outputs that nothing shows to be current.
    """
    again = (Path(output) for output in {*outputs.begun(), *doubted})
    folders = {path.parent for path in again if path.name in _TRAINING}
    trainings = (folder for folder in folders if folder.is_relative_to(paths.RESULTS))
    for folder in filter(Path.is_dir, trainings):  # some were killed before they wrote
        files = {path.name: path for path in folder.iterdir() if path.is_file()}
        if files.keys() >= _TRAINING:
            kept = paths.WORK / folder.relative_to(paths.RESULTS) / paths.ENDED
            shutil.rmtree(kept, ignore_errors=True)
            for name, file in files.items():
                _name_again(file, kept / name)


def take_back(ended: Path, finished: Path) -> None:
    """Put the files of a training that ended unnoticed where Snakemake looks for them.

    They keep their names in `ended` until all of them are there. Their time is now: Snakemake takes
    no output that is older than its inputs.
    """
    for file in sorted(ended.iterdir(), key=lambda file: file.name == _LAST):
        (finished / file.name).unlink(missing_ok=True)
        _name_again(file, finished / file.name)
        os.utime(finished / file.name)
    shutil.rmtree(ended)


def move(folder: Path) -> None:
    """Put a folder that lies in the place of a file below :data:`ASIDE`, beside earlier ones."""
    number = 0
    while (kept := ASIDE / "folders" / f"{number}" / folder).exists():
        number += 1
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder, kept)


def copies(study: str) -> dict[str, Path]:
    """Outputs of a study that were set aside, and where they are kept."""
    roots = (*outputs.folders(study), paths.REPORTS / study)
    return {
        str(path.relative_to(ASIDE)): path
        for root in roots
        for path in sorted((ASIDE / root).rglob("*"))
        if path.is_file()
    }


def waiting(study: str) -> list[str]:
    """Outputs that were set aside and have not been made again."""
    return [output for output in copies(study) if not Path(output).exists()]


def drop(study: str) -> None:
    """Forget the copies of what lies there again beyond doubt."""
    kept = copies(study)
    if not kept:
        return
    doubted = outputs.doubts(study)
    for output, copy in kept.items():
        if output not in doubted and Path(output).exists():
            copy.unlink()
    for folder in sorted((path for path in ASIDE.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
