"""What the options of a command name: a study, a training of it, datasets."""

import argparse
from typing import TYPE_CHECKING

from noise2mask import layout
from noise2mask.catalogue import unknown
from noise2mask.config import Cell, Study
from noise2mask.errors import UserError
from noise2mask.plan import PREDICTION, REFERENCE, seeds_of
from noise2mask.studies import check_data, load_study

if TYPE_CHECKING:
    from noise2mask.collection import Chosen


def study_of(options: argparse.Namespace) -> tuple[Study, str]:
    """The study that is named, checked, and its name."""
    path = layout.study_file(options.study)
    return load_study(path, options.data), path.stem


def cell_of(options: argparse.Namespace, study: Study) -> Cell:
    """The training that the options name; parts that a command does not take are empty.

    Raises:
        UserError: the study has no such part.
    """
    reference = getattr(options, "network", None) in study.references
    for what, valid in (
        ("dataset", list(study.datasets)),
        ("network", [*study.networks, *study.references]),
        ("mode", [REFERENCE] if reference else list(study.modes)),
        ("sampler", [PREDICTION] if reference else [*study.samplers, *study.readings]),
    ):
        given = getattr(options, what, None)
        if given is not None and given not in valid:
            raise UserError(f"--{what}: {unknown(given, what, valid)}.")
    if getattr(options, "seed", None) is None:
        return Cell(options.dataset, "", "", 0)
    mode = getattr(options, "mode", "")
    seeds = seeds_of(study, mode) if mode in study.modes else study.seeds
    if options.seed not in seeds:
        raise UserError(f"--seed {options.seed} is not in this study; its seeds are {list(seeds)}.")
    return Cell(options.dataset, options.network, mode, options.seed)


def reference_cell_of(options: argparse.Namespace, study: Study) -> Cell:
    """The training of a reference that the options name."""
    if options.reference not in study.references:
        raise UserError(
            f"--reference: {unknown(options.reference, 'reference', list(study.references))}."
        )
    options.network = options.reference
    return cell_of(options, study)._replace(mode=REFERENCE)


def chosen_datasets(options: argparse.Namespace) -> "list[Chosen]":
    """The datasets that a data command is about."""
    from noise2mask import collection

    if bool(options.names) == bool(options.study):
        raise UserError(
            "name datasets (`noise2mask data list` shows them) or folders, or give --study <name>; "
            f"got {'both' if options.names else 'neither'}."
        )
    if options.names:
        return [collection.by_name(name, options.set) for name in options.names]
    study, name = study_of(options)
    check_data(study, name)
    wanted = [cell_of(options, study).dataset] if options.dataset else list(study.datasets)
    return [collection.of_study(study, dataset) for dataset in wanted]
