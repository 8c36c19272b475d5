"""Attention with heads of its own computes what torch's and torchvision's compute, and still does with fewer heads."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.swin_transformer import ShiftedWindowAttention, ShiftedWindowAttentionV2

from prunetui.engine.layers.own_heads import OwnHeadsAttention
from prunetui.engine.models.plain_network import plain
from prunetui.engine.tracing.propose import LabelGraph
from prunetui.engine.tracing.shrink import shrink


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def lively(module: nn.Module) -> nn.Module:
    """Biases are zero at first."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    return module.double()


def tokens(count: int, width: int = 8, batch: int = 2) -> Tensor:
    return torch.randn(batch, count, width, dtype=torch.float64)


BOOL = torch.ones(3, 3, dtype=torch.bool).triu(1)
PADDING = torch.tensor([[False, False, True], [False, False, False]])
CALLS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"bias": False}, {"need_weights": False}),
    ({"batch_first": True}, {"need_weights": False, "attn_mask": BOOL, "is_causal": True}),
    ({"batch_first": True}, {"attn_mask": BOOL, "key_padding_mask": PADDING, "average_attn_weights": False}),
    ({"batch_first": True}, {"attn_mask": torch.randn(4, 3, 3, dtype=torch.float64), "need_weights": False}),
    ({"batch_first": True, "add_bias_kv": True, "add_zero_attn": True}, {"key_padding_mask": PADDING}),
    ({"batch_first": True, "add_bias_kv": True, "bias": False}, {"attn_mask": BOOL, "need_weights": False}),
]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("options", "call"), CALLS)
def test_torch_s_attention(options: dict[str, Any], call: dict[str, Any], training: bool) -> None:
    module = lively(nn.MultiheadAttention(8, 2, **options)).train(training)
    own = copy.deepcopy(module)
    OwnHeadsAttention.of(own)
    x = tokens(3) if options.get("batch_first") else tokens(3).transpose(0, 1)
    with torch.no_grad():
        wanted, weights = module(x, x, x, **call)
        made, seen = own(x, x, x, **call)
    assert torch.allclose(made, wanted, rtol=0, atol=1e-12)
    assert (seen is None) == (weights is None)
    assert weights is None or torch.allclose(seen, weights, rtol=0, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"kdim": 6, "vdim": 5}, {"kdim": 6, "vdim": 5, "bias": False}])
def test_keys_and_values_of_other_tokens(options: dict[str, Any]) -> None:
    module = lively(nn.MultiheadAttention(8, 2, batch_first=True, **options)).eval()
    own = copy.deepcopy(module)
    OwnHeadsAttention.of(own)
    query, key, value = tokens(3), tokens(5, options.get("kdim", 8)), tokens(5, options.get("vdim", 8))
    with torch.no_grad():
        assert torch.allclose(own(query, key, value)[0], module(query, key, value)[0], rtol=0, atol=1e-12)
        alone = module(query[0], key[0], value[0])
        assert torch.allclose(own(query[0], key[0], value[0])[0], alone[0], rtol=0, atol=1e-12)


def test_dropout_draws_the_same_numbers() -> None:
    module = lively(nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)).train()
    own = copy.deepcopy(module)
    OwnHeadsAttention.of(own)
    x = tokens(3)
    for call in ({"need_weights": False}, {}):
        made = []
        for one in (module, own):
            torch.manual_seed(1)
            made.append(one(x, x, x, **call)[0])
        assert torch.allclose(made[0], made[1], rtol=0, atol=1e-12)


def test_tensors_keep_their_names_and_are_the_layers_of_the_projections() -> None:
    own = nn.MultiheadAttention(8, 2)
    names = list(own.state_dict())
    weight = own.in_proj_weight
    OwnHeadsAttention.of(own)
    assert [name for name, _ in own.named_parameters()] == names
    assert own.in_proj.weight is own.in_proj_weight is weight
    assert list(dict(own.named_children())) == ["in_proj", "out_proj"]
    seen = []
    own.in_proj.register_forward_hook(lambda *_: seen.append("in_proj"))
    x = torch.randn(3, 2, 8)
    own(x, x, x)
    assert seen == ["in_proj"]


def test_a_layer_of_torch_s_transformer_computes_with_one_head_less() -> None:
    """Its own kernel, which it calls in evaluation, would take the heads' width for that of its inputs."""
    layer = lively(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)).eval()
    net, x = plain(copy.deepcopy(layer)), tokens(3)
    proposal = LabelGraph(net, (x,)).proposal
    assert {group.name: group.width for group in proposal.groups} == {"self_attn": 2, "linear1": 16}
    shrink(net, proposal, {"self_attn": torch.tensor([True, False])})
    assert (net.self_attn.num_heads, net.self_attn.head_dim, net.self_attn.embed_dim) == (1, 4, 8)
    assert net.self_attn.in_proj.weight is net.self_attn.in_proj_weight
    assert net.self_attn.in_proj.weight.shape == (12, 8)
    layer.self_attn.out_proj.weight.data[:, 4:] = 0
    with torch.no_grad():
        assert torch.allclose(net(x), layer(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [ShiftedWindowAttention, ShiftedWindowAttentionV2])
@pytest.mark.parametrize("shift", [[0, 0], [1, 1], [0, 1]])
@pytest.mark.parametrize("size", [(4, 4), (5, 3), (2, 2)])
def test_windows(kind: type[ShiftedWindowAttention], shift: list[int], size: tuple[int, int]) -> None:
    module = lively(kind(8, [2, 2], shift, 2))
    own = plain(copy.deepcopy(module))
    x = torch.randn(2, *size, 8, dtype=torch.float64)
    with torch.no_grad():
        assert type(own) is not type(module)
        assert torch.allclose(own(x), module(x), rtol=0, atol=1e-12)
