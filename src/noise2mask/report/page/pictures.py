"""The pictures of the page: cases with their draws, and one mask on its way into the noise.

All are PNG files inside the page. A study whose data may not be shown has no case, and so none.
"""

import base64
import io
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from noise2mask.analysis.oracles.noisy_masks import linear_log_snr
from noise2mask.evaluation.labels import names_in, number
from noise2mask.evaluation.metrics import dice
from noise2mask.report.cases import Case, Walk
from noise2mask.report.context import Report
from noise2mask.report.figures.noising import REACH, compared, noisy, read_mask
from noise2mask.seeds import seed_of

LEVELS = 24
"""Most noise levels of the explorer."""
CONTOUR = (0xD5, 0x5E, 0x00)
READ = ("without_image", "with_image")
"""What networks read of a :class:`Walk`."""

Bytes = NDArray[np.uint8]


def png(picture: Bytes) -> str:
    """A picture, uint8 (H, W) or (H, W, 3), as a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def cases_of_page(report: Report) -> list[dict[str, Any]]:
    """Each case with its image, its reference and what each training drew, as data URIs."""
    return [_case(report, case) for case in report.cases or ()]


def _case(report: Report, case: Case) -> dict[str, Any]:
    labels = report.labels
    trainings = []
    for one in case.predictions:
        found = one.mean >= 128
        trainings.append(
            {
                "title": f"{labels.network(one.network)}, {labels.mode(one.mode)}",
                "number": one.number,
                "dice": number(dice(found, case.mask), 3),
                "mean": png(one.mean),
                # A standard deviation of 0.5 is the largest there is.
                "spread": png(np.minimum(2.0 * one.spread, 255).astype(np.uint8))
                if one.number > 1
                else None,
                "draws": [png(draw) for draw in one.draws] if one.number > 1 else [],
            }
        )
    return {
        "dataset": labels.dataset(case.dataset),
        "case": case.case,
        "image": png(case.image),
        "outlined": png(_outlined(case)),
        "reference": png((255 * case.mask).astype(np.uint8)),
        "trainings": trainings,
    }


def _outlined(case: Case) -> Bytes:
    """The image with the reference's boundary."""
    picture = case.image.copy()
    padded = np.pad(case.mask, 1, mode="edge")
    inside = (
        padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    )  # a neighbour each side
    picture[case.mask & ~inside] = CONTOUR
    return picture


def explorer(report: Report) -> list[dict[str, Any]]:
    """For each dataset with a case and a fingerprint, one mask at every noise level.

    Beside the noisy mask stands what the best Gaussian filter reads of it, chosen with the truth
    known, and, where the two networks of the study's pair were measured on this case, what they
    read. Numbers are those of the study's tables at the nearest level.
    """
    first: dict[str, Case] = {}
    for case in report.cases or ():
        first.setdefault(case.dataset, case)
    walks = {walk.dataset: walk for walk in report.walks}
    measured = set(names_in(report.tables["oracles"], "dataset"))
    return [
        _walked(report, case, walks.get(dataset))
        for dataset, case in first.items()
        if dataset in measured
    ]


def _walked(report: Report, case: Case, walk: Walk | None) -> dict[str, Any]:
    oracle = _of(report.tables["oracles"], dataset=case.dataset, oracle="gaussian")
    if walk is not None:
        levels = [float(level) for level in walk.log_snr]
        times = [int(t) for t in walk.t]
    else:
        known = np.unique(oracle["log_snr"].to_numpy(dtype=np.float64))[::-1]
        chosen = np.unique(np.linspace(0, len(known) - 1, min(LEVELS, len(known))).round())
        levels = [float(known[int(place)]) for place in chosen]
        axis = linear_log_snr()
        times = [int(np.abs(axis - level).argmin()) for level in levels]
    noise = np.random.default_rng(seed_of("page", case.dataset)).standard_normal(case.mask.shape)
    signed = np.where(case.mask, 1.0, -1.0)
    steps = []
    for place, (log_snr, t) in enumerate(zip(levels, times, strict=True)):
        signal = math.sqrt(1 / (1 + math.exp(-log_snr)))
        if walk is not None:
            x_t = walk.x_t[place].astype(np.float64)
            y = (x_t / signal).astype(np.float32)
        else:
            y = noisy(signed, noise, log_snr)
            x_t = signal * y.astype(np.float64)
        read = read_mask(case.mask, y)
        steps.append(
            {
                "log_snr": round(log_snr, 3),
                "t": t,
                "x_t": png(_grey(x_t)),
                "oracle": png(compared(read.picture.astype(np.bool_), case.mask)),
                **({name: png(getattr(walk, name)[place]) for name in READ} if walk else {}),
                "numbers": list(_numbers(report, case.dataset, log_snr, read.score)),
            }
        )
    return {
        "dataset": case.dataset,
        "title": report.labels.dataset(case.dataset),
        "case": case.case,
        "image": png(case.image),
        "reference": png((255 * case.mask).astype(np.uint8)),
        "networks": walk is not None,
        "steps": steps,
    }


def _numbers(
    report: Report, dataset: str, log_snr: float, score: float
) -> Iterator[tuple[str, str]]:
    """What the tables say of this level, a name and a value each."""
    tables, labels = report.tables, report.labels
    yield "Dice of the filter on this mask", number(score, 3)
    oracle = _at(_of(tables["oracles"], dataset=dataset, oracle="gaussian"), log_snr)
    if oracle is not None:
        yield "Dice of the filter, mean over masks", number(float(oracle["dice"]), 3)
    pair = report.study.analysis.pair
    for mode in (pair.without_image, pair.with_image) if pair else ():
        rows = _of(tables["losses"], dataset=dataset, mode=mode, target="x_0")
        found = _at(rows, log_snr)
        if found is not None:
            yield f"Loss of x₀, {labels.mode(mode)}", f"{float(found['loss']):.3g}"
    density = _at(_of(tables["integrand"], dataset=dataset, estimate="covariance"), log_snr)
    if density is not None:
        yield "Bits of the image per unit of log SNR", number(float(density["density"]), 2)


def _of(table: pd.DataFrame, **values: str) -> pd.DataFrame:
    """The rows of a table with these values."""
    return table[(table[list(values)] == list(values.values())).all(axis=1)]


def _at(rows: pd.DataFrame, log_snr: float) -> Mapping[Any, Any] | None:
    """The row at the level next to this one, None if none is within one unit."""
    rows = rows.dropna(subset=["log_snr"])
    if rows.empty:
        return None
    gaps = (rows["log_snr"].astype(float) - log_snr).abs().to_numpy()
    place = int(gaps.argmin())
    return rows.iloc[place].to_dict() if gaps[place] <= 1 else None


def _grey(x_t: NDArray[np.floating]) -> Bytes:
    """Values within +-REACH as grey."""
    return np.asarray(np.clip((x_t / REACH + 1) * 127.5, 0, 255), dtype=np.uint8)
