"""What a network predicts, and how it becomes an estimate of the mask.

The noisy mask is x_t = signal x_0 + sigma eps with signal = sqrt(A_t) and sigma = sqrt(1 - A_t).
The two amplitudes are arguments, in place of A_t, because 1 - A_t of a float32 A_t near 1 has lost
its digits; ``Schedule.amplitudes`` gathers both.

A network may predict

* ``eps``: the noise (Ho et al. 2020, arXiv 2006.11239);
* ``x_0``: the mask;
* ``v`` = signal eps - sigma x_0 (Salimans & Ho 2022, arXiv 2202.00512, appendix D);
* ``logits``: of the probability that a pixel is foreground;
* ``posterior``: the same but for what the pixel's own noisy value says, which is known exactly and
  added as :func:`evidence`. Without noise the estimate is the mask itself, whatever the output.

A mask of zeros and ones enters diffusion under a coding: ``signed`` (-1, +1) or ``unit`` (0, 1).
Pixels that nobody judged are 1/2 in it, halfway in either coding, and count in no loss.
"""

from typing import Literal, NamedTuple, assert_never

import torch
from torch import Tensor

Target = Literal["eps", "x_0", "v", "logits", "posterior"]
Coding = Literal["signed", "unit"]


UNJUDGED = 0.5
"""What a mask holds where nobody judged it."""


def judged(mask: Tensor) -> Tensor | None:
    """Where a mask was judged, bool of its shape; None where that is everywhere."""
    left_out = mask == UNJUDGED
    return ~left_out if bool(left_out.any()) else None


def mean_of_pixels(values: Tensor, counted: Tensor | None) -> Tensor:
    """Mean (B,) of values (B, ...) over those that count; None: all. Where none does, 0."""
    if counted is None:
        return values.flatten(1).mean(1)
    kept = counted.flatten(1)
    return (values.flatten(1) * kept).sum(1) / kept.sum(1).clamp(min=1)


class Denoised(NamedTuple):
    """What a sampler gets to know about x_t.

    Attributes:
        x_0: (B, 1, H, W), estimate of the mask, in the mask's coding.
        variance_fraction: (B, 1, H, W), the share of log beta in the log variance of a DDPM step,
            0 for the smallest variance, 1 for the largest (``variance_fraction`` in
            ``noise2mask.diffusion.variational``); None for a network that does not predict it.
    """

    x_0: Tensor
    variance_fraction: Tensor | None = None


def clip_range(coding: Coding) -> tuple[float, float]:
    """The levels of background and foreground: the range in which x_0 lies."""
    if coding == "signed":
        return -1.0, 1.0
    if coding == "unit":
        return 0.0, 1.0
    assert_never(coding)


def encode_mask(mask: Tensor, coding: Coding) -> Tensor:
    """x_0 from a mask (or a probability) in [0, 1]; any shape, floating point."""
    low, high = clip_range(coding)
    return mask * (high - low) + low


def decode_mask(x_0: Tensor, coding: Coding) -> Tensor:
    """Probability of foreground, clipped to [0, 1], from x_0; any shape."""
    low, high = clip_range(coding)
    return ((x_0 - low) / (high - low)).clamp(0.0, 1.0)


def noised(x_0: Tensor, eps: Tensor, signal: Tensor, sigma: Tensor) -> Tensor:
    """x_t = signal x_0 + sigma eps (Ho et al. 2020, eq. 4).

    Args:
        x_0: (B, ...), the mask in its coding.
        eps: (B, ...), standard normal noise.
        signal: broadcastable to x_0, sqrt(A_t).
        sigma: broadcastable to x_0, sqrt(1 - A_t).
    """
    return signal * x_0 + sigma * eps


def eps_from_x_0(x_0: Tensor, x_t: Tensor, signal: Tensor, sigma: Tensor) -> Tensor:
    """The noise that leads from x_0 to x_t; shapes as in :func:`noised`."""
    return (x_t - signal * x_0) / sigma


def x_0_from_output(
    output: Tensor,
    x_t: Tensor,
    signal: Tensor,
    sigma: Tensor,
    *,
    target: Target,
    coding: Coding,
) -> Tensor:
    """x_0_hat from the output of a network that predicts `target`; not clipped.

    Args:
        output: (B, 1, H, W), one channel of the network's output, of any floating type.
        x_t: (B, 1, H, W), the noisy mask; the result has its type.
        signal: broadcastable to x_t, sqrt(A_t).
        sigma: broadcastable to x_t, sqrt(1 - A_t).
        target: what `output` is.
        coding: of the mask; matters for logits only.

    Returns:
        (B, 1, H, W).
    """
    # The division by a signal of down to 0.005 would magnify the rounding of half precision.
    output = output.to(x_t.dtype)
    if target == "eps":
        return (x_t - sigma * output) / signal
    if target == "x_0":
        return output
    if target == "v":
        return signal * x_t - sigma * output
    if target == "logits":
        return encode_mask(torch.sigmoid(output), coding)
    if target == "posterior":
        own = evidence(x_t, signal, sigma, coding)
        return encode_mask(torch.sigmoid(output + own), coding)
    assert_never(target)


def evidence(x_t: Tensor, signal: Tensor, sigma: Tensor, coding: Coding) -> Tensor:
    """Log-likelihood ratio of foreground to background of each pixel by itself.

    log N(x_t; signal high, sigma^2) - log N(x_t; signal low, sigma^2) for the levels of x_0; with
    the log odds of everything else it adds up to those of the posterior (Bayes).

    Args:
        x_t: (B, 1, H, W), the noisy mask.
        signal: broadcastable to x_t, sqrt(A_t).
        sigma: broadcastable to x_t, sqrt(1 - A_t).
        coding: of the mask.

    Returns:
        (B, 1, H, W).
    """
    low, high = clip_range(coding)
    return signal * (high - low) / sigma**2 * (x_t - signal * (high + low) / 2)


def target_from(
    x_0: Tensor,
    eps: Tensor,
    signal: Tensor,
    sigma: Tensor,
    *,
    target: Target,
    coding: Coding,
) -> Tensor:
    """What a network that predicts `target` should have put out.

    For logits and posterior this is the foreground probability (the mask itself, in {0, 1}), the
    target of a cross-entropy or Dice loss.

    Args:
        x_0: (B, 1, H, W), the mask in its coding.
        eps: (B, 1, H, W), the noise in x_t.
        signal: broadcastable to x_0, sqrt(A_t).
        sigma: broadcastable to x_0, sqrt(1 - A_t).
        target: what the network predicts.
        coding: of the mask; matters for logits only.

    Returns:
        (B, 1, H, W).
    """
    if target == "eps":
        return eps
    if target == "x_0":
        return x_0
    if target == "v":
        return signal * eps - sigma * x_0
    if target == "logits" or target == "posterior":
        return decode_mask(x_0, coding)
    assert_never(target)


def dynamic_threshold(x_0: Tensor, quantile: float) -> Tensor:
    """Clip x_0 to +-s and divide it by s, s = max(1, quantile of abs(x_0) in each row).

    Saharia et al. 2022 (Imagen, arXiv 2205.11487), section 2.3; meant for a range of [-1, 1].

    Args:
        x_0: (B, ...), an estimate of the mask.
        quantile: in (0, 1], the share of pixels that may stay unclipped; 0.995 is usual.

    Returns:
        As `x_0`, within [-1, 1].
    """
    bound = torch.quantile(x_0.abs().flatten(1), quantile, dim=1).clamp(min=1.0)
    bound = bound.reshape(-1, *[1] * (x_0.ndim - 1))
    return x_0.clamp(-bound, bound) / bound
