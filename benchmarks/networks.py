"""How fast the networks are beside the published codes, and what they cost.

    python benchmarks/networks.py [--threads 2] [--repeats 9] [--device cpu]

Three tables: seconds of a training step of the small networks (batch 4, 64 x 64 pixels), against
the seconds of the published codes at the same sizes on a machine with two cores; a sampling of 50
steps with the image encoded once, and at every step (from the medians of single calls, taken in
turn, because a busy machine disturbs long runs); multiplications of a forward pass at the
published sizes, counted without computing anything, against the published codes' count.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

from noise2mask.networks import ensemdiff, medsegdiff, segdiff
from noise2mask.networks.base import Network

BATCH, SIZE, STEPS = 4, 64, 50
TINY = {"width": 32, "multipliers": (1, 2, 2), "blocks": 1, "attention_strides": (4,)}
GATED = TINY | {"version": "v1", "multipliers": (1, 1, 1, 1, 2, 2), "blocks": 2, "highway_width": 8}
SMALL: dict[str, tuple[Callable[..., Network], dict[str, object], int, float]] = {
    # builder, options, output channels, seconds of the published code
    "EnsemDiff": (ensemdiff.build, TINY, 2, 0.20),
    "SegDiff": (segdiff.build, TINY | {"rrdb_blocks": 2}, 1, 1.0),
    "MedSegDiff new": (medsegdiff.build, TINY | {"highway_width": 8}, 2, 0.23),
    "MedSegDiff v1": (medsegdiff.build, GATED, 2, 0.23),
}
PUBLISHED: list[tuple[str, Callable[..., Network], dict[str, object], int, int, int, float]] = [
    # builder, options, image channels, output channels, pixels, GMAC of the published code
    ("EnsemDiff", ensemdiff.build, {}, 4, 2, 224, 190.3),
    ("SegDiff", segdiff.build, {}, 3, 1, 256, 853.4),
    ("MedSegDiff new", medsegdiff.build, {}, 3, 2, 256, 260.7),
    ("MedSegDiff v1", medsegdiff.build, {"version": "v1"}, 3, 2, 256, 260.8),
]


def batch(device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    x_t, image = torch.randn(BATCH, 1, SIZE, SIZE), torch.randn(BATCH, 3, SIZE, SIZE)
    return x_t.to(device), image.to(device), torch.arange(BATCH, device=device)


def seconds(work: Callable[[], object], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def training_step(network: Network, device: str) -> Callable[[], None]:
    """Forward, mean squared error of every output, backward, AdamW."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    x_t, image, t = batch(device)

    def step() -> None:
        given = (x_t, image, t)
        outputs = network.with_calibration(*given) if network.calibrated else (network(*given),)
        loss = sum(((output[:, :1] - x_t) ** 2).mean() for output in outputs)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return step


def training_table(repeats: int, device: str) -> None:
    print(f"{'training step':16}{'seconds':>10}{'published':>11}{'ratio':>8}")
    for name, (build, options, outputs, published) in SMALL.items():
        step = training_step(build(3, outputs, SIZE, **options).to(device).train(), device)
        step()  # the first one also allocates
        median = statistics.median(seconds(step, device) for _ in range(repeats))
        print(f"{name:16}{median:10.3f}{published:11.2f}{median / published:8.2f}")


@torch.inference_mode()
def caching_table(repeats: int, device: str) -> None:
    print(f"\n{f'{STEPS} steps':16}{'cached':>10}{'uncached':>11}{'gain':>8}")
    x_t, image, t = batch(device)
    for name, (build, options, outputs, _) in SMALL.items():
        network = build(3, outputs, SIZE, **options).to(device).eval()
        features = network.encode(image)
        parts = {
            "encode": partial(network.encode, image),
            "cached": partial(network, x_t, image, t, features),
            "uncached": partial(network, x_t, image, t),
        }
        rounds = [
            {part: seconds(work, device) for part, work in parts.items()}
            for _ in range(repeats + 1)
        ][1:]  # the first one also allocates
        median = {part: statistics.median(each[part] for each in rounds) for part in parts}
        cached = median["encode"] + STEPS * median["cached"]
        uncached = STEPS * median["uncached"]
        print(f"{name:16}{cached:10.2f}{uncached:11.2f}{uncached / cached:8.2f}")


def cost_table() -> None:
    print(f"\n{'forward pass':16}{'GMAC':>10}{'published':>11}{'ratio':>8}{'parameters':>14}")
    for name, build, options, channels, outputs, size, published in PUBLISHED:
        with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
            network = build(channels, outputs, size, **options).eval()
            image = torch.empty(1, channels, size, size)
            network(torch.empty(1, 1, size, size), image, torch.empty(1, dtype=torch.int64))
        gmac = counter.get_total_flops() / 2e9
        parameters = sum(parameter.numel() for parameter in network.parameters())
        print(f"{name:16}{gmac:10.1f}{published:11.1f}{gmac / published:8.3f}{parameters:14,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2, help="of the processor")
    parser.add_argument("--repeats", type=int, default=9, help="calls timed")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    training_table(given.repeats, given.device)
    caching_table(given.repeats, given.device)
    cost_table()


if __name__ == "__main__":
    main()
