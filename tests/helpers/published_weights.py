"""Files of weights as published codes save them, tiny, with the weights of tests/golden."""

from pathlib import Path
from typing import Any

import torch
from helpers.golden_formula import weights

from noise2mask import plugins

SMALL = {"width": 32, "multipliers": [1, 2, 2], "blocks": 1, "attention_strides": [4]}
TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "ensemdiff": ("ensemdiff", SMALL),
    "segdiff": ("segdiff", {**SMALL, "rrdb_blocks": 2}),
    "medsegdiff_new": ("medsegdiff", {**SMALL, "highway_width": 8}),
    "medsegdiff_v1": (
        "medsegdiff",
        {
            **SMALL,
            "version": "v1",
            "multipliers": [1, 1, 1, 1, 2, 2],
            "blocks": 2,
            "highway_width": 8,
        },
    ),
}
"""Networks of tests/golden: their architecture, and the options that make them so small."""


def checkpoint(name: str, folder: Path, *, projection: bool = True) -> tuple[Path, str, dict]:
    """Write ``<name>.pt`` for 64 px and three channels.

    Args:
        name: of :data:`TINY`.
        folder: of the file.
        projection: keep the layer of version 1 that the public code does not.

    Returns:
        The file, its architecture, and the options that differ from the published ones.
    """
    architecture, options = TINY[name]
    outputs = 1 if architecture == "segdiff" else 2
    network = plugins.member("architecture", architecture)(
        3, outputs, 64, **plugins.keywords("architecture", architecture, options)
    )
    shapes = {
        ("aux/" if "emb_conv" in key else "") + key: tuple(value.shape)
        for key, value in network.to_published().items()
        if not key.endswith("tracked") and (projection or "emb_conv" not in key)
    }
    tensors = {
        key.removeprefix("aux/"): torch.from_numpy(array)
        for key, array in weights(name, shapes).items()
    }
    path = folder / f"{name}.pt"
    torch.save(tensors, path)
    given = {**options, "resolution": 64, "tile": None, "shrink": None}
    return path, architecture, given
