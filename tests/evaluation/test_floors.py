"""Floors: each finds what it is made for, chooses on known images, and gives probabilities."""

import numpy as np
import pytest

from noise2mask.evaluation import floors
from noise2mask.evaluation.floors import FLOORS, Known
from noise2mask.evaluation.metrics import dice
from noise2mask.study.paths import CLASSICAL

SIDE, CASES = 24, 12


def discs(seed=0):
    """Masks of one disc each, anywhere."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    centres = generator.uniform(6, SIDE - 6, (CASES, 2))
    radius = generator.uniform(3, 6, CASES)
    return np.stack(
        [(y - a) ** 2 + (x - b) ** 2 < r**2 for (a, b), r in zip(centres, radius, strict=True)]
    )


def known(images, masks):
    return Known(images, masks, np.arange(CASES) < 9)


def painted(masks, inside, outside, noise=12.0, seed=1):
    """Images of two colours, each under an illumination of its own."""
    generator = np.random.default_rng(seed)
    light = generator.uniform(-25, 25, (len(masks), 1, 1, 1))
    colours = np.where(masks[..., None], np.array(inside, float), np.array(outside, float))
    values = colours + light + noise * generator.normal(size=colours.shape)
    return np.clip(values, 0, 255).astype(np.uint8)


def score(floor, images, masks, test):
    found = floor(known(images, masks), test)
    return np.mean([dice(p > 0.5, mask) for p, mask in zip(found, discs(1), strict=True)])


@pytest.mark.parametrize("name", FLOORS)
def test_every_floor_gives_a_probability_for_each_pixel(name):
    masks = discs()
    test = painted(discs(1), (150, 60, 60), (90, 90, 90))[:5]
    found = FLOORS[name](known(painted(masks, (150, 60, 60), (90, 90, 90)), masks), test)
    assert found.shape == (5, SIDE, SIDE)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("name", CLASSICAL)
@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ((170,), (80,)), ((80,), (170,)), ((90, 90, 190), (90, 90, 90)),
        ((60, 140, 90), (140, 60, 90)),
    ],
    ids=["bright", "dark", "blue", "as bright as around it"],
)  # fmt: skip
def test_an_object_that_its_colour_tells_is_found(name, inside, outside):
    masks, test = discs(), discs(1)
    images = painted(masks, inside, outside)
    assert score(FLOORS[name], images, masks, painted(test, inside, outside, seed=2)) > 0.95


def test_a_texture_is_found_by_the_pixel_classifier_alone():
    masks, test = discs(), discs(1)

    def woven(masks, seed):
        generator = np.random.default_rng(seed)
        sign = np.sign(generator.normal(size=masks.shape))
        return np.where(masks, 128 + 45 * sign, 128 + 5 * sign)[..., None].astype(np.uint8)

    images, others = woven(masks, 3), woven(test, 4)
    assert score(floors.pixel_classifier, images, masks, others) > 0.75
    assert score(floors.otsu, images, masks, others) < 0.6


@pytest.mark.parametrize("name", CLASSICAL)
def test_noise_alone_is_not_read(name):
    """A null control: without anything in the image no floor is above all foreground for long."""
    masks = discs()
    noise = np.random.default_rng(5).integers(0, 256, (2, CASES, SIDE, SIDE, 1)).astype(np.uint8)
    assert score(FLOORS[name], noise[0], masks, noise[1]) < 0.45


def test_the_mean_mask_is_that_of_train():
    masks = discs()
    images = painted(masks, (170,), (80,))
    found = floors.mean_mask(known(images, masks), images[:2])
    np.testing.assert_allclose(found, np.stack([masks[:9].mean(axis=0)] * 2), atol=1e-6)


@pytest.mark.parametrize("name", FLOORS)
def test_an_image_is_segmented_without_regard_to_the_others(name):
    masks = discs()
    seen = known(painted(masks, (150, 60, 60), (90, 90, 90)), masks)
    test = painted(discs(1), (60, 60, 150), (90, 90, 90), seed=6)
    whole = FLOORS[name](seen, test)
    np.testing.assert_array_equal(FLOORS[name](seen, test[7:8])[0], whole[7])
    np.testing.assert_array_equal(FLOORS[name](seen, test[::-1])[::-1], whole)


@pytest.mark.parametrize("name", FLOORS)
def test_plain_images_and_masks_without_foreground_give_numbers(name):
    masks = discs()
    masks[3] = False
    images = painted(masks, (150, 60, 60), (90, 90, 90))
    images[4] = 77
    found = FLOORS[name](known(images, masks), np.full((1, SIDE, SIDE, 3), 200, np.uint8))
    assert np.isfinite(found).all()
