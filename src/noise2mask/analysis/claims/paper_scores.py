"""What becomes of the claims of the paper: a sentence, a verdict and the numbers for each.

The paper is *Analysing Diffusion Segmentation for Medical Images* (arXiv 2403.14440). Its claims on
scores, C1 and C2, are here; those on noise, C3 to C6, in
:mod:`noise2mask.analysis.claims.paper_noise`. The rule for an interval is that of
:mod:`noise2mask.analysis.claims.verdicts`: confirmed if it lies wholly inside the region of the
claim, refuted if wholly outside, undecided otherwise. Each docstring gives the region. A verdict is
one on this study at its scale, which the remark tells.

`groups` are by (dataset, case). Scored is the first sampler of a mode in the table; intervals are
over cases and, where a study has several, over seeds.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pandas as pd

from noise2mask.analysis.claims.verdicts import (
    STANDARD,
    Part,
    Resampling,
    Verdict,
    across,
    decided,
    mean_of_datasets,
    over_datasets,
    together,
)
from noise2mask.analysis.fingerprints.fingerprint import halves
from noise2mask.evaluation.bootstrap import Interval
from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.differences import by_case, first_sampler, gain, planned, verdict
from noise2mask.evaluation.labels import Labels, metric_of, names_in, number
from noise2mask.evaluation.resampling import CaseGroups
from noise2mask.study.plan import REFERENCE

E1, E2 = "feed_forward", "diffusion"
"""Names of the modes whose trainings are those of the paper."""


class Claim(NamedTuple):
    """One claim and what became of it: a row of the table `claims`."""

    claim: str
    statement: str
    verdict: Verdict
    numbers: str
    remark: str


class Setting(NamedTuple):
    """What a study is, for its remarks.

    Attributes:
        labels: names to be shown.
        stands_for: of datasets that replace one of the paper, which.
        resolution: side of a case in pixels.
    """

    labels: Labels
    stands_for: Mapping[str, str]
    resolution: int

    def scale(self, datasets: Iterable[str], cases: int = 0) -> str:
        """Datasets, stand-ins among them, cases and resolution in words."""
        names = sorted(set(datasets))
        replaced = sum(name in self.stands_for for name in names)
        counted = f"{cases} test cases, " if cases else ""
        plural = "s" * (len(names) != 1)
        stand_ins = f" ({replaced} standing in for the paper's)" if replaced else ""
        return f"{len(names)} dataset{plural}{stand_ins}, {counted}{self.resolution} px"


def table(claims: Iterable[Claim]) -> pd.DataFrame:
    """The table `claims`."""
    return pd.DataFrame(list(claims), columns=list(COLUMNS["claims"]))


def untested(claim: str, statement: str, reason: str) -> Claim:
    """A claim that the study has not the data for."""
    return Claim(claim, statement, "not tested", "", reason)


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


def c1_same_architecture(
    metrics: pd.DataFrame,
    comparisons: pd.DataFrame,
    groups: CaseGroups,
    setting: Setting,
    *,
    metric: str,
    resampling: Resampling = STANDARD,
) -> Claim:
    """C1: the same architecture is better if it is trained by diffusion; IoU (C1a) or ECE (C1b).

    The statistic is the mean difference over the pairs of dataset and architecture, datasets
    weighing the same. Its interval is from a bootstrap over cases and seeds, all architectures of a
    case together. Confirmed: the interval lies on the side of diffusion, and more pairs are better
    with diffusion than with feed-forward beyond chance (adjusted p of the planned comparisons).
    Refuted: both hold for feed-forward. Undecided otherwise.

    Args:
        metrics: the table of that name.
        comparisons: the table of that name.
        groups: of cases.
        setting: of the study.
        metric: iou or ece.
        resampling: of the bootstrap.
    """
    look = metric_of(metric)
    name = {"iou": "C1a", "ece": "C1b"}[metric]
    statement = (
        "Trained by diffusion instead of feed-forward, one and the same architecture is better"
        f"{', above all,' * (metric == 'ece')} in {look.title}."
    )
    family = planned(comparisons)
    words = [verdict(row) for _, row in family[family["metric"] == metric].iterrows()]
    values = gain(metrics, metric, E2, E1)
    if values.empty or not words:
        return untested(name, statement, f"no {look.title} of both {E2} and {E1} on the same cases")
    found = over_datasets(values.to_frame(), mean_of_datasets, groups, resampling)
    better, worse = (words.count(f"{mode} better") for mode in ("diffusion", "feed-forward"))
    gains = over_datasets(values.to_frame() * look.better, mean_of_datasets, groups, resampling)
    decision = decided(gains, low=0)
    if {"confirmed": better > worse, "refuted": worse > better}.get(decision) is False:
        decision = "undecided"
    direction = "higher" if look.better > 0 else "lower"
    numbers = (
        f"Diffusion better in {better} of {len(words)} pairs of dataset and architecture, worse in "
        f"{worse} (beyond chance after Holm); mean difference in {look.title} "
        f"{interval_text(found, 3, sign=True)}, {direction} is better."
    )
    used = metrics[metrics["mode"].isin([E1, E2])]
    return Claim(name, statement, decision, numbers, _scored(used, values, setting))


def c2_references(
    metrics: pd.DataFrame,
    groups: CaseGroups,
    setting: Setting,
    *,
    resampling: Resampling = STANDARD,
) -> Claim:
    """C2: the references beat all networks of the paper, trained in either way, in Dice and IoU.

    The statistic, for each reference and metric, is its score less that of the training which is
    the best on the dataset, paired by case. Region: above 0, see ``findings.across``; all must
    hold, and their intervals hold all at once (Bonferroni). The best of several trainings, chosen
    on the cases it is scored on, looks too good. That cannot confirm the claim, but might refute
    it: so a refutation must hold as well where the best is chosen on one half of the groups and
    compared on the other.

    Args:
        metrics: the table of that name.
        groups: of cases.
        setting: of the study.
        resampling: of the bootstrap.
    """
    statement = "nnU-Net and SegFormer beat all these networks in absolute terms."
    references = sorted(names_in(metrics[metrics["mode"] == REFERENCE], "network"))
    if not references:
        return untested("C2", statement, "this study has no scores of references")
    parts: list[Part] = []
    single = resampling.simultaneous(2 * len(references))
    for metric in ("dice", "iou"):
        trainings = _trainings(metrics, metric)
        scores = by_case(metrics, metric, REFERENCE, first_sampler(metrics, REFERENCE))
        for reference in references:
            own = scores.xs(reference, level="network")
            label = f"{setting.labels.network(reference)}, {metric_of(metric).title}"
            parts.append(_beats(label, own, trainings, groups, single))
    told = [
        f"{part.label} {interval_text(part.interval, 3, sign=True)} ({part.verdict})"
        for part in parts
        if part.verdict != "not tested"
    ]
    if not told:
        return untested("C2", statement, "no case was scored for a reference and for the networks")
    both = trainings.index.intersection(scores.droplevel("network").index)
    cases = both.to_frame()[["dataset", "case"]].drop_duplicates()
    remark = (
        f"{setting.scale(cases['dataset'], len(cases))}; the best of "
        f"{trainings.shape[1]} trainings is chosen on the test cases themselves, which favours it; "
        "the references have the training budget of this study, not that of their authors."
    )
    numbers = f"Reference minus the best training of each dataset: {'; '.join(told)}."
    return Claim("C2", statement, together(parts), numbers, remark)


def _scored(used: pd.DataFrame, values: "pd.Series[float]", setting: Setting) -> str:
    """The scale of scores in words."""
    seeds = used["seed"].nunique()
    drawn = []
    for mode, title in ((E1, "feed-forward"), (E2, "diffusion")):
        rows = used[(used["mode"] == mode) & (used["sampler"] == first_sampler(used, mode))]
        drawn.append(f"{title} with N = {', '.join(map(str, sorted(set(rows['draws']))))}")
    cases = values.index.to_frame()[["dataset", "case"]].drop_duplicates()
    spread = "and the interval does not tell how others would differ"
    if seeds > 1:
        spread = "the interval is over cases and seeds"
    return (
        f"{setting.scale(cases['dataset'], len(cases))}; {' and '.join(drawn)}; "
        f"seeds: {seeds}, {spread}."
    )


def _trainings(metrics: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Scores of the paper's trainings: a row a (dataset, case, seed), a column each."""
    found = [
        by_case(metrics, metric, mode, first_sampler(metrics, mode)).unstack("network")
        for mode in (E1, E2)
    ]
    return pd.concat(found, axis=1, keys=[E1, E2])


def _beats(
    label: str,
    own: "pd.Series[float]",
    trainings: pd.DataFrame,
    groups: CaseGroups,
    resampling: Resampling,
) -> Part:
    """The part of :func:`c2_references` on one reference and metric.

    Args:
        label: of the part.
        own: scores of the reference by (dataset, case, seed).
        trainings: see :func:`_trainings`.
        groups: of cases.
        resampling: of the bootstrap.
    """
    shown, halved = [], []
    for dataset, rows in own.dropna().groupby(level="dataset"):
        others = trainings.reindex(rows.index).dropna(axis=1, how="all").dropna()
        if others.empty:
            continue
        rows = rows[others.index]
        shown.append(_lead(rows, others, others))
        units = [groups.get((str(dataset), str(case)), str(case)) for _, case, _ in others.index]
        if len(set(units)) > 1:
            first = halves(units, 0)
            halved += [_lead(rows[one], others[one], others[~one]) for one in (first, ~first)]
    part = _across(label, shown, groups, resampling)
    fair = part.verdict != "refuted" or (
        _across(label, halved, groups, resampling).verdict == "refuted"
    )
    return part if fair else part._replace(verdict="undecided")


def _across(
    label: str, leads: "list[pd.Series[float]]", groups: CaseGroups, resampling: Resampling
) -> Part:
    if not leads:
        nothing = Interval(math.nan, math.nan, math.nan, 0)
        return Part(label, nothing, "not tested", "no such scores")
    values = pd.concat(leads).to_frame()
    return across(label, values, mean_of_datasets, groups, resampling, low=0)


def _lead(
    own: "pd.Series[float]", trainings: pd.DataFrame, chosen_on: pd.DataFrame
) -> "pd.Series[float]":
    """Scores less those of the training with the highest mean on other rows."""
    return own - trainings[chosen_on.mean().idxmax()]
