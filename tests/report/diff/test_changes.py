"""What differs between two reports, and which scores it touches."""

import pytest
from helpers.made_up_reports import DATA, changed, made_up_record

from noise2mask.report.diff.changes import Score, changes_between, untouching

SCORES = [
    Score(DATA, network, mode, sampler, metric)
    for network in ("ensemdiff", "segdiff")
    for mode, sampler in (("feed_forward", "one_pass"), ("diffusion", "ddim2"))
    for metric in ("iou", "ece", "ece_band", "nll", "hd95")
]


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return made_up_record(tmp_path_factory.mktemp("study"))


def found(a, b):
    """(kind, name, before, after) of each change to the number of scores that it touches."""
    return {
        (one.kind, one.name, one.before, one.after): one.touches
        for one in changes_between(a, b, SCORES)
    }


def test_nothing_differs_from_itself(record):
    assert found(record, record) == {}
    assert untouching(record, record, []) == []


@pytest.mark.parametrize(
    ("settings", "name", "after", "which"),
    [
        ({"training": {"batch": 9}}, "training.batch", "9", lambda s: True),
        ({"resolution": 64}, "resolution", "64", lambda s: True),
        ({"seeds": [0, 1]}, "seeds", "[0, 1]", lambda s: True),
        (
            {"networks": {"segdiff": {"options": {"width": 64}}}},
            "networks.segdiff.options.width", "64", lambda s: s.network == "segdiff",
        ),
        (
            {"samplers": {"ddim2": {"steps": 5}}},
            "samplers.ddim2.steps", "5", lambda s: s.sampler == "ddim2",
        ),
        (
            {"datasets": {DATA: {"augmentation": {"flips": False}}}},
            f"datasets.{DATA}.augmentation.flips", "false", lambda s: True,
        ),
        ({"evaluation": {"band": 9}}, "evaluation.band", "9", lambda s: s.metric == "ece_band"),
        (
            {"evaluation": {"calibration": {"ece": {"bins": 3}}}},
            "evaluation.calibration.ece.bins", "3", lambda s: s.metric in ("ece", "ece_band"),
        ),
        (
            {"evaluation": {"threshold": 0.4}},
            "evaluation.threshold", "0.4", lambda s: s.metric in ("iou", "hd95"),
        ),
        (
            {"overrides": [{"modes": ["diffusion"], "training": {"steps": 7}}]},
            "training.steps", "7", lambda s: s.mode == "diffusion",
        ),
        (
            {"overrides": [{"networks": ["segdiff"], "diffusion": {"schedule": {"name": "x"}}}]},
            "diffusion.schedule.name", "x", lambda s: s.network == "segdiff",
        ),
        (
            {"samplers": {"calibration": {"draws": 30}}},
            "samplers.calibration.draws", "30", lambda s: s.metric == "nll",
        ),
    ],
)  # fmt: skip
def test_a_setting_touches_what_depends_on_it(record, settings, name, after, which):
    other = changed(record, settings=settings)
    ((kind, path, before, value), touches), *rest = found(record, other).items()
    assert not rest
    assert (kind, path, value) == ("setting", name, after)
    assert before != after
    assert touches == {score for score in SCORES if which(score)}
    assert untouching(record, other, changes_between(record, other, SCORES)) == []
    back = next(iter(found(other, record)))
    assert back == (kind, path, after, before)


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"description": "new"}, "description"),
        ({"evaluation": {"resamples": 300}}, "evaluation.resamples"),
        ({"pictures": {"examples": 0}}, "pictures.examples"),
        ({"datasets": {DATA: {"title": "new"}}}, f"datasets.{DATA}.title"),
        ({"datasets": {"nuclei_phantom": {"tile": 64}}}, "datasets.nuclei_phantom.tile"),
        ({"datasets": {DATA: {"options": {"root": "x"}}}}, f"datasets.{DATA}.options.root"),
        ({"networks": {"own": {"title": "Own"}}}, "networks.own"),
        ({"overrides": [{"networks": ["medsegdiff"], "training": {"steps": 7}}]}, "overrides"),
    ],
)
def test_a_setting_without_effect_is_told_apart(record, settings, path):
    other = changed(record, settings=settings)
    assert found(record, other) == {}
    assert untouching(record, other, []) == [path]
    assert untouching(other, record, []) == [path]


def test_a_default_that_every_cell_overrides_has_no_effect(record):
    override = [{"training": {"steps": 7}}]
    one = changed(record, settings={"overrides": override})
    two = changed(record, settings={"overrides": override, "training": {"steps": 5}})
    assert found(one, two) == {}
    assert untouching(one, two, []) == ["training.steps"]


def edited(record, *entries, fresh=True):
    """A record after an edit of some entries; `fresh` if trainings ran again."""
    hashes = dict.fromkeys(entries, "edited")
    trainings = {}
    for label, training in record.trainings.items():
        if set(record.code.parts[training.part]) & set(entries):
            trainings[label] = {"code": "edited", "current": True} if fresh else {"current": False}
    return changed(record, code={"entries": hashes}, trainings=trainings)


def test_an_edited_module_touches_what_uses_it(record):
    other = edited(record, "networks.segdiff", "evaluation.metrics:hd95")
    assert found(record, other) == {
        ("code", "networks.segdiff", "", "edited"): {s for s in SCORES if s.network == "segdiff"},
        ("code", "evaluation.metrics", "", "edited"): {s for s in SCORES if s.metric == "hd95"},
    }
    assert untouching(record, other, []) == []


def test_functions_that_differ_are_told_as_their_module(record):
    other = edited(record, "diffusion.process:Process", "diffusion.process:denoiser")
    ((key, touches),) = found(record, other).items()
    assert key == ("code", "diffusion.process", "", "edited")
    assert touches == set(SCORES)


def test_new_code_is_told_unless_a_setting_chose_it(record):
    part = record.trainings[f"{DATA}/segdiff/diffusion/seed0"].part
    parts = {part: [*record.code.parts[part], "seeds:new"]}
    other = changed(record, code={"entries": {"seeds:new": "1"}, "parts": parts})
    other = edited(other, "seeds:new")
    ((key, _),) = found(record, other).items()
    assert key == ("code", "seeds", "", "new")
    assert next(iter(found(other, record)))[3] == "gone"
    chosen = changed(
        other,
        code={"parts": {"training other": parts[part]}},
        trainings={f"{DATA}/segdiff/diffusion/seed0": {"part": "training other"}},
    )
    assert found(record, chosen) == {}


def test_another_processor_is_told_as_such(record):
    other = changed(record, versions={"cpu": "Made Up 3000"})
    ((key, touches),) = found(record, other).items()
    assert key == ("machine", "cpu", record.versions["cpu"], "Made Up 3000")
    assert touches == set(SCORES)
    training = {f"{DATA}/segdiff/diffusion/seed0": {"versions": {"cpu": "Made Up 4000"}}}
    ((_, touches),) = found(record, changed(record, trainings=training)).items()
    assert touches == {s for s in SCORES if (s.network, s.mode) == ("segdiff", "diffusion")}


def test_an_edit_without_a_training_is_told_as_such(record):
    other = edited(record, "training.train", fresh=False)
    assert found(record, other) == {}  # what trained is the same
    third = changed(
        other, trainings={f"{DATA}/segdiff/diffusion/seed0": {"code": "old", "current": False}}
    )
    changes = found(record, third)
    key = ("code", "training segdiff diffusion linear", "", "edited since the training")
    touched = {s for s in SCORES if (s.network, s.mode) == ("segdiff", "diffusion")}
    assert changes[key] == touched
    assert changes["code", "training.train", "", "edited"] == touched


def test_data_and_versions(record):
    other = changed(
        record,
        datasets={DATA: {"digests": {"test": "new"}}, "nuclei_phantom": {"digests": {"test": "x"}}},
        versions={"torch": "9"},
        trainings={f"{DATA}/segdiff/diffusion/seed0": {"versions": {"torch": "8"}}},
    )
    changes = found(record, other)
    torch = record.versions["torch"]
    assert changes["data", f"{DATA}, test cases", "test-digest", "new"] == set(SCORES)
    own = {s for s in SCORES if (s.network, s.mode) == ("segdiff", "diffusion")}
    assert changes["version", "torch", torch, "8"] == own
    assert changes["version", "torch", torch, "9"] == set(SCORES) - own
    assert len(changes) == 3
    kinds = [one.kind for one in changes_between(record, other, SCORES)]
    assert kinds == ["data", "version", "version"]
