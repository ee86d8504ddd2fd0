import pytest

from noise2mask.evaluation.labels import labels_of
from noise2mask.report.settings import (
    departures_of,
    kind_of_data,
    limits_of,
    scale_of,
    settings_of,
)
from noise2mask.study.schema import Study


def study(**changes):
    """A small study; `changes` replace sections."""
    content = {
        "description": "one",
        "resolution": 32,
        "datasets": {"mine": {"kind": "folder", "title": "my data", "licence": "CC0"}},
        "networks": {
            "net": {"architecture": "ensemdiff", "title": "Net", "options": {"width": 32}}
        },
        "modes": {
            "feed_forward": {"mode": "feed_forward", "samplers": ["one"]},
            "diffusion": {"mode": "diffusion", "samplers": ["many"]},
        },
        "samplers": {
            "one": {"sampler": "one_pass"},
            "many": {"sampler": "ddim", "steps": 10, "draws": 1},
        },
    }
    return Study.model_validate(content | changes)


def test_a_study_in_the_papers_terms_departs_from_nothing():
    assert departures_of(study()) == ()


def test_departures_follow_from_the_settings():
    own = {"kind": "phantoms", "title": "phantom", "stands_for": "ISIC16"}
    found = departures_of(
        study(
            datasets={"mine": own},
            samplers={
                "one": {"sampler": "one_pass"},
                "many": {"sampler": "ddim", "steps": 10, "draws": 5},
            },
            diffusion={"target": "x_0", "schedule": {"input_scale": 0.5}},
            overrides=[{"modes": ["diffusion"], "training": {"steps": 7}}],
        )
    )
    assert len(found) == 3
    assert found[0].startswith("Diffusion target: x_0;")
    assert found[1].startswith("Input scale b: 0.5, which shifts log SNR by -1.39;")
    assert found[2].endswith("100000 (feed-forward); 7 (diffusion).")


def test_trainings_that_are_only_measured_make_no_departure():
    measured = {
        "feed_forward": {"mode": "feed_forward", "samplers": ["one"]},
        "diffusion": {"mode": "diffusion", "samplers": ["many"]},
        "posterior": {"mode": "posterior"},
    }
    override = {"modes": ["posterior"], "training": {"steps": 7}, "diffusion": {"target": "x_0"}}
    assert departures_of(study(modes=measured, overrides=[override])) == ()


def test_a_verdict_on_masks_alone_hangs_on_no_budget():
    assert limits_of(study()) == "real data, 32 px, 100000 steps"
    assert limits_of(study(), trained=False) == "real data, 32 px"


PHANTOM = {"kind": "phantoms", "title": "phantom", "stands_for": "ISIC16"}
OTHER = {"kind": "folder", "title": "other lesions", "stands_for": "ISIC16", "licence": ""}
REAL = {"kind": "folder", "title": "MoNuSeg", "licence": ""}


@pytest.mark.parametrize(
    ("datasets", "words"),
    [
        ({"a": PHANTOM}, "Phantoms: computer-made pictures in place of ISIC16"),
        ({"a": {"kind": "phantoms", "title": "p"}}, "Phantoms: computer-made pictures"),
        ({"a": REAL}, "Real data"),
        ({"a": REAL, "b": OTHER}, "Real data, with stand-ins: other lesions in place of ISIC16"),
        (
            {"a": REAL, "b": PHANTOM},
            "Some phantoms, some real data, with stand-ins: phantom in place of ISIC16",
        ),
    ],
)
def test_what_it_ran_on_cannot_be_taken_for_something_else(datasets, words):
    assert kind_of_data(study(datasets=datasets)) == words


def test_the_scale_in_one_line():
    assert scale_of(study(seeds=[0, 1])) == "32 px, 100000 training steps, 4 trainings, 2 seeds"
    members = {
        "modes": {
            "feed_forward": {"mode": "feed_forward", "seeds": [0, 1, 2], "samplers": ["one"]},
            "ensemble": {"mode": "feed_forward", "seeds": [3, 4, 5], "samplers": ["members"]},
        },
        "readings": {"members": {"of": "one", "seeds": 3}},
    }
    assert scale_of(study(**members)).endswith(", 6 trainings, 1 to 3 seeds")
    nothing = {"networks": {}, "modes": {}, "samplers": {}}
    assert scale_of(study(**nothing)) == "32 px, nothing is trained"


def test_settings_and_labels_follow_from_the_study():
    two = study(overrides=[{"modes": ["diffusion"], "diffusion": {"target": "v"}}])
    settings = dict(settings_of(two))
    assert settings["resolution"] == "32 × 32 pixels"
    assert settings["network Net"] == "width 32"
    assert settings["diffusion target"] == "eps (feed-forward); v (diffusion)"
    assert settings["timesteps T"] == "1000"
    assert settings["sampling, diffusion"] == "many (ddim, steps: 10, draws N: 1)"
    other = {"kind": "folder", "title": "other", "stands_for": "mine"}
    assert labels_of(study(datasets={"other": other})).dataset("other") == "other (for mine)"
    labels = labels_of(two)
    assert (labels.dataset("mine"), labels.network("net")) == ("my data", "Net")
    assert labels.drawn(["many"]) == "N = 1"
