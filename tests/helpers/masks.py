"""Random masks, and what an oracle sees of them."""

import numpy as np
from scipy import ndimage

from noise2mask.analysis.oracles.noisy_masks import NoisyMasks
from noise2mask.analysis.oracles.oracles import case_curves, mean_curve


def blobs(count, *, size=32, scale=3.0, seed=0):
    noise = np.random.default_rng(seed).standard_normal((count, size, size))
    smooth = ndimage.gaussian_filter(noise, (0, scale, scale))
    return smooth > np.quantile(smooth, 0.7)


def noisy(masks, *, role="case", t=3, log_snr=0.0, seed=0):
    return NoisyMasks(masks, [f"{role} {i}" for i in range(len(masks))], t, log_snr, seed)


def curve(train, test, levels, **more):
    """Means over the test cases, a row for each oracle and level."""
    return mean_curve(case_curves(train, test, levels, **more))
