"""Drawing masks for the test cases of one training with one sampler.

A draw is a function of the run, the sampler, the case and the draw's number alone. Its noise comes
from a generator of its own, and the network always sees blocks of the same number of rows: the
last bits of a convolution depend on the batch size, so a block is filled up rather than cut.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from noise2mask import plugins
from noise2mask.data.prepared import Split, open_split
from noise2mask.diffusion.process import Process, denoiser
from noise2mask.diffusion.respacing import respace
from noise2mask.diffusion.targets import Denoised, decode_mask
from noise2mask.errors import UserError
from noise2mask.files import write_bytes
from noise2mask.networks.base import Network
from noise2mask.progress import Progress
from noise2mask.sampling.draws import Draws, save_draws
from noise2mask.sampling.tta import unview, view
from noise2mask.seeds import seed_of
from noise2mask.study.code_hash import hash_code, sampling_entries
from noise2mask.study.schema import RunSettings, Sampler, digest
from noise2mask.training.augment import standardise
from noise2mask.training.run import Run, load_run, process_of

BLOCK = {"cpu": 8, "cuda": 64}
"""Rows that the network sees at a time, a constant of each kind of device."""


@dataclass(frozen=True)
class Trained:
    """A network ready to denoise, with what it was trained on."""

    run: Run
    network: Network
    process: Process
    device: torch.device


def load_trained(folder: Path, device: torch.device) -> Trained:
    """The finished run in `folder` on a device."""
    run, network = load_run(folder)
    return Trained(run, network.to(device), process_of(run.settings), device)


@torch.inference_mode()
def sample(
    folder: Path,
    data: Path,
    sampler: Sampler,
    work: Path,
    out: Path,
    threads: int,
    batch: int,
    device: torch.device,
    cases: Literal["val", "test"] = "test",
) -> None:
    """Draw masks for every test case and save them losslessly.

    Args:
        folder: of the finished run.
        data: folder of the prepared dataset.
        sampler: how to draw.
        work: folder for finished cases while the sampling lasts, removed at its end.
        out: the ``draws.npz``, see :mod:`noise2mask.sampling.draws`.
        threads: of torch.
        batch: rows advanced together.
        device: where to compute.
        cases: the split; val where a reading is fitted on its draws.
    """
    torch.set_num_threads(threads)
    trained = load_trained(folder, device)
    if trained.process.use.subject != "mask":
        raise UserError(
            f"the mode of {trained.run.settings.title()} draws images and no masks, so there is "
            "nothing to score: give it no samplers."
        )
    split = open_split(data, cases, purpose="evaluation", left_out=True)
    check_same_data(trained.run, split)
    code = hash_code(*sampling_entries(trained.run.settings, sampler))
    parts = work / digest([trained.run.identity(), sampler.model_dump(mode="json"), code])
    at_once = max(1, batch // sampler.draws)
    progress = Progress(f"sampling {trained.run.settings.title()}", len(split.ids))
    for first in range(0, len(split.ids), at_once):
        rows = [
            row
            for row in range(first, min(first + at_once, len(split.ids)))
            if _kept(parts, row) is None
        ]
        for row, drawn in zip(rows, draw(trained, split, rows, sampler), strict=True):
            _keep(parts, row, drawn)
        progress.update(min(first + at_once, len(split.ids)))
    draws = [_kept(parts, row) for row in range(len(split.ids))]
    save_draws(out, np.stack([drawn for drawn in draws if drawn is not None]), split.ids)
    for path in parts.iterdir():
        path.unlink()
    parts.rmdir()


def draw(trained: Trained, split: Split, rows: Sequence[int], sampler: Sampler) -> list[Draws]:
    """Masks of some cases, each (draws, H, W) in [0, 1].

    Args:
        trained: the network and its run.
        split: where the cases are.
        rows: their rows in `split`.
        sampler: how to draw.
    """
    if not rows:
        return []
    images = [
        view(_image(trained, split, row), number) for row in rows for number in range(sampler.views)
    ]
    features = [trained.network.encode(image) for image in images]
    views = [number % sampler.views for _ in rows for number in range(sampler.draws)]
    first = [index * sampler.views for index in range(len(rows)) for _ in range(sampler.draws)]
    owner = [start + number for start, number in zip(first, views, strict=True)]
    generators = [
        torch.Generator().manual_seed(
            seed_of(trained.run.settings.seed, "draw", split.ids[row], number)
        )
        for row in rows
        for number in range(sampler.draws)
    ]
    side = split.manifest.resolution
    x_t = torch.stack([torch.randn(1, side, side, generator=stream) for stream in generators])
    denoise = _in_blocks(trained, images, features, owner, sampler)
    schedule = trained.process.schedule
    timesteps = visited(schedule.timesteps, sampler)
    run_sampler = plugins.member("sampler", sampler.sampler)
    x_0 = run_sampler(
        denoise,
        x_t.to(trained.device),
        schedule,
        timesteps,
        generator=generators,
        **_options(sampler, trained.run.settings),
    )
    upright = torch.stack([unview(mask, number) for mask, number in zip(x_0, views, strict=True)])
    masks = decode_mask(upright, trained.process.coding).float().cpu().numpy()
    return list(masks.reshape(len(rows), sampler.draws, side, side))


def visited(timesteps: int, sampler: Sampler) -> list[int]:
    """The timesteps that a sampler visits, ascending.

    With ``start`` the process ends there: pure noise is put in at that timestep, as if nothing of
    the mask were left (the higher its SNR, the worse the lie, and the finer the steps below).

    Args:
        timesteps: T.
        sampler: its steps and start.

    Raises:
        UserError: it cannot have that many steps, or starts beyond the schedule.
    """
    length = timesteps if sampler.start is None else sampler.start + 1
    if length > timesteps:
        raise UserError(
            f"sampling cannot start at timestep {sampler.start}: the schedule has timesteps 0 to "
            f"{timesteps - 1}."
        )
    return respace(length, sampler.steps)


def _options(sampler: Sampler, settings: RunSettings) -> dict[str, Any]:
    """The options of a sampler; a variance that the study leaves out is that of the training."""
    known = plugins.options("sampler", sampler.sampler).model_fields
    own = {"variance": settings.diffusion.variance} if "variance" in known else {}
    return own | sampler.options


def _in_blocks(
    trained: Trained,
    images: Sequence[Tensor],
    features: Sequence[tuple[Tensor, ...]],
    owner: Sequence[int],
    sampler: Sampler,
) -> Callable[[Tensor, Tensor], Denoised]:
    """A denoiser of any number of rows that shows the network full blocks only.

    Args:
        trained: the network and its run.
        images: one (1, C, H, W) for each view of a case.
        features: image features of each.
        owner: image of each row.
        sampler: says which head is read.
    """
    size = BLOCK[trained.device.type]
    blocks = []
    for first in range(0, len(owner), size):
        cases = list(owner[first : first + size])
        cases += [cases[-1]] * (size - len(cases))
        image = torch.cat([images[case] for case in cases])
        known = tuple(torch.cat(each) for each in zip(*(features[c] for c in cases), strict=True))
        blocks.append(denoiser(trained.network, image, known, trained.process, sampler.head))

    def denoise(x_t: Tensor, t: Tensor) -> Denoised:
        parts = []
        for block, x, when in zip(
            blocks, torch.split(x_t, size), torch.split(t, size), strict=True
        ):
            missing = size - len(x)
            full = torch.cat([x, x[-1:].expand(missing, -1, -1, -1)])
            parts.append(block(full, torch.cat([when, when[-1:].expand(missing)])))
        fractions = [part.variance_fraction for part in parts if part.variance_fraction is not None]
        return Denoised(
            torch.cat([part.x_0 for part in parts])[: len(x_t)],
            torch.cat(fractions)[: len(x_t)] if fractions else None,
        )

    return denoise


def check_same_data(run: Run, split: Split) -> None:
    """Refuse cases that were prepared otherwise than those a run was trained on.

    Raises:
        UserError: channels, resolution or normalisation differ.
    """
    then = (run.data["channels"], run.settings.resolution, run.data["mean"], run.data["std"])
    manifest = split.manifest
    now = (manifest.channels, manifest.resolution, list(manifest.mean), list(manifest.std))
    for what, before, after in zip(
        ("channels", "resolution", "mean", "standard deviation"), then, now, strict=True
    ):
        if before != after:
            raise UserError(
                f"the run was trained on {run.data['name']} with {what} {before}, but the prepared "
                f"cases have {after}: run this training again."
            )


def _image(trained: Trained, split: Split, row: int) -> Tensor:
    """One standardised image as the network is shown it, (1, C, H, W)."""
    image = torch.from_numpy(split.images[row].astype(np.float32) / 255).permute(2, 0, 1)[None]
    data = trained.run.data
    standardised = standardise(image, data["mean"], data["std"]).to(trained.device)
    return trained.process.shown(standardised)


def _keep(parts: Path, row: int, drawn: Draws) -> None:
    """Keep the draws of a case until all are drawn; the format has a checksum of its own."""
    buffer = io.BytesIO()
    np.savez(buffer, draws=drawn)
    write_bytes(parts / f"{row}.npz", buffer.getvalue())


def _kept(parts: Path, row: int) -> Draws | None:
    """The draws of a case that were kept, None if there are none or they were damaged."""
    try:
        with np.load(parts / f"{row}.npz", allow_pickle=False) as file:
            draws: Draws = file["draws"]
            return draws
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
