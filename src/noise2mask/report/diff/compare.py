"""Two reports against each other: which results differ beyond chance, and what may be why.

A result is a (dataset, network, mode, sampler) that both reports have; scores are paired by case
and, where both have the same seeds, by the seed of the training. Interval and test are those of
every paired difference (:mod:`noise2mask.evaluation.differences`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from noise2mask.errors import UserError, unknown
from noise2mask.evaluation.bootstrap import (
    CaseGroups,
    Estimate,
    Resampling,
    decidable,
    holm,
    units_of,
)
from noise2mask.evaluation.differences import (
    FIRST,
    SECOND,
    SIGNIFICANCE,
    difference_of,
    paired,
    verdict_of,
)
from noise2mask.evaluation.labels import HEADLINE, metric_of, names_in, trained
from noise2mask.report.diff.changes import Change, Score, changes_between, untouching
from noise2mask.report.diff.revisions import Report
from noise2mask.report.provenance import Record
from noise2mask.study.schema import Evaluation

IDENTICAL, WITHIN, UNDECIDED, UNPAIRED = "identical", "within chance", "undecided", "not paired"
BETTER, WORSE, HIGHER, LOWER = "better", "worse", "higher", "lower"

_WORDS = {
    FIRST: BETTER, SECOND: WORSE,
    FIRST.replace("better", "higher"): HIGHER, SECOND.replace("better", "higher"): LOWER,
}  # fmt: skip
"""What a verdict on second minus first says of the second report."""

_KEY = ["dataset", "network", "mode", "sampler", "metric"]


class Result(NamedTuple):
    """What a report has one row of scores of."""

    dataset: str
    network: str
    mode: str
    sampler: str


@dataclass(frozen=True)
class Compared:
    """One metric of one result in both reports.

    Args:
        score: which.
        before: mean over the paired cases in the first report.
        after: the same in the second.
        difference: mean of second minus first; None where no case is paired.
        paired: number of test cases that both have.
        cases: number of different test cases in both reports.
        p_holm: the p-value, adjusted over all comparisons that are not identical.
        verdict: one of the words of this module.
    """

    score: Score
    before: float
    after: float
    difference: Estimate | None
    paired: int
    cases: int
    p_holm: float
    verdict: str


class CaseSets(NamedTuple):
    """The test cases of one dataset in both reports; digests are empty where they are not known."""

    dataset: str
    digests: tuple[str, str]
    paired: int
    only_a: int
    only_b: int


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything that `noise2mask diff` tells.

    Args:
        a: the first report.
        b: the second.
        metrics: that were compared.
        compared: every metric of every result that both have.
        only_a: results that the first report alone has.
        only_b: results that the second alone has.
        other_cases: datasets whose test cases are not the same.
        changes: what differs and touches a compared score.
        untouching: settings that differ and touch none.
        resamples: of the bootstrap.
        level: of the intervals.
    """

    a: Report
    b: Report
    metrics: tuple[str, ...]
    compared: tuple[Compared, ...]
    only_a: tuple[Result, ...]
    only_b: tuple[Result, ...]
    other_cases: tuple[CaseSets, ...]
    changes: tuple[Change, ...]
    untouching: tuple[str, ...]
    resamples: int
    level: float

    @property
    def differing(self) -> list[Compared]:
        """Comparisons that are not identical."""
        return [one for one in self.compared if one.verdict != IDENTICAL]

    @property
    def worse(self) -> bool:
        """Whether a result is worse beyond chance."""
        return any(one.verdict == WORSE for one in self.compared)


def compare(a: Report, b: Report, metrics: Sequence[str] | None = None) -> Comparison:
    """Compare two reports.

    A difference is better or worse if its interval excludes 0 and its p-value, of the same
    resampling and adjusted by Holm over all comparisons that are not identical, is below 0.05;
    undecided if only the interval excludes 0. Interval settings are those of the second report's
    study; groups of cases stay together where a report says them.

    Args:
        a: the first report, what was.
        b: the second report, what is.
        metrics: names of metrics, ``("all",)`` for all; the main ones without it.

    Raises:
        UserError: a metric is in neither or only one of the reports, or they share no result.
    """
    chosen = _chosen_metrics(a, b, metrics)
    tables = _scores(a, chosen), _scores(b, chosen)
    found = [score for score in tables[1] if score in tables[0]]
    if not found:
        raise UserError(
            f"{a.title} and {b.title} share no result: no dataset, network, mode and sampler is in "
            "both with the same names."
        )
    evaluation = _evaluation(b.record or a.record)
    groups = _groups(a.record) | _groups(b.record)
    resampling = Resampling(evaluation.resamples, evaluation.level)
    raw = [
        _compared(score, tables[0][score], tables[1][score], groups, resampling) for score in found
    ]
    compared = tuple(_judged(raw))
    records = (a.record, b.record) if a.record and b.record else None
    changes = changes_between(*records, found) if records else []
    results = [list(dict.fromkeys(Result(*score[:4]) for score in table)) for table in tables]
    return Comparison(
        a=a,
        b=b,
        metrics=chosen,
        compared=compared,
        only_a=tuple(result for result in results[0] if result not in results[1]),
        only_b=tuple(result for result in results[1] if result not in results[0]),
        other_cases=tuple(_other_cases(a, b, found)),
        changes=tuple(changes),
        untouching=tuple(untouching(*records, changes)) if records else (),
        resamples=evaluation.resamples,
        level=evaluation.level,
    )


def _chosen_metrics(a: Report, b: Report, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Metrics to compare, in the order asked for."""
    known = [names_in(trained(report.metrics), "metric") for report in (a, b)]
    both = [name for name in known[1] if name in known[0]]
    if wanted is None:
        return tuple(name for name in HEADLINE if name in both) or tuple(both)
    if list(wanted) == ["all"]:
        return tuple(both)
    for name in wanted:
        if name not in [*known[0], *known[1]]:
            raise UserError(f"--metric: {unknown(name, 'metric', [*both, 'all'])}.")
        if name not in both:
            has, lacks = (a, b) if name in known[0] else (b, a)
            raise UserError(
                f"--metric {name}: {has.title} has it, {lacks.title} does not; both have "
                f"{', '.join(both) or 'none'}."
            )
    return tuple(dict.fromkeys(wanted))


def _scores(report: Report, metrics: Sequence[str]) -> dict[Score, pd.Series]:
    """Values of each score by (seed, case), those of image-blind predictions left out."""
    table = trained(report.metrics)
    table = table[table["metric"].isin(metrics)].sort_values(["seed", "case"], kind="stable")
    table = table.set_index(["seed", "case"])
    found = {Score(*map(str, key)): cell["value"] for key, cell in table.groupby(_KEY, sort=False)}
    results = report.metrics[_KEY[:4]].drop_duplicates().itertuples(index=False, name=None)
    place = {result: number for number, result in enumerate(results)}
    order = sorted(found, key=lambda score: (place[score[:4]], metrics.index(score.metric)))
    return {score: found[score] for score in order}


def _compared(
    score: Score,
    before: "pd.Series[float]",
    after: "pd.Series[float]",
    groups: CaseGroups,
    resampling: Resampling,
) -> Compared:
    """One comparison, its p-value not yet adjusted and its verdict not yet found."""
    cases = len({*_cases(before), *_cases(after)})
    if before.equals(after):  # where NaN in the same place is equal
        mean = float(before.groupby("case").mean().mean())
        return Compared(score, mean, mean, None, len({*_cases(before)}), cases, np.nan, IDENTICAL)
    both = paired(after, before)
    names = _cases(both)
    if both.empty:
        return Compared(score, np.nan, np.nan, None, 0, cases, np.nan, UNPAIRED)
    units = units_of(groups, score.dataset, names)
    found = difference_of(both, units, resampling)
    return Compared(
        score, found.second, found.first, found.estimate, len({*names}), cases, np.nan, UNDECIDED
    )


def _cases(table: "pd.DataFrame | pd.Series[float]") -> list[str]:
    return [str(case) for case in table.index.get_level_values("case")]


def _judged(compared: Sequence[Compared]) -> Iterator[Compared]:
    """Comparisons with p-values adjusted over those that are not identical, and verdicts."""
    estimates = [one.difference for one in compared]
    p = np.array([np.nan if each is None else each.p() for each in estimates])
    least = np.array([np.nan if each is None else each.smallest_p for each in estimates])
    able = decidable(p, least, SIGNIFICANCE)
    for one, adjusted, could in zip(compared, holm(p), able, strict=True):
        if one.difference is None:
            yield one
            continue
        interval, better = one.difference.interval(), metric_of(one.score.metric).better
        word = verdict_of(interval, float(adjusted), bool(could), better)
        if interval.low <= 0 <= interval.high:
            word = WITHIN
        yield replace(one, p_holm=float(adjusted), verdict=_WORDS.get(word, word))


def _other_cases(a: Report, b: Report, scores: Sequence[Score]) -> Iterator[CaseSets]:
    """Datasets of compared results whose test cases differ between the reports."""
    for dataset in dict.fromkeys(score.dataset for score in scores):
        first, second = (
            set(report.metrics.loc[report.metrics["dataset"] == dataset, "case"])
            for report in (a, b)
        )
        digests = (_test_digest(a.record, dataset), _test_digest(b.record, dataset))
        known = all(digests)
        if first != second or (known and digests[0] != digests[1]):
            counts = len(first & second), len(first - second), len(second - first)
            yield CaseSets(dataset, digests if known else ("", ""), *counts)


def _test_digest(record: Record | None, dataset: str) -> str:
    data = record.datasets.get(dataset) if record else None
    return data.digests.get("test", "") if data else ""


def _groups(record: Record | None) -> dict[tuple[str, str], str]:
    """Group of each (dataset, case) that is not its own group."""
    datasets = record.datasets if record else {}
    return {
        (name, case): group
        for name, data in datasets.items()
        for case, group in data.groups.items()
    }


def _evaluation(record: Record | None) -> Evaluation:
    """How intervals are made: what the study says, or the defaults."""
    said = record.settings.get("evaluation", {}) if record else {}
    chosen = {key: said[key] for key in ("resamples", "level") if key in said}
    return Evaluation(**chosen)
