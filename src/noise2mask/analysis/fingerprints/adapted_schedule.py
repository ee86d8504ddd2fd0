"""A noise schedule that suits a dataset, from its training masks, before any training.

Large objects can be read from a noisy mask down to a low SNR. As long as they can, a network needs
no image, so one schedule for every dataset spends its timesteps differently in each. The oracles of
``analysis.fingerprints`` say at which log SNR a dataset's masks become unreadable; two rules make
knots for the schedule ``adapted`` of it:

* ``unreadable``: the linear schedule of 1000 timesteps, shifted along log SNR by 2 log b, until a
  given share of the timesteps has masks that cannot be read without the image;
* ``information``: timesteps evenly spaced in the information that the noisy mask holds about the
  mask, whose density over log SNR is half the loss of eps (Guo, Shamai & Verdu 2005).

Masks without foreground or without background are left out: they can be read at any SNR. The knots
hold at the resolution of the masks, see ``analysis.fingerprints``.

A study names such a rule in place of numbers, and likewise the weighting ``benefit``, which is
taken from a measurement of the image's information. :func:`resolve_settings` puts the numbers into
a run's settings before it begins, so a run is told whole by its ``run.json``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, assert_never

import numpy as np
import pandas as pd
from scipy.integrate import cumulative_trapezoid

from noise2mask import plugins
from noise2mask.analysis.fingerprints.fingerprint import HIGHEST, LOWEST, fingerprint
from noise2mask.analysis.information.information import converted, covariance
from noise2mask.analysis.oracles.noisy_masks import Floats, Masks, linear_log_snr
from noise2mask.data.prepared import Split, open_split
from noise2mask.errors import UserError
from noise2mask.files import checked
from noise2mask.seeds import seed_of
from noise2mask.study.plan import needs_measurement
from noise2mask.study.schema import Diffusion, Pair, RunSettings

Rule = Literal["unreadable", "information"]

GAP = {"signed": 2.0, "unit": 1.0}
"""Difference of the levels of x_0 in each coding."""

KNOTS = 65
"""Values of log SNR that describe a schedule."""

SCALES = (0.02, 1.5)
"""Smallest and largest input scale that the rule ``unreadable`` may choose."""

UNIFORM = 0.1
"""Share of the timesteps that the rule ``information`` spreads evenly over log SNR."""

PIXELS = 1 << 21
"""About how many pixels of masks are looked at, half a minute's work, but at least 32 masks."""


@dataclass(frozen=True)
class Adapted:
    """What :func:`knots` chooses.

    Attributes:
        log_snr: descending, at even distances from the first to the last timestep.
        at_half: log SNR at which the image-free Dice is half-way from 1 to that of all foreground,
            for masks of -1 and +1; NaN if it does not fall so far above a log SNR of -10.
        input_scale: b, by which masks are scaled in the linear schedule that this equals; None for
            the rule ``information``.
    """

    log_snr: tuple[float, ...]
    at_half: float
    input_scale: float | None


def resolve_settings(
    settings: RunSettings, data: Path, measured: Path | None, pair: Pair | None
) -> RunSettings:
    """The settings of a run with everything found out that a study leaves to the data.

    Args:
        settings: of the run, as the study gives them.
        data: folder of the prepared dataset; only train is opened.
        measured: the table of :mod:`noise2mask.analysis.information.measure` for the weighting
            ``benefit``.
        pair: the modes whose difference is the information.

    Raises:
        UserError: the measurement is missing, or the masks say nothing.
    """
    diffusion = settings.diffusion
    if diffusion.schedule.name == "adapted":
        diffusion = _adapted(diffusion, open_split(data, "train", purpose="training"))
    if needs_measurement(diffusion):
        if measured is None or pair is None:
            raise UserError(
                f"the weighting 'benefit' of {settings.title()} needs a measured pair of modes: "
                "give analysis.pair in the study."
            )
        diffusion = _informed(diffusion, measured, pair)
    return settings.model_copy(update={"diffusion": diffusion})


def knots(
    masks: Masks,
    cases: Sequence[str],
    groups: Sequence[str] | None = None,
    *,
    rule: Rule = "unreadable",
    share: float = 0.8,
    gap: float = 2.0,
    seed: int = 0,
) -> Adapted:
    """The schedule that suits these masks, as `KNOTS` values of log SNR.

    Args:
        masks: bool (N, H, W), of the training cases alone, as the network sees them.
        cases: name of each, no two the same; their order does not matter.
        groups: patient or slide of each case.
        rule: see above.
        share: of the timesteps whose masks shall be unreadable, for the rule ``unreadable``.
        gap: difference of the levels of x_0: 2 for -1/+1, 1 for 0/1.
        seed: of the noise that the oracles see, and of the choice of masks.

    Raises:
        UserError: masks with both foreground and background are of fewer than two groups.
        ValueError: the masks are not boolean (N, H, W), or `share` is not between 0 and 1.
    """
    units = list(cases if groups is None else groups)
    chosen = _chosen(masks, cases, seed)
    if len({units[i] for i in chosen}) < 2:
        raise UserError(
            f"The schedule 'adapted' needs training masks with both foreground and background "
            f"from two groups (patients, slides) at least, but of {len(masks)} masks "
            f"{len(chosen)} have both, from {len({units[i] for i in chosen})} group(s): choose "
            "another schedule, such as linear with an input_scale."
        )
    found = fingerprint(
        masks[chosen],
        [cases[i] for i in chosen],
        linear_log_snr(),
        groups=[units[i] for i in chosen],
        resamples=20,  # the intervals are not used
        seed=seed,
    )
    at_half = float(found.figures["mean"]["log_snr_at_half"])
    # The axis of the oracles is that of masks of -1 and +1.
    coded = 2 * math.log(gap / 2)
    if rule == "unreadable":
        scale = input_scale(at_half - coded, share)
        log_snr = shifted(scale)
        return Adapted(tuple(log_snr.tolist()), at_half, scale)
    if rule == "information":
        curve = found.curves[found.curves["oracle"] == "multiscale"]
        log_snr = evenly_informed(curve["log_snr"].to_numpy(), curve["mse_eps"].to_numpy())
        return Adapted(tuple((log_snr - coded).tolist()), at_half, None)
    assert_never(rule)


def input_scale(at_half: float, share: float) -> float:
    """B for which a share of the timesteps of the linear schedule is below a log SNR.

    Args:
        at_half: that log SNR; NaN if it is lower than could be measured, which gives the least b.
        share: of the timesteps, between 0 and 1.

    Returns:
        b, within `SCALES`: beyond them the share is not reached.

    Raises:
        ValueError: `share` is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must be between 0 and 1, got {share}")
    low, high = SCALES
    if math.isnan(at_half):
        return low
    return float(np.clip(np.exp((at_half - _linear_at(np.array(1 - share))) / 2), low, high))


def shifted(scale: float) -> Floats:
    """Knots of the linear schedule for masks scaled by `scale`, (`KNOTS`,)."""
    return _linear_at(np.linspace(0, 1, KNOTS)) + 2 * math.log(scale)


def evenly_informed(log_snr: Floats, loss: Floats) -> Floats:
    """Knots between which the loss of eps has equal integrals over log SNR, (`KNOTS`,).

    From `HIGHEST` to `LOWEST`, with `UNIFORM` of the density spread evenly over them.

    Args:
        log_snr: (levels,), descending.
        loss: (levels,), of eps, in any unit; none negative, linear between levels.
    """
    axis = np.linspace(LOWEST, HIGHEST, 2801)
    density = np.interp(axis, log_snr[::-1], loss[::-1])
    cumulated = cumulative_trapezoid(density, axis, initial=0)
    even = (axis - LOWEST) / (HIGHEST - LOWEST)
    below = UNIFORM * even + (1 - UNIFORM) * cumulated / cumulated[-1]
    return np.interp(np.linspace(1, 0, KNOTS), below, axis)


def integrand(table: pd.DataFrame, pair: Pair) -> tuple[list[float], list[float]]:
    """Log SNR, and nats per mask and unit of log SNR that the image gives on validation cases.

    The covariance of both estimates, see
    :class:`noise2mask.analysis.information.information.Estimates`.

    Raises:
        UserError: the modes were not measured on val.
    """
    rows = table[table["split"] == "val"].groupby(["mode", "log_snr"])
    means = rows[["clipped", "apart", "gap"]].mean()
    modes = means.index.get_level_values("mode")
    if not {pair.with_image, pair.without_image} <= set(modes):
        raise UserError(
            f"the modes {pair.with_image} and {pair.without_image} are not measured on val: have "
            "val among analysis.splits and run the study again."
        )
    without, with_ = means.loc[pair.without_image], means.loc[pair.with_image]
    gain = covariance(without["clipped"], with_["clipped"], with_["apart"])
    axis = with_.index.to_numpy(dtype=float)
    gap = float(with_["gap"].iloc[0])
    eps = converted(gain, axis, gap=gap, given="x_0", wanted="eps")
    return axis.tolist(), (eps / 2).tolist()


def _adapted(diffusion: Diffusion, split: Split) -> Diffusion:
    """The diffusion with the knots of its adapted schedule."""
    options = plugins.options("schedule", "adapted")
    given = options.model_validate(diffusion.schedule.options).model_dump(mode="json")
    found = knots(
        split.masks.astype(bool),
        split.ids,
        split.groups,
        rule=given["rule"],
        share=given["share"],
        gap=GAP[diffusion.coding],
    )
    schedule = diffusion.schedule.model_copy(
        update={"options": given | {"log_snr": list(found.log_snr)}}
    )
    return diffusion.model_copy(update={"schedule": schedule})


def _informed(diffusion: Diffusion, measured: Path, pair: Pair) -> Diffusion:
    """The diffusion with the measured integrand of its weighting, from validation cases alone."""
    log_snr, density = integrand(_table(measured), pair)
    # A schedule knows A/(1 - A) alone; the levels of the coding shift it.
    shift = 2 * math.log(GAP[diffusion.coding] / 2)
    options = diffusion.weighting.options | {
        "log_snr": [round(value - shift, 6) for value in log_snr],
        "density": [float(f"{value:.6g}") for value in density],
    }
    weighting = diffusion.weighting.model_copy(update={"options": options})
    return diffusion.model_copy(update={"weighting": weighting})


def _table(path: Path) -> pd.DataFrame:
    return pd.read_csv(checked(path), dtype={"split": str, "mode": str, "case": str})


def _linear_at(u: Floats) -> Floats:
    """Log SNR of the linear schedule at t = u (T - 1), linear between timesteps."""
    axis = linear_log_snr()
    return np.asarray(np.interp(u * (len(axis) - 1), np.arange(len(axis)), axis))


def _chosen(masks: Masks, cases: Sequence[str], seed: int) -> list[int]:
    """The masks to look at: not constant, and no more than needed, in an order by hash of name."""
    if masks.dtype != np.bool_ or masks.ndim != 3:
        raise ValueError(f"masks must be boolean (N, H, W), got {masks.dtype} {masks.shape}")
    mixed = np.flatnonzero(masks.any(axis=(1, 2)) & ~masks.all(axis=(1, 2))).tolist()
    most = max(32, PIXELS // masks[0].size) if mixed else 0
    return sorted(mixed, key=lambda i: seed_of("adapted", seed, cases[i]))[:most]
