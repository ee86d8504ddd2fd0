"""Publishing a report: what of it git keeps, in ``reports/<study>/``.

A run writes its report to ``build/reports/<study>/``, which git ignores, so that trying a study
changes nothing that is committed. What is published is all that the report can be made of again
(tables, cases that may be shown, settings and versions), long tables packed, the text, and the
figures that a text shows; the others are drawn again from the tables.
"""

import gzip
import re
import shutil
from pathlib import Path

from noise2mask.errors import UserError
from noise2mask.files import write_bytes, write_text, writing
from noise2mask.progress import LOG, in_bytes
from noise2mask.study import paths
from noise2mask.workflow import outputs

LONG = 32_000
"""Bytes above which a table is packed; below it git shows it as it is."""
_KEPT = ("*.csv", "*.json", "*.npz")


def publish(study: str) -> list[Path]:
    """Put the report of a study's last run where git keeps it.

    Args:
        study: name or file of the study.

    Returns:
        The files that were written.

    Raises:
        UserError: there is no report, or something shows that it is not that of the results here.
    """
    name = paths.check_name(paths.study_file(study))
    run, published = paths.Paths(name).report(), paths.Paths(name).published()
    text = run / "report.md"
    if not text.is_file():
        raise UserError(
            f"{run} holds no report; run `noise2mask reproduce --study {study}` before it is "
            "published."
        )
    if doubts := outputs.doubts(name, verify=True):
        file, why = next(iter(doubts.items()))
        raise UserError(
            f"nothing was published: {len(doubts)} files of study {name} are not shown to be "
            f"current, {file} first ({why}); run `noise2mask reproduce --study {study}`."
        )
    written = [_copied(file, published) for pattern in _KEPT for file in sorted(run.glob(pattern))]
    write_text(published / "report.md", _moved(text.read_text(encoding="utf-8")))
    written.append(published / "report.md")
    for figure in sorted(_shown(name, text)):
        if (run / "figures" / figure).is_file():
            written.append(_copied(run / "figures" / figure, published / "figures"))
    for old in [path for path in published.rglob("*") if path.is_file()]:
        if old not in written:
            old.unlink()
    size = sum(file.stat().st_size for file in written)
    LOG.info("%s: %d files, %s; `git add` and commit keep them.", published, len(written),
             in_bytes(size))  # fmt: skip
    return written


def _copied(file: Path, folder: Path) -> Path:
    """A copy in another folder; a long table is packed, equal tables to equal bytes."""
    if file.suffix == ".csv" and file.stat().st_size > LONG:
        target = folder / f"{file.name}.gz"
        write_bytes(target, gzip.compress(file.read_bytes(), mtime=0))
        return target
    with writing(folder / file.name) as temporary:
        shutil.copyfile(file, temporary)
    return folder / file.name


def _moved(text: str) -> str:
    """A report's text with links to the project's files, from one folder less deep."""
    depth = "../" * len(paths.REPORTS.parts)
    return text.replace(f"]({depth}../", f"](../{'../' * len(paths.PUBLISHED.parts)}")


def _shown(study: str, report: Path) -> set[str]:
    """Names of the figures that the report shows, or a text of the project shows of it."""
    shown = set(re.findall(r"\]\(figures/([^)\s]+)\)", report.read_text(encoding="utf-8")))
    folder = re.escape(f"{paths.PUBLISHED / study}/figures/")
    for text in [*Path().glob("*.md"), *Path("docs").glob("**/*.md")]:
        shown |= set(re.findall(rf"{folder}([^)\s\"]+)", text.read_text(encoding="utf-8")))
    return shown
