"""Time, memory and energy of a mask, and the row of a reference.

It imports no training and no sampling, so it runs in a reference's environment too.
"""

import gc
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from noise2mask.evaluation import meters
from noise2mask.evaluation.flops import multiply_adds, parameters
from noise2mask.evaluation.pareto import Cost, cost_table
from noise2mask.files import write_text
from noise2mask.study.machine import processor
from noise2mask.study.plan import PREDICTION, REFERENCE

REPEATS, SECONDS = 5, 1.0
"""Work is timed so often, but not again once so many seconds have been spent on it."""

STEPS = 4
"""Training steps that are timed, after one that is not."""


class Price(NamedTuple):
    """What a mask was measured to cost; see :class:`noise2mask.evaluation.pareto.Cost`."""

    cases: int
    seconds: float
    memory: float | None
    joules: float | None


def measured(
    work: Callable[[], object],
    network: nn.Module,
    masks: int,
    device: torch.device,
    *,
    repeats: int,
    warm_up: Callable[[], object] | None,
) -> Price:
    """Median time, peak memory and mean energy of some work, by mask.

    Memory is the most that is held during the first repetition above what was held before it,
    and the network's weights: on CUDA that of tensors, on the CPU resident memory.

    Args:
        work: makes `masks` masks.
        network: whose weights count.
        masks: how many.
        device: where to compute.
        repeats: at most so many times, less once `SECONDS` are over.
        warm_up: done first, if it is not done already.
    """
    if warm_up is not None:
        warm_up()
    held = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    times: list[float] = []
    peak = None
    start, before = _memory_at_start(device), _counters(device)
    while len(times) < repeats and sum(times) < SECONDS:
        times.append(_seconds(work, device))
        if len(times) == 1 and start is not None:
            peak = (_peak(device) - start + held) / 1e6
    joules = meters.joules(before, _counters(device))
    return Price(
        cases=masks,
        seconds=statistics.median(times) / masks,
        memory=peak,
        joules=None if joules is None else joules / (masks * len(times)),
    )


def reference_cost(
    name: str,
    network: nn.Module,
    example: Tensor,
    predict: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]],
    images: npt.NDArray[np.uint8],
    device: torch.device,
    *,
    repeats: int = REPEATS,
) -> Cost:
    """The row of a reference, measured as those of networks.

    Evaluations are counted while `predict` runs, so that one which turns its images or cuts
    them in windows pays for it; they are 1 where it does not call `network` itself.

    Args:
        name: of the reference in the study.
        network: see :class:`noise2mask.baselines.base.TrainedBaseline`, as the next two.
        example: an input of `network`.
        predict: from images to P(foreground).
        images: (cases, H, W, C), predicted together.
        device: where `network` is.
        repeats: predictions that are timed.
    """
    seen: list[int] = []

    def count_rows(_: nn.Module, given: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        seen.append(len(next(iter((*given, *named.values())))))

    hook = network.register_forward_pre_hook(count_rows, with_kwargs=True)
    predict(images)  # together: blocks may be filled up
    hook.remove()
    price = measured(
        lambda: predict(images), network, len(images), device, repeats=repeats, warm_up=None
    )
    evaluation = multiply_adds(lambda: network(example)) // len(example)
    count = max(1, round(sum(seen) / len(images)))
    return Cost(
        network=name,
        mode=REFERENCE,
        sampler=PREDICTION,
        steps=1,
        draws=1,
        trainings=1,
        parameters=parameters(network),
        macs_encoding=0,
        macs_evaluation=evaluation,
        encodings_per_mask=0,
        evaluations_per_mask=count,
        macs_per_mask=count * evaluation,
        seconds_per_training_step=None,
        cases_at_once=price.cases,
        seconds_per_mask=price.seconds,
        peak_memory_mb=price.memory,
        energy_per_mask_j=price.joules,
        device=device_name(device),
        threads=torch.get_num_threads(),
    )


def seconds_per_step(train: Callable[[], None]) -> float | None:
    """Median time from the end of one optimiser step to that of the next.

    Args:
        train: a training; it is ended after the last step that is timed.

    Returns:
        None if it ended by itself before.
    """
    ends: list[float] = []

    def ended(*_: Any) -> None:
        ends.append(time.perf_counter())
        if len(ends) > STEPS:
            raise _EnoughError

    hook = register_optimizer_step_post_hook(ended)
    try:
        train()
    except _EnoughError:
        return statistics.median(late - early for early, late in itertools.pairwise(ends))
    finally:
        hook.remove()
    return None


class _EnoughError(Exception):
    """Ends a training whose steps have been timed."""


def write_costs(rows: Sequence[Cost], out: Path) -> None:
    """Write rows as the table `costs`."""
    table = cost_table(rows)
    text = table.to_csv(index=False, float_format="%.9g", lineterminator="\n")
    write_text(out, text, record=True)


def device_name(device: torch.device) -> str:
    """Name of the GPU or the processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _memory_at_start(device: torch.device) -> int | None:
    """Bytes held, the peak forgotten; None where a peak cannot be seen."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return int(torch.cuda.memory_allocated(device))
    meters.release()
    held = meters.memory() if meters.forget_peak() else None
    return None if held is None else held.now


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    held = meters.memory()
    return 0 if held is None else held.peak


def _counters(device: torch.device) -> dict[str, meters.Counter]:
    if device.type == "cuda":
        return meters.graphics_counters(str(torch.cuda.get_device_properties(device).uuid))
    return meters.processor_counters()
