"""What is left undecided of one pixel of two levels seen as z = sqrt(snr) x + n, x being -1 or +1.

The unit of the analysis: no pixel of a mask, whatever surrounds it, is less certain than a lone one
of even odds at the same SNR.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Floats = NDArray[np.float64]


def binary_entropy(snr: float, foreground: float = 0.5) -> float:
    """Entropy of the pixel given z, in nats; its prior entropy at snr 0.

    Equal to the integral of half the mmse from `snr` to infinity (Guo, Shamai, Verdu, IEEE Trans.
    Inf. Theory 51, 2005). By trapezoid, to twelve digits.

    Args:
        snr: not its logarithm.
        foreground: probability of level +1, in (0, 1).
    """
    step = min(0.1, 0.25 / math.sqrt(max(snr, 1.0)))
    z = np.arange(-12.0, 12.0, step)
    a = math.log(foreground / (1 - foreground)) / 2
    # Posterior log odds are 2 w; z has the density exp(-snr/2) p(z) cosh(w)/cosh(a), p normal.
    w = np.minimum(np.abs(a + math.sqrt(snr) * z), 300)
    e = np.exp(-2 * w)
    scaled = np.exp(-w) * (1 + e) / 2 * (np.log1p(e) / e + 2 * w / (1 + e))  # entropy cosh(w)
    normal = np.exp(-(z**2) / 2 - snr / 2) * step / math.sqrt(2 * math.pi)
    return float(normal @ scaled) / math.cosh(a)


def decided_from(pixels: int, nats: float) -> float:
    """Log SNR from which on the entropy of any mask given z is at most `nats`.

    Where `pixels` lone pixels of even odds have that entropy. -inf if they never have more.
    """
    if pixels * math.log(2) <= nats:
        return -math.inf

    def excess(log_snr: float) -> float:
        return pixels * binary_entropy(math.exp(log_snr)) - nats

    return float(brentq(excess, -40.0, 7.0))
