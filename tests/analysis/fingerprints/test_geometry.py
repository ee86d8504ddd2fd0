import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import perimeter_crofton

from noise2mask.analysis.fingerprints.geometry import FIGURES, boundary_length, geometry

few = settings(max_examples=40, deadline=None, derandomize=True)


def disc(size, radius, centre=None):
    middle = (size - 0.7) / 2 if centre is None else centre
    y, x = np.mgrid[:size, :size]
    return (y - middle) ** 2 + (x - middle - 0.2) ** 2 < radius**2


def blobs(seed, size=40, margin=3):
    inside = np.random.default_rng(seed).standard_normal((size, size))
    return np.pad(ndimage.gaussian_filter(inside, 2.5) > 0.03, margin)


@few
@given(st.integers(0, 2**32 - 1))
def test_boundary_within_the_image_is_that_of_skimage(seed):
    assert boundary_length(blobs(seed)) == pytest.approx(perimeter_crofton(blobs(seed), 4))


@pytest.mark.parametrize("radius", [15, 40])
def test_a_disc(radius):
    row = geometry(disc(128, radius)[None], ["disc"]).iloc[0]
    assert row.foreground == pytest.approx(np.pi * radius**2 / 128**2, rel=0.01)
    assert row.boundary == pytest.approx(2 * np.pi * radius / 128**2, rel=0.01)
    assert row.boundary_per_area == pytest.approx(2 / radius, rel=0.01)
    assert (row.objects, row.euler, row.largest_share) == (1, 1, 1)
    assert row.area_q10 == row.area_q90 == row.foreground * 128**2


def test_the_frame_is_no_boundary():
    mask = np.zeros((20, 30), dtype=bool)
    mask[:, :11] = True
    crossings = 20 + 2 * 19 / np.sqrt(2)  # of rows, and of the diagonals that are whole
    assert boundary_length(mask) == pytest.approx(np.pi / 8 * crossings)
    assert boundary_length(np.ones((5, 5), dtype=bool)) == 0
    assert np.isclose(boundary_length(mask), 20, rtol=0.1)


def test_objects_and_holes():
    mask = np.zeros((16, 16), dtype=bool)
    mask[1:6, 1:6] = True
    mask[3, 3] = False  # a ring of 24
    mask[6, 6] = True  # touches its corner
    mask[10:12, 10:13] = True  # 6
    mask[15, 0] = True  # 1
    row = geometry(mask[None], ["a"]).iloc[0]
    assert (row.objects, row.euler) == (3, 2)
    assert row.largest_share == pytest.approx(25 / 32)
    assert row.area_q50 == 6
    assert row.area_q10 == pytest.approx(2)
    assert row.area_q90 == pytest.approx(6 + 0.8 * 19)


def test_without_foreground_what_needs_it_is_undefined():
    table = geometry(np.zeros((2, 9, 9), dtype=bool), ["a", "b"])
    assert list(table.columns) == ["case", *FIGURES]
    row = table.iloc[0]
    assert (row.foreground, row.objects, row.boundary, row.euler) == (0, 0, 0, 0)
    assert table.loc[0, ["area_q50", "largest_share", "boundary_per_area"]].isna().all()
    with pytest.raises(ValueError, match="boolean"):
        geometry(np.zeros((2, 9, 9)), ["a", "b"])


@few
@given(st.integers(0, 2**32 - 1), st.integers(0, 3), st.booleans())
def test_figures_are_those_of_the_turned_mask(seed, turns, flip):
    mask = np.random.default_rng(seed).random((12, 12)) < 0.4
    turned = np.rot90(mask[::-1] if flip else mask, turns)
    table = geometry(np.stack([mask, turned]), ["a", "b"])[list(FIGURES)].to_numpy()
    assert table[0] == pytest.approx(table[1])


def test_a_mask_twice_as_large_has_half_the_boundary_per_area():
    small, large = (geometry(disc(size, size / 4)[None], ["a"]).iloc[0] for size in (64, 128))
    assert small.boundary_per_area == pytest.approx(2 * large.boundary_per_area, rel=0.02)
    assert small.foreground == pytest.approx(large.foreground, rel=0.02)
