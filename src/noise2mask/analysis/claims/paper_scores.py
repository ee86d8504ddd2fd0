"""The claims of the paper on scores, C1 and C2.

The paper is *Analysing Diffusion Segmentation for Medical Images* (arXiv 2403.14440). Rules and
terms are those of :mod:`noise2mask.analysis.claims.verdicts`; each docstring gives the region. A
verdict is one on this study at its scale, which the remark tells. Scored is the first sampler of a
mode.

C1 compares the same architecture trained in two ways. Published, these differ in the loss too, so
it is told twice: with the loss that each has of its own, and with one loss for both.
"""

import pandas as pd

from noise2mask.analysis.claims.evidence import Evidence, networks_of
from noise2mask.analysis.claims.verdicts import (
    NOTHING,
    Outcome,
    Part,
    across,
    claim,
    interval_text,
)
from noise2mask.analysis.fingerprints.fingerprint import halves
from noise2mask.evaluation.bootstrap import Resampling
from noise2mask.evaluation.differences import (
    FIRST,
    SECOND,
    Pair,
    by_case,
    first_sampler,
    gain,
)
from noise2mask.evaluation.labels import metric_of, names_in
from noise2mask.study.plan import REFERENCE

PROPER = ("brier", "nll")
"""Proper scores of P(foreground), on which calibration is decided."""


@claim(
    name="C1a",
    statement="Trained by diffusion instead of feed-forward, each with its own loss, one and the "
    "same architecture is better in IoU.",
    objective="IoU",
    needs=("own loss",),
)
def c1a(evidence: Evidence) -> Outcome:
    """C1 in overlap, as published. Region: a mean difference in IoU above 0.

    The difference is that of cases and seeds, architectures of a case averaged, datasets weighing
    the same. A verdict for a way of training that saw more images is none.
    """
    return _overlap(evidence, "own")


@claim(
    name="C1a-matched",
    statement="Trained by diffusion instead of feed-forward, both with the same loss, one and the "
    "same architecture is better in IoU.",
    objective="IoU",
    needs=("matched loss",),
    rule="after the losses were found to decide",
)
def c1a_matched(evidence: Evidence) -> Outcome:
    """C1 in overlap with one loss for both. Region and rule: those of :func:`c1a`."""
    return _overlap(evidence, "matched")


@claim(
    name="C1b",
    statement="Trained by diffusion instead of feed-forward, each with its own loss, one and the "
    "same architecture gives better calibrated probabilities.",
    objective="Brier score and NLL",
    needs=("own loss",),
    rule="after ECE per case and pooled were found to have opposite signs",
)
def c1b(evidence: Evidence) -> Outcome:
    """C1 in calibration, as published.

    Decided on the proper scores that the study has, Brier and NLL; each must be better, their
    intervals hold at once (Bonferroni). ECE per case and pooled over pixels stand beside it with
    intervals: they are no proper scores, and their signs may differ.
    """
    return _calibration(evidence, "own")


@claim(
    name="C1b-matched",
    statement="Trained by diffusion instead of feed-forward, both with the same loss, one and the "
    "same architecture gives better calibrated probabilities.",
    objective="Brier score and NLL",
    needs=("matched loss",),
    rule="after the losses were found to decide",
)
def c1b_matched(evidence: Evidence) -> Outcome:
    """C1 in calibration with one loss for both. Region and rule: those of :func:`c1b`."""
    return _calibration(evidence, "matched")


@claim(
    name="C2",
    statement="nnU-Net and SegFormer beat all these networks in absolute terms.",
    objective="Dice and IoU",
    needs=("baselines",),
    conditions=("own budget",),
)
def c2(evidence: Evidence) -> Outcome:
    """C2: the baselines beat all networks of the paper, trained in either way, in Dice and IoU.

    The statistic, for each baseline and metric, is its score less that of the training which is the
    best on the dataset, paired by case. Region: above 0, see ``verdicts.across``; all must hold,
    and their intervals hold all at once (Bonferroni). The best of several trainings, chosen on the
    cases it is scored on, looks too good. That cannot confirm the claim, but might refute it: so a
    refutation must hold as well where the best is chosen on one half of the units and compared on
    the other.
    """
    metrics = evidence.metrics
    scored = metrics[metrics["mode"] == REFERENCE]
    baselines = sorted(names_in(scored, "network"))
    modes = [mode for pair in evidence.pairs("own") for mode in pair[:2]]
    if not baselines or not modes:
        return Outcome(reason="this study has no scores of baselines beside those of the networks")
    parts, single = [], evidence.resampling.simultaneous(2 * len(baselines))
    keys: set[tuple[str, str]] = set()
    count = 0
    for metric in ("dice", "iou"):
        trainings = pd.concat(
            [
                by_case(metrics, metric, mode, first_sampler(metrics, mode)).unstack("network")
                for mode in modes
            ],
            axis=1,
            keys=modes,
        )
        count = trainings.shape[1]
        scores = by_case(metrics, metric, REFERENCE, first_sampler(metrics, REFERENCE))
        for baseline in baselines:
            own = scores.xs(baseline, level="network")
            label = f"{evidence.labels.network(baseline)}, {metric_of(metric).title}"
            part, used = _beats(label, own, trainings, evidence, single)
            parts.append(part)
            keys |= used
    if not keys:
        return Outcome(reason="no case was scored for a baseline and for the networks")
    told = [
        f"{part.label} {interval_text(part.interval, 3, sign=True)} ({part.verdict})"
        for part in parts
        if part.verdict != "not tested"
    ]
    remark = (
        f"{evidence.scale((key[0] for key in keys), evidence.units(keys))}; the best of {count} "
        "trainings is chosen on the test cases themselves, which favours it"
    )
    return Outcome(
        [part for part in parts if part.verdict != "not tested"],
        f"Baseline minus the best training of each dataset: {'; '.join(told)}.",
        remark,
        networks_of(scored),
    )


def _overlap(evidence: Evidence, loss: str) -> Outcome:
    pairs = evidence.pairs(loss)
    part = _gain(evidence, pairs, "iou", evidence.resampling)
    if part.verdict == "not tested":
        return Outcome(reason="no IoU of both modes on the same cases")
    counts = _pairs_told(evidence, pairs, "iou")
    return _compared(evidence, pairs, [part], f"{counts} {_told(part, 'iou')}")


def _calibration(evidence: Evidence, loss: str) -> Outcome:
    pairs = evidence.pairs(loss)
    scores = [name for name in PROPER if name in set(evidence.metrics["metric"])]
    single = evidence.resampling.simultaneous(len(scores))
    parts = [_gain(evidence, pairs, metric, single) for metric in scores]
    parts = [part for part in parts if part.verdict != "not tested"]
    if not parts:
        return Outcome(reason="no proper score of both modes on the same cases")
    told = [_told(part, metric) for part, metric in zip(parts, scores, strict=True)]
    shown = [_gain(evidence, pairs, "ece", evidence.resampling)]
    told += [f"Beside it {_told(part, 'ece')}" for part in shown if part.verdict != "not tested"]
    told += [evidence.pooled_gain(pair) for pair in pairs]
    return _compared(evidence, pairs, parts, " ".join(filter(None, told)))


def _gain(evidence: Evidence, pairs: list[Pair], metric: str, resampling: Resampling) -> Part:
    """By how much diffusion is better, the mean over pairs of modes."""
    better = metric_of(metric).better
    found = [gain(evidence.metrics, metric, pair.first, pair.second) for pair in pairs]
    values = pd.concat([each * better for each in found]).groupby(["dataset", "case", "seed"])
    return across(
        metric_of(metric).title,
        values.mean().to_frame("gain"),
        evidence.groups,
        resampling,
        low=0,
    )


def _told(part: Part, metric: str) -> str:
    """A part as a difference, diffusion minus feed-forward, in words."""
    shown = metric_of(metric)
    interval = part.interval
    if shown.better < 0:
        mean, low, high, _ = interval
        interval = interval._replace(mean=-mean, low=-high, high=-low)
    way = "higher" if shown.better > 0 else "lower"
    note = f"; gain in {part.note}" if part.note else ""
    return (
        f"{shown.title}: {interval_text(interval, 4, sign=True)}, {way} is better, "
        f"p = {part.p:.2g}, n = {interval.n}{note}."
    )


def _pairs_told(evidence: Evidence, pairs: list[Pair], metric: str) -> str:
    """In how many pairs of dataset and architecture either is better beyond chance."""
    rows = evidence.comparisons
    mine = rows["metric"].eq(metric) & rows["verdict"].ne("")
    mine &= rows["loss"].eq(pairs[0].loss)
    words = rows.loc[mine, "verdict"].tolist()
    if not words:
        return ""
    return (
        f"Diffusion better in {words.count(FIRST)} of {len(words)} pairs of dataset and "
        f"architecture, worse in {words.count(SECOND)} (beyond chance after Holm)."
    )


def _compared(evidence: Evidence, pairs: list[Pair], parts: list[Part], numbers: str) -> Outcome:
    """The outcome of a comparison of two ways of training, and under which conditions it holds."""
    modes = list(dict.fromkeys(mode for pair in pairs for mode in pair[:2]))
    used = evidence.metrics[evidence.metrics["mode"].isin(modes)]
    seen = {mode: evidence.images_seen(mode) for mode in modes}
    more, fewer = False, False
    for pair in pairs:
        first, second = seen[pair.first], seen[pair.second]
        more |= any(first[key] > second[key] for key in first.keys() & second.keys())
        fewer |= any(first[key] < second[key] for key in first.keys() & second.keys())
    judged = []
    for part in parts:
        favoured = {"confirmed": more, "refuted": fewer}.get(part.verdict, False)
        judged.append(part._replace(verdict="undecided") if favoured else part)
    budget = ", ".join(
        f"{evidence.labels.mode(mode)} {', '.join(map(str, sorted(set(counts.values()))))}"
        for mode, counts in seen.items()
    )
    equal = not (more or fewer)
    unfair = "" if equal else ", so a verdict for the one that saw more is withheld"
    datasets = {str(name) for name in used["dataset"]}
    drawn = "; ".join(evidence.drawn(mode) for mode in modes)
    units = max(part.interval.n for part in parts)
    remark = (
        f"{evidence.scale(datasets, units)}; {drawn}; images seen in training "
        f"{'equal, ' if equal else ''}{budget}{unfair}"
    )
    return Outcome(judged, numbers, remark, networks_of(used))


def _beats(
    label: str,
    own: "pd.Series[float]",
    trainings: pd.DataFrame,
    evidence: Evidence,
    resampling: Resampling,
) -> tuple[Part, set[tuple[str, str]]]:
    """The part of :func:`c2` on one baseline and metric, and the cases that it stands on.

    Args:
        label: of the part.
        own: scores of the baseline by (dataset, case, seed).
        trainings: scores of the paper's trainings: a row a (dataset, case, seed), a column each.
        evidence: for the units of cases.
        resampling: how errors are drawn.
    """
    shown, halved = [], []
    for dataset, rows in own.dropna().groupby(level="dataset"):
        others = trainings.reindex(rows.index).dropna(axis=1, how="all").dropna()
        if others.empty:
            continue
        rows = rows[others.index]
        shown.append(_lead(rows, others, others))
        names = [(str(dataset), str(case)) for _, case, _ in others.index]
        units = [evidence.groups.get(key, key[1]) for key in names]
        if len(set(units)) > 1:
            first = halves(units, 0)
            halved += [_lead(rows[one], others[one], others[~one]) for one in (first, ~first)]
    part = _lead_over(label, shown, evidence, resampling)
    keys = {(str(key[0]), str(key[1])) for lead in shown for key in lead.index}
    if part.verdict != "refuted":
        return part, keys
    if _lead_over(label, halved, evidence, resampling).verdict != "refuted":
        part = part._replace(verdict="undecided")
    return part, keys


def _lead_over(
    label: str, leads: "list[pd.Series[float]]", evidence: Evidence, resampling: Resampling
) -> Part:
    if not leads:
        return Part(label, NOTHING, "not tested", note="no such scores")
    values = pd.concat(leads).to_frame("lead")
    return across(label, values, evidence.groups, resampling, low=0)


def _lead(
    own: "pd.Series[float]", trainings: pd.DataFrame, chosen_on: pd.DataFrame
) -> "pd.Series[float]":
    """Scores less those of the training with the highest mean on other rows."""
    return own - trainings[chosen_on.mean().idxmax()]
