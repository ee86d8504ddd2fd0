"""What code and which versions made a result.

Snakemake sees changed inputs, parameters and rule text, not an edited module behind a command.
Each rule therefore carries a hash (:func:`hash_code`) of the code that it runs as a parameter.
"""

import ast
import copy
import hashlib
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version

from noise2mask import plugins
from noise2mask.study.machine import blas, processor
from noise2mask.study.plan import needs_data
from noise2mask.study.schema import Baseline, Dataset, Evaluation, RunSettings, Sampler

# Their effect on a result is wholly in its settings or in how it is told, not in the numbers.
_OUTSIDE = {
    "plugins", "cli", "errors", "progress", "files", "study.code_hash", "study.load", "study.plan",
    "study.schema",
}  # fmt: skip


@cache
def _tree(module: str) -> ast.Module | None:
    """A module's syntax tree, or None if the package has no such module.

    Docstrings are left out, and each imported name gets a statement of its own, so that a
    function is not charged with what its neighbours import.
    """
    path = plugins.path_of(module)
    if not module or not path.is_file():
        return None
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
            and isinstance(node.body[0].value, ast.Constant)
            and isinstance(node.body[0].value.value, str)
        ):
            node.body = node.body[1:] or [ast.Pass()]
    tree.body = [single for statement in tree.body for single in _single_imports(statement)]
    return tree


def _single_imports(statement: ast.stmt) -> list[ast.stmt]:
    if not isinstance(statement, ast.ImportFrom):
        return [statement]
    return [ast.ImportFrom(statement.module, [alias], statement.level) for alias in statement.names]


def _defined(statement: ast.stmt) -> set[str]:
    """Names that a top-level statement binds."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.split(".")[0] for alias in statement.names}
    stored = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
    return {node.id for node in stored if isinstance(node.ctx, ast.Store)}


@cache
def _statements(entry: str) -> tuple[ast.stmt, ...]:
    """Top-level statements behind ``module`` (all) or ``module:function`` (those it needs)."""
    module, _, function = entry.partition(":")
    tree = _tree(module)
    if tree is None:
        raise ModuleNotFoundError(f"noise2mask has no module '{module}'")
    if not function:
        return tuple(tree.body)
    needed, used = {function}, [False] * len(tree.body)
    while True:
        fresh = [
            index
            for index, statement in enumerate(tree.body)
            if not used[index] and _defined(statement) & needed
        ]
        if not fresh:
            break
        for index in fresh:
            used[index] = True
            names = (node for node in ast.walk(tree.body[index]) if isinstance(node, ast.Name))
            needed |= {node.id for node in names}
    if not any(used):
        raise AttributeError(f"noise2mask.{module} has no function '{function}'")
    return tuple(statement for statement, use in zip(tree.body, used, strict=True) if use)


def _imported(statements: Iterable[ast.stmt]) -> set[str]:
    """Entries that statements import from this package, at any depth."""
    found = set()
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Import):
                found |= {_relative(alias.name) for alias in node.names if _ours(alias.name)}
            elif isinstance(node, ast.ImportFrom) and node.module and _ours(node.module):
                module = _relative(node.module)
                for alias in node.names:
                    inside = f"{module}.{alias.name}".lstrip(".")
                    found.add(inside if _tree(inside) is not None else f"{module}:{alias.name}")
    return {
        entry
        for entry in found
        if entry.partition(":")[0] not in _OUTSIDE and _tree(entry.partition(":")[0]) is not None
    }


def _ours(module: str) -> bool:
    return module.partition(".")[0] == "noise2mask"


def _relative(module: str) -> str:
    """A dotted name relative to this package; empty for the package itself."""
    return module.removeprefix("noise2mask").removeprefix(".")


def code_behind(*entries: str) -> tuple[str, ...]:
    """Sorted entries reached from `entries` by imports within the package, themselves included.

    Args:
        entries: ``training``, ``networks.segdiff`` (a whole module) or
            ``diffusion.samplers:ddim`` (one function and what it needs of its module).

    Raises:
        ModuleNotFoundError: an entry names no module of this package.
        AttributeError: an entry names no function of its module.
    """
    reached: set[str] = set()
    waiting = list(entries)
    while waiting:
        entry = waiting.pop()
        if entry not in reached:
            reached.add(entry)
            waiting.extend(_imported(_statements(entry)))
    return tuple(sorted(reached))


class _WithoutHomes(ast.NodeTransformer):
    """What code means, wherever the code that it uses lives.

    What an import of this package brings is hashed itself, so neither the module nor the name
    under which a module is imported counts; the name of a function does, and its alias.
    """

    def __init__(self, statements: Iterable[ast.stmt]):
        self.modules = {
            alias.asname or alias.name
            for statement in statements
            for node in ast.walk(statement)
            if isinstance(node, ast.ImportFrom) and node.module and _ours(node.module)
            for alias in node.names
            if _tree(f"{_relative(node.module)}.{alias.name}".lstrip(".")) is not None
        }

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        if not node.module or not _ours(node.module):
            return node
        named = [
            f"{alias.name} as {alias.asname}"
            for alias in node.names
            if (alias.asname or alias.name) not in self.modules
        ]
        return ast.Expr(ast.Constant(", ".join(named)))

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name("<module>", node.ctx) if node.id in self.modules else node


@cache
def _meaning(entry: str) -> str:
    """The syntax tree of an entry as text; its imports sorted, as their order says nothing."""
    statements = _statements(entry)
    plain = _WithoutHomes(statements)
    told = [
        (isinstance(statement, ast.ImportFrom), ast.dump(plain.visit(copy.deepcopy(statement))))
        for statement in statements
    ]
    imported = sorted({text for is_import, text in told if is_import})
    return "\n".join([*imported, *(text for is_import, text in told if not is_import)])


@cache
def hash_code(*entries: str) -> str:
    """Short hash over the meaning of `entries` and of the package code that they import.

    Editing a comment or a docstring changes nothing; editing a shared block changes the
    hash of all that use it, and of nothing else; a new sampler changes no other's. Moving
    code to another module changes nothing either: names of modules are not hashed.
    """
    meanings = {_meaning(entry) for entry in code_behind(*entries)}
    return hashlib.sha256("\n".join(sorted(meanings)).encode()).hexdigest()[:16]


def entry_hash(entry: str) -> str:
    """Short hash of what one entry itself says, without what it imports."""
    return hashlib.sha256(_meaning(entry).encode()).hexdigest()[:12]


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
        *(
            ["analysis.fingerprints.adapted_schedule:resolve_settings"]
            if needs_data(diffusion)
            else []
        ),
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


def metric_entries(evaluation: Evaluation) -> dict[str, str]:
    """The function behind each metric."""
    return {name: plugins.entry("metric", name) for name in evaluation.metrics} | {
        name: plugins.entry("calibration", name) for name in evaluation.calibration
    }


def preparation_code(dataset: Dataset) -> str:
    """Hash of the code behind a prepared dataset."""
    return hash_code(*preparation_entries(dataset))


def training_code(settings: RunSettings) -> str:
    """Hash of the code behind one training."""
    return hash_code(*training_entries(settings))


def sampling_code(settings: RunSettings, sampler: Sampler) -> str:
    """Hash of the code behind one sampling."""
    return hash_code(*sampling_entries(settings, sampler))


def measuring_code(runs: Iterable[RunSettings]) -> str:
    """Hash of the code behind the loss of several trainings along the noise axis."""
    return hash_code(*measuring_entries(runs))


def describing_code() -> str:
    """Hash of the code behind the fingerprint of a dataset."""
    return hash_code("analysis.fingerprints.fingerprint:write_fingerprint")


def evaluation_code(evaluation: Evaluation, fusion: str | None = None) -> str:
    """Hash of the code behind the scores, with the fusion of a reading if it has one."""
    metrics = metric_entries(evaluation).values()
    return hash_code(*scoring_entries(fusion or evaluation.fusion), *metrics)


def reading_code(fusion: str) -> str:
    """Hash of the code behind a reading."""
    return hash_code(*reading_entries(fusion))


def costing_code(runs: Iterable[RunSettings], samplers: Iterable[Sampler]) -> str:
    """Hash of the code behind the costs of several trainings."""
    named = {plugins.entry("sampler", sampler.sampler) for sampler in samplers}
    return hash_code("evaluation.cost", *measuring_entries(runs)[1:], *sorted(named))


def baseline_code(baseline: Baseline) -> str:
    """Hash of our code behind a baseline."""
    return hash_code(*baseline_entries(baseline))


def report_code() -> str:
    """Hash of the code behind tables, figures and text, and of the templates that it fills."""
    figures = [plugins.entry("figure", name) for name in plugins.names("figure")]
    parts = [hash_code("report.build", *figures).encode()]
    folder = plugins.PACKAGE / "report"
    for path in sorted(
        path for ending in ("j2", "css", "js") for path in folder.rglob(f"*.{ending}")
    ):
        parts.append(path.read_bytes())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


MACHINE = ("cpu", "blas")
"""What of :func:`versions` belongs to the machine: another may round the last bits otherwise."""


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide numbers, and what rounds them."""
    names = ("noise2mask", "torch", "numpy", "scipy", "pillow")
    found = {"python": platform.python_version()} | {name: version(name) for name in names}
    return found | dict(zip(MACHINE, (processor(), blas()), strict=True))
