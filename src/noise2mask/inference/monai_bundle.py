"""What makes a bundle one of MONAI's: metadata, inference config, and the parts that it names.

``python -m monai.bundle run --config_file configs/inference.json --bundle_root <bundle>
--dataset_dir <images>`` builds the network by its ``_target_``, loads ``models/model.pt`` into it
and lets :class:`Segmenter` segment a folder as `noise2mask predict` does, with the same masks.
The layout is that of MONAI's bundle specification; what a user overrides on the command line are
the keys of the config.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers.inferer import Inferer
from torch import Tensor
from torch.utils.data import Dataset

from noise2mask import plugins
from noise2mask.data.tiles import Place
from noise2mask.inference import inputs
from noise2mask.inference.bundle import contents_of
from noise2mask.inference.model import Model
from noise2mask.inference.predict import Square, drawn, fused, predict_files
from noise2mask.networks.base import Network

SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20220324.json"
)
"""Of MONAI's metadata; `python -m monai.bundle verify_metadata` fetches it from there."""
HERE = __name__


def metadata(
    model: Model,
    run: Mapping[str, Any],
    scores: Sequence[Mapping[str, Any]],
    warnings: Sequence[str],
) -> dict[str, Any]:
    """The content of ``configs/metadata.json``.

    Args:
        model: the network.
        run: content of its ``run.json``.
        scores: rows of sampler, metric, mean, low, high, n.
        warnings: sentences.
    """
    settings, data, prepared = model.trained.run.settings, run["data"], model.preparation
    outputs = 2 if model.trained.process.learned_variance else 1
    shape = [prepared.resolution, prepared.resolution]
    channels = {
        str(number): f"channel {number}, standardised by the mean and deviation in bundle.json"
        for number in range(prepared.channels)
    }
    names = {"0": f"estimate of {model.trained.process.target}", "1": "variance of a step"}
    metrics: dict[str, dict[str, Any]] = {}
    for row in scores:
        own = {key: row[key] for key in ("mean", "low", "high", "n")}
        metrics.setdefault(str(row["sampler"]), {})[str(row["metric"])] = own
    title = f"{settings.network.title}, {settings.mode}, trained on {data['name']}"
    return {
        "schema": SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": "exported by noise2mask"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch"),
        "numpy_version": version("numpy"),
        "optional_packages_version": {"noise2mask": version("noise2mask")},
        "name": title,
        "task": "Binary segmentation of 2-D images and of slices of volumes by diffusion of masks",
        "description": f"{title}. Masks, probabilities and their spread over draws. "
        + " ".join(warnings),
        "authors": "whoever trained it; exported by noise2mask",
        "copyright": "of whoever trained it",
        "data_source": f"{data['name']} (kind {data['kind']})",
        "data_type": "image",
        "data_licence": data["licence"] or "not stated",
        "image_classes": f"{prepared.channels} channel(s), uint8",
        "label_classes": "0 is background, 1 is foreground",
        "pred_classes": "P(foreground); the mask is where it is above the threshold",
        "eval_metrics": metrics,
        "intended_use": "Research; no medical device.",
        "references": [],
        "network_data_format": {
            "inputs": {
                "x_t": _tensor("raw", 1, shape, {"0": "noisy mask"}),
                "image": _tensor("magnitude", prepared.channels, shape, channels),
                "t": {**_tensor("raw", 1, [], {"0": "timestep"}, "int64"), "type": "series"},
            },
            "outputs": {
                "pred": _tensor(
                    "raw", outputs, shape, {str(n): names[str(n)] for n in range(outputs)}
                )
            },
        },
    }


def _tensor(
    format: str, channels: int, shape: list[int], meaning: dict[str, str], dtype: str = "float32"
) -> dict[str, Any]:
    return {
        "type": "image",
        "format": format,
        "modality": "n/a",
        "num_channels": channels,
        "spatial_shape": shape,
        "dtype": dtype,
        "value_range": [],
        "is_patch_data": False,
        "channel_def": meaning,
    }


def inference(model: Model) -> dict[str, Any]:
    """The content of ``configs/inference.json``: paths relative to the bundle, keys of MONAI's."""
    settings = model.trained.run.settings
    entry = settings.network
    build = plugins.member("architecture", entry.architecture)
    options = plugins.options("architecture", entry.architecture).model_validate(entry.options)
    network = {
        "_target_": f"{build.__module__}.{build.__qualname__}",
        "image_channels": model.preparation.channels,
        "output_channels": 2 if settings.diffusion.variance == "learned" else 1,
        "image_size": settings.resolution,
        **options.model_dump(mode="json"),
    }
    return {
        "imports": ["$import torch"],
        "bundle_root": ".",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "ckpt_path": "$@bundle_root + '/models/model.pt'",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/eval'",
        "sampler": next(iter(model.ways)),
        "draws": None,
        "overlap": 0.0,
        "axis": None,
        "any_size": False,
        "network_def": network,
        "network": "$@network_def.to(@device)",
        "dataset": {"_target_": f"{HERE}.ImageFiles", "data": "@dataset_dir"},
        "inferer": {
            "_target_": f"{HERE}.DrawnMasks",
            "bundle_root": "@bundle_root",
            "sampler": "@sampler",
            "draws": "@draws",
        },
        "evaluator": {
            "_target_": f"{HERE}.Segmenter",
            "network": "@network",
            "dataset": "@dataset",
            "inferer": "@inferer",
            "output_dir": "@output_dir",
            "overlap": "@overlap",
            "axis": "@axis",
            "any_size": "@any_size",
        },
        "initialize": [
            "$@network.load_state_dict("
            "torch.load(@ckpt_path, map_location=@device, weights_only=True))",
            "$@network.eval()",
        ],
        "run": ["$@evaluator.run()"],
    }


class ImageFiles(Dataset[dict[str, str]]):
    """The files of a folder that can be segmented, ``{"image": path}`` each.

    Args:
        data: the folder, or one file.

    Raises:
        UserError: it holds none.
    """

    def __init__(self, data: str):
        self.data = Path(data)
        self.files = [str(path) for path in inputs.found(self.data).values()]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, str]:
        return {"image": self.files[index]}


class DrawnMasks(Inferer):
    """P(foreground) of prepared images: draws of a sampler of the bundle, fused as its study did.

    Args:
        bundle_root: the bundle.
        sampler: one of its ways to draw; None: the first.
        draws: another number of them.
    """

    def __init__(self, bundle_root: str, sampler: str | None = None, draws: int | None = None):
        super().__init__()
        self.contents = contents_of(Path(bundle_root))
        self.sampler, self.draws = sampler, draws

    def __call__(
        self,
        inputs: Tensor,
        network: Callable[..., Any],
        *args: Any,  # noqa: ARG002 - what every inferer of MONAI takes
        **kwargs: Any,  # noqa: ARG002
    ) -> Tensor:
        """(B, C, R, R) in [0, 1], rounded to 8 bits -> (B, 1, R, R).

        The noise of row i is that of an image called ``image<i>``.

        Raises:
            TypeError: `network` is none of this package's.
        """
        if not isinstance(network, Network):
            raise TypeError(f"a network of noise2mask is needed, not {type(network).__name__}")
        model = self.contents.model(network, inputs.device)
        way = model.way(self.sampler, self.draws)
        levels = torch.round(inputs.clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1)
        side = self.contents.preparation.resolution
        squares = [
            Square(f"image{row}", pixels, Place(0, 0, side, side))
            for row, pixels in enumerate(levels.cpu().numpy())
        ]
        maps = [fused(draws, way)[0] for draws in drawn(model, squares, way)]
        return torch.from_numpy(np.stack(maps))[:, None].to(inputs.device)


class Segmenter:
    """Segments the files of a dataset, as `noise2mask predict` does.

    Args:
        network: with the weights of the bundle.
        dataset: the files.
        inferer: says how to draw.
        output_dir: folder for the maps.
        overlap: share of a tile that the next one covers again, where images are cut.
        axis: plane of a volume's slices, for networks trained on single images.
        any_size: take images of another scale than the training's too.
    """

    def __init__(
        self,
        network: Network,
        dataset: ImageFiles,
        inferer: DrawnMasks,
        output_dir: str,
        overlap: float = 0.0,
        axis: str | None = None,
        *,
        any_size: bool = False,
    ):
        self.network, self.dataset, self.inferer = network, dataset, inferer
        self.output_dir = Path(output_dir)
        self.overlap, self.axis, self.any_size = overlap, axis, any_size

    def run(self) -> None:
        """Segment them all.

        Raises:
            UserError: some cannot be segmented; the others are.
        """
        device = next(self.network.parameters()).device
        predict_files(
            self.inferer.contents.model(self.network, device),
            self.dataset.data,
            self.output_dir,
            sampler=self.inferer.sampler,
            draws=self.inferer.draws,
            overlap=self.overlap,
            axis=self.axis,
            any_size=self.any_size,
        )
