import itertools

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_section import POINTS, grid_of, scored, sweeps_of

from noise2mask.analysis.ablation import least_steps, main_effects

ADDED = {"x": 0.0, "y": 0.1, "z": -0.05, "u": 0.0, "v": 0.3}


def additive(point):
    return 0.4 + sum(ADDED[level] for level in point.values())


@pytest.mark.parametrize(
    "points",
    [
        [{"s": s, "b": b} for s, b in itertools.product("xyz", "uv")],
        [{"s": "x", "b": "u"}, {"s": "y", "b": "u"}, {"s": "z", "b": "u"}, {"s": "x", "b": "v"}],
        [{"s": "x", "b": "u"}, {"s": "y", "b": "v"}, {"s": "z", "b": "u"}, {"s": "x", "b": "v"}],
    ],
    ids=["full", "one at a time", "sparse"],
)
def test_effects_of_a_sum_are_found_by_every_design(points):
    found = main_effects(grid_of(points), scored(points, additive), "iou").set_index("level")
    assert found["effect"].to_dict() == pytest.approx(ADDED)
    for level in ADDED:
        mine = [additive(point) for point in points if level in point.values()]
        assert found["mean"][level] == pytest.approx(np.mean(mine))
        assert found["runs"][level] == len(mine)


def test_effects_that_cannot_be_told_apart_are_not_told():
    points = [{"s": "x", "b": "u", "c": "1"}, {"s": "y", "b": "v", "c": "1"},
              {"s": "x", "b": "u", "c": "2"}]  # fmt: skip
    found = main_effects(grid_of(points), scored(points, lambda p: float(p["c"])), "iou")
    effects = found.set_index("level")["effect"]
    assert effects[["y", "v"]].isna().all()
    assert effects["2"] == pytest.approx(1)


def test_effects_are_of_the_first_sampler_from_pure_noise_and_a_mean_of_datasets():
    one = scored(POINTS, lambda point: 0.5 + 0.1 * (point["b"] == "0.3"))
    two = scored(
        POINTS,
        lambda point: 0.5 + 0.3 * (point["b"] == "0.3") + 0.2 * (point["schedule"] == "cosine"),
    )
    noise = one.assign(mean=9.0)
    sweeps = pd.concat(
        [
            noise.assign(start=400.0), one, noise.assign(sampler="other"),
            noise.assign(mode="elsewhere"), two.assign(dataset="nuclei"),
        ],
        ignore_index=True,
    )  # fmt: skip
    found = main_effects(grid_of(POINTS), sweeps, "iou").set_index("level")
    assert found["effect"].to_dict() == pytest.approx(
        {"linear": 0, "cosine": 0.1, "1": 0, "0.3": 0.2}
    )
    assert found["mean"]["0.3"] == pytest.approx(0.7)
    half = sweeps[(sweeps["dataset"] != "nuclei") | (sweeps["mode"] != "g2")]
    lacking = main_effects(grid_of(POINTS), half, "iou").set_index("level")
    assert lacking["effect"]["0.3"] == pytest.approx(0.1)  # of the one dataset that has it
    assert lacking["effect"]["cosine"] == pytest.approx(0.1)


def test_least_steps_within_a_point():
    scores = [(5, 0.70), (10, 0.79), (20, 0.795), (50, 0.80), (100, 0.78)]
    sweeps = sweeps_of([("diffusion", steps, 5, "dice", mean) for steps, mean in scores])
    (row,) = least_steps(sweeps).itertuples(index=False)
    assert (row.least, row.most, row.best, row.draws) == (10, 100, 0.80, 5)
    (exact,) = least_steps(sweeps, margin=0).itertuples(index=False)
    assert exact.least == 50


def test_only_equal_draws_from_pure_noise_are_compared():
    sweeps = pd.concat(
        [
            sweeps_of([("diffusion", steps, 1, "dice", 0.7) for steps in (10, 100)]),
            sweeps_of([("diffusion", 100, 20, "dice", 0.9), ("one", 1, 1, "dice", 0.9)]),
            sweeps_of([("diffusion", 200, 1, "dice", 0.95)], start=300),
            sweeps_of([("diffusion", 500, 1, "dice", np.nan), ("diffusion", 5, 1, "iou", 0.99)]),
        ]
    )
    (row,) = least_steps(sweeps).itertuples(index=False)
    assert (row.mode, row.draws, row.least, row.most) == ("diffusion", 1, 10, 100)
    assert least_steps(sweeps[:0]).empty


def test_nothing_has_no_effect():
    assert main_effects(grid_of(POINTS), sweeps_of([]), "iou").empty
    assert main_effects(grid_of([]), scored(POINTS, lambda _: 1.0), "iou").empty
