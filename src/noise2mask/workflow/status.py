"""How far a study is, from its files alone: also while it runs, from another shell or machine.

Snakemake marks each output that is being made in ``.snakemake/incomplete``; the mark goes when the
job ends, and stays when the job was killed. Each job writes its messages to a file of its own, the
last line of which says how far it is or why it failed.
"""

import base64
import binascii
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from noise2mask.progress import spoken
from noise2mask.study import paths
from noise2mask.study.load import load_study
from noise2mask.study.plan import (
    PREDICTION,
    baseline_trainings,
    described_datasets,
    grown_datasets,
    measured_modes,
    priced_baselines,
    priced_trainings,
    samplers_of,
    scored_datasets,
    trainings_of,
)
from noise2mask.study.schema import Study, Training

State = Literal["running", "failed", "stopped", "waiting", "done"]
INCOMPLETE, LOCKS = Path(".snakemake/incomplete"), Path(".snakemake/locks")
SILENT = 120.0
"""Seconds without a message after which that is told."""
_TAIL = 4096
_WORDS: dict[State, str] = {
    "running": "Running", "failed": "Failed", "stopped": "Stopped, goes on where it was",
}  # fmt: skip


def begun() -> list[str]:
    """Names of the studies that have files of messages here."""
    logs = Path("logs").glob("*/")
    return sorted(folder.name for folder in logs if paths.study_file(folder.name).exists())


def status_of(study: str, data: str | None, *, whole: bool) -> tuple[str, bool]:
    """What there is to say of a study, and whether it runs.

    Args:
        study: name or file of the study.
        data: folder that replaces ``{data}``.
        whole: as a table, and not as a line.

    Raises:
        UserError: there is no such study, or it is wrong.
    """
    name = paths.study_file(study).stem
    found = states(jobs_of(load_study(paths.study_file(study), data), name))
    runs = any(one.state == "running" for one in found)
    return (status_text(name, found) if whole else summary_line(name, found)), runs


class Job(NamedTuple):
    """One job of the workflow.

    Attributes:
        what: it does, e.g. ``train`` or ``score ddim10``.
        dataset: name of it; empty for the whole study.
        row: network, mode and seed; empty where it is none of one training.
        output: the last of its files.
        log: file with its messages.
    """

    what: str
    dataset: str
    row: tuple[str, ...]
    output: Path
    log: Path

    @property
    def title(self) -> str:
        """What names it in a line."""
        return f"{'/'.join(filter(None, [self.dataset, *self.row]))} {self.what}".strip()


class Found(NamedTuple):
    """A job with its state, and the last line that it wrote where it is not done."""

    job: Job
    state: State
    line: str = ""


def jobs_of(study: Study, name: str) -> list[Job]:
    """Every job of a study, in the order in which they can run."""
    return list(_jobs(study, name))


def _jobs(study: Study, name: str) -> Iterator[Job]:
    logs = Path("logs") / name

    def own(what: str, dataset: str, output: Path, log: str) -> Job:
        return Job(what, dataset, (), output, logs / f"{log}.log")

    for dataset in study.datasets:
        manifest = paths.prepared(name, dataset) / "manifest.json"
        yield own("prepare", dataset, manifest, f"{dataset}.prepare")
    for dataset in described_datasets(study):
        output = paths.described_folder(name, dataset) / "figures.csv"
        yield own("fingerprint", dataset, output, f"{dataset}.fingerprint")
    for dataset in grown_datasets(study):
        yield own("grow", dataset, paths.grown_file(name, dataset), f"{dataset}.grown")
    for dataset in scored_datasets(study):
        output = paths.blind_folder(name, dataset) / "mean_mask" / "metrics.csv"
        yield own("blind", dataset, output, f"{dataset}.blind")
    for training in (*trainings_of(study), *baseline_trainings(study)):
        yield from _jobs_of_training(study, name, training, logs)
    for place in measured_modes(study):
        log = f"{place.dataset}.{place.network}.seed{place.seed}.measure"
        yield own("measure", place.dataset, paths.measured_file(name, place), log)
    if study.costs and priced_trainings(study):
        yield own("cost", "", paths.cost_file(name), "cost")
    for training in priced_baselines(study) if study.costs else ():
        log = f"{training.dataset}.{training.network}.seed{training.seed}.cost"
        output = paths.baseline_cost_file(name, training)
        yield own(f"cost of {training.network}", training.dataset, output, log)
    yield own("report", "", paths.REPORTS / name / "report.md", "report")
    yield own("page", "", paths.REPORTS / name / "index.html", "page")


def _jobs_of_training(study: Study, name: str, training: Training, logs: Path) -> Iterator[Job]:
    folder = paths.training_folder(paths.RESULTS, name, training)
    row = (training.network, training.mode, f"seed{training.seed}")
    of_baseline = training.network in study.baselines
    key = f"{training.dataset}.{training.network}"
    start = f"{key}.{training.mode}.seed{training.seed}"

    def job(what: str, output: Path, log: str) -> Job:
        return Job(what, training.dataset, row, output, logs / f"{log}.log")

    if of_baseline:
        draws = folder / PREDICTION / "draws.npz"
        yield job("train", draws, f"{key}.seed{training.seed}")
    else:
        yield job("train", folder / "history.jsonl", f"{start}.train")
    for sampler in samplers_of(study, training):
        draws = folder / sampler / "draws.npz"
        if sampler in study.readings:
            yield job(f"read {sampler}", draws, f"{start}.{sampler}.read")
        elif not of_baseline:
            yield job(f"sample {sampler}", draws, f"{start}.{sampler}.draws.sample")
        yield job(
            f"score {sampler}", folder / sampler / "metrics.csv", f"{start}.{sampler}.evaluate"
        )


def states(jobs: Iterable[Job], now: float | None = None) -> list[Found]:
    """The state of each job.

    Args:
        jobs: of a study in the working folder.
        now: seconds since 1970; this moment without it.
    """
    now = time.time() if now is None else now
    marked = _marked()
    begun = max((_time(path) for path in LOCKS.glob("*.lock")), default=None)
    return [_state(job, marked, begun, now) for job in jobs]


def _state(job: Job, marked: set[str], begun: float | None, now: float) -> Found:
    said = _time(job.log)
    if str(job.output) in marked:
        if begun is None:
            return Found(job, "stopped", _last_line(job.log))
        if said < begun:  # of an earlier run, which was killed
            return Found(job, "waiting")
        line, silent = _last_line(job.log), now - said
        note = f" (silent for {spoken(silent)})" if silent > SILENT else ""
        return Found(job, "running", f"{line}{note}".strip())
    if job.output.exists():
        return Found(job, "done")
    if said and said >= (begun or 0):
        return Found(job, "failed", _last_line(job.log))
    return Found(job, "waiting")


def _marked() -> set[str]:
    """Outputs that Snakemake has marked as being made."""
    found = set()
    for file in INCOMPLETE.rglob("*"):
        # A long name is cut into folders marked with @.
        parts = [part.removeprefix("@") for part in file.relative_to(INCOMPLETE).parts]
        try:
            found.add(base64.urlsafe_b64decode("".join(parts)).decode())
        except (binascii.Error, UnicodeDecodeError):
            continue
    return found


def _time(path: Path) -> float:
    """When a file was last written, 0 if it is not there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _last_line(log: Path) -> str:
    """The last line that is not empty."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def status_text(name: str, found: Sequence[Found]) -> str:
    """The table of a study: what each training is at, then what runs, failed or was stopped."""
    lines = [summary_line(name, found), ""]
    lines += _grid(found)
    others = [one for one in found if not one.job.row and one.state != "done"]
    if others:
        lines += ["", "Other work: " + ", ".join(f"{one.job.title} {one.state}" for one in others)]
    for state, words in _WORDS.items():
        these = [one for one in found if one.state == state]
        if these:
            lines += ["", f"{words}:"]
            lines += [f"  {one.job.title}: {one.line or 'no message yet'}" for one in these]
    return "\n".join(lines) + "\n"


def summary_line(name: str, found: Sequence[Found]) -> str:
    """A study in one line: counts of its jobs."""
    counts = {state: sum(one.state == state for one in found) for state in _ORDER}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f"{name}: {told} of {len(found)} jobs"


_ORDER: tuple[State, ...] = ("done", "running", "failed", "stopped", "waiting")


def _grid(found: Sequence[Found]) -> list[str]:
    """Trainings as rows, datasets side by side."""
    cells: dict[tuple[str, ...], dict[str, list[Found]]] = {}
    for one in found:
        if one.job.row:
            cells.setdefault(one.job.row, {}).setdefault(one.job.dataset, []).append(one)
    datasets = list(dict.fromkeys(dataset for row in cells.values() for dataset in row))
    table = [["network", "mode", "seed", *datasets]]
    for row, of_dataset in cells.items():
        words = [_cell(of_dataset[name]) if name in of_dataset else "" for name in datasets]
        table.append([row[0], row[1], row[2].removeprefix("seed"), *words])
    if len(table) == 1:
        return ["nothing is trained"]
    widths = [max(len(line[place]) for line in table) for place in range(len(table[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]


def _cell(found: Sequence[Found]) -> str:
    """What one training is at: what runs or failed, else how much is done."""
    for state in ("failed", "running", "stopped"):
        for one in found:
            if one.state == state:
                share = _share(one.line)
                return f"{one.job.what} {share if share and state == 'running' else state}"
    done = sum(one.state == "done" for one in found)
    if done == len(found):
        return "done"
    return f"{done} of {len(found)} done" if done else "waiting"


def _share(line: str) -> str:
    """The share that a line of progress tells, e.g. ``40 %``."""
    head, _, _ = line.partition(" %)")
    number = head.rpartition("(")[2]
    return f"{number} %" if number.isdigit() else ""
