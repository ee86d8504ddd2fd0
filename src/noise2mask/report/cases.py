"""Test cases that a report may show: images, reference masks, and what the trainings drew.

They lie beside the tables of a report in ``cases.npz``, so that figures and page are made of the
report's folder alone. A study whose data may not be shown has no such file.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from noise2mask.data.prepared import Split, open_split
from noise2mask.data.source import LEFT_OUT, foreground_of
from noise2mask.errors import UserError
from noise2mask.files import checked, write_bytes
from noise2mask.sampling.draws import Draws, open_draws
from noise2mask.study.paths import PICTURES, Paths
from noise2mask.study.plan import measured_modes, seeds_of
from noise2mask.study.schema import Study, Training

FILE = "cases.npz"
KEPT = 8
"""Single draws that are kept of each prediction."""
_DAMAGE = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile)

Bytes = NDArray[np.uint8]
"""Probabilities as 0 to 255."""


class Prediction(NamedTuple):
    """What one training says of a case.

    Attributes:
        network: its name.
        mode: its name.
        sampler: name of the sampler.
        mean: (H, W), mean of all draws.
        spread: (H, W), their standard deviation; 0 for a single draw.
        draws: (at most :data:`KEPT`, H, W), the first of them.
        number: N, of all.
    """

    network: str
    mode: str
    sampler: str
    mean: Bytes
    spread: Bytes
    draws: Bytes
    number: int


@dataclass(frozen=True, eq=False)
class Case:
    """One test case.

    Attributes:
        dataset: name of its dataset.
        case: name of the case.
        image: (H, W, 3).
        mask: the reference, bool (H, W).
        predictions: of each training that is shown.
    """

    dataset: str
    case: str
    image: Bytes
    mask: NDArray[np.bool_]
    predictions: tuple[Prediction, ...]


class Walk(NamedTuple):
    """One case on its way into the noise, as the networks of ``analysis.pair`` read it.

    Attributes:
        dataset: name of its dataset.
        case: name of the case.
        t: (levels,), ascending.
        log_snr: (levels,).
        x_t: float16 (levels, H, W), for a mask of levels -1 and +1.
        without_image: (levels, H, W).
        with_image: (levels, H, W).
    """

    dataset: str
    case: str
    t: NDArray[np.integer]
    log_snr: NDArray[np.floating]
    x_t: NDArray[np.float16]
    without_image: Bytes
    with_image: Bytes


def walks_of(study: Study, paths: Paths) -> list[Walk]:
    """The walk of each dataset whose first network was measured; none if nothing may be shown."""
    found: dict[str, Walk] = {}
    for place in measured_modes(study) if study.pictures.examples else ():
        path = paths.measured(place).with_name(PICTURES)
        if place.dataset in found or not path.exists():
            continue
        try:
            with np.load(checked(path), allow_pickle=False) as file:
                # Of masks in 0 and 1 the picture would be another.
                if len(file["t"]) and float(file["gap"]) == 2:
                    arrays = {name: file[name] for name in Walk._fields[2:]}
                    found[place.dataset] = Walk(place.dataset, str(file["case"]), **arrays)
        except _DAMAGE as error:
            raise UserError(
                f"{path} is damaged ({error}); delete its folder and run the study again."
            ) from None
    return list(found.values())


def cases_of(study: Study, paths: Paths) -> list[Case]:
    """The first test cases of each dataset, as the study's first network sees them."""
    found = []
    for dataset in study.datasets if study.pictures.examples else ():
        data = paths.prepared(dataset)
        if not (data / "manifest.json").exists():
            continue
        split = open_split(data, "test", purpose="evaluation", left_out=True)
        drawn = list(_drawn(study, paths, dataset, split))
        for row in _first_of_each_image(split)[: study.pictures.examples] if drawn else ():
            predictions = tuple(
                _prediction(network, mode, sampler, draws[row] * (split.masks[row] != LEFT_OUT))
                for network, mode, sampler, draws in drawn
            )
            image = np.broadcast_to(split.images[row], (*split.images.shape[1:3], 3))
            mask = foreground_of(split.masks[row])
            found.append(Case(dataset, split.ids[row], image, mask, predictions))
    return found


def _first_of_each_image(split: Split) -> list[int]:
    """Rows of the split, one for each raw image: tiles of one image show much the same."""
    image_of = {case.id: case.image for case in split.manifest.cases}
    first: dict[str, int] = {}
    for row, case in enumerate(split.ids):
        first.setdefault(image_of[case], row)
    return list(first.values())


def _drawn(
    study: Study, paths: Paths, dataset: str, split: Split
) -> Iterator[tuple[str, str, str, Draws]]:
    """Network, mode, sampler and draws of each mode, by the study's first network."""
    network = next(iter(study.networks), None)
    for mode, entry in study.modes.items():
        if network is None or not entry.samplers:  # baselines alone, or measured and not scored
            continue
        training = Training(dataset, network, mode, seeds_of(study, mode)[0])
        sampler = entry.samplers[0]
        path = paths.draws(training, sampler)
        if path.exists():
            yield network, mode, sampler, open_draws(path, split)


def _prediction(network: str, mode: str, sampler: str, draws: Draws) -> Prediction:
    mean, spread = draws.mean(axis=0), draws.std(axis=0)
    kept = draws[:KEPT]
    return Prediction(
        network, mode, sampler, _bytes(mean), _bytes(spread), _bytes(kept), len(draws)
    )


def _bytes(probabilities: NDArray[np.floating]) -> Bytes:
    return np.asarray(np.rint(255 * probabilities), dtype=np.uint8)


def save_cases(cases: Sequence[Case], folder: Path, walks: Sequence[Walk] = ()) -> None:
    """Write ``cases.npz``; without a case there is none, and an earlier one goes."""
    if not cases:
        (folder / FILE).unlink(missing_ok=True)
        return
    arrays: dict[str, NDArray[Any]] = {}
    index = []
    for number, case in enumerate(cases):
        arrays |= {f"{number}.image": case.image, f"{number}.mask": case.mask}
        said = []
        for place, one in enumerate(case.predictions):
            start = f"{number}.{place}"
            arrays |= {f"{start}.mean": one.mean, f"{start}.spread": one.spread}
            arrays[f"{start}.draws"] = one.draws
            said.append([one.network, one.mode, one.sampler, one.number])
        index.append({"dataset": case.dataset, "case": case.case, "predictions": said})
    for walk in walks:
        arrays |= {
            f"walk.{walk.dataset}.{name}": np.asarray(getattr(walk, name))
            for name in Walk._fields[1:]
        }
    said_walks = [walk.dataset for walk in walks]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, allow_pickle=False, index=np.array(json.dumps(index)),
        walks=np.array(json.dumps(said_walks)), **arrays,
    )  # fmt: skip
    write_bytes(folder / FILE, buffer.getvalue())


def read_cases(folder: Path) -> tuple[list[Case], list[Walk]]:
    """The cases and walks of a report, none if its data may not be shown.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return [], []
    try:
        with np.load(path, allow_pickle=False) as file:
            index = json.loads(str(file["index"]))
            cases = [_read(file, number, said) for number, said in enumerate(index)]
            walks = [_read_walk(file, dataset) for dataset in json.loads(str(file["walks"]))]
            return cases, walks
    except _DAMAGE as error:
        raise UserError(f"{path} is damaged ({error}); make the report again.") from None


def _read_walk(file: Mapping[str, NDArray[Any]], dataset: str) -> Walk:
    arrays = {name: file[f"walk.{dataset}.{name}"] for name in Walk._fields[2:]}
    return Walk(dataset, str(file[f"walk.{dataset}.case"]), **arrays)


def _read(file: Mapping[str, NDArray[Any]], number: int, said: Mapping[str, Any]) -> Case:
    predictions = []
    for place, (network, mode, sampler, draws) in enumerate(said["predictions"]):
        mean, spread, kept = (
            file[f"{number}.{place}.{part}"] for part in ("mean", "spread", "draws")
        )
        predictions.append(Prediction(network, mode, sampler, mean, spread, kept, draws))
    image, mask = file[f"{number}.image"], file[f"{number}.mask"]
    return Case(said["dataset"], said["case"], image, mask, tuple(predictions))
