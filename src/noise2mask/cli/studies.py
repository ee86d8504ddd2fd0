"""Commands about a study as a whole."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from noise2mask.study.paths import Paths
    from noise2mask.study.schema import RunSettings, Study

LOG = logging.getLogger("noise2mask")

WATCHED = 3.0
"""Seconds between two looks at the files of a study."""


def reproduce(
    *options: str,
    study: str | None = None,
    data: str | None = None,
    cores: str | None = None,
    profile: str | None = None,
    verify: bool = False,
    commit: bool = False,
) -> int:
    """Run all stages of a study.

    What is there already and still right is left alone. `make reproduce` is this command.

    Args:
        options: behind --, further options of Snakemake.
        study: a name in config/, or a YAML file; default: study and data of params.yaml.
        cores: of this machine; default: $CORES, else all.
        profile: folder of a Snakemake profile; default: $PROFILE.
        verify: read every file that is there, also those whose size and times are as they were.
        commit: record the finished study with DVC.

    Example:
        noise2mask reproduce --study quick
        noise2mask reproduce --study real --data ~/datasets -- --dry-run
    """
    from noise2mask.study import paths
    from noise2mask.study.load import load_study
    from noise2mask.workflow.dvc import chosen
    from noise2mask.workflow.reproduce import DRY
    from noise2mask.workflow.reproduce import reproduce as run

    if study is None:
        study, data = chosen()

    elsewhere = profile or os.environ.get("PROFILE") or os.environ.get("SNAKEMAKE_PROFILE")
    if not elsewhere and DRY.isdisjoint(options):
        _check_machine(load_study(paths.study_file(study), data))
    status = run(study, data, cores, profile, list(options), verify=verify)
    if status == 0 and DRY.isdisjoint(options):
        name = paths.study_file(study).stem
        LOG.info("The report is %s", paths.REPORTS / name / "index.html")
        if commit:
            from noise2mask.workflow.dvc import commit as record

            record(study, data)
    return status


def check(study: Study, paths: Paths) -> None:
    """Read a study and say what it would do here.

    Its networks are built without memory, to see that they fit the resolution and this machine.

    Example:
        noise2mask check --study quick
    """
    from noise2mask.progress import in_bytes
    from noise2mask.study.plan import baseline_trainings, samplers_of, trainings_of
    from noise2mask.training.size import size_of

    trainings = list(trainings_of(study))
    samplings = sum(len(samplers_of(study, training)) for training in trainings)
    print(f"{paths.study}: {len(trainings)} trainings, {samplings} samplings. {study.description}")
    if baselines := len(list(baseline_trainings(study))):
        print(f"{baselines} trainings of baselines")
    for settings in _networks(study):
        size, batch = size_of(settings), settings.training.batch
        print(
            f"{settings.network.title}, batches of {batch} at {study.resolution} px: "
            f"{size.parameters / 1e6:.4g} M parameters, {in_bytes(size.memory)}"
        )
    _check_machine(study)


def _check_machine(study: Study) -> None:
    """Refuse what this machine cannot run.

    Raises:
        UserError: a network cannot be built or does not fit in the memory, or the study asks for
            a device that is not there.
    """
    from noise2mask.training.run import device_of
    from noise2mask.training.size import check_size

    device = device_of(study.compute.device)
    for settings in _networks(study):
        check_size(settings, 3, device)


def _networks(study: Study) -> Iterator[RunSettings]:
    """A training of every different network and batch of a study."""
    from noise2mask.study.plan import run_settings, trainings_of

    seen = set()
    for training in trainings_of(study):
        settings = run_settings(study, training)
        batch, variance = settings.training.batch, settings.diffusion.variance
        key = (training.network, batch, variance)
        if key not in seen:
            seen.add(key)
            yield settings


def new_study(name: str, *datasets: str, resolution: int = 64) -> None:
    """Write a commented study to begin with.

    It compares diffusion with feed-forward segmentation, each with its own loss and with the same
    one, on datasets by name, on your own folders of images and masks, or on phantoms.

    Args:
        name: of the study, or the path of its file.
        datasets: names that `noise2mask data list` shows, folders with images/ and masks/, or
            folders of such folders; default: phantoms.
        resolution: side of a prepared case, px; default: 64.

    Example:
        noise2mask new-study mine ~/datasets/mine kvasir_seg
    """
    from noise2mask.study import paths
    from noise2mask.study.new_study import write_study
    from noise2mask.study.plan import trainings_of

    path = paths.study_file(name)
    study = write_study(path, datasets, resolution)
    count = len(list(trainings_of(study)))
    print(
        f"{path}: {count} trainings on {len(study.datasets)} datasets. Read and change it, then\n"
        f"  noise2mask check --study {name}\n"
        f"  noise2mask data add <folder> --study {name}   (more data, in any layout)\n"
        f"  noise2mask data check --study {name}\n"
        f"  noise2mask reproduce --study {name}"
    )


def schema(*, folder: Path = Path("config")) -> None:
    """Write the JSON schema and the page that tell what a study may say.

    Editors complete and check studies with study.schema.json; README.md tells every key. Both are
    made from the types that check a study.

    Args:
        folder: where studies lie; default: config.

    Example:
        noise2mask schema
    """
    from noise2mask.study.documentation import write_documentation

    write_documentation(folder)


def status(*, study: str | None = None, data: str | None = None, watch: bool = False) -> None:
    """Say how far a study is, also while it runs.

    Only files are looked at, so it works from another shell and on a cluster. Without a study,
    every study that has begun gets a line.

    Args:
        watch: say it again every few seconds, until nothing runs or Ctrl-C.

    Example:
        noise2mask status --study quick --watch
    """
    import sys
    import time

    from noise2mask.workflow.status import begun, status_of

    while True:
        shown = [
            status_of(name, data, whole=bool(study)) for name in ([study] if study else begun())
        ]
        if watch and sys.stdout.isatty():
            print("\x1b[H\x1b[2J", end="")
        print("\n".join(text for text, _ in shown) or "no study has begun here", flush=True)
        if not watch or not any(running for _, running in shown):
            return
        time.sleep(WATCHED)


def prune(*, study: str | None = None, data: str | None = None, dry_run: bool = False) -> None:
    """Remove results that the study no longer declares.

    Args:
        study: a name in config/, or a YAML file; default: study and data of params.yaml.
        dry_run: only say what would go.

    Example:
        noise2mask prune --study quick --dry-run
    """
    from noise2mask.workflow.dvc import chosen
    from noise2mask.workflow.prune import prune as remove

    if study is None:
        study, data = chosen()
    remove(study, data, dry_run=dry_run)


def clean(*, study: str | None = None, yes: bool = False) -> None:
    """Remove what runs have made: results, prepared data, unfinished work, logs, reports.

    Published reports, raw data and what DVC keeps stay.

    Args:
        study: the study; without it those of all, after a question.
        yes: do not ask.

    Example:
        noise2mask clean --study test
    """
    from noise2mask.workflow.prune import clean as remove

    remove(study, sure=yes)


def publish(*, study: str) -> None:
    """Put the report of the last run where git keeps it, in reports/.

    Example:
        noise2mask publish --study quick
    """
    from noise2mask.workflow.publish import publish as put

    put(study)


def page(*, study: str, against: str | None = None) -> None:
    """Make the page of the last run's report from its tables, or else of the published one.

    It is one file that needs no network; `noise2mask open` shows it.

    Args:
        against: study, report folder or git revision; the page then says what changed since.

    Example:
        noise2mask page --study quick --against HEAD~1
    """
    from noise2mask.report.page.build import write_page
    from noise2mask.study import paths

    LOG.info("%s", write_page(paths.Paths(paths.study_file(study).stem).shown(), against))


def open_(study: str) -> None:
    """Show the page of a report in the browser.

    Example:
        noise2mask open quick
    """
    import webbrowser

    from noise2mask.report.page.build import FILE, write_page
    from noise2mask.report.provenance import FILE as RECORD
    from noise2mask.study import paths

    folder = paths.Paths(paths.study_file(study).stem).shown()
    shown, made_of = folder / FILE, folder / RECORD
    written = [path.stat().st_mtime for path in (made_of, shown) if path.exists()]
    if len(written) < 2 or written[0] > written[1]:  # no page yet, or that of an older report
        write_page(folder)
    print(shown)
    webbrowser.open(shown.resolve().as_uri())


def claims(*studies: str, readme: Path | None = None) -> None:
    """Set what several studies say of each claim side by side.

    Args:
        studies: their names, or folders of reports; the last run's report is read, or else the
            published one.
        readme: file in which the table is put between the markers ``claims`` instead of printing.

    Example:
        noise2mask claims quick controls real
    """
    from noise2mask.report.claims_beside import text_of, update_claims
    from noise2mask.study import paths

    folders = [
        Path(name) if Path(name).is_dir() else paths.Paths(paths.study_file(name).stem).shown()
        for name in studies
    ]
    if readme is None:
        print(text_of(folders), end="")
    else:
        update_claims(folders, readme)


def diff(
    a: str | None = None,
    b: str | None = None,
    *,
    study: str | None = None,
    metric: tuple[str, ...] = (),
    markdown: bool = False,
    output: Path | None = None,
    exit_code: bool = False,
) -> int:
    """Say which results differ, by how much, and what made them differ.

    Args:
        a: study, report folder, git revision, REVISION:study or DVC experiment; default: what is
            published.
        b: the same, differences are from a to b; default: the last run.
        study: whose report is read; default: that of the other name, or of params.yaml.
        metric: compare this one; may be repeated.
        markdown: for a pull request.
        output: file to write instead of printing.
        exit_code: end with 1 if a result is worse beyond chance.

    Example:
        noise2mask diff quick
        noise2mask diff HEAD~1 HEAD --study quick
    """
    from noise2mask.files import write_text
    from noise2mask.report.diff.compare import compare
    from noise2mask.report.diff.revisions import open_reports
    from noise2mask.report.diff.text import as_markdown, as_text

    found = compare(*open_reports(a, b, study), list(metric) or None)
    text = as_markdown(found) if markdown else as_text(found)
    if output:
        write_text(output, text)
    else:
        print(text, end="")
    return int(exit_code and found.worse)
