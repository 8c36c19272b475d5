"""Heads are the channels of an attention: all rows of their queries, keys and values, all columns that read them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from tests.engine.tracing.small_networks import groups, image, kept

TOKENS = image(1, 5, 3)
HEADS = {
    "qkv.weight[0]": "0,1,4,5,8,9 2,3,6,7,10,11",  # two heads of width 2: of queries, of keys, of values
    "out.weight[1]": "0,1 2,3",
}


def fused(s, x):
    return s.qkv(x).reshape(1, 5, 3, 2, 2).permute(2, 0, 3, 1, 4).unbind(0)


def parts() -> dict[str, nn.Module]:
    return {"qkv": nn.Linear(3, 12, bias=False), "out": nn.Linear(4, 3)}


def test_heads_of_a_fused_projection():
    def attend(s, x):
        return s.out(scaled_dot_product_attention(*fused(s, x)).transpose(1, 2).reshape(1, 5, 4))

    assert groups(attend, TOKENS, **parts()) == {"qkv": HEADS}


def test_heads_of_an_attention_that_is_written_out():
    def attend(s, x):
        query, key, value = fused(s, x)
        weights = (query @ key.transpose(-2, -1) * 0.5).softmax(-1)
        return s.out((weights @ value).transpose(1, 2).reshape(1, 5, 4))

    assert groups(attend, TOKENS, **parts()) == {"qkv": HEADS}


def test_heads_of_a_linear_attention():
    def attend(s, x):
        query, key, value = fused(s, x)
        return s.out((query @ (key.transpose(-2, -1) @ value)).transpose(1, 2).reshape(1, 5, 4))

    assert groups(attend, TOKENS, **parts()) == {"qkv": HEADS}


def test_a_bias_of_each_head_goes_with_it():
    def attend(s, x):
        query, key, value = fused(s, x)
        bias = s.table[s.places.flatten()].view(5, 5, 2).permute(2, 0, 1)
        made = scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return s.out(made.transpose(1, 2).reshape(1, 5, 4))

    found = groups(
        attend, TOKENS, **parts(), table=nn.Parameter(torch.ones(9, 2)), places=torch.arange(25).view(5, 5) % 9
    )
    assert found == {"qkv": {"qkv.weight[0]": HEADS["qkv.weight[0]"], "table[1]": "0 1", "out.weight[1]": "0,1 2,3"}}


def test_queries_that_share_a_key_go_together():
    def attend(s, x):
        query = s.q(x).view(1, 5, 4, 2).transpose(1, 2)
        key, value = (layer(x).view(1, 5, 2, 2).transpose(1, 2) for layer in (s.k, s.v))
        return s.out(scaled_dot_product_attention(query, key, value, enable_gqa=True).transpose(1, 2).reshape(1, 5, 8))

    found = groups(
        attend, TOKENS,
        q=nn.Linear(3, 8, bias=False), k=nn.Linear(3, 4, bias=False), v=nn.Linear(3, 4, bias=False),
        out=nn.Linear(8, 3),
    )  # fmt: skip
    assert found == {
        "q": {
            "q.weight[0]": "0,1,2,3 4,5,6,7",
            "k.weight[0]": "0,1 2,3",
            "v.weight[0]": "0,1 2,3",
            "out.weight[1]": "0,1,2,3 4,5,6,7",
        }
    }


def test_rotated_queries_keep_their_heads_whole():
    def attend(s, x):
        query, key, value = fused(s, x)
        angles = torch.cat([s.frequencies, s.frequencies]) * torch.arange(5)[:, None]
        query = query * angles.cos() + torch.cat([-query[..., 1:], query[..., :1]], -1) * angles.sin()
        return s.out(scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(1, 5, 4))

    assert groups(attend, TOKENS, **parts(), frequencies=torch.ones(1)) == {"qkv": HEADS}


def test_values_of_a_single_head_are_channels_and_its_width_stays():
    def attend(s, x):
        return s.out(scaled_dot_product_attention(s.q(x), s.k(x), s.v(x)))

    three = {name: nn.Linear(3, 2, bias=False) for name in "qkv"}
    found = groups(attend, TOKENS, **three, out=nn.Linear(2, 3))
    assert found == {"v": {"v.weight[0]": "0 1", "out.weight[1]": "0 1"}}
    reasons = kept(attend, TOKENS, **three, out=nn.Linear(2, 3))
    assert reasons["q.weight[0]"] == reasons["k.weight[0]"] == "attention is scaled by the width of its queries"


def test_torch_s_own_attention():
    found = groups(lambda s, x: s.a(x, x, x, need_weights=False)[0], image(1, 5, 4), a=nn.MultiheadAttention(4, 2))
    assert found["a"]["a.in_proj_weight[0]"] == HEADS["qkv.weight[0]"]
    assert found["a"]["a.out_proj.weight[1]"] == "0,1 2,3"
