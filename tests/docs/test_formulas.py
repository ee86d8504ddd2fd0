"""Formulas of the pages become pictures on the site, and code stays as it is."""

import base64
import importlib.util
import re

import pytest
from helpers.project import ROOT

_SPEC = importlib.util.spec_from_file_location("formulas", ROOT / "docs" / "formulas.py")
formulas = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(formulas)

PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_formula_of_a_page_is_drawn(page):
    text = page.read_text(encoding="utf-8")
    found = formulas.on_page_markdown(text)
    plain = re.sub(r"```.*?```|`[^`\n]*`", "", found, flags=re.DOTALL)
    assert "$" not in plain
    assert ("<img alt=" in found) == ("$" in re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S))


def test_a_picture_holds_the_formula_and_its_source():
    element = formulas.picture(r"\sqrt A + \frac12 < \lVert x\rVert", False)
    assert r'alt="\sqrt A + \frac12 &lt; \lVert x\rVert"' in element
    code = re.search(r"base64,([^\"]+)", element)[1]
    assert base64.b64decode(code).lstrip().startswith(b"<?xml")


def test_code_is_left_alone():
    text = "`cost $x$ here`\n\n```\na = $b$\n```\n"
    assert formulas.on_page_markdown(text) == text
    assert formulas.on_page_markdown("from $5 to $10") == "from $5 to $10"


def test_a_formula_that_cannot_be_read_stops_the_site():
    with pytest.raises(ValueError, match="Unknown symbol"):
        formulas.on_page_markdown(r"$\nosuchcommand x$")
