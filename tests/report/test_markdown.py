import pytest

from noise2mask.errors import UserError
from noise2mask.report.markdown import Column, Table, as_markdown, escaped, update_between_markers

NAMES = Column("Name", lambda row: row["name"], left=True)
COUNTS = Column("n | all", lambda row: str(row["n"]))


def test_a_table_is_its_columns_over_its_rows():
    table = Table([NAMES, COUNTS], [{"name": "a", "n": 1}, {"name": "b | c", "n": 20}])
    assert as_markdown(table) == (
        "| Name   | n \\| all |\n"
        "| ------ | -------: |\n"
        "| a      |        1 |\n"
        "| b \\| c |       20 |\n"
    )
    assert table.cells() == [["a", "1"], ["b | c", "20"]]


def test_a_table_without_a_row_is_nothing():
    assert as_markdown(Table([NAMES], [])) == ""
    assert not Table([NAMES], [])


def test_text_stays_in_its_cell():
    assert escaped("a | b\n<c>") == "a \\| b &lt;c>"


def test_a_block_is_replaced_between_its_markers():
    text = "before\n<!-- results:begin -->\nold\n<!-- results:end -->\nafter\n"
    once = update_between_markers(text, "results", "new\n")
    assert once == "before\n<!-- results:begin -->\nnew\n<!-- results:end -->\nafter\n"
    assert update_between_markers(once, "results", "new\n") == once


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "<!-- results:begin -->",
        "<!-- results:end --><!-- results:begin -->",
        "<!-- results:begin --><!-- results:begin --><!-- results:end -->",
    ],
)
def test_markers_that_do_not_fit_are_refused(text):
    with pytest.raises(UserError, match="once each"):
        update_between_markers(text, "results", "new")
