"""What is wrong with a study: a dotted place and a sentence for every mistake.

Types and bounds are pydantic's; what is marked in :mod:`noise2mask.study.schema` as the name of a
plug-in or of another part of the study is looked up in one walk over the file as it is written, so
that it is told beside all other mistakes. What only several fields together show comes last.
"""

import types
from collections.abc import Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from noise2mask import plugins
from noise2mask.errors import UserError, unknown
from noise2mask.patterns import fault_of
from noise2mask.plugins import OptionsOf, Plugin, Ref
from noise2mask.study.plan import (
    PREDICTION,
    REFERENCE,
    draws_of,
    measured_modes,
    merged,
    needs_measurement,
    run_settings,
    sampler_behind,
    samplers_of,
    seeds_of,
    seeds_read,
    soft,
    steps_ratios,
    trainings_of,
)
from noise2mask.study.schema import NAME, SPACING, TEXT, Part, Study, Training

Mistakes = dict[str, str]

_WORDS = {"format": "kind", "baseline": "kind", "calibration": "metric"}
"""What messages call a kind of plug-in whose field in a study has another name."""
_SAID = {
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "tuple_type": "must be a list",
    "string_type": "must be text",
}
"""How kinds of mistakes of pydantic's are said to somebody who writes YAML."""
_PATTERNS = {
    NAME: "must be a name of lower-case letters a to z, digits and _, a letter or digit first, 64 "
    "characters at most",
    SPACING: "must be a count such as 50, 'ddim50', or counts for equal sections such as '10,20'",
    TEXT: "must be of one line",
}
_BINARY = {"posterior", "posterior_free"}
"""Modes that know masks of 0 and 1 alone."""
_BRANCHES = {"int", "str", "float", "bool", "constrained-str", "constrained-int"}
_RESERVED = {
    "datasets": {"ready"},
    "networks": {"blind", "fingerprint", "grown"},
    "modes": {REFERENCE, "none", "measured"},
    "samplers": {PREDICTION, "all_foreground", "mean_mask"},
    "readings": {PREDICTION, "all_foreground", "mean_mask"},
}
"""Names that tables and folders give to something else."""


# What is written --------------------------------------------------------------------------------


def in_settings(
    model: type[BaseModel], given: Any, place: str, document: Mapping[str, Any]
) -> Mistakes:
    """Mistakes in a part of a study: types, bounds, unknown fields and unknown names.

    Args:
        model: what the part may say.
        given: what it says.
        place: of the part, dotted; "" for the whole study.
        document: the study as its file says it, which names refer to.
    """
    names = _Names(document)
    names.visit(model, given, place)
    return names.mistakes | told(model, given, place)


def told(model: type[BaseModel], given: Any, place: str) -> Mistakes:
    """What pydantic finds wrong, as sentences."""
    try:
        model.model_validate(given)
    except ValidationError as error:
        items = error.errors()
        # A list whose only item is wrong counts as an empty one, too.
        within = {item["loc"][:-1] for item in items}
        return dict(
            _sentence(item, place, model)
            for item in items
            if item["type"] != "too_short" or item["loc"] not in within
        )
    return {}


def _sentence(item: Any, prefix: str, model: type[BaseModel]) -> tuple[str, str]:
    """Place and sentence of one mistake of pydantic's."""
    parts = [str(part) for part in item["loc"] if part != "[key]"]
    if parts and parts[-1] in _BRANCHES and not isinstance(item["input"], dict):
        parts.pop()  # of a field that may be of several types
    place = _at(prefix, *parts) or "study"
    given = f", got {_shown(item['input'])}"
    if item["type"] == "missing":
        return place, "this field is required"
    if item["type"] == "extra_forbidden":
        return place, unknown(parts[-1], "field", list(_model_at(model, item["loc"]).model_fields))
    if item["type"] == "string_pattern_mismatch" and item["ctx"]["pattern"] in _PATTERNS:
        return place, _PATTERNS[item["ctx"]["pattern"]] + given
    if item["type"] in {"too_short", "too_long"}:
        least, most = item["ctx"].get("min_length"), item["ctx"].get("max_length")
        bound = f"{least} or more" if item["type"] == "too_short" else f"{most} at most"
        return place, f"needs {bound}, got {item['ctx']['actual_length']}"
    return place, _SAID.get(item["type"], item["msg"]).replace("Input should", "must") + given


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _at(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _model_at(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel]:
    """The settings type that holds the field at a location of field names, keys and indices."""
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is not None and (found := _models_in(field.annotation)):
            model = found[0]
    return model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Settings types inside an annotation such as ``dict[Name, Dataset]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models_in(inner)]


class _Names:
    """A walk over settings as they are written, along with their types and what these mark."""

    def __init__(self, document: Mapping[str, Any]):
        self.document = document
        self.mistakes: Mistakes = {}

    def visit(self, annotation: Any, value: Any, place: str) -> None:
        """Look up the names in a value of a type."""
        origin, inner = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            for mark in annotation.__metadata__:
                self._look_up(mark, value, place, {})
            self.visit(inner[0], value, place)
        elif origin in {Union, types.UnionType}:
            for each in inner:
                self.visit(each, value, place)
        elif origin is tuple and isinstance(value, list):
            for index, item in enumerate(value):
                kind = inner[0] if inner[-1] is ... else inner[min(index, len(inner) - 1)]
                below = isinstance(item, list | dict)
                self.visit(kind, item, _at(place, str(index)) if below else place)
        elif origin is dict and isinstance(value, dict):
            self._visit_mapping(inner[0], inner[1], value, place)
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            self._visit_model(annotation, value, place)
        elif annotation in {int, float} and isinstance(value, bool):
            self.mistakes[place] = f"must be a number, got {str(value).lower()}"

    def _visit_mapping(self, key: Any, kind: Any, value: Mapping[str, Any], place: str) -> None:
        marks = key.__metadata__ if get_origin(key) is Annotated else ()
        for name, item in value.items():
            for mark in marks:
                self._look_up(mark, name, _at(place, str(name)), {})
                if isinstance(mark, Plugin) and isinstance(name, str):
                    self._check_options(mark.kind, name, item, _at(place, name))
            self.visit(kind, item, _at(place, str(name)))

    def _visit_model(self, model: type[BaseModel], value: Any, place: str) -> None:
        for name, field in model.model_fields.items() if isinstance(value, dict) else ():
            key = field.alias or name
            given = value[key] if key in value else field.get_default()
            for mark in field.metadata:
                self._look_up(mark, given, _at(place, key), value)
            if key in value:
                self.visit(field.annotation, given, _at(place, key))
                is_pattern = key.endswith("_pattern") and isinstance(given, str)
                if is_pattern and (fault := fault_of(given)):
                    self.mistakes[_at(place, key)] = fault

    def _look_up(self, mark: Any, given: Any, place: str, beside: Mapping[str, Any]) -> None:
        if isinstance(mark, Ref):
            self._check_names(mark.sections, given, place)
        elif isinstance(mark, Plugin) and isinstance(given, str):
            self._check_plugin(mark.kind, given, place)
            if mark.options:
                options = beside.get(mark.options)
                owner = place.rpartition(".")[0]
                self._check_options(mark.kind, given, options, _at(owner, mark.options))
        elif isinstance(mark, OptionsOf):
            self._check_options(mark.kind, mark.name, given, place)
        elif isinstance(mark, Part):
            self._check_part(mark.part, given, place)

    def _check_names(self, sections: tuple[str, ...], given: Any, place: str) -> None:
        several = given if isinstance(given, list) else [given]
        names = [name for name in several if isinstance(name, str)]
        parts = [self.document.get(section, {}) for section in sections]
        if not all(isinstance(part, dict) for part in parts):
            return  # told as what it is
        known = [str(name) for part in parts for name in part]
        for name in names:
            if name not in known:
                self.mistakes[place] = unknown(name, sections[0][:-1], known)
            elif names.count(name) > 1:
                self.mistakes[place] = f"'{name}' stands twice; remove one"

    def _check_plugin(self, kind: str, name: str, place: str) -> None:
        reason = plugins.missing(kind, name)
        if reason is None:
            return
        what = _WORDS.get(kind, kind)
        sentence = unknown(name, what, plugins.names(kind))
        self.mistakes[place] = f"{what} '{name}': {reason}" if ":" in name else sentence

    def _check_options(self, kind: str, name: str, given: Any, place: str) -> None:
        if plugins.missing(kind, name):
            return
        try:
            model = plugins.options(kind, name)
        except UserError as error:  # of a plug-in from outside
            self.mistakes[place] = str(error).rstrip(".")
            return
        options = {} if given is None else given
        self.visit(model, options, place)
        self.mistakes |= told(model, options, place)

    def _check_part(self, part: str, given: Any, place: str) -> None:
        """Check fields put over those of a part; what is wrong in that part is told there."""
        model, base = Study.model_fields[part].annotation, self.document.get(part, {})
        if not isinstance(given, dict) or not isinstance(base, dict):
            return  # told as what it is
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        found = in_settings(model, merged(base, given), place, self.document)
        known = in_settings(model, base, place, self.document) if found else {}
        self.mistakes |= {where: why for where, why in found.items() if where not in known}


# What only several fields together show ---------------------------------------------------------


def between_fields(study: Study) -> Mistakes:
    """Mistakes that only several fields together show."""
    total = sum(study.shares.model_dump().values())
    mistakes: Mistakes = {}
    if abs(total - 1) > 1e-6:
        mistakes["shares"] = f"train, val and test must add up to 1, got {total:g}"
    for mode in ("", *study.modes):
        seeds = study.modes[mode].seeds if mode else study.seeds
        if seeds is not None and len(set(seeds)) < len(seeds):
            mistakes[_at(mode and f"modes.{mode}", "seeds")] = f"a seed stands twice in {seeds}"
    for section, reserved in _RESERVED.items():
        for name in reserved & set(getattr(study, section)):
            mistakes[f"{section}.{name}"] = (
                f"'{name}' means something else in tables or folders; rename it"
            )
    for first, second in (("samplers", "readings"), ("networks", "baselines")):
        for name in set(getattr(study, first)) & set(getattr(study, second)):
            mistakes[f"{second}.{name}"] = f"'{name}' is already the name of one of the {first}"
    if mistakes:
        return mistakes
    return _in_readings(study) or (
        _in_samplings(study)
        | _in_heads(study)
        | _in_analysis(study)
        | _in_soft_labels(study)
        | _in_quirks(study)
        | _in_batches(study)
    )


def _in_readings(study: Study) -> Mistakes:
    """Readings of more draws or seeds than there are."""
    mistakes: Mistakes = {}
    for name, reading in study.readings.items():
        if reading.draws is not None and reading.draws > study.samplers[reading.of].draws:
            mistakes[f"readings.{name}.draws"] = (
                f"must be at most {study.samplers[reading.of].draws}, the draws of sampler "
                f"'{reading.of}', got {reading.draws}"
            )
    for mode, entry in study.modes.items():
        seeds = seeds_of(study, mode)
        for name in entry.samplers:
            if seeds_read(study, name) > len(seeds):
                mistakes[f"modes.{mode}.seeds"] = (
                    f"reading '{name}' takes {seeds_read(study, name)} trainings together, but "
                    f"there are {len(seeds)} seeds"
                )
    return mistakes


def _in_batches(study: Study) -> Mistakes:
    """Batches that the processes of a training cannot share."""
    processes = study.compute.processes
    batches = {run_settings(study, each).training.batch for each in trainings_of(study)}
    uneven = sorted(batch for batch in batches if batch % processes)
    if not uneven:
        return {}
    return {
        "compute.processes": f"{processes} processes cannot share a training.batch of {uneven[0]} "
        "evenly; give a number that divides it"
    }


def _in_heads(study: Study) -> Mistakes:
    """Samplers of a calibration head that a network does not have."""
    mistakes: Mistakes = {}
    for training in trainings_of(study):
        architecture = study.networks[training.network].architecture
        for name in samplers_of(study, training):
            asked = sampler_behind(study, name).head == "calibration"
            if asked and not plugins.has("architecture", architecture, "calibrated"):
                source = study.readings[name].of if name in study.readings else name
                mistakes[f"samplers.{source}.head"] = (
                    f"network '{training.network}' has no calibration head; give the sampler "
                    "`networks`, those that have one, or score the output"
                )
    return mistakes


def _in_soft_labels(study: Study) -> Mistakes:
    """Modes whose likelihood knows no pixel between foreground and background."""
    binary = {name for name, mode in study.modes.items() if mode.mode in _BINARY}
    return {
        f"datasets.{training.dataset}.options.several": (
            f"'soft' is a share of annotators, but mode '{training.mode}' adds the evidence of "
            "pixels that are either 0 or 1; choose 'majority' or 'staple', or give the dataset "
            "`modes` without it"
        )
        for training in trainings_of(study)
        if training.mode in binary and soft(study.datasets[training.dataset])
    }


def _in_quirks(study: Study) -> Mistakes:
    """Pairs that differ in more than a quirk, or that no mode is scored with."""
    mistakes: Mistakes = {}
    for name, quirk in study.quirks.items():
        if bool(quirk.readings) == bool(quirk.datasets):
            mistakes[f"quirks.{name}"] = (
                "give either `readings` or `datasets`, what is proper with what has the quirk, got "
                f"{'both' if quirk.readings else 'neither'}"
            )
        for proper, other in quirk.readings.items():
            place = f"quirks.{name}.readings.{proper}"
            if other not in study.readings or not _alike(study, proper, other):
                mistakes[place] = (
                    f"'{other}' must be a reading of the same draws, and of as many, as '{proper}'"
                )
            elif not any({proper, other} <= set(mode.samplers) for mode in study.modes.values()):
                mistakes[place] = f"no mode has both '{proper}' and '{other}' among its samplers"
        for proper, other in quirk.datasets.items():
            one, two = study.datasets[proper], study.datasets[other]
            cut = [
                (each.kind, each.options, each.tile, each.shrink, each.aspect)
                for each in (one, two)
            ]
            if proper == other or cut[0] != cut[1]:
                mistakes[f"quirks.{name}.datasets.{proper}"] = (
                    f"'{other}' must be another dataset of the same cases as '{proper}': give both "
                    "the same kind, options, tile, shrink and aspect"
                )
    return mistakes


def _alike(study: Study, one: str, other: str) -> bool:
    """Whether two samplers or readings are of the same draws, and of as many."""
    return (
        sampler_behind(study, one) == sampler_behind(study, other)
        and draws_of(study, one) == draws_of(study, other)
        and seeds_read(study, one) == seeds_read(study, other)
    )


def _in_samplings(study: Study) -> Mistakes:
    """Samplers that do not fit the number of timesteps of a training they are used for."""
    mistakes: Mistakes = {}
    for training in trainings_of(study):
        timesteps = run_settings(study, training).diffusion.schedule.timesteps
        for name in samplers_of(study, training):
            entry = sampler_behind(study, name)
            length = timesteps if entry.start is None else entry.start + 1
            whose = f" for mode {training.mode} of {training.network} on {training.dataset}"
            if length > timesteps:
                mistakes.setdefault(
                    f"samplers.{name}.start",
                    f"must be between 0 and {timesteps - 1}{whose}, got {entry.start}",
                )
            elif not _visitable(entry.steps, length):
                mistakes.setdefault(
                    f"samplers.{name}.steps",
                    f"must be between 1 and {length}{whose}, got {entry.steps}"
                    if isinstance(entry.steps, int)
                    else f"must be a spacing of {length} timesteps{whose}, got {entry.steps!r}",
                )
    return mistakes


def _visitable(steps: int | str, length: int) -> bool:
    """Whether a sampler can visit so many of `length` timesteps."""
    if isinstance(steps, int):
        return 1 <= steps <= length
    counts = [int(count) for count in steps.removeprefix("ddim").split(",")]
    if steps.startswith("ddim"):
        strides = range(1, length + 1)
        return len(counts) == 1 and any(-(-length // s) == counts[0] for s in strides)
    size, longer = divmod(length, len(counts))
    return all(1 <= count <= size + (n < longer) for n, count in enumerate(counts))


def _in_analysis(study: Study) -> Mistakes:
    """A pair that is not measured, or trainings that would wait for their own measurement."""
    mistakes: Mistakes = {}
    analysis, pair = study.analysis, study.analysis.pair
    for field, name in pair.model_dump().items() if pair else ():
        if name not in analysis.measured:
            mistakes[f"analysis.pair.{field}"] = f"'{name}' must be among analysis.measured"
    for network, ratio in steps_ratios(study).items():
        if ratio <= 1:
            mistakes[f"analysis.shorter.{network}"] = (
                f"'{analysis.shorter[network]}' must be trained with fewer steps than '{network}': "
                "give one of them others in `overrides`"
            )
    waiting = [training for training in trainings_of(study) if _waits(study, training)]
    for mode in sorted({training.mode for training in waiting} & set(analysis.measured)):
        mistakes["analysis.measured"] = (
            f"mode '{mode}' has the weighting 'benefit', which is taken from a measurement of "
            "other modes: leave it out"
        )
    places = measured_modes(study)
    for training in waiting:
        if pair is None or "val" not in analysis.splits or training.measured() not in places:
            mistakes[f"modes.{training.mode}"] = (
                "its weighting 'benefit' is taken from a measured pair on val: give analysis.pair, "
                f"measure network '{training.network}', and have val among analysis.splits"
            )
    return mistakes


def _waits(study: Study, training: Training) -> bool:
    return needs_measurement(run_settings(study, training).diffusion)
