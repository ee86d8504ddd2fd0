"""Readings of draws that are there: JPEG storage, fewer draws, several trainings."""

import io

import numpy as np
import pytest
from PIL import Image

from noise2mask.data.formats import phantoms
from noise2mask.data.prepared import open_split
from noise2mask.data.resize import resize_mask
from noise2mask.errors import UserError
from noise2mask.sampling.draws import open_draws, save_draws
from noise2mask.sampling.readings import as_jpeg, read
from noise2mask.study.schema import Reading


@pytest.fixture
def split(prepared):
    return open_split(prepared, "test", purpose="evaluation")


def drawn(split, folder, count, seed=0):
    """A file of `count` random draws of each case."""
    draws = np.random.default_rng(seed).random((len(split.ids), count, 16, 16), dtype=np.float32)
    save_draws(folder / "draws.npz", draws, split.ids)
    return draws, folder / "draws.npz"


def through_jpeg(draws):
    """One draw (H, W), written and read by hand."""
    file = io.BytesIO()
    levels = np.rint(np.clip(draws, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(levels, mode="L").save(file, "jpeg", quality=75)
    return np.asarray(Image.open(file)) / 255


def test_jpeg_is_that_of_pillow_for_each_draw_alone():
    draws = np.random.default_rng(0).uniform(-0.2, 1.2, (2, 3, 20, 24)).astype(np.float32)
    found = as_jpeg(draws)
    assert (found.shape, found.dtype) == (draws.shape, np.float32)
    for place in np.ndindex(2, 3):
        np.testing.assert_allclose(found[place], through_jpeg(draws[place]), atol=1e-7)


def test_jpeg_moves_masks_by_a_bounded_amount_about_their_edges():
    """A quantisation of every coefficient moves a pixel by a few levels, an edge by some dozens."""
    source = phantoms.sources(family="nuclei", count=1, size=64, seed=1)[0]
    mask = resize_mask(phantoms.load(source)[1], (32, 32)).astype(np.float32)
    moved = np.abs(as_jpeg(mask) - mask)
    assert 0.02 < moved.max() < 0.4  # never across one half: the mask itself comes back
    assert moved.mean() < 0.05
    np.testing.assert_array_equal(as_jpeg(mask) > 0.5, mask > 0.5)


@pytest.mark.parametrize("level", [0, 51, 128, 255])
def test_constant_maps_come_back_from_jpeg(level):
    """An 8 x 8 block has its mean only, kept to 16/8 levels of the first coefficient at most."""
    draws = np.full((1, 16, 16), level / 255, np.float32)
    np.testing.assert_allclose(as_jpeg(draws), draws, atol=1 / 255 + 1e-6)


def test_a_reading_in_jpeg_keeps_cases_and_does_not_change_its_source(split, prepared, tmp_path):
    draws, path = drawn(split, tmp_path / "of", 3)
    before = path.read_bytes()
    out = tmp_path / "jpeg" / "draws.npz"
    read(Reading(of="ddim", storage="jpeg"), "mean", [path], [], prepared, out, masks=True)
    np.testing.assert_array_equal(open_draws(out, split), as_jpeg(draws))
    assert path.read_bytes() == before
    first = out.read_bytes()
    read(Reading(of="ddim", storage="jpeg"), "mean", [path], [], prepared, out, masks=True)
    assert out.read_bytes() == first


def test_float_storage_and_thresholds_leave_draws_as_they_are(split, prepared, tmp_path):
    draws, path = drawn(split, tmp_path / "of", 2)
    reading = Reading(of="ddim", thresholds=(0.1, 0.9))
    read(reading, "mean", [path], [], prepared, tmp_path / "same" / "draws.npz", masks=True)
    np.testing.assert_array_equal(open_draws(tmp_path / "same" / "draws.npz", split), draws)


def test_first_draws_of_several_trainings_follow_one_another(split, prepared, tmp_path):
    parts = [drawn(split, tmp_path / str(seed), 3, seed) for seed in (0, 1)]
    reading, out = Reading(of="ddim", draws=2, seeds=2), tmp_path / "pooled" / "draws.npz"
    read(reading, "mean", [path for _, path in parts], [], prepared, out, masks=True)
    expected = np.concatenate([draws[:, :2] for draws, _ in parts], axis=1)
    np.testing.assert_array_equal(open_draws(out, split), expected)


def test_more_draws_than_there_are_is_a_mistake(split, prepared, tmp_path):
    _, path = drawn(split, tmp_path / "of", 2)
    with pytest.raises(UserError, match="2 draws of each case, fewer than the 5 of the reading"):
        read(
            Reading(of="ddim", draws=5),
            "mean",
            [path],
            [],
            prepared,
            tmp_path / "x.npz",
            masks=True,
        )
