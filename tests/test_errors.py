"""The sentence for a name that does not exist."""

from noise2mask.errors import unknown


def test_an_unknown_name_is_told_with_the_nearest_and_all():
    assert unknown("ddimm", "sampler", ["ddpm", "ddim"]) == (
        "unknown sampler 'ddimm'; did you mean 'ddim'? Valid: ddpm, ddim"
    )
    assert unknown("xyz", "mode", []) == "unknown mode 'xyz'; Valid: none"
