"""What claims need, what must hold of networks, and how each is found by its name."""

import pandas as pd
import pytest
from helpers.made_up_evidence import SETTINGS, evidence, flat_history, study_of

from noise2mask import plugins
from noise2mask.analysis.claims.evidence import (
    CONDITIONS,
    NEEDS,
    claims_found,
    convergence,
    networks_of,
    predictions_found,
)
from noise2mask.analysis.claims.verdicts import Outcome, Said


@pytest.mark.parametrize("kind", ["claim", "prediction"])
def test_every_claim_says_what_it_is_and_needs(kind):
    names = []
    for function in plugins.names(kind):
        said = Said(**plugins.declared(kind, function))
        names.append(said.name)
        assert said.statement.endswith(".")
        assert said.objective
        assert set(said.needs) <= set(NEEDS)
        assert set(said.conditions) <= set(CONDITIONS)
        assert plugins.member(kind, function).said == said
        assert plugins.member(kind, function).__doc__
    assert len(names) == len(set(names)) >= 7


def test_nothing_measured_tests_nothing():
    known = evidence(study_of(analysis={}))
    found = claims_found(known) + predictions_found(known)
    assert {finding.verdict for finding in found} == {"not tested"}
    assert all(finding.remark for finding in found)
    assert [finding.name for finding in found] == [
        "C1a", "C1a-matched", "C1b", "C1b-matched", "C2", "C3a", "C3b", "C4", "C5", "C6",
        *(f"P{number}" for number in range(1, 9)),
    ]  # fmt: skip
    assert not any("{" in finding.statement for finding in found)


def test_a_prediction_of_another_module_is_named_by_the_study(tmp_path, monkeypatch):
    (tmp_path / "lab_prediction.py").write_text(
        "from noise2mask.analysis.claims.verdicts import Outcome, prediction\n\n\n"
        "@prediction(name='L1', statement='{mode} is good.', objective='IoU')\n"
        "def l1(evidence, *, mode: str):\n    return Outcome(reason='nothing was asked')\n"
    )
    monkeypatch.chdir(tmp_path)
    known = evidence(study_of(hypotheses={"lab_prediction:l1": {"mode": "diffusion"}}))
    (found,) = [finding for finding in predictions_found(known) if finding.name == "L1"]
    assert found.statement == "diffusion is good."
    assert (found.verdict, found.remark) == ("not tested", "nothing was asked")


def test_a_comparison_needs_both_modes():
    modes = {"diffusion": SETTINGS["modes"]["diffusion"]}
    known = evidence(study_of(modes=modes, analysis={}))
    found = {finding.name: finding.remark for finding in claims_found(known)}
    assert "compares no modes trained by diffusion and feed-forward, own loss" in found["C1a"]
    assert "matched loss" in found["C1b-matched"]
    both = study_of(comparisons={"matched": [["dice_diffusion", "feed_forward"]]})
    assert evidence(both).pairs("matched")[0][:2] == ("dice_diffusion", "feed_forward")
    assert evidence(both).pairs("own")[0][:2] == ("diffusion", "feed_forward")


# Convergence ---------------------------------------------------------------------------------

WHERE = ("lesion", "segdiff", "eps")


def test_a_flat_validation_loss_has_converged():
    assert convergence(flat_history(["eps"]), *WHERE) == ""
    assert convergence(flat_history(["eps"], last=0.005), *WHERE) == ""


@pytest.mark.parametrize(("last", "way"), [(-0.05, "falls by"), (0.05, "rises by")])
def test_one_that_still_moves_has_not(last, way):
    assert f"still {way} " in convergence(flat_history(["eps"], last=last), *WHERE)


def test_too_few_validations_say_nothing():
    history = flat_history(["eps"])
    sparse = history[history["step"] % 250 == 0]
    assert convergence(sparse, *WHERE).startswith("1 validations in the last fifth")
    assert convergence(history[:0], *WHERE) == "no validation loss is recorded"
    assert convergence(history, "lesion", "segdiff", "other") == "no validation loss is recorded"


def test_every_seed_must_have_converged():
    moving = flat_history(["eps"], last=-0.05).assign(seed=1)
    both = pd.concat([flat_history(["eps"]), moving])
    assert "still falls" in convergence(both, *WHERE)


# Conditions ----------------------------------------------------------------------------------


def test_networks_without_convergence_are_named_together():
    known = evidence(history=flat_history(["eps"], datasets=("lesion",)))
    networks = [(name, "segdiff", "eps") for name in ("lesion", "nuclei", "tissue")]
    outcome = Outcome(networks=networks)
    assert CONDITIONS["converged"](known, outcome) == (
        "not trained to convergence (eps on nuclei segdiff, tissue segdiff: no validation loss is "
        "recorded)"
    )
    assert CONDITIONS["converged"](known, Outcome(networks=[WHERE])) == ""


def test_a_posterior_does_not_predict_its_target():
    outcome = Outcome(networks=[("lesion", "segdiff", "posterior"), WHERE])
    assert CONDITIONS["own target"](evidence(), outcome).startswith("posterior: the network does")
    assert CONDITIONS["own target"](evidence(), Outcome(networks=[WHERE])) == ""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"epochs": 15, "iterations": 20}, "nnU-Net at 0.12 % of its budget"),
        ({"epochs": 500}, "nnU-Net at 50 % of its budget"),
        ({}, ""),
    ],
)
def test_a_baseline_is_judged_at_its_own_budget(options, told):
    baselines = {"nnunet": {"kind": "nnunet", "title": "nnU-Net", "options": options}}
    found = CONDITIONS["own budget"](evidence(study_of(baselines=baselines)), Outcome())
    assert found.endswith(told)
    assert bool(found) == bool(told)


# What is told of a study ---------------------------------------------------------------------


def test_scale_and_images():
    known = evidence(groups={("lesion", "a"): "p", ("lesion", "b"): "p"})
    assert known.scale(["lesion", "tissue"], 7) == (
        "2 datasets (1 standing in for the paper's), 7 independent units, 32 px"
    )
    assert known.scale(["tissue"]) == "1 dataset, 32 px"
    assert known.units([("lesion", "a"), ("lesion", "b"), ("tissue", "a")]) == 2
    assert set(known.images_seen("eps").values()) == {800}
    longer = {"modes": ["eps"], "datasets": ["lesion"], "training": {"steps": 300}}
    seen = evidence(study_of(overrides=[longer])).images_seen("eps")
    assert seen["lesion", "segdiff"] == 2400
    assert seen["nuclei", "segdiff"] == 800


def test_networks_of_a_table():
    table = pd.DataFrame([WHERE, WHERE], columns=["dataset", "network", "mode"])
    assert networks_of(table) == [WHERE]
