"""The loss of denoisers for each case and timestep, on noise that is the same for all of them.

The noise of a case at a timestep is a function of (seed, case, timestep, repeat) alone. A denoiser
sees full blocks of `rows` rows, as in sampling: the last bits of a convolution depend on the size
of a batch. On nothing else that a measurement may be cut into does a result depend.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noise2mask.analysis.oracles.noisy_masks import Levels, levels_of
from noise2mask.diffusion.process import Denoise, Process, denoiser
from noise2mask.diffusion.schedule import Schedule
from noise2mask.diffusion.targets import (
    Coding,
    clip_range,
    encode_mask,
    noised,
)
from noise2mask.networks.base import Network
from noise2mask.progress import Progress
from noise2mask.seeds import seed_of

Floats = NDArray[np.float64]
Predict = Callable[[Tensor, Tensor | None, Tensor], Tensor]
Denoising = Callable[[Tensor | None], Denoise]
"""From the images of some rows (or None) to the denoiser of these rows."""


class Rows(Protocol):
    """Tensors by number: a tensor, a list, or what reads them when asked."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int, /) -> Tensor:
        """One of them."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Where losses are measured: cases, timesteps and noise.

    Args:
        ids: name of each case, what its noise depends on.
        masks: for each case (1, H, W) of 0 and 1.
        images: for each case (C, H, W), standardised; None for denoisers that see none.
        timesteps: strictly ascending.
        schedule: of the process, input scale included.
        coding: levels of x_0.
        seed: of the noise.
        repeats: draws of noise for each case and timestep, over which losses are averaged.
        rows: that a denoiser sees at a time.
        device: where it computes.
        two_levels: x_0 has the two levels of its coding, so an estimate beyond them is not the
            best that the denoiser can say. False where x_0 is an image.

    Raises:
        ValueError: numbers of cases differ, timesteps are not ascending or not in the schedule,
            `repeats` or `rows` is below 1.
    """

    ids: Sequence[str]
    masks: Rows
    images: Rows | None
    timesteps: Sequence[int]
    schedule: Schedule
    coding: Coding
    seed: int
    repeats: int = 1
    rows: int = 8
    device: torch.device | str = "cpu"
    two_levels: bool = True

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        numbers = {len(each) for each in (self.ids, self.masks, self.images) if each is not None}
        if len(numbers) > 1 or 0 in numbers:
            raise ValueError(f"ids, masks and images need one number of cases, got {numbers}")
        self.schedule.respaced(self.timesteps)  # refuses timesteps
        if self.repeats < 1 or self.rows < 1:
            raise ValueError(
                f"repeats and rows must be at least 1, got {self.repeats} and {self.rows}"
            )

    @property
    def gap(self) -> float:
        """Difference of the levels of x_0."""
        low, high = clip_range(self.coding)
        return high - low

    @property
    def levels(self) -> Levels:
        """Timesteps and their log SNR, that for a mask of levels -1 and +1."""
        return levels_of(self.schedule.log_snr.numpy(), self.timesteps, gap=self.gap)


@dataclass(frozen=True, eq=False)
class Measurement:
    """Squared errors of one denoiser on a grid.

    Attributes:
        levels: timesteps and log SNR.
        x_0: (cases, levels), squared error of x_0 in units of its coding, summed over pixels and
            averaged over repeats, as the denoiser gives it.
        clipped: the same of the estimate clipped to the levels of x_0: never larger, and what
            :mod:`noise2mask.analysis.information.information` takes.
        gap: difference of the levels of x_0.
        pixels: of a mask.
    """

    levels: Levels
    x_0: Floats
    clipped: Floats
    gap: float
    pixels: int


class Pair(NamedTuple):
    """Two denoisers on the same noisy masks, what ``information.image_information`` takes.

    `distances` (cases, levels) are squared distances of the two clipped estimates of x_0, in units
    and reduced as in :class:`Measurement`.
    """

    without_image: Measurement
    with_image: Measurement
    distances: Floats


def of_network(network: Network, process: Process) -> Denoising:
    """The denoiser that samplers use; an image is encoded once for all timesteps.

    Args:
        network: in evaluation mode, on the grid's device.
        process: of its run; that it clips in sampling does not matter here.
    """

    def denoising(image: Tensor | None) -> Denoise:
        if image is None:
            raise ValueError("a network needs images, and the grid has none")
        shown = process.shown(image)
        return denoiser(network, shown, network.encode(shown), replace(process, clip=False))

    return denoising


def measure(denoising: Denoising, grid: Grid, label: str = "measuring") -> Measurement:
    """Errors of one denoiser for each case and timestep.

    `label` stands in the lines of progress.
    """

    def reduce(x_0: Tensor, found: list[Tensor]) -> list[Tensor]:
        return _errors(grid, x_0, found[0])

    return _measurement(grid, *_measured(grid, [denoising], reduce, label))


def measure_pair(
    without_image: Denoising, with_image: Denoising, grid: Grid, label: str = "measuring"
) -> Pair:
    """Errors of two denoisers and the distance of their estimates.

    The first makes nothing of the grid's images.
    """

    def reduce(x_0: Tensor, found: list[Tensor]) -> list[Tensor]:
        blind, seeing = found
        apart = _squared(_clipped(grid, seeing) - _clipped(grid, blind))
        return [*_errors(grid, x_0, blind), *_errors(grid, x_0, seeing), apart]

    errors = _measured(grid, [without_image, with_image], reduce, label)
    return Pair(_measurement(grid, *errors[:2]), _measurement(grid, *errors[2:4]), errors[4])


class Pictures(NamedTuple):
    """One case at every level: noisy, and read by two denoisers.

    Attributes:
        x_t: (levels, H, W).
        without_image: (levels, H, W), the estimate of the mask, 0 to 1.
        with_image: the same of the denoiser that sees the image.
    """

    x_t: Floats
    without_image: Floats
    with_image: Floats


@torch.inference_mode()
def picture_pair(without_image: Denoising, with_image: Denoising, grid: Grid) -> Pictures:
    """What two denoisers make of the first case on the noise that they are measured on."""
    units = [(0, 0)] * grid.rows  # a full block, as in measuring
    x_0, image = _cases(grid, [0] * grid.rows)
    denoises = [denoising(image) for denoising in (without_image, with_image)]
    low, high = clip_range(grid.coding)
    found: list[list[Floats]] = [[], [], []]
    for t in grid.timesteps:
        x_t, when = _noised(grid, x_0, units, t)
        estimates = [(_clipped(grid, one(x_t, when).x_0) - low) / (high - low) for one in denoises]
        for pictures, picture in zip(found, (x_t, *estimates), strict=True):
            pictures.append(picture[0, 0].cpu().double().numpy())
    return Pictures(*(np.stack(pictures) for pictures in found))


@torch.inference_mode()
def _measured(
    grid: Grid,
    denoisings: Sequence[Denoising],
    reduce: Callable[[Tensor, list[Tensor]], list[Tensor]],
    label: str,
) -> Floats:
    """What `reduce` makes of x_0 and its estimates, (quantities, cases, levels)."""
    progress = Progress(label, len(grid.ids) * grid.repeats)
    parts = []
    for units in _blocks(grid):
        x_0, image = _cases(grid, [case for case, _ in units])
        denoises = [denoising(image) for denoising in denoisings]
        rows = []
        for t in grid.timesteps:
            x_t, when = _noised(grid, x_0, units, t)
            rows.append(reduce(x_0, [denoise(x_t, when).x_0 for denoise in denoises]))
        # (rows, quantities, levels), less those that only fill the last block
        block = torch.stack([torch.stack(row) for row in rows]).permute(2, 1, 0).cpu().double()
        parts.append(block.numpy())
        progress.update(min(len(parts) * grid.rows, len(grid.ids) * grid.repeats))
    found = np.concatenate(parts)[: len(grid.ids) * grid.repeats]
    split = found.reshape(len(grid.ids), grid.repeats, *found.shape[1:])
    return np.moveaxis(split.mean(axis=1), 1, 0)


def _blocks(grid: Grid) -> Iterator[list[tuple[int, int]]]:
    """Full blocks of (case, repeat); the last one is filled up with its own last row."""
    units = [(case, repeat) for case in range(len(grid.ids)) for repeat in range(grid.repeats)]
    for first in range(0, len(units), grid.rows):
        block = units[first : first + grid.rows]
        yield block + [block[-1]] * (grid.rows - len(block))


def _cases(grid: Grid, chosen: Sequence[int]) -> tuple[Tensor, Tensor | None]:
    """The x_0 and images of some cases."""
    mask = torch.stack([grid.masks[case] for case in chosen]).to(grid.device, torch.float32)
    x_0 = encode_mask(mask, grid.coding)
    if grid.images is None:
        return x_0, None
    return x_0, torch.stack([grid.images[case] for case in chosen]).to(grid.device)


def _noised(
    grid: Grid, x_0: Tensor, units: Sequence[tuple[int, int]], t: int
) -> tuple[Tensor, Tensor]:
    """The x_t of a block at one timestep, and t for each of its rows."""
    eps = torch.empty(x_0.shape)
    for row, (case, repeat) in zip(eps, units, strict=True):
        stream = torch.Generator().manual_seed(
            seed_of("measurement", grid.seed, grid.ids[case], t, repeat)
        )
        torch.randn(row.shape, generator=stream, out=row)
    when = torch.full((len(units),), t, dtype=torch.int64, device=grid.device)
    return noised(x_0, eps.to(grid.device), *grid.schedule.amplitudes(when, x_0)), when


def _squared(difference: Tensor) -> Tensor:
    return difference.square().flatten(1).sum(1)


def _errors(grid: Grid, x_0: Tensor, estimate: Tensor) -> list[Tensor]:
    """Squared errors of an estimate as it is, and clipped."""
    return [_squared(estimate - x_0), _squared(_clipped(grid, estimate) - x_0)]


def _clipped(grid: Grid, estimate: Tensor) -> Tensor:
    return estimate.clamp(*clip_range(grid.coding)) if grid.two_levels else estimate


def _measurement(grid: Grid, errors: Floats, clipped: Floats) -> Measurement:
    return Measurement(grid.levels, errors, clipped, grid.gap, grid.masks[0].numel())
