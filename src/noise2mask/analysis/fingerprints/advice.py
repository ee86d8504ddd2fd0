"""Which schedule, input scale and number of steps reports recommend for masks like these.

Two studies tried the linear schedule with an input scale that is chosen from the training masks
(``analysis.fingerprints.adapted_schedule``) against the scale 1: `adaptation` on phantoms and
`adaptation_real` on real images. What they found is read from their tables, and counts for other
masks as far as these die at a like log SNR. Where no dataset that was tried is near, that is said:
not tested.

Masks of another resolution are compared at that of the reports: half the resolution moves the log
SNR at which masks die by log 4.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from noise2mask.analysis.fingerprints.adapted_schedule import input_scale
from noise2mask.errors import UserError
from noise2mask.evaluation.tables import read_table

STUDIES = ("adaptation", "adaptation_real")
SHARES: Mapping[str, float] = {"unreadable": 0.8, "unreadable_half": 0.5}
"""Modes of those studies: share of the timesteps whose masks are to be unreadable."""
PLAIN = "linear_x_0"
"""Their mode with the input scale 1."""
SAMPLER = "ddim10"
REACH = 1.0
"""Difference in log SNR up to which a dataset that was tried counts for these masks."""
POINT = 0.01
"""Of Dice: fewer steps suffice if they lose no more."""
STEPS = 10
"""What all studies sample with where nothing else is known."""


class Difference(NamedTuple):
    """Dice of a chosen input scale minus that of 1, paired by case."""

    mean: float
    low: float
    high: float


class Tried(NamedTuple):
    """A dataset on which input scales were tried.

    Attributes:
        study: the report.
        dataset: its name there.
        at_half: log SNR at which its masks die, at `resolution`.
        resolution: of the study, px.
        cases: test cases.
        training_steps: of each training.
        gained: by the share of :data:`SHARES`.
        dice: mean Dice of the scale 1 by number of sampling steps, equal draws.
        earlier: the report was made by an earlier version.
    """

    study: str
    dataset: str
    at_half: float
    resolution: int
    cases: int
    training_steps: int
    gained: Mapping[float, Difference]
    dice: Mapping[int, float]
    earlier: bool


class Scale(NamedTuple):
    """An input scale for these masks, by the rule `unreadable`, with their interval, or NaN."""

    share: float
    mean: float
    low: float
    high: float


class Advice(NamedTuple):
    """What is recommended, and on which ground.

    Attributes:
        scale: recommended input scale b of the linear schedule.
        steps: recommended number of sampling steps.
        scales: those that the rule gives for these masks; none where these do not die.
        near: datasets that count, with their distance in log SNR, the nearest first.
        others: all others that were tried.
    """

    scale: float
    steps: int
    scales: Sequence[Scale]
    near: Sequence[tuple[Tried, float]]
    others: Sequence[tuple[Tried, float]]


def tried_datasets(reports: Path) -> list[Tried]:
    """What the two studies found, as far as their reports are there.

    Args:
        reports: the folder of reports.
    """
    found: list[Tried] = []
    for study in STUDIES:
        folder = reports / study
        names = ("fingerprints", "contrasts", "sweeps")
        paths = [table_of(folder, name) for name in names]
        if not all(path.is_file() for path in paths):
            continue
        places, contrasts, sweeps = (
            read_table(path, name) for path, name in zip(paths, names, strict=True)
        )
        settings = settings_of(folder)
        text = folder / "report.md"
        head = text.read_text(encoding="utf-8")[:600] if text.is_file() else ""
        for dataset in places["dataset"].unique():
            deaths = places[
                (places["dataset"] == dataset) & (places["figure"] == "log_snr_at_half")
            ]
            gained = _gained(contrasts[contrasts["dataset"] == dataset])
            if deaths.empty or not gained:
                continue
            found.append(
                Tried(
                    study=study,
                    dataset=str(dataset),
                    at_half=float(deaths["mean"].iloc[0]),
                    resolution=int(settings["resolution"]),
                    cases=int(contrasts[contrasts["dataset"] == dataset]["n"].iloc[0]),
                    training_steps=int(settings["training"]["steps"]),
                    gained=gained,
                    dice=_by_steps(sweeps[sweeps["dataset"] == dataset]),
                    earlier="earlier version" in head,
                )
            )
    return found


def table_of(folder: Path, name: str) -> Path:
    """Where a report keeps a table: plain, or packed."""
    packed = folder / f"{name}.csv.gz"
    return packed if packed.is_file() else folder / f"{name}.csv"


def settings_of(folder: Path) -> dict[str, Any]:
    """The settings of the study that a report is of.

    Raises:
        UserError: the report does not say them.
    """
    path = folder / "provenance.json"
    try:
        settings: dict[str, Any] = json.loads(path.read_bytes())["settings"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}), so nothing says at which resolution "
            f"the report was made; give the folder of a report of noise2mask."
        ) from None
    return settings


def _gained(contrasts: pd.DataFrame) -> dict[float, Difference]:
    """Differences from the scale 1, by share."""
    rows = contrasts[
        (contrasts["second"] == PLAIN)
        & (contrasts["metric"] == "dice")
        & (contrasts["sampler"] == SAMPLER)
    ]
    return {
        SHARES[row["first"]]: Difference(*map(float, (row["difference"], row["low"], row["high"])))
        for _, row in rows.iterrows()
        if row["first"] in SHARES
    }


def _by_steps(sweeps: pd.DataFrame) -> dict[int, float]:
    rows = sweeps[(sweeps["mode"] == PLAIN) & (sweeps["metric"] == "dice")]
    return {int(row["steps"]): float(row["mean"]) for _, row in rows.iterrows()}


def advise(at_half: tuple[float, float, float], resolution: int, tried: Sequence[Tried]) -> Advice:
    """What the reports recommend for masks that die at this log SNR.

    The scale 1, unless every dataset near gained by a chosen scale beyond its interval; the fewest
    steps that lost no more than a Dice point on each of those near, 10 where one of them was drawn
    with a single number of steps.

    Args:
        at_half: log SNR at which the masks die (figure `log_snr_at_half`) with its interval.
        resolution: of the masks, px.
        tried: of :func:`tried_datasets`.
    """
    scales = [
        Scale(share, *(_scale(place, share) for place in at_half))
        for share in SHARES.values()
        if np.isfinite(at_half[0])
    ]
    apart = [
        (each, abs(_at(at_half[0], resolution, each.resolution) - each.at_half)) for each in tried
    ]
    apart.sort(key=lambda pair: (np.isnan(pair[1]), pair[1]))
    near = [pair for pair in apart if pair[1] <= REACH]
    others = [pair for pair in apart if pair not in near]
    better = [
        scale
        for scale in scales
        if near and all(share_gains(each, scale.share) for each, _ in near)
    ]
    enough = [fewest_steps(each) for each, _ in near]
    known = [steps for steps in enough if steps is not None]
    fewest = max(known) if known and len(known) == len(enough) else STEPS
    return Advice(better[0].mean if better else 1.0, fewest, scales, near, others)


def _scale(at_half: float, share: float) -> float:
    """The scale of one log SNR; NaN where an interval has no end."""
    return round(input_scale(at_half, share), 3) if np.isfinite(at_half) else math.nan


def share_gains(each: Tried, share: float) -> bool:
    """Whether the chosen scale was better beyond its interval."""
    return share in each.gained and each.gained[share].low > 0


def fewest_steps(each: Tried) -> int | None:
    """The fewest steps within a Dice point of the best; None where one number was tried."""
    if len(each.dice) < 2:
        return None
    best = max(each.dice.values())
    return min(steps for steps, dice in each.dice.items() if dice >= best - POINT)


def _at(log_snr: float, resolution: int, other: int) -> float:
    """The log SNR at which the same masks die at another resolution."""
    return log_snr + math.log(4) * math.log2(resolution / other)


def told(advice: Advice, resolution: int) -> list[str]:
    """What a person reads of it, line by line."""
    lines = [
        f"  recommended: linear schedule, input scale b = {advice.scale:g}, target x_0, "
        f"{advice.steps} DDIM steps; how sure that is:"
    ]
    if not advice.near:
        where = ", ".join(f"{each.dataset} ({far:.1f} away)" for each, far in advice.others[:3])
        nearest = f"the nearest that were tried are {where}" if where else "no report is here"
        lines.append(
            f"    not tested for such masks: {nearest}. These are the defaults of the studies."
        )
    for each, far in advice.near:
        lines.append(
            f"    tried on {each.dataset} ({each.study}, {each.cases} test cases), whose masks die "
            f"{far:.1f} away in log SNR:"
        )
        gains = [
            f"{share:.0%} unreadable {gain.mean:+.3f} [{gain.low:.3f}, {gain.high:.3f}]"
            for share, gain in each.gained.items()
        ]
        lines.append(f"      Dice of a chosen b minus that of b = 1: {', '.join(gains)}")
        fewest = fewest_steps(each)
        steps = ", ".join(map(str, sorted(each.dice))) or "none"
        lines.append(
            f"      steps tried: {steps}; "
            + (
                "fewer were not tried"
                if fewest is None
                else f"{fewest} lose no more than a Dice point"
            )
        )
    choices = ", ".join(
        f"{scale.mean:g}"
        + (f" [{scale.low:g}, {scale.high:g}]" if np.isfinite(scale.low) else "")
        + f" for {scale.share:.0%} of the timesteps"
        for scale in advice.scales
    )
    if choices:
        lines.append(f"    b that leaves masks unreadable at {resolution} px: {choices}")
    if advice.near:
        known = [each for each, _ in advice.near]
        sizes = sorted({each.resolution for each in known})
        training = sorted({each.training_steps for each in known})
        lines.append(
            f"    by small networks at {_either(sizes)} px after {_either(training)} training steps"
            + (", an earlier version" if any(each.earlier for each in known) else "")
            + "; other sizes, networks and longer trainings are not tested"
        )
    return lines


def _either(numbers: Sequence[int]) -> str:
    return " or ".join(map(str, numbers))
