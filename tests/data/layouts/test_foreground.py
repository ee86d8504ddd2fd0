"""Which values are foreground: decided where one answer is right, else asked."""

import numpy as np
import pytest
from helpers.native_layouts import save, white
from helpers.odd_files import drawn

from noise2mask.data.layouts.answers import Answers
from noise2mask.data.layouts.contents import look_into, overlap, some_of
from noise2mask.data.layouts.foreground import foreground_of
from noise2mask.data.layouts.look import look
from noise2mask.errors import UserError


def held(root, *arrays, **options):
    paths = []
    for number, array in enumerate(arrays):
        suffix = "jpg" if options else "png"
        save(root / f"{number}.{suffix}", array, **options)
        paths.append(root / f"{number}.{suffix}")
    return look_into(paths, len(paths), "looking")


def choices(found):
    return [one.options for question in found.questions for one in question.choices]


def test_values_with_their_shares(tmp_path):
    labels = np.zeros((10, 10), np.uint8)
    labels[0], labels[1, :5] = 1, 2
    found = held(tmp_path, labels, np.zeros((10, 10), np.uint8))
    assert found.shares == {0: 0.925, 1: 0.05, 2: 0.025}
    assert found.masks == {0: 2, 1: 1, 2: 1}
    assert (found.coloured, found.lossy, found.most) == (False, False, 3)
    asked = foreground_of(found, Answers(), {1: "liver"}, "several")
    assert choices(asked) == ["--foreground 1", "--foreground 2", "--foreground 1,2"]
    assert asked.questions[0].choices[0].meaning.startswith("liver: 5.0%")
    assert foreground_of(found, Answers(foreground=("liver", "2")), {1: "liver"}).options == {
        "foreground": [1, 2]
    }


def test_what_prepare_reads_alone_is_not_asked(tmp_path):
    found = foreground_of(held(tmp_path, white(drawn(0))), Answers())
    assert (found.options, found.questions) == ({}, ())


def test_masks_saved_with_loss_get_a_threshold(tmp_path):
    found = held(tmp_path, *(white(drawn(n)) for n in range(3)), quality=90)
    assert found.lossy
    assert foreground_of(found, Answers(), refusal="many values").options == {"threshold": 127}


def test_soft_masks_are_asked_for(tmp_path):
    grey = np.linspace(0, 255, 1024).astype(np.uint8).reshape(32, 32)
    found = held(tmp_path, grey)
    assert not found.lossy
    asked = foreground_of(found, Answers(), refusal="many values")
    assert choices(asked) == ["--threshold 127", "--threshold 0"]


def test_numbered_objects_are_told_from_labels(tmp_path):
    fields = [np.zeros((32, 32), np.uint8) for _ in range(4)]
    for number, field in enumerate(fields):
        for one in range(4 * number + 2):
            field[one, :5] = one + 1
    found = held(tmp_path, *fields)
    assert found.numbered
    assert choices(foreground_of(found, Answers(), refusal="many")) == [
        "--threshold 0", "--foreground 1"
    ]  # fmt: skip


def test_one_colour_beside_black_needs_no_answer(tmp_path):
    coded = np.zeros((32, 32, 3), np.uint8)
    coded[drawn(0)] = (0, 200, 0)
    found = held(tmp_path, coded)
    assert foreground_of(found, Answers(), refusal="coloured").options == {"colours": ["#00c800"]}
    coded[:, 30:] = (200, 0, 0)
    asked = foreground_of(held(tmp_path, coded), Answers(), refusal="coloured")
    assert choices(asked) == ["--colours 00c800", "--colours c80000", "--colours 000000"]


def test_masks_of_one_value(tmp_path):
    asked = foreground_of(held(tmp_path, np.full((4, 4), 255, np.uint8)), Answers(), refusal="?")
    assert choices(asked) == ["--foreground 255"]
    with pytest.raises(UserError, match="the value 0 alone"):
        foreground_of(held(tmp_path, np.zeros((4, 4), np.uint8)), Answers(), refusal="?")


def test_damaged_masks_are_counted_and_none_at_all_refused(tmp_path):
    (tmp_path / "x.png").write_bytes(b"no picture")
    save(tmp_path / "y.png", white(drawn(0)))
    found = look_into([tmp_path / "x.png", tmp_path / "y.png"], 2, "looking")
    assert (found.looked, len(found.damage)) == (1, 1)
    with pytest.raises(UserError, match="none of the masks can be read: "):
        foreground_of(look_into([tmp_path / "x.png"], 1, "looking"), Answers())


def test_overlap_tells_parts_from_readings(tmp_path):
    for name, mask in (("a", drawn(0)), ("b", np.roll(drawn(0), 1)), ("c", ~drawn(0))):
        save(tmp_path / f"{name}.png", white(mask))
    a, b, c = (tmp_path / f"{name}.png" for name in "abc")
    assert overlap([[a, c]]) == 0
    union, common = drawn(0) | np.roll(drawn(0), 1), drawn(0) & np.roll(drawn(0), 1)
    assert overlap([[a, b], [a, a]]) == pytest.approx((common.sum() / union.sum() + 1) / 2)
    assert overlap([]) is None


@pytest.mark.parametrize(("length", "count"), [(3, 5), (100, 5), (5, 5), (7, 1)])
def test_some_are_spread_from_the_first_to_the_last(length, count):
    found = some_of(range(length), count)
    assert len(found) == min(length, count)
    assert list(found) == sorted(set(found))
    if count > 1:
        assert (found[0], found[-1]) == (0, length - 1)


def test_black_is_the_last_colour_that_is_offered(tmp_path):
    coded = np.zeros((10, 10, 3), np.uint8)
    coded[:2], coded[4] = (255, 0, 0), (0, 0, 255)
    asked = foreground_of(held(tmp_path, coded), Answers())
    assert choices(asked) == ["--colours ff0000", "--colours 0000ff", "--colours 000000"]


def test_files_of_several_pages_say_so(tmp_path):
    import tifffile

    for name in ("images", "masks"):
        pages = np.stack([white(drawn(number)) for number in range(3)])
        tifffile.imwrite(tmp_path / f"{name}.tif", pages, photometric="minisblack")
    with pytest.raises(UserError, match="holds 3 pages, but a case is one image"):
        look(tmp_path, Answers())
