"""Which timesteps a sampler visits.

Nichol & Dhariwal 2021 (arXiv 2102.09672, section 4) shorten a process of T timesteps by visiting
some of them only. The network is still told the original timestep.
"""

from noise2mask.errors import UserError


def respace(timesteps: int, spec: str | int) -> list[int]:
    """The timesteps visited, ascending, for a description of the spacing.

    Args:
        timesteps: T, length of the full process.
        spec: one of

            * a count ``n`` (``50`` or ``"50"``): n timesteps, evenly spaced, which contain 0 and
              T-1 (for n = 1: T-1, where the noise starts);
            * ``"ddimN"``: 0, s, 2s, ... with the smallest whole stride s that gives N timesteps.
              Mind that T-1 is in general not among them;
            * counts separated by commas (``"10,20,30"``): the process is cut into as many equal
              sections, each with its own count.

    Returns:
        Strictly ascending timesteps within 0..T-1.

    Raises:
        UserError: `spec` cannot be read, or asks for more steps than there are timesteps.
    """
    text = str(spec).replace(" ", "")
    if text.startswith("ddim"):
        return _even_stride(timesteps, _count(text.removeprefix("ddim"), spec), spec)
    counts = [_count(part, spec) for part in text.split(",")]
    size, longer = divmod(timesteps, len(counts))
    visited: list[int] = []
    start = 0
    for section, count in enumerate(counts):
        length = size + (section < longer)
        visited += _section(start, length, count, spec, timesteps)
        start += length
    return visited


def _count(text: str, spec: str | int) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) == 0:
        raise UserError(
            f"The steps {spec!r} cannot be read: give a positive count such as 50, 'ddim50', or "
            "counts for equal sections such as '10,20,30'."
        )
    return int(text)


def _even_stride(timesteps: int, count: int, spec: str | int) -> list[int]:
    for stride in range(1, timesteps + 1):
        if len(range(0, timesteps, stride)) == count:
            return list(range(0, timesteps, stride))
    raise UserError(
        f"The steps {spec!r} are impossible: no whole stride through {timesteps} timesteps gives "
        f"exactly {count} of them; give a count without 'ddim', or another number."
    )


def _section(start: int, length: int, count: int, spec: str | int, timesteps: int) -> list[int]:
    """`count` timesteps out of `length` from `start`, both ends included."""
    if count > length:
        raise UserError(
            f"The steps {spec!r} ask for {count} steps where there are only {length} of the "
            f"{timesteps} timesteps of the schedule: give at most {length}."
        )
    if count == 1:
        return [start + length - 1]
    stride = (length - 1) / (count - 1)
    visited = []
    position = 0.0
    # A running sum, not k * stride: published spacings carry its rounding.
    for _ in range(count):
        visited.append(start + round(position))
        position += stride
    return visited
