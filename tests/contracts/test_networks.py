"""What every architecture in the folder promises, and what its options do."""

import ast
import importlib
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.golden_formula import normal, weights
from torch import Tensor
from torch.nn import functional as F

import noise2mask.networks
from noise2mask.errors import UserError
from noise2mask.networks.base import Network
from noise2mask.networks.blocks import GroupNorm, time_features
from noise2mask.networks.medsegdiff import RandomProjection

Batch = tuple[Tensor, Tensor, Tensor]

FOLDER = Path(noise2mask.networks.__file__).parent
SIZE = 16

# small options; an architecture that is not listed is tested with its defaults
UNET = {"width": 32, "multipliers": (1, 2), "blocks": 1, "attention_strides": (2,)}
MONAI = "monai.networks.nets."
SMALL = {
    "monai": [
        {"_target_": f"{MONAI}UNet", "channels": [8, 16], "strides": [2], "norm": None},
        {
            "_target_": f"{MONAI}DiffusionModelUNet",
            "channels": [8, 16],
            "attention_levels": [False, True],
            "num_res_blocks": 1,
            "norm_num_groups": 4,
            "num_head_channels": 8,
        },
    ],
    "ensemdiff": [UNET],
    "segdiff": [UNET | {"rrdb_blocks": 1, "rrdb_width": 16, "rrdb_growth": 8}],
    "medsegdiff": [
        UNET | {"highway_width": 8, "highway_stages": 3},
        UNET
        | {"version": "v1", "multipliers": (1, 1, 1, 2), "highway_width": 8, "highway_stages": 3},
    ],
}


def architectures() -> list[str]:
    def defines_build(file: Path) -> bool:
        body = ast.parse(file.read_text()).body
        return any(isinstance(node, ast.FunctionDef) and node.name == "build" for node in body)

    return sorted(file.stem for file in FOLDER.glob("*.py") if defines_build(file))


OURS = [name for name in SMALL if name != "monai"]
VARIANTS = [(name, options) for name in architectures() for options in SMALL.get(name, [{}])]


def field(key: str, *shape: int) -> Tensor:
    return torch.from_numpy(normal(key, shape))


def filled(network: Network) -> Network:
    """Weights that are not zero anywhere, small as in training, in evaluation mode."""
    published = network.to_published()
    shapes = {k: tuple(v.shape) for k, v in published.items() if not k.endswith("tracked")}
    for key, array in weights("contract", shapes).items():
        published[key].copy_(torch.from_numpy(array))
    return network.eval()


def build(name: str, options: dict[str, object], size: int = SIZE) -> Network:
    return importlib.import_module(f"noise2mask.networks.{name}").build(3, 2, size, **options)


def outputs(network: Network, *given: object) -> tuple[Tensor, ...]:
    return network.with_calibration(*given) if network.calibrated else (network(*given),)


@pytest.fixture(scope="module")
def batch() -> Batch:
    t = torch.tensor([0, 5, 500, 999])
    return field("x_t", 4, 1, SIZE, SIZE), field("image", 4, 3, SIZE, SIZE), t


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda v: f"{v[0]}-{v[1].get('version', '')}")
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    """A filled network, unchanged by whoever had it before."""
    made = filled(build(*request.param))
    before = {key: value.clone() for key, value in made.state_dict().items()}
    yield made
    assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())


def test_the_three_are_found() -> None:
    assert {"ensemdiff", "medsegdiff", "segdiff"} <= set(architectures())


@torch.no_grad()
def test_shapes_and_ranges(network: Network, batch: Batch) -> None:
    assert network(*batch).shape == (4, 2, SIZE, SIZE)
    if network.calibrated:
        output, calibration = network.with_calibration(*batch)
        assert torch.equal(output, network(*batch))
        assert calibration.shape == (4, 1, SIZE, SIZE)
        assert 0 < calibration.min() < calibration.max() < 1
    else:
        with pytest.raises(TypeError, match="no calibration head"):
            network.with_calibration(*batch)


@torch.no_grad()
def test_features_can_be_computed_once_and_selected(network: Network, batch: Batch) -> None:
    x_t, image, t = batch
    features = network.encode(image)
    assert all(len(feature) == 4 for feature in features)
    assert torch.equal(network(*batch, features), network(*batch))
    repeated = tuple(feature[[2, 2, 0, 3]] for feature in features)
    direct = network(x_t, image[[2, 2, 0, 3]], t)
    torch.testing.assert_close(
        network(x_t, image[[2, 2, 0, 3]], t, repeated), direct, rtol=0, atol=1e-5
    )


@torch.no_grad()
def test_features_do_the_encoding(network: Network, batch: Batch) -> None:
    features = network.encode(batch[1])
    if features:
        other = tuple(feature + 1 for feature in features)
        assert not torch.equal(network(*batch, other), network(*batch, features))


@torch.no_grad()
def test_rows_do_not_know_each_other(network: Network, batch: Batch) -> None:
    together = outputs(network, *batch)
    for row in range(4):
        alone = outputs(network, *(tensor[row : row + 1] for tensor in batch))
        for one, all_rows in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], all_rows[row], rtol=0, atol=1e-5)


@torch.no_grad()
def test_evaluation_is_deterministic(network: Network, batch: Batch) -> None:
    assert torch.equal(network(*batch), network(*batch))


@torch.no_grad()
def test_every_input_matters(network: Network, batch: Batch) -> None:
    x_t, image, t = batch
    output = network(*batch)
    for changed in ((x_t + 1, image, t), (x_t, image + 1, t), (x_t, image, t + 100)):
        assert (network(*changed) - output).abs().amax((1, 2, 3)).min() > 1e-3


def test_gradient_reaches_every_parameter(network: Network, batch: Batch) -> None:
    loss = sum(output.square().mean() for output in outputs(network, *batch))
    names, parameters = zip(*network.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    without = [n for n, g in zip(names, gradients, strict=True) if g is None or not g.abs().max()]
    assert without == []


def test_state_dict_round_trips(network: Network, batch: Batch) -> None:
    with torch.no_grad():
        expected = network(*batch)
    keys = network.state_dict().keys()
    variant = next(o for n, o in VARIANTS if build(n, o).state_dict().keys() == keys)
    name = next(n for n, o in VARIANTS if o is variant)
    ours, published = build(name, variant).eval(), build(name, variant).eval()
    ours.load_state_dict(network.state_dict())
    published.load_published(network.to_published())
    with torch.no_grad():
        assert torch.equal(ours(*batch), expected)
        assert torch.equal(published(*batch), expected)
    counters = [key for key in published.state_dict() if key.endswith("num_batches_tracked")]
    for key, value in network.state_dict().items():
        assert key in counters or torch.equal(value, published.state_dict()[key])


@pytest.mark.parametrize(("name", "options"), [each for each in VARIANTS if each[0] in OURS])
def test_new_networks_predict_zero(name: str, options: dict[str, object], batch: Batch) -> None:
    with torch.no_grad():
        assert torch.equal(build(name, options).eval()(*batch), torch.zeros(4, 2, SIZE, SIZE))


def test_initialisation() -> None:
    torch.manual_seed(0)
    network = build("medsegdiff", SMALL["medsegdiff"][1] | {"multipliers": (1, 1, 1, 2)})
    for key, value in network.unet.state_dict().items():
        zeroed = "conv_out" in key or "mixed" in key or key.startswith("head.2")
        assert bool(value.abs().max() == 0) == (
            zeroed or (".norm" in key and "bias" in key) or key == "head.0.bias"
        ), key
    deepest = network.highway.expanding[0][0].conv  # Kaiming: std^2 = 2 / (1 + slope^2) / fan_in
    assert deepest.weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.03)
    assert deepest.bias.abs().max() == 0
    assert network.highway.gates[0].spectral.spectrum.std().item() == pytest.approx(0.02, rel=0.1)


def test_random_projection_has_the_default_initialisation() -> None:
    torch.manual_seed(0)
    random, one = RandomProjection(64, 256), torch.eye(64)[:, :, None, None]
    weight = random(one) - random(torch.zeros(1, 64, 1, 1)).mean()  # (inputs, outputs), and a bias
    assert random(torch.zeros(1, 64, 1, 1)).abs().max().item() == pytest.approx(1 / 8, rel=0.05)
    assert weight.var().item() == pytest.approx(2 * (1 / 8) ** 2 / 3, rel=0.1)


@pytest.mark.parametrize(
    ("name", "size", "options", "said"),
    [
        ("ensemdiff", 36, {}, "36 cannot be halved 5 times.*multiple of 32, e.g. 32 or 64"),
        ("segdiff", 100, {}, "100 cannot be halved 6 times.*multiple of 64, e.g. 64 or 128"),
        ("ensemdiff", 16, {}, "multiple of 32, e.g. 32."),
        ("medsegdiff", 36, UNET | {"highway_width": 8}, "highway of 5 stages.*e.g. 32 or 64"),
        ("ensemdiff", 64, {"width": 48}, "width 48 .*multiple of 32"),
        ("segdiff", 64, {"width": 36, "groups": 8}, "36 .*multiple of 8, .*a width of 8, 16"),
        ("ensemdiff", 64, {"multipliers": ()}, "one positive number a level"),
        ("ensemdiff", 64, {"attention_strides": (24,)}, "24 never occurs.*1, 2, 4, 8, 16, 32"),
        ("segdiff", 64, {"heads": 3}, "3 attention heads do not divide the 256"),
        ("medsegdiff", 64, {"highway_width": 8}, "highway_width 32 or width 32"),
        ("medsegdiff", 64, {"highway_stages": 2}, "give 3 or more"),
        ("medsegdiff", 64, {"gate": "residual"}, "ignored in version new"),
        ("medsegdiff", 64, {"projection": "random"}, "ignored in version new"),
        ("medsegdiff", 64, {"version": "v1", "highway_stages": 4}, "give 5 multipliers"),
    ],
)
def test_impossible_networks_are_refused(
    name: str, size: int, options: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        build(name, options, size)


def test_published_weights_load_whole_or_not_at_all() -> None:
    network = filled(build("medsegdiff", SMALL["medsegdiff"][1]))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    good = {key: value + 1 for key, value in network.to_published().items()}
    lacking = {key: value for key, value in good.items() if key != "out.2.bias"}
    misshapen = good | {"out.2.bias": torch.zeros(3)}
    half_projection = {k: v for k, v in good.items() if k != "hwm.emb_conv.bias"}
    for bad, said in [
        (lacking, r"lacks out\.2\.bias; build"),
        (good | {"module.x": torch.zeros(1)}, r"has the unknown module\.x"),
        (misshapen, r"has \(3,\) for out\.2\.bias where \(2,\) is due"),
        (half_projection, r"lacks hwm\.emb_conv\.bias"),
        ({}, r"lacks .*, .*, .* and \d+ more"),
    ]:
        with pytest.raises(UserError, match=said):
            network.load_published(bad)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_published_v1_may_lack_the_projection() -> None:
    network = filled(build("medsegdiff", SMALL["medsegdiff"][1]))
    projection = network.projection.weight.clone()
    given = {k: v + 1 for k, v in network.to_published().items() if "emb_conv" not in k}
    network.load_published({k: v for k, v in given.items() if not k.endswith("tracked")})
    assert torch.equal(network.projection.weight, projection)
    assert torch.equal(network.to_published()["out.2.bias"], given["out.2.bias"])


OPTIONS = [
    *[("ensemdiff", 0, option) for option in (
        {"width": 64}, {"multipliers": (1, 3)}, {"blocks": 2}, {"attention_strides": ()},
        {"heads": 4}, {"time_conditioning": "scale_shift"}, {"resampling": "residual"},
    )],
    *[(name, 0, {"groups": 8}) for name in OURS],
    *[("segdiff", 0, option) for option in (
        {"width": 64}, {"multipliers": (1, 3)}, {"blocks": 2}, {"attention_strides": (1, 2)},
        {"heads": 2}, {"rrdb_blocks": 2}, {"rrdb_width": 32}, {"rrdb_growth": 16},
    )],
    *[("medsegdiff", 0, option) for option in (
        {"multipliers": (1, 3)}, {"blocks": 2}, {"attention_strides": ()}, {"heads": 4},
        {"time_conditioning": "scale_shift"}, {"resampling": "residual"}, {"highway_stages": 4},
        {"width": 64, "highway_width": 16},
    )],
    *[("medsegdiff", 1, option) for option in (
        {"highway_width": 16}, {"gate": "residual"}, {"projection": "random"},
    )],
]  # fmt: skip


@pytest.mark.parametrize(("name", "variant", "option"), OPTIONS)
@torch.no_grad()
def test_every_option_matters(
    name: str, variant: int, option: dict[str, object], batch: Batch
) -> None:
    options = SMALL[name][variant]
    plain, changed = filled(build(name, options)), filled(build(name, options | option))
    assert (plain(*batch) - changed(*batch)).abs().max() > 1e-3
    back = build(name, options | option).eval()
    back.load_published(changed.to_published())
    assert back.to_published().keys() == changed.to_published().keys()
    if option != {"projection": "random"}:
        assert torch.equal(back(*batch), changed(*batch))


@torch.no_grad()
def test_group_norm_hides_mean_and_scale_of_a_channel_only_where_it_has_a_group() -> None:
    x = field("channels", 2, 32, 4, 4)
    moved = x * torch.linspace(0.5, 2, 32)[:, None, None] + torch.arange(32.0)[:, None, None]
    alone, four = GroupNorm(32), GroupNorm(32, groups=8)
    assert (alone(x) - alone(moved)).abs().max() < 1e-3
    assert (four(x) - four(moved)).abs().max() > 1
    torch.testing.assert_close(four(x), F.group_norm(x, 8, four.weight, four.bias, 1e-5))


@pytest.mark.parametrize("name", OURS)
def test_groups_are_the_same_with_and_without_a_gradient(name: str) -> None:
    # Training may take another way through group norm than sampling does.
    network = filled(build(name, SMALL[name][0] | {"groups": 8}, size=32))
    network = network.to(memory_format=torch.channels_last)
    image, x_t = (field(key, 2, channels, 32, 32) for key, channels in (("i", 3), ("m", 1)))
    given = x_t, image.to(memory_format=torch.channels_last), torch.tensor([3, 700])
    trained = network(*given)
    with torch.inference_mode():
        torch.testing.assert_close(trained, network(*given), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["ensemdiff", "medsegdiff"])
@torch.no_grad()
def test_the_order_of_the_heads_matters(name: str, batch: Batch) -> None:
    first, other = (
        filled(build(name, SMALL[name][0] | {"heads": 4, "qkv_order": order}))(*batch)
        for order in ("heads_first", "qkv_first")
    )
    assert (first - other).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("name", "option"),
    [(name, "dropout") for name in OURS] + [("medsegdiff", "highway_dropout")],
)
@torch.no_grad()
def test_dropout_acts_in_training_alone(name: str, option: str, batch: Batch) -> None:
    without = SMALL[name][0] | ({"highway_dropout": 0.0} if name == "medsegdiff" else {})
    network = filled(build(name, without | {option: 0.5}))
    assert torch.equal(network(*batch), filled(build(name, without))(*batch))
    assert not torch.equal(network.train()(*batch), network(*batch))
    plain = filled(build(name, without)).train()
    assert torch.equal(plain(*batch), plain(*batch))


@torch.no_grad()
def test_random_projection_is_drawn_anew_and_never_kept(
    batch: Batch,
) -> None:
    options = SMALL["medsegdiff"][1] | {"projection": "random"}
    network = filled(build("medsegdiff", options))
    assert (network(*batch) - network(*batch)).abs().max() > 1e-3
    assert not [key for key in network.to_published() if "emb_conv" in key]


@torch.no_grad()
def test_only_the_published_gates_starve() -> None:
    batch = field("x_t", 4, 1, 32, 32), field("image", 4, 3, 32, 32), torch.arange(4)

    def spread_after_the_gates(gate: str) -> float:
        torch.manual_seed(0)
        options = UNET | {"version": "v1", "multipliers": (1,) * 6, "highway_width": 8}
        network = build("medsegdiff", options | {"gate": gate}, 32).eval()
        seen: list[Tensor] = []
        network.highway.gates[-1].register_forward_hook(lambda *hook: seen.append(hook[2]))
        network(*batch)
        return seen[0].std().item()

    assert spread_after_the_gates("published") < 1e-4
    assert spread_after_the_gates("residual") > 0.1


@pytest.mark.parametrize("version", ["new", "v1"])
def test_one_pixel_bottleneck(version: str) -> None:
    batch = field("x_t", 4, 1, 32, 32), field("image", 4, 3, 32, 32), torch.arange(4)
    options = UNET | {"version": version, "multipliers": (1, 1, 1, 1, 1, 2), "highway_width": 8}
    network = filled(build("medsegdiff", options, 32)).train()
    assert all(torch.isfinite(output).all() for output in outputs(network, *batch))
    one = tuple(tensor[:1] for tensor in batch)
    with pytest.raises(UserError, match="batch of two or more"):
        network(*one)
    assert network.eval()(*one).shape == (1, 2, 32, 32)


def test_diffusion_does_not_train_the_highway_of_new(
    batch: Batch,
) -> None:
    network = filled(build("medsegdiff", SMALL["medsegdiff"][0]))
    for output in (network(*batch), network.with_calibration(*batch)[0]):
        gradients = torch.autograd.grad(
            output.square().mean(), list(network.highway.parameters()), allow_unused=True
        )
        assert all(gradient is None for gradient in gradients)


def test_half_precision_keeps_the_result_close(batch: Batch) -> None:
    for name, options in VARIANTS:
        network = filled(build(name, options))
        with torch.no_grad():
            full = network(*batch)
            with torch.autocast("cpu", torch.bfloat16):
                half = network(*batch)
        assert (half.float() - full).abs().max() < 0.2 * full.abs().max(), name


def test_time_features() -> None:
    features = time_features(torch.tensor([0, 7]), 8)
    assert features[0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    expected = [
        f(7 * math.exp(-math.log(10_000) * j / 4)) for f in (math.cos, math.sin) for j in range(4)
    ]
    torch.testing.assert_close(features[1].tolist(), expected, rtol=1e-5, atol=1e-6)
