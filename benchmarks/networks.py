"""How fast the networks train and sample, beside a well-kept library's in the same run.

    python benchmarks/networks.py [--threads 2] [--rounds 21] [--quick]
    python benchmarks/networks.py --against <checkout of another revision>

The other network is MONAI's DiffusionModelUNet with the levels, blocks and attention of ours, and
of the width (in steps of 8) at which its multiply-adds are nearest to those of ours; SegDiff's
image encoder and MedSegDiff's highway have no counterpart in it. All take the same batch and are
stepped by the same optimiser, fused AdamW. They take turns, one step each, in an order that is
turned round every time. A ratio is the median over the turns, with quartiles: what disturbs one
turn touches both sides of it. With --clock processor the seconds are those that the processor gave
to this process, which other work on the machine changes less (best with --threads 1).

With --against, the same networks as the code in another checkout builds them take turns too.
"""

import argparse
import importlib
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from noise2mask.evaluation.flops import network_counts
from noise2mask.networks import ensemdiff, medsegdiff, monai, segdiff
from noise2mask.networks.base import Network
from noise2mask.study.machine import processor

CHANNELS, SIDE, BATCH = 3, 64, 4
DRAWS, STEPS = 5, 50
WIDTHS = (32, 64)
FLAT = {"multipliers": (1, 2, 2), "blocks": 1, "attention_strides": (4,)}
DEEP = {"multipliers": (1, 1, 1, 1, 2, 2), "blocks": 2, "attention_strides": (4,)}
LIBRARY = "monai.networks.nets.DiffusionModelUNet"

Work = Callable[[], object]
Times = dict[str, list[float]]


class Kind(NamedTuple):
    """One of our architectures.

    Attributes:
        module: of `noise2mask.networks` that builds it.
        outputs: channels.
        heads: of its attention.
        unet: options that its U-Net shares with the library's.
        own: its further options.
    """

    module: ModuleType
    outputs: int
    heads: int
    unet: Mapping[str, Any]
    own: Mapping[str, Any]


KINDS = {
    "EnsemDiff": Kind(ensemdiff, 2, 1, FLAT, {}),
    "SegDiff": Kind(segdiff, 1, 4, FLAT, {"rrdb_blocks": 2}),
    "MedSegDiff new": Kind(medsegdiff, 2, 1, FLAT, {}),
    "MedSegDiff v1": Kind(medsegdiff, 2, 1, DEEP, {"version": "v1"}),
}


def build(kind: Kind, width: int, module: ModuleType | None = None) -> Network:
    """Our network in the default memory layout, from another checkout's module if one is given."""
    options = {"width": width, **kind.unet, **kind.own}
    if kind.module is medsegdiff:
        options["highway_width"] = width // 4  # as published
    network: Network = (module or kind.module).build(CHANNELS, kind.outputs, SIDE, **options)
    return network


def build_library(kind: Kind, width: int) -> Network:
    """The library's network with the levels, blocks and attention of ours."""
    widths = [width * multiplier for multiplier in kind.unet["multipliers"]]
    return monai.build(
        CHANNELS,
        kind.outputs,
        SIDE,
        _target_=LIBRARY,
        channels=widths,
        num_res_blocks=kind.unet["blocks"],
        attention_levels=[2**n in kind.unet["attention_strides"] for n in range(len(widths))],
        num_head_channels=[channels // kind.heads for channels in widths],
        norm_num_groups=math.gcd(width, 32),
        use_flash_attention=True,  # the fused one, as ours
    )


def counted(network: Callable[[], Network]) -> list[int]:
    """Parameters, and multiply-adds of one image; nothing is computed."""
    with torch.device("meta"):
        parameters, encoding, evaluation = network_counts(network().eval(), CHANNELS, SIDE)
    return [parameters, encoding + evaluation]


def equal_width(kind: Kind, width: int, multiply_adds: int) -> int:
    """Width at which the library's network has nearly so many; they grow with its square."""
    here = counted(partial(build_library, kind, width))[1]
    return 8 * round(width * math.sqrt(multiply_adds / here) / 8)


def modules_of(folder: Path) -> dict[str, ModuleType]:
    """The modules of :data:`KINDS` as they are in another checkout, beside those loaded here."""
    source = folder.resolve() / "src"
    ours = {name: sys.modules.pop(name) for name in [*sys.modules] if name.startswith("noise2mask")}
    sys.path.insert(0, str(source))
    try:
        found = {
            name: importlib.import_module(kind.module.__name__) for name, kind in KINDS.items()
        }
    finally:
        sys.path.pop(0)
        for name in [name for name in sys.modules if name.startswith("noise2mask")]:
            del sys.modules[name]
        sys.modules.update(ours)
    for module in found.values():
        if not Path(module.__file__ or "").is_relative_to(source):
            raise SystemExit(f"{folder} has no src/noise2mask; give a checkout of this repository.")
    return found


def example(rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy masks, images and timesteps."""
    x_t, image = torch.randn(rows, 1, SIDE, SIDE), torch.randn(rows, CHANNELS, SIDE, SIDE)
    return x_t, image, torch.arange(rows)


def training_step(network: Network) -> Work:
    """Forward, mean squared error of every output, backward, optimiser."""
    optimizer = torch.optim.AdamW(network.train().parameters(), lr=1e-4, fused=True)
    given = example(BATCH)

    def step() -> None:
        outputs = network.with_calibration(*given) if network.calibrated else (network(*given),)
        loss = torch.stack([F.mse_loss(output[:, :1], given[0]) for output in outputs]).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def laid_out(network: Network) -> Network:
    """In channels_last, as trainings and samplings have it."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


class Bench(NamedTuple):
    """How to measure.

    Attributes:
        rounds: turns of each work.
        clock: gives seconds.
        peak: FLOP a second of the machine, of a matrix product or a convolution.
    """

    rounds: int
    clock: Callable[[], float]
    peak: float

    def turns(self, works: Mapping[str, Work]) -> Times:
        """Seconds of works that take turns, after one each that is not counted."""
        for work in works.values():
            work()
        times: Times = {name: [] for name in works}
        for turn in range(self.rounds):
            for name in works if turn % 2 == 0 else reversed(list(works)):
                start = self.clock()
                works[name]()
                times[name].append(self.clock() - start)
        return times


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Median over the turns, with the quartiles."""
    low, middle, high = statistics.quantiles([a / b for a, b in zip(ours, theirs, strict=True)])
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def peak(work: Work, flop: float, bench: Bench) -> float:
    """FLOP a second of the fastest turn."""
    return flop / min(bench.turns({"": work})[""])


def peaks(bench: Bench, side: int) -> tuple[float, float]:
    """FLOP a second of a square matrix product, and of a 3x3 convolution of 128 channels."""
    a, b = torch.randn(side, side), torch.randn(side, side)
    x = torch.randn(8, 128, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(128, 128, 3, 3).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        product = peak(partial(torch.mm, a, b), 2 * side**3, bench)
        convolution = peak(
            partial(F.conv2d, x, weight, padding=1), 2 * x.numel() * weight[0].numel(), bench
        )
    return product, convolution


def training_row(name: str, width: int, bench: Bench, older: ModuleType | None) -> list[str]:
    """A training step of ours against the library's, and against our own in other forms."""
    kind = KINDS[name]
    ours = counted(partial(build, kind, width))
    wide = equal_width(kind, width, ours[1])
    library = counted(partial(build_library, kind, wide))
    works = {
        "ours": training_step(laid_out(build(kind, width))),
        "library": training_step(build_library(kind, wide)),
        "library, channels last": training_step(laid_out(build_library(kind, wide))),
        "default layout": training_step(build(kind, width)),
    }
    if older is not None:
        works["older"] = training_step(build(kind, width, older))
    with FlopCounterMode(display=False) as counter:
        works["ours"]()
    times = bench.turns(works)
    median = statistics.median(times["ours"])
    return [
        *(name, str(width), str(wide)),
        f"{ours[0] / 1e6:.2f} / {library[0] / 1e6:.2f}",
        f"{ours[1] / 1e9:.2f} / {library[1] / 1e9:.2f}",
        f"{1000 * median:.0f}",
        f"{100 * counter.get_total_flops() / median / bench.peak:.0f} %",
        *(ratio(times["ours"], times[other]) for other in works if other != "ours"),
    ]


@torch.inference_mode()
def sampling_row(name: str, width: int, bench: Bench) -> list[str]:
    """All draws of a case, at once and one by one: the encoding and `STEPS` times a step."""
    kind = KINDS[name]
    wide = equal_width(kind, width, counted(partial(build, kind, width))[1])
    ours = laid_out(build(kind, width)).eval()
    library = build_library(kind, wide).eval()
    x_t, images, t = example(DRAWS)
    image = images[:1]
    features = ours.encode(image)
    repeated = tuple(each.expand(DRAWS, *each.shape[1:]) for each in features)
    repeated = tuple(each.contiguous(memory_format=torch.channels_last) for each in repeated)

    def one_by_one(network: Network, known: tuple[Tensor, ...]) -> None:
        for row in range(DRAWS):
            network(x_t[row : row + 1], image, t[:1], known)

    times = bench.turns(
        {
            "encoding": partial(ours.encode, image),
            "ours": partial(ours, x_t, images, t, repeated),
            "ours, one by one": partial(one_by_one, ours, features),
            "library": partial(library, x_t, images, t),
            "library, one by one": partial(one_by_one, library, ()),
        }
    )
    encoding = times.pop("encoding")
    whole = {
        what: [
            STEPS * step + (once if what.startswith("ours") else 0.0)
            for step, once in zip(steps, encoding, strict=True)
        ]
        for what, steps in times.items()
    }
    return [
        *(name, str(width), f"{statistics.median(whole['ours']):.2f}"),
        *(ratio(whole["ours"], whole[other]) for other in whole if other != "ours"),
    ]


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table in Markdown, each row when it is known."""
    print(f"\n{title}\n")
    for cells in chain([columns, ["---", *["---:"] * (len(columns) - 1)]], rows):
        print("| " + " | ".join(cells) + " |", flush=True)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--rounds", type=int, default=21, help="turns of each work, at least 2")
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    parser.add_argument("--networks", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--against", type=Path, help="a checkout of another revision")
    parser.add_argument("--quick", action="store_true", help="2 turns at the least width: a trial")
    return parser.parse_args()


def main() -> None:
    """Print the machine, its peak, and the tables."""
    given = arguments()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    clock = time.process_time if given.clock == "processor" else time.perf_counter
    bench = Bench(2 if given.quick else max(2, given.rounds), clock, math.nan)
    older = {} if given.against is None else modules_of(given.against)
    widths = WIDTHS[:1] if given.quick else WIDTHS
    cases = [(name, width) for width in widths for name in given.networks]

    print(f"{processor()}, {os.cpu_count()} cores, torch {torch.__version__}", end="")
    print(f" with {given.threads} threads, MONAI {version('monai')}, Python", end="")
    print(f" {platform.python_version()}; {given.clock} clock, {bench.rounds} turns")
    product, convolution = peaks(bench, 512 if given.quick else 2048)
    print(f"peak: matrix product {product / 1e9:.0f} GFLOP/s, convolution", end="")
    print(f" {convolution / 1e9:.0f} GFLOP/s; load {os.getloadavg()[0]:.1f}", flush=True)
    bench = bench._replace(peak=max(product, convolution))

    show(
        f"Training step, batch {BATCH}, {SIDE} px",
        [
            *("network", "width", "MONAI's width", "parameters [M] / MONAI's"),
            *("multiply-adds [G] / MONAI's", "ours [ms]", "share of peak"),
            *("ours / MONAI", "ours / MONAI in channels_last", "ours / ours in default layout"),
            *(["ours / older code"] if older else []),
        ],
        (training_row(name, width, bench, older.get(name)) for name, width in cases),
    )
    show(
        f"{DRAWS} draws of {STEPS} steps, all at once",
        ["network", "width", "ours [s]", "/ one by one", "/ MONAI", "/ MONAI one by one"],
        (sampling_row(name, width, bench) for name, width in cases),
    )
    print(f"\nload {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
