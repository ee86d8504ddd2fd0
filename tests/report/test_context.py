"""A report is read from its folder alone, and knows what its study asks."""

import json

import pytest
from helpers.made_up_report import STUDY, analysis, made_up, record, scores, without

from noise2mask.errors import UserError
from noise2mask.evaluation.tables import save_table
from noise2mask.report.context import PAPER, read_report, scope
from noise2mask.report.provenance import FILE


def folder_of(tmp_path, report):
    for name, table in report.tables.items():
        save_table(table, tmp_path / f"{name}.csv")
    (tmp_path / FILE).write_text(report.record.model_dump_json())
    return tmp_path


def test_what_is_written_is_what_is_read(tmp_path):
    report = made_up(**scores())
    again = read_report(folder_of(tmp_path, report))
    assert again.name == "made_up"
    assert again.study == STUDY
    assert again.cases is None
    assert again.labels == report.labels
    for name, table in report.tables.items():
        assert len(again.tables[name]) == len(table), name
    assert again.tables["summary"]["mean"].tolist() == pytest.approx(
        report.tables["summary"]["mean"].tolist(), rel=1e-8
    )


def test_a_folder_without_a_report_is_told(tmp_path):
    with pytest.raises(UserError, match=r"holds no report .*make reproduce"):
        read_report(tmp_path)
    (tmp_path / FILE).write_text(json.dumps({"format": 1}))
    with pytest.raises(UserError, match="another version"):
        read_report(tmp_path)
    content = record().model_dump(mode="json")
    content["settings"]["resolution"] = "none"
    (tmp_path / FILE).write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"cannot be read .*make it again"):
        read_report(tmp_path)


@pytest.mark.parametrize(
    ("tables", "topics"),
    [
        (scores(), ("paper",)),
        ({"fingerprints": analysis()["fingerprints"]}, ("masks",)),
        (analysis(), ("ablation", "contrasts", "information", "masks")),
        (
            {**scores(), "information": analysis()["information"]},
            ("paper", "information"),
        ),
    ],
)
def test_the_most_special_question_of_a_study_is_its_own(tables, topics):
    assert made_up(**tables).topics == topics


def test_the_question_is_that_of_the_study_or_of_the_paper():
    report = made_up()
    assert report.question.lower() == PAPER.lower()
    own = STUDY.model_copy(update={"question": "Is it\nso?"})
    assert made_up(own).question == "Is it so?"
    assert without(report, "comparisons").question == ""


def test_the_command_names_the_folder_where_data_are_to_be_given():
    assert made_up().command == "make reproduce STUDY=made_up"
    content = STUDY.model_dump(mode="json")
    first = next(iter(content["datasets"].values()))
    first |= {"kind": "folder", "options": {"root": "lesions"}}
    assert made_up(type(STUDY).model_validate(content)).command.endswith(" DATA=<folder>")


def test_what_intervals_are_over():
    assert "(1 seed)" in scope(made_up())
    several = scores()["metrics"].assign(seed=lambda table: table.groupby("case").ngroup() % 3)
    assert "(up to 3)" in scope(made_up(**{**scores(), "metrics": several}))
