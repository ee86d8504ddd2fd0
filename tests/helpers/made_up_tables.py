"""Tables of a study that never ran, for the tests of figures and report."""

from typing import Any

import numpy as np
import pandas as pd

from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.differences import PLANNED
from noise2mask.evaluation.labels import Labels, metric_of
from noise2mask.report.cases import Case, Prediction

QUICK = ("lesion_phantom", "nuclei_phantom", "tissue_phantom")
NETWORKS = ("ensemdiff", "segdiff", "medsegdiff")
TITLES = {name: name.replace("_", " ") for name in QUICK}
LABELS = Labels(datasets=TITLES, draws={"one_pass": 1, "calibration": 1, "ddim10": 5})
CELL = ["dataset", "network", "mode", "sampler"]
SPREAD = {"hd95": 1.5, "nll": 0.02}
METRICS = (
    "dice", "iou", "nsd", "hd95", "ece", "ace", "mce", "brier", "nll",
    "ece_band", "ace_band", "mce_band", "brier_band", "nll_band",
)  # fmt: skip


def samplers(network: str) -> list[tuple[str, str]]:
    """Mode and sampler of each row of a network."""
    second = [("feed_forward", "calibration")] if network == "medsegdiff" else []
    return [("feed_forward", "one_pass"), *second, ("diffusion", "ddim10")]


def _level(dataset: int, network: int, mode: str, metric: str) -> float:
    """About what a small network reaches."""
    better = 0.03 * (mode == "diffusion") - 0.015 * network - 0.12 * dataset
    stem = metric.removesuffix("_band")
    up = {"dice": 0.88, "iou": 0.79, "nsd": 0.82}
    down = {"hd95": 3.5, "ece": 0.035, "ace": 0.03, "mce": 0.3, "brier": 0.04, "nll": 0.14}
    band = 1.0 + 1.8 * metric.endswith("_band")
    return up[stem] + better if stem in up else down[stem] * band * (1 - 4 * better)


def metrics_table(datasets: tuple[str, ...] = QUICK, cases: int = 40) -> pd.DataFrame:
    """A table `metrics` with every row that `datasets` should have."""
    generator = np.random.default_rng(5)
    rows: list[tuple[Any, ...]] = []
    for place, dataset in enumerate(datasets):
        hard = generator.normal(size=cases)
        for metric in METRICS:
            blind = 0.33 if metric in ("dice", "iou", "nsd") else 0.75
            value = 25.0 if metric == "hd95" else blind
            where = ("study", dataset, "blind", "none", 0, "all_foreground", 0, 1)
            rows += [(*where, f"case{k:03}", metric, value) for k in range(cases)]
        for number, network in enumerate(NETWORKS):
            for mode, sampler in samplers(network):
                draws, steps = (5, 10) if mode == "diffusion" else (1, 1)
                where = ("study", dataset, network, mode, 0, sampler, steps, draws)
                for metric in METRICS:
                    level = _level(place % 3, number, mode, metric)
                    values = level + SPREAD.get(metric, 0.35 * min(level, 1 - level)) * (
                        0.8 * hard + 0.4 * generator.normal(size=cases)
                    )
                    if metric == "hd95" and mode == "feed_forward":
                        values[: number + 1] = np.nan
                    rows += [(*where, f"case{k:03}", metric, v) for k, v in enumerate(values)]
    columns = [
        "study", "dataset", "network", "mode", "seed", "sampler", "steps", "draws", "case",
        "metric", "value",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def summary_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """A table `summary` with normal intervals."""
    grouped = metrics.groupby([*CELL, "metric"], sort=False).value
    table = grouped.agg(mean="mean", half="sem", n="count").reset_index()
    table["low"], table["high"] = (table["mean"] - sign * 1.96 * table["half"] for sign in (1, -1))
    pooled = table[table["metric"] == "ece"].assign(metric="ece_pooled")
    table = pd.concat([table, pooled], ignore_index=True)
    table = table.assign(steps=10, start=np.nan, draws=5, cases=table["n"], seeds=1)
    return table[list(COLUMNS["summary"])]


def comparisons_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """A table `comparisons`; the p-values are made up."""
    keys = ["dataset", "network", "metric"]
    usual = metrics[metrics.sampler.isin(["one_pass", "ddim10"])]
    pairs = usual.set_index([*keys, "case", "mode"]).value.unstack("mode", sort=False)
    rows = []
    for place, (key, pair) in enumerate(pairs.groupby(level=[0, 1, 2], sort=False)):
        gap = (pair.diffusion - pair.feed_forward).dropna()
        half, better = 1.96 * gap.sem(), metric_of(str(key[2])).better
        sure, tested = abs(gap.mean()) > half, key[2] in PLANNED
        p = 0.001 if sure else 0.2 + place % 5 / 10
        word = "first better" if gap.mean() * better > 0 else "second better"
        rows.append(
            ("own", *key[:2], "diffusion", "feed_forward", "ddim10 / one_pass", key[2],
             pair.diffusion.mean(), pair.feed_forward.mean(), gap.mean(), gap.mean() - half,
             gap.mean() + half, p, min(1.0, p * 2) if tested else np.nan, 1.5 * half, len(gap), 1,
             (word if sure else "undecided") if tested else "")
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS["comparisons"]))


def history_table(datasets: tuple[str, ...] = QUICK) -> pd.DataFrame:
    """A table `history`."""
    generator = np.random.default_rng(7)
    rows: list[tuple[Any, ...]] = []
    for dataset in datasets:
        for network in NETWORKS:
            for mode, end in (("feed_forward", 400), ("diffusion", 600)):
                cell = (dataset, network, mode, 0)
                start = 1.6 if mode == "feed_forward" else 1.0
                for step in range(10, end + 1, 10):
                    loss = start * np.exp(-step / 120) + 0.08 * np.exp(generator.normal() / 4)
                    rows.append((*cell, step, "loss", loss))
                best = (np.inf, 0)
                for step in range(100, end + 1, 100):
                    loss = start * np.exp(-step / 110) + 0.12 + 0.02 * generator.normal()
                    rows.append((*cell, step, "val_loss", loss))
                    best = min(best, (loss, step))
                rows.append((*cell, best[1], "chosen", best[0]))
    columns = ["dataset", "network", "mode", "seed", "step", "name", "value"]
    return pd.DataFrame(rows, columns=columns)


def reliability_table(datasets: tuple[str, ...] = QUICK, bins: int = 15) -> pd.DataFrame:
    """A table `reliability`; diffusion fills six bins, as five draws do."""
    rows: list[tuple[Any, ...]] = []
    for dataset in datasets:
        for number, network in enumerate(NETWORKS):
            for mode, sampler in samplers(network):
                filled = np.round(np.linspace(0, bins - 1, 6)) if mode == "diffusion" else None
                for region in ("all", "band"):
                    for k in range(bins):
                        middle = (k + 0.5) / bins
                        count = 30 + 40_000 * np.exp(-min(k, bins - 1 - k) * 2.0)
                        if filled is not None and k not in filled:
                            rows.append(
                                (dataset, network, mode, sampler, region, k, 0.0, np.nan, np.nan)
                            )
                            continue
                        bend = (0.25 - 0.05 * number) * (mode == "feed_forward") + 0.05
                        frequency = middle - bend * np.sin(2 * np.pi * middle) / 2
                        rows.append(
                            (dataset, network, mode, sampler, region, k, count, middle, frequency)
                        )
    columns = [*CELL, "region", "bin", "count", "confidence", "frequency"]
    return pd.DataFrame(rows, columns=columns)


def example_cases(datasets: tuple[str, ...] = QUICK, each: int = 2) -> list[Case]:
    """Discs with a soft edge, as a single pass and five draws see them."""
    side = 32
    y, x = np.mgrid[:side, :side]
    generator = np.random.default_rng(3)
    shown = []
    for dataset in datasets:
        for case in range(each):
            distance = np.hypot(y - 14 - 2 * case, x - 17) - 8
            image = 200 - 90 / (1 + np.exp(distance)) + 12 * generator.normal(size=(side, side))
            rgb = np.stack([image, 0.8 * image, 0.8 * image], axis=-1).clip(0, 255)
            soft = 1 / (1 + np.exp(distance - 1))
            draws = generator.random((5, side, side)) < soft
            predictions = tuple(
                Prediction(
                    "ensemdiff", mode, sampler, *(np.rint(255 * each).astype(np.uint8) for each in
                    (drawn.mean(0), drawn.std(0), drawn)), len(drawn),
                )
                for mode, sampler, drawn in (
                    ("feed_forward", "one_pass", soft[None]), ("diffusion", "ddim10", draws * 1.0)
                )
            )  # fmt: skip
            shown.append(
                Case(dataset, f"case{case:03}", rgb.astype(np.uint8), distance < 0, predictions)
            )
    return shown
