"""What a study may say, for editors and readers: a JSON schema and a page, made from the types.

``config/study.schema.json`` lets an editor complete and check a study while it is written, names
of plug-ins and their options included; what only several parts of a study show together is
checked when it is read. ``config/README.md`` tells the same to a reader. Neither is edited by hand.
"""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from noise2mask import plugins
from noise2mask.data import catalogue
from noise2mask.files import write_text
from noise2mask.plugins import KINDS, OptionsOf, Plugin, Ref
from noise2mask.study.schema import NAME, SPACING, TEXT, Dataset, Folders, Part, Study

Json = dict[str, Any]

SCHEMA, PAGE = "study.schema.json", "README.md"
MODELINE = f"# yaml-language-server: $schema={SCHEMA}"
"""First line of a study: what editors check it with."""

_NAMED = "x-name-of"
"""Keyword, which checkers skip, of a text that is the name of another part of the study."""
_OUTSIDE = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"
_PATTERNS = {NAME: "name", SPACING: "'ddimN' or '10,20'", TEXT: "text", _OUTSIDE: "module:function"}
_TITLES = {
    "format": "Kinds of datasets",
    "architecture": "Architectures",
    "mode": "Modes",
    "schedule": "Noise schedules",
    "weighting": "Weightings of timesteps",
    "sampler": "Samplers",
    "fusion": "Fusions",
    "metric": "Metrics of masks",
    "calibration": "Metrics of probabilities",
    "ensemble": "Metrics of the draws",
    "oracle": "Oracles",
    "baseline": "Baselines",
    "prediction": "Predictions (`hypotheses`)",
}


def write_documentation(folder: Path) -> None:
    """Write the schema and the page into the folder of studies."""
    schema = json_schema()
    write_text(folder / SCHEMA, json.dumps(schema, indent=1, ensure_ascii=False) + "\n")
    write_text(folder / PAGE, page(schema))


# The schema -------------------------------------------------------------------------------------


def json_schema() -> Json:
    """The JSON schema (draft 2020-12) of a study."""
    schema = _plain(Study.model_json_schema())
    parts: Json = schema["$defs"]
    models: list[type[BaseModel]] = [Study, *_settings_in(Study)]
    for model in models:
        _mark(model, schema if model is Study else parts[model.__name__])
    # A dataset may leave to the table of datasets, or to `folders`, what else it has to say.
    whole = parts[Dataset.__name__].pop("required")
    parts[Dataset.__name__]["properties"]["named"] = {
        **parts[Dataset.__name__]["properties"]["named"],
        "anyOf": [{"enum": sorted(catalogue.entries())}, {"type": "null"}],
    }
    known = parts[Folders.__name__]["properties"]["known"]
    known["patternProperties"] = {NAME: _ref(Dataset.__name__)}
    parts[Dataset.__name__]["properties"]["stand_in"]["anyOf"] = [
        _ref(Dataset.__name__),
        {"type": "null"},
    ]
    schema["required"].remove("datasets")
    each = {"anyOf": [{"required": whole}, {"required": ["named"]}]}
    schema["anyOf"] = [
        {"required": ["folders"]},
        {
            "required": ["datasets"],
            "properties": {"datasets": {"additionalProperties": each}},
        },
    ]
    schema["properties"]["references"] = {
        **schema["properties"]["baselines"],
        "description": "older name of `baselines`",
        "deprecated": True,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A study of noise2mask",
        **schema,
    }


def _plain(content: Any, *, names: bool = False) -> Any:
    """A schema without the titles that pydantic makes of names; `names`: its keys are names."""
    if isinstance(content, list):
        return [_plain(part) for part in content]
    if not isinstance(content, dict):
        return content
    found = {
        key: _plain(value, names=not names and key in {"properties", "$defs"})
        if key != "default"
        else value
        for key, value in content.items()
        if names or key != "title"
    }
    if "patternProperties" in found and not names:
        found["additionalProperties"] = False  # a name that is none is no key either
    return found


def _settings_in(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The settings types below one, each once, in the order of the file."""
    seen: dict[type[BaseModel], None] = {}

    def enter(each: type[BaseModel]) -> None:
        for field in each.model_fields.values():
            for inner in _models_in(field.annotation):
                if inner not in seen:
                    seen[inner] = None
                    enter(inner)

    enter(model)
    return iter(seen)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


def _ref(name: str) -> Json:
    return {"$ref": f"#/$defs/{name}"}


def _mark(model: type[BaseModel], schema: Json) -> None:
    """Add to the schema of a type what its fields are marked with."""
    conditions = []
    for name, field in model.model_fields.items():
        place = schema["properties"][name]
        if "$ref" in place and "description" not in place:
            place["description"] = _first_line(field)
        for mark in field.metadata:
            if isinstance(mark, Plugin) and mark.options:
                conditions += [_then(name, mark, each) for each in plugins.bundled(mark.kind)]
            _apply(mark, place)
        _mark_inside(field.annotation, place)
    if conditions:
        schema["allOf"] = conditions


def _first_line(field: FieldInfo) -> str:
    (model,) = _models_in(field.annotation)
    return (model.__doc__ or "").partition("\n")[0]


def _mark_inside(annotation: Any, place: Json) -> None:
    """Add what is marked within the type of a field: the items of a list, the keys of a mapping."""
    inner = get_args(annotation)
    origin = get_origin(annotation)
    if origin in {Union, UnionType}:
        for part, below in zip(inner, place.get("anyOf", [place]), strict=False):
            _mark_inside(part, below)
    elif origin is tuple and get_origin(inner[0]) is Annotated and "items" in place:
        for mark in inner[0].__metadata__:
            _apply(mark, place["items"])
    elif origin is dict and get_origin(inner[0]) is Annotated:
        for mark in inner[0].__metadata__:
            if isinstance(mark, Plugin):
                known = plugins.bundled(mark.kind)
                place["properties"] = {name: _options(mark.kind, name) for name in known}


def _apply(mark: Any, place: Json) -> None:
    if isinstance(mark, Ref):
        for text in _texts(place):
            text[_NAMED] = " or ".join(section[:-1] for section in mark.sections)
    elif isinstance(mark, Plugin):
        (text,) = _texts(place)
        text.pop("type")
        known: Json = {"enum": list(plugins.bundled(mark.kind))}
        closed = KINDS[mark.kind].mapping is not None
        text |= known if closed else {"anyOf": [known, {"type": "string", "pattern": _OUTSIDE}]}
    elif isinstance(mark, OptionsOf):
        place |= _options(mark.kind, mark.name)
    elif isinstance(mark, Part):
        (model,) = _models_in(Study.model_fields[mark.part].annotation)
        place.pop("additionalProperties")
        place |= _ref(model.__name__)


def _texts(place: Json) -> list[Json]:
    """The schemas of text in that of a value: itself, its alternatives, the items of a list."""
    inner = [*place.get("anyOf", ()), *place.get("prefixItems", ())]
    inner += [place["items"]] if isinstance(place.get("items"), dict) else []
    own = [place] if place.get("type") == "string" else []
    return own + [text for each in inner for text in _texts(each)]


def _then(field: str, mark: Plugin, name: str) -> Json:
    """The options of one plug-in, where the field names it."""
    return {
        "if": {"properties": {field: {"const": name}}, "required": [field]},
        "then": {"properties": {mark.options: _options(mark.kind, name)}},
    }


def _options(kind: str, name: str) -> Json:
    found: Json = _plain(plugins.options(kind, name).model_json_schema())
    found.pop("description", None)
    return found


# The page ---------------------------------------------------------------------------------------

_HEAD = f"""# What a study may say

A study is a YAML file in this folder; `noise2mask new-study <name>` begins one, `noise2mask check
--study <name>` says what is wrong with it and what it comes to, `make reproduce STUDY=<name>` runs
it. Editors that know YAML schemas complete and check it while it is written, by its first line:

```yaml
{MODELINE}
```

Every combination of `datasets`, `networks`, `modes` and `seeds` is one training. `{{data}}` in the
options of a dataset stands for the folder given as DATA. Where a key has no default it is needed.
In place of the name of a plug-in `module:function` takes one from another package or from the
working folder.

This page and `{SCHEMA}` are written by `noise2mask schema` from the types that check a
study; edit those.
"""


def page(schema: Json) -> str:
    """The page in Markdown: every key of a study, then every plug-in with its options."""
    parts: Mapping[str, Json] = schema["$defs"]
    pieces = [_HEAD, "## The study\n", _table(schema)]
    for name in (model.__name__ for model in _settings_in(Study)):
        part = parts[name]
        text = re.sub(r"\s*\n(?!\n)\s*", " ", part["description"]).strip()
        text = "\n\n".join(textwrap.fill(text, 100).split("\n\n"))
        pieces.append(f"### {name}\n\n{text}\n")
        pieces.append(_table(part))
    pieces.append("## Names and their options\n")
    for kind, title in _TITLES.items():
        pieces.append(f"### {title}\n")
        pieces += _plugins(kind)
    pieces += ["### Augmentation\n", _table(_options("augmentation", "augment"))]
    return "\n".join(pieces).rstrip() + "\n"


def _plugins(kind: str) -> Iterator[str]:
    """A list of the plug-ins of a kind, each with a table of its options, if it has any."""
    for name in plugins.bundled(kind):
        if KINDS[kind].mapping:
            yield f"- `{name}`"
            continue
        # Shapes are for those who call it.
        yield f"- `{name}`: {plugins.summary(kind, name).replace(', (B,)', '')}"
        options = _options(kind, name)
        if options.get("properties"):
            yield "\n" + textwrap.indent(_table(options), "  ")
    yield ""


def _table(schema: Json) -> str:
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, place in schema.get("properties", {}).items():
        told = "default" in place and "$ref" not in place
        default = f"`{_shown(place['default'])}`" if told else ""
        cells = (f"`{key}`", _value(place), default, place.get("description", ""))
        rows.append(f"| {' | '.join(_cell(text) for text in cells)} |")
    return "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value or '""'


def _value(place: Json) -> str:
    """What a value may be, in words."""
    if "$ref" in place:
        name = place["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in place:
        return ", ".join(f"`{each}`" for each in place["enum"])
    if "const" in place:
        return f"`{place['const']}`"
    if "anyOf" in place:
        kinds = [_value(each) for each in place["anyOf"] if each.get("type") != "null"]
        return " or ".join(kinds)
    kind = place.get("type")
    if kind == "array":
        if "prefixItems" in place:
            return "list of two: " + ", ".join(_value(each) for each in place["prefixItems"])
        return f"list: {_value(place['items'])}" if place.get("items") else "list"
    if kind == "object":
        below = place.get("additionalProperties")
        below = next(iter(place.get("patternProperties", {}).values()), below)
        if "properties" in place:
            return "mapping: " + ", ".join(f"`{name}`" for name in place["properties"])
        return f"mapping of names to {_value(below)}" if isinstance(below, dict) else "mapping"
    if kind == "string" and _NAMED in place:
        return f"{place[_NAMED]} of the study"
    if kind == "string":
        return _PATTERNS.get(place.get("pattern", TEXT), "text")
    if kind in {"integer", "number"}:
        return f"{kind}{_bounds(place)}"
    return {"boolean": "true or false"}.get(str(kind), "anything")


def _bounds(place: Json) -> str:
    words = {
        "minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most",
        "exclusiveMaximum": "below",
    }  # fmt: skip
    found = [f"{word} {_number(place[bound])}" for bound, word in words.items() if bound in place]
    return f", {', '.join(found)}" if found else ""


def _number(value: float) -> str:
    return f"{value:,.15g}".replace(",", " ") if abs(value) >= 1 else f"{value:g}"
