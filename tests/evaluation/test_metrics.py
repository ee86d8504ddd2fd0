import doctest
import functools
import inspect
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist
from skimage import draw as shapes
from skimage.metrics import hausdorff_distance
from skimage.segmentation import find_boundaries

from noise2mask import plugins
from noise2mask.evaluation import metrics
from noise2mask.evaluation.metrics import dice, hd95, hd95_mm, iou, nsd, nsd_mm


def called(name):
    """A metric of two masks; one in mm with pixels of a millimetre."""
    metric = getattr(metrics, name)
    if "spacing" not in inspect.signature(metric).parameters:
        return metric

    @functools.wraps(metric)
    def at_one_mm(prediction, mask, **options):
        return metric(prediction, mask, (1.0,) * mask.ndim, **options)

    return at_one_mm


ALL = {name: called(name) for name in plugins.names("metric")}
DISTANCES = {"hd95", "hd95_mm"}  # the larger the worse; every other one is an overlap in [0, 1]
OVERLAPS = sorted(ALL.keys() - DISTANCES)

mask_pairs = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)
few = settings(max_examples=60, deadline=None, derandomize=True)


def disc(shape, centre, radius):
    mask = np.zeros(shape, dtype=bool)
    mask[shapes.disk(centre, radius, shape=shape)] = True
    return mask


def cases():
    """Random masks, and discs that are shifted, nested, cut by the frame, or several."""
    generator = np.random.default_rng(0)
    shape = (40, 50)
    for prevalence in (0.02, 0.3, 0.9):
        yield generator.random(shape) < prevalence, generator.random(shape) < prevalence
    yield disc(shape, (20, 20), 9), disc(shape, (22, 25), 11)
    yield disc(shape, (20, 20), 5), disc(shape, (20, 20), 15)
    yield disc(shape, (2, 3), 9), disc(shape, (0, 0), 12)
    yield disc(shape, (20, 20), 6) | disc(shape, (30, 45), 4), disc(shape, (20, 21), 6)
    yield disc(shape, (10, 10), 3), disc(shape, (33, 41), 3)
    yield np.ones(shape, dtype=bool), disc(shape, (20, 25), 8)


CASES = list(cases())


def boundary_points(mask):
    """Boundary pixels by another road: scikit-image on a padded copy."""
    return np.argwhere(find_boundaries(np.pad(mask, 1), connectivity=1, mode="inner")) - 1


@pytest.fixture(scope="module")
def monai_value():
    import torch
    from monai import metrics as monai

    def value(name, prediction, mask):
        metric = {
            "dice": lambda: monai.DiceMetric(),
            "iou": lambda: monai.MeanIoU(),
            "hd95": lambda: monai.HausdorffDistanceMetric(include_background=True, percentile=95),
            "nsd_0": lambda: monai.SurfaceDiceMetric([0.0], include_background=True),
            "nsd_1": lambda: monai.SurfaceDiceMetric([1.0], include_background=True),
            "nsd_2": lambda: monai.SurfaceDiceMetric([2.0], include_background=True),
        }[name]()
        tensors = [torch.from_numpy(array)[None, None].float() for array in (prediction, mask)]
        return float(metric(*tensors).item())

    return value


@pytest.mark.parametrize("pair", CASES)
def test_every_metric_equals_monai(pair, monai_value):
    assert dice(*pair) == pytest.approx(monai_value("dice", *pair), abs=1e-6)
    assert iou(*pair) == pytest.approx(monai_value("iou", *pair), abs=1e-6)
    assert hd95(*pair) == pytest.approx(monai_value("hd95", *pair), rel=1e-6)
    for tolerance in (0, 1, 2):
        expected = monai_value(f"nsd_{tolerance}", *pair)
        assert nsd(*pair, tolerance=tolerance) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("pair", CASES)
def test_distances_equal_brute_force(pair):
    distances = cdist(*map(boundary_points, pair))
    ways = distances.min(axis=1), distances.min(axis=0)
    assert hd95(*pair) == pytest.approx(max(np.percentile(way, 95) for way in ways))
    both = np.concatenate(ways)
    assert nsd(*pair, tolerance=1.5) == pytest.approx(np.mean(both <= 1.5))
    assert nsd(*pair) == nsd(*pair, tolerance=2)


def test_hd95_of_few_boundary_pixels_is_close_to_the_hausdorff_distance():
    one, other = np.zeros((2, 12, 12), dtype=bool)
    one[2, 3] = other[7, 9] = True
    assert hd95(one, other) == pytest.approx(hausdorff_distance(one, other))


@pytest.mark.parametrize("name", OVERLAPS)
def test_disjoint_masks_score_0_in_every_overlap_metric(name):
    mask = np.zeros((64, 64), dtype=bool)
    mask[5:15, 5:15] = True
    equal_area = np.roll(mask, (40, 30), axis=(0, 1))
    assert ALL[name](equal_area, mask) == 0
    assert ALL[name](mask, equal_area) == 0


@pytest.mark.parametrize("name", OVERLAPS)
def test_empty_masks_of_an_overlap_metric(name):
    empty, some = np.zeros((8, 8), dtype=bool), np.eye(8, dtype=bool)
    assert ALL[name](empty, empty) == 1
    assert ALL[name](empty, some) == 0
    assert ALL[name](some, empty) == 0


@pytest.mark.parametrize("name", sorted(DISTANCES))
def test_a_distance_to_an_empty_mask_is_nan(name):
    empty, some = np.zeros((8, 8), dtype=bool), np.eye(8, dtype=bool)
    for pair in ((empty, empty), (empty, some), (some, empty)):
        assert math.isnan(ALL[name](*pair))


@few
@given(pair=mask_pairs)
def test_symmetric_in_range_and_perfect_on_itself(pair):
    prediction, mask = pair
    for name, metric in ALL.items():
        value = metric(prediction, mask)
        assert type(value) is float
        assert value == pytest.approx(metric(mask, prediction), nan_ok=True)
        if name in OVERLAPS:
            assert 0 <= value <= 1
            assert metric(mask, mask) == 1
        else:
            assert math.isnan(value) == (not prediction.any() or not mask.any())
            assert math.isnan(value) or 0 <= value <= math.hypot(*mask.shape)
            assert not mask.any() or metric(mask, mask) == 0


@few
@given(pair=mask_pairs)
def test_iou_follows_from_dice(pair):
    assert iou(*pair) == pytest.approx(dice(*pair) / (2 - dice(*pair)))


@few
@given(pair=mask_pairs, tolerances=st.lists(st.floats(0, 10), min_size=2, max_size=2))
def test_nsd_does_not_fall_with_the_tolerance(pair, tolerances):
    narrow, wide = sorted(tolerances)
    assert nsd(*pair, tolerance=narrow) <= nsd(*pair, tolerance=wide)


def test_nsd_of_a_shifted_square():
    mask = np.zeros((30, 30), dtype=bool)
    mask[5:15, 5:15] = True
    shifted = np.roll(mask, 3, axis=1)
    # 36 boundary pixels each; of the shifted ones the 7 + 7 on the horizontal edges in common and,
    # at distance <= 2, two more on each such edge.
    assert nsd(shifted, mask, tolerance=0) == pytest.approx(14 / 36)
    assert nsd(shifted, mask, tolerance=2) < 1
    assert nsd(shifted, mask, tolerance=3) == 1  # a distance equal to the tolerance is within it


@pytest.mark.parametrize("name", sorted(ALL))
@pytest.mark.parametrize(
    ("prediction", "mask"),
    [
        (np.zeros((4, 4), dtype=bool), np.zeros((4, 5), dtype=bool)),
        (np.zeros(4, dtype=bool), np.zeros(4, dtype=bool)),
        (np.zeros((1, 1, 4, 4), dtype=bool), np.zeros((1, 1, 4, 4), dtype=bool)),
        (np.zeros((4, 4), dtype=np.uint8), np.zeros((4, 4), dtype=bool)),
        (np.zeros((4, 4), dtype=bool), np.zeros((4, 4))),
    ],
)
def test_wrong_shape_or_dtype_is_refused(name, prediction, mask):
    with pytest.raises(ValueError, match=r"one shape, \(H, W\)|must be boolean"):
        ALL[name](prediction, mask)


@pytest.mark.parametrize("shape", [(40, 50), (7, 20, 25)])
def test_distances_in_mm_equal_monai(shape):
    import torch
    from monai import metrics as monai

    generator, spacing = np.random.default_rng(0), (3.0, 0.7, 1.3)[-len(shape) :]
    distance = np.linalg.norm(np.indices(shape).T - np.array(shape) / 2, axis=-1).T
    for shift in (0, 2):
        masks = [np.roll(distance + generator.normal(0, 1, shape) < 6, s, -1) for s in (0, shift)]
        tensors = [torch.from_numpy(mask)[None, None].float() for mask in masks]
        far = monai.compute_hausdorff_distance(
            *tensors, include_background=True, percentile=95, spacing=spacing
        )
        assert hd95_mm(*masks, spacing) == pytest.approx(float(far), rel=1e-6)
        near = monai.compute_surface_dice(*tensors, [1.5], include_background=True, spacing=spacing)
        assert nsd_mm(*masks, spacing, tolerance=1.5) == pytest.approx(float(near), rel=1e-6)


def test_a_spacing_for_each_axis():
    mask = np.ones((4, 4), dtype=bool)
    with pytest.raises(ValueError, match="a number for each of 2 axes"):
        hd95_mm(mask, mask, (1.0, 1.0, 1.0))


@pytest.mark.parametrize("tolerance", [-1.0, math.nan])
def test_nsd_refuses_a_tolerance_that_is_no_distance(tolerance):
    mask = np.ones((4, 4), dtype=bool)
    with pytest.raises(ValueError, match="tolerance must be at least 0"):
        nsd(mask, mask, tolerance=tolerance)


def test_the_arguments_are_not_changed():
    prediction, mask = disc((30, 30), (12, 12), 6), disc((30, 30), (14, 15), 7)
    before = prediction.copy(), mask.copy()
    for metric in ALL.values():
        metric(prediction, mask)
    assert np.array_equal(prediction, before[0])
    assert np.array_equal(mask, before[1])


@pytest.mark.parametrize("name", sorted(ALL))
def test_docstring_states_the_empty_case_a_reference_and_an_example(name):
    text = inspect.getdoc(ALL[name])
    assert "empty:" in text
    assert "References:" in text
    assert ">>>" in text


def test_examples_run():
    assert doctest.testmod(metrics).attempted >= 2 * len(ALL)
    assert doctest.testmod(metrics).failed == 0
