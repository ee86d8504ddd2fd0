"""TIFF through tifffile: every depth by one rule, and what a file says of itself.

Values are those that tifffile gives, of booleans and floats as of 8 and 16 bits: as they are
stored. Whether 0 is meant to be white (PhotometricInterpretation 0) is told beside them.
"""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from noise2mask.errors import UserError

MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")

WhiteIsZero = Literal["no", "stored", "shown", "unknown"]
"""Whether 0 is meant to be white, and then which values a mask's author meant.

tifffile writes ``True`` as 1 and ImageJ an object as 255, both with the tag: those stored. Fax
codecs know black and white only, so there it is those shown. Of others nobody knows.
"""

# JPEG, JPEG 2000, WebP and JPEG XL bring RGB whatever the tag says.
_COLOURED_BY_CODEC = {6, 7, 33003, 33004, 33005, 33007, 34712, 34892, 34927, 50001, 50002}
_FAX = {2, 3, 4, 32771}
_READ = {0, 1, 2, 3, 4, 5, 6}  # not CIELAB, LogLuv or what lies behind a colour filter
_EXTRA_PAGES = {"thumbnail", "label", "macro", "overview"}


class Tiff(NamedTuple):
    """What a TIFF file holds.

    Attributes:
        values: (H, W) or (H, W, channels), colours first; of a palette the indices.
        palette: (entries, 3) in 8 bits, None without one.
        alpha: (H, W), None without one.
        layout: "grey", "RGB", "palette", "CMYK".
        bits: of a value.
        white_is_zero: see :data:`WhiteIsZero`.
        orientation: 1 to 8, as in EXIF.
        dropped: what was left out of it, "" if nothing.
    """

    values: npt.NDArray[Any]
    palette: npt.NDArray[np.uint8] | None
    alpha: npt.NDArray[Any] | None
    layout: str
    bits: int
    white_is_zero: WhiteIsZero
    orientation: int
    dropped: str


def read_tiff(path: Path) -> Tiff:
    """Decode the one picture of a file.

    Raises:
        UserError: it holds several pages, channels of no stated meaning, or a codec or colours
            that are not read. Damage raises what the libraries raise.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        series = _only_series(path, file)
        page = series.keyframe
        _check_codec(path, page)
        _check_colours(path, page)
        values = _axes_in_order(path, series)
        photometric = int(page.photometric)
        extra = tuple(int(kind) for kind in page.extrasamples)
        orientation = page.tags.get(274)
        bits = page.bitspersample
        bits = bits[0] if isinstance(bits, tuple) else bits
        if photometric == 3 and page.colormap is not None:
            colours, alpha, layout, dropped = values.reshape(values.shape[:2]), None, "palette", ""
        else:
            colours, alpha, layout, dropped = _colours(path, values, photometric, extra)
        return Tiff(
            values=colours,
            palette=_palette(page.colormap) if layout == "palette" else None,
            alpha=alpha,
            layout=layout,
            bits=int(bits),
            white_is_zero=_white_is_zero(file, page) if photometric == 0 else "no",
            orientation=int(orientation.value) if orientation is not None else 1,
            dropped=dropped,
        )


def _only_series(path: Path, file: Any) -> Any:
    """The series of the picture; smaller copies of it and labels of slides are no pictures."""
    pictures = [
        series
        for series in file.series
        if series.name.casefold() not in _EXTRA_PAGES and not series.keyframe.is_reduced
    ] or list(file.series)
    count = 0
    for series in pictures:
        pages = 1
        for axis, length in zip(series.axes, series.shape, strict=True):
            pages *= length if axis not in "YXSC" else 1
        count += pages
    if count != 1:
        raise UserError(
            f"{path} holds {count} pages, but a case is one image; save the pages as separate "
            "files."
        )
    return pictures[0]


def _axes_in_order(path: Path, series: Any) -> npt.NDArray[Any]:
    """Pixels (H, W) or (H, W, samples)."""
    values, axes = series.asarray(), series.axes
    for axis in [axis for axis in axes if axis not in "YX"]:
        place = axes.index(axis)
        if values.shape[place] == 1:
            values, axes = np.squeeze(values, axis=place), axes.replace(axis, "", 1)
    rest = axes.replace("Y", "", 1).replace("X", "", 1)
    if len(rest) > 1 or "Y" not in axes or "X" not in axes:
        raise UserError(
            f"{path} has the axes {series.axes} ({' x '.join(map(str, series.shape))}), but a case "
            "is one image of grey or colours; save it so."
        )
    order = (axes.index("Y"), axes.index("X"), *(axes.index(axis) for axis in rest))
    return np.asarray(values.transpose(order))


def _check_codec(path: Path, page: Any) -> None:
    import tifffile

    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
    except (KeyError, ImportError, ValueError) as error:
        name = getattr(page.compression, "name", str(page.compression))
        raise UserError(
            f"{path} is packed with the codec {name}, which is not read; convert it, e.g. with "
            "`tiffcp -c lzw`, or save it as PNG."
        ) from error


def _check_colours(path: Path, page: Any) -> None:
    photometric = int(page.photometric)
    if photometric not in _READ:
        name = getattr(page.photometric, "name", str(photometric))
        raise UserError(
            f"{path} holds {name} values, which are not read; convert it to grey or RGB, or save "
            "it as PNG."
        )
    if photometric == 5 and page.dtype != np.uint8:
        raise UserError(
            f"{path} holds CMYK of type {page.dtype}, but CMYK is read in 8 bits only; convert it "
            "to RGB."
        )
    if photometric == 6 and int(page.compression) not in _COLOURED_BY_CODEC:
        raise UserError(
            f"{path} holds colours as YCbCr without JPEG, which is not read; convert it to RGB."
        )


def _colours(
    path: Path, values: npt.NDArray[Any], photometric: int, extra: tuple[int, ...]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None, str, str]:
    """Grey or RGB values, alpha, their name, and what is left out."""
    if values.ndim == 2:
        return values, None, "grey", ""
    channels = values.shape[2]
    if photometric == 5 and channels >= 4:
        return values[..., :4], None, "CMYK", "channels beyond CMYK" if channels > 4 else ""
    alpha_last = bool(extra) and extra[-1] in (1, 2)
    colours = channels - alpha_last
    alpha = values[..., -1] if alpha_last else None
    if colours == 1:
        return values[..., 0], alpha, "grey", "alpha" if alpha_last else ""
    if colours == 3:
        return values[..., :3], alpha, "RGB", "alpha" if alpha_last else ""
    if photometric in (2, 6) and colours == 4:
        return values[..., :3], None, "RGB", "a fourth channel of no stated meaning"
    raise UserError(
        f"{path} has {channels} channels"
        + (" of which one is alpha" if alpha_last else " of which none is said to be alpha")
        + ", but an image has 1 (grey) or 3 (RGB); save the channel or the three that count."
    )


def _palette(colormap: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Entries (N, 3) in 8 bits; some writers store them in 8 of the 16 bits."""
    entries = np.asarray(colormap).T
    return (entries >> 8 if entries.max() > 255 else entries).astype(np.uint8)


def _white_is_zero(file: Any, page: Any) -> WhiteIsZero:
    if int(page.compression) in _FAX:
        return "shown"
    written = str(page.software or "")
    bits = page.bitspersample
    if file.is_imagej or (bits == 1 and written.startswith("tifffile")):
        return "stored"
    return "unknown"
