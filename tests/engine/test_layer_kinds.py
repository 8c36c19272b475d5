"""Where channels lie in every kind of layer, and a new kind that no file of prunetui knows."""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from prunetui.api import Net
from prunetui.api.groups import Group, Slice, left_of, one_each
from prunetui.engine import layers
from prunetui.engine.count import count, used_layers
from prunetui.engine.edits import apply, remove_channels, zero_channels
from prunetui.engine.graph import Graph
from prunetui.engine.layers.grouped_convolution import GroupedConvolution
from prunetui.engine.layers.kind import LayerKind, Shapes, Stay
from prunetui.engine.models import Architecture
from prunetui.engine.state import State
from prunetui.engine.trace_network import trace_model
from prunetui.plugins import method_catalogue
from prunetui.tasks.classification import Classification

ANY = Architecture("vgg11", 1, 8, 10)
"""Of a state that is only sliced; nothing is built from it."""
CHANNELS = [n for n, info in method_catalogue.catalogue().methods.items() if info.edit == "channels"]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def state_of(model: nn.Module) -> State:
    """Random statistics too: fresh norms would hide what is left out."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            assert module.running_mean is not None
            module.running_mean.normal_()
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    momentum = {f"momentum_buffer/{name}": 3 * parameter.detach() for name, parameter in model.named_parameters()}
    return State(ANY, tensors, {}, momentum)


def made(model: nn.Module, state: State) -> nn.Module:
    """A copy of the net with the widths and values of a state."""
    copied = copy.deepcopy(model)
    layers.resize(copied, state.tensors)
    copied.load_state_dict(state.tensors)
    return copied.eval()


def proved(model: nn.Module, graph: Graph, keep: Mapping[str, Tensor], example: Tensor) -> State:
    """The state after a removal that computes what silencing computes, with its momentum and its cost."""
    state = state_of(model)
    after = remove_channels(keep, state, graph)
    images = torch.randn(3, *example.shape[1:], dtype=torch.float64)
    with torch.no_grad():
        whole = made(model, state).double()(images)
        silent = made(model, zero_channels(keep, state, graph)).double()(images)
        narrow = made(model, after).double()(images)
    assert (silent - whole).abs().max() > 1e-3
    torch.testing.assert_close(narrow, silent, rtol=1e-9, atol=1e-9)
    for name, buffer in after.momentum.items():
        assert torch.equal(buffer, 3 * after.tensors[name.partition("/")[2]]), name
    counts = count(made(model, after), example)
    widths = {group.name: int(keep[group.name].sum()) if group.name in keep else group.width for group in graph.groups}
    assert graph.widths(after.tensors) == widths
    assert graph.cost("params", widths) == graph.present("params", after.tensors) == counts.params
    assert graph.cost("macs", widths) == graph.present("macs", after.tensors) == counts.macs
    assert graph.cost("sparsity", widths) == graph.present("sparsity", after.tensors) == counts.weights
    return after


def kept(*places: int) -> Tensor:
    return torch.tensor(places, dtype=torch.bool)


# A new kind -------------------------------------------------------------------------------------------


class Transposed(LayerKind):
    """Transposed convolutions: weights [in, out, k, k], each used at every place of the input."""

    outputs: ClassVar[Mapping[str, int]] = {"weight": 1, "bias": 0}
    inputs: ClassVar[Mapping[str, int]] = {"weight": 0}

    def fits(self, module: nn.Module) -> bool:
        return isinstance(module, nn.ConvTranspose2d) and module.groups == 1

    def attributes(self, module: nn.Module, shapes: Shapes, stay: Stay) -> dict[str, Any]:
        inputs, outputs = shapes["weight"][:2]
        return {"in_channels": inputs, "out_channels": outputs}

    def places(self, read: Tensor, made: Tensor) -> int:
        return math.prod(read.shape[2:])


def test_a_kind_that_only_this_test_knows_is_traced_resized_costed_and_silenced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(layers, "KINDS", [Transposed(), *layers.KINDS])
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(4, 3, 2, stride=2), nn.BatchNorm2d(3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5),
    )  # fmt: skip
    example = torch.zeros(1, 2, 4, 4)
    graph = trace_model(model, example)
    groups = {group.name: group for group in graph.groups}
    first, second = groups["0"], groups["2"]
    assert (first.producers, first.consumers) == (("0",), ("2",))
    assert Slice("2.weight", 0, one_each(4), "reads") in first.slices
    assert second.slices[:2] == (Slice("2.weight", 1, one_each(3), "makes"), Slice("2.bias", 0, one_each(3), "makes"))
    assert (second.norms, second.consumers) == (("3",), ("7",))
    assert graph.layers["2"].cost("macs") == 4 * 3 * (2 * 2) * (4 * 4)
    after = proved(model, graph, {"0": kept(1, 0, 1, 1), "2": kept(0, 1, 1)}, example)
    assert after.tensors["2.weight"].shape == (3, 2, 2, 2)
    up = made(model, after)[2]  # type: ignore[index]
    assert (up.in_channels, up.out_channels) == (3, 2)


# The kinds that are built in --------------------------------------------------------------------------


def test_a_linear_layer_reads_a_run_of_columns_of_every_flattened_channel() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 5))
    example = torch.zeros(1, 2, 4, 4)
    graph = trace_model(model, example)
    assert graph.groups[0].slices[-1] == Slice("3.weight", 1, ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11)), "reads")
    after = proved(model, graph, {"0": kept(1, 0, 1)}, example)
    assert torch.equal(after.tensors["3.weight"], state_columns(model, "3.weight", 0, 1, 2, 3, 8, 9, 10, 11))


@pytest.mark.parametrize("name", CHANNELS)
def test_every_method_that_removes_channels_knows_the_columns_of_a_flattened_channel(name: str) -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 1), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5),
    )  # fmt: skip
    graph, state = trace_model(model, torch.zeros(1, 2, 4, 4)), state_of(model)
    batches = [(torch.randn(4, 2, 4, 4), torch.arange(4))]
    rules = graph.constraints(state, edit="channels", target="channels")
    net = Net(made(model, state), {}, batches, torch.Generator().manual_seed(0), rules, 1.0, Classification())
    after = apply(method_catalogue.load(name)(round_to=1).prune(net, 0.5), state, graph)
    merged = name == "kmeans-merge"  # which leaves the first alone, and what is not read column by column
    assert graph.widths(after.tensors) == ({"0": 6, "3": 2, "6": 4} if merged else {"0": 3, "3": 2, "6": 2})
    assert after.tensors["10.weight"].shape == (5, 16 if merged else 8)


def state_columns(model: nn.Module, name: str, *columns: int) -> Tensor:
    return model.state_dict()[name][:, list(columns)]


def test_a_depthwise_convolution_goes_with_the_channels_that_pass_through_it() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2),
    )  # fmt: skip
    example = torch.zeros(1, 2, 4, 4)
    graph = trace_model(model, example)
    passing = next(group for group in graph.groups if "0" in group.producers)
    assert (set(passing.producers), passing.consumers) == ({"0", "1"}, ("4",))
    after = proved(model, graph, {passing.name: kept(1, 1, 0, 1)}, example)
    assert after.tensors["1.weight"].shape == (3, 1, 3, 3)
    narrow = made(model, after)[1]  # type: ignore[index]
    assert (narrow.groups, narrow.in_channels, narrow.out_channels) == (3, 3, 3)


def test_a_grouped_convolution_loses_channels_of_all_groups_at_once_or_none() -> None:
    kind, conv = GroupedConvolution(), nn.Conv2d(4, 6, 1, groups=2)
    assert kind.slices("g", conv, "inputs", one_each(4)) is None
    assert kind.slices("g", conv, "outputs", one_each(6)) is None
    units = ((0, 3), (1, 4), (2, 5))
    assert kind.slices("g", conv, "outputs", units) == (
        Slice("g.weight", 0, units, "makes"), Slice("g.bias", 0, units, "makes"),
    )  # fmt: skip
    (read,) = kind.slices("g", conv, "inputs", ((0, 2), (1, 3))) or ()
    assert read == Slice("g.weight", 1, ((0,), (1,)), "reads")  # columns of both groups
    model = nn.Sequential(nn.Conv2d(2, 4, 1), conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))
    graph = trace_model(model, torch.zeros(1, 2, 3, 3))
    assert graph.groups == ()
    assert sorted(set(graph.refused)) == ["0", "1"]


def test_channels_in_a_layer_of_an_unknown_kind_stay() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 1),
        nn.GroupNorm(2, 4),
        nn.Conv2d(4, 3, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(3, 2),
    )
    graph = trace_model(model, torch.zeros(1, 2, 3, 3))
    assert graph.refused == ("0",)
    assert [group.name for group in graph.groups] == ["2"]


# What slices can say that no traced net has yet -------------------------------------------------------


class Joined(nn.Module):
    """Two convolutions side by side, their maps one after the other, and a scale that no module holds."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 3, 1), nn.Conv2d(5, 2, 1)
        self.scale = nn.Parameter(torch.randn(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.c(torch.cat([self.a(x), self.scale * self.b(x)], 1))
        return found


def test_behind_a_concatenation_channels_begin_at_an_offset() -> None:
    model, example = Joined(), torch.zeros(1, 1, 2, 2)

    def group(name: str, start: int, *more: Slice) -> Group:
        width = one_each(2 if name == "a" else 3)
        own = (Slice(f"{name}.weight", 0, width, "makes"), Slice(f"{name}.bias", 0, width, "makes"))
        return Group(name, (*own, *more, Slice("c.weight", 1, one_each(len(width), start=start), "reads")))

    groups = (group("a", 0), group("b", 2, Slice("scale", 0, one_each(3), "scales")))
    graph = Graph(groups, (), used_layers(model, example))
    state, keep = state_of(model), {"a": kept(0, 1), "b": kept(1, 0, 1)}
    after = remove_channels(keep, state, graph)
    assert torch.equal(after.tensors["c.weight"], state.tensors["c.weight"][:, [1, 2, 4]])
    assert after.tensors["scale"].shape == after.momentum["momentum_buffer/scale"].shape == (2, 1, 1)
    assert graph.widths(after.tensors) == {"a": 1, "b": 2}
    assert [g.slices[-1].indices for g in graph.current(after)] == [((0,),), ((1,), (2,))]
    last = remove_channels({"b": kept(0, 1)}, after, graph)
    assert torch.equal(last.tensors["c.weight"], state.tensors["c.weight"][:, [1, 4]])
    assert {name: index.tolist() for name, index in last.kept.items()} == {"a": [1], "b": [2]}
    silent = zero_channels(keep, state, graph).tensors
    assert silent["scale"].flatten().count_nonzero() == 2
    assert silent["a.bias"].tolist() == [0, float(state.tensors["a.bias"][1])]


def test_a_head_of_a_fused_projection_is_three_slices_of_one_tensor() -> None:
    """Two heads of two: rows 0 to 3 are queries, 4 to 7 keys, 8 to 11 values."""
    parts = tuple(Slice("qkv.weight", 0, one_each(2, 2, start), "makes") for start in (0, 4, 8))
    heads = Group("heads", (*parts, Slice("proj.weight", 1, one_each(2, 6), "reads")))
    assert (heads.width, heads.producers, heads.consumers) == (2, ("qkv",), ("proj",))
    model = nn.Sequential(OrderedDict(qkv=nn.Linear(4, 12, bias=False), proj=nn.Linear(12, 4, bias=False)))
    graph = Graph((heads,), (), used_layers(model, torch.zeros(1, 4)))
    state = state_of(model)
    after = remove_channels({"heads": kept(0, 1)}, state, graph)
    assert torch.equal(after.tensors["qkv.weight"], state.tensors["qkv.weight"][[2, 3, 6, 7, 10, 11]])
    assert torch.equal(after.tensors["proj.weight"], state.tensors["proj.weight"][:, 6:])
    assert graph.widths(after.tensors) == {"heads": 1}
    assert graph.cost("params", {"heads": 1}) == 6 * 4 + 4 * 6
    assert [piece.indices for piece in graph.current(after)[0].slices[:3]] == [((0, 1),), ((2, 3),), ((4, 5),)]


def test_channels_that_alternate_are_found_again_by_which_of_them_are_left() -> None:
    """a at 0, 2, 4 and b at 1, 3: without a's first and b's last there are a, b, a at 1, 0, 2."""
    a = Group("a", (Slice("c.weight", 1, ((0,), (2,), (4,)), "reads"),))
    b = Group("b", (Slice("c.weight", 1, ((1,), (3,)), "reads"),))
    left = left_of((a, b), [torch.tensor([1, 2]), torch.tensor([0])])
    assert [group.slices[0].indices for group in left] == [((1,), (2,)), ((0,),)]


def test_values_are_summed_over_a_channel_and_spread_over_it() -> None:
    part = Slice("fc.weight", 1, ((0, 1), (3, 4)), "reads")
    weight = torch.tensor([[1.0, 2.0, 9.0, 3.0, 4.0], [10.0, 20.0, 9.0, 30.0, 40.0]])
    assert part.sums(weight).tolist() == [33, 77]
    assert part.spread(torch.tensor([5.0, 6.0]), weight).tolist() == [[5, 5, 0, 6, 6]]
    assert part.spread(torch.tensor([5.0, 6.0]), weight, elsewhere=1).tolist() == [[5, 5, 1, 6, 6]]
    rows = Slice("fc.weight", 0, one_each(2), "makes")
    assert rows.sums(weight).tolist() == [19, 109]
    assert rows.spread(torch.tensor([5.0, 6.0]), weight).tolist() == [[5], [6]]
