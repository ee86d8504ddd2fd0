"""Photographs: from the installed package alone, reproducible, none in two splits."""

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from skimage import color, data

from noise2mask.data.formats import photographs
from noise2mask.data.formats.photographs import PHOTOGRAPHS, load, sources
from noise2mask.data.splits import SPLITS, assign_splits
from noise2mask.plugins import options


@pytest.fixture(scope="module")
def crops():
    return [(source, *load(source)) for source in sources(count=45, size=64, seed=3)]


def test_form(crops):
    for _, image, mask in crops:
        assert image.shape == (64, 64, 3)
        assert image.dtype == np.uint8
        assert mask.shape == (64, 64)
        assert mask.dtype == np.bool_


def test_every_photograph_comes_with_the_package():
    inside = {path.stem for path in Path(data.__file__).parent.iterdir()}
    assert set(PHOTOGRAPHS) <= inside
    for name in PHOTOGRAPHS:
        image = getattr(data, name)()
        assert image.dtype == np.uint8
        assert min(image.shape[:2]) >= 300


def test_each_photograph_is_a_group_and_has_its_share(crops):
    counts = Counter(source.group for source, _, _ in crops)
    assert counts == dict.fromkeys(PHOTOGRAPHS, 5)
    assert all(source.id.startswith(source.group) for source, _, _ in crops)
    assert len({source.id for source, _, _ in crops}) == 45


def test_no_photograph_lies_in_two_splits():
    several = sources(count=200)
    shares = dict(zip(SPLITS, (0.6, 0.15, 0.25), strict=True))
    splits = assign_splits([one.group for one in several], [one.split for one in several], shares)
    shown = [one.id.rpartition("_")[0] for one in several]
    lies_in = dict(zip(shown, splits, strict=True))
    assert splits == [lies_in[name] for name in shown]
    assert set(splits) == set(SPLITS)


def test_a_crop_does_not_depend_on_the_others():
    many, few = sources(count=30, size=32), sources(count=12, size=32)
    assert few == many[:12]
    alone = load(pickle.loads(pickle.dumps(many[11])))
    assert np.array_equal(alone[0], load(few[11])[0])


def test_every_option_changes_the_crops():
    base = [load(one)[0] for one in sources(count=9, size=32)]
    for other in ({"seed": 1}, {"scale": 4.0}):
        changed = [load(one)[0] for one in sources(count=9, size=32, **other)]
        assert not any(np.array_equal(a, b) for a, b in zip(base, changed, strict=True))
    assert load(sources(count=3, size=48)[0])[0].shape == (48, 48, 3)


def test_unshrunk_crops_are_parts_of_the_photograph():
    corners_seen = []
    for source in sources(count=9, size=40, scale=1.0):
        image, _ = load(source)
        whole = getattr(data, source.group)()
        whole = whole if whole.ndim == 3 else np.stack([whole] * 3, axis=2)
        windows = np.lib.stride_tricks.sliding_window_view(whole[..., 0], (40, 40))
        corners = np.argwhere(windows[..., 0, 0] == image[0, 0, 0])
        at = [(y, x) for y, x in corners if np.array_equal(windows[y, x], image[..., 0])]
        assert any(np.array_equal(whole[y : y + 40, x : x + 40], image) for y, x in at)
        corners_seen.append(at[0])
    assert np.min(np.std(corners_seen, axis=0)) > 40


def test_crops_are_shrunk_by_many_factors(monkeypatch):
    sides = []
    monkeypatch.setattr(
        photographs, "resize_image", lambda part, size: sides.append(part.shape) or part[:32, :32]
    )
    for source in sources(count=200, size=32, scale=4.0):
        load(source)
    shapes = np.array(sides)
    assert (shapes[:, 0] == shapes[:, 1]).all()
    assert shapes[:, 0].min() >= 32
    assert shapes[:, 0].max() <= 128
    # Uniform in the logarithm: half of the crops are shrunk by less than sqrt(4).
    assert (shapes[:, 0] < 64).mean() == pytest.approx(0.5, abs=0.12)


def test_no_crop_is_larger_than_its_photograph():
    for source in sources(count=9, size=128, scale=16.0):
        assert load(source)[0].shape == (128, 128, 3)


def test_the_mask_is_what_is_brighter_than_the_median(crops):
    for _, image, mask in crops:
        grey = color.rgb2gray(image)
        assert 0.3 < mask.mean() <= 0.5
        assert grey[mask].min() > np.median(grey) >= grey[~mask].max()


def test_grey_photographs_are_repeated(crops):
    for source, image, _ in crops:
        grey = getattr(data, source.group)().ndim == 2
        assert (np.ptp(image.astype(int), axis=2).max() == 0) == grey


@pytest.mark.parametrize("wrong", [{"size": 8}, {"size": 300}, {"scale": 0.5}, {"count": 2}])
def test_bounds_of_the_options(wrong):
    with pytest.raises(ValueError, match="Input should be"):
        options("format", "photographs")(**wrong)
