"""The claims of several studies side by side: every cell is what the study's own table says."""

from dataclasses import replace

import pandas as pd
import pytest
from helpers.project import ROOT

from noise2mask.errors import UserError
from noise2mask.report.claims_beside import claims_beside, text_of, untested, update_claims
from noise2mask.report.context import read_report

CONTROLS = read_report(ROOT / "reports/controls")


def said(**verdicts: str):
    """The report of `controls` with other verdicts, all others untested."""
    claims, hypotheses = (CONTROLS.tables[name].copy() for name in ("claims", "hypotheses"))
    for table in (claims, hypotheses):
        table["verdict"] = [verdicts.get(name, "not tested") for name in table["name"]]
    return replace(
        CONTROLS,
        name="other",
        tables={**CONTROLS.tables, "claims": claims, "hypotheses": hypotheses},
    )


def cells(table) -> pd.DataFrame:
    columns = [column.title for column in table.columns]
    return pd.DataFrame(table.cells(), columns=columns).set_index("")


def test_a_row_is_a_claim_that_one_of_them_speaks_to():
    table = cells(claims_beside([said(C1a="undecided"), said(P6="confirmed", C6="refuted")]))
    assert list(table.index) == ["C1a", "C6", "P6"]
    first, second = (table.iloc[:, place] for place in (2, 3))
    assert first["C1a"].startswith("undecided, ")
    assert (first["C6"], first["P6"], second["C1a"]) == ("not tested",) * 3
    assert second["P6"].startswith("confirmed, ")


def test_a_cell_has_the_number_and_the_interval_of_the_table():
    row = CONTROLS.findings.set_index("name").loc["C1a"]
    cell = cells(claims_beside([CONTROLS])).iloc[:, 2]["C1a"]
    assert cell == f"{row.verdict}, {row.value:.3f} [{row.low:.3f}, {row.high:.3f}]"


def test_the_head_of_a_column_says_on_what_and_how_often_the_study_ran():
    (_, _, _, head) = [column.title for column in claims_beside([CONTROLS]).columns]
    assert head == "`controls`: phantoms, 32 px, 300 steps, 3 seeds"


def test_what_none_of_them_speaks_to_is_named():
    reports = [said(C1a="undecided"), said(C1b="refuted")]
    names = set(CONTROLS.findings["name"])
    assert set(untested(reports)) == names - {"C1a", "C1b"}


def test_bad_input_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no study is named"):
        text_of([])
    with pytest.raises(UserError, match="holds no report"):
        text_of([tmp_path])
    tables = {
        name: table.iloc[:0] if name in ("claims", "hypotheses") else table
        for name, table in CONTROLS.tables.items()
    }
    with pytest.raises(UserError, match="holds no claims"):
        claims_beside([replace(CONTROLS, tables=tables)])
    with pytest.raises(UserError, match="cannot be read"):
        update_claims([ROOT / "reports/controls"], tmp_path / "none.md")


def test_only_what_is_between_the_markers_changes(tmp_path):
    document = tmp_path / "page.md"
    document.write_text("before\n<!-- claims:begin -->\nold\n<!-- claims:end -->\nafter\n")
    update_claims([ROOT / "reports/controls"], document)
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert text_of([ROOT / "reports/controls"]) in text
