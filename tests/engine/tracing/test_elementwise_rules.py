"""Where elements meet, channels go together; what meets a tensor of fixed size stays."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import glu, relu

from tests.engine.tracing.small_networks import graph, groups, image, kept

IMAGE = image(2, 3, 8, 8)


def conv(made: int, read: int = 3) -> nn.Conv2d:
    return nn.Conv2d(read, made, 1, bias=False)


def test_added_channels_go_together():
    found = groups(lambda s, x: s.c(s.a(x) + s.b(x)), IMAGE, a=conv(2), b=conv(2), c=conv(3, 2))
    assert found == {"a": {"a.weight[0]": "0 1", "b.weight[0]": "0 1", "c.weight[1]": "0 1"}}


def test_what_is_added_to_the_input_stays():
    found = kept(lambda s, x: s.b(x + s.a(x)), IMAGE, a=conv(3), b=conv(2))
    assert found["a.weight[0]"] == found["b.weight[1]"] == "it meets the network's input"


def test_a_mask_of_places_says_nothing_about_channels():
    found = groups(lambda s, x, mask: s.b(s.a(x) * mask), IMAGE, image(2, 1, 8, 8), a=conv(2), b=conv(3, 2))
    assert found == {"a": {"a.weight[0]": "0 1", "b.weight[1]": "0 1"}}


def test_a_gate_goes_with_what_it_gates():
    found = groups(
        lambda s, x: s.b(s.a(x) * s.up(relu(s.down(s.a(x).mean((2, 3), keepdim=True)))).sigmoid()), IMAGE,
        a=conv(3), down=conv(2), up=conv(3, 2), b=conv(2),
    )  # fmt: skip
    assert found == {
        "a": {"a.weight[0]": "0 1 2", "up.weight[0]": "0 1 2", "down.weight[1]": "0 1 2", "b.weight[1]": "0 1 2"},
        "down": {"down.weight[0]": "0 1", "up.weight[1]": "0 1"},
    }


def test_buffers_of_channel_size_are_cut_with_the_channels():
    found = groups(lambda s, x: s.b(s.a(x) * s.mask), IMAGE, a=conv(2), b=conv(3, 2), mask=torch.ones(1, 2, 1, 1))
    assert found == {"a": {"a.weight[0]": "0 1", "mask[1]": "0 1", "b.weight[1]": "0 1"}}


def test_tensors_made_from_nothing_adapt():
    found = groups(lambda s, x: s.b(s.a(x) + torch.ones_like(s.a(x))), IMAGE, a=conv(2), b=conv(3, 2))
    assert found == {"a": {"a.weight[0]": "0 1", "b.weight[1]": "0 1"}}


def test_an_expanded_mask_adapts():
    found = groups(
        lambda s, x, mask: s.b(s.a(x) * mask.expand(2, 2, 8, 8)), IMAGE, image(2, 1, 8, 8), a=conv(2), b=conv(3, 2)
    )
    assert found == {"a": {"a.weight[0]": "0 1", "b.weight[1]": "0 1"}}


def test_positions_are_added_to_tokens_and_stay():
    parts = {"a": nn.Linear(3, 2, bias=False), "positions": nn.Parameter(torch.ones(1, 4, 2)), "b": nn.Linear(2, 3)}
    found = groups(lambda s, x: s.b(s.a(x) + s.positions), image(2, 4, 3), **parts)
    assert found == {"a": {"a.weight[0]": "0 1", "positions[2]": "0 1", "b.weight[1]": "0 1"}}
    reasons = kept(lambda s, x: s.b(s.a(x) + s.positions), image(2, 4, 3), **parts)
    assert reasons["positions[1]"] == "it meets a tensor of fixed size"


def test_slopes_of_a_prelu_and_halves_of_a_glu():
    found = groups(lambda s, x: s.b(s.p(s.a(x))), IMAGE, a=conv(2), p=nn.PReLU(2), b=conv(3, 2))
    assert found == {"a": {"a.weight[0]": "0 1", "p.weight[0]": "0 1", "b.weight[1]": "0 1"}}
    found = groups(lambda s, x: s.b(glu(s.a(x), 1)), IMAGE, a=conv(4), b=conv(3, 2))
    assert found == {"a": {"a.weight[0]": "0,2 1,3", "b.weight[1]": "0 1"}}


def test_an_operation_without_a_rule_keeps_what_it_touches():
    found = graph(lambda s, x: s.b(torch.special.i0(s.a(x))), IMAGE, a=conv(2), b=conv(3, 2))
    assert found.unknown == ("special_i0",)
    assert found.proposal.groups == ()
    assert found.proposal.kept["a.weight[0]"] == "operation special_i0 is not known"
    assert found.proposal.kept["b.weight[1]"] == "operation special_i0 is not known"


OVER = "statistics over channels ({}): without some of them all others would change"


def test_statistics_over_channels_keep_them():
    tokens = {"a": nn.Linear(3, 4, bias=False), "b": nn.Linear(4, 2)}
    found = kept(lambda s, x: s.b(s.n(s.a(x))), image(2, 5, 3), **tokens, n=nn.LayerNorm(4))
    assert found["a.weight[0]"] == found["n.weight[0]"] == found["b.weight[1]"]
    assert found["a.weight[0]"] == OVER.format("layer_norm")
    found = kept(lambda s, x: s.b(s.a(x).softmax(-1)), image(2, 5, 3), **tokens)
    assert found["a.weight[0]"] == OVER.format("softmax")
    found = kept(lambda s, x: s.b(s.n(s.a(x))), IMAGE, a=conv(4), n=nn.GroupNorm(1, 4), b=conv(2, 4))
    assert found["a.weight[0]"] == OVER.format("group_norm")
    found = kept(lambda s, x: s.b(s.a(x)) * s.a(x).mean(1, keepdim=True), IMAGE, a=conv(4), b=conv(2, 4))
    assert found["a.weight[0]"] == OVER.format("mean")


def test_a_norm_of_each_channel_passes():
    found = groups(lambda s, x: s.b(s.n(s.a(x))), IMAGE, a=conv(2), n=nn.InstanceNorm2d(2, affine=True), b=conv(3, 2))
    assert found["a"]["n.weight[0]"] == "0 1"
    found = groups(lambda s, x: s.b(s.n(s.a(x))), IMAGE, a=conv(2), n=nn.GroupNorm(2, 2), b=conv(3, 2))
    assert found["a"]["n.bias[0]"] == "0 1"


def test_channels_of_one_group_of_a_norm_go_together():
    found = groups(lambda s, x: s.b(s.n(s.a(x))), IMAGE, a=conv(6), n=nn.GroupNorm(3, 6), b=conv(2, 6))
    pairs = "0,1 2,3 4,5"
    assert found == {"a": {"a.weight[0]": pairs, "n.weight[0]": pairs, "n.bias[0]": pairs, "b.weight[1]": pairs}}


def test_pooling_and_resizing_pass():
    def pooled(s, x):
        made = nn.functional.max_pool2d(s.a(x), 2)
        made = nn.functional.interpolate(made, scale_factor=2, mode="bilinear")
        return s.b(nn.functional.adaptive_avg_pool2d(made, 1).flatten(1))

    found = groups(pooled, IMAGE, a=conv(2), b=nn.Linear(2, 3))
    assert found == {"a": {"a.weight[0]": "0 1", "b.weight[1]": "0 1"}}
