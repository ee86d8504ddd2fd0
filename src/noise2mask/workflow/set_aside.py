"""Keeping what is made again until the new result is there.

Snakemake deletes the outputs of a job before it starts. What only lacks proof may well be right and
have taken days, so it gets a second name first.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from noise2mask.files import writing
from noise2mask.study import paths
from noise2mask.workflow import outputs

ASIDE = Path(".snakemake/set_aside")


def set_aside(files: Iterable[str]) -> None:
    """Give files a second name below :data:`ASIDE`; what is kept there already stays."""
    for file in files:
        kept = ASIDE / file
        if kept.exists():
            continue
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, kept)
        except OSError:  # no hard links here
            with writing(kept) as temporary:
                shutil.copyfile(file, temporary)


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
