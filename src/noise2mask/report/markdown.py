"""Markdown tables of a report, each a pure function of one or two tables."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from noise2mask.errors import UserError
from noise2mask.evaluation.differences import planned, verdict
from noise2mask.evaluation.labels import (
    BLIND,
    Labels,
    Row,
    counted,
    headed,
    metric_of,
    modes_in,
    names_in,
    number,
    rows_of,
    trained,
)

MAIN = ("iou", "ece", "dice")
"""Metrics of the main table, in the order of the paper, which reports IoU and ECE."""

ACROSS = 4  # datasets side by side: what a page of a code host holds without scrolling


def escaped(text: str) -> str:
    """Text that stays in its cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def grid(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A table whose first `left` columns are left-aligned, readable as plain text too."""
    widths = [max(3, *(len(row[k]) for row in [header, *rows])) for k in range(len(header))]
    rule = [
        "-" * width if column < left else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    lines = []
    for row in (header, rule, *rows):
        cells = [
            text.ljust(width) if column < left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def update_between_markers(text: str, name: str, block: str) -> str:
    """`text` with `block` between ``<!-- name:begin -->`` and ``<!-- name:end -->``.

    Args:
        text: a document with one such pair of markers.
        name: of the pair.
        block: what is to stand there, instead of what stands there now.

    Raises:
        UserError: a marker is missing or there more than once, or they are in the wrong order.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise UserError(
            f"the document needs the markers {begin} and {end}, once each and in this order; it "
            f"has {text.count(begin)} and {text.count(end)}; put them where the block belongs."
        )
    before, rest = text.split(begin)
    return f"{before}{begin}\n{block.strip()}\n{end}{rest.split(end)[1]}"


def main_table(
    summary: pd.DataFrame, labels: Labels | None = None, references: pd.DataFrame | None = None
) -> str:
    """IoU, ECE and Dice of every architecture, training and dataset, in Markdown.

    Args:
        summary: the table of that name.
        labels: names to be shown.
        references: the table of that name.
    """
    labels = labels or Labels()
    shown = [name for name in MAIN if name in set(summary["metric"])]
    if not shown:
        return "There is no result yet.\n"
    parts = []
    for name in shown:
        look = metric_of(name)
        way = "higher" if look.better > 0 else "lower"
        parts.append(f"**{look.title}** ({way} is better)\n\n{metric_table(summary, name, labels)}")
    told = [] if references is None else reference_notes(references, labels)
    return "\n".join([*parts, _under_table(summary, labels), *(f"{line}\n" for line in told)])


def readme_block(
    summary: pd.DataFrame, labels: Labels | None = None, references: pd.DataFrame | None = None
) -> str:
    """What a README shows of a study: the main table, as it stands in the report."""
    return main_table(summary, labels, references)


def reference_notes(references: pd.DataFrame, labels: Labels) -> list[str]:
    """What each reference says of itself, a sentence each; a note of some datasets names them."""
    sentences = []
    for network, rows in references.groupby("network", sort=False):
        everywhere, notes = set(rows["dataset"]), []
        for note, same in rows.groupby("note", sort=False):
            told = str(note)
            if set(same["dataset"]) != everywhere:
                told += f" ({', '.join(map(labels.dataset, same['dataset']))})"
            notes.append(told)
        sentences.append(f"{labels.network(str(network))}: {'; '.join(notes)}.")
    return sentences


def _under_table(summary: pd.DataFrame, labels: Labels) -> str:
    """What the numbers of the main table are."""
    networks, blind = trained(summary), summary[summary["network"] == BLIND]
    text = [
        f"Mean over n test cases [{labels.interval()}, bootstrap over cases and, where there are "
        "several, training seeds]; the best network of a column is bold."
    ]
    drawn = [
        f"{labels.mode(mode)} {count}"
        for mode in modes_in(summary)
        if (count := labels.drawn(names_in(networks[networks["mode"] == mode], "sampler")))
    ]
    if drawn:
        text.append(f"Scored is the mean of N draws: {'; '.join(drawn)}.")
    if len(blind):
        kinds = blind.drop_duplicates(["dataset", "sampler"])
        named = [
            f"{labels.dataset(dataset)}: {sampler.replace('_', ' ')}"
            for dataset, sampler in zip(kinds["dataset"], kinds["sampler"], strict=True)
        ]
        if len(names_in(kinds, "sampler")) == 1:
            named = [str(kinds["sampler"].iloc[0]).replace("_", " ")]
        text.append(f"Image-blind predictions do not look at the image ({'; '.join(named)}).")
    return " ".join(text) + "\n"


def metric_table(summary: pd.DataFrame, metric: str, labels: Labels) -> str:
    """Mean and interval of one metric: rows architecture and training, columns datasets.

    The best network of a column is bold, as are those equal to it as printed; predictions that do
    not look at the image have a row of their own. More than four datasets make several tables.
    """
    table = summary[summary["metric"] == metric]
    datasets = names_in(table, "dataset")
    parts = [datasets[start : start + ACROSS] for start in range(0, len(datasets), ACROSS)]
    return "\n".join(_metric_part(table, part, metric, labels) for part in parts)


def _metric_part(table: pd.DataFrame, datasets: list[str], metric: str, labels: Labels) -> str:
    rows = rows_of(table)
    titles = [(labels.network(row.network), labels.row(row)) for row in rows]
    columns, header = [], ["Architecture", "Training"]
    for name in datasets:
        panel = table[table["dataset"] == name]
        header.append(headed(labels.dataset(name), counted(trained(panel)["n"])))
        columns.append(_column(panel, rows, metric))
    if BLIND in set(table["network"]):
        titles.append(("image-blind", "none"))
        for column, name in zip(columns, datasets, strict=True):
            blind = table[(table["dataset"] == name) & (table["network"] == BLIND)]
            found = [estimate(cell, metric) for _, cell in blind.iterrows()]
            column.append(found[0] if found else "–")
    body = [
        [escaped(text) for text in [*title, *cells]]
        for title, *cells in zip(titles, *columns, strict=True)
    ]
    return grid([escaped(text) for text in header], body, left=2)


def _column(panel: pd.DataFrame, rows: Sequence[Row], metric: str) -> list[str]:
    """One dataset's estimates, the best in bold."""
    cells = [_cell(panel, row) for row in rows]
    digits, better = metric_of(metric).digits, metric_of(metric).better
    shown = [np.nan if cell is None else round(float(cell["mean"]), digits) for cell in cells]
    known = [better * value for value in shown if np.isfinite(value)]
    texts = []
    for cell, value in zip(cells, shown, strict=True):
        text = "–" if cell is None else estimate(cell, metric)
        best = better != 0 and np.isfinite(value) and better * value == max(known)
        mean, space, rest = text.partition(" ")
        texts.append(f"**{mean}**{space}{rest}" if best else text)
    return texts


def _cell(panel: pd.DataFrame, row: Row) -> pd.Series | None:
    found = panel[
        (panel["network"] == row.network)
        & (panel["mode"] == row.mode)
        & (panel["sampler"] == row.sampler)
    ]
    return found.iloc[0] if len(found) else None


def estimate(cell: pd.Series, metric: str, value: str = "mean", *, sign: bool = False) -> str:
    """A value with its interval, e.g. ``0.812 [0.79, 0.83]``; a dash if there is none."""
    look = metric_of(metric)
    # A difference is small: its interval needs all digits.
    digits = look.digits if sign else look.interval_digits
    mean = number(float(cell[value]), look.digits)
    if mean == "–":
        return mean
    low, high = (number(float(cell[end]), digits) for end in ("low", "high"))
    plus = "+" if sign and float(mean) > 0 else ""
    return f"{plus}{mean}" + (f" [{low}, {high}]" if "–" not in (low, high) else "")


def further_table(
    summary: pd.DataFrame, metrics: pd.DataFrame, dataset: str, region: str, labels: Labels
) -> str:
    """Means of the metrics that the main table leaves out, of one dataset.

    Args:
        summary: the table of that name.
        metrics: the table of that name, for the number of undefined distances.
        dataset: name of the dataset.
        region: ``all`` pixels, or ``band`` about the boundary.
        labels: names to be shown.

    Returns:
        The table, or nothing if there is no such metric.
    """
    panel = summary[summary["dataset"] == dataset]
    names = [
        name
        for name in names_in(panel, "metric")
        if name not in MAIN and ("_band" in name) == (region == "band")
    ]
    if not names:
        return ""
    stems = [name.replace("_band", "") for name in names]
    header = ["Architecture", "Training", *map(_heading, stems)]
    undefined = metrics[(metrics["dataset"] == dataset) & (metrics["metric"] == "hd95")]
    if "hd95" in names:
        header.append("HD95 undefined")
    rows = [*rows_of(panel), *_blind_rows(panel)]
    body = []
    for row in rows:
        blind = row.network == BLIND
        texts = ["image-blind" if blind else labels.network(row.network)]
        texts.append("none" if blind else labels.row(row))
        for name in names:
            cell = _cell(panel[panel["metric"] == name], row)
            mean = np.nan if cell is None else float(cell["mean"])
            texts.append(number(mean, metric_of(name).digits))
        if "hd95" in names:
            texts.append(_undefined(undefined, row))
        body.append([escaped(text) for text in texts])
    return grid([escaped(text) for text in header], body, left=2)


def _blind_rows(panel: pd.DataFrame) -> list[Row]:
    blind = panel[panel["network"] == BLIND]
    return [Row(BLIND, "none", name, False) for name in names_in(blind, "sampler")]


def _heading(metric: str) -> str:
    look = metric_of(metric)
    return look.title + (f" [{look.unit}]" if look.unit else "")


def _undefined(distances: pd.DataFrame, row: Row) -> str:
    """How many distances of a row do not exist, of how many."""
    mine = (distances["network"] == row.network) & (distances["mode"] == row.mode)
    values = distances["value"][mine & (distances["sampler"] == row.sampler)]
    return f"{int(values.isna().sum())} of {len(values)}" if len(values) else "–"


def comparison_table(comparisons: pd.DataFrame, metric: str, labels: Labels) -> str:
    """Planned comparisons of one metric: difference, adjusted p-value, verdict."""
    family = planned(comparisons)
    header = [
        "Dataset", "Architecture", "n", f"Difference [{labels.interval()}]", "Holm p", "Verdict",
    ]  # fmt: skip
    body = []
    for _, row in family[family["metric"] == metric].iterrows():
        p = float(row["p_holm"])
        body.append(
            [
                escaped(labels.dataset(str(row["dataset"]))),
                escaped(labels.network(str(row["network"]))),
                str(int(row["n"])),
                estimate(row, metric, "difference", sign=True),
                "< 0.001" if p < 0.001 else number(p, 3),
                verdict(row),
            ]
        )
    return grid(header, body, left=2)


def resolvable_table(comparisons: pd.DataFrame, labels: Labels) -> str:
    """Half the width of each interval of the paired Dice difference, in Dice points.

    A true difference smaller than this cannot be told from none with these cases.
    """
    dice = comparisons[comparisons["metric"] == "dice"]
    if dice.empty:
        return ""
    networks = names_in(dice, "network")
    body = []
    for dataset in names_in(dice, "dataset"):
        panel = dice[dice["dataset"] == dataset]
        texts = [labels.dataset(dataset), counted(panel["n"]).removeprefix("n = ")]
        for network in networks:
            cell = panel[panel["network"] == network]
            half = 50 * (cell["high"] - cell["low"]).to_numpy(dtype=np.float64)
            texts.append(number(float(half[0]), 1) if len(half) else "–")
        body.append([escaped(text) for text in texts])
    header = ["Dataset", "n", *(escaped(labels.network(name)) for name in networks)]
    return grid(header, body, left=1)
