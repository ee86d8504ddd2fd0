"""What a claim or a prediction is found to be: the rule for verdicts, and a row of a table each.

A result is confirmed if its interval lies wholly inside the region that the claim names and the
p-value of the region's end, of the same resampling, is below 1 - level; refuted if both hold of the
outside; undecided otherwise and where there is no interval. *Cannot be decided*: so few independent
units have no p-value that small. *Not tested*: the study lacks what the claim needs, which says
nothing about the claim.

Claims of the paper are functions with the decorator :func:`claim`, predictions those with
:func:`prediction`, found by name in this folder. What is said of them stands in the decorator, as
literals: so it can be read from the source, and to add one is to write one function.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from noise2mask.evaluation.bootstrap import (
    FEW,
    CaseGroups,
    Correlation,
    Estimate,
    Floats,
    Interval,
    Resampling,
    estimate_statistic,
    rank_correlation,
)
from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.labels import number

Verdict = Literal["confirmed", "refuted", "undecided", "cannot be decided", "not tested"]
Function = TypeVar("Function", bound=Callable[..., "Outcome"])

HEADLINE_SEEDS = 3
"""Trainings from which on a verdict is about a way of training, and not about these networks."""
NOTHING = Interval(math.nan, math.nan, math.nan, 0)


class Part(NamedTuple):
    """One of the results that a verdict stands on.

    Attributes:
        label: what it is a result of.
        interval: its value.
        verdict: on its region alone.
        p: of the end of the region that decides; NaN where only an interval does.
        seeds: trainings that it is a mean over, 0 where no network is trained.
        note: what else is to be said.
    """

    label: str
    interval: Interval
    verdict: Verdict
    p: float = math.nan
    seeds: int = 0
    note: str = ""

    def __str__(self) -> str:
        mean, low, high, n = self.interval
        note = f" ({self.note})" if self.note else ""
        if math.isnan(mean):
            return f"{self.label}: {self.verdict}{note}"
        ends = "" if math.isnan(low) else f" [{low:.3g}, {high:.3g}]"
        p = "" if math.isnan(self.p) else f", p = {self.p:.2g}"
        return f"{self.label}: {mean:.3g}{ends}{p}, n = {n}, {self.verdict}{note}"


class Outcome(NamedTuple):
    """What a claim's function finds.

    Attributes:
        parts: all must hold; without one nothing was tested.
        numbers: what is to be read beside the verdict; the parts when empty.
        remark: scale and limits.
        networks: trainings that the numbers stand on, as (dataset, network, mode).
        reason: why there are no parts.
        stated: values for the places left open in the statement.
    """

    parts: Sequence[Part] = ()
    numbers: str = ""
    remark: str = ""
    networks: Sequence[tuple[str, str, str]] = ()
    reason: str = ""
    stated: dict[str, str] = {}  # noqa: RUF012 - a named tuple has no other default


class Finding(NamedTuple):
    """One claim or prediction and what became of it: a row of its table.

    `value`, `low`, `high`, `p`, `n` (independent units) and `seeds` are those of the part that
    decides.
    """

    name: str
    statement: str
    verdict: Verdict
    objective: str
    value: float
    low: float
    high: float
    p: float
    n: int
    seeds: int
    scope: str
    numbers: str
    remark: str


@dataclass(frozen=True)
class Said:
    """What is said of a claim of the paper or of a prediction; the mark of its function.

    Arguments are literals, named as here. The keyword-only arguments of a prediction's function are
    what a study says to it. Of which kind a function is, is read from the name of its mark.

    Attributes:
        name: under which it is cited.
        statement: in one sentence; places in braces are filled by its function.
        objective: the score or quantity that decides.
        needs: what the study must have, see ``evidence.NEEDS``.
        conditions: what must hold of the networks for a verdict, see ``evidence.CONDITIONS``.
        rule: when the rule was written.
    """

    name: str
    statement: str
    objective: str
    needs: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    rule: str = "before the runs"

    def __call__(self, function: Function) -> Function:
        """Mark a function."""
        function.said = self  # type: ignore[attr-defined]
        return function


claim = Said
prediction = Said


def finding_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """The table `claims` or `hypotheses`."""
    return pd.DataFrame(list(findings), columns=list(COLUMNS["claims"]))


def untested(said: Said, reason: str, statement: str = "") -> Finding:
    """A finding of a study that has not what the claim needs."""
    words, nan = statement or said.statement, math.nan
    return Finding(
        said.name, words, "not tested", said.objective, nan, nan, nan, nan, 0, 0, "", "", reason
    )


def concluded(said: Said, outcome: Outcome, reasons: Sequence[str] = ()) -> Finding:
    """The finding that an outcome comes to, the first of the parts that decide being the one shown.

    `reasons` tell why no verdict is given although there are numbers.
    """
    statement = said.statement.format_map(outcome.stated) if outcome.stated else said.statement
    verdict = together(outcome.parts)
    if not outcome.parts:
        return untested(said, outcome.reason, statement)
    told = outcome.numbers or "; ".join(map(str, outcome.parts))
    remarks = [*reasons, outcome.remark]
    if said.rule != "before the runs":
        remarks.append(f"rule chosen {said.rule}")
    remark = "; ".join(text.rstrip(".") for text in remarks if text)
    if reasons:
        verdict = "not tested"
    order = sorted(
        outcome.parts, key=lambda part: (part.verdict != verdict, part.verdict == "confirmed")
    )
    shown = order[0]
    objective = f"{said.objective}: {shown.label}" if len(outcome.parts) > 1 else said.objective
    return Finding(
        said.name, statement, verdict, objective, *shown.interval[:3], shown.p,
        shown.interval.n, shown.seeds, scope_of(shown.seeds), told, remark,
    )  # fmt: skip


def scope_of(seeds: int) -> str:
    """What a verdict is about, by the number of seeds of the trainings behind it."""
    if seeds == 0:
        return ""
    if seeds < HEADLINE_SEEDS:
        return f"these trained networks ({seeds} seed{'s' * (seeds > 1)})"
    return f"{seeds} seeds"


def decide(estimate: Estimate, *, low: float = -math.inf, high: float = math.inf) -> Verdict:
    """The verdict on "lies from `low` to `high`" by interval and p-value, see the module."""
    if not len(estimate.errors):
        return "undecided"
    significance = 1 - estimate.resampling.level
    if estimate.smallest_p >= significance:
        return "cannot be decided"
    verdict = decided(estimate.interval(), low=low, high=high)
    if verdict == "undecided":
        return verdict
    p = [estimate.p(end) for end in (low, high) if math.isfinite(end)]
    sure = max(p) < significance if verdict == "confirmed" else min(p) < significance
    return verdict if sure else "undecided"


def decided(interval: Interval, *, low: float = -math.inf, high: float = math.inf) -> Verdict:
    """The verdict on "lies from `low` to `high`" by an interval alone."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        return "undecided"
    if low <= interval.low and interval.high <= high:
        return "confirmed"
    if interval.high < low or interval.low > high:
        return "refuted"
    return "undecided"


def part_of(label: str, estimate: Estimate, *, low: float, note: str = "") -> Part:
    """The part on "at least `low`"."""
    left = f"left out: {', '.join(estimate.left_out)}, one unit each" if estimate.left_out else ""
    return Part(
        label,
        estimate.interval(),
        decide(estimate, low=low),
        estimate.p(low),
        estimate.seeds,
        "; ".join(filter(None, [note, left])),
    )


def together(parts: Sequence[Part]) -> Verdict:
    """Of a claim that holds if all parts do: one refuted part refutes it, all are to confirm it."""
    verdicts = {part.verdict for part in parts}
    if verdicts <= {"not tested"}:
        return "not tested"
    if "refuted" in verdicts:
        return "refuted"
    if verdicts == {"confirmed"}:
        return "confirmed"
    decidable = verdicts - {"confirmed", "cannot be decided"}
    return "undecided" if decidable else "cannot be decided"


def shared(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of all datasets, undecided where they differ; without any: not tested."""
    found = set(verdicts)
    if not found:
        return "not tested"
    return found.pop() if len(found) == 1 else "undecided"


def counted(verdicts: Iterable[Verdict], of: str) -> str:
    """How often each verdict was reached, e.g. ``confirmed in 2, undecided in 1 of 3 datasets``."""
    found = list(verdicts)
    words = (f"{word} in {found.count(word)}" for word in dict.fromkeys(sorted(found)))
    return f"{', '.join(words)} of {len(found)} {of}{'s' * (len(found) != 1)}"


def interval_text(interval: Interval, digits: int, *, sign: bool = False) -> str:
    """An estimate with its interval, e.g. ``+0.012 [-0.003, 0.027]``."""
    mean, low, high = (number(value, digits) for value in interval[:3])
    plus = "+" if sign and interval.mean > 0 else ""
    return f"{plus}{mean}" + ("" if "–" in (low, high) else f" [{low}, {high}]")


def interval_of(row: pd.Series, value: str) -> Interval:
    """The value of a row of a table with its interval."""
    return Interval(float(row[value]), float(row["low"]), float(row["high"]), int(row.get("n", 0)))


def apart(first: Interval, second: Interval) -> Interval:
    """First minus second, between the ends of the two: too wide rather than too narrow."""
    return Interval(
        first.mean - second.mean, first.low - second.high, first.high - second.low, first.n
    )


def over_datasets(
    values: pd.DataFrame,
    statistic: Callable[[Floats], Floats],
    groups: CaseGroups,
    resampling: Resampling,
) -> Estimate:
    """A function of the datasets' means over cases, over units crossed with seeds.

    Args:
        values: a row a case or a case and seed, index (dataset, case) or (dataset, case, seed);
            rows with a NaN are left out.
        statistic: from means (..., datasets, columns) to values (...).
        groups: the unit of each (dataset, case).
        resampling: how errors are drawn.
    """
    index = values.index
    keys = [
        (str(dataset), str(case))
        for dataset, case in zip(
            index.get_level_values("dataset"), index.get_level_values("case"), strict=True
        )
    ]
    rows = values.assign(weight=1.0).to_numpy(dtype=float)

    def of(sums: Floats) -> Floats:
        weight = np.where(sums[..., -1:] > 0, sums[..., -1:], np.nan)
        return statistic(sums[..., :-1] / weight)

    return estimate_statistic(
        rows,
        of,
        units=[groups.get(key, key[1]) for key in keys],
        seeds=list(index.get_level_values("seed")) if "seed" in index.names else None,
        strata=[key[0] for key in keys],
        resampling=resampling,
    )


def mean_of_datasets(means: Floats) -> Floats:
    """Mean over datasets of the first column, each dataset with the same weight."""
    mean: Floats = means[..., 0].mean(axis=-1)
    return mean


def across(
    label: str,
    values: pd.DataFrame,
    groups: CaseGroups,
    resampling: Resampling,
    *,
    low: float,
    statistic: Callable[[Floats], Floats] = mean_of_datasets,
) -> Part:
    """The verdict on "at least `low`" over all datasets; its note tells each of them.

    It is that on the mean over datasets, but undecided if a single dataset says the opposite;
    intervals of single datasets hold all at once (Bonferroni). Without a case: not tested.
    Arguments are those of :func:`over_datasets`.
    """
    values = values.dropna()
    if values.empty:
        return Part(label, NOTHING, "not tested", note="no such scores")
    whole = over_datasets(values, statistic, groups, resampling)
    names = sorted({str(name) for name in values.index.get_level_values("dataset")})
    if len(names) == 1:
        return part_of(label, whole, low=low, note=f"only {names[0]}")
    single = resampling.simultaneous(len(names))
    each = []
    for name in names:
        rows = values[values.index.get_level_values("dataset") == name]
        each.append(part_of(name, over_datasets(rows, statistic, groups, single), low=low))
    found = part_of(label, whole, low=low, note="; ".join(map(str, each)))
    opposite = {"confirmed": "refuted", "refuted": "confirmed"}.get(found.verdict)
    if opposite in {part.verdict for part in each}:
        return found._replace(verdict="undecided")
    return found


def correlated(
    label: str,
    first: "pd.Series[float]",
    second: "pd.Series[float]",
    resampling: Resampling,
    *,
    low: float,
    seeds: int = 0,
) -> Part:
    """The verdict on "Spearman's rank correlation over datasets is at least `low`".

    A bootstrap of few datasets is narrow, so a confirmation, and an interval below 0, also need a
    permutation test with p < 1 - level; below ``bootstrap.FEW`` datasets nothing can be decided.
    Fewer than three, or values that are all the same: not tested. The columns have one value a
    dataset; only datasets with both count. `seeds` are the trainings behind the values.
    """
    both = pd.concat([first, second], axis=1, join="inner").dropna().sort_index()
    x, y = both.to_numpy(dtype=float).T
    found: Correlation = rank_correlation(x, y, resampling=resampling)
    interval = Interval(found.rank_correlation, found.low, found.high, found.n)
    if math.isnan(found.rank_correlation):
        reason = "no differences between datasets"
        if len(both) < 3:
            reason = f"three datasets needed, got {len(both)}"
        return Part(label, interval, "not tested", seeds=seeds, note=reason)
    if len(both) < FEW:
        note = f"fewer than {FEW} datasets decide nothing"
        return Part(label, interval, "cannot be decided", found.p, seeds, note)
    verdict = decided(interval, low=low)
    if (verdict == "confirmed" or interval.high < 0) and not found.p < 1 - resampling.level:
        verdict = "undecided"
    return Part(label, interval, verdict, found.p, seeds)
