"""Which values or colours of masks are foreground, where one answer is right, and else the choices.

Two values leave no choice: the higher one, or what is not black. Masks saved with loss have a
threshold. Of several labels, somebody has to say which.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from noise2mask.data.layouts.answers import Answers, Choice, Question, offers
from noise2mask.data.layouts.contents import MOST_LABELS, Held
from noise2mask.data.source import some
from noise2mask.errors import UserError

_HALF = 127  # between black and white
_OFFERED = 8  # labels that are offered one by one


@dataclass(frozen=True)
class Foreground:
    """What is foreground: options of a kind and why, or a question."""

    options: Mapping[str, Any] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    told: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()


def foreground_of(
    held: Held, answers: Answers, names: Mapping[int, str] | None = None, refusal: str = ""
) -> Foreground:
    """What is foreground.

    Args:
        held: what the masks hold.
        answers: of the user.
        names: of labels, where something says them.
        refusal: why `prepare` would refuse these masks as they are, "" if it would not.

    Raises:
        UserError: an answer names a value or a colour that no mask holds, or no mask can be read.
    """
    names = names or {}
    if not held.looked:
        raise UserError(f"none of the masks can be read: {held.damage[0]}")
    told = (_told(held, names),)
    if answers.threshold is not None:
        return Foreground({"threshold": answers.threshold}, {}, told)
    if answers.colours or held.coloured:
        return _colours(held, answers, told)
    if answers.foreground:
        chosen = _values(held, answers, names)
        reason = ", ".join(names[value] for value in chosen if value in names)
        return Foreground({"foreground": chosen}, {"foreground": reason}, told)
    if given := {"foreground", "threshold"} & answers.settings.keys():
        return Foreground({}, dict.fromkeys(given, "given"), told)
    if not refusal:
        return Foreground(told=told)
    values = sorted(held.shares)
    if held.lossy:
        reason = "the masks were saved with loss: nearly all pixels are nearly black or white"
        return Foreground({"threshold": _HALF}, {"threshold": reason}, told)
    if len(values) > 2:
        return Foreground(told=told, questions=(_question(held, names),))
    if len(values) == 1:
        return _even(values[0], told)
    return Foreground(told=told, questions=(Question(refusal, offers(refusal)),))


def _told(held: Held, names: Mapping[int, str]) -> str:
    what = "colours" if held.coloured else "values"
    named = {value: f"{held.name(value)} {names.get(value, '')}".strip() for value in held.shares}
    shares = [f"{named[value]} ({share:.1%})" for value, share in held.shares.items()]
    among = "" if held.looked == held.total else f" (of {held.looked} of {held.total} masks)"
    return f"{what} of the masks{among}: {some(shares, 12)} of all pixels"


def _even(value: int, told: tuple[str, ...]) -> Foreground:
    """Masks of one value, or of none above 0."""
    if value == 0:
        raise UserError("the masks hold the value 0 alone, so there is no foreground in them.")
    return Foreground(
        told=told,
        questions=(
            Question(
                f"the masks hold the value {value} alone; is it foreground?",
                (Choice(f"--foreground {value}", "it is"),),
            ),
        ),
    )


def _values(held: Held, answers: Answers, names: Mapping[int, str]) -> list[int]:
    """The values that a user gave by number or name."""
    by_name = {name.casefold(): value for value, name in names.items()}
    chosen = []
    for text in answers.foreground:
        if text.lstrip("-").isdigit():
            chosen.append(int(text))
        elif text.casefold() in by_name:
            chosen.append(by_name[text.casefold()])
        else:
            known = ", ".join([*map(str, sorted(held.shares)[:12]), *names.values()])
            raise UserError(
                f"--foreground names {text!r}, which is neither a number nor a name of a label; "
                f"there are {known}."
            )
    known_values = held.shares.keys() | names.keys()
    missing = [value for value in chosen if value not in known_values]
    if missing and held.looked == held.total:
        raise UserError(
            f"--foreground names the value {missing[0]}, which no mask holds; they hold "
            f"{held.values_told()}."
        )
    return list(dict.fromkeys(chosen))


def _question(held: Held, names: Mapping[int, str]) -> Question:
    """Which of several values count."""
    values = [value for value in sorted(held.shares) if value != 0]
    if held.most > MOST_LABELS and not held.numbered:
        return Question(
            f"the masks hold up to {held.most} different values; from which on is it foreground?",
            (
                Choice(f"--threshold {_HALF}", f"above {_HALF}, of masks from black to white"),
                Choice("--threshold 0", "whatever is not 0"),
            ),
        )
    if held.numbered:
        return Question(
            f"the masks hold numbers from 1 to {values[-1]} as objects have that are counted, or "
            "labels; what is foreground?",
            (
                Choice("--threshold 0", "every object: whatever is not 0"),
                Choice("--foreground 1", "a label, or several with commas between"),
            ),
        )
    each = [
        Choice(
            f"--foreground {value}",
            f"{names.get(value, '')}: {held.shares[value]:.1%} of all pixels, in "
            f"{held.masks[value]} of {held.looked} masks".removeprefix(": "),
        )
        for value in sorted(values, key=lambda value: -held.shares[value])[:_OFFERED]
    ]
    if values == [1, 255]:
        each.append(Choice("--foreground 1,255", "255 is white, and foreground as 1 is"))
    else:
        each.append(
            Choice(f"--foreground {','.join(map(str, values[:_OFFERED]))}", _together(held))
            if len(values) <= _OFFERED
            else Choice("--threshold 0", _together(held))
        )
    return Question(f"the masks hold {len(held.shares)} values; which are foreground?", tuple(each))


def _together(held: Held) -> str:
    return "all but 0 together" if 0 in held.shares else "all of them"


def _colours(held: Held, answers: Answers, told: tuple[str, ...]) -> Foreground:
    """Foreground of colour-coded masks."""
    if answers.foreground:
        raise UserError(
            f"--foreground {','.join(answers.foreground)} names values, but the masks are coded by "
            f"colours: {held.values_told(6)}; give --colours."
        )
    shown = {held.name(value): value for value in held.shares}
    if answers.colours:
        chosen = [f"#{text.lower().removeprefix('#')}" for text in answers.colours]
        if held.coloured and held.looked == held.total:
            for text in chosen:
                if text not in shown:
                    raise UserError(
                        f"--colours names {text}, which no mask holds; they hold "
                        f"{held.values_told()}."
                    )
        return Foreground({"colours": chosen}, {"colours": "given"}, told)
    if len(shown) > MOST_LABELS:
        return Foreground(
            told=told,
            questions=(
                Question(
                    f"the masks are colour pictures of {len(shown)} colours, as files saved with "
                    "loss or blended edges have; save them without loss, or name colours:",
                    tuple(
                        Choice(f"--colours {shell_colour(held.name(value))}", f"{share:.1%}")
                        for value, share in list(held.shares.items())[:_OFFERED]
                    ),
                ),
            ),
        )
    others = [name for name, value in shown.items() if value != 0]
    if 0 in held.shares and len(others) == 1:
        reason = "the only colour beside black"
        return Foreground({"colours": others}, {"colours": reason}, told)
    # Black, which few mean, comes last: the first choice is what the example gives.
    offered = sorted(list(held.shares.items())[:_OFFERED], key=lambda each: each[0] == 0)
    choices = tuple(
        Choice(
            f"--colours {shell_colour(held.name(value))}",
            f"{share:.1%} of all pixels, in {held.masks[value]} of {held.looked} masks",
        )
        for value, share in offered
    )
    return Foreground(
        told=told,
        questions=(
            Question(
                f"the masks are coded by {len(shown)} colours; which are foreground (several with "
                "commas between)?",
                choices,
            ),
        ),
    )


def shell_colour(name: str) -> str:
    """A colour as it is typed: without #, which begins a comment in a shell."""
    return name.removeprefix("#")
