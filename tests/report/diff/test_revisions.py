"""What a user may call a report: read from real git repositories, told in one sentence."""

import gzip
import os
import subprocess

import pytest
from helpers.made_up_reports import made_up_record, save, scores

from noise2mask.errors import UserError
from noise2mask.report.diff import revisions
from noise2mask.report.diff.revisions import Place, open_reports

SCORES = scores(4)


def git(folder, *arguments):
    environment = {
        **os.environ, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b", "GIT_CONFIG_GLOBAL": os.devnull,
    }  # fmt: skip
    done = subprocess.run(
        ["git", "-C", folder, *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(folder, text):
    git(folder, "add", "--all")
    git(folder, "commit", "--allow-empty", "-m", text)
    return git(folder, "rev-parse", "HEAD")


def table(value, study="one"):
    return SCORES.assign(value=value, study=study)


def value(report):
    return report.metrics.value.iloc[0]


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Two commits, a tag, a branch, an experiment, and work that is not committed."""
    root = tmp_path_factory.mktemp("project")
    git(root, "init", "-b", "main")
    (root / "config").mkdir()
    (root / "config/later.yaml").touch()
    commit(root, "empty")
    save(table(1), root / "reports/one", made_up_record(tmp_path_factory.mktemp("study")))
    first = commit(root, "first")
    git(root, "tag", "-a", "v1", "-m", "tagged")
    save(table(2), root / "reports/one")
    save(table(20, "two"), root / "reports/two")
    (root / "reports/one/provenance.json").unlink()
    commit(root, "second")
    git(root, "checkout", "-b", "trial/wide")
    save(table(3), root / "reports/one")
    tip = commit(root, "experiment")
    git(root, "update-ref", f"refs/exps/{first[:2]}/{first[2:]}/lunar-mule", tip)
    git(root, "update-ref", "refs/exps/exec/EXEC_HEAD", tip)
    git(root, "update-ref", "refs/exps/stash", tip)
    git(root, "checkout", "main")
    git(root, "branch", "-D", "trial/wide")
    git(root, "branch", "trial/wide", tip)
    save(table(4), root / "reports/one")
    save(table(5, "two"), root / "elsewhere/out")
    return root


@pytest.fixture
def root(history, monkeypatch):
    monkeypatch.chdir(history)
    return history


@pytest.mark.parametrize(
    ("name", "expected", "title"),
    [
        (".", 4, "one in the working folder"),
        ("workspace", 4, "one in the working folder"),
        ("one", 4, "one in the working folder"),
        ("two", 20, "two in the working folder"),
        (".:two", 20, "two in the working folder"),
        ("reports/one", 4, "reports/one"),
        ("reports/one/", 4, "reports/one"),
        ("elsewhere/out", 5, "elsewhere/out"),
        ("HEAD", 2, "one at HEAD"),
        ("main", 2, "one at main"),
        ("HEAD~1", 1, "one at HEAD~1"),
        ("v1", 1, "one at v1"),
        ("trial/wide", 3, "one at trial/wide"),
        ("lunar-mule", 3, "one at experiment lunar-mule"),
        ("HEAD:two", 20, "two at HEAD"),
        ("HEAD~1:one", 1, "one at HEAD~1"),
        ("lunar-mule:two", 20, "two at experiment lunar-mule"),
    ],
)
def test_every_way_to_name_a_report(root, name, expected, title):
    own = ":" in name or name in ("one", "two") or "/o" in name
    first, second = open_reports(name, name, None if own else "one")
    assert value(first) == value(second) == expected
    assert first.title.startswith(title)
    assert git(root, "status", "--porcelain").splitlines() == [
        "M reports/one/metrics.csv", "?? elsewhere/",
    ]  # fmt: skip


def test_hashes_long_and_short(root):
    full = git(root, "rev-parse", "HEAD~1")
    for name in (full, full[:8]):
        report, _ = open_reports(name, ".", "one")
        assert value(report) == 1
        assert full[:7] in report.title


def test_the_record_comes_with_the_revision(root):
    old, new = open_reports("HEAD~1", "HEAD", "one")
    assert old.record is not None
    assert old.record.study == "test"
    assert new.record is None


def test_the_study_follows_from_the_other_name(root, monkeypatch, tmp_path):
    first, second = open_reports("HEAD", "two")
    assert (first.study, second.study) == ("two", "two")
    first, second = open_reports("elsewhere/out", "HEAD")
    assert (value(first), value(second)) == (5, 20)
    first, second = open_reports("HEAD~1", ".")  # only one is in both
    assert (value(first), value(second)) == (1, 4)
    with pytest.raises(UserError, match=r"both have reports of one, two; say which with --study"):
        open_reports("HEAD", ".")
    (root / "params.yaml").write_text("study: two\n")
    try:
        first, second = open_reports("HEAD", ".")
    finally:
        (root / "params.yaml").unlink()
    assert first.study == "two"


@pytest.mark.parametrize(
    ("a", "b", "study", "sentence"),
    [
        ("on", ".", None, r"'on' is no study with a report \(one, two\).*did you mean 'one'\?$"),
        ("mian", ".", None, r"did you mean 'main'\?$"),
        ("lunar-mole", ".", None, r"did you mean 'lunar-mule'\?$"),
        ("HEAD~9", ".", None, r"no git revision and no DVC experiment\.$"),
        ("", ".", None, "'' is no study"),
        ("--help", ".", None, "'--help' is no study"),
        ("nope:one", ".", None, "'nope' is no study"),
        ("HEAD:", ".", None, "'HEAD:' is no study"),
        ("one:two", ".", None, "only a revision or . can stand before the colon"),
        ("later", ".", None, "study 'later' has no report yet; run `make reproduce STUDY=later`"),
        ("HEAD~2", ".", None, r"HEAD~2 \(.*\) has none, the working folder has one, two"),
        ("HEAD~2", "one", None, r"HEAD~2 \(.*\) holds no report of the study 'one'; it has none"),
        ("HEAD~1", "HEAD", "two", "holds no report of the study 'two'; it has one"),
        (".", "HEAD", "ones", "make reproduce STUDY=ones"),
        ("one", "two", "one", r"--study one says nothing here.*\(one and two\); leave it out"),
    ],
)
def test_what_is_not_there_is_one_sentence(root, a, b, study, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        open_reports(a, b, study)
    assert "\n" not in str(error.value)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A repository with one report that a test may spoil."""
    git(tmp_path, "init", "-b", "main")
    save(table(1), tmp_path / "reports/one")
    commit(tmp_path, "first")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_study_and_a_branch_of_one_name_are_told(small):
    git(small, "branch", "one")
    sentence = r"'one' may mean several things: the study in reports/one \(write .:one\); "
    with pytest.raises(UserError, match=sentence + r"the revision .* \(write refs/heads/one\)"):
        open_reports("one", ".")
    first, second = open_reports(".:one", "refs/heads/one")
    assert (value(first), value(second)) == (1, 1)


def test_other_double_meanings_are_told(small):
    save(table(9), small / "one")
    with pytest.raises(UserError, match=r"the folder \(write ./one\)"):
        open_reports("one", ".")
    assert value(open_reports("./one", ".")[0]) == 9
    tip = commit(small, "second")
    for start in (tip, git(small, "rev-parse", "HEAD~1")):
        git(small, "update-ref", f"refs/exps/{start[:2]}/{start[2:]}/calm-fox", start)
    with pytest.raises(UserError, match=rf"DVC experiment {tip[:7]} \(write {tip}\)"):
        open_reports("calm-fox", ".")
    git(small, "update-ref", f"refs/exps/{tip[:2]}/{tip[2:]}/old-owl", tip)
    git(small, "branch", "old-owl")
    assert open_reports("old-owl", ".", "one")[0].title == f"one at old-owl ({tip[:7]})"
    git(small, "branch", "calm-fox")
    with pytest.raises(UserError, match=r"the revision .* DVC experiment"):
        open_reports("calm-fox", ".")


def test_a_project_below_the_top_of_its_repository(tmp_path):
    git(tmp_path, "init", "-b", "main")
    save(table(1), tmp_path / "deep/project/reports/one")
    save(table(2, "other"), tmp_path / "reports/other")
    commit(tmp_path, "first")
    root = tmp_path / "deep/project"
    head, here = open_reports("HEAD", ".", root=root)
    assert (head.study, value(head), value(here)) == ("one", 1, 1)
    assert Place(root, "", "HEAD").studies() == ["one"]


def test_a_shallow_clone_says_so(small, tmp_path_factory):
    commit(small, "second")
    clone = tmp_path_factory.mktemp("clone")
    git(clone, "clone", "--depth", "1", f"file://{small}", ".")
    with pytest.raises(UserError, match="This clone is shallow: `git fetch --unshallow`"):
        open_reports("HEAD~1", ".", root=clone)


def test_the_last_run_is_compared_with_what_is_published(small):
    """Without names, or with that of a study; a run's report lies where git ignores it."""
    save(table(9), small / "build/reports/one")
    for names in ((None, None), ("one", None), ("published", "."), ("published:one", ".:one")):
        first, second = open_reports(*names, "one" if names[0] in (None, "published") else None)
        assert (value(first), value(second)) == (1, 9)
        assert first.title == "one in the published reports"
    first, second = open_reports("HEAD", None, "one")
    assert (value(first), value(second)) == (1, 9)
    first, second = open_reports("reports/one")
    assert (value(first), value(second)) == (1, 9)


def test_a_packed_table_is_read_as_it_was(small):
    path = small / "reports/one/metrics.csv"
    (small / "reports/one/metrics.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    commit(small, "packed")
    for name in ("one", "published", "HEAD", "reports/one"):
        first, _ = open_reports(name, "HEAD~1", None if name in ("one", "reports/one") else "one")
        assert value(first) == 1
    (small / "reports/one/metrics.csv.gz").write_bytes(b"\x1f\x8b\x08 cut")
    with pytest.raises(UserError, match=r"^metrics.csv.gz of one in .* is damaged \("):
        open_reports("one", "HEAD~1")


def test_without_git(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    save(table(1), tmp_path / "reports/one")
    first, second = open_reports("one", ".", root=tmp_path)
    assert value(first) == value(second) == 1
    with pytest.raises(UserError, match="is in no git repository, so no revision can be read"):
        open_reports("HEAD", ".", root=tmp_path)
    monkeypatch.setenv("PATH", "")
    assert value(open_reports("one", ".", root=tmp_path)[0]) == 1
    with pytest.raises(UserError, match="git is not installed"):
        open_reports("HEAD", ".", root=tmp_path)


GOOD = SCORES.to_csv(index=False).encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "No columns"),
        (b"\x00\xff\xfe\n", "utf-8|column"),
        (b"dataset,case\n", "it has no column study, network"),
        (GOOD[:-40], "a line is cut off"),
        (GOOD[:-3], "a line is cut off"),
        (GOOD[:-40] + b"\n", "a line is cut off"),
        (GOOD + b"test,lesion_phantom,x,y\n", "a line is cut off"),
        (GOOD + b"a,b,c,d,e,f,g,h,i,j,k,l,m,n\n", "Error tokenizing"),
        (GOOD.replace(b",0.33\n", b",much\n", 1), "a value is no number"),
        (GOOD + GOOD.splitlines(keepends=True)[-1], "a score is there twice"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it has no column"),
    ],
)
def test_a_damaged_table_is_one_sentence(small, content, reason):
    (small / "reports/one/metrics.csv").write_bytes(content)
    commit(small, "damaged")
    for name in ("one", "HEAD"):
        sentence = rf"^metrics.csv of one (in|at) .* is damaged \(.*({reason}).*\); make the report"
        with pytest.raises(UserError, match=sentence) as error:
            open_reports(name, name, None if name == "one" else "one")
        assert "\n" not in str(error.value)


def test_a_damaged_record_is_one_sentence(small):
    (small / "reports/one/provenance.json").write_text("{")
    with pytest.raises(UserError, match=r"provenance.json of one in the working folder is damaged"):
        open_reports("one", ".")


def test_a_report_without_results_is_read(small):
    save(table(1)[:0], small / "reports/one")
    assert open_reports("one", ".")[0].metrics.empty


@pytest.mark.parametrize("content", ["", "study:", "[", "x: 1", "- 1"])
def test_params_that_name_no_study_are_passed_over(small, content):
    (small / "params.yaml").write_text(content)
    assert revisions._chosen_by_params(small) is None
    assert open_reports("HEAD", ".")[0].study == "one"
