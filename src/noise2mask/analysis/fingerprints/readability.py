"""How masks lose their information in noise, and how images do, measured in the same way.

A subject x (a mask or an image) under noise is y = x + exp(-log_snr / 2) eps. The share of its
variance that the best Gaussian filter and a straight line recover from y is 1 if all is readable
and 0 if nothing is. Only second moments count, so a subject with two levels has no advantage.

Subjects of a set are shifted and scaled by one mean and one standard deviation, those of all their
pixels. So a log SNR is that of variance 1, for masks too; masks of levels -1 and +1 with the
share p of foreground have the log SNR log(1 / (4 p (1 - p))) more than here.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.fft import dctn

from noise2mask.analysis.information.integral import Bootstrap
from noise2mask.analysis.oracles.filters import transfer, widths_up_to
from noise2mask.analysis.oracles.noisy_masks import Floats, Levels, generator_of
from noise2mask.evaluation.bootstrap import Resampling, estimate_mean

CASE_COLUMNS = ("case", "t", "log_snr", "width", "explained")
COLUMNS = ("subject", "t", "log_snr", "width", "explained", "low", "high")

_BLOCK = 1 << 20
"""Pixels that are computed at once."""


class _Moments(NamedTuple):
    """Means over the pixels of each case: of x and x^2 (cases,), and with the filtered y, f.

    The mean of f is that of y, whatever the filter, (cases,); those of f^2 and of f x are
    (cases, widths).
    """

    x: Floats
    xx: Floats
    f: Floats
    ff: Floats
    fx: Floats


def explained(
    subjects: NDArray[np.floating],
    cases: Sequence[str],
    levels: Levels,
    *,
    seed: int,
    widths: Sequence[float] | None = None,
) -> pd.DataFrame:
    """The share of variance recovered from each case, a row for each level and case.

    The width of the filter, a gain and an offset are those with the least squared error on the
    other half of the cases (every second one). `explained` is 1 minus the case's mean squared
    error over the variance of all subjects; the mean over cases is the share for the set, and a
    case much plainer than the others can be near 1, one much richer below 0. The noise of a case
    at a level is that of :class:`noise2mask.analysis.oracles.noisy_masks.NoisyMasks`, so masks and
    images of one name see the same.

    Args:
        subjects: (N, H, W), masks of any two levels or grey images.
        cases: name of each.
        levels: their numbers t and their log SNR for subjects of variance 1.
        seed: of the noise.
        widths: standard deviations tried, pixels, 0 for no filter; None:
            :func:`noise2mask.analysis.oracles.filters.widths_up_to` of the shorter side.

    Raises:
        ValueError: fewer than two subjects, not one name for each, no (N, H, W), or a variance
            that is 0 or not finite.
    """
    x = _standardised(subjects, cases)
    tried = widths_up_to(min(x.shape[1:])) if widths is None else tuple(widths)
    if len(levels.t) == 0:
        return pd.DataFrame(columns=list(CASE_COLUMNS))
    tables = []
    for t, log_snr in zip(levels.t.tolist(), levels.log_snr.tolist(), strict=True):
        moments = _moments(x, cases, t, log_snr, seed, tried)
        errors, chosen = np.empty(len(x)), np.empty(len(x))
        for half in (0, 1):
            scored, fitted = slice(half, None, 2), slice(1 - half, None, 2)
            best, gain, offset = _fit(_Moments(*(each[fitted] for each in moments)))
            held_out = _Moments(*(each[scored] for each in moments))
            errors[scored] = _errors(held_out, gain, offset)[:, best]
            chosen[scored] = tried[best]
        values = {"case": list(cases), "t": t, "log_snr": log_snr, "width": chosen}
        tables.append(pd.DataFrame({**values, "explained": 1 - errors}))
    return pd.concat(tables, ignore_index=True)


def table(
    subjects: Mapping[str, NDArray[np.floating]],
    cases: Sequence[str],
    levels: Levels,
    *,
    bootstrap: Bootstrap,
    seed: int,
) -> pd.DataFrame:
    """Mean over cases of :func:`explained`, with intervals, for subjects of the same cases.

    Columns are :data:`COLUMNS`; `width` is the mean over cases.

    Args:
        subjects: what is compared, e.g. "mask" and "image": (N, H, W) each.
        cases: name of each of the N.
        levels: as in :func:`explained`.
        bootstrap: how intervals are drawn; its groups are those of the N cases.
        seed: of the noise.
    """
    rows = []
    for subject, arrays in subjects.items():
        for (t, log_snr), level in explained(arrays, cases, levels, seed=seed).groupby(
            ["t", "log_snr"], sort=False
        ):
            drawn = Resampling(bootstrap.resamples, bootstrap.level, bootstrap.seed)
            interval = estimate_mean(
                level["explained"], units=bootstrap.groups, resampling=drawn
            ).interval()
            rows.append((subject, t, log_snr, level["width"].mean(), *interval[:3]))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _standardised(subjects: NDArray[np.floating], cases: Sequence[str]) -> Floats:
    """The subjects with mean 0 and variance 1 over all their pixels."""
    x = np.asarray(subjects, dtype=np.float64)
    if x.ndim != 3 or len(x) < 2 or len(cases) != len(x):
        raise ValueError(
            f"subjects must be (N, H, W), N at least 2, with a name each; got {x.shape} and "
            f"{len(cases)} names"
        )
    deviation = float(x.std())
    if not 0 < deviation < np.inf:
        raise ValueError(f"subjects must vary and be finite, got a deviation of {deviation}")
    return np.asarray((x - x.mean()) / deviation)


def _moments(
    x: Floats, cases: Sequence[str], t: int, log_snr: float, seed: int, widths: Sequence[float]
) -> _Moments:
    """Moments of subjects and filtered noisy subjects.

    With the mirrored frame a filter multiplies the coefficients of the orthonormal DCT-II, which
    keeps inner products (Parseval): no filtered picture has to be made.
    """
    height, breadth = x.shape[1:]
    factors = np.stack(
        [np.outer(transfer(width, height), transfer(width, breadth)).ravel() for width in widths],
        axis=1,
    )
    ff, fx, f = [], [], []
    for chosen in _blocks(x):
        noise = np.stack(
            [
                generator_of("noise", seed, case, t).standard_normal(x.shape[1:], dtype=np.float32)
                for case in cases[chosen]
            ]
        )
        y = x[chosen] + np.exp(-log_snr / 2) * noise
        of_x, of_y = (dctn(each, type=2, norm="ortho", axes=(1, 2)) for each in (x[chosen], y))
        ff.append((of_y**2).reshape(len(y), -1) @ factors**2 / factors.shape[0])
        fx.append((of_y * of_x).reshape(len(y), -1) @ factors / factors.shape[0])
        f.append(y.mean(axis=(1, 2)))
    return _Moments(
        x.mean(axis=(1, 2)), (x**2).mean(axis=(1, 2)), *map(np.concatenate, (f, ff, fx))
    )


def _blocks(x: Floats) -> Iterator[slice]:
    each = max(1, _BLOCK // (x.shape[1] * x.shape[2]))
    return (slice(start, start + each) for start in range(0, len(x), each))


def _fit(moments: _Moments) -> tuple[int, Floats, Floats]:
    """Number of the width with the least error, and gain and offset of each width (widths,)."""
    x, xx, f, ff, fx = (each.mean(axis=0) for each in moments)
    spread = ff - f**2
    gain = np.divide(fx - f * x, spread, out=np.zeros_like(spread), where=spread > 0)
    offset = x - gain * f
    left = xx - x**2 - gain * (fx - f * x)
    return int(np.argmin(left)), gain, offset


def _errors(moments: _Moments, gain: Floats, offset: Floats) -> Floats:
    """Mean squared error of gain f + offset for each case and width, (cases, widths)."""
    x, xx, f = moments.x[:, None], moments.xx[:, None], moments.f[:, None]
    return np.asarray(
        xx
        - 2 * gain * moments.fx
        - 2 * offset * x
        + gain**2 * moments.ff
        + 2 * gain * offset * f
        + offset**2
    )
