"""Decoding one file of pixels: what it says of itself, and what an image is made of it."""

from pathlib import Path

import numpy as np
import pytest
from helpers.odd_files import (
    Write,
    alpha,
    deep_png,
    drawn,
    few_bits,
    grey,
    itk,
    oriented,
    palette,
    photographed,
    plain,
    pnm,
    tiff,
)
from PIL import Image, ImageOps

from noise2mask.data.formats.image_files import (
    decode,
    form_of,
    image_of,
    inverted,
    read_image,
    stem_of,
)
from noise2mask.errors import UserError

PICTURE, MASK = photographed(0), drawn(0)
FORMS: dict[str, tuple[str, np.ndarray, Write]] = {
    "PNG, RGB, 8 bits": ("png", PICTURE, plain),
    "PNG, grey, 8 bits": ("png", grey(PICTURE), plain),
    "PNG, grey, 1 bit": ("png", MASK, plain),
    "PNG, grey, 4 bits": ("png", MASK, few_bits(4, 3)),
    "PNG, RGB, 16 bits": ("png", PICTURE, deep_png),
    "PNG, grey, 16 bits": ("png", grey(PICTURE).astype(np.uint16), plain),
    "PNG, palette, 8 bits": ("png", MASK, palette([(0, 0, 0), (9, 9, 9)], 1)),
    "PNG, RGB, 8 bits, without alpha": ("png", MASK, alpha((1, 2, 3))),
    "PNG, RGB, 8 bits, turned by its orientation tag 6": ("png", PICTURE, oriented(6)),
    "JPEG, RGB, 8 bits, turned by its orientation tag 3": ("jpg", PICTURE, oriented(3)),
    "BMP, RGB, 8 bits": ("bmp", PICTURE, plain),
    "JPEG 2000, RGB, 8 bits": ("jp2", PICTURE, plain),
    "PNM, grey, 8 bits": ("pgm", grey(PICTURE), plain),
    "PNM, RGB, 16 bits": ("ppm", PICTURE, pnm(65535)),
    "PNM, grey, 1 bit": ("pgm", MASK, pnm(1)),
    "TIFF, grey, 1 bit, 0 is white": ("tif", MASK, tiff()),
    "TIFF, grey, 64-bit real numbers": ("tif", PICTURE[..., 0] / 7, tiff()),
    "NIfTI, grey, 16 bits": ("nii.gz", grey(PICTURE).astype(np.int16), itk(lambda a: a)),
    "NRRD, grey, 8 bits": ("nrrd", grey(PICTURE), itk(lambda a: a)),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_a_file_is(tmp_path: Path, form: str) -> None:
    suffix, array, write = FORMS[form]
    path = tmp_path / f"a.{suffix}"
    write(path, array, 0)
    assert decode(path).form == form
    assert form_of(path) == form  # without the pixels where they are not needed


@pytest.mark.parametrize("tag", range(10))
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_orientation_as_pillow_has_it(tmp_path: Path, tag: int, suffix: str) -> None:
    """Also of pictures that are not square; a tag that does not exist turns nothing."""
    path, pixels = tmp_path / f"a.{suffix}", photographed(1)[:20]
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.fromarray(pixels).save(path, exif=exif)
    with Image.open(path) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened))
    stored = np.asarray(Image.open(path)) if suffix == "tif" else None
    read = read_image(path)
    np.testing.assert_array_equal(read, expected if stored is None else stored)
    assert read.shape[:2] == ((32, 20) if tag in range(5, 9) else (20, 32))


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.png", "a"), ("a.b.PNG", "a.b"), ("a.NII.GZ", "a"), ("a.ome.tif", "a"), ("a.nii", "a"),
        ("a.tiff", "a"), ("a.heic", None), ("a", None), ("png", None),
    ],
)  # fmt: skip
def test_stems(name: str, stem: str | None) -> None:
    assert stem_of(name) == stem


def test_pnm_is_read_as_stored_and_shown_to_its_white(tmp_path: Path) -> None:
    colours = (np.arange(24).reshape(2, 4, 3) * 170).astype(">u2")
    words = " ".join(str(value) for value in colours.ravel())
    files = {
        "wide": (b"P6\n4 2\n4095\n" + colours.tobytes(), 3910, 255),
        "plain": (f"P3\n# said\n4 2\n4095\n# and\n{words}\n".encode(), 3910, 255),
        "narrow": (b"P5\n2 1\n100\n\x00\x64", 100, 255),
        "few": (b"P5\n2 1\n2\n\x00\x01", 1, 127),
        "deep": (b"P5\n2 1\n65535\n\x00\x00\x01\x02", 258, 255),
    }
    for name, (content, stored, shown) in files.items():
        path = tmp_path / f"{name}.pnm"
        path.write_bytes(content)
        assert (decode(path).pixels.max(), read_image(path).max()) == (stored, shown), name


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint64", "int64", "float32", "bool"])
def test_black_and_white_exchanged(tmp_path: Path, dtype: str) -> None:
    path, pixels = tmp_path / "a.tif", (grey(PICTURE) > 60).astype(dtype)
    tiff(photometric="miniswhite")(path, pixels, 0)
    picture = decode(path)
    found = inverted(picture).astype(float)
    assert found[pixels == 0].min() > found[pixels != 0].max()
    image = image_of(picture)[..., 0]
    assert image[pixels == 0].min() > image[pixels != 0].max()


def test_few_bits_are_spread_over_black_to_white(tmp_path: Path) -> None:
    few_bits(2, 2)(tmp_path / "a.png", MASK, 0)
    assert set(np.unique(read_image(tmp_path / "a.png"))) == {0, 170}
    assert set(np.unique(decode(tmp_path / "a.png").pixels)) == {0, 2}


def test_what_a_file_is_goes_by_its_content(tmp_path: Path) -> None:
    plain(tmp_path / "a.png", PICTURE)
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert form_of(tmp_path / "a.jpg") == "PNG, RGB, 8 bits"
    tiff()(tmp_path / "b.tif", PICTURE, 0)
    (tmp_path / "b.tif").rename(tmp_path / "b.png")
    np.testing.assert_array_equal(read_image(tmp_path / "b.png"), PICTURE)


def test_a_picture_too_large_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(tmp_path / "a.png", PICTURE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UserError) as caught:
        decode(tmp_path / "a.png")
    assert str(caught.value) == f"{tmp_path / 'a.png'} has more than 200 pixels; cut it into parts."
