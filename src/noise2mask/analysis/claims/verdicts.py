"""What a hypothesis is found to be: intervals, the rule for verdicts, one line of a table each.

A result is confirmed if its interval lies wholly inside the region that the claim names, refuted if
wholly outside, undecided otherwise and where there is no interval.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from noise2mask.evaluation import bootstrap as ranks
from noise2mask.evaluation.bootstrap import STANDARD as STANDARD
from noise2mask.evaluation.bootstrap import CaseGroups, Floats, Interval, Resampling

Verdict = Literal["confirmed", "refuted", "undecided", "not tested"]


class Resampling(NamedTuple):
    """Number of bootstrap samples, coverage of the intervals, seed."""

    resamples: int = 2000
    level: float = 0.95
    seed: int = 0

    def simultaneous(self, number: int) -> "Resampling":
        """For `number` intervals that hold all at once, after Bonferroni."""
        return self._replace(level=1 - (1 - self.level) / max(1, number))


STANDARD = Resampling()


class Finding(NamedTuple):
    """One hypothesis and what became of it: a row of the table `hypotheses`.

    `value`, `low`, `high` and `n` are those of the part that decides, which `statistic` names;
    `detail` tells every part.
    """

    name: str
    claim: str
    statistic: str
    value: float
    low: float
    high: float
    n: int
    verdict: Verdict
    detail: str


class Part(NamedTuple):
    """One of the results that a finding stands on."""

    label: str
    interval: Interval
    verdict: Verdict
    note: str = ""

    def __str__(self) -> str:
        mean, low, high, n = self.interval
        note = f" ({self.note})" if self.note else ""
        if math.isnan(mean):
            return f"{self.label}: {self.verdict}{note}"
        ends = "" if math.isnan(low) else f" [{low:.3g}, {high:.3g}]"
        return f"{self.label}: {mean:.3g}{ends}, n = {n}, {self.verdict}{note}"


def table(findings: Iterable[Finding]) -> pd.DataFrame:
    """The table `hypotheses`."""
    return pd.DataFrame(list(findings), columns=list(Finding._fields))


def decided(interval: Interval, *, low: float = -math.inf, high: float = math.inf) -> Verdict:
    """The verdict on "lies from `low` to `high`", see the module."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        return "undecided"
    if low <= interval.low and interval.high <= high:
        return "confirmed"
    if interval.high < low or interval.low > high:
        return "refuted"
    return "undecided"


def together(parts: Sequence[Part]) -> Verdict:
    """Of a claim that holds if all parts do: one refuted part refutes it, all are to confirm it."""
    verdicts = {part.verdict for part in parts}
    if verdicts <= {"not tested"}:
        return "not tested"
    if "refuted" in verdicts:
        return "refuted"
    return "confirmed" if verdicts == {"confirmed"} else "undecided"


def finding(
    name: str, claim: str, statistic: str, parts: Sequence[Part], *notes: str, told: str = ""
) -> Finding:
    """A finding from its parts, the first of those that decide being the one shown.

    Args:
        name: of the hypothesis.
        claim: in words.
        statistic: what the interval of a part is.
        parts: all must hold; without one nothing was tested.
        notes: sentences for the detail.
        told: detail before that of the parts.
    """
    verdict = together(parts)
    if verdict == "not tested":
        reasons = [*map(str, parts), *notes]
        return untested(name, claim, statistic, "; ".join(reasons))
    order = sorted(parts, key=lambda part: (part.verdict != verdict, part.verdict == "confirmed"))
    shown = order[0]
    detail = "; ".join(filter(None, [told, *map(str, parts), *notes]))
    mean, low, high, n = shown.interval
    return Finding(name, claim, f"{statistic}, {shown.label}", mean, low, high, n, verdict, detail)


def untested(name: str, claim: str, statistic: str, reason: str) -> Finding:
    """A finding of a study that has not the data."""
    return Finding(name, claim, statistic, np.nan, np.nan, np.nan, 0, "not tested", reason)


def over_datasets(
    values: pd.DataFrame,
    statistic: Callable[[Floats], Floats],
    groups: CaseGroups,
    resampling: Resampling,
) -> Interval:
    """A function of the datasets' means over cases, with a bootstrap interval over cases and seeds.

    The cases of all datasets are drawn together; a resample that holds none of one is left out.
    With seeds a case is the mean of its own, and they are drawn too
    (:mod:`noise2mask.evaluation.bootstrap`).

    Args:
        values: a row a case or a case and seed, index (dataset, case) or (dataset, case, seed);
            rows with a NaN are left out.
        statistic: from means (resamples, datasets, columns) to values (resamples,).
        groups: by (dataset, case), drawn as a whole.
        resampling: of the bootstrap.
    """
    datasets, names = (values.index.get_level_values(level) for level in ("dataset", "case"))
    keys = [(str(dataset), str(case)) for dataset, case in zip(datasets, names, strict=True)]
    _, index = np.unique([dataset for dataset, _ in keys], return_inverse=True)
    columns = values.shape[1]
    cases = np.zeros((len(keys), int(index.max(initial=-1)) + 1, columns + 1))
    cases[np.arange(len(keys)), index, :columns] = values.to_numpy(dtype=np.float64)
    cases[np.arange(len(keys)), index, columns] = 1

    def of(sums: Floats) -> Floats:
        counts = sums[..., columns:]
        means = np.divide(
            sums[..., :columns],
            counts,
            out=np.full(sums[..., :columns].shape, np.nan),
            where=counts > 0,
        )
        return statistic(means)

    drawn = [f"{key[0]}\x1f{groups.get(key, key[1])}" for key in keys]
    crossed: dict[str, Any] = {}
    if "seed" in values.index.names:
        trained = list(values.index.get_level_values("seed"))
        crossed = {"cases": ["\x1f".join(key) for key in keys], "seeds": trained}
    return bootstrap_statistic(cases, of, groups=drawn, **crossed, **resampling._asdict())


def mean_of_datasets(means: Floats) -> Floats:
    """Mean over datasets of the first column, each dataset with the same weight."""
    return np.asarray(means[..., 0].mean(axis=1))


def across(
    label: str,
    values: pd.DataFrame,
    statistic: Callable[[Floats], Floats],
    groups: CaseGroups,
    resampling: Resampling,
    *,
    low: float,
) -> Part:
    """The verdict on "at least `low`" over all datasets; its note tells each of them.

    It is that on the mean over datasets, but undecided if a single dataset says the opposite;
    intervals of single datasets hold all at once (Bonferroni). Without a case: not tested.

    Args:
        label: of the part.
        values: as in :func:`over_datasets`, as are `statistic`, `groups` and `resampling`.
        statistic: of means.
        groups: of cases.
        resampling: of the bootstrap.
        low: end of the region.
    """
    values = values.dropna()
    if values.empty:
        return Part(label, Interval(np.nan, np.nan, np.nan, 0), "not tested", "no such scores")
    whole = over_datasets(values, statistic, groups, resampling)
    verdict = decided(whole, low=low)
    names = sorted(set(values.index.get_level_values("dataset")))
    if len(names) == 1:
        return Part(label, whole, verdict, f"only {names[0]}")
    single = resampling.simultaneous(len(names))
    each = []
    for name in names:
        rows = values[values.index.get_level_values("dataset") == name]
        interval = over_datasets(rows, statistic, groups, single)
        each.append(Part(name, interval, decided(interval, low=low)))
    opposite = {"confirmed": "refuted", "refuted": "confirmed"}.get(verdict)
    if opposite in {part.verdict for part in each}:
        verdict = "undecided"
    return Part(label, whole, verdict, "; ".join(map(str, each)))


def rank_correlation(
    label: str,
    first: "pd.Series[float]",
    second: "pd.Series[float]",
    resampling: Resampling,
    *,
    low: float,
) -> Part:
    """The verdict on "Spearman's rank correlation over datasets is at least `low`".

    Interval and test are those of :func:`noise2mask.evaluation.ranks.rank_correlation`. A bootstrap
    of few datasets is narrow, so a confirmation, and an interval below 0, also need a permutation
    test with p < 1 - level; below ``ranks.FEW`` datasets it is undecided by construction. Fewer
    than three, or values that are all the same: not tested.

    Args:
        label: of the part.
        first: one value a dataset; only datasets with both values count.
        second: the same.
        resampling: of the bootstrap.
        low: end of the region, at least 0.
    """
    both = pd.concat([first, second], axis=1, join="inner").dropna().sort_index()
    x, y = both.to_numpy(dtype=np.float64).T
    found = ranks.rank_correlation(x, y, **resampling._asdict())
    interval = Interval(found.rank_correlation, found.low, found.high, found.n)
    if np.isnan(found.rank_correlation):
        reason = "no differences between datasets"
        if len(both) < 3:
            reason = f"three datasets needed, got {len(both)}"
        return Part(label, interval, "not tested", reason)
    if len(both) < ranks.FEW:
        return Part(label, interval, "undecided", f"fewer than {ranks.FEW} datasets decide nothing")
    verdict = decided(interval, low=low)
    if (verdict == "confirmed" or interval.high < 0) and not found.p < 1 - resampling.level:
        verdict = "undecided"
    return Part(label, interval, verdict, f"permutation p = {found.p:.2g}")
