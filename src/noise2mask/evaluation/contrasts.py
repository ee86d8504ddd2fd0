"""Tables of quality over samplers and modes, from the table `metrics` of a study.

Means are over cases, each the mean of its seeds, intervals over groups of cases and seeds. Groups
(patient, slide) are given by (dataset, case); a case without an entry is its own group. Columns are
those of ``contents.COLUMNS``.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from noise2mask.evaluation.bootstrap import Floats, bootstrap_mean, holm, paired_difference
from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.differences import paired, step_count
from noise2mask.evaluation.labels import trained
from noise2mask.evaluation.resampling import CaseGroups, units


def sweep_table(
    metrics: pd.DataFrame,
    groups: CaseGroups,
    *,
    names: Collection[str],
    starts: Mapping[str, int] | None = None,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean over cases for every sampler of every mode.

    Args:
        metrics: the table of that name; what does not look at the image is left out.
        groups: see the module.
        names: metrics wanted.
        starts: of samplers that denoise from a timestep below the last, that timestep.
        resamples: of the bootstrap.
        level: coverage of the intervals.
        seed: of the bootstrap.

    Raises:
        ValueError: steps that are no number.
    """
    table = trained(metrics)
    table = table[table["metric"].isin(list(names))]
    keys = ["dataset", "network", "mode", "sampler", "steps", "draws", "metric"]
    rows = []
    for key, cell in table.groupby(keys, sort=False):
        dataset, network, mode, sampler, steps, draws, metric = key
        interval = bootstrap_mean(
            cell["value"],
            groups=units(groups, str(dataset), list(cell["case"])),
            cases=list(cell["case"]),
            seeds=list(cell["seed"]),
            resamples=resamples,
            level=level,
            seed=seed,
        )
        start = (starts or {}).get(str(sampler), np.nan)
        where = (dataset, network, mode, sampler, step_count(str(steps)), start, draws, metric)
        rows.append((*where, *interval))
    return pd.DataFrame(rows, columns=list(COLUMNS["sweeps"]))


def contrast_table(
    metrics: pd.DataFrame,
    contrasts: Sequence[tuple[str, str]],
    groups: CaseGroups,
    *,
    names: Collection[str],
    planned: Collection[str],
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Planned comparisons of two modes, first minus second, paired by case.

    Modes are compared under every sampler that both have. If they share none, the first of each is
    taken, and `sampler` names both. Means and difference are over the cases for which both have a
    value, of the same seed where the modes have the same seeds. P-values are corrected after Holm
    over all rows with a metric of `planned`, one family; those of other metrics have none.

    Args:
        metrics: the table of that name.
        contrasts: pairs of modes.
        groups: see the module.
        names: metrics wanted.
        planned: metrics of the family that is corrected.
        resamples: of the bootstrap.
        level: coverage of the intervals.
        seed: of the bootstrap.
    """
    table = trained(metrics)
    table = table[table["metric"].isin(list(names))]
    rows = []
    for first, second in contrasts:
        for key, one, other in _sides(table, first, second):
            both = paired(one, other)
            cases, seeds = (list(both.index.get_level_values(each)) for each in ("case", "seed"))
            means = both.groupby("case").mean().mean()
            found = paired_difference(
                both["one"],
                both["other"],
                groups=units(groups, key[0], cases),
                cases=cases,
                seeds=seeds,
                resamples=resamples,
                level=level,
                seed=seed,
            )
            dataset, network, sampler, metric = key
            rows.append(
                (dataset, network, first, second, sampler, metric,
                 means["one"], means["other"], *found[:4], np.nan, found.n)
            )  # fmt: skip
    result = pd.DataFrame(rows, columns=list(COLUMNS["contrasts"]))
    return result.assign(p_holm=_adjusted(result, planned))


def _adjusted(table: pd.DataFrame, planned: Collection[str]) -> Floats:
    chosen = table["metric"].isin(list(planned)).to_numpy(dtype=bool)
    adjusted = np.full(len(table), np.nan)
    adjusted[chosen] = holm(table["p"].to_numpy(dtype=np.float64)[chosen])
    return adjusted


def _sides(
    values: pd.DataFrame, first: str, second: str
) -> "Iterator[tuple[tuple[str, str, str, str], pd.Series[float], pd.Series[float]]]":
    """(dataset, network, sampler, metric) and the values of both modes by case and seed."""
    chosen = values[values["mode"].isin([first, second])]
    for (dataset, network), cell in chosen.groupby(["dataset", "network"], sort=False):
        parts = {mode: cell[cell["mode"] == mode] for mode in (first, second)}
        names = {mode: list(dict.fromkeys(part["sampler"])) for mode, part in parts.items()}
        if not all(names.values()):
            continue
        shared = [(name, name) for name in names[first] if name in names[second]]
        for one, other in shared or [(names[first][0], names[second][0])]:
            label = one if one == other else f"{one} / {other}"
            for metric in dict.fromkeys(cell["metric"]):
                columns = [
                    part[(part["sampler"] == sampler) & (part["metric"] == metric)]
                    .set_index(["case", "seed"])["value"]
                    for part, sampler in zip(parts.values(), (one, other), strict=True)
                ]  # fmt: skip
                if all(len(column) for column in columns):
                    yield (str(dataset), str(network), label, str(metric)), columns[0], columns[1]
