"""The part of a study's report that is about the analysis: Markdown, from its tables alone."""

import math
from collections.abc import Collection

import pandas as pd

from noise2mask.analysis.ablation import MARGIN, levels
from noise2mask.evaluation.columns import AnalysisTables
from noise2mask.evaluation.differences import SIGNIFICANCE, planned
from noise2mask.evaluation.labels import HEADLINE, Labels, metric_of, names_in, trained
from noise2mask.report.figures.captions import (
    ABLATION,
    CONTRASTS,
    INFORMATION,
    LOSSES,
    MASKS,
    QUIRKS,
    linked,
    others,
    pictures,
)
from noise2mask.report.markdown import comparison_table, escaped
from noise2mask.report.section_quirks import masks_table, points_table
from noise2mask.report.tables import (
    CURVES,
    curve,
    doubts,
    effect_table,
    fingerprint_table,
    hypothesis_table,
    information_table,
    steps_table,
    structure_table,
)

METHODS = "[docs/analysis.md](../../docs/analysis.md)"
VERDICTS = ("confirmed", "refuted", "undecided", "not tested")
MAIN_EFFECTS = HEADLINE[:2]


def section(
    tables: AnalysisTables, labels: Labels, figures: Collection[str], summary: pd.DataFrame
) -> str:
    """The Markdown of the analysis; nothing where there is neither a table nor a figure.

    A sub-section is left out when its table is empty and it has no figure.

    Args:
        tables: of the analysis.
        labels: names to be shown.
        figures: names of the figures that lie in ``figures`` beside the report, each as ``.png``
            and ``.svg``: ``loss_<target>_<log_snr or t>``, ``integrand``, ``noising``,
            ``masks_beside_images``, ``readability``, ``atlas``, ``widths``,
            ``geometry_against_death``, and, each with ``_<metric>``, ``heat_maps``, ``steps``,
            ``starts``, ``contrasts``, ``quirks``. Others stand at the end under their names.
        summary: the table of that name.
    """
    parts = [
        _hypotheses(tables.hypotheses, labels),
        _losses(tables, labels, figures),
        _information(tables.information, labels, figures),
        _masks(tables.fingerprints, labels, figures),
        _ablation(tables, trained(summary), labels, figures),
        _contrasts(tables.contrasts, labels, figures),
        _quirks(tables.quirks, labels, figures),
        _others(figures),
    ]
    shown = [part for part in parts if part]
    if not shown:
        return ""
    text = (
        "Definitions, decision rules and limits are in "
        f"{METHODS}. Log SNR is the natural logarithm of A/(1 - A) for masks of levels -1 and +1; "
        "intervals are from a bootstrap over test cases.\n"
    )
    return "\n".join(["## Analysis\n", text, *shown])


def _joined(title: str, parts: list[str]) -> str:
    shown = [part for part in parts if part]
    return "\n".join([f"### {title}\n", *shown]) if shown else ""


def _counts(verdicts: pd.Series) -> str:
    """Verdicts in numbers, those that occur, e.g. ``confirmed in 2, undecided in 1``."""
    found = [(word, int((verdicts == word).sum())) for word in VERDICTS]
    return ", ".join(f"{word} in {count}" for word, count in found if count)


def _hypotheses(hypotheses: pd.DataFrame, labels: Labels) -> str:
    if hypotheses.empty:
        return ""
    text = (
        "Statements and rules were written down before the runs, unless a remark says otherwise: "
        "confirmed if interval and p-value lie wholly inside what is claimed, refuted if wholly "
        "outside, undecided otherwise. Of "
        f"{len(hypotheses)}: {_counts(hypotheses['verdict'])}.\n"
    )
    details = [
        f"* **{escaped(str(row['name']))}** " + escaped(f"{row['numbers']} ({row['remark']})")
        for _, row in hypotheses.iterrows()
        if isinstance(row["numbers"], str) and row["numbers"].strip()
    ]
    listed = "\n".join(details) + "\n" if details else ""
    return _joined("Hypotheses", [text, hypothesis_table(hypotheses, labels), listed])


def _losses(tables: AnalysisTables, labels: Labels, figures: Collection[str]) -> str:
    """Is the loss of eps non-monotonic for masks, and monotonic for images?"""
    structure = tables.structure
    varied = ~structure["mode"].isin(CURVES) & structure["mode"].isin(tables.grid["mode"])
    # Beside a training on eps, E3 is the one on x_0: its loss of eps is none of that training.
    beside = structure["mode"] == "image_free"
    beside &= "eps_diffusion" in set(structure["mode"])
    shown = structure[(structure["target"] == "eps") & ~varied & ~beside]
    parts = pictures(LOSSES, labels, figures)
    if len(shown):
        parts.append(f"{_claim(shown, labels)}\n")
        parts.append(
            "The depth is the smaller of the largest rise and the largest fall along the axis, as "
            "a share of what is reached; 0 is monotone. It is about the loss of eps: that of x_0 "
            "is another multiple of the same error at each noise level. Other targets, the "
            "trainings of an ablation and E3, trained on x_0, are in `structure.csv`.\n"
        )
        parts.append(structure_table(shown, labels))
    return _joined("Loss along the noise axis", parts)


def _claim(shown: pd.DataFrame, labels: Labels) -> str:
    """A sentence each kind of curve: in how many datasets the claim holds."""
    lines = []
    known = [mode for mode in CURVES if mode in set(shown["mode"])]
    for mode in known + [name for name in names_in(shown, "mode") if name not in CURVES]:
        rows = shown[shown["mode"] == mode]
        verdicts = rows.groupby("dataset", sort=False)["verdict"].agg(_unanimous)
        claim = "non-monotonic"
        if mode == "image_diffusion":
            # The claim about images is the opposite of what the verdict is about.
            claim = "monotonic"
            verdicts = verdicts.replace({"confirmed": "refuted", "refuted": "confirmed"})
        number, title = len(verdicts), escaped(curve(mode, labels))
        lines.append(
            f"* **{title[:1].upper()}{title[1:]}**: claimed to be {claim}; "
            f"{_counts(verdicts)} of {number} dataset{'s' * (number != 1)}."
        )
    return "\n".join(lines)


def _unanimous(verdicts: pd.Series) -> str:
    """The verdict that all networks of a dataset share, undecided otherwise."""
    return str(verdicts.iloc[0]) if len(set(verdicts)) == 1 else "undecided"


def _information(information: pd.DataFrame, labels: Labels, figures: Collection[str]) -> str:
    parts = pictures(INFORMATION, labels, figures)
    if len(information):
        parts.append(
            "Bits per mask are the covariance estimate of the mutual information of mask and "
            "image; difference and orthogonal estimate are the same quantity computed otherwise, "
            "their gap says how far the two networks are from their optima. Both mask entropies "
            "are upper bounds. The last column gives the log SNR below which 10, 50 and 90 % of "
            "the bits lie.\n"
        )
        parts.append(information_table(information, labels))
        warnings = [f"* {escaped(text)}" for text in doubts(information, labels)]
        if warnings:
            parts.append("**Not to be trusted:**\n")
            parts.append("\n".join(warnings) + "\n")
    return _joined("What the image tells, in bits", parts)


def _masks(fingerprints: pd.DataFrame, labels: Labels, figures: Collection[str]) -> str:
    parts = []
    if len(fingerprints):
        parts.append(
            "Where the Dice of the best Gaussian filter on the noisy mask alone falls below 0.9, "
            "below 0.5, and half-way from 1 to that of all foreground; masks that are lost first "
            "(at high log SNR) come first. A dash: it does not fall so far. All figures with their "
            "intervals are in `fingerprints.csv`; lengths are in pixels of the study's "
            "resolution.\n"
        )
        parts.append(fingerprint_table(fingerprints, labels))
    return _joined("Masks without the image", parts + pictures(MASKS, labels, figures))


def _ablation(
    tables: AnalysisTables, summary: pd.DataFrame, labels: Labels, figures: Collection[str]
) -> str:
    parts = []
    if len(tables.grid):
        parts.append(_design(tables.grid))
        effects = effect_table(tables.grid, summary, MAIN_EFFECTS)
        if effects:
            parts.append(
                "Means over the trainings of a level, and its effect against the base with the "
                "other factors held equal (least squares, no interactions); datasets and networks "
                "count alike. There are no intervals here: differences of single trainings are no "
                "finding, the planned contrasts are.\n"
            )
            parts.append(effects)
    steps = steps_table(summary, tables.grid, labels)
    if steps:
        parts.append(
            f"**Steps that suffice**: the least number of sampling steps within {100 * MARGIN:g} "
            "Dice point of the best number, of the most steps tried; equal numbers of draws.\n"
        )
        parts.append(steps)
    title = "Ablation" if len(tables.grid) else "Sampling steps"
    return _joined(title, parts + pictures(ABLATION, labels, figures))


def _design(design: pd.DataFrame) -> str:
    """The design of an ablation in words."""
    known = levels(design)
    points, combinations = design["mode"].nunique(), math.prod(map(len, known.values()))
    base = {factor: found[0] for factor, found in known.items()}
    changed = design["level"].astype(str) != design["factor"].map(base)
    alone = changed.groupby(design["mode"]).sum().max() <= 1
    way = " Each training changes one factor of the base at most." if alone else ""
    factors = [
        f"* {escaped(factor)}: **{escaped(found[0])}**"
        + "".join(f", {escaped(level)}" for level in found[1:])
        for factor, found in known.items()
    ]
    return (
        f"{points} trainings for each dataset and network, of {combinations} combinations of "
        f"{len(known)} factors; base levels are bold.{way}\n\n" + "\n".join(factors) + "\n"
    )


def _contrasts(contrasts: pd.DataFrame, labels: Labels, figures: Collection[str]) -> str:
    parts = []
    family = planned(contrasts)
    if len(contrasts):
        parts.append(
            "Paired by test case and seed; intervals and p-values are from the same resampling "
            f"over independent units and seeds, p adjusted by Holm over all {len(family)} "
            "comparisons that have a verdict. It is undecided unless the interval excludes 0 and "
            f"the adjusted p is below {SIGNIFICANCE:g}; metrics without one are for description.\n"
        )
    for metric in [name for name in HEADLINE if name in set(contrasts["metric"])]:
        parts.append(f"**{metric_of(metric).title}**\n")
        parts.append(comparison_table(contrasts, metric, labels))
    return _joined("Planned contrasts", parts + pictures(CONTRASTS, labels, figures))


def _quirks(quirks: pd.DataFrame, labels: Labels, figures: Collection[str]) -> str:
    parts = []
    if len(quirks):
        parts.append(
            "Each alone, published minus proper, in Dice points (hundredths) with the "
            f"{labels.interval()} over groups of test cases and seeds; paired by case and seed. "
            "Above 0 the published way makes the score better, whatever it does to the masks. "
            "Other metrics, and p-values that are not adjusted, are in `quirks.csv`.\n"
        )
        parts.append(points_table(quirks, labels))
    against = masks_table(quirks, labels)
    if against:
        parts.append(
            "Where the quirk changes the reference masks too, the last column scores the same "
            "predictions against the proper ones.\n"
        )
        parts.append(against)
    return _joined("Published quirks", parts + pictures(QUIRKS, labels, figures))


def _others(figures: Collection[str]) -> str:
    """Figures that no sub-section knows: a new one is seen before it has its place."""
    return _joined(
        "Further figures", [linked(each, each.replace("_", " ")) for each in others(figures)]
    )
