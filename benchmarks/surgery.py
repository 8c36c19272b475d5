"""Channel surgery, networks a second: half of ResNet-18's channels removed, against Torch-Pruning's own pruner.

Ours scores, solves the budget, removes, and checks that the smaller network computes what the larger one with those
channels silenced does; the peer scores and removes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch_pruning as tp

from benchmarks._images import colour_digits
from benchmarks._turns import Work, in_turns
from benchmarks.training import network
from prunetui.config import LayersTable, ModelTable
from prunetui.engine.device import find_device, prepare
from prunetui.engine.models import build
from prunetui.engine.state import State
from prunetui.engine.step_context import StepContext
from prunetui.engine.trace_network import trace
from prunetui.plan import Prune
from prunetui.plugins.method_catalogue import method_info
from prunetui.store.partial_files import PartialFiles
from prunetui.tasks.classification import Classification

RATIO = 0.5


def ours() -> Work:
    """The prune step of a run."""
    found = find_device("cpu")
    prepare(found)
    torch.manual_seed(0)
    architecture = network("resnet18")
    state = State(architecture, dict(build(architecture).state_dict()))
    data = colour_digits(512, 10)
    graph = trace(architecture, data.example()[0]).restricted(LayersTable())
    options = {"round_to": 1}
    step = Prune("l2-structured", options, method_info("l2-structured").digest, "channels", RATIO, 1.0, 128)

    context = StepContext(
        key="benchmark",
        seed=0,
        randomness="benchmark",
        model=ModelTable(),
        architecture=architecture,
        graph=graph,
        source=data,
        task=Classification(),
        device=found,
        state=lambda key: state,
        keeps_momentum=False,
        partials=PartialFiles(Path("unused")),
        emit=lambda event: None,
        should_stop=lambda: False,
    )

    def work() -> float:
        step.apply(context, state)
        return 1

    return work


def peer() -> Work:
    """As its README shows."""
    torch.manual_seed(0)
    model = build(network("resnet18")).eval()
    example = torch.zeros(1, 3, 32, 32)

    def work() -> float:
        pruned = copy.deepcopy(model)
        importance = tp.importance.GroupMagnitudeImportance(p=2)
        tp.pruner.BasePruner(
            pruned, example, importance=importance, pruning_ratio=RATIO, ignored_layers=[pruned.linear]
        ).step()
        return 1

    return work


def results() -> Iterator[dict[str, Any]]:
    """On the CPU."""
    yield in_turns("surgery resnet18, half of the channels", ours, peer, "nets/s", rounds=7)
