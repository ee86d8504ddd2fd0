"""Markdown tables of the analysis in a report, each a pure function of tables of the analysis."""

import math
from collections.abc import Sequence

import pandas as pd

from noise2mask.analysis.ablation import least_steps, levels, main_effects
from noise2mask.evaluation.labels import Labels, metric_of, names_in, number
from noise2mask.report.markdown import ACROSS, escaped, estimate, grid, p_text

CURVES = {
    "diffusion": "masks, with image (E2)",
    "image_free": "masks, without image",
    "image_diffusion": "images (E4)",
}
"""What a curve is the loss of, by mode; others go by their name."""

ENTROPY_EXCESS = 0.1
"""Share by which a network's mask entropy may exceed the oracle's bound."""
LARGEST_GAP = 0.3
"""Share of their mean by which difference and orthogonal estimate may differ."""

_PAIR = ["dataset", "network"]


def significant(value: float) -> str:
    """A number with about three digits, and no decimals from 100 on."""
    return number(value, _decimals(value, 3))


def ranged(row: pd.Series, value: str) -> str:
    """A value with its interval, both to two digits of the interval's width."""
    width = float(row["high"]) - float(row["low"])
    if not (math.isfinite(width) and width > 0):
        return _interval(row, value, ("low", "high"), _decimals(float(row[value]), 3))
    return _interval(row, value, ("low", "high"), _decimals(width, 2))


def hypothesis_table(hypotheses: pd.DataFrame, labels: Labels) -> str:
    """Statement, what decides it with interval and p, verdict and n of each hypothesis."""
    body = []
    for _, row in hypotheses.iterrows():
        texts = [str(row["name"]), str(row["statement"]), _known(row["objective"])]
        cells = [
            ranged(row, "value"), p_text(float(row["p"])), number(float(row["n"]), 0),
            _known(row["scope"]), str(row["verdict"]),
        ]  # fmt: skip
        body.append([escaped(text) for text in [*texts, *cells]])
    header = ["", "Statement", "Decided on", f"Value [{labels.interval()}]", "p", "n", "About",
              "Verdict"]  # fmt: skip
    return grid(header, body, left=3)


def _known(text: object) -> str:
    return text if isinstance(text, str) else ""


def structure_table(structure: pd.DataFrame, labels: Labels) -> str:
    """Depth of non-monotonicity, verdict and hump of each curve."""
    body = []
    for _, row in structure.iterrows():
        body.append(
            [
                labels.dataset(str(row["dataset"])),
                labels.network(str(row["network"])),
                curve(str(row["mode"]), labels),
                number(float(row["n"]), 0),
                estimate(row, "depth", "depth"),
                str(row["verdict"]),
                _interval(row, "log_snr_at_hump", ("hump_low", "hump_high"), 2),
                number(float(row["t_at_hump"]), 0),
            ]
        )
    header = [
        "Dataset", "Architecture", "Loss of", "n", f"Depth [{labels.interval()}]",
        "Non-monotonic", f"Hump at log SNR [{labels.interval()}]", "at t",
    ]  # fmt: skip
    return grid(header, _escaped(body), left=3)


def curve(mode: str, labels: Labels) -> str:
    """What the loss curve of a mode is the loss of."""
    return CURVES.get(mode, labels.mode(mode))


def information_table(information: pd.DataFrame, labels: Labels) -> str:
    """Bits per mask and per pixel, the other estimates, entropies and quantiles."""
    body = []
    for (dataset, network), cell in information.groupby(_PAIR, sort=False):
        rows = cell.drop_duplicates("estimate").set_index("estimate")
        main = _row(rows, "covariance")
        cells = [ranged(main, "bits"), significant(float(main["bits_per_pixel"]))]
        for name in ("difference", "orthogonal"):
            cells.append(significant(float(_row(rows, name)["bits"])))
        cells.append(ranged(_row(rows, "gap"), "bits"))
        for name in ("entropy", "entropy_oracle"):
            cells.append(significant(float(_row(rows, name)["bits"])))
        cells.append(" / ".join(number(float(main[name]), 1) for name in ("q10", "q50", "q90")))
        names = [labels.dataset(str(dataset)), labels.network(str(network))]
        body.append([*names, number(float(main["n"]), 0), *cells])
    header = [
        "Dataset", "Architecture", "n", f"Bits per mask [{labels.interval()}]", "per pixel",
        "Difference", "Orthogonal", f"Gap [{labels.interval()}]", "Mask entropy, network",
        "oracle", "Log SNR at 10 / 50 / 90 %",
    ]  # fmt: skip
    return grid(header, _escaped(body), left=2)


def doubts(information: pd.DataFrame, labels: Labels) -> list[str]:
    """A sentence for each estimate of the information that is not to be trusted."""
    found = []
    for (dataset, network), cell in information.groupby(_PAIR, sort=False):
        bits = cell.drop_duplicates("estimate").set_index("estimate")["bits"].astype(float)
        where = f"{labels.dataset(str(dataset))}, {labels.network(str(network))}"
        own, bound = bits.get("entropy", math.nan), bits.get("entropy_oracle", math.nan)
        if own > (1 + ENTROPY_EXCESS) * bound:
            found.append(
                f"{where}: without the image the network leaves {significant(own)} bits of a mask "
                f"open, the oracle {significant(bound)}. The network has not learnt what masks "
                "look like, so part of these bits is its own error."
            )
        one, other = bits.get("difference", math.nan), bits.get("orthogonal", math.nan)
        if abs(one - other) > LARGEST_GAP * abs(one + other) / 2:
            fit = "takes too little from the image" if other < one else "is noisy or overfitted"
            found.append(
                f"{where}: difference ({significant(one)} bits) and orthogonal estimate "
                f"({significant(other)} bits) are more than {100 * LARGEST_GAP:g} % apart; the "
                f"network with the image {fit}."
            )
    return found


def fingerprint_table(fingerprints: pd.DataFrame, labels: Labels) -> str:
    """How long masks stay readable without the image, those that are lost first on top."""
    body, order = [], []
    for dataset, cell in fingerprints.groupby("dataset", sort=False):
        rows = cell.drop_duplicates("figure").set_index("figure")
        half = _row(rows, "log_snr_at_half")
        cells = [labels.dataset(str(dataset)), number(float(half["n"]), 0)]
        for name in ("log_snr_at_90", "log_snr_at_50"):
            cells.append(number(float(_row(rows, name)["mean"]), 1))
        cells.append(_interval(half, "mean", ("low", "high"), 1))
        cells.append(number(float(_row(rows, "hump_log_snr")["mean"]), 1))
        for name, digits in (("boundary_per_area", 3), ("objects", 1), ("foreground", 3)):
            cells.append(number(float(_row(rows, name)["mean"]), digits))
        body.append(cells)
        order.append(float(half["mean"]) if math.isfinite(half["mean"]) else -math.inf)
    header = [
        "Dataset", "n", "Dice 0.9 at log SNR", "0.5", f"half [{labels.interval()}]",
        "Hump at log SNR", "Boundary per area [1/px]", "Objects", "Foreground",
    ]  # fmt: skip
    ranked = sorted(range(len(body)), key=lambda place: -order[place])
    return grid(header, _escaped([body[place] for place in ranked]), left=1)


def effect_table(design: pd.DataFrame, sweeps: pd.DataFrame, metrics: Sequence[str]) -> str:
    """Mean of each level of each factor, and its effect against the base; nothing if no score."""
    found = {name: main_effects(design, sweeps, name) for name in metrics}
    found = {name: table for name, table in found.items() if len(table)}
    if not found:
        return ""
    first = next(iter(found.values()))
    base = {factor: known[0] for factor, known in levels(design).items()}
    header = ["Factor", "Level", "Trainings"]
    body = [[*map(str, row)] for row in first[["factor", "level", "runs"]].itertuples(index=False)]
    for name, table in found.items():
        look = metric_of(name)
        header += [look.title, f"{look.title}, effect"]
        for cells, (_, row) in zip(body, table.iterrows(), strict=True):
            effect = number(float(row["effect"]), look.digits)
            plus = "+" if effect != "–" and float(effect) > 0 else ""
            is_base = row["level"] == base[row["factor"]]
            cells += [number(float(row["mean"]), look.digits), "base" if is_base else plus + effect]
    return grid(header, _escaped(body), left=2)


def steps_table(sweeps: pd.DataFrame, design: pd.DataFrame, labels: Labels) -> str:
    """The least number of steps within a Dice point of the best; nothing if no mode has two."""
    found = least_steps(sweeps)
    datasets = names_in(found, "dataset")
    parts = []
    for start in range(0, len(datasets), ACROSS):
        shown = found[found["dataset"].isin(datasets[start : start + ACROSS])]
        body = []
        for (network, mode), rows in shown.groupby(["network", "mode"], sort=False):
            cells = [labels.network(str(network)), varied(str(mode), design, labels)]
            for dataset in datasets[start : start + ACROSS]:
                here = rows[rows["dataset"] == dataset]
                cells.append(f"{here.least.iloc[0]} of {here.most.iloc[0]}" if len(here) else "–")
            body.append(cells)
        titles = [labels.dataset(name) for name in datasets[start : start + ACROSS]]
        header = ["Architecture", "Training", *map(escaped, titles)]
        parts.append(grid(header, _escaped(body), left=2))
    return "\n".join(parts)


def varied(mode: str, design: pd.DataFrame, labels: Labels) -> str:
    """A mode with the levels in which an ablation's training differs from the base."""
    known = levels(design)
    own = design[design["mode"] == mode]
    if own.empty:
        return labels.mode(mode)
    changed = [
        f"{factor} {level}"
        for factor, level in zip(own["factor"], own["level"].astype(str), strict=True)
        if level != known[str(factor)][0]
    ]
    return f"{labels.mode(mode)}: {', '.join(changed) or 'base'}"


def _row(rows: pd.DataFrame, name: str) -> pd.Series:
    """A row by its name, one of NaN if there is none."""
    found = rows[rows.index == name]
    return found.iloc[0] if len(found) else pd.Series(math.nan, index=rows.columns)


def _decimals(value: float, digits: int) -> int:
    """Decimals that show so many digits of a value, at most five; none for 0."""
    if not math.isfinite(value) or value == 0:
        return 0
    return min(5, max(0, digits - 1 - math.floor(math.log10(abs(value)))))


def _interval(row: pd.Series, value: str, ends: tuple[str, str], digits: int) -> str:
    """A value with its interval, alone where there is none."""
    mean, low, high = (number(float(row[name]), digits) for name in (value, *ends))
    return mean if "–" in (mean, low, high) else f"{mean} [{low}, {high}]"


def _escaped(body: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[escaped(text) for text in row] for row in body]
