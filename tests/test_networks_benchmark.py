"""benchmarks/networks.py compares like with like; how fast anything is, no test asks."""

import importlib.util
import itertools
import math
import sys
from functools import partial

import pytest
from helpers.project import ROOT

from noise2mask.networks import segdiff


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("networks", ROOT / "benchmarks/networks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["EnsemDiff", "SegDiff", "MedSegDiff new", "MedSegDiff v1"])
def test_library_network_has_the_multiply_adds_of_ours(benchmark, name):
    kind = benchmark.KINDS[name]
    ours = benchmark.counted(partial(benchmark.build, kind, 32))[1]
    nearest = benchmark.equal_width(kind, 32, ours)
    off = {
        wide: abs(benchmark.counted(partial(benchmark.build_library, kind, wide))[1] / ours - 1)
        for wide in (nearest - 8, nearest, nearest + 8)
    }
    assert min(off, key=off.get) == nearest
    assert off[nearest] < 0.1


def test_library_network_of_ensemdiff_is_as_large_as_ours(benchmark):
    kind = benchmark.KINDS["EnsemDiff"]
    ours = benchmark.counted(partial(benchmark.build, kind, 32))
    theirs = benchmark.counted(partial(benchmark.build_library, kind, 32))
    assert theirs == pytest.approx(ours, rel=0.01)


def test_works_take_turns_in_changing_order_and_the_first_of_each_is_not_counted(benchmark):
    done, ticks = [], itertools.count()
    bench = benchmark.Bench(rounds=3, clock=lambda: float(next(ticks)), peak=math.nan)
    times = bench.turns({name: partial(done.append, name) for name in "ab"})
    assert "".join(done) == "ab" + "ab" + "ba" + "ab"
    assert times == {"a": [1.0] * 3, "b": [1.0] * 3}


def test_ratio_is_the_median_of_the_turns_with_quartiles(benchmark):
    assert benchmark.ratio([1, 2, 3], [2, 2, 2]) == "1.00 (0.50-1.50)"
    assert benchmark.ratio([1, 10, 100], [2, 20, 200]) == "0.50 (0.50-0.50)"


def test_networks_of_another_checkout_stand_beside_ours(benchmark):
    found = benchmark.modules_of(ROOT)
    assert found["SegDiff"].__file__ == segdiff.__file__
    assert found["SegDiff"] is not segdiff
    assert sys.modules["noise2mask.networks.segdiff"] is segdiff


def test_folder_without_the_package_is_refused(benchmark, tmp_path):
    with pytest.raises(SystemExit, match="give a checkout of this repository"):
        benchmark.modules_of(tmp_path)
