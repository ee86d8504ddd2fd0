"""What claims are decided on, made up: a small study and any of its tables."""

from dataclasses import replace

import numpy as np
import pandas as pd

from noise2mask.analysis.claims.evidence import Evidence
from noise2mask.analysis.claims.verdicts import concluded
from noise2mask.analysis.information.curves import MEASURED
from noise2mask.analysis.oracles.oracles import COLUMNS as ORACLES
from noise2mask.evaluation.bootstrap import Resampling
from noise2mask.evaluation.columns import AnalysisTables, empty
from noise2mask.evaluation.differences import Pair, comparison_table
from noise2mask.evaluation.pooled import SUMS
from noise2mask.study.schema import Study

FEW = Resampling(399)
DATA = ("lesion", "nuclei", "tissue")
SETTINGS = {
    "description": "made up",
    "resolution": 32,
    "datasets": {
        "lesion": {"kind": "phantoms", "title": "lesion", "stands_for": "ISIC16"},
        "nuclei": {"kind": "phantoms", "title": "nuclei", "stands_for": "MoNuSeg"},
        "tissue": {"kind": "phantoms", "title": "tissue"},
    },
    "networks": {
        "ensemdiff": {"architecture": "ensemdiff", "title": "EnsemDiff"},
        "segdiff": {"architecture": "segdiff", "title": "SegDiff"},
    },
    "modes": {
        "feed_forward": {"mode": "feed_forward", "samplers": ["one_pass"]},
        "diffusion": {"mode": "diffusion", "samplers": ["ddim10"]},
        "dice_diffusion": {"mode": "dice_diffusion", "samplers": ["ddim10"]},
        "eps": {"mode": "diffusion"},
        "e4": {"mode": "image_diffusion"},
        "posterior": {"mode": "posterior"},
        "posterior_free": {"mode": "posterior_free"},
    },
    "samplers": {
        "one_pass": {"sampler": "one_pass"},
        "ddim10": {"sampler": "ddim", "steps": 10, "draws": 5},
    },
    "diffusion": {"target": "eps"},
    "training": {"steps": 100, "batch": 8},
    "analysis": {
        "measured": ["eps", "e4", "posterior", "posterior_free"],
        "pair": {"with_image": "posterior", "without_image": "posterior_free"},
    },
}
NO_HISTOGRAMS = pd.DataFrame(
    columns=["dataset", "network", "mode", "sampler", "seed", "case", "region", "bin", *SUMS]
)


def study_of(**changes):
    return Study.model_validate(SETTINGS | changes)


STUDY = study_of()


def evidence(
    study=STUDY,
    metrics=None,
    *,
    histograms=NO_HISTOGRAMS,
    summary=None,
    history=None,
    measured=None,
    of_oracles=None,
    groups=None,
    resampling=FEW,
    **analysis,
):
    """Evidence of these tables; all others are without a row."""
    metrics = empty("metrics") if metrics is None else metrics
    pairs = [
        Pair("diffusion", "feed_forward", "own"),
        Pair("dice_diffusion", "feed_forward", "matched"),
    ]
    tables = replace(AnalysisTables.empty(), **analysis)
    nothing = pd.DataFrame(columns=[*MEASURED, "clipped"])
    return Evidence(
        study=study,
        metrics=metrics,
        histograms=histograms,
        summary=empty("summary") if summary is None else summary,
        comparisons=comparison_table(
            metrics, histograms, pairs, groups or {}, resampling=Resampling(1999)
        ),
        history=empty("history") if history is None else history,
        analysis=tables,
        measured=nothing if measured is None else measured.assign(clipped=measured["error"]),
        oracles=pd.DataFrame(columns=["dataset", *ORACLES]) if of_oracles is None else of_oracles,
        groups=groups or {},
        resampling=resampling,
    )


def judged(function, known, **options):
    """The finding of a claim's function, whatever the conditions on its networks."""
    outcome = function(known, **options)
    stated = {name: str(value) for name, value in options.items()} | outcome.stated
    return concluded(function.said, outcome._replace(stated=stated))


def flat_history(modes, *, networks=("segdiff",), datasets=DATA, last=0.0):
    """Histories of trainings whose validation loss changes by a share over the last fifth."""
    rows = []
    for dataset in datasets:
        for network in networks:
            for mode in modes:
                for step in range(10, 1001, 10):
                    late = max(0.0, (step - 800) / 200)
                    loss = 0.1 * (1 + np.exp(-step / 60) + last * late)
                    rows.append((dataset, network, mode, 0, step, "val_loss", loss))
    return pd.DataFrame(rows, columns=list(empty("history").columns))
