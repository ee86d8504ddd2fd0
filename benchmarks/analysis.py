"""Does the analysis find what is known? Reference values, closed forms, trained networks.

    python benchmarks/analysis.py [--masks <folder>] [--steps 1500]

Three tables. The image-free oracles on tiles of MoNuSeg beside reference values that were computed
on other tiles (only with --masks: PNG masks of 512 pixels, named train_* and test_*). The image's
information from exact denoisers beside its closed form. The same from small networks trained with
the modes `posterior` and `posterior_free` on data whose information is known.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from helpers.exact_tasks import (
    BinaryChannel,
    GaussianField,
    NoisyPixels,
    Task,
    Templates,
    exact_errors,
)
from PIL import Image

from noise2mask.analysis.information.information import Estimates, image_information
from noise2mask.analysis.information.measurement import Grid, measure_pair, of_network
from noise2mask.analysis.oracles.filters import gaussian
from noise2mask.analysis.oracles.noisy_masks import levels_of, linear_log_snr, spaced_levels
from noise2mask.analysis.oracles.oracles import case_curves, mean_curve
from noise2mask.analysis.oracles.regression import multiscale
from noise2mask.data.resize import resize_mask
from noise2mask.diffusion import modes, schedule, weighting
from noise2mask.diffusion.process import Process
from noise2mask.networks import ensemdiff

# Linear schedule, T = 1000, tiles of 256 pixels: Dice of the best Gaussian filter for masks in
# {0, 1} and {-1, 1}, and the eps loss of the multi-scale oracle for both.
REFERENCE = {
    100: (0.973, 1.000, 0.0537, 0.0050),
    150: (0.951, 0.992, 0.0623, 0.0336),
    300: (0.850, 0.936, 0.0357, 0.0587),
    500: (0.626, 0.786, 0.0108, 0.0255),
}
WIDTHS = (0.0, 1.5, 3.0, 6.0, 12.0, 24.0)
SIDE = 16


def tiles(folder: Path, split: str) -> np.ndarray:
    """Masks of one split at 256 pixels, bool (N, 256, 256)."""
    paths = sorted(folder.glob(f"{split}_*.png"))
    masks = [np.asarray(Image.open(path).convert("L")) > 127 for path in paths]
    return np.stack([resize_mask(mask, (256, 256)).astype(bool) for mask in masks])


def references(folder: Path) -> pd.DataFrame:
    """Both oracles beside the reference, for each timestep and coding."""
    train, test = tiles(folder, "train"), tiles(folder, "test")
    oracles = {"gaussian": gaussian, "multiscale": partial(multiscale, widths=WIDTHS)}
    rows = []
    for place, (coding, gap) in enumerate((("0/1", 1.0), ("-1/+1", 2.0))):
        levels = levels_of(linear_log_snr(), list(REFERENCE), gap=gap)
        cases = case_curves(train, test, levels, oracles=oracles)
        found = mean_curve(cases).set_index(["oracle", "t"])
        for t, values in REFERENCE.items():
            dice, loss = found["dice"]["gaussian", t], found["mse_eps"]["multiscale", t]
            expected = values[place], values[2 + place]
            rows.append((t, coding, dice, expected[0], dice - expected[0], loss, expected[1],
                         100 * (loss / expected[1] - 1)))  # fmt: skip
    columns = ["t", "coding", "Dice", "reference", "difference", "loss", "reference ", "%"]
    return pd.DataFrame(rows, columns=columns)


def known_tasks() -> dict[str, Task]:
    """Data whose image information is known."""
    y, x = np.mgrid[:SIDE, :SIDE]
    discs = [
        np.where((y - row) ** 2 + (x - column) ** 2 < radius**2, 1.0, -1.0)
        for row in (4, 11) for column in (4, 11) for radius in (2.5, 3.5)
    ]  # fmt: skip
    shape = (SIDE, SIDE)
    return {
        "binary channel, 10 % flipped": BinaryChannel(shape, 0.1),
        "binary channel, 20 % flipped, foreground 10 %": BinaryChannel(shape, 0.2, 0.1),
        "Gaussian noise of deviation 1": NoisyPixels(shape, 1.0),
        "Gaussian field": GaussianField(shape, 1.0, 0.8),
        "eight discs, noise of deviation 6": Templates(np.stack(discs), np.full(8, 1 / 8), 6.0),
    }


def row_of(name: str, task: Task, found: Estimates) -> tuple[object, ...]:
    """A line of the tables: true bits, and the estimates in percent of them."""
    errors = [100 * (each.bits.mean / task.bits - 1) for each in found[:3]]
    return name, task.bits, *errors


def exact(cases: int) -> pd.DataFrame:
    """Estimates from exact denoisers at a spacing of 1."""
    rows = []
    for name, task in known_tasks().items():
        two_levels = not isinstance(task, GaussianField)
        log_snr = np.arange(-9.0, 6.0 if two_levels else 10.0)
        errors = exact_errors(task, log_snr, cases, np.random.default_rng(0))
        found = image_information(
            *errors, log_snr, gap=2.0, pixels=SIDE**2, two_levels=two_levels, resamples=200
        )
        rows.append(row_of(name, task, found))
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = ["task", "true bits", "difference %", "orthogonal %", "covariance %"]


def trained(steps: int) -> pd.DataFrame:
    """Estimates from networks that were trained on fresh data of each task."""
    rows = []
    for name, task in known_tasks().items():
        if isinstance(task, GaussianField):
            continue  # its masks have no two levels
        print(f"training on {name}", flush=True)
        networks = [fitted(task, mode, steps) for mode in ("posterior", "posterior_free")]
        rows.append(row_of(name, task, measured(task, *networks)))
    return pd.DataFrame(rows, columns=COLUMNS)


def process_for(mode: str) -> Process:
    """Timesteps evenly spaced over the log SNR that matters."""
    spread = schedule.adapted(1000, log_snr=tuple(np.linspace(4, -8, 25)))
    return Process(
        schedule=spread, target="posterior", learned_variance=False, coding="signed", clip=True,
        reduction="mean", calibration_weight=0.0,
        timestep_weights=weighting.uniform(spread, "posterior"), use=getattr(modes, mode).use,
    )  # fmt: skip


def fitted(task: Task, mode: str, steps: int) -> torch.nn.Module:
    """A small network trained in a mode; masks of the task are -1 and +1, those of a mode 0, 1."""
    torch.manual_seed(0)
    network = ensemdiff.build(
        1, 1, SIDE, width=32, multipliers=(1, 2), blocks=1, attention_strides=()
    )
    process, losses = process_for(mode), getattr(modes, mode)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.0)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    fresh = np.random.default_rng(1)
    generator = torch.Generator().manual_seed(2)
    for _ in range(steps):
        mask, image = (torch.from_numpy(each[:, None]).float() for each in task.sample(fresh, 16))
        loss = losses(network, image, (mask + 1) / 2, process, generator=generator).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        rates.step()
    return network.eval()


def measured(task: Task, seeing: torch.nn.Module, blind: torch.nn.Module) -> Estimates:
    """Their information on 300 held-out cases."""
    mask, image = task.sample(np.random.default_rng(3), 300)
    process = process_for("posterior")
    levels = spaced_levels(process.schedule.log_snr.numpy(), gap=2, highest=4, lowest=-8, spacing=1)
    grid = Grid(
        ids=[str(case) for case in range(300)],
        masks=torch.from_numpy((mask[:, None] + 1) / 2).float(),
        images=torch.from_numpy(image[:, None]).float(),
        timesteps=levels.t.tolist(),
        schedule=process.schedule,
        coding="signed",
        seed=0,
        rows=50,
    )
    pair = measure_pair(
        of_network(blind, process_for("posterior_free")), of_network(seeing, process), grid
    )
    return image_information(
        pair.without_image.clipped, pair.with_image.clipped, pair.distances, levels.log_snr,
        gap=2.0, pixels=SIDE**2, resamples=200,
    )  # fmt: skip


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--masks", type=Path, help="folder of MoNuSeg masks")
    parser.add_argument("--steps", type=int, default=1500, help="of each training; 0 for none")
    options = parser.parse_args()
    show = partial(pd.DataFrame.to_string, index=False, float_format="{:.4g}".format)
    if options.masks:
        print(show(references(options.masks)), end="\n\n")
    print(show(exact(4000)), end="\n\n")
    if options.steps:
        print(show(trained(options.steps)))


if __name__ == "__main__":
    main()
