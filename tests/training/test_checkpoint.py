"""The course of a training, and an optimiser that goes on elsewhere."""

import json

import pytest
import torch

from noise2mask.training.checkpoint import (
    TrainingState,
    optimizer_tensors,
    prefixed,
    restore_optimizer,
    under,
)


def test_the_history_holds_means_of_windows_and_the_last_step():
    course, steps = TrainingState(), 1001
    for step in range(1, steps + 1):
        course.step = step
        course.note(float(step), steps)
    assert [line["step"] for line in course.history] == [*range(2, 1001, 2), 1001]
    assert course.history[0]["loss"] == 1.5
    assert course.history[-1]["loss"] == 1001
    assert not course.window


def test_val_chooses_the_first_of_the_least_losses():
    course, chosen = TrainingState(), []
    for step, loss in enumerate([0.5, 0.3, 0.3, 0.4], start=1):
        course.step = step
        chosen.append(course.validated(loss))
    assert chosen == [True, True, False, False]
    last = json.loads(course.text().splitlines()[-1])
    assert last == {"step": 2, "chosen": 0.3}


def test_a_course_goes_on_from_what_it_said():
    course = TrainingState(step=3, best_step=2, best_loss=0.25, history=[{"step": 1}], window=[0.5])
    other = TrainingState()
    other.go_on(json.loads(json.dumps(course.progress())))
    assert other == course


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_restored_optimiser_takes_the_same_next_step(layout, fused):
    def trained(steps):
        torch.manual_seed(0)
        layer = torch.nn.Conv2d(3, 2, 3).to(memory_format=layout)
        optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, fused=fused)
        for _ in range(steps):
            step(layer, optimizer)
        return layer, optimizer

    def step(layer, optimizer):
        optimizer.zero_grad()
        layer(torch.arange(75.0).view(1, 3, 5, 5) / 75).square().sum().backward()
        optimizer.step()

    (first, before), (second, after) = trained(3), trained(0)
    second.load_state_dict(first.state_dict())
    plain = torch.contiguous_format  # as a file gives it back
    taken = {
        name: value.clone(memory_format=plain) for name, value in optimizer_tensors(before).items()
    }
    kept = prefixed(taken, "optimizer.")
    restore_optimizer(after, under(kept | {"network.weight": first.weight}, "optimizer."))
    step(first, before)
    step(second, after)
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)
