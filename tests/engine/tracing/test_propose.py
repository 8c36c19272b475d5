"""Channels become groups with names, roles and attributes; tied and unused tensors are told."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import relu

from prunetui.engine.tracing.proposal import AttributeRule
from tests.engine.tracing.small_networks import Net, graph, groups, image, kept, propose, written

IMAGE = image(2, 3, 8, 8)


def test_roles():
    net = Net(lambda s, x: s.b(s.n(s.a(x))), a=nn.Conv2d(3, 2, 1), n=nn.BatchNorm2d(2), b=nn.Conv2d(2, 3, 1))
    (group,) = propose(net, (IMAGE,)).groups
    assert group.producers == ("a",)
    assert group.norms == ("n",)
    assert group.consumers == ("b",)


def test_a_tied_tensor_has_its_slices_under_each_name():
    layers = {name: nn.Linear(3, 2, bias=False) for name in "ab"}
    net = Net(lambda s, x: s.c(s.a(x) + s.b(x)), **layers, c=nn.Linear(2, 3))
    layers["b"].weight = layers["a"].weight
    assert written(propose(net, (image(2, 3),))) == {
        "a": {"a.weight[0]": "0 1", "b.weight[0]": "0 1", "c.weight[1]": "0 1"}
    }


def test_a_module_that_is_used_twice():
    found = groups(
        lambda s, x: s.c(s.b(relu(s.b(s.a(x))))), image(2, 3),
        a=nn.Linear(3, 2, bias=False), b=nn.Linear(2, 2, bias=False), c=nn.Linear(2, 3),
    )  # fmt: skip
    assert found == {"a": {"a.weight[0]": "0 1", "b.weight[0]": "0 1", "b.weight[1]": "0 1", "c.weight[1]": "0 1"}}


def test_what_nothing_reads_or_uses_stays():
    reasons = kept(
        lambda s, x: (s.c(x), s.a(x).add_(1), s.b(x))[0], image(2, 3), a=nn.Linear(3, 2), b=nn.Linear(3, 2),
        c=nn.Linear(3, 2), never=nn.Linear(3, 2),
    )  # fmt: skip
    assert reasons["a.weight[0]"] == "nothing reads it"
    assert reasons["b.weight[0]"] == reasons["never.weight[0]"] == "the network does not use it"


def test_a_frozen_layer_is_part_of_the_graph():
    net = nn.Sequential(nn.Linear(3, 2, bias=False), nn.Linear(2, 3)).requires_grad_(False)
    assert written(propose(net, (image(2, 3),))) == {"0": {"0.weight[0]": "0 1", "1.weight[1]": "0 1"}}


class Attention(nn.Module):
    """Says its heads and its width to views, as many do."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = 7
        self.head_dim = 3
        self.num_heads = 2
        self.attn_dim = 6
        self.qkv = nn.Linear(4, 18)
        self.out = nn.Linear(6, 4)

    def forward(self, x):
        query, key, value = self.qkv(x).reshape(1, 5, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        made = torch.nn.functional.scaled_dot_product_attention(query, key, value)
        return self.out(made.transpose(1, 2).reshape(1, 5, self.attn_dim))


def test_candidates_are_integers_as_large_as_the_group_is_somewhere():
    found = graph(lambda s, x: s.block(x), image(1, 5, 4), block=Attention())
    assert found.candidates("block.qkv") == (
        AttributeRule("block", "num_heads", "block.qkv", 1),
        AttributeRule("block", "attn_dim", "block.qkv", 3),
    )


def test_candidates_of_a_hard_coded_view():
    found = graph(
        lambda s, x: s.b(s.a(x).view(-1, s.features)),
        image(2, 3, 2, 2),
        a=nn.Conv2d(3, 2, 1),
        b=nn.Linear(8, 3),
        features=8,
    )
    assert found.candidates("a") == (AttributeRule("", "features", "a", 4),)


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("resnet50", 0.99),
        ("shufflenet_v2_x1_0", 0.9),
        ("googlenet", 0.9),
        pytest.param("mobilenet_v2", 0.99, marks=pytest.mark.slow),
        pytest.param("densenet121", 0.99, marks=pytest.mark.slow),
    ],
)
def test_share_of_parameters_that_may_go(name, least):
    torchvision = pytest.importorskip("torchvision")
    options = {"init_weights": False} if name == "googlenet" else {}
    net = torchvision.models.get_model(name, weights=None, **options)
    proposal = propose(net, (image(1, 3, 64, 64),))
    free = {name: torch.zeros(p.shape, dtype=torch.bool) for name, p in net.named_parameters()}
    for piece in (piece for group in proposal.groups for piece in group.slices):
        if piece.tensor in free:
            free[piece.tensor].index_fill_(piece.dimension, piece.index.flatten(), True)
    assert sum(int(f.sum()) for f in free.values()) > least * sum(f.numel() for f in free.values())
