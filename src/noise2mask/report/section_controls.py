"""The parts of a report on fair comparisons: calibration at each N, and what a mask costs."""

from collections.abc import Collection

import pandas as pd

from noise2mask.evaluation.labels import Labels, number
from noise2mask.report.figures.captions import COSTS, DRAWS, pictures
from noise2mask.report.markdown import escaped, grid


def draws_section(draws: pd.DataFrame, labels: Labels, figures: Collection[str]) -> str:
    """Calibration as a function of N; nothing without its table."""
    if draws.empty:
        return ""
    text = (
        "The same draws, the first N of them. The floor is the pooled ECE of a perfect sampler of "
        "N draws whose probabilities are the frequencies seen at the largest N.\n"
    )
    rows = [
        [
            escaped(labels.dataset(str(row["dataset"]))),
            escaped(labels.network(str(row["network"]))),
            escaped(labels.mode(str(row["mode"]))),
            {"all": "all pixels", "band": "band"}.get(str(row["region"]), str(row["region"])),
            str(int(row["draws"])),
            f"{number(row['ece_pooled'], 3)} [{number(row['ece_pooled_low'], 3)}, "
            f"{number(row['ece_pooled_high'], 3)}]",
            number(row["floor"], 3),
            number(row["ece"], 3),
            number(row["brier"], 4),
            number(row["iou"], 3),
        ]
        for _, row in draws.iterrows()
    ]
    header = [
        "Dataset", "Architecture", "Training", "Pixels", "N",
        f"Pooled ECE [{labels.interval()}]", "Floor", "ECE per case", "Brier", "IoU",
    ]  # fmt: skip
    return _joined(
        "Calibration and the number of draws",
        [text, grid(header, rows, left=4), *pictures(DRAWS, labels, figures)],
    )


def costs_section(
    costs: pd.DataFrame, reached: pd.DataFrame, labels: Labels, figures: Collection[str]
) -> str:
    """What a mask costs, and the cheapest way to a Dice; nothing without the table of costs."""
    if costs.empty:
        return ""
    devices = ", ".join(sorted({str(name) for name in costs["device"]}))
    threads = ", ".join(sorted({str(int(count)) for count in costs["threads"]}))
    text = (
        f"Measured on {escaped(devices)}, threads: {threads}, with nothing else of the workflow "
        "running; a mask is the fused result of all N draws. Multiply-adds are counted by torch "
        "and hold for any machine. A dash is a value that this machine does not tell.\n"
    )
    return _joined(
        "What a mask costs",
        [
            text,
            _cost_table(costs, labels),
            *pictures(COSTS, labels, figures),
            _reached_table(reached, labels),
        ],
    )


def _cost_table(costs: pd.DataFrame, labels: Labels) -> str:
    header = [
        "Architecture", "Training", "Sampler", "N", "Parameters [M]", "Evaluations", "GMAC",
        "Training step [ms]", "Mask [ms]", "Memory [MB]", "Energy [J]",
    ]  # fmt: skip
    rows = [
        [
            escaped(labels.network(str(row["network"]))),
            escaped(labels.mode(str(row["mode"]))),
            escaped(str(row["sampler"])),
            str(int(row["draws"])),
            number(row["parameters"] / 1e6, 2),
            str(int(row["evaluations_per_mask"])),
            number(row["macs_per_mask"] / 1e9, 2),
            number(_known(row["seconds_per_training_step"]) * 1e3, 0),
            number(row["seconds_per_mask"] * 1e3, 1),
            number(_known(row["peak_memory_mb"]), 0),
            number(_known(row["energy_per_mask_j"]), 2),
        ]
        for _, row in costs.iterrows()
    ]
    return grid(header, rows, left=3)


def _reached_table(reached: pd.DataFrame, labels: Labels) -> str:
    """The cheapest row for each Dice that anything reaches."""
    rows = [
        [
            escaped(labels.dataset(str(row["dataset"]))),
            f"{row['level']:g}",
            escaped(labels.network(str(row["network"]))),
            escaped(labels.mode(str(row["mode"]))),
            escaped(str(row["sampler"])),
            number(row["dice"], 3),
            number(row["seconds_per_mask"] * 1e3, 1),
        ]
        for _, row in reached.dropna(subset=["network"]).iterrows()
    ]
    if not rows:
        return ""
    header = ["Dataset", "Dice of at least", "Architecture", "Training", "Sampler", "Dice", "ms"]
    return f"The least time for a mean Dice:\n\n{grid(header, rows, left=5)}"


def _known(value: object) -> float:
    return float("nan") if pd.isna(value) else float(str(value))  # type: ignore[call-overload]


def _joined(title: str, parts: list[str]) -> str:
    return "\n".join([f"## {title}\n", *filter(None, parts)])
