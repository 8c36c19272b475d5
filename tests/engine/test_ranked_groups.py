"""Groups that a method cannot rank are left alone while it shapes a training, too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from prunetui.api import Training, cannot_rank
from prunetui.engine.data import Dataset
from prunetui.engine.device import Device
from prunetui.engine.graph import Graph
from prunetui.engine.models import Architecture
from prunetui.engine.state import State, instantiate
from prunetui.engine.train_job import Hooks, Shape, TrainJob, TrainState
from prunetui.engine.training_loop import train
from prunetui.errors import UnrankedError
from prunetui.tasks.classification import Classification
from tests.engine.test_shaping import never, recipe

SMALL = Architecture("resnet20", 1, 8, 10, "B", width=4)


@pytest.mark.parametrize("few", [1, 100])
def test_they_are_left_out_from_the_first_batch_on(
    few: int, digits: Dataset, cpu: Device, lively: Callable[..., State], graph_of: Callable[[Architecture], Graph]
) -> None:
    state, graph = lively(SMALL), graph_of(SMALL)
    constraints = graph.constraints(state, edit="channels")
    constraints = replace(constraints, groups=constraints.groups[:few])
    first = constraints.groups[0]
    seen: list[int] = []

    def shaped(training: Training) -> None:
        if first in training.groups():
            raise cannot_rank(first, "no layer makes")
        seen.append(len(training.groups()))

    def trained() -> None:
        job = TrainJob(recipe(epochs=1), "key", shape=Shape(shaped, constraints))
        hooks = Hooks(lambda report: None, lambda epoch, state: None, never)
        train(instantiate(state, torch.device("cpu")), Classification(), digits, job, TrainState(), cpu, hooks)

    if few == 1:
        with pytest.raises(UnrankedError, match="no layer makes the channels of"):
            trained()
    else:
        trained()
        assert set(seen) == {len(graph.groups) - 1}
