"""Errors per case and noise level of trained networks and of the oracle, as arrays.

A table `measured` holds the squared errors of trained networks: columns :data:`MEASURED`, a row for
each case and level of a (dataset, network, seed, mode). `error` is that of x_0, summed over pixels,
in units of its coding, whose levels are `gap` apart; `apart` is the squared distance of the
estimate to that without the image on the same noise (NaN where there is none). The seeds of a mode
are averaged per case before anything else. Groups (patient, slide) are given by (dataset, case); a
case without an entry is its own group.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from noise2mask.analysis.information.information import Quantity, converted
from noise2mask.analysis.information.integral import Floats

MEASURED = (
    "dataset", "network", "seed", "mode", "case", "t", "log_snr", "gap", "pixels", "error", "apart",
)  # fmt: skip


class Curves(NamedTuple):
    """Errors of one denoiser, levels by ascending t.

    Attributes:
        cases: their names.
        t: (levels,).
        log_snr: (levels,), for levels -1 and +1.
        gap: difference of the levels of x_0.
        pixels: of a mask.
        errors: (cases, levels), of x_0, summed over pixels.
        distances: (cases, levels), to the estimate without the image; NaN where there is none.
    """

    cases: list[str]
    t: NDArray[np.int64]
    log_snr: Floats
    gap: float
    pixels: int
    errors: Floats
    distances: Floats

    def loss(self, quantity: Quantity) -> Floats:
        """Mean squared error per pixel of eps, x_0 or v, (cases, levels)."""
        errors = converted(self.errors, self.log_snr, gap=self.gap, given="x_0", wanted=quantity)
        return np.asarray(errors / self.pixels)

    def of(self, cases: Sequence[str]) -> "Curves":
        """The curves of some of the cases, in that order."""
        rows = [self.cases.index(case) for case in cases]
        return self._replace(
            cases=list(cases), errors=self.errors[rows], distances=self.distances[rows]
        )

    def between(self, low: float, high: float) -> "Curves":
        """The levels with a log SNR from `low` to `high`."""
        kept = (self.log_snr >= low - 1e-9) & (self.log_snr <= high + 1e-9)
        return self._replace(
            t=self.t[kept],
            log_snr=self.log_snr[kept],
            errors=self.errors[:, kept],
            distances=self.distances[:, kept],
        )


class Key(NamedTuple):
    """Whose curves they are."""

    dataset: str
    network: str
    mode: str


def curves(measured: pd.DataFrame) -> dict[Key, Curves]:
    """The curves of every dataset, network and mode, seeds averaged; a missing level is NaN.

    Raises:
        ValueError: levels of a mode differ between seeds, or it has several gaps or pixels.
    """
    return {
        Key(*map(str, key)): _curves(rows, f"{key}")
        for key, rows in measured.groupby(list(Key._fields), sort=False)
    }


def image_pairs(
    measured: pd.DataFrame, *, with_image: str, without_image: str
) -> Iterator[tuple[Key, Curves, Curves]]:
    """Curves of the mode without and of that with the image, on the cases that both have.

    Yields:
        Whose curves they are (`mode` is `with_image`), without, with. A dataset and network that
        lack one of the modes are passed over.

    Raises:
        ValueError: the two were not measured on the same levels, in one coding, or on common cases.
    """
    found = curves(measured)
    for key, with_ in found.items():
        without = found.get(key._replace(mode=without_image))
        if key.mode != with_image or without is None:
            continue
        known = set(without.cases)
        cases = [case for case in with_.cases if case in known]
        same = np.array_equal(without.t, with_.t) and np.allclose(without.log_snr, with_.log_snr)
        if not same or (without.gap, without.pixels) != (with_.gap, with_.pixels) or not cases:
            raise ValueError(
                f"{key.dataset}, {key.network}: {with_image} and {without_image} need the same "
                "cases, levels of noise and coding"
            )
        yield key, without.of(cases), with_.of(cases)


def oracle_curves(
    oracles: pd.DataFrame, dataset: str, cases: Sequence[str], pixels: int
) -> Curves | None:
    """The curves of the oracle `multiscale` on those of the cases that it has scored.

    Cases keep the order that is given.

    Returns:
        Curves in units of levels -1 and +1, or None if it has scored none of the cases.
    """
    rows = oracles[(oracles["dataset"] == dataset) & (oracles["oracle"] == "multiscale")]
    rows = rows[rows["case"].isin(cases)]
    if rows.empty:
        return None
    table = rows.assign(gap=2.0, pixels=pixels, error=rows["mse_x0"] * pixels, apart=np.nan, seed=0)
    found = _curves(table, f"the oracle of {dataset}")
    known = set(found.cases)
    return found.of([case for case in cases if case in known])


def _curves(rows: pd.DataFrame, label: str) -> Curves:
    levels = rows[["t", "log_snr"]].drop_duplicates().sort_values("t")
    constants = rows[["gap", "pixels"]].drop_duplicates()
    if levels["t"].duplicated().any() or len(constants) > 1:
        raise ValueError(
            f"{label}: each t needs one log SNR, and all rows one gap and one number of pixels"
        )
    means = rows.groupby(["case", "t"], sort=False)[["error", "apart"]].mean()
    errors, distances = (means[name].unstack("t")[levels["t"]] for name in ("error", "apart"))
    cases = list(dict.fromkeys(rows["case"]))
    gap, pixels = constants.iloc[0]
    return Curves(
        [str(case) for case in cases],
        levels["t"].to_numpy(dtype=np.int64),
        levels["log_snr"].to_numpy(dtype=np.float64),
        float(gap),
        int(pixels),
        errors.loc[cases].to_numpy(dtype=np.float64),
        distances.loc[cases].to_numpy(dtype=np.float64),
    )
