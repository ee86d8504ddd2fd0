"""The ``noise2mask`` command: one sub-command for each stage of the workflow.

Modules are imported inside the sub-commands, so that ``--help`` does not wait for torch.
"""

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from noise2mask.cli_options import (
    Command,
    baseline_of,
    chosen_datasets,
    parser_of,
    study_of,
    training_of,
)
from noise2mask.errors import UserError
from noise2mask.files import command
from noise2mask.progress import Stopped, stopping_on_request
from noise2mask.study import paths
from noise2mask.study.plan import (
    draws_masks,
    fusion_of,
    measured_modes,
    run_settings,
    trainings_read,
)
from noise2mask.study.schema import Measured, Training

LOG = logging.getLogger("noise2mask")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command.

    Returns:
        0 if it succeeded, 2 for a mistake of the user, 128 and the signal's number if one ended it.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser_of(COMMANDS).parse_args(arguments)
    _start_log(options.log)
    command.set(_as_typed(arguments))
    try:
        with stopping_on_request():
            status = options.run(options)
    except UserError as error:
        LOG.error("Error: %s", error)
        return 2
    except KeyboardInterrupt as interrupted:
        LOG.error("Interrupted; run the same command again to go on.")
        return interrupted.status if isinstance(interrupted, Stopped) else 130
    return status or 0


def _as_typed(arguments: Sequence[str]) -> str:
    """The command with these arguments, without the file for its messages."""
    kept = list(arguments)
    if "--log" in kept:
        place = kept.index("--log")
        del kept[place : place + 2]
    return shlex.join(["noise2mask", *kept])


def _start_log(path: Path | None) -> None:
    LOG.setLevel(logging.INFO)
    LOG.handlers = [logging.StreamHandler(sys.stderr)]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        LOG.addHandler(logging.FileHandler(path, mode="w", encoding="utf-8"))


def _reproduce(options: argparse.Namespace) -> int:
    from noise2mask.workflow.reproduce import DRY, reproduce

    further = [option for option in options.options if option != "--"]
    status = reproduce(options.study, options.data, options.cores, options.profile, further)
    if status == 0 and DRY.isdisjoint(further):
        name = paths.study_file(options.study).stem
        LOG.info("The report is %s/%s/report.md", paths.REPORTS, name)
        if options.commit:
            from noise2mask.workflow.dvc import commit

            commit(options.study, options.data)
    return status


def _prune(options: argparse.Namespace) -> None:
    from noise2mask.workflow.prune import prune

    prune(options.study, options.data, dry_run=options.dry_run)


def _check(options: argparse.Namespace) -> None:
    from noise2mask.study.plan import samplers_of, trainings_of

    study, name = study_of(options)
    trainings = list(trainings_of(study))
    samplings = sum(len(samplers_of(study, training)) for training in trainings)
    print(f"{name}: {len(trainings)} trainings, {samplings} samplings. {study.description}")


def _prepare(options: argparse.Namespace) -> None:
    from noise2mask.data.prepare import prepare
    from noise2mask.study.load import check_data

    study, name = study_of(options)
    check_data(study, name)
    dataset = study.datasets[training_of(options, study).dataset]
    if dataset.named:
        from noise2mask.workflow.data_commands import of_study, unpack

        unpack(of_study(study, options.dataset))
    prepare(
        dataset.kind,
        dataset.options,
        options.dataset,
        study.resolution,
        study.shares.model_dump(),
        paths.prepared(name, options.dataset),
        tile=dataset.tile,
        shrink=dataset.shrink,
        stride=dataset.stride,
        masks=dataset.masks,
        validation=dataset.validation,
        processes=options.processes,
    )


def _train(options: argparse.Namespace) -> None:
    from noise2mask.analysis.fingerprints.resolve import resolved
    from noise2mask.data.prepared import read_manifest
    from noise2mask.training.run import device_of, run_of
    from noise2mask.training.train import train

    study, name = study_of(options)
    training = training_of(options, study)
    data = paths.prepared(name, training.dataset)
    licence = study.datasets[training.dataset].licence
    measured = paths.measured_file(name, training.measured())
    settings = resolved(run_settings(study, training), data, measured, study.analysis.pair)
    run = run_of(settings, read_manifest(data), licence)
    work = paths.training_folder(paths.WORK, name, training)
    out = paths.training_folder(paths.RESULTS, name, training)
    train(run, data, work, out, device_of(study.compute.device))


def _sample(options: argparse.Namespace) -> None:
    from noise2mask.sampling.sample import sample
    from noise2mask.training.run import device_of

    study, name = study_of(options)
    training = training_of(options, study)
    folder = paths.training_folder(paths.RESULTS, name, training)
    if options.sampler in study.readings:
        raise UserError(
            f"--sampler {options.sampler} is a reading of draws that are there; run `noise2mask "
            "read` for it."
        )
    sample(
        folder,
        paths.prepared(name, training.dataset),
        study.samplers[options.sampler],
        paths.training_folder(paths.WORK, name, training) / f"{options.sampler}-{options.split}",
        folder / options.sampler / paths.DRAWS[options.split],
        study.compute.threads,
        study.compute.batch,
        device_of(study.compute.device),
        options.split,
    )


def _read(options: argparse.Namespace) -> None:
    from noise2mask.sampling.readings import read

    study, name = study_of(options)
    training = training_of(options, study)
    reading = study.readings.get(options.sampler)
    if reading is None:
        raise UserError(
            f"--sampler {options.sampler} draws masks of its own; run `noise2mask sample` for it."
        )
    folders = [
        paths.training_folder(paths.RESULTS, name, read_training) / reading.of
        for read_training in trainings_read(study, training, options.sampler)
    ]
    read(
        reading,
        fusion_of(study, options.sampler),
        [folder / paths.DRAWS["test"] for folder in folders],
        [folder / paths.DRAWS["val"] for folder in folders],
        paths.prepared(name, training.dataset),
        paths.training_folder(paths.RESULTS, name, training)
        / options.sampler
        / paths.DRAWS["test"],
        masks=draws_masks(study, options.sampler),
    )


def _baseline(options: argparse.Namespace) -> None:
    from noise2mask.baselines.run import train_baseline

    study, name = study_of(options)
    training = baseline_of(options, study)
    train_baseline(
        study,
        training,
        paths.prepared(name, training.dataset),
        paths.training_folder(paths.WORK, name, training),
        paths.training_folder(paths.RESULTS, name, training),
    )


def _environment(options: argparse.Namespace) -> None:
    from noise2mask.baselines.environment import create

    create(
        options.kind,
        Path(sys.prefix),
        paths.environment(options.kind),
        Path("envs") / f"{options.kind}.txt",
    )


def _cost(options: argparse.Namespace) -> None:
    from noise2mask.evaluation.cost import measure_costs
    from noise2mask.training.run import device_of

    study, name = study_of(options)
    device = device_of(study.compute.device)
    measure_costs(study, name, Path(), paths.cost_file(name), device)


def _baseline_cost(options: argparse.Namespace) -> None:
    from noise2mask.baselines.run import price_baseline

    study, name = study_of(options)
    training = baseline_of(options, study)
    price_baseline(
        study,
        training,
        paths.prepared(name, training.dataset),
        paths.training_folder(paths.RESULTS, name, training),
        paths.baseline_cost_file(name, training),
    )


def _evaluate(options: argparse.Namespace) -> None:
    from noise2mask.evaluation.score import evaluate

    study, name = study_of(options)
    training = training_of(options, study)
    draws = paths.training_folder(paths.RESULTS, name, training) / options.sampler / "draws.npz"
    evaluate(study, name, training, options.sampler, draws, paths.prepared(name, training.dataset))


def _blind(options: argparse.Namespace) -> None:
    from noise2mask.evaluation.score import evaluate_blind

    study, name = study_of(options)
    dataset = training_of(options, study).dataset
    data = paths.prepared(name, dataset)
    evaluate_blind(study, name, dataset, data, paths.blind_folder(name, dataset))


def _fingerprint(options: argparse.Namespace) -> None:
    from noise2mask.analysis.fingerprints.describe import describe

    study, name = study_of(options)
    dataset = training_of(options, study).dataset
    describe(
        paths.prepared(name, dataset),
        study.analysis.oracles,
        paths.described_folder(name, dataset),
        spacing=study.analysis.oracle_spacing,
        resamples=study.evaluation.resamples,
        level=study.evaluation.level,
    )


def _measure(options: argparse.Namespace) -> None:
    from noise2mask.analysis.information.measure import measure_modes
    from noise2mask.training.run import device_of

    study, name = study_of(options)
    place = Measured(options.dataset, options.network, options.seed)
    training_of(options, study)
    modes = measured_modes(study).get(place, ())
    if not modes:
        raise UserError(
            f"analysis.measured names no mode of {place.network} on {place.dataset} in study "
            f"{name}, so there is nothing to measure."
        )
    folders = {
        mode: paths.training_folder(
            paths.RESULTS, name, Training(place.dataset, place.network, mode, place.seed)
        )
        for mode in modes
    }
    measure_modes(
        folders,
        paths.prepared(name, place.dataset),
        study.analysis,
        paths.measured_file(name, place),
        study.compute.threads,
        device_of(study.compute.device),
    )


def _report(options: argparse.Namespace) -> None:
    from noise2mask.report.build import report, update_readme

    study, name = study_of(options)
    missing = report(study, name, options.root, paths.REPORTS / name)
    if options.readme is not None:
        update_readme(study, paths.REPORTS / name, options.readme)
    if missing:
        LOG.warning(
            "%d results are missing; %s/%s/report.md lists them.",
            len(missing),
            paths.REPORTS,
            name,
        )


def _data_list(_: argparse.Namespace) -> None:
    from noise2mask.workflow.data_commands import listing

    print(listing())


def _data_get(options: argparse.Namespace) -> None:
    from noise2mask.workflow.data_commands import get

    for chosen in chosen_datasets(options):
        get(chosen)


def _data_check(options: argparse.Namespace) -> None:
    from noise2mask.workflow.data_commands import inspect, report

    for chosen in chosen_datasets(options):
        print(report(chosen, inspect(chosen, options.processes, options.sheet)))


def _data_show(options: argparse.Namespace) -> None:
    from noise2mask.workflow.data_commands import facts

    print("\n\n".join(facts(chosen) for chosen in chosen_datasets(options)))


def _diff(options: argparse.Namespace) -> int:
    from noise2mask.files import write_text
    from noise2mask.report.diff.compare import compare
    from noise2mask.report.diff.revisions import open_reports
    from noise2mask.report.diff.text import as_markdown, as_text

    found = compare(*open_reports(options.A, options.B, options.study), options.metric)
    text = as_markdown(found) if options.markdown else as_text(found)
    if options.output:
        write_text(options.output, text)
    else:
        print(text, end="")
    return int(options.exit_code and found.worse)


COMMANDS: dict[str, Command] = {
    "reproduce": _reproduce,
    "check": _check,
    "prepare": _prepare,
    "train": _train,
    "sample": _sample,
    "read": _read,
    "environment": _environment,
    "baseline": _baseline,
    "cost": _cost,
    "baseline-cost": _baseline_cost,
    "evaluate": _evaluate,
    "blind": _blind,
    "fingerprint": _fingerprint,
    "measure": _measure,
    "report": _report,
    "prune": _prune,
    "data list": _data_list,
    "data get": _data_get,
    "data check": _data_check,
    "data show": _data_show,
    "diff": _diff,
}


if __name__ == "__main__":
    sys.exit(main())
