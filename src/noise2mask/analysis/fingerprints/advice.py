"""Which schedule, input scale and number of steps reports recommend for masks like these.

Three studies tried input scales of the linear schedule against the scale 1: `ablation` fixed ones
on a phantom, `adaptation` and `adaptation_real` such as are chosen from the training masks
(``analysis.fingerprints.adapted_schedule``). What they found is read from the tables of those whose
reports are there, and counts for other masks as far as these die at a like log SNR. Where no
dataset that was tried is near, that is said: not tested.

Masks of another resolution are compared at that of the reports: half the resolution moves the log
SNR at which masks die by log 4.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from noise2mask.analysis.fingerprints.adapted_schedule import input_scale
from noise2mask.errors import UserError
from noise2mask.evaluation.tables import read_table


class Choice(NamedTuple):
    """A way to choose the input scale: one for all, or by a share of unreadable timesteps."""

    scale: float | None = None
    share: float | None = None

    def __str__(self) -> str:
        """What it is called."""
        return f"b = {self.scale:g}" if self.share is None else f"{self.share:.0%} unreadable"


class Asked(NamedTuple):
    """Where a study says what an input scale is worth.

    Attributes:
        plain: its mode with the scale 1.
        sampler: that the difference is taken with.
        choices: its modes with other scales.
    """

    plain: str
    sampler: str
    choices: Mapping[str, Choice]


_CHOSEN = {"unreadable": Choice(share=0.8), "unreadable_half": Choice(share=0.5)}
STUDIES: Mapping[str, Asked] = {
    "ablation": Asked(
        "scale_1", "steps10", {"scale_03": Choice(scale=0.3), "scale_01": Choice(scale=0.1)}
    ),
    "adaptation": Asked("linear_x_0", "ddim10", _CHOSEN),
    "adaptation_real": Asked("linear_x_0", "ddim10", _CHOSEN),
}
TABLES = ("fingerprints", "contrasts", "summary")
"""What a report must have to say something."""
SHARES = (0.8, 0.5)
"""Of the timesteps whose masks are to be unreadable, for which a scale is told."""
REACH = 1.0
"""Difference in log SNR up to which a dataset that was tried counts for these masks."""
POINT = 0.01
"""Of Dice: fewer steps suffice if they lose no more."""
STEPS = 10
"""What all studies sample with where nothing else is known."""


class Difference(NamedTuple):
    """Dice of another input scale minus that of 1, paired by case."""

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
        seeds: trainings of each kind.
        gained: by other scales.
        dice: mean Dice of the scale 1 by number of sampling steps, equal draws.
    """

    study: str
    dataset: str
    at_half: float
    resolution: int
    cases: int
    training_steps: int
    seeds: int
    gained: Mapping[Choice, Difference]
    dice: Mapping[int, float]


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
    """What the studies found, as far as their reports are there."""
    return [
        each
        for study, asked in STUDIES.items()
        if all(table_of(reports / study, name).is_file() for name in TABLES)
        for each in _tried(reports / study, asked)
    ]


def _tried(folder: Path, asked: Asked) -> Iterator[Tried]:
    """The datasets of one report."""
    places = read_table(table_of(folder, "fingerprints"), "fingerprints")
    contrasts = read_table(table_of(folder, "contrasts"), "contrasts")
    contrasts = contrasts[(contrasts["second"] == asked.plain) & (contrasts["metric"] == "dice")]
    contrasts = contrasts[contrasts["sampler"] == asked.sampler]
    settings = settings_of(folder)
    for dataset in places["dataset"].unique():
        deaths = places[(places["dataset"] == dataset) & (places["figure"] == "log_snr_at_half")]
        rows = contrasts[contrasts["dataset"] == dataset].to_dict("records")
        gained = {
            asked.choices[str(row["first"])]: Difference(
                float(row["difference"]), float(row["low"]), float(row["high"])
            )
            for row in rows
            if row["first"] in asked.choices
        }
        if deaths.empty or not gained:
            continue
        yield Tried(
            study=folder.name,
            dataset=str(dataset),
            at_half=float(deaths["mean"].iloc[0]),
            resolution=int(settings["resolution"]),
            cases=int(rows[0]["n"]),
            training_steps=int(settings["training"]["steps"]),
            seeds=int(rows[0]["seeds"]),
            gained=gained,
            dice=_by_steps(folder, str(dataset), asked.plain),
        )


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


def _by_steps(folder: Path, dataset: str, mode: str) -> dict[int, float]:
    """Mean Dice by number of sampling steps from pure noise."""
    table = read_table(table_of(folder, "summary"), "summary")
    rows = table[(table["dataset"] == dataset) & (table["mode"] == mode)]
    rows = rows[(rows["metric"] == "dice") & rows["start"].isna()]
    return {int(row["steps"]): float(row["mean"]) for row in rows.to_dict("records")}


def advise(at_half: tuple[float, float, float], resolution: int, tried: Sequence[Tried]) -> Advice:
    """What the reports recommend for masks that die at this log SNR.

    The scale 1, unless every dataset near gained by another beyond its interval, then that with the
    largest gain; the fewest steps that lost no more than a Dice point on each of those near, 10
    where one of them was drawn with a single number of steps. `at_half` is the log SNR at which the
    masks die (figure `log_snr_at_half`) with its interval, `resolution` that of the masks, px.
    """
    scales = [
        Scale(share, *(_scale(place, share) for place in at_half))
        for share in SHARES
        if np.isfinite(at_half[0])
    ]
    apart = [
        (each, abs(_at(at_half[0], resolution, each.resolution) - each.at_half)) for each in tried
    ]
    apart.sort(key=lambda pair: (np.isnan(pair[1]), pair[1]))
    near = [pair for pair in apart if pair[1] <= REACH]
    others = [pair for pair in apart if pair not in near]
    choices = near[0][0].gained if near else {}
    better = {
        choice: float(np.mean([each.gained[choice].mean for each, _ in near]))
        for choice in choices
        if all(gains(each, choice) for each, _ in near)
    }
    best = max(better, key=lambda choice: better[choice], default=Choice(scale=1.0))
    scale = _scale(at_half[0], best.share) if best.share is not None else best.scale
    enough = [fewest_steps(each) for each, _ in near]
    known = [steps for steps in enough if steps is not None]
    fewest = max(known) if known and len(known) == len(enough) else STEPS
    return Advice(scale or 1.0, fewest, scales, near, others)


def _scale(at_half: float, share: float) -> float:
    """The scale of one log SNR; NaN where an interval has no end."""
    return round(input_scale(at_half, share), 3) if np.isfinite(at_half) else math.nan


def gains(each: Tried, choice: Choice) -> bool:
    """Whether another scale was better beyond its interval."""
    return choice in each.gained and each.gained[choice].low > 0


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
        f"{'one step (a single pass)' if advice.steps == 1 else f'{advice.steps} DDIM steps'}; "
        "how sure that is:"
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
        differences = [
            f"{choice} {gain.mean:+.3f} [{gain.low:.3f}, {gain.high:.3f}]"
            for choice, gain in each.gained.items()
        ]
        lines.append(f"      Dice minus that of b = 1: {', '.join(differences)}")
        fewest = fewest_steps(each)
        steps = ", ".join(map(str, sorted(each.dice))) or "none"
        lines.append(
            f"      steps tried at b = 1: {steps}; "
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
            + (", one training each" if any(each.seeds == 1 for each in known) else "")
            + "; other sizes, networks and longer trainings are not tested"
        )
    return lines


def _either(numbers: Sequence[int]) -> str:
    return " or ".join(map(str, numbers))
