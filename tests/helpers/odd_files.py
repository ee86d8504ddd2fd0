"""Files of every kind that people have: small pictures, each written by what usually writes it."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import nibabel
import numpy as np
import SimpleITK as sitk  # noqa: N813
import tifffile
from PIL import Image

SIDE = 32
COUNT = 5

Write = Callable[[Path, np.ndarray, int], object]
"""Writes an array to a path, that of the case with a number."""


def drawn(number: int) -> np.ndarray:
    """An L, bool (32, 32), that equals none of its flips, turns and shifts."""
    mask = np.zeros((SIDE, SIDE), bool)
    mask[4 + number : 20 + number, 6:10] = True
    mask[16 + number : 20 + number, 6:22] = True
    return mask


def photographed(number: int) -> np.ndarray:
    """A picture of that L, uint8 (32, 32, 3)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    noise = np.random.default_rng(number).integers(0, 40, (SIDE, SIDE, 3))
    picture = np.stack([2 * x + 3 * number, 3 * y, x * y // 8 + 5 * number], axis=-1) + noise
    picture[drawn(number)] += 80
    return np.clip(picture, 0, 255).astype(np.uint8)


def grey(picture: np.ndarray) -> np.ndarray:
    return picture.mean(axis=-1).astype(np.uint8)


def dataset(
    root: Path,
    images: tuple[str, Write | None] = ("png", None),
    masks: tuple[str, Write | None] = ("png", None),
) -> Path:
    """Pairs ``c0`` to ``c4``, each by its suffix and writer; PNG in 8 bits, masks of 0 and 255."""
    for number in range(COUNT):
        mask = drawn(number)
        for role, (suffix, write), array in (
            ("images", images, photographed(number)),
            ("masks", masks, mask if masks[1] else mask.astype(np.uint8) * 255),
        ):
            path = root / role / f"c{number}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            (write or plain)(path, array, number)
    return root


# Pictures -------------------------------------------------------------------------------------


def plain(path: Path, array: np.ndarray, _: int = 0) -> None:
    Image.fromarray(array).save(path)


def values(low: int, high: int, kind: str = "uint8") -> Write:
    """A mask of two values."""
    return lambda path, mask, _: plain(path, np.where(mask, high, low).astype(kind))


def every_other(first: Write, second: Write) -> Write:
    return lambda path, array, number: (first, second)[number % 2](path, array, number)


def palette(entries: list[tuple[int, ...]], foreground: int, **options: Any) -> Write:
    """A mask whose foreground is one entry of a palette, and whose background is the other one."""

    def write(path: Path, mask: np.ndarray, _: int) -> None:
        indexed(path, np.where(mask, foreground, 1 - foreground), entries, **options)

    return write


def indexed(
    path: Path, indices: np.ndarray, entries: list[tuple[int, ...]], **options: Any
) -> None:
    picture = Image.fromarray(indices.astype(np.uint8), mode="P")
    picture.putpalette([value for entry in entries for value in entry])
    picture.save(path, **options)


def pnm(white: int, factor: int = 1) -> Write:
    """A PGM or PPM whose header says so much is white, its values written out as they are."""

    def write(path: Path, array: np.ndarray, _: int) -> None:
        height, width = array.shape[:2]
        head = f"P{6 if array.ndim == 3 else 5}\n{width} {height}\n{white}\n"
        values = (array.astype(int) * factor).astype(">u2" if white > 255 else "u1")
        path.write_bytes(head.encode() + values.tobytes())

    return write


def few_bits(bits: int, high: int) -> Write:
    """A grey PNG of fewer than 8 bits, its values written out as they are."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    def write(path: Path, mask: np.ndarray, _: int) -> None:
        height, width = mask.shape
        rows = b""
        for row in mask:
            text = "".join(format(high if pixel else 0, f"0{bits}b") for pixel in row)
            rows += b"\0" + int(text, 2).to_bytes(len(text) // 8, "big")
        header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b"")
        )

    return write


def alpha(colour: tuple[int, int, int]) -> Write:
    """A mask that lies in the transparency of an even colour."""

    def write(path: Path, mask: np.ndarray, _: int) -> None:
        picture = np.zeros((*mask.shape, 4), np.uint8)
        picture[..., :3], picture[..., 3] = colour, mask * np.uint8(255)
        plain(path, picture)

    return write


def oriented(tag: int, **options: Any) -> Write:
    """A photograph as a camera stores it, to be turned as its tag says."""
    stored = {
        2: lambda picture: picture[:, ::-1],
        3: lambda picture: picture[::-1, ::-1],
        6: lambda picture: np.rot90(picture),
        8: lambda picture: np.rot90(picture, -1),
    }[tag]

    def write(path: Path, picture: np.ndarray, _: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = tag
        Image.fromarray(np.ascontiguousarray(stored(picture))).save(path, exif=exif, **options)

    return write


def deep_png(path: Path, picture: np.ndarray, _: int = 0) -> None:
    """16-bit colours that hold 12 bits."""
    path.write_bytes(imagecodecs.png_encode(picture.astype(np.uint16) * 16))


# TIFF and volumes -----------------------------------------------------------------------------


def tiff(change: Callable[[np.ndarray], np.ndarray] = lambda array: array, **options: Any) -> Write:
    return lambda path, array, _: tifffile.imwrite(path, change(array), **options)


def itk(change: Callable[[np.ndarray], np.ndarray]) -> Write:
    """NIfTI, NRRD, MetaImage or DICOM as SimpleITK writes an array."""
    return lambda path, array, _: sitk.WriteImage(sitk.GetImageFromArray(change(array)), str(path))


def nifti(change: Callable[[np.ndarray], np.ndarray], affine: np.ndarray | None = None) -> Write:
    """NIfTI as nibabel writes an array."""
    place = np.eye(4) if affine is None else affine
    return lambda path, array, _: nibabel.save(nibabel.Nifti1Image(change(array), place), path)
