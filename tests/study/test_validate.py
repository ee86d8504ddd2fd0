"""Names in a study are looked up where its types mark them; what fields say together comes last."""

import pytest
import yaml
from helpers.project import ROOT

from noise2mask.errors import UserError
from noise2mask.study.load import load_study
from noise2mask.study.schema import Folders, Settings, Study
from noise2mask.study.validate import in_settings

TEST = yaml.safe_load((ROOT / "config" / "test.yaml").read_text())


def changed(**changes):
    """The study `test` with changes given as dotted path (``__``) and value."""
    document = yaml.safe_load((ROOT / "config" / "test.yaml").read_text())
    for dotted, value in changes.items():
        place = document
        *parents, last = dotted.split("__")
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return document


def read(tmp_path, **changes):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(changed(**changes), sort_keys=False))
    return load_study(path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seeds": [0, 0]}, "seeds: a seed stands twice in (0, 0)"),
        ({"seeds": [-1]}, "seeds.0: must be greater than or equal to 0, got -1"),
        ({"training__batch": True}, "training.batch: must be a number, got true"),
        ({"modes__diffusion__samplers": ["ddim2", "ddim2"]},
         "modes.diffusion.samplers: 'ddim2' stands twice; remove one"),
        ({"contrasts": [["diffusion", "x"]]}, "contrasts.0: unknown mode 'x'; Valid: feed_"),
        ({"comparisons__matched": [["diffusion", "x"]]},
         "comparisons.matched.0: unknown mode 'x'; Valid: feed_"),
        ({"comparisons__own": ["diffusion", "x"]}, "comparisons.own: unknown mode 'x'; Valid"),
        ({"contrasts": [["diffusion", "diffusion"]]}, "contrasts.0: 'diffusion' stands twice"),
        ({"modes__evidence": {"mode": "posterior", "samplers": ["ddim2"]}, "datasets__marked": {
            "title": "m", "kind": "pairs", "options": {
                "root": "m", "images": "(?P<id>a)", "masks": "(?P<id>b)", "several": "soft"}}},
         "datasets.marked.options.several: 'soft' is a share of annotators, but mode 'evidence' a"),
        ({"networks__blind": TEST["networks"]["segdiff"]},
         "networks.blind: 'blind' means something else in tables or folders; rename it"),
        ({"datasets__ready": TEST["datasets"]["photographs"]},
         "datasets.ready: 'ready' means something else in tables or folders; rename it"),
        ({"modes__reference": {"mode": "diffusion"}}, "modes.reference: 'reference' means"),
        ({"samplers__calibration__networks": None},
         "samplers.calibration.head: network 'segdiff' has no calibration head; give the sampler"),
        ({"diffusion__schedule__input_scale": 1e-300},
         "diffusion.schedule.input_scale: must be greater than or equal to 0.001, got 1e-300"),
        ({"diffusion__schedule__timesteps": 10**9},
         "diffusion.schedule.timesteps: must be less than or equal to 10000, got 1000000000"),
        ({"evaluation__calibration": {"ece": {"bins": 10**9}}},
         "evaluation.calibration.ece.bins: must be less than or equal to 10000, got 1000000000"),
        ({"networks__ensemdiff__options__blocks": 10**6},
         "networks.ensemdiff.options.blocks: must be less than or equal to 32, got 1000000"),
        ({"networks__ensemdiff__title": "a\nb"}, "networks.ensemdiff.title: must be of one line"),
        ({"networks__ensemdiff__title": "x" * 200}, "networks.ensemdiff.title: String should have"),
        ({"training__learning_rate": float("inf")},
         "training.learning_rate: must be a finite number, got inf"),
        ({"datasets__Lesion": TEST["datasets"]["lesion_phantom"]},
         "datasets.Lesion: must be a name of lower-case letters a to z, digits and _, a letter or"),
        ({"evaluation__metrics": {"band": {}}}, "evaluation.metrics.band: unknown metric 'band'"),
        ({"networks__ensemdiff__architecture": ".."},
         "networks.ensemdiff.architecture: unknown architecture '..'; Valid: ensemdiff,"),
        ({"networks__ensemdiff__architecture": ["ensemdiff"]},
         "networks.ensemdiff.architecture: must be text, got a list"),
        ({"samplers__ddim2__sampler": "bytes"}, "samplers.ddim2.sampler: unknown sampler 'bytes'"),
        ({"samplers__ddim2__steps": "ddim98"},
         "samplers.ddim2.steps: must be a spacing of 100 timesteps for mode diffusion of ens"),
        ({"samplers__ddim2__steps": "60,40"}, "samplers.ddim2.steps: must be a spacing of 100"),
        ({"samplers__ddim2__steps": "often"}, "samplers.ddim2.steps: must be a count such as 50"),
        ({"overrides": [{"diffusion": {"schedule": {"options": {"gamma": 1}}}}]},
         "overrides.0.diffusion.schedule.options.gamma: unknown field 'gamma'; Valid: first, last"),
        ({"compute__processes": 2, "overrides": [{"training": {"batch": 3}}]},
         "compute.processes: 2 processes cannot share a training.batch of 3 evenly; give a"),
        ({"diffusion__target": "y", "overrides": [{"diffusion": {"clip": False}}]},
         "diffusion.target: must be 'eps', 'x_0' or 'v', got 'y'"),
    ],
)  # fmt: skip
def test_single_mistakes(tmp_path, changes, sentence):
    with pytest.raises(UserError) as caught:
        read(tmp_path, **changes)
    head, *found = str(caught.value).split("\n  ")
    assert "1 mistake;" in head
    assert found[0].startswith(sentence)


@pytest.mark.parametrize("steps", ["ddim10", "50,50", "3, 4,5", 100, 1])
def test_spacings_that_a_sampler_can_visit(tmp_path, steps):
    assert read(tmp_path, samplers__ddim2__steps=steps).samplers["ddim2"].steps == steps


def test_an_override_of_another_schedule_leaves_the_options_of_the_first_behind(tmp_path):
    from noise2mask.study.plan import run_settings
    from noise2mask.study.schema import Training

    schedule = {"name": "sigmoid", "options": {"start": -4.0}}
    other = [{"modes": ["image_free"], "diffusion": {"schedule": {"name": "linear"}}}]
    study = read(tmp_path, diffusion__schedule=schedule, overrides=other)
    found = run_settings(study, Training("lesion_phantom", "ensemdiff", "image_free", 0))
    assert (found.diffusion.schedule.name, found.diffusion.schedule.options) == ("linear", {})
    found = run_settings(study, Training("lesion_phantom", "ensemdiff", "diffusion", 0))
    assert found.diffusion.schedule.options == {"start": -4.0}


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        (r"^(\w+)+$", "takes time that grows without bound on names that do not match"),
        (r"^train_([a-z]+)*x$", "takes time that grows without bound"),
        ("(", "is no regular expression (missing )"),
    ],
)
def test_patterns_are_tried_when_a_study_is_read(tmp_path, pattern, sentence):
    with pytest.raises(UserError) as caught:
        read(tmp_path, datasets__mine={
            "kind": "folder", "title": "m", "options": {"root": "x", "group_pattern": pattern},
        })  # fmt: skip
    assert "datasets.mine.options.group_pattern: " in str(caught.value)
    assert sentence in str(caught.value)


def settings_types(model=Study, seen=()):
    yield model
    for field in model.model_fields.values():
        for inner in types_in(field.annotation):
            if inner not in seen:
                yield from settings_types(inner, (*seen, inner))


def types_in(annotation):
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [kind for part in getattr(annotation, "__args__", ()) for kind in types_in(part)]


@pytest.mark.parametrize("model", list(dict.fromkeys(settings_types())), ids=lambda m: m.__name__)
def test_every_field_says_what_it_means(model):
    assert model.__doc__
    for name, field in model.model_fields.items():
        models = types_in(field.annotation)
        assert field.description or (models and models[0].__doc__), name


@pytest.mark.parametrize("given", [None, 3, "x", [], {}, {"modes": 3}, {"overrides": [[]]}])
def test_whatever_is_written_a_walk_ends_in_sentences(given):
    assert in_settings(Study, given, "", given if isinstance(given, dict) else {})
    assert in_settings(Folders, given, "folders", {})
