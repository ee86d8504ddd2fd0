"""Commands about the datasets that can be had by name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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


def add(
    folder: str,
    *,
    name: str | None = None,
    study: str | None = None,
    from_: str | None = None,
    images: tuple[str, ...] = (),
    masks: tuple[str, ...] = (),
    several: Literal["union", "majority", "staple", "soft"] | None = None,
    foreground: str | None = None,
    colours: str | None = None,
    threshold: int | None = None,
    groups: str | None = None,
    no_groups: bool = False,
    splits: str | None = None,
    no_splits: bool = False,
    missing: Literal["skip", "empty"] | None = None,
    set: tuple[str, ...] = (),
    sheet: Path | None = None,
    resolution: int = 64,
) -> int:
    """Look at any folder of images and masks and write the entry of a study that reads it.

    What was found is told, with some pairs in a picture. What names and values leave open is asked,
    with the options that answer it; status 1 then, and no entry is written.

    Args:
        folder: where the dataset lies.
        name: of the dataset; default: that of the folder.
        study: file or name of the study that gets the entry; it is made if it is not there.
        from_: study that a new one is like, such as quick.
        images: part of the names of those files that are the images; may be repeated.
        masks: the same of the masks.
        several: what several masks of an image are: parts of one, or of annotators, who are voted
            on, or whose mean is learnt (soft).
        foreground: mask values that are foreground, or names of labels, with commas between.
        colours: colours of masks that are foreground, such as ff0000, with commas between.
        threshold: mask values above it are foreground.
        groups: regular expression on the names whose first group is the patient, slide or volume.
        no_groups: each case is independent of all others.
        splits: folders, a CSV with columns id and split, or a regular expression on the names.
        no_splits: split anew what looks like training and test data.
        missing: leave images without mask out, or take them as all background.
        set: option of the kind that reads it, KEY=VALUE; may be repeated.
        sheet: PNG that shows pairs; default: build/data/<name>.png.
        resolution: side of a prepared case of a new study, px; default: 64.

    Example:
        noise2mask data add ~/datasets/mine --study mine
    """
    from noise2mask.study import paths
    from noise2mask.workflow import data_add
    from noise2mask.workflow.data_commands import setting

    if from_ is not None and study is None:
        raise UserError(
            f"--from {from_} says what a new study is like; give its name with --study."
        )
    answers = data_add.answers_from(
        images=images,
        masks=masks,
        several=several,
        foreground=foreground,
        colours=colours,
        threshold=threshold,
        groups=groups,
        no_groups=no_groups,
        splits=splits,
        no_splits=no_splits,
        missing=missing,
        settings=dict(setting(text) for text in set),
    )
    said = {
        "name": name, "study": study, "from": from_, "images": images, "masks": masks,
        "several": several, "foreground": foreground, "colours": colours, "threshold": threshold,
        "groups": groups, "no_groups": no_groups, "splits": splits, "no_splits": no_splits,
        "missing": missing, "set": set, "sheet": sheet,
    }  # fmt: skip
    text, complete = data_add.add(
        folder,
        answers,
        name=name,
        study=paths.study_file(study) if study else None,
        model=paths.study_file(from_) if from_ else None,
        sheet=sheet,
        resolution=resolution,
        typed=data_add.typed(folder, said),
    )
    print(text)
    return int(not complete)


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
