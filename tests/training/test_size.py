"""The size of a training is known before anything of it is allocated."""

import pytest
import torch
from helpers.project import ROOT
from torch.autograd.graph import saved_tensors_hooks

from noise2mask import plugins
from noise2mask.errors import UserError
from noise2mask.study.load import load_study
from noise2mask.study.plan import run_settings
from noise2mask.study.schema import Training
from noise2mask.training import size
from noise2mask.training.run import build_network

STUDY = load_study(ROOT / "config" / "quick.yaml")
CPU = torch.device("cpu")


def settings(network="ensemdiff", *, batch=2, resolution=32, **options):
    found = run_settings(STUDY, Training("lesion_phantom", network, "diffusion", 0))
    entry = found.network.model_copy(update={"options": {**found.network.options, **options}})
    training = found.training.model_copy(update={"batch": batch})
    change = {"network": entry, "training": training, "resolution": resolution}
    return found.model_copy(update=change)


@pytest.mark.parametrize("name", ["ensemdiff", "segdiff", "medsegdiff"])
def test_it_is_what_a_real_step_keeps(name):
    assert name in plugins.names("architecture")
    expected = settings(name)
    network = build_network(expected, 3).train()
    weights = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    inputs = torch.zeros(2, 1, 32, 32), torch.zeros(2, 3, 32, 32), torch.zeros(2, dtype=torch.long)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        (network.with_calibration if network.calibrated else network)(*inputs)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    found = size.size_of(expected, 3)
    assert found.parameters == parameters
    real = sum(count for storage, count in kept.items() if storage not in weights)
    assert found.memory - 20 * parameters == pytest.approx(real, rel=0.05)


def test_a_larger_batch_costs_what_its_cases_cost():
    weights = 20 * size.size_of(settings()).parameters
    one, four = (size.size_of(settings(batch=batch)).memory - weights for batch in (1, 4))
    assert four == pytest.approx(4 * one, rel=0.01)


@pytest.mark.parametrize(
    "change",
    [
        {"multipliers": [10**9, 1, 1]},
        {"multipliers": [10**30, 1, 1]},
        {"batch": 2**50},
        {"batch": 2**70},
    ],
)
def test_what_no_machine_can_hold_is_one_sentence(change):
    with pytest.raises(UserError, match="larger than any memory; choose a smaller one"):
        size.size_of(settings(**change))


def test_what_this_machine_cannot_hold_is_refused(monkeypatch):
    monkeypatch.setattr(size, "memory_of", lambda _: 10**7)
    with pytest.raises(
        UserError,
        match=r"has 0.81\d* million parameters and needs 2\d.\d MB with batches of 2 at 32 pixels, "
        r"more than the 10.0 MB of this machine; choose a smaller network, batch or resolution",
    ):
        size.check_size(settings(), 3, CPU)
    monkeypatch.setattr(size, "memory_of", lambda _: 10**8)
    assert size.check_size(settings(), 3, CPU).parameters > 800_000


def test_processes_share_the_batch_and_each_has_the_weights(monkeypatch):
    whole = size.size_of(settings(batch=4))
    weights = 20 * whole.parameters
    share = weights + (whole.memory - weights) // 4
    needed = {"cuda": share, "cpu": whole.memory + 3 * weights}
    for device, memory in needed.items():
        monkeypatch.setattr(size, "memory_of", lambda _, memory=memory: memory)
        assert size.check_size(settings(batch=4), 3, torch.device(device), 4) == whole
        monkeypatch.setattr(size, "memory_of", lambda _, memory=memory: memory - 1)
        with pytest.raises(UserError, match="batches of 4 at 32 pixels"):
            size.check_size(settings(batch=4), 3, torch.device(device), 4)


def test_a_resolution_that_the_network_cannot_halve():
    with pytest.raises(UserError, match="resolution 34 cannot be halved 2 times"):
        size.size_of(settings(resolution=34))


def test_the_memory_of_this_machine_is_that_of_its_control_group(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(size, "_CGROUP", limit)
    whole = size.memory_of(CPU)
    assert whole > 10**9
    limit.write_text("max\n")
    assert size.memory_of(CPU) == whole
    limit.write_text("1000000\n")
    assert size.memory_of(CPU) == 10**6
