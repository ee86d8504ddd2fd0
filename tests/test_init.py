"""What the package offers at its top, and that importing it waits for nothing."""

import ast
import subprocess
import sys

import pytest
from helpers.project import ROOT

import noise2mask


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys\nbefore = set(sys.modules)\nimport noise2mask\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert loaded - sys.stdlib_module_names == {"noise2mask"}


def test_what_is_offered_is_there_and_said_to_type_checkers():
    tree = ast.parse((ROOT / "src/noise2mask/__init__.py").read_text())
    typed = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("noise2mask")
        for alias in node.names
    }
    assert typed == set(noise2mask._HOMES) == set(noise2mask.__all__) - {"__version__"}
    for name in noise2mask.__all__:
        assert getattr(noise2mask, name) is not None
        assert name in dir(noise2mask)
    from noise2mask import Study, load_study

    assert isinstance(load_study(ROOT / "config" / "test.yaml"), Study)


def test_a_name_that_is_not_offered():
    with pytest.raises(AttributeError, match="module 'noise2mask' has no attribute 'nothing'"):
        noise2mask.nothing  # noqa: B018
