"""The claims of the paper on what noise leaves of masks and images, C4 to C6.

Rules and terms are those of :mod:`noise2mask.analysis.claims.paper_scores`. Timesteps t are those
of the linear schedule of 1000 and masks of -1 and +1 unless a study trains otherwise. What holds of
one dataset is decided for each; the verdict is the one that all share, and undecided where they
differ.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from noise2mask.analysis.claims.paper_scores import (
    Claim,
    Setting,
    apart,
    interval_of,
    interval_text,
    shared,
    untested,
)
from noise2mask.analysis.claims.verdicts import STANDARD, Resampling, decided
from noise2mask.analysis.fingerprints.fingerprint import crossing
from noise2mask.analysis.information.curves import Curves, image_pairs
from noise2mask.analysis.information.information import converted, covariance
from noise2mask.analysis.information.integral import NEGLIGIBLE, Bootstrap, Floats
from noise2mask.analysis.oracles.exact import decided_from
from noise2mask.analysis.oracles.noisy_masks import linear_log_snr
from noise2mask.evaluation.bootstrap import Interval
from noise2mask.evaluation.labels import names_in, number
from noise2mask.evaluation.resampling import CaseGroups, units

HEIGHTS = (0.9, 0.5)
"""Shares of the variance between which the width of a loss of information is taken."""

NOTHING = 0.01
"""Share of the bits that is next to nothing."""

SOME = 0.1
"""Share of the timesteps from which on they are some; of evenly spread bits it would be 0.01."""


def c4_gradual(image_oracles: pd.DataFrame, oracles: pd.DataFrame, setting: Setting) -> Claim:
    """C4: masks lose their information differently from images: not gradually.

    The statistic is the width in log SNR over which the share of variance that one and the same
    filter recovers falls from 0.9 to 0.5, of masks less that of the images. Region: below 0. Its
    interval comes from where the ends of the intervals at each level cross these shares, the ends
    added up: too wide rather than too narrow. Beside it, without a verdict, stands the width for
    the oracle `multiscale`, which knows that a mask has two levels; images have no such oracle.

    Args:
        image_oracles: the table of that name.
        oracles: the table of that name.
        setting: of the study.
    """
    statement = "Masks lose their information differently from images: not gradually."
    if image_oracles.empty:
        return untested("C4", statement, "masks were not compared with images")
    verdicts, told, knowing = [], [], []
    for dataset in names_in(image_oracles, "dataset"):
        rows = image_oracles[image_oracles["dataset"] == dataset]
        mask, image = (_width(rows[rows["subject"] == each]) for each in ("mask", "image"))
        verdicts.append(decided(apart(mask, image), high=0))
        label = setting.labels.dataset(dataset)
        told.append(
            f"{label} {interval_text(mask, 1)} against {interval_text(image, 1)} ({verdicts[-1]})"
        )
        knowing.append(number(_two_levels(oracles, dataset), 1))
    remark = (
        f"{setting.scale(names_in(image_oracles, 'dataset'))}; one linear filter for both, which "
        "does not profit from the two levels of a mask."
    )
    numbers = (
        "Width in log SNR of the fall from 90 % to 50 % of recovered variance, masks against "
        f"images: {'; '.join(told)}. Masks for an oracle that knows their two levels: "
        f"{', '.join(knowing)}."
    )
    return Claim("C4", statement, shared(verdicts), numbers, remark)


def c5_fingerprints(fingerprints: pd.DataFrame, setting: Setting) -> Claim:
    """C5: MoNuSeg loses its masks early, ISIC16 stays readable to high t.

    The statistic is the log SNR at which the image-free Dice has fallen half-way to its floor, of
    MoNuSeg less that of ISIC16. Region: above 0; the interval is that between the ends of the two.

    Args:
        fingerprints: the table of that name.
        setting: of the study.
    """
    statement = (
        "Fingerprints differ: MoNuSeg loses its masks early, ISIC16 stays readable to high t."
    )
    places, shown, told = [], [], []
    for paper in ("MoNuSeg", "ISIC16"):
        dataset = _standing_for(names_in(fingerprints, "dataset"), paper, setting)
        rows = fingerprints[fingerprints["dataset"] == dataset].drop_duplicates("figure")
        found = {str(row["figure"]): interval_of(row, "mean") for _, row in rows.iterrows()}
        if not {"log_snr_at_half", "t_at_half"} <= set(found):
            return untested("C5", statement, f"no fingerprint of {paper} or what stands for it")
        half, t = found["log_snr_at_half"], found["t_at_half"]
        places.append(half)
        shown.append(dataset)
        told.append(f"{setting.labels.dataset(dataset)} {interval_text(half, 2)}, t = {t.mean:.0f}")
    numbers = f"Log SNR at which the image-free Dice has fallen half-way: {'; '.join(told)}."
    remark = (
        f"{setting.scale(shown)}, {places[0].n} and {places[1].n} masks; half the resolution moves "
        "such a place by about 1.4."
    )
    return Claim("C5", statement, decided(apart(*places), low=0), numbers, remark)


def c6_idle_timesteps(
    measured: pd.DataFrame,
    groups: CaseGroups,
    setting: Setting,
    *,
    pair: Mapping[str, str] | None,
    resampling: Resampling = STANDARD,
) -> Claim:
    """C6: some timesteps get next to nothing from the image.

    The statistic is the largest share of the timesteps of the linear schedule that together hold no
    more than `NOTHING` of the bits that the image tells of a mask (covariance estimate, see
    ``information.Estimates``; negative densities count as 0). Region: at least `SOME`. Intervals
    hold for all datasets and networks at once (Bonferroni).

    Args:
        measured: see ``curves``, errors of clipped estimates.
        groups: of cases.
        setting: of the study.
        pair: the modes `with_image` and `without_image`, None if the study has no such pair.
        resampling: of the bootstrap.
    """
    statement = "Some timesteps get next to nothing from the image."
    pairs = list(image_pairs(measured, **pair)) if pair else []
    if not pairs:
        return untested("C6", statement, "networks with and without the image were not measured")
    options = resampling.simultaneous(len(pairs))._asdict()
    axis = linear_log_snr()
    verdicts, told = [], []
    for key, blind, seen in pairs:
        cases, drawn = _densities(seen, blind), units(groups, key.dataset, seen.cases)
        idle = _Idle(seen.log_snr, decided_from(seen.pixels, NEGLIGIBLE))
        found, over_axis = (
            Bootstrap(drawn, **options).interval(cases, partial(idle.share, at=at))
            for at in (axis, np.linspace(axis[0], axis[-1], len(axis)))
        )
        verdicts.append(decided(found, low=SOME))
        mean = cases[~np.isnan(cases).any(axis=1)].mean(axis=0, keepdims=True)
        used = np.flatnonzero(~idle.steps(mean, axis)[0])
        where = f"all but t = {used[0]} to {used[-1]}" if len(used) else "there are no bits"
        told.append(
            f"{setting.labels.dataset(key.dataset)} {interval_text(found, 2)} ({where}; "
            f"{number(over_axis.mean, 2)} of the axis of log SNR)"
        )
    listed = "; ".join(told)
    numbers = f"Share of timesteps that together hold {100 * NOTHING:g} % of the bits: {listed}."
    remark = (
        f"{setting.scale(key.dataset for key, _, _ in pairs)}; T = 1000, linear schedule; bits are "
        "an estimate from two networks, with and without the image."
    )
    return Claim("C6", statement, shared(verdicts), numbers, remark)


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


def _standing_for(datasets: list[str], paper: str, setting: Setting) -> str:
    """The first dataset that stands for one of the paper, or is called like it; or nothing."""
    for name in datasets:
        called = setting.stands_for.get(name, setting.labels.dataset(name))
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
        """The steps (rows, steps) that together hold no more than `NOTHING`, the emptiest first.

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
        np.put_along_axis(idle, order, filled <= NOTHING * filled[:, -1:], axis=1)
        return idle

    def share(self, means: Floats, at: Floats) -> Floats:
        """The share of such steps (rows,); NaN without information."""
        some = (means > 0).any(axis=1)
        return np.asarray(np.where(some, self.steps(means, at).mean(axis=1), np.nan))
