"""The schema that editors use and the page of keys say what the types say."""

import json

import jsonschema
import pytest
import yaml
from helpers.project import ROOT

from noise2mask import plugins
from noise2mask.study.document import read_document
from noise2mask.study.documentation import MODELINE, PAGE, SCHEMA, json_schema, page
from noise2mask.study.schema import Study

TEXT = (ROOT / "config" / SCHEMA).read_text(encoding="utf-8")
CHECKER = jsonschema.Draft202012Validator(json.loads(TEXT))
STUDIES = sorted((ROOT / "config").glob("*.yaml"))


def test_what_is_committed_is_current():
    current = json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"
    again = "the types have changed: run `noise2mask schema` and commit what it writes"
    assert current == TEXT, again
    assert (ROOT / "config" / PAGE).read_text(encoding="utf-8") == page(json_schema()), again


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(json.loads(TEXT))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_studies_of_the_project_pass(path):
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    assert first == MODELINE or "yaml-language-server" not in first
    assert [error.message for error in CHECKER.iter_errors(read_document(path))] == []


OTHER = {"overrides": [{"diffusion": {"schedule": {"options": {"gamma": 1}}}}]}


@pytest.mark.parametrize(
    ("place", "value", "right"),
    [
        ("extra", 1, False),
        ("resolution", 3, False),
        ("resolution", True, False),
        ("references", {}, True),
        ("diffusion.target", "v", True),
        ("diffusion.target", "x0", False),
        ("diffusion.schedule", {"name": "lin"}, False),
        ("diffusion.schedule", {"name": "cosine", "options": {"s": 0.1}}, True),
        ("diffusion.schedule", {"name": "cosine", "options": {"first": 0.1}}, False),
        ("diffusion.schedule", {"name": "mine.schedules:steep", "options": {"a": 1}}, True),
        ("networks.segdiff.options.width", 0, False),
        ("networks.segdiff.options.widht", 32, False),
        ("datasets.lesion_phantom.options.family", "moon", False),
        ("datasets.lesion_phantom.augmentation.flip", True, False),
        ("datasets.mine", {"named": "busi"}, True),
        ("datasets.mine", {"named": "bussi"}, False),
        ("datasets.mine", {"title": "mine"}, False),
        ("datasets.Mine", {"named": "busi"}, False),
        ("samplers.ddim2.options", {"eta": 2}, False),
        ("samplers.ddim2.steps", "ddim50", True),
        ("samplers.ddim2.steps", "often", False),
        ("evaluation.metrics", {"nsd": {"tolerance": 1}}, True),
        ("evaluation.metrics", {"nsd": {"tolerances": 1}}, False),
        ("overrides", [{"training": {"steps": 3}}], True),
        ("overrides", [{"training": {"stepps": 3}}], False),
        ("overrides", [{"diffusion": {"schedule": {"input_scale": 1.0}}}], True),
        ("overrides", [{"diffusion": {"schedule": {"input_scale": 100}}}], False),
        ("analysis.oracles", ["pixel"], True),
        ("analysis.oracles", ["pixl"], False),
    ],
)
def test_it_tells_right_from_wrong(place, value, right):
    document = yaml.safe_load((ROOT / "config" / "test.yaml").read_text())
    *parents, last = place.split(".")
    inner = document
    for parent in parents:
        inner = inner.setdefault(parent, {})
    inner[last] = value
    assert CHECKER.is_valid(document) is right


def test_folders_stand_for_datasets_and_leave_them_less_to_say():
    document = yaml.safe_load((ROOT / "config" / "test.yaml").read_text())
    del document["datasets"]
    assert not CHECKER.is_valid(document)
    document["folders"] = {"root": "{data}"}
    assert CHECKER.is_valid(document)
    document["datasets"] = {"mine": {"title": "mine"}}
    assert CHECKER.is_valid(document)


def test_the_page_tells_every_key_and_every_plug_in():
    text = page(json_schema())
    for key in Study.model_fields:
        assert f"\n| `{key}` |" in text
    shown = set(plugins.KINDS) - {"augmentation", "claim", "figure"}  # these have no names in it
    for kind in sorted(shown):
        for name in plugins.bundled(kind):
            assert f"\n- `{name}`" in text
    for line in text.splitlines():
        if line.startswith("| `"):  # what it means
            assert line.split(" | ")[-1].rstrip("| ").strip(), line
