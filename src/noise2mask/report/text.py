"""The text of a report, ``report.md``: a template filled with sentences and tables."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jinja2
import pandas as pd

from noise2mask.evaluation.labels import (
    BLIND,
    CLASSICAL,
    HEADLINE,
    UNTRAINED,
    Row,
    headline_rows,
    metric_of,
    modes_in,
    names_in,
    rows_of,
    trained,
)
from noise2mask.evaluation.reliability import expected_gap
from noise2mask.report.answers import answers
from noise2mask.report.context import Report, scope
from noise2mask.report.figures.index import Shown, in_report
from noise2mask.report.markdown import as_markdown, escaped
from noise2mask.report.settings import departures_of, kind_of_data, scale_of
from noise2mask.report.tables import (
    against_table,
    doubts,
    effect_table,
    finding_table,
    fingerprint_table,
    further_rows,
    grown_table,
    information_table,
    metric_table,
    quirk_table,
    score,
    steps_table,
)

TABLES = 2
"""Metrics of the main table: the first that are scored; a figure and the page show the others."""
ACROSS = 4
"""Datasets side by side: what a page of a code host holds without scrolling."""
UNSPOKEN = ("not tested", "cannot be decided")
"""Verdicts of what a study cannot speak to."""


class Written(NamedTuple):
    """A table of the text, with what stands about it."""

    title: str
    text: str
    note: str = ""
    way: str = ""


class Findings(NamedTuple):
    """Claims and predictions: those with a verdict, and a line about the others."""

    table: str
    silent: str


def environment(*, html: bool = False) -> jinja2.Environment:
    """What templates of this package are filled by; a name that is not there is a mistake."""
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("noise2mask", "report"), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=html,
    )  # fmt: skip
    found.filters["upper_first"] = lambda text: text[:1].upper() + text[1:]
    found.filters["lower_first"] = lambda text: text[:1].lower() + text[1:]
    return found


def report_text(report: Report, shown: Sequence[Shown] = ()) -> str:
    """The Markdown of a report; its pictures lie in ``figures`` beside it."""
    results = list(_results(report))
    return environment().get_template("report.md.j2").render(
        name=report.name,
        data=kind_of_data(report.study),
        scale=scale_of(report.study),
        description=" ".join(report.study.description.split()),
        question=report.question,
        answers=answers(report),
        missing=report.record.missing,
        command=report.command,
        figures=in_report(shown, report.study.pictures.figures),
        picture=_picture,
        findings=_findings(report),
        results=results,
        under_results=_under_results(report) if results else "",
        further=_further(report),
        tables=list(_own_tables(report)),
        cautions=list(cautions(report)),
    )  # fmt: skip


def readme_block(report: Report) -> str:
    """What a README shows of a study: the main table, as it stands in the report."""
    tables = [f"**{one.title}** ({one.way})\n\n{one.text}" for one in _results(report)]
    return "\n".join([*tables, _under_results(report)])


def _picture(shown: Shown) -> str:
    """A figure with its caption and what to look at."""
    caption = escaped(shown.caption)
    short = caption.partition(":")[0].partition(";")[0].partition(",")[0]
    return f"![{short}](figures/{shown.name}.png)\n\n*{caption}* {escaped(shown.entry.look)}"


def _findings(report: Report) -> Findings | None:
    """Claims of the paper and predictions; what the study cannot speak to takes one line."""
    found = report.findings
    if found.empty:
        return None
    silent = found["verdict"].isin(UNSPOKEN)
    line = f"This study cannot speak to {', '.join(map(str, found.loc[silent, 'name']))}."
    table = finding_table(found[~silent], numbers=True)
    return Findings(as_markdown(table), line if silent.any() else "")


def _results(report: Report) -> Iterator[Written]:
    """The main table: a part each metric, and of many datasets some side by side."""
    datasets = report.datasets
    for metric in _metrics(report.summary):
        parts = [
            as_markdown(
                metric_table(
                    report.summary, metric, report.labels, datasets[start : start + ACROSS],
                    report.winners, _is_usual,
                )
            )
            for start in range(0, len(datasets), ACROSS)
        ]  # fmt: skip
        look = metric_of(metric)
        yield Written(
            look.title,
            "\n".join(parts),
            way=f"{'higher' if look.better > 0 else 'lower'} is better",
        )


def _metrics(summary: pd.DataFrame) -> list[str]:
    """Of the headline metrics, the first that a study scores: those that are tested, if it can."""
    scored = set(summary["metric"])
    return [name for name in HEADLINE if name in scored][:TABLES]


def _is_usual(row: Row) -> bool:
    return not row.extra


def _further(report: Report) -> Written | None:
    """Samplers and readings beside the usual ones."""
    shown = _metrics(report.summary)
    titles = " / ".join(metric_of(name).title for name in shown)
    parts = []
    for start in range(0, len(report.datasets), ACROSS):
        part = report.datasets[start : start + ACROSS]
        table = report.summary[report.summary["dataset"].isin(part)]
        parts.append(as_markdown(further_rows(table, shown, report.labels)))
    text = "\n".join(filter(None, parts))
    return Written(titles, text) if text else None


def _under_results(report: Report) -> str:
    """What the numbers of the main table are."""
    summary, labels = report.summary, report.labels
    text = [f"Mean over n test cases [{labels.interval()}]."]
    if report.winners:
        text.append("Bold: better beyond chance in every planned comparison of its row.")
    usual = trained(summary).drop_duplicates(["network", "mode"])
    drawn: dict[str, list[str]] = {}
    for mode in modes_in(usual):
        count = labels.drawn(names_in(usual[usual["mode"] == mode], "sampler"))
        if count:
            drawn.setdefault(count, []).append(labels.mode(mode))
    if drawn:
        told = "; ".join(f"{count} ({'; '.join(modes)})" for count, modes in drawn.items())
        text.append(f"Scored is the mean of N draws: {told}.")
    if BLIND in set(summary["network"]):
        text.append("Image-blind: for each score the better of mean mask and all foreground.")
    if CLASSICAL in set(summary["network"]):
        text.append(
            "Classical: for each score the best of Otsu's threshold, clusters of colours and a "
            "pixel classifier, all fitted on train and val."
        )
        text += [_beaten_by_floors(report)]
    notes = reference_notes(report)
    return " ".join(filter(None, [*text, *notes]))


def _beaten_by_floors(report: Report) -> str:
    """How many trainings have no higher mean Dice than a floor, by dataset."""
    summary, labels = report.summary, report.labels
    dice = summary[summary["metric"] == "dice"]
    parts = []
    for dataset in names_in(trained(dice), "dataset"):
        panel = dice[dice["dataset"] == dataset]
        floors = panel[panel["network"].isin(UNTRAINED)]
        if floors.empty:
            continue
        highest = float(floors["mean"].max())
        shown = [score(panel, row) for row in headline_rows(rows_of(panel))]
        means = [float(row["mean"]) for row in shown if row is not None]
        below = sum(not mean > highest for mean in means)
        if below:
            title = labels.dataset(dataset).partition(" (for ")[0]
            parts.append(f"{title} {below} of {len(means)} ({highest:.3f})")
    return f"Trainings no better in Dice than the best floor: {'; '.join(parts)}." if parts else ""


def reference_notes(report: Report) -> list[str]:
    """What each baseline says of itself, a sentence each; a note of some datasets names them."""
    sentences, labels = [], report.labels
    for network, rows in report.tables["references"].groupby("network", sort=False):
        everywhere, notes = set(rows["dataset"]), []
        for note, same in rows.groupby("note", sort=False):
            told = str(note)
            if set(same["dataset"]) != everywhere:
                told += f" ({', '.join(map(labels.dataset, same['dataset']))})"
            notes.append(told)
        sentences.append(f"{labels.network(str(network))}: {'; '.join(notes)}.")
    return sentences


def _own_tables(report: Report) -> Iterator[Written]:
    """The tables of the study's own question; those of others are on the page."""
    own, tables, labels = report.topics[:1], report.tables, report.labels
    if "quirks" in own:
        note = (
            "Each alone, published minus proper, in points (hundredths) with the "
            f"{labels.interval()}; above 0 the published way makes the score better, whatever it "
            "does to the masks."
        )
        points = quirk_table(tables["quirks"], "dice", labels)
        yield Written("Published quirks, Dice points", as_markdown(points), note)
        against = against_table(tables["quirks"], "dice", labels)
        if against:
            note = "The same predictions, scored against the masks that the quirk did not change."
            yield Written("Quirks that change the masks", as_markdown(against), note)
        grown = grown_table(tables["grown_masks"], labels)
        if grown:
            note = (
                "Masks interpolated, then > 0, against proper ones of the same resolution: masks "
                f"alone, no network, all splits. Dice with the {labels.interval()} over units."
            )
            yield Written("How far masks grow", as_markdown(grown), note)
    if "ablation" in own:
        effects = effect_table(tables["grid"], tables["summary"], _metrics(tables["summary"]))
        note = (
            "Means over the trainings of a level, and its effect against the base with the other "
            "factors held equal. There are no intervals here: the planned contrasts are the test."
        )
        if effects:
            yield Written("Effects of single settings", as_markdown(effects), note)
        steps = steps_table(tables["summary"], tables["grid"], labels)
        if steps:
            note = "The least number of steps within a Dice point of the best of those tried."
            yield Written("Sampling steps that suffice", as_markdown(steps), note)
    if "information" in own:
        note = (
            "The covariance estimate of the mutual information of mask and image; difference and "
            "orthogonal are the same computed otherwise. Both mask entropies are upper bounds."
        )
        table = information_table(tables["information"], labels)
        yield Written("What the image tells, in bits", as_markdown(table), note)
    if "masks" in own:
        note = (
            "Where the Dice of the best Gaussian filter on the noisy mask alone falls below 0.9, "
            "below 0.5, and half-way to that of all foreground. A dash: it does not fall so far."
        )
        table = fingerprint_table(tables["fingerprints"], labels)
        yield Written("Masks without the image", as_markdown(table), note)


def cautions(report: Report) -> Iterator[str]:
    """What to keep in mind with these numbers."""
    yield scope(report)
    if report.datasets:
        yield from departures_of(report.study)
        found = trained(report.summary)
        used = {report.labels.draws.get(name, 1) for name in names_in(found, "sampler")}
        floors = [f"{expected_gap(n):.3f} (N = {n})" for n in sorted(used) if n > 1][:1]
        if floors:
            yield (
                "The mean of N masks is a multiple of 1/N, so even a perfect sampler has an ECE: "
                f"{floors[0]} where all probabilities are equally frequent."
            )
    if len(doubts(report.tables["information"], report.labels)):
        yield "Bits marked *not to be trusted* come from networks far from their optima."
