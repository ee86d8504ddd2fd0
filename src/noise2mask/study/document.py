"""A study's file as plain values: read within bounds, and nothing guessed.

Values are those of the core schema of YAML 1.2: ``2024_05``, ``no`` and ``12:30`` are text, and
``1e-4`` is a number; keys are text as it is written. A key that stands twice is refused, as is
every tag but those of plain values. What anchors and merge keys bring is counted before it is
written out, so that a small file cannot become a large one.
"""

import math
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Protocol

import yaml

from noise2mask.errors import UserError, unknown
from noise2mask.study.paths import outside_project

MOST_BYTES = 1_000_000
MOST_DEEP = 32
"""Mappings and lists inside one another."""
MOST_VALUES = 100_000
"""Values with all anchors written out."""
MOST_DIGITS = 40

_PLAIN = "!plain"  # tag that the loader gives to scalars without quotes or a tag
_CORE = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Gives every plain scalar one tag, so that what it means is decided here."""

    yaml_implicit_resolvers: ClassVar[Any] = {None: [(_PLAIN, re.compile(""))]}


class _Mark(Protocol):
    """A place in a text; of PyYAML there are two types of it."""

    @property
    def line(self) -> int: ...


class ReadError(Exception):
    """A piece of a file that is not read, and why."""

    def __init__(self, mark: _Mark | None, why: str):
        super().__init__(why)
        self.line = mark.line + 1 if mark else 0


def read_document(path: Path) -> dict[str, Any]:
    """The fields of a study's file.

    Raises:
        UserError: the file is missing, no regular text file or too large, is no YAML, or says
            something that is not read; with the line where there is one.
    """
    try:
        document = parse(_text(path))
    except ReadError as error:
        raise UserError(f"{path}, line {error.line}: {error}.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError(f"{path}{line} is not readable YAML: {problem}.") from None
    if not isinstance(document, dict):
        shown = repr(document)
        raise UserError(
            f"{path} must hold a mapping of study fields, got {shown[:100]}"
            f"{'...' if len(shown) > 100 else ''}."
        )
    return document


def parse(text: str) -> Any:
    """The plain values that a YAML text says.

    Raises:
        yaml.YAMLError: it is no YAML.
        ReadError: it says something that is not read.
    """
    _check_depth(text)
    node = yaml.compose(text, Loader=_Loader)
    if node is None:
        return None
    _measure(node, {}, set())
    return _value(node)


def _text(path: Path) -> str:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"{path} is no regular file; a study is a UTF-8 text file.")
        if found.st_size > MOST_BYTES:
            raise UserError(
                f"{path} has {found.st_size} bytes; a study is a text file of at most {MOST_BYTES}."
            )
        return path.read_text(encoding="utf-8").removeprefix("\ufeff")
    except FileNotFoundError:
        names = sorted(file.stem for file in path.parent.glob("*.yaml"))
        nearest = unknown(path.stem, "study", names)
        raise UserError(f"{path} does not exist: {nearest}.{outside_project()}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}; a study is a UTF-8 text file.") from None


def _check_depth(text: str) -> None:
    """Refuse what is nested too deeply, before anything follows the nesting."""
    depth = 0
    too_deep = f"more than {MOST_DEEP} mappings and lists inside one another"
    try:
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MOST_DEEP:
                    raise ReadError(event.start_mark, too_deep)
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except yaml.MarkedYAMLError as error:
        if "nesting depth" in str(error.problem):  # libyaml's own limit: it reads some way ahead
            raise ReadError(error.problem_mark, too_deep) from None
        raise


def _measure(
    node: yaml.Node, known: dict[int, tuple[int, int]], above: set[int]
) -> tuple[int, int]:
    """How many values a node becomes and how deep they lie; refuses a node within itself."""
    if id(node) in known:
        return known[id(node)]
    if id(node) in above:
        raise ReadError(node.start_mark, "an anchor names a part of itself")
    if len(above) > MOST_DEEP:
        raise ReadError(
            node.start_mark, f"anchors bring more than {MOST_DEEP} levels inside one another"
        )
    count, deep = 1, 0
    for part in _parts(node):
        more, below = _measure(part, known, above | {id(node)})
        count, deep = count + more, max(deep, below + 1)
        if count > MOST_VALUES:
            raise ReadError(
                node.start_mark, f"anchors and merge keys make more than {MOST_VALUES} values of it"
            )
        if deep > MOST_DEEP:
            raise ReadError(
                node.start_mark, f"anchors bring more than {MOST_DEEP} levels inside one another"
            )
    known[id(node)] = count, deep
    return count, deep


def _parts(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        _check_tag(node, "map")
        return _mapping(node)
    if isinstance(node, yaml.SequenceNode):
        _check_tag(node, "seq")
        return [_value(part) for part in node.value]
    text = str(node.value)
    if any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in text):
        raise ReadError(node.start_mark, "a character in it can be in no name and no text file")
    if node.tag == _PLAIN:
        return _plain(node, text)
    kind = _check_tag(node, "str", "int", "float", "bool", "null")
    if kind == "str":
        return text
    value = _plain(node, text)
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value).__name__.removesuffix("Type").replace("None", "null") != kind:
        raise ReadError(node.start_mark, f"{text[:40]!r} is no {kind}")
    return value


def _check_tag(node: yaml.Node, *kinds: str) -> str:
    for kind in kinds:
        if node.tag == f"{_CORE}{kind}":
            return kind
    tag = str(node.tag).replace(_CORE, "!!")
    raise ReadError(node.start_mark, f"the tag '{tag[:60]}' is not read; write it as plain text")


def _plain(node: yaml.Node, text: str) -> Any:
    """What a scalar without quotes means."""
    if text in _WORDS:
        return _WORDS[text]
    is_integer = _INTEGER.fullmatch(text)
    if is_integer or _FLOAT.fullmatch(text):
        if len(text) > MOST_DIGITS:
            raise ReadError(
                node.start_mark, f"a number of {len(text)} digits; give it {MOST_DIGITS} at most"
            )
        if not is_integer:
            return float(text)
        return int(text) if text.lstrip("+-").isdigit() else int(text, base=0)
    return text


def _mapping(node: yaml.Node) -> dict[str, Any]:
    """A mapping; its own keys win over merged ones, and of these the first.

    Keys are text as it is written: a level called 1e-4 is that, and a dataset may be called 2018.
    """
    own: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if key_node.tag == _PLAIN and key_node.value == "<<":
            for part in _merged(value_node):
                merged |= {key: value for key, value in part.items() if key not in merged}
            continue
        if not isinstance(key_node, yaml.ScalarNode):
            raise ReadError(key_node.start_mark, "a key is a word, not a list or a mapping")
        if key_node.tag != _PLAIN:
            _check_tag(key_node, "str")
        key = str(key_node.value)
        if key in own:
            raise ReadError(key_node.start_mark, f"the key '{key[:60]}' stands twice; remove one")
        own[key] = _value(value_node)
    return {**merged, **own}


def _merged(node: yaml.Node) -> list[dict[str, Any]]:
    """The mappings that a merge key brings, the first first."""
    parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
    if not all(isinstance(part, yaml.MappingNode) for part in parts):
        raise ReadError(node.start_mark, "a merge key (<<) takes a mapping or a list of mappings")
    return [_mapping(part) for part in parts]
