"""Tables of an analysis that never ran."""

from dataclasses import replace

import numpy as np
import pandas as pd

from noise2mask.evaluation.columns import COLUMNS, AnalysisTables
from noise2mask.evaluation.labels import Labels

LABELS = Labels(datasets={"nuclei": "nuclei | small", "lesion": "lesion phantom"})


def frame(name, rows):
    return pd.DataFrame(rows, columns=list(COLUMNS[name]))


def structure_of(verdicts):
    """A row for each (dataset, network, mode, target, verdict)."""
    return frame(
        "structure",
        [
            (dataset, network, mode, target, 310.4, -0.43, -0.61, -0.2, 0.71, 0.64, 0.8, word, 12)
            for dataset, network, mode, target, word in verdicts
        ],
    )


def information_of(
    dataset="lesion",
    *,
    difference=100.0,
    orthogonal=110.0,
    own=400.0,
    bound=390.0,
    fit=2.0,
    reach=4.0,
):
    bits = {
        "difference": difference, "orthogonal": orthogonal,
        "covariance": (difference + orthogonal) / 2, "gap": orthogonal - difference,
        "entropy": own, "entropy_oracle": bound,
    }  # fmt: skip
    return frame(
        "information",
        [
            (dataset, "segdiff", name, value, value - reach, value + reach, value / 1024,
             *((-5.04, -2.5, 0.3, fit) if name == "covariance" else 4 * (np.nan,)), 12)
            for name, value in bits.items()
        ],
    )  # fmt: skip


def fingerprints_of(half):
    rows = []
    for dataset, place in half.items():
        found = {
            "log_snr_at_90": place + 2, "log_snr_at_50": np.nan, "log_snr_at_half": place,
            "hump_log_snr": 0.25, "boundary_per_area": 0.2, "objects": 3.0, "foreground": 0.3,
        }  # fmt: skip
        rows += [
            (dataset, name, value, value - 0.5, value + 0.5, 9) for name, value in found.items()
        ]
    return frame("fingerprints", rows)


def grid_of(points):
    """Trainings g0, g1, ... from mappings of factor to level."""
    return frame(
        "grid",
        [
            (f"g{number}", factor, level)
            for number, point in enumerate(points)
            for factor, level in point.items()
        ],
    )


def sweeps_of(scores, *, dataset="lesion", sampler="ddim", start=np.nan):
    """Rows from (mode, steps, draws, metric, mean)."""
    return frame(
        "sweeps",
        [
            (dataset, "segdiff", mode, sampler, steps, start, draws, metric, mean,
             mean - 0.02, mean + 0.02, 12)
            for mode, steps, draws, metric, mean in scores
        ],
    )  # fmt: skip


def scored(points, score, metric="iou"):
    """Scores of trainings g0, g1, ... as a function of their levels."""
    return sweeps_of([(f"g{k}", 10, 5, metric, score(point)) for k, point in enumerate(points)])


def contrast(metric="iou", difference=0.03, p_holm=0.02, first="diffusion", second="feed_forward"):
    return (
        "lesion", "segdiff", first, second, "ddim", metric, 0.8, 0.8 - difference, difference,
        difference - 0.02, difference + 0.02, 0.01, p_holm, 12,
    )  # fmt: skip


POINTS = (
    {"schedule": "linear", "b": "1"},
    {"schedule": "cosine", "b": "1"},
    {"schedule": "linear", "b": "0.3"},
)

TABLES = replace(
    AnalysisTables.empty(),
    hypotheses=frame(
        "hypotheses",
        [
            ("P1", "hump | where", "shift", 0.21, 0.05, 0.4, 12, "confirmed", "lesion: 0.21;\nok"),
            ("P2", "T does not matter", "ratio", *3 * (np.nan,), np.nan, "not tested", "one T"),
            ("P3", "ranks", "Spearman", 0.5, -0.4, 1.0, 3, "undecided", ""),
        ],
    ),
    structure=structure_of(
        [
            ("lesion", "segdiff", "image_free", "eps", "confirmed"),
            ("nuclei", "segdiff", "image_free", "eps", "undecided"),
            ("lesion", "segdiff", "image_diffusion", "eps", "refuted"),
            ("lesion", "segdiff", "image_free", "x_0", "refuted"),
            ("lesion", "segdiff", "g1", "eps", "confirmed"),
        ]
    ),
    information=information_of(),
    fingerprints=fingerprints_of({"lesion": -6.0, "nuclei": -2.0}),
    grid=grid_of(POINTS),
    sweeps=sweeps_of(
        [
            (f"g{k}", steps, 5, metric, value + 0.1 * k)
            for k in range(3)
            for steps in (10, 100)
            for metric, value in (("iou", 0.5), ("ece", 0.05), ("dice", 0.7))
        ]
    ),
    contrasts=frame("contrasts", [contrast(), contrast("ece"), contrast("dice", p_holm=np.nan)]),
)
