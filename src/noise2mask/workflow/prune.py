"""Removing what a study no longer declares, so that versions of it hold nothing else."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from noise2mask.errors import UserError
from noise2mask.progress import LOG
from noise2mask.study import paths
from noise2mask.study.load import check_data, load_study
from noise2mask.workflow import outputs, set_aside, snakemake


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
