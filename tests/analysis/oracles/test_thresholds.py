import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noise2mask.analysis.oracles import thresholds
from noise2mask.evaluation.metrics import dice, iou

few = settings(max_examples=30, deadline=None, derandomize=True)


@few
@given(st.integers(0, 2**32 - 1), st.integers(0, 20))
def test_overlap_equals_the_metrics_at_every_threshold(seed, place):
    generator = np.random.default_rng(seed)
    masks = generator.random((3, 6, 7)) < generator.choice([0, 0.2, 0.9])
    values = generator.normal(size=masks.shape).astype(np.float32)
    counts = thresholds.counted(values, masks, 2.0, 20)
    assert counts.sum(axis=2)[:, 1].tolist() == masks.sum(axis=(1, 2)).tolist()
    found = thresholds.overlap(counts)
    edge = -np.inf if place == 0 else np.inf if place == 20 else -2 + 4 * place / 20
    for number, (value, mask) in enumerate(zip(values, masks, strict=True)):
        assert found[0][number, place] == pytest.approx(dice(value >= edge, mask))
        assert found[1][number, place] == pytest.approx(iou(value >= edge, mask))


def test_of_equal_thresholds_the_middle_one_is_taken():
    counts = np.zeros((1, 2, 8), dtype=np.int64)
    counts[0, 0, 0], counts[0, 1, 7] = 5, 5
    assert thresholds.best_threshold(counts) == (4, 1.0)


def test_calibration_is_the_best_monotone_map():
    generator = np.random.default_rng(0)
    counts = generator.integers(0, 30, (2, 2, 12))
    counts[:, :, [0, 5, 11]] = 0  # empty bins
    best = thresholds.calibrated(counts)
    assert np.all(np.diff(best) >= 0)
    error = thresholds.squared_error(counts, best)
    sizes = counts.sum(axis=(1, 2))

    def pooled(map_):
        return (thresholds.squared_error(counts, map_) * sizes).sum()

    for _ in range(300):
        moved = np.maximum.accumulate(best + generator.normal(0, 0.03, 12))
        assert pooled(best) <= pooled(np.clip(moved, 0, 1)) + 1e-9
    x = np.repeat([-1, 1], counts[0].sum(axis=1))
    x_hat = np.concatenate([np.repeat(2 * best - 1, row) for row in counts[0]])
    assert error[0] == pytest.approx(np.mean((x - x_hat) ** 2))
