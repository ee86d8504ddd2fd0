"""The main table of the page, the run behind each of its scores, and what a reader may choose."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from noise2mask.evaluation.labels import (
    HEADLINE,
    UNTRAINED,
    floor_rows,
    metric_of,
    names_in,
    rows_of,
    trained,
    with_interval,
)
from noise2mask.report.context import Report
from noise2mask.study.plan import run_settings
from noise2mask.study.schema import Training

ALL = ""
"""Value of a control that leaves every row."""
REGIONS = {"all": "all", "band": "boundary band"}


@dataclass(frozen=True)
class Control:
    """What a reader may choose of one or more charts.

    Attributes:
        name: of the parameter that it sets.
        label: what stands beside it.
        options: values with their words; of a range its least, most and step.
        kind: how it looks.
    """

    name: str
    label: str
    options: Sequence[tuple[str, str]]
    kind: Literal["select", "radio"] = "select"


def several(table: pd.DataFrame, column: str) -> bool:
    """Whether a column has more than one value."""
    return len(names_in(table, column)) > 1


def scores(table: pd.DataFrame, kind: Literal["select", "radio"] = "select") -> Control:
    """Which metric is shown; those of the main table of a text come first."""
    names = names_in(table, "metric")
    ordered = [*(name for name in HEADLINE if name in names),
               *(name for name in names if name not in HEADLINE)]  # fmt: skip
    options = [(name, metric_of(name).title) for name in ordered]
    return Control("metric", "Score", options, kind)


def regions(table: pd.DataFrame) -> Control:
    """Which pixels are shown."""
    return Control("region", "Pixels", _options(table, "region", REGIONS.get), "radio")


def chosen(
    report: Report, table: pd.DataFrame, *columns: str, every: bool = False
) -> list[Control]:
    """A choice among the values of each column.

    With `every`, and several values, all rows are offered first.
    """
    titles: Mapping[str, tuple[str, Callable[[str], str | None]]] = {
        "dataset": ("Dataset", report.labels.dataset),
        "network": ("Architecture", report.labels.network),
        "mode": ("Training", report.labels.mode),
        "sampler": ("Sampler", str),
        "pair": ("Comparison", str),
    }
    found = []
    for column in columns:
        label, title = titles[column]
        options = _options(table, column, title)
        first = [(ALL, "all")] if every and len(options) > 1 else []
        found.append(Control(column, label, [*first, *options]))
    return found


def _options(
    table: pd.DataFrame, column: str, title: Callable[[str], str | None]
) -> list[tuple[str, str]]:
    """Values of a column with their words."""
    return [(name, title(name) or name) for name in names_in(table, column)]


def controls(report: Report) -> list[Control]:
    """What may be chosen of the main table."""
    table = trained(report.tables["summary"])
    if table.empty:
        return []
    filters = ("dataset", "network", "mode", "sampler")
    return [scores(table), *chosen(report, table, *filters, every=True)]


def results(report: Report) -> dict[str, Any] | None:
    """Rows of the main table; the page fills it with the scores of the chosen metric."""
    summary, labels = report.tables["summary"], report.labels
    if trained(summary).empty:
        return None
    rows = [*rows_of(summary), *floor_rows(summary)]
    found = []
    cells: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}
    for cell in summary.to_dict("records"):
        network, mode, sampler = (str(cell[name]) for name in ("network", "mode", "sampler"))
        metric, dataset = str(cell["metric"]), str(cell["dataset"])
        if not math.isfinite(float(cell["mean"])):
            continue
        key = (network, "none", "") if network in UNTRAINED else (network, mode, sampler)
        look = metric_of(metric)
        cells.setdefault(key, {}).setdefault(metric, {}).setdefault(
            dataset,
            {
                "value": float(cell["mean"]),
                "text": with_interval(
                    cell["mean"], cell["low"], cell["high"], look.digits, look.interval_digits
                ),
                "n": int(cell["n"]),
                "best": (dataset, network, mode, metric) in report.winners,
                "sampler": sampler,
            },
        )
    for row in rows:
        scores = cells.get(row[:3], {})
        for cell in (each for of_metric in scores.values() for each in of_metric.values()):
            cell["best"] = cell["best"] and not row.extra
        floor = UNTRAINED.get(row.network)
        draws = labels.draws.get(row.sampler)
        found.append(
            {
                "network": row.network, "mode": row.mode, "sampler": row.sampler,
                "words": [
                    floor or labels.network(row.network),
                    "none" if floor else labels.mode(row.mode),
                    row.sampler or "–",
                    str(draws) if draws else "–",
                ],
                "scores": scores,
            }
        )  # fmt: skip
    return {
        "rows": found,
        "datasets": [[name, labels.dataset(name)] for name in report.datasets],
        "ways": {
            name: {1: "higher is better", -1: "lower is better"}.get(metric_of(name).better, "")
            for name in names_in(summary, "metric")
        },
    }


def runs(report: Report) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """What is behind the numbers of each training, by ``dataset/network/mode``."""
    record, labels = report.record, report.labels
    steps = report.tables["costs"]
    found: dict[str, list[tuple[str, str]]] = {}
    for label, run in record.trainings.items():
        dataset, network, mode, seed = label.split("/")
        key = f"{dataset}/{network}/{mode}"
        if key not in found:
            said = found[key] = list(_settings_of_run(report, dataset, network, mode))
            prepared = record.datasets[dataset]
            said.append(("Data", f"{labels.dataset(dataset)}, hash {prepared.digest}"))
            own = steps[(steps["network"] == network) & (steps["mode"] == mode)]
            seconds = own["seconds_per_training_step"].dropna()
            if len(seconds):
                said.append(("Time of a training step", f"{1e3 * float(seconds.iloc[0]):.0f} ms"))
            shown = {**record.versions, **run.versions}
            said.append(("Versions", ", ".join(f"{name} {each}" for name, each in shown.items())))
        state = "" if run.current else ", edited since"
        where = f"results/{record.study}/{label}/run.json"
        found[key].append(
            (f"Seed {seed.removeprefix('seed')}",
             f"settings {run.run}, code {run.code}{state} ({run.part}); {where}")
        )  # fmt: skip
        for sampler, drawn in run.samplers.items():
            found[key].append((f"Scored, {sampler}", f"settings {drawn.settings} ({drawn.part})"))
    for key, said in found.items():
        yield key, list(dict.fromkeys(said))


def _settings_of_run(
    report: Report, dataset: str, network: str, mode: str
) -> Iterator[tuple[str, str]]:
    """Settings of a training, in words."""
    study = report.study
    if network in study.baselines:
        entry = study.baselines[network]
        yield "Baseline", f"{entry.kind}, {json.dumps(entry.options)}"
        return
    run = run_settings(study, Training(dataset, network, mode, study.seeds[0]))
    diffusion, training = run.diffusion, run.training
    yield (
        "Training",
        f"{training.steps} steps, batch {training.batch}, learning rate "
        f"{training.learning_rate:g}, weights averaged with {training.ema_decay:g}",
    )
    options = ", ".join(f"{key} {value}" for key, value in run.network.options.items())
    yield "Network", f"{run.network.architecture}{f' ({options})' if options else ''}"
    yield (
        "Diffusion" if run.mode == "diffusion" else "Mode",
        f"{run.mode}: target {diffusion.target}, schedule {diffusion.schedule.name}, T "
        f"{diffusion.schedule.timesteps}, b {diffusion.schedule.input_scale:g}, weights of "
        f"timesteps {diffusion.weighting.name}",
    )
