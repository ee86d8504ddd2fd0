"""The tables of a study: the columns of every CSV, and which of them are text."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

import pandas as pd


class Cost(NamedTuple):
    """A row of ``costs.csv``: what a network in one mode with one sampler costs.

    A mask is the fused result of all N draws of one case. An empty cell is not known.

    Attributes:
        network: name of the network or reference.
        mode: name of the mode.
        sampler: name of the sampler or reading.
        steps: evaluations of the network in one draw.
        draws: N, of all trainings together.
        trainings: how many trained networks take part, 1 but for a deep ensemble.
        parameters: learnt numbers of all that take part.
        macs_encoding: multiply-adds of what depends on the image alone, of one network.
        macs_evaluation: multiply-adds of one evaluation without the encoding.
        encodings_per_mask: times that an image (or a view of it) is encoded.
        evaluations_per_mask: evaluations of a network.
        macs_per_mask: multiply-adds.
        seconds_per_training_step: median, of the mode; the same for all its samplers.
        cases_at_once: cases drawn together where seconds, memory and energy were measured.
        seconds_per_mask: median.
        peak_memory_mb: most memory held while drawing, weights included, 10^6 bytes.
        energy_per_mask_j: of the whole processor (with its memory) or GPU, idle parts included.
        device: name of the processor or GPU.
        threads: of torch.
    """

    network: str
    mode: str
    sampler: str
    steps: int
    draws: int
    trainings: int
    parameters: int
    macs_encoding: int
    macs_evaluation: int
    encodings_per_mask: int
    evaluations_per_mask: int
    macs_per_mask: int
    seconds_per_training_step: float | None
    cases_at_once: int
    seconds_per_mask: float
    peak_memory_mb: float | None
    energy_per_mask_j: float | None
    device: str
    threads: int


_DIFFERENCE = "difference low high p p_holm resolvable n seeds verdict*"
_COMPARISON = f"""loss* dataset* network* first* second* sampler* metric* first_mean second_mean
    {_DIFFERENCE}"""
_VERDICT = """name* statement* verdict* objective* value low high p n seeds scope* numbers*
    remark*"""

# A star marks text: a case may be called 001 or NA.
_TABLES: Mapping[str, str] = {
    # Of one training and sampler
    "metrics": "study* dataset* network* mode* seed sampler* steps* draws case* metric* value",
    "against_proper": "dataset* network* mode* seed sampler* case* metric* value",
    # Of the scores of a study; the histograms of single cases have sums in place of means
    "summary": """dataset* network* mode* sampler* steps start draws metric* mean low high n cases
        seeds""",
    "comparisons": _COMPARISON,
    "history": "dataset* network* mode* seed step name* value",
    "reliability": "dataset* network* mode* sampler* region* bin count confidence frequency",
    "datasets": "name* title* stands_for* licence* train val test test_images digest*",
    # Of its analysis
    "losses": "dataset* network* mode* target* t log_snr loss low high n",
    "structure": """dataset* network* mode* target* t_at_hump log_snr_at_hump hump_low hump_high
        depth low high verdict* n""",
    "information": """dataset* network* estimate* bits low high bits_per_pixel q10 q50 q90
        fit n""",
    "integrand": "dataset* network* estimate* log_snr density",
    "oracles": "dataset* oracle* t log_snr width mse_width dice iou mse_x0 mse_eps floor",
    "image_oracles": "dataset* subject* t log_snr width explained low high",
    "fingerprints": "dataset* figure* mean low high n",
    "grid": "mode* factor* level*",
    "contrasts": _COMPARISON,
    "hypotheses": _VERDICT,
    "quirks": f"""quirk* title* dataset* network* mode* sampler* metric* proper published
        against_proper {_DIFFERENCE}""",
    "grown_masks": "dataset* resolution dice low high area n",
    "claims": _VERDICT,
    "draws": """dataset* network* mode* sampler* draws region* ece_pooled ece_pooled_low
        ece_pooled_high ece ece_low ece_high brier iou spread grey floor""",
    "references": "dataset* network* note*",
    "costs": " ".join(
        f"{name}{'*' if kind is str else ''}" for name, kind in Cost.__annotations__.items()
    ),
    "pareto": """dataset* network* mode* sampler* steps draws dice low high ece macs_per_mask
        seconds_per_mask front""",
    "cost_to_reach": "dataset* level network* mode* sampler* dice seconds_per_mask macs_per_mask",
}

COLUMNS: Mapping[str, tuple[str, ...]] = {
    name: tuple(column.removesuffix("*") for column in columns.split())
    for name, columns in _TABLES.items()
}
"""Columns of each table, in the order of its CSV file."""

DIFFERENCE = tuple(column.removesuffix("*") for column in _DIFFERENCE.split())
"""Columns of every paired difference: its interval, p-values, the smallest difference that four of
five such studies would find, independent units, seeds of trainings, verdict."""

TEXT: Mapping[str, frozenset[str]] = {
    name: frozenset(column.removesuffix("*") for column in columns.split() if column[-1] == "*")
    for name, columns in _TABLES.items()
}
"""Columns of each table that stay text, whatever they look like."""

ANYWHERE = frozenset().union(*TEXT.values()) - frozenset(
    column for name, columns in COLUMNS.items() for column in columns if column not in TEXT[name]
)
"""Columns that are text wherever they occur, for tables of single stages."""


def empty(name: str) -> pd.DataFrame:
    """A table without a row."""
    return pd.DataFrame(columns=list(COLUMNS[name]))


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
        contrasts: planned comparisons of two modes, first minus second.
        hypotheses: claims written down before the runs, with verdicts.
        quirks: what published codes do to their own numbers, published minus proper.
        grown_masks: Dice of interpolated against proper masks, and their areas, by resolution.
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
    contrasts: pd.DataFrame
    hypotheses: pd.DataFrame
    quirks: pd.DataFrame
    grown_masks: pd.DataFrame
    claims: pd.DataFrame
    draws: pd.DataFrame
    references: pd.DataFrame
    costs: pd.DataFrame
    pareto: pd.DataFrame
    cost_to_reach: pd.DataFrame

    @classmethod
    def empty(cls) -> "AnalysisTables":
        """Every table without a row."""
        return cls(**{field.name: empty(field.name) for field in fields(cls)})
