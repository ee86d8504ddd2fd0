"""What a study says of itself: its settings in words, and where they leave the paper."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from noise2mask import plugins
from noise2mask.evaluation.labels import labels_of, metric_of
from noise2mask.study.plan import (
    draws_of,
    run_settings,
    samplers_of,
    scored_datasets,
    seeds_of,
    trainings_of,
)
from noise2mask.study.schema import RunSettings, Study, Training

REAL = "Real data"

Runs = Sequence[tuple[Training, RunSettings]]


def settings_of(study: Study) -> tuple[tuple[str, str], ...]:
    """What decides the numbers of a study, as (label, value).

    A setting that differs between trainings is listed with the trainings it holds for.
    """
    runs = _runs(study)

    def across(pick: Callable[[RunSettings], object]) -> str:
        return _across(study, runs, pick)

    shares = study.shares
    return (
        ("resolution", f"{study.resolution} × {study.resolution} pixels"),
        (
            "shares of cases, where a dataset brings no split",
            f"train {shares.train:g}, validation {shares.val:g}, test {shares.test:g}",
        ),
        ("seeds", _spoken(study.seeds)),
        *((f"network {entry.title}", _spoken(entry.options)) for entry in study.networks.values()),
        ("noise schedule", across(lambda run: run.diffusion.schedule.name)),
        ("timesteps T", across(lambda run: run.diffusion.schedule.timesteps)),
        ("input scale b", across(lambda run: run.diffusion.schedule.input_scale)),
        ("diffusion target", across(lambda run: run.diffusion.target)),
        ("timestep weighting", across(lambda run: run.diffusion.weighting.name)),
        ("mask coding", across(lambda run: run.diffusion.coding)),
        *_samplings(study),
        ("training steps", across(lambda run: run.training.steps)),
        ("batch", across(lambda run: run.training.batch)),
        ("peak learning rate", across(lambda run: run.training.learning_rate)),
        ("decay of averaged weights", across(lambda run: run.training.ema_decay)),
        (
            "fusion of the draws, threshold on it",
            f"{study.evaluation.fusion}, {study.evaluation.threshold:g}",
        ),
        *_metric_options(study),
        ("width of the boundary band", f"{study.evaluation.band} px on either side"),
        ("bins of reliability diagrams and of pooled ECE", str(study.evaluation.bins)),
        ("compute", _computing(study)),
    )


def _computing(study: Study) -> str:
    several = f", processes: {study.compute.processes}" * (study.compute.processes > 1)
    return f"{study.compute.device}, threads: {study.compute.threads}{several}"


def kind_of_data(study: Study) -> str:
    """What the study ran on, so that it cannot be taken for something else."""
    phantoms = [entry for entry in study.datasets.values() if entry.kind == "phantoms"]
    scored = [entry for name, entry in study.datasets.items() if name in scored_datasets(study)]
    scored = scored or list(study.datasets.values())
    stand_ins = [entry for entry in scored if entry.stands_for]
    replaced = ", ".join(dict.fromkeys(str(entry.stands_for) for entry in stand_ins))
    if scored and all(entry in phantoms for entry in scored):
        return "Phantoms: computer-made pictures" + (f" in place of {replaced}" * bool(replaced))
    mixed = "Some phantoms, some real data" if any(e in phantoms for e in scored) else REAL
    if not stand_ins:
        return mixed
    pairs = "; ".join(f"{entry.title} in place of {entry.stands_for}" for entry in stand_ins)
    return f"{mixed}, with stand-ins: {pairs}"


def scale_of(study: Study) -> str:
    """At which scale the study ran, in one line."""
    runs, size = _runs(study), f"{study.resolution} px"
    if not runs:
        return f"{size}, nothing is trained"
    steps = _scored_steps(study, runs)
    trained = f"{steps[0]}" + (f" to {steps[-1]}" if len(steps) > 1 else "")
    return f"{size}, {trained} training steps, {len(runs)} trainings, {_seeds_of(study, runs)}"


def limits_of(study: Study, *, trained: bool = True) -> str:
    """What a verdict hangs on, in a few words: the data and, of trained networks, the budget."""
    kind, runs = kind_of_data(study).partition(":")[0], _runs(study) if trained else ()
    parts = [f"{kind[0].lower()}{kind[1:]}", f"{study.resolution} px"]
    if runs:
        steps = _scored_steps(study, runs)
        parts.append(f"{'≤ ' if len(steps) > 1 else ''}{steps[-1]} steps")
    return ", ".join(parts)


def _scored_steps(study: Study, runs: Runs) -> list[int]:
    """Different numbers of training steps, of scored modes if there are any, the least first."""
    scored = {training.mode for training, _ in runs if study.modes[training.mode].samplers}
    return sorted({run.training.steps for training, run in runs
                   if training.mode in scored or not scored})  # fmt: skip


def _seeds_of(study: Study, runs: Runs) -> str:
    """How many trainings of one kind there are; those that a reading joins are one of it."""
    modes = {training.mode for training, _ in runs}
    scored = {name for name in modes if study.modes[name].samplers} or modes
    joined = {
        name: max((study.readings[one].seeds for one in study.modes[name].samplers
                   if one in study.readings), default=1)
        for name in scored
    }  # fmt: skip
    counts = {len(seeds_of(study, name)) // joined[name] for name in scored}
    low, high = min(counts), max(counts)
    return (f"{low} to {high}" if low < high else f"{high}") + " seed" + "s" * (high > 1)


def departures_of(study: Study) -> tuple[str, ...]:
    """Where the settings are not the paper's, or make the comparison uneven: a sentence each."""
    scored = [(training, run) for training, run in _runs(study) if samplers_of(study, training)]
    runs = [(training, run) for training, run in scored if run.mode == "diffusion"]
    found = []
    targets = [run for _, run in runs if run.diffusion.target != "eps"]
    if targets:
        text = _across(study, runs, lambda run: run.diffusion.target)
        found.append(f"Diffusion target: {text}; the paper's loss is on eps.")
    scales = [run.diffusion.schedule.input_scale for _, run in runs]
    if any(scale != 1 for scale in scales):
        text = _across(study, runs, lambda run: run.diffusion.schedule.input_scale)
        shift = _spoken([f"{2 * math.log(b):.2f}" for b in dict.fromkeys(scales) if b != 1])
        found.append(f"Input scale b: {text}, which shifts log SNR by {shift}; published: 1.")
    steps = {run.training.steps for _, run in scored}
    if len(steps) > 1:
        text = _across(study, scored, lambda run: run.training.steps)
        found.append(f"Trainings do not have the same number of steps: {text}.")
    for field, chosen, text in (
        ("validation", "test", "Checkpoints are chosen on the test cases, so scores are too good"),
        ("masks", "grown", "Masks are interpolated and all above 0 is foreground, so they grow"),
    ):
        titles = [
            entry.title for entry in study.datasets.values() if getattr(entry, field) == chosen
        ]
        if titles:
            found.append(f"{text}: {', '.join(titles)}.")
    return tuple(found)


def _metric_options(study: Study) -> Iterator[tuple[str, str]]:
    """Options of the metrics that have any, defaults included."""
    for kind, chosen in (
        ("metric", study.evaluation.metrics),
        ("calibration", study.evaluation.calibration),
    ):
        for name, given in chosen.items():
            options = plugins.options(kind, name).model_validate(given).model_dump()
            if options:
                yield f"metric {metric_of(name).title}", _spoken(options)


def _runs(study: Study) -> Runs:
    return [(training, run_settings(study, training)) for training in trainings_of(study)]


def _samplings(study: Study) -> Iterator[tuple[str, str]]:
    """Samplers of each mode, the first one first."""
    for name, mode in study.modes.items():
        texts = []
        for sampler in mode.samplers:
            if sampler in study.readings:
                texts.append(_reading(study, sampler))
                continue
            entry = study.samplers[sampler]
            where = f", {_spoken(entry.networks)} only" if entry.networks else ""
            head = f", {entry.head} head" if entry.head != "output" else ""
            head += f", from t = {entry.start}" if entry.start is not None else ""
            head += f", {entry.views} views" if entry.views > 1 else ""
            texts.append(
                f"{sampler} ({entry.sampler}{head}, steps: {entry.steps}, draws N: "
                f"{entry.draws}{where})"
            )
        if texts:
            yield f"sampling, {labels_of(study).mode(name)}", "; ".join(texts)


def _reading(study: Study, name: str) -> str:
    """A reading in words."""
    entry = study.readings[name]
    parts = [f"{entry.draws or study.samplers[entry.of].draws} draws of {entry.of}"]
    parts += [f"{entry.seeds} trainings"] if entry.seeds > 1 else []
    parts += [f"fusion {entry.fusion}"] if entry.fusion else []
    parts += ["temperature fitted on validation cases"] if entry.temperature else []
    parts += ["kept as JPEG"] if entry.storage == "jpeg" else []
    parts += [f"thresholds {_spoken(entry.thresholds)} of the maximum"] if entry.thresholds else []
    return f"{name} ({', '.join(parts)}; N: {draws_of(study, name)})"


def _across(study: Study, runs: Runs, pick: Callable[[RunSettings], object]) -> str:
    """A setting of all trainings: one value, or each with the trainings that have it."""
    labels = labels_of(study)
    values = {training: _spoken(pick(run)) for training, run in runs}
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    names: tuple[Callable[[Training], str], ...] = (
        lambda training: labels.mode(training.mode),
        lambda training: labels.network(training.network),
        lambda training: labels.dataset(training.dataset),
        lambda training: ", ".join(
            [
                labels.dataset(training.dataset),
                labels.network(training.network),
                labels.mode(training.mode),
            ]
        ),
    )
    for name in names:
        groups = {name(training): value for training, value in values.items()}
        if all(groups[name(training)] == value for training, value in values.items()):
            break
    return "; ".join(f"{value} ({group})" for group, value in groups.items())


def _spoken(value: Any) -> str:
    """A setting as a person writes it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_spoken(entry)}" for key, entry in value.items()) or "defaults"
    if isinstance(value, list | tuple):
        return "/".join(map(_spoken, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
