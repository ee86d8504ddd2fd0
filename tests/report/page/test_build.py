"""The page as a file: whole, safe, and the same each time."""

import importlib
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from noise2mask.errors import UserError
from noise2mask.report.page.build import page, write_page


class Document(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))


def test_it_needs_no_other_file(page_file):
    for tag, attributes in Document(page_file.read_text(encoding="utf-8")).elements:
        for name in ("src", "href", "data", "action"):
            target = attributes.get(name)
            assert not target or target.startswith(("data:", "#")), (tag, target)


def test_it_has_one_title_landmarks_and_an_end_for_every_anchor(page_file):
    elements = Document(page_file.read_text(encoding="utf-8")).elements
    tags = [tag for tag, _ in elements]
    for tag in ("h1", "main", "nav", "header", "footer"):
        assert tags.count(tag) == 1, tag
    known = [attributes["id"] for _, attributes in elements if attributes.get("id")]
    assert len(known) == len(set(known))
    targets = {attributes["href"] for tag, attributes in elements if tag == "a"}
    assert targets <= {f"#{name}" for name in known}


def test_equal_reports_give_equal_pages(report, page_file):
    assert page(report, page_file.parent / "figures") == page_file.read_text(encoding="utf-8")


def test_no_name_of_a_study_becomes_code(report, tmp_path):
    """Titles of datasets and statements of claims are text, in the page and in its document."""
    evil = "</script><script>alert(1)</script><!--"
    datasets = {
        name: entry.model_copy(update={"title": evil})
        for name, entry in report.study.datasets.items()
    }
    study = report.study.model_copy(update={"datasets": datasets, "question": f"Is {evil} so?"})
    text = page(replace(report, study=study), tmp_path)
    assert "<script>alert" not in text
    assert Document(text).elements.count(("script", {})) == 2  # library and ours
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert json.loads(found[1])["results"]["datasets"][0][1] == evil


def test_a_figure_lies_inside_and_the_first_decides(report, tmp_path):
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "comparison.png")
    elements = Document(page(report, tmp_path)).elements
    pictures = [attributes for tag, attributes in elements if tag == "img"]
    assert len(pictures) == 2  # above and in the list of all
    assert pictures[0]["width"] == "30"
    for attributes in pictures:
        assert attributes["src"].startswith("data:image/png;base64,")
        assert attributes["alt"].startswith("Diffusion minus feed-forward")


def test_a_study_that_may_not_show_its_data_says_so(report, tmp_path):
    pictures = report.study.pictures.model_copy(update={"examples": 0})
    study = report.study.model_copy(update={"pictures": pictures})
    text = page(replace(report, study=study, cases=None, walks=()), tmp_path)
    assert "No image is shown: the study does not show its data (pictures.examples: 0" in text
    assert 'id="explorer"' not in text


def test_what_changed_since_is_shown_as_text(report, tmp_path):
    text = page(report, tmp_path, {"since": "HEAD~1", "text": "dice <up> by 0.01"})
    assert "What changed since HEAD~1" in text
    assert "dice &lt;up&gt; by 0.01" in text


def test_a_folder_without_a_report_is_told(tmp_path):
    with pytest.raises(UserError, match=r"holds no report.*make reproduce"):
        write_page(tmp_path)


def test_a_library_that_is_missing_is_told(report, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(UserError, match=r"needs the package vl_convert.*noise2mask\[report\]"):
        page(report, tmp_path)
    monkeypatch.undo()
    assert importlib.import_module("vl_convert")
