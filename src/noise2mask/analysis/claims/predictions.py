"""Hypotheses P3 to P7, written down before the runs, each a function of tables.

P1 and P2, on losses, are in :mod:`noise2mask.analysis.claims.predictions_losses`.

The rule, fixed before the data are seen, is that of :mod:`noise2mask.analysis.claims.verdicts`:
confirmed if the interval lies wholly inside the region of the claim, refuted if wholly outside,
undecided otherwise. Each docstring gives the region. What a study has not the data for is not
tested, and `detail` says why. `groups` are by (dataset, case).

Scored is the first sampler of a mode in the table, unless said otherwise: give a part of the table
for another one. Networks that both modes have are averaged for each case and seed; intervals are
over cases and seeds.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from noise2mask.analysis.claims.verdicts import (
    STANDARD,
    Finding,
    Part,
    Resampling,
    across,
    finding,
    mean_of_datasets,
    over_datasets,
    rank_correlation,
    untested,
)
from noise2mask.analysis.information.integral import Floats
from noise2mask.evaluation.bootstrap import Interval
from noise2mask.evaluation.differences import by_case, first_sampler, gain, step_counts
from noise2mask.evaluation.resampling import CaseGroups

SAME_ORDER = 0.5
"""Rank correlation from which on two orders of datasets are called the same (P3)."""

WITHOUT_LOSS = 0.01
"""One Dice point: what fewer steps may cost (P4)."""

MARGINS = {"ece": 0.005, "brier": 0.005, "iou": 0.01}
"""By how much an ensemble may be worse and still match (P6)."""


def p3_ranking(
    information: pd.DataFrame,
    sweeps: pd.DataFrame,
    *,
    feed_forward: str,
    resampling: Resampling = STANDARD,
) -> Finding:
    """P3: I(mask; image) ranks datasets as feed-forward Dice does.

    Region: Spearman's rank correlation of the bits per pixel (covariance estimate) with Dice, over
    datasets, is at least `SAME_ORDER`; see ``findings.rank_correlation`` for the interval and for
    what else a confirmation needs. Networks are averaged. The detail gives the correlation with
    the share of the mask's entropy, the lower of its two bounds, that the image tells.

    Args:
        information: the table of that name.
        sweeps: the table of that name.
        feed_forward: the mode.
        resampling: of the bootstrap over datasets.
    """
    claim = "The bits that the image tells of a mask rank datasets as feed-forward Dice does."
    statistic = "rank correlation with Dice"
    cell = ["dataset", "network"]
    rows = sweeps[(sweeps["mode"] == feed_forward) & (sweeps["metric"] == "dice")]
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
    means = both.groupby("dataset").mean()
    part = rank_correlation(
        "bits per pixel", means["bits"], means["dice"], resampling, low=SAME_ORDER
    )
    other = rank_correlation(
        "share of the mask's entropy", means["share"], means["dice"], resampling, low=SAME_ORDER
    )
    return finding("P3", claim, statistic, [part], f"beside it, {other}")


def p4_schedule(
    metrics: pd.DataFrame,
    fingerprints: pd.DataFrame,
    groups: CaseGroups,
    *,
    scales: Mapping[str, float],
    samplers: Sequence[str],
    resampling: Resampling = STANDARD,
) -> Finding:
    """P4: a harder schedule raises IoU, allows ten steps or fewer, and is for larger objects.

    Three parts, all of which must hold. (a) IoU of the modes with b from 0.1 to 0.3, their mean per
    case, less that with b = 1, at the most steps: region above 0, see ``findings.across``. (b) Dice
    of these modes at the most steps that are ten or fewer, less that at the most of all, where both
    draw equally often: region above -`WITHOUT_LOSS`; least steps within a Dice point of the most
    are told. (c) Rank correlation over datasets of the b of best IoU with the median area of
    objects, times -1: region above 0.

    Args:
        metrics: the table of that name.
        fingerprints: the table of that name.
        groups: of cases.
        scales: modes and their b; the one with b = 1 is the base.
        samplers: that start from pure noise and differ in steps.
        resampling: of the bootstrap.
    """
    claim = (
        "Masks scaled by b = 0.1 to 0.3 raise IoU and allow 10 steps or fewer without loss; "
        "larger objects want smaller b."
    )
    statistic = "difference, or rank correlation for (c)"
    table = metrics[metrics["sampler"].isin(list(samplers)) & metrics["mode"].isin(list(scales))]
    steps = step_counts(table)
    base = [mode for mode, b in scales.items() if b == 1]
    harder = [mode for mode, b in scales.items() if 0.1 <= b <= 0.3 and mode in set(table["mode"])]
    shared = [name for name in steps if all(_has(table, m, name) for m in (*base, *harder))]
    if not base or not harder or not shared:
        return untested("P4", claim, statistic, "no scores of b = 1 and of b from 0.1 to 0.3")
    most = max(shared, key=lambda name: steps[name])
    iou = pd.concat(
        {mode: by_case(table, "iou", mode, most) for mode in scales if _has(table, mode, most)},
        axis=1,
    )
    raised = (iou[harder].mean(axis=1, skipna=False) - iou[base[0]]).to_frame()
    of_cases = raised.groupby(["dataset", "case", "seed"]).mean()  # over networks
    parts = [
        across("(a) IoU", of_cases, mean_of_datasets, groups, resampling, low=0),
        _fewer_steps(table, harder, shared, groups, resampling),
    ]
    best = iou.groupby("dataset").mean().dropna(how="all").idxmax(axis=1).map(scales)
    area = fingerprints[fingerprints["figure"] == "area_q50"].set_index("dataset")["mean"]
    parts.append(rank_correlation("(c) smaller b, larger objects", -best, area, resampling, low=0))
    return finding("P4", claim, statistic, parts, f"(a) at {most}; best b: {_listed(best)}")


def p5_target(
    metrics: pd.DataFrame,
    groups: CaseGroups,
    *,
    feed_forward: str,
    diffusion: str,
    improved: str,
    resampling: Resampling = STANDARD,
) -> Finding:
    """P5: predicting x_0 with a Dice and cross-entropy loss removes most of the gap in Dice.

    The statistic is (improved - diffusion)/(feed_forward - diffusion), means over the datasets that
    have a gap. Region: above 0.5, see ``findings.across``. A dataset has a gap if the interval of
    its denominator lies above 0 (for all datasets at once); where none has, there is nothing to
    remove and the hypothesis is not tested.

    Args:
        metrics: the table of that name.
        groups: of cases.
        feed_forward: the mode E1.
        diffusion: the mode E2.
        improved: E2 with that target and loss.
        resampling: of the bootstrap.
    """
    claim = (
        f"{improved} removes more than half of the gap in Dice of {diffusion} to {feed_forward}."
    )
    statistic = "share of the gap removed"
    both = pd.DataFrame(
        {
            "closed": gain(metrics, "dice", improved, diffusion),
            "gap": gain(metrics, "dice", feed_forward, diffusion),
        }
    ).dropna()
    names = sorted(set(both.index.get_level_values("dataset")))
    single, told, kept = resampling.simultaneous(len(names)), [], []
    for name in names:
        rows = both[["gap"]][both.index.get_level_values("dataset") == name]
        interval = over_datasets(rows, mean_of_datasets, groups, single)
        kept += [name] if interval.low > 0 else []
        nothing = "" if interval.low > 0 else ", none beyond chance"
        mean, low, high = interval[:3]
        told.append(f"gap in {name} {mean:.3g} [{low:.3g}, {high:.3g}]{nothing}")
    both = both[both.index.get_level_values("dataset").isin(kept)]
    if both.empty:
        return untested("P5", claim, statistic, "; ".join(told) or "no scores of the three modes")

    def removed(means: Floats) -> Floats:
        closed, gap = means.mean(axis=1).T
        share: Floats = np.divide(closed, gap, out=np.full_like(gap, np.nan), where=gap > 0)
        return share

    part = across("Dice", both, removed, groups, resampling, low=0.5)
    return finding("P5", claim, statistic, [part], told="; ".join(told))


def p6_ensemble(
    metrics: pd.DataFrame,
    groups: CaseGroups,
    *,
    ensemble: str,
    diffusion: str,
    samplers: tuple[str, str] | None = None,
    resampling: Resampling = STANDARD,
) -> Finding:
    """P6: a feed-forward ensemble matches or beats diffusion in ECE, Brier score and IoU.

    The statistic is by how much the ensemble is better. Region: above minus the metric's margin of
    `MARGINS`, for each of the three, see ``findings.across``. Calibration depends on N, so an
    ensemble of other than N members is not tested against N draws.

    Args:
        metrics: the table of that name.
        groups: of cases.
        ensemble: the mode.
        diffusion: the mode.
        samplers: of the ensemble, whose draws are its members, and of diffusion; by default the
            first of each mode.
        resampling: of the bootstrap.
    """
    claim = f"{ensemble} matches or beats {diffusion} in ECE, Brier score and IoU."
    statistic = "by how much the ensemble is better"
    modes = (ensemble, diffusion)
    chosen = samplers or [first_sampler(metrics, mode) for mode in modes]
    rows, drawn = [], {}
    for mode, sampler in zip(modes, chosen, strict=True):
        rows.append(metrics[(metrics["mode"] == mode) & (metrics["sampler"] == sampler)])
        drawn[f"{mode} ({sampler})"] = sorted(set(rows[-1]["draws"]))
    if all(drawn.values()) and len(set(map(tuple, drawn.values()))) > 1:
        of = [f"{name} has N = {', '.join(map(str, n))}" for name, n in drawn.items()]
        return untested("P6", claim, statistic, f"{' but '.join(of)}: name samplers of equal N")
    margins = ", ".join(f"{name} {margin:g}" for name, margin in MARGINS.items())
    parts = []
    for metric, margin in MARGINS.items():
        better = gain(pd.concat(rows), metric, *modes) * (1 if metric == "iou" else -1)
        parts.append(
            across(metric, better.to_frame(), mean_of_datasets, groups, resampling, low=-margin)
        )
    return finding("P6", claim, statistic, parts, f"margins: {margins}")


def p7_recycling(
    metrics: pd.DataFrame,
    fingerprints: pd.DataFrame,
    groups: CaseGroups,
    *,
    recycled: str,
    diffusion: str,
    resampling: Resampling = STANDARD,
) -> Finding:
    """P7: training on the model's own prediction gains most where the mask survives longest.

    The statistic is the rank correlation over datasets of the gain in Dice with minus the log SNR
    at which the image-free Dice falls half-way to its floor. Region: above 0, see
    ``findings.rank_correlation``; the detail gives each gain.

    Args:
        metrics: the table of that name.
        fingerprints: the table of that name.
        groups: of cases.
        recycled: the mode that is trained on its own prediction.
        diffusion: the same without.
        resampling: of the bootstrap.
    """
    claim = f"{recycled} gains most over {diffusion} where the mask survives longest."
    statistic = "rank correlation over datasets"
    gains = gain(metrics, "dice", recycled, diffusion).dropna()
    if gains.empty:
        return untested("P7", claim, statistic, f"no Dice of both {recycled} and {diffusion}")
    rows = fingerprints[fingerprints["figure"] == "log_snr_at_half"]
    survival = -rows.set_index("dataset")["mean"].astype(float)
    means = gains.groupby("dataset").mean()
    part = rank_correlation("gain and survival", means, survival, resampling, low=0)
    each = across("gain in Dice", gains.to_frame(), mean_of_datasets, groups, resampling, low=0)
    return finding("P7", claim, statistic, [part], f"{each}")


def _has(table: pd.DataFrame, mode: str, sampler: str) -> bool:
    return bool(((table["mode"] == mode) & (table["sampler"] == sampler)).any())


def _fewer_steps(
    table: pd.DataFrame,
    modes: Sequence[str],
    samplers: Sequence[str],
    groups: CaseGroups,
    resampling: Resampling,
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
        return Part(label, Interval(np.nan, np.nan, np.nan, 0), "not tested", reason)
    dice = {
        name: pd.concat([by_case(table, "dice", mode, name) for mode in modes], axis=1)
        .mean(axis=1, skipna=False)
        .groupby(["dataset", "case", "seed"])
        .mean()
        for name in samplers
    }
    chosen = max(fewer, key=lambda name: steps[name])
    lost = (dice[chosen] - dice[most]).to_frame()
    part = across(label, lost, mean_of_datasets, groups, resampling, low=-WITHOUT_LOSS)
    means = {name: values.groupby("dataset").mean().mean() for name, values in dice.items()}
    enough = [steps[name] for name in samplers if means[name] >= means[most] - WITHOUT_LOSS]
    return part._replace(
        note=f"{part.note}; {chosen} against {most}; {min(enough)} steps are within a Dice point"
    )


def _listed(values: "pd.Series[float]") -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items())
