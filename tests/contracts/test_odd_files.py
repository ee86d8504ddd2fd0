"""Every kind of file that people have is read as it was drawn, or refused with both readings."""

import json
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from helpers.odd_files import (
    COUNT,
    SIDE,
    Write,
    alpha,
    dataset,
    deep_png,
    drawn,
    every_other,
    few_bits,
    grey,
    indexed,
    itk,
    nifti,
    oriented,
    palette,
    photographed,
    plain,
    pnm,
    tiff,
    values,
)
from PIL import Image

from noise2mask.data.checks.check import check
from noise2mask.data.prepare import prepare
from noise2mask.data.prepared import SPLITS, open_split
from noise2mask.errors import UserError

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
BLACK, WHITE, RED, GREEN = (0, 0, 0), (255, 255, 255), (200, 0, 0), (0, 200, 0)
Kind = tuple[str, Write | None]


def prepared(root: Path, **options: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Image and mask of each case, by its id."""
    out = root.with_name("prepared")
    prepare("folder", {"root": str(root), **options}, "odd", SIDE, SHARES, out)
    opened = [open_split(out, split, purpose="evaluation", left_out=True) for split in SPLITS]
    return {
        id: (np.asarray(split.images[row]), np.asarray(split.masks[row]))
        for split in opened
        for row, id in enumerate(split.ids)
    }


def refusal(root: Path, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        prepared(root, **options)
    assert not root.with_name("prepared").exists()
    return str(caught.value)


# Masks ----------------------------------------------------------------------------------------

ones, whites = values(0, 1), values(0, 255)
one_bit: Write = plain
white_first, one_first = palette([WHITE, BLACK], 0), palette([(1,) * 3, BLACK], 0)
AS_DRAWN: dict[str, tuple[str, Write, dict[str, Any]]] = {
    "palette, white first": ("png", white_first, {}),
    "palette, 1 before 0, half of them": ("png", every_other(ones, one_first), {}),
    "palette, white first, half of them": ("png", every_other(whites, white_first), {}),
    "palette in colour": ("png", palette([BLACK, RED], 1), {}),
    "palette in colour beside 0 and 1": ("png", every_other(ones, palette([BLACK, RED], 1)), {}),
    "palette, grey labels in another order": (
        "png", palette([(2,) * 3, BLACK], 0), {"foreground": (2,)},
    ),
    "palette, transparent": ("png", palette([BLACK, BLACK], 1, transparency=b"\0\xff"), {}),
    "gif": ("gif", whites, {}),
    "quantised": (
        "png", lambda p, m, _: Image.fromarray(m * np.uint8(255)).quantize(2).save(p), {},
    ),
    "pgm, each with its own white": ("pgm", every_other(pnm(1), pnm(255)), {"foreground": (1,)}),
    **{
        f"jpeg 2000, labels of {bits} bits": (
            "jp2",
            lambda p, m, _, bits=bits: p.write_bytes(
                imagecodecs.jpeg2k_encode(
                    (m * 3).astype(np.uint16 if bits > 8 else np.uint8),
                    level=0, reversible=True, codecformat="jp2", bitspersample=bits,
                )
            ),
            {"foreground": (3,)},
        )
        for bits in (4, 8, 12)
    },
    "pgm, labels of 0 to 3": ("pgm", pnm(3), {"foreground": (1,)}),
    "pgm, labels of 16 bits": ("pgm", pnm(1000), {"foreground": (1,)}),
    "one bit": ("png", one_bit, {}),
    "one bit, foreground 1": ("png", one_bit, {"foreground": (1,)}),
    "one bit, foreground 255": ("png", one_bit, {"foreground": (255,)}),
    "one bit beside 0 and 1": ("png", every_other(one_bit, ones), {"foreground": (1,)}),
    "one bit beside 0 and 255": ("png", every_other(one_bit, whites), {}),
    "one bit beside 0 and 255, 255 named": (
        "png", every_other(one_bit, whites), {"foreground": (255,)},
    ),
    "one bit beside 0 and 255, threshold": (
        "png", every_other(one_bit, whites), {"threshold": 127},
    ),
    "two bits": ("png", few_bits(2, 2), {"foreground": (2,)}),
    "four bits beside eight": (
        "png", every_other(few_bits(4, 3), values(0, 3)), {"foreground": (3,)},
    ),
    "0, 1 and 255, 1 named": (
        "png", lambda p, m, _: plain(p, np.where(m, 1, 255 * np.eye(SIDE)).astype(np.uint8)),
        {"foreground": (1,)},
    ),
    "alpha, black": ("png", alpha(BLACK), {}),
    "alpha, red": ("png", alpha(RED), {}),
    "bmp": ("bmp", whites, {}),
    "pbm": ("pbm", plain, {}),
    "tiff, boolean": ("tif", tiff(), {}),
    "tiff, fax": ("tif", lambda p, m, _: Image.fromarray(m).save(p, compression="group4"), {}),
    "tiff, ImageJ's inverted LUT": (
        "tif", tiff(lambda m: m * np.uint8(255), photometric="miniswhite", imagej=True), {},
    ),
    "tiff, 0 is white, 16 bits, shown": (
        "tif", tiff(lambda m: ~m * np.uint16(65535), photometric="miniswhite"),
        {"white_is_zero": "shown"},
    ),
    "tiff, 0 is white, 8 bits, stored": (
        "tif", tiff(lambda m: m * np.uint8(255), photometric="miniswhite"),
        {"white_is_zero": "stored"},
    ),
    "tiff, palette": (
        "tif",
        tiff(
            lambda m: (~m).astype(np.uint8), photometric="palette",
            colormap=np.array([[65535] + [0] * 255] * 3, np.uint16),
        ),
        {},
    ),
    "labels above 2^31": ("tif", tiff(lambda m: m * np.uint32(3_000_000_000)), {}),
    "scaled labels": (  # 1 of 0 to 4 comes back as 1.0039
        "nii.gz",
        lambda p, m, _: scaled(p, m + 4.0 * (np.arange(SIDE)[:, None] == 0)),
        {"foreground": (1,), "stored_axes": "columns_rows"},
    ),
    "nifti of SimpleITK, told": (
        "nii.gz", itk(lambda m: m.astype(np.uint8)), {"stored_axes": "columns_rows"},
    ),
    "nifti of nibabel, told": (
        "nii.gz", nifti(lambda m: m.astype(np.uint8)), {"stored_axes": "rows_columns"},
    ),
    "nrrd of the picture's grid": ("nrrd", itk(lambda m: m.astype(np.uint8)), {}),
    "MetaImage of the picture's grid": ("mha", itk(lambda m: m.astype(np.uint8)), {}),
    **{
        f"tiff, {kind}": ("tif", tiff(lambda m, kind=kind: m.astype(kind)), {})
        for kind in ("float16", "float32", "float64", "int8", "int64", "uint64")
    },
}  # fmt: skip


def scaled(path: Path, labels: np.ndarray) -> None:
    """Real labels, which nibabel scales to be stored in 8 bits."""
    import nibabel

    volume = nibabel.Nifti1Image(labels.T, np.eye(4))
    volume.set_data_dtype(np.uint8)
    nibabel.save(volume, path)


@pytest.mark.parametrize("name", AS_DRAWN)
def test_masks_are_read_as_drawn(tmp_path: Path, name: str) -> None:
    suffix, write, options = AS_DRAWN[name]
    found = prepared(dataset(tmp_path / "raw", masks=(suffix, write)), **options)
    assert len(found) == COUNT
    for number in range(COUNT):
        np.testing.assert_array_equal(found[f"c{number}"][1], drawn(number))


VOID = 255 * np.eye(SIDE, dtype=np.uint8)
"""Pixels that are marked to be left out."""
LEFT_OUT: dict[str, tuple[Write, dict[str, Any]]] = {
    "0, 1 and 255": (lambda p, m, _: plain(p, np.where(VOID, VOID, m).astype(np.uint8)), {}),
    "0, 1, 2 and 255": (
        lambda p, m, _: plain(p, np.where(VOID, VOID, 2 * m + (VOID[::-1] > 0)).astype(np.uint8)),
        {"foreground": (2, 3)},
    ),
    "palette in colour": (
        lambda p, m, _: indexed(p, np.where(VOID, 2, m), [BLACK, RED, GREEN]), {"ignore": (2,)},
    ),
    "numbered objects": (
        lambda p, m, n: plain(p, np.where(VOID, VOID, (n + 1) * m).astype(np.uint8)),
        {"threshold": 0},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT_OUT)
def test_pixels_are_left_out(tmp_path: Path, name: str) -> None:
    write, options = LEFT_OUT[name]
    root = dataset(tmp_path / "raw", masks=("png", write))
    found = prepared(root, **{"ignore": (255,), **options})
    for number in range(COUNT):
        expected = np.where(VOID, 2, drawn(number))
        np.testing.assert_array_equal(found[f"c{number}"][1], expected)
    told = json.loads((tmp_path / "prepared/manifest.json").read_bytes())
    assert told["notes"][-1].startswith("0.031 of all pixels, in 5 of 5 cases, are left out of los")
    assert [case["foreground"] for case in told["cases"]] == [
        float((found[case["id"]][1] == 1).mean()) for case in told["cases"]
    ]


def test_only_who_knows_pixels_that_are_left_out_gets_them(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw", masks=("png", LEFT_OUT["0, 1 and 255"][0]))
    prepared(root, ignore=(255,))
    with pytest.raises(UserError, match=r"^odd leaves pixels out \(`ignore`\), which only train"):
        open_split(tmp_path / "prepared", "test", purpose="evaluation")
    checked = check(
        "folder", {"root": str(root), "ignore": (255,)}, name="odd", title="Odd", shares=SHARES,
        counts={}, processes=1,
    )  # fmt: skip
    assert checked.usable
    assert "foreground 1, left out 255" in checked.reading[1]
    assert checked.rows[0].measures is not None
    assert checked.rows[0].measures.area == (drawn(0) & (VOID == 0)).sum()


def test_a_whole_of_many_pixels_keeps_its_share_of_those_left_out(tmp_path: Path) -> None:
    root = dataset(tmp_path / "raw", masks=("png", lambda p, m, _: plain(p, wide(m))))
    prepare("folder", {"root": str(root), "ignore": (255,)}, "odd", SIDE // 2, SHARES,
            tmp_path / "small")  # fmt: skip
    split = open_split(tmp_path / "small", "train", purpose="training", left_out=True)
    assert ((split.masks == 2).mean(axis=(1, 2)) == 0.25).all()
    assert (split.masks[:, : SIDE // 8] == 2).all()


def wide(mask: np.ndarray) -> np.ndarray:
    """A mask whose upper quarter is left out."""
    levels = mask.astype(np.uint8)
    levels[: SIDE // 4] = 255
    return levels


REFUSED: dict[str, tuple[str, Write, dict[str, Any], str]] = {
    "0/1, 0/2 and 1/2": (
        "png",
        lambda p, m, number: values(*((0, 1), (0, 2), (1, 2))[number % 3])(p, m, number),
        {},
        "(c0.png, c1.png, c2.png and 2 more) hold 3 different values (0 in 4, 1 in 3, 2 in 3",
    ),
    "0/1 beside 0/255": (
        "png", every_other(ones, whites), {}, "255 may be white, and foreground as 1 is",
    ),
    "one bit beside 0 and 2": (
        "png", every_other(one_bit, values(0, 2)), {}, "3 different values (0 in 5, 1 in 3, 2 in 2",
    ),
    "palette in colour, black last": (
        "png", palette([RED, BLACK], 0), {}, "by index black would be a label",
    ),
    "palettes that differ": (
        "png", every_other(palette([BLACK, RED], 1), palette([BLACK, GREEN], 1)), {},
        "the index 1 is the colour (200, 0, 0) in",
    ),
    "palettes of one colour in two orders": (
        "png",
        every_other(
            palette([BLACK, RED], 1),
            lambda p, m, _: indexed(p, np.where(m, 2, 0), [BLACK, GREEN, RED]),
        ),
        {"foreground": (1,)}, "the colour (200, 0, 0) is the index 1 of the palette in",
    ),
    "-1 and 0": (
        "tif", tiff(lambda m: -m.astype(np.int8)), {}, "set `foreground` to [-1] or [0]",
    ),
    "palette in colour beside 0 and 255": (
        "png", every_other(whites, palette([BLACK, RED], 1)), {"foreground": (255,)},
        "is in none of the 2 masks (c1.png, c3.png) (PNG, palette, 8 bits), holding 0, 1, but in",
    ),
    "a named value that is an index": (
        "png", palette([BLACK, (127,) * 3], 1), {"foreground": (1,)},
        "by the greys of the palette they hold 0, 127, by the indices of the palette 0, 1",
    ),
    "a named value that four bits spread to": (
        "png", few_bits(4, 15), {"foreground": (255,)},
        "by the values as stored they hold 0, 15, by the values spread over 0 to 255 0, 255",
    ),
    "0, 1 and 255, 3 left out": (
        "png", lambda p, m, _: plain(p, np.where(VOID, VOID, m).astype(np.uint8)),
        {"ignore": (3,)}, "`ignore` [3] is in none of the 5 masks",
    ),
    "a value of both": (
        "png", ones, {"ignore": (1,), "foreground": (1,)},
        "the value 1 is among both foreground [1] and ignore [1] of",
    ),
    "above 2^62": (
        "tif", tiff(lambda m: m * np.uint64(2**63 + 1)), {}, "holds values above 2^62, which are",
    ),
    "webp with loss": (
        "webp", lambda p, m, _: Image.fromarray(m * np.uint8(255)).save(p, quality=50), {},
        "or set `threshold`, e.g. 127, if it is grey but for loss in saving",
    ),
    "a named value that is nowhere": (
        "png", whites, {"foreground": (3,)}, "`foreground` [3] is in none of the 5 masks",
    ),
    "alpha beside colours": (
        "png", every_other(alpha(BLACK), whites), {}, "hold the mask in the transparency (alpha)",
    ),
    "0 is white": (
        "tif", tiff(lambda m: ~m * np.uint16(65535), photometric="miniswhite"), {},
        "set `white_is_zero` to stored or shown",
    ),
    "nifti beside png": (
        "nii.gz", itk(lambda m: m.astype(np.uint8)), {}, "set `stored_axes` to columns_rows, as",
    ),
    "half": ("tif", tiff(lambda m: m * np.float32(0.5)), {}, "values that are not whole numbers"),
    "jpeg": (
        "jpg", lambda p, m, _: plain(p, m * np.uint8(255)), {}, "`threshold`, e.g. 127",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused(tmp_path: Path, name: str) -> None:
    suffix, write, options, words = REFUSED[name]
    told = refusal(dataset(tmp_path / "raw", masks=(suffix, write)), **options)
    assert words in told
    assert "\n" not in told


# Images ---------------------------------------------------------------------------------------

inverse16 = tiff(lambda a: 65535 - 200 * grey(a).astype(np.uint16), photometric="miniswhite")
IMAGES: dict[str, tuple[str, Write, float]] = {  # and the least correlation with what was drawn
    "exif 3": ("jpg", oriented(3, quality=95), 0.98),
    "exif 6": ("jpg", oriented(6, quality=95), 0.98),
    "exif 8 in png": ("png", oriented(8), 1),
    "exif 2 in tiff": ("tif", oriented(2), 1),
    "12 of 16 bits in colour": ("tif", tiff(lambda a: a.astype(np.uint16) * 16), 0.999),
    "12 of 16 bits in ppm": ("ppm", pnm(65535, 16), 0.999),
    "12 bits in ppm": ("ppm", pnm(4095, 16), 0.999),
    "12 of 16 bits in jpeg 2000": (
        "jp2",
        lambda p, a, _: p.write_bytes(
            imagecodecs.jpeg2k_encode(a.astype(np.uint16) * 16, level=0, codecformat="jp2")
        ),
        0.999,
    ),
    "12 of 16 bits in png": ("png", deep_png, 0.999),
    "0 is white, 8 bits": ("tif", tiff(lambda a: 255 - grey(a), photometric="miniswhite"), 0.99),
    "0 is white, 16 bits": ("tif", inverse16, 0.99),
    "0 is white, real": (
        "tif", tiff(lambda a: 1 - grey(a) / np.float32(255), photometric="miniswhite"), 0.99,
    ),
    "planes apart": ("tif", tiff(lambda a: a.transpose(2, 0, 1), photometric="rgb"), 1),
    "ome": ("ome.tif", tiff(ome=True, photometric="rgb", metadata={"axes": "YXS"}), 1),
    "cmyk": ("jpg", lambda p, a, _: Image.fromarray(a).convert("CMYK").save(p, quality=95), 0.98),
    "dicom": ("dcm", itk(lambda a: grey(a)[None].astype(np.uint16)), 0.99),
    "MetaImage": ("mha", itk(grey), 0.99),
    "bmp": ("bmp", plain, 1),
    "webp": ("webp", lambda p, a, _: Image.fromarray(a).save(p, lossless=True), 1),
    "jpeg 2000": ("jp2", plain, 0.98),
    "second picture of a camera": (
        "jpg",
        lambda p, a, _: Image.fromarray(a).save(
            p, "MPO", save_all=True, append_images=[Image.fromarray(a[::2, ::2])], quality=95
        ),
        0.98,
    ),
    **{
        f"tiff, {codec}": ("tif", tiff(compression=codec), 0.97)
        for codec in ("lzw", "jpeg", "jpeg2000", "lerc", "webp", "zstd", "deflate", "packbits")
    },
    **{
        f"tiff, {kind}": ("tif", tiff(lambda a, kind=kind: grey(a).astype(kind)), 0.99)
        for kind in ("float16", "float64", "uint32", "int64", "uint64")
    },
}  # fmt: skip


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_read_as_viewers_show_them(tmp_path: Path, name: str) -> None:
    suffix, write, least = IMAGES[name]
    found = prepared(dataset(tmp_path / "raw", images=(suffix, write)))
    for number in range(COUNT):
        image, mask = found[f"c{number}"]
        expected = photographed(number).astype(float)
        seen = [each.mean(axis=-1).ravel() for each in (image.astype(float), expected)]
        assert np.corrcoef(*seen)[0, 1] > least - 1e-9
        assert len(np.unique(image)) > 100  # not a few levels only
        np.testing.assert_array_equal(mask, drawn(number))


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (
            tiff(lambda a: a[..., :2].copy(), photometric="minisblack", planarconfig="contig"),
            "has 2 channels of which none",
        ),
        (tiff(lambda a: np.stack([grey(a)] * 3), photometric="minisblack"), "holds 3 pages"),
        (tiff(lambda a: grey(a) * 1j), "values of type complex"),
        (tiff(photometric="cielab"), "holds CIELAB values, which are not read"),
        (
            tiff(lambda a: np.dstack([a, a[..., :1]]).astype(np.uint16), photometric="separated"),
            "CMYK is read in 8 bits only",
        ),
    ],
)  # fmt: skip
def test_images_that_are_not_one_picture(tmp_path: Path, write: Write, words: str) -> None:
    assert words in refusal(dataset(tmp_path / "raw", images=("tif", write)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            imagecodecs.jpeg_encode(np.zeros((32, 32), np.uint16), bitspersample=12),
            "is a JPEG of more than 8 bits or of a rare kind, which is not read; convert it",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "is a pointer of Git LFS, not the file; run `git lfs pull` in its folder.",
        ),
        (b"<html>", "could not be read, it is damaged or not what its suffix says"),
    ],
)
def test_what_is_whole_and_not_read_is_no_damage(tmp_path: Path, content: bytes, words: str):
    root = dataset(tmp_path / "raw", images=("jpg", lambda path, *_: path.write_bytes(content)))
    assert words in refusal(root)


@pytest.mark.parametrize("suffix", ["nii", "nii.gz", "NII.GZ", "nrrd", "mhd"])
def test_image_and_mask_with_equal_headers_lie_on_each_other(tmp_path: Path, suffix: str) -> None:
    def write(path: Path, array: np.ndarray, number: int) -> None:
        plain_suffix = path.with_name(path.name.lower())
        itk(lambda a: grey(a) if a.ndim == 3 else a.astype(np.uint8))(plain_suffix, array, number)
        plain_suffix.rename(path)

    if suffix == "mhd":  # whose voxels lie in a file of another name, which is not renamed
        write = itk(lambda a: grey(a) if a.ndim == 3 else a.astype(np.uint8))  # type: ignore[assignment]
    found = prepared(dataset(tmp_path / "raw", (suffix, write), (suffix, write)))
    for image, mask in found.values():
        bright = image[..., 0].astype(float)
        assert bright[mask > 0].mean() > bright[mask == 0].mean() + 50


def test_a_lost_header_is_not_ignored(tmp_path: Path) -> None:
    turned = np.diag([-1.0, -1, 1, 1])
    root = dataset(
        tmp_path / "raw",
        ("nii.gz", nifti(lambda a: grey(a).T, turned)),
        ("nii.gz", nifti(lambda m: m.T.astype(np.uint8))),
    )
    assert "place equal voxels up to 43.8 mm apart" in refusal(root)
    found = prepared(root, stored_axes="columns_rows")
    np.testing.assert_array_equal(found["c3"][1], drawn(3))
