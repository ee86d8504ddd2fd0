"""The tables of docs/paper_small.md are those of the pilot's numbers."""

import importlib.util

from helpers.project import ROOT


def test_the_tables_are_made_of_the_pilots_numbers() -> None:
    spec = importlib.util.spec_from_file_location("pilot", ROOT / "benchmarks/pilot.py")
    pilot = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pilot)
    page = pilot.PAGE.read_text(encoding="utf-8")
    assert pilot.filled(page) == page
    changed = page.replace("| DDIM | 10 | 0.", "| DDIM | 10 | 1.")
    assert changed != page
    assert pilot.filled(changed) == page
