"""What code and which versions made a result.

Snakemake sees changed inputs, parameters and rule text, not an edited module behind a command.
Each rule therefore carries a hash (:func:`hash_code`) of the code that it runs as a parameter.

An entry says where code starts: ``training.train`` or ``networks.segdiff`` (a module of this
package), ``diffusion.samplers:ddim`` (one function and what it needs of its module), with an @
before it the same of another package, where a plug-in is, or ``report/report.md.j2`` (a file that
is no code).
"""

import ast
import hashlib
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from noise2mask import plugins
from noise2mask.study.machine import blas, processor
from noise2mask.study.plan import needs_data
from noise2mask.study.schema import Baseline, Dataset, Evaluation, RunSettings, Sampler

# Their effect on a result is wholly in its settings or in how it is told, not in the numbers.
_OUTSIDE = {
    "plugins", "cli", "errors", "progress", "files", "study.code_hash", "study.load", "study.plan",
    "study.schema", "training.curves",
}  # fmt: skip
_ADAPTED = "analysis.fingerprints.adapted_schedule:resolve_settings"
# Fields of a syntax tree that say nothing, or that another version of Python has not.
_SILENT = {"ctx", "kind", "type_comment", "type_ignores", "type_params"}


@dataclass(frozen=True)
class Statement:
    """What a hash takes from a statement at the top of a module.

    Attributes:
        defines: names that it binds.
        uses: names in it.
        imports: entries that it brings, at any depth, from packages whose code is hashed.
        text: its syntax tree; nothing of where the code that it imports lives.
        is_import: it is an import of one of these packages.
    """

    defines: frozenset[str]
    uses: frozenset[str]
    imports: frozenset[str]
    text: str
    is_import: bool


@cache
def _statements(module: str) -> tuple[Statement, ...] | None:
    """The statements of a module, None if there is no such module.

    Docstrings are left out, and each imported name gets a statement of its own, so that a
    function is not charged with what its neighbours import.
    """
    path = plugins.path_of(module) if module.removeprefix("@") else None
    if path is None or not path.is_file():
        return None
    tree = ast.parse(path.read_text(encoding="utf-8"))
    single = [part for statement in tree.body for part in _single_imports(statement)]
    modules = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (home := _home(node, module)) is not None
        for alias in node.names
        if _exists(f"{home}.{alias.name}".lstrip("."))
    }
    return tuple(_statement(part, module, modules) for part in _without_docstring(single))


def _single_imports(statement: ast.stmt) -> list[ast.stmt]:
    if not isinstance(statement, ast.ImportFrom):
        return [statement]
    return [ast.ImportFrom(statement.module, [alias], statement.level) for alias in statement.names]


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    text = first.value if isinstance(first, ast.Expr) else None
    if isinstance(text, ast.Constant) and isinstance(text.value, str):
        return body[1:]
    return body


def _statement(statement: ast.stmt, module: str, modules: set[str]) -> Statement:
    reading = _Reading(module, modules)
    reading.read(statement)
    return Statement(
        frozenset(_defined(statement)),
        frozenset(reading.uses),
        frozenset(reading.imports),
        " ".join(reading.words),
        isinstance(statement, ast.ImportFrom) and _home(statement, module) is not None,
    )


class _Reading:
    """What a piece of syntax means, wherever the code that it uses lives, and whatever Python.

    What an import of a hashed package brings is hashed itself, so neither the module nor the name
    under which a module is imported counts; the name of a function does, and its alias.
    """

    def __init__(self, module: str, modules: set[str]):
        self.module, self.modules = module, modules
        self.words: list[str] = []
        self.imports: set[str] = set()
        self.uses: set[str] = set()

    def read(self, node: object) -> None:
        """Take in a node, a list of nodes or a plain value."""
        if isinstance(node, ast.Name):
            self.uses.add(node.id)
            self.words.append("<module>" if node.id in self.modules else node.id)
        elif isinstance(node, ast.ImportFrom) and (home := _home(node, self.module)) is not None:
            for alias in node.names:
                self._import(home, alias)
        elif isinstance(node, ast.AST):
            self._fields(node)
        elif isinstance(node, list):
            self.words.append("[")
            for part in node:
                self.read(part)
            self.words.append("]")
        else:
            self.words.append(repr(node))

    def _import(self, home: str, alias: ast.alias) -> None:
        inside = f"{home}.{alias.name}".lstrip(".")
        found = inside if _exists(inside) else f"{home}:{alias.name}"
        if _counts(found.partition(":")[0]):
            self.imports.add(found)
        if (alias.asname or alias.name) not in self.modules:
            self.words.append(f"import {alias.name} as {alias.asname}")

    def _fields(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            homes = (_named(alias.name, self.module) for alias in node.names)
            self.imports |= {home for home in homes if home is not None and _counts(home)}
        self.words.append(type(node).__name__)
        for field in node._fields:
            value = getattr(node, field, None)
            if value is None or value == [] or field in _SILENT:
                continue
            if field == "body" and isinstance(node, ast.ClassDef | ast.FunctionDef):
                value = _without_docstring(value)
            if field == "values" and isinstance(node, ast.JoinedStr):  # some Pythons add nothings
                value = [part for part in value if getattr(part, "value", None) != ""]
            self.words.append(field)
            self.read(value)


def _defined(statement: ast.stmt) -> set[str]:
    """Names that a top-level statement binds."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.split(".")[0] for alias in statement.names}
    stored = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
    return {node.id for node in stored if isinstance(node.ctx, ast.Store)}


def _home(node: ast.ImportFrom, module: str) -> str | None:
    """The module that names are imported from, see :func:`_named`."""
    if not node.level:
        return _named(node.module or "", module)
    above = module.removeprefix("@").split(".")[: -node.level]
    return _named(".".join([*above, *([node.module] if node.module else [])]), module)


def _named(imported: str, module: str) -> str | None:
    """An imported module as entries name it; None if it is of a package whose code is not hashed.

    Hashed is this package, and of a plug-in from outside the package that it belongs to and what
    lies beside it in the working folder.
    """
    top = imported.partition(".")[0]
    if top == "noise2mask":
        return imported.removeprefix("noise2mask").removeprefix(".")
    own = top == module[1:].partition(".")[0] or Path(f"{top}.py").is_file() or Path(top).is_dir()
    return f"@{imported}" if module.startswith("@") and own else None


@cache
def _exists(module: str) -> bool:
    return bool(module.removeprefix("@")) and plugins.path_of(module).is_file()


def _counts(module: str) -> bool:
    return module not in _OUTSIDE and _exists(module)


@cache
def _needed(entry: str) -> tuple[Statement, ...]:
    """Top-level statements behind ``module`` (all) or ``module:function`` (those it needs)."""
    module, _, function = entry.partition(":")
    statements = _statements(module)
    if statements is None:
        where = "there is" if module.startswith("@") else "noise2mask has"
        raise ModuleNotFoundError(f"{where} no module '{module.removeprefix('@')}'")
    if not function:
        return statements
    needed, used = {function}, [False] * len(statements)
    while True:
        fresh = [
            index
            for index, statement in enumerate(statements)
            if not used[index] and statement.defines & needed
        ]
        if not fresh:
            break
        for index in fresh:
            used[index] = True
            needed |= statements[index].uses
    if not any(used):
        raise AttributeError(f"{module} has no function '{function}'")
    return tuple(statement for statement, use in zip(statements, used, strict=True) if use)


def code_behind(*entries: str) -> tuple[str, ...]:
    """Sorted entries reached from `entries` by imports of hashed packages, themselves included.

    Raises:
        ModuleNotFoundError: an entry names no module.
        AttributeError: an entry names no function of its module.
    """
    reached = {entry for entry in entries if "/" in entry}
    waiting = [entry for entry in entries if entry not in reached]
    while waiting:
        entry = waiting.pop()
        if entry not in reached:
            reached.add(entry)
            waiting += [found for statement in _needed(entry) for found in statement.imports]
    return tuple(sorted(reached))


@cache
def entry_hash(entry: str) -> str:
    """Short hash of what one entry itself says, without what it imports."""
    return hashlib.sha256(_meaning(entry).encode()).hexdigest()[:12]


@cache
def _meaning(entry: str) -> str:
    """The syntax of an entry as text; its imports sorted, as their order says nothing."""
    if "/" in entry:
        return (plugins.PACKAGE / entry).read_text(encoding="utf-8")
    statements = _needed(entry)
    imported = sorted({statement.text for statement in statements if statement.is_import})
    rest = [statement.text for statement in statements if not statement.is_import]
    return "\n".join([*imported, *rest])


@cache
def hash_code(*entries: str) -> str:
    """Short hash over the meaning of `entries` and of the code that they import.

    Editing a comment or a docstring changes nothing; editing a shared block changes the hash of
    all that use it, and of nothing else; a new sampler changes no other's. Moving code to another
    module changes nothing either, as names of modules are not hashed, nor does another version of
    Python.
    """
    meanings = {_meaning(entry) for entry in code_behind(*entries)}
    return hashlib.sha256("\n".join(sorted(meanings)).encode()).hexdigest()[:16]


def forget() -> None:
    """Read all code anew when it is asked for again."""
    for known in (_statements, _exists, _needed, _meaning, entry_hash, hash_code):
        known.cache_clear()


def preparation_entries(dataset: Dataset) -> tuple[str, ...]:
    """Where the code behind a prepared dataset starts."""
    return ("data.prepare", plugins.entry("format", dataset.kind))


def training_entries(settings: RunSettings) -> tuple[str, ...]:
    """Where the code behind one training starts."""
    diffusion = settings.diffusion
    return (
        "training.train",
        plugins.entry("architecture", settings.network.architecture),
        plugins.entry("mode", settings.mode),
        plugins.entry("schedule", diffusion.schedule.name),
        plugins.entry("weighting", diffusion.weighting.name),
        *([_ADAPTED] if needs_data(diffusion) else []),
    )


def sampling_entries(settings: RunSettings, sampler: Sampler) -> tuple[str, ...]:
    """Where the code behind one sampling starts."""
    return (
        "sampling.sample",
        plugins.entry("architecture", settings.network.architecture),
        plugins.entry("mode", settings.mode),
        plugins.entry("schedule", settings.diffusion.schedule.name),
        plugins.entry("sampler", sampler.sampler),
    )


def measuring_entries(runs: Iterable[RunSettings]) -> tuple[str, ...]:
    """Where the code behind the loss of several trainings along the noise axis starts."""
    found = {
        entry
        for settings in runs
        for entry in (
            plugins.entry("architecture", settings.network.architecture),
            plugins.entry("mode", settings.mode),
            plugins.entry("schedule", settings.diffusion.schedule.name),
        )
    }
    return ("analysis.information.measure", *sorted(found))


def reading_entries(fusion: str) -> tuple[str, ...]:
    """Where the code behind a reading of draws that are there starts."""
    return ("sampling.readings", plugins.entry("fusion", fusion))


def baseline_entries(baseline: Baseline) -> tuple[str, ...]:
    """Where our code behind a baseline starts."""
    return ("baselines.run", plugins.entry("baseline", baseline.kind))


def scoring_entries(fusion: str) -> tuple[str, ...]:
    """Where the code behind all scores starts, whatever the metric."""
    return ("evaluation.score", plugins.entry("fusion", fusion))


def evaluation_entries(evaluation: Evaluation, fusion: str) -> tuple[str, ...]:
    """Where the code behind the scores of a study starts, its metrics among it."""
    return (*scoring_entries(fusion), *metric_entries(evaluation).values())


def metric_entries(evaluation: Evaluation) -> dict[str, str]:
    """The function behind each metric."""
    return {name: plugins.entry("metric", name) for name in evaluation.metrics} | {
        name: plugins.entry(kind, name)
        for kind in ("calibration", "ensemble")
        for name in getattr(evaluation, kind)
    }


FINGERPRINT = "analysis.fingerprints.fingerprint:write_fingerprint"
"""Where the code behind the fingerprint of a dataset starts."""


def costing_entries(runs: Iterable[RunSettings], samplers: Iterable[Sampler]) -> tuple[str, ...]:
    """Where the code behind the costs of several trainings starts."""
    named = {plugins.entry("sampler", sampler.sampler) for sampler in samplers}
    return ("evaluation.cost", *measuring_entries(runs)[1:], *sorted(named))


def growing_entries(dataset: Dataset) -> tuple[str, ...]:
    """Where the code behind the growth of a dataset's masks starts."""
    return ("analysis.fingerprints.grown:write_grown", *preparation_entries(dataset))


def report_entries() -> tuple[str, ...]:
    """Where the code behind tables, figures and text starts, and the template that it fills."""
    return ("report.build", *_shown(), *_beside("report"))


def page_entries() -> tuple[str, ...]:
    """Where the code behind the page of a report starts, and what it fills and takes in."""
    return ("report.page.build", "report.page.charts", *_shown(), *_beside("report/page"))


def _shown() -> list[str]:
    """Every figure, claim and prediction: a report has all that there are."""
    kinds = ("figure", "claim", "prediction")
    return [plugins.entry(kind, name) for kind in kinds for name in plugins.names(kind)]


def _beside(folder: str) -> list[str]:
    """Templates, styles and scripts in a folder of the package."""
    found = (plugins.PACKAGE / folder).iterdir()
    return sorted(
        path.relative_to(plugins.PACKAGE).as_posix()
        for path in found
        if path.suffix in (".j2", ".css", ".js")
    )


MACHINE = ("cpu", "blas")
"""What of :func:`versions` belongs to the machine: another may round the last bits otherwise."""


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide numbers, and what rounds them."""
    names = ("noise2mask", "torch", "monai", "numpy", "scipy", "pillow")
    found = {"python": platform.python_version()} | {name: version(name) for name in names}
    return found | dict(zip(MACHINE, (processor(), blas()), strict=True))
