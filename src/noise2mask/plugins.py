"""Names and options of everything pluggable, read from source without importing it.

A name in a study is a file or a function of this package: an architecture is a file in
``networks/`` that defines ``build``, a sampler is a public function of ``diffusion/samplers.py``.
Its options are that function's keyword-only parameters. They are read with `ast`, so a study is
checked against them without the seconds that importing torch takes, and no registry is edited.
:data:`KINDS` is the one place that says where each kind lives.
"""

import ast
import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, create_model

PACKAGE = Path(__file__).parent


class Home(NamedTuple):
    """Where the plug-ins of one kind live.

    Attributes:
        place: a module whose public functions are the plug-ins or, with `function`, a folder
            whose files are.
        function: what each file of the folder defines; its parameters are the options.
        mapping: the plug-ins are the keys of this mapping of the module, not its functions.
        mark: the plug-ins are the functions with this decorator in the files of the folder.
    """

    place: str
    function: str | None = None
    mapping: str | None = None
    mark: str | None = None


KINDS = {
    "architecture": Home("networks", "build"),
    "augmentation": Home("training.augment"),
    "calibration": Home("evaluation.calibration"),
    "figure": Home("report.figures", mark="figure"),
    "format": Home("data.formats", "sources"),
    "fusion": Home("sampling.fusion"),
    "metric": Home("evaluation.metrics"),
    "mode": Home("diffusion.modes"),
    "oracle": Home("analysis.oracles.oracles", mapping="ORACLES"),
    "baseline": Home("baselines", "fit"),
    "sampler": Home("diffusion.samplers"),
    "schedule": Home("diffusion.schedule"),
    "weighting": Home("diffusion.weighting"),
}

_NOT_OPTIONS = {"generator", "draws"}  # given by the program, not by the study
_TYPES: dict[str, Any] = {
    "Annotated": Annotated,
    "Any": Any,
    "Field": Field,
    "Literal": Literal,
    "bool": bool,
    "dict": dict,
    "float": float,
    "int": int,
    "str": str,
    "tuple": tuple,
}


def path_of(module: str) -> Path:
    """The file of a package module named relative to the package, e.g. ``networks.segdiff``."""
    return PACKAGE.joinpath(*module.split(".")).with_suffix(".py")


@cache
def _source(module: str) -> ast.Module:
    """Syntax tree of a package module."""
    return ast.parse(path_of(module).read_text(encoding="utf-8"))


@cache
def _functions(module: str) -> dict[str, ast.FunctionDef]:
    """The public functions that a module defines, in order of appearance."""
    return {
        node.name: node
        for node in _source(module).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


def _files(folder: str, function: str) -> tuple[str, ...]:
    """Sorted names of the modules in a package folder that define `function`."""
    stems = sorted(path.stem for path in PACKAGE.joinpath(*folder.split(".")).glob("*.py"))
    return tuple(stem for stem in stems if function in _functions(f"{folder}.{stem}"))


def _keys(module: str, mapping: str) -> tuple[str, ...]:
    """Names under which a module's mapping, written out in its source, holds something."""
    for node in _source(module).body:
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and node.target.id == mapping
            and isinstance(node.value, ast.Dict)
        ):
            return tuple(ast.literal_eval(key) for key in node.value.keys if key)
    raise KeyError(f"noise2mask.{module} has no mapping '{mapping}'")


@cache
def _marked(folder: str, mark: str) -> dict[str, str]:
    """The functions of a package folder that have a decorator, each with its module."""
    found = {}
    for stem in sorted(path.stem for path in PACKAGE.joinpath(*folder.split(".")).glob("*.py")):
        for name, node in _functions(f"{folder}.{stem}").items():
            marks = [each.func for each in node.decorator_list if isinstance(each, ast.Call)]
            if any(isinstance(each, ast.Name) and each.id == mark for each in marks):
                found[name] = f"{folder}.{stem}"
    return found


@cache
def names(kind: str) -> tuple[str, ...]:
    """The plug-ins of a kind: files sorted, functions in the order of their module."""
    home = KINDS[kind]
    if home.mark:
        return tuple(_marked(home.place, home.mark))
    if home.function:
        return _files(home.place, home.function)
    if home.mapping:
        return _keys(home.place, home.mapping)
    return tuple(_functions(home.place))


def entry(kind: str, name: str) -> str:
    """Where the code of a plug-in starts: ``networks.segdiff``, ``diffusion.samplers:ddim``."""
    home = KINDS[kind]
    if home.mark:
        return f"{_marked(home.place, home.mark)[name]}:{name}"
    return f"{home.place}.{name}" if home.function else f"{home.place}:{name}"


def _namespace(module: str) -> dict[str, Any]:
    """Names that annotations of `module` may use: the plain types and its own type aliases."""
    names = dict(_TYPES)
    for node in _source(module).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("noise2mask."):
            source = (node.module or "").removeprefix("noise2mask.")
            imported = _namespace(source) if path_of(source).is_file() else {}
            names |= {
                alias.asname or alias.name: imported[alias.name]
                for alias in node.names
                if alias.name in imported
            }
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            _define(names, node.targets[0].id, node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            _define(names, node.target.id, node.value)
    return names


def _define(names: dict[str, Any], name: str, value: ast.expr) -> None:
    """Add a module-level alias or constant, if it is made of known names alone."""
    if {node.id for node in ast.walk(value) if isinstance(node, ast.Name)} <= names.keys() and (
        isinstance(value, ast.Subscript | ast.Constant | ast.Tuple)
    ):
        names[name] = _evaluate(value, names)


def _evaluate(expression: ast.expr, names: Mapping[str, Any]) -> Any:
    """Value of an annotation or a default; its source is this package's, never a user's."""
    return eval(ast.unparse(expression), {"__builtins__": {}}, dict(names))


@cache
def options(kind: str, name: str) -> type[BaseModel]:
    """A strict model of the options of a plug-in: keyword-only parameters with their bounds."""
    home = KINDS[kind]
    module, function = (
        (f"{home.place}.{name}", home.function) if home.function else (home.place, name)
    )
    definition = _functions(module)[function]
    names = _namespace(module)
    fields: dict[str, Any] = {}
    for parameter, default in zip(
        definition.args.kwonlyargs, definition.args.kw_defaults, strict=True
    ):
        if parameter.arg in _NOT_OPTIONS:
            continue
        if parameter.annotation is None:
            raise TypeError(f"option {parameter.arg} of {module}.{function} has no annotation")
        value = ... if default is None else _evaluate(default, names)
        fields[parameter.arg] = (_evaluate(parameter.annotation, names), value)
    return create_model(
        f"{function}_options", __config__=ConfigDict(extra="forbid", frozen=True), **fields
    )


def member(kind: str, name: str, function: str | None = None) -> Any:
    """Import a plug-in.

    Args:
        kind: one of :data:`KINDS`.
        name: of the plug-in.
        function: another function of its file than the one that gives the options.
    """
    home = KINDS[kind]
    if home.mark:
        module = importlib.import_module(f"noise2mask.{_marked(home.place, home.mark)[name]}")
        return getattr(module, name)
    if not home.function:
        return getattr(importlib.import_module(f"noise2mask.{home.place}"), name)
    module = importlib.import_module(f"noise2mask.{home.place}.{name}")
    return getattr(module, function or home.function)
