"""Phantoms: made-up images whose masks are exactly known, in three families.

* ``lesion``: one large, blurred, off-centre pigmented lesion on skin;
* ``nuclei``: many small, partly touching nuclei in a stained section;
* ``tissue``: large tumour regions in a stained section that only their texture tells apart.

They mirror the geometry and the difficulty of the three datasets of arXiv 2403.14440 (ISIC16,
MoNuSeg, HER2) and replace none of them: whatever is computed with them is a result on phantoms.
No threshold on a colour finds the masks. Phantom i depends on the options and on i alone.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy import ndimage

from noise2mask.data.formats import phantom_fields
from noise2mask.data.formats.phantom_fields import Colour, Plane
from noise2mask.data.source import Image, Mask, Source
from noise2mask.seeds import seed_of

# Optical density per unit of pigment in red, green and blue, and the light of bare skin, by eye.
MELANIN = np.array([0.45, 0.75, 1.00])
BLOOD = np.array([0.05, 0.55, 0.45])
SKIN_TONES = np.array([[0.94, 0.80, 0.74], [0.84, 0.65, 0.53], [0.60, 0.42, 0.32]])


def sources(
    *,
    family: Annotated[Literal["lesion", "nuclei", "tissue"], Field(description="what is shown")],
    count: Annotated[int, Field(ge=3, le=100_000, description="number of phantoms")] = 300,
    size: Annotated[
        int, Field(ge=32, le=1024, description="side of a raw phantom in pixels")
    ] = 128,
    seed: Annotated[int, Field(ge=0, lt=2**31, description="seed of the whole set")] = 0,
    difficulty: Annotated[
        float, Field(ge=0, le=1, description="0: clear contrast, few distractors; 1: faint, many")
    ] = 0.5,
) -> list[Source]:
    """The phantoms of a set; each is its own group."""
    names = [f"{family}_{number:05d}" for number in range(count)]
    return [
        Source(
            id=name,
            group=name,
            split=None,
            payload={
                "family": family,
                "size": size,
                "seed": seed_of("phantom", family, seed, number),
                "difficulty": difficulty,
            },
        )
        for number, name in enumerate(names)
    ]


def load(source: Source) -> tuple[Image, Mask]:
    """Draw one phantom: image uint8 (size, size, 3) and mask bool (size, size)."""
    draw = {"lesion": _lesion, "nuclei": _nuclei, "tissue": _tissue}[source.payload["family"]]
    generator = np.random.default_rng(source.payload["seed"])
    light, mask = draw(generator, source.payload["size"], source.payload["difficulty"])
    light = light + generator.normal(0, 0.012, light.shape)  # camera noise
    return np.rint(np.clip(light, 0, 1) * 255).astype(np.uint8), mask


# Lesion ---------------------------------------------------------------------------------------


def _lesion(generator: np.random.Generator, size: int, difficulty: float) -> tuple[Colour, Mask]:
    """Skin with one lesion, small spots, a blush, hair, a marker disc, bubbles and a vignette."""
    y, x = phantom_fields.grid(size)
    tone = generator.uniform(0, 2)
    skin = SKIN_TONES[int(tone)] * (1 - tone % 1) + SKIN_TONES[int(tone) + 1] * (tone % 1)
    texture = 0.03 * phantom_fields.noise(generator, size, 1.2) + 0.05 * phantom_fields.noise(
        generator, size, 12
    )
    tilt = generator.uniform(-0.12, 0.12, 2)
    light = skin * np.exp(texture + tilt[0] * y + tilt[1] * x)[..., None]

    level, radius = _outline(generator, size)
    blur = generator.uniform(0.03, 0.05 + 0.2 * difficulty)
    cover = phantom_fields.step(-level * radius / blur)
    contrast = generator.uniform(0.45 - 0.35 * difficulty, 1.2 - 0.4 * difficulty)
    variegation = np.exp(0.35 * phantom_fields.noise(generator, size, generator.uniform(4, 10)))
    pale = phantom_fields.step(
        (phantom_fields.noise(generator, size, 8) - 1.6 + difficulty) / 0.3
    )  # regressed parts
    pigment = cover * contrast * variegation * (1 - 0.8 * pale)
    redness = cover * generator.uniform(0, 0.5)

    for _ in range(generator.poisson(4 * difficulty)):  # small pigmented spots, not the lesion
        spot = phantom_fields.blob(generator, size, np.exp(generator.uniform(-3, -1.6)), 0.85)
        pigment = pigment + (1 - cover) * spot * generator.uniform(0.4, 1.2)
    for _ in range(generator.poisson(2 * difficulty)):  # vascular blush
        redness = redness + phantom_fields.blob(
            generator, size, generator.uniform(0.2, 0.5), 0.8
        ) * (generator.uniform(0.3, 0.9))
    light = light * np.exp(-pigment[..., None] * MELANIN - redness[..., None] * BLOOD)

    hairs = _hairs(generator, size, generator.poisson(1 + 8 * difficulty))
    light = light * (1 - 0.75 * hairs[..., None])
    light = _marker_and_bubbles(generator, light, difficulty)
    if generator.random() < 0.5:
        rim = phantom_fields.step((np.hypot(y, x) - generator.uniform(1.0, 1.25)) / 0.05)
        light = light * (1 - generator.uniform(0.5, 0.95) * rim[..., None])
    return light, level < 0


def _outline(generator: np.random.Generator, size: int) -> tuple[Plane, float]:
    """Relative distance to the border of a lesion (negative inside) and its mean radius."""
    y, x = phantom_fields.grid(size)
    share = np.exp(generator.uniform(np.log(0.09), np.log(0.40)))
    radius = float(np.sqrt(4 * share / np.pi))  # the side of the image is 2
    reach = max(0.1, 0.95 - 0.9 * radius)
    y, x = y - generator.uniform(-reach, reach), x - generator.uniform(-reach, reach)
    angle, squeeze = generator.uniform(0, np.pi), np.sqrt(generator.uniform(0.6, 1))
    y, x = (
        (np.cos(angle) * y + np.sin(angle) * x) / squeeze,
        (np.cos(angle) * x - np.sin(angle) * y) * squeeze,
    )
    theta = np.arctan2(y, x)
    border = np.ones_like(theta)
    for wave in range(2, 8):
        border += generator.normal(0, 0.18 / wave) * np.cos(wave * theta + generator.uniform(0, 7))
    level = np.hypot(y, x) / (radius * border) - 1
    return level + 0.04 * phantom_fields.noise(generator, size, 4), radius


def _hairs(generator: np.random.Generator, size: int, count: int) -> Plane:
    """Thin quadratic curves, as the share of light that they take."""
    drawn = np.zeros((size, size))
    t = np.linspace(0, 1, 3 * size)[:, None]
    for _ in range(count):
        start, end = generator.uniform(-0.1, 1.1, (2, 2))
        bend = (start + end) / 2 + generator.normal(0, 0.15, 2)
        curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end
        row, column = np.rint(curve.T * size).astype(int)
        inside = (row >= 0) & (row < size) & (column >= 0) & (column < size)
        drawn[row[inside], column[inside]] = generator.uniform(0.3, 0.8)
    soft: Plane = ndimage.gaussian_filter(drawn, 0.5 * size / 128)
    return np.minimum(1.6 * soft, 1)


def _marker_and_bubbles(generator: np.random.Generator, light: Colour, difficulty: float) -> Colour:
    """A coloured disc cut off by the edge of the image, ruler ticks, and bubbles of gel."""
    size = len(light)
    y, x = phantom_fields.grid(size)
    if generator.random() < 0.5 * difficulty:
        angle, colour = generator.uniform(0, 2 * np.pi), generator.uniform(0.1, 0.95, 3)
        distance = np.hypot(y - 1.25 * np.sin(angle), x - 1.25 * np.cos(angle))
        disc = phantom_fields.step((generator.uniform(0.3, 0.55) - distance) / 0.015)[..., None]
        light = light * (1 - disc) + colour * (0.9 + 0.1 * y[..., None]) * disc
    if generator.random() < 0.5 * difficulty:
        ticks = ((np.arange(size) * 128 // size) % 8 == 0)[:, None] & (x > 0.9)
        light = np.where(
            ticks[..., None] if generator.random() < 0.5 else ticks.T[..., None], 0.15, light
        )
    for _ in range(generator.poisson(4 * difficulty)):
        row, column = generator.uniform(-1, 1, 2)
        distance = np.hypot(y - row, x - column) / generator.uniform(0.03, 0.08)
        light = light + 0.25 * np.exp(-(((distance - 1) / 0.25) ** 2))[..., None]
    return light


# Nuclei ---------------------------------------------------------------------------------------


def _nuclei(generator: np.random.Generator, size: int, difficulty: float) -> tuple[Colour, Mask]:
    """A section in two stains: nuclei, and debris, basophilic haze and red cells that are none."""
    fibres = phantom_fields.noise(
        generator, size, 2.5, stretch=3, angle=generator.uniform(0, np.pi)
    )
    eosin = generator.uniform(0.25, 0.6) * np.exp(0.35 * fibres)
    # Basophilic cytoplasm: as blue as a pale nucleus, but with no outline.
    haze = np.exp(
        0.5 * phantom_fields.noise(generator, size, 4)
        + 0.4 * phantom_fields.noise(generator, size, 14)
    )
    haematoxylin = (0.08 + 0.5 * difficulty * generator.uniform(0.3, 1)) * haze

    for _ in range(generator.poisson(8 * difficulty)):  # red cells: as large as nuclei, other stain
        disc = phantom_fields.blob(generator, size, generator.uniform(0.06, 0.1), 0.95)
        eosin = np.maximum(eosin, generator.uniform(0.7, 1.3) * disc)
    for _ in range(generator.poisson(20 * difficulty)):  # debris: as dark as nuclei, but smaller
        speck = phantom_fields.blob(generator, size, generator.uniform(0.015, 0.035), 0.9)
        haematoxylin = np.maximum(haematoxylin, generator.uniform(0.6, 1.4) * speck)
    for _ in range(generator.poisson(6 * difficulty)):  # dark threads
        thread = phantom_fields.fold(generator, size, 0.03) * phantom_fields.step(
            phantom_fields.noise(generator, size, 8) / 0.2
        )
        haematoxylin = haematoxylin + generator.uniform(0.3, 0.9) * thread

    stain, mask = _cells(generator, size, generator.uniform(0.17, 0.33), difficulty)
    haematoxylin = np.where(mask, 0.4 * haematoxylin + stain, haematoxylin)
    eosin = np.where(mask, 0.5 * eosin, eosin)
    strength = np.exp(generator.normal(0, 0.15 + 0.3 * difficulty))  # of the staining
    tissue = (
        phantom_fields.step((phantom_fields.noise(generator, size, 9) + 1.5) / 0.2) * strength
    )  # with white gaps
    haematoxylin, eosin = haematoxylin * np.maximum(tissue, mask * strength), eosin * tissue
    focus = phantom_fields.step(phantom_fields.noise(generator, size, 20) / 0.3)
    haematoxylin = phantom_fields.defocus(haematoxylin, focus, 0.6, 0.6 + 1.6 * difficulty)
    eosin = phantom_fields.defocus(eosin, focus, 0.6, 0.6 + 1.6 * difficulty)
    return phantom_fields.stained(generator, haematoxylin, eosin), mask


def _cells(
    generator: np.random.Generator, size: int, share: float, difficulty: float
) -> tuple[Plane, Mask]:
    """Draw nuclei until they cover `share`; stain inside them, and their union."""
    stain, mask = np.zeros((size, size)), np.zeros((size, size), dtype=bool)
    chromatin = phantom_fields.noise(generator, size, 1.5)
    typical, spread = generator.uniform(4.8, 6.2) * size / 128, generator.uniform(0.08, 0.22)
    places = np.empty((0, 3))  # row, column and radius of each
    for _ in range(400):
        if mask.sum() >= share * size * size:
            break
        radius = typical * float(np.exp(generator.normal(0, spread)))
        row, column = generator.uniform(0, size, 2)
        if len(places) and generator.random() < 0.45:  # touch an earlier one
            near = places[generator.integers(len(places))]
            angle = generator.uniform(0, 2 * np.pi)
            row = near[0] + np.sin(angle) * (near[2] + radius)
            column = near[1] + np.cos(angle) * (near[2] + radius)
        gaps = np.hypot(row - places[:, 0], column - places[:, 1]) - 0.85 * (radius + places[:, 2])
        if (gaps < 0).any():
            continue
        places = np.vstack([places, [row, column, radius]])
        window = _window(size, row, 2 * radius), _window(size, column, 2 * radius)
        y, x = np.ogrid[window]
        level = _nucleus(generator, (y - row) / radius, (x - column) / radius)
        inside = (level < 1) & ~mask[window]
        pale = generator.random() < 0.3 + 0.3 * difficulty  # vesicular: pale with a dark rim
        depth = generator.uniform(0.20, 0.45) if pale else generator.uniform(0.5, 1.1)
        body = depth * np.exp(0.25 * chromatin[window]) + (0.5 * level**6 if pale else 0)
        stain[window][inside] = body[inside]
        mask[window] |= inside
    return stain, mask


def _window(size: int, middle: float, reach: float) -> slice:
    return slice(max(0, int(middle - reach)), min(size, max(0, int(middle + reach) + 1)))


def _nucleus(generator: np.random.Generator, y: Plane, x: Plane) -> Plane:
    """Distance from the centre of an irregular ellipse, 1 at its border."""
    angle, squeeze = generator.uniform(0, np.pi), np.sqrt(generator.uniform(0.5, 1))
    u = (np.cos(angle) * y + np.sin(angle) * x) / squeeze
    v = (np.cos(angle) * x - np.sin(angle) * y) * squeeze
    theta = np.arctan2(u, v)
    border = 1 + generator.normal(0, 0.07) * np.cos(2 * theta + generator.uniform(0, 7))
    border += generator.normal(0, 0.05) * np.cos(3 * theta + generator.uniform(0, 7))
    level: Plane = np.hypot(u, v) / border
    return level


# Tissue ---------------------------------------------------------------------------------------


def _tissue(generator: np.random.Generator, size: int, difficulty: float) -> tuple[Colour, Mask]:
    """A section whose tumour is rounded and finer, its stroma fibrous and coarser, equally dark."""
    shape = phantom_fields.noise(generator, size, 15) + 0.25 * phantom_fields.noise(
        generator, size, 5
    )
    mask = shape > np.quantile(shape, 1 - generator.uniform(0.28, 0.62))
    weight = ndimage.gaussian_filter(mask.astype(float), (1 + 4 * difficulty) * size / 128)

    angle = generator.uniform(0, np.pi)
    tumour = phantom_fields.rank(phantom_fields.waves(generator, size, period=9 + 3 * difficulty))
    stroma = phantom_fields.rank(
        phantom_fields.waves(generator, size, period=13, angle=angle, spread=0.3 + 0.4 * difficulty)
    )
    # Both have one distribution of values, and so has their blend: neither its mean nor its
    # spread tells where the tumour is.
    field = (weight * tumour + (1 - weight) * stroma) / np.hypot(weight, 1 - weight)
    haematoxylin = generator.uniform(0.35, 0.6) * np.exp(0.55 * field)
    eosin = generator.uniform(0.3, 0.6) * np.exp(0.25 * phantom_fields.noise(generator, size, 6))

    blotches = 0.25 * difficulty * phantom_fields.noise(generator, size, 14)
    haematoxylin = haematoxylin * np.exp(blotches)
    for _ in range(generator.poisson(2 * difficulty)):  # folds: long, dark in both stains
        fold = phantom_fields.fold(generator, size, generator.uniform(0.02, 0.06))
        haematoxylin, eosin = haematoxylin + 0.5 * fold, eosin + 0.5 * fold
    gaps = phantom_fields.step((phantom_fields.noise(generator, size, 5) - 2.3) / 0.1)
    haematoxylin, eosin = haematoxylin * (1 - gaps), eosin * (1 - gaps)
    y, x = phantom_fields.grid(size)
    tilt = generator.uniform(-0.15, 0.15, 2)
    light = (
        phantom_fields.stained(generator, haematoxylin, eosin)
        * np.exp(tilt[0] * y + tilt[1] * x)[..., None]
    )
    return light, mask
