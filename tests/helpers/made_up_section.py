"""Tables of an analysis that never ran."""

from dataclasses import replace

import numpy as np
import pandas as pd

from noise2mask.evaluation.columns import COLUMNS, AnalysisTables
from noise2mask.evaluation.labels import Labels, metric_of

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
    """Rows of a summary from (mode, steps, draws, metric, mean)."""
    return frame(
        "summary",
        [
            (dataset, "segdiff", mode, sampler, steps, start, draws, metric, mean,
             mean - 0.02, mean + 0.02, 12, 12, 1)
            for mode, steps, draws, metric, mean in scores
        ],
    )  # fmt: skip


def scored(points, score, metric="iou"):
    """Scores of trainings g0, g1, ... as a function of their levels."""
    return sweeps_of([(f"g{k}", 10, 5, metric, score(point)) for k, point in enumerate(points)])


def contrast(metric="iou", difference=0.03, p_holm=0.02, first="diffusion", second="feed_forward"):
    gain = difference * metric_of(metric).better
    word = "first better" if gain > 0 else "second better"
    word = "" if np.isnan(p_holm) else word if p_holm < 0.05 else "undecided"
    return (
        "", "lesion", "segdiff", first, second, "ddim", metric, 0.8, 0.8 - difference, difference,
        difference - 0.02, difference + 0.02, 0.01, p_holm, 0.04, 12, 1, word,
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
            (
                "P1",
                "hump | where",
                "confirmed",
                "shift",
                0.21,
                0.05,
                0.4,
                0.01,
                12,
                1,
                "these trained networks (1 seed)",
                "lesion: 0.21;\nok",
                "small",
            ),
            (
                "P2",
                "T does not matter",
                "not tested",
                "ratio",
                *4 * (np.nan,),
                0,
                0,
                "",
                "",
                "one T",
            ),
            ("P3", "ranks", "undecided", "Spearman", 0.5, -0.4, 1.0, 0.4, 3, 1, "", "", ""),
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
    contrasts=frame("contrasts", [contrast(), contrast("ece"), contrast("dice", p_holm=np.nan)]),
)
SWEEPS = sweeps_of(
    [
        (f"g{k}", steps, 5, metric, value + 0.1 * k)
        for k in range(3)
        for steps in (10, 100)
        for metric, value in (("iou", 0.5), ("ece", 0.05), ("dice", 0.7))
    ]
)
