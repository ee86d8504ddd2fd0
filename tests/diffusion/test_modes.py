"""The losses of the training modes: published numbers, an independent library, closed forms."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.golden_formula import blob_mask
from networks.test_published import GOLDEN, RELATIVE, built, field
from torch import Tensor, nn

from noise2mask.diffusion import losses, modes, schedule, weighting
from noise2mask.diffusion.losses import dice_loss, target_loss
from noise2mask.diffusion.process import USUAL, Process, denoiser
from noise2mask.diffusion.targets import UNJUDGED, encode_mask, noised, target_from

PUBLISHED = {
    "ensemdiff": {"learned_variance": True, "coding": "unit"},
    "segdiff": {"steps": 100, "reduction": "sum"},
    "medsegdiff_new": {"learned_variance": True, "coding": "unit"},
    "medsegdiff_v1": {"learned_variance": True, "coding": "unit"},
}


def process(
    steps=1000, target="eps", learned_variance=False, coding="signed", reduction="mean", **more
) -> Process:
    return Process(
        schedule=schedule.linear(steps),
        target=target,
        learned_variance=learned_variance,
        coding=coding,
        reduction=reduction,
        **{
            "clip": False,
            "calibration_weight": 10.0,
            "timestep_weights": weighting.uniform(schedule.linear(steps), target),
        }
        | more,
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_loss_of_the_published_trainings(name):
    """Per case: mean squared noise error, variational term, 10 times the calibration error."""
    with np.load(GOLDEN / "networks.npz") as file:
        golden = {key.split("/")[1]: file[key] for key in file.files if key.startswith(f"{name}/")}
    t = torch.tensor([0, 40, 99] if name == "segdiff" else [0, 250, 999])
    mask = torch.from_numpy(blob_mask(f"{name}/loss_mask", (3, 1, 64, 64))).float()
    image = field(f"{name}/loss_image", 3, 3, 64, 64)
    eps = field(f"{name}/loss_noise", 3, 1, 64, 64)
    with torch.no_grad():
        found = target_loss(built(name), image, mask, t, eps, process(**PUBLISHED[name]))
    expected = golden["loss_loss"] + 10 * golden.get("loss_cal", 0)
    torch.testing.assert_close(
        found.double(), torch.from_numpy(expected).double(), rtol=RELATIVE, atol=1e-6
    )


class Fixed(nn.Module):
    """Gives one output whatever it sees, and remembers what it saw."""

    calibrated = False

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output, self.seen = nn.Parameter(output), []

    def forward(self, x_t, image, t, features=None):
        self.seen.append((x_t, t))
        return self.output


def masks(batch=4):
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(batch, 1, 16, 16, generator=generator) > 0.6).float()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    ("mode", "more"),
    [
        ("feed_forward", {}), ("cross_entropy", {}), ("dice", {}), ("squared", {}),
        ("diffusion", {"target": "x_0"}), ("diffusion", {"target": "eps"}),
        ("diffusion", {"target": "v", "learned_variance": True}), ("dice_diffusion", {}),
        ("posterior", {}), ("recycling", {"target": "x_0"}),
    ],
)  # fmt: skip
def test_pixels_that_nobody_judged_count_in_no_loss(mode, more, reduction):
    """No gradient reaches them, and the others count as if there were no more."""
    mask = masks()
    left_out = torch.zeros_like(mask, dtype=torch.bool)
    left_out[:, :, 3:9] = True
    left_out[0] = True
    channels = 2 if more.get("learned_variance") else 1
    output = torch.rand(4, channels, 16, 16, generator=torch.Generator().manual_seed(1))
    network = Fixed(output)
    given = mask.masked_fill(left_out, UNJUDGED)
    with_others = process(reduction=reduction, **more)

    def loss():
        generator = torch.Generator().manual_seed(2)
        image = torch.zeros(4, 3, 16, 16)
        return getattr(modes, mode)(network, image, given, with_others, generator=generator)

    before = loss()
    before.sum().backward()
    reached = network.output.grad != 0
    assert not reached[left_out.expand_as(reached)].any()
    assert reached[:, :1][~left_out].all()
    with torch.no_grad():
        network.output += 7 * left_out
    torch.testing.assert_close(loss(), before)


def test_a_loss_without_left_out_pixels_is_that_of_the_others_alone():
    mask, kept = masks(2), torch.ones(2, 1, 16, 16, dtype=torch.bool)
    kept[:, :, 10:] = False
    logits = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    found = losses.overlap_loss(logits, mask.masked_fill(~kept, UNJUDGED))
    torch.testing.assert_close(found, losses.overlap_loss(logits[:, :, :10], mask[:, :, :10]))


def test_feed_forward_is_dice_plus_cross_entropy_as_monai_has_them():
    from monai.losses import DiceLoss

    logits, mask = torch.randn(4, 1, 16, 16), masks()
    network = Fixed(logits)
    found = modes.feed_forward(
        network, torch.zeros(4, 3, 16, 16), mask, process(), generator=torch.Generator()
    )
    # MONAI smooths numerator and denominator apart: 2 ab + 1 and a + b + 1 are ours.
    dice = DiceLoss(sigmoid=True, reduction="none", smooth_nr=1, smooth_dr=1)(logits, mask)
    entropy = F.binary_cross_entropy(torch.sigmoid(logits), mask, reduction="none").mean((1, 2, 3))
    torch.testing.assert_close(found, dice.flatten() + entropy)
    x_t, t = network.seen[0]
    assert not x_t.any()
    assert not t.any()


@pytest.mark.parametrize("target", ["eps", "x_0", "v"])
@pytest.mark.parametrize("coding", ["signed", "unit"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_network_that_is_right_has_no_loss(target, coding, reduction):
    generator = torch.Generator().manual_seed(1)
    mask, eps = masks(), torch.randn(4, 1, 16, 16, generator=generator)
    t = torch.tensor([0, 10, 500, 999])
    settings = process(target=target, coding=coding, reduction=reduction)
    x_0 = encode_mask(mask, coding)
    right = target_from(
        x_0, eps, *settings.schedule.amplitudes(t, x_0), target=target, coding=coding
    )
    image = torch.zeros(4, 3, 16, 16)
    assert target_loss(Fixed(right), image, mask, t, eps, settings).max() < 1e-10
    wrong = target_loss(Fixed(right + 0.5), image, mask, t, eps, settings)
    expected = 0.25 if reduction == "mean" else 0.25 * 256
    torch.testing.assert_close(wrong, torch.full((4,), expected), rtol=1e-4, atol=1e-4)


def test_timesteps_and_noise_come_from_the_generator_alone():
    seen = []
    for _ in range(2):
        network = Fixed(torch.zeros(64, 1, 16, 16))
        generator = torch.Generator().manual_seed(3)
        modes.diffusion(
            network, torch.zeros(64, 3, 16, 16), masks(64), process(), generator=generator
        )
        torch.manual_seed(123)
        seen.append(network.seen[0])
    assert torch.equal(seen[0][0], seen[1][0])
    assert torch.equal(seen[0][1], seen[1][1])
    assert seen[0][1].min() < 100
    assert seen[0][1].max() > 900


def test_dice_loss_of_perfect_and_disjoint_masks():
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    assert dice_loss(mask, mask).item() == 0
    assert dice_loss(1 - mask, mask).item() == pytest.approx(1 - 1 / 17)


@pytest.mark.parametrize("target", ["eps", "x_0", "v"])
@pytest.mark.parametrize("coding", ["signed", "unit"])
def test_the_denoiser_reads_every_target_back(target, coding):
    """What `target_from` asks of a network, the denoiser turns into the mask again."""
    mask, t = masks(), torch.tensor([0, 10, 500, 900])
    eps = torch.randn(mask.shape, generator=torch.Generator().manual_seed(2))
    settings = process(target=target, coding=coding)
    x_0 = encode_mask(mask, coding)
    signal, sigma = settings.schedule.amplitudes(t, x_0)
    output = target_from(x_0, eps, signal, sigma, target=target, coding=coding)
    denoise = denoiser(Fixed(output), torch.zeros(4, 3, 16, 16), (), settings)
    found = denoise(noised(x_0, eps, signal, sigma), t)
    torch.testing.assert_close(found.x_0, x_0, atol=2e-4, rtol=0)
    assert found.variance_fraction is None


def test_clipping_keeps_the_levels_of_the_coding():
    for coding, low in (("signed", -1), ("unit", 0)):
        for clip in (True, False):
            settings = process(target="x_0", coding=coding, clip=clip)
            network = Fixed(torch.tensor([-3.0, 3.0]).reshape(2, 1, 1, 1))
            denoise = denoiser(network, torch.zeros(2, 3, 1, 1), (), settings)
            found = denoise(torch.zeros(2, 1, 1, 1), torch.zeros(2, dtype=torch.int64)).x_0
            assert found.flatten().tolist() == ([low, 1] if clip else [-3, 3])


def test_masks_of_0_and_1_can_be_clipped_as_published():
    settings = process(target="x_0", coding="unit", clip=True, clip_to="signed")
    network = Fixed(torch.tensor([-3.0, -0.5, 3.0]).reshape(3, 1, 1, 1))
    denoise = denoiser(network, torch.zeros(3, 3, 1, 1), (), settings)
    found = denoise(torch.zeros(3, 1, 1, 1), torch.zeros(3, dtype=torch.int64)).x_0
    assert found.flatten().tolist() == [-1, -0.5, 1]


def test_a_feed_forward_network_sees_nothing_of_x_t_and_t():
    network = Fixed(torch.zeros(2, 1, 4, 4))
    settings = process(target="logits", use=modes.feed_forward.use)
    found = denoiser(network, torch.zeros(2, 3, 4, 4), (), settings)(
        torch.randn(2, 1, 4, 4), torch.tensor([5, 900])
    )
    x_t, t = network.seen[0]
    assert not x_t.any()
    assert not t.any()
    assert not found.x_0.any()  # probability one half is 0 in the signed coding


# Other modes ------------------------------------------------------------------------------------


class Seeing(nn.Module):
    """Remembers the images it is shown and gives a learnable constant."""

    calibrated = False

    def __init__(self) -> None:
        super().__init__()
        self.constant, self.images, self.inputs = nn.Parameter(torch.zeros(1)), [], []

    def forward(self, x_t, image, t, features=None):
        self.images.append(image)
        self.inputs.append((x_t, t))
        return self.constant.expand(x_t.shape)


def run(mode, network, batch=64, image=None, **given):
    settings = process(use=getattr(mode, "use", USUAL), **given)
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(batch, 3, 16, 16, generator=generator) if image is None else image
    return mode(network, images, masks(batch), settings, generator=generator), images, settings


@pytest.mark.parametrize("mode", [modes.image_free, modes.image_diffusion, modes.posterior_free])
def test_modes_without_an_image_are_shown_zeros(mode):
    network = Seeing()
    run(mode, network, target="posterior" if mode is modes.posterior_free else "eps")
    assert not network.images[0].any()
    assert network.images[0].shape == (64, 3, 16, 16)


def test_image_free_is_diffusion_of_the_same_noise():
    blind, seeing = Seeing(), Seeing()
    assert torch.equal(run(modes.image_free, blind)[0], run(modes.diffusion, seeing)[0])
    assert torch.equal(blind.inputs[0][0], seeing.inputs[0][0])
    assert seeing.images[0].any()


def test_images_are_diffused_in_units_of_their_variance():
    """A network that says 0 has the energy of the grey image as its loss of x_0."""
    losses, images, _ = run(modes.image_diffusion, Seeing(), target="x_0")
    grey = images.mean(1)
    torch.testing.assert_close(losses, (grey**2).mean((1, 2)))


def test_the_posterior_begins_where_single_pixels_are():
    """With output 0 the loss is the cross-entropy of each pixel's own evidence."""
    network = Seeing()
    losses, _, settings = run(modes.posterior, network, target="posterior")
    x_t, t = network.inputs[0]
    signal, sigma = settings.schedule.amplitudes(t, x_t)
    probability = torch.sigmoid(2 * signal * x_t / sigma**2)
    expected = F.binary_cross_entropy(probability.double(), masks(64).double(), reduction="none")
    torch.testing.assert_close(losses.double(), expected.mean((1, 2, 3)), rtol=1e-4, atol=1e-5)


def test_dice_diffusion_is_the_loss_of_feed_forward_on_noisy_masks():
    network = Seeing()
    losses, *_ = run(modes.dice_diffusion, network, target="logits")
    plain, *_ = run(modes.feed_forward, Seeing(), target="logits")
    torch.testing.assert_close(losses, plain)  # a constant network makes nothing of the noise
    assert network.inputs[0][0].any()
    assert network.inputs[0][1].max() > 900


def test_recycling_shows_the_network_its_own_estimate():
    """The second x_t is noise about the first estimate, and the goal is still the mask."""
    network = Seeing()
    network.constant.data += 0.4
    losses, _, settings = run(modes.recycling, network, target="x_0")
    (_, noisier), (x_t, t) = network.inputs
    assert (noisier > t).all()
    assert noisier.max() <= 999
    late = settings.schedule.signal[t] > 0.99
    signal, sigma = settings.schedule.amplitudes(t, x_t)
    noise = ((x_t - 0.4 * signal) / sigma)[late]
    assert noise.mean().abs() < 0.1
    assert noise.std() == pytest.approx(1, abs=0.05)
    x_0 = encode_mask(masks(64), "signed")
    torch.testing.assert_close(losses, ((0.4 - x_0) ** 2).mean((1, 2, 3)))
    assert losses.requires_grad


def test_recycling_clips_its_estimate_as_sampling_does():
    network = Seeing()
    network.constant.data += 5.0
    _, _, settings = run(modes.recycling, network, target="x_0", clip=True)
    x_t, t = network.inputs[1]
    signal, sigma = settings.schedule.amplitudes(t, x_t)
    assert ((x_t - signal) / sigma).std() == pytest.approx(1, abs=0.05)


def test_weights_and_densities_are_those_of_the_weighting():
    weight = torch.linspace(0, 2, 1000, dtype=torch.float64)
    network = Seeing()
    timestep_weights = weighting.TimestepWeights(
        torch.full((1000,), 1e-3, dtype=torch.float64), weight
    )
    weighted, *_ = run(modes.diffusion, network, target="x_0", timestep_weights=timestep_weights)
    plain, *_ = run(modes.diffusion, Seeing(), target="x_0")
    t = network.inputs[0][1]
    torch.testing.assert_close(weighted, plain * weight[t].float())
    density = torch.zeros(1000, dtype=torch.float64)
    density[[3, 700]] = torch.tensor([0.25, 0.75], dtype=torch.float64)
    network = Seeing()
    timestep_weights = weighting.TimestepWeights(density, torch.ones_like(density))
    run(modes.diffusion, network, batch=400, target="x_0", timestep_weights=timestep_weights)
    t = network.inputs[0][1]
    assert set(t.tolist()) == {3, 700}
    assert (t == 700).float().mean() == pytest.approx(0.75, abs=0.08)


@pytest.mark.parametrize("coding", ["signed", "unit"])
def test_squared_is_the_loss_of_diffusion_on_x_0_without_the_noise(coding):
    output, mask = torch.randn(4, 1, 16, 16), masks()
    network, generator = Fixed(output), torch.Generator().manual_seed(0)
    settings = process(target="x_0", coding=coding)
    found = modes.squared(network, torch.zeros(4, 3, 16, 16), mask, settings, generator=generator)
    x_t, t = network.seen[0]
    assert not x_t.any()
    assert not t.any()
    # An output that does not know x_t has the same loss under any noise.
    other = modes.diffusion(
        Fixed(output), torch.zeros(4, 3, 16, 16), mask, settings, generator=generator
    )
    torch.testing.assert_close(found, other)
    assert modes.squared.use.predicts == "x_0"
    assert not modes.squared.use.sees_noise
    exact = encode_mask(mask, coding)
    none = modes.squared(
        Fixed(exact), torch.zeros(4, 3, 16, 16), mask, settings, generator=generator
    )
    assert not none.any()


def test_the_parts_of_the_feed_forward_loss_are_modes_of_their_own():
    logits, image = torch.randn(4, 1, 16, 16), torch.zeros(4, 3, 16, 16)
    generator = torch.Generator()

    def loss(mode):
        network = Fixed(logits)
        found = mode(network, image, masks(), process(), generator=generator)
        x_t, t = network.seen[0]
        assert mode.use == modes.feed_forward.use
        assert not x_t.any()
        assert not t.any()
        return found

    entropy = F.binary_cross_entropy_with_logits(logits, masks(), reduction="none").mean((1, 2, 3))
    torch.testing.assert_close(loss(modes.cross_entropy), entropy)
    torch.testing.assert_close(
        loss(modes.dice) + loss(modes.cross_entropy), loss(modes.feed_forward)
    )
