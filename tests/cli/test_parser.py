"""A parser made from signatures and docstrings, and what it says of a mistake."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

import pytest

from noise2mask.cli import COMMANDS
from noise2mask.cli.parser import parser_of, prints_help, said_of
from noise2mask.errors import UserError

EVERY = {name: command for group in COMMANDS.values() for name, command in group.items()}


def draw(
    place: str,
    *others: str,
    side: int = 3,
    kind: Literal["dot", "line"] = "dot",
    out: Path | None = None,
    label: tuple[str, ...] = (),
    fast: bool = False,
    processes: int = 1,
    colour: str,
) -> None:
    """Draw something.

    More of it.

    Args:
        place: where
            it goes.
        side: in 100 % pixels.

    Example:
        noise2mask draw here --colour red
    """


def parsed(*arguments):
    found = vars(parser_of({"all": {"draw": draw, "old things": draw}}).parse_args(arguments))
    found.pop("parser")
    return found


def test_what_a_signature_says():
    assert parsed("draw", "here", "--colour", "red") == {
        "command": draw, "place": "here", "others": [], "side": 3, "kind": "dot", "out": None,
        "label": [], "fast": False, "processes": 1, "colour": "red", "log": None,
    }  # fmt: skip
    found = parsed(
        "draw", "--side", "4", "--kind", "line", "--out", "a/b", "--label", "x", "--label", "y",
        "--fast", "--colour", "red", "--log", "l", "--", "here", "--odd", "there",
    )  # fmt: skip
    assert found["others"] == ["--odd", "there"]
    assert (found["side"], found["kind"], found["out"]) == (4, "line", Path("a/b"))
    assert (found["label"], found["fast"], found["colour"]) == (["x", "y"], True, "red")


def test_what_a_docstring_says():
    said = said_of(draw)
    assert said.summary == "Draw something"
    assert said.text == "More of it."
    assert said.parameters == {"place": "where it goes", "side": "in 100 % pixels"}
    assert said.example == "noise2mask draw here --colour red"


def test_a_default_stays_what_it_is_from_call_to_call():
    parsed("draw", "here", "--colour", "red", "--label", "x")
    assert parsed("draw", "here", "--colour", "red")["label"] == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["drwa"], "unknown command 'drwa'; did you mean 'draw'?"),
        (["draw", "--clour", "red"], "unknown option '--clour'; did you mean '--colour'?"),
        (["draw", "here"], "the following arguments are required: --colour; see `noise2mask draw"),
        (["draw", "x", "--colour", "r", "--kind", "lines"], "--kind: unknown value 'lines'; did"),
        (["draw", "x", "--colour", "r", "--side", "a"], "argument --side: invalid int value: 'a'"),
        *(
            (["draw", "x", "--colour", "r", f"--processes={count}"],
             f"argument --processes: got '{count}'; give a whole number from 1 on; see `noise2")
            for count in ("-1", "0", "a", "1.5")
        ),
        (["draw", "x", "--col", "r"], "unknown option '--col'; did you mean '--colour'?"),
        (["draw", "", "--colour", "red"], "argument place: is empty; give a name; see `noise2mask"),
        (["draw", "x", "--colour", " "], "argument --colour: is empty; give a name; see `noise2"),
        (["old", "thngs"], "unknown command 'thngs'; did you mean 'things'? Valid: things"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_the_nearest_name(arguments, sentence):
    with pytest.raises(UserError) as caught:
        parsed(*arguments)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("name", EVERY)
def test_every_command_says_what_it_does_its_options_and_an_example(name, capsys):
    with pytest.raises(SystemExit) as ended:
        parser_of(COMMANDS).parse_args([*name.split(), "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    said = said_of(EVERY[name])
    assert said.summary in text
    assert text.rstrip().endswith(said.example.splitlines()[-1].strip())
    options = [line for line in text.splitlines() if line.startswith("  --")]
    for line in options:  # each has its meaning, on the same line or on the next
        after = text.splitlines()[text.splitlines().index(line) + 1]
        assert "  " in line.strip() or after.startswith(" " * 20), line


@pytest.mark.parametrize("name", EVERY)
def test_the_example_of_a_command_is_one_of_it(name):
    for line in said_of(EVERY[name]).example.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix('eval "$(').removesuffix(')"'))
        words = words[words.index("noise2mask") + 1 :]
        assert parser_of(COMMANDS).parse_args(words).command is EVERY[name]


def test_without_a_command_the_help_is_shown(capsys):
    parser = parser_of(COMMANDS)
    assert prints_help(parser, parser.parse_args([]))
    assert "  reproduce " in capsys.readouterr().out
    assert prints_help(parser, parser.parse_args(["data"]))
    assert "  data get " in capsys.readouterr().out
    assert not prints_help(parser, parser.parse_args(["doctor"]))
