"""One mask of several, by each way that a study may say."""

import numpy as np
import pytest

from noise2mask.data.annotators import annotated, staple, together


def disc(radius):
    rows, columns = np.mgrid[:20, :20]
    return (rows - 10) ** 2 + (columns - 10) ** 2 < radius**2


def test_each_way_of_making_one_mask():
    masks = [disc(4), disc(6), disc(8), disc(2)]
    np.testing.assert_array_equal(together(masks, "union"), disc(8))
    for several in ("majority", "soft"):  # two of four are no majority
        np.testing.assert_array_equal(together(masks, several), disc(4))
    np.testing.assert_array_equal(together(masks, 2), disc(6))


def test_staple_trusts_those_that_agree():
    wild = np.random.default_rng(0).random((20, 20)) < 0.5
    masks = [disc(6), disc(6), disc(6), wild, ~wild]
    np.testing.assert_array_equal(together(masks, "staple"), disc(6))


@pytest.mark.parametrize("mask", [disc(5), np.zeros((20, 20), bool), np.ones((20, 20), bool)])
def test_staple_of_masks_that_agree_is_theirs(mask):
    np.testing.assert_array_equal(staple(np.stack([mask, mask])), mask)


def test_an_empty_mask_among_others_leaves_numbers():
    found = staple(np.stack([disc(5), disc(5), disc(0)]))
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found > 0.5, disc(5))


def test_parts_are_no_annotators():
    assert not any(map(annotated, ("refuse", "union")))
    assert all(map(annotated, ("majority", "soft", "staple", 1)))
