"""The tables of the gauge are those of its numbers, and say which intervals hold the truth."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
from helpers.project import ROOT

from noise2mask.evaluation.columns import COLUMNS


@pytest.fixture(scope="module")
def gauge():
    spec = importlib.util.spec_from_file_location("gauge", ROOT / "benchmarks/gauge.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_made_of_the_numbers_of_the_gauge(gauge):
    table = gauge.read()
    for path, which in gauge.PAGES.items():
        page = path.read_text(encoding="utf-8")
        assert gauge.filled(page, which, table) == page
        off = table.assign(bits=table["bits"] + 1)
        assert gauge.filled(page, which, off) != page
    assert gauge.ERRORS.read_text(encoding="utf-8") == gauge.errors(table).to_csv(
        index=False, float_format="%.4g", lineterminator="\n"
    )
    with pytest.raises(ValueError, match="one place for the table summary, has 0"):
        gauge.filled("nothing", "summary", table)


def test_estimates_stand_beside_the_truth(gauge, monkeypatch):
    class Known:
        bits = 100.0

    monkeypatch.setattr(gauge, "tasks", lambda: {"known": Known()})
    rows = [
        # The half reach over cases is 3 and training adds 4: 5 together.
        ("known", "steps_400", "covariance", 104, 99, 109, 4.0),
        ("known", "steps_400", "difference", 90, 80, 95, np.nan),
        ("known", "steps_400", "entropy", 300, 290, 310, np.nan),
        ("known", "steps_200", "covariance", 106, 103, 109, np.nan),
    ]
    names = ["dataset", "network", "estimate", "bits", "low", "high", "fit"]
    information = pd.DataFrame(rows, columns=names).reindex(columns=COLUMNS["information"])
    table = gauge.compared(information)
    assert list(table["steps"]) == [200, 400, 400]
    short, own, _ = table.to_dict("records")
    assert (own["low"], own["high"]) == pytest.approx((101, 107))
    assert (own["low_fit"], own["high_fit"], own["doubts"]) == (99, 109, "")
    assert np.isnan(short["low_fit"])
    assert short["doubts"] == "untested"
    held = {
        which: gauge._held(table[table["estimate"] == "covariance"], which)
        for which in ("", "_fit")
    }
    assert held == {"": 0, "_fit": 1}
