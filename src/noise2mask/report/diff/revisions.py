"""Reports by the name a user gives them: a study, a folder, a git revision, a DVC experiment.

A run writes its report where git ignores it, and DVC keeps it; what was published is in git. In
the working folder and in an experiment (a commit below ``refs/exps/``) the run's own report counts
first, in a revision the published one. Nothing is checked out, so the working folder stays as it
is.
"""

import difflib
import gzip
import io
import shutil
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from noise2mask.errors import UserError
from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.tables import read_table
from noise2mask.report import provenance as record
from noise2mask.report.provenance import Record
from noise2mask.study.paths import PUBLISHED, REPORTS, study_file

HERE = (".", "workspace")
"""What a user calls the state of the working folder."""
PUBLISHED_HERE = "published"
"""What a user calls the published reports in the working folder."""

_CASE = ["dataset", "network", "mode", "sampler", "seed", "case", "metric"]
_TABLE, _PACKED = "metrics.csv", "metrics.csv.gz"


@dataclass(frozen=True, eq=False)
class Report:
    """What a comparison reads of a report.

    Args:
        study: name of the study.
        title: what messages call the report.
        metrics: the table of that name.
        record: what made the numbers, None if the report does not say.
    """

    study: str
    title: str
    metrics: pd.DataFrame
    record: Record | None


@dataclass(frozen=True)
class Place:
    """Where reports lie: the working folder, or a commit.

    Args:
        root: the project folder.
        title: what messages call it.
        commit: hash, None for the working folder.
        folders: where the reports of its studies may be, the one that counts first.
    """

    root: Path
    title: str
    commit: str | None = None
    folders: tuple[Path, ...] = (REPORTS, PUBLISHED)

    def studies(self) -> list[str]:
        """Sorted names of the studies that have a report here."""
        return sorted({name for folder in self.folders for name in self._studies_in(folder)})

    def _studies_in(self, folder: Path) -> list[str]:
        if self.commit is None:
            found = [*(self.root / folder).glob(f"*/{_TABLE}*")]
            return [path.parent.name for path in found if path.name in (_TABLE, _PACKED)]
        if folder == REPORTS:
            return _recorded_by_dvc(self.root, self.commit)
        listed = _git(self.root, "ls-tree", "-rz", "--name-only", self.commit, f"{folder}/")
        paths = [Path(name) for name in (listed or b"").decode().split("\0")]
        return [path.parent.name for path in paths if path.name in (_TABLE, _PACKED)]

    def folder_of(self, study: str) -> Path | None:
        """The folder of a study's report, None if it has none here."""
        return next(
            (each / study for each in self.folders if study in self._studies_in(each)), None
        )

    def read(self, path: Path) -> bytes | None:
        """Content of a file of the project, None if it is not here."""
        if self.commit is None:
            return (self.root / path).read_bytes() if (self.root / path).is_file() else None
        if path.is_relative_to(REPORTS):
            return _read_by_dvc(self.root, self.commit, path)
        return _git(self.root, "cat-file", "blob", f"{self.commit}:./{path.as_posix()}")


@dataclass(frozen=True)
class Meant:
    """What a name given by the user stands for.

    Args:
        place: where the report lies.
        study: whose report it is, None if the name does not say.
        folder: of the report, where the name is a path.
    """

    place: Place
    study: str | None = None
    folder: Path | None = None


def open_reports(
    a: str | None, b: str | None = None, study: str | None = None, root: Path = Path()
) -> tuple[Report, Report]:
    """The two reports that a user names.

    Each name is that of a study with a report in the working folder, a folder with a report, a git
    revision, a DVC experiment, ``REVISION:study``, ``.`` for the working folder as it is, or
    ``published`` for the reports in it that git keeps.

    Args:
        a: one name; without any, what is published is compared with the working folder.
        b: the other; without it a study is compared with what is published of it, everything else
            with the working folder.
        study: whose report to read where a name does not say; without it the study of the other
            name, the only one that both places have, or that of ``params.yaml``.
        root: the project folder.

    Raises:
        UserError: a name stands for nothing or for several things, no report of the study is
            there, or a file of it is damaged.
    """
    a, b = _both(a, b, root)
    first, second = (_meant(name, root) for name in (a, b))
    if study is not None and first.study and second.study:
        raise UserError(
            f"--study {study} says nothing here: '{a}' and '{b}' name their studies "
            f"({first.study} and {second.study}); leave it out."
        )
    own = study or first.study or second.study or _common_study(first.place, second.place)
    return _opened(first, first.study or own), _opened(second, second.study or own)


def _both(a: str | None, b: str | None, root: Path) -> tuple[str, str]:
    """The two names that are compared where a user gives one or none."""
    if a is None:
        return PUBLISHED_HERE, HERE[0]
    if b is not None:
        return a, b
    only = _meant(a, root)
    if only.study is None or only.folder is not None or only.place.commit is not None:
        return a, HERE[0]
    return f"{PUBLISHED_HERE}:{only.study}", f"{HERE[0]}:{only.study}"


def _meant(name: str, root: Path) -> Meant:
    """What one name stands for."""
    here = Place(root, "the working folder")
    if name in HERE:
        return Meant(here)
    if name == PUBLISHED_HERE:
        return Meant(Place(root, "the published reports", None, (PUBLISHED,)))
    found: list[tuple[str, Meant]] = []
    if Path(name).name == name and (folder := here.folder_of(name)) is not None:
        found.append((f"the study in {folder} (write .:{name})", Meant(here, name)))
    if any((root / name / table).is_file() for table in (_TABLE, _PACKED)):
        meant = Meant(here, _study_in(root, Path(name)), Path(name))
        found.append((f"the folder (write ./{name})", meant))
    commit = _commit(root, name)
    if commit is not None:
        full = (_git(root, "rev-parse", "--symbolic-full-name", name) or b"").decode().strip()
        meant = Meant(Place(root, f"{name} ({commit[:7]})", commit, (PUBLISHED, REPORTS)))
        found.append((f"the revision {commit[:7]} (write {full or commit})", meant))
    experiments = sorted(set(_experiments(root).get(name, ())) - {commit})
    for commit in experiments:
        meant = Meant(Place(root, f"experiment {name} ({commit[:7]})", commit))
        found.append((f"the DVC experiment {commit[:7]} (write {commit})", meant))
    if len(found) > 1:
        meanings = "; ".join(text for text, _ in found)
        raise UserError(f"'{name}' may mean several things: {meanings}.")
    if found:
        return found[0][1]
    before, colon, study = name.rpartition(":")
    if colon and study and before:
        place = _meant(before, root)
        if place.study is None:
            return Meant(place.place, study)
        raise UserError(f"'{name}': only a revision or . can stand before the colon.")
    raise UserError(_stands_for_nothing(name, root))


def _stands_for_nothing(name: str, root: Path) -> str:
    """The sentence for a name that is not known."""
    studies = Place(root, "").studies()
    if (root / study_file(name)).is_file():
        return (
            f"study '{Path(name).stem}' has no report yet; run `make reproduce STUDY={name}`, or "
            f"compare one that has: {', '.join(studies) or 'none'}."
        )
    listed = _git(root, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags")
    known = [*studies, *(listed or b"").decode().split(), *_experiments(root)]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f"; did you mean '{near[0]}'?" if near else "."
    text = (
        f"'{name}' is no study with a report ({', '.join(studies) or 'there is none'}), no folder "
        f"with one, no git revision and no DVC experiment{guess}"
    )
    if shutil.which("git") is None:
        return f"{text} The command git is not installed, so no revision can be read."
    if _git(root, "rev-parse", "--git-dir") is None:
        return f"{text} {root.resolve()} is in no git repository, so no revision can be read."
    if (_git(root, "rev-parse", "--is-shallow-repository") or b"").strip() == b"true":
        return f"{text} This clone is shallow: `git fetch --unshallow` brings older revisions."
    return text


def _common_study(a: Place, b: Place) -> str:
    """The study to compare where no name says one."""
    common = [name for name in a.studies() if name in b.studies()]
    if len(common) == 1:
        return common[0]
    chosen = _chosen_by_params(a.root)
    if chosen is not None and chosen in common:
        return chosen
    if common:
        raise UserError(
            f"{a.title} and {b.title} both have reports of {', '.join(common)}; say which with "
            "--study."
        )
    raise UserError(
        f"no study has a report in both: {a.title} has {', '.join(a.studies()) or 'none'}, "
        f"{b.title} has {', '.join(b.studies()) or 'none'}."
    )


def _chosen_by_params(root: Path) -> str | None:
    """The study that ``params.yaml``, the file of DVC's parameters, is set to."""
    try:
        content = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    chosen = content.get("study") if isinstance(content, dict) else None
    return chosen if isinstance(chosen, str) else None


def _opened(meant: Meant, study: str) -> Report:
    place, folder = meant.place, meant.folder or meant.place.folder_of(study)
    title = f"{study} {'at' if place.commit else 'in'} {place.title}"
    title = str(folder) if meant.folder else title
    if folder is None:
        raise UserError(_no_report(place, study))
    content = _table_in(place, folder, title)
    if content is None:
        raise UserError(
            f"{title}: its report was recorded with DVC and is not in DVC's cache here; `dvc "
            "fetch` brings it from the remote."
        )
    said = place.read(folder / record.FILE)
    found = record.parsed(said, f"{record.FILE} of {title}") if said is not None else None
    return Report(study, title, _scores(content, f"{_TABLE} of {title}"), found)


def _no_report(place: Place, study: str) -> str:
    """The sentence for a place without a report of the study."""
    make = "" if place.commit else f" Run `make reproduce STUDY={study}` to make it."
    return (
        f"{place.title} holds no report of the study '{study}'; it has "
        f"{', '.join(place.studies()) or 'none at all'}.{make}"
    )


def _table_in(place: Place, folder: Path, title: str) -> bytes | None:
    """The table of scores of a report, as CSV; None if it cannot be had."""
    plain = place.read(folder / _TABLE)
    packed = place.read(folder / _PACKED) if plain is None else None
    if packed is None:
        return plain
    try:
        return gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{_PACKED} of {title} is damaged ({error}); make the report again."
        ) from None


def _study_in(root: Path, folder: Path) -> str:
    """Name of the study whose report lies in a folder."""
    content = _table_in(Place(root, ""), folder, str(folder)) or b""
    line = content.split(b"\n", 2)[1:2]
    name = line[0].decode(errors="replace").partition(",")[0] if line else ""
    return name or (root / folder).resolve().name


def _recorded_by_dvc(root: Path, commit: str) -> list[str]:
    """The studies whose report DVC has recorded at a commit."""
    content = _git(root, "cat-file", "blob", f"{commit}:./dvc.lock")
    try:
        stages = (yaml.safe_load(content or b"") or {})["stages"]
        outs = [Path(out["path"]) for stage in stages.values() for out in stage["outs"]]
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return []
    return [path.name for path in outs if path.parent == REPORTS]


def _read_by_dvc(root: Path, commit: str, path: Path) -> bytes | None:
    """A file that DVC keeps, at a commit; None if it is not in the cache and cannot be fetched."""
    try:
        import dvc.api
        from dvc.exceptions import DvcException
    except ImportError:
        return None
    try:
        return bytes(dvc.api.read(str(path), repo=str(root), rev=commit, mode="rb"))
    except (DvcException, OSError):
        return None


def _scores(content: bytes, told: str) -> pd.DataFrame:
    """The table `metrics`, checked."""
    try:
        table = read_table(io.BytesIO(content), "metrics")
        wrong = _wrong(table, content)
    except ValueError as error:
        wrong = str(error).splitlines()[0]
    if wrong:
        raise UserError(f"{told} is damaged ({wrong}); make the report again.")
    return table


def _wrong(table: pd.DataFrame, content: bytes) -> str | None:
    """What is wrong with a table `metrics` read from `content`."""
    missing = [name for name in COLUMNS["metrics"] if name not in table.columns]
    if missing:
        return f"it has no column {', '.join(missing)}"
    if not content.endswith(b"\n") or table[_CASE].isna().any(axis=None):
        return "a line is cut off"
    if len(table) and table["value"].dtype.kind not in "fi":
        return "a value is no number"
    if table.duplicated(_CASE).any():
        return "a score is there twice"
    return None


def _git(root: Path, *arguments: str) -> bytes | None:
    """What a git command prints; None if it fails, as it does outside a repository."""
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def _commit(root: Path, name: str) -> str | None:
    """Hash of the commit that git knows by a name."""
    found = _git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    return found.decode().strip() if found else None


def _experiments(root: Path) -> dict[str, list[str]]:
    """Commits of each name of a DVC experiment, saved as ``refs/exps/<2>/<38 digits>/<name>``."""
    found: dict[str, list[str]] = {}
    listed = _git(root, "for-each-ref", "--format=%(refname) %(objectname)", "refs/exps")
    for line in (listed or b"").decode().splitlines():
        refname, commit = line.rsplit(" ", 1)
        _, _, start, *rest = refname.split("/", 4)
        if len(start) == 2 and len(rest) == 2:  # the others are DVC's own
            found.setdefault(rest[1], []).append(commit)
    return found
