"""Published quirks: the table from made-up scores, its Markdown and its figure."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from noise2mask.evaluation.bootstrap import paired_difference
from noise2mask.evaluation.columns import COLUMNS, AnalysisTables
from noise2mask.evaluation.labels import Labels
from noise2mask.evaluation.quirks import quirk_table
from noise2mask.report.figures import differences
from noise2mask.report.section import section
from noise2mask.report.section_quirks import masks_table, points_table
from noise2mask.study.schema import Quirk

CASES = [f"case{number}" for number in range(8)]
GROUPS = {("a", case): f"patient{number // 2}" for number, case in enumerate(CASES)}
QUIRKS = {
    "jpeg": Quirk(title="kept as | JPEG", readings={"ddim": "jpeg", "one_pass": "one_pass_jpeg"}),
    "grown": Quirk(title="grown masks", datasets={"a": "a_grown"}),
    "chosen": Quirk(title="chosen on test", datasets={"a": "a_chosen"}),
}
LABELS = Labels(datasets={"a": "set A"})
OPTIONS = {"names": ("dice", "ece"), "resamples": 200}


def level(case, seed):
    return 0.5 + 0.03 * case + 0.01 * seed


ADDED = {"jpeg": 0.02, "one_pass_jpeg": -0.01, "a_grown": 0.1, "a_chosen": 0.005}
"""What a reading or a dataset adds to the Dice of every case."""


def scores(datasets=("a", "a_grown", "a_chosen"), seeds=(0, 1)):
    """A table `metrics`: what a quirk adds, and a little more in odd cases."""
    rows = []
    for dataset in datasets:
        for mode, samplers in (
            ("feed_forward", ("one_pass", "one_pass_jpeg")),
            ("diffusion", ("ddim", "jpeg")),
        ):
            for sampler in samplers:
                for seed in seeds:
                    for number, case in enumerate(CASES):
                        added = ADDED.get(dataset, 0) + ADDED.get(sampler, 0)
                        dice = level(number, seed) + added * (1 + 0.1 * (number % 2))
                        where = ("s", dataset, "unet", mode, seed, sampler, 1, 1, case)
                        rows += [(*where, "dice", dice), (*where, "ece", 1 - dice)]
                        rows.append((*where, "hd95", 3.0))
    columns = ["study", "dataset", "network", "mode", "seed", "sampler", "steps", "draws", "case",
               "metric", "value"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def against():
    """The predictions on grown masks, against masks that were not grown."""
    found = scores(("a_grown",))
    return found.assign(value=found["value"] - 0.2)


def made(metrics=None, again=None, groups=GROUPS):
    metrics = scores() if metrics is None else metrics
    again = against() if again is None else again
    return quirk_table(metrics, QUIRKS, groups, against=again, **OPTIONS)


def test_each_quirk_is_measured_alone_and_named_after_what_is_proper():
    table = made()
    assert list(table.columns) == list(COLUMNS["quirks"])
    found = table[table["metric"] == "dice"].set_index(["quirk", "mode"])
    assert set(table["dataset"]) == {"a"}
    assert set(table["sampler"]) == {"ddim", "one_pass"}
    assert set(table["metric"]) == {"dice", "ece"}
    assert len(table) == 3 * 2 * 2  # quirks, modes, metrics: no quirk on top of another
    added = {("jpeg", "diffusion"): 0.02, ("jpeg", "feed_forward"): -0.01}
    added |= {("grown", mode): 0.1 for mode in ("diffusion", "feed_forward")}
    added |= {("chosen", mode): 0.005 for mode in ("diffusion", "feed_forward")}
    assert found["difference"].to_dict() == pytest.approx({k: 1.05 * v for k, v in added.items()})
    assert (found["n"] == len(CASES)).all()
    proper = np.mean([level(number, seed) for number in range(8) for seed in (0, 1)])
    assert found["proper"].tolist() == pytest.approx([proper] * 6)
    np.testing.assert_allclose(found["published"] - found["proper"], found["difference"])
    assert table["title"].tolist() == [QUIRKS[name].title for name in table["quirk"]]


def test_only_what_changes_masks_is_scored_against_proper_ones():
    table = made().set_index("quirk")
    assert table.loc[["jpeg", "chosen"], "against_proper"].isna().all()
    np.testing.assert_allclose(
        table.loc["grown", "against_proper"], table.loc["grown", "published"] - 0.2
    )


def test_intervals_are_paired_over_groups_and_seeds():
    row = made().query("quirk == 'jpeg' and metric == 'dice' and mode == 'diffusion'").iloc[0]
    wide = scores().query("metric == 'dice' and dataset == 'a'").set_index(["seed", "case"])
    first = wide[wide["sampler"] == "jpeg"]["value"]
    second = wide[wide["sampler"] == "ddim"]["value"].reindex(first.index)
    cases = list(first.index.get_level_values("case"))
    expected = paired_difference(
        first, second, groups=[GROUPS["a", case] for case in cases], cases=cases,
        seeds=list(first.index.get_level_values("seed")), resamples=200, level=0.95, seed=0,
    )  # fmt: skip
    assert tuple(row[list(expected._fields)]) == pytest.approx(tuple(expected))
    assert row["low"] < row["difference"] < row["high"] or row["low"] == row["high"]


def test_the_order_of_rows_and_seeds_of_one_side_only_do_not_matter():
    metrics = scores()
    shuffled = metrics.sample(frac=1, random_state=0)
    keys = ["quirk", "mode", "metric"]
    one, other = (made(table).sort_values(keys, ignore_index=True) for table in (metrics, shuffled))
    pd.testing.assert_frame_equal(one, other)
    missing = metrics[~((metrics["sampler"] == "jpeg") & (metrics["seed"] == 1))]
    row = made(missing).query("quirk == 'jpeg' and metric == 'dice' and mode == 'diffusion'")
    assert row["proper"].item() == pytest.approx(np.mean([level(number, 0) for number in range(8)]))


def test_a_case_without_a_value_is_left_out_of_both_sides():
    metrics = scores()
    undefined = (metrics["sampler"] == "jpeg") & (metrics["case"] == "case7")
    row = made(metrics.assign(value=metrics["value"].mask(undefined)))
    row = row.query("quirk == 'jpeg' and metric == 'dice' and mode == 'diffusion'").iloc[0]
    assert row["n"] == 7
    assert row["proper"] == pytest.approx(
        np.mean([level(number, seed) for number in range(7) for seed in (0, 1)])
    )


def test_nothing_scored_is_an_empty_table():
    nothing = scores()[:0]
    table = made(nothing, against()[:0])
    assert list(table.columns) == list(COLUMNS["quirks"])
    assert table.empty
    assert made(scores(("a",)), against()[:0])["quirk"].unique().tolist() == ["jpeg"]


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
    text = section(tables, LABELS, ["quirks_dice", "quirks_ece"])
    assert "### Published quirks" in text
    assert text.count("| grown masks") == 4
    assert "*What published codes do to their own Dice:" in text
    assert "Further figures" not in text
    assert "nan" not in text
    alone = replace(tables, quirks=made().query("quirk == 'chosen'"))
    assert "reference masks too" not in section(alone, LABELS, ())


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
