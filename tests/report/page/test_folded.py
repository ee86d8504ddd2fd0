"""Claims and predictions in a line each, and the tables below the charts."""

from noise2mask.report.page.folded import datasets, findings, folded, pairs, rules, silent


def test_each_part_has_the_tables_that_have_rows(report):
    found = folded(report)
    assert set(found) == {"differences", "datasets"}
    ((caption, table),) = found["differences"]
    assert caption == "Diffusion against feed-forward"
    tested = report.tables["comparisons"].dropna(subset=["difference"])
    assert 0 < len(table.rows) <= len(tested)
    for row in table.rows:
        assert all(isinstance(column.text(row), str) for column in table.columns)


def test_datasets_stand_with_terms_and_hashes(report):
    table = datasets(report)
    first = [column.text(table.rows[0]) for column in table.columns]
    assert first == ["lesion phantom", "–", "CC0", "9 / 3 / 12", "data of lesion_phantom"]


def test_settings_are_names_and_values():
    table = pairs("Setting", [("seeds", "0, 1")])
    assert [column.title for column in table.columns] == ["Setting", "Value"]
    assert [column.text(table.rows[0]) for column in table.columns] == ["seeds", "0, 1"]


def test_a_line_says_verdict_number_and_what_it_hangs_on(report):
    first, second = findings(report, "claims")
    assert (first.name, first.verdict, first.statement) == (
        "C1", "refuted", "Diffusion < is & better.",
    )  # fmt: skip
    assert first.number.replace("−", "-") == "IoU -0.0090 [-0.0140, -0.0050], n = 12"
    assert first.limits == "phantoms, 32 px, 100000 steps; these networks"
    # Brackets are kept whole.
    assert second.number == "Idle 0.29 (all but t = 65 to 777; 0.3 of the axis)"


def test_those_without_a_verdict_take_one_line(report):
    assert silent(report) == "This study cannot speak to C2, P2."
    assert "C2" not in [one.name for one in findings(report, "claims")]


def test_behind_each_stands_its_rule(report):
    found = {one["name"]: dict(one["said"]) for one in rules(report)}
    assert set(found) == {"C1", "C2", "C6", "P1", "P2", "P3"}
    assert found["C1"]["Remark"] == "small"
    assert found["C1"]["All numbers"] == "in 0 of 9; and more"
    assert float(found["C1"]["p"]) == 0.01
    assert "Number" not in found["C2"]
    assert len(found["C6"]["Rule"].split()) > 10
