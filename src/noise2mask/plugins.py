"""Names and options of everything pluggable, read from source without importing it.

A name in a study is a file or a function of this package: an architecture is a file in
``networks/`` that defines ``build``, a sampler is a public function of ``diffusion/samplers.py``.
:data:`KINDS` is the one place that says where each kind lives. A plug-in may live in another
package too. It is found by its entry point, in the group ``noise2mask.<kind>``, or named in the
study as ``module:function``, where modules of the working folder are found as well.

The options of a plug-in are its function's keyword-only parameters. They are read with `ast`, so a
study is checked against them without the seconds that importing torch takes, and no registry is
edited.
"""

import ast
import importlib
import importlib.machinery
import importlib.metadata
import os
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, create_model

from noise2mask.errors import UserError

PACKAGE = Path(__file__).parent


class Home(NamedTuple):
    """Where the plug-ins of one kind live.

    Attributes:
        place: a module whose public functions are the plug-ins or, with `function`, a folder
            whose files are.
        function: what each file of the folder defines; its parameters are the options.
        mapping: the plug-ins are the keys of this mapping of the module, not its functions.
        mark: the plug-ins are the functions with this decorator in the module or in the files of
            the folder.
    """

    place: str
    function: str | None = None
    mapping: str | None = None
    mark: str | None = None


KINDS = {
    "architecture": Home("networks", "build"),
    "augmentation": Home("training.augment"),
    "calibration": Home("evaluation.calibration", mark="metric"),
    "claim": Home("analysis.claims", mark="claim"),
    "ensemble": Home("evaluation.ensembles", mark="metric"),
    "figure": Home("report.figures", mark="figure"),
    "format": Home("data.formats", "sources"),
    "fusion": Home("sampling.fusion"),
    "metric": Home("evaluation.metrics", mark="metric"),
    "mode": Home("diffusion.modes"),
    "oracle": Home("analysis.oracles.oracles", mapping="ORACLES"),
    "baseline": Home("baselines", "fit"),
    "prediction": Home("analysis.claims", mark="prediction"),
    "sampler": Home("diffusion.samplers"),
    "schedule": Home("diffusion.schedule"),
    "weighting": Home("diffusion.weighting"),
}

OUTSIDE = "@"
"""Stands before the name of a module of another package."""
_GROUP = "noise2mask."
_SPELT_OUT = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")
_NOT_OPTIONS = {"generator", "draws"}  # given by the program, not by the study


class Ref:
    """Marks a text, or the texts in a list or mapping, as names of other sections of a study.

    ``Annotated[str, Ref("modes")]`` is the name of a mode; with several sections, of one of them.
    """

    def __init__(self, *sections: str):
        self.sections = sections


class Plugin:
    """Marks a text as the name of a plug-in.

    Args:
        kind: one of :data:`KINDS`.
        options: the field beside it that holds the options; None: it takes none there.
    """

    def __init__(self, kind: str, options: str | None = None):
        self.kind, self.options = kind, options


class OptionsOf:
    """Marks a mapping as the options of one plug-in."""

    def __init__(self, kind: str, name: str):
        self.kind, self.name = kind, name


_TYPES: dict[str, Any] = {
    "Annotated": Annotated,
    "Any": Any,
    "Field": Field,
    "Literal": Literal,
    "Ref": Ref,
    "bool": bool,
    "dict": dict,
    "float": float,
    "int": int,
    "str": str,
    "tuple": tuple,
}


# Where code lies --------------------------------------------------------------------------------


def path_of(module: str) -> Path:
    """The file of a module.

    Args:
        module: relative to this package, e.g. ``networks.segdiff``, or with an @ before it the
            whole name of one of another package. Nothing is imported to find it.
    """
    if not module.startswith(OUTSIDE):
        return PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    return _outside(module.removeprefix(OUTSIDE))


@cache
def _outside(module: str) -> Path:
    """The file of a module of another package; a path that does not exist if there is none."""
    top, *rest = module.split(".")
    spec = importlib.machinery.PathFinder.find_spec(top, [*sys.path, str(Path.cwd())])
    if spec is None:
        return Path(f"no module {module}")
    if spec.submodule_search_locations is None:
        return Path(spec.origin if spec.origin and not rest else f"no module {module}")
    for folder in spec.submodule_search_locations:
        place = Path(folder).joinpath(*rest)
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if path.is_file() and path.suffix == ".py":
                return path
    return Path(f"no module {module}")


@cache
def _source(module: str) -> ast.Module:
    """Syntax tree of a module."""
    return ast.parse(path_of(module).read_text(encoding="utf-8"))


@cache
def _functions(module: str) -> dict[str, ast.FunctionDef]:
    """The public functions that a module defines, in order of appearance."""
    return {
        node.name: node
        for node in _source(module).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


@cache
def _own(kind: str) -> dict[str, tuple[str, str]]:
    """The plug-ins of this package: name to module and function, or key of its mapping."""
    home = KINDS[kind]
    folder = PACKAGE.joinpath(*home.place.split("."))
    modules = [home.place]
    if folder.is_dir():
        modules = [f"{home.place}.{stem}" for stem in sorted(p.stem for p in folder.glob("*.py"))]
    if home.function:
        defining = [module for module in modules if home.function in _functions(module)]
        return {module.rpartition(".")[2]: (module, home.function) for module in defining}
    if home.mapping:
        return {name: (home.place, name) for name in _keys(home.place, home.mapping)}
    return {
        name: (module, name)
        for module in modules
        for name, node in _functions(module).items()
        if home.mark is None or _marks(node, home.mark)
    }


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


def _marks(node: ast.FunctionDef, mark: str) -> list[ast.Call]:
    """The calls of a decorator on a function."""
    calls = [each for each in node.decorator_list if isinstance(each, ast.Call)]
    return [each for each in calls if isinstance(each.func, ast.Name) and each.func.id == mark]


@cache
def _entry_points() -> dict[str, dict[str, str]]:
    """What installed packages offer: kind to name to ``module:function``."""
    found: dict[str, dict[str, str]] = {}
    for distribution in importlib.metadata.distributions():
        for point in distribution.entry_points:
            if point.group.startswith(_GROUP) and point.group.removeprefix(_GROUP) in KINDS:
                found.setdefault(point.group.removeprefix(_GROUP), {})[point.name] = point.value
    return found


def _place(kind: str, name: str) -> tuple[str, str]:
    """The module and the function of a plug-in.

    Raises:
        UserError: there is no plug-in of this name.
    """
    if name in _own(kind):
        return _own(kind)[name]
    if reason := missing(kind, name):
        raise UserError(f"{kind} '{name}': {reason}.")
    found = _SPELT_OUT.fullmatch(_entry_points().get(kind, {}).get(name, name))
    assert found, "as `missing` has found"
    return f"{OUTSIDE}{found[1]}", found[2]


def missing(kind: str, name: str) -> str | None:
    """Why there is no plug-in of a name, None if there is one."""
    if name in _own(kind):
        return None
    found = _SPELT_OUT.fullmatch(_entry_points().get(kind, {}).get(name, name))
    if KINDS[kind].mapping or not found:
        return f"there is no {kind} of this name"
    module, function = found.groups()
    path = path_of(f"{OUTSIDE}{module}")
    if not path.is_file():
        return f"no module '{module}' is installed or lies in the working folder"
    try:
        known = _functions(f"{OUTSIDE}{module}")
    except (OSError, ValueError, SyntaxError, RecursionError) as error:
        return f"{path} is no readable Python ({error})"
    if function not in known:
        return f"{path} defines no function '{function}'"
    if (mark := KINDS[kind].mark) and not _marks(known[function], mark):
        return f"the function '{function}' of {path} lacks the decorator @{mark}(...)"
    return None


# What a study may say ---------------------------------------------------------------------------


def names(kind: str) -> tuple[str, ...]:
    """The plug-ins of a kind: files sorted, functions in their order, then those of others."""
    own = _own(kind)
    return (*own, *sorted(_entry_points().get(kind, {}).keys() - own.keys()))


def bundled(kind: str) -> tuple[str, ...]:
    """The plug-ins of a kind that come with this package."""
    return tuple(_own(kind))


def summary(kind: str, name: str) -> str:
    """What a plug-in is: the first sentence of its docstring, or of its file's if it is a file."""
    module, function = _place(kind, name)
    home = KINDS[kind]
    if home.mapping:
        return ""
    node = _source(module) if home.function else _functions(module)[function]
    first = (ast.get_docstring(node) or "").partition("\n\n")[0]
    return " ".join(first.split())


def entry(kind: str, name: str) -> str:
    """Where the code of a plug-in starts: ``networks.segdiff``, ``diffusion.samplers:ddim``.

    Of another package it is the whole module, with an @ before its name.
    """
    module, function = _place(kind, name)
    whole = module.startswith(OUTSIDE) or KINDS[kind].function
    return module if whole else f"{module}:{function}"


@cache
def declared(kind: str, name: str) -> dict[str, Any]:
    """What the decorator of a plug-in says of it: its keywords, read without an import."""
    mark = KINDS[kind].mark
    if not mark:
        raise KeyError(f"plug-ins of the kind '{kind}' have no decorator")
    module, function = _place(kind, name)
    (call,) = _marks(_functions(module)[function], mark)
    return {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}


@cache
def has(kind: str, name: str, attribute: str) -> bool:
    """Whether a class in the file of a plug-in says ``attribute = True``."""
    for node in ast.walk(_source(_place(kind, name)[0])):
        for part in node.body if isinstance(node, ast.ClassDef) else ():
            targets = part.targets if isinstance(part, ast.Assign) else []
            targets = [part.target] if isinstance(part, ast.AnnAssign) else targets
            value = part.value if isinstance(part, ast.Assign | ast.AnnAssign) else None
            said = {target.id for target in targets if isinstance(target, ast.Name)}
            if attribute in said and isinstance(value, ast.Constant) and value.value is True:
                return True
    return False


@cache
def options(kind: str, name: str) -> type[BaseModel]:
    """A strict model of the options of a plug-in: keyword-only parameters with their bounds.

    ``**options`` allows any others; an option whose name begins with ``_`` is that of the study,
    and the field of the model ends with it.

    Raises:
        UserError: there is no such plug-in, or one of another package has an option whose type
            cannot be read from its source.
    """
    module, function = _place(kind, name)
    definition = _functions(module)[function]
    known = _namespace(module)
    fields: dict[str, Any] = {}
    for parameter, default in zip(
        definition.args.kwonlyargs, definition.args.kw_defaults, strict=True
    ):
        option = parameter.arg
        if option in _NOT_OPTIONS:
            continue
        try:
            annotation = _evaluate(parameter.annotation, known)
            value = ... if default is None else _evaluate(default, known)
        except (NameError, TypeError, AttributeError) as error:
            raise UserError(
                f"option {option} of {module}.{function} cannot be read from its source ({error}); "
                "annotate it with plain types, Literal, Annotated and Field, and give a plain "
                "default."
            ) from None
        if option.startswith("_"):
            annotation = Annotated[annotation, Field(alias=option)]
        fields[option.lstrip("_")] = (annotation, value)
    config = ConfigDict(
        extra="allow" if definition.args.kwarg else "forbid",
        frozen=True,
        allow_inf_nan=False,
        serialize_by_alias=True,
    )
    return create_model(f"{function}_options", __config__=config, **fields)


def keywords(kind: str, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a plug-in is called with: the options given, checked, and the defaults of others.

    Raises:
        pydantic.ValidationError: an option is unknown or wrong.
    """
    checked = options(kind, name).model_validate(given)
    fields = type(checked).model_fields
    own = {field.alias or key: getattr(checked, key) for key, field in fields.items()}
    return own | (checked.model_extra or {})


def member(kind: str, name: str, function: str | None = None) -> Any:
    """Import a plug-in.

    Args:
        kind: one of :data:`KINDS`.
        name: of the plug-in.
        function: another function of its module than the one that gives the options.

    Raises:
        UserError: there is no such plug-in, or its module cannot be imported.
    """
    module, own = _place(kind, name)
    return getattr(_imported(module), function or own)


def _imported(module: str) -> Any:
    if not module.startswith(OUTSIDE):
        return importlib.import_module(f"noise2mask.{module}")
    here = os.getcwd()  # noqa: PTH109 - as it stands in sys.path
    if here not in sys.path:
        sys.path.append(here)  # last, so that nothing there hides what is installed
    try:
        return importlib.import_module(module.removeprefix(OUTSIDE))
    except ImportError as error:
        raise UserError(
            f"the module {module.removeprefix(OUTSIDE)} of a plug-in cannot be imported: {error}; "
            "install what it needs, or take it out of the study."
        ) from error


# Annotations ------------------------------------------------------------------------------------


@cache
def _namespace(module: str) -> dict[str, Any]:
    """Names that annotations of `module` may use: the plain types and its own type aliases."""
    known = dict(_TYPES)
    for node in _source(module).body:
        if isinstance(node, ast.ImportFrom) and (source := _home_of(node, module)) is not None:
            imported = _namespace(source) if path_of(source).is_file() else {}
            known |= {
                alias.asname or alias.name: imported[alias.name]
                for alias in node.names
                if alias.name in imported
            }
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            _define(known, node.targets[0].id, node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            _define(known, node.target.id, node.value)
    return known


def _home_of(node: ast.ImportFrom, module: str) -> str | None:
    """The module that names are imported from, if it is this package's or the module's own."""
    if node.level:
        parts = module.split(".")[: -node.level]
        return ".".join([*parts, *([node.module] if node.module else [])]) or None
    named = node.module or ""
    if named.startswith("noise2mask."):
        return named.removeprefix("noise2mask.")
    top = module.partition(".")[0]
    return f"{OUTSIDE}{named}" if f"{OUTSIDE}{named}".partition(".")[0] == top else None


def _define(names: dict[str, Any], name: str, value: ast.expr) -> None:
    """Add a module-level alias or constant, if it is made of known names alone."""
    if {node.id for node in ast.walk(value) if isinstance(node, ast.Name)} <= names.keys() and (
        isinstance(value, ast.Subscript | ast.Constant | ast.Tuple)
    ):
        names[name] = _evaluate(value, names)


def _evaluate(expression: ast.expr | None, names: Mapping[str, Any]) -> Any:
    """Value of an annotation or a default; its source is that of code that would be run, too."""
    if expression is None:
        raise TypeError("it has no annotation")
    return eval(ast.unparse(expression), {"__builtins__": {}}, dict(names))
