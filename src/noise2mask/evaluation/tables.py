"""The tables of a study, gathered from its trainings.

Every number of the report is in one of these, and each is a CSV in ``reports/<study>/``.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from noise2mask.data.prepared import read_manifest
from noise2mask.evaluation.bootstrap import CaseGroups, Resampling, estimate_mean
from noise2mask.evaluation.columns import ANYWHERE, COLUMNS, TEXT, empty
from noise2mask.evaluation.differences import Pair, comparison_table, step_count
from noise2mask.evaluation.labels import UNTRAINED, metric_of, trained
from noise2mask.evaluation.pooled import POOLED, SUMS, histograms_of
from noise2mask.evaluation.reliability import reliability_curve
from noise2mask.files import checked, write_text
from noise2mask.study.paths import (
    BLIND,
    CLASSICAL,
    RESULTS,
    blind_folder,
    prepared,
    training_folder,
)
from noise2mask.study.plan import (
    baseline_trainings,
    compared_modes,
    quirky_datasets,
    samplers_of,
    scored_datasets,
    trainings_of,
)
from noise2mask.study.schema import Study

_CELL = ["dataset", "network", "mode", "sampler"]


@dataclass(frozen=True)
class Tables:
    """The tables of the scores of a study; the columns are those of the CSV files.

    Attributes:
        metrics: scores of single cases.
        summary: their means.
        comparisons: planned comparisons of modes trained by diffusion and feed-forward.
        history: of the trainings.
        reliability: reliability curves.
        histograms: what these are made of, of single cases and seeds; it has no file.
    """

    metrics: pd.DataFrame
    summary: pd.DataFrame
    comparisons: pd.DataFrame
    history: pd.DataFrame
    reliability: pd.DataFrame
    histograms: pd.DataFrame

    def save(self, folder: Path) -> None:
        """Write each table to ``<folder>/<name>.csv``."""
        for name in SAVED:
            save_table(getattr(self, name), folder / f"{name}.csv")


SAVED = ("metrics", "summary", "comparisons", "history", "reliability")
"""Tables that have a file."""


def save_table(table: pd.DataFrame, path: Path, *, record: bool = False) -> None:
    """Write a table as CSV, numbers with nine significant digits.

    Args:
        table: the table.
        path: its file.
        record: another stage opens it, through :func:`noise2mask.files.checked`.
    """
    text = table.to_csv(index=False, float_format="%.9g", lineterminator="\n")
    write_text(path, text, record=record)


def read_table(source: Path | IO[bytes], name: str = "") -> pd.DataFrame:
    """A table from its CSV file; names stay text, whatever they look like.

    Args:
        source: the file.
        name: of the table; that of the file when absent.

    Raises:
        ValueError: it is no CSV file.
    """
    called = name or (source.stem if isinstance(source, Path) else "")
    # A case may be called 001 or NA; a number that does not exist is an empty cell.
    return pd.read_csv(
        source,
        dtype=dict.fromkeys(TEXT.get(called, ANYWHERE), str),
        keep_default_na=False,
        na_values=[""],
    )


def headline(study: Study, summary: pd.DataFrame, metrics: Sequence[str]) -> dict[str, Any]:
    """A few numbers that stand for a study, as ``dvc exp show`` has a column for each.

    Args:
        study: the study.
        summary: the table of that name.
        metrics: names of those wanted.

    Returns:
        For feed-forward and for diffusion the mean of each metric over datasets and networks, with
        the first sampler of each mode, to six significant digits; what does not exist is left out.
    """
    found: dict[str, dict[str, float]] = {}
    table = trained(summary)
    first = {name: mode.samplers[0] for name, mode in study.modes.items() if mode.samplers}
    table = table[table["sampler"] == table["mode"].map(first)]
    kinds = table["mode"].map({name: mode.mode for name, mode in study.modes.items()})
    kind = np.where(kinds == "feed_forward", "feed_forward", "diffusion")
    for (name, metric), rows in table.groupby([kind, "metric"]):
        if metric in metrics and rows["mean"].notna().any():
            found.setdefault(str(name), {})[str(metric)] = float(f"{rows['mean'].mean():.6g}")
    return found


def gather(study: Study, name: str, root: Path) -> tuple[Tables, list[str]]:
    """All tables of a study from what its trainings have left below `root`, and what is missing.

    Args:
        study: the study.
        name: its name.
        root: folder that holds ``results`` and ``data``.

    Returns:
        The tables, and one line for each result that is not there.
    """
    found, missing = [], []
    for label, folder in _scored(study, name, root):
        if not (folder / "metrics.csv").exists():
            missing.append(label)
            continue
        table = read_table(checked(folder / "metrics.csv"))
        found.append((table, _histograms(folder, table)))
        own = [table.network.iloc[0], table["mode"].iloc[0]] if len(table) else []
        if own and own[0] in study.networks:
            checked(folder.parent / "run.json")
            checked(folder.parent / "history.jsonl")
        if own and own[0] not in UNTRAINED and not (folder / "draws.npz").exists():
            missing.append(f"{label} draws, of which no case can be shown")
    if not found:
        nothing = pd.DataFrame(columns=[*_CELL, "seed", "case", "region", "bin", *SUMS])
        found = [(empty("metrics"), nothing)]
    metrics = pd.concat([table for table, _ in found]).reset_index(drop=True)
    histograms = pd.concat([table for _, table in found]).reset_index(drop=True)
    groups = groups_of(study, name, root, scored=set(metrics.dataset))
    resampling = resampling_of(study)
    starts = {key: entry.start for key, entry in study.samplers.items() if entry.start is not None}
    comparisons = compared(
        study, metrics, histograms, groups, [Pair(*modes) for modes in compared_modes(study)]
    )
    summary = best_floors(
        summary_table(metrics, histograms, groups, starts=starts, resampling=resampling)
    )
    # Of floors, the curve of the one whose pooled error the summary tells.
    curves = summary.loc[summary["metric"] == "ece_pooled", list(_CELL)].drop_duplicates()
    histograms = histograms.merge(curves, on=list(_CELL))
    tables = Tables(
        metrics,
        summary,
        comparisons,
        _history(study, name, root),
        _reliability(histograms),
        histograms,
    )
    return tables, missing


def compared(
    study: Study,
    metrics: pd.DataFrame,
    histograms: pd.DataFrame,
    groups: CaseGroups,
    pairs: Sequence[Pair],
) -> pd.DataFrame:
    """Planned comparisons of modes; datasets with a quirk hold the cases of another once more.

    Args:
        study: the study.
        metrics: the table of that name.
        histograms: the table of that name.
        groups: of cases.
        pairs: of modes.
    """
    quirky = quirky_datasets(study)
    return comparison_table(
        metrics[~metrics["dataset"].isin(quirky)],
        histograms[~histograms["dataset"].isin(quirky)],
        pairs,
        groups,
        resampling=resampling_of(study),
    )


def _scored(study: Study, name: str, root: Path) -> Iterator[tuple[str, Path]]:
    """Name and folder of everything that is scored."""
    for dataset in scored_datasets(study):
        for prediction in (*BLIND, *CLASSICAL):
            yield f"{dataset} {prediction}", root / blind_folder(name, dataset) / prediction
    for cell in (*trainings_of(study), *baseline_trainings(study)):
        folder = training_folder(root / RESULTS, name, cell)
        for sampler in samplers_of(study, cell):
            label = f"{cell.dataset} {cell.network} {cell.mode} seed {cell.seed} {sampler}"
            yield label, folder / sampler


def _histograms(folder: Path, metrics: pd.DataFrame) -> pd.DataFrame:
    """Reliability histograms of one cell, with the columns that name it."""
    where = metrics[[*_CELL, "seed"]].head(1)
    return read_table(checked(folder / "reliability.csv")).merge(where, how="cross")


def groups_of(
    study: Study, name: str, root: Path, scored: Collection[str] = ()
) -> dict[tuple[str, str], str]:
    """Group of each (dataset, case), and of each raw image, which tables of scores call a case.

    Raises:
        UserError: the manifest of one of the datasets `scored` is missing, without which cases of
            one patient would count as many, or a manifest is damaged.
    """
    groups = {}
    for dataset in study.datasets:
        folder = root / prepared(name, dataset)
        if dataset in scored or (folder / "manifest.json").exists():
            for case in read_manifest(folder).cases:
                groups[dataset, case.id] = groups[dataset, case.image] = case.group
                if case.slice is not None:
                    groups[dataset, case.slice.volume] = case.group
    return groups


def best_floors(summary: pd.DataFrame) -> pd.DataFrame:
    """Of each kind of floor, in each dataset and metric, the one that does best in that metric.

    What needs no network is as good as the best of it: all foreground has the higher Dice, the mean
    mask the better calibration, and neither may stand for the other. A metric without a direction
    keeps the first.
    """
    floors = summary[summary["network"].isin(UNTRAINED)]
    goodness = floors["mean"] * [metric_of(name).better for name in floors["metric"]]
    order = goodness.sort_values(ascending=False, kind="stable", na_position="last").index
    best = floors.loc[order].drop_duplicates(["dataset", "network", "metric"]).index
    return summary[~summary["network"].isin(UNTRAINED) | summary.index.isin(best)].reset_index(
        drop=True
    )


def summary_table(
    metrics: pd.DataFrame,
    histograms: pd.DataFrame,
    groups: CaseGroups,
    *,
    starts: dict[str, int],
    resampling: Resampling,
) -> pd.DataFrame:
    """Mean over cases of every metric with its interval, per training and sampler.

    Means are over seeds too where there are several; `n` counts independent units.

    Args:
        metrics: the table of that name.
        histograms: of single cases; errors of all pixels together stand beside the means of cases.
        groups: of each (dataset, case); a case without an entry is its own.
        starts: of samplers that denoise from a timestep below the last, that timestep.
        resampling: how intervals are drawn.

    Raises:
        ValueError: steps that are no number.
    """
    rows = []
    pooled, nothing = dict(list(histograms.groupby(_CELL, sort=False))), histograms[:0]
    for key, cell in metrics.groupby([*_CELL, "steps", "draws"], sort=False):
        *where, steps, draws = key
        first = (*where, step_count(str(steps)), starts.get(str(where[3]), np.nan), draws)
        for metric, values in cell.groupby("metric", sort=False):
            defined = values[values["value"].notna()]
            units = [groups.get((str(where[0]), case), case) for case in values["case"]]
            found = estimate_mean(
                values["value"], units=units, seeds=list(values["seed"]), resampling=resampling
            )
            counts = defined["case"].nunique(), defined["seed"].nunique()
            rows.append((*first, metric, *found.interval(), *counts))
        histogram = pooled.get(tuple(where), nothing)
        for metric, region in POOLED.items():
            of_region = histogram[histogram["region"] == region]
            if len(of_region):
                interval = histograms_of(of_region).estimate(groups, resampling).interval()
                counts = of_region["case"].nunique(), of_region["seed"].nunique()
                rows.append((*first, metric, *interval, *counts))
    return pd.DataFrame(rows, columns=list(COLUMNS["summary"]))


def resampling_of(study: Study) -> Resampling:
    """How the intervals of a study are drawn."""
    return Resampling(study.evaluation.resamples, study.evaluation.level)


def _history(study: Study, name: str, root: Path) -> pd.DataFrame:
    """Every training's history as (step, name, value)."""
    rows = []
    for cell in trainings_of(study):
        path = training_folder(root / RESULTS, name, cell) / "history.jsonl"
        lines = checked(path).read_text(encoding="utf-8").splitlines() if path.exists() else ()
        for line in lines:
            entry = json.loads(line)
            step = entry.pop("step")
            rows += [(*cell, step, key, value) for key, value in entry.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS["history"]))


def _reliability(histograms: pd.DataFrame) -> pd.DataFrame:
    """Reliability curves pooled over cases and seeds."""
    rows = []
    for key, cell in histograms.groupby([*_CELL, "region"], sort=False):
        sums = cell.groupby("bin")[list(SUMS)].sum()
        curve = reliability_curve(sums.to_numpy(dtype=np.float64))
        values = zip(sums.index, curve.count, curve.confidence, curve.frequency, strict=True)
        rows += [(*key, *each) for each in values]
    return pd.DataFrame(rows, columns=list(COLUMNS["reliability"]))
