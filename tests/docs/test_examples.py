"""Commands and code of README and the pages run as they stand, or the page says why not.

A page runs in a folder of its own, which holds a finished study of one training under the names
that pages use, images, masks and a dataset. Before a block a page may say
``<!-- not run: why -->``; what stands in ``<...>`` is filled in from `FILLED`.
"""

import os
import re
import shlex
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import yaml
from helpers.project import ROOT
from PIL import Image

from noise2mask.cli import main
from noise2mask.study.schema import Study
from noise2mask.study.validate import in_settings

BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<why>[^>]+) -->\n)?^```(?P<kind>[^\n]*)\n(?P<text>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
PLACE = "lesion_phantom/segdiff/diffusion/seed0"
FILLED = {"<dataset>": "lesion_phantom", "<folder of masks>": "masks"}


class Example(NamedTuple):
    """A block of a page."""

    kind: str
    text: str
    why: str | None


def examples(page: Path) -> list[Example]:
    text = page.read_text(encoding="utf-8")
    return [Example(each["kind"], each["text"], each["why"]) for each in BLOCK.finditer(text)]


PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
         if examples(page)]  # fmt: skip


@pytest.fixture
def folder(finished_study, tmp_path, monkeypatch) -> Path:
    """Where a page runs: the training of the tests as that of `quick`, and files of a user's."""
    source = "results/test/lesion_phantom/ensemdiff/diffusion/seed0"
    prepared = "data/prepared/{}/lesion_phantom"
    document = yaml.safe_load((finished_study / "config/test.yaml").read_text())
    document["networks"]["segdiff"] = document["networks"]["ensemdiff"]
    (tmp_path / "config").mkdir()
    for name in ("quick", "mine"):
        shutil.copytree(finished_study / source, tmp_path / "results" / name / PLACE)
        shutil.copytree(finished_study / prepared.format("test"), tmp_path / prepared.format(name))
        text = yaml.safe_dump(document, sort_keys=False)
        (tmp_path / f"config/{name}.yaml").write_text(text)
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :40]
    for name in ("images", "masks", "mine/images", "mine/masks"):
        (tmp_path / name).mkdir(parents=True)
        for number in range(6):
            spot = (rows - 14 - number) ** 2 + (columns - 20) ** 2 < (6 + number) ** 2
            levels = (
                spot * 255 if "masks" in name else 90 + 80 * spot + rng.normal(0, 9, spot.shape)
            )
            pixels = np.clip(levels, 0, 255).astype(np.uint8)
            if "images" in name:
                pixels = np.repeat(pixels[..., None], 3, axis=2)
            if name != "images" or number < 2:
                Image.fromarray(pixels).save(tmp_path / name / f"case{number}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names() -> dict:
    """What a page's Python may use without saying so."""
    image = np.asarray(Image.open("images/case0.png"))
    masks = [np.asarray(Image.open(path)) for path in sorted(Path("masks").glob("case?.png"))]
    return {
        "np": np, "torch": torch, "root": ROOT, "image": image, "reference": masks[0],
        "masks": masks,
    }  # fmt: skip


def run_commands(text: str) -> int:
    """Run the lines of a shell's block; every one has to be a command of this package."""
    for placeholder, filling in FILLED.items():
        text = text.replace(placeholder, filling)
    lines = [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]
    for line in lines:
        words = shlex.split(line, comments=True)
        assert words[0] == "noise2mask", f"`{line}` is not run; say why before its block"
        assert main(words[1:]) == 0, line
    return len(lines)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_page_runs_or_says_why_not(page, folder, capsys):
    known = names()
    for kind, text, why in examples(page):
        if why is not None:
            continue
        if kind in {"", "bash"}:
            run_commands(text)
        elif kind.startswith("python"):
            _, _, name = kind.partition("file=")
            if name:
                Path(name).write_text(text, encoding="utf-8")
            exec(compile(text, f"{page.name}", "exec"), known)
        else:
            assert kind == "yaml", f"{kind} is not known"
            check_study(text)


def check_study(text: str) -> None:
    """A fragment of a study fits into one."""
    document = yaml.safe_load((ROOT / "config/test.yaml").read_text())
    whole = {**document, **yaml.safe_load(text)}
    # Names that the rest of the study says of what the fragment replaces are not the page's.
    wrong = {
        place: sentence
        for place, sentence in in_settings(Study, whole, "", whole).items()
        if place.split(".")[0] in yaml.safe_load(text)
    }
    assert not wrong, wrong


def test_most_blocks_of_the_pages_run():
    """And a page that has none is not forgotten by mistake."""
    blocks = [each for page in PAGES for each in examples(page)]
    run = [each for each in blocks if each.why is None]
    assert len(run) >= 22
    assert all(each.why.strip() for each in blocks if each.why is not None)
    assert len(PAGES) >= 11


def test_a_command_that_fails_is_found(folder):
    with pytest.raises(AssertionError, match="predict nothing"):
        run_commands("noise2mask predict nothing images --output masks\n")
    with pytest.raises(AssertionError, match="say why"):
        run_commands("make reproduce\n")
    assert os.getcwd() == str(folder)  # noqa: PTH109
