"""The stages of a study, one command each: what a rule of the workflow runs."""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from noise2mask.errors import UserError, unknown

if TYPE_CHECKING:
    from noise2mask.study.paths import Paths
    from noise2mask.study.schema import Measured, Study, Training

    BaselineTraining = Training

LOG = logging.getLogger("noise2mask")


def prepare(study: Study, paths: Paths, *, dataset: str, processes: int = 1) -> None:
    """Turn a raw dataset into prepared cases.

    Args:
        processes: that decode and resize.

    Example:
        noise2mask prepare --study quick --dataset lesion_phantom
    """
    _raw_checked(study, paths, dataset)
    entry = study.datasets[dataset]
    _prepare(study, dataset, study.resolution, entry.masks, paths.prepared(dataset), processes)


def grown(study: Study, paths: Paths, *, dataset: str, processes: int = 1) -> None:
    """Measure how far masks grow where they are interpolated, at several resolutions.

    Args:
        processes: that decode and resize.

    Example:
        noise2mask grown --study atlas --data ~/datasets --dataset isic2017
    """
    from noise2mask.analysis.fingerprints.grown import write_grown

    _raw_checked(study, paths, dataset)
    write_grown(
        lambda side, masks, folder: _prepare(study, dataset, side, masks, folder, processes),
        study.analysis.grown,
        paths.grown(dataset),
    )


def _raw_checked(study: Study, paths: Paths, dataset: str) -> None:
    """See that the raw data of a dataset are there, unpacked."""
    from noise2mask.study.load import check_data

    check_data(study, paths.study)
    if study.datasets[dataset].named:
        from noise2mask.workflow.data_commands import of_study, unpack

        unpack(of_study(study, dataset))


def _prepare(
    study: Study,
    dataset: str,
    resolution: int,
    masks: Literal["area", "grown"],
    folder: Path,
    processes: int,
) -> None:
    from noise2mask.data.prepare import prepare as prepare_cases

    entry = study.datasets[dataset]
    try:
        prepare_cases(
            entry.kind,
            entry.options,
            dataset,
            resolution,
            study.shares.model_dump(),
            folder,
            tile=entry.tile,
            shrink=entry.shrink,
            stride=entry.stride,
            masks=masks,
            validation=entry.validation,
            leaks=entry.leaks,
            aspect=entry.aspect,
            processes=processes,
        )
    except UserError as error:
        from noise2mask.workflow.data_add import explained

        raise explained(entry.kind, entry.options, error) from error


def train(study: Study, training: Training, paths: Paths) -> None:
    r"""Train one network.

    It goes on where an earlier, interrupted call left off; one that is finished is left alone.

    Example:
        noise2mask train --study quick --dataset lesion_phantom --network segdiff \
            --mode diffusion --seed 0
    """
    from noise2mask.analysis.fingerprints.adapted_schedule import resolve_settings
    from noise2mask.data.prepared import read_manifest
    from noise2mask.study.paths import ENDED
    from noise2mask.study.plan import run_settings
    from noise2mask.training.processes import is_main, together
    from noise2mask.training.run import device_of, is_finished, run_of
    from noise2mask.training.size import check_size
    from noise2mask.training.train import train as run_training
    from noise2mask.workflow.set_aside import take_back

    data = paths.prepared(training.dataset)
    licence = study.datasets[training.dataset].licence
    measured = paths.measured(training.measured())
    settings = resolve_settings(run_settings(study, training), data, measured, study.analysis.pair)
    run = run_of(settings, read_manifest(data), licence)
    out, ended = paths.finished(training), paths.work(training) / ENDED
    if is_main() and not is_finished(run, out) and is_finished(run, ended):
        take_back(ended, out)
    if is_finished(run, out):
        LOG.info(
            "%s is finished: its settings, data and code are those of %s. Remove that folder to "
            "train it again.",
            settings.title(),
            out,
        )
        return
    device = device_of(study.compute.device)
    check_size(settings, run.data["channels"], device, study.compute.processes)
    given = (run, data, paths.work(training), out, device)
    with together(study.compute.processes, settings.threads, run_training, *given):
        run_training(*given, tensorboard=study.compute.tensorboard)
    if is_main():
        shutil.rmtree(ended, ignore_errors=True)


def sample(
    study: Study,
    training: Training,
    paths: Paths,
    *,
    sampler: str,
    split: Literal["test", "val"] = "test",
) -> None:
    r"""Draw masks from a trained network.

    Args:
        split: cases that masks are drawn for; default: test.

    Example:
        noise2mask sample --study quick --dataset lesion_phantom --network segdiff \
            --mode diffusion --seed 0 --sampler ddim10
    """
    from noise2mask.sampling.sample import sample as draw_masks
    from noise2mask.training.run import device_of

    if sampler in study.readings:
        raise UserError(
            f"--sampler {sampler} is a reading of draws that are there; run `noise2mask read` for "
            "it."
        )
    draw_masks(
        paths.finished(training),
        paths.prepared(training.dataset),
        study.samplers[sampler],
        paths.work(training) / f"{sampler}-{split}",
        paths.draws(training, sampler, split),
        study.compute.threads,
        study.compute.batch,
        device_of(study.compute.device),
        split,
    )


def read(study: Study, training: Training, paths: Paths, *, sampler: str) -> None:
    r"""Read masks that were drawn in another way.

    Args:
        sampler: the reading, as named in the study.

    Example:
        noise2mask read --study quick --dataset lesion_phantom --network ensemdiff \
            --mode diffusion --seed 0 --sampler staple
    """
    from noise2mask.sampling.readings import read as read_draws
    from noise2mask.study.plan import draws_masks, fusion_of, trainings_read

    reading = study.readings.get(sampler)
    if reading is None:
        raise UserError(
            f"--sampler {sampler} draws masks of its own; run `noise2mask sample` for it."
        )
    sources = trainings_read(study, training, sampler)
    read_draws(
        reading,
        fusion_of(study, sampler),
        [paths.draws(source, reading.of) for source in sources],
        [paths.draws(source, reading.of, "val") for source in sources],
        paths.prepared(training.dataset),
        paths.draws(training, sampler),
        masks=draws_masks(study, sampler),
    )


def evaluate(study: Study, training: Training, paths: Paths, *, sampler: str) -> None:
    r"""Score the draws of a training.

    Example:
        noise2mask evaluate --study quick --dataset lesion_phantom --network segdiff \
            --mode diffusion --seed 0 --sampler ddim10
    """
    from noise2mask.evaluation.score import evaluate as score
    from noise2mask.study.plan import proper_masks

    draws, data = paths.draws(training, sampler), paths.prepared(training.dataset)
    other = proper_masks(study).get(training.dataset)
    proper = paths.prepared(other) if other else None
    score(study, paths.study, training, sampler, draws, data, proper)


def blind(study: Study, paths: Paths, *, dataset: str) -> None:
    """Score what is reached without a network, by image-blind and classical predictions.

    Example:
        noise2mask blind --study quick --dataset lesion_phantom
    """
    from noise2mask.evaluation.score import evaluate_blind

    evaluate_blind(study, paths.study, dataset, paths.prepared(dataset), paths.blind(dataset))


def baseline(study: Study, training: BaselineTraining, paths: Paths) -> None:
    r"""Train a baseline in its own environment and predict the test cases.

    Example:
        .venv-nnunet/bin/python -m noise2mask baseline --study quick --dataset lesion_phantom \
            --baseline nnunet --seed 0
    """
    from noise2mask.baselines.run import train_baseline

    data = paths.prepared(training.dataset)
    train_baseline(study, training, data, paths.work(training), paths.finished(training))


def baseline_cost(study: Study, training: BaselineTraining, paths: Paths) -> None:
    r"""Measure what a mask of a baseline costs, in its own environment.

    Example:
        .venv-nnunet/bin/python -m noise2mask baseline-cost --study quick \
            --dataset lesion_phantom --baseline nnunet --seed 0
    """
    from noise2mask.baselines.run import price_baseline

    data = paths.prepared(training.dataset)
    price_baseline(study, training, data, paths.finished(training), paths.baseline_cost(training))


def environment(kind: str) -> None:
    """Install what a baseline needs, over this environment.

    Args:
        kind: as `kind` of a study's baselines.

    Example:
        noise2mask environment nnunet
    """
    from noise2mask import plugins
    from noise2mask.baselines.environment import create
    from noise2mask.study import paths

    if kind not in plugins.names("baseline"):
        raise UserError(f"{unknown(kind, 'kind', plugins.names('baseline'))}.")
    create(kind, Path(sys.prefix), paths.environment(kind), Path("envs") / f"{kind}.txt")


def cost(study: Study, paths: Paths) -> None:
    """Measure what a mask costs, alone on the machine.

    Example:
        noise2mask cost --study quick
    """
    from noise2mask.evaluation.cost import measure_costs
    from noise2mask.training.run import device_of

    device = device_of(study.compute.device)
    measure_costs(study, paths.study, paths.root, paths.costs(), device)


def fingerprint(
    folder: Path | None = None,
    study: Study | None = None,
    paths: Paths | None = None,
    *,
    dataset: str | None = None,
    output: Path | None = None,
    resolution: int = 128,
    set: tuple[str, ...] = (),
    atlas: Path | None = None,
) -> None:
    r"""Describe masks: geometry, and what can be read of them under noise.

    Of a folder of your own, whose files are masks or that holds images/ and masks/, or of a dataset
    of a study. Nothing is trained. Of your own masks it also tells which datasets of the published
    atlas are like them, and which schedule, input scale and number of steps reports recommend for
    such masks, and how sure that is.

    Args:
        folder: of masks, in place of a study.
        output: folder for the tables and the figure of your masks; default: only print.
        resolution: that your masks are resized to; that of the atlas where they are compared.
        set: option of the kind `folder` for your masks, KEY=VALUE; may be repeated.
        atlas: folder of a report with fingerprints at that resolution; default: the published one,
            reports/atlas, where it is here and of that resolution.

    Example:
        noise2mask fingerprint --study quick --dataset lesion_phantom
        noise2mask fingerprint ~/masks --output ~/fingerprint
    """
    if (folder is None) == (study is None):
        raise UserError(
            "give a folder of masks, or --study and --dataset; got "
            f"{'neither' if folder is None else 'both'}."
        )
    if folder is not None:
        if dataset is not None:
            raise UserError("--dataset is of a study; a folder of masks is one dataset.")
        _fingerprint_folder(folder, output, resolution, set, atlas)
        return
    if study is None or paths is None or dataset is None:
        raise UserError("--dataset is missing: name one of the study's datasets.")
    from noise2mask.analysis.fingerprints.fingerprint import write_fingerprint

    write_fingerprint(
        paths.prepared(dataset),
        study.analysis.oracles,
        paths.fingerprint(dataset),
        spacing=study.analysis.oracle_spacing,
        resamples=study.evaluation.resamples,
        level=study.evaluation.level,
    )


def _fingerprint_folder(
    folder: Path,
    output: Path | None,
    resolution: int,
    settings: tuple[str, ...],
    atlas: Path | None,
) -> None:
    from noise2mask.analysis.fingerprints import advice, mask_set
    from noise2mask.data.layouts.entry import checked_options
    from noise2mask.report.figures import style
    from noise2mask.report.figures.fingerprints import own_masks
    from noise2mask.workflow.data_commands import setting

    if resolution < 8:
        raise UserError(f"--resolution {resolution}: masks need 8 pixels a side at least.")
    if not folder.expanduser().is_dir():
        raise UserError(f"{folder} is no folder; give one that holds masks.")
    place = folder.expanduser().absolute()
    given = {"root": str(place), **dict(setting(text) for text in settings)}
    beside, name = mask_set.atlas_for(atlas, resolution), place.resolve().name
    masks = mask_set.read_mask_set(checked_options("folder", given), resolution)
    found = mask_set.describe(masks)
    tables = mask_set.beside_atlas(name, found, beside)
    apart = mask_set.nearest(name, tables["oracles"]) if beside else None
    print(mask_set.summary(name, found, apart, resolution))
    half = found.figures.loc[["log_snr_at_half"], ["mean", "low", "high"]].to_numpy(dtype=float)
    mean, low, high = half[0].tolist()
    tried = advice.tried_datasets(beside.parent) if beside else []
    advised = advice.advise((mean, low, high), resolution, tried)
    print("\n".join(advice.told(advised, resolution)))
    if output is not None:
        out = output.expanduser()
        mask_set.write_tables(found, out)
        scales = {"b = 1": 1.0} | {f"b = {each.mean:g}": each.mean for each in advised.scales}
        near = [] if apart is None else [str(each) for each in apart.index[: mask_set.NEAREST]]
        drawn = own_masks(tables["oracles"], name, near, scales, mean)
        style.save(drawn, out / "fingerprint")


def measure(study: Study, measured: Measured, paths: Paths) -> None:
    """Measure the loss of a network's modes along the noise axis.

    Example:
        noise2mask measure --study quick --dataset lesion_phantom --network ensemdiff --seed 0
    """
    from noise2mask.analysis.information.measure import measure_modes
    from noise2mask.study.plan import measured_modes
    from noise2mask.training.run import device_of

    modes = measured_modes(study).get(measured, ())
    if not modes:
        raise UserError(
            f"analysis.measured names no mode of {measured.network} on {measured.dataset} in study "
            f"{paths.study}, so there is nothing to measure."
        )
    measure_modes(
        {mode: paths.finished(measured.training(mode)) for mode in modes},
        paths.prepared(measured.dataset),
        study.analysis,
        paths.measured(measured),
        study.compute.threads,
        device_of(study.compute.device),
    )


def report(
    study: Study,
    paths: Paths,
    *,
    readme: Path | None = None,
    root: Path = Path(),
    output: Path | None = None,
) -> None:
    """Gather tables, draw figures, write the report.

    Args:
        readme: file whose table is brought up to date.
        root: folder that holds results and data; default: this one.
        output: folder of the report; default: build/reports/<study> in root.

    Example:
        noise2mask report --study quick
    """
    from noise2mask.report.build import report as write_report
    from noise2mask.report.build import update_readme
    from noise2mask.study.paths import Paths

    folder = output or root / paths.report()
    missing = write_report(study, Paths(paths.study, root), folder)
    if readme is not None:
        update_readme(folder, readme)
    if missing:
        LOG.warning("%d results are missing; %s/report.md lists them.", len(missing), folder)
