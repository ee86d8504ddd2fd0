"""A set of MedSegBench (arXiv:2407.05980 says how they were made): one archive of arrays.

``<name>_<size>.npz`` holds for each split the arrays ``<split>_images``, uint8 (N, H, W) or
(N, H, W, 3), and ``<split>_label``, whole numbers (N, H, W); where a set has categories also
``<split>_label_<category>`` and mostly ``<split>_images_<category>``. The splits are fixed. Which
images are of one patient is not told: every case is a group of its own.
"""

import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from noise2mask.data.source import Image, Listing, Mask, Source
from noise2mask.data.splits import SPLITS
from noise2mask.errors import UserError

_PATIENTS = (
    "MedSegBench does not tell which images are of one patient: every case counts as a unit of its "
    "own, and splits may share patients."
)
_DAMAGE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def sources(
    *,
    root: Annotated[str, Field(description="folder of the dataset, with archives/ in it")],
    name: Annotated[str, Field(description="name of the set, as in the name of the archive")],
    size: Annotated[Literal[128, 256, 512], Field(description="side of the images, px")] = 256,
    category: Annotated[
        str | None, Field(description="only this category, e.g. C1; the whole set when absent")
    ] = None,
    foreground: Annotated[
        tuple[int, ...] | None,
        Field(description="labels that are foreground; all but 0 when absent"),
    ] = None,
) -> Listing:
    """The cases of a set, ``<split>_<number>``; only the heads of the arrays are read.

    Raises:
        UserError: the archive is missing, damaged, or does not hold the promised arrays.
    """
    archive = Path(root).expanduser() / "archives" / f"{name}_{size}.npz"
    held = _held(archive)
    cases = []
    for split in SPLITS:
        images, labels = _keys(archive, held, split, category)
        count = _checked(_rows(archive, images), _rows(archive, labels))
        rule = {"archive": archive, "images": images, "labels": labels, "foreground": foreground}
        for number in range(count):
            id = f"{split}_{number:05d}"
            cases.append(Source(id, id, split, {**rule, "row": number}))
    return Listing(cases, tables=[archive], notes=[_PATIENTS])


def load(source: Source) -> tuple[Image, Mask]:
    """Decode one image and its mask.

    Raises:
        UserError: the archive is damaged, or a label is no whole number.
    """
    archive, row = source.payload["archive"], source.payload["row"]
    image = _rows(archive, source.payload["images"]).read(row)
    labels = _rows(archive, source.payload["labels"]).read(row)
    labels = labels[..., 0] if labels.ndim == 3 else labels
    if labels.dtype.kind == "f" and not (labels == np.rint(labels)).all():
        raise UserError(
            f"the array {source.payload['labels']} in {archive} holds values that are not whole "
            f"numbers (case {source.id!r}), but labels name foreground and background; {_AGAIN}."
        )
    wanted = source.payload["foreground"]
    mask = labels != 0 if wanted is None else np.isin(labels, wanted)
    return image.reshape(*mask.shape, -1), mask


# Arrays ---------------------------------------------------------------------------------------

_AGAIN = "delete it and fetch it again with `noise2mask data get`"


@dataclass(frozen=True)
class _Rows:
    """One array in an archive, of which one row is decoded at a time.

    Archives are compressed, so a row costs what lies between the last one and it; going back
    starts afresh. Cases are prepared in the order of the rows, by every process for itself.
    """

    archive: Path
    key: str
    file: IO[bytes]
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, row: int) -> npt.NDArray[Any]:
        """One row, (H, W) or (H, W, C)."""
        size = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        try:
            self.file.seek(self.start + row * size)
            content = self.file.read(size)
            return np.frombuffer(content, self.dtype).reshape(self.shape[1:])
        except _DAMAGE as error:
            raise UserError(_damaged(self.archive, error)) from error


def _rows(archive: Path, key: str) -> _Rows:
    """An array of an archive, opened once by each process as long as the file is the same."""
    try:
        status = archive.stat()
        return _rows_cached(archive, key, status.st_mtime_ns, status.st_size)
    except _DAMAGE as error:
        raise UserError(_damaged(archive, error)) from error


@lru_cache(maxsize=4)
def _rows_cached(archive: Path, key: str, changed: int, size: int) -> _Rows:  # noqa: ARG001
    file = zipfile.ZipFile(archive).open(f"{key}.npy")  # noqa: SIM115
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"{key} is of the NPY version {version}")
    shape, by_column, dtype = read_header(file)
    if dtype.hasobject or by_column:
        what = "pickled objects, which are never read" if dtype.hasobject else "columns first"
        raise UserError(
            f"the array {key} in {archive} holds {what}; it is not as published, {_AGAIN}."
        )
    return _Rows(archive, key, file, file.tell(), shape, dtype)


def _held(archive: Path) -> list[str]:
    """Names of the arrays in an archive."""
    try:
        with zipfile.ZipFile(archive) as opened:
            return sorted(name.removesuffix(".npy") for name in opened.namelist())
    except FileNotFoundError:
        raise UserError(
            f"{archive} does not exist; fetch it with `noise2mask data get`, or correct `root`, "
            "`name` or `size`."
        ) from None
    except _DAMAGE as error:
        raise UserError(_damaged(archive, error)) from error


def _keys(archive: Path, held: list[str], split: str, category: str | None) -> tuple[str, str]:
    """Names of the images and the labels of a split."""
    ending = f"_{category}" if category else ""
    images, labels = f"{split}_images{ending}", f"{split}_label{ending}"
    if images not in held:  # one set has labels by category of the same images
        images = f"{split}_images"
    for key in (images, labels):
        if key not in held:
            raise UserError(
                f"{archive} has no array {key}; it holds {', '.join(held) or 'none'}; correct "
                f"`category`, or, if it is not as published, {_AGAIN}."
            )
    return images, labels


def _checked(images: _Rows, labels: _Rows) -> int:
    """Number of cases of two arrays that must fit each other."""
    count, *image = images.shape
    grey_or_colour = len(image) == 2 or (len(image) == 3 and image[2] in (1, 3))
    if not grey_or_colour or images.dtype != np.uint8:
        raise UserError(
            f"the array {images.key} in {images.archive} is {images.dtype} {images.shape}, but "
            f"images are uint8 (N, H, W) or (N, H, W, 3); it is not as published, {_AGAIN}."
        )
    if labels.shape not in ((count, *image[:2]), (count, *image[:2], 1)) or (
        labels.dtype.kind not in "buif"
    ):
        raise UserError(
            f"the array {labels.key} in {labels.archive} is {labels.dtype} {labels.shape}, which "
            f"does not fit its images, {images.shape}; it is not as published, {_AGAIN}."
        )
    return count


def _damaged(archive: Path, error: Exception) -> str:
    return f"{archive} could not be read ({str(error) or type(error).__name__}); {_AGAIN}."
