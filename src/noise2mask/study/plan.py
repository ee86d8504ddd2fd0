"""What a study comes to: its trainings, their settings, and what is made of them."""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from noise2mask import plugins
from noise2mask.study.schema import (
    Dataset,
    Diffusion,
    Measured,
    Options,
    Reading,
    RunSettings,
    Sampler,
    Study,
    Training,
    TrainingSettings,
)

REFERENCE, PREDICTION = "reference", "prediction"
"""Mode and sampler under which tables hold a baseline."""


def baseline_trainings(study: Study) -> Iterator[Training]:
    """Every training of a baseline, in the order of the file."""
    for dataset in scored_datasets(study):
        for name, entry in study.baselines.items():
            if _holds(entry.datasets, dataset) and not leaves_out(study.datasets[dataset]):
                for seed in study.seeds:
                    yield Training(dataset, name, REFERENCE, seed)


def trainings_of(study: Study) -> Iterator[Training]:
    """Every training of a study, in the order of its file."""
    for dataset, entry in study.datasets.items():
        for network in study.networks:
            for name, mode in study.modes.items():
                if _holds(entry.modes, name) and _holds(mode.networks, network):
                    for seed in seeds_of(study, name):
                        yield Training(dataset, network, name, seed)


def seeds_of(study: Study, mode: str) -> tuple[int, ...]:
    """Seeds of a mode's trainings: its own, or those of the study."""
    return study.modes[mode].seeds or study.seeds


def _holds(names: tuple[str, ...] | None, name: str) -> bool:
    return names is None or name in names


def scored_datasets(study: Study) -> tuple[str, ...]:
    """Datasets that masks are drawn for, in the order of the file; all if only baselines are."""
    if study.baselines and not study.networks:
        return tuple(study.datasets)
    scored = {training.dataset for training in trainings_of(study) if samplers_of(study, training)}
    return tuple(dataset for dataset in study.datasets if dataset in scored)


def quirky_datasets(study: Study) -> frozenset[str]:
    """Datasets that are another one with a quirk: the same cases, so they prove nothing anew."""
    pairs = [quirk.datasets for quirk in study.quirks.values()]
    return frozenset(other for pair in pairs for other in pair.values())


def proper_masks(study: Study) -> dict[str, str]:
    """Datasets whose reference masks have a quirk, and the dataset with the proper masks."""
    return {
        other: proper
        for quirk in study.quirks.values()
        for proper, other in quirk.datasets.items()
        if study.datasets[proper].masks != study.datasets[other].masks
    }


def compared_modes(study: Study) -> tuple[tuple[str, str, str], ...]:
    """The planned comparisons of diffusion and feed-forward: both modes, and whose loss they have.

    Without a word of the study the modes `diffusion` and `feed_forward`, where both are scored.
    """
    own = study.comparisons.own
    if own is None:
        own = ("diffusion", "feed_forward")
        if not all(name in study.modes and study.modes[name].samplers for name in own):
            return ()
    return ((*own, "own"), *((*pair, "matched") for pair in study.comparisons.matched))


def leaves_out(dataset: Dataset) -> bool:
    """Whether pixels of a dataset are left out: of fingerprints, measurements and baselines too."""
    return bool(dataset.options.get("ignore")) or dataset.aspect == "padded"


def soft(dataset: Dataset) -> bool:
    """Whether masks are shares of annotators, which are no masks to be coded and measured."""
    return dataset.options.get("several") == "soft"


def described_datasets(study: Study) -> tuple[str, ...]:
    """Datasets whose masks get a fingerprint: all that are not there for some modes only."""
    if not study.analysis.oracles:
        return ()
    return tuple(
        name
        for name, entry in study.datasets.items()
        if entry.modes is None and not leaves_out(entry)
    )


def grown_datasets(study: Study) -> tuple[str, ...]:
    """Datasets whose masks are grown at several resolutions, to see what that does."""
    if not study.analysis.grown:
        return ()
    quirky = quirky_datasets(study)
    return tuple(
        name
        for name, entry in study.datasets.items()
        if entry.modes is None and name not in quirky and not leaves_out(entry)
    )


def measured_modes(study: Study) -> dict[Measured, tuple[str, ...]]:
    """Where the loss is measured along the noise axis, and the modes there."""
    analysis = study.analysis
    found: dict[Measured, tuple[str, ...]] = {}
    for training in trainings_of(study):
        if leaves_out(study.datasets[training.dataset]) or soft(study.datasets[training.dataset]):
            continue
        if training.mode in analysis.measured and _holds(analysis.networks, training.network):
            found[training.measured()] = (*found.get(training.measured(), ()), training.mode)
    return found


def steps_ratios(study: Study) -> dict[str, float]:
    """By how much longer than its `analysis.shorter` each network is trained with the image."""
    pair, found = study.analysis.pair, {}
    if pair is None:
        return {}
    for network, other in study.analysis.shorter.items():
        dataset = next(iter(study.datasets))
        steps = [
            run_settings(study, Training(dataset, name, pair.with_image, 0)).training.steps
            for name in (network, other)
        ]
        found[network] = steps[0] / steps[1]
    return found


def samplers_of(study: Study, training: Training) -> tuple[str, ...]:
    """Names of the samplers and readings that a training is scored with.

    A reading of several seeds is scored in the training of the first.
    """
    if training.network in study.baselines:
        return (PREDICTION,)
    mode = study.modes[training.mode]
    first = seeds_of(study, training.mode)[0]
    return tuple(
        name
        for name in mode.samplers
        if _holds(_drawn(study, name).networks, training.network)
        and (training.seed == first or seeds_read(study, name) == 1)
    )


def _drawn(study: Study, name: str) -> Sampler | Reading:
    return study.samplers[name] if name in study.samplers else study.readings[name]


def seeds_read(study: Study, name: str) -> int:
    """How many trainings' draws a sampler's or reading's masks are fused of."""
    return study.readings[name].seeds if name in study.readings else 1


def sampler_behind(study: Study, name: str) -> Sampler:
    """The sampler that made the draws of a sampler or reading."""
    return study.samplers[study.readings[name].of if name in study.readings else name]


def draws_masks(study: Study, name: str) -> bool:
    """Whether the draws of a sampler or reading are masks, and not probabilities of one pass."""
    return sampler_behind(study, name).sampler != "one_pass"


def draws_of(study: Study, name: str) -> int:
    """N, the draws that are fused, of a sampler, a reading or the prediction of a baseline."""
    if name == PREDICTION and name not in study.samplers:
        return 1
    if name not in study.readings:
        return study.samplers[name].draws
    reading = study.readings[name]
    return reading.seeds * (reading.draws or study.samplers[reading.of].draws)


def most_draws(study: Study) -> int:
    """The largest N of a study, by which likelihoods are clipped."""
    return max((draws_of(study, name) for name in (*study.samplers, *study.readings)), default=1)


def fusion_of(study: Study, name: str) -> str:
    """The fusion of the draws of a sampler or reading."""
    reading = study.readings.get(name)
    if reading is None:
        return study.evaluation.fusion
    return reading.fusion or study.evaluation.fusion


def thresholds_of(study: Study, name: str) -> tuple[float, ...] | None:
    """Thresholds on P over its maximum that a reading is scored at; none: the study's one on P."""
    return study.readings[name].thresholds if name in study.readings else None


def trainings_read(study: Study, training: Training, reading: str) -> tuple[Training, ...]:
    """The trainings whose draws a reading takes together, that of `training` first."""
    count = study.readings[reading].seeds
    if count == 1:
        return (training,)
    seeds = seeds_of(study, training.mode)
    return tuple(training._replace(seed=seed) for seed in seeds[:count])


def priced_trainings(study: Study) -> tuple[Training, ...]:
    """The trainings whose masks are priced: of each network and mode the first that is scored."""
    first: dict[tuple[str, str], Training] = {}
    for training in trainings_of(study):
        if samplers_of(study, training):
            first.setdefault((training.network, training.mode), training)
    return tuple(first.values())


def priced_baselines(study: Study) -> tuple[Training, ...]:
    """The same of baselines."""
    first: dict[str, Training] = {}
    for training in baseline_trainings(study):
        first.setdefault(training.network, training)
    return tuple(first.values())


def draws_compared(study: Study) -> dict[str, int]:
    """N of a sampler and of those of its readings that differ in nothing else.

    Of the first sampler that has any; none if no sampler has.
    """
    for source, sampler in study.samplers.items():
        found = {source: sampler.draws}
        for name, entry in study.readings.items():
            alike = (entry.of, entry.seeds, entry.temperature) == (source, 1, False)
            proper = entry.storage == "float" and not entry.thresholds
            if alike and proper and fusion_of(study, name) == fusion_of(study, source) == "mean":
                found[name] = draws_of(study, name)
        if len(set(found.values())) > 1:
            return found
    return {}


def analysis_tables(study: Study) -> tuple[str, ...]:
    """Names of the tables that the analysis of a study leaves beside its report."""
    analysis = study.analysis
    varied = any(mode.levels for mode in study.modes.values())
    made = {
        ("losses", "structure"): bool(analysis.measured),
        ("information", "integrand"): analysis.pair is not None,
        ("oracles", "image_oracles", "fingerprints"): bool(analysis.oracles),
        ("grid",): varied,
        ("contrasts",): bool(study.contrasts),
        ("hypotheses",): study.hypotheses is not None,
        ("quirks",): bool(study.quirks),
        ("grown_masks",): bool(grown_datasets(study)),
        ("draws",): bool(draws_compared(study)),
        ("references",): bool(study.baselines),
        ("costs", "pareto", "cost_to_reach"): study.costs,
        ("claims",): bool(compared_modes(study)),
    }
    return tuple(name for names, there in made.items() if there for name in names)


def run_settings(study: Study, training: Training) -> RunSettings:
    """The settings of one training, overrides applied and defaults filled in."""
    fitting, diffusion = study.training.model_dump(), study.diffusion.model_dump()
    for override in study.overrides:
        if override.covers(training.dataset, training.network, training.mode):
            fitting |= override.training
            diffusion = merged(diffusion, override.diffusion)
    network = study.networks[training.network]
    model = plugins.options("architecture", network.architecture)
    augmentation = study.datasets[training.dataset].augmentation
    return RunSettings(
        dataset=training.dataset,
        network=network.model_copy(update={"options": _filled(model, network.options)}),
        mode=study.modes[training.mode].mode,
        seed=training.seed,
        resolution=study.resolution,
        augmentation=_filled(plugins.options("augmentation", "augment"), augmentation),
        diffusion=Diffusion.model_validate(diffusion),
        training=TrainingSettings.model_validate(fitting),
        precision=study.compute.precision,
        threads=study.compute.threads,
    )


def _filled(model: type[BaseModel], options: Options) -> Options:
    """Options with every default written out, as JSON holds them."""
    return model.model_validate(options).model_dump(mode="json")


def merged(base: Options, changes: Options) -> Options:
    """`base` with `changes` applied key by key, nested mappings too.

    Where they give another `name`, the options of the one before are left behind.
    """
    result = dict(base)
    if "name" in changes and changes["name"] != base.get("name", changes["name"]):
        result.pop("options", None)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], dict(value)) if both else value
    return result


def needs_data(diffusion: Diffusion) -> bool:
    """Whether something of it is found out from the data before a training begins."""
    return diffusion.schedule.name == "adapted" or needs_measurement(diffusion)


def needs_measurement(diffusion: Diffusion) -> bool:
    """Whether it takes the measured information of the image from finished trainings."""
    return diffusion.weighting.name == "benefit"
