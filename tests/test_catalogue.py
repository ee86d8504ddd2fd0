"""Names and options are read from source; a new file or function is found by itself."""

import inspect
import sys

import pytest
from pydantic import ValidationError

from noise2mask import catalogue
from noise2mask.analysis.oracles import ORACLES


def test_the_names_a_study_may_use():
    assert set(catalogue.files("networks", "build")) == {"ensemdiff", "medsegdiff", "segdiff"}
    assert set(catalogue.files("datasets", "sources")) == {
        "aperio", "folder", "her2", "medsegbench", "pairs", "phantoms", "photographs", "volumes",
    }  # fmt: skip
    assert set(catalogue.functions("diffusion.samplers")) == {
        "ddpm", "ddim", "dpm_solver", "one_pass",
    }  # fmt: skip
    assert set(catalogue.functions("diffusion.schedule")) == {
        "linear", "cosine", "sigmoid", "adapted",
    }  # fmt: skip
    assert set(catalogue.functions("diffusion.weighting")) == {
        "uniform", "min_snr", "snr_plus_one", "benefit",
    }  # fmt: skip
    assert set(catalogue.functions("diffusion.modes")) == {
        "feed_forward", "diffusion", "image_free", "image_diffusion", "dice_diffusion", "recycling",
        "posterior", "posterior_free", "cross_entropy", "dice",
    }  # fmt: skip


def test_keys_of_a_mapping_are_read_without_importing_it():
    assert catalogue.keys("analysis.oracles", "ORACLES") == tuple(ORACLES)
    with pytest.raises(KeyError, match="no mapping 'NOTHING'"):
        catalogue.keys("analysis.oracles", "NOTHING")


PLUGGABLE = [
    *((f"networks.{name}", "build") for name in catalogue.files("networks", "build")),
    *((f"datasets.{name}", "sources") for name in catalogue.files("datasets", "sources")),
    *(
        (module, name)
        for module in (
            "diffusion.samplers", "diffusion.schedule", "diffusion.weighting", "metrics",
            "calibration",
        )
        for name in catalogue.functions(module)
    ),
    ("transforms", "augment"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "function"), PLUGGABLE)
def test_options_read_from_source_are_those_of_the_function(module, function):
    model = catalogue.options(module, function)
    signature = inspect.signature(catalogue.member(module, function))
    keywords = {
        name: parameter.default
        for name, parameter in signature.parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in {"generator", "draws"}
    }
    assert set(model.model_fields) == set(keywords)
    for name, field in model.model_fields.items():
        assert field.is_required() == (keywords[name] is inspect.Parameter.empty)
        if not field.is_required():
            assert field.default == keywords[name]
        assert field.description, f"option {name} of {module}.{function} has no description"


def test_bounds_are_read_too():
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        catalogue.options("diffusion.samplers", "ddim")(eta=2)


def test_reading_does_not_import(monkeypatch):
    monkeypatch.delitem(sys.modules, "noise2mask.networks.segdiff", raising=False)
    catalogue.options.cache_clear()
    catalogue.options("networks.segdiff", "build")
    assert "noise2mask.networks.segdiff" not in sys.modules


def test_an_unknown_name_is_told_with_the_nearest_and_all():
    assert catalogue.unknown("ddimm", "sampler", ["ddpm", "ddim"]) == (
        "unknown sampler 'ddimm'; did you mean 'ddim'? Valid: ddpm, ddim"
    )
    assert catalogue.unknown("xyz", "mode", []) == "unknown mode 'xyz'; Valid: none"
