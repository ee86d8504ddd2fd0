"""The tables of a report and of its page, each a list of columns over rows of a study's tables."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
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


def significant(value: float) -> str:
    """A number with about three digits, and no decimals from 100 on."""
    return number(value, _decimals(value, 3))


def spread(
    row: Record,
    value: str,
    digits: int,
    *,
    ends: tuple[str, str] = ("low", "high"),
    scale: float = 1.0,
    sign: bool = False,
) -> str:
    """A value of a row with its interval.

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


def ranged(row: Record, value: str, ends: tuple[str, str] = ("low", "high")) -> str:
    """A value with its interval, both to two digits of the interval's width."""
    mean, low, high = (float(row[name]) for name in (value, *ends))
    width = high - low
    sized = math.isfinite(width) and width > 0
    return with_interval(mean, low, high, _decimals(width, 2) if sized else _decimals(mean, 3))


def winners(*tables: pd.DataFrame) -> Winners:
    """Trainings that are better beyond chance in every paired comparison of theirs.

    Args:
        tables: of paired differences, with verdicts.
    """
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

    A training of `better` is bold; floors, which need no network, have rows of their own.

    Args:
        summary: the table of that name.
        metric: name of a metric in it.
        labels: names to be shown.
        datasets: the columns.
        better: what is bold.
        rows: which rows are shown.
    """
    table = summary[summary["metric"] == metric]
    shown = [row for row in rows_of(table) if rows(row)]
    if any(not row.extra for row in shown):
        shown += floor_rows(table)
    columns = [
        Column("Architecture", lambda row: _network(row, labels), left=True),
        Column("Training", lambda row: _training(row, labels), left=True),
    ]
    for dataset in datasets:
        panel = table[table["dataset"] == dataset]
        title = headed(labels.dataset(dataset), counted(trained(panel)["n"]))
        columns.append(Column(title, _scores(panel, dataset, metric, better), value=_means(panel)))
    return Table(columns, shown)


def _network(row: Row, labels: Labels) -> str:
    return UNTRAINED.get(row.network) or labels.network(row.network)


def _training(row: Row, labels: Labels) -> str:
    return "none" if row.network in UNTRAINED else labels.row(row)


def _scores(
    panel: pd.DataFrame, dataset: str, metric: str, better: Winners
) -> Callable[[Row], str]:
    """What stands in the column of a dataset."""
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

    return text


def _means(panel: pd.DataFrame) -> Callable[[Row], float]:
    def mean(row: Row) -> float:
        cell = score(panel, row)
        return math.nan if cell is None else float(cell["mean"])

    return mean


def score(panel: pd.DataFrame, row: Row) -> Record | None:
    """A row of a summary of one dataset and metric."""
    found = panel[panel["network"] == row.network]
    if row.network not in UNTRAINED:
        found = found[(found["mode"] == row.mode) & (found["sampler"] == row.sampler)]
    return found.iloc[0].to_dict() if len(found) else None


def further_rows(summary: pd.DataFrame, metrics: Sequence[str], labels: Labels) -> Table:
    """Means of the samplers and readings that a main table leaves out, metrics side by side."""
    rows = [row for row in rows_of(summary) if row.extra]
    columns = [
        Column("Architecture", lambda row: labels.network(row.network), left=True),
        Column("Training", labels.row, left=True),
    ]
    for dataset in names_in(trained(summary), "dataset"):
        panel = summary[summary["dataset"] == dataset]
        title = labels.dataset(dataset).partition(" (for ")[0]  # the main table says for what
        columns.append(Column(title, _several(panel, metrics)))
    return Table(columns, rows)


def _several(panel: pd.DataFrame, metrics: Sequence[str]) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        cells = [score(panel[panel["metric"] == name], row) for name in metrics]
        return " / ".join(
            "–" if cell is None else number(float(cell["mean"]), metric_of(name).digits)
            for cell, name in zip(cells, metrics, strict=True)
        )

    return text


def finding_table(findings: pd.DataFrame, *, numbers: bool) -> Table:
    """Claims or predictions with their verdicts.

    Args:
        findings: the table `claims` or `hypotheses`, those that are shown.
        numbers: show the value that decides, where there is one, or what is told beside it.
    """
    columns = [
        Column("", lambda row: row["name"], left=True),
        Column("Claim", stated, left=True),
        Column("Verdict", lambda row: row["verdict"], left=True),
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
        what = _word(row["objective"])
        what = f"{what[:1].upper()}{what[1:]}"
        n = f", n = {number(float(row['n']), 0)}" if float(row["n"]) > 0 else ""
        return f"{what} {ranged(row, 'value')}{n}".strip()
    return re.split(r"[;.] (?![^(]*\))", _word(row["numbers"]))[0].rstrip(".")


def structure_table(structure: pd.DataFrame, labels: Labels) -> Table:
    """Depth of non-monotonicity, verdict and hump of each curve."""
    return Table(
        [
            *_where(labels),
            Column("Loss of", lambda row: labels.mode(row["mode"]), left=True),
            Column("Target", lambda row: row["target"], left=True),
            Column("n", lambda row: number(row["n"], 0), value=_key("n")),
            Column(
                f"Depth [{labels.interval()}]",
                lambda row: spread(row, "depth", 3),
                value=_key("depth"),
            ),
            Column("Non-monotonic", lambda row: row["verdict"]),
            Column(
                f"Hump at log SNR [{labels.interval()}]",
                lambda row: spread(row, "log_snr_at_hump", 2, ends=("hump_low", "hump_high")),
                value=_key("log_snr_at_hump"),
            ),
            Column("at t", lambda row: number(row["t_at_hump"], 0), value=_key("t_at_hump")),
        ],
        structure.to_dict("records"),
    )


def information_table(information: pd.DataFrame, labels: Labels) -> Table:
    """Bits per mask and per pixel, the other estimates, entropies and quantiles."""
    rows = []
    for (dataset, network), cell in information.groupby(["dataset", "network"], sort=False):
        known = cell.drop_duplicates("estimate").set_index("estimate")
        row = {"dataset": str(dataset), "network": str(network)}
        rows.append(row | {name: _row(known, name) for name in _ESTIMATES})
    return Table(
        [
            *_where(labels),
            Column("n", lambda row: number(float(row["covariance"]["n"]), 0)),
            Column(
                f"Bits per mask [{labels.interval()}]",
                lambda row: ranged(row["covariance"], "bits"),
                value=lambda row: row["covariance"]["bits"],
            ),
            Column("per pixel", lambda row: significant(row["covariance"]["bits_per_pixel"])),
            *(
                Column(title, lambda row, name=name: significant(row[name]["bits"]))  # type: ignore[misc]
                for name, title in (("difference", "Difference"), ("orthogonal", "Orthogonal"))
            ),
            Column(f"Gap [{labels.interval()}]", lambda row: ranged(row["gap"], "bits")),
            *(
                Column(title, lambda row, name=name: significant(row[name]["bits"]))  # type: ignore[misc]
                for name, title in (
                    ("entropy", "Mask entropy, network"),
                    ("entropy_oracle", "oracle"),
                )
            ),
            Column(
                "Log SNR at 10 / 50 / 90 %",
                lambda row: " / ".join(
                    number(float(row["covariance"][name]), 1) for name in ("q10", "q50", "q90")
                ),
            ),
        ],
        rows,
    )


_ESTIMATES = ("covariance", "difference", "orthogonal", "gap", "entropy", "entropy_oracle")


def doubts(information: pd.DataFrame, labels: Labels) -> list[str]:
    """A sentence for each estimate of the information that is not to be trusted."""
    found = []
    for dataset, network, reason in doubts_of(information):
        rows = information[
            (information["dataset"] == dataset) & (information["network"] == network)
        ]
        known = rows.drop_duplicates("estimate").set_index("estimate")
        bits = known["bits"].astype(float)
        where = f"{labels.dataset(dataset)}, {labels.network(network)}"
        told = {
            "untested": "no shorter training of the network tells how far its bits may still be "
            "off; their interval is over test cases alone.",
            "wide": f"{ranged(_row(known, 'covariance'), 'bits')} bits reach further than "
            f"{100 * WIDEST:g} % of themselves, for too few cases or because training still "
            "changes them.",
            "oracle": "without the image the network leaves "
            f"{significant(bits.get('entropy', math.nan))} bits of a mask open, the oracle "
            f"{significant(bits.get('entropy_oracle', math.nan))}. The network has not learnt what "
            "masks look like, so part of these bits is its own error.",
        }
        found.append(f"{where}: {told[reason]}")
    return found


def fingerprint_table(fingerprints: pd.DataFrame, labels: Labels) -> Table:
    """How long masks stay readable without the image, those that are lost first on top."""
    rows = []
    for dataset, cell in fingerprints.groupby("dataset", sort=False):
        known = cell.drop_duplicates("figure").set_index("figure")
        rows.append({"dataset": str(dataset)} | {name: _row(known, name) for name in _FIGURES})

    def death(row: Record) -> float:
        half = float(row["log_snr_at_half"]["mean"])
        return half if math.isfinite(half) else -math.inf

    def mean(name: str, digits: int) -> Callable[[Record], str]:
        return lambda row: number(float(row[name]["mean"]), digits)

    return Table(
        [
            Column("Dataset", lambda row: labels.dataset(row["dataset"]), left=True),
            Column("n", lambda row: number(float(row["log_snr_at_half"]["n"]), 0)),
            Column("Dice 0.9 at log SNR", mean("log_snr_at_90", 1)),
            Column("0.5", mean("log_snr_at_50", 1)),
            Column(
                f"half [{labels.interval()}]",
                lambda row: spread(row["log_snr_at_half"], "mean", 1),
                value=death,
            ),
            Column("Hump at log SNR", mean("hump_log_snr", 1)),
            Column("Boundary per area [1/px]", mean("boundary_per_area", 3)),
            Column("Objects", mean("objects", 1)),
            Column("Foreground", mean("foreground", 3)),
        ],
        sorted(rows, key=death, reverse=True),
    )


_FIGURES = (
    "log_snr_at_90", "log_snr_at_50", "log_snr_at_half", "hump_log_snr", "boundary_per_area",
    "objects", "foreground",
)  # fmt: skip


def effect_table(design: pd.DataFrame, summary: pd.DataFrame, metrics: Sequence[str]) -> Table:
    """Mean of each level of each factor, and its effect against the base; nothing if no score."""
    found = {name: main_effects(design, summary, name) for name in metrics}
    found = {name: table for name, table in found.items() if len(table)}
    if not found:
        return Table([], [])
    base = {factor: known[0] for factor, known in levels(design).items()}
    first = next(iter(found.values()))
    rows = [
        {"factor": factor, "level": level, "runs": runs}
        | {name: table.iloc[place] for name, table in found.items()}
        for place, (factor, level, runs) in enumerate(
            first[["factor", "level", "runs"]].itertuples(index=False, name=None)
        )
    ]

    def effect(name: str) -> Callable[[Record], str]:
        def text(row: Record) -> str:
            if row["level"] == base[row["factor"]]:
                return "base"
            value = number(float(row[name]["effect"]), metric_of(name).digits)
            return f"+{value}" if value != "–" and float(value) > 0 else value

        return text

    def mean(name: str) -> Callable[[Record], str]:
        return lambda row: number(float(row[name]["mean"]), metric_of(name).digits)

    columns = [
        Column("Factor", lambda row: row["factor"], left=True),
        Column("Level", lambda row: row["level"], left=True),
        Column("Trainings", lambda row: str(row["runs"])),
    ]
    for name in found:
        title = metric_of(name).title
        columns += [Column(title, mean(name)), Column(f"{title}, effect", effect(name))]
    return Table(columns, rows)


def steps_table(summary: pd.DataFrame, design: pd.DataFrame, labels: Labels) -> Table:
    """The least number of steps within a Dice point of the best; nothing if no mode has two."""
    found = least_steps(trained(summary).dropna(subset=["steps"]))

    def cell(dataset: str) -> Callable[[tuple[str, str]], str]:
        def text(row: tuple[str, str]) -> str:
            here = found[(found[["dataset", "network", "mode"]] == [dataset, *row]).all(axis=1)]
            return f"{here.least.iloc[0]} of {here.most.iloc[0]}" if len(here) else "–"

        return text

    columns = [
        Column("Architecture", lambda row: labels.network(row[0]), left=True),
        Column("Training", lambda row: varied(row[1], design, labels), left=True),
        *(Column(labels.dataset(name), cell(name)) for name in names_in(found, "dataset")),
    ]
    rows = list(dict.fromkeys(zip(found["network"], found["mode"], strict=True)))
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


def difference_table(differences: pd.DataFrame, labels: Labels) -> Table:
    """Paired differences: interval, adjusted p-value, what could be seen, verdict."""
    return Table(
        [
            *_where(labels),
            Column("First − second", lambda row: sides_text(row, labels), left=True),
            Column("Sampler", lambda row: _word(row["sampler"]), left=True),
            Column("Metric", lambda row: metric_of(row["metric"]).title, left=True),
            Column("n", lambda row: number(float(row["n"]), 0), value=_key("n")),
            Column("Seeds", lambda row: number(float(row["seeds"]), 0), value=_key("seeds")),
            Column(f"Difference [{labels.interval()}]", difference_text, value=_key("difference")),
            Column("Holm p", lambda row: p_text(float(row["p_holm"])), value=_key("p_holm")),
            Column(
                "Resolvable",
                lambda row: number(float(row["resolvable"]), metric_of(row["metric"]).digits),
                value=_key("resolvable"),
            ),
            Column("Verdict", lambda row: verdict_text(row, labels)),
        ],
        differences.to_dict("records"),
    )


def sides_text(row: Record, labels: Labels) -> str:
    """The two trainings of a difference, and what is told of their losses."""
    loss = f" ({row['loss']} loss)" if _word(row.get("loss")) == "matched" else ""
    return f"{labels.mode(row['first'])} − {labels.mode(row['second'])}{loss}"


def difference_text(row: Record) -> str:
    """A difference with sign and interval."""
    return spread(row, "difference", metric_of(row["metric"]).digits, sign=True)


def p_text(value: float) -> str:
    """A p-value, e.g. ``0.012`` or ``< 0.001``."""
    return "< 0.001" if value < 0.001 else number(value, 3)


def verdict_text(row: Record, labels: Labels) -> str:
    """The verdict of a paired difference with the titles of its modes; a dash if it has none."""
    word = _word(row["verdict"])
    for side in ("first", "second"):
        if word.startswith(f"{side} "):
            return f"{labels.mode(row[side])} {word.removeprefix(f'{side} ')}"
    return word or "–"


def quirk_table(quirks: pd.DataFrame, metric: str, labels: Labels) -> Table:
    """Published minus proper in points with interval, datasets side by side."""
    rows = quirks[quirks["metric"] == metric]
    keys = ["quirk", "title", "network", "mode", "sampler"]
    samplers = rows.groupby("mode")["sampler"].nunique()

    def training(row: Record) -> str:
        several = samplers[row["mode"]] > 1
        return labels.mode(row["mode"]) + (f" ({row['sampler']})" if several else "")

    def cell(dataset: str) -> Callable[[Record], str]:
        panel = rows[rows["dataset"] == dataset].set_index(keys)

        def text(row: Record) -> str:
            key = tuple(row[name] for name in keys)
            if key not in panel.index:
                return "–"
            found = panel.loc[[key]].iloc[0].to_dict()
            return spread(found, "difference", 1, scale=100, sign=True)

        return text

    return Table(
        [
            Column("Quirk", lambda row: row["title"], left=True),
            Column("Architecture", lambda row: labels.network(row["network"]), left=True),
            Column("Training", training, left=True),
            *(Column(labels.dataset(name), cell(name)) for name in names_in(rows, "dataset")),
        ],
        rows[keys].drop_duplicates().to_dict("records"),
    )


def against_table(quirks: pd.DataFrame, metric: str, labels: Labels) -> Table:
    """Quirks that change reference masks too, with the same predictions against proper ones."""
    rows = quirks[(quirks["metric"] == metric) & quirks["against_proper"].notna()]
    title, digits = metric_of(metric).title, metric_of(metric).digits

    def mean(name: str) -> Callable[[Record], str]:
        return lambda row: number(float(row[name]), digits)

    return Table(
        [
            Column("Quirk", lambda row: row["title"], left=True),
            *_where(labels),
            Column("Training", lambda row: labels.mode(row["mode"]), left=True),
            Column(f"Proper {title}", mean("proper"), value=_key("proper")),
            Column(f"Published {title}", mean("published"), value=_key("published")),
            Column("against proper masks", mean("against_proper"), value=_key("against_proper")),
        ],
        rows.to_dict("records"),
    )


def grown_table(grown: pd.DataFrame, labels: Labels) -> Table:
    """Grown against proper masks, a row for each dataset and resolution, without any training."""
    return Table(
        [
            Column("Dataset", lambda row: labels.dataset(row["dataset"]), left=True),
            Column("Pixels", lambda row: number(row["resolution"], 0), value=_key("resolution")),
            Column("Dice", lambda row: spread(row, "dice", 3), value=_key("dice")),
            Column("Area / proper area", lambda row: number(row["area"], 2), value=_key("area")),
            Column("n", lambda row: number(row["n"], 0), value=_key("n")),
        ],
        grown.to_dict("records"),
    )


def draws_table(draws: pd.DataFrame, labels: Labels) -> Table:
    """Calibration as a function of N."""
    region = {"all": "all pixels", "band": "band"}
    return Table(
        [
            *_where(labels),
            Column("Training", lambda row: labels.mode(row["mode"]), left=True),
            Column("Pixels", lambda row: region.get(row["region"], row["region"]), left=True),
            Column("N", lambda row: number(row["draws"], 0), value=_key("draws")),
            Column(
                f"{metric_of('ece_pooled').title} [{labels.interval()}]",
                lambda row: spread(
                    row, "ece_pooled", 3, ends=("ece_pooled_low", "ece_pooled_high")
                ),
                value=_key("ece_pooled"),
            ),
            Column("Floor", lambda row: number(row["floor"], 3), value=_key("floor")),
            Column("ECE per case", lambda row: number(row["ece"], 3), value=_key("ece")),
            Column("Brier", lambda row: number(row["brier"], 4), value=_key("brier")),
            Column("IoU", lambda row: number(row["iou"], 3), value=_key("iou")),
        ],
        draws.to_dict("records"),
    )


def cost_table(costs: pd.DataFrame, labels: Labels) -> Table:
    """What a mask costs. A dash is a value that the machine does not tell."""

    def scaled(title: str, name: str, digits: int, unit: float = 1.0) -> Column:
        def value(row: Record) -> float:
            return math.nan if pd.isna(row[name]) else float(row[name]) / unit

        return Column(title, lambda row: number(value(row), digits), value=value)

    return Table(
        [
            Column("Architecture", lambda row: labels.network(row["network"]), left=True),
            Column("Training", lambda row: labels.mode(row["mode"]), left=True),
            Column("Sampler", lambda row: row["sampler"], left=True),
            scaled("N", "draws", 0),
            scaled("Parameters [M]", "parameters", 2, 1e6),
            scaled("Evaluations", "evaluations_per_mask", 0),
            scaled("GMAC", "macs_per_mask", 2, 1e9),
            scaled("Training step [ms]", "seconds_per_training_step", 0, 1e-3),
            scaled("Mask [ms]", "seconds_per_mask", 1, 1e-3),
            scaled("Memory [MB]", "peak_memory_mb", 0),
            scaled("Energy [J]", "energy_per_mask_j", 2),
        ],
        costs.to_dict("records"),
    )


def reached_table(reached: pd.DataFrame, labels: Labels) -> Table:
    """The cheapest row for each Dice that anything reaches."""
    return Table(
        [
            Column("Dataset", lambda row: labels.dataset(row["dataset"]), left=True),
            Column("Dice of at least", lambda row: f"{float(row['level']):g}"),
            Column("Architecture", lambda row: labels.network(row["network"]), left=True),
            Column("Training", lambda row: labels.mode(row["mode"]), left=True),
            Column("Sampler", lambda row: row["sampler"], left=True),
            Column("Dice", lambda row: number(row["dice"], 3), value=_key("dice")),
            Column("ms", lambda row: number(1e3 * row["seconds_per_mask"], 1)),
        ],
        reached.dropna(subset=["network"]).to_dict("records"),
    )


def further_metrics(
    summary: pd.DataFrame, metrics: pd.DataFrame, dataset: str, shown: Iterable[str], labels: Labels
) -> Table:
    """Means of some metrics of one dataset, and how often a score does not exist.

    Args:
        summary: the table of that name.
        metrics: the table of that name.
        dataset: name of the dataset.
        shown: names of metrics.
        labels: names to be shown.
    """
    panel = summary[summary["dataset"] == dataset]
    names = [name for name in shown if name in set(panel["metric"])]
    scores = trained(metrics[metrics["dataset"] == dataset])
    holed = [name for name in names if scores.loc[scores["metric"] == name, "value"].isna().any()]

    def mean(name: str) -> Callable[[Row], str]:
        rows = panel[panel["metric"] == name]

        def text(row: Row) -> str:
            cell = score(rows, row)
            return "–" if cell is None else number(float(cell["mean"]), metric_of(name).digits)

        return text

    def undefined(name: str) -> Callable[[Row], str]:
        rows = scores[scores["metric"] == name]

        def text(row: Row) -> str:
            mine = (rows["network"] == row.network) & (rows["mode"] == row.mode)
            values = rows["value"][mine & (rows["sampler"] == row.sampler)]
            return f"{int(values.isna().sum())} of {len(values)}" if len(values) else "–"

        return text

    columns = [
        Column("Architecture", lambda row: _network(row, labels), left=True),
        Column("Training", lambda row: _training(row, labels), left=True),
    ]
    for name in names:
        look = metric_of(name)
        title = look.title + (f" [{look.unit}]" if look.unit else "")
        columns.append(Column(title, mean(name), value=_means(panel[panel["metric"] == name])))
    columns += [Column(f"{metric_of(name).title} undefined", undefined(name)) for name in holed]
    rows = [*rows_of(panel), *floor_rows(panel)]
    return Table(columns, rows if names else [])


def _where(labels: Labels) -> tuple[Column, Column]:
    """Dataset and architecture of a row."""
    return (
        Column("Dataset", lambda row: labels.dataset(row["dataset"]), left=True),
        Column("Architecture", lambda row: labels.network(row["network"]), left=True),
    )


def _key(name: str) -> Callable[[Record], float]:
    """A number of a row to sort by."""
    return lambda row: float(row[name])


def _row(rows: pd.DataFrame, name: str) -> Record:
    """A row by its name, one of NaN if there is none."""
    if name not in rows.index:
        return dict.fromkeys(map(str, rows.columns), math.nan)
    return rows.loc[name].to_dict()


def _decimals(value: float, digits: int) -> int:
    """Decimals that show so many digits of a value, at most five; none for 0."""
    if not math.isfinite(value) or value == 0:
        return 0
    return min(5, max(0, digits - 1 - math.floor(math.log10(abs(value)))))


def _word(value: object) -> str:
    """A text that may be missing."""
    return value if isinstance(value, str) else ""
