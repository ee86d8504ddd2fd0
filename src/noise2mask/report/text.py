"""The report of a study: one Markdown file and its figures, from tables alone."""

from collections.abc import Collection, Iterator
from dataclasses import fields
from pathlib import Path

from matplotlib.figure import Figure

from noise2mask.evaluation.differences import SIGNIFICANCE, planned
from noise2mask.evaluation.labels import HEADLINE, metric_of, names_in, trained
from noise2mask.evaluation.reliability import expected_gap
from noise2mask.files import write_text
from noise2mask.report.context import ReportInput as ReportInput
from noise2mask.report.context import few, principal, scope, short
from noise2mask.report.figures import index, results
from noise2mask.report.figures.captions import linked
from noise2mask.report.figures.style import save
from noise2mask.report.markdown import (
    comparison_table,
    escaped,
    further_table,
    grid,
    main_table,
    verdict_text,
)
from noise2mask.report.section import section
from noise2mask.report.section_claims import claims_section
from noise2mask.report.section_controls import costs_section, draws_section

PAPER = (
    "*Analysing Diffusion Segmentation for Medical Images* "
    "([arXiv:2403.14440](https://arxiv.org/abs/2403.14440))"
)


def write_report(study: ReportInput, folder: Path) -> None:
    """Write ``report.md`` and ``figures/*.svg`` and ``*.png`` below `folder`.

    Equal input gives equal bytes. Pictures of cases that an earlier report showed are removed when
    `study.examples` is None.

    Raises:
        UserError: the folder cannot be written.
    """
    drawn = set()
    for name, figure in index.figures(study.analysis, study.labels, study.summary):
        save(figure, folder / "figures" / name)
        drawn.add(name)
    for name, figure in _figures(study):
        save(figure, folder / "figures" / name)
    if study.examples is None:
        for kind in ("svg", "png"):
            (folder / "figures" / f"examples.{kind}").unlink(missing_ok=True)
    write_text(folder / "report.md", report_text(study, drawn))


def report_text(study: ReportInput, drawn: Collection[str] = ()) -> str:
    """The Markdown of the report; its pictures lie in ``figures`` beside it.

    Args:
        study: what it is made of.
        drawn: names of the figures of the analysis.
    """
    analysed = any(len(getattr(study.analysis, field.name)) for field in fields(study.analysis))
    scored = len(study.summary) > 0 or not analysed
    parts = [
        f"# Report of study {study.name}\n",
        " ".join(study.description.split()) + "\n",
        _claim(study) if scored else "",
        _missing(study),
        claims_section(study.analysis.claims),
        _results(study) if scored else "",
        _comparisons(study) if scored else "",
        _calibration(study),
        draws_section(study.analysis.draws, study.labels, drawn),
        costs_section(study.analysis.costs, study.analysis.cost_to_reach, study.labels, drawn),
        _examples(study),
        section(study.analysis, study.labels, drawn, study.summary),
        _training(study),
        _further(study),
        _settings(study),
        _reading(study) if scored else "",
        _again(study),
    ]
    return "\n".join(filter(None, parts))


def _figures(study: ReportInput) -> Iterator[tuple[str, Figure]]:
    """Every figure with the name of its file."""
    labels, draws = study.labels, study.analysis.draws
    summary, reliability = principal(study.summary, draws), principal(study.reliability, draws)
    for metric in HEADLINE:
        if few(study) and metric in set(study.summary["metric"]):
            yield f"results_{metric}", results.results(summary, metric, labels)
    if len(planned(study.comparisons)):
        shown = names_in(planned(study.comparisons), "metric")
        yield "comparison", results.comparison(study.comparisons, shown, labels, SIGNIFICANCE)
    for region in names_in(study.reliability, "region") if short(study) else ():
        yield f"reliability_{region}", results.reliability(reliability, region, labels)
    if short(study) and len(study.history):
        yield "training", results.training_curves(study.history, labels)
    if study.examples:
        yield "examples", results.examples(study.examples, labels)


def _claim(study: ReportInput) -> str:
    """What is asked, and in one sentence a metric what was found."""
    compared = len(planned(study.comparisons)) or study.analysis.contrasts.empty
    lines = bool(compared) * [
        f"The question, from {PAPER}: does one and the same architecture segment better, and "
        "above all give better calibrated probabilities, when it is trained by diffusion instead "
        "of feed-forward?\n"
    ]
    family = planned(study.comparisons)
    for metric in names_in(family, "metric"):
        rows = family[(family["metric"] == metric) & (family["loss"] == "own")]
        words = [verdict_text(row, study.labels) for _, row in rows.iterrows()]
        counts = [f"{word} in {words.count(word)}" for word in dict.fromkeys(words)]
        lines.append(
            f"* **{metric_of(metric).title}**, {len(words)} planned comparisons: "
            f"{', '.join(counts)}."
        )
    if study.departures:
        lines += [
            "\nRead these numbers knowing that:\n",
            *(f"* {text}" for text in study.departures),
        ]
    return "\n".join(lines) + "\n"


def _missing(study: ReportInput) -> str:
    if not study.missing:
        return ""
    lines = "\n".join(f"* {line}" for line in study.missing)
    return (
        f"## Missing results: {len(study.missing)}\n\nThese are not there, because they failed or "
        f"have not run; `{study.command}` makes them and keeps what there is.\n\n{lines}\n"
    )


def _results(study: ReportInput) -> str:
    summary = principal(study.summary, study.analysis.draws)
    table = main_table(summary, study.labels, study.analysis.references)
    parts = [f"## Results\n\n{table}"]
    for metric in HEADLINE:
        if few(study) and metric in set(study.summary["metric"]):
            caption = (
                f"{metric_of(metric).title}: mean over test cases with {study.labels.interval()}, "
                "a marker for each training of an architecture, open for a further sampler. Axes "
                "differ between datasets."
            )
            parts.append(linked(f"results_{metric}", caption))
    return "\n".join(parts)


def _comparisons(study: ReportInput) -> str:
    """Planned comparisons, and what they could have seen."""
    family, labels = planned(study.comparisons), study.labels
    parts = ["## Planned comparisons: diffusion minus feed-forward\n"]
    if family.empty and len(study.analysis.contrasts):
        return ""
    if family.empty:
        return "\n".join([*parts, "There is no planned comparison yet.\n"])
    parts.append(
        "Paired by test case and seed; intervals and p-values are from the same resampling over "
        f"independent units and seeds, p adjusted by Holm over all {len(family)} comparisons of "
        "this section. The verdict is undecided unless the interval excludes 0 and the adjusted p "
        f"is below {SIGNIFICANCE:g}; where so few units could never get there it says so. "
        "Resolvable is the smallest difference that four of five such studies would find. With its "
        "own loss each is trained as published, with a matched loss both alike.\n"
    )
    for metric in names_in(family, "metric"):
        parts.append(f"**{metric_of(metric).title}**\n")
        parts.append(comparison_table(family, metric, labels))
    parts.append(
        linked(
            "comparison",
            f"Difference diffusion minus feed-forward with {labels.interval()}; to the right "
            "diffusion is better. Filled: significant after Holm's correction.",
        )
    )
    return "\n".join(parts)


def _calibration(study: ReportInput) -> str:
    """Reliability diagrams of each region."""
    parts = []
    where = {"all": "all pixels", "band": "the band about the reference boundary"}
    for region in names_in(study.reliability, "region") if short(study) else ():
        caption = (
            f"Reliability over {where.get(region, region)}, all test cases pooled: share of "
            "foreground against mean probability of each bin, and the pixels in it. ECE here is "
            "pooled; the tables give its mean over cases."
        )
        parts.append(linked(f"reliability_{region}", caption))
    return "\n".join(["## Calibration\n", *parts]) if parts else ""


def _examples(study: ReportInput) -> str:
    if not study.examples:
        return ""
    caption = (
        "Test cases with the reference (contour), the mean probability of each training, and the "
        "standard deviation of the draws for each pixel."
    )
    return f"## Examples\n\n{linked('examples', caption)}"


def _training(study: ReportInput) -> str:
    if study.history.empty or not short(study):
        return ""
    caption = (
        "Loss (thin) and validation loss (thick) of each training; the star is the chosen "
        "checkpoint. The two modes have different losses: compare shapes, not heights."
    )
    return f"## Training\n\n{linked('training', caption)}"


def _further(study: ReportInput) -> str:
    """Tables of the other metrics, dataset by dataset."""
    parts = []
    for dataset in names_in(study.summary, "dataset"):
        for region, where in (("all", "all pixels"), ("band", "band about the boundary")):
            table = further_table(study.summary, study.metrics, dataset, region, study.labels)
            if table:
                parts.append(f"**{study.labels.dataset(dataset)}**, {where}\n\n{table}")
    if not parts:
        return ""
    text = (
        "Means over test cases; their intervals and numbers of cases are in `summary.csv`, every "
        "single score is in `metrics.csv`. HD95 does not exist where a mask is empty: such cases "
        "are counted and left out of its mean.\n"
    )
    return "\n".join(["## Further metrics\n", text, *parts])


def _settings(study: ReportInput) -> str:
    settings = [[escaped(label), escaped(value)] for label, value in study.settings]
    datasets = [
        [escaped(text) or "–" for text in (note.title, note.stands_for, note.licence)]
        for note in study.datasets
    ]
    header = ["Dataset", "Stands in for", "Licence"]
    return (
        "## Scale and settings\n\n"
        "What the paper used for T, sampler, learning rate, number of steps, resolution, number of "
        "draws and bins could not be found; the values below are choices of this study.\n\n"
        f"{grid(['Setting', 'Value'], settings, left=2)}\n{grid(header, datasets, left=3)}"
    )


def _reading(study: ReportInput) -> str:
    """What to keep in mind."""
    found = trained(study.summary)
    used = {study.labels.draws.get(name, 1) for name in names_in(found, "sampler")}
    floors = [f"{expected_gap(draws):.3f} for N = {draws}" for draws in sorted(used) if draws > 1]
    floor = f" (where all probabilities are equally frequent: {', '.join(floors)})" * bool(floors)
    lines = [
        "* **N.** A draw has a value in [0, 1] at each pixel, and the mean of N draws is scored. "
        "Where draws are nearly binary their mean is close to a multiple of 1/N, so ECE stays "
        f"above 0 even for a perfect sampler{floor}. Compare ECE at equal N; one feed-forward pass "
        "gives a probability that is not quantised.",
        "* **Background.** Pixels far from any boundary are many and easy, which keeps ECE over "
        "all pixels small; the band about the boundary shows more.",
        "* **n.** " + scope(study),
    ]
    stand_ins = [note.title for note in study.datasets if note.stands_for]
    if stand_ins:
        lines.append(
            f"* **Stand-ins.** {', '.join(stand_ins)}: these show that the laboratory works, and "
            "how two trainings compare on them; they say nothing about the numbers on the data "
            "that they replace."
        )
    return "\n".join(["## How to read this\n", *lines]) + "\n"


def _analysed(study: ReportInput) -> str:
    """Names of the files of the analysis."""
    tables = (field.name for field in fields(study.analysis))
    return "".join(f", `{name}.csv`" for name in tables if len(getattr(study.analysis, name)))


def _again(study: ReportInput) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in study.versions.items())
    return (
        f"## How to make this again\n\n```\n{study.command}\n```\n\n"
        "The tables behind every number lie beside this file: `summary.csv`, `comparisons.csv`, "
        "`metrics.csv`, `history.csv`, `reliability.csv`, `datasets.csv`"
        f"{_analysed(study)}. `metrics.json` holds the "
        "means of the main table, `provenance.json` what made the numbers: settings, data, code "
        f"and versions; `noise2mask diff` compares them.\n\nMade with {versions}.\n"
    )
