"""The figures of an analysis, each under the name that its caption is found by."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from skimage import data
from skimage.color import rgb2gray

from noise2mask.data.formats import phantoms
from noise2mask.data.resize import resize_image, resize_mask
from noise2mask.evaluation.columns import AnalysisTables
from noise2mask.evaluation.labels import Labels, names_in, trained
from noise2mask.report.figures import ablation, differences, fingerprints, noise_axis
from noise2mask.report.figures.cost import quality_against_cost
from noise2mask.report.figures.draw_count import calibration
from noise2mask.report.figures.noising import noising

SHOWN = ("dice", "iou", "ece")
"""Metrics that are drawn."""
E3 = "image_free"
"""Beside trainings on eps, one on x_0: its loss of eps is a thousandfold at little noise."""
OF_EPS = ("eps_diffusion", "image_diffusion")
"""Trained on eps: their loss of x_0 is a hundredfold where little else than noise is left."""
MANY = 4
"""Datasets from which on an atlas says more than a panel for each."""
REGIONS: tuple[Literal["all", "band"], ...] = ("all", "band")
BESIDE = 4
"""Ways to probabilities that stand beside calibration at each N."""
SIDE = 128
"""Of the pictures that are noised, px."""


def figures(
    tables: AnalysisTables, labels: Labels, summary: pd.DataFrame | None = None
) -> Iterator[tuple[str, Figure]]:
    """Every figure that the tables allow, with the name of its file.

    Args:
        tables: of the analysis.
        labels: names to be shown.
        summary: the table of that name, for what stands beside calibration at each N.
    """
    for region in REGIONS if len(tables.draws) else ():
        others = None if summary is None else _beside(tables.draws, summary)
        yield f"draws_{region}", calibration(tables.draws, others, region, labels)
    if len(tables.pareto):
        yield "quality_against_cost", quality_against_cost(tables.pareto, labels)
    if len(tables.losses):
        modes = tables.losses["mode"]
        beside = E3 if modes.isin(OF_EPS).any() else None
        of_eps = tables.losses[modes != beside]
        for axis in ("log_snr", "t"):
            yield (
                f"loss_eps_{axis}",
                noise_axis.losses(of_eps, "eps", labels, structure=tables.structure, axis=axis),
            )
        of_x_0 = tables.losses[~modes.isin(OF_EPS)]
        yield "loss_x_0_log_snr", noise_axis.losses(of_x_0, "x_0", labels)
    if len(tables.integrand):
        yield "integrand", noise_axis.integrand(tables.integrand, tables.information, labels)
    if len(tables.oracles) and len(tables.losses):
        yield "noising", noised_phantom()
    if len(tables.oracles):
        yield from _of_masks(tables, labels)
    if summary is not None:
        yield from _of_scores(tables, labels, trained(summary))


def noised_phantom() -> Figure:
    """A phantom's mask and a photograph of scikit-image (CC0) under the same noise."""
    source = phantoms.sources(family="nuclei", count=3, size=SIDE, seed=1)[0]
    _, mask = phantoms.load(source)
    photograph = rgb2gray(resize_image(data.coffee()[:, 100:500], (SIDE, SIDE)))
    standardised = (photograph - photograph.mean()) / photograph.std()
    return noising(resize_mask(mask, (SIDE, SIDE)).astype(bool), np.asarray(standardised))


def _beside(draws: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Other ways to the same networks' probabilities, those `BESIDE` with the least pooled ECE."""
    same = summary["network"].isin(draws["network"]) & ~summary["mode"].isin(draws["mode"])
    others = summary[same]
    means = others[others["metric"] == "ece_pooled"].groupby(["mode", "sampler"])["mean"].mean()
    best = set(means.nsmallest(BESIDE).index)
    kinds = pd.Series(zip(others["mode"], others["sampler"], strict=True), index=others.index)
    return others[kinds.isin(best)]


def _of_masks(tables: AnalysisTables, labels: Labels) -> Iterator[tuple[str, Figure]]:
    datasets = names_in(tables.oracles, "dataset")
    yield "masks_beside_images", noise_axis.masks_beside_images(tables.image_oracles, labels)
    if len(datasets) < MANY:
        yield "readability", noise_axis.readability(tables.oracles, labels)
    else:
        yield (
            "geometry_against_death",
            fingerprints.geometry_against_death(tables.fingerprints, labels),
        )
    yield "atlas", fingerprints.atlas(tables.oracles, tables.fingerprints, labels)
    yield "widths", fingerprints.widths(tables.oracles, labels)


def _of_scores(
    tables: AnalysisTables, labels: Labels, sweeps: pd.DataFrame
) -> Iterator[tuple[str, Figure]]:
    for metric in SHOWN:
        if len(tables.grid):
            yield (
                f"heat_maps_{metric}",
                ablation.heat_maps(tables.grid, _usual(sweeps), metric, labels),
            )
        if len(tables.contrasts):
            yield (
                f"contrasts_{metric}",
                ablation.contrasts(tables.contrasts, metric, labels),
            )
        if len(tables.quirks):
            yield f"quirks_{metric}", differences.quirks(tables.quirks, metric, labels)
    whole = sweeps[sweeps["start"].isna()]
    counts = whole.groupby("mode")["steps"]
    varied = counts.transform("nunique") > 2
    if varied.any():  # beside them a mode of a single step is a level to compare with
        shown = whole[varied | (counts.transform("max") == 1)]
        yield "steps_dice", ablation.steps(shown, "dice", labels)
    if sweeps["start"].notna().any():
        yield "starts_dice", ablation.starts(sweeps, "dice", labels)


def _usual(sweeps: pd.DataFrame) -> pd.DataFrame:
    """The rows of each mode's first sampler."""
    first = sweeps.groupby("mode", sort=False)["sampler"].transform("first")
    return sweeps[sweeps["sampler"] == first]
