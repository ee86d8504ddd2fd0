"""What becomes of the paper's claim C3, on losses over the noise axis.

Rules and terms are those of :mod:`noise2mask.analysis.claims.paper_scores`. Each curve, of one
dataset and network, is decided; the verdict is the one that all share, and undecided where they
differ.
"""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from noise2mask.analysis.claims.paper_scores import (
    Claim,
    Setting,
    apart,
    counted,
    interval_of,
    interval_text,
    shared,
    untested,
)
from noise2mask.analysis.claims.verdicts import Part, Verdict, decided, together
from noise2mask.analysis.oracles.noisy_masks import linear_log_snr
from noise2mask.evaluation.bootstrap import Interval

POSTERIOR = "posterior"
"""The mode whose loss comes nearest to the optimum."""

EARLY = 50
"""Timestep of the linear schedule before which the loss of E2 is claimed to fall sharply."""

SHARPLY = 0.5
"""Share of its first value below which a loss has fallen sharply."""

OPPOSITE: dict[Verdict, Verdict] = {
    "confirmed": "refuted", "refuted": "confirmed", "undecided": "undecided",
}  # fmt: skip
"""Of a verdict on "non-monotonic", that on "monotonic"."""


def c3_images(
    losses: pd.DataFrame, structure: pd.DataFrame, setting: Setting, *, mode: str | None
) -> Claim:
    """C3a: over t the loss of E4, image generation, falls monotonically.

    For each curve: it is monotone if the depth of non-monotonicity lies below what counts (see
    ``structure.non_monotonicity``), and falls if the interval at the last timestep lies below that
    at the first. Confirmed: both; refuted: non-monotone, or the last lies above the first.

    Args:
        losses: the table of that name.
        structure: the table of that name.
        setting: of the study.
        mode: that of E4, None if it was not measured.
    """
    statement = "Over t the loss of image generation (E4) falls monotonically."
    found = list(_curves(losses, structure, mode))
    if not found:
        return untested("C3a", statement, "the loss of E4 was not measured")
    verdicts = []
    for row, curve in found:
        first, last = (interval_of(curve.iloc[place], "loss") for place in (0, -1))
        verdicts.append(_both(OPPOSITE[row["verdict"]], decided(apart(last, first), high=0)))
    deepest = max((row for row, _ in found), key=lambda row: float(row["depth"]))
    numbers = (
        f"{counted(verdicts, 'curve').capitalize()}; largest depth of non-monotonicity (0 is "
        f"monotone, 0.1 counts) {interval_text(interval_of(deepest, 'depth'), 3)}, "
        f"{setting.labels.dataset(str(deepest['dataset']))}."
    )
    return Claim("C3a", statement, shared(verdicts), numbers, _measured(found, setting))


def c3_masks(
    losses: pd.DataFrame, structure: pd.DataFrame, setting: Setting, *, mode: str | None
) -> Claim:
    """C3b: over t the loss of E2, diffusion segmentation, falls sharply for t < 50 and rises again.

    Both must hold of a curve. It falls sharply if at the log SNR of t = 50 it is below `SHARPLY`
    times its first value (ends of the two intervals compared, so hasty in neither direction), and
    rises again if it is non-monotonic, see ``structure.non_monotonicity``.

    Args:
        losses: the table of that name.
        structure: the table of that name.
        setting: of the study.
        mode: that of E2 with the loss of eps, None if it was not measured.
    """
    statement = (
        f"Over t the loss of diffusion segmentation (E2) falls sharply for t < {EARLY} and rises "
        "again."
    )
    found = list(_curves(losses, structure, mode))
    if not found:
        return untested("C3b", statement, "the loss of E2, trained on eps, was not measured")
    falls, kept = [], []
    place = float(linear_log_snr()[EARLY])
    for _, curve in found:
        first, early = interval_of(curve.iloc[0], "loss"), _at(curve, place)
        share = Interval(early.mean / first.mean, early.low / first.high, early.high / first.low, 0)
        kept.append(share.mean)
        falls.append(decided(share, high=SHARPLY))
    rises = [row["verdict"] for row, _ in found]
    depths = [float(row["depth"]) for row, _ in found]
    verdicts = [_both(*each) for each in zip(falls, rises, strict=True)]
    numbers = (
        f"Sharp fall {counted(falls, 'curve')}: {min(kept):.2f} to {max(kept):.2f} of the first "
        f"loss are left at t = {EARLY}. Rise {counted(rises, 'curve')}: depth of "
        f"non-monotonicity {min(depths):.3f} to {max(depths):.3f}, where 0.1 counts."
    )
    remark = _measured(found, setting)
    best = [row["verdict"] for row, _ in _curves(losses, structure, POSTERIOR)]
    if best:
        remark += (
            f" For the mode {POSTERIOR}, whose network comes nearer to the optimum, non-monotonic "
            f"is {counted(best, 'curve')}."
        )
    return Claim("C3b", statement, shared(verdicts), numbers, remark)


def _both(first: Verdict, second: Verdict) -> Verdict:
    """Of a claim that two things hold."""
    nothing = Interval(math.nan, math.nan, math.nan, 0)
    return together([Part("", nothing, each) for each in (first, second)])


def _curves(
    losses: pd.DataFrame, structure: pd.DataFrame, mode: str | None
) -> Iterator[tuple[pd.Series, pd.DataFrame]]:
    """The row of the table `structure`, and the curve by ascending t, of each loss of eps."""
    rows = structure[(structure["mode"] == mode) & (structure["target"] == "eps")]
    for _, row in rows.iterrows():
        same = losses["target"] == "eps"
        for key in ("dataset", "network", "mode"):
            same &= losses[key] == row[key]
        yield row, losses[same].sort_values("t")


def _at(curve: pd.DataFrame, log_snr: float) -> Interval:
    """The loss at a log SNR, linear between levels; NaN beyond them."""
    ordered = curve.sort_values("log_snr")
    mean, low, high = (
        float(np.interp(log_snr, ordered["log_snr"], ordered[name], left=math.nan, right=math.nan))
        for name in ("loss", "low", "high")
    )
    return Interval(mean, low, high, 0)


def _measured(found: list[tuple[pd.Series, pd.DataFrame]], setting: Setting) -> str:
    """The scale of measured curves in words."""
    datasets = {str(row["dataset"]): int(row["n"]) for row, _ in found}
    networks = {str(row["network"]) for row, _ in found}
    titles = ", ".join(setting.labels.network(name) for name in sorted(networks))
    return f"{setting.scale(datasets, sum(datasets.values()))}; {titles}."
