"""The variational bound of a diffusion model, in bits per dimension.

Ho et al. 2020 (arXiv 2006.11239), eq. 5 and section 3.3; Nichol & Dhariwal 2021 (arXiv 2102.09672),
section 3.1 for the learned variance.
"""

import math

import torch
from torch import Tensor

from noise2mask.diffusion.targets import mean_of_pixels


def variance_fraction(value: Tensor) -> Tensor:
    """Share of log beta in the log variance, (v + 1)/2, of the network's second channel v.

    A network that learns the scale puts out v in about [-1, 1]; nothing bounds it. Any shape.
    """
    return (value + 1) / 2


def learned_log_variance(fraction: Tensor, log_small: Tensor, log_large: Tensor) -> Tensor:
    """Log variance between the two fixed ones (Nichol & Dhariwal 2021, eq. 15).

    Args:
        fraction: (B, 1, H, W), 0 for `log_small`, 1 for `log_large`.
        log_small: broadcastable, ``posterior_log_variance_clipped``.
        log_large: broadcastable, log of ``betas``.

    Returns:
        (B, 1, H, W).
    """
    return fraction * log_large + (1 - fraction) * log_small


def gaussian_kl(
    mean: Tensor, log_variance: Tensor, other_mean: Tensor, other_log_variance: Tensor
) -> Tensor:
    """KL divergence of N(mean, variance) from N(other_mean, other_variance), in nats.

    Elementwise; the arguments broadcast.
    """
    # expm1 because for close variances exp(d) - 1 - d is a small difference of large terms.
    d = log_variance - other_log_variance
    squared = (mean - other_mean) ** 2 * torch.exp(-other_log_variance)
    return 0.5 * (torch.expm1(d) - d + squared)


def discretised_gaussian_log_likelihood(x_0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log probability (nats) of the 8-bit bin around x_0 under a Gaussian; elementwise.

    Ho et al. 2020, eq. 13: bins of half-width 1/255 on [-1, 1], the outermost two open-ended. The
    normal distribution function is taken as 0.5 (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))), as the
    published codes have it; probabilities are floored at 1e-12. A mask of levels 0 and 1 has its
    background in an interior bin.

    Args:
        x_0: (B, 1, H, W), the mask in its coding.
        mean: broadcastable to x_0.
        log_variance: broadcastable to x_0.
    """
    inverse = torch.exp(-0.5 * log_variance)
    above = _normal_cdf((x_0 - mean + 1 / 255) * inverse)
    below = _normal_cdf((x_0 - mean - 1 / 255) * inverse)
    probability = torch.where(
        x_0 < -0.999, above, torch.where(x_0 > 0.999, 1 - below, above - below)
    )
    return probability.clamp(min=1e-12).log()


def vb_terms_bpd(
    x_0: Tensor,
    t: Tensor,
    posterior_mean: Tensor,
    posterior_log_variance: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    counted: Tensor | None = None,
) -> Tensor:
    """One term of the variational bound per row, in bits per dimension.

    For t > 0 the divergence of the true posterior q(x_{t-1} | x_t, x_0) from the model's step, for
    t = 0 the negative log-likelihood of x_0. To let the term train the variance alone, give a
    detached `mean` (Nichol & Dhariwal 2021, section 3.1).

    Args:
        x_0: (B, 1, H, W), the mask in its coding.
        t: int64 (B,), timesteps.
        posterior_mean: (B, 1, H, W), ``Schedule.posterior_mean`` at x_0.
        posterior_log_variance: broadcastable, ``posterior_log_variance_clipped``.
        mean: (B, 1, H, W), ``Schedule.posterior_mean`` at x_0_hat.
        log_variance: broadcastable, of the model's step.
        counted: bool (B, 1, H, W), the dimensions that count; None for all.

    Returns:
        (B,).
    """
    divergence = gaussian_kl(posterior_mean, posterior_log_variance, mean, log_variance)
    surprise = -discretised_gaussian_log_likelihood(x_0, mean, log_variance)
    first = (t == 0).reshape(-1, *[1] * (x_0.ndim - 1)).to(x_0.device)
    return _mean_bits(torch.where(first, surprise, divergence), counted)


def prior_bpd(x_0: Tensor, last_alphas_cumprod: float) -> Tensor:
    """Divergence of q(x_T | x_0) from the standard normal, bits per dimension, (B,).

    What the noisiest timestep still tells about the mask (L_T in Ho et al. 2020, eq. 5).

    Args:
        x_0: (B, 1, H, W), the mask in its coding.
        last_alphas_cumprod: A_T, in float64 precision.
    """
    log_variance = math.log1p(-last_alphas_cumprod)
    constant = 0.5 * (math.expm1(log_variance) - log_variance)
    return _mean_bits(0.5 * last_alphas_cumprod * x_0**2 + constant)


def _normal_cdf(z: Tensor) -> Tensor:
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))


def _mean_bits(nats: Tensor, counted: Tensor | None = None) -> Tensor:
    return mean_of_pixels(nats, counted) / math.log(2)
