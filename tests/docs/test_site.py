"""The documentation site builds without a warning, and its commands are ones that there are."""

import re
import shlex
import subprocess
import sys

import pytest
import yaml
from helpers.project import ROOT

from noise2mask.cli import COMMANDS
from noise2mask.cli.parser import parser_of

PAGES = sorted((ROOT / "docs").glob("*.md"))


def commands(text: str) -> list[str]:
    """Lines of blocks of a shell that call noise2mask, without their comments."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", "", block).splitlines()]
    return [line for line in lines if line.startswith("noise2mask ")]


def test_it_builds_strictly_and_shows_the_python_interface(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    api = (tmp_path / "api.html").read_text(encoding="utf-8")
    for name in ("load_model", "predict", "Prediction", "fingerprint"):
        assert re.search(rf'id="noise2mask\.[\w.]+\.{name}"', api), name
    assert (tmp_path / "own_images.html").exists()


def test_every_page_is_in_its_navigation():
    entries = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert {page for entry in entries for page in entry.values()} == {path.name for path in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_the_commands_of_a_page_are_understood(page):
    for line in commands(page.read_text(encoding="utf-8")):
        parser_of(COMMANDS).parse_args(shlex.split(line, comments=True)[1:])


def test_the_pages_have_commands():
    assert sum(len(commands(page.read_text(encoding="utf-8"))) for page in PAGES) >= 4
