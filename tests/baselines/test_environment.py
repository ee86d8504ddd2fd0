"""Environments over the core's, with a wheel made here in place of a package index."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from noise2mask.baselines.environment import INSTALLED, create
from noise2mask.errors import UserError

CORE = Path(sys.prefix)


@pytest.fixture
def lock(tmp_path, monkeypatch) -> Path:
    """A lock of one small package, which pip finds in a folder and nowhere else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PYTHONPATH", "")
    (tmp_path / "wheels").mkdir()
    for version in ("1.0", "2.0"):
        about = f"layered-{version}.dist-info"
        with zipfile.ZipFile(f"wheels/layered-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr("layered.py", f"version = '{version}'\n")
            wheel.writestr(f"{about}/METADATA", f"Name: layered\nVersion: {version}\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")
    Path("lock.txt").write_text("layered==1.0\n")
    return Path("lock.txt")


def said_in(target: Path, code: str) -> str:
    python = target / "bin" / "python"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_layer_sees_its_own_packages_and_then_those_of_the_core(lock):
    target = Path("a folder/layer")
    create("reference", CORE, target, lock)
    assert said_in(target, "import layered; print(layered.version)") == "1.0"
    found = said_in(target, "import torch; print(torch.__file__)")
    assert Path(found).is_relative_to(CORE)
    # The core's own .pth files count: this package is installed by one.
    assert said_in(target, "import noise2mask; print(noise2mask.__name__)") == "noise2mask"
    core = subprocess.run([CORE / "bin/python", "-c", "import layered"], capture_output=True)
    assert core.returncode == 1


def test_a_whole_layer_is_left_and_any_other_is_made_again(lock):
    target = Path("layer")
    create("reference", CORE, target, lock)
    mark = target / "left"
    mark.touch()
    create("reference", CORE, target, lock)
    assert mark.exists()

    (target / INSTALLED).unlink()  # as after an interruption
    create("reference", CORE, target, lock)
    assert not mark.exists()

    lock.write_text("layered==2.0\n")
    create("reference", CORE, target, lock)
    assert said_in(target, "import layered; print(layered.version)") == "2.0"


def test_a_package_that_cannot_be_had_is_one_sentence_and_leaves_no_whole_layer(lock):
    lock.write_text("layered==3.0\n")
    with pytest.raises(UserError, match=r"reference .*No matching distribution.*again\.$"):
        create("reference", CORE, Path("layer"), lock)
    assert not Path("layer", INSTALLED).exists()


def test_a_folder_of_something_else_is_not_replaced(lock):
    Path("mine").mkdir()
    Path("mine/thesis.tex").touch()
    with pytest.raises(UserError, match="mine is no environment made for reference"):
        create("reference", CORE, Path("mine"), lock)
    assert Path("mine/thesis.tex").exists()
    # A core that may be lost, unlike that of these tests.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "core"], check=True)
    with pytest.raises(UserError, match="core is no environment made for reference"):
        create("reference", Path("core"), Path("core"), lock)
    assert Path("core/pyvenv.cfg").exists()


@pytest.mark.parametrize("missing", ["core", "lock"])
def test_what_a_layer_is_made_from_must_be_there(lock, missing):
    core, lock = (Path("none"), lock) if missing == "core" else (CORE, Path("none.txt"))
    with pytest.raises(UserError, match=r"none.* does not exist, .*make setup"):
        create("reference", core, Path("layer"), lock)
