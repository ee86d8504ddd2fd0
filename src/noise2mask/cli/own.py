"""Commands about one's own images, with a network that is trained."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal


def predict(
    model: Path,
    images: Path,
    *,
    output: Path,
    sampler: str | None = None,
    draws: int | None = None,
    overlap: float = 0.0,
    axis: Literal["sagittal", "coronal", "axial"] | None = None,
    any_size: bool = False,
    architecture: Literal["ensemdiff", "segdiff", "medsegdiff"] | None = None,
    set: tuple[str, ...] = (),
    study: str | None = None,
    prepared: Path | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    threads: int = os.cpu_count() or 1,
) -> None:
    """Segment images of your own: masks, probabilities and how sure they are.

    Each map has the format and the grid of its image; NIfTI keeps its affine. Large images are cut
    as those of the training were. The same command goes on where an interrupted one left off.

    Args:
        model: folder of a finished training, a bundle made by `noise2mask export`, or with
            --architecture a file with the weights of a published code.
        images: an image, a volume, or a folder of them.
        output: folder for the maps.
        sampler: of the training's study; default: the first of its mode.
        draws: masks drawn of each image; default: those of the sampler.
        overlap: share of a tile that the next one covers again, where images are cut.
        axis: plane of a volume's slices, for networks trained on single images.
        any_size: take images of another scale than the training's too.
        architecture: of a published checkpoint.
        set: KEY=VALUE in which a published checkpoint differs from the published defaults, e.g.
            resolution=256, width=128, coding=signed; may be repeated.
        study: of a training, where its folder does not tell.
        prepared: folder of its prepared data, where they do not lie at their place.
        device: where to compute.
        threads: of torch; default: as many as cores.

    Example:
        noise2mask predict results/quick/lesion_phantom/segdiff/diffusion/seed0 ~/images \
            --output ~/masks
        noise2mask predict emasavedmodel.pt ~/images --architecture medsegdiff --output ~/masks
    """
    import torch

    from noise2mask.inference.bundle import load_model
    from noise2mask.inference.predict import predict_files
    from noise2mask.progress import LOG
    from noise2mask.workflow.data_commands import setting

    torch.set_num_threads(threads)
    found = load_model(
        model,
        device=device,
        study=study,
        prepared=prepared,
        architecture=architecture,
        options=dict(setting(text) for text in set),
    )
    for warning in found.warnings:
        LOG.warning("%s: %s", model, warning)
    predict_files(
        found,
        images.expanduser(),
        output.expanduser(),
        sampler=sampler,
        draws=draws,
        overlap=overlap,
        axis=axis,
        any_size=any_size,
    )


def export(
    training: Path,
    *,
    output: Path,
    study: str | None = None,
    prepared: Path | None = None,
    onnx: bool = False,
    pt2: bool = False,
) -> None:
    """Pack a finished training into a folder that `noise2mask predict` needs nothing beside.

    A bundle of MONAI, which `python -m monai.bundle run` runs too: weights, settings, how images
    are prepared, samplers and temperature, a model card with scores, limits and warnings, and the
    checksums of all.

    Args:
        training: folder of a finished training.
        output: folder of the bundle; must be new or empty.
        study: of the training, where its folder does not tell.
        prepared: folder of its prepared data, where they do not lie at their place.
        onnx: add one step of the network as ONNX, compared with torch.
        pt2: add it as a program of torch.export, compared with torch.

    Example:
        noise2mask export results/quick/lesion_phantom/segdiff/diffusion/seed0 --output ~/lesions
    """
    from noise2mask.inference.export import export as write_bundle

    write_bundle(training, output.expanduser(), study=study, prepared=prepared, onnx=onnx, pt2=pt2)
