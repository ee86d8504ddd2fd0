"""What is recommended for masks follows from what reports say of datasets like them."""

import math

import numpy as np
import pandas as pd
import pytest
from helpers.project import ROOT

from noise2mask.analysis.fingerprints.adapted_schedule import input_scale
from noise2mask.analysis.fingerprints.advice import (
    STUDIES,
    Choice,
    Difference,
    Tried,
    advise,
    fewest_steps,
    table_of,
    told,
    tried_datasets,
)

GOOD, NONE, BAD = (
    Difference(*each) for each in ((0.02, 0.01, 0.03), (0, -0.01, 0.01), (-0.1, -0.2, -0.05))
)


EIGHTY, HALF, TENTH = Choice(share=0.8), Choice(share=0.5), Choice(scale=0.1)


def tried(name, at_half=-3.0, **more):
    given = {
        "study": "s", "dataset": name, "at_half": at_half, "resolution": 32, "cases": 20,
        "training_steps": 200, "seeds": 3, "gained": {EIGHTY: GOOD, HALF: NONE},
        "dice": {3: 0.8, 10: 0.805},
    }  # fmt: skip
    return Tried(**{**given, **more})


def place(log_snr):
    return log_snr, log_snr - 0.2, log_snr + 0.2


def test_a_scale_is_recommended_that_gained_on_every_dataset_near():
    found = advise(place(-3.0), 32, [tried("a"), tried("b", -3.5)])
    assert found.scale == round(input_scale(-3.0, 0.8), 3)
    assert found.steps == 3
    (eighty, half) = found.scales
    assert eighty.low < eighty.mean < eighty.high
    assert half.share == 0.5
    assert half.mean > eighty.mean


def test_one_dataset_near_that_lost_is_enough_against_it():
    found = advise(place(-3.0), 32, [tried("a"), tried("b", gained={EIGHTY: BAD, HALF: NONE})])
    assert found.scale == 1.0
    far_loser = tried("b", 4.0, gained={EIGHTY: BAD})
    assert advise(place(-3.0), 32, [tried("a"), far_loser]).scale < 1


def test_masks_unlike_all_that_were_tried_are_not_tested():
    found = advise(place(1.0), 32, [tried("a")])
    assert (found.scale, found.steps, found.near) == (1.0, 10, [])
    text = "\n".join(told(found, 32))
    assert "not tested for such masks: the nearest that were tried are a (4.0 away)" in text
    nothing = advise((math.nan,) * 3, 32, [tried("a")])
    assert nothing.near == nothing.scales == []
    one_slide = told(advise((-3.0, math.nan, math.nan), 32, [tried("a")]), 32)
    assert any("for 80% of the timesteps" in line and "nan" not in line for line in one_slide)
    assert "no report is here" in "\n".join(told(advise(place(1.0), 32, []), 32))


def test_masks_are_compared_at_the_resolution_of_the_report():
    """At 128 px the same masks die 2 log 4 lower than at 32."""
    same = advise(place(-3.0 - 2 * math.log(4)), 128, [tried("a")])
    assert same.near[0][1] == pytest.approx(0)
    assert advise(place(-3.0), 128, [tried("a")]).near == []


def test_steps_that_were_tried_once_say_nothing_of_fewer():
    alone = tried("a", dice={10: 0.8})
    assert fewest_steps(alone) is None
    assert fewest_steps(tried("a", dice={1: 0.7, 3: 0.795, 10: 0.8, 50: 0.79})) == 3
    assert advise(place(-3.0), 32, [tried("b"), alone]).steps == 10
    found = advise(place(-3.0), 32, [alone])
    assert found.steps == 10
    assert "fewer were not tried" in "\n".join(told(found, 32))


def test_a_fixed_scale_is_recommended_by_its_gain():
    better = Difference(0.05, 0.02, 0.08)
    found = advise(place(-3.0), 32, [tried("a", gained={EIGHTY: GOOD, TENTH: better})])
    assert found.scale == 0.1
    both = [tried("a", gained={TENTH: better}), tried("b", gained={EIGHTY: GOOD})]
    assert advise(place(-3.0), 32, both).scale == 1.0  # neither was tried on both


def test_the_committed_reports_say_what_is_told_of_them():
    there = [study for study in STUDIES if (ROOT / "reports" / study).is_dir()]
    found = tried_datasets(ROOT / "reports")
    assert {each.study for each in found} == set(there)
    for each in found:
        table = pd.read_csv(table_of(ROOT / "reports" / each.study, "contrasts"))
        asked = STUDIES[each.study]
        for mode, choice in asked.choices.items():
            row = table.query(
                f"dataset == {each.dataset!r} and first == {mode!r} and second == {asked.plain!r} "
                f"and metric == 'dice' and sampler == {asked.sampler!r}"
            ).iloc[0]
            assert each.gained[choice] == pytest.approx((row.difference, row.low, row.high))
            text = "\n".join(told(advise(place(each.at_half), 32, found), 32))
            assert f"{choice} {row.difference:+.3f} [{row.low:.3f}, {row.high:.3f}]" in text
        assert each.resolution == 32
        assert len(each.dice) >= 1


def test_reports_that_are_not_there_are_no_ground(tmp_path):
    assert tried_datasets(tmp_path) == []
    assert np.isfinite(advise(place(-3.0), 32, []).scale)
