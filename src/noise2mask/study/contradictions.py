"""Mistakes in a study that only several of its fields together show."""

from pydantic import ValidationError

from noise2mask.study.plan import (
    draws_of,
    measured_modes,
    merged,
    needs_measurement,
    run_settings,
    sampler_behind,
    samplers_of,
    seeds_of,
    seeds_read,
    steps_ratios,
    trainings_of,
)
from noise2mask.study.schema import Diffusion, Settings, Study, Training, TrainingSettings
from noise2mask.study.validate import Mistakes, told


def between_fields(study: Study) -> Mistakes:
    """Mistakes that only several fields together show."""
    mistakes: Mistakes = {}
    for index, override in enumerate(study.overrides):
        parts: tuple[tuple[str, type[Settings]], ...] = (
            ("training", TrainingSettings),
            ("diffusion", Diffusion),
        )
        for part, model in parts:
            base = getattr(study, part).model_dump()
            try:
                model.model_validate(merged(base, getattr(override, part)))
            except ValidationError as error:
                mistakes |= told(error, f"overrides.{index}.{part}", model)
    total = sum(study.shares.model_dump().values())
    if abs(total - 1) > 1e-6:
        mistakes["shares"] = f"train, val and test must add up to 1, got {total:g}"
    # What is wrong in an override is wrong in every training it covers.
    return (
        mistakes
        or _mistakes_in_readings(study)
        or _mistakes_in_samplings(study) | _mistakes_in_analysis(study) | _mistakes_in_quirks(study)
    )


def _mistakes_in_readings(study: Study) -> Mistakes:
    """Names that two sections share, and readings of more draws or seeds than there are."""
    mistakes: Mistakes = {}
    for first, second in (("samplers", "readings"), ("networks", "baselines")):
        for name in set(getattr(study, first)) & set(getattr(study, second)):
            mistakes[f"{second}.{name}"] = f"'{name}' is already the name of one of the {first}"
    for name, reading in study.readings.items():
        if reading.draws is not None and reading.draws > study.samplers[reading.of].draws:
            mistakes[f"readings.{name}.draws"] = (
                f"must be at most {study.samplers[reading.of].draws}, the draws of sampler "
                f"'{reading.of}', got {reading.draws}"
            )
    for mode, entry in study.modes.items():
        seeds = seeds_of(study, mode)
        for name in entry.samplers:
            if seeds_read(study, name) > len(seeds):
                mistakes[f"modes.{mode}.seeds"] = (
                    f"reading '{name}' takes {seeds_read(study, name)} trainings together, but "
                    f"there are {len(seeds)} seeds"
                )
    return mistakes


def _mistakes_in_quirks(study: Study) -> Mistakes:
    """Pairs that differ in more than a quirk, or that no mode is scored with."""
    mistakes: Mistakes = {}
    for name, quirk in study.quirks.items():
        if bool(quirk.readings) == bool(quirk.datasets):
            mistakes[f"quirks.{name}"] = (
                "give either `readings` or `datasets`, what is proper with what has the quirk, got "
                f"{'both' if quirk.readings else 'neither'}"
            )
        for proper, other in quirk.readings.items():
            place = f"quirks.{name}.readings.{proper}"
            if other not in study.readings or not _alike(study, proper, other):
                mistakes[place] = (
                    f"'{other}' must be a reading of the same draws, and of as many, as '{proper}'"
                )
            elif not any({proper, other} <= set(mode.samplers) for mode in study.modes.values()):
                mistakes[place] = f"no mode has both '{proper}' and '{other}' among its samplers"
        for proper, other in quirk.datasets.items():
            one, two = study.datasets[proper], study.datasets[other]
            cut = [(each.kind, each.options, each.tile, each.shrink) for each in (one, two)]
            if proper == other or cut[0] != cut[1]:
                mistakes[f"quirks.{name}.datasets.{proper}"] = (
                    f"'{other}' must be another dataset of the same cases as '{proper}': give both "
                    "the same kind, options, tile and shrink"
                )
    return mistakes


def _alike(study: Study, one: str, other: str) -> bool:
    """Whether two samplers or readings are of the same draws, and of as many."""
    return (
        sampler_behind(study, one) == sampler_behind(study, other)
        and draws_of(study, one) == draws_of(study, other)
        and seeds_read(study, one) == seeds_read(study, other)
    )


def _mistakes_in_samplings(study: Study) -> Mistakes:
    """Samplers that do not fit the number of timesteps of a training they are used for."""
    mistakes: Mistakes = {}
    for training in trainings_of(study):
        timesteps = run_settings(study, training).diffusion.schedule.timesteps
        for name in samplers_of(study, training):
            entry = sampler_behind(study, name)
            length = timesteps if entry.start is None else entry.start + 1
            whose = f" for mode {training.mode} of {training.network} on {training.dataset}"
            if length > timesteps:
                mistakes.setdefault(
                    f"samplers.{name}.start",
                    f"must be between 0 and {timesteps - 1}{whose}, got {entry.start}",
                )
            elif isinstance(entry.steps, int) and not 1 <= entry.steps <= length:
                mistakes.setdefault(
                    f"samplers.{name}.steps",
                    f"must be between 1 and {length}{whose}, got {entry.steps}",
                )
    return mistakes


def _mistakes_in_analysis(study: Study) -> Mistakes:
    """A pair that is not measured, or trainings that would wait for their own measurement."""
    mistakes: Mistakes = {}
    analysis, pair = study.analysis, study.analysis.pair
    for field, name in pair.model_dump().items() if pair else ():
        if name not in analysis.measured:
            mistakes[f"analysis.pair.{field}"] = f"'{name}' must be among analysis.measured"
    for network, ratio in steps_ratios(study).items():
        if ratio <= 1:
            mistakes[f"analysis.shorter.{network}"] = (
                f"'{analysis.shorter[network]}' must be trained with fewer steps than '{network}': "
                "give one of them others in `overrides`"
            )
    waiting = [training for training in trainings_of(study) if _waits(study, training)]
    for mode in sorted({training.mode for training in waiting} & set(analysis.measured)):
        mistakes["analysis.measured"] = (
            f"mode '{mode}' has the weighting 'benefit', which is taken from a measurement of "
            "other modes: leave it out"
        )
    places = measured_modes(study)
    for training in waiting:
        if pair is None or "val" not in analysis.splits or training.measured() not in places:
            mistakes[f"modes.{training.mode}"] = (
                "its weighting 'benefit' is taken from a measured pair on val: give analysis.pair, "
                f"measure network '{training.network}', and have val among analysis.splits"
            )
    return mistakes


def _waits(study: Study, training: Training) -> bool:
    return needs_measurement(run_settings(study, training).diffusion)
