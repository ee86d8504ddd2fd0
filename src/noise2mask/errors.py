"""The one exception a user is meant to read, and the sentence for a name that is not there."""

import difflib
from collections.abc import Sequence

_MOST_SHOWN = 80
"""Letters of a wrong name that a message repeats."""


class UserError(Exception):
    """A mistake or a circumstance that the user can mend, told in one sentence.

    The sentence says what was given, what is allowed, where it came from and what to do.
    The command line prints it without a traceback and exits with status 2.
    """


def shortened(text: str) -> str:
    """What somebody gave, as far as a sentence shows it."""
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def unknown(name: str, what: str, valid: Sequence[str]) -> str:
    """The sentence for a name that does not exist: the nearest valid one, then all of them."""
    name = shortened(name)
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    guess = f"; did you mean '{near[0]}'?" if near else ";"
    return f"unknown {what} '{name}'{guess} Valid: {', '.join(valid) or 'none'}"
