"""A made-up study with every part of a page, and the page of it."""

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import vl_convert
from helpers.made_up_report import STUDY, analysis, made_up, record, scores
from helpers.made_up_tables import QUICK

from noise2mask.evaluation.columns import COLUMNS
from noise2mask.report.cases import Walk
from noise2mask.report.context import Report
from noise2mask.report.page.build import page
from noise2mask.report.provenance import Data, Drawn, Record, Trained

LEVELS = (4.0, 1.0, -2.0, -5.0)
TIMES = (100, 400, 700, 900)


@pytest.fixture(scope="session", autouse=True)
def bundled_once():
    """Bundling the library of the charts takes a second, and gives the same each time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vl_convert, "javascript_bundle", cache(vl_convert.javascript_bundle))
        yield


@pytest.fixture(scope="session")
def report() -> Report:
    """Scores of three datasets, three networks and two modes, with curves along the noise."""
    tables = scores() | {
        "losses": _losses(), "integrand": _integrand(), "oracles": _oracles(),
        "fingerprints": _fingerprints(), "pareto": _pareto(), "claims": _claims(),
        "hypotheses": analysis()["hypotheses"],
    }  # fmt: skip
    found = made_up(STUDY, **tables)
    return replace(found, record=_record(), walks=[_walk(found)])


@pytest.fixture(scope="session")
def page_file(report, tmp_path_factory) -> Path:
    """Its page, alone in a folder."""
    folder = tmp_path_factory.mktemp("page")
    path = folder / "index.html"
    path.write_text(page(report, folder / "figures"), encoding="utf-8")
    return path


def _frame(name: str, rows: list[dict[str, object]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS[name]))


def _losses() -> pd.DataFrame:
    return _frame(
        "losses",
        [
            {"dataset": dataset, "network": "ensemdiff", "mode": mode, "target": target,
             "t": t, "log_snr": level, "loss": loss, "low": 0.9 * loss, "high": 1.1 * loss, "n": 12}
            for dataset in QUICK for mode in ("feed_forward", "diffusion")
            for target, weight in (("eps", 1.0), ("x_0", 2.0), ("v", 3.0))
            for t, level, loss in zip(TIMES, LEVELS, weight * np.exp(-np.arange(4.0)), strict=True)
        ],
    )  # fmt: skip


def _integrand() -> pd.DataFrame:
    return _frame(
        "integrand",
        [
            {"dataset": dataset, "network": "ensemdiff", "estimate": estimate, "log_snr": level,
             "density": math.exp(-((level - place) ** 2) / 8)}
            for place, dataset in enumerate(QUICK)
            for estimate in ("covariance", "difference", "orthogonal") for level in LEVELS
        ],
    )  # fmt: skip


def _oracles() -> pd.DataFrame:
    return _frame(
        "oracles",
        [
            {"dataset": dataset, "oracle": "gaussian", "t": t, "log_snr": level, "width": 1.0,
             "dice": 1 / (1 + math.exp(-level - place)), "floor": 0.1}
            for place, dataset in enumerate(QUICK)
            for t, level in zip(TIMES, LEVELS, strict=True)
        ],
    )  # fmt: skip


def _fingerprints() -> pd.DataFrame:
    return _frame(
        "fingerprints",
        [
            {"dataset": dataset, "figure": figure, "mean": value + place, "low": value + place - 1,
             "high": value + place + 1, "n": 9}
            for place, dataset in enumerate(QUICK)
            for figure, value in (
                ("log_snr_at_half", -4.0), ("log_snr_at_90", -1.0), ("hump_log_snr", 0.25),
                ("boundary_per_area", 1.5), ("objects", 3.0), ("foreground", 2.0),
            )
        ],
    )  # fmt: skip


def _pareto() -> pd.DataFrame:
    return _frame(
        "pareto",
        [
            {"dataset": dataset, "network": "ensemdiff", "mode": mode, "sampler": sampler,
             "steps": steps, "draws": draws, "dice": 0.8, "low": 0.7, "high": 0.9, "ece": 0.05,
             "macs_per_mask": 10**9, "seconds_per_mask": 0.01 * steps, "front": True}
            for dataset in QUICK
            for mode, sampler, steps, draws in (
                ("feed_forward", "one_pass", 1, 1), ("diffusion", "ddim10", 10, 5)
            )
        ],
    )  # fmt: skip


def _claims() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("C1", "Diffusion < is & better.", "refuted", "IoU", -0.009, -0.014, -0.005, 0.01, 12,
             1, "these networks", "in 0 of 9; and more", "small"),
            ("C2", "Baselines beat all.", "not tested", "", *4 * (math.nan,), 0, 0, "", "", ""),
            ("C6", "Timesteps idle.", "confirmed", "", *4 * (math.nan,), 0, 0, "",
             "Idle 0.29 (all but t = 65 to 777; 0.3 of the axis); nuclei 0.1", ""),
        ],
        columns=["name", "statement", "verdict", "objective", "value", "low", "high", "p", "n",
                 "seeds", "scope", "numbers", "remark"],
    )  # fmt: skip


def _record() -> Record:
    """With the data and trainings that the numbers of the main table lead to."""
    data = {
        name: Data(
            title=name.replace("_", " "), stands_for="", licence="CC0", kind="phantoms",
            part="preparing phantoms", digest=f"data of {name}", digests={},
            counts={"train": 9, "val": 3, "test": 12}, images=12, groups={},
        )
        for name in QUICK
    }  # fmt: skip
    trainings = {
        f"{dataset}/{network}/{mode}/seed0": Trained(
            run=f"run of {network}", code="0123abcd", part=f"training {network} {mode}",
            current=True, versions={},
            samplers={
                name: Drawn(settings=f"settings of {name}", part="sampling")
                for name in (sampler, "staple")
            },
        )
        for dataset in QUICK for network in STUDY.networks
        for mode, sampler in (("feed_forward", "one_pass"), ("diffusion", "ddim10"))
    }  # fmt: skip
    return record().model_copy(update={"datasets": data, "trainings": trainings})


def _walk(report: Report) -> Walk:
    """The first case at every level, read perfectly with its image and not at all without."""
    assert report.cases
    case = report.cases[0]
    signed = np.where(case.mask, 1.0, -1.0)
    shape = (len(LEVELS), *case.mask.shape)
    return Walk(
        case.dataset, case.case, np.array(TIMES), np.array(LEVELS),
        np.broadcast_to(signed, shape).astype(np.float16), np.full(shape, 128, np.uint8),
        np.broadcast_to(255 * case.mask, shape).astype(np.uint8),
    )  # fmt: skip
