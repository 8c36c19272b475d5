"""Every method that removes channels, on every family of nets; and sizes to the last parameter."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunetui.api import Channels, Net, Training
from prunetui.config import Iterative, LayersTable
from prunetui.engine.count import count
from prunetui.engine.edits import check_removal, remove_channels
from prunetui.engine.graph import Graph
from prunetui.engine.models import Architecture
from prunetui.engine.state import State, instantiate
from prunetui.plan.schedules import levels
from prunetui.plugins import method_catalogue

NETS = {
    "resnet18": Architecture("resnet18", 3, 8, 10, width=8),
    "resnet50": Architecture("resnet50", 3, 8, 10, width=4),
    "resnet20 A": Architecture("resnet20", 3, 8, 10, "A", width=8),
    "resnet20 B": Architecture("resnet20", 3, 8, 10, "B", width=8),
    "vgg16": Architecture("vgg16", 3, 8, 10, width=8),
}
CHANNELS = [name for name, info in method_catalogue.catalogue().methods.items() if info.edit == "channels"]
CPU = torch.device("cpu")
GraphOf = Callable[[Architecture], Graph]
Lively = Callable[..., State]
NetOf = Callable[..., Net]

every_net = pytest.mark.parametrize("net", list(NETS))
every_method = pytest.mark.parametrize("name", CHANNELS)


def edit_of(name: str, net: Net, sparsity: float) -> Channels:
    """A method's edit, after the training it asks for: two batches of it."""
    chosen: Any = method_catalogue.load(name)()
    trains = method_catalogue.method_info(name).trains
    if not trains:
        found: Channels = chosen.prune(net, sparsity)
        return found
    training = Training(
        model=copy.deepcopy(net.model), constraints=net.constraints, masks={}, memory={}, generator=torch.Generator(),
    )  # fmt: skip
    for images, labels in net.batches:
        training.model.zero_grad()
        F.cross_entropy(training.model(images), labels).backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            chosen.during_training(training, *([sparsity] if trains == "by value" else []))
    after: Channels = chosen.prune(replace(net, memory=training.memory), sparsity)
    return after


def silence(module: nn.Module, keep: Tensor) -> None:
    module.register_forward_hook(lambda _module, _inputs, output: output * keep.view(1, -1, 1, 1))


@every_net
@every_method
def test_what_a_method_removes_was_as_good_as_silent(
    name: str, net: str, graph_of: GraphOf, lively: Lively, net_of: NetOf
) -> None:
    """The pruned net computes what the whole one computes with those channels silenced after their batch norm."""
    graph, state = graph_of(NETS[net]).restricted(LayersTable()), lively(NETS[net])
    random = torch.Generator().manual_seed(3)
    batches = [(torch.randn(8, 3, 8, 8, generator=random), torch.arange(8)) for _ in range(2)]
    edit = edit_of(name, net_of(state, graph, batches=batches), 0.4)
    assert type(edit) is Channels
    after = remove_channels(edit.keep, state, graph)
    narrower = [group for group in graph.groups if graph.widths(after.tensors)[group.name] < group.width]
    assert narrower
    if edit.moved:
        pytest.skip("it makes up for what it removes: the net is meant to compute something else")
    check_removal(edit.keep, state, after, graph, batches[0][0])
    whole, pruned = instantiate(state, CPU).double(), instantiate(after, CPU).double()
    for group in narrower:
        for layer in group.norms:
            silence(whole.get_submodule(layer), edit.keep[group.name].to(torch.float64))
    images = torch.randn(4, 3, 8, 8, generator=random, dtype=torch.float64)
    with torch.inference_mode():
        wanted, got = whole(images), pruned(images)
    assert wanted.std() > 1e-4
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9 * float(wanted.abs().max()))


@every_method
def test_across_zero_padded_shortcuts_only_channels_within_a_block_go(
    name: str, graph_of: GraphOf, lively: Lively, net_of: NetOf
) -> None:
    architecture = NETS["resnet20 A"]
    graph, state = graph_of(architecture), lively(architecture)
    random = torch.Generator().manual_seed(3)
    batches = [(torch.randn(8, 3, 8, 8, generator=random), torch.arange(8))]
    edit = edit_of(name, net_of(state, graph, batches=batches), 0.5)
    within = {f"layer{stage}.{block}.conv1" for stage in (1, 2, 3) for block in (0, 1, 2)}
    assert set(edit.keep) <= within
    after = remove_channels(edit.keep, state, graph)
    for layer in ("conv1", *(f"layer{stage}.{block}.conv2" for stage in (1, 2, 3) for block in (0, 1, 2))):
        assert len(after.tensors[f"{layer}.weight"]) == len(state.tensors[f"{layer}.weight"])
    assert set(graph.refused) == {"conv1", *(f"layer{s}.{b}.conv2" for s in (1, 2, 3) for b in (0, 1, 2))}


# Sizes ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def resnet18(graph_of: GraphOf, lively: Lively) -> tuple[State, Graph]:
    architecture = Architecture("resnet18", 3, 32, 10)
    return replace(lively(architecture), momentum={}), graph_of(architecture).restricted(LayersTable())


@pytest.mark.parametrize("steps", [1, 20])
def test_resnet18_with_a_tenth_of_its_channels_has_exactly_this_size(
    steps: int, resnet18: tuple[State, Graph], net_of: NetOf
) -> None:
    """floor(C / 10) of C channels, down to even numbers, in one step or in twenty: 6, 12, 24 and 50."""
    state, graph = resnet18
    method: Any = method_catalogue.load("l2-structured")(scope="local", round_to=2)
    for level in levels(Iterative(steps=steps), 0.9, (0.9,)):
        edit = method.prune(net_of(state, graph, target="channels"), level)
        state = remove_channels(edit.keep, state, graph)
    assert sorted(set(graph.widths(state.tensors).values())) == [6, 12, 24, 50]
    counts = count(instantiate(state, CPU), torch.zeros(1, 3, 32, 32))
    assert counts.params == counts.params_nonzero == 105_428
    assert counts.macs == 5_124_788
    assert {name: len(index) for name, index in state.kept.items()} == graph.widths(state.tensors)


def test_the_filters_with_the_largest_norms_stay(resnet18: tuple[State, Graph], net_of: NetOf) -> None:
    state, graph = resnet18
    method: Any = method_catalogue.load("l2-structured")(round_to=2)
    after = remove_channels(method.prune(net_of(state, graph, target="channels"), 0.5).keep, state, graph)
    norms = state.tensors["layer1.0.conv1.weight"].flatten(1).norm(dim=1)
    assert set(after.kept["layer1.0.conv1"].tolist()) == set(norms.topk(32).indices.tolist())
