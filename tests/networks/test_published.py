"""The three networks against numbers of the published codes (tests/golden/README.md)."""

import hashlib
import json
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from helpers.golden_formula import blob_mask, normal, weights
from helpers.project import ROOT
from torch import Tensor, nn

from noise2mask.diffusion import schedule, variational
from noise2mask.networks import ensemdiff, medsegdiff, segdiff
from noise2mask.networks.base import Network

GOLDEN = ROOT / "tests" / "golden"
ABSOLUTE = 5e-5  # of network outputs of size about 4
RELATIVE = 1e-4  # of losses and gradient norms
FLOOR = 1e-4  # of gradient norms: that of the keys' bias is 0 in exact arithmetic
# Where a value of 1e-8 before a leaky ReLU falls on its other side, a gradient jumps: in float64
# the gradients of v1 are up to 4e-3 from the published ones, those of SegDiff 1e-4.
LAYOUTS = [torch.contiguous_format, torch.channels_last]
KINKED = {
    ("segdiff", torch.contiguous_format): 1e-3,
    ("segdiff", torch.channels_last): 1e-3,
    ("medsegdiff_v1", torch.channels_last): 3e-2,
}

Arrays = dict[str, np.ndarray]
Traced = tuple[str, Tensor, Tensor | None, dict[str, Tensor]]

TINY = {"width": 32, "multipliers": (1, 2, 2), "blocks": 1, "attention_strides": (4,)}
FILM = TINY | {
    "attention_strides": (2, 4),
    "heads": 4,
    "time_conditioning": "scale_shift",
    "resampling": "residual",
}
GATED = TINY | {"version": "v1", "multipliers": (1, 1, 1, 1, 2, 2), "blocks": 2, "highway_width": 8}
BUILDERS: dict[str, Callable[..., Network]] = {
    "ensemdiff": lambda **more: ensemdiff.build(3, 2, 64, **TINY | more),
    "ensemdiff_film": lambda: ensemdiff.build(3, 2, 64, **FILM),
    "segdiff": lambda: segdiff.build(3, 1, 64, **TINY, rrdb_blocks=2),
    "medsegdiff_new": lambda: medsegdiff.build(3, 2, 64, **TINY, highway_width=8),
    "medsegdiff_v1": lambda: medsegdiff.build(3, 2, 64, **GATED),
}
PUBLISHED: dict[str, tuple[Callable[..., Network], int, int, dict[str, str], int, int]] = {
    # builder, image channels, pixels, options, t, parameters
    "ensemdiff_default": (ensemdiff.build, 4, 64, {}, 321, 113_674_370),
    "segdiff_default": (segdiff.build, 3, 64, {}, 42, 164_154_753),
    "medsegdiff_new_default": (medsegdiff.build, 3, 64, {}, 321, 129_400_450),
    "medsegdiff_v1_default": (
        *(medsegdiff.build, 3, 256, {"version": "v1"}, 321),
        130_527_814 + 246_272,  # the projection, which the public code does not count
    ),
}
TRAINED = [name for name in BUILDERS if name != "ensemdiff_film"]


@pytest.fixture(scope="module")
def golden() -> Arrays:
    with np.load(GOLDEN / "networks.npz") as stored:
        return {key: stored[key] for key in stored.files}


@pytest.fixture(scope="module")
def structure() -> dict[str, dict[str, object]]:
    return json.loads((GOLDEN / "networks.json").read_text())


def formula_weights(name: str, network: Network) -> dict[str, Tensor]:
    shapes = {key: tuple(value.shape) for key, value in network.to_published().items()}
    # the projection of v1 was fixed under a name of its own
    named = {("aux/" if "emb_conv" in k else "") + k: shape for k, shape in shapes.items()}
    arrays = weights(name, {k: s for k, s in named.items() if not k.endswith("tracked")})
    return {key.removeprefix("aux/"): torch.from_numpy(a) for key, a in arrays.items()}


def built(name: str, **options: object) -> Network:
    network = BUILDERS[name](**options)
    network.load_published(formula_weights(name, network))
    return network.eval()


def output_channels(name: str) -> int:
    return 1 if name.startswith("segdiff") else 2  # noise; and variance, which SegDiff fixes


def field(key: str, *shape: int) -> Tensor:
    return torch.from_numpy(normal(key, shape))


def inputs(name: str, golden: Arrays) -> tuple[Tensor, Tensor, Tensor]:
    if name == "ensemdiff_film":  # stored only
        x_t, image, t = (torch.from_numpy(golden[f"{name}/input/{k}"]) for k in ("x", "image", "t"))
        return x_t, image, t
    t = torch.tensor([7, 83] if name == "segdiff" else [37, 912])
    return field(f"{name}/x", 2, 1, 64, 64), field(f"{name}/image", 2, 3, 64, 64), t


def close(actual: Tensor, expected: np.ndarray, absolute: float = ABSOLUTE) -> None:
    torch.testing.assert_close(
        actual.double(), torch.from_numpy(expected).double(), rtol=0, atol=absolute
    )


@pytest.fixture(scope="module", params=product(BUILDERS, LAYOUTS), ids=str)
def traced(request: pytest.FixtureRequest, golden: Arrays) -> Traced:
    """Output, calibration map, and the output of every module by its published name."""
    name, layout = request.param
    network, seen = built(name).to(memory_format=layout), {}

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: object, output: object) -> None:
            if isinstance(output, Tensor):
                seen[name] = output

        return hook

    for key, module in network.named_modules():
        module.register_forward_hook(watch(network.published_key(key)))
    calibration = None
    with torch.no_grad():
        if network.calibrated:
            output, calibration = network.with_calibration(*inputs(name, golden))
        else:
            output = network(*inputs(name, golden))
    return name, output, calibration, seen


def test_outputs(traced: Traced, golden: Arrays) -> None:
    name, output, calibration, _ = traced
    close(output[:, :1], golden[f"{name}/eps"])
    if name != "segdiff":
        close(output[:, 1:], golden[f"{name}/var"])
    if calibration is not None:
        close(calibration, golden[f"{name}/cal"])
    assert (calibration is not None) == name.startswith("medsegdiff")


def test_every_module(traced: Traced, golden: Arrays) -> None:
    name, _, _, seen = traced
    modules = golden[f"{name}/trace_modules"]
    assert len(modules) >= 14
    for module, expected in zip(modules, golden[f"{name}/trace"], strict=True):
        h = seen[str(module)].double().flatten(1)
        moments = [h.mean(1), h.std(1, correction=0), h.abs().mean(1), h[:, 0]]
        size = float(np.abs(expected[:, 1:]).max())  # inside the networks up to 100
        close(torch.stack(moments, dim=1), expected, ABSOLUTE * max(1.0, size / 4))


@pytest.mark.parametrize(("order", "key"), [("heads_first", "legacy"), ("qkv_first", "new")])
def test_four_heads(order: str, key: str, golden: Arrays) -> None:
    network = built("ensemdiff", heads=4, qkv_order=order)
    with torch.no_grad():
        output = network(*inputs("ensemdiff", golden))
    close(output[..., ::2, ::2], golden[f"ensemdiff/heads4_{key}_order"])


def test_encoded_image(golden: Arrays) -> None:
    with torch.no_grad():
        (encoded,) = built("segdiff").encode(inputs("segdiff", golden)[1][:1])
    close(encoded[..., ::8, ::8], golden["segdiff/encoded"])


def losses(name: str, network: Network) -> dict[str, Tensor]:
    """Per-sample loss terms of the published trainings (batch norm in evaluation mode)."""
    is_segdiff = name == "segdiff"
    image, eps = (
        field(f"{name}/loss_image", 3, 3, 64, 64),
        field(f"{name}/loss_noise", 3, 1, 64, 64),
    )
    mask = torch.from_numpy(blob_mask(f"{name}/loss_mask", (3, 1, 64, 64)))
    x_0 = 2 * mask - 1 if is_segdiff else mask
    t = torch.tensor([0, 40, 99] if is_segdiff else [0, 250, 999])
    process = schedule.linear(100 if is_segdiff else 1000)
    signal, sigma = process.amplitudes(t, x_0)
    x_t = signal * x_0 + sigma * eps
    terms = {}
    if network.calibrated:
        output, calibration = network.with_calibration(x_t, image, t)
        terms["cal"] = (mask - calibration).square().mean((1, 2, 3))
    else:
        output = network(x_t, image, t)
    squared = (eps - output[:, :1]).square()
    terms["mse"] = squared.mean((1, 2, 3))
    if is_segdiff:
        terms["sum"] = terms["loss"] = squared.sum((1, 2, 3))
        return terms
    x_0_hat = (x_t - sigma * output[:, :1].detach()) / signal  # the term trains the variance alone
    small = process.at(process.posterior_log_variance_clipped, t, x_0)
    terms["vb"] = variational.vb_terms_bpd(
        x_0,
        t,
        process.posterior_mean(x_0, x_t, t),
        small,
        process.posterior_mean(x_0_hat, x_t, t),
        variational.learned_log_variance(
            variational.variance_fraction(output[:, 1:]),
            small,
            process.at(process.betas.log(), t, x_0),
        ),
    )
    terms["loss"] = terms["mse"] + terms["vb"]
    return terms


def gradient_norms(network: Network, loss: Tensor) -> np.ndarray:
    """L2 norm of every parameter's gradient, in the order of the published names."""
    named = {network.published_key(key): p for key, p in network.named_parameters()}
    keys = sorted(key for key in named if "emb_conv" not in key)  # not a parameter there
    gradients = torch.autograd.grad(
        loss, [named[key] for key in keys], retain_graph=True, allow_unused=True
    )
    return np.array([0.0 if g is None else g.norm().item() for g in gradients])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", TRAINED)
def test_losses_and_gradients(name: str, layout: torch.memory_format, golden: Arrays) -> None:
    network = built(name).to(memory_format=layout)
    relative = KINKED.get((name, layout), RELATIVE)
    terms = losses(name, network)
    for term, value in terms.items():
        np.testing.assert_allclose(value.detach(), golden[f"{name}/loss_{term}"], rtol=RELATIVE)
    diffusion = terms["loss"].mean()
    total = diffusion + 10 * terms["cal"].mean() if network.calibrated else diffusion
    np.testing.assert_allclose(
        gradient_norms(network, total), golden[f"{name}/grad_norms"], rtol=relative, atol=FLOOR
    )
    if network.calibrated:
        expected = golden[f"{name}/grad_norms_diffusion_only"]
        np.testing.assert_allclose(total.item(), golden[f"{name}/loss_total"][0], rtol=RELATIVE)
        np.testing.assert_allclose(
            gradient_norms(network, diffusion), expected, rtol=relative, atol=FLOOR
        )


@pytest.mark.parametrize("name", [*BUILDERS, *PUBLISHED])
def test_published_names_and_shapes(name: str, structure: dict[str, dict[str, object]]) -> None:
    with torch.device("meta"):
        if name in BUILDERS:
            network = BUILDERS[name]()
        else:
            build, channels, size, options, _, parameters = PUBLISHED[name]
            network = build(channels, output_channels(name), size, **options)
            assert sum(p.numel() for p in network.parameters()) == parameters
    entries = sorted(
        f"{key} {'x'.join(map(str, value.shape))}"
        for key, value in network.to_published().items()
        if not key.endswith("num_batches_tracked") and "emb_conv" not in key
    )
    digest = hashlib.sha256("\n".join(entries).encode()).hexdigest()
    assert {"entries": len(entries), "sha256": digest} == structure[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_size(name: str, golden: Arrays) -> None:
    build, channels, size, options, t, _ = PUBLISHED[name]
    with torch.device("meta"):
        network = build(channels, output_channels(name), size, **options)
    network = network.to_empty(device="cpu").eval()
    for key, value in network.to_published().items():  # one by one: 0.6 GB in all
        if not key.endswith("num_batches_tracked"):
            aux = "aux/" if "emb_conv" in key else ""
            (array,) = weights(name, {aux + key: tuple(value.shape)}).values()
            value.copy_(torch.from_numpy(array))
    x_t, image = (
        field(f"{name}/x", 1, 1, size, size),
        field(f"{name}/image", 1, channels, size, size),
    )
    with torch.no_grad():
        if network.calibrated:
            both = network.with_calibration(x_t, image, torch.tensor([t]))
            results = dict(zip(("net", "cal"), both, strict=True))
        else:
            results = {"net": network(x_t, image, torch.tensor([t]))}
    stride = 4 if size == 64 else 8
    for key, result in results.items():
        close(result[..., ::stride, ::stride], golden[f"{name}/{key}"])
        h = result[0].double().flatten(1)
        moments = torch.stack([h.mean(1), h.std(1, correction=0), h.abs().mean(1)], dim=1)
        close(moments, golden[f"{name}/{key}_moments"])
