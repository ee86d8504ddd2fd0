import math

import numpy as np
import pytest
from helpers.masks import blobs, curve

from noise2mask.analysis.oracles.noisy_masks import Levels, NoisyMasks
from noise2mask.analysis.oracles.oracles import (
    ORACLES,
    all_foreground,
    case_curves,
)
from noise2mask.evaluation.metrics import dice

LEVELS = Levels(np.array([100, 300, 500]), np.array([2.0, -0.5, -2.5]))
FAST = {name: ORACLES[name] for name in ("pixel", "gaussian", "multiscale", "posterior")}


def test_a_curve_is_the_mean_of_its_cases():
    train, test = blobs(4, seed=1), blobs(3, seed=2)
    cases = case_curves(train, test, LEVELS, oracles=FAST)
    table = curve(train, test, LEVELS, oracles=FAST)
    assert list(table.columns) == [
        "oracle", "t", "log_snr", "width", "mse_width", "dice", "iou", "mse_x0", "mse_eps", "floor",
    ]  # fmt: skip
    assert len(cases) == 4 * 3 * 3
    assert len(table) == 4 * 3
    for (oracle, t), rows in cases.groupby(["oracle", "t"]):
        row = table[(table.oracle == oracle) & (table.t == t)].iloc[0]
        assert row.dice == pytest.approx(rows.dice.mean())
        assert row.mse_eps == pytest.approx(math.exp(row.log_snr) * row.mse_x0)
        assert row.floor == pytest.approx(all_foreground(test).mean())
    everything = [dice(np.ones_like(mask), mask) for mask in test]
    assert all_foreground(test) == pytest.approx(everything)
    assert table.dice.between(0, 1).all()
    assert table.width.isna().eq(table.oracle.isin(["multiscale", "posterior"])).all()


@pytest.mark.parametrize("oracle", FAST)
def test_test_masks_are_scored_but_never_looked_at(oracle):
    train, test = blobs(8, seed=1), blobs(4, seed=2)
    names = [f"test {i}" for i in range(4)]
    chosen = {oracle: FAST[oracle]}
    levels = Levels(np.array([200, 500, 900]), np.array([0.5, -2.5, -7.0]))
    whole = case_curves(train, test, levels, oracles=chosen, test_cases=names)
    part = case_curves(train, test[2:3], levels, oracles=chosen, test_cases=names[2:3])
    same = whole[whole.case == names[2]].drop(columns=["oracle", "case"])
    assert same.to_numpy() == pytest.approx(
        part.drop(columns=["oracle", "case"]).to_numpy(), rel=1e-6, nan_ok=True
    )


def test_results_do_not_depend_on_blocks(monkeypatch):
    train, test = blobs(5, seed=1), blobs(5, seed=2)
    whole = curve(train, test, LEVELS, oracles=FAST)
    blocks = NoisyMasks.blocks
    monkeypatch.setattr(NoisyMasks, "blocks", lambda self: blocks(self, 2 * 32 * 32))
    split = curve(train, test, LEVELS, oracles=FAST)
    columns = whole.columns.drop("oracle")
    assert split[columns].to_numpy() == pytest.approx(
        whole[columns].to_numpy(), rel=1e-6, nan_ok=True
    )


def test_extreme_masks_and_levels_give_numbers():
    masks = blobs(4)
    masks[0], masks[1] = False, True
    ends = Levels(np.array([0, 1, 2]), np.array([9.2, 5.0, -10.0]))
    table = case_curves(masks, masks.copy(), ends, oracles=FAST)
    assert np.isfinite(table[["dice", "iou", "mse_x0", "mse_eps"]]).all(axis=None)
    easy = table[(table.log_snr > 4) & (table.oracle != "posterior")]
    assert easy.dice.min() > 0.999
    assert easy.mse_x0.max() < 1e-4


def test_curves_need_masks_to_fit_and_to_score():
    with pytest.raises(ValueError, match="needed"):
        curve(blobs(1)[:0], blobs(1), LEVELS, oracles=FAST)
