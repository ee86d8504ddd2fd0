"""Readability: closed forms, an independent computation, and what must not matter."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from noise2mask.analysis.fingerprints.readability import (
    CASE_COLUMNS,
    COLUMNS,
    explained,
    table,
)
from noise2mask.analysis.information.integral import Bootstrap
from noise2mask.analysis.oracles.filters import gaussian_copies
from noise2mask.analysis.oracles.noisy_masks import Levels, NoisyMasks, generator_of
from noise2mask.evaluation.bootstrap import Resampling, estimate_mean

LEVELS = Levels(np.array([10, 20, 30, 40]), np.array([4.0, 1.0, -1.0, -4.0]))
BOOTSTRAP = Bootstrap(None, 200, 0.95, 0)


def noise_of(seed, case, t, shape):
    return generator_of("noise", seed, case, t).standard_normal(shape, dtype=np.float32)


def names(count):
    return [f"case {number}" for number in range(count)]


def white(count=60, size=32, seed=0):
    return np.random.default_rng(seed).standard_normal((count, size, size))


def smooth(count=40, size=32, width=3.0, seed=0):
    return ndimage.gaussian_filter(white(count, size, seed), (0, width, width))


def by_level(found):
    return found.groupby("log_snr", sort=False)["explained"].mean().to_numpy()


def test_white_subjects_are_read_as_the_closed_form_says():
    found = explained(white(), names(60), LEVELS, seed=0)
    snr = np.exp(LEVELS.log_snr)
    assert by_level(found) == pytest.approx(snr / (1 + snr), abs=0.01)
    assert (found["width"][found["log_snr"] > -2] == 0).all()


def test_two_levels_are_read_like_a_normal_value_of_the_same_variance():
    found = explained(white() > 0.8, names(60), LEVELS, seed=0)
    snr = np.exp(LEVELS.log_snr)
    assert by_level(found) == pytest.approx(snr / (1 + snr), abs=0.01)


def test_constant_pictures_are_read_from_the_mean_of_their_pixels():
    count, size = 400, 8
    levels = np.random.default_rng(1).standard_normal((count, 1, 1))
    found = explained(
        np.broadcast_to(levels, (count, size, size)), names(count), LEVELS, seed=0,
        widths=(0.0, 200.0),
    )  # fmt: skip
    snr = size**2 * np.exp(LEVELS.log_snr)
    assert by_level(found) == pytest.approx(snr / (1 + snr), abs=0.03)
    assert (found["width"] == 200).all()


def test_the_same_as_filtering_every_picture_and_a_line_through_the_other_half():
    subjects, cases, widths = smooth(6, 16), names(6), (0.0, 1.0, 2.5)
    x = (subjects - subjects.mean()) / subjects.std()
    for t, log_snr in zip(*LEVELS, strict=True):
        level = Levels(np.array([t]), np.array([log_snr]))
        found = explained(subjects, cases, level, seed=5, widths=widths)
        noise = np.stack([noise_of(5, case, int(t), (16, 16)) for case in cases])
        y = (x + math.exp(-log_snr / 2) * noise).astype(np.float32)
        copies = np.stack(list(gaussian_copies(y, widths))).astype(np.float64)
        for half in (0, 1):
            fits = [
                np.polyfit(copy[1 - half :: 2].ravel(), x[1 - half :: 2].ravel(), 1)
                for copy in copies
            ]
            left = [
                np.mean((np.polyval(fit, copy[1 - half :: 2]) - x[1 - half :: 2]) ** 2)
                for fit, copy in zip(fits, copies, strict=True)
            ]
            best = int(np.argmin(left))
            errors = (np.polyval(fits[best], copies[best][half::2]) - x[half::2]) ** 2
            assert found["explained"][half::2].to_numpy() == pytest.approx(
                1 - errors.mean(axis=(1, 2)), abs=1e-4
            )
            assert (found["width"][half::2] == widths[best]).all()


def test_the_noise_is_that_of_the_oracles():
    masks, cases = white(3, 8) > 0, names(3)
    y = NoisyMasks(masks, cases, 7, -1.0, 2).noisy(slice(0, 3))
    eps = (y - np.where(masks, 1, -1)) * math.exp(-0.5)
    for case, expected in zip(cases, eps, strict=True):
        assert noise_of(2, case, 7, (8, 8)) == pytest.approx(expected, abs=1e-5)


def test_shift_and_scale_do_not_matter():
    subjects = smooth(8)
    one = explained(subjects, names(8), LEVELS, seed=0)
    two = explained(7 + 0.01 * subjects, names(8), LEVELS, seed=0)
    signed = explained(np.where(subjects > 0, 1.0, -1.0), names(8), LEVELS, seed=0)
    unit = explained(subjects > 0, names(8), LEVELS, seed=0)
    pd.testing.assert_frame_equal(signed, unit)
    pd.testing.assert_frame_equal(one, two)


def test_large_objects_stay_readable_longer_and_want_wider_filters():
    small, large = (
        explained(smooth(20, 64, width) > 0, names(20), LEVELS, seed=0) for width in (1.0, 6.0)
    )
    assert (by_level(large)[1:] > by_level(small)[1:] + 0.1).all()
    widths = [found.groupby("log_snr")["width"].mean() for found in (small, large)]
    assert (widths[1] >= widths[0]).all()
    assert widths[1].is_monotonic_decreasing


def test_neither_order_of_levels_nor_block_matters(monkeypatch):
    subjects = smooth(9)
    everything = explained(subjects, names(9), LEVELS, seed=0)
    monkeypatch.setattr("noise2mask.analysis.fingerprints.readability._BLOCK", 1)
    single = explained(subjects, names(9), LEVELS, seed=0)
    pd.testing.assert_frame_equal(everything, single)
    last = explained(subjects, names(9), Levels(LEVELS.t[3:], LEVELS.log_snr[3:]), seed=0)
    pd.testing.assert_frame_equal(everything.tail(9).reset_index(drop=True), last)


def test_the_table_compares_subjects_under_one_noise():
    subjects = {"mask": smooth(20) > 0, "image": white(20)}
    found = table(subjects, names(20), LEVELS, bootstrap=BOOTSTRAP, seed=0)
    assert tuple(found.columns) == COLUMNS
    assert found["subject"].tolist() == ["mask"] * 4 + ["image"] * 4
    assert found["t"].tolist() == [10, 20, 30, 40] * 2
    single = explained(subjects["mask"], names(20), LEVELS, seed=0)
    assert found["explained"][:4].to_numpy() == pytest.approx(by_level(single), rel=1e-12)
    assert found["width"][:4].to_numpy() == pytest.approx(
        single.groupby("log_snr", sort=False)["width"].mean().to_numpy()
    )
    assert (found["low"] <= found["explained"]).all()
    assert (found["explained"] <= found["high"]).all()
    masks, images = found["explained"][:4].to_numpy(), found["explained"][4:].to_numpy()
    assert (masks[1:] > images[1:]).all()


def test_groups_are_drawn_together():
    subjects, groups = smooth(20), [f"slide {number // 2}" for number in range(20)]
    grouped = Bootstrap(groups, 200, 0.95, 0)
    one = table({"image": subjects}, names(20), LEVELS, bootstrap=grouped, seed=0)
    shares = explained(subjects, names(20), LEVELS, seed=0)["explained"].to_numpy()
    for row, level in zip(one.itertuples(), shares.reshape(4, 20), strict=True):
        expected = estimate_mean(level, units=groups, resampling=Resampling(200)).interval()
        assert (row.low, row.high) == pytest.approx(expected[1:3])


def test_no_level_gives_no_row():
    none = Levels(np.array([], dtype=np.int64), np.array([]))
    assert tuple(explained(white(4), names(4), none, seed=0).columns) == CASE_COLUMNS
    found = table({"mask": white(4)}, names(4), none, bootstrap=BOOTSTRAP, seed=0)
    assert tuple(found.columns) == COLUMNS
    assert found.empty


@pytest.mark.parametrize(
    ("subjects", "cases", "message"),
    [
        (white(1), names(1), "N at least 2"),
        (white(3), names(2), "with a name each"),
        (white(3)[0], names(32), "must be"),
        (np.ones((3, 8, 8)), names(3), "must vary"),
        (np.full((3, 8, 8), np.nan), names(3), "must vary"),
    ],
)
def test_what_cannot_be_meant_is_refused(subjects, cases, message):
    with pytest.raises(ValueError, match=message):
        explained(subjects, cases, LEVELS, seed=0)
