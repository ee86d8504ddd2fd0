"""Natural photographs that come with scikit-image, for diffusion of images instead of masks.

Only the images are meant to be used. The layout of a dataset needs masks too: a mask here is where
a crop is brighter than its median, which is no object.

Left out of what comes with scikit-image: medical and microscopic images, rendered ones, the night
sky, photographs without a stated licence, and one that is blurred on purpose.
"""

from functools import cache
from typing import Annotated

import numpy as np
from pydantic import Field
from skimage import color, data

from noise2mask.data.resize import resize_image
from noise2mask.data.source import Image, Mask, Source
from noise2mask.seeds import seed_of

PHOTOGRAPHS = {
    "astronaut": "no known copyright restrictions (NASA)",
    "brick": "CC0 (CC0Textures)",
    "camera": "CC0 (Lav Varshney)",
    "chelsea": "CC0 (Stefan van der Walt)",
    "coffee": "CC0 (Rachel Michetti)",
    "coins": "no known copyright restrictions (Brooklyn Museum)",
    "grass": "CC0 (linolafett)",
    "gravel": "CC0 (CC0Textures)",
    "rocket": "public domain (SpaceX)",
}
"""Name of each in ``skimage.data``, and its licence as scikit-image 0.26 states it there."""


def sources(
    *,
    size: Annotated[int, Field(ge=16, le=256, description="side of a crop, px")] = 128,
    count: Annotated[int, Field(ge=3, le=100_000, description="number of crops")] = 300,
    scale: Annotated[
        float, Field(ge=1, le=16, description="a crop is shrunk by a factor from 1 to it")
    ] = 2.0,
    seed: Annotated[int, Field(ge=0, lt=2**31, description="of where the crops are")] = 0,
) -> list[Source]:
    """The crops; equally many of each photograph, to one, and each photograph is a group.

    Crop i depends on the options without `count` and on i alone.
    """
    names = list(PHOTOGRAPHS)
    return [
        Source(
            id=f"{name}_{number:05d}",
            group=name,
            split=None,
            payload={
                "photograph": name,
                "size": size,
                "scale": scale,
                "seed": seed_of("photograph", seed, number),
            },
        )
        for number, name in ((number, names[number % len(names)]) for number in range(count))
    ]


def load(source: Source) -> tuple[Image, Mask]:
    """One crop: image uint8 (size, size, 3), grey photographs repeated, and mask bool (size, size).

    The logarithm of the factor by which a crop is shrunk is uniform. No crop is larger than its
    photograph, the shortest of which has a side of 300 pixels.
    """
    photograph = _photograph(source.payload["photograph"])
    size, scale = source.payload["size"], source.payload["scale"]
    generator = np.random.default_rng(source.payload["seed"])
    largest = min(size * scale, *photograph.shape[:2])
    side = int(size * (largest / size) ** generator.random())
    top, left = (int(generator.integers(length - side + 1)) for length in photograph.shape[:2])
    crop = resize_image(photograph[top : top + side, left : left + side], (size, size))
    grey = color.rgb2gray(crop)
    return crop, np.asarray(grey > np.median(grey))


@cache
def _photograph(name: str) -> Image:
    """A whole photograph, uint8 (H, W, 3)."""
    image: Image = getattr(data, name)()
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
