"""Networks of MONAI by the name of their class, and what is said of one that does not fit."""

import pytest
import torch

from noise2mask import plugins
from noise2mask.errors import UserError
from noise2mask.networks.blocks import time_features
from noise2mask.networks.monai import TIME_CHANNELS, build

NETS = "monai.networks.nets."
UNET = {"_target_": f"{NETS}UNet", "channels": [8, 16], "strides": [2]}


def test_image_mask_and_time_are_its_channels():
    network = build(3, 2, 16, **UNET).eval()
    seen = []
    network.network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x_t, image = torch.randn(2, 1, 16, 16), torch.randn(2, 3, 16, 16)
    t = torch.tensor([3, 500])
    network(x_t, image, t)
    (given,) = seen
    assert torch.equal(given[:, :3], image)
    assert torch.equal(given[:, 3:4], x_t)
    assert torch.equal(given[:, 4:, 5, 7], time_features(t, TIME_CHANNELS))
    assert given.shape == (2, 4 + TIME_CHANNELS, 16, 16)


def test_one_made_for_diffusion_is_told_the_timestep_itself():
    options = {
        "channels": [8, 8], "attention_levels": [False, False], "num_res_blocks": 1,
        "norm_num_groups": 4, "num_head_channels": 4,
    }  # fmt: skip
    network = build(1, 1, 16, _target_=f"{NETS}DiffusionModelUNet", **options)
    assert network.takes_time
    assert network.network.in_channels == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"_target_": f"{NETS}UNett"}, "unknown network of MONAI 'UNett'; did you mean 'UNet'?"),
        ({"_target_": f"{NETS}UNet"}, "UNet cannot be built of these options for 16 pixels: "),
        (UNET | {"chanels": [8]}, "unknown option of UNet 'chanels'; did you mean 'channels'?"),
        (UNET | {"in_channels": 3}, "the option in_channels of UNet is filled in; leave it out."),
        ({"_target_": f"{NETS}BasicUNet", "features": [8]}, "BasicUNet cannot be built of these"),
    ],
)
def test_what_does_not_fit_is_one_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        build(3, 2, 16, **options)
    assert "\n" not in str(caught.value)


def test_a_network_that_gives_no_map():
    with pytest.raises(UserError, match=r"gives \(1, 2\) for one image, not one map of 2 channels"):
        build(3, 2, 64, _target_=f"{NETS}DenseNet121")


def test_a_study_may_name_its_options_freely_but_not_any_class():
    given = plugins.keywords("architecture", "monai", UNET)
    assert given == UNET
    model = plugins.options("architecture", "monai")
    assert model.model_validate(UNET).model_dump(mode="json") == UNET
    with pytest.raises(ValueError, match="should match pattern"):
        model.model_validate({"_target_": "os.system"})
    with pytest.raises(ValueError, match="Field required"):
        model.model_validate({})
