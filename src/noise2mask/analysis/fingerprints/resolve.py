"""What a training takes from its data or from earlier trainings before it begins.

A study may name a rule in place of numbers: the schedule ``adapted``, chosen from the training
masks, and the weighting ``benefit``, taken from a measurement of the image's information. The
numbers that come out stand in the run's settings, so a run is told whole by its ``run.json``.
"""

import math
from pathlib import Path

import pandas as pd

from noise2mask import plugins
from noise2mask.analysis.fingerprints.adapted_schedule import knots
from noise2mask.analysis.information.information import converted
from noise2mask.data.prepared import Split, open_split
from noise2mask.errors import UserError
from noise2mask.files import checked
from noise2mask.study.plan import needs_measurement
from noise2mask.study.schema import Diffusion, Pair, RunSettings

GAP = {"signed": 2.0, "unit": 1.0}
"""Difference of the levels of x_0 in each coding."""


def resolved(
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
    gain = (without["clipped"] - with_["clipped"] + with_["apart"]) / 2
    axis = gain.index.to_numpy(dtype=float)
    gap = float(with_["gap"].iloc[0])
    eps = converted(gain.to_numpy(), axis, gap=gap, given="x_0", wanted="eps")
    return axis.tolist(), (eps / 2).tolist()


def _table(path: Path) -> pd.DataFrame:
    return pd.read_csv(checked(path), dtype={"split": str, "mode": str, "case": str})
