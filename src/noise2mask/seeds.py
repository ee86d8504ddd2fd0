"""The one place where seeds are made.

Every random number of a study is drawn from a generator seeded with :func:`seed_of`, a function
of *what* is drawn alone (seed of the run, step, case, draw), never of when or beside what it is
drawn. So a resumed training equals an uninterrupted one without any saved generator state, and a
draw does not depend on the batch it was sampled in.
"""

import hashlib


def seed_of(*what: str | int) -> int:
    """A seed in [0, 2**63) for the thing named by `what`, e.g. ``seed_of(0, "draw", case, 3)``.

    Stable over Python versions, processes and machines (SHA-256, not the salted ``hash``).

    Raises:
        TypeError: a part is neither ``str`` nor ``int``; floats have no exact spelling.
    """
    for part in what:
        if not isinstance(part, str | int):
            raise TypeError(f"seed_of takes strings and integers, got {part!r}")
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in what)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
