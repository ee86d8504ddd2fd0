"""Tables below the charts."""

from noise2mask.report.page.folded import datasets, folded, pairs


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
