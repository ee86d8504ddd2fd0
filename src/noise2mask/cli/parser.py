"""The parser of the command line, made from the signatures and docstrings of the commands.

A command is a function. What it takes in order are arguments, what it takes by keyword are
options; a default makes either optional, a ``bool`` is a switch, ``*names`` takes any number and
``tuple[str, ...]`` an option that may be repeated. A parameter of the type `Study`, `Paths`,
`Training`, `BaselineTraining` or `Measured` is made of the options that name it, see
:mod:`noise2mask.cli.named`. Annotations are read as text, so that ``--help`` waits for no import.

The first line of a docstring says what the command does, its ``Args`` what each parameter is, its
``Example`` how it is called.
"""

import argparse
import inspect
import itertools
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn, TypeAlias, get_args, get_origin

from noise2mask import __version__
from noise2mask.errors import UserError, unknown

Command = Callable[..., int | None]

MADE_OF: Mapping[str, tuple[str, ...]] = {
    "Study": ("study", "data"),
    "Paths": (),
    "Training": ("dataset", "network", "mode", "seed"),
    "BaselineTraining": ("dataset", "baseline", "seed"),
    "Measured": ("dataset", "network", "seed"),
}
"""Options behind each type that is made of some."""

_HELP = {
    "study": "a name in config/, or the path of a YAML file",
    "data": "folder that replaces {data} in the study",
    "dataset": "as named in the study",
    "network": "as named in the study",
    "mode": "as named in the study",
    "seed": "one of the study's",
    "sampler": "as named in the study",
    "baseline": "as named in the study",
    "log": "file that gets a copy of the messages",
}
_LEAST = {"processes": 1, "threads": 1, "sheet": 0}
"""Options that count something, and the smallest count."""
_TYPES = {"Literal": Literal, "Path": Path, "bool": bool, "float": float, "int": int, "str": str}
_OPTIONAL = " | None"

Subparsers: TypeAlias = "argparse._SubParsersAction[Any]"


class Said(NamedTuple):
    """What the docstring of a command says.

    Attributes:
        summary: its first line, without the full stop.
        text: what follows, up to the first section.
        parameters: what each parameter is.
        example: a line or more of a shell.
    """

    summary: str
    text: str
    parameters: Mapping[str, str]
    example: str


def said_of(command: Command) -> Said:
    """The parts of a command's docstring."""
    head, *rest = re.split(r"^(Args|Example|Raises|Returns):\n", inspect.getdoc(command) or "",
                           flags=re.MULTILINE)  # fmt: skip
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    summary, _, text = head.partition("\n")
    parameters = {
        name: " ".join(meaning.split()).rstrip(".")
        for name, meaning in re.findall(
            r"^    (\w+): (.*(?:\n {8}.*)*)", sections.get("Args", ""), flags=re.MULTILINE
        )
    }
    example = textwrap.dedent(sections.get("Example", "")).strip()
    return Said(summary.rstrip("."), text.strip(), parameters, example)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are sentences that offer the nearest valid name."""

    def __init__(self, **options: Any):
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options
        )

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong.

        Raises:
            UserError: always.
        """
        raise UserError(f"{message}; see `{self.prog} --help`.")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The options; what is left over is told."""
        found, left = self.parse_known_args(args, namespace)
        if left:
            parser: Parser = getattr(found, "parser", self)
            parser.error(f"got '{left[0]}' behind all that the command takes")
        return found

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As the base class does; an unknown option is told first, with the nearest."""
        if self._subparsers is None:
            known = [name for name in self._option_string_actions if name.startswith("--")]
            for text in itertools.takewhile(lambda text: text != "--", args or ()):
                option = text.partition("=")[0]
                if option.startswith("--") and option not in known:
                    self.error(unknown(option, "option", known))
        return super().parse_known_args(args, namespace)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a value that is none of the choices, with the nearest of them."""
        if action.choices is not None and value not in action.choices:
            what = "command" if isinstance(action, argparse._SubParsersAction) else "value"
            name = f"{'/'.join(action.option_strings)}: " if action.option_strings else ""
            self.error(name + unknown(str(value), what, [str(each) for each in action.choices]))


def parser_of(
    groups: Mapping[str, Mapping[str, Command]], *, listed: str | None = argparse.SUPPRESS
) -> Parser:
    """The parser; the function of the chosen command is in `command` of what it gives.

    Args:
        groups: commands by their name under the title of their group; ``data get`` is the command
            ``get`` of ``data``.
        listed: what argparse shall say of all commands, beside the groups.
    """
    commands = {name: command for group in groups.values() for name, command in group.items()}
    parser = Parser(
        prog="noise2mask",
        usage="noise2mask COMMAND [options]",
        description="A reproducible laboratory for diffusion segmentation of medical images.\n\n"
        + "\n\n".join(_listing(title, group) for title, group in groups.items()),
        epilog="`noise2mask COMMAND --help` shows the options of a command and an example.",
    )
    parser.add_argument("--version", action="version", version=f"noise2mask {__version__}")
    top = parser.add_subparsers(metavar="COMMAND", help=listed)
    folders: dict[str, Subparsers] = {}
    for name, command in commands.items():
        folder, _, last = name.rpartition(" ")
        if folder and folder not in folders:
            inner = {key: value for key, value in commands.items() if key.startswith(f"{folder} ")}
            parent = top.add_parser(
                folder,
                prog=f"noise2mask {folder}",
                usage=f"noise2mask {folder} COMMAND [options]",
                description=_listing("", inner),
                help="a group of commands",
            )
            parent.set_defaults(parser=parent)
            folders[folder] = parent.add_subparsers(metavar="COMMAND", help=listed)
        _add_command(folders[folder] if folder else top, name, last, command)
    return parser


def _listing(title: str, group: Mapping[str, Command]) -> str:
    width = max(map(len, group)) + 2
    lines = [f"  {name:<{width}}{said_of(command).summary}" for name, command in group.items()]
    return "\n".join([*([f"{title}:"] if title else []), *lines])


def _add_command(stages: Subparsers, name: str, last: str, command: Command) -> None:
    said = said_of(command)
    body = f"{said.summary}.\n\n{said.text}" if said.text else f"{said.summary}."
    example = f"example:\n{textwrap.indent(said.example, '  ')}" if said.example else None
    parser = stages.add_parser(
        last, prog=f"noise2mask {name}", description=body, epilog=example, help=said.summary
    )
    parser.set_defaults(command=command, parser=parser)
    help_of = {**_HELP, **said.parameters}
    for parameter in inspect.signature(command).parameters.values():
        for flags, settings in _arguments(parameter):
            key = settings.get("dest", flags[0].lstrip("-").replace("-", "_"))
            text = help_of.get(key, "").replace("%", "%%")
            parser.add_argument(*flags, help=text, **settings)
    parser.add_argument("--log", type=Path, help=help_of["log"])


def _arguments(parameter: inspect.Parameter) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Flags and settings of what the parser is told of one parameter."""
    text = str(parameter.annotation)
    optional = text.endswith(_OPTIONAL)
    text = text.removesuffix(_OPTIONAL)
    needed = parameter.default is parameter.empty
    if text in MADE_OF:
        for name in MADE_OF[text]:
            required = needed and not optional and name != "data"
            kind = int if name == "seed" else _text(required=required)
            yield (f"--{name}",), {"required": required, "type": kind}
        return
    settings: dict[str, Any] = {}
    default = None if needed else parameter.default
    if parameter.kind is parameter.VAR_POSITIONAL:
        settings = {"nargs": "*", "type": _some}
    elif text == "bool":
        settings = {"action": "store_true"}
    elif text.startswith("tuple["):
        settings = {"action": "append", "default": [], "metavar": "VALUE"}
    else:
        kind = eval(text, {"__builtins__": {}}, _TYPES)
        if get_origin(kind) is Literal:
            settings = {"choices": get_args(kind)}
        elif parameter.name in _LEAST:
            settings = {"type": _count_from(_LEAST[parameter.name])}
        else:
            settings = {"type": _text(required=needed) if kind is str else kind}
        settings["default"] = default
    if parameter.kind is parameter.KEYWORD_ONLY:
        if needed and "action" not in settings:
            settings["required"] = True
        flag = parameter.name.rstrip("_").replace("_", "-")
        if parameter.name.endswith("_"):  # from_, a word of Python
            settings |= {"dest": parameter.name, "metavar": flag.upper()}
        yield (f"--{flag}",), settings
    else:
        if not needed:
            settings["nargs"] = "?"
        yield (parameter.name,), settings


def _text(*, required: bool) -> Callable[[str], str | None]:
    return _some if required else _given


def _count_from(least: int) -> Callable[[str], int]:
    """Reads a whole number that is no smaller than `least`."""

    def count(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"got {text!r}; give a whole number from {least} on")
        return number

    return count


def _some(text: str) -> str:
    """A text that is needed."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; give a name")
    return text


def _given(text: str) -> str | None:
    """An option's text; an empty one, as a DVC stage passes it, is the same as none."""
    return text or None


def prints_help(parser: Parser, found: argparse.Namespace) -> bool:
    """Print the help of a command that only groups others, or of all; whether it was that."""
    if hasattr(found, "command"):
        return False
    getattr(found, "parser", parser).print_help(sys.stdout)
    return True
