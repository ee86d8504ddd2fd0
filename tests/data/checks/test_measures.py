"""What is measured of an image and its mask."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from noise2mask.data.checks.measures import measure

DIGESTS = dict.fromkeys(("image_sha256", "mask_sha256", "image_pixels", "mask_pixels"), "")


def test_measures_of_two_rectangles() -> None:
    mask = np.zeros((20, 30), bool)
    mask[2:6, 3:9] = True  # 24 pixels
    mask[10:12, 28:30] = True  # 4, at the border
    image = np.zeros((20, 30, 3), np.uint8)
    image[..., 1] = 90
    found = measure(image, mask, DIGESTS)
    assert (found.width, found.height, found.channels) == (30, 20, 3)
    assert found.foreground == 28 / 600
    assert found.objects == 2
    assert found.largest == 24 / 28
    # 20 sides about the first, 2 + 2 + 2 about the second: its right ones are the image's border
    assert found.boundary == pytest.approx(np.pi / 4 * (20 + 6) / 28)
    assert found.touches_border
    assert found.mean_grey == 30
    assert found.specks == 0
    assert found.constant


def test_pixels_that_touch_at_a_corner_are_one_object() -> None:
    found = measure(np.zeros((4, 4, 1), np.uint8), np.eye(4, dtype=bool), DIGESTS)
    assert (found.objects, found.area, found.specks) == (1, 4, 0)


def test_the_boundary_of_a_disc_is_its_circumference() -> None:
    y, x = np.mgrid[:400, :400]
    found = measure(np.zeros((400, 400, 1), np.uint8), np.hypot(y - 200, x - 200) < 100, DIGESTS)
    assert found.boundary == pytest.approx(2 / 100, rel=0.03)


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_measures_of_any_mask(mask: np.ndarray) -> None:
    found = measure(np.zeros((*mask.shape, 1), np.uint8), mask, DIGESTS)
    assert found.area == mask.sum()
    assert (found.objects == 0) == (not mask.any()) == (found.largest is None)
    assert found.specks <= found.objects <= mask.sum()
    assert found.touches_border == (mask[1:-1, 1:-1].sum() < mask.sum())
