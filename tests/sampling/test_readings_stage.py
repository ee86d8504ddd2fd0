"""Fair controls in the real stages: ensembles, fewer draws, fusions, temperatures, other seeds."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.special import expit, logit

from noise2mask.cli import main
from noise2mask.errors import UserError
from noise2mask.study.load import load_study
from noise2mask.study.plan import (
    baseline_trainings,
    draws_of,
    fusion_of,
    most_draws,
    samplers_of,
    trainings_of,
    trainings_read,
)
from noise2mask.study.schema import Training

NETWORK = {
    "title": "EnsemDiff",
    "architecture": "ensemdiff",
    "options": {"width": 32, "multipliers": [1, 1], "blocks": 1, "attention_strides": []},
}
DOCUMENT = {
    "description": "controls",
    "resolution": 16,
    "datasets": {
        "lesion": {
            "title": "lesions",
            "kind": "phantoms",
            "options": {"family": "lesion", "count": 12, "size": 64, "seed": 1},
        }
    },
    "networks": {"ensemdiff": NETWORK},
    "modes": {
        "feed_forward": {"mode": "feed_forward", "samplers": ["one_pass", "tempered"]},
        "ensemble": {"mode": "feed_forward", "seeds": [3, 1, 2], "samplers": ["members"]},
        "diffusion": {"mode": "diffusion", "samplers": ["ddim2", "first1", "squared"]},
    },
    "samplers": {
        "one_pass": {"sampler": "one_pass"},
        "ddim2": {"sampler": "ddim", "steps": 2, "draws": 3},
    },
    "readings": {
        "members": {"of": "one_pass", "seeds": 2},
        "tempered": {"of": "one_pass", "temperature": True},
        "first1": {"of": "ddim2", "draws": 1},
        "squared": {"of": "ddim2", "fusion": "squared_mean"},
    },
    "diffusion": {"schedule": {"name": "linear", "timesteps": 100}, "target": "x_0"},
    "training": {"steps": 2, "batch": 2, "learning_rate": 0.001},
    "evaluation": {
        "resamples": 100,
        "metrics": {"dice": {}},
        "calibration": {"ece": {}, "nll": {}},
    },
}


def changed(**sections):
    return DOCUMENT | {name: DOCUMENT.get(name, {}) | entries for name, entries in sections.items()}


def loaded(folder, document):
    (folder / "controls.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return load_study(folder / "controls.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project folder where every stage of the study has run."""
    place = tmp_path_factory.mktemp("controls")
    (place / "config").mkdir()
    loaded(place / "config", DOCUMENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        study = load_study(place / "config/controls.yaml")
        run("prepare", "--dataset", "lesion")
        run("blind", "--dataset", "lesion")
        for training in trainings_of(study):
            run("train", *where(training))
            for sampler in {"one_pass", "ddim2"} & sources(study, training):
                run("sample", *where(training), "--sampler", sampler)
                run("sample", *where(training), "--sampler", sampler, "--split", "val")
        for training in trainings_of(study):
            for sampler in samplers_of(study, training):
                if sampler in study.readings:
                    run("read", *where(training), "--sampler", sampler)
                run("evaluate", *where(training), "--sampler", sampler)
        run("report")
        run("page")
    return place


def run(stage, *options):
    assert main([stage, "--study", "controls", *options]) == 0


def where(training):
    return [
        part for name, value in training._asdict().items() for part in (f"--{name}", str(value))
    ]


def sources(study, training):
    names = study.modes[training.mode].samplers
    return {study.readings[name].of if name in study.readings else name for name in names}


def draws(folder, mode, seed, sampler, file="draws.npz"):
    path = folder / f"results/controls/lesion/ensemdiff/{mode}/seed{seed}/{sampler}/{file}"
    with np.load(path) as content:
        return content["draws"]


def test_an_ensemble_is_the_draws_of_its_first_members(folder):
    members = [draws(folder, "ensemble", seed, "one_pass") for seed in (3, 1)]
    together = draws(folder, "ensemble", 3, "members")
    assert np.array_equal(together, np.concatenate(members, axis=1))
    assert not np.array_equal(*members)


def test_fewer_draws_are_the_first(folder):
    every = draws(folder, "diffusion", 0, "ddim2")
    assert np.array_equal(draws(folder, "diffusion", 0, "first1"), every[:, :1])


def test_the_temperature_is_fitted_on_validation_cases_and_changes_no_mask(folder):
    plain, tempered = (draws(folder, "feed_forward", 0, name) for name in ("one_pass", "tempered"))
    place = folder / "results/controls/lesion/ensemdiff/feed_forward/seed0/tempered"
    temperature = json.loads((place / "temperature.json").read_text())["temperature"]
    assert temperature != 1
    np.testing.assert_allclose(tempered, expit(logit(plain.astype(float)) / temperature), rtol=1e-4)
    assert ((plain > 0.5) == (tempered > 0.5)).all()


def test_scores_of_readings_stand_beside_those_of_samplers(folder):
    metrics = pd.read_csv(folder / "build/reports/controls/metrics.csv")
    rows = metrics.drop_duplicates(["mode", "seed", "sampler"])
    found = {
        (row["mode"], row["sampler"]): (row["seed"], row["draws"]) for _, row in rows.iterrows()
    }
    assert found[("ensemble", "members")] == (3, 2)
    assert found[("diffusion", "ddim2")] == (0, 3)
    assert found[("diffusion", "first1")] == (0, 1)
    assert ("ensemble", "one_pass") not in found
    fused = draws(folder, "diffusion", 0, "squared").mean(1) ** 2
    dice = metrics[(metrics["sampler"] == "squared") & (metrics["metric"] == "dice")]["value"]
    masks = np.load(folder / "data/prepared/controls/lesion/test.masks.npy").astype(bool)
    overlap = [
        2 * (case & mask).sum() / (case.sum() + mask.sum())
        for case, mask in zip(fused > 0.5, masks, strict=True)
    ]
    np.testing.assert_allclose(dice, overlap)


def test_the_report_names_them(folder):
    report = folder / "build/reports/controls"
    page = (report / "index.html").read_text()
    assert "members (1 draws of one_pass, 2 trainings; N: 2)" in page
    assert "temperature fitted on validation cases" in page
    text = (report / "report.md").read_text()
    assert "N = 1 (feed-forward); N = 3 (diffusion); N = 2 (ensemble)" in text
    assert "| feed-forward (tempered) |" in text


@pytest.mark.parametrize(
    ("stage", "sampler", "sentence"),
    [("sample", "members", "run `noise2mask read`"), ("read", "one_pass", "`noise2mask sample`")],
)
def test_a_reading_is_no_sampler(folder, monkeypatch, caplog, stage, sampler, sentence):
    monkeypatch.chdir(folder)
    training = Training("lesion", "ensemdiff", "ensemble", 3)
    assert main([stage, "--study", "controls", *where(training), "--sampler", sampler]) == 2
    assert sentence in caplog.text


def test_a_reading_of_more_draws_than_a_file_holds(folder, monkeypatch, caplog, tmp_path):
    text = yaml.safe_dump(
        changed(
            samplers={"ddim2": {"sampler": "ddim", "steps": 2, "draws": 9}},
            readings={"first1": {"of": "ddim2", "draws": 9}},
        )
    )
    monkeypatch.chdir(folder)
    study = tmp_path / "controls.yaml"
    study.write_text(text)
    training = Training("lesion", "ensemdiff", "diffusion", 0)
    assert main(["read", "--study", str(study), *where(training), "--sampler", "first1"]) == 2
    assert "holds 3 draws of each case, fewer than the 9" in caplog.text


def test_what_a_study_comes_to(tmp_path):
    study = loaded(
        tmp_path,
        changed(baselines={"nnunet": {"kind": "nnunet", "title": "nnU-Net"}}) | {"seeds": [0, 7]},
    )
    trained = [(training.mode, training.seed) for training in trainings_of(study)]
    assert trained == [
        ("feed_forward", 0), ("feed_forward", 7), ("ensemble", 3), ("ensemble", 1), ("ensemble", 2),
        ("diffusion", 0), ("diffusion", 7),
    ]  # fmt: skip
    first, second = (
        Training("lesion", "ensemdiff", "ensemble", 3),
        Training("lesion", "ensemdiff", "ensemble", 1),
    )
    assert samplers_of(study, first) == ("members",)
    assert samplers_of(study, second) == ()
    assert trainings_read(study, first, "members") == (first, second)
    assert [draws_of(study, name) for name in ("members", "first1", "ddim2", "tempered")] == [
        2,
        1,
        3,
        1,
    ]
    assert most_draws(study) == 3
    assert fusion_of(study, "squared") == "squared_mean"
    assert fusion_of(study, "ddim2") == "mean"
    compared = [
        (training.network, training.mode, training.seed) for training in baseline_trainings(study)
    ]
    assert compared == [("nnunet", "reference", 0), ("nnunet", "reference", 7)]


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        (
            {"readings": {"first1": {"of": "ddim3"}}},
            "readings.first1.of: unknown sampler 'ddim3'; did you mean 'ddim2'?",
        ),
        (
            {"readings": {"first1": {"of": "ddim2", "draws": 4}}},
            "readings.first1.draws: must be at most 3, the draws of sampler 'ddim2', got 4",
        ),
        (
            {"readings": {"first1": {"of": "ddim2", "fusion": "means"}}},
            "readings.first1.fusion: unknown fusion 'means'",
        ),
        (
            {"readings": {"members": {"of": "one_pass", "seeds": 5}}},
            "modes.ensemble.seeds: reading 'members' takes 5 trainings together, but there are 3",
        ),
        (
            {"readings": {"ddim2": {"of": "ddim2"}}},
            "readings.ddim2: 'ddim2' is already the name of one of the samplers",
        ),
        (
            {"baselines": {"ensemdiff": {"kind": "nnunet", "title": "x"}}},
            "baselines.ensemdiff: 'ensemdiff' is already the name of one of the networks",
        ),
        (
            {"baselines": {"other": {"kind": "nnunets", "title": "x"}}},
            "baselines.other.kind: unknown kind 'nnunets'; did you mean 'nnunet'?",
        ),
        (
            {"samplers": {"ddim2": {"sampler": "ddim", "steps": 2, "draws": 3, "views": 3}}},
            "samplers.ddim2.views: must be 1, 2, 4 or 8, got 3",
        ),
    ],
)
def test_mistakes(tmp_path, sections, sentence):
    with pytest.raises(UserError, match=r"correct and run again") as caught:
        loaded(tmp_path, changed(**sections))
    assert sentence in str(caught.value)
