"""What is wrong with a study: a dotted place and a sentence for every mistake."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from noise2mask import plugins
from noise2mask.errors import unknown
from noise2mask.study.schema import Study

Mistakes = dict[str, str]
WRITTEN_OUT = ("folders", "grid")
"""Fields of a study's file that are turned into others when it is read."""


def told(error: ValidationError, prefix: str, model: type[BaseModel]) -> Mistakes:
    """Mistakes of one validation: dotted path to sentence."""
    mistakes = {}
    for item in error.errors():
        parts = [str(part) for part in item["loc"] if part != "[key]"]
        place = ".".join([*([prefix] if prefix else []), *parts]) or "study"
        if item["type"] == "missing":
            message = "this field is required"
        elif item["type"] == "extra_forbidden":
            owner = _model_at(model, item["loc"][:-1])
            fields = [*owner.model_fields, *(WRITTEN_OUT if owner is Study else ())]
            message = unknown(parts[-1], "field", fields)
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


def in_names(document: Mapping[str, Any]) -> Mistakes:
    """Unknown names, and wrong options of known ones."""
    mistakes: Mistakes = {}

    def check(place: str, name: Any, what: str, valid: tuple[str, ...]) -> bool:
        if isinstance(name, str) and name not in valid:
            mistakes[place] = unknown(name, what, list(valid))
        return isinstance(name, str) and name in valid

    def check_options(place: str, given: Any, kind: str, name: str) -> None:
        model = plugins.options(kind, name)
        try:
            model.model_validate({} if given is None else given)
        except ValidationError as error:
            mistakes.update(told(error, place, model))

    def check_entries(section: str, key: str, kind: str) -> None:
        for place, entry in _entries(document, section):
            if check(f"{place}.{key}", entry.get(key), key, plugins.names(kind)):
                check_options(f"{place}.options", entry.get("options"), kind, entry[key])

    check_entries("datasets", "kind", "format")
    check_entries("networks", "architecture", "architecture")
    check_entries("samplers", "sampler", "sampler")
    check_entries("baselines", "kind", "baseline")
    for place, entry in _entries(document, "readings"):
        check(f"{place}.fusion", entry.get("fusion"), "fusion", plugins.names("fusion"))
    for place, entry in _entries(document, "datasets"):
        augmentation = entry.get("augmentation")
        check_options(f"{place}.augmentation", augmentation, "augmentation", "augment")
    for place, entry in _entries(document, "modes"):
        check(f"{place}.mode", entry.get("mode"), "mode", plugins.names("mode"))
    for place, entry in _diffusion_parts(document):
        what = place.rpartition(".")[2]
        name = entry.get("name", {"schedule": "linear", "weighting": "uniform"}[what])
        if check(f"{place}.name", name, what, plugins.names(what)):
            check_options(f"{place}.options", entry.get("options"), what, name)
    analysis = document.get("analysis")
    for name in _listed(analysis, "oracles") if isinstance(analysis, dict) else ():
        check("analysis.oracles", name, "oracle", plugins.names("oracle"))
    pictures = document.get("pictures")
    for name in _listed(pictures, "figures") if isinstance(pictures, dict) else ():
        known = [each for each in plugins.names("figure") if str(name).startswith(f"{each}_")]
        if not known:  # a variant, such as results_iou, is named after its figure
            check("pictures.figures", name, "figure", plugins.names("figure"))
    evaluation = document.get("evaluation")
    if isinstance(evaluation, dict):
        fusion = evaluation.get("fusion", "mean")
        check("evaluation.fusion", fusion, "fusion", plugins.names("fusion"))
    for place, entry in _entries(document, "evaluation"):
        kind = place.split(".")[1].removesuffix("s")
        for name, given in entry.items():
            if check(f"{place}.{name}", name, "metric", plugins.names(kind)):
                check_options(f"{place}.{name}", given, kind, name)
    return mistakes


def _diffusion_parts(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The schedules and weightings that a study names, those of its overrides too."""
    overrides = document.get("overrides")
    owners = [("", document)]
    owners += [
        (f"overrides.{index}.", override)
        for index, override in enumerate(overrides if isinstance(overrides, list) else ())
        if isinstance(override, dict)
    ]
    base = document.get("diffusion")
    for place, owner in owners:
        for found, entry in _entries(owner, "diffusion"):
            part = found.rpartition(".")[2]
            if part not in {"schedule", "weighting"}:
                continue
            usual = base.get(part) if isinstance(base, dict) else None
            name = {"name": usual["name"]} if isinstance(usual, dict) and "name" in usual else {}
            yield f"{place}{found}", name | entry


def _names_in(document: Mapping[str, Any], section: str) -> list[str]:
    entries = document.get(section)
    return [str(name) for name in entries] if isinstance(entries, dict) else []


def _listed(entry: Mapping[str, Any], key: str) -> list[str]:
    names = entry.get(key)
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def in_references(document: Mapping[str, Any]) -> Mistakes:
    """Names that refer to another section of the study and are not there."""
    mistakes: Mistakes = {}

    def check(place: str, names: list[str], section: str, *others: str) -> None:
        known = [name for each in (section, *others) for name in _names_in(document, each)]
        for name in names:
            if known and name not in known:
                mistakes[place] = unknown(name, section[:-1], known)

    for place, mode in _entries(document, "modes"):
        check(f"{place}.samplers", _listed(mode, "samplers"), "samplers", "readings")
        check(f"{place}.networks", _listed(mode, "networks"), "networks")
    for section in ("samplers", "readings"):
        for place, entry in _entries(document, section):
            check(f"{place}.networks", _listed(entry, "networks"), "networks")
    for place, reading in _entries(document, "readings"):
        of = reading.get("of")
        check(f"{place}.of", [of] if isinstance(of, str) else [], "samplers")
    for place, reference in _entries(document, "baselines"):
        check(f"{place}.datasets", _listed(reference, "datasets"), "datasets")
    for place, quirk in _entries(document, "quirks"):
        for field, *others in (("readings", "samplers"), ("datasets",)):
            pairs = quirk.get(field)
            for proper, other in pairs.items() if isinstance(pairs, dict) else ():
                check(f"{place}.{field}", [str(proper)], field, *others)
                check(f"{place}.{field}.{proper}", [str(other)], field)
    for place, dataset in _entries(document, "datasets"):
        check(f"{place}.modes", _listed(dataset, "modes"), "modes")
    analysis = document.get("analysis")
    if isinstance(analysis, dict):
        check("analysis.measured", _listed(analysis, "measured"), "modes")
        check("analysis.networks", _listed(analysis, "networks"), "networks")
        shorter = analysis.get("shorter")
        for name, other in shorter.items() if isinstance(shorter, dict) else ():
            check("analysis.shorter", [str(name)], "networks")
            check(f"analysis.shorter.{name}", [str(other)], "networks")
        pair = analysis.get("pair")
        for field, name in pair.items() if isinstance(pair, dict) else ():
            check(f"analysis.pair.{field}", [name] if isinstance(name, str) else [], "modes")
    for place, hypothesis in _entries(document, "hypotheses"):
        for field, given in hypothesis.items():
            names = [given] if isinstance(given, str) else given
            several = names if isinstance(names, list | dict) else []
            known = [name for name in several if isinstance(name, str)]
            sections = ("samplers", "readings") if "sampler" in field else ("modes",)
            check(f"{place}.{field}", known, *sections)
    contrasts = document.get("contrasts")
    for index, contrast in enumerate(contrasts if isinstance(contrasts, list) else ()):
        names = contrast if isinstance(contrast, list) else []
        check(f"contrasts.{index}", [name for name in names if isinstance(name, str)], "modes")
    overrides = document.get("overrides")
    for index, override in enumerate(overrides if isinstance(overrides, list) else ()):
        for section in ("datasets", "networks", "modes"):
            names = _listed(override, section) if isinstance(override, dict) else []
            check(f"overrides.{index}.{section}", names, section)
    return mistakes
