"""Information in nats and bits from the squared errors of denoisers.

The noisy mask is z = sqrt(gamma) x + n with gamma = A/(1 - A), which is x_t / sqrt(1 - A). Then
(I-MMSE: Guo, Shamai, Verdu, IEEE Trans. Inf. Theory 51, 2005; Kong, Brekelmans, Ver Steeg, arXiv
2302.03792 and 2310.07972)

    H(mask)        = 1/2 int mmse(x | z) d gamma
    I(mask; image) = 1/2 int [mmse(x | z) - mmse(x | z, image)] d gamma
                   = 1/2 int [L_eps(no image) - L_eps(image)] d log gamma,

squared errors summed over pixels, in nats. A network gives an upper bound of each mmse: the
entropy is one too, the image information is an estimate.

The axis is log SNR = log(gamma) + 2 log(gap/2), the ratio for masks of levels -1 and +1, on which
codings, schedules and input scales are one. Of a ``Schedule`` it is ``log_snr + 2 log(gap/2)``;
``scaled(b)`` has A_b in place of A, so an input scale b has moved it by 2 log b already. Errors of
x_0 are in units of the coding, whose levels are `gap` apart: 2 for -1/+1, 1 for 0/1.
"""

from typing import Literal, NamedTuple, assert_never

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noise2mask.analysis.information.integral import Bootstrap, Information, Rule
from noise2mask.evaluation.bootstrap import Interval, Names

Floats = NDArray[np.float64]
Quantity = Literal["eps", "x_0", "v"]


ORDER = 0.5
"""Power of the number of steps with which the error of trained networks is taken to fall."""


class Estimates(NamedTuple):
    """Three estimates of one image information.

    With m_0 and m_1 the estimates of x without and with the image, for each case and noise

        |x - m_0|^2 - |x - m_1|^2 = |m_1 - m_0|^2 + 2 <x - m_1, m_1 - m_0>.

    The left side is the `difference`, the first term on the right the `orthogonal` estimate, and
    their mean, <x - m_0, m_1 - m_0>, the `covariance`. With exact posterior means they agree in the
    mean. If m_0 is off by e_0, a function of z, and m_1 by e_1, and b is what the image really
    changes, then in excess of the information (all times SNR/2, integrated)

        difference    |e_0|^2 - |e_1|^2
        orthogonal    |e_0|^2 + |e_1|^2 - 2 <e_0, e_1> + 2 <b, e_1>
        covariance    |e_0|^2           -   <e_0, e_1> +   <b, e_1>
        gap           2 |e_1|^2         - 2 <e_0, e_1> + 2 <b, e_1>.

    So the covariance stands errors of m_1 best. A negative gap means that m_1 takes too little
    from the image (underfitted), a positive one that it takes too much or is noisy (overfitted). A
    gap near 0 says nothing of e_0; the excess of :func:`mask_entropy` over any better bound does.

    Attributes:
        difference: of the squared errors.
        orthogonal: squared distance of the two estimates; less spread, never negative.
        covariance: mean of both.
        gap: orthogonal minus difference, nats per mask, with a paired interval.
    """

    difference: Information
    orthogonal: Information
    covariance: Information
    gap: Interval


def converted(
    errors: ArrayLike, log_snr: ArrayLike, *, gap: float, given: Quantity, wanted: Quantity
) -> Floats:
    """Squared errors of one quantity from those of another, for one estimate of x_0.

    At a given x_t errors of eps, x_0 and v = sqrt(A) eps - sqrt(1 - A) x_0 are multiples of each
    other: L_eps = A/(1 - A) L_x0 and L_v = L_x0/(1 - A), where A/(1 - A) is exp(log_snr) (2/gap)^2
    (Salimans, Ho, arXiv 2202.00512, section 4 and appendix D).

    Args:
        errors: (..., levels), summed over pixels or averaged.
        log_snr: (levels,), for masks of levels -1 and +1, see the module.
        gap: difference of the levels of x_0.
        given: whose errors these are.
        wanted: whose they shall be.
    """
    gamma = np.exp(np.asarray(log_snr, dtype=np.float64)) * (2 / gap) ** 2
    values = np.asarray(errors, dtype=np.float64)
    return np.asarray(values * (_over_x_0(wanted, gamma) / _over_x_0(given, gamma)))


def covariance(without_image: ArrayLike, with_image: ArrayLike, distances: ArrayLike) -> Floats:
    """The integrand of the covariance estimate, <x - m_0, m_1 - m_0>, see :class:`Estimates`.

    Args:
        without_image: squared errors of x_0, any shape.
        with_image: the same of the denoiser that sees the image.
        distances: squared distances of the two estimates.
    """
    without, with_, apart = (
        np.asarray(each, dtype=np.float64) for each in (without_image, with_image, distances)
    )
    return np.asarray((without - with_ + apart) / 2)


def fit_error(bits: float, shorter: float, ratio: float) -> float:
    """What a pair of networks may still have wrong, by what more training has changed.

    If the error of a training of n steps falls as n^-p, the one left after `ratio` times the steps
    is the change by 1/(ratio^p - 1) (Richardson's deferred approach to the limit, Phil. Trans. R.
    Soc. A 226, 1927). The p is :data:`ORDER`; ``benchmarks/gauge.py`` sets the error beside the
    true one.

    Raises:
        ValueError: `ratio` is not above 1.
    """
    if not ratio > 1:
        raise ValueError(f"a shorter training has fewer steps, got a ratio of {ratio}")
    return float(abs(bits - shorter) / (ratio**ORDER - 1))


def mask_entropy(
    without_image: ArrayLike,
    log_snr: ArrayLike,
    *,
    gap: float,
    pixels: int,
    groups: Names | None = None,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Information:
    """H(mask) of masks of two levels from a denoiser that sees no image: an upper bound.

    Args:
        without_image: (cases, levels), squared errors of x_0 summed over pixels; a case with a
            NaN is left out.
        log_snr: (levels,), strictly ascending or descending, for levels -1/+1 (see the module).
        gap: difference of the levels of x_0.
        pixels: of a mask.
        groups: the group of each case (patient, slide), drawn as a whole.
        resamples: of the bootstrap.
        level: coverage of the intervals.
        seed: of the bootstrap.

    Raises:
        ValueError: wrong shapes, an unordered grid, or fewer than three levels below the ceiling
            of :class:`~noise2mask.analysis.information.integral.Information`.
    """
    grid, (curve,) = _eps_errors(log_snr, gap, without_image)
    rule = Rule(grid, pixels, two_levels=True)
    return rule.information(curve, Bootstrap(groups, resamples, level, seed))


def image_information(
    without_image: ArrayLike,
    with_image: ArrayLike,
    distances: ArrayLike,
    log_snr: ArrayLike,
    *,
    gap: float,
    pixels: int,
    two_levels: bool = True,
    groups: Names | None = None,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimates:
    """I(mask; image) from two denoisers that saw the same noisy masks, estimated in three ways.

    Args:
        without_image: as in :func:`mask_entropy`, as are all arguments not named here.
        with_image: (cases, levels), the same of a denoiser that sees the image.
        distances: (cases, levels), squared distances of the two estimates of x_0 summed over
            pixels.
        log_snr: (levels,).
        gap: difference of the levels of x_0.
        pixels: of a mask.
        two_levels: masks have two levels. Continuous ones have other tails and no ceiling.
        groups: the group of each case.
        resamples: of the bootstrap.
        level: coverage of the intervals.
        seed: of the bootstrap.

    Raises:
        ValueError: as in :func:`mask_entropy`.
    """
    grid, (without, with_, apart) = _eps_errors(log_snr, gap, without_image, with_image, distances)
    rule = Rule(grid, pixels, two_levels=two_levels)
    bootstrap = Bootstrap(groups, resamples, level, seed)

    def gap_of(means: Floats) -> Floats:
        orthogonal, difference = np.split(means, 2, axis=1)
        return rule.total(orthogonal) - rule.total(difference)

    return Estimates(
        rule.information(without - with_, bootstrap),
        rule.information(apart, bootstrap),
        rule.information(covariance(without, with_, apart), bootstrap),
        bootstrap.interval(np.concatenate([apart, without - with_], axis=1), gap_of),
    )


def _eps_errors(
    log_snr: ArrayLike, gap: float, *errors: ArrayLike
) -> tuple[Floats, tuple[Floats, ...]]:
    """Ascending log SNR and, on it, L_eps of each of the errors of x_0."""
    grid = np.asarray(log_snr, dtype=np.float64)
    arrays = [np.asarray(each, dtype=np.float64) for each in errors]
    shapes = {each.shape for each in arrays}
    if len(shapes) > 1 or arrays[0].ndim != 2 or grid.shape != arrays[0].shape[1:]:
        raise ValueError(
            f"errors must have one shape (cases, levels) and log_snr (levels,), got "
            f"{sorted(shapes)} and {grid.shape}"
        )
    steps = np.diff(grid)
    if not (np.all(steps > 0) or np.all(steps < 0)):
        raise ValueError("log_snr must be strictly ascending or descending")
    way = slice(None, None, 1 if grid[-1] > grid[0] else -1)
    eps = (converted(each, grid, gap=gap, given="x_0", wanted="eps") for each in arrays)
    return grid[way], tuple(each[:, way] for each in eps)


def _over_x_0(quantity: Quantity, gamma: Floats) -> Floats:
    """Squared error of the quantity over that of x_0."""
    if quantity == "eps":
        return gamma
    if quantity == "x_0":
        return np.ones_like(gamma)
    if quantity == "v":
        return 1 + gamma
    assert_never(quantity)
