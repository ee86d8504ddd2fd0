"""Weights of published codes segment images as those codes' numbers say."""

import dataclasses
import logging

import numpy as np
import pytest
import torch
from helpers.golden_formula import normal
from helpers.project import ROOT
from helpers.published_weights import TINY, checkpoint
from PIL import Image
from safetensors.torch import save_file

from noise2mask.cli import main
from noise2mask.diffusion.process import denoiser
from noise2mask.errors import UserError
from noise2mask.inference.bundle import load_model
from noise2mask.inference.predict import predict
from noise2mask.inference.published import CONTRACTS, load_published, state_dict_of
from noise2mask.seeds import seed_of

CPU = torch.device("cpu")
IMAGE = np.random.default_rng(5).integers(0, 256, (40, 48, 3)).astype(np.uint8)


def opened(name, tmp_path, **more):
    path, architecture, options = checkpoint(name, tmp_path)
    return load_published(path, architecture, options | more, CPU)


@pytest.mark.parametrize("name", TINY)
def test_the_network_is_that_of_the_published_code(name, tmp_path):
    """Its output is the number that the published code gave for these weights."""
    network = opened(name, tmp_path).trained.network
    t = torch.tensor([7, 83] if name == "segdiff" else [37, 912])
    x_t = torch.from_numpy(normal(f"{name}/x", (2, 1, 64, 64)))
    image = torch.from_numpy(normal(f"{name}/image", (2, 3, 64, 64)))
    with torch.no_grad():
        found = network(x_t, image, t)[:, :1].numpy()
    with np.load(ROOT / "tests/golden/networks.npz") as golden:
        assert np.abs(found - golden[f"{name}/eps"]).max() < 5e-5


def test_a_draw_is_that_of_the_published_process(tmp_path):
    """EnsemDiff by hand: raw levels as image, masks of 0 and 1, DDIM over respaced steps."""
    model = opened("ensemdiff", tmp_path, draws=1)
    square = np.ascontiguousarray(IMAGE[:40, :40])
    shown = Image.fromarray(square).resize((64, 64), Image.Resampling.BOX, reducing_gap=None)
    square = np.asarray(shown)
    found = predict(model, square, name="a", sampler="ddim")
    stream = torch.Generator().manual_seed(seed_of(0, "draw", "a", 0))
    x = torch.randn(1, 64, 64, generator=stream)[None]
    image = torch.from_numpy(square.astype(np.float32)).permute(2, 0, 1)[None]  # 0 ... 255
    alphas = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    steps = model.way("ddim").sampler.steps
    visited = np.rint(np.linspace(0, 999, steps)).astype(int)[::-1]
    network = model.trained.network
    with torch.no_grad():
        for now, after in zip(visited, [*visited[1:], None], strict=True):
            eps = network(x, image, torch.tensor([now]))[:, :1]
            a, b = alphas[now], 1.0 if after is None else alphas[after]
            x_0 = ((x - (1 - a) ** 0.5 * eps) / a**0.5).clamp(-1, 1)
            eps = (x - a**0.5 * x_0) / (1 - a) ** 0.5
            x = b**0.5 * x_0 + (1 - b) ** 0.5 * eps
    np.testing.assert_allclose(found.probability, x[0, 0].clamp(0, 1).numpy(), atol=2e-3)


@pytest.mark.parametrize("name", ["ensemdiff", "segdiff", "medsegdiff_new"])
def test_the_defaults_are_the_published_ones(name, tmp_path):
    model = opened(name, tmp_path)
    process, way = model.trained.process, model.way()
    segdiff = name == "segdiff"
    assert way.sampler.sampler == "ddpm"
    assert (way.sampler.steps, way.sampler.draws) == ((100, 9) if segdiff else (1000, 5))
    assert process.coding == ("signed" if segdiff else "unit")
    assert process.learned_variance == (not segdiff)
    assert process.clip == (not segdiff)
    assert ("calibration" in model.ways) == (name == "medsegdiff_new")
    assert model.trained.run.data["channels"] == 3
    assert CONTRACTS["segdiff"].tile == 256
    assert model.warnings


def test_the_calibration_map_is_that_of_the_second_head(tmp_path):
    model = opened("medsegdiff_new", tmp_path)
    square = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    image = torch.from_numpy(square / 255.0).float().permute(2, 0, 1)[None]
    with torch.no_grad():
        (_, wanted) = model.trained.network.encode(image)
    found = predict(model, square, sampler="calibration")
    np.testing.assert_allclose(found.probability, wanted[0, 0].numpy(), atol=1e-5)


def test_files_of_other_tools_are_read(tmp_path):
    path, architecture, options = checkpoint("ensemdiff", tmp_path)
    tensors = torch.load(path, weights_only=True)
    wrapped = {f"module.{key}": value for key, value in tensors.items()}
    torch.save({"state_dict": wrapped, "step": 7}, tmp_path / "wrapped.pth")
    save_file(tensors, tmp_path / "plain.safetensors")
    digests = {
        load_published(each, architecture, options, CPU).trained.run.data["digest"]
        for each in (path, tmp_path / "wrapped.pth", tmp_path / "plain.safetensors")
    }
    assert len(digests) == 1


class Other:
    """An object that no file of weights should hold."""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        (b"nothing of the kind", "cannot be read|holds more than tensors"),
        ({"a": 1}, "a in it is no tensor"),
        ([1, 2], "holds no state dict"),
        ({"a": Other()}, "holds more than tensors"),
        ({"a": torch.zeros(2)}, r"lacks input_blocks\.0\.0\.weight"),
    ],
)
def test_a_file_that_is_no_state_dict_is_one_sentence(tmp_path, content, said):
    path = tmp_path / "model.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(UserError, match=said) as caught:
        load_published(path, "ensemdiff", {}, CPU)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"widht": 64}, "did you mean 'width'"),
        ({"codign": "unit"}, "did you mean 'coding'"),
        ({"coding": "half"}, "coding"),
        ({"schedule": "linaer"}, "did you mean 'linear'"),
        ({"width": 64}, "does not fit this EnsemDiff"),
        ({"variance": "fixed_small"}, "its variance is learned"),
        ({"mean": [0.1, 0.2]}, "mean has 2 values, but the weights are of images with 3"),
    ],
)
def test_an_option_that_does_not_fit_is_one_sentence(tmp_path, more, said):
    with pytest.raises(UserError, match=said) as caught:
        opened("ensemdiff", tmp_path, **more)
    assert "\n" not in str(caught.value)


def test_a_layer_that_the_public_code_draws_anew_has_to_be_named(tmp_path):
    path, architecture, options = checkpoint("medsegdiff_v1", tmp_path, projection=False)
    with pytest.raises(UserError, match="projection=random"):
        load_published(path, architecture, options, CPU)
    model = load_published(path, architecture, options | {"projection": "random"}, CPU)
    assert "calibration" not in model.ways  # it depends on the noisy mask


def test_the_command(tmp_path, capsys, caplog):
    path, _, options = checkpoint("segdiff", tmp_path)
    Image.fromarray(IMAGE).save(tmp_path / "one.png")
    given = [
        "predict", str(path), str(tmp_path / "one.png"), "--output", str(tmp_path / "out"),
        "--architecture", "segdiff", "--sampler", "ddim", "--draws", "2", "--threads", "1",
        *(f"--set={key}={'null' if value is None else value}" for key, value in options.items()),
    ]  # fmt: skip
    with caplog.at_level(logging.WARNING):
        assert main(given) == 0
    assert (tmp_path / "out/one_mask.png").exists()
    assert main(["predict", str(path), "x", "--output", "y"]) == 2
    assert "--architecture of a published checkpoint" in capsys.readouterr().err
    assert main(["predict", str(tmp_path), "x", "--output", "y", "--set", "width=32"]) == 2
    assert "name its --architecture" in capsys.readouterr().err


def test_grey_images_are_not_taken_for_four_modalities(tmp_path):
    model = opened("ensemdiff", tmp_path)
    four = dataclasses.replace(
        model, preparation=model.preparation.model_copy(update={"channels": 4})
    )
    with pytest.raises(UserError, match="save it in those channels"):
        predict(four, IMAGE)
    with pytest.raises(UserError, match=r"1 channels, but .* images of 4"):
        predict(four, IMAGE[..., 0])


def test_a_state_dict_keeps_its_names(tmp_path):
    path, _, _ = checkpoint("segdiff", tmp_path)
    assert "rrdb.conv_first.weight" in state_dict_of(path)
    assert load_model(
        path, architecture="segdiff", options=checkpoint("segdiff", tmp_path)[2]
    ).ways.keys() == {"ddpm", "ddim"}


def test_the_denoiser_reads_the_published_target(tmp_path):
    """The estimate of x_0 follows from eps, clipped to [-1, 1] whatever the coding."""
    model = opened("ensemdiff", tmp_path)
    trained = model.trained
    x_t = torch.from_numpy(normal("a", (1, 1, 64, 64)))
    image = torch.from_numpy(normal("b", (1, 3, 64, 64)))
    with torch.no_grad():
        found = denoiser(trained.network, image, (), trained.process)(x_t, torch.tensor([900])).x_0
    assert found.min() >= -1
    assert found.max() <= 1
    assert found.min() < -0.5  # below the coding's own 0
