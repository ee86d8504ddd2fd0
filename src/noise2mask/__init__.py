"""A reproducible laboratory for diffusion segmentation of medical images.

What a notebook starts with can be imported from here; it is loaded when it is first asked for, so
that ``import noise2mask`` itself waits for nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noise2mask.analysis.fingerprints.mask_set import fingerprint_masks as fingerprint_masks
    from noise2mask.inference.arrays import draw_masks as draw_masks
    from noise2mask.inference.arrays import plot_prediction as plot_prediction
    from noise2mask.inference.arrays import score_prediction as score_prediction
    from noise2mask.inference.bundle import load_model as load_model
    from noise2mask.inference.model import Model as Model
    from noise2mask.inference.predict import Prediction as Prediction
    from noise2mask.inference.predict import predict as predict
    from noise2mask.study.load import load_study as load_study
    from noise2mask.study.schema import Study as Study

__version__ = "0.1.0"

_HOMES = {
    "Model": "noise2mask.inference.model",
    "Prediction": "noise2mask.inference.predict",
    "Study": "noise2mask.study.schema",
    "draw_masks": "noise2mask.inference.arrays",
    "fingerprint_masks": "noise2mask.analysis.fingerprints.mask_set",
    "load_model": "noise2mask.inference.bundle",
    "load_study": "noise2mask.study.load",
    "plot_prediction": "noise2mask.inference.arrays",
    "predict": "noise2mask.inference.predict",
    "score_prediction": "noise2mask.inference.arrays",
}
"""Where each name lives that this package offers."""

__all__ = [
    "Model",
    "Prediction",
    "Study",
    "__version__",
    "draw_masks",
    "fingerprint_masks",
    "load_model",
    "load_study",
    "plot_prediction",
    "predict",
    "score_prediction",
]


def __getattr__(name: str) -> Any:
    """Load one of the names that the package offers (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'noise2mask' has no attribute '{name}'")
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
