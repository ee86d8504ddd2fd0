"""A bundle is one of MONAI's: its files, its metadata, and a run of MONAI gives the same masks."""

import json
import shutil
import subprocess
import sys

import jsonschema
import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow, run
from PIL import Image

from noise2mask.inference.bundle import load_model
from noise2mask.inference.monai_bundle import DrawnMasks
from noise2mask.inference.predict import predict, predict_files

TENSOR = {
    "type": "object",
    "required": [
        "type", "format", "num_channels", "spatial_shape", "dtype", "value_range", "is_patch_data",
        "channel_def",
    ],
    "properties": {
        "type": {"enum": ["image", "series", "tuples", "probabilities"]},
        "format": {"enum": ["magnitude", "raw", "labels", "segmentation", "latent"]},
        "num_channels": {"type": "integer", "minimum": 1},
        "spatial_shape": {"type": "array", "items": {"type": ["integer", "string"]}},
        "dtype": {"enum": ["float32", "int64"]},
        "value_range": {"type": "array"},
        "is_patch_data": {"type": "boolean"},
        "channel_def": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}  # fmt: skip
TENSORS = {"type": "object", "minProperties": 1, "additionalProperties": TENSOR}
METADATA = {
    "type": "object",
    "required": [
        "schema", "version", "monai_version", "pytorch_version", "numpy_version",
        "optional_packages_version", "task", "description", "authors", "copyright",
        "network_data_format",
    ],
    "properties": {
        **{
            key: {"type": "string", "minLength": 1}
            for key in ("version", "monai_version", "pytorch_version", "numpy_version", "task")
        },
        **{
            key: {"type": "object"}
            for key in ("optional_packages_version", "eval_metrics", "changelog")
        },
        "references": {"type": "array"},
        "network_data_format": {
            "type": "object",
            "required": ["inputs", "outputs"],
            "properties": {"inputs": TENSORS, "outputs": TENSORS},
        },
    },
}  # fmt: skip
"""What the bundle specification of MONAI asks of metadata.json, in this project's words."""


@pytest.fixture
def images(tmp_path):
    place = tmp_path / "images"
    place.mkdir()
    rng = np.random.default_rng(7)
    Image.fromarray(rng.integers(0, 256, (20, 28, 3)).astype(np.uint8)).save(place / "a.png")
    values = rng.integers(0, 256, (18, 22, 1)).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 3, 1, 1])), place / "b.nii.gz")
    return place


def run_in_monai(bundle, images, out, **more):
    config, meta = (str(bundle / "configs" / name) for name in ("inference.json", "metadata.json"))
    run(
        config_file=config, meta_file=meta, bundle_root=str(bundle), dataset_dir=str(images),
        output_dir=str(out), device="$torch.device('cpu')", **more,
    )  # fmt: skip


def maps_of(folder):
    return {path.name: path.read_bytes() for path in folder.glob("?_*")}


def test_a_run_of_monai_gives_the_masks_of_predict(bundle, images, tmp_path):
    run_in_monai(bundle, images, tmp_path / "theirs", draws=3)
    predict_files(load_model(bundle), images, tmp_path / "ours", draws=3)
    ours = maps_of(tmp_path / "ours")
    assert {"a_mask.png", "b_mask.nii.gz", "a_deviation.png"} <= ours.keys()
    assert maps_of(tmp_path / "theirs") == ours


def test_it_runs_the_weights_of_model_pt(bundle, images, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(bundle, other)
    weights = torch.load(other / "models/model.pt", weights_only=True)
    torch.save({key: value * 1.5 for key, value in weights.items()}, other / "models/model.pt")
    run_in_monai(other, images, tmp_path / "theirs")
    predict_files(load_model(bundle), images, tmp_path / "ours")
    name = "a_probability.png"
    assert maps_of(tmp_path / "theirs")[name] != maps_of(tmp_path / "ours")[name]


def test_the_command_line_of_monai_runs_it(bundle, images, tmp_path):
    pytest.importorskip("fire")
    command = [
        sys.executable, "-m", "monai.bundle", "run", "--config_file",
        f"{bundle}/configs/inference.json", "--bundle_root", str(bundle), "--dataset_dir",
        str(images), "--output_dir", str(tmp_path / "out"), "--device", "$torch.device('cpu')",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "out/a_mask.png").exists()


def test_it_has_what_monai_wants_of_an_inference(bundle, images):
    workflow = ConfigWorkflow(
        config_file=str(bundle / "configs/inference.json"),
        meta_file=str(bundle / "configs/metadata.json"),
        workflow_type="infer",
        bundle_root=str(bundle),
        dataset_dir=str(images),
    )
    workflow.initialize()
    assert workflow.check_properties() == []
    for name in ("docs/README.md", "docs/data_license.txt", "models/model.pt"):
        assert (bundle / name).is_file()


def test_its_metadata_is_as_specified(bundle):
    content = json.loads((bundle / "configs/metadata.json").read_text())
    jsonschema.validate(content, METADATA)
    formats = content["network_data_format"]
    assert formats["inputs"]["image"]["num_channels"] == 3
    assert formats["inputs"]["image"]["spatial_shape"] == [16, 16]
    assert formats["outputs"]["pred"]["num_channels"] == 1
    scores = json.loads((bundle / "bundle.json").read_text())["scores"]
    (dice,) = [row for row in scores if (row["sampler"], row["metric"]) == ("ddim2", "dice")]
    assert content["eval_metrics"]["ddim2"]["dice"]["mean"] == dice["mean"]
    assert content["data_licence"] == "CC0-1.0"


def test_its_inferer_takes_batches_of_prepared_images(bundle):
    levels = np.random.default_rng(2).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    model = load_model(bundle)
    given = torch.from_numpy(levels / 255.0).float().permute(0, 3, 1, 2)
    found = DrawnMasks(str(bundle))(given, model.trained.network)
    assert found.shape == (2, 1, 16, 16)
    for row, pixels in enumerate(levels):
        wanted = predict(model, pixels, name=f"image{row}").probability
        np.testing.assert_array_equal(found[row, 0].numpy(), wanted)
