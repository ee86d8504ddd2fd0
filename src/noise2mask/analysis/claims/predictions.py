"""Predictions P3 to P8 on scores, written down before the runs; P8 while its study trained.

P1 and P2, on losses, are in :mod:`noise2mask.analysis.claims.predictions_losses`. Rules and terms
are those of :mod:`noise2mask.analysis.claims.verdicts`; each docstring gives the region. The
keyword-only arguments of a prediction are what a study says under its name in `hypotheses`.

Scored is the first sampler of a mode in the table, unless said otherwise. Networks that both modes
have are averaged for each case and seed.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from noise2mask.analysis.claims.evidence import Evidence, networks_of
from noise2mask.analysis.claims.verdicts import (
    NOTHING,
    Outcome,
    Part,
    across,
    correlated,
    interval_text,
    mean_of_datasets,
    over_datasets,
    part_of,
    prediction,
)
from noise2mask.evaluation.bootstrap import Estimate, Floats, estimate_mean
from noise2mask.evaluation.differences import Pair, by_case, first_sampler, gain, step_counts
from noise2mask.evaluation.labels import metric_of, trained
from noise2mask.plugins import Ref

Mode = Annotated[str, Ref("modes"), Field(description="mode of the study")]

SAME_ORDER = 0.5
"""Rank correlation from which on two orders of datasets are called the same (P3)."""
WITHOUT_LOSS = 0.01
"""One Dice point: what fewer steps may cost (P4)."""
MARGINS = {"iou": 0.01, "brier": 0.005}
"""By how much an ensemble may be worse and still match (P6), in overlap and in a proper score."""
SHOWN = {"nll": 0.0, "ece": 0.005}
"""Shown beside it, with the margin that was written for ECE."""


@prediction(
    name="P3",
    statement="The bits that the image tells of a mask rank datasets as feed-forward Dice does.",
    objective="rank correlation of bits per pixel with Dice",
)
def p3(evidence: Evidence, *, feed_forward: Mode) -> Outcome:
    """P3: I(mask; image) ranks datasets as feed-forward Dice does.

    Region: Spearman's rank correlation of the bits per pixel (covariance estimate) with Dice, over
    datasets, is at least `SAME_ORDER`; see ``verdicts.correlated`` for what else a confirmation
    needs. Networks are averaged. The numbers give the correlation with the share of the mask's
    entropy, the lower of its two bounds, that the image tells.
    """
    cell = ["dataset", "network"]
    information = evidence.analysis.information
    rows = trained(evidence.summary)
    rows = rows[(rows["mode"] == feed_forward) & (rows["metric"] == "dice")]
    dice = rows.drop_duplicates(cell).set_index(cell)["mean"]
    wide = information.pivot_table(
        index=cell, columns="estimate", values="bits", aggfunc="first"
    ).reindex(columns=["covariance", "entropy", "entropy_oracle"])
    pixels = information[information["estimate"] == "covariance"].set_index(cell)
    both = pd.DataFrame(
        {
            "dice": dice.astype(float),
            "bits": pixels["bits_per_pixel"].astype(float),
            "share": wide["covariance"] / wide[["entropy", "entropy_oracle"]].min(axis=1),
        }
    ).dropna(subset=["dice", "bits"])
    means, seeds = both.groupby("dataset").mean(), int(rows["seeds"].max()) if len(rows) else 0
    parts = [
        correlated(label, means[column], means["dice"], evidence.resampling, low=SAME_ORDER,
                   seeds=seeds)
        for label, column in (
            ("bits per pixel", "bits"), ("share of the mask's entropy", "share"),
        )
    ]  # fmt: skip
    return Outcome(parts[:1], f"{parts[0]}; beside it, {parts[1]}", evidence.scale(means.index))


@prediction(
    name="P4",
    statement="Masks scaled by b = 0.1 to 0.3 raise IoU and allow 10 steps or fewer without loss; "
    "larger objects want smaller b.",
    objective="IoU, Dice, and a rank correlation over datasets",
)
def p4(
    evidence: Evidence,
    *,
    scales: Annotated[
        dict[Annotated[str, Ref("modes")], float],
        Field(min_length=2, description="mode: its b; one is 1"),
    ],
    samplers: Annotated[
        tuple[str, ...],
        Ref("samplers", "readings"),
        Field(min_length=1, description="from pure noise, of different steps"),
    ],
) -> Outcome:
    """P4: a harder schedule raises IoU, allows ten steps or fewer, and is for larger objects.

    Three parts, all of which must hold. (a) IoU of the modes with b from 0.1 to 0.3, their mean per
    case, less that with b = 1, at the most steps: region above 0, see ``verdicts.across``. (b) Dice
    of these modes at the most steps that are ten or fewer, less that at the most of all, where both
    draw equally often: region above -`WITHOUT_LOSS`; least steps within a Dice point of the most
    are told. (c) Rank correlation over datasets of the b of best IoU with the median area of
    objects, times -1: region above 0.
    """
    metrics, groups = evidence.metrics, evidence.groups
    table = metrics[metrics["sampler"].isin(samplers) & metrics["mode"].isin(list(scales))]
    steps = step_counts(table)
    base = [mode for mode, b in scales.items() if b == 1]
    harder = [mode for mode, b in scales.items() if 0.1 <= b <= 0.3 and mode in set(table["mode"])]
    shared = [name for name in steps if all(_has(table, m, name) for m in (*base, *harder))]
    if not base or not harder or not shared:
        return Outcome(reason="no scores of b = 1 and of b from 0.1 to 0.3")
    most = max(shared, key=lambda name: steps[name])
    iou = pd.concat(
        {mode: by_case(table, "iou", mode, most) for mode in scales if _has(table, mode, most)},
        axis=1,
    )
    raised = (iou[harder].mean(axis=1, skipna=False) - iou[base[0]]).to_frame("raised")
    of_cases = raised.groupby(["dataset", "case", "seed"]).mean()  # over networks
    parts = [
        across("(a) IoU", of_cases, groups, evidence.resampling, low=0),
        _fewer_steps(table, harder, shared, evidence),
    ]
    best = iou.groupby("dataset").mean().dropna(how="all").idxmax(axis=1).map(scales)
    figures = evidence.analysis.fingerprints
    area = figures[figures["figure"] == "area_q50"].set_index("dataset")["mean"]
    seeds = max(part.seeds for part in parts)
    label = "(c) smaller b, larger objects"
    parts.append(correlated(label, -best, area, evidence.resampling, low=0, seeds=seeds))
    told = f"{'; '.join(map(str, parts))}; (a) at {most}; best b: {_listed(best)}"
    return Outcome(parts, told, evidence.scale(best.index), networks_of(table))


@prediction(
    name="P5",
    statement="{improved} removes more than half of the gap in Dice of {diffusion} to "
    "{feed_forward}, and its loss adds to what {squared} removes of it.",
    objective="share of the gap in Dice",
    rule="before the runs, its second half after the target was found to close most of the gap",
)
def p5(
    evidence: Evidence,
    *,
    feed_forward: Mode,
    diffusion: Mode,
    improved: Mode,
    squared: Annotated[
        str | None, Ref("modes"), Field(description="mode: x_0 with squared error")
    ] = None,
) -> Outcome:
    """P5: predicting x_0 with a Dice and cross-entropy loss removes most of the gap in Dice.

    Two parts, both of which must hold. (a) (improved - diffusion)/(feed_forward - diffusion), means
    over the datasets that have a gap: region above 0.5, see ``verdicts.across``. (b) The part of it
    that the loss adds beyond the target, (improved - squared)/(feed_forward - diffusion): region
    above 0; without the mode `squared` it is not tested, and (a) may be the target's alone. A
    dataset has a gap if the interval of its denominator lies above 0 (for all datasets at once);
    where none has, there is nothing to remove and nothing is tested.
    """
    gaps = gain(evidence.metrics, "dice", feed_forward, diffusion)
    columns = {"closed": gain(evidence.metrics, "dice", improved, diffusion), "gap": gaps}
    both = pd.DataFrame(columns).dropna()
    names = sorted({str(name) for name in both.index.get_level_values("dataset")})
    single, told, kept = evidence.resampling.simultaneous(len(names)), [], []
    for name in names:
        rows = both[["gap"]][both.index.get_level_values("dataset") == name]
        interval = over_datasets(rows, mean_of_datasets, evidence.groups, single).interval()
        kept += [name] if interval.low > 0 else []
        nothing = "" if interval.low > 0 else ", none beyond chance"
        told.append(f"gap in {name} {interval_text(interval, 3)}{nothing}")
    both = both[both.index.get_level_values("dataset").isin(kept)]
    if both.empty:
        return Outcome(reason="; ".join(told) or "no scores of the three modes")
    parts = [_share("(a) target and loss", both, evidence, low=0.5)]
    label = "(b) the loss beyond the target"
    if squared is None:
        parts.append(Part(label, NOTHING, "not tested", note="no mode `squared` is named"))
    else:
        beyond = gain(evidence.metrics, "dice", improved, squared)
        added = pd.DataFrame({"closed": beyond, "gap": gaps}).dropna()
        added = added[added.index.get_level_values("dataset").isin(kept)]
        parts.append(_share(label, added, evidence, low=0.0))
    numbers = "; ".join([*told, *map(str, parts)])
    used = evidence.metrics[evidence.metrics["mode"].isin([feed_forward, diffusion, improved])]
    stated = {"squared": squared or "the target x_0 alone"}
    return Outcome(parts, numbers, evidence.scale(kept), networks_of(used), stated=stated)


@prediction(
    name="P6",
    statement="{ensemble} matches or beats {diffusion} in IoU and in a proper score.",
    objective="IoU and Brier score, by how much the ensemble is better",
    rule="before the runs, ECE among its scores, which was taken out when both ECEs disagreed",
)
def p6(
    evidence: Evidence,
    *,
    ensemble: Mode,
    diffusion: Mode,
    samplers: Annotated[
        tuple[str, str] | None,
        Ref("samplers", "readings"),
        Field(description="of the ensemble and of diffusion; the first of each mode when absent"),
    ] = None,
) -> Outcome:
    """P6: a feed-forward ensemble matches or beats diffusion in overlap and calibration.

    Region: better by more than minus the margin of `MARGINS`, for IoU and for the Brier score, see
    ``verdicts.across``. The prediction named ECE too; its sign depends on whether it is taken per
    case or pooled, so calibration is decided on the proper score, and both ECEs stand beside it.
    Calibration depends on N, so an ensemble of other than N members is not tested against N draws.
    """
    metrics, modes = evidence.metrics, (ensemble, diffusion)
    chosen = samplers or tuple(first_sampler(metrics, mode) for mode in modes)
    rows, drawn = [], {}
    for mode, sampler in zip(modes, chosen, strict=True):
        rows.append(metrics[(metrics["mode"] == mode) & (metrics["sampler"] == sampler)])
        drawn[f"{mode} ({sampler})"] = sorted(set(rows[-1]["draws"]))
    if all(drawn.values()) and len(set(map(tuple, drawn.values()))) > 1:
        of = [f"{name} has N = {', '.join(map(str, n))}" for name, n in drawn.items()]
        return Outcome(reason=f"{' but '.join(of)}: name samplers of equal N")
    table = pd.concat(rows)
    parts = [
        _no_worse(evidence, table, Pair(*modes), metric, margin)
        for metric, margin in MARGINS.items()
    ]
    if all(part.verdict == "not tested" for part in parts):
        return Outcome(reason=f"no scores of both {ensemble} and {diffusion}")
    beside = [
        f"beside it {_no_worse(evidence, table, Pair(*modes), metric, margin)}"
        for metric, margin in SHOWN.items()
        if metric in set(table["metric"])
    ]
    margins = ", ".join(f"{name} {margin:g}" for name, margin in MARGINS.items())
    pooled = evidence.pooled_gain(Pair(*modes), (str(chosen[0]), str(chosen[1])))
    told = "; ".join(filter(None, [*map(str, parts), *beside, pooled, f"margins: {margins}"]))
    remark = f"{evidence.scale(table['dataset'])}; {evidence.drawn(diffusion)}"
    return Outcome(parts, told, remark, networks_of(table))


@prediction(
    name="P7",
    statement="{recycled} gains most over {diffusion} where the mask survives longest.",
    objective="rank correlation over datasets of the gain in Dice with survival under noise",
)
def p7(evidence: Evidence, *, recycled: Mode, diffusion: Mode) -> Outcome:
    """P7: training on the model's own prediction gains most where the mask survives longest.

    The statistic is the rank correlation over datasets of the gain in Dice with minus the log SNR
    at which the image-free Dice falls half-way to its floor. Region: above 0, see
    ``verdicts.correlated``; the numbers give each gain.
    """
    gains = gain(evidence.metrics, "dice", recycled, diffusion).dropna()
    if gains.empty:
        return Outcome(reason=f"no Dice of both {recycled} and {diffusion}")
    figures = evidence.analysis.fingerprints
    rows = figures[figures["figure"] == "log_snr_at_half"]
    survival = -rows.set_index("dataset")["mean"].astype(float)
    means = gains.groupby("dataset").mean()
    each = across(
        "gain in Dice", gains.to_frame("gain"), evidence.groups, evidence.resampling, low=0
    )
    label = "gain and survival"
    part = correlated(label, means, survival, evidence.resampling, low=0, seeds=each.seeds)
    return Outcome([part], f"{part}; {each}", evidence.scale(means.index))


@prediction(
    name="P8",
    statement="Over datasets, {diffusion} is better than {feed_forward} in Dice.",
    objective="Dice, with datasets as units",
    rule="while its study trained, before any of its scores was seen",
)
def p8(evidence: Evidence, *, diffusion: Mode, feed_forward: Mode) -> Outcome:
    """P8: diffusion is better than feed-forward training on the mean over datasets.

    Region: the mean over datasets of the difference in Dice is above 0. The independent unit is the
    dataset, crossed with seeds, so that the verdict is on sets such as these and not on these
    alone. Sets with a single independent test unit are left out and named. Beside it stand the
    proper scores and the smallest difference in Dice that would be found with a power of 80 %.
    """
    found = _between_datasets(evidence, "dice", diffusion, feed_forward)
    if not found.n:
        return Outcome(reason=f"no Dice of both {diffusion} and {feed_forward}")
    part = part_of("difference", found, low=0.0)
    told = [str(part), f"resolvable {found.resolvable():.2g}"]
    for metric in sorted({"brier", "nll"} & set(evidence.metrics["metric"])):
        beside = _between_datasets(evidence, metric, diffusion, feed_forward)
        title, ends = metric_of(metric).title, interval_text(beside.interval(), 4, sign=True)
        told.append(f"beside it {title}, lower is better: {ends}, p = {beside.p():.2g}")
    rows = evidence.metrics[evidence.metrics["mode"].isin([diffusion, feed_forward])]
    remark = f"{evidence.scale(set(rows['dataset']) - set(found.left_out))}, each one unit"
    return Outcome([part], "; ".join(told), remark, networks_of(rows))


def _has(table: pd.DataFrame, mode: str, sampler: str) -> bool:
    return bool(((table["mode"] == mode) & (table["sampler"] == sampler)).any())


def _no_worse(
    evidence: Evidence, table: pd.DataFrame, modes: Pair, metric: str, margin: float
) -> Part:
    """The part on "better by more than minus a margin", the first mode than the second."""
    better = gain(table, metric, *modes[:2]) * metric_of(metric).better
    title, frame = metric_of(metric).title, better.to_frame("gain")
    return across(title, frame, evidence.groups, evidence.resampling, low=-margin)


def _between_datasets(evidence: Evidence, metric: str, first: str, second: str) -> Estimate:
    """First less second mode in a metric, the mean over datasets, each of them one unit."""
    gains = gain(evidence.metrics, metric, first, second).dropna()
    means = gains.groupby(["dataset", "seed"]).mean()
    cases = gains.droplevel("seed").groupby("dataset")
    alone = sorted(str(name) for name, rows in cases if evidence.units(rows.index) < 2)
    means = means.drop(alone, level="dataset")
    found = estimate_mean(
        means.to_numpy(),
        units=list(means.index.get_level_values("dataset")),
        seeds=list(means.index.get_level_values("seed")),
        resampling=evidence.resampling,
    )
    return replace(found, left_out=tuple(alone))


def _share(label: str, values: pd.DataFrame, evidence: Evidence, *, low: float) -> Part:
    """The part on a share of the gap, columns `closed` and `gap`, of datasets that have one."""

    def removed(means: Floats) -> Floats:
        closed, gap = np.moveaxis(means.mean(axis=-2), -1, 0)
        share: Floats = np.divide(closed, gap, out=np.full_like(gap, np.nan), where=gap > 0)
        return share

    return across(label, values, evidence.groups, evidence.resampling, low=low, statistic=removed)


def _fewer_steps(
    table: pd.DataFrame, modes: Sequence[str], samplers: Sequence[str], evidence: Evidence
) -> Part:
    """Part (b) of P4."""
    label = "(b) Dice at 10 steps or fewer"
    steps = step_counts(table)
    most = max(samplers, key=lambda name: steps[name])
    drawn = table.drop_duplicates("sampler").set_index("sampler")["draws"]
    samplers = [name for name in samplers if drawn[name] == drawn[most]]
    fewer = [name for name in samplers if steps[name] <= 10 < steps[most]]
    if not fewer:
        reason = "no sampler of 10 steps or fewer beside one of more"
        return Part(label, NOTHING, "not tested", note=reason)
    dice = {
        name: pd.concat([by_case(table, "dice", mode, name) for mode in modes], axis=1)
        .mean(axis=1, skipna=False)
        .groupby(["dataset", "case", "seed"])
        .mean()
        for name in samplers
    }
    chosen = max(fewer, key=lambda name: steps[name])
    lost = (dice[chosen] - dice[most]).to_frame("lost")
    part = across(label, lost, evidence.groups, evidence.resampling, low=-WITHOUT_LOSS)
    means = {name: values.groupby("dataset").mean().mean() for name, values in dice.items()}
    enough = [steps[name] for name in samplers if means[name] >= means[most] - WITHOUT_LOSS]
    best = max(means, key=lambda name: means[name])
    return part._replace(
        note=f"{part.note}; {chosen} against {most}; {min(enough)} steps are within a Dice point, "
        f"{steps[best]} are best"
    )


def _listed(values: "pd.Series[float]") -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items())
