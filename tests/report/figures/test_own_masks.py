"""The picture of a fingerprint shows the curves of its table, and where timesteps are."""

import numpy as np
import pandas as pd

from noise2mask.analysis.oracles.noisy_masks import linear_log_snr
from noise2mask.report.figures.own_masks import SHARES, own_masks

LEVELS = np.linspace(-10, 4, 8)


def oracles():
    parts = []
    for name, middle in {"mine": -3.0, "near": -2.5, "far": 0.0}.items():
        dice = 1 / (1 + np.exp(-(LEVELS - middle)))
        parts.append(
            pd.DataFrame({"dataset": name, "oracle": "gaussian", "log_snr": LEVELS, "dice": dice})
        )
    return pd.concat(parts, ignore_index=True)


def test_curves_are_those_of_the_table_and_schedules_are_shifted():
    figure = own_masks(oracles(), "mine", ["near"], {"b = 1": 1.0, "b = 0.5": 0.5}, -3.0)
    upper, lower = figure.axes
    lines = {line.get_gid(): line for line in upper.lines}
    assert {"mine", "near", "other", "death"} == set(lines)
    wanted = oracles().query("dataset == 'mine'")
    np.testing.assert_allclose(lines["mine"].get_ydata(), wanted["dice"])
    assert lines["mine"].get_color() != lines["near"].get_color()
    assert upper.get_xlim()[0] > upper.get_xlim()[1]  # noise grows to the right
    one, half = (line.get_xdata() for line in lower.lines[:2])
    np.testing.assert_allclose(half, one + 2 * np.log(0.5))
    middle = np.interp(0.5, np.linspace(0, 1, 1000), linear_log_snr())
    np.testing.assert_allclose(one[len(SHARES) // 2], middle)
    assert [text.get_text() for text in lower.get_yticklabels()] == ["b = 1", "b = 0.5"]


def test_without_an_atlas_there_is_the_own_curve_alone():
    alone = oracles().query("dataset == 'mine'")
    figure = own_masks(alone, "mine", [], {"b = 1": 1.0}, float("nan"))
    assert {line.get_gid() for line in figure.axes[0].lines} == {"mine"}
