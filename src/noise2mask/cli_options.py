"""What the ``noise2mask`` command may be given."""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from noise2mask import __version__
from noise2mask.errors import UserError
from noise2mask.plugins import unknown
from noise2mask.study import paths
from noise2mask.study.load import check_data, load_study
from noise2mask.study.plan import PREDICTION, REFERENCE, seeds_of
from noise2mask.study.schema import Measured, Study, Training

Command = Callable[[argparse.Namespace], int | None]
Commands = Mapping[str, Command]
"""The function of each command, by its name: ``train``, ``data get``."""

Stages: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

if TYPE_CHECKING:
    from noise2mask.workflow.data_commands import Chosen


def parser_of(commands: Commands) -> argparse.ArgumentParser:
    """The parser; the function of the chosen command is in ``run`` of what it gives."""
    parser = argparse.ArgumentParser(
        prog="noise2mask",
        description="A reproducible laboratory for diffusion segmentation of medical images.",
        epilog="`make reproduce` is `noise2mask reproduce`; the other commands run one stage each.",
    )
    parser.add_argument("--version", action="version", version=f"noise2mask {__version__}")
    stages = parser.add_subparsers(title="stages", metavar="STAGE", required=True)
    _stage(stages, "reproduce", commands["reproduce"], "run all stages of a study")
    _stage(stages, "check", commands["check"], "read a study and say what it would do")
    _stage(
        stages, "prepare", commands["prepare"], "turn a raw dataset into prepared cases", "dataset"
    )
    _stage(stages, "train", commands["train"], "train one network", *Training._fields)
    _stage(
        stages,
        "sample",
        commands["sample"],
        "draw masks for the test cases",
        *Training._fields,
        "sampler",
    )
    _stage(
        stages,
        "read",
        commands["read"],
        "read masks that were drawn in another way",
        *Training._fields,
        "sampler",
    )
    _stage(
        stages,
        "baseline",
        commands["baseline"],
        "train a baseline in its own environment and predict the test cases",
        "dataset",
        "baseline",
        "seed",
    )
    _stage(
        stages, "evaluate", commands["evaluate"], "score the draws", *Training._fields, "sampler"
    )
    _stage(stages, "cost", commands["cost"], "measure what a mask costs, alone on the machine")
    _stage(
        stages,
        "baseline-cost",
        commands["baseline-cost"],
        "measure what a mask of a baseline costs, in its own environment",
        "dataset",
        "baseline",
        "seed",
    )
    _stage(stages, "blind", commands["blind"], "score image-blind predictions", "dataset")
    _stage(
        stages,
        "fingerprint",
        commands["fingerprint"],
        "fingerprint of a dataset's masks",
        "dataset",
    )
    _stage(
        stages,
        "measure",
        commands["measure"],
        "measure the loss of a network's modes along the noise axis",
        *Measured._fields,
    )
    _stage(stages, "report", commands["report"], "gather tables, draw figures, write the report")
    _stage(stages, "prune", commands["prune"], "remove results that the study no longer declares")
    _environment_command(stages, commands["environment"])
    _data_commands(stages, commands)
    _diff_command(stages, commands["diff"])
    return parser


def _environment_command(stages: Stages, run: Command) -> None:
    description = "install what a baseline needs, over this environment"
    parser = stages.add_parser("environment", help=description, description=description)
    parser.add_argument("kind", help="as `kind` of a study's baselines")
    parser.add_argument("--log", type=Path, help="file that gets a copy of the messages")
    parser.set_defaults(run=run)


def _data_commands(stages: Stages, commands: Commands) -> None:
    description = "the datasets that can be had by name"
    parser = stages.add_parser("data", help=description, description=description)
    group = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, text in (
        ("list", "list them, with what is here"),
        ("get", "fetch, verify and unpack"),
        ("check", "inspect cases: sizes, objects, duplicates, leaks between splits"),
        ("show", "tell what is known of one"),
    ):
        command = group.add_parser(name, help=text, description=text)
        command.add_argument("--log", type=Path, help="file that gets a copy of the messages")
        command.set_defaults(run=commands[f"data {name}"])
        if name == "list":
            continue
        command.add_argument("names", nargs="*", help="named datasets, or folders of your own")
        command.add_argument("--study", help="the datasets of this study instead")
        command.add_argument("--data", help="folder that replaces {data} in the study")
        command.add_argument("--dataset", help="only this dataset of the study")
        command.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="option of its kind"
        )
        if name == "check":
            command.add_argument("--processes", type=int, default=os.cpu_count() or 1)
            command.add_argument("--sheet", type=int, default=24, help="cases shown; 0 for none")


def _diff_command(stages: Stages, run: Command) -> None:
    description = "say which results differ, by how much, and what made them differ"
    parser = stages.add_parser("diff", help=description, description=description)
    for place in ("A", "B"):
        parser.add_argument(
            place, help="study, report folder, git revision, REVISION:study or DVC experiment"
        )
    parser.add_argument(
        "--study",
        help="study whose report is read; default: that of the other name, or of params.yaml",
    )
    parser.add_argument(
        "--metric", action="append", metavar="NAME", help="compare this one; may be repeated"
    )
    parser.add_argument("--markdown", action="store_true", help="for a pull request")
    parser.add_argument("--output", type=Path, help="file to write instead of printing")
    parser.add_argument(
        "--exit-code", action="store_true", help="end with 1 if a result is worse beyond chance"
    )
    parser.add_argument("--log", type=Path, help="file that gets a copy of the messages")
    parser.set_defaults(run=run)


def _stage(
    stages: Stages,
    name: str,
    run: Command,
    description: str,
    *needed: str,
) -> None:
    parser = stages.add_parser(name, help=description, description=description)
    parser.add_argument("--study", required=True, help="a name in config/, or the path of a YAML")
    parser.add_argument(
        "--data", type=_given, help="folder that replaces {data} in the study; default: none"
    )
    parser.add_argument("--log", type=Path, help="file that gets a copy of the messages")
    for option in needed:
        kind = int if option == "seed" else str
        parser.add_argument(f"--{option}", required=True, type=kind, help="as named in the study")
    if name == "reproduce":
        parser.add_argument("--cores", help="of this machine; default: $CORES, else all")
        parser.add_argument("--profile", help="folder of a Snakemake profile; default: $PROFILE")
        parser.add_argument(
            "--commit", action="store_true", help="record the finished study with DVC"
        )
        parser.add_argument(
            "options", nargs=argparse.REMAINDER, help="after --, further options of Snakemake"
        )
    if name == "report":
        parser.add_argument("--readme", type=Path, help="file whose table is brought up to date")
        parser.add_argument(
            "--root", type=Path, default=Path(), help="folder that holds results and data"
        )
    if name == "sample":
        parser.add_argument(
            "--split", choices=["test", "val"], default="test", help="cases; default: test"
        )
    if name == "prune":
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    if name == "prepare":
        parser.add_argument("--processes", type=int, default=1, help="that decode and resize")
    parser.set_defaults(run=run)


def _given(text: str) -> str | None:
    """An option's text; an empty one, as a DVC stage passes it, is the same as none."""
    return text or None


def study_of(options: argparse.Namespace) -> tuple[Study, str]:
    """The study that is named, checked, and its name."""
    path = paths.study_file(options.study)
    return load_study(path, options.data), path.stem


def training_of(options: argparse.Namespace, study: Study) -> Training:
    """The training that the options name; parts that a command does not take are empty.

    Raises:
        UserError: the study has no such part.
    """
    baseline = getattr(options, "network", None) in study.baselines
    for what, valid in (
        ("dataset", list(study.datasets)),
        ("network", [*study.networks, *study.baselines]),
        ("mode", [REFERENCE] if baseline else list(study.modes)),
        ("sampler", [PREDICTION] if baseline else [*study.samplers, *study.readings]),
    ):
        given = getattr(options, what, None)
        if given is not None and given not in valid:
            raise UserError(f"--{what}: {unknown(given, what, valid)}.")
    if getattr(options, "seed", None) is None:
        return Training(options.dataset, "", "", 0)
    mode = getattr(options, "mode", "")
    seeds = seeds_of(study, mode) if mode in study.modes else study.seeds
    if options.seed not in seeds:
        raise UserError(f"--seed {options.seed} is not in this study; its seeds are {list(seeds)}.")
    return Training(options.dataset, options.network, mode, options.seed)


def baseline_of(options: argparse.Namespace, study: Study) -> Training:
    """The training of a baseline that the options name."""
    if options.baseline not in study.baselines:
        raise UserError(
            f"--baseline: {unknown(options.baseline, 'baseline', list(study.baselines))}."
        )
    options.network = options.baseline
    return training_of(options, study)._replace(mode=REFERENCE)


def chosen_datasets(options: argparse.Namespace) -> "list[Chosen]":
    """The datasets that a data command is about."""
    from noise2mask.workflow import data_commands

    if bool(options.names) == bool(options.study):
        raise UserError(
            "name datasets (`noise2mask data list` shows them) or folders, or give --study <name>; "
            f"got {'both' if options.names else 'neither'}."
        )
    if options.names:
        return [data_commands.by_name(name, options.set) for name in options.names]
    study, name = study_of(options)
    check_data(study, name)
    wanted = [training_of(options, study).dataset] if options.dataset else list(study.datasets)
    return [data_commands.of_study(study, dataset) for dataset in wanted]
