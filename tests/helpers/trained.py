"""What the files of a trained network hold, to compare two of them bit for bit."""

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open

from noise2mask.files import checked, record_of


def contents(folder: Path) -> dict[str, Any]:
    """The bytes of every file by its name; of a model all it holds, as its header has no order.

    The checksum in a model's record hangs on that order, so it is compared with its file here.
    """
    found: dict[str, Any] = {path.name: path.read_bytes() for path in folder.iterdir()}
    model = checked(folder / "model.safetensors")
    with safe_open(model, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        found[model.name] = (
            file.metadata(),
            {name: (each.dtype, each.shape, each.tobytes()) for name, each in tensors.items()},
        )
    record = record_of(model).name
    found[record] = {**json.loads(found[record]), "sha256": "of its file"}
    return found
