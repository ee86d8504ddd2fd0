"""Tables of scores: their columns, what stays text, and the summary's numbers."""

import io

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from noise2mask.evaluation.bootstrap import Resampling
from noise2mask.evaluation.columns import ANYWHERE, COLUMNS, DIFFERENCE, TEXT, empty
from noise2mask.evaluation.pooled import SUMS
from noise2mask.evaluation.tables import best_floors, read_table, save_table, summary_table

NO_HISTOGRAMS = pd.DataFrame(
    columns=["dataset", "network", "mode", "sampler", "seed", "case", "region", "bin", *SUMS]
)


def scores(values: dict[tuple[str, int], float], metric: str = "dice") -> pd.DataFrame:
    """A table `metrics` of one network: (case, seed) -> value."""
    rows = [
        ("study", "set", "net", "diffusion", seed, "ddim", "10", 5, case, metric, value)
        for (case, seed), value in values.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS["metrics"]))


def test_text_columns_are_columns_and_differences_end_comparisons():
    for name, columns in COLUMNS.items():
        assert TEXT[name] <= set(columns)
        assert len(set(columns)) == len(columns)
    assert COLUMNS["comparisons"][-len(DIFFERENCE) :] == DIFFERENCE
    assert COLUMNS["quirks"][-len(DIFFERENCE) :] == DIFFERENCE
    assert {"case", "dataset"} <= ANYWHERE
    assert not {"value", "seed"} & ANYWHERE
    assert list(empty("claims")) == list(COLUMNS["claims"]) == list(COLUMNS["hypotheses"])


@pytest.mark.parametrize("case", ["001", "NA", "null", "1e5", "True"])
def test_names_survive_a_file(case, tmp_path):
    table = scores({(case, 0): 0.5, ("b", 0): np.nan})
    save_table(table, tmp_path / "metrics.csv")
    again = read_table(tmp_path / "metrics.csv")
    assert again["case"].tolist() == [case, "b"]
    assert again["value"].isna().tolist() == [False, True]
    stream = io.BytesIO((tmp_path / "metrics.csv").read_bytes())
    assert read_table(stream)["case"].tolist() == [case, "b"]


def test_the_summary_is_the_mean_over_units_and_seeds():
    generator = np.random.default_rng(0)
    values = {(f"c{k}", 0): float(each) for k, each in enumerate(generator.normal(0.5, 0.1, 40))}
    table = scores(values | {("undefined", 0): np.nan})
    (row,) = summary_table(
        table, NO_HISTOGRAMS, {}, starts={"ddim": 7}, resampling=Resampling(1999)
    ).itertuples(index=False)
    found = np.array(list(values.values()))
    half = student.ppf(0.975, 39) * found.std(ddof=1) / np.sqrt(40)
    assert row.mean == pytest.approx(found.mean())
    assert (row.n, row.cases, row.seeds, row.start, row.steps) == (40, 40, 1, 7, 10)
    assert row.low == pytest.approx(found.mean() - half, abs=0.006)
    assert row.high == pytest.approx(found.mean() + half, abs=0.006)


def test_units_are_patients_and_seeds_widen_the_interval():
    generator = np.random.default_rng(1)
    one = {(f"c{k}", 0): float(each) for k, each in enumerate(generator.normal(0.5, 0.1, 20))}
    same = one | {(case, seed): value for (case, _), value in one.items() for seed in (1, 2)}
    apart = {(case, seed): value + 0.1 * seed for (case, seed), value in same.items()}
    groups = {("set", f"c{k}"): f"patient {k // 2}" for k in range(20)}

    def row_of(values):
        (row,) = summary_table(
            scores(values), NO_HISTOGRAMS, groups, starts={}, resampling=Resampling(999)
        ).itertuples(index=False)
        return row

    rows = [row_of(values) for values in (one, same, apart)]
    assert [(row.n, row.cases, row.seeds) for row in rows] == [
        (10, 20, 1),
        (10, 20, 3),
        (10, 20, 3),
    ]
    widths = [row.high - row.low for row in rows]
    assert widths[0] == pytest.approx(widths[1])  # equal trainings say nothing new
    assert widths[2] > 3 * widths[0]


def test_a_floor_is_the_best_of_its_kind_in_each_score():
    """All foreground has the higher Dice and the mean mask the lower error: each where it leads."""
    means = {
        ("blind", "foreground"): {"dice": 0.6, "brier": 0.9, "ece_pooled": 0.9, "spread": 0.0},
        ("blind", "mean"): {"dice": 0.2, "brier": 0.1, "ece_pooled": 0.02, "spread": 0.1},
        ("classical", "otsu"): {"dice": 0.7, "brier": 0.3, "ece_pooled": np.nan},
        ("classical", "pixels"): {"dice": np.nan, "brier": 0.2, "ece_pooled": 0.1},
        ("net", "one_pass"): {"dice": 0.1, "brier": 0.95, "ece_pooled": 0.9},
    }
    rows = [
        {"dataset": "d", "network": network, "sampler": sampler, "metric": metric, "mean": mean}
        for (network, sampler), of in means.items()
        for metric, mean in of.items()
    ]
    kept = best_floors(pd.DataFrame(rows)).set_index(["network", "metric"])["sampler"]
    assert kept["blind"].to_dict() == {
        "dice": "foreground", "brier": "mean", "ece_pooled": "mean", "spread": "foreground",
    }  # fmt: skip
    assert kept["classical"].to_dict() == {
        "dice": "otsu", "brier": "pixels", "ece_pooled": "pixels",
    }  # fmt: skip
    assert len(kept["net"]) == 3
