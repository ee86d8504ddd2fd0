"""Preparing: resizing, tiles, and equal bytes whatever the number of processes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from noise2mask.cases import open_split, read_manifest
from noise2mask.datasets import phantoms
from noise2mask.errors import UserError
from noise2mask.preparing import prepare, resize_image, resize_mask
from noise2mask.splits import SPLITS

SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}


def folder_of_pictures(root: Path, count: int = 6, *, size: tuple[int, int] = (20, 30)) -> Path:
    """Images of one grey level and masks whose left half is foreground; (height, width)."""
    for number in range(count):
        image = np.full((*size, 3), 20 * number, np.uint8)
        mask = np.zeros(size, np.uint8)
        mask[:, : size[1] // 2] = 255
        save(root / "images" / f"case{number}.png", image)
        save(root / "masks" / f"case{number}.png", mask)
    return root


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_bytes_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    options = {"family": "nuclei", "count": 12, "size": 48}
    one = prepare("phantoms", options, "n", 24, SHARES, tmp_path / "one")
    two = prepare("phantoms", options, "n", 24, SHARES, tmp_path / "two", processes=2)
    assert one == two
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_every_case_is_in_one_split(tmp_path: Path) -> None:
    options = {"family": "lesion", "count": 20, "size": 32}
    manifest = prepare("phantoms", options, "lesions", 16, SHARES, tmp_path)
    assert manifest.counts == {"train": 12, "val": 3, "test": 5}
    ids = [id for split in SPLITS for id in open_split(tmp_path, split, purpose="evaluation").ids]
    assert sorted(ids) == [f"lesion_{number:05d}" for number in range(20)]
    assert manifest.options == {
        "family": "lesion", "count": 20, "size": 32, "tile": None, "shares": SHARES,
    }  # fmt: skip


def test_rows_are_the_cases_that_the_manifest_names(tmp_path: Path) -> None:
    options = {"family": "tissue", "count": 8, "size": 32}
    manifest = prepare("phantoms", options, "t", 32, SHARES, tmp_path)
    source_of = {source.id: source for source in phantoms.sources(**options)}
    for split in SPLITS:
        opened = open_split(tmp_path, split, purpose="evaluation")
        for row, id in enumerate(opened.ids):
            image, mask = phantoms.load(source_of[id])
            np.testing.assert_array_equal(opened.images[row], image)  # nothing to resize
            np.testing.assert_array_equal(opened.masks[row], mask)
            case = next(case for case in manifest.cases if case.id == id)
            assert case.split == split
            assert case.foreground == pytest.approx(mask.mean())


def test_source_sizes_and_file_digests_are_kept(tmp_path: Path) -> None:
    import hashlib

    root = folder_of_pictures(tmp_path / "raw")
    prepare("folder", {"root": str(root)}, "d", 16, SHARES, tmp_path / "out")
    for case in read_manifest(tmp_path / "out").cases:
        assert (case.width, case.height) == (30, 20)
        content = (root / "images" / f"{case.id}.png").read_bytes()
        assert case.image_sha256 == hashlib.sha256(content).hexdigest()


def test_tiles_of_an_image_stay_together(tmp_path: Path) -> None:
    root = folder_of_pictures(tmp_path / "raw", size=(20, 30))
    manifest = prepare(
        "folder", {"root": str(root)}, "d", 8, SHARES, tmp_path / "out", tile=8, processes=1
    )
    of_one = [case for case in manifest.cases if case.group == "case2"]
    assert [case.id for case in of_one] == [
        "case2_y000x000", "case2_y000x008", "case2_y000x016",
        "case2_y008x000", "case2_y008x008", "case2_y008x016",
    ]  # fmt: skip
    assert len({case.split for case in of_one}) == 1
    assert {(case.width, case.height) for case in of_one} == {(8, 8)}
    # columns 0 to 14 are foreground: all of the first tile, 7 of 8 columns of the second
    assert [case.foreground for case in of_one[:3]] == [1, 7 / 8, 0]
    assert manifest.options["tile"] == 8


def test_tile_larger_than_the_images(tmp_path: Path) -> None:
    root = folder_of_pictures(tmp_path / "raw")
    with pytest.raises(UserError) as caught:
        prepare("folder", {"root": str(root)}, "d", 8, SHARES, tmp_path / "out", tile=64)
    assert str(caught.value) == (
        "no train image of d is as large as a tile of 64 x 64 pixels; choose a smaller `tile`."
    )


@pytest.mark.parametrize(
    ("value", "lack", "other"),
    [(0, "no foreground", "background"), (255, "no background", "foreground")],
)
def test_masks_with_nothing_to_learn(tmp_path: Path, value: int, lack: str, other: str) -> None:
    root = folder_of_pictures(tmp_path / "raw")
    for path in (root / "masks").iterdir():
        save(path, np.full((20, 30), value, np.uint8))
    options = {"root": str(root), "foreground": (255,)}
    with pytest.raises(UserError) as caught:
        prepare("folder", options, "moles", 8, SHARES, tmp_path / "out")
    assert str(caught.value) == (
        f"the masks of all 6 cases of moles have {lack}: every pixel is {other}, so there is "
        "nothing to learn; check the masks and the options that say which values are foreground."
    )
    assert not (tmp_path / "out").exists()


def test_fewer_cases_than_splits(tmp_path: Path) -> None:
    root = folder_of_pictures(tmp_path / "raw", count=2)
    with pytest.raises(UserError, match=r"2 group\(s\) of cases cannot fill the 3 splits"):
        prepare("folder", {"root": str(root)}, "d", 8, SHARES, tmp_path / "out")


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_in_any_process_reaches_the_user(tmp_path: Path, processes: int) -> None:
    root = folder_of_pictures(tmp_path / "raw")
    (root / "images" / "case3.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"case3\.png could not be read"):
        prepare(
            "folder", {"root": str(root)}, "d", 8, SHARES, tmp_path / "out", processes=processes
        )
    assert not (tmp_path / "out").exists()


def test_grey_images_among_coloured_ones_become_rgb(tmp_path: Path) -> None:
    root = folder_of_pictures(tmp_path / "raw")
    save(root / "images" / "case1.png", np.full((20, 30), 99, np.uint8))
    manifest = prepare("folder", {"root": str(root)}, "d", 8, SHARES, tmp_path / "out")
    assert manifest.channels == 3
    found = {
        id: image
        for split in SPLITS
        for id, image in zip(
            *(lambda s: (s.ids, s.images))(
                open_split(tmp_path / "out", split, purpose="evaluation")
            ),
            strict=True,
        )
    }
    assert (found["case1"] == 99).all()


def test_grey_datasets_stay_grey(tmp_path: Path) -> None:
    root = folder_of_pictures(tmp_path / "raw")
    for path in (root / "images").iterdir():
        save(path, np.full((20, 30), 50, np.uint8))
    manifest = prepare("folder", {"root": str(root)}, "d", 8, SHARES, tmp_path / "out")
    assert manifest.channels == 1
    assert manifest.mean == (50 / 255,)
    assert manifest.std == (0,)


# Resizing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["lesion", "nuclei", "tissue"])
@pytest.mark.parametrize("resolution", [32, 48, 64, 200])
def test_area_is_kept_on_phantoms(family: str, resolution: int) -> None:
    for source in phantoms.sources(family=family, count=6):
        _, mask = phantoms.load(source)
        assert resize_mask(mask, resolution).mean() == pytest.approx(mask.mean(), rel=0.01)


@given(
    height=st.integers(64, 300),
    width=st.integers(64, 300),
    axes=st.tuples(st.floats(0.15, 0.45), st.floats(0.15, 0.45)),
    resolution=st.integers(32, 96),
)
@settings(max_examples=40, deadline=None)
def test_area_and_place_of_an_ellipse_are_kept(
    height: int, width: int, axes: tuple[float, float], resolution: int
) -> None:
    y, x = np.mgrid[:height, :width]
    y, x = (y + 0.5) / height - 0.5, (x + 0.5) / width - 0.5
    mask = (y / axes[0]) ** 2 + (x / axes[1]) ** 2 < 1
    small = resize_mask(mask, resolution)
    assert small.mean() == pytest.approx(mask.mean(), rel=0.01)
    middle = [(where.mean() + 0.5) / resolution for where in np.nonzero(small)]
    np.testing.assert_allclose(middle, 0.5, atol=0.5 / resolution)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 50), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_masks_of_any_size_stay_binary_and_keep_what_they_have(
    height: int, width: int, resolution: int, seed: int
) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.3
    small = resize_mask(mask, resolution)
    assert small.shape == (resolution, resolution)
    assert small.dtype == np.uint8
    assert set(np.unique(small)) <= {0, 1}
    assert small.any() == mask.any()
    assert abs(small.sum() - mask.mean() * resolution**2) <= 1


@pytest.mark.parametrize("value", [True, False])
def test_constant_masks_stay_constant(value: bool) -> None:
    assert (resize_mask(np.full((37, 53), value), 16) == value).all()


def test_mask_of_its_own_size_is_unchanged() -> None:
    mask = np.random.default_rng(0).random((33, 33)) < 0.4
    np.testing.assert_array_equal(resize_mask(mask, 33), mask)


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_enlarging_by_whole_factors_repeats_pixels(factor: int) -> None:
    mask = np.random.default_rng(0).random((9, 9)) < 0.4
    repeated = mask.repeat(factor, axis=0).repeat(factor, axis=1)
    np.testing.assert_array_equal(resize_mask(mask, 9 * factor), repeated)


@given(st.integers(1, 14), st.integers(1, 14), st.integers(1, 14), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_no_pixel_left_out_covers_more_foreground_than_one_taken(
    height: int, width: int, resolution: int, seed: int
) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.4
    fine = mask.repeat(resolution, axis=0).repeat(resolution, axis=1)
    share = fine.reshape(resolution, height, resolution, width).mean(axis=(1, 3))
    taken = resize_mask(mask, resolution) == 1
    assert share[taken].min(initial=1) >= share[~taken].max(initial=0)


def test_thin_vessels_are_not_lost() -> None:
    mask = np.zeros((512, 512), bool)
    mask[:, 100:103] = True
    small = resize_mask(mask, 64)  # a share of 3/8 in one column: a threshold of 0.5 loses it
    assert small.sum() == 24
    assert set(np.nonzero(small)[1]) == {12}


def test_small_nuclei_do_not_grow() -> None:
    generator = np.random.default_rng(1)
    mask = np.zeros((256, 256), bool)
    for row, column in generator.integers(0, 240, (60, 2)):
        mask[row : row + 9, column : column + 9] = True
    assert resize_mask(mask, 64).mean() == pytest.approx(mask.mean(), rel=0.01)


def test_halving_keeps_straight_edges_straight() -> None:
    mask = np.zeros((64, 64), bool)
    mask[11:41, 13:43] = True  # every edge cuts a new pixel in half
    small = resize_mask(mask, 32)
    assert small.sum() == 15 * 15
    assert small[5:20, 6:21].sum() >= 15 * 15 - 1  # the corner, a quarter covered, lies elsewhere


def test_image_and_mask_stay_on_each_other() -> None:
    for source in phantoms.sources(family="lesion", count=4):
        _, mask = phantoms.load(source)
        light = resize_image(np.repeat(mask[..., None] * np.uint8(255), 3, axis=2), 50)
        assert np.mean((light[..., 0] > 127) == resize_mask(mask, 50)) > 0.985


@pytest.mark.parametrize("channels", [1, 3])
def test_resized_images_are_square_and_keep_channels(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 70, channels), dtype=np.uint8)
    assert resize_image(image, 16).shape == (16, 16, channels)


def test_fine_texture_is_averaged_not_aliased() -> None:
    stripes = np.zeros((128, 128, 1), np.uint8)
    stripes[:, ::2] = 255
    small = resize_image(stripes, 32)[2:-2, 2:-2]
    assert np.abs(small.astype(int) - 127).max() <= 6
