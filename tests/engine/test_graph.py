"""Which channels go together, checked against Torch-Pruning's own removal and against counting real pruned nets."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch_pruning
from torch import Tensor, nn

from prunetui.engine.count import count
from prunetui.engine.edits import remove_channels
from prunetui.engine.graph import Graph
from prunetui.engine.models import Architecture
from prunetui.engine.state import State, instantiate

NETS = {
    "resnet18": Architecture("resnet18", 3, 16, 10, width=8),
    "resnet50": Architecture("resnet50", 3, 16, 10, width=4),
    "resnet20 A": Architecture("resnet20", 1, 16, 10, "A", width=8),
    "resnet20 B": Architecture("resnet20", 1, 16, 10, "B", width=8),
    "vgg16": Architecture("vgg16", 3, 16, 10, width=8),
}
every_net = pytest.mark.parametrize("net", list(NETS))
GraphOf = Callable[[Architecture], Graph]


def uneven(graph: Graph) -> dict[str, Tensor]:
    """Keep a random half of each group, at least one channel."""
    random = torch.Generator().manual_seed(3)
    keep = {g.name: torch.rand(g.width, generator=random) < 0.5 for g in graph.groups}
    for mask in keep.values():
        mask[-1] = True
    return keep


@every_net
def test_the_cost_at_given_widths_is_that_of_the_really_pruned_net(
    net: str, graph_of: GraphOf, lively: Callable[..., State]
) -> None:
    graph = graph_of(NETS[net])
    after = remove_channels(uneven(graph), lively(NETS[net]), graph)
    example = torch.zeros(1, NETS[net].channels, 16, 16)
    counts = count(instantiate(after, torch.device("cpu")), example)
    widths = graph.widths(after.tensors)
    assert widths != {g.name: g.width for g in graph.groups}
    assert graph.cost("params", widths) == counts.params
    assert graph.cost("macs", widths) == counts.macs
    assert graph.cost("sparsity", widths) == counts.weights


@every_net
def test_the_cost_at_full_width_is_that_of_the_dense_net(
    net: str, graph_of: GraphOf, lively: Callable[..., State]
) -> None:
    graph = graph_of(NETS[net])
    state = lively(NETS[net])
    counts = count(instantiate(state, torch.device("cpu")), torch.zeros(1, NETS[net].channels, 16, 16))
    costs = graph.constraints(state, edit="channels").costs
    assert costs.dense == costs.current
    assert [graph.cost(kind, costs.dense) for kind in ("params", "macs", "sparsity")] == [
        counts.params, counts.macs, counts.weights,
    ]  # fmt: skip


@every_net
def test_the_classes_are_never_among_the_removable_channels(net: str, graph_of: GraphOf) -> None:
    graph = graph_of(NETS[net])
    producers = {layer for group in graph.groups for layer in group.producers}
    assert producers.isdisjoint({"linear", "classifier"})
    assert any({"linear", "classifier"} & set(group.consumers) for group in graph.groups) == (net != "resnet20 A")


@every_net
def test_every_convolution_is_in_exactly_one_group_or_refused(net: str, graph_of: GraphOf) -> None:
    graph = graph_of(NETS[net])
    model = instantiate_meta(NETS[net])
    producers = [layer for group in graph.groups for layer in group.producers]
    assert sorted([*producers, *graph.refused]) == sorted(
        n for n, m in model.named_modules() if isinstance(m, nn.Conv2d)
    )


def instantiate_meta(architecture: Architecture) -> nn.Module:
    from prunetui.engine.models import build

    with torch.device("meta"):
        return build(architecture)


def test_shortcut_a_leaves_only_block_internal_channels_removable(graph_of: GraphOf) -> None:
    graph = graph_of(NETS["resnet20 A"])
    blocks = [f"layer{stage}.{i}" for stage in (1, 2, 3) for i in (0, 1, 2)]
    assert sorted(group.name for group in graph.groups) == [f"{block}.conv1" for block in blocks]
    assert sorted(graph.refused) == ["conv1", *(f"{block}.conv2" for block in blocks)]
    inner = next(group for group in graph.groups if group.name == "layer2.1.conv1")
    assert (inner.width, inner.producers) == (16, ("layer2.1.conv1",))
    assert (inner.norms, inner.consumers) == (("layer2.1.bn1",), ("layer2.1.conv2",))


def test_the_residual_stream_of_shortcut_b_is_one_group_a_stage(graph_of: GraphOf) -> None:
    graph = graph_of(NETS["resnet20 B"])
    assert graph.refused == ()
    stream = next(group for group in graph.groups if "layer2.0.conv2" in group.producers)
    assert sorted(stream.producers) == ["layer2.0.conv2", "layer2.0.shortcut.0", "layer2.1.conv2", "layer2.2.conv2"]
    assert sorted(stream.norms) == ["layer2.0.bn2", "layer2.0.shortcut.1", "layer2.1.bn2", "layer2.2.bn2"]
    assert sorted(stream.consumers) == [
        "layer2.1.conv1", "layer2.2.conv1", "layer3.0.conv1", "layer3.0.shortcut.0",
    ]  # fmt: skip


def test_a_graph_does_not_depend_on_earlier_random_numbers() -> None:
    from prunetui.engine.trace_network import trace

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = trace(NETS["resnet20 B"], torch.zeros(1, 1, 8, 8))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    assert trace(NETS["resnet20 B"], torch.zeros(1, 1, 8, 8)) == first


def removed_by_torch_pruning(state: State, keep: dict[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    model = instantiate(state, torch.device("cpu"))
    example = torch.zeros(1, architecture.channels, architecture.size, architecture.size)
    with torch.enable_grad():
        graph = torch_pruning.DependencyGraph().build_dependency(model, example)
    for name, mask in keep.items():
        gone = (~mask).nonzero().flatten().tolist()
        group = graph.get_pruning_group(model.get_submodule(name), torch_pruning.prune_conv_out_channels, gone)
        group.prune()
    return dict(model.state_dict())


@pytest.mark.parametrize("net", ["resnet18", "resnet50", "resnet20 B", "vgg16"])
def test_removal_leaves_the_very_weights_that_torch_pruning_leaves(
    net: str, graph_of: GraphOf, lively: Callable[..., State], same: Callable[..., bool]
) -> None:
    state, graph = lively(NETS[net]), graph_of(NETS[net])
    keep = uneven(graph)
    ours = remove_channels(keep, state, graph)
    assert same(dict(ours.tensors), removed_by_torch_pruning(state, keep, NETS[net]))
