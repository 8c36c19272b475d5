"""What a method may do after a step of the optimiser, and trainings that a method shapes from the first batch on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from prunetui.api import Training
from prunetui.api.constraints import Constraints
from prunetui.engine.data import Dataset
from prunetui.engine.device import Device
from prunetui.engine.graph import Graph
from prunetui.engine.models import Architecture
from prunetui.engine.state import State, instantiate
from prunetui.engine.train_job import Hooks, Shape, TrainJob, TrainState
from prunetui.engine.training_loop import train
from prunetui.steps.train import hook_of
from prunetui.tasks.classification import Classification
from tests.engine.test_shaping import SMALL, never, recipe

CPU = torch.device("cpu")
LAYER = "features.4"
SHAPE = (8, 4, 3, 3)
"""Of its weight."""
Hook = Callable[[Training], None]


@pytest.fixture
def trained(digits: Dataset, cpu: Device, lively: Callable[..., State], graph_of: Callable[[Architecture], Graph]):
    """Trains a small network for one epoch of 5 batches with hooks; the network and the state after it."""

    def run(hook: Hook | None, after: Hook | None, **held: torch.Tensor) -> tuple[nn.Module, TrainState]:
        graph, model = graph_of(SMALL), instantiate(lively(SMALL), CPU)
        shape = Shape(hook, Constraints(graph.weighted, graph.groups), after, held)
        job = TrainJob(recipe(epochs=1), "key", shape=shape)
        hooks = Hooks(lambda report: None, lambda epoch, state: None, never)
        return model, train(model, Classification(), digits, job, TrainState(), cpu, hooks)

    return run


def weight(training: Training) -> torch.Tensor:
    return training.parameters()[LAYER]


def test_the_hooks_stand_on_either_side_of_the_step(trained: Any) -> None:
    seen: list[tuple[str, int, int, bool, torch.Tensor]] = []

    def note(where: str) -> Hook:
        return lambda t: seen.append((where, t.batch, t.total, t.is_last, weight(t).clone()))

    trained(note("before"), note("after"))
    assert [entry[:4] for entry in seen] == [
        (where, batch, 5, batch == 4) for batch in range(5) for where in ("before", "after")
    ]
    values = [entry[4] for entry in seen]
    assert all(not torch.equal(values[i], values[i + 1]) for i in range(0, 10, 2))  # a step between them
    assert all(torch.equal(values[i], values[i + 1]) for i in range(1, 9, 2))  # and none around them


def test_masks_that_come_after_a_step_zero_at_once_and_those_that_are_lifted_train_again(trained: Any) -> None:
    zeros: list[int] = []

    def after(training: Training) -> None:
        if training.batch == 1:
            training.masks[LAYER] = torch.arange(288).view(SHAPE) % 2 == 0
        if training.batch == 3:
            training.lift_masks()

    trained(lambda training: zeros.append(int((weight(training) == 0).sum())), after)
    assert zeros == [0, 0, 144, 144, 144]  # lifted after batch 3: zero until the step of batch 4
    model, state = trained(None, after)
    assert int((model.get_submodule(LAYER).weight == 0).sum()) == 0
    assert state.masks == {}


def test_lifting_masks_leaves_those_of_before_the_training(trained: Any) -> None:
    held = torch.zeros(1)

    def after(training: Training) -> None:
        nonlocal held
        held = training.held[LAYER]
        training.masks[LAYER] = torch.zeros_like(held)
        training.lift_masks()
        assert training.gone == pytest.approx(2 / sum(w.numel() for w in training.parameters().values()))

    mask = torch.ones(SHAPE, dtype=torch.bool)
    mask.view(-1)[:2] = False
    _, state = trained(None, after, **{LAYER: mask})
    assert torch.equal(held, mask)
    assert torch.equal(state.masks[LAYER], mask)


def test_momentum_that_is_reset_is_that_of_one_step(trained: Any) -> None:
    """After the last step nothing is left; after the one before, what a first step leaves: its gradient alone."""
    _, state = trained(None, lambda training: training.reset_momentum() if training.is_last else None)
    assert state.momentum == {}
    gradients: list[torch.Tensor] = []

    def note(training: Training) -> None:
        gradients.append(weight(training).grad + 5e-4 * weight(training))  # type: ignore[operator]

    _, state = trained(note, lambda training: training.reset_momentum() if training.batch == 3 else None)
    torch.testing.assert_close(state.momentum[f"momentum_buffer/{LAYER}.weight"], gradients[-1])


def test_a_hook_is_told_the_sparsity_only_if_it_asks() -> None:
    class Both:
        def during_training(self, training: Training) -> None:
            training.memory["told"] = torch.zeros(1)

        def after_step(self, training: Training, sparsity: float) -> None:
            training.memory["told"] = torch.tensor(sparsity)

    training = Training(nn.Linear(1, 1), Constraints(), {}, {}, torch.Generator())
    before, after = (hook_of(Both(), name, 0.25) for name in ("during_training", "after_step"))
    before(training)
    assert float(training.memory["told"]) == 0
    after(training)
    assert float(training.memory["told"]) == 0.25
    assert hook_of(object(), "after_step", 0.25) is None
