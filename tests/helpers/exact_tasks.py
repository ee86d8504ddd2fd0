"""Tasks whose image information is known, with their exact denoisers: the gauge of every estimate.

Masks have levels -1 and +1 (`GaussianField`: mean 0 and variance 1). A denoiser sees z = sqrt(snr)
x + n, which is x_t / sqrt(1 - A) with snr = A/(1 - A), and gives the posterior mean of x.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import entr, expit, logsumexp, softmax
from scipy.stats.qmc import MultivariateNormalQMC

from noise2mask.analysis.oracles import exact
from noise2mask.seeds import seed_of

Floats = NDArray[np.float64]


class Task(Protocol):
    """Masks, images of them, and what can be known about either."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a mask."""

    @property
    def bits(self) -> float:
        """I(mask; image) per mask."""

    def sample(self, generator: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
        """Masks and images, both (cases, H, W)."""

    def denoise(self, z: Floats, snr: float, image: Floats | None = None) -> Floats:
        """Posterior mean of the masks (cases, H, W) given z and, if there is one, the image."""


@dataclass(frozen=True)
class BinaryChannel:
    """Independent pixels, each of which the image shows wrong with probability `flip`."""

    shape: tuple[int, int]
    flip: float
    foreground: float = 0.5

    @property
    def bits(self) -> float:
        """Per pixel h(P(image is foreground)) - h(flip)."""
        q, p = self.foreground, self.flip
        shown = q * (1 - p) + (1 - q) * p
        nats = exact.binary_entropy(0, shown) - exact.binary_entropy(0, p)
        return math.prod(self.shape) * nats / math.log(2)

    def mmse(self, log_snr: Floats, *, with_image: bool) -> Floats:
        """Of a whole mask, (levels,)."""
        q, p = self.foreground, self.flip
        if not with_image:
            return math.prod(self.shape) * exact.mmse(log_snr, q)
        shown = q * (1 - p) + (1 - q) * p
        pixel = shown * exact.mmse(log_snr, q * (1 - p) / shown)
        pixel += (1 - shown) * exact.mmse(log_snr, q * p / (1 - shown))
        return math.prod(self.shape) * pixel

    def sample(self, generator: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
        """Masks and images, both of -1 and +1."""
        mask = _independent(generator, (cases, *self.shape), self.foreground)
        return mask, mask * _independent(generator, mask.shape, 1 - self.flip)

    def denoise(self, z: Floats, snr: float, image: Floats | None = None) -> Floats:
        """Hyperbolic tangent of half the log odds."""
        half = _half_log_odds(self.foreground) + math.sqrt(snr) * z
        if image is not None:
            half += _half_log_odds(1 - self.flip) * image
        return np.tanh(half)


@dataclass(frozen=True)
class NoisyPixels:
    """Independent pixels, the image with Gaussian noise of deviation `noise` added to each."""

    shape: tuple[int, int]
    noise: float
    foreground: float = 0.5

    @property
    def bits(self) -> float:
        """Per pixel what a binary input tells through a Gaussian channel, by quadrature."""
        q = self.foreground
        nats = exact.binary_entropy(0, q) - exact.binary_entropy(1 / self.noise**2, q)
        return math.prod(self.shape) * nats / math.log(2)

    def mmse(self, log_snr: Floats, *, with_image: bool) -> Floats:
        """Of a whole mask, (levels,); the image adds its own SNR."""
        seen = np.log(np.exp(log_snr) + with_image / self.noise**2)
        return math.prod(self.shape) * exact.mmse(seen, self.foreground)

    def sample(self, generator: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
        """Masks of -1 and +1 and noisy images."""
        mask = _independent(generator, (cases, *self.shape), self.foreground)
        return mask, mask + self.noise * generator.normal(size=mask.shape)

    def denoise(self, z: Floats, snr: float, image: Floats | None = None) -> Floats:
        """Hyperbolic tangent of half the log odds."""
        half = _half_log_odds(self.foreground) + math.sqrt(snr) * z
        if image is not None:
            half += image / self.noise**2
        return np.tanh(half)


@dataclass(frozen=True)
class MarkovRows:
    """Rows that are binary Markov chains, and an image of them with Gaussian noise in each pixel.

    The state of a chain fills a square of `block` pixels a side. A step along the row leaves the
    state with a probability that keeps the share `foreground`, and two states d squares apart have
    the correlation `correlation` to the power of d. Nothing is passed on from row to row.
    """

    shape: tuple[int, int]
    correlation: float
    noise: float
    foreground: float = 0.5
    block: int = 1

    @property
    def chains(self) -> tuple[int, int]:
        """Number of chains in a mask, and of states in a chain."""
        return self.shape[0] // self.block, self.shape[1] // self.block

    @cached_property
    def steps(self) -> Floats:
        """Probability of the next state (column) given one (row), background first, (2, 2)."""
        share = np.array([1 - self.foreground, self.foreground])
        return self.correlation * np.eye(2) + (1 - self.correlation) * share

    @property
    def entropy(self) -> float:
        """Bits of a mask: that of the first state of each chain, and of each step."""
        chains, states = self.chains
        leaving = self.steps[0, 1], self.steps[1, 0]
        share = 1 - self.foreground, self.foreground
        step = sum(p * exact.binary_entropy(0, q) for p, q in zip(share, leaving, strict=True))
        nats = exact.binary_entropy(0, self.foreground) + (states - 1) * step
        return chains * nats / math.log(2)

    @cached_property
    def bits(self) -> float:
        """Entropy less that of the chain given its image, exact for each of 2^16 drawn chains.

        The mean has a standard error of a few thousandths of it.
        """
        generator = np.random.default_rng(seed_of("markov rows"))
        one = replace(self, shape=(self.block, self.shape[1]))
        states = one._states(generator, 1 << 16)
        seen = states + self.noise / self.block * generator.normal(size=states.shape)
        left = one._entropy_given(2 * seen * (self.block / self.noise) ** 2).mean()
        return float(self.entropy - self.chains[0] * left / math.log(2))

    def sample(self, generator: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
        """Masks of -1 and +1 and noisy images."""
        states = self._states(generator, cases)
        mask = states.repeat(self.block, axis=1).repeat(self.block, axis=2)
        return mask, mask + self.noise * generator.normal(size=mask.shape)

    def denoise(self, z: Floats, snr: float, image: Floats | None = None) -> Floats:
        """The posterior mean by the forward-backward algorithm (Baum et al. 1970)."""
        told = 2 * math.sqrt(snr) * z
        if image is not None:
            told += 2 * image / self.noise**2
        (chains, states), side = self.chains, self.block
        evidence = told.reshape(-1, chains, side, states, side).sum(axis=(2, 4))
        forward, backward = self._messages(evidence)
        posterior = forward * backward
        mean = posterior[..., 1] - posterior[..., 0]
        mean /= posterior.sum(axis=-1)
        return mean.repeat(side, axis=1).repeat(side, axis=2)

    def _states(self, generator: np.random.Generator, cases: int) -> Floats:
        """States (cases, chains, states) of -1 and +1."""
        drawn = generator.random((cases, *self.chains))
        states = np.empty(drawn.shape, dtype=np.int64)
        states[..., 0] = drawn[..., 0] < self.foreground
        for place in range(1, drawn.shape[-1]):
            states[..., place] = drawn[..., place] < self.steps[states[..., place - 1], 1]
        return 2.0 * states - 1

    def _messages(self, evidence: Floats) -> tuple[Floats, Floats]:
        """P(state | evidence up to it), and evidence after it, both (..., states, 2), scaled."""
        likelihood = np.stack([expit(-evidence), expit(evidence)], axis=-1)
        forward, backward = np.empty_like(likelihood), np.ones_like(likelihood)
        prior = np.broadcast_to([1 - self.foreground, self.foreground], likelihood[..., 0, :].shape)
        for place in range(evidence.shape[-1]):
            joint = prior * likelihood[..., place, :]
            forward[..., place, :] = joint / joint.sum(axis=-1, keepdims=True)
            prior = forward[..., place, :] @ self.steps
        for place in range(evidence.shape[-1] - 1, 0, -1):
            told = (likelihood[..., place, :] * backward[..., place, :]) @ self.steps.T
            backward[..., place - 1, :] = told / told.sum(axis=-1, keepdims=True)
        return forward, backward

    def _entropy_given(self, evidence: Floats) -> Floats:
        """Nats left of each chain (...,) given the evidence of its states (..., states)."""
        forward, backward = self._messages(evidence)
        state = forward * backward
        state /= state.sum(axis=-1, keepdims=True)
        entropy = entr(state[..., 0, :]).sum(axis=-1)
        likelihood = np.stack([expit(-evidence), expit(evidence)], axis=-1)
        for place in range(1, evidence.shape[-1]):
            told = likelihood[..., place, :] * backward[..., place, :]
            step = self.steps * told[..., None, :]
            step /= step.sum(axis=-1, keepdims=True)
            entropy += (state[..., place - 1, :] * entr(step).sum(axis=-1)).sum(axis=-1)
        return np.asarray(entropy)


@dataclass(frozen=True)
class GaussianField:
    """A periodic Gaussian field of variance 1 for a mask, and an image of it with white noise.

    Its covariance falls as exp(-(distance/length)^2/4), `length` in pixels; `noise` is the
    deviation of the noise in a pixel.
    """

    shape: tuple[int, int]
    length: float
    noise: float

    @cached_property
    def spectrum(self) -> Floats:
        """Variance of each Fourier coefficient (orthonormal), (H, W), mean 1."""
        fy, fx = np.fft.fftfreq(self.shape[0])[:, None], np.fft.fftfreq(self.shape[1])[None]
        power = np.exp(-((2 * np.pi * self.length) ** 2) * (fy**2 + fx**2))
        return np.asarray(power / power.mean())

    @property
    def bits(self) -> float:
        """Capacity of the parallel Gaussian channels, half log2(1 + S/noise^2) each."""
        return float(np.log1p(self.spectrum / self.noise**2).sum() / 2 / math.log(2))

    def mmse(self, log_snr: Floats, *, with_image: bool) -> Floats:
        """Of a whole field, the sum of S/(1 + S SNR) (Wiener); the image adds its own SNR."""
        seen = np.exp(log_snr)[:, None] + with_image / self.noise**2
        power = self.spectrum.ravel()
        return np.asarray((power / (1 + seen * power)).sum(axis=1))

    def sample(self, generator: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
        """Fields and noisy images."""
        mask = self._filtered(generator.normal(size=(cases, *self.shape)), np.sqrt(self.spectrum))
        return mask, mask + self.noise * generator.normal(size=mask.shape)

    def denoise(self, z: Floats, snr: float, image: Floats | None = None) -> Floats:
        """Wiener's filter on the sum of both observations, each weighted by its precision."""
        seen, told = snr, math.sqrt(snr) * z
        if image is not None:
            seen, told = snr + 1 / self.noise**2, told + image / self.noise**2
        return self._filtered(told, self.spectrum / (1 + seen * self.spectrum))

    def _filtered(self, fields: Floats, gain: Floats) -> Floats:
        return np.asarray(np.fft.ifft2(np.fft.fft2(fields) * gain).real)


@dataclass(frozen=True, eq=False)
class Templates:
    """Masks drawn from a few, the image with Gaussian noise of deviation `noise` in each pixel.

    Attributes:
        templates: (K, H, W) of -1 and +1, all different.
        prior: (K,), probabilities.
        noise: of the image.
    """

    templates: Floats
    prior: Floats
    noise: float

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a mask."""
        height, width = self.templates.shape[1:]
        return height, width

    @cached_property
    def bits(self) -> float:
        """Entropy of the prior less what the image leaves of it, by Sobol points: good to 0.0001.

        Log likelihoods depend on the image through its products with the templates alone, which
        are Gaussian, with the templates' own products as their covariance.
        """
        flat = self.templates.reshape(len(self.templates), -1) / self.noise
        products = flat @ flat.T
        values, vectors = np.linalg.eigh(products)
        root = vectors * np.sqrt(np.maximum(values, 0))
        points = MultivariateNormalQMC(np.zeros(len(flat)), rng=seed_of("templates"))
        noise = points.random(1 << 16) @ root.T
        prior = np.log(self.prior)
        left = 0.0  # H(template | image), nats
        for true, probability in enumerate(self.prior):
            joint = prior + products[true] + noise  # less the energy, one for all templates
            left += probability * float(np.mean(logsumexp(joint, axis=1) - joint[:, true]))
        return float((-(self.prior @ prior) - left) / math.log(2))

    def sample(self, generator: np.random.Generator, cases: int) -> tuple[Floats, Floats]:
        """Masks of -1 and +1 and noisy images."""
        mask = self.templates[generator.choice(len(self.prior), size=cases, p=self.prior)]
        return mask, mask + self.noise * generator.normal(size=mask.shape)

    def denoise(self, z: Floats, snr: float, image: Floats | None = None) -> Floats:
        """Mean of the templates weighted by their posterior, a softmax."""
        told = math.sqrt(snr) * z if image is None else math.sqrt(snr) * z + image / self.noise**2
        flat = self.templates.reshape(len(self.templates), -1)
        # All templates have one energy, so it cancels.
        weights = softmax(np.log(self.prior) + told.reshape(len(told), -1) @ flat.T, axis=1)
        return np.asarray((weights @ flat).reshape(told.shape))


class Errors(NamedTuple):
    """Squared errors of x_0 summed over pixels, each (cases, levels)."""

    without_image: Floats
    with_image: Floats
    distances: Floats


def exact_errors(task: Task, log_snr: Floats, cases: int, generator: np.random.Generator) -> Errors:
    """What the exact denoisers with and without the image leave, on common noise at each level.

    Args:
        task: draws the cases.
        log_snr: (levels,).
        cases: how many.
        generator: of masks, images and noise.
    """
    mask, image = task.sample(generator, cases)
    found = np.empty((3, cases, len(log_snr)))
    for level, snr in enumerate(np.exp(log_snr)):
        z = math.sqrt(snr) * mask + generator.normal(size=mask.shape)
        without, with_ = task.denoise(z, float(snr)), task.denoise(z, float(snr), image)
        for row, difference in enumerate((mask - without, mask - with_, without - with_)):
            found[row, :, level] = np.square(difference).sum(axis=(1, 2))
    return Errors(*found)


def _independent(generator: np.random.Generator, shape: tuple[int, ...], plus: float) -> Floats:
    """+1 with probability `plus`, -1 otherwise."""
    return np.where(generator.random(shape) < plus, 1.0, -1.0)


def _half_log_odds(probability: float) -> float:
    return math.log(probability / (1 - probability)) / 2


def lone_hump(foreground: float) -> float:
    """Log SNR of the hump of the eps loss of a lone pixel, the place of SNR times its mmse.

    What a network shows that knows nothing of a mask but has the evidence of each pixel's own value
    (modes ``humps.GIVEN``): the null control of every statement about the place of a hump.

    Args:
        foreground: probability of foreground, in (0, 1).
    """
    found = minimize_scalar(
        lambda log_snr: -math.exp(log_snr) * float(exact.mmse(log_snr, foreground)),
        bounds=(-4.0, 4.0), method="bounded", options={"xatol": 1e-4},
    )  # fmt: skip
    return float(found.x)
