"""Seconds that `noise2mask predict` takes for a megapixel, by network and sampler.

    python benchmarks/predict.py [--threads 1] [--rounds 3] [--side 128]

The networks of the study `quick` with random weights (times do not depend on them) on one image
that is cut into tiles of the network's own size, so a megapixel is one that the network sees.
Samplers take turns, so what disturbs one disturbs its neighbours too; shown is the median over the
rounds with the least and the most. Seconds are those that the processor gave to this process: on
one thread they leave out waiting for others, but not caches that others empty.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from noise2mask.inference.model import Model, Preparation, Way
from noise2mask.inference.predict import predict
from noise2mask.sampling.sample import Trained
from noise2mask.study.load import load_study
from noise2mask.study.machine import processor
from noise2mask.study.plan import run_settings
from noise2mask.study.schema import Sampler, Training
from noise2mask.training.run import Run, build_network, process_of

STUDY = Path(__file__).parent.parent / "config" / "quick.yaml"
SAMPLERS = {
    "one pass": Sampler(sampler="one_pass"),
    "DDIM, 10 steps, 1 draw": Sampler(sampler="ddim", steps=10),
    "DDIM, 10 steps, 5 draws": Sampler(sampler="ddim", steps=10, draws=5),
    "DPM-Solver++, 10 steps, 5 draws": Sampler(sampler="dpm_solver", steps=10, draws=5),
    "DDIM, 50 steps, 1 draw": Sampler(sampler="ddim", steps=50),
}
PUBLISHED = 1000 * 5
"""Steps times draws as published; told from those of the last sampler, as a step costs the same."""


def models() -> Iterator[tuple[str, Model]]:
    """Each network of the study, untrained."""
    study = load_study(STUDY)
    for name, entry in study.networks.items():
        settings = run_settings(study, Training("lesion_phantom", name, "diffusion", 0))
        data = {"name": "none", "kind": "folder", "digest": "", "channels": 3,
                "mean": [0.5] * 3, "std": [0.25] * 3}  # fmt: skip
        torch.manual_seed(0)
        network = build_network(settings, 3).eval()
        device = torch.device("cpu")
        trained = Trained(Run(settings, data, ""), network, process_of(settings), device)
        side = settings.resolution
        preparation = Preparation(
            kind="folder", resolution=side, channels=3, tile=side, shortest=side, longest=side
        )
        ways = {
            called: Way(
                sampler=sampler, fusion="mean", threshold=0.5, masks=sampler.sampler != "one_pass"
            )
            for called, sampler in SAMPLERS.items()
        }
        yield entry.title, Model(trained, preparation, ways)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each sampler")
    parser.add_argument("--side", type=int, default=128, help="of the image, px")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    image = np.random.default_rng(0).integers(0, 256, (given.side, given.side, 3)).astype(np.uint8)
    megapixels = image.shape[0] * image.shape[1] / 1e6
    print(
        f"{processor()}, {given.threads} thread(s), torch {version('torch')}, Python "
        f"{platform.python_version()}, {given.side} x {given.side} px, {given.rounds} rounds\n"
    )
    print("| network | sampler | processor seconds a megapixel |\n| --- | --- | ---: |")
    for title, model in models():
        small = np.ascontiguousarray(image[:64, :64])
        for called in SAMPLERS:
            predict(model, small, sampler=called)
        times: dict[str, list[float]] = {called: [] for called in SAMPLERS}
        for _ in range(given.rounds):
            for called in SAMPLERS:
                start = time.process_time()
                predict(model, image, sampler=called)
                times[called].append((time.process_time() - start) / megapixels)
        for called, found in times.items():
            middle = statistics.median(found)
            print(
                f"| {title} | {called} | {middle:.3g} ({min(found):.3g}-{max(found):.3g}) |",
                flush=True,
            )
        last = SAMPLERS[called]
        scale = PUBLISHED / (int(last.steps) * last.draws)
        print(f"| {title} | DDPM, 1000 steps, 5 draws | about {middle * scale:.2g}, not run |")


if __name__ == "__main__":
    main()
