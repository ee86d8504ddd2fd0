"""The ``noise2mask`` command: one sub-command for each stage, and those of everyday use.

A command is a public function of a module here, found by name; its parser is made from its
signature and docstring. May import everything, inside the functions: ``--help`` waits for nothing.
"""

import atexit
import gc
import inspect
import logging
import os
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from noise2mask.cli import data, machine, own, stages, studies
from noise2mask.cli.parser import Command, parser_of, prints_help
from noise2mask.errors import UserError
from noise2mask.files import command
from noise2mask.progress import Stopped, stopping_on_request

LOG = logging.getLogger("noise2mask")


def commands_in(module: ModuleType, before: str = "") -> dict[str, Command]:
    """The public functions that a module defines, by the names of their commands."""
    return {
        before + name.rstrip("_").replace("_", "-"): function
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and not name.startswith("_")
    }


COMMANDS: Mapping[str, dict[str, Command]] = {
    "a study": commands_in(studies),
    "one stage of a study": commands_in(stages),
    "your own images": commands_in(own),
    "datasets by name": commands_in(data, "data "),
    "this machine": commands_in(machine),
}
"""Commands under the title of their group; a command of a group of commands has a name of two."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 if it succeeded, 2 for a mistake of the user, 128 and the signal's number if one ended it.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    command.set(_as_typed(arguments))
    # Python would search all that torch has made for cycles before it ends: 0.6 s of a stage's 2.2.
    atexit.register(gc.freeze)
    parser = parser_of(COMMANDS)
    _start_log(None)
    try:
        options = parser.parse_args(arguments)
        if prints_help(parser, options):
            return 0
        _start_log(options.log)
        # What names the parts of a study imports what checks one, and --help does not wait for it.
        from noise2mask.cli.named import arguments_of

        ordered, keywords = arguments_of(options.command, options)
        from noise2mask.workflow.snakemake import at_work

        with stopping_on_request(), at_work():
            status = options.command(*ordered, **keywords)
        sys.stdout.flush()
    except UserError as error:
        LOG.error("Error: %s", error)
        return 2
    except KeyboardInterrupt as interrupted:
        LOG.error("Interrupted; run the same command again to go on.")
        return interrupted.status if isinstance(interrupted, Stopped) else 130
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return status or 0


def _as_typed(arguments: Sequence[str]) -> str:
    """The command with these arguments, without the file for its messages."""
    kept = list(arguments)
    if "--log" in kept:
        place = kept.index("--log")
        del kept[place : place + 2]
    return shlex.join(["noise2mask", *kept])


def _start_log(path: Path | None) -> None:
    LOG.setLevel(logging.INFO)
    LOG.handlers = [logging.StreamHandler(sys.stderr)]
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            LOG.addHandler(logging.FileHandler(path, mode="w", encoding="utf-8"))
        except OSError as error:
            raise UserError(f"--log {path} cannot be written ({error.strerror}).") from None
