"""A bundle of the trained network of the tests."""

from pathlib import Path

import pytest

from noise2mask.inference.export import export


@pytest.fixture(scope="session")
def bundle(finished_study, tmp_path_factory) -> Path:
    """With one step as a program of torch.export."""
    folder = finished_study / "results/test/lesion_phantom/ensemdiff/diffusion/seed0"
    out = tmp_path_factory.mktemp("bundles") / "lesions"
    export(folder, out, pt2=True)
    return out
