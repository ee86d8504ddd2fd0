"""Which timesteps a shortened process visits."""

from itertools import pairwise

import pytest
import torch
from helpers.project import ROOT
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from noise2mask.diffusion import schedule
from noise2mask.diffusion.respacing import respace
from noise2mask.errors import UserError

GOLDEN = load_file(ROOT / "tests" / "golden" / "diffusion.safetensors")
PUBLISHED = sorted(
    tuple(key.split("/")[1:3])
    for key in GOLDEN
    if key.startswith("respace/") and "timesteps" in key
)


@pytest.mark.parametrize(("timesteps", "spec"), PUBLISHED)
def test_published_spacings(timesteps, spec):
    expected = GOLDEN[f"respace/{timesteps}/{spec}/timesteps"].tolist()
    assert respace(int(timesteps[1:]), spec.replace("-", ",")) == expected


@pytest.mark.parametrize("quantity", ["betas", "alphas_cumprod"])
@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize("spec", ["100", "ddim50", "50"])
def test_published_shortened_processes(spec, name, quantity):
    visited = getattr(schedule, name)(1000).respaced(respace(1000, spec))
    expected = GOLDEN[f"respace/T1000/{spec}/{name}_{quantity}"]
    torch.testing.assert_close(getattr(visited, quantity), expected, rtol=1e-9, atol=0)


@given(st.data())
def test_a_count_visits_both_ends(data):
    timesteps = data.draw(st.integers(2, 1200))
    count = data.draw(st.integers(2, timesteps))
    visited = respace(timesteps, count)
    assert len(visited) == count
    assert visited == sorted(set(visited))
    assert (visited[0], visited[-1]) == (0, timesteps - 1)
    gaps = {later - earlier for earlier, later in pairwise(visited)}
    assert max(gaps) - min(gaps) <= 2
    assert respace(timesteps, str(count)) == visited


def test_one_step_starts_where_the_noise_starts():
    assert respace(1000, 1) == [999]
    assert respace(1000, "2,1") == [0, 499, 999]


def test_every_timestep():
    assert respace(100, 100) == respace(100, "ddim100") == list(range(100))


def test_stride_leaves_out_the_last_timesteps():
    assert respace(1000, "ddim50") == list(range(0, 1000, 20))


def test_sections_of_unequal_length_hold_all_timesteps():
    assert respace(10, "4,3,3") == list(range(10))


@pytest.mark.parametrize("spec", ["", "fast", "ddim", "ddim-5", "-5", -5, 0, "0", "10,,20", "1.5"])
def test_what_cannot_be_read(spec):
    with pytest.raises(UserError, match="cannot be read: give a positive count"):
        respace(1000, spec)


@pytest.mark.parametrize(("spec", "available"), [(11, 10), ("11", 10), ("3,6", 5)])
def test_more_steps_than_timesteps(spec, available):
    with pytest.raises(UserError, match=f"give at most {available}"):
        respace(10, spec)


@pytest.mark.parametrize("spec", ["ddim101", "ddim60"])
def test_impossible_stride(spec):
    with pytest.raises(UserError, match="no whole stride through 100 timesteps"):
        respace(100, spec)
