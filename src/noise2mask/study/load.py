"""Reading a study file: everything is checked, and every mistake told, before anything runs."""

import json
from pathlib import Path
from typing import Any

from noise2mask.errors import UserError
from noise2mask.study.document import read_document
from noise2mask.study.expand import expand_folders, expand_named, missing_by_hand
from noise2mask.study.grid import expand_grid
from noise2mask.study.paths import check_name
from noise2mask.study.schema import Study
from noise2mask.study.validate import between_fields, in_settings


def load_study(path: Path, data: str | None = None) -> Study:
    """Read and check a study.

    Args:
        path: the YAML file.
        data: folder that replaces ``{data}`` in the options of datasets.

    Raises:
        UserError: the file is missing or unreadable, or anything in it is wrong; all mistakes
            are told, one a line.
    """
    check_name(path)
    document = _with_new_names(read_document(path))
    if data is not None:
        document = _placed(document, data)
    wrong: dict[str, str] = {}
    for expand in (expand_folders, expand_named, expand_grid):
        document, found = expand(document)
        wrong |= found
    wrong = in_settings(Study, document, "", document) | wrong
    study = None if wrong else Study.model_validate(document)
    if study is not None:
        wrong = between_fields(study)
    if wrong or study is None:
        lines = "".join(f"\n  {place}: {message}" for place, message in sorted(wrong.items()))
        count = f"{len(wrong)} mistake" + "s" * (len(wrong) > 1)
        raise UserError(f"{path} has {count}; correct and run again:{lines}")
    return study


def check_data(study: Study, name: str) -> None:
    """Refuse a study whose data are still to be given.

    Raises:
        UserError: the options of a dataset hold ``{data}``, or a dataset that cannot be fetched is
            not there and has no stand-in.
    """
    for dataset, entry in study.datasets.items():
        if entry.named and (sentence := missing_by_hand(entry.model_dump())):
            raise UserError(
                f"datasets.{dataset} of study {name}: {sentence} Or give it a `stand_in`."
            )
        if "{data}" in json.dumps(entry.options):
            raise UserError(
                f"datasets.{dataset} of study {name} takes its data from a folder that was not "
                f"given; run `make reproduce STUDY={name} DATA=<folder>`."
            )


def _with_new_names(document: dict[str, Any]) -> dict[str, Any]:
    """The document with `baselines`, which older files call `references`."""
    if "references" not in document or "baselines" in document:
        return document
    return {"baselines" if name == "references" else name: part for name, part in document.items()}


def _placed(content: Any, data: str) -> Any:
    """`content` with ``{data}`` replaced in every string."""
    if isinstance(content, str):
        return content.replace("{data}", data.rstrip("/"))
    if isinstance(content, dict):
        return {key: _placed(value, data) for key, value in content.items()}
    if isinstance(content, list):
        return [_placed(value, data) for value in content]
    return content
