"""Weights and normal deviates that are functions of a name and an element number alone.

The golden numbers in tests/golden were computed from these, so that neither weights nor most
inputs need to be stored; tests/golden/README.md states the formula.
"""

import math
from collections.abc import Mapping
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

CHUNK = 2**16  # elements at a time: the arrays in between then stay in the cache


def uniform(key: str, size: int) -> NDArray[np.float64]:
    """Numbers in [0, 1): a 32-bit mixing function of the element number, started at crc32(key)."""
    start = np.uint32(crc32(key.encode()))
    numbers = np.empty(size)
    for first in range(0, size, CHUNK):
        x = np.arange(first, min(first + CHUNK, size), dtype=np.uint32)
        x *= np.uint32(0x9E3779B1)
        x += start
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x85EBCA6B)
        x ^= x >> np.uint32(13)
        x *= np.uint32(0xC2B2AE35)
        x ^= x >> np.uint32(16)
        np.multiply(x, 2.0**-32, out=numbers[first : first + CHUNK])
    return numbers


def normal(key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Standard normal deviates, by the cosine half of Box and Muller's transform."""
    size = math.prod(shape)
    radius = np.sqrt(-2 * np.log(1 - uniform(f"{key}/u1", size)))
    deviates = radius * np.cos(2 * np.pi * uniform(f"{key}/u2", size))
    return deviates.astype(np.float32).reshape(shape)


def blob_mask(key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """1 where the mean over 9x9 pixels (zeros outside) of a normal field exceeds 0.05, else 0."""
    padded = np.pad(normal(key, shape).astype(np.float64), [(0, 0)] * 2 + [(4, 4)] * 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (9, 9), axis=(2, 3))
    return (windows.mean(axis=(-2, -1)) > 0.05).astype(np.float32)


def moments(name: str, key: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Mean and standard deviation of the published state-dict entry `key` of network `name`."""
    last = key.rsplit(".", 1)[-1]
    special = {"complex_weight": (0.0, 0.5), "running_var": (1.0, 0.2), "running_mean": (0.0, 0.2)}
    if last in special:
        return special[last]
    if len(shape) < 2:
        return (1.0, 0.1) if last == "weight" else (0.0, 0.1)
    gain = 2.0
    if key.endswith("qkv.weight"):
        gain = 2.5
    elif name.startswith("medsegdiff_v1") and "hwm." in key:
        gain = 1.2
    return 0.0, math.sqrt(gain / math.prod(shape[1:]))


def weights(name: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """Every entry of a published state dict."""
    entries = {}
    for key, shape in shapes.items():
        mean, std = moments(name, key, shape)
        numbers = uniform(f"{name}/{key}", math.prod(shape))
        numbers -= 0.5
        numbers *= std * math.sqrt(12)
        numbers += mean
        entries[key] = numbers.astype(np.float32).reshape(shape)
    return entries
