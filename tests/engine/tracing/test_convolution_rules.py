"""Convolutions, linear layers and products of matrices: input channels meet weights, rows make outputs."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, linear, relu

from tests.engine.tracing.small_networks import groups, image, kept

IMAGE = image(2, 3, 8, 8)


def test_channels_between_two_convolutions():
    assert groups(lambda s, x: s.b(relu(s.a(x))), IMAGE, a=nn.Conv2d(3, 2, 3), b=nn.Conv2d(2, 3, 1)) == {
        "a": {"a.weight[0]": "0 1", "a.bias[0]": "0 1", "b.weight[1]": "0 1"}
    }


def test_inputs_and_outputs_of_the_network_stay():
    assert kept(lambda s, x: s.b(s.a(x)), IMAGE, a=nn.Conv2d(3, 2, 3), b=nn.Conv2d(2, 3, 1)) == {
        "a.weight[1]": "it meets the network's input",
        "b.weight[0]": "its channels are part of the output",
        "b.bias[0]": "its channels are part of the output",
    }


def test_a_batch_norm_scales():
    found = groups(
        lambda s, x: s.b(s.n(s.a(x))),
        IMAGE,
        a=nn.Conv2d(3, 2, 3, bias=False),
        n=nn.BatchNorm2d(2),
        b=nn.Conv2d(2, 3, 1),
    )
    assert list(found["a"]) == [
        "a.weight[0]", "n.weight[0]", "n.bias[0]", "n.running_mean[0]", "n.running_var[0]", "b.weight[1]",
    ]  # fmt: skip


def test_a_depthwise_convolution_with_two_outputs_for_each_input():
    found = groups(
        lambda s, x: s.b(s.d(s.a(x))), IMAGE,
        a=nn.Conv2d(3, 2, 1, bias=False), d=nn.Conv2d(2, 4, 3, groups=2, bias=False), b=nn.Conv2d(4, 3, 1),
    )  # fmt: skip
    assert found == {"a": {"a.weight[0]": "0 1", "d.weight[0]": "0,1 2,3", "b.weight[1]": "0,1 2,3"}}


def test_every_group_of_a_convolution_loses_channels_at_the_same_places():
    found = groups(
        lambda s, x: s.b(s.g(s.a(x))), IMAGE,
        a=nn.Conv2d(3, 4, 1, bias=False), g=nn.Conv2d(4, 6, 3, groups=2, bias=False), b=nn.Conv2d(6, 3, 1),
    )  # fmt: skip
    assert found == {
        "a": {"a.weight[0]": "0,2 1,3", "g.weight[1]": "0 1"},
        "g": {"g.weight[0]": "0,3 1,4 2,5", "b.weight[1]": "0,3 1,4 2,5"},
    }


def test_a_transposed_convolution_has_its_outputs_in_dimension_1():
    found = groups(
        lambda s, x: s.b(s.t(s.a(x))), IMAGE,
        a=nn.Conv2d(3, 2, 1, bias=False), t=nn.ConvTranspose2d(2, 3, 2, bias=False), b=nn.Conv2d(3, 2, 1),
    )  # fmt: skip
    assert found == {
        "a": {"a.weight[0]": "0 1", "t.weight[0]": "0 1"},
        "t": {"t.weight[1]": "0 1 2", "b.weight[1]": "0 1 2"},
    }


def test_a_grouped_transposed_convolution():
    found = groups(
        lambda s, x: s.b(s.t(s.a(x))), IMAGE,
        a=nn.Conv2d(3, 4, 1, bias=False), t=nn.ConvTranspose2d(4, 4, 2, groups=2, bias=False), b=nn.Conv2d(4, 2, 1),
    )  # fmt: skip
    assert found == {
        "a": {"a.weight[0]": "0,2 1,3", "t.weight[0]": "0,2 1,3"},
        "t": {"t.weight[1]": "0 1", "b.weight[1]": "0,2 1,3"},
    }


@pytest.mark.parametrize(("kind", "shape"), [(nn.Conv1d, (2, 3, 8)), (nn.Conv3d, (2, 3, 4, 4, 4))])
def test_one_and_three_dimensions(kind, shape):
    found = groups(lambda s, x: s.b(s.a(x)), image(*shape), a=kind(3, 2, 3, bias=False), b=kind(2, 3, 1))
    assert found == {"a": {"a.weight[0]": "0 1", "b.weight[1]": "0 1"}}


def test_weights_used_by_a_function_instead_of_a_module():
    weight = nn.Parameter(torch.ones(2, 3, 3, 3))
    found = groups(lambda s, x: s.b(conv2d(x, s.w)), IMAGE, w=weight, b=nn.Conv2d(2, 3, 1))
    assert found == {"w": {"w[0]": "0 1", "b.weight[1]": "0 1"}}


def test_a_weight_that_is_a_sum_of_two():
    found = groups(
        lambda s, x: s.b(linear(x, s.a.weight + s.up @ s.down)), image(4, 3),
        a=nn.Linear(3, 2, bias=False), up=nn.Parameter(torch.ones(2, 2)), down=nn.Parameter(torch.ones(2, 3)),
        b=nn.Linear(2, 3),
    )  # fmt: skip
    assert found == {
        "up": {"up[0]": "0 1", "a.weight[0]": "0 1", "b.weight[1]": "0 1"},
        "down": {"down[0]": "0 1", "up[1]": "0 1"},
    }


def test_linear_layers_on_tokens_and_across_them():
    found = groups(
        lambda s, x: s.c(s.b(s.a(x).transpose(1, 2)).transpose(1, 2)), image(2, 4, 3),
        a=nn.Linear(3, 2, bias=False), b=nn.Linear(4, 5, bias=False), c=nn.Linear(2, 3),
    )  # fmt: skip
    assert found == {"a": {"a.weight[0]": "0 1", "c.weight[1]": "0 1"}}  # b makes tokens, which are part of the output


def test_a_product_with_a_weight():
    found = groups(
        lambda s, x: s.b(torch.matmul(s.a(x), s.w)), image(4, 3),
        a=nn.Linear(3, 2, bias=False), w=nn.Parameter(torch.ones(2, 3)), b=nn.Linear(3, 3),
    )  # fmt: skip
    assert found == {
        "a": {"a.weight[0]": "0 1", "w[0]": "0 1"},
        "w": {"w[1]": "0 1 2", "b.weight[1]": "0 1 2"},
    }


def test_an_equation_over_named_dimensions():
    found = groups(
        lambda s, x: s.b(torch.einsum("bchw,oc->bohw", s.a(x), s.w)), IMAGE,
        a=nn.Conv2d(3, 2, 1, bias=False), w=nn.Parameter(torch.ones(3, 2)), b=nn.Conv2d(3, 3, 1),
    )  # fmt: skip
    assert found == {
        "a": {"a.weight[0]": "0 1", "w[1]": "0 1"},
        "w": {"w[0]": "0 1 2", "b.weight[1]": "0 1 2"},
    }


def test_columns_of_an_embedding_go_and_its_rows_stay():
    parts = {"e": nn.Embedding(5, 2), "b": nn.Linear(2, 3)}
    tokens = torch.tensor([[0, 1, 2]])
    assert groups(lambda s, x: s.b(s.e(x)), tokens, **parts) == {"e": {"e.weight[1]": "0 1", "b.weight[1]": "0 1"}}
    assert kept(lambda s, x: s.b(s.e(x)), tokens, **parts)["e.weight[0]"] == "embedding rows"


def test_a_hidden_channel_of_an_lstm_has_a_row_for_each_gate_in_every_layer():
    found = groups(
        lambda s, x: s.b(s.r(x)[0]), image(2, 4, 3),
        r=nn.LSTM(3, 2, num_layers=2, bias=False, bidirectional=True), b=nn.Linear(4, 3),
    )  # fmt: skip
    assert list(found) == ["r"]
    assert found["r"]["r.weight_hh_l0[0]"] == "0,2,4,6 1,3,5,7"
    assert found["r"]["r.weight_hh_l0_reverse[1]"] == "0 1"
    assert found["r"]["r.weight_ih_l1[1]"] == "0,2 1,3"
    assert found["r"]["b.weight[1]"] == "0,2 1,3"
