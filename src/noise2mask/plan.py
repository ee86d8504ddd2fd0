"""What a study comes to: its trainings, their settings, and what is made of them."""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from noise2mask import catalogue
from noise2mask.config import (
    Cell,
    Diffusion,
    Options,
    Place,
    RunSettings,
    Study,
    Training,
)


def cells(study: Study) -> Iterator[Cell]:
    """Every training of a study, in the order of its file."""
    for dataset, entry in study.datasets.items():
        for network in study.networks:
            for name, mode in study.modes.items():
                if _holds(entry.modes, name) and _holds(mode.networks, network):
                    for seed in study.seeds:
                        yield Cell(dataset, network, name, seed)


def _holds(names: tuple[str, ...] | None, name: str) -> bool:
    return names is None or name in names


def scored_datasets(study: Study) -> tuple[str, ...]:
    """Datasets that masks are drawn for, in the order of the file."""
    scored = {cell.dataset for cell in cells(study) if samplers_of(study, cell)}
    return tuple(dataset for dataset in study.datasets if dataset in scored)


def described_datasets(study: Study) -> tuple[str, ...]:
    """Datasets whose masks get a fingerprint: all that are not there for some modes only."""
    if not study.analysis.oracles:
        return ()
    return tuple(name for name, entry in study.datasets.items() if entry.modes is None)


def measured_places(study: Study) -> dict[Place, tuple[str, ...]]:
    """Where the loss is measured along the noise axis, and the modes there."""
    analysis = study.analysis
    found: dict[Place, tuple[str, ...]] = {}
    for cell in cells(study):
        if cell.mode in analysis.measured and _holds(analysis.networks, cell.network):
            found[cell.place()] = (*found.get(cell.place(), ()), cell.mode)
    return found


def samplers_of(study: Study, cell: Cell) -> tuple[str, ...]:
    """Names of the samplers that a cell is run with."""
    applicable = {
        name: entry.networks is None or cell.network in entry.networks
        for name, entry in study.samplers.items()
    }
    return tuple(name for name in study.modes[cell.mode].samplers if applicable[name])


def analysis_tables(study: Study) -> tuple[str, ...]:
    """Names of the tables that the analysis of a study leaves beside its report."""
    analysis = study.analysis
    varied = any(mode.levels for mode in study.modes.values())
    made = {
        ("losses", "structure"): bool(analysis.measured),
        ("information", "integrand"): analysis.pair is not None,
        ("oracles", "image_oracles", "fingerprints"): bool(analysis.oracles),
        ("grid",): varied,
        ("sweeps",): varied or bool(study.contrasts) or study.hypotheses is not None,
        ("contrasts",): bool(study.contrasts),
        ("hypotheses",): study.hypotheses is not None,
    }
    return tuple(name for names, there in made.items() if there for name in names)


def run_settings(study: Study, cell: Cell) -> RunSettings:
    """The settings of one training, overrides applied and defaults filled in."""
    training, diffusion = study.training.model_dump(), study.diffusion.model_dump()
    for override in study.overrides:
        if override.covers(cell.dataset, cell.network, cell.mode):
            training |= override.training
            diffusion = merged(diffusion, override.diffusion)
    network = study.networks[cell.network]
    model = catalogue.options(f"networks.{network.architecture}", "build")
    augmentation = study.datasets[cell.dataset].augmentation
    return RunSettings(
        dataset=cell.dataset,
        network=network.model_copy(update={"options": _filled(model, network.options)}),
        mode=study.modes[cell.mode].mode,
        seed=cell.seed,
        resolution=study.resolution,
        augmentation=_filled(catalogue.options("transforms", "augment"), augmentation),
        diffusion=Diffusion.model_validate(diffusion),
        training=Training.model_validate(training),
        precision=study.compute.precision,
        threads=study.compute.threads,
    )


def _filled(model: type[BaseModel], options: Options) -> Options:
    """Options with every default written out, as JSON holds them."""
    return model.model_validate(options).model_dump(mode="json")


def merged(base: Options, changes: Options) -> Options:
    """`base` with `changes` applied key by key, nested mappings too."""
    result = dict(base)
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
