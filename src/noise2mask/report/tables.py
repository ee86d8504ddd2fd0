"""The tables of a report and of its page, each a list of columns over rows of a study's tables."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from noise2mask.analysis.ablation import least_steps, levels, main_effects
from noise2mask.analysis.information.tables import WIDEST
from noise2mask.analysis.information.tables import doubts as doubts_of
from noise2mask.evaluation.labels import (
    UNTRAINED,
    Labels,
    Row,
    counted,
    floor_rows,
    headed,
    metric_of,
    names_in,
    number,
    rows_of,
    trained,
    with_interval,
)
from noise2mask.report.markdown import Column, Table

Record = Mapping[Any, Any]
"""A row of a table by the names of its columns."""
Winners = frozenset[tuple[str, str, str, str]]
"""(dataset, network, mode, metric) of trainings that are better beyond chance."""
ENDS = ("low", "high")
"""Columns of an interval."""


# Numbers in words -------------------------------------------------------------------------------


def significant(value: float) -> str:
    """A number with about three digits, and no decimals from 100 on."""
    return number(value, _decimals(value, 3))


def spread(
    row: Record,
    value: str,
    digits: int,
    *,
    ends: tuple[str, str] = ENDS,
    scale: float = 1.0,
    sign: bool = False,
) -> str:
    """A value of a row with its interval, see :func:`noise2mask.evaluation.labels.with_interval`.

    Args:
        row: of a table.
        value: column of the estimate.
        digits: decimals.
        ends: columns of the interval.
        scale: what all are multiplied with.
        sign: write a plus before what is above 0.
    """
    mean, low, high = (scale * float(row[name]) for name in (value, *ends))
    return with_interval(mean, low, high, digits, sign=sign)


def ranged(row: Record, value: str) -> str:
    """A value with its interval, both to two digits of the interval's width."""
    mean, low, high = (float(row[name]) for name in (value, *ENDS))
    width = high - low
    sized = math.isfinite(width) and width > 0
    return with_interval(mean, low, high, _decimals(width, 2) if sized else _decimals(mean, 3))


def signed(value: float, digits: int) -> str:
    """A number with a plus before what is above 0."""
    text = number(value, digits)
    return f"+{text}" if text != "–" and float(text) > 0 else text


def p_text(value: float) -> str:
    """A p-value, e.g. ``0.012`` or ``< 0.001``."""
    return "< 0.001" if value < 0.001 else number(value, 3)


def word(value: object) -> str:
    """A text that may be missing."""
    return value if isinstance(value, str) else ""


# Columns ----------------------------------------------------------------------------------------


def _text(title: str, name: str, shown: Callable[[Any], str] = str, *, left: bool = True) -> Column:
    """The words of a column of the rows."""
    return Column(title, lambda row: shown(row[name]), left)


def _number(title: str, name: str, digits: int = 0, unit: float = 1.0) -> Column:
    """The numbers of a column of the rows, in a unit, by which it is sorted; None is not known."""

    def value(row: Record) -> float:
        return math.nan if row[name] is None else float(row[name]) / unit

    return Column(title, lambda row: number(value(row), digits), value=value)


def _spread(title: str, name: str, digits: int, ends: tuple[str, str] = ENDS) -> Column:
    """Numbers with intervals, sorted by the numbers."""
    return _number(title, name)._replace(text=lambda row: spread(row, name, digits, ends=ends))


def _of(title: str, part: str, name: str, shown: Callable[[float], str]) -> Column:
    """A number of one of the records that a row is made of."""
    return Column(title, lambda row: shown(float(row[part][name])))


def _rounded(digits: int) -> Callable[[float], str]:
    return lambda value: number(value, digits)


def _dataset(labels: Labels) -> Column:
    return _text("Dataset", "dataset", labels.dataset)


def _network(labels: Labels) -> Column:
    return _text("Architecture", "network", labels.network)


def _mode(labels: Labels) -> Column:
    return _text("Training", "mode", labels.mode)


# Scores -----------------------------------------------------------------------------------------


def winners(*tables: pd.DataFrame) -> Winners:
    """Trainings that are better beyond chance in every paired comparison of theirs."""
    won: dict[tuple[str, str, str, str], list[bool]] = {}
    for table in tables:
        tested = table[table["verdict"].fillna("") != ""] if len(table) else table
        for row in tested.to_dict("records"):
            for side in ("first", "second"):
                key = (row["dataset"], row["network"], row[side], row["metric"])
                won.setdefault(key, []).append(str(row["verdict"]) == f"{side} better")
    return frozenset(key for key, found in won.items() if all(found))


def metric_table(
    summary: pd.DataFrame,
    metric: str,
    labels: Labels,
    datasets: Sequence[str],
    better: Winners = frozenset(),
    rows: Callable[[Row], bool] = lambda row: True,  # noqa: ARG005
) -> Table:
    """Mean and interval of one metric: rows architecture and training, columns datasets.

    A training of `better` is bold; floors, which need no network, have rows of their own. Shown
    are those `rows` of the table `summary`.
    """
    table = summary[summary["metric"] == metric]
    shown = [row for row in rows_of(table) if rows(row)]
    if any(not row.extra for row in shown):
        shown += floor_rows(table)
    columns = [
        Column(
            "Architecture",
            lambda row: UNTRAINED.get(row.network) or labels.network(row.network),
            left=True,
        ),
        Column(
            "Training",
            lambda row: "none" if row.network in UNTRAINED else labels.row(row),
            left=True,
        ),
    ]
    for dataset in datasets:
        panel = table[table["dataset"] == dataset]
        title = headed(labels.dataset(dataset), counted(trained(panel)["n"]))
        columns.append(_scores(title, panel, dataset, metric, better))
    return Table(columns, shown)


def _scores(title: str, panel: pd.DataFrame, dataset: str, metric: str, better: Winners) -> Column:
    """The column of a dataset."""
    look = metric_of(metric)

    def text(row: Row) -> str:
        cell = score(panel, row)
        if cell is None:
            return "–"
        written = with_interval(
            cell["mean"], cell["low"], cell["high"], look.digits, look.interval_digits
        )
        known = math.isfinite(float(cell["mean"]))
        bold = known and not row.extra and (dataset, row.network, row.mode, metric) in better
        mean, space, rest = written.partition(" ")
        return f"**{mean}**{space}{rest}" if bold else written

    def mean(row: Row) -> float:
        cell = score(panel, row)
        return math.nan if cell is None else float(cell["mean"])

    return Column(title, text, value=mean)


def score(panel: pd.DataFrame, row: Row) -> Record | None:
    """A row of a summary of one dataset and metric."""
    found = panel[panel["network"] == row.network]
    if row.network not in UNTRAINED:
        found = found[(found["mode"] == row.mode) & (found["sampler"] == row.sampler)]
    return found.iloc[0].to_dict() if len(found) else None


def further_rows(summary: pd.DataFrame, metrics: Sequence[str], labels: Labels) -> Table:
    """Means of the samplers and readings that a main table leaves out, metrics side by side."""

    def several(panel: pd.DataFrame, row: Row) -> str:
        cells = [score(panel[panel["metric"] == name], row) for name in metrics]
        return " / ".join(
            "–" if cell is None else number(float(cell["mean"]), metric_of(name).digits)
            for cell, name in zip(cells, metrics, strict=True)
        )

    columns = [
        Column("Architecture", lambda row: labels.network(row.network), left=True),
        Column("Training", labels.row, left=True),
    ]
    for dataset in names_in(trained(summary), "dataset"):
        title = labels.dataset(dataset).partition(" (for ")[0]  # the main table says for what
        columns.append(Column(title, partial(several, summary[summary["dataset"] == dataset])))
    return Table(columns, [row for row in rows_of(summary) if row.extra])


# Claims and predictions -------------------------------------------------------------------------


def finding_table(findings: pd.DataFrame, *, numbers: bool) -> Table:
    """Claims or predictions with their verdicts, and with the `numbers` that decide."""
    columns = [
        _text("", "name"),
        Column("Claim", stated, left=True),
        _text("Verdict", "verdict"),
    ]
    if numbers:
        columns.append(Column("Number", finding_number, left=True))
    return Table(columns, findings.to_dict("records"))


def stated(row: Record) -> str:
    """The statement of a finding as a sentence; it may begin with the name of a mode."""
    text = str(row["statement"])
    return f"{text[:1].upper()}{text[1:]}"


def finding_number(row: Record) -> str:
    """The number that decides a finding, or the first sentence of what is told of it."""
    if math.isfinite(float(row["value"])):
        what = word(row["objective"])
        what = f"{what[:1].upper()}{what[1:]}"
        n = f", n = {number(float(row['n']), 0)}" if float(row["n"]) > 0 else ""
        return f"{what} {ranged(row, 'value')}{n}".strip()
    return re.split(r"[;.] (?![^(]*\))", word(row["numbers"]))[0].rstrip(".")


# Losses, information and masks under noise ------------------------------------------------------


def structure_table(structure: pd.DataFrame, labels: Labels) -> Table:
    """Depth of non-monotonicity, verdict and hump of each curve."""
    interval, ends = labels.interval(), ("hump_low", "hump_high")
    return Table(
        [
            _dataset(labels),
            _network(labels),
            _text("Loss of", "mode", labels.mode),
            _text("Target", "target"),
            _number("n", "n"),
            _spread(f"Depth [{interval}]", "depth", 3),
            _text("Non-monotonic", "verdict", left=False),
            _spread(f"Hump at log SNR [{interval}]", "log_snr_at_hump", 2, ends),
            _number("at t", "t_at_hump"),
        ],
        structure.to_dict("records"),
    )


def information_table(information: pd.DataFrame, labels: Labels) -> Table:
    """Bits per mask and per pixel, the other estimates, entropies and quantiles."""
    rows = []
    for (dataset, network), cell in information.groupby(["dataset", "network"], sort=False):
        row = {"dataset": str(dataset), "network": str(network)}
        rows.append(row | _records(cell, "estimate", _ESTIMATES))
    interval, quantiles = labels.interval(), ("q10", "q50", "q90")
    return Table(
        [
            _dataset(labels),
            _network(labels),
            _of("n", "covariance", "n", _rounded(0)),
            Column(
                f"Bits per mask [{interval}]",
                lambda row: ranged(row["covariance"], "bits"),
                value=lambda row: row["covariance"]["bits"],
            ),
            _of("per pixel", "covariance", "bits_per_pixel", significant),
            _of("Difference", "difference", "bits", significant),
            _of("Orthogonal", "orthogonal", "bits", significant),
            Column(f"Gap [{interval}]", lambda row: ranged(row["gap"], "bits")),
            _of("Mask entropy, network", "entropy", "bits", significant),
            _of("oracle", "entropy_oracle", "bits", significant),
            Column(
                "Log SNR at 10 / 50 / 90 %",
                lambda row: " / ".join(number(float(row["covariance"][q]), 1) for q in quantiles),
            ),
        ],
        rows,
    )


_ESTIMATES = ("covariance", "difference", "orthogonal", "gap", "entropy", "entropy_oracle")


def doubts(information: pd.DataFrame, labels: Labels) -> list[str]:
    """A sentence for each estimate of the information that is not to be trusted."""
    found = []
    for dataset, network, reason in doubts_of(information):
        mine = information["dataset"].eq(dataset) & information["network"].eq(network)
        known = _records(information[mine], "estimate", _ESTIMATES)
        told = {
            "untested": "no shorter training of the network tells how far its bits may still be "
            "off; their interval is over test cases alone.",
            "wide": f"{ranged(known['covariance'], 'bits')} bits reach further than "
            f"{100 * WIDEST:g} % of themselves, for too few cases or because training still "
            "changes them.",
            "oracle": "without the image the network leaves "
            f"{significant(float(known['entropy']['bits']))} bits of a mask open, the oracle "
            f"{significant(float(known['entropy_oracle']['bits']))}. The network has not learnt "
            "what masks look like, so part of these bits is its own error.",
        }
        found.append(f"{labels.dataset(dataset)}, {labels.network(network)}: {told[reason]}")
    return found


def fingerprint_table(fingerprints: pd.DataFrame, labels: Labels) -> Table:
    """How long masks stay readable without the image, those that are lost first on top."""
    rows = [
        {"dataset": str(dataset)} | _records(cell, "figure", _FIGURES)
        for dataset, cell in fingerprints.groupby("dataset", sort=False)
    ]

    def death(row: Record) -> float:
        half = float(row["log_snr_at_half"]["mean"])
        return half if math.isfinite(half) else -math.inf

    return Table(
        [
            _dataset(labels),
            _of("n", "log_snr_at_half", "n", _rounded(0)),
            _of("Dice 0.9 at log SNR", "log_snr_at_90", "mean", _rounded(1)),
            _of("0.5", "log_snr_at_50", "mean", _rounded(1)),
            Column(
                f"half [{labels.interval()}]",
                lambda row: spread(row["log_snr_at_half"], "mean", 1),
                value=death,
            ),
            _of("Hump at log SNR", "hump_log_snr", "mean", _rounded(1)),
            _of("Boundary per area [1/px]", "boundary_per_area", "mean", _rounded(3)),
            _of("Objects", "objects", "mean", _rounded(1)),
            _of("Foreground", "foreground", "mean", _rounded(3)),
        ],
        sorted(rows, key=death, reverse=True),
    )


_FIGURES = (
    "log_snr_at_90", "log_snr_at_50", "log_snr_at_half", "hump_log_snr", "boundary_per_area",
    "objects", "foreground",
)  # fmt: skip


def _records(rows: pd.DataFrame, column: str, names: Sequence[str]) -> dict[str, Any]:
    """The first row of each of some names in a column; one of NaN if there is none."""
    known = rows.drop_duplicates(column).set_index(column)
    nothing = dict.fromkeys(map(str, known.columns), math.nan)
    return {name: known.loc[name].to_dict() if name in known.index else nothing for name in names}


def grown_table(grown: pd.DataFrame, labels: Labels) -> Table:
    """Grown against proper masks, a row for each dataset and resolution, without any training."""
    return Table(
        [
            _dataset(labels),
            _number("Pixels", "resolution"),
            _spread("Dice", "dice", 3),
            _number("Area / proper area", "area", 2),
            _number("n", "n"),
        ],
        grown.to_dict("records"),
    )


# Ablations --------------------------------------------------------------------------------------


def effect_table(design: pd.DataFrame, summary: pd.DataFrame, metrics: Sequence[str]) -> Table:
    """Mean of each level of each factor, and its effect against the base; nothing if no score."""
    found = {name: main_effects(design, summary, name) for name in metrics}
    found = {name: table for name, table in found.items() if len(table)}
    if not found:
        return Table([], [])
    base = {factor: known[0] for factor, known in levels(design).items()}
    first = next(iter(found.values()))
    rows = first[["factor", "level", "runs"]].to_dict("records")
    for place, row in enumerate(rows):
        row |= {name: table.iloc[place] for name, table in found.items()}

    def effect(name: str, row: Record) -> str:
        if row["level"] == base[row["factor"]]:
            return "base"
        return signed(float(row[name]["effect"]), metric_of(name).digits)

    columns = [
        _text("Factor", "factor"),
        _text("Level", "level"),
        _text("Trainings", "runs", left=False),
    ]
    for name in found:
        title, digits = metric_of(name).title, metric_of(name).digits
        columns.append(_of(title, name, "mean", _rounded(digits)))
        columns.append(Column(f"{title}, effect", partial(effect, name)))
    return Table(columns, rows)


def steps_table(summary: pd.DataFrame, design: pd.DataFrame, labels: Labels) -> Table:
    """The least number of steps within a Dice point of the best; nothing if no mode has two."""
    found = least_steps(trained(summary).dropna(subset=["steps"]))
    rows = found[["network", "mode"]].drop_duplicates().to_dict("records")

    def cell(dataset: str, row: Record) -> str:
        here = found[found["dataset"].eq(dataset) & found["network"].eq(row["network"])]
        here = here[here["mode"].eq(row["mode"])]
        return f"{here.least.iloc[0]} of {here.most.iloc[0]}" if len(here) else "–"

    columns = [
        _network(labels),
        _text("Training", "mode", lambda mode: varied(mode, design, labels)),
        *(Column(labels.dataset(name), partial(cell, name)) for name in names_in(found, "dataset")),
    ]
    return Table(columns, rows)


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


# Differences ------------------------------------------------------------------------------------


def difference_table(differences: pd.DataFrame, labels: Labels) -> Table:
    """Paired differences: interval, adjusted p-value, what could be seen, verdict."""

    def digits(row: Record) -> int:
        return metric_of(row["metric"]).digits

    return Table(
        [
            _dataset(labels),
            _network(labels),
            Column("First − second", lambda row: sides_text(row, labels), left=True),
            _text("Sampler", "sampler", word),
            _text("Metric", "metric", lambda name: metric_of(name).title),
            _number("n", "n"),
            _number("Seeds", "seeds"),
            _number(f"Difference [{labels.interval()}]", "difference")._replace(
                text=lambda row: spread(row, "difference", digits(row), sign=True)
            ),
            _number("Holm p", "p_holm")._replace(text=lambda row: p_text(float(row["p_holm"]))),
            _number("Resolvable", "resolvable")._replace(
                text=lambda row: number(float(row["resolvable"]), digits(row))
            ),
            Column("Verdict", lambda row: verdict_text(row, labels)),
        ],
        differences.to_dict("records"),
    )


def sides_text(row: Record, labels: Labels) -> str:
    """The two trainings of a difference, and what is told of their losses."""
    loss = f" ({row['loss']} loss)" if word(row.get("loss")) == "matched" else ""
    return f"{labels.mode(row['first'])} − {labels.mode(row['second'])}{loss}"


def verdict_text(row: Record, labels: Labels) -> str:
    """The verdict of a paired difference with the titles of its modes; a dash if it has none."""
    told = word(row["verdict"])
    for side in ("first", "second"):
        if told.startswith(f"{side} "):
            return f"{labels.mode(row[side])} {told.removeprefix(f'{side} ')}"
    return told or "–"


def quirk_table(quirks: pd.DataFrame, metric: str, labels: Labels) -> Table:
    """Published minus proper in points with interval, datasets side by side."""
    rows = quirks[quirks["metric"] == metric]
    keys = ["quirk", "title", "network", "mode", "sampler"]
    samplers = rows.groupby("mode")["sampler"].nunique()
    known = {
        tuple(row[name] for name in ("dataset", *keys)): row
        for row in reversed(rows.to_dict("records"))
    }

    def training(row: Record) -> str:
        several = samplers[row["mode"]] > 1
        return labels.mode(row["mode"]) + (f" ({row['sampler']})" if several else "")

    def cell(dataset: str, row: Record) -> str:
        found = known.get((dataset, *(row[name] for name in keys)))
        return "–" if found is None else spread(found, "difference", 1, scale=100, sign=True)

    return Table(
        [
            _text("Quirk", "title"),
            _network(labels),
            Column("Training", training, left=True),
            *(
                Column(labels.dataset(name), partial(cell, name))
                for name in names_in(rows, "dataset")
            ),
        ],
        rows[keys].drop_duplicates().to_dict("records"),
    )


def against_table(quirks: pd.DataFrame, metric: str, labels: Labels) -> Table:
    """Quirks that change reference masks too, with the same predictions against proper ones."""
    rows = quirks[(quirks["metric"] == metric) & quirks["against_proper"].notna()]
    title, digits = metric_of(metric).title, metric_of(metric).digits
    return Table(
        [
            _text("Quirk", "title"),
            _dataset(labels),
            _network(labels),
            _mode(labels),
            _number(f"Proper {title}", "proper", digits),
            _number(f"Published {title}", "published", digits),
            _number("against proper masks", "against_proper", digits),
        ],
        rows.to_dict("records"),
    )


# Draws and costs --------------------------------------------------------------------------------


def draws_table(draws: pd.DataFrame, labels: Labels) -> Table:
    """Calibration as a function of N."""
    region = {"all": "all pixels", "band": "band"}
    title = f"{metric_of('ece_pooled').title} [{labels.interval()}]"
    return Table(
        [
            _dataset(labels),
            _network(labels),
            _mode(labels),
            _text("Pixels", "region", lambda name: region.get(name, name)),
            _number("N", "draws"),
            _spread(title, "ece_pooled", 3, ("ece_pooled_low", "ece_pooled_high")),
            _number("Floor", "floor", 3),
            _number("ECE per case", "ece", 3),
            _number("Brier", "brier", 4),
            _number("IoU", "iou", 3),
        ],
        draws.to_dict("records"),
    )


def cost_table(costs: pd.DataFrame, labels: Labels) -> Table:
    """What a mask costs. A dash is a value that the machine does not tell."""
    return Table(
        [
            _network(labels),
            _mode(labels),
            _text("Sampler", "sampler"),
            _number("N", "draws"),
            _number("Parameters [M]", "parameters", 2, 1e6),
            _number("Evaluations", "evaluations_per_mask"),
            _number("GMAC", "macs_per_mask", 2, 1e9),
            _number("Training step [ms]", "seconds_per_training_step", 0, 1e-3),
            _number("Mask [ms]", "seconds_per_mask", 1, 1e-3),
            _number("Memory [MB]", "peak_memory_mb"),
            _number("Energy [J]", "energy_per_mask_j", 2),
        ],
        costs.to_dict("records"),
    )


def reached_table(reached: pd.DataFrame, labels: Labels) -> Table:
    """The cheapest row for each Dice that anything reaches."""
    return Table(
        [
            _dataset(labels),
            _text("Dice of at least", "level", lambda value: f"{float(value):g}", left=False),
            _network(labels),
            _mode(labels),
            _text("Sampler", "sampler"),
            _number("Dice", "dice", 3),
            Column("ms", lambda row: number(1e3 * row["seconds_per_mask"], 1)),
        ],
        reached.dropna(subset=["network"]).to_dict("records"),
    )


def _decimals(value: float, digits: int) -> int:
    """Decimals that show so many digits of a value, at most five; none for 0."""
    if not math.isfinite(value) or value == 0:
        return 0
    return min(5, max(0, digits - 1 - math.floor(math.log10(abs(value)))))
