"""Augmentation moves images and masks together, and only as much as it is told."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from noise2mask.training.augment import as_unit, augment, standardise

OFF = {"flips": False}
EVERYTHING = {
    "flips": True, "turns": True, "rotation": 40.0, "scale": 0.3, "shift": 0.1, "brightness": 0.2,
    "contrast": 0.2, "saturation": 0.3, "blur": 1.0, "noise": 0.05,
}  # fmt: skip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int = 6, side: int = 16, channels: int = 3) -> tuple[Tensor, Tensor]:
    images = torch.rand(count, channels, side, side, generator=generator(1))
    masks = (torch.rand(count, 1, side, side, generator=generator(2)) < 0.4).float()
    return images, masks


def discs(count: int = 8, side: int = 48) -> Tensor:
    """One off-centre disc per case, (count, 1, side, side)."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    rows = torch.linspace(12, side - 12, count)
    return torch.stack([((y - row) ** 2 + (x - 20) ** 2 < 80).float() for row in rows])[:, None]


def test_without_options_nothing_changes() -> None:
    images, masks = batch()
    moved, same = augment(images, masks, generator(), **OFF)
    assert torch.equal(moved, images)
    assert torch.equal(same, masks)


def test_by_default_only_flips() -> None:
    images, masks = batch(64)
    moved, other = augment(images, masks, generator())
    seen = set()
    for image, mask, before, mask_before in zip(moved, other, images, masks, strict=True):
        dims = [
            dims
            for dims in ((), (1,), (2,), (1, 2))
            if torch.allclose(image, before.flip(dims), atol=1e-5)
        ]
        assert len(dims) == 1
        assert torch.equal(mask, mask_before.flip(dims[0]))
        seen.add(dims[0])
    assert seen == {(), (1,), (2,), (1, 2)}


def test_turns_move_whole_pixels() -> None:
    images, masks = batch(64)
    moved, other = augment(images, masks, generator(), flips=False, turns=True)
    seen = set()
    for image, mask, before, mask_before in zip(moved, other, images, masks, strict=True):
        turns = [k for k in range(4) if torch.allclose(image, before.rot90(k, (1, 2)), atol=1e-5)]
        assert len(turns) == 1
        assert torch.equal(mask, mask_before.rot90(turns[0], (1, 2)))
        seen.add(turns[0])
    assert seen == {0, 1, 2, 3}


@given(
    seed=st.integers(0, 10_000),
    rotation=st.floats(0, 180),
    scale=st.floats(0, 0.9),
    shift=st.floats(0, 0.5),
    side=st.sampled_from([8, 17, 32]),
)
@settings(max_examples=30, deadline=None)
def test_masks_stay_zero_and_one_and_images_in_range(
    seed: int, rotation: float, scale: float, shift: float, side: int
) -> None:
    images, masks = batch(3, side)
    moved, other = augment(
        images, masks, generator(seed), turns=True, rotation=rotation, scale=scale, shift=shift,
        brightness=0.5, contrast=0.5, saturation=0.5, blur=1.0, noise=0.1,
    )  # fmt: skip
    assert moved.shape == images.shape
    assert other.shape == masks.shape
    assert ((other == 0) | (other == 1)).all()
    assert moved.isfinite().all()
    assert moved.min() >= 0
    assert moved.max() <= 1


@pytest.mark.parametrize("seed", range(8))
def test_image_and_mask_stay_on_each_other(seed: int) -> None:
    masks = discs()
    moved, other = augment(
        masks.repeat(1, 3, 1, 1), masks, generator(seed),
        turns=True, rotation=180, scale=0.3, shift=0.15,
    )  # fmt: skip
    agree = ((moved[:, :1] > 0.5) == (other > 0.5)).float().mean(dim=(1, 2, 3))
    assert agree.min() > 0.985
    assert not torch.equal(other, masks)


def test_colour_options_leave_masks_and_places_alone() -> None:
    images, masks = batch()
    moved, other = augment(
        images, masks, generator(), **OFF, brightness=0.3, contrast=0.3, saturation=0.3, noise=0.1
    )
    assert torch.equal(other, masks)
    assert not torch.equal(moved, images)


def test_scale_changes_areas_within_its_bounds() -> None:
    masks = torch.zeros(200, 1, 64, 64)
    masks[:, :, 24:40, 24:40] = 1
    _, other = augment(masks, masks, generator(), **OFF, scale=0.5)
    middle = other[:, :, 16:48, 16:48]  # without the mirror images at the edges
    factors = (middle.sum(dim=(1, 2, 3)) / 256).sqrt()
    assert 0.45 < factors.min() < 0.6
    assert 1.4 < factors.max() < 1.55


def test_shift_moves_by_its_share_of_the_side_at_most() -> None:
    masks = torch.zeros(200, 1, 50, 50)
    masks[:, :, 25, 25] = 1
    _, other = augment(masks, masks, generator(), **OFF, shift=0.2)
    places = other.nonzero()[:, 2:] - 25
    assert places.abs().max() == 10
    assert places.min(dim=0).values.max() < -7
    assert places.max(dim=0).values.min() > 7


def test_rotation_turns_both_ways_within_its_bounds() -> None:
    masks = torch.zeros(200, 1, 65, 65)
    masks[:, :, 32, 60] = 1  # 28 pixels right of the centre
    _, other = augment(masks, masks, generator(), **OFF, rotation=30)
    found = other.nonzero()[:, 2:] - 32
    angles = torch.rad2deg(torch.atan2(found[:, 0].float(), found[:, 1].float()))
    assert 27 < angles.max() < 32
    assert -32 < angles.min() < -27


def test_brightness_multiplies_light() -> None:
    images, masks = torch.full((100, 3, 4, 4), 0.5), torch.zeros(100, 1, 4, 4)
    factors = augment(images, masks, generator(), **OFF, brightness=0.4)[0][:, 0, 0, 0] / 0.5
    assert 0.6 <= factors.min() < 0.65
    assert 1.35 < factors.max() <= 1.4


def test_contrast_keeps_the_mean_and_saturation_the_luminance() -> None:
    images = 0.4 + 0.2 * batch(20)[0]
    masks = torch.zeros(20, 1, 16, 16)
    moved, _ = augment(images, masks, generator(), **OFF, contrast=0.5)
    torch.testing.assert_close(moved.mean(dim=(1, 2, 3)), images.mean(dim=(1, 2, 3)))
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    moved, _ = augment(images, masks, generator(), **OFF, saturation=0.9)
    torch.testing.assert_close((moved * weights).sum(1), (images * weights).sum(1))
    assert not torch.allclose(moved, images, atol=0.01)


def test_grey_images_have_no_saturation() -> None:
    images, masks = batch(channels=1)
    assert torch.equal(augment(images, masks, generator(), **OFF, saturation=0.9)[0], images)


def test_blur_keeps_constants_and_lowers_variance() -> None:
    images, masks = batch(side=32)
    blurred, other = augment(images, masks, generator(), **OFF, blur=2.0)
    assert torch.equal(other, masks)
    assert (blurred.var(dim=(1, 2, 3)) < images.var(dim=(1, 2, 3))).all()
    flat = torch.full_like(images, 0.3)
    torch.testing.assert_close(augment(flat, masks, generator(), **OFF, blur=2.0)[0], flat)


def test_noise_has_up_to_its_deviation() -> None:
    images, masks = torch.full((40, 3, 32, 32), 0.5), torch.zeros(40, 1, 32, 32)
    deviations = augment(images, masks, generator(), **OFF, noise=0.1)[0].std(dim=(1, 2, 3))
    assert deviations.max() < 0.105
    assert deviations.min() < 0.03
    assert deviations.max() > 0.08


@pytest.mark.parametrize("option", sorted(EVERYTHING))
def test_every_option_does_something(option: str) -> None:
    images, masks = batch()
    alone = {**OFF, option: EVERYTHING[option]}
    assert not torch.equal(augment(images, masks, generator(), **alone)[0], images)


def test_every_option_is_listed_here() -> None:
    parameters = inspect.signature(augment).parameters.values()
    assert {p.name for p in parameters if p.kind is p.KEYWORD_ONLY} == set(EVERYTHING)


def test_same_generator_same_result() -> None:
    images, masks = batch()
    first = augment(images, masks, generator(5), **EVERYTHING)
    again = augment(images, masks, generator(5), **EVERYTHING)
    other = augment(images, masks, generator(6), **EVERYTHING)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_global_random_state_is_neither_used_nor_changed() -> None:
    images, masks = batch()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = augment(images, masks, generator(), **EVERYTHING)[0]
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert torch.equal(augment(images, masks, generator(), **EVERYTHING)[0], first)


def test_arguments_are_not_changed() -> None:
    images, masks = batch()
    before = images.clone(), masks.clone()
    for options in (EVERYTHING, *({**OFF, option: EVERYTHING[option]} for option in EVERYTHING)):
        augment(images, masks, generator(), **options)
        assert torch.equal(images, before[0])
        assert torch.equal(masks, before[1])


def test_standardise() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 9, 3), dtype=np.uint8)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.1, 0.3)
    result = standardise(pixels, mean, std)
    assert result.shape == (5, 3, 8, 9)
    assert result.dtype == torch.float32
    expected = (pixels / 255 - mean) / std
    np.testing.assert_allclose(result.permute(0, 2, 3, 1).numpy(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(standardise(torch.from_numpy(pixels), mean, std), result)
    torch.testing.assert_close(standardise(as_unit(pixels), mean, std), result)


def test_standardise_of_a_constant_channel_is_finite() -> None:
    result = standardise(np.full((1, 4, 4, 1), 7, np.uint8), (7 / 255,), (0.0,))
    assert torch.equal(result, torch.zeros(1, 1, 4, 4))


@pytest.mark.gpu
def test_results_do_not_depend_on_the_device() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    images, masks = batch(16, 32)
    here = augment(images, masks, generator(), **EVERYTHING)
    there = augment(images.cuda(), masks.cuda(), generator(), **EVERYTHING)
    torch.testing.assert_close(there[0].cpu(), here[0], atol=1e-4, rtol=1e-4)
    assert (there[1].cpu() == here[1]).float().mean() > 0.999
