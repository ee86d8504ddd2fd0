"""The README says what is true: its table, its code, its commands."""

import re
from itertools import chain

import pytest
from helpers.citations import faults_of
from helpers.project import ROOT

from noise2mask.report.build import update_readme
from noise2mask.report.claims_beside import update_claims

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_table_is_that_of_the_committed_report(tmp_path):
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    update_readme(ROOT / "reports/quick", tmp_path / "README.md")
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == README


def test_its_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict = {}
    exec(code, names)
    assert names["mask"].shape == (1, 1, 64, 64)
    assert names["mask"].abs().max() <= 1


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_its_links_lead_somewhere(target):
    assert (ROOT / target).exists()


DOCUMENTS = ["README.md", "CONTRIBUTING.md", "benchmarks/README.md", "data/README.md",
             *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]  # fmt: skip


@pytest.mark.parametrize("document", DOCUMENTS)
def test_sentences_say_what_the_tables_that_they_cite_say(document):
    assert faults_of((ROOT / document).read_text(encoding="utf-8"), ROOT) == []


def test_its_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"^make (\w+)", README, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_page_of_studies_has_those_of_the_project():
    page = (ROOT / "docs/studies.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert told == {path.stem for path in (ROOT / "config").glob("*.yaml")}


def test_the_lock_satisfies_the_project_and_names_no_address():
    """Every dependency is locked at a version that pyproject.toml allows; torch stands apart."""
    import tomllib

    from packaging.requirements import Requirement

    lines = (ROOT / "envs/core.txt").read_text().splitlines()
    torch_lines = (ROOT / "envs/torch.txt").read_text().splitlines()
    assert not [line for line in lines + torch_lines if "://" in line or line.startswith("-")]
    assert not [line for line in lines if re.match(r"(torch|triton|nvidia-|cuda-)", line)]
    locked: dict[str, list[str]] = {}
    for line in lines + torch_lines:
        name, version = re.match(r"([\w.-]+)==([^\s;]+)", line).groups()
        locked.setdefault(name.lower().replace("_", "-"), []).append(version)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(chain(project["dependencies"], *project["optional-dependencies"].values()))
    for requirement in map(Requirement, wanted):
        versions = locked[requirement.name.lower()]
        assert all(version in requirement.specifier for version in versions), requirement


@pytest.mark.parametrize("study", ["quick", "real"])
def test_a_report_is_read_in_five_minutes(study):
    """Words are what holds a letter or a digit, tables and what is folded among them."""
    text = (ROOT / f"reports/{study}/report.md").read_text(encoding="utf-8")
    assert len([word for word in text.split() if re.search(r"\w", word)]) <= 1500


def test_its_table_of_claims_is_that_of_the_committed_reports(tmp_path):
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    studies = ("quick", "controls", "real", "matched_loss")
    update_claims([ROOT / "reports" / name for name in studies], tmp_path / "README.md")
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == README
