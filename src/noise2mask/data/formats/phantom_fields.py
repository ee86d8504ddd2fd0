"""Random fields, shapes and stains, from which phantoms are drawn.

A field is float64 (H, W) with H = W = `size`. Lengths "in pixels" are those of a phantom of 128
pixels and grow with the size; lengths "in half sides" are relative to half the side.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage, special

Plane = npt.NDArray[np.float64]  # (H, W)
Colour = npt.NDArray[np.float64]  # (H, W, 3), light in [0, 1]

# Optical density per unit of stain in red, green and blue (Ruifrok and Johnston, Analytical and
# Quantitative Cytology and Histology 23, 2001).
HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])
EOSIN = np.array([0.07, 0.99, 0.11])


def grid(size: int) -> tuple[Plane, Plane]:
    """Row and column of each pixel, -1 to 1 between the edges of the image."""
    middle = (np.arange(size) + 0.5) * 2 / size - 1
    return np.broadcast_to(middle[:, None], (size, size)), np.broadcast_to(middle, (size, size))


def noise(
    generator: np.random.Generator,
    size: int,
    scale: float,
    *,
    stretch: float = 1.0,
    angle: float = 0.0,
) -> Plane:
    """Smooth noise of a `scale` in pixels, stretched along `angle`; mean 0, deviation 1."""
    fy, fx = np.fft.fftfreq(size)[:, None] * size / 128, np.fft.rfftfreq(size)[None] * size / 128
    along, across = np.cos(angle) * fy + np.sin(angle) * fx, np.cos(angle) * fx - np.sin(angle) * fy
    keep = np.exp(-2 * (np.pi * scale) ** 2 * ((along * stretch) ** 2 + across**2))
    keep[0, 0] = 0
    white = np.fft.rfft2(generator.normal(size=(size, size)))
    return standard(np.fft.irfft2(white * keep, (size, size)))


def standard(field: Plane) -> Plane:
    """Shift and scale a field to mean 0 and standard deviation 1."""
    scaled: Plane = (field - field.mean()) / field.std()
    return scaled


def rank(field: Plane) -> Plane:
    """Replace each value by the normal quantile of its rank."""
    order = np.argsort(field, axis=None, kind="stable")
    ranks = np.empty(field.size)
    ranks[order] = (np.arange(field.size) + 0.5) / field.size
    quantiles: Plane = special.ndtri(ranks).reshape(field.shape)
    return quantiles


def step(field: Plane) -> Plane:
    """A smooth step from 0 to 1 at 0."""
    return 0.5 + 0.5 * np.tanh(field / 2)


def blob(generator: np.random.Generator, size: int, radius: float, sharpness: float) -> Plane:
    """A roundish blob anywhere, 1 inside; radius in half sides, `sharpness` up to 1."""
    y, x = grid(size)
    row, column = generator.uniform(-0.95, 0.95, 2)
    squeeze = generator.uniform(0.75, 1.3)
    distance = np.hypot((y - row) * squeeze, (x - column) / squeeze)
    return step((1 - distance / radius) / (1.02 - sharpness))


def defocus(field: Plane, focus: Plane, sharp: float, dull: float) -> Plane:
    """Blur by `sharp` pixels where `focus` is 1 and by `dull` where it is 0."""
    unit = len(field) / 128
    near = ndimage.gaussian_filter(field, sharp * unit, mode="reflect")
    far = ndimage.gaussian_filter(field, dull * unit, mode="reflect")
    blend: Plane = focus * near + (1 - focus) * far
    return blend


def stained(generator: np.random.Generator, haematoxylin: Plane, eosin: Plane) -> Colour:
    """Light through two stains (Beer-Lambert law), with the colours of one laboratory."""
    blue = HAEMATOXYLIN * generator.uniform(0.85, 1.15, 3)
    pink = EOSIN * generator.uniform(0.85, 1.15, 3)
    lamp = generator.uniform(0.9, 1.0, 3)
    light: Colour = lamp * np.exp(-haematoxylin[..., None] * blue - eosin[..., None] * pink)
    return light


def waves(
    generator: np.random.Generator,
    size: int,
    *,
    period: float,
    angle: float | None = None,
    spread: float = 1.0,
) -> Plane:
    """Noise of one period in pixels, in all directions or only near one.

    Args:
        generator: source of the noise.
        size: side of the field.
        period: length of a wave in pixels.
        angle: direction of the waves in radians; None for all directions.
        spread: sine of the angle by which directions differ from `angle`.
    """
    fy, fx = np.fft.fftfreq(size)[:, None] * size / 128, np.fft.rfftfreq(size)[None] * size / 128
    ring = np.exp(-(((np.hypot(fy, fx) * period - 1) / 0.22) ** 2))
    if angle is not None:
        turn = np.arctan2(fy, fx) - angle
        ring = ring * np.exp(-((np.sin(turn) / spread) ** 2))
    white = np.fft.rfft2(generator.normal(size=(size, size)))
    return standard(np.fft.irfft2(white * ring, (size, size)))


def fold(generator: np.random.Generator, size: int, width: float) -> Plane:
    """A long bent band across the image; `width` in half sides."""
    y, x = grid(size)
    angle = generator.uniform(0, np.pi)
    across = np.cos(angle) * y + np.sin(angle) * x + generator.uniform(-0.8, 0.8)
    along = np.cos(angle) * x - np.sin(angle) * y
    bent = across + 0.12 * np.sin(generator.uniform(1, 4) * along + generator.uniform(0, 7))
    band: Plane = np.exp(-((bent / width) ** 2))
    return band
