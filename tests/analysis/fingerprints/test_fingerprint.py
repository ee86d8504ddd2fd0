import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from noise2mask.analysis.fingerprints.fingerprint import (
    crossing,
    fingerprint,
    halves,
    timestep_at,
    write_fingerprint,
)
from noise2mask.analysis.fingerprints.geometry import FIGURES
from noise2mask.analysis.oracles.oracles import all_foreground
from noise2mask.data.prepare import prepare
from noise2mask.diffusion import schedule
from noise2mask.evaluation.bootstrap import Interval, Resampling, percentile_interval

AXIS = schedule.linear(1000).log_snr.numpy()
FAST = {"spacing": 1.0, "resamples": 200}


def discs(radius, count=10, size=32, seed=0):
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    centres = generator.uniform(radius, size - radius, (count, 2))
    return np.stack([(y - a) ** 2 + (x - b) ** 2 < radius**2 for a, b in centres])


def names(count=10):
    return [f"case {i}" for i in range(count)]


@pytest.fixture(scope="module")
def large():
    return fingerprint(discs(9.0), names(), AXIS, **FAST)


@pytest.fixture(scope="module")
def small():
    return fingerprint(discs(3.0), names(), AXIS, **FAST)


def test_crossing_is_linear_between_levels_and_the_first_on_the_way():
    log_snr = np.array([2.0, 1.0, -1.0, -2.0])
    curves = np.array(
        [
            [1.0, 0.8, 0.4, 0.3],
            [1.0, 1.0, 0.9, 0.6],
            [0.4, 0.9, 0.2, 0.1],
            [1.0, 0.4, 0.9, 0.1],
            [1.0, 0.5, 0.5, 0.4],
        ]
    )
    found = crossing(curves, log_snr, 0.5)
    assert found == pytest.approx([-0.5, np.nan, np.nan, 2 - 5 / 6, -1.0], nan_ok=True)
    assert crossing(curves[:2], log_snr, [0.9, 0.75]) == pytest.approx([1.5, -1.5])


def test_timesteps_follow_the_schedule():
    found = timestep_at(Interval(AXIS[300], AXIS[500], (AXIS[200] + AXIS[201]) / 2, 7), AXIS)
    assert found == pytest.approx((300, 200.5, 500, 7))
    assert math.isnan(timestep_at(Interval(20.0, -30.0, np.nan, 7), AXIS).mean)


def test_halves_keep_groups_together_and_are_even():
    units = [f"patient {i // 3}" for i in range(30)]
    first = halves(units, 0)
    assert first.sum() == 15
    for unit in set(units):
        assert len({bool(first[i]) for i, other in enumerate(units) if other == unit}) == 1
    shuffled = np.random.default_rng(0).permutation(30)
    assert np.array_equal(halves([units[i] for i in shuffled], 0), first[shuffled])
    assert not np.array_equal(halves(units, 1), first)
    with pytest.raises(ValueError, match="two groups"):
        halves(["a", "a"], 0)


def test_large_objects_stay_readable_longer(large, small):
    large_figures, small_figures = large.figures, small.figures
    for name in ("log_snr_at_90", "log_snr_at_50", "log_snr_at_half"):
        assert large_figures.loc[name, "high"] < small_figures.loc[name, "low"]
    for name in ("t_at_90", "t_at_50"):
        assert large_figures.loc[name, "low"] > small_figures.loc[name, "high"]
    assert large_figures.loc["boundary_per_area", "mean"] == pytest.approx(2 / 9, rel=0.05)
    widths = [
        print_.curves.query("oracle == 'gaussian' and -4 < log_snr < -2")["width"].mean()
        for print_ in (large, small)
    ]
    assert widths[0] > widths[1]


def test_the_figures_are_those_of_the_curves(large):
    dice = large.curves.query("oracle == 'gaussian'")
    loss = large.curves.query("oracle == 'multiscale'")
    log_snr = dice["log_snr"].to_numpy()
    figures = large.figures
    assert set(figures.index) == {
        *FIGURES, "floor", "hump_height", "hump_log_snr", "hump_t", "log_snr_at_90",
        "log_snr_at_50", "log_snr_at_half", "t_at_90", "t_at_50", "t_at_half",
    }  # fmt: skip
    at = figures["mean"]
    assert np.interp(at.log_snr_at_90, log_snr[::-1], dice.dice[::-1]) == pytest.approx(0.9)
    assert at.floor == pytest.approx(dice.floor.mean())
    half = np.interp(at.log_snr_at_half, log_snr[::-1], dice.dice[::-1])
    assert half == pytest.approx((1 + at.floor) / 2)
    top = loss.loc[loss.mse_eps.idxmax()]
    assert abs(at.hump_log_snr - top.log_snr) <= 1
    assert at.hump_height == pytest.approx(top.mse_eps)
    assert np.interp(at.t_at_50, range(1000), AXIS) == pytest.approx(at.log_snr_at_50)
    inside = figures[figures["low"].notna()]
    assert (inside["low"] <= inside["mean"]).all()
    assert (inside["mean"] <= inside["high"]).all()
    assert (figures["n"] == 10).all()


def test_the_order_of_cases_does_not_matter(small):
    order = np.random.default_rng(0).permutation(10)
    again = fingerprint(discs(3.0)[order], [names()[i] for i in order], AXIS, **FAST)
    assert again.figures.to_numpy() == pytest.approx(
        small.figures.to_numpy(), rel=1e-4, abs=1e-4, nan_ok=True
    )


def test_a_coding_moves_timesteps_but_hardly_log_snr(small):
    unit = fingerprint(discs(3.0), names(), AXIS, gap=1.0, **FAST).figures["mean"]
    signed = small.figures["mean"]
    assert unit.log_snr_at_50 == pytest.approx(signed.log_snr_at_50, abs=0.3)
    assert unit.hump_log_snr == pytest.approx(signed.hump_log_snr, abs=0.5)
    assert signed.t_at_50 - unit.t_at_50 > 100


def test_groups_widen_the_intervals():
    masks = discs(3.0, 12)
    # Three cases of a group are the same mask, so groups are all that varies.
    masks = np.repeat(masks[:4], 3, axis=0)
    alone = fingerprint(masks, names(12), AXIS, **FAST).figures
    groups = [f"patient {i // 3}" for i in range(12)]
    together = fingerprint(masks, names(12), AXIS, groups=groups, **FAST).figures
    one, other = (figures.loc["foreground"] for figures in (alone, together))
    assert other["high"] - other["low"] > 1.2 * (one["high"] - one["low"])
    floor = percentile_interval(
        all_foreground(masks)[:, None], lambda means: means[:, 0], units=groups,
        resampling=Resampling(200),
    )  # fmt: skip
    assert together.loc["floor"].tolist() == pytest.approx(list(floor))


def test_what_never_happens_is_not_a_number():
    masks = ~discs(4.0)
    figures = fingerprint(masks, names(), AXIS, **FAST).figures
    assert figures.loc["floor", "mean"] > 0.9
    assert figures.loc[["log_snr_at_50", "t_at_50"], ["mean", "low", "high"]].isna().all(axis=None)
    assert np.isfinite(figures.loc["log_snr_at_half", "mean"])


def test_there_is_no_interval_for_what_happens_in_some_resamples_only():
    masks = np.zeros((10, 32, 32), dtype=bool)
    masks[::2, :, :19], masks[1::2, :, :8] = True, True  # floors 0.75 and 0.4
    found = fingerprint(masks, names(), AXIS, **FAST).figures.loc["log_snr_at_50"]
    assert found[["mean", "low", "high"]].isna().all()
    assert found["n"] == 10


def test_tiles_of_one_slide_have_a_fingerprint_without_intervals(tmp_path):
    for number, mask in enumerate(discs(9.0)):
        for role in ("images", "masks"):
            path = tmp_path / "raw" / role / f"slide_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(255 * mask.astype(np.uint8)).save(path)
    shares = {"train": 0.5, "val": 0.25, "test": 0.25}
    for name, pattern in (("apart", r"^(slide_\d)"), ("one", r"^(slide)_")):
        options = {"root": str(tmp_path / "raw"), "group_pattern": pattern}
        data = tmp_path / name
        prepare("folder", options, name, 32, shares, data, leaks="accepted")
        write_fingerprint(data, [], tmp_path / f"{name}_out", spacing=1.0, resamples=50, level=0.95)
    apart, one = (
        pd.read_csv(tmp_path / f"{name}_out/figures.csv").set_index("figure")
        for name in ("apart", "one")
    )
    assert one["mean"].notna().sum() == apart["mean"].notna().sum() > 0
    assert one[["low", "high"]].isna().all(axis=None)
    assert (one.loc["foreground", "n"], apart.loc["foreground", "n"]) == (1, 10)
    assert apart.loc["foreground", ["low", "high"]].notna().all()
