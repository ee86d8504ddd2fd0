"""Markdown tables of a report, each a pure function of one or two tables."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from noise2mask.errors import UserError
from noise2mask.evaluation.differences import FIRST, SECOND
from noise2mask.evaluation.labels import (
    BLIND,
    HEADLINE,
    Labels,
    Row,
    counted,
    headed,
    measure_of,
    metric_of,
    modes_in,
    names_in,
    number,
    rows_of,
    trained,
)

BOLD = 3
"""Independent units below which no mean is called the best."""

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
    summary: pd.DataFrame,
    labels: Labels | None = None,
    references: pd.DataFrame | None = None,
    metrics: Sequence[str] = HEADLINE,
) -> str:
    """The main metrics of every architecture, training and dataset, in Markdown.

    Args:
        summary: the table of that name.
        labels: names to be shown.
        references: the table of that name.
        metrics: names of those shown.
    """
    labels = labels or Labels()
    shown = [name for name in metrics if name in set(summary["metric"])]
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
    """What a README shows of a study: the first of the main tables, as they stand in the report."""
    return main_table(summary, labels, references, HEADLINE[:3])


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
        f"Mean over the test cases of n independent units (patients, slides, or cases) "
        f"[{labels.interval()}, over units and, where there are several, training seeds]; the best "
        f"network of a column is bold where there are {BOLD} units or more."
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
    enough = int(panel["n"].max()) >= BOLD if len(panel) else False
    texts = []
    for cell, value in zip(cells, shown, strict=True):
        text = "–" if cell is None else estimate(cell, metric)
        best = enough and better != 0 and np.isfinite(value) and better * value == max(known)
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
        metrics: the table of that name, for the number of undefined scores.
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
        if name not in HEADLINE and measure_of(name).region == region
    ]
    if not names:
        return ""
    header = ["Architecture", "Training", *map(_heading, names)]
    scores = metrics[(metrics["dataset"] == dataset) & metrics["metric"].isin(names)]
    holed = list(dict.fromkeys(trained(scores).loc[trained(scores)["value"].isna(), "metric"]))
    header += [f"{metric_of(name).title} undefined" for name in holed]
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
        texts += [_undefined(scores[scores["metric"] == name], row) for name in holed]
        body.append([escaped(text) for text in texts])
    return grid([escaped(text) for text in header], body, left=2)


def _blind_rows(panel: pd.DataFrame) -> list[Row]:
    blind = panel[panel["network"] == BLIND]
    return [Row(BLIND, "none", name, False) for name in names_in(blind, "sampler")]


def _heading(metric: str) -> str:
    look = metric_of(metric)
    title = look.title.removesuffix(", band")  # the table is of one region
    return title + (f" [{look.unit}]" if look.unit else "")


def _undefined(scores: pd.DataFrame, row: Row) -> str:
    """How many scores of a row do not exist, of how many."""
    mine = (scores["network"] == row.network) & (scores["mode"] == row.mode)
    values = scores["value"][mine & (scores["sampler"] == row.sampler)]
    return f"{int(values.isna().sum())} of {len(values)}" if len(values) else "–"


def comparison_table(comparisons: pd.DataFrame, metric: str, labels: Labels) -> str:
    """Paired differences of one metric: interval, adjusted p-value, what could be seen, verdict."""
    header = [
        "Dataset", "Architecture", "First − second", "Sampler", "n", "Seeds",
        f"Difference [{labels.interval()}]", "Holm p", "Resolvable", "Verdict",
    ]  # fmt: skip
    body = []
    for _, row in comparisons[comparisons["metric"] == metric].iterrows():
        loss = f" ({row['loss']} loss)" if isinstance(row["loss"], str) and row["loss"] else ""
        texts = [
            labels.dataset(str(row["dataset"])),
            labels.network(str(row["network"])),
            " − ".join(labels.mode(str(row[name])) for name in ("first", "second")) + loss,
            str(row["sampler"]),
            number(float(row["n"]), 0),
            number(float(row["seeds"]), 0),
            estimate(row, metric, "difference", sign=True),
            p_text(float(row["p_holm"])),
            number(float(row["resolvable"]), metric_of(metric).digits),
            verdict_text(row, labels),
        ]
        body.append([escaped(text) for text in texts])
    return grid([escaped(text) for text in header], body, left=4)


def p_text(value: float) -> str:
    """A p-value, e.g. ``0.012`` or ``< 0.001``."""
    return "< 0.001" if value < 0.001 else number(value, 3)


def verdict_text(row: pd.Series, labels: Labels) -> str:
    """The verdict of a paired difference with the titles of its modes; a dash if it has none."""
    word = row["verdict"]
    if not isinstance(word, str) or not word:
        return "–"
    for told, side in ((FIRST, "first"), (SECOND, "second")):
        if word.split()[0] == told.split()[0]:
            return f"{labels.mode(str(row[side]))} {word.split()[1]}"
    return word
