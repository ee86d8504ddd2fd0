"""The main table of the page: every score of a study, and the run behind each."""

import json
import math
from collections.abc import Iterator
from typing import Any

from noise2mask.evaluation.labels import (
    UNTRAINED,
    floor_rows,
    metric_of,
    names_in,
    rows_of,
    trained,
    with_interval,
)
from noise2mask.report.context import Report
from noise2mask.report.page.controls import Control, chosen, scores
from noise2mask.study.plan import run_settings
from noise2mask.study.schema import Training


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
