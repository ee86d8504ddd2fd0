"""The definitions of images and of the conda environment install the lock as `make` does."""

import re

import pytest
import yaml
from helpers.project import ROOT

FILES = ("Containerfile", "apptainer.def")


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def installs(text):
    """The options of every `pip install`, without where the program lies and what it keeps."""
    found = re.findall(r"pip install (.*)", text)
    return [" ".join(word for word in each.split() if word != "--no-cache-dir") for each in found]


@pytest.mark.parametrize("name", FILES)
def test_an_image_installs_what_make_does_in_its_order(name):
    setup = re.search(r"^\.venv/installed:.*?\n\n", text_of("Makefile"), re.MULTILINE | re.DOTALL)
    made = [each.replace("-e .", ".") for each in installs(setup[0])]
    assert made == [
        "-r envs/torch.txt", "-r envs/core.txt -c envs/torch.txt", "--no-deps .",
    ]  # fmt: skip
    assert installs(text_of(name)) == made


@pytest.mark.parametrize("name", FILES)
def test_an_image_copies_what_is_there_and_all_that_the_package_is_built_from(name):
    text = text_of(name)
    if name == "Containerfile":
        lines = re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE)
        copied = {word for line in lines for word in line.split()}
    else:
        block = re.search(r"^%files\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)
        copied = {line.split()[0] for line in block[1].splitlines()}
    assert all((ROOT / path).exists() for path in copied)
    project = text_of("pyproject.toml")
    named = {re.search(rf'{key} = \[?"(.*?)"', project)[1] for key in ("readme", "license-files")}
    assert copied == {"envs/torch.txt", "envs/core.txt", "pyproject.toml", "src", *named}


@pytest.mark.parametrize("name", FILES)
def test_all_environments_have_the_same_python(name):
    conda = yaml.safe_load(text_of("envs/core.yaml"))["dependencies"]
    (version,) = (each.partition("=")[2] for each in conda if str(each).startswith("python "))
    assert re.search(r"(?:FROM|From:) python:(\S+?)-", text_of(name))[1] == version
    assert f"--python-version {version}" in text_of("Makefile")  # of the lock
    (pip,) = (each["pip"] for each in conda if isinstance(each, dict))
    assert pip[:2] == ["-r torch.txt", "-r core.txt"]
