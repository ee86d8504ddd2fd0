"""Removing what a study no longer declares, or all that its runs have made."""

import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from noise2mask.errors import UserError
from noise2mask.progress import LOG, in_bytes
from noise2mask.study import paths
from noise2mask.study.load import check_data, load_study
from noise2mask.workflow import outputs, set_aside, snakemake

_YES = ("y", "yes")


def prune(study: str, data: str | None, *, dry_run: bool = False) -> list[str]:
    """Remove files of a study that none of its rules declares, and records of what is not there.

    Other studies keep their files, and the records of those that exist: without them Snakemake
    would not see changed settings there.

    Args:
        study: name or file of the study.
        data: folder that replaces ``{data}``.
        dry_run: only say what would be removed.

    Returns:
        The files that are removed, without the records.

    Raises:
        UserError: the study is wrong, another process runs a study here, or Snakemake does not
            say what is declared.
    """
    path = paths.study_file(study)
    check_data(load_study(path, data), path.stem)
    with snakemake.alone("nothing was removed"):
        if any(Path(".snakemake/locks").glob("*")):
            raise UserError(
                f"Snakemake has locked {Path.cwd()}: it is running, or was killed; wait for its "
                f"end or run `noise2mask reproduce --study {study}`, which goes on. Nothing was "
                "removed."
            )
        name = path.stem
        files, records = _orphans(name, set(snakemake.declared(study, data)))
        for line in _told(files, records, name, dry_run=dry_run):
            LOG.info(line)
        if not dry_run:
            _remove(
                [*map(Path, files), *records],
                (*outputs.folders(name), set_aside.ASIDE, outputs.RECORDS),
            )
            outputs.note_checksums(name)
    return files


def _orphans(study: str, declared: set[str]) -> tuple[list[str], list[Path]]:
    """Files that no rule declares, and the record files that are of no use."""
    noted = paths.RESULTS / study / outputs.CHECKSUMS
    files = sorted(
        str(path)
        for folder in outputs.folders(study)
        for path in folder.rglob("*")
        if (path.is_file() or path.is_symlink())
        and path != noted
        and str(outputs.described(path)) not in declared
        and str(outputs.left_beside(outputs.described(path))) not in declared
    )
    kept_aside = set_aside.copies(study)
    files += [str(copy) for output, copy in kept_aside.items() if output not in declared]
    gone = set(files)
    records = [
        file
        for output, file in outputs.record_files().items()
        if output in gone or not Path(output).exists()
    ]
    return files, records


def _told(files: Iterable[str], records: Iterable[Path], study: str, *, dry_run: bool) -> list[str]:
    """What is removed; a folder that goes as a whole is one line."""
    gone = set(files)
    kept = {
        parent
        for folder in outputs.folders(study)
        for path in folder.rglob("*")
        if path.is_file() and str(path) not in gone
        for parent in path.parents
    }
    roots = (*outputs.folders(study), set_aside.ASIDE)
    counts = Counter(_highest(Path(file), kept, roots) for file in sorted(gone))
    verb = "would remove" if dry_run else "removed"
    lines = [
        f"{verb} {path}" + (f" ({count} files)" if count > 1 else "")
        for path, count in counts.items()
    ]
    number = len(list(records))
    if number:
        lines.append(f"{verb} {number} of Snakemake's records, of files that are not there")
    return lines or [f"Nothing lies in the folders of {study} but what its rules declare."]


def _highest(file: Path, kept: set[Path], roots: Iterable[Path]) -> Path:
    """The highest folder above `file` that holds nothing that is kept; else `file` itself."""
    found = file
    for parent in file.parents:
        if parent in kept or parent in roots:
            break
        found = parent
    return found


def _remove(files: Iterable[Path], roots: Iterable[Path]) -> None:
    """Delete files, and the folders below `roots` that are empty then."""
    for file in files:
        file.unlink()
    for root in roots:
        for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
            if not any(folder.iterdir()):
                folder.rmdir()


def clean(study: str | None, *, sure: bool = False) -> None:
    """Remove all that the runs of a study have made; of all studies, if none is named.

    Published reports, raw data, and what DVC keeps in its cache stay.

    Args:
        study: name or file of the study; None for all, which is asked for.
        sure: do not ask.

    Raises:
        UserError: another process runs a study here, or nobody is there to be asked.
    """
    name = None if study is None else paths.check_name(paths.study_file(study))
    made = [path for path in _made_by_runs(name) if path.exists()]
    if not made:
        LOG.info("There is nothing to remove.")
        return
    told = ", ".join(f"{path} ({in_bytes(_size(path))})" for path in made)
    if name is None and not sure and not _agreed(told):
        LOG.info("Nothing was removed.")
        return
    with snakemake.alone("nothing was removed"):
        for path in made:
            shutil.rmtree(path)
        for output, file in outputs.record_files().items():
            if not Path(output).exists():
                file.unlink()
    LOG.info("Removed %s.", told)


def _made_by_runs(study: str | None) -> list[Path]:
    """The folders that runs write to, of one study or of all."""
    folders = (paths.RESULTS, paths.PREPARED, paths.WORK, Path("logs"), paths.REPORTS)
    if study is None:
        return [*folders, set_aside.ASIDE]
    aside = [set_aside.ASIDE / folder / study for folder in folders]
    return [*(folder / study for folder in folders), *aside]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _agreed(told: str) -> bool:
    """Ask whether the results of all studies are to go."""
    if not sys.stdin.isatty():
        raise UserError(
            f"this would remove the results of all studies: {told}. Name one with --study, or say "
            "--yes."
        )
    return input(f"Remove the results of all studies: {told}? [y/N] ").strip().lower() in _YES
