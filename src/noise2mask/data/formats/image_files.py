"""Decode one file of pixels: what it stores, turned as viewers turn it, and what it says of itself.

PNG, JPEG, BMP, GIF, WebP, JPEG 2000 and PNM are read by Pillow (16-bit colours of PNG and JPEG 2000
by imagecodecs; of PNM the values stored, not scaled to white), TIFF by tifffile, slices in NIfTI by
nibabel, in NRRD, MetaImage and DICOM by SimpleITK. What a file is goes by its content, not by its
suffix, for all but the last four.

An image is made of it by one rule for grey and colours:

* 8 bits stay as they are. What has more bits, or is of real numbers, is stretched linearly, the
  smallest value of each image (over all its channels) to 0 and the largest to 255; a `window` or
  `percentiles` can be given instead, for any depth.
* Palettes become RGB, CMYK becomes RGB, and transparency (alpha) is dropped.
* An orientation tag (EXIF) is applied, and where 0 means white the values are inverted, of every
  depth.
* NIfTI slices are turned to the closest anatomical axes, and then show their first axis from left
  to right and their second from bottom to top. DICOM, and NRRD and MetaImage that are not turned
  against ITK's axes, are pictures as they are stored; others of these are turned as NIfTI is.

Masks are read in :mod:`noise2mask.data.formats.mask_files`.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageFile, UnidentifiedImageError

from noise2mask.data.formats import spatial_files
from noise2mask.data.formats.spatial_files import Header, damaged
from noise2mask.data.formats.tiff_files import MAGIC, WhiteIsZero, read_tiff
from noise2mask.data.source import Image
from noise2mask.errors import UserError

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".ome.tif", ".ome.tiff", ".bmp",
    ".gif", ".webp", ".jp2", ".pbm", ".pgm", ".ppm", ".pnm", *spatial_files.SUFFIXES,
)  # fmt: skip

_UNREADABLE = (
    *spatial_files.DAMAGE,  # OSError is Pillow's word for most damage; gzip's as well
    SyntaxError,  # Pillow: a broken PNG
    LookupError,  # tifffile, of tables that lead nowhere
    PillowImage.DecompressionBombError,
)
_NOT_READ = (
    (re.compile(rb"\xff\xd8\xff"), "a JPEG of more than 8 bits or of a rare kind"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "JPEG XL"),
    (re.compile(rb".{4}ftyp(?:hei|hev|mif|avi)", re.DOTALL), "HEIF or AVIF"),
    (re.compile(rb"P7\n"), "PAM"),
    (re.compile(rb"v/1\x01"), "OpenEXR"),
    (re.compile(rb"8BPS"), "a file of Photoshop"),
)
"""How files begin that are whole, but that no library here reads."""
_POINTER = b"version https://git-lfs"
_NAMES = {"JPEG2000": "JPEG 2000", "MPO": "JPEG", "PPM": "PNM"}


@dataclass(frozen=True)
class Picture:
    """One picture as its file stores it, turned as its orientation tag says.

    Attributes:
        path: the file.
        pixels: (H, W), or (H, W, 3) of colours; of a palette the indices.
        layout: "grey", "RGB" or "palette".
        bits: of a value.
        name: of the format.
        palette: (entries, 3), where the pixels are indices.
        alpha: (H, W), where there is transparency.
        white_is_zero: whether 0 is meant to be white, see
            :data:`noise2mask.data.formats.tiff_files.WhiteIsZero`.
        white: value of white, of PNM where it is below 255.
        step: distance of neighbouring values that could be stored, of scaled ones.
        orientation: the tag that was applied, 1 to 8.
        dropped: what was left out, "" if nothing.
        header: where pixels lie, of files that say it; (i, j) is then in column i and row j.
        sides: mm between rows and between columns; None where nobody says it.
    """

    path: Path
    pixels: npt.NDArray[Any]
    layout: str
    bits: int
    name: str
    palette: npt.NDArray[np.uint8] | None = None
    alpha: npt.NDArray[Any] | None = None
    white_is_zero: WhiteIsZero = "no"
    white: int | None = None
    step: float = 0.0
    orientation: int = 1
    dropped: str = ""
    header: Header | None = None
    sides: tuple[float, float] | None = None

    @property
    def form(self) -> str:
        """What the file is, the same for files that are read alike."""
        real = self.pixels.dtype.kind == "f"
        said = [self.name, self.layout, _spelled_bits(self.bits, real=real)]
        if self.white_is_zero != "no":
            said.append("0 is white")
        return ", ".join([*said, *_spelled_changes(self.orientation, self.dropped)])


def _spelled_bits(bits: int, *, real: bool) -> str:
    return f"{bits}-bit real numbers" if real else f"{bits} bit" + "s" * (bits != 1)


def _spelled_changes(orientation: int, dropped: str) -> list[str]:
    turned = f"turned by its orientation tag {orientation}" if orientation != 1 else ""
    return [text for text in (turned, f"without {dropped}" if dropped else "") if text]


def stem_of(name: str) -> str | None:
    """The file name without its suffix, or None if the suffix is none of :data:`SUFFIXES`."""
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return None


def decode(path: Path) -> Picture:
    """The picture in a file.

    Raises:
        UserError: the file is damaged, a volume, several pages, or holds no grey or colours.
    """
    with _telling(path):
        if spatial_files.suffix_of(path) is not None:
            return _decode_slice(path)
        return _upright(_decode_tiff(path) if _is_tiff(path) else _decode_pillow(path))


def form_of(path: Path) -> str:
    """:attr:`Picture.form` of a file, without its pixels where it tells that without them.

    Raises:
        UserError: as :func:`decode`.
    """
    with _telling(path):
        if spatial_files.suffix_of(path) is None and not _is_tiff(path):
            with PillowImage.open(path) as picture:
                said = _pillow_header(path, picture, whole=False)
            bits = _spelled_bits(said.bits, real=said.real)
            changes = _spelled_changes(said.orientation, "alpha" if said.alpha else "")
            return ", ".join([said.name, said.layout, bits, *changes])
    return decode(path).form


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in MAGIC


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Tell in one sentence that a file cannot be read."""
    try:
        yield
    except PillowImage.DecompressionBombError as error:
        raise UserError(
            f"{path} has more than {2 * (PillowImage.MAX_IMAGE_PIXELS or 0)} pixels; cut it into "
            "parts."
        ) from error
    except UnidentifiedImageError as error:
        raise UserError(_not_read(path) or damaged(path, error)) from error
    except _UNREADABLE as error:
        raise UserError(damaged(path, error)) from error


def _not_read(path: Path) -> str:
    """The sentence for a file that is whole and not read; "" if it is none that is known."""
    with path.open("rb") as file:
        start = file.read(32)
    if start.startswith(_POINTER):
        return f"{path} is a pointer of Git LFS, not the file; run `git lfs pull` in its folder."
    name = next((name for begins, name in _NOT_READ if begins.match(start)), "")
    return name and f"{path} is {name}, which is not read; convert it, e.g. to PNG."


def read_image(
    path: Path,
    *,
    window: Sequence[float] | None = None,
    percentiles: Sequence[float] | None = None,
) -> Image:
    """Decode an image as uint8 (H, W, 1) or (H, W, 3).

    Args:
        path: the file.
        window: values that become black and white.
        percentiles: shares in percent of the image's values below those that become black and
            white.

    Raises:
        UserError: the file is damaged, a volume, several pages, or no numbers.
    """
    picture = decode(path)
    placed = picture.header is not None and not spatial_files.is_picture_like(picture.header)
    shown = anatomical(picture) if placed else picture
    return image_of(shown, window=window, percentiles=percentiles)


def image_of(
    picture: Picture,
    *,
    window: Sequence[float] | None = None,
    percentiles: Sequence[float] | None = None,
) -> Image:
    """The image that a picture shows, as :func:`read_image` gives it."""
    values = picture.pixels
    if picture.palette is not None:
        values = picture.palette[np.minimum(values, len(picture.palette) - 1)]
    if picture.white_is_zero != "no":
        values = inverted(picture)
    few_bits = picture.bits == 1 or (values.dtype.kind == "u" and picture.bits < 8)
    if few_bits or picture.white is not None:
        white = picture.white or 2**picture.bits - 1
        values = (values.astype(np.uint16) * 255 // white).astype(np.uint8)
    if values.dtype != np.uint8 or window is not None or percentiles is not None:
        values = _stretched(picture.path, values, window, percentiles)
    return np.ascontiguousarray(values[..., None] if values.ndim == 2 else values)


def inverted(picture: Picture) -> npt.NDArray[Any]:
    """The values with black and white exchanged."""
    values = picture.pixels
    if values.dtype.kind == "f":
        return -values
    if values.dtype.kind == "b":
        return ~values
    if values.dtype.kind == "u" and picture.bits <= 16:
        return np.asarray((1 << picture.bits) - 1 - values.astype(np.int64)).astype(values.dtype)
    return np.asarray(values.max() - values + values.min())  # nobody shows white of 32 bits


def anatomical(picture: Picture) -> Picture:
    """A slice turned to the closest anatomical axes, seen as volumes are."""
    if picture.header is None:
        return picture
    header = picture.header

    def shown(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        stored = pixels.swapaxes(0, 1).reshape(*header.shape[:3], *pixels.shape[2:])
        turned = spatial_files.turned(stored, header.affine)
        thin = max(axis for axis in range(3) if turned.shape[axis] == 1)
        return np.squeeze(turned, axis=thin).swapaxes(0, 1)[::-1]

    spacing = spatial_files.spacing_after_turn(header)
    shape = spatial_files.shape_after_turn(header)
    return replace(picture, pixels=shown(picture.pixels), sides=_sides(spacing, shape))


def _sides(spacing: npt.NDArray[np.float64], shape: Sequence[int]) -> tuple[float, float] | None:
    """Mm between rows and columns of a slice of voxels (columns, rows); None if nobody says it.

    A millimetre along all axes is what libraries write where nothing was said.
    """
    if not np.isfinite(spacing).all() or not (spacing > 0).all() or (spacing == 1).all():
        return None
    thin = max(axis for axis in range(3) if shape[axis] == 1)
    column, row = np.delete(spacing, thin).tolist()
    return row, column


# Formats --------------------------------------------------------------------------------------


def _decode_tiff(path: Path) -> Picture:
    tiff = read_tiff(path)
    values, layout = tiff.values, tiff.layout
    if values.dtype.kind not in "buif":
        raise UserError(
            f"{path} holds values of type {values.dtype}, but pixels are whole or real numbers; "
            "save it so."
        )
    if layout == "CMYK":
        values = np.asarray(PillowImage.fromarray(values, mode="CMYK").convert("RGB"))
        layout = "RGB"
    bits = 8 if layout == "palette" else tiff.bits
    return Picture(
        path, values, layout, bits, "TIFF", tiff.palette, tiff.alpha, tiff.white_is_zero,
        orientation=tiff.orientation, dropped=tiff.dropped,
    )  # fmt: skip


class _Header(NamedTuple):
    """What Pillow knows of a file before it decodes it; the fields are those of a picture."""

    name: str
    layout: str
    bits: int
    real: bool
    alpha: bool
    orientation: int
    white: int | None  # of PNM


def _pillow_header(path: Path, picture: ImageFile.ImageFile, *, whole: bool = True) -> _Header:
    """The header; without `whole` a tag that a PNG has behind its pixels is not looked for."""
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format != "MPO":  # which holds the picture first, then previews
        raise UserError(
            f"{path} holds {frames} pages, but a case is one image; save the pages as separate "
            "files."
        )
    mode, bits = picture.mode, 8
    layout = "palette" if mode == "P" else "grey" if mode[0] in "1LIF" else "RGB"
    tiles = getattr(picture, "tile", None)
    raw = tiles[0][3] if picture.format == "PNG" and tiles else ""  # e.g. L;4 or RGB;16B
    if mode == "1":
        bits = 1
    elif mode[0] in "IF":
        bits = 16 if ";16" in mode else 32
    elif layout != "palette" and isinstance(raw, str) and ";" in raw:
        bits = int(raw.partition(";")[2].removesuffix("B"))
        layout = "grey" if raw.startswith("L") else layout
    elif picture.format == "JPEG2000" and layout != "palette":
        bits = _bits_of_jpeg2000(path)
    white = _white_of_pnm(picture) if picture.format == "PPM" else None
    if white is not None:
        bits = {1: 1, 3: 2, 15: 4}.get(white, 8 if white <= 255 else 16)
    alpha = mode in {"LA", "La", "RGBA", "PA"} or (mode == "P" and "transparency" in picture.info)
    asked = whole or picture.format != "PNG" or "exif" in picture.info
    orientation = int(picture.getexif().get(0x0112, 1) or 1) if asked else 1
    orientation = orientation if orientation in range(1, 9) else 1
    name = _NAMES.get(picture.format or "", picture.format or "")
    return _Header(name, layout, bits, mode == "F", alpha, orientation, white)


def _white_of_pnm(picture: ImageFile.ImageFile) -> int | None:
    """The largest value that a PNM file may hold, to which Pillow scales; None of bitmaps."""
    if picture.mode not in {"L", "I", "RGB"}:
        return None
    said = picture.tile[0][3]
    return int(said[1]) if isinstance(said, tuple) else 65535 if picture.mode == "I" else 255


def _bits_of_jpeg2000(path: Path) -> int:
    """As the codestream's first marker (SIZ) says; Pillow shifts values to 8 or 16 bits."""
    content = path.read_bytes()
    start = content.index(b"\xff\x4f\xff\x51")
    return (content[start + 42] & 0x7F) + 1


def _decode_pillow(path: Path) -> Picture:
    with PillowImage.open(path) as picture:
        said = _pillow_header(path, picture)
        palette = None
        deep_colours = said.bits == 16 and not picture.mode.startswith("I")
        if deep_colours or (picture.format == "JPEG2000" and said.bits != 8):
            pixels, alpha = _as_stored(path, picture)
        else:
            pixels, alpha = _pillow_pixels(picture, said.bits)
        if said.white is not None and (said.bits < 16 or picture.mode == "I"):
            scale = said.white / (65535 if picture.mode == "I" else 255)
            pixels = np.rint(pixels * scale).astype(np.uint8 if said.bits <= 8 else np.uint16)
        if said.layout == "palette":
            palette = np.array(picture.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    return Picture(
        path, pixels, said.layout, said.bits, said.name, palette, alpha,
        white=said.white if said.white is not None and said.white < 255 else None,
        orientation=said.orientation, dropped="alpha" if said.alpha else "",
    )  # fmt: skip


def _pillow_pixels(
    picture: PillowImage.Image, bits: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    """Pixels and alpha."""
    mode = picture.mode
    if mode == "P":
        has_alpha = "transparency" in picture.info
        alpha = np.asarray(picture.convert("RGBA").getchannel("A")) if has_alpha else None
        return np.asarray(picture), alpha
    if mode in {"LA", "La"}:
        return np.asarray(picture.getchannel("L")), np.asarray(picture.getchannel(mode[1]))
    if mode in {"RGBA", "PA"}:
        whole = np.asarray(picture.convert("RGBA"))
        return whole[..., :3], whole[..., 3]
    if mode == "L" and bits < 8 and picture.format == "PNG":  # Pillow spreads them over 0 to 255
        return np.asarray(picture) // (255 // (2**bits - 1)), None
    if mode == "1":
        return np.asarray(picture).astype(np.uint8), None
    return np.asarray(picture if mode[0] in "LIF" else picture.convert("RGB")), None


def _as_stored(
    path: Path, picture: ImageFile.ImageFile
) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    """Pixels and alpha where Pillow keeps the upper 8 of 16 bits, or shifts fewer."""
    from imagecodecs import jpeg2k_decode, png_decode

    content = path.read_bytes()
    if picture.format == "PPM":
        codec, _, start, _ = picture.tile[0]
        count = picture.height * picture.width * 3
        if codec == "ppm_plain":
            words = re.sub(rb"#[^\r\n]*", b"", content[start:]).split()
            flat = np.array(words[:count], dtype=np.uint16)
        else:
            flat = np.frombuffer(content, ">u2", count, start).astype(np.uint16)
        return flat.reshape(picture.height, picture.width, 3), None
    values = (png_decode if picture.format == "PNG" else jpeg2k_decode)(content)
    values, alpha = np.atleast_3d(values), None
    if values.shape[2] in (2, 4):
        values, alpha = values[..., :-1], values[..., -1]
    return (values[..., 0] if values.shape[2] == 1 else values), alpha


def _decode_slice(path: Path) -> Picture:
    header = spatial_files.header_of(path)
    sides, channels = header.shape[:3], header.shape[3:]
    count = int(np.prod(channels)) if channels else 1
    if sum(side > 1 for side in sides) > 2:
        raise UserError(
            f"{path} is a volume of {spatial_files.sides(sides)} voxels, but a case is one slice; "
            "save each slice as a file of its own, or use the kind `volumes`."
        )
    if count not in (1, 3):
        raise UserError(
            f"{path} has {count} channels, but an image has 1 (grey) or 3 (RGB); save the channel "
            "that counts."
        )
    voxels = spatial_files.read_voxels(path)
    values = voxels.values
    scaled = (voxels.slope, voxels.intercept) != (1.0, 0.0)
    if scaled:
        values = values * voxels.slope + voxels.intercept
    bits = 8 * values.dtype.itemsize
    thin = max(axis for axis in range(3) if sides[axis] == 1)
    flat = np.squeeze(values.reshape(*sides, *((3,) if count == 3 else ())), axis=thin)
    step = abs(voxels.slope) if scaled and voxels.values.dtype.kind in "iu" else 0.0
    layout = "RGB" if count == 3 else "grey"
    said = _sides(spatial_files.spacing_of(header.affine), sides)
    return Picture(
        path, flat.swapaxes(0, 1), layout, bits, header.name, step=step, header=header, sides=said
    )


# Values ---------------------------------------------------------------------------------------


def _upright(picture: Picture) -> Picture:
    """Turned as the orientation tag says."""
    if picture.orientation not in range(2, 9):
        return replace(picture, orientation=1)

    def turned(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if picture.orientation >= 5:
            pixels = pixels.swapaxes(0, 1)
        rows = -1 if picture.orientation in (3, 4, 7, 8) else 1
        columns = -1 if picture.orientation in (2, 3, 6, 7) else 1
        return pixels[::rows, ::columns]

    alpha = None if picture.alpha is None else turned(picture.alpha)
    return replace(picture, pixels=turned(picture.pixels), alpha=alpha)


def _stretched(
    path: Path,
    pixels: npt.NDArray[Any],
    window: Sequence[float] | None,
    percentiles: Sequence[float] | None,
) -> npt.NDArray[np.uint8]:
    """Map a range linearly to 0 ... 255: the given one, or that of the image."""
    values = pixels.astype(np.float64)
    if not np.isfinite(values).all():
        raise UserError(
            f"{path} holds values that are not numbers (NaN or infinite); replace them or remove "
            "the file."
        )
    if window is not None:
        low, high = window
    elif percentiles is not None:
        low, high = np.percentile(values, percentiles).tolist()
    else:
        low, high = values.min(), values.max()
    if high == low:
        return np.zeros(values.shape, dtype=np.uint8)
    light = np.clip((values - low) / (high - low), 0, 1) * 255
    stretched: npt.NDArray[np.uint8] = np.rint(light).astype(np.uint8)
    return stretched
