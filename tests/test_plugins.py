"""Names and options are read from source; a new file or function is found by itself."""

import inspect
import sys

import pytest
from pydantic import ValidationError

from noise2mask import plugins
from noise2mask.analysis.oracles.oracles import ORACLES


def test_the_names_a_study_may_use():
    assert set(plugins.names("architecture")) == {"ensemdiff", "medsegdiff", "monai", "segdiff"}
    assert set(plugins.names("format")) == {
        "aperio", "folder", "her2", "medsegbench", "pairs", "phantoms", "photographs", "table",
        "volumes",
    }  # fmt: skip
    assert set(plugins.names("sampler")) == {
        "ddpm", "ddim", "dpm_solver", "one_pass",
    }  # fmt: skip
    assert set(plugins.names("schedule")) == {
        "linear", "cosine", "sigmoid", "adapted",
    }  # fmt: skip
    assert set(plugins.names("weighting")) == {
        "uniform", "min_snr", "snr_plus_one", "benefit",
    }  # fmt: skip
    assert set(plugins.names("mode")) == {
        "feed_forward", "diffusion", "image_free", "image_diffusion", "dice_diffusion", "recycling",
        "posterior", "posterior_free", "cross_entropy", "dice", "squared",
    }  # fmt: skip


def test_keys_of_a_mapping_are_read_without_importing_it():
    assert plugins.names("oracle") == tuple(ORACLES)
    with pytest.raises(KeyError, match="no mapping 'NOTHING'"):
        plugins._keys("analysis.oracles.oracles", "NOTHING")


PLUGGABLE = [
    *(
        (kind, name)
        for kind in (
            "architecture", "calibration", "format", "metric", "sampler", "schedule", "weighting",
        )
        for name in plugins.names(kind)
    ),
    ("augmentation", "augment"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name"), PLUGGABLE)
def test_options_read_from_source_are_those_of_the_function(kind, name):
    model = plugins.options(kind, name)
    signature = inspect.signature(plugins.member(kind, name))
    keywords = {
        option: parameter.default
        for option, parameter in signature.parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and option not in {"generator", "draws"}
    }
    fields = {field.alias or option: field for option, field in model.model_fields.items()}
    assert set(fields) == set(keywords)
    for option, field in fields.items():
        assert field.is_required() == (keywords[option] is inspect.Parameter.empty)
        if not field.is_required():
            assert field.default == keywords[option]
        assert field.description, f"option {option} of {kind} {name} has no description"


def test_bounds_are_read_too():
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        plugins.options("sampler", "ddim")(eta=2)


def test_reading_does_not_import(monkeypatch):
    monkeypatch.delitem(sys.modules, "noise2mask.networks.segdiff", raising=False)
    plugins.options.cache_clear()
    plugins.options("architecture", "segdiff")
    assert "noise2mask.networks.segdiff" not in sys.modules


def test_what_a_decorator_says_is_read_without_import(monkeypatch):
    for name in ("noise2mask.report.figures.evaluation", "noise2mask.evaluation.ensembles"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    plugins.declared.cache_clear()
    assert plugins.declared("ensemble", "diversity") == {
        "title": "Diversity of draws", "better": 0, "draws": 2,
    }  # fmt: skip
    assert "noise2mask.evaluation.ensembles" not in sys.modules
    with pytest.raises(KeyError, match="no decorator"):
        plugins.declared("sampler", "ddim")


def test_functions_without_the_decorator_are_no_plugins(tmp_path, monkeypatch):
    assert "measure_of" not in plugins.names("metric")
    assert not {"concluded", "decide"} & {*plugins.names("claim"), *plugins.names("prediction")}
    (tmp_path / "lab_scores.py").write_text(
        "from noise2mask.evaluation.metrics import metric\n\n\n"
        "@metric(title='Wrong pixels', better=-1)\n"
        "def wrong(prediction, reference):\n    return float((prediction != reference).sum())\n\n\n"
        "def plain(prediction, reference):\n    return 0.0\n"
    )
    monkeypatch.chdir(tmp_path)
    assert plugins.missing("metric", "lab_scores:wrong") is None
    assert plugins.declared("metric", "lab_scores:wrong")["title"] == "Wrong pixels"
    assert "lacks the decorator @metric(...)" in plugins.missing("metric", "lab_scores:plain")
