"""The tables of a study's analysis and their columns."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from noise2mask.evaluation.pareto import PARETO, REACHED, Cost

DRAWS = (
    "dataset", "network", "mode", "sampler", "draws", "region", "ece_pooled", "ece_pooled_low",
    "ece_pooled_high", "ece", "ece_low", "ece_high", "brier", "iou", "floor",
)  # fmt: skip
"""Columns of the table `draws`."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "losses": (
        "dataset", "network", "mode", "target", "t", "log_snr", "loss", "low", "high", "n",
    ),
    "structure": (
        "dataset", "network", "mode", "target", "t_at_hump", "log_snr_at_hump", "hump_low",
        "hump_high", "depth", "low", "high", "verdict", "n",
    ),
    "information": (
        "dataset", "network", "estimate", "bits", "low", "high", "bits_per_pixel", "q10", "q50",
        "q90", "fit", "n",
    ),
    "integrand": ("dataset", "network", "estimate", "log_snr", "density"),
    "oracles": (
        "dataset", "oracle", "t", "log_snr", "width", "mse_width", "dice", "iou", "mse_x0",
        "mse_eps", "floor",
    ),
    "image_oracles": (
        "dataset", "subject", "t", "log_snr", "width", "explained", "low", "high",
    ),
    "fingerprints": ("dataset", "figure", "mean", "low", "high", "n"),
    "grid": ("mode", "factor", "level"),
    "sweeps": (
        "dataset", "network", "mode", "sampler", "steps", "start", "draws", "metric", "mean",
        "low", "high", "n",
    ),
    "contrasts": (
        "dataset", "network", "first", "second", "sampler", "metric", "first_mean",
        "second_mean", "difference", "low", "high", "p", "p_holm", "n",
    ),
    "hypotheses": (
        "name", "claim", "statistic", "value", "low", "high", "n", "verdict", "detail",
    ),
    "quirks": (
        "quirk", "title", "dataset", "network", "mode", "sampler", "metric", "proper", "published",
        "difference", "low", "high", "p", "n", "against_proper",
    ),
    "claims": ("claim", "statement", "verdict", "numbers", "remark"),
    "draws": DRAWS,
    "references": ("dataset", "network", "note"),
    "costs": Cost._fields,
    "pareto": PARETO,
    "cost_to_reach": REACHED,
}  # fmt: skip
"""Columns of each table, in the order of its CSV file."""


@dataclass(frozen=True, eq=False)
class AnalysisTables:
    """The tables of an analysis; any of them may be empty, with its columns.

    Attributes:
        losses: mean squared error per pixel of eps, x_0 or v at each noise level.
        structure: how far each loss curve is from monotone, the verdict, and its hump.
        information: what the image tells of the mask, and the mask's entropy, bits per mask.
        integrand: where along log SNR these bits lie: bits per mask and unit of log SNR.
        oracles: what can be read of noisy masks without the image, mean over cases.
        image_oracles: share of variance that a filter recovers from noisy masks and images.
        fingerprints: figures of each dataset, in long form.
        grid: the level of each factor in each training of an ablation.
        sweeps: scores of every sampler of every mode.
        contrasts: planned comparisons of two modes, first minus second.
        hypotheses: claims written down before the runs, with verdicts.
        quirks: what published codes do to their own numbers, published minus proper.
        claims: those of the paper, with verdicts.
        draws: calibration as a function of N, with what a perfect sampler would show.
        references: what has to be said beside the numbers of each reference.
        costs: what a mask of each network, mode and sampler costs.
        pareto: quality beside these costs.
        cost_to_reach: the row that reaches a Dice in the least time.
    """

    losses: pd.DataFrame
    structure: pd.DataFrame
    information: pd.DataFrame
    integrand: pd.DataFrame
    oracles: pd.DataFrame
    image_oracles: pd.DataFrame
    fingerprints: pd.DataFrame
    grid: pd.DataFrame
    sweeps: pd.DataFrame
    contrasts: pd.DataFrame
    hypotheses: pd.DataFrame
    quirks: pd.DataFrame
    claims: pd.DataFrame
    draws: pd.DataFrame
    references: pd.DataFrame
    costs: pd.DataFrame
    pareto: pd.DataFrame
    cost_to_reach: pd.DataFrame

    @classmethod
    def empty(cls) -> "AnalysisTables":
        """Every table without a row."""
        return cls(**{name: pd.DataFrame(columns=list(COLUMNS[name])) for name in COLUMNS})
