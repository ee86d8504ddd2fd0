"""What the values of masks mean, judged over a set; whole sets lie in contracts/test_odd_files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noise2mask.data.formats.image_files import Picture
from noise2mask.data.formats.mask_files import (
    MaskFacts,
    described_masks,
    facts_of,
    judge,
    mask_of,
    readings_of,
    selected,
)
from noise2mask.errors import UserError

two_values = st.sampled_from([(0,), (0, 7), (7,)])


def facts(name: str, *values: int, bits: int = 8, form: str = "PNG, grey, 8 bits") -> MaskFacts:
    reading = "stored" if bits < 8 else "value"
    return MaskFacts(Path(name), form, bits, {reading: values}, len(values), {}, "none")


def picture(pixels: Any, **about: Any) -> Picture:
    about = {"layout": "grey", "bits": 8, "name": "PNG", **about}
    return Picture(Path("a.png"), np.asarray(pixels), **about)


def refused(*several: MaskFacts, **said: Any) -> str:
    with pytest.raises(UserError) as caught:
        judge(several, **said)
    return str(caught.value)


@given(st.lists(two_values, min_size=1, max_size=8).filter(lambda many: max(many) != (7,) or True))
def test_the_higher_of_two_values_is_foreground_in_every_order(held: list[tuple[int, ...]]) -> None:
    everything = {value for values in held for value in values}
    several = [facts(f"{number}.png", *values) for number, values in enumerate(held)]
    if everything == {7}:
        assert "hold" in refused(*several)
        return
    rules = judge(several)
    assert {rule.foreground for rule in rules} == {(7,) if 7 in everything else ()}
    assert judge(several[::-1]) == rules[::-1]


def test_one_bit_is_black_and_white_and_one_too() -> None:
    bit = facts("bit.png", 0, 1, bits=1)
    for others, foregrounds in (
        ((0, 255), [(255,), (1,)]), ((0, 65535), [(65535,), (1,)]), ((0, 1), [(1,), (1,)]),
        ((0,), [(255,), (1,)]),
    ):  # fmt: skip
        rules = judge([facts("a.png", *others), bit])
        assert [rule.foreground for rule in rules] == foregrounds
    assert [rule.foreground for rule in judge([bit], foreground=(255,))] == [(1,)]
    assert [rule.foreground for rule in judge([bit], foreground=(1, 255))] == [(1, 255)]
    assert "3 different values" in refused(bit, facts("a.png", 0, 2))


@pytest.mark.parametrize(("bits", "above"), [(1, (1,)), (2, (2, 3)), (4, tuple(range(8, 16)))])
def test_a_threshold_is_on_values_of_eight_bits(bits: int, above: tuple[int, ...]) -> None:
    rule, plain = judge([facts("a.png", 0, 1, bits=bits), facts("b.png", 0, 200)], threshold=127)
    assert rule.foreground == above
    assert (plain.foreground, plain.threshold) == (None, 127)


def test_named_values_of_another_form_are_not_mixed_up() -> None:
    grey, coloured = facts("a.png", 0, 1), facts("b.png", 0, 255, form="TIFF, grey, 8 bits")
    assert "is in none of the mask b.png (TIFF, grey, 8 bits), holding 0, 255" in refused(
        grey, coloured, foreground=(1,)
    )
    empty = facts("b.png", 0, form="TIFF, grey, 8 bits")
    assert judge([grey, empty], foreground=(1,))[1].foreground == (1,)  # nothing else is in it
    assert "is in none of the 2 masks" in refused(grey, empty, foreground=(9,))


def test_more_than_two_values_are_counted_over_the_set() -> None:
    told = refused(facts("a.png", 0, 1), facts("b.png", 0, 2), facts("c.png", 1, 2))
    assert told.startswith(
        "the 3 masks (a.png, b.png, c.png) hold 3 different values (0 in 2, 1 in 2, 2 in 2 of "
        "them), but only two have a clear meaning; set `foreground` to the values that are "
        "foreground, e.g. [1, 2]"
    )
    assert "(`ignore: [255]`)" in refused(facts("a.png", 0, 1, 255))


def test_alpha_counts_where_the_colours_are_even() -> None:
    alpha = np.array([[0, 255], [0, 0]], np.uint8)
    even, shown = np.zeros((2, 2), np.uint8), np.array([[0, 9], [0, 0]], np.uint8)
    assert next(iter(readings_of(picture(even, alpha=alpha)))) == "alpha"
    assert facts_of(picture(even, alpha=alpha)).alpha == "alone"
    assert facts_of(picture(shown, alpha=alpha)).alpha == "agrees"
    assert facts_of(picture(shown, alpha=255 - alpha)).alpha == "differs"
    assert facts_of(picture(shown, alpha=even)).alpha == "even"
    with pytest.raises(UserError, match="colour picture"):
        readings_of(picture(np.arange(12).reshape(2, 2, 3), layout="RGB", alpha=alpha))


def test_an_empty_mask_among_alpha_masks_is_empty() -> None:
    alpha = np.array([[0, 255], [0, 0]], np.uint8)
    pictures = [picture(np.zeros((2, 2), np.uint8), alpha=each) for each in (alpha, alpha * 0)]
    rules = judge([facts_of(each) for each in pictures])
    masks = [mask_of(each, rule) for each, rule in zip(pictures, rules, strict=True)]
    assert [mask.sum() for mask in masks] == [1, 0]


def test_a_palette_of_greys_counts_by_its_greys() -> None:
    entries = np.array([[255] * 3, [0] * 3, [9, 0, 0]], np.uint8)
    indices = np.array([[0, 1], [1, 1]], np.uint8)
    readings = readings_of(picture(indices, layout="palette", palette=entries))
    assert list(readings) == ["grey", "index"]
    assert readings["grey"].tolist() == [[255, 0], [0, 0]]
    coloured = readings_of(picture(indices + 1, layout="palette", palette=entries))
    assert list(coloured) == ["index"]  # an entry that is used is a colour
    short = readings_of(picture(indices + 4, layout="palette", palette=entries[:2]))
    assert short["grey"].tolist() == [[0, 0], [0, 0]]  # as viewers do beyond the last entry


def test_a_colour_at_two_indices_of_one_file_is_two_labels() -> None:
    def of(name: str, *indices: int) -> MaskFacts:
        used = {index: (9, 0, 0) if index else (0, 0, 0) for index in indices}
        return facts(name, *indices)._replace(values={"index": indices}, colours=used)

    apart = of("a.png", 0, 1), of("b.png", 0, 2)
    assert "only one of them is foreground" in refused(*apart, foreground=(1,))
    assert judge(apart, foreground=(1, 2))[0].foreground == (1, 2)
    assert judge([*apart, of("c.png", 0, 1, 2)], foreground=(1,))[1].foreground == (1,)


def test_selected_values() -> None:
    values = np.array([0, 1, 5])
    assert selected(values, (1,), None).tolist() == [False, True, False]
    assert selected(values, None, 1).tolist() == [False, False, True]
    assert selected(values, None, None).tolist() == [False, True, True]


def test_decisions_in_words() -> None:
    several = [facts("a.png", 0, 255), facts("b.png", 0, 1, bits=1, form="PNG, grey, 1 bit")]
    told = list(described_masks(list(zip(several, judge(several), strict=True))))
    assert told == [
        "1 mask (a.png): PNG, grey, 8 bits, the values are 0, 255; foreground 255",
        "1 mask (b.png): PNG, grey, 1 bit, the values as stored are 0, 1; foreground 1",
    ]
    thresholded = list(described_masks([(several[0], judge(several[:1], threshold=9)[0])]))
    assert thresholded[0].endswith("the values are 0, 255; foreground above 9")
