"""Published quirks in a report: their Markdown and their figure."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from noise2mask.evaluation.columns import COLUMNS, AnalysisTables
from noise2mask.evaluation.labels import Labels
from noise2mask.report.figures import differences
from noise2mask.report.section import section
from noise2mask.report.section_quirks import masks_table, points_table

LABELS = Labels(datasets={"a": "set A"})
ADDED = {
    ("jpeg", "diffusion"): 0.021, ("jpeg", "feed_forward"): -0.0105, ("grown", "diffusion"): 0.105,
    ("grown", "feed_forward"): 0.105, ("chosen", "diffusion"): 0.00525,
    ("chosen", "feed_forward"): 0.00525,
}  # fmt: skip
TITLES = {"jpeg": "kept as | JPEG", "grown": "grown masks", "chosen": "chosen on test"}
NOTHING = pd.DataFrame(columns=list(COLUMNS["summary"]))
SAMPLERS = {"diffusion": "ddim", "feed_forward": "one_pass"}


def made():
    """A table `quirks`."""
    rows = []
    for quirk, metric in ((one, metric) for one in TITLES for metric in ("dice", "ece")):
        for mode, sampler in SAMPLERS.items():
            found = ADDED[quirk, mode] * (1 if metric == "dice" else -1)
            proper = 0.61 if metric == "dice" else 0.39
            against = proper + found - 0.2 if quirk == "grown" else np.nan
            rows.append(
                (quirk, TITLES[quirk], "a", "unet", mode, sampler, metric, proper, proper + found,
                 against, found, found - 0.0001, found + 0.0001, 0.01, 0.04, 0.01, 8, 2,
                 "first better")
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS["quirks"]))


def cells_of(text):
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if "---" not in line]
    return [[cell.strip() for cell in row] for row in rows]


def test_dice_points_in_the_report():
    text = points_table(made(), LABELS).replace("\\|", "/")
    header, *rows = cells_of(text)
    assert header == ["Quirk", "Architecture", "Training", "set A"]
    assert [row[0] for row in rows] == [
        "kept as / JPEG", "kept as / JPEG", "grown masks", "grown masks", "chosen on test",
        "chosen on test",
    ]  # fmt: skip
    points = {(row[0], row[2]): row[3] for row in rows}
    assert points["kept as / JPEG", "diffusion"].startswith("+2.1 [2.")
    assert points["kept as / JPEG", "feed-forward"].startswith("-1.1 [-1.")
    assert points["grown masks", "diffusion"].startswith("+10.5 [10.")
    assert points["chosen on test", "diffusion"].startswith("+0.5 [0.5")


def test_samplers_are_named_where_a_mode_has_several():
    two = pd.concat([made(), made().assign(sampler="ddpm")])
    rows = cells_of(points_table(two, LABELS))[1:]
    assert {row[2] for row in rows if "diffusion" in row[2]} >= {
        "diffusion (ddim)", "diffusion (ddpm)",
    }  # fmt: skip


def test_datasets_wrap_and_a_quirk_without_any_of_them_is_left_out():
    jpeg = made().query("quirk == 'jpeg'")
    many = pd.concat([made(), *(jpeg.assign(dataset=f"d{number}") for number in range(4))])
    first, second = points_table(many, LABELS).split("\n\n")
    assert cells_of(first)[0][3:] == ["set A", "d0", "d1", "d2"]
    assert {row[0] for row in cells_of(second.replace("\\|", "/"))[1:]} == {"kept as / JPEG"}
    grown = next(row for row in cells_of(first) if row[0] == "grown masks")
    assert grown[4:] == ["–", "–", "–"]


def test_predictions_against_proper_masks_in_the_report():
    header, *rows = cells_of(masks_table(made(), LABELS))
    assert header[-3:] == ["Proper Dice", "Published Dice", "against proper masks"]
    assert [row[0] for row in rows] == ["grown masks", "grown masks"]
    assert rows[0][-3:] == ["0.610", "0.715", "0.515"]
    assert masks_table(made().query("quirk == 'jpeg'"), LABELS) == ""


def test_the_section_has_tables_captions_and_figures():
    tables = replace(AnalysisTables.empty(), quirks=made())
    text = section(tables, LABELS, ["quirks_dice", "quirks_ece"], NOTHING)
    assert "### Published quirks" in text
    assert text.count("| grown masks") == 4
    assert "*What published codes do to their own Dice:" in text
    assert "Further figures" not in text
    assert "nan" not in text
    alone = replace(tables, quirks=made().query("quirk == 'chosen'"))
    assert "reference masks too" not in section(alone, LABELS, (), NOTHING)


def test_the_figure_shows_every_row_in_points():
    table = made()
    figure = differences.quirks(table, "dice", LABELS)
    axis = figure.axes[0]
    dots = {line.get_gid(): line for line in axis.lines if line.get_gid()}
    assert len(dots) == 6
    for _, row in table[table["metric"] == "dice"].iterrows():
        gid = f"a {row['quirk']} unet {row['mode']} {row['sampler']}"
        assert dots[gid].get_xdata()[0] == pytest.approx(100 * row["difference"])
        clear = dots[gid].get_markerfacecolor() != "white"
        assert clear == (row["low"] > 0 or row["high"] < 0)
    low, high = axis.get_xlim()
    assert low < -1.1 < 0 < 11 < high
    assert [text.get_text() for text in axis.get_yticklabels()] == [
        "kept as | JPEG", "grown masks", "chosen on test",
    ]  # fmt: skip
    unclear = table.assign(low=-0.5, high=0.5)
    found = differences.quirks(unclear, "dice", LABELS).axes[0].lines
    faces = [line.get_markerfacecolor() for line in found if line.get_gid()]
    assert faces == ["white"] * 6


def test_panels_share_one_scale_and_no_row_is_an_empty_figure():
    table = pd.concat([made(), made().assign(dataset="b", difference=0.5, low=0.4, high=0.6)])
    axes = differences.quirks(table, "dice", LABELS).axes
    assert len(axes) == 2
    assert axes[0].get_xlim() == axes[1].get_xlim()
    nothing = differences.quirks(made()[:0], "dice", LABELS)
    assert not nothing.axes
    assert nothing.texts[0].get_text() == "no quirk of Dice yet"
    undefined = made().assign(low=np.nan, high=np.nan)
    differences.quirks(undefined, "dice", LABELS).draw_without_rendering()
