"""Masks of new images with their doubt: cut, resized and drawn as the study did, then put back.

An image is prepared as those of the training were: cut into tiles of the same size or taken whole,
padded to a square where they were, and resized to the training's resolution. A draw of it is that
of the study for a case of the same name and pixels. Maps at that resolution are interpolated back;
where tiles overlap, they are averaged.

Tiles are those of :func:`noise2mask.data.tiles.tiles_of` and not of MONAI's sliding-window
inference. That gives the network windows of one image, where here a block, whose size the last bits
of a convolution depend on, is filled with tiles of several; pads small images on all sides, where
training does it below and beside; averages deviations, where variances have to be; and keeps
nothing before its end, where here an interrupted call goes on in the middle of an image.
"""

import hashlib
import io
import json
import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage
from scipy.special import entr

from noise2mask import plugins
from noise2mask.data.formats.spatial_files import companions
from noise2mask.data.prepared import FOREGROUND, Manifest, Split
from noise2mask.data.resize import resize_image
from noise2mask.data.source import Image
from noise2mask.data.tiles import Place, square_side, tiles_of
from noise2mask.errors import UserError
from noise2mask.files import write_bytes, write_json, write_text
from noise2mask.inference import inputs
from noise2mask.inference.inputs import Input, Map
from noise2mask.inference.model import Model, Preparation, Way
from noise2mask.progress import LOG, Progress
from noise2mask.sampling.draws import Draws
from noise2mask.sampling.sample import BLOCK, draw
from noise2mask.sampling.temperature import scaled
from noise2mask.study.code_hash import versions
from noise2mask.study.schema import digest

STATE = ".noise2mask"
"""Folder in the output that holds what is finished."""
COLUMNS = (
    "file", "height", "width", "slices", "foreground", "volume_ml", "entropy", "deviation", "mask",
)  # fmt: skip
"""Of ``predictions.csv``: `foreground` and `entropy` are means over pixels, `volume_ml` is that of
a volume's foreground, by the voxel size in its header."""


class Square(NamedTuple):
    """A part of an image at the network's resolution.

    Attributes:
        id: that seeds its noise: of the image, with the place of the tile.
        image: (R, R, C).
        place: in the image, or in the shrunk one that is cut.
    """

    id: str
    image: Image
    place: Place


@dataclass(frozen=True, eq=False)
class Prediction:
    """What is said of one image.

    Attributes:
        mask: (H, W), true is foreground.
        probability: of foreground, (H, W) in [0, 1].
        entropy: of that probability, (H, W) in bits: 1 where it is 1/2.
        deviation: standard deviation over the draws, (H, W); None of a single draw.
    """

    mask: npt.NDArray[np.bool_]
    probability: Map
    entropy: Map
    deviation: Map | None


def squares_of(
    id: str, image: Image, preparation: Preparation, overlap: float = 0.0
) -> Iterator[Square]:
    """The parts of an image that the network sees, row by row.

    Args:
        id: of the image.
        image: (H, W, C) with the channels of the training's.
        preparation: of those.
        overlap: share of a tile that the next one covers again.
    """
    side, shrink = preparation.tile, preparation.shrink
    if shrink is not None:
        image = resize_image(image, (shrink, shrink))
    step = None if side is None else max(1, round(side * (1 - overlap)))
    side = square_side(image.shape[:2], side, padded=preparation.aspect == "padded")
    small = (preparation.resolution, preparation.resolution)
    for tile in tiles_of(image, np.zeros(image.shape[:2], np.bool_), side, step):
        name = f"{id}_y{tile.top:03d}x{tile.left:03d}" if preparation.tile else id
        place = Place(tile.top, tile.left, tile.height, tile.width)
        yield Square(name, resize_image(np.ascontiguousarray(tile.image), small), place)


@torch.inference_mode()
def drawn(model: Model, squares: list[Square], way: Way) -> list[Draws]:
    """Draws of some squares, each (N, R, R) in [0, 1]; they depend on the square alone."""
    run = model.trained.run
    side = run.settings.resolution
    manifest = Manifest(
        dataset=run.data["name"], kind=run.data["kind"], options={}, resolution=side,
        channels=run.data["channels"], mean=tuple(run.data["mean"]), std=tuple(run.data["std"]),
        foreground=FOREGROUND, counts={}, units={}, leaks="", notes=(), digests={}, digest="",
        cases=(),
    )  # fmt: skip
    images = np.stack([square.image for square in squares])
    ids = tuple(square.id for square in squares)
    split = Split(ids, ids, images, np.zeros((len(ids), side, side), np.uint8), manifest)
    return draw(model.trained, split, range(len(ids)), way.sampler)


def fused(draws: Draws, way: Way) -> Map:
    """P(foreground), calibrated where the way is, and the draws' deviation: (2, R, R)."""
    probability = plugins.member("fusion", way.fusion)(draws)
    if way.temperature is not None:
        count = len(draws) if way.masks else None
        probability = scaled(probability, way.temperature, draws=count)
    return np.stack([probability, draws.std(axis=0, dtype=np.float64)]).astype(np.float32)


def joined(parts: list[tuple[Place, Map]], size: tuple[int, int], preparation: Preparation) -> Map:
    """Probability and deviation of a whole image out of those of its squares, (2, H, W).

    Where squares overlap, probabilities and variances are averaged.

    Args:
        parts: place and (2, R, R) of each.
        size: height and width of the image, px.
        preparation: how it was cut.
    """
    cut = (preparation.shrink, preparation.shrink) if preparation.shrink else size
    side = square_side(cut, preparation.tile, padded=preparation.aspect == "padded")
    if side is None:
        return resized(parts[0][1], size)
    total = np.zeros((2, *cut), np.float32)
    weight = np.zeros(cut, np.float32)
    for place, part in parts:
        whole = resized(part, (side, side))[:, : place.height, : place.width]
        rows = slice(place.top, place.top + place.height)
        columns = slice(place.left, place.left + place.width)
        total[0, rows, columns] += whole[0]
        total[1, rows, columns] += whole[1] ** 2
        weight[rows, columns] += 1
    total /= weight
    return resized(np.stack([total[0], np.sqrt(total[1])]), size)


def resized(maps: Map, size: tuple[int, int]) -> Map:
    """Maps (K, H, W) at another size, interpolated linearly (averaged where it is smaller)."""
    if maps.shape[1:] == size:
        return maps
    bilinear = PillowImage.Resampling.BILINEAR
    parts = [PillowImage.fromarray(each).resize(size[::-1], bilinear) for each in maps]
    return np.stack([np.asarray(part, dtype=np.float32) for part in parts])


def entropy_of(probability: Map) -> Map:
    """Entropy of a binary variable in bits, of the shape given.

    >>> entropy_of(np.array([0, 0.5, 1], np.float32)).tolist()
    [0.0, 1.0, 0.0]
    """
    p = np.clip(probability.astype(np.float64), 0, 1)
    return np.asarray((entr(p) + entr(1 - p)) / np.log(2), dtype=np.float32)


def predict(
    model: Model,
    image: npt.ArrayLike,
    *,
    name: str = "image",
    sampler: str | None = None,
    draws: int | None = None,
    overlap: float = 0.0,
) -> Prediction:
    """Segment one image.

    Args:
        model: see :func:`noise2mask.load_model`.
        image: uint8 (H, W), or (H, W, C) with 1 channel or those that the network knows.
        name: seeds the noise of its draws, as the id of a case does in a study.
        sampler: a name in `model.ways`; None: the first.
        draws: another number of them than the sampler's own.
        overlap: share of a tile that the next one covers again, where images are cut.

    Raises:
        UserError: the image does not fit the training's, or there is no such sampler.
    """
    pixels, way = pixels_of(image), model.way(sampler, draws)
    parts = [
        (place, fused(each, way)) for place, each in draw_squares(model, pixels, name, way, overlap)
    ]
    size = (pixels.shape[0], pixels.shape[1])
    return _prediction(joined(parts, size, model.preparation), way)


def pixels_of(image: npt.ArrayLike) -> Image:
    """An image as (H, W, C).

    Raises:
        UserError: it is not uint8 (H, W) or (H, W, C).
    """
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise UserError(
            f"the image is {pixels.dtype} {pixels.shape}, but uint8 (H, W) or (H, W, C) is needed; "
            "scale its values to 0 ... 255."
        )
    return pixels[..., None] if pixels.ndim == 2 else pixels


def draw_squares(
    model: Model, pixels: Image, name: str, way: Way, overlap: float
) -> list[tuple[Place, Draws]]:
    """Draws of the parts of an image that the network sees, with their places.

    Args:
        model: the network.
        pixels: (H, W, C) of any size.
        name: seeds the noise.
        way: to draw.
        overlap: share of a tile that the next one covers again.

    Raises:
        UserError: the image has other channels than the training's.
    """
    shown = inputs.fitted(Path(name), pixels, model.preparation, any_size=True)
    squares = list(squares_of(name, shown, model.preparation, _share(overlap)))
    return [
        (square.place, found)
        for batch in _batches(squares, model, way)
        for square, found in zip(batch, drawn(model, batch, way), strict=True)
    ]


def _prediction(maps: Map, way: Way) -> Prediction:
    probability = maps[0]
    deviation = maps[1] if way.sampler.draws > 1 else None
    return Prediction(probability > way.threshold, probability, entropy_of(probability), deviation)


def _share(overlap: float) -> float:
    if not 0 <= overlap < 1:
        raise UserError(f"--overlap {overlap}: a share of a tile is from 0 to below 1, e.g. 0.25.")
    return overlap


def _batches(squares: list[Square], model: Model, way: Way) -> Iterator[list[Square]]:
    count = at_once(model, way)
    for first in range(0, len(squares), count):
        yield squares[first : first + count]


def at_once(model: Model, way: Way) -> int:
    """The fewest squares whose draws fill blocks of the network's rows without a rest."""
    block = BLOCK[model.trained.device.type]
    return block // math.gcd(block, way.sampler.draws)


# Files ------------------------------------------------------------------------------------------


@dataclass
class _Waiting:
    """An input whose squares are being drawn.

    Attributes:
        given: the input.
        places: of the squares of each slice.
        parts: the file of each square's maps.
        open: squares that are still to be drawn.
    """

    given: Input
    key: str
    places: list[list[Place]] = field(default_factory=list)
    parts: list[list[Path]] = field(default_factory=list)
    open: int = 0
    read: bool = False


def predict_files(
    model: Model,
    source: Path,
    out: Path,
    *,
    sampler: str | None = None,
    draws: int | None = None,
    overlap: float = 0.0,
    axis: str | None = None,
    any_size: bool = False,
) -> list[dict[str, Any]]:
    """Segment a file or all files of a folder.

    Each gets ``<place>_mask``, ``_probability``, ``_entropy`` and, of several draws, ``_deviation``
    in its own format and grid, and ``_overlay.png``; ``predictions.csv`` has a line for each and
    ``predictions.json`` says how they were made. What an earlier call with the same model and
    settings finished, down to a tile or slice, is not drawn again.

    Args:
        model: the network.
        source: an image, a volume or a folder.
        out: the folder.
        sampler: a name in `model.ways`; None: the first.
        draws: another number of them than the sampler's own.
        overlap: share of a tile that the next one covers again.
        axis: plane of a volume's slices, for networks that were trained on single images.
        any_size: do not refuse images of another scale than the training's.

    Returns:
        The lines of the table, by :data:`COLUMNS`.

    Raises:
        UserError: some of the files cannot be segmented (the others are), or nothing can.
    """
    way = model.way(sampler, draws)
    files = inputs.found(source)
    rule = [
        model.digest, way.model_dump(mode="json"), _share(overlap), axis, versions()["torch"],
        model.trained.device.type,
    ]  # fmt: skip
    work = _Work(model, way, out, overlap, len(files))
    failed: list[str] = []
    for place, path in files.items():
        key = digest([rule, place, *(_sha256(each) for each in (path, *companions(path)))])
        if work.finished(place, key):
            continue
        try:
            preparation = model.preparation
            given = inputs.opened(path, place, preparation, axis=axis, any_size=any_size)
            work.add(given, key)
        except UserError as error:
            failed.append(str(error))
            LOG.warning("not segmented: %s", error)
            work.drop(place)
    work.end()
    rows = [work.rows[place] for place in files if place in work.rows]
    lines = [",".join(COLUMNS), *(",".join(_cell(row[name]) for name in COLUMNS) for row in rows)]
    write_text(out / "predictions.csv", "\n".join(lines) + "\n")
    write_json(out / "predictions.json", _about(model, way, overlap))
    if failed:
        raise UserError(
            f"{len(failed)} of {len(files)} files could not be segmented, the others are in {out}: "
            f"{failed[0]}"
        )
    return rows


def _sha256(path: Path) -> str:
    """Digest of a file; of one that is not there, none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text


def _about(model: Model, way: Way, overlap: float) -> dict[str, Any]:
    run = model.trained.run
    return {
        "model": {"digest": model.digest, "title": run.settings.title(), "data": run.data["name"]},
        "sampler": way.model_dump(mode="json"),
        "preparation": model.preparation.model_dump(mode="json"),
        "overlap": overlap,
        "warnings": list(model.warnings),
        "versions": versions(),
        "maps": {
            "mask": "0 and 1 where voxels are placed, 0 and 255 in pictures",
            "probability": "of foreground; of PNG 65535 is 1",
            "entropy": "of that probability in bits; of PNG 65535 is 1",
            "deviation": "standard deviation over the draws; of PNG 65535 is 1",
        },
    }


class _Work:
    """Squares of many inputs, drawn in full blocks, and inputs written when theirs are there."""

    def __init__(self, model: Model, way: Way, out: Path, overlap: float, count: int):
        self.rows: dict[str, dict[str, Any]] = {}
        self._model, self._way, self._out, self._overlap = model, way, out, overlap
        self._waiting: deque[_Waiting] = deque()
        self._squares: list[tuple[Square, Path, _Waiting]] = []
        self._done = 0.0
        self._progress = Progress("segmenting", 100 * count, shown=_in_images)

    def finished(self, place: str, key: str) -> bool:
        """Whether an earlier call wrote this; its line of the table is then taken."""
        try:
            said = json.loads(self._record(place).read_bytes())
        except (OSError, ValueError):
            return False
        if said["key"] != key or not all((self._out / name).is_file() for name in said["files"]):
            return False
        self.rows[place] = said["row"]
        self._tell(1)
        return True

    def add(self, given: Input, key: str) -> None:
        """Draw the squares of an input, as far as they fill blocks; write what is complete."""
        waiting = _Waiting(given, key)
        self._waiting.append(waiting)
        folder = self._out / STATE / "parts" / key
        for number, id in enumerate(given.ids):
            waiting.places.append([])
            waiting.parts.append([])
            image = given.read(number)
            for square in squares_of(id, image, self._model.preparation, self._overlap):
                path = folder / f"{number}-{len(waiting.parts[-1])}.npy"
                waiting.places[-1].append(square.place)
                waiting.parts[-1].append(path)
                if not path.exists():
                    waiting.open += 1
                    self._squares.append((square, path, waiting))
                    if len(self._squares) >= at_once(self._model, self._way):
                        self._draw()
            self._tell(1 / len(given.ids))
        waiting.read = True
        if len(given.ids) > 1:  # a volume is large, and its slices fill blocks
            self._draw()
        self._write_complete()

    def drop(self, place: str) -> None:
        """Forget an input that turned out to be unreadable."""
        self._waiting = deque(each for each in self._waiting if each.given.place != place)
        self._squares = [each for each in self._squares if each[2].given.place != place]

    def end(self) -> None:
        """Draw and write what is left."""
        self._draw()
        self._write_complete()

    def _tell(self, share: float) -> None:
        self._done += 100 * share
        self._progress.update(round(self._done))

    def _draw(self) -> None:
        if not self._squares:
            return
        taken, self._squares = self._squares, []
        found = drawn(self._model, [square for square, _, _ in taken], self._way)
        for (_, path, waiting), draws in zip(taken, found, strict=True):
            buffer = io.BytesIO()
            np.save(buffer, fused(draws, self._way))
            write_bytes(path, buffer.getvalue())
            waiting.open -= 1

    def _write_complete(self) -> None:
        while self._waiting and self._waiting[0].read and self._waiting[0].open == 0:
            self._write(self._waiting.popleft())

    def _write(self, waiting: _Waiting) -> None:
        given = waiting.given
        stored = np.zeros((2, *given.stored), np.float32)
        best, most = 0, -1.0
        for number, (places, parts) in enumerate(zip(waiting.places, waiting.parts, strict=True)):
            own = [np.load(path) for path in parts]
            both = list(zip(places, own, strict=True))
            image = given.read(number)
            maps = joined(both, (image.shape[0], image.shape[1]), self._model.preparation)
            for whole, part in zip(stored, resized(maps, given.shape), strict=True):
                given.view(whole, number)[...] = part
            share = float((maps[0] > self._way.threshold).mean())
            best, most = (number, share) if share > most else (best, most)
        found = _prediction(stored, self._way)
        maps_of: Mapping[str, npt.NDArray[Any] | None] = {
            "mask": found.mask,
            "probability": found.probability,
            "entropy": found.entropy,
            "deviation": found.deviation,
        }
        written = [
            inputs.write_map(given, name, values, self._out)
            for name, values in maps_of.items()
            if values is not None
        ]
        image = given.read(best)
        seen = resize_image(np.ascontiguousarray(image), given.shape)
        overlay = self._out / f"{given.place}_overlay.png"
        mask = given.view(found.mask.astype(np.float32), best) > 0
        write_bytes(overlay, _png(outlined(seen, mask)))
        names = [path.relative_to(self._out).as_posix() for path in [*written, overlay]]
        deviation = None if found.deviation is None else float(found.deviation.mean())
        row = dict(zip(COLUMNS, (
            str(given.path), *given.shape, len(given.ids), float(found.mask.mean()),
            None if given.voxel_ml is None else float(found.mask.sum() * given.voxel_ml),
            float(found.entropy.mean()), deviation, names[0],
        ), strict=True))  # fmt: skip
        self.rows[given.place] = row
        record = {"key": waiting.key, "files": names, "row": row}
        write_json(self._record(given.place), record)
        for path in (path for parts in waiting.parts for path in parts):
            path.unlink()
        (self._out / STATE / "parts" / waiting.key).rmdir()

    def _record(self, place: str) -> Path:
        return self._out / STATE / f"{place}.json"


def _in_images(hundredths: float) -> str:
    return f"{hundredths / 100:.4g} images"


def outlined(image: Image, mask: npt.NDArray[np.bool_]) -> Image:
    """The image in colours with the outline of a mask, (H, W, 3)."""
    from skimage.segmentation import find_boundaries

    shown = np.array(np.broadcast_to(image, (*image.shape[:2], 3)))
    shown[find_boundaries(mask, mode="inner")] = (255, 200, 0)
    return shown


def _png(image: Image) -> bytes:
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()
