"""Published quirks: the table from made-up scores."""

import numpy as np
import pandas as pd
import pytest

from noise2mask.evaluation.bootstrap import paired_difference
from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.quirks import quirk_table
from noise2mask.study.schema import Quirk

CASES = [f"case{number}" for number in range(8)]
GROUPS = {("a", case): f"patient{number // 2}" for number, case in enumerate(CASES)}
QUIRKS = {
    "jpeg": Quirk(title="kept as | JPEG", readings={"ddim": "jpeg", "one_pass": "one_pass_jpeg"}),
    "grown": Quirk(title="grown masks", datasets={"a": "a_grown"}),
    "chosen": Quirk(title="chosen on test", datasets={"a": "a_chosen"}),
}
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
