"""What is recommended for masks follows from what reports say of datasets like them."""

import math

import numpy as np
import pandas as pd
import pytest
from helpers.project import ROOT

from noise2mask.analysis.fingerprints.adapted_schedule import input_scale
from noise2mask.analysis.fingerprints.advice import (
    Difference,
    Tried,
    advise,
    fewest_steps,
    told,
    tried_datasets,
)

GOOD, NONE, BAD = (
    Difference(*each) for each in ((0.02, 0.01, 0.03), (0, -0.01, 0.01), (-0.1, -0.2, -0.05))
)


def tried(name, at_half=-3.0, **more):
    given = {
        "study": "s", "dataset": name, "at_half": at_half, "resolution": 32, "cases": 20,
        "training_steps": 200, "gained": {0.8: GOOD, 0.5: NONE}, "dice": {3: 0.8, 10: 0.805},
        "earlier": False,
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
    found = advise(place(-3.0), 32, [tried("a"), tried("b", gained={0.8: BAD, 0.5: NONE})])
    assert found.scale == 1.0
    far_loser = tried("b", 4.0, gained={0.8: BAD})
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


def test_the_committed_reports_say_what_is_told_of_them():
    found = {each.dataset: each for each in tried_datasets(ROOT / "reports")}
    assert {"lesion_phantom", "nuclei_phantom", "tissue_phantom", "isic2017"} <= found.keys()
    table = pd.read_csv(ROOT / "reports/adaptation_real/contrasts.csv")
    row = table.query(
        "dataset == 'isic2017' and first == 'unreadable' and second == 'linear_x_0' "
        "and metric == 'dice' and sampler == 'ddim10'"
    ).iloc[0]
    isic = found["isic2017"]
    assert isic.gained[0.8] == pytest.approx((row["difference"], row["low"], row["high"]))
    assert isic.cases == row["n"]
    assert isic.resolution == 32
    text = "\n".join(told(advise(place(isic.at_half), 32, [*found.values()]), 32))
    assert f"{row['difference']:+.3f} [{row['low']:.3f}, {row['high']:.3f}]" in text
    assert "other sizes, networks and longer trainings are not tested" in text


def test_reports_that_are_not_there_are_no_ground(tmp_path):
    assert tried_datasets(tmp_path) == []
    assert np.isfinite(advise(place(-3.0), 32, []).scale)
