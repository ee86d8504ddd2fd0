"""Designs: which points of a grid are trained, and how a study says so."""

import itertools
import math
from collections import Counter

import pandas as pd
import pytest
import yaml
from helpers.project import ROOT

from noise2mask.study.grid import expand_grid, grid_table, points
from noise2mask.study.load import load_study
from noise2mask.study.plan import run_settings
from noise2mask.study.schema import Grid, Training

SCHEDULE = {"linear": {}, "cosine": {"diffusion": {"schedule": {"name": "cosine"}}}}
SCALE = {
    "1": {"diffusion": {"schedule": {"input_scale": 1.0}}},
    "0.3": {"diffusion": {"schedule": {"input_scale": 0.3}}},
    "0.1": {"diffusion": {"schedule": {"input_scale": 0.1}}},
}
RATE = {"1e-4": {}, "3e-4": {"training": {"learning_rate": 3e-4}}}
FACTORS = {"schedule": SCHEDULE, "input_scale": SCALE, "rate": RATE}


def study(**grid):
    return {
        "modes": {
            "feed_forward": {"mode": "feed_forward", "samplers": ["one_pass"]},
            "diffusion": {
                "mode": "diffusion",
                "samplers": ["ddim10"],
                "networks": ["segdiff"],
                "title": "base",
            },
        },
        "grid": {"mode": "diffusion", "factors": FACTORS, **grid},
    }


def levels_of(document):
    return [
        tuple(mode["levels"].values()) for mode in document["modes"].values() if "levels" in mode
    ]


# A study ----------------------------------------------------------------------------------------


def test_a_study_without_a_grid_stays_as_it_is():
    document = {"modes": {"diffusion": {"mode": "diffusion"}}}
    assert expand_grid(document) == (document, {})


def test_one_at_a_time_is_the_default():
    found, mistakes = expand_grid(study())
    assert mistakes == {}
    assert "grid" not in found
    assert list(found["modes"]) == [
        "feed_forward", "diffusion", "schedule_cosine", "input_scale_0_3", "input_scale_0_1",
        "rate_3e_4",
    ]  # fmt: skip
    assert levels_of(found) == [
        ("linear", "1", "1e-4"),
        ("cosine", "1", "1e-4"),
        ("linear", "0.3", "1e-4"),
        ("linear", "0.1", "1e-4"),
        ("linear", "1", "3e-4"),
    ]
    assert found["modes"]["diffusion"]["title"] == "base"
    assert found["modes"]["schedule_cosine"] == {
        "mode": "diffusion",
        "samplers": ["ddim10"],
        "networks": ["segdiff"],
        "levels": {"schedule": "cosine", "input_scale": "1", "rate": "1e-4"},
    }
    scale_1 = {"schedule": {"input_scale": 1.0}}
    cosine = {"schedule": {"name": "cosine", "input_scale": 1.0}}
    assert found["overrides"] == [
        {"modes": ["diffusion"], "diffusion": scale_1},
        {"modes": ["schedule_cosine"], "diffusion": cosine},
        {"modes": ["input_scale_0_3"], "diffusion": {"schedule": {"input_scale": 0.3}}},
        {"modes": ["input_scale_0_1"], "diffusion": {"schedule": {"input_scale": 0.1}}},
        {"modes": ["rate_3e_4"], "diffusion": scale_1, "training": {"learning_rate": 3e-4}},
    ]


def test_one_at_a_time_and_some_points_more():
    found = levels_of(expand_grid(study(runs=4, seed=1))[0])
    assert found[:5] == levels_of(expand_grid(study())[0])
    assert len(set(found)) == len(found) == 9
    named = list(expand_grid(study(runs=4, prefix="r"))[0]["modes"])
    assert named[-4:] == ["r05", "r06", "r07", "r08"]


def test_copies_are_meant_wherever_the_base_mode_is():
    document = study(factors={"rate": RATE}, prefix="r")
    document["overrides"] = [
        {"modes": ["diffusion"], "training": {"steps": 3}},
        {"modes": ["feed_forward"], "training": {"steps": 4}},
        {"training": {"batch": 2}},
    ]
    document["datasets"] = {
        "a": {"modes": ["diffusion"]},
        "b": {"modes": ["feed_forward"]},
        "c": {},
    }
    found, mistakes = expand_grid(document)
    assert mistakes == {}
    assert found["overrides"] == [
        {"modes": ["diffusion", "rate_3e_4"], "training": {"steps": 3}},
        *document["overrides"][1:],
        {"modes": ["rate_3e_4"], "training": {"learning_rate": 3e-4}},
    ]
    assert [entry.get("modes") for entry in found["datasets"].values()] == [
        ["diffusion", "rate_3e_4"], ["feed_forward"], None,
    ]  # fmt: skip
    assert "levels" not in document["modes"]["diffusion"]
    assert document["overrides"][0]["modes"] == ["diffusion"]


def test_a_level_may_be_another_mode():
    found, mistakes = expand_grid(
        study(factors={"way": {"diffusion": {}, "plain": {"mode": "feed_forward"}}})
    )
    assert mistakes == {}
    assert [found["modes"][name]["mode"] for name in ("diffusion", "way_plain")] == [
        "diffusion",
        "feed_forward",
    ]
    assert found["overrides"] == []


def test_the_full_grid():
    found = levels_of(expand_grid(study(design="full"))[0])
    assert found == list(itertools.product(("linear", "cosine"), ("1", "0.3", "0.1"), RATE))
    names = list(expand_grid(study(design="full"))[0]["modes"])
    assert [name for name in names if name.startswith("g")] == [
        "g03", "g05", "g07", "g08", "g09", "g10", "g11",
    ]  # fmt: skip


def test_points_drawn_follow_their_seed():
    designs = {seed: levels_of(expand_grid(study(runs=4, seed=seed))[0]) for seed in range(4)}
    assert len({tuple(found) for found in designs.values()}) > 1
    assert levels_of(expand_grid(study(runs=4, seed=2))[0]) == designs[2]


def test_a_grid_of_many_runs_has_longer_names():
    fields = (
        "steps", "batch", "learning_rate", "weight_decay", "clip_norm", "warm_up", "validate_every",
    )  # fmt: skip
    factors = {field: {"usual": {}, "one": {"training": {field: 1}}} for field in fields}
    found, mistakes = expand_grid(study(design="full", factors=factors))
    assert mistakes == {}
    assert list(found["modes"])[-1] == "g127"
    assert "g003" in found["modes"]


def test_settings_of_a_training_are_those_of_its_levels(tmp_path):
    document = yaml.safe_load((ROOT / "config" / "test.yaml").read_text())
    document["grid"] = {"mode": "diffusion", "design": "full", "factors": FACTORS}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    read = load_study(tmp_path / "mine.yaml")
    dataset, network = next(iter(read.datasets)), next(iter(read.networks))
    base = run_settings(read, Training(dataset, network, "diffusion", 0))
    seen = set()
    for name, mode in read.modes.items():
        if not mode.levels:
            continue
        settings = run_settings(read, Training(dataset, network, name, 0))
        schedule = settings.diffusion.schedule
        rate = base.training.learning_rate if mode.levels["rate"] == "1e-4" else 3e-4
        assert schedule.name == mode.levels["schedule"]
        assert schedule.input_scale == float(mode.levels["input_scale"])
        assert settings.training == base.training.model_copy(update={"learning_rate": rate})
        seen.add(settings.digest())
    assert len(seen) == 12


# Mistakes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grid", "place", "sentence"),
    [
        ({"mode": "difusion"}, "mode", "did you mean 'diffusion'?"),
        ({"desing": "full"}, "desing", "did you mean 'design'?"),
        ({"design": "latin"}, "design", "must be 'one_at_a_time' or 'full'"),
        ({"factors": {}}, "factors", "needs 1 or more"),
        ({"factors": {"rate": {}}}, "factors.rate", "needs 2 or more"),
        ({"factors": {"rate": {"a": {}}}}, "factors.rate", "needs 2 or more"),
        ({"factors": {"rate": 3}}, "factors.rate", "must be a mapping, got 3"),
        ({"factors": {"rate": {"a": {}, "b": 3}}}, "factors.rate.b", "must be a mapping"),
        ({"prefix": "G-"}, "prefix", "must be a name of lower-case"),
        ({"prefix": "diff"}, None, None),
        ({"runs": 3, "design": "full"}, "runs", "leave it out"),
        ({"runs": 8}, "runs", "must be at most 7"),
        ({"runs": 7}, None, None),
    ],
)
def test_mistakes_are_told_with_their_place(grid, place, sentence):
    found, mistakes = expand_grid(study(**grid))
    assert "grid" not in found
    if place is None:
        assert mistakes == {}
    else:
        assert list(mistakes) == [f"grid.{place}"]
        assert sentence in mistakes[f"grid.{place}"]
        assert list(found["modes"]) == ["feed_forward", "diffusion"]
        assert "overrides" not in found


@pytest.mark.parametrize(
    ("changes", "place", "sentence"),
    [
        ({"diffusin": {}}, "diffusin", "did you mean 'diffusion'?"),
        ({"mode": "difusion"}, "mode", "did you mean 'diffusion'?"),
        ({"diffusion": {"tarjet": "eps"}}, "diffusion.tarjet", "did you mean 'target'?"),
        ({"diffusion": {"target": "y"}}, "diffusion.target", "must be 'eps', 'x_0' or 'v', got"),
        ({"diffusion": 3}, "diffusion", "must be a mapping"),
        (
            {"diffusion": {"schedule": {"name": "cosin"}}},
            "diffusion.schedule.name",
            "did you mean 'cosine'?",
        ),
        (
            {"diffusion": {"schedule": {"scale": 1}}},
            "diffusion.schedule.scale",
            "did you mean 'input_scale'?",
        ),
        ({"training": {"steps": 0}}, "training.steps", "greater than or equal to 1, got 0"),
    ],
)
def test_mistakes_in_levels_are_told_at_the_level(changes, place, sentence):
    found, mistakes = expand_grid(study(factors={"f": {"base": {}, "other": changes}}))
    assert list(mistakes) == [f"grid.factors.f.other.{place}"]
    assert sentence in mistakes[f"grid.factors.f.other.{place}"]
    assert list(found["modes"]) == ["feed_forward", "diffusion"]


def test_two_factors_may_not_set_one_field():
    again = {"b": {}, "c": {"diffusion": {"schedule": {"name": "sigmoid"}}}}
    _, mistakes = expand_grid(study(factors={"schedule": SCHEDULE, "again": again}))
    assert mistakes == {
        "grid.factors.again": "sets diffusion.schedule.name, as 'schedule' does: use one"
    }
    _, mistakes = expand_grid(study(factors={"schedule": SCHEDULE, "input_scale": SCALE}))
    assert mistakes == {}


def test_names_may_not_clash():
    document = study()
    document["modes"]["rate_3e_4"] = {"mode": "diffusion"}
    found, mistakes = expand_grid(document)
    assert mistakes == {"modes.rate_3e_4": "the mode 'rate_3e_4' is there already; rename it"}
    assert list(found["modes"]) == ["feed_forward", "diffusion", "rate_3e_4"]


@pytest.mark.parametrize("document", [{}, {"modes": None}, {"modes": {"diffusion": 3}}])
def test_a_study_of_wrong_shape_does_not_stop_the_telling(document):
    _, mistakes = expand_grid({**document, "grid": {"mode": "diffusion", "factors": FACTORS}})
    assert list(mistakes) == ["grid.mode"]
    assert expand_grid({"grid": None})[1].keys() == {"grid"}


def test_malformed_overrides_are_left_for_others_to_tell():
    document = study() | {"overrides": 3, "datasets": 4}
    found, mistakes = expand_grid(document)
    assert (found["overrides"], found["datasets"], mistakes) == (3, 4, {})


# Points -----------------------------------------------------------------------------------------

GRIDS = [((3, 4, 5), 12), ((4, 4, 3), 12), ((5, 4, 3, 3, 3, 4), 24), ((2,) * 10, 12)]


def drawn(sizes, runs, seed=0):
    """The points of a grid that are drawn beside each factor alone."""
    factors = {f"f{n}": {f"l{level}": {} for level in range(size)} for n, size in enumerate(sizes)}
    grid = Grid(mode="diffusion", runs=runs, seed=seed, factors=factors)
    found = points(sizes, grid)
    alone = 1 + sum(size - 1 for size in sizes)
    assert found[0] == (0,) * len(sizes)
    assert all(sum(level > 0 for level in point) == 1 for point in found[1:alone])
    return found[alone:]


@pytest.mark.parametrize(("sizes", "runs"), [*GRIDS, ((3, 3), 4), ((2, 2), 1)])
def test_points_drawn_are_different_and_inside(sizes, runs):
    for seed in range(5):
        found = drawn(sizes, runs, seed)
        assert len(set(found)) == len(found) == runs
        assert set(found) <= set(itertools.product(*map(range, sizes)))
        assert all(sum(level > 0 for level in point) > 1 for point in found)


@pytest.mark.parametrize(("sizes", "runs"), GRIDS)
def test_points_drawn_have_every_level_equally_often(sizes, runs):
    for seed in range(10):
        found = drawn(sizes, runs, seed)
        for factor, size in enumerate(sizes):
            counts = Counter(point[factor] for point in found)
            assert set(counts.values()) <= {runs // size, math.ceil(runs / size)}
            assert len(counts) == min(size, runs)


def test_nearly_all_of_a_grid_can_be_drawn():
    assert len(drawn((3, 3, 2), 18 - 1 - 5, seed=1)) == 12


# The table --------------------------------------------------------------------------------------


def test_the_table_has_a_row_for_each_mode_and_factor():
    found = grid_table(
        {"diffusion": {}, "g00": {"a": "1", "b": "x"}, "g01": {"a": "0.3", "b": "x"}}
    )
    expected = pd.DataFrame(
        [("g00", "a", "1"), ("g00", "b", "x"), ("g01", "a", "0.3"), ("g01", "b", "x")],
        columns=["mode", "factor", "level"],
    ).astype(str)
    pd.testing.assert_frame_equal(found, expected)
    assert list(grid_table({}).columns) == ["mode", "factor", "level"]
    assert grid_table({"diffusion": {}}).empty
