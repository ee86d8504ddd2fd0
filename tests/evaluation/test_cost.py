"""The real measurement on tiny trained networks. No time is asserted on."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from noise2mask import plugins
from noise2mask.data.prepared import open_split, read_manifest
from noise2mask.errors import UserError
from noise2mask.evaluation import cost, meters, timing
from noise2mask.evaluation.cost import (
    cases_at_once,
    measure_costs,
    priced,
    run_counts,
    sampling_price,
    seconds_per_training_step,
)
from noise2mask.evaluation.flops import evaluations
from noise2mask.evaluation.pareto import Cost
from noise2mask.evaluation.timing import measured, reference_cost, write_costs
from noise2mask.sampling.sample import BLOCK, draw, load_trained, visited
from noise2mask.study import paths
from noise2mask.study.plan import run_settings
from noise2mask.study.schema import Reading, Sampler, Training
from noise2mask.training.run import run_of
from noise2mask.training.train import train

CPU = torch.device("cpu")
DDIM = Sampler(sampler="ddim", steps=3, draws=5)


@pytest.fixture(scope="module")
def small(study):
    """Two networks on one dataset, with an ensemble and a reading of few draws."""
    return study.model_copy(
        update={
            "datasets": {"lesion_phantom": study.datasets["lesion_phantom"]},
            "networks": {name: study.networks[name] for name in ("segdiff", "medsegdiff")},
            "modes": {
                "feed_forward": study.modes["feed_forward"].model_copy(
                    update={"samplers": ("one_pass", "calibration", "ensemble"), "seeds": (0, 1)}
                ),
                "diffusion": study.modes["diffusion"].model_copy(
                    update={"samplers": ("ddim", "two", "hot")}
                ),
            },
            "samplers": {
                "one_pass": Sampler(sampler="one_pass"),
                "calibration": Sampler(
                    sampler="one_pass", head="calibration", networks=("medsegdiff",)
                ),
                "ddim": DDIM.model_copy(update={"views": 2}),
            },
            "readings": {
                "ensemble": Reading(of="one_pass", seeds=2, networks=("segdiff",)),
                "two": Reading(of="ddim", draws=2),
                "hot": Reading(of="ddim", temperature=True),
            },
        }
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory, small, prepared):
    """Its trainings of the first seed, where a study has them."""
    folder = tmp_path_factory.mktemp("root")
    data = folder / paths.prepared("small", "lesion_phantom")
    data.parent.mkdir(parents=True)
    data.symlink_to(prepared)
    for training in {point.training for point in priced(small)}:
        run = run_of(run_settings(small, training), read_manifest(prepared), "free")
        out = paths.training_folder(folder / paths.RESULTS, "small", training)
        train(run, prepared, folder / "work" / training.network / training.mode, out, CPU)
    return folder


@pytest.fixture(scope="module")
def costs(small, root):
    out = root / "costs.csv"
    measure_costs(small, "small", root, out, CPU, repeats=1)
    return pd.read_csv(out).set_index(["network", "mode", "sampler"])


def trained_of(root, network="segdiff", mode="diffusion"):
    training = Training("lesion_phantom", network, mode, 0)
    return load_trained(paths.training_folder(root / paths.RESULTS, "small", training), CPU)


def test_every_scored_row_has_its_price(costs, small):
    assert list(costs.index) == [
        (point.training.network, point.training.mode, point.name) for point in priced(small)
    ]
    assert [*costs.index.names, *costs.columns] == list(Cost._fields)
    assert len(costs) == 2 * (1 + 3) + 2
    for column in (
        "seconds_per_mask",
        "seconds_per_training_step",
        "peak_memory_mb",
        "macs_per_mask",
    ):
        assert (costs[column] > 0).all(), column
    assert (costs["threads"] == small.compute.threads).all()


def test_draws_and_evaluations_are_those_of_the_study(costs):
    rows = costs.loc["segdiff"]
    assert tuple(rows.loc[("feed_forward", "one_pass"), ["steps", "draws"]]) == (1, 1)
    assert tuple(rows.loc[("diffusion", "ddim"), ["steps", "draws"]]) == (3, 5)
    evaluated = rows["evaluations_per_mask"]
    assert evaluated["feed_forward", "ensemble"] == 2
    assert [evaluated["diffusion", name] for name in ("ddim", "two", "hot")] == [15, 6, 15]
    assert [rows["cases_at_once"]["diffusion", name] for name in ("ddim", "two", "hot")] == [
        3,
        4,
        3,
    ]
    assert rows["encodings_per_mask"]["diffusion", "ddim"] == 2  # views


def test_an_ensemble_costs_as_much_as_its_members(costs):
    one = costs.loc[("segdiff", "feed_forward", "one_pass")]
    both = costs.loc[("segdiff", "feed_forward", "ensemble")]
    assert both["trainings"] == 2
    for column in ("parameters", "macs_per_mask", "draws", "seconds_per_mask"):
        assert both[column] == pytest.approx(2 * one[column], rel=1e-6), column
    assert both["peak_memory_mb"] == one["peak_memory_mb"]  # one after the other


def test_a_reading_of_the_same_draws_costs_the_same(costs):
    one, other = (costs.loc[("medsegdiff", "diffusion", name)] for name in ("ddim", "hot"))
    assert one.equals(other.rename(one.name))


def test_the_steps_of_a_mode_are_timed_once(costs):
    for _, rows in costs.groupby(["network", "mode"]):
        assert len(set(rows["seconds_per_training_step"])) == 1


def test_counts_multiply_to_those_of_a_mask(costs):
    row = costs.loc[("segdiff", "diffusion", "ddim")]
    assert row["macs_encoding"] > 0
    assert row["macs_per_mask"] == 2 * row["macs_encoding"] + 15 * row["macs_evaluation"]


@pytest.mark.parametrize("name", plugins.names("sampler"))
def test_counts_are_the_real_calls_of_the_network(root, prepared, name):
    trained, split = trained_of(root), open_split(prepared, "test", purpose="evaluation")
    sampler = Sampler(sampler=name, steps=3, draws=BLOCK["cpu"])  # one full block
    encodings, calls = [], []
    network = trained.network
    honest = network.encode
    network.encode = lambda image: (encodings.append(len(image)), honest(image))[1]
    network.register_forward_hook(lambda _, given, __: calls.append(len(given[0])))
    with torch.inference_mode():
        draw(trained, split, [0], sampler)
    schedule = trained.process.schedule
    steps = evaluations(sampler, schedule, visited(schedule.timesteps, sampler))
    assert sum(calls) == sampler.draws * steps
    assert encodings == [1]


def test_counts_of_a_run_need_no_weights(root):
    trained = trained_of(root, "medsegdiff", "feed_forward")
    settings, channels = trained.run.settings, trained.run.data["channels"]
    counts = run_counts(settings, channels)
    assert counts.parameters == sum(p.numel() for p in trained.network.parameters())
    assert run_counts(settings, channels, "calibration").evaluation >= counts.evaluation > 0


@pytest.mark.parametrize(("draws", "cases"), [(1, 8), (2, 4), (5, 3), (8, 1), (9, 4), (25, 3)])
def test_so_many_cases_fill_blocks(draws, cases):
    assert cases_at_once(draws, 8) == cases
    fillers = -(cases * draws) % 8
    assert fillers / (fillers + cases * draws) <= cost.FILLERS + 1e-12


def test_steps_are_timed_from_end_to_end_and_a_shorter_training_tells_nothing(monkeypatch):
    clock = iter([0.0, 1.0, 3.0, 4.0, 6.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    layer = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)

    def steps(number):
        for _ in range(number):
            layer(torch.ones(1, 1)).sum().backward()
            optimizer.step()

    assert timing.seconds_per_step(lambda: steps(100)) == 1.5
    clock = iter([0.0] * timing.STEPS)
    assert timing.seconds_per_step(lambda: steps(timing.STEPS)) is None
    steps(100)  # the hook is gone


def test_the_training_is_the_real_one_and_leaves_nothing(root, prepared, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = trained_of(root).run
    seen, finished = [], []
    honest = cost.train

    def watched(*given):
        seen.append(given[0])
        honest(*given)
        finished.append(given[0])

    monkeypatch.setattr(cost, "train", watched)
    before = torch.get_rng_state()
    assert seconds_per_training_step(run, prepared, CPU) > 0
    torch.set_rng_state(before)
    assert seen[0].settings.mode == run.settings.mode
    assert seen[0].settings.training.batch == run.settings.training.batch
    assert finished == []
    assert list(tmp_path.iterdir()) == []
    # the hook is gone: a training after it goes on to its end
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight])
    for _ in range(2 * cost.STEPS):
        optimizer.step()


def test_energy_that_cannot_be_read_is_absent_and_never_0(root, prepared, monkeypatch):
    trained, split = trained_of(root), open_split(prepared, "test", purpose="evaluation")
    monkeypatch.setattr(meters, "processor_counters", dict)
    assert sampling_price(trained, split, DDIM, 1).joules is None
    readings = iter([100, 160])
    monkeypatch.setattr(
        meters, "processor_counters", lambda: {"a": meters.Counter(next(readings) * 10**6, 10**12)}
    )
    assert sampling_price(trained, split, DDIM, 1).joules == pytest.approx(60 / 3)  # three masks


def test_memory_that_is_not_told_is_absent(root, prepared, monkeypatch):
    trained, split = trained_of(root), open_split(prepared, "test", purpose="evaluation")
    monkeypatch.setattr(meters, "forget_peak", lambda: False)
    assert sampling_price(trained, split, DDIM, 1).memory is None


def test_memory_holds_at_least_weights_and_work():
    network = nn.Linear(1000, 1000)

    def work():
        torch.ones(16_000_000).sum()  # 64 MB

    found = measured(work, network, 1, CPU, repeats=1, warm_up=None).memory
    if found is None:
        pytest.skip("this machine does not tell its peak memory")
    assert 66 < found < 80  # the kernel counts pages a little late


class Halving(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, image):
        return self.layer(image)


def test_a_reference_has_a_row_of_the_same_columns():
    network, images = Halving(), np.zeros((4, 8, 8, 3), np.uint8)

    def predict(images):
        """Each image as it is and mirrored."""
        rows = torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2)
        both = network(rows) + network(rows.flip(-1)).flip(-1)
        return both.softmax(1)[:, 1].detach().numpy()

    row = reference_cost("nnunet", network, torch.zeros(2, 3, 8, 8), predict, images, CPU)
    assert isinstance(row, Cost)
    assert row[:6] == ("nnunet", "reference", "prediction", 1, 1, 1)
    assert row.parameters == 2 * 27 + 2
    assert row.macs_evaluation == 8 * 8 * 2 * 27
    assert row.evaluations_per_mask == 2
    assert row.macs_per_mask == 2 * row.macs_evaluation
    assert row.seconds_per_training_step is None
    assert row.cases_at_once == 4
    assert len(network._forward_hooks) == 0


def test_a_study_that_scores_nothing_is_refused(small, root, tmp_path):
    modes = {name: mode.model_copy(update={"samplers": ()}) for name, mode in small.modes.items()}
    with pytest.raises(UserError, match="study small scores no sampler") as caught:
        measure_costs(
            small.model_copy(update={"modes": modes}), "small", root, tmp_path / "costs.csv", CPU
        )
    assert "give a mode samplers" in str(caught.value)


def test_a_missing_training_is_said(small, tmp_path):
    with pytest.raises(UserError, match="run this training first"):
        measure_costs(small, "small", tmp_path, tmp_path / "costs.csv", CPU)
    assert not (tmp_path / "costs.csv").exists()


def test_an_unknown_price_is_an_empty_cell(tmp_path):
    row = Cost("a", "b", "c", *[1] * 9, None, 1, math.pi, None, None, "d", 1)
    write_costs([row], tmp_path / "costs.csv")
    assert (tmp_path / "costs.csv").read_text().splitlines()[1] == (
        "a,b,c,1,1,1,1,1,1,1,1,1,,1,3.14159265,,,d,1"
    )
