"""The ``noise2mask`` command: one sub-command for each stage of the workflow.

Modules are imported inside the sub-commands, so that ``--help`` does not wait for torch.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from noise2mask import __version__, layout
from noise2mask.config import Cell, Study, run_settings
from noise2mask.errors import UserError
from noise2mask.studies import load_study

LOG = logging.getLogger("noise2mask")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command; 0 if it succeeded, 2 for a mistake of the user, 130 if interrupted."""
    options = _parser().parse_args(arguments)
    _start_log(options.log)
    try:
        status = options.run(options)
    except UserError as error:
        LOG.error("Error: %s", error)
        return 2
    except KeyboardInterrupt:
        LOG.error("Interrupted; run the same command again to go on.")
        return 130
    return status or 0


def _start_log(path: Path | None) -> None:
    LOG.setLevel(logging.INFO)
    LOG.handlers = [logging.StreamHandler(sys.stderr)]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        LOG.addHandler(logging.FileHandler(path, mode="w", encoding="utf-8"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="noise2mask",
        description="A reproducible laboratory for diffusion segmentation of medical images.",
        epilog="`make reproduce` is `noise2mask reproduce`; the other commands run one stage each.",
    )
    parser.add_argument("--version", action="version", version=f"noise2mask {__version__}")
    stages = parser.add_subparsers(title="stages", metavar="STAGE", required=True)
    _stage(stages, "reproduce", _reproduce, "run all stages of a study")
    _stage(stages, "check", _check, "read a study and say what it would do")
    _stage(stages, "prepare", _prepare, "turn a raw dataset into prepared cases", "dataset")
    _stage(stages, "train", _train, "train one network", *Cell._fields)
    _stage(stages, "sample", _sample, "draw masks for the test cases", *Cell._fields, "sampler")
    _stage(stages, "evaluate", _evaluate, "score the draws", *Cell._fields, "sampler")
    _stage(stages, "blind", _blind, "score image-blind predictions", "dataset")
    _stage(stages, "report", _report, "gather tables, draw figures, write the report")
    return parser


def _stage(
    stages: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace], int | None],
    description: str,
    *needed: str,
) -> None:
    parser = stages.add_parser(name, help=description, description=description)
    parser.add_argument("--study", required=True, help="a name in config/, or the path of a YAML")
    parser.add_argument("--data", help="folder that replaces {data} in the study")
    parser.add_argument("--log", type=Path, help="file that gets a copy of the messages")
    for option in needed:
        kind = int if option == "seed" else str
        parser.add_argument(f"--{option}", required=True, type=kind, help="as named in the study")
    if name == "reproduce":
        parser.add_argument("--cores", default="all", help="of this machine; default: all")
        parser.add_argument("--profile", help="folder of a Snakemake profile, for a cluster")
        parser.add_argument(
            "options", nargs=argparse.REMAINDER, help="after --, further options of Snakemake"
        )
    if name == "report":
        parser.add_argument("--readme", type=Path, help="file whose table is brought up to date")
    if name == "prepare":
        parser.add_argument("--processes", type=int, default=1, help="that decode and resize")
    parser.set_defaults(run=run)


def _study(options: argparse.Namespace) -> tuple[Study, str]:
    path = layout.study_file(options.study)
    return load_study(path, options.data), path.stem


def _cell(options: argparse.Namespace, study: Study) -> Cell:
    from noise2mask.catalogue import unknown

    for what, valid in (
        ("dataset", list(study.datasets)),
        ("network", list(study.networks)),
        ("mode", list(study.modes)),
        ("sampler", list(study.samplers)),
    ):
        given = getattr(options, what, None)
        if given is not None and given not in valid:
            raise UserError(f"--{what}: {unknown(given, what, valid)}.")
    if getattr(options, "seed", None) is None:
        return Cell(options.dataset, "", "", 0)
    if options.seed not in study.seeds:
        raise UserError(
            f"--seed {options.seed} is not in this study; its seeds are {list(study.seeds)}."
        )
    return Cell(options.dataset, options.network, options.mode, options.seed)


def _reproduce(options: argparse.Namespace) -> int:
    from noise2mask.reproducing import reproduce

    further = [option for option in options.options if option != "--"]
    status = reproduce(options.study, options.data, options.cores, options.profile, further)
    if status == 0 and "-n" not in further:
        name = layout.study_file(options.study).stem
        LOG.info("The report is %s/%s/report.md", layout.REPORTS, name)
    return status


def _check(options: argparse.Namespace) -> None:
    from noise2mask.config import cells, samplers_of

    study, name = _study(options)
    trainings = list(cells(study))
    samplings = sum(len(samplers_of(study, cell)) for cell in trainings)
    print(f"{name}: {len(trainings)} trainings, {samplings} samplings. {study.description}")


def _prepare(options: argparse.Namespace) -> None:
    from noise2mask.preparing import prepare
    from noise2mask.studies import check_data

    study, name = _study(options)
    check_data(study, name)
    dataset = study.datasets[_cell(options, study).dataset]
    prepare(
        dataset.kind,
        dataset.options,
        options.dataset,
        study.resolution,
        study.shares.model_dump(),
        layout.prepared(name, options.dataset),
        tile=dataset.tile,
        processes=options.processes,
    )


def _train(options: argparse.Namespace) -> None:
    from noise2mask.cases import read_manifest
    from noise2mask.runs import device_of, run_of
    from noise2mask.training import train

    study, name = _study(options)
    cell = _cell(options, study)
    data = layout.prepared(name, cell.dataset)
    licence = study.datasets[cell.dataset].licence
    run = run_of(run_settings(study, cell), read_manifest(data), licence)
    work = layout.cell_folder(layout.WORK, name, cell)
    out = layout.cell_folder(layout.RESULTS, name, cell)
    train(run, data, work, out, device_of(study.compute.device))


def _sample(options: argparse.Namespace) -> None:
    from noise2mask.runs import device_of
    from noise2mask.sampling import sample

    study, name = _study(options)
    cell = _cell(options, study)
    folder = layout.cell_folder(layout.RESULTS, name, cell)
    sample(
        folder,
        layout.prepared(name, cell.dataset),
        study.samplers[options.sampler],
        layout.cell_folder(layout.WORK, name, cell) / options.sampler,
        folder / options.sampler / "draws.npz",
        study.compute.threads,
        study.compute.batch,
        device_of(study.compute.device),
    )


def _evaluate(options: argparse.Namespace) -> None:
    from noise2mask.evaluation import evaluate

    study, name = _study(options)
    cell = _cell(options, study)
    draws = layout.cell_folder(layout.RESULTS, name, cell) / options.sampler / "draws.npz"
    evaluate(study, name, cell, options.sampler, draws, layout.prepared(name, cell.dataset))


def _blind(options: argparse.Namespace) -> None:
    from noise2mask.evaluation import evaluate_blind

    study, name = _study(options)
    dataset = _cell(options, study).dataset
    data = layout.prepared(name, dataset)
    evaluate_blind(study, name, dataset, data, layout.blind_folder(name, dataset))


def _report(options: argparse.Namespace) -> None:
    from noise2mask.reporting import report, update_readme

    study, name = _study(options)
    missing = report(study, name, Path(), layout.REPORTS / name)
    if options.readme is not None:
        update_readme(study, layout.REPORTS / name, options.readme)
    if missing:
        LOG.warning(
            "%d results are missing; %s/%s/report.md lists them.",
            len(missing),
            layout.REPORTS,
            name,
        )


if __name__ == "__main__":
    sys.exit(main())
