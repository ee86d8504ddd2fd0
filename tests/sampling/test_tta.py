"""Views of an image: a group, and its inverse."""

import pytest
import torch

from noise2mask.sampling.tta import unview, view

IMAGE = torch.arange(2 * 3 * 5 * 5, dtype=torch.float32).reshape(2, 3, 5, 5)


@pytest.mark.parametrize("number", range(8))
def test_a_view_is_undone(number):
    assert torch.equal(unview(view(IMAGE, number), number), IMAGE)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_the_first_views_are_different_and_closed(count):
    views = [view(IMAGE, number) for number in range(count)]
    seen = {tuple(each.flatten().tolist()) for each in views}
    assert len(seen) == count
    for each in views:
        for number in range(count):
            assert tuple(view(each, number).flatten().tolist()) in seen


def test_the_first_view_is_the_image():
    assert torch.equal(view(IMAGE, 0), IMAGE)
