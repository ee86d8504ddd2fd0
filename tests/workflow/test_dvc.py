"""Versions with DVC around the real workflow: a tiny study, a local remote, an S3 server here."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from helpers.project import ROOT, Project, edit, jobs_in
from moto.server import ThreadedMotoServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
CELL = "lesion_phantom/ensemdiff"
RATE = "config/mini.yaml:overrides.0.training.learning_rate"
FILES = ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore", "Makefile")


class Versioned(Project):
    """A project in git and DVC: one dataset, one network, two modes."""

    def __init__(self, folder: Path, store: Path):
        self.folder, self.store = folder, store

    @classmethod
    def made(cls, folder: Path) -> "Versioned":
        folder.mkdir()
        Project(folder)
        for name in FILES:
            shutil.copy(ROOT / name, folder / name)
        for name in (".dvc/config", ".dvc/.gitignore", "data/raw/.gitkeep"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        shutil.copytree(ROOT / ".dvc/plots", folder / ".dvc/plots")
        (folder / "params.yaml").write_text('study: mini\ndata: ""\n')
        project = cls(folder, folder.parent / "store")
        study = project.read("mini")
        study["networks"] = {"ensemdiff": study["networks"]["ensemdiff"]}
        study["samplers"].pop("calibration")
        study["modes"]["feed_forward"]["samplers"] = ["one_pass"]
        study["pictures"] = {"examples": 0}
        study["overrides"] = [{"modes": ["diffusion"], "training": {"learning_rate": 0.001}}]
        project.write("mini", study)
        project.git("init", "-q", "-b", "main")
        project.git("add", "-A")
        project.git("commit", "-qm", "start")
        project.use_remote()
        return project

    def clone(self, folder: Path) -> "Versioned":
        """A clone with everything pulled."""
        self.git("clone", "-q", ".", str(folder))
        clone = Versioned(folder, self.store)
        clone.use_remote()
        clone.dvc("pull", "-q")
        return clone

    def copy(self, folder: Path) -> "Versioned":
        """The same folder at another place, times and DVC's cache included."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Versioned(folder, self.store)

    def use_remote(self) -> None:
        """As `dvc remote add --local -d store <folder>` does."""
        self.write_local("core", remote="store")
        self.write_local("'remote \"store\"'", url=str(self.store))

    def write_local(self, section: str, **values: str) -> None:
        """Into the configuration that git ignores."""
        lines = [f"[{section}]", *(f"    {key} = {value}" for key, value in values.items())]
        with (self.folder / ".dvc/config.local").open("a") as file:
            file.write("\n".join(lines) + "\n")

    def environment(self) -> dict[str, str]:
        """Without this project's sources: what a DVC stage runs it must find by itself."""
        environment = super().environment()
        del environment["PYTHONPATH"]
        for key in ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR"):
            environment[key] = str(self.store.parent / "dvc" / key)
        git = {f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in
               ("NAME", "EMAIL")}  # fmt: skip
        return environment | git | {"GIT_CONFIG_GLOBAL": "/dev/null", "CORES": "2"}

    def run(self, *command: str, fails: bool = False, **environment: str) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment() | environment,
            capture_output=True, text=True,
        )  # fmt: skip
        text = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, text
        return text

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments)

    def dvc(self, *arguments: str, **given) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments, **given)

    def noise2mask(self, command: str, *options: str, **given) -> str:
        sources = {"PYTHONPATH": "src"}
        return self.run(
            sys.executable, "-m", "noise2mask", command, "--study", "mini", *options,
            **sources, **given,
        )  # fmt: skip

    def would_run(self) -> dict[str, int]:
        return jobs_in(self.noise2mask("reproduce", "--", "-n"))

    def commit(self, name: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", name)
        self.git("tag", name)
        self.dvc("push", "-q")

    def changes(self) -> dict:
        """What DVC has not recorded."""
        return json.loads(self.dvc("status", "--json"))

    def run_of(self, mode: str) -> dict:
        return json.loads((self.folder / f"results/mini/{CELL}/{mode}/seed0/run.json").read_text())


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Versioned:
    """The study after `dvc repro`, pushed; the tag `one`."""
    project = Versioned.made(tmp_path_factory.mktemp("dvc") / "first")
    text = project.dvc("repro")
    assert jobs_in(text) == {
        "prepare": 1, "ready": 1, "blind": 1, "train": 2, "sample": 2, "evaluate": 2,
        "report": 1, "page": 1,
    }  # fmt: skip
    project.commit("one")
    return project


@pytest.fixture(scope="module")
def second(first) -> Versioned:
    """The same folder with a learning rate changed by an experiment; the tag `two`."""
    before = {mode: first.run_of(mode) for mode in ("feed_forward", "diffusion")}
    profile = first.folder / "cluster"
    profile.mkdir()
    (profile / "profile.yaml").write_text("resources: [gpu=3]\n")
    text = first.dvc(
        "exp", "run", "-n", "faster", "-S", f"{RATE}=0.002",
        CORES="", SNAKEMAKE_PROFILE="cluster",
    )  # fmt: skip
    shutil.rmtree(profile)
    assert "Using profiles cluster and" in text
    # One field retrains exactly the cells that it touches.
    assert jobs_in(text) == {"train": 1, "sample": 1, "evaluate": 1, "report": 1, "page": 1}
    assert first.run_of("feed_forward") == before["feed_forward"]
    assert first.run_of("diffusion")["settings"]["training"]["learning_rate"] == 0.002
    first.commit("two")
    return first


def test_repro_leaves_everything_recorded(first):
    assert first.git("status", "--porcelain") == ""
    assert first.changes() == {}
    metrics = json.loads((first.folder / "build/reports/mini/metrics.json").read_text())
    shown = {"brier", "ece_pooled", "iou"}
    assert metrics["diffusion"].keys() == metrics["feed_forward"].keys() == shown
    locked = yaml.safe_load((first.folder / "dvc.lock").read_text())["stages"]["workflow"]
    assert [out["path"] for out in locked["outs"]] == [
        ".snakemake/metadata", "build/reports/mini", "data/prepared/mini", "results/mini",
    ]  # fmt: skip
    kept = {path.name for path in (first.folder / ".dvc/cache").rglob("*")}
    assert kept
    assert not any("work/" in out["path"] or "logs" in out["path"] for out in locked["outs"])


def test_a_clone_has_nothing_to_do(second, tmp_path):
    clone = second.clone(tmp_path / "clone")
    text = clone.noise2mask("reproduce")
    assert "Nothing to be done" in text
    assert "Migrating" not in text
    assert clone.changes() == {}
    # Newest first: whatever comes from something else is older than it.
    for path in sorted(clone.folder.glob("*/**/*"), reverse=True):
        if path.is_file() and ".git" not in path.parts:
            os.utime(path)
    assert "Nothing to be done" in clone.noise2mask("reproduce")
    assert "up to date" in clone.dvc("repro")
    assert clone.git("status", "--porcelain") == ""


def test_revisions_can_be_compared(second):
    found = second.dvc("metrics", "diff", "one", "two", "--md")
    assert re.search(r"metrics.json +\| diffusion\.\w+", found)
    assert "feed_forward" not in found
    # A screen holds what `dvc exp show` and `dvc metrics show` say.
    shown = json.loads(second.dvc("metrics", "show", "--json"))
    (numbers,) = shown[""]["data"]["build/reports/mini/metrics.json"].values()
    assert sum(map(len, numbers.values())) <= 6
    found = second.dvc("params", "diff", "one", "two")
    assert re.search(r"config/mini\.yaml +overrides", found)
    assert "resolution" not in found
    vega = json.loads(second.dvc("plots", "diff", "one", "two", "--json"))
    assert set(vega["data"]) == {
        "build/reports/mini/history.csv",
        "build/reports/mini/reliability.csv",
    }
    for name, fields in (
        ("history.csv", {"dataset", "network", "mode", "step", "name", "value", "rev"}),
        ("reliability.csv", {"dataset", "network", "region", "confidence", "frequency", "rev"}),
    ):
        (drawn,) = vega["data"][f"build/reports/mini/{name}"]
        points = drawn["content"]["data"]["values"]
        assert fields <= points[0].keys()
        assert "<DVC_METRIC" not in json.dumps(drawn["content"])
        assert {point["rev"] for point in points} == {"one", "two"}
        assert drawn["content"]["facet"]["column"]["field"] == "network"


def test_an_experiment_beside_runs_the_code_of_its_copy(second):
    """In the queue's copy of the folder; the code installed here is another."""
    edit(second, "report/text.py", "'lower'} is better", "'lower'} is good")
    try:
        text = second.dvc("exp", "run", "--temp", "-n", "told")
    finally:
        second.git("checkout", "-q", "src")
    assert jobs_in(text) == {"report": 1, "page": 1}
    told = second.git("for-each-ref", "--format=%(objectname)", "refs/exps/*/*/told").strip()
    assert told
    code = "import dvc.api, sys; print(dvc.api.read(sys.argv[1], rev=sys.argv[2]))"
    report = "build/reports/mini/report.md"
    assert "is good)" in second.run(sys.executable, "-c", code, report, told)
    shown = second.dvc("metrics", "diff", "faster", "told", "--all")
    assert "diffusion.iou" in shown
    # The run's own report is what an experiment is compared by.
    found = second.noise2mask("diff", "one", "faster")
    assert "mini at experiment faster" in found
    assert "config/mini.yaml" in second.dvc("params", "diff", "one", "told")
    assert second.changes() == {}


def test_a_partial_checkout_is_noticed(second, tmp_path):
    """Results of one revision under the records of another: Snakemake takes them for current."""
    copy = second.copy(tmp_path / "copy")
    copy.git("checkout", "-q", "one", "--", "dvc.lock")
    copy.dvc("checkout", "-q", "results/mini")
    copy.git("checkout", "-q", "two", "--", "dvc.lock")
    for path in (copy.folder / "results/mini").rglob("*"):
        os.utime(path, (0, 0))
    assert copy.run_of("diffusion")["settings"]["training"]["learning_rate"] == 0.001
    assert copy.planned() == {}
    assert copy.would_run() == {"train": 1, "sample": 1, "evaluate": 1, "report": 1, "page": 1}
    assert not (copy.folder / ".snakemake/set_aside").exists()


def test_results_without_records_are_made_again_and_kept_until_then(second, tmp_path):
    """Killed while that goes on, `dvc repro` brings it to the end."""
    copy = second.copy(tmp_path / "copy")
    study = copy.read("mini")
    study["overrides"][0]["training"] = {
        "learning_rate": 0.003, "steps": 60, "checkpoint_every": 5, "validate_every": 30,
    }  # fmt: skip
    copy.write("mini", study)
    for file in _records_of(copy, f"results/mini/{CELL}/diffusion"):
        file.unlink()
    # Snakemake alone would report the old checkpoint under the new settings.
    assert copy.planned() == {"report": 1, "page": 1}

    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"], cwd=copy.folder, env=copy.environment(),
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not list(copy.folder.glob("work/**/state.safetensors")) and process.poll() is None:
        time.sleep(0.02)
    assert process.poll() is None, "it ended before it was killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    model = f"results/mini/{CELL}/diffusion/seed0/model.safetensors"
    assert not (copy.folder / model).exists()
    kept = copy.folder / ".snakemake/set_aside" / model
    assert kept.read_bytes() == (second.folder / model).read_bytes()

    text = copy.dvc("repro")
    assert "goes on at" in text
    assert copy.run_of("diffusion")["settings"]["training"]["learning_rate"] == 0.003
    assert copy.run_of("feed_forward") == second.run_of("feed_forward")
    assert not kept.exists()
    assert copy.changes() == {}


def test_what_a_study_drops_is_pruned_and_a_plain_run_can_be_recorded(second, tmp_path):
    copy = second.copy(tmp_path / "copy")
    other = copy.folder / "results/other/kept.txt"
    other.parent.mkdir()
    other.write_text("of another study")
    study = copy.read("mini")
    study["modes"].pop("feed_forward")
    study["samplers"].pop("one_pass")
    copy.write("mini", study)
    (copy.folder / "params.yaml").write_text("# of somebody else\nstudy: quick\ndata: ''\n")
    dropped = copy.folder / f"results/mini/{CELL}/feed_forward"
    count = sum(path.is_file() for path in dropped.rglob("*"))
    text = copy.noise2mask("reproduce", "--commit")
    assert (copy.folder / "params.yaml").read_text().startswith("# of somebody else\nstudy: mini")
    assert jobs_in(text) == {"report": 1, "page": 1}
    assert f"removed results/mini/{CELL}/feed_forward ({count} files)" in text
    assert not dropped.exists()
    assert not list(_records_of(copy, f"results/mini/{CELL}/feed_forward"))
    assert other.exists()
    assert copy.changes() == {}
    assert "feed_forward" in copy.dvc("metrics", "diff")
    # DVC records by itself what it runs.
    text = copy.noise2mask("reproduce", "--commit", DVC_STAGE="workflow")
    assert "Nothing to be done" in text
    assert "Recorded" not in text


@pytest.fixture
def s3(monkeypatch) -> str:
    """Address of an S3 server on this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_an_s3_remote_needs_no_secret_in_the_repository(second, tmp_path, s3):
    import boto3

    secret = "not-to-be-in-git"
    keys = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": secret}
    boto3.client(
        "s3", endpoint_url=s3, region_name="us-east-1",
        aws_access_key_id="somebody", aws_secret_access_key=secret,
    ).create_bucket(Bucket="studies")  # fmt: skip
    copy = second.copy(tmp_path / "copy")
    copy.dvc("remote", "add", "-q", "cloud", "s3://studies/noise2mask")
    copy.write_local("'remote \"cloud\"'", endpointurl=s3)
    assert "pushed" in copy.dvc("push", "-r", "cloud", **keys)
    copy.git("commit", "-qam", "a remote")
    # Another machine: keys in a file that git ignores.
    copy.git("clone", "-q", ".", str(tmp_path / "other"))
    other = Versioned(tmp_path / "other", second.store)
    other.write_local(
        "'remote \"cloud\"'", endpointurl=s3, access_key_id="somebody", secret_access_key=secret
    )
    other.dvc("pull", "-q", "-r", "cloud")
    assert other.run_of("diffusion") == second.run_of("diffusion")
    for project in (copy, other):
        tracked = project.git("ls-files").splitlines()
        assert ".dvc/config" in tracked
        assert ".dvc/config.local" not in tracked
        assert project.run("git", "grep", "-e", secret, "HEAD", "--", ".", fails=True) == ""
        assert project.git("status", "--porcelain") == ""


def test_raw_data_are_added_by_their_name(second, tmp_path):
    copy = second.copy(tmp_path / "copy")
    folder = copy.folder / "data/raw/scans"
    for name in ("archives/a.zip", "files/a/1.png", "archives/b.zip.part"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    copy.dvc("add", "-q", "data/raw/scans")
    assert "data/raw/scans.dvc" in copy.git("status", "--porcelain", "-uall")
    assert copy.dvc("list", "-R", ".", "data/raw").split() == [
        ".gitkeep", "scans.dvc", "scans/archives/a.zip",
    ]  # fmt: skip
    assert "data/raw" in copy.dvc("status", "workflow")
    (folder / "archives/a.zip").unlink()
    copy.dvc("checkout", "-q")
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == [
        "1.png", "a.zip", "b.zip.part",
    ]  # fmt: skip


def test_guards():
    """What keeps a clone from recomputing, and secrets out of the repository."""
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["workflow"]
    outs = {name: options for out in stage["outs"] for name, options in out.items()}
    assert ".snakemake/metadata" in outs
    assert all(options == {"persist": True} for options in outs.values())
    assert not any(name.startswith(("work", "logs")) for name in outs)
    assert all("PYTHONPATH=src " in command for command in stage["cmd"])
    assert not any("$" in command for command in stage["cmd"])  # nothing that a shell would read
    profile = yaml.safe_load((ROOT / "profiles/default/profile.yaml").read_text())
    assert profile["max-checksum-file-size"] == "1TB"
    assert profile["rerun-incomplete"] is True
    rules = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert not re.search(r"\b(script|run|notebook):|directory\(", rules)
    config = (ROOT / ".dvc/config").read_text()
    assert "remote" not in config
    assert "analytics = false" in config
    assert 'type = "reflink,copy"' in config
    git, dvc = (
        [line.rstrip("/") for line in (ROOT / name).read_text().splitlines()]
        for name in (".gitignore", ".dvcignore")
    )
    anywhere = [line for line in git if line[:1] not in ("/", "#", "!", "")]
    assert all(any(fnmatch(name, pattern) for pattern in dvc) for name in anywhere), anywhere


def test_records_are_of_the_format_that_snakemake_compares():
    """Records of an older format hide changed parameters: a newer Snakemake needs a look here."""
    from snakemake.persistence import RECORD_FORMAT_VERSION

    assert RECORD_FORMAT_VERSION == 6


def _records_of(project: Versioned, prefix: str) -> list[Path]:
    """Snakemake's records of outputs whose path starts so."""
    found = project.run(
        sys.executable, "-c",
        "import sys; from noise2mask.workflow.outputs import record_files\n"
        "print(*(f for o, f in record_files().items() if o.startswith(sys.argv[1])), sep='\\n')",
        prefix, PYTHONPATH="src",
    )  # fmt: skip
    return [project.folder / line for line in found.splitlines() if line]
