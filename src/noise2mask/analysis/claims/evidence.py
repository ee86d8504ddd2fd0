"""What claims and predictions are decided on, what they may ask of it, and the call of each.

A claim names in its decorator what a study needs for it to be tested at all (:data:`NEEDS`), and
what must hold of the networks for a verdict to be given (:data:`CONDITIONS`): numbers of networks
that are not trained to convergence, or of baselines at a fraction of their budget, are told, and
the claim is not tested by them.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from noise2mask import plugins
from noise2mask.analysis.claims.verdicts import (
    Finding,
    Outcome,
    Said,
    concluded,
    interval_text,
    untested,
)
from noise2mask.evaluation.bootstrap import CaseGroups, Resampling
from noise2mask.evaluation.columns import AnalysisTables
from noise2mask.evaluation.differences import Pair, first_sampler
from noise2mask.evaluation.labels import Labels, labels_of, metric_of
from noise2mask.evaluation.pooled import histograms_of, pooled_difference
from noise2mask.study.plan import compared_modes, run_settings, trainings_of
from noise2mask.study.schema import Options, Study

LAST = 0.2
"""Share of a training, its end, over which the validation loss must be flat."""
FLAT = 0.01
"""Relative change of the validation loss over that end below which a training has converged."""
BUDGET = ("epochs", "iterations", "steps")
"""Options of a baseline whose defaults are the training budget of its authors."""
OWN_TARGET = ("diffusion", "image_free", "image_diffusion")
"""Training modes whose network gives the target itself; `posterior` adds the exact evidence of the
pixel's own value, so that a network with random weights has a hump too."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that a claim may look at.

    Attributes:
        study: the study.
        metrics: scores of single cases, datasets with a quirk left out.
        histograms: reliability histograms of single cases of the same datasets.
        summary: the table of that name.
        comparisons: the table of that name.
        history: of the trainings.
        analysis: its tables; those of claims are empty yet.
        measured: losses of all modes on test cases, see ``analysis.information.curves``.
        oracles: scores of oracles for each case.
        groups: the unit of each (dataset, case) that is not its own.
        resampling: how errors are drawn.
    """

    study: Study
    metrics: pd.DataFrame
    histograms: pd.DataFrame
    summary: pd.DataFrame
    comparisons: pd.DataFrame
    history: pd.DataFrame
    analysis: AnalysisTables
    measured: pd.DataFrame
    oracles: pd.DataFrame
    groups: CaseGroups
    resampling: Resampling

    @cached_property
    def labels(self) -> Labels:
        """Names to be shown."""
        return labels_of(self.study)

    @cached_property
    def stands_for(self) -> Mapping[str, str]:
        """Of datasets that replace one of the paper, which."""
        return {
            name: entry.stands_for
            for name, entry in self.study.datasets.items()
            if entry.stands_for
        }

    def clipped(self) -> pd.DataFrame:
        """The losses of estimates within the levels of x_0, the better bounds."""
        return self.measured.assign(error=self.measured["clipped"])

    def pairs(self, loss: str) -> list[Pair]:
        """The planned comparisons of modes with their own or with a matched loss."""
        return [Pair(*modes) for modes in compared_modes(self.study) if modes[2] == loss]

    def scale(self, datasets: Iterable[str], units: int = 0) -> str:
        """Datasets, stand-ins among them, independent units and resolution in words."""
        names = sorted(set(datasets))
        replaced = sum(name in self.stands_for for name in names)
        counted = f"{units} independent units, " if units else ""
        plural = "s" * (len(names) != 1)
        stand_ins = f" ({replaced} standing in for the paper's)" if replaced else ""
        return f"{len(names)} dataset{plural}{stand_ins}, {counted}{self.study.resolution} px"

    def units(self, cases: Iterable[tuple[str, str]]) -> int:
        """Number of independent units among (dataset, case)."""
        return len({(case[0], self.groups.get(case, case[1])) for case in cases})

    def seeds_measured(self, dataset: str, mode: str, network: str | None = None) -> int:
        """Trainings of a mode, of one or all networks, whose loss was measured on a dataset."""
        rows = self.measured
        same = rows["dataset"].eq(dataset) & rows["mode"].eq(mode)
        if network is not None:
            same &= rows["network"].eq(network)
        return int(rows.loc[same, "seed"].nunique())

    def images_seen(self, mode: str) -> dict[tuple[str, str], int]:
        """Images that a mode's trainings saw, steps times batch, by (dataset, network)."""
        found = {}
        for training in trainings_of(self.study):
            if training.mode == mode:
                settings = run_settings(self.study, training).training
                found[training.dataset, training.network] = settings.steps * settings.batch
        return found

    def pooled_gain(self, pair: Pair, samplers: tuple[str, str] | None = None) -> str:
        """First less second mode in ECE pooled over pixels, in words; nothing without histograms.

        Without `samplers` the first of each mode are taken.
        """
        rows = self.histograms[self.histograms["region"] == "all"]
        named = samplers or tuple(first_sampler(self.metrics, mode) for mode in pair[:2])
        sides = [
            rows[(rows["mode"] == mode) & (rows["sampler"] == sampler)]
            for mode, sampler in zip(pair[:2], named, strict=True)
        ]
        shared = set(sides[0]["network"]) & set(sides[1]["network"])
        if not shared:
            return ""
        one, other = (histograms_of(side[side["network"].isin(shared)]) for side in sides)
        _, _, found = pooled_difference(one, other, self.groups, self.resampling)
        return (
            f"{metric_of('ece_pooled').title}, {self.labels.mode(pair.first)} minus "
            f"{self.labels.mode(pair.second)}: {interval_text(found.interval(), 4, sign=True)}, "
            f"lower is better, p = {found.p():.2g}"
        )

    def drawn(self, mode: str) -> str:
        """N of a mode's first sampler, and how much its draws differ, in words."""
        sampler = first_sampler(self.metrics, mode)
        scored, rows = (
            table[(table["mode"] == mode) & (table["sampler"] == sampler)]
            for table in (self.metrics, self.summary)
        )
        counts = sorted({int(count) for count in scored["draws"]})
        told = [f"N = {', '.join(map(str, counts))}"]
        for metric, words in (("spread", "spread between draws"), ("grey", "grey share of a draw")):
            means = rows.loc[rows["metric"] == metric, "mean"].dropna()
            if len(means):
                told.append(f"{words} {means.min():.2g} to {means.max():.2g}")
        return f"{self.labels.mode(mode)} with {', '.join(told)}"


def _no_pair(loss: str) -> Callable[[Evidence, Options], str]:
    def need(evidence: Evidence, _: Options) -> str:
        if evidence.pairs(loss):
            return ""
        return f"this study compares no modes trained by diffusion and feed-forward, {loss} loss"

    return need


def _empty(table: str, reason: str) -> Callable[[Evidence, Options], str]:
    def need(evidence: Evidence, _: Options) -> str:
        return reason if getattr(evidence.analysis, table).empty else ""

    return need


NEEDS: Mapping[str, Callable[[Evidence, Options], str]] = {
    "own loss": _no_pair("own"),
    "matched loss": _no_pair("matched"),
    "baselines": lambda evidence, _: (
        "" if evidence.study.baselines else "this study has no scores of baselines"
    ),
    "losses": _empty("losses", "no loss was measured along the noise"),
    "images under noise": _empty("image_oracles", "masks were not compared with images"),
    "fingerprints": _empty("fingerprints", "no dataset has a fingerprint"),
    "image pair": lambda evidence, _: (
        ""
        if evidence.study.analysis.pair
        else "networks with and without the image were not measured"
    ),
}
"""Why a claim cannot be tested at all, by what it needs; nothing where the study has it."""


def _converged(evidence: Evidence, outcome: Outcome) -> str:
    reasons: dict[tuple[str, str], list[str]] = {}
    for dataset, network, mode in dict.fromkeys(outcome.networks):
        found = convergence(evidence.history, dataset, network, mode)
        if found:
            reasons.setdefault((mode, found), []).append(f"{dataset} {network}")
    told = [f"{mode} on {', '.join(names)}: {why}" for (mode, why), names in reasons.items()]
    return f"not trained to convergence ({'; '.join(told)})" if told else ""


def _own_target(evidence: Evidence, outcome: Outcome) -> str:
    modes = evidence.study.modes
    others = dict.fromkeys(
        mode
        for _, _, mode in outcome.networks
        if mode in modes and modes[mode].mode not in OWN_TARGET
    )
    if not others:
        return ""
    return (
        f"{', '.join(others)}: the network does not predict the target itself, and what is added "
        "to it has a hump by construction"
    )


def _own_budget(evidence: Evidence, _: Outcome) -> str:
    told = []
    for name, entry in evidence.study.baselines.items():
        options = plugins.options("baseline", entry.kind)
        defaults = {
            option: field.default
            for option, field in options.model_fields.items()
            if option in BUDGET
        }
        share = math.prod(
            float(entry.options.get(option, default)) / float(default)
            for option, default in defaults.items()
        )
        if share < 1:
            told.append(f"{evidence.labels.network(name)} at {100 * share:.2g} % of its budget")
    return f"not tested at the baselines' own budget: {', '.join(told)}" if told else ""


CONDITIONS: Mapping[str, Callable[[Evidence, Outcome], str]] = {
    "converged": _converged,
    "own target": _own_target,
    "own budget": _own_budget,
}
"""Why numbers give no verdict, by what a claim asks of networks; nothing where it holds."""


def convergence(history: pd.DataFrame, dataset: str, network: str, mode: str) -> str:
    """Why trainings cannot be said to have converged; nothing if all of them have.

    Converged is a training whose validation loss is flat at its end: a straight line through the
    values of the last fifth of its steps, three at least, changes by less than one per cent of
    their mean.
    """
    rows = history[
        (history["dataset"] == dataset)
        & (history["network"] == network)
        & (history["mode"] == mode)
        & (history["name"] == "val_loss")
    ]
    if rows.empty:
        return "no validation loss is recorded"
    changes = []
    for _, training in rows.groupby("seed"):
        step, loss = (training[name].to_numpy(dtype=np.float64) for name in ("step", "value"))
        late = step >= (1 - LAST) * step.max()
        if late.sum() < 3:
            return (
                f"{int(late.sum())} validations in the last fifth of the training, three are needed"
            )
        slope = np.polyfit(step[late], loss[late], 1)[0]
        changes.append(slope * np.ptp(step[late]) / loss[late].mean())
    worst = max(changes, key=abs)
    if abs(worst) < FLAT:
        return ""
    way = "falls" if worst < 0 else "rises"
    return f"the validation loss still {way} by {100 * abs(worst):.2g} % over the last fifth"


def claims_found(evidence: Evidence) -> list[Finding]:
    """What becomes of every claim of the paper, by its name."""
    return sorted(
        (find("claim", function, evidence, {}) for function in plugins.names("claim")),
        key=lambda finding: finding.name,
    )


def predictions_found(evidence: Evidence) -> list[Finding]:
    """What becomes of every prediction, by its name; those that the study says nothing to too."""
    said = evidence.study.hypotheses or {}
    found = []
    for function in dict.fromkeys([*plugins.names("prediction"), *said]):
        if function in said:
            found.append(find("prediction", function, evidence, said[function]))
        else:
            told = Said(**plugins.declared("prediction", function))
            found.append(
                untested(told, "this study does not name its modes", _open(told.statement))
            )
    return sorted(found, key=lambda finding: finding.name)


def find(kind: str, function: str, evidence: Evidence, options: Options) -> Finding:
    """What becomes of one claim or prediction."""
    said = Said(**plugins.declared(kind, function))
    for need in said.needs:
        reason = NEEDS[need](evidence, options)
        if reason:
            return untested(said, reason, _open(said.statement))
    given: dict[str, Any] = plugins.options(kind, function).model_validate(options).model_dump()
    outcome: Outcome = plugins.member(kind, function)(evidence, **given)
    modes, labels = evidence.study.modes, labels_of(evidence.study)
    stated = {
        name: labels.mode(value) if isinstance(value, str) and value in modes else str(value)
        for name, value in given.items()
    } | dict(outcome.stated)
    reasons = [CONDITIONS[name](evidence, outcome) for name in said.conditions]
    told = outcome._replace(stated=stated)
    return concluded(said, told, [reason for reason in reasons if reason])


def _open(statement: str) -> str:
    """A statement with its open places as words."""
    return statement.replace("{", "").replace("}", "").replace("_", " ")


def networks_of(rows: pd.DataFrame) -> Sequence[tuple[str, str, str]]:
    """The trainings in a table, as (dataset, network, mode)."""
    found = rows[["dataset", "network", "mode"]].drop_duplicates()
    return [(str(one), str(two), str(three)) for one, two, three in found.itertuples(index=False)]
