"""One step as ONNX and as a program of torch.export, of every network, against torch."""

import io

import numpy as np
import pytest
import torch
from helpers.published_weights import TINY, checkpoint

from noise2mask.errors import UserError
from noise2mask.inference.published import load_published
from noise2mask.inference.step_programs import TOLERANCE, examples_of, step_as_onnx, step_as_pt2


@pytest.fixture(params=TINY)
def model(request, tmp_path):
    path, architecture, options = checkpoint(request.param, tmp_path)
    return load_published(path, architecture, options, torch.device("cpu"))


def close(found, wanted):
    return np.abs(found - wanted).max() <= TOLERANCE * np.abs(wanted).max()


def test_onnx_runs_as_torch_does(model):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    content, said = step_as_onnx(model)
    assert said["difference"] <= TOLERANCE
    assert said["opset"] == 18
    session = onnxruntime.InferenceSession(content)
    for x_t, image, t in examples_of(model):
        with torch.no_grad():
            wanted = model.trained.network(x_t + 1, image, t).numpy()
        given = {"x_t": (x_t + 1).numpy(), "image": image.numpy(), "t": t.numpy()}
        (found,) = session.run(None, given)
        assert close(found, wanted)


def test_a_program_of_torch_export_runs_as_torch_does(model):
    content, said = step_as_pt2(model)
    assert said["difference"] <= TOLERANCE
    program = torch.export.load(io.BytesIO(content)).module()
    for x_t, image, t in examples_of(model):
        with torch.no_grad():
            wanted = model.trained.network(x_t + 1, image, t).numpy()
            assert close(program(x_t + 1, image, t).numpy(), wanted)


def test_a_program_that_differs_is_refused(tmp_path, monkeypatch):
    path, architecture, options = checkpoint("ensemdiff", tmp_path)
    model = load_published(path, architecture, options, torch.device("cpu"))
    honest = torch.export.load

    def skewed(file):
        program = honest(file)
        weight = next(iter(program.state_dict.values()))
        with torch.no_grad():
            weight.mul_(1.5)
        return program

    monkeypatch.setattr(torch.export, "load", skewed)
    with pytest.raises(UserError, match=r"differs from torch by .* export without --pt2"):
        step_as_pt2(model)
