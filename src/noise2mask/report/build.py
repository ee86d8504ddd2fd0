"""The stage `report`: gather the tables of a study, then write what is made of them."""

from pathlib import Path

from noise2mask.analysis.analyse import analyse
from noise2mask.evaluation.labels import HEADLINE
from noise2mask.evaluation.tables import gather, groups_of, headline, save_table
from noise2mask.files import write_json, write_text
from noise2mask.report.cases import cases_of, save_cases, walks_of
from noise2mask.report.context import Report, read_report
from noise2mask.report.figures.index import figures, save_figures
from noise2mask.report.markdown import update_document
from noise2mask.report.provenance import FILE, dataset_table, record_of
from noise2mask.report.text import readme_block, report_text
from noise2mask.study.paths import REPORT_TABLES, Paths
from noise2mask.study.plan import analysis_tables
from noise2mask.study.schema import Study


def report(study: Study, paths: Paths, folder: Path) -> list[str]:
    """Write the tables, figures and text of a study to `folder`, and what made them.

    Returns:
        One line for each result that is missing; the report lists them too.
    """
    missing = gather_report(study, paths, folder)
    write_report(read_report(folder), folder)
    return missing


def gather_report(study: Study, paths: Paths, folder: Path) -> list[str]:
    """Write everything that text, figures and page are made of; see :func:`report`."""
    tables, missing = gather(study, paths.study, paths.root)
    analysis, others = analyse(study, paths, tables)
    missing += others
    tables.save(folder)
    wanted = analysis_tables(study)
    for table in wanted:
        save_table(getattr(analysis, table), folder / f"{table}.csv")
    groups = groups_of(study, paths.study, paths.root)
    record = record_of(study, paths, groups, missing)
    save_table(dataset_table(record), folder / "datasets.csv")
    # `dvc exp show` gives each number a column: two modes with three of them fit a screen.
    write_json(folder / "metrics.json", headline(study, tables.summary, HEADLINE[:3]))
    write_json(folder / FILE, record.model_dump(mode="json"))
    save_cases(cases_of(study, paths), folder, walks_of(study, paths))
    for path in folder.glob("*.csv"):
        if path.stem not in {*REPORT_TABLES, *wanted}:  # of an earlier version of the study
            path.unlink()
    return missing


def write_report(made_of: Report, folder: Path) -> None:
    """Write ``report.md`` and ``figures/*.png`` below `folder`; equal input gives equal bytes.

    Raises:
        UserError: the folder cannot be written.
    """
    shown = list(figures(made_of))
    save_figures(shown, folder / "figures")
    write_text(folder / "report.md", report_text(made_of, shown))


def update_readme(folder: Path, readme: Path) -> None:
    """Put the main table of the report in `folder` between the markers ``results`` of a file.

    Raises:
        UserError: the file cannot be read, or has no such markers.
    """
    update_document(readme, "results", readme_block(read_report(folder)))
