"""Counts against closed forms and the published codes' numbers."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from noise2mask import plugins
from noise2mask.diffusion import schedule
from noise2mask.diffusion.respacing import respace
from noise2mask.evaluation.flops import evaluations, multiply_adds, network_counts, parameters
from noise2mask.networks import ensemdiff, medsegdiff, segdiff
from noise2mask.study.schema import Sampler

TINY = {"width": 32, "multipliers": (1, 2, 2), "blocks": 1, "attention_strides": (4,)}
GIGA = 1e9


def test_a_convolution_multiplies_every_weight_at_every_pixel():
    layer, image = nn.Conv2d(3, 8, 5, padding=2), torch.zeros(2, 3, 16, 12)
    assert multiply_adds(lambda: layer(image)) == 2 * 16 * 12 * 8 * 3 * 25


def test_a_strided_grouped_convolution_does_less():
    layer, image = nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=4), torch.zeros(1, 8, 16, 16)
    assert multiply_adds(lambda: layer(image)) == 8 * 8 * 16 * (8 // 4) * 9


def test_a_linear_layer_multiplies_every_weight_once_a_row():
    layer, rows = nn.Linear(7, 11), torch.zeros(5, 7)
    assert multiply_adds(lambda: layer(rows)) == 5 * 7 * 11


def test_attention_multiplies_queries_with_keys_and_weights_with_values():
    q, k, v = torch.zeros(2, 3, 10, 4), torch.zeros(2, 3, 6, 4), torch.zeros(2, 3, 6, 4)
    expected = 2 * 3 * (10 * 6 * 4 + 10 * 6 * 4)
    assert multiply_adds(lambda: torch.softmax(q @ k.mT, -1) @ v) == expected
    # On the meta device torch keeps the fused operation whole.
    q, k, v = (one.to("meta") for one in (q, k, v))
    assert multiply_adds(lambda: functional.scaled_dot_product_attention(q, k, v)) == expected


def test_parameters_are_weights_and_biases():
    assert parameters(nn.Sequential(nn.Conv2d(3, 8, 5), nn.BatchNorm2d(8))) == 8 * 75 + 8 + 16


PUBLISHED = {  # builder, image channels, outputs, pixels, parameters, GMAC
    "ensemdiff": (ensemdiff.build, 4, 2, 224, 113_674_370, 190.3),
    "segdiff": (segdiff.build, 3, 1, 256, 164_154_753, 853.4),
    "medsegdiff": (medsegdiff.build, 3, 2, 256, 129_400_450, 260.7),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes_cost_what_the_published_codes_cost(name):
    build, channels, outputs, side, learnt, total = PUBLISHED[name]
    with torch.device("meta"):
        counts = network_counts(build(channels, outputs, side).eval(), channels, side)
    assert counts.parameters == learnt
    assert (counts.encoding + counts.evaluation) / GIGA == pytest.approx(total, abs=0.05)
    if name == "segdiff":  # two thirds are its image encoder
        assert counts.encoding / GIGA == pytest.approx(575.1, abs=0.05)
        share = counts.encoding / (counts.encoding + counts.evaluation)
        assert share == pytest.approx(0.67, abs=0.005)


@pytest.mark.parametrize(
    ("build", "options", "total"),
    [
        (ensemdiff.build, {}, 1.02),
        (segdiff.build, {"rrdb_blocks": 2}, 7.29),
        (medsegdiff.build, {"highway_width": 8}, 1.07),
    ],
)
def test_counts_are_the_same_on_every_device(build, options, total):
    found = []
    for device in ("cpu", "meta"):
        with torch.device(device):
            network = build(3, 1 if build is segdiff.build else 2, 64, **TINY, **options).eval()
        found.append(network_counts(network, 3, 64))
    assert found[0] == found[1]
    assert (found[0].encoding + found[0].evaluation) / GIGA == pytest.approx(total, abs=0.005)


@pytest.mark.parametrize("name", plugins.names("sampler"))
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_sampler_denoises_once_at_each_visited_timestep(name, steps):
    process = schedule.linear(50)
    found = evaluations(Sampler(sampler=name, steps=steps), process, respace(50, steps))
    assert found == (1 if name == "one_pass" else steps)


def test_a_learned_variance_needs_no_further_evaluation():
    sampler = Sampler(sampler="ddpm", steps=4, options={"variance": "learned"})
    assert evaluations(sampler, schedule.linear(50), respace(50, 4)) == 4
