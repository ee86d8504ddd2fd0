"""A training has one look, and no two of a report share one."""

import itertools

import pandas as pd
import pytest
from matplotlib import colors

from noise2mask.report.figures.looks import BASELINES, KNOWN, ORACLES, OTHERS, Looks, cycled

READINGS = ("one_pass", "tempered", "views8", "calibration", "half", "staple", "majority")


def seen(look):
    return (look.colour, look.marker, look.filled)


@pytest.mark.parametrize("looks", [tuple(KNOWN.values()), OTHERS, BASELINES, ORACLES])
def test_looks_of_a_list_differ_in_colour_and_in_marker(looks):
    assert (
        len({look.colour for look in looks}) == len({look.marker for look in looks}) == len(looks)
    )
    for look in looks:
        assert max(colors.to_rgb(look.colour)) < 0.95  # none vanishes on white


def test_every_training_and_every_reading_has_a_look_of_its_own():
    modes = dict.fromkeys(("feed_forward", "diffusion", "ensemble"), READINGS)
    modes |= {f"own{number}": READINGS[:2] for number in range(20)}
    looks = Looks(modes, ("nnunet", "segformer"))
    found = [
        seen(looks.of_row("net", mode, sampler))
        for mode, samplers in modes.items()
        for sampler in samplers
    ]
    found += [
        seen(looks.of_row(name, "reference", "prediction")) for name in ("nnunet", "segformer")
    ]
    assert len(found) == len(set(found))


def test_a_reading_has_the_colour_of_its_training_and_an_open_marker():
    looks = Looks({"diffusion": ["ddim10", "staple"]})
    usual, other = (looks.of_row("net", "diffusion", name) for name in ("ddim10", "staple"))
    assert usual == looks.mode("diffusion")
    assert (other.colour, other.filled) == (usual.colour, False)
    assert other.marker != usual.marker
    assert other.line != usual.line


def test_known_modes_look_the_same_whatever_stands_beside_them():
    for others in ((), ("a",), ("a", "b", "posterior")):
        looks = Looks({name: [] for name in ("diffusion", *others, "feed_forward")})
        assert looks.mode("diffusion") == KNOWN["diffusion"]
        assert looks.mode("feed_forward") == KNOWN["feed_forward"]


def test_other_modes_take_colours_that_no_known_one_has():
    looks = Looks({name: [] for name in ("feed_forward", "diffusion", "image_free", "mine")})
    taken = {looks.mode(name).colour for name in ("feed_forward", "diffusion", "image_free")}
    assert looks.mode("mine").colour not in taken


def test_looks_of_tables_have_modes_and_samplers_in_their_order():
    scores = pd.DataFrame(
        [("net", "diffusion", "ddim10"), ("net", "feed_forward", "one_pass"),
         ("net", "diffusion", "staple"), ("nnunet", "reference", "prediction"),
         ("blind", "none", "mean_mask")],
        columns=["network", "mode", "sampler"],
    )  # fmt: skip
    history = pd.DataFrame([("net", "mine")], columns=["network", "mode"])
    looks = Looks.of(scores, history)
    same = Looks({"feed_forward": ["one_pass"], "diffusion": ["ddim10", "staple"], "mine": []},
                 ["nnunet"])  # fmt: skip
    for row in (("net", "diffusion", "staple"), ("nnunet", "reference", "prediction"),
                ("net", "mine", "x"), ("net", "feed_forward", "one_pass")):  # fmt: skip
        assert looks.of_row(*row) == same.of_row(*row)


def test_more_names_than_looks_come_again_with_another_marker():
    found = cycled(ORACLES, [f"n{number}" for number in range(14)])
    for one, other in itertools.combinations(found.values(), 2):
        assert seen(one) != seen(other)
