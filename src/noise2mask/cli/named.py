"""What the options of a command name: a study, one of its trainings, where its files lie."""

import argparse
import inspect
from typing import Any

from noise2mask.cli.parser import MADE_OF, Command
from noise2mask.errors import UserError, unknown
from noise2mask.study import paths
from noise2mask.study.load import load_study
from noise2mask.study.plan import PREDICTION, REFERENCE, seeds_of
from noise2mask.study.schema import Measured, Study, Training


def arguments_of(command: Command, options: argparse.Namespace) -> tuple[list[Any], dict[str, Any]]:
    """What a command is called with, in order and by keyword.

    Raises:
        UserError: the study has mistakes, or has nothing of a name that is given.
    """
    study: Study | None = None
    ordered: list[Any] = []
    keywords: dict[str, Any] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        text = str(parameter.annotation).removesuffix(" | None")
        value: Any
        if text == "Study":
            if options.study is not None:
                study = load_study(paths.study_file(options.study), options.data)
            value = study
        elif text == "Paths":
            value = paths.Paths(paths.study_file(options.study).stem) if options.study else None
        elif text in MADE_OF:
            assert study is not None, "a command takes the study before what is in it"
            value = _MAKERS[text](study, options)
        else:
            value = getattr(options, name)
            if study is not None and isinstance(value, str):
                _check_name(study, options, name, value)
            value = tuple(value) if isinstance(value, list) else value
        if parameter.kind is parameter.VAR_POSITIONAL:
            ordered += value
        elif parameter.kind is parameter.KEYWORD_ONLY:
            keywords[name] = value
        else:
            ordered.append(value)
    return ordered, keywords


def _check_name(study: Study, options: argparse.Namespace, what: str, given: str) -> None:
    """Refuse a name that the study does not have."""
    baseline = getattr(options, "network", None) in study.baselines
    known = {
        "dataset": [*study.datasets],
        "network": [*study.networks, *study.baselines],
        "baseline": [*study.baselines],
        "mode": [REFERENCE] if baseline else [*study.modes],
        "sampler": [PREDICTION] if baseline else [*study.samplers, *study.readings],
    }.get(what)
    if known is not None and given not in known:
        raise UserError(f"--{what}: {unknown(given, what, known)}.")


def _check_seed(seed: int, seeds: tuple[int, ...]) -> None:
    if seed not in seeds:
        raise UserError(f"--seed {seed} is not in this study; its seeds are {list(seeds)}.")


def _training(study: Study, options: argparse.Namespace) -> Training:
    found = Training(options.dataset, options.network, options.mode, options.seed)
    for what in ("dataset", "network", "mode"):
        _check_name(study, options, what, getattr(found, what))
    own = found.mode in study.modes
    _check_seed(found.seed, seeds_of(study, found.mode) if own else study.seeds)
    return found


def _baseline(study: Study, options: argparse.Namespace) -> Training:
    _check_name(study, options, "dataset", options.dataset)
    _check_name(study, options, "baseline", options.baseline)
    _check_seed(options.seed, study.seeds)
    return Training(options.dataset, options.baseline, REFERENCE, options.seed)


def _measured(study: Study, options: argparse.Namespace) -> Measured:
    found = Measured(options.dataset, options.network, options.seed)
    for what in ("dataset", "network"):
        _check_name(study, options, what, getattr(found, what))
    seeds = {seed for mode in study.modes for seed in seeds_of(study, mode)}
    _check_seed(found.seed, tuple(sorted(seeds)))
    return found


_MAKERS = {"Training": _training, "BaselineTraining": _baseline, "Measured": _measured}
