"""The gauge itself: denoisers are posterior means, and the true information is true."""

import math
from itertools import product

import numpy as np
import pytest
from helpers.exact_tasks import (
    BinaryChannel,
    Errors,
    GaussianField,
    MarkovRows,
    NoisyPixels,
    Templates,
    exact_errors,
)
from scipy.stats import multivariate_normal

from noise2mask.analysis.information.information import image_information, mask_entropy
from noise2mask.analysis.oracles.exact import binary_entropy


def discs(*centres_and_radii, size=8):
    y, x = np.mgrid[:size, :size]
    inside = [(y - r) ** 2 + (x - c) ** 2 < radius**2 for r, c, radius in centres_and_radii]
    return np.where(inside, 1.0, -1.0)


SHAPES = Templates(
    discs((2, 2, 2), (2, 5, 2), (5, 2, 2), (5, 5, 2), (4, 4, 3), (4, 4, 4)),
    np.array([0.3, 0.1, 0.1, 0.1, 0.2, 0.2]),
    noise=2.5,
)
TASKS = {
    "channel": BinaryChannel((6, 6), 0.1),
    "rare channel": BinaryChannel((6, 6), 0.2, 0.1),
    "noisy": NoisyPixels((6, 6), 1.0),
    "rare noisy": NoisyPixels((6, 6), 1.5, 0.15),
    "gaussian": GaussianField((6, 6), 1.0, 0.8),
    "templates": SHAPES,
    "rows": MarkovRows((6, 6), 0.7, 1.2, 0.3),
    "squares": MarkovRows((6, 6), 0.5, 2.0, 0.3, block=2),
}
CASES = {
    "rare channel": 6000, "rare noisy": 6000, "gaussian": 4000, "templates": 12000, "rows": 6000,
    "squares": 8000,
}  # fmt: skip


@pytest.mark.parametrize("name", TASKS)
def test_measured_information_is_the_true_one(name):
    """Within 2 % by both estimates, from 2000 cases and more of exact denoisers at spacing 1."""
    task, two_levels = TASKS[name], name != "gaussian"
    log_snr = np.arange(-8, 5 if two_levels else 9, 1.0)
    errors = exact_errors(task, log_snr, CASES.get(name, 2000), np.random.default_rng(0))
    difference, orthogonal, covariance, gap = image_information(
        *errors,
        log_snr,
        gap=2.0,
        pixels=math.prod(task.shape),
        two_levels=two_levels,
        resamples=300,
        level=0.99,
    )
    # A whole template right or wrong is a lot of noise: 12 000 cases resolve 3 % of it.
    rel = 0.04 if name == "templates" else 0.02
    assert difference.bits.mean == pytest.approx(task.bits, rel=rel)
    assert orthogonal.bits.mean == pytest.approx(task.bits, rel=rel)
    assert covariance.bits.mean == pytest.approx(task.bits, rel=rel)
    assert orthogonal.bits.low < task.bits < orthogonal.bits.high
    assert gap.low < 0 < gap.high


@pytest.mark.parametrize("name", sorted(TASKS.keys() - {"templates", "rows", "squares"}))
@pytest.mark.parametrize("with_image", [False, True])
def test_errors_are_the_closed_form(name, with_image):
    log_snr = np.array([-4.0, -1.0, 1.0, 2.5])
    errors = exact_errors(TASKS[name], log_snr, 3000, np.random.default_rng(1))
    found = errors.with_image if with_image else errors.without_image
    expected = TASKS[name].mmse(log_snr, with_image=with_image)
    error = found.std(axis=0) / math.sqrt(len(found))
    assert np.all(np.abs(found.mean(axis=0) - expected) < 4.5 * error)


def test_bits_of_a_binary_channel_by_its_table():
    for q, p in ((0.5, 0.1), (0.1, 0.2)):
        table = np.array([[q * (1 - p), q * p], [(1 - q) * p, (1 - q) * (1 - p)]])
        product = table.sum(axis=1, keepdims=True) * table.sum(axis=0)
        expected = (table * np.log2(table / product)).sum()
        assert BinaryChannel((3, 4), p, q).bits == pytest.approx(12 * expected)


def test_bits_of_noisy_pixels_by_sampling():
    task, generator = NoisyPixels((1, 1), 1.3, 0.2), np.random.default_rng(0)
    mask, image = task.sample(generator, 400_000)
    likelihood = np.exp(-((image - mask) ** 2) / 2 / task.noise**2)
    evidence = sum(
        q * np.exp(-((image - x) ** 2) / 2 / task.noise**2) for x, q in ((1, 0.2), (-1, 0.8))
    )
    assert task.bits == pytest.approx(np.log2(likelihood / evidence).mean(), abs=0.003)


def test_bits_and_denoiser_of_a_gaussian_field_by_its_covariance():
    task, generator = GaussianField((4, 5), 1.2, 0.6), np.random.default_rng(0)
    impulses = np.eye(20).reshape(20, 4, 5)
    covariance = np.fft.ifft2(np.fft.fft2(impulses) * task.spectrum).real.reshape(20, 20)
    np.testing.assert_allclose(np.diag(covariance), 1)
    # The distance along which it is said to fall as exp(-(d / length)^2 / 4), far from wrapping.
    wide = GaussianField((64, 64), 2.0, 1.0)
    along = np.fft.ifft2(wide.spectrum).real[0]
    np.testing.assert_allclose(along[:9], np.exp(-((np.arange(9) / 2.0) ** 2) / 4), atol=1e-6)
    noise = task.noise**2 * np.eye(20)
    expected = np.linalg.slogdet(np.eye(20) + covariance / task.noise**2)[1] / 2 / math.log(2)
    assert task.bits == pytest.approx(expected)
    mask, image = task.sample(generator, 4000)
    found = np.cov(mask.reshape(4000, 20).T)
    np.testing.assert_allclose(found, covariance, atol=0.12)
    z = math.sqrt(0.7) * mask + generator.normal(size=mask.shape)
    seen = np.concatenate([z.reshape(4000, 20), image.reshape(4000, 20)], axis=1)
    joint = np.block(
        [
            [0.7 * covariance + np.eye(20), math.sqrt(0.7) * covariance],
            [math.sqrt(0.7) * covariance, covariance + noise],
        ]
    )
    gain = np.hstack([math.sqrt(0.7) * covariance, covariance]) @ np.linalg.inv(joint)
    np.testing.assert_allclose(
        task.denoise(z, 0.7, image).reshape(4000, 20), seen @ gain.T, atol=1e-10
    )


@pytest.mark.parametrize("with_image", [False, True])
def test_denoiser_of_templates_by_their_likelihoods(with_image):
    generator = np.random.default_rng(0)
    mask, image = SHAPES.sample(generator, 5)
    z = 0.4 * mask + generator.normal(size=mask.shape)
    flat = SHAPES.templates.reshape(6, -1)
    found = SHAPES.denoise(z, 0.16, image if with_image else None)
    for row in range(5):
        log = np.log(SHAPES.prior) + [
            multivariate_normal(0.4 * x).logpdf(z[row].ravel())
            + with_image * multivariate_normal(x, SHAPES.noise**2).logpdf(image[row].ravel())
            for x in flat
        ]
        weights = np.exp(log - log.max())
        expected = (weights / weights.sum()) @ flat
        np.testing.assert_allclose(found[row].ravel(), expected, atol=1e-10)


@pytest.mark.parametrize("prior", [0.5, 0.1])
@pytest.mark.parametrize("differing", [1, 9])
def test_two_templates_are_one_pixel_with_more_snr(prior, differing):
    first = -np.ones((4, 4))
    second = first.copy()
    second.ravel()[:differing] = 1
    task = Templates(np.stack([second, first]), np.array([prior, 1 - prior]), noise=2.5)
    left = binary_entropy(differing / 2.5**2, prior)
    expected = (binary_entropy(0, prior) - left) / math.log(2)
    assert task.bits == pytest.approx(expected, abs=5e-4)


def test_entropy_of_templates_is_that_of_their_prior():
    log_snr = np.arange(-9, 4, 0.5)
    errors = exact_errors(SHAPES, log_snr, 4000, np.random.default_rng(2))
    found = mask_entropy(errors.without_image, log_snr, gap=2.0, pixels=64, resamples=300)
    expected = -(SHAPES.prior @ np.log2(SHAPES.prior))
    assert found.bits.mean == pytest.approx(expected, rel=0.02)
    assert SHAPES.bits < expected


def every_chain(task):
    """All states of one chain, (2^n, n) of -1 and +1, and their probabilities."""
    chains = np.array(list(product((0, 1), repeat=task.chains[1])))
    first = np.array([1 - task.foreground, task.foreground])[chains[:, 0]]
    return 2.0 * chains - 1, first * task.steps[chains[:, :-1], chains[:, 1:]].prod(axis=1)


@pytest.mark.parametrize("task", [MarkovRows((4, 6), 0.8, 1.0, 0.3), TASKS["squares"]])
def test_markov_rows_are_the_chains_they_are_said_to_be(task):
    chains, probability = every_chain(task)
    assert probability.sum() == pytest.approx(1)
    assert probability @ chains == pytest.approx(2 * task.foreground - 1)  # in every place
    deviation = chains - probability @ chains
    along = (probability * deviation[:, 0]) @ deviation / (probability @ deviation[:, 0] ** 2)
    assert along == pytest.approx(task.correlation ** np.arange(task.chains[1]))
    entropy = -(probability @ np.log2(probability))
    assert task.entropy == pytest.approx(task.chains[0] * entropy)
    mask, _ = task.sample(np.random.default_rng(0), 4000)
    side = task.block
    squares = mask.reshape(-1, task.chains[0], side, task.chains[1], side)
    assert (squares == squares[:, :, :1, :, :1]).all()
    drawn = (squares[:, :, 0, :, 0].reshape(-1, task.chains[1])[:, None] == chains).all(axis=2)
    assert drawn.mean(axis=0) == pytest.approx(probability, abs=0.02)


@pytest.mark.parametrize("with_image", [False, True])
@pytest.mark.parametrize("name", ["rows", "squares"])
def test_denoiser_of_markov_rows_by_all_chains(name, with_image):
    task = TASKS[name]
    chains, probability = every_chain(task)
    mask, image = task.sample(np.random.default_rng(1), 3)
    z = 0.8 * mask + np.random.default_rng(2).normal(size=mask.shape)
    log = 0.8 * z + with_image * image / task.noise**2  # of +1, as of -1 its negative
    side = task.block
    told = log.reshape(3, task.chains[0], side, task.chains[1], side).sum(axis=(2, 4))
    weights = probability * np.exp(told @ chains.T)
    expected = (weights @ chains) / weights.sum(axis=-1, keepdims=True)
    found = task.denoise(z, 0.64, image if with_image else None)
    np.testing.assert_allclose(found[:, ::side, ::side], expected, atol=1e-10)
    assert (found.reshape(squares_of(task)) == found[:, ::side, None, ::side, None]).all()


def squares_of(task):
    return -1, task.chains[0], task.block, task.chains[1], task.block


@pytest.mark.parametrize("name", ["rows", "squares"])
def test_bits_of_markov_rows_by_the_likelihoods_of_all_chains(name):
    task = TASKS[name]
    chains, probability = every_chain(task)
    generator = np.random.default_rng(3)
    truth = chains[generator.choice(len(chains), size=200_000, p=probability)]
    noise = task.noise / task.block
    seen = truth + noise * generator.normal(size=truth.shape)
    likelihood = np.exp(-((seen - truth) ** 2).sum(axis=1) / 2 / noise**2)
    scaled = np.exp((seen @ chains.T) / noise**2) @ probability
    evidence = scaled * np.exp(-((seen**2).sum(axis=1) + task.chains[1]) / 2 / noise**2)
    expected = task.chains[0] * np.log2(likelihood / evidence).mean()
    assert task.bits == pytest.approx(expected, rel=0.01)
    assert 0 < task.bits < task.entropy


@pytest.mark.parametrize("name", TASKS)
def test_cases_come_from_the_generator_alone(name):
    one, two = (TASKS[name].sample(np.random.default_rng(3), 4) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        assert a.shape == (4, *TASKS[name].shape)
        np.testing.assert_array_equal(a, b)
    if name != "gaussian":
        assert set(np.unique(one[0])) <= {-1.0, 1.0}


def test_distances_are_those_of_the_estimates():
    errors = exact_errors(TASKS["noisy"], np.array([30.0, -30.0]), 5, np.random.default_rng(0))
    assert isinstance(errors, Errors)
    assert np.all(errors.without_image[:, 0] < 1e-12)  # all is seen
    assert np.all(errors.distances[:, 0] < 1e-12)
    np.testing.assert_allclose(errors.without_image[:, 1], 36, rtol=1e-4)  # nothing is seen
