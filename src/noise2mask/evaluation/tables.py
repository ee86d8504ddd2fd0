"""The tables of a study, gathered from its cells.

Every number of the report is in one of these, and each is a CSV in ``reports/<study>/``.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd

from noise2mask.data.prepared import read_manifest
from noise2mask.evaluation.bootstrap import (
    Interval,
    bootstrap_mean,
    bootstrap_statistic,
    holm,
    paired_difference,
)
from noise2mask.evaluation.labels import trained
from noise2mask.evaluation.reliability import ece_of, reliability_curve
from noise2mask.evaluation.score import COLUMNS
from noise2mask.files import checked, write_text
from noise2mask.study.paths import BLIND, RESULTS, blind_folder, prepared, training_folder
from noise2mask.study.plan import (
    baseline_trainings,
    quirky_datasets,
    samplers_of,
    scored_datasets,
    trainings_of,
)
from noise2mask.study.schema import Study, Training

PLANNED = ("iou", "ece")
"""Metrics of the planned comparisons, one family for Holm's correction."""

_CELL = ["dataset", "network", "mode", "sampler"]
_SUMS = ["count", "confidence_sum", "foreground_sum"]
_TEXT = (
    "study", "dataset", "network", "mode", "sampler", "case", "metric", "region", "name", "split",
    "oracle", "subject", "figure", "factor", "level", "device",
    "quirk", "title", "note",
)  # fmt: skip


@dataclass(frozen=True)
class Tables:
    """The tables of a study; the columns are those of the CSV files."""

    metrics: pd.DataFrame
    summary: pd.DataFrame
    comparisons: pd.DataFrame
    history: pd.DataFrame
    reliability: pd.DataFrame

    def save(self, folder: Path) -> None:
        """Write each table to ``<folder>/<name>.csv``."""
        for field in fields(self):
            save_table(getattr(self, field.name), folder / f"{field.name}.csv")


def save_table(table: pd.DataFrame, path: Path, *, record: bool = False) -> None:
    """Write a table as CSV, numbers with nine significant digits.

    Args:
        table: the table.
        path: its file.
        record: another stage opens it, through :func:`noise2mask.files.checked`.
    """
    text = table.to_csv(index=False, float_format="%.9g", lineterminator="\n")
    write_text(path, text, record=record)


def read_table(source: Path | IO[bytes]) -> pd.DataFrame:
    """A table from its CSV file; names stay text, whatever they look like.

    Raises:
        ValueError: it is no CSV file.
    """
    # A case may be called 001 or NA; a number that does not exist is an empty cell.
    return pd.read_csv(
        source, dtype=dict.fromkeys(_TEXT, str), keep_default_na=False, na_values=[""]
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
    """All tables of a study from what its cells have left below `root`, and what is missing.

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
        if own and own[0] != "blind" and not (folder / "draws.npz").exists():
            missing.append(f"{label} draws, of which no case can be shown")
    if not found:
        found = [(pd.DataFrame(columns=list(COLUMNS)), pd.DataFrame(columns=[*_CELL, "region"]))]
    metrics = pd.concat([table for table, _ in found])
    histograms = pd.concat([table for _, table in found])
    groups = groups_of(study, name, root, scored=set(metrics.dataset))
    best = _best_blind(metrics)
    shown = metrics[(metrics.network != "blind") | _is_in(metrics, best)]
    histograms = histograms[(histograms.network != "blind") | _is_in(histograms, best)]
    tables = Tables(
        metrics.reset_index(drop=True),
        _summary(shown, histograms, groups, study),
        _comparisons(shown[~shown.dataset.isin(quirky_datasets(study))], groups, study),
        _history(study, name, root),
        _reliability(histograms),
    )
    return tables, missing


def _scored(study: Study, name: str, root: Path) -> Iterator[tuple[str, Path]]:
    """Name and folder of everything that is scored."""
    for dataset in scored_datasets(study):
        for prediction in BLIND:
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
    return groups


def _best_blind(metrics: pd.DataFrame) -> dict[str, str]:
    """For each dataset the image-blind prediction with the higher mean Dice."""
    blind = metrics[(metrics.network == "blind") & (metrics.metric == "dice")]
    means = blind.groupby(["dataset", "sampler"]).value.mean().unstack()
    return {str(dataset): str(row.idxmax()) for dataset, row in means.iterrows()}


def _is_in(table: pd.DataFrame, best: dict[str, str]) -> pd.Series:
    return table.sampler == table.dataset.map(best)


def _summary(
    metrics: pd.DataFrame,
    histograms: pd.DataFrame,
    groups: dict[tuple[str, str], str],
    study: Study,
) -> pd.DataFrame:
    """Mean over cases (each the mean of its seeds) with interval, per cell and metric."""
    rows = []
    for key, cell in metrics.groupby([*_CELL, "metric"], sort=False):
        interval = bootstrap_mean(
            cell.value, groups=_of(cell, groups), **_trainings(cell), **resampling_of(study)
        )
        rows.append((*key, *interval))
    rows += list(_pooled(histograms, groups, study))
    table = pd.DataFrame(rows, columns=[*_CELL, "metric", *Interval._fields])
    table["order"] = table.groupby(_CELL, sort=False).ngroup()  # pooled rows beside their cell
    return table.sort_values("order", kind="stable").drop(columns="order").reset_index(drop=True)


def _pooled(
    histograms: pd.DataFrame, groups: dict[tuple[str, str], str], study: Study
) -> Iterator[tuple[str | float | int, ...]]:
    """ECE over the pixels of all cases together, which is not the mean of the cases' ECE."""
    for key, cell in histograms.groupby([*_CELL, "region"], sort=False):
        where, region = key[:-1], str(key[-1])
        summed = cell.groupby(["case", "seed", "bin"], sort=False)[_SUMS].sum()
        of_case = summed.groupby(["case", "seed"], sort=False).head(1).reset_index()
        arrays = summed.to_numpy(dtype=np.float64).reshape(len(of_case), -1, len(_SUMS))
        interval = bootstrap_statistic(
            arrays,
            ece_of,
            groups=[groups.get((str(where[0]), name), name) for name in of_case["case"]],
            **_trainings(of_case),
            **resampling_of(study),
        )
        metric = "ece_pooled" if region == "all" else f"ece_{region}_pooled"
        yield (*map(str, where), metric, *interval)


class _Trainings(TypedDict, total=False):
    cases: list[str]
    seeds: list[int]


def _trainings(rows: pd.DataFrame) -> _Trainings:
    """Keywords of the bootstrap over seeds as well, where there are several."""
    if rows["seed"].nunique() < 2:
        return {}
    return {"cases": rows["case"].tolist(), "seeds": rows["seed"].tolist()}


class Resampling(TypedDict):
    """Keywords of the bootstrap in :mod:`noise2mask.evaluation.bootstrap`."""

    resamples: int
    level: float
    seed: int


def resampling_of(study: Study) -> Resampling:
    """How the intervals of a study are drawn."""
    return {
        "resamples": study.evaluation.resamples,
        "level": study.evaluation.level,
        "seed": 0,
    }


def _of(cell: pd.DataFrame, groups: dict[tuple[str, str], str]) -> list[str]:
    return [
        groups.get((dataset, case), case)
        for dataset, case in zip(cell.dataset, cell.case, strict=True)
    ]


def _comparisons(
    metrics: pd.DataFrame, groups: dict[tuple[str, str], str], study: Study
) -> pd.DataFrame:
    """Diffusion against feed-forward, paired by case, for every architecture and dataset."""
    columns = [
        "dataset", "network", "metric", "diffusion", "feed_forward", "difference", "low", "high",
        "p", "n",
    ]  # fmt: skip
    rows = []
    first = {name: mode.samplers[0] for name, mode in study.modes.items() if mode.samplers}
    chosen = metrics[metrics.sampler == metrics["mode"].map(first)]
    compared = chosen[chosen["mode"].isin(["diffusion", "feed_forward"])]
    if len(set(compared.groupby("mode")["seed"].agg(frozenset))) > 1:
        chosen = chosen.assign(seed=0)  # no seeds to pair by: the means of each
    keys = ["dataset", "network", "metric", "case", "seed"]
    values = chosen.groupby([*keys, "mode"], sort=False).value.mean().unstack("mode")
    if {"diffusion", "feed_forward"} <= set(values.columns):
        both = values.dropna(subset=["diffusion", "feed_forward"], how="all").reset_index()
        for key, pair in both.groupby(keys[:3], sort=False):
            found = paired_difference(
                pair.diffusion,
                pair.feed_forward,
                groups=_of(pair, groups),
                **_trainings(pair),
                **resampling_of(study),
            )
            means = pair.groupby("case")[["diffusion", "feed_forward"]].mean().mean()
            rows.append((*key, means.diffusion, means.feed_forward, *found))
    table = pd.DataFrame(rows, columns=columns)
    planned = table.metric.isin(PLANNED)
    adjusted: npt.NDArray[np.float64] = np.full(len(table), np.nan)
    adjusted[planned] = holm(table.p[planned].to_numpy(dtype=np.float64))
    table.insert(columns.index("n"), "p_holm", adjusted)
    return table


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
    return pd.DataFrame(rows, columns=[*Training._fields, "step", "name", "value"])


def _reliability(histograms: pd.DataFrame) -> pd.DataFrame:
    """Reliability curves pooled over cases and seeds."""
    columns = [*_CELL, "region", "bin", "count", "confidence", "frequency"]
    rows = []
    for key, cell in histograms.groupby([*_CELL, "region"], sort=False):
        sums = cell.groupby("bin")[_SUMS].sum()
        curve = reliability_curve(sums.to_numpy(dtype=np.float64))
        values = zip(sums.index, curve.count, curve.confidence, curve.frequency, strict=True)
        rows += [(*key, *each) for each in values]
    return pd.DataFrame(rows, columns=columns)
