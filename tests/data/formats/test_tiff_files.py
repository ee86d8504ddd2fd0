"""TIFF: what a file says of itself, and what is not read and why."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.odd_files import drawn, photographed

from noise2mask.data.formats.tiff_files import read_tiff
from noise2mask.errors import UserError

MASK, PICTURE = drawn(0), photographed(0)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "stored"),  # as tifffile writes booleans
        ({"software": False}, "unknown"),
        ({"software": "ImageMagick"}, "unknown"),
        ({"photometric": "minisblack"}, "no"),
    ],
)
def test_who_wrote_that_0_is_white(tmp_path: Path, options: dict, expected: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", MASK, **options)
    tiff = read_tiff(tmp_path / "a.tif")
    assert (tiff.white_is_zero, tiff.bits, tiff.layout) == (expected, 1, "grey")
    np.testing.assert_array_equal(tiff.values, MASK)


@pytest.mark.parametrize("scale", [257, 1])  # some writers fill 8 of the 16 bits of a colour
def test_entries_of_a_palette(tmp_path: Path, scale: int) -> None:
    colours = np.zeros((3, 256), np.uint16)
    colours[:, 1] = np.array([200, 100, 50]) * scale
    indices = MASK.astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", indices, photometric="palette", colormap=colours)
    tiff = read_tiff(tmp_path / "a.tif")
    assert tiff.palette is not None
    assert tiff.palette[1].tolist() == [200, 100, 50]
    np.testing.assert_array_equal(tiff.values, indices)


def test_a_smaller_copy_is_no_page(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(PICTURE, photometric="rgb")
        writer.write(PICTURE[::2, ::2], photometric="rgb", subfiletype=1)
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif").values, PICTURE)


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_tiff(path)
    return str(caught.value)


def test_a_codec_that_is_not_read_is_not_called_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PICTURE)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags[259].overwrite(34661)
    assert refused(path) == (
        f"{path} is packed with the codec JBIG, which is not read; convert it, e.g. with "
        "`tiffcp -c lzw`, or save it as PNG."
    )


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((9, 8, 2), {"photometric": "minisblack", "planarconfig": "contig"}, "2 channels of which"),
        ((9, 8, 5), {"photometric": "minisblack", "planarconfig": "contig"}, "5 channels of which"),
        ((2, 9, 8), {"imagej": True, "metadata": {"axes": "ZYX"}}, "holds 2 pages"),
        ((2, 9, 8), {"imagej": True, "metadata": {"axes": "CYX"}}, "2 channels of which"),
    ],
)
def test_what_is_not_one_picture(tmp_path: Path, shape: tuple, options: dict, words: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, np.uint8), **options)
    assert words in refused(tmp_path / "a.tif")


def test_alpha_and_a_fourth_channel_are_told(tmp_path: Path) -> None:
    four = np.dstack([PICTURE, MASK * np.uint8(255)])
    for extra, dropped in (
        ("unassalpha", "alpha"),
        ("unspecified", "a fourth channel of no stated meaning"),
    ):
        tifffile.imwrite(tmp_path / "a.tif", four, photometric="rgb", extrasamples=[extra])
        tiff = read_tiff(tmp_path / "a.tif")
        assert tiff.dropped == dropped
        assert (tiff.alpha is not None) == (extra == "unassalpha")
        np.testing.assert_array_equal(tiff.values, PICTURE)
