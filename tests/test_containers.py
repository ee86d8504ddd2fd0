"""The definitions of images and of the conda environment install the lock as `make` does."""

import re

import pytest
import yaml
from helpers.project import ROOT

FILES = ("Containerfile", "apptainer.def")


def installs(name):
    """The options of every `pip install`, without where the program lies and what it keeps."""
    found = re.findall(r"pip install (.*)", (ROOT / name).read_text(encoding="utf-8"))
    return [" ".join(word for word in each.split() if word != "--no-cache-dir") for each in found]


@pytest.mark.parametrize("name", FILES)
def test_an_image_installs_what_make_does_in_its_order(name):
    made = [each.replace("-e .", ".") for each in installs("Makefile") if each != "uv"]
    assert made == [
        "-r envs/torch.txt", "-r envs/core.txt -c envs/torch.txt", "--no-deps .",
    ]  # fmt: skip
    assert installs(name) == made


@pytest.mark.parametrize("name", FILES)
def test_an_image_copies_what_is_there_and_all_that_the_package_is_built_from(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    if name == "Containerfile":
        lines = re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE)
        copied = {word for line in lines for word in line.split()}
    else:
        block = re.search(r"^%files\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)
        copied = {line.split()[0] for line in block[1].splitlines()}
    assert all((ROOT / path).exists() for path in copied)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = {re.search(rf'{key} = \[?"(.*?)"', project)[1] for key in ("readme", "license-files")}
    assert copied == {"envs/torch.txt", "envs/core.txt", "pyproject.toml", "src", *named}


@pytest.mark.parametrize("name", FILES)
def test_all_environments_have_the_same_python(name):
    conda = yaml.safe_load((ROOT / "envs/core.yaml").read_text(encoding="utf-8"))["dependencies"]
    (version,) = (each.partition("=")[2] for each in conda if str(each).startswith("python "))
    assert re.search(r"(?:FROM|From:) python:(\S+?)-", (ROOT / name).read_text())[1] == version
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"--python-version {version}" in makefile  # of the lock
    (pip,) = (each["pip"] for each in conda if isinstance(each, dict))
    assert pip[:2] == ["-r torch.txt", "-r core.txt"]
