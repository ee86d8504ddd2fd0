"""Predictions P1 and P2, on losses over the noise axis, written down before the runs.

Rules and terms are those of :mod:`noise2mask.analysis.claims.verdicts`; each docstring gives the
region. What the measured losses are, ``analysis.information.curves`` says.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.interpolate import CubicSpline

from noise2mask.analysis.claims.evidence import Evidence
from noise2mask.analysis.claims.verdicts import Outcome, Part, decided, prediction
from noise2mask.analysis.information.curves import Curves, Key, curves, oracle_curves
from noise2mask.analysis.information.humps import hump_shift
from noise2mask.analysis.information.integral import Bootstrap, Floats
from noise2mask.evaluation.bootstrap import Interval, units_of
from noise2mask.plugins import Ref

TOLERANCE = 0.5
"""Shift of a hump in log SNR that counts as none (P1)."""
ALIKE = 0.1
"""Relative difference of losses that counts as none (P2)."""
SHARE = 0.1
"""Of the maximum of a loss, above which it is compared (P2)."""


@prediction(
    name="P1",
    statement="The hump of the trained eps-loss sits within 0.5 in log SNR of the oracle's, in "
    "every dataset, for masks in {codings}.",
    objective="shift of the hump in log SNR, trained minus oracle",
    needs=("losses",),
    conditions=("converged", "own target"),
)
def p1(
    evidence: Evidence,
    *,
    modes: Annotated[
        tuple[str, ...], Ref("modes"), Field(min_length=1, description="one for each coding")
    ],
) -> Outcome:
    """P1: the hump of the trained loss of eps sits where the oracle `multiscale` puts it.

    Region: a shift of at most `TOLERANCE` in log SNR, for every dataset, network and mode; their
    intervals hold all at once (Bonferroni). Humps are looked for where both curves have levels, on
    the test cases that both have. Codings that are not among `modes` are not part of the claim, as
    it is then worded. Shown is the largest shift.
    """
    pairs, notes = {}, []
    for key, trained in curves(evidence.measured).items():
        bound = oracle_curves(evidence.oracles, key.dataset, trained.cases, trained.pixels)
        if key.mode in modes and bound is not None:
            one, other = _overlapping(bound, trained.of(bound.cases))
            if min(len(one.t), len(other.t)) >= 3:
                pairs[key] = one, other
            else:
                notes.append(f"{', '.join(key)}: fewer than three common levels")
    codings = {2.0: "-1/+1", 1.0: "0/1"}
    gaps = {trained.gap for _, trained in pairs.values()}
    tested = " and ".join(name for gap, name in codings.items() if gap in gaps)
    stated = {"codings": tested or "either coding"}
    if not pairs:
        notes.append(f"no loss of {' or '.join(modes)} beside an oracle on the same cases")
        return Outcome(reason="; ".join(notes), stated=stated)
    notes += [f"masks in {name}: not trained" for gap, name in codings.items() if gap not in gaps]
    options = evidence.resampling.simultaneous(len(pairs))._asdict()
    parts = []
    for key, (bound, trained) in pairs.items():
        found, verdict = hump_shift(
            (bound.loss("eps"), bound.log_snr),
            (trained.loss("eps"), trained.log_snr),
            tolerance=TOLERANCE,
            groups=units_of(evidence.groups, key.dataset, bound.cases),
            **options,
        )
        note = "one of the curves has no hump" if math.isnan(found.mean) else ""
        seeds = evidence.seeds_measured(key.dataset, key.mode, key.network)
        parts.append(Part(", ".join(key), found, verdict, seeds=seeds, note=note))
    told = "; ".join([*map(str, _largest_first(parts)), *notes])
    networks = [(key.dataset, key.network, key.mode) for key in pairs]
    scale = evidence.scale(key.dataset for key in pairs)
    return Outcome(_largest_first(parts), told, scale, networks, stated=stated)


@prediction(
    name="P2",
    statement="Over log SNR the eps-losses of {first} and {second} coincide within 10 %.",
    objective="mean absolute log-ratio of the losses",
    needs=("losses",),
    conditions=("converged",),
)
def p2(
    evidence: Evidence,
    *,
    first: Annotated[str, Ref("modes"), Field(description="mode of the study")],
    second: Annotated[str, Ref("modes"), Field(description="the same with another T")],
) -> Outcome:
    """P2: modes that differ in the number of timesteps alone have one eps-loss over log SNR.

    The statistic is the mean of |log(second/first)| over the levels of `first`, where the loss is
    above `SHARE` of its maximum; cubic splines carry `second` there. Region: at most log(1 +
    `ALIKE`), for every dataset and network at once (Bonferroni). Noise can only raise an absolute
    value, so the lower end is not that of the percentile bootstrap, but the estimate less the (1 +
    level)/2 quantile of the mean absolute deviation from it (triangle inequality). With several
    seeds a refutation must also exceed what trainings that differ in the seed alone do: the mean of
    the same statistic over pairs of seeds, divided by the root of their number, as means over seeds
    are compared. Untrained networks have one loss too, so both must have converged.
    """
    found = curves(evidence.measured)
    keys = [key for key in found if key.mode == first and key._replace(mode=second) in found]
    if not keys:
        return Outcome(reason=f"no losses of both {first} and {second}")
    limit, parts = math.log1p(ALIKE), []
    for key in keys:
        one, other = found[key], found[key._replace(mode=second)]
        known = set(other.cases)
        cases = [case for case in one.cases if case in known]
        one, other = one.of(cases), other.of(cases)
        one = one.between(other.log_snr.min(), other.log_snr.max())
        units = units_of(evidence.groups, key.dataset, cases)
        drawn = Bootstrap(units, **evidence.resampling.simultaneous(len(keys))._asdict())
        interval = _log_ratio(one, other, drawn)
        noise = _between_seeds(evidence.measured, key, second)
        verdict = decided(interval, high=limit)
        note = "one seed" if math.isnan(noise) else f"seeds alone: {noise:.3g}"
        if verdict == "refuted" and interval.low <= noise:
            verdict = "undecided"
        seeds = evidence.seeds_measured(key.dataset, key.mode, key.network)
        parts.append(
            Part(f"{key.dataset}, {key.network}", interval, verdict, seeds=seeds, note=note)
        )
    networks = [(key.dataset, key.network, mode) for key in keys for mode in (first, second)]
    scale = evidence.scale(key.dataset for key in keys)
    return Outcome(_largest_first(parts), "", scale, networks)


def _overlapping(first: Curves, second: Curves) -> tuple[Curves, Curves]:
    """Both on the range of log SNR that they share."""
    low = max(first.log_snr.min(), second.log_snr.min())
    high = min(first.log_snr.max(), second.log_snr.max())
    return first.between(low, high), second.between(low, high)


def _largest_first(parts: Sequence[Part]) -> list[Part]:
    return sorted(parts, key=lambda part: -np.nan_to_num(abs(part.interval.mean)))


def _log_ratio(first: Curves, second: Curves, bootstrap: Bootstrap) -> Interval:
    """Mean |log(second/first)| where the loss matters, over the levels of `first`."""
    way, other = np.argsort(first.log_snr), np.argsort(second.log_snr)
    one, two = first.loss("eps")[:, way], second.loss("eps")[:, other]
    cases = np.concatenate([one, two], axis=1)
    complete = cases[~np.isnan(cases).any(axis=1)]
    if min(*one.shape, *two.shape, len(complete)) < 1 or two.shape[1] < 2:
        return Interval(np.nan, np.nan, np.nan, 0)
    axis, levels = first.log_snr[way], one.shape[1]
    tiny = np.finfo(np.float64).tiny

    def carried(means: Floats) -> Floats:
        curve = CubicSpline(second.log_snr[other], means[:, levels:], axis=1)(axis)
        return np.stack([means[:, :levels], np.maximum(curve, tiny)])

    mean = carried(complete.mean(axis=0, keepdims=True)).mean(axis=(0, 1))
    counted = mean > SHARE * mean.max()

    def ratios(means: Floats) -> Floats:
        below, above = np.log(np.maximum(carried(means)[..., counted], tiny))
        return np.asarray(above - below)

    def statistic(means: Floats) -> Floats:
        return np.asarray(np.abs(ratios(means)).mean(axis=1))

    estimate = ratios(complete.mean(axis=0, keepdims=True))

    def deviation(means: Floats) -> Floats:
        return np.asarray(np.abs(ratios(means) - estimate).mean(axis=1))

    found, reach = (bootstrap.interval(cases, each) for each in (statistic, deviation))
    if math.isnan(reach.high):
        return found
    return found._replace(low=max(0.0, found.mean - reach.high))


def _between_seeds(measured: pd.DataFrame, key: Key, second: str) -> float:
    """The log-ratio of trainings that differ in the seed alone, as of means over seeds."""
    found, once = [], Bootstrap(None, 1, 0.5, 0)
    for mode in (key.mode, second):
        rows = measured[
            (measured["dataset"] == key.dataset)
            & (measured["network"] == key.network)
            & (measured["mode"] == mode)
        ]
        each = [next(iter(curves(part).values())) for _, part in rows.groupby("seed")]
        shared = set.intersection(*(set(one.cases) for one in each))
        each = [one.of(sorted(shared)) for one in each]
        found += [
            _log_ratio(one, other, once).mean / math.sqrt(len(each))
            for one, other in itertools.combinations(each, 2)
        ]
    return float(np.mean(found)) if found else math.nan
