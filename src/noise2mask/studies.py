"""Reading a study file: everything is checked, and every mistake told, before anything runs."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from noise2mask import catalogue, naming
from noise2mask.config import Diffusion, Settings, Study, Training, merged
from noise2mask.errors import UserError


def load_study(path: Path, data: str | None = None) -> Study:
    """Read and check a study.

    Args:
        path: the YAML file.
        data: folder that replaces ``{data}`` in the options of datasets.

    Raises:
        UserError: the file is missing or unreadable, or anything in it is wrong; all mistakes
            are told, one a line.
    """
    document = _read(path)
    if data is not None:
        document = _placed(document, data)
    document, wrong_names = naming.resolved(document)
    mistakes: dict[str, str] = {}
    study = None
    try:
        study = Study.model_validate(document)
    except ValidationError as error:
        mistakes |= _told(error, "")
    mistakes |= wrong_names
    mistakes = _mistakes_in_names(document) | _mistakes_in_references(document) | mistakes
    if study is not None:
        mistakes = _mistakes_between_fields(study) | mistakes
    if mistakes or study is None:
        lines = "".join(f"\n  {place}: {message}" for place, message in sorted(mistakes.items()))
        count = f"{len(mistakes)} mistake" + "s" * (len(mistakes) > 1)
        raise UserError(f"{path} has {count}; correct and run again:{lines}")
    return study


def check_data(study: Study, name: str) -> None:
    """Refuse a study whose data are still to be given.

    Raises:
        UserError: the options of a dataset hold ``{data}``, or a dataset that cannot be fetched is
            not there and has no stand-in.
    """
    for dataset, entry in study.datasets.items():
        if entry.named and (sentence := naming.missing_by_hand(entry.model_dump())):
            raise UserError(
                f"datasets.{dataset} of study {name}: {sentence} Or give it a `stand_in`."
            )
        if "{data}" in json.dumps(entry.options):
            raise UserError(
                f"datasets.{dataset} of study {name} takes its data from a folder that was not "
                f"given; run `make reproduce STUDY={name} DATA=<folder>`."
            )


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        names = sorted(file.stem for file in path.parent.glob("*.yaml"))
        raise UserError(
            f"{path} does not exist: {catalogue.unknown(path.stem, 'study', names)}."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}; a study is a UTF-8 text file.") from None
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f", line {place.line + 1}" if place else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise UserError(f"{path}{line} is not readable YAML: {problem}.") from None
    if not isinstance(document, dict):
        raise UserError(f"{path} must hold a mapping of study fields, got {document!r}.")
    return document


def _placed(content: Any, data: str) -> Any:
    """`content` with ``{data}`` replaced in every string."""
    if isinstance(content, str):
        return content.replace("{data}", data.rstrip("/"))
    if isinstance(content, dict):
        return {key: _placed(value, data) for key, value in content.items()}
    if isinstance(content, list):
        return [_placed(value, data) for value in content]
    return content


def _told(error: ValidationError, prefix: str, model: type[BaseModel] = Study) -> dict[str, str]:
    """Mistakes of one validation: dotted path to sentence."""
    mistakes = {}
    for item in error.errors():
        parts = [str(part) for part in item["loc"] if part != "[key]"]
        place = ".".join([*([prefix] if prefix else []), *parts]) or "study"
        if item["type"] == "missing":
            message = "this field is required"
        elif item["type"] == "extra_forbidden":
            fields = list(_model_at(model, item["loc"][:-1]).model_fields)
            message = catalogue.unknown(parts[-1], "field", fields)
        else:
            given = "" if isinstance(item["input"], dict | list) else f", got {item['input']!r}"
            message = item["msg"].replace("Input should be", "must be") + given
        mistakes[place] = message
    return mistakes


def _model_at(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel]:
    """The settings type found by following a location of field names, keys and indices."""
    for part in location:
        field = model.model_fields.get(str(part))
        if field is None:
            continue
        found = _models_in(field.annotation)
        if found:
            model = found[0]
    return model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Settings types inside an annotation such as ``dict[Name, Dataset]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models_in(inner)]


def _entries(document: Mapping[str, Any], section: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The well-formed entries of a section, so that names are checked beside other mistakes."""
    entries = document.get(section)
    for name, entry in entries.items() if isinstance(entries, dict) else ():
        if isinstance(entry, dict):
            yield f"{section}.{name}", entry


def _mistakes_in_names(document: Mapping[str, Any]) -> dict[str, str]:
    """Unknown names, and wrong options of known ones."""
    mistakes: dict[str, str] = {}

    def check(place: str, name: Any, what: str, valid: Mapping[str, tuple[str, str]]) -> bool:
        if isinstance(name, str) and name not in valid:
            mistakes[place] = catalogue.unknown(name, what, list(valid))
        return isinstance(name, str) and name in valid

    def check_options(place: str, given: Any, module: str, function: str) -> None:
        model = catalogue.options(module, function)
        try:
            model.model_validate({} if given is None else given)
        except ValidationError as error:
            mistakes.update(_told(error, place, model))

    def check_entries(section: str, key: str, valid: Mapping[str, tuple[str, str]]) -> None:
        for place, entry in _entries(document, section):
            if check(f"{place}.{key}", entry.get(key), key, valid):
                check_options(f"{place}.options", entry.get("options"), *valid[entry[key]])

    check_entries("datasets", "kind", _by_file("datasets", "sources"))
    check_entries("networks", "architecture", _by_file("networks", "build"))
    check_entries("samplers", "sampler", _by_function("diffusion.samplers"))
    for place, entry in _entries(document, "datasets"):
        augmentation = entry.get("augmentation")
        check_options(f"{place}.augmentation", augmentation, "transforms", "augment")
    for place, entry in _entries(document, "modes"):
        check(f"{place}.mode", entry.get("mode"), "mode", _by_function("diffusion.modes"))
    for place, entry in _entries(document, "diffusion"):
        schedules = _by_function("diffusion.schedule")
        if place.endswith(".schedule") and check(
            f"{place}.name", entry.get("name", "linear"), "schedule", schedules
        ):
            found = schedules[entry.get("name", "linear")]
            check_options(f"{place}.options", entry.get("options"), *found)
    evaluation = document.get("evaluation")
    if isinstance(evaluation, dict):
        fusion = evaluation.get("fusion", "mean")
        check("evaluation.fusion", fusion, "fusion", _by_function("fusion"))
    for place, entry in _entries(document, "evaluation"):
        valid = _by_function(place.split(".")[1])
        for name, given in entry.items():
            if check(f"{place}.{name}", name, "metric", valid):
                check_options(f"{place}.{name}", given, *valid[name])
    return mistakes


def _by_file(folder: str, function: str) -> dict[str, tuple[str, str]]:
    return {name: (f"{folder}.{name}", function) for name in catalogue.files(folder, function)}


def _by_function(module: str) -> dict[str, tuple[str, str]]:
    return {name: (module, name) for name in catalogue.functions(module)}


def _names_in(document: Mapping[str, Any], section: str) -> list[str]:
    entries = document.get(section)
    return [str(name) for name in entries] if isinstance(entries, dict) else []


def _listed(entry: Mapping[str, Any], key: str) -> list[str]:
    names = entry.get(key)
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _mistakes_in_references(document: Mapping[str, Any]) -> dict[str, str]:
    """Names that refer to another section of the study and are not there."""
    mistakes: dict[str, str] = {}

    def check(place: str, names: list[str], section: str) -> None:
        known = _names_in(document, section)
        for name in names:
            if known and name not in known:
                mistakes[place] = catalogue.unknown(name, section[:-1], known)

    for place, mode in _entries(document, "modes"):
        check(f"{place}.samplers", _listed(mode, "samplers"), "samplers")
    for place, sampler in _entries(document, "samplers"):
        check(f"{place}.networks", _listed(sampler, "networks"), "networks")
    overrides = document.get("overrides")
    for index, override in enumerate(overrides if isinstance(overrides, list) else ()):
        for section in ("datasets", "networks", "modes"):
            names = _listed(override, section) if isinstance(override, dict) else []
            check(f"overrides.{index}.{section}", names, section)
    return mistakes


def _mistakes_between_fields(study: Study) -> dict[str, str]:
    """Mistakes that only several fields together show."""
    mistakes: dict[str, str] = {}
    for index, override in enumerate(study.overrides):
        parts: tuple[tuple[str, type[Settings]], ...] = (
            ("training", Training),
            ("diffusion", Diffusion),
        )
        for part, model in parts:
            base = getattr(study, part).model_dump()
            try:
                model.model_validate(merged(base, getattr(override, part)))
            except ValidationError as error:
                mistakes |= _told(error, f"overrides.{index}.{part}", model)
    total = sum(study.shares.model_dump().values())
    if abs(total - 1) > 1e-6:
        mistakes["shares"] = f"train, val and test must add up to 1, got {total:g}"
    for name, entry in study.samplers.items():
        steps, length = entry.steps, study.diffusion.schedule.timesteps
        if isinstance(steps, int) and not 1 <= steps <= length:
            mistakes[f"samplers.{name}.steps"] = f"must be between 1 and {length}, got {steps}"
    return mistakes
