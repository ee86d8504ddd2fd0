"""Each table of a report says what its columns are, and holds the numbers of its rows."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from evaluation.test_pareto import COSTS, PARETO
from helpers.made_up_section import (
    LABELS,
    SWEEPS,
    TABLES,
    fingerprints_of,
    grid_of,
    information_of,
    scored,
    structure_of,
)
from report.figures.test_differences import contrasts_table, quirks_table

from noise2mask.evaluation.labels import Labels, counted, metric_of, number, with_interval
from noise2mask.evaluation.pareto import cost_to_reach
from noise2mask.report.tables import (
    against_table,
    cost_table,
    difference_table,
    doubts,
    effect_table,
    fingerprint_table,
    information_table,
    p_text,
    quirk_table,
    ranged,
    reached_table,
    significant,
    steps_table,
    structure_table,
    varied,
    verdict_text,
    winners,
)


def titles(table):
    return [column.title for column in table.columns]


def test_numbers_and_metric_names():
    assert [number(value, 2) for value in (0.126, -0.001, np.nan, np.inf)] == [
        "0.13", "0.00", "–", "–",
    ]  # fmt: skip
    assert metric_of("hd95").better == -1
    assert metric_of("new").title == "new"
    assert counted([]) == "n = 0"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((0.8124, 0.79, 0.83, 3), "0.812 [0.790, 0.830]"),
        ((0.8124, 0.79, 0.83, 3, 2), "0.812 [0.79, 0.83]"),
        ((0.8124, np.nan, 0.83, 3), "0.812"),
        ((np.nan, 0.1, 0.2, 3), "–"),
        ((-0.0001, -0.01, 0.01, 2), "0.00 [-0.01, 0.01]"),
    ],
)
def test_a_value_with_its_interval(values, words):
    assert with_interval(*values) == words


def test_a_sign_shows_what_is_above_nothing_and_needs_all_digits():
    assert with_interval(0.03, 0.01, 0.05, 3, 2, sign=True) == "+0.030 [0.010, 0.050]"
    assert with_interval(-0.03, -0.05, -0.01, 3, sign=True) == "-0.030 [-0.050, -0.010]"
    assert with_interval(0.0001, -0.05, 0.01, 3, sign=True) == "0.000 [-0.050, 0.010]"


def test_numbers_to_the_digits_that_suit_them():
    values = (1234.5, 99.94, 0.01234, -0.5, 0.0, 1e-9, math.nan)
    assert [significant(value) for value in values] == [
        "1234", "99.9", "0.0123", "-0.500", "0", "0.00000", "–",
    ]  # fmt: skip

    def text(*values):
        return ranged(dict(zip(("value", "low", "high"), values, strict=True)), "value")

    assert text(1234.5, 1200, 1300) == "1234 [1200, 1300]"
    assert text(0.05, 0.041, 0.062) == "0.050 [0.041, 0.062]"
    assert text(5.0, math.nan, math.nan) == "5.00"
    assert text(5.0, 5.0, 5.0) == "5.00 [5.00, 5.00]"
    assert text(math.nan, math.nan, math.nan) == "–"


def test_winners_are_better_in_every_comparison_of_theirs():
    table = contrasts_table(1, metrics=("iou",))
    table["verdict"] = ["first better", "first better", "undecided", "second better"]
    # adapted beats linear and cosine; recycled - linear undecided; cosine beats wide, not adapted
    assert winners(table) == {("set0", "unet", "adapted", "iou")}
    assert winners(table.assign(verdict="")) == frozenset()
    assert winners(table[:0]) == frozenset()


def test_the_structure_table():
    table = structure_table(structure_of([("lesion", "segdiff", "posterior", "eps", "confirmed")]),
                            LABELS)  # fmt: skip
    assert table.cells() == [
        ["lesion phantom", "SegDiff", "pixel's evidence and network, with image", "eps", "12",
         "0.710 [0.640, 0.800]", "confirmed", "-0.43 [-0.61, -0.20]", "310"],
    ]  # fmt: skip
    flat = TABLES.structure.assign(log_snr_at_hump=np.nan, t_at_hump=np.nan)
    assert structure_table(flat, LABELS).cells()[0][-2:] == ["–", "–"]


def test_information_in_one_row():
    assert information_table(TABLES.information, LABELS).cells() == [
        ["lesion phantom", "SegDiff", "12", "105.0 [101.0, 109.0]", "0.103", "100", "110",
         "10.0 [6.0, 14.0]", "400", "390", "-5.0 / -2.5 / 0.3"],
    ]  # fmt: skip
    part = TABLES.information[TABLES.information["estimate"] == "difference"]
    (row,) = information_table(part, LABELS).cells()
    assert row[2:] == [*"–––", "100", *"–––––"[:4], "– / – / –"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"own": 428.0}, None),
        ({"own": 430.0}, "430 bits"),
        ({"own": math.nan}, None),
        ({"fit": math.nan}, "no shorter training"),
        ({"reach": 26.0}, None),
        ({"reach": 26.5}, "further than 25 %"),
        ({"reach": math.nan}, "further than 25 %"),
        ({"difference": -10.0, "orthogonal": 5.0}, "further than 25 %"),
    ],
)
def test_what_is_not_to_be_trusted(changes, words):
    # 110 % of 390 is 429; a quarter of 105 is 26.25.
    found = doubts(information_of(**changes), LABELS)
    assert len(found) == (words is not None)
    assert words is None or words in found[0]


def test_masks_that_are_lost_first_come_first():
    rows = fingerprint_table(TABLES.fingerprints, LABELS).cells()
    assert [row[0] for row in rows] == ["nuclei | small", "lesion phantom"]
    assert rows[1][1:] == ["9", "-4.0", "–", "-6.0 [-6.5, -5.5]", "0.2", "0.200", "3.0", "0.300"]
    empty = fingerprint_table(fingerprints_of({"a": math.nan, "b": -9.0}), LABELS)
    assert [row[0] for row in empty.cells()] == ["b", "a"]


def test_effects_of_levels():
    table = effect_table(TABLES.grid, SWEEPS, ["iou", "ece"])
    assert titles(table)[:5] == ["Factor", "Level", "Trainings", "IoU", "IoU, effect"]
    assert table.cells()[0] == ["schedule", "linear", "2", "0.600", "base", "0.150", "base"]
    assert table.cells()[3] == ["b", "0.3", "1", "0.700", "+0.200", "0.250", "+0.200"]
    assert not effect_table(TABLES.grid, SWEEPS[:0], ["iou"])
    alike = [{"s": "x", "b": "u"}, {"s": "y", "b": "v"}]
    told = effect_table(grid_of(alike), scored(alike, lambda _: 0.5), ["iou"])
    assert [row[-1] for row in told.cells()] == ["base", "–", "base", "–"]
    full = [{"s": s, "b": b} for s, b in itertools.product("xy", "uv")]
    assert len(effect_table(grid_of(full), scored(full, lambda _: 0.5), ["iou"]).rows) == 4


def test_the_steps_table_names_what_was_varied():
    assert steps_table(SWEEPS, TABLES.grid, LABELS).cells() == [
        ["SegDiff", "g0: base", "10 of 100"],
        ["SegDiff", "g1: schedule cosine", "10 of 100"],
        ["SegDiff", "g2: b 0.3", "10 of 100"],
    ]
    assert varied("feed_forward", TABLES.grid, LABELS) == "feed-forward"
    two = pd.concat([SWEEPS, SWEEPS.assign(dataset="nuclei")])
    assert titles(steps_table(two, TABLES.grid, LABELS))[2:] == ["lesion phantom", "nuclei | small"]
    assert not steps_table(SWEEPS.assign(steps=np.nan), TABLES.grid, LABELS)


def test_differences_in_words():
    table = contrasts_table(1, metrics=("iou",))[:1].assign(
        verdict="first better", difference=0.03, low=0.01, high=0.05, p_holm=0.0004
    )
    assert difference_table(table, Labels()).cells() == [
        ["set0", "unet", "adapted − linear", "ddim10", "IoU", "40", "3",
         "+0.030 [0.010, 0.050]", "< 0.001", "0.010", "adapted better"],
    ]  # fmt: skip
    (row,) = difference_table(table.assign(loss="matched"), Labels()).cells()
    assert row[2] == "adapted − linear (matched loss)"


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("first better", "diffusion better"),
        ("second better", "feed-forward better"),
        ("first higher", "diffusion higher"),
        ("undecided", "undecided"),
        ("cannot be decided with 4", "cannot be decided with 4"),
        ("", "–"),
        (math.nan, "–"),
    ],
)
def test_a_verdict_with_the_names_of_its_sides(verdict, words):
    row = {"verdict": verdict, "first": "diffusion", "second": "feed_forward"}
    assert verdict_text(row, Labels()) == words


def test_p_values():
    assert [p_text(value) for value in (0.0009, 0.001, 0.25, math.nan)] == [
        "< 0.001", "0.001", "0.250", "–",
    ]  # fmt: skip


def test_quirks_in_points_and_against_proper_masks():
    labels = Labels(datasets={"a": "set A"})
    table = quirk_table(quirks_table(), "dice", labels)
    assert titles(table) == ["Quirk", "Architecture", "Training", "set A"]
    points = {(row[0], row[2]): row[3] for row in table.cells()}
    assert points["kept as | JPEG", "diffusion"].startswith("+2.1 [2.")
    assert points["kept as | JPEG", "feed-forward"].startswith("-1.1 [-1.")
    assert points["grown masks", "diffusion"].startswith("+10.5 [9.")
    two = pd.concat([quirks_table(), quirks_table().assign(sampler="ddpm")])
    trainings = {row[2] for row in quirk_table(two, "dice", labels).cells()}
    assert trainings >= {"diffusion (ddim)", "diffusion (ddpm)"}
    more = pd.concat([quirks_table(), quirks_table().query("quirk == 'jpeg'").assign(dataset="b")])
    cells = {row[0]: row[4] for row in quirk_table(more, "dice", labels).cells()}
    assert cells["grown masks"] == "–"
    proper = against_table(quirks_table(), "dice", labels)
    assert [row[0] for row in proper.cells()] == ["grown masks", "grown masks"]
    assert proper.cells()[0][-3:] == ["0.610", "0.715", "0.515"]
    assert not against_table(quirks_table().query("quirk == 'jpeg'"), "dice", labels)


def test_costs_and_the_price_of_a_dice():
    table = cost_table(COSTS, Labels(networks={"nnunet": "nnU-Net"}))
    assert titles(table)[-3:] == ["Mask [ms]", "Memory [MB]", "Energy [J]"]
    assert table.cells()[1] == [
        "EnsemDiff", "diffusion", "ddim10", "5", "0.00", "50", "0.00", "–", "500.0", "–", "–",
    ]  # fmt: skip
    assert table.columns[-3].value(table.rows[1]) == 500
    reached = reached_table(cost_to_reach(PARETO, (0.86, 0.95)), Labels())
    assert reached.cells() == [
        ["easy", "0.86", "nnunet", "reference", "prediction", "0.910", "100.0"]
    ]
