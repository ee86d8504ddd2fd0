"""The claims of the paper on losses over the noise and on what noise leaves of masks, C3 to C6.

Rules and terms are those of :mod:`noise2mask.analysis.claims.verdicts`. Timesteps t are those of
the linear schedule of 1000 and masks of -1 and +1 unless a study trains otherwise. What holds of
one dataset, or of the curve of one dataset and network, is decided for each; the verdict is the one
that all share, and undecided where they differ. Intervals that are put together of others are too
wide rather than too narrow, and have no p-value.
"""

import math
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from noise2mask.analysis.claims.evidence import Evidence
from noise2mask.analysis.claims.verdicts import (
    NOTHING,
    Outcome,
    Part,
    Verdict,
    apart,
    claim,
    counted,
    decided,
    interval_of,
    interval_text,
    shared,
    together,
)
from noise2mask.analysis.fingerprints.fingerprint import crossing
from noise2mask.analysis.information.curves import Curves, image_pairs
from noise2mask.analysis.information.information import converted, covariance
from noise2mask.analysis.information.integral import NEGLIGIBLE, Bootstrap, Floats
from noise2mask.analysis.oracles.exact import decided_from
from noise2mask.analysis.oracles.noisy_masks import linear_log_snr
from noise2mask.evaluation.bootstrap import Interval, units_of
from noise2mask.evaluation.labels import names_in, number
from noise2mask.study.plan import run_settings, trainings_of

EARLY = 50
"""Timestep of the linear schedule before which the loss of E2 is claimed to fall sharply."""
SHARPLY = 0.5
"""Share of its first value below which a loss has fallen sharply."""
OPPOSITE: dict[Verdict, Verdict] = {
    "confirmed": "refuted", "refuted": "confirmed", "undecided": "undecided",
}  # fmt: skip
"""Of a verdict on "non-monotonic", that on "monotonic"."""
HEIGHTS = (0.9, 0.5)
"""Shares of the variance between which the width of a loss of information is taken."""
NOTHING_LEFT = 0.01
"""Share of the bits that is next to nothing."""
SOME = 0.1
"""Share of the timesteps from which on they are some; of evenly spread bits it would be 0.01."""


class LossCurve(NamedTuple):
    """The loss of eps of one dataset and network: its structure, and the curve by ascending t."""

    row: pd.Series
    curve: pd.DataFrame


@claim(
    name="C3a",
    statement="Over t the loss of image generation (E4) falls monotonically.",
    objective="loss of eps over t: depth of non-monotonicity, and last less first value",
    needs=("losses",),
    conditions=("converged", "own target"),
    rule="after a first look at phantoms",
)
def c3a(evidence: Evidence) -> Outcome:
    """C3a: over t the loss of E4, image generation, falls monotonically.

    For each curve: it is monotone if the depth of non-monotonicity lies below what counts (see
    ``humps.non_monotonicity``), and falls if the interval at the last timestep lies below that at
    the first. Confirmed: both; refuted: non-monotone, or the last lies above the first.
    """
    found = list(_curves(evidence, "image_diffusion"))
    if not found:
        return Outcome(reason="the loss of E4, trained on eps, was not measured")
    verdicts = []
    for row, curve in found:
        first, last = (interval_of(curve.iloc[place], "loss") for place in (0, -1))
        verdicts.append(_both(OPPOSITE[row["verdict"]], decided(apart(last, first), high=0)))
    deepest = max((row for row, _ in found), key=lambda row: float(row["depth"]))
    depth = interval_of(deepest, "depth")
    numbers = (
        f"{counted(verdicts, 'curve').capitalize()}; largest depth of non-monotonicity (0 is "
        f"monotone, 0.1 counts) {interval_text(depth, 3)}, "
        f"{evidence.labels.dataset(str(deepest['dataset']))}."
    )
    return _measured(evidence, found, Part("depth", depth, shared(verdicts)), numbers)


@claim(
    name="C3b",
    statement="Over t the loss of diffusion segmentation (E2) falls sharply for t < 50 and rises "
    "again.",
    objective="loss of eps over t: share left at t = 50, and depth of non-monotonicity",
    needs=("losses",),
    conditions=("converged", "own target"),
    rule="after a first look at phantoms",
)
def c3b(evidence: Evidence) -> Outcome:
    """C3b on masks, for networks that predict eps themselves and have converged.

    Both must hold of a curve. It falls sharply if at the log SNR of t = 50 it is below `SHARPLY`
    times its first value (ends of the two intervals compared, so hasty in neither direction), and
    rises again if it is non-monotonic, see ``humps.non_monotonicity``. The mode `posterior`, to
    whose network the exact evidence of the pixel is added, has a hump whatever its weights, and
    says nothing here.
    """
    found = list(_curves(evidence, "diffusion"))
    if not found:
        return Outcome(reason="the loss of E2, trained on eps, was not measured")
    falls, kept = [], []
    place = float(linear_log_snr()[EARLY])
    for _, curve in found:
        first, early = interval_of(curve.iloc[0], "loss"), _at(curve, place)
        share = Interval(early.mean / first.mean, early.low / first.high, early.high / first.low, 0)
        kept.append(share.mean)
        falls.append(decided(share, high=SHARPLY))
    rises: list[Verdict] = [row["verdict"] for row, _ in found]
    verdicts = [_both(*each) for each in zip(falls, rises, strict=True)]
    shallowest = min((row for row, _ in found), key=lambda row: float(row["depth"]))
    depths = [float(row["depth"]) for row, _ in found]
    numbers = (
        f"Sharp fall {counted(falls, 'curve')}: {min(kept):.2f} to {max(kept):.2f} of the first "
        f"loss are left at t = {EARLY}. Rise {counted(rises, 'curve')}: depth of "
        f"non-monotonicity {min(depths):.3f} to {max(depths):.3f}, where 0.1 counts."
    )
    part = Part("depth", interval_of(shallowest, "depth"), shared(verdicts))
    return _measured(evidence, found, part, numbers)


@claim(
    name="C4",
    statement="Masks lose their information differently from images: not gradually.",
    objective="width in log SNR of the fall from 90 % to 50 % of recovered variance",
    needs=("images under noise",),
    rule="after a first look at phantoms",
)
def c4(evidence: Evidence) -> Outcome:
    """C4: masks lose their information differently from images: not gradually.

    The statistic is the width in log SNR over which the share of variance that one and the same
    filter recovers falls from 0.9 to 0.5, of masks less that of the images. Region: below 0. Its
    interval comes from where the ends of the intervals at each level cross these shares, the ends
    added up. Beside it, without a verdict, stands the width for the oracle `multiscale`, which
    knows that a mask has two levels; images have no such oracle.
    """
    table = evidence.analysis.image_oracles
    verdicts, told, knowing, gaps = [], [], [], []
    for dataset in names_in(table, "dataset"):
        rows = table[table["dataset"] == dataset]
        mask, image = (_width(rows[rows["subject"] == each]) for each in ("mask", "image"))
        gaps.append(apart(mask, image))
        verdicts.append(decided(gaps[-1], high=0))
        label = evidence.labels.dataset(dataset)
        told.append(
            f"{label} {interval_text(mask, 1)} against {interval_text(image, 1)} ({verdicts[-1]})"
        )
        knowing.append(number(_two_levels(evidence.analysis.oracles, dataset), 1))
    remark = (
        f"{evidence.scale(names_in(table, 'dataset'))}; one linear filter for both, which does not "
        "profit from the two levels of a mask"
    )
    numbers = (
        "Width in log SNR of the fall from 90 % to 50 % of recovered variance, masks against "
        f"images: {'; '.join(told)}. Masks for an oracle that knows their two levels: "
        f"{', '.join(knowing)}."
    )
    verdict = shared(verdicts)
    shown = gaps[verdicts.index(verdict)] if verdict in verdicts else gaps[0]
    return Outcome([Part("width", shown, verdict)], numbers, remark)


@claim(
    name="C5",
    statement="Fingerprints differ: MoNuSeg loses its masks early, ISIC16 stays readable to high "
    "t.",
    objective="log SNR at which the image-free Dice has fallen half-way to its floor",
    needs=("fingerprints",),
    rule="after a first look at phantoms",
)
def c5(evidence: Evidence) -> Outcome:
    """C5: MoNuSeg loses its masks early, ISIC16 stays readable to high t.

    The statistic is the log SNR at which the image-free Dice has fallen half-way to its floor, of
    MoNuSeg less that of ISIC16. Region: above 0; the interval is that between the ends of the two.
    """
    places, shown, told = [], [], []
    table = evidence.analysis.fingerprints
    for paper in ("MoNuSeg", "ISIC16"):
        dataset = _standing_for(evidence, names_in(table, "dataset"), paper)
        rows = table[table["dataset"] == dataset].drop_duplicates("figure")
        found = {str(row["figure"]): interval_of(row, "mean") for _, row in rows.iterrows()}
        if not {"log_snr_at_half", "t_at_half"} <= set(found):
            return Outcome(reason=f"no fingerprint of {paper} or what stands for it")
        half, t = found["log_snr_at_half"], found["t_at_half"]
        places.append(half)
        shown.append(dataset)
        label = evidence.labels.dataset(dataset)
        told.append(f"{label} {interval_text(half, 2)}, t = {t.mean:.0f}")
    numbers = f"Log SNR at which the image-free Dice has fallen half-way: {'; '.join(told)}."
    remark = (
        f"{evidence.scale(shown)}, {places[0].n} and {places[1].n} independent units; half the "
        "resolution moves such a place by about 1.4"
    )
    gap = apart(*places)
    least = min(place.n for place in places)
    part = Part("difference", gap._replace(n=least), decided(gap, low=0))
    return Outcome([part], numbers, remark)


@claim(
    name="C6",
    statement="Some timesteps get next to nothing from the image.",
    objective="share of timesteps that together hold 1 % of the bits",
    needs=("image pair",),
    rule="after a first look at phantoms",
)
def c6(evidence: Evidence) -> Outcome:
    """C6: some timesteps get next to nothing from the image.

    The statistic is the largest share of the timesteps of the linear schedule that together hold no
    more than `NOTHING_LEFT` of the bits that the image tells of a mask (covariance estimate, see
    ``information.Estimates``; negative densities count as 0). Region: at least `SOME`, where the
    image tells anything: a dataset whose bits are not above 0 beyond chance is undecided. Intervals
    hold for all datasets and networks at once (Bonferroni).
    """
    pair = evidence.study.analysis.pair
    pairs = list(image_pairs(evidence.clipped(), **pair.model_dump())) if pair else []
    if not pair or not pairs:
        return Outcome(reason="networks with and without the image were not measured")
    options = evidence.resampling.simultaneous(len(pairs))._asdict()
    axis = linear_log_snr()
    parts, told = [], []
    for key, blind, seen in pairs:
        dataset, cases = key.dataset, _densities(seen, blind)
        drawn = Bootstrap(units_of(evidence.groups, dataset, seen.cases), **options)
        idle = _Idle(seen.log_snr, decided_from(seen.pixels, NEGLIGIBLE))
        found, over_axis = (
            drawn.interval(cases, partial(idle.share, at=at))
            for at in (axis, np.linspace(axis[0], axis[-1], len(axis)))
        )
        bits = drawn.interval(cases, idle.bits)
        verdict = decided(found, low=SOME) if bits.low > 0 else "undecided"
        label = evidence.labels.dataset(dataset)
        parts.append(
            Part(label, found, verdict, seeds=evidence.seeds_measured(dataset, pair.with_image))
        )
        mean = cases[~np.isnan(cases).any(axis=1)].mean(axis=0, keepdims=True)
        used = np.flatnonzero(~idle.steps(mean, axis)[0])
        where = f"all but t = {used[0]} to {used[-1]}" if len(used) else "there are no bits"
        if not bits.low > 0:
            where = "bits not above 0 beyond chance"
        told.append(
            f"{label} {interval_text(found, 2)} ({where}; {number(over_axis.mean, 2)} of the axis "
            "of log SNR)"
        )
    verdict = shared(part.verdict for part in parts)
    shown = next((part for part in parts if part.verdict == verdict), parts[0])
    listed = "; ".join(told)
    numbers = (
        f"Share of timesteps that together hold {100 * NOTHING_LEFT:g} % of the bits: {listed}."
    )
    remark = (
        f"{evidence.scale(key.dataset for key, _, _ in pairs)}; T = 1000, linear schedule; bits "
        "are an estimate from two networks, with and without the image"
    )
    return Outcome([shown._replace(verdict=verdict)], numbers, remark)


def _both(first: Verdict, second: Verdict) -> Verdict:
    """Of a claim that two things hold."""
    return together([Part("", NOTHING, each) for each in (first, second)])


def _curves(evidence: Evidence, mode: str) -> Iterator[LossCurve]:
    """Losses of eps of the first measured mode of this kind that is trained on eps."""
    chosen = _on_eps(evidence, mode)
    structure, losses = evidence.analysis.structure, evidence.analysis.losses
    rows = structure[(structure["mode"] == chosen) & (structure["target"] == "eps")]
    for _, row in rows.iterrows():
        same = losses["target"] == "eps"
        for key in ("dataset", "network", "mode"):
            same &= losses[key] == row[key]
        yield LossCurve(row, losses[same].sort_values("t"))


def _on_eps(evidence: Evidence, mode: str) -> str | None:
    study = evidence.study
    for training in trainings_of(study):
        measured = training.mode in study.analysis.measured
        of_kind = measured and study.modes[training.mode].mode == mode
        if of_kind and run_settings(study, training).diffusion.target == "eps":
            return training.mode
    return None


def _at(curve: pd.DataFrame, log_snr: float) -> Interval:
    """The loss at a log SNR, linear between levels; NaN beyond them."""
    ordered = curve.sort_values("log_snr")
    mean, low, high = (
        float(np.interp(log_snr, ordered["log_snr"], ordered[name], left=math.nan, right=math.nan))
        for name in ("loss", "low", "high")
    )
    return Interval(mean, low, high, 0)


def _measured(evidence: Evidence, found: list[LossCurve], part: Part, numbers: str) -> Outcome:
    """The outcome of measured curves."""
    datasets = {str(row["dataset"]): int(row["n"]) for row, _ in found}
    networks = [(str(row["dataset"]), str(row["network"]), str(row["mode"])) for row, _ in found]
    titles = ", ".join(
        evidence.labels.network(name) for name in sorted({each[1] for each in networks})
    )
    seeds = max(evidence.seeds_measured(dataset, mode) for dataset, _, mode in networks)
    remark = f"{evidence.scale(datasets, sum(datasets.values()))}; {titles}"
    return Outcome([part._replace(seeds=seeds)], numbers, remark, networks)


def _width(rows: pd.DataFrame) -> Interval:
    """Width in log SNR between `HEIGHTS` of one subject; NaN where a share is not reached."""
    ordered = rows.sort_values("log_snr", ascending=False)
    axis = ordered["log_snr"].to_numpy(dtype=np.float64)
    shares = ordered[["explained", "low", "high"]].to_numpy(dtype=np.float64).T
    top, bottom = (crossing(shares, axis, height) for height in HEIGHTS)
    return Interval(
        top[0] - bottom[0], top.min() - bottom.max(), top.max() - bottom.min(), len(axis)
    )


def _two_levels(oracles: pd.DataFrame, dataset: str) -> float:
    """The width between `HEIGHTS` for the oracle `multiscale`."""
    rows = oracles[(oracles["dataset"] == dataset) & (oracles["oracle"] == "multiscale")]
    if rows.empty:
        return math.nan
    ordered = rows.sort_values("log_snr", ascending=False)
    error = ordered["mse_x0"].to_numpy(dtype=np.float64)
    # At the lowest SNR nothing is recovered: what is left there is the variance.
    shares, axis = 1 - error[None] / error[-1], ordered["log_snr"].to_numpy(dtype=np.float64)
    top, bottom = (crossing(shares, axis, height)[0] for height in HEIGHTS)
    return float(top - bottom)


def _standing_for(evidence: Evidence, datasets: list[str], paper: str) -> str:
    """The first dataset that stands for one of the paper, or is called like it; or nothing."""
    for name in datasets:
        called = evidence.stands_for.get(name, evidence.labels.dataset(name))
        if paper.casefold() in called.casefold():
            return name
    return ""


def _densities(seen: Curves, blind: Curves) -> Floats:
    """What the image tells of each case per unit of log SNR, (cases, levels), covariance."""
    squared = covariance(blind.errors, seen.errors, seen.distances)
    return converted(squared, seen.log_snr, gap=seen.gap, given="x_0", wanted="eps")


class _Idle(NamedTuple):
    """Which steps along log SNR hold next to nothing.

    Attributes:
        log_snr: (levels,) of the densities.
        ceiling: log SNR from which on a mask is decided.
    """

    log_snr: Floats
    ceiling: float

    def steps(self, means: Floats, at: Floats) -> NDArray[np.bool_]:
        """The steps (rows, steps) that hold no more than `NOTHING_LEFT` in all, the emptiest first.

        Args:
            means: densities (rows, levels); none are negative in truth.
            at: log SNR of each step, descending.
        """
        kept = np.argsort(self.log_snr)
        kept = kept[self.log_snr[kept] <= self.ceiling]
        # Linear between levels: as a matrix, since there are many rows.
        weights = np.array([np.interp(at, self.log_snr[kept], one) for one in np.eye(len(kept))])
        bits = np.maximum(means[:, kept], 0) @ weights * -np.gradient(at) * (at <= self.ceiling)
        order = np.argsort(bits, axis=1, kind="stable")
        filled = np.cumsum(np.take_along_axis(bits, order, axis=1), axis=1)
        idle = np.zeros(bits.shape, dtype=np.bool_)
        np.put_along_axis(idle, order, filled <= NOTHING_LEFT * filled[:, -1:], axis=1)
        return idle

    def share(self, means: Floats, at: Floats) -> Floats:
        """The share of such steps (rows,); NaN without information."""
        some = (means > 0).any(axis=1)
        return np.asarray(np.where(some, self.steps(means, at).mean(axis=1), np.nan))

    def bits(self, means: Floats) -> Floats:
        """What the densities come to over the axis of log SNR (rows,), negative ones too."""
        kept = np.argsort(self.log_snr)
        kept = kept[self.log_snr[kept] <= self.ceiling]
        return np.asarray(np.trapezoid(means[:, kept], self.log_snr[kept], axis=1))
