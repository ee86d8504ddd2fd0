"""The loss of trained networks along the noise axis, case by case, on one noise for all modes.

One table for each network, dataset and seed: a row for every split, mode, case and level. The noise
of a case at a timestep is the same for every mode and network, so differences are paired.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from noise2mask.analysis.information.measurement import (
    Grid,
    Measurement,
    measure,
    measure_pair,
    of_network,
    picture_pair,
)
from noise2mask.analysis.oracles.noisy_masks import spaced_levels
from noise2mask.data.prepared import Split, open_split
from noise2mask.diffusion.targets import clip_range
from noise2mask.errors import UserError
from noise2mask.evaluation.tables import save_table
from noise2mask.files import write_bytes
from noise2mask.sampling.sample import BLOCK, Trained, check_same_data, load_trained
from noise2mask.study.paths import PICTURES
from noise2mask.study.schema import Analysis
from noise2mask.training.augment import standardise

COLUMNS = (
    "split", "mode", "case", "t", "log_snr", "gap", "pixels", "error", "clipped", "apart",
)  # fmt: skip
HIGHEST, LOWEST = 10.0, -13.0
"""Log SNR between which levels lie, as far as a schedule reaches."""


class Rows(NamedTuple):
    """Tensors by number, made when asked."""

    split: Split
    mean: Sequence[float]
    std: Sequence[float]
    what: str

    def __len__(self) -> int:
        """How many cases there are."""
        return len(self.split.ids)

    def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]
        """One standardised image (C, H, W); or the mask, or what stands for it, (1, H, W)."""
        if self.what == "mask":
            return torch.from_numpy(self.split.masks[index].astype(np.float32))[None]
        pixels = torch.from_numpy(self.split.images[index].astype(np.float32) / 255)
        image = standardise(pixels.permute(2, 0, 1)[None], self.mean, self.std)[0]
        if self.what == "image":
            return image
        # A grid codes 0 as -1 and 1 as +1, so that this becomes the grey image itself.
        return (image.mean(0, keepdim=True) + 1) / 2


def measure_modes(
    folders: Mapping[str, Path],
    data: Path,
    analysis: Analysis,
    out: Path,
    threads: int,
    device: torch.device,
) -> None:
    """Measure the modes of one network on one dataset and write the table, and some pictures.

    Columns: `error` is the squared error of x_0 in units of its coding, summed over pixels, and
    `clipped` that of the estimate clipped to its levels; `apart`, for the mode with image of
    ``analysis.pair``, is the squared distance of its clipped estimate to that without image. `gap`
    is the difference of the levels of x_0, `log_snr` that for levels -1 and +1. `folders` are those
    of the finished run of each mode, `data` that of the prepared dataset.

    Raises:
        UserError: a run is missing or was trained on other data, or the pair differs in its
            schedule or coding.
    """
    torch.set_num_threads(threads)
    trained = {mode: load_trained(folder, device) for mode, folder in folders.items()}
    parts = []
    for name in analysis.splits:
        split = open_split(data, name, purpose="evaluation")
        for run in trained.values():
            check_same_data(run.run, split)
        parts += [table.assign(split=name) for table in _measured(trained, split, analysis)]
    table = pd.concat(parts, ignore_index=True)[list(COLUMNS)]
    save_table(table, out, record=True)
    _save_pictures(out.with_name(PICTURES), trained, open_split(data, "test", purpose="evaluation"),
                   analysis)  # fmt: skip


def _save_pictures(
    path: Path, trained: Mapping[str, Trained], split: Split, analysis: Analysis
) -> None:
    """The first test case at every level, as both networks of the pair read it; else no level."""
    pair = analysis.pair
    arrays: dict[str, NDArray[Any]] = {"t": np.zeros(0, np.int64)}
    if pair and {pair.with_image, pair.without_image} <= trained.keys():
        with_image, without_image = trained[pair.with_image], trained[pair.without_image]
        grid = _grid(with_image, split, analysis)
        found = picture_pair(_denoising(without_image), _denoising(with_image), grid)
        arrays = {"t": grid.levels.t, "log_snr": grid.levels.log_snr, "gap": np.array(grid.gap)}
        arrays["x_t"] = found.x_t.astype(np.float16)
        for name in ("without_image", "with_image"):
            arrays[name] = np.rint(255 * getattr(found, name)).astype(np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, case=np.array(split.ids[0]), **arrays)
    write_bytes(path, buffer.getvalue(), record=True)


def _measured(
    trained: Mapping[str, Trained], split: Split, analysis: Analysis
) -> list[pd.DataFrame]:
    """The rows of each mode."""
    alone, tables = dict(trained), {}
    pair = analysis.pair
    if pair and {pair.with_image, pair.without_image} <= trained.keys():
        with_, without = alone.pop(pair.with_image), alone.pop(pair.without_image)
        _check_pair(with_, without)
        grid = _grid(with_, split, analysis)
        found = measure_pair(_denoising(without), _denoising(with_), grid, _label(with_))
        tables[pair.without_image] = _table(found.without_image, grid)
        tables[pair.with_image] = _table(found.with_image, grid, found.distances)
    for mode, run in alone.items():
        grid = _grid(run, split, analysis)
        tables[mode] = _table(measure(_denoising(run), grid, _label(run)), grid)
    return [tables[mode].assign(mode=mode) for mode in trained]


def _denoising(trained: Trained):  # type: ignore[no-untyped-def]
    return of_network(trained.network, trained.process)


def _label(trained: Trained) -> str:
    return f"measuring {trained.run.settings.title()}"


def _check_pair(with_image: Trained, without_image: Trained) -> None:
    one, other = with_image.process, without_image.process
    same = torch.equal(one.schedule.alphas_cumprod, other.schedule.alphas_cumprod)
    if not same or one.coding != other.coding:
        raise UserError(
            f"{with_image.run.settings.title()} and {without_image.run.settings.title()} have "
            "different noise schedules or mask codings, so they do not see the same noisy masks: "
            "give both modes of analysis.pair one schedule, input scale and coding."
        )


def _grid(trained: Trained, split: Split, analysis: Analysis) -> Grid:
    """Cases, levels and noise of one mode."""
    process, data = trained.process, trained.run.data
    of_masks = process.use.subject == "mask"
    coding = process.coding if of_masks else "signed"
    low, high = clip_range(coding)
    levels = spaced_levels(
        process.schedule.log_snr.numpy(),
        gap=high - low,
        highest=HIGHEST,
        lowest=LOWEST,
        spacing=analysis.spacing,
    )
    return Grid(
        ids=split.ids,
        masks=Rows(split, data["mean"], data["std"], "mask" if of_masks else "grey"),
        images=Rows(split, data["mean"], data["std"], "image"),
        timesteps=levels.t.tolist(),
        schedule=process.schedule,
        coding=coding,
        seed=0,
        repeats=analysis.repeats,
        rows=BLOCK[trained.device.type],
        device=trained.device,
        two_levels=of_masks,
    )


def _table(found: Measurement, grid: Grid, apart: np.ndarray | None = None) -> pd.DataFrame:
    """A row for each case and level."""
    cases, levels = found.x_0.shape
    return pd.DataFrame(
        {
            "case": np.repeat(np.asarray(grid.ids), levels),
            "t": np.tile(found.levels.t, cases),
            "log_snr": np.tile(found.levels.log_snr, cases),
            "gap": found.gap,
            "pixels": found.pixels,
            "error": found.x_0.ravel(),
            "clipped": found.clipped.ravel(),
            "apart": np.nan if apart is None else apart.ravel(),
        }
    )
