"""Claims of the paper on scores: made-up scores whose verdict is known, and null controls."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_evidence import DATA, evidence, judged, study_of

from noise2mask.analysis.claims.evidence import find
from noise2mask.analysis.claims.paper_scores import c1a, c1a_matched, c1b, c2
from noise2mask.evaluation.columns import COLUMNS

NETWORKS = ("ensemdiff", "segdiff")
SAMPLERS = {
    "feed_forward": "one_pass", "diffusion": "ddim10", "dice_diffusion": "ddim10",
    "reference": "prediction",
}  # fmt: skip
BASELINES = {
    name: {"kind": name, "title": name} for name in ("nnunet", "segformer")
}  # at the budget of their authors
STUDY = study_of(baselines=BASELINES, comparisons={"matched": [["dice_diffusion", "feed_forward"]]})


def turned(rows):
    """The rows from last to first, since their order must not matter."""
    return rows.iloc[::-1]


def metrics_of(level, *, cases=30, spread=0.02, networks=NETWORKS, draw=3):
    """Scores from `level(dataset, network, mode, metric)`; None leaves a training out."""
    generator, rows = np.random.default_rng(draw), []
    trainings = [*product(networks, ("feed_forward", "diffusion", "dice_diffusion"))]
    trainings += [("nnunet", "reference"), ("segformer", "reference")]
    for dataset, (network, mode) in product(DATA, trainings):
        for metric in ("dice", "iou", "ece", "brier", "nll"):
            mean = level(dataset, network, mode, metric)
            if mean is None:
                continue
            where = ("s", dataset, network, mode, 0, SAMPLERS[mode], 10, 5 if "diff" in mode else 1)
            noise = generator.normal(0, spread, cases)
            rows += [
                (*where, f"c{case}", metric, mean + each)
                for case, each in enumerate(noise - noise.mean())
            ]
    return pd.DataFrame(rows, columns=list(COLUMNS["metrics"]))


def gains(**gain):
    """Scores in which diffusion is higher by so much, in one dataset or all."""

    def level(dataset, network, mode, metric):
        if mode == "reference":
            return None
        more = gain.get(metric, 0.0)
        more = more.get(dataset, 0.0) if isinstance(more, dict) else more
        factor = {"feed_forward": 0, "diffusion": 1, "dice_diffusion": 0.5}[mode]
        return 0.5 + factor * more

    return metrics_of(level)


# C1 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gain", "verdict", "better"),
    [(0.05, "confirmed", 6), (-0.05, "refuted", 0), (0.0, "undecided", 0)],
)
def test_c1a_follows_the_difference_in_iou(gain, verdict, better):
    metrics = gains(iou=gain)
    found = judged(c1a, evidence(STUDY, metrics))
    assert found.verdict == verdict
    assert (found.name, found.objective, found.seeds) == ("C1a", "IoU", 1)
    assert found.scope == "these trained networks (1 seed)"
    assert f"Diffusion better in {better} of 6 pairs" in found.numbers
    assert f"IoU: {gain:+.4f}" in found.numbers or gain == 0
    assert "3 datasets (2 standing in for the paper's), 90 independent units" in found.remark
    assert "diffusion with N = 5; feed-forward with N = 1" in found.remark
    assert "images seen in training equal, diffusion 800, feed-forward 800" in found.remark
    again = judged(c1a, evidence(STUDY, turned(metrics)))
    assert (again.verdict, again.low, again.high) == (found.verdict, found.low, found.high)


def test_spread_and_grey_share_stand_beside_what_is_said_of_draws():
    rows = [
        (dataset, "segdiff", "diffusion", "ddim10", 10, np.nan, 5, metric, mean, 0, 1, 9, 9, 1)
        for dataset, more in (("lesion", 0.0), ("nuclei", 0.01))
        for metric, mean in (("spread", 0.02 + more), ("grey", 0.25))
    ]
    summary = pd.DataFrame(rows, columns=list(COLUMNS["summary"]))
    found = judged(c1a, evidence(STUDY, gains(iou=0.05), summary=summary))
    assert "diffusion with N = 5, spread between draws 0.02 to 0.03, grey share of a draw 0.25" in (
        found.remark
    )


def test_c1_is_told_for_a_matched_loss_too():
    known = evidence(STUDY, gains(iou=0.06))
    assert judged(c1a_matched, known).value == pytest.approx(0.03)
    assert judged(c1a_matched, known).verdict == "confirmed"
    alone = evidence(study_of(), gains(iou=0.06))
    assert find("claim", "c1a_matched", alone, {}).verdict == "not tested"


@pytest.mark.parametrize(
    ("brier", "nll", "verdict"),
    [
        (-0.05, -0.05, "confirmed"),  # lower is better
        (0.05, 0.05, "refuted"),
        (0.0, 0.0, "undecided"),
        (-0.05, 0.0, "undecided"),
        (-0.05, 0.05, "refuted"),
    ],
)
def test_c1b_is_decided_on_proper_scores(brier, nll, verdict):
    found = judged(c1b, evidence(STUDY, gains(brier=brier, nll=nll, ece=-0.2)))
    assert found.verdict == verdict  # whatever ECE says
    assert found.objective.startswith("Brier score and NLL: ")
    assert "Beside it ECE per case: -0.2000" in found.numbers
    assert "opposite signs" in found.remark


def test_c1b_takes_the_proper_scores_that_there_are():
    metrics = gains(brier=-0.05)
    assert judged(c1b, evidence(STUDY, metrics[metrics["metric"] != "nll"])).verdict == "confirmed"
    without = metrics[~metrics["metric"].isin(["nll", "brier"])]
    assert judged(c1b, evidence(STUDY, without)).verdict == "not tested"


def histograms_of(gap):
    """Diffusion whose pooled confidence is off by `gap`, feed-forward by 0.1."""
    generator, rows = np.random.default_rng(0), []
    for dataset, network, case in product(DATA, NETWORKS, range(20)):
        for mode, off in (("diffusion", gap), ("feed_forward", 0.1)):
            for bin, confidence in ((0, 20.0), (1, 80.0)):
                truth = confidence - 100 * off + generator.normal(0, 1)
                rows.append((dataset, network, mode, SAMPLERS[mode], 0, f"c{case}", "all", bin, 100,
                             confidence, truth))  # fmt: skip
    columns = ["dataset", "network", "mode", "sampler", "seed", "case", "region", "bin", "count",
               "confidence_sum", "foreground_sum"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def test_both_errors_stand_beside_c1b_with_intervals():
    found = judged(c1b, evidence(STUDY, gains(ece=0.02), histograms=histograms_of(0.03)))
    assert "ECE per case: +0.0200 [" in found.numbers
    assert "ECE pooled over pixels, diffusion minus feed-forward: -0.07" in found.numbers


def test_single_datasets_that_say_the_opposite_leave_c1_undecided():
    known = evidence(STUDY, gains(iou={"lesion": 0.15, "nuclei": -0.05, "tissue": 0.0}))
    assert judged(c1a, known).verdict == "undecided"
    metrics = gains(iou=0.008)
    whole = judged(c1a, evidence(STUDY, metrics))
    groups = {(dataset, f"c{case}"): str(case % 3) for dataset in DATA for case in range(30)}
    grouped = judged(c1a, evidence(STUDY, metrics, groups=groups))
    assert (whole.n, grouped.n) == (90, 9)


@pytest.mark.parametrize(("longer", "gain"), [("diffusion", 0.05), ("feed_forward", -0.05)])
def test_a_verdict_for_the_one_that_saw_more_images_is_withheld(longer, gain):
    overrides = [{"modes": [longer], "training": {"steps": 150}}]
    study = study_of(overrides=overrides, baselines=BASELINES)
    found = judged(c1a, evidence(study, gains(iou=gain)))
    assert found.verdict == "undecided"
    assert "a verdict for the one that saw more is withheld" in found.remark
    other = judged(c1a, evidence(study, gains(iou=-gain)))
    assert other.verdict == ("refuted" if gain > 0 else "confirmed")  # in spite of it


def test_two_seeds_are_no_headline_and_three_are():
    one = gains(iou=0.05)
    for seeds, scope in ((2, "these trained networks (2 seeds)"), (3, "3 seeds")):
        luck = np.random.default_rng(1).normal(0, 0.001, seeds)
        table = pd.concat(
            [one.assign(seed=seed, value=one["value"] + more) for seed, more in enumerate(luck)]
        )
        found = judged(c1a, evidence(STUDY, table))
        assert (found.verdict, found.scope, found.seeds) == ("confirmed", scope, seeds)


def test_c1_is_not_tested_without_both_modes():
    metrics = gains(iou=0.1)
    found = judged(c1a, evidence(STUDY, metrics[metrics["mode"] == "diffusion"]))
    assert found.verdict == "not tested"
    assert "no IoU of both" in found.remark


@pytest.mark.parametrize("draw", range(3))
def test_networks_that_do_not_differ_confirm_nothing(draw):
    """The null control of C1: both modes are draws of one distribution, cases of any kind."""
    metrics = metrics_of(lambda *_: 0.5, draw=draw)
    metrics["value"] += np.random.default_rng([draw, 9]).exponential(0.02, len(metrics))
    known = evidence(STUDY, metrics[metrics["mode"] != "reference"])
    for function in (c1a, c1b, c1a_matched):
        assert judged(function, known).verdict == "undecided"


# C2 ------------------------------------------------------------------------------------------


def leads(nnunet, segformer, **better):
    """Baselines that lead by so much over the best of four trainings."""

    def level(dataset, network, mode, metric):
        lead = {"nnunet": nnunet, "segformer": segformer}.get(network)
        if mode == "reference":
            return None if lead is None else 0.7 + lead
        if mode == "dice_diffusion":
            return None
        best = better.get(dataset, ("ensemdiff", "diffusion"))
        return 0.7 if (network, mode) == best else 0.6

    return metrics_of(level)


@pytest.mark.parametrize(
    ("nnunet", "segformer", "verdict"),
    [
        (0.05, 0.03, "confirmed"),
        (0.05, -0.05, "refuted"),
        (0.05, 0.0, "undecided"),
        (-0.05, -0.05, "refuted"),
        (0.05, None, "confirmed"),
        (None, None, "not tested"),
    ],
)
def test_c2_compares_with_the_best_training(nnunet, segformer, verdict):
    metrics = leads(nnunet, segformer, nuclei=("segdiff", "feed_forward"))
    found = judged(c2, evidence(STUDY, metrics))
    assert found.verdict == verdict
    if verdict == "not tested":
        assert "no scores of baselines" in found.remark
        return
    assert f"nnunet, Dice {nnunet:+.3f}" in found.numbers
    assert "the best of 4 trainings is chosen on the test cases" in found.remark
    assert judged(c2, evidence(STUDY, turned(metrics))).verdict == verdict


def test_c2_at_a_fraction_of_the_budget_is_not_tested():
    few = {"nnunet": {"kind": "nnunet", "title": "nnU-Net", "options": {"epochs": 15}}}
    study = study_of(baselines=BASELINES | few)
    found = find("claim", "c2", evidence(study, leads(-0.05, -0.05)), {})
    assert found.verdict == "not tested"
    assert "nnU-Net at 1.5 % of its budget" in found.remark
    assert "-0.050" in found.numbers
    assert find("claim", "c2", evidence(STUDY, leads(-0.05, -0.05)), {}).verdict == "refuted"


def test_c2_is_not_refuted_by_chance_choices():
    # All trainings and baselines are equally good: the best of twenty looks better than it is.
    generator, verdicts = np.random.default_rng(5), []
    metrics = metrics_of(lambda *_: 0.7, networks=[f"n{k}" for k in range(10)])
    metrics = metrics[metrics["mode"] != "dice_diffusion"].reset_index(drop=True)
    for _ in range(3):
        metrics["value"] = 0.7 + generator.normal(0, 0.05, len(metrics))
        verdicts.append(judged(c2, evidence(STUDY, metrics)).verdict)
    assert verdicts == 3 * ["undecided"]


def test_c2_without_common_cases():
    metrics = leads(0.1, 0.1)
    baseline = metrics["mode"] == "reference"
    metrics.loc[baseline, "case"] = "other" + metrics.loc[baseline, "case"]
    assert judged(c2, evidence(STUDY, metrics)).verdict == "not tested"
