"""Counts by hand: a net small enough to count on paper."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from prunetui.engine.count import count, used_layers

EXAMPLE = torch.zeros(1, 2, 4, 4)


@pytest.fixture
def small() -> nn.Sequential:
    """2 channels of 4x4 -> 3 of 2x2 -> 5 logits; no parameter is zero."""
    net = nn.Sequential(nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 5))
    for parameter in net.parameters():
        nn.init.ones_(parameter)
    return net


def test_parameters_weights_and_macs_are_those_counted_by_hand(small: nn.Sequential) -> None:
    counts = count(small, EXAMPLE)
    assert counts.params == (2 * 3 * 9 + 3) + (3 + 3) + (12 * 5 + 5)  # 57 + 6 + 65 = 128
    assert counts.weights == 2 * 3 * 9 + 12 * 5  # 114: neither biases nor batch norm
    assert counts.macs == 2 * 3 * 9 * (2 * 2) + 12 * 5  # 276
    assert counts.macs_nonzero == 276
    assert counts.params_nonzero == 128
    assert counts.weights_nonzero == 114


def test_zeros_are_parameters_that_are_there_but_not_nonzero(small: nn.Sequential) -> None:
    with torch.no_grad():
        small[0].weight[0] = 0  # 18 weights
        small[1].bias[:2] = 0
    counts = count(small, EXAMPLE)
    assert (counts.params, counts.params_nonzero) == (128, 128 - 18 - 2)
    assert counts.macs == 276
    assert counts.macs_nonzero == 276 - 18 * (2 * 2)  # each of the 18 is used at 4 places


def test_masked_weights_are_gone_from_the_nonzero_weights(small: nn.Sequential) -> None:
    keep = torch.ones(5, 12, dtype=torch.bool)
    keep[0, :7] = False
    assert count(small, EXAMPLE, {"3": keep}).weights_nonzero == 114 - 7


def test_a_grouped_convolution_connects_only_its_own_group() -> None:
    counts = count(nn.Sequential(nn.Conv2d(4, 8, 3, groups=4, bias=False)), torch.zeros(1, 4, 5, 5))
    assert (counts.weights, counts.macs) == (8 * 1 * 9, 8 * 1 * 9 * (3 * 3))


def test_macs_are_of_one_image_whatever_the_example_holds_and_the_net_is_left_as_found(small: nn.Sequential) -> None:
    small.train()
    small[1].eval()
    before = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    counts = count(small, EXAMPLE)
    assert counts.macs == 276
    assert small.training
    assert all(torch.equal(before[name], tensor) for name, tensor in small.state_dict().items())
    assert not small[0]._forward_hooks


def test_a_layers_cost_follows_its_shapes(small: nn.Sequential) -> None:
    layer = used_layers(small, EXAMPLE)["0"]
    assert (layer.shapes, layer.places) == ({"weight": (3, 2, 3, 3), "bias": (3,)}, 4)
    narrow = {"weight": (2, 2, 3, 3), "bias": (2,)}
    assert [layer.cost(kind, narrow) for kind in ("sparsity", "params", "macs")] == [36, 38, 144]
    norm = used_layers(small, EXAMPLE)["1"]
    assert [norm.cost(kind) for kind in ("sparsity", "params", "macs")] == [0, 6, 0]
    with pytest.raises(ValueError, match="no cost called weights"):
        layer.cost("weights")
