"""Tables of losses, their structure and information, from errors per case and noise level.

What a table `measured` and groups are is said in :mod:`noise2mask.analysis.information.curves`; the
columns of what is made of them are those of ``evaluation.columns.COLUMNS``.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from noise2mask.analysis.information.curves import Curves, curves, image_pairs, oracle_curves
from noise2mask.analysis.information.humps import hump_position, non_monotonicity
from noise2mask.analysis.information.information import (
    Quantity,
    converted,
    fit_error,
    image_information,
    mask_entropy,
)
from noise2mask.analysis.information.integral import Information
from noise2mask.evaluation.bootstrap import (
    CaseGroups,
    Interval,
    Resampling,
    estimate_mean,
    units_of,
)
from noise2mask.evaluation.columns import COLUMNS

WIDEST = 0.25
"""Share of the bits that the reach of their interval may be."""
EXCESS = 0.1
"""Share by which a network's mask entropy may exceed the bound of the oracle."""

TARGETS: tuple[Quantity, ...] = ("eps", "x_0", "v")
USUAL = Resampling(2000)


def loss_table(
    measured: pd.DataFrame, groups: CaseGroups, resampling: Resampling = USUAL
) -> pd.DataFrame:
    """Mean loss per pixel over cases at each level, for all targets.

    The loss of x_0 is in units of its coding, that of v too; the loss of eps has no unit.
    """
    rows = []
    for key, found in curves(measured).items():
        drawn = units_of(groups, key.dataset, found.cases)
        intervals = [
            estimate_mean(losses, units=drawn, resampling=resampling).interval()
            for losses in found.loss("x_0").T
        ]
        one = np.ones((1, len(found.t)))
        for target in TARGETS:
            (factors,) = converted(one, found.log_snr, gap=found.gap, given="x_0", wanted=target)
            rows += [
                (*key, target, t, log_snr, *(factor * np.array(interval[:3])), interval.n)
                for t, log_snr, factor, interval in zip(
                    found.t, found.log_snr, factors, intervals, strict=True
                )
            ]
    return pd.DataFrame(rows, columns=list(COLUMNS["losses"]))


def structure_table(
    measured: pd.DataFrame,
    groups: CaseGroups,
    resampling: Resampling = USUAL,
    *,
    given: Collection[str] = (),
) -> pd.DataFrame:
    """Depth of non-monotonicity and place of the hump of each curve.

    A curve that is not refuted to be non-monotonic has its hump placed: `log_snr_at_hump` with the
    interval `hump_low` to `hump_high`, and `t_at_hump`, linear between the levels. `low` and `high`
    belong to the depth. The verdict of modes in `given`, whose curve has a hump whatever the
    network has learnt (see ``humps.GIVEN``), is "by construction".

    Raises:
        ValueError: a curve has fewer than three levels.
    """
    rows = []
    for key, found in curves(measured).items():
        options = _options(groups, key.dataset, found, resampling)
        for target in TARGETS:
            losses = found.loss(target)
            depth, verdict = non_monotonicity(losses, **options)
            place = Interval(np.nan, np.nan, np.nan, depth.n)
            if verdict != "refuted":
                place = hump_position(losses, found.log_snr, **options)
            order = np.argsort(found.log_snr)
            t = np.interp(place.mean, found.log_snr[order], found.t[order])
            told = "by construction" if key.mode in given else verdict
            rows.append((*key, target, t, *place[:3], *depth[:3], told, depth.n))
    return pd.DataFrame(rows, columns=list(COLUMNS["structure"]))


def _options(
    groups: CaseGroups, dataset: str, found: Curves, resampling: Resampling
) -> dict[str, Any]:
    """How statistics of curves are drawn, as ``humps`` and ``information`` take it."""
    return {"groups": units_of(groups, dataset, found.cases), **resampling._asdict()}


class Shorter(NamedTuple):
    """A network that was trained with fewer steps than another, and by how much fewer."""

    network: str
    ratio: float


def information_table(
    measured: pd.DataFrame,
    oracles: pd.DataFrame,
    groups: CaseGroups,
    resampling: Resampling = USUAL,
    *,
    with_image: str,
    without_image: str,
    shorter: Mapping[str, Shorter] | None = None,
) -> pd.DataFrame:
    """Bits that the image tells of a mask, and those that a mask has.

    Rows: `difference`, `orthogonal`, `covariance` and `gap` of ``information.Estimates``; `entropy`
    of the mask from the network without the image, and `entropy_oracle` from the oracle
    `multiscale` on the same cases, both upper bounds. A dataset and network without one of the two
    modes has no rows, one without oracle no `entropy_oracle`.

    Intervals are over cases. A bootstrap over cases does not know what training has left wrong, so
    the interval of the covariance, which is what is reported, holds that too: `fit`, in bits (see
    ``information.fit_error``), is added to its spread as an independent error. Without a training
    of the network with fewer steps, in `shorter`, `fit` is NaN and the interval over cases alone.

    Raises:
        ValueError: the two modes were not measured on the same levels, or fewer than three lie
            below the ceiling of ``integral.Information``.
    """
    rows: list[tuple[object, ...]] = []
    for dataset, network, with_, found, gap in _estimated(
        measured, oracles, groups, resampling, with_image, without_image
    ):
        for name, each in found.items():
            bits, quantiles = each.bits, [quantile.mean for quantile in each.quantiles]
            rows.append(
                (dataset, network, name, *bits[:3], each.bits_per_pixel.mean, *quantiles, np.nan,
                 bits.n)
            )  # fmt: skip
        bits_of_gap = [value / math.log(2) for value in gap[:3]]
        per_pixel = bits_of_gap[0] / with_.pixels
        rows.append((dataset, network, "gap", *bits_of_gap, per_pixel, *4 * [np.nan], gap.n))
    return _with_fit(pd.DataFrame(rows, columns=list(COLUMNS["information"])), shorter or {})


def _with_fit(table: pd.DataFrame, shorter: Mapping[str, Shorter]) -> pd.DataFrame:
    """The table with the error of the fit in the rows of the covariance."""
    rows = table[table["estimate"] == "covariance"]
    bits = rows.set_index(["dataset", "network"])["bits"]
    table = table.copy()
    for place, row in rows.iterrows():
        other = shorter.get(str(row["network"]))
        if other is None or (row["dataset"], other.network) not in bits.index:
            continue
        mean = float(row["bits"])
        fit = fit_error(mean, float(bits[row["dataset"], other.network]), other.ratio)
        low, high = (math.hypot(mean - float(row[end]), fit) for end in ("low", "high"))
        table.loc[place, ["low", "high", "fit"]] = mean - low, mean + high, fit
    return table


class Doubt(NamedTuple):
    """Why the bits of a dataset and network are not to be trusted.

    Reasons: "untested", there is no shorter training to compare with, so the interval does not hold
    the error of training; "wide", the interval reaches further than `WIDEST` of the bits; "oracle",
    the network without the image knows masks less than a logistic regression does.
    """

    dataset: str
    network: str
    reason: Literal["untested", "wide", "oracle"]


def doubts(information: pd.DataFrame) -> list[Doubt]:
    """What is to be doubted of a table of information; an estimate without doubt is trusted."""
    found = []
    for (dataset, network), rows in information.groupby(["dataset", "network"], sort=False):
        known = rows.drop_duplicates("estimate").set_index("estimate")
        bits = known["bits"].astype(float)
        if "covariance" in known.index:
            row = known.loc["covariance", ["bits", "low", "high", "fit"]]
            mean, low, high, fit = row.to_numpy(float)
            if math.isnan(fit):
                found.append(Doubt(str(dataset), str(network), "untested"))
            elif not max(mean - low, high - mean) <= WIDEST * mean:
                found.append(Doubt(str(dataset), str(network), "wide"))
        if bits.get("entropy", math.nan) > (1 + EXCESS) * bits.get("entropy_oracle", math.nan):
            found.append(Doubt(str(dataset), str(network), "oracle"))
    return found


def integrand_table(
    measured: pd.DataFrame, oracles: pd.DataFrame, *, with_image: str, without_image: str
) -> pd.DataFrame:
    """Where along the noise the bits lie: bits per mask and unit of log SNR.

    Levels above the ceiling of ``integral.Information`` are left out: what networks err there is no
    information. So the area of a curve is the bits of :func:`information_table` less the tails.

    Raises:
        ValueError: as in :func:`information_table`.
    """
    rows: list[tuple[object, ...]] = []
    # The densities are means over cases, to which the bootstrap adds nothing.
    for dataset, network, _, found, _ in _estimated(
        measured, oracles, {}, Resampling(1, 0.5), with_image, without_image
    ):
        for name, each in found.items():
            levels = zip(each.log_snr, each.density / math.log(2), strict=True)
            rows += [(dataset, network, name, *pair) for pair in levels if pair[0] <= each.ceiling]
    return pd.DataFrame(rows, columns=list(COLUMNS["integrand"]))


def _estimated(
    measured: pd.DataFrame,
    oracles: pd.DataFrame,
    groups: CaseGroups,
    resampling: Resampling,
    with_image: str,
    without_image: str,
) -> Iterator[tuple[str, str, Curves, dict[str, Information], Interval]]:
    """Dataset, network, curves with the image, estimates by name, and the gap in nats."""
    for key, without, with_ in image_pairs(
        measured, with_image=with_image, without_image=without_image
    ):
        options = _options(groups, key.dataset, with_, resampling)
        found = image_information(
            without.errors, with_.errors, with_.distances, with_.log_snr,
            gap=with_.gap, pixels=with_.pixels, **options,
        )._asdict()  # fmt: skip
        gap = found.pop("gap")
        bound = oracle_curves(oracles, key.dataset, with_.cases, with_.pixels)
        for name, curve in {"entropy": without, "entropy_oracle": bound}.items():
            if curve is not None:
                options = _options(groups, key.dataset, curve, resampling)
                found[name] = mask_entropy(
                    curve.errors, curve.log_snr, gap=curve.gap, pixels=curve.pixels, **options
                )
        yield key.dataset, key.network, with_, found, gap
