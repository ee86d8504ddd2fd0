import math
from functools import partial

import numpy as np
import pytest
from scipy import ndimage, stats
from scipy.special import expit, logit

from noise2mask.analysis.oracles import exact, filters, regression
from noise2mask.analysis.oracles.noisy_masks import Levels, NoisyMasks, levels_of, spaced_levels
from noise2mask.analysis.oracles.oracles import (
    ORACLES,
    all_foreground,
    case_curves,
    curve,
    mean_curve,
)
from noise2mask.analysis.oracles.posterior import posterior, probability
from noise2mask.diffusion import schedule
from noise2mask.evaluation.metrics import dice

LEVELS = Levels(np.array([100, 300, 500]), np.array([2.0, -0.5, -2.5]))
FAST = {name: ORACLES[name] for name in ("pixel", "gaussian", "multiscale", "posterior")}


def blobs(count, *, size=32, scale=3.0, seed=0):
    noise = np.random.default_rng(seed).standard_normal((count, size, size))
    smooth = ndimage.gaussian_filter(noise, (0, scale, scale))
    return smooth > np.quantile(smooth, 0.7)


def noisy(masks, *, role="case", t=3, log_snr=0.0, seed=0):
    return NoisyMasks(masks, [f"{role} {i}" for i in range(len(masks))], t, log_snr, seed)


# What the oracles see ---------------------------------------------------------------------------


def test_y_is_x_t_over_its_signal_at_levels_minus_one_and_one():
    process = schedule.linear(1000)
    masks, t = blobs(2), 300
    for gap, low in ((2.0, -1.0), (1.0, 0.0)):
        level = levels_of(process.log_snr.numpy(), [t], gap=gap)
        seen = noisy(masks, t=t, log_snr=float(level.log_snr[0]))
        y = seen.noisy(slice(0, 2))
        eps = (y - np.where(masks, 1, -1)) * math.exp(seen.log_snr / 2)
        signal, sigma = float(process.signal[t]), float(process.sigma[t])
        x_t = signal * (low + gap * masks) + sigma * eps
        middle = low + gap / 2
        assert (x_t / signal - middle) * 2 / gap == pytest.approx(y, abs=1e-5)
        assert np.std(eps) == pytest.approx(1, abs=0.05)


def test_the_noise_of_a_case_is_its_own():
    masks = blobs(5)
    both = noisy(masks)
    alone = NoisyMasks(masks[3:4], ["case 3"], both.t, both.log_snr, both.seed)
    everything = both.noisy(slice(0, 5))
    assert np.array_equal(alone.noisy(slice(0, 1))[0], everything[3])
    for pixels in (1, 2000, 1 << 20):
        parts = [y for _, y in both.blocks(pixels)]
        assert np.array_equal(np.concatenate(parts), everything)
    x = np.where(masks, 1, -1)
    eps = everything - x
    for other in (noisy(masks, t=4), noisy(masks, seed=1)):
        another = other.noisy(slice(0, 5)) - x
        assert abs(np.corrcoef(eps.ravel(), another.ravel())[0, 1]) < 0.1
    assert abs(np.corrcoef(eps[0].ravel(), eps[1].ravel())[0, 1]) < 0.15


def test_masks_that_are_none_are_refused():
    with pytest.raises(ValueError, match="boolean"):
        noisy(np.zeros((2, 4, 4)))
    with pytest.raises(ValueError, match="as many names"):
        NoisyMasks(blobs(2), ["a"], 0, 0.0, 0)
    with pytest.raises(ValueError, match="needed"):
        curve(blobs(1)[:0], blobs(1), LEVELS, oracles=FAST)


def test_spaced_levels_are_timesteps_near_the_grid():
    axis = schedule.linear(1000).log_snr.numpy()
    levels = spaced_levels(axis, gap=2, highest=4, lowest=-10, spacing=0.5)
    assert np.all(np.diff(levels.t) > 0)
    assert np.array_equal(levels.log_snr, axis[levels.t])
    assert levels.log_snr == pytest.approx(np.arange(4, -10.1, -0.5), abs=0.03)
    unit = spaced_levels(axis, gap=1, highest=4, lowest=-10, spacing=0.5)
    assert unit.log_snr == pytest.approx(axis[unit.t] - math.log(4))
    few_steps = spaced_levels(
        schedule.linear(25).log_snr.numpy(), gap=2, highest=4, lowest=-10, spacing=0.5
    )
    assert len(set(few_steps.t.tolist())) == len(few_steps.t) <= 25


# Filters ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [0.4, 1.0, 2.7, 9.0, 30.0])
def test_gaussian_copies_are_those_of_scipy(width):
    y = np.random.default_rng(0).normal(size=(2, 24, 33)).astype(np.float32)
    (found,) = filters.gaussian_copies(y, [width])
    expected = ndimage.gaussian_filter(y.astype(np.float64), (0, width, width), mode="reflect")
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, abs=2e-6)


def test_the_width_grows_with_noise_and_with_objects():
    def widths(scale):
        train, test = blobs(6, scale=scale, seed=1), blobs(6, scale=scale, seed=2)
        table = curve(train, test, LEVELS, oracles={"gaussian": filters.gaussian})
        return table["width"].to_numpy()

    small, large = widths(1.5), widths(5.0)
    assert np.all(np.diff(small) > 0)
    assert np.all(np.diff(large) > 0)
    assert np.all(large >= small)
    assert large[-1] > small[-1]


def test_a_filter_beats_single_pixels_and_the_median_is_one():
    train, test = blobs(6, seed=1), blobs(6, seed=2)
    few_widths = {"median": partial(filters.median, widths=(1, 3, 5))}
    table = curve(train, test, LEVELS, oracles=FAST | few_widths).pivot(
        index="t", columns="oracle", values=["dice", "mse_x0", "width"]
    )
    for column, sign in (("dice", 1), ("mse_x0", -1)):
        for t in (300, 500):
            alone = table[column, "pixel"][t]
            assert sign * table[column, "gaussian"][t] > sign * alone
            assert sign * table[column, "median"][t] > sign * alone
    assert set(table["width", "median"]) <= {1, 3, 5}


def test_a_median_is_chosen_as_scipy_computes_it():
    train, test = noisy(blobs(3, seed=1), role="train"), noisy(blobs(2, seed=2), role="test")
    found = filters.median(train, test, widths=(5,))
    y = ndimage.median_filter(test.noisy(slice(0, 2)), (1, 5, 5), mode="reflect")
    scores = [
        np.array([dice(v >= edge, m) for v, m in zip(y, test.masks, strict=True)])
        for edge in np.linspace(-0.4, 0.4, 81)
    ]
    nearest = min(np.abs(found.dice - row).max() for row in scores)
    assert nearest < 0.02


def test_a_window_of_one_pixel_is_no_filter():
    train, test = (noisy(blobs(4, seed=seed), role=f"{seed}", log_snr=-3.0) for seed in (1, 2))
    alone, window = filters.pixel(train, test), filters.median(train, test, widths=(1,))
    assert window.dice == pytest.approx(alone.dice, abs=0.01)
    assert window.mse_x0 == pytest.approx(alone.mse_x0, rel=0.01)


# Logistic regression ----------------------------------------------------------------------------


def test_the_fit_recovers_the_bayes_rule_of_independent_pixels():
    masks = np.random.default_rng(0).random((6, 160, 160)) < 0.2
    seen = noisy(masks, log_snr=0.3)
    y = seen.noisy(slice(0, 6))
    weights = regression.fit(y.reshape(-1, 1), masks.ravel())
    assert weights == pytest.approx([logit(0.2), 2 * math.exp(0.3)], rel=0.03)


def test_the_fit_has_no_gradient_left_and_bears_separable_masks():
    generator = np.random.default_rng(0)
    copies = generator.normal(size=(4000, 3)).astype(np.float32)
    copies[:, 2] = copies[:, 1] + 0.1 * copies[:, 2]
    foreground = copies @ [1, 2, -1.5] + generator.logistic(size=4000) > 0
    weights = regression.fit(copies, foreground)
    wrong = expit(copies @ weights[1:] + weights[0]) - foreground
    assert np.abs(wrong.mean()) < 1e-4
    assert np.abs(copies.T @ wrong / 4000).max() < 1e-4
    separable = regression.fit(copies, copies[:, 0] > 0)
    assert np.all(np.isfinite(separable))
    assert separable[1] > 50
    twice = regression.fit(np.repeat(copies[:, :1], 2, axis=1), copies[:, 0] > 0.3)
    assert twice[1] == pytest.approx(twice[2], rel=0.02)


def test_multiscale_scores_its_own_probability():
    train, test = noisy(blobs(4, seed=1), role="train"), noisy(blobs(3, seed=2), role="test")
    found = regression.multiscale(train, test, widths=(0, 2), pixels=1 << 20)
    copies = np.stack(list(filters.gaussian_copies(train.noisy(slice(0, 4)), (0, 2))), axis=-1)
    weights = regression.fit(copies.reshape(-1, 2), train.masks.ravel())
    held_out = np.stack(list(filters.gaussian_copies(test.noisy(slice(0, 3)), (0, 2))), axis=-1)
    p = expit(held_out @ weights[1:] + weights[0])
    error = ((2 * p - 1 - np.where(test.masks, 1, -1)) ** 2).mean(axis=(1, 2))
    assert found.mse_x0 == pytest.approx(error, rel=1e-3)
    at_half = [dice(case > 0.5, mask) for case, mask in zip(p, test.masks, strict=True)]
    assert found.dice.mean() == pytest.approx(np.mean(at_half), abs=0.03)


# Posterior mean ---------------------------------------------------------------------------------


@pytest.mark.parametrize("log_snr", [-4.0, -2.5, -1.0])
def test_two_masks_are_one_binary_question(log_snr):
    # On the line through two masks that differ in d pixels, x = -+1 is seen with d times the SNR,
    # so the squared error summed over pixels is d times the mmse of one binary input.
    masks = np.zeros((2, 8, 8), dtype=bool)
    masks[0, 2:4, 1:7], masks[1, 3:7, 2:5] = True, True
    differing = int((masks[0] ^ masks[1]).sum())
    test = noisy(np.tile(masks, (4000, 1, 1)), role="test", log_snr=log_snr)
    found = posterior(noisy(masks, role="train", log_snr=log_snr), test)
    expected = differing * exact.mmse(log_snr + math.log(differing), 0.5) / 64
    error = found.mse_x0.std() / math.sqrt(8000)
    assert found.mse_x0.mean() == pytest.approx(expected, abs=4 * error)


def test_the_posterior_mean_is_bayes_rule_and_leaves_the_case_out():
    masks = blobs(5, size=6, scale=1)
    train = noisy(masks, role="a", log_snr=-2.0)
    y = noisy(masks[:3], role="a", log_snr=-2.0).noisy(slice(0, 3)).reshape(3, -1).astype(float)
    x = np.where(masks, 1.0, -1.0).reshape(5, -1)

    def mean(row, among):
        weights = np.array([stats.norm(x[i], math.exp(1)).logpdf(row).sum() for i in among])
        weights = np.exp(weights - weights.max())
        return weights @ masks.reshape(5, -1)[among] / weights.sum()

    strangers = probability(train, y, ["b 0", "b 1", "b 2"])
    assert strangers == pytest.approx(np.stack([mean(row, list(range(5))) for row in y]))
    own = probability(train, y, ["a 0", "a 1", "a 2"])
    left_out = [mean(row, [j for j in range(5) if j != i]) for i, row in enumerate(y)]
    assert own == pytest.approx(np.stack(left_out))
    with pytest.raises(ValueError, match="another case"):
        posterior(noisy(masks[:1]), noisy(masks[:1]))


def test_nothing_beats_the_exact_posterior_where_its_prior_is_the_truth():
    prior = blobs(6, size=16, seed=4)
    drawn = np.tile(prior, (10, 1, 1))
    # Names differ from those of the prior, so that the true mask is among it.
    table = mean_curve(
        case_curves(np.concatenate([prior, prior[:3]]), drawn, LEVELS, oracles=FAST)
    ).pivot(index="t", columns="oracle", values="mse_x0")
    for other in ("pixel", "gaussian", "multiscale"):
        assert np.all(table["posterior"] <= table[other] + 1e-9)


# Curves -----------------------------------------------------------------------------------------


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
