"""A report is written from the files of its folder, the same bytes every time."""

import re

from helpers.made_up_report import STUDY, made_up, record, scores
from helpers.made_up_tables import QUICK, example_cases

from noise2mask.evaluation.tables import save_table
from noise2mask.report.build import update_readme, write_report
from noise2mask.report.cases import save_cases
from noise2mask.report.context import read_report
from noise2mask.report.provenance import FILE
from noise2mask.report.text import readme_block


def small():
    """Tables of one dataset and network, one metric and region."""
    tables = {
        name: table[(table.dataset == QUICK[0]) & (table.network == "ensemdiff")]
        for name, table in scores().items()
    }
    tables["summary"] = tables["summary"][tables["summary"].metric == "iou"]
    tables["reliability"] = tables["reliability"][tables["reliability"].region == "all"]
    tables["comparisons"] = tables["comparisons"][tables["comparisons"].metric == "iou"]
    return made_up(**tables, cases=example_cases(QUICK[:1], each=1))


def test_equal_input_gives_equal_bytes_and_every_linked_figure(tmp_path):
    for name in ("a", "b"):
        write_report(small(), tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert [str(file) for file in files] == [
        "figures/comparison.png", "figures/examples.png", "figures/reliability_all.png",
        "figures/results_iou.png", "figures/training.png", "report.md",
    ]  # fmt: skip
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    text = (tmp_path / "a" / "report.md").read_text()
    linked = set(re.findall(r"\((figures/[^)]+)\)", text))
    assert linked <= {str(file) for file in files}
    assert len(linked) == 4


def test_pictures_of_cases_go_when_they_are_switched_off(tmp_path):
    report = small()
    write_report(report, tmp_path)
    assert "examples.png" in (tmp_path / "report.md").read_text()
    write_report(made_up(**dict(report.tables), cases=()), tmp_path)
    assert "examples" not in (tmp_path / "report.md").read_text()
    assert not (tmp_path / "figures" / "examples.png").exists()


def test_the_readme_gets_the_main_table_of_the_folder(tmp_path):
    report = small()
    for name, table in report.tables.items():
        save_table(table, tmp_path / f"{name}.csv")
    (tmp_path / FILE).write_text(record(STUDY).model_dump_json())
    save_cases(report.cases, tmp_path)
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- results:begin -->\nold\n<!-- results:end -->\nafter\n")
    update_readme(tmp_path, readme)
    block = readme_block(read_report(tmp_path)).strip()
    assert readme.read_text() == (
        f"before\n<!-- results:begin -->\n{block}\n<!-- results:end -->\nafter\n"
    )
    assert "**IoU** (higher is better)" in block
