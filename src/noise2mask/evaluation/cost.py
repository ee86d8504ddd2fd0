"""The price of every network, mode and sampler of a study, measured alone on the machine.

Trained networks draw test cases with the real sampling, and are trained on for a few steps with
the real training. Times are those of this machine; counts (:mod:`noise2mask.evaluation.flops`) of
none.
"""

import itertools
import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from noise2mask.data.prepared import Split, open_split
from noise2mask.diffusion.process import Head
from noise2mask.errors import UserError
from noise2mask.evaluation.flops import Counts, evaluations, network_counts
from noise2mask.evaluation.pareto import Cost
from noise2mask.evaluation.timing import (
    REPEATS,
    STEPS,
    Price,
    device_name,
    measured,
    seconds_per_step,
    write_costs,
)
from noise2mask.progress import Progress
from noise2mask.sampling.sample import BLOCK, Trained, check_same_data, draw, load_trained, visited
from noise2mask.study import paths
from noise2mask.study.plan import (
    draws_of,
    priced_trainings,
    sampler_behind,
    samplers_of,
    seeds_read,
)
from noise2mask.study.schema import RunSettings, Sampler, Study, Training, digest
from noise2mask.training.run import Run, build_network, load_run
from noise2mask.training.train import train

FILLERS = 0.1
"""At most this share of the rows that a network is shown may be thrown away."""


class Priced(NamedTuple):
    """One row of the table: the masks of `trainings` networks, `sampler.draws` of each."""

    training: Training
    name: str
    sampler: Sampler
    trainings: int


def measure_costs(
    study: Study,
    name: str,
    root: Path,
    out: Path,
    device: torch.device,
    repeats: int = REPEATS,
) -> None:
    """Measure every network, mode, sampler and reading that is scored, and write the table.

    Each network and mode is measured once, on the first dataset and seed that it is scored on.

    Args:
        study: the study.
        name: its name.
        root: folder that holds ``results`` and ``data``.
        out: the table, with the columns of :class:`noise2mask.evaluation.pareto.Cost`.
        device: where to compute.
        repeats: samplings that are timed.

    Raises:
        UserError: the study scores nothing, or a run is missing or does not fit its cases.
    """
    torch.set_num_threads(study.compute.threads)
    points = priced(study)
    if not points:
        raise UserError(
            f"study {name} scores no sampler, so there is no mask whose cost could be measured: "
            "give a mode samplers."
        )
    groups = [list(group) for _, group in itertools.groupby(points, key=lambda one: one.training)]
    progress = Progress(f"measuring the costs of {name}", len(points) + len(groups))
    rows: list[list[Cost]] = []
    # All samplings first: in a process that has trained, memory counts for more.
    for group in groups:
        training = group[0].training
        folder = paths.training_folder(root / paths.RESULTS, name, training)
        rows.append(
            _costs_of(group, folder, root / paths.prepared(name, training.dataset), device, repeats)
        )
        progress.update(sum(map(len, rows)), f"{training.network} {training.mode}")
    for number, group in enumerate(groups):
        training = group[0].training
        run, _ = load_run(paths.training_folder(root / paths.RESULTS, name, training))
        data = root / paths.prepared(name, training.dataset)
        step = seconds_per_training_step(run, data, device)
        rows[number] = [row._replace(seconds_per_training_step=step) for row in rows[number]]
        progress.update(len(points) + number + 1, f"training of {training.network} {training.mode}")
    write_costs([row for group in rows for row in group], out)


def priced(study: Study) -> list[Priced]:
    """What is measured: each scored (network, mode, sampler or reading) once."""
    points = []
    for training in priced_trainings(study):
        for name in samplers_of(study, training):
            trainings = seeds_read(study, name)
            each = draws_of(study, name) // trainings
            sampler = sampler_behind(study, name).model_copy(update={"draws": each})
            points.append(Priced(training, name, sampler, trainings))
    return points


def _costs_of(
    points: Sequence[Priced], folder: Path, data: Path, device: torch.device, repeats: int
) -> list[Cost]:
    """The rows of one trained network; readings of the same draws are measured once."""
    trained = load_trained(folder, device)
    split = open_split(data, "test", purpose="evaluation", left_out=True)
    check_same_data(trained.run, split)
    settings, channels = trained.run.settings, split.manifest.channels
    heads = {point.sampler.head for point in points}
    counts = {head: run_counts(settings, channels, head) for head in sorted(heads)}
    prices: dict[str, Price] = {}
    rows = []
    for point in points:
        what = digest(point.sampler.model_dump(mode="json", exclude={"networks"}))
        if what not in prices:
            prices[what] = sampling_price(trained, split, point.sampler, repeats)
        schedule = trained.process.schedule
        timesteps = visited(schedule.timesteps, point.sampler)
        steps = evaluations(point.sampler, schedule, timesteps)
        rows.append(_cost(point, counts[point.sampler.head], steps, prices[what], device))
    return rows


def _cost(
    point: Priced,
    counts: Counts,
    steps: int,
    price: Price,
    device: torch.device,
) -> Cost:
    draws, times = point.sampler.draws * point.trainings, point.trainings
    encoded = point.sampler.views * times
    return Cost(
        network=point.training.network,
        mode=point.training.mode,
        sampler=point.name,
        steps=steps,
        draws=draws,
        trainings=times,
        parameters=counts.parameters * times,
        macs_encoding=counts.encoding,
        macs_evaluation=counts.evaluation,
        encodings_per_mask=encoded,
        evaluations_per_mask=draws * steps,
        macs_per_mask=encoded * counts.encoding + draws * steps * counts.evaluation,
        seconds_per_training_step=None,
        cases_at_once=price.cases,
        seconds_per_mask=price.seconds * times,
        peak_memory_mb=price.memory,
        energy_per_mask_j=None if price.joules is None else price.joules * times,
        device=device_name(device),
        threads=torch.get_num_threads(),
    )


def cases_at_once(draws: int, block: int) -> int:
    """The fewest cases of which so many draws fill blocks but for a share of `FILLERS`."""
    return next(
        cases
        for cases in itertools.count(1)
        if (1 - FILLERS) * block * math.ceil(cases * draws / block) <= cases * draws
    )


def run_counts(settings: RunSettings, channels: int, head: Head = "output") -> Counts:
    """Counts of the network of a run, which is built without memory."""
    with torch.device("meta"):
        network = build_network(settings, channels).eval()
    return network_counts(network, channels, settings.resolution, head)


def sampling_price(trained: Trained, split: Split, sampler: Sampler, repeats: int) -> Price:
    """What a mask costs when so many cases are drawn at once that blocks are nearly full.

    A network is always shown blocks of the same number of rows. One case alone would be charged
    for the rows that fill its last block up, a mask of one draw for eight.
    """
    rows = [
        number % len(split.ids)
        for number in range(cases_at_once(sampler.draws, BLOCK[trained.device.type]))
    ]
    single = Sampler(sampler="one_pass", head=sampler.head)
    with torch.inference_mode():
        return measured(
            lambda: draw(trained, split, rows, sampler),
            trained.network,
            len(rows),
            trained.device,
            repeats=repeats,
            warm_up=lambda: draw(trained, split, rows[:1], single),
        )


def seconds_per_training_step(run: Run, data: Path, device: torch.device) -> float | None:
    """Median time of a step of the real training, see :func:`pricing.seconds_per_step`.

    The training begins anew in a folder of its own and is ended after a few steps.

    Args:
        run: a finished run, whose settings are those of the training.
        data: folder of the prepared dataset.
        device: where to compute.
    """
    last = STEPS + 2  # it validates and saves at its last step, which is not reached
    training = run.settings.training.model_copy(
        update={"steps": last, "validate_every": last, "checkpoint_every": last}
    )
    short = replace(run, settings=run.settings.model_copy(update={"training": training}))
    deterministic = torch.are_deterministic_algorithms_enabled()
    try:
        with tempfile.TemporaryDirectory() as folder:
            work, out = Path(folder) / "work", Path(folder) / "out"
            return seconds_per_step(lambda: train(short, data, work, out, device))
    finally:
        torch.use_deterministic_algorithms(deterministic)
