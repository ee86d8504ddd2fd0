"""A comparison in words and tables, for a terminal or, as Markdown, for a pull request."""

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from math import floor, isfinite, log10
from typing import NamedTuple

from noise2mask.evaluation.differences import SIGNIFICANCE
from noise2mask.evaluation.labels import Labels, metric_of, names_in, number, titled, trained
from noise2mask.report.diff.changes import Change, Score
from noise2mask.report.diff.compare import (
    BETTER,
    HIGHER,
    LOWER,
    UNDECIDED,
    UNPAIRED,
    WITHIN,
    WORSE,
    Compared,
    Comparison,
)
from noise2mask.report.markdown import escaped, grid, padded
from noise2mask.report.tables import p_text

SURE = (BETTER, WORSE, HIGHER, LOWER)
WIDTH = 100  # of paragraphs in a terminal


class Table(NamedTuple):
    """A table; the first `left` columns are aligned left."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int


class Heading(NamedTuple):
    """A heading."""

    text: str


Block = str | Heading | Table


def as_text(comparison: Comparison) -> str:
    """For a terminal: aligned columns, a blank line between blocks."""
    parts = []
    for block in _blocks(comparison):
        if isinstance(block, Table):
            parts.append(_aligned(block))
        else:
            text = block.text if isinstance(block, Heading) else block.replace("**", "")
            parts.append(textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False))
    return "\n\n".join(parts) + "\n"


def as_markdown(comparison: Comparison) -> str:
    """For a pull request."""
    parts = []
    for block in _blocks(comparison):
        if isinstance(block, Table):
            rows = [[escaped(text) for text in row] for row in block.rows]
            parts.append(grid([escaped(text) for text in block.header], rows, block.left).rstrip())
        else:
            parts.append(f"### {escaped(block.text)}" if isinstance(block, Heading) else block)
    return "\n\n".join(parts) + "\n"


def _blocks(comparison: Comparison) -> Iterator[Block]:
    """What is to be said, the verdict first."""
    if not (comparison.differing or comparison.changes or comparison.untouching) and not (
        comparison.only_a or comparison.only_b or comparison.other_cases
    ):
        yield _nothing(comparison)
        return
    yield f"**{_verdict(comparison)}**"
    yield f"A: {comparison.a.title}. B: {comparison.b.title}."
    yield from _other_cases(comparison)
    labels = _labels(comparison)
    for dataset, rows in groupby(comparison.differing, key=lambda one: one.score.dataset):
        yield Heading(labels.dataset(dataset))
        yield _results(list(rows), comparison, labels)
    if comparison.differing:
        yield _explained(comparison)
    yield from _alone(comparison)
    yield from _changes(comparison)


def _nothing(comparison: Comparison) -> str:
    known = comparison.a.record and comparison.b.record
    also = ", and so are settings, code, data and versions" if known else ""
    text = (
        f"Nothing changed from {comparison.a.title} to {comparison.b.title}: all "
        f"{_results_of(comparison.compared)} results are identical in {_metrics(comparison)}{also}."
    )
    return text + "".join(f" {sentence}" for sentence in _unknown(comparison))


def _verdict(comparison: Comparison) -> str:
    """The first line."""
    total = _results_of(comparison.compared)
    sure = [one for one in comparison.compared if one.verdict in SURE]
    head = f"{_results_of(sure) or 'None'} of {total} results changed beyond chance"
    counts = []
    for metric in comparison.metrics:
        for verdict in SURE:
            times = sum((one.score.metric, one.verdict) == (metric, verdict) for one in sure)
            if times:
                counts.append(f"{metric_of(metric).title} {verdict} in {times}")
    unpaired = _results_of([one for one in comparison.compared if one.verdict == UNPAIRED])
    rest = f"{total - _results_of(comparison.differing)} identical"
    rest += f", {unpaired} without a common test case" * bool(unpaired)
    return f"{head}{': ' if counts else ''}{', '.join(counts)}; {rest}."


def _results_of(compared: Sequence[Compared]) -> int:
    return len({one.score[:4] for one in compared})


def _metrics(comparison: Comparison) -> str:
    return ", ".join(metric_of(name).title for name in comparison.metrics)


def _labels(comparison: Comparison) -> Labels:
    """Titles as the reports say them, the second one first."""
    datasets: dict[str, str] = {}
    networks: dict[str, str] = {}
    for report in (comparison.a, comparison.b):
        if report.record is None:
            continue
        for name, data in report.record.datasets.items():
            datasets[name] = titled(data.title, data.stands_for)
        for name, entry in report.record.settings.get("networks", {}).items():
            networks[name] = entry.get("title", name)
    return Labels(datasets, networks, level=comparison.level)


def _other_cases(comparison: Comparison) -> Iterator[str]:
    """Where the test cases are not the same."""
    for dataset, digests, paired, only_a, only_b in comparison.other_cases:
        parts = [f"{paired} paired by id"]
        parts += [f"{only_a} only in A"] * bool(only_a) + [f"{only_b} only in B"] * bool(only_b)
        text = f"**The test cases of {dataset} are not the same**: {', '.join(parts)}"
        if digests[0] != digests[1]:
            text += f"; digest {digests[0]} -> {digests[1]}, so equal ids may be other images"
        yield f"{text}."


def _results(rows: Sequence[Compared], comparison: Comparison, labels: Labels) -> Table:
    """Everything that differs in one dataset."""
    header = [
        "Architecture", "Training", "Sampler", "Metric", "A", "B",
        f"Difference [{labels.interval()}]", "n", "Holm p", "Verdict", "Changes",
    ]  # fmt: skip
    body = []
    for one in rows:
        look = metric_of(one.score.metric)
        body.append(
            [
                labels.network(one.score.network),
                labels.mode(one.score.mode),
                one.score.sampler,
                look.title,
                number(one.before, look.digits),
                number(one.after, look.digits),
                _difference(one),
                str(one.paired) + f" of {one.cases}" * (one.paired < one.cases),
                p_text(one.p_holm),
                one.verdict,
                _numbers(one.score, comparison),
            ]
        )
    return Table(header, body, left=4)


def _difference(one: Compared) -> str:
    """Difference and interval with as many digits as they need, at most six."""
    if one.difference is None:
        return "–"
    found = one.difference.interval()
    digits = metric_of(one.score.metric).digits
    ends = [abs(value) for value in found[:3]]
    small = [value for value in ends if isfinite(value) and value > 0]
    if small:
        digits = min(6, max(digits, 1 - floor(log10(max(small)))))
    mean, low, high = (number(value, digits) for value in found[:3])
    sign = "+" * (found.mean > 0 and float(mean) != 0)
    return f"{sign}{mean}" + (f" [{low}, {high}]" if "–" not in (low, high) else "")


def _numbers(score: Score, comparison: Comparison) -> str:
    """Numbers of the changes that touch a score, runs as ``3-5``."""
    if not (comparison.a.record and comparison.b.record):
        return "?"
    found = [
        number for number, change in enumerate(comparison.changes, 1) if score in change.touches
    ]
    runs: list[list[int]] = []
    for place in found:
        if runs and runs[-1][-1] == place - 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    shown = (f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    return ", ".join(shown) or "none"


def _explained(comparison: Comparison) -> str:
    """What the columns are and what the verdicts mean."""
    tested = [one for one in comparison.differing if isfinite(one.p_holm)]
    grouped = any(
        data.groups
        for report in (comparison.a, comparison.b)
        if report.record
        for data in report.record.datasets.values()
    )
    units = "patients or slides where known, else cases" if grouped else "cases"
    return (
        f"A, B: mean over n test cases, paired by id. Difference: B minus A, "
        f"{100 * comparison.level:g} % interval over {units} and, where both reports have the same "
        f"ones, training seeds ({comparison.resamples} resamples). Holm p: of the same resampling, "
        f"adjusted over the {len(tested)} comparisons that differ. {BETTER}, {WORSE}: the interval "
        f"excludes 0 and Holm p < {SIGNIFICANCE:g}; {UNDECIDED}: not both; {WITHIN}: the interval "
        "holds 0. With one seed, how another training would differ is not in it. Changes: numbers "
        "of what changed and touches the result, below."
    )


def _alone(comparison: Comparison) -> Iterator[str]:
    """Results and metrics that only one report has."""
    for side, results in (("A", comparison.only_a), ("B", comparison.only_b)):
        if results:
            yield f"Only in {side}: {'; '.join(map('/'.join, results))}."
    first, second = (
        names_in(trained(report.metrics), "metric") for report in (comparison.a, comparison.b)
    )
    for side, names, others in (("A", first, second), ("B", second, first)):
        if alone := [name for name in names if name not in others]:
            yield f"Metrics only in {side}: {', '.join(alone)}."


def _changes(comparison: Comparison) -> Iterator[Block]:
    """What differs behind the numbers."""
    yield from _unknown(comparison)
    if not (comparison.a.record and comparison.b.record):
        return
    if not comparison.changes:
        yield "Settings, code, data and versions behind the compared results are the same." + (
            " A result that differs all the same was not made by them alone: its training or "
            "sampling does not repeat itself."
            if comparison.differing
            else ""
        )
    else:
        yield Heading("What changed")
        yield Table(
            ["", "", "What", "A", "B", "Results touched"],
            [_row(place, change, comparison) for place, change in enumerate(comparison.changes, 1)],
            left=5,
        )
        pythons = [change for change in comparison.changes if change.name == "python"]
        if any(change.kind == "code" for change in comparison.changes) and pythons:
            yield (
                "Python changed too, and hashes of code depend on its version: code may be listed "
                "that nobody edited."
            )
    if comparison.untouching:
        yield f"Also changed, without effect on scores: {', '.join(comparison.untouching)}."


def _row(place: int, change: Change, comparison: Comparison) -> list[str]:
    touched = len({score[:4] for score in change.touches})
    share = f"{touched} of {_results_of(comparison.compared)}"
    metrics = {score.metric for score in change.touches}
    if len(metrics) < len(comparison.metrics):
        share += f" ({', '.join(sorted(metric_of(name).title for name in metrics))})"
    return [str(place), change.kind, change.name, change.before, change.after, share]


def _unknown(comparison: Comparison) -> list[str]:
    """A sentence where a report does not say what made it."""
    silent = [report.title for report in (comparison.a, comparison.b) if report.record is None]
    if not silent:
        return []
    return [
        f"Which settings, code and data changed is not known: {' and '.join(silent)} "
        f"{'has' if len(silent) == 1 else 'have'} no provenance.json that this version reads; a "
        "report made again has one."
    ]


def _aligned(table: Table) -> str:
    """A table with columns of equal width, two spaces between them."""
    header, *rows = padded([table.header, *table.rows], table.left)
    lines = [header, ["-" * len(text) for text in header], *rows]
    return "\n".join("  ".join(cells).rstrip() for cells in lines)
