"""Multiply-accumulates of everything that is multiplied, at any widths: counted by hand, and as torch counts them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from prunetui.api.source import called
from prunetui.engine.count import count, passed
from prunetui.engine.trace_network import proved_graph
from prunetui.engine.tracing.probe import halves
from prunetui.engine.tracing.proposal import Dimension, Product, Proposal
from prunetui.engine.tracing.shrink import shrink
from tests.engine.tracing.small_networks import Net

TOKENS = torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(0))


def as_torch_counts(model: nn.Module, example: Any) -> int:
    """Half of the operations that torch's counter finds when every attention is computed step by step."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        called(copy.deepcopy(model).eval(), example)
    return int(counter.get_total_flops()) // 2


def attention(s: Any, x: Tensor) -> Tensor:
    q, k, v = s.qkv(x).view(*x.shape[:2], 3, s.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
    x = F.scaled_dot_product_attention(q, k, v)
    return s.out(x.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def steps(s: Any, x: Tensor) -> Tensor:
    q, k, v = (layer(x).view(*x.shape[:2], s.heads, -1).transpose(1, 2) for layer in (s.q, s.k, s.v))
    scores = (q @ k.transpose(-1, -2) / 2).softmax(-1)
    return s.out(torch.einsum("bhts,bhsd->bthd", scores, v).flatten(2))  # type: ignore[no-any-return]


def grouped(s: Any, x: Tensor) -> Tensor:
    q, k, v = (layer(x).view(*x.shape[:2], -1, 4).transpose(1, 2) for layer in (s.q, s.k, s.v))
    return s.out(F.scaled_dot_product_attention(q, k, v, enable_gqa=True).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def mixed(s: Any, x: Tensor) -> Tensor:
    """Layers over tokens: each weight is used once for every channel."""
    x = s.up(x)
    return s.down((x.transpose(1, 2) + s.over(x.transpose(1, 2))).transpose(1, 2))  # type: ignore[no-any-return]


def windows(s: Any, x: Tensor) -> Tensor:
    """Parts of an image that are computed as a batch."""
    parts = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
    return s.two(s.one(parts).relu()).flatten(1)  # type: ignore[no-any-return]


def functional(s: Any, x: Tensor) -> Tensor:
    return F.linear(F.conv2d(x, s.kernel, groups=2).relu().mean((2, 3)), s.matrix)


def linears(**sizes: tuple[int, int]) -> dict[str, nn.Module]:
    return {name: nn.Linear(*size) for name, size in sizes.items()}


NETWORKS: Mapping[str, tuple[Callable[..., Any], Mapping[str, Any], Tensor, list[str]]] = {
    "attention": (attention, {"heads": 3, **linears(qkv=(12, 36), out=(12, 4))}, TOKENS, ["qkv"]),
    "steps": (steps, {"heads": 3, **linears(q=(12, 12), k=(12, 12), v=(12, 12), out=(12, 4))}, TOKENS, ["q"]),
    "grouped queries": (grouped, linears(q=(12, 16), k=(12, 8), v=(12, 8), out=(16, 4)), TOKENS, ["q"]),
    "over tokens": (mixed, linears(up=(12, 8), over=(5, 5), down=(8, 4)), TOKENS, ["up"]),
    "windows": (windows, {"one": nn.Conv2d(2, 6, 3), "two": nn.Conv2d(6, 3, 2)}, torch.randn(1, 2, 8, 8), ["one"]),
    "functional": (
        functional, {"kernel": nn.Parameter(torch.randn(6, 2, 3, 3)), "matrix": nn.Parameter(torch.randn(3, 6))},
        torch.randn(1, 4, 6, 6), [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_counted_is_what_torch_counts_dense_and_with_fewer_channels(name: str) -> None:
    function, parts, example, expected = NETWORKS[name]
    model = Net(function, **parts)
    graph = proved_graph(model, example)
    assert graph.fixed_macs == 0
    assert set(expected) <= {group.name for group in graph.groups}
    assert graph.cost("macs", graph.dense) == count(model, example).macs == as_torch_counts(model, example)
    for seed in (0, 1):
        narrow, keep = copy.deepcopy(model), halves(graph.groups, seed)
        shrink(narrow, Proposal(graph.groups, graph.attributes or ()), keep)
        widths = {group: int(mask.sum()) for group, mask in keep.items()}
        left = count(narrow, example)
        assert graph.cost("macs", widths) == left.macs == as_torch_counts(narrow, example)
        assert graph.present("macs", dict(narrow.named_parameters())) == left.macs
        assert graph.cost("params", widths) == left.params
        assert left.macs < count(model, example).macs or not graph.groups


def test_queries_with_keys_are_counted_by_hand() -> None:
    """3 heads of width 4 and 5 tokens: 3 x 5 x 5 x 4 for the scores, as many for their values."""
    model = Net(attention, heads=3, **linears(qkv=(12, 36), out=(12, 4)))
    graph = proved_graph(model, TOKENS)
    sizes = [sorted(dimension.size for dimension in product.dimensions) for product in graph.products]
    assert sizes == [[1, 3, 4, 5, 5]] * 2
    assert graph.cost("macs", {"qkv": 3}) == 5 * 12 * 36 + 2 * 300 + 5 * 12 * 4
    assert graph.cost("macs", {"qkv": 1}) == 5 * 12 * 12 + 2 * 100 + 5 * 4 * 4


def test_an_extent_shrinks_with_its_groups() -> None:
    product = Product("m", False, (Dimension(12, (("a", 3), ("b", 1))), Dimension(5), Dimension(2, (("gone", 1),))))
    assert product.times({}) == 120
    assert product.times({"a": 2}) == 6 * 10
    assert product.times({"a": 2, "b": 1, "c": 7}) == 5 * 10
    assert product.groups == ("a", "b", "gone")


def undecided(s: Any, x: Tensor) -> Tensor:
    """Which no graph of torch.export can follow."""
    x = s.one(x).relu() if float(x.sum()) > -1e9 else s.one(x)
    return s.two(x @ x.transpose(-1, -2) @ x).mean(1)  # type: ignore[no-any-return]


def test_what_no_graph_tells_is_counted_as_it_is_and_said() -> None:
    model = Net(undecided, **linears(one=(12, 8), two=(8, 4)))
    graph = proved_graph(model, TOKENS)
    assert graph.fixed_macs == 2 * 5 * 5 * 8
    assert graph.cost("macs", graph.dense) == passed(model, TOKENS).macs == as_torch_counts(model, TOKENS)
    if graph.groups:
        assert graph.uncertain.startswith(
            f"400 of {graph.cost('macs', graph.dense):,} MACs are counted as in the dense"
        )


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_are_counted_at_every_step(layer: type[nn.Module]) -> None:
    gates = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}[layer]
    model = Net(lambda s, x: s.out(s.rnn(x)[0]), rnn=layer(12, 8, batch_first=True, num_layers=2), out=nn.Linear(8, 2))
    by_hand = 5 * (gates * 8 * (12 + 8 + 8 + 8) + 8 * 2)
    assert count(model, TOKENS).macs == by_hand
    graph = proved_graph(model, TOKENS)
    assert (graph.fixed_macs, graph.cost("macs", graph.dense)) == (0, by_hand)


def test_an_encoder_that_torch_computes_as_one_operation_is_counted() -> None:
    model = nn.TransformerEncoderLayer(12, 3, 24, batch_first=True)
    example = torch.randn(1, 5, 12)
    assert count(model, example).macs == 5 * (4 * 12 * 12 + 2 * 12 * 24) + 2 * 3 * 5 * 5 * 4
