"""Masks grown by interpolation: the closed form of a square, at resolutions below and above."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from noise2mask.analysis.fingerprints.grown import (
    CASE_COLUMNS,
    grown_masks,
    grown_table,
    write_grown,
)
from noise2mask.data.prepare import prepare
from noise2mask.evaluation.bootstrap import Resampling

SHARES = {"train": 0.5, "val": 0.25, "test": 0.25}


@pytest.fixture
def squares(tmp_path):
    """A folder of eight images of 128 px, each with a square of 32 px on the grid of 4 px."""
    for case in range(8):
        mask = np.zeros((128, 128), np.uint8)
        mask[8 * case + 8 : 8 * case + 40, 32:64] = 255
        for role, array in (("images", 255 - mask // 2), ("masks", mask)):
            path = tmp_path / "squares" / role / f"case_{case}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
    return tmp_path / "squares"


def prepared(root):
    def way(resolution, masks, folder):
        options = {"root": str(root)}
        return prepare("folder", options, "squares", resolution, SHARES, folder, masks=masks)

    return way


def test_a_square_gains_a_pixel_on_every_side(squares):
    table = grown_masks(prepared(squares), [32, 64, 128, 256])
    assert list(table.columns) == list(CASE_COLUMNS)
    assert table.groupby("resolution").case.nunique().to_dict() == dict.fromkeys(
        (32, 64, 128, 256), 8
    )
    found = table.groupby("resolution")[["dice", "area"]].agg(["min", "max"])
    for resolution in (32, 64, 256):
        side = resolution // 4
        proper, grown = side**2, (side + 2) ** 2
        dice = found.loc[resolution, "dice"].to_numpy()
        assert dice == pytest.approx(2 * proper / (proper + grown), abs=1e-9)
        assert found.loc[resolution, "area"].to_numpy() == pytest.approx(grown / proper, abs=1e-9)
    assert found.loc[128].to_numpy() == pytest.approx(1)  # nothing is resized


def test_the_table_is_written_with_the_groups_of_the_dataset(squares, tmp_path):
    out = tmp_path / "out" / "grown.csv"
    grouped = partial(
        prepare, "folder", {"root": str(squares), "group_pattern": r"^case_(\d)"}, "squares"
    )
    write_grown(lambda side, masks, folder: grouped(side, SHARES, folder, masks=masks), [16], out)
    lines = out.read_text().splitlines()
    assert lines[0] == ",".join(CASE_COLUMNS)
    assert len(lines) == 9
    assert {line.split(",")[2] for line in lines[1:]} == {str(case) for case in range(8)}


def test_cases_of_one_unit_are_one_in_the_table():
    rows = [(64, f"c{i}", f"g{i % 6}", 0.8 + 0.01 * (i % 6), 1.2) for i in range(24)]
    cases = pd.DataFrame(rows, columns=list(CASE_COLUMNS)).assign(dataset="a")
    (row,) = grown_table(cases, resampling=Resampling(500)).to_dict("records")
    assert (row["dataset"], row["resolution"], row["n"]) == ("a", 64, 6)
    assert row["dice"] == pytest.approx(0.825)
    assert row["area"] == pytest.approx(1.2)
    # Of 24 cases that are their own units the standard error would be half of this.
    error = np.std([0.8, 0.81, 0.82, 0.83, 0.84, 0.85], ddof=1) / np.sqrt(6)
    assert row["high"] - row["low"] > 3.5 * error
