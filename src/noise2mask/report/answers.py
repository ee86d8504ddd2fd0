"""What came out of a study, in a sentence each, from its tables alone."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pandas as pd

from noise2mask.analysis.fingerprints.likeness import correlations
from noise2mask.evaluation.bootstrap import FEW
from noise2mask.evaluation.differences import planned
from noise2mask.evaluation.labels import metric_of, names_in
from noise2mask.report.context import Report, Topic
from noise2mask.report.tables import doubts, ranged, signed, spread

LOSSES = {"own": "each with its own loss,", "matched": "both with one loss,"}
"""What is told of the losses of two trainings that are compared."""
MANY = 6
"""Datasets or comparisons from which on only those that stand out are told."""


class Answer(NamedTuple):
    """A sentence with its first words, and the topic that it speaks to."""

    topic: Topic
    head: str
    text: str


def answers(report: Report) -> list[Answer]:
    """What came out, the study's own question first."""
    makers: dict[Topic, Callable[[Report], Iterator[tuple[str, str]]]] = {
        "quirks": _quirks,
        "contrasts": _contrasts,
        "paper": _paper,
        "draws": _draws,
        "information": _information,
        "masks": _masks,
    }
    told = {"information", "masks"} if len(report.tables["claims"]) else set()  # C4 to C6 say it
    return [
        Answer(topic, head, text)
        for topic in report.topics
        if topic in makers and (topic not in told or topic == report.topics[0])
        for head, text in makers[topic](report)
    ]


def _paper(report: Report) -> Iterator[tuple[str, str]]:
    """Diffusion against feed-forward, a sentence each planned metric and one of pooled ECE."""
    table = report.tables["comparisons"]
    family = planned(table)
    losses = names_in(family, "loss")
    first, second = (report.labels.mode(str(family[side].iloc[0])) for side in _SIDES)

    def parts(table: pd.DataFrame, word: str, told: Callable[[pd.DataFrame, str], str]) -> str:
        """What is told of the rows of each loss; the first says what is counted."""
        found: list[str] = []
        for loss in losses:
            rows = table[table["loss"] == loss]
            if rows.empty:
                continue
            head = f"{LOSSES[loss]} " if len(losses) > 1 else ""
            better, of = ("", "") if found else (f" {word}", " pairs of dataset and architecture")
            digits = metric_of(str(rows["metric"].iloc[0])).digits
            found.append(f"{head}{told(rows, better)} of {len(rows)}{of} ({_span(rows, digits)})")
        return "; ".join(found)

    def decided(rows: pd.DataFrame, better: str) -> str:
        wins = [_wins(rows, side) for side in _SIDES]
        return f"{first}{better} in {wins[0]}, {second} in {wins[1]}, {_rest(rows)}"

    for metric in names_in(family, "metric"):
        rows = family[family["metric"] == metric]
        yield metric_of(metric).title, f"{parts(rows, 'better', decided)}."
    pooled = table[(table["metric"] == "ece_pooled") & table["difference"].notna()]

    def lower(rows: pd.DataFrame, better: str) -> str:
        return f"{first}{better} in {int((rows['difference'] < 0).sum())}"

    text = parts(pooled, "lower", lower)
    if text:
        yield f"{metric_of('ece_pooled').title}, no proper score and not tested", f"{text}."


def _contrasts(report: Report) -> Iterator[tuple[str, str]]:
    """Planned contrasts; of many those that are beyond chance somewhere, and how many are not."""
    family = planned(report.tables["contrasts"])
    silent = []
    pairs = list(dict.fromkeys(zip(family["first"], family["second"], strict=True)))
    for first, second in pairs:
        rows = family[(family["first"] == first) & (family["second"] == second)]
        title = f"{report.labels.mode(first)} − {report.labels.mode(second)}"
        if not any(_wins(rows, side) for side in _SIDES) and len(pairs) >= MANY:
            silent.append(title)
            continue
        parts = []
        for metric in names_in(rows, "metric"):
            one = rows[rows["metric"] == metric]
            parts.append(
                f"{metric_of(metric).title} better in {_wins(one, 'first')}, worse in "
                f"{_wins(one, 'second')} of {len(one)} ({_span(one, metric_of(metric).digits)})"
            )
        yield title, f"{'; '.join(parts)}."
    if silent:
        yield "Undecided everywhere", f"{'; '.join(silent)}."


def _quirks(report: Report) -> Iterator[tuple[str, str]]:
    """What each quirk does to Dice."""
    table = report.tables["quirks"]
    table = table[table["metric"] == "dice"]
    for quirk in names_in(table, "quirk"):
        rows = table[table["quirk"] == quirk]
        points = 100 * rows["difference"]
        low, high = (_signed(float(value), 1) for value in (points.min(), points.max()))
        yield (
            str(rows["title"].iloc[0]),
            f"{low} to {high} Dice points, up beyond chance in {_wins(rows, 'first')}, down in "
            f"{_wins(rows, 'second')} of {len(rows)}.",
        )


def _draws(report: Report) -> Iterator[tuple[str, str]]:
    """Calibration from the smallest N to the largest."""
    table = report.tables["draws"]
    table = table[table["region"] == "all"]
    parts, counts = [], sorted(set(table["draws"]))
    for dataset in names_in(table, "dataset"):
        rows = table[table["dataset"] == dataset].sort_values("draws", kind="stable")
        ends = [
            spread(row.to_dict(), "ece_pooled", 3, ends=("ece_pooled_low", "ece_pooled_high"))
            for row in (rows.iloc[0], rows.iloc[-1])
        ]
        title = report.labels.dataset(dataset).partition(" (for ")[0]
        parts.append(f"{title} {' to '.join(ends)}")
    title = metric_of("ece_pooled").title
    yield f"More draws (N = {counts[0]} to {counts[-1]})", f"{title}: {'; '.join(parts)}."


def _information(report: Report) -> Iterator[tuple[str, str]]:
    """Bits that the image tells."""
    table = report.tables["information"]
    rows = table[table["estimate"] == "covariance"].sort_values("bits", kind="stable")
    shown = rows if len(rows) < MANY else pd.concat([rows.head(1), rows.tail(1)])
    parts = [
        f"{ranged(row, 'bits')} ({report.labels.dataset(str(row['dataset']))})"
        for row in shown.to_dict("records")
    ]
    text = f"{'; '.join(parts)} bits of a mask"
    text = f"from {' to '.join(parts)} bits of a mask" if len(rows) >= MANY else text
    doubted = len({sentence.split(":")[0] for sentence in doubts(table, report.labels)})
    warning = f"; {doubted} of {len(rows)} estimates are not to be trusted" if doubted else ""
    yield "The image tells", f"{text}{warning}."


def _masks(report: Report) -> Iterator[tuple[str, str]]:
    """Which masks are lost first, and what goes with it."""
    table = report.tables["fingerprints"]
    half = table[table["figure"] == "log_snr_at_half"].dropna(subset=["mean"])
    half = half.sort_values("mean", ascending=False, kind="stable")
    if half.empty:
        return
    parts = [
        f"{report.labels.dataset(str(row['dataset']))} at log SNR "
        + spread(row.to_dict(), "mean", 1)
        for row in (half.iloc[0], half.iloc[-1])
    ]
    text = f"first {parts[0]}, last {parts[1]}" if len(half) > 1 else parts[0]
    if table["dataset"].nunique() >= FEW:
        found = correlations(table, level=report.labels.level)
        for row in found[found["figure"] == "boundary_per_area"].to_dict("records"):
            if math.isfinite(row["rank_correlation"]):
                text += (
                    "; rank correlation with boundary per area "
                    f"{spread(row, 'rank_correlation', 2)}, {int(row['n'])} datasets"
                )
    yield "Masks are lost under noise", f"{text}."


_SIDES = ("first", "second")


def _wins(rows: pd.DataFrame, side: str) -> int:
    return int((rows["verdict"].str.partition(" ")[0] == side).sum())


def _rest(rows: pd.DataFrame) -> str:
    """How many are undecided, and how many could not be decided."""
    left = len(rows) - sum(_wins(rows, side) for side in _SIDES)
    unable = int(rows["verdict"].str.startswith("cannot").sum())
    undecided = f"undecided in {left - unable}"
    return f"{undecided}, too few units to decide in {unable}" if unable else undecided


def _span(rows: pd.DataFrame, digits: int) -> str:
    """The least and the largest difference."""
    values = rows["difference"].dropna()
    if values.empty:
        return "–"
    low, high = (_signed(float(value), digits) for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def _signed(value: float, digits: int) -> str:
    return signed(value, digits).replace("-", "−")
