"""Commands about the datasets that can be had by name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from noise2mask.errors import UserError

if TYPE_CHECKING:
    from noise2mask.study.paths import Paths
    from noise2mask.study.schema import Study
    from noise2mask.workflow.data_commands import Chosen


def list_() -> None:
    """List them, with what is here.

    Example:
        noise2mask data list
    """
    from noise2mask.workflow.data_commands import listing

    print(listing())


def get(
    *names: str,
    study: Study | None = None,
    paths: Paths | None = None,
    dataset: str | None = None,
    set: tuple[str, ...] = (),
) -> None:
    """Fetch, verify and unpack.

    Args:
        names: named datasets, or folders of your own.
        study: the datasets of this study instead.
        dataset: only this dataset of the study.
        set: option of its kind, KEY=VALUE; may be repeated.

    Example:
        noise2mask data get kvasir_seg
    """
    from noise2mask.workflow.data_commands import get as fetch

    for chosen in _chosen(names, study, paths, dataset, set):
        fetch(chosen)


def check(
    *names: str,
    study: Study | None = None,
    paths: Paths | None = None,
    dataset: str | None = None,
    set: tuple[str, ...] = (),
    processes: int = os.cpu_count() or 1,
    sheet: int = 24,
) -> int:
    """Inspect cases: how they are read, sizes, objects, duplicates, leaks; 1 if any cannot be used.

    Args:
        names: named datasets, or folders of your own.
        study: the datasets of this study instead.
        dataset: only this dataset of the study.
        set: option of its kind, KEY=VALUE; may be repeated.
        processes: that decode; default: as many as cores.
        sheet: cases shown; 0 for none.

    Example:
        noise2mask data check ~/datasets/mine
    """
    from noise2mask.workflow.data_commands import inspect, report

    usable = True
    for chosen in _chosen(names, study, paths, dataset, set):
        checked = inspect(chosen, processes, sheet)
        print(report(chosen, checked))
        usable &= checked.usable
    return int(not usable)


def show(
    *names: str,
    study: Study | None = None,
    paths: Paths | None = None,
    dataset: str | None = None,
    set: tuple[str, ...] = (),
) -> None:
    """Tell what is known of one.

    Args:
        names: named datasets, or folders of your own.
        study: the datasets of this study instead.
        dataset: only this dataset of the study.
        set: option of its kind, KEY=VALUE; may be repeated.

    Example:
        noise2mask data show kvasir_seg
    """
    from noise2mask.workflow.data_commands import facts

    print("\n\n".join(facts(chosen) for chosen in _chosen(names, study, paths, dataset, set)))


def _chosen(
    names: tuple[str, ...],
    study: Study | None,
    paths: Paths | None,
    dataset: str | None,
    settings: tuple[str, ...],
) -> list[Chosen]:
    """The datasets that a command is about."""
    from noise2mask.study.load import check_data
    from noise2mask.workflow import data_commands

    if bool(names) == bool(study):
        raise UserError(
            "name datasets (`noise2mask data list` shows them) or folders, or give --study <name>; "
            f"got {'both' if names else 'neither'}."
        )
    if study is None or paths is None:
        return [data_commands.by_name(name, settings) for name in names]
    check_data(study, paths.study)
    wanted = [dataset] if dataset else list(study.datasets)
    return [data_commands.of_study(study, each) for each in wanted]
