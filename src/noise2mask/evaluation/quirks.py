"""What published codes do to their own numbers: each quirk beside what is proper, case by case."""

from collections.abc import Collection, Iterator, Mapping

import pandas as pd

from noise2mask.evaluation.bootstrap import paired_difference
from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.labels import trained
from noise2mask.evaluation.resampling import CaseGroups, units
from noise2mask.study.schema import Quirk

_CELL = ["dataset", "network", "mode", "sampler", "metric"]
_ROW = [*_CELL, "seed", "case"]


def quirk_table(
    metrics: pd.DataFrame,
    quirks: Mapping[str, Quirk],
    groups: CaseGroups,
    *,
    against: pd.DataFrame,
    names: Collection[str],
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Published minus proper for each quirk, paired by case and by seed of the training.

    A quirk in readings is measured on the datasets that have none themselves, one in datasets with
    the samplers and readings that have none, so that each is switched on alone. Rows are named
    after what is proper. Means are over the cases for which both have a value, each the mean of its
    seeds; intervals are over groups of cases and seeds, p-values are not adjusted.

    Args:
        metrics: the table of that name.
        quirks: of the study, by name.
        groups: of each (dataset, case); a case without an entry is its own group.
        against: the predictions on a dataset with a quirk that changes reference masks, scored
            against the masks of the proper dataset; columns of `metrics`, those that are needed.
        names: metrics wanted.
        resamples: of the bootstrap.
        level: coverage of the intervals.
        seed: of the bootstrap.

    Returns:
        Columns of ``contents.COLUMNS``. Where a quirk changes the reference masks `published` is
        the score against these, and `against_proper` that of the same predictions against proper
        masks; elsewhere it is NaN.
    """
    chosen = trained(metrics)
    chosen = chosen[chosen["metric"].isin(list(names))]
    rows = []
    for name, quirk in quirks.items():
        for proper, published, again in _sides(chosen, against, quirk, quirks):
            sides = {"proper": proper, "published": published, "against_proper": again}
            values = pd.concat(
                {side: table.set_index(_ROW)["value"] for side, table in sides.items()}, axis=1
            )
            both = values.dropna(subset=["proper", "published"]).reset_index()
            for key, cell in both.groupby(_CELL, sort=False):
                where = [str(part) for part in key]
                found = paired_difference(
                    cell["published"],
                    cell["proper"],
                    groups=units(groups, where[0], list(cell["case"])),
                    cases=list(cell["case"]),
                    seeds=list(cell["seed"]),
                    resamples=resamples,
                    level=level,
                    seed=seed,
                )
                means = cell.groupby("case")[list(sides)].mean().mean()
                rows.append(
                    (name, quirk.title, *where, means["proper"], means["published"], *found,
                     means["against_proper"])
                )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS["quirks"]))


def _sides(
    metrics: pd.DataFrame, against: pd.DataFrame, quirk: Quirk, quirks: Mapping[str, Quirk]
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]]:
    """What is proper, what has the quirk, and the latter against proper masks, named alike."""
    readings = {other for each in quirks.values() for other in each.readings.values()}
    datasets = {other for each in quirks.values() for other in each.datasets.values()}
    for column, pairs, plain in (
        ("sampler", quirk.readings, ~metrics["dataset"].isin(datasets)),
        ("dataset", quirk.datasets, ~metrics["sampler"].isin(readings)),
    ):
        shown = metrics[plain]
        for proper, other in pairs.items():
            again = against[against[column] == other] if column == "dataset" else against[:0]
            yield (
                shown[shown[column] == proper],
                shown[shown[column] == other].assign(**{column: proper}),
                again.assign(**{column: proper}),
            )
